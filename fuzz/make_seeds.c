/*
 * Makes seeds for the structured targets: `make_seeds CORPUS DIRECTORY`.
 *
 * Metadata files come from the conformance corpus, workloads from the generators of the harness. Each target gets a directory below DIRECTORY, which
 * must exist. What is made is then minimised by coverage (fuzz/run seed), and only the result is kept.
 */
#include "corpus.h"
#include "explore.h"
#include "fuzz.h"
#include "generate.h"
#include "hostile.h"
#include "random.h"
#include "report.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WORKLOADS 400u
#define CHOICES_MAX_BYTES 48u
#define SEED_MAX 8192u

static const char *out_directory;

static void store(const char *target, const char *name, const struct fuzz_input *input)
{
    char path[PATH_MAX];
    uint8_t bytes[SEED_MAX];
    size_t count = fuzz_join(input, bytes, sizeof bytes);
    snprintf(path, sizeof path, "%s/%s", out_directory, target);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        report_fatal("cannot make %s", path);
    }
    snprintf(path, sizeof path, "%s/%s/%s", out_directory, target, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
        report_fatal("cannot write %s", path);
    }
}

/* ---- Metadata files of the corpus ---- */

static bool is_metadata(const struct corpus_file *file)
{
    const char *dot = strrchr(file->path, '.');
    return file->kind == CORPUS_REGULAR && dot && strcmp(dot, ".addcow") == 0;
}

/* The section for a file: its length, and its first bytes up to the last that is not zero. */
static size_t make_file_section(const struct corpus_file *file, uint8_t *out, size_t room)
{
    bool units = file->length > 0xFFFF;
    uint64_t length = units ? (file->length + HOSTILE_UNIT - 1) / HOSTILE_UNIT : file->length;
    if (length > 0xFFFF) {
        return 0;
    }
    out[0] = (uint8_t)(length & 0xFF);
    out[1] = (uint8_t)(length >> 8);
    out[2] = units ? 15 : 0;
    size_t end = HOSTILE_LENGTH_BYTES;
    memset(out + end, 0, room - end);
    for (size_t i = 0; i < file->content.count; i++) {
        const struct corpus_span *span = &file->content.items[i];
        uint64_t most = room - HOSTILE_LENGTH_BYTES;
        if (span->at < most) {
            uint64_t count = span->length < most - span->at ? span->length : most - span->at;
            corpus_span_fill(span, span->at, count, out + HOSTILE_LENGTH_BYTES + span->at);
            end = HOSTILE_LENGTH_BYTES + span->at + count > end ? HOSTILE_LENGTH_BYTES + span->at + count : end;
        }
    }
    return end;
}

static void make_requests(const struct corpus_case *c, struct trace *trace)
{
    *trace = (struct trace){.threads = 1, .disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .has_backing = true}};
    for (size_t i = 0; i < c->file_count; i++) {
        uint64_t length = c->files[i].length <= TRACE_SIZE_MAX ? c->files[i].length : TRACE_SIZE_MAX;
        if (strncmp(c->files[i].path, "image", 5) == 0) {
            trace->disk.size = length;
        } else if (strncmp(c->files[i].path, "backing", 7) == 0) {
            trace->disk.backing_size = length;
        }
    }
    uint64_t size = trace->disk.size < 8192 ? trace->disk.size : 8192;
    trace_add(trace, 0, TRACE_READ, 0, size);
    trace_add(trace, 0, TRACE_WRITE, size / 3, size / 3);
    trace_add(trace, 0, TRACE_MAP, 0, trace->disk.size);
    trace_add(trace, 0, TRACE_ZERO, size / 2, size / 2);
    trace_add(trace, 0, TRACE_READ, 0, size);
}

static void make_metadata(const struct corpus_case *c)
{
    static struct trace trace;
    static uint8_t encoded[TRACE_BINARY_MAX];
    static uint8_t section[SEED_MAX - TRACE_HEADER_BYTES - 64];
    for (size_t i = 0; i < c->file_count; i++) {
        size_t count = is_metadata(&c->files[i]) ? make_file_section(&c->files[i], section, sizeof section) : 0;
        if (count == 0) {
            continue;
        }
        struct fuzz_input input = {.parts[FUZZ_FILE] = {section, count}};
        store("fuzz_header", c->id, &input);
        make_requests(c, &trace);
        input.parts[FUZZ_TRACE] = (struct fuzz_part){encoded, trace_encode(&trace, encoded)};
        store("fuzz_image", c->id, &input);
        return;
    }
}

/* ---- Workloads ---- */

static void make_workload(uint32_t number)
{
    static struct trace trace;
    static uint8_t encoded[TRACE_BINARY_MAX];
    uint8_t choices[CHOICES_MAX_BYTES];
    char name[32];
    struct random random = {number};
    struct fuzz_input input = {.parts[FUZZ_CHOICES] = {choices, 0}};
    snprintf(name, sizeof name, "workload-%u", number);
    struct generate_options alone = {.threads = 1, .operations = 24};
    generate_trace(number, &alone, &trace);
    input.parts[FUZZ_TRACE] = (struct fuzz_part){encoded, trace_encode(&trace, encoded)};
    store("fuzz_trace", name, &input);

    struct explore_generate_options together = {.threads = 3, .operations = 2, .whole_disk = number % 4 == 0};
    explore_generate(number, &together, &trace);
    for (size_t i = 0; i < sizeof choices; i++) {
        choices[i] = (uint8_t)random_next(&random);
    }
    input.parts[FUZZ_CHOICES].count = sizeof choices;
    input.parts[FUZZ_TRACE].count = trace_encode(&trace, encoded);
    store("fuzz_schedule", name, &input);
    store("fuzz_crash", name, &input);
    choices[0] %= 40; /* about so many calls are made */
    store("fuzz_fault", name, &input);
}

int main(int count, char **arguments)
{
    struct corpus *corpus;
    char error[1024];
    if (count != 3) {
        fprintf(stderr, "usage: %s CORPUS DIRECTORY\n", arguments[0]);
        return REPORT_USAGE;
    }
    out_directory = arguments[2];
    if (!corpus_load(arguments[1], &corpus, error, sizeof error)) {
        fprintf(stderr, "make_seeds: %s\n", error);
        return REPORT_USAGE;
    }
    for (size_t i = 0; i < corpus->count; i++) {
        make_metadata(&corpus->cases[i]);
    }
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        make_workload(i);
    }
    corpus_free(corpus);
    return 0;
}
