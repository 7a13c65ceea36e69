/*
 * The disks that the server has open.
 *
 * Every connection to a disk gets the same handle of the library. So a flush of one connection makes the writes of all
 * others durable, which is what multi-conn promises, and the lock of the disk is taken once. The disk is closed when
 * its last user leaves: then other programs may have it, and the next client finds the size that they gave it.
 */
#include "plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of `users` and `next` */
static struct served *all;

/* Whether a hole can be punched into the file. Tried past its end, where that changes nothing. */
static bool can_punch(const char *path, uint64_t length)
{
#ifdef FALLOC_FL_PUNCH_HOLE
    const uint64_t unit = 1 << 20;
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    off_t past = (off_t)((length / unit + 1) * unit);
    bool can =
        descriptor >= 0 && fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, past, (off_t)unit) == 0;
    if (descriptor >= 0) {
        close(descriptor);
    }
    return can;
#else
    (void)path;
    (void)length;
    return false;
#endif
}

/* Opens the disk for writing if that is asked for and possible. */
static int open_disk(struct served *served)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = ADDCOW_READONLY;
    if (!served->read_only) {
        code = open_as_told(served->path, ADDCOW_OPEN_READWRITE, &served->disk, &error);
    }
    if (code == ADDCOW_READONLY) {
        if (!served->read_only) {
            nbdkit_debug("read-only: %s", error.message);
        }
        served->read_only = true;
        code = open_as_told(served->path, ADDCOW_OPEN_READONLY, &served->disk, &error);
    }
    return code == ADDCOW_OK ? 0 : report(&error);
}

static void free_served(struct served *served)
{
    free(served->path);
    free(served);
}

static struct served *open_served(const char *path, bool read_only)
{
    struct served *served = calloc(1, sizeof *served);
    char *copy = strdup(path);
    if (!served || !copy) {
        nbdkit_error("%s: no memory", path);
        nbdkit_set_error(ENOMEM);
        free(served);
        free(copy);
        return NULL;
    }
    served->path = copy;
    served->read_only = read_only;
    served->users = 1;
    atomic_store(&served->percent, -1);
    if (open_disk(served) != 0) {
        free_served(served);
        return NULL;
    }
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(served->disk, &info);
    served->cluster_size = info.cluster_size;
    served->punches = !served->read_only && can_punch(info.image_path, info.virtual_size);
    return served;
}

static void close_served(struct served *served)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_close(served->disk, &error) != ADDCOW_OK) {
        report(&error);
    }
    free_served(served);
}

struct served *served_acquire(const char *path, bool read_only)
{
    pthread_mutex_lock(&lock);
    struct served *served = all;
    while (served && strcmp(served->path, path) != 0) {
        served = served->next;
    }
    if (served) {
        served->users++;
        pthread_mutex_unlock(&lock);
        return served;
    }
    served = open_served(path, read_only);
    if (served && parameters.stream && !stream_begin(served)) {
        close_served(served);
        served = NULL;
    }
    if (served) {
        served->next = all;
        all = served;
    }
    pthread_mutex_unlock(&lock);
    return served;
}

void served_release(struct served *served)
{
    pthread_mutex_lock(&lock);
    if (--served->users > 0) {
        pthread_mutex_unlock(&lock);
        return;
    }
    struct served **link = &all;
    while (*link != served) {
        link = &(*link)->next;
    }
    *link = served->next;
    /* Under the lock: who opens it next must find it closed. */
    close_served(served);
    pthread_mutex_unlock(&lock);
}

void served_flush_all(void)
{
    pthread_mutex_lock(&lock);
    for (struct served *served = all; served; served = served->next) {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        if (addcow_flush(served->disk, &error) != ADDCOW_OK) {
            report(&error);
        }
    }
    pthread_mutex_unlock(&lock);
}
