/*
 * A source of bytes to compare, to measure or to write: an add-cow disk, or a raw file. Failures are reported as
 * command.h says.
 */
#ifndef ADDCOW_SOURCE_H
#define ADDCOW_SOURCE_H

#include <stdint.h>

struct addcow;
struct addcow_file;

struct source {
    const char *path;
    struct addcow *disk;      /* or null */
    struct addcow_file *file; /* of a raw file, locked as a backing file is (LCK-05); or null */
    uint64_t size;            /* bytes */
};

/* `format` is "add-cow" or "raw"; null stands for "add-cow". On success the caller calls source_close. */
int source_open(struct source *source, const char *path, const char *format);

/* Returns `code`, or the exit code of a failure if that is EXIT_OK. */
int source_close(struct source *source, int code);

/* How many of `length` bytes from `offset` on are known to be zeros without reading them. The source has zeros past its
 * end. */
int source_zeros(const struct source *source, uint64_t offset, uint64_t length, uint64_t *zeros);

/* Where the data of a raw file ends that begins at `offset`; UINT64_MAX if that is not known. */
uint64_t source_data_end(const struct source *source, uint64_t offset);

/* Reads, with zeros past the end of the source. */
int source_read(const struct source *source, uint64_t offset, uint64_t length, uint8_t *buffer);

#endif
