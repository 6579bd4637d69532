/*
 * files.h - where the books of a cell lie, and whether they speak of this build.
 *
 * Knows: $BUILD/bench/share/CELL.REPEAT.csv, and with which files of the build a cell is
 * measured. Refuses to know: what is in the books.
 */
#ifndef SHARE_FILES_H
#define SHARE_FILES_H

#include <stdbool.h>

#include "cells.h"

enum { REPEATS_MAX = 9 };

/* The build directory: $BUILD, or "build". */
const char *files_build(void);

/* Where the books of a cell lie; makes the directory. repeat counts from 1. Valid until
 * the next call of anything here. */
const char *files_path(const struct scenario *scenario, enum load_kind kind,
		       unsigned repeat);

/* Whether they are there and were written after the library and the simulated driver that
 * lie in the build directory now. */
bool files_fresh(const struct scenario *scenario, enum load_kind kind, unsigned repeat);

/* Removes all repeats of a cell; or, stale_only, those that are not fresh. */
void files_forget(const struct scenario *scenario, enum load_kind kind, bool stale_only);

#endif
