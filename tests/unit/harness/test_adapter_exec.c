/*
 * The adapter of a child process: children that end, hang, break the protocol, or leave processes behind. The children
 * are shell scripts with fixed answers.
 */
#include "base/clock.h"
#include "harness/protocol_support.h"
#include "adapters/perform.h"

#include <sys/prctl.h>

#define HELLO "read line; echo '0 ok 1 " ABILITIES("4") "'; "

#define OPEN HELLO "read line; head -c 5 >/dev/null; echo '1 ok'; read line; echo '2 ok 1048576'; "

#define PATH "/disk"

#define SHORT 400 /* milliseconds: the timeout where hanging is what is tested */

#define LONG 60000 /* where it is not */

/* ---- Children ---- */

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *list = opendir("/proc/self/fd");
    assert_non_null(list);
    while (readdir(list) != NULL) {
        count++;
    }
    closedir(list);
    return count;
}

/* Nothing of a child stays behind: no descriptor, no process that could be waited for. */
static void destroy(struct adapter *adapter, unsigned descriptors)
{
    adapter->ops->destroy(adapter);
    assert_int_equal(count_descriptors(), descriptors);
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Reads two sectors of a disk of the child. */
static void expect(const char *script, int timeout, enum exec_state wanted, const char *text)
{
    unsigned descriptors = count_descriptors();
    uint64_t start = clock_nanoseconds();
    struct adapter *adapter = adapter_make_exec(script, NULL, timeout);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint8_t buffer[1024];
    char why[2048] = "";
    enum addcow_status code = adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, &error);
    if (code == ADDCOW_OK) {
        code = adapter_read(adapter, 0, sizeof buffer, buffer, &error);
    }
    enum exec_state found = adapter_exec_state(adapter, why, sizeof why);
    if (found != wanted || strstr(why, text) == NULL) {
        fail_msg("%s: %s (%s)", script, exec_state_name(found), why);
    }
    if (wanted != EXEC_OK) {
        assert_int_equal(code, ADDCOW_IO);
        assert_int_equal(error.errnum, EPROTO);
        assert_non_null(strstr(error.message, exec_state_name(wanted)));
        /* All that follows fails at once, and the first reason stands. */
        assert_int_equal(adapter_flush(adapter, &error), ADDCOW_IO);
        assert_int_equal(adapter_exec_state(adapter, why, sizeof why), wanted);
    }
    destroy(adapter, descriptors);
    assert_true(clock_seconds_since(start) < 20);
}

static void children_that_do_not_start(void **state)
{
    (void)state;
    expect("exit 7", LONG, EXEC_DID_NOT_START, "exited with status 7");
    expect("exit 0", LONG, EXEC_DID_NOT_START, "exited with status 0");
    expect("kill -SEGV $$", LONG, EXEC_DID_NOT_START, "signal 11");
    expect("/no/such/program", LONG, EXEC_DID_NOT_START,
           "status 127; its standard error ends with \"sh: 1: /no/such/program");
    expect("read line; echo 0 ok 2", LONG, EXEC_OTHER_VERSION, "speaks version 2");
    expect("sleep 1000", SHORT, EXEC_HUNG, "did not answer hello (tag 0)");
}

static void children_that_end(void **state)
{
    (void)state;
    expect(HELLO "exit 3", LONG, EXEC_ENDED, "exited with status 3");
    expect(OPEN "echo because >&2; exit 3", LONG, EXEC_ENDED,
           "exited with status 3; its standard error ends with \"because?\"");
    expect(OPEN "kill -KILL $$", LONG, EXEC_ENDED, "died of signal 9");
    expect(OPEN "read line; printf '3 ok +1024\\nabc'", LONG, EXEC_ENDED, "exited with status 0");
    /* What it started lives on, holding the pipes; it counts as ended all the same. */
    expect(OPEN "sleep 1000 & exit 4", LONG, EXEC_ENDED, "exited with status 4");
}

static void children_that_hang(void **state)
{
    (void)state;
    expect(OPEN "exec sleep 1000", SHORT, EXEC_HUNG, "did not answer read (tag 3) within 0.400 s");
    expect(OPEN "trap '' TERM INT HUP QUIT PIPE; while :; do sleep 1; done", SHORT, EXEC_HUNG, "read (tag 3)");
    expect(OPEN "read line; printf '3 ok +1024\\nabc'; exec sleep 1000", SHORT, EXEC_HUNG, "read (tag 3)");
    expect(OPEN "printf '3 o'; exec sleep 1000", SHORT, EXEC_HUNG, "read (tag 3)");
    expect(OPEN "cat /dev/zero >&2", SHORT, EXEC_HUNG, "its standard error ends with \"????");
    expect(OPEN "while :; do printf 3; sleep 0.05; done", SHORT, EXEC_HUNG, "read (tag 3)");
}

static void children_that_break_the_protocol(void **state)
{
    (void)state;
    expect("echo Welcome to my adapter", LONG, EXEC_BROKE_PROTOCOL, "begins with \"Welcome\"");
    expect(OPEN "printf '\\001\\002\\n'", LONG, EXEC_BROKE_PROTOCOL, "byte 0x01");
    expect(OPEN "read line; printf '3 ok +1024\\r\\n'", LONG, EXEC_BROKE_PROTOCOL, "carriage return");
    expect(OPEN "echo 4 ok", LONG, EXEC_BROKE_PROTOCOL, "the tag 4, which is not in flight");
    expect(OPEN "echo 2 ok 1", LONG, EXEC_BROKE_PROTOCOL, "the tag 2, which is not in flight");
    expect(OPEN "read line; echo 3 ok", LONG, EXEC_BROKE_PROTOCOL, "read of 1024 bytes was answered with 0 bytes");
    expect(OPEN "read line; echo 3 ok +1023", LONG, EXEC_BROKE_PROTOCOL, "with 1023 bytes");
    expect(OPEN "read line; echo 3 ok +18446744073709551615", LONG, EXEC_BROKE_PROTOCOL, "at most 67108864");
    expect(OPEN "read line; echo 3 error sad", LONG, EXEC_BROKE_PROTOCOL, "\"sad\" is neither an error class");
    expect(OPEN "exec >&-; sleep 1000", LONG, EXEC_BROKE_PROTOCOL, "closed its standard output");
    expect(OPEN "yes", LONG, EXEC_BROKE_PROTOCOL, "\"y\"");
    expect(OPEN "cat /dev/zero", LONG, EXEC_BROKE_PROTOCOL, "longer than 1024 bytes");
    expect(OPEN "read line; yes '3 ok +0'", LONG, EXEC_BROKE_PROTOCOL, "with 0 bytes");
}

/* A flood after the answer is one too, at the next request if not before. */
static void flood_behind_an_answer(void **state)
{
    unsigned descriptors = count_descriptors();
    (void)state;
    struct adapter *adapter = adapter_make_exec(OPEN "read line; echo 3 ok; exec yes 3 ok", NULL, LONG);
    char why[2048];
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
    adapter_perform(adapter, OPERATION_ZERO, 0, 1, NULL);
    assert_int_equal(adapter_perform(adapter, OPERATION_ZERO, 0, 1, NULL), ADDCOW_IO);
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), EXEC_BROKE_PROTOCOL);
    assert_non_null(strstr(why, "the tag 3, which is not in flight"));
    destroy(adapter, descriptors);
}

/* A request that is larger than a pipe: what the child does before it has read it all. */
static void expect_write(const char *script, enum exec_state wanted, const char *text)
{
    unsigned descriptors = count_descriptors();
    struct adapter *adapter = adapter_make_exec(script, NULL, SHORT);
    char why[2048] = "";
    void *data = report_allocate(1, 1u << 20);
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
    enum addcow_status code = adapter_write(adapter, 0, 1u << 20, data, NULL);
    assert_int_equal(code, wanted == EXEC_OK ? ADDCOW_OK : ADDCOW_IO);
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), wanted);
    assert_non_null(strstr(why, text));
    free(data);
    destroy(adapter, descriptors);
}

static void requests_larger_than_a_pipe(void **state)
{
    (void)state;
    expect_write(OPEN "read line; head -c 1048576 >/dev/null; echo 3 ok; read line", EXEC_OK, "");
    expect_write(OPEN "exec sleep 1000", EXEC_HUNG, "did not answer write");
    expect_write(OPEN "read line; echo 3 ok; exec sleep 1000", EXEC_BROKE_PROTOCOL, "has not been read yet");
    expect_write(OPEN "exec <&-; exec sleep 1000", EXEC_BROKE_PROTOCOL, "closed its standard input");
    expect_write(OPEN "exit 1", EXEC_ENDED, "exited with status 1");
}

/* An ordinary failure is none of the child. */
static void failures_as_answers(void **state)
{
    unsigned descriptors = count_descriptors();
    (void)state;
    struct adapter *adapter = adapter_make_exec(
        OPEN "read line; printf '3 error nospace ERR-05 +9\\nno\\nspace!'; read line; echo 4 error io; read line", NULL,
        LONG);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    char why[2048];
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, &error), ADDCOW_OK);
    assert_int_equal(adapter_perform(adapter, OPERATION_ZERO, 0, 1, &error), ADDCOW_NOSPACE);
    assert_string_equal(error.clause, "ERR-05");
    assert_string_equal(error.message, "no?space!");
    assert_int_equal(adapter_flush(adapter, &error), ADDCOW_IO);
    assert_string_equal(error.clause, "");
    assert_int_equal(error.errnum, 0);
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), EXEC_OK);
    destroy(adapter, descriptors);
}

/* What is not declared is not asked, and a missing create is a null pointer. */
static void undeclared_operations(void **state)
{
    unsigned descriptors = count_descriptors();
    (void)state;
    struct adapter *adapter = adapter_make_exec(
        "read l; echo 0 ok 1 layouts=r20 operations= granularity=1 concurrency=1 level=reader lacks=; read l", NULL,
        LONG);
    char why[2048];
    assert_null(adapter->ops->create);
    assert_int_equal(adapter_write(adapter, 0, 1, "", NULL), ADDCOW_UNSUPPORTED);
    assert_int_equal(adapter_perform(adapter, OPERATION_COMMIT, 0, 0, NULL), ADDCOW_UNSUPPORTED);
    assert_int_equal(adapter_exec_abilities(adapter)->level, PROTOCOL_READER);
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), EXEC_OK);
    destroy(adapter, descriptors);
}

/* A child killed on purpose is no offence, and another one follows it. */
static void kill_and_open_again(void **state)
{
    unsigned descriptors = count_descriptors();
    (void)state;
    struct adapter *adapter = adapter_make_exec(OPEN "read line; echo 3 ok; exec sleep 1000", NULL, LONG);
    char why[2048];
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
    adapter_exec_kill(adapter);
    adapter_exec_kill(adapter);
    assert_int_equal(adapter_flush(adapter, NULL), ADDCOW_IO);
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), EXEC_OK);
    destroy(adapter, descriptors);
}

/* ---- Several requests in flight ---- */

struct zero_request {
    struct adapter *adapter;
    uint64_t offset;
    enum addcow_status code;
};

static void *zero(void *context)
{
    struct zero_request *request = context;
    request->code = adapter_perform(request->adapter, OPERATION_ZERO, request->offset, 512, NULL);
    return NULL;
}

/* Asks four times at once. The child decides by the offset what the answer is. */
static void ask_at_once(struct adapter *adapter, struct zero_request requests[4])
{
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        requests[i] = (struct zero_request){.adapter = adapter, .offset = i};
        assert_int_equal(pthread_create(&threads[i], NULL, zero, &requests[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* All four are in flight before the first is answered, the answers come in the opposite order, and each finds its
 * request. */
static void answers_out_of_order(void **state)
{
    unsigned descriptors = count_descriptors();
    struct zero_request requests[4];
    (void)state;
    struct adapter *adapter = adapter_make_exec(
        OPEN
        "for i in 1 2 3 4; do read tag operation offset length; answers=\"$tag $offset $answers\"; done; "
        "set -- $answers; while [ $# -gt 0 ]; do [ $2 -lt 2 ] && echo $1 ok || echo $1 error range; shift 2; "
        "done; read line",
        NULL, LONG);
    char why[2048];
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
    ask_at_once(adapter, requests);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(requests[i].code, i < 2 ? ADDCOW_OK : ADDCOW_RANGE);
    }
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), EXEC_OK);
    destroy(adapter, descriptors);
}

/* A child that accepts one request at a time gets the next one only after it has answered. */
static void one_at_a_time(void **state)
{
    unsigned descriptors = count_descriptors();
    struct zero_request requests[4];
    (void)state;
    struct adapter *adapter = adapter_make_exec(
        "python3 -c 'if True:\n"
        "    import os, select\n"
        "    def request(): return os.read(0, 4096).split()[0].decode()\n"
        "    def answer(*words): os.write(1, (\" \".join(words) + \"\\n\").encode())\n"
        "    answer(request(), \"ok 1 " ABILITIES("1") "\")\n"
        "    answer(request(), \"ok\")\n"
        "    answer(request(), \"ok 1048576\")\n"
        "    for i in range(4):\n"
        "        tag = request()\n"
        "        early = select.select([0], [], [], 0.1)[0]\n"
        "        answer(tag, \"error io\" if early else \"ok\")\n"
        "    request()'",
        NULL, LONG);
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
    ask_at_once(adapter, requests);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(requests[i].code, ADDCOW_OK);
    }
    destroy(adapter, descriptors);
}

/* When the child has failed, all waiting requests fail. */
static void crash_with_several_in_flight(void **state)
{
    unsigned descriptors = count_descriptors();
    struct zero_request requests[4];
    (void)state;
    struct adapter *adapter = adapter_make_exec(OPEN "read line; read line; exit 5", NULL, LONG);
    char why[2048];
    assert_int_equal(adapter->ops->open(adapter, PATH, ADDCOW_OPEN_READWRITE, NULL), ADDCOW_OK);
    ask_at_once(adapter, requests);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(requests[i].code, ADDCOW_IO);
    }
    assert_int_equal(adapter_exec_state(adapter, why, sizeof why), EXEC_ENDED);
    destroy(adapter, descriptors);
}

/* Whether there is such a process that is not about to go away. */
static bool is_running(pid_t process)
{
    char path[64];
    char status[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    bool there = fgets(status, sizeof status, file) != NULL;
    fclose(file);
    return there && strstr(status, ") Z ") == NULL && strstr(status, ") X ") == NULL;
}

/* Starts a child that itself starts one in the background by `start`, and returns the number of that. */
static pid_t find_grandchild(const char *start, struct adapter **adapter)
{
    char name[] = "/tmp/test-protocol.XXXXXX";
    char script[512];
    char text[32] = "";
    int descriptor = mkstemp(name);
    assert_true(descriptor >= 0);
    snprintf(script, sizeof script, HELLO "%s & echo $! >%s; read line", start, name);
    *adapter = adapter_make_exec(script, NULL, LONG);
    while (strchr(text, '\n') == NULL) {
        assert_true(pread(descriptor, text, sizeof text - 1, 0) >= 0);
    }
    close(descriptor);
    unlink(name);
    return (pid_t)strtol(text, NULL, 10);
}

/* Every Linux since 3.4 has it, but not every program that emulates one: qemu-user does not. */
static void need_subreaper(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 0) != 0) {
        skip();
    }
}

/* What a child started has gone when the child has: also those that ignore signals or have left the process group. */
static void grandchildren_are_killed(void **state)
{
    static const char *const starts[] = {"sleep 1000", "(trap '' TERM INT HUP; sleep 1000; sleep 1000)",
                                         "setsid sleep 1000"};
    (void)state;
    need_subreaper();
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        unsigned descriptors = count_descriptors();
        struct adapter *adapter;
        pid_t grandchild = find_grandchild(starts[i], &adapter);
        assert_true(is_running(grandchild));
        destroy(adapter, descriptors);
        assert_false(is_running(grandchild));
    }
}

/* What a child started goes too when this process is killed and can do nothing about it. */
static void grandchildren_of_a_killed_process_are_killed(void **state)
{
    int ends[2];
    pid_t grandchild = 0;
    (void)state;
    need_subreaper();
    assert_int_equal(pipe(ends), 0);
    pid_t process = fork();
    if (process == 0) {
        struct adapter *adapter;
        grandchild = find_grandchild("setsid sleep 1000", &adapter);
        if (write(ends[1], &grandchild, sizeof grandchild) == (ssize_t)sizeof grandchild) {
            pause();
        }
        _exit(1);
    }
    assert_int_equal(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
    assert_int_equal(kill(process, SIGKILL), 0);
    assert_int_equal(waitpid(process, NULL, 0), process);
    close(ends[0]);
    close(ends[1]);
    uint64_t start = clock_nanoseconds();
    while (is_running(grandchild) && clock_seconds_since(start) < 20) {
        usleep(1000);
    }
    assert_true(clock_seconds_since(start) < 20);
}

/* Floods of every kind together do not make the process grow. */
static void bounded_memory(void **state)
{
    struct rusage before, after;
    (void)state;
    getrusage(RUSAGE_SELF, &before);
    expect(OPEN "cat /dev/zero >&2 & exec cat /dev/zero", LONG, EXEC_BROKE_PROTOCOL, "longer than 1024 bytes");
    expect(OPEN "cat /dev/zero >&2 & sleep 1000", SHORT, EXEC_HUNG, "read");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_that_do_not_start),
        cmocka_unit_test(children_that_end),
        cmocka_unit_test(children_that_hang),
        cmocka_unit_test(children_that_break_the_protocol),
        cmocka_unit_test(flood_behind_an_answer),
        cmocka_unit_test(requests_larger_than_a_pipe),
        cmocka_unit_test(failures_as_answers),
        cmocka_unit_test(undeclared_operations),
        cmocka_unit_test(kill_and_open_again),
        cmocka_unit_test(answers_out_of_order),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(crash_with_several_in_flight),
        cmocka_unit_test(grandchildren_are_killed),
        cmocka_unit_test(grandchildren_of_a_killed_process_are_killed),
        cmocka_unit_test(bounded_memory),
    };
    return cmocka_run_group_tests_name("exec adapter", tests, NULL, NULL);
}
