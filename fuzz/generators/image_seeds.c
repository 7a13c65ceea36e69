/*
 * Seeds of fuzz_image and fuzz_create: generated disks with requests, and disks to create among existing files.
 */
#include "addcow_header.h"
#include "generators/seeds.h"
#include "workload/disk_files.h"
#include "workload/generate.h"
#include "lib/untrusted_image.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

#define IMAGES 800u
#define CREATIONS 4000u

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
                                         [FUZZ_TRACE] = seed_trace(&trace),
                                         [FUZZ_FILE] = {section, number % 4 == 0 ? sizeof section : count}}};
    snprintf(name, sizeof name, "untrusted-%u", number);
    seed_store("fuzz_image", name, &input);
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
    struct fuzz_input input = {
        .parts = {[FUZZ_CHOICES] = {choices, sizeof choices}, [FUZZ_TRACE] = seed_trace(&trace)}};
    snprintf(name, sizeof name, "creation-%u", number);
    seed_store("fuzz_create", name, &input);
}

void generate_image_seeds(void)
{
    for (uint32_t i = 0; i < IMAGES; i++) {
        make_untrusted_image(i);
    }
}

void generate_creation_seeds(void)
{
    for (uint32_t i = 0; i < CREATIONS; i++) {
        make_creation(i);
    }
}
