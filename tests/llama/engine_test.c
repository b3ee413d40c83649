/*
 * engine_test.c - the same bits whatever the batch, the chunks, the threads and the kernels
 */
#include "tests/llama/fixture.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 5, LENGTH = 75, VOCABULARY = 203 };

static const uint32_t TYPES[] = {GGUF_F32, GGUF_F16, GGUF_BF16, GGUF_Q8_0, GGUF_Q4_0, GGUF_Q4_1};
enum { TYPE_COUNT = sizeof(TYPES) / sizeof(TYPES[0]) };

static int64_t tokens[SEQUENCES][LENGTH];
static float *expected[SEQUENCES]; /* [LENGTH][VOCABULARY] */

static void make_tokens(void)
{
    uint64_t random = 5;

    for (int i = 0; i < SEQUENCES; i++)
        for (int j = 0; j < LENGTH; j++)
            tokens[i][j] = (int64_t)(next_random(&random) % VOCABULARY);
}

static void make_expected(const model_spec *spec)
{
    make_tokens();
    for (int i = 0; i < SEQUENCES; i++)
        expected[i] = reference_logits(spec, tokens[i], LENGTH);
}

static void free_expected(void)
{
    for (int i = 0; i < SEQUENCES; i++)
        free(expected[i]);
}

/* Rows of the last step that belong to sequence i, from position `from` on. */
static void check_rows(engine *e, size_t row, int i, uint32_t from, uint32_t count)
{
    for (uint32_t j = 0; j < count; j++)
        ck_assert_msg(memcmp(engine_logits(e, row + j), expected[i] + (from + j) * VOCABULARY,
                             VOCABULARY * sizeof(float)) == 0,
                      "sequence %d, position %u: other bits", i, from + j);
}

/* Advances all sequences to their end in steps of random composition, some of them thrown away in
 * the middle and begun anew; checks each logit that is asked for. */
static void run_randomly(engine *e, uint64_t seed)
{
    engine_sequence *open[SEQUENCES] = {0};
    uint64_t random = seed;
    int restarts = 3, finished = 0;

    while (finished < SEQUENCES) {
        engine_work work[SEQUENCES];
        int owner[SEQUENCES];
        uint32_t from[SEQUENCES];
        size_t count = 0, row = 0;

        for (int i = 0; i < SEQUENCES; i++) {
            uint64_t r = next_random(&random);
            if (!open[i])
                ck_assert_int_eq(engine_sequence_open(e, LENGTH, NULL, 0, &open[i]), 0);
            uint32_t done = engine_sequence_length(open[i]);
            if (done > 30 && restarts > 0 && r >> 40 & 1) {
                restarts--;
                engine_sequence_close(e, open[i]);
                open[i] = NULL;
                continue;
            }
            if (done == LENGTH || r & 1)
                continue;
            uint32_t chunk = 1 + (uint32_t)(r >> 8) % (r & 2 ? 1 : 20);
            chunk = chunk < LENGTH - done ? chunk : LENGTH - done;
            owner[count] = i;
            from[count] = done;
            work[count++] = (engine_work){.sequence = open[i],
                                          .tokens = tokens[i] + done,
                                          .count = chunk,
                                          .logits = (uint32_t)(r >> 32) % (chunk + 1)};
        }
        ck_assert_msg(engine_step(e, work, count) == 0, "%s", engine_error(e));
        for (size_t w = 0; w < count; w++) {
            check_rows(e, row, owner[w], from[w] + work[w].count - work[w].logits, work[w].logits);
            row += work[w].logits;
            finished += engine_sequence_length(work[w].sequence) == LENGTH;
        }
    }
    for (int i = 0; i < SEQUENCES; i++)
        engine_sequence_close(e, open[i]);
}

static void run_all_ways(const model_spec *spec, unsigned threads, const char *set)
{
    engine_options options = {
        .threads = threads, .max_sequences = SEQUENCES, .max_logits = 100, .kernels = set};

    if (!kernels_select(set))
        return;
    engine *e = spec_open(spec, &options);
    for (uint64_t seed = 1; seed <= 3; seed++)
        run_randomly(e, seed);
    engine_close(e);
}

START_TEST(logits_are_the_same_bits_in_every_company)
{
    model_spec spec = small_model(TYPES[_i]);

    make_expected(&spec);
    run_all_ways(&spec, 1, "portable");
    run_all_ways(&spec, 1, "avx2");
    run_all_ways(&spec, 1, "avx512");
    run_all_ways(&spec, 2, NULL);
    run_all_ways(&spec, 3, NULL);
    free_expected();
}
END_TEST

START_TEST(tied_models_and_single_heads_do_so_too)
{
    model_spec spec = small_model(GGUF_Q8_0);

    spec.untied = false;
    spec.heads = spec.key_heads = 3;
    spec.head_size = 32;
    spec.rope_size = 32;
    spec.frequencies = true;
    make_expected(&spec);
    run_all_ways(&spec, 2, NULL);
    free_expected();
}
END_TEST

START_TEST(a_shared_beginning_gives_the_same_bits)
{
    model_spec spec = small_model(GGUF_Q4_1);
    engine *e = spec_open(&spec, &(engine_options){.max_sequences = 3, .max_logits = LENGTH});
    engine_sequence *first, *second;

    make_expected(&spec);
    ck_assert_int_eq(engine_sequence_open(e, LENGTH, NULL, 0, &first), 0);
    engine_work work = {.sequence = first, .tokens = tokens[0], .count = 50};
    ck_assert_int_eq(engine_step(e, &work, 1), 0);
    ck_assert_int_eq(engine_sequence_open(e, LENGTH, first, 49, &second), 0);
    ck_assert_uint_eq(engine_sequence_length(second), 48);
    engine_sequence_close(e, first);
    work = (engine_work){second, tokens[0] + 48, LENGTH - 48, LENGTH - 48};
    ck_assert_int_eq(engine_step(e, &work, 1), 0);
    check_rows(e, 0, 0, 48, LENGTH - 48);
    engine_close(e);
    free_expected();
}
END_TEST

/* ---- limits ---- */

START_TEST(a_sequence_waits_for_room_in_the_cache)
{
    model_spec spec = small_model(GGUF_F32);
    engine *e = spec_open(&spec, &(engine_options){.kv_pages = 5, .max_sequences = 4});
    engine_sequence *a, *b;

    ck_assert_uint_eq(engine_describe(e)->kv_pages, 5);
    ck_assert_int_eq(engine_sequence_open(e, 5 * LANES + 1, NULL, 0, &a), -E2BIG);
    ck_assert_int_eq(engine_sequence_open(e, 3 * LANES, NULL, 0, &a), 0);
    ck_assert_int_eq(engine_sequence_open(e, 3 * LANES, NULL, 0, &b), -EAGAIN);
    engine_sequence_close(e, a);
    ck_assert_int_eq(engine_sequence_open(e, 3 * LANES, NULL, 0, &b), 0);
    engine_close(e);
}
END_TEST

static void impossible(engine *e, engine_work work, const char *word)
{
    ck_assert_int_eq(engine_step(e, &work, 1), -EINVAL);
    ck_assert_msg(strstr(engine_error(e), word) != NULL, "'%s' says nothing of %s", engine_error(e),
                  word);
    ck_assert_uint_eq(engine_sequence_length(work.sequence), 0);
}

START_TEST(an_impossible_step_is_refused_and_changes_nothing)
{
    model_spec spec = small_model(GGUF_F32);
    engine *e = spec_open(&spec, &(engine_options){.max_positions = 32, .max_logits = 4});
    engine_sequence *s;
    int64_t bad[3] = {1, -999, VOCABULARY};

    make_tokens();
    ck_assert_int_eq(engine_sequence_open(e, 40, NULL, 0, &s), 0);
    impossible(e, (engine_work){s, tokens[0], 0, 0}, "at least 1");
    impossible(e, (engine_work){s, tokens[0], 2, 3}, "3 logits");
    impossible(e, (engine_work){s, tokens[0], 41, 1}, "room for 40");
    impossible(e, (engine_work){s, tokens[0], 33, 1}, "at most 32");
    impossible(e, (engine_work){s, tokens[0], 5, 5}, "at most 4");
    impossible(e, (engine_work){s, bad, 2, 1}, "token -999");
    impossible(e, (engine_work){s, bad + 2, 1, 1}, "token 203");
    engine_work twice[2] = {{s, tokens[0], 1, 1}, {s, tokens[0], 1, 1}};
    ck_assert_int_eq(engine_step(e, twice, 2), -EINVAL);
    ck_assert_ptr_nonnull(strstr(engine_error(e), "earlier part"));
    ck_assert_int_eq(engine_step(e, twice, 1), 0);
    ck_assert_int_eq(engine_step(e, NULL, 0), 0);
    engine_close(e);
}
END_TEST

/* A sequence that went wrong must not reach others through pages that it leaves behind. */
START_TEST(a_model_of_no_numbers_spoils_nothing_else)
{
    model_spec spec = small_model(GGUF_F32);
    engine *e;
    engine_sequence *s;

    spec.not_numbers = true;
    make_tokens();
    e = spec_open(&spec, &(engine_options){0});
    ck_assert_int_eq(engine_sequence_open(e, LENGTH, NULL, 0, &s), 0);
    engine_work work = {s, tokens[0], LENGTH, 1};
    ck_assert_int_eq(engine_step(e, &work, 1), 0);
    for (int i = 0; i < VOCABULARY; i++)
        ck_assert(isnan(engine_logits(e, 0)[i]));
    engine_close(e);
}
END_TEST

/* ---- what it says of itself ---- */

static void count_call(void *calls)
{
    ++*(int *)calls;
}

START_TEST(progress_is_told_once_a_layer)
{
    model_spec spec = small_model(GGUF_Q8_0);
    int calls = 0;
    engine *e =
        spec_open(&spec, &(engine_options){.progress = count_call, .progress_argument = &calls});
    engine_sequence *s;

    make_tokens();
    ck_assert_int_eq(engine_sequence_open(e, 2, NULL, 0, &s), 0);
    engine_work work = {s, tokens[0], 2, 1};
    ck_assert_int_eq(engine_step(e, &work, 1), 0);
    ck_assert_int_eq(calls, 2);
    engine_close(e);
}
END_TEST

START_TEST(equal_models_have_equal_fingerprints)
{
    model_spec spec = small_model(GGUF_Q8_0), other = small_model(GGUF_Q4_0);
    char a[ENGINE_FINGERPRINT], b[ENGINE_FINGERPRINT], c[ENGINE_FINGERPRINT];
    engine *first = spec_open(&spec, &(engine_options){.kernels = "portable"});
    engine *second = spec_open(&spec, &(engine_options){.threads = 2});
    engine *third = spec_open(&other, &(engine_options){0});

    engine_fingerprint(first, a);
    engine_fingerprint(second, b);
    engine_fingerprint(third, c);
    ck_assert_str_eq(a, b);
    ck_assert_str_ne(a, c);
    engine_close(first);
    engine_close(second);
    engine_close(third);
}
END_TEST

START_TEST(defaults_are_bounded)
{
    model_spec spec = small_model(GGUF_F32);

    spec.context = 1 << 20;
    engine *e = spec_open(&spec, &(engine_options){.max_length = 5000, .max_sequences = 1000});
    const engine_facts *facts = engine_describe(e);
    ck_assert_uint_eq(facts->max_length, 5000);
    ck_assert_uint_eq(facts->context_length, 1 << 20);
    ck_assert_uint_le(facts->kv_bytes, (uint64_t)1 << 30);
    ck_assert_uint_ge(facts->kv_pages, (5000 + LANES - 1) / LANES);
    engine_close(e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, logits_are_the_same_bits_in_every_company, 0, TYPE_COUNT);
    tcase_add_test(tests, tied_models_and_single_heads_do_so_too);
    tcase_add_test(tests, a_shared_beginning_gives_the_same_bits);
    tcase_add_test(tests, a_sequence_waits_for_room_in_the_cache);
    tcase_add_test(tests, an_impossible_step_is_refused_and_changes_nothing);
    tcase_add_test(tests, a_model_of_no_numbers_spoils_nothing_else);
    tcase_add_test(tests, progress_is_told_once_a_layer);
    tcase_add_test(tests, equal_models_have_equal_fingerprints);
    tcase_add_test(tests, defaults_are_bounded);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
