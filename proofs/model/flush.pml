/*
 * Flushes: fast/flush.c.
 */

#define FLUSH_LOCALS byte taken, left, snapshot, led, which

CONTENT wanted[CLUSTERS * PROMISES]; /* of each flush that is watched: what the disk showed when it was called */
byte cycle_of[THREADS];             /* the first cycle that covers the flush of a thread; 0: it has its result */
byte succeeded;                     /* the flushes whose cycle did, a bit for each thread */

#define WANTED(thread, cluster) wanted[PROMISE_OF(thread) * CLUSTERS + (cluster)]

/* The phases of a cycle, each with one event or with one lock held. */
#define TAKES_DIRTY 11
#define SNAPSHOTS 12
#define SYNCS_IMAGE 13
#define STORES 14
#define SYNCS_FILE 15
#define GIVES_BACK 16
#define ENDS_CYCLE 17
#define WAITS 18

/* ---- A cycle ---- */

/* One of the blocks that are left. */
inline choose_block()
{
    if
    :: HAS(left, 0) -> which = 0
    :: HAS(left, 1) -> which = 1
    fi;
    left = WITHOUT(left, 1 << which)
}

/* The phase after a cycle has done its work, or has failed. */
#define WORK_DONE (ok || taken == 0 || DEFECT(NOT_GIVEN_BACK) -> ENDS_CYCLE : GIVES_BACK)

#if DEFECT(LATE_SNAPSHOT)
#define AFTER_TAKING SYNCS_IMAGE
#define AFTER_SNAPSHOTS (ok && taken != 0 -> STORES : WORK_DONE)
#define AFTER_SYNC (taken != 0 -> SNAPSHOTS : WORK_DONE)
#define AFTER_STORES SYNCS_FILE
#elif DEFECT(FILE_BEFORE_IMAGE)
#define AFTER_TAKING (taken != 0 -> SNAPSHOTS : SYNCS_IMAGE)
#define AFTER_SNAPSHOTS STORES
#define AFTER_STORES SYNCS_IMAGE
#define AFTER_SYNC (ok && taken != 0 -> SYNCS_FILE : WORK_DONE)
#else
#define AFTER_TAKING (taken != 0 -> SNAPSHOTS : IF_CLEAN)
#define IF_CLEAN (DEFECT(CLEAN_FLUSH_DOES_NOTHING) || DEFECT(IMAGE_NOT_SYNCED) -> ENDS_CYCLE : SYNCS_IMAGE)
#define AFTER_SNAPSHOTS (DEFECT(IMAGE_NOT_SYNCED) -> STORES : SYNCS_IMAGE)
#define AFTER_SYNC (ok && taken != 0 -> STORES : WORK_DONE)
#define AFTER_STORES SYNCS_FILE
#endif

inline take_dirty()
{
    take(ALLOCATION);
    taken = dirty;
    dirty = 0;
    give(ALLOCATION);
    left = taken;
    ok = 1;
    phase = AFTER_TAKING
}

inline take_snapshot()
{
    choose_block();
    STEP(true, LOAD_WORD(which), snapshot = snapshot | bits & BLOCK_BITS(which));
    which = 0;
    if
    :: left != 0
    :: else -> left = taken; phase = AFTER_SNAPSHOTS
    fi
}

inline store_snapshot()
{
    choose_block();
    write_block();
    which = 0;
    if
    :: left != 0 && ok
    :: else -> left = 0; phase = (ok -> AFTER_STORES : WORK_DONE)
    fi
}

inline give_back()
{
    take(ALLOCATION);
    dirty = dirty | (DEFECT(ONE_BLOCK_GIVEN_BACK) -> taken & 2 : taken);
    give(ALLOCATION);
    phase = ENDS_CYCLE
}

/* ---- Joining ---- */

/* Begins a cycle, or waits for the one that runs. */
inline lead_or_wait()
{
    if
    :: running -> sleep(FLUSHING); phase = WAITS
    :: else -> running = 1; started++; led = started; give(FLUSHING); phase = TAKES_DIRTY
    fi
}

inline return_or_go_on()
{
    if
    :: cycle_of[me] == 0 -> give(FLUSHING); phase = 0
    :: else -> lead_or_wait()
    fi
}

inline begin_flush()
{
    take(FLUSHING);
    cycle_of[me] = started + (DEFECT(JOINS_RUNNING_CYCLE) && running -> 0 : 1);
    lead_or_wait()
}

/* The result goes to all flushes that the cycle covers. */
inline end_cycle()
{
    take(FLUSHING);
    running = 0;
    n = 0;
    do
    :: n < THREADS ->
        if
        :: cycle_of[n] != 0 && (cycle_of[n] <= led || DEFECT(RESULT_FOR_LATER_FLUSHES)) ->
            cycle_of[n] = 0;
            succeeded = WITHOUT(succeeded, 1 << n) | (ok || DEFECT(JOINED_SUCCEEDS) && n != me) << n
        :: else
        fi;
        n++
    :: else -> break
    od;
    led = 0;
    ok = 0;
    taken = 0;
    snapshot = 0;
    if
    :: !DEFECT(FLUSHES_NOT_WOKEN) -> wake(FLUSHING)
    :: DEFECT(FLUSHES_NOT_WOKEN)
    fi;
    give(FLUSHING); /* it is covered by its own cycle */
    phase = 0
}

inline flush_request()
{
    TOGETHER begin_flush() SEPARATE;
    do
    :: IN_PHASE(TAKES_DIRTY) take_dirty() SEPARATE
    :: IN_PHASE(SNAPSHOTS) take_snapshot() SEPARATE
    :: IN_PHASE(SYNCS_IMAGE) sync_image(); phase = AFTER_SYNC SEPARATE
    :: IN_PHASE(STORES) store_snapshot() SEPARATE
    :: IN_PHASE(SYNCS_FILE) sync_file(); phase = WORK_DONE SEPARATE
    :: IN_PHASE(GIVES_BACK) give_back() SEPARATE
    :: IN_PHASE(ENDS_CYCLE) end_cycle() SEPARATE
    :: IN_PHASE(WAITS) wake_up(FLUSHING); return_or_go_on() SEPARATE
    :: phase == 0 -> break
    od
}

/* ---- What it promises ---- */

/* All that a read could have shown survives, if the flush succeeds. */
inline call_flush()
{
    n = 0;
    do
    :: n < CLUSTERS -> WANTED(me, n) = SHOWN(n); n++
    :: else -> break
    od
}

inline return_flush()
{
    n = 0;
    do
    :: n < CLUSTERS ->
        promised[n] = promised[n] | (HAS(succeeded, me) -> WANTED(me, n) : 0);
        WANTED(me, n) = 0;
        n++
    :: else -> break
    od;
    succeeded = WITHOUT(succeeded, 1 << me)
}
