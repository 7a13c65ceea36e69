/*
 * The proof that flush keeps its promises on the volatile storage of proofs/durability.h. Only the prover reads this;
 * it is no part of the library.
 *
 * Every step of a request, of the storage and of flush keeps the invariant `sound`. Between any two steps of flush,
 * the others make as many steps as the adversary has planned, and `others_acted` says that they have had their turn.
 * Each step says what it does exactly: one that does nothing would prove less, not more.
 *
 * flush follows the order of the engine: take the dirty bits one by one, sync the image, write the bits that were
 * taken, sync the metadata file. If it fails, the taken bits are dirty again (DUR-06). mutants/proof/picked.txt has
 * the changes of this file that must fail to prove.
 *
 * Not in the model: bits that go back to 0 (resize and commit), "all allocated", flushes that join, and an image that
 * shows older data again after its sync has failed.
 */
#include "durability.h"

/* ---- The steps of a request ---- */

/*@ requires i < BYTES && log_count < LOG_MAX;
    terminates \true;
    assigns cache[i], unsynced[i], log_place[log_count], log_version[log_count], log_count;
    ensures stored: cache[i] == version && unsynced[i] != 0;
    ensures logged: log_count == \old(log_count) + 1 && log_place[\old(log_count)] == i &&
      log_version[\old(log_count)] == version;
*/
static void store_image(uint64_t i, int64_t version)
{
    cache[i] = version;
    unsynced[i] = 1;
    log_place[log_count] = i;
    log_version[log_count] = version;
    log_count++;
}

/* A new version, for byte i. */
/*@ requires sound && i < BYTES && writes + 1 < WRITES_MAX;
    terminates \true;
    assigns writes, place_of[writes + 1];
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(secured) ==> secured;
    ensures number: writes == \old(writes) + 1 && \result == writes;
    ensures written: written(i, \result);
*/
static int64_t new_version(uint64_t i)
{
    writes++;
    place_of[writes] = i;
    return writes;
}

/* Copy-up and data, before the bit: invisible, as fill_cluster of the reference engine is. */
/*@ requires sound;
    requires i < BYTES && log_count < LOG_MAX;
    requires hidden: bits_memory[i / CLUSTER_SIZE] == 0;
    requires written: written(i, version);
    terminates \true;
    assigns cache[i], unsynced[i], log_place[log_count], log_version[log_count], log_count;
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
    requires newer: written(i, version) && version == writes;
    terminates \true;
    assigns cache[i], unsynced[i], log_place[log_count], log_version[log_count], log_count;
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
    ensures newer: seen(i) == version;
    ensures others: \forall integer b; 0 <= b < BYTES && b != i ==> seen(b) == \old(seen(b));
*/
static void overwrite(uint64_t i, int64_t version)
{
    store_image(i, version);
}

/* The bit, in memory. Everything below it is filled. */
/*@ requires sound;
    requires k < CLUSTERS;
    requires filled: filled(k);
    terminates \true;
    assigns bits_memory[k], dirty[k];
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
    ensures set: bits_memory[k] != 0 && dirty[k] != 0;
    ensures newer: \forall integer b; 0 <= b < BYTES ==> seen(b) >= \old(seen(b));
*/
static void publish(uint64_t k)
{
    bits_memory[k] = 1;
    dirty[k] = 1;
}

/* Whether every byte of a cluster is filled, so that its bit may be set. */
/*@ requires k < CLUSTERS;
    terminates \true;
    assigns \nothing;
    ensures answer: \result != 0 <==> filled(k);
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
            //@ assert of_the_cluster: i / CLUSTER_SIZE == k;
            return 0;
        }
    }
    return 1;
}

/*@ requires sound && taken && requests_made < UINT64_MAX;
    requires i < BYTES && log_count < LOG_MAX && writes + 1 < WRITES_MAX;
    terminates \true;
    assigns REQUESTS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
    ensures stored: cache[i] == (copies != 0 && \old(bits_memory[i / CLUSTER_SIZE]) == 0 ? 0 : \old(writes) + 1);
    ensures made: requests_made == \old(requests_made) + 1;
*/
static void store(uint64_t i, int copies)
{
    requests_made++;
    if (bits_memory[i / CLUSTER_SIZE] == 0) {
        fill(i, copies != 0 ? 0 : new_version(i));
    } else {
        overwrite(i, new_version(i));
    }
}

/* One step of a request, if it can be made: a cluster's bit, or a byte of copy-up (`what` is 1) or of data. */
/*@ requires sound && taken && requests_made < UINT64_MAX;
    terminates \true;
    assigns REQUESTS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
    ensures published: what == 0 && k < CLUSTERS && \old(filled(k)) ==> bits_memory[k] != 0 && dirty[k] != 0;
    ensures stored: what != 0 && i < BYTES && \old(log_count) < LOG_MAX && \old(writes) + 1 < WRITES_MAX ==>
      cache[i] == (what == 1 && \old(bits_memory[i / CLUSTER_SIZE]) == 0 ? 0 : \old(writes) + 1);
    ensures made: requests_made == \old(requests_made) + 1;
*/
static void step_of_request(uint64_t what, uint64_t i, uint64_t k)
{
    if (what == 0) {
        requests_made++;
        if (k < CLUSTERS && is_filled(k)) {
            publish(k);
        }
    } else if (i < BYTES && log_count < LOG_MAX && writes + 1 < WRITES_MAX) {
        store(i, what == 1);
    } else {
        requests_made++;
    }
}

/* ---- Stores that become durable by themselves ---- */

/*@ requires sound;
    requires j < log_count;
    terminates \true;
    assigns durable[log_place[j]];
    ensures sound: sound;
    ensures taken: \old(taken) ==> taken;
    ensures secured: \old(taken && secured) ==> secured;
    ensures persisted: durable[log_place[j]] == log_version[j];
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
    ensures persisted: bits_durable[k] != 0;
*/
static void persist_bit(uint64_t k)
{
    bits_durable[k] = 1;
}

/* One step of the storage, if it can be made. */
/*@ requires sound && taken && storage_made < UINT64_MAX;
    terminates \true;
    assigns STORAGE_CHANGES;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
    ensures store: what == 0 && j < log_count ==> durable[log_place[j]] == log_version[j];
    ensures bit: what != 0 && k < CLUSTERS && bits_file[k] != 0 ==> bits_durable[k] != 0;
    ensures made: storage_made == \old(storage_made) + 1;
*/
static void step_of_storage(uint64_t what, uint64_t j, uint64_t k)
{
    storage_made++;
    if (what == 0) {
        if (j < log_count) {
            persist_store(j);
        }
    } else if (k < CLUSTERS && bits_file[k] != 0) {
        persist_bit(k);
    }
}

/* As many steps of requests and of the storage as are planned, while a flush runs. */
/*@ requires sound && taken;
    requires room: pause < PAUSES;
    terminates \true;
    assigns OTHERS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \old(secured) ==> secured;
    ensures all: requests_made == plan[\old(pause)] && storage_made == plan[\old(pause)];
    ensures next: pause == \old(pause) + 1 && others_acted != 0;
*/
static void meanwhile(void)
{
    const uint64_t steps = plan[pause];
    requests_made = 0;
    storage_made = 0;
    /*@ loop invariant made: 0 <= made <= steps && requests_made == made && storage_made == made;
        loop invariant sound: sound;
        loop invariant taken: taken;
        loop invariant secured: \at(secured, Pre) ==> secured;
        loop assigns made, REQUESTS_CHANGE, STORAGE_CHANGES;
        loop variant steps - made;
    */
    for (uint64_t made = 0; made < steps; made++) {
        step_of_request(any, any, any);
        step_of_storage(any, any, any);
    }
    pause++;
    others_acted = 1;
}

/* ---- The steps of a flush ---- */

/* What a flush that starts now has to make durable: the present content. */
/*@ requires sound && snapped == 0;
    terminates \true;
    assigns has_taken, pause, others_acted, next[0 .. BYTES - 1];
    ensures sound: sound;
    ensures taken: taken;
    ensures now: \forall integer i; 0 <= i < BYTES ==> next[i] == seen(i);
    ensures none: has_taken == 0 && pause == 0 && others_acted == 0;
*/
static void begin(void)
{
    has_taken = 0;
    pause = 0;
    others_acted = 0;
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> next[b] == seen(b);
        loop assigns i, next[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        next[i] = bits_memory[i / CLUSTER_SIZE] != 0 ? cache[i] : 0;
    }
}

/* A bit is taken if it is dirty. */
/*@ requires sound && taken;
    requires snapped < CLUSTERS && others_acted != 0;
    terminates \true;
    assigns snapped, snapshot[snapped], dirty[snapped], has_taken, others_acted;
    ensures sound: sound;
    ensures taken: taken;
    ensures next: snapped == \old(snapped) + 1;
*/
static void take_bit(void)
{
    others_acted = 0;
    snapshot[snapped] = dirty[snapped];
    if (dirty[snapped] != 0) {
        dirty[snapped] = 0;
        has_taken = 1;
    }
    snapped++;
}

/* Takes the dirty bits one by one, while others set more. */
/*@ requires sound && taken;
    requires snapped == 0 && pause == 1 && others_acted != 0;
    terminates \true;
    assigns snapped, snapshot[0 .. CLUSTERS - 1], has_taken, OTHERS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures all: snapped == CLUSTERS && pause == CLUSTERS + 1 && others_acted != 0;
*/
static void take_snapshot(void)
{
    /*@ loop invariant snapped <= CLUSTERS && pause == snapped + 1 && others_acted != 0;
        loop invariant sound: sound;
        loop invariant taken: taken;
        loop assigns snapped, snapshot[0 .. CLUSTERS - 1], has_taken, OTHERS_CHANGE;
        loop variant CLUSTERS - snapped;
    */
    while (snapped < CLUSTERS) {
        take_bit();
        meanwhile();
    }
}

/* Makes durable what it knows of. If a sync has failed before, that is not all, and DUR-07 forbids to rely on it. */
/*@ requires sound && taken;
    requires all: snapped == CLUSTERS && others_acted != 0;
    requires none_failed: image_failed == 0; // DUR-07
    terminates \true;
    assigns durable[0 .. BYTES - 1], unsynced[0 .. BYTES - 1], log_count, others_acted;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: DUR_03: secured;
*/
static void sync_image(void)
{
    others_acted = 0;
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> durable[b] == cache[b] && unsynced[b] == 0;
        loop invariant \forall integer b; i <= b < BYTES ==>
          durable[b] == \at(durable[b], Pre) && unsynced[b] == \at(unsynced[b], Pre);
        loop assigns i, durable[0 .. BYTES - 1], unsynced[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        if (unsynced[i] != 0) {
            durable[i] = cache[i];
        }
        unsynced[i] = 0;
    }
    log_count = 0;
}

/* The sync fails, and forgets whatever it likes: the adversary says for each byte and each store. */
/*@ requires sound && taken && others_acted != 0;
    terminates \true;
    assigns unsynced[0 .. BYTES - 1], log_count, image_failed, others_acted;
    ensures sound: sound;
    ensures taken: taken;
    ensures failed: image_failed != 0;
*/
static void fail_image(void)
{
    others_acted = 0;
    image_failed = 1;
    /*@ loop invariant 0 <= i <= BYTES;
        loop assigns i, unsynced[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        unsynced[i] = (uint8_t)(any % 2);
    }
    const uint64_t left = any;
    log_count = left < log_count ? left : log_count;
}

/*@ requires sound && taken;
    requires secured: secured;
    requires k < CLUSTERS;
    requires chosen: snapshot[k] != 0 && others_acted != 0;
    terminates \true;
    assigns bits_file[k], bits_sent[k], others_acted;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: secured;
    ensures written: bits_file[k] != 0 && bits_sent[k] != 0;
*/
static void write_bit(uint64_t k)
{
    others_acted = 0;
    bits_file[k] = 1;
    bits_sent[k] = 1;
}

/* Writes the taken bits one by one; requests and the storage may act between them. */
/*@ requires sound && taken;
    requires secured: secured;
    requires pause == CLUSTERS + 2 && others_acted != 0;
    terminates \true;
    assigns bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1], OTHERS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: secured;
    ensures written: DUR_06: \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==> bits_sent[k] != 0;
    ensures acted: others_acted != 0;
*/
static void write_bits(void)
{
    /*@ loop invariant 0 <= k <= CLUSTERS && pause == CLUSTERS + 2 + k && others_acted != 0;
        loop invariant sound: sound;
        loop invariant taken: taken;
        loop invariant secured: secured;
        loop invariant written: \forall integer c; 0 <= c < k && snapshot[c] != 0 ==> bits_sent[c] != 0;
        loop assigns k, bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1], OTHERS_CHANGE;
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        if (snapshot[k] != 0) {
            write_bit(k);
        }
        meanwhile();
    }
}

/* Makes durable what was sent since the last sync, and nothing that an earlier one has forgotten. */
/*@ requires sound && taken && secured && others_acted != 0;
    terminates \true;
    assigns bits_durable[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1], others_acted;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: secured;
    ensures synced: \forall integer k; 0 <= k < CLUSTERS && \old(bits_sent[k]) != 0 ==> bits_durable[k] != 0;
*/
static void sync_metadata(void)
{
    others_acted = 0;
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k && \at(bits_sent[c], Pre) != 0 ==> bits_durable[c] != 0;
        loop invariant \forall integer c; 0 <= c < k ==> bits_sent[c] == 0;
        loop invariant \forall integer c; k <= c < CLUSTERS ==> bits_sent[c] == \at(bits_sent[c], Pre);
        loop invariant \forall integer c; 0 <= c < CLUSTERS && \at(bits_durable[c], Pre) != 0 ==> bits_durable[c] != 0;
        loop invariant \forall integer c; 0 <= c < CLUSTERS && bits_durable[c] != 0 ==>
          \at(bits_durable[c], Pre) != 0 || \at(bits_sent[c], Pre) != 0;
        loop assigns k, bits_durable[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        if (bits_sent[k] != 0) {
            bits_durable[k] = 1;
        }
        bits_sent[k] = 0;
    }
}

/* The sync fails, and forgets whatever it likes. */
/*@ requires sound && taken && others_acted != 0;
    terminates \true;
    assigns bits_sent[0 .. CLUSTERS - 1], others_acted;
    ensures sound: sound;
    ensures taken: taken;
*/
static void fail_metadata(void)
{
    others_acted = 0;
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < CLUSTERS && bits_sent[c] != 0 ==> \at(bits_sent[c], Pre) != 0;
        loop assigns k, bits_sent[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        if (any % 2 != 0) {
            bits_sent[k] = 0;
        }
    }
}

/* Raises the floors to what they were to become when this flush began, and ends it. */
/*@ requires sound && taken && secured;
    requires bits: \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==> bits_durable[k] != 0;
    terminates \true;
    assigns floors[0 .. BYTES - 1], snapped;
    ensures sound: sound;
    ensures raised: \forall integer i; 0 <= i < BYTES ==> floors[i] == next[i];
    ensures ended: snapped == 0;
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
    snapped = 0;
}

/* Makes the taken bits dirty again, so that the next flush writes them again, and ends this one. */
/*@ requires sound && taken && snapped == CLUSTERS;
    terminates \true;
    assigns dirty[0 .. CLUSTERS - 1], snapped;
    ensures sound: sound;
    ensures again: DUR_06: \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==> dirty[k] != 0;
    ensures ended: snapped == 0;
*/
static void give_back(void)
{
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k && snapshot[c] != 0 ==> dirty[c] != 0;
        loop invariant \forall integer c; 0 <= c < CLUSTERS && \at(dirty[c], Pre) != 0 ==> dirty[c] != 0;
        loop invariant \forall integer c; 0 <= c < CLUSTERS && dirty[c] != 0 ==> bits_memory[c] != 0;
        loop assigns k, dirty[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        if (snapshot[k] != 0) {
            dirty[k] = 1;
        }
    }
    snapped = 0;
}

/* ---- Flush and crash ---- */

/* Makes the taken bits durable; returns 1 if it could. */
/*@ requires sound && taken && secured;
    requires pause == CLUSTERS + 1;
    terminates \true;
    assigns bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1], OTHERS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures secured: \result == 1 ==> secured;
    ensures snapped: snapped == CLUSTERS;
    ensures durable: \result == 1 ==> \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==>
      bits_durable[k] != 0;
    ensures answer: \result == (metadata_fails != 0 ? 0 : 1);
*/
static int flush_bits(int metadata_fails)
{
    meanwhile();
    write_bits();
    if (metadata_fails != 0) {
        fail_metadata();
        return 0;
    }
    sync_metadata();
    return 1;
}

/* The part of a flush that may fail; returns 1 if it did not. */
/*@ requires sound && taken;
    requires snapped == CLUSTERS && pause == CLUSTERS + 1 && others_acted != 0;
    terminates \true;
    assigns image_failed, bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1], OTHERS_CHANGE;
    ensures sound: sound;
    ensures taken: taken;
    ensures snapped: snapped == CLUSTERS;
    ensures secured: \result == 1 ==> secured;
    ensures durable: \result == 1 ==> \forall integer k; 0 <= k < CLUSTERS && snapshot[k] != 0 ==>
      bits_durable[k] != 0;
    ensures answer: \result ==
      (\old(image_failed) != 0 || image_fails != 0 || (has_taken != 0 && metadata_fails != 0) ? 0 : 1);
    ensures failed: \old(image_failed) != 0 || image_fails != 0 <==> image_failed != 0;
*/
static int sync_files(int image_fails, int metadata_fails)
{
    if (image_failed != 0) {
        return 0;
    }
    if (image_fails != 0) {
        fail_image();
        return 0;
    }
    sync_image();
    if (has_taken == 0) {
        return 1;
    }
    return flush_bits(metadata_fails);
}

/* Returns 1 on success. The caller says which sync fails. */
/*@ requires sound && snapped == 0;
    terminates \true;
    assigns floors[0 .. BYTES - 1], next[0 .. BYTES - 1], bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1],
      snapped, snapshot[0 .. CLUSTERS - 1], has_taken, image_failed, OTHERS_CHANGE;
    ensures sound: sound;
    ensures survives: DUR_01: \result == 1 ==> \forall integer i; 0 <= i < BYTES ==> floors[i] == \old(seen(i));
    ensures alone: \result != 1 ==> \forall integer i; 0 <= i < BYTES ==> floors[i] == \old(floors[i]);
    ensures fails: DUR_07: \old(image_failed) != 0 || image_fails != 0 ==> \result == 0 && image_failed != 0;
    ensures reports: DUR_06: metadata_fails != 0 && has_taken != 0 ==> \result == 0;
    ensures succeeds: DUR_09: \old(image_failed) == 0 && image_fails == 0 && (metadata_fails == 0 || has_taken == 0) ==>
      \result == 1;
    ensures again: DUR_06: \result != 1 ==> \forall integer k; 0 <= k < CLUSTERS && bits_memory[k] != 0 ==>
      dirty[k] != 0 || bits_durable[k] != 0;
    ensures ended: snapped == 0;
*/
int flush(int image_fails, int metadata_fails)
{
    begin();
    meanwhile();
    take_snapshot();
    if (sync_files(image_fails, metadata_fails) == 0) {
        give_back();
        return 0;
    }
    promise();
    return 1;
}

/* Only what is on the disk is left; the disk is opened again. */
/*@ requires sound && snapped == 0;
    terminates \true;
    assigns cache[0 .. BYTES - 1], unsynced[0 .. BYTES - 1], log_count, image_failed, bits_memory[0 .. CLUSTERS - 1],
      dirty[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1];
    ensures sound: sound;
    ensures shown: \forall integer i; 0 <= i < BYTES ==>
      seen(i) == \old(bits_durable[i / CLUSTER_SIZE] != 0 ? durable[i] : 0);
    ensures promised: DUR_02: DUR_04: \forall integer i; 0 <= i < BYTES ==> seen(i) >= floors[i];
    ensures written: DUR_02: DUR_03: \forall integer i; 0 <= i < BYTES ==> written(i, seen(i));
*/
void crash(void)
{
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==> cache[b] == durable[b];
        loop assigns i, cache[0 .. BYTES - 1], unsynced[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        cache[i] = durable[i];
        unsynced[i] = 0;
    }
    log_count = 0;
    image_failed = 0;
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k ==>
          bits_memory[c] == bits_durable[c] && bits_file[c] == bits_durable[c] && dirty[c] == 0 && bits_sent[c] == 0;
        loop invariant \forall integer c; k <= c < CLUSTERS ==> bits_file[c] == \at(bits_file[c], Pre);
        loop assigns k, bits_memory[0 .. CLUSTERS - 1], dirty[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1],
          bits_sent[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        bits_memory[k] = bits_durable[k];
        dirty[k] = 0;
        bits_file[k] = bits_durable[k];
        bits_sent[k] = 0;
    }
}

/* A new disk: no bit, nothing filled, nothing promised. So `sound` can hold. */
/*@ terminates \true;
    assigns cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], unsynced[0 .. BYTES - 1], floors[0 .. BYTES - 1], writes,
      log_count, image_failed, bits_memory[0 .. CLUSTERS - 1], dirty[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1],
      bits_sent[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1], snapped;
    ensures sound: sound && snapped == 0;
    ensures nothing: \forall integer i; 0 <= i < BYTES ==> cache[i] == NOTHING && durable[i] == NOTHING;
*/
void create(void)
{
    /*@ loop invariant 0 <= i <= BYTES;
        loop invariant \forall integer b; 0 <= b < i ==>
          cache[b] == NOTHING && durable[b] == NOTHING && floors[b] == 0;
        loop assigns i, cache[0 .. BYTES - 1], durable[0 .. BYTES - 1], unsynced[0 .. BYTES - 1],
          floors[0 .. BYTES - 1];
        loop variant BYTES - i;
    */
    for (uint64_t i = 0; i < BYTES; i++) {
        cache[i] = NOTHING;
        durable[i] = NOTHING;
        unsynced[i] = 0;
        floors[i] = 0;
    }
    writes = 0;
    log_count = 0;
    image_failed = 0;
    snapped = 0;
    /*@ loop invariant 0 <= k <= CLUSTERS;
        loop invariant \forall integer c; 0 <= c < k ==> bits_memory[c] == 0 && dirty[c] == 0 && bits_file[c] == 0 &&
          bits_sent[c] == 0 && bits_durable[c] == 0;
        loop assigns k, bits_memory[0 .. CLUSTERS - 1], dirty[0 .. CLUSTERS - 1], bits_file[0 .. CLUSTERS - 1],
          bits_sent[0 .. CLUSTERS - 1], bits_durable[0 .. CLUSTERS - 1];
        loop variant CLUSTERS - k;
    */
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        bits_memory[k] = 0;
        dirty[k] = 0;
        bits_file[k] = 0;
        bits_sent[k] = 0;
        bits_durable[k] = 0;
    }
}

/* What was there when a flush was called is there after a crash, or was replaced by a later write to that byte. */
/*@ requires sound && snapped == 0 && image_failed == 0;
    terminates \true;
    assigns floors[0 .. BYTES - 1], next[0 .. BYTES - 1], bits_file[0 .. CLUSTERS - 1], bits_sent[0 .. CLUSTERS - 1],
      snapped, snapshot[0 .. CLUSTERS - 1], has_taken, image_failed, OTHERS_CHANGE;
    ensures newer: DUR_01: \forall integer i; 0 <= i < BYTES ==> seen(i) >= \old(seen(i));
    ensures written: DUR_02: \forall integer i; 0 <= i < BYTES ==> written(i, seen(i));
*/
void flush_and_crash(void)
{
    flush(0, 0);
    crash();
}
