/*
 * tables_test.c - the vocabulary's tables in a running group: one memory file for tokenizer and
 * collector and all of their successors, and for nobody else
 */
#include "tests/runtime/fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLES "memfd:millrace-tables"

static pid_t process_of(const struct run *run, const char *name, pid_t other)
{
    pid_t pid = 0;
    for (int i = 0; i < 6000 && ((pid = run_process(run, name)) == 0 || pid == other); i++)
        wait_ms(5);
    ck_assert_msg(pid > 0 && pid != other, "'%s' isn't there", name);
    return pid;
}

/* The inode of the tables that a process has mapped, 0: none; *rights as "r--s". */
static unsigned long mapped_by(pid_t pid, char rights[5])
{
    char path[40], line[512];
    unsigned long inode = 0;
    FILE *maps;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    while (maps != NULL && inode == 0 && fgets(line, sizeof(line), maps) != NULL)
        if (strstr(line, TABLES) != NULL)
            ck_assert_int_eq(sscanf(line, "%*s %4s %*s %*s %lu", rights, &inode), 2);
    if (maps != NULL)
        fclose(maps);
    return inode;
}

/* Once it has come so far. */
static unsigned long tables_of(pid_t pid)
{
    char rights[5] = "";
    unsigned long inode = 0;
    for (int i = 0; i < 6000 && (inode = mapped_by(pid, rights)) == 0; i++)
        wait_ms(5);
    ck_assert_uint_ne(inode, 0);
    ck_assert_str_eq(rights, "r--s");
    return inode;
}

/* How many descriptors of a process lead to tables. */
static unsigned descriptors_of(pid_t pid)
{
    char path[300], target[256];
    unsigned count = 0;
    struct dirent *entry;
    DIR *folder;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        ssize_t length;
        snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, entry->d_name);
        length = readlink(path, target, sizeof(target) - 1);
        target[length > 0 ? length : 0] = '\0';
        count += strstr(target, TABLES) != NULL;
    }
    closedir(folder);
    return count;
}

/* A run whose requests come through a pipe, of which the writing end is returned; the first is
 * answered. */
static int begin(struct run *run, const char *model)
{
    const char *const arguments[] = {"-n", "1", "-o", "out", "-m", model, NULL};
    int in[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    run_begin_fds(run, in[0], in[0], arguments);
    close(in[0]);
    dprintf(in[1], "%s", request("first", "one two", 3));
    run_wait_for_lines("out", 1);
    return in[1];
}

static void end(struct run *run, int in)
{
    close(in);
    run_end(run);
    ck_assert_msg(run->status == 0, "status %d: %s", run->status, run->err);
    run_free(run);
}

START_TEST(successors_work_in_the_tables_of_their_predecessors)
{
    static const char *const names[] = {"mr-tokenizer", "mr-collector"};
    struct run run;
    int in = begin(&run, path_of_model());
    unsigned long tables = tables_of(process_of(&run, names[0], 0));
    for (size_t i = 0; i < 2; i++) {
        char id[8];
        pid_t victim = process_of(&run, names[i], 0);
        ck_assert_uint_eq(tables_of(victim), tables);
        kill(victim, SIGKILL);
        ck_assert_uint_eq(tables_of(process_of(&run, names[i], victim)), tables);
        snprintf(id, sizeof(id), "r%zu", i);
        dprintf(in, "%s", request(id, "one two", 3));
        run_wait_for_lines("out", 2 + i);
    }
    end(&run, in);
}
END_TEST

static void copy_model(const char *path)
{
    size_t length;
    char *bytes = file_read(path_of_model(), &length);
    unlink(path);
    file_add_bytes(path, bytes, length);
    free(bytes);
}

START_TEST(successors_need_no_model_file)
{
    struct run run;
    json_t *answers;
    int in;
    copy_model("model.gguf");
    in = begin(&run, "model.gguf");
    unlink("model.gguf");
    kill(process_of(&run, "mr-tokenizer", 0), SIGKILL);
    kill(process_of(&run, "mr-collector", 0), SIGKILL);
    dprintf(in, "%s", request("second", "one two", 3));
    run_wait_for_lines("out", 2);
    end(&run, in);
    answers = answers_read("out");
    ck_assert_ptr_nonnull(answer_text(answers, "first"));
    ck_assert_str_eq(answer_text(answers, "second"), answer_text(answers, "first"));
    json_decref(answers);
}
END_TEST

START_TEST(nobody_else_gets_the_tables)
{
    char rights[5];
    struct run run;
    int in = begin(&run, path_of_model());
    pid_t worker = process_of(&run, "mr-worker-0", 0);
    ck_assert_uint_eq(descriptors_of(run.pid), 1);
    ck_assert_uint_eq(mapped_by(run.pid, rights), 0);
    ck_assert_uint_eq(descriptors_of(worker), 0);
    ck_assert_uint_eq(mapped_by(worker, rights), 0);
    /* They have closed theirs: the mapping is all that they need. */
    ck_assert_uint_eq(descriptors_of(process_of(&run, "mr-tokenizer", 0)), 0);
    ck_assert_uint_eq(descriptors_of(process_of(&run, "mr-collector", 0)), 0);
    end(&run, in);
}
END_TEST

/* ---- a run that is resumed makes them anew ---- */

static void resume(struct run *run, int status, const char *said)
{
    ck_assert_int_eq(run_whole(run, NULL, "--resume", own_name("tables")), status);
    ck_assert_msg(strstr(run->err, said) != NULL, "it didn't say '%s' but: %s", said, run->err);
    run_free(run);
}

/* One letter of the chat template is another. */
static void spoil(const char *path)
{
    size_t length;
    char *bytes = file_read(path, &length), *words = memmem(bytes, length, "You are a helpful", 17);
    ck_assert_ptr_nonnull(words);
    words[0] = 'y';
    unlink(path);
    file_add_bytes(path, bytes, length);
    free(bytes);
}

START_TEST(a_run_is_resumed_with_its_own_model_alone)
{
    struct run run;
    copy_model("model.gguf");
    write_requests("in", 300, 20);
    setenv("ECHO_STEP_US", "2000", 1);
    run_begin(&run, NULL, "-m", "model.gguf", "--name", own_name("tables"), "-o", "out", "in");
    run_wait_for_lines("out", 1);
    run_signal(&run, SIGINT);
    wait_ms(100); /* or the two would be one */
    run_signal(&run, SIGINT);
    run_end(&run);
    ck_assert_int_eq(run.status, 130);
    run_free(&run);
    spoil("model.gguf");
    resume(&run, 2, "is not the one that the run began with; put that one back");
    unlink("model.gguf");
    resume(&run, 2, "model.gguf");
    copy_model("model.gguf");
    resume(&run, 0, "");
    ck_assert_int_lt(access(own_file("tables", "data"), F_OK), 0);
}
END_TEST

static Suite *tables_suite(void)
{
    Suite *suite = suite_create("tables of a run");
    TCase *tables = tcase_create("tables");
    tcase_set_timeout(tables, 240);
    tcase_add_checked_fixture(tables, fixture_open, fixture_close);
    tcase_add_test(tables, successors_work_in_the_tables_of_their_predecessors);
    tcase_add_test(tables, successors_need_no_model_file);
    tcase_add_test(tables, nobody_else_gets_the_tables);
    tcase_add_test(tables, a_run_is_resumed_with_its_own_model_alone);
    suite_add_tcase(suite, tables);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(tables_suite());
    int failed;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
