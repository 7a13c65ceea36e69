/*
 * Words of shell commands.
 */
#ifndef HARNESS_SHELL_WORD_H
#define HARNESS_SHELL_WORD_H

#include <stdio.h>

/* Prints a word so that the shell takes it as it is. */
void shell_word_print(FILE *out, const char *word);

#endif
