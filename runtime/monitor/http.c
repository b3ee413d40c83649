/*
 * http.c - a responder for one page: HTTP/1.1, GET and HEAD of /metrics
 *
 * A connection is one request and one answer. It has a place, of which there are few; a request
 * has bounded bytes, and a connection bounded time, whatever the other side does or doesn't do.
 * When all places are taken, callers wait in the kernel's queue. Whatever is wrong with a request
 * is answered by one line that says so. A request's body is not read: none has a meaning here.
 *
 *     READING --- the empty line, or too much, or too late ---> WRITING --- all is sent ---> closed
 */
#include "runtime/log.h"
#include "runtime/monitor/monitor.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLACES = 16, REQUEST_MAX = 8192, TIME_MS = 5000, HEAD_MAX = 512 };

struct caller {
    int fd; /* -1: the place is free */
    uint64_t deadline;
    size_t got;
    char request[REQUEST_MAX + 1];
    char *answer; /* NULL: reading */
    size_t answer_size;
    size_t sent;
};

struct server {
    int listener;
    int signals;
    http_page page;
    void *self;
    struct caller callers[PLACES];
};

static uint64_t now_ms(void)
{
    return boot_time() / 1000000;
}

/* ---- answers ---- */

static void hang_up(struct caller *caller)
{
    if (caller->fd >= 0)
        close(caller->fd);
    free(caller->answer);
    caller->answer = NULL;
    caller->fd = -1;
}

/* Makes the answer of a head and `body`. */
static void answer(struct caller *caller, const char *status, const char *body, size_t size,
                   bool with_body)
{
    const char *more = strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "";
    char head[HEAD_MAX];
    int length =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n%s\r\n",
                 status, size, more);
    caller->sent = 0;
    caller->answer_size = (size_t)length + (with_body ? size : 0);
    caller->answer = malloc(caller->answer_size);
    if (caller->answer == NULL) {
        hang_up(caller);
        return;
    }
    memcpy(caller->answer, head, (size_t)length);
    if (with_body)
        memcpy(caller->answer + length, body, size);
}

static void refuse(struct caller *caller, const char *status, const char *why)
{
    char line[768];
    snprintf(line, sizeof(line), "%s\n", why);
    answer(caller, status, line, strlen(line), strncmp(caller->request, "HEAD ", 5) != 0);
}

static void answer_page(struct server *server, struct caller *caller, bool with_body)
{
    char *body = NULL, why[700] = "out of memory";
    size_t size = 0;
    FILE *file = open_memstream(&body, &size);
    int error = file != NULL ? server->page(server->self, file, why, sizeof(why)) : -ENOMEM;
    if (file != NULL && fclose(file) != 0)
        error = -ENOMEM;
    if (error == 0)
        answer(caller, "200 OK", body, size, with_body);
    else
        refuse(caller, "503 Service Unavailable", why);
    free(body);
}

/* ---- requests ---- */

/* The request line in parts: METHOD TARGET VERSION; false if it isn't one. */
static bool split(const char *line, char method[16], char target[256], char version[16])
{
    int end = 0;
    return sscanf(line, "%15[A-Z] %255[!-~] %15[!-~]%n", method, target, version, &end) == 3 &&
           (line[end] == '\r' || line[end] == '\n') && strncmp(version, "HTTP/", 5) == 0;
}

static void respond(struct server *server, struct caller *caller)
{
    char method[16], target[256], version[16];
    if (!split(caller->request, method, target, version)) {
        refuse(caller, "400 Bad Request", "the request isn't HTTP");
        return;
    }
    target[strcspn(target, "?")] = '\0';
    if (strncmp(version, "HTTP/1.", 7) != 0)
        refuse(caller, "505 HTTP Version Not Supported", "HTTP/1.0 and HTTP/1.1 are spoken here");
    else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        refuse(caller, "405 Method Not Allowed", "there is nothing but GET and HEAD");
    else if (strcmp(target, "/metrics") != 0)
        refuse(caller, "404 Not Found", "there is nothing but /metrics");
    else
        answer_page(server, caller, strcmp(method, "GET") == 0);
}

static bool is_whole(const struct caller *caller)
{
    return strstr(caller->request, "\r\n\r\n") != NULL || strstr(caller->request, "\n\n") != NULL;
}

static void hear(struct server *server, struct caller *caller)
{
    ssize_t got = recv(caller->fd, caller->request + caller->got, REQUEST_MAX - caller->got, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) { /* gone before it had asked */
        hang_up(caller);
        return;
    }
    caller->got += (size_t)got;
    caller->request[caller->got] = '\0';
    if (memchr(caller->request, '\0', caller->got) != NULL)
        refuse(caller, "400 Bad Request", "the request isn't HTTP");
    else if (is_whole(caller))
        respond(server, caller);
    else if (caller->got == REQUEST_MAX)
        refuse(caller, "431 Request Header Fields Too Large", "the request is too long");
}

/* When all is sent: what else the caller sends is thrown away and not answered by a reset, which
 * might overtake the answer. */
static void finish(struct caller *caller)
{
    char rest[4096];
    shutdown(caller->fd, SHUT_WR);
    for (int i = 0; i < 64 && recv(caller->fd, rest, sizeof(rest), 0) > 0; i++)
        continue;
    hang_up(caller);
}

static void tell(struct caller *caller)
{
    ssize_t sent = send(caller->fd, caller->answer + caller->sent,
                        caller->answer_size - caller->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        hang_up(caller);
    if (sent > 0)
        caller->sent += (size_t)sent;
    if (caller->fd >= 0 && caller->sent == caller->answer_size)
        finish(caller);
}

static void mind_time(struct caller *caller, uint64_t now)
{
    if (now < caller->deadline)
        return;
    if (caller->answer != NULL) {
        hang_up(caller);
        return;
    }
    refuse(caller, "408 Request Timeout", "the request took too long");
    caller->deadline = now + TIME_MS;
}

/* ---- the loop ---- */

static struct caller *free_place(struct server *server)
{
    for (int i = 0; i < PLACES; i++)
        if (server->callers[i].fd < 0)
            return &server->callers[i];
    return NULL;
}

static void let_in(struct server *server)
{
    struct caller *caller = free_place(server);
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    caller->fd = fd;
    caller->got = 0;
    caller->request[0] = '\0';
    caller->deadline = now_ms() + TIME_MS;
}

static void look(struct server *server, const struct pollfd *fds)
{
    uint64_t now = now_ms();
    for (int i = 0; i < PLACES; i++) {
        struct caller *caller = &server->callers[i];
        if (caller->fd < 0)
            continue;
        if (fds[i].revents != 0 && caller->answer == NULL)
            hear(server, caller);
        else if (fds[i].revents != 0)
            tell(caller);
        if (caller->fd >= 0)
            mind_time(caller, now);
    }
}

static void run(struct server *server)
{
    struct pollfd fds[PLACES + 2];
    for (;;) {
        int timeout = -1;
        for (int i = 0; i < PLACES; i++) {
            struct caller *caller = &server->callers[i];
            fds[i] = (struct pollfd){.fd = caller->fd,
                                     .events = caller->answer != NULL ? POLLOUT : POLLIN};
            timeout = caller->fd >= 0 ? 100 : timeout;
        }
        fds[PLACES] = (struct pollfd){.fd = free_place(server) != NULL ? server->listener : -1,
                                      .events = POLLIN};
        fds[PLACES + 1] = (struct pollfd){.fd = server->signals, .events = POLLIN};
        if (poll(fds, PLACES + 2, timeout) < 0)
            continue;
        if (fds[PLACES + 1].revents != 0)
            return;
        look(server, fds);
        if (fds[PLACES].revents != 0 && free_place(server) != NULL)
            let_in(server);
    }
}

/* ---- the beginning ---- */

/* ADDRESS:PORT in its parts; brackets around an IPv6 address. */
static bool split_address(const char *text, char host[128], char port[8])
{
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    if (colon == NULL || length >= 128 || strlen(colon + 1) < 1 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    snprintf(host, 128, "%.*s", (int)length, text);
    snprintf(port, 8, "%s", colon + 1);
    return atoi(port) <= 65535;
}

static int listen_on(const struct addrinfo *at)
{
    const int yes = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, PLACES) == 0)
        return fd;
    close(fd);
    return -1;
}

static void say_where(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof(at);
    char host[64], port[8];
    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0 ||
        getnameinfo((struct sockaddr *)&at, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    fprintf(stderr,
            at.ss_family == AF_INET6 ? "millrace: http://[%s]:%s/metrics\n"
                                     : "millrace: http://%s:%s/metrics\n",
            host, port);
}

static int open_listener(const char *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    char host[128], port[8];
    int fd, failed;
    if (!split_address(address, host, port)) {
        log_error("'%s' is no address to listen at; give ADDRESS:PORT, as 127.0.0.1:9464", address);
        return -EINVAL;
    }
    failed = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (failed != 0) {
        log_error("cannot listen at '%s': %s", address, gai_strerror(failed));
        return -EINVAL;
    }
    fd = listen_on(found);
    failed = errno;
    freeaddrinfo(found);
    if (fd < 0)
        log_error("cannot listen at '%s': %s", address, strerror(failed));
    else
        say_where(fd);
    return fd < 0 ? -failed : fd;
}

static int watch_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int http_serve(const char *address, http_page page, void *self)
{
    struct server *server = calloc(1, sizeof(*server));
    int signals = watch_signals(); /* before it says that it listens: who reads that may end it */
    int listener = server != NULL ? open_listener(address) : -ENOMEM;
    if (listener < 0) {
        close(signals);
        free(server);
        return listener;
    }
    *server = (struct server){.listener = listener, .signals = signals, .page = page, .self = self};
    for (int i = 0; i < PLACES; i++)
        server->callers[i].fd = -1;
    run(server);
    for (int i = 0; i < PLACES; i++)
        hang_up(&server->callers[i]);
    close(server->signals);
    close(server->listener);
    free(server);
    return 0;
}
