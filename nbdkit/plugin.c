/*
 * nbdkit-addcow-plugin: serves add-cow disks over NBD.
 *
 * nbdkit speaks the protocol, with sockets, TLS, filters and limits; the library has the disk. This file connects them:
 * the parameters, what the server tells each client about a disk, and the table of callbacks. The others have the open
 * disks (served.c), the names of exports (exports.c), the requests (requests.c), and the stream (stream.c).
 *
 * A disk is opened when its first client comes, as the server says only then whether it was told to be read-only. So
 * that a wrong disk is noticed before, it is opened once for reading when the server starts.
 */
#include "plugin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define DEFAULT_RATE ((uint64_t)64 << 20)

#define LEAST_BLOCK 4096u         /* what a page of the guest and a block of most file systems is */
#define LARGEST_BLOCK (32u << 20) /* what clients and servers of NBD are sure to accept at once */

struct parameters parameters = {.rate = DEFAULT_RATE};

/* ---- Parameters ---- */

/* A limit on the size of files is an error of the write that meets it, and ends no server. */
static void load(void)
{
    struct sigaction action;
    if (sigaction(SIGXFSZ, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        sigaction(SIGXFSZ, &action, NULL);
    }
}

static int set_path(char **path, const char *value)
{
    free(*path);
    *path = nbdkit_absolute_path(value);
    return *path ? 0 : -1;
}

static int set_bool(bool *parameter, const char *value)
{
    int yes = nbdkit_parse_bool(value);
    *parameter = yes == 1;
    return yes < 0 ? -1 : 0;
}

static int config(const char *key, const char *value)
{
    if (strcmp(key, "file") == 0) {
        if (parameters.file) {
            nbdkit_error("file=%s: there is one file; dir= serves several disks", value);
            return -1;
        }
        return set_path(&parameters.file, value);
    }
    if (strcmp(key, "dir") == 0) {
        return set_path(&parameters.directory, value);
    }
    if (strcmp(key, "stream") == 0) {
        parameters.stream = strcmp(value, "background") == 0;
        if (!parameters.stream && strcmp(value, "none") != 0) {
            nbdkit_error("stream=%s: is neither background nor none", value);
            return -1;
        }
        return 0;
    }
    if (strcmp(key, "stream-rate") == 0) {
        int64_t rate = nbdkit_parse_size(value);
        parameters.rate = (uint64_t)rate;
        return rate < 0 ? -1 : 0;
    }
    if (strcmp(key, "without-locks") == 0) {
        return set_bool(&parameters.without_locks, value);
    }
    if (strcmp(key, "direct") == 0) {
        return set_bool(&parameters.direct, value);
    }
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int config_complete(void)
{
    if (!parameters.file == !parameters.directory) {
        nbdkit_error("either a disk (file=FILE) or a directory of disks (dir=DIRECTORY) has to be given");
        return -1;
    }
    return 0;
}

static int get_ready(void)
{
    if (parameters.directory) {
        return export_check_directory();
    }
    struct addcow *disk;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (open_as_told(parameters.file, ADDCOW_OPEN_READONLY, &disk, &error) != ADDCOW_OK ||
        addcow_close(disk, &error) != ADDCOW_OK) {
        return report(&error);
    }
    return 0;
}

/*
 * The server ends. It does not call close_export for connections that it had until then, and a request of one may still
 * run if it took longer than the server waits. So the disks are flushed, and not closed.
 */
static void cleanup(void)
{
    stream_end_all();
    served_flush_all();
}

static void unload(void)
{
    free(parameters.file);
    free(parameters.directory);
}

static void dump_plugin(void)
{
    printf("addcow_library=%s\n", addcow_version());
}

/* ---- What clients are told ---- */

static void *open_export(int read_only)
{
    const char *name = nbdkit_export_name();
    char *path = name ? export_path(name) : NULL;
    struct served *served = path ? served_acquire(path, read_only != 0) : NULL;
    free(path);
    return served;
}

static void close_export(void *handle)
{
    served_release(handle);
}

static int64_t get_size(void *handle)
{
    struct served *served = handle;
    return (int64_t)addcow_size(served->disk);
}

static int can_write(void *handle)
{
    struct served *served = handle;
    return !served->read_only;
}

/* Without holes, a trim could only write zeros. */
static int can_trim(void *handle)
{
    struct served *served = handle;
    return served->punches;
}

/* The answer to a fast zero is fast, be it a refusal. */
static int can_fast_zero(void *handle)
{
    struct served *served = handle;
    return !served->read_only;
}

/* All connections to a disk share one handle, whose flush covers the writes of all. */
static int can_multi_conn(void *handle)
{
    (void)handle;
    return 1;
}

/* nbdkit reads then, which brings the data of whichever file has it into the page cache, unless that is not used. */
static int can_cache(void *handle)
{
    (void)handle;
    return parameters.direct ? NBDKIT_CACHE_NONE : NBDKIT_CACHE_EMULATE;
}

/* nbdkit asks for a flush after the request. The flushes of concurrent requests share their syncs. */
static int can_fua(void *handle)
{
    struct served *served = handle;
    return served->read_only ? NBDKIT_FUA_NONE : NBDKIT_FUA_EMULATE;
}

/* A write of less than a cluster copies the rest of it, until every cluster is allocated. */
static int block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    struct served *served = handle;
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(served->disk, &info);
    *minimum = 1;
    *preferred = info.all_allocated ? LEAST_BLOCK : info.cluster_size;
    *maximum = LARGEST_BLOCK;
    return 0;
}

/* Names of files of the host are not the clients' business. */
static const char *export_description(void *handle)
{
    struct served *served = handle;
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(served->disk, &info);
    int percent = atomic_load(&served->percent);
    char stream[32] = "";
    if (percent >= 0) {
        snprintf(stream, sizeof stream, "; stream: %d %%", percent);
    }
    const char *backing = info.all_allocated || !info.backing_format ? "no backing file" : info.backing_format;
    return nbdkit_printf_intern("add-cow disk, clusters of %u bytes, %s%s%s", info.cluster_size,
                                backing == info.backing_format ? "backing file of format " : "", backing, stream);
}

static struct nbdkit_plugin plugin = {
    .name = "addcow",
    .longname = "add-cow disks",
    .version = ADDCOW_VERSION,
    .description = "Serves disks in the add-cow format: a raw image with a backing file and copy on write.",
    .config_help =
        "[file=]FILE              The add-cow file of the disk.\n"
        "dir=DIRECTORY            Serves each FILE.addcow in it by its name.\n"
        "stream=background|none   Finishes the disk beside the clients.\n"
        "stream-rate=SIZE         Bytes per second of that (default 64M; 0: no limit).\n"
        "without-locks=true       Goes on where the file system has no locks.\n"
        "direct=true              Reads and writes the files without the cache of the system.",
    .magic_config_key = "file",
    .load = load,
    .unload = unload,
    .dump_plugin = dump_plugin,
    .config = config,
    .config_complete = config_complete,
    .get_ready = get_ready,
    .cleanup = cleanup,
    .list_exports = export_list,
    .default_export = export_default,
    .export_description = export_description,
    .open = open_export,
    .close = close_export,
    .get_size = get_size,
    .block_size = block_size,
    .can_write = can_write,
    .can_trim = can_trim,
    .can_fast_zero = can_fast_zero,
    .can_multi_conn = can_multi_conn,
    .can_cache = can_cache,
    .can_fua = can_fua,
    .pread = request_read,
    .pwrite = request_write,
    .flush = request_flush,
    .trim = request_trim,
    .zero = request_zero,
    .extents = request_extents,
};

/* What the macro defines. The header declares it nowhere. */
NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
