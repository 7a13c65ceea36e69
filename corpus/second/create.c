/*
 * Creating (section 7). The metadata file is made under another name, and gets its own when it is whole and durable.
 */
#include "second.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check(const struct header *header, struct problem *problem)
{
    bool alone = header->backing == NULL;
    if (header->is_r9 && alone) {
        return fail(problem, "unsupported", "CRE-03", "r9 needs a backing file");
    }
    if (header->is_r9 && (header->cluster_bits != 16 || strcmp(header->backing_format, "raw") != 0)) {
        return fail(problem, "unsupported", "HR9-08", "r9 has clusters of 65536 bytes and raw backing files only");
    }
    if (header->cluster_bits < 12 || header->cluster_bits > 21) {
        return fail(problem, "malformed", "HDR-04", "cluster_bits is outside 12..21");
    }
    return true;
}

/* The bitmap of a new disk: all clear, or without backing file all set (CRE-02, CRE-03). */
static bool write_new_bitmap(int fd, const struct header *header, uint64_t size, struct problem *problem)
{
    uint64_t clusters = size / header->cluster + (size % header->cluster != 0);
    uint8_t ones[4096];
    memset(ones, 0xff, sizeof ones);
    for (uint64_t done = 0; header->backing == NULL && done < clusters / 8;) {
        uint64_t part = clusters / 8 - done < sizeof ones ? clusters / 8 - done : sizeof ones;
        if (!file_write(fd, header->size + done, part, ones, problem)) {
            return false;
        }
        done += part;
    }
    uint8_t last = (uint8_t)((1u << (clusters % 8)) - 1); /* BMP-05 */
    return header->backing != NULL || last == 0 || file_write(fd, header->size + clusters / 8, 1, &last, problem);
}

static bool fill(int fd, const char *path, const struct header *header, struct problem *problem)
{
    struct identity identity;
    char *image = file_resolve(path, header->image);
    uint64_t size = 0;
    uint8_t *head = NULL;
    int image_fd;
    bool good = file_open(image, false, &image_fd, problem);
    if (good) {
        good = file_identify(image_fd, &identity, &size, problem);
        close(image_fd);
    }
    if (good && size > SIZE_MAXIMUM) {
        good = fail(problem, "unsupported", "VRT-01", "the image is too long");
    }
    good = good && header_encode(header, &head, problem) && file_write(fd, 0, header->size, head, problem) &&
           file_cut(fd, header_file_length(header, size), problem) && write_new_bitmap(fd, header, size, problem) &&
           file_sync(fd, problem);
    free(head);
    free(image);
    return good;
}

/* CRE-05: whatever open would refuse. */
static bool is_accepted(const char *path, struct problem *problem)
{
    struct disk *disk;
    return disk_open(path, false, NULL, &disk, problem) && disk_close(disk, problem);
}

static bool refuse_name(struct problem *problem)
{
    int error = errno;
    if (error == EEXIST) {
        return fail(problem, "unlinkable", "CRE-01", "the file exists");
    }
    if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG) {
        return fail(problem, "unlinkable", "CRE-05", "%s", strerror(error));
    }
    return fail_storage(problem, "creating");
}

static bool name_file(const char *temporary, const char *path, struct problem *problem)
{
    if (link(temporary, path) != 0) {
        return refuse_name(problem);
    }
    if (file_sync_directory(path, problem)) { /* CRE-06 */
        return true;
    }
    unlink(path); /* CRE-04 */
    return false;
}

bool disk_create(const char *path, const struct header *wanted, struct problem *problem)
{
    char unique[64];
    struct stat status;
    struct header header = *wanted;
    header.cluster = UINT64_C(1) << (header.cluster_bits & 31);
    header.size = header.is_r9 || header.cluster < HEADER_MIN ? HEADER_MIN : header.cluster;
    header.compatible = header.backing == NULL ? ALL_ALLOCATED : 0;
    if (!check(&header, problem)) {
        return false;
    }
    if (lstat(path, &status) == 0) {
        return fail(problem, "unlinkable", "CRE-01", "the file exists");
    }
    snprintf(unique, sizeof unique, ".new-addcow-%ld", (long)getpid());
    char *temporary = file_resolve(path, unique);
    int fd = temporary != NULL ? open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    bool good = fd >= 0 || refuse_name(problem);
    if (good) {
        good = fill(fd, temporary, &header, problem) && is_accepted(temporary, problem) &&
               name_file(temporary, path, problem);
        close(fd);
        unlink(temporary);
    }
    free(temporary);
    return good;
}
