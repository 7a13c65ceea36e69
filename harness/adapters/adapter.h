/*
 * The implementation under test, behind one interface.
 *
 * An adapter drives one disk of one implementation. It opens the disk over existing files, performs requests, and
 * closes it, any number of times. A judge sees only this interface and, after a close, the files.
 *
 *   ref    the reference engine over files mapped into memory, one request at a time
 *   fast   the production engine over the given storage
 *   exec:COMMAND   a child process (adapter_exec.h)
 *
 * Errors: functions return an enum addcow_status and, if `error` is not null, fill *error on failure.
 *
 * Thread-safety: any number of threads may call perform, size and all_allocated at once. open, close, create and
 * destroy must be the only call in progress.
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
    /* Closes the open disk, even if it reports an error. Afterwards the files hold all data. */
    enum addcow_status (*close)(struct adapter *adapter, struct addcow_error *error);

    /* The virtual size of the open disk, in bytes; 0 if it could not be asked for. */
    uint64_t (*size)(struct adapter *adapter);

    /* The same where asking can fail. Null: it cannot. */
    enum addcow_status (*ask_size)(struct adapter *adapter, uint64_t *size, struct addcow_error *error);

    /* Whether "all allocated" is set in the header, according to the implementation. Null if the adapter cannot ask for
     * it. */
    bool (*all_allocated)(struct adapter *adapter);

    /* Does a request on the open disk, as the function of addcow_fast.h that has the operation's name. */
    enum addcow_status (*perform)(struct adapter *adapter, struct operation_request *request,
                                  struct addcow_error *error);

    /* Creates files [CRE]. Null if the implementation cannot: cases that create are then not applicable. */
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
 * Makes the adapter called `name`, with no disk open. Null if the name is unknown. The caller destroys the adapter. An
 * engine in this process accesses files through `storage`, which may be null for POSIX files and must outlive the
 * adapter.
 */
struct adapter *adapter_make(const char *name, struct addcow_storage *storage);

/* Stores the virtual size of the open disk, in bytes, or fails as the implementation did. */
enum addcow_status adapter_size(struct adapter *adapter, uint64_t *size, struct addcow_error *error);

/* The names that adapter_make knows, for messages: "ref, fast". Static storage. */
const char *adapter_names(void);

/* Never null. */
struct adapter *adapter_make_ref(void);
struct adapter *adapter_make_fast(struct addcow_storage *storage);

#endif
