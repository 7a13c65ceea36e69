/*
 * The loop of the observer.
 *
 * A thread that the filter has stopped is in one of these ways:
 *
 *   - its call is about no file of the directory: it goes on at once;
 *   - its call is to be recorded while another one is: it waits for its turn, so that no two recorded calls overlap and
 *     the record has their order;
 *   - the plan makes its call fail, cuts it, or kills everybody;
 *   - it is delayed before the call, after it, or both;
 *   - it is held before the call, until the judge lets it go;
 *   - its call is a sync, which is recorded and not made;
 *   - otherwise it makes the call, and stops again when the call returns, if that is to be recorded or delayed.
 */
#include "observe/tracer.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/report.h"
#include "observe/traced_calls.h"
#include "observe/traced_machine.h"
#include "observe/traced_record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Not every C library has all of these. */
#define OPTION_FORK 0x2
#define OPTION_VFORK 0x4
#define OPTION_CLONE 0x8
#define OPTION_EXEC 0x10
#define OPTION_SYSGOOD 0x1
#define OPTION_SECCOMP 0x80
#define OPTION_EXITKILL 0x100000
#define EVENT_SECCOMP 7
#define EVENT_STOP 128

#define STATUS_IMPOSSIBLE 127
#define HELD_NANOSECONDS 1000000u /* between two looks whether a held call is let go */

enum phase {
    PHASE_RUNS,
    PHASE_WAITS,         /* in the stop of the filter, for its turn */
    PHASE_DELAYED,       /* in the stop of the filter, until `wake` */
    PHASE_HELD,          /* in the stop of the filter, until the judge lets it go */
    PHASE_CALLS,         /* in the call; it stops when the call returns */
    PHASE_DELAYED_AFTER, /* in the stop behind the call, until `wake` */
};

struct tracee {
    pid_t thread; /* 0: a free entry */
    enum phase phase;
    uint64_t wake; /* nanoseconds */
    bool recorded;
    bool takes_turns; /* its call must not overlap others that do: it is recorded, or the watch wants it */
    bool delayed_after;
    struct traced_call call;
};

struct tracer {
    struct watch *watch;
    struct recorder recorder;
    struct tracee *list;
    size_t count; /* entries, free ones included */
    pid_t busy;   /* whose turn it is, from the call to its return; 0: nobody's */
    pid_t root;
    int root_status;
    bool root_ended;
};

static struct tracee *find_tracee(struct tracer *tracer, pid_t thread)
{
    struct tracee *unused = NULL;
    for (size_t i = 0; i < tracer->count; i++) {
        if (tracer->list[i].thread == thread) {
            return &tracer->list[i];
        }
        unused = tracer->list[i].thread == 0 ? &tracer->list[i] : unused;
    }
    if (unused == NULL) {
        tracer->list = realloc(tracer->list, (tracer->count + 1) * sizeof *tracer->list);
        if (tracer->list == NULL) {
            report_fatal("no memory for the threads of a program");
        }
        unused = &tracer->list[tracer->count++];
    }
    *unused = (struct tracee){.thread = thread};
    return unused;
}

static void resume(struct tracee *tracee, int signal_number)
{
    tracee->phase = PHASE_RUNS;
    ptrace(PTRACE_CONT, tracee->thread, NULL, (void *)(intptr_t)signal_number);
}

/* ---- The plan ---- */

static bool is_same_as_hit(const struct watch *watch, const struct traced_call *call)
{
    return watch->hit_kind == (uint32_t)call->shape->kind && strcmp(watch->hit_file, call->name) == 0;
}

/* Counts a call, and says whether the plan's action happens to it. */
static bool is_hit(struct watch *watch, const struct traced_call *call)
{
    const struct watch_plan *plan = &watch->plan;
    if (!atomic_load(&watch->armed)) {
        return false;
    }
    atomic_fetch_add(&watch->calls_of[call->shape->kind], 1);
    if ((plan->kinds >> call->shape->kind & 1) == 0 || (plan->file[0] != '\0' && strcmp(plan->file, call->name) != 0)) {
        return false;
    }
    uint64_t number = atomic_fetch_add(&watch->calls, 1) + 1;
    if (number == plan->at) {
        watch->hit_kind = (uint32_t)call->shape->kind;
        snprintf(watch->hit_call, sizeof watch->hit_call, "%s", call->shape->name);
        memcpy(watch->hit_file, call->name, sizeof watch->hit_file);
    }
    bool hit =
        plan->at != 0 && (number == plan->at || (plan->lasting && number > plan->at && is_same_as_hit(watch, call)));
    if (hit) {
        atomic_fetch_add(&watch->hits, 1);
    }
    return hit;
}

/* Kills every process. What they were about to do is not done. */
_Noreturn static void kill_everybody(struct tracer *tracer)
{
    for (size_t i = 0; i < tracer->count; i++) {
        if (tracer->list[i].thread != 0) {
            kill(tracer->list[i].thread, SIGKILL);
        }
    }
    while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR) {
    }
    signal(SIGKILL, SIG_DFL);
    raise(SIGKILL);
    abort();
}

/* Makes a transfer about half as long. One of several buffers gets half of these. */
static void shorten(const struct tracee *tracee)
{
    uint64_t length = tracee->call.arguments[2];
    bool transfers = tracee->call.shape->kind == WATCH_READ || tracee->call.shape->range == RANGE_AT_ARGUMENT ||
                     tracee->call.shape->range == RANGE_AT_POSITION;
    if (transfers && length > 1) {
        machine_set_length(tracee->thread, length / 2 | 1);
    }
}

/* Does to a call what the plan says. True if the call is not to be made. */
static bool act(struct tracer *tracer, struct tracee *tracee)
{
    const struct watch_plan *plan = &tracer->watch->plan;
    if (plan->action == WATCH_KILL) {
        kill_everybody(tracer);
    }
    if (plan->action == WATCH_SHORTEN) {
        shorten(tracee);
        return false;
    }
    if (tracee->call.shape->kind == WATCH_SYNC && plan->error != EINTR && tracer->recorder.file >= 0) {
        recorder_fail_sync(&tracer->recorder, &tracee->call);
    }
    machine_skip(tracee->thread, -plan->error);
    return true;
}

/* ---- Calls ---- */

/* How long a call is delayed, in nanoseconds; half of them not at all. */
static uint64_t choose_delay(const struct watch *watch, uint64_t salt)
{
    uint64_t value = random_hash(watch->delay_seed * 3 + salt + (atomic_load(&watch->seen) << 8));
    bool none = watch->delay_seed == 0 || watch->delay_microseconds == 0 || value % 2 == 0;
    return none ? 0 : (value >> 8) % ((uint64_t)watch->delay_microseconds * 1000) + 1;
}

static void delay_after(const struct tracer *tracer, struct tracee *tracee)
{
    tracee->phase = PHASE_DELAYED_AFTER;
    tracee->wake = clock_nanoseconds() + choose_delay(tracer->watch, 3);
}

/*
 * Lets a sync succeed without being made: what is durable is in the record, and no power will be cut. Thousands of
 * syncs would take minutes.
 */
static void pretend_sync(struct tracer *tracer, struct tracee *tracee)
{
    if (tracee->recorded) {
        recorder_end(&tracer->recorder, tracee->thread, &tracee->call, 0);
    }
    tracer->busy = tracee->takes_turns ? 0 : tracer->busy;
    machine_skip(tracee->thread, 0);
    if (tracee->delayed_after) {
        delay_after(tracer, tracee);
    } else {
        resume(tracee, 0);
    }
}

/* Lets a thread make its call. */
static void make_call(struct tracer *tracer, struct tracee *tracee)
{
    if (tracee->call.shape->kind == WATCH_SYNC) {
        pretend_sync(tracer, tracee);
        return;
    }
    if (tracee->recorded) {
        recorder_begin(&tracer->recorder, &tracee->call);
    }
    if (tracee->takes_turns || tracee->delayed_after) {
        tracee->phase = PHASE_CALLS;
        ptrace(PTRACE_SYSCALL, tracee->thread, NULL, NULL);
    } else {
        resume(tracee, 0);
    }
}

/* It is a thread's turn to make its call. */
static void take_turn(struct tracer *tracer, struct tracee *tracee)
{
    tracer->busy = tracee->takes_turns ? tracee->thread : tracer->busy;
    bool hit = is_hit(tracer->watch, &tracee->call);
    if (hit && tracer->watch->plan.action == WATCH_HOLD) {
        assert(!tracee->takes_turns); /* or nobody could go on */
        tracee->phase = PHASE_HELD;
        return;
    }
    if (hit && act(tracer, tracee)) {
        tracer->busy = tracee->takes_turns ? 0 : tracer->busy;
        resume(tracee, 0);
        return;
    }
    make_call(tracer, tracee);
}

static void begin_call(struct tracer *tracer, struct tracee *tracee)
{
    if (tracee->takes_turns && tracer->busy != 0) {
        tracee->phase = PHASE_WAITS;
    } else {
        take_turn(tracer, tracee);
    }
}

static void enter(struct tracer *tracer, struct tracee *tracee, bool foreign)
{
    struct machine_entry entry;
    bool known = !foreign && machine_entry(tracee->thread, &entry) && !entry.foreign;
    tracee->call.shape = NULL;
    if (known) {
        call_find(tracer->watch, tracee->thread, entry.number, entry.arguments, &tracee->call);
    } else {
        atomic_fetch_or(&tracer->watch->unseen, 1u << WATCH_UNSEEN_FOREIGN);
    }
    if (tracee->call.shape == NULL) {
        resume(tracee, 0);
        return;
    }
    atomic_fetch_add(&tracer->watch->seen, 1);
    enum watch_kind kind = tracee->call.shape->kind;
    tracee->recorded = recorder_wants(&tracer->recorder, &tracee->call);
    tracee->takes_turns = tracee->recorded || (tracer->watch->turns && (kind == WATCH_READ || kind == WATCH_WRITE));
    tracee->delayed_after = choose_delay(tracer->watch, 2) != 0;
    uint64_t delay = choose_delay(tracer->watch, 1);
    if (delay != 0) {
        tracee->phase = PHASE_DELAYED;
        tracee->wake = clock_nanoseconds() + delay;
    } else {
        begin_call(tracer, tracee);
    }
}

/* Somebody else may have the turn now. */
static void pass_turn(struct tracer *tracer)
{
    for (size_t i = 0; i < tracer->count && tracer->busy == 0; i++) {
        if (tracer->list[i].thread != 0 && tracer->list[i].phase == PHASE_WAITS) {
            take_turn(tracer, &tracer->list[i]);
        }
    }
}

static void leave(struct tracer *tracer, struct tracee *tracee)
{
    int64_t result;
    bool known = machine_result(tracee->thread, &result);
    if (tracee->recorded && known) {
        recorder_end(&tracer->recorder, tracee->thread, &tracee->call, result);
    }
    tracer->busy = tracee->takes_turns ? 0 : tracer->busy;
    if (tracee->delayed_after) {
        delay_after(tracer, tracee);
    } else {
        resume(tracee, 0);
    }
    pass_turn(tracer);
}

/* ---- Stops ---- */

static void forget(struct tracer *tracer, struct tracee *tracee, int status)
{
    if (tracee->thread == tracer->root) {
        tracer->root_ended = true;
        tracer->root_status = status;
    }
    if (tracee->thread == tracer->busy) {
        tracer->busy = 0;
    }
    tracee->thread = 0;
    pass_turn(tracer);
}

static void handle_stop(struct tracer *tracer, struct tracee *tracee, int status)
{
    int event = status >> 16;
    int signal_number = WSTOPSIG(status);
    if (event == EVENT_SECCOMP) {
        unsigned long data = 0;
        ptrace(PTRACE_GETEVENTMSG, tracee->thread, NULL, &data);
        enter(tracer, tracee, data == MACHINE_FOREIGN);
    } else if (signal_number == (SIGTRAP | 0x80)) {
        if (tracee->phase == PHASE_CALLS) {
            leave(tracer, tracee);
        } else {
            resume(tracee, 0);
        }
    } else if (event == EVENT_STOP && (signal_number == SIGSTOP || signal_number == SIGTSTP ||
                                       signal_number == SIGTTIN || signal_number == SIGTTOU)) {
        ptrace(PTRACE_LISTEN, tracee->thread, NULL, NULL);
    } else if (event != 0) { /* a new thread, process or program */
        resume(tracee, 0);
    } else if (tracee->phase == PHASE_CALLS) { /* a signal in the call, which stops again when it returns */
        ptrace(PTRACE_SYSCALL, tracee->thread, NULL, (void *)(intptr_t)signal_number);
    } else {
        resume(tracee, signal_number);
    }
}

/* Lets one thread go on whose delay is over. False if there is none; then *next is the time of the next one. */
static bool wake_one(struct tracer *tracer, uint64_t *next)
{
    *next = UINT64_MAX;
    for (size_t i = 0; i < tracer->count; i++) {
        struct tracee *tracee = &tracer->list[i];
        bool held = tracee->phase == PHASE_HELD;
        bool delayed = tracee->phase == PHASE_DELAYED || tracee->phase == PHASE_DELAYED_AFTER;
        if (tracee->thread == 0 || !(delayed || held)) {
            continue;
        }
        if (held && atomic_load(&tracer->watch->released)) {
            make_call(tracer, tracee);
            return true;
        }
        if (held) {
            tracee->wake = clock_nanoseconds() + HELD_NANOSECONDS;
        }
        if (tracee->wake > clock_nanoseconds()) {
            *next = tracee->wake < *next ? tracee->wake : *next;
            continue;
        }
        if (tracee->phase == PHASE_DELAYED) {
            begin_call(tracer, tracee);
        } else {
            resume(tracee, 0);
        }
        return true;
    }
    return false;
}

/* Lets all such threads go on. The result is the time of the next one; UINT64_MAX: there is none. */
static uint64_t wake_delayed(struct tracer *tracer)
{
    uint64_t next;
    while (wake_one(tracer, &next)) { /* it may be delayed again, or pass its turn to another one that is */
    }
    return next;
}

/* Waits for a stop or an end, but not longer than until `next`. Returns the thread, 0 if it is time, or -1. */
static pid_t wait_for_stop(uint64_t next, int *status)
{
    if (next == UINT64_MAX) {
        return waitpid(-1, status, __WALL);
    }
    pid_t thread = waitpid(-1, status, __WALL | WNOHANG);
    uint64_t now = clock_nanoseconds();
    if (thread == 0 && next > now) {
        sigset_t awaited;
        sigemptyset(&awaited);
        sigaddset(&awaited, SIGCHLD);
        struct timespec left = {(time_t)((next - now) / 1000000000u), (long)((next - now) % 1000000000u)};
        sigtimedwait(&awaited, NULL, &left);
    }
    return thread;
}

static void follow(struct tracer *tracer)
{
    while (!tracer->root_ended) {
        int status = 0;
        pid_t thread = wait_for_stop(wake_delayed(tracer), &status);
        if (thread < 0 && errno != EINTR) {
            return;
        }
        if (thread <= 0) {
            continue;
        }
        struct tracee *tracee = find_tracee(tracer, thread);
        if (WIFSTOPPED(status)) {
            handle_stop(tracer, tracee, status);
        } else {
            forget(tracer, tracee, status);
        }
    }
}

/* ---- The program ---- */

static int refuse(struct watch *watch, const char *problem)
{
    snprintf(watch->why, sizeof watch->why, "%s", problem);
    atomic_store(&watch->state, WATCH_IMPOSSIBLE);
    fprintf(stderr, "the observer: %s\n", problem);
    return STATUS_IMPOSSIBLE;
}

_Noreturn static void run_command(const char *command, struct watch *watch, int ready)
{
    char byte;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (read(ready, &byte, 1) == 1) { /* the tracer is there */
        close(ready);
        if (machine_install_filter(watch->reads)) {
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        }
        refuse(watch, strerror(errno));
    }
    _exit(STATUS_IMPOSSIBLE);
}

/* Starts the program and becomes its tracer. Null, or why that is not possible. */
static const char *start(struct tracer *tracer, const char *command)
{
    const uintptr_t options =
        OPTION_SYSGOOD | OPTION_FORK | OPTION_VFORK | OPTION_CLONE | OPTION_EXEC | OPTION_SECCOMP | OPTION_EXITKILL;
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) {
        return strerror(errno);
    }
    tracer->root = fork();
    if (tracer->root == 0) {
        close(ready[1]);
        run_command(command, tracer->watch, ready[0]);
    }
    close(ready[0]);
    const char *problem = NULL;
    atomic_store(&tracer->watch->state, WATCH_RUNNING);
    if (tracer->root < 0 || ptrace(PTRACE_SEIZE, tracer->root, NULL, (void *)options) != 0) {
        problem = strerror(errno);
    } else if (write(ready[1], "", 1) != 1) {
        problem = "the program ended at once";
    }
    close(ready[1]);
    return problem;
}

/* The program's pipes must not stay open in this process: their ends tell the judge of the program's end. */
static void let_go_of_pipes(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

/* Ends as the program has ended. */
static int end_as(int status)
{
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_IMPOSSIBLE;
}

int tracer_run(const char *watch_path, const char *command)
{
    struct tracer tracer = {.watch = watch_map(watch_path, false)};
    if (tracer.watch == NULL) {
        fprintf(stderr, "the observer: %s: %s\n", watch_path, strerror(errno));
        return STATUS_IMPOSSIBLE;
    }
    if (machine_problem() != NULL) {
        return refuse(tracer.watch, machine_problem());
    }
    if (!recorder_open(&tracer.recorder, tracer.watch)) {
        return refuse(tracer.watch, strerror(errno));
    }
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGCHLD, SIG_DFL);
    const char *problem = start(&tracer, command);
    let_go_of_pipes();
    if (problem != NULL) {
        return refuse(tracer.watch, problem);
    }
    follow(&tracer);
    free(tracer.list);
    return end_as(tracer.root_status);
}
