/*
 * spm_test.c - SentencePiece vocabularies: the tokens that SentencePiece makes, whatever the text,
 * and what files of this kind are refused for
 *
 * make_spm_vectors.py made the vocabularies and the lines.
 */
#include "models/gguf_internal.h"
#include "runtime/tokenizer/spm.h"
#include "tests/tokenizer/vectors.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FAILURES = 20, MAX_TOKENS = 16 };

static const char *const names[] = {"spm-words", "spm-phrases"};

static void open_named(fixture *made, const char *name)
{
    char path[64];
    char error[512];
    gguf *file;

    snprintf(path, sizeof(path), "data/%s.gguf", name);
    file = gguf_open(fixture_path(path), error, sizeof(error));
    ck_assert_msg(file != NULL, "%s", error);
    gguf_builder_begin(&made->bytes, 3);
    gguf_builder_copy(&made->bytes, file, "");
    gguf_builder_finish(&made->bytes, 0);
    gguf_close(file);
    fixture_parse(made);
}

static void compare_all(fixture *made, const char *name)
{
    char path[64];
    uint64_t lines;
    unsigned failures = 0;

    snprintf(path, sizeof(path), "tokenizer/%s.bin", name);
    lines = vectors_open(fixture_path(path));
    ck_assert_uint_ge(lines, 4000);
    for (uint64_t i = 0; i < lines && failures < MAX_FAILURES; i++) {
        vector line = vectors_read(1);

        failures += !vector_agrees(made, &line, 0, name);
        vector_free(&line);
    }
    ck_assert_uint_eq(failures, 0);
    vectors_close();
}

START_TEST(every_line_gives_sentencepiece_s_tokens)
{
    fixture made;

    open_named(&made, names[_i]);
    compare_all(&made, names[_i]);
    fixture_close(&made);
}
END_TEST

START_TEST(every_line_gives_sentencepiece_s_tokens_by_mapped_tables)
{
    fixture made;

    open_named(&made, names[_i]);
    fixture_map(&made);
    compare_all(&made, names[_i]);
    fixture_close(&made);
}
END_TEST

START_TEST(words_are_pieces_unless_tokens_go_across_them)
{
    fixture made;

    open_named(&made, names[0]);
    ck_assert(made.vocab->blanks_begin);
    ck_assert_uint_eq(spm_piece_end(made.vocab, "to be  or", 9, 0), 2);
    ck_assert_uint_eq(spm_piece_end(made.vocab, "to be  or", 9, 2), 5);
    ck_assert_uint_eq(spm_piece_end(made.vocab, "to be  or", 9, 5), 9);
    fixture_close(&made);
    open_named(&made, names[1]);
    ck_assert(!made.vocab->blanks_begin);
    ck_assert_uint_eq(spm_piece_end(made.vocab, "to be  or", 9, 0), 9);
    fixture_close(&made);
}
END_TEST

START_TEST(tokens_of_bytes_and_blanks_stand_for_these)
{
    fixture made;
    gguf_text text;
    encoder_tokens tokens;

    open_named(&made, names[0]);
    text = vocabulary_bytes(made.vocab, made.vocab->byte_tokens[0xE2]);
    ck_assert(text.length == 1 && text.bytes[0] == '\xE2');
    tokens = fixture_encode(&made, "of the", 6, false);
    text = vocabulary_bytes(made.vocab, tokens.ids[tokens.count - 1]);
    ck_assert(text.length == 4 && memcmp(text.bytes, " the", 4) == 0);
    fixture_close(&made);
}
END_TEST

/* ---- files made for one test each ---- */

typedef struct {
    const char *tokens[MAX_TOKENS];
    int32_t types[MAX_TOKENS];
    float scores[MAX_TOKENS];
    size_t count;
} small;

static const small letters = {
    .tokens = {"<unk>", "<s>", "a", "b", "ab", "\xE2\x96\x81",
               "\xE2\x96\x81"
               "a",
               "<0x41>", "ba", "b b"},
    .types = {2, 3, 1, 1, 1, 1, 1, 6, 1, 1},
    .scores = {0, 0, -9, -9, 2.5f, -9, -0.5f, 0, 7, 9},
    .count = 10,
};

static gguf_builder builder;
static gguf *file;

static void begin(const small *made, bool with_scores)
{
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "llama");
    gguf_builder_add_strings(&builder, "tokenizer.ggml.tokens", made->tokens, made->count);
    gguf_builder_add_i32s(&builder, "tokenizer.ggml.token_type", made->types, made->count);
    gguf_builder_add_u32(&builder, "tokenizer.ggml.unknown_token_id", 0);
    gguf_builder_add_u32(&builder, "tokenizer.ggml.bos_token_id", 1);
    if (!with_scores)
        return;
    gguf_builder_key(&builder, "tokenizer.ggml.scores", GGUF_VALUE_ARRAY);
    gguf_builder_u32(&builder, GGUF_VALUE_F32);
    gguf_builder_u64(&builder, made->count);
    gguf_builder_bytes(&builder, made->scores, made->count * sizeof(*made->scores));
}

static void refuse(const char *words)
{
    char error[256];
    vocabulary *vocab;

    gguf_builder_finish(&builder, 0);
    file = gguf_parse(builder.bytes, builder.length, "small", error, sizeof(error));
    ck_assert_msg(file != NULL, "%s", error);
    vocab = vocabulary_load(file, error, sizeof(error));
    ck_assert_msg(vocab == NULL, "taken, though it should be refused with '%s'", words);
    ck_assert_msg(strstr(error, words) != NULL, "'%s' doesn't say '%s'", error, words);
    gguf_close(file);
    gguf_builder_free(&builder);
}

/* The tokens of a text, without BOS, are these; -1 ends them. */
static void expect(fixture *made, const char *text, const int64_t *ids)
{
    encoder_tokens tokens = fixture_encode(made, text, strlen(text), false);
    size_t count = 0;

    while (ids[count] >= 0)
        count++;
    ck_assert_msg(tokens.count == count && memcmp(tokens.ids, ids, count * sizeof(*ids)) == 0,
                  "'%s' gives %zu tokens, the first %lld", text, tokens.count,
                  (long long)tokens.ids[0]);
}

static void with_letters(fixture *made, bool adds_space)
{
    *made = (fixture){0};
    begin(&letters, true);
    gguf_builder_add_bool(&builder, "tokenizer.ggml.add_space_prefix", adds_space);
    gguf_builder_finish(&builder, 0);
    made->bytes = builder;
    fixture_parse(made);
}

START_TEST(the_highest_score_is_merged_first_then_the_leftmost)
{
    fixture made;

    with_letters(&made, false);
    expect(&made, "ab", (int64_t[]){4, -1});
    expect(&made, "aba", (int64_t[]){2, 8, -1}); /* 7 is more than 2.5 */
    expect(&made, "baba", (int64_t[]){8, 8, -1});
    expect(&made, " a", (int64_t[]){6, -1});
    expect(&made, " ab", (int64_t[]){5, 4, -1});
    fixture_close(&made);
}
END_TEST

START_TEST(a_blank_may_be_written_as_sentencepiece_does_and_a_token_with_a_blank_is_never_made)
{
    fixture made;

    with_letters(&made, false);
    expect(&made,
           "\xE2\x96\x81"
           "a",
           (int64_t[]){6, -1});
    expect(&made, "b b", (int64_t[]){3, 5, 3, -1});
    fixture_close(&made);
}
END_TEST

START_TEST(a_blank_is_put_in_front_even_of_a_blank)
{
    fixture made;

    with_letters(&made, true);
    expect(&made, "a", (int64_t[]){6, -1});
    expect(&made, " a", (int64_t[]){5, 6, -1});
    expect(&made, "", (int64_t[]){-1});
    fixture_close(&made);
}
END_TEST

START_TEST(a_character_without_tokens_is_spelled_or_unknown)
{
    fixture made;

    with_letters(&made, false);
    expect(&made, "A", (int64_t[]){7, -1});
    expect(&made, "aBA", (int64_t[]){2, 0, 7, -1});
    expect(&made, "\xC3\xA9", (int64_t[]){0, -1}); /* one, not two */
    fixture_close(&made);
}
END_TEST

START_TEST(bytes_and_control_tokens_are_not_made_of_their_names)
{
    fixture made;

    with_letters(&made, false);
    expect(&made, "<s>", (int64_t[]){0, 0, 0, -1});
    expect(&made, "<0x41>", (int64_t[]){0, 0, 0, 0, 0, 0, -1});
    fixture_close(&made);
}
END_TEST

START_TEST(texts_begin_with_bos_where_the_file_doesn_t_say)
{
    const encoder_text text = {.bytes = "a", .length = 1, .begin = true};
    encoder_tokens tokens;
    fixture made;

    with_letters(&made, false);
    ck_assert_int_eq(encoder_run(made.coder, &text, 8, &tokens), 0);
    ck_assert_uint_eq(tokens.count, 2);
    ck_assert_int_eq(tokens.ids[0], 1);
    fixture_close(&made);
}
END_TEST

START_TEST(scores_that_are_none_are_refused)
{
    small made = letters;

    begin(&made, false);
    refuse("no array 'tokenizer.ggml.scores'");
    made.scores[3] = NAN;
    begin(&made, true);
    refuse("of token 3 is not a number");
    begin(&made, false);
    gguf_builder_add_i32s(&builder, "tokenizer.ggml.scores", made.types, made.count);
    refuse("of token 0 is not a number");
    begin(&made, false);
    gguf_builder_add_i32s(&builder, "tokenizer.ggml.scores", made.types, 2);
    refuse("has 2 entries for 10 tokens");
}
END_TEST

START_TEST(a_byte_with_another_name_is_refused)
{
    const char *const wrong[] = {"<0x4>", "<0x4g>", "0x0041", "<0X41>", "", "<0x414"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        small made = letters;

        made.tokens[7] = wrong[i];
        begin(&made, true);
        refuse("is of type byte");
    }
}
END_TEST

START_TEST(a_megabyte_without_a_blank_is_encoded_in_time)
{
    enum { LENGTH = 1 << 20 };
    char *text = malloc(LENGTH);
    fixture made;

    open_named(&made, names[1]);
    for (size_t i = 0; i < LENGTH; i++)
        text[i] = "etaoin shrdlu"[i * i % 13];
    ck_assert_uint_gt(fixture_encode(&made, text, LENGTH, false).count, LENGTH / 64);
    free(text);
    fixture_close(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentencepiece");
    TCase *tests = tcase_create("spm");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, every_line_gives_sentencepiece_s_tokens, 0, 2);
    tcase_add_loop_test(tests, every_line_gives_sentencepiece_s_tokens_by_mapped_tables, 0, 2);
    tcase_add_test(tests, words_are_pieces_unless_tokens_go_across_them);
    tcase_add_test(tests, tokens_of_bytes_and_blanks_stand_for_these);
    tcase_add_test(tests, the_highest_score_is_merged_first_then_the_leftmost);
    tcase_add_test(
        tests, a_blank_may_be_written_as_sentencepiece_does_and_a_token_with_a_blank_is_never_made);
    tcase_add_test(tests, a_blank_is_put_in_front_even_of_a_blank);
    tcase_add_test(tests, a_character_without_tokens_is_spelled_or_unknown);
    tcase_add_test(tests, bytes_and_control_tokens_are_not_made_of_their_names);
    tcase_add_test(tests, texts_begin_with_bos_where_the_file_doesn_t_say);
    tcase_add_test(tests, scores_that_are_none_are_refused);
    tcase_add_test(tests, a_byte_with_another_name_is_refused);
    tcase_add_test(tests, a_megabyte_without_a_blank_is_encoded_in_time);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
