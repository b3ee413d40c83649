/*
 * model_test.c - models that can't be computed get one clear error each
 */
#include "tests/llama/fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const engine_options NORMAL = {.max_sequences = 2};

/* The error must name what is wrong, be one sentence in our form, and tell what to do. */
static void refused(const model_spec *spec, const char *subject)
{
    const char *error = spec_error(spec, &NORMAL);

    ck_assert_msg(strstr(error, subject) != NULL, "'%s' doesn't name %s", error, subject);
    ck_assert_msg(strchr(error, ';') != NULL, "'%s' tells no remedy", error);
    ck_assert_msg(error[strlen(error) - 1] != '.', "'%s' ends in a full stop", error);
}

static const char *const KEYS[] = {
    "llama.block_count",          "llama.context_length",
    "llama.embedding_length",     "llama.feed_forward_length",
    "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon",
};

START_TEST(a_model_without_a_key_is_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.without_key = KEYS[_i];
    refused(&spec, KEYS[_i]);
}
END_TEST

static const char *const TENSORS[] = {
    "token_embd.weight",      "output_norm.weight",    "blk.0.attn_q.weight",
    "blk.1.attn_k.weight",    "blk.1.attn_v.weight",   "blk.0.attn_output.weight",
    "blk.1.ffn_gate.weight",  "blk.0.ffn_up.weight",   "blk.1.ffn_down.weight",
    "blk.0.attn_norm.weight", "blk.1.ffn_norm.weight",
};

START_TEST(a_model_without_a_tensor_is_refused)
{
    model_spec spec = small_model(GGUF_F16);

    spec.without_tensor = TENSORS[_i];
    refused(&spec, TENSORS[_i]);
}
END_TEST

static const char *const MATRICES[] = {
    "output.weight",       "blk.0.attn_q.weight",      "blk.1.attn_k.weight",
    "blk.1.attn_v.weight", "blk.0.attn_output.weight", "blk.1.ffn_gate.weight",
    "blk.0.ffn_up.weight", "blk.1.ffn_down.weight",
};

START_TEST(a_tensor_of_another_shape_is_refused)
{
    model_spec spec = small_model(GGUF_Q8_0);

    spec.short_tensor = MATRICES[_i];
    refused(&spec, MATRICES[_i]);
}
END_TEST

START_TEST(a_tensor_that_nobody_knows_is_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.extra_tensor = "blk.0.attn_q.bias";
    refused(&spec, "blk.0.attn_q.bias");
}
END_TEST

START_TEST(another_architecture_is_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.architecture = "gemma";
    refused(&spec, "'gemma'");
    spec.architecture = NULL;
    refused(&spec, "general.architecture");
}
END_TEST

START_TEST(a_type_that_is_not_computed_is_refused)
{
    model_spec spec = small_model(12); /* Q4_K */

    spec.width = spec.feed = 256;
    spec.heads = 8;
    spec.head_size = 32;
    refused(&spec, "token_embd.weight");
}
END_TEST

START_TEST(variants_that_change_the_answers_are_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.extra_key = "llama.expert_count";
    refused(&spec, "llama.expert_count");
    spec.extra_key = "llama.attention.sliding_window";
    refused(&spec, "llama.attention.sliding_window");
}
END_TEST

START_TEST(sizes_that_make_no_sense_are_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.without_key = spec.extra_key = "llama.block_count"; /* 7, of which 2 are there */
    refused(&spec, "blk.2.");
    spec = small_model(GGUF_F32);
    spec.context = 1u << 31;
    refused(&spec, "llama.context_length");
    spec = small_model(GGUF_F32);
    spec.key_heads = 4;
    refused(&spec, "llama.attention.head_count_kv");
    spec = small_model(GGUF_F32);
    spec.epsilon = 2;
    refused(&spec, "llama.attention.layer_norm_rms_epsilon");
    spec = small_model(GGUF_F32);
    spec.heads = spec.key_heads = 5; /* no divisor of the width */
    spec.head_size = 19;
    spec.without_key = "llama.attention.key_length";
    refused(&spec, "llama.attention.key_length");
}
END_TEST

START_TEST(a_head_of_another_size_than_its_values_is_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.extra_key = "llama.attention.value_length";
    refused(&spec, "llama.attention.value_length");
}
END_TEST

START_TEST(rope_that_is_not_computed_is_refused)
{
    model_spec spec = small_model(GGUF_F32);

    spec.scaling = "yarn";
    refused(&spec, "'yarn'");
    spec.scaling = "linear";
    refused(&spec, "llama.rope.scaling.factor");
    spec.factor = -1;
    refused(&spec, "linear rope scaling");
    spec.factor = 1e-6f;
    refused(&spec, "rope frequency");
    spec = small_model(GGUF_F32);
    spec.rope_size = 7;
    refused(&spec, "llama.rope.dimension_count");
    spec.rope_size = 18;
    refused(&spec, "llama.rope.dimension_count");
    spec = small_model(GGUF_F32);
    spec.rope_base = -5;
    refused(&spec, "llama.rope.freq_base");
}
END_TEST

START_TEST(no_file_and_no_model_are_told)
{
    char error[512] = "";
    engine *e = NULL;

    ck_assert_int_lt(engine_open(&e, "/nowhere.gguf", &NORMAL, error, sizeof(error)), 0);
    ck_assert_ptr_nonnull(strstr(error, "/nowhere.gguf"));
    ck_assert_ptr_null(e);
}
END_TEST

START_TEST(options_out_of_range_are_told)
{
    model_spec spec = small_model(GGUF_F32);
    const struct {
        engine_options options;
        const char *name;
    } bad[] = {
        {{.threads = 10000}, "threads"},
        {{.max_sequences = 1u << 30}, "max_sequences"},
        {{.max_positions = 1u << 30}, "max_positions"},
        {{.max_logits = 1u << 30}, "max_logits"},
        {{.kernels = "fortran"}, "fortran"},
        {{.kv_pages = UINT32_MAX}, "key and value cache"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *error = spec_error(&spec, &bad[i].options);
        ck_assert_msg(strstr(error, bad[i].name) != NULL, "'%s' names no %s", error, bad[i].name);
    }
}
END_TEST

/* What opens must be safe to compute with, whatever it is. */
static void use(engine *e)
{
    static const int64_t tokens[3] = {0, 0, 0};
    engine_sequence *s;

    if (engine_sequence_open(e, 3, NULL, 0, &s) == 0) {
        engine_work work = {.sequence = s, .tokens = tokens, .count = 3, .logits = 1};
        ck_assert_int_eq(engine_step(e, &work, 1), 0);
    }
}

/* Each byte of the file's head in turn: whatever is refused, nothing crashes or hangs. */
START_TEST(no_byte_of_the_head_can_crash_the_engine)
{
    const engine_options options = {.max_sequences = 1, .max_length = 32, .kv_pages = 2};
    model_spec spec = small_model(GGUF_Q4_1);
    char path[256], error[512];
    engine *e;

    snprintf(path, sizeof(path), "%s", spec_write(&spec));
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    for (long at = _i; at < 2400; at += 4) {
        int was, change = (int)(at * 7 % 255) + 1;

        fseek(file, at, SEEK_SET);
        was = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(was ^ change, file);
        fflush(file);
        if (engine_open(&e, path, &options, error, sizeof(error)) == 0) {
            use(e);
            engine_close(e);
        }
        fseek(file, at, SEEK_SET);
        fputc(was, file);
    }
    fclose(file);
    unlink(path);
}
END_TEST

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("model");

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_model_without_a_key_is_refused, 0, COUNT(KEYS));
    tcase_add_loop_test(tests, a_model_without_a_tensor_is_refused, 0, COUNT(TENSORS));
    tcase_add_loop_test(tests, a_tensor_of_another_shape_is_refused, 0, COUNT(MATRICES));
    tcase_add_test(tests, a_tensor_that_nobody_knows_is_refused);
    tcase_add_test(tests, another_architecture_is_refused);
    tcase_add_test(tests, a_type_that_is_not_computed_is_refused);
    tcase_add_test(tests, variants_that_change_the_answers_are_refused);
    tcase_add_test(tests, sizes_that_make_no_sense_are_refused);
    tcase_add_test(tests, a_head_of_another_size_than_its_values_is_refused);
    tcase_add_test(tests, rope_that_is_not_computed_is_refused);
    tcase_add_test(tests, no_file_and_no_model_are_told);
    tcase_add_test(tests, options_out_of_range_are_told);
    tcase_add_loop_test(tests, no_byte_of_the_head_can_crash_the_engine, 0, 4);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
