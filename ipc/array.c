/*
 * array.c - descriptions of typed arrays: sizes, names, strides
 */
#include "ipc/error.h"
#include <errno.h>
#include <millrace/array.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[MR_DTYPES] = {
    [MR_BOOL] = {"bool", 1},   [MR_I8] = {"int8", 1},       [MR_I16] = {"int16", 2},
    [MR_I32] = {"int32", 4},   [MR_I64] = {"int64", 8},     [MR_U8] = {"uint8", 1},
    [MR_U16] = {"uint16", 2},  [MR_U32] = {"uint32", 4},    [MR_U64] = {"uint64", 8},
    [MR_F16] = {"float16", 2}, [MR_BF16] = {"bfloat16", 2}, [MR_F32] = {"float32", 4},
    [MR_F64] = {"float64", 8}, [MR_C64] = {"complex64", 8}, [MR_C128] = {"complex128", 16},
};

size_t mr_dtype_size(uint32_t dtype)
{
    return dtype < MR_DTYPES ? dtypes[dtype].size : 0;
}

const char *mr_dtype_name(uint32_t dtype)
{
    return dtype < MR_DTYPES ? dtypes[dtype].name : NULL;
}

enum mr_dtype mr_dtype_from_name(const char *name)
{
    for (unsigned i = MR_BOOL; i < MR_DTYPES; i++)
        if (!strcmp(dtypes[i].name, name))
            return (enum mr_dtype)i;
    return MR_DTYPE_NONE;
}

int64_t mr_array_count(const mr_array *array)
{
    int64_t count = 1;
    bool empty = false;

    if (array->rank > MR_MAX_RANK || !mr_dtype_size(array->dtype))
        return mr_fail(EINVAL, "an array of dtype %u and rank %u is not known", array->dtype,
                       array->rank);
    for (uint32_t i = 0; i < array->rank; i++) {
        if (array->shape[i] < 0)
            return mr_fail(EINVAL, "an array has the length %lld in dimension %u",
                           (long long)array->shape[i], i);
        empty |= array->shape[i] == 0;
        if (array->shape[i] && __builtin_mul_overflow(count, array->shape[i], &count))
            return mr_fail(EOVERFLOW, "an array has more elements than can be counted");
    }
    return empty ? 0 : count;
}

int64_t mr_array_bytes(const mr_array *array)
{
    int64_t count = mr_array_count(array), bytes;

    if (count < 0)
        return count;
    if (__builtin_mul_overflow(count, (int64_t)mr_dtype_size(array->dtype), &bytes))
        return mr_fail(EOVERFLOW, "an array has more bytes than can be counted");
    return bytes;
}

void mr_array_make_contiguous(mr_array *array)
{
    uint64_t stride = mr_dtype_size(array->dtype);

    for (uint32_t i = array->rank; i-- > 0;) {
        array->strides[i] = (int64_t)stride;
        stride *= (uint64_t)array->shape[i];
    }
}

bool mr_array_is_contiguous(const mr_array *array)
{
    uint64_t stride = mr_dtype_size(array->dtype);

    for (uint32_t i = array->rank; i-- > 0;) {
        if (array->shape[i] == 0)
            return true;
        if (array->shape[i] != 1 && array->strides[i] != (int64_t)stride)
            return false;
        stride *= (uint64_t)array->shape[i];
    }
    return true;
}

int mr_array_tokens(const mr_array *array, mr_tokens *tokens)
{
    int64_t count = mr_array_count(array);

    if (count < 0)
        return (int)count;
    if (array->rank != 1)
        return mr_fail_code(EINVAL, MR_TEXT_TOKENS_NDIM,
                            "the tokens have %u dimensions, they must have one", array->rank);
    if (array->dtype != MR_I64)
        return mr_fail_code(EINVAL, MR_TEXT_TOKENS_DTYPE, "the tokens are %s, they must be int64",
                            mr_dtype_name(array->dtype));
    if (count == 0)
        return mr_fail_code(EINVAL, MR_TEXT_TOKENS_EMPTY, "the prompt has no tokens");
    if (!mr_array_is_contiguous(array))
        return mr_fail(ENOTSUP, "the tokens have gaps between them; copy them together first");
    *tokens = (mr_tokens){array->data, (size_t)count};
    return 0;
}

/* ---- copying ---- */

static unsigned char *copy_dimension(unsigned char *to, const mr_array *from, uint32_t dimension,
                                     const unsigned char *at)
{
    size_t size = mr_dtype_size(from->dtype);

    if (dimension == from->rank) {
        memcpy(to, at, size);
        return to + size;
    }
    for (int64_t i = 0; i < from->shape[dimension]; i++)
        to = copy_dimension(to, from, dimension + 1, at + i * from->strides[dimension]);
    return to;
}

void mr_array_copy(void *to, const mr_array *from)
{
    int64_t bytes = mr_array_bytes(from);

    if (bytes <= 0)
        return;
    if (mr_array_is_contiguous(from))
        memcpy(to, from->data, (size_t)bytes);
    else
        copy_dimension(to, from, 0, from->data);
}
