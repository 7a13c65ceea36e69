/*
 * Words of shell commands.
 */
#ifndef HARNESS_SHELL_WORD_H
#define HARNESS_SHELL_WORD_H

#include <stdio.h>

/* Prints a word so that the shell takes it as it is. */
void shell_word_print(FILE *out, const char *word);

/*
 * Begins a command that the shell replaces itself by: `exec PROGRAM`. The caller adds words and closes the stream;
 * then *text is the command, which he frees. Ends the program if there is no memory.
 */
FILE *shell_command_open(const char *program, char **text, size_t *size);

#endif
