/*
 * Takes a snapshot by reads and maps, or without maps from the metadata file, and compares it with the oracle.
 */
#include "judges/snapshot.h"

#include "adapters/adapter_exec.h"
#include "addcow_header.h"
#include "base/report.h"
#include "workload/stamp.h"
#include "adapters/perform.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES ((uint64_t)1 << 20)
#define WRITERS_SHOWN 4096u /* bytes whose writers are named behind a difference */

static bool failed(FILE *out, const char *request, uint64_t offset, enum addcow_status code,
                   const struct addcow_error *error)
{
    if (code != ADDCOW_OK) {
        fprintf(out, "%s at %" PRIu64 " of the disk at rest fails: %s: %s\n", request, offset, addcow_status_name(code),
                error->message);
    }
    return code != ADDCOW_OK;
}

static bool read_all(struct execution *execution, struct snapshot *snapshot, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (uint64_t at = 0; at < snapshot->size; at += READ_BYTES) {
        uint64_t length = snapshot->size - at < READ_BYTES ? snapshot->size - at : READ_BYTES;
        memset(snapshot->bytes + at, 0xA5, (size_t)length);
        execution_note(execution, false);
        if (failed(out, "read", at, adapter_read(execution->adapter, at, length, snapshot->bytes + at, &error),
                   &error)) {
            return false;
        }
    }
    return true;
}

/* MAP-01: at rest each map gives the longest length, so it ends at the end of a cluster, and statuses alternate. */
static bool map_all(struct execution *execution, uint64_t cluster_size, struct snapshot *snapshot, FILE *out)
{
    bool last = false;
    uint64_t at = 0;
    while (at < snapshot->size) {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        bool allocated = false;
        uint64_t length = 0;
        uint64_t left = snapshot->size - at;
        execution_note(execution, false);
        if (failed(out, "map", at, adapter_map(execution->adapter, at, left, &allocated, &length, &error), &error)) {
            return false;
        }
        bool ends_well = length == left || (length > 0 && length < left && length % cluster_size == 0);
        if (!ends_well || (at > 0 && allocated == last)) {
            fprintf(out,
                    "map of [%" PRIu64 ", %" PRIu64 ") answers %s for %" PRIu64
                    " bytes: not the longest run (MAP-01)\n",
                    at, snapshot->size, allocated ? "allocated" : "unallocated", length);
            return false;
        }
        uint64_t first = at / cluster_size;
        memset(snapshot->allocated + first, allocated,
               (size_t)(addcow_cluster_count(at + length, cluster_size) - first));
        last = allocated;
        at += length;
    }
    return true;
}

/* Reads a whole file. Null if that is not possible. The caller frees it. */
static uint8_t *read_file(const char *path, uint64_t *length)
{
    char *bytes = NULL;
    size_t size = 0;
    int byte;
    FILE *in = fopen(path, "re"), *out = in != NULL ? open_memstream(&bytes, &size) : NULL;
    while (out != NULL && (byte = getc(in)) != EOF) {
        putc(byte, out);
    }
    if (in != NULL) {
        fclose(in);
    }
    if (out != NULL) {
        fclose(out);
    }
    *length = size;
    return (uint8_t *)bytes;
}

/* Of an adapter that does not map: a flush brings the statuses into the file. */
static bool load_statuses(struct execution *execution, struct snapshot *snapshot, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_header header;
    uint64_t length = 0;
    if (failed(out, "flush", 0, adapter_flush(execution->adapter, &error), &error)) {
        return false;
    }
    uint8_t *bytes = read_file(execution->path, &length);
    bool good = bytes != NULL && addcow_decode(bytes, length, &header) == ADDCOW_RULE_NONE &&
                length >= header.header_size + (snapshot->clusters + 7) / 8;
    for (uint64_t k = 0; good && k < snapshot->clusters; k++) {
        bool all = (header.compatible_features & ADDCOW_ALL_ALLOCATED) != 0;
        snapshot->allocated[k] = all || (bytes[header.header_size + k / 8] >> k % 8 & 1) != 0;
    }
    if (!good) {
        fputs("after a flush the metadata file cannot be understood (DUR-01)\n", out);
    }
    free(bytes);
    return good;
}

static bool declares_map(struct adapter *adapter)
{
    const struct protocol_abilities *abilities = adapter_exec_abilities(adapter);
    return abilities == NULL || (abilities->requests & 1u << OPERATION_MAP) != 0;
}

static bool find_statuses(struct execution *execution, uint64_t cluster_size, struct snapshot *snapshot, FILE *out)
{
    return declares_map(execution->adapter) ? map_all(execution, cluster_size, snapshot, out)
                                            : load_statuses(execution, snapshot, out);
}

bool snapshot_take(struct execution *execution, uint64_t size, uint64_t cluster_size, struct snapshot *snapshot,
                   FILE *out)
{
    execution_note(execution, false);
    uint64_t got = execution->adapter->ops->size(execution->adapter);
    if (got != size) {
        fprintf(out, "the disk has %" PRIu64 " bytes instead of %" PRIu64 " (VRT-01, RSZ-01)\n", got, size);
        return false;
    }
    snapshot->size = size;
    snapshot->clusters = addcow_cluster_count(size, cluster_size);
    snapshot->bytes = report_allocate(size, 1);
    snapshot->allocated = report_allocate(snapshot->clusters, 1);
    if (!read_all(execution, snapshot, out) || !find_statuses(execution, cluster_size, snapshot, out)) {
        snapshot_free(snapshot);
        return false;
    }
    execution_note(execution, true);
    return true;
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->bytes);
    free(snapshot->allocated);
}

bool snapshot_judge(const struct snapshot *snapshot, const struct oracle *oracle, FILE *out)
{
    uint8_t *expected = report_allocate(oracle->disk.size, 1);
    addcow_ref_read(&oracle->disk, 0, oracle->disk.size, expected);
    size_t first = report_first_difference(expected, snapshot->bytes, (size_t)oracle->disk.size);
    if (first < oracle->disk.size) {
        uint64_t sector = first / 512 * 512;
        uint64_t shown = snapshot->size - sector < WRITERS_SHOWN ? snapshot->size - sector : WRITERS_SHOWN;
        fprintf(out, "byte %zu of the disk at rest differs (VRT-02)\n", first);
        report_hex_window(out, sector, expected + sector, snapshot->bytes + sector, (size_t)shown);
        fputs("  expected:\n", out);
        stamp_print_writers(out, sector, expected + sector, (size_t)shown);
        fputs("  got:\n", out);
        stamp_print_writers(out, sector, snapshot->bytes + sector, (size_t)shown);
    }
    free(expected);
    if (first < oracle->disk.size) {
        return false;
    }
    for (uint64_t k = 0; k < snapshot->clusters; k++) {
        if (oracle_is_allocated(oracle, k) != (snapshot->allocated[k] != 0)) {
            fprintf(out, "cluster %" PRIu64 " is %s instead of %s (WR-02, MAP-02)\n", k,
                    snapshot->allocated[k] ? "allocated" : "unallocated",
                    snapshot->allocated[k] ? "unallocated" : "allocated");
            return false;
        }
    }
    return true;
}
