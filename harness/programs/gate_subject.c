/*
 * What gate judges: an engine of this program, or a child process that says itself what it can do.
 */
#include "programs/gate_subject.h"

#include "adapters/adapter_exec.h"
#include "adapters/ref_disk.h"
#include "base/report.h"
#include "base/scratch.h"
#include "base/shell_word.h"
#include "nbd/nbd_server.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBD_PREFIX "nbd:"

static struct adapter *make_adapter(const struct corpus_subject *subject)
{
    return adapter_make(subject->name, NULL);
}

static struct adapter *make_child_adapter(const struct corpus_subject *subject)
{
    /* Less than the case may take, so that the adapter gives its child up before the case is given up. */
    return adapter_make_exec(subject->command, subject->directory, (int)subject->timeout * 900);
}

/*
 * An engine of this program in a process of its own, which can be killed: this program once more. The environment may
 * say how to start it, for programs that the system cannot start by itself, since they are for another processor.
 */
static struct adapter *make_process(const struct corpus_subject *subject)
{
    char program[PATH_MAX] = "";
    char command[64];
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) {
        return NULL;
    }
    setenv("ADDCOW_GATE", program, 0);
    snprintf(command, sizeof command, "exec \"$ADDCOW_GATE\" serve %s", subject->name);
    return adapter_make_exec(command, NULL, ADAPTER_EXEC_TIMEOUT);
}

/* The reference engine works on files mapped into memory: it makes none, and a mapping does not survive that its file
 * is cut. */
static const struct corpus_subject subjects[] = {
    {.name = "fast", .make = make_adapter, .make_process = make_process},
    {.name = "ref",
     .cannot = CORPUS_NEEDS_CREATE | CORPUS_NEEDS_CUT,
     .make = make_adapter,
     .make_process = make_process},
};

/* The needs of cases that an adapter does not claim. */
static unsigned cannot_of(const struct protocol_abilities *abilities)
{
    unsigned cannot = abilities->r9 ? 0 : CORPUS_NEEDS_R9;
    for (unsigned lack = 0; lack < PROTOCOL_LACKS; lack++) {
        for (unsigned need = 1; corpus_need_name(need); need <<= 1) {
            if (abilities->lacks & 1u << lack &&
                !strcmp(protocol_lack_name((enum protocol_lack)lack), corpus_need_name(need))) {
                cannot |= need;
            }
        }
    }
    return cannot;
}

/* Asks a child process what it can do. Says why and gives the exit code if it cannot be judged at all. */
static int meet_child(const char *name, const char *command, unsigned timeout, struct corpus_subject *subject,
                      struct protocol_abilities *abilities)
{
    char why[2048];
    *subject =
        (struct corpus_subject){.name = name, .command = command, .make = make_child_adapter, .timeout = timeout};
    struct adapter *adapter = make_child_adapter(subject);
    enum exec_state state = adapter_exec_state(adapter, why, sizeof why);
    if (state == EXEC_OK) {
        *abilities = *adapter_exec_abilities(adapter);
        subject->abilities = abilities;
        subject->cannot = cannot_of(abilities);
    } else {
        fprintf(stderr, "gate: the adapter %s: %s\n", exec_state_name(state), why);
    }
    adapter->ops->destroy(adapter);
    return state == EXEC_OK ? REPORT_CONFORMS : REPORT_CRASHED;
}

/* ---- Servers of NBD ---- */

/* Stores the path of the adapter of NBD servers, beside this program. False if it is not there. */
static bool find_door(const char *name, char path[2 * PATH_MAX])
{
    char program[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    snprintf(path, 2 * PATH_MAX, "%s/%s", length > 0 ? dirname(program) : ".", name);
    return access(path, X_OK) == 0;
}

/* The command of the adapter; with `option` and its value, which end it. The caller frees it. */
static char *make_door(const char *door, const struct gate_commands *commands, const char *option, const char *value)
{
    const char *const words[][2] = {{"--serve", commands->serve},   {"--create", commands->create},
                                    {"--resize", commands->resize}, {"--stream", commands->stream},
                                    {"--commit", commands->commit}, {option, value}};
    char *text = NULL;
    size_t size = 0;
    FILE *out = shell_command_open(door, &text, &size);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i][1] != NULL) {
            fprintf(out, " %s ", words[i][0]);
            shell_word_print(out, words[i][1]);
        }
    }
    fclose(out);
    return text;
}

/*
 * Has the adapter find out what the server can do, with a disk in a directory that is removed again. An interruption
 * waits for that.
 */
static int probe(const char *name, const char *door, const struct gate_commands *commands, unsigned timeout,
                 struct protocol_abilities *abilities)
{
    char directory[SCRATCH_PATH_BYTES];
    struct corpus_subject subject;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    int code = REPORT_INCOMPLETE;
    if (scratch_make(scratch_large_parent(), "add-cow-gate-nbd", directory)) {
        setenv(NBD_SOCKETS, directory, 1);
        char *command = make_door(door, commands, "--probe", directory);
        code = meet_child(name, command, timeout, &subject, abilities);
        free(command);
        scratch_remove(directory);
        unsetenv(NBD_SOCKETS);
    } else {
        fprintf(stderr, "gate: no temporary directory %s: %s\n", directory, strerror(errno));
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return code;
}

static int meet_server(const char *name, const struct gate_commands *commands, unsigned timeout,
                       struct corpus_subject *subject, struct protocol_abilities *abilities)
{
    char door[2 * PATH_MAX], known[128];
    if (!find_door(commands->door, door)) {
        fprintf(stderr, "gate: nbd: is left out of this build, which had no libnbd: there is no %s\n", door);
        return REPORT_USAGE;
    }
    if (!strstr(commands->serve, "file") || !strstr(commands->serve, "socket")) {
        fputs("gate: nbd: the command has to name {file} and {socket}\n", stderr);
        return REPORT_USAGE;
    }
    int code = probe(name, door, commands, timeout, abilities);
    if (code != REPORT_CONFORMS) {
        return code;
    }
    snprintf(known, sizeof known, "%u,%u,%u,%u,%u,%u", abilities->r20, abilities->r9, abilities->requests,
             abilities->granularity, (unsigned)abilities->level, abilities->lacks);
    *subject = (struct corpus_subject){.name = name,
                                       .command = make_door(door, commands, "--known", known),
                                       .cannot = cannot_of(abilities),
                                       .make = make_child_adapter,
                                       .timeout = timeout,
                                       .abilities = abilities};
    return REPORT_CONFORMS;
}

static char sockets[PATH_MAX + 8]; /* the directory of sockets; "": none */

void gate_make_sockets(const struct corpus_subject *subject, const char *directory)
{
    if (strncmp(subject->name, NBD_PREFIX, strlen(NBD_PREFIX)) == 0) {
        snprintf(sockets, sizeof sockets, "%s/sockets", directory);
        setenv(NBD_SOCKETS, sockets, 1);
        if (mkdir(sockets, 0700) != 0) {
            fprintf(stderr, "gate: %s: %s\n", sockets, strerror(errno));
        }
    }
}

void gate_remove_sockets(void)
{
    if (sockets[0] != '\0') {
        scratch_remove(sockets);
    }
}

static int find_subject(const char *name, const struct gate_commands *tools, unsigned timeout,
                        struct corpus_subject *subject, struct protocol_abilities *abilities)
{
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (!strcmp(subjects[i].name, name)) {
            *subject = subjects[i];
            return REPORT_CONFORMS;
        }
    }
    if (!strncmp(name, ADAPTER_EXEC_PREFIX, strlen(ADAPTER_EXEC_PREFIX))) {
        return meet_child(name, name + strlen(ADAPTER_EXEC_PREFIX), timeout, subject, abilities);
    }
    if (!strncmp(name, NBD_PREFIX, strlen(NBD_PREFIX))) {
        struct gate_commands commands = *tools;
        commands.serve = name + strlen(NBD_PREFIX);
        return meet_server(name, &commands, timeout, subject, abilities);
    }
    fprintf(stderr, "gate: no implementation \"%s\": there are %s, nbd:COMMAND\n", name, adapter_names());
    return REPORT_USAGE;
}

int gate_find_subject(const char *name, const struct gate_commands *tools, unsigned timeout,
                      struct corpus_subject *subject, struct protocol_abilities *abilities)
{
    int code = find_subject(name, tools, timeout, subject, abilities);
    if (code == REPORT_CONFORMS && !ref_disk_maps_large()) {
        subject->small_reference = true;
        subject->cannot |= !strcmp(name, "ref") ? CORPUS_NEEDS_LARGE : 0;
    }
    return code;
}
