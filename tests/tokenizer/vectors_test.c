/*
 * vectors_test.c - each line of vectors.bin gives the very tokens that Hugging Face's tokenizers
 * gave, with each pre-tokenizer
 *
 * make_vectors.py made the file and tells its format. MILLRACE_VECTORS names another file.
 */
#include "tests/tokenizer/fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRE_TOKENIZERS = 5, MAX_FAILURES = 20 };

static const char *const pre_tokenizers[PRE_TOKENIZERS] = {"default", "gpt-2", "smollm",
                                                           "llama-bpe", "qwen2"};

typedef struct {
    int64_t *ids;
    size_t count;
} id_list;

typedef struct {
    bool special;
    const char *text;
    size_t length;
    id_list lists[PRE_TOKENIZERS];
} vector;

static unsigned char *bytes;
static size_t size;
static size_t at;

static uint64_t varint(void)
{
    uint64_t number = 0;
    unsigned shift = 0;

    do {
        if (at >= size)
            ck_abort_msg("the vectors are cut off");
        number |= (uint64_t)(bytes[at] & 127) << shift;
        shift += 7;
    } while (bytes[at++] & 128);
    return number;
}

static void read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long length;

    ck_assert_msg(file != NULL, "no file '%s'", path);
    fseek(file, 0, SEEK_END);
    length = ftell(file);
    rewind(file);
    size = (size_t)length;
    bytes = malloc(size + 1);
    ck_assert_uint_eq(fread(bytes, 1, size, file), size);
    fclose(file);
}

static id_list read_list(id_list first)
{
    uint64_t count = varint();
    id_list list = {NULL, (size_t)count - 1};

    if (count == 0)
        return first;
    list.ids = calloc(list.count + 1, sizeof(*list.ids));
    for (size_t i = 0; i < list.count; i++)
        list.ids[i] = (int64_t)varint();
    return list;
}

static vector read_vector(void)
{
    vector next = {.special = varint() & 1};

    next.length = varint();
    if (next.length > size - at)
        ck_abort_msg("the vectors are cut off");
    next.text = (const char *)bytes + at;
    at += next.length;
    for (size_t i = 0; i < PRE_TOKENIZERS; i++)
        next.lists[i] = read_list(next.lists[0]);
    return next;
}

static void free_vector(vector *line)
{
    for (size_t i = 1; i < PRE_TOKENIZERS; i++)
        if (line->lists[i].ids != line->lists[0].ids)
            free(line->lists[i].ids);
    free(line->lists[0].ids);
}

static void show(const fixture *made, const char *who, const int64_t *ids, size_t count)
{
    fprintf(stderr, "  %s:", who);
    for (size_t i = 0; i < count; i++) {
        gguf_text text = vocabulary_bytes(made->vocab, ids[i]);

        fprintf(stderr, " %lld[%.*s]", (long long)ids[i], (int)text.length, text.bytes);
    }
    fprintf(stderr, "\n");
}

static bool agrees(fixture *made, const vector *line, size_t pre, uint64_t number)
{
    const id_list *wanted = &line->lists[pre];
    encoder_tokens got = fixture_encode(made, line->text, line->length, line->special);

    if (got.count == wanted->count &&
        (got.count == 0 || memcmp(got.ids, wanted->ids, got.count * sizeof(*got.ids)) == 0))
        return true;
    fprintf(stderr, "line %llu with %s:", (unsigned long long)number, pre_tokenizers[pre]);
    for (size_t i = 0; i < line->length; i++)
        fprintf(stderr, " %02x", (unsigned char)line->text[i]);
    fprintf(stderr, "\n");
    show(made, "wanted", wanted->ids, wanted->count);
    show(made, "got", got.ids, got.count);
    return false;
}

START_TEST(every_line_gives_the_reference_s_tokens)
{
    const char *other = getenv("MILLRACE_VECTORS");
    fixture made;
    uint64_t lines;
    unsigned failures = 0;

    fixture_open(&made, pre_tokenizers[_i]);
    read_file(other ? other : fixture_path("tokenizer/vectors.bin"));
    ck_assert_uint_ge(size, 6);
    ck_assert_int_eq(memcmp(bytes, "MRTV1\n", 6), 0);
    at = 6;
    lines = varint();
    ck_assert_uint_ge(lines, 10000);
    for (uint64_t i = 0; i < lines && failures < MAX_FAILURES; i++) {
        vector line = read_vector();

        failures += !agrees(&made, &line, (size_t)_i, i);
        free_vector(&line);
    }
    ck_assert_uint_eq(failures, 0);
    ck_assert_uint_eq(at, size);
    free(bytes);
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
    tcase_add_loop_test(tests, every_line_gives_the_reference_s_tokens, 0, PRE_TOKENIZERS);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
