/*
 * control.c - the supervisor's side: who is a member, and who is dead
 *
 * The supervisor holds a connection and a pidfd of each member. Death is learnt from the pidfd
 * alone (the kernel makes it readable when the process is gone); a hang-up of the connection only
 * means that the member may be leaving. The pid comes from SO_PEERCRED, and the pidfd is opened
 * before the pid is looked up in /proc and the connection looked at once more: so it can't be of a
 * later process with the same number.
 *
 * A place is free again only when the sweep has emptied it; its descriptors are closed when the
 * next event is asked for after that.
 */
#include "ipc/control.h"
#include "ipc/error.h"
#include "ipc/member.h"
#include "ipc/segment.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/supervise.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_GREETERS = 16 };

typedef struct peer {
    int socket; /* -1: none */
    int pidfd;
    pid_t pid;
    bool dead;     /* told to the caller: waits for its sweep */
    bool said_bye; /* left in order */
    bool asked;    /* a greeter that gave an order and waits for the answer */
    uint64_t turn; /* of a greeter: how many connected before it, 1 at least */
} peer;

struct mr_control {
    mr_domain *domain;
    int listener;
    int epoll;
    int spare; /* given up to hang up on a caller when there is no descriptor left to hear him */
    peer places[MR_MAX_MEMBERS];
    peer greeters[MAX_GREETERS]; /* connected, not yet greeted */
    uint64_t turns;              /* greeters so far */
    mr_control_policy policy;
    void *policy_self;
};

/* What an epoll event is about: {kind, number}. */
enum { ABOUT_LISTENER = 0, ABOUT_GREETER, ABOUT_SOCKET, ABOUT_PIDFD };

static int watch(mr_control *control, int fd, unsigned kind, unsigned number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = kind << 16 | number};

    return epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Out of the epoll set first: a close alone leaves it there while a forked child has the same open
 * file, and its events would then be taken for those of the place's next holder. */
static void unwatch_and_close(const mr_control *control, int fd)
{
    if (fd < 0)
        return;
    epoll_ctl(control->epoll, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

static void peer_close(const mr_control *control, peer *p)
{
    unwatch_and_close(control, p->socket);
    unwatch_and_close(control, p->pidfd);
    *p = (peer){.socket = -1, .pidfd = -1};
}

static bool has_ended(int pidfd)
{
    struct pollfd look = {.fd = pidfd, .events = POLLIN};

    return poll(&look, 1, 0) > 0;
}

/* Hung up, whatever still lies in the socket. */
static bool hung_up(int socket)
{
    struct pollfd look = {.fd = socket};

    return poll(&look, 1, 0) > 0 && (look.revents & POLLHUP);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path); /* of a dead domain: we hold the lock of this name */
    if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
        chmod(path, 0600) || listen(fd, MAX_GREETERS)) {
        close(fd);
        return -1;
    }
    return fd;
}

int mr_control_open(mr_control **out, mr_domain *domain)
{
    mr_control *control = calloc(1, sizeof(*control));
    char path[MR_PATH_MAX];

    if (!control)
        return mr_fail(ENOMEM, "out of memory");
    control->domain = domain;
    for (int i = 0; i < MR_MAX_MEMBERS; i++)
        control->places[i] = (peer){.socket = -1, .pidfd = -1};
    for (int i = 0; i < MAX_GREETERS; i++)
        control->greeters[i] = (peer){.socket = -1, .pidfd = -1};
    mr_segment_path(path, domain->info.name, "sock");
    control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    control->epoll = epoll_create1(EPOLL_CLOEXEC);
    control->listener = listen_at(path);
    if (control->spare < 0 || control->epoll < 0 || control->listener < 0 ||
        watch(control, control->listener, ABOUT_LISTENER, 0)) {
        int rc = mr_fail(errno, "cannot listen at '%s': %s", path, strerror(errno));

        mr_control_close(control);
        return rc;
    }
    *out = control;
    return 0;
}

void mr_control_close(mr_control *control)
{
    if (!control)
        return;
    for (int i = 0; i < MR_MAX_MEMBERS; i++)
        peer_close(control, &control->places[i]);
    for (int i = 0; i < MAX_GREETERS; i++)
        peer_close(control, &control->greeters[i]);
    if (control->listener >= 0)
        close(control->listener);
    if (control->epoll >= 0)
        close(control->epoll);
    if (control->spare >= 0)
        close(control->spare);
    free(control);
}

int mr_control_fd(const mr_control *control)
{
    return control->epoll;
}

void mr_control_allow(mr_control *control, mr_control_policy policy, void *self)
{
    control->policy = policy;
    control->policy_self = self;
}

/* ---- callers ---- */

/* Without a descriptor for him the caller is hung up on: left waiting, he would keep the listener
 * readable, and mr_control_next() busy for ever. */
static bool turn_away(mr_control *control)
{
    int fd;

    close(control->spare);
    fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* A free place among the greeters; or that of the one that has been silent the longest. */
static unsigned greeter_place(mr_control *control)
{
    unsigned oldest = 0;

    for (unsigned i = 0; i < MAX_GREETERS; i++) {
        if (control->greeters[i].socket < 0)
            return i;
        if (control->greeters[i].turn < control->greeters[oldest].turn)
            oldest = i;
    }
    peer_close(control, &control->greeters[oldest]);
    return oldest;
}

/* Returns false when he could not be heard: he is still there, and so is what keeps us from it. */
static bool accept_greeter(mr_control *control)
{
    unsigned place;
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            return turn_away(control);
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
    }
    place = greeter_place(control);
    if (watch(control, fd, ABOUT_GREETER, place)) {
        close(fd);
        return true;
    }
    control->greeters[place].socket = fd;
    control->greeters[place].turn = ++control->turns;
    return true;
}

static bool terminated(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

static int check_greeting(const mr_control *control, const mr_greeting *g, ssize_t got)
{
    if (got != (ssize_t)sizeof(*g) || g->magic != MR_GREETING_MAGIC || g->bytes != sizeof(*g) ||
        !terminated(g->stage_name, sizeof(g->stage_name)) ||
        !terminated(g->fingerprint, sizeof(g->fingerprint)) ||
        !terminated(g->name, sizeof(g->name)))
        return mr_fail(EPROTO, "the greeting is not one of this version of millrace");
    if (g->abi != MR_ABI || g->layout != control->domain->header->layout)
        return mr_fail(EPROTO,
                       "the member has ABI %u and layout %016llx, domain '%s' has %u and %016llx; "
                       "rebuild it with this version",
                       g->abi, (unsigned long long)g->layout, control->domain->info.name, MR_ABI,
                       (unsigned long long)control->domain->header->layout);
    return 0;
}

static bool peer_of(int socket, struct ucred *who)
{
    socklen_t size = sizeof(*who);

    return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, who, &size);
}

/* Who is it, by the kernel's word? Opens its pidfd. */
static int identify(int socket, struct ucred *who, int *pidfd)
{
    if (!peer_of(socket, who) || who->pid <= 0)
        return mr_fail(EPERM,
                       "the member's process can't be seen from here (another pid namespace): it "
                       "could not be taken over when it dies");
    if (who->uid != geteuid())
        return mr_fail(EPERM,
                       "the member runs as user %u, the domain as user %u; run both as one user",
                       who->uid, geteuid());
    *pidfd = (int)syscall(SYS_pidfd_open, who->pid, 0);
    if (*pidfd < 0)
        return mr_fail(EPERM, "process %d can't be watched: %s", (int)who->pid, strerror(errno));
    return 0;
}

static mr_member_options options_of(const mr_greeting *g)
{
    return (mr_member_options){
        .size = sizeof(mr_member_options),
        .role = g->role,
        .stage = g->stage,
        .capacity = g->capacity,
        .model_fingerprint = g->model_fingerprint,
        .vocabulary = g->vocabulary,
        .flags = g->flags,
        .fingerprint = g->fingerprint,
        .stage_name = g->has_stage_name ? g->stage_name : NULL,
        .name = g->name,
        .kinds = g->kinds,
    };
}

static int admit(mr_control *control, const mr_greeting *greeting, int socket, peer *p)
{
    mr_member_options options = options_of(greeting);
    struct ucred who;
    char why[200] = "";
    int rc = identify(socket, &who, &p->pidfd);

    if (rc)
        return rc;
    p->pid = who.pid;
    if (control->policy &&
        !control->policy(control->policy_self, who.pid, who.uid, &options, why, sizeof(why)))
        return mr_fail(EPERM, "%s", why);
    if (has_ended(p->pidfd) || hung_up(socket))
        return mr_fail(ESRCH, "process %d has ended", (int)who.pid);
    return mr_place_take(control->domain, &options, who.pid);
}

static void send_answer(const mr_control *control, int socket, const mr_answer *answer)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MR_QUEUES * sizeof(int))];
    } ancillary = {0};
    struct iovec part = {(void *)(uintptr_t)answer, sizeof(*answer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (answer->place >= 0) {
        struct cmsghdr *c;

        message.msg_control = &ancillary;
        message.msg_controllen = sizeof(ancillary);
        c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(MR_QUEUES * sizeof(int));
        memcpy(CMSG_DATA(c), control->domain->eventfds, MR_QUEUES * sizeof(int));
    }
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        shutdown(socket, SHUT_RDWR); /* it need not wait for an answer: it ends, and is seen to */
}

/* One whose death we couldn't hear of must not be a member: the place it was given is taken back
 * before it knows of it. */
static int seat(mr_control *control, peer *greeter, int number)
{
    peer *place = &control->places[number];
    int error;

    peer_close(control, place);
    *place = *greeter;
    *greeter = (peer){.socket = -1, .pidfd = -1};
    epoll_ctl(control->epoll, EPOLL_CTL_DEL, place->socket, NULL);
    if (!watch(control, place->socket, ABOUT_SOCKET, (unsigned)number) &&
        !watch(control, place->pidfd, ABOUT_PIDFD, (unsigned)number))
        return number;
    error = errno;
    *greeter = *place;
    *place = (peer){.socket = -1, .pidfd = -1};
    mr_supervisor_sweep(control->domain, number, NULL);
    return mr_fail(error, "process %d can't be watched: %s", (int)greeter->pid, strerror(error));
}

static void refuse(mr_control *control, peer *greeter, mr_answer *answer, mr_control_event *event)
{
    snprintf(answer->why, sizeof(answer->why), "%s", mr_error());
    snprintf(event->why, sizeof(event->why), "%s", answer->why);
    event->kind = MR_CONTROL_REFUSED;
    event->member = -1;
    send_answer(control, greeter->socket, answer);
    peer_close(control, greeter);
}

static void take_greeting(mr_control *control, peer *greeter, const mr_greeting *greeting,
                          ssize_t got, mr_control_event *event)
{
    mr_answer answer = {.magic = MR_GREETING_MAGIC, .bytes = sizeof(answer)};

    answer.place = check_greeting(control, greeting, got);
    if (!answer.place)
        answer.place = admit(control, greeting, greeter->socket, greeter);
    event->pid = greeter->pid;
    event->role = (enum mr_role)greeting->role;
    if (answer.place >= 0)
        answer.place = seat(control, greeter, answer.place);
    if (answer.place < 0) {
        refuse(control, greeter, &answer, event);
        return;
    }
    send_answer(control, control->places[answer.place].socket, &answer);
    event->kind = MR_CONTROL_JOINED;
    event->member = answer.place;
}

/* ---- orders ---- */

static int check_order(int socket, const mr_order *order, ssize_t got)
{
    struct ucred who;

    if (got != (ssize_t)sizeof(*order) || order->bytes != sizeof(*order) ||
        !terminated(order->command.word, sizeof(order->command.word)))
        return mr_fail(EPROTO, "the order is not one of this version of millrace");
    if (!peer_of(socket, &who))
        return mr_fail(EPERM, "who gives the order can't be told: %s", strerror(errno));
    if (who.uid != geteuid())
        return mr_fail(EPERM, "the order is given by user %u, the domain is of user %u", who.uid,
                       geteuid());
    return 0;
}

static void take_order(mr_control *control, peer *greeter, const mr_order *order, ssize_t got,
                       mr_control_event *event)
{
    int rc = check_order(greeter->socket, order, got);

    greeter->asked = true;
    if (rc) {
        mr_control_answer(control, greeter->turn, rc, mr_error());
        return;
    }
    event->kind = MR_CONTROL_COMMAND;
    event->caller = greeter->turn;
    event->command = order->command;
}

void mr_control_answer(mr_control *control, uint64_t caller, int result, const char *text)
{
    mr_answer answer = {.magic = MR_ORDER_MAGIC, .place = result, .bytes = sizeof(answer)};

    snprintf(answer.why, sizeof(answer.why), "%s", text);
    for (int i = 0; i < MAX_GREETERS; i++) {
        peer *greeter = &control->greeters[i];

        if (greeter->socket < 0 || !greeter->asked || greeter->turn != caller)
            continue;
        send(greeter->socket, &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
        peer_close(control, greeter);
        return;
    }
}

/* A greeter has spoken: it becomes a member, gives an order, or is sent away. One that speaks again
 * while it waits for an answer is hung up on. */
static void hear_greeter(mr_control *control, unsigned number, mr_control_event *event)
{
    peer *greeter = &control->greeters[number];
    union {
        uint64_t magic;
        mr_greeting greeting;
        mr_order order;
    } said = {0};
    ssize_t got = recv(greeter->socket, &said, sizeof(said), 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || greeter->asked)
        peer_close(control, greeter);
    else if (said.magic == MR_ORDER_MAGIC)
        take_order(control, greeter, &said.order, got, event);
    else
        take_greeting(control, greeter, &said.greeting, got, event);
}

/* ---- deaths ---- */

/* Hear what a member has to say; closes the line when it was hung up. */
static void listen_to(mr_control *control, peer *p)
{
    char word;
    ssize_t got;

    while ((got = recv(p->socket, &word, 1, MSG_DONTWAIT)) == 1)
        p->said_bye = p->said_bye || word == MR_GOODBYE;
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        unwatch_and_close(control, p->socket);
        p->socket = -1;
    }
}

static void report_end(mr_control *control, unsigned number, mr_control_event *event)
{
    peer *p = &control->places[number];

    p->dead = true;
    epoll_ctl(control->epoll, EPOLL_CTL_DEL, p->pidfd, NULL);
    if (p->socket >= 0)
        epoll_ctl(control->epoll, EPOLL_CTL_DEL, p->socket, NULL);
    event->kind = p->said_bye ? MR_CONTROL_LEFT : MR_CONTROL_DIED;
    event->member = (int)number;
    event->pid = p->pid;
    event->role = (enum mr_role)control->domain->members[number].role;
}

/* A hang-up alone says nothing (the pidfd does); after a goodbye it ends the membership, also of a
 * process that lives on: it has put back what it held and unmapped the domain. */
static void hear_member(mr_control *control, unsigned number, mr_control_event *event)
{
    peer *p = &control->places[number];

    if (p->socket < 0 || p->dead)
        return;
    listen_to(control, p);
    if (p->socket < 0 && p->said_bye)
        report_end(control, number, event);
}

static void see_death(mr_control *control, unsigned number, mr_control_event *event)
{
    peer *p = &control->places[number];

    if (p->dead || p->pidfd < 0 || !has_ended(p->pidfd))
        return;
    if (p->socket >= 0)
        listen_to(control, p); /* its goodbye may still lie in the socket */
    report_end(control, number, event);
}

/* Let go of the descriptors of places that were swept. */
static void forget_swept(mr_control *control)
{
    for (int i = 0; i < MR_MAX_MEMBERS; i++)
        if (control->places[i].dead && !mr_place_taken(control->domain, (uint32_t)i))
            peer_close(control, &control->places[i]);
}

int mr_control_next(mr_control *control, mr_control_event *event)
{
    struct epoll_event ready;

    *event = (mr_control_event){.kind = MR_CONTROL_NONE, .member = -1};
    forget_swept(control);
    while (event->kind == MR_CONTROL_NONE && epoll_wait(control->epoll, &ready, 1, 0) > 0) {
        unsigned number = ready.data.u32 & 0xffff;

        switch (ready.data.u32 >> 16) {
        case ABOUT_LISTENER:
            if (!accept_greeter(control))
                return 0; /* not again and again: the caller has others to hear */
            break;
        case ABOUT_GREETER:
            hear_greeter(control, number, event);
            break;
        case ABOUT_SOCKET:
            hear_member(control, number, event);
            break;
        default:
            see_death(control, number, event);
        }
    }
    return 0;
}

/* ---- ending one ---- */

int mr_supervisor_signal(mr_control *control, int member, int number)
{
    peer *p = member >= 0 && member < MR_MAX_MEMBERS ? &control->places[member] : NULL;

    if (!p || p->pidfd < 0)
        return mr_fail(ESRCH, "place %d holds no process", member);
    if (syscall(SYS_pidfd_send_signal, p->pidfd, number, NULL, 0))
        return mr_fail(errno, "cannot signal process %d: %s", (int)p->pid, strerror(errno));
    return 0;
}

int mr_supervisor_kill(mr_control *control, int member)
{
    struct pollfd end;
    int rc = mr_supervisor_signal(control, member, SIGKILL);

    if (rc)
        return rc;
    end = (struct pollfd){.fd = control->places[member].pidfd, .events = POLLIN};
    return poll(&end, 1, 5000) == 1
               ? 0
               : mr_fail(ETIMEDOUT, "process %d does not die within 5 s of SIGKILL",
                         (int)control->places[member].pid);
}
