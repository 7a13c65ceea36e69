/*
 * A storage fault with any error of the operating system.
 */
#include "lib/storage_fault.h"

#include <errno.h>

struct storage_fault storage_fault_choose(const uint8_t *bytes)
{
    static const int errors[] = {0,      EACCES, EPERM,  EROFS,   EDQUOT,  EINVAL, ENAMETOOLONG, ELOOP,
                                 ENODEV, ENXIO,  EISDIR, ETXTBSY, ENOTDIR, ENOENT, EEXIST,       EOPNOTSUPP};
    unsigned way = bytes[1];
    struct storage_fault fault = {.inject = {.at = 1 + bytes[0], .kind = (enum fault_kind)(way % FAULT_KINDS)}};
    fault.inject.persistent = !fault_injection_is_harmless(&fault.inject) && way / FAULT_KINDS % 2 == 1;
    if (fault.inject.kind == FAULT_EIO) {
        fault.errnum = errors[way / (2 * FAULT_KINDS) % (sizeof errors / sizeof errors[0])];
    }
    return fault;
}

static int hook(void *context, enum sim_call call, const char *name, size_t *size)
{
    struct storage_fault *fault = context;
    int result = fault_injection_hook(&fault->inject, call, name, size);
    return result == -EIO && fault->errnum != 0 ? -fault->errnum : result;
}

void storage_fault_begin(struct storage_fault *fault, struct sim *sim)
{
    fault_injection_begin(&fault->inject);
    sim_set_hook(sim, hook, fault);
}

bool storage_fault_explains(const struct storage_fault *fault, enum addcow_status code)
{
    const struct fault_injection *inject = &fault->inject;
    bool hit = fault_injection_was_hit(inject);
    /* A sync of the image that failed is final, whatever the image is called (DUR-07). */
    bool final = hit && inject->call == SIM_SYNC && !fault_injection_is_harmless(inject) && code == ADDCOW_IO;
    return fault_injection_explains(inject, code) || final || (hit && fault->errnum != 0);
}
