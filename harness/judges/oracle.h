/*
 * The oracle: what the disk of a trace must be, kept by the reference engine in memory.
 *
 * It starts as files.h lays the disk out, is led through the operations, and is compared with the files that an
 * implementation left behind. Not thread-safe.
 */
#ifndef HARNESS_ORACLE_H
#define HARNESS_ORACLE_H

#include "addcow_ref.h"
#include "workload/trace.h"

#include <stdio.h>

struct oracle {
    struct trace_disk start;
    struct addcow_ref disk;   /* its arrays are the oracle's; the backing file is the whole chain's contents */
    uint8_t *touched;         /* a byte for each cluster: 1 once its image bytes may differ from those at the start */
    uint64_t metadata_length; /* of the metadata file, in bytes: the longest that was needed so far */
    uint64_t unsure_end;      /* what the backing file has from the size of the disk up to here is not known */
};

/* Makes the disk at the start of a trace; it can grow to `capacity`. The caller calls oracle_free. */
void oracle_make(const struct trace_disk *disk, uint64_t capacity, struct oracle *oracle);
void oracle_free(struct oracle *oracle);

/* Makes *to the same as *from. The caller calls oracle_free for it too. */
void oracle_copy(const struct oracle *from, struct oracle *to);

/* As the functions of addcow_ref.h. Changing a disk in any other way than through these is a mistake. */
enum addcow_status oracle_write(struct oracle *oracle, uint64_t offset, uint64_t length, const uint8_t *buffer);
enum addcow_status oracle_zero(struct oracle *oracle, uint64_t offset, uint64_t length);
enum addcow_status oracle_discard(struct oracle *oracle, uint64_t offset, uint64_t length);
enum addcow_status oracle_resize(struct oracle *oracle, uint64_t new_size);
void oracle_stream(struct oracle *oracle);
enum addcow_status oracle_commit(struct oracle *oracle);

/*
 * A commit that is known to have succeeded. Where it would be refused for clusters in its way (CMT-02), these must have
 * been written later than the caller has it: they stay allocated.
 */
void oracle_commit_surely(struct oracle *oracle);

/*
 * Makes the bit of a cluster `allocated` without changing virt, where the spec leaves it open which of the two it is.
 * Returns false if that is not possible: clearing it would change virt.
 */
bool oracle_set_status(struct oracle *oracle, uint64_t cluster, bool allocated);

/* Says that the image bytes of every cluster may differ from those at the start. */
void oracle_touch_all(struct oracle *oracle);

/* The status of a cluster of the disk. */
bool oracle_is_allocated(const struct oracle *oracle, uint64_t cluster);

/*
 * Compares the files in `directory`, after the disk was closed, with what they must be, byte for byte: header, bitmap,
 * length of each file, image bytes of allocated clusters and of those never touched, backing contents. Prints the first
 * difference of each kind; true if there is none.
 */
bool oracle_judge_files(const struct oracle *oracle, const char *directory, FILE *out);

/*
 * A commit has failed when the disk had at most `size` bytes: takes the backing contents over from `directory`. What
 * was written to an add-cow disk below may be in its files only after a flush; so from where the next commits end up to
 * `size` the contents are not known from now on. False, with a message, if they cannot be read.
 */
bool oracle_fail_commit(struct oracle *oracle, uint64_t size, const char *directory, FILE *out);

/*
 * Reads the backing contents as they are in `directory` now into buffer[0, backing_size). False, with a message, if
 * that fails.
 */
bool oracle_load_backing(const struct oracle *oracle, const char *directory, uint8_t *buffer, FILE *out);

/*
 * Compares got[0, backing_size), backing contents, with what they must be, as far as that is known. Prints the first
 * difference.
 */
bool oracle_judge_backing(const struct oracle *oracle, const uint8_t *got, FILE *out);

#endif
