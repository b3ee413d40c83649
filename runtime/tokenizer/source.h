/*
 * source.h - the input as bytes at offsets, whatever it is
 *
 * A file is read where it lies, one block ahead of the consumer. What can't be read twice (a pipe,
 * a terminal, a socket) is spliced into a spool first, and read from there: splice(2) takes from
 * the pipe what it appends, in one call, so the spool's size says what was taken, and a successor
 * of a killed tokenizer finds every byte. What the consumer releases is punched out of the spool:
 * it holds no more than the record at work and a block, and one byte before them (see lines.h).
 * When the spool is full the rest stays in the pipe: that is said once and tried again each second.
 */
#ifndef RUNTIME_TOKENIZER_SOURCE_H
#define RUNTIME_TOKENIZER_SOURCE_H

#include "runtime/io.h"

struct source;

enum { SOURCE_BLOCK = 1 << 18 }; /* bytes a chunk has at most */

enum source_result {
    SOURCE_END = 0, /* no byte will follow */
    SOURCE_DATA = 1,
    SOURCE_WAIT = 2 /* a stream that has nothing for now; the call has waited for it a while */
};

/* Where the bytes come from; the descriptors stay the caller's. */
struct source_input {
    int fd;
    int spool;    /* of a stream; -1: `fd` is a regular file */
    int relay[2]; /* the pipe before the spool, or -1, -1: `fd` is a pipe itself */
};

/* source_open - begin to read at `offset`; 0 or -errno */
int source_open(struct source **source, struct io *io, const struct source_input *input,
                uint64_t offset);
void source_close(struct source *source); /* NULL is fine */

/*
 * source_next - the chunk behind the last one
 *
 *   bytes, count  out, with SOURCE_DATA: valid until the next call; count >= 1
 *
 * Returns an enum source_result, or -errno.
 */
int source_next(struct source *source, const char **bytes, size_t *count);

/* source_byte_at - one byte of what was read before; 0 to 255, or -errno */
int source_byte_at(struct source *source, uint64_t offset);

/* source_release - the bytes before `offset` won't be asked for any more */
void source_release(struct source *source, uint64_t offset);

#endif
