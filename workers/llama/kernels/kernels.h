/*
 * kernels.h - the inner loops, once for each instruction set, with the same bits in all of them
 *
 * The bits are fixed by these rules, whatever the instruction set, the number of rows that are
 * computed together, the threads and the order of the work:
 *
 *   product    An element of an output is a sum over the blocks of 32 columns, in order, starting
 *              from +0. With float weights a block's part is w*x summed in order of the columns,
 *              starting from +0. With quantised weights the inputs are quantised too, to 16 bits
 *              with a scale a block (quantise), and a block's part is
 *                  (scale_w * scale_x) * (float)sum(q_w * q_x)        [ + (min_w * scale_x) *
 *                                                                       (float)sum(q_x) ]
 *              whose integer sums are exact in any order. The rounding of the inputs is 2^-16 of
 *              the largest of 32, as good as exact beside the weights.
 *   attention  A score is summed over the dimensions in order, then scaled. The exponentials are
 *              summed in 16 lanes (lane = position mod 16) that fold as fold() says. An output is
 *              summed over pages of 16 positions in order, a page in order from +0, then divided.
 *   norm       Squares are summed in 16 lanes (lane = index mod 16) that fold as fold() says.
 *
 * No fused multiply-add is used, since not every machine has one; -ffp-contract=off sees to it.
 * Terms beyond the end of something are +0 or -0, which changes no sum that began at +0.
 *
 * Arrays of activations are padded with zeros to a multiple of BLOCK floats; `n` counts the
 * padding.
 */
#ifndef MILLRACE_LLAMA_KERNELS_H
#define MILLRACE_LLAMA_KERNELS_H

#include "workers/llama/matrix.h"

enum {
    BLOCK = 32,          /* columns that share a scale */
    LANES = 16,          /* rows of a tile, positions of a page, floats of a step */
    CHUNK_COLUMNS = 512, /* columns that are unpacked at a time */
    QUERIES_AT_ONCE = 4, /* queries that share a walk over the keys */
    TILE_FLOATS = CHUNK_COLUMNS * LANES + 2 * CHUNK_COLUMNS / BLOCK * LANES
};

/* Inputs of a product: one row of the batch after the other. */
typedef struct {
    float *x;      /* [rows][stride] */
    int16_t *q;    /* [rows][stride]; these three only for quantised weights */
    float *scale;  /* [rows][stride / BLOCK] */
    float *sum;    /* [rows][stride / BLOCK], of q */
    size_t stride; /* a multiple of BLOCK */
    size_t rows;
} inputs;

/* Keys and values of one layer and head of a sequence. A page holds LANES positions:
 * keys [size][LANES], then values [LANES][padded size]. */
typedef struct {
    const float *memory;
    const uint32_t *pages;
    size_t page_floats;
    size_t offset;   /* of the layer's and head's keys in a page */
    uint32_t size;   /* dimensions of a head */
    uint32_t padded; /* the same, rounded up to LANES */
    float scale;     /* of the scores */
} cache_view;

/* One query: it sees the positions [0, last]. */
typedef struct {
    const float *q;
    float *out; /* `size` floats */
    uint32_t last;
} query;

typedef struct {
    const char *name;

    /* out[row][r] = sum of w[r][k] * in[row][k] for the tiles [first, end) of LANES outputs r;
     * `scratch` holds kernels_scratch(in->rows) floats, 64-byte aligned */
    void (*multiply)(const matrix *w, size_t first, size_t end, const inputs *in, float *out,
                     size_t out_stride, float *scratch);

    /* row `row` of in->x to 16 bits a value: q, scale, sum */
    void (*quantise)(const inputs *in, size_t row);

    /* `count` queries, at most QUERIES_AT_ONCE; `scores` holds that many rows of score_stride
     * floats, each with room for the last position rounded up to LANES */
    void (*attend)(const cache_view *cache, const query *queries, size_t count, float *scores,
                   size_t score_stride);

    /* out = x / sqrt(mean of squares + epsilon) * w, over `true_n` values */
    void (*norm)(const float *x, const float *w, size_t n, size_t true_n, float epsilon,
                 float *out);

    void (*add)(float *x, const float *y, size_t n);      /* x += y */
    void (*gate)(float *gate, const float *up, size_t n); /* gate = silu(gate) * up */
    /* out = exp((x - greatest) / temperature), where x <= greatest; n a multiple of LANES */
    void (*exponentials)(const float *x, size_t n, float greatest, float temperature, float *out);
} kernels;

/* Floats of scratch that multiply() needs for so many rows of the batch. */
static inline size_t kernels_scratch(size_t rows)
{
    return TILE_FLOATS + rows * LANES;
}

extern const kernels kernels_portable;
#if defined(__x86_64__)
extern const kernels kernels_avx2, kernels_avx512;
#endif

/* kernels_select - the fastest set that this machine can run or, with a name (portable, avx2,
 * avx512), that one; NULL if there is none such or the machine can't run it */
const kernels *kernels_select(const char *name);

#endif
