/*
 * The implementation under test, behind one interface.
 *
 * An adapter carries one disk of one implementation: it is opened over files that exist, asked, and closed, any number
 * of times. Whoever judges sees only this interface and, once the disk is closed, the files.
 *
 *   ref    the reference engine over files mapped into memory, one request at a time
 *   fast   the production engine over the storage that it is given
 *   exec:COMMAND   a child process (adapter_exec.h)
 *
 * Errors: functions return an enum addcow_status and, if `error` is not null, fill *error on failure.
 *
 * Thread-safety: requests (read to commit, and size) may come from any number of threads at once; open, close, create
 * and destroy alone.
 */
#ifndef HARNESS_ADAPTER_H
#define HARNESS_ADAPTER_H

#include "addcow_fast.h"

struct adapter;

struct adapter_ops {
    /* Opens the disk whose metadata file is `path`. */
    enum addcow_status (*open)(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                               struct addcow_error *error);
    /* Closes the open disk, even if it reports an error. Everything is in the files afterwards. */
    enum addcow_status (*close)(struct adapter *adapter, struct addcow_error *error);

    /* As the functions of addcow_fast.h, on the open disk. */
    uint64_t (*size)(struct adapter *adapter);

    /* Whether "all allocated" is set in the header, as the implementation believes. Null if it cannot be asked. */
    bool (*all_allocated)(struct adapter *adapter);

    enum addcow_status (*read)(struct adapter *adapter, uint64_t offset, uint64_t length, void *buffer,
                               struct addcow_error *error);
    enum addcow_status (*write)(struct adapter *adapter, uint64_t offset, uint64_t length, const void *buffer,
                                struct addcow_error *error);
    enum addcow_status (*zero)(struct adapter *adapter, uint64_t offset, uint64_t length, struct addcow_error *error);
    enum addcow_status (*discard)(struct adapter *adapter, uint64_t offset, uint64_t length,
                                  struct addcow_error *error);
    enum addcow_status (*map)(struct adapter *adapter, uint64_t offset, uint64_t length, bool *allocated, uint64_t *run,
                              struct addcow_error *error);
    enum addcow_status (*flush)(struct adapter *adapter, struct addcow_error *error);
    enum addcow_status (*resize)(struct adapter *adapter, uint64_t new_size, struct addcow_error *error);
    enum addcow_status (*stream)(struct adapter *adapter, struct addcow_error *error);
    enum addcow_status (*commit)(struct adapter *adapter, struct addcow_error *error);

    /* Creates files [CRE]. Null if the implementation cannot: what needs it is then not applicable. */
    enum addcow_status (*create)(struct adapter *adapter, const char *path, const struct addcow_create_options *options,
                                 struct addcow_error *error);

    /* Closes the disk if it is open, and frees the adapter. */
    void (*destroy)(struct adapter *adapter);
};

struct adapter {
    const struct adapter_ops *ops;
    const char *name; /* "ref", "fast"...; static storage */
};

/*
 * Makes the adapter called `name`, with no disk open; null if there is none of that name. The caller destroys it.
 * `storage` is what an engine in this process reaches files through, null for POSIX files; it must outlive the adapter.
 */
struct adapter *adapter_make(const char *name, struct addcow_storage *storage);

/* The names that adapter_make knows, for messages: "ref, fast". Static storage. */
const char *adapter_names(void);

/* The adapters themselves. */
struct adapter *adapter_make_ref(void);
struct adapter *adapter_make_fast(struct addcow_storage *storage);

#endif
