/*
 * Runs scenarios.
 */
#include "observe/scenario_run.h"

#include "adapters/adapter_exec.h"
#include "judges/crash_sequence.h"
#include "workload/disk_files.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

bool scenario_has_ended(const struct observed *observed, char *why, size_t why_size)
{
    char how[2048];
    enum exec_state state = adapter_exec_state(observed->adapter, how, sizeof how);
    if (state != EXEC_OK) {
        snprintf(why, why_size, "the adapter %s: %s", exec_state_name(state), how);
    }
    return state != EXEC_OK;
}

static bool has_ended(const struct observed *observed)
{
    char how[2048];
    return adapter_exec_state(observed->adapter, how, sizeof how) != EXEC_OK;
}

void scenario_run(struct observed *observed, const struct trace *trace, struct scenario_run *run)
{
    struct adapter *adapter = observed->adapter;
    struct watch *watch = observed->watch;
    assert(trace->count <= SCENARIO_OPERATIONS_MAX);
    *run = (struct scenario_run){.error = ADDCOW_ERROR_INIT};
    /* A reopen names the disk relative to the current directory. */
    if (chdir(observed->directory) != 0) {
        run->open = ADDCOW_IO;
        return;
    }
    atomic_store(&watch->request, 0);
    run->open = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &run->error);
    run->opened = atomic_load(&watch->records);
    if (run->open != ADDCOW_OK) {
        return;
    }
    for (uint32_t i = 0; i <= trace->count; i++) {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        atomic_store(&watch->request, i + 1);
        run->begin[i] = atomic_load(&watch->records);
        run->statuses[i] = i == trace->count ? adapter->ops->close(adapter, &error)
                                             : crash_perform(adapter, &trace->operations[i], i, &error);
        run->end[i] = atomic_load(&watch->records);
        memcpy(run->messages[i], error.message, sizeof run->messages[i] - 1);
        if (run->statuses[i] == ADDCOW_IO && has_ended(observed)) {
            return;
        }
        run->done = i + 1;
    }
}

void scenario_print_operation(FILE *out, const struct trace *trace, uint32_t index)
{
    if (index >= trace->count) {
        fputs("the close", out);
        return;
    }
    fprintf(out, "operation %u, ", index + 1);
    trace_print_operation(out, &trace->operations[index]);
}
