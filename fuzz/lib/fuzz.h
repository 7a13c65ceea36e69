/*
 * What the fuzz targets share.
 *
 * A target is one LLVMFuzzerTestOneInput, which libFuzzer, AFL++ and the replay program (replay.c) call. It gives an
 * input to the harness and requires what the harness requires. If a property is violated, the reason is on standard
 * error and the process aborts.
 *
 * The input of a structured target has three sections, of which a target uses some:
 *
 *   u16 n, n bytes    choices: what a scheduler, a crash or a storage fault chooses
 *   u16 n, n bytes    the binary form of a trace (trace.h)
 *   the rest          bytes of a file
 *
 * Numbers are little-endian. A section that is longer than the rest ends with the input, so every byte string is an
 * input. A target that calls fuzz_split is structured: the build links the custom mutator to it, which mutates these
 * sections.
 */
#ifndef FUZZ_LIB_FUZZ_H
#define FUZZ_LIB_FUZZ_H

#include "workload/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fuzz_section { FUZZ_CHOICES, FUZZ_TRACE, FUZZ_FILE, FUZZ_SECTIONS };

struct fuzz_part {
    const uint8_t *bytes;
    size_t count;
};

struct fuzz_input {
    struct fuzz_part parts[FUZZ_SECTIONS]; /* point into the bytes that were split */
};

struct fuzz_input fuzz_split(const uint8_t *data, size_t size);

/*
 * The inverse: writes the parts to out[0, max_size), which they do not overlap, cut where they do not fit, and returns
 * the number of bytes. The first two have at most 65535 bytes.
 */
size_t fuzz_join(const struct fuzz_input *input, uint8_t *out, size_t max_size);

/* The largest workload that a target executes; traces are reduced to it. */
struct fuzz_bounds {
    uint32_t threads;
    uint32_t operations;
    uint32_t cluster_bits;
    uint64_t clusters; /* of the disk, the backing file, and what it is resized to */
    uint64_t bytes;    /* or this many, if that is more */
    bool reopen;
};

/* Decodes the trace of an input and reduces it to the bounds; false if there is none. *trace must be static. */
bool fuzz_trace(const struct fuzz_input *input, const struct fuzz_bounds *bounds, struct trace *trace);

/* Aborts unless `holds`: prints `text`, the property that is violated, and the trace that fuzz_trace gave last. */
void fuzz_require(bool holds, const char *text);

#endif
