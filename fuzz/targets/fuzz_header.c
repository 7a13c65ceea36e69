/*
 * Any bytes as a header: codec and rules agree, what is accepted encodes to the same bytes, and both engines open the
 * same.
 */
#include "addcow_header.h"
#include "lib/untrusted_image.h"

#include <stdlib.h>
#include <string.h>

#define IMAGE_LENGTH 8192u
#define BACKING_LENGTH 5000u

static void judge_rules(const struct untrusted_image *untrusted)
{
    int all = 1;
    for (int rule = ADDCOW_RULE_LENGTH; rule < ADDCOW_RULE_BITMAP_LENGTH; rule++) {
        int holds = addcow_header_rule_holds(untrusted->bytes, untrusted->length, (enum addcow_rule)rule);
        all = all && holds;
        fuzz_require(rule != (int)untrusted->rule || !holds, "the rule that decode names is broken");
    }
    fuzz_require(all == (untrusted->rule == ADDCOW_RULE_NONE), "decode accepts exactly what keeps every rule");
}

static void judge_encoding(const struct untrusted_image *untrusted)
{
    const struct addcow_header *header = &untrusted->header;
    uint8_t *again = malloc(header->header_size);
    fuzz_require(again != NULL, "there is memory");
    enum addcow_rule rule = addcow_encode(header, untrusted->bytes + header->backing_offset,
                                          untrusted->bytes + header->image_offset, again, header->header_size);
    fuzz_require(rule == ADDCOW_RULE_NONE, "what decodes has an encoding");
    fuzz_require(memcmp(again, untrusted->bytes, header->header_size) == 0, "encode(decode(bytes)) == bytes");
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct untrusted_image untrusted;
    struct fuzz_input input = fuzz_split(data, size);
    untrusted_image_make(&input.parts[FUZZ_FILE], IMAGE_LENGTH, BACKING_LENGTH, &untrusted);
    judge_rules(&untrusted);
    if (untrusted.rule == ADDCOW_RULE_NONE) {
        judge_encoding(&untrusted);
    }
    struct addcow *disk = untrusted_image_open(&untrusted, ADDCOW_OPEN_READONLY);
    if (disk) {
        fuzz_require(addcow_size(disk) == IMAGE_LENGTH, "the virtual size is the image's (VRT-01)");
        fuzz_require(addcow_close(disk, NULL) == ADDCOW_OK, "it closes");
    }
    untrusted_image_free(&untrusted);
    return 0;
}
