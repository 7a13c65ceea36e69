/*
 * Every schedule, depth first, by dynamic partial order reduction (Flanagan and Godefroid, 2005).
 *
 * The steps of a run are the nodes of a path. A *race* is a pair of dependent steps of different threads that nothing
 * orders; vector clocks tell which steps are ordered. For each race, the node of the earlier step must also try the
 * thread of the later one, or all threads that can run there. After a run, the deepest node with something left to try
 * is changed, and everything after it is run again. So at least one is run of all schedules that differ only in the
 * order of independent steps. Sleep sets avoid most of the others.
 *
 * With a bound on preemptions, a choice that would exceed the bound is left out. A race is then also tried at the
 * beginning of the block of steps that it lies in, where a switch costs no preemption (Coons, Musuvathi and McKinley,
 * 2013). Sleep sets are not used then: they assume that the schedule that makes another one redundant is within the
 * bound. A pass that leaves nothing out was complete.
 */
#include "sched/strategy.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define CHAINS 1024u

/* One step, and what there was to choose before it. */
struct node {
    uint32_t enabled;     /* threads, a bit each: that could run here, */
    uint32_t backtrack;   /* that must be tried, */
    uint32_t done;        /* that were, the chosen one included, */
    uint32_t sleep;       /* that need not */
    uint32_t current;     /* who made the step before */
    uint32_t chosen;      /* who made this one */
    uint32_t preemptions; /* before this step */
    uint32_t block;       /* the node where the thread that made this step was switched to */
    uint32_t earlier;     /* the last node before it in the chain of its object, or NONE */
    struct sched_access access;
    uint32_t clock[SCHED_THREADS_MAX]; /* after the step: of each thread, the last node + 1 that comes before */
};

struct exhaustive {
    struct sched_strategy strategy;
    bool reduce;
    bool sleeping; /* whether sleep sets are used */
    uint32_t limit;
    struct sched_exhaustive_counts counts;
    bool begun;
    bool left_out;  /* in this pass, something in excess of the bound */
    bool redundant; /* this run, from here on: nothing is recorded any more */
    struct node *nodes;
    uint32_t room;
    uint32_t planned; /* nodes whose choice is fixed */
    uint32_t depth;   /* nodes made in this run */
    uint32_t clocks[SCHED_THREADS_MAX][SCHED_THREADS_MAX];
    uint32_t chains[CHAINS]; /* the last node of each */
};

static uint32_t bit(uint32_t thread)
{
    return (uint32_t)1 << thread;
}

/* ---- Between runs ---- */

static bool is_preemption(const struct node *node, uint32_t thread)
{
    return node->current != SCHED_NOBODY && thread != node->current && (node->enabled & bit(node->current)) != 0;
}

static bool within_bound(const struct exhaustive *self, const struct node *node, uint32_t thread)
{
    return node->preemptions + is_preemption(node, thread) <= self->counts.bound;
}

/* Fixes the next choice to make; false if the pass is over. */
static bool backtrack(struct exhaustive *self)
{
    for (uint32_t i = self->depth; i-- > 0;) {
        struct node *node = &self->nodes[i];
        uint32_t open = node->backtrack & ~node->done & ~node->sleep;
        for (; open != 0; open &= open - 1) {
            uint32_t thread = strategy_nth(open, 0);
            node->done |= bit(thread);
            if (within_bound(self, node, thread)) {
                node->chosen = thread;
                self->planned = i + 1;
                return true;
            }
            self->left_out = true;
        }
    }
    return false;
}

static bool begin(struct sched_strategy *strategy, uint32_t threads)
{
    struct exhaustive *self = (struct exhaustive *)strategy;
    (void)threads;
    if (self->begun && !backtrack(self)) {
        self->counts.complete = !self->left_out;
        if (self->counts.complete || self->counts.bound == self->limit) {
            self->planned = 0;
            self->depth = 0;
            return false;
        }
        self->counts.bound++;
        self->left_out = false;
        self->planned = 0;
    }
    self->begun = true;
    self->depth = 0;
    self->redundant = false;
    memset(self->clocks, 0, sizeof self->clocks);
    memset(self->chains, 0xff, sizeof self->chains);
    self->counts.schedules++;
    return true;
}

static void end(struct sched_strategy *strategy, uint64_t steps)
{
    struct exhaustive *self = (struct exhaustive *)strategy;
    (void)steps;
    self->counts.redundant += self->redundant;
}

/* ---- Races ---- */

static uint32_t chain_of(const void *object)
{
    return (uint32_t)(random_hash((uint64_t)(uintptr_t)object) % CHAINS);
}

/* Whether both could be about to happen at once: a mutex is unlocked by who holds it. */
static bool may_meet(enum sched_kind a, enum sched_kind b)
{
    bool locks = a == SCHED_LOCK || b == SCHED_LOCK;
    bool releases = a == SCHED_UNLOCK || b == SCHED_UNLOCK || a == SCHED_WAIT || b == SCHED_WAIT;
    return !(locks && releases);
}

/*
 * With sleep sets every thread that can run is tried, and sleep leaves out the redundant ones. One thread alone may be
 * asleep because of a run that was cut short.
 */
static void try_at(struct exhaustive *self, uint32_t index, uint32_t thread)
{
    struct node *node = &self->nodes[index];
    bool alone = !self->sleeping && (node->enabled & bit(thread)) != 0;
    node->backtrack |= alone ? bit(thread) : node->enabled;
}

static void add_race(struct exhaustive *self, uint32_t earlier, uint32_t thread)
{
    try_at(self, earlier, thread);
    if (self->counts.bound < SCHED_UNBOUNDED) {
        try_at(self, self->nodes[earlier].block, thread);
    }
}

static void join(uint32_t *clock, const uint32_t *other)
{
    for (uint32_t t = 0; t < SCHED_THREADS_MAX; t++) {
        clock[t] = other[t] > clock[t] ? other[t] : clock[t];
    }
}

/*
 * Finds the races that a step of `thread` ends, after the nodes so far. *clock becomes that of the step, but for
 * itself.
 */
static void find_races(struct exhaustive *self, uint32_t thread, const struct sched_access *access, uint32_t *clock)
{
    uint32_t ordered[SCHED_THREADS_MAX]; /* by what the thread has seen, and by the races found */
    memcpy(ordered, self->clocks[thread], sizeof ordered);
    memcpy(clock, ordered, sizeof ordered);
    if (access->object == NULL) {
        return;
    }
    for (uint32_t i = self->chains[chain_of(access->object)]; i != NONE; i = self->nodes[i].earlier) {
        const struct node *other = &self->nodes[i];
        if (!sched_dependent(&other->access, access)) {
            continue;
        }
        if (ordered[other->chosen] < i + 1 && may_meet(other->access.kind, access->kind)) {
            add_race(self, i, thread);
            join(ordered, other->clock);
        }
        join(clock, other->clock);
    }
}

/* Records the step of the last node. */
static void note_step(struct exhaustive *self)
{
    struct node *node = &self->nodes[self->depth];
    find_races(self, node->chosen, &node->access, node->clock);
    node->clock[node->chosen] = self->depth + 1;
    memcpy(self->clocks[node->chosen], node->clock, sizeof node->clock);
    node->earlier = NONE;
    if (node->access.object != NULL) {
        uint32_t chain = chain_of(node->access.object);
        node->earlier = self->chains[chain];
        self->chains[chain] = self->depth;
    }
}

/* The run is redundant from here on; what its threads were about to do still counts. */
static void give_up_run(struct exhaustive *self, const struct sched_choice *choice)
{
    uint32_t clock[SCHED_THREADS_MAX];
    self->redundant = true;
    for (uint32_t t = 0; t < choice->threads; t++) {
        find_races(self, t, choice->pending[t], clock);
    }
}

/* ---- Within a run ---- */

static struct node *add_node(struct exhaustive *self)
{
    if (self->depth == self->room) {
        self->room = self->room == 0 ? 1024 : 2 * self->room;
        self->nodes = realloc(self->nodes, self->room * sizeof *self->nodes);
        if (self->nodes == NULL) {
            report_fatal("no memory for an exhaustive search");
        }
    }
    return &self->nodes[self->depth];
}

/* The threads that need not be tried after the last node: trying them would only swap independent steps. */
static uint32_t asleep(const struct exhaustive *self, const struct sched_choice *choice)
{
    if (self->depth == 0 || !self->sleeping) {
        return 0;
    }
    const struct node *last = &self->nodes[self->depth - 1];
    uint32_t sleep = 0;
    for (uint32_t rest = (last->sleep | last->done) & ~bit(last->chosen); rest != 0; rest &= rest - 1) {
        uint32_t thread = strategy_nth(rest, 0);
        if (!sched_dependent(choice->pending[thread], &last->access)) {
            sleep |= bit(thread);
        }
    }
    return sleep;
}

/* Fills a new node, except for the choice. */
static void open_node(struct exhaustive *self, const struct sched_choice *choice)
{
    uint32_t sleep = asleep(self, choice);
    struct node *node = add_node(self);
    const struct node *last = self->depth > 0 ? &self->nodes[self->depth - 1] : NULL;
    *node = (struct node){.enabled = choice->enabled, .sleep = sleep, .current = choice->current};
    if (last != NULL) {
        node->preemptions = last->preemptions + is_preemption(last, last->chosen);
    }
}

/* The thread of a new node: the current one, or the first that can run, unless it sleeps. */
static uint32_t pick(const struct sched_choice *choice, uint32_t sleep)
{
    struct sched_choice awake = *choice;
    awake.enabled &= ~sleep;
    return awake.enabled != 0 ? strategy_go_on(&awake) : SCHED_NOBODY;
}

static uint32_t choose(struct sched_strategy *strategy, const struct sched_choice *choice, uint64_t *steps)
{
    struct exhaustive *self = (struct exhaustive *)strategy;
    *steps = 1;
    if (self->redundant) {
        return strategy_go_on(choice);
    }
    if (self->depth < self->planned) {
        const struct node *node = &self->nodes[self->depth];
        if (node->enabled != choice->enabled || node->current != choice->current) {
            report_fatal("the program under the scheduler is not deterministic");
        }
    } else {
        open_node(self, choice);
        struct node *node = &self->nodes[self->depth];
        node->chosen = pick(choice, node->sleep);
        if (node->chosen == SCHED_NOBODY) {
            give_up_run(self, choice);
            return strategy_go_on(choice);
        }
        node->backtrack = self->reduce ? bit(node->chosen) : choice->enabled;
        node->done = bit(node->chosen);
    }
    struct node *node = &self->nodes[self->depth];
    bool same_block = self->depth > 0 && node->chosen == node->current;
    node->block = same_block ? self->nodes[self->depth - 1].block : self->depth;
    node->access = *choice->pending[node->chosen];
    if (self->reduce) {
        note_step(self);
    }
    self->depth++;
    return node->chosen;
}

/* ---- Making ---- */

static void destroy(struct sched_strategy *strategy)
{
    free(((struct exhaustive *)strategy)->nodes);
    free(strategy);
}

struct sched_strategy *sched_make_exhaustive(uint32_t preemptions, bool reduce)
{
    static const struct sched_strategy_ops ops = {begin, choose, end, destroy};
    struct exhaustive *self = report_allocate(1, sizeof *self);
    self->strategy.ops = &ops;
    self->reduce = reduce;
    self->limit = preemptions;
    self->counts.bound = preemptions == SCHED_UNBOUNDED ? SCHED_UNBOUNDED : 0;
    self->sleeping = reduce && preemptions == SCHED_UNBOUNDED;
    return &self->strategy;
}

struct sched_exhaustive_counts sched_exhaustive_counts(const struct sched_strategy *strategy)
{
    return ((const struct exhaustive *)strategy)->counts;
}

static struct sched_strategy *make(const struct sched_strategy_options *options)
{
    return sched_make_exhaustive(options->preemptions, true);
}

const struct sched_strategy_kind sched_strategy_exhaustive = {.name = "exhaustive", .is_finite = true, .make = make};
