/*
 * Takes away the right of the superuser to open any file, for cases with files that may not be read or written.
 *
 * Only this right goes: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, of this process and of all that it starts. So the
 * implementation still finds its own program and files, which belong to the same user.
 */
#include "corpus/corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool drop(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (prctl(PR_CAPBSET_DROP, capability) != 0 || syscall(SYS_capget, &header, data) != 0) {
        return false;
    }
    data[0].effective &= ~(1u << capability);
    data[0].permitted &= ~(1u << capability);
    data[0].inheritable &= ~(1u << capability);
    return syscall(SYS_capset, &header, data) == 0;
}

/* Whether the system refuses what the mode of the file forbids. */
static bool is_refused(const struct corpus_file *file)
{
    int descriptor = open(file->path, (file->mode & 0444) != 0 ? O_WRONLY : O_RDONLY);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return descriptor < 0 && errno == EACCES;
}

bool corpus_drop_rights(const struct corpus_case *c, FILE *out)
{
    bool superuser = geteuid() == 0;
    for (size_t i = 0; i < c->file_count; i++) {
        if (!c->files[i].has_mode) {
            continue;
        }
        if (superuser && (!drop(CAP_DAC_OVERRIDE) || !drop(CAP_DAC_READ_SEARCH))) {
            fprintf(out, "this superuser opens every file, and cannot give up that right: %s\n", strerror(errno));
            return false;
        }
        superuser = false;
        if (!is_refused(&c->files[i])) {
            fprintf(out, "%s can be opened in spite of its mode\n", c->files[i].path);
            return false;
        }
    }
    return true;
}
