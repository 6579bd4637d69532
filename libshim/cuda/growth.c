/* Memory of which the driver decides how much it takes; see growth.h. */
#include "cuda/growth.h"

static enum gpushim_kind kind_of(const struct gsh_growth *growth)
{
	return (enum gpushim_kind)growth->kind;
}

/* Under the lock, as all that is static here. */
static void mark_exported(struct gsh_growth *growth)
{
	uint64_t now = growth->is_exported ? growth->charged : 0;

	if (growth->row < 0 || now == growth->exported)
		return;
	gsh_ledger_export(&gsh_process->tenant.ledger, (uint32_t)growth->row,
			  (int64_t)(now - growth->exported));
	growth->exported = now;
}

static void begin(struct gsh_growth *growth, uint64_t need, struct gsh_growth_call *call)
{
	growth->under_way += need;
	call->need = need;
	call->number = ++growth->begun;
	call->alone = growth->calls == 1;
}

CUresult gsh_growth_try(struct gsh_growth *growth, uint64_t need,
			struct gsh_growth_call *call)
{
	struct gsh_charge charge;
	CUresult res = CUDA_SUCCESS;
	uint64_t bytes;

	/* Counted first: who has to be alone to be covered does not begin from now on. */
	gsh_lock(&growth->lock);
	growth->calls++;
	if (__builtin_add_overflow(need, growth->covered, &bytes))
		bytes = UINT64_MAX;
	gsh_unlock(&growth->lock);
	if (growth->row >= 0)
		res = gsh_charge_try(&charge, growth->row, kind_of(growth), bytes);
	gsh_lock(&growth->lock);
	if (res == CUDA_SUCCESS) {
		if (growth->row >= 0)
			growth->charged += bytes;
		begin(growth, need, call);
		call->covered = false;
		mark_exported(growth);
	} else {
		growth->calls--;
	}
	gsh_unlock(&growth->lock);
	return res;
}

void gsh_growth_cover(struct gsh_growth *growth, uint64_t need,
		      struct gsh_growth_call *call)
{
	growth->calls++;
	growth->covered += need;
	begin(growth, need, call);
	call->covered = true;
}

bool gsh_growth_finish(struct gsh_growth *growth, const struct gsh_growth_call *call)
{
	growth->under_way -= call->need;
	if (call->covered)
		growth->covered -= call->need;
	growth->calls--;
	growth->finished++;
	return call->alone && growth->calls == 0 && growth->begun == call->number;
}

/* More is reserved than is charged: a call took more than its need. */
static enum gsh_growth_verdict add_surprise(struct gsh_growth *growth, uint64_t bytes)
{
	struct gsh_charge charge;
	bool fits = gsh_charge_try(&charge, growth->row, kind_of(growth), bytes) ==
		    CUDA_SUCCESS;

	if (!fits)
		gsh_tenant_force(&gsh_process->tenant, growth->row, kind_of(growth),
				 bytes);
	growth->charged += bytes;
	return fits ? GSH_GROWTH_MORE : GSH_GROWTH_OVER;
}

enum gsh_growth_verdict gsh_growth_correct(struct gsh_growth *growth, uint64_t reserved)
{
	enum gsh_growth_verdict verdict = GSH_GROWTH_FINE;
	uint64_t wanted = reserved + growth->under_way;

	growth->reserved = reserved;
	if (growth->row < 0)
		return verdict;
	if (reserved > growth->charged) {
		verdict = add_surprise(growth, reserved - growth->charged);
	} else if (wanted < growth->charged) {
		gsh_charge_refund(growth->row, kind_of(growth), growth->charged - wanted);
		growth->charged = wanted;
	}
	mark_exported(growth);
	return verdict;
}

void gsh_growth_look(const struct gsh_growth *growth, struct gsh_activity *activity)
{
	activity->steps += growth->begun + growth->finished;
	activity->calls |= growth->begun != growth->finished;
}

void gsh_growth_export(struct gsh_growth *growth)
{
	growth->is_exported = true;
	mark_exported(growth);
}

void gsh_growth_clear(struct gsh_growth *growth)
{
	growth->is_exported = false;
	mark_exported(growth);
	if (growth->row >= 0)
		gsh_charge_refund(growth->row, kind_of(growth), growth->charged);
	growth->charged = 0;
	growth->reserved = 0;
}
