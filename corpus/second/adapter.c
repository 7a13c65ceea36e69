/*
 * The adapter for the gate, as corpus/PROTOCOL.md describes it: each request runs in a thread of its own.
 *
 *     gate --impl exec:build/gcc/second
 */
#include "second.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 16u
#define LINE_BYTES 1026u
#define ABILITIES                                                                                                      \
    "1 layouts=r20,r9 operations=write,zero,discard,map,flush,resize,stream,commit,create granularity=1 "              \
    "concurrency=16 level=durable lacks="

struct request {
    unsigned count;
    char *words[WORDS_MAX]; /* in `line`; null where there is data */
    char *data[WORDS_MAX];  /* with a NUL behind it; null where there is none */
    char line[LINE_BYTES];
};

/* What an answer says after `ok`, and the problem otherwise. */
struct answer {
    char words[256];
    uint8_t *bytes;
    uint64_t length;
    struct problem problem;
};

static pthread_mutex_t answering = PTHREAD_MUTEX_INITIALIZER;
static struct disk *disk; /* changes only while no other request is in flight */

_Noreturn static void give_up(const char *why)
{
    fprintf(stderr, "second: %s\n", why);
    _exit(1);
}

static uint64_t argument(const struct request *request, unsigned index)
{
    return index < request->count && request->words[index] != NULL ? strtoull(request->words[index], NULL, 10) : 0;
}

/* ---- Requests ---- */

static bool do_open(const struct request *request, struct answer *answer)
{
    return disk_open(request->data[3], strcmp(request->words[2], "rw") == 0, NULL, &disk, &answer->problem);
}

static bool do_close(struct answer *answer)
{
    struct disk *open = disk;
    disk = NULL;
    return disk_close(open, &answer->problem);
}

static bool do_read(const struct request *request, struct answer *answer)
{
    uint64_t offset = argument(request, 2), length = argument(request, 3), size = disk_size(disk);
    if (offset <= size && length <= size - offset) {
        answer->bytes = malloc((size_t)length + 1);
        if (answer->bytes == NULL) {
            return fail(&answer->problem, "io", "-", "no memory");
        }
        snprintf(answer->words, sizeof answer->words, " +%" PRIu64, length);
        answer->length = length;
    }
    /* A resize may come before this. Without a buffer, nothing is read. */
    if (answer->bytes == NULL) {
        return fail(&answer->problem, "range", "REQ-01", "the disk has %" PRIu64 " bytes", size);
    }
    return disk_read(disk, offset, length, answer->bytes, &answer->problem);
}

static bool do_map(const struct request *request, struct answer *answer)
{
    bool allocated;
    uint64_t run;
    bool good = disk_map(disk, argument(request, 2), argument(request, 3), &allocated, &run, &answer->problem);
    snprintf(answer->words, sizeof answer->words, " %d %" PRIu64, allocated, run);
    return good;
}

static bool do_create(const struct request *request, struct answer *answer)
{
    struct header header = {.is_r9 = strcmp(request->words[2], "r9") == 0,
                            .cluster_bits = (uint32_t)argument(request, 3)};
    header.image = request->data[5];
    header.backing = request->data[6];
    strcpy(header.image_format, "raw");
    if (header.backing != NULL) {
        if (strlen(request->data[7]) >= 16) {
            return fail(&answer->problem, "unsupported", "LNK-04", "an unknown backing format");
        }
        strcpy(header.backing_format, request->data[7]);
    }
    return disk_create(request->data[4], &header, &answer->problem);
}

/* False without a problem if the operation is unknown. */
static bool perform(const struct request *request, struct answer *answer)
{
    const char *name = request->words[1];
    uint64_t offset = argument(request, 2), length = argument(request, 3);
    struct problem *problem = &answer->problem;
    if (strcmp(name, "read") == 0) {
        return do_read(request, answer);
    }
    if (strcmp(name, "write") == 0) {
        return disk_write(disk, offset, length, (const uint8_t *)request->data[4], problem);
    }
    if (strcmp(name, "zero") == 0) {
        return disk_write(disk, offset, length, NULL, problem);
    }
    if (strcmp(name, "discard") == 0) {
        return disk_discard(disk, offset, length, problem);
    }
    if (strcmp(name, "map") == 0) {
        return do_map(request, answer);
    }
    if (strcmp(name, "flush") == 0) {
        return disk_flush(disk, problem);
    }
    if (strcmp(name, "resize") == 0) {
        return disk_resize(disk, offset, problem);
    }
    if (strcmp(name, "stream") == 0) {
        return disk_stream(disk, problem);
    }
    if (strcmp(name, "commit") == 0) {
        return disk_commit(disk, problem);
    }
    return false;
}

/* The requests that come alone, and the others. */
static bool do_request(const struct request *request, struct answer *answer)
{
    const char *name = request->words[1];
    if (strcmp(name, "hello") == 0) {
        snprintf(answer->words, sizeof answer->words, " %s", ABILITIES);
        return true;
    }
    if (strcmp(name, "open") == 0) {
        return do_open(request, answer);
    }
    if (strcmp(name, "create") == 0) {
        return do_create(request, answer);
    }
    if (strcmp(name, "close") == 0) {
        return do_close(answer);
    }
    if (strcmp(name, "size") == 0) {
        snprintf(answer->words, sizeof answer->words, " %" PRIu64, disk_size(disk));
        return true;
    }
    return perform(request, answer);
}

/* ---- Messages ---- */

static void send_answer(const char *tag, bool good, const struct answer *answer)
{
    const struct problem *problem = &answer->problem;
    pthread_mutex_lock(&answering);
    if (good) {
        printf("%s ok%s\n", tag, answer->words);
        if (answer->length > 0) {
            fwrite(answer->bytes, 1, (size_t)answer->length, stdout);
        }
    } else {
        printf("%s error %s %s +%zu\n%s", tag, problem->kind, problem->clause, strlen(problem->text), problem->text);
    }
    if (fflush(stdout) != 0) {
        _exit(1);
    }
    pthread_mutex_unlock(&answering);
}

static void free_request(struct request *request)
{
    for (unsigned i = 0; i < request->count; i++) {
        free(request->data[i]);
    }
    free(request);
}

static void *handle(void *context)
{
    struct request *request = context;
    struct answer answer = {.problem = {.kind = "unsupported", .clause = "-", .text = "an unknown request"}};
    bool good = do_request(request, &answer);
    send_answer(request->words[0], good, &answer);
    free(answer.bytes);
    free_request(request);
    return NULL;
}

/* The data of a word `+N`. */
static char *receive_data(const char *word)
{
    size_t length = (size_t)strtoull(word + 1, NULL, 10);
    char *data = malloc(length + 1);
    if (data == NULL || fread(data, 1, length, stdin) != length) {
        give_up("no memory, or the input ends within a request");
    }
    data[length] = '\0';
    return data;
}

/* Null at the end of the input. */
static struct request *receive(void)
{
    struct request *request = calloc(1, sizeof *request);
    char *rest = NULL;
    if (request == NULL) {
        give_up("no memory");
    }
    if (fgets(request->line, sizeof request->line, stdin) == NULL) {
        free(request);
        return NULL;
    }
    request->line[strcspn(request->line, "\n")] = '\0';
    for (char *word = strtok_r(request->line, " ", &rest); word != NULL && request->count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        bool is_data = word[0] == '+';
        request->words[request->count] = is_data ? NULL : word;
        request->data[request->count++] = is_data ? receive_data(word) : NULL;
    }
    if (request->count < 2) {
        give_up("a request without an operation");
    }
    return request;
}

int main(void)
{
    struct request *request;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while ((request = receive()) != NULL) {
        if (pthread_create(&thread, &attributes, handle, request) != 0) {
            give_up("no thread");
        }
    }
    pthread_exit(NULL); /* what is in flight is answered */
}
