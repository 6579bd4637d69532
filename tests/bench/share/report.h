/*
 * report.h - what was judged, as JSON for programs and as Markdown for README.md.
 *
 * Knows: where the books of a cell lie ($BUILD/bench/share/CELL.REPEAT.csv).
 */
#ifndef SHARE_REPORT_H
#define SHARE_REPORT_H

#include "cells.h"

enum { REPEATS_MAX = 9 };

/* Where the books of a cell lie; makes the directory. repeat counts from 1. Valid until
 * the next call. */
const char *report_books_path(const struct scenario *scenario, enum load_kind kind,
			      unsigned repeat);

/*
 * Judges all books there are, writes $BUILD/bench/share.json and prints the tables.
 * Returns the program's exit status.
 */
int report(void);

#endif
