/*
 * The state of a disk, and the steps that change it: locks, the bitmap in memory, the two files, and what a crash may
 * leave of them. All other files of this folder are written in these steps.
 *
 * One step is one event of the engine: a lock that is taken or released, an atomic access, a call of the storage. STEP
 * names the event. What the engine does between two events is done with the first of them. All interleavings of steps
 * are explored; but what is done under a lock, and cannot be seen without it, is one step. With TRACED, the same text
 * follows recorded executions of the engine instead (trace.pml).
 *
 * Content is told by masks. Every write has a bit of its own, and writes its own sectors of each cluster of its range.
 * The content of a cluster is the set of writes that it holds, and FILLED if all its other sectors are what the disk
 * shows there, and not what the image held before. So a lost update, and an old sector, are bits that are missing.
 *
 * No process plays the storage. Instead the state has bounds of what a crash may leave: a cluster of the image holds at
 * least `synced`, at most `image`; a bit of the metadata file is one of those that were written since a sync covered
 * it. Every state is judged by the worst that these bounds allow. That is all crashes at all moments.
 */
#ifndef CLUSTERS
#define CLUSTERS 3
#endif
#ifndef CLUSTERS_OF_BLOCK
#define CLUSTERS_OF_BLOCK 2
#endif
#ifndef CONTENT
#define CONTENT byte
#endif
#ifndef FAILURES
#define FAILURES 0
#endif
#ifndef THREADS
#define THREADS 5
#endif

#include "defects.pml"

#define REQUEST_LOCALS byte phase; bit ok /* of every process */

#ifndef RANGE_MAX
#define RANGE_MAX CLUSTERS /* that are in flight at once, for one request */
#endif

#define FILLED 1
#define ALL_CLUSTERS ((1 << CLUSTERS) - 1)
#define HAS(mask, n) (((mask) >> (n)) & 1)
#define WITHOUT(mask, other) ((mask) & (255 - (other)))
#define BLOCK_OF(cluster) ((cluster) / CLUSTERS_OF_BLOCK)
#define CLUSTERS_BELOW(cluster) ((1 << (cluster)) - 1)
#define CLUSTERS_FROM(first, limit) (CLUSTERS_BELOW(limit) - CLUSTERS_BELOW(first))
#define BLOCK_BITS(block) (CLUSTERS_FROM((block) * CLUSTERS_OF_BLOCK, ((block) + 1) * CLUSTERS_OF_BLOCK) & ALL_CLUSTERS)
#define BLOCKS ((CLUSTERS + CLUSTERS_OF_BLOCK - 1) / CLUSTERS_OF_BLOCK)

/* ---- In memory ---- */

byte bits;           /* the bitmap: a bit for each cluster */
byte flight;         /* clusters in flight */
byte dirty;          /* blocks of the bitmap on the dirty list */
bit running;         /* a flush cycle */
byte started;        /* cycles */
bit lost;            /* a sync of the image has failed (DUR-07) */
byte owner[3];       /* of each lock: a thread + 1; 0: free */
byte asleep[3];      /* threads that wait for each condition */

#define ALLOCATION 0 /* locks, and the condition that goes with each: */
#define FLUSHING 1
#define QUIESCE 2    /* range ended, flush finished, quiesce changed */

/* ---- The files ---- */

CONTENT image[CLUSTERS];  /* what a read of the image gives; 0: what it held before */
CONTENT synced[CLUSTERS]; /* what it holds at least after a crash */
bit dropped;              /* a sync of the image has failed */
byte file;                /* the bits in the metadata file, as a read gives them */
byte maybe_0 = ALL_CLUSTERS, maybe_1; /* bits of it that may be 0, or 1, after a crash */
byte covered = ALL_CLUSTERS;          /* bits of it whose last write the next sync will make durable */
byte failures = FAILURES;             /* calls of the storage that may still fail */

/* ---- What was promised ---- */

CONTENT completed[CLUSTERS]; /* the writes that have returned */
CONTENT promised[CLUSTERS];  /* what flushes have promised to survive a crash */
byte once_set;               /* the bits that were seen to be set (MAP-02) */

hidden byte n;               /* for loops within one step */

#define SHOWN(cluster) (HAS(bits, cluster) -> image[cluster] : FILLED)

/* ---- Steps ---- */

#ifndef TRACED
#define STEP(guard, event, effect) atomic { (guard) -> effect }
#define END_OF_WRITE(first) (first + 1)
#define MY_TURN true
#endif
/* Steps that nothing else comes between: a lock is taken, and given back before another thread could see it taken. */
#define TOGETHER atomic { MY_TURN ->
#define IN_PHASE(which) atomic { MY_TURN && phase == which ->
#define SEPARATE }

/* The events, as harness/explore/follow.c numbers them. */
#define LOCK(lock) (1 * 256 + (lock))
#define UNLOCK(lock) (2 * 256 + (lock))
#define WAIT(lock) (3 * 256 + (lock))
#define BROADCAST(lock) (4 * 256 + (lock))
#define LOAD_WORD(block) (5 * 256 + (block))
#define SET_WORD(block) (6 * 256 + (block))
#define LOAD_LOST (7 * 256)
#define STORE_LOST (8 * 256)
#define WRITE_IMAGE(first, limit) (9 * 256 + (first) * 16 + (limit))
#define SYNC_IMAGE (10 * 256)
#define WRITE_BLOCK(block) (11 * 256 + (block))
#define SYNC_FILE (12 * 256)
#define FAILED (64 * 256) /* is added to the event of a call that failed */

inline take(lock)
{
    STEP(owner[lock] == 0, LOCK(lock), owner[lock] = me + 1)
}

inline give(lock)
{
    STEP(true, UNLOCK(lock), owner[lock] = 0)
}

inline sleep(lock)
{
    STEP(true, WAIT(lock), owner[lock] = 0; asleep[lock] = asleep[lock] | 1 << me)
}

/* The end of a wait: somebody has called wake. */
inline wake_up(lock)
{
    STEP(!HAS(asleep[lock], me) && owner[lock] == 0, LOCK(lock), owner[lock] = me + 1)
}

inline wake(lock)
{
    STEP(true, BROADCAST(lock), asleep[lock] = 0)
}

/* ---- The image ---- */

/* Writes cluster `from`, and with TRACED as many more as the engine writes at once. Then `from` is behind them. */
inline write_image(from, behind, content)
{
    STEP(true, WRITE_IMAGE(from, END_OF_WRITE(from)),
        behind = END_OF_WRITE(from);
        do
        :: from < behind -> image[from] = content; from++
        :: else -> break
        od);
    behind = 0
}

/* Every store so far is durable; unless a sync has failed before, and may have dropped what was stored by then. */
inline all_synced()
{
    n = 0;
    do
    :: n < CLUSTERS -> synced[n] = (dropped -> synced[n] : image[n]); n++
    :: else -> break
    od
}

/* DUR-07: the first sync that fails is the last one. */
inline sync_image()
{
    STEP(true, LOAD_LOST, ok = !lost);
    if
    :: !ok
    :: ok && MY_TURN -> STEP(true, SYNC_IMAGE, all_synced())
    :: ok && failures > 0 && MY_TURN ->
        STEP(true, SYNC_IMAGE + FAILED, failures--; dropped = 1; ok = DEFECT(FAILED_SYNC_SUCCEEDS));
        STEP(true, STORE_LOST, lost = !DEFECT(FAILED_SYNC_FORGOTTEN))
    fi
}

/* ---- The metadata file ---- */

/* Bits of the file, `which` of them, become those of `values`. A crash may show each of them old or new. */
inline store_bits(mask, values)
{
    file = WITHOUT(file, mask) | (values) & (mask);
    maybe_1 = maybe_1 | (values) & (mask);
    maybe_0 = maybe_0 | WITHOUT(mask, values);
    covered = covered | (mask)
}

#if DEFECT(LIVE_BITS_WRITTEN)
#define WRITTEN bits
#else
#define WRITTEN snapshot
#endif

/* Writes the block `which`. A write that fails may have written its first sector, with the bit of its first cluster. */
inline write_block()
{
    if
    :: STEP(true, WRITE_BLOCK(which), store_bits(BLOCK_BITS(which), WRITTEN))
    :: failures > 0 && MY_TURN -> STEP(true, WRITE_BLOCK(which) + FAILED, failures--; ok = 0)
    :: failures > 0 && MY_TURN ->
        STEP(true, WRITE_BLOCK(which) + FAILED,
            failures--;
            ok = 0;
            store_bits(1 << which * CLUSTERS_OF_BLOCK, WRITTEN))
    fi
}

/* Of bits that were written before a failed sync, nothing is known: only the others are durable now (DUR-06). */
inline sync_file()
{
    if
    :: STEP(true, SYNC_FILE,
            maybe_1 = (DEFECT(FILE_NOT_SYNCED) -> maybe_1 : WITHOUT(maybe_1, covered) | file & covered);
            maybe_0 = (DEFECT(FILE_NOT_SYNCED) -> maybe_0 : WITHOUT(maybe_0, covered) | WITHOUT(covered, file)))
    :: failures > 0 && MY_TURN ->
        STEP(true, SYNC_FILE + FAILED, failures--; covered = 0; ok = DEFECT(FAILED_FILE_SYNC_SUCCEEDS))
    fi
}

/* ---- Judging ---- */

#define SOME(condition) (condition(0) || condition(1) OR_2(condition) OR_3(condition) OR_4(condition))
#if CLUSTERS > 2
#define OR_2(condition) || condition(2)
#else
#define OR_2(condition)
#endif
#if CLUSTERS > 3
#define OR_3(condition) || condition(3)
#else
#define OR_3(condition)
#endif
#if CLUSTERS > 4
#define OR_4(condition) || condition(4) || condition(5) || condition(6) || condition(7)
#else
#define OR_4(condition)
#endif

#define EXPOSED_BEFORE_DATA(c) (HAS(maybe_1, c) && !(synced[c] & FILLED))
#define PROMISE_BROKEN(c) ((promised[c] & ~FILLED) != 0 && \
    (HAS(maybe_0, c) || (synced[c] & promised[c]) != promised[c]))
#define OLD_CONTENT_SEEN(c) (HAS(bits, c) && !(image[c] & FILLED))
#define UPDATE_LOST(c) ((SHOWN(c) & completed[c]) != completed[c])

/* The names of the assertions are the clauses of spec/add-cow.md. */
active proctype judge()
{
    bit DUR_01 = 1, DUR_03 = 1, CON_04 = 1, CON_06 = 1, MAP_02 = 1;
end:
    if
    :: atomic { SOME(EXPOSED_BEFORE_DATA) -> DUR_03 = 0; assert(DUR_03) }
    :: atomic { SOME(PROMISE_BROKEN) -> DUR_01 = 0; assert(DUR_01) }
    :: atomic { SOME(OLD_CONTENT_SEEN) -> CON_04 = 0; assert(CON_04) }
    :: atomic { SOME(UPDATE_LOST) -> CON_06 = 0; assert(CON_06) }
    :: atomic { WITHOUT(once_set, bits) != 0 -> MAP_02 = 0; assert(MAP_02) }
    fi
}
