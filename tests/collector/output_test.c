/*
 * Tests of runtime/collector/output.c: files, pipes and what else an output may be
 */
#include "runtime/collector/output.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

static struct output output;
static unsigned asked; /* how often the output asked for patience */
static unsigned patience;

static bool be_patient(void *self)
{
    (void)self;
    return asked++ < patience;
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    asked = 0;
    patience = 0;
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void tear_down(void)
{
    limit_files(RLIM_INFINITY);
}

static int make_file(void)
{
    char path[] = "/tmp/millrace-test-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

static off_t size_of(int fd)
{
    struct stat status;
    ck_assert_int_eq(fstat(fd, &status), 0);
    return status.st_size;
}

static void open_it(int target, int spool, uint64_t length)
{
    ck_assert_int_eq(output_open(&output, target, spool, length, be_patient, NULL), 0);
}

/* Bytes of which each place has its own. */
static void fill(unsigned char *block, uint64_t place)
{
    for (size_t i = 0; i < BLOCK; i += 8) {
        uint64_t word = (place + i) * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(block + i, &word, 8);
    }
}

/* ---- files ---- */

START_TEST(a_file_is_cut_to_the_committed_length)
{
    int file = make_file();
    char bytes[8];
    ck_assert_int_eq(write(file, "committed, and more", 19), 19);
    open_it(file, -1, 9);
    ck_assert_int_eq(size_of(file), 9);
    ck_assert_int_eq(output_write(&output, " again", 6), 0);
    ck_assert_int_eq(size_of(file), 15);
    ck_assert_int_eq(pread(file, bytes, 8, 7), 8);
    ck_assert_mem_eq(bytes, "ed again", 8);
    ck_assert_int_eq(output_send(&output), 0);
    output_close(&output);
}
END_TEST

/* The disk is full when this is asked for the first time, and is not when asked for the second; it
 * is asked several times between two tries. */
static bool free_the_disk(void *self)
{
    (void)self;
    if (asked++ == 1)
        limit_files(RLIM_INFINITY);
    return true;
}

START_TEST(a_full_disk_is_waited_for)
{
    int file = make_file();
    char bytes[100];
    memset(bytes, 'x', sizeof(bytes));
    ck_assert_int_eq(output_open(&output, file, -1, 0, free_the_disk, NULL), 0);
    limit_files(50);
    ck_assert_int_eq(output_write(&output, bytes, sizeof(bytes)), 0);
    ck_assert_uint_ge(asked, 2);
    ck_assert_int_eq(size_of(file), sizeof(bytes));
    ck_assert(!output.troubled);
    output_close(&output);
}
END_TEST

START_TEST(waiting_for_a_full_disk_ends_when_told_to_stop)
{
    char bytes[100] = {0};
    open_it(make_file(), -1, 0);
    limit_files(50);
    ck_assert_int_eq(output_write(&output, bytes, sizeof(bytes)), -ESHUTDOWN);
    ck_assert_uint_eq(output.length, 0);
    output_close(&output);
}
END_TEST

/* ---- streams ---- */

struct reader {
    int fd;
    uint64_t length;
    bool right;
    pthread_t thread;
};

/* Reads all and compares it with fill(); begins late, so that all buffers are full by then. */
static void *reader_thread(void *self)
{
    struct reader *reader = self;
    unsigned char *right = malloc(BLOCK), *block = malloc(BLOCK);
    ssize_t got;
    reader->right = true;
    usleep(100000);
    while ((got = read(reader->fd, block, BLOCK - reader->length % BLOCK)) > 0) {
        fill(right, reader->length / BLOCK * BLOCK);
        reader->right &= memcmp(block, right + reader->length % BLOCK, (size_t)got) == 0;
        reader->length += (uint64_t)got;
    }
    free(right);
    free(block);
    return NULL;
}

static void write_blocks(uint64_t count)
{
    unsigned char *block = malloc(BLOCK);
    for (uint64_t i = 0; i < count; i++) {
        fill(block, i * BLOCK);
        ck_assert_int_eq(output_write(&output, (char *)block, BLOCK), 0);
        output_commit(&output);
        ck_assert_int_ge(output_send(&output), 0);
    }
    free(block);
}

START_TEST(a_large_stream_arrives_whole_and_its_spool_stays_small)
{
    enum { BLOCKS = 120 };
    int ends[2], spool = memfd_create("spool", 0);
    struct reader reader;
    struct stat status;
    patience = UINT32_MAX;
    ck_assert_int_eq(pipe(ends), 0);
    reader = (struct reader){.fd = ends[0]};
    ck_assert_int_eq(pthread_create(&reader.thread, NULL, reader_thread, &reader), 0);
    open_it(ends[1], spool, 0);
    write_blocks(BLOCKS);
    ck_assert_int_eq(output_finish(&output), 0);
    ck_assert_int_eq(fstat(spool, &status), 0);
    ck_assert_int_eq(status.st_size, BLOCKS * (off_t)BLOCK);
    ck_assert_int_lt(status.st_blocks * 512, OUTPUT_KEPT + OUTPUT_PUNCHED + (4 << 20));
    close(ends[1]);
    pthread_join(reader.thread, NULL);
    ck_assert(reader.right);
    ck_assert_uint_eq(reader.length, BLOCKS * (uint64_t)BLOCK);
    output_close(&output);
}
END_TEST

START_TEST(a_reader_that_takes_nothing_holds_up_the_writer)
{
    unsigned char *block = calloc(1, BLOCK);
    int ends[2], error = 0;
    ck_assert_int_eq(pipe(ends), 0);
    open_it(ends[1], memfd_create("spool", 0), 0);
    for (int i = 0; i < 200 && error == 0; i++) {
        error = output_write(&output, (char *)block, BLOCK);
        output_commit(&output);
    }
    ck_assert_int_eq(error, -ESHUTDOWN);
    ck_assert_uint_ge(output.length, OUTPUT_UNSENT_MAX);
    ck_assert_uint_le(output.length, OUTPUT_UNSENT_MAX + 2 * BLOCK);
    free(block);
    output_close(&output);
}
END_TEST

START_TEST(only_what_is_committed_is_sent)
{
    int ends[2];
    char bytes[16];
    ck_assert_int_eq(pipe(ends), 0);
    open_it(ends[1], make_file(), 0);
    ck_assert_int_eq(output_write(&output, "counts", 6), 0);
    output_commit(&output);
    ck_assert_int_eq(output_write(&output, "doesn't", 7), 0);
    ck_assert_int_eq(output_send(&output), 0);
    ck_assert_int_eq(read(ends[0], bytes, sizeof(bytes)), 6);
    output_close(&output);
}
END_TEST

START_TEST(a_successor_sends_from_where_its_predecessor_came_to)
{
    int ends[2], spool = make_file();
    char bytes[16];
    ck_assert_int_eq(pipe(ends), 0);
    open_it(ends[1], spool, 0);
    ck_assert_int_eq(output_write(&output, "first", 5), 0);
    output_commit(&output);
    ck_assert_int_eq(output_send(&output), 0);
    ck_assert_int_eq(output_write(&output, "second", 6), 0);
    output_close(&output);
    open_it(ends[1], spool, 11); /* the commit was made, but output_commit() was not reached */
    ck_assert_int_eq(output_finish(&output), 0);
    ck_assert_int_eq(read(ends[0], bytes, sizeof(bytes)), 11);
    ck_assert_mem_eq(bytes, "firstsecond", 11);
    output_close(&output);
}
END_TEST

START_TEST(a_closed_pipe_is_told)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    open_it(ends[1], make_file(), 0);
    ck_assert_int_eq(output_write(&output, "x", 1), 0);
    output_commit(&output);
    ck_assert_int_eq(output_send(&output), -EPIPE);
    ck_assert_int_eq(output_finish(&output), -EPIPE);
    output_close(&output);
}
END_TEST

START_TEST(what_takes_no_bytes_at_all_is_told)
{
    open_it(open("/dev/null", O_RDONLY), make_file(), 0);
    ck_assert_int_eq(output_write(&output, "x", 1), 0);
    output_commit(&output);
    ck_assert_int_eq(output_send(&output), -EBADF);
    output_close(&output);
}
END_TEST

START_TEST(standard_output_may_be_the_void)
{
    open_it(open("/dev/null", O_WRONLY), make_file(), 0);
    write_blocks(3);
    ck_assert_int_eq(output_finish(&output), 0);
    output_close(&output);
}
END_TEST

START_TEST(a_full_disk_under_a_stream_is_waited_for)
{
    int file = make_file(), spool = make_file();
    ck_assert_int_eq(output_open(&output, file, spool, 0, free_the_disk, NULL), 0);
    ck_assert_int_eq(lseek(file, 40, SEEK_SET), 40);
    ck_assert_int_eq(output_write(&output, "0123456789abcdefghij", 20), 0);
    output_commit(&output);
    limit_files(40);
    ck_assert_int_eq(output_send(&output), 1);
    ck_assert(output.troubled);
    ck_assert_int_eq(output_events(&output), 0);
    ck_assert_int_eq(output_finish(&output), 0);
    ck_assert_int_eq(size_of(file), 60);
    ck_assert(!output.troubled);
    output_close(&output);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outputs");
    TCase *tests = tcase_create("outputs");
    SRunner *runner;
    int failed;
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_file_is_cut_to_the_committed_length);
    tcase_add_test(tests, a_full_disk_is_waited_for);
    tcase_add_test(tests, waiting_for_a_full_disk_ends_when_told_to_stop);
    tcase_add_test(tests, a_large_stream_arrives_whole_and_its_spool_stays_small);
    tcase_add_test(tests, a_reader_that_takes_nothing_holds_up_the_writer);
    tcase_add_test(tests, only_what_is_committed_is_sent);
    tcase_add_test(tests, a_successor_sends_from_where_its_predecessor_came_to);
    tcase_add_test(tests, a_closed_pipe_is_told);
    tcase_add_test(tests, what_takes_no_bytes_at_all_is_told);
    tcase_add_test(tests, standard_output_may_be_the_void);
    tcase_add_test(tests, a_full_disk_under_a_stream_is_waited_for);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
