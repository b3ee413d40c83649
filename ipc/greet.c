/*
 * greet.c - the callers' side of the control socket: members, and those that give orders
 */
#include "ipc/control.h"
#include "ipc/error.h"
#include "ipc/segment.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 10 };

static int connect_patiently(int fd, const struct sockaddr_un *address)
{
    int rc;

    do
        rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    while (rc && errno == EINTR); /* it waited for its turn: nothing is half done */
    return rc;
}

/* A message goes whole or not at all. */
static bool say(int fd, const void *message, size_t size)
{
    ssize_t sent;

    do
        sent = send(fd, message, size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)size;
}

static int dial(const mr_domain *domain)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    char path[MR_PATH_MAX];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return mr_fail(errno, "cannot make a socket: %s", strerror(errno));
    mr_segment_path(path, domain->info.name, "sock");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* of connect() too */
    if (connect_patiently(fd, &address)) {
        int error = errno;

        close(fd);
        return mr_fail(error == ECONNREFUSED ? ESTALE : error,
                       "cannot reach the supervisor of domain '%s' at '%s': %s", domain->info.name,
                       path, strerror(error));
    }
    return fd;
}

static mr_greeting greeting_of(const mr_domain *domain, const mr_member_options *options)
{
    mr_greeting g = {
        .magic = MR_GREETING_MAGIC,
        .abi = MR_ABI,
        .bytes = sizeof(g),
        .layout = domain->header->layout,
        .role = options->role,
        .stage = options->stage,
        .capacity = options->capacity,
        .flags = options->flags,
        .vocabulary = options->vocabulary,
        .has_stage_name = options->stage_name != NULL,
        .model_fingerprint = options->model_fingerprint,
        .kinds = options->kinds,
    };

    snprintf(g.stage_name, sizeof(g.stage_name), "%s",
             options->stage_name ? options->stage_name : "");
    snprintf(g.fingerprint, sizeof(g.fingerprint), "%s",
             options->fingerprint ? options->fingerprint : "");
    snprintf(g.name, sizeof(g.name), "%s", options->name ? options->name : "");
    return g;
}

/* Take the descriptors out of a message; those that we didn't expect are closed. */
static void take_eventfds(mr_domain *domain, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t count;
        int fd;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (i < MR_QUEUES && domain->eventfds[i] < 0)
                domain->eventfds[i] = fd;
            else
                close(fd);
        }
    }
}

static int receive_answer(mr_domain *domain, int fd, mr_answer *answer)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MR_QUEUES * sizeof(int))];
    } control;
    struct iovec part = {answer, sizeof(*answer)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t got;

    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got >= 0)
        take_eventfds(domain, &message);
    if (got <= 0)
        return mr_fail(got < 0 ? errno : ECONNRESET,
                       "the supervisor of domain '%s' gave no answer: %s", domain->info.name,
                       got < 0 ? strerror(errno) : "it hung up");
    if (got != (ssize_t)sizeof(*answer) || answer->magic != MR_GREETING_MAGIC)
        return mr_fail(EPROTO, "the answer of the supervisor of domain '%s' is none",
                       domain->info.name);
    answer->why[sizeof(answer->why) - 1] = 0;
    return 0;
}

int mr_control_greet(mr_domain *domain, const mr_member_options *options, int *socket)
{
    mr_greeting greeting = greeting_of(domain, options);
    mr_answer answer = {0};
    int rc, fd = dial(domain);

    if (fd < 0)
        return fd;
    if (!say(fd, &greeting, sizeof(greeting)))
        rc = mr_fail(ECONNRESET, "the supervisor of domain '%s' hung up", domain->info.name);
    else if (!(rc = receive_answer(domain, fd, &answer)) && answer.place < 0)
        rc = mr_fail(-answer.place, "%s", answer.why);
    else if (!rc && answer.place >= MR_MAX_MEMBERS)
        rc = mr_fail(EPROTO, "the supervisor of domain '%s' gave place %d, which can't be",
                     domain->info.name, answer.place);
    if (rc) {
        close(fd);
        return rc;
    }
    *socket = fd;
    return answer.place;
}

void mr_control_say_goodbye(int socket)
{
    char word = MR_GOODBYE;

    send(socket, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool mr_control_hung_up(int socket)
{
    char byte;
    ssize_t got = recv(socket, &byte, 1, MSG_DONTWAIT);

    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* ---- orders ---- */

/* What the supervisor said, in `text`, and its verdict. */
static int hear_answer(int socket, const char *domain, char *text, size_t size)
{
    mr_answer answer = {0};
    ssize_t got;

    do
        got = recv(socket, &answer, sizeof(answer), 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(answer) || answer.magic != MR_ORDER_MAGIC || answer.place > 0) {
        snprintf(text, size, "the supervisor of domain '%s' gave no answer", domain);
        return -EPROTO;
    }
    answer.why[sizeof(answer.why) - 1] = 0;
    snprintf(text, size, "%s", answer.why);
    return answer.place;
}

/* A worker that drains may be in a long step; the supervisor answers anything else at once. */
static void be_patient(int socket)
{
    const struct timeval for_ever = {0};

    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
}

static int ask(const mr_domain *domain, const mr_command *command, int *out)
{
    const mr_order order = {.magic = MR_ORDER_MAGIC, .bytes = sizeof(order), .command = *command};
    int fd = dial(domain);

    if (fd < 0)
        return fd;
    if (command->verb == MR_VERB_DRAIN)
        be_patient(fd);
    if (!say(fd, &order, sizeof(order))) {
        close(fd);
        return mr_fail(EPROTO, "the supervisor of domain '%s' hung up", domain->info.name);
    }
    *out = fd;
    return 0;
}

int mr_control_ask(const char *name, const mr_command *command, char *text, size_t size)
{
    mr_domain *domain;
    int fd = -1, rc = mr_domain_open(&domain, name);

    if (!rc) {
        rc = ask(domain, command, &fd);
        mr_domain_close(domain); /* its lock too: who only waits for an answer is no member */
    }
    if (rc) {
        snprintf(text, size, "%s", mr_error());
        return rc;
    }
    rc = hear_answer(fd, name, text, size);
    close(fd);
    return rc;
}
