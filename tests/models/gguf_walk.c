/*
 * gguf_walk.c - reads everything that an open file offers
 */
#include "tests/models/gguf_walk.h"
#include "models/gguf_internal.h"

#include <stdlib.h>

static uint64_t mix(uint64_t sum, const void *bytes, uint64_t length)
{
    const unsigned char *next = bytes;

    for (uint64_t i = 0; i < length; i++)
        sum = (sum ^ next[i]) * UINT64_C(0x100000001B3);
    return sum;
}

static uint64_t walk_array(uint64_t sum, const gguf_array *array)
{
    gguf_strings strings;
    gguf_text text;
    int64_t whole;
    double real;

    if (gguf_array_strings(array, &strings)) {
        while (gguf_strings_next(&strings, &text))
            sum = mix(sum, text.bytes, text.length);
        return sum;
    }
    for (uint64_t i = 0; i < array->count; i++) {
        if (gguf_array_i64(array, i, &whole))
            sum = mix(sum, &whole, sizeof(whole));
        if (gguf_array_f64(array, i, &real))
            sum = mix(sum, &real, sizeof(real));
    }
    return sum;
}

/* Asks for a key in every way; at most one of them fits, but none may fail badly. */
static uint64_t walk_key(uint64_t sum, const gguf *file, const char *key)
{
    uint64_t whole;
    double real;
    bool truth;
    gguf_text text;
    gguf_array array;

    if (gguf_u64(file, key, &whole))
        sum = mix(sum, &whole, sizeof(whole));
    if (gguf_f64(file, key, &real))
        sum = mix(sum, &real, sizeof(real));
    if (gguf_bool(file, key, &truth))
        sum = mix(sum, &truth, sizeof(truth));
    if (gguf_string(file, key, &text))
        sum = mix(sum, text.bytes, text.length);
    if (gguf_get_array(file, key, &array))
        sum = walk_array(sum, &array);
    return sum;
}

static uint64_t walk_tensor(uint64_t sum, const gguf *file, const gguf_tensor *tensor)
{
    char *name = strndup(tensor->name.bytes, tensor->name.length);

    if (name && strlen(name) == tensor->name.length && gguf_find_tensor(file, name) != tensor)
        abort();
    free(name);
    return tensor->data ? mix(sum, tensor->data, tensor->bytes) : sum;
}

uint64_t gguf_walk(const gguf *file)
{
    uint64_t sum = gguf_fingerprint(file) ^ gguf_file_size(file);

    for (size_t i = 0; i < file->value_count; i++) {
        char *key = strndup(file->values[i].key.bytes, file->values[i].key.length);

        if (key)
            sum = walk_key(sum, file, key);
        free(key);
    }
    for (uint64_t i = 0; i < gguf_tensor_count(file); i++)
        sum = walk_tensor(sum, file, gguf_tensor_at(file, i));
    return sum;
}
