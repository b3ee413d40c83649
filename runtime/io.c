/*
 * io.c - reads and writes of files at offsets, through io_uring or by plain calls
 *
 * A request is in one of three places: queued or in the kernel (active, `unsubmitted` counts those
 * that the kernel hasn't got), or at its end. A short read or write is started again for the rest
 * by whoever sees its completion, so requests may be finished in any order.
 *
 * The caller gets his memory back only when no entry speaks of it any more: one that stayed in the
 * ring behind an error would be carried out later, and its completion taken for another's. So when
 * the kernel takes no more entries, those that it has are waited for, the ring is given up, and
 * what is left is done by plain calls.
 */
#include "runtime/io.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct io {
    struct io_uring ring;
    bool has_ring;
    unsigned unsubmitted;
    unsigned in_flight; /* started and not at its end, by the ring */
};

/* The kernel takes at most this much at once; the length of an entry is 32 bits. */
enum { PIECE_MAX = 1 << 30 };

static bool ring_can_read_and_write(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool can = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_READ) &&
               io_uring_opcode_supported(probe, IORING_OP_WRITE);
    io_uring_free_probe(probe);
    return can;
}

static bool ring_open(struct io_uring *ring, unsigned depth)
{
    const char *way = getenv("MILLRACE_IO");
    if (way != NULL && strcmp(way, "plain") == 0)
        return false;
    if (io_uring_queue_init(depth, ring, 0) < 0)
        return false;
    if (ring_can_read_and_write(ring))
        return true;
    io_uring_queue_exit(ring);
    return false;
}

int io_open(struct io **result, unsigned depth)
{
    struct io *io = calloc(1, sizeof(*io));
    if (io == NULL)
        return -ENOMEM;
    io->has_ring = ring_open(&io->ring, depth);
    *result = io;
    return 0;
}

bool io_uses_ring(const struct io *io)
{
    return io->has_ring;
}

/* account - take note of what one call did; true when the request is at its end */
static bool account(struct io_request *request, ssize_t moved)
{
    if (moved == -EINTR || moved == -EAGAIN)
        return false;
    if (moved < 0)
        request->error = (int)moved;
    else
        request->done += (size_t)moved;
    /* A write that moves nothing would never end; the kernel does that to no file we know. */
    if (moved == 0 && request->write)
        request->error = -EIO;
    request->active = moved > 0 && request->done < request->size;
    return !request->active;
}

static size_t piece_size(const struct io_request *request)
{
    size_t left = request->size - request->done;
    return left < PIECE_MAX ? left : PIECE_MAX;
}

static void plain_run(struct io_request *request)
{
    ssize_t moved;
    do {
        char *at = (char *)request->buffer + request->done;
        off_t offset = (off_t)(request->offset + request->done);
        moved = request->write ? pwrite(request->fd, at, piece_size(request), offset)
                               : pread(request->fd, at, piece_size(request), offset);
    } while (!account(request, moved < 0 ? -errno : moved));
}

static void ring_queue(struct io *io, struct io_request *request)
{
    struct io_uring_sqe *entry = io->has_ring ? io_uring_get_sqe(&io->ring) : NULL;
    char *at = (char *)request->buffer + request->done;
    uint64_t offset = request->offset + request->done;
    if (entry == NULL) { /* all entries are queued: make room */
        io_submit(io);
        entry = io->has_ring ? io_uring_get_sqe(&io->ring) : NULL;
    }
    if (entry == NULL)
        return; /* without a ring io_finish() does it */
    if (request->write)
        io_uring_prep_write(entry, request->fd, at, (unsigned)piece_size(request), offset);
    else
        io_uring_prep_read(entry, request->fd, at, (unsigned)piece_size(request), offset);
    io_uring_sqe_set_data(entry, request);
    io->unsubmitted++;
}

void io_start(struct io *io, struct io_request *request)
{
    request->done = 0;
    request->error = 0;
    request->active = request->size > 0;
    if (!request->active)
        return;
    if (!io->has_ring) {
        plain_run(request);
        return;
    }
    io->in_flight++;
    ring_queue(io, request);
}

/* take_completion - wait for any completion and take note of it; the request if it isn't at its
 * end */
static struct io_request *take_completion(struct io *io)
{
    struct io_uring_cqe *completion;
    struct io_request *request;
    bool ended;
    /* Whatever keeps the kernel from waiting, what it was given is completed: look again. */
    while (io_uring_wait_cqe(&io->ring, &completion) < 0)
        poll(NULL, 0, 1);
    request = io_uring_cqe_get_data(completion);
    ended = account(request, completion->res);
    io_uring_cqe_seen(&io->ring, completion);
    return ended ? NULL : request;
}

static void give_up_ring(struct io *io)
{
    for (unsigned taken = io->in_flight - io->unsubmitted; taken > 0; taken--)
        (void)take_completion(io); /* the rest of one that isn't at its end is done plainly */
    io_uring_queue_exit(&io->ring);
    io->has_ring = false;
}

void io_submit(struct io *io)
{
    while (io->has_ring && io->unsubmitted > 0) {
        int taken = io_uring_submit(&io->ring);
        if (taken > 0)
            io->unsubmitted -= (unsigned)taken;
        else if (taken != -EINTR && taken != -EAGAIN && taken != -EBUSY)
            give_up_ring(io);
    }
}

static void complete_one(struct io *io)
{
    struct io_request *left = take_completion(io);
    if (left != NULL)
        ring_queue(io, left);
    else
        io->in_flight--;
}

ssize_t io_finish(struct io *io, struct io_request *request)
{
    while (request->active) {
        io_submit(io);
        if (io->has_ring)
            complete_one(io);
        else if (request->active)
            plain_run(request);
    }
    return request->error < 0 ? request->error : (ssize_t)request->done;
}

ssize_t io_read_at(struct io *io, int fd, void *buffer, size_t size, uint64_t offset)
{
    struct io_request request = {.fd = fd, .buffer = buffer, .size = size, .offset = offset};
    io_start(io, &request);
    return io_finish(io, &request);
}

ssize_t io_write_at(struct io *io, int fd, const void *buffer, size_t size, uint64_t offset)
{
    struct io_request request = {.fd = fd,
                                 .write = true,
                                 .buffer = (void *)(uintptr_t)buffer,
                                 .size = size,
                                 .offset = offset};
    io_start(io, &request);
    return io_finish(io, &request);
}

void io_close(struct io *io)
{
    if (io == NULL)
        return;
    io_submit(io);
    while (io->has_ring && io->in_flight > 0) {
        complete_one(io);
        io_submit(io);
    }
    if (io->has_ring)
        io_uring_queue_exit(&io->ring);
    free(io);
}
