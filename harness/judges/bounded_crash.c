/*
 * The bounded crash check: every sequence of operations from a small alphabet, up to a length.
 */
#include "judges/bounded_crash.h"

#include "addcow_header.h"

#define ALPHABET_MAX 12u

/*
 * The alphabet for a disk of several clusters: writes within a cluster, over a boundary, of a whole cluster and at the
 * end; zeros; and all operations on the whole disk.
 */
static uint32_t make_alphabet(const struct trace_disk *disk, struct trace_operation list[ALPHABET_MAX])
{
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    uint32_t count = 0;
    list[count++] = (struct trace_operation){OPERATION_WRITE, 0, 512, 512};
    list[count++] = (struct trace_operation){OPERATION_WRITE, 0, cluster - 700, 1300};
    list[count++] = (struct trace_operation){OPERATION_WRITE, 0, cluster, cluster};
    list[count++] = (struct trace_operation){OPERATION_WRITE, 0, disk->size - 300, 300};
    list[count++] = (struct trace_operation){OPERATION_ZERO, 0, cluster + 512, 2 * cluster};
    list[count++] = (struct trace_operation){OPERATION_DISCARD, 0, 0, cluster};
    list[count++] = (struct trace_operation){OPERATION_FLUSH, 0, 0, 0};
    list[count++] = (struct trace_operation){OPERATION_RESIZE, 0, disk->size + cluster + 1000, 0};
    list[count++] = (struct trace_operation){OPERATION_RESIZE, 0, cluster + 1500, 0};
    list[count++] = (struct trace_operation){OPERATION_STREAM, 0, 0, 0};
    list[count++] = (struct trace_operation){TRACE_REOPEN, 0, 0, 0};
    if (disk->has_backing) {
        list[count++] = (struct trace_operation){OPERATION_COMMIT, 0, 0, 0};
    }
    return count;
}

void crash_print_alphabet(const struct trace_disk *disk, FILE *out)
{
    struct trace_operation list[ALPHABET_MAX];
    uint32_t count = make_alphabet(disk, list);
    for (uint32_t i = 0; i < count; i++) {
        fputs("# ", out);
        trace_print_operation(out, &list[i]);
        fputc('\n', out);
    }
}

bool bounded_crash_check_trace(const struct trace_disk *disk, uint32_t length, uint32_t number, struct trace *trace)
{
    struct trace_operation alphabet[ALPHABET_MAX];
    uint32_t letters = make_alphabet(disk, alphabet);
    *trace = (struct trace){.disk = *disk, .threads = 1};
    for (uint32_t i = 0; i < length; i++, number /= letters) {
        trace->operations[trace->count++] = alphabet[number % letters];
    }
    return number == 0;
}

bool bounded_crash_check(const struct trace_disk *disk, uint32_t length, const struct crash_options *options,
                         struct crash_counts *counts, FILE *out)
{
    static struct trace trace;
    for (uint32_t n = 1; n <= length; n++) {
        for (uint32_t number = 0; bounded_crash_check_trace(disk, n, number, &trace); number++) {
            if (!crash_sequence(&trace, options, counts, out)) {
                trace_print(out, &trace);
                return false;
            }
        }
    }
    return true;
}
