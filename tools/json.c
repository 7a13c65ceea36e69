/*
 * JSON for the commands that print it, on top of jansson.
 */
#include "json.h"

#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON is UTF-8, and names of files need not be: as with qemu-img, each wrong byte becomes U+FFFD, and the rest stays.
 */
json_t *json_text(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *copy = malloc(3 * strlen(text) + 1);
    size_t end = 0;
    for (const char *at = text; copy && *at;) {
        size_t length;
        bool wrong = decode_utf8((const unsigned char *)at, &length) == 0;
        const char *from = wrong ? replacement : at;
        size_t count = wrong ? 3 : length;
        memcpy(copy + end, from, count);
        end += count;
        at += length;
    }
    json_t *string = copy ? json_stringn(copy, end) : NULL;
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
