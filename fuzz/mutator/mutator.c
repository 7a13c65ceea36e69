/*
 * The custom mutator: knows the sections of an input (fuzz.h), what a trace is, and where the fields of a header stand.
 *
 * Plain byte mutations seldom give another sensible workload; these insert, delete, move and splice whole operations,
 * and nudge offsets and lengths to where implementations go wrong: the edges of clusters, of the disk and of the
 * backing file, and one byte or sector beside them. The same code serves libFuzzer, which calls LLVMFuzzerCustomMutator
 * and LLVMFuzzerCustomCrossOver, and AFL++ (mutator_afl.c).
 */
#include "mutator/mutator.h"

#include "addcow_header.h"
#include "base/random.h"

#include <string.h>

#define SECTOR 512u
#define SMALL_MAX 65535u

/* ---- Bytes ---- */

struct buffer {
    uint8_t bytes[SMALL_MAX];
    size_t count;
};

static void load_part(const struct fuzz_part *part, struct buffer *buffer)
{
    buffer->count = part->count < sizeof buffer->bytes ? part->count : sizeof buffer->bytes;
    if (buffer->count > 0) {
        memcpy(buffer->bytes, part->bytes, buffer->count);
    }
}

static void insert_byte(struct random *random, struct buffer *buffer)
{
    if (buffer->count == sizeof buffer->bytes) {
        return;
    }
    size_t at = (size_t)random_below(random, buffer->count + 1);
    memmove(buffer->bytes + at + 1, buffer->bytes + at, buffer->count - at);
    buffer->bytes[at] = (uint8_t)random_next(random);
    buffer->count++;
}

static void delete_bytes(struct random *random, struct buffer *buffer)
{
    size_t at = (size_t)random_below(random, buffer->count);
    size_t gone = (size_t)random_between(random, 1, 1 + (buffer->count - at - 1) / 2);
    memmove(buffer->bytes + at, buffer->bytes + at + gone, buffer->count - at - gone);
    buffer->count -= gone;
}

static void copy_bytes(struct random *random, struct buffer *buffer)
{
    size_t from = (size_t)random_below(random, buffer->count);
    size_t to = (size_t)random_below(random, buffer->count);
    size_t room = buffer->count - (from > to ? from : to);
    memmove(buffer->bytes + to, buffer->bytes + from, (size_t)random_between(random, 1, room));
}

static void mutate_bytes(struct random *random, struct buffer *buffer)
{
    if (buffer->count == 0) {
        insert_byte(random, buffer);
        return;
    }
    size_t at = (size_t)random_below(random, buffer->count);
    switch (random_below(random, 6)) {
    case 0:
        buffer->bytes[at] = (uint8_t)(buffer->bytes[at] ^ 1u << random_below(random, 8));
        break;
    case 1:
        buffer->bytes[at] = (uint8_t)random_next(random);
        break;
    case 2:
        buffer->bytes[at] = (uint8_t)(buffer->bytes[at] + (random_once_in(random, 2) ? 1 : 255));
        break;
    case 3:
        insert_byte(random, buffer);
        break;
    case 4:
        delete_bytes(random, buffer);
        break;
    default:
        copy_bytes(random, buffer);
    }
}

/* ---- The fields of a header; the section begins with the file's length (untrusted.h) ---- */

#define LENGTH_BYTES 3u

static void store32(uint8_t *bytes, uint64_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i & 0xFF);
    }
}

static uint64_t edge_of_header(struct random *random)
{
    static const uint32_t edges[] = {0,    1,    9,    12,   16,    20,       21,          22,          76,         77,
                                     1024, 1036, 2060, 4096, 65536, 2u << 20, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu};
    uint64_t edge = edges[random_below(random, sizeof edges / sizeof edges[0])];
    return edge + random_below(random, 3) - 1;
}

static void mutate_file(struct random *random, struct buffer *buffer)
{
    static const uint8_t fields[] = {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 60, 64};
    size_t at = LENGTH_BYTES + fields[random_below(random, sizeof fields)];
    if (random_once_in(random, 3) || at + 4 > buffer->count) {
        mutate_bytes(random, buffer);
    } else if (random_once_in(random, 2)) {
        store32(buffer->bytes + at, edge_of_header(random));
    } else {
        uint32_t value = 0;
        memcpy(&value, buffer->bytes + at, sizeof value);
        store32(buffer->bytes + at, value + random_below(random, 5) - 2);
    }
}

/* ---- Traces ---- */

/* A place where something begins or ends, or one beside it. */
static uint64_t edge_of_disk(struct random *random, const struct trace_disk *disk)
{
    static const int beside[] = {0, 0, 0, 1, -1, (int)SECTOR, -(int)SECTOR};
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    uint64_t clusters = disk->size / cluster + 2;
    uint64_t places[] = {random_below(random, clusters) * cluster, disk->size, disk->backing_size,
                         disk->backing_size / cluster * cluster, random_below(random, disk->size + 1)};
    uint64_t edge = places[random_below(random, sizeof places / sizeof places[0])];
    edge += (uint64_t)(int64_t)beside[random_below(random, sizeof beside / sizeof beside[0])];
    return edge <= TRACE_SIZE_MAX ? edge : 0;
}

static void place_operation(struct random *random, const struct trace *trace, struct trace_operation *operation)
{
    if (operation_has_offset(operation->kind)) {
        operation->offset = edge_of_disk(random, &trace->disk);
    }
    if (operation_has_range(operation->kind)) {
        uint64_t end = edge_of_disk(random, &trace->disk);
        operation->length = end >= operation->offset ? end - operation->offset : operation->offset - end;
    }
}

static struct trace_operation make_operation(struct random *random, const struct trace *trace)
{
    static const uint8_t kinds[] = {OPERATION_READ,  OPERATION_WRITE,   OPERATION_WRITE,  OPERATION_WRITE,
                                    OPERATION_ZERO,  OPERATION_DISCARD, OPERATION_MAP,    OPERATION_FLUSH,
                                    OPERATION_FLUSH, OPERATION_RESIZE,  OPERATION_STREAM, OPERATION_COMMIT,
                                    TRACE_REOPEN,    TRACE_BARRIER};
    struct trace_operation made = {.kind = kinds[random_below(random, sizeof kinds)]};
    if (made.kind != TRACE_BARRIER) {
        made.thread = (uint32_t)random_below(random, trace->threads);
    }
    place_operation(random, trace, &made);
    return made;
}

static void insert_operation(struct random *random, struct trace *trace, const struct trace_operation *operation)
{
    if (trace->count == TRACE_OPERATIONS_MAX) {
        return;
    }
    uint32_t at = (uint32_t)random_below(random, trace->count + 1);
    memmove(trace->operations + at + 1, trace->operations + at, (trace->count - at) * sizeof *operation);
    trace->operations[at] = *operation;
    trace->count++;
}

static void mutate_disk(struct random *random, struct trace *trace)
{
    struct trace_disk *disk = &trace->disk;
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    switch (random_below(random, 7)) {
    case 0:
        disk->size = random_between(random, 0, 9) * cluster + random_below(random, 3) * SECTOR;
        break;
    case 1:
        disk->has_backing = true;
        disk->backing_size = edge_of_disk(random, disk);
        break;
    case 2:
        disk->allocation = (uint32_t)random_below(random, TRACE_ALLOCATIONS);
        break;
    case 3:
        disk->chain = disk->has_backing ? (uint32_t)random_below(random, TRACE_CHAIN_MAX + 1) : 0;
        break;
    case 4:
        disk->seed = (uint32_t)random_below(random, TRACE_SEED_MAX + 1);
        break;
    case 5:
        disk->unknown_compatible = !disk->unknown_compatible;
        break;
    default:
        trace->threads = (uint32_t)random_between(random, 1, 4);
        for (uint32_t i = 0; i < trace->count; i++) {
            trace->operations[i].thread %= trace->threads;
        }
    }
}

static void mutate_operations(struct random *random, struct trace *trace)
{
    struct trace_operation made = make_operation(random, trace);
    if (trace->count == 0 || random_once_in(random, 4)) {
        insert_operation(random, trace, &made);
        return;
    }
    struct trace_operation *chosen = &trace->operations[random_below(random, trace->count)];
    struct trace_operation copy = *chosen;
    size_t behind = (size_t)(trace->operations + trace->count - chosen - 1);
    switch (random_below(random, 6)) {
    case 0:
        memmove(chosen, chosen + 1, behind * sizeof *chosen);
        trace->count--;
        break;
    case 1:
        insert_operation(random, trace, &copy);
        break;
    case 2: /* moved */
        memmove(chosen, chosen + 1, behind * sizeof *chosen);
        trace->count--;
        insert_operation(random, trace, &copy);
        break;
    case 3:
        *chosen = made;
        break;
    case 4:
        chosen->thread = chosen->kind == TRACE_BARRIER ? 0 : (uint32_t)random_below(random, trace->threads);
        break;
    default:
        place_operation(random, trace, chosen);
    }
}

static void mutate_trace(struct random *random, struct buffer *buffer)
{
    static struct trace trace;
    static struct buffer encoded;
    if (!trace_decode(buffer->bytes, buffer->count, &trace)) {
        memset(buffer->bytes, 0, TRACE_HEADER_BYTES);
        buffer->count = TRACE_HEADER_BYTES;
        return;
    }
    if (random_once_in(random, 8)) {
        mutate_disk(random, &trace);
    } else {
        mutate_operations(random, &trace);
    }
    if (trace_problem(&trace) == NULL) { /* else a rule of layout r9 */
        encoded.count = trace_encode(&trace, encoded.bytes);
        memcpy(buffer->bytes, encoded.bytes, encoded.count);
        buffer->count = encoded.count;
    }
}

/* ---- Inputs ---- */

static unsigned choose_section(struct random *random, const struct fuzz_input *input)
{
    static const uint8_t weighted[] = {FUZZ_TRACE, FUZZ_TRACE, FUZZ_TRACE, FUZZ_CHOICES, FUZZ_CHOICES, FUZZ_FILE};
    for (unsigned i = 0; i < 8; i++) {
        unsigned section = weighted[random_below(random, sizeof weighted)];
        if (input->parts[section].count > 0) {
            return section;
        }
    }
    return FUZZ_TRACE;
}

size_t mutator_mutate(const uint8_t *data, size_t size, uint8_t *out, size_t max_size, uint64_t seed)
{
    static struct buffer buffer;
    struct random random = {random_hash(seed)};
    struct fuzz_input input = fuzz_split(data, size);
    unsigned section = choose_section(&random, &input);
    load_part(&input.parts[section], &buffer);
    for (uint64_t i = random_between(&random, 1, 3); i > 0; i--) {
        if (section == FUZZ_TRACE) {
            mutate_trace(&random, &buffer);
        } else if (section == FUZZ_FILE) {
            mutate_file(&random, &buffer);
        } else {
            mutate_bytes(&random, &buffer);
        }
    }
    input.parts[section] = (struct fuzz_part){buffer.bytes, buffer.count};
    return fuzz_join(&input, out, max_size);
}

/* The first operations of one trace and the last ones of the other, on the disk of the first. */
static void splice_traces(struct random *random, const struct fuzz_part *second, struct buffer *buffer)
{
    if (buffer->count < TRACE_HEADER_BYTES || second->count < TRACE_HEADER_BYTES) {
        return;
    }
    size_t kept = (size_t)random_below(random, (buffer->count - TRACE_HEADER_BYTES) / TRACE_OPERATION_BYTES + 1);
    size_t left_out = (size_t)random_below(random, (second->count - TRACE_HEADER_BYTES) / TRACE_OPERATION_BYTES + 1);
    size_t at = TRACE_HEADER_BYTES + kept * TRACE_OPERATION_BYTES;
    size_t from = TRACE_HEADER_BYTES + left_out * TRACE_OPERATION_BYTES;
    size_t count = second->count - from;
    if (count > sizeof buffer->bytes - at) {
        count = sizeof buffer->bytes - at;
    }
    memcpy(buffer->bytes + at, second->bytes + from, count);
    buffer->count = at + count;
}

size_t mutator_cross(const struct fuzz_part *first, const struct fuzz_part *second, uint8_t *out, size_t max_size,
                     uint64_t seed)
{
    static struct buffer trace;
    struct random random = {random_hash(seed)};
    struct fuzz_input input = fuzz_split(first->bytes, first->count);
    struct fuzz_input other = fuzz_split(second->bytes, second->count);
    load_part(&input.parts[FUZZ_TRACE], &trace);
    splice_traces(&random, &other.parts[FUZZ_TRACE], &trace);
    input.parts[FUZZ_TRACE] = (struct fuzz_part){trace.bytes, trace.count};
    for (unsigned i = 0; i < FUZZ_SECTIONS; i++) {
        if (i != FUZZ_TRACE && random_once_in(&random, 2)) {
            input.parts[i] = other.parts[i];
        }
    }
    return fuzz_join(&input, out, max_size);
}
