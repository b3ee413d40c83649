/*
 * vectors.c - files of lines with the tokens that a reference made of them
 */
#include "tests/tokenizer/vectors.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

uint64_t vectors_open(const char *path)
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
    ck_assert_uint_ge(size, 6);
    ck_assert_int_eq(memcmp(bytes, "MRTV1\n", 6), 0);
    at = 6;
    return varint();
}

void vectors_close(void)
{
    ck_assert_uint_eq(at, size);
    free(bytes);
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

vector vectors_read(size_t lists)
{
    vector next = {.special = varint() & 1};

    next.length = varint();
    if (next.length > size - at)
        ck_abort_msg("the vectors are cut off");
    next.text = (const char *)bytes + at;
    at += next.length;
    for (size_t i = 0; i < lists; i++)
        next.lists[i] = read_list(next.lists[0]);
    return next;
}

void vector_free(vector *line)
{
    for (size_t i = 1; i < VECTOR_LISTS; i++)
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

bool vector_agrees(fixture *made, const vector *line, size_t list, const char *what)
{
    const id_list *wanted = &line->lists[list];
    encoder_tokens got = fixture_encode(made, line->text, line->length, line->special);

    if (got.count == wanted->count &&
        (got.count == 0 || memcmp(got.ids, wanted->ids, got.count * sizeof(*got.ids)) == 0))
        return true;
    fprintf(stderr, "a line with %s:", what);
    for (size_t i = 0; i < line->length; i++)
        fprintf(stderr, " %02x", (unsigned char)line->text[i]);
    fprintf(stderr, "\n");
    show(made, "wanted", wanted->ids, wanted->count);
    show(made, "got", got.ids, got.count);
    return false;
}
