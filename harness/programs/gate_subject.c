/*
 * What gate judges: an engine of this program, or a child process that says itself what it can do.
 */
#include "programs/gate_subject.h"

#include "adapters/adapter_exec.h"
#include "adapters/ref_disk.h"
#include "base/report.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct adapter *make_adapter(const struct corpus_subject *subject)
{
    return adapter_make(subject->name, NULL);
}

static struct adapter *make_child_adapter(const struct corpus_subject *subject)
{
    /* Less than the case may take, so that the adapter gives its child up before the case is given up. */
    return adapter_make_exec(subject->name + strlen(ADAPTER_EXEC_PREFIX), subject->directory,
                             (int)subject->timeout * 900);
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
static int meet_child(const char *name, unsigned timeout, struct corpus_subject *subject,
                      struct protocol_abilities *abilities)
{
    char why[2048];
    *subject = (struct corpus_subject){.name = name, .make = make_child_adapter, .timeout = timeout};
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

int gate_find_subject(const char *name, unsigned timeout, struct corpus_subject *subject,
                      struct protocol_abilities *abilities)
{
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (!strcmp(subjects[i].name, name)) {
            *subject = subjects[i];
            if (!strcmp(name, "ref") && !ref_disk_maps_large()) {
                subject->cannot |= CORPUS_NEEDS_LARGE;
            }
            return REPORT_CONFORMS;
        }
    }
    if (!strncmp(name, ADAPTER_EXEC_PREFIX, strlen(ADAPTER_EXEC_PREFIX))) {
        return meet_child(name, timeout, subject, abilities);
    }
    fprintf(stderr, "gate: no implementation \"%s\": there are %s\n", name, adapter_names());
    return REPORT_USAGE;
}
