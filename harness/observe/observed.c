/*
 * Starts implementations under the observer.
 *
 * The adapter `exec:` starts a shell command, so the observer is one more program in that command. The watch and the
 * record lie beside the directory that is observed, not in it.
 */
#include "observe/observed.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "base/scratch.h"
#include "base/shell_word.h"
#include "workload/disk_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *observed_wrap(const char *observer, const char *watch_path, const char *command)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = shell_command_open(observer, &text, &size);
    fputs(" observe ", out);
    shell_word_print(out, watch_path);
    fputc(' ', out);
    shell_word_print(out, command);
    fclose(out);
    return text;
}

/* root/name. False if that is too long. */
static bool join(char path[WATCH_PATH_BYTES], const char *root, const char *name)
{
    int length = snprintf(path, WATCH_PATH_BYTES, "%s/%s", root, name);
    return length > 0 && length < (int)WATCH_PATH_BYTES;
}

bool observed_make(const struct observed_command *how, struct observed *observed)
{
    char wanted[SCRATCH_PATH_BYTES], real[PATH_MAX];
    *observed = (struct observed){.how = how};
    if (!scratch_make(how->parent, "observed", wanted) || realpath(wanted, real) == NULL) {
        return false;
    }
    snprintf(observed->root, sizeof observed->root, "%s", real);
    if (!join(observed->directory, real, "disk") || !join(observed->watch_path, real, "watch")) {
        errno = ENAMETOOLONG;
        return false;
    }
    return mkdir(observed->directory, 0700) == 0;
}

void observed_free(struct observed *observed)
{
    observed_stop(observed);
    scratch_remove(observed->root);
}

bool observed_has_stray(const struct observed *observed, char name[WATCH_NAME_BYTES])
{
    static const char *const own[] = {".", "..", "disk", "watch", "record"};
    bool found = false;
    DIR *list = opendir(observed->root);
    for (struct dirent *entry; list != NULL && !found && (entry = readdir(list)) != NULL;) {
        found = true;
        for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
            found = found && strcmp(entry->d_name, own[i]) != 0;
        }
        snprintf(name, WATCH_NAME_BYTES, "%.*s", (int)WATCH_NAME_BYTES - 1, entry->d_name);
    }
    if (list != NULL) {
        closedir(list);
    }
    return found;
}

void observed_start(struct observed *observed, const struct observed_manner *manner)
{
    unlink(observed->watch_path);
    observed->watch = watch_map(observed->watch_path, true);
    if (observed->watch == NULL) {
        report_fatal("%s: %s", observed->watch_path, strerror(errno));
    }
    struct watch *watch = observed->watch;
    snprintf(watch->directory, sizeof watch->directory, "%s", observed->directory);
    if (manner->records && !join(watch->record, observed->root, "record")) {
        report_fatal("%s: a path is too long", observed->root);
    }
    watch->reads = manner->reads;
    watch->turns = manner->turns;
    watch->delay_seed = manner->delay_seed;
    watch->delay_microseconds = manner->delay_microseconds;
    char *command = observed_wrap(observed->how->observer, observed->watch_path, observed->how->command);
    observed->adapter = adapter_make_exec(command, observed->how->directory, observed->how->timeout);
    free(command);
}

void observed_stop(struct observed *observed)
{
    if (observed->adapter != NULL) {
        observed->adapter->ops->destroy(observed->adapter);
        observed->adapter = NULL;
    }
    if (observed->watch != NULL) {
        watch_unmap(observed->watch);
        observed->watch = NULL;
    }
}

static void empty_directory(const char *directory)
{
    DIR *list = opendir(directory);
    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlinkat(dirfd(list), entry->d_name, 0);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}

void observed_reset(struct observed *observed, const struct trace_disk *disk)
{
    struct disk_files files;
    char record[WATCH_PATH_BYTES];
    empty_directory(observed->directory);
    disk_files_make(disk, &files);
    disk_files_store(&files, observed->directory);
    disk_files_free(&files);
    if (join(record, observed->root, "record") && truncate(record, 0) != 0 && errno != ENOENT) {
        report_fatal("%s: %s", record, strerror(errno));
    }
    if (observed->watch != NULL) {
        atomic_store(&observed->watch->records, 0);
    }
}

void observed_path(const struct observed *observed, const char *name, char path[WATCH_PATH_BYTES])
{
    if (!join(path, observed->directory, name)) {
        report_fatal("%s: a path is too long", observed->directory);
    }
}
