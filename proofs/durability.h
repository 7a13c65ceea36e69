/*
 * The model of volatile storage that proofs/durability.c is about: its state, and what is true of it at any time.
 *
 * Between two syncs of a file, its stores may reach the disk in any order or not at all. So the model holds each thing
 * more than once. It has the image as the system shows it (`cache`) and as it is on the disk (`durable`), with a log of
 * the stores that were not synced. It has the bits in memory, in the metadata file, and on the disk. An adversary makes
 * stores of the log durable at any time, byte by byte, and bits that were written. Bytes are finer than the sectors of
 * the spec, so this covers torn sectors (DUR-04).
 *
 * A version stands for the content of a byte. NOTHING is what an image byte holds before it was filled, and 0 is the
 * content of the backing file. The writes of all bytes are numbered in their order, and the number is the version.
 * `place_of` says which byte a number belongs to, so that nothing can show what was never written there. A byte is read
 * from the image if the bit of its cluster is 1, else from the backing file. `floors` has the oldest versions that a
 * crash may bring back; flush raises them.
 *
 * A sync that fails forgets: stores to the image, and bits, that it should have made durable may never become durable.
 * Later syncs report success, and do nothing about them.
 *
 * The sizes are constants because C needs them: no proof depends on their values.
 */
#ifndef DURABILITY_H
#define DURABILITY_H

#include <stdint.h>

#define CLUSTER_SIZE 65536u
#define CLUSTERS 0x100000u
#define BYTES 0x1000000000u /* CLUSTER_SIZE * CLUSTERS */
#define LOG_MAX 0x10000000u
#define WRITES_MAX 0x10000000000
#define PAUSES (2u * CLUSTERS + 8u) /* at least as many as there are steps in a flush */
#define NOTHING (-1)

static int64_t cache[BYTES];    /* versions of the image's bytes as the system shows them */
static int64_t durable[BYTES];  /* on the disk */
static uint8_t unsynced[BYTES]; /* stored since the last sync, which the next sync will make durable */
static int64_t floors[BYTES];   /* the oldest versions that a crash may bring back */
static int64_t next[BYTES];     /* what the floors will be when the running flush returns */

static int64_t writes;                /* how many there were */
static uint64_t place_of[WRITES_MAX]; /* the byte that each one wrote */

static uint64_t log_place[LOG_MAX]; /* the stores since the last sync of the image */
static int64_t log_version[LOG_MAX];
static uint64_t log_count;
static int image_failed; /* a sync of the image has failed since the disk was opened */

static uint8_t bits_memory[CLUSTERS];
static uint8_t dirty[CLUSTERS];     /* set in memory, and no flush has taken it yet */
static uint8_t bits_file[CLUSTERS]; /* written, and may reach the disk at any time */
static uint8_t bits_sent[CLUSTERS]; /* written, and the next sync will make it durable */
static uint8_t bits_durable[CLUSTERS];
static uint8_t snapshot[CLUSTERS]; /* what the running flush writes */
static uint64_t snapped;           /* how many bits it has looked at; 0 if none runs */
static int has_taken;              /* whether it took one */

static uint64_t plan[PAUSES];  /* the adversary's choice: how many steps to make between two steps of a flush */
static uint64_t pause;         /* between which two */
static int others_acted;       /* since the last step of the flush */
static uint64_t requests_made; /* steps, in the last pause */
static uint64_t storage_made;

static volatile uint64_t any; /* each read of it is a free choice of the adversary */

/* What a step of a request may change, of the storage, and both with what they count. */
#define REQUESTS_CHANGE                                                                                                \
    cache[0 ..BYTES - 1], unsynced[0 ..BYTES - 1], log_place[0 ..LOG_MAX - 1], log_version[0 ..LOG_MAX - 1],           \
        log_count, writes, place_of[0 ..WRITES_MAX - 1], bits_memory[0 ..CLUSTERS - 1], dirty[0 ..CLUSTERS - 1],       \
        requests_made
#define STORAGE_CHANGES durable[0 ..BYTES - 1], bits_durable[0 ..CLUSTERS - 1], storage_made
#define OTHERS_CHANGE REQUESTS_CHANGE, STORAGE_CHANGES, pause, others_acted

/*@
  // VRT-02: the version of a byte that a read returns
  logic integer seen{L}(integer i) = bits_memory[i / CLUSTER_SIZE] != 0 ? cache[i] : 0;

  // The version is the content of the backing file, or one that was written to this byte.
  predicate written{L}(integer i, integer version) =
    version == 0 || (0 < version <= writes && place_of[version] == i);

  // Nothing holds a content that was never written there.
  predicate known{L} = 0 <= writes < WRITES_MAX &&
    (\forall integer i; 0 <= i < BYTES ==> cache[i] == NOTHING || written(i, cache[i])) &&
    (\forall integer i; 0 <= i < BYTES ==> durable[i] == NOTHING || written(i, durable[i])) &&
    (\forall integer i; 0 <= i < BYTES ==> written(i, floors[i])) &&
    (\forall integer j; 0 <= j < log_count ==> written(log_place[j], log_version[j]));

  predicate logged{L} = log_count <= LOG_MAX && (\forall integer j; 0 <= j < log_count ==> log_place[j] < BYTES);

  // As long as no sync of the image has failed, the next one knows of all that is not on the disk (DUR-07).
  predicate remembered{L} = image_failed == 0 ==>
    (\forall integer i; 0 <= i < BYTES && unsynced[i] == 0 ==> durable[i] == cache[i]) &&
    (\forall integer j; 0 <= j < log_count ==> unsynced[log_place[j]] != 0);

  // Bits go from memory to the file to the disk.
  predicate ordered{L} = \forall integer k; 0 <= k < CLUSTERS ==>
    (bits_durable[k] != 0 ==> bits_file[k] != 0) && (bits_file[k] != 0 ==> bits_memory[k] != 0) &&
    (bits_sent[k] != 0 ==> bits_file[k] != 0) && (dirty[k] != 0 ==> bits_memory[k] != 0);

  // A bit that is not on the disk is to be written, by the running flush or the next one (DUR-06).
  predicate kept{L} = snapped <= CLUSTERS && (\forall integer k; 0 <= k < CLUSTERS && bits_memory[k] != 0 ==>
    dirty[k] != 0 || bits_durable[k] != 0 || (k < snapped && snapshot[k] != 0));

  // A byte whose bit may reach the disk is good there, and so is whatever may still replace it (DUR-03).
  predicate covered{L} =
    (\forall integer i; 0 <= i < BYTES && bits_file[i / CLUSTER_SIZE] != 0 ==> durable[i] >= floors[i]) &&
    (\forall integer j; 0 <= j < log_count && bits_file[log_place[j] / CLUSTER_SIZE] != 0 ==>
      log_version[j] >= floors[log_place[j]]);

  // Where a crash brings back the backing file, nothing newer was promised; what is shown is as new as was promised.
  predicate promised{L} = \forall integer i; 0 <= i < BYTES ==>
    (bits_durable[i / CLUSTER_SIZE] == 0 ==> floors[i] == 0) &&
    (bits_memory[i / CLUSTER_SIZE] != 0 ==> cache[i] >= floors[i]);

  // The invariant. While it holds, a crash shows nothing that is older than its floor or was never written.
  predicate sound{L} = known && logged && remembered && ordered && kept && covered && promised;

  // The versions that the running flush has to make durable are there, and so are the bits that it has taken so far.
  predicate taken{L} =
    (\forall integer i; 0 <= i < BYTES ==> next[i] >= floors[i] && written(i, next[i]) &&
      (bits_memory[i / CLUSTER_SIZE] != 0 ==> cache[i] >= next[i]) &&
      (bits_memory[i / CLUSTER_SIZE] == 0 ==> next[i] == 0)) &&
    (\forall integer k; 0 <= k < snapped && snapshot[k] != 0 ==> bits_memory[k] != 0 && has_taken != 0) &&
    (\forall integer i; 0 <= i < BYTES && i / CLUSTER_SIZE < snapped && snapshot[i / CLUSTER_SIZE] == 0 ==>
      next[i] == 0 || bits_durable[i / CLUSTER_SIZE] != 0);

  // The bytes below the taken bits are on the disk, as are those below older bits, and nothing older may replace them.
  predicate secured{L} = snapped == CLUSTERS &&
    (\forall integer i; 0 <= i < BYTES && (snapshot[i / CLUSTER_SIZE] != 0 || bits_file[i / CLUSTER_SIZE] != 0) ==>
      durable[i] >= next[i]) &&
    (\forall integer j; 0 <= j < log_count &&
      (snapshot[log_place[j] / CLUSTER_SIZE] != 0 || bits_file[log_place[j] / CLUSTER_SIZE] != 0) ==>
      log_version[j] >= next[log_place[j]]);

  // Each byte of a cluster holds something.
  predicate filled{L}(integer k) = \forall integer i; 0 <= i < BYTES && i / CLUSTER_SIZE == k ==> cache[i] >= 0;
*/

#endif
