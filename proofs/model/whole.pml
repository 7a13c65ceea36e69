/*
 * Operations on the whole disk beside requests: quiescing (fast/quiesce.c), resize, stream, commit, "all allocated",
 * and opening after a death.
 *
 * The disk has up to three clusters, and the backing file is longer than the disk is at first. WRITERS each write one
 * cluster, FLUSHERS flush once, and one process does OPERATIONS of KINDS on the whole disk, any of them, and another
 * one of those BESIDE it. Up to FAILURES calls of the storage fail. With DEATHS the process dies, at any moment, and
 * the files are opened again, as the page cache has them; then a flush is called.
 *
 * This is coarser than writes.pml: the bitmap is one block, an allocation is one range of one cluster, and a flush runs
 * when no other one does. The steps of quiescing are those of the code; so is the order of all calls of the storage.
 *
 * Content is one value for each cluster and file. The storage is not a process: each cluster of a file, each bit and
 * each length has the set of those values that a crash may leave. Every state is judged by all of them.
 */
#ifndef KINDS
#define KINDS (RESIZE + STREAM + COMMIT)
#endif
#ifndef BESIDE
#define BESIDE 0
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef FLUSHERS
#define FLUSHERS 1
#endif
#ifndef OPERATIONS
#define OPERATIONS 1
#endif
#ifndef FAILURES
#define FAILURES 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#include "defects.pml"

#define RESIZE 1 /* kinds of operations */
#define STREAM 2
#define COMMIT 4

#define OPERATOR 0 /* threads: of whole operations, */
#define OTHER 6    /* of those beside them, */
#define SURVIVOR 7 /* of a new process */

#define CLUSTERS 3
#define FIRST_SIZE 2
#ifndef BACKING
#define BACKING 3 /* clusters of the backing file */
#endif

#define ZERO 1 /* values of a cluster, a bit each: sets are masks */
#define BASE 2 /* what the backing file held at first */
#define DATA 4 /* what a writer has written */
#define OLD 8  /* what the image held before, under a cluster that is not allocated */
#define TORN 16 /* half of something */

#define HAS(mask, n) (((mask) >> (n)) & 1)
#define WITHOUT(mask, other) ((mask) & (255 - (other)))
#define BELOW(n) ((1 << (n)) - 1)

/* ---- In memory ---- */

byte bits, flight;      /* clusters that are allocated, and in flight */
bit flag;               /* "all allocated" */
byte size = FIRST_SIZE; /* in clusters */
bit dirty, running, lost, unsure;
bit quiesced;
byte requests[2];       /* of each stripe */
byte asleep;            /* threads that wait for a change of quiescing */

/* ---- The files ---- */

byte image[CLUSTERS] = OLD, image_may[CLUSTERS] = OLD; /* what a read gives; what a crash may leave */
byte length_may = 1 << FIRST_SIZE; /* of the image: a bit for each length */
bit dropped;                     /* a sync of the image has failed */
byte backing[CLUSTERS] = BASE, backing_may[CLUSTERS] = BASE, backing_covered;
byte file, maybe_0 = 7, maybe_1, covered; /* bits: those of a read; that may be 0, or 1; that the next sync covers */
bit file_flag, flag_covered;
byte flag_may = 1;               /* 1: it may be clear, 2: set */
byte failures = FAILURES;

/* ---- What was promised ---- */

byte shown[CLUSTERS] = BASE;   /* the value of each cluster of the disk */
byte allowed[CLUSTERS] = BASE; /* the values that a crash may show */
byte wanted[CLUSTERS];         /* of the flush that is watched */
bit watched;
bit alone;                     /* an operation runs that excludes all requests */
byte inside, ended;            /* requests that are admitted; processes that are done */
byte doing;                    /* the kind of the last operation */
bit opened, dead;              /* again, after a death */
bit sure = 1;                  /* after a flush that succeeds, the flag is in the file as it is in memory (DUR-06) */
byte deaths = DEATHS;

#define SHOWN(c) (flag || HAS(bits, c) -> image[c] : (c < BACKING -> backing[c] : ZERO))
#define ALIVE !dead
#if DEATHS > 0
#define UNTIL_DEATH unless { dead }
#else
#define UNTIL_DEATH
#endif

/* ---- Calls of the storage. Each that fails clears ok, and does nothing, or a part. ---- */

#define CALL(effect) \
    if \
    :: atomic { ALIVE -> effect } \
    :: atomic { ALIVE && failures > 0 -> failures--; ok = 0 } \
    fi
#define IF_OK(step) if :: ok -> step :: !ok fi

#define PUT_IMAGE(where, what) image[where] = what; image_may[where] = image_may[where] | what

/* A sync of the image, with its length: all that was stored is durable, unless one has failed before (DUR-07). */
inline sync_image()
{
    if
    :: atomic { ALIVE && lost -> ok = 0 }
    :: atomic { ALIVE && !lost ->
            n = 0;
            do
            :: n < CLUSTERS -> image_may[n] = (dropped -> image_may[n] : image[n]); n++
            :: else -> break
            od;
            length_may = (dropped -> length_may : 1 << size_of_image) }
    :: atomic { ALIVE && !lost && failures > 0 -> failures--; dropped = 1; lost = 1; ok = 0 }
    fi
}

hidden byte n;
byte size_of_image = FIRST_SIZE;

inline store_bits(values)
{
    file = values;
    maybe_1 = maybe_1 | (values);
    maybe_0 = maybe_0 | WITHOUT(7, values);
    covered = 7
}

inline store_flag(value)
{
    file_flag = value;
    flag_may = flag_may | 1 << value;
    flag_covered = 1
}

/* Of what was written before a failed sync, nothing is known (DUR-06). */
inline sync_file()
{
    if
    :: atomic { ALIVE ->
            maybe_1 = WITHOUT(maybe_1, covered) | file & covered;
            maybe_0 = WITHOUT(maybe_0, covered) | WITHOUT(covered, file);
            flag_may = (flag_covered -> 1 << file_flag : flag_may) }
    :: atomic { ALIVE && failures > 0 -> failures--; covered = 0; flag_covered = 0; ok = 0 }
    fi
}

inline sync_backing()
{
    if
    :: atomic { ALIVE ->
            n = 0;
            do
            :: n < CLUSTERS -> backing_may[n] = (HAS(backing_covered, n) -> backing[n] : backing_may[n]); n++
            :: else -> break
            od }
    :: atomic { ALIVE && failures > 0 -> failures--; backing_covered = 0; ok = 0 }
    fi
}

/* ---- Quiescing ---- */

inline leave()
{
    atomic { ALIVE -> requests[stripe]--; inside = inside - admitted; admitted = 0 };
    if
    :: atomic { ALIVE && quiesced && !DEFECT(QUIESCE_NOT_WOKEN) -> asleep = 0 }
    :: ALIVE && (!quiesced || DEFECT(QUIESCE_NOT_WOKEN))
    fi
}

/* A load of the flag and the sleep are under the lock; so are all wake-ups. */
inline wait_until_running()
{
    do
    :: atomic { ALIVE && quiesced -> asleep = asleep | 1 << me }; ALIVE && !HAS(asleep, me)
    :: ALIVE && !quiesced -> break
    od
}

#if DEFECT(QUIESCE_CHECKED_BEFORE_COUNTING)
inline enter()
{
    wait_until_running();
    atomic { ALIVE -> requests[stripe]++; inside++; admitted = 1 }
}
#else
inline enter()
{
    do
    :: atomic { ALIVE -> requests[stripe]++ };
        if
        :: atomic { ALIVE && !quiesced -> inside++; admitted = 1 }; break
        :: ALIVE && quiesced
        fi;
        if
        :: !DEFECT(REFUSED_REQUEST_STAYS_COUNTED) -> leave()
        :: DEFECT(REFUSED_REQUEST_STAYS_COUNTED)
        fi;
        wait_until_running()
    od
}
#endif

inline quiesce()
{
    wait_until_running();
    atomic { ALIVE && !quiesced -> quiesced = 1; at = 0 };
    do
    :: at < (DEFECT(ONE_STRIPE_AWAITED) -> 1 : 2) ->
        if
        :: atomic { ALIVE && requests[at] != 0 -> asleep = asleep | 1 << me }; ALIVE && !HAS(asleep, me)
        :: atomic { ALIVE && requests[at] == 0 -> at++ }
        fi
    :: else -> break
    od;
    atomic { ALIVE -> alone = 1; at = 0 }
}

inline resume() { atomic { ALIVE -> alone = 0; quiesced = 0; asleep = 0 } }

/* ---- Flush: one at a time ---- */

inline write_flag(value)
{
    CALL(store_flag(value));
    IF_OK(sync_file());
    atomic { ALIVE -> unsure = (DEFECT(FLAG_NOT_WRITTEN_AGAIN) -> 0 : !ok) }
}

inline cycle()
{
    atomic { ALIVE && !running -> running = 1; taken = dirty; dirty = 0; snapshot = bits };
    sync_image();
    if
    :: ok && taken ->
        CALL(store_bits(snapshot));
        IF_OK(sync_file())
    :: else
    fi;
    atomic { ALIVE -> dirty = dirty | (taken && !ok); taken = 0; snapshot = 0 };
    if
    :: ok && unsure -> write_flag(flag)
    :: else
    fi;
    atomic { ALIVE -> sure = sure && (!ok || flag_may == 1 << flag); running = 0 }
}

inline set_flag(value)
{
    atomic { ALIVE && !running -> running = 1 };
    write_flag(value);
    atomic { ALIVE -> flag = (ok -> value : flag); running = 0 }
}

/* ---- Allocation ---- */

/* Begins a range of cluster c. found: it is allocated by now, and none was begun. */
inline begin_range(c)
{
    if
    :: atomic { ALIVE && (!HAS(flight, c) || DEFECT(STREAM_WITHOUT_A_RANGE) && me == OPERATOR) ->
            found = (flag || HAS(bits, c)) && !(DEFECT(STREAM_DOES_NOT_LOOK_AGAIN) && me == OPERATOR);
            flight = flight | (found -> 0 : 1 << c) }
    fi
}

inline end_range(c, publish)
{
    bits = bits | (publish -> 1 << c : 0);
    dirty = dirty | publish;
    flight = WITHOUT(flight, 1 << c)
}


/* A crash may show a value from now on, whatever a flush in progress promises. */
#define MAY_SHOW(c, value) \
    allowed[c] = allowed[c] | value; \
    wanted[c] = wanted[c] | (watched -> value : 0)

proctype writer(byte me, c)
{
    byte stripe = me & 1, admitted;
    bit ok = 1, found;
    {
        enter();
        if
        :: c >= size /* out of range */
        :: c < size && (flag || HAS(bits, c)) ->
            CALL(PUT_IMAGE(c, DATA); MAY_SHOW(c, DATA); shown[c] = DATA)
        :: c < size && !(flag || HAS(bits, c)) ->
            begin_range(c);
            if
            :: found ->
                CALL(PUT_IMAGE(c, DATA); MAY_SHOW(c, DATA); shown[c] = DATA)
            :: !found ->
                CALL(PUT_IMAGE(c, DATA); MAY_SHOW(c, DATA));
                atomic { ALIVE -> end_range(c, ok); shown[c] = (ok -> DATA : shown[c]); MAY_SHOW(c, shown[c]) }
            fi
        fi;
        leave();
        atomic { ended++; found = 0; ok = 0; c = 0 }
    } UNTIL_DEATH
}

/* ---- What a flush promises ---- */

inline call_flush()
{
    n = 0;
    watched = 1;
    do
    :: n < CLUSTERS -> wanted[n] = shown[n]; n++
    :: else -> break
    od
}

inline return_flush()
{
    n = 0;
    watched = 0;
    do
    :: n < CLUSTERS -> allowed[n] = (ok -> wanted[n] : allowed[n]); wanted[n] = 0; n++
    :: else -> break
    od
}

proctype flusher(byte me)
{
    byte stripe = me & 1, admitted, snapshot;
    bit ok = 1, taken;
    {
        enter();
        atomic { ALIVE -> call_flush() };
        cycle();
        atomic { ALIVE -> return_flush(); ok = 0 };
        leave();
        atomic { ended++ }
    } UNTIL_DEATH
}

/* ---- Resize ---- */

#define KEPT(limit) bits = bits & BELOW((limit))

inline extend_image()
{
    CALL(
        size_of_image = size + 1;
        length_may = length_may | 1 << size_of_image;
        image[size] = ZERO;
        image_may[size] = image_may[size] | ZERO)
}

/* By one cluster, over which the backing file would show. */
inline grow()
{
    CALL(store_bits(file & BELOW(size)));
    IF_OK(sync_file());
    IF_OK(atomic { ALIVE ->
        bits = bits | (size < BACKING && !DEFECT(GROWING_SHOWS_THE_BACKING) || flag -> 1 << size : 0); dirty = 1 });
    if
    :: ok && !DEFECT(GROWING_EXTENDS_FIRST) && !DEFECT(GROWING_NOT_FLUSHED) -> cycle()
    :: ok && DEFECT(GROWING_EXTENDS_FIRST)
    :: !ok || DEFECT(GROWING_NOT_FLUSHED)
    fi;
    /* What the new part shows is no matter of any promise before. */
    atomic { ALIVE -> allowed[size] = ZERO; wanted[size] = ZERO };
    IF_OK(extend_image());
    if
    :: ok && DEFECT(GROWING_EXTENDS_FIRST) -> cycle()
    :: !ok || !DEFECT(GROWING_EXTENDS_FIRST)
    fi;
    if
    :: atomic { ALIVE && ok -> shown[size] = ZERO; size++ }
    :: atomic { ALIVE && !ok -> KEPT(size); dirty = 1 }; ok = 1; CALL(store_bits(file & BELOW(size))); ok = 0
    fi
}

inline clear_past_the_end()
{
    atomic { ALIVE -> KEPT(DEFECT(KEPT_BIT_CLEARED) -> size - 1 : size); dirty = 1 }
}

/* By one cluster. What fails after the cut does not make it fail. */
inline shrink()
{
    if
    :: DEFECT(SHRINKING_CLEARS_FIRST) ->
        CALL(store_bits(file & BELOW(size - 1)));
        IF_OK(sync_file())
    :: !DEFECT(SHRINKING_CLEARS_FIRST)
    fi;
    IF_OK(CALL(size_of_image = size - 1; length_may = length_may | 1 << size_of_image; image[size - 1] = ZERO));
    if
    :: ok ->
        atomic { ALIVE -> size-- };
        clear_past_the_end();
        if
        :: !DEFECT(CUT_NOT_DURABLE) -> sync_image()
        :: DEFECT(CUT_NOT_DURABLE)
        fi;
        IF_OK(CALL(store_bits(file & BELOW(size))));
        IF_OK(cycle())
    :: !ok
    fi
}

/* ---- Stream ---- */

/* One cluster, in a request of its own. */
inline stream_step()
{
    enter();
    if
    :: atomic { ALIVE && at < size && !(flag || HAS(bits, at)) } ->
        begin_range(at);
        if
        :: found
        :: !found ->
            CALL(PUT_IMAGE(at, (at < BACKING -> backing[at] : ZERO)));
            atomic { ALIVE -> end_range(at, ok) }
        fi
    :: else
    fi;
    leave();
    atomic { ALIVE -> at++; found = 0 }
}

#define EVERY_BIT ((bits & BELOW(size)) == BELOW(size) || flag)

inline finish()
{
    enter();
    atomic { ALIVE -> complete = EVERY_BIT || DEFECT(FLAG_WITHOUT_ALL_BITS) };
    if
    :: complete && !DEFECT(FLAG_WITHOUT_A_FLUSH) -> cycle()
    :: !complete || DEFECT(FLAG_WITHOUT_A_FLUSH)
    fi;
    if
    :: complete && ok -> set_flag(1)
    :: else
    fi;
    leave()
}

inline stream()
{
    complete = 0;
    do
    :: ok && !complete ->
        at = 0;
        do
        :: ok && at < size -> stream_step()
        :: else -> break
        od;
        IF_OK(finish())
    :: else -> break
    od;
    atomic { at = 0; complete = 0 }
}

/* ---- Commit ---- */

/* A write of a cluster can be seen half done, by a crash and by a death. */
inline copy_down(c)
{
    CALL(backing[c] = TORN; backing_may[c] = backing_may[c] | TORN; backing_covered = backing_covered | 1 << c);
    IF_OK(CALL(backing[c] = image[c]; backing_may[c] = backing_may[c] | image[c]))
}

inline free_clusters()
{
    at = 0;
    do
    :: ok && at < size ->
        if
        :: flag || HAS(bits, at) || all -> CALL(PUT_IMAGE(at, ZERO))
        :: else
        fi;
        at++
    :: else -> break
    od
}

inline clear_bits()
{
    all = flag;
    if
    :: !DEFECT(COMMIT_KEEPS_THE_FLAG) -> set_flag(0)
    :: DEFECT(COMMIT_KEEPS_THE_FLAG)
    fi;
    if
    :: ok && DEFECT(FREED_BEFORE_CLEAR) -> free_clusters()
    :: else
    fi;
    IF_OK(CALL(store_bits(0)));
    IF_OK(sync_file());
    if
    :: ok ->
        if
        :: !DEFECT(FREED_BEFORE_CLEAR) -> free_clusters()
        :: DEFECT(FREED_BEFORE_CLEAR)
        fi;
        atomic { ALIVE -> bits = 0; flag = (DEFECT(COMMIT_KEEPS_THE_FLAG) -> flag : 0); dirty = 0 }
    :: !ok -> atomic { ALIVE -> dirty = 1 }
    fi;
    all = 0
}

inline commit()
{
    if
    :: lost -> ok = 0
    :: !lost && !DEFECT(COMMIT_NOT_FLUSHED) -> cycle()
    :: !lost && DEFECT(COMMIT_NOT_FLUSHED)
    fi;
    at = 0;
    do
    :: ok && at < size ->
        if
        :: at < BACKING && (flag || HAS(bits, at)) -> copy_down(at)
        :: else
        fi;
        at++
    :: else -> break
    od;
    if
    :: ok && !DEFECT(COMMITTED_NOT_SYNCED) -> sync_backing()
    :: else
    fi;
    IF_OK(clear_bits());
    at = 0
}

/* The backing file must hold all that is allocated (CMT-02). */
#define CAN_COMMIT (BACKING >= size)

/* ---- The operator ---- */

proctype operator(byte me, kinds)
{
    byte stripe = me & 1, admitted, snapshot, at, left = OPERATIONS;
    bit ok, taken, found, complete, all;
    {
        do
        :: left > 0 ->
            ok = 1;
            left--;
            if
            :: kinds & RESIZE ->
                doing = RESIZE;
                quiesce();
                if
                :: size < CLUSTERS && !lost -> grow()
                :: size > 1 && !lost -> shrink()
                :: lost
                fi;
                resume()
            :: kinds & STREAM -> doing = STREAM; stream()
            :: kinds & COMMIT ->
                doing = COMMIT;
                if
                :: !DEFECT(COMMIT_NOT_QUIESCED) -> quiesce()
                :: DEFECT(COMMIT_NOT_QUIESCED) -> alone = 1
                fi;
                if
                :: CAN_COMMIT -> commit()
                :: else
                fi;
                resume()
            fi
        :: else -> break
        od;
        atomic { ended++; ok = 0 }
    } UNTIL_DEATH
}

/* ---- Death ---- */

/* What a new process finds in the page cache. Nothing of it need be durable. */
inline open_again()
{
    bits = file & BELOW(size_of_image);
    flag = file_flag;
    size = size_of_image;
    dirty = 0;
    unsure = 0;
    lost = 0;
    n = 0;
    do
    :: n < size -> shown[n] = SHOWN(n); wanted[n] = 0; n++
    :: else -> break
    od
}

proctype survivor(byte me)
{
    byte snapshot;
    bit ok = 1, taken;
    atomic { deaths > 0 && failures == FAILURES -> dead = 1; deaths = 0; alone = 0; running = 0; failures = 0 };
    if
    :: DEFECT(OPENING_NOT_SYNCED)
    :: !DEFECT(OPENING_NOT_SYNCED) ->
        atomic { dead = 0; lost = 0; sync_image(); dead = 1 };
        atomic { dead = 0; sync_file(); dead = 1 }
    fi;
    atomic { open_again(); opened = 1 };
    /* A flush of the new process: nothing is dirty. */
    atomic { call_flush(); dead = 0; sync_image(); dead = 1; return_flush() }
}

/* ---- Judging ---- */

#define VISIBLE(c) ((maybe_1 >> c & 1 || flag_may & 2 -> image_may[c] : 0) | \
    (maybe_0 >> c & 1 && flag_may & 1 -> (c < BACKING -> backing_may[c] : ZERO) : 0))
#define MAY_BE_LONGER(c) (length_may >> (c + 1) != 0)
#define CRASH_WRONG(c) (MAY_BE_LONGER(c) && WITHOUT(VISIBLE(c), allowed[c]) != 0)
#define DISK_WRONG(c) (c < size && !dead && !alone && SHOWN(c) != shown[c])
#define OPENED_WRONG(c) (c < size && (SHOWN(c) & allowed[c]) == 0)
#define EVERY_BIT_SET (!flag || (bits & BELOW(size)) == BELOW(size))
#define SOME(condition) (condition(0) || condition(1) || condition(2))

active proctype judge()
{
    bit CON_09 = 1, CON_11 = 1, RSZ_02 = 1, CMT_01 = 1, STR_02 = 1, DUR_01 = 1, DUR_08 = 1, DUR_11 = 1, DUR_12 = 1,
        CMT_03 = 1, DUR_06 = 1;
end:
    if
    :: atomic { alone && inside > 0 -> CON_09 = 0; assert(CON_09) }
    :: atomic { SOME(DISK_WRONG) && doing == STREAM && EVERY_BIT_SET -> CON_11 = 0; assert(CON_11) }
    :: atomic { SOME(DISK_WRONG) && doing == STREAM && !EVERY_BIT_SET -> STR_02 = 0; assert(STR_02) }
    :: atomic { SOME(DISK_WRONG) && doing == RESIZE -> RSZ_02 = 0; assert(RSZ_02) }
    :: atomic { SOME(DISK_WRONG) && doing == COMMIT -> CMT_01 = 0; assert(CMT_01) }
    :: atomic { SOME(CRASH_WRONG) && !opened && doing == 0 -> DUR_01 = 0; assert(DUR_01) }
    :: atomic { SOME(CRASH_WRONG) && !opened && doing == STREAM -> DUR_08 = 0; assert(DUR_08) }
    :: atomic { SOME(CRASH_WRONG) && !opened && doing == RESIZE -> DUR_11 = 0; assert(DUR_11) }
    :: atomic { SOME(CRASH_WRONG) && !opened && doing == COMMIT -> CMT_03 = 0; assert(CMT_03) }
    :: atomic { !sure -> DUR_06 = 0; assert(DUR_06) }
    :: atomic { opened && (SOME(OPENED_WRONG) || SOME(CRASH_WRONG)) -> DUR_12 = 0; assert(DUR_12) }
    fi
}

init {
    byte me = 1, first;
    atomic {
        image[2] = ZERO;
        image_may[2] = ZERO;
        run operator(OPERATOR, KINDS);
#if BESIDE > 0
        run operator(OTHER, BESIDE);
#endif
        do
        :: me <= WRITERS ->
            first = 0;
            do
            :: first < CLUSTERS - 1 -> first++
            :: break
            od;
            run writer(me, first);
            me++
        :: me > WRITERS && me <= WRITERS + FLUSHERS -> run flusher(me); me++
        :: else -> break
        od;
#if DEATHS > 0
        run survivor(SURVIVOR);
#endif
        me = 0; first = 0
    }
}

#ifdef ENDS
ltl CON_12 { <> (ended == WRITERS + FLUSHERS + 1 + (BESIDE > 0)) }
#endif
