/*
 * encode_test.c - what encoding does besides merging: specials, settings, limits, size
 */
#include "runtime/tokenizer/vocabulary_internal.h"
#include "runtime/tokenizer/word_cache.h"
#include "tests/tokenizer/small_vocabulary.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fixture made;

static void begin_smollm(void)
{
    fixture_open(&made, "smollm");
}

static void end(void)
{
    fixture_close(&made);
}

static void open_small(const small_vocabulary *small, const char *pre)
{
    small_vocabulary_begin(small, pre, &made.bytes);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
}

/* The tokens as "1 2 3". */
static const char *ids(encoder_tokens tokens)
{
    static char shown[512];
    size_t used = 0;

    shown[0] = '\0';
    for (size_t i = 0; i < tokens.count && used < sizeof(shown); i++)
        used += (size_t)snprintf(shown + used, sizeof(shown) - used, "%s%lld", i ? " " : "",
                                 (long long)tokens.ids[i]);
    return shown;
}

static const char *encode(const char *text, bool special)
{
    return ids(fixture_encode(&made, text, strlen(text), special));
}

/* Whether the tokens stand for the text, byte for byte. */
static bool stand_for(encoder_tokens tokens, const char *text, size_t length)
{
    size_t at = 0;

    for (size_t i = 0; i < tokens.count; i++) {
        gguf_text bytes = vocabulary_bytes(made.vocab, tokens.ids[i]);

        if (bytes.length > length - at || memcmp(text + at, bytes.bytes, bytes.length) != 0)
            return false;
        at += bytes.length;
    }
    return at == length;
}

START_TEST(control_tokens_are_recognised_in_own_ranges_alone)
{
    static const char text[] = "<|im_end|><|im_end|><|im_end|>";
    const text_range second[] = {{10, 20}};
    const text_range across[] = {{5, 15}, {15, 30}};
    encoder_tokens tokens;

    ck_assert_str_eq(encode("<|im_start|>", true), "1");
    ck_assert_int_eq(
        encoder_run(made.coder, &(encoder_text){text, 30, second, 1, false}, 100, &tokens), 0);
    ck_assert(tokens.count > 3 && stand_for(tokens, text, 30));
    ck_assert_int_eq(tokens.ids[tokens.count / 2], 2);
    /* Of these ranges only the second has a whole one. */
    ck_assert_int_eq(
        encoder_run(made.coder, &(encoder_text){text, 30, across, 2, false}, 100, &tokens), 0);
    ck_assert_int_eq(tokens.ids[tokens.count - 1], 2);
    ck_assert_int_ne(tokens.ids[tokens.count - 2], 2);
    ck_assert(stand_for(tokens, text, 30));
}
END_TEST

START_TEST(text_between_specials_is_cut_as_one_whoever_wrote_it)
{
    /* "\n" of a template and "\n\n" of a message make one piece. */
    static const char text[] = "user\n\n\nHi";
    const text_range own[] = {{0, 5}};
    encoder_tokens tokens;
    char together[64];

    snprintf(together, sizeof(together), "%s", encode(text, false));
    ck_assert_int_eq(encoder_run(made.coder, &(encoder_text){text, 9, own, 1, false}, 100, &tokens),
                     0);
    ck_assert_str_eq(ids(tokens), together);
}
END_TEST

START_TEST(user_defined_tokens_are_recognised_everywhere_the_longest_first)
{
    static const small_vocabulary small = {
        .tokens = {"a", "b", "ab", "aba", "<c>"}, .types = {1, 1, 4, 4, 3}, .token_count = 5};

    open_small(&small, "gpt-2");
    ck_assert_str_eq(encode("bababaab", false), "1 3 1 0 2");
    ck_assert_str_eq(encode("ab<c>ab", false), "2 2");
    ck_assert_str_eq(encode("ab<c>ab", true), "2 4 2");
    end();
}
END_TEST

START_TEST(the_text_begins_with_bos_if_the_vocabulary_wants_it_and_the_caller_too)
{
    static const small_vocabulary small = {
        .tokens = {"a", "<s>"}, .types = {1, 3}, .token_count = 2};
    encoder_tokens tokens;

    small_vocabulary_begin(&small, "gpt-2", &made.bytes);
    gguf_builder_add_u32(&made.bytes, "tokenizer.ggml.bos_token_id", 1);
    gguf_builder_add_bool(&made.bytes, "tokenizer.ggml.add_bos_token", true);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
    ck_assert_int_eq(encoder_run(made.coder, &(encoder_text){"a", 1, NULL, 0, true}, 9, &tokens),
                     0);
    ck_assert_str_eq(ids(tokens), "1 0");
    ck_assert_int_eq(encoder_run(made.coder, &(encoder_text){"", 0, NULL, 0, true}, 9, &tokens), 0);
    ck_assert_str_eq(ids(tokens), "1");
    ck_assert_str_eq(encode("a", false), "0");
    end();
}
END_TEST

START_TEST(a_blank_is_put_in_front_if_the_vocabulary_wants_it)
{
    static const small_vocabulary small = {
        .tokens = {"a", "\xC4\xA0", "<s>"}, .types = {1, 1, 3}, .token_count = 3};

    small_vocabulary_begin(&small, "gpt-2", &made.bytes);
    gguf_builder_add_bool(&made.bytes, "tokenizer.ggml.add_space_prefix", true);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
    ck_assert_str_eq(encode("a", false), "1 0");
    ck_assert_str_eq(encode(" a", false), "1 0");
    ck_assert_str_eq(encode("a<s>a", true), "1 0 2 1 0");
    ck_assert_str_eq(encode("", false), "");
    end();
}
END_TEST

START_TEST(llama_bpe_takes_a_piece_that_is_a_token_whole)
{
    static const small_vocabulary small = {.tokens = {"a", "b", "c", "ab", "abc", "bc", "<s>"},
                                           .types = {1, 1, 1, 1, 1, 1, 3},
                                           .token_count = 7,
                                           .merges = {"b c"},
                                           .merge_count = 1};

    open_small(&small, "gpt-2");
    ck_assert_str_eq(encode("abc", false), "0 5");
    end();
    small_vocabulary_begin(&small, "llama-bpe", &made.bytes);
    gguf_builder_add_bool(&made.bytes, "tokenizer.ggml.add_bos_token", false);
    gguf_builder_finish(&made.bytes, 0);
    fixture_parse(&made);
    ck_assert_str_eq(encode("abc", false), "4");
    ck_assert_str_eq(encode("abcb", false), "0 5 1");
    end();
}
END_TEST

START_TEST(bytes_that_the_vocabulary_lacks_are_left_out)
{
    static const small_vocabulary small = {
        .tokens = {"a", "b", "ab"}, .token_count = 3, .merges = {"a b"}, .merge_count = 1};

    open_small(&small, "gpt-2");
    ck_assert_str_eq(encode("axb", false), "2");
    ck_assert_str_eq(encode("xyz", false), "");
    end();
}
END_TEST

START_TEST(a_file_without_pre_has_the_default_one)
{
    static const small_vocabulary small = {.tokens = {"1"}, .token_count = 1};

    open_small(&small, NULL);
    ck_assert_str_eq(made.vocab->pre, "default");
    ck_assert_str_eq(encode("1111", false), "0 0 0 0");
    end();
}
END_TEST

START_TEST(nul_bytes_are_text)
{
    encoder_tokens tokens = fixture_encode(&made, "a\0b\0", 4, false);

    ck_assert(stand_for(tokens, "a\0b\0", 4));
}
END_TEST

START_TEST(more_tokens_than_the_limit_are_refused)
{
    static const char text[] = "one two three";
    const encoder_text whole = {text, sizeof(text) - 1, NULL, 0, false};
    encoder_tokens tokens;
    size_t count = fixture_encode(&made, text, sizeof(text) - 1, false).count;

    ck_assert_int_eq(encoder_run(made.coder, &whole, count, &tokens), 0);
    ck_assert_uint_eq(tokens.count, count);
    ck_assert_int_eq(encoder_run(made.coder, &whole, count - 1, &tokens), -E2BIG);
    ck_assert_int_eq(encoder_run(made.coder, &whole, 0, &tokens), -E2BIG);
    ck_assert_int_eq(encoder_run(made.coder, &(encoder_text){"", 0, NULL, 0, false}, 0, &tokens),
                     0);
    ck_assert_uint_eq(tokens.count, 0);
}
END_TEST

START_TEST(a_piece_that_can_t_fit_the_limit_is_refused_before_it_is_merged)
{
    size_t length = 64 << 20;
    char *text = malloc(length);
    encoder_tokens tokens;

    memset(text, 'a', length);
    ck_assert_int_eq(
        encoder_run(made.coder, &(encoder_text){text, length, NULL, 0, false}, 8192, &tokens),
        -E2BIG);
    free(text);
}
END_TEST

START_TEST(a_megabyte_without_a_blank_is_encoded_in_time)
{
    static const char *const units[] = {"a", " ", "\n", "1", "=", "qwertyuiop", "\xE6\xB0\xB4"};
    size_t n = strlen(units[_i]);
    size_t length = 1000000 / n * n;
    char *text = malloc(length);
    encoder_tokens tokens;

    for (size_t i = 0; i < length; i++)
        text[i] = units[_i][i % n];
    tokens = fixture_encode(&made, text, length, false);
    ck_assert(stand_for(tokens, text, length));
    free(text);
}
END_TEST

START_TEST(a_megabyte_of_random_letters_is_encoded_in_time)
{
    size_t length = 1000000;
    char *text = malloc(length);
    unsigned state = 1;
    encoder_tokens tokens;

    for (size_t i = 0; i < length; i++) {
        state = state * 1664525U + 1013904223U;
        text[i] = "etaoinshrdlu"[(state >> 16) % 12];
    }
    tokens = fixture_encode(&made, text, length, false);
    ck_assert(stand_for(tokens, text, length));
    free(text);
}
END_TEST

START_TEST(the_same_text_gives_the_same_tokens_with_a_warm_cache)
{
    char text[64];
    char cold[512];
    fixture other;

    fixture_open(&other, "smollm");
    for (unsigned i = 0; i < 40000; i++) {
        size_t length = (size_t)snprintf(text, sizeof(text), " w%xord%u", i * 2654435761U, i % 7);

        fixture_encode(&made, text, length, false);
    }
    for (unsigned i = 0; i < 40000; i += 371) {
        size_t length = (size_t)snprintf(text, sizeof(text), " w%xord%u", i * 2654435761U, i % 7);

        snprintf(cold, sizeof(cold), "%s", ids(fixture_encode(&other, text, length, false)));
        ck_assert_str_eq(ids(fixture_encode(&made, text, length, false)), cold);
    }
    fixture_close(&other);
}
END_TEST

START_TEST(the_cache_has_one_place_a_word)
{
    word_cache cache;
    word_cache_entry *entry;
    const int32_t many[WORD_CACHE_IDS + 1] = {7, 8};
    int hit;

    ck_assert_int_eq(word_cache_init(&cache), 0);
    entry = word_cache_place(&cache, "word", 4, &hit);
    ck_assert_int_eq(hit, 0);
    word_cache_put(entry, "word", 4, many, WORD_CACHE_IDS + 1);
    ck_assert_ptr_eq(word_cache_place(&cache, "word", 4, &hit), entry);
    ck_assert_int_eq(hit, 0);
    word_cache_put(entry, "word", 4, many, 2);
    entry = word_cache_place(&cache, "word", 4, &hit);
    ck_assert_int_eq(hit, 1);
    ck_assert(entry->count == 2 && entry->ids[0] == 7 && entry->ids[1] == 8);
    word_cache_clear(&cache);
}
END_TEST

START_TEST(texts_made_to_share_a_place_are_refused)
{
    static char names[2048][8];
    static token_place places[2048];
    const token_texts texts = {names[0], places};
    token_map map;
    int32_t taken = 0;
    int result = 0;

    ck_assert_int_eq(token_map_init(&map, texts, 1), 0); /* 16 places */
    ck_assert_int_eq(token_map_find(&map, (gguf_text){"none", 4}), -1);
    token_map_clear(&map);
    ck_assert_int_eq(token_map_init(&map, texts, 2048), 0);
    for (unsigned i = 0; result == 0 && taken < 2048 && i < 2000000; i++) {
        int length = snprintf(names[taken], sizeof(names[0]), "%x", i);
        size_t place;

        places[taken] = (token_place){(uint32_t)taken * sizeof(names[0]), (uint32_t)length};
        /* Only texts that fall into one sixteenth of the table: their run of slots fills up. */
        place = token_map_slot(&map, token_text(texts, (size_t)taken));
        if (place < 256)
            result = token_map_add(&map, taken++);
    }
    ck_assert_int_eq(result, -EINVAL);
    token_map_clear(&map);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encode");
    TCase *smollm = tcase_create("smollm2's vocabulary");
    TCase *small = tcase_create("small vocabularies");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(smollm, begin_smollm, end);
    tcase_add_test(smollm, control_tokens_are_recognised_in_own_ranges_alone);
    tcase_add_test(smollm, text_between_specials_is_cut_as_one_whoever_wrote_it);
    tcase_add_test(smollm, nul_bytes_are_text);
    tcase_add_test(smollm, more_tokens_than_the_limit_are_refused);
    tcase_add_test(smollm, a_piece_that_can_t_fit_the_limit_is_refused_before_it_is_merged);
    tcase_add_loop_test(smollm, a_megabyte_without_a_blank_is_encoded_in_time, 0, 7);
    tcase_add_test(smollm, a_megabyte_of_random_letters_is_encoded_in_time);
    tcase_add_test(smollm, the_same_text_gives_the_same_tokens_with_a_warm_cache);
    suite_add_tcase(suite, smollm);
    tcase_add_test(small, user_defined_tokens_are_recognised_everywhere_the_longest_first);
    tcase_add_test(small, the_text_begins_with_bos_if_the_vocabulary_wants_it_and_the_caller_too);
    tcase_add_test(small, a_blank_is_put_in_front_if_the_vocabulary_wants_it);
    tcase_add_test(small, llama_bpe_takes_a_piece_that_is_a_token_whole);
    tcase_add_test(small, bytes_that_the_vocabulary_lacks_are_left_out);
    tcase_add_test(small, a_file_without_pre_has_the_default_one);
    tcase_add_test(small, the_cache_has_one_place_a_word);
    tcase_add_test(small, texts_made_to_share_a_place_are_refused);
    suite_add_tcase(suite, small);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
