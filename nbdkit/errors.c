/*
 * Failures of the library, as a message in the log of the server and as an errno that clients know.
 *
 * nbdkit passes on few errnos of the protocol, and makes EINVAL of all others. So a failing storage is EIO, whatever it
 * said: its own errno is in the message.
 */
#include "plugin.h"

#include <errno.h>
#include <string.h>

static int errno_of(const struct addcow_error *error)
{
    switch (error->code) {
    case ADDCOW_NOSPACE:
        return ENOSPC;
    case ADDCOW_READONLY:
        return EROFS;
    case ADDCOW_RANGE:
    case ADDCOW_MALFORMED:
        return EINVAL;
    case ADDCOW_UNSUPPORTED:
        return ENOTSUP;
    case ADDCOW_UNLINKABLE:
        return ENOENT;
    case ADDCOW_BUSY:
        return EBUSY;
    default:
        return error->errnum == ENOMEM ? ENOMEM : EIO;
    }
}

void make_harmless(char *text)
{
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

int report(const struct addcow_error *error)
{
    /* Names of files may come from a header that a stranger wrote. */
    struct addcow_error harmless = *error;
    make_harmless(harmless.message);
    nbdkit_error("%s (%s%s%s)", harmless.message, addcow_status_name(error->code), error->clause[0] ? ", " : "",
                 error->clause);
    nbdkit_set_error(errno_of(error));
    return -1;
}
