/*
 * Scratch directories: made for one run, and removed with their content.
 */
#ifndef HARNESS_SCRATCH_H
#define HARNESS_SCRATCH_H

#include <stdbool.h>

#define SCRATCH_PATH_BYTES 4096u

/* The parent directory for scratch directories: TMPDIR if it is set, else in memory if possible, else /tmp. */
const char *scratch_fast_parent(void);

/* The same without memory: TMPDIR, else /tmp. For files that may become large. */
const char *scratch_large_parent(void);

/*
 * Makes a new directory PARENT/NAME.?????? and stores its path. On failure returns false and sets errno; `path` then
 * holds the path that was tried.
 */
bool scratch_make(const char *parent, const char *name, char path[SCRATCH_PATH_BYTES]);

/* Removes a directory and its content, as far as possible. Follows no symbolic link. */
void scratch_remove(const char *path);

#endif
