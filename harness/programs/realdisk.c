/*
 * realdisk: turns one real file system image into another one through an add-cow disk, with concurrent operations.
 *
 * The directory holds two images of equal length: backing.raw, a file system, and target.raw, another one. Over
 * backing.raw an add-cow disk is created. Threads write the blocks in which target.raw differs, in random order; others
 * read at random and compare the data with the allowed contents; after a quarter of the blocks a stream begins. Then
 * the disk is flushed and closed, the backing file and the metadata file are deleted, and the raw image alone must
 * equal target.raw byte for byte, and e2fsck must find it clean.
 *
 * A reader knows of each block whether it was not yet written, was being written, or was written. It asks before and
 * after its read: written before means new, not yet written after means old, and anything else allows both, byte by
 * byte, because the page cache promises no more for a sector that is read while it is written. No reader may see
 * anything else, such as the hole that the image had there (CON-04).
 *
 * The run is a child process, so that a crash or a hang of the implementation is a verdict.
 */
#include "adapters/adapter.h"
#include "base/options.h"
#include "base/random.h"
#include "base/report.h"
#include "adapters/perform.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u         /* bytes; what the writers write */
#define READ_BLOCKS_MAX 32u /* the longest read */
#define THREADS_MAX 64u     /* writers; there are a quarter as many readers */
#define CLUSTER_BITS 16u    /* so that most writes fill a part of a cluster and copy the rest */
#define TIMEOUT_MAX 86400u  /* seconds */
#define WATCH_NANOSECONDS 50000000

struct options {
    const char *implementation;
    const char *directory;
    uint64_t threads;
    uint64_t timeout; /* seconds */
    uint64_t seed;
    bool no_fsck;
};

enum block_state { BLOCK_OLD, BLOCK_BEING_WRITTEN, BLOCK_NEW };
enum stream_state { STREAM_WAITING, STREAM_RUNNING, STREAM_DONE };

/* One run. What is not atomic is set before the threads start. */
struct carry {
    struct adapter *adapter;
    const uint8_t *old_bytes; /* backing.raw, mapped */
    const uint8_t *new_bytes; /* target.raw, mapped */
    uint64_t size;            /* of both, a multiple of BLOCK */
    uint64_t seed;
    uint32_t *order; /* the blocks that differ, shuffled */
    size_t count;
    _Atomic uint8_t *states; /* enum block_state of every block */
    atomic_size_t next;      /* into order: the next block to be written */
    atomic_size_t written;
    atomic_size_t reads;
    atomic_uint readers; /* threads that have started */
    atomic_int stream;
    atomic_bool stop;      /* readers end */
    atomic_int code;       /* the first verdict other than REPORT_CONFORMS */
    pthread_mutex_t voice; /* protects standard output */
};

/* Records and prints the first thing that is wrong; whoever comes later says nothing. */
static void fail(struct carry *carry, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail(struct carry *carry, int code, const char *format, ...)
{
    int none = REPORT_CONFORMS;
    if (!atomic_compare_exchange_strong(&carry->code, &none, code)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&carry->voice);
    fputs("real disk: ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&carry->voice);
    va_end(arguments);
}

/* An error of the implementation: a full disk is the machine's fault, anything else its own. */
static void fail_request(struct carry *carry, const char *request, enum addcow_status outcome,
                         const struct addcow_error *error)
{
    int code = outcome == ADDCOW_NOSPACE ? REPORT_INCOMPLETE : REPORT_DIFFERS;
    fail(carry, code, "%s failed: %s: %s", request, addcow_status_name(outcome), error->message);
}

static bool failed(struct carry *carry)
{
    return atomic_load(&carry->code) != REPORT_CONFORMS;
}

/* ---- Threads ---- */

static void *write_blocks(void *context)
{
    struct carry *carry = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (size_t i; !failed(carry) && (i = atomic_fetch_add(&carry->next, 1)) < carry->count;) {
        uint32_t block = carry->order[i];
        uint64_t offset = (uint64_t)block * BLOCK;
        atomic_store(&carry->states[block], BLOCK_BEING_WRITTEN);
        enum addcow_status outcome = adapter_write(carry->adapter, offset, BLOCK, carry->new_bytes + offset, &error);
        if (outcome) {
            fail_request(carry, "a write", outcome, &error);
            break;
        }
        atomic_store(&carry->states[block], BLOCK_NEW);
        atomic_fetch_add(&carry->written, 1);
    }
    return NULL;
}

/* Whether each byte is the old or the new one. */
static bool is_mixture(const uint8_t *found, const uint8_t *old_bytes, const uint8_t *new_bytes)
{
    for (size_t i = 0; i < BLOCK; i++) {
        if (found[i] != old_bytes[i] && found[i] != new_bytes[i]) {
            return false;
        }
    }
    return true;
}

static bool check_block(struct carry *carry, uint64_t block, uint8_t before, uint8_t after, const uint8_t *found)
{
    const uint8_t *old_bytes = carry->old_bytes + block * BLOCK;
    const uint8_t *new_bytes = carry->new_bytes + block * BLOCK;
    const uint8_t *expected = before == BLOCK_NEW ? new_bytes : after == BLOCK_OLD ? old_bytes : NULL;
    if (expected ? !memcmp(found, expected, BLOCK) : is_mixture(found, old_bytes, new_bytes)) {
        return true;
    }
    const char *what = !expected               ? "is neither old nor new while it is being written (CON-04)"
                       : expected == new_bytes ? "is not what was written before the read began (CON-02)"
                                               : "is not what it was before the disk was written (WR-01)";
    if (!failed(carry)) {
        fail(carry, REPORT_DIFFERS, "the block at byte %" PRIu64 " %s", block * BLOCK, what);
        pthread_mutex_lock(&carry->voice);
        report_hex_window(stdout, block * BLOCK, expected ? expected : new_bytes, found, BLOCK);
        pthread_mutex_unlock(&carry->voice);
    }
    return false;
}

static void *read_blocks(void *context)
{
    struct carry *carry = context;
    struct random random = {carry->seed + 1 + atomic_fetch_add(&carry->readers, 1)};
    uint8_t *buffer = report_allocate(READ_BLOCKS_MAX, BLOCK);
    uint64_t blocks = carry->size / BLOCK;
    while (!atomic_load(&carry->stop) && !failed(carry)) {
        uint64_t first = random_below(&random, blocks);
        uint64_t count = random_between(&random, 1, READ_BLOCKS_MAX);
        count = count < blocks - first ? count : blocks - first;
        uint8_t before[READ_BLOCKS_MAX];
        for (uint64_t i = 0; i < count; i++) {
            before[i] = atomic_load(&carry->states[first + i]);
        }
        struct addcow_error error = ADDCOW_ERROR_INIT;
        enum addcow_status outcome = adapter_read(carry->adapter, first * BLOCK, count * BLOCK, buffer, &error);
        if (outcome) {
            fail_request(carry, "a read", outcome, &error);
            break;
        }
        for (uint64_t i = 0; i < count; i++) {
            if (!check_block(carry, first + i, before[i], atomic_load(&carry->states[first + i]), buffer + i * BLOCK)) {
                break;
            }
        }
        atomic_fetch_add(&carry->reads, 1);
    }
    free(buffer);
    return NULL;
}

static void *run_stream(void *context)
{
    struct carry *carry = context;
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!failed(carry) && atomic_load(&carry->written) < carry->count / 4) {
        nanosleep(&pause, NULL);
    }
    atomic_store(&carry->stream, STREAM_RUNNING);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status outcome = adapter_perform(carry->adapter, OPERATION_STREAM, 0, 0, &error);
    if (outcome) {
        fail_request(carry, "the stream", outcome, &error);
    }
    atomic_store(&carry->stream, STREAM_DONE);
    return NULL;
}

/* Shows how far it is until the last block is written and the stream done: on a terminal as it goes, else by quarters.
 */
static void watch(struct carry *carry)
{
    static const char *const streams[] = {"waiting", "running", "done"};
    const struct timespec pause = {.tv_nsec = WATCH_NANOSECONDS};
    size_t shown = 0;
    for (;;) {
        size_t written = atomic_load(&carry->written);
        int stream = atomic_load(&carry->stream);
        report_progress("real disk: %zu of %zu blocks written, %zu reads checked, stream %s", written, carry->count,
                        atomic_load(&carry->reads), streams[stream]);
        if (!report_on_terminal() && written * 4 / carry->count > shown) {
            shown = written * 4 / carry->count;
            fprintf(stderr, "real disk: %zu %% of %zu blocks written\n", shown * 25, carry->count);
        }
        if (failed(carry) || (written == carry->count && stream == STREAM_DONE)) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    report_progress(NULL);
}

static void start(pthread_t *thread, void *(*body)(void *), struct carry *carry)
{
    if (pthread_create(thread, NULL, body, carry)) {
        report_fatal("cannot start a thread");
    }
}

static void run_threads(struct carry *carry, unsigned writers)
{
    pthread_t threads[THREADS_MAX];
    pthread_t readers[THREADS_MAX / 4 + 1];
    pthread_t stream;
    unsigned reader_count = writers / 4 + 1;
    for (unsigned i = 0; i < reader_count; i++) {
        start(&readers[i], read_blocks, carry);
    }
    for (unsigned i = 0; i < writers; i++) {
        start(&threads[i], write_blocks, carry);
    }
    start(&stream, run_stream, carry);
    watch(carry);
    for (unsigned i = 0; i < writers; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_join(stream, NULL);
    atomic_store(&carry->stop, true);
    for (unsigned i = 0; i < reader_count; i++) {
        pthread_join(readers[i], NULL);
    }
}

/* ---- Before and after ---- */

/* Maps a file of the current directory; null and a message if that cannot be. */
static const uint8_t *map_file(const char *name, uint64_t *size)
{
    struct stat status;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    void *bytes = MAP_FAILED;
    if (file >= 0 && fstat(file, &status) == 0) {
        *size = (uint64_t)status.st_size;
        errno = ENOMEM;
        bytes = *size <= SIZE_MAX ? mmap(NULL, (size_t)*size, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    }
    if (bytes == MAP_FAILED) {
        fprintf(stderr, "realdisk: %s: %s\n", name, strerror(errno));
    }
    if (file >= 0) {
        close(file);
    }
    return bytes == MAP_FAILED ? NULL : bytes;
}

/* A fingerprint of a file's bytes, to see that they stay as they are. */
static uint64_t fingerprint(const uint8_t *bytes, uint64_t size)
{
    uint64_t sum = size;
    for (uint64_t i = 0; i < size; i += sizeof sum) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        sum = random_hash(sum ^ word);
    }
    return sum;
}

static void shuffle_differences(struct carry *carry)
{
    uint64_t blocks = carry->size / BLOCK;
    carry->order = report_allocate(blocks, sizeof *carry->order);
    carry->states = report_allocate(blocks, sizeof *carry->states);
    for (uint64_t i = 0; i < blocks; i++) {
        if (memcmp(carry->old_bytes + i * BLOCK, carry->new_bytes + i * BLOCK, BLOCK)) {
            carry->order[carry->count++] = (uint32_t)i;
        }
    }
    struct random random = {carry->seed};
    for (size_t i = carry->count; i > 1; i--) {
        size_t other = (size_t)random_below(&random, i);
        uint32_t block = carry->order[i - 1];
        carry->order[i - 1] = carry->order[other];
        carry->order[other] = block;
    }
}

/* False if the input is not as it must be. */
static bool load_images(struct carry *carry)
{
    uint64_t new_size;
    carry->old_bytes = map_file("backing.raw", &carry->size);
    carry->new_bytes = carry->old_bytes ? map_file("target.raw", &new_size) : NULL;
    if (!carry->new_bytes) {
        return false;
    }
    if (carry->size != new_size || carry->size % BLOCK || carry->size / BLOCK > UINT32_MAX) {
        fprintf(stderr, "realdisk: backing.raw and target.raw must be of one length, a multiple of %u\n", BLOCK);
        return false;
    }
    shuffle_differences(carry);
    if (carry->count < 4) {
        fprintf(stderr, "realdisk: backing.raw and target.raw hardly differ\n");
    }
    return carry->count >= 4;
}

static bool create_disk(struct carry *carry)
{
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = CLUSTER_BITS,
                                                  .image_name = "image.raw",
                                                  .backing_name = "backing.raw",
                                                  .backing_format = "raw",
                                                  .make_image = true,
                                                  .image_size = carry->size};
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status outcome = addcow_create("disk.addcow", &options, NULL, &error);
    if (!outcome) {
        outcome = carry->adapter->ops->open(carry->adapter, "disk.addcow", ADDCOW_OPEN_READWRITE, &error);
    }
    if (outcome) {
        fail_request(carry, "creating and opening the disk", outcome, &error);
    }
    return !outcome;
}

static bool close_disk(struct carry *carry)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status outcome = adapter_flush(carry->adapter, &error);
    if (outcome) {
        fail_request(carry, "the flush", outcome, &error);
    }
    outcome = carry->adapter->ops->close(carry->adapter, &error);
    if (outcome) {
        fail_request(carry, "closing", outcome, &error);
    }
    return !failed(carry);
}

/* The raw image, alone, is the target (STR-02). */
static void check_image(struct carry *carry)
{
    uint64_t size;
    const uint8_t *image = map_file("image.raw", &size);
    if (!image || size != carry->size) {
        fail(carry, REPORT_DIFFERS, "the image does not have the disk's %" PRIu64 " bytes", carry->size);
        return;
    }
    size_t same = report_first_difference(carry->new_bytes, image, (size_t)size);
    if (same < size) {
        size_t block = same / BLOCK * BLOCK;
        fail(carry, REPORT_DIFFERS, "the image differs from the target at byte %zu (STR-02)", same);
        report_hex_window(stdout, block, carry->new_bytes + block, image + block, BLOCK);
    }
}

static void check_file_system(struct carry *carry)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = open("e2fsck.log", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        execlp("e2fsck", "e2fsck", "-fn", "image.raw", (char *)NULL);
        _exit(127);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127) {
        fail(carry, REPORT_INCOMPLETE, "e2fsck could not be run");
    } else if (WEXITSTATUS(status)) {
        fail(carry, REPORT_DIFFERS, "e2fsck -fn finds the file system damaged (status %d; see e2fsck.log)",
             WEXITSTATUS(status));
    }
}

static void carry_over(struct carry *carry, const struct options *options)
{
    uint64_t before = fingerprint(carry->old_bytes, carry->size);
    if (!create_disk(carry)) {
        return;
    }
    run_threads(carry, (unsigned)options->threads);
    if (!close_disk(carry) || failed(carry)) {
        return;
    }
    if (fingerprint(carry->old_bytes, carry->size) != before) {
        fail(carry, REPORT_DIFFERS, "the backing file was changed (WR-05)");
        return;
    }
    if (unlink("backing.raw") || unlink("disk.addcow")) {
        fail(carry, REPORT_INCOMPLETE, "cannot remove backing.raw and disk.addcow: %s", strerror(errno));
        return;
    }
    check_image(carry);
    if (!options->no_fsck && !failed(carry)) {
        check_file_system(carry);
    }
}

static void free_tables(struct carry *carry)
{
    free(carry->order);
    free((void *)carry->states);
}

static int run(const struct options *options)
{
    struct carry carry = {.seed = options->seed, .voice = PTHREAD_MUTEX_INITIALIZER};
    if (!load_images(&carry)) {
        free_tables(&carry);
        return REPORT_USAGE;
    }
    carry.adapter = adapter_make(options->implementation, NULL);
    if (!carry.adapter) {
        report_fatal("no memory for an adapter");
    }
    carry_over(&carry, options);
    carry.adapter->ops->destroy(carry.adapter);
    int code = atomic_load(&carry.code);
    if (code == REPORT_CONFORMS) {
        printf("real disk, %s: %" PRIu64 " MiB, %zu of %" PRIu64 " blocks carried by %" PRIu64
               " threads, %zu reads checked, seed %" PRIu64 ": the image alone is the target%s\n",
               options->implementation, carry.size >> 20, carry.count, carry.size / BLOCK, options->threads,
               atomic_load(&carry.reads), options->seed, options->no_fsck ? "" : ", e2fsck finds it clean");
    }
    free_tables(&carry);
    return code;
}

/* ---- The parent ---- */

static pid_t child_process;

/* A signal to the parent is one to the child, which must not live on alone. */
static void on_signal(int number)
{
    kill(child_process, SIGKILL);
    signal(number, SIG_DFL);
    raise(number);
}

/* Runs the carry in a child and watches it. */
static int supervise(const struct options *options)
{
    fflush(NULL);
    child_process = fork();
    if (child_process == 0) {
        exit(run(options));
    }
    if (child_process < 0) {
        report_fatal("no process: %s", strerror(errno));
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    const struct timespec pause = {.tv_nsec = WATCH_NANOSECONDS};
    uint64_t left = options->timeout * 1000000000 / WATCH_NANOSECONDS;
    int status = 0;
    while (waitpid(child_process, &status, WNOHANG) == 0) {
        if (left-- == 0) {
            kill(child_process, SIGKILL);
            waitpid(child_process, &status, 0);
            report_progress(NULL);
            printf("real disk: the implementation hangs: not done after %" PRIu64 " seconds (CON-12)\n",
                   options->timeout);
            return REPORT_CRASHED;
        }
        nanosleep(&pause, NULL);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) <= REPORT_INCOMPLETE && WEXITSTATUS(status) != REPORT_CRASHED) {
        return WEXITSTATUS(status);
    }
    report_progress(NULL);
    if (WIFSIGNALED(status)) {
        printf("real disk: the implementation crashed: %s\n", strsignal(WTERMSIG(status)));
    } else {
        printf("real disk: the implementation ended the process with status %d\n", WEXITSTATUS(status));
    }
    return REPORT_CRASHED;
}

static void parse_options(int count, char **words, struct options *options)
{
    const struct option_row rows[] = {
        {"impl", "NAME", "what is judged: ref or fast", .text = &options->implementation},
        {"threads", "N", "writers", .number = &options->threads, .least = 1, .greatest = THREADS_MAX},
        {"seed", "N", "of the random order", .number = &options->seed, .greatest = UINT64_MAX},
        {"timeout", "SECONDS", "until the implementation is taken to hang", .number = &options->timeout, .least = 1,
         .greatest = TIMEOUT_MAX, .unit = "seconds"},
        {"no-fsck", NULL, "the images hold no file system", .flag = &options->no_fsck},
    };
    const struct options_command command = {
        .program = "realdisk",
        .call = "realdisk",
        .synopsis = "--impl NAME [OPTION]... DIRECTORY",
        .purpose =
            "Carries the disk DIRECTORY/backing.raw to DIRECTORY/target.raw through an add-cow disk, under "
            "concurrent writes, reads and a stream, and compares the image that is left. Removes backing.raw "
            "and leaves image.raw.",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .notes =
            "Exit status: 0 conforms; 1 does not; 2 wrong usage; 3 crashed or hung; 4 could not be run to the "
            "end.\n",
    };
    int first = options_parse(&command, count, words, NULL);
    if (first + 1 > count || !options->implementation) {
        options_refuse(&command, "--impl NAME and one directory are needed");
    }
    options_refuse_operands(&command, count, words, first + 1);
    struct adapter *adapter = adapter_make(options->implementation, NULL);
    if (!adapter) {
        options_refuse(&command, "--impl: '%s' is none of: %s", options->implementation, adapter_names());
    }
    adapter->ops->destroy(adapter);
    options->directory = words[first];
    if (chdir(options->directory)) {
        options_refuse(&command, "%s: %s", options->directory, strerror(errno));
    }
}

int main(int argc, char **argv)
{
    struct options options = {.threads = 8, .timeout = 200, .seed = 1};
    parse_options(argc, argv, &options);
    return supervise(&options);
}
