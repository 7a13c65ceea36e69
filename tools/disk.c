/*
 * Opening and closing the disk that a command works on, with the messages for failures.
 */
#include "command.h"

#include <stddef.h>

int open_disk(const char *path, enum addcow_open_flags flags, struct addcow **disk)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_open(path, flags, NULL, disk, &error) != ADDCOW_OK) {
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
