/*
 * The header codec: classes of errors, sizes, decoding, and the rules for opening that need bytes and lengths alone
 * (sections 2 to 4 and 12 of spec/add-cow.md).
 */
#include "addcow_header_parts.h"

/* ---- Errors (section 12) ---- */

enum addcow_status addcow_rule_status(enum addcow_rule rule)
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

const char *addcow_status_name(enum addcow_status status)
{
    static const char *const names[] = {
        "ok", "malformed", "unsupported", "unlinkable", "io", "range", "readonly", "nospace", "busy",
    };
    return names[status];
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
    if (header->layout == ADDCOW_R20) {
        bytes = addcow_cluster_count(bytes, cluster_size) * cluster_size;
    }
    return header->header_size + bytes;
}

/* ---- Decode ---- */

/*@ requires \valid_read(file + (0 .. 75));
    requires \valid(header) && \separated(header, file + (0 .. 75));
    terminates \true;
    assigns header->backing_format[0 .. 15], header->image_format[0 .. 15];
    ensures formats: formats_match{Pre, Post}(file, header);
*/
static void load_formats(const uint8_t *file, struct addcow_header *header)
{
    codec_copy_bytes(header->backing_format, file + BACKING_FORMAT, ADDCOW_FORMAT_SIZE);
    //@ assert file: \forall integer k; 0 <= k < 16 ==> file[60 + k] == \at(file[60 + k], Pre);
    codec_copy_bytes(header->image_format, file + IMAGE_FORMAT, ADDCOW_FORMAT_SIZE);
}

/*@ requires \valid_read(file + (0 .. 75));
    requires \valid(header) && \separated(header, file + (0 .. 75));
    requires is_r20(file);
    terminates \true;
    assigns *header;
    ensures numbers: numbers_match{Pre, Post}(file, header);
    ensures formats: formats_match{Pre, Post}(file, header);
*/
static void load_r20(const uint8_t *file, struct addcow_header *header)
{
    header->layout = ADDCOW_R20;
    header->cluster_bits = codec_load32(file, CLUSTER_BITS);
    header->header_size = codec_load32(file, HEADER_SIZE);
    header->backing_offset = codec_load32(file, BACKING_OFFSET);
    header->backing_size = codec_load32(file, BACKING_SIZE);
    header->image_offset = codec_load32(file, IMAGE_OFFSET);
    header->image_size = codec_load32(file, IMAGE_SIZE);
    header->features = codec_load64(file, FEATURES);
    header->compatible_features = codec_load64(file, ADDCOW_COMPATIBLE_OFFSET);
    load_formats(file, header);
}

/*@ requires \valid(format + (0 .. 15));
    terminates \true;
    assigns format[0 .. 15];
    ensures raw: text_raw(format);
*/
static void store_raw(uint8_t *format)
{
    codec_zero_bytes(format, 0, ADDCOW_FORMAT_SIZE);
    format[0] = 'r';
    format[1] = 'a';
    format[2] = 'w';
}

/*@ requires \valid_read(file + (0 .. 4095));
    requires \valid(header) && \separated(header, file + (0 .. 4095));
    requires hr9_02(file) && hr9_04(file);
    terminates \true;
    assigns *header;
    ensures fields: HR9_08: fields_r9{Pre, Post}(file, header);
*/
static void load_r9(const uint8_t *file, struct addcow_header *header)
{
    header->layout = ADDCOW_R9;
    header->cluster_bits = R9_CLUSTER_BITS;
    header->header_size = ADDCOW_HEADER_MIN;
    header->backing_offset = ADDCOW_R9_BACKING_OFFSET;
    header->backing_size = codec_padded_length(file + ADDCOW_R9_BACKING_OFFSET, ADDCOW_R9_NAME_SIZE);
    header->image_offset = ADDCOW_R9_IMAGE_OFFSET;
    header->image_size = codec_padded_length(file + ADDCOW_R9_IMAGE_OFFSET, ADDCOW_R9_NAME_SIZE);
    header->features = 0;
    header->compatible_features = 0;
    store_raw(header->backing_format);
    //@ assert rest: \forall integer k; 3 <= k < 16 ==> header->backing_format[k] == 0;
    //@ ghost Raw: ;
    store_raw(header->image_format);
    /*@ assert kept: \forall integer k; 0 <= k < 16 ==>
          header->backing_format[k] == \at(header->backing_format[k], Raw);
    */
    /*@ assert raw_still: header->backing_format[0] == 'r' && header->backing_format[1] == 'a' &&
          header->backing_format[2] == 'w';
    */
    //@ assert rest_still: \forall integer k; 3 <= k < 16 ==> header->backing_format[k] == 0;
    //@ assert raw: text_raw((uint8_t *)header->backing_format);
}

enum addcow_rule addcow_decode(const uint8_t *file, uint64_t length, struct addcow_header *header)
{
    enum addcow_rule rule = codec_check_header(file, length);
    if (rule == ADDCOW_RULE_NONE) {
        if (codec_is_r20(file)) {
            load_r20(file, header);
        } else {
            load_r9(file, header);
        }
    }
    return rule;
}

/* ---- Opening (section 4) ---- */

/* Whether the first `:` comes before the first `/`. */
/*@ requires \valid_read(name + (0 .. size - 1));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> protocol(name, size);
*/
static int has_protocol(const uint8_t *name, uint32_t size)
{
    uint32_t i = 0;
    /*@ loop invariant 0 <= i <= size;
        loop invariant \forall integer k; 0 <= k < i ==> name[k] != ':' && name[k] != '/';
        loop assigns i;
        loop variant size - i;
    */
    while (i < size && name[i] != ':' && name[i] != '/') {
        i++;
    }
    return i < size && name[i] == ':';
}

/*@ requires \valid_read(format + (0 .. 15));
    terminates \true;
    assigns \nothing;
    ensures bool: \result == 0 || \result == 1;
    ensures answer: \result == 1 <==> text_addcow(format);
*/
static int is_addcow(const uint8_t *format)
{
    return format[0] == 'a' && format[1] == 'd' && format[2] == 'd' && format[3] == '-' && format[4] == 'c' &&
           format[5] == 'o' && format[6] == 'w' && codec_all_zero(format, 7, ADDCOW_FORMAT_SIZE);
}

enum addcow_rule addcow_check_open(const struct addcow_header *header, const uint8_t *backing_name,
                                   const uint8_t *image_name, uint64_t file_length, uint64_t image_length)
{
    if (has_protocol(backing_name, header->backing_size) || has_protocol(image_name, header->image_size)) {
        return ADDCOW_RULE_NAME_PROTOCOL;
    }
    if (!codec_is_raw(header->image_format)) {
        return ADDCOW_RULE_IMAGE_FORMAT_RAW;
    }
    if (header->backing_size != 0 && !codec_is_raw(header->backing_format) && !is_addcow(header->backing_format)) {
        return ADDCOW_RULE_BACKING_FORMAT_KNOWN;
    }
    if (image_length > ADDCOW_SIZE_MAX) {
        return ADDCOW_RULE_VIRTUAL_SIZE;
    }
    if (file_length <
        header->header_size + addcow_bitmap_bytes(image_length, addcow_cluster_size(header->cluster_bits))) {
        return ADDCOW_RULE_BITMAP_LENGTH;
    }
    return ADDCOW_RULE_NONE;
}

int addcow_backing_is_addcow(const struct addcow_header *header)
{
    return is_addcow(header->backing_format);
}

void addcow_place_names(struct addcow_header *header)
{
    if (header->layout == ADDCOW_R9) {
        header->backing_offset = ADDCOW_R9_BACKING_OFFSET;
        header->image_offset = ADDCOW_R9_IMAGE_OFFSET;
    } else {
        header->backing_offset = header->backing_size == 0 ? 0 : ADDCOW_NAMES_OFFSET;
        header->image_offset = ADDCOW_NAMES_OFFSET + header->backing_size;
    }
}
