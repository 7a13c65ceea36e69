/*
 * Each part grows upwards. A block begins with its size.
 */
#include "weak/heap.h"

#include "base/report.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PARTS (WEAK_OUTSIDE + 1u)
#define PART_BYTES ((size_t)4 << 20)

struct block {
    alignas(64) size_t size; /* every block begins a cache line: none shares one with another block */
    bool freed;
};

static struct {
    alignas(64) uint8_t bytes[PARTS][PART_BYTES];
    uint8_t kept[PART_BYTES];
    size_t used[PARTS];
    size_t kept_used;
} heap;

void weak_heap_clear(void)
{
    memset(heap.used, 0, sizeof heap.used);
    heap.kept_used = 0;
}

void weak_heap_keep(void)
{
    heap.kept_used = heap.used[WEAK_OUTSIDE];
    memcpy(heap.kept, heap.bytes[WEAK_OUTSIDE], heap.kept_used);
}

void weak_heap_restore(void)
{
    memset(heap.used, 0, sizeof heap.used);
    heap.used[WEAK_OUTSIDE] = heap.kept_used;
    memcpy(heap.bytes[WEAK_OUTSIDE], heap.kept, heap.kept_used);
}

static size_t needed_for(size_t size)
{
    return sizeof(struct block) + (size + sizeof(struct block) - 1) / sizeof(struct block) * sizeof(struct block);
}

void *weak_heap_allocate(unsigned part, size_t size)
{
    if (size > PART_BYTES - sizeof(struct block)) {
        return NULL;
    }
    size_t needed =
        sizeof(struct block) + (size + sizeof(struct block) - 1) / sizeof(struct block) * sizeof(struct block);
    if (needed > PART_BYTES - heap.used[part]) {
        report_fatal("weak memory: one execution allocates too much");
    }
    struct block *block = (struct block *)(void *)(heap.bytes[part] + heap.used[part]);
    heap.used[part] += needed;
    *block = (struct block){.size = size};
    memset(block + 1, 0xa5, size);
    return block + 1;
}

static struct block *block_of(const void *memory)
{
    struct block *block = (struct block *)memory - 1;
    if ((const uint8_t *)block < heap.bytes[0] || (const uint8_t *)memory > heap.bytes[PARTS - 1] + PART_BYTES ||
        block->freed) {
        report_fatal("weak memory: what is freed is not allocated");
    }
    return block;
}

size_t weak_heap_size(const void *memory)
{
    return block_of(memory)->size;
}

void weak_heap_free(void *memory)
{
    struct block *block = block_of(memory);
    const uint8_t *begin = heap.bytes[WEAK_OUTSIDE];
    const uint8_t *end = begin + heap.used[WEAK_OUTSIDE];
    block->freed = true;
    /* What is used while the program is prepared need not be kept. */
    if (heap.kept_used == 0 && (const uint8_t *)block >= begin &&
        (const uint8_t *)block + needed_for(block->size) == end) {
        heap.used[WEAK_OUTSIDE] = (size_t)((const uint8_t *)block - begin);
    }
}
