/*
 * source.c - the input as bytes at offsets, whatever it is
 *
 * A regular file has two blocks: one that the consumer looks at, one that is being read meanwhile.
 * A spool is in memory and needs no reading ahead.
 */
#include "runtime/tokenizer/source.h"
#include "runtime/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WAIT_MS = 100,       /* how long one call waits for a stream */
    RETRIES = 10,        /* waits until a spool that was full is tried again */
    PUNCH_STEP = 1 << 20 /* bytes released before it is worth a system call */
};

struct source {
    struct io *io;
    struct source_input input;
    uint64_t offset;  /* of the next chunk */
    uint64_t size;    /* of the spool */
    uint64_t punched; /* bytes of the spool before this were given back */
    unsigned current; /* block that is, or will be, the consumer's */
    bool ahead;       /* the request of `current` was started */
    bool ended;
    bool troubled;  /* the spool was full, which was said */
    unsigned waits; /* before it is tried again */
    struct io_request requests[2];
    char blocks[2][SOURCE_BLOCK];
};

static int spool_size(struct source *source)
{
    struct stat status;
    if (fstat(source->input.spool, &status) < 0)
        return -errno;
    source->size = (uint64_t)status.st_size;
    return 0;
}

int source_open(struct source **result, struct io *io, const struct source_input *input,
                uint64_t offset)
{
    int error = 0;
    struct source *source = calloc(1, sizeof(*source));
    if (source == NULL)
        return -ENOMEM;
    source->io = io;
    source->input = *input;
    source->offset = offset;
    if (input->spool >= 0)
        error = spool_size(source);
    if (error < 0)
        free(source);
    else
        *result = source;
    return error;
}

void source_close(struct source *source)
{
    if (source == NULL)
        return;
    for (unsigned i = 0; i < 2; i++)
        (void)io_finish(source->io, &source->requests[i]);
    free(source);
}

/* ---- a regular file ---- */

static void read_ahead(struct source *source, unsigned block, uint64_t offset)
{
    source->requests[block] = (struct io_request){.fd = source->input.fd,
                                                  .buffer = source->blocks[block],
                                                  .size = SOURCE_BLOCK,
                                                  .offset = offset};
    io_start(source->io, &source->requests[block]);
    io_submit(source->io);
}

static int next_of_file(struct source *source, const char **bytes, size_t *count)
{
    unsigned block = source->current;
    ssize_t got;
    if (source->ended)
        return SOURCE_END;
    if (!source->ahead)
        read_ahead(source, block, source->offset);
    got = io_finish(source->io, &source->requests[block]);
    source->ahead = false;
    if (got < 0)
        return (int)got;
    source->offset += (uint64_t)got;
    source->ended = got < SOURCE_BLOCK;
    if (!source->ended) {
        source->current = 1 - block;
        source->ahead = true;
        read_ahead(source, source->current, source->offset);
    }
    *bytes = source->blocks[block];
    *count = (size_t)got;
    return got > 0 ? SOURCE_DATA : SOURCE_END;
}

/* ---- a stream with its spool ---- */

/* move - splice what is there, as source_next(); *moved is how much */
static int move(int from, int to, loff_t *offset, ssize_t *moved)
{
    char byte;
    *moved = splice(from, NULL, to, offset, SOURCE_BLOCK, SPLICE_F_NONBLOCK);
    if (*moved > 0)
        return SOURCE_DATA;
    /* /dev/null can't be spliced, but it can be told that it is at its end. */
    if (*moved == 0 || (errno == EINVAL && read(from, &byte, 1) == 0))
        return SOURCE_END;
    return errno == EAGAIN || errno == EINTR ? SOURCE_WAIT : -errno;
}

/* has_no_room - whether it failed for want of room alone: what wasn't moved is still in the pipe */
static bool has_no_room(int result)
{
    return result == -ENOSPC || result == -EDQUOT || result == -ENOMEM;
}

static int wait_for_room(struct source *source, int error)
{
    if (!source->troubled)
        log_error("cannot keep the requests that come in: %s; trying again each second",
                  strerror(-error));
    source->troubled = true;
    source->waits = RETRIES;
    return SOURCE_WAIT;
}

/* move_to_spool - append to the spool what lies in a pipe, which takes it out there */
static int move_to_spool(struct source *source, int pipe)
{
    loff_t end = (loff_t)source->size;
    ssize_t moved;
    int result = move(pipe, source->input.spool, &end, &moved);
    if (has_no_room(result))
        return wait_for_room(source, result);
    if (result != SOURCE_DATA)
        return result;
    source->size += (uint64_t)moved;
    if (source->troubled)
        log_warning("the requests can be kept again");
    source->troubled = false;
    return result;
}

static int take_from_stream(struct source *source)
{
    const int *relay = source->input.relay;
    struct pollfd ready = {.fd = source->input.fd, .events = POLLIN};
    ssize_t moved;
    int result;
    if (source->waits > 0) {
        source->waits--;
        poll(NULL, 0, WAIT_MS);
        return SOURCE_WAIT;
    }
    /* What a predecessor left in the relay comes first. */
    result = relay[0] >= 0 ? move_to_spool(source, relay[0]) : SOURCE_WAIT;
    if (result != SOURCE_WAIT || source->waits > 0)
        return result;
    if (poll(&ready, 1, WAIT_MS) == 0)
        return SOURCE_WAIT;
    if (relay[0] < 0)
        return move_to_spool(source, source->input.fd);
    result = move(source->input.fd, relay[1], NULL, &moved);
    return result == SOURCE_DATA ? move_to_spool(source, relay[0]) : result;
}

static int next_of_stream(struct source *source, const char **bytes, size_t *count)
{
    uint64_t left;
    ssize_t got;
    if (source->offset >= source->size) {
        int result = take_from_stream(source);
        if (result != SOURCE_DATA)
            return result;
    }
    left = source->size - source->offset;
    got = io_read_at(source->io, source->input.spool, source->blocks[0],
                     left < SOURCE_BLOCK ? (size_t)left : SOURCE_BLOCK, source->offset);
    if (got <= 0)
        return got < 0 ? (int)got : -EIO;
    source->offset += (uint64_t)got;
    *bytes = source->blocks[0];
    *count = (size_t)got;
    return SOURCE_DATA;
}

int source_next(struct source *source, const char **bytes, size_t *count)
{
    return source->input.spool < 0 ? next_of_file(source, bytes, count)
                                   : next_of_stream(source, bytes, count);
}

int source_byte_at(struct source *source, uint64_t offset)
{
    char byte = 0;
    int fd = source->input.spool < 0 ? source->input.fd : source->input.spool;
    ssize_t got = io_read_at(source->io, fd, &byte, 1, offset);
    if (got <= 0)
        return got < 0 ? (int)got : -EIO;
    return (unsigned char)byte;
}

void source_release(struct source *source, uint64_t offset)
{
    uint64_t end = offset & ~(uint64_t)4095;
    if (source->input.spool < 0 || end < source->punched + PUNCH_STEP)
        return;
    /* A file system that can't punch only keeps more than it must. */
    if (fallocate(source->input.spool, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)end) ==
        0)
        source->punched = end;
}
