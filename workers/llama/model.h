/*
 * model.h - a Llama-architecture model in a GGUF file, checked and ready to compute with
 *
 * Matrices stay in the mapping; only norms and frequencies, a few kilobytes a layer, are copied.
 * What the file says is believed only after its tensors bear it out, and a tensor or a setting
 * that isn't understood is an error: it would change the answers silently.
 *
 * A model is immutable once open.
 */
#ifndef MILLRACE_LLAMA_MODEL_H
#define MILLRACE_LLAMA_MODEL_H

#include "workers/llama/matrix.h"
#include "workers/llama/rope.h"

typedef struct {
    float *attention_norm, *feed_norm; /* padded with zeros to a multiple of BLOCK */
    matrix query, key, value, attention_output;
    matrix gate, up, down;
} model_layer;

typedef struct {
    gguf *file;
    uint32_t width;      /* of the residual stream */
    uint32_t feed_width; /* of the feed-forward layer */
    uint32_t layers;
    uint32_t heads, key_heads; /* of queries; of keys and values, a divisor of it */
    uint32_t head_size;
    uint32_t vocabulary;
    uint32_t context_length;
    float epsilon; /* of the norms */
    rope rope;
    matrix embedding, output; /* the same one where the file ties them */
    float *output_norm;
    model_layer *layer;
} model;

/*
 * model_open - maps the file and checks all of it that is used
 *
 *   error  out, on failure: one sentence
 *
 * Returns 0; -EINVAL (not a model that can be computed), -ENOMEM, or what the file's opening gave
 * (-EIO); then *m holds nothing.
 */
int model_open(model *m, const char *path, char *error, size_t error_size);
void model_close(model *m);

#endif
