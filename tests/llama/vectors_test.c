/*
 * vectors_test.c - the engine against an independent implementation of the architecture
 *
 * The models and what they compute lie in vectors/, whose README.md tells the format and how they
 * were made. The bundled model is compared as it is and converted to each type of matrix.
 */
#include "tests/llama/convert.h"
#include "tests/llama/fixture.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTS = 5 }; /* a prompt is computed in so many chunks at most */

typedef struct {
    uint32_t type, encoding, vocabulary, prompts, greedy;
    uint64_t checksum;
} header;

typedef struct {
    uint32_t length;
    int64_t *tokens; /* the prompt, with room for the greedy text behind */
    double *values;  /* logits, or log-probabilities */
    uint32_t *text;
} prompt;

static const char *data_path(const char *folder, const char *name, const char *end)
{
    static char path[2][512];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s/%s%s", getenv("MILLRACE_TEST_DATA"), folder,
             name, end);
    return path[turn];
}

/* ---- reading ---- */

static void read_bytes(FILE *file, void *to, size_t size)
{
    ck_assert_uint_eq(fread(to, 1, size, file), size);
}

static header read_header(FILE *file)
{
    char magic[8];
    uint32_t version;
    header h;

    read_bytes(file, magic, sizeof(magic));
    ck_assert_mem_eq(magic, "MRLOGITS", sizeof(magic));
    read_bytes(file, &version, sizeof(version));
    ck_assert_uint_eq(version, 1);
    read_bytes(file, &h.type, sizeof(h.type));
    read_bytes(file, &h.encoding, sizeof(h.encoding));
    read_bytes(file, &h.vocabulary, sizeof(h.vocabulary));
    read_bytes(file, &h.prompts, sizeof(h.prompts));
    read_bytes(file, &h.greedy, sizeof(h.greedy));
    read_bytes(file, &h.checksum, sizeof(h.checksum));
    return h;
}

static void read_values(FILE *file, const header *h, prompt *p)
{
    for (uint32_t i = 0; i < h->vocabulary; i++) {
        float logit;
        uint16_t code;

        if (h->encoding == 0)
            read_bytes(file, &logit, sizeof(logit));
        else
            read_bytes(file, &code, sizeof(code));
        p->values[i] = h->encoding == 0 ? (double)logit : -code / 1024.0;
    }
}

static prompt read_prompt(FILE *file, const header *h)
{
    prompt p;
    uint32_t token;

    read_bytes(file, &p.length, sizeof(p.length));
    ck_assert_uint_lt(p.length, 65536);
    p.tokens = calloc(p.length + h->greedy + 1, sizeof(*p.tokens));
    p.values = calloc(h->vocabulary, sizeof(*p.values));
    p.text = calloc(h->greedy + 1, sizeof(*p.text));
    for (uint32_t i = 0; i < p.length; i++) {
        read_bytes(file, &token, sizeof(token));
        p.tokens[i] = token;
    }
    read_values(file, h, &p);
    read_bytes(file, p.text, h->greedy * sizeof(*p.text));
    return p;
}

static void free_prompt(prompt *p)
{
    free(p->tokens);
    free(p->values);
    free(p->text);
}

/* ---- comparing ---- */

static double log_sum(const double *values, uint32_t count)
{
    double most = -INFINITY, sum = 0;

    for (uint32_t i = 0; i < count; i++)
        most = fmax(most, values[i]);
    for (uint32_t i = 0; i < count; i++)
        sum += exp(values[i] - most);
    return most + log(sum);
}

static double divergence(const header *h, const prompt *p, const float *logits)
{
    double *ours = calloc(h->vocabulary, sizeof(*ours)), sum = 0;

    for (uint32_t i = 0; i < h->vocabulary; i++)
        ours[i] = logits[i];
    double all = log_sum(p->values, h->vocabulary), our_all = log_sum(ours, h->vocabulary);
    for (uint32_t i = 0; i < h->vocabulary; i++) {
        double log_p = p->values[i] - all;
        sum += exp(log_p) * (log_p - (ours[i] - our_all));
    }
    free(ours);
    return sum;
}

static double largest_difference(const header *h, const prompt *p, const float *logits)
{
    double largest = 0;

    for (uint32_t i = 0; i < h->vocabulary; i++)
        largest = fmax(largest, fabs(p->values[i] - (double)logits[i]));
    return largest;
}

static uint32_t best(const header *h, const float *logits)
{
    uint32_t token = 0;

    for (uint32_t i = 1; i < h->vocabulary; i++)
        token = logits[i] > logits[token] ? i : token;
    return token;
}

static void check_greedy(engine *e, engine_sequence *s, const header *h, prompt *p)
{
    for (uint32_t i = 0; i < h->greedy; i++) {
        uint32_t token = best(h, engine_logits(e, 0));
        engine_work work = {.sequence = s, .count = 1, .logits = 1};

        ck_assert_msg(token == p->text[i], "token %u of the greedy text is %u, not %u", i, token,
                      p->text[i]);
        p->tokens[p->length + i] = token;
        work.tokens = p->tokens + p->length + i;
        ck_assert_int_eq(engine_step(e, &work, 1), 0);
    }
}

/* Computes the prompt in `parts` chunks; its last logits are then row 0. */
static engine_sequence *run_prompt(engine *e, const header *h, const prompt *p, uint32_t parts)
{
    engine_sequence *s;

    ck_assert_int_eq(engine_sequence_open(e, p->length + h->greedy, NULL, 0, &s), 0);
    for (uint32_t part = 0; part < parts; part++) {
        uint32_t from = p->length * part / parts, to = p->length * (part + 1) / parts;
        engine_work work = {
            .sequence = s, .tokens = p->tokens + from, .count = to - from, .logits = 1};

        if (to > from)
            ck_assert_msg(engine_step(e, &work, 1) == 0, "%s", engine_error(e));
    }
    return s;
}

static void compare(const char *model, const char *vectors)
{
    char error[512] = "";
    engine *e = NULL;
    engine_options options = {.max_positions = 512, .max_sequences = 1};
    FILE *file = fopen(vectors, "rb");
    double divergences = 0, difference = 0;

    ck_assert_msg(file != NULL, "no %s", vectors);
    header h = read_header(file);
    ck_assert_msg(engine_open(&e, model, &options, error, sizeof(error)) == 0, "%s", error);
    ck_assert_uint_eq(engine_describe(e)->vocabulary, h.vocabulary);
    ck_assert_uint_gt(h.prompts, 0);
    for (uint32_t i = 0; i < h.prompts; i++) {
        prompt p = read_prompt(file, &h);
        engine_sequence *s = run_prompt(e, &h, &p, 1 + i % PARTS);

        divergences += divergence(&h, &p, engine_logits(e, 0));
        if (h.encoding == 0)
            difference = fmax(difference, largest_difference(&h, &p, engine_logits(e, 0)));
        if (h.type == GGUF_F32)
            check_greedy(e, s, &h, &p);
        engine_sequence_close(e, s);
        free_prompt(&p);
    }
    engine_close(e);
    fclose(file);
    printf("%s: mean KL divergence %.2e, largest difference of logits %.2e\n", vectors,
           divergences / h.prompts, difference);
    ck_assert_double_le(divergences / h.prompts, 1e-3);
    if (h.type == GGUF_F32)
        ck_assert_double_le(difference, 1e-3);
}

/* ---- the tests ---- */

static const char *const TINY[] = {"tiny-untied", "tiny-linear", "tiny-freqs", "tiny-f16",
                                   "tiny-bf16",   "tiny-q8_0",   "tiny-q4_0",  "tiny-q4_1"};

START_TEST(a_tiny_model_computes_what_the_mathematics_says)
{
    compare(data_path("llama/vectors", TINY[_i], ".gguf"),
            data_path("llama/vectors", TINY[_i], ".vec"));
}
END_TEST

static const struct {
    const char *name;
    uint32_t type;
} BUNDLED[] = {
    {"bundled-f32", GGUF_F32},   {"bundled-f16", GGUF_F16},   {"bundled-bf16", GGUF_BF16},
    {"bundled-q4_0", GGUF_Q4_0}, {"bundled-q4_1", GGUF_Q4_1},
};

static const char *bundled_model(void)
{
    return data_path("../models/bundled", "millrace-stories", ".gguf");
}

START_TEST(the_bundled_model_computes_what_the_mathematics_says)
{
    compare(bundled_model(), data_path("llama/vectors", "bundled-f32", ".vec"));
}
END_TEST

START_TEST(the_bundled_model_in_other_types_does_so_too)
{
    const char *vectors = data_path("llama/vectors", BUNDLED[_i].name, ".vec");
    FILE *file = fopen(vectors, "rb");
    char converted[64];

    ck_assert_msg(file != NULL, "no %s", vectors);
    header h = read_header(file);
    fclose(file);
    snprintf(converted, sizeof(converted), "/tmp/mr-llama-%d.gguf", (int)getpid());
    ck_assert_uint_eq(convert_model(bundled_model(), BUNDLED[_i].type, converted), h.checksum);
    compare(converted, vectors);
    unlink(converted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vectors");
    TCase *tests = tcase_create("vectors");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_tiny_model_computes_what_the_mathematics_says, 0,
                        sizeof(TINY) / sizeof(TINY[0]));
    tcase_add_test(tests, the_bundled_model_computes_what_the_mathematics_says);
    tcase_add_loop_test(tests, the_bundled_model_in_other_types_does_so_too, 0,
                        sizeof(BUNDLED) / sizeof(BUNDLED[0]));
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
