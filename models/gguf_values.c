/*
 * gguf_values.c - reading the metadata of an open GGUF file
 *
 * The pairs are sorted by key, so that one is found in O(log n) and no file can be made that
 * is slow to search. Numbers are copied out byte by byte: the format doesn't align them.
 */
#include "models/gguf_internal.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the GGUF reader takes numbers as they lie in the file: little-endian machines only"
#endif

size_t gguf_value_size(uint32_t type)
{
    static const unsigned char sizes[] = {
        [GGUF_VALUE_U8] = 1,  [GGUF_VALUE_I8] = 1,  [GGUF_VALUE_U16] = 2, [GGUF_VALUE_I16] = 2,
        [GGUF_VALUE_U32] = 4, [GGUF_VALUE_I32] = 4, [GGUF_VALUE_F32] = 4, [GGUF_VALUE_BOOL] = 1,
        [GGUF_VALUE_U64] = 8, [GGUF_VALUE_I64] = 8, [GGUF_VALUE_F64] = 8,
    };

    return type < sizeof(sizes) ? sizes[type] : 0;
}

int gguf_text_order(gguf_text a, gguf_text b)
{
    size_t shared = a.length < b.length ? a.length : b.length;
    int order = shared ? memcmp(a.bytes, b.bytes, shared) : 0;

    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static const gguf_value *find(const gguf *file, const char *key)
{
    gguf_text wanted = {key, strlen(key)};
    size_t low = 0;
    size_t high = file->value_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = gguf_text_order(wanted, file->values[middle].key);

        if (order == 0)
            return &file->values[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A number of any integer type. A U64 above INT64_MAX doesn't fit and gives false. */
static bool load_i64(uint32_t type, const void *bytes, int64_t *value)
{
    uint64_t raw = 0;
    size_t size = gguf_value_size(type);

    if (type == GGUF_VALUE_F32 || type == GGUF_VALUE_F64 || type == GGUF_VALUE_BOOL || size == 0)
        return false;
    memcpy(&raw, bytes, size);
    switch (type) {
    case GGUF_VALUE_I8:
        *value = (int8_t)raw;
        return true;
    case GGUF_VALUE_I16:
        *value = (int16_t)raw;
        return true;
    case GGUF_VALUE_I32:
        *value = (int32_t)raw;
        return true;
    default:
        *value = (int64_t)raw;
        return type != GGUF_VALUE_U64 || raw <= INT64_MAX;
    }
}

static bool load_f64(uint32_t type, const void *bytes, double *value)
{
    float narrow;

    if (type == GGUF_VALUE_F64) {
        memcpy(value, bytes, sizeof(*value));
        return true;
    }
    if (type != GGUF_VALUE_F32)
        return false;
    memcpy(&narrow, bytes, sizeof(narrow));
    *value = narrow;
    return true;
}

bool gguf_u64(const gguf *file, const char *key, uint64_t *value)
{
    const gguf_value *found = find(file, key);
    int64_t number;

    if (!found)
        return false;
    if (found->type == GGUF_VALUE_U64) {
        memcpy(value, found->bytes.bytes, sizeof(*value));
        return true;
    }
    if (!load_i64(found->type, found->bytes.bytes, &number) || number < 0)
        return false;
    *value = (uint64_t)number;
    return true;
}

bool gguf_f64(const gguf *file, const char *key, double *value)
{
    const gguf_value *found = find(file, key);

    return found && load_f64(found->type, found->bytes.bytes, value);
}

bool gguf_bool(const gguf *file, const char *key, bool *value)
{
    const gguf_value *found = find(file, key);

    if (!found || found->type != GGUF_VALUE_BOOL)
        return false;
    *value = found->bytes.bytes[0] != 0;
    return true;
}

bool gguf_string(const gguf *file, const char *key, gguf_text *value)
{
    const gguf_value *found = find(file, key);

    if (!found || found->type != GGUF_VALUE_STRING)
        return false;
    *value = found->bytes;
    return true;
}

bool gguf_get_array(const gguf *file, const char *key, gguf_array *value)
{
    const gguf_value *found = find(file, key);

    if (!found || found->type != GGUF_VALUE_ARRAY)
        return false;
    *value = found->array;
    return true;
}

bool gguf_array_strings(const gguf_array *array, gguf_strings *strings)
{
    if (array->type != GGUF_VALUE_STRING)
        return false;
    *strings = (gguf_strings){array->bytes, array->count};
    return true;
}

/* No bounds to check: gguf_parse() has walked each array of strings to its end. */
bool gguf_strings_next(gguf_strings *strings, gguf_text *text)
{
    uint64_t length;

    if (strings->left == 0)
        return false;
    memcpy(&length, strings->next, sizeof(length));
    *text = (gguf_text){(const char *)strings->next + sizeof(length), (size_t)length};
    strings->next += sizeof(length) + length;
    strings->left--;
    return true;
}

bool gguf_array_i64(const gguf_array *array, uint64_t i, int64_t *value)
{
    size_t size = gguf_value_size(array->type);

    return size && i < array->count && load_i64(array->type, array->bytes + i * size, value);
}

bool gguf_array_f64(const gguf_array *array, uint64_t i, double *value)
{
    size_t size = gguf_value_size(array->type);

    return size && i < array->count && load_f64(array->type, array->bytes + i * size, value);
}
