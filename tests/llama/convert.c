/*
 * convert.c - a model with its matrices in another type
 */
#include "tests/llama/convert.h"

#include "models/gguf_internal.h"
#include "tests/models/gguf_builder.h"
#include "workers/llama/half.h"
#include "workers/llama/matrix.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

/* To nearest, ties to even; values here are far from the format's largest. */
static uint16_t f16_of(float value)
{
    uint32_t bits = bits_of_f32(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;

    if (rest < 113u << 23) { /* a subnormal half: a multiple of 2^-24 */
        float scaled = rintf(fabsf(value) * 0x1p24f);
        return (uint16_t)(sign | (uint32_t)scaled);
    }
    rest = rest - (112u << 23);
    return (uint16_t)(sign | (rest + 0xfff + (rest >> 13 & 1)) >> 13);
}

static uint16_t bf16_of(float value)
{
    uint32_t bits = bits_of_f32(value);

    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void put_half(unsigned char *to, uint16_t half)
{
    memcpy(to, &half, sizeof(half));
}

static unsigned char code_of(float value)
{
    int code = (int)value;
    return (unsigned char)(code < 15 ? code : 15);
}

static void q4_0_block(const float *x, unsigned char *to)
{
    float most = 0;

    for (int i = 0; i < 32; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    float d = most / -8, inverse = d != 0 ? 1 / d : 0;
    put_half(to, f16_of(d));
    for (int i = 0; i < 16; i++)
        to[2 + i] = (unsigned char)(code_of(x[i] * inverse + 8.5f) |
                                    code_of(x[i + 16] * inverse + 8.5f) << 4);
}

static void q4_1_block(const float *x, unsigned char *to)
{
    float least = x[0], most = x[0];

    for (int i = 1; i < 32; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    float d = (most - least) / 15, inverse = d != 0 ? 1 / d : 0;
    put_half(to, f16_of(d));
    put_half(to + 2, f16_of(least));
    for (int i = 0; i < 16; i++)
        to[4 + i] = (unsigned char)(code_of((x[i] - least) * inverse + 0.5f) |
                                    code_of((x[i + 16] - least) * inverse + 0.5f) << 4);
}

static void q8_0_block(const float *x, unsigned char *to)
{
    float most = 0;

    for (int i = 0; i < 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    float d = most / 127, inverse = d != 0 ? 1 / d : 0;
    put_half(to, f16_of(d));
    for (int i = 0; i < 32; i++)
        to[2 + i] = (unsigned char)(int8_t)roundf(x[i] * inverse);
}

/* `count` values, a multiple of the type's block */
static void encode(uint32_t type, const float *x, size_t count, unsigned char *to)
{
    uint32_t elements, bytes;

    gguf_type_block(type, &elements, &bytes);
    for (size_t i = 0; i < count; i += elements, to += bytes)
        switch (type) {
        case GGUF_F32:
            memcpy(to, x + i, sizeof(*x));
            break;
        case GGUF_F16:
            put_half(to, f16_of(x[i]));
            break;
        case GGUF_BF16:
            put_half(to, bf16_of(x[i]));
            break;
        case GGUF_Q4_0:
            q4_0_block(x + i, to);
            break;
        case GGUF_Q4_1:
            q4_1_block(x + i, to);
            break;
        default:
            q8_0_block(x + i, to);
        }
}

/* ---- tensors ---- */

typedef struct {
    const gguf_tensor *from;
    uint32_t type;
    uint64_t offset, bytes;
} target;

static int by_name(const void *a, const void *b)
{
    return gguf_text_order(((const target *)a)->from->name, ((const target *)b)->from->name);
}

/* Says where each tensor will lie, in the order of names; returns the bytes of all. */
static uint64_t place(const gguf *file, uint32_t type, target *targets, gguf_builder *builder)
{
    uint64_t count = gguf_tensor_count(file), offset = 0;

    for (uint64_t i = 0; i < count; i++)
        targets[i] = (target){.from = gguf_tensor_at(file, i)};
    qsort(targets, count, sizeof(*targets), by_name);
    for (uint64_t i = 0; i < count; i++) {
        target *t = &targets[i];
        uint32_t elements, bytes;
        char name[128];

        t->type = t->from->rank == 2 ? type : t->from->type;
        gguf_type_block(t->type, &elements, &bytes);
        t->bytes =
            t->from->dims[0] / elements * bytes * (t->from->rank == 2 ? t->from->dims[1] : 1);
        t->offset = offset;
        offset += (t->bytes + 31) / 32 * 32;
        snprintf(name, sizeof(name), "%.*s", (int)t->from->name.length, t->from->name.bytes);
        gguf_builder_tensor(builder, name, t->type, t->from->rank, t->from->dims, t->offset);
    }
    return offset;
}

static void convert(const target *t, unsigned char *to)
{
    uint32_t elements, bytes, columns = (uint32_t)t->from->dims[0];
    uint32_t rows = t->from->rank == 2 ? (uint32_t)t->from->dims[1] : 1;
    matrix source = {
        .data = t->from->data, .rows = rows, .columns = columns, .type = t->from->type};
    float *row = calloc(columns, sizeof(*row));

    gguf_type_block(source.type, &elements, &bytes);
    source.row_bytes = (size_t)columns / elements * bytes;
    for (uint32_t i = 0; i < rows; i++) {
        matrix_row(&source, i, 0, columns, row);
        encode(t->type, row, columns, to + i * (t->bytes / rows));
    }
    free(row);
}

static uint64_t fnv1a(uint64_t hash, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static void write_file(const char *path, const gguf_builder *builder)
{
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(builder->bytes, 1, builder->length, file), builder->length);
    ck_assert_int_eq(fclose(file), 0);
}

uint64_t convert_model(const char *from, uint32_t type, const char *to)
{
    char error[512] = "";
    gguf *file = gguf_open(from, error, sizeof(error));
    gguf_builder builder;
    uint64_t checksum = 0xcbf29ce484222325;

    ck_assert_msg(file != NULL, "%s", error);
    target *targets = calloc(gguf_tensor_count(file), sizeof(*targets));
    gguf_builder_begin(&builder, 3);
    gguf_builder_copy(&builder, file, "");
    uint64_t size = place(file, type, targets, &builder);
    gguf_builder_finish(&builder, size);
    for (uint64_t i = 0; i < gguf_tensor_count(file); i++) {
        unsigned char *bytes = builder.bytes + builder.length - size + targets[i].offset;

        convert(&targets[i], bytes);
        checksum = fnv1a(checksum, bytes, targets[i].bytes);
    }
    write_file(to, &builder);
    gguf_builder_free(&builder);
    free(targets);
    gguf_close(file);
    return checksum;
}
