/*
 * The wire format of corpus/PROTOCOL.md: what a line of an adapter says, and whether it may say so.
 *
 * Everything here works on bytes in memory and trusts none of them. All functions are safe from any thread.
 */
#ifndef HARNESS_PROTOCOL_H
#define HARNESS_PROTOCOL_H

#include "addcow_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1
#define PROTOCOL_LINE_MAX 1024u       /* bytes of a line, its end included */
#define PROTOCOL_WORDS_MAX 32u        /* words of an answer's line */
#define PROTOCOL_DATA_MAX (64u << 20) /* bytes of data of one message */
#define PROTOCOL_MESSAGE_MAX 1023u    /* bytes of an error's message */
#define PROTOCOL_CONCURRENCY_MAX 64u  /* requests in flight */

enum protocol_operation {
    PROTOCOL_HELLO,
    PROTOCOL_OPEN,
    PROTOCOL_CLOSE,
    PROTOCOL_SIZE,
    PROTOCOL_READ,
    PROTOCOL_WRITE, /* from here on an adapter has an operation only if it declares it */
    PROTOCOL_ZERO,
    PROTOCOL_DISCARD,
    PROTOCOL_MAP,
    PROTOCOL_FLUSH,
    PROTOCOL_RESIZE,
    PROTOCOL_STREAM,
    PROTOCOL_COMMIT,
    PROTOCOL_CREATE,
    PROTOCOL_OPERATIONS
};

enum protocol_level { PROTOCOL_READER, PROTOCOL_WRITER, PROTOCOL_CONCURRENT, PROTOCOL_DURABLE, PROTOCOL_LEVELS };

/* What an adapter may declare not to be able to do or show. */
enum protocol_lack { PROTOCOL_LINKS, PROTOCOL_CHAIN, PROTOCOL_LOCKS, PROTOCOL_LARGE, PROTOCOL_CUT, PROTOCOL_LACKS };

/* What an adapter declares in its hello. */
struct protocol_abilities {
    bool r20;
    bool r9;
    unsigned operations;  /* bit 1 << enum protocol_operation */
    unsigned granularity; /* 1 or 512 */
    unsigned concurrency; /* 1..PROTOCOL_CONCURRENCY_MAX */
    enum protocol_level level;
    unsigned lacks; /* bit 1 << enum protocol_lack */
};

/* One answer's line. The words stay in the caller's buffer. */
struct protocol_answer {
    uint64_t tag;
    enum addcow_status code;               /* ADDCOW_OK, or the class of the error */
    const char *clause;                    /* of an error; "" if it names none */
    const char *words[PROTOCOL_WORDS_MAX]; /* after `ok`, without the word for data */
    unsigned count;
    bool has_data;
    uint64_t data_length; /* bytes that follow the line; at most PROTOCOL_DATA_MAX */
};

/* The names of PROTOCOL.md. Static storage. */
const char *protocol_operation_name(enum protocol_operation operation);
const char *protocol_level_name(enum protocol_level level);
const char *protocol_lack_name(enum protocol_lack lack);

/* Whether the word is a number as the protocol writes them, and which. */
bool protocol_number(const char *word, uint64_t *number);

/*
 * Parses line[0, length), a line of an answer without its end. Writes into `line`, which has room for one byte more.
 * False, with what is wrong in `why`, if it has not the form of an answer.
 */
bool protocol_parse_answer(char *line, size_t length, struct protocol_answer *answer, char *why, size_t why_size);

/*
 * Judges the words of a well-formed answer to an operation other than hello: their number, their values, and whether
 * data is announced, of `data_length` bytes for a read. Fills numbers[0..1] with the values. False, with what is wrong
 * in `why`, if it does not answer this operation.
 */
bool protocol_check_answer(const struct protocol_answer *answer, enum protocol_operation operation,
                           uint64_t data_length, uint64_t numbers[2], char *why, size_t why_size);

enum protocol_hello { PROTOCOL_WELCOME, PROTOCOL_OTHER_VERSION, PROTOCOL_BAD_HELLO };

/* Judges the answer to hello. Fills *abilities on PROTOCOL_WELCOME, and otherwise `why`. */
enum protocol_hello protocol_check_hello(const struct protocol_answer *answer, struct protocol_abilities *abilities,
                                         char *why, size_t why_size);

/* Makes bytes of unknown origin fit for a terminal: at most `size` - 1 characters, what is not printable as '?'. */
void protocol_quote(const char *bytes, size_t length, char *out, size_t size);

#endif
