/*
 * Checking and repairing a disk (spec section 14).
 *
 * Open stops at the first broken clause; check reports all of them. It goes through the header, the files that it
 * names, and the bitmap. A broken part limits what can still be judged after it:
 *
 *   broken                                   not judged any more
 *   magic, features, cluster and header size everything else
 *   image name or image file                 the bitmap, whose extent is not known then
 *   backing name or backing file             nothing: the rest does not depend on it
 *
 * The intact fields of a broken header are read one by one. The bitmap passes through one buffer, so memory does not
 * grow with the disk. Repair happens during the scan, and only if header and image are intact.
 */
#include "addcow_internal.h"
#include "addcow_links.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

struct check {
    const char *path;
    struct addcow_storage *storage;
    bool repair;
    addcow_report *report;
    void *context;
    struct addcow_check_result *result;

    struct addcow_io io;
    struct addcow_io image;
    struct addcow_identities identities;
    struct addcow_header_bytes bytes;
    bool broken[ADDCOW_RULE_COUNT]; /* rules of the header */
    bool header_valid;
    bool backing_readable;           /* the header's backing name and format can be relied on */
    struct addcow_metadata metadata; /* of the header as far as it can be read */
    uint64_t image_length;
};

/* What a bitmap holds, or held before it was repaired. */
struct tally {
    uint64_t set;         /* bits of clusters */
    uint64_t clear;       /* bits of clusters */
    uint64_t first_clear; /* cluster, or NONE */
    uint64_t past;        /* bits that are set past the last cluster */
    uint64_t first_past;  /* cluster, or NONE */
    bool padding_used;    /* some of them are in the padding */
};

/* ---- Findings ---- */

static void add_finding(struct check *check, const struct addcow_error *what, bool repairable, bool repaired)
{
    struct addcow_finding finding = {.struct_size = sizeof finding,
                                     .code = what->code,
                                     .clause = what->clause,
                                     .message = what->message,
                                     .repairable = repairable,
                                     .repaired = repaired};
    if (repaired) {
        check->result->repaired++;
    } else {
        check->result->broken++;
    }
    if (check->report) {
        check->report(check->context, &finding);
    }
}

/* Whether a refusal is about the storage or a lock of another process, and not about the files that are checked. */
static bool is_failure(const struct addcow_error *refusal)
{
    bool forbidden = refusal->errnum == EACCES || refusal->errnum == EPERM;
    return refusal->clause[0] == '\0' || refusal->code == ADDCOW_BUSY || refusal->code == ADDCOW_NOSPACE ||
           (refusal->code == ADDCOW_IO && !forbidden);
}

/*
 * Reports a refusal as a finding and returns ADDCOW_OK. A failure, after which the check cannot go on, is stored in
 * *error and returned.
 */
static enum addcow_status finding_or_failure(struct check *check, const struct addcow_error *refusal,
                                             struct addcow_error *error)
{
    if (!is_failure(refusal)) {
        add_finding(check, refusal, false, false);
        return ADDCOW_OK;
    }
    addcow_give_error(error, refusal);
    return refusal->code;
}

static void add_rule(struct check *check, enum addcow_rule rule)
{
    struct addcow_error refusal = ADDCOW_ERROR_INIT;
    addcow_fail_rule(&refusal, check->path, rule);
    add_finding(check, &refusal, false, false);
}

/* ---- The header ---- */

static void check_header_rules(struct check *check)
{
    for (int rule = ADDCOW_RULE_LENGTH; rule <= ADDCOW_RULE_R9_NAMES_EQUAL; rule++) {
        enum addcow_rule one = (enum addcow_rule)rule;
        check->broken[rule] = !addcow_header_rule_holds(check->bytes.data, check->bytes.file_length, one);
        if (check->broken[rule]) {
            add_rule(check, one);
        }
    }
}

static bool any_broken(const struct check *check, const enum addcow_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (check->broken[rules[i]]) {
            return true;
        }
    }
    return false;
}

#define ANY_BROKEN(check, rules) any_broken(check, rules, sizeof(rules) / sizeof((rules)[0]))

/* Whether geometry and image name are intact; without them nothing else can be judged. */
static bool header_readable(const struct check *check)
{
    static const enum addcow_rule rules[] = {
        ADDCOW_RULE_LENGTH,         ADDCOW_RULE_MAGIC,       ADDCOW_RULE_FEATURES,     ADDCOW_RULE_CLUSTER_BITS,
        ADDCOW_RULE_HEADER_SIZE,    ADDCOW_RULE_R9_VERSION,  ADDCOW_RULE_IMAGE_NUL,    ADDCOW_RULE_HEADER_LENGTH,
        ADDCOW_RULE_IMAGE_PRESENCE, ADDCOW_RULE_IMAGE_RANGE, ADDCOW_RULE_R9_IMAGE_NUL, ADDCOW_RULE_R9_IMAGE_ABSENT,
    };
    return !ANY_BROKEN(check, rules);
}

static bool backing_name_readable(const struct check *check)
{
    static const enum addcow_rule rules[] = {
        ADDCOW_RULE_BACKING_PRESENCE, ADDCOW_RULE_BACKING_RANGE,  ADDCOW_RULE_BACKING_NUL,
        ADDCOW_RULE_NAMES_OVERLAP,    ADDCOW_RULE_BACKING_FORMAT, ADDCOW_RULE_BACKING_FORMAT_ABSENT,
        ADDCOW_RULE_NAMES_EQUAL,      ADDCOW_RULE_R9_BACKING_NUL, ADDCOW_RULE_R9_BACKING_ABSENT,
        ADDCOW_RULE_R9_NAMES_EQUAL,
    };
    return !ANY_BROKEN(check, rules);
}

/*
 * The intact fields of an r20 header that breaks a rule; the others as if there were no backing file and a raw image.
 */
static void load_broken_r20(const struct check *check, struct addcow_header *header)
{
    const uint8_t *bytes = check->bytes.data;
    *header = (struct addcow_header){.layout = ADDCOW_R20,
                                     .image_offset = addcow_load_le32(bytes + 12),
                                     .image_size = addcow_load_le32(bytes + 16),
                                     .cluster_bits = addcow_load_le32(bytes + 20),
                                     .compatible_features = addcow_load_le32(bytes + ADDCOW_COMPATIBLE_OFFSET),
                                     .header_size = addcow_load_le32(bytes + 40),
                                     .image_format = "raw"};
    if (!check->backing_readable) {
        return;
    }
    header->backing_offset = addcow_load_le32(bytes + 4);
    header->backing_size = addcow_load_le32(bytes + 8);
    memcpy(header->backing_format, bytes + 44, ADDCOW_FORMAT_SIZE);
}

static void load_broken_r9(const struct check *check, struct addcow_header *header)
{
    const char *image = (const char *)check->bytes.data + ADDCOW_R9_IMAGE_OFFSET;
    const char *backing = (const char *)check->bytes.data + ADDCOW_R9_BACKING_OFFSET;
    *header = (struct addcow_header){.layout = ADDCOW_R9,
                                     .image_offset = ADDCOW_R9_IMAGE_OFFSET,
                                     .image_size = (uint32_t)strlen(image),
                                     .cluster_bits = ADDCOW_CLUSTER_BITS_DEFAULT,
                                     .header_size = ADDCOW_HEADER_MIN,
                                     .image_format = "raw",
                                     .backing_format = "raw"};
    if (!check->backing_readable) {
        return;
    }
    header->backing_offset = ADDCOW_R9_BACKING_OFFSET;
    header->backing_size = (uint32_t)strlen(backing);
}

/* Reads what can be read of a header of which header_readable is true. */
static enum addcow_status load_metadata(struct check *check, struct addcow_error *error)
{
    const uint8_t *bytes = check->bytes.data;
    struct addcow_metadata *metadata = &check->metadata;
    struct addcow_header *header = &metadata->header;
    check->header_valid = addcow_decode(bytes, check->bytes.file_length, header) == ADDCOW_RULE_NONE;
    if (!check->header_valid && bytes[1] == 'C') {
        load_broken_r20(check, header);
    } else if (!check->header_valid) {
        load_broken_r9(check, header);
    }
    metadata->file_length = check->bytes.file_length;
    metadata->image_name = strndup((const char *)bytes + header->image_offset, header->image_size);
    if (metadata->image_name) {
        metadata->image_path = addcow_resolve(check->path, metadata->image_name);
    }
    if (!metadata->image_path) {
        return addcow_fail_memory(error, check->path);
    }
    if (header->backing_size == 0) {
        return ADDCOW_OK;
    }
    metadata->backing_name = strndup((const char *)bytes + header->backing_offset, header->backing_size);
    if (metadata->backing_name) {
        metadata->backing_path = addcow_resolve(check->path, metadata->backing_name);
    }
    return metadata->backing_path ? ADDCOW_OK : addcow_fail_memory(error, check->path);
}

/* ---- The names ---- */

static const char raw[ADDCOW_FORMAT_SIZE] = "raw";

/* The header without names, which then break no rule, and with a raw image. */
static struct addcow_header nameless_header(const struct check *check)
{
    struct addcow_header header = check->metadata.header;
    header.image_size = 0;
    header.backing_size = 0;
    memcpy(header.image_format, raw, ADDCOW_FORMAT_SIZE);
    return header;
}

/* Reports what the header, with these names, breaks of LNK-02..04: one rule at most. Returns whether it breaks none. */
static bool check_names(struct check *check, const struct addcow_header *header, const char *backing, const char *image)
{
    enum addcow_rule rule = addcow_check_open(header, (const uint8_t *)backing, (const uint8_t *)image, UINT64_MAX, 0);
    if (rule != ADDCOW_RULE_NONE) {
        add_rule(check, rule);
    }
    return rule == ADDCOW_RULE_NONE;
}

/* The name and the format are judged separately, because a broken one would hide that the other is broken too. */
static bool check_image_name(struct check *check)
{
    const struct addcow_header *header = &check->metadata.header;
    struct addcow_header name = nameless_header(check);
    struct addcow_header format = name;
    name.image_size = header->image_size;
    memcpy(format.image_format, header->image_format, ADDCOW_FORMAT_SIZE);
    bool name_sound = check_names(check, &name, NULL, check->metadata.image_name);
    return check_names(check, &format, NULL, NULL) && name_sound;
}

static bool check_backing_name(struct check *check)
{
    static const char sound[] = {'x'}; /* without a name, no format is judged */
    const struct addcow_header *header = &check->metadata.header;
    struct addcow_header format = nameless_header(check);
    struct addcow_header name = format;
    format.backing_size = sizeof sound;
    name.backing_size = header->backing_size;
    memcpy(name.backing_format, raw, ADDCOW_FORMAT_SIZE);
    bool name_sound = check_names(check, &name, check->metadata.backing_name, NULL);
    return check_names(check, &format, sound, NULL) && name_sound;
}

/* ---- The files ---- */

/* Opens the image and judges the lengths. *usable becomes whether the extent of the bitmap is known. */
static enum addcow_status check_image(struct check *check, bool *usable, struct addcow_error *error)
{
    struct addcow_error refusal = ADDCOW_ERROR_INIT;
    enum addcow_status code =
        addcow_io_open(check->storage, check->metadata.image_path, ADDCOW_FILE_READ, &check->image, &refusal);
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&check->identities, &check->image, &refusal);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_hold_data(check->storage, &check->image, check->repair, &refusal);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_length(&check->image, &check->image_length, &refusal);
    }
    *usable = false;
    if (code != ADDCOW_OK) {
        return finding_or_failure(check, &refusal, error);
    }
    struct addcow_header header = nameless_header(check);
    enum addcow_rule rule = addcow_check_open(&header, NULL, NULL, check->bytes.file_length, check->image_length);
    *usable = rule == ADDCOW_RULE_NONE;
    if (!*usable) {
        add_rule(check, rule);
    }
    return ADDCOW_OK;
}

static enum addcow_status check_backing(struct check *check, struct addcow_error *error)
{
    struct addcow_error refusal = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_links_add_backing(check->storage, &check->metadata, &check->identities, &refusal);
    return code == ADDCOW_OK ? ADDCOW_OK : finding_or_failure(check, &refusal, error);
}

static bool all_allocated(const struct check *check)
{
    return (check->metadata.header.compatible_features & ADDCOW_ALL_ALLOCATED) != 0;
}

/* ---- The bitmap ---- */

/* The bits of byte `at` of the bitmap that stand for clusters. */
static uint8_t cluster_mask(uint64_t clusters, uint64_t at)
{
    if (at < clusters / 8) {
        return 0xff;
    }
    if (at > clusters / 8) {
        return 0;
    }
    return (uint8_t)((1u << clusters % 8) - 1);
}

static uint64_t lowest_bit(uint64_t at, unsigned bits)
{
    return 8 * at + (unsigned)__builtin_ctz(bits);
}

/* Counts byte `at` of the bitmap. */
static void count_byte(struct tally *tally, uint64_t at, uint8_t byte, uint8_t mask)
{
    unsigned clear = ~byte & mask;
    unsigned past = byte & (uint8_t)~mask;
    tally->set += (unsigned)__builtin_popcount(byte & mask);
    tally->clear += (unsigned)__builtin_popcount(clear);
    tally->past += (unsigned)__builtin_popcount(past);
    if (clear && tally->first_clear == NONE) {
        tally->first_clear = lowest_bit(at, clear);
    }
    if (past && tally->first_past == NONE) {
        tally->first_past = lowest_bit(at, past);
    }
    if (past && !mask) {
        tally->padding_used = true;
    }
}

/*
 * Counts `count` bytes of the bitmap from byte `at` on, and makes them as CHK-02 wants them. Returns whether that
 * changed any.
 */
static bool scan_chunk(const struct check *check, uint64_t clusters, uint64_t at, uint8_t *bytes, uint64_t count,
                       struct tally *tally)
{
    bool changed = false;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t mask = cluster_mask(clusters, at + i);
        uint8_t right = all_allocated(check) ? mask : bytes[i] & mask;
        count_byte(tally, at + i, bytes[i], mask);
        changed |= right != bytes[i];
        bytes[i] = right;
    }
    return changed;
}

/* Counts the zeros of a hole, the bytes [at, end) of the bitmap. */
static void count_hole(struct tally *tally, uint64_t clusters, uint64_t at, uint64_t end)
{
    uint64_t first = at <= clusters / 8 ? 8 * at : clusters;
    uint64_t limit = end <= clusters / 8 ? 8 * end : clusters;
    if (first >= limit) {
        return;
    }
    tally->clear += limit - first;
    tally->first_clear = tally->first_clear == NONE ? first : tally->first_clear;
}

/* The end of the hole of the file in which byte `at` of the bitmap lies, as a byte of the bitmap; `at` if in none. */
static uint64_t bitmap_hole_end(const struct check *check, uint64_t at, uint64_t length)
{
    uint64_t start = check->metadata.header.header_size;
    uint64_t end = addcow_io_hole_end(&check->io, start + at) - start;
    return end < length ? end : length;
}

/* Goes through the whole bitmap, down to the end of the file. Holes are not read, unless bits have to be set there. */
static enum addcow_status scan_bitmap(struct check *check, bool repair, struct tally *tally, struct addcow_error *error)
{
    const struct addcow_header *header = &check->metadata.header;
    uint64_t length = check->metadata.file_length - header->header_size;
    uint8_t *buffer = malloc(CHUNK_SIZE);
    if (!buffer) {
        return addcow_fail_memory(error, check->path);
    }
    enum addcow_status code = ADDCOW_OK;
    bool skip = !(repair && all_allocated(check));
    for (uint64_t at = 0, part; at < length && code == ADDCOW_OK; at += part) {
        part = skip ? bitmap_hole_end(check, at, length) - at : 0;
        if (part > 0) {
            count_hole(tally, check->result->clusters, at, at + part);
            continue;
        }
        part = length - at < CHUNK_SIZE ? length - at : CHUNK_SIZE;
        code = addcow_io_read(&check->io, buffer, part, header->header_size + at, error);
        if (code == ADDCOW_OK && scan_chunk(check, check->result->clusters, at, buffer, part, tally) && repair) {
            code = addcow_io_write(&check->io, buffer, part, header->header_size + at, error);
        }
    }
    free(buffer);
    return code;
}

static void report_bitmap(struct check *check, const struct tally *tally, bool repaired)
{
    struct addcow_error what = ADDCOW_ERROR_INIT;
    uint64_t length = check->metadata.file_length;
    uint64_t wanted = addcow_file_length(&check->metadata.header, check->image_length);
    if (length < wanted) {
        addcow_fail(&what, ADDCOW_MALFORMED, 0, "BMP-04",
                    "%s: the file is %" PRIu64 " bytes long, and %" PRIu64 " with the bitmap's padding", check->path,
                    length, wanted);
        add_finding(check, &what, check->header_valid, repaired);
    }
    if (tally->padding_used && check->metadata.header.layout == ADDCOW_R20) {
        addcow_fail(&what, ADDCOW_MALFORMED, 0, "BMP-04", "%s: the bitmap's padding is not zero", check->path);
        add_finding(check, &what, check->header_valid, repaired);
    }
    if (tally->past) {
        addcow_fail(&what, ADDCOW_MALFORMED, 0, "BMP-05",
                    "%s: %" PRIu64 " bits past the last cluster are set, the first one for cluster %" PRIu64,
                    check->path, tally->past, tally->first_past);
        add_finding(check, &what, check->header_valid, repaired);
    }
    if (tally->clear && all_allocated(check)) {
        addcow_fail(&what, ADDCOW_MALFORMED, 0, "VRT-05",
                    "%s: all clusters are allocated, but the bits of %" PRIu64
                    " are clear, the first one of cluster %" PRIu64
                    "; older drivers write such files; harmless, and a repair sets the bits",
                    check->path, tally->clear, tally->first_clear);
        add_finding(check, &what, check->header_valid, repaired);
    }
}

static enum addcow_status check_bitmap(struct check *check, struct addcow_error *error)
{
    const struct addcow_header *header = &check->metadata.header;
    uint64_t wanted = addcow_file_length(header, check->image_length);
    bool repair = check->repair && check->header_valid;
    struct tally tally = {.first_clear = NONE, .first_past = NONE};
    check->result->clusters = addcow_cluster_count(check->image_length, addcow_cluster_size(header->cluster_bits));
    /* DUR-12: bits past an end that is not durable must not be cleared. */
    enum addcow_status code = repair ? addcow_io_sync(&check->image, error) : ADDCOW_OK;
    if (code == ADDCOW_OK) {
        code = scan_bitmap(check, repair, &tally, error);
    }
    if (code == ADDCOW_OK && repair && check->metadata.file_length < wanted) {
        code = addcow_io_truncate(&check->io, wanted, error);
    }
    if (code == ADDCOW_OK && repair) {
        code = addcow_io_sync(&check->io, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    check->result->allocated = all_allocated(check) ? check->result->clusters : tally.set;
    report_bitmap(check, &tally, repair);
    return ADDCOW_OK;
}

/* ---- The whole ---- */

static enum addcow_status open_metadata(struct check *check, struct addcow_error *error)
{
    bool named = false;
    enum addcow_open_mode mode = check->repair ? ADDCOW_FILE_READWRITE : ADDCOW_FILE_READ;
    enum addcow_status code = addcow_io_open(check->storage, check->path, mode, &check->io, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_lock(&check->io, check->repair, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_named(check->storage, &check->io, check->path, &named, error);
    }
    if (code == ADDCOW_OK && !named) {
        code = addcow_fail(error, ADDCOW_BUSY, 0, "LCK-04", "%s: was replaced by somebody else", check->path);
    }
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&check->identities, &check->io, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_header_read(&check->io, &check->bytes, error);
    }
    return code;
}

static enum addcow_status check_disk(struct check *check, struct addcow_error *error)
{
    enum addcow_status code = open_metadata(check, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    check_header_rules(check);
    if (!header_readable(check)) {
        return ADDCOW_OK;
    }
    check->backing_readable = backing_name_readable(check);
    code = load_metadata(check, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    bool image_usable = check_image_name(check);
    bool backing_usable = check->metadata.backing_path && check_backing_name(check) && !all_allocated(check);
    if (image_usable) {
        code = check_image(check, &image_usable, error);
    }
    if (code == ADDCOW_OK && backing_usable) {
        code = check_backing(check, error);
    }
    if (code == ADDCOW_OK && image_usable) {
        code = check_bitmap(check, error);
    }
    return code;
}

enum addcow_status addcow_check(const char *path, bool repair, struct addcow_storage *storage, addcow_report *report,
                                void *context, struct addcow_check_result *result, struct addcow_error *error)
{
    assert(path && result);
    struct addcow_check_result found = {0};
    struct check check = {
        .path = path,
        .storage = storage ? storage : addcow_posix_storage(),
        .repair = repair,
        .report = report,
        .context = context,
        .result = &found,
    };
    enum addcow_status code = check_disk(&check, error);
    addcow_metadata_free(&check.metadata);
    free(check.bytes.data);
    addcow_io_close(&check.image, NULL);
    enum addcow_status closed = addcow_io_close(&check.io, code == ADDCOW_OK ? error : NULL);
    addcow_give(result, &found, sizeof found, ADDCOW_SIZE_TO(struct addcow_check_result, allocated));
    return code != ADDCOW_OK ? code : closed;
}
