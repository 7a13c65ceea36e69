/*
 * Follows executions of the engine: the processes are those of the model, but a step can be made only if it is the next
 * event of an execution, and if the engine was in the state in which the model is. So the model decides which
 * executions it accepts. The judge judges all of them, with all crashes.
 *
 * executions.txt has the executions, as harness/explore/follow.c writes them. Each is followed from its beginning. At
 * its end, the search says which were not followed to their end, and to which event. With the environment FOLLOW_ONLY
 * and FOLLOW_WILD, it follows one of them up to an event, and prints which events the model would allow there.
 */
#define TRACED
#define CLUSTERS 8
#define CLUSTERS_OF_BLOCK 8
#define CONTENT int
#define RANGE_MAX 3 /* harness/sched/addcow_sizes.h */
#define THREADS 4
#define PROMISES THREADS
#define PROMISE_OF(thread) (thread)

int next;        /* the event: its thread * EVENTS + its number */
int masks, rest; /* the state of the engine before it, as STATE_MASKS and STATE_REST are that of the model */
int chosen, position, last;

#define EVENTS 65536
#define AT_END -2
#define WILD -3    /* any event */
#define NOTHING -4

#define STATE_MASKS (bits + 256 * file + 65536 * flight)
#define STATE_REST (dirty + 2 * running + 4 * lost + 256 * started)
#define AGREES (masks == STATE_MASKS && rest == STATE_REST)

#define STEP(guard, event, effect) atomic { \
    (guard) && (next == WILD || next == me * EVENTS + (event) && AGREES) -> \
        last = me * EVENTS + (event); \
        c_code { follow_step(); }; \
        effect; \
        c_code { follow_next(); } \
}
#define END_OF_WRITE(first) (next >= 0 && next % 16 > first && next % 16 <= upto -> next % 16 : first + 1)

/* Who chooses, does so when its event is the next. */
#define MY_TURN (next == WILD || next >= 0 && next / EVENTS == me)

#define CALL_WRITE 13
#define CALL_READ 14
#define CALL_MAP 15
#define CALL_FLUSH 16
#define RETURN(success) (17 * 256 + (success))
#define NEXT_CALL(kind) (next >= 0 && next / EVENTS == me && next % EVENTS / 256 == kind -> next % EVENTS : kind * 256)

c_code {
    enum { EXECUTIONS_MAX = 1000000, BEGIN = -1 };
    static struct { int thread, kind, masks, rest; } *follow_rows;
    static int follow_starts[EXECUTIONS_MAX], follow_furthest[EXECUTIONS_MAX], follow_accepted[EXECUTIONS_MAX];
    static int follow_count, follow_wild = -1;

    static void follow_report(void)
    {
        int accepted = 0;
        for (int i = 0; i < follow_count; i++) {
            accepted += follow_accepted[i];
            if (!follow_accepted[i])
                printf("rejected: execution %d at event %d\n", i, follow_furthest[i]);
        }
        printf("followed: %d of %d executions accepted\n", accepted, follow_count);
    }

    /* Reads all executions; returns the first and the last one to follow. */
    static void follow_open(int *first, int *end)
    {
        FILE *file = fopen("executions.txt", "r");
        size_t rows = 0, room = 1 << 16;
        follow_rows = malloc(room * sizeof *follow_rows);
        while (file && fscanf(file, "%d %d %d %d", &follow_rows[rows].thread, &follow_rows[rows].kind,
                              &follow_rows[rows].masks, &follow_rows[rows].rest) == 4) {
            if (follow_rows[rows].kind == BEGIN && follow_count < EXECUTIONS_MAX)
                follow_starts[follow_count++] = (int)rows;
            if (++rows == room)
                follow_rows = realloc(follow_rows, (room *= 2) * sizeof *follow_rows);
        }
        *first = 0;
        *end = follow_count;
        if (getenv("FOLLOW_ONLY")) {
            *first = atoi(getenv("FOLLOW_ONLY"));
            *end = *first + 1;
            follow_wild = atoi(getenv("FOLLOW_WILD"));
        } else {
            atexit(follow_report);
        }
    }

    static void follow_look(void)
    {
        int row = follow_starts[now.chosen] + now.position;
        now.next = follow_rows[row].kind < 0 ? follow_rows[row].kind
                                             : follow_rows[row].thread * 65536 + follow_rows[row].kind;
        now.masks = follow_rows[row].masks;
        now.rest = follow_rows[row].rest;
        if (now.position > follow_furthest[now.chosen])
            follow_furthest[now.chosen] = now.position;
        if (now.position == follow_wild)
            now.next = -3;
    }

    static void follow_begin(void)
    {
        int row = follow_starts[now.chosen];
        now.bits = now.file = now.once_set = now.maybe_1 = (unsigned char)follow_rows[row].masks;
        now.maybe_0 = (unsigned char)~now.bits;
        now.failures = follow_rows[row].thread ? 255 : 0;
        for (int i = 0; i < 8; i++)
            now.image[i] = now.synced[i] = now.bits >> i & 1;
        now.position = 1;
        follow_look();
    }

    static void follow_step(void)
    {
        if (now.next == -3)
            printf("allowed: %d %d %d\n", now.last,
                   now.bits + 256 * now.file + 65536 * now.flight,
                   now.dirty + 2 * now.running + 4 * now.lost + 256 * now.started);
    }

    static void follow_next(void)
    {
        if (now.next == -3) {
            now.next = -4;
        } else {
            now.position++;
            follow_look();
        }
    }
}

#include "core.pml"
#include "allocate.pml"
#include "flush.pml"

byte writes; /* that were called */

/*
 * Reads and maps look only at the bits: a read at those of each run, a map at one run or more, and at one again if it
 * is asked extent by extent: extents of data end within a cluster.
 */
inline look_only(runs)
{
    at = first;
    do
    :: at < limit ->
        upto = at;
        end = limit;
        look_at_block();
        if
        :: MY_TURN -> at = upto
        :: MY_TURN && !runs -> at = limit
        :: MY_TURN && !runs
        fi
    :: else -> break
    od;
    STEP(true, RETURN(1), skip)
}

inline called(kind)
{
    STEP(next == WILD || next % EVENTS / 256 == kind, NEXT_CALL(kind), first = last % 256 / 16; limit = last % 16)
}

inline return_write()
{
    n = first;
    do
    :: n < limit && ok -> completed[n] = completed[n] | own; n++
    :: else -> break
    od
}

proctype worker(byte me)
{
    REQUEST_LOCALS; WRITE_LOCALS; FLUSH_LOCALS;
    byte first, limit;
    do
    :: TOGETHER called(CALL_WRITE); writes++; own = 1 << writes; begin_write() SEPARATE;
        write_request();
        TOGETHER STEP(true, RETURN(ok), return_write()) SEPARATE
    :: TOGETHER called(CALL_READ); look_only(true) SEPARATE
    :: TOGETHER called(CALL_MAP); look_only(false) SEPARATE
    :: TOGETHER called(CALL_FLUSH); call_flush() SEPARATE;
        flush_request();
        TOGETHER STEP(true, RETURN(HAS(succeeded, me)), return_flush()) SEPARATE
    od
}

proctype accept()
{
    atomic { next == AT_END && AGREES -> c_code { follow_accepted[now.chosen] = 1; } }
}

init {
    int first, end;
    atomic {
        c_code { follow_open(&Pinit->first, &Pinit->end); };
        chosen = first;
        do
        :: chosen < end - 1 -> chosen++
        :: break
        od;
        c_code { follow_begin(); };
        run worker(0);
        run worker(1);
        run worker(2);
        run worker(3);
        run accept()
    }
}
