/*
 * group_kill_test.c - a whole group as processes, any of which is killed at any moment
 *
 * The parent is the supervisor: it starts tokenizer, collector and workers, kills them at random by
 * SIGKILL, sweeps and restarts them, until everything is answered; then the output must be that of
 * an undisturbed run. After each sweep all that must hold in a domain is checked. Seed and number
 * of kills come from the environment (MILLRACE_KILL_SEED, _KILLS).
 */
#include "tests/ipc/group.h"
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TOKENIZER, COLLECTOR, FIRST_WORKER, MEMBERS = FIRST_WORKER + 2 };

struct group {
    const group_plan *plan;
    mr_domain *domain;
    mr_control *control;
    int output;
    char name[32];
    pid_t pids[MEMBERS];
    int places[MEMBERS]; /* -1: not joined yet */
    unsigned kills;
};

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % n;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- members ---- */

static int be_runtime_member(const struct group *g, enum mr_role role)
{
    mr_member_options options = {.size = sizeof(options), .role = role, .name = "test"};
    mr_member *member;
    int rc = mr_member_attach(&member, g->name, &options);

    if (rc)
        return rc;
    rc = role == MR_ROLE_TOKENIZER ? group_tokenizer(member, g->plan)
                                   : group_collector(member, g->plan, g->output);
    mr_member_leave(member);
    return rc;
}

static int be_worker(const struct group *g)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = g->plan->capacity, .fingerprint = "hash"};
    mr_worker *worker;
    int rc = mr_worker_attach(&worker, g->name, &options);

    if (rc)
        return rc;
    rc = group_worker(worker, g->plan);
    mr_worker_leave(worker);
    return rc;
}

static int be_member(const struct group *g, int which)
{
    if (which == TOKENIZER)
        return be_runtime_member(g, MR_ROLE_TOKENIZER);
    if (which == COLLECTOR)
        return be_runtime_member(g, MR_ROLE_COLLECTOR);
    return be_worker(g);
}

static void start(struct group *g, int which)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (!pid) {
        int rc;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        rc = be_member(g, which);
        if (rc)
            fprintf(stderr, "member %d: %s (%d)\n", which, mr_error(), rc);
        _exit(rc ? 1 : 0);
    }
    g->pids[which] = pid;
    g->places[which] = -1;
}

static int which_of(const struct group *g, pid_t pid)
{
    for (int i = 0; i < MEMBERS; i++)
        if (g->pids[i] == pid)
            return i;
    return -1;
}

/* ---- what must hold ---- */

static void fail_at(void *self, const char *place, const char *what)
{
    const struct group *g = self;

    ck_abort_msg("after %u kills: %s: %s", g->kills, place, what);
}

/* After a sweep all holds, whoever else is just being killed. */
static void check(struct group *g)
{
    ck_assert_int_eq(mr_domain_check(g->domain, fail_at, g, NULL), 0);
}

/* Once all have left nothing may be in use. */
static void check_end(struct group *g)
{
    mr_census census = {.size = sizeof(census)};

    ck_assert_int_eq(mr_domain_check(g->domain, fail_at, g, &census), 0);
    ck_assert_uint_eq(census.members, 0);
    ck_assert_uint_eq(census.free, census.slots);
    ck_assert_uint_eq(census.arena_bytes, 0);
}

/* ---- supervision ---- */

static void handle_events(struct group *g, bool restart)
{
    mr_control_event event;

    while (!mr_control_next(g->control, &event) && event.kind != MR_CONTROL_NONE) {
        int which = which_of(g, event.pid);

        /* one that was killed while it greeted is refused; a living one never */
        ck_assert_msg(event.kind != MR_CONTROL_REFUSED || strstr(event.why, "has ended"), "%s",
                      event.why);
        if (event.kind == MR_CONTROL_JOINED && which >= 0)
            g->places[which] = event.member;
        if (event.kind == MR_CONTROL_DIED || event.kind == MR_CONTROL_LEFT) {
            ck_assert_int_ge(mr_supervisor_sweep(g->domain, event.member, NULL), 0);
            check(g);
            if (!restart)
                continue;
            waitpid(event.pid, NULL, 0);
            if (which >= 0)
                start(g, which);
        }
    }
}

/* A member that died before it joined: no event tells of it. */
static void restart_unjoined(struct group *g)
{
    for (int i = 0; i < MEMBERS; i++)
        if (g->places[i] < 0 && waitpid(g->pids[i], NULL, WNOHANG) == g->pids[i])
            start(g, i);
}

static void kill_one(struct group *g)
{
    int which = (int)random_below(MEMBERS);

    kill(g->pids[which], SIGKILL);
    g->kills++;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void supervise(struct group *g, unsigned kills, unsigned every_us)
{
    uint64_t deadline = now_ms() + 60000;

    while (!group_finished(g->domain) || g->kills < kills) {
        struct pollfd look = {.fd = mr_control_fd(g->control), .events = POLLIN};
        struct timespec wait = {.tv_nsec = (long)random_below(every_us) * 1000};

        ppoll(&look, 1, &wait, NULL);
        handle_events(g, true);
        restart_unjoined(g);
        if (g->kills < kills && !random_below(2))
            kill_one(g);
        ck_assert_msg(now_ms() < deadline, "the group hangs after %u kills: %llu unfinished",
                      g->kills, (unsigned long long)mr_domain_unfinished(g->domain));
        if (group_finished(g->domain) && g->kills < kills)
            break; /* all answered: nothing is left to disturb */
    }
}

static void stop(struct group *g)
{
    mr_domain_set_phase(g->domain, MR_PHASE_STOP);
    for (int i = 0; i < MEMBERS; i++) {
        int status = 0;

        while (!waitpid(g->pids[i], &status, WNOHANG)) { /* it may be just greeting */
            handle_events(g, false);
            usleep(1000);
        }
        ck_assert_msg(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "member %d left with %d", i,
                      WEXITSTATUS(status));
    }
    handle_events(g, false);
}

static void run(const group_plan *plan, unsigned kills, unsigned every_us)
{
    struct group g = {.plan = plan};
    mr_domain_options options = group_domain(plan);
    char why[300] = "";
    FILE *file = tmpfile();

    random_state = setting("MILLRACE_KILL_SEED", (uint64_t)time(NULL));
    fprintf(stderr, "seed %llu: ", (unsigned long long)random_state);
    mr_domain_clean();
    g.output = fileno(file);
    snprintf(g.name, sizeof(g.name), "kill-%d", (int)getpid());
    ck_assert_int_eq(mr_domain_create(&g.domain, g.name, &options), 0);
    ck_assert_int_eq(mr_control_open(&g.control, g.domain), 0);
    for (int i = 0; i < MEMBERS; i++)
        start(&g, i);
    supervise(&g, (unsigned)setting("MILLRACE_KILLS", kills), every_us);
    stop(&g);
    fprintf(stderr, "%u kills, %llu requests\n", g.kills, (unsigned long long)plan->requests);
    ck_assert_msg(group_output_is_right(plan, g.output, why, sizeof(why)), "%s", why);
    ck_assert_int_eq((int)mr_domain_unfinished(g.domain), 0);
    check_end(&g);
    fclose(file);
    mr_control_close(g.control);
    mr_domain_remove(g.domain);
}

START_TEST(an_undisturbed_group_answers_everything)
{
    run(&(group_plan){.requests = 500, .slots = 16, .capacity = 4, .arena_bytes = 1 << 20}, 0,
        2000);
}
END_TEST

START_TEST(kills_of_any_member_change_no_byte)
{
    run(&(group_plan){.requests = 20000, .slots = 16, .capacity = 4, .arena_bytes = 1 << 20}, 300,
        4000);
}
END_TEST

START_TEST(kills_change_no_byte_of_a_stream)
{
    run(
        &(group_plan){
            .requests = 4000, .slots = 8, .capacity = 3, .arena_bytes = 1 << 20, .stream = true},
        200, 4000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_kill");
    TCase *tests = tcase_create("kills");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 200);
    tcase_add_test(tests, an_undisturbed_group_answers_everything);
    tcase_add_test(tests, kills_of_any_member_change_no_byte);
    tcase_add_test(tests, kills_change_no_byte_of_a_stream);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
