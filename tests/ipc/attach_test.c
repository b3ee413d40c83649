/*
 * attach_test.c - attaching and leaving, as the member sees it: a thread is the supervisor
 *
 * What else may answer at the control socket's place is played by a thread that says one thing.
 */
#include "ipc/control.h"
#include "ipc/member.h"
#include "ipc/segment.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static mr_domain *domain;
static mr_control *control;
static pthread_t supervisor;
static _Atomic bool ends;
static _Atomic int swept;

static void *supervise(void *nothing)
{
    mr_control_event event;

    (void)nothing;
    while (!atomic_load(&ends)) {
        struct pollfd look = {.fd = mr_control_fd(control), .events = POLLIN};

        poll(&look, 1, 5);
        mr_control_next(control, &event);
        if (event.kind == MR_CONTROL_LEFT || event.kind == MR_CONTROL_DIED) {
            mr_supervisor_sweep(domain, event.member, NULL);
            atomic_fetch_add(&swept, 1);
        }
    }
    return NULL;
}

static void start_supervisor(void)
{
    atomic_store(&ends, false);
    atomic_store(&swept, 0);
    ck_assert_msg(!mr_control_open(&control, domain), "%s", mr_error());
    ck_assert_int_eq(pthread_create(&supervisor, NULL, supervise, NULL), 0);
}

static void end_supervisor(void)
{
    atomic_store(&ends, true);
    pthread_join(supervisor, NULL);
    mr_control_close(control);
}

static void setup(void)
{
    domain = support_domain(4);
}

static void teardown(void)
{
    support_close(domain);
}

static mr_member_options options_of(enum mr_role role)
{
    return (mr_member_options){.size = sizeof(mr_member_options),
                               .role = role,
                               .flags = MR_KEEP_SIGNALS,
                               .capacity = 1,
                               .fingerprint = "test"};
}

static int attach(mr_member **member)
{
    const mr_member_options options = options_of(MR_ROLE_COLLECTOR);

    return mr_member_attach(member, support_name(domain), &options);
}

START_TEST(a_member_is_given_a_place_bells_and_a_page)
{
    mr_member *member;
    mr_member_info info;

    start_supervisor();
    ck_assert_msg(!attach(&member), "%s", mr_error());
    ck_assert_int_eq(mr_member_get_info(domain, mr_member_index(member), &info), 0);
    ck_assert_int_eq(info.pid, getpid());
    for (int i = 0; i < MR_QUEUES; i++)
        ck_assert_int_ge(mr_member_domain(member)->eventfds[i], 0);
    mr_stats_set(mr_member_stats(member), MR_STAT_steps, 7);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_steps), 7);
    ck_assert(mr_member_alive(member));
    mr_member_leave(member);
    mr_member_leave(NULL);
    while (!atomic_load(&swept))
        usleep(1000);
    ck_assert_int_eq(mr_member_get_info(domain, 0, &info), -ENOENT);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_steps), 7); /* kept for the totals */
    end_supervisor();
}
END_TEST

START_TEST(a_worker_attaches_and_leaves_its_signals_to_the_supervisor)
{
    mr_worker_options options = {.size = sizeof(options),
                                 .capacity = 2,
                                 .fingerprint = "test",
                                 .stage = "generate",
                                 .name = "attached"};
    mr_context *batch[2];
    mr_worker *worker;

    start_supervisor();
    ck_assert_msg(!mr_worker_attach(&worker, support_name(domain), &options), "%s", mr_error());
    ck_assert(signal(SIGINT, SIG_DFL) == SIG_IGN);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    mr_worker_leave(worker);
    options.token_capacity = 1; /* too little for the domain's longest */
    ck_assert_int_eq(mr_worker_attach(&worker, support_name(domain), &options), -EINVAL);
    options.token_capacity = 0;
    options.stage = "decode";
    ck_assert_int_eq(mr_worker_attach(&worker, support_name(domain), &options), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "'decode'"));
    while (atomic_load(&swept) < 2)
        usleep(1000);
    end_supervisor();
}
END_TEST

START_TEST(a_supervisor_that_is_gone_is_seen)
{
    mr_member *member;

    start_supervisor();
    ck_assert_int_eq(attach(&member), 0);
    end_supervisor();
    member->next_look = 0;
    ck_assert(!mr_member_alive(member));
    ck_assert(!mr_member_alive(member)); /* and stays so */
    mr_member_leave(member);
}
END_TEST

START_TEST(nobody_attaches_where_nobody_listens)
{
    char path[MR_PATH_MAX];
    mr_member *member;

    ck_assert_int_eq(attach(&member), -ENOENT); /* no socket yet */
    start_supervisor();
    end_supervisor();
    ck_assert_int_eq(attach(&member), -ESTALE); /* a socket of the dead */
    mr_segment_path(path, support_name(domain), "stats");
    unlink(path);
    ck_assert_int_eq(attach(&member), -ENOENT);
    ck_assert_ptr_nonnull(strstr(mr_error(), "stats"));
}
END_TEST

START_TEST(stats_of_another_size_are_refused)
{
    char path[MR_PATH_MAX];
    mr_member *member;
    int fd;

    mr_segment_path(path, support_name(domain), "stats");
    fd = open(path, O_RDWR);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    ck_assert_int_eq(attach(&member), -EBADMSG);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(attach(&member), -EBADMSG);
    close(fd);
}
END_TEST

/* ---- others at the socket's place ---- */

struct impostor {
    int listener;
    const void *words;
    size_t bytes; /* 0: hangs up */
    bool with_descriptors;
};

static void send_with_descriptors(int to, const void *words, size_t bytes)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE((MR_QUEUES + 1) * sizeof(int))];
    } ancillary = {0};
    struct iovec part = {(void *)(uintptr_t)words, bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &ancillary,
                             .msg_controllen = sizeof(ancillary)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    int fds[MR_QUEUES + 1];

    for (int i = 0; i <= MR_QUEUES; i++)
        fds[i] = to;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    sendmsg(to, &message, MSG_NOSIGNAL);
}

static void *answer(void *argument)
{
    const struct impostor *impostor = argument;
    int fd = accept(impostor->listener, NULL, NULL);
    char greeting[sizeof(mr_greeting)];

    if (recv(fd, greeting, sizeof(greeting), 0) > 0 && impostor->bytes) {
        if (impostor->with_descriptors)
            send_with_descriptors(fd, impostor->words, impostor->bytes);
        else
            send(fd, impostor->words, impostor->bytes, MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

/* What comes of attaching where this answer is given. */
static int attach_to(struct impostor impostor)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[MR_PATH_MAX];
    mr_member *member;
    pthread_t thread;
    int rc;

    mr_segment_path(path, support_name(domain), "sock");
    unlink(path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    impostor.listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ck_assert_int_eq(bind(impostor.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(impostor.listener, 1), 0);
    pthread_create(&thread, NULL, answer, &impostor);
    rc = attach(&member);
    pthread_join(thread, NULL);
    close(impostor.listener);
    return rc;
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(answers_that_cannot_be_are_refused_and_leak_nothing)
{
    mr_answer told = {.magic = MR_GREETING_MAGIC, .bytes = sizeof(told), .place = MR_MAX_MEMBERS};
    int before = open_descriptors();

    ck_assert_int_eq(attach_to((struct impostor){0}), -ECONNRESET); /* hangs up */
    ck_assert_int_eq(attach_to((struct impostor){.words = "no", .bytes = 2}), -EPROTO);
    ck_assert_int_eq(attach_to((struct impostor){.words = &told, .bytes = sizeof(told)}), -EPROTO);
    ck_assert_ptr_nonnull(strstr(mr_error(), "place 64"));
    ck_assert_int_eq(attach_to((struct impostor){
                         .words = &told, .bytes = sizeof(told), .with_descriptors = true}),
                     -EPROTO); /* more of them than there are queues */
    told.place = -EPERM;
    memset(told.why, 'x', sizeof(told.why)); /* not terminated */
    ck_assert_int_eq(attach_to((struct impostor){.words = &told, .bytes = sizeof(told)}), -EPERM);
    told.magic = 1;
    ck_assert_int_eq(attach_to((struct impostor){.words = &told, .bytes = sizeof(told)}), -EPROTO);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* ---- limits of the machine ---- */

/* The soft limit of a resource, set so low that the next use of it fails; returns what it was. */
static struct rlimit limit(int resource, rlim_t soft)
{
    struct rlimit before, low;

    ck_assert_int_eq(getrlimit((__rlimit_resource_t)resource, &before), 0);
    low = before, low.rlim_cur = soft;
    ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &low), 0);
    return before;
}

/* Each number of descriptors that is too few, up to the first that suffices. */
static int tries_with_few_descriptors(int (*attempt)(void))
{
    int used = dup(0), tries = 0, rc;

    close(used);
    do {
        struct rlimit before = limit(RLIMIT_NOFILE, (rlim_t)(used + tries));

        rc = attempt();
        setrlimit(RLIMIT_NOFILE, &before);
        ck_assert_msg(rc == 0 || rc == -EMFILE || rc == -ECONNRESET, "%d: %s", rc, mr_error());
        if (rc)
            ck_assert_uint_gt(strlen(mr_error()), 0);
    } while (rc && ++tries < 40);
    ck_assert_int_eq(rc, 0);
    return tries;
}

static int try_to_create(void)
{
    mr_domain_options options = {
        .size = sizeof(options), .arena_bytes = 65536, .max_length = 64, .slots = 2};
    mr_domain *made;
    char name[40];
    int rc;

    snprintf(name, sizeof(name), "few-%d", (int)getpid());
    rc = mr_domain_create(&made, name, &options);
    if (!rc)
        mr_domain_remove(made);
    return rc;
}

static int try_to_listen(void)
{
    mr_control *made;
    int rc = mr_control_open(&made, domain);

    if (!rc)
        mr_control_close(made);
    return rc;
}

static int try_to_open(void)
{
    mr_domain *opened;
    int rc = mr_domain_open(&opened, support_name(domain));

    if (!rc)
        mr_domain_close(opened);
    return rc;
}

START_TEST(too_few_descriptors_are_an_error_each_time)
{
    int before = open_descriptors();

    ck_assert_int_ge(tries_with_few_descriptors(try_to_create), 2 + MR_QUEUES);
    ck_assert_int_ge(tries_with_few_descriptors(try_to_listen), 2);
    ck_assert_int_ge(tries_with_few_descriptors(try_to_open), 2);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_an_error)
{
    int folder = open("/dev/shm", O_RDONLY | O_DIRECTORY);
    unsigned char *map;
    uint64_t bytes;

    ck_assert_int_eq(mr_segment_map(-1, false, &map, &bytes), -EBADF);
    ck_assert_int_lt(mr_segment_map(folder, false, &map, &bytes), 0);
    ck_assert_int_lt(mr_segment_publish(-1, "/dev/shm/millrace.none.data"), 0);
    ck_assert_int_eq(mr_segment_lock_member(-1), -EBADF);
    ck_assert_int_eq(mr_segment_lock_supervisor(-1), -EBADF);
    close(folder);
}
END_TEST

/* ---- what a process is ---- */

START_TEST(processes_that_are_not_there_have_no_start)
{
    ck_assert_uint_gt(mr_process_start_time(getpid()), 0);
    ck_assert_uint_gt(mr_process_namespace(getpid()), 0);
    ck_assert_uint_eq(mr_process_start_time(INT32_MAX), 0);
    ck_assert_uint_eq(mr_process_namespace(INT32_MAX), 0);
    ck_assert_uint_eq(mr_fingerprint_hash(NULL), mr_fingerprint_hash(""));
    ck_assert_uint_ne(mr_fingerprint_hash("a"), mr_fingerprint_hash("b"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attach");
    TCase *tests = tcase_create("attach");

    tcase_set_timeout(tests, 20);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_member_is_given_a_place_bells_and_a_page);
    tcase_add_test(tests, a_worker_attaches_and_leaves_its_signals_to_the_supervisor);
    tcase_add_test(tests, a_supervisor_that_is_gone_is_seen);
    tcase_add_test(tests, nobody_attaches_where_nobody_listens);
    tcase_add_test(tests, stats_of_another_size_are_refused);
    tcase_add_test(tests, answers_that_cannot_be_are_refused_and_leak_nothing);
    tcase_add_test(tests, too_few_descriptors_are_an_error_each_time);
    tcase_add_test(tests, what_cannot_be_mapped_is_an_error);
    tcase_add_test(tests, processes_that_are_not_there_have_no_start);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
