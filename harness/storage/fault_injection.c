/*
 * Faults: which call of a simulated storage fails, and how.
 */
#include "storage/fault_injection.h"

#include "workload/disk_files.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const kind_names[INJECT_KINDS] = {"EIO", "ENOSPC", "EINTR", "short"};

static bool is_about(const struct inject *inject, enum sim_call call, const char *name)
{
    return call == inject->call && strcmp(name, inject->name) == 0;
}

static bool is_hit(struct inject *inject, enum sim_call call, const char *name)
{
    if (inject->one_kind && !is_about(inject, call, name)) {
        return false;
    }
    inject->calls++;
    bool lasts = inject->persistent || inject->kills;
    bool hit = inject->at != 0 && (lasts ? inject->calls >= inject->at : inject->calls == inject->at);
    if (inject->calls == inject->at) {
        inject->call = call;
        snprintf(inject->name, sizeof inject->name, "%s", name);
    }
    /* A persistent fault is one of one kind of call on one file; who is dead makes no call at all. */
    return hit && (inject->kills || is_about(inject, call, name));
}

/* About half of a transfer. With `sim` it ends between two sectors, or else its last sector would be torn. */
static size_t shorten(const struct inject *inject, size_t size)
{
    if (inject->sim == NULL) {
        return size > 1 ? size / 2 | 1 : size;
    }
    uint64_t offset = sim_transfer_offset(inject->sim);
    uint64_t end = (offset + size / 2) / SIM_SECTOR * SIM_SECTOR;
    uint64_t first = (offset / SIM_SECTOR + 1) * SIM_SECTOR;
    end = end > offset ? end : first;
    return end - offset < size ? (size_t)(end - offset) : size;
}

int inject_hook(void *context, enum sim_call call, const char *name, size_t *size)
{
    static const int errors[INJECT_KINDS] = {EIO, ENOSPC, EINTR, 0};
    struct inject *inject = context;
    if (!is_hit(inject, call, name)) {
        return 0;
    }
    if (inject->kills) {
        return SIM_DEAD;
    }
    bool transfer = call == SIM_PREAD || call == SIM_PWRITE;
    if (inject->kind == INJECT_SHORT) {
        *size = transfer ? shorten(inject, *size) : *size;
        return 0;
    }
    bool lasting = inject->kind != INJECT_EINTR;
    if (lasting && call == SIM_SYNC && strcmp(name, DISK_CHAIN_TOP_IMAGE) == 0) {
        inject->below_lost = true;
    }
    if (lasting && call == SIM_SYNC && strcmp(name, DISK_IMAGE) == 0 && !inject->image_lost) {
        inject->image_lost = true;
        inject->lost = inject->sim != NULL ? sim_moment(inject->sim) + 1 : 0;
    }
    /* A close that is interrupted has closed; POSIX storage does not report it (storage_posix.c). */
    return call == SIM_CLOSE && !lasting ? 0 : -errors[inject->kind];
}

void inject_begin(struct inject *inject)
{
    inject->calls = 0;
    inject->image_lost = inject->below_lost = false;
    inject->lost = 0;
}

bool inject_was_hit(const struct inject *inject)
{
    return inject->at != 0 && inject->calls >= inject->at;
}

bool inject_is_harmless(const struct inject *inject)
{
    return inject->kind == INJECT_EINTR || inject->kind == INJECT_SHORT;
}

bool inject_explains(const struct inject *inject, enum addcow_status code)
{
    if (!inject_was_hit(inject) || inject_is_harmless(inject)) {
        return false;
    }
    return code == (inject->kind == INJECT_ENOSPC ? ADDCOW_NOSPACE : ADDCOW_IO) ||
           ((inject->image_lost || inject->below_lost) && code == ADDCOW_IO);
}

void inject_print(const struct inject *inject, FILE *out)
{
    if (inject->kills) {
        fprintf(out, "the process dies at call %" PRIu64 ", %s of %s", inject->at, sim_call_name(inject->call),
                inject->name);
        return;
    }
    fprintf(out, "%s at call %" PRIu64 "%s, %s of %s, %s",
            inject->kind == INJECT_SHORT ? "a short transfer" : kind_names[inject->kind], inject->at,
            inject->one_kind ? " of its kind" : "", sim_call_name(inject->call), inject->name,
            inject->persistent ? "and all like it" : "once");
}

void inject_print_text(const struct inject *inject, FILE *out)
{
    fprintf(out, "%s %" PRIu64 " %s %s %s", kind_names[inject->kind], inject->at, sim_call_name(inject->call),
            inject->name, inject->persistent ? "on" : "once");
}

bool inject_parse(const char *text, struct inject *inject)
{
    char kind[16];
    char call[16];
    char how[8];
    *inject = (struct inject){.one_kind = true};
    if (sscanf(text, "%15s %" SCNu64 " %15s %63s %7s", kind, &inject->at, call, inject->name, how) != 5) {
        return false;
    }
    inject->persistent = strcmp(how, "on") == 0;
    while (inject->kind < INJECT_KINDS && strcmp(kind, kind_names[inject->kind]) != 0) {
        inject->kind++;
    }
    while (inject->call < SIM_CALLS && strcmp(call, sim_call_name(inject->call)) != 0) {
        inject->call++;
    }
    return inject->kind < INJECT_KINDS && inject->call < SIM_CALLS && inject->at > 0;
}
