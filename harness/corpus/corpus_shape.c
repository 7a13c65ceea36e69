/*
 * Checks the shape of JSON for the loader of the corpus (corpus_shape.h).
 *
 * jansson checks types and members. This file turns its errors into messages: jansson reports the position in the
 * format at which it stopped, which identifies the member.
 */
#include "corpus/corpus_shape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool refuse(struct where *where, const char *format, ...)
{
    if (where->error[0]) {
        return false;
    }
    va_list arguments;
    va_start(arguments, format);
    char reason[512];
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    snprintf(where->error, where->error_size, "%s: $%s: %s", where->file, where->path, reason);
    return false;
}

size_t enter_member(struct where *where, const char *name)
{
    size_t mark = strlen(where->path);
    snprintf(where->path + mark, sizeof where->path - mark, ".%s", name);
    return mark;
}

size_t enter_element(struct where *where, size_t index)
{
    size_t mark = strlen(where->path);
    snprintf(where->path + mark, sizeof where->path - mark, "[%zu]", index);
    return mark;
}

void leave(struct where *where, size_t mark)
{
    where->path[mark] = 0;
}

/* ---- Members ---- */

/* The type that a letter of a format stands for. */
static const char *type_of(char letter)
{
    return letter == 's' ? "a string" : letter == 'b' ? "true or false" : "another value";
}

/* The number of the member, from 1, at which jansson stopped, and the letter of its type; 0: the value itself. */
static unsigned member_at(const char *format, int column, char *letter)
{
    unsigned member = 0;
    for (int i = 0; i < column && format[i]; i++) {
        if (format[i] == ':' || format[i] == '?') {
            member++;
            *letter = format[i + 1];
        }
    }
    return member;
}

/* Refuses with the message for an error of jansson. `members` are the arguments of the format. */
static bool refuse_shape(struct where *where, const json_error_t *problem, const char *format, va_list members)
{
    const char *names = strrchr(problem->text, ':');
    char letter = 0;
    switch (json_error_code(problem)) {
    case json_error_item_not_found:
        return refuse(where, "field \"%s\" is missing", names ? names + 2 : "");
    case json_error_end_of_input_expected:
        return refuse(where, "unknown field \"%s\"", names ? names + 2 : "");
    default:
        break;
    }
    unsigned member = member_at(format, problem->column, &letter);
    if (member == 0) {
        return refuse(where, "must be an object");
    }
    const char *name = va_arg(members, const char *);
    for (unsigned i = 1; i < member; i++) {
        (void)va_arg(members, void *);
        name = va_arg(members, const char *);
    }
    enter_member(where, name);
    return refuse(where, "must be %s", type_of(letter));
}

bool shape_unpack(struct where *where, json_t *value, const char *format, ...)
{
    json_error_t problem;
    va_list arguments, members;
    va_start(arguments, format);
    va_copy(members, arguments);
    bool good = json_vunpack_ex(value, &problem, JSON_STRICT, format, arguments) == 0;
    if (!good) {
        refuse_shape(where, &problem, format, members);
    }
    va_end(members);
    va_end(arguments);
    return good;
}

/* ---- Values ---- */

bool shape_is_number(json_t *value, uint64_t *number)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (!text || strncmp(text, "0x", 2) || !text[2] || strlen(text) > 18 ||
        strspn(text + 2, "0123456789abcdef") != strlen(text + 2)) {
        return false;
    }
    *number = strtoull(text + 2, NULL, 16);
    return true;
}

bool shape_number(struct where *where, const char *name, json_t *value, uint64_t *number)
{
    *number = 0;
    if (!value || shape_is_number(value, number)) {
        return true;
    }
    enter_member(where, name);
    return refuse(where, "must be an integer from 0, or a string \"0x...\" of 1 to 16 digits 0-9a-f");
}

bool shape_is_list(struct where *where, const char *name, json_t *value)
{
    if (!value || json_is_array(value)) {
        return true;
    }
    enter_member(where, name);
    return refuse(where, "must be an array");
}

bool shape_choose(struct where *where, const char *name, const char *text, const char *const *names, size_t count,
                  size_t *index)
{
    for (*index = 0; *index < count; ++*index) {
        if (!strcmp(names[*index], text)) {
            return true;
        }
    }
    size_t mark = enter_member(where, name);
    refuse(where, "\"%s\" is not an allowed value", text);
    leave(where, mark);
    return false;
}

bool shape_is_path(struct where *where, const char *name, const char *path)
{
    size_t mark = enter_member(where, name);
    bool good = path[0] && path[0] != '/' && strlen(path) < 256;
    for (const char *part = path; good && part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        good = length > 0 && !(length == 2 && part[0] == '.' && part[1] == '.');
    }
    if (!good) {
        return refuse(where, "\"%s\" is not a path below the case's directory", path);
    }
    leave(where, mark);
    return true;
}
