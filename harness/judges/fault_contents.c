/*
 * The possible contents of each fragment, as a set of bits.
 */
#include "judges/fault_contents.h"

#include "workload/stamp.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR 512u

static void cut_at(struct fault_contents *contents, uint64_t offset)
{
    for (uint32_t i = 0; i < contents->count; i++) {
        struct fault_fragment *fragment = &contents->fragments[i];
        if (fragment->begin < offset && offset < fragment->end) {
            assert(contents->count < FAULT_FRAGMENTS_MAX);
            contents->fragments[contents->count] = *fragment;
            contents->fragments[contents->count++].begin = offset;
            fragment->end = offset;
            return;
        }
    }
}

void fault_contents_begin(struct fault_contents *contents)
{
    uint64_t capacity = trace_capacity(contents->trace);
    contents->count = 0;
    for (uint64_t begin = 0; begin < capacity || begin == 0; begin += SECTOR) {
        uint64_t end = capacity - begin < SECTOR ? capacity : begin + SECTOR;
        assert(contents->count < FAULT_FRAGMENTS_MAX);
        contents->fragments[contents->count++] = (struct fault_fragment){.begin = begin, .end = end};
    }
    cut_at(contents, contents->start_size);
    for (uint32_t i = 0; i < contents->trace->count; i++) {
        cut_at(contents, contents->trace->operations[i].offset);
        cut_at(contents, contents->trace->operations[i].offset + contents->trace->operations[i].length);
    }
    for (uint32_t i = 0; i < contents->count; i++) {
        contents->fragments[i].possible = contents->fragments[i].since = (uint64_t)1 << FAULT_START;
    }
    contents->size = contents->start_size;
}

void fault_contents_change(struct fault_contents *contents, uint64_t begin, uint64_t end, uint32_t content,
                           bool success)
{
    uint64_t bit = (uint64_t)1 << content;
    for (uint32_t i = 0; i < contents->count; i++) {
        struct fault_fragment *fragment = &contents->fragments[i];
        if (begin <= fragment->begin && fragment->end <= end) {
            fragment->possible = success ? bit : fragment->possible | bit;
            fragment->since |= bit;
        }
    }
}

void fault_contents_resize(struct fault_contents *contents, uint64_t size)
{
    fault_contents_change(contents, contents->size, UINT64_MAX, FAULT_ZERO, true);
    contents->size = size;
}

void fault_contents_operation(struct fault_contents *contents, uint32_t index, bool success)
{
    const struct trace_operation *operation = &contents->trace->operations[index];
    if (operation_changes_range(operation->kind)) {
        fault_contents_change(contents, operation->offset, operation->offset + operation->length,
                              operation->kind == OPERATION_WRITE ? index : FAULT_ZERO, success);
    } else if (operation->kind == OPERATION_RESIZE && success) {
        fault_contents_resize(contents, operation->offset);
    }
}

void fault_contents_flush(struct fault_contents *contents)
{
    for (uint32_t i = 0; i < contents->count; i++) {
        contents->fragments[i].since = contents->fragments[i].possible;
    }
}

void fault_contents_lose(struct fault_contents *contents)
{
    for (uint32_t i = 0; i < contents->count; i++) {
        contents->fragments[i].possible = contents->fragments[i].since;
    }
}

static bool is_possible(const struct fault_contents *contents, const struct fault_fragment *fragment,
                        const uint8_t *got)
{
    uint8_t expected[SECTOR];
    size_t length = (size_t)(fragment->end - fragment->begin);
    for (uint32_t content = 0; content <= FAULT_AFTER; content++) {
        if ((fragment->possible >> content & 1) == 0) {
            continue;
        }
        memset(expected, 0, length);
        if (content == FAULT_START) {
            memcpy(expected, contents->start + fragment->begin, length);
        } else if (content != FAULT_ZERO) {
            stamp_fill((struct stamp){STAMP_WRITE, content}, fragment->begin, expected, length);
        }
        if (memcmp(expected, got, length) == 0) {
            return true;
        }
    }
    return false;
}

bool fault_contents_judge(const struct fault_contents *contents, const uint8_t *bytes, const char *when,
                          const char *clause, FILE *out)
{
    for (uint32_t i = 0; i < contents->count; i++) {
        const struct fault_fragment *fragment = &contents->fragments[i];
        if (fragment->end <= contents->size && !is_possible(contents, fragment, bytes + fragment->begin)) {
            fprintf(out, "%s: bytes [%" PRIu64 ", %" PRIu64 ") of the disk are neither old nor new (%s)\n", when,
                    fragment->begin, fragment->end, clause);
            stamp_print_writers(out, fragment->begin, bytes + fragment->begin,
                                (size_t)(fragment->end - fragment->begin));
            return false;
        }
    }
    return true;
}
