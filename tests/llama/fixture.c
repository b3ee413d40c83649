/*
 * fixture.c - small models with random weights, written as GGUF files
 */
#include "tests/llama/fixture.h"

#include "models/gguf_internal.h"
#include "tests/models/gguf_builder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const model_spec *spec;
    gguf_builder builder;
    uint64_t random;
    uint64_t offset; /* of the next tensor */
    struct {
        uint32_t type;
        bool is_matrix;
        uint64_t offset, bytes;
    } placed[64];
    size_t count;
} writer;

uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

model_spec small_model(uint32_t type)
{
    return (model_spec){.architecture = "llama",
                        .width = 96,
                        .feed = 160,
                        .layers = 2,
                        .heads = 6,
                        .key_heads = 2,
                        .head_size = 16,
                        .vocabulary = 203,
                        .context = 256,
                        .rope_size = 12,
                        .rope_base = 10000,
                        .epsilon = 1e-5f,
                        .type = type,
                        .untied = true};
}

/* ---- keys ---- */

static bool skipped(const char *name, const char *without)
{
    return without && strcmp(name, without) == 0;
}

static void put_number(writer *w, const char *key, uint32_t value)
{
    if (value && !skipped(key, w->spec->without_key))
        gguf_builder_add_u32(&w->builder, key, value);
}

static void put_float(writer *w, const char *key, float value)
{
    if (value == 0 || skipped(key, w->spec->without_key))
        return;
    gguf_builder_key(&w->builder, key, GGUF_VALUE_F32);
    gguf_builder_bytes(&w->builder, &value, sizeof(value));
}

static void put_string(writer *w, const char *key, const char *value)
{
    if (value)
        gguf_builder_add_string(&w->builder, key, value);
}

static void put_keys(writer *w)
{
    const model_spec *s = w->spec;

    put_string(w, "general.architecture", s->architecture);
    put_number(w, "llama.block_count", s->layers);
    put_number(w, "llama.context_length", s->context);
    put_number(w, "llama.embedding_length", s->width);
    put_number(w, "llama.feed_forward_length", s->feed);
    put_number(w, "llama.attention.head_count", s->heads);
    put_number(w, "llama.attention.head_count_kv", s->key_heads);
    if (s->heads && s->head_size * s->heads != s->width) {
        put_number(w, "llama.attention.key_length", s->head_size);
        put_number(w, "llama.attention.value_length", s->head_size);
    }
    put_number(w, "llama.rope.dimension_count", s->rope_size);
    put_float(w, "llama.rope.freq_base", s->rope_base);
    put_float(w, "llama.attention.layer_norm_rms_epsilon", s->epsilon);
    put_string(w, "llama.rope.scaling.type", s->scaling);
    put_float(w, "llama.rope.scaling.factor", s->factor);
    if (s->extra_key)
        gguf_builder_add_u32(&w->builder, s->extra_key, 7);
}

/* ---- tensors ---- */

static void place(writer *w, const char *name, uint32_t type, bool is_matrix, uint64_t rows,
                  uint64_t columns)
{
    uint32_t elements = 1, bytes = 1;
    uint64_t dims[2] = {columns, rows - (skipped(name, w->spec->short_tensor) ? 1 : 0)};

    if (skipped(name, w->spec->without_tensor))
        return;
    ck_assert(w->count < sizeof(w->placed) / sizeof(w->placed[0]));
    if (!gguf_type_block(type, &elements, &bytes))
        elements = bytes = 1; /* a type that the reader doesn't know */
    gguf_builder_tensor(&w->builder, name, type, is_matrix ? 2 : 1, dims, w->offset);
    w->placed[w->count].type = type;
    w->placed[w->count].is_matrix = is_matrix;
    w->placed[w->count].offset = w->offset;
    w->placed[w->count++].bytes = rows * columns / elements * bytes;
    w->offset += (rows * columns / elements * bytes + 31) / 32 * 32;
}

static void place_layer(writer *w, uint32_t layer)
{
    const model_spec *s = w->spec;
    uint64_t all = (uint64_t)s->heads * s->head_size, keys = (uint64_t)s->key_heads * s->head_size;
    const struct {
        const char *name;
        uint64_t rows, columns;
    } tensors[] = {
        {"attn_norm", 0, s->width},      {"attn_q", all, s->width},
        {"attn_k", keys, s->width},      {"attn_v", keys, s->width},
        {"attn_output", s->width, all},  {"ffn_norm", 0, s->width},
        {"ffn_gate", s->feed, s->width}, {"ffn_up", s->feed, s->width},
        {"ffn_down", s->width, s->feed},
    };

    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        char name[64];
        bool is_matrix = tensors[i].rows > 0;

        snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, tensors[i].name);
        place(w, name, is_matrix ? s->type : GGUF_F32, is_matrix, is_matrix ? tensors[i].rows : 1,
              tensors[i].columns);
    }
}

static void place_all(writer *w)
{
    const model_spec *s = w->spec;

    place(w, "token_embd.weight", s->type, true, s->vocabulary, s->width);
    place(w, "output_norm.weight", GGUF_F32, false, 1, s->width);
    if (s->untied)
        place(w, "output.weight", s->type, true, s->vocabulary, s->width);
    if (s->frequencies)
        place(w, "rope_freqs.weight", GGUF_F32, false, 1, s->rope_size / 2);
    for (uint32_t i = 0; i < s->layers; i++)
        place_layer(w, i);
    if (s->extra_tensor)
        place(w, s->extra_tensor, GGUF_F32, false, 1, s->width);
}

/* ---- weights ---- */

/* In [-1, 1), or in [1, 1.5) for vectors, which are factors. */
static float random_weight(writer *w, bool is_matrix)
{
    float value = (float)(int32_t)next_random(&w->random) * 0x1p-31f;

    return is_matrix ? 0.2f * value : 1.25f + 0.25f * value;
}

static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (uint16_t)(bits >> 16);
}

/* A half in [2^-7, 2^-6), of either sign if it may be negative. */
static uint16_t random_half(writer *w, bool negative)
{
    uint64_t bits = next_random(&w->random);

    return (uint16_t)(0x2000 | (bits & 0x3ff) | (negative && bits >> 63 ? 0x8000 : 0));
}

static void fill_floats(writer *w, unsigned char *to, size_t i)
{
    size_t size = w->placed[i].type == GGUF_F32 ? 4 : 2;

    for (size_t at = 0; at < w->placed[i].bytes; at += size) {
        float value = random_weight(w, w->placed[i].is_matrix);
        uint16_t half =
            w->placed[i].type == GGUF_BF16
                ? bf16_of(value)
                : (uint16_t)(random_half(w, true) + ((next_random(&w->random) & 3) << 10));

        if (w->spec->not_numbers && w->placed[i].is_matrix)
            memset(&value, 0xff, sizeof(value));
        memcpy(to + at, size == 4 ? (void *)&value : (void *)&half, size);
    }
}

static void fill_blocks(writer *w, unsigned char *to, size_t i)
{
    uint32_t elements, bytes;

    gguf_type_block(w->placed[i].type, &elements, &bytes);
    for (size_t at = 0; at < w->placed[i].bytes; at += bytes) {
        uint16_t scale = random_half(w, false);
        uint16_t least = (uint16_t)(0x8000 | (scale + (3 << 10))); /* -8 scales */

        if (w->placed[i].type == GGUF_Q8_0)
            scale = (uint16_t)(scale - (3 << 10));
        for (size_t j = 0; j < bytes; j++)
            to[at + j] = (unsigned char)next_random(&w->random);
        memcpy(to + at, &scale, sizeof(scale));
        if (w->placed[i].type == GGUF_Q4_1)
            memcpy(to + at + 2, &least, sizeof(least));
    }
}

static void fill(writer *w)
{
    unsigned char *data = w->builder.bytes + w->builder.length - w->offset;

    for (size_t i = 0; i < w->count; i++)
        switch (w->placed[i].type) {
        case GGUF_F32:
        case GGUF_F16:
        case GGUF_BF16:
            fill_floats(w, data + w->placed[i].offset, i);
            break;
        case GGUF_Q8_0:
        case GGUF_Q4_0:
        case GGUF_Q4_1:
            fill_blocks(w, data + w->placed[i].offset, i);
            break;
        default:
            break;
        }
}

const char *spec_write(const model_spec *spec)
{
    static char path[256];
    const char *folder = getenv("TMPDIR");
    writer w = {.spec = spec, .random = 1};

    gguf_builder_begin(&w.builder, 3);
    put_keys(&w);
    place_all(&w);
    gguf_builder_finish(&w.builder, w.offset);
    fill(&w);

    snprintf(path, sizeof(path), "%s/mr-llama-%d.gguf", folder ? folder : "/tmp", (int)getpid());
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(w.builder.bytes, 1, w.builder.length, file), w.builder.length);
    ck_assert_int_eq(fclose(file), 0);
    gguf_builder_free(&w.builder);
    return path;
}

engine *spec_open(const model_spec *spec, const engine_options *options)
{
    char error[512] = "";
    engine *e = NULL;
    const char *path = spec_write(spec);
    int status = engine_open(&e, path, options, error, sizeof(error));

    unlink(path);
    ck_assert_msg(status == 0, "%s", error);
    return e;
}

const char *spec_error(const model_spec *spec, const engine_options *options)
{
    static char error[512];
    engine *e = NULL;
    const char *path = spec_write(spec);
    int status = engine_open(&e, path, options, error, sizeof(error));

    unlink(path);
    ck_assert_msg(status < 0, "a bad model was opened");
    ck_assert_ptr_null(e);
    return error;
}

float *reference_logits(const model_spec *spec, const int64_t *tokens, size_t count)
{
    engine *e = spec_open(spec, &(engine_options){.kernels = "portable"});
    size_t vocabulary = engine_describe(e)->vocabulary;
    float *all = malloc(count * vocabulary * sizeof(*all));
    engine_sequence *s;

    ck_assert_ptr_nonnull(all);
    ck_assert_int_eq(engine_sequence_open(e, (uint32_t)count, NULL, 0, &s), 0);
    for (size_t i = 0; i < count; i++) {
        engine_work work = {.sequence = s, .tokens = tokens + i, .count = 1, .logits = 1};

        ck_assert_int_eq(engine_step(e, &work, 1), 0);
        memcpy(all + i * vocabulary, engine_logits(e, 0), vocabulary * sizeof(*all));
    }
    engine_close(e);
    return all;
}
