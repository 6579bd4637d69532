/*
 * tables.h - what was judged, as Markdown on standard output.
 */
#ifndef SHARE_TABLES_H
#define SHARE_TABLES_H

/* All tables of which anything was measured. After results_load(). */
void tables_print(void);

#endif
