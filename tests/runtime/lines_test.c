/*
 * lines_test.c - the input cut into records, from files and from streams, begun anew anywhere
 */
#include "runtime/tokenizer/lines.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 1 << 20, LINES_MAX = 4096 };

/* What was read: each record as "length:first bytes", marks for what is no record. */
struct reading {
    char *text;
    size_t length;
    uint64_t ends[LINES_MAX];
    unsigned count;
};

static struct io *io;

static void open_io(void)
{
    ck_assert_int_eq(io_open(&io, 4), 0);
}

static void close_io(void)
{
    io_close(io);
}

static void note(struct reading *reading, int kind, const struct line *line)
{
    char piece[64];
    if (kind == LINES_RECORD)
        snprintf(piece, sizeof(piece), "%zu:%.*s\n", line->length,
                 (int)(line->length < 20 ? line->length : 20), line->bytes);
    else
        snprintf(piece, sizeof(piece), "too long\n");
    reading->text = realloc(reading->text, reading->length + strlen(piece) + 1);
    strcpy(reading->text + reading->length, piece);
    reading->length += strlen(piece);
    ck_assert_uint_lt(reading->count, LINES_MAX);
    reading->ends[reading->count++] = line->end;
}

/* Reads records from `offset` on; stops behind `most` of them. */
static struct reading read_from(const struct source_input *input, uint64_t offset, unsigned most)
{
    struct reading reading = {.text = calloc(1, 1)};
    struct source *source;
    struct lines *lines;
    struct line line;
    int kind = LINES_WAIT;
    ck_assert_int_eq(source_open(&source, io, input, offset), 0);
    ck_assert_int_eq(lines_open(&lines, source, 0, offset, LIMIT), 0);
    while (reading.count < most && (kind = lines_next(lines, &line)) != LINES_END) {
        ck_assert_int_ge(kind, 0);
        if (kind == LINES_RECORD || kind == LINES_TOO_LONG)
            note(&reading, kind, &line);
        if (kind == LINES_SKIPPED && reading.count > 0)
            reading.ends[reading.count - 1] = line.end;
        if (kind != LINES_WAIT)
            source_release(source, line.end - 1);
    }
    lines_close(lines);
    source_close(source);
    return reading;
}

static int file_of(const char *bytes, size_t length)
{
    int fd = memfd_create("lines", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
    return fd;
}

static struct source_input of_file(int fd)
{
    return (struct source_input){.fd = fd, .spool = -1, .relay = {-1, -1}};
}

static void check_file(const char *bytes, size_t length, const char *expected)
{
    int fd = file_of(bytes, length);
    const struct source_input input = of_file(fd);
    struct reading reading = read_from(&input, 0, LINES_MAX);
    ck_assert_str_eq(reading.text, expected);
    free(reading.text);
    close(fd);
}

START_TEST(a_record_ends_with_a_newline_or_with_the_input)
{
    check_file("a\nbb\nccc", 8, "1:a\n2:bb\n3:ccc\n");
    check_file("a\n", 2, "1:a\n");
    check_file("", 0, "");
    check_file("\n\nx", 3, "0:\n0:\n1:x\n");
}
END_TEST

START_TEST(carriage_returns_and_a_byte_order_mark_are_dropped)
{
    check_file("\xEF\xBB\xBF"
               "a\r\nb\r\n",
               9, "1:a\n1:b\n");
    check_file("a\n\xEF\xBB\xBF"
               "b\n",
               7,
               "1:a\n4:\xEF\xBB\xBF"
               "b\n");
    check_file("a\rb\n", 4, "3:a\rb\n");
}
END_TEST

/* Lines of all lengths around the block's, and around the limit. */
static char *long_lines(size_t *length)
{
    static const size_t sizes[] = {
        0,         1, SOURCE_BLOCK - 1, SOURCE_BLOCK, 1, LIMIT, LIMIT - 1, LIMIT + 1, 2,
        LIMIT * 3, 3, SOURCE_BLOCK + 1, LIMIT + 500,  0, 5};
    size_t count = sizeof(sizes) / sizeof(sizes[0]), total = 0;
    char *bytes, *end;
    for (size_t i = 0; i < count; i++)
        total += sizes[i] + 1;
    end = bytes = malloc(total);
    for (size_t i = 0; i < count; i++) {
        memset(end, 'a' + (int)i, sizes[i]);
        end += sizes[i];
        *end++ = '\n';
    }
    *length = total;
    return bytes;
}

START_TEST(a_line_beyond_the_limit_is_told_once_and_skipped)
{
    size_t length;
    char *bytes = long_lines(&length);
    int fd = file_of(bytes, length);
    const struct source_input input = of_file(fd);
    struct reading reading = read_from(&input, 0, LINES_MAX);
    ck_assert_uint_eq(reading.count, 15);
    ck_assert_ptr_nonnull(strstr(reading.text, "too long\n2:ii\ntoo long\n3:kkk\n"));
    ck_assert_ptr_nonnull(strstr(reading.text, "1048576:ffff"));
    ck_assert_uint_eq(reading.ends[14], length);
    free(reading.text);
    free(bytes);
    close(fd);
}
END_TEST

/* After any record, whoever begins at its end reads what the first would have read. */
START_TEST(reading_goes_on_at_the_end_of_any_record)
{
    size_t length;
    char *bytes = long_lines(&length);
    int fd = file_of(bytes, length);
    const struct source_input input = of_file(fd);
    struct reading whole = read_from(&input, 0, LINES_MAX);
    for (unsigned taken = 1; taken <= whole.count; taken++) {
        struct reading first = read_from(&input, 0, taken);
        struct reading rest = read_from(&input, first.ends[taken - 1], LINES_MAX);
        ck_assert_uint_eq(first.count + rest.count, whole.count);
        ck_assert_int_eq(strncmp(whole.text, first.text, first.length), 0);
        ck_assert_str_eq(whole.text + first.length, rest.text);
        free(first.text);
        free(rest.text);
    }
    free(whole.text);
    free(bytes);
    close(fd);
}
END_TEST

/* ---- streams ---- */

/* A child writes `bytes` to `fd` in pieces. */
static void feed(int fd, const char *bytes, size_t length)
{
    if (fork() != 0)
        return;
    for (size_t at = 0; at < length;) {
        size_t piece = length - at < 70000 ? length - at : 70000;
        ssize_t put = write(fd, bytes + at, piece);
        if (put <= 0)
            _exit(1);
        at += (size_t)put;
    }
    _exit(0);
}

static void check_stream(int in, int out, const int relay[2])
{
    size_t length;
    char *bytes = long_lines(&length);
    int fd = file_of(bytes, length), spool = memfd_create("spool", MFD_CLOEXEC);
    const struct source_input file = of_file(fd);
    const struct source_input stream = {.fd = in, .spool = spool, .relay = {relay[0], relay[1]}};
    struct reading whole, reading = {.text = NULL};
    uint64_t offset = 0;
    feed(out, bytes, length);
    close(out);
    whole = read_from(&file, 0, LINES_MAX);
    reading.text = calloc(1, 1);
    /* A successor after every second record. */
    for (;;) {
        struct reading part = read_from(&stream, offset, 2);
        if (part.count == 0) {
            free(part.text);
            break;
        }
        reading.text = realloc(reading.text, reading.length + part.length + 1);
        strcpy(reading.text + reading.length, part.text);
        reading.length += part.length;
        offset = part.ends[part.count - 1];
        free(part.text);
    }
    ck_assert_str_eq(reading.text, whole.text);
    free(reading.text);
    free(whole.text);
    free(bytes);
    close(fd);
    close(spool);
    close(in);
}

START_TEST(a_pipe_gives_the_same_records_whoever_reads_on)
{
    static const int none[2] = {-1, -1};
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    check_stream(ends[0], ends[1], none);
}
END_TEST

START_TEST(a_socket_gives_the_same_records_through_the_relay)
{
    int ends[2], relay[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(pipe2(relay, O_CLOEXEC), 0);
    check_stream(ends[0], ends[1], relay);
    close(relay[0]);
    close(relay[1]);
}
END_TEST

START_TEST(a_spool_keeps_no_more_than_it_must)
{
    static char block[1 << 16];
    int ends[2], spool = memfd_create("spool", MFD_CLOEXEC);
    const int total = 64 << 20;
    struct source_input input;
    struct reading reading;
    struct stat status;
    memset(block, 'x', sizeof(block));
    for (size_t i = 99; i < sizeof(block); i += 100)
        block[i] = '\n';
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    if (fork() == 0) {
        for (int i = 0; i < total / (int)sizeof(block); i++)
            if (write(ends[1], block, sizeof(block)) < 0)
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    input = (struct source_input){.fd = ends[0], .spool = spool, .relay = {-1, -1}};
    reading = read_from(&input, 0, 1);
    free(reading.text);
    /* All the rest in one go, noting nothing. */
    {
        struct source *source;
        struct lines *lines;
        struct line line;
        int kind;
        ck_assert_int_eq(source_open(&source, io, &input, reading.ends[0]), 0);
        ck_assert_int_eq(lines_open(&lines, source, 0, reading.ends[0], LIMIT), 0);
        while ((kind = lines_next(lines, &line)) != LINES_END)
            if (kind == LINES_RECORD)
                source_release(source, line.end - 1);
        lines_close(lines);
        source_close(source);
    }
    ck_assert_int_eq(fstat(spool, &status), 0);
    ck_assert_int_eq(status.st_size, total);
    ck_assert_int_lt(status.st_blocks * 512, 4 << 20);
    close(spool);
    close(ends[0]);
}
END_TEST

START_TEST(an_input_that_cannot_be_read_is_an_error)
{
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    const struct source_input input = of_file(fd);
    struct source *source;
    const char *bytes;
    size_t count;
    ck_assert_int_eq(source_open(&source, io, &input, 0), 0);
    ck_assert_int_eq(source_next(source, &bytes, &count), -EISDIR);
    source_close(source);
    close(fd);
}
END_TEST

static void plain_io(void)
{
    setenv("MILLRACE_IO", "plain", 1);
    open_io();
    ck_assert(!io_uses_ring(io));
}

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *ring = tcase_create("io_uring"), *plain = tcase_create("plain calls");
    TCase *all[] = {ring, plain};
    SRunner *runner;
    int failed;
    tcase_add_checked_fixture(ring, open_io, close_io);
    tcase_add_checked_fixture(plain, plain_io, close_io);
    for (unsigned i = 0; i < 2; i++) {
        tcase_set_timeout(all[i], 30);
        tcase_add_test(all[i], a_record_ends_with_a_newline_or_with_the_input);
        tcase_add_test(all[i], carriage_returns_and_a_byte_order_mark_are_dropped);
        tcase_add_test(all[i], a_line_beyond_the_limit_is_told_once_and_skipped);
        tcase_add_test(all[i], reading_goes_on_at_the_end_of_any_record);
        tcase_add_test(all[i], a_pipe_gives_the_same_records_whoever_reads_on);
        tcase_add_test(all[i], a_socket_gives_the_same_records_through_the_relay);
        tcase_add_test(all[i], a_spool_keeps_no_more_than_it_must);
        tcase_add_test(all[i], an_input_that_cannot_be_read_is_an_error);
        suite_add_tcase(suite, all[i]);
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
