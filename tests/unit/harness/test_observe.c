/*
 * The observer: its record explains every change of the files, whoever made it and by which call.
 *
 * This program starts itself once more, under the observer, as a program with threads and children that changes files
 * in every way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/scratch.h"
#include "observe/record.h"
#include "observe/replay.h"
#include "observe/tracer.h"
#include "observe/watch.h"

#define LENGTH 8192u
#define THREADS 4u
#define ROUNDS 25u

/* ---- What is observed ---- */

static void must(bool good)
{
    if (!good) {
        _exit(99);
    }
}

static void fill(char *buffer, size_t length, char value)
{
    memset(buffer, value, length);
}

static void *write_often(void *context)
{
    char buffer[700];
    unsigned number = *(unsigned *)context;
    int file = open("many", O_RDWR);
    for (unsigned i = 0; i < ROUNDS; i++) {
        fill(buffer, sizeof buffer, (char)(number * ROUNDS + i));
        must(pwrite(file, buffer, sizeof buffer, (off_t)((number + i) % 5) * 500) == (ssize_t)sizeof buffer);
    }
    close(file);
    return NULL;
}

static void act_many(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    pid_t child = fork();
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = child == 0 ? i + THREADS : i;
        must(pthread_create(&threads[i], NULL, write_often, &numbers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    int status = 0;
    must(child == 0 || (waitpid(child, &status, 0) == child && status == 0));
}

static void act_bytes(void)
{
    char buffer[3000];
    int file = open("a", O_RDWR);
    int other = open("b", O_RDWR | O_APPEND);
    fill(buffer, sizeof buffer, 'x');
    struct iovec parts[] = {{buffer, 100}, {buffer, 1000}};
    must(write(file, buffer, 700) == 700 && writev(file, parts, 2) == 1100);
    fill(buffer, sizeof buffer, 'y');
    must(pwrite(file, buffer, 600, 5000) == 600 && pwritev(file, parts, 2, 3000) == 1100);
    must(write(other, buffer, 333) == 333 && pwritev(other, parts, 2, 0) == 1100); /* both append */
    off_t from = 0, to = 512;
    ssize_t copied = copy_file_range(file, &from, other, &to, 2000, 0); /* refused: the file appends */
    int third = open("c", O_RDWR);
    copied = copied < 0 ? copy_file_range(file, &from, third, &to, 2000, 0) : copied;
    must(copied == 2000 || errno == EXDEV || errno == EOPNOTSUPP);
    must(ftruncate(third, 6000) == 0 && fallocate(third, 0, 0, 7000) == 0);
    int punched = fallocate(third, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 600, 4096);
    must(punched == 0 || errno == EOPNOTSUPP);
    must(truncate("b", 5000) == 0);
    must(fsync(file) == 0 && fdatasync(third) == 0);
    int durable = open("c", O_WRONLY | O_DSYNC);
    must(pwrite(durable, buffer, 512, 1024) == 512);
    must(write(STDERR_FILENO, "", 0) == 0); /* no file of the directory */
}

static void act_names(void)
{
    int file = open("new", O_RDWR | O_CREAT | O_EXCL, 0600);
    must(write(file, "12345", 5) == 5 && rename("new", "b") == 0);
    must(link("a", "alias") == 0 && unlink("c") == 0);
    must(close(open("many", O_WRONLY | O_TRUNC)) == 0);
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    must(fsync(directory) == 0);
}

static void act_mapping(void)
{
    int file = open("a", O_RDWR);
    char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    must(memory != MAP_FAILED);
    memory[17] = 'm';
}

/* Says which calls failed, and with what. */
static void act_faulty(void)
{
    int file = open("a", O_RDWR);
    char byte = 'f';
    for (unsigned i = 0; i < 6; i++) {
        ssize_t count = pwrite(file, &byte, 1, i);
        if (count < 0) {
            int log = open("../log", O_WRONLY | O_CREAT | O_APPEND, 0600);
            must(dprintf(log, "%u:%d ", i, errno) > 0);
            close(log);
        }
    }
}

static int act(const char *what)
{
    static const struct {
        const char *name;
        void (*act)(void);
    } acts[] = {{"many", act_many},
                {"bytes", act_bytes},
                {"names", act_names},
                {"mapping", act_mapping},
                {"faulty", act_faulty}};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (strcmp(acts[i].name, what) == 0) {
            acts[i].act();
            return 0;
        }
    }
    return 98;
}

/* ---- Observing ---- */

struct place {
    char root[SCRATCH_PATH_BYTES];
    char directory[SCRATCH_PATH_BYTES + 16];
    char watch_path[SCRATCH_PATH_BYTES + 16];
    char program[4096];
    struct watch *watch;
    struct sim *sim;
    struct record_list list;
};

static void make_file(struct place *place, const char *name, char value)
{
    char path[SCRATCH_PATH_BYTES + 64], bytes[LENGTH];
    fill(bytes, sizeof bytes, value);
    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(file, bytes, sizeof bytes), sizeof bytes);
    close(file);
    sim_put(place->sim, name, (const uint8_t *)bytes, sizeof bytes);
}

static void set_up(struct place *place)
{
    char wanted[SCRATCH_PATH_BYTES];
    assert_true(scratch_make(scratch_large_parent(), "observe", wanted));
    assert_non_null(realpath(wanted, place->root));
    snprintf(place->directory, sizeof place->directory, "%s/d", place->root);
    snprintf(place->watch_path, sizeof place->watch_path, "%s/watch", place->root);
    assert_int_equal(mkdir(place->directory, 0700), 0);
    place->watch = watch_map(place->watch_path, true);
    assert_non_null(place->watch);
    assert_true(readlink("/proc/self/exe", place->program, sizeof place->program - 1) > 0);
    memcpy(place->watch->directory, place->directory, strlen(place->directory) + 1);
    assert_true(strlen(place->root) < 200);
    snprintf(place->watch->record, sizeof place->watch->record, "%.200s/record", place->root);
    place->sim = sim_make();
    make_file(place, "a", '1');
    make_file(place, "b", '2');
    make_file(place, "c", '3');
    make_file(place, "many", '4');
    sim_keep(place->sim);
}

static void tear_down(struct place *place)
{
    watch_unmap(place->watch);
    records_free(&place->list);
    sim_free(place->sim);
    scratch_remove(place->root);
}

/* Runs this program under the observer. The result is as of waitpid. */
static int observe(struct place *place, const char *what)
{
    char command[9000];
    int status = 0;
    /* A leak checker cannot run where another tracer is. */
    snprintf(command, sizeof command, "cd '%s' && ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 '%s' %s", place->directory,
             place->program, what);
    pid_t process = fork();
    if (process == 0) {
        _exit(tracer_run(place->watch_path, command));
    }
    assert_int_equal(waitpid(process, &status, 0), process);
    if (atomic_load(&place->watch->state) == WATCH_IMPOSSIBLE) {
        print_message("programs cannot be observed here: %s\n", place->watch->why);
        tear_down(place);
        skip();
    }
    assert_true(records_load(place->watch->record, &place->list));
    return status;
}

static unsigned count_records(const struct place *place, enum record_kind kind)
{
    unsigned count = 0;
    for (size_t i = 0; i < place->list.count; i++) {
        count += place->list.items[i].kind == kind;
    }
    return count;
}

/* The record must lead from the files at the start to those at the end. */
static void expect_explained(struct place *place)
{
    char why[512] = "";
    uint64_t *moments = calloc(place->list.count + 1, sizeof *moments);
    bool good = replay_records(&place->list, place->sim, moments, why, sizeof why) &&
                replay_agrees(place->sim, place->directory, why, sizeof why);
    if (!good) {
        for (size_t i = 0; i < place->list.count; i++) {
            record_print(stderr, &place->list.items[i]);
            fputc('\n', stderr);
        }
        fail_msg("%s", why);
    }
    free(moments);
    assert_int_equal(atomic_load(&place->watch->unseen), 0);
}

static void every_thread_and_child_is_seen(void **state)
{
    struct place place = {.watch = NULL};
    (void)state;
    set_up(&place);
    assert_int_equal(observe(&place, "many"), 0);
    assert_int_equal(count_records(&place, RECORD_WRITE), 2 * THREADS * ROUNDS);
    expect_explained(&place);
    tear_down(&place);
}

static void every_kind_of_write_is_seen(void **state)
{
    struct place place = {.watch = NULL};
    (void)state;
    set_up(&place);
    assert_int_equal(observe(&place, "bytes"), 0);
    assert_true(count_records(&place, RECORD_WRITE) >= 8);
    assert_int_equal(count_records(&place, RECORD_SYNC), 3);
    const struct record *last = &place.list.items[place.list.count - 1]; /* only the range of the write is synced */
    assert_true(last->kind == RECORD_SYNC && last->offset == 1024 && last->length == 512);
    expect_explained(&place);
    tear_down(&place);
}

static void names_are_seen(void **state)
{
    struct place place = {.watch = NULL};
    (void)state;
    set_up(&place);
    assert_int_equal(observe(&place, "names"), 0);
    assert_int_equal(count_records(&place, RECORD_CREATE), 1);
    assert_int_equal(count_records(&place, RECORD_RENAME), 1);
    assert_int_equal(count_records(&place, RECORD_LINK), 1);
    assert_int_equal(count_records(&place, RECORD_REMOVE), 1);
    assert_int_equal(count_records(&place, RECORD_SYNC_NAMES), 1);
    expect_explained(&place);
    tear_down(&place);
}

static void what_cannot_be_seen_is_said(void **state)
{
    struct place place = {.watch = NULL};
    char why[512];
    (void)state;
    set_up(&place);
    assert_int_equal(observe(&place, "mapping"), 0);
    char *text = watch_unseen_text(place.watch);
    assert_string_equal(text, "a file is mapped into memory for writing");
    free(text);
    assert_false(replay_agrees(place.sim, place.directory, why, sizeof why));
    assert_non_null(strstr(why, "a was changed"));
    tear_down(&place);
}

static void read_log(const struct place *place, char *text, size_t size)
{
    char path[SCRATCH_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/log", place->root);
    FILE *file = fopen(path, "r");
    size_t length = file != NULL ? fread(text, 1, size - 1, file) : 0;
    text[length] = '\0';
    if (file != NULL) {
        fclose(file);
    }
}

static void the_nth_call_fails(void **state)
{
    static const struct {
        struct watch_plan plan;
        const char *log;
        int status;
    } rows[] = {
        {{.at = 3, .kinds = 1u << WATCH_WRITE, .action = WATCH_FAIL, .error = ENOSPC}, "2:28 ", 0},
        {{.at = 5, .kinds = 1u << WATCH_WRITE, .action = WATCH_FAIL, .error = EIO, .lasting = true}, "4:5 5:5 ", 0},
        {{.at = 7, .kinds = 1u << WATCH_WRITE, .action = WATCH_FAIL, .error = EIO}, "", 0},
        {{.at = 3, .kinds = 1u << WATCH_WRITE, .action = WATCH_KILL}, "", SIGKILL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct place place = {.watch = NULL};
        char text[128];
        set_up(&place);
        watch_arm(place.watch, &rows[i].plan);
        int status = observe(&place, "faulty");
        assert_int_equal(status, rows[i].status);
        read_log(&place, text, sizeof text);
        assert_string_equal(text, rows[i].log);
        expect_explained(&place);
        if (rows[i].plan.action == WATCH_KILL) {
            assert_int_equal(count_records(&place, RECORD_WRITE), 2); /* the third one was not made */
        }
        tear_down(&place);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return act(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_and_child_is_seen),
        cmocka_unit_test(every_kind_of_write_is_seen),
        cmocka_unit_test(names_are_seen),
        cmocka_unit_test(what_cannot_be_seen_is_said),
        cmocka_unit_test(the_nth_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
