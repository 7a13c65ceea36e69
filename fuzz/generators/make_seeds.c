/*
 * Makes seeds for the structured targets: `make_seeds CORPUS DIRECTORY`.
 *
 * Metadata files and what is done with them come from the conformance corpus, workloads from the generators of the
 * harness and from the regressions of the corpus. Each target gets a directory below DIRECTORY, which must exist. What
 * is made is then minimised by coverage (fuzz/run seed), and only the result is kept.
 */
#include "addcow_header.h"
#include "corpus/corpus.h"
#include "explore/explore.h"
#include "workload/disk_files.h"
#include "lib/fuzz.h"
#include "workload/generate.h"
#include "lib/untrusted_image.h"
#include "base/random.h"
#include "base/report.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WORKLOADS 800u
#define CREATIONS 4000u
#define CHOICES_MAX_BYTES 48u
#define SEED_MAX 8192u

static const char *out_directory;

static void store_bytes(const char *target, const char *name, const uint8_t *bytes, size_t count)
{
    char path[PATH_MAX];
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

static void store(const char *target, const char *name, const struct fuzz_input *input)
{
    uint8_t bytes[SEED_MAX];
    store_bytes(target, name, bytes, fuzz_join(input, bytes, sizeof bytes));
}

/* The section for a trace, until the next one is encoded. */
static struct fuzz_part encoded(const struct trace *trace)
{
    static uint8_t bytes[TRACE_BINARY_MAX];
    return (struct fuzz_part){bytes, trace_encode(trace, bytes)};
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
            corpus_span_fill(span, span->at, count, out + UNTRUSTED_IMAGE_LENGTH_BYTES + span->at);
            end = UNTRUSTED_IMAGE_LENGTH_BYTES + span->at + count > end
                      ? UNTRUSTED_IMAGE_LENGTH_BYTES + span->at + count
                      : end;
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
    static const enum operation kinds[CORPUS_OP_COUNT] = {
        [CORPUS_READ] = OPERATION_READ,       [CORPUS_WRITE] = OPERATION_WRITE,   [CORPUS_ZERO_RANGE] = OPERATION_ZERO,
        [CORPUS_DISCARD] = OPERATION_DISCARD, [CORPUS_MAP] = OPERATION_MAP,       [CORPUS_FLUSH] = OPERATION_FLUSH,
        [CORPUS_RESIZE] = OPERATION_RESIZE,   [CORPUS_STREAM] = OPERATION_STREAM, [CORPUS_COMMIT] = OPERATION_COMMIT,
    };
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        if (step->op >= CORPUS_READ && step->op <= CORPUS_COMMIT) {
            trace_add(trace, 0, kinds[step->op], step->op == CORPUS_RESIZE ? step->size : step->offset, step->length);
        }
    }
}

static void store_image(const char *name, struct fuzz_input *input, const struct trace *trace)
{
    input->parts[FUZZ_TRACE] = encoded(trace);
    store("fuzz_image", name, input);
}

static void make_metadata(const struct corpus_case *c)
{
    static struct trace trace;
    static uint8_t section[SEED_MAX - TRACE_HEADER_BYTES - 64];
    char name[NAME_MAX];
    for (size_t i = 0; i < c->file_count; i++) {
        size_t count = is_metadata(&c->files[i]) ? make_file_section(&c->files[i], section, sizeof section) : 0;
        if (count == 0) {
            continue;
        }
        struct fuzz_input input = {.parts[FUZZ_FILE] = {section, count}};
        store("fuzz_header", c->id, &input);
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

/* ---- Fields of headers, in the form that fuzz_encode reads ---- */

struct fields {
    uint8_t bytes[256];
    size_t count;
};

static void put(struct fields *fields, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        fields->bytes[fields->count++] = (uint8_t)(value >> 8 * i & 0xFF);
    }
}

static void put_text(struct fields *fields, const char *text, size_t size)
{
    size_t length = strlen(text);
    memcpy(fields->bytes + fields->count, text, length < size ? length : size);
    fields->count += size;
}

/* A header that is valid, but for the field number `wrong`. */
static void make_fields(bool r9, uint32_t cluster_bits, unsigned wrong)
{
    static const char image[] = "disk.raw";
    static const char backing[] = "base.raw";
    uint64_t cluster = (uint64_t)1 << cluster_bits;
    struct fields fields = {.count = 0};
    char name[48];
    put(&fields, wrong == 1 ? 4096 : 1u << 22, 8);                /* length of the file */
    put(&fields, wrong == 2 ? ADDCOW_SIZE_MAX + 1 : 1u << 20, 8); /* of the image */
    put(&fields, wrong == 3 ? 1 : 0xFFFF, 2);                     /* room for the header, in units of 64 bytes */
    put(&fields, wrong, 1);
    put(&fields, wrong == 4 ? 2 : r9, 1);
    put(&fields, wrong == 5 ? cluster_bits + 1 : cluster_bits, 1);
    put(&fields, (wrong == 6) + (r9 || cluster < ADDCOW_HEADER_MIN ? ADDCOW_HEADER_MIN : cluster), 4);
    put(&fields, (wrong == 7) + (r9 ? ADDCOW_R9_BACKING_OFFSET : ADDCOW_NAMES_OFFSET), 4);
    put(&fields, wrong == 8 ? ADDCOW_R9_NAME_SIZE : sizeof backing - 1, 2);
    put(&fields, (wrong == 9) + (r9 ? ADDCOW_R9_IMAGE_OFFSET : ADDCOW_NAMES_OFFSET + sizeof backing - 1), 4);
    put(&fields, wrong == 10 ? ADDCOW_R9_NAME_SIZE : sizeof image - 1, 2);
    put(&fields, wrong == 11, 8);
    put(&fields, wrong == 12 || (wrong == 13 && !r9), 8);
    put_text(&fields, wrong == 14 ? "add-cow" : wrong == 15 ? "raw\0x" : "raw", ADDCOW_FORMAT_SIZE);
    put_text(&fields, wrong == 16 ? "qcow2" : "raw", ADDCOW_FORMAT_SIZE);
    put_text(&fields, wrong == 17 ? "nbd:base" : backing, sizeof backing - 1);
    put_text(&fields, wrong == 18 ? backing : wrong == 19 ? "" : image, sizeof image - 1);
    snprintf(name, sizeof name, "fields-%d-%u-%u", r9, cluster_bits, wrong);
    store_bytes("fuzz_encode", name, fields.bytes, fields.count);
}

static void make_all_fields(void)
{
    for (uint32_t bits = ADDCOW_CLUSTER_BITS_MIN; bits <= ADDCOW_CLUSTER_BITS_MAX; bits++) {
        make_fields(false, bits, 0);
    }
    for (unsigned wrong = 0; wrong < ADDCOW_RULE_COUNT; wrong++) {
        make_fields(false, ADDCOW_CLUSTER_BITS_MIN, wrong);
        make_fields(true, ADDCOW_CLUSTER_BITS_DEFAULT, wrong);
    }
}

static void store_header(const char *name, const uint8_t *section, size_t count)
{
    struct fuzz_input input = {.parts[FUZZ_FILE] = {section, count}};
    store("fuzz_header", name, &input);
}

/* A file whose backing format, or image format, is this one. */
static void make_format(const char *name, bool of_image, const uint8_t format[ADDCOW_FORMAT_SIZE])
{
    uint8_t section[UNTRUSTED_IMAGE_LENGTH_BYTES + ADDCOW_HEADER_MIN] = {0, 4 * ADDCOW_HEADER_MIN >> 8};
    struct addcow_header header = {.layout = ADDCOW_R20,
                                   .cluster_bits = 12,
                                   .header_size = ADDCOW_HEADER_MIN,
                                   .backing_offset = ADDCOW_NAMES_OFFSET,
                                   .backing_size = 8,
                                   .image_offset = ADDCOW_NAMES_OFFSET + 8,
                                   .image_size = 8,
                                   .backing_format = "raw",
                                   .image_format = "raw"};
    memcpy(of_image ? header.image_format : header.backing_format, format, ADDCOW_FORMAT_SIZE);
    if (addcow_encode(&header, (const uint8_t *)DISK_BASE, (const uint8_t *)DISK_IMAGE,
                      section + UNTRUSTED_IMAGE_LENGTH_BYTES, ADDCOW_HEADER_MIN) == ADDCOW_RULE_NONE) {
        store_header(name, section, UNTRUSTED_IMAGE_LENGTH_BYTES + ADDCOW_NAMES_OFFSET + 16);
    }
}

/* Formats that are nearly known. */
static void make_formats(void)
{
    static const char *const formats[] = {"raw", "add-cow"};
    for (unsigned i = 0; i < 2; i++) {
        for (size_t at = 0; at <= strlen(formats[i]); at++) {
            uint8_t format[ADDCOW_FORMAT_SIZE] = {0};
            char name[48];
            memcpy(format, formats[i], strlen(formats[i]));
            format[at] ^= 1;
            for (unsigned of_image = 0; of_image < 2; of_image++) {
                snprintf(name, sizeof name, "format-%u-%zu-%u", i, at, of_image);
                make_format(name, of_image, format);
            }
        }
    }
}

/* ---- Workloads ---- */

/* The header of a disk, whose backing file or image, may be the metadata file itself; returns how many bytes of it are
 * not zero. */
static size_t make_header(const struct trace_disk *disk, uint32_t number, uint8_t *bytes)
{
    static const char *const backing_names[] = {DISK_BASE, DISK_BASE, DISK_BASE, DISK_METADATA};
    struct addcow_header header = disk_files_header(disk);
    if (disk->layout == ADDCOW_R9) {
        disk_files_encode_header(disk, &header, bytes);
        return ADDCOW_R9_IMAGE_OFFSET + header.image_size;
    }
    const char *backing = disk->has_backing ? backing_names[number % 4] : "";
    const char *image = number % 16 == 9 ? DISK_METADATA : DISK_IMAGE;
    header.compatible_features = number % 5 == 0;
    header.backing_size = (uint32_t)strlen(backing);
    header.image_offset = ADDCOW_NAMES_OFFSET + header.backing_size;
    header.image_size = (uint32_t)strlen(image);
    addcow_encode(&header, (const uint8_t *)backing, (const uint8_t *)image, bytes, ADDCOW_HEADER_MIN);
    return header.image_offset + header.image_size;
}

/* A metadata file that is good, or names itself, or whose files are missing, and requests of all kinds. */
static void make_untrusted_image(uint32_t number)
{
    static struct trace trace;
    static uint8_t section[UNTRUSTED_IMAGE_LENGTH_BYTES + ADDCOW_HEADER_MIN + 1];
    static const uint8_t missing[] = {0, 0, 0, 0, 0, UNTRUSTED_IMAGE_NO_IMAGE, UNTRUSTED_IMAGE_NO_BACKING};
    struct random random = {number};
    bool r9 = number % 6 == 5;
    struct generate_options options = {.threads = 1,
                                       .operations = 10,
                                       .cluster_bits = r9 ? ADDCOW_CLUSTER_BITS_DEFAULT : ADDCOW_CLUSTER_BITS_MIN,
                                       .layout = r9 ? ADDCOW_R9 : ADDCOW_R20,
                                       .raw_backing = true};
    char name[32];
    generate_trace(number, &options, &trace);
    memset(section, 0, sizeof section);
    size_t count =
        UNTRUSTED_IMAGE_LENGTH_BYTES + make_header(&trace.disk, number, section + UNTRUSTED_IMAGE_LENGTH_BYTES);
    section[1] = 8 * ADDCOW_HEADER_MIN >> 8;
    section[2] = missing[random_below(&random, sizeof missing)];
    section[sizeof section - 1] = (uint8_t)random_next(&random); /* the first bits */
    trace.disk.unknown_compatible = !r9 && number % 8 == 7;      /* then it is opened read-only */
    uint8_t choices[] = {(uint8_t)random_below(&random, 60), (uint8_t)random_next(&random)};
    struct fuzz_input input = {.parts = {[FUZZ_CHOICES] = {choices, number % 3 == 0 ? 0 : sizeof choices},
                                         [FUZZ_TRACE] = encoded(&trace),
                                         [FUZZ_FILE] = {section, number % 4 == 0 ? sizeof section : count}}};
    snprintf(name, sizeof name, "untrusted-%u", number);
    store("fuzz_image", name, &input);
}

/* A disk that is there, and something to create. */
static void make_creation(uint32_t number)
{
    static struct trace trace;
    struct random random = {number};
    struct generate_options options = {.threads = 1, .operations = 1};
    uint8_t choices[13];
    char name[32];
    generate_trace(number, &options, &trace);
    trace.count = 0;
    for (size_t i = 0; i < sizeof choices; i++) {
        choices[i] = (uint8_t)random_next(&random);
    }
    /* Mostly what can be made: other names, formats and sizes of clusters are refused early. */
    bool any = number % 4 == 0;
    bool below = random_once_in(&random, 2);
    choices[0] = (uint8_t)(choices[0] & (number % 8 < 4 ? ~129 : ~0)); /* layout r20, and a disk that was there */
    choices[1] = any ? choices[1] : choices[0] & 1 ? 0 : 20;           /* clusters of 4 KiB, or 64 KiB in r9 */
    choices[2] = any ? choices[2] : choices[0] & 2 ? 4 : 0;            /* an image that is new or there */
    choices[3] = any ? choices[3] : below ? (uint8_t)random_between(&random, 1, 2) : 9;
    choices[4] = any ? choices[4] : choices[3] == 2;
    choices[7] %= 48;
    struct fuzz_input input = {.parts = {[FUZZ_CHOICES] = {choices, sizeof choices}, [FUZZ_TRACE] = encoded(&trace)}};
    snprintf(name, sizeof name, "creation-%u", number);
    store("fuzz_create", name, &input);
}

/* Workloads that once failed. */
static void make_kept(const char *corpus)
{
    static struct trace trace;
    char pattern[PATH_MAX];
    char error[256];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/regressions/*.trace", corpus);
    if (glob(pattern, 0, NULL, &found) != 0) {
        report_fatal("no %s", pattern);
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *file = fopen(found.gl_pathv[i], "r");
        if (!file || !trace_parse(file, &trace, error, sizeof error)) {
            report_fatal("%s: %s", found.gl_pathv[i], file ? error : strerror(errno));
        }
        fclose(file);
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        struct fuzz_input input = {.parts[FUZZ_TRACE] = encoded(&trace)};
        store("fuzz_schedule", name, &input);
        store("fuzz_crash", name, &input);
        store("fuzz_fault", name, &input);
    }
    globfree(&found);
}

static void make_workload(uint32_t number)
{
    static struct trace trace;
    uint8_t choices[CHOICES_MAX_BYTES];
    char name[32];
    struct random random = {number};
    struct fuzz_input input = {.parts[FUZZ_CHOICES] = {choices, 0}};
    snprintf(name, sizeof name, "workload-%u", number);
    struct generate_options alone = {.threads = 1, .operations = 24};
    generate_trace(number, &alone, &trace);
    input.parts[FUZZ_TRACE] = encoded(&trace);
    store("fuzz_trace", name, &input);

    struct generate_small_options together = {.threads = 3, .operations = 2, .whole_disk = number % 4 == 0};
    generate_small_trace(number, &together, &trace);
    for (size_t i = 0; i < sizeof choices; i++) {
        choices[i] = (uint8_t)random_next(&random);
    }
    input.parts[FUZZ_CHOICES].count = sizeof choices;
    input.parts[FUZZ_TRACE] = encoded(&trace);
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
    make_kept(arguments[1]);
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        make_workload(i);
        make_untrusted_image(i);
    }
    for (uint32_t i = 0; i < CREATIONS; i++) {
        make_creation(i);
    }
    make_all_fields();
    make_formats();
    corpus_free(corpus);
    return 0;
}
