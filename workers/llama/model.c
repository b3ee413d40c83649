/*
 * model.c - opening a model: its settings, its tensors, its frequencies
 *
 * Each step returns false after it has written the error; the first failure ends the opening.
 * The limits keep what is allocated, and every product of sizes, small whatever the file claims.
 */
#include "workers/llama/model.h"

#include "workers/llama/elementary.h"
#include "workers/llama/kernels/kernels.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_LAYERS = 1024,
    MOST_HEADS = 4096,
    MOST_HEAD_SIZE = 1024,
    MOST_WIDTH = 1 << 20,
    MOST_TOKENS = 1 << 22,
    MOST_POSITIONS = 1 << 20,
};

typedef struct {
    model *m;
    const gguf_tensor **used; /* tensors that were asked for and are there */
    uint64_t used_count;
    int status;
    char *error;
    size_t error_size;
} opening;

__attribute__((format(printf, 3, 4))) static bool fail(opening *o, int status, const char *format,
                                                       ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(o->error, o->error_size, format, arguments);
    va_end(arguments);
    o->status = status;
    return false;
}

static bool no_memory(opening *o)
{
    return fail(o, -ENOMEM, "no memory for the model's norms; end other programs and try again");
}

/* ---- settings ---- */

/* A whole number in [1, most]; `otherwise` if the key is missing, an error if that is 0. */
static bool setting(opening *o, const char *key, uint64_t otherwise, uint64_t most, uint32_t *value)
{
    uint64_t number = otherwise;

    if (!gguf_u64(o->m->file, key, &number) && !otherwise)
        return fail(o, -EINVAL,
                    "model key '%s' is missing or not a whole number; convert the model again",
                    key);
    if (number < 1 || number > most)
        return fail(o, -EINVAL,
                    "model key '%s' is %llu, not between 1 and %llu; convert the model again", key,
                    (unsigned long long)number, (unsigned long long)most);
    *value = (uint32_t)number;
    return true;
}

static bool text_is(gguf_text text, const char *expected)
{
    return text.length == strlen(expected) && memcmp(text.bytes, expected, text.length) == 0;
}

static bool check_architecture(opening *o)
{
    gguf_text name;

    if (!gguf_string(o->m->file, "general.architecture", &name))
        return fail(o, -EINVAL,
                    "model key 'general.architecture' is missing; convert the model again");
    if (!text_is(name, "llama"))
        return fail(o, -EINVAL,
                    "model architecture '%.*s' is unknown to this worker, which computes 'llama'; "
                    "choose another model",
                    (int)(name.length < 40 ? name.length : 40), name.bytes);
    return true;
}

/* Settings that other variants of the architecture have and that change the answers. */
static bool refuse_variants(opening *o)
{
    static const struct {
        const char *key;
        const char *what;
    } variants[] = {
        {"llama.expert_count", "a mixture of experts"},
        {"llama.attention.sliding_window", "a sliding window"},
    };

    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        uint64_t value;

        if (gguf_u64(o->m->file, variants[i].key, &value) && value > 0)
            return fail(o, -EINVAL,
                        "model key '%s' asks for %s, which this worker doesn't compute; choose "
                        "another model",
                        variants[i].key, variants[i].what);
    }
    return true;
}

static bool read_heads(opening *o)
{
    model *m = o->m;
    uint64_t otherwise;
    uint32_t value_size;

    if (!setting(o, "llama.attention.head_count", 0, MOST_HEADS, &m->heads) ||
        !setting(o, "llama.attention.head_count_kv", m->heads, MOST_HEADS, &m->key_heads))
        return false;
    if (m->heads % m->key_heads)
        return fail(o, -EINVAL,
                    "model key 'llama.attention.head_count_kv' is %u, no divisor of the %u heads; "
                    "convert the model again",
                    m->key_heads, m->heads);
    otherwise = m->width % m->heads ? 0 : m->width / m->heads;
    if (!setting(o, "llama.attention.key_length", otherwise, MOST_HEAD_SIZE, &m->head_size) ||
        !setting(o, "llama.attention.value_length", m->head_size, MOST_HEAD_SIZE, &value_size))
        return false;
    if (value_size != m->head_size)
        return fail(o, -EINVAL,
                    "model key 'llama.attention.value_length' is %u but 'key_length' %u, and this "
                    "worker computes equal ones only; choose another model",
                    value_size, m->head_size);
    return true;
}

static bool read_settings(opening *o)
{
    static const char epsilon_key[] = "llama.attention.layer_norm_rms_epsilon";
    model *m = o->m;
    double epsilon;

    if (!check_architecture(o) || !refuse_variants(o) ||
        !setting(o, "llama.block_count", 0, MOST_LAYERS, &m->layers) ||
        !setting(o, "llama.embedding_length", 0, MOST_WIDTH, &m->width) ||
        !setting(o, "llama.feed_forward_length", 0, MOST_WIDTH, &m->feed_width) ||
        !setting(o, "llama.context_length", 0, MOST_POSITIONS, &m->context_length) ||
        !read_heads(o))
        return false;
    if (!gguf_f64(m->file, epsilon_key, &epsilon) || !(epsilon > 0 && epsilon < 1))
        return fail(o, -EINVAL,
                    "model key '%s' is missing or not between 0 and 1; convert the model again",
                    epsilon_key);
    m->epsilon = (float)epsilon;
    return true;
}

/* ---- tensors ---- */

static bool type_is_known(uint32_t type)
{
    switch (type) {
    case GGUF_F32:
    case GGUF_F16:
    case GGUF_BF16:
    case GGUF_Q8_0:
    case GGUF_Q4_0:
    case GGUF_Q4_1:
        return true;
    default:
        return false;
    }
}

static bool check_type(opening *o, const gguf_tensor *tensor, const char *name)
{
    const char *type_name = gguf_type_name(tensor->type);

    if (!type_is_known(tensor->type))
        return fail(o, -EINVAL,
                    "tensor '%s' has type %s (%u), and this worker computes F32, F16, BF16, Q8_0, "
                    "Q4_0 and Q4_1; quantise the model to one of these",
                    name, type_name ? type_name : "unknown", tensor->type);
    return true;
}

/* The tensor `name` as rows x columns; rows 1 also stands for a vector. */
static bool find(opening *o, const char *name, uint64_t rows, uint64_t columns, matrix *out)
{
    const gguf_tensor *tensor = gguf_find_tensor(o->m->file, name);
    uint32_t elements, bytes;

    if (!tensor)
        return fail(o, -EINVAL, "tensor '%s' is missing; convert the model again", name);
    uint64_t has_rows = tensor->rank > 1 ? tensor->dims[1] : 1;
    if (tensor->rank > 2 || tensor->dims[0] != columns || has_rows != rows)
        return fail(o, -EINVAL,
                    "tensor '%s' has %u dimensions, %llu x %llu, and the model's settings ask for "
                    "%llu x %llu; convert the model again",
                    name, tensor->rank, (unsigned long long)has_rows,
                    (unsigned long long)tensor->dims[0], (unsigned long long)rows,
                    (unsigned long long)columns);
    if (!check_type(o, tensor, name))
        return false;
    gguf_type_block(tensor->type, &elements, &bytes);
    *out = (matrix){.data = tensor->data,
                    .row_bytes = columns / elements * bytes,
                    .rows = (uint32_t)rows,
                    .columns = (uint32_t)columns,
                    .type = tensor->type};
    if (o->used_count < gguf_tensor_count(o->m->file))
        o->used[o->used_count++] = tensor;
    return true;
}

/* A vector of the model's width, copied and padded. */
static bool copy_norm(opening *o, const char *name, float **out)
{
    matrix vector;
    uint32_t width = o->m->width;
    size_t padded = ((size_t)width + BLOCK - 1) / BLOCK * BLOCK;

    if (!find(o, name, 1, width, &vector))
        return false;
    *out = calloc(padded, sizeof(**out));
    if (!*out)
        return no_memory(o);
    matrix_row(&vector, 0, 0, width, *out);
    return true;
}

static bool read_layer(opening *o, uint32_t index)
{
    model *m = o->m;
    model_layer *l = &m->layer[index];
    uint64_t width = m->width, feed = m->feed_width;
    uint64_t all = (uint64_t)m->heads * m->head_size, keys = (uint64_t)m->key_heads * m->head_size;
    const struct {
        const char *name;
        uint64_t rows, columns;
        matrix *out;
    } matrices[] = {
        {"attn_q", all, width, &l->query},   {"attn_k", keys, width, &l->key},
        {"attn_v", keys, width, &l->value},  {"attn_output", width, all, &l->attention_output},
        {"ffn_gate", feed, width, &l->gate}, {"ffn_up", feed, width, &l->up},
        {"ffn_down", width, feed, &l->down},
    };
    char name[64];

    for (size_t i = 0; i < sizeof(matrices) / sizeof(matrices[0]); i++) {
        snprintf(name, sizeof(name), "blk.%u.%s.weight", index, matrices[i].name);
        if (!find(o, name, matrices[i].rows, matrices[i].columns, matrices[i].out))
            return false;
    }
    snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", index);
    if (!copy_norm(o, name, &l->attention_norm))
        return false;
    snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", index);
    return copy_norm(o, name, &l->feed_norm);
}

/* The number of tokens is the embedding's; the output matrix is the embedding where there is none
 * of its own. */
static bool read_vocabulary(opening *o)
{
    model *m = o->m;
    const gguf_tensor *embedding = gguf_find_tensor(m->file, "token_embd.weight");
    uint64_t tokens = embedding && embedding->rank == 2 ? embedding->dims[1] : 1;
    uint32_t said;

    if (tokens < 1 || tokens > MOST_TOKENS)
        return fail(o, -EINVAL,
                    "tensor 'token_embd.weight' has %llu rows, and this worker takes up to %d "
                    "tokens; choose another model",
                    (unsigned long long)tokens, MOST_TOKENS);
    if (!setting(o, "llama.vocab_size", tokens, MOST_TOKENS, &said) ||
        !find(o, "token_embd.weight", said, m->width, &m->embedding))
        return false;
    m->vocabulary = said;
    m->output = m->embedding;
    return !gguf_find_tensor(m->file, "output.weight") ||
           find(o, "output.weight", said, m->width, &m->output);
}

/* Tensors beyond the known ones (biases, adapters, experts) would change the answers. */
static bool refuse_unknown_tensors(opening *o)
{
    for (uint64_t i = 0; i < gguf_tensor_count(o->m->file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(o->m->file, i);
        uint64_t j = 0;

        while (j < o->used_count && o->used[j] != tensor)
            j++;
        if (j == o->used_count)
            return fail(o, -EINVAL,
                        "tensor '%.*s' is unknown to this worker, so the model isn't a plain "
                        "'llama'; choose another model",
                        (int)(tensor->name.length < 80 ? tensor->name.length : 80),
                        tensor->name.bytes);
    }
    return true;
}

static bool read_tensors(opening *o)
{
    model *m = o->m;

    m->layer = calloc(m->layers, sizeof(*m->layer));
    o->used = calloc(gguf_tensor_count(m->file) + 1, sizeof(*o->used));
    if (!m->layer || !o->used)
        return no_memory(o);
    if (!read_vocabulary(o) || !copy_norm(o, "output_norm.weight", &m->output_norm))
        return false;
    for (uint32_t i = 0; i < m->layers; i++)
        if (!read_layer(o, i))
            return false;
    return true;
}

/* ---- rotary frequencies ---- */

/* What positions are divided by: 1, or the factor of a linear scaling. */
static bool read_scaling(opening *o, double *divisor)
{
    const gguf *file = o->m->file;
    gguf_text type;

    *divisor = 1;
    if (!gguf_string(file, "llama.rope.scaling.type", &type)) {
        gguf_f64(file, "llama.rope.scale_linear", divisor); /* files of 2023 */
    } else if (text_is(type, "linear")) {
        if (!gguf_f64(file, "llama.rope.scaling.factor", divisor))
            return fail(o, -EINVAL,
                        "model key 'llama.rope.scaling.factor' is missing beside a "
                        "linear scaling; convert the model again");
    } else if (!text_is(type, "none")) {
        return fail(o, -EINVAL,
                    "model key 'llama.rope.scaling.type' is '%.*s', and this worker computes "
                    "'none', 'linear' and the factors of 'rope_freqs.weight'; choose another model",
                    (int)(type.length < 40 ? type.length : 40), type.bytes);
    }
    if (!(*divisor > 0 && *divisor <= 1e6))
        return fail(o, -EINVAL,
                    "the model's linear rope scaling is by %g, not between 0 and 1e6; "
                    "convert the model again",
                    *divisor);
    return true;
}

/* Llama 3's scaling: a divisor for each frequency, worked out when the file was made. */
static bool apply_factors(opening *o)
{
    rope *r = &o->m->rope;
    matrix factors;

    if (!gguf_find_tensor(o->m->file, "rope_freqs.weight"))
        return true;
    if (!find(o, "rope_freqs.weight", 1, r->size / 2, &factors))
        return false;
    float *factor = calloc((size_t)r->size / 2 + BLOCK, sizeof(*factor));
    if (!factor)
        return no_memory(o);
    matrix_row(&factors, 0, 0, r->size / 2, factor);
    for (uint32_t i = 0; i < r->size / 2; i++)
        r->frequency[i] /= (double)factor[i];
    free(factor);
    return true;
}

static bool check_frequencies(opening *o)
{
    const rope *r = &o->m->rope;

    for (uint32_t i = 0; i < r->size / 2; i++) {
        double most = r->frequency[i] * o->m->context_length;

        if (!(most >= 0 && most <= ELEMENTARY_ANGLE_LIMIT))
            return fail(o, -EINVAL,
                        "rope frequency %u reaches an angle of %g at the end of the context, more "
                        "than %g; check 'llama.rope.freq_base' and 'rope_freqs.weight'",
                        i, most, ELEMENTARY_ANGLE_LIMIT);
    }
    return true;
}

static bool read_rope(opening *o)
{
    model *m = o->m;
    rope *r = &m->rope;
    double base = 10000, divisor;

    gguf_f64(m->file, "llama.rope.freq_base", &base);
    if (!(base >= 1 && base <= 1e12))
        return fail(o, -EINVAL,
                    "model key 'llama.rope.freq_base' is %g, not between 1 and 1e12; "
                    "convert the model again",
                    base);
    if (!setting(o, "llama.rope.dimension_count", m->head_size, m->head_size, &r->size) ||
        !read_scaling(o, &divisor))
        return false;
    if (r->size % 2)
        return fail(o, -EINVAL,
                    "model key 'llama.rope.dimension_count' is %u, an odd number; "
                    "convert the model again",
                    r->size);
    r->frequency = calloc(r->size / 2, sizeof(*r->frequency));
    if (!r->frequency)
        return no_memory(o);
    for (uint32_t i = 0; i < r->size / 2; i++)
        r->frequency[i] = elementary_power(base, -2.0 * i / r->size) / divisor;
    return apply_factors(o) && check_frequencies(o);
}

/* ---- the whole ---- */

int model_open(model *m, const char *path, char *error, size_t error_size)
{
    opening o = {.m = m, .status = -EINVAL, .error = error, .error_size = error_size};

    *m = (model){0};
    m->file = gguf_open(path, error, error_size);
    if (!m->file)
        return -EIO;
    if (read_settings(&o) && read_tensors(&o) && read_rope(&o) && refuse_unknown_tensors(&o))
        o.status = 0;
    else
        model_close(m);
    free(o.used);
    return o.status;
}

void model_close(model *m)
{
    for (uint32_t i = 0; m->layer && i < m->layers; i++) {
        free(m->layer[i].attention_norm);
        free(m->layer[i].feed_norm);
    }
    free(m->layer);
    free(m->output_norm);
    free(m->rope.frequency);
    gguf_close(m->file);
    *m = (model){0};
}
