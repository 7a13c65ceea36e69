/*
 * Traces: validity, and the binary form.
 *
 * The binary form is designed for fuzzers: records of fixed size, so a changed byte changes one field; no checksum,
 * count or magic number; values out of range are reduced, not refused. Little-endian.
 *
 *   offset size  header
 *        0    1  bit 0: layout r9; bit 1: unknown compatible bits; bits 2-3: allocation; bit 4: a backing file
 *        1    1  cluster_bits: 12 + byte % 10
 *        2    1  threads: 1 + byte % TRACE_THREADS_MAX
 *        3    1  chain: byte % (TRACE_CHAIN_MAX + 1)
 *        4    2  seed
 *        6    2  not used
 *        8    4  size, modulo TRACE_SIZE_MAX + 1
 *       12    4  backing size, likewise
 *
 *   offset size  operation
 *        0    1  bits 0-3: kind; bits 4-5: interpretation of the offset; bits 6-7: interpretation of the length
 *        1    1  thread, modulo the threads
 *        2    4  offset
 *        6    4  length
 *
 * A number is within the disk (modulo the remaining length plus one), in whole sectors within the disk, literal, or
 * counted down from 2^64 - 1. So most byte strings give requests within the disk, and every valid trace can
 * be written.
 */
#include "workload/trace.h"

#include "addcow_format.h"

#include <string.h>

#define SECTOR 512u
#define KIND_SLOTS 16u

enum meaning { MEANS_WITHIN, MEANS_SECTORS, MEANS_ITSELF, MEANS_FROM_TOP };

/* What the four bits of a kind mean: the commoner kinds have more than one value. */
static const uint8_t kind_of_slot[KIND_SLOTS] = {
    OPERATION_READ,   OPERATION_WRITE,  OPERATION_ZERO,   OPERATION_DISCARD, OPERATION_MAP, OPERATION_FLUSH,
    OPERATION_RESIZE, OPERATION_STREAM, OPERATION_COMMIT, TRACE_REOPEN,      TRACE_BARRIER, OPERATION_READ,
    OPERATION_WRITE,  OPERATION_WRITE,  OPERATION_WRITE,  OPERATION_READ,
};

const char *trace_kind_name(uint32_t kind)
{
    return kind == TRACE_REOPEN ? "reopen" : kind == TRACE_BARRIER ? "barrier" : operation_properties(kind)->name;
}

static const char *disk_problem(const struct trace_disk *disk)
{
    if (disk->layout != ADDCOW_R20 && disk->layout != ADDCOW_R9) {
        return "the layout is neither r20 nor r9";
    }
    if (disk->cluster_bits < ADDCOW_CLUSTER_BITS_MIN || disk->cluster_bits > ADDCOW_CLUSTER_BITS_MAX) {
        return "cluster-bits is not in 12..21";
    }
    if (disk->size > TRACE_SIZE_MAX || disk->backing_size > TRACE_SIZE_MAX) {
        return "a size is above 64 MiB";
    }
    if (!disk->has_backing && (disk->backing_size != 0 || disk->chain != 0)) {
        return "a backing size or chain without a backing file";
    }
    if (disk->chain > TRACE_CHAIN_MAX) {
        return "the chain is longer than 3";
    }
    if (disk->allocation >= TRACE_ALLOCATIONS) {
        return "unknown allocation";
    }
    if (disk->seed > TRACE_SEED_MAX) {
        return "the seed is above 65535";
    }
    if (disk->layout == ADDCOW_R9 && (disk->cluster_bits != 16 || !disk->has_backing || disk->chain != 0 ||
                                      disk->allocation == TRACE_ALL_ALLOCATED || disk->unknown_compatible)) {
        return "layout r9 has 64 KiB clusters, a raw backing file and no compatible features";
    }
    return NULL;
}

static bool in_reach(uint64_t number)
{
    return number <= TRACE_NEAR_MAX || number >= TRACE_FAR_MIN;
}

static const char *operation_problem(const struct trace *trace, const struct trace_operation *operation)
{
    if (operation->kind >= TRACE_KINDS) {
        return "unknown kind of operation";
    }
    if (operation->thread >= trace->threads || (operation->kind == TRACE_BARRIER && operation->thread != 0)) {
        return "the thread is not among the threads";
    }
    if (!operation_has_offset(operation->kind) && operation->offset != 0) {
        return "an offset where the kind has none";
    }
    if (!operation_has_range(operation->kind) && operation->length != 0) {
        return "a length where the kind has none";
    }
    if (!in_reach(operation->offset) || !in_reach(operation->length)) {
        return "an offset or length above 2^32 - 1 and below 2^64 - 2^32";
    }
    if (operation->kind == OPERATION_RESIZE && operation->offset > TRACE_SIZE_MAX &&
        operation->offset < TRACE_FAR_MIN) {
        return "a new size above 64 MiB";
    }
    return NULL;
}

const char *trace_problem(const struct trace *trace)
{
    const char *problem = disk_problem(&trace->disk);
    if (problem != NULL) {
        return problem;
    }
    if (trace->threads < 1 || trace->threads > TRACE_THREADS_MAX) {
        return "the threads are not 1..16";
    }
    if (trace->count > TRACE_OPERATIONS_MAX) {
        return "more than 4096 operations";
    }
    for (uint32_t i = 0; i < trace->count && problem == NULL; i++) {
        problem = operation_problem(trace, &trace->operations[i]);
    }
    return problem;
}

void trace_add(struct trace *trace, uint32_t thread, uint32_t kind, uint64_t offset, uint64_t length)
{
    if (trace->count < TRACE_OPERATIONS_MAX) {
        trace->operations[trace->count++] =
            (struct trace_operation){.kind = kind, .thread = thread, .offset = offset, .length = length};
    }
}

static bool operation_equal(const struct trace_operation *left, const struct trace_operation *right)
{
    return left->kind == right->kind && left->thread == right->thread && left->offset == right->offset &&
           left->length == right->length;
}

bool trace_equal(const struct trace *left, const struct trace *right)
{
    const struct trace_disk *a = &left->disk;
    const struct trace_disk *b = &right->disk;
    if (a->layout != b->layout || a->cluster_bits != b->cluster_bits || a->size != b->size ||
        a->has_backing != b->has_backing || a->backing_size != b->backing_size || a->chain != b->chain ||
        a->allocation != b->allocation || a->unknown_compatible != b->unknown_compatible || a->seed != b->seed ||
        left->threads != right->threads || left->count != right->count) {
        return false;
    }
    for (uint32_t i = 0; i < left->count; i++) {
        if (!operation_equal(&left->operations[i], &right->operations[i])) {
            return false;
        }
    }
    return true;
}

uint32_t trace_phase_end(const struct trace *trace, uint32_t begin)
{
    uint32_t end = begin;
    while (end < trace->count && trace->operations[end].kind != TRACE_BARRIER) {
        end++;
    }
    return end;
}

bool trace_phase_is_concurrent(const struct trace *trace, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        if (trace->operations[i].thread != trace->operations[begin].thread) {
            return true;
        }
    }
    return false;
}

uint64_t trace_capacity(const struct trace *trace)
{
    uint64_t capacity = trace->disk.size;
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_operation *operation = &trace->operations[i];
        if (operation->kind == OPERATION_RESIZE && operation->offset <= TRACE_SIZE_MAX &&
            operation->offset > capacity) {
            capacity = operation->offset;
        }
    }
    return capacity;
}

/* ---- Binary form ---- */

static uint32_t load16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t load32(const uint8_t *bytes)
{
    return load16(bytes) | load16(bytes + 2) << 16;
}

static void store16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static void store32(uint8_t *bytes, uint64_t value)
{
    store16(bytes, (uint32_t)(value & 0xFFFF));
    store16(bytes + 2, (uint32_t)(value >> 16 & 0xFFFF));
}

/* The number that `raw` stands for; numbers within the disk are at most `left`. */
static uint64_t decode_number(unsigned meaning, uint32_t raw, uint64_t left)
{
    switch (meaning) {
    case MEANS_WITHIN:
        return raw % (left + 1);
    case MEANS_SECTORS:
        return raw % (left / SECTOR + 1) * SECTOR;
    case MEANS_ITSELF:
        return raw;
    default:
        return UINT64_MAX - raw;
    }
}

/* A meaning and raw value (*raw) that decode_number turns into `number`. */
static unsigned encode_number(uint64_t number, uint64_t left, uint64_t *raw)
{
    if (number >= TRACE_FAR_MIN) {
        *raw = UINT64_MAX - number;
        return MEANS_FROM_TOP;
    }
    *raw = number;
    return number <= left ? MEANS_WITHIN : MEANS_ITSELF;
}

/* The modulus of lengths: the part of the disk after `offset`, or the whole disk. */
static uint64_t left_behind(const struct trace_disk *disk, uint64_t offset)
{
    return offset <= disk->size ? disk->size - offset : disk->size;
}

static void decode_disk(const uint8_t *bytes, struct trace_disk *disk)
{
    bool r9 = (bytes[0] & 1) != 0;
    *disk = (struct trace_disk){
        .layout = r9 ? ADDCOW_R9 : ADDCOW_R20,
        .cluster_bits = r9 ? 16 : 12 + bytes[1] % 10u,
        .size = load32(bytes + 8) % (TRACE_SIZE_MAX + 1),
        .has_backing = r9 || (bytes[0] & 16) != 0,
        .allocation = bytes[0] >> 2 & 3,
        .unknown_compatible = !r9 && (bytes[0] & 2) != 0,
        .seed = load16(bytes + 4),
    };
    if (disk->has_backing) {
        disk->backing_size = load32(bytes + 12) % (TRACE_SIZE_MAX + 1);
        disk->chain = r9 ? 0 : bytes[3] % (TRACE_CHAIN_MAX + 1);
    }
    if (r9 && disk->allocation == TRACE_ALL_ALLOCATED) {
        disk->allocation = TRACE_EVERY_ALLOCATED;
    }
}

static void decode_operation(const uint8_t *bytes, struct trace *trace)
{
    uint32_t kind = kind_of_slot[bytes[0] % KIND_SLOTS];
    uint32_t thread = kind == TRACE_BARRIER ? 0 : bytes[1] % trace->threads;
    uint64_t offset = 0;
    uint64_t length = 0;
    if (operation_has_offset(kind)) {
        /* A resize is meant within twice the disk and something, so that small disks grow too. */
        uint64_t left = kind == OPERATION_RESIZE ? trace->disk.size * 2 + 65536 : trace->disk.size;
        offset = decode_number(bytes[0] >> 4 & 3, load32(bytes + 2), left);
        if (kind == OPERATION_RESIZE && offset > TRACE_SIZE_MAX && offset < TRACE_FAR_MIN) {
            offset %= TRACE_SIZE_MAX + 1;
        }
    }
    if (operation_has_range(kind)) {
        length = decode_number(bytes[0] >> 6 & 3, load32(bytes + 6), left_behind(&trace->disk, offset));
    }
    trace_add(trace, thread, kind, offset, length);
}

bool trace_decode(const uint8_t *bytes, size_t length, struct trace *trace)
{
    if (length < TRACE_HEADER_BYTES) {
        return false;
    }
    decode_disk(bytes, &trace->disk);
    trace->threads = 1 + bytes[2] % TRACE_THREADS_MAX;
    trace->count = 0;
    size_t at = TRACE_HEADER_BYTES;
    while (length - at >= TRACE_OPERATION_BYTES && trace->count < TRACE_OPERATIONS_MAX) {
        decode_operation(bytes + at, trace);
        at += TRACE_OPERATION_BYTES;
    }
    return true;
}

static unsigned slot_of_kind(uint32_t kind)
{
    unsigned slot = 0;
    while (kind_of_slot[slot] != kind) {
        slot++;
    }
    return slot;
}

static void encode_operation(const struct trace *trace, const struct trace_operation *operation, uint8_t *bytes)
{
    uint64_t offset;
    uint64_t length;
    /* A new size is literal: its bounds differ from those of an offset. */
    uint64_t left = operation->kind == OPERATION_RESIZE ? 0 : trace->disk.size;
    unsigned offset_meaning = encode_number(operation->offset, left, &offset);
    unsigned length_meaning = encode_number(operation->length, left_behind(&trace->disk, operation->offset), &length);
    bytes[0] = (uint8_t)(slot_of_kind(operation->kind) | offset_meaning << 4 | length_meaning << 6);
    bytes[1] = (uint8_t)operation->thread;
    store32(bytes + 2, offset);
    store32(bytes + 6, length);
}

size_t trace_encode(const struct trace *trace, uint8_t bytes[TRACE_BINARY_MAX])
{
    const struct trace_disk *disk = &trace->disk;
    memset(bytes, 0, TRACE_HEADER_BYTES);
    bytes[0] = (uint8_t)((disk->layout == ADDCOW_R9 ? 1u : 0u) | (disk->unknown_compatible ? 2u : 0u) |
                         disk->allocation << 2 | (disk->has_backing ? 16u : 0u));
    bytes[1] = (uint8_t)(disk->cluster_bits - 12);
    bytes[2] = (uint8_t)(trace->threads - 1);
    bytes[3] = (uint8_t)disk->chain;
    store16(bytes + 4, disk->seed);
    store32(bytes + 8, disk->size);
    store32(bytes + 12, disk->backing_size);
    for (uint32_t i = 0; i < trace->count; i++) {
        encode_operation(trace, &trace->operations[i], bytes + TRACE_HEADER_BYTES + i * TRACE_OPERATION_BYTES);
    }
    return TRACE_HEADER_BYTES + trace->count * TRACE_OPERATION_BYTES;
}
