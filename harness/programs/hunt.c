/*
 * hunt: random workloads, judged against the reference engine. Each subcommand has a file of its own.
 */
#include "programs/hunt.h"

#include "base/random.h"
#include "base/report.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_SECONDS 60u

static const struct {
    const char *name;
    const char *meaning;
    int (*run)(int count, char **words);
} commands[] = {
    {"stress", "random workloads on real threads and real files", hunt_stress},
    {"explore", "the production engine under a deterministic scheduler: schedules, crashes, faults", hunt_explore},
    {"replay", "run the workload of a trace file again, as the file says", hunt_replay},
    {"bench", "count schedules per second", hunt_bench},
};

void hunt_set_defaults(uint64_t *seed, uint64_t traces, uint64_t *seconds)
{
    if (*seed == HUNT_NO_SEED) {
        *seed = random_seed();
    }
    if (traces == 0 && *seconds == 0) {
        *seconds = DEFAULT_SECONDS;
    }
}

void hunt_take_reason(const char *message, char reason[HUNT_REASON_BYTES])
{
    message += strspn(message, "\n");
    snprintf(reason, HUNT_REASON_BYTES, "%.*s", (int)strcspn(message, "\n"), message);
}

void hunt_print_failure(const char *reason, const char *command)
{
    printf("hunt: failed: %s; run it again: %s\n", reason, command);
}

static void print_overview(FILE *out)
{
    fputs("Usage: " PROGRAM_PREFIX
          "hunt COMMAND [OPTION]...\n"
          "Runs random workloads on an add-cow implementation and judges them by the reference engine.\n\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].meaning);
    }
    fputs("\n'" PROGRAM_PREFIX "hunt COMMAND --help' lists the options of a command.\n\n" HUNT_EXIT_STATUS, out);
}

int main(int count, char **words)
{
    if (count < 2 || strcmp(words[1], "--help") == 0) {
        print_overview(count < 2 ? stderr : stdout);
        return count < 2 || fflush(stdout) != 0 ? REPORT_USAGE : REPORT_CONFORMS;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(words[1], commands[i].name) == 0) {
            return commands[i].run(count - 1, words + 1);
        }
    }
    fprintf(stderr, "hunt: unknown %s '%s'\nTry '" PROGRAM_PREFIX "hunt --help'.\n",
            words[1][0] == '-' ? "option" : "command", words[1]);
    return REPORT_USAGE;
}
