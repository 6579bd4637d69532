/*
 * report.h - what was judged, as JSON for programs and as Markdown for README.md.
 */
#ifndef SHARE_REPORT_H
#define SHARE_REPORT_H

/*
 * Judges all books there are, writes $BUILD/bench/share.json and prints the tables.
 * Returns the program's exit status.
 */
int report(void);

#endif
