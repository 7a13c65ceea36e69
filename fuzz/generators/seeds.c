/*
 * Stores seeds as files, each content of a target once.
 */
#include "generators/seeds.h"

#include "base/random.h"
#include "base/report.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SEEDS_MAX 20000u

static const char *out_directory;

void seed_set_directory(const char *directory)
{
    out_directory = directory;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash = random_hash(hash ^ ((const uint8_t *)bytes)[i]);
    }
    return hash;
}

static bool is_new(const char *target, const uint8_t *bytes, size_t count)
{
    static uint64_t known[SEEDS_MAX];
    static size_t known_count;
    uint64_t hash = hash_bytes(hash_bytes(0, target, strlen(target)), bytes, count);
    for (size_t i = 0; i < known_count; i++) {
        if (known[i] == hash) {
            return false;
        }
    }
    if (known_count == SEEDS_MAX) {
        report_fatal("more than %u seeds", SEEDS_MAX);
    }
    known[known_count++] = hash;
    return true;
}

void seed_store_bytes(const char *target, const char *name, const uint8_t *bytes, size_t count)
{
    char path[PATH_MAX];
    if (!is_new(target, bytes, count)) {
        return;
    }
    snprintf(path, sizeof path, "%s/%s", out_directory, target);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        report_fatal("cannot make %s: %s", path, strerror(errno));
    }
    snprintf(path, sizeof path, "%s/%s/%s", out_directory, target, name);
    FILE *file = fopen(path, "wbx");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
        report_fatal("cannot write %s: %s", path, strerror(errno));
    }
}

void seed_store(const char *target, const char *name, const struct fuzz_input *input)
{
    uint8_t bytes[SEED_BYTES_MAX];
    seed_store_bytes(target, name, bytes, fuzz_join(input, bytes, sizeof bytes));
}

struct fuzz_part seed_trace(const struct trace *trace)
{
    static uint8_t bytes[TRACE_BINARY_MAX];
    return (struct fuzz_part){bytes, trace_encode(trace, bytes)};
}
