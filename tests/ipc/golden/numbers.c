/*
 * numbers.c - arrays as the vectors write them, and the checksum by which long ones are compared
 */
#include "tests/ipc/golden/golden.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A hexadecimal float, "inf", "nan", or a plain number. */
double json_float(const json_t *value)
{
    return json_is_string(value) ? strtod(json_string_value(value), NULL)
                                 : json_number_value(value);
}

/* The bits of a half precision float; the value must be one. */
static uint16_t half_of(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;
    double fraction = frexp(fabs(value), &exponent); /* in [0.5, 1) */

    if (isnan(value))
        return 0x7e00;
    if (isinf(value))
        return sign | 0x7c00;
    if (value == 0)
        return sign;
    if (exponent < -13)
        return sign | (uint16_t)ldexp(fraction, exponent + 24);
    return sign | (uint16_t)((exponent + 14) << 10) | ((uint16_t)ldexp(fraction, 11) & 0x3ff);
}

static void store(const mr_array *array, size_t i, const json_t *value)
{
    unsigned char *at = (unsigned char *)array->data + i * mr_dtype_size(array->dtype);
    float f32 = (float)json_float(value);
    double f64 = json_float(value);
    int64_t integer = json_integer_value(value);
    uint16_t half = half_of(f64);

    if (array->dtype == MR_F32)
        memcpy(at, &f32, sizeof(f32));
    else if (array->dtype == MR_F16)
        memcpy(at, &half, sizeof(half));
    else if (array->dtype == MR_F64)
        memcpy(at, &f64, sizeof(f64));
    else
        memcpy(at, &integer, mr_dtype_size(array->dtype)); /* little-endian */
}

mr_array json_typed_array(struct pool *pool, const json_t *object)
{
    const json_t *shape = json_object_get(object, "shape"), *data = json_object_get(object, "data");
    const char *dtype = json_string_value(json_object_get(object, "dtype"));
    mr_array array = {.dtype = mr_dtype_from_name(dtype), .rank = (uint32_t)json_array_size(shape)};

    for (uint32_t i = 0; i < array.rank; i++)
        array.shape[i] = json_integer_value(json_array_get(shape, i));
    mr_array_make_contiguous(&array);
    array.data = pool_get(pool, (size_t)mr_array_bytes(&array));
    for (size_t i = 0; i < json_array_size(data); i++)
        store(&array, i, json_array_get(data, i));
    return array;
}

json_t *shape_of(const mr_array *array)
{
    json_t *shape = json_array();

    for (uint32_t i = 0; i < array->rank; i++)
        json_array_append_new(shape, json_integer(array->shape[i]));
    return shape;
}

/* The checksum of zlib and PNG. */
static uint32_t crc32_of(const unsigned char *bytes, size_t count)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

json_t *checksum_of(const mr_array *array)
{
    return json_integer(crc32_of(array->data, (size_t)mr_array_bytes(array)));
}
