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
 * Thread-safety: requests (perform, size and all_allocated) may come from any number of threads at once; open, close,
 * create and destroy alone.
 */
#ifndef HARNESS_ADAPTER_H
#define HARNESS_ADAPTER_H

#include "addcow_fast.h"
#include "workload/operation.h"

struct adapter;

struct adapter_ops {
    /* Opens the disk whose metadata file is `path`. */
    enum addcow_status (*open)(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                               struct addcow_error *error);
    /* Closes the open disk, even if it reports an error. Everything is in the files afterwards. */
    enum addcow_status (*close)(struct adapter *adapter, struct addcow_error *error);

    /* The virtual size of the open disk, in bytes. */
    uint64_t (*size)(struct adapter *adapter);

    /* Whether "all allocated" is set in the header, as the implementation believes. Null if it cannot be asked. */
    bool (*all_allocated)(struct adapter *adapter);

    /* Does a request on the open disk, as the function of addcow_fast.h that has the operation's name. */
    enum addcow_status (*perform)(struct adapter *adapter, struct operation_request *request,
                                  struct addcow_error *error);

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
