/*
 * Fault injection: the hook that counts calls and lets one of them fail, and the text of a plan.
 */
#include "storage/fault_injection.h"

#include "base/number.h"
#include "workload/disk_files.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const kind_names[FAULT_KINDS] = {"EIO", "ENOSPC", "EINTR", "short"};

static bool is_about(const struct fault_injection *fault, enum sim_call call, const char *name)
{
    return call == fault->call && strcmp(name, fault->name) == 0;
}

static bool is_hit(struct fault_injection *fault, enum sim_call call, const char *name)
{
    if (fault->one_kind && !is_about(fault, call, name)) {
        return false;
    }
    fault->calls++;
    bool lasts = fault->persistent || fault->kills;
    bool hit = fault->at != 0 && (lasts ? fault->calls >= fault->at : fault->calls == fault->at);
    if (fault->calls == fault->at) {
        fault->call = call;
        snprintf(fault->name, sizeof fault->name, "%s", name);
    }
    /* A persistent fault concerns one kind of call on one file. A dead process makes no call at all. */
    return hit && (fault->kills || is_about(fault, call, name));
}

/* About half of a transfer. With `sim` it ends between two sectors; otherwise it would tear a sector. */
static size_t shorten(const struct fault_injection *fault, size_t size)
{
    if (fault->sim == NULL) {
        return size > 1 ? size / 2 | 1 : size;
    }
    uint64_t offset = sim_transfer_offset(fault->sim);
    uint64_t end = (offset + size / 2) / SIM_SECTOR * SIM_SECTOR;
    uint64_t first = (offset / SIM_SECTOR + 1) * SIM_SECTOR;
    end = end > offset ? end : first;
    return end - offset < size ? (size_t)(end - offset) : size;
}

int fault_injection_hook(void *context, enum sim_call call, const char *name, size_t *size)
{
    static const int errors[FAULT_KINDS] = {EIO, ENOSPC, EINTR, 0};
    struct fault_injection *fault = context;
    if (!is_hit(fault, call, name)) {
        return 0;
    }
    if (fault->kills) {
        return SIM_DEAD;
    }
    bool transfer = call == SIM_PREAD || call == SIM_PWRITE;
    if (fault->kind == FAULT_SHORT) {
        *size = transfer ? shorten(fault, *size) : *size;
        return 0;
    }
    bool lasting = fault->kind != FAULT_EINTR;
    if (lasting && call == SIM_SYNC && strcmp(name, DISK_CHAIN_TOP_IMAGE) == 0) {
        fault->below_lost = true;
    }
    if (lasting && call == SIM_SYNC && strcmp(name, DISK_IMAGE) == 0 && !fault->image_lost) {
        fault->image_lost = true;
        fault->lost = fault->sim != NULL ? sim_moment(fault->sim) + 1 : 0;
    }
    fault->failed++;
    /* An interrupted close has closed the file; POSIX storage does not report it (storage_posix.c). */
    return call == SIM_CLOSE && !lasting ? 0 : -errors[fault->kind];
}

void fault_injection_begin(struct fault_injection *fault)
{
    fault->calls = fault->failed = 0;
    fault->image_lost = fault->below_lost = false;
    fault->lost = 0;
}

bool fault_injection_was_hit(const struct fault_injection *fault)
{
    return fault->at != 0 && fault->calls >= fault->at;
}

bool fault_injection_is_harmless(const struct fault_injection *fault)
{
    return fault->kind == FAULT_EINTR || fault->kind == FAULT_SHORT;
}

bool fault_injection_explains(const struct fault_injection *fault, enum addcow_status code)
{
    if (!fault_injection_was_hit(fault) || fault_injection_is_harmless(fault)) {
        return false;
    }
    return code == (fault->kind == FAULT_ENOSPC ? ADDCOW_NOSPACE : ADDCOW_IO) ||
           ((fault->image_lost || fault->below_lost) && code == ADDCOW_IO);
}

void fault_injection_print(const struct fault_injection *fault, FILE *out)
{
    if (fault->kills) {
        fprintf(out, "the process dies at call %" PRIu64 ", %s of %s", fault->at, sim_call_name(fault->call),
                fault->name);
        return;
    }
    fprintf(out, "%s at call %" PRIu64 "%s, %s of %s, %s",
            fault->kind == FAULT_SHORT ? "a short transfer" : kind_names[fault->kind], fault->at,
            fault->one_kind ? " of its kind" : "", sim_call_name(fault->call), fault->name,
            fault->persistent ? "and all like it" : "once");
}

void fault_injection_print_text(const struct fault_injection *fault, FILE *out)
{
    fprintf(out, "%s at %s %" PRIu64 " of %s%s", kind_names[fault->kind], sim_call_name(fault->call), fault->at,
            fault->name, fault->persistent ? " persistent" : "");
}

const char *fault_injection_parse(char *const *words, unsigned count, struct fault_injection *fault)
{
    *fault = (struct fault_injection){.one_kind = true};
    bool is_form = (count == 6 || (count == 7 && strcmp(words[6], "persistent") == 0)) && strcmp(words[1], "at") == 0 &&
                   strcmp(words[4], "of") == 0;
    if (!is_form) {
        return "expected 'fault KIND at CALL NUMBER of FILE [persistent]'";
    }
    fault->persistent = count == 7;
    while (fault->kind < FAULT_KINDS && strcmp(words[0], kind_names[fault->kind]) != 0) {
        fault->kind++;
    }
    if (fault->kind == FAULT_KINDS) {
        return "the kind of a fault is EIO, ENOSPC, EINTR or short";
    }
    while (fault->call < SIM_CALLS && strcmp(words[2], sim_call_name(fault->call)) != 0) {
        fault->call++;
    }
    if (fault->call == SIM_CALLS) {
        return "a fault at an unknown call";
    }
    if (number_parse_decimal(words[3], &fault->at) != NUMBER_OK || fault->at == 0) {
        return "the number of the call that fails is not 1 or more";
    }
    if (strlen(words[5]) >= sizeof fault->name) {
        return "a fault in a file with a long name";
    }
    snprintf(fault->name, sizeof fault->name, "%s", words[5]);
    bool hangs = fault->persistent && fault->kind == FAULT_EINTR;
    return hangs ? "EINTR cannot be persistent: the call would be repeated for ever" : NULL;
}
