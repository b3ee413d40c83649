/*
 * io.h - reads and writes of files at offsets, through io_uring or by plain calls
 *
 * The face is the same for both. Requests are started, go to the kernel together, and are finished
 * one by one; by plain calls a request is done when it is started. Which way it goes is found out
 * once, in io_open(): plain calls are taken where the kernel or the container refuses io_uring, or
 * where the environment says MILLRACE_IO=plain (`millrace run --no-io-uring` sets it).
 *
 * Needs no more than kernel 6.1 and liburing 2.3 have. Belongs to one thread.
 * A process killed with requests in flight is reaped only after they ended: the kernel's helper
 * threads belong to it. So a successor never meets a late write of its predecessor.
 */
#ifndef RUNTIME_IO_H
#define RUNTIME_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct io;

/* One read or write. The caller fills the first five and keeps it and the buffer in place until
 * io_finish(); the others belong to io.c. */
struct io_request {
    int fd; /* of something that takes offsets: a regular file or a block device */
    bool write;
    void *buffer;
    size_t size;
    uint64_t offset;
    size_t done; /* bytes moved so far */
    int error;   /* 0 or -errno */
    bool active; /* started and not yet at its end */
};

/* io_open - at most `depth` requests at once; 0 or -ENOMEM */
int io_open(struct io **io, unsigned depth);

/* io_close - waits for what is in flight; NULL is fine */
void io_close(struct io *io);

/* io_uses_ring - whether it goes through io_uring (for the log and the tests) */
bool io_uses_ring(const struct io *io);

/* io_start - queue a request; at most `depth` may be started and not finished */
void io_start(struct io *io, struct io_request *request);

/* io_submit - give to the kernel what is queued, and don't wait */
void io_submit(struct io *io);

/*
 * io_finish - give to the kernel what is queued, and wait for the end of `request`
 *
 * What the kernel did by half is gone on with. Returns the bytes moved: all of `size`, or for a
 * read what there was before the end of the file. Or -errno; then request->done bytes were moved
 * before the failure (a full disk).
 */
ssize_t io_finish(struct io *io, struct io_request *request);

/* The two in one, for one request alone; returns as io_finish(). */
ssize_t io_read_at(struct io *io, int fd, void *buffer, size_t size, uint64_t offset);
ssize_t io_write_at(struct io *io, int fd, const void *buffer, size_t size, uint64_t offset);

#endif
