/*
 * The wire format of corpus/PROTOCOL.md.
 *
 * A line is checked in three steps: it splits into words; the words have the form of an answer; the answer fits the
 * request. Each step assumes that the one before succeeded. Each error message says what was expected, because its
 * reader debugs an adapter and has no other information.
 */
#include "adapters/protocol.h"

#include "addcow_header.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static bool refuse(char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return false;
}

static const char *const level_names[PROTOCOL_LEVELS] = {"reader", "writer", "concurrent", "durable"};

static const char *const lack_names[PROTOCOL_LACKS] = {"links", "chain",    "locks",   "large",
                                                       "cut",   "readonly", "lengths", "close"};

const char *protocol_request_name(uint32_t request)
{
    static const char *const names[] = {"open", "close", "size", "create", "hello"};
    return request < OPERATIONS ? operation_properties(request)->name : names[request - OPERATIONS];
}

bool protocol_is_declared(uint32_t request)
{
    return request == PROTOCOL_CREATE || operation_properties(request)->is_declared;
}

const char *protocol_level_name(enum protocol_level level)
{
    return level_names[level];
}

const char *protocol_lack_name(enum protocol_lack lack)
{
    return lack_names[lack];
}

void protocol_quote(const char *bytes, size_t length, char *out, size_t size)
{
    size_t count = length < size - 1 ? length : size - 1;
    for (size_t i = 0; i < count; i++) {
        out[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?';
    }
    out[count] = '\0';
}

bool protocol_number(const char *word, uint64_t *number)
{
    bool leading_zero = word[0] == '0' && word[1] != '\0';
    return !leading_zero && number_parse_decimal(word, number) == NUMBER_OK;
}

/* ---- Lines and words ---- */

static bool check_characters(const char *line, size_t length, char *why, size_t why_size)
{
    char seen[64];
    protocol_quote(line, length, seen, sizeof seen);
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\r') {
            return refuse(why, why_size, "a line ends in a carriage return: \"%s\"", seen);
        }
        if (line[i] < ' ' || line[i] > '~') {
            return refuse(why, why_size, "a line holds byte 0x%02x, which is not printable ASCII: \"%s\"",
                          (unsigned)(unsigned char)line[i], seen);
        }
    }
    if (length == 0) {
        return refuse(why, why_size, "a line is empty");
    }
    return true;
}

/* Splits a line at its spaces. Returns the number of words, or 0 with the reason. */
static unsigned split(char *line, size_t length, const char *words[PROTOCOL_WORDS_MAX], char *why, size_t why_size)
{
    char seen[64];
    protocol_quote(line, length, seen, sizeof seen);
    if (line[0] == ' ' || line[length - 1] == ' ' || memmem(line, length, "  ", 2) != NULL) {
        refuse(why, why_size, "words must be separated by exactly one space: \"%s\"", seen);
        return 0;
    }
    unsigned count = 0;
    line[length] = '\0';
    for (char *word = line; word != NULL;) {
        if (count == PROTOCOL_WORDS_MAX) {
            refuse(why, why_size, "a line has more than %u words: \"%s\"", PROTOCOL_WORDS_MAX, seen);
            return 0;
        }
        words[count++] = word;
        word = strchr(word, ' ');
        if (word != NULL) {
            *word++ = '\0';
        }
    }
    return count;
}

/* ---- Answers ---- */

/* Removes the last word if it announces data. No other word may announce data. */
static bool take_data(const char **words, unsigned *count, struct protocol_answer *answer, char *why, size_t why_size)
{
    for (unsigned i = 0; i + 1 < *count; i++) {
        if (words[i][0] == '+') {
            return refuse(why, why_size, "only the last word of an answer may announce data, not \"%s\"", words[i]);
        }
    }
    if (*count > 0 && words[*count - 1][0] == '+') {
        const char *word = words[--*count];
        answer->has_data = true;
        if (!protocol_number(word + 1, &answer->data_length)) {
            return refuse(why, why_size, "\"%.40s\" is not \"+\" and a number of bytes", word);
        }
        if (answer->data_length > PROTOCOL_DATA_MAX) {
            return refuse(why, why_size, "%" PRIu64 " bytes of data are announced, but at most %u are allowed",
                          answer->data_length, PROTOCOL_DATA_MAX);
        }
    }
    return true;
}

bool protocol_is_clause(const char *word)
{
    size_t letters = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    return letters >= 2 && letters <= 3 && word[letters] == '-' && strlen(word + letters + 1) == 2 &&
           strspn(word + letters + 1, "0123456789") == 2;
}

/* words[0] is the class, words[1] the clause. */
static bool parse_error(const char *const *words, unsigned count, struct protocol_answer *answer, char *why,
                        size_t why_size)
{
    if (count == 0 || count > 2 || (count == 1 && answer->has_data)) {
        return refuse(why, why_size, "an error has the form \"TAG error CLASS [CLAUSE [+N]]\"");
    }
    for (int code = ADDCOW_MALFORMED; code <= ADDCOW_BUSY; code++) {
        if (strcmp(words[0], addcow_status_name((enum addcow_status)code)) == 0) {
            answer->code = (enum addcow_status)code;
        }
    }
    if (strcmp(words[0], "-") == 0) {
        answer->code = ADDCOW_IO;
        answer->unclassified = true;
    }
    if (answer->code == ADDCOW_OK) {
        return refuse(why, why_size, "\"%.40s\" is neither an error class nor \"-\"", words[0]);
    }
    if (count == 2 && strcmp(words[1], "-") != 0) {
        answer->clause = words[1];
        if (!protocol_is_clause(words[1])) {
            return refuse(why, why_size, "\"%.40s\" is neither a clause nor \"-\"", words[1]);
        }
    }
    if (answer->data_length > PROTOCOL_MESSAGE_MAX) {
        return refuse(why, why_size, "a message of %" PRIu64 " bytes is announced, but at most %u are allowed",
                      answer->data_length, PROTOCOL_MESSAGE_MAX);
    }
    return true;
}

bool protocol_parse_answer(char *line, size_t length, struct protocol_answer *answer, char *why, size_t why_size)
{
    *answer = (struct protocol_answer){.code = ADDCOW_OK, .clause = ""};
    const char *words[PROTOCOL_WORDS_MAX];
    unsigned count = check_characters(line, length, why, why_size) ? split(line, length, words, why, why_size) : 0;
    if (count == 0) {
        return false;
    }
    if (!protocol_number(words[0], &answer->tag)) {
        return refuse(why, why_size, "a line begins with \"%.40s\" instead of a tag", words[0]);
    }
    if (count < 2 || (strcmp(words[1], "ok") != 0 && strcmp(words[1], "error") != 0)) {
        return refuse(why, why_size, "the tag is followed by \"%.40s\" instead of \"ok\" or \"error\"",
                      count < 2 ? "" : words[1]);
    }
    count -= 2;
    if (!take_data(words + 2, &count, answer, why, why_size)) {
        return false;
    }
    if (strcmp(words[1], "error") == 0) {
        return parse_error(words + 2, count, answer, why, why_size);
    }
    memcpy(answer->words, words + 2, count * sizeof *words);
    answer->count = count;
    return true;
}

/* How many numbers the answer to a request has after `ok`. */
static unsigned count_numbers(uint32_t request)
{
    return request == PROTOCOL_SIZE ? 1 : operation_properties(request)->answers_map ? 2 : 0;
}

bool protocol_check_answer(const struct protocol_answer *answer, uint32_t request, uint64_t data_length,
                           uint64_t numbers[2], char *why, size_t why_size)
{
    if (answer->code != ADDCOW_OK) {
        return true;
    }
    const char *name = protocol_request_name(request);
    bool wants_data = operation_properties(request)->data == DATA_FROM_DISK;
    if (wants_data != answer->has_data || (wants_data && answer->data_length != data_length)) {
        char range[40] = "";
        if (wants_data) {
            snprintf(range, sizeof range, " of %" PRIu64 " bytes", data_length);
        }
        return refuse(why, why_size, "%s%s was answered with %" PRIu64 " bytes of data", name, range,
                      answer->data_length);
    }
    unsigned wanted = count_numbers(request);
    if (answer->count != wanted) {
        return refuse(why, why_size, "%s was answered with %u words after \"ok\" instead of %u", name, answer->count,
                      wanted);
    }
    for (unsigned i = 0; i < wanted; i++) {
        if (!protocol_number(answer->words[i], &numbers[i])) {
            return refuse(why, why_size, "%s was answered with \"%.40s\", which is not a number", name,
                          answer->words[i]);
        }
    }
    if (operation_properties(request)->answers_map && numbers[0] > 1) {
        return refuse(why, why_size, "%s was answered with \"%.40s\" for allocated, which is neither 0 nor 1", name,
                      answer->words[0]);
    }
    return true;
}

/* ---- Hello ---- */

/* The index of text[0, length) in `names`, some of which may be null, or `count`. */
static unsigned find(const char *text, size_t length, const char *const *names, unsigned count)
{
    unsigned i = 0;
    while (i < count && (names[i] == NULL || strlen(names[i]) != length || memcmp(names[i], text, length) != 0)) {
        i++;
    }
    return i;
}

/* A list of names with commas between them, none twice, as one bit for each. */
static bool parse_list(const char *text, const char *const *names, unsigned count, unsigned *bits)
{
    *bits = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        unsigned i = find(text, length, names, count);
        bool last = text[length] == '\0';
        if (i == count || (*bits & 1u << i) != 0 || (!last && text[length + 1] == '\0')) {
            return false;
        }
        *bits |= 1u << i;
        text += length + !last;
    }
    return true;
}

/* The requests that are declared, and those that every adapter has. */
static bool parse_requests(const char *text, unsigned *requests)
{
    const char *names[PROTOCOL_REQUESTS] = {NULL};
    unsigned always = 0;
    for (uint32_t request = 0; request < PROTOCOL_REQUESTS; request++) {
        if (protocol_is_declared(request)) {
            names[request] = protocol_request_name(request);
        } else {
            always |= 1u << request;
        }
    }
    bool good = parse_list(text, names, PROTOCOL_REQUESTS, requests);
    *requests |= always;
    return good;
}

enum ability { LAYOUTS, REQUESTS, GRANULARITY, CONCURRENCY, LEVEL, LACKS, ABILITIES };

static const char *const ability_names[ABILITIES] = {"layouts",     "operations", "granularity",
                                                     "concurrency", "level",      "lacks"};

static bool parse_ability(enum ability ability, const char *value, struct protocol_abilities *abilities)
{
    static const char *const layouts[] = {"r20", "r9"};
    unsigned bits;
    uint64_t number = 0;
    switch (ability) {
    case LAYOUTS:
        if (!parse_list(value, layouts, 2, &bits) || bits == 0) {
            return false;
        }
        abilities->r20 = (bits & 1) != 0;
        abilities->r9 = (bits & 2) != 0;
        return true;
    case REQUESTS:
        return parse_requests(value, &abilities->requests);
    case GRANULARITY:
        abilities->granularity = protocol_number(value, &number) && number == 512 ? 512 : 1;
        return number == 1 || number == 512;
    case CONCURRENCY:
        if (!protocol_number(value, &number) || number < 1 || number > PROTOCOL_CONCURRENCY_MAX) {
            return false;
        }
        abilities->concurrency = (unsigned)number;
        return true;
    case LACKS:
        return parse_list(value, lack_names, PROTOCOL_LACKS, &abilities->lacks);
    default:
        abilities->level = (enum protocol_level)find(value, strlen(value), level_names, PROTOCOL_LEVELS);
        return abilities->level < PROTOCOL_LEVELS;
    }
}

static bool parse_abilities(const struct protocol_answer *answer, struct protocol_abilities *abilities, char *why,
                            size_t why_size)
{
    unsigned seen = 0;
    for (unsigned i = 1; i < answer->count; i++) {
        const char *word = answer->words[i];
        size_t length = strcspn(word, "=");
        unsigned ability = word[length] == '=' ? find(word, length, ability_names, ABILITIES) : ABILITIES;
        if (ability == ABILITIES || (seen & 1u << ability) != 0) {
            return refuse(why, why_size, "hello was answered with \"%.60s\", which is unknown or repeated", word);
        }
        seen |= 1u << ability;
        if (!parse_ability((enum ability)ability, word + length + 1, abilities)) {
            return refuse(why, why_size, "hello was answered with \"%.60s\", which is not a valid value", word);
        }
    }
    for (unsigned ability = 0; ability < ABILITIES; ability++) {
        if ((seen & 1u << ability) == 0) {
            return refuse(why, why_size, "the answer to hello lacks \"%s=...\"", ability_names[ability]);
        }
    }
    return true;
}

enum protocol_hello protocol_check_hello(const struct protocol_answer *answer, struct protocol_abilities *abilities,
                                         char *why, size_t why_size)
{
    if (answer->code != ADDCOW_OK) {
        refuse(why, why_size, "hello %d was answered with the error \"%s\"", PROTOCOL_VERSION,
               addcow_status_name(answer->code));
        return answer->code == ADDCOW_UNSUPPORTED ? PROTOCOL_OTHER_VERSION : PROTOCOL_BAD_HELLO;
    }
    uint64_t version;
    if (answer->count == 0 || answer->has_data || !protocol_number(answer->words[0], &version)) {
        refuse(why, why_size, "hello was answered without a version");
        return PROTOCOL_BAD_HELLO;
    }
    if (version != PROTOCOL_VERSION) {
        refuse(why, why_size, "the adapter speaks version %" PRIu64 " of the protocol, but the gate speaks version %d",
               version, PROTOCOL_VERSION);
        return PROTOCOL_OTHER_VERSION;
    }
    return parse_abilities(answer, abilities, why, why_size) ? PROTOCOL_WELCOME : PROTOCOL_BAD_HELLO;
}
