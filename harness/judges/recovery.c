/*
 * Writes after a fault.
 */
#include "judges/recovery.h"
#include "adapters/perform.h"

#define SECTOR 512u
#define CLUSTERS 9u /* that are written, at most: more than one byte of the bitmap covers */

bool recovery_write(struct adapter *adapter, uint64_t size, uint64_t cluster_size, struct stamp stamp,
                    recovery_note *note, void *context, FILE *out)
{
    uint8_t sector[SECTOR];
    for (uint64_t at = SECTOR; at + SECTOR <= size && at < CLUSTERS * cluster_size; at += cluster_size) {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        stamp_fill(stamp, at, sector, sizeof sector);
        enum addcow_status code = adapter_write(adapter, at, sizeof sector, sector, &error);
        if (code != ADDCOW_OK) {
            fprintf(out, "a write after the fault gives %s: %s (ERR-03)\n", addcow_status_name(code), error.message);
            return false;
        }
        note(context, at, sizeof sector, sector);
    }
    return true;
}
