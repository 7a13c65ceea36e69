/*
 * Runs the steps of one conformance case against an adapter.
 *
 * A step has a set of allowed outcomes. An error is judged by its status, unless the implementation does not know its
 * class, and by its clause if both the case and the implementation name one. Data and other results are compared only
 * after success.
 *
 * A step that only looks, such as a read, may fail without spoiling what follows, so the case goes on. Any other
 * failure ends it. Each failure breaks the clauses that its step observes. If none of these is one of the case's, then
 * the failed step was a precondition: the case has not judged what it is about.
 */
#include "corpus/corpus.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct execution {
    const struct corpus_case *c;
    const struct corpus_subject *subject;
    struct adapter *disks[CORPUS_DISKS_MAX];
    struct adapter *references[CORPUS_DISKS_MAX]; /* the reference engine on the same disks */
    bool by_reference[CORPUS_DISKS_MAX];          /* which of the two opened the disk last */
    bool open[CORPUS_DISKS_MAX];
    FILE *out;
    struct addcow_error error; /* of the current step */
    struct corpus_findings *findings;
    bool own_broken;    /* a clause of the case is among those found broken */
    const char *breaks; /* the clause that the current step breaks, if it is not what the step observes; or null */
};

static struct adapter *make_reference(struct adapter **reference)
{
    if (!*reference) {
        *reference = adapter_make("ref", NULL);
    }
    return *reference;
}

/*
 * The adapter of a step's disk, made at its first use. If the case lets the reference engine open the disk, it judges
 * the files that the implementation has written.
 */
static struct adapter *find_adapter(struct execution *run, const struct corpus_step *step)
{
    const struct corpus_subject *subject = run->subject;
    if (!run->open[step->disk]) {
        run->by_reference[step->disk] = step->by_reference;
    }
    if (run->by_reference[step->disk]) {
        return make_reference(&run->references[step->disk]);
    }
    bool own_process = run->c->needs & CORPUS_NEEDS_KILL && subject->make_process;
    if (!run->disks[step->disk] && subject->plan > 0) {
        run->disks[step->disk] = subject->make_delayed(subject);
    } else if (!run->disks[step->disk]) {
        run->disks[step->disk] = own_process ? subject->make_process(subject) : subject->make(subject);
    }
    return run->disks[step->disk];
}

/* Judges the outcome of a request. */
static bool judge_outcome(struct execution *run, const struct corpus_step *step, enum addcow_status outcome)
{
    bool unclassified = outcome && run->error.errnum == EXEC_UNCLASSIFIED;
    bool allowed = step->outcomes & (unclassified ? ~(1u << ADDCOW_OK) : 1u << outcome);
    if (!allowed) {
        fputs("expected ", run->out);
        corpus_print_outcomes(run->out, step->outcomes);
        fprintf(run->out, ", got %s", unclassified ? "an error of an unknown class" : addcow_status_name(outcome));
        fprintf(run->out, outcome && run->error.message[0] ? " (%s)\n" : "\n", run->error.message);
        return false;
    }
    if (step->clause && run->error.clause[0] && strcmp(step->clause, run->error.clause)) {
        fprintf(run->out, "expected an error for %s, got one for %s (%s)\n", step->clause, run->error.clause,
                run->error.message);
        return false;
    }
    return true;
}

/* Judges the answer of an operation that succeeded. */
static bool judge_answer(struct execution *run, const struct corpus_step *step, const struct operation_request *request)
{
    const struct operation_properties *properties = operation_properties(step->op);
    bool good = true;
    for (size_t i = 0; good && properties->data == DATA_FROM_DISK && i < step->data.count; i++) {
        const struct corpus_span *span = &step->data.items[i];
        const uint8_t *found = request->buffer;
        good = corpus_span_check(span, span->at, (size_t)span->length, found + (span->at - step->offset), run->out);
    }
    bool other = request->allocated != step->allocated && !step->either;
    if (properties->answers_map && (other || request->map_length != step->run)) {
        fprintf(run->out, "expected %s for %" PRIu64 " bytes, got %s for %" PRIu64 "\n",
                step->either      ? "either status"
                : step->allocated ? "allocated"
                                  : "unallocated",
                step->run, request->allocated ? "allocated" : "unallocated", request->map_length);
        good = false;
    }
    return good;
}

/* The buffer of a read starts with bytes that are neither zeros nor a pattern of the corpus. So bytes that are not read
 * are detected. */
static bool run_operation(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    const struct operation_properties *properties = operation_properties(step->op);
    uint8_t *buffer = properties->data == DATA_NONE ? NULL : report_allocate(step->length, 1);
    struct operation_request request = {.operation = (enum operation)step->op,
                                        .offset = properties->operands == OPERANDS_SIZE ? step->size : step->offset,
                                        .length = step->length,
                                        .data = buffer,
                                        .buffer = buffer};
    if (properties->data == DATA_FROM_DISK) {
        memset(buffer, 0xee, (size_t)step->length);
    }
    for (size_t i = 0; properties->data == DATA_TO_DISK && i < step->data.count; i++) {
        const struct corpus_span *span = &step->data.items[i];
        corpus_span_fill(span, span->at, (size_t)span->length, buffer + (span->at - step->offset));
    }
    enum addcow_status outcome = adapter->ops->perform(adapter, &request, &run->error);
    bool good = judge_outcome(run, step, outcome) && (outcome || judge_answer(run, step, &request));
    free(buffer);
    return good;
}

static bool run_size(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    uint64_t size;
    enum addcow_status outcome = adapter_size(adapter, &size, &run->error);
    if (outcome || size == step->size) {
        return judge_outcome(run, step, outcome);
    }
    fprintf(run->out, "expected a virtual size of %" PRIu64 ", got %" PRIu64 "\n", step->size, size);
    return false;
}

static bool run_open(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    enum addcow_open_flags flags = step->writable ? ADDCOW_OPEN_READWRITE : ADDCOW_OPEN_READONLY;
    enum addcow_status outcome = adapter->ops->open(adapter, step->path, flags, &run->error);
    run->open[step->disk] = outcome == ADDCOW_OK;
    bool good = judge_outcome(run, step, outcome);
    bool locks = !step->by_reference && !(run->subject->cannot & CORPUS_NEEDS_LOCKS);
    if (good && outcome == ADDCOW_OK && locks && !corpus_check_lock(step->path, run->out)) {
        run->breaks = "LCK-01";
    }
    return good && !run->breaks;
}

static bool run_close(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    run->open[step->disk] = false;
    return judge_outcome(run, step, adapter->ops->close(adapter, &run->error));
}

static bool run_create(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    char *before = corpus_names();
    enum addcow_status outcome = adapter->ops->create(adapter, step->path, &step->create, &run->error);
    bool good = judge_outcome(run, step, outcome);
    if (good && !corpus_check_names(before, outcome == ADDCOW_OK, run->out)) {
        run->breaks = "CRE-04";
    }
    free(before);
    return good && !run->breaks;
}

/* Afterwards the disk is closed, and the files are as the process left them. */
static bool run_kill(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    assert(!run->by_reference[step->disk]); /* the loader checks it */
    adapter_exec_kill(adapter);
    run->open[step->disk] = false;
    return true;
}

static bool run_disk_step(struct execution *run, const struct corpus_step *step)
{
    struct adapter *adapter = find_adapter(run, step);
    if (!adapter) {
        fputs("the implementation cannot be started\n", run->out);
        return false;
    }
    bool wants_closed = step->op == PROTOCOL_OPEN || step->op == PROTOCOL_CREATE;
    if (run->open[step->disk] == wants_closed) {
        fprintf(run->out, "the disk is %s\n", wants_closed ? "already open" : "not open");
        return false;
    }
    switch (step->op) {
    case PROTOCOL_OPEN:
        return run_open(run, step, adapter);
    case PROTOCOL_CLOSE:
        return run_close(run, step, adapter);
    case PROTOCOL_SIZE:
        return run_size(run, step, adapter);
    case PROTOCOL_CREATE:
        return run_create(run, step, adapter);
    case CORPUS_KILL:
        return run_kill(run, step, adapter);
    default:
        return run_operation(run, step, adapter);
    }
}

static bool run_step(struct execution *run, const struct corpus_step *step)
{
    memset(&run->error, 0, sizeof run->error);
    run->breaks = NULL;
    switch (step->op) {
    case CORPUS_FILE:
        return corpus_check_file(step, run->out);
    case CORPUS_REMOVE:
        return unlink(step->path) == 0;
    case CORPUS_CUT:
        return truncate(step->path, (off_t)step->size) == 0;
    default:
        return run_disk_step(run, step);
    }
}

/* ---- Failures ---- */

static void print_place(FILE *out, const struct corpus_case *c, size_t index)
{
    const struct corpus_step *step = &c->steps[index];
    fprintf(out, "step %zu of %zu, %s", index + 1, c->step_count, corpus_op_name(step->op));
    if (step->path) {
        fprintf(out, " %s%s", step->path, step->by_reference ? " by the reference engine" : "");
    } else if (operation_properties(step->op)->operands == OPERANDS_SIZE) {
        fprintf(out, " %" PRIu64, step->size);
    } else if (operation_has_range(step->op)) {
        fprintf(out, " %" PRIu64 "+%" PRIu64, step->offset, step->length);
    }
    if (step->on_reference && !step->path) {
        fputs(" by the reference engine", out);
    }
    fputs(": ", out);
}

static bool has_clause(const struct corpus_case *c, const char *clause)
{
    for (size_t i = 0; i < c->clause_count; i++) {
        if (!strcmp(c->clauses[i], clause)) {
            return true;
        }
    }
    return false;
}

static void record_broken(struct execution *run, const char *clause)
{
    struct corpus_findings *findings = run->findings;
    run->own_broken |= has_clause(run->c, clause);
    for (size_t i = 0; i < findings->broken_count; i++) {
        if (!strcmp(findings->broken[i], clause)) {
            return;
        }
    }
    if (findings->broken_count < CORPUS_BROKEN_MAX) {
        snprintf(findings->broken[findings->broken_count++], CLAUSES_ID_SIZE, "%s", clause);
    }
}

/* Whether a case can go on after this step has failed, and still judge what follows. */
static bool only_looks(const struct corpus_step *step)
{
    return step->op == OPERATION_READ || step->op == OPERATION_MAP || step->op == PROTOCOL_SIZE ||
           step->op == CORPUS_FILE;
}

/* False if the child process of the adapter crashed, hung or broke the protocol. */
static bool is_alive(struct execution *run)
{
    char why[2048];
    for (size_t i = 0; i < CORPUS_DISKS_MAX; i++) {
        if (run->disks[i] && adapter_exec_state(run->disks[i], why, sizeof why) != EXEC_OK) {
            return false;
        }
    }
    return true;
}

/* Handles the failure of a step, described by `text`. True if the case goes on. */
static bool fail(struct execution *run, size_t index, const char *text)
{
    const struct corpus_step *step = &run->c->steps[index];
    print_place(run->out, run->c, index);
    fputs(text, run->out);
    if (!is_alive(run)) {
        return false; /* not a step has failed, but the implementation */
    }
    for (size_t i = 0; i < step->observe_count && !run->breaks; i++) {
        record_broken(run, step->observes[i]);
    }
    if (run->breaks) {
        record_broken(run, run->breaks);
    }
    return only_looks(step);
}

/* ---- Several steps ---- */

/* A step, on its own thread if it runs concurrently with others. */
struct planned_step {
    struct execution run; /* a copy that shares the adapters */
    const struct corpus_step *step;
    atomic_uint *clock;    /* of the group: counts what happens in it */
    atomic_bool *answered; /* of the group: whether its first request is */
    unsigned began, ended; /* at this time */
    pthread_t thread;
    char *text;
    size_t text_size;
    bool good;
};

static void *run_on_thread(void *context)
{
    struct planned_step *planned = context;
    planned->began = atomic_fetch_add(planned->clock, 1);
    do {
        planned->good = run_step(&planned->run, planned->step);
    } while (planned->good && planned->step->repeated && !atomic_load(planned->answered));
    planned->ended = atomic_fetch_add(planned->clock, 1);
    if (!planned->step->beside) {
        atomic_store(planned->answered, true);
    }
    return NULL;
}

/* Starts the requests in their order: what the first one does meanwhile is what a case is mostly about. */
static void run_on_threads(struct planned_step *list, size_t count)
{
    atomic_uint clock = 0;
    atomic_bool answered = false;
    for (size_t i = 0; i < count; i++) {
        list[i].clock = &clock;
        list[i].answered = &answered;
        if (pthread_create(&list[i].thread, NULL, run_on_thread, &list[i])) {
            abort();
        }
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(list[i].thread, NULL);
    }
}

/* How often a request has overtaken another, as far as the wire shows it. */
static unsigned count_overtaken(const struct execution *run)
{
    unsigned overtaken = 0;
    for (size_t i = 0; i < CORPUS_DISKS_MAX; i++) {
        overtaken += run->disks[i] ? adapter_exec_overtaken(run->disks[i]) : 0;
    }
    return overtaken;
}

/* Whether one request of a group began before another had ended. */
static bool is_interleaved(const struct planned_step *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (list[i].began < list[j].began && list[j].began < list[i].ended) {
                return true;
            }
        }
    }
    return false;
}

/* Counts a group that has run, and whether its requests were in progress at once. On the wire this is seen only if a
 * request has overtaken another. */
static void count_group(struct execution *run, const struct planned_step *list, size_t count, unsigned overtaken)
{
    const struct adapter *adapter = run->disks[list->step->disk];
    bool linked_in = adapter && !adapter_exec_abilities(run->disks[list->step->disk]);
    run->findings->groups++;
    run->findings->interleaved += count_overtaken(run) > overtaken || (linked_in && is_interleaved(list, count));
}

static FILE *open_text(char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);
    if (!out) {
        abort();
    }
    return out;
}

/* Runs `count` steps from `first` on at once. True if the case goes on. */
static bool run_group(struct execution *run, size_t first, size_t count)
{
    struct planned_step list[CORPUS_IN_FLIGHT_MAX];
    unsigned overtaken = count_overtaken(run);
    bool goes_on = true;
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct planned_step){.run = *run, .step = &run->c->steps[first + i]};
        list[i].run.out = open_text(&list[i].text, &list[i].text_size);
    }
    run_on_threads(list, count);
    count_group(run, list, count, overtaken);
    for (size_t i = 0; i < count; i++) {
        fclose(list[i].run.out);
        goes_on = (list[i].good || fail(run, first + i, list[i].text)) && goes_on;
        free(list[i].text);
    }
    return goes_on;
}

/* Runs one step with nothing beside it. True if the case goes on. */
static bool run_alone(struct execution *run, size_t index)
{
    FILE *out = run->out;
    char *text = NULL;
    size_t size = 0;
    run->out = open_text(&text, &size);
    bool good = run_step(run, &run->c->steps[index]);
    fclose(run->out);
    run->out = out;
    bool goes_on = good || fail(run, index, text);
    free(text);
    return goes_on;
}

/* The number of steps from `first` on that run concurrently. */
static size_t count_in_flight(const struct corpus_case *c, size_t first)
{
    size_t count = 1;
    while (first + count < c->step_count && c->steps[first + count].beside) {
        count++;
    }
    return count;
}

/* Runs all steps. True if the last one was reached, or the one that ended the case was it. */
static bool run_steps(struct execution *run)
{
    size_t count = 0;
    for (size_t i = 0; i < run->c->step_count; i += count) {
        count = count_in_flight(run->c, i);
        if (!(count == 1 ? run_alone(run, i) : run_group(run, i, count))) {
            return i + count == run->c->step_count;
        }
    }
    return true;
}

/* ---- The end ---- */

/* Says how the child process of an adapter failed, if it did and no other is known to have. */
static void check_child(struct execution *run, struct adapter *adapter, enum exec_state *state)
{
    char why[2048];
    enum exec_state now = adapter_exec_state(adapter, why, sizeof why);
    if (now != EXEC_OK && *state == EXEC_OK) {
        fprintf(run->out, "the adapter %s: %s\n", exec_state_name(now), why);
        *state = now;
    }
}

/* Closes a disk that the case left open, which must succeed too. */
static void close_last(struct execution *run, struct adapter *adapter, enum exec_state *state)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status outcome = adapter->ops->close(adapter, &error);
    check_child(run, adapter, state);
    if (outcome && *state == EXEC_OK) {
        fprintf(run->out, "closing at the end of the case failed (%s)\n", error.message);
        record_broken(run, has_clause(run->c, "DUR-10") ? "DUR-10" : "ERR-01");
    }
}

/* Closes the disks that the case left open, and frees all adapters. How a child process failed, or EXEC_OK. */
static enum exec_state finish(struct execution *run)
{
    enum exec_state state = EXEC_OK;
    for (size_t i = 0; i < CORPUS_DISKS_MAX; i++) {
        struct adapter *last = run->by_reference[i] ? run->references[i] : run->disks[i];
        if (run->disks[i]) {
            check_child(run, run->disks[i], &state);
        }
        if (run->open[i] && state == EXEC_OK) {
            close_last(run, last, &state);
        }
        if (run->disks[i]) {
            adapter_exec_end(run->disks[i]);
            check_child(run, run->disks[i], &state);
            run->disks[i]->ops->destroy(run->disks[i]);
        }
        if (run->references[i]) {
            run->references[i]->ops->destroy(run->references[i]);
        }
    }
    return state;
}

enum corpus_verdict corpus_run(const struct corpus_case *c, const struct corpus_subject *subject, FILE *out,
                               struct corpus_findings *findings)
{
    struct execution run = {.c = c, .subject = subject, .out = out, .findings = findings};
    *findings = (struct corpus_findings){.complete = false};
    findings->complete = run_steps(&run);
    enum exec_state state = finish(&run);
    if (state != EXEC_OK) {
        return state == EXEC_HUNG ? CORPUS_HUNG : CORPUS_CRASHED;
    }
    if (findings->complete && findings->broken_count == 0) {
        return CORPUS_PASSED;
    }
    return run.own_broken || findings->complete ? CORPUS_FAILED : CORPUS_NOT_JUDGED;
}
