/*
 * What each function of the storage of POSIX files asks of the kernel: its system calls in their order, with their
 * files, flags and modes, and what an error of each of them means.
 */
#ifndef TESTS_KERNEL_POSIX_OPERATIONS_H
#define TESTS_KERNEL_POSIX_OPERATIONS_H

#include "kernel/posix_functions.h"

/* The errors that a call may give without failing its function, or with another error: each with its result. */
struct rule {
    unsigned call; /* from 1 on; 0: no rule */
    int error;     /* ANY: each that has no rule before */
    int result;
};

#define ANY 0
#define UNSUPPORTED(call)                                                                                              \
    {call, EINVAL, 0}, {call, ENOSYS, 0}, {call, EOPNOTSUPP, 0}, {call, EPERM, 0}, {call, EMLINK, 0}, {call, EINTR, 0}
/* A directory that cannot be synced, and a sync that is repeated. */
#define DIRECTORY(call)                                                                                                \
    {call, EINVAL, 0}, {call, EACCES, 0}, {call, EPERM, 0}, {call, EROFS, 0}, {call, ENOSYS, 0},                       \
        {call, EOPNOTSUPP, 0}, {call, EINTR, 0}

static const struct operation {
    const char *name;
    int (*act)(struct work *work);
    int (*before)(struct work *work); /* is done first; null: nothing */
    const char *locks;                /* the bytes that are locked after a failure; null: none */
    const char *calls[24];
    struct rule rules[32];
    int result;
    bool target;         /* the new name exists already, */
    bool attributes;     /* and has an access list and another attribute, if the file system has such */
    const char *refused; /* the calls of these names are not there */
} operations[] = {
    {.name = "pread", .act = act_pread, .calls = {"pread64 file 8@100"}, .result = 8},
    {.name = "pwrite", .act = act_pwrite, .calls = {"pwrite64 file 8@4096"}, .result = 8},
    {.name = "sync", .act = act_sync, .calls = {"fdatasync file"}},
    /* Advice: the sync that follows says what is broken. */
    {.name = "begin_sync",
     .act = act_begin_sync,
     .calls = {"sync_file_range file 8192@4096 2"},
     .rules = {{1, ANY, 0}}},
    {.name = "length", .act = act_length, .calls = {"fstat file"}},
    {.name = "truncate", .act = act_truncate, .calls = {"ftruncate file 9000"}},
    /* A refused hole is no failure, whatever refuses it; a broken disk and a wrong descriptor are. */
    {.name = "punch",
     .act = act_punch,
     .calls = {"fallocate file 3 1024@512"},
     .rules = {{1, EIO, -EIO}, {1, EINTR, -EINTR}, {1, EBADF, -EBADF}, {1, ANY, -EOPNOTSUPP}}},
    {.name = "next_data",
     .act = act_next_data,
     .calls = {"lseek file 5 3"},
     .rules = {{1, EINVAL, -EOPNOTSUPP}, {1, ENOTTY, -EOPNOTSUPP}, {1, ENXIO, 0}}},
    {.name = "bypass_cache",
     .act = act_bypass_cache,
     .calls = {"fcntl file other 3", "fcntl file other 4"}, /* F_GETFL, F_SETFL */
     .rules = {{2, EINVAL, -EOPNOTSUPP}}},
    {.name = "next_hole",
     .act = act_next_hole,
     .calls = {"lseek file 5 4"},
     .rules = {{1, EINVAL, -EOPNOTSUPP}, {1, ENOTTY, -EOPNOTSUPP}, {1, ENXIO, 0}}},
    {.name = "lock", .act = act_lock, .calls = {"fcntl file set w 0+0"}, .rules = {{1, EACCES, -EAGAIN}}},
    {.name = "lock, shared",
     .act = act_lock_shared,
     .calls = {"fcntl file set r 0+0"},
     .rules = {{1, EACCES, -EAGAIN}}},
    {.name = "lock_data",
     .act = act_lock_data,
     .calls = {"fcntl file test w 100+1", "fcntl file test w 101+1", "fcntl file test w 102+1",
               "fcntl file test w 103+1", "fcntl file test w 200+1", "fcntl file test w 201+1",
               "fcntl file test w 202+1", "fcntl file test w 203+1", "fcntl file set r 100+1",
               "fcntl file set r 101+1",  "fcntl file set r 102+1",  "fcntl file set r 103+1",
               "fcntl file set r 200+1",  "fcntl file set r 201+1",  "fcntl file set r 202+1",
               "fcntl file set r 203+1",  "fcntl file test w 100+1", "fcntl file test w 101+1",
               "fcntl file test w 102+1", "fcntl file test w 103+1", "fcntl file test w 200+1",
               "fcntl file test w 201+1", "fcntl file test w 202+1", "fcntl file test w 203+1"},
     .rules = {{9, EACCES, -EAGAIN},
               {10, EACCES, -EAGAIN},
               {11, EACCES, -EAGAIN},
               {12, EACCES, -EAGAIN},
               {13, EACCES, -EAGAIN},
               {14, EACCES, -EAGAIN},
               {15, EACCES, -EAGAIN},
               {16, EACCES, -EAGAIN}}},
    {.name = "lock_data, shared",
     .act = act_lock_data_shared,
     .calls = {"fcntl file test w 101+1", "fcntl file test w 103+1", "fcntl file test w 200+1",
               "fcntl file set r 100+1", "fcntl file set r 201+1", "fcntl file set r 203+1", "fcntl file test w 101+1",
               "fcntl file test w 103+1", "fcntl file test w 200+1"},
     .rules = {{4, EACCES, -EAGAIN}, {5, EACCES, -EAGAIN}, {6, EACCES, -EAGAIN}}},
    {.name = "lock_data, from shared to exclusive",
     .act = act_lock_data,
     .before = act_lock_data_shared,
     .locks = "x....x.x",
     .calls = {"fcntl file test w 100+1", "fcntl file test w 101+1", "fcntl file test w 102+1",
               "fcntl file test w 103+1", "fcntl file test w 200+1", "fcntl file test w 201+1",
               "fcntl file test w 202+1", "fcntl file test w 203+1", "fcntl file set r 101+1",
               "fcntl file set r 102+1",  "fcntl file set r 103+1",  "fcntl file set r 200+1",
               "fcntl file set r 202+1",  "fcntl file test w 100+1", "fcntl file test w 101+1",
               "fcntl file test w 102+1", "fcntl file test w 103+1", "fcntl file test w 200+1",
               "fcntl file test w 201+1", "fcntl file test w 202+1", "fcntl file test w 203+1"},
     .rules = {{9, EACCES, -EAGAIN},
               {10, EACCES, -EAGAIN},
               {11, EACCES, -EAGAIN},
               {12, EACCES, -EAGAIN},
               {13, EACCES, -EAGAIN}}},
    {.name = "identity", .act = act_identity, .calls = {"fstat file"}},
    {.name = "close", .act = act_close, .calls = {"close file"}, .rules = {{1, EINTR, 0}}},
    {.name = "may_grow",
     .act = act_may_grow,
     .calls = {"lseek file 77777 0"},
     .rules = {{1, EINVAL, -EFBIG}, {1, EOVERFLOW, -EFBIG}}},
    {.name = "allocate",
     .act = act_allocate,
     .calls = {"fallocate file 1 8192@0"},
     .rules = {{1, EIO, -EIO},
               {1, EINTR, -EINTR},
               {1, EBADF, -EBADF},
               {1, ENOSPC, -ENOSPC},
               {1, EDQUOT, -EDQUOT},
               {1, EFBIG, -EFBIG},
               {1, ANY, -EOPNOTSUPP}}},
    /* Whatever refuses to share, a copy is made instead, and that tells what is broken. */
    {.name = "share",
     .act = act_share,
     .calls = {"ioctl file 4096@4096 from 4096"},
     .rules = {{1, EINTR, -EINTR}, {1, ANY, -EOPNOTSUPP}},
     .result = -EOPNOTSUPP,
     .refused = "ioctl"},
    /* A lease makes the first attempt fail: then a second one waits. */
    {.name = "open for reading",
     .act = act_open_read,
     .calls = {"close file", "open file r 0", "fstat file"},
     .rules = {{1, ANY, 0}, {2, EINTR, 0}, {2, EAGAIN, 0}}},
    {.name = "open for writing",
     .act = act_open_write,
     .calls = {"close file", "open file rw 0", "fstat file"},
     .rules = {{1, ANY, 0}, {2, EINTR, 0}, {2, EAGAIN, 0}}},
    {.name = "open a new file",
     .act = act_open_new,
     .calls = {"close file", "open new rw create new 666", "fstat new"},
     .rules = {{1, ANY, 0}, {2, EINTR, 0}}},
    {.name = "remove", .act = act_remove, .calls = {"unlink from"}},
    {.name = "rename to a new name",
     .act = act_rename_new,
     .calls = {"renameat2 from to 1", "open . r directory 0", "fsync .", "close ."},
     .rules = {UNSUPPORTED(1), DIRECTORY(2), DIRECTORY(3), {4, ANY, 0}}},
    {.name = "rename to a new name by a link",
     .act = act_rename_new,
     .calls = {"renameat2 from to 1", "link from to", "unlink from", "open . r directory 0", "fsync .", "close ."},
     .rules = {UNSUPPORTED(1), UNSUPPORTED(2), {3, EINTR, 0}, DIRECTORY(4), DIRECTORY(5), {6, ANY, 0}},
     .refused = "renameat2"},
    {.name = "rename to a new name by an empty file",
     .act = act_rename_new,
     .calls = {"renameat2 from to 1", "link from to", "open to w create new waits 666", "close to", "rename from to",
               "open . r directory 0", "fsync .", "close ."},
     .rules = {UNSUPPORTED(1),
               UNSUPPORTED(2),
               {3, EINTR, 0},
               {4, ANY, 0},
               {5, EINTR, 0},
               DIRECTORY(6),
               DIRECTORY(7),
               {8, ANY, 0}},
     .refused = "renameat2 link"},
    /* Who cannot give the file to another owner, replaces all the same. */
    {.name = "rename over a file",
     .act = act_rename_over,
     .calls = {"stat to", "chown from", "chmod from 640", "listxattr to", "rename from to", "open . r directory 0",
               "fsync .", "close ."},
     .rules = {{1, ENOENT, 0}, {2, ANY, 0}, {4, ANY, 0}, {5, EINTR, 0}, DIRECTORY(6), DIRECTORY(7), {8, ANY, 0}},
     .target = true},
    /* The attributes are asked for twice: how long they are, and what. Only the access list is needed. */
    {.name = "rename over a file with attributes",
     .act = act_rename_over,
     .calls = {"stat to", "chown from", "chmod from 660", "listxattr to", "listxattr to",
               "getxattr to system.posix_acl_access", "getxattr to system.posix_acl_access",
               "setxattr from system.posix_acl_access", "getxattr to user.a", "getxattr to user.a",
               "setxattr from user.a", "rename from to", "open . r directory 0", "fsync .", "close ."},
     .rules = {{1, ENOENT, 0},
               {2, ANY, 0},
               {4, ANY, 0},
               {9, ANY, 0},
               {10, ANY, 0},
               {11, ANY, 0},
               {12, EINTR, 0},
               DIRECTORY(13),
               DIRECTORY(14),
               {15, ANY, 0}},
     .target = true,
     .attributes = true},
    {.name = "rename over no file",
     .act = act_rename_over,
     .calls = {"rename from to", "open . r directory 0", "fsync .", "close ."},
     .rules = {{1, EINTR, 0}, DIRECTORY(2), DIRECTORY(3), {4, ANY, 0}}},
};

#define OPERATIONS (sizeof operations / sizeof operations[0])

static inline unsigned count_calls(const struct operation *operation)
{
    unsigned count = 0;
    while (count < 24 && operation->calls[count]) {
        count++;
    }
    return count;
}

/* The result if a call gives an error. */
static inline int expected_result(const struct operation *operation, unsigned call, int error)
{
    for (const struct rule *rule = operation->rules; rule->call != 0; rule++) {
        if (rule->call == call + 1 && (rule->error == error || rule->error == ANY)) {
            return rule->result;
        }
    }
    return -error;
}

#endif
