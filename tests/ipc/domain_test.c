/*
 * domain_test.c - the life of a domain: made, opened, refused, replaced, resumed, removed
 */
#include "ipc/member.h"
#include "ipc/segment.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static mr_domain_options small(void)
{
    return (mr_domain_options){.size = sizeof(mr_domain_options),
                               .slots = 4,
                               .arena_bytes = 65536,
                               .max_length = 64,
                               .id_table = 64};
}

static const char *own_name(void)
{
    static char name[40];

    snprintf(name, sizeof(name), "life-%d", (int)getpid());
    return name;
}

static bool there(const char *what)
{
    char path[MR_PATH_MAX];
    struct stat st;

    mr_segment_path(path, own_name(), what);
    return !stat(path, &st);
}

START_TEST(a_domain_is_made_opened_and_removed_without_a_trace)
{
    mr_domain_options options = small();
    mr_domain_info info = {.size = sizeof(info)};
    mr_domain *domain, *other;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert(there("data") && there("stats"));
    ck_assert_int_eq(mr_domain_open(&other, own_name()), 0);
    mr_domain_get_info(other, &info);
    ck_assert_str_eq(info.name, own_name());
    ck_assert_uint_eq(info.slots, 4);
    ck_assert_str_eq(info.stage_names[0], "generate");
    ck_assert_uint_eq(info.total_bytes, mr_domain_size(&options));
    mr_domain_close(other);
    mr_domain_remove(domain);
    ck_assert(!there("data") && !there("stats"));
}
END_TEST

START_TEST(wrong_options_are_named)
{
    const struct {
        mr_domain_options options;
        const char *word;
    } wrong[] = {
        {{.slots = MR_MAX_SLOTS + 1}, "slots"}, {{.stages = 9}, "stages"},
        {{.max_length = 1}, "maximum length"},  {{.arena_bytes = 1}, "memory"},
        {{.max_attempts = 16}, "attempts"},     {{.id_table = UINT64_C(1) << 40}, "ids"},
    };
    mr_domain *domain;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        mr_domain_options options = wrong[i].options;

        options.size = sizeof(options);
        options.max_length = options.max_length ? options.max_length : 64;
        options.arena_bytes = options.arena_bytes ? options.arena_bytes : 65536;
        ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), -EINVAL);
        ck_assert_ptr_nonnull(strstr(mr_error(), wrong[i].word));
        ck_assert_uint_eq(mr_domain_size(&options), 0);
    }
    ck_assert(!there("data"));
}
END_TEST

START_TEST(wrong_names_are_refused)
{
    mr_domain_options options = small();
    const char *names[] = {"", "a/b", "../x", "name with blanks",
                           "a-name-that-is-longer-than-forty-seven-bytes-is-too-long"};
    mr_domain *domain;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        ck_assert_int_eq(mr_domain_create(&domain, names[i], &options), -EINVAL);
        ck_assert_int_eq(mr_domain_open(&domain, names[i]), -EINVAL);
        ck_assert_int_eq(mr_domain_resume(&domain, names[i]), -EINVAL);
        ck_assert_int_eq(mr_domain_discard(names[i]), -EINVAL);
    }
}
END_TEST

START_TEST(more_memory_than_there_is_fails_at_the_start)
{
    mr_domain_options options = small();
    mr_domain *domain;

    options.arena_bytes = UINT64_C(1) << 45;
    ck_assert_int_lt(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_ptr_nonnull(strstr(mr_error(), "/dev/shm"));
    ck_assert(!there("data"));
}
END_TEST

START_TEST(each_option_has_its_bounds)
{
    mr_domain_options good = small(), bad;

    ck_assert_uint_gt(mr_domain_size(&good), 0);
    bad = good, bad.slots = MR_MAX_SLOTS + 1;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.stages = MR_MAX_STAGES + 1;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.max_length = 1;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.max_length = UINT32_MAX;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.arena_bytes = 4095;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.arena_bytes = UINT64_MAX;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.max_attempts = 16;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    bad = good, bad.id_table = UINT64_C(1) << 33;
    ck_assert_uint_eq(mr_domain_size(&bad), 0);
    ck_assert_ptr_nonnull(strstr(mr_error(), "2^32"));
}
END_TEST

START_TEST(a_living_domain_is_not_replaced)
{
    mr_domain_options options = small();
    mr_domain *domain, *second;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_int_eq(mr_domain_create(&second, own_name(), &options), -EEXIST);
    ck_assert_ptr_nonnull(strstr(mr_error(), "running"));
    ck_assert_int_eq(mr_domain_discard(own_name()), -EBUSY);
    ck_assert_int_eq(mr_domain_resume(&second, own_name()), -EBUSY);
    mr_domain_remove(domain);
}
END_TEST

START_TEST(a_dead_unnamed_domain_is_replaced_and_cleaned)
{
    mr_domain_options options = small();
    mr_domain *domain;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    mr_domain_close(domain); /* as if all were killed */
    ck_assert_int_eq(mr_domain_open(&domain, own_name()), -ESTALE);
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    mr_domain_close(domain);
    mr_domain_clean(); /* or another test's, which runs beside this one */
    ck_assert(!there("data") && !there("stats"));
    ck_assert_int_eq(mr_domain_open(&domain, own_name()), -ENOENT);
}
END_TEST

/* A named domain with one request in it, dead. */
static void leave_unfinished(void)
{
    mr_domain_options options = small();
    mr_request request = support_request(1, 5);
    mr_member *member;
    mr_intake *intake;
    mr_domain *domain;

    options.named = 1;
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_int_eq(mr_domain_set_note(domain, "{\"model\": 1}"), 0);
    intake = support_intake(domain, &member);
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    mr_intake_finish(intake);
    mr_intake_close(intake);
    domain->members[mr_member_index(member)].start_time = 1; /* not ourselves: long dead */
    mr_member_leave(member);
    mr_domain_close(domain);
}

START_TEST(a_dead_named_domain_with_work_is_kept_and_resumed)
{
    mr_domain_options options = small();
    mr_domain_progress progress;
    mr_domain *domain;

    leave_unfinished();
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), -ENOTEMPTY);
    ck_assert_ptr_nonnull(strstr(mr_error(), "--resume"));
    mr_domain_clean();
    ck_assert_int_eq(mr_domain_resume(&domain, own_name()), 0);
    ck_assert_str_eq(mr_domain_note(domain), "{\"model\": 1}");
    ck_assert_int_ge(mr_supervisor_sweep_all(domain), 0);
    mr_domain_get_progress(domain, &progress);
    ck_assert_uint_eq(progress.unfinished, 1);
    ck_assert_uint_eq(progress.input_finished, 1);
    ck_assert_uint_eq(progress.complete, 0);
    ck_assert_uint_eq(progress.records, 1);
    ck_assert_uint_eq(progress.input_end, 100);
    mr_domain_remove(domain);
}
END_TEST

START_TEST(a_dead_domain_can_be_discarded)
{
    leave_unfinished();
    ck_assert_int_eq(mr_domain_discard(own_name()), 0);
    ck_assert(!there("data"));
    ck_assert_int_eq(mr_domain_discard(own_name()), -ENOENT);
}
END_TEST

START_TEST(a_resume_refuses_while_a_member_lives)
{
    mr_domain_options options = small();
    mr_domain *domain;
    mr_member *member;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    member = support_join(domain, MR_ROLE_TOKENIZER); /* this very process */
    ck_assert_int_eq(mr_supervisor_sweep_all(domain), -EBUSY);
    ck_assert_ptr_nonnull(strstr(mr_error(), "alive"));
    mr_member_leave(member);
    mr_domain_remove(domain);
}
END_TEST

START_TEST(a_member_that_lives_keeps_the_domain_alive)
{
    mr_domain_options options = small();
    mr_domain *domain, *member;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_int_eq(mr_domain_open(&member, own_name()), 0);
    mr_domain_close(domain);
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), -EEXIST);
    mr_domain_close(member);
    ck_assert_int_eq(mr_domain_discard(own_name()), 0);
}
END_TEST

/* Another process has it open for a while, as one that notices its supervisor's death. */
static pid_t begin_guest(const char *name, unsigned ms)
{
    int ready[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        mr_domain *domain;

        if (mr_domain_open(&domain, name) || write(ready[1], "", 1) != 1)
            _exit(1);
        usleep(ms * 1000);
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* The test that forks has its locks too, so a child makes the domain, as a supervisor that dies. */
START_TEST(a_resume_waits_for_members_that_are_leaving)
{
    mr_domain_options options = small();
    const char *name = own_name(); /* tells the pid: asked for before the fork */
    mr_domain *domain;
    int status, ended[2];
    pid_t guest, supervisor;

    ck_assert_int_eq(pipe(ended), 0);
    supervisor = fork();
    if (supervisor == 0) {
        options.named = 1;
        if (mr_domain_create(&domain, name, &options) || write(ended[1], "", 1) != 1)
            _exit(1);
        pause();
    }
    ck_assert_int_eq(read(ended[0], &status, 1), 1);
    guest = begin_guest(name, 700);
    kill(supervisor, SIGKILL);
    ck_assert_int_eq(waitpid(supervisor, &status, 0), supervisor);
    ck_assert_int_eq(mr_domain_resume(&domain, name), 0);
    ck_assert_int_eq(waitpid(guest, &status, 0), guest);
    ck_assert_int_eq(status, 0);
    mr_domain_remove(domain);
    close(ended[0]);
    close(ended[1]);
}
END_TEST

START_TEST(a_member_that_ended_but_was_not_reaped_is_dead)
{
    mr_domain_options options = small();
    mr_member_options tokenizer = {.size = sizeof(tokenizer), .role = MR_ROLE_TOKENIZER};
    pid_t pid = fork();
    mr_domain *domain;
    siginfo_t info;

    if (!pid)
        pause();
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_int_ge(mr_place_take(domain, &tokenizer, pid), 0);
    ck_assert_int_eq(mr_supervisor_sweep_all(domain), -EBUSY);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_ge(mr_supervisor_sweep_all(domain), 0);
    waitpid(pid, NULL, 0);
    mr_domain_remove(domain);
}
END_TEST

START_TEST(of_a_domain_that_cannot_be_made_nothing_stays)
{
    mr_domain_options options = small();
    char stats[MR_PATH_MAX], data[MR_PATH_MAX];
    mr_domain *domain;

    mr_segment_path(stats, own_name(), "stats");
    mr_segment_path(data, own_name(), "data");
    ck_assert_int_eq(mkdir(stats, 0700), 0); /* in the way of the second segment's name */
    ck_assert_int_lt(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_int_lt(access(data, F_OK), 0);
    ck_assert_int_eq(rmdir(stats), 0);
}
END_TEST

/* ---- hostile headers ---- */

static void spoil(size_t offset, uint64_t value, size_t bytes)
{
    char path[MR_PATH_MAX];
    int fd;

    mr_segment_path(path, own_name(), "data");
    fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, &value, bytes, (off_t)offset), (ssize_t)bytes);
    close(fd);
}

START_TEST(a_corrupt_header_is_refused)
{
    const struct {
        size_t offset;
        uint64_t value;
        size_t bytes;
        int error;
    } spoils[] = {
        {offsetof(mr_header, magic), 1, 8, -EBADMSG},
        {offsetof(mr_header, abi), 77, 4, -EPROTO},
        {offsetof(mr_header, layout), 77, 8, -EPROTO},
        {offsetof(mr_header, slots), 1u << 30, 4, -EBADMSG},
        {offsetof(mr_header, stages), 0, 4, -EBADMSG},
        {offsetof(mr_header, slots_offset), UINT64_MAX - 63, 8, -EBADMSG},
        {offsetof(mr_header, members_offset), 0, 8, -EBADMSG},
        {offsetof(mr_header, queues_offset), 64, 8, -EBADMSG},
        {offsetof(mr_header, ids_count), 3, 8, -EBADMSG},
        {offsetof(mr_header, arena_bytes), UINT64_C(1) << 60, 8, -EBADMSG},
        {offsetof(mr_header, total_bytes), 4096, 8, -EBADMSG},
        {offsetof(mr_header, slots), 0, 4, -EBADMSG},
        {offsetof(mr_header, stages), MR_MAX_STAGES + 1, 4, -EBADMSG},
        {offsetof(mr_header, max_attempts), 0, 4, -EBADMSG},
        {offsetof(mr_header, ids_count), 0, 8, -EBADMSG},
        {offsetof(mr_header, ids_offset), 65, 8, -EBADMSG},
        {offsetof(mr_header, ids_count), UINT64_C(1) << 40, 8, -EBADMSG},
        {offsetof(mr_header, queues_offset), UINT64_C(1) << 40, 8, -EBADMSG},
    };

    for (size_t i = 0; i < sizeof(spoils) / sizeof(*spoils); i++) {
        mr_domain_options options = small();
        mr_domain *domain, *other;

        ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
        spoil(spoils[i].offset, spoils[i].value, spoils[i].bytes);
        ck_assert_msg(mr_domain_open(&other, own_name()) == spoils[i].error, "spoil %zu: %s", i,
                      mr_error());
        mr_domain_remove(domain);
    }
}
END_TEST

START_TEST(what_another_version_left_is_kept)
{
    mr_domain_options options = small();
    mr_domain *domain;

    leave_unfinished();
    spoil(offsetof(mr_header, layout), 77, 8);
    mr_domain_clean();
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), -ENOTEMPTY);
    ck_assert_ptr_nonnull(strstr(mr_error(), "another version"));
    ck_assert_int_eq(mr_domain_resume(&domain, own_name()), -EPROTO);
    ck_assert_int_eq(mr_domain_discard(own_name()), 0);
}
END_TEST

START_TEST(a_corrupt_ring_is_refused)
{
    mr_domain_options options = small();
    mr_domain *domain, *other;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    domain->queues[1].ring.mask = 6;
    ck_assert_int_eq(mr_domain_open(&other, own_name()), -EBADMSG);
    domain->queues[1].ring.mask = 0;
    ck_assert_int_eq(mr_domain_open(&other, own_name()), -EBADMSG);
    domain->queues[1].ring.mask = UINT64_MAX;
    ck_assert_int_eq(mr_domain_open(&other, own_name()), -EBADMSG);
    domain->queues[1].ring.mask = domain->entries[1].mask;
    domain->queues[1].ring.entries = UINT64_C(1) << 40;
    ck_assert_int_eq(mr_domain_open(&other, own_name()), -EBADMSG);
    mr_domain_remove(domain);
}
END_TEST

START_TEST(what_is_no_segment_is_replaced)
{
    mr_domain_options options = small();
    char path[MR_PATH_MAX];
    mr_domain *domain;
    int fd;

    mr_segment_path(path, own_name(), "data");
    fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "junk", 4), 4);
    ck_assert_int_eq(mr_domain_resume(&domain, own_name()), -EBADMSG);
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    mr_domain_remove(domain);
    close(fd);
}
END_TEST

START_TEST(the_data_is_private_and_not_inherited)
{
    mr_domain_options options = small();
    char path[MR_PATH_MAX];
    mr_domain *domain;
    struct stat st;
    int status;
    pid_t pid;

    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    mr_segment_path(path, own_name(), "data");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(st.st_blocks * 512 >= st.st_size, 1); /* reserved */
    pid = fork();
    if (!pid)
        _exit(msync(domain->data, 4096, MS_ASYNC) ? 0 : 1); /* ENOMEM: not mapped in a child */
    waitpid(pid, &status, 0);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    mr_domain_remove(domain);
}
END_TEST

START_TEST(phases_and_notes)
{
    mr_domain_options options = small();
    char *long_note = malloc(MR_NOTE_MAX + 2);
    mr_domain *domain;

    memset(long_note, 'x', MR_NOTE_MAX + 1);
    long_note[MR_NOTE_MAX + 1] = 0;
    ck_assert_int_eq(mr_domain_create(&domain, own_name(), &options), 0);
    ck_assert_int_eq(mr_domain_phase(domain), MR_PHASE_RUN);
    mr_domain_set_phase(domain, MR_PHASE_DRAIN);
    ck_assert_int_eq(mr_domain_phase(domain), MR_PHASE_DRAIN);
    ck_assert_int_eq(mr_domain_set_note(domain, long_note), -E2BIG);
    ck_assert_str_eq(mr_domain_note(domain), "");
    mr_domain_remove(domain);
    free(long_note);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("domain");
    TCase *tests = tcase_create("life");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_domain_is_made_opened_and_removed_without_a_trace);
    tcase_add_test(tests, wrong_options_are_named);
    tcase_add_test(tests, wrong_names_are_refused);
    tcase_add_test(tests, more_memory_than_there_is_fails_at_the_start);
    tcase_add_test(tests, each_option_has_its_bounds);
    tcase_add_test(tests, a_living_domain_is_not_replaced);
    tcase_add_test(tests, a_dead_unnamed_domain_is_replaced_and_cleaned);
    tcase_add_test(tests, a_dead_named_domain_with_work_is_kept_and_resumed);
    tcase_add_test(tests, a_dead_domain_can_be_discarded);
    tcase_add_test(tests, a_resume_refuses_while_a_member_lives);
    tcase_add_test(tests, a_resume_waits_for_members_that_are_leaving);
    tcase_add_test(tests, a_member_that_lives_keeps_the_domain_alive);
    tcase_add_test(tests, a_member_that_ended_but_was_not_reaped_is_dead);
    tcase_add_test(tests, a_corrupt_header_is_refused);
    tcase_add_test(tests, of_a_domain_that_cannot_be_made_nothing_stays);
    tcase_add_test(tests, what_another_version_left_is_kept);
    tcase_add_test(tests, a_corrupt_ring_is_refused);
    tcase_add_test(tests, what_is_no_segment_is_replaced);
    tcase_add_test(tests, the_data_is_private_and_not_inherited);
    tcase_add_test(tests, phases_and_notes);
    suite_add_tcase(suite, tests);
    return support_run(suite);
}
