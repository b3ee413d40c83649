/*
 * blocks.h - products with quantised weights
 *
 * A tile of 16 rows is unpacked, CHUNK_COLUMNS at a time, so that a lane is a row and a step is a
 * pair of columns; then each row of the batch walks over it. So weights are read and unpacked
 * once a batch. Sums between chunks rest in scratch. A batch of one row takes the blocks as they
 * are, a lane being a pair of columns, and adds the lanes up; the sums are of whole numbers, so
 * both ways give the same.
 */
#include "workers/llama/kernels/kernels.h"
#include "workers/llama/kernels/unroll.h"

enum { CHUNK_BLOCKS = CHUNK_COLUMNS / BLOCK, PAIRS = BLOCK / 2 };

/* Of a tile: pairs [block][pair][row], scales [block][row], minima [block][row]. */
typedef struct {
    int32_t *pairs;
    float *scale;
    float *least;
} unpacked_blocks;

ALWAYS_INLINE size_t bytes_of_block(uint32_t type)
{
    return type == GGUF_Q8_0 ? 34 : type == GGUF_Q4_0 ? 18 : 20;
}

ALWAYS_INLINE i32x16 pairs_of_block(uint32_t type, const unsigned char *block)
{
    if (type == GGUF_Q8_0)
        return pairs_from_i8(block + 2);
    if (type == GGUF_Q4_0)
        return pairs_less(pairs_from_u4(block + 2), 8);
    return pairs_from_u4(block + 4);
}

/* The tile's 16 blocks of 32 columns each: pairs, scales and minima. Rows past the last one repeat
 * it; their results are not stored. */
ALWAYS_INLINE void load_blocks(uint32_t type, const unsigned char *const row[LANES], size_t block,
                               i32x16 pairs[LANES], f32x16 *scale, f32x16 *least)
{
    uint16_t scales[LANES], minima[LANES];

    UNROLL for (size_t r = 0; r < LANES; r++)
    {
        const unsigned char *from = row[r] + block * bytes_of_block(type);
        pairs[r] = pairs_of_block(type, from);
        memcpy(&scales[r], from, sizeof(scales[r]));
        memcpy(&minima[r], from + 2, sizeof(minima[r]));
    }
    *scale = f32x16_from_f16(scales);
    *least = f32x16_from_f16(minima);
}

ALWAYS_INLINE void find_rows(const matrix *w, size_t tile, const unsigned char *row[LANES])
{
    for (size_t r = 0; r < LANES; r++) {
        size_t index = tile * LANES + r;
        row[r] = w->data + (index < w->rows ? index : w->rows - 1) * w->row_bytes;
    }
}

ALWAYS_INLINE void unpack_blocks(uint32_t type, const unsigned char *const row[LANES], size_t first,
                                 size_t count, const unpacked_blocks *to)
{
    for (size_t b = 0; b < count; b++) {
        i32x16 pairs[LANES];
        f32x16 scale, least;

        load_blocks(type, row, first + b, pairs, &scale, &least);
        i32x16_transpose(pairs);
        UNROLL for (size_t p = 0; p < PAIRS; p++)
            i32x16_store(to->pairs + (b * PAIRS + p) * LANES, pairs[p]);
        f32x16_store(to->scale + b * LANES, scale);
        f32x16_store(to->least + b * LANES, least);
    }
}

/* A block's part of the sums: (scale_w scale_x) (float)whole, and for minima what belongs to them
 */
ALWAYS_INLINE f32x16 part_of_sum(uint32_t type, i32x16 whole, f32x16 scale_w, f32x16 least_w,
                                 float scale_x, float sum_x)
{
    f32x16 part = f32x16_mul(f32x16_mul(scale_w, f32x16_all(scale_x)), f32x16_from_i32(whole));

    if (type == GGUF_Q4_1) {
        f32x16 by = f32x16_mul(least_w, f32x16_all(scale_x));
        part = f32x16_add(part, f32x16_mul(by, f32x16_all(sum_x)));
    }
    return part;
}

/* All of the product for a batch of one row. */
ALWAYS_INLINE void multiply_single_row(uint32_t type, const unsigned char *const row[LANES],
                                       size_t blocks, const inputs *in, float *sums)
{
    f32x16 sum = f32x16_all(0.0f);

    for (size_t b = 0; b < blocks; b++) {
        i32x16 x = i32x16_load((const int32_t *)(const void *)(in->q + b * BLOCK)), pairs[LANES];
        f32x16 scale, least;

        load_blocks(type, row, b, pairs, &scale, &least);
        UNROLL for (size_t r = 0; r < LANES; r++) pairs[r] =
            i32x16_add_pairs(i32x16_all(0), pairs[r], x);
        sum = f32x16_add(
            sum, part_of_sum(type, i32x16_sums(pairs), scale, least, in->scale[b], in->sum[b]));
    }
    f32x16_store(sums, sum);
}

/* Adds to `sums` ([row][LANES]) what the unpacked blocks give for `rows` rows from row `row`. */
ALWAYS_INLINE void multiply_blocks(uint32_t type, const unpacked_blocks *w, size_t first,
                                   size_t count, const inputs *in, size_t row, const int rows,
                                   float *sums)
{
    const int16_t *q = in->q + row * in->stride + first * BLOCK;
    const float *scale = in->scale + row * (in->stride / BLOCK) + first;
    const float *sum = in->sum + row * (in->stride / BLOCK) + first;

    for (size_t b = 0; b < count; b++) {
        i32x16 whole[ROWS_AT_ONCE];
        UNROLL for (int m = 0; m < rows; m++) whole[m] = i32x16_all(0);

        for (size_t p = 0; p < PAIRS; p++) {
            i32x16 pairs = i32x16_load(w->pairs + (b * PAIRS + p) * LANES);
            UNROLL for (int m = 0; m < rows; m++)
            {
                int32_t pair;
                memcpy(&pair, q + (size_t)m * in->stride + b * BLOCK + 2 * p, sizeof(pair));
                whole[m] = i32x16_add_pairs(whole[m], pairs, i32x16_all(pair));
            }
        }
        UNROLL for (int m = 0; m < rows; m++)
        {
            size_t at = (size_t)m * (in->stride / BLOCK) + b;
            f32x16 part = part_of_sum(type, whole[m], f32x16_load(w->scale + b * LANES),
                                      f32x16_load(w->least + b * LANES), scale[at], sum[at]);
            f32x16_store(sums + m * LANES, f32x16_add(f32x16_load(sums + m * LANES), part));
        }
    }
}

ALWAYS_INLINE void multiply_blocks_tile(uint32_t type, const matrix *w, size_t tile,
                                        const inputs *in, float *sums, float *scratch)
{
    unpacked_blocks unpacked = {(int32_t *)(void *)scratch, scratch + CHUNK_COLUMNS * LANES / 2,
                                scratch + CHUNK_COLUMNS * LANES / 2 + CHUNK_BLOCKS * LANES};
    size_t blocks = w->columns / BLOCK;
    const unsigned char *rows[LANES];

    find_rows(w, tile, rows);
    if (in->rows == 1) {
        multiply_single_row(type, rows, blocks, in, sums);
        return;
    }
    for (size_t first = 0; first < blocks; first += CHUNK_BLOCKS) {
        size_t count = blocks - first < CHUNK_BLOCKS ? blocks - first : CHUNK_BLOCKS;
        size_t row = 0;

        unpack_blocks(type, rows, first, count, &unpacked);
        for (; row + ROWS_AT_ONCE <= in->rows; row += ROWS_AT_ONCE)
            multiply_blocks(type, &unpacked, first, count, in, row, ROWS_AT_ONCE,
                            sums + row * LANES);
        for (; row + 2 <= in->rows; row += 2)
            multiply_blocks(type, &unpacked, first, count, in, row, 2, sums + row * LANES);
        if (row < in->rows)
            multiply_blocks(type, &unpacked, first, count, in, row, 1, sums + row * LANES);
    }
}
