/*
 * The shape of JSON in the corpus: members, their types, and where in which file something is wrong.
 *
 * Every refusal says "FILE: $JSON.PATH: reason". The first refusal wins. `where` follows the path: enter_member and
 * enter_element go down, and leave goes back up to what they returned; after a refusal nobody needs to.
 */
#ifndef HARNESS_CORPUS_SHAPE_H
#define HARNESS_CORPUS_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where in which file the loader is, and the first thing that was wrong. */
struct where {
    const char *file;
    char path[256];
    char *error; /* of error_size bytes; "" until something is wrong */
    size_t error_size;
    json_t *known_flags; /* a member for each flag that a case may have */
};

/* Always false, for the caller to return. */
bool refuse(struct where *where, const char *format, ...) __attribute__((format(printf, 2, 3)));

size_t enter_member(struct where *where, const char *name);
size_t enter_element(struct where *where, size_t index);
void leave(struct where *where, size_t mark);

/* calloc that never fails: it aborts. The caller frees. */
void *corpus_allocate(size_t count, size_t size);

/*
 * json_unpack_ex with JSON_STRICT for one object: refuses unknown members, missing ones, and values of another type.
 * `format` has the form "{s:s,s?s,s?b,s:o}", and after it come a name and a target for each member. The strings and
 * objects stay the document's.
 */
bool shape_unpack(struct where *where, json_t *value, const char *format, ...);

/* Whether a value is a number: a JSON integer from 0, or "0x..." for those that JSON readers cannot hold. */
bool shape_is_number(json_t *value, uint64_t *number);

/* Takes the number `value`, the member `name`; null, an absent member, is 0. Refuses what is no number. */
bool shape_number(struct where *where, const char *name, json_t *value, uint64_t *number);

/* Refuses what is no array; null, an absent member, is none and accepted. */
bool shape_is_list(struct where *where, const char *name, json_t *value);

/* The index of `text`, the member `name`, in a list of names; refuses what is not in it. */
bool shape_choose(struct where *where, const char *name, const char *text, const char *const *names, size_t count,
                  size_t *index);

/* Refuses a path that reaches outside the directory that a case is given. */
bool shape_is_path(struct where *where, const char *name, const char *path);

#endif
