/*
 * reply_test.c - the reply note, the run's note, and files by io_uring or plain calls
 */
#include "runtime/io.h"
#include "runtime/note.h"
#include "runtime/reply.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- reply ---- */

static mr_bytes text(const char *string)
{
    return (mr_bytes){string, strlen(string)};
}

static struct reply example(void)
{
    struct reply reply = {.endpoint = ENDPOINT_COMPLETION,
                          .flags = REPLY_ECHO | REPLY_LOGPROBS,
                          .top_logprobs = 5,
                          .line = UINT64_C(1) << 40,
                          .custom_id = {"a\0b", 3},
                          .model = text("model"),
                          .prompt = text("prompt"),
                          .error_message = text("message"),
                          .stop_count = REPLY_MAX_STOPS};
    for (unsigned i = 0; i < REPLY_MAX_STOPS; i++)
        reply.stops[i] = text("stop");
    return reply;
}

static mr_bytes encoded(const struct reply *reply)
{
    size_t size = reply_size(reply);
    char *bytes = malloc(size);
    reply_encode(reply, bytes);
    return (mr_bytes){bytes, size};
}

static void check_equal(mr_bytes a, mr_bytes b)
{
    ck_assert_uint_eq(a.length, b.length);
    if (a.length > 0)
        ck_assert_mem_eq(a.bytes, b.bytes, a.length);
}

START_TEST(a_reply_comes_out_as_it_went_in)
{
    const struct reply in = example();
    mr_bytes note = encoded(&in);
    struct reply out;
    ck_assert_int_eq(reply_decode(&out, note), 0);
    ck_assert_int_eq(out.endpoint, in.endpoint);
    ck_assert_uint_eq(out.flags, in.flags);
    ck_assert_uint_eq(out.top_logprobs, in.top_logprobs);
    ck_assert_uint_eq(out.line, in.line);
    ck_assert_uint_eq(out.stop_count, in.stop_count);
    check_equal(out.custom_id, in.custom_id);
    check_equal(out.model, in.model);
    check_equal(out.prompt, in.prompt);
    check_equal(out.error_code, in.error_code);
    check_equal(out.error_message, in.error_message);
    check_equal(out.error_param, in.error_param);
    for (unsigned i = 0; i < in.stop_count; i++)
        check_equal(out.stops[i], in.stops[i]);
    free((void *)(uintptr_t)note.bytes);
}
END_TEST

START_TEST(a_reply_cut_anywhere_is_refused)
{
    const struct reply in = example();
    mr_bytes note = encoded(&in);
    struct reply out;
    for (size_t length = 0; length < note.length; length++) {
        /* A copy of just that size, so that a reader that goes too far is caught. */
        char *cut = malloc(length + (length == 0));
        memcpy(cut, note.bytes, length);
        ck_assert_int_eq(reply_decode(&out, (mr_bytes){cut, length}), -EBADMSG);
        free(cut);
    }
    free((void *)(uintptr_t)note.bytes);
}
END_TEST

START_TEST(a_reply_of_another_version_or_with_too_many_stops_is_refused)
{
    const struct reply in = example();
    mr_bytes note = encoded(&in);
    char *bytes = (char *)(uintptr_t)note.bytes;
    struct reply out;
    bytes[0]++;
    ck_assert_int_eq(reply_decode(&out, note), -EBADMSG);
    bytes[0]--;
    bytes[3] = REPLY_MAX_STOPS + 1;
    ck_assert_int_eq(reply_decode(&out, note), -EBADMSG);
    free(bytes);
}
END_TEST

/* ---- files ---- */

static struct io *io;

static void open_ring(void)
{
    unsetenv("MILLRACE_IO");
    ck_assert_int_eq(io_open(&io, 4), 0);
}

static void open_plain(void)
{
    setenv("MILLRACE_IO", "plain", 1);
    ck_assert_int_eq(io_open(&io, 4), 0);
    ck_assert(!io_uses_ring(io));
}

static void close_io(void)
{
    io_close(io);
}

START_TEST(what_was_written_at_an_offset_is_read_there)
{
    int fd = memfd_create("io", MFD_CLOEXEC);
    char bytes[8] = {0}; /* valgrind doesn't see what io_uring writes */
    ck_assert_int_eq(io_write_at(io, fd, "abc", 3, 100), 3);
    ck_assert_int_eq(io_read_at(io, fd, bytes, 3, 100), 3);
    ck_assert_mem_eq(bytes, "abc", 3);
    ck_assert_int_eq(io_read_at(io, fd, bytes, 8, 101), 2); /* up to the end of the file */
    ck_assert_int_eq(io_read_at(io, fd, bytes, 8, 200), 0);
    ck_assert_int_eq(io_read_at(io, fd, bytes, 0, 0), 0);
    close(fd);
}
END_TEST

START_TEST(requests_are_finished_in_any_order)
{
    int fd = memfd_create("io", MFD_CLOEXEC);
    struct io_request requests[4];
    char blocks[4][1000], all[4000] = {0};
    for (int i = 0; i < 4; i++) {
        memset(blocks[i], 'a' + i, sizeof(blocks[i]));
        requests[i] = (struct io_request){
            .fd = fd, .write = true, .buffer = blocks[i], .size = 1000, .offset = 1000u * i};
        io_start(io, &requests[i]);
    }
    for (int i = 3; i >= 0; i--)
        ck_assert_int_eq(io_finish(io, &requests[i]), 1000);
    ck_assert_int_eq(io_read_at(io, fd, all, 4000, 0), 4000);
    for (int i = 0; i < 4; i++)
        ck_assert_mem_eq(all + 1000 * i, blocks[i], 1000);
    close(fd);
}
END_TEST

START_TEST(a_failing_request_tells_its_error)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char byte = 'x';
    ck_assert_int_eq(io_write_at(io, fd, &byte, 1, 0), -ENOSPC);
    ck_assert_int_eq(io_read_at(io, fd, &byte, 1, 0), -EBADF);
    close(fd);
}
END_TEST

/* As containers do it. */
static void refuse_call(int number, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 4, .filter = filter};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(where_io_uring_is_refused_plain_calls_do_the_same)
{
    int fd = memfd_create("io", MFD_CLOEXEC);
    char bytes[4] = {0};
    refuse_call(SYS_io_uring_setup, EPERM);
    unsetenv("MILLRACE_IO");
    ck_assert_int_eq(io_open(&io, 4), 0);
    ck_assert(!io_uses_ring(io));
    ck_assert_int_eq(io_write_at(io, fd, "abc", 3, 0), 3);
    ck_assert_int_eq(io_read_at(io, fd, bytes, 3, 0), 3);
    io_close(io);
    close(fd);
}
END_TEST

/* An entry that stayed in the ring would write its bytes later, over those of others. */
START_TEST(a_ring_that_takes_no_more_is_given_up_and_loses_nothing)
{
    int fd = memfd_create("io", MFD_CLOEXEC);
    struct io_request requests[4];
    char all[8] = {0};
    unsetenv("MILLRACE_IO");
    ck_assert_int_eq(io_open(&io, 4), 0);
    if (io_uses_ring(io)) {
        for (unsigned i = 0; i < 4; i++) {
            requests[i] = (struct io_request){
                .fd = fd, .write = true, .buffer = &"abcd"[i], .size = 1, .offset = i};
            io_start(io, &requests[i]);
            if (i == 1)
                io_submit(io);
        }
        refuse_call(SYS_io_uring_enter, ENOMEM);
        for (int i = 3; i >= 0; i--)
            ck_assert_int_eq(io_finish(io, &requests[i]), 1);
        ck_assert(!io_uses_ring(io));
        ck_assert_int_eq(io_write_at(io, fd, "efg", 3, 4), 3);
        ck_assert_int_eq(io_read_at(io, fd, all, 8, 0), 7);
        ck_assert_str_eq(all, "abcdefg");
    }
    io_close(io);
    close(fd);
}
END_TEST

/* ---- the run's note ---- */

START_TEST(a_note_is_read_as_it_was_written)
{
    const mr_domain_options options = {
        .size = sizeof(options), .slots = 2, .max_length = 16, .arena_bytes = 4096};
    struct note in = {.model = "/m \"x\".gguf",
                      .model_name = "m",
                      .input = "",
                      .output = "/out",
                      .worker = "/w",
                      .workers = 3,
                      .max_batch = 7,
                      .threads = 2,
                      .stream = true};
    struct note out;
    mr_domain *domain;
    char name[40];
    snprintf(name, sizeof(name), "note-%d", (int)getpid());
    ck_assert_int_eq(mr_domain_create(&domain, name, &options), 0);
    ck_assert_int_eq(note_read(domain, &out), -EBADMSG);
    ck_assert_int_eq(note_write(domain, &in), 0);
    ck_assert_int_eq(note_read(domain, &out), 0);
    ck_assert_str_eq(out.model, in.model);
    ck_assert_str_eq(out.output, in.output);
    ck_assert_str_eq(out.input, "");
    ck_assert_uint_eq(out.workers, 3);
    ck_assert_uint_eq(out.max_batch, 7);
    ck_assert(out.stream && !out.plain_io);
    note_free(&out);
    in.model = "\xff not UTF-8";
    ck_assert_int_lt(note_write(domain, &in), 0);
    mr_domain_remove(domain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reply and io");
    TCase *replies = tcase_create("reply"), *notes = tcase_create("others");
    TCase *ring = tcase_create("io_uring"), *plain = tcase_create("plain calls");
    TCase *both[] = {ring, plain};
    SRunner *runner;
    int failed;
    tcase_add_test(replies, a_reply_comes_out_as_it_went_in);
    tcase_add_test(replies, a_reply_cut_anywhere_is_refused);
    tcase_add_test(replies, a_reply_of_another_version_or_with_too_many_stops_is_refused);
    tcase_add_test(notes, where_io_uring_is_refused_plain_calls_do_the_same);
    tcase_add_test(notes, a_ring_that_takes_no_more_is_given_up_and_loses_nothing);
    tcase_add_test(notes, a_note_is_read_as_it_was_written);
    tcase_add_checked_fixture(ring, open_ring, close_io);
    tcase_add_checked_fixture(plain, open_plain, close_io);
    for (unsigned i = 0; i < 2; i++) {
        tcase_add_test(both[i], what_was_written_at_an_offset_is_read_there);
        tcase_add_test(both[i], requests_are_finished_in_any_order);
        tcase_add_test(both[i], a_failing_request_tells_its_error);
        suite_add_tcase(suite, both[i]);
    }
    suite_add_tcase(suite, replies);
    suite_add_tcase(suite, notes);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
