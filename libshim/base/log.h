/*
 * log.h - the few lines a guest may write on standard error: one write(2) each, "gpushim: "
 * before and a newline after. Keeps errno. Never blocks a program whose pipe is full for
 * more than the write itself.
 */
#ifndef GSH_BASE_LOG_H
#define GSH_BASE_LOG_H

void gsh_log(const char *sentence);

#endif
