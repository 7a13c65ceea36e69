/*
 * The wire format of corpus/PROTOCOL.md: parses and validates the lines of an adapter.
 *
 * The input is untrusted bytes in memory. All functions may be called from any thread.
 */
#ifndef HARNESS_PROTOCOL_H
#define HARNESS_PROTOCOL_H

#include "addcow_format.h"
#include "workload/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1
#define PROTOCOL_LINE_MAX 1024u       /* bytes of a line, its end included */
#define PROTOCOL_WORDS_MAX 32u        /* words of an answer's line */
#define PROTOCOL_DATA_MAX (64u << 20) /* bytes of data of one message */
#define PROTOCOL_MESSAGE_MAX 1023u    /* bytes of an error's message */
#define PROTOCOL_CONCURRENCY_MAX 64u  /* requests in flight */

/* Requests of the protocol other than operations (operation.h). */
enum protocol_request {
    PROTOCOL_OPEN = OPERATIONS,
    PROTOCOL_CLOSE,
    PROTOCOL_SIZE,
    PROTOCOL_CREATE,
    PROTOCOL_HELLO,
    PROTOCOL_REQUESTS
};

enum protocol_level { PROTOCOL_READER, PROTOCOL_WRITER, PROTOCOL_CONCURRENT, PROTOCOL_DURABLE, PROTOCOL_LEVELS };

/* Abilities that an adapter may declare to lack. */
enum protocol_lack {
    PROTOCOL_LINKS,
    PROTOCOL_CHAIN,
    PROTOCOL_LOCKS,
    PROTOCOL_LARGE,
    PROTOCOL_CUT,
    PROTOCOL_READONLY,     /* opening a disk without the right to write */
    PROTOCOL_LENGTHS,      /* requests of length 0, and refused ones of more than PROTOCOL_LENGTH_PLAIN bytes */
    PROTOCOL_CLOSE_ERRORS, /* reporting that a close has failed */
    PROTOCOL_LACKS
};

#define PROTOCOL_LENGTH_PLAIN (16u << 20)

/* What an adapter declares in its hello. */
struct protocol_abilities {
    bool r20;
    bool r9;
    unsigned requests;    /* bit 1 << enum operation or enum protocol_request; includes the mandatory ones */
    unsigned granularity; /* 1 or 512 */
    unsigned concurrency; /* 1..PROTOCOL_CONCURRENCY_MAX */
    enum protocol_level level;
    unsigned lacks; /* bit 1 << enum protocol_lack */
};

/* The line of an answer. The words point into the caller's buffer. */
struct protocol_answer {
    uint64_t tag;
    enum addcow_status code;               /* ADDCOW_OK, or the error */
    bool unclassified;                     /* an error whose class the adapter does not know; code is ADDCOW_IO */
    const char *clause;                    /* of an error; "" if it names none */
    const char *words[PROTOCOL_WORDS_MAX]; /* after `ok`, without the word for data */
    unsigned count;
    bool has_data;
    uint64_t data_length; /* bytes that follow the line; at most PROTOCOL_DATA_MAX */
};

/* The names of PROTOCOL.md. Static storage. */
const char *protocol_request_name(uint32_t request); /* enum operation or enum protocol_request */
const char *protocol_level_name(enum protocol_level level);
const char *protocol_lack_name(enum protocol_lack lack);

/* Whether the request is optional: an adapter supports it only if it declares it. */
bool protocol_is_declared(uint32_t request);

/* Whether the word has the form of a clause ID, such as "HDR-01". */
bool protocol_is_clause(const char *word);

/* Parses a number of the protocol: decimal, without leading zeros, below 2^64. False if the word is none. */

bool protocol_number(const char *word, uint64_t *number);

/*
 * Parses line[0, length), the line of an answer without its newline. Modifies `line`, which must have room for
 * length + 1 bytes. On failure returns false and stores the reason in `why`.
 */
bool protocol_parse_answer(char *line, size_t length, struct protocol_answer *answer, char *why, size_t why_size);

/*
 * Validates a parsed answer to a request other than hello: the number of words, their values, and the length of the
 * data, `data_length` bytes for a read. Stores the values in numbers[0..1]. On failure returns false and stores the
 * reason in `why`.
 */
bool protocol_check_answer(const struct protocol_answer *answer, uint32_t request, uint64_t data_length,
                           uint64_t numbers[2], char *why, size_t why_size);

enum protocol_hello { PROTOCOL_WELCOME, PROTOCOL_OTHER_VERSION, PROTOCOL_BAD_HELLO };

/* Validates the answer to hello. Fills *abilities on PROTOCOL_WELCOME, and otherwise `why`. */
enum protocol_hello protocol_check_hello(const struct protocol_answer *answer, struct protocol_abilities *abilities,
                                         char *why, size_t why_size);

/* Copies at most `size` - 1 untrusted bytes for printing: '?' replaces bytes outside printable ASCII. */
void protocol_quote(const char *bytes, size_t length, char *out, size_t size);

#endif
