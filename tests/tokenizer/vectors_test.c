/*
 * vectors_test.c - each line of vectors.bin gives the very tokens that Hugging Face's tokenizers
 * gave, with each pre-tokenizer; and so it does by tables that another process could have made
 *
 * make_vectors.py made the file and tells its format. MILLRACE_VECTORS names another file.
 */
#include "tests/tokenizer/vectors.h"

#include <check.h>
#include <stdlib.h>

enum { MAX_FAILURES = 20 };

static const char *const pre_tokenizers[VECTOR_LISTS] = {"default", "gpt-2", "smollm", "llama-bpe",
                                                         "qwen2"};

static void compare_all(fixture *made, size_t list)
{
    const char *other = getenv("MILLRACE_VECTORS");
    uint64_t lines;
    unsigned failures = 0;

    lines = vectors_open(other ? other : fixture_path("tokenizer/vectors.bin"));
    ck_assert_uint_ge(lines, 10000);
    for (uint64_t i = 0; i < lines && failures < MAX_FAILURES; i++) {
        vector line = vectors_read(VECTOR_LISTS);

        failures += !vector_agrees(made, &line, list, pre_tokenizers[list]);
        vector_free(&line);
    }
    ck_assert_uint_eq(failures, 0);
    vectors_close();
}

START_TEST(every_line_gives_the_reference_s_tokens)
{
    fixture made;

    fixture_open(&made, pre_tokenizers[_i]);
    compare_all(&made, (size_t)_i);
    fixture_close(&made);
}
END_TEST

START_TEST(every_line_gives_the_reference_s_tokens_by_mapped_tables)
{
    fixture made;

    fixture_open(&made, pre_tokenizers[_i]);
    fixture_map(&made);
    compare_all(&made, (size_t)_i);
    fixture_close(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer vectors");
    TCase *tests = tcase_create("vectors");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, every_line_gives_the_reference_s_tokens, 0, VECTOR_LISTS);
    tcase_add_loop_test(tests, every_line_gives_the_reference_s_tokens_by_mapped_tables, 0,
                        VECTOR_LISTS);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
