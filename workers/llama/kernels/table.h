/*
 * table.h - the kernels of one instruction set, from the lanes that were included before
 *
 * portable.c, avx2.c and avx512.c each include their lanes and then this file.
 */
#include "workers/llama/half.h"
#include "workers/llama/kernels/blocks.h"
#include "workers/llama/kernels/dense.h"
#include "workers/llama/kernels/pointwise.h"
/* after pointwise.h, whose exp_lanes() it uses */
#include "workers/llama/kernels/attention.h"

static void multiply_tile(const matrix *w, size_t tile, const inputs *in, float *sums,
                          float *scratch)
{
    switch (w->type) {
    case GGUF_F32:
        multiply_dense_tile(GGUF_F32, w, tile, in, sums, scratch);
        break;
    case GGUF_F16:
        multiply_dense_tile(GGUF_F16, w, tile, in, sums, scratch);
        break;
    case GGUF_BF16:
        multiply_dense_tile(GGUF_BF16, w, tile, in, sums, scratch);
        break;
    case GGUF_Q8_0:
        multiply_blocks_tile(GGUF_Q8_0, w, tile, in, sums, scratch);
        break;
    case GGUF_Q4_0:
        multiply_blocks_tile(GGUF_Q4_0, w, tile, in, sums, scratch);
        break;
    default:
        multiply_blocks_tile(GGUF_Q4_1, w, tile, in, sums, scratch);
    }
}

static void multiply(const matrix *w, size_t first, size_t end, const inputs *in, float *out,
                     size_t out_stride, float *scratch)
{
    float *sums = scratch + TILE_FLOATS;

    for (size_t tile = first; tile < end; tile++) {
        size_t at = tile * LANES, width = w->rows - at < LANES ? w->rows - at : LANES;

        memset(sums, 0, in->rows * LANES * sizeof(float));
        multiply_tile(w, tile, in, sums, scratch);
        for (size_t row = 0; row < in->rows; row++)
            memcpy(out + row * out_stride + at, sums + row * LANES, width * sizeof(float));
    }
}

#define KERNELS_TABLE(set)                                                                         \
    {                                                                                              \
        .name = set, .multiply = multiply, .quantise = quantise, .attend = attend, .norm = norm,   \
        .add = add, .gate = gate, .exponentials = exponentials                                     \
    }
