/*
 * Creates the files of a conformance case before its first step, and compares files with expectations later.
 *
 * Everything here works in the current directory, which belongs to the case. The expected content is computed from the
 * position alone, so it depends on no engine. A file of terabytes is a few spans over a hole.
 */
#include "corpus/corpus.h"

#include "base/report.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536u /* bytes handled at a time */

uint8_t corpus_pattern(uint64_t seed, uint64_t position)
{
    uint64_t sum = 83 * (seed % 255) + 7 * (position % 255) + 13 * (position / 256 % 255);
    return (uint8_t)(1 + sum % 255);
}

void corpus_span_fill(const struct corpus_span *span, uint64_t at, size_t length, uint8_t *buffer)
{
    assert(at >= span->at && length <= span->length && at - span->at <= span->length - length);
    switch (span->fill) {
    case CORPUS_ZERO:
        memset(buffer, 0, length);
        break;
    case CORPUS_PATTERN:
        for (size_t i = 0; i < length; i++) {
            buffer[i] = corpus_pattern(span->seed, at + i);
        }
        break;
    case CORPUS_ANY:
        assert(false);
        break;
    case CORPUS_BYTES:
        memcpy(buffer, span->bytes + (at - span->at), length);
        break;
    }
}

/* Whether found[0, length), at `at`, has the content of the choice. */
static bool is_choice(const struct corpus_choice *choice, uint64_t at, size_t length, const uint8_t *found)
{
    for (size_t i = 0; i < length; i++) {
        if (found[i] != (choice->zero ? 0 : corpus_pattern(choice->seed, at + i))) {
            return false;
        }
    }
    return true;
}

static bool check_any(const struct corpus_span *span, uint64_t at, size_t length, const uint8_t *found, FILE *out)
{
    for (size_t done = 0; done < length;) {
        size_t size = span->byte_by_byte ? 1 : CORPUS_SECTOR - (size_t)((at + done) % CORPUS_SECTOR);
        size = size < length - done ? size : length - done;
        size_t choice = 0;
        while (choice < span->choice_count && !is_choice(&span->choices[choice], at + done, size, found + done)) {
            choice++;
        }
        if (choice == span->choice_count) {
            fprintf(out, "byte %" PRIu64 ": the %s has none of the %zu allowed contents, it begins with", at + done,
                    span->byte_by_byte ? "byte" : "sector", span->choice_count);
            for (size_t i = 0; i < size && i < 16; i++) {
                fprintf(out, " %02x", found[done + i]);
            }
            fputc('\n', out);
            return false;
        }
        done += size;
    }
    return true;
}

bool corpus_span_check(const struct corpus_span *span, uint64_t at, size_t length, const uint8_t *found, FILE *out)
{
    uint8_t expected[PIECE];
    if (span->fill == CORPUS_ANY) {
        return check_any(span, at, length, found, out);
    }
    for (size_t done = 0; done < length;) {
        size_t size = length - done < PIECE ? length - done : PIECE;
        corpus_span_fill(span, at + done, size, expected);
        size_t same = report_first_difference(expected, found + done, size);
        if (same < size) {
            fprintf(out, "byte %" PRIu64 ": expected %02x, got %02x\n", at + done + same, expected[same],
                    found[done + same]);
            report_hex_window(out, at + done, expected, found + done, size);
            return false;
        }
        done += size;
    }
    return true;
}

/* ---- Creating ---- */

static bool write_span(int file, const struct corpus_span *span)
{
    uint8_t buffer[PIECE];
    for (uint64_t done = 0; done < span->length;) {
        size_t size = span->length - done < PIECE ? (size_t)(span->length - done) : PIECE;
        corpus_span_fill(span, span->at + done, size, buffer);
        ssize_t written = pwrite(file, buffer, size, (off_t)(span->at + done));
        if (written < 0) {
            return false;
        }
        done += (uint64_t)written;
    }
    return true;
}

static bool make_regular(const struct corpus_file *file_spec)
{
    int file = open(file_spec->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) {
        return false;
    }
    bool good = ftruncate(file, (off_t)file_spec->length) == 0;
    for (size_t i = 0; good && i < file_spec->content.count; i++) {
        good = write_span(file, &file_spec->content.items[i]);
    }
    good = good && (!file_spec->has_mode || fchmod(file, file_spec->mode) == 0);
    return close(file) == 0 && good;
}

static bool make_file(const struct corpus_file *file_spec)
{
    switch (file_spec->kind) {
    case CORPUS_REGULAR:
        return make_regular(file_spec);
    case CORPUS_DIRECTORY:
        return mkdir(file_spec->path, 0777) == 0;
    case CORPUS_SYMLINK:
        return symlink(file_spec->target, file_spec->path) == 0;
    case CORPUS_FIFO:
        return mkfifo(file_spec->path, 0666) == 0;
    case CORPUS_HARDLINK:
        return link(file_spec->target, file_spec->path) == 0;
    }
    return false;
}

bool corpus_make_files(const struct corpus_case *c, FILE *out)
{
    for (size_t i = 0; i < c->file_count; i++) {
        if (!make_file(&c->files[i])) {
            fprintf(out, "cannot make %s: %s\n", c->files[i].path, strerror(errno));
            return false;
        }
    }
    return true;
}

/* ---- Checking ---- */

static bool check_content(int file, const struct corpus_span *span, FILE *out)
{
    uint8_t found[PIECE];
    for (uint64_t done = 0; done < span->length;) {
        size_t size = span->length - done < PIECE ? (size_t)(span->length - done) : PIECE;
        ssize_t got = pread(file, found, size, (off_t)(span->at + done));
        if (got <= 0) {
            fprintf(out, "byte %" PRIu64 ": %s\n", span->at + done, got ? strerror(errno) : "the file ends here");
            return false;
        }
        if (!corpus_span_check(span, span->at + done, (size_t)got, found, out)) {
            return false;
        }
        done += (uint64_t)got;
    }
    return true;
}

bool corpus_check_file(const struct corpus_step *step, FILE *out)
{
    int file = open(step->path, O_RDONLY | O_CLOEXEC);
    if (step->absent && file < 0 && errno == ENOENT) {
        return true;
    }
    if (step->absent || file < 0) {
        fprintf(out, "%s: %s\n", step->path, file < 0 ? strerror(errno) : "exists, but must not");
        if (file >= 0) {
            close(file);
        }
        return false;
    }
    struct stat status;
    bool good = fstat(file, &status) == 0;
    if (good && step->has_length && (uint64_t)status.st_size != step->length) {
        fprintf(out, "%s: expected %" PRIu64 " bytes, got %" PRIu64 "\n", step->path, step->length,
                (uint64_t)status.st_size);
        good = false;
    }
    for (size_t i = 0; good && i < step->data.count; i++) {
        if (!check_content(file, &step->data.items[i], out)) {
            good = false;
        }
    }
    close(file);
    return good;
}

bool corpus_check_lock(const char *path, FILE *out)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* conflicts with any */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool found = file >= 0 && fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid != -1;
    if (file >= 0) {
        close(file);
    }
    if (found) {
        fputs("the lock of the metadata file is one of the process, not of the open file description\n", out);
    }
    return !found;
}
