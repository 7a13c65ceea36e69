/*
 * Scratch directories.
 */
#include "base/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCRIPTORS 8 /* open at once in nftw */

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

void scratch_remove(const char *path)
{
    nftw(path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}
