/*
 * A call of the storage that fails, with any error of the operating system.
 */
#include "lib/storage_fault.h"

#include <errno.h>

struct failing failing_choose(const uint8_t *bytes)
{
    static const int errors[] = {0,      EACCES, EPERM,  EROFS,   EDQUOT,  EINVAL, ENAMETOOLONG, ELOOP,
                                 ENODEV, ENXIO,  EISDIR, ETXTBSY, ENOTDIR, ENOENT, EEXIST,       EOPNOTSUPP};
    unsigned way = bytes[1];
    struct failing failing = {.inject = {.at = 1 + bytes[0], .kind = (enum fault_kind)(way % FAULT_KINDS)}};
    failing.inject.persistent = !fault_injection_is_harmless(&failing.inject) && way / FAULT_KINDS % 2 == 1;
    if (failing.inject.kind == FAULT_EIO) {
        failing.errnum = errors[way / (2 * FAULT_KINDS) % (sizeof errors / sizeof errors[0])];
    }
    return failing;
}

static int hook(void *context, enum sim_call call, const char *name, size_t *size)
{
    struct failing *failing = context;
    int result = fault_injection_hook(&failing->inject, call, name, size);
    return result == -EIO && failing->errnum != 0 ? -failing->errnum : result;
}

void failing_begin(struct failing *failing, struct sim *sim)
{
    fault_injection_begin(&failing->inject);
    sim_set_hook(sim, hook, failing);
}

bool failing_explains(const struct failing *failing, enum addcow_status code)
{
    const struct fault_injection *inject = &failing->inject;
    bool hit = fault_injection_was_hit(inject);
    /* A sync of the image that failed is final, whatever the image is called (DUR-07). */
    bool final = hit && inject->call == SIM_SYNC && !fault_injection_is_harmless(inject) && code == ADDCOW_IO;
    return fault_injection_explains(inject, code) || final || (hit && failing->errnum != 0);
}
