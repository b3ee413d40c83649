/*
 * faulty_calls.c - preloaded, it makes a chosen system call of a chosen process fail
 *
 *   FAULT_NAME    of the process, the first word of its command line: millrace, mr-tokenizer ...
 *   FAULT_CALL    the function: pwrite, epoll_wait ...
 *   FAULT_ERROR   the number that errno becomes; -1: the call moves only some of the bytes
 *   FAULT_AT      which call of that function is the first to fail; the first is 1
 *   FAULT_TIMES   how many fail from there on; 0: all
 *   FAULT_WHILE   a file without which none fails; not set: it isn't asked for
 *   FAULT_STRUCK  a file that is made when a call fails. Where one alone shall fail, whoever makes
 *                 the file fails it: a successor of the process counts anew and must not fail too
 *
 * A call that fails hasn't happened. Of io_uring, which the library asks the kernel for by itself,
 * the functions of the library stand for the call, and `completion` for what it says of a request.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <dlfcn.h>

static const char *call_name, *struck_path, *while_path;
static int fault_error;
static long fault_at, fault_times;
static _Atomic long calls;

/* ---- when to fail ---- */

static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void plant(int argc, char **argv)
{
    const char *name = getenv("FAULT_NAME");
    if (name == NULL || argc < 1 || strcmp(argv[0], name) != 0)
        return;
    struck_path = getenv("FAULT_STRUCK");
    while_path = getenv("FAULT_WHILE");
    fault_error = (int)number_of("FAULT_ERROR");
    fault_at = number_of("FAULT_AT");
    fault_times = number_of("FAULT_TIMES");
    call_name = getenv("FAULT_CALL");
}

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL)
        abort();
    return function;
}

static bool is_time(long number)
{
    return number >= fault_at && (fault_times == 0 || number < fault_at + fault_times) &&
           (while_path == NULL || access(while_path, F_OK) == 0);
}

/* May this one fail? Leaves the file that says so. */
static bool strike(void)
{
    int (*open_really)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (fault_times == 1 ? O_EXCL : 0);
    int fd = open_really(struck_path, flags, 0644);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What becomes of this call: 0 it is made, -1 it moves less, else the error that it fails with. */
static int fate(const char *call)
{
    int before = errno, error = 0;
    long number;
    if (call_name == NULL || strcmp(call, call_name) != 0)
        return 0;
    number = atomic_fetch_add(&calls, 1) + 1;
    if (is_time(number) && strike())
        error = fault_error;
    errno = before;
    return error;
}

static size_t less(size_t size)
{
    return size > 1 ? size / 2 : size;
}

/* ---- calls that fail, or not ---- */

#define CALL(result, name, parameters, arguments)                                                  \
    result name parameters;                                                                        \
    result name parameters                                                                         \
    {                                                                                              \
        result(*really) parameters = (result(*) parameters)real(#name);                            \
        int error = fate(#name);                                                                   \
        if (error == 0)                                                                            \
            return really arguments;                                                               \
        errno = error > 0 ? error : EIO;                                                           \
        return (result)-1;                                                                         \
    }

CALL(int, ftruncate, (int fd, off_t length), (fd, length))
CALL(int, fallocate, (int fd, int mode, off_t from, off_t length), (fd, mode, from, length))
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(int, linkat, (int a, const char *old, int b, const char *new, int flags),
     (a, old, b, new, flags))
CALL(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
CALL(int, epoll_create1, (int flags), (flags))
CALL(int, epoll_ctl, (int set, int what, int fd, struct epoll_event *event), (set, what, fd, event))
CALL(int, epoll_wait, (int set, struct epoll_event *events, int room, int timeout),
     (set, events, room, timeout))
CALL(int, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *size, int flags),
     (fd, address, size, flags))
CALL(int, socket, (int family, int type, int protocol), (family, type, protocol))
CALL(int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t size), (fd, address, size))
CALL(int, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t size), (fd, address, size))
CALL(int, listen, (int fd, int backlog), (fd, backlog))
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
CALL(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags))
CALL(int, eventfd, (unsigned count, int flags), (count, flags))
CALL(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
CALL(int, timerfd_create, (clockid_t clock, int flags), (clock, flags))
CALL(int, memfd_create, (const char *name, unsigned flags), (name, flags))
CALL(int, pipe2, (int ends[2], int flags), (ends, flags))
CALL(int, sem_clockwait, (sem_t * semaphore, clockid_t clock, const struct timespec *until),
     (semaphore, clock, until))
CALL(int, dup2, (int from, int to), (from, to))
CALL(pid_t, fork, (void), ())

int posix_fallocate(int fd, off_t from, off_t length)
{
    int (*really)(int, off_t, off_t) = (int (*)(int, off_t, off_t))real("posix_fallocate");
    int error = fate("posix_fallocate");
    return error != 0 ? error : really(fd, from, length);
}

void *mmap(void *at, size_t size, int rights, int flags, int fd, off_t offset)
{
    void *(*really)(void *, size_t, int, int, int, off_t) =
        (void *(*)(void *, size_t, int, int, int, off_t))real("mmap");
    int error = fate("mmap");
    if (error == 0)
        return really(at, size, rights, flags, fd, offset);
    errno = error;
    return MAP_FAILED;
}

int open(const char *path, int flags, ...)
{
    int (*really)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    int error = fate("open");
    mode_t mode;
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
    if (error == 0)
        return really(path, flags, mode);
    errno = error;
    return -1;
}

/* ---- calls that may also move less than they are asked to ---- */

#define MOVE(name, parameters, arguments)                                                          \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        ssize_t(*really) parameters = (ssize_t(*) parameters)real(#name);                          \
        int error = fate(#name);                                                                   \
        if (error < 0)                                                                             \
            size = less(size);                                                                     \
        if (error <= 0)                                                                            \
            return really arguments;                                                               \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }

MOVE(read, (int fd, void *bytes, size_t size), (fd, bytes, size))
MOVE(write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
MOVE(pread, (int fd, void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
MOVE(pwrite, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
MOVE(sendfile, (int to, int from, off_t *offset, size_t size), (to, from, offset, size))
MOVE(splice, (int from, loff_t *out, int to, loff_t *in, size_t size, unsigned flags),
     (from, out, to, in, size, flags))

/* ---- io_uring ---- */

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    int (*really)(unsigned, struct io_uring *, unsigned) =
        (int (*)(unsigned, struct io_uring *, unsigned))real("io_uring_queue_init");
    int error = fate("io_uring_queue_init");
    return error != 0 ? -error : really(entries, ring, flags);
}

typedef int get_completion(struct io_uring *ring, struct io_uring_cqe **out, unsigned submit,
                           unsigned wait, sigset_t *mask);

/* Waits for a completion and makes it say something else. */
static void spoil_completion(struct io_uring *ring)
{
    get_completion *really = (get_completion *)real("__io_uring_get_cqe");
    struct io_uring_cqe *completion;
    int error;
    if (call_name == NULL || strcmp(call_name, "completion") != 0 ||
        really(ring, &completion, 0, 1, NULL) != 0 || (error = fate("completion")) == 0)
        return;
    completion->res = error < 0 ? (int)less((size_t)completion->res) : -error;
}

int io_uring_submit(struct io_uring *ring)
{
    int (*really)(struct io_uring *) = (int (*)(struct io_uring *))real("io_uring_submit");
    int error = fate("io_uring_submit"), taken;
    if (error != 0)
        return -error;
    taken = really(ring);
    spoil_completion(ring);
    return taken;
}
