/*
 * A storage in memory for files of any length, which keeps only the pages that were written.
 *
 * No file system is needed that takes files of hundreds of TiB. What was never written is a hole, and so is a page that
 * was punched as a whole. There are no locks and no crashes. For one thread.
 */
#ifndef TESTS_SUPPORT_SPARSE_STORAGE_H
#define TESTS_SUPPORT_SPARSE_STORAGE_H

#include "support/files.h"

#include "addcow_storage.h"

#define SPARSE_PAGE ((uint64_t)4096)
#define SPARSE_FILES 8
#define SPARSE_PAGE_BITS 12
#define SPARSE_PAGES ((uint64_t)1 << SPARSE_PAGE_BITS) /* of all files together */

struct sparse_page {
    uint64_t key; /* file << 56 | number of the page, + 1; 0: none */
    uint8_t *bytes;
};

struct sparse_storage {
    struct addcow_storage storage;
    char names[SPARSE_FILES][32]; /* the last part of a path; "": none */
    uint64_t lengths[SPARSE_FILES];
    uint64_t used;
    struct sparse_page pages[SPARSE_PAGES]; /* a hash table with linear probing; pages are never removed from it */
};

struct sparse_file {
    struct addcow_file file;
    struct sparse_storage *storage;
    uint64_t number;
};

/* The entry of a page, which may be empty. */
static inline struct sparse_page *sparse_entry(struct sparse_storage *storage, uint64_t number, uint64_t page)
{
    uint64_t key = (number << 56 | page) + 1;
    uint64_t place = key * 0x9E3779B97F4A7C15u >> (64 - SPARSE_PAGE_BITS);
    while (storage->pages[place].key != 0 && storage->pages[place].key != key) {
        place = (place + 1) % SPARSE_PAGES;
    }
    return &storage->pages[place];
}

static inline bool sparse_is_hole(struct sparse_storage *storage, uint64_t number, uint64_t page)
{
    return sparse_entry(storage, number, page)->bytes == NULL;
}

static inline uint8_t *sparse_make_page(struct sparse_storage *storage, uint64_t number, uint64_t page)
{
    struct sparse_page *entry = sparse_entry(storage, number, page);
    if (entry->key == 0) {
        assert_true(++storage->used < SPARSE_PAGES / 2);
        entry->key = (number << 56 | page) + 1;
    }
    if (entry->bytes == NULL) {
        entry->bytes = allocate_bytes(SPARSE_PAGE);
    }
    return entry->bytes;
}

static inline uint64_t sparse_part(uint64_t offset, uint64_t end)
{
    uint64_t left = SPARSE_PAGE - offset % SPARSE_PAGE;
    return left < end - offset ? left : end - offset;
}

static inline struct sparse_file *sparse_of(struct addcow_file *file)
{
    return (struct sparse_file *)file;
}

static inline uint64_t *sparse_length_of(struct addcow_file *file)
{
    return &sparse_of(file)->storage->lengths[sparse_of(file)->number];
}

static inline ssize_t sparse_pread(struct addcow_file *self, void *buffer, size_t size, uint64_t offset)
{
    uint64_t length = *sparse_length_of(self);
    uint64_t end = offset >= length ? offset : length - offset < size ? length : offset + size;
    for (uint64_t at = offset, part; at < end; at += part) {
        const struct sparse_page *entry =
            sparse_entry(sparse_of(self)->storage, sparse_of(self)->number, at / SPARSE_PAGE);
        part = sparse_part(at, end);
        memset((uint8_t *)buffer + (at - offset), 0, (size_t)part);
        if (entry->bytes != NULL) {
            memcpy((uint8_t *)buffer + (at - offset), entry->bytes + at % SPARSE_PAGE, (size_t)part);
        }
    }
    return (ssize_t)(end - offset);
}

static inline ssize_t sparse_pwrite(struct addcow_file *self, const void *buffer, size_t size, uint64_t offset)
{
    for (uint64_t at = offset, part; at < offset + size; at += part) {
        uint8_t *page = sparse_make_page(sparse_of(self)->storage, sparse_of(self)->number, at / SPARSE_PAGE);
        part = sparse_part(at, offset + size);
        memcpy(page + at % SPARSE_PAGE, (const uint8_t *)buffer + (at - offset), (size_t)part);
    }
    if (offset + size > *sparse_length_of(self)) {
        *sparse_length_of(self) = offset + size;
    }
    return (ssize_t)size;
}

/* Makes [offset, end) zero: goes over the pages that there are, as there may be many more that are not. */
static inline void sparse_clear(struct sparse_storage *storage, uint64_t number, uint64_t offset, uint64_t end)
{
    for (uint64_t i = 0; i < SPARSE_PAGES; i++) {
        struct sparse_page *entry = &storage->pages[i];
        uint64_t start = ((entry->key - 1) << 8 >> 8) * SPARSE_PAGE;
        if (entry->bytes == NULL || (entry->key - 1) >> 56 != number || start >= end || start + SPARSE_PAGE <= offset) {
            continue;
        }
        uint64_t from = start < offset ? offset : start;
        uint64_t to = start + SPARSE_PAGE < end ? start + SPARSE_PAGE : end;
        memset(entry->bytes + (from - start), 0, (size_t)(to - from));
        if (to - from == SPARSE_PAGE) {
            free(entry->bytes);
            entry->bytes = NULL;
        }
    }
}

static inline int sparse_punch(struct addcow_file *self, uint64_t offset, uint64_t size)
{
    sparse_clear(sparse_of(self)->storage, sparse_of(self)->number, offset, offset + size);
    return 0;
}

static inline int sparse_truncate(struct addcow_file *self, uint64_t length)
{
    if (length < *sparse_length_of(self)) {
        sparse_clear(sparse_of(self)->storage, sparse_of(self)->number, length, *sparse_length_of(self));
    }
    *sparse_length_of(self) = length;
    return 0;
}

static inline int sparse_length(struct addcow_file *self, uint64_t *length)
{
    *length = *sparse_length_of(self);
    return 0;
}

static inline int sparse_next_data(struct addcow_file *self, uint64_t offset, uint64_t *data)
{
    struct sparse_storage *storage = sparse_of(self)->storage;
    *data = *sparse_length_of(self);
    for (uint64_t i = 0; i < SPARSE_PAGES; i++) {
        const struct sparse_page *entry = &storage->pages[i];
        uint64_t start = ((entry->key - 1) << 8 >> 8) * SPARSE_PAGE;
        if (entry->bytes != NULL && (entry->key - 1) >> 56 == sparse_of(self)->number && start + SPARSE_PAGE > offset &&
            start < *data) {
            *data = start;
        }
    }
    *data = *data < offset ? offset : *data;
    return 0;
}

static inline int sparse_next_hole(struct addcow_file *self, uint64_t offset, uint64_t *hole)
{
    while (offset < *sparse_length_of(self) &&
           !sparse_is_hole(sparse_of(self)->storage, sparse_of(self)->number, offset / SPARSE_PAGE)) {
        offset = (offset / SPARSE_PAGE + 1) * SPARSE_PAGE;
    }
    *hole = offset < *sparse_length_of(self) ? offset : *sparse_length_of(self);
    return 0;
}

static inline int sparse_sync(struct addcow_file *self)
{
    (void)self;
    return 0;
}

static inline int sparse_lock(struct addcow_file *self, int exclusive)
{
    (void)self;
    (void)exclusive;
    return 0;
}

static inline int sparse_identity(struct addcow_file *self, struct addcow_identity *identity)
{
    *identity = (struct addcow_identity){.device = 1, .inode = sparse_of(self)->number};
    return 0;
}

static inline int sparse_close(struct addcow_file *self)
{
    free(self);
    return 0;
}

/* The number of a file by the last part of its path; SPARSE_FILES if there is none. */
static inline uint64_t sparse_find(const struct sparse_storage *storage, const char *path)
{
    const char *slash = strrchr(path, '/');
    uint64_t number = 0;
    while (number < SPARSE_FILES && strcmp(storage->names[number], slash != NULL ? slash + 1 : path) != 0) {
        number++;
    }
    return number;
}

static inline int sparse_open(struct addcow_storage *self, const char *path, enum addcow_open_mode mode,
                              struct addcow_file **file)
{
    static const struct addcow_file_ops ops = {
        .struct_size = sizeof ops,
        .pread = sparse_pread,
        .pwrite = sparse_pwrite,
        .sync = sparse_sync,
        .length = sparse_length,
        .truncate = sparse_truncate,
        .punch = sparse_punch,
        .next_data = sparse_next_data,
        .next_hole = sparse_next_hole,
        .lock = sparse_lock,
        .identity = sparse_identity,
        .close = sparse_close,
    };
    struct sparse_storage *storage = (struct sparse_storage *)self;
    uint64_t number = sparse_find(storage, path);
    if (mode == ADDCOW_FILE_CREATE && number < SPARSE_FILES) {
        return -EEXIST;
    }
    if (mode == ADDCOW_FILE_CREATE) {
        const char *slash = strrchr(path, '/');
        number = 0;
        while (number < SPARSE_FILES && storage->names[number][0] != '\0') {
            number++;
        }
        assert_true(number < SPARSE_FILES);
        snprintf(storage->names[number], sizeof storage->names[number], "%s", slash != NULL ? slash + 1 : path);
        storage->lengths[number] = 0;
    }
    if (number == SPARSE_FILES) {
        return -ENOENT;
    }
    struct sparse_file *opened = malloc(sizeof *opened);
    assert_non_null(opened);
    *opened = (struct sparse_file){.file = {.ops = &ops}, .storage = storage, .number = number};
    *file = &opened->file;
    return 0;
}

static inline int sparse_remove(struct addcow_storage *self, const char *path)
{
    struct sparse_storage *storage = (struct sparse_storage *)self;
    uint64_t number = sparse_find(storage, path);
    if (number == SPARSE_FILES) {
        return -ENOENT;
    }
    sparse_clear(storage, number, 0, UINT64_MAX);
    storage->names[number][0] = '\0';
    return 0;
}

static inline int sparse_rename(struct addcow_storage *self, const char *from, const char *to, int replace)
{
    struct sparse_storage *storage = (struct sparse_storage *)self;
    uint64_t number = sparse_find(storage, from);
    const char *slash = strrchr(to, '/');
    if (sparse_find(storage, to) < SPARSE_FILES && (!replace || sparse_remove(self, to) != 0)) {
        return -EEXIST;
    }
    snprintf(storage->names[number], sizeof storage->names[number], "%s", slash != NULL ? slash + 1 : to);
    return 0;
}

static inline struct sparse_storage *make_sparse_storage(void)
{
    static const struct addcow_storage_ops ops = {
        .struct_size = sizeof ops, .open = sparse_open, .remove = sparse_remove, .rename = sparse_rename};
    struct sparse_storage *storage = calloc(1, sizeof *storage);
    assert_non_null(storage);
    storage->storage.ops = &ops;
    return storage;
}

static inline void free_sparse_storage(struct sparse_storage *storage)
{
    for (uint64_t i = 0; i < SPARSE_PAGES; i++) {
        free(storage->pages[i].bytes);
    }
    free(storage);
}

/* Makes a file that is a hole of this length. */
static inline void sparse_put(struct sparse_storage *storage, const char *name, uint64_t length)
{
    struct addcow_file *file = NULL;
    assert_int_equal(sparse_open(&storage->storage, name, ADDCOW_FILE_CREATE, &file), 0);
    assert_int_equal(sparse_truncate(file, length), 0);
    sparse_close(file);
}

/* Reads or writes bytes of a file by its name. */
static inline void sparse_load(struct sparse_storage *storage, const char *name, uint64_t offset, void *bytes,
                               size_t size)
{
    struct addcow_file *file = NULL;
    assert_int_equal(sparse_open(&storage->storage, name, ADDCOW_FILE_READ, &file), 0);
    assert_int_equal(sparse_pread(file, bytes, size, offset), (int)size);
    sparse_close(file);
}

/* Where a file has its first data; its length if there is none. */
static inline uint64_t sparse_first_data(struct sparse_storage *storage, const char *name)
{
    struct addcow_file *file = NULL;
    uint64_t data = 0;
    assert_int_equal(sparse_open(&storage->storage, name, ADDCOW_FILE_READ, &file), 0);
    assert_int_equal(sparse_next_data(file, 0, &data), 0);
    sparse_close(file);
    return data;
}

static inline void sparse_store(struct sparse_storage *storage, const char *name, uint64_t offset, const void *bytes,
                                size_t size)
{
    struct addcow_file *file = NULL;
    assert_int_equal(sparse_open(&storage->storage, name, ADDCOW_FILE_READWRITE, &file), 0);
    assert_int_equal(sparse_pwrite(file, bytes, size, offset), (int)size);
    sparse_close(file);
}

#endif
