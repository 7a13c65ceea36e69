/*
 * Quotes words for the shell; those of plain characters stay as they are, to be read easily.
 */
#include "base/shell_word.h"

#include "base/report.h"

#include <string.h>

void shell_word_print(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++) {
        if (*word == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(*word, out);
        }
    }
    fputc('\'', out);
}

FILE *shell_command_open(const char *program, char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    fputs("exec ", out);
    shell_word_print(out, program);
    return out;
}
