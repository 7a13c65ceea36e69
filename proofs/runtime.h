/*
 * What the contract checks call that proofs/instrument.py writes into a copy of the reference engine.
 *
 * A call of a checked function has a frame. While its preconditions are checked, every range that they call valid is
 * noted. A copy of all these ranges, made before the body runs, is the state `Pre` of the contract; what differs from
 * it afterwards must be in `assigns`. A ghost label is such a copy too. A clause that does not hold is printed with its
 * text and the values of its variables, and the process aborts.
 *
 * Checks are limited so that programs with large disks come to an end. After the checks of a function have looked at
 * rtc_ample bytes, the function is checked only so often that its checks look at about one byte a call; the same holds
 * for loops. Calls whose memory is larger than RTC_LARGE are not checked. Time plays no part in this, and calls that
 * are not checked are counted.
 *
 * Thread-safe: frames belong to threads, counters are atomic.
 */
#ifndef PROOFS_RUNTIME_H
#define PROOFS_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 rtc_integer;

#define RTC_BLOCKS 16
#define RTC_LABELS 8

/* A clause, how often it was checked, and how often with all premises true. */
struct rtc_clause {
    const char *function;
    const char *name;
    const char *text;
    const char *place;
    uint64_t checked;
    uint64_t hit;
};

struct rtc_block {
    const char *begin;
    size_t bytes;
    char *copy;
};

/* Memory as it was. */
struct rtc_state {
    struct rtc_block blocks[RTC_BLOCKS];
    size_t count;
};

/* What the checks of one function or loop have cost, in bytes looked at, and how often they were left out. */
struct rtc_site {
    uint64_t spent;
    uint64_t bytes; /* what the last check looked at */
    uint64_t passed;
};

struct rtc_frame {
    struct rtc_frame *caller;
    struct rtc_site *site;
    struct rtc_state *copy; /* null until the preconditions are checked */
    struct rtc_state *labels[RTC_LABELS];
    struct rtc_state blocks; /* where the valid memory is; without copies */
    size_t label_count, bytes;
    int active, collecting;
};

/* Bytes; `bytes` <= 0 is none. */
struct rtc_region {
    const char *begin;
    rtc_integer bytes;
};

extern _Thread_local struct rtc_frame *rtc_top;

/* The contracts' lower bound on the cluster size at run time. A driver may lower it before its first call. */
extern uint64_t rtc_smallest_cluster;

/* How many bytes the checks of one function or loop may look at before they are made only now and then. */
extern uint64_t rtc_ample;

void rtc_register(struct rtc_clause *clauses, size_t count);

/* 1 if this call is to be checked. `outermost` counts as an operation when no checked function is running. */
int rtc_enter(struct rtc_frame *frame, struct rtc_site *site, int outermost);
void rtc_keep(struct rtc_frame *frame);
void rtc_leave(struct rtc_frame *frame);

/* A copy of the frame's memory, which lives as long as the frame; null if the frame is not checked. */
const struct rtc_state *rtc_label(struct rtc_frame *frame);
int rtc_due(const struct rtc_frame *frame, struct rtc_site *site);

const void *rtc_find(const struct rtc_state *state, const void *place);
struct rtc_region rtc_region(const void *begin, size_t size, rtc_integer low, rtc_integer high);
int rtc_valid(struct rtc_region region);
int rtc_separated(struct rtc_region a, struct rtc_region b);

/* `high`, or `low` if the range between them is too large to look at. */
rtc_integer rtc_within(rtc_integer low, rtc_integer high);

/* 1 if every difference between the frame's memory and its copy lies in the regions; else notes where one does not. */
int rtc_only(const struct rtc_frame *frame, const struct rtc_region *regions, size_t count);

void rtc_begin(const struct rtc_clause *clause);
void rtc_note(const char *name, rtc_integer value);
void rtc_show(const char *name, rtc_integer value);
void rtc_count(struct rtc_clause *clause, int hit);
void rtc_headline(void);
_Noreturn void rtc_broken(void);

static inline const void *rtc_at(const struct rtc_state *state, const void *place)
{
    return state ? rtc_find(state, place) : place;
}

static inline rtc_integer rtc_min(rtc_integer a, rtc_integer b)
{
    return a < b ? a : b;
}

static inline rtc_integer rtc_max(rtc_integer a, rtc_integer b)
{
    return a > b ? a : b;
}

/* Numbers become integers; pointers stay what they are. */
#define RTC_VALUE(x)                                                                                                   \
    _Generic((x),                                                                                                      \
        void *: (x),                                                                                                   \
        const char *: (x),                                                                                             \
        uint8_t *: (x),                                                                                                \
        const uint8_t *: (x),                                                                                          \
        uint32_t *: (x),                                                                                               \
        uint64_t *: (x),                                                                                               \
        struct addcow_ref *: (x),                                                                                      \
        const struct addcow_ref *: (x),                                                                                \
        struct addcow_header *: (x),                                                                                   \
        const struct addcow_header *: (x),                                                                             \
        default: (rtc_integer)(x))

#define RTC_PLACE(state, place) ((__typeof__(place) *)rtc_at(state, &(place)))
#define RTC_AT(state, place) (*RTC_PLACE(state, place))
#define RTC_SAME(a, b) (__builtin_memcmp(a, b, sizeof *(a)) == 0)
#define RTC_REGION(p, low, high) rtc_region(p, sizeof *(p), low, high)
#define RTC_NOWHERE (struct rtc_region){0, 0}

#define RTC_SHOW(name, x)                                                                                              \
    _Generic((x),                                                                                                      \
        const struct addcow_ref *: rtc_show_disk,                                                                      \
        struct addcow_ref *: rtc_show_disk,                                                                            \
        const struct addcow_header *: rtc_show_header,                                                                 \
        struct addcow_header *: rtc_show_header,                                                                       \
        const uint8_t *: rtc_show_pointer,                                                                             \
        uint8_t *: rtc_show_pointer,                                                                                   \
        uint32_t *: rtc_show_pointer,                                                                                  \
        uint64_t *: rtc_show_pointer,                                                                                  \
        const char *: rtc_show_pointer,                                                                                \
        default: rtc_show)(name, x)

struct addcow_ref;
struct addcow_header;
void rtc_show_disk(const char *name, const struct addcow_ref *disk);
void rtc_show_header(const char *name, const struct addcow_header *header);
void rtc_show_pointer(const char *name, const void *pointer);

#define RTC_CLAUSE(number, holds, shows)                                                                               \
    {                                                                                                                  \
        int rtc_hit = 0;                                                                                               \
        rtc_begin(&rtc_clauses[number]);                                                                               \
        if (!(holds)) {                                                                                                \
            rtc_headline();                                                                                            \
            shows rtc_broken();                                                                                        \
        }                                                                                                              \
        rtc_count(&rtc_clauses[number], rtc_hit);                                                                      \
    }

/* At every test of a loop's condition the variant is below its value at the last test, which was not negative. */
#define RTC_VARIANT(number, last, variant)                                                                             \
    {                                                                                                                  \
        rtc_begin(&rtc_clauses[number]);                                                                               \
        rtc_integer rtc_now = (variant);                                                                               \
        if (last != RTC_NONE && (last < 0 || rtc_now >= last)) {                                                       \
            rtc_headline();                                                                                            \
            rtc_show("before", last);                                                                                  \
            rtc_show("now", rtc_now);                                                                                  \
            rtc_broken();                                                                                              \
        }                                                                                                              \
        rtc_count(&rtc_clauses[number], last != RTC_NONE);                                                             \
        last = rtc_now;                                                                                                \
    }
#define RTC_NONE ((rtc_integer)1 << 100) /* no variant is so large */

/* Opens the block that contains the run of the body and RTC_COMPARE. */
#define RTC_ASSIGNS(number, ...)                                                                                       \
    {                                                                                                                  \
        const struct rtc_region rtc_regions[] = {__VA_ARGS__};                                                         \
        const int rtc_assigns = number;

#define RTC_COMPARE(frame)                                                                                             \
    rtc_begin(&rtc_clauses[rtc_assigns]);                                                                              \
    if (!rtc_only(frame, rtc_regions, sizeof rtc_regions / sizeof *rtc_regions)) {                                     \
        rtc_headline();                                                                                                \
        rtc_broken();                                                                                                  \
    }                                                                                                                  \
    rtc_count(&rtc_clauses[rtc_assigns], 1);

#endif
