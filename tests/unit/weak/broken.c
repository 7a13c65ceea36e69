/*
 * Compiled like the engine under weak memory.
 */
#include "broken.h"

#include "addcow_storage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct state {
    _Atomic(uint64_t) flag, other;
    _Atomic(void *) pointer;
    uint64_t plain;
    uint8_t bytes[2];
    pthread_mutex_t lock, second;
    pthread_cond_t changed;
    struct addcow_file *image, *metadata;
};

static struct state *state;

static void setup(void)
{
    state = calloc(1, sizeof *state);
    pthread_mutex_init(&state->lock, NULL);
    pthread_mutex_init(&state->second, NULL);
    pthread_cond_init(&state->changed, NULL);
}

static void setup_files(void)
{
    static const uint8_t zeros[1024];
    setup();
    struct addcow_storage *storage = weak_storage();
    weak_put("image", zeros, sizeof zeros);
    weak_put("metadata", zeros, sizeof zeros);
    storage->ops->open(storage, "image", ADDCOW_FILE_READWRITE, &state->image);
    storage->ops->open(storage, "metadata", ADDCOW_FILE_READWRITE, &state->metadata);
    weak_judge_bitmap("metadata", 512, "image", 512);
}

/* ---- Publication ---- */

static void publish(unsigned self, memory_order store, memory_order load)
{
    if (self == 0) {
        state->plain = 1;
        if (store == memory_order_relaxed) {
            atomic_store_explicit(&state->flag, 1, memory_order_relaxed);
        } else {
            atomic_store_explicit(&state->flag, 1, memory_order_release);
        }
        return;
    }
    uint64_t seen = load == memory_order_relaxed ? atomic_load_explicit(&state->flag, memory_order_relaxed)
                                                 : atomic_load_explicit(&state->flag, memory_order_acquire);
    if (seen == 1 && state->plain != 1) {
        weak_fail("the content is not there");
    }
}

static void published(unsigned self)
{
    publish(self, memory_order_release, memory_order_acquire);
}

static void published_relaxed(unsigned self)
{
    publish(self, memory_order_relaxed, memory_order_acquire);
}

static void looked_up_relaxed(unsigned self)
{
    publish(self, memory_order_release, memory_order_relaxed);
}

static void bytes_of_one_word(unsigned self)
{
    state->bytes[self]++;
}

static void one_byte(unsigned self)
{
    state->bytes[self / 2]++;
}

/* ---- Waiting ---- */

/* Thread 0 waits until thread 1 has counted down. Each stores first and loads second. */
static void wait_for(unsigned self, memory_order order)
{
    bool strong = order == memory_order_seq_cst;
    if (self == 0) {
        pthread_mutex_lock(&state->lock);
        atomic_store_explicit(&state->flag, 1, memory_order_seq_cst);
        while (atomic_load_explicit(&state->other, memory_order_seq_cst) == 0) {
            pthread_cond_wait(&state->changed, &state->lock);
        }
        pthread_mutex_unlock(&state->lock);
        return;
    }
    if (strong) {
        atomic_store_explicit(&state->other, 1, memory_order_seq_cst);
    } else {
        atomic_store_explicit(&state->other, 1, memory_order_release);
    }
    if (atomic_load_explicit(&state->flag, memory_order_seq_cst) == 1) {
        pthread_mutex_lock(&state->lock);
        pthread_cond_broadcast(&state->changed);
        pthread_mutex_unlock(&state->lock);
    }
}

static void waited(unsigned self)
{
    wait_for(self, memory_order_seq_cst);
}

static void wake_up_lost(unsigned self)
{
    wait_for(self, memory_order_release);
}

static void broadcast_without_lock(unsigned self)
{
    if (self == 0) {
        pthread_mutex_lock(&state->lock);
        if (atomic_load(&state->flag) == 0) {
            pthread_cond_wait(&state->changed, &state->lock);
        }
        pthread_mutex_unlock(&state->lock);
    } else {
        atomic_store(&state->flag, 1);
        pthread_cond_broadcast(&state->changed);
    }
}

static void locks_crossed(unsigned self)
{
    pthread_mutex_lock(self == 0 ? &state->lock : &state->second);
    pthread_mutex_lock(self == 0 ? &state->second : &state->lock);
    pthread_mutex_unlock(&state->second);
    pthread_mutex_unlock(&state->lock);
}

static void locks_in_order(unsigned self)
{
    (void)self;
    locks_crossed(0);
}

static void lock_kept(unsigned self)
{
    (void)self;
    pthread_mutex_lock(&state->lock);
}

static void without_end(unsigned self)
{
    (void)self;
    while (atomic_load_explicit(&state->flag, memory_order_acquire) == 0) {
    }
}

/* ---- Memory ---- */

static void use_and_free(unsigned self, bool ordered)
{
    uint64_t *memory;
    if (self == 0) {
        memory = malloc(sizeof *memory);
        *memory = 7;
        atomic_store_explicit(&state->pointer, memory, memory_order_release);
        if (!ordered || atomic_load_explicit(&state->other, memory_order_acquire) == 1) {
            free(memory);
        }
        return;
    }
    memory = atomic_load_explicit(&state->pointer, memory_order_acquire);
    if (memory != NULL && *memory != 7) {
        weak_fail("the memory has changed");
    }
    atomic_store_explicit(&state->other, 1, memory_order_release);
}

static void freed_after_use(unsigned self)
{
    use_and_free(self, true);
}

static void freed_too_soon(unsigned self)
{
    use_and_free(self, false);
}

static void used_after_free(unsigned self)
{
    if (self == 0) {
        void *memory = malloc(8);
        free(memory);
        atomic_store_explicit(&state->pointer, memory, memory_order_release);
    } else {
        uint64_t *memory = atomic_load_explicit(&state->pointer, memory_order_acquire);
        if (memory != NULL) {
            *memory = 1;
        }
    }
}

/* ---- Files ---- */

static void write_and_tell(unsigned self, memory_order order)
{
    uint8_t sector[512] = {1};
    if (self == 0) {
        state->image->ops->pwrite(state->image, sector, sizeof sector, 0);
        if (order == memory_order_relaxed) {
            atomic_store_explicit(&state->flag, 1, memory_order_relaxed);
        } else {
            atomic_store_explicit(&state->flag, 1, memory_order_release);
        }
    } else if (atomic_load_explicit(&state->flag, memory_order_acquire) == 1) {
        state->image->ops->pread(state->image, sector, sizeof sector, 0);
        if (sector[0] != 1) {
            weak_fail("the file has what was there before");
        }
    }
}

static void told(unsigned self)
{
    write_and_tell(self, memory_order_release);
}

static void told_relaxed(unsigned self)
{
    write_and_tell(self, memory_order_relaxed);
}

/* Two threads write parts of one sector: none is lost. */
static void write_parts(unsigned self)
{
    uint8_t part[256] = {(uint8_t)(self + 1)};
    state->image->ops->pwrite(state->image, part, sizeof part, self * sizeof part);
}

static void both_parts(void)
{
    uint8_t sector[512];
    state->image->ops->pread(state->image, sector, sizeof sector, 0);
    if (sector[0] != 1 || sector[256] != 2) {
        weak_fail("a part of a sector is lost");
    }
}

static void write_bit(bool sync)
{
    uint8_t sector[512] = {1};
    state->image->ops->pwrite(state->image, sector, sizeof sector, 0);
    if (sync) {
        state->image->ops->sync(state->image);
    }
    state->metadata->ops->pwrite(state->metadata, sector, 1, 512);
}

static void bit_after_sync(unsigned self)
{
    if (self == 0) {
        write_bit(true);
    }
}

static void bit_without_sync(unsigned self)
{
    if (self == 0) {
        write_bit(false);
    }
}

/* The sync of another thread is not ordered after the write. */
static void bit_beside_sync(unsigned self)
{
    if (self == 0) {
        write_bit(false);
    } else {
        state->image->ops->sync(state->image);
    }
}

#define WITHOUT_FILES(name, thread) {name, "", 2, setup, thread, NULL}
#define WITH_FILES(name, thread, finish) {name, "", 2, setup_files, thread, finish}

const struct litmus_broken litmus_broken[] = {
    {WITHOUT_FILES("published", published), NULL},
    {WITHOUT_FILES("published relaxed", published_relaxed), "data race"},
    {WITHOUT_FILES("looked up relaxed", looked_up_relaxed), "data race"},
    {WITHOUT_FILES("bytes of one word", bytes_of_one_word), NULL},
    {WITHOUT_FILES("one byte", one_byte), "data race"},
    {WITHOUT_FILES("waited", waited), NULL},
    {WITHOUT_FILES("wake-up lost", wake_up_lost), "deadlock: thread 0 waits for a broadcast"},
    {WITHOUT_FILES("broadcast without lock", broadcast_without_lock), "deadlock: thread 0 waits for a broadcast"},
    {WITHOUT_FILES("locks crossed", locks_crossed), "waits for a lock"},
    {WITHOUT_FILES("locks in order", locks_in_order), NULL},
    {WITHOUT_FILES("lock kept", lock_kept), "waits for a lock"},
    {WITHOUT_FILES("without end", without_end), "without end"},
    {WITHOUT_FILES("freed after use", freed_after_use), NULL},
    {WITHOUT_FILES("freed too soon", freed_too_soon), "by thread 1"},
    {WITHOUT_FILES("used after free", used_after_free), "use after free"},
    {WITH_FILES("told", told, NULL), NULL},
    {WITH_FILES("told relaxed", told_relaxed, NULL), "the file has what was there before"},
    {WITH_FILES("parts of a sector", write_parts, both_parts), NULL},
    {WITH_FILES("bit after sync", bit_after_sync, NULL), NULL},
    {WITH_FILES("bit without sync", bit_without_sync, NULL), "DUR-03"},
    {WITH_FILES("bit beside sync", bit_beside_sync, NULL), "DUR-03"},
    {{NULL, NULL, 0, NULL, NULL, NULL}, NULL},
};
