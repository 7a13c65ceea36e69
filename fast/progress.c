/*
 * Progress of stream and commit, which may run for hours: the caller sees how far they are and can stop them.
 */
#include "addcow_disk.h"

#include <errno.h>
#include <inttypes.h>

enum addcow_status addcow_disk_report_progress(const struct addcow *disk, addcow_progress *progress, void *context,
                                               uint64_t done, uint64_t total, struct addcow_error *error)
{
    if (!progress || progress(context, done, total)) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_IO, ECANCELED, "", "%s: at %" PRIu64 ": stopped", disk->file.path, done);
}
