/*
 * Where `read` puts its bytes: standard output, or what the option -o names. Failures are reported as command.h says.
 */
#ifndef ADDCOW_OUTPUT_H
#define ADDCOW_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addcow_file;

struct output {
    const char *name;
    int descriptor;           /* of standard output, a pipe or a terminal; -1: none */
    struct addcow_file *file; /* a regular file that was made, or a block device; or null */
    uint64_t position;        /* in `file`, bytes */
    bool made;                /* a regular file that this command has made: removed after a failure */
    bool sparse;              /* a regular file that holds nothing from the position on: zeros become holes */
    uint64_t end;             /* of a sparse standard output: the length that it has to have in the end */
};

/* Opens the output for `length` bytes; `path` null: standard output. Always followed by output_close. */
int output_open(struct output *out, const char *path, uint64_t length);

/* Writes bytes; in a sparse file, blocks of zeros are left as holes. */
int output_put(struct output *out, const uint8_t *bytes, size_t count);

/* Leaves a hole in a sparse output. */
int output_hole(struct output *out, uint64_t count);

/* Completes the output, syncs it and closes it; standard output is closed by main. Removes what a failed read made.
 * Returns `code`, or the exit code of a failure if that is EXIT_OK. */
int output_close(struct output *out, int code);

#endif
