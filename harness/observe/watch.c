/*
 * The memory that a judge and an observer share.
 */
#include "observe/watch.h"

#include "base/report.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct watch *watch_map(const char *path, bool make)
{
    int file = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
    if (file < 0) {
        return NULL;
    }
    void *memory = MAP_FAILED;
    if (!make || ftruncate(file, sizeof(struct watch)) == 0) {
        memory = mmap(NULL, sizeof(struct watch), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    close(file);
    return memory != MAP_FAILED ? memory : NULL;
}

void watch_unmap(struct watch *watch)
{
    munmap(watch, sizeof *watch);
}

void watch_arm(struct watch *watch, const struct watch_plan *plan)
{
    watch_disarm(watch);
    watch->plan = plan != NULL ? *plan : (struct watch_plan){.kinds = WATCH_EVERY};
    watch->hit_kind = 0;
    watch->hit_call[0] = watch->hit_file[0] = '\0';
    atomic_store(&watch->calls, 0);
    atomic_store(&watch->hits, 0);
    for (unsigned kind = 0; kind < WATCH_KINDS; kind++) {
        atomic_store(&watch->calls_of[kind], 0);
    }
    atomic_store(&watch->armed, true);
}

void watch_disarm(struct watch *watch)
{
    atomic_store(&watch->armed, false);
}

char *watch_unseen_text(const struct watch *watch)
{
    static const char *const texts[WATCH_UNSEEN_KINDS] = {
        "a file is mapped into memory for writing",
        "io_uring is used",
        "io_submit is used",
        "a program makes system calls of another architecture",
        "a file in a directory below, or with a very long name, is changed",
        "the record could not be written",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    const char *between = "";
    for (unsigned i = 0; i < WATCH_UNSEEN_KINDS; i++) {
        if ((atomic_load(&watch->unseen) >> i & 1) != 0) {
            fprintf(out, "%s%s", between, texts[i]);
            between = "; ";
        }
    }
    fclose(out);
    return text;
}

const char *watch_kind_name(enum watch_kind kind)
{
    static const char *const names[WATCH_KINDS] = {"read", "write", "sync", "truncate", "allocate", "open", "name"};
    return names[kind];
}
