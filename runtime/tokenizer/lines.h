/*
 * lines.h - the input cut into its records, one a line
 *
 * A record ends with a newline, the last one perhaps with the input; a carriage return before the
 * newline and a byte-order mark at the very beginning are dropped. A line beyond the limit is told
 * as soon as it is known to be too long, and its rest is skipped without being held anywhere.
 *
 * Reading begins at an offset that some earlier lines_next() gave as `end`. That is either behind a
 * newline (or 0), or in the middle of a line that was too long; the byte before it tells which.
 */
#ifndef RUNTIME_TOKENIZER_LINES_H
#define RUNTIME_TOKENIZER_LINES_H

#include "runtime/tokenizer/source.h"

struct lines;

enum lines_result {
    LINES_END = 0,
    LINES_RECORD = 1,
    LINES_TOO_LONG = 2, /* a record that is too long: `bytes` is NULL, `end` perhaps inside of it */
    LINES_SKIPPED = 3,  /* a further part of it went by, up to `end`; no record of its own */
    LINES_WAIT = 4      /* a stream has nothing for now; ask again */
};

struct line {
    const char *bytes; /* valid until the next call */
    size_t length;
    uint64_t end; /* offset in the input behind it */
};

/* lines_open - records of `source`, which was opened at `offset`; `first` is where the whole input
 * begins, `limit` the most bytes of a line. Returns 0 or -errno. */
int lines_open(struct lines **lines, struct source *source, uint64_t first, uint64_t offset,
               size_t limit);
void lines_close(struct lines *lines); /* NULL is fine; the source stays open */

/* lines_next - returns an enum lines_result, or -errno */
int lines_next(struct lines *lines, struct line *line);

#endif
