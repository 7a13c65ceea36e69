/*
 * Writers and flushers on a disk of two blocks of the bitmap, while calls of the storage fail.
 *
 * Each writer makes one write, of any cluster or of two neighbours, and each flusher flushes once. WRITERS, FLUSHERS
 * and FAILURES say how many there are; ENDS demands that all requests end, whoever may run (CON-12).
 *
 * All writers are the same, and so are all flushers. So if any write can be lost, the first writer's can, and if any
 * flush can promise too much, the first flusher can: only their content and promises are told apart from the others.
 * For the same reason, the ranges of the other writers come in order. With NARROW each range is one cluster, and the
 * first writer's is the first one: then the two blocks are the same too.
 */
#ifndef NARROW
#define NARROW 0
#endif
#define THREADS (WRITERS + FLUSHERS)
#define PROMISES 1
#define PROMISE_OF(thread) 0
#include "core.pml"
#include "allocate.pml"
#include "flush.pml"

byte ended;

proctype writer(byte me, first, limit)
{
    REQUEST_LOCALS; WRITE_LOCALS;
    atomic { own = (me == 0 -> 2 : 0); begin_write() };
    write_request();
    atomic {
        n = first;
        do
        :: n < limit && ok -> completed[n] = completed[n] | own; n++
        :: else -> break
        od;
        own = 0; first = 0; limit = 0; ok = 0;
        ended++
    }
}

proctype flusher(byte me)
{
    REQUEST_LOCALS; FLUSH_LOCALS;
    atomic {
        if
        :: me == WRITERS -> call_flush()
        :: else
        fi
    };
    flush_request();
    atomic {
        if
        :: me == WRITERS -> return_flush()
        :: else
        fi;
        ended++
    }
}

init {
    byte me, first, limit, least;
    atomic {
        do
        :: me < WRITERS ->
            first = (me > 1 -> least : 0);
            do
            :: first < CLUSTERS - 1 && !(NARROW && me == 0) -> first++
            :: break
            od;
            if
            :: me < 2 || first > least || limit == first + 1 -> limit = first + 1
            :: first < CLUSTERS - 1 && !NARROW -> limit = first + 2
            fi;
            least = first;
            run writer(me, first, limit);
            me++
        :: me >= WRITERS && me < THREADS -> run flusher(me); me++
        :: else -> break
        od;
        me = 0; first = 0; limit = 0; least = 0
    }
}

#ifdef ENDS
ltl CON_12 { <> (ended == THREADS) }
#endif
