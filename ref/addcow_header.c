/*
 * The header codec: sections 2 to 4 of spec/add-cow.md.
 *
 * A rule of the spec is one small function that looks at the header's bytes and says whether the rule holds. Two functions
 * ask them in the order of the spec, one a layout, and name the first rule that is broken; decode, encode and the checker are
 * built on those. Encode writes what it was given and then lets the same rules judge the result, so nothing that
 * decode would refuse ever leaves it.
 *
 * The code is shaped for proof: numbers are read and written by division and multiplication, and there is neither shift, cast
 * between pointer types, nor libc. This codec is also the one that the production engine uses.
 */
#include "addcow_ref.h"

/* Offsets of the fields of r20 (section 2.1); that of the compatible features is public. */
#define BACKING_OFFSET 4
#define BACKING_SIZE 8
#define IMAGE_OFFSET 12
#define IMAGE_SIZE 16
#define CLUSTER_BITS 20
#define FEATURES 24
#define HEADER_SIZE 40
#define BACKING_FORMAT 44
#define IMAGE_FORMAT 60

/* What r9 has (section 2.2); the offsets of its names are public. */
#define R9_VERSION 8
#define R9_PADDING 2060
#define R9_CLUSTER_BITS 16

#define MAGIC_R20 0x574F4341u     /* "ACOW" as a little-endian number */
#define MAGIC_R9_LOW 0x5F444441u  /* "ADD_" */
#define MAGIC_R9_HIGH 0xFF574F43u /* "COW" and 0xFF */

/* ---- Errors (section 12) ---- */

enum addcow_class addcow_rule_class(enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_NONE:
        return ADDCOW_OK;
    case ADDCOW_RULE_FEATURES:
    case ADDCOW_RULE_R9_VERSION:
    case ADDCOW_RULE_NAME_PROTOCOL:
    case ADDCOW_RULE_IMAGE_FORMAT_RAW:
    case ADDCOW_RULE_BACKING_FORMAT_KNOWN:
    case ADDCOW_RULE_VIRTUAL_SIZE:
        return ADDCOW_UNSUPPORTED;
    default:
        return ADDCOW_MALFORMED;
    }
}

const char *addcow_rule_clause(enum addcow_rule rule)
{
    static const char *const clauses[ADDCOW_RULE_COUNT] = {
        "",       "HDR-01", "HDR-02", "HDR-03", "HDR-04", "HDR-05", "HDR-06", "HDR-07", "HDR-08", "HDR-09", "HDR-10",
        "HDR-11", "HDR-12", "HDR-13", "HDR-14", "HDR-15", "HDR-16", "HDR-17", "HDR-18", "HDR-19", "HR9-01", "HR9-02",
        "HR9-03", "HR9-04", "HR9-05", "HR9-06", "HR9-07", "BMP-03", "LNK-02", "LNK-03", "LNK-04", "VRT-01",
    };
    return clauses[rule];
}

const char *addcow_class_name(enum addcow_class class_code)
{
    static const char *const names[] = {
        "ok", "malformed", "unsupported", "unlinkable", "io", "range", "readonly", "nospace", "busy",
    };
    return names[class_code];
}

/* ---- Bytes ---- */

static uint32_t load32(const uint8_t *p)
{
    return p[0] + 0x100u * p[1] + 0x10000u * p[2] + 0x1000000u * p[3];
}

static uint64_t load64(const uint8_t *p)
{
    return load32(p) + (uint64_t)0x100000000u * load32(p + 4);
}

static void store32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value % 0x100u);
    p[1] = (uint8_t)(value / 0x100u % 0x100u);
    p[2] = (uint8_t)(value / 0x10000u % 0x100u);
    p[3] = (uint8_t)(value / 0x1000000u);
}

static void store64(uint8_t *p, uint64_t value)
{
    store32(p, (uint32_t)(value % 0x100000000u));
    store32(p + 4, (uint32_t)(value / 0x100000000u));
}

static void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        to[i] = from[i];
}

static void zero_bytes(uint8_t *to, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        to[i] = 0;
}

static int all_zero(const uint8_t *p, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (p[i] != 0)
            return 0;
    return 1;
}

static int same_bytes(const uint8_t *p, const uint8_t *q, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (p[i] != q[i])
            return 0;
    return 1;
}

/* The number of bytes before the first NUL among `count`, or `count` if there is none. */
static uint32_t text_length(const uint8_t *p, uint32_t count)
{
    uint32_t i = 0;
    while (i < count && p[i] != 0)
        i++;
    return i;
}

/* Whether there is a NUL among `count` bytes and nothing but zeros after the first one. */
static int is_padded_text(const uint8_t *p, uint32_t count)
{
    uint32_t length = text_length(p, count);
    return length < count && all_zero(p + length, count - length);
}

/* ---- Cluster size, header size, bitmap size (sections 2 and 3) ---- */

uint64_t addcow_cluster_size(uint32_t cluster_bits)
{
    switch (cluster_bits) {
    case 12:
        return 4096;
    case 13:
        return 8192;
    case 14:
        return 16384;
    case 15:
        return 32768;
    case 16:
        return 65536;
    case 17:
        return 131072;
    case 18:
        return 262144;
    case 19:
        return 524288;
    case 20:
        return 1048576;
    default:
        return 2097152;
    }
}

uint64_t addcow_cluster_count(uint64_t size, uint64_t cluster_size)
{
    return (size + cluster_size - 1) / cluster_size;
}

uint64_t addcow_bitmap_bytes(uint64_t size, uint64_t cluster_size)
{
    return (addcow_cluster_count(size, cluster_size) + 7) / 8;
}

uint64_t addcow_file_length(const struct addcow_header *header, uint64_t size)
{
    uint64_t cluster_size = addcow_cluster_size(header->cluster_bits);
    uint64_t bytes = addcow_bitmap_bytes(size, cluster_size);
    if (header->layout == ADDCOW_R20)
        bytes = addcow_cluster_count(bytes, cluster_size) * cluster_size;
    return header->header_size + bytes;
}

/* ---- The rules of both layouts: HDR-01, HDR-02 ---- */

static int long_enough(uint64_t length)
{
    return length >= ADDCOW_HEADER_MIN;
}

static int is_r20(const uint8_t *file)
{
    return load32(file) == MAGIC_R20;
}

static int is_r9(const uint8_t *file)
{
    return load32(file) == MAGIC_R9_LOW && load32(file + 4) == MAGIC_R9_HIGH;
}

/* ---- The rules of r20 (section 2.1) ---- */

/* HDR-03 */
static int features_known(const uint8_t *file)
{
    return load64(file + FEATURES) == 0;
}

/* HDR-04 */
static int cluster_bits_valid(const uint8_t *file)
{
    uint32_t bits = load32(file + CLUSTER_BITS);
    return bits >= ADDCOW_CLUSTER_BITS_MIN && bits <= ADDCOW_CLUSTER_BITS_MAX;
}

/* HDR-05, for valid cluster_bits. As a cluster has at least 4096 bytes, the maximum is the cluster size. */
static int header_size_valid(const uint8_t *file)
{
    return load32(file + HEADER_SIZE) == addcow_cluster_size(load32(file + CLUSTER_BITS));
}

/* HDR-06 */
static int header_complete(const uint8_t *file, uint64_t length)
{
    return length >= load32(file + HEADER_SIZE);
}

/* HDR-07 */
static int backing_presence_valid(const uint8_t *file)
{
    return (load32(file + BACKING_OFFSET) == 0) == (load32(file + BACKING_SIZE) == 0);
}

/* A name's place lies behind the fields and within the header: HDR-08, HDR-11. */
static int name_in_header(uint32_t offset, uint32_t size, uint32_t header_size)
{
    return offset >= ADDCOW_NAMES_OFFSET && offset <= header_size && size <= header_size - offset;
}

/* HDR-08 */
static int backing_range_valid(const uint8_t *file)
{
    uint32_t size = load32(file + BACKING_SIZE);
    return size == 0 || name_in_header(load32(file + BACKING_OFFSET), size, load32(file + HEADER_SIZE));
}

/* HDR-09, for a name within the header */
static int backing_text_valid(const uint8_t *file)
{
    uint32_t size = load32(file + BACKING_SIZE);
    return text_length(file + load32(file + BACKING_OFFSET), size) == size;
}

/* HDR-10 */
static int image_present(const uint8_t *file)
{
    return load32(file + IMAGE_OFFSET) != 0 && load32(file + IMAGE_SIZE) != 0;
}

/* HDR-11 */
static int image_range_valid(const uint8_t *file)
{
    return name_in_header(load32(file + IMAGE_OFFSET), load32(file + IMAGE_SIZE), load32(file + HEADER_SIZE));
}

/* HDR-12, for a name within the header */
static int image_text_valid(const uint8_t *file)
{
    uint32_t size = load32(file + IMAGE_SIZE);
    return text_length(file + load32(file + IMAGE_OFFSET), size) == size;
}

/* HDR-13, for names within the header. A missing backing name has offset and size 0 and shares nothing. */
static int names_disjoint(const uint8_t *file)
{
    uint32_t backing = load32(file + BACKING_OFFSET);
    uint32_t image = load32(file + IMAGE_OFFSET);
    return backing + load32(file + BACKING_SIZE) <= image || image + load32(file + IMAGE_SIZE) <= backing;
}

/* HDR-14 */
static int backing_format_valid(const uint8_t *file)
{
    return is_padded_text(file + BACKING_FORMAT, ADDCOW_FORMAT_SIZE);
}

/* HDR-15 */
static int backing_format_agrees(const uint8_t *file)
{
    return (file[BACKING_FORMAT] == 0) == (load32(file + BACKING_SIZE) == 0);
}

/* HDR-16 */
static int image_format_valid(const uint8_t *file)
{
    return is_padded_text(file + IMAGE_FORMAT, ADDCOW_FORMAT_SIZE);
}

/* HDR-17 */
static int image_format_present(const uint8_t *file)
{
    return file[IMAGE_FORMAT] != 0;
}

static int in_name(uint32_t position, uint32_t offset, uint32_t size)
{
    return position >= offset && position - offset < size;
}

/* HDR-18, for names within the header */
static int padding_zero(const uint8_t *file)
{
    uint32_t header_size = load32(file + HEADER_SIZE);
    uint32_t backing_offset = load32(file + BACKING_OFFSET);
    uint32_t backing_size = load32(file + BACKING_SIZE);
    uint32_t image_offset = load32(file + IMAGE_OFFSET);
    uint32_t image_size = load32(file + IMAGE_SIZE);
    for (uint32_t i = ADDCOW_NAMES_OFFSET; i < header_size; i++)
        if (file[i] != 0 && !in_name(i, backing_offset, backing_size) && !in_name(i, image_offset, image_size))
            return 0;
    return 1;
}

/* HDR-19, for names within the header */
static int names_differ(const uint8_t *file)
{
    uint32_t size = load32(file + IMAGE_SIZE);
    return load32(file + BACKING_SIZE) != size ||
           !same_bytes(file + load32(file + BACKING_OFFSET), file + load32(file + IMAGE_OFFSET), size);
}

/* ---- The rules of r9 (section 2.2) ---- */

/* HR9-01 */
static int r9_version_known(const uint8_t *file)
{
    return load32(file + R9_VERSION) == 1;
}

/* HR9-02 */
static int r9_backing_valid(const uint8_t *file)
{
    return is_padded_text(file + ADDCOW_R9_BACKING_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/* HR9-03 */
static int r9_backing_present(const uint8_t *file)
{
    return file[ADDCOW_R9_BACKING_OFFSET] != 0;
}

/* HR9-04 */
static int r9_image_valid(const uint8_t *file)
{
    return is_padded_text(file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/* HR9-05 */
static int r9_image_present(const uint8_t *file)
{
    return file[ADDCOW_R9_IMAGE_OFFSET] != 0;
}

/* HR9-06 */
static int r9_padding_zero(const uint8_t *file)
{
    return all_zero(file + R9_PADDING, ADDCOW_HEADER_MIN - R9_PADDING);
}

/* HR9-07. Both are padded with zeros, so equal strings have equal bytes throughout. */
static int r9_names_differ(const uint8_t *file)
{
    return !same_bytes(file + ADDCOW_R9_BACKING_OFFSET, file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
}

/* ---- The first broken rule ---- */

/* HDR-03 to HDR-06: what must hold before the rest of the header can be looked at. */
static enum addcow_rule check_size(const uint8_t *file, uint64_t length)
{
    if (!features_known(file))
        return ADDCOW_RULE_FEATURES;
    if (!cluster_bits_valid(file))
        return ADDCOW_RULE_CLUSTER_BITS;
    if (!header_size_valid(file))
        return ADDCOW_RULE_HEADER_SIZE;
    if (!header_complete(file, length))
        return ADDCOW_RULE_HEADER_LENGTH;
    return ADDCOW_RULE_NONE;
}

/* HDR-07 to HDR-12 */
static enum addcow_rule check_names(const uint8_t *file)
{
    if (!backing_presence_valid(file))
        return ADDCOW_RULE_BACKING_PRESENCE;
    if (!backing_range_valid(file))
        return ADDCOW_RULE_BACKING_RANGE;
    if (!backing_text_valid(file))
        return ADDCOW_RULE_BACKING_NUL;
    if (!image_present(file))
        return ADDCOW_RULE_IMAGE_PRESENCE;
    if (!image_range_valid(file))
        return ADDCOW_RULE_IMAGE_RANGE;
    if (!image_text_valid(file))
        return ADDCOW_RULE_IMAGE_NUL;
    return ADDCOW_RULE_NONE;
}

/* HDR-13 to HDR-19 */
static enum addcow_rule check_rest(const uint8_t *file)
{
    if (!names_disjoint(file))
        return ADDCOW_RULE_NAMES_OVERLAP;
    if (!backing_format_valid(file))
        return ADDCOW_RULE_BACKING_FORMAT;
    if (!backing_format_agrees(file))
        return ADDCOW_RULE_BACKING_FORMAT_ABSENT;
    if (!image_format_valid(file))
        return ADDCOW_RULE_IMAGE_FORMAT;
    if (!image_format_present(file))
        return ADDCOW_RULE_IMAGE_FORMAT_ABSENT;
    if (!padding_zero(file))
        return ADDCOW_RULE_PADDING;
    if (!names_differ(file))
        return ADDCOW_RULE_NAMES_EQUAL;
    return ADDCOW_RULE_NONE;
}

/* HDR-07 to HDR-19, for a header whose size is right */
static enum addcow_rule check_content(const uint8_t *file)
{
    enum addcow_rule rule = check_names(file);
    if (rule == ADDCOW_RULE_NONE)
        rule = check_rest(file);
    return rule;
}

static enum addcow_rule check_r20(const uint8_t *file, uint64_t length)
{
    enum addcow_rule rule = check_size(file, length);
    if (rule == ADDCOW_RULE_NONE)
        rule = check_content(file);
    return rule;
}

static enum addcow_rule check_r9(const uint8_t *file)
{
    if (!r9_version_known(file))
        return ADDCOW_RULE_R9_VERSION;
    if (!r9_backing_valid(file))
        return ADDCOW_RULE_R9_BACKING_NUL;
    if (!r9_backing_present(file))
        return ADDCOW_RULE_R9_BACKING_ABSENT;
    if (!r9_image_valid(file))
        return ADDCOW_RULE_R9_IMAGE_NUL;
    if (!r9_image_present(file))
        return ADDCOW_RULE_R9_IMAGE_ABSENT;
    if (!r9_padding_zero(file))
        return ADDCOW_RULE_R9_PADDING;
    if (!r9_names_differ(file))
        return ADDCOW_RULE_R9_NAMES_EQUAL;
    return ADDCOW_RULE_NONE;
}

static enum addcow_rule check_header(const uint8_t *file, uint64_t length)
{
    if (!long_enough(length))
        return ADDCOW_RULE_LENGTH;
    if (is_r20(file))
        return check_r20(file, length);
    if (is_r9(file))
        return check_r9(file);
    return ADDCOW_RULE_MAGIC;
}

/* ---- Each rule by itself, for checkers (CHK-01) ---- */

/* HDR-04 and HDR-05: header_size can be relied on. */
static int size_known(const uint8_t *file)
{
    return cluster_bits_valid(file) && header_size_valid(file);
}

/* The whole header is there to look at. */
static int header_readable(const uint8_t *file, uint64_t length)
{
    return size_known(file) && header_complete(file, length);
}

static int backing_located(const uint8_t *file)
{
    return size_known(file) && backing_presence_valid(file) && backing_range_valid(file);
}

static int image_located(const uint8_t *file)
{
    return size_known(file) && image_present(file) && image_range_valid(file);
}

/* The rules that look at the fields alone. */
static int field_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_FEATURES:
        return features_known(file);
    case ADDCOW_RULE_CLUSTER_BITS:
        return cluster_bits_valid(file);
    case ADDCOW_RULE_HEADER_SIZE:
        return !cluster_bits_valid(file) || header_size_valid(file);
    case ADDCOW_RULE_HEADER_LENGTH:
        return !size_known(file) || header_complete(file, length);
    case ADDCOW_RULE_BACKING_PRESENCE:
        return backing_presence_valid(file);
    case ADDCOW_RULE_IMAGE_PRESENCE:
        return image_present(file);
    case ADDCOW_RULE_BACKING_FORMAT:
        return backing_format_valid(file);
    case ADDCOW_RULE_BACKING_FORMAT_ABSENT:
        return !backing_presence_valid(file) || backing_format_agrees(file);
    case ADDCOW_RULE_IMAGE_FORMAT:
        return image_format_valid(file);
    case ADDCOW_RULE_IMAGE_FORMAT_ABSENT:
        return image_format_present(file);
    default:
        return 1;
    }
}

/* The rules that look at the names and the bytes around them. */
static int name_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_BACKING_RANGE:
        return !size_known(file) || !backing_presence_valid(file) || backing_range_valid(file);
    case ADDCOW_RULE_BACKING_NUL:
        return !header_readable(file, length) || !backing_located(file) || backing_text_valid(file);
    case ADDCOW_RULE_IMAGE_RANGE:
        return !size_known(file) || !image_present(file) || image_range_valid(file);
    case ADDCOW_RULE_IMAGE_NUL:
        return !header_readable(file, length) || !image_located(file) || image_text_valid(file);
    case ADDCOW_RULE_NAMES_OVERLAP:
        return !backing_located(file) || !image_located(file) || names_disjoint(file);
    case ADDCOW_RULE_PADDING:
        return !header_readable(file, length) || !backing_located(file) || !image_located(file) || padding_zero(file);
    case ADDCOW_RULE_NAMES_EQUAL:
        return !header_readable(file, length) || !backing_located(file) || !image_located(file) || names_differ(file);
    default:
        return 1;
    }
}

static int r9_rule_holds(const uint8_t *file, enum addcow_rule rule)
{
    switch (rule) {
    case ADDCOW_RULE_R9_VERSION:
        return r9_version_known(file);
    case ADDCOW_RULE_R9_BACKING_NUL:
        return r9_backing_valid(file);
    case ADDCOW_RULE_R9_BACKING_ABSENT:
        return r9_backing_present(file);
    case ADDCOW_RULE_R9_IMAGE_NUL:
        return r9_image_valid(file);
    case ADDCOW_RULE_R9_IMAGE_ABSENT:
        return r9_image_present(file);
    case ADDCOW_RULE_R9_PADDING:
        return r9_padding_zero(file);
    case ADDCOW_RULE_R9_NAMES_EQUAL:
        return !r9_backing_valid(file) || !r9_image_valid(file) || r9_names_differ(file);
    default:
        return 1;
    }
}

int addcow_header_rule_holds(const uint8_t *file, uint64_t length, enum addcow_rule rule)
{
    if (!long_enough(length))
        return rule != ADDCOW_RULE_LENGTH;
    if (is_r20(file))
        return field_rule_holds(file, length, rule) && name_rule_holds(file, length, rule);
    if (is_r9(file))
        return r9_rule_holds(file, rule);
    return rule != ADDCOW_RULE_MAGIC;
}

/* ---- Decode ---- */

static void load_r20(const uint8_t *file, struct addcow_header *header)
{
    copy_bytes(header->backing_format, file + BACKING_FORMAT, ADDCOW_FORMAT_SIZE);
    copy_bytes(header->image_format, file + IMAGE_FORMAT, ADDCOW_FORMAT_SIZE);
    header->layout = ADDCOW_R20;
    header->cluster_bits = load32(file + CLUSTER_BITS);
    header->header_size = load32(file + HEADER_SIZE);
    header->backing_offset = load32(file + BACKING_OFFSET);
    header->backing_size = load32(file + BACKING_SIZE);
    header->image_offset = load32(file + IMAGE_OFFSET);
    header->image_size = load32(file + IMAGE_SIZE);
    header->features = load64(file + FEATURES);
    header->compatible_features = load64(file + ADDCOW_COMPATIBLE_OFFSET);
}

static void store_raw(uint8_t *format)
{
    zero_bytes(format, ADDCOW_FORMAT_SIZE);
    format[0] = 'r';
    format[1] = 'a';
    format[2] = 'w';
}

/* HR9-08 */
static void load_r9(const uint8_t *file, struct addcow_header *header)
{
    store_raw(header->backing_format);
    store_raw(header->image_format);
    header->layout = ADDCOW_R9;
    header->cluster_bits = R9_CLUSTER_BITS;
    header->header_size = ADDCOW_HEADER_MIN;
    header->backing_offset = ADDCOW_R9_BACKING_OFFSET;
    header->backing_size = text_length(file + ADDCOW_R9_BACKING_OFFSET, ADDCOW_R9_NAME_SIZE);
    header->image_offset = ADDCOW_R9_IMAGE_OFFSET;
    header->image_size = text_length(file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
    header->features = 0;
    header->compatible_features = 0;
}

enum addcow_rule addcow_decode(const uint8_t *file, uint64_t length, struct addcow_header *header)
{
    enum addcow_rule rule = check_header(file, length);
    if (rule == ADDCOW_RULE_NONE) {
        if (is_r20(file))
            load_r20(file, header);
        else
            load_r9(file, header);
    }
    return rule;
}

/* ---- Encode ---- */

static void store_fields(const struct addcow_header *header, uint8_t *out)
{
    copy_bytes(out + BACKING_FORMAT, header->backing_format, ADDCOW_FORMAT_SIZE);
    copy_bytes(out + IMAGE_FORMAT, header->image_format, ADDCOW_FORMAT_SIZE);
    store32(out, MAGIC_R20);
    store32(out + BACKING_OFFSET, header->backing_offset);
    store32(out + BACKING_SIZE, header->backing_size);
    store32(out + IMAGE_OFFSET, header->image_offset);
    store32(out + IMAGE_SIZE, header->image_size);
    store32(out + CLUSTER_BITS, header->cluster_bits);
    store64(out + FEATURES, header->features);
    store64(out + ADDCOW_COMPATIBLE_OFFSET, header->compatible_features);
    store32(out + HEADER_SIZE, header->header_size);
}

/* A name whose place is not within the header is left out; the rules then find its place broken. */
static void store_name(const uint8_t *name, uint32_t offset, uint32_t size, uint32_t header_size, uint8_t *out)
{
    if (size > 0 && name_in_header(offset, size, header_size))
        copy_bytes(out + offset, name, size);
}

static enum addcow_rule encode_r20(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    enum addcow_rule rule;
    store_fields(header, out);
    rule = check_size(out, capacity);
    if (rule == ADDCOW_RULE_NONE) {
        uint32_t size = header->header_size;
        zero_bytes(out + ADDCOW_NAMES_OFFSET, size - ADDCOW_NAMES_OFFSET);
        store_name(backing_name, header->backing_offset, header->backing_size, size, out);
        store_name(image_name, header->image_offset, header->image_size, size, out);
        rule = check_content(out);
    }
    return rule;
}

static int is_raw(const uint8_t *format)
{
    return format[0] == 'r' && format[1] == 'a' && format[2] == 'w' && all_zero(format + 3, ADDCOW_FORMAT_SIZE - 3);
}

/* HR9-08: r9 has no place for other values than these; the rule of r20 about the field stands for it. */
static enum addcow_rule check_r9_fields(const struct addcow_header *header)
{
    if (header->features != 0 || header->compatible_features != 0)
        return ADDCOW_RULE_FEATURES;
    if (header->cluster_bits != R9_CLUSTER_BITS)
        return ADDCOW_RULE_CLUSTER_BITS;
    if (header->header_size != ADDCOW_HEADER_MIN)
        return ADDCOW_RULE_HEADER_SIZE;
    if (header->backing_offset != ADDCOW_R9_BACKING_OFFSET)
        return ADDCOW_RULE_BACKING_RANGE;
    if (header->image_offset != ADDCOW_R9_IMAGE_OFFSET)
        return ADDCOW_RULE_IMAGE_RANGE;
    if (!is_raw(header->backing_format))
        return ADDCOW_RULE_BACKING_FORMAT;
    if (!is_raw(header->image_format))
        return ADDCOW_RULE_IMAGE_FORMAT;
    return ADDCOW_RULE_NONE;
}

/* Stores a name and pads it with zeros. Returns 1 if it fits with its NUL and has none inside, else 0. */
static int store_r9_name(const uint8_t *name, uint32_t size, uint8_t *field)
{
    zero_bytes(field, ADDCOW_R9_NAME_SIZE);
    if (size >= ADDCOW_R9_NAME_SIZE)
        return 0;
    copy_bytes(field, name, size);
    return text_length(field, ADDCOW_R9_NAME_SIZE) == size;
}

static enum addcow_rule encode_r9(const struct addcow_header *header, const uint8_t *backing_name,
                                  const uint8_t *image_name, uint8_t *out)
{
    enum addcow_rule rule = check_r9_fields(header);
    if (rule != ADDCOW_RULE_NONE)
        return rule;
    store32(out, MAGIC_R9_LOW);
    store32(out + 4, MAGIC_R9_HIGH);
    store32(out + R9_VERSION, 1);
    zero_bytes(out + R9_PADDING, ADDCOW_HEADER_MIN - R9_PADDING);
    if (!store_r9_name(backing_name, header->backing_size, out + ADDCOW_R9_BACKING_OFFSET))
        return ADDCOW_RULE_R9_BACKING_NUL;
    if (!store_r9_name(image_name, header->image_size, out + ADDCOW_R9_IMAGE_OFFSET))
        return ADDCOW_RULE_R9_IMAGE_NUL;
    return check_r9(out);
}

enum addcow_rule addcow_encode(const struct addcow_header *header, const uint8_t *backing_name,
                               const uint8_t *image_name, uint8_t *out, uint64_t capacity)
{
    if (!long_enough(capacity))
        return ADDCOW_RULE_LENGTH;
    if (header->layout == ADDCOW_R20)
        return encode_r20(header, backing_name, image_name, out, capacity);
    if (header->layout == ADDCOW_R9)
        return encode_r9(header, backing_name, image_name, out);
    return ADDCOW_RULE_MAGIC;
}

/* ---- Opening (section 4) ---- */

/* Whether the first `:` comes before the first `/` (LNK-02). */
static int has_protocol(const uint8_t *name, uint32_t size)
{
    uint32_t i = 0;
    while (i < size && name[i] != ':' && name[i] != '/')
        i++;
    return i < size && name[i] == ':';
}

static int is_addcow(const uint8_t *format)
{
    return format[0] == 'a' && format[1] == 'd' && format[2] == 'd' && format[3] == '-' && format[4] == 'c' &&
           format[5] == 'o' && format[6] == 'w' && all_zero(format + 7, ADDCOW_FORMAT_SIZE - 7);
}

enum addcow_rule addcow_check_open(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint64_t file_length, uint64_t image_length)
{
    if (has_protocol(backing_name, header->backing_size) || has_protocol(image_name, header->image_size))
        return ADDCOW_RULE_NAME_PROTOCOL;
    if (!is_raw(header->image_format))
        return ADDCOW_RULE_IMAGE_FORMAT_RAW;
    if (header->backing_size != 0 && !is_raw(header->backing_format) && !is_addcow(header->backing_format))
        return ADDCOW_RULE_BACKING_FORMAT_KNOWN;
    if (image_length > ADDCOW_SIZE_MAX)
        return ADDCOW_RULE_VIRTUAL_SIZE;
    if (file_length <
        header->header_size + addcow_bitmap_bytes(image_length, addcow_cluster_size(header->cluster_bits)))
        return ADDCOW_RULE_BITMAP_LENGTH;
    return ADDCOW_RULE_NONE;
}

int addcow_backing_is_addcow(const struct addcow_header *header)
{
    return is_addcow(header->backing_format);
}
