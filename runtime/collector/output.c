/*
 * output.c - where the records go, so that each of them arrives exactly once
 */
#include "runtime/collector/output.h"
#include "runtime/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One sendfile(2) may wait when a socket has room for less, so it isn't asked for more than that
 * in one call; whole pieces of a multiple of the largest page are punched out. */
enum { SENT_AT_ONCE = 64 << 10, PUNCH_UNIT = 2 << 20, RETRY_MS = 1000 };

/* Who waits says so several times a second, or he would be taken for one that is stuck. */
enum { PATIENCE_MS = 100 };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* trouble - say once that the output can't be written */
static void trouble(struct output *output, int error)
{
    if (!output->troubled)
        log_error("cannot write to the output: %s; trying again each second", strerror(-error));
    output->troubled = true;
}

static void no_trouble(struct output *output)
{
    if (output->troubled)
        log_warning("the output can be written again");
    output->troubled = false;
}

/* open_appended - a description of our own of a file that is open for appending, which sendfile(2)
 * refuses. Its offset matters to nobody: each sending begins at the end of the file. */
static int open_appended(struct output *output)
{
    char path[64];
    struct stat status;
    int flags = fcntl(output->target, F_GETFL);
    if (flags < 0 || (flags & O_APPEND) == 0 || fstat(output->target, &status) < 0 ||
        !S_ISREG(status.st_mode))
        return 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", output->target);
    output->target = open(path, O_WRONLY | O_CLOEXEC);
    output->appends = true;
    return output->target < 0 ? -errno : 0;
}

static int cut(struct output *output)
{
    struct stat status;
    if (fstat(output->file, &status) == 0 && (uint64_t)status.st_size < output->length &&
        !output->has_spool)
        log_warning("the output lost its last %llu bytes to somebody else; it has a gap now",
                    (unsigned long long)(output->length - (uint64_t)status.st_size));
    return ftruncate(output->file, (off_t)output->length) < 0 ? -errno : 0;
}

int output_open(struct output *output, int target, int spool, uint64_t length,
                bool (*patient)(void *self), void *self)
{
    int error;
    *output = (struct output){.target = target,
                              .file = spool < 0 ? target : spool,
                              .has_spool = spool >= 0,
                              .length = length,
                              .committed = length,
                              .patient = patient,
                              .self = self};
    error = spool >= 0 ? open_appended(output) : 0;
    if (error == 0)
        error = cut(output);
    if (error == 0)
        error = io_open(&output->io, 4);
    if (error < 0)
        log_error("cannot open the %s: %s", spool < 0 ? "output" : "output's spool",
                  strerror(-error));
    return error;
}

void output_close(struct output *output)
{
    io_close(output->io);
    if (output->appends)
        close(output->target);
}

/* ---- sending from the spool ---- */

static uint64_t sent(const struct output *output)
{
    off_t offset = lseek(output->file, 0, SEEK_CUR);
    return offset < 0 ? 0 : (uint64_t)offset;
}

/* punch - give back the room of what was sent long ago; a file system that can't keeps it */
static void punch(struct output *output, uint64_t offset)
{
    uint64_t end = offset < OUTPUT_KEPT ? 0 : (offset - OUTPUT_KEPT) / PUNCH_UNIT * PUNCH_UNIT;
    if (end < output->punched + OUTPUT_PUNCHED)
        return;
    if (fallocate(output->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)output->punched,
                  (off_t)(end - output->punched)) < 0)
        log_debug("the output's spool keeps what was sent: %s", strerror(errno));
    output->punched = end;
}

/* send_some - one call of sendfile(2); bytes sent, or -errno */
static ssize_t send_some(struct output *output, uint64_t left)
{
    ssize_t moved;
    if (output->appends && lseek(output->target, 0, SEEK_END) < 0)
        return -errno;
    moved = sendfile(output->target, output->file, NULL,
                     left < SENT_AT_ONCE ? (size_t)left : SENT_AT_ONCE);
    if (moved < 0)
        return -errno;
    return moved > 0 ? moved : -EIO; /* the spool is shorter than what was committed */
}

/* fate - what a failure to send means for output_send() */
static int fate(struct output *output, int error)
{
    if (error == -EINTR || error == -EAGAIN)
        return 1;
    if (error == -EPIPE || error == -ECONNRESET)
        return -EPIPE;
    if (error == -EINVAL || error == -EBADF)
        return error;
    trouble(output, error);
    output->retry = now_ms() + RETRY_MS;
    return 1;
}

static bool can_send(const struct output *output)
{
    struct pollfd target = {.fd = output->target, .events = POLLOUT};
    return output_events(output) != 0 && poll(&target, 1, 0) > 0;
}

int output_send(struct output *output)
{
    uint64_t offset;
    if (!output->has_spool)
        return 0;
    while ((offset = sent(output)) < output->committed) {
        ssize_t moved;
        if (!can_send(output))
            return 1;
        moved = send_some(output, output->committed - offset);
        if (moved < 0)
            return fate(output, (int)moved);
        no_trouble(output);
        punch(output, offset + (uint64_t)moved);
    }
    return 0;
}

short output_events(const struct output *output)
{
    return output->troubled && now_ms() < output->retry ? 0 : POLLOUT;
}

/* wait_to_send - until the reader took something, but not long */
static void wait_to_send(const struct output *output)
{
    struct pollfd target = {.fd = output->target, .events = output_events(output)};
    poll(&target, target.events != 0, PATIENCE_MS);
}

int output_finish(struct output *output)
{
    int left;
    while ((left = output_send(output)) == 1) {
        if (!output->patient(output->self))
            return -ESHUTDOWN;
        wait_to_send(output);
    }
    return left;
}

/* ---- appending ---- */

/* wait_to_append - until it is worth another try; false when patience ended */
static bool wait_to_append(struct output *output)
{
    for (int waited = 0; waited < RETRY_MS; waited += PATIENCE_MS) {
        if (!output->patient(output->self))
            return false;
        poll(NULL, 0, PATIENCE_MS);
    }
    return true;
}

static int wait_for_reader(struct output *output)
{
    int left;
    while (output->has_spool && output->committed - sent(output) > OUTPUT_UNSENT_MAX) {
        left = output_send(output);
        if (left < 0)
            return left;
        if (left == 1 && !output->patient(output->self))
            return -ESHUTDOWN;
        if (left == 1)
            wait_to_send(output);
    }
    return 0;
}

int output_write(struct output *output, const char *bytes, size_t count)
{
    ssize_t written;
    int error = wait_for_reader(output);
    if (error < 0)
        return error;
    while ((written = io_write_at(output->io, output->file, bytes, count, output->length)) < 0) {
        trouble(output, (int)written);
        if (!wait_to_append(output))
            return -ESHUTDOWN;
    }
    no_trouble(output);
    output->length += count;
    return 0;
}

void output_commit(struct output *output)
{
    output->committed = output->length;
}
