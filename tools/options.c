/*
 * Reading options with getopt_long.
 *
 * getopt gets the options of all commands at once. So a long name can be abbreviated in the same way everywhere, and an
 * option of another command is distinguished from one that does not exist. The long forms have numbers above every
 * letter: LONG_FORMS plus their place in the list.
 */
#include "options.h"

#include "command.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define LONG_FORMS 256
#define OPTIONS_MAX 64 /* different ones of all commands */

/* The options of all commands, as getopt wants them. */
struct vocabulary {
    const struct command_option *list[OPTIONS_MAX];
    size_t count;
    struct option long_forms[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 2];
};

static bool same_name(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static void add_letter(struct vocabulary *words, const struct command_option *option)
{
    if (option->letter != 0 && !strchr(words->letters, option->letter)) {
        size_t end = strlen(words->letters);
        words->letters[end++] = (char)option->letter;
        if (option->kind != OPTION_SWITCH) {
            words->letters[end] = ':';
        }
    }
}

static void add_name(struct vocabulary *words, const struct command_option *option)
{
    struct option *place = words->long_forms;
    while (place->name && !same_name(place->name, option->name)) {
        place++;
    }
    if (option->name && !place->name) {
        *place = (struct option){.name = option->name,
                                 .has_arg = option->kind == OPTION_SWITCH ? no_argument : required_argument,
                                 .val = LONG_FORMS + (int)words->count};
    }
}

static void add_option(struct vocabulary *words, const struct command_option *option)
{
    for (size_t i = 0; i < words->count; i++) {
        const struct command_option *known = words->list[i];
        if (known->letter == option->letter && (known->name == option->name || same_name(known->name, option->name))) {
            return;
        }
    }
    assert(words->count < OPTIONS_MAX);
    add_letter(words, option);
    add_name(words, option);
    words->list[words->count++] = option;
}

/* getopt's answer as an option of the list. Null: it is none. */
static const struct command_option *find_option(const struct vocabulary *words, int answer)
{
    if (answer >= LONG_FORMS) {
        return words->list[answer - LONG_FORMS];
    }
    for (size_t i = 0; i < words->count; i++) {
        if (words->list[i]->letter == answer) {
            return words->list[i];
        }
    }
    return NULL;
}

/* The entry that the answer means of the command's own table, or of that of every command. Null: it has none. */
static const struct command_option *own_option(const struct command *command, const struct command_option *found,
                                               int answer)
{
    for (const struct command_option *option = command->options; option->variable; option++) {
        if (answer >= LONG_FORMS ? same_name(option->name, found->name) : option->letter == answer) {
            return option;
        }
    }
    for (const struct command_option *option = locking_table; option->variable; option++) {
        if (option == found) {
            return option;
        }
    }
    return NULL;
}

static bool parse_layout(const char *text, enum addcow_layout *layout)
{
    if (strcmp(text, "r20") == 0) {
        *layout = ADDCOW_R20;
    } else if (strcmp(text, "r9") == 0) {
        *layout = ADDCOW_R9;
    } else {
        return false;
    }
    return true;
}

static bool parse_preallocation(const char *text, enum addcow_preallocation *preallocation)
{
    static const char *const names[] = {
        [ADDCOW_PREALLOCATE_OFF] = "off",
        [ADDCOW_PREALLOCATE_FALLOC] = "falloc",
        [ADDCOW_PREALLOCATE_FULL] = "full",
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *preallocation = (enum addcow_preallocation)i;
            return true;
        }
    }
    return false;
}

static bool parse_output(const char *text, bool *json)
{
    *json = strcmp(text, "json") == 0;
    return *json || strcmp(text, "human") == 0;
}

static bool store_seconds(const char *text, unsigned *seconds)
{
    size_t digits = strspn(text, "0123456789");
    *seconds = 0;
    for (size_t i = 0; i < digits && digits <= 6; i++) {
        *seconds = *seconds * 10 + (unsigned)(text[i] - '0');
    }
    return digits > 0 && digits <= 6 && text[digits] == '\0';
}

static bool store_size(const char *text, struct size_value *value)
{
    value->given = parse_size(text, &value->bytes);
    return value->given;
}

/* False: the option does not take this value. */
static bool store_value(const struct command_option *option, const char *value)
{
    switch (option->kind) {
    case OPTION_SWITCH:
        *(bool *)option->variable = true;
        return true;
    case OPTION_TEXT:
        *(const char **)option->variable = value;
        return true;
    case OPTION_PATH:
        *(const char **)option->variable = value;
        return *value != '\0';
    case OPTION_SIZE:
        return store_size(value, option->variable);
    case OPTION_SECONDS:
        return store_seconds(value, option->variable);
    case OPTION_OUTPUT:
        return parse_output(value, option->variable);
    case OPTION_LAYOUT:
        return parse_layout(value, option->variable);
    case OPTION_PREALLOCATION:
        break;
    }
    return parse_preallocation(value, option->variable);
}

/* How messages spell an option. */
static const char *spelling(const struct command_option *option, char *buffer, size_t size)
{
    if (option->name) {
        snprintf(buffer, size, "--%s", option->name);
    } else {
        snprintf(buffer, size, "-%c", option->letter);
    }
    return buffer;
}

/* `word` is what getopt looked at last. */
static int complain_unknown(const struct command *command, const char *word)
{
    if (optopt > 0 && optopt < LONG_FORMS) {
        return complain_usage(command->name, "unknown option '-%c'", optopt);
    }
    return complain_usage(command->name, "unknown option '%s'", word);
}

/* Does what one answer of getopt asks for. EXIT_OK: continue. */
static int apply(const struct command *command, const struct vocabulary *words, int answer, const char *word)
{
    const struct command_option *found = find_option(words, answer);
    if (!found) {
        return answer == ':' ? complain_usage(command->name, "option '%s' requires a value", word)
                             : complain_unknown(command, word);
    }
    char buffer[64];
    const struct command_option *option = own_option(command, found, answer);
    if (!option) {
        return complain_usage(command->name, "option '%s' does not apply", spelling(found, buffer, sizeof(buffer)));
    }
    if (!store_value(option, optarg)) {
        return complain_usage(command->name, "invalid value '%s' for option '%s'", optarg,
                              spelling(option, buffer, sizeof(buffer)));
    }
    return EXIT_OK;
}

bool parse_options(const struct command *command, int argc, char **argv, int *exit_code)
{
    static bool help;
    static const struct command_option help_option = {'h', "help", OPTION_SWITCH, &help};
    struct vocabulary words = {.letters = ":"};
    add_option(&words, &help_option);
    /* First those of this command: a letter may mean something else in another one. */
    for (const struct command_option *option = command->options; option->variable; option++) {
        add_option(&words, option);
    }
    for (size_t i = 0; i < command_count; i++) {
        for (const struct command_option *option = commands[i]->options; option->variable; option++) {
            add_option(&words, option);
        }
    }
    for (const struct command_option *option = locking_table; option->variable; option++) {
        add_option(&words, option);
    }
    opterr = 0;
    int answer;
    while ((answer = getopt_long(argc, argv, words.letters, words.long_forms, NULL)) != -1) {
        if (find_option(&words, answer) == &help_option) {
            printf("Usage: addcow %s", command->help);
            fputs(locking_help, stdout);
            *exit_code = EXIT_OK;
            return false;
        }
        *exit_code = apply(command, &words, answer, argv[optind - 1]);
        if (*exit_code != EXIT_OK) {
            return false;
        }
    }
    return true;
}
