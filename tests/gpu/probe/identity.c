/*
 * identity.c - section "identity": is what cuGetProcAddress gives the exported symbol?
 *
 * Knows: the list of symbols with base name, version and stream variant (symbols.def).
 * Refuses to call any of them.
 */
#include "probe.h"

#include <dlfcn.h>
#include <string.h>

struct symbol {
	const char *name, *base;
	int version;
	bool per_thread;
};

#define VARIANT_plain false
#define VARIANT_ptds true
#define VARIANT_ptsz true
#define SYM(symbol, base, version, variant) \
	{ #symbol, #base, version, VARIANT_##variant },
static const struct symbol symbols[] = {
#include "symbols.def"
};
enum { SYMBOLS = sizeof symbols / sizeof *symbols };

typedef CUresult (*resolver)(const char *, void **, int, cuuint64_t,
			     CUdriverProcAddressQueryResult *);

/* Names, a few of them, into one line of evidence. */
struct names {
	char text[900];
	size_t length, n;
};

static void names_add(struct names *names, const char *name)
{
	size_t room = strlen(name) + 2;

	names->n++;
	if (names->length + room >= sizeof names->text)
		return;
	memcpy(names->text + names->length, name, room - 2);
	names->length += room - 2;
	names->text[names->length++] = ' ';
	names->text[names->length] = '\0';
}

static const char *name_of(void *address)
{
	Dl_info info;

	return dladdr(address, &info) != 0 && info.dli_sname != NULL ? info.dli_sname
								     : "?";
}

/* The highest plain version of a base that the driver exports, by the list. */
static const struct symbol *newest(const char *base)
{
	const struct symbol *best = NULL;

	for (size_t i = 0; i < SYMBOLS; i++)
		if (!symbols[i].per_thread && strcmp(symbols[i].base, base) == 0 &&
		    (best == NULL || symbols[i].version > best->version) &&
		    dlsym(cu.handle, symbols[i].name) != NULL)
			best = &symbols[i];
	return best;
}

static void suffixed(resolver resolve)
{
	static const char *const asked[] = { "cuMemAlloc_v2", "cuLaunchKernel_ptsz",
					     "cuMemcpyHtoD_v2_ptds", "cuNoSuchFunction",
					     "" };

	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		CUdriverProcAddressQueryResult status = 99;
		void *at = NULL;
		CUresult code = resolve(asked[i], &at, 13000, 0, &status);

		note_text(asked[i][0] != '\0' ? asked[i] : "empty", "%s, status %d%s",
			  code_text(code), (int)status,
			  at == NULL			     ? ", no address"
			  : at == dlsym(cu.handle, asked[i]) ? ", the exported one"
							     : ", another address");
	}
	fact_text("identity.suffixed",
		  "cuGetProcAddress of names with a suffix, of none and of the empty one",
		  "see evidence");
}

void section_identity(void)
{
	struct names missing = { 0 }, unresolved = { 0 }, different = { 0 };
	size_t same = 0, latest_same = 0, latest = 0;
	const char *why;
	resolver resolve;
	int version;

	if (!driver_load(&why))
		stop("%s", why);
	*(void **)&resolve = dlsym(cu.handle, "cuGetProcAddress_v2");
	if (resolve == NULL)
		stop("the driver has no cuGetProcAddress_v2 (older than CUDA 12)");
	MUST(cu.cuInit(0));
	MUST(cu.cuDriverGetVersion(&version));
	for (size_t i = 0; i < SYMBOLS; i++) {
		const struct symbol *symbol = &symbols[i];
		void *exported = dlsym(cu.handle, symbol->name), *at = NULL;
		CUresult code;

		if (exported == NULL) {
			names_add(&missing, symbol->name);
			continue;
		}
		code = resolve(symbol->base, &at, symbol->version,
			       symbol->per_thread
				       ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
				       : CU_GET_PROC_ADDRESS_LEGACY_STREAM,
			       NULL);
		if (code != CUDA_SUCCESS || at == NULL) {
			names_add(&unresolved, symbol->name);
		} else if (at == exported) {
			same++;
		} else {
			names_add(&different, symbol->name);
			if (different.n <= 8)
				note_text(symbol->name,
					  "is exported, the resolver gives %s",
					  name_of(at));
		}
	}
	note("symbols", SYMBOLS);
	note("same_address", (double)same);
	note("not_exported", (double)missing.n);
	note("not_resolved", (double)unresolved.n);
	note("different", (double)different.n);
	note_text("not_exported_names", "%s", missing.text);
	note_text("not_resolved_names", "%s", unresolved.text);
	note_text("different_names", "%s", different.text);
	fact_yes("identity.holds",
		 "cuGetProcAddress at each symbol's version gives the exported address",
		 different.n == 0 && same > 0);
	fact_number("identity.exported", "Symbols of the list that the driver exports",
		    (double)(SYMBOLS - missing.n), "symbols");
	fact_number("identity.unresolved",
		    "Exported symbols that the resolver does not find",
		    (double)unresolved.n, "symbols");
	for (size_t i = 0; i < SYMBOLS; i++) {
		const struct symbol *best;
		void *at = NULL;

		if (i > 0 && strcmp(symbols[i].base, symbols[i - 1].base) == 0)
			continue;
		best = newest(symbols[i].base);
		if (best == NULL ||
		    resolve(symbols[i].base, &at, version, 0, NULL) != CUDA_SUCCESS)
			continue;
		latest++;
		if (at == dlsym(cu.handle, best->name))
			latest_same++;
		else
			note_text(symbols[i].base, "list: %s, resolver: %s", best->name,
				  name_of(at));
	}
	note("bases", (double)latest);
	fact_number(
		"identity.latest",
		"Bases that resolve at the driver's version to something the list lacks",
		(double)(latest - latest_same), "bases");
	suffixed(resolve);
}
