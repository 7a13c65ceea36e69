/*
 * Creating a disk (spec section 7).
 *
 * There are three steps, so that a failure or a crash at any point leaves no incomplete file under a final name:
 *
 * 1. Judge. The header is encoded, then decoded and linked exactly as open would do it. So what open would refuse is
 *    refused here, with the same message, before any file is created (CRE-05).
 * 2. Write. New files are written under temporary names in the directories of their final ones, and synced.
 * 3. Publish. The files get their final names, the image first and the metadata file last, as that completes the disk.
 *
 * If a later step fails, the files that this call has created are removed (CRE-04). A metadata file that is to be
 * replaced is locked before any file is created, and keeps its name until the new one replaces it.
 */
#include "addcow_internal.h"
#include "addcow_links.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that this call makes. All zero: none. */
struct new_file {
    struct addcow_io io; /* messages give it the name that was asked for */
    char *temporary;     /* its name until it is published */
};

struct creation {
    const char *path;
    const struct addcow_create_options *options;
    struct addcow_storage *storage;
    struct addcow_header_bytes bytes; /* the encoded header */
    struct addcow_metadata metadata;  /* decoded from it */
    struct addcow_identities identities;
    uint64_t image_length;
    struct addcow_io replaced; /* the metadata file that goes, locked */
    struct addcow_io image;    /* an image file that exists */
    struct new_file new_image;
    struct new_file new_metadata;
    bool makes_image;
    bool final; /* the new metadata file has replaced the old one: there is no way back */
};

/* ---- The header ---- */

static size_t name_size(const char *name)
{
    return name ? strlen(name) : 0;
}

/* Refuses options with which the header cannot be encoded. */
static enum addcow_status check_options(const struct creation *creation, struct addcow_error *error)
{
    const struct addcow_create_options *options = creation->options;
    const char *path = creation->path;
    bool r9 = options->layout == ADDCOW_R9;
    const char *format = options->backing_format;
    if (r9 && !options->backing_name) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "CRE-03", "%s: layout r9 needs a backing file", path);
    }
    if (options->backing_name && (!format || (strcmp(format, "raw") != 0 && strcmp(format, "add-cow") != 0))) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "LNK-04", "%s: the backing format is neither raw nor add-cow",
                           path);
    }
    if (r9 && (options->cluster_bits != ADDCOW_CLUSTER_BITS_DEFAULT || strcmp(format, "raw") != 0)) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "HR9-08",
                           "%s: layout r9 has clusters of 65536 bytes and a raw backing file", path);
    }
    if (options->cluster_bits < ADDCOW_CLUSTER_BITS_MIN || options->cluster_bits > ADDCOW_CLUSTER_BITS_MAX) {
        return addcow_fail_rule(error, path, ADDCOW_RULE_CLUSTER_BITS);
    }
    return ADDCOW_OK;
}

static uint32_t header_size_of(const struct addcow_create_options *options)
{
    uint64_t cluster_size = addcow_cluster_size(options->cluster_bits);
    if (options->layout == ADDCOW_R9 || cluster_size < ADDCOW_HEADER_MIN) {
        return ADDCOW_HEADER_MIN;
    }
    return (uint32_t)cluster_size;
}

/* Refuses names that do not fit into the header (CRE-05). */
static enum addcow_status check_names(const struct creation *creation, struct addcow_error *error)
{
    const struct addcow_create_options *options = creation->options;
    size_t backing = name_size(options->backing_name);
    size_t image = name_size(options->image_name);
    size_t room = header_size_of(options) - ADDCOW_NAMES_OFFSET;
    bool fits = options->layout == ADDCOW_R9 ? backing < ADDCOW_R9_NAME_SIZE && image < ADDCOW_R9_NAME_SIZE
                                             : backing <= room && image <= room - backing;
    if (fits) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_RANGE, 0, "CRE-05", "%s: the names of its files are too long for the header",
                       creation->path);
}

static void describe_header(const struct addcow_create_options *options, struct addcow_header *header)
{
    *header = (struct addcow_header){
        .layout = options->layout,
        .cluster_bits = options->cluster_bits,
        .header_size = header_size_of(options),
        .backing_size = (uint32_t)name_size(options->backing_name),
        .image_size = (uint32_t)name_size(options->image_name),
        .compatible_features = options->backing_name ? 0 : ADDCOW_ALL_ALLOCATED,
        .image_format = "raw",
    };
    addcow_place_names(header);
    if (options->backing_name) {
        snprintf((char *)header->backing_format, ADDCOW_FORMAT_SIZE, "%s", options->backing_format);
    }
}

/* Encodes the header and decodes it as open would. */
static enum addcow_status make_header(struct creation *creation, struct addcow_error *error)
{
    const struct addcow_create_options *options = creation->options;
    enum addcow_status code = check_options(creation, error);
    if (code == ADDCOW_OK) {
        code = check_names(creation, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    struct addcow_header header;
    describe_header(options, &header);
    creation->bytes.data = calloc(1, header.header_size);
    if (!creation->bytes.data) {
        return addcow_fail_memory(error, creation->path);
    }
    creation->bytes.count = header.header_size;
    creation->bytes.file_length = header.header_size;
    enum addcow_rule rule = addcow_encode(&header, (const uint8_t *)options->backing_name,
                                          (const uint8_t *)(options->image_name ? options->image_name : ""),
                                          creation->bytes.data, header.header_size);
    if (rule != ADDCOW_RULE_NONE) {
        return addcow_fail_rule(error, creation->path, rule);
    }
    struct addcow_io named = {.path = (char *)(uintptr_t)creation->path};
    return addcow_metadata_decode(&named, &creation->bytes, &creation->metadata, error);
}

/* ---- The files that exist ---- */

/* Fails unless there is no file `path`. */
static enum addcow_status check_absent(const struct creation *creation, const char *path, struct addcow_error *error)
{
    struct addcow_error found = ADDCOW_ERROR_INIT;
    struct addcow_io io;
    if (addcow_io_open(creation->storage, path, ADDCOW_FILE_READ, &io, &found) == ADDCOW_OK) {
        addcow_io_close(&io, NULL);
        return addcow_fail(error, ADDCOW_UNLINKABLE, EEXIST, "CRE-01", "%s", path);
    }
    if (found.errnum == ENOENT) {
        return ADDCOW_OK;
    }
    addcow_give_error(error, &found);
    return found.code;
}

/* Refuses to replace a file that is not an add-cow file: the caller may have named an image by mistake. */
static enum addcow_status check_replaceable(const struct addcow_io *io, struct addcow_error *error)
{
    struct addcow_header_bytes bytes;
    enum addcow_status code = addcow_header_read(io, &bytes, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    bool known = addcow_header_rule_holds(bytes.data, bytes.file_length, ADDCOW_RULE_LENGTH) &&
                 addcow_header_rule_holds(bytes.data, bytes.file_length, ADDCOW_RULE_MAGIC);
    free(bytes.data);
    if (known) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_UNLINKABLE, 0, "CRE-01", "%s: is no add-cow file, and is not replaced", io->path);
}

/* Makes sure that the metadata file's name is free, or stands for a file that may be replaced. */
static enum addcow_status link_target(struct creation *creation, struct addcow_error *error)
{
    struct addcow_error taken = ADDCOW_ERROR_INIT;
    enum addcow_status code = check_absent(creation, creation->path, &taken);
    if (code == ADDCOW_OK) {
        return ADDCOW_OK;
    }
    if (!creation->options->replace) {
        addcow_give_error(error, &taken);
        return code;
    }
    struct addcow_io *io = &creation->replaced;
    code = addcow_io_open(creation->storage, creation->path, ADDCOW_FILE_READWRITE, io, error);
    if (code == ADDCOW_OK) {
        code = check_replaceable(io, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&creation->identities, io, error);
    }
    return code;
}

/* Fails if the image holds anything but zeros, which the backing file would hide. */
static enum addcow_status check_hidden_data(const struct creation *creation, struct addcow_error *error)
{
    uint64_t data = 0;
    enum addcow_status code = addcow_io_find_data(&creation->image, 0, creation->image_length, &data, error);
    if (code == ADDCOW_OK && data < creation->image_length) {
        code = addcow_fail(error, ADDCOW_RANGE, 0, "CRE-02",
                           "%s: holds data near offset %" PRIu64 ", which the backing file would hide",
                           creation->image.path, data);
    }
    return code;
}

/* The image: it exists and is usable, or it is absent and will be created. */
static enum addcow_status link_image(struct creation *creation, struct addcow_error *error)
{
    const struct addcow_create_options *options = creation->options;
    const char *path = creation->metadata.image_path;
    enum addcow_status code;
    if (options->make_image) {
        creation->makes_image = true;
        creation->image_length = options->image_size;
        return check_absent(creation, path, error);
    }
    if (options->make_missing_image && options->backing_name && check_absent(creation, path, NULL) == ADDCOW_OK) {
        creation->makes_image = true;
        return addcow_links_backing_length(creation->storage, &creation->metadata, &creation->image_length, error);
    }
    code = addcow_io_open(creation->storage, path, ADDCOW_FILE_READ, &creation->image, error);
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&creation->identities, &creation->image, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_hold_data(creation->storage, &creation->image, false, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_length(&creation->image, &creation->image_length, error);
    }
    return code;
}

/* The lengths, as open judges them when the metadata file is complete. */
static enum addcow_status check_lengths(struct creation *creation, struct addcow_error *error)
{
    uint64_t size = creation->image_length;
    struct addcow_metadata *metadata = &creation->metadata;
    metadata->file_length = UINT64_MAX; /* only the size is in question: the length follows from it */
    enum addcow_status code = addcow_metadata_check_lengths(metadata, creation->path, size, error);
    if (code == ADDCOW_OK) {
        metadata->file_length = addcow_file_length(&metadata->header, size);
    }
    return code;
}

/*
 * Locks the file to be replaced. If it has lost its name meanwhile, the lock keeps nobody from what has the name now
 * (LCK-04).
 */
static enum addcow_status lock_replaced(struct creation *creation, struct addcow_error *error)
{
    bool named = false;
    enum addcow_status code = addcow_io_lock(&creation->replaced, true, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_named(creation->storage, &creation->replaced, creation->path, &named, error);
    }
    if (code == ADDCOW_OK && !named) {
        code = addcow_fail(error, ADDCOW_BUSY, 0, "LCK-04", "%s: was replaced by somebody else", creation->path);
    }
    return code;
}

static enum addcow_status check_preallocation(const struct creation *creation, struct addcow_error *error)
{
    if (creation->options->preallocation > ADDCOW_PREALLOCATE_FULL) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, EINVAL, "", "%s: an unknown kind of preallocation",
                           creation->path);
    }
    if (creation->options->preallocation != ADDCOW_PREALLOCATE_OFF && !creation->makes_image) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, EINVAL, "", "%s: exists, and only a new image is preallocated",
                           creation->metadata.image_path);
    }
    return ADDCOW_OK;
}

static enum addcow_status judge(struct creation *creation, struct addcow_error *error)
{
    const struct addcow_metadata *metadata = &creation->metadata;
    enum addcow_status code = make_header(creation, error);
    if (code == ADDCOW_OK) {
        code = link_target(creation, error);
    }
    if (code == ADDCOW_OK) {
        code = link_image(creation, error);
    }
    if (code == ADDCOW_OK) {
        code = check_lengths(creation, error);
    }
    if (code == ADDCOW_OK && metadata->backing_path) {
        code = addcow_links_add_backing(creation->storage, metadata, &creation->identities, error);
    }
    if (code == ADDCOW_OK && metadata->backing_path && !creation->makes_image && !creation->options->hide_image_data) {
        code = check_hidden_data(creation, error);
    }
    if (code == ADDCOW_OK) {
        code = check_preallocation(creation, error);
    }
    /* Last, so that a chain that contains the file to be replaced is reported as such and not as busy. */
    return code == ADDCOW_OK && creation->replaced.file ? lock_replaced(creation, error) : code;
}

/* ---- Writing ---- */

/* The status of a failure to create a file or to rename it. */
static enum addcow_status making_class(int errnum)
{
    switch (errnum) {
    case EEXIST:
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return ADDCOW_UNLINKABLE;
    case ENOSPC:
    case EDQUOT:
        return ADDCOW_NOSPACE;
    case EROFS:
    case EACCES:
    case EPERM:
        return ADDCOW_READONLY;
    default:
        return ADDCOW_IO;
    }
}

static const char *making_clause(int errnum)
{
    return making_class(errnum) == ADDCOW_NOSPACE ? "ERR-05" : "";
}

/* Makes an empty file with a temporary name in the directory of `path`. */
static enum addcow_status make_temporary(const struct creation *creation, const char *path, struct new_file *file,
                                         struct addcow_error *error)
{
    struct addcow_error failure = {.struct_size = sizeof failure, .errnum = EEXIST};
    enum addcow_status code = ADDCOW_READONLY;
    for (unsigned i = 0; i < TEMPORARY_NAMES && code != ADDCOW_OK && failure.errnum == EEXIST; i++) {
        char name[64];
        snprintf(name, sizeof name, ".addcow-create-%ld-%u", (long)getpid(), i);
        free(file->temporary);
        file->temporary = addcow_resolve(path, name);
        if (!file->temporary) {
            return addcow_fail_memory(error, path);
        }
        code = addcow_io_open(creation->storage, file->temporary, ADDCOW_FILE_CREATE, &file->io, &failure);
    }
    if (code != ADDCOW_OK) {
        free(file->temporary);
        file->temporary = NULL;
        return addcow_fail(error, making_class(failure.errnum), failure.errnum, making_clause(failure.errnum),
                           "%s: no file can be made in its directory", path);
    }
    /* Messages about the new file name the one that was asked for. */
    char *name = strdup(path);
    if (!name) {
        return addcow_fail_memory(error, path);
    }
    free(file->io.path);
    file->io.path = name;
    return ADDCOW_OK;
}

static enum addcow_status write_image(struct creation *creation, struct addcow_error *error)
{
    struct new_file *file = &creation->new_image;
    enum addcow_status code = make_temporary(creation, creation->metadata.image_path, file, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_truncate(&file->io, creation->image_length, error);
    }
    uint64_t wanted = creation->options->preallocation;
    if (code == ADDCOW_OK && wanted != ADDCOW_PREALLOCATE_OFF) {
        code = addcow_io_preallocate(&file->io, creation->image_length, wanted == ADDCOW_PREALLOCATE_FULL, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_sync(&file->io, error);
    }
    return code;
}

/* Sets the bits of `clusters` clusters, which stand at `offset` of a file that has none set. */
static enum addcow_status write_set_bits(const struct addcow_io *io, uint64_t offset, uint64_t clusters,
                                         struct addcow_error *error)
{
    uint8_t *buffer = malloc(CHUNK_SIZE);
    if (!buffer) {
        return addcow_fail_memory(error, io->path);
    }
    memset(buffer, 0xff, CHUNK_SIZE);
    uint64_t whole = clusters / 8;
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t at = 0; at < whole && code == ADDCOW_OK; at += CHUNK_SIZE) {
        uint64_t part = whole - at < CHUNK_SIZE ? whole - at : CHUNK_SIZE;
        code = addcow_io_write(io, buffer, part, offset + at, error);
    }
    if (code == ADDCOW_OK && clusters % 8 != 0) {
        uint8_t last = (uint8_t)((1u << clusters % 8) - 1);
        code = addcow_io_write(io, &last, 1, offset + whole, error);
    }
    free(buffer);
    return code;
}

static enum addcow_status write_metadata(struct creation *creation, struct addcow_error *error)
{
    struct new_file *file = &creation->new_metadata;
    const struct addcow_metadata *metadata = &creation->metadata;
    const struct addcow_header *header = &metadata->header;
    enum addcow_status code = make_temporary(creation, creation->path, file, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_truncate(&file->io, metadata->file_length, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_write(&file->io, creation->bytes.data, creation->bytes.count, 0, error);
    }
    if (code == ADDCOW_OK && !metadata->backing_path) {
        uint64_t clusters = addcow_cluster_count(creation->image_length, addcow_cluster_size(header->cluster_bits));
        code = write_set_bits(&file->io, header->header_size, clusters, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_sync(&file->io, error);
    }
    return code;
}

/* ---- Publishing ---- */

/* Whether the name `path` stands for the new file. */
static bool has_name(const struct creation *creation, const struct new_file *file, const char *path)
{
    bool named = false;
    if (path) {
        addcow_io_named(creation->storage, &file->io, path, &named, NULL);
    }
    return named;
}

static enum addcow_status publish(const struct creation *creation, struct new_file *file, bool replace,
                                  struct addcow_error *error)
{
    struct addcow_storage *storage = creation->storage;
    int result;
    do {
        result = storage->ops->rename(storage, file->temporary, file->io.path, replace);
        /* A rename that was interrupted is only repeated if it has not happened. */
    } while (result == -EINTR && has_name(creation, file, file->temporary));
    if (result == 0) {
        return ADDCOW_OK;
    }
    if (result == -EEXIST) {
        return addcow_fail(error, ADDCOW_UNLINKABLE, EEXIST, "CRE-01", "%s", file->io.path);
    }
    return addcow_fail(error, making_class(-result), -result, making_clause(-result),
                       "%s: the file cannot be given its name", file->io.path);
}

static void remove_name(const struct creation *creation, const struct new_file *file, const char *path)
{
    if (has_name(creation, file, path)) {
        creation->storage->ops->remove(creation->storage, path);
    }
}

/* Closes the file and, after a failure, removes every name that this call has given it, and no other file's. */
static void release(const struct creation *creation, struct new_file *file, bool keep)
{
    if (!keep && file->io.file) {
        remove_name(creation, file, file->temporary);
        remove_name(creation, file, file->io.path);
    }
    addcow_io_close(&file->io, NULL);
    free(file->temporary);
}

static enum addcow_status create(struct creation *creation, struct addcow_error *error)
{
    enum addcow_status code = judge(creation, error);
    if (code == ADDCOW_OK && creation->makes_image) {
        code = write_image(creation, error);
    }
    if (code == ADDCOW_OK) {
        code = write_metadata(creation, error);
    }
    if (code == ADDCOW_OK && creation->makes_image) {
        code = publish(creation, &creation->new_image, false, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    bool replace = creation->replaced.file != NULL;
    struct addcow_error failure = ADDCOW_ERROR_INIT;
    code = publish(creation, &creation->new_metadata, replace, &failure);
    creation->final = replace && has_name(creation, &creation->new_metadata, creation->path);
    if (code != ADDCOW_OK && creation->final) {
        return addcow_fail(error, code, failure.errnum, "CRE-06",
                           "%s: was replaced, but a crash may bring the old file back", creation->path);
    }
    if (code != ADDCOW_OK) {
        addcow_give_error(error, &failure);
    }
    return code;
}

enum addcow_status addcow_create(const char *path, const struct addcow_create_options *options,
                                 struct addcow_storage *storage, struct addcow_error *error)
{
    assert(path && options);
    struct addcow_create_options known = {0};
    if (!addcow_take(&known, options, sizeof known)) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, EINVAL, "",
                           "%s: the options have no struct_size, or are of a newer version", path);
    }
    struct creation creation = {
        .path = path,
        .options = &known,
        .storage = storage ? storage : addcow_posix_storage(),
    };
    enum addcow_status code = create(&creation, error);
    bool keep = code == ADDCOW_OK || creation.final;
    release(&creation, &creation.new_metadata, keep);
    release(&creation, &creation.new_image, keep);
    addcow_io_close(&creation.image, NULL);
    addcow_io_close(&creation.replaced, NULL);
    addcow_metadata_free(&creation.metadata);
    free(creation.bytes.data);
    return code;
}
