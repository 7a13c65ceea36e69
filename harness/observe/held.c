/*
 * The judge of held calls.
 *
 * Each row is a request that is held at its first call of some kind on a file of the disk, and one that must not wait
 * for it. The second request is asked when the first one is held. If it is not answered in time, the call is let go. If
 * the request is answered then, it has waited; to be sure on a busy machine, the row is repeated with more time.
 */
#include "observe/held.h"

#include "adapters/adapter_exec.h"
#include "base/clock.h"
#include "base/report.h"
#include "observe/scenario_run.h"
#include "observe/slow.h"
#include "workload/disk_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLUSTER 65536u
#define FAR (24u * CLUSTER)       /* begins a cluster far from the first one */
#define ALLOCATED (20u * CLUSTER) /* begins the cluster that is allocated at first */
#define SECTOR 512u
#define CLAUSES "CON-08 STR-01"
#define FIRST_MILLISECONDS 2000   /* to be answered beside a held call */
#define SECOND_MILLISECONDS 12000 /* the same, to be sure */
#define ANSWER_MILLISECONDS 30000 /* for an answer at least: a held request is no hang */

/* 32 clusters over a backing file that is as long. */
static const struct trace_disk disk = {.layout = ADDCOW_R20,
                                       .cluster_bits = 16,
                                       .size = 32u * CLUSTER,
                                       .has_backing = true,
                                       .backing_size = 32u * CLUSTER,
                                       .allocation = TRACE_NONE_ALLOCATED,
                                       .seed = 6};

struct row {
    const char *clause;
    enum operation held; /* on the first cluster, if it has a range */
    const char *held_words;
    enum watch_kind kind; /* of the call that is held */
    const char *file;     /* of that call */
    enum operation other;
    uint64_t offset; /* of the other request, which has a sector */
    const char *other_words;
};

static const struct row rows[] = {
    {"CON-08", OPERATION_WRITE, "a write that allocates a cluster", WATCH_WRITE, DISK_IMAGE, OPERATION_WRITE, FAR,
     "a write that allocates another cluster"},
    {"CON-08", OPERATION_WRITE, "a write that allocates a cluster", WATCH_READ, DISK_BASE, OPERATION_WRITE, FAR,
     "a write that allocates another cluster"},
    {"CON-08", OPERATION_WRITE, "a write that allocates a cluster", WATCH_WRITE, DISK_IMAGE, OPERATION_WRITE, ALLOCATED,
     "a write to another cluster, which is allocated"},
    {"CON-08", OPERATION_WRITE, "a write that allocates a cluster", WATCH_READ, DISK_BASE, OPERATION_WRITE, ALLOCATED,
     "a write to another cluster, which is allocated"},
    {"CON-08", OPERATION_WRITE, "a write that allocates a cluster", WATCH_WRITE, DISK_IMAGE, OPERATION_WRITE, CLUSTER,
     "a write that allocates the next cluster"},
    {"STR-01 CON-08", OPERATION_STREAM, "a stream", WATCH_WRITE, DISK_IMAGE, OPERATION_WRITE, FAR,
     "a write that allocates a cluster far from there"},
    {"STR-01", OPERATION_STREAM, "a stream", WATCH_WRITE, DISK_IMAGE, OPERATION_READ, ALLOCATED,
     "a read of an allocated cluster"},
    {"STR-01", OPERATION_STREAM, "a stream", WATCH_WRITE, DISK_IMAGE, OPERATION_WRITE, ALLOCATED,
     "a write to an allocated cluster"},
    {"STR-01", OPERATION_STREAM, "a stream", WATCH_READ, DISK_BASE, OPERATION_READ, FAR + CLUSTER,
     "a read of a cluster that is not allocated"},
};

/* A request on a thread of its own. */
struct asked {
    struct adapter *adapter;
    struct operation_request request;
    uint8_t bytes[SECTOR];
    enum addcow_status status;
    struct addcow_error error;
    atomic_bool answered;
    pthread_t thread;
};

static void *ask_on_thread(void *context)
{
    struct asked *asked = context;
    asked->status = asked->adapter->ops->perform(asked->adapter, &asked->request, &asked->error);
    atomic_store(&asked->answered, true);
    return NULL;
}

static void ask(struct asked *asked, struct adapter *adapter, enum operation operation, uint64_t offset)
{
    *asked = (struct asked){.adapter = adapter, .error = ADDCOW_ERROR_INIT};
    memset(asked->bytes, 0x5a, sizeof asked->bytes);
    asked->request = (struct operation_request){
        .operation = operation, .offset = offset, .length = SECTOR, .data = asked->bytes, .buffer = asked->bytes};
    if (!operation_has_range(operation)) {
        asked->request.offset = asked->request.length = 0;
    }
    if (pthread_create(&asked->thread, NULL, ask_on_thread, asked) != 0) {
        report_fatal("cannot start a thread");
    }
}

/* Waits until a request is answered, or `hits`, which may be null, is not 0. False if that takes too long. */
static bool wait_for(struct asked *asked, const _Atomic uint64_t *hits, int milliseconds)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t deadline = clock_milliseconds() + milliseconds;
    while (!atomic_load(&asked->answered) && (hits == NULL || atomic_load(hits) == 0)) {
        if (clock_milliseconds() >= deadline) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

/* Opens a new disk of which one cluster is allocated. False, with the reason, if that fails. */
static bool prepare(struct observed *observed, char *why, size_t why_size)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = observed->adapter;
    uint8_t bytes[SECTOR] = {1};
    const struct operation_request request = {
        .operation = OPERATION_WRITE, .offset = ALLOCATED, .length = SECTOR, .data = bytes};
    char path[WATCH_PATH_BYTES];
    observed_path(observed, DISK_METADATA, path);
    enum addcow_status status = adapter->ops->open(adapter, path, ADDCOW_OPEN_READWRITE, &error);
    if (status == ADDCOW_OK) {
        struct operation_request first = request;
        status = adapter->ops->perform(adapter, &first, &error);
    }
    if (status != ADDCOW_OK) {
        snprintf(why, why_size, "preparing the disk gives %s: %s", addcow_status_name(status), error.message);
    }
    return status == ADDCOW_OK;
}

enum waiting { ANSWERED, WAITED, UNKNOWN };

/* Runs a row. UNKNOWN: `why` says why nothing is known. */
static enum waiting run_row(struct observed *observed, const struct row *row, int milliseconds, char *why, size_t size)
{
    struct watch *watch = observed->watch;
    struct asked held, other;
    if (!prepare(observed, why, size)) {
        return UNKNOWN;
    }
    atomic_store(&watch->released, false);
    struct watch_plan plan = {.at = 1, .kinds = 1u << row->kind, .action = WATCH_HOLD};
    snprintf(plan.file, sizeof plan.file, "%s", row->file);
    watch_arm(watch, &plan);
    ask(&held, observed->adapter, row->held, 0);
    bool reached = wait_for(&held, &watch->hits, ANSWER_MILLISECONDS / 2) && atomic_load(&watch->hits) > 0;
    bool answered = false;
    bool sound = true;
    if (reached) {
        ask(&other, observed->adapter, row->other, row->offset);
        answered = wait_for(&other, NULL, milliseconds);
    }
    atomic_store(&watch->released, true);
    if (reached) {
        pthread_join(other.thread, NULL);
        sound = other.status == ADDCOW_OK;
    }
    pthread_join(held.thread, NULL);
    watch_disarm(watch);
    if (!reached) {
        snprintf(why, size, "no %s of %s was seen in %s", watch_kind_name(row->kind), row->file, row->held_words);
    } else if (!sound || held.status != ADDCOW_OK) {
        const struct asked *failed = sound ? &held : &other;
        snprintf(why, size, "a request gives %s: %s", addcow_status_name(failed->status), failed->error.message);
    }
    return why[0] != '\0' ? UNKNOWN : answered ? ANSWERED : WAITED;
}

/* Runs a row in a process of its own. */
static enum waiting try_row(struct observed *observed, const struct row *row, int milliseconds, char *why, size_t size)
{
    observed_stop(observed);
    observed_reset(observed, &disk);
    observed_start(observed, &(struct observed_manner){.reads = true});
    why[0] = '\0';
    return run_row(observed, row, milliseconds, why, size);
}

/* Says what broke the clauses. */
static void report(const struct row *row, struct findings *findings)
{
    char *story = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&story, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    fprintf(out,
            "%s was held at its first %s of %s for %d s; %s was not answered before it was let go, and was answered "
            "then\n",
            row->held_words, watch_kind_name(row->kind), row->file, SECOND_MILLISECONDS / 1000, row->other_words);
    fclose(out);
    findings_break(findings, row->clause, story);
    free(story);
}

/* Whether the adapter can do both requests of a row. */
static bool is_declared(const struct row *row, const struct protocol_abilities *abilities)
{
    unsigned wanted = (1u << row->held | 1u << row->other) & ~(1u << OPERATION_READ);
    return (abilities->requests & wanted) == wanted && abilities->r20;
}

static void judge_rows(struct observed *observed, uint64_t *plans, struct findings *findings)
{
    struct protocol_abilities abilities;
    char why[2048];
    const char *broken = ""; /* clauses, of which no more is to be seen */
    bool good = slow_abilities(observed, CLAUSES, &abilities, findings);
    for (size_t i = 0; good && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].clause, broken) == 0) {
            continue;
        }
        if (!is_declared(&rows[i], &abilities)) {
            findings_pass_over(findings, rows[i].clause, "the adapter does not declare the requests");
            continue;
        }
        ++*plans;
        enum waiting waiting = try_row(observed, &rows[i], FIRST_MILLISECONDS, why, sizeof why);
        if (waiting == WAITED) {
            waiting = try_row(observed, &rows[i], SECOND_MILLISECONDS, why, sizeof why);
        }
        if (scenario_has_ended(observed, why, sizeof why)) {
            findings->crashed = true;
            good = false;
        }
        if (waiting == ANSWERED) {
            findings_keep(findings, rows[i].clause);
        } else if (waiting == WAITED) {
            report(&rows[i], findings);
            broken = rows[i].clause;
        } else {
            findings_pass_over(findings, rows[i].clause, why);
        }
    }
    observed_stop(observed);
}

void held_judge(struct observed *observed, uint64_t *plans, struct findings *findings)
{
    const struct observed_command *asked = observed->how;
    struct observed_command patient = *asked;
    patient.timeout = asked->timeout > ANSWER_MILLISECONDS ? asked->timeout : ANSWER_MILLISECONDS;
    observed->how = &patient;
    judge_rows(observed, plans, findings);
    observed->how = asked;
}
