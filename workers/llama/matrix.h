/*
 * matrix.h - a weight matrix as it stands in the mapped model file
 *
 * Nothing is copied: `data` points into the mapping, which all workers share through the page
 * cache. A matrix has `rows` outputs and `columns` inputs; a row is contiguous.
 */
#ifndef MILLRACE_LLAMA_MATRIX_H
#define MILLRACE_LLAMA_MATRIX_H

#include "models/gguf.h"

typedef struct {
    const unsigned char *data;
    size_t row_bytes;
    uint32_t rows;
    uint32_t columns;
    uint32_t type; /* enum gguf_tensor_type */
} matrix;

/* Whether the type is one that is multiplied in blocks of integers (kernels/blocks.h). */
static inline bool matrix_is_blocks(const matrix *m)
{
    return m->type == GGUF_Q8_0 || m->type == GGUF_Q4_0 || m->type == GGUF_Q4_1;
}

/* matrix_row - the values [from, to) of one row, exactly; for blocks `from` is a multiple of 32,
 * and `to` is one too or the number of columns */
void matrix_row(const matrix *m, uint32_t row, uint32_t from, uint32_t to, float *out);

#endif
