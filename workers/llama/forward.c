/*
 * forward.c - one pass of a step's positions through the layers
 *
 * A layer is a handful of rounds. Rounds over rows (norms, rotary embedding, gates) give each
 * thread some rows; rounds over tiles (products) some outputs of all rows, so that each weight is
 * read once a step; the attention round some jobs. Every number is computed whole by one thread,
 * so neither the division nor leaving a small round to one thread changes any bits.
 */
#include "workers/llama/forward.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static size_t padded(size_t n)
{
    return (n + BLOCK - 1) / BLOCK * BLOCK;
}

/* Hands out parts of one allocation, each on a cache line of its own. With `base` NULL it only
 * counts. */
typedef struct {
    unsigned char *base;
    size_t used;
} carver;

static void *carve(carver *c, size_t count, size_t size)
{
    void *part = c->base ? c->base + c->used : NULL;

    c->used += (count * size + 63) / 64 * 64;
    return part;
}

static inputs carve_inputs(carver *c, size_t rows, size_t columns, bool quantised)
{
    inputs in = {.stride = padded(columns)};
    size_t floats = quantised ? rows * in.stride : 0;

    in.x = carve(c, rows * in.stride, sizeof(*in.x));
    in.q = carve(c, floats, sizeof(*in.q));
    in.scale = carve(c, floats / BLOCK, sizeof(*in.scale));
    in.sum = carve(c, floats / BLOCK, sizeof(*in.sum));
    return in;
}

static void carve_all(forward *f, carver *c)
{
    const model *m = f->m;
    size_t rows = f->capacity;

    f->rows = carve(c, rows, sizeof(*f->rows));
    f->jobs = carve(c, rows, sizeof(*f->jobs));
    f->wanted = carve(c, f->max_logits, sizeof(*f->wanted));
    f->stream = carve_inputs(c, rows, m->width, false);
    f->normed = carve_inputs(c, rows, m->width, true);
    f->mixed = carve_inputs(c, rows, (size_t)m->heads * m->head_size, true);
    f->fed = carve_inputs(c, rows, m->feed_width, true);
    f->query = carve(c, rows * f->query_stride, sizeof(float));
    f->key = carve(c, rows * f->key_stride, sizeof(float));
    f->value = carve(c, rows * f->key_stride, sizeof(float));
    f->up = carve(c, rows * f->feed_stride, sizeof(float));
    f->change = carve(c, rows * f->width_stride, sizeof(float));
    f->cosine = carve(c, rows * (m->rope.size / 2), sizeof(float));
    f->sine = carve(c, rows * (m->rope.size / 2), sizeof(float));
    f->logits = carve(c, f->max_logits * f->logits_stride, sizeof(float));
    f->scratch = carve(c, pool_threads(f->threads) * f->scratch_stride, sizeof(float));
}

int forward_create(forward *f, size_t capacity, size_t max_logits, uint32_t longest)
{
    const model *m = f->m;
    size_t scores;
    carver c = {0};

    f->capacity = capacity;
    f->max_logits = max_logits;
    f->width_stride = padded(m->width);
    f->feed_stride = padded(m->feed_width);
    f->query_stride = padded((size_t)m->heads * m->head_size);
    f->key_stride = padded((size_t)m->key_heads * m->head_size);
    f->logits_stride = ((size_t)m->vocabulary + LANES - 1) / LANES * LANES;
    f->score_stride = ((size_t)longest + LANES - 1) / LANES * LANES;
    scores = QUERIES_AT_ONCE * f->score_stride;
    f->scratch_stride = kernels_scratch(capacity);
    if (f->scratch_stride < scores)
        f->scratch_stride = scores;

    carve_all(f, &c);
    f->memory = aligned_alloc(64, c.used);
    if (!f->memory)
        return -ENOMEM;
    memset(f->memory, 0, c.used);
    c = (carver){.base = f->memory};
    carve_all(f, &c);
    return 0;
}

void forward_destroy(forward *f)
{
    free(f->memory);
    *f = (forward){0};
}

/* ---- what a step consists of ---- */

/* Cuts a sequence's rows into jobs of as many rows as walk together. */
static void add_jobs(forward *f, size_t first, size_t count)
{
    for (size_t done = 0; done < count; done += QUERIES_AT_ONCE) {
        size_t rows = count - done < QUERIES_AT_ONCE ? count - done : QUERIES_AT_ONCE;
        f->jobs[f->job_count++] = (attention_job){first + done, rows};
    }
}

static void list_rows(forward *f, const engine_work *work, size_t count)
{
    f->count = f->job_count = f->wanted_count = 0;
    for (size_t i = 0; i < count; i++) {
        const engine_work *w = &work[i];

        add_jobs(f, f->count, w->count);
        for (uint32_t j = 0; j < w->count; j++) {
            if (j + w->logits >= w->count)
                f->wanted[f->wanted_count++] = (uint32_t)f->count;
            f->rows[f->count++] = (forward_row){.sequence = w->sequence,
                                                .position = w->sequence->length + j,
                                                .token = (uint32_t)w->tokens[j]};
        }
    }
}

/* Item numbers [first, end) of `count` that fall to a part. */
typedef struct {
    size_t first, end;
} range;

static range share(size_t count, pool_part part)
{
    return (range){count * part.number / part.of, count * (part.number + 1) / part.of};
}

/* ---- rounds ---- */

static void multiply(forward *f, const matrix *w, const inputs *in, float *out, size_t stride,
                     pool_part part)
{
    range tiles = share(((size_t)w->rows + LANES - 1) / LANES, part);

    f->k->multiply(w, tiles.first, tiles.end, in, out, stride,
                   f->scratch + part.thread * f->scratch_stride);
}

static void embed(void *argument, pool_part part)
{
    forward *f = argument;
    range mine = share(f->count, part);

    for (size_t i = mine.first; i < mine.end; i++) {
        const forward_row *row = &f->rows[i];
        size_t angles = i * (f->m->rope.size / 2);

        matrix_row(&f->m->embedding, row->token, 0, f->m->width,
                   f->stream.x + i * f->stream.stride);
        rope_angles(&f->m->rope, row->position, f->cosine + angles, f->sine + angles);
    }
}

/* Norm of rows of the stream, ready for products with `for_blocks` or float weights. */
static void norm_row(forward *f, size_t from, size_t to, const float *weight, bool for_blocks)
{
    const model *m = f->m;

    f->k->norm(f->stream.x + from * f->stream.stride, weight, f->width_stride, m->width, m->epsilon,
               f->normed.x + to * f->normed.stride);
    if (for_blocks)
        f->k->quantise(&f->normed, to);
}

static void norm_for_attention(void *argument, pool_part part)
{
    forward *f = argument;
    const model_layer *l = &f->m->layer[f->layer];
    range mine = share(f->count, part);
    bool blocks =
        matrix_is_blocks(&l->query) || matrix_is_blocks(&l->key) || matrix_is_blocks(&l->value);

    for (size_t i = mine.first; i < mine.end; i++)
        norm_row(f, i, i, l->attention_norm, blocks);
}

static void project(void *argument, pool_part part)
{
    forward *f = argument;
    const model_layer *l = &f->m->layer[f->layer];

    multiply(f, &l->query, &f->normed, f->query, f->query_stride, part);
    multiply(f, &l->key, &f->normed, f->key, f->key_stride, part);
    multiply(f, &l->value, &f->normed, f->value, f->key_stride, part);
}

static void turn_and_store(void *argument, pool_part part)
{
    forward *f = argument;
    const model *m = f->m;
    range mine = share(f->count, part);

    for (size_t i = mine.first; i < mine.end; i++) {
        const forward_row *row = &f->rows[i];
        const float *cosine = f->cosine + i * (m->rope.size / 2);
        const float *sine = f->sine + i * (m->rope.size / 2);
        float *key = f->key + i * f->key_stride;

        rope_turn(&m->rope, cosine, sine, f->query + i * f->query_stride, m->heads, m->head_size);
        rope_turn(&m->rope, cosine, sine, key, m->key_heads, m->head_size);
        kv_put(f->cache, row->sequence, f->layer, row->position, key, f->value + i * f->key_stride);
    }
}

/* All queries of a job that look at one key head, QUERIES_AT_ONCE at a time. */
static void attend(forward *f, const attention_job *job, uint32_t key_head, float *scores)
{
    const model *m = f->m;
    uint32_t group = m->heads / m->key_heads;
    cache_view view = {.memory = f->cache->memory,
                       .pages = f->rows[job->first].sequence->pages,
                       .page_floats = f->cache->page_floats,
                       .offset = kv_head_offset(f->cache, f->layer, key_head),
                       .size = m->head_size,
                       .padded = f->cache->padded,
                       .scale = 1.0f / sqrtf((float)m->head_size)};
    query queries[QUERIES_AT_ONCE];
    size_t count = 0, all = job->count * group;

    for (size_t i = 0; i < all; i++) {
        size_t row = job->first + i % job->count;
        size_t at = (key_head * group + i / job->count) * m->head_size;

        queries[count++] = (query){.q = f->query + row * f->query_stride + at,
                                   .out = f->mixed.x + row * f->mixed.stride + at,
                                   .last = f->rows[row].position};
        if (count == QUERIES_AT_ONCE || i + 1 == all) {
            f->k->attend(&view, queries, count, scores, f->score_stride);
            count = 0;
        }
    }
}

static void attend_all(void *argument, pool_part part)
{
    forward *f = argument;
    size_t heads = f->m->key_heads;

    /* Interleaved, since neighbours cost alike. */
    for (size_t i = part.number; i < f->job_count * heads; i += part.of)
        attend(f, &f->jobs[i / heads], (uint32_t)(i % heads),
               f->scratch + part.thread * f->scratch_stride);
}

static void quantise_mixed(void *argument, pool_part part)
{
    forward *f = argument;
    range mine = share(f->count, part);

    for (size_t i = mine.first; i < mine.end; i++)
        f->k->quantise(&f->mixed, i);
}

static void project_back(void *argument, pool_part part)
{
    forward *f = argument;

    multiply(f, &f->m->layer[f->layer].attention_output, &f->mixed, f->change, f->width_stride,
             part);
}

static void add_change(forward *f, size_t row)
{
    f->k->add(f->stream.x + row * f->stream.stride, f->change + row * f->width_stride,
              f->width_stride);
}

static void norm_for_feed(void *argument, pool_part part)
{
    forward *f = argument;
    const model_layer *l = &f->m->layer[f->layer];
    range mine = share(f->count, part);

    for (size_t i = mine.first; i < mine.end; i++) {
        add_change(f, i);
        norm_row(f, i, i, l->feed_norm, matrix_is_blocks(&l->gate) || matrix_is_blocks(&l->up));
    }
}

static void feed(void *argument, pool_part part)
{
    forward *f = argument;
    const model_layer *l = &f->m->layer[f->layer];

    multiply(f, &l->gate, &f->normed, f->fed.x, f->fed.stride, part);
    multiply(f, &l->up, &f->normed, f->up, f->feed_stride, part);
}

static void gate(void *argument, pool_part part)
{
    forward *f = argument;
    range mine = share(f->count, part);

    for (size_t i = mine.first; i < mine.end; i++) {
        f->k->gate(f->fed.x + i * f->fed.stride, f->up + i * f->feed_stride, f->feed_stride);
        if (matrix_is_blocks(&f->m->layer[f->layer].down))
            f->k->quantise(&f->fed, i);
    }
}

static void feed_back(void *argument, pool_part part)
{
    forward *f = argument;

    multiply(f, &f->m->layer[f->layer].down, &f->fed, f->change, f->width_stride, part);
}

static void finish_layer(void *argument, pool_part part)
{
    forward *f = argument;
    range mine = share(f->count, part);

    for (size_t i = mine.first; i < mine.end; i++)
        add_change(f, i);
}

static void norm_wanted(void *argument, pool_part part)
{
    forward *f = argument;
    range mine = share(f->wanted_count, part);

    for (size_t i = mine.first; i < mine.end; i++)
        norm_row(f, f->wanted[i], i, f->m->output_norm, matrix_is_blocks(&f->m->output));
}

static void compute_logits(void *argument, pool_part part)
{
    forward *f = argument;

    multiply(f, &f->m->output, &f->normed, f->logits, f->logits_stride, part);
}

/* ---- the whole ---- */

/* Below so many operations a round is quicker than waking others for it. */
enum { WORTH_SHARING = 1 << 17 };

static void run_round(forward *f, pool_work *work, uint64_t operations)
{
    if (operations < WORTH_SHARING)
        work(f, (pool_part){0, 1, 0});
    else
        pool_run(f->threads, work, f);
}

/* Multiplications of a product with all rows of the step. */
static uint64_t product_operations(const forward *f, const matrix *w)
{
    return (uint64_t)w->rows * w->columns * f->count;
}

/* Norms, gates and the like take some operations for each value of a row. */
static uint64_t row_operations(const forward *f, size_t values)
{
    return 16 * (uint64_t)values * f->count;
}

static uint64_t attention_operations(const forward *f)
{
    uint64_t positions = 0;

    for (size_t i = 0; i < f->count; i++)
        positions += f->rows[i].position + 1;
    return 2 * positions * f->query_stride;
}

static void run_attention(forward *f, uint64_t operations)
{
    const model_layer *l = &f->m->layer[f->layer];
    uint64_t products = product_operations(f, &l->query) + product_operations(f, &l->key) +
                        product_operations(f, &l->value);

    run_round(f, norm_for_attention, row_operations(f, f->width_stride));
    run_round(f, project, products);
    run_round(f, turn_and_store, row_operations(f, f->query_stride));
    run_round(f, attend_all, operations);
    if (matrix_is_blocks(&l->attention_output))
        run_round(f, quantise_mixed, row_operations(f, f->query_stride));
    run_round(f, project_back, product_operations(f, &l->attention_output));
}

static void run_feed(forward *f)
{
    const model_layer *l = &f->m->layer[f->layer];

    run_round(f, norm_for_feed, row_operations(f, f->width_stride));
    run_round(f, feed, 2 * product_operations(f, &l->gate));
    run_round(f, gate, row_operations(f, f->feed_stride));
    run_round(f, feed_back, product_operations(f, &l->down));
    run_round(f, finish_layer, row_operations(f, f->width_stride));
}

static void run_output(forward *f)
{
    const model *m = f->m;

    f->normed.rows = f->wanted_count;
    run_round(f, norm_wanted, row_operations(f, f->width_stride));
    run_round(f, compute_logits, (uint64_t)m->vocabulary * m->width * f->wanted_count);
    for (size_t i = 0; i < f->wanted_count; i++)
        for (size_t t = m->vocabulary; t < f->logits_stride; t++)
            f->logits[i * f->logits_stride + t] = -INFINITY;
}

void forward_run(forward *f, const engine_work *work, size_t count)
{
    uint64_t attention;

    list_rows(f, work, count);
    attention = attention_operations(f);
    f->normed.rows = f->mixed.rows = f->fed.rows = f->count;
    run_round(f, embed, row_operations(f, f->width_stride));
    for (f->layer = 0; f->layer < f->m->layers; f->layer++) {
        run_attention(f, attention);
        run_feed(f);
        if (f->progress)
            f->progress(f->progress_argument);
    }
    if (f->wanted_count)
        run_output(f);
}
