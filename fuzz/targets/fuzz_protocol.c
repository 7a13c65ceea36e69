/*
 * Any lines as the answers of an untrusted implementation: what is accepted keeps the bounds of protocol.h.
 *
 * The first line is parsed as the answer to hello, each further one as the answer to the operation that its first byte
 * chooses.
 */
#include "lib/fuzz.h"
#include "adapters/protocol.h"

#include <stdlib.h>
#include <string.h>

#define READ_LENGTH 512u

static bool within(const char *word, const char *line, size_t length)
{
    return word >= line && word + strlen(word) <= line + length;
}

static void judge_words(const struct protocol_answer *answer, const char *line, size_t length)
{
    fuzz_require(answer->count <= PROTOCOL_WORDS_MAX, "an answer has at most PROTOCOL_WORDS_MAX words");
    for (unsigned i = 0; i < answer->count; i++) {
        fuzz_require(within(answer->words[i], line, length) && answer->words[i][0] != '\0',
                     "words lie within the line");
    }
    fuzz_require(answer->data_length <= PROTOCOL_DATA_MAX, "the data that is announced is bounded");
    fuzz_require(answer->has_data || answer->data_length == 0, "without data the length is 0");
    fuzz_require(answer->code <= ADDCOW_BUSY, "the status is valid");
}

static void judge_hello(const struct protocol_answer *answer)
{
    struct protocol_abilities abilities;
    char why[256] = "";
    if (protocol_check_hello(answer, &abilities, why, sizeof why) != PROTOCOL_WELCOME) {
        fuzz_require(why[0] != '\0', "a refusal has a reason");
        return;
    }
    fuzz_require(answer->code == ADDCOW_OK, "hello succeeds only with ok");
    fuzz_require(abilities.r20 || abilities.r9, "at least one layout is declared");
    fuzz_require(abilities.granularity == 1 || abilities.granularity == 512, "the granularity is 1 or 512");
    fuzz_require(abilities.concurrency >= 1 && abilities.concurrency <= PROTOCOL_CONCURRENCY_MAX,
                 "the concurrency is bounded");
    fuzz_require(abilities.requests >> PROTOCOL_REQUESTS == 0 && abilities.lacks >> PROTOCOL_LACKS == 0 &&
                     abilities.level < PROTOCOL_LEVELS,
                 "only known abilities are declared");
}

static void judge_answer(const struct protocol_answer *answer, uint32_t request)
{
    uint64_t numbers[2];
    char why[256] = "";
    bool good = protocol_check_answer(answer, request, READ_LENGTH, numbers, why, sizeof why);
    fuzz_require(good == (why[0] == '\0'), "a refusal has a reason");
    fuzz_require(!good || request != OPERATION_READ || answer->code != ADDCOW_OK || answer->data_length == READ_LENGTH,
                 "a read is answered by its data");
}

/* The request that a byte stands for: open, close, size, an operation, create. */
static uint32_t choose_request(uint8_t byte)
{
    uint32_t choice = byte % PROTOCOL_HELLO;
    uint32_t first = PROTOCOL_CREATE - PROTOCOL_OPEN;
    return choice < first                ? PROTOCOL_OPEN + choice
           : choice - first < OPERATIONS ? choice - first
                                         : (uint32_t)PROTOCOL_CREATE;
}

static void judge_line(const uint8_t *bytes, size_t length, bool first)
{
    uint32_t request = PROTOCOL_HELLO;
    if (!first && length > 0) {
        request = choose_request(*bytes);
        bytes++;
        length--;
    }
    length = length < PROTOCOL_LINE_MAX ? length : PROTOCOL_LINE_MAX - 1;
    char *line = malloc(length + 1);
    fuzz_require(line != NULL, "there is memory");
    memcpy(line, bytes, length);
    struct protocol_answer answer;
    char why[256] = "";
    bool good = protocol_parse_answer(line, length, &answer, why, sizeof why);
    fuzz_require(good == (why[0] == '\0'), "a refusal has a reason");
    if (good) {
        judge_words(&answer, line, length);
        if (request == PROTOCOL_HELLO) {
            judge_hello(&answer);
        } else {
            judge_answer(&answer, request);
        }
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool first = true;
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;
        judge_line(data, length, first);
        first = false;
        size -= length + (end ? 1 : 0);
        data += length + (end ? 1 : 0);
    }
    return 0;
}
