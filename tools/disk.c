/*
 * Opening and closing the disk that a command works on, with the messages for failures.
 */
#include "command.h"

#include <stddef.h>

bool direct;

int open_disk(const char *path, enum addcow_open_flags flags, struct addcow **disk)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    /* A disk that is written must not be stopped at any moment, least of all in its last sync. */
    struct addcow_storage *storage = flags & ADDCOW_OPEN_READWRITE ? locking_storage() : stoppable_storage();
    if (addcow_open(path, direct ? flags | ADDCOW_OPEN_DIRECT : flags, storage, disk, &error) != ADDCOW_OK) {
        *disk = NULL;
        return complain_error(&error);
    }
    return EXIT_OK;
}

int close_disk(struct addcow *disk, int code)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_close(disk, &error) != ADDCOW_OK && code == EXIT_OK) {
        return complain_error(&error);
    }
    return code;
}
