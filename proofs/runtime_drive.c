/*
 * Calls the public functions of the reference engine at random, so that its contracts can be checked while it runs.
 *
 *     runtime_drive SEED OPERATIONS
 *
 * It is linked with the checked copy of the engine (proofs/runtime.h) and judges nothing itself. Disks have clusters of
 * 4 to 16 bytes here, which only a precondition of the engine forbids: so every loop is short, all checks can be made
 * every time, and corner cases are common. Arrays have exactly the size that they need, so that the address sanitizer
 * sees an access outside. Headers are made by the encoder and by hand, and then damaged at bytes that have a meaning.
 */
#include "addcow_ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern uint64_t rtc_smallest_cluster, rtc_ample;

#define CAPACITY 88u
#define NAME_ROOM 1100u
#define ROOM (32u << 10) /* more takes minutes: the check of a loop invariant looks at all bytes, for each of them */

static uint64_t random_state;

static uint64_t below(uint64_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % bound;
}

static uint8_t *obtain(uint64_t bytes)
{
    uint8_t *memory = malloc((size_t)bytes);
    if (memory == NULL) {
        exit(2);
    }
    for (uint64_t i = 0; i < bytes; i++) {
        memory[i] = (uint8_t)(1 + below(255));
    }
    return memory;
}

/* ---- Disks ---- */

static void make_disk(struct addcow_ref *disk)
{
    uint64_t cluster = 4u << below(3);
    uint64_t capacity = below(CAPACITY);
    uint64_t bytes = addcow_bitmap_bytes(capacity, cluster);
    uint32_t has_backing = below(4) != 0;
    uint64_t backing = has_backing ? below(capacity + cluster + 1) : 0;
    *disk = (struct addcow_ref){.image = obtain(capacity),
                                .bitmap = obtain(bytes),
                                .backing = obtain(backing),
                                .size = below(capacity + 1),
                                .capacity = capacity,
                                .backing_size = backing,
                                .cluster_size = cluster,
                                .has_backing = has_backing,
                                .all_allocated = below(6) == 0};
    if (below(3) != 0) {
        for (uint64_t i = 0; i < bytes; i++) {
            disk->bitmap[i] = 0;
        }
    }
}

static void drop_disk(struct addcow_ref *disk)
{
    free(disk->image);
    free(disk->bitmap);
    free(disk->backing);
}

/* A refused read leaves the buffer as it was. Compared here: the contract does not call it valid memory then. */
static void read_disk(const struct addcow_ref *disk, uint64_t offset, uint64_t length, uint8_t *buffer)
{
    uint8_t *before = obtain(length);
    memcpy(before, buffer, length);
    if (addcow_ref_read(disk, offset, length, buffer) != ADDCOW_OK && memcmp(before, buffer, length) != 0) {
        fputs("contracts: broken: addcow_ref_read ensures refused\n", stderr);
        abort();
    }
    free(before);
}

/* A request, mostly within the disk; sometimes offset + length wraps around. The buffer is as large as possible. */
static void request(struct addcow_ref *disk)
{
    uint64_t offset = below(disk->size + 1);
    uint64_t length = below(disk->size - offset + (below(8) == 0 ? 3 : 1));
    uint8_t *buffer = obtain(length);
    uint32_t allocated = 7;
    uint64_t run = 7;
    if (below(16) == 0) {
        offset = UINT64_MAX - below(4);
    }
    switch (below(5)) {
    case 0:
        read_disk(disk, offset, length, buffer);
        break;
    case 1:
        addcow_ref_zero(disk, offset, length);
        break;
    case 2:
        addcow_ref_discard(disk, offset, length);
        break;
    case 3:
        addcow_ref_map(disk, offset, length, &allocated, &run);
        break;
    default:
        addcow_ref_write(disk, offset, length, length == 0 && below(2) ? NULL : buffer);
        break;
    }
    free(buffer);
}

static void maintain(struct addcow_ref *disk)
{
    uint64_t size = below(disk->capacity + 1);
    switch (below(8)) {
    case 0:
        addcow_ref_stream(disk, (uint32_t)below(2));
        break;
    case 1:
    case 2:
        addcow_ref_commit(disk);
        break;
    case 3:
        addcow_ref_resize(disk, below(2) ? disk->capacity + 1 : ADDCOW_SIZE_MAX + 1);
        break;
    default:
        addcow_ref_resize(disk, below(3) ? size : size - size % disk->cluster_size);
        break;
    }
}

/* ---- Headers ---- */

struct named {
    struct addcow_header header;
    uint8_t *backing, *image;
};

/* A header that has an encoding, or nearly. */
static void make_named(struct named *named)
{
    struct addcow_header *header = &named->header;
    uint32_t layout = below(2) ? ADDCOW_R20 : ADDCOW_R9;
    uint32_t bits = layout == ADDCOW_R9 ? 16 : below(200) == 0 ? 12 + (uint32_t)below(4) : below(8) == 0 ? 13 : 12;
    uint32_t backing = below(5) ? 1 + (uint32_t)below(20) : layout == ADDCOW_R9 ? (uint32_t)below(NAME_ROOM) : 0;
    uint32_t image = below(4) ? 1 + (uint32_t)below(20) : below(2) ? backing : (uint32_t)below(NAME_ROOM);
    *header =
        (struct addcow_header){.layout = layout, .cluster_bits = bits, .backing_size = backing, .image_size = image};
    header->header_size = layout == ADDCOW_R9 ? 4096 : (uint32_t)addcow_cluster_size(bits);
    header->backing_offset = layout == ADDCOW_R9 ? 12 : backing ? 75 + (uint32_t)below(30) : 0;
    header->image_offset = layout == ADDCOW_R9 ? 1036 : backing ? header->backing_offset + backing : 76;
    if (below(2)) {
        addcow_place_names(header);
    }
    if (layout == ADDCOW_R20 && below(8) == 0) {
        header->image_offset -= below(2) ? 1 : -1u;
    }
    if (backing || layout == ADDCOW_R9) {
        memcpy(header->backing_format, below(3) || layout == ADDCOW_R9 ? "raw\0\0\0\0" : "add-cow", 7);
    }
    memcpy(header->image_format, "raw", 3);
    if (layout == ADDCOW_R20) {
        header->compatible_features = below(4);
    }
    named->backing = obtain(backing);
    named->image = obtain(image);
    if (backing == image && below(2)) {
        memcpy(named->image, named->backing, image);
    }
    if (image > 300 && below(2)) {
        named->image[image - 1] ^= 1;
    }
}

static void drop_named(struct named *named)
{
    free(named->backing);
    free(named->image);
}

/* Makes one field something else. */
static void disturb(struct named *named)
{
    struct addcow_header *header = &named->header;
    uint32_t *const fields[] = {&header->layout, &header->cluster_bits, &header->header_size, &header->backing_offset,
                                &header->image_offset};
    static const uint32_t edges[] = {0, 1, 11, 12, 21, 22, 75, 76, 77, 1035, 1036, 4095, 4096, 4097, 8192};
    uint32_t small = (uint32_t)below(30);
    switch (below(11)) {
    case 0:
        header->features = below(2) << below(64);
        break;
    case 1:
        header->compatible_features = below(9);
        break;
    case 2:
        header->backing_format[below(16)] = (uint8_t)below(3);
        break;
    case 3:
        header->image_format[below(16)] = (uint8_t)below(3);
        break;
    case 4:
        if (header->backing_size > 0) {
            named->backing[below(header->backing_size)] = below(2) ? ':' : '/';
        }
        break;
    case 5:
        if (header->image_size > 0) {
            named->image[below(header->image_size)] = (uint8_t)(below(2) ? ':' : 0);
        }
        break;
    default:
        *fields[below(5)] = below(4) == 0   ? UINT32_MAX - small
                            : below(4) == 0 ? small
                                            : edges[below(sizeof edges / sizeof *edges)];
        break;
    }
}

/* The rules that need lengths, for a header that was decoded from `file`. */
static void open_file(const uint8_t *file, const struct addcow_header *header)
{
    uint64_t size = below(3) == 0 ? below(2) * ADDCOW_SIZE_MAX + below(3) : below(1u << 20);
    uint64_t need = size <= ADDCOW_SIZE_MAX ? addcow_file_length(header, size) : 0;
    addcow_check_open(header, file + header->backing_offset, file + header->image_offset,
                      below(2) ? need : header->header_size + below(64), size);
    addcow_backing_is_addcow(header);
}

/* Calls every function that judges bytes. */
static void look(const uint8_t *file, uint64_t length)
{
    struct addcow_header header;
    memset(&header, 0xA5, sizeof header);
    enum addcow_rule rule = addcow_decode(file, length, &header);
    addcow_rule_status(rule);
    addcow_rule_clause(rule);
    addcow_status_name((enum addcow_status)below(ADDCOW_BUSY + 1));
    for (int i = 1; i < ADDCOW_RULE_COUNT; i++) {
        addcow_header_rule_holds(file, length, (enum addcow_rule)i);
    }
    if (rule == ADDCOW_RULE_NONE) {
        open_file(file, &header);
    }
}

/* Changes bytes and words that have a meaning: fields, formats, the edges of names and padding. */
static void damage(uint8_t *file, uint64_t length)
{
    static const uint16_t places[] = {0,  4,  5,  6,  8,   12,  13,   16,   17,   20,   24,   31,  32,
                                      40, 41, 44, 45, 47,  48,  59,   60,   61,   63,   64,   75,  76,
                                      77, 80, 90, 99, 116, 200, 1035, 1036, 1037, 2059, 2060, 4095};
    for (uint64_t count = below(3); count > 0; count--) {
        uint64_t place = below(8) ? places[below(sizeof places / sizeof *places)] : below(length + 1);
        if (place < length) {
            file[place] = (uint8_t)(below(3) == 0 ? 0 : below(2) == 0 ? below(100) : below(256));
        }
        if (below(12) == 0 && place + 4 <= length) {
            memset(file + place, below(2) ? 0xFF : 0, 4);
        }
    }
}

static void header(void)
{
    struct named named;
    make_named(&named);
    for (uint64_t count = below(3); count > 0; count--) {
        disturb(&named);
    }
    uint64_t length = named.header.header_size <= ROOM ? named.header.header_size : 4096;
    if (below(12) == 0) {
        length = below(2) ? below(length + 1) : length + below(9);
    }
    uint8_t *file = obtain(length);
    addcow_encode(&named.header, named.backing, named.image, file, length);
    damage(file, length);
    look(file, length);
    addcow_cluster_count(below(UINT32_MAX) << below(31), 4096u << below(10));
    free(file);
    drop_named(&named);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 10);
    rtc_smallest_cluster = 4;
    rtc_ample = UINT64_MAX;
    uint64_t operations = strtoull(argv[2], NULL, 10);
    struct addcow_ref disk;
    make_disk(&disk);
    for (uint64_t i = 0; i < operations; i++) {
        if (i % 4 == 3) {
            header();
        } else if (below(3)) {
            request(&disk);
        } else {
            maintain(&disk);
        }
        if (below(12) == 0) {
            drop_disk(&disk);
            make_disk(&disk);
        }
    }
    drop_disk(&disk);
    return 0;
}
