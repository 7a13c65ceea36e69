/*
 * Command lines: a program says in one table which options it has; parsing, checks, error messages and the usage text
 * follow from the table.
 *
 * Every error message names the program, the option and the value, such as "hunt: --time: '5x' is not a number of
 * seconds". It goes to standard error, and the process ends with REPORT_USAGE.
 */
#ifndef HARNESS_OPTIONS_H
#define HARNESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands before the names of programs in usage texts and in commands to type. mk/package.mk gives installed ones one.
 */
#ifndef PROGRAM_PREFIX
#define PROGRAM_PREFIX ""
#endif

/*
 * One option. Exactly one of flag, text, number and choice is not null: where its value is stored. What is there before
 * is the default, which the usage text shows if an option could have set it.
 */
struct option_row {
    const char *name;    /* without the dashes */
    const char *operand; /* what the usage text calls the value, such as "SECONDS"; null for flags */
    const char *meaning; /* for the usage text, without range and default */
    bool *flag;
    const char **text;
    uint64_t *number; /* in least..greatest */
    uint64_t least;
    uint64_t greatest;
    const char *unit;         /* of the number, such as "seconds"; may be null */
    unsigned *choice;         /* the index of the name in `names` */
    const char *const *names; /* ended by null */
};

struct options_command {
    const char *program;  /* how messages begin, such as "hunt" */
    const char *call;     /* how it is called, such as "hunt stress" */
    const char *synopsis; /* what may follow the call; lines of it begin with the call again */
    const char *purpose;  /* a paragraph; may be null */
    const struct option_row *rows;
    size_t row_count;
    const char *notes; /* behind the options, lines of their own; may be null */
};

/*
 * Parses words[1, count), options and operands in any order, and stores the options' values. Moves the operands to the
 * end of `words` and returns the index of the first. --help prints the usage text and ends the process. `given`, if it
 * is not null, gets one value for each row: whether the option was there.
 */
int options_parse(const struct options_command *command, int count, char **words, bool *given);

/* Ends the process if there are operands from words[first] on: for commands that take none. */
void options_refuse_operands(const struct options_command *command, int count, char **words, int first);

/* Says on standard error what makes no sense and where help is, and ends the process with REPORT_USAGE. */
_Noreturn void options_refuse(const struct options_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the usage text. */
void options_print_usage(const struct options_command *command);

#endif
