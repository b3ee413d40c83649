/*
 * http_test.c - the responder of `millrace metrics`: good requests, bad ones, and slow callers
 */
#include "runtime/monitor/monitor.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE_BYTES = 3 << 20, ANSWER_MAX = 4 << 20 };

static pid_t server;
static uint16_t port;
static char *heard; /* the last answer */

static int page(void *self, FILE *file, char *why, size_t size)
{
    if (access(self, F_OK) == 0) { /* the "domain" is gone while this file is there */
        snprintf(why, size, "no domain");
        return -ENOENT;
    }
    for (int i = 0; i < PAGE_BYTES; i++)
        fputc('x', file);
    return 0;
}

static char missing[64];

/* The server says on stderr at which port it listens. */
static void setup(void)
{
    int said[2];
    char line[128];
    ssize_t got;
    snprintf(missing, sizeof(missing), "/tmp/millrace-http-test-%d", (int)getpid());
    ck_assert_int_eq(pipe(said), 0);
    server = fork();
    ck_assert_int_ge(server, 0);
    if (server == 0) {
        dup2(said[1], STDERR_FILENO);
        monitor_begin("http_test");
        _exit(http_serve("127.0.0.1:0", page, missing) == 0 ? 0 : 1);
    }
    close(said[1]);
    got = read(said[0], line, sizeof(line) - 1);
    ck_assert_int_gt(got, 0);
    line[got] = '\0';
    ck_assert_int_eq(sscanf(line, "millrace: http://127.0.0.1:%hu/metrics", &port), 1);
    close(said[0]);
    heard = malloc(ANSWER_MAX + 1);
    signal(SIGPIPE, SIG_IGN);
}

static void teardown(void)
{
    int status;
    ck_assert_int_eq(kill(server, SIGTERM), 0);
    ck_assert_int_eq(waitpid(server, &status, 0), server);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(heard);
    unlink(missing);
}

static int call(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* Reads to the end of the answer and hangs up. */
static const char *hear_from(int fd)
{
    size_t count = 0;
    ssize_t got;
    while ((got = recv(fd, heard + count, ANSWER_MAX - count, 0)) > 0)
        count += (size_t)got;
    heard[count] = '\0';
    close(fd);
    return heard;
}

static const char *ask_bytes(const char *request, size_t count)
{
    int fd = call();
    send(fd, request, count, MSG_NOSIGNAL); /* may be cut short by an answer that needs no more */
    return hear_from(fd);
}

static const char *ask(const char *request)
{
    return ask_bytes(request, strlen(request));
}

static void expect(const char *request, const char *status)
{
    const char *answer = ask(request);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0 &&
                      strncmp(answer + 9, status, strlen(status)) == 0,
                  "'%.60s' is answered by '%.80s'", request, answer);
    ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\n"));
}

START_TEST(the_page_is_given_whole)
{
    const char *body;
    expect("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n", "200 OK");
    ck_assert_ptr_nonnull(strstr(heard, "Content-Length: 3145728\r\n"));
    ck_assert_ptr_nonnull(strstr(heard, "version=0.0.4"));
    body = strstr(heard, "\r\n\r\n") + 4;
    ck_assert_uint_eq(strlen(body), PAGE_BYTES);
    expect("GET /metrics?x=1 HTTP/1.0\n\n", "200 OK");
}
END_TEST

START_TEST(head_is_answered_without_the_page)
{
    expect("HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK");
    ck_assert_ptr_nonnull(strstr(heard, "Content-Length: 3145728\r\n"));
    ck_assert_str_eq(strstr(heard, "\r\n\r\n"), "\r\n\r\n");
}
END_TEST

START_TEST(each_bad_request_has_its_answer)
{
    expect("GET / HTTP/1.1\r\n\r\n", "404");
    expect("GET /metricsx HTTP/1.1\r\n\r\n", "404");
    expect("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405");
    ck_assert_ptr_nonnull(strstr(heard, "Allow: GET, HEAD\r\n"));
    expect("GET /metrics HTTP/2.0\r\n\r\n", "505");
    expect("GET /metrics\r\n\r\n", "400");
    expect("get /metrics HTTP/1.1\r\n\r\n", "400");
    expect("GET /metrics HTTP/1.1 and more\r\n\r\n", "400");
    expect("\r\n\r\n", "400");
    expect("\x16\x03\x01\x02 tls?\r\n\r\n", "400");
    ck_assert_ptr_nonnull(strstr(ask_bytes("GET /\0 HTTP/1.1\r\n\r\n", 19), " 400 "));
}
END_TEST

START_TEST(a_request_without_end_is_cut_off)
{
    char *request = malloc(20001);
    memset(request, 'a', 20000);
    memcpy(request, "GET /metrics HTTP/1.1\r\nX: ", 26);
    request[20000] = '\0';
    expect(request, "431");
    free(request);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
    int fd = call();
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        ck_assert_int_eq(send(fd, request + i, 1, 0), 1);
        usleep(1000);
    }
    ck_assert_ptr_nonnull(strstr(hear_from(fd), "200 OK"));
}
END_TEST

START_TEST(a_domain_that_is_not_there_is_said_so)
{
    FILE *file = fopen(missing, "we");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    expect("GET /metrics HTTP/1.1\r\n\r\n", "503");
    ck_assert_ptr_nonnull(strstr(heard, "\r\n\r\nno domain\n"));
}
END_TEST

START_TEST(silent_callers_are_sent_away_and_keep_nobody_out)
{
    int silent[40];
    struct pollfd look;
    for (int i = 0; i < 40; i++) /* more than there are places */
        silent[i] = call();
    expect("GET /metrics HTTP/1.1\r\n\r\n", "200 OK"); /* once some of them have been sent away */
    look = (struct pollfd){.fd = silent[0], .events = POLLIN};
    ck_assert_int_eq(poll(&look, 1, 0), 1);
    ck_assert_ptr_nonnull(strstr(hear_from(silent[0]), "408"));
    for (int i = 1; i < 40; i++)
        close(silent[i]);
}
END_TEST

START_TEST(callers_that_hang_up_do_no_harm)
{
    for (int i = 0; i < 100; i++) {
        int fd = call();
        if (i % 2)
            send(fd, "GET /metrics HTTP/1.1\r\n\r\n", (size_t)(i % 26), MSG_NOSIGNAL);
        close(fd);
    }
    expect("GET /metrics HTTP/1.1\r\n\r\n", "200 OK");
}
END_TEST

START_TEST(addresses_that_make_no_sense_are_refused)
{
    static const char *const bad[] = {"",          "localhost",      "1.2.3.4:", ":x",
                                      ":99999",    "999.1.1.1:9464", ":123456",  "[::1]",
                                      "8.8.8.8:1", "a b:80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_lt(http_serve(bad[i], page, missing), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *tests = tcase_create("http");
    SRunner *runner;
    int failed;
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_page_is_given_whole);
    tcase_add_test(tests, head_is_answered_without_the_page);
    tcase_add_test(tests, each_bad_request_has_its_answer);
    tcase_add_test(tests, a_request_without_end_is_cut_off);
    tcase_add_test(tests, a_request_may_come_byte_by_byte);
    tcase_add_test(tests, a_domain_that_is_not_there_is_said_so);
    tcase_add_test(tests, silent_callers_are_sent_away_and_keep_nobody_out);
    tcase_add_test(tests, callers_that_hang_up_do_no_harm);
    tcase_add_test(tests, addresses_that_make_no_sense_are_refused);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
