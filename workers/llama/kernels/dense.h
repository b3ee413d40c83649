/*
 * dense.h - products with weights that are floats of any width
 *
 * As in blocks.h, a tile of 16 rows is unpacked, CHUNK_COLUMNS at a time, so that a lane is a row
 * and a step is a column.
 */
#include "workers/llama/kernels/kernels.h"
#include "workers/llama/kernels/unroll.h"

ALWAYS_INLINE f32x16 floats_of(uint32_t type, const unsigned char *from)
{
    if (type == GGUF_F32)
        return f32x16_load((const float *)(const void *)from);
    if (type == GGUF_F16)
        return f32x16_from_f16((const uint16_t *)(const void *)from);
    return f32x16_from_bf16((const uint16_t *)(const void *)from);
}

/* 16 columns of a row, or what is left of them followed by zeros */
ALWAYS_INLINE f32x16 columns_of(uint32_t type, const matrix *w, uint32_t row, uint32_t column)
{
    size_t width = type == GGUF_F32 ? 4 : 2;
    float rest[LANES] = {0};

    if (column + LANES <= w->columns)
        return floats_of(type, w->data + row * w->row_bytes + column * width);
    if (column < w->columns)
        matrix_row(w, row, column, w->columns, rest);
    return f32x16_load(rest);
}

/* Columns [first, first + count), count a multiple of BLOCK, to [column][row]; rows past the last
 * one repeat it. */
ALWAYS_INLINE void unpack_columns(uint32_t type, const matrix *w, size_t tile, size_t first,
                                  size_t count, float *to)
{
    for (size_t c = 0; c < count; c += LANES) {
        i32x16 bits[LANES];

        UNROLL for (size_t r = 0; r < LANES; r++)
        {
            size_t row = tile * LANES + r;
            row = row < w->rows ? row : w->rows - 1;
            bits[r] = i32x16_bits_of(columns_of(type, w, (uint32_t)row, (uint32_t)(first + c)));
        }
        i32x16_transpose(bits);
        UNROLL for (size_t i = 0; i < LANES; i++)
            f32x16_store(to + (c + i) * LANES, f32x16_of_bits(bits[i]));
    }
}

/* Adds to `sums` ([row][LANES]) what the unpacked columns give for `rows` rows from row `row`. */
ALWAYS_INLINE void multiply_columns(const float *w, size_t first, size_t count, const inputs *in,
                                    size_t row, const int rows, float *sums)
{
    const float *x = in->x + row * in->stride + first;

    for (size_t b = 0; b < count; b += BLOCK) {
        f32x16 part[ROWS_AT_ONCE];
        UNROLL for (int m = 0; m < rows; m++) part[m] = f32x16_all(0.0f);

        for (size_t c = b; c < b + BLOCK; c++) {
            f32x16 column = f32x16_load(w + c * LANES);
            UNROLL for (int m = 0; m < rows; m++)
            {
                f32x16 value = f32x16_all(x[(size_t)m * in->stride + c]);
                part[m] = f32x16_add(part[m], f32x16_mul(column, value));
            }
        }
        UNROLL for (int m = 0; m < rows; m++)
            f32x16_store(sums + m * LANES, f32x16_add(f32x16_load(sums + m * LANES), part[m]));
    }
}

ALWAYS_INLINE void multiply_dense_tile(uint32_t type, const matrix *w, size_t tile,
                                       const inputs *in, float *sums, float *scratch)
{
    size_t columns = ((size_t)w->columns + BLOCK - 1) / BLOCK * BLOCK;

    for (size_t first = 0; first < columns; first += CHUNK_COLUMNS) {
        size_t count = columns - first < CHUNK_COLUMNS ? columns - first : CHUNK_COLUMNS;
        size_t row = 0;

        unpack_columns(type, w, tile, first, count, scratch);
        for (; row + ROWS_AT_ONCE <= in->rows; row += ROWS_AT_ONCE)
            multiply_columns(scratch, first, count, in, row, ROWS_AT_ONCE, sums + row * LANES);
        for (; row + 2 <= in->rows; row += 2)
            multiply_columns(scratch, first, count, in, row, 2, sums + row * LANES);
        if (row < in->rows)
            multiply_columns(scratch, first, count, in, row, 1, sums + row * LANES);
    }
}
