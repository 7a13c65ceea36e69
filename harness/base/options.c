/*
 * Command lines. getopt_long splits them; the table of options decides what is valid, and gives the messages.
 */
#include "base/options.h"

#include "base/number.h"
#include "base/report.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 40u
#define FIRST_ROW 256 /* getopt's number of row 0: no character */
#define HELP (FIRST_ROW + (int)ROWS_MAX)
#define USAGE_COLUMNS 100u

/* ---- The usage text ---- */

/* Prints words, continuing at `column`, from which a line of them begins. */
static void print_wrapped(const char *text, size_t column)
{
    size_t at = column;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (at > column && at + length >= USAGE_COLUMNS) {
            printf("\n%*s", (int)column, "");
            at = column;
        }
        printf("%s%.*s", at > column ? " " : "", (int)length, text);
        at += length + (at > column);
        text += length + (text[length] == ' ');
    }
    putchar('\n');
}

static size_t head_length(const struct option_row *row)
{
    return strlen("  --") + strlen(row->name) + (row->operand != NULL ? 1 + strlen(row->operand) : 0);
}

static void print_names(FILE *out, const struct option_row *row)
{
    for (size_t i = 0; row->names[i] != NULL; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : ", ", row->names[i]);
    }
}

static bool has_name(const struct option_row *row, unsigned index)
{
    for (unsigned i = 0; row->names[i] != NULL; i++) {
        if (i == index) {
            return true;
        }
    }
    return false;
}

/* Appends what may be given and the default: " (1..16; default 4)". */
static void print_values(FILE *out, const struct option_row *row)
{
    if (row->number != NULL) {
        bool shown = *row->number >= row->least && *row->number <= row->greatest;
        if (row->greatest < UINT32_MAX) {
            fprintf(out, " (%" PRIu64 "..%" PRIu64, row->least, row->greatest);
            fprintf(out, shown ? "; default %" PRIu64 ")" : ")", *row->number);
        } else if (shown) {
            fprintf(out, " (default %" PRIu64 ")", *row->number);
        }
    } else if (row->choice != NULL) {
        fputs(": ", out);
        print_names(out, row);
        if (has_name(row, *row->choice)) {
            fprintf(out, " (default %s)", row->names[*row->choice]);
        }
    } else if (row->text != NULL && *row->text != NULL) {
        fprintf(out, " (default %s)", *row->text);
    }
}

static void print_row(const struct option_row *row, size_t column)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        report_fatal("no memory for the usage text");
    }
    fputs(row->meaning, out);
    print_values(out, row);
    fclose(out);
    printf("  --%s%s%s%*s", row->name, row->operand != NULL ? " " : "", row->operand != NULL ? row->operand : "",
           (int)(column - head_length(row)), "");
    print_wrapped(text, column);
    free(text);
}

void options_print_usage(const struct options_command *command)
{
    const struct option_row help = {.name = "help", .meaning = "print this text"};
    size_t column = head_length(&help);
    for (size_t i = 0; i < command->row_count; i++) {
        size_t length = head_length(&command->rows[i]);
        column = length > column ? length : column;
    }
    printf("Usage: %s %s\n", command->call, command->synopsis);
    if (command->purpose != NULL) {
        print_wrapped(command->purpose, 0);
    }
    putchar('\n');
    for (size_t i = 0; i < command->row_count; i++) {
        print_row(&command->rows[i], column + 2);
    }
    print_row(&help, column + 2);
    if (command->notes != NULL) {
        printf("\n%s", command->notes);
    }
}

/* ---- Refusing ---- */

void options_refuse(const struct options_command *command, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s: ", command->program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry '%s --help'.\n", command->call);
    exit(REPORT_USAGE);
}

void options_refuse_operands(const struct options_command *command, int count, char **words, int first)
{
    if (first < count) {
        options_refuse(command, "unexpected argument '%s'", words[first]);
    }
}

/* What getopt has refused. */
_Noreturn static void refuse_word(const struct options_command *command, int answer, char **words)
{
    const char *word = words[optind - 1];
    if (answer == ':') {
        options_refuse(command, "--%s: a value is missing", command->rows[optopt - FIRST_ROW].name);
    }
    if (optopt == HELP || (optopt >= FIRST_ROW && optopt < HELP)) {
        options_refuse(command, "%s: the option takes no value", word);
    }
    if (optopt != 0) {
        options_refuse(command, "unknown option '-%c'", optopt);
    }
    options_refuse(command, "unknown option '%s'", word);
}

/* ---- Values ---- */

static void set_number(const struct options_command *command, const struct option_row *row, const char *word)
{
    uint64_t number = 0;
    enum number_result result = number_parse_decimal(word, &number);
    if (result == NUMBER_MALFORMED) {
        options_refuse(command, "--%s: '%s' is not a number%s%s", row->name, word, row->unit != NULL ? " of " : "",
                       row->unit != NULL ? row->unit : "");
    }
    if (result == NUMBER_TOO_LARGE || number < row->least || number > row->greatest) {
        options_refuse(command, "--%s: '%s' is not in %" PRIu64 "..%" PRIu64, row->name, word, row->least,
                       row->greatest);
    }
    *row->number = number;
}

static void set_choice(const struct options_command *command, const struct option_row *row, const char *word)
{
    for (unsigned i = 0; row->names[i] != NULL; i++) {
        if (strcmp(word, row->names[i]) == 0) {
            *row->choice = i;
            return;
        }
    }
    char *names = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&names, &length);
    if (out == NULL) {
        report_fatal("no memory for a message");
    }
    print_names(out, row);
    fclose(out);
    options_refuse(command, "--%s: '%s' is none of: %s", row->name, word, names);
}

static void set_value(const struct options_command *command, const struct option_row *row, const char *word)
{
    if (row->flag != NULL) {
        *row->flag = true;
    } else if (row->text != NULL) {
        *row->text = word;
    } else if (row->number != NULL) {
        set_number(command, row, word);
    } else {
        set_choice(command, row, word);
    }
}

/* ---- Parsing ---- */

static void print_help(const struct options_command *command)
{
    options_print_usage(command);
    exit(fflush(stdout) != 0 || ferror(stdout) ? REPORT_USAGE : REPORT_CONFORMS);
}

int options_parse(const struct options_command *command, int count, char **words, bool *given)
{
    struct option known[ROWS_MAX + 2] = {0};
    if (command->row_count > ROWS_MAX) {
        report_fatal("more than %u options", ROWS_MAX);
    }
    for (size_t i = 0; i < command->row_count; i++) {
        const struct option_row *row = &command->rows[i];
        int operand = row->flag == NULL ? required_argument : no_argument;
        known[i] = (struct option){row->name, operand, NULL, FIRST_ROW + (int)i};
        if (given != NULL) {
            given[i] = false;
        }
    }
    known[command->row_count] = (struct option){"help", no_argument, NULL, HELP};
    optind = 0; /* from the beginning, in glibc */
    opterr = 0;
    for (int answer; (answer = getopt_long(count, words, ":", known, NULL)) != -1;) {
        if (answer == HELP) {
            print_help(command);
        }
        if (answer == '?' || answer == ':') {
            refuse_word(command, answer, words);
        }
        int row = answer - FIRST_ROW;
        if (given != NULL) {
            given[row] = true;
        }
        set_value(command, &command->rows[row], optarg);
    }
    return optind;
}
