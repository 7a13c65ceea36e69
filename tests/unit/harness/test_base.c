/*
 * The base of the harness: numbers in text, options, scratch directories, the clock.
 */
#include "base/clock.h"
#include "base/number.h"
#include "base/options.h"
#include "base/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void numbers_are_digits_only(void **state)
{
    (void)state;
    static const char *const malformed[] = {"", "-1", "+1", " 1", "1 ", "1x", "x", "0x", "0x-1", "0x0x1", "a", "0xg"};
    uint64_t number;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        assert_int_equal(number_parse(malformed[i], &number), NUMBER_MALFORMED);
        assert_int_equal(number_parse_decimal(malformed[i], &number), NUMBER_MALFORMED);
    }
    assert_int_equal(number_parse("18446744073709551615", &number), NUMBER_OK);
    assert_int_equal(number, UINT64_MAX);
    assert_int_equal(number_parse("0xFfff", &number), NUMBER_OK);
    assert_int_equal(number, 0xFFFF);
    assert_int_equal(number_parse_decimal("0x10", &number), NUMBER_MALFORMED);
    assert_int_equal(number_parse("18446744073709551616", &number), NUMBER_TOO_LARGE);
    assert_int_equal(number_parse("0x10000000000000000", &number), NUMBER_TOO_LARGE);
}

static void options_and_operands_come_in_any_order(void **state)
{
    (void)state;
    static const char *const names[] = {"red", "green", NULL};
    const char *text = NULL;
    uint64_t number = 7;
    uint64_t untouched = 3;
    unsigned choice = 0;
    bool flag = false;
    bool given[5];
    const struct option_row rows[] = {
        {"text", "TEXT", "a text", .text = &text},
        {"number", "N", "a number", .number = &number, .least = 1, .greatest = 10},
        {"other", "N", "another number", .number = &untouched, .greatest = 10},
        {"choice", "C", "a choice", .choice = &choice, .names = names},
        {"flag", NULL, "a flag", .flag = &flag},
    };
    const struct options_command command = {
        .program = "test", .call = "test", .synopsis = "", .rows = rows, .row_count = sizeof rows / sizeof rows[0]};
    char *words[] = {"test", "one", "--flag", "--number", "10", "two", "--choice=green", "--text", "--flag", NULL};
    assert_int_equal(options_parse(&command, 9, words, given), 7);
    assert_string_equal(words[7], "one");
    assert_string_equal(words[8], "two");
    assert_true(flag && number == 10 && choice == 1 && untouched == 3);
    assert_string_equal(text, "--flag");
    assert_true(given[0] && given[1] && !given[2] && given[3] && given[4]);
}

static void scratch_directories_are_removed_with_their_content(void **state)
{
    (void)state;
    char path[SCRATCH_PATH_BYTES];
    char inner[SCRATCH_PATH_BYTES + 16];
    struct stat status;
    assert_true(scratch_make(scratch_fast_parent(), "addcow-test", path));
    snprintf(inner, sizeof inner, "%s/inner", path);
    assert_int_equal(mkdir(inner, 0777), 0);
    snprintf(inner, sizeof inner, "%s/inner/link", path);
    assert_int_equal(symlink("/", inner), 0);
    scratch_remove(path);
    assert_int_not_equal(stat(path, &status), 0);
    assert_int_equal(stat("/", &status), 0);
    assert_false(scratch_make("/nonexistent", "addcow-test", path));
}

static void the_clock_advances(void **state)
{
    (void)state;
    uint64_t start = clock_nanoseconds();
    assert_int_equal(usleep(2000), 0);
    assert_true(clock_nanoseconds() >= start + 2000000);
    assert_true(clock_seconds_since(start) >= 0.002);
    assert_true(clock_processor_nanoseconds() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(options_and_operands_come_in_any_order),
        cmocka_unit_test(scratch_directories_are_removed_with_their_content),
        cmocka_unit_test(the_clock_advances),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
