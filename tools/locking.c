/*
 * How a command locks the files of a disk: by the options --force-share, --lock-wait and --without-locks (LCK-07).
 *
 * The engine asks for each lock once and does not wait. So these options are a storage: the POSIX files, whose locks
 * are asked for again until the time is over, or are not needed.
 */
#include "command.h"

#include <errno.h>
#include <time.h>

#define PAUSE_MILLISECONDS 50

struct locking locking;

const struct command_option locking_table[] = {
    {0, "lock-wait", OPTION_SECONDS, &locking.wait},
    {0, "without-locks", OPTION_SWITCH, &locking.optional},
    OPTIONS_END,
};

const char locking_help[] =
    "\nEvery command also takes these options:\n"
    "      --lock-wait=SECONDS  wait so long, in all, for files that are in use elsewhere (default 0)\n"
    "      --without-locks      go on where the file system has no locks; then nothing keeps others away\n";

static const struct addcow_file_ops *posix; /* of every POSIX file */

/* Whether the time for all locks of this command is over. It begins with the first one that has to wait. */
static bool waited_enough(void)
{
    static int64_t started = -1;
    int64_t now = clock_milliseconds();
    started = started < 0 ? now : started;
    return now - started >= (int64_t)locking.wait * 1000;
}

static int lock(struct addcow_file *file, int exclusive, int (*call)(struct addcow_file *file, int exclusive))
{
    if (locking.shared) {
        return 0;
    }
    int result = call(file, exclusive);
    while (result == -EINTR || (result == -EAGAIN && !waited_enough())) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MILLISECONDS * 1000000L}, NULL);
        if (signals_stopped()) {
            return -ECANCELED;
        }
        result = call(file, exclusive);
    }
    bool none = result == -ENOLCK || result == -ENOSYS || result == -EOPNOTSUPP || result == -EINVAL;
    return none && locking.optional ? 0 : result;
}

static int lock_whole(struct addcow_file *file, int exclusive)
{
    return lock(file, exclusive, posix->lock);
}

static int lock_data(struct addcow_file *file, int exclusive)
{
    return lock(file, exclusive, posix->lock_data);
}

static int open_file(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                     struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    (void)storage;
    struct addcow_storage *files = addcow_posix_storage();
    int result = files->ops->open(files, path, mode, file);
    if (result == 0) {
        posix = (*file)->ops;
        ops = *posix;
        ops.lock = lock_whole;
        ops.lock_data = lock_data;
        (*file)->ops = &ops;
    }
    return result;
}

struct addcow_storage *locking_storage(void)
{
    static struct addcow_storage_ops ops;
    static struct addcow_storage storage = {.ops = &ops};
    ops = *addcow_posix_storage()->ops;
    ops.open = open_file;
    return &storage;
}
