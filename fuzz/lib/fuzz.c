/*
 * What the fuzz targets share: the sections of an input, and traces small enough for thousands of executions a second.
 */
#include "lib/fuzz.h"

#include "addcow_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_BYTES 2u
#define COUNT_MAX 0xFFFFu

static const struct trace *current; /* printed when a property is violated */

static struct fuzz_part take_part(const uint8_t **data, size_t *size)
{
    size_t count = 0;
    if (*size >= COUNT_BYTES) {
        count = (size_t)((*data)[0] | (*data)[1] << 8);
        *data += COUNT_BYTES;
        *size -= COUNT_BYTES;
    }
    struct fuzz_part part = {*data, count < *size ? count : *size};
    *data += part.count;
    *size -= part.count;
    return part;
}

struct fuzz_input fuzz_split(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    input.parts[FUZZ_CHOICES] = take_part(&data, &size);
    input.parts[FUZZ_TRACE] = take_part(&data, &size);
    input.parts[FUZZ_FILE] = (struct fuzz_part){data, size};
    return input;
}

size_t fuzz_join(const struct fuzz_input *input, uint8_t *out, size_t max_size)
{
    size_t at = 0;
    for (unsigned i = 0; i < FUZZ_SECTIONS; i++) {
        bool counted = i != FUZZ_FILE;
        size_t room = max_size - at;
        if (counted && room < COUNT_BYTES) {
            break;
        }
        room -= counted ? COUNT_BYTES : 0;
        size_t count = input->parts[i].count < room ? input->parts[i].count : room;
        if (counted) {
            count = count < COUNT_MAX ? count : COUNT_MAX;
            out[at++] = (uint8_t)(count & 0xFF);
            out[at++] = (uint8_t)(count >> 8);
        }
        if (count > 0) {
            memcpy(out + at, input->parts[i].bytes, count);
        }
        at += count;
    }
    return at;
}

static uint64_t bound_size(uint64_t size, uint64_t most)
{
    return size <= most ? size : size % (most + 1);
}

bool fuzz_trace(const struct fuzz_input *input, const struct fuzz_bounds *bounds, struct trace *trace)
{
    const struct fuzz_part *part = &input->parts[FUZZ_TRACE];
    size_t most = TRACE_HEADER_BYTES + (size_t)bounds->operations * TRACE_OPERATION_BYTES;
    if (part->count < TRACE_HEADER_BYTES) {
        return false;
    }
    /* The sizes are bounded before the operations are decoded, because those are meant within them. */
    uint8_t bytes[TRACE_BINARY_MAX];
    size_t count = part->count < most ? part->count : most;
    memcpy(bytes, part->bytes, count);
    trace_decode(bytes, TRACE_HEADER_BYTES, trace);
    struct trace_disk *disk = &trace->disk;
    if (disk->layout == ADDCOW_R20 && disk->cluster_bits > bounds->cluster_bits) {
        disk->cluster_bits = bounds->cluster_bits;
    }
    uint64_t largest = bounds->clusters << disk->cluster_bits;
    largest = largest > bounds->bytes ? largest : bounds->bytes;
    disk->size = bound_size(disk->size, largest);
    disk->backing_size = bound_size(disk->backing_size, largest);
    trace->threads = 1 + (trace->threads - 1) % bounds->threads;
    uint8_t header[TRACE_BINARY_MAX];
    trace_encode(trace, header);
    memcpy(bytes, header, TRACE_HEADER_BYTES);
    trace_decode(bytes, count, trace);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        struct trace_operation *operation = &trace->operations[i];
        if (operation->kind == OPERATION_RESIZE && operation->offset <= TRACE_SIZE_MAX) {
            operation->offset = bound_size(operation->offset, largest);
        }
        if (operation->kind != TRACE_REOPEN || bounds->reopen) {
            trace->operations[kept++] = *operation;
        }
    }
    trace->count = kept;
    current = trace;
    return true;
}

void fuzz_require(bool holds, const char *text)
{
    if (!holds) {
        fprintf(stderr, "fuzz: property violated: %s\n", text);
        if (current) {
            trace_print(stderr, current);
        }
        abort();
    }
}
