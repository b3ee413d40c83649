/*
 * vocabulary_test.c - a vocabulary is loaded as the file has it, or refused with a sentence
 */
#include "runtime/tokenizer/vocabulary_internal.h"
#include "tests/tokenizer/small_vocabulary.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const small_vocabulary letters = {
    .tokens = {"a", "b", "ab", "<|im_end|>", "<tool>", "\xC4\xA0", "<unk>"},
    .types = {1, 1, 1, 3, 4, 1, 2},
    .token_count = 7,
    .merges = {"a b"},
    .merge_count = 1,
};

static gguf_builder builder;
static gguf *file;
static char error[256];

static vocabulary *load(void)
{
    vocabulary *vocab = small_vocabulary_load(&builder, &file, error, sizeof(error));

    return vocab;
}

static void clean(void)
{
    gguf_close(file);
    gguf_builder_free(&builder);
}

static void refuse(const char *words)
{
    vocabulary *vocab = load();

    ck_assert_msg(vocab == NULL, "taken, though it should be refused with '%s'", words);
    ck_assert_msg(strstr(error, words) != NULL, "'%s' doesn't say '%s'", error, words);
    clean();
}

static void refuse_small(const small_vocabulary *small, const char *words)
{
    small_vocabulary_begin(small, "gpt-2", &builder);
    refuse(words);
}

START_TEST(tokens_stand_for_bytes_and_specials_for_their_names)
{
    vocabulary *vocab;
    gguf_text text;

    small_vocabulary_begin(&letters, "gpt-2", &builder);
    vocab = load();
    ck_assert_msg(vocab != NULL, "%s", error);
    ck_assert_uint_eq(vocabulary_count(vocab), 7);
    text = vocabulary_bytes(vocab, 5);
    ck_assert(text.length == 1 && text.bytes[0] == ' ');
    text = vocabulary_bytes(vocab, 3);
    ck_assert(text.length == 10 && memcmp(text.bytes, "<|im_end|>", 10) == 0);
    ck_assert(vocabulary_is_control(vocab, 3));
    ck_assert(!vocabulary_is_control(vocab, 4));
    ck_assert(vocabulary_is_control(vocab, 6));
    ck_assert(!vocabulary_is_control(vocab, 2));
    vocabulary_free(vocab);
    clean();
}
END_TEST

START_TEST(ids_outside_of_the_vocabulary_stand_for_nothing)
{
    vocabulary *vocab;

    small_vocabulary_begin(&letters, "gpt-2", &builder);
    vocab = load();
    ck_assert_ptr_null(vocabulary_bytes(vocab, -1).bytes);
    ck_assert_ptr_null(vocabulary_bytes(vocab, 7).bytes);
    ck_assert_ptr_null(vocabulary_bytes(vocab, INT64_MAX).bytes);
    ck_assert(!vocabulary_is_control(vocab, -1));
    ck_assert(!vocabulary_is_control(vocab, 7));
    vocabulary_free(vocab);
    clean();
}
END_TEST

START_TEST(specials_are_found_by_name)
{
    vocabulary *vocab;

    small_vocabulary_begin(&letters, "gpt-2", &builder);
    vocab = load();
    ck_assert_int_eq(vocabulary_find_special(vocab, (gguf_text){"<tool>", 6}), 4);
    ck_assert_int_eq(vocabulary_find_special(vocab, (gguf_text){"<tool>s", 7}), -1);
    ck_assert_int_eq(vocabulary_find_special(vocab, (gguf_text){"<too", 4}), -1);
    ck_assert_int_eq(vocabulary_find_special(vocab, (gguf_text){"ab", 2}), -1);
    vocabulary_free(vocab);
    clean();
}
END_TEST

START_TEST(all_tokens_that_end_a_generation_are_listed_once)
{
    vocabulary *vocab;
    const int64_t *ends;
    size_t count;

    small_vocabulary_begin(&letters, "gpt-2", &builder);
    gguf_builder_add_u32(&builder, "tokenizer.ggml.eos_token_id", 6);
    gguf_builder_add_u32(&builder, "tokenizer.ggml.eot_token_id", 3);
    gguf_builder_add_u32(&builder, "tokenizer.ggml.eom_token_id", 2);
    vocab = load();
    ends = vocabulary_ends(vocab, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert(ends[0] == 2 && ends[1] == 3 && ends[2] == 6);
    ck_assert_int_eq(vocabulary_special(vocab, VOCABULARY_EOS), 6);
    ck_assert_int_eq(vocabulary_special(vocab, VOCABULARY_BOS), -1);
    vocabulary_free(vocab);
    clean();
}
END_TEST

START_TEST(smollm2_s_vocabulary_has_its_special_ids)
{
    fixture made;
    const int64_t *ends;
    size_t count;

    fixture_open(&made, "smollm");
    ends = vocabulary_ends(made.vocab, &count);
    ck_assert_uint_eq(count, 2); /* <|endoftext|> and <|im_end|> */
    ck_assert(ends[0] == 0 && ends[1] == 2);
    ck_assert_int_eq(vocabulary_special(made.vocab, VOCABULARY_BOS), 1);
    ck_assert_int_eq(vocabulary_special(made.vocab, VOCABULARY_EOS), 2);
    ck_assert_int_eq(vocabulary_special(made.vocab, VOCABULARY_EOT), -1);
    ck_assert_int_eq(vocabulary_special(made.vocab, VOCABULARY_UNKNOWN), 0);
    ck_assert_int_eq(vocabulary_special(made.vocab, VOCABULARY_PADDING), 2);
    ck_assert(!vocabulary_adds_bos(made.vocab));
    fixture_close(&made);
}
END_TEST

START_TEST(the_bundled_model_s_vocabulary_has_a_token_for_each_byte)
{
    gguf *bundled =
        gguf_open(fixture_path("../models/bundled/millrace-stories.gguf"), error, sizeof(error));
    vocabulary *vocab;
    const int64_t *ends;
    size_t count;

    ck_assert_msg(bundled != NULL, "%s", error);
    vocab = vocabulary_load(bundled, error, sizeof(error));
    ck_assert_msg(vocab != NULL, "%s", error);
    for (size_t byte = 0; byte < 256; byte++)
        ck_assert_int_ge(vocab->byte_tokens[byte], 0);
    ends = vocabulary_ends(vocab, &count);
    ck_assert_uint_ge(count, 1);
    ck_assert(vocabulary_is_control(vocab, ends[0]));
    vocabulary_free(vocab);
    gguf_close(bundled);
}
END_TEST

/* The fingerprint of `letters` with another pre-tokenizer and one key more. */
static uint64_t fingerprint(const small_vocabulary *small, const char *pre, const char *key)
{
    vocabulary *vocab;
    uint64_t result;

    small_vocabulary_begin(small, pre, &builder);
    if (key)
        gguf_builder_add_u32(&builder, key, 3);
    vocab = load();
    result = vocabulary_fingerprint(vocab);
    vocabulary_free(vocab);
    clean();
    return result;
}

START_TEST(the_fingerprint_changes_with_all_that_changes_tokens)
{
    uint64_t first = fingerprint(&letters, "gpt-2", NULL);
    small_vocabulary other = letters;

    ck_assert_uint_eq(fingerprint(&letters, "gpt-2", NULL), first);
    ck_assert_uint_eq(fingerprint(&letters, "gpt-2", "general.file_type"), first);
    ck_assert_uint_ne(fingerprint(&letters, "smollm", NULL), first);
    ck_assert_uint_ne(fingerprint(&letters, "gpt-2", "tokenizer.ggml.eos_token_id"), first);
    other.types[0] = 4;
    ck_assert_uint_ne(fingerprint(&other, "gpt-2", NULL), first);
    other = letters;
    other.merge_count = 0;
    ck_assert_uint_ne(fingerprint(&other, "gpt-2", NULL), first);
    other = letters;
    other.tokens[6] = "<none>";
    ck_assert_uint_ne(fingerprint(&other, "gpt-2", NULL), first);
}
END_TEST

START_TEST(a_merge_that_makes_a_control_token_is_left_out)
{
    static const small_vocabulary evil = {.tokens = {"<", "s", "<s"},
                                          .types = {1, 1, 3},
                                          .token_count = 3,
                                          .merges = {"< s"},
                                          .merge_count = 1};
    fixture made;
    encoder_tokens tokens;

    small_vocabulary_begin(&evil, "gpt-2", &made.bytes);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
    tokens = fixture_encode(&made, "<s", 2, false);
    ck_assert_uint_eq(tokens.count, 2);
    fixture_close(&made);
}
END_TEST

START_TEST(a_vocabulary_of_another_kind_is_refused)
{
    gguf_builder_begin(&builder, 3);
    refuse("has no key 'tokenizer.ggml.model'");
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "bert");
    refuse("tokenizer is 'bert'; only byte-level BPE ('gpt2') and SentencePiece BPE ('llama') can "
           "be read");
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    refuse("has no array 'tokenizer.ggml.tokens'");
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "\33[2J\n");
    refuse("tokenizer is '?[2J?'; only");
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    gguf_builder_add_strings(&builder, "tokenizer.ggml.tokens", NULL, 0);
    refuse("'tokenizer.ggml.tokens' is empty");
}
END_TEST

START_TEST(arrays_of_the_wrong_kind_are_refused)
{
    static const int32_t numbers[] = {1, 2};

    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    gguf_builder_add_i32s(&builder, "tokenizer.ggml.tokens", numbers, 2);
    refuse("'tokenizer.ggml.tokens' is not an array of strings");
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    gguf_builder_add_strings(&builder, "tokenizer.ggml.tokens", letters.tokens, 7);
    gguf_builder_add_i32s(&builder, "tokenizer.ggml.token_type", numbers, 2);
    refuse("'tokenizer.ggml.token_type' has 2 entries for 7 tokens");
    gguf_builder_begin(&builder, 3);
    gguf_builder_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    gguf_builder_add_strings(&builder, "tokenizer.ggml.tokens", letters.tokens, 7);
    gguf_builder_add_i32s(&builder, "tokenizer.ggml.merges", numbers, 2);
    refuse("'tokenizer.ggml.merges' is not an array of strings");
}
END_TEST

START_TEST(types_outside_of_the_format_are_refused)
{
    small_vocabulary bad = letters;

    bad.types[1] = 7;
    refuse_small(&bad, "'tokenizer.ggml.token_type' of token 1 is not a number in 1 to 6");
    bad.types[1] = -1;
    refuse_small(&bad, "of token 1");
}
END_TEST

START_TEST(merges_of_no_tokens_are_refused)
{
    static const char *const merges[] = {"a c", "c a", "ab a", "ab", "", " ", "a ", " b"};
    small_vocabulary bad = letters;

    bad.merges[0] = merges[_i];
    refuse_small(&bad, "merge 0");
}
END_TEST

START_TEST(tokens_and_merges_of_absurd_length_are_refused)
{
    static char token[4098];
    static char merge[4106];
    small_vocabulary bad = letters;

    memset(token, 'x', 513);
    bad.tokens[4] = token;
    refuse_small(&bad, "token 4 has 513 bytes, the limit is 512");
    memset(token, 'x', 4097);
    bad = letters;
    bad.tokens[5] = token;
    refuse_small(&bad, "token 5 has 4097 bytes, the limit is 4096");
    memset(merge, 'x', 4105);
    merge[2000] = ' ';
    bad = letters;
    bad.merges[0] = merge;
    refuse_small(&bad, "merge 0 has 4105 bytes, the limit is 4096");
}
END_TEST

START_TEST(ids_that_are_no_tokens_are_refused)
{
    static const char *const keys[] = {
        "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",     "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id"};

    small_vocabulary_begin(&letters, "gpt-2", &builder);
    gguf_builder_add_u32(&builder, keys[_i], 7);
    refuse(keys[_i]);
}
END_TEST

START_TEST(a_bos_that_is_wanted_must_be_given)
{
    small_vocabulary_begin(&letters, "gpt-2", &builder);
    gguf_builder_add_bool(&builder, "tokenizer.ggml.add_bos_token", true);
    refuse("has no key 'tokenizer.ggml.bos_token_id'");
    small_vocabulary_begin(&letters, "llama-bpe", &builder);
    refuse("has no key 'tokenizer.ggml.bos_token_id'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vocabulary");
    TCase *tests = tcase_create("loading");
    TCase *bad = tcase_create("refusing");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, tokens_stand_for_bytes_and_specials_for_their_names);
    tcase_add_test(tests, ids_outside_of_the_vocabulary_stand_for_nothing);
    tcase_add_test(tests, specials_are_found_by_name);
    tcase_add_test(tests, all_tokens_that_end_a_generation_are_listed_once);
    tcase_add_test(tests, smollm2_s_vocabulary_has_its_special_ids);
    tcase_add_test(tests, the_bundled_model_s_vocabulary_has_a_token_for_each_byte);
    tcase_add_test(tests, the_fingerprint_changes_with_all_that_changes_tokens);
    tcase_add_test(tests, a_merge_that_makes_a_control_token_is_left_out);
    suite_add_tcase(suite, tests);
    tcase_add_test(bad, a_vocabulary_of_another_kind_is_refused);
    tcase_add_test(bad, arrays_of_the_wrong_kind_are_refused);
    tcase_add_test(bad, types_outside_of_the_format_are_refused);
    tcase_add_loop_test(bad, merges_of_no_tokens_are_refused, 0, 8);
    tcase_add_test(bad, tokens_and_merges_of_absurd_length_are_refused);
    tcase_add_loop_test(bad, ids_that_are_no_tokens_are_refused, 0, 6);
    tcase_add_test(bad, a_bos_that_is_wanted_must_be_given);
    suite_add_tcase(suite, bad);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
