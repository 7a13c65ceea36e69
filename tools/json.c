/*
 * JSON for the commands that print it, on top of jansson.
 */
#include "json.h"

#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string) {
        return string;
    }
    char *copy = strdup(text);
    for (unsigned char *at = (unsigned char *)copy; at && *at; at++) {
        *at = *at < 0x80 ? *at : '?';
    }
    string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}

json_t *json_size(uint64_t size)
{
    return json_integer((json_int_t)size); /* sizes are at most 2^62 */
}

int print_json(json_t *object, const char *file)
{
    int result = object ? json_dumpf(object, stdout, JSON_STYLE | JSON_INDENT(4)) : -1;
    json_decref(object);
    putchar('\n');
    return result == 0 ? EXIT_OK : complain("%s: the result could not be written as JSON", file);
}
