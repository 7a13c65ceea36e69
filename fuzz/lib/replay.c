/*
 * Replays inputs: `fuzz_TARGET FILE|DIRECTORY...` executes the target once on each file, without a fuzzing engine.
 *
 * So the inputs that fuzzing has found are ordinary regression tests, under any compiler and under valgrind. Standard
 * output gets the number of inputs. A failing input aborts the process as it would in a fuzzer; its name is the last
 * one on standard error.
 */
#include "lib/fuzz.h"

#include <errno.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned long replayed;

static void fail(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    exit(2);
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (!file || !data || fread(data, 1, size, file) != size) {
        fail(path);
    }
    fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    replayed++;
    free(data);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fail(path);
    }
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, is_input, alphasort);
    if (count < 0) {
        fail(path);
    }
    for (int i = 0; i < count; i++) {
        char inner[PATH_MAX];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        replay(inner);
        free(entries[i]);
    }
    free(entries);
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", arguments[0]);
        return 2;
    }
    for (int i = 1; i < count; i++) {
        replay(arguments[i]);
    }
    printf("replayed: %lu inputs\n", replayed);
    return replayed > 0 ? 0 : 4;
}
