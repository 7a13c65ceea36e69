/*
 * The header (section 2). Rules are checked in the order of the specification.
 */
#include "second.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_AT 76u
#define FORMAT_BYTES 16u
#define R9_NAME_BYTES 1024u
#define R9_BITS 16u

bool fail(struct problem *problem, const char *kind, const char *clause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    problem->kind = kind;
    problem->clause = clause;
    vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool broken(struct problem *problem, const char *clause, const char *what)
{
    return fail(problem, "malformed", clause, "%s", what);
}

static uint64_t number(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static void put_number(uint8_t *bytes, unsigned count, uint64_t value)
{
    for (unsigned i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

static bool is_zero(const uint8_t *bytes, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Whether a field holds a string, then a NUL, then only zeros. */
static bool is_string(const uint8_t *field, size_t bytes)
{
    const uint8_t *nul = memchr(field, 0, bytes);
    return nul != NULL && is_zero(field, (uint64_t)(nul - field), bytes);
}

/* ---- Layout r20 ---- */

struct name {
    uint64_t at;
    uint64_t size;
};

static bool is_inside(struct name name, uint64_t header_size)
{
    return name.at >= NAMES_AT && name.at + name.size <= header_size;
}

static bool check_names(const uint8_t *head, const struct header *header, struct name backing, struct name image,
                        struct problem *problem)
{
    if ((backing.at == 0) != (backing.size == 0)) {
        return broken(problem, "HDR-07", "half a backing name");
    }
    if (backing.at != 0 && !is_inside(backing, header->size)) {
        return broken(problem, "HDR-08", "the backing name is outside the header");
    }
    if (memchr(head + backing.at, 0, (size_t)backing.size) != NULL) {
        return broken(problem, "HDR-09", "a NUL in the backing name");
    }
    if (image.at == 0 || image.size == 0) {
        return broken(problem, "HDR-10", "no image name");
    }
    if (!is_inside(image, header->size)) {
        return broken(problem, "HDR-11", "the image name is outside the header");
    }
    if (memchr(head + image.at, 0, (size_t)image.size) != NULL) {
        return broken(problem, "HDR-12", "a NUL in the image name");
    }
    if (backing.at < image.at + image.size && image.at < backing.at + backing.size) {
        return broken(problem, "HDR-13", "the names overlap");
    }
    return true;
}

static bool check_rest(const uint8_t *head, const struct header *header, struct name backing, struct name image,
                       struct problem *problem)
{
    const uint8_t *backing_format = head + 44, *image_format = head + 60;
    if (!is_string(backing_format, FORMAT_BYTES)) {
        return broken(problem, "HDR-14", "the backing format is no string");
    }
    if ((backing_format[0] == 0) != (backing.size == 0)) {
        return broken(problem, "HDR-15", "a backing format without a name, or a name without");
    }
    if (!is_string(image_format, FORMAT_BYTES)) {
        return broken(problem, "HDR-16", "the image format is no string");
    }
    if (image_format[0] == 0) {
        return broken(problem, "HDR-17", "no image format");
    }
    for (uint64_t i = NAMES_AT; i < header->size; i++) {
        bool named = (i >= backing.at && i < backing.at + backing.size) || (i >= image.at && i < image.at + image.size);
        if (!named && head[i] != 0) {
            return broken(problem, "HDR-18", "a byte that belongs to no name is not zero");
        }
    }
    if (backing.size == image.size && memcmp(head + backing.at, head + image.at, (size_t)image.size) == 0) {
        return broken(problem, "HDR-19", "the names are the same");
    }
    return true;
}

static bool decode_r20(const uint8_t *head, uint64_t length, struct header *header, struct problem *problem)
{
    struct name backing = {number(head + 4, 4), number(head + 8, 4)};
    struct name image = {number(head + 12, 4), number(head + 16, 4)};
    header->cluster_bits = (uint32_t)number(head + 20, 4);
    header->compatible = number(head + 32, 8);
    header->size = number(head + 40, 4);
    if (number(head + 24, 8) != 0) {
        return fail(problem, "unsupported", "HDR-03", "unknown features");
    }
    if (header->cluster_bits < 12 || header->cluster_bits > 21) {
        return broken(problem, "HDR-04", "cluster_bits is outside 12..21");
    }
    header->cluster = UINT64_C(1) << header->cluster_bits;
    if (header->size != (header->cluster > HEADER_MIN ? header->cluster : HEADER_MIN)) {
        return broken(problem, "HDR-05", "header_size does not fit the cluster");
    }
    if (length < header->size) {
        return broken(problem, "HDR-06", "the header is cut");
    }
    if (!check_names(head, header, backing, image, problem) || !check_rest(head, header, backing, image, problem)) {
        return false;
    }
    memcpy(header->backing_format, head + 44, FORMAT_BYTES);
    memcpy(header->image_format, head + 60, FORMAT_BYTES);
    header->backing = backing.size > 0 ? strndup((const char *)head + backing.at, (size_t)backing.size) : NULL;
    header->image = strndup((const char *)head + image.at, (size_t)image.size);
    return true;
}

/* ---- Layout r9 ---- */

static bool decode_r9(const uint8_t *head, struct header *header, struct problem *problem)
{
    const uint8_t *backing = head + 12, *image = head + 12 + R9_NAME_BYTES;
    if (number(head + 8, 4) != 1) {
        return fail(problem, "unsupported", "HR9-01", "an unknown version");
    }
    if (!is_string(backing, R9_NAME_BYTES)) {
        return broken(problem, "HR9-02", "the backing name is no string");
    }
    if (backing[0] == 0) {
        return broken(problem, "HR9-03", "no backing name");
    }
    if (!is_string(image, R9_NAME_BYTES)) {
        return broken(problem, "HR9-04", "the image name is no string");
    }
    if (image[0] == 0) {
        return broken(problem, "HR9-05", "no image name");
    }
    if (!is_zero(head, 12 + 2 * R9_NAME_BYTES, HEADER_MIN)) {
        return broken(problem, "HR9-06", "a byte that belongs to no field is not zero");
    }
    if (strcmp((const char *)backing, (const char *)image) == 0) {
        return broken(problem, "HR9-07", "the names are the same");
    }
    header->is_r9 = true;
    header->cluster_bits = R9_BITS;
    header->cluster = UINT64_C(1) << R9_BITS;
    header->size = HEADER_MIN;
    strcpy(header->backing_format, "raw");
    strcpy(header->image_format, "raw");
    header->backing = strdup((const char *)backing);
    header->image = strdup((const char *)image);
    return true;
}

bool header_decode(const uint8_t *head, uint64_t length, struct header *header, struct problem *problem)
{
    if (length < HEADER_MIN) {
        return broken(problem, "HDR-01", "the file is shorter than any header");
    }
    bool good;
    if (memcmp(head, "ACOW", 4) == 0) {
        good = decode_r20(head, length, header, problem);
    } else if (memcmp(head, "ADD_COW\xff", 8) == 0) {
        good = decode_r9(head, header, problem);
    } else {
        return broken(problem, "HDR-02", "no add-cow file");
    }
    if (good && (header->image == NULL || (header->backing_format[0] != '\0' && header->backing == NULL))) {
        return fail(problem, "io", "-", "no memory");
    }
    return good;
}

void header_free(struct header *header)
{
    free(header->backing);
    free(header->image);
    *header = (struct header){.size = 0};
}

uint64_t header_bitmap_bytes(const struct header *header, uint64_t size)
{
    uint64_t clusters = size / header->cluster + (size % header->cluster != 0);
    return clusters / 8 + (clusters % 8 != 0);
}

uint64_t header_file_length(const struct header *header, uint64_t size)
{
    uint64_t unit = header->is_r9 ? 1 : header->cluster; /* BMP-04 */
    uint64_t bytes = header_bitmap_bytes(header, size);
    return header->size + (bytes + unit - 1) / unit * unit;
}

/* ---- Writing ---- */

bool header_encode(const struct header *header, uint8_t **bytes, struct problem *problem)
{
    size_t backing = header->backing != NULL ? strlen(header->backing) : 0, image = strlen(header->image);
    bool fits =
        header->is_r9 ? backing < R9_NAME_BYTES && image < R9_NAME_BYTES : NAMES_AT + backing + image <= header->size;
    if (!fits) {
        return fail(problem, "range", "CRE-05", "the names do not fit into the header");
    }
    uint8_t *head = calloc(1, (size_t)header->size);
    if (head == NULL) {
        return fail(problem, "io", "-", "no memory");
    }
    *bytes = head;
    if (header->is_r9) {
        memcpy(head, "ADD_COW\xff\1", 9);
        memcpy(head + 12, header->backing, backing);
        memcpy(head + 12 + R9_NAME_BYTES, header->image, image);
        return true;
    }
    memcpy(head, "ACOW", 4);
    put_number(head + 4, 4, backing > 0 ? NAMES_AT : 0); /* HDR-22 */
    put_number(head + 8, 4, backing);
    put_number(head + 12, 4, NAMES_AT + backing);
    put_number(head + 16, 4, image);
    put_number(head + 20, 4, header->cluster_bits);
    put_number(head + 32, 8, header->compatible);
    put_number(head + 40, 4, header->size);
    memcpy(head + 44, header->backing_format, FORMAT_BYTES);
    memcpy(head + 60, header->image_format, FORMAT_BYTES);
    if (backing > 0) {
        memcpy(head + NAMES_AT, header->backing, backing);
    }
    memcpy(head + NAMES_AT + backing, header->image, image);
    return true;
}
