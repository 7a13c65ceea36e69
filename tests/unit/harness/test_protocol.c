/* The wire format of corpus/PROTOCOL.md: lines, answers and hellos, right and wrong. */
#include "harness/protocol_support.h"

/* ---- Lines ---- */

static bool parse(const char *text, struct protocol_answer *answer, char line[PROTOCOL_LINE_MAX])
{
    char why[512] = "";
    strcpy(line, text);
    bool good = protocol_parse_answer(line, strlen(text), answer, why, sizeof why);
    assert_true(good == (why[0] == '\0'));
    return good;
}

static void numbers(void **state)
{
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      "01",
                                      "00",
                                      "1 ",
                                      "0x1",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "100000000000000000000",
                                      "1e3",
                                      "\xb2"};
    uint64_t number;
    (void)state;
    assert_true(protocol_number("0", &number) && number == 0);
    assert_true(protocol_number("18446744073709551615", &number) && number == UINT64_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(protocol_number(bad[i], &number));
    }
}

static void malformed_answers(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "ok",
        "7",
        "7 okay",
        "7 OK",
        "-7 ok",
        "07 ok",
        " 7 ok",
        "7 ok ",
        "7  ok",
        "7 ok\r",
        "7\tok",
        "7 \xc3\xb6k",
        "7 ok +",
        "7 ok +-1",
        "7 ok +1 +1",
        "7 ok +1 2",
        "7 ok +67108865",
        "7 ok +01",
        "7 error",
        "7 error x",
        "7 error ok",
        "7 error io +3",
        "7 error io x",
        "7 error io hdr-01",
        "7 error io HDR-001",
        "7 error io - +1024",
        "7 error io - - ",
        "7 error io HDR-01 x",
        "18446744073709551616 ok",
        "7 ok 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31",
    };
    char line[PROTOCOL_LINE_MAX];
    struct protocol_answer answer;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(bad[i], &answer, line)) {
            fail_msg("\"%s\" was taken for an answer", bad[i]);
        }
    }
    char nul[] = {'7', ' ', 'o', 'k', '\0', '\0'};
    char why[64];
    assert_false(protocol_parse_answer(nul, 5, &answer, why, sizeof why));
}

static void answers(void **state)
{
    char line[PROTOCOL_LINE_MAX];
    struct protocol_answer answer;
    (void)state;
    assert_true(parse("7 ok", &answer, line));
    assert_true(answer.tag == 7 && answer.code == ADDCOW_OK && answer.count == 0 && !answer.has_data);
    assert_true(parse("18446744073709551615 ok 1 4096", &answer, line));
    assert_true(answer.tag == UINT64_MAX && answer.count == 2);
    assert_string_equal(answer.words[1], "4096");
    assert_true(parse("7 ok +0", &answer, line));
    assert_true(answer.has_data && answer.data_length == 0 && answer.count == 0);
    assert_true(parse("7 ok +67108864", &answer, line) && answer.data_length == PROTOCOL_DATA_MAX);
    assert_true(parse("7 error malformed HR9-04 +1023", &answer, line));
    assert_true(answer.code == ADDCOW_MALFORMED && answer.data_length == 1023);
    assert_string_equal(answer.clause, "HR9-04");
    assert_true(parse("7 error busy", &answer, line) && answer.code == ADDCOW_BUSY);
    assert_string_equal(answer.clause, "");
    assert_true(parse("7 error busy -", &answer, line));
    assert_string_equal(answer.clause, "");
}

/* An answer to another operation than was asked, or with other values than it may have. */
static void answers_of_another_kind(void **state)
{
    static const struct {
        uint32_t request; /* enum operation or enum protocol_request */
        const char *text;
        bool good;
    } cases[] = {
        {PROTOCOL_SIZE, "7 ok 5", true},      {PROTOCOL_SIZE, "7 ok", false},      {PROTOCOL_SIZE, "7 ok x", false},
        {PROTOCOL_SIZE, "7 ok 5 5", false},   {PROTOCOL_SIZE, "7 ok +5", false},   {OPERATION_READ, "7 ok +9", true},
        {OPERATION_READ, "7 ok +8", false},   {OPERATION_READ, "7 ok +10", false}, {OPERATION_READ, "7 ok", false},
        {OPERATION_READ, "7 ok 1 +9", false}, {OPERATION_MAP, "7 ok 1 9", true},   {OPERATION_MAP, "7 ok 0 0", true},
        {OPERATION_MAP, "7 ok 2 9", false},   {OPERATION_MAP, "7 ok 1", false},    {OPERATION_MAP, "7 ok 1 -1", false},
        {OPERATION_WRITE, "7 ok", true},      {OPERATION_WRITE, "7 ok 1", false},  {OPERATION_WRITE, "7 ok +0", false},
        {OPERATION_READ, "7 error io", true}, {OPERATION_FLUSH, "7 ok ok", false},
    };
    char line[PROTOCOL_LINE_MAX];
    char why[512];
    uint64_t values[2];
    struct protocol_answer answer;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(parse(cases[i].text, &answer, line));
        if (protocol_check_answer(&answer, cases[i].request, 9, values, why, sizeof why) != cases[i].good) {
            fail_msg("\"%s\" to %s was judged wrongly", cases[i].text, protocol_request_name(cases[i].request));
        }
    }
}

static enum protocol_hello hello(const char *text, struct protocol_abilities *abilities)
{
    char line[PROTOCOL_LINE_MAX];
    char why[512];
    struct protocol_answer answer;
    assert_true(parse(text, &answer, line));
    return protocol_check_hello(&answer, abilities, why, sizeof why);
}

static void hellos(void **state)
{
    static const char *const bad[] = {
        "0 ok",
        "0 ok x",
        "0 ok 1",
        "0 ok 1 +4",
        "0 error io",
        "0 ok 1 " ABILITIES("0"),
        "0 ok 1 " ABILITIES("65"),
        "0 ok 1 " ABILITIES("1") " level=durable",
        "0 ok 1 " ABILITIES("1") " color=red",
        "0 ok 1 " ABILITIES("1") " level",
        "0 ok 1 layouts= operations= granularity=1 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r20, operations= granularity=1 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r20,r20 operations= granularity=1 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r21 operations= granularity=1 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r20 operations=read granularity=1 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r20 operations=write,,zero granularity=1 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r20 operations= granularity=2 concurrency=1 level=reader lacks=",
        "0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=master lacks=",
        "0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader",
        "0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader lacks=beauty",
    };
    struct protocol_abilities abilities;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (hello(bad[i], &abilities) != PROTOCOL_BAD_HELLO) {
            fail_msg("\"%s\" was taken for a hello", bad[i]);
        }
    }
    assert_int_equal(hello("0 ok 2 whatever", &abilities), PROTOCOL_OTHER_VERSION);
    assert_int_equal(hello("0 error unsupported", &abilities), PROTOCOL_OTHER_VERSION);
    assert_int_equal(hello("0 ok 1 level=writer concurrency=64 granularity=512 operations=map,write layouts=r9 "
                           "lacks=locks,cut,readonly,lengths,close",
                           &abilities),
                     PROTOCOL_WELCOME);
    assert_true(abilities.r9 && !abilities.r20 && abilities.granularity == 512 && abilities.concurrency == 64);
    assert_int_equal(abilities.level, PROTOCOL_WRITER);
    assert_int_equal(abilities.lacks, 1 << PROTOCOL_LOCKS | 1 << PROTOCOL_CUT | 1 << PROTOCOL_READONLY |
                                          1 << PROTOCOL_LENGTHS | 1 << PROTOCOL_CLOSE_ERRORS);
    unsigned always = 1 << OPERATION_READ | 1 << PROTOCOL_OPEN | 1 << PROTOCOL_CLOSE | 1 << PROTOCOL_SIZE;
    assert_int_equal(abilities.requests, always | 1 << PROTOCOL_HELLO | 1 << OPERATION_WRITE | 1 << OPERATION_MAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers), cmocka_unit_test(malformed_answers),
        cmocka_unit_test(answers), cmocka_unit_test(answers_of_another_kind),
        cmocka_unit_test(hellos),
    };
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
