/*
 * record.h - writing JSON, the same bytes each time
 *
 * A writer puts bytes into a buffer. With a `drain` the buffer is emptied into it whenever it is
 * full, so that a record of any size takes bounded memory; without one the buffer grows. The first
 * error stays and all that follows is dropped: ask once, at the end. Punctuation is the caller's,
 * by record_raw().
 *
 * Strings: what isn't valid UTF-8 is repaired (U+FFFD); '"', '\', and control characters are
 * escaped, all else stands as it is. Numbers: the shortest decimals that give the same double
 * back, with a point or an exponent; what JSON has no number for becomes -9999.0, the API's
 * "very unlikely".
 */
#ifndef RUNTIME_COLLECTOR_RECORD_H
#define RUNTIME_COLLECTOR_RECORD_H

#include <millrace/context.h>

struct record {
    char *bytes;
    size_t count;
    size_t room;
    int error; /* 0 or -errno */
    int (*drain)(void *self, const char *bytes,
                 size_t count); /* NULL: the buffer grows; 0, -errno */
    void *self;
};

enum { RECORD_DRAINED_ROOM = 256 * 1024 };

/* record_init - an empty writer; `drain` may be NULL. 0, or -ENOMEM. */
int record_init(struct record *record, int (*drain)(void *self, const char *bytes, size_t count),
                void *self);
void record_free(struct record *record);

/* record_flush - empties the buffer into `drain`, which there must be; returns the first error, or
 * 0
 */
int record_flush(struct record *record);

void record_raw(struct record *record, const char *text); /* as it is */
void record_string(struct record *record, mr_bytes string);
void record_escaped(struct record *record,
                    mr_bytes part); /* the inside of a string, without quotes */
void record_int(struct record *record, uint64_t number);
void record_real(struct record *record, double number);

#endif
