/*
 * parse.h - sizes, shares, numbers and names as people write them.
 *
 * All functions read a whole NUL-terminated string: trailing text is an error, as are empty
 * strings, signs, and values that do not fit. Space is allowed only between a number and its
 * unit. Decimal point always '.', whatever the locale. 0, or -EINVAL, or -ERANGE; results are
 * untouched on errors.
 */
#ifndef GSH_BASE_PARSE_H
#define GSH_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

int gsh_parse_u64(const char *text, uint64_t *value);

/*
 * "8GiB", "1.5 GiB", "500 MB", "1024" (bytes), "1024B": B, KiB, MiB, GiB, TiB and decimal kB,
 * MB, GB, TB (K, M, G, T alone mean KiB ... TiB). A fraction must come out as whole bytes,
 * else it is rounded down. Zero is returned as 0: the caller decides.
 */
int gsh_parse_size(const char *text, uint64_t *bytes);

/* "25%", "12.5 %": millionths, finer digits are dropped; 0 < share <= 100 %. */
int gsh_parse_ppm(const char *text, uint32_t *ppm);

/* A share in percent without sign, "30" or "12.5": permille, finer dropped; 0 .. 100 %. */
int gsh_parse_permille(const char *text, uint32_t *permille);

/* A tenant's name: [a-z0-9][-._a-z0-9]{0,62}. */
bool gsh_parse_is_tenant(const char *name);

#endif
