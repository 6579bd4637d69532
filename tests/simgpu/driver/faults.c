/*
 * faults.c - faults made on purpose: SIMGPU_FAULTS.
 *
 * Knows: the grammar below and when a fault strikes. Refuses to know: what calls do.
 *
 *   RULE;RULE;...   where RULE is one of
 *   NAME@WHEN=CODE         the call fails without being carried out
 *   sticky:NAME@WHEN=CODE  the same, and every later call of the process fails with CODE
 *   slow:NAME=TIME         every call takes that much longer (ns, us, ms, s)
 *   hide:NAME              cuGetProcAddress does not find it
 *   extra:NAME             cuGetProcAddress finds a function that no header knows
 *
 * NAME is a symbol (cuMemAlloc_v2) or a base name, which means all of its versions. WHEN is
 * a number (3: the third call), a number and a plus (3+: from the third call on) or *
 * (always). CODE is a number or a name (CUDA_ERROR_OUT_OF_MEMORY). Each rule counts the
 * calls that it matches, from 1.
 */
#include "driver/client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/resolve.h"

enum fault { FAIL, STICKY, SLOW, HIDE, EXTRA };

struct rule {
	enum fault fault;
	char name[96];
	uint64_t first, last; /* calls it strikes, inclusive */
	CUresult code;
	uint64_t delay_ns;
	_Atomic uint64_t calls;
	struct rule *next;
};

static struct rule *rules, **rules_end = &rules;
/* Whether any rule is about calls of the function. */
static bool armed[SIM_FN_COUNT];

/* ---- the grammar ---- */

static bool parse_when(const char *text, struct rule *rule)
{
	char *end;

	if (strcmp(text, "*") == 0) {
		rule->first = 1;
		rule->last = UINT64_MAX;
		return true;
	}
	if (!isdigit((unsigned char)text[0]))
		return false;
	rule->first = strtoull(text, &end, 10);
	rule->last = *end == '+' ? UINT64_MAX : rule->first;
	end += *end == '+';
	return rule->first != 0 && *end == '\0';
}

static bool parse_code(const char *text, struct rule *rule)
{
	char *end;
	unsigned long number;

	for (int code = 1; code <= CUDA_ERROR_UNKNOWN; code++) {
		const char *name = sim_error_name((CUresult)code);

		if (name != NULL && strcmp(text, name) == 0) {
			rule->code = (CUresult)code;
			return true;
		}
	}
	number = strtoul(text, &end, 10);
	rule->code = (CUresult)number;
	return isdigit((unsigned char)text[0]) && *end == '\0' && number >= 1 &&
	       number <= 9999;
}

static bool parse_time(const char *text, struct rule *rule)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };
	char *end;
	double number = strtod(text, &end);

	if (!isdigit((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0) {
			rule->delay_ns = (uint64_t)(number * units[i].ns);
			return number * units[i].ns <= 3600e9;
		}
	return false;
}

/* Arms the functions that the rule means. False if there are none. */
static bool arm(const struct rule *rule)
{
	bool known = false;

	for (int fn = 0; fn < SIM_FN_COUNT; fn++) {
		if (!sim_name_matches(rule->name, strlen(rule->name), (enum sim_fn)fn))
			continue;
		known = true;
		if (rule->fault != HIDE)
			armed[fn] = true;
	}
	return known;
}

/* Returns what is wrong with the rule, or NULL. `text` is cut up. */
static const char *parse_rule(char *text, struct rule *rule)
{
	static const char *const kinds[] = { [STICKY] = "sticky:",
					     [SLOW] = "slow:",
					     [HIDE] = "hide:",
					     [EXTRA] = "extra:" };
	char *when, *value;

	rule->fault = FAIL;
	for (enum fault kind = STICKY; kind <= EXTRA; kind++)
		if (strncmp(text, kinds[kind], strlen(kinds[kind])) == 0) {
			rule->fault = kind;
			text += strlen(kinds[kind]);
			break;
		}
	value = strchr(text, '=');
	if (value != NULL)
		*value++ = '\0';
	when = strchr(text, '@');
	if (when != NULL)
		*when++ = '\0';
	if (text[0] == '\0' || strlen(text) >= sizeof(rule->name))
		return "names no function";
	memcpy(rule->name, text, strlen(text) + 1);
	if (rule->fault == HIDE || rule->fault == EXTRA) {
		if (when != NULL || value != NULL)
			return "takes a name and nothing else";
	} else if (rule->fault == SLOW) {
		if (when != NULL || value == NULL || !parse_time(value, rule))
			return "needs a time, as in slow:cuMemAlloc=5ms";
	} else {
		if (when == NULL || !parse_when(when, rule))
			return "needs @N, @N+ or @* after the name, as in cuMemAlloc@3=2";
		if (value == NULL || !parse_code(value, rule))
			return "needs a CUresult, as in cuMemAlloc@3=2";
	}
	if (rule->fault != EXTRA && !arm(rule))
		return "names a function that the driver does not have";
	return NULL;
}

bool sim_faults_parse(const char *text, char *why, size_t why_bytes)
{
	while (*text != '\0') {
		size_t length = strcspn(text, ";");
		struct rule *rule = calloc(1, sizeof(*rule));
		char *copy = strndup(text, length);
		const char *wrong = rule == NULL || copy == NULL ? "out of memory" : NULL;

		if (length != 0 && wrong == NULL)
			wrong = parse_rule(copy, rule);
		free(copy);
		if (wrong != NULL || length == 0)
			free(rule);
		if (wrong != NULL) {
			snprintf(why, why_bytes, "\"%.*s\" %s", (int)length, text, wrong);
			return false;
		}
		if (length != 0) {
			*rules_end = rule;
			rules_end = &rule->next;
		}
		text += length + (text[length] == ';');
	}
	return true;
}

/* ---- when they strike ---- */

bool sim_fault_any(void)
{
	return sim_settings() && rules != NULL;
}

static void delay(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u) };

	while (nanosleep(&left, &left) != 0)
		;
}

/* Counts a call for the rule; whether it strikes this one. */
static bool strikes(struct rule *rule)
{
	uint64_t nth = atomic_fetch_add_explicit(&rule->calls, 1, memory_order_relaxed) +
		       1;

	return nth >= rule->first && nth <= rule->last;
}

CUresult sim_fault_call(enum sim_fn fn)
{
	CUresult res = CUDA_SUCCESS;

	if (!sim_settings() || !armed[fn])
		return CUDA_SUCCESS;
	for (struct rule *rule = rules; rule != NULL; rule = rule->next) {
		if (rule->fault == HIDE || rule->fault == EXTRA ||
		    !sim_name_matches(rule->name, strlen(rule->name), fn))
			continue;
		if (rule->fault == SLOW) {
			delay(rule->delay_ns);
		} else if (strikes(rule) && res == CUDA_SUCCESS) {
			res = rule->code;
			if (rule->fault == STICKY)
				sim_client_stick(res);
		}
	}
	return res;
}

/* ---- for resolve.c ---- */

int sim_fault_hidden(const char *symbol)
{
	if (!sim_fault_any())
		return 0;
	for (const struct rule *rule = rules; rule != NULL; rule = rule->next) {
		if (rule->fault != HIDE)
			continue;
		for (int fn = 0; fn < SIM_FN_COUNT; fn++)
			if (strcmp(sim_fn_name((enum sim_fn)fn), symbol) == 0 &&
			    sim_name_matches(rule->name, strlen(rule->name),
					     (enum sim_fn)fn))
				return 1;
	}
	return 0;
}

/* What "extra:" leads to: a function that succeeds whatever it is given. */
static CUresult simgpu_extra(void)
{
	return CUDA_SUCCESS;
}

void *sim_fault_extra(const char *base)
{
	if (!sim_fault_any())
		return NULL;
	for (const struct rule *rule = rules; rule != NULL; rule = rule->next)
		if (rule->fault == EXTRA && strcmp(rule->name, base) == 0)
			return (void *)(uintptr_t)simgpu_extra;
	return NULL;
}
