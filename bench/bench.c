/*
 * bench: the engine's speed and memory, as ratios.
 *
 * Times of different runs on different machines cannot be compared, and on a shared machine not even those of one run.
 * So every target is a ratio of two things measured side by side, in the same run: the engine, and the same work done
 * with bare pread and pwrite on a file in the same state, by the same threads, with the same offsets. The two take
 * turns in short slices, forwards and backwards (race.c); each round gives one ratio; the median of the ratios is the
 * result, and their quartiles tell how far to trust it.
 *
 * Files are in the page cache, and no sync or rename waits for the device (storage.c): what is measured is the engine,
 * not the disk below it. Cases about waiting add a delay: 1 ms to every file operation, or to every sync.
 *
 *   requests.c  requests to allocated clusters, and first writes
 *   scale.c     opening, memory, and how time grows with the disk
 *   waiting.c   allocations beside each other, and flushes that join
 *   in_flight.c what a request costs beside many others, and in a long chain
 *
 * The columns `bare` and `engine` are medians of the case's measurements on both sides: nanoseconds for one operation,
 * MiB in a second, the growth from 1 GiB to 4 TiB, KiB of bits and of memory, flushes and syncs. `result` is
 * compared with the target.
 *
 * The work is done in a child process, in a directory of its own; the parent removes it in every case.
 *
 * Exit status: 0 if every case was measured, even when targets were missed: a time is information, never a test. 1 if a
 * case could not be measured, 2 for wrong usage.
 */
#include "bench.h"

#include "addcow_version.h"
#include "base/options.h"
#include "base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_MEASURED = 0, EXIT_FAILED = 1 };

struct options {
    struct settings settings;
    const char *filter; /* part of a case's name; null for all */
    const char *directory;
    const char *json;
    bool list;
};

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(EXIT_FAILED);
}

/* ---- The table and the JSON ---- */

static bool target_met(const struct bench_case *this_case, const struct result *result)
{
    return this_case->sense == AT_LEAST ? result->value >= this_case->target : result->value <= this_case->target;
}

static const char *sense_text(enum sense sense)
{
    return sense == AT_LEAST ? ">=" : sense == AT_MOST ? "<=" : "-";
}

static const char *verdict(const struct bench_case *this_case, const struct result *result)
{
    if (this_case->sense == NO_TARGET) {
        return "-";
    }
    return target_met(this_case, result) ? "yes" : "NO";
}

static void print_number(double value, const char *unit)
{
    char text[32];
    int digits = fabs(value) >= 100 ? 0 : fabs(value) >= 10 ? 1 : 2;
    if (isnan(value)) {
        snprintf(text, sizeof text, "-");
    } else {
        snprintf(text, sizeof text, "%.*f%s%s", digits, value, *unit ? " " : "", unit);
    }
    printf(" %12s", text);
}

static void print_head(void)
{
    printf("%-48s %7s %12s %12s %12s %15s %12s  %s\n", "what", "threads", "bare", "engine", "result", "quartiles",
           "target", "met");
}

static void print_row(const struct bench_case *this_case, const struct result *result)
{
    char target[32];
    char quartiles[32] = "-";
    snprintf(target, sizeof target, "-");
    if (this_case->sense != NO_TARGET) {
        snprintf(target, sizeof target, "%s %g%s%s", sense_text(this_case->sense), this_case->target,
                 *this_case->value_unit ? " " : "", this_case->value_unit);
    }
    if (!isnan(result->low)) {
        snprintf(quartiles, sizeof quartiles, "%.3f..%.3f", result->low, result->high);
    }
    printf("%-48s %7u", this_case->name, this_case->threads);
    print_number(result->bare, this_case->unit);
    print_number(result->engine, this_case->unit);
    char value[32] = "-";
    if (!isnan(result->value)) {
        snprintf(value, sizeof value, "%.3f%s%s", result->value, *this_case->value_unit ? " " : "",
                 this_case->value_unit);
    }
    printf(" %12s %15s %12s  %s\n", value, quartiles, target, verdict(this_case, result));
    fflush(stdout);
}

static json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_row(const struct bench_case *this_case, const struct result *result)
{
    return json_pack("{s:s, s:i, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:s, s:o, s:o}", "name", this_case->name, "threads",
                     (int)this_case->threads, "unit", this_case->unit, "bare", json_number(result->bare), "engine",
                     json_number(result->engine), "result_unit", this_case->value_unit, "result",
                     json_number(result->value), "lower_quartile", json_number(result->low), "upper_quartile",
                     json_number(result->high), "target_sense", sense_text(this_case->sense), "target",
                     json_number(this_case->target), "met",
                     this_case->sense == NO_TARGET ? json_null() : json_boolean(target_met(this_case, result)));
}

static json_t *json_machine(void)
{
    struct utsname name;
    if (uname(&name) != 0) {
        fail("uname: %s", strerror(errno));
    }
    return json_pack("{s:I, s:s, s:s}", "processors", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel", name.release,
                     "architecture", name.machine);
}

/* ---- Running the cases ---- */

struct totals {
    unsigned met;
    unsigned missed;
    json_t *rows;
};

static const struct {
    const struct bench_case *cases;
    const unsigned *count;
} groups[] = {
    {request_cases, &request_case_count},
    {scale_cases, &scale_case_count},
    {waiting_cases, &waiting_case_count},
    {in_flight_cases, &in_flight_case_count},
};
#define GROUPS (sizeof groups / sizeof groups[0])

static void run_cases(const struct bench_case *cases, unsigned count, const struct options *options,
                      struct totals *totals)
{
    for (unsigned i = 0; i < count; i++) {
        if (options->filter && !strstr(cases[i].name, options->filter)) {
            continue;
        }
        struct result result;
        cases[i].run(&cases[i], &options->settings, &result);
        print_row(&cases[i], &result);
        json_array_append_new(totals->rows, json_row(&cases[i], &result));
        if (cases[i].sense == NO_TARGET) {
            continue;
        }
        if (target_met(&cases[i], &result)) {
            totals->met++;
        } else {
            totals->missed++;
        }
    }
}

/* In the child: measures in `directory`, and writes the JSON to `json`, which is open. */
static int measure(const struct options *options, const char *directory, int json)
{
    if (chdir(directory) != 0) {
        fail("%s: %s", directory, strerror(errno));
    }
    struct totals totals = {.rows = json_array()};
    print_head();
    for (unsigned group = 0; group < GROUPS; group++) {
        run_cases(groups[group].cases, *groups[group].count, options, &totals);
    }
    printf("targets: %u met, %u missed\n", totals.met, totals.missed);

    json_t *root = json_pack("{s:s, s:b, s:o, s:o, s:i, s:i}", "version", ADDCOW_VERSION, "quick",
                             options->settings.quick, "machine", json_machine(), "cases", totals.rows, "met",
                             (int)totals.met, "missed", (int)totals.missed);
    if (!root || ftruncate(json, 0) != 0 || json_dumpfd(root, json, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0) {
        fail("%s: cannot be written", options->json);
    }
    json_decref(root);
    return EXIT_MEASURED;
}

/* ---- The parent: makes and removes the directory ---- */

static pid_t child;

static void forward_signal(int number)
{
    kill(child, number);
}

/* The signals that would end this process and leave the directory behind. */
static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

/*
 * Waits for the child; a signal that would end this process ends the child instead. The signals are blocked on entry.
 */
static int await_child(void)
{
    struct sigaction forward = {.sa_handler = forward_signal};
    sigaction(SIGINT, &forward, NULL);
    sigaction(SIGTERM, &forward, NULL);
    sigaction(SIGHUP, &forward, NULL);
    sigset_t ending = ending_signals();
    sigprocmask(SIG_UNBLOCK, &ending, NULL);
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            fail("waitpid: %s", strerror(errno));
        }
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    fprintf(stderr, "bench: ended by signal %d\n", WTERMSIG(status));
    return EXIT_FAILED;
}

static int run_in_child(const struct options *options)
{
    char directory[SCRATCH_PATH_BYTES];
    sigset_t ending = ending_signals();
    sigprocmask(SIG_BLOCK, &ending, NULL);
    if (!scratch_make(options->directory, "bench", directory)) {
        fail("%s: %s", directory, strerror(errno));
    }
    int json = open(options->json, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (json < 0) {
        rmdir(directory);
        fail("%s: %s", options->json, strerror(errno));
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &ending, NULL);
        exit(measure(options, directory, json));
    }
    int status = EXIT_FAILED;
    if (child > 0) {
        status = await_child();
    } else {
        fprintf(stderr, "bench: fork: %s\n", strerror(errno));
    }
    scratch_remove(directory);
    struct stat written;
    if (status != EXIT_MEASURED && fstat(json, &written) == 0 && written.st_size == 0) {
        unlink(options->json);
    }
    close(json);
    return status;
}

/* ---- Options ---- */

static int list_groups(void)
{
    for (unsigned group = 0; group < GROUPS; group++) {
        for (unsigned i = 0; i < *groups[group].count; i++) {
            printf("%s (%u)\n", groups[group].cases[i].name, groups[group].cases[i].threads);
        }
    }
    return EXIT_MEASURED;
}

static bool filter_matches(const char *filter)
{
    for (unsigned group = 0; group < GROUPS; group++) {
        for (unsigned i = 0; i < *groups[group].count; i++) {
            if (strstr(groups[group].cases[i].name, filter)) {
                return true;
            }
        }
    }
    return false;
}

/* The directory of this program; static storage. */
static const char *program_directory(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) {
        fail("/proc/self/exe: %s", strerror(errno));
    }
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    return path;
}

static void parse_options(int count, char **words, struct options *options)
{
    const struct option_row rows[] = {
        {"dir", "DIR", "make the files in a new directory below DIR, and remove them (default: beside this program)",
         .text = &options->directory},
        {"json", "FILE", "write the results to FILE (default: bench.json beside this program)", .text = &options->json},
        {"filter", "TEXT", "only cases whose name contains TEXT", .text = &options->filter},
        {"quick", NULL, "fewer rounds: a look, not a result", .flag = &options->settings.quick},
        {"list", NULL, "print the names of the cases", .flag = &options->list},
    };
    const struct options_command command = {
        .program = "bench",
        .call = "bench",
        .synopsis = "[OPTION]...",
        .purpose = "Measures the engine against bare file access and prints a table of ratios.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .notes = "Exit status: 0 measured, whether or not targets were met; 1 could not measure; 2 usage.\n",
    };
    int first = options_parse(&command, count, words, NULL);
    options_refuse_operands(&command, count, words, first);
    if (options->filter && !filter_matches(options->filter)) {
        options_refuse(&command, "--filter: no case has a name that contains '%s'; try --list", options->filter);
    }
}

int main(int argc, char **argv)
{
    static char json[PATH_MAX + 16];
    struct options options = {.directory = NULL};
    parse_options(argc, argv, &options);
    if (options.list) {
        return list_groups();
    }
    snprintf(json, sizeof json, "%s/bench.json", program_directory());
    options.directory = options.directory ? options.directory : program_directory();
    options.json = options.json ? options.json : json;
    return run_in_child(&options);
}
