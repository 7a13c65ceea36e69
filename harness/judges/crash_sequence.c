/*
 * Every crash of a sequence of operations.
 *
 * The sequence is executed once, and every crash state of the recorded log is judged. With deaths, it is executed once
 * more for each call of the storage. The process dies at that call, and another process opens the disk and continues.
 */
#include "judges/crash_sequence.h"

#include "judges/crash_parts.h"
#include "workload/disk_files.h"
#include "storage/fault_injection.h"
#include "base/report.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"
#include "adapters/adapter_scheduled.h"
#include "adapters/perform.h"

#include <stdlib.h>

/*
 * The use of the disk after a first crash: a write over the boundary of two clusters, a flush, a growth beyond any size
 * before, and another write.
 */
static void make_second_trace(const struct trace_disk *disk, uint64_t size, struct trace *trace)
{
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    uint64_t length = size < cluster + 1024 ? size : cluster + 1024;
    trace->disk = *disk;
    trace->threads = 1;
    trace->count = 0;
    trace_add(trace, 0, OPERATION_WRITE, length / 2, length - length / 2);
    trace_add(trace, 0, OPERATION_FLUSH, 0, 0);
    trace_add(trace, 0, OPERATION_RESIZE, disk->size + 2 * cluster, 0);
    trace_add(trace, 0, OPERATION_WRITE, 0, size < 700 ? size : 700);
}

enum addcow_status crash_perform(struct adapter *adapter, const struct trace_operation *operation, uint32_t index,
                                 struct addcow_error *error)
{
    const struct operation_properties *properties = operation_properties(operation->kind);
    struct operation_request request = {
        .operation = (enum operation)operation->kind, .offset = operation->offset, .length = operation->length};
    uint8_t *data = NULL;
    if (operation->kind == TRACE_REOPEN) {
        bool open;
        return adapter_reopen(adapter, DISK_METADATA, &open, error);
    }
    if (properties->changes == CHANGES_NOTHING && !properties->makes_durable) {
        return ADDCOW_OK;
    }
    if (properties->data == DATA_TO_DISK) {
        data = report_allocate(operation->length, 1);
        stamp_fill((struct stamp){STAMP_WRITE, index}, operation->offset, data, (size_t)operation->length);
        request.data = data;
    }
    enum addcow_status code = adapter->ops->perform(adapter, &request, error);
    free(data);
    return code;
}

bool crash_has_resized(struct adapter *adapter, const struct trace_operation *operation)
{
    return operation->kind == OPERATION_RESIZE && adapter->ops->size(adapter) == operation->offset;
}

/* After a process has died in operation `index`, another one opens the disk. What was not flushed may be lost. */
static bool open_after_death(struct adapter *adapter, struct sim *sim, const struct trace *trace, uint32_t index,
                             struct crash_span *spans, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (trace->operations[index].kind != TRACE_REOPEN) { /* that has closed it */
        adapter->ops->close(adapter, NULL);
    }
    sim_set_hook(sim, NULL, NULL);
    if (crash_refused(out, "of a process open for writing",
                      adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error), &error)) {
        return false;
    }
    if (trace->operations[index].kind == OPERATION_RESIZE) {
        spans[index].status = crash_has_resized(adapter, &trace->operations[index]) ? ADDCOW_OK : ADDCOW_IO;
    }
    for (uint32_t i = index + 1; i-- > 0;) {
        if (crash_is_flush(&trace->operations[i]) && spans[i].status == ADDCOW_OK) {
            break;
        }
        if (operation_changes_range(trace->operations[i].kind) && spans[i].status == ADDCOW_OK) {
            spans[i].status = ADDCOW_IO;
        }
    }
    return true;
}

/*
 * Opens the disk in `sim`, executes the sequence with the planned death, and closes. Fills the spans. False if the disk
 * cannot be opened.
 */
static bool do_sequence(struct sim *sim, const struct trace *trace, struct fault_injection *death,
                        struct crash_span *spans, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = sched_adapter_make_fast(sim_storage(sim));
    bool opened = !crash_refused(out, "open for writing",
                                 adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error), &error);
    sim_set_hook(sim, fault_injection_hook, death);
    bool dead = false;
    for (uint32_t i = 0; opened && i <= trace->count; i++) {
        spans[i] = (struct crash_span){.begin = sim_moment(sim), .invoked = 2 * i + 1, .returned = 2 * i + 2};
        spans[i].status = i == trace->count ? adapter->ops->close(adapter, &error)
                                            : crash_perform(adapter, &trace->operations[i], i, &error);
        if (i < trace->count && !dead && fault_injection_was_hit(death)) {
            dead = true;
            opened = open_after_death(adapter, sim, trace, i, spans, out);
        }
        spans[i].end = sim_moment(sim);
    }
    sim_set_hook(sim, NULL, NULL);
    adapter->ops->destroy(adapter);
    return opened;
}

/* Uses the disk in judge->crashed, whose content is *start, and crashes it again. */
static bool judge_second(const struct crash_judge *judge, const struct crash_state *start, uint64_t states,
                         struct crash_counts *counts, FILE *out)
{
    static struct trace trace;
    struct crash_span spans[8];
    struct sim *sim = judge->crashed;
    make_second_trace(&judge->trace->disk, start->size, &trace);
    struct crash_judge again = {.trace = &trace, .start = *start, .in_states = true, .crashed = sim_make()};
    again.adapter = sched_adapter_make_fast(sim_storage(again.crashed));
    sim_keep(sim);
    struct crash_counts inner = {0};
    struct crash_options options = {.states = states};
    bool fine = do_sequence(sim, &trace, &(struct fault_injection){0}, spans, out) &&
                crash_judge_log(&again, sim, spans, &options, &inner, NULL, out);
    if (!fine) {
        fputs("  (this is a second crash; between the two the disk was written, flushed, resized and written)\n", out);
    }
    counts->second_states += inner.states;
    again.adapter->ops->destroy(again.adapter);
    sim_free(again.crashed);
    return fine;
}

static bool judge_state(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                        uint64_t moment, const struct crash_options *options, struct choices *choices,
                        struct crash_counts *counts, FILE *out)
{
    struct crash_state got;
    choices->count = 0;
    crash_enter(judge, from, moment, choices);
    counts->states++;
    if (!crash_judge_state(judge, spans, moment, &got, out)) {
        return false;
    }
    bool fine = !options->second || judge_second(judge, &got, options->states, counts, out);
    free(got.bytes);
    return fine;
}

static bool judge_moment(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                         uint64_t moment, const struct crash_options *options, struct crash_counts *counts, FILE *out)
{
    struct choices every = {0};
    struct random random = {moment};
    struct choices any = {.random = &random};
    uint64_t judged = 0;
    bool fine = true;
    bool more = true;
    counts->moments++;
    while (fine && more && (options->states == 0 || judged < options->states)) {
        fine = judge_state(judge, from, spans, moment, options, &every, counts, out);
        more = choices_next(&every);
        judged++;
    }
    counts->sampled += more;
    for (uint64_t i = 0; fine && more && i < options->states; i++) {
        fine = judge_state(judge, from, spans, moment, options, &any, counts, out);
    }
    if (!fine) {
        crash_print_moment(moment, from, out);
    }
    return fine;
}

bool crash_judge_log(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                     const struct crash_options *options, struct crash_counts *counts, uint64_t *wrong, FILE *out)
{
    uint64_t end = sim_moment(from);
    for (uint64_t moment = 0; moment <= end; moment++) {
        if ((moment == end || sim_is_barrier(from, moment)) &&
            !judge_moment(judge, from, spans, moment, options, counts, out)) {
            if (wrong != NULL) {
                *wrong = moment;
            }
            return false;
        }
    }
    return true;
}

/* A death before a call that changes nothing has the same effect as one before the next call. */
static bool changes_files(enum sim_call call)
{
    return call == SIM_PWRITE || call == SIM_SYNC || call == SIM_TRUNCATE || call == SIM_PUNCH;
}

/* The process dies at each of its calls, and another one continues. */
static bool judge_deaths(struct crash_judge *judge, struct sim *sim, uint64_t calls, struct crash_span *spans,
                         const struct crash_options *options, struct crash_counts *counts, FILE *out)
{
    struct crash_options once = {.states = options->states};
    bool fine = true;
    for (uint64_t at = 1; fine && at <= calls; at++) {
        struct fault_injection death = {.kills = true, .at = at};
        sim_restore(sim);
        fine = do_sequence(sim, judge->trace, &death, spans, out);
        if (fine && changes_files(death.call) && !crash_is_uncertain(judge, spans, UINT64_MAX)) {
            counts->deaths++;
            fine = crash_judge_log(judge, sim, spans, &once, counts, NULL, out);
        }
        if (!fine) {
            fputs("  (before the crash, ", out);
            fault_injection_print(&death, out);
            fputs(", and another one opened the disk)\n", out);
        }
    }
    return fine;
}

bool crash_sequence(const struct trace *trace, const struct crash_options *options, struct crash_counts *counts,
                    FILE *out)
{
    struct crash_span *spans = report_allocate(trace->count + 1, sizeof *spans);
    struct crash_judge *judge = crash_make(trace);
    struct sim *sim = sim_make();
    struct fault_injection none = {0};
    sim_disk_make(sim, &trace->disk);
    counts->sequences++;
    bool fine =
        do_sequence(sim, trace, &none, spans, out) && crash_judge_log(judge, sim, spans, options, counts, NULL, out);
    if (fine && options->deaths) {
        fine = judge_deaths(judge, sim, none.calls, spans, options, counts, out);
    }
    sim_free(sim);
    crash_free(judge);
    free(spans);
    return fine;
}

bool crash_every_state(const struct sim *sim, const struct sim_crash_options *options, crash_state_judge *judge,
                       const void *subject, struct crash_counts *counts, FILE *out)
{
    struct sim *crashed = sim_make();
    bool fine = true;
    for (uint64_t moment = 0; fine && moment <= sim_moment(sim); moment++) {
        struct choices choices = {0};
        counts->moments++;
        do {
            choices.count = 0;
            sim_crash(sim, moment, options, &choices, crashed);
            counts->states++;
            fine = judge(subject, crashed, moment == sim_moment(sim), out);
        } while (fine && choices_next(&choices));
        if (!fine) {
            crash_print_moment(moment, sim, out);
        }
    }
    sim_free(crashed);
    return fine;
}
