/*
 * Writes: fast/request.c, fast/allocate.c, and the lookups of fast/bitmap.c.
 *
 * A request is a loop over phases. Each begins with an event and holds all that the engine does up to the next one, so
 * that there are no states between.
 */

/* What a process that writes has. [first, limit) are the clusters of its range, `own` is its bit in their content. */
#define WRITE_LOCALS byte own, at, upto, end, many; bit found

#define LOOKS 1      /* at the bits of [at, limit), */
#define BEGINS 2     /* a range in flight, */
#define FILLS 3      /* its clusters, */
#define ENDS_RANGE 4 /* and makes its bits visible; */
#define OVERWRITES 5 /* clusters that are allocated */

/*
 * The run of clusters with the status of cluster `at`, at most up to `end`: looks at the block in which `upto` lies,
 * which is `at` at first. A run that fills the block goes on in the next one (run_goes_on).
 */
inline look_at_block()
{
    STEP(true, LOAD_WORD(BLOCK_OF(upto)),
        found = (upto == at -> HAS(bits, at) : found);
        many = BLOCK_OF(upto);
        do
        :: upto < end && BLOCK_OF(upto) == many && HAS(bits, upto) == found -> upto++
        :: else -> break
        od)
}
#define RUN_GOES_ON (upto < end && BLOCK_OF(upto) != many)

inline look()
{
    look_at_block();
    if
    :: RUN_GOES_ON
    :: else -> phase = (found -> OVERWRITES : BEGINS); end = at; many = 0
    fi
}

/* After a run, or with an error. */
inline next_run()
{
    at = upto;
    end = limit;
    phase = (ok && at < limit -> LOOKS : 0)
}

#if DEFECT(BIT_FIRST)
#define AFTER_BEGINNING phase = ENDS_RANGE; end = at
#define AFTER_RANGE phase = FILLS; end = at
#define AFTER_FILLING next_run()
#else
#define AFTER_BEGINNING phase = FILLS; end = at
#define AFTER_FILLING phase = ENDS_RANGE; end = at
#define AFTER_RANGE next_run()
#endif

/* Enters [at, upto) as in flight, or less of it. Nothing, if the first cluster is allocated by now. */
inline begin_range()
{
    take(ALLOCATION);
    do
    :: HAS(flight, at) && !DEFECT(RANGES_OVERLAP) -> sleep(ALLOCATION); wake_up(ALLOCATION)
    :: else -> break
    od;
    end = at;
    do
    :: end < upto && end - at < RANGE_MAX &&
            (!HAS(flight, end) || DEFECT(RANGES_OVERLAP) || DEFECT(RANGE_NOT_CLIPPED)) -> end++
    :: else -> break
    od;
    upto = at;
    look_at_block();
    do
    :: RUN_GOES_ON -> look_at_block()
    :: else -> break
    od;
    found = found && !DEFECT(BITS_NOT_LOOKED_AT_AGAIN);
    upto = (found -> at : upto);
    flight = flight | CLUSTERS_FROM(at, upto);
    give(ALLOCATION);
    many = 0;
    if
    :: found -> next_run()
    :: else -> AFTER_BEGINNING
    fi
}

/* Puts `content` into cluster `end` and perhaps those behind it, and goes on to the next one. */
inline put(content)
{
    if
    :: write_image(end, many, content)
    :: failures > 0 && MY_TURN -> STEP(true, WRITE_IMAGE(0, 0) + FAILED, failures--; ok = 0)
    fi
}

inline fill()
{
    put(FILLED | own);
    if
    :: ok && end < upto
    :: else -> AFTER_FILLING
    fi
}

inline overwrite()
{
    put(image[end] | own);
    if
    :: ok && end < upto
    :: else -> next_run()
    fi
}

/* The bits of one block, which is dirty from then on. */
inline set_word()
{
    STEP(true, SET_WORD(BLOCK_OF(end)),
        many = CLUSTERS_FROM(at, upto) & BLOCK_BITS(BLOCK_OF(end));
        bits = many | (DEFECT(NEIGHBOURING_BIT_LOST) -> WITHOUT(bits, BLOCK_BITS(BLOCK_OF(end))) : bits);
        once_set = once_set | many);
    dirty = dirty | (DEFECT(NOT_DIRTY) -> 0 : 1 << BLOCK_OF(end));
    many = 0;
    end = (BLOCK_OF(end) + 1) * CLUSTERS_OF_BLOCK
}

/* Ends a range. If it is filled, its bits are set: those of its last block together with what follows. */
inline end_range()
{
    if
    :: owner[ALLOCATION] != me + 1 -> take(ALLOCATION)
    :: owner[ALLOCATION] == me + 1
    fi;
    if
    :: (ok || DEFECT(FAILED_FILL_PUBLISHED)) && end < upto -> set_word()
    :: else
    fi;
    if
    :: (ok || DEFECT(FAILED_FILL_PUBLISHED)) && end < upto
    :: else ->
        flight = WITHOUT(flight, (ok || !DEFECT(RANGE_KEPT_AFTER_AN_ERROR) -> CLUSTERS_FROM(at, upto) : 0));
        if
        :: MY_TURN && !DEFECT(WAITERS_NOT_WOKEN) -> wake(ALLOCATION)
        :: MY_TURN && (asleep[ALLOCATION] == 0 || DEFECT(WAITERS_NOT_WOKEN))
        fi;
        give(ALLOCATION);
        AFTER_RANGE
    fi
}

/* With the first event of the request: what it begins with. */
inline begin_write()
{
    at = first;
    upto = first;
    end = limit;
    ok = 1;
    phase = LOOKS
}

inline write_request()
{
    do
    :: IN_PHASE(LOOKS) look() SEPARATE
    :: IN_PHASE(BEGINS) begin_range() SEPARATE
    :: IN_PHASE(FILLS) fill() SEPARATE
    :: IN_PHASE(ENDS_RANGE) end_range() SEPARATE
    :: IN_PHASE(OVERWRITES) overwrite() SEPARATE
    :: phase == 0 -> break
    od
}
