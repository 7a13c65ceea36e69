/*
 * Scratch directories.
 */
#include "base/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 8 /* open at once in nftw */
#define ROUNDS_MAX 64 /* levels of directories that were made unreadable */

static const char *chosen_parent(void)
{
    const char *chosen = getenv("TMPDIR");
    return chosen != NULL && chosen[0] != '\0' ? chosen : NULL;
}

const char *scratch_large_parent(void)
{
    const char *chosen = chosen_parent();
    return chosen != NULL ? chosen : "/tmp";
}

const char *scratch_fast_parent(void)
{
    bool in_memory = chosen_parent() == NULL && access("/dev/shm", W_OK | X_OK) == 0;
    return in_memory ? "/dev/shm" : scratch_large_parent();
}

bool scratch_make(const char *parent, const char *name, char path[SCRATCH_PATH_BYTES])
{
    int length = snprintf(path, SCRATCH_PATH_BYTES, "%s/%s.XXXXXX", parent, name);
    if (length < 0 || length >= (int)SCRATCH_PATH_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    return mkdtemp(path) != NULL;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

/* Takes down what whoever used the directory may have put up: directories that cannot be read or written. */
static int open_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)place;
    return (kind == FTW_D || kind == FTW_DNR) && chmod(path, S_IRWXU) != 0 ? -1 : 0;
}

void scratch_remove(const char *path)
{
    struct stat status;
    nftw(path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    for (unsigned round = 0; round < ROUNDS_MAX && lstat(path, &status) == 0; round++) {
        /* A directory is walked only after it was opened, so each round comes at least one level deeper. */
        nftw(path, open_entry, DESCRIPTORS, FTW_PHYS);
        nftw(path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    }
}
