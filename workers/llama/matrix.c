/*
 * matrix.c - rows of a weight matrix as floats
 *
 * For the few rows that are needed as such (token embeddings, norms, ragged ends); products
 * read the matrix through the kernels.
 */
#include "workers/llama/matrix.h"

#include "workers/llama/half.h"

static uint16_t u16_at(const unsigned char *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static void row_of_q8_0(const unsigned char *block, float out[32])
{
    float scale = f32_from_f16(u16_at(block));

    for (int i = 0; i < 32; i++)
        out[i] = scale * (float)(int8_t)block[2 + i];
}

static void row_of_q4_0(const unsigned char *block, float out[32])
{
    float scale = f32_from_f16(u16_at(block));

    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)((block[2 + i] & 15) - 8);
        out[i + 16] = scale * (float)((block[2 + i] >> 4) - 8);
    }
}

static void row_of_q4_1(const unsigned char *block, float out[32])
{
    float scale = f32_from_f16(u16_at(block)), least = f32_from_f16(u16_at(block + 2));

    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)(block[4 + i] & 15) + least;
        out[i + 16] = scale * (float)(block[4 + i] >> 4) + least;
    }
}

static void row_of_blocks(const matrix *m, uint32_t row, uint32_t from, uint32_t to, float *out)
{
    uint32_t block_bytes = m->type == GGUF_Q8_0 ? 34 : m->type == GGUF_Q4_0 ? 18 : 20;
    const unsigned char *block = m->data + row * m->row_bytes + from / 32 * block_bytes;

    for (; from < to; from += 32, block += block_bytes, out += 32)
        if (m->type == GGUF_Q8_0)
            row_of_q8_0(block, out);
        else if (m->type == GGUF_Q4_0)
            row_of_q4_0(block, out);
        else
            row_of_q4_1(block, out);
}

void matrix_row(const matrix *m, uint32_t row, uint32_t from, uint32_t to, float *out)
{
    const unsigned char *data = m->data + row * m->row_bytes;

    switch (m->type) {
    case GGUF_F32:
        memcpy(out, data + from * sizeof(float), (to - from) * sizeof(float));
        break;
    case GGUF_F16:
        for (uint32_t i = from; i < to; i++)
            out[i - from] = f32_from_f16(u16_at(data + i * sizeof(uint16_t)));
        break;
    case GGUF_BF16:
        for (uint32_t i = from; i < to; i++)
            out[i - from] = f32_from_bf16(u16_at(data + i * sizeof(uint16_t)));
        break;
    default:
        row_of_blocks(m, row, from, to, out);
    }
}
