/*
 * A census of workloads. A dimension is a row of the table below, with a function that finds the value of a disk or of
 * a request.
 */
#include "workload/census.h"

#include "addcow_header.h"

#include <inttypes.h>

#define SECTOR 512u
#define BUFFER 8192u /* what the judged build copies at once (sched/addcow_sizes.h) */
#define NO_VALUE CENSUS_VALUES

/* What a value is found from. */
struct subject {
    const struct trace *trace;
    const struct trace_operation *operation; /* of a request */
    uint64_t block;
    uint64_t cluster;
    uint64_t size; /* of the disk at the start */
};

/* ---- Disks ---- */

static unsigned layout_of(const struct subject *s)
{
    return s->trace->disk.layout == ADDCOW_R9;
}

static unsigned cluster_of(const struct subject *s)
{
    return s->trace->disk.cluster_bits - 12;
}

static unsigned clusters_of(const struct subject *s)
{
    uint64_t count = addcow_cluster_count(s->size, s->cluster);
    return count < 2 ? (unsigned)count : count <= 8 ? 2 : count <= 64 ? 3 : 4;
}

static unsigned blocks_of(const struct subject *s)
{
    uint64_t count = addcow_cluster_count(addcow_cluster_count(s->size, s->cluster), s->block);
    return count < 1 ? 0 : count > 4 ? 3 : (unsigned)count - 1;
}

static unsigned end_of(const struct subject *s)
{
    return s->size % s->cluster == 0 ? 0 : s->size % SECTOR == 0 ? 1 : 2;
}

static unsigned allocation_of(const struct subject *s)
{
    return s->trace->disk.allocation;
}

static unsigned unknown_of(const struct subject *s)
{
    return s->trace->disk.unknown_compatible;
}

static unsigned backing_of(const struct subject *s)
{
    uint64_t length = s->trace->disk.backing_size;
    if (!s->trace->disk.has_backing) {
        return 0;
    }
    return length == 0 ? 1 : length < s->size ? 2 : length == s->size ? 3 : 4;
}

static unsigned chain_of(const struct subject *s)
{
    return s->trace->disk.has_backing ? s->trace->disk.chain : NO_VALUE;
}

static unsigned levels_of(const struct subject *s)
{
    return s->trace->disk.chain > 0 ? s->trace->disk.seed % 4 >= 2 : NO_VALUE;
}

static unsigned holes_of(const struct subject *s)
{
    uint32_t seed = s->trace->disk.seed;
    return seed % 16 == 15 ? 3 : seed % 4 == 3 ? 2 : seed % 2 == 1 ? 1 : 0;
}

static unsigned threads_of(const struct subject *s)
{
    uint32_t threads = s->trace->threads;
    return threads <= 4 ? threads - 1 : threads <= 8 ? 4 : 5;
}

/* ---- Requests ---- */

static unsigned kind_of(const struct subject *s)
{
    return s->operation->kind <= TRACE_REOPEN ? s->operation->kind : NO_VALUE;
}

static bool has_range(const struct subject *s)
{
    return operation_has_range(s->operation->kind);
}

static unsigned length_of(const struct subject *s)
{
    uint64_t length = s->operation->length;
    if (!has_range(s)) {
        return NO_VALUE;
    }
    return length == 0            ? 0
           : length < SECTOR      ? 1
           : length < s->cluster  ? 2
           : length == s->cluster ? 3
           : length <= BUFFER     ? 4
           : length <= 2 * BUFFER ? 5
                                  : 6;
}

static unsigned alignment_of(const struct subject *s)
{
    uint64_t begin = s->operation->offset;
    uint64_t end = begin + s->operation->length;
    if (!has_range(s)) {
        return NO_VALUE;
    }
    return begin % s->cluster == 0 && end % s->cluster == 0 ? 0
           : begin % SECTOR == 0 && end % SECTOR == 0       ? 1
           : begin % SECTOR == 0                            ? 2
           : end % SECTOR == 0                              ? 3
                                                            : 4;
}

static unsigned reach_of(const struct subject *s)
{
    uint64_t begin = s->operation->offset;
    uint64_t last = begin + s->operation->length - 1;
    if (!has_range(s) || s->operation->length == 0) {
        return NO_VALUE;
    }
    if (last < begin || last >= s->size) {
        return 5;
    }
    uint64_t block = s->block * s->cluster;
    return s->operation->length == s->size               ? 4
           : begin / block != last / block               ? 3
           : begin / s->cluster == last / s->cluster     ? 0
           : last / s->cluster - begin / s->cluster == 1 ? 1
                                                         : 2;
}

static unsigned change_of(const struct subject *s)
{
    uint64_t size = s->operation->offset;
    if (s->operation->kind != OPERATION_RESIZE) {
        return NO_VALUE;
    }
    return size > TRACE_SIZE_MAX ? 4 : size == 0 ? 0 : size < s->size ? 1 : size == s->size ? 2 : 3;
}

static unsigned new_end_of(const struct subject *s)
{
    uint64_t size = s->operation->offset;
    if (s->operation->kind != OPERATION_RESIZE || size > TRACE_SIZE_MAX) {
        return NO_VALUE;
    }
    return size % (s->block * s->cluster) == 0 ? 3 : size % s->cluster == 0 ? 2 : size % SECTOR == 0 ? 1 : 0;
}

/* ---- The table ---- */

static const struct {
    const char *name;
    bool of_request;
    unsigned (*find)(const struct subject *subject); /* the index of the value, or NO_VALUE */
    const char *values[CENSUS_VALUES];
} dimensions[] = {
    {"layout", false, layout_of, {"r20", "r9"}},
    {"cluster size",
     false,
     cluster_of,
     {"4 KiB", "8 KiB", "16 KiB", "32 KiB", "64 KiB", "128 KiB", "256 KiB", "512 KiB", "1 MiB", "2 MiB"}},
    {"clusters", false, clusters_of, {"0", "1", "2 to 8", "9 to 64", "more"}},
    {"blocks of the bitmap", false, blocks_of, {"1", "2", "3", "more"}},
    {"end of the disk", false, end_of, {"of a cluster", "of a sector", "inside a sector"}},
    {"allocated", false, allocation_of, {"none", "some", "every", "all allocated"}},
    {"unknown compatible bits", false, unknown_of, {"no", "yes"}},
    {"backing file", false, backing_of, {"none", "empty", "shorter", "as long", "longer"}},
    {"add-cow files below", false, chain_of, {"0", "1", "2", "3"}},
    {"levels of a chain", false, levels_of, {"alike", "different"}},
    {"holes", false, holes_of, {"none", "in the backing contents", "at each level", "all that nothing shows"}},
    {"threads", false, threads_of, {"1", "2", "3", "4", "5 to 8", "9 to 16"}},
    {"request",
     true,
     kind_of,
     {"read", "write", "zero", "discard", "map", "flush", "resize", "stream", "commit", "reopen"}},
    {"length",
     true,
     length_of,
     {"0", "below a sector", "below a cluster", "a cluster", "a buffer", "two buffers", "more"}},
    {"begin and end",
     true,
     alignment_of,
     {"of clusters", "of sectors", "only begin of a sector", "only end of a sector", "inside sectors"}},
    {"reach",
     true,
     reach_of,
     {"one cluster", "two clusters", "more clusters", "several blocks", "the whole disk", "out of range"}},
    {"resize", true, change_of, {"to nothing", "smaller", "the same", "larger", "out of range"}},
    {"new end", true, new_end_of, {"inside a sector", "of a sector", "of a cluster", "of a block"}},
};

#define ROWS (sizeof dimensions / sizeof dimensions[0])
_Static_assert(ROWS <= CENSUS_DIMENSIONS, "the census has room for all dimensions");

static void count(struct census *census, const struct subject *subject)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (dimensions[i].of_request == (subject->operation != NULL)) {
            unsigned value = dimensions[i].find(subject);
            if (value != NO_VALUE) {
                census->counts[i][value]++;
            }
        }
    }
}

void census_add(struct census *census, const struct trace *trace, uint64_t block)
{
    struct subject subject = {.trace = trace,
                              .block = block,
                              .cluster = addcow_cluster_size(trace->disk.cluster_bits),
                              .size = trace->disk.size};
    count(census, &subject);
    for (uint32_t i = 0; i < trace->count; i++) {
        subject.operation = &trace->operations[i];
        if (trace->operations[i].kind != TRACE_BARRIER) {
            count(census, &subject);
        }
    }
}

void census_print(const struct census *census, FILE *out)
{
    fputs("| dimension | values, and how many percent of the workloads or requests have them |\n| --- | --- |\n", out);
    for (unsigned i = 0; i < ROWS; i++) {
        uint64_t total = 0;
        for (unsigned value = 0; value < CENSUS_VALUES; value++) {
            total += census->counts[i][value];
        }
        fprintf(out, "| %s |", dimensions[i].name);
        for (unsigned value = 0; value < CENSUS_VALUES && dimensions[i].values[value] != NULL; value++) {
            uint64_t times = census->counts[i][value];
            fprintf(out, "%s %s ", value > 0 ? "," : "", dimensions[i].values[value]);
            if (times == 0) {
                fputs("**never**", out);
            } else {
                fprintf(out, "%.3g", 100.0 * (double)times / (double)total);
            }
        }
        fputs(" |\n", out);
    }
}
