/*
 * Seeds that are headers: fields in the form that fuzz_encode reads, each wrong in one way, and formats that are nearly
 * known.
 */
#include "addcow_header.h"
#include "generators/seeds.h"
#include "workload/disk_files.h"
#include "lib/untrusted_image.h"

#include <stdio.h>
#include <string.h>

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
    seed_store_bytes("fuzz_encode", name, fields.bytes, fields.count);
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
    seed_store("fuzz_header", name, &input);
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

void generate_header_seeds(void)
{
    make_all_fields();
    make_formats();
}
