/*
 * JSON for the commands that print it, on top of jansson. Null stands for an object for which there was no memory.
 */
#ifndef ADDCOW_JSON_H
#define ADDCOW_JSON_H

#include <jansson.h>
#include <stdint.h>

/* In ASCII, as names may hold control characters of a terminal beyond it. */
#define JSON_STYLE (JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII)

/* A JSON string. File names are bytes; those that are no UTF-8 get `?` for every byte outside ASCII. */
json_t *json_text(const char *text);

json_t *json_size(uint64_t size);

/* Prints and frees `object`. Returns the exit code; `file` is for the message of a failure. */
int print_json(json_t *object, const char *file);

#endif
