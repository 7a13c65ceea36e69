/*
 * The states that a crash of a simulated storage may leave (sim.h says which these are).
 */
#ifndef HARNESS_SIM_CRASH_H
#define HARNESS_SIM_CRASH_H

#include "storage/choices.h"
#include "storage/sim.h"

struct sim_crash_options {
    /*
     * Choices are for whole files of these names, null-terminated: one version of every sector, the first, the second,
     * ... of its own. This suffices where what is judged depends on one sector of each such file at a time.
     */
    const char *const *uniform;
    struct {
        const char *name; /* of a file whose sectors tear from `from` bytes on; may be null */
        uint64_t from;
    } torn[2];
};

/*
 * Makes `to` what is left on the disk of `from` after a crash at `moment`, at least 0 and at most sim_moment. Nothing
 * is open in `to`.
 */
void sim_crash(const struct sim *from, uint64_t moment, const struct sim_crash_options *options,
               struct choices *choices, struct sim *to);

#endif
