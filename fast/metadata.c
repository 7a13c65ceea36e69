/*
 * Metadata files before a disk is opened from them: their first bytes, the decoded header, and its names.
 *
 * The codec of ref/, which is proven, judges the rules. This file reads the bytes, words the messages, and resolves the
 * paths.
 */
#include "addcow_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The largest header_size that a valid header has (HDR-04, HDR-05). */
#define HEADER_MAX ((uint64_t)1 << ADDCOW_CLUSTER_BITS_MAX)

const char *addcow_rule_text(enum addcow_rule rule)
{
    static const char *const texts[ADDCOW_RULE_COUNT] = {
        [ADDCOW_RULE_NONE] = "no rule is broken",
        [ADDCOW_RULE_LENGTH] = "the file is shorter than 4096 bytes",
        [ADDCOW_RULE_MAGIC] = "the file does not begin with an add-cow magic",
        [ADDCOW_RULE_FEATURES] = "an unknown feature bit is set",
        [ADDCOW_RULE_CLUSTER_BITS] = "cluster_bits is not in 12..21",
        [ADDCOW_RULE_HEADER_SIZE] = "header_size is not the larger of 4096 and the cluster size",
        [ADDCOW_RULE_HEADER_LENGTH] = "the file ends inside the header",
        [ADDCOW_RULE_BACKING_PRESENCE] = "the backing name has an offset without a size, or a size without an offset",
        [ADDCOW_RULE_BACKING_RANGE] = "the backing name lies outside the header",
        [ADDCOW_RULE_BACKING_NUL] = "the backing name contains a NUL byte",
        [ADDCOW_RULE_IMAGE_PRESENCE] = "the image name is missing",
        [ADDCOW_RULE_IMAGE_RANGE] = "the image name lies outside the header",
        [ADDCOW_RULE_IMAGE_NUL] = "the image name contains a NUL byte",
        [ADDCOW_RULE_NAMES_OVERLAP] = "the backing name and the image name overlap",
        [ADDCOW_RULE_BACKING_FORMAT] = "the backing format is not terminated, or not zero after its end",
        [ADDCOW_RULE_BACKING_FORMAT_ABSENT] = "there is a backing format without a backing name, or the reverse",
        [ADDCOW_RULE_IMAGE_FORMAT] = "the image format is not terminated, or not zero after its end",
        [ADDCOW_RULE_IMAGE_FORMAT_ABSENT] = "the image format is missing",
        [ADDCOW_RULE_PADDING] = "an unused byte of the header is not zero",
        [ADDCOW_RULE_NAMES_EQUAL] = "the backing name and the image name are the same",
        [ADDCOW_RULE_R9_VERSION] = "the version is not 1",
        [ADDCOW_RULE_R9_BACKING_NUL] = "the backing name is not terminated, or not zero after its end",
        [ADDCOW_RULE_R9_BACKING_ABSENT] = "the backing name is missing",
        [ADDCOW_RULE_R9_IMAGE_NUL] = "the image name is not terminated, or not zero after its end",
        [ADDCOW_RULE_R9_IMAGE_ABSENT] = "the image name is missing",
        [ADDCOW_RULE_R9_PADDING] = "an unused byte of the header is not zero",
        [ADDCOW_RULE_R9_NAMES_EQUAL] = "the backing name and the image name are the same",
        [ADDCOW_RULE_BITMAP_LENGTH] = "the file ends inside the bitmap",
        [ADDCOW_RULE_NAME_PROTOCOL] = "a name has a protocol prefix",
        [ADDCOW_RULE_IMAGE_FORMAT_RAW] = "the image format is not raw",
        [ADDCOW_RULE_BACKING_FORMAT_KNOWN] = "the backing format is neither raw nor add-cow",
        [ADDCOW_RULE_VIRTUAL_SIZE] = "the image is longer than 2^62 bytes",
    };
    assert(rule < ADDCOW_RULE_COUNT && texts[rule]);
    return texts[rule];
}

enum addcow_status addcow_fail_rule(struct addcow_error *error, const char *path, enum addcow_rule rule)
{
    return addcow_fail(error, addcow_rule_status(rule), 0, addcow_rule_clause(rule), "%s: %s", path,
                       addcow_rule_text(rule));
}

/* ---- Reading ---- */

/*
 * How many bytes the codec may need of a file that begins with these 4096: the size of a plausible header, or else the
 * maximum.
 */
static uint64_t wanted_bytes(const uint8_t *start)
{
    if (memcmp(start, "ADD_COW\xff", 8) == 0) {
        return ADDCOW_HEADER_MIN;
    }
    uint32_t bits = addcow_load_le32(start + 20);
    uint32_t header_size = addcow_load_le32(start + 40);
    bool sane =
        bits >= ADDCOW_CLUSTER_BITS_MIN && bits <= ADDCOW_CLUSTER_BITS_MAX && header_size == addcow_cluster_size(bits);
    return sane ? header_size : HEADER_MAX;
}

enum addcow_status addcow_header_read(const struct addcow_io *io, struct addcow_header_bytes *bytes,
                                      struct addcow_error *error)
{
    uint64_t length;
    enum addcow_status code = addcow_io_length(io, &length, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    uint64_t first = length < ADDCOW_HEADER_MIN ? length : ADDCOW_HEADER_MIN;
    uint8_t start[ADDCOW_HEADER_MIN] = {0};
    code = addcow_io_read(io, start, first, 0, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    uint64_t wanted = wanted_bytes(start);
    uint64_t count = length < wanted ? length : wanted;
    uint8_t *data = malloc(count > 0 ? (size_t)count : 1);
    if (!data) {
        return addcow_fail_memory(error, io->path);
    }
    memcpy(data, start, (size_t)first);
    code = addcow_io_read(io, data + first, count - first, first, error);
    if (code != ADDCOW_OK) {
        free(data);
        return code;
    }
    *bytes = (struct addcow_header_bytes){.data = data, .count = count, .file_length = length};
    return ADDCOW_OK;
}

/* ---- Names ---- */

char *addcow_resolve(const char *metadata_path, const char *name)
{
    const char *slash = strrchr(metadata_path, '/');
    if (name[0] == '/' || !slash) {
        return strdup(name);
    }
    size_t directory = (size_t)(slash - metadata_path) + 1;
    size_t size = strlen(name) + 1;
    char *path = malloc(directory + size);
    if (!path) {
        return NULL;
    }
    memcpy(path, metadata_path, directory);
    memcpy(path + directory, name, size);
    return path;
}

/* A name of the header as a string, and its path. False: no memory. */
static bool copy_name(const char *metadata_path, const uint8_t *bytes, uint32_t size, char **name, char **path)
{
    *name = strndup((const char *)bytes, size);
    *path = *name ? addcow_resolve(metadata_path, *name) : NULL;
    return *path != NULL;
}

void addcow_metadata_free(struct addcow_metadata *metadata)
{
    free(metadata->image_name);
    free(metadata->image_path);
    free(metadata->backing_name);
    free(metadata->backing_path);
    *metadata = (struct addcow_metadata){0};
}

static bool copy_names(const char *metadata_path, const uint8_t *data, struct addcow_metadata *metadata)
{
    const struct addcow_header *header = &metadata->header;
    if (!copy_name(metadata_path, data + header->image_offset, header->image_size, &metadata->image_name,
                   &metadata->image_path)) {
        return false;
    }
    return header->backing_size == 0 || copy_name(metadata_path, data + header->backing_offset, header->backing_size,
                                                  &metadata->backing_name, &metadata->backing_path);
}

/* ---- Decoding ---- */

/* The rules of addcow_check_open for an image of this length. A length of 0 breaks none of those on lengths. */
static enum addcow_rule check_open(const struct addcow_metadata *metadata, uint64_t image_length)
{
    return addcow_check_open(&metadata->header, (const uint8_t *)metadata->backing_name,
                             (const uint8_t *)metadata->image_name, metadata->file_length, image_length);
}

enum addcow_status addcow_metadata_decode(const struct addcow_io *io, const struct addcow_header_bytes *bytes,
                                          struct addcow_metadata *metadata, struct addcow_error *error)
{
    *metadata = (struct addcow_metadata){.file_length = bytes->file_length};
    enum addcow_rule rule = addcow_decode(bytes->data, bytes->file_length, &metadata->header);
    if (rule != ADDCOW_RULE_NONE) {
        return addcow_fail_rule(error, io->path, rule);
    }
    enum addcow_status code = copy_names(io->path, bytes->data, metadata)
                                  ? addcow_metadata_check_lengths(metadata, io->path, 0, error)
                                  : addcow_fail_memory(error, io->path);
    if (code != ADDCOW_OK) {
        addcow_metadata_free(metadata);
    }
    return code;
}

enum addcow_status addcow_metadata_load(const struct addcow_io *io, struct addcow_metadata *metadata,
                                        struct addcow_error *error)
{
    struct addcow_header_bytes bytes;
    enum addcow_status code = addcow_header_read(io, &bytes, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_metadata_decode(io, &bytes, metadata, error);
    free(bytes.data);
    return code;
}

uint64_t addcow_metadata_covered(const struct addcow_metadata *metadata)
{
    const struct addcow_header *header = &metadata->header;
    uint64_t bytes = metadata->file_length - header->header_size;
    unsigned bits = header->cluster_bits + 3;
    return bytes > ADDCOW_SIZE_MAX >> bits ? ADDCOW_SIZE_MAX : bytes << bits;
}

enum addcow_status addcow_metadata_check_lengths(const struct addcow_metadata *metadata, const char *path,
                                                 uint64_t image_length, struct addcow_error *error)
{
    enum addcow_rule rule = check_open(metadata, image_length);
    if (rule == ADDCOW_RULE_BITMAP_LENGTH) {
        return addcow_fail(error, ADDCOW_MALFORMED, 0, addcow_rule_clause(rule),
                           "%s: %s: it covers images of up to %" PRIu64 " bytes, and the image has %" PRIu64, path,
                           addcow_rule_text(rule), addcow_metadata_covered(metadata), image_length);
    }
    return rule == ADDCOW_RULE_NONE ? ADDCOW_OK : addcow_fail_rule(error, path, rule);
}
