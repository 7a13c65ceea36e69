/*
 * Stamps: bytes that identify their writer and their offset.
 *
 * Every byte that a workload writes, and every byte that a disk's files hold at the start, is a function of its writer
 * and of its offset on the disk. So the expected value of each byte is known, and each aligned group of eight bytes
 * identifies its writer and offset: the origin of a lost, misplaced, torn or exposed sector is visible.
 *
 * All functions are pure and safe from any thread.
 */
#ifndef HARNESS_STAMP_H
#define HARNESS_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Who wrote a byte. */
enum stamp_source {
    STAMP_ZERO = 0, /* nobody: the byte is zero */
    STAMP_WRITE,    /* the operation `number` of a workload */
    STAMP_IMAGE,    /* the image file, before the workload: the content of allocated clusters, garbage in others */
    STAMP_BACKING,  /* the backing file's contents, as the disk above it sees them */
    STAMP_HIDDEN,   /* a file of a chain, at a place that must never be read */
    STAMP_SOURCES
};

#define STAMP_NUMBER_MAX 0x1FFFFFu      /* greatest number of a stamp */
#define STAMP_OFFSET_MAX 0x7FFFFFFFFFFu /* greatest offset of a byte: 8 TiB - 1 */

struct stamp {
    enum stamp_source source;
    uint32_t number; /* an operation's index, or a file's seed; at most STAMP_NUMBER_MAX */
};

/* Fills buffer[0, length) with the bytes that `stamp` has at [offset, offset + length) of the disk. */
void stamp_fill(struct stamp stamp, uint64_t offset, void *buffer, size_t length);

/* Whether buffer[0, length) is what stamp_fill would put there. */
bool stamp_matches(struct stamp stamp, uint64_t offset, const void *buffer, size_t length);

/*
 * Names the writer of the eight bytes `word`: fills *stamp and *offset, the place (a multiple of 8) that they were
 * written for. Returns false if no stamp makes these bytes. Eight zeros are STAMP_ZERO, with *offset 0.
 */
bool stamp_identify(const uint8_t word[8], struct stamp *stamp, uint64_t *offset);

/* Prints a stamp in words, such as "operation 7" or "the backing file". */
void stamp_print(FILE *out, struct stamp stamp);

/*
 * Prints the writers of buffer[0, length), found at `offset`: one line for each run of bytes of one writer, with its
 * offsets and, if the bytes belong elsewhere, that place. Bytes outside complete aligned groups of eight are skipped.
 */
void stamp_print_writers(FILE *out, uint64_t offset, const uint8_t *buffer, size_t length);

#endif
