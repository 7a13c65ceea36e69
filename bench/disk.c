/* The benchmark's disks, made in the current directory, which belongs to this run. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SIZE 64

void check_engine(enum addcow_status code, const struct addcow_error *error)
{
    if (code != ADDCOW_OK) {
        fail("%s: %s", addcow_status_name(code), error->message);
    }
}

void check_transfer(ssize_t transferred, uint64_t size, const char *what)
{
    if (transferred < 0) {
        fail("%s: %s", what, strerror(errno));
    }
    if ((uint64_t)transferred != size) {
        fail("%s: %zd of %llu bytes", what, transferred, (unsigned long long)size);
    }
}

void *buffer_new(uint64_t size)
{
    void *buffer = NULL;
    if (posix_memalign(&buffer, 4096, (size_t)size) != 0) {
        fail("out of memory");
    }
    memset(buffer, 0x5a, (size_t)size);
    return buffer;
}

static int open_file(const char *name, int flags)
{
    int file = open(name, flags | O_CLOEXEC, 0600);
    if (file < 0) {
        fail("%s: %s", name, strerror(errno));
    }
    return file;
}

static void backing_name(const struct disk *disk, char *name)
{
    snprintf(name, NAME_SIZE, "backing-%llu.raw", (unsigned long long)disk->backing_size);
}

/* Fills the file up to the requested size, unless it has that size already. */
static int backing_open(const struct disk *disk)
{
    char name[NAME_SIZE];
    backing_name(disk, name);
    int file = open_file(name, O_RDWR | O_CREAT);
    struct stat status;
    if (fstat(file, &status) != 0) {
        fail("%s: %s", name, strerror(errno));
    }
    uint8_t *data = buffer_new(MIB);
    for (uint64_t at = (uint64_t)status.st_size; at < disk->backing_size; at += MIB) {
        check_transfer(pwrite(file, data, MIB, (off_t)at), MIB, name);
    }
    free(data);
    return file;
}

static void disk_names(const struct disk *disk, char *metadata, char *image)
{
    snprintf(metadata, NAME_SIZE, "%s.add-cow", disk->name);
    snprintf(image, NAME_SIZE, "%s.raw", disk->name);
}

void disk_make(const struct disk_names *names, uint64_t size, struct addcow_storage *storage)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_create_options options = {
        .struct_size = sizeof options,
        .layout = ADDCOW_R20,
        .cluster_bits = CLUSTER_BITS,
        .image_name = names->image,
        .backing_name = names->backing,
        .backing_format = names->format,
        .make_image = true,
        .image_size = size,
    };
    check_engine(addcow_create(names->metadata, &options, storage, &error), &error);
}

void disk_create(struct disk *disk)
{
    char metadata[NAME_SIZE];
    char image[NAME_SIZE];
    char backing[NAME_SIZE];
    disk_names(disk, metadata, image);
    backing_name(disk, backing);
    disk->backing = backing_open(disk);
    struct disk_names names = {.metadata = metadata, .image = image, .backing = backing, .format = "raw"};
    disk_make(&names, disk->size, disk->storage);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_open(metadata, ADDCOW_OPEN_READWRITE, disk->storage, &disk->handle, &error), &error);
    disk->image = open_file(image, O_RDWR);
    disk->metadata = open_file(metadata, O_RDWR);
}

void disk_remove(struct disk *disk)
{
    char metadata[NAME_SIZE];
    char image[NAME_SIZE];
    disk_names(disk, metadata, image);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    check_engine(addcow_close(disk->handle, &error), &error);
    close(disk->image);
    close(disk->backing);
    close(disk->metadata);
    if (unlink(metadata) != 0 || unlink(image) != 0) {
        fail("%s: cannot remove the disk: %s", disk->name, strerror(errno));
    }
}

void disk_prepare(void *context)
{
    disk_create(context);
}

void disk_finish(void *context)
{
    disk_remove(context);
}

void disk_fill(struct disk *disk)
{
    uint8_t *data = buffer_new(CLUSTER);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (uint64_t at = 0; at < disk->size; at += CLUSTER) {
        check_engine(addcow_write(disk->handle, at, CLUSTER, data, &error), &error);
    }
    free(data);
}
