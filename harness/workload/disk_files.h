/*
 * The files of a trace's disk, as they are before its first operation.
 *
 * They are made in memory, for any storage, and can be written to a directory. disk_contents.h says what they contain:
 *
 *   disk.add-cow   the disk's metadata file
 *   disk.raw       its image
 *   base.raw       its backing file, or the lowest one of a chain
 *   base1.add-cow, base1.raw, base2.add-cow, ...
 *                  the disks of a chain from top to bottom: base1 is the backing file of disk
 */
#ifndef HARNESS_DISK_FILES_H
#define HARNESS_DISK_FILES_H

#include "addcow_format.h"
#include "workload/trace.h"

#define DISK_METADATA "disk.add-cow"
#define DISK_IMAGE "disk.raw"
#define DISK_BASE "base.raw"
#define DISK_CHAIN_TOP "base1.add-cow"
#define DISK_CHAIN_TOP_IMAGE "base1.raw"
#define DISK_MAX (3 + 2 * TRACE_CHAIN_MAX)

struct disk_file {
    char name[24];
    uint8_t *bytes; /* owned */
    uint64_t length;
};

struct disk_files {
    unsigned count;
    struct disk_file list[DISK_MAX]; /* the metadata file and the image first */
};

/* The header of the disk itself before the first operation. Its names are DISK_IMAGE and the backing file's. */
struct addcow_header disk_files_header(const struct trace_disk *disk);

/* Encodes a header from disk_files_header, perhaps with changed compatible features, into header->header_size bytes.
 */
void disk_files_encode_header(const struct trace_disk *disk, const struct addcow_header *header, uint8_t *bytes);

/* The bytes of header of DISK_CHAIN_TOP. */
uint32_t disk_files_chain_header(const struct trace_disk *disk);

/* Makes all files of a disk without problem (trace.h). The caller calls disk_files_free. */
void disk_files_make(const struct trace_disk *disk, struct disk_files *files);
void disk_files_free(struct disk_files *files);

/* Writes the files into a directory, in place of files of these names. Blocks of zeros become holes. */
void disk_files_store(const struct disk_files *files, const char *directory);

/* Reads a whole file. False, with errno, if it cannot be read. The caller frees *bytes. */
bool disk_files_load(const char *directory, const char *name, uint8_t **bytes, uint64_t *length);

#endif
