/*
 * bpe_test.c - merging agrees with the definition, done the slow way, on random vocabularies
 */
#include "runtime/tokenizer/bpe.h"
#include "tests/tokenizer/small_vocabulary.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LETTERS = 4, MERGES = 60, LONGEST = 300 };

typedef struct {
    char tokens[LETTERS + MERGES][32];
    char merges[MERGES][64];
    size_t count; /* of tokens */
} words;

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

static bool has_token(const words *made, const char *token)
{
    for (size_t i = 0; i < made->count; i++)
        if (strcmp(made->tokens[i], token) == 0)
            return true;
    return false;
}

static void make_words(words *made, unsigned *state)
{
    for (made->count = 0; made->count < LETTERS; made->count++)
        snprintf(made->tokens[made->count], sizeof(made->tokens[0]), "%c",
                 (char)('a' + made->count));
    while (made->count < LETTERS + MERGES) {
        char left[32];
        char right[32];
        char both[64];

        strcpy(left, made->tokens[next_random(state) % made->count]);
        strcpy(right, made->tokens[next_random(state) % made->count]);
        snprintf(both, sizeof(both), "%s%s", left, right);
        if (strlen(both) > 12 || has_token(made, both))
            continue;
        snprintf(made->merges[made->count - LETTERS], sizeof(made->merges[0]), "%s %s", left,
                 right);
        strcpy(made->tokens[made->count++], both);
    }
}

static vocabulary *load_words(const words *made, gguf_builder *builder, gguf **file)
{
    static small_vocabulary small;
    char error[256];
    vocabulary *vocab;

    small.token_count = made->count;
    small.merge_count = MERGES;
    for (size_t i = 0; i < made->count; i++)
        small.tokens[i] = made->tokens[i];
    for (size_t i = 0; i < MERGES; i++)
        small.merges[i] = made->merges[i];
    small_vocabulary_begin(&small, "gpt-2", builder);
    vocab = small_vocabulary_load(builder, file, error, sizeof(error));
    ck_assert_msg(vocab != NULL, "%s", error);
    return vocab;
}

static size_t rank_of(const words *made, int32_t left, int32_t right)
{
    char pair[80];

    snprintf(pair, sizeof(pair), "%s %s", made->tokens[left], made->tokens[right]);
    for (size_t rank = 0; rank < MERGES; rank++)
        if (strcmp(made->merges[rank], pair) == 0)
            return rank;
    return SIZE_MAX;
}

/* By the definition: again and again the pair of the lowest rank, the leftmost of equals. */
static size_t merge_slowly(const words *made, const char *piece, size_t length, int32_t *ids)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        if (piece[i] < 'a' + LETTERS)
            ids[n++] = piece[i] - 'a';
    for (;;) {
        size_t best = SIZE_MAX;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            size_t rank = rank_of(made, ids[i], ids[i + 1]);

            if (rank < best) {
                best = rank;
                at = i;
            }
        }
        if (best == SIZE_MAX)
            return n;
        ids[at] = (int32_t)(LETTERS + best);
        memmove(&ids[at + 1], &ids[at + 2], (n - at - 2) * sizeof(*ids));
        n--;
    }
}

/* The last letter drawn is one that the vocabulary lacks. */
static size_t make_piece(char *piece, unsigned *state)
{
    size_t length = next_random(state) % LONGEST;
    unsigned letters = 1 + next_random(state) % (LETTERS + 1);

    for (size_t i = 0; i < length; i++)
        piece[i] = (char)('a' + next_random(state) % letters);
    return length;
}

START_TEST(pieces_of_any_length_are_merged_as_defined)
{
    unsigned state = (unsigned)_i + 1;
    merge_memory memory = {0};
    gguf_builder builder;
    gguf *file;
    words made;
    vocabulary *vocab;

    make_words(&made, &state);
    vocab = load_words(&made, &builder, &file);
    for (unsigned round = 0; round < 60; round++) {
        char piece[LONGEST];
        int32_t wanted[LONGEST];
        int32_t got[LONGEST];
        size_t length = make_piece(piece, &state);
        size_t wanted_count = merge_slowly(&made, piece, length, wanted);
        size_t count;

        if (bpe_merge(vocab, &memory, piece, length, got, &count) != 0 || count != wanted_count ||
            memcmp(got, wanted, count * sizeof(*got)) != 0)
            ck_abort_msg("'%.*s' is merged otherwise", (int)length, piece);
    }
    merge_memory_free(&memory);
    vocabulary_free(vocab);
    gguf_close(file);
    gguf_builder_free(&builder);
}
END_TEST

START_TEST(the_first_of_two_merges_of_a_pair_counts)
{
    merge_table table;

    ck_assert_int_eq(merges_init(&table, 2), 0);
    ck_assert_uint_eq(merges_find(&table, 1, 2), MERGE_NONE);
    ck_assert_int_eq(merges_add(&table, 1, 2, 7, 3), 0);
    ck_assert_int_eq(merges_add(&table, 1, 2, 9, 4), 0);
    ck_assert_uint_eq(merges_find(&table, 1, 2), UINT64_C(7) << 32 | 3);
    ck_assert_uint_eq(merges_find(&table, 2, 1), MERGE_NONE);
    merges_clear(&table);
}
END_TEST

START_TEST(merges_made_to_share_a_place_are_refused)
{
    merge_table table;
    int result = 0;

    ck_assert_int_eq(merges_init(&table, 2048), 0);
    for (int32_t left = 0; result == 0 && left < 10000; left++)
        for (int32_t right = 0; result == 0 && right < 1000; right++)
            if (merges_place(&table, (uint64_t)left << 32 | (uint32_t)right) == 0)
                result = merges_add(&table, left, right, 0, 0);
    ck_assert_int_eq(result, -EINVAL);
    merges_clear(&table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bpe");
    TCase *tests = tcase_create("bpe");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tests, pieces_of_any_length_are_merged_as_defined, 0, 20);
    tcase_add_test(tests, the_first_of_two_merges_of_a_pair_counts);
    tcase_add_test(tests, merges_made_to_share_a_place_are_refused);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
