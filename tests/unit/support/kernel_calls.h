/*
 * Runs a function in a thread whose system calls on files stop, one by one, before the kernel makes them.
 *
 * The test sees each call with its arguments and the names of its files, may ask the kernel anything meanwhile, and
 * lets the call be made or gives an error in its place. So it sees what the storage of POSIX files really asks of the
 * kernel: which sync of which descriptor, with which flags and modes, and in which order.
 *
 * It uses seccomp's notifications, which need no privileges. The filter belongs to the thread, and to the threads that
 * it starts; all others go on as usual. Where that is impossible, as under valgrind, the test is skipped.
 */
#ifndef TESTS_SUPPORT_KERNEL_CALLS_H
#define TESTS_SUPPORT_KERNEL_CALLS_H

#include "support/files.h"

#include <stddef.h>

#if defined __linux__ && __SIZEOF_POINTER__ == 8
#include <sys/syscall.h>
#endif
/* The thread sanitizer does not see that a stopped thread waits, and takes a look into its memory for a race. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1 /* as gcc does */
#endif
#endif
#if defined SYS_seccomp && defined SYS_newfstatat && !defined ONLY_POSIX && !defined __SANITIZE_THREAD__
#define HAS_KERNEL_CALLS 1
#else
#define HAS_KERNEL_CALLS 0
#endif

#if HAS_KERNEL_CALLS
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

#define KERNEL_CALLS_MAX 4096
#define KERNEL_NAME_BYTES 64

struct kernel_call {
    const char *name;              /* such as "pwrite64"; "stat" for each of its kin that has a name, else "fstat" */
    char file[KERNEL_NAME_BYTES];  /* below the test's directory, "." for that itself, or else the end of a path */
    char other[KERNEL_NAME_BYTES]; /* a second name, or "" */
    uint64_t arguments[6];
    char details[80]; /* kernel_details */
    int error;        /* what it was given instead of being made, or 0 */
};

/* The calls of one run. */
struct kernel_calls {
    /* Called before each call, by the thread of the test. An errno is given to the caller; 0: the call is made. */
    int (*decide)(struct kernel_calls *calls, const struct kernel_call *call);
    void *context;
    size_t count;
    struct kernel_call list[KERNEL_CALLS_MAX];
    /* The thread, and what it is to do. */
    int (*function)(void *argument); /* null: nothing */
    void *argument;
    int result;
    bool ends;
    int listener; /* -1: none yet; -2: impossible */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

#if HAS_KERNEL_CALLS

/* A lock as fcntl gets it: what is done, its kind, and its bytes. */
static inline void kernel_lock_text(const struct kernel_call *call, char *text, size_t size)
{
    const struct flock *lock = (const struct flock *)(uintptr_t)call->arguments[2];
    int command = (int)call->arguments[1];
    const char *action = "other";
#ifdef F_OFD_SETLK
    action = command == F_OFD_SETLK ? "set" : command == F_OFD_GETLK ? "test" : action;
#endif
    if (strcmp(action, "other") == 0) {
        snprintf(text, size, "%s %d", action, command);
        return;
    }
    char kind = lock->l_type == F_RDLCK ? 'r' : lock->l_type == F_WRLCK ? 'w' : 'u';
    snprintf(text, size, "%s %c %lld+%lld%s", action, kind, (long long)lock->l_start, (long long)lock->l_len,
             lock->l_whence == SEEK_SET ? "" : " relative");
}

/* What tells calls of one kind apart, as words; only while the call is stopped. */
static inline void kernel_details(const struct kernel_call *call, char *text, size_t size)
{
    const uint64_t *arguments = call->arguments;
    text[0] = '\0';
    if (strcmp(call->name, "pread64") == 0 || strcmp(call->name, "pwrite64") == 0) {
        snprintf(text, size, "%" PRIu64 "@%" PRIu64, arguments[2], arguments[3]);
    } else if (strcmp(call->name, "ftruncate") == 0) {
        snprintf(text, size, "%" PRIu64, arguments[1]);
    } else if (strcmp(call->name, "fallocate") == 0) {
        snprintf(text, size, "%d %" PRIu64 "@%" PRIu64, (int)arguments[1], arguments[3], arguments[2]);
    } else if (strcmp(call->name, "sync_file_range") == 0) {
        snprintf(text, size, "%" PRIu64 "@%" PRIu64 " %d", arguments[2], arguments[1], (int)arguments[3]);
    } else if (strcmp(call->name, "lseek") == 0) {
        snprintf(text, size, "%" PRIu64 " %d", arguments[1], (int)arguments[2]);
    } else if (strcmp(call->name, "fcntl") == 0) {
        kernel_lock_text(call, text, size);
    } else if (strcmp(call->name, "open") == 0) {
        int flags = (int)arguments[2];
        snprintf(text, size, "%s%s%s%s%s%s %o",
                 (flags & O_ACCMODE) == O_RDONLY   ? "r"
                 : (flags & O_ACCMODE) == O_WRONLY ? "w"
                                                   : "rw",
                 flags & O_CREAT ? " create" : "", flags & O_EXCL ? " new" : "", flags & O_TRUNC ? " truncate" : "",
                 flags & O_DIRECTORY  ? " directory"
                 : flags & O_NONBLOCK ? ""
                                      : " waits",
                 flags & O_CLOEXEC ? "" : " inherited", flags & O_CREAT ? (unsigned)arguments[3] : 0);
    } else if (strcmp(call->name, "ioctl") == 0 && arguments[1] == FICLONERANGE) {
        const struct file_clone_range *range = (const struct file_clone_range *)(uintptr_t)arguments[2];
        snprintf(text, size, "%llu@%llu from %llu", (unsigned long long)range->src_length,
                 (unsigned long long)range->dest_offset, (unsigned long long)range->src_offset);
    } else if (strcmp(call->name, "chmod") == 0) {
        snprintf(text, size, "%o", (unsigned)arguments[2]);
    } else if (strcmp(call->name, "renameat2") == 0) {
        snprintf(text, size, "%d", (int)arguments[4]);
    } else if (strcmp(call->name, "getxattr") == 0 || strcmp(call->name, "setxattr") == 0) {
        snprintf(text, size, "%s", (const char *)(uintptr_t)arguments[2]);
    }
}

/* Where the names of the files stand among the arguments: a descriptor, a path, or two paths. */
enum kernel_names { NAMES_FD, NAMES_PATH, NAMES_PATH_AT, NAMES_TWO, NAMES_TWO_AT, NAMES_NONE };

static const struct kernel_shape {
    int number;
    const char *name;
    enum kernel_names names;
} kernel_shapes[] = {
    {SYS_read, "read", NAMES_FD},
    {SYS_write, "write", NAMES_FD},
    {SYS_pread64, "pread64", NAMES_FD},
    {SYS_pwrite64, "pwrite64", NAMES_FD},
    {SYS_preadv, "preadv", NAMES_FD},
    {SYS_pwritev, "pwritev", NAMES_FD},
    {SYS_fsync, "fsync", NAMES_FD},
    {SYS_fdatasync, "fdatasync", NAMES_FD},
    {SYS_sync_file_range, "sync_file_range", NAMES_FD},
    {SYS_syncfs, "syncfs", NAMES_FD},
    {SYS_sync, "sync", NAMES_NONE},
    {SYS_ftruncate, "ftruncate", NAMES_FD},
    {SYS_truncate, "truncate", NAMES_PATH},
    {SYS_fallocate, "fallocate", NAMES_FD},
    {SYS_lseek, "lseek", NAMES_FD},
    {SYS_fcntl, "fcntl", NAMES_FD},
    {SYS_flock, "flock", NAMES_FD},
    {SYS_ioctl, "ioctl", NAMES_FD},
    {SYS_close, "close", NAMES_FD},
    {SYS_fstat, "fstat", NAMES_FD},
    {SYS_newfstatat, "stat", NAMES_PATH_AT},
    {SYS_openat, "open", NAMES_PATH_AT},
    {SYS_fchmod, "fchmod", NAMES_FD},
    {SYS_fchown, "fchown", NAMES_FD},
    {SYS_fchmodat, "chmod", NAMES_PATH_AT},
    {SYS_fchownat, "chown", NAMES_PATH_AT},
    {SYS_renameat2, "renameat2", NAMES_TWO_AT},
    {SYS_linkat, "link", NAMES_TWO_AT},
    {SYS_unlinkat, "unlink", NAMES_PATH_AT},
    {SYS_listxattr, "listxattr", NAMES_PATH},
    {SYS_getxattr, "getxattr", NAMES_PATH},
    {SYS_setxattr, "setxattr", NAMES_PATH},
#ifdef SYS_renameat
    {SYS_renameat, "rename", NAMES_TWO_AT},
#endif
#ifdef SYS_open /* newer processors have only the calls that end in "at" */
    {SYS_open, "open", NAMES_PATH},
    {SYS_stat, "stat", NAMES_PATH},
    {SYS_lstat, "stat", NAMES_PATH},
    {SYS_chmod, "chmod", NAMES_PATH},
    {SYS_chown, "chown", NAMES_PATH},
    {SYS_lchown, "chown", NAMES_PATH},
    {SYS_rename, "rename", NAMES_TWO},
    {SYS_link, "link", NAMES_TWO},
    {SYS_unlink, "unlink", NAMES_PATH},
#endif
};

#define KERNEL_SHAPES (sizeof kernel_shapes / sizeof kernel_shapes[0])

/* The filter that stops at these calls. Returns the listener, or -1. */
static inline int kernel_listen(void)
{
    struct sock_filter filter[KERNEL_SHAPES + 3];
    size_t count = 0;
    filter[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < KERNEL_SHAPES; i++) {
        unsigned char to_the_last = (unsigned char)(KERNEL_SHAPES - i);
        filter[count++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)kernel_shapes[i].number, to_the_last, 0);
    }
    filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {(unsigned short)count, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* By closing this descriptor the thread says that the function has returned. */
#define KERNEL_END (-77)

static inline void *kernel_thread(void *context)
{
    struct kernel_calls *calls = context;
    int listener = kernel_listen();
    pthread_mutex_lock(&calls->lock);
    calls->listener = listener >= 0 ? listener : -2;
    pthread_cond_broadcast(&calls->changed);
    while (!calls->ends) {
        if (calls->function) {
            int (*function)(void *) = calls->function;
            calls->function = NULL;
            pthread_mutex_unlock(&calls->lock);
            calls->result = function(calls->argument);
            close(KERNEL_END);
            pthread_mutex_lock(&calls->lock);
        } else {
            pthread_cond_wait(&calls->changed, &calls->lock);
        }
    }
    pthread_mutex_unlock(&calls->lock);
    return NULL;
}

/* The name of a path: below the directory, or its end. */
static inline void kernel_name(const char *path, char name[KERNEL_NAME_BYTES])
{
    size_t length = strlen(directory), whole = strlen(path);
    if (strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0')) {
        path += length + (path[length] == '/');
        path = *path ? path : ".";
    } else if (whole >= KERNEL_NAME_BYTES) {
        path += whole - KERNEL_NAME_BYTES + 1;
    }
    snprintf(name, KERNEL_NAME_BYTES, "%.*s", KERNEL_NAME_BYTES - 1, path);
}

static inline void kernel_descriptor_name(int descriptor, char name[KERNEL_NAME_BYTES])
{
    char link[64], path[PATH_SIZE] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    kernel_name(path, name);
}

static inline void kernel_path_name(uint64_t address, char name[KERNEL_NAME_BYTES])
{
    kernel_name((const char *)(uintptr_t)address, name); /* of a thread of this process */
}

static inline struct kernel_call kernel_describe(const struct seccomp_data *data)
{
    struct kernel_call call = {.name = "?"};
    for (size_t i = 0; i < 6; i++) {
        call.arguments[i] = data->args[i];
    }
    const struct kernel_shape *shape = kernel_shapes;
    while (shape->number != data->nr) {
        shape++;
    }
    call.name = shape->name;
    /* fstat is newfstatat with an empty path. */
    bool empty = shape->names == NAMES_PATH_AT && *(const char *)(uintptr_t)data->args[1] == '\0';
    bool two = shape->names == NAMES_TWO || shape->names == NAMES_TWO_AT;
    bool at = shape->names == NAMES_PATH_AT || shape->names == NAMES_TWO_AT;
    if (shape->names == NAMES_PATH) { /* the arguments stand where those of the call that ends in "at" do */
        memmove(call.arguments + 1, call.arguments, 5 * sizeof call.arguments[0]);
        at = true;
    }
    if (shape->names == NAMES_FD || empty) {
        call.name = empty ? "fstat" : call.name;
        kernel_descriptor_name((int)data->args[0], call.file);
    } else if (shape->names != NAMES_NONE) {
        kernel_path_name(call.arguments[at ? 1 : 0], call.file);
    }
    if (two) {
        kernel_path_name(data->args[at ? 3 : 1], call.other);
    }
    return call;
}

/* Answers one call. False: the function has returned. */
static inline bool kernel_answer(struct kernel_calls *calls)
{
    struct seccomp_notif notice;
    struct seccomp_notif_resp answer;
    memset(&notice, 0, sizeof notice);
    memset(&answer, 0, sizeof answer);
    if (syscall(SYS_ioctl, calls->listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) != 0) {
        assert_int_equal(errno, EINTR);
        return true;
    }
    struct kernel_call call = kernel_describe(&notice.data);
    kernel_details(&call, call.details, sizeof call.details);
    bool ends = strcmp(call.name, "close") == 0 && (int)call.arguments[0] == KERNEL_END;
    if (!ends) {
        call.error = calls->decide ? calls->decide(calls, &call) : 0;
        assert_true(calls->count < KERNEL_CALLS_MAX);
        calls->list[calls->count++] = call;
    }
    if (call.error != 0 && strcmp(call.name, "close") == 0) {
        close((int)call.arguments[0]); /* as Linux does, whatever the error */
    }
    answer.id = notice.id;
    answer.error = -call.error;
    answer.flags = call.error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
    assert_int_equal((int)syscall(SYS_ioctl, calls->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
    return !ends;
}

/* Runs the function in the thread, and returns what it returns. */
static inline int kernel_run(struct kernel_calls *calls, int (*function)(void *argument), void *argument)
{
    calls->count = 0;
    pthread_mutex_lock(&calls->lock);
    calls->function = function;
    calls->argument = argument;
    pthread_cond_broadcast(&calls->changed);
    pthread_mutex_unlock(&calls->lock);
    while (kernel_answer(calls)) {
    }
    return calls->result;
}

static inline void kernel_stop(struct kernel_calls *calls)
{
    pthread_mutex_lock(&calls->lock);
    calls->ends = true;
    pthread_cond_broadcast(&calls->changed);
    pthread_mutex_unlock(&calls->lock);
    pthread_join(calls->thread, NULL);
    if (calls->listener >= 0) {
        close(calls->listener);
    }
    pthread_cond_destroy(&calls->changed);
    pthread_mutex_destroy(&calls->lock);
    free(calls);
}

/* Starts the thread. Skips the test where that is impossible. The caller calls kernel_stop. */
static inline struct kernel_calls *kernel_start(void)
{
    struct kernel_calls *calls = calloc(1, sizeof *calls);
    assert_non_null(calls);
    calls->listener = -1;
    pthread_mutex_init(&calls->lock, NULL);
    pthread_cond_init(&calls->changed, NULL);
    assert_int_equal(pthread_create(&calls->thread, NULL, kernel_thread, calls), 0);
    pthread_mutex_lock(&calls->lock);
    while (calls->listener == -1) {
        pthread_cond_wait(&calls->changed, &calls->lock);
    }
    pthread_mutex_unlock(&calls->lock);
    if (calls->listener < 0) {
        kernel_stop(calls);
        skip();
    }
    return calls;
}

#else

static inline int kernel_run(struct kernel_calls *calls, int (*function)(void *argument), void *argument)
{
    (void)calls, (void)function, (void)argument;
    return 0;
}

static inline void kernel_stop(struct kernel_calls *calls)
{
    (void)calls;
}

static inline struct kernel_calls *kernel_start(void)
{
    skip();
    return NULL;
}

#endif

#endif
