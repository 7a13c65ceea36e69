/*
 * Cells in pages that are found by the address: one for each eight bytes, as long as these are used together, else one
 * for each byte. What is of an earlier execution counts as empty.
 */
#include "weak/plain.h"

#include "base/random.h"
#include "base/report.h"

#include <string.h>

#define WORD 8u
#define PAGE_WORDS 512u
#define PAGES 4096u

struct cell {
    bool freed;
    uint16_t last[WEAK_USES][WEAK_THREADS]; /* the number of the thread's event, or 0 */
};

struct word {
    uint32_t generation;
    bool split; /* the bytes differ */
    struct cell whole;
    struct cell bytes[WORD];
};

struct page {
    uintptr_t number;
    struct word *words;
};

static struct page pages[PAGES];
static struct page *recent = &pages[0];
static uint32_t generation = 1;

void weak_plain_clear(void)
{
    generation++;
}

static struct word *words_of(uintptr_t number)
{
    if (recent->number == number && recent->words != NULL) {
        return recent->words;
    }
    uint32_t slot = (uint32_t)random_hash(number) % PAGES;
    for (uint32_t tries = 0; tries < PAGES; tries++, slot = (slot + 1) % PAGES) {
        struct page *page = &pages[slot];
        if (page->words == NULL) {
            page->number = number;
            page->words = report_allocate(PAGE_WORDS, sizeof *page->words);
        }
        if (page->number == number) {
            recent = page;
            return page->words;
        }
    }
    report_fatal("weak memory: more than %u pages of memory are used", PAGES);
}

static struct word *word_of(uintptr_t address)
{
    uintptr_t number = address / WORD;
    struct word *word = &words_of(number / PAGE_WORDS)[number % PAGE_WORDS];
    if (word->generation != generation) {
        memset(&word->whole, 0, sizeof word->whole);
        word->split = false;
        word->generation = generation;
    }
    return word;
}

/* The cell of a byte; a word that is used in part is split. */
static struct cell *cell_of(uintptr_t address)
{
    struct word *word = word_of(address);
    if (!word->split) {
        for (unsigned i = 0; i < WORD; i++) {
            word->bytes[i] = word->whole;
        }
        word->split = true;
    }
    return &word->bytes[address % WORD];
}

/* The cell of the next bytes of a range. *bytes is how many it stands for. */
static struct cell *next_cell(uintptr_t address, size_t left, size_t *bytes)
{
    if (address % WORD == 0 && left >= WORD) {
        struct word *word = word_of(address);
        if (!word->split) {
            *bytes = WORD;
            return &word->whole;
        }
    }
    *bytes = 1;
    return cell_of(address);
}

/* Whether an access of each kind conflicts with one of another thread. */
static const bool conflicts[WEAK_USES][WEAK_USES] = {
    [WEAK_PLAIN_READ] = {[WEAK_PLAIN_WRITE] = true, [WEAK_ATOMIC_WRITE] = true},
    [WEAK_PLAIN_WRITE] = {true, true, true, true},
    [WEAK_ATOMIC_READ] = {[WEAK_PLAIN_WRITE] = true},
    [WEAK_ATOMIC_WRITE] = {[WEAK_PLAIN_READ] = true, [WEAK_PLAIN_WRITE] = true},
};

static bool is_ordered(const struct cell *cell, const struct weak_clock *clock, enum weak_use use,
                       struct weak_conflict *conflict)
{
    for (unsigned other = 0; other < WEAK_USES; other++) {
        if (!conflicts[use][other]) {
            continue;
        }
        for (unsigned t = 0; t < WEAK_THREADS; t++) {
            if (cell->last[other][t] > clock->at[t]) {
                conflict->thread = t;
                conflict->use = (enum weak_use)other;
                return false;
            }
        }
    }
    return true;
}

bool weak_plain_use(unsigned thread, const struct weak_clock *clock, const void *address, size_t size,
                    enum weak_use use, struct weak_conflict *conflict)
{
    for (size_t done = 0, bytes; done < size; done += bytes) {
        struct cell *cell = next_cell((uintptr_t)address + done, size - done, &bytes);
        *conflict = (struct weak_conflict){.freed = cell->freed, .address = (const char *)address + done};
        if (!is_ordered(cell, clock, use, conflict) || cell->freed) {
            return false;
        }
        cell->last[use][thread] = clock->at[thread];
    }
    return true;
}

void weak_plain_forbid(const void *address, size_t size)
{
    for (size_t done = 0, bytes; done < size; done += bytes) {
        next_cell((uintptr_t)address + done, size - done, &bytes)->freed = true;
    }
}
