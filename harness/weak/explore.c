/*
 * The path of choices of an execution, and the table of states.
 *
 * A choice is a number below a count. The next execution repeats the path up to its last choice that has another one
 * left, takes that, and goes on with first choices. The path of a failure is minimised by setting its choices to the
 * first one, from the end on, as long as it still fails.
 */
#include "weak/explore.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 65536u
#define STATES_LEAST 65536u
#define MINIMISING_MOST 4000u /* executions */

struct choice {
    uint32_t chosen;
    uint32_t count;
};

struct search {
    struct weak_strategy strategy;
    const struct weak_program *program;
    const struct weak_options_of_search *options;
    struct weak_found *found;
    struct choice path[DEPTH];
    uint32_t depth;   /* choices made in this execution */
    uint32_t planned; /* choices that are fixed */
    struct random random;
    struct {
        uint64_t state; /* 0: none */
        uint32_t preemptions;
    } *states;
    uint64_t room, count; /* of states */
    uint64_t began;
};

/* ---- Sets ---- */

static size_t place_in(const struct weak_set *set, uint64_t member)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->members[middle] < member) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool weak_set_has(const struct weak_set *set, uint64_t member)
{
    size_t at = place_in(set, member);
    return at < set->count && set->members[at] == member;
}

void weak_set_add(struct weak_set *set, uint64_t member)
{
    size_t at = place_in(set, member);
    if (at < set->count && set->members[at] == member) {
        return;
    }
    if (set->count == set->room) {
        set->room = set->room == 0 ? 64 : 2 * set->room;
        set->members = realloc(set->members, set->room * sizeof *set->members);
        if (set->members == NULL) {
            report_fatal("no memory for a set");
        }
    }
    memmove(set->members + at + 1, set->members + at, (set->count - at) * sizeof *set->members);
    set->members[at] = member;
    set->count++;
}

void weak_set_free(struct weak_set *set)
{
    free(set->members);
    *set = (struct weak_set){0};
}

/* ---- States ---- */

static void clear_states(struct search *search)
{
    if (search->states != NULL) {
        memset(search->states, 0, (size_t)search->room * sizeof *search->states);
    }
    search->count = 0;
}

static uint64_t slot_of(const struct search *search, uint64_t state)
{
    uint64_t slot = state & (search->room - 1);
    while (search->states[slot].state != 0 && search->states[slot].state != state) {
        slot = (slot + 1) & (search->room - 1);
    }
    return slot;
}

static void widen(struct search *search)
{
    struct search old = {.states = search->states, .room = search->room};
    search->room = old.room == 0 ? STATES_LEAST : 2 * old.room;
    search->states = report_allocate(search->room, sizeof *search->states);
    for (uint64_t i = 0; i < old.room; i++) {
        if (old.states[i].state != 0) {
            search->states[slot_of(search, old.states[i].state)] = old.states[i];
        }
    }
    free(old.states);
}

static bool is_known(struct weak_strategy *strategy, uint64_t state, unsigned preemptions)
{
    struct search *search = (struct search *)strategy;
    if (search->options->unreduced || search->options->random || search->depth < search->planned) {
        return false;
    }
    if (2 * search->count >= search->room) {
        widen(search);
    }
    state += state == 0;
    uint64_t slot = slot_of(search, state);
    if (search->states[slot].state == 0) {
        search->states[slot].state = state;
        search->states[slot].preemptions = preemptions;
        search->count++;
        return false;
    }
    if (search->states[slot].preemptions <= preemptions) {
        return true;
    }
    search->states[slot].preemptions = preemptions;
    return false;
}

/* ---- Choices ---- */

/* Mostly goes on with the thread, mostly reads the newest store; the rest is even. */
static unsigned choose_by_chance(struct search *search, unsigned count, bool of_thread)
{
    bool usual = !random_once_in(&search->random, of_thread ? 6 : 3);
    return usual ? 0 : (unsigned)random_below(&search->random, count);
}

static unsigned choose(struct weak_strategy *strategy, unsigned count, bool of_thread)
{
    struct search *search = (struct search *)strategy;
    if (search->depth == DEPTH) {
        report_fatal("weak memory: an execution has more than %u choices", DEPTH);
    }
    struct choice *choice = &search->path[search->depth];
    if (search->depth >= search->planned) {
        choice->count = count;
        choice->chosen = search->options->random ? choose_by_chance(search, count, of_thread) : 0;
    } else if (choice->count != count) {
        report_fatal("the program under weak memory is not deterministic");
    }
    search->depth++;
    return choice->chosen;
}

/* While minimising, choices are forced where the execution still has them. */
static unsigned choose_forced(struct weak_strategy *strategy, unsigned count, bool of_thread)
{
    struct search *search = (struct search *)strategy;
    (void)of_thread;
    struct choice *choice = &search->path[search->depth];
    if (search->depth >= search->planned || choice->chosen >= count) {
        choice->chosen = 0;
    }
    choice->count = count;
    search->depth++;
    return choice->chosen;
}

static bool never_known(struct weak_strategy *strategy, uint64_t state, unsigned preemptions)
{
    (void)strategy;
    (void)state;
    (void)preemptions;
    return false;
}

/* Plans the next execution; false if there is none. */
static bool advance(struct search *search)
{
    search->planned = search->options->random ? 0 : search->depth;
    if (search->options->random) {
        return true;
    }
    while (search->planned > 0 &&
           search->path[search->planned - 1].chosen + 1 >= search->path[search->planned - 1].count) {
        search->planned--;
    }
    if (search->planned == 0) {
        return false;
    }
    search->path[search->planned - 1].chosen++;
    return true;
}

/* ---- A failure ---- */

static bool still_fails(struct search *search, FILE *timeline, struct weak_run *run)
{
    search->depth = 0;
    weak_run(search->program, &search->strategy, timeline, run);
    return run->end == WEAK_FAILED;
}

static void minimise(struct search *search, FILE *timeline)
{
    static struct weak_run run;
    static struct choice best[DEPTH];
    search->strategy.choose = choose_forced;
    search->strategy.is_known = never_known;
    uint32_t length = search->depth, left = MINIMISING_MOST;
    memcpy(best, search->path, length * sizeof *best);
    for (uint32_t i = length; i-- > 0 && left > 0;) {
        if (best[i].chosen == 0) {
            continue;
        }
        memcpy(search->path, best, length * sizeof *best);
        search->path[i].chosen = 0;
        search->planned = length;
        left--;
        if (still_fails(search, NULL, &run)) {
            length = search->depth;
            memcpy(best, search->path, length * sizeof *best);
            i = i < length ? i : length;
        }
    }
    memcpy(search->path, best, length * sizeof *best);
    search->planned = length;
    if (!still_fails(search, timeline, &run)) {
        report_fatal("weak memory: a failure cannot be repeated: %s", search->found->message);
    }
    memcpy(search->found->message, run.message, sizeof run.message);
    fprintf(timeline, "it fails: %s\n", run.message);
}

/* ---- Searching ---- */

static uint64_t outcome;

void weak_outcome(uint64_t value)
{
    outcome = value;
}

static void note(struct search *search, const struct weak_run *run)
{
    struct weak_found *found = search->found;
    found->executions++;
    found->whole += run->end == WEAK_DONE;
    found->steps += run->steps;
    found->stale += run->stale;
    found->states = search->count;
    if (run->end == WEAK_DONE && search->options->outcomes != NULL) {
        weak_set_add(search->options->outcomes, outcome);
    }
    if (run->end == WEAK_DONE && search->options->graphs != NULL) {
        weak_set_add(search->options->graphs, weak_graph_hash());
    }
    if (run->end == WEAK_FAILED) {
        found->failed = true;
        memcpy(found->message, run->message, sizeof run->message);
    }
}

static bool is_over(const struct search *search)
{
    const struct weak_options_of_search *options = search->options;
    return search->found->failed || (options->executions != 0 && search->found->executions >= options->executions) ||
           (options->seconds > 0 && clock_seconds_since(search->began) >= options->seconds);
}

static void empty(struct weak_set *set)
{
    if (set != NULL) {
        set->count = 0;
    }
}

/* Graphs of executions before this lack the loads that now count as shared. */
static void begin_again(struct search *search)
{
    weak_learn();
    clear_states(search);
    empty(search->options->outcomes);
    empty(search->options->graphs);
    search->planned = 0;
    search->found->restarts++;
}

static void search_all(struct search *search)
{
    static struct weak_run run;
    do {
        search->depth = 0;
        weak_run(search->program, &search->strategy, NULL, &run);
        note(search, &run);
        if (run.learned && !search->strategy.all_steps && !search->found->failed) {
            begin_again(search);
        } else if (!search->found->failed && !advance(search)) {
            search->found->complete = true;
        }
    } while (!search->found->complete && !is_over(search));
}

void weak_explore(const struct weak_program *program, const struct weak_options_of_search *options, FILE *timeline,
                  struct weak_found *found)
{
    static struct search search;
    bool all_steps = options->unreduced || options->random;
    *found = (struct weak_found){0};
    search = (struct search){
        .strategy = {.choose = choose,
                     .is_known = is_known,
                     .preemptions = options->preemptions,
                     .all_steps = all_steps},
        .program = program,
        .options = options,
        .found = found,
        .random = {options->seed},
        .began = clock_nanoseconds(),
    };
    weak_prepare(program);
    search_all(&search);
    if (found->failed && timeline != NULL) {
        minimise(&search, timeline);
    }
    free(search.states);
}

void weak_print_found(FILE *out, const struct weak_program *program, const struct weak_options_of_search *options,
                      const struct weak_found *found)
{
    char bound[32] = "";
    if (options->preemptions != WEAK_UNBOUNDED) {
        snprintf(bound, sizeof bound, " with %" PRIu32 " preemptions", options->preemptions);
    }
    fprintf(out,
            "%s: %" PRIu64 " executions%s, %" PRIu64 " of them whole, %" PRIu64 " states, %" PRIu64
            " old stores read%s%s\n",
            program->name, found->executions, bound, found->whole, found->states, found->stale,
            found->complete ? ", all" : "", found->failed ? ", FAILED" : "");
}
