/*
 * Traces in both forms, stamps, hex windows, and the generator of workloads.
 */
#include "addcow_format.h"
#include "workload/generate.h"
#include "workload/phase.h"
#include "judges/history.h"
#include "base/random.h"
#include "base/report.h"
#include "workload/stamp.h"
#include "workload/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct trace first;
static struct trace second;

/* ---- Stamps ---- */

static void test_stamps_name_writer_and_place(void **state)
{
    (void)state;
    struct random random = {1};
    for (int i = 0; i < 10000; i++) {
        struct stamp stamp = {(enum stamp_source)random_between(&random, STAMP_WRITE, STAMP_SOURCES - 1),
                              (uint32_t)random_below(&random, STAMP_NUMBER_MAX + 1)};
        uint64_t offset = random_below(&random, STAMP_OFFSET_MAX / 8 + 1) * 8;
        uint8_t word[8];
        struct stamp got;
        uint64_t place;
        stamp_fill(stamp, offset, word, sizeof word);
        assert_true(stamp_identify(word, &got, &place));
        assert_int_equal(got.source, stamp.source);
        assert_int_equal(got.number, stamp.number);
        assert_int_equal(place, offset);
    }
}

static void test_stamps_do_not_depend_on_cuts(void **state)
{
    (void)state;
    uint8_t whole[100];
    uint8_t part[100];
    stamp_fill((struct stamp){STAMP_WRITE, 7}, 1000, whole, sizeof whole);
    for (size_t cut = 0; cut <= sizeof whole; cut++) {
        stamp_fill((struct stamp){STAMP_WRITE, 7}, 1000, part, cut);
        stamp_fill((struct stamp){STAMP_WRITE, 7}, 1000 + cut, part + cut, sizeof part - cut);
        assert_memory_equal(whole, part, sizeof whole);
        assert_true(stamp_matches((struct stamp){STAMP_WRITE, 7}, 1000 + cut, whole + cut, sizeof whole - cut));
    }
    for (size_t i = 0; i < sizeof whole; i++) {
        whole[i] ^= 1;
        assert_false(stamp_matches((struct stamp){STAMP_WRITE, 7}, 1000, whole, sizeof whole));
        whole[i] ^= 1;
    }
    assert_false(stamp_matches((struct stamp){STAMP_WRITE, 8}, 1000, whole, sizeof whole));
    assert_false(stamp_matches((struct stamp){STAMP_WRITE, 7}, 1008, whole, sizeof whole));
}

static void test_writers_are_named(void **state)
{
    (void)state;
    uint8_t bytes[512] = {0};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    stamp_fill((struct stamp){STAMP_WRITE, 3}, 1024, bytes, 128);
    stamp_fill((struct stamp){STAMP_WRITE, 4}, 2048, bytes + 128, 128);
    memset(bytes + 384, 0x55, 128);
    stamp_print_writers(out, 1024, bytes, sizeof bytes);
    fclose(out);
    assert_string_equal(text,
                        "    bytes 1024..1151: operation 3\n"
                        "    bytes 1152..1279: operation 4, but what belongs at 2048\n"
                        "    bytes 1280..1407: zeros\n"
                        "    bytes 1408..1535: no writer's (a mixture, or damaged)\n");
    free(text);
}

/* ---- Hex windows ---- */

static void test_hex_window_marks_the_difference(void **state)
{
    (void)state;
    uint8_t expected[200] = {0};
    uint8_t got[200] = {0};
    char *text = NULL;
    size_t length = 0;
    got[150] = 0xAB;
    assert_int_equal(report_first_difference(expected, got, sizeof got), 150);
    assert_int_equal(report_first_difference(expected, got, 150), 150);
    FILE *out = open_memstream(&text, &length);
    report_hex_window(out, 0x1000, expected, got, 150);
    fflush(out);
    assert_int_equal(length, 0);
    report_hex_window(out, 0x1000, expected, got, sizeof got);
    fclose(out);
    assert_non_null(strstr(text, "0000001090"));
    assert_non_null(strstr(text, "*ab"));
    assert_non_null(strstr(text, "*00"));
    free(text);
}

/* ---- Traces ---- */

/* A trace without problem that uses every possibility of the format. */
static void make_any_trace(struct random *random, struct trace *trace)
{
    static uint8_t bytes[TRACE_BINARY_MAX];
    size_t length = TRACE_HEADER_BYTES + (size_t)random_below(random, 100) * TRACE_OPERATION_BYTES;
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)random_next(random);
    }
    assert_true(trace_decode(bytes, length, trace));
}

static void test_any_bytes_decode_to_a_valid_trace(void **state)
{
    (void)state;
    struct random random = {2};
    for (int i = 0; i < 3000; i++) {
        make_any_trace(&random, &first);
        assert_null(trace_problem(&first));
    }
    uint8_t bytes[TRACE_HEADER_BYTES] = {0};
    assert_false(trace_decode(bytes, TRACE_HEADER_BYTES - 1, &first));
    assert_true(trace_decode(bytes, TRACE_HEADER_BYTES, &first));
}

static void test_surplus_bytes_are_left_out(void **state)
{
    (void)state;
    static uint8_t bytes[TRACE_BINARY_MAX + 3 * TRACE_OPERATION_BYTES];
    assert_true(trace_decode(bytes, sizeof bytes, &first));
    assert_int_equal(first.count, TRACE_OPERATIONS_MAX);
    assert_true(trace_decode(bytes, TRACE_HEADER_BYTES + 2 * TRACE_OPERATION_BYTES - 1, &first));
    assert_int_equal(first.count, 1);
}

static void round_trip(const struct trace *trace)
{
    static uint8_t bytes[TRACE_BINARY_MAX];
    char *text = NULL;
    size_t length = 0;
    char error[200] = "";
    assert_true(trace_decode(bytes, trace_encode(trace, bytes), &second));
    assert_true(trace_equal(trace, &second));
    FILE *out = open_memstream(&text, &length);
    trace_print(out, trace);
    fclose(out);
    FILE *in = fmemopen(text, length, "r");
    bool parsed = trace_parse(in, &second, NULL, error, sizeof error);
    fclose(in);
    free(text);
    assert_string_equal(error, "");
    assert_true(parsed);
    assert_true(trace_equal(trace, &second));
}

static void test_round_trips(void **state)
{
    (void)state;
    struct random random = {3};
    for (int i = 0; i < 1000; i++) {
        make_any_trace(&random, &first);
        round_trip(&first);
    }
}

static void test_generated_traces(void **state)
{
    (void)state;
    unsigned concurrent = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct generate_options options = {.threads = 1 + (uint32_t)(seed % 5), .operations = 100};
        generate_trace(seed, &options, &first);
        assert_null(trace_problem(&first));
        round_trip(&first);
        generate_trace(seed, &options, &second);
        assert_true(trace_equal(&first, &second));
        for (uint32_t begin = 0; begin < first.count; begin = trace_phase_end(&first, begin) + 1) {
            uint32_t end = trace_phase_end(&first, begin);
            if (trace_phase_is_concurrent(&first, begin, end)) {
                assert_null(phase_problem(&first, begin, end));
                concurrent++;
            }
        }
    }
    assert_true(concurrent > 300);
}

static void test_generator_keeps_to_its_options(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        generate_trace(seed, &(struct generate_options){.threads = 2, .operations = 20, .cluster_bits = 21}, &first);
        assert_int_equal(first.disk.cluster_bits, 21);
        generate_trace(seed, &(struct generate_options){.threads = 2, .operations = 20, .layout = ADDCOW_R9}, &first);
        assert_int_equal(first.disk.layout, ADDCOW_R9);
    }
}

/* ---- The text form's errors ---- */

#define SETTINGS                                                                                                       \
    "add-cow trace 2\nlayout r20\ncluster-bits 12\nsize 10000\nbacking 5000 chain 1\nallocated "                       \
    "some\nunknown-compatible no\n"                                                                                    \
    "seed 1\nthreads 2\n"

static void expect_error(const char *text, const char *expected)
{
    char error[200] = "";
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_false(trace_parse(in, &first, NULL, error, sizeof error));
    fclose(in);
    assert_string_equal(error, expected);
}

static void test_text_may_be_commented(void **state)
{
    (void)state;
    static const char text[] = "# a story\n\n# schedule 0x1\n" SETTINGS
                               "# judge crash\n"
                               "\n0 write 0x10 512 # here\n  barrier\n1\tflush\n";
    char error[200] = "";
    FILE *in = fmemopen((void *)(uintptr_t)text, sizeof text - 1, "r");
    assert_true(trace_parse(in, &first, NULL, error, sizeof error));
    fclose(in);
    assert_int_equal(first.count, 3);
    assert_int_equal(first.operations[0].offset, 16);
    assert_int_equal(first.operations[1].kind, TRACE_BARRIER);
    assert_int_equal(first.operations[2].thread, 1);
    assert_int_equal(first.disk.chain, 1);
}

static void test_errors_name_their_line(void **state)
{
    (void)state;
    expect_error(SETTINGS "0 wirte 0 1\n", "10: unknown operation 'wirte'");
    expect_error(SETTINGS "0 write 0\n", "10: 'write' takes 4 words, not 3");
    expect_error(SETTINGS "0 flush 0\n", "10: 'flush' takes 2 words, not 3");
    expect_error(SETTINGS "\n2 flush\n", "11: the thread is not among the threads");
    expect_error(SETTINGS "0 read 1x 2\n", "10: '1x' is not a number");
    expect_error(SETTINGS "0 read -1 2\n", "10: '-1' is not a number");
    expect_error(SETTINGS "0 read 18446744073709551616 2\n", "10: 18446744073709551616 is above 18446744073709551615");
    expect_error(SETTINGS "0 read 4294967296 2\n", "10: an offset or length above 2^32 - 1 and below 2^64 - 2^32");
    expect_error(SETTINGS "0 resize 67108865\n", "10: a new size above 64 MiB");
    expect_error(SETTINGS "0 flush\nsize 1\n", "11: 'size' after the first operation");
    expect_error(SETTINGS "size 1\n", "10: a second 'size'");
    expect_error("add-cow trace 2\nlayout r20\n", "2: no 'cluster-bits' before the operations");
    expect_error("add-cow trace 2\nlayout r10\n", "2: unknown word 'r10'");
    expect_error("add-cow trace 2\nbacking 5 chain\n",
                 "2: expected 'backing none', 'backing BYTES' or 'backing BYTES chain N'");
    expect_error("add-cow trace 2\nseed\n", "2: 'seed' takes one word");
    expect_error("add-cow trace 2\n0 1 2 3 4 5 6 7 8 9 10\n", "2: too many words");
    expect_error("", "0: the first line is not 'add-cow trace 2'");
    expect_error("add-cow trace 1\n", "1: the first line is not 'add-cow trace 2'");
    expect_error("# layout r20\nlayout r20\n", "2: the first line is not 'add-cow trace 2'");
    expect_error("add-cow trace 2\njudge crash\n", "2: unknown keyword 'judge'");
    expect_error(SETTINGS "0\n", "10: a thread without an operation");
    expect_error(
        "add-cow trace 2\nlayout r9\ncluster-bits 12\nsize 1\nbacking 1\nallocated none\nunknown-compatible no\nseed "
        "1\n"
        "threads 1\n",
        "9: layout r9 has 64 KiB clusters, a raw backing file and no compatible features");
}

static void test_invalid_text(void **state)
{
    (void)state;
    static char text[(1 << 20) + 200] = "layout r20";
    char error[200] = "";
    FILE *in = fmemopen(text, 100, "r");
    assert_false(trace_parse(in, &first, NULL, error, sizeof error));
    fclose(in);
    assert_string_equal(error, "1: a NUL byte");
    memset(text, ' ', sizeof text);
    in = fmemopen(text, sizeof text, "r");
    assert_false(trace_parse(in, &first, NULL, error, sizeof error));
    fclose(in);
    assert_string_equal(error, "1: longer than 1048576 bytes");
    in = fmemopen(text, 4095, "r");
    assert_false(trace_parse(in, &first, NULL, error, sizeof error));
    fclose(in);
    assert_string_equal(error, "1: the first line is not 'add-cow trace 2'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamps_name_writer_and_place),
        cmocka_unit_test(test_stamps_do_not_depend_on_cuts),
        cmocka_unit_test(test_writers_are_named),
        cmocka_unit_test(test_hex_window_marks_the_difference),
        cmocka_unit_test(test_any_bytes_decode_to_a_valid_trace),
        cmocka_unit_test(test_surplus_bytes_are_left_out),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_generated_traces),
        cmocka_unit_test(test_generator_keeps_to_its_options),
        cmocka_unit_test(test_text_may_be_commented),
        cmocka_unit_test(test_errors_name_their_line),
        cmocka_unit_test(test_invalid_text),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
