/*
 * gguf_builder.c - makes GGUF files in memory, good ones and bad ones, for tests
 */
#include "tests/models/gguf_builder.h"
#include "models/gguf_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TENSORS_AT = 8, PAIRS_AT = 16 };

void gguf_builder_bytes(gguf_builder *builder, const void *bytes, size_t length)
{
    if (builder->length + length > builder->room) {
        builder->room = (builder->length + length) * 2;
        builder->bytes = realloc(builder->bytes, builder->room);
        if (!builder->bytes)
            abort();
    }
    if (length)
        memcpy(builder->bytes + builder->length, bytes, length);
    builder->length += length;
}

void gguf_builder_u32(gguf_builder *builder, uint32_t number)
{
    gguf_builder_bytes(builder, &number, sizeof(number));
}

void gguf_builder_u64(gguf_builder *builder, uint64_t number)
{
    gguf_builder_bytes(builder, &number, sizeof(number));
}

static void put_view(gguf_builder *builder, gguf_text text)
{
    gguf_builder_u64(builder, text.length);
    gguf_builder_bytes(builder, text.bytes, text.length);
}

void gguf_builder_text(gguf_builder *builder, const char *text)
{
    put_view(builder, (gguf_text){text, strlen(text)});
}

void gguf_builder_begin(gguf_builder *builder, uint32_t version)
{
    *builder = (gguf_builder){0};
    gguf_builder_bytes(builder, "GGUF", 4);
    gguf_builder_u32(builder, version);
    gguf_builder_u64(builder, 0);
    gguf_builder_u64(builder, 0);
}

void gguf_builder_free(gguf_builder *builder)
{
    free(builder->bytes);
    *builder = (gguf_builder){0};
}

void gguf_builder_key(gguf_builder *builder, const char *key, uint32_t type)
{
    builder->pairs++;
    gguf_builder_text(builder, key);
    gguf_builder_u32(builder, type);
}

void gguf_builder_add_u32(gguf_builder *builder, const char *key, uint32_t number)
{
    gguf_builder_key(builder, key, GGUF_VALUE_U32);
    gguf_builder_u32(builder, number);
}

void gguf_builder_add_bool(gguf_builder *builder, const char *key, bool value)
{
    const unsigned char byte = value;

    gguf_builder_key(builder, key, GGUF_VALUE_BOOL);
    gguf_builder_bytes(builder, &byte, 1);
}

void gguf_builder_add_string(gguf_builder *builder, const char *key, const char *text)
{
    gguf_builder_key(builder, key, GGUF_VALUE_STRING);
    gguf_builder_text(builder, text);
}

void gguf_builder_add_strings(gguf_builder *builder, const char *key, const char *const *texts,
                              size_t count)
{
    gguf_builder_key(builder, key, GGUF_VALUE_ARRAY);
    gguf_builder_u32(builder, GGUF_VALUE_STRING);
    gguf_builder_u64(builder, count);
    for (size_t i = 0; i < count; i++)
        gguf_builder_text(builder, texts[i]);
}

void gguf_builder_add_i32s(gguf_builder *builder, const char *key, const int32_t *numbers,
                           size_t count)
{
    gguf_builder_key(builder, key, GGUF_VALUE_ARRAY);
    gguf_builder_u32(builder, GGUF_VALUE_I32);
    gguf_builder_u64(builder, count);
    gguf_builder_bytes(builder, numbers, count * sizeof(*numbers));
}

static void put_value(gguf_builder *builder, const gguf_value *value)
{
    if (value->type == GGUF_VALUE_ARRAY) {
        gguf_builder_u32(builder, value->array.type);
        gguf_builder_u64(builder, value->array.count);
        gguf_builder_bytes(builder, value->array.bytes, value->array.size);
    } else if (value->type == GGUF_VALUE_STRING) {
        put_view(builder, value->bytes);
    } else {
        gguf_builder_bytes(builder, value->bytes.bytes, value->bytes.length);
    }
}

void gguf_builder_copy(gguf_builder *builder, const gguf *file, const char *except)
{
    gguf_text excepted = {except, strlen(except)};

    for (size_t i = 0; i < file->value_count; i++) {
        const gguf_value *value = &file->values[i];

        if (gguf_text_order(value->key, excepted) == 0)
            continue;
        builder->pairs++;
        put_view(builder, value->key);
        gguf_builder_u32(builder, value->type);
        put_value(builder, value);
    }
}

void gguf_builder_tensor(gguf_builder *builder, const char *name, uint32_t type, uint32_t rank,
                         const uint64_t *dims, uint64_t offset)
{
    builder->tensors++;
    gguf_builder_text(builder, name);
    gguf_builder_u32(builder, rank);
    gguf_builder_bytes(builder, dims, rank * sizeof(*dims));
    gguf_builder_u32(builder, type);
    gguf_builder_u64(builder, offset);
}

void gguf_builder_finish(gguf_builder *builder, size_t data)
{
    static const unsigned char zeros[32];

    while (builder->length % sizeof(zeros))
        gguf_builder_bytes(builder, zeros, 1);
    for (; data; data -= data < sizeof(zeros) ? data : sizeof(zeros))
        gguf_builder_bytes(builder, zeros, data < sizeof(zeros) ? data : sizeof(zeros));
    memcpy(builder->bytes + TENSORS_AT, &builder->tensors, sizeof(builder->tensors));
    memcpy(builder->bytes + PAIRS_AT, &builder->pairs, sizeof(builder->pairs));
}
