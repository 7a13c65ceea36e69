/*
 * Any bytes as a header: the codec and its rules agree, what is accepted encodes to the same bytes, and the production
 * engine opens what the reference engine accepts and nothing else.
 */
#include "addcow_header.h"
#include "lib/untrusted_image.h"

#include <stdlib.h>
#include <string.h>

#define IMAGE_LENGTH 8192u
#define BACKING_LENGTH 5000u

static void judge_rules(const struct hostile *hostile)
{
    int all = 1;
    for (int rule = ADDCOW_RULE_LENGTH; rule < ADDCOW_RULE_BITMAP_LENGTH; rule++) {
        int holds = addcow_header_rule_holds(hostile->bytes, hostile->length, (enum addcow_rule)rule);
        all = all && holds;
        fuzz_demand(rule != (int)hostile->rule || !holds, "the rule that decode names is broken");
    }
    fuzz_demand(all == (hostile->rule == ADDCOW_RULE_NONE), "decode accepts exactly what keeps every rule");
}

static void judge_encoding(const struct hostile *hostile)
{
    const struct addcow_header *header = &hostile->header;
    uint8_t *again = malloc(header->header_size);
    fuzz_demand(again != NULL, "there is memory");
    enum addcow_rule rule = addcow_encode(header, hostile->bytes + header->backing_offset,
                                          hostile->bytes + header->image_offset, again, header->header_size);
    fuzz_demand(rule == ADDCOW_RULE_NONE, "what decodes has an encoding");
    fuzz_demand(memcmp(again, hostile->bytes, header->header_size) == 0, "encode(decode(bytes)) == bytes");
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hostile hostile;
    struct fuzz_input input = fuzz_split(data, size);
    hostile_make(&input.parts[FUZZ_FILE], IMAGE_LENGTH, BACKING_LENGTH, &hostile);
    judge_rules(&hostile);
    if (hostile.rule == ADDCOW_RULE_NONE) {
        judge_encoding(&hostile);
    }
    struct addcow *disk = hostile_open(&hostile, ADDCOW_OPEN_READONLY);
    if (disk) {
        fuzz_demand(addcow_size(disk) == IMAGE_LENGTH, "the virtual size is the image's (VRT-01)");
        fuzz_demand(addcow_close(disk, NULL) == ADDCOW_OK, "it closes");
    }
    hostile_free(&hostile);
    return 0;
}
