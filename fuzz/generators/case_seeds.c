/*
 * Seeds from the cases of the corpus: their metadata files, and what they do with them; and their texts.
 */
#include "generators/seeds.h"
#include "lib/untrusted_image.h"
#include "base/report.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_DIRECTORIES 8

static bool is_metadata(const struct corpus_file *file)
{
    const char *dot = strrchr(file->path, '.');
    return file->kind == CORPUS_REGULAR && dot && strcmp(dot, ".addcow") == 0;
}

/* The section for a file: its length, and its first bytes up to the last that is not zero. */
static size_t make_file_section(const struct corpus_file *file, uint8_t *out, size_t room)
{
    bool units = file->length > 0xFFFF;
    uint64_t length = units ? (file->length + UNTRUSTED_IMAGE_UNIT - 1) / UNTRUSTED_IMAGE_UNIT : file->length;
    if (length > 0xFFFF) {
        return 0;
    }
    out[0] = (uint8_t)(length & 0xFF);
    out[1] = (uint8_t)(length >> 8);
    out[2] = units ? UNTRUSTED_IMAGE_UNITS : 0;
    size_t end = UNTRUSTED_IMAGE_LENGTH_BYTES;
    memset(out + end, 0, room - end);
    for (size_t i = 0; i < file->content.count; i++) {
        const struct corpus_span *span = &file->content.items[i];
        uint64_t most = room - UNTRUSTED_IMAGE_LENGTH_BYTES;
        if (span->at < most) {
            uint64_t count = span->length < most - span->at ? span->length : most - span->at;
            corpus_span_fill(span, span->at, (size_t)count, out + UNTRUSTED_IMAGE_LENGTH_BYTES + span->at);
            size_t span_end = UNTRUSTED_IMAGE_LENGTH_BYTES + (size_t)(span->at + count);
            end = span_end > end ? span_end : end;
        }
    }
    return end;
}

static void make_disk(const struct corpus_case *c, struct trace *trace)
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
}

/* Some of everything, for whatever file. */
static void add_requests(struct trace *trace)
{
    uint64_t size = trace->disk.size < 8192 ? trace->disk.size : 8192;
    trace_add(trace, 0, OPERATION_READ, 0, size);
    trace_add(trace, 0, OPERATION_WRITE, size / 3, size / 3);
    trace_add(trace, 0, OPERATION_MAP, 0, trace->disk.size);
    trace_add(trace, 0, OPERATION_ZERO, size / 2, size / 2);
    trace_add(trace, 0, OPERATION_READ, 0, size);
    trace_add(trace, 0, OPERATION_READ, 1, trace->disk.size);
    trace_add(trace, 0, OPERATION_WRITE, trace->disk.size, 1);
}

/* What the case itself asks for, as far as a trace can say it. */
static void add_steps(const struct corpus_case *c, struct trace *trace)
{
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        if (step->op < OPERATIONS) {
            trace_add(trace, 0, step->op, step->op == OPERATION_RESIZE ? step->size : step->offset, step->length);
        }
    }
}

static void store_image(const char *name, struct fuzz_input *input, const struct trace *trace)
{
    input->parts[FUZZ_TRACE] = seed_trace(trace);
    seed_store("fuzz_image", name, input);
}

static void make_case(const struct corpus_case *c)
{
    static struct trace trace;
    static uint8_t section[SEED_BYTES_MAX - TRACE_HEADER_BYTES - 64];
    char name[NAME_MAX];
    for (size_t i = 0; i < c->file_count; i++) {
        size_t count = is_metadata(&c->files[i]) ? make_file_section(&c->files[i], section, sizeof section) : 0;
        if (count == 0) {
            continue;
        }
        struct fuzz_input input = {.parts[FUZZ_FILE] = {section, count}};
        seed_store("fuzz_header", c->id, &input);
        make_disk(c, &trace);
        add_requests(&trace);
        store_image(c->id, &input, &trace);
        trace.count = 0;
        add_steps(c, &trace);
        if (!trace_problem(&trace)) {
            snprintf(name, sizeof name, "%s-steps", c->id);
            store_image(name, &input, &trace);
        }
        return;
    }
}

void generate_case_seeds(const struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->count; i++) {
        make_case(&corpus->cases[i]);
    }
}

/* ---- The texts of the cases ---- */

/* Writes a copy of the text, with "fuzz" for its ID, as fuzz_json wants it; returns its length. */
static size_t rename_case(const char *text, const char *id, char *out)
{
    char line[NAME_MAX + 16];
    snprintf(line, sizeof line, "\"id\": \"%s\"", id);
    const char *found = strstr(text, line);
    if (!found) {
        report_fatal("case %s does not give its ID", id);
    }
    return (size_t)sprintf(out, "%.*s\"id\": \"fuzz\"%s", (int)(found - text), text, found + strlen(line));
}

static int make_text(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    static const char suffix[] = ".json";
    char text[SEED_BYTES_MAX + 1];
    char renamed[2 * SEED_BYTES_MAX];
    char id[NAME_MAX + 1];
    const char *name = path + place->base;
    size_t length = strlen(name);
    if (kind != FTW_F || length < sizeof suffix || strcmp(name + length - strlen(suffix), suffix) != 0 ||
        status->st_size > (off_t)SEED_BYTES_MAX) {
        return 0;
    }
    FILE *file = fopen(path, "r");
    size_t count = file ? fread(text, 1, (size_t)status->st_size, file) : 0;
    if (!file || count != (size_t)status->st_size) {
        report_fatal("cannot read %s: %s", path, strerror(errno));
    }
    fclose(file);
    text[count] = '\0';
    snprintf(id, sizeof id, "%.*s", (int)(length - strlen(suffix)), name);
    seed_store_bytes("fuzz_json", id, (const uint8_t *)renamed, rename_case(text, id, renamed));
    return 0;
}

void generate_case_text_seeds(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/cases", directory);
    if (nftw(path, make_text, OPEN_DIRECTORIES, FTW_PHYS) != 0) {
        report_fatal("cannot read %s: %s", path, strerror(errno));
    }
}
