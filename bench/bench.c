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
 * not the disk below it. Where waiting matters, it is put in: 1 ms on every file operation, or on every sync.
 *
 *   requests.c  requests to allocated clusters, and first writes
 *   scale.c     opening, memory, and how time grows with the disk
 *   waiting.c   allocations beside each other, and flushes that join
 *
 * The columns `bare` and `engine` are medians of what the case measures on both sides: nanoseconds for one operation,
 * MiB in a second, the growth from 1 GiB to 4 TiB, KiB of bits and of memory, flushes and syncs. `result` is what the
 * target is about.
 *
 * The work is done in a child process, in a directory of its own; the parent removes it whatever becomes of the child.
 *
 * Exit status: 0 if every case was measured, even when targets were missed: a time is information, never a test. 1 if a
 * case could not be measured, 2 for wrong usage.
 */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

enum { EXIT_MEASURED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
    struct settings settings;
    const char *filter; /* part of a case's name; "" for all */
    const char *directory;
    const char *json;
};

static const char usage_text[] =
    "usage: bench [--dir DIR] [--json FILE] [--filter TEXT] [--quick] [--list]\n"
    "\n"
    "Measures the engine against bare file access and prints a table of ratios.\n"
    "\n"
    "  --dir DIR      make the files in a new directory below DIR, and remove them (default: beside this program)\n"
    "  --json FILE    write the results to FILE (default: bench.json beside this program)\n"
    "  --filter TEXT  only cases whose name contains TEXT\n"
    "  --quick        fewer rounds: a look, not a result\n"
    "  --list         print the names of the cases\n"
    "\n"
    "Exit status: 0 measured, whether or not targets were met; 1 could not measure; 2 usage.\n";

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
};
#define GROUPS (sizeof groups / sizeof groups[0])

static void run_cases(const struct bench_case *cases, unsigned count, const struct options *options,
                      struct totals *totals)
{
    for (unsigned i = 0; i < count; i++) {
        if (!strstr(cases[i].name, options->filter)) {
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

/* ---- The parent: a directory that does not outlive the run ---- */

static pid_t child;

static void forward_signal(int number)
{
    kill(child, number);
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    closedir(directory);
    rmdir(path);
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
    char directory[PATH_MAX];
    sigset_t ending = ending_signals();
    sigprocmask(SIG_BLOCK, &ending, NULL);
    snprintf(directory, sizeof directory, "%s/bench-XXXXXX", options->directory);
    if (!mkdtemp(directory)) {
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
    remove_directory(directory);
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

/* Returns -1, or the status to exit with. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},
        {"json", required_argument, NULL, 'j'},
        {"quick", no_argument, NULL, 'q'},
        {"filter", required_argument, NULL, 'f'},
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'd':
            options->directory = optarg;
            break;
        case 'j':
            options->json = optarg;
            break;
        case 'q':
            options->settings.quick = true;
            break;
        case 'f':
            options->filter = optarg;
            break;
        case 'l':
            return list_groups();
        case 'h':
            fputs(usage_text, stdout);
            return EXIT_MEASURED;
        default:
            fputs(usage_text, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc && filter_matches(options->filter)) {
        return -1;
    }
    fputs(optind < argc ? usage_text : "bench: no case has a name that contains the filter; try --list\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static char json[PATH_MAX + 16];
    snprintf(json, sizeof json, "%s/bench.json", program_directory());
    struct options options = {.filter = "", .directory = program_directory(), .json = json};
    int status = parse_options(argc, argv, &options);
    return status >= 0 ? status : run_in_child(&options);
}
