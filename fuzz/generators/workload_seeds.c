/*
 * Seeds that are workloads: generated ones, and those of the corpus that once failed.
 */
#include "generators/seeds.h"
#include "explore/trace_file.h"
#include "workload/generate.h"
#include "base/random.h"
#include "base/report.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define WORKLOADS 800u
#define SINGLE_THREADED 400u /* fewer: these are executed on real files, which takes longer */
#define CHOICES_MAX_BYTES 48u

/* Workloads that once failed. */
void generate_regression_seeds(const char *directory)
{
    static struct trace_file file;
    char pattern[PATH_MAX];
    char error[512];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/regressions/*.trace", directory);
    if (glob(pattern, 0, NULL, &found) != 0) {
        report_fatal("no %s", pattern);
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (!trace_file_load(found.gl_pathv[i], &file, error, sizeof error)) {
            report_fatal("%s", error);
        }
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        struct fuzz_input input = {.parts[FUZZ_TRACE] = seed_trace(&file.trace)};
        seed_store("fuzz_schedule", name, &input);
        seed_store("fuzz_crash", name, &input);
        seed_store("fuzz_fault", name, &input);
        trace_file_free(&file);
    }
    globfree(&found);
}

static void make_workload(uint32_t number)
{
    static struct trace trace;
    uint8_t choices[CHOICES_MAX_BYTES];
    char name[32];
    struct random random = {number};
    struct fuzz_input input = {.parts[FUZZ_CHOICES] = {choices, 0}};
    snprintf(name, sizeof name, "workload-%u", number);
    if (number < SINGLE_THREADED) {
        struct generate_options alone = {.threads = 1, .operations = 24};
        generate_trace(number, &alone, &trace);
        input.parts[FUZZ_TRACE] = seed_trace(&trace);
        seed_store("fuzz_trace", name, &input);
    }

    struct generate_small_options together = {.threads = 3, .operations = 2, .whole_disk = number % 4 == 0};
    generate_small_trace(number, &together, &trace);
    for (size_t i = 0; i < sizeof choices; i++) {
        choices[i] = (uint8_t)random_next(&random);
    }
    input.parts[FUZZ_CHOICES].count = sizeof choices;
    input.parts[FUZZ_TRACE] = seed_trace(&trace);
    seed_store("fuzz_schedule", name, &input);
    seed_store("fuzz_crash", name, &input);
    choices[0] %= 40; /* about so many calls are made */
    seed_store("fuzz_fault", name, &input);
}

void generate_workload_seeds(void)
{
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        make_workload(i);
    }
}
