/*
 * loader.h - the C library's own dlsym, dlvsym and dlopen, behind those that we export.
 *
 * Found by reading ELF tables: asking for them by dlsym would find whoever replaced it. The
 * exported ones are in dlsym_<architecture>.S; they jump, so that the C library sees the
 * program's own call. Any thread.
 */
#ifndef GSH_LOADER_H
#define GSH_LOADER_H

/* As dlopen(3) and dlsym(3), called as the library's own. dlopen keeps RTLD_DEEPBIND. NULL
 * also where the C library's cannot be found. */
void *gsh_dlopen(const char *path, int flags);
void *gsh_dlsym(void *handle, const char *name);

#endif
