/*
 * endpoints.c - the two ends of a run: where requests come from and where answers go
 *
 * A regular file is read where it lies. An output is written in place only if the user named it
 * with -o: standard output, even if it is a file, has an offset that others share.
 */
#include "runtime/supervisor/endpoints.h"
#include "runtime/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 2000 };

static bool is_standard(const char *path)
{
    return path == NULL || strcmp(path, "-") == 0;
}

static int make_spool(int *spool, const char *name)
{
    *spool = memfd_create(name, MFD_CLOEXEC);
    if (*spool >= 0)
        return 0;
    log_error("cannot make a spool: %s", strerror(errno));
    return -errno;
}

static char *absolute(const char *path)
{
    char *resolved = realpath(path, NULL);
    return resolved != NULL ? resolved : strdup(path);
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- input ---- */

static int open_for_reading(struct run_input *input, const char *path)
{
    const char *shown = is_standard(path) ? "standard input" : path;
    input->fd = is_standard(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd >= 0)
        return 0;
    log_error("cannot open the requests '%s': %s", shown, strerror(errno));
    return -errno;
}

static int make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) == 0)
        return 0;
    log_error("cannot make a pipe for the requests: %s", strerror(errno));
    return -errno;
}

static int prepare_terminal(struct run_input *input)
{
    int ends[2], error = make_pipe(ends);
    if (error < 0)
        return error;
    input->terminal = input->fd;
    input->fd = ends[0];
    input->pump = ends[1];
    return 0;
}

static int prepare_stream(struct run_input *input, mode_t mode)
{
    int error = make_spool(&input->spool, "millrace-input");
    if (error < 0 || S_ISFIFO(mode))
        return error;
    return isatty(input->fd) ? prepare_terminal(input) : make_pipe(input->relay);
}

void run_input_pump(struct run_input *input)
{
    char typed[4096]; /* PIPE_BUF: goes whole into a pipe that is writable */
    struct pollfd ready[2] = {{.fd = input->terminal, .events = POLLIN},
                              {.fd = input->pump, .events = POLLOUT}};
    ssize_t got;
    if (input->pump < 0 || poll(ready, 2, 0) < 2)
        return;
    got = read(input->terminal, typed, sizeof(typed));
    if (got <= 0 || write(input->pump, typed, (size_t)got) < 0)
        close_if_open(&input->pump);
}

static int prepare_file(struct run_input *input, const char *path, uint64_t size)
{
    off_t position = lseek(input->fd, 0, SEEK_CUR);
    input->size = position > 0 ? size - (uint64_t)position : size;
    if (size > 0 && input->size > 0)
        return 0;
    log_error("the requests '%s' are an empty file", is_standard(path) ? "standard input" : path);
    return -EINVAL;
}

static int prepare_input(struct run_input *input, const char *path)
{
    struct stat status;
    if (fstat(input->fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode)) {
        log_error("the requests '%s' are a directory, not a file", path);
        return -EISDIR;
    }
    if (!S_ISREG(status.st_mode))
        return prepare_stream(input, status.st_mode);
    free(input->path);
    input->path = is_standard(path) ? strdup("") : absolute(path);
    return prepare_file(input, path, (uint64_t)status.st_size);
}

int run_input_open(struct run_input *input, const char *path)
{
    int error;
    *input = (struct run_input){
        .fd = -1, .spool = -1, .relay = {-1, -1}, .terminal = -1, .pump = -1, .path = strdup("")};
    error = open_for_reading(input, path);
    return error < 0 ? error : prepare_input(input, path);
}

int run_input_none(struct run_input *input)
{
    *input = (struct run_input){
        .spool = -1, .relay = {-1, -1}, .terminal = -1, .pump = -1, .path = strdup("")};
    input->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return input->fd < 0 ? -errno : 0;
}

void run_input_close(struct run_input *input)
{
    close_if_open(&input->fd);
    close_if_open(&input->spool);
    close_if_open(&input->relay[0]);
    close_if_open(&input->relay[1]);
    close_if_open(&input->terminal);
    close_if_open(&input->pump);
    free(input->path);
    input->path = NULL;
}

/* ---- output ---- */

/* A file is opened for reading too, since the collector cuts it; a pipe with a name must not be, or
 * its reader's going away would never be noticed. */
static int flags_for(const char *path)
{
    struct stat status;
    bool file = stat(path, &status) < 0 || S_ISREG(status.st_mode);
    return (file ? O_RDWR | O_CREAT : O_WRONLY) | O_CLOEXEC | O_NOCTTY;
}

static int open_for_writing(struct run_output *output, const char *path)
{
    const char *shown = is_standard(path) ? "standard output" : path;
    output->fd = is_standard(path) ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                                   : open(path, flags_for(path), 0666);
    if (output->fd >= 0)
        return 0;
    log_error("cannot open the output '%s': %s", shown, strerror(errno));
    return -errno;
}

/* Two runs that write into one file would spoil each other's answers. The lock of one that was just
 * killed may stay for a moment: the kernel takes its io_uring down after its end. */
static int lock_file(const struct run_output *output, const char *path)
{
    for (int waited = 0; waited < LOCK_WAIT_MS; waited += 10) {
        if (flock(output->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return 0;
        usleep(10000);
    }
    log_error("the output '%s' is being written by another run", path);
    return -EBUSY;
}

int run_output_open(struct run_output *output, const char *path)
{
    struct stat status;
    int error;
    *output = (struct run_output){.fd = -1, .spool = -1, .path = strdup("")};
    error = open_for_writing(output, path);
    if (error < 0)
        return error;
    if (fstat(output->fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || is_standard(path))
        return make_spool(&output->spool, "millrace-output");
    free(output->path);
    output->path = absolute(path);
    return lock_file(output, path);
}

void run_output_close(struct run_output *output)
{
    close_if_open(&output->fd);
    close_if_open(&output->spool);
    free(output->path);
    output->path = NULL;
}

bool run_output_sent(const struct run_output *output, uint64_t length)
{
    off_t sent = output->spool >= 0 ? lseek(output->spool, 0, SEEK_CUR) : -1;
    return output->spool < 0 || sent < 0 || (uint64_t)sent >= length;
}

bool endpoints_differ(const struct run_input *input, const struct run_output *output)
{
    struct stat in, out;
    if (fstat(input->fd, &in) < 0 || fstat(output->fd, &out) < 0)
        return true;
    if (!S_ISREG(in.st_mode) || in.st_dev != out.st_dev || in.st_ino != out.st_ino)
        return true;
    log_error("the output is the file of the requests; name another with -o");
    return false;
}
