/*
 * The states that a crash of a simulated storage may leave (sim.h says which these are).
 */
#ifndef HARNESS_SIM_CRASH_H
#define HARNESS_SIM_CRASH_H

#include "storage/choices.h"
#include "storage/sim.h"

struct sim_crash_options {
    /*
     * For these files, null-terminated, one choice is made for the whole file: every sector gets its first version, or
     * its second, and so on. That suffices where a judgement depends on one sector of each such file at a time.
     */
    const char *const *uniform;
    struct {
        const char *name; /* of a file whose sectors tear from `from` bytes on; may be null */
        uint64_t from;
    } torn[2];
};

/*
 * Makes `to` the storage after a crash of `from` at `moment`, from 0 to sim_moment. Nothing is open in `to`.
 */
void sim_crash(const struct sim *from, uint64_t moment, const struct sim_crash_options *options,
               struct choices *choices, struct sim *to);

#endif
