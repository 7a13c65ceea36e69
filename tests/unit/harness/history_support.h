/*
 * Histories written by hand: each test makes a small disk, states when each operation ran and what it answered, and
 * calls the judge.
 */
#ifndef TESTS_HISTORY_SUPPORT_H
#define TESTS_HISTORY_SUPPORT_H

#include "workload/disk_files.h"
#include "workload/phase.h"
#include "judges/history.h"
#include "judges/linearizability.h"
#include "base/report.h"
#include "base/scratch.h"
#include "workload/stamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER 4096u

#define SECTOR 512u

/*
 * A phase that is being made, on a disk of six clusters: 0 and 1 before, 2 across and 3, 4, 5 behind the backing file's
 * end.
 */
static struct trace trace;

static struct execution run;

static struct oracle oracle;

static struct adapter *adapter;

static char directory[SCRATCH_PATH_BYTES];

static char path[SCRATCH_PATH_BYTES + 64];

static inline void begin_disk(uint64_t backing_size, uint32_t allocation)
{
    struct disk_files files;
    trace = (struct trace){.threads = 4};
    trace.disk = (struct trace_disk){.layout = ADDCOW_R20,
                                     .cluster_bits = 12,
                                     .size = 6 * CLUSTER,
                                     .has_backing = true,
                                     .backing_size = backing_size,
                                     .allocation = allocation,
                                     .seed = 8};
    disk_files_make(&trace.disk, &files);
    disk_files_store(&files, directory);
    disk_files_free(&files);
    adapter = adapter_make_ref();
    assert_int_equal(adapter->ops->open(adapter, path, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
}

static inline void begin(void)
{
    begin_disk(2 * CLUSTER + 1000, TRACE_NONE_ALLOCATED);
}

/* Adds an operation of a thread; returns its index. */
static inline uint32_t add(uint32_t thread, uint32_t kind, uint64_t offset, uint64_t length)
{
    trace_add(&trace, thread, kind, offset, length);
    return trace.count - 1;
}

/* Called once all operations are added. */
static inline void start(void)
{
    execution_make(&run, &trace, adapter, path, NULL);
    oracle_make(&trace.disk, run.capacity, &oracle);
}

/* Does an operation now, and says that it took from `invoked` to `returned`. */
static inline struct execution_record *done(uint32_t operation, uint64_t invoked, uint64_t returned)
{
    execution_operation(&run, operation);
    run.records[operation].invoked = invoked;
    run.records[operation].returned = returned;
    return &run.records[operation];
}

/* Says that an operation was done, without doing it. */
static inline void claimed(uint32_t operation, uint64_t invoked, uint64_t returned)
{
    run.records[operation] = (struct execution_record){.invoked = invoked, .returned = returned, .status = ADDCOW_OK};
}

/*
 * Judges the phase, and behind it, if `files` and it conforms, the files as well. Whether every register is decided
 * must be as `decided` says.
 */
static inline bool judge(bool files, bool decided)
{
    struct history_counts counts = {.fragments = 0};
    char *story = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&story, &length);
    bool conforms = history_judge(&run, 0, trace.count, &oracle, directory, &counts, out);
    if (conforms && files) {
        assert_int_equal(adapter->ops->close(adapter, NULL), ADDCOW_OK);
        conforms = oracle_judge_files(&oracle, directory, out);
    }
    fclose(out);
    assert_int_equal(counts.undecided == 0, decided);
    assert_int_equal(conforms, length == 0); /* a rejection says why */
    free(story);
    execution_free(&run);
    oracle_free(&oracle);
    adapter->ops->destroy(adapter);
    return conforms;
}

static inline bool judged(void)
{
    return judge(false, true);
}

static inline bool judged_with_files(void)
{
    return judge(true, true);
}

static inline int make_directory(void **state)
{
    (void)state;
    if (!scratch_make(scratch_fast_parent(), "addcow-history", directory)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/%s", directory, DISK_METADATA);
    return 0;
}

static inline int remove_directory(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

#endif
