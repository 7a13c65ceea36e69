/*
 * The oracle: what the disk of a trace must be, kept by the reference engine in memory.
 *
 * It starts with the disk of disk_files.h, does the operations, and is compared with the files that an implementation
 * left. Not thread-safe.
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
    uint64_t unsure_end;      /* the backing contents from the size of the disk up to here are not known */
};

/* Makes the disk at the start of a trace; it can grow to `capacity`. The caller calls oracle_free. */
void oracle_make(const struct trace_disk *disk, uint64_t capacity, struct oracle *oracle);
void oracle_free(struct oracle *oracle);

/* Makes *to the same as *from. The caller calls oracle_free for it too. */
void oracle_copy(const struct oracle *from, struct oracle *to);

/* Does a request (adapters/reference.h). The disk must be changed only by this and the functions below. */
enum addcow_status oracle_perform(struct oracle *oracle, struct operation_request *request);

/* The same for a write and for a resize. */
enum addcow_status oracle_write(struct oracle *oracle, uint64_t offset, uint64_t length, const uint8_t *data);
enum addcow_status oracle_resize(struct oracle *oracle, uint64_t new_size);

/*
 * Does a commit that is known to have succeeded. Clusters for which it would be refused (CMT-02) must have been written
 * later than the caller has it: they stay allocated.
 */
void oracle_commit_surely(struct oracle *oracle);

/*
 * Sets the bit of a cluster without changing virt, where the spec leaves it open. Returns false if that is not possible
 * because clearing it would change virt.
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
 * Takes the backing contents over from `directory` after a failed commit. The disk then had at most `size` bytes. What
 * was written to an add-cow disk below may be in its files only after a flush. So from the end of the next commits up
 * to `size` the contents are not known from now on. False, with a message, if they cannot be read.
 */
bool oracle_fail_commit(struct oracle *oracle, uint64_t size, const char *directory, FILE *out);

/*
 * Reads the backing contents in `directory` into buffer[0, backing_size). False, with a message, if that fails.
 */
bool oracle_load_backing(const struct oracle *oracle, const char *directory, uint8_t *buffer, FILE *out);

/*
 * Compares got[0, backing_size) with the expected backing contents, where these are known. Prints the first difference.
 */
bool oracle_judge_backing(const struct oracle *oracle, const uint8_t *got, FILE *out);

#endif
