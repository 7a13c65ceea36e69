/*
 * Replays a record on simulated storage, where crashes can be judged (storage/sim_crash.h).
 */
#ifndef HARNESS_REPLAY_H
#define HARNESS_REPLAY_H

#include "observe/record.h"
#include "storage/sim.h"

/*
 * Does to `sim`, which holds the files of the start, everything in the list. Fills moments[0, list->count]: the moment
 * of the storage before each entry, and behind the last. False, with the reason in `why`, if an entry cannot be
 * replayed.
 */
bool replay_records(const struct record_list *list, struct sim *sim, uint64_t *moments, char *why, size_t why_size);

/*
 * Whether the files in `directory` have the contents that the storage has. If not, something has changed them that the
 * observer did not see, and `why` says which.
 */
bool replay_agrees(const struct sim *sim, const char *directory, char *why, size_t why_size);

#endif
