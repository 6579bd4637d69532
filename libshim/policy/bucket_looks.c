/*
 * bucket_looks.c - what share of the time a tenant has used, from looks back at used_ns.
 *
 * Look n holds used_ns as of n * GPUSHIM_LOOK_NS. Nobody is about at just that moment:
 * the first who adds something later takes the look, before he adds, and all those that
 * were missed since the last. Nothing was added in between, or he would not be the first;
 * so looks are exact even after hours of rest.
 *
 * Several may take a look at once, and a reader may come in the middle: `at_ns` is zero
 * while `used_ns` changes. Knows no clock, and trusts no word.
 */
#include "policy/bucket.h"

#include "base/atomic.h"

/* More GPU time per time than all processes of a tenant together can be charged. */
#define SHARE_MAX UINT64_C(1000)
#define PPM UINT64_C(1000000)

static uint64_t place_of(uint64_t number)
{
	return number % GPUSHIM_LOOKS_MAX;
}

/* The newest look that is not after number `last`; 0: there is none. */
static uint64_t newest_look(const struct gpushim_ledger_bucket *bucket, uint64_t last)
{
	uint64_t newest = 0;

	for (uint64_t place = 0; place < GPUSHIM_LOOKS_MAX; place++) {
		uint64_t at_ns = gsh_load_relaxed(&bucket->looks[place].at_ns);
		uint64_t number = at_ns / GPUSHIM_LOOK_NS;

		if (at_ns % GPUSHIM_LOOK_NS == 0 && place_of(number) == place &&
		    number <= last && number > newest)
			newest = number;
	}
	return newest;
}

static void take_look(struct gpushim_ledger_bucket *bucket, uint64_t number,
		      uint64_t used_ns)
{
	struct gpushim_ledger_look *look = &bucket->looks[place_of(number)];

	gsh_store_relaxed(&look->at_ns, 0);
	/* Each release pairs with an acquire in read_look(): no new value with an old
	 * time, no new time with an old value. */
	gsh_store_release(&look->used_ns, used_ns);
	gsh_store_release(&look->at_ns, number * GPUSHIM_LOOK_NS);
}

static bool read_look(const struct gpushim_ledger_bucket *bucket, uint64_t number,
		      uint64_t *used_ns)
{
	const struct gpushim_ledger_look *look = &bucket->looks[place_of(number)];
	uint64_t at_ns = gsh_load_acquire(&look->at_ns);

	*used_ns = gsh_load_acquire(&look->used_ns);
	return number > 0 && at_ns == number * GPUSHIM_LOOK_NS &&
	       gsh_load_relaxed(&look->at_ns) == at_ns;
}

void gsh_bucket_used(struct gpushim_ledger_bucket *bucket, uint64_t now_ns,
		     uint64_t used_ns)
{
	uint64_t last = now_ns / GPUSHIM_LOOK_NS, newest;
	uint64_t before_ns = gsh_add_relaxed(&bucket->used_ns, used_ns);

	if (last == 0 || gsh_load_relaxed(&bucket->looks[place_of(last)].at_ns) ==
				 last * GPUSHIM_LOOK_NS)
		return;
	newest = newest_look(bucket, last);
	/* Without any, history begins here. */
	if (newest == 0)
		newest = last - 1;
	/* None, if somebody else was first after all. */
	for (uint64_t number = last; number > newest; number--) {
		if (last - number == GPUSHIM_LOOKS_MAX)
			return;
		take_look(bucket, number, before_ns);
	}
}

/* value * part / whole, for part <= whole up to the time that all looks span. */
static uint64_t part_of(uint64_t value, uint64_t part, uint64_t whole)
{
	return value / whole * part + value % whole * part / whole;
}

/* used_ns as it was at then_ns; false if that is not known. */
static bool used_at(const struct gpushim_ledger_bucket *bucket, uint64_t then_ns,
		    uint64_t now_ns, uint64_t used_ns, uint64_t *was_ns)
{
	uint64_t number = then_ns / GPUSHIM_LOOK_NS;
	uint64_t last = now_ns / GPUSHIM_LOOK_NS;
	uint64_t newest = newest_look(bucket, last);
	uint64_t begin_ns = number * GPUSHIM_LOOK_NS, end_ns = begin_ns + GPUSHIM_LOOK_NS;
	uint64_t from_ns, to_ns = used_ns;

	if (newest == 0)
		return false;
	if (number > newest) {
		/* Nobody added anything since. */
		*was_ns = used_ns;
		return true;
	}
	if (!read_look(bucket, number, &from_ns))
		return false;
	if (number < newest && !read_look(bucket, number + 1, &to_ns))
		return false;
	if (end_ns > now_ns)
		end_ns = now_ns;
	if (to_ns < from_ns)
		return false;
	*was_ns = from_ns;
	if (end_ns > begin_ns)
		*was_ns += part_of(to_ns - from_ns, then_ns - begin_ns,
				   end_ns - begin_ns);
	return true;
}

uint32_t gsh_bucket_share_ppm(const struct gpushim_ledger_bucket *bucket, uint64_t now_ns,
			      uint64_t window_ns)
{
	uint64_t used_ns = gsh_load_relaxed(&bucket->used_ns), was_ns;

	if (window_ns == 0 || window_ns > now_ns ||
	    window_ns > GPUSHIM_LOOKS_MAX * GPUSHIM_LOOK_NS)
		return UINT32_MAX;
	if (!used_at(bucket, now_ns - window_ns, now_ns, used_ns, &was_ns))
		return UINT32_MAX;
	if (was_ns > used_ns || used_ns - was_ns > SHARE_MAX * window_ns)
		return UINT32_MAX;
	return (uint32_t)((used_ns - was_ns) * PPM / window_ns);
}
