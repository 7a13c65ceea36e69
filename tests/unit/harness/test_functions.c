/*
 * Every public function of the library is called by the adapter of the production engine, and so by every workload of
 * every judge; or it stands here with the reason why not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIST "fast/libaddcow.map"
#define ADAPTER "harness/adapters/adapter_fast.c"

/* What no operation of a workload is. */
static const struct {
    const char *function;
    const char *reason;
} elsewhere[] = {
    {"addcow_check", "works on files that nobody has open: judges/crash_repair.c, fuzz_image, test_check"},
    {"addcow_rebase", "works on files that nobody has open: test_rebase lets each of its calls fail"},
    {"addcow_restore_length", "works on files that nobody has open: test_restore_length lets each of its calls fail"},
    {"addcow_posix_storage", "is below the engine: hunt stress and the corpus run on it, and test_storage_posix"},
    {"addcow_status_name", "gives a constant"},
    {"addcow_version", "gives a constant"},
};

static char *load(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static bool is_called(const char *source, const char *function)
{
    char call[80];
    snprintf(call, sizeof call, "%s(", function);
    return strstr(source, call) != NULL;
}

static bool has_reason(const char *function)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        if (strcmp(elsewhere[i].function, function) == 0) {
            return true;
        }
    }
    return false;
}

static void every_function_is_in_the_workloads(void **state)
{
    (void)state;
    char *list = load(LIST);
    char *adapter = load(ADAPTER);
    size_t count = 0;
    size_t excused = 0;
    for (char *line = strtok(strstr(list, "global:"), "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char function[64];
        if (sscanf(line, " %63[a-z_];", function) != 1 || strncmp(function, "addcow_", 7) != 0) {
            continue;
        }
        bool called = is_called(adapter, function);
        if (called == has_reason(function)) {
            fail_msg("%s is %s", function, called ? "called by " ADAPTER ": it needs no reason" : "in no workload");
        }
        count++;
        excused += !called;
    }
    assert_true(count > 20);
    assert_int_equal(excused, sizeof elsewhere / sizeof elsewhere[0]);
    free(list);
    free(adapter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_function_is_in_the_workloads)};
    return cmocka_run_group_tests_name("public functions", tests, NULL, NULL);
}
