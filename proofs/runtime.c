/*
 * The implementation of proofs/runtime.h: frames, copies of memory, counters, and the report of a broken clause.
 *
 * At exit the counters are appended to the file that ADDCOW_CONTRACTS names, one line for each clause that was checked.
 * So the runs of several programs add up.
 */
#include "runtime.h"

#include "addcow_ref.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#error "validity of memory is asked of the address sanitizer: compile with -fsanitize=address"
#endif

#define RTC_EVERY 512
#define RTC_LARGE (1u << 20)
#define NOTES 8
#define TABLES 16

struct note {
    const char *name;
    rtc_integer value;
};

struct table {
    struct rtc_clause *clauses;
    size_t count;
};

_Thread_local struct rtc_frame *rtc_top;
uint64_t rtc_smallest_cluster = 4096;
uint64_t rtc_ample = 1u << 20;

static _Thread_local struct note notes[NOTES];
static _Thread_local size_t note_count;
static _Thread_local const struct rtc_clause *current; /* the one that is being checked */

static struct table tables[TABLES];
static size_t table_count;
static atomic_uint_fast64_t operations, unchecked;

/* ---- Counters ---- */

static void write_counters(void)
{
    const char *name = getenv("ADDCOW_CONTRACTS");
    FILE *file = name != NULL ? fopen(name, "a") : NULL;
    if (file == NULL) {
        return;
    }
    fprintf(file, "operations %" PRIuFAST64 " unchecked %" PRIuFAST64 "\n", operations, unchecked);
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct rtc_clause *clause = &tables[t].clauses[i];
            if (clause->checked > 0) {
                fprintf(file, "%" PRIu64 " %" PRIu64 " %s %s\n", clause->checked, clause->hit, clause->function,
                        clause->name);
            }
        }
    }
    fclose(file);
}

void rtc_register(struct rtc_clause *clauses, size_t count)
{
    if (table_count == 0) {
        atexit(write_counters);
    }
    if (table_count == TABLES) {
        fputs("contracts: more checked files than TABLES\n", stderr);
        abort();
    }
    tables[table_count++] = (struct table){clauses, count};
}

void rtc_count(struct rtc_clause *clause, int hit)
{
    __atomic_fetch_add(&clause->checked, 1, __ATOMIC_RELAXED);
    if (hit) {
        __atomic_fetch_add(&clause->hit, 1, __ATOMIC_RELAXED);
    }
}

/* ---- Copies of memory ---- */

static void *obtain(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        fputs("contracts: no memory\n", stderr);
        abort();
    }
    return memory;
}

static struct rtc_state *copy_of(const struct rtc_state *blocks)
{
    struct rtc_state *state = obtain(sizeof *state);
    *state = *blocks;
    for (size_t i = 0; i < state->count; i++) {
        state->blocks[i].copy = obtain(state->blocks[i].bytes);
        memcpy(state->blocks[i].copy, state->blocks[i].begin, state->blocks[i].bytes);
    }
    return state;
}

static void drop(struct rtc_state *state)
{
    if (state == NULL) {
        return;
    }
    for (size_t i = 0; i < state->count; i++) {
        free(state->blocks[i].copy);
    }
    free(state);
}

/* An address within the copy stays as it is: an array whose address was read at the label lies there. */
const void *rtc_find(const struct rtc_state *state, const void *place)
{
    const char *p = place;
    for (size_t i = 0; i < state->count; i++) {
        const struct rtc_block *block = &state->blocks[i];
        if (p >= block->begin && p < block->begin + block->bytes) {
            return block->copy + (p - block->begin);
        }
        if (p >= block->copy && p < block->copy + block->bytes) {
            return p;
        }
    }
    fprintf(
        stderr,
        "contracts: broken: %s %s\n  %s\n  reads memory at a label that the preconditions do not call valid\n  %s\n",
        current->function, current->name, current->place, current->text);
    abort();
}

/* Notes valid memory. If one of two blocks contains the other, the larger is kept. */
static void note_block(struct rtc_frame *frame, struct rtc_region region)
{
    struct rtc_state *known = &frame->blocks;
    size_t bytes = (size_t)region.bytes;
    for (size_t i = 0; i < known->count; i++) {
        struct rtc_block *block = &known->blocks[i];
        if (region.begin >= block->begin && region.begin + bytes <= block->begin + block->bytes) {
            return;
        }
        if (region.begin <= block->begin && region.begin + bytes >= block->begin + block->bytes) {
            frame->bytes += bytes - block->bytes;
            *block = (struct rtc_block){region.begin, bytes, NULL};
            return;
        }
    }
    if (known->count == RTC_BLOCKS) {
        fputs("contracts: too many blocks of memory in one contract\n", stderr);
        abort();
    }
    known->blocks[known->count++] = (struct rtc_block){region.begin, bytes, NULL};
    frame->bytes += bytes;
}

/* ---- Frames ---- */

/* Whether to make checks that look at about as many bytes as those before them. */
static int affordable(struct rtc_site *site)
{
    uint64_t passed;
    if (__atomic_load_n(&site->spent, __ATOMIC_RELAXED) < rtc_ample) {
        return 1;
    }
    passed = __atomic_fetch_add(&site->passed, 1, __ATOMIC_RELAXED);
    return passed % (RTC_EVERY + __atomic_load_n(&site->bytes, __ATOMIC_RELAXED)) == 0;
}

static void pay(struct rtc_site *site, uint64_t bytes)
{
    __atomic_fetch_add(&site->spent, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&site->bytes, bytes, __ATOMIC_RELAXED);
}

int rtc_enter(struct rtc_frame *frame, struct rtc_site *site, int outermost)
{
    if (outermost && rtc_top == NULL) {
        operations++;
    }
    if (affordable(site)) {
        memset(frame, 0, sizeof *frame);
        frame->site = site;
        frame->active = frame->collecting = 1;
    } else {
        frame->copy = NULL;
        frame->label_count = 0;
        frame->active = frame->collecting = 0;
        unchecked++;
    }
    frame->caller = rtc_top;
    rtc_top = frame;
    return frame->active;
}

void rtc_keep(struct rtc_frame *frame)
{
    frame->collecting = 0;
    if (!frame->active) {
        unchecked++; /* its memory is too large */
        return;
    }
    frame->copy = copy_of(&frame->blocks);
    pay(frame->site, frame->bytes + 64);
}

void rtc_leave(struct rtc_frame *frame)
{
    drop(frame->copy);
    for (size_t i = 0; i < frame->label_count; i++) {
        drop(frame->labels[i]);
    }
    rtc_top = frame->caller;
}

const struct rtc_state *rtc_label(struct rtc_frame *frame)
{
    if (!frame->active) {
        return NULL;
    }
    if (frame->label_count == RTC_LABELS) {
        fputs("contracts: too many labels in one call\n", stderr);
        abort();
    }
    return frame->labels[frame->label_count++] = copy_of(&frame->blocks);
}

int rtc_due(const struct rtc_frame *frame, struct rtc_site *site)
{
    if (!frame->active || !affordable(site)) {
        return 0;
    }
    pay(site, frame->bytes + 64);
    return 1;
}

/* ---- Regions ---- */

struct rtc_region rtc_region(const void *begin, size_t size, rtc_integer low, rtc_integer high)
{
    rtc_integer bytes = high < low ? 0 : (high - low + 1) * (rtc_integer)size;
    return (struct rtc_region){(const char *)begin + (ptrdiff_t)(low * (rtc_integer)size), bytes};
}

int rtc_valid(struct rtc_region region)
{
    if (region.bytes <= 0) {
        return 1;
    }
    if (region.bytes > RTC_LARGE) {
        if (rtc_top != NULL && rtc_top->collecting) {
            rtc_top->active = 0;
        }
        return 1;
    }
    if (region.begin == NULL ||
        __asan_region_is_poisoned((void *)(uintptr_t)region.begin, (size_t)region.bytes) != NULL) {
        rtc_note("bytes that are not valid", region.bytes);
        return 0;
    }
    if (rtc_top != NULL && rtc_top->collecting) {
        note_block(rtc_top, region);
    }
    return 1;
}

int rtc_separated(struct rtc_region a, struct rtc_region b)
{
    return a.bytes <= 0 || b.bytes <= 0 || (uintptr_t)a.begin + a.bytes <= (uintptr_t)b.begin ||
           (uintptr_t)b.begin + b.bytes <= (uintptr_t)a.begin;
}

rtc_integer rtc_within(rtc_integer low, rtc_integer high)
{
    return high - low > (rtc_integer)8 * RTC_LARGE ? low : high;
}

static int in_regions(const char *p, const struct rtc_region *regions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (regions[i].bytes > 0 && p >= regions[i].begin && p - regions[i].begin < regions[i].bytes) {
            return 1;
        }
    }
    return 0;
}

int rtc_only(const struct rtc_frame *frame, const struct rtc_region *regions, size_t count)
{
    for (size_t b = 0; b < frame->copy->count; b++) {
        const struct rtc_block *block = &frame->copy->blocks[b];
        if (memcmp(block->begin, block->copy, block->bytes) == 0) {
            continue;
        }
        for (size_t i = 0; i < block->bytes; i++) {
            if (block->begin[i] != block->copy[i] && !in_regions(block->begin + i, regions, count)) {
                rtc_note("block", (rtc_integer)b);
                rtc_note("byte of it that changed", (rtc_integer)i);
                return 0;
            }
        }
    }
    return 1;
}

/* ---- Reports ---- */

void rtc_begin(const struct rtc_clause *clause)
{
    current = clause;
    note_count = 0;
}

void rtc_note(const char *name, rtc_integer value)
{
    if (note_count < NOTES) {
        notes[note_count++] = (struct note){name, value};
    }
}

void rtc_show(const char *name, rtc_integer value)
{
    rtc_integer rest = value < 0 ? -value : value;
    char digits[48];
    size_t place = sizeof digits;
    digits[--place] = '\0';
    do {
        digits[--place] = (char)('0' + (int)(rest % 10));
    } while ((rest /= 10) > 0);
    fprintf(stderr, "  %s = %s%s\n", name, value < 0 ? "-" : "", digits + place);
}

void rtc_show_pointer(const char *name, const void *pointer)
{
    fprintf(stderr, "  %s %s null\n", name, pointer == NULL ? "is" : "is not");
}

void rtc_show_disk(const char *name, const struct addcow_ref *disk)
{
    fprintf(stderr,
            "  %s: size %" PRIu64 ", capacity %" PRIu64 ", backing %" PRIu64 ", cluster %" PRIu64 ", flag %" PRIu32
            "\n",
            name, disk->size, disk->capacity, disk->backing_size, disk->cluster_size, disk->all_allocated);
}

void rtc_show_header(const char *name, const struct addcow_header *header)
{
    fprintf(stderr,
            "  %s: layout %" PRIu32 ", cluster bits %" PRIu32 ", header %" PRIu32 ", backing %" PRIu32 "+%" PRIu32
            ", image %" PRIu32 "+%" PRIu32 "\n",
            name, header->layout, header->cluster_bits, header->header_size, header->backing_offset,
            header->backing_size, header->image_offset, header->image_size);
}

void rtc_headline(void)
{
    fprintf(stderr, "contracts: broken: %s %s\n  %s\n  %s\n", current->function, current->name, current->place,
            current->text);
}

void rtc_broken(void)
{
    for (size_t i = 0; i < note_count; i++) {
        rtc_show(notes[i].name, notes[i].value);
    }
    abort();
}
