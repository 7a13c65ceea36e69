/*
 * The types and constants of the add-cow format: what the public interface and the header codec share.
 *
 * spec/add-cow.md is the authority; the comments name its clauses. There is nothing here but declarations of types, so
 * that programs can include this from C and C++.
 */
#ifndef ADDCOW_FORMAT_H
#define ADDCOW_FORMAT_H

#include <stdint.h>

/* The class of an error (spec section 12). 0 is success. */
enum addcow_status {
    ADDCOW_OK = 0,
    ADDCOW_MALFORMED,
    ADDCOW_UNSUPPORTED,
    ADDCOW_UNLINKABLE,
    ADDCOW_IO,
    ADDCOW_RANGE,
    ADDCOW_READONLY,
    ADDCOW_NOSPACE,
    ADDCOW_BUSY,
};

/* One rule of sections 2, 3 and 4 that can be judged from bytes and lengths alone. Each is one clause. */
enum addcow_rule {
    ADDCOW_RULE_NONE = 0,
    ADDCOW_RULE_LENGTH,                /* HDR-01 */
    ADDCOW_RULE_MAGIC,                 /* HDR-02 */
    ADDCOW_RULE_FEATURES,              /* HDR-03 */
    ADDCOW_RULE_CLUSTER_BITS,          /* HDR-04 */
    ADDCOW_RULE_HEADER_SIZE,           /* HDR-05 */
    ADDCOW_RULE_HEADER_LENGTH,         /* HDR-06 */
    ADDCOW_RULE_BACKING_PRESENCE,      /* HDR-07 */
    ADDCOW_RULE_BACKING_RANGE,         /* HDR-08 */
    ADDCOW_RULE_BACKING_NUL,           /* HDR-09 */
    ADDCOW_RULE_IMAGE_PRESENCE,        /* HDR-10 */
    ADDCOW_RULE_IMAGE_RANGE,           /* HDR-11 */
    ADDCOW_RULE_IMAGE_NUL,             /* HDR-12 */
    ADDCOW_RULE_NAMES_OVERLAP,         /* HDR-13 */
    ADDCOW_RULE_BACKING_FORMAT,        /* HDR-14 */
    ADDCOW_RULE_BACKING_FORMAT_ABSENT, /* HDR-15 */
    ADDCOW_RULE_IMAGE_FORMAT,          /* HDR-16 */
    ADDCOW_RULE_IMAGE_FORMAT_ABSENT,   /* HDR-17 */
    ADDCOW_RULE_PADDING,               /* HDR-18 */
    ADDCOW_RULE_NAMES_EQUAL,           /* HDR-19 */
    ADDCOW_RULE_R9_VERSION,            /* HR9-01 */
    ADDCOW_RULE_R9_BACKING_NUL,        /* HR9-02 */
    ADDCOW_RULE_R9_BACKING_ABSENT,     /* HR9-03 */
    ADDCOW_RULE_R9_IMAGE_NUL,          /* HR9-04 */
    ADDCOW_RULE_R9_IMAGE_ABSENT,       /* HR9-05 */
    ADDCOW_RULE_R9_PADDING,            /* HR9-06 */
    ADDCOW_RULE_R9_NAMES_EQUAL,        /* HR9-07 */
    ADDCOW_RULE_BITMAP_LENGTH,         /* BMP-03 */
    ADDCOW_RULE_NAME_PROTOCOL,         /* LNK-02 */
    ADDCOW_RULE_IMAGE_FORMAT_RAW,      /* LNK-03 */
    ADDCOW_RULE_BACKING_FORMAT_KNOWN,  /* LNK-04 */
    ADDCOW_RULE_VIRTUAL_SIZE,          /* VRT-01 */
    ADDCOW_RULE_COUNT
};

enum addcow_layout { ADDCOW_R20 = 20, ADDCOW_R9 = 9 };

#define ADDCOW_CLUSTER_BITS_MIN 12u
#define ADDCOW_CLUSTER_BITS_MAX 21u
#define ADDCOW_CLUSTER_BITS_DEFAULT 16u
#define ADDCOW_HEADER_MIN 4096u
#define ADDCOW_NAMES_OFFSET 76u
#define ADDCOW_FORMAT_SIZE 16u
#define ADDCOW_COMPATIBLE_OFFSET 32u
#define ADDCOW_ALL_ALLOCATED 1u /* bit of compatible_features */
#define ADDCOW_R9_BACKING_OFFSET 12u
#define ADDCOW_R9_IMAGE_OFFSET 1036u
#define ADDCOW_R9_NAME_SIZE 1024u
#define ADDCOW_SIZE_MAX 0x4000000000000000u /* VRT-01 */

/*
 * A decoded header of either layout. The names are not copied: they stand at *_offset in the file's bytes, *_size bytes
 * long without a NUL. For r9 the fields that the layout lacks have the values of HR9-08.
 */
struct addcow_header {
    uint32_t layout; /* enum addcow_layout */
    uint32_t cluster_bits;
    uint32_t header_size;    /* bytes */
    uint32_t backing_offset; /* 0 with backing_size 0: no backing file */
    uint32_t backing_size;
    uint32_t image_offset;
    uint32_t image_size;
    uint64_t features;
    uint64_t compatible_features;
    uint8_t backing_format[ADDCOW_FORMAT_SIZE];
    uint8_t image_format[ADDCOW_FORMAT_SIZE];
};

#endif
