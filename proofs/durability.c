/*
 * A model of volatile storage, and the proof that flush keeps its promises on it. Only the prover reads this; it is no
 * part of the library.
 *
 * Between two syncs of a file, its stores may reach the disk in any order or not at all. So the model holds each thing
 * at least twice. It has the image as the system shows it (`cache`) and as it is on the disk (`durable`), with a log of
 * the stores that were not synced. It has the bits in memory, in the metadata file, and on the disk. An adversary makes
 * stores of the log durable at any time, byte by byte, and bits that were written. Bytes are finer than the sectors of
 * the spec, so this covers torn sectors (DUR-04).
 *
 * A version stands for the content of a byte. NOTHING is what an image byte holds before it was filled; 0 is the
 * content of the backing file; each write of a byte has a larger version than the one before it. A byte is read from
 * the image if the bit of its cluster is 1, else from the backing file. `floor` is the oldest version that a crash may
 * bring back; flush raises it. `sound` is the invariant: while it holds, a crash shows no byte as NOTHING and none
 * older than its floor. Every step of a request, of flush and of the adversary keeps it. Any number of steps of the
 * others run between those of flush.
 *
 * flush follows the order of the engine: take the bits one by one, sync the image, write the bits that were taken, sync
 * the metadata file. If the model can tell right from wrong, these changes must fail to prove: in flush, write_bits
 * before sync_image, take_snapshot after it, no sync_image, no sync_metadata; in write_bits, bits_memory instead of
 * snapshot; in step_of_request, publish without is_filled.
 *
 * Not in the model: bits that go back to 0 (resize and commit), "all allocated", flushes that join, and an image that
 * loses data it had shown after its sync has failed (DUR-07).
 *
 * The sizes are constants because C needs them: no proof depends on their values.
 */
#include <stdint.h>

#define CLUSTER_SIZE 65536u
#define CLUSTERS 0x100000u
#define BYTES 0x1000000000u /* CLUSTER_SIZE * CLUSTERS */
#define LOG_MAX 0x10000000u
#define NOTHING (-1)

static int64_t cache[BYTES];   /* versions of the image's bytes as the system shows them */
static int64_t durable[BYTES]; /* on the disk */
static int64_t floors[BYTES];  /* the oldest versions that a crash may bring back */
static int64_t next[BYTES];    /* what the floors will be when the running flush returns */

static uint64_t log_place[LOG_MAX]; /* the stores since the last sync of the image */
static int64_t log_version[LOG_MAX];
static uint64_t log_count;

static uint8_t bits_memory[CLUSTERS];
static uint8_t bits_file[CLUSTERS]; /* written, but perhaps not on the disk */
static uint8_t bits_durable[CLUSTERS];
static uint8_t snapshot[CLUSTERS]; /* what the running flush writes */
static uint64_t snapped;           /* how many bits it has looked at */

static volatile uint64_t any; /* each read of it is a free choice of the adversary */

/*@
  // VRT-02: the version of a byte that a read returns
  logic integer seen{L}(integer i) = bits_memory[i / CLUSTER_SIZE] != 0 ? cache[i] : 0;

  predicate logged{L} = log_count <= LOG_MAX && (\forall integer j; 0 <= j < log_count ==> log_place[j] < BYTES);

  // Bits go from memory to the file to the disk.
  predicate ordered{L} = \forall integer k; 0 <= k < CLUSTERS ==>
    (bits_durable[k] != 0 ==> bits_file[k] != 0) && (bits_file[k] != 0 ==> bits_memory[k] != 0);

  // A byte whose bit may reach the disk is good there, and so is whatever may still replace it (DUR-03).
  predicate covered{L} =
    (\forall integer i; 0 <= i < BYTES && bits_file[i / CLUSTER_SIZE] != 0 ==> durable[i] >= floors[i]) &&
    (\forall integer j; 0 <= j < log_count && bits_file[log_place[j] / CLUSTER_SIZE] != 0 ==>
      log_version[j] >= floors[log_place[j]]);

  // Where a crash brings back the backing file, nothing newer was promised; what is shown is as new as was promised.
  predicate promised{L} = \forall integer i; 0 <= i < BYTES ==> floors[i] >= 0 &&
    (bits_durable[i / CLUSTER_SIZE] == 0 ==> floors[i] == 0) &&
    (bits_memory[i / CLUSTER_SIZE] != 0 ==> cache[i] >= floors[i]);

  predicate sound{L} = logged && ordered && covered && promised;

  // The versions that the running flush has to make durable are there, and so are the bits that it has taken so far.
  predicate taken{L} =
    (\forall integer i; 0 <= i < BYTES ==> next[i] >= floors[i] &&
      (bits_memory[i / CLUSTER_SIZE] != 0 ==> cache[i] >= next[i]) &&
      (bits_memory[i / CLUSTER_SIZE] == 0 ==> next[i] == 0)) &&
    (\forall integer k; 0 <= k < snapped && snapshot[k] != 0 ==> bits_memory[k] != 0) &&
    (\forall integer k; 0 <= k < snapped && snapshot[k] == 0 ==> bits_file[k] == 0) &&
    (\forall integer i; 0 <= i < BYTES && i / CLUSTER_SIZE < snapped && snapshot[i / CLUSTER_SIZE] == 0 ==>
      next[i] == 0);

  // The bytes below the taken bits are on the disk, and nothing older may replace them.
  predicate secured{L} = snapped == CLUSTERS &&
    (\forall integer i; 0 <= i < BYTES && snapshot[i / CLUSTER_SIZE] != 0 ==> durable[i] >= next[i]) &&
    (\forall integer j; 0 <= j < log_count && snapshot[log_place[j] / CLUSTER_SIZE] != 0 ==>
      log_version[j] >= next[log_place[j]]);
*/

/* ---- The steps of a request ---- */

/*@ requires i < BYTES && log_count < LOG_MAX;
    terminates \true;
    assigns cache[i], log_place[log_count], log_version[log_count], log_count;
    ensures stored: cache[i] == version;
    ensures logged: log_count == \old(log_count) + 1 && log_place[\old(log_count)] == i &&
      log_version[\old(log_count)] == version;
*/
static void store_image(uint64_t i, int64_t version)
{
    cache[i] = version;
    log_place[log_count] = i;
    log_version[log_count] = version;
    log_count++;
}

/* Copy-up and data, before the bit. */
/*@ // DUR-03, as fill_cluster of the reference engine: invisible
    requires sound;
    requires i < BYTES && log_count < LOG_MAX;
    requires hidden: bits_memory[i / CLUSTER_SIZE] == 0;
    requires version >= 0;
    terminates \true;
    assigns cache[i], log_place[log_count], log_version[log_count], log_count;
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
    ensures filled: cache[i] == version;
    ensures invisible: \forall integer b; 0 <= b < BYTES ==> seen(b) == \old(seen(b));
*/
static void fill(uint64_t i, int64_t version)
{
    store_image(i, version);
}

/* Data, where the bit is 1. */
/*@ requires sound;
    requires i < BYTES && log_count < LOG_MAX;
    requires allocated: bits_memory[i / CLUSTER_SIZE] != 0;
    requires newer: version > cache[i];
    terminates \true;
    assigns cache[i], log_place[log_count], log_version[log_count], log_count;
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
    ensures newer: seen(i) == version && version > \old(seen(i));
    ensures others: \forall integer b; 0 <= b < BYTES && b != i ==> seen(b) == \old(seen(b));
*/
static void overwrite(uint64_t i, int64_t version)
{
    store_image(i, version);
}

/* The bit, in memory. */
/*@ // DUR-03, as bit_set of the reference engine: everything below it is filled
    requires sound;
    requires k < CLUSTERS;
    requires filled: \forall integer i; 0 <= i < BYTES && i / CLUSTER_SIZE == k ==> cache[i] >= 0;
    terminates \true;
    assigns bits_memory[k];
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
    ensures set: bits_memory[k] != 0;
    ensures newer: \forall integer b; 0 <= b < BYTES ==> seen(b) >= \old(seen(b));
*/
static void publish(uint64_t k)
{
    bits_memory[k] = 1;
}

/* ---- Stores that become durable by themselves ---- */

/*@ requires sound;
    requires j < log_count;
    terminates \true;
    assigns durable[log_place[j]];
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
*/
static void persist_store(uint64_t j)
{
    durable[log_place[j]] = log_version[j];
}

/*@ requires sound;
    requires k < CLUSTERS;
    requires written: bits_file[k] != 0;
    terminates \true;
    assigns bits_durable[k];
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
*/
static void persist_bit(uint64_t k)
{
    bits_durable[k] = 1;
}

/* Whether every byte of a cluster is filled, so that its bit may be set. */
/*@ requires k < CLUSTERS;
    terminates \true;
    assigns \nothing;
    ensures answer: \result != 0 ==> \forall integer i; 0 <= i < BYTES && i / CLUSTER_SIZE == k ==> cache[i] >= 0;
*/
static int is_filled(uint64_t k)
{
    /*@ loop invariant k * CLUSTER_SIZE <= i <= k * CLUSTER_SIZE + CLUSTER_SIZE;
        loop invariant \forall integer b; k * CLUSTER_SIZE <= b < i ==> cache[b] >= 0;
        loop assigns i;
        loop variant k * CLUSTER_SIZE + CLUSTER_SIZE - i;
    */
    for (uint64_t i = k * CLUSTER_SIZE; i < k * CLUSTER_SIZE + CLUSTER_SIZE; i++) {
        if (cache[i] < 0) {
            return 0;
        }
    }
    return 1;
}

/* One step of a request, if it can be made. */
/*@ requires sound && taken;
    terminates \true;
    assigns cache[0 .. BYTES - 1], log_place[0 .. LOG_MAX - 1], log_version[0 .. LOG_MAX - 1], log_count,
      bits_memory[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
*/
static void step_of_request(uint64_t what, uint64_t i, uint64_t k, uint64_t version)
{
    if (what == 0) {
        if (k < CLUSTERS && is_filled(k)) {
            publish(k);
        }
    } else if (i < BYTES && log_count < LOG_MAX && version <= INT64_MAX) {
        if (bits_memory[i / CLUSTER_SIZE] == 0) {
            fill(i, (int64_t)version);
        } else if ((int64_t)version > cache[i]) {
            overwrite(i, (int64_t)version);
        }
    }
}

/* One step of the storage, if it can be made. */
/*@ requires sound && taken;
    terminates \true;
    assigns durable[0 .. BYTES - 1], bits_durable[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
*/
static void step_of_storage(uint64_t what, uint64_t j, uint64_t k)
{
    if (what == 0) {
        if (j < log_count) {
            persist_store(j);
        }
    } else if (k < CLUSTERS && bits_file[k] != 0) {
        persist_bit(k);
    }
}

/* Any number of steps of requests and of the storage, while a flush runs. */
/*@ requires sound && taken;
    terminates \true;
    assigns cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], log_place[0 .. LOG_MAX - 1], log_version[0 .. LOG_MAX - 1],
      log_count, bits_memory[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
*/
static void meanwhile(void)
{
    /*@ loop invariant sound && taken;
        loop invariant \at(secured, Pre) ==> secured;
        loop assigns left, cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], log_place[0 .. LOG_MAX - 1],
          log_version[0 .. LOG_MAX - 1], log_count, bits_memory[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1];
        loop variant left;
    */
    for (uint64_t left = any; left > 0; left--) {
        step_of_request(any, any, any, any);
        step_of_storage(any, any, any);
    }
}

/* ---- The steps of a flush ---- */

/* What a flush that starts now has to make durable: the present content. */
/*@ requires sound;
    terminates \true;
    assigns snapped, next[0 .. BYTES - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures now: \forall integer i; 0 <= i < BYTES ==> next[i] == seen(i);
    ensures none: snapped == 0;
*/
static void begin(void)
{
    snapped = 0;
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> next[b] == seen(b);
        loop assigns i, next[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        next[i] = bits_memory[i / CLUSTER_SIZE] != 0 ? cache[i] : 0;
    }
}

/*@ requires sound && taken;
    requires snapped < CLUSTERS;
    terminates \true;
    assigns snapped, snapshot[snapped];
    ensures sound: sound;
    ensures taken: taken;
    ensures next: snapped == \old(snapped) + 1;
*/
static void take_bit(void)
{
    snapshot[snapped] = bits_memory[snapped];
    snapped++;
}

/* Takes the bits one by one, while others set more. */
/*@ requires sound && taken;
    requires snapped == 0;
    terminates \true;
    assigns snapped, snapshot[0 .. CLUSTERS - 1], cache[0 .. BYTES - 1], durable[0 .. BYTES - 1],
      log_place[0 .. LOG_MAX - 1], log_version[0 .. LOG_MAX - 1], log_count, bits_memory[0 .. CLUSTERS - 1],
      bits_durable[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures all: snapped == CLUSTERS;
*/
static void take_snapshot(void)
{
    /*@ loop invariant snapped <= CLUSTERS;
        loop invariant sound && taken;
        loop assigns snapped, snapshot[0 .. CLUSTERS - 1], cache[0 .. BYTES - 1], durable[0 .. BYTES - 1],
          log_place[0 .. LOG_MAX - 1], log_version[0 .. LOG_MAX - 1], log_count, bits_memory[0 .. CLUSTERS - 1],
          bits_durable[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - snapped;
    */
    while (snapped < CLUSTERS) {
        take_bit();
        meanwhile();
    }
}

/*@ requires sound && taken;
    requires all: snapped == CLUSTERS;
    terminates \true;
    assigns durable[0 .. BYTES - 1], log_count;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: DUR_03: secured;
*/
static void sync_image(void)
{
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> durable[b] == cache[b];
        loop assigns i, durable[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        durable[i] = cache[i];
    }
    log_count = 0;
}

/*@ requires sound && taken;
    requires secured: secured;
    requires k < CLUSTERS;
    requires chosen: snapshot[k] != 0;
    terminates \true;
    assigns bits_file[k];
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: secured;
    ensures written: bits_file[k] != 0;
*/
static void write_bit(uint64_t k)
{
    bits_file[k] = 1;
}

/* Writes the taken bits one by one; requests and the storage may act between them. */
/*@ requires sound && taken;
    requires secured: secured;
    terminates \true;
    assigns bits_file[0 .. CLUSTERS - 1], cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], log_place[0 .. LOG_MAX - 1],
      log_version[0 .. LOG_MAX - 1], log_count, bits_memory[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: secured;
    ensures written: \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==> bits_file[k] != 0;
*/
static void write_bits(void)
{
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant sound && taken && secured;
        loop invariant \forall integer c; 0 <= c < k && snapshot[c] != 0 ==> bits_file[c] != 0;
        loop assigns k, bits_file[0 .. CLUSTERS - 1], cache[0 .. BYTES - 1], durable[0 .. BYTES - 1],
          log_place[0 .. LOG_MAX - 1], log_version[0 .. LOG_MAX - 1], log_count, bits_memory[0 .. CLUSTERS - 1],
          bits_durable[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        if (snapshot[k] != 0) {
            write_bit(k);
        }
        meanwhile();
    }
}

/*@ requires sound && taken && secured;
    terminates \true;
    assigns bits_durable[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: secured;
    ensures synced: \forall integer k; 0 <= k < CLUSTERS ==> bits_durable[k] == bits_file[k];
*/
static void sync_metadata(void)
{
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k ==> bits_durable[c] == bits_file[c];
        loop invariant \forall integer c; k <= c < CLUSTERS ==> bits_durable[c] == \at(bits_durable[c], Pre);
        loop assigns k, bits_durable[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        bits_durable[k] = bits_file[k];
    }
}

/* Raises the floors to what they were to become when this flush began. */
/*@ requires sound && taken;
    requires secured: secured;
    requires bits: \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==> bits_durable[k] != 0;
    terminates \true;
    assigns floors[0 .. BYTES - 1];
    ensures sound: sound;
    ensures raised: \forall integer i; 0 <= i < BYTES ==> floors[i] == next[i];
*/
static void promise(void)
{
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> floors[b] == next[b];
        loop assigns i, floors[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        floors[i] = next[i];
    }
}

/* ---- Flush and crash ---- */

/* Returns 1 on success. Either sync may fail; then flush returns 0. */
/*@ // DUR-01, DUR-03: what was seen when flush was called survives. DUR-06: else nothing new is promised
    requires sound;
    terminates \true;
    assigns cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], floors[0 .. BYTES - 1], next[0 .. BYTES - 1],
      log_place[0 .. LOG_MAX - 1], log_version[0 .. LOG_MAX - 1], log_count, bits_memory[0 .. CLUSTERS - 1],
      bits_file[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1], snapped, snapshot[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures survives: DUR_01: \result == 1 ==> \forall integer i; 0 <= i < BYTES ==> floors[i] == \old(seen(i));
    ensures fails: \result != 1 ==> \forall integer i; 0 <= i < BYTES ==> floors[i] == \old(floors[i]);
*/
int flush(void)
{
    begin();
    meanwhile();
    take_snapshot();
    if (any != 0) {
        return 0;
    }
    sync_image();
    meanwhile();
    write_bits();
    if (any != 0) {
        return 0;
    }
    sync_metadata();
    promise();
    return 1;
}

/* Only what is on the disk is left. */
/*@ // DUR-02, DUR-03: no byte is shown that was not filled, and none older than what flush promised
    requires sound;
    terminates \true;
    assigns cache[0 .. BYTES - 1], log_count, bits_memory[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures promised: DUR_02: DUR_04: \forall integer i; 0 <= i < BYTES ==> seen(i) >= floors[i];
    ensures filled: DUR_03: \forall integer i; 0 <= i < BYTES ==> seen(i) >= 0;
*/
void crash(void)
{
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> cache[b] == durable[b];
        loop assigns i, cache[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        cache[i] = durable[i];
    }
    log_count = 0;
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k ==>
          bits_memory[c] == bits_durable[c] && bits_file[c] == bits_durable[c];
        loop invariant \forall integer c; k <= c < CLUSTERS ==> bits_file[c] == \at(bits_file[c], Pre);
        loop assigns k, bits_memory[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        bits_memory[k] = bits_durable[k];
        bits_file[k] = bits_durable[k];
    }
}

/* A new disk: no bit, nothing filled, nothing promised. So `sound` can hold. */
/*@ terminates \true;
    assigns cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], floors[0 .. BYTES - 1], log_count,
      bits_memory[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures nothing: \forall integer i; 0 <= i < BYTES ==> cache[i] == NOTHING && durable[i] == NOTHING;
*/
void create(void)
{
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> cache[b] == NOTHING && durable[b] == NOTHING && floors[b] == 0;
        loop assigns i, cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], floors[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        cache[i] = NOTHING;
        durable[i] = NOTHING;
        floors[i] = 0;
    }
    log_count = 0;
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k ==>
          bits_memory[c] == 0 && bits_file[c] == 0 && bits_durable[c] == 0;
        loop assigns k, bits_memory[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        bits_memory[k] = 0;
        bits_file[k] = 0;
        bits_durable[k] = 0;
    }
}
