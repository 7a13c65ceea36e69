/*
 * Checks the shape of JSON in the corpus: members and their types.
 *
 * Every error message has the form "FILE: $JSON.PATH: reason". The first error is kept. `where` holds the JSON path:
 * enter_member and enter_element append to it and return a mark; leave goes back to a mark. After an error the path is
 * not used any more.
 */
#ifndef HARNESS_CORPUS_SHAPE_H
#define HARNESS_CORPUS_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The loader's position, and the first error. */
struct where {
    const char *file;
    char path[256];
    char *error; /* of error_size bytes; "" until there is one */
    size_t error_size;
    json_t *known_flags; /* a member for each flag that a case may have */
};

/* Stores the message unless there is one. Always returns false. */
bool refuse(struct where *where, const char *format, ...) __attribute__((format(printf, 2, 3)));

size_t enter_member(struct where *where, const char *name);
size_t enter_element(struct where *where, size_t index);
void leave(struct where *where, size_t mark);

/*
 * json_unpack_ex with JSON_STRICT for one object: refuses unknown members, missing ones, and values of another type.
 * `format` has the form "{s:s,s?s,s?b,s:o}". A name and a target for each member follow it. The document keeps owning
 * the strings and objects.
 */
bool shape_unpack(struct where *where, json_t *value, const char *format, ...);

/* Whether a value is a number: a JSON integer from 0, or "0x..." for numbers above 2^63 - 1. */
bool shape_is_number(json_t *value, uint64_t *number);

/* Stores the number `value`, the member `name`; an absent member (null) is 0. Refuses other types. */
bool shape_number(struct where *where, const char *name, json_t *value, uint64_t *number);

/* Refuses anything but an array; accepts an absent member (null). */
bool shape_is_list(struct where *where, const char *name, json_t *value);

/* Stores the index of `text`, the member `name`, in a list of names. Refuses a text that is not in the list. */
bool shape_choose(struct where *where, const char *name, const char *text, const char *const *names, size_t count,
                  size_t *index);

/* Refuses a path that leads outside the directory of the case. */
bool shape_is_path(struct where *where, const char *name, const char *path);

#endif
