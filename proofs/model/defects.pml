/*
 * The mistakes that the model can be compiled with: DEFECTIVE is the number of one, 0 is none. proofs/model/check reads
 * this table: `#define NAME NUMBER`, the configuration that must find it, and the assertion that does; `ends` for one
 * that is found by a process that never ends.
 */
#ifndef DEFECTIVE
#define DEFECTIVE 0
#endif
#define DEFECT(name) (DEFECTIVE == name)

#define BIT_FIRST 1                 /* small: CON_04 */
#define NOT_DIRTY 2                 /* small: DUR_01 */
#define RANGES_OVERLAP 3            /* small: CON_06 */
#define RANGE_NOT_CLIPPED 4         /* ranges: CON_06 */
#define BITS_NOT_LOOKED_AT_AGAIN 5  /* small: CON_06 */
#define NEIGHBOURING_BIT_LOST 6     /* ranges: MAP_02 */
#define WAITERS_NOT_WOKEN 7         /* small: ends */
#define LATE_SNAPSHOT 8             /* ranges: DUR_03 */
#define FILE_BEFORE_IMAGE 9         /* small: DUR_03 */
#define CLEAN_FLUSH_DOES_NOTHING 10 /* small: DUR_01 */
#define IMAGE_NOT_SYNCED 11         /* small: DUR_03 */
#define NOT_GIVEN_BACK 12           /* small: DUR_01 */
#define ONE_BLOCK_GIVEN_BACK 13     /* small: DUR_01 */
#define RESULT_FOR_LATER_FLUSHES 14 /* small: DUR_01 */
#define JOINED_SUCCEEDS 15          /* joined: DUR_01 */
#define JOINS_RUNNING_CYCLE 16      /* small: DUR_01 */
#define FLUSHES_NOT_WOKEN 17        /* small: ends */
#define FAILED_SYNC_FORGOTTEN 18    /* small: DUR_03 */
#define FAILED_SYNC_SUCCEEDS 19     /* small: DUR_03 */
#define FAILED_FILE_SYNC_SUCCEEDS 20 /* small: DUR_01 */
#define FILE_NOT_SYNCED 21          /* small: DUR_01 */
#define LIVE_BITS_WRITTEN 22        /* ranges: DUR_03 */
#define FAILED_FILL_PUBLISHED 23    /* small: CON_04 */
#define RANGE_KEPT_AFTER_AN_ERROR 24 /* small: ends */
#define QUIESCE_CHECKED_BEFORE_COUNTING 25 /* resize: CON_09 */
#define ONE_STRIPE_AWAITED 26 /* resize: CON_09 */
#define QUIESCE_NOT_WOKEN 27 /* resize: ends */
#define REFUSED_REQUEST_STAYS_COUNTED 28 /* resize: ends */
#define GROWING_SHOWS_THE_BACKING 29 /* resize: DUR_11 */
#define GROWING_EXTENDS_FIRST 30 /* resize: DUR_11 */
#define GROWING_NOT_FLUSHED 31 /* resize: DUR_11 */
#define SHRINKING_CLEARS_FIRST 32 /* resize: DUR_11 */
#define CUT_NOT_DURABLE 33 /* resize: DUR_11 */
#define STREAM_WITHOUT_A_RANGE 34 /* stream: CON_11 */
#define STREAM_DOES_NOT_LOOK_AGAIN 35 /* stream: CON_11 */
#define FLAG_WITHOUT_A_FLUSH 36 /* stream: DUR_08 */
#define FLAG_NOT_WRITTEN_AGAIN 37 /* stream: DUR_06 */
#define FLAG_WITHOUT_ALL_BITS 38 /* beside: STR_02 */
#define COMMIT_NOT_QUIESCED 39 /* commit: CON_09 */
#define COMMIT_NOT_FLUSHED 40 /* commit: CMT_03 */
#define COMMITTED_NOT_SYNCED 41 /* commit: CMT_03 */
#define FREED_BEFORE_CLEAR 42 /* commit: CMT_01 */
#define COMMIT_KEEPS_THE_FLAG 43 /* freed: CMT_01 */
#define OPENING_NOT_SYNCED 44 /* death: DUR_12 */
#define KEPT_BIT_CLEARED 45 /* resize: RSZ_02 */
