/*
 * Loads spans: the content of a file, of a write, or expected of a read.
 */
#include "corpus/corpus_parse.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Pairs of digits; blanks are allowed between pairs. */
static bool parse_hex(const char *text, struct corpus_span *span)
{
    span->bytes = report_allocate(strlen(text) / 2 + 1, 1);
    for (; *text; text++) {
        if (*text == ' ') {
            continue;
        }
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return false;
        }
        span->bytes[span->length++] = (uint8_t)(high * 16 + low);
        text++;
    }
    return true;
}

static bool parse_integers(json_t *list, size_t width, struct corpus_span *span)
{
    span->bytes = report_allocate(json_array_size(list) * width, 1);
    span->width = (unsigned)width;
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint64_t number;
        if (!shape_is_number(json_array_get(list, i), &number) || (width == 4 && number > UINT32_MAX)) {
            return false;
        }
        for (size_t byte = 0; byte < width; byte++) {
            span->bytes[span->length++] = (uint8_t)(number >> 8 * byte);
        }
    }
    return true;
}

/* The members of a span; null: absent. */
struct span_members {
    json_t *at, *length, *pattern, *le32, *le64, *any;
    const char *hex, *text, *each;
    int zero; /* -1: absent */
};

/* Parses a span that lists its bytes. */
static bool parse_span_bytes(struct where *where, const struct span_members *members, struct corpus_span *span)
{
    span->fill = CORPUS_BYTES;
    if (members->text) {
        span->length = strlen(members->text);
        span->bytes = report_allocate(span->length, 1);
        memcpy(span->bytes, members->text, (size_t)span->length);
    }
    if (members->hex && !parse_hex(members->hex, span)) {
        return refuse(where, "\"hex\" must be pairs of digits 0-9a-f, with optional blanks between pairs");
    }
    span->width = members->hex ? 1 : 0;
    if (members->le32 && !parse_integers(members->le32, 4, span)) {
        return refuse(where, "\"le32\" must be numbers below 2^32");
    }
    if (members->le64 && !parse_integers(members->le64, 8, span)) {
        return refuse(where, "\"le64\" must be numbers");
    }
    return span->length > 0 || refuse(where, "is empty");
}

/* "any": numbers of patterns, and null for zeros. "each": what has one of them. */
static bool parse_choices(struct where *where, json_t *list, const char *each, struct corpus_span *span)
{
    static const char *const pieces[] = {"sector", "byte"};
    size_t piece = 0;
    if (each && !shape_choose(where, "each", each, pieces, 2, &piece)) {
        return false;
    }
    span->fill = CORPUS_ANY;
    span->byte_by_byte = piece == 1;
    span->choice_count = json_array_size(list);
    if (span->choice_count < 2 || span->choice_count > CORPUS_CHOICES_MAX) {
        return refuse(where, "\"any\" lists from 2 to %d contents", CORPUS_CHOICES_MAX);
    }
    for (size_t i = 0; i < span->choice_count; i++) {
        json_t *choice = json_array_get(list, i);
        span->choices[i].zero = json_is_null(choice);
        if (!span->choices[i].zero && !shape_is_number(choice, &span->choices[i].seed)) {
            return refuse(where, "\"any\" lists numbers of patterns, and null for zeros");
        }
    }
    return true;
}

/* Parses the content of a span that has a length. */
static bool parse_span_fill(struct where *where, const struct span_members *members, struct corpus_span *span)
{
    if (members->zero == 0) {
        return refuse(where, "\"zero\" can only be true");
    }
    span->fill = members->zero == 1 ? CORPUS_ZERO : CORPUS_PATTERN;
    return shape_number(where, "pattern", members->pattern, &span->seed) &&
           shape_number(where, "length", members->length, &span->length) &&
           (!members->any || parse_choices(where, members->any, members->each, span));
}

static bool parse_span(struct where *where, json_t *value, struct corpus_span *span)
{
    struct span_members m = {.zero = -1};
    if (!shape_unpack(where, value, "{s:o,s?o,s?b,s?o,s?s,s?s,s?o,s?o,s?o,s?s}", "at", &m.at, "length", &m.length,
                      "zero", &m.zero, "pattern", &m.pattern, "hex", &m.hex, "text", &m.text, "le32", &m.le32, "le64",
                      &m.le64, "any", &m.any, "each", &m.each) ||
        !shape_number(where, "at", m.at, &span->at) || !shape_is_list(where, "le32", m.le32) ||
        !shape_is_list(where, "le64", m.le64) || !shape_is_list(where, "any", m.any)) {
        return false;
    }
    bool counted = m.zero >= 0 || m.pattern || m.any;
    int kinds = (m.zero >= 0) + !!m.pattern + !!m.any + !!m.hex + !!m.text + !!m.le32 + !!m.le64;
    if (kinds != 1) {
        return refuse(where, "needs exactly one of zero, pattern, hex, text, le32, le64, any");
    }
    if (m.each && !m.any) {
        return refuse(where, "\"each\" belongs to any");
    }
    if (counted != (m.length != NULL)) {
        return refuse(where, "\"length\" belongs to zero, pattern and any, and only to them");
    }
    if (counted ? !parse_span_fill(where, &m, span) : !parse_span_bytes(where, &m, span)) {
        return false;
    }
    if (span->length == 0 || span->length > CORPUS_SPAN_MAX) {
        return refuse(where, "a span has from 1 to %u bytes", CORPUS_SPAN_MAX);
    }
    return span->length - 1 <= UINT64_MAX - span->at || refuse(where, "ends past 2^64");
}

bool parse_spans(struct where *where, const char *name, json_t *list, struct corpus_spans *spans)
{
    if (!shape_is_list(where, name, list)) {
        return false;
    }
    size_t outer = enter_member(where, name);
    spans->items = report_allocate(json_array_size(list), sizeof *spans->items);
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t mark = enter_element(where, i);
        spans->count++;
        if (!parse_span(where, json_array_get(list, i), &spans->items[i])) {
            return false;
        }
        leave(where, mark);
    }
    leave(where, outer);
    return true;
}

bool check_definite(struct where *where, const struct corpus_spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        if (spans->items[i].fill == CORPUS_ANY) {
            return refuse(where, "\"any\" is allowed only where content is expected");
        }
    }
    return true;
}

bool check_tiling(struct where *where, const char *name, const struct corpus_spans *spans, uint64_t offset,
                  uint64_t length)
{
    uint64_t covered = 0;
    bool tiled = length <= CORPUS_SPAN_MAX;
    for (size_t i = 0; tiled && i < spans->count; i++) {
        tiled = spans->items[i].at == offset + covered && spans->items[i].length <= length - covered;
        covered += spans->items[i].length;
    }
    if (tiled && covered == length) {
        return true;
    }
    size_t mark = enter_member(where, name);
    refuse(where, "the spans must cover [offset, offset + length) without gap or overlap, at most %u bytes",
           CORPUS_SPAN_MAX);
    leave(where, mark);
    return false;
}
