/*
 * loader_entry.h - between dlsym_<architecture>.S and loader.c: what is asked before a jump,
 * and where to jump. Seen by nobody else.
 */
#ifndef GSH_LOADER_ENTRY_H
#define GSH_LOADER_ENTRY_H

#include <stdint.h>

/*
 * What to answer instead of the C library; NULL: jump to it. Finds gsh_real_* first; what is
 * still NULL after that cannot be found. The program's dlerror(3) afterwards is as if the
 * C library had answered.
 */
void *gsh_dlsym_pick(void *handle, const char *name);
void *gsh_dlvsym_pick(void *handle, const char *name, const char *version);
/* The flags to go on with. */
int gsh_dlopen_flags(const char *path, int flags);

/* Addresses of the C library's. Written by loader.c, read by the jumps. */
extern uintptr_t gsh_real_dlsym, gsh_real_dlvsym, gsh_real_dlopen;

/* The entries themselves, by names that nobody can take. */
void *gsh_entry_dlsym(void *handle, const char *name);
void *gsh_entry_dlvsym(void *handle, const char *name, const char *version);
void *gsh_entry_dlopen(const char *path, int flags);

#endif
