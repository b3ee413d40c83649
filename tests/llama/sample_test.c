/*
 * sample_test.c - the sampler against the vectors of docs/sampling.md, and what must hold besides
 */
#include "tests/llama/fixture.h"
#include "workers/llama/philox.h"
#include "workers/llama/sample.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 49152, LIST = 64 };

/* ---- Philox ---- */

/* Of Random123's kat_vectors (D. E. Shaw Research, philox4x32 10). */
START_TEST(philox_gives_the_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint32_t counter[4];
        memcpy(counter, known[i].counter, sizeof(counter));
        philox(counter, known[i].key[0], known[i].key[1]);
        ck_assert_mem_eq(counter, known[i].expected, sizeof(counter));
    }
}
END_TEST

START_TEST(a_draw_depends_on_seed_choice_and_index)
{
    uint64_t draw = philox_draw(1, 0, 0);

    ck_assert_uint_ne(draw, philox_draw(2, 0, 0));
    ck_assert_uint_ne(draw, philox_draw(1 + ((uint64_t)1 << 32), 0, 0));
    ck_assert_uint_ne(draw, philox_draw(1, 1, 0));
    ck_assert_uint_ne(draw, philox_draw(1, 0, 1));
    ck_assert_uint_ne(draw, philox_draw(1, 0, (uint64_t)1 << 32));
}
END_TEST

/* ---- the vectors ---- */

typedef struct {
    char name[64];
    float logits[MOST];
    size_t vocabulary;
    mr_sampling sampling;
    mr_logit_bias bias[LIST];
    int64_t tokens[LIST], ending[LIST];
    mr_top_logprob top[LIST];
    size_t bias_count, token_count, prompt_count, ending_count, top_count;
} sample_case;

static const mr_sampling NEUTRAL = {.top_k = -1,
                                    .top_p = 1,
                                    .temperature = 1,
                                    .repetition_penalty = 1,
                                    .max_new_tokens = -1,
                                    .choices = 1};

/* Decimal and hexadecimal integers and floats alike. */
static size_t read_ids(char *words, int64_t *ids)
{
    size_t count = 0;

    for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n"))
        ids[count++] = strtoll(word, NULL, 10);
    return count;
}

static void read_logits(sample_case *c, char *words)
{
    for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n"))
        c->logits[c->vocabulary++] = strtof(word, NULL);
}

static void make_logits(sample_case *c, char *words)
{
    uint64_t seed = strtoull(words, &words, 10);

    c->vocabulary = strtoull(words, NULL, 10);
    for (size_t i = 0; i < c->vocabulary; i++)
        c->logits[i] = (float)((int)(philox_draw(seed, 0, i) & 0xffff) - 32768) / 4096;
}

static bool read_number(sample_case *c, const char *key, const char *value)
{
    const struct {
        const char *key;
        double *to;
    } numbers[] = {
        {"temperature", &c->sampling.temperature},
        {"top_p", &c->sampling.top_p},
        {"min_p", &c->sampling.min_p},
        {"frequency_penalty", &c->sampling.frequency_penalty},
        {"presence_penalty", &c->sampling.presence_penalty},
        {"repetition_penalty", &c->sampling.repetition_penalty},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(numbers[i].key, key) == 0) {
            *numbers[i].to = strtod(value, NULL);
            return true;
        }
    return false;
}

static bool read_integer(sample_case *c, const char *key, const char *value)
{
    if (strcmp(key, "top_k") == 0)
        c->sampling.top_k = strtoll(value, NULL, 10);
    else if (strcmp(key, "min_new_tokens") == 0)
        c->sampling.min_new_tokens = strtoll(value, NULL, 10);
    else if (strcmp(key, "seed") == 0)
        c->sampling.seed = strtoull(value, NULL, 10);
    else if (strcmp(key, "choice") == 0)
        c->sampling.choice = (uint32_t)strtoul(value, NULL, 10);
    else
        return false;
    return true;
}

static bool read_list(sample_case *c, const char *key, char *value)
{
    if (strcmp(key, "logits") == 0)
        read_logits(c, value);
    else if (strcmp(key, "philox") == 0)
        make_logits(c, value);
    else if (strcmp(key, "prompt") == 0)
        c->token_count = c->prompt_count = read_ids(value, c->tokens);
    else if (strcmp(key, "generated") == 0)
        c->token_count += read_ids(value, c->tokens + c->token_count);
    else if (strcmp(key, "ending") == 0)
        c->ending_count = read_ids(value, c->ending);
    else
        return false;
    return true;
}

static bool read_pair(sample_case *c, const char *key, char *value)
{
    long long token = strtoll(value, &value, 10);

    if (strcmp(key, "bias") == 0)
        c->bias[c->bias_count++] = (mr_logit_bias){(int32_t)token, strtof(value, NULL)};
    else if (strcmp(key, "logprob") == 0)
        c->top[c->top_count++] = (mr_top_logprob){token, strtod(value, NULL)};
    else
        return false;
    return true;
}

static sample_request request_of(const sample_case *c)
{
    return (sample_request){.sampling = &c->sampling,
                            .bias = c->bias,
                            .bias_count = c->bias_count,
                            .tokens = c->tokens,
                            .token_count = c->token_count,
                            .prompt_count = c->prompt_count,
                            .ending = c->ending,
                            .ending_count = c->ending_count};
}

static void check_case(const sample_case *c, const char *expected, const char *set)
{
    sampler *s = sampler_create((uint32_t)c->vocabulary, kernels_select(set));
    sample_request request = request_of(c);
    mr_top_logprob top[LIST];
    int64_t token = -1;
    int status = sampler_choose(s, c->logits, &request, &token);

    if (strcmp(expected, "none\n") == 0)
        ck_assert_msg(status == -EDOM, "%s: chose a token", c->name);
    else
        ck_assert_msg(status == 0 && token == strtoll(expected, NULL, 10), "%s: chose %lld, not %s",
                      c->name, (long long)token, expected);
    if (c->top_count)
        sampler_logprob(s, c->logits, 0, top, c->top_count);
    for (size_t i = 0; i < c->top_count; i++) {
        ck_assert_msg(top[i].token == c->top[i].token && top[i].logprob == c->top[i].logprob,
                      "%s: rank %zu is %lld with %a, not %lld with %a", c->name, i,
                      (long long)top[i].token, top[i].logprob, (long long)c->top[i].token,
                      c->top[i].logprob);
        ck_assert_double_eq(sampler_logprob(s, c->logits, top[i].token, NULL, 0), top[i].logprob);
    }
    sampler_destroy(s);
}

/* One line of the table: a key and what belongs to it. */
static void read_line(sample_case *c, char *line, const char *set, int *cases)
{
    char *value = strchr(line, ' ');

    ck_assert_ptr_nonnull(value);
    *value++ = '\0';
    if (strcmp(line, "case") == 0) {
        memset(c, 0, sizeof(*c));
        c->sampling = NEUTRAL;
        snprintf(c->name, sizeof(c->name), "%.*s", (int)strcspn(value, "\n"), value);
    } else if (strcmp(line, "chosen") == 0) {
        check_case(c, value, set);
        ++*cases;
    } else {
        ck_assert_msg(read_number(c, line, value) || read_integer(c, line, value) ||
                          read_list(c, line, value) || read_pair(c, line, value),
                      "unknown key %s", line);
    }
}

static const char *const SETS[] = {"portable", "avx2", "avx512"};

START_TEST(tokens_and_logprobs_are_those_of_the_vectors)
{
    static sample_case c;
    char path[512], *line = NULL;
    size_t room = 0;
    int cases = 0;

    if (!kernels_select(SETS[_i]))
        return;
    snprintf(path, sizeof(path), "%s/llama/sampling.txt", getenv("MILLRACE_TEST_DATA"));
    FILE *table = fopen(path, "r");
    ck_assert_msg(table != NULL, "no %s", path);
    while (getline(&line, &room, table) > 0)
        if (line[0] != '#')
            read_line(&c, line, SETS[_i], &cases);
    free(line);
    fclose(table);
    ck_assert_int_ge(cases, 80);
}
END_TEST

/* ---- what must hold besides ---- */

/* Draws with all indices; counts what comes. */
static void draw_many(const mr_sampling *sampling, const float *logits, uint32_t vocabulary,
                      int draws, int *counts)
{
    sampler *s = sampler_create(vocabulary, kernels_select(NULL));
    int64_t *tokens = calloc((size_t)draws, sizeof(*tokens));

    for (int i = 0; i < draws; i++) {
        sample_request r = {.sampling = sampling, .tokens = tokens, .token_count = (size_t)i};
        int64_t token;

        ck_assert_int_eq(sampler_choose(s, logits, &r, &token), 0);
        counts[token]++;
    }
    free(tokens);
    sampler_destroy(s);
}

START_TEST(tokens_come_as_often_as_they_are_probable)
{
    enum { DRAWS = 40000 };
    const float logits[] = {0, 1, 2, 3, -1};
    double sum = 0;
    int counts[5] = {0};
    mr_sampling sampling = NEUTRAL;

    sampling.temperature = 1.7;
    for (int i = 0; i < 5; i++)
        sum += exp(logits[i] / 1.7);
    draw_many(&sampling, logits, 5, DRAWS, counts);
    for (int i = 0; i < 5; i++) {
        double p = exp(logits[i] / 1.7) / sum;
        /* five standard deviations */
        ck_assert_double_eq_tol((double)counts[i] / DRAWS, p, 5 * sqrt(p * (1 - p) / DRAWS));
    }
}
END_TEST

START_TEST(top_p_keeps_only_the_nucleus)
{
    const float logits[] = {0, 1, 2, 3, -1}; /* of 3: 0.64, 2: 0.23, 1: 0.09 */
    int counts[5] = {0};
    mr_sampling sampling = NEUTRAL;

    sampling.top_p = 0.8;
    draw_many(&sampling, logits, 5, 2000, counts);
    ck_assert_int_gt(counts[3], 1300);
    ck_assert_int_eq(counts[2] + counts[3], 2000);
}
END_TEST

START_TEST(mad_parameters_still_choose_a_token)
{
    const double mad[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e300, 1e-300};
    const size_t count = sizeof(mad) / sizeof(mad[0]);
    const float logits[] = {0, 1, 2, -3};
    const int64_t tokens[] = {1, 2, 900, -999, 1};
    sampler *s = sampler_create(4, kernels_select(NULL));

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < 6; j++) {
            mr_sampling sampling = NEUTRAL;
            double *fields[] = {&sampling.temperature,
                                &sampling.top_p,
                                &sampling.min_p,
                                &sampling.frequency_penalty,
                                &sampling.repetition_penalty,
                                &sampling.presence_penalty};
            sample_request r = {
                .sampling = &sampling, .tokens = tokens, .token_count = 5, .prompt_count = 1};
            int64_t token = -1;

            *fields[j] = mad[i];
            ck_assert_int_eq(sampler_choose(s, logits, &r, &token), 0);
            ck_assert(token >= 0 && token < 4);
        }
    sampler_destroy(s);
}
END_TEST

START_TEST(nothing_is_remembered_between_calls)
{
    const float logits[] = {1, 2, 3, 4};
    const int64_t tokens[] = {3, 3, 2};
    mr_sampling penal = NEUTRAL, plain = NEUTRAL;
    sample_request with = {.sampling = &penal, .tokens = tokens, .token_count = 3};
    sample_request without = {.sampling = &plain, .tokens = tokens, .token_count = 3};
    sampler *s = sampler_create(4, kernels_select(NULL));
    int64_t token;

    plain.temperature = penal.temperature = 0;
    penal.repetition_penalty = 9;
    penal.presence_penalty = 5;
    ck_assert_int_eq(sampler_choose(s, logits, &with, &token), 0);
    ck_assert_int_eq(token, 1);
    ck_assert_int_eq(sampler_choose(s, logits, &without, &token), 0);
    ck_assert_int_eq(token, 3);
    sampler_destroy(s);
}
END_TEST

START_TEST(logprobs_add_up_to_one)
{
    enum { COUNT = 5000 };
    static float logits[COUNT];
    sampler *s = sampler_create(COUNT, kernels_select(NULL));
    uint64_t random = 4;
    double sum = 0;

    for (int i = 0; i < COUNT; i++)
        logits[i] = (float)(int32_t)next_random(&random) * 0x1p-29f;
    for (int i = 0; i < COUNT; i++)
        sum += exp(sampler_logprob(s, logits, i, NULL, 0));
    ck_assert_double_eq_tol(sum, 1, 1e-6);
    ck_assert_double_eq(sampler_logprob(s, logits, COUNT, NULL, 0), SAMPLER_LEAST_LOGPROB);
    sampler_destroy(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tests = tcase_create("sample");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, philox_gives_the_known_answers);
    tcase_add_test(tests, a_draw_depends_on_seed_choice_and_index);
    tcase_add_loop_test(tests, tokens_and_logprobs_are_those_of_the_vectors, 0, 3);
    tcase_add_test(tests, tokens_come_as_often_as_they_are_probable);
    tcase_add_test(tests, top_p_keeps_only_the_nucleus);
    tcase_add_test(tests, mad_parameters_still_choose_a_token);
    tcase_add_test(tests, nothing_is_remembered_between_calls);
    tcase_add_test(tests, logprobs_add_up_to_one);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
