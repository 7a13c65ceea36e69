/*
 * Runs the steps of one conformance case against an adapter until one fails.
 *
 * A step has a set of allowed outcomes. An error is judged by its status, and by its clause if both the case and the
 * implementation name one. Data and other results are compared only after success.
 */
#include "corpus/corpus.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
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
    if (!run->disks[step->disk]) {
        run->disks[step->disk] = own_process ? subject->make_process(subject) : subject->make(subject);
    }
    return run->disks[step->disk];
}

/* Judges the outcome of a request. */
static bool judge_outcome(struct execution *run, const struct corpus_step *step, enum addcow_status outcome)
{
    if (!(step->outcomes & 1u << outcome)) {
        fputs("expected ", run->out);
        corpus_print_outcomes(run->out, step->outcomes);
        fprintf(run->out, ", got %s", addcow_status_name(outcome));
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
    if (properties->answers_map && (request->allocated != step->allocated || request->map_length != step->run)) {
        fprintf(run->out, "expected %s for %" PRIu64 " bytes, got %s for %" PRIu64 "\n",
                step->allocated ? "allocated" : "unallocated", step->run,
                request->allocated ? "allocated" : "unallocated", request->map_length);
        good = false;
    }
    return good;
}

/* The buffer of a read starts with bytes that are neither zeros nor a pattern of the corpus. So bytes that are

 * not read are detected.
 */
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
    uint64_t size = adapter->ops->size(adapter);
    if (size == step->size) {
        return true;
    }
    fprintf(run->out, "expected a virtual size of %" PRIu64 ", got %" PRIu64 "\n", step->size, size);
    return false;
}

static bool run_open(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    enum addcow_open_flags flags = step->writable ? ADDCOW_OPEN_READWRITE : ADDCOW_OPEN_READONLY;
    enum addcow_status outcome = adapter->ops->open(adapter, step->path, flags, &run->error);
    run->open[step->disk] = outcome == ADDCOW_OK;
    return judge_outcome(run, step, outcome);
}

static bool run_close(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    run->open[step->disk] = false;
    return judge_outcome(run, step, adapter->ops->close(adapter, &run->error));
}

static bool run_create(struct execution *run, const struct corpus_step *step, struct adapter *adapter)
{
    return judge_outcome(run, step, adapter->ops->create(adapter, step->path, &step->create, &run->error));
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

/* A request that runs concurrently with others, on its own thread. */
struct concurrent_step {
    struct execution run; /* a copy that shares the adapters */
    const struct corpus_step *step;
    pthread_t thread;
    char *text;
    size_t text_size;
    bool good;
};

static void *run_on_thread(void *context)
{
    struct concurrent_step *concurrent = context;
    concurrent->good = run_step(&concurrent->run, concurrent->step);
    return NULL;
}

/* Runs `count` steps concurrently. Returns the index of the first that failed, or `count`. */
static size_t run_concurrently(struct execution *run, const struct corpus_step *steps, size_t count)
{
    struct concurrent_step list[CORPUS_IN_FLIGHT_MAX];
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct concurrent_step){.run = *run, .step = &steps[i]};
        list[i].run.out = open_memstream(&list[i].text, &list[i].text_size);
        if (!list[i].run.out) {
            abort();
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&list[i].thread, NULL, run_on_thread, &list[i])) {
            abort();
        }
    }
    size_t good = count;
    for (size_t i = 0; i < count; i++) {
        pthread_join(list[i].thread, NULL);
        fclose(list[i].run.out);
        if (!list[i].good && good == count) {
            fputs(list[i].text, run->out);
            good = i;
        }
        free(list[i].text);
    }
    return good;
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

/* Runs all steps. Returns the index of the first that failed, or the number of steps. */
static size_t run_steps(struct execution *run)
{
    const struct corpus_case *c = run->c;
    for (size_t i = 0; i < c->step_count;) {
        size_t count = count_in_flight(c, i);
        size_t good = count == 1 ? run_step(run, &c->steps[i]) : run_concurrently(run, &c->steps[i], count);
        i += good;
        if (good < count) {
            return i;
        }
    }
    return c->step_count;
}

/* False if the child process of the adapter crashed, hung or broke the protocol. */
static bool check_child(struct execution *run, struct adapter *adapter)
{
    char why[2048];
    enum exec_state state = adapter_exec_state(adapter, why, sizeof why);
    if (state != EXEC_OK) {
        fprintf(run->out, "the adapter %s: %s\n", exec_state_name(state), why);
    }
    return state == EXEC_OK;
}

/* Closes the disks that the case left open, which must succeed too, and frees all adapters. */
static enum corpus_verdict finish(struct execution *run, bool good)
{
    bool child_ok = true;
    for (size_t i = 0; i < CORPUS_DISKS_MAX; i++) {
        struct adapter *last = run->by_reference[i] ? run->references[i] : run->disks[i];
        if (run->disks[i] && !check_child(run, run->disks[i])) {
            child_ok = false;
        } else if (run->open[i] && last->ops->close(last, &run->error)) {
            fprintf(run->out, "closing at the end of the case failed (%s)\n", run->error.message);
            good = false;
        }
        if (run->disks[i]) {
            run->disks[i]->ops->destroy(run->disks[i]);
        }
        if (run->references[i]) {
            run->references[i]->ops->destroy(run->references[i]);
        }
    }
    return !child_ok ? CORPUS_CRASHED : good ? CORPUS_PASSED : CORPUS_FAILED;
}

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
    fputs(": ", out);
}

enum corpus_verdict corpus_run(const struct corpus_case *c, const struct corpus_subject *subject, FILE *out)
{
    char *text = NULL;
    size_t text_size = 0;
    struct execution run = {.c = c, .subject = subject, .out = open_memstream(&text, &text_size)};
    if (!run.out) {
        abort();
    }
    size_t i = run_steps(&run);
    bool good = i == c->step_count;
    if (!good) {
        print_place(out, c, i);
    }
    enum corpus_verdict verdict = finish(&run, good);
    fclose(run.out);
    fputs(text, out);
    free(text);
    return verdict;
}
