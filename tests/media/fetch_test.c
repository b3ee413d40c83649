/*
 * Tests of runtime/media/fetch.h: data: URLs, files, and what is neither
 */
#include "runtime/media/fetch.h"
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 1000 };

static char folder[64]; /* of this case, and its working directory */
static struct media_error failure;

static void enter_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%.40s/fetch_XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static int fetch_up_to(const char *url, size_t length, size_t limit, struct media_bytes *bytes)
{
    int status;
    failure.sentence[0] = '\0';
    status = media_fetch(url, length, limit, bytes, &failure);
    ck_assert_int_eq(status < 0, failure.sentence[0] != '\0');
    ck_assert_int_eq(status < 0, bytes->bytes == NULL);
    return status;
}

static void expect(const char *url, const char *content)
{
    struct media_bytes bytes;
    int status = fetch_up_to(url, strlen(url), LIMIT, &bytes);
    ck_assert_msg(status == 0, "'%s': %s", url, failure.sentence);
    ck_assert_uint_eq(bytes.length, strlen(content));
    ck_assert_mem_eq(bytes.bytes, content, bytes.length);
    free(bytes.bytes);
}

static void expect_failure(const char *url, int status, const char *part)
{
    struct media_bytes bytes;
    ck_assert_int_eq(fetch_up_to(url, strlen(url), LIMIT, &bytes), status);
    ck_assert_msg(strstr(failure.sentence, part) != NULL, "'%s': %s", url, failure.sentence);
}

START_TEST(data_urls_hold_their_content)
{
    expect("data:image/png;base64,Zm9v", "foo");
    expect("data:;base64,Zg==", "f");
    expect("DATA:image/png;x=1;BASE64,Zm9v", "foo");
    expect("data:;base64,", "");
    expect("data:,", "");
    expect("data:,a%20b,c", "a b,c");
    expect("data:text/plain;charset=utf-8,%41%4a%4A", "AJJ");
    expect("data:;base64,Zg%3D%3d", "f");
    expect("data:base64,Zm9v", "Zm9v"); /* a type, and not the mark */
}
END_TEST

START_TEST(broken_data_urls_are_refused)
{
    expect_failure("data:", -EINVAL, "no ','");
    expect_failure("data:image/png;base64", -EINVAL, "no ','");
    expect_failure("data:;base64,Zg", -EINVAL, "base64");
    expect_failure("data:;base64,Zm 9v", -EINVAL, "base64");
    expect_failure("data:,%", -EINVAL, "hex digits");
    expect_failure("data:,%4", -EINVAL, "hex digits");
    expect_failure("data:,%4g", -EINVAL, "hex digits");
    expect_failure("data:,%g4", -EINVAL, "hex digits");
}
END_TEST

START_TEST(the_limit_of_data_urls_is_exact)
{
    static const char *const urls[] = {"data:;base64,Zm9vYg==", "data:,%66%6f%6f%62",
                                       "data:;base64,%5a%6d%39%76%59%67%3d%3d"};
    for (size_t i = 0; i < 3; i++) {
        struct media_bytes bytes;
        ck_assert_int_eq(fetch_up_to(urls[i], strlen(urls[i]), 4, &bytes), 0);
        free(bytes.bytes);
        ck_assert_int_eq(fetch_up_to(urls[i], strlen(urls[i]), 3, &bytes), -EFBIG);
        ck_assert_int_eq(fetch_up_to(urls[i], strlen(urls[i]), 0, &bytes), -EFBIG);
    }
}
END_TEST

START_TEST(files_are_read_by_path_and_by_url)
{
    char path[PATH_MAX], url[PATH_MAX + 32];
    write_file("a b%20c", "content");
    write_file("x:y", "colon");
    write_file("empty", "");
    expect("a b%20c", "content");
    expect("./a b%20c", "content");
    expect("x:y", "colon");
    expect("empty", "");
    snprintf(path, sizeof(path), "%s/a b%%20c", folder);
    expect(path, "content");
    snprintf(url, sizeof(url), "file://%s/a%%20b%%2520c", folder);
    expect(url, "content");
    snprintf(url, sizeof(url), "FILE://LocalHost%s/a b%%2520c", folder);
    expect(url, "content");
    snprintf(url, sizeof(url), "file:%s/a b%%2520c", folder);
    expect(url, "content");
}
END_TEST

START_TEST(file_urls_of_another_machine_or_without_an_absolute_path_are_refused)
{
    expect_failure("file:", -EINVAL, "file:///PATH");
    expect_failure("file:name", -EINVAL, "file:///PATH");
    expect_failure("file://", -EINVAL, "file:///PATH");
    expect_failure("file://name", -EINVAL, "file:///PATH");
    expect_failure("file://other/name", -EINVAL, "file:///PATH");
    expect_failure("file:////name", -EINVAL, "file:///PATH");
    expect_failure("file:///%zz", -EINVAL, "hex digits");
    expect_failure("file:///a%00b", -EINVAL, "NUL");
}
END_TEST

START_TEST(the_limit_of_files_is_exact)
{
    struct media_bytes bytes;
    write_file("four", "four");
    ck_assert_int_eq(fetch_up_to("four", 4, 4, &bytes), 0);
    free(bytes.bytes);
    ck_assert_int_eq(fetch_up_to("four", 4, 3, &bytes), -EFBIG);
    ck_assert_str_eq(failure.sentence, "'four' has 4 bytes; 3 are allowed");
}
END_TEST

/* Check ends a case that waits too long. */
START_TEST(what_is_no_regular_file_is_refused_at_once)
{
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    ck_assert_int_eq(mkdir("directory", 0700), 0);
    ck_assert_int_eq(symlink("fifo", "link"), 0);
    expect_failure("fifo", -ENOTSUP, "not a regular file");
    expect_failure("link", -ENOTSUP, "not a regular file");
    expect_failure("directory", -ENOTSUP, "not a regular file");
    expect_failure("/dev/zero", -ENOTSUP, "not a regular file");
}
END_TEST

START_TEST(what_is_not_there_is_named)
{
    expect_failure("no/such/file", -ENOENT, "cannot open 'no/such/file': No such file");
    expect_failure("", -EINVAL, "it is empty");
}
END_TEST

START_TEST(the_network_is_refused_with_the_remedy)
{
    expect_failure("https://host/x.png", -ENOTSUP, "('https://...'); give the content itself");
    expect_failure("HTTP://host/x.png", -ENOTSUP, "data: URL");
    expect_failure("s3://bucket/x.png", -ENOTSUP, "data: URL");
}
END_TEST

START_TEST(paths_of_any_length_and_bytes_are_told_whole)
{
    char path[2 * PATH_MAX];
    struct media_bytes bytes;
    memset(path, 'x', sizeof(path));
    ck_assert_int_eq(fetch_up_to(path, sizeof(path), LIMIT, &bytes), -ENAMETOOLONG);
    ck_assert_int_eq(fetch_up_to(path, PATH_MAX, LIMIT, &bytes), -ENAMETOOLONG);
    ck_assert_int_eq(fetch_up_to("a\0b", 3, LIMIT, &bytes), -EINVAL);
    expect_failure("a\nb\x7F", -ENOENT, "'a?b?'");
    path[0] = 'x';
    for (size_t i = 1; i + 1 < 201; i += 2)
        memcpy(path + i, "\xC3\xA9", 2); /* the 120th byte begins a character */
    ck_assert_int_eq(fetch_up_to(path, 201, LIMIT, &bytes), -ENOENT);
    ck_assert_ptr_nonnull(strstr(failure.sentence, "\xC3\xA9': "));
}
END_TEST

START_TEST(a_sentence_is_cut_between_characters)
{
    char text[2 * MEDIA_SENTENCE_MAX];
    for (size_t shift = 0; shift < 4; shift++) {
        struct media_error error;
        size_t length;
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof(text); i += 4)
            memcpy(text + i, "\xF0\x9F\x98\x80", 5);
        ck_assert_int_eq(media_fail(&error, -EINVAL, "%s", text), -EINVAL);
        length = strlen(error.sentence);
        ck_assert_uint_eq((length - shift) % 4, 0);
        ck_assert_uint_gt(length, MEDIA_SENTENCE_MAX - 6);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fetch");
    TCase *tests = tcase_create("fetch");
    SRunner *runner = srunner_create(suite);
    int failed;
    tcase_add_checked_fixture(tests, enter_folder, leave_folder);
    tcase_add_test(tests, data_urls_hold_their_content);
    tcase_add_test(tests, broken_data_urls_are_refused);
    tcase_add_test(tests, the_limit_of_data_urls_is_exact);
    tcase_add_test(tests, files_are_read_by_path_and_by_url);
    tcase_add_test(tests, file_urls_of_another_machine_or_without_an_absolute_path_are_refused);
    tcase_add_test(tests, the_limit_of_files_is_exact);
    tcase_add_test(tests, what_is_no_regular_file_is_refused_at_once);
    tcase_add_test(tests, what_is_not_there_is_named);
    tcase_add_test(tests, the_network_is_refused_with_the_remedy);
    tcase_add_test(tests, paths_of_any_length_and_bytes_are_told_whole);
    tcase_add_test(tests, a_sentence_is_cut_between_characters);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
