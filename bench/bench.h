/*
 * Shared by all parts of the benchmark. bench.c describes the method.
 *
 * Nothing here returns an error: a measurement that cannot be made ends the program (fail), and the process that
 * started it removes the files.
 */
#ifndef ADDCOW_BENCH_H
#define ADDCOW_BENCH_H

#include "addcow_fast.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

#define CLUSTER_BITS 16u
#define CLUSTER (64 * KIB)
#define REQUEST (4 * KIB)
#define THREADS_MAX 256u

/* ---- Errors ---- */

/* Prints the message and ends the program with status 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails with the engine's message unless `code` is ADDCOW_OK. */
void check_engine(enum addcow_status code, const struct addcow_error *error);

/* Fails with errno's message unless `transferred` is `size`. */
void check_transfer(ssize_t transferred, uint64_t size, const char *what);

/* Never null; aligned to 4096 and filled with bytes that are not zero. */
void *buffer_new(uint64_t size);

/* ---- Threads (team.c) ---- */

/* Threads that wait between slices. Thread 0 is the caller of team_run. */
struct team;

/* One thread's share of one slice. The same seed means the same offsets. */
typedef void slice_function(void *context, unsigned thread, uint64_t seed);

struct team *team_new(unsigned threads);
void team_free(struct team *team);

/* Runs one slice in all threads at once: nanoseconds from the first thread's start to the last one's end. */
double team_run(struct team *team, slice_function *run, void *context, uint64_t seed);

/* ---- Racing (race.c) ---- */

struct contestant {
    struct team *team;
    void (*prepare)(void *context); /* before each slice, not timed; may be null */
    slice_function *run;
    void (*finish)(void *context); /* after each slice, not timed; may be null */
    void *context;
};

#define CONTESTANTS_MAX 4u

/* The nanoseconds of each contestant's quicker slice in each round: times[contestant][round]. */
struct race {
    unsigned rounds;
    double *times[CONTESTANTS_MAX];
};

/*
 * Each round runs every contestant once forwards and once backwards, so that neither order nor a drift favours one. Of
 * n contestants, i and n - 1 - i get the same seeds. Free with race_free.
 */
struct race race_run(const struct contestant *contestants, unsigned count, unsigned rounds);
void race_free(struct race *race);

struct spread {
    double median;
    double low;  /* lower quartile */
    double high; /* upper quartile */
};

/* Sorts `values`. */
struct spread spread_of(double *values, unsigned count);

/* The spread, over the rounds, of one contestant's time over another's. */
struct spread race_ratio(const struct race *race, unsigned numerator, unsigned denominator);

/* The median time of a slice of one contestant, in nanoseconds. */
double race_median(const struct race *race, unsigned contestant);

/* A pseudo-random number for each pair; the same one every time. */
uint64_t random_of(uint64_t seed, uint64_t index);

/* ---- Storage (storage.c) ---- */

/* POSIX files in the page cache: sync and rename do not wait for the device. */
struct addcow_storage *storage_cached(void);
/* The same, and every function of a file takes 1 ms longer. */
struct addcow_storage *storage_slow(void);
/* Waits 1 ms, as a function of such a file does. */
void storage_wait(void);
/* Like storage_cached, but a sync takes 1 ms, and is counted. */
struct addcow_storage *storage_counting(void);
/* The syncs that storage_counting has seen. */
uint64_t storage_syncs(void);

/* ---- Disks (disk.c) ---- */

/*
 * A disk with clusters of 64 KiB over a raw backing file, opened for writing, and its files opened again for bare
 * access.
 */
struct disk {
    const char *name;
    uint64_t size;
    uint64_t backing_size; /* the backing file is full of data, and shared by disks that ask for the same size */
    struct addcow_storage *storage;
    struct addcow *handle;
    int image;
    int backing;
    int metadata;
};

struct disk_names {
    const char *metadata;
    const char *image;
    const char *backing;
    const char *format; /* of the backing file */
};
/* Creates a disk of `size` bytes, all clusters unallocated. */
void disk_make(const struct disk_names *names, uint64_t size, struct addcow_storage *storage);
/*
 * Creates the files below the current directory from name, size, backing_size and storage, all clusters unallocated,
 * and opens them.
 */
void disk_create(struct disk *disk);
/* Closes and removes the files; the backing file stays for the next disk. */
void disk_remove(struct disk *disk);
/* The same for a race, as its preparation and its end: `context` is a struct that begins with its disk. */
void disk_prepare(void *context);
void disk_finish(void *context);
/* Allocates every cluster by writing it, in order. */
void disk_fill(struct disk *disk);

/* ---- Cases ---- */

enum sense { AT_LEAST, AT_MOST, NO_TARGET };

struct result {
    double bare;   /* in `unit`; NaN where there is nothing to compare with */
    double engine; /* in `unit` */
    double value;  /* compared with the target, mostly a ratio; NaN, a miss, if it cannot be measured */
    double low;    /* quartiles of the value over the rounds; NaN if it was measured once */
    double high;
};

struct settings {
    bool quick;
};

struct bench_case {
    const char *name;
    unsigned threads;
    const char *unit;       /* of the columns bare and engine */
    const char *value_unit; /* "" for a ratio */
    enum sense sense;
    double target;
    void (*run)(const struct bench_case *self, const struct settings *settings, struct result *result);
};

/* Requests to allocated clusters and first writes, against bare pread and pwrite (requests.c). */
extern const struct bench_case request_cases[];
extern const unsigned request_case_count;
/* Opening, memory, and time per operation on disks up to 4 TiB (scale.c). */
extern const struct bench_case scale_cases[];
extern const unsigned scale_case_count;
/* Requests that wait for storage, and flushes that join (waiting.c). */
extern const struct bench_case waiting_cases[];
extern const unsigned waiting_case_count;
/* Many requests at once, and long chains (in_flight.c). */
extern const struct bench_case in_flight_cases[];
extern const unsigned in_flight_case_count;

#endif
