/*
 * kernels_test.c - every set of kernels gives the portable one's bits, and those are right
 *
 * Sizes are chosen so that tiles, chunks and rows of the batch all have ragged ends.
 */
#include "tests/llama/fixture.h"
#include "workers/llama/half.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const SETS[] = {"portable", "avx2", "avx512"};
enum { SET_COUNT = 3 };

static const struct {
    uint32_t type, rows, columns;
} SHAPES[] = {
    {GGUF_F32, 16, 32},    {GGUF_F32, 5, 7},      {GGUF_F32, 33, 1041}, {GGUF_F16, 21, 45},
    {GGUF_F16, 48, 544},   {GGUF_BF16, 21, 45},   {GGUF_BF16, 1, 600},  {GGUF_Q8_0, 16, 32},
    {GGUF_Q8_0, 37, 1056}, {GGUF_Q4_0, 37, 1056}, {GGUF_Q4_0, 3, 96},   {GGUF_Q4_1, 37, 1056},
    {GGUF_Q4_1, 17, 64},
};
enum { SHAPE_COUNT = sizeof(SHAPES) / sizeof(SHAPES[0]), MOST_ROWS = 19 };

static void *take(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);

    ck_assert_ptr_nonnull(memory);
    memset(memory, 0, (bytes + 63) / 64 * 64);
    return memory;
}

static float random_float(uint64_t *random)
{
    return (float)(int32_t)next_random(random) * 0x1p-30f;
}

/* ---- products ---- */

/* Allocated to the byte, so that a read past the end is seen. */
static matrix random_matrix(uint32_t type, uint32_t rows, uint32_t columns)
{
    uint32_t elements, bytes;
    uint64_t random = type + rows;

    gguf_type_block(type, &elements, &bytes);
    matrix m = {.rows = rows,
                .columns = columns,
                .type = type,
                .row_bytes = (size_t)columns / elements * bytes};
    unsigned char *data = malloc(rows * m.row_bytes);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < rows * m.row_bytes; i++)
        data[i] = (unsigned char)next_random(&random);
    for (size_t at = 0; at < rows * m.row_bytes; at += bytes) {
        float value = random_float(&random);
        uint16_t half = (uint16_t)(0x2c00 | (next_random(&random) & 0x83ff));

        memcpy(data + at, type == GGUF_F32 ? (void *)&value : (void *)&half, type ? 2 : 4);
        if (type == GGUF_Q4_1)
            memcpy(data + at + 2, &half, 2);
    }
    m.data = data;
    return m;
}

static inputs random_inputs(const kernels *k, size_t rows, size_t columns)
{
    uint64_t random = columns;
    inputs in = {.stride = (columns + BLOCK - 1) / BLOCK * BLOCK, .rows = rows};

    in.x = take(rows * in.stride * sizeof(*in.x));
    in.q = take(rows * in.stride * sizeof(*in.q));
    in.scale = take(rows * in.stride / BLOCK * sizeof(*in.scale));
    in.sum = take(rows * in.stride / BLOCK * sizeof(*in.sum));
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++)
            in.x[i * in.stride + j] = random_float(&random);
        k->quantise(&in, i);
    }
    return in;
}

static void free_inputs(inputs *in)
{
    free(in->x);
    free(in->q);
    free(in->scale);
    free(in->sum);
}

/* [rows of the batch][rows of the matrix] */
static float *product(const kernels *k, const matrix *w, const inputs *in)
{
    float *out = take(in->rows * w->rows * sizeof(*out));
    float *scratch = take(kernels_scratch(in->rows) * sizeof(*scratch));

    k->multiply(w, 0, (w->rows + LANES - 1) / LANES, in, out, w->rows, scratch);
    free(scratch);
    return out;
}

START_TEST(all_sets_multiply_to_the_same_bits)
{
    matrix w = random_matrix(SHAPES[_i].type, SHAPES[_i].rows, SHAPES[_i].columns);
    inputs in = random_inputs(&kernels_portable, MOST_ROWS, w.columns);
    float *expected = product(&kernels_portable, &w, &in);

    for (size_t set = 1; set < SET_COUNT; set++) {
        const kernels *k = kernels_select(SETS[set]);
        if (!k)
            continue;
        inputs same = random_inputs(k, MOST_ROWS, w.columns);
        float *out = product(k, &w, &same);

        ck_assert_mem_eq(same.q, in.q, MOST_ROWS * in.stride * sizeof(*in.q));
        ck_assert_mem_eq(out, expected, MOST_ROWS * w.rows * sizeof(*out));
        free(out);
        free_inputs(&same);
    }
    free(expected);
    free_inputs(&in);
    free((void *)w.data);
}
END_TEST

START_TEST(a_product_does_not_depend_on_the_rows_beside_it)
{
    const kernels *k = kernels_select(NULL);
    matrix w = random_matrix(SHAPES[_i].type, SHAPES[_i].rows, SHAPES[_i].columns);
    inputs all = random_inputs(k, MOST_ROWS, w.columns);
    float *expected = product(k, &w, &all);

    for (size_t count = 1; count < MOST_ROWS; count++) {
        size_t first = MOST_ROWS - count;
        inputs some = all;

        some.rows = count;
        some.x += first * all.stride;
        some.q += first * all.stride;
        some.scale += first * (all.stride / BLOCK);
        some.sum += first * (all.stride / BLOCK);
        float *out = product(k, &w, &some);
        ck_assert_mem_eq(out, expected + first * w.rows, count * w.rows * sizeof(*out));
        free(out);
    }
    free(expected);
    free_inputs(&all);
    free((void *)w.data);
}
END_TEST

START_TEST(a_product_is_close_to_the_exact_one)
{
    matrix w = random_matrix(SHAPES[_i].type, SHAPES[_i].rows, SHAPES[_i].columns);
    inputs in = random_inputs(&kernels_portable, MOST_ROWS, w.columns);
    float *out = product(&kernels_portable, &w, &in), *row = take(in.stride * sizeof(*row));

    for (uint32_t r = 0; r < w.rows; r++) {
        matrix_row(&w, r, 0, w.columns, row);
        for (size_t b = 0; b < in.rows; b++) {
            double exact = 0, size = 0;

            for (uint32_t c = 0; c < w.columns; c++) {
                double term = (double)row[c] * (double)in.x[b * in.stride + c];
                exact += term;
                size += fabs(term);
            }
            ck_assert_double_le(fabs(out[b * w.rows + r] - exact), 1e-4 * size + 1e-6);
        }
    }
    free(row);
    free(out);
    free_inputs(&in);
    free((void *)w.data);
}
END_TEST

/* ---- quantising ---- */

START_TEST(values_are_rounded_to_16_bits_of_the_largest)
{
    for (size_t set = 0; set < SET_COUNT; set++) {
        const kernels *k = kernels_select(SETS[set]);
        if (!k)
            continue;
        inputs in = random_inputs(k, 1, BLOCK);

        in.x[0] = -3;
        in.x[1] = 3;
        in.x[2] = 1.5f;
        k->quantise(&in, 0);
        ck_assert_int_eq(in.q[0], -32767);
        ck_assert_int_eq(in.q[1], 32767);
        ck_assert_int_eq(in.q[2], 16384); /* 16383.5, to even */
        ck_assert_float_eq(in.scale[0], 3.0f / 32767.0f);
        free_inputs(&in);
    }
}
END_TEST

START_TEST(blocks_of_nothing_and_of_no_numbers_are_told)
{
    static const float odd[] = {0.0f, 1e-31f, INFINITY, -INFINITY, NAN};

    for (size_t set = 0; set < SET_COUNT; set++)
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
            const kernels *k = kernels_select(SETS[set]);
            if (!k)
                continue;
            inputs in = random_inputs(k, 1, BLOCK);

            memset(in.x, 0, BLOCK * sizeof(*in.x));
            in.x[7] = odd[i];
            k->quantise(&in, 0);
            for (size_t j = 0; j < BLOCK; j++)
                ck_assert_int_eq(in.q[j], 0);
            if (i < 2)
                ck_assert_float_eq(in.scale[0], 0);
            else
                ck_assert_float_nan(in.scale[0]);
            ck_assert_float_eq(in.sum[0], 0);
            free_inputs(&in);
        }
}
END_TEST

/* ---- the rest of a layer ---- */

enum { LONG = 1056 };

START_TEST(all_sets_norm_gate_and_add_to_the_same_bits)
{
    float *x = take(LONG * sizeof(float)), *w = take(LONG * sizeof(float));
    float *results[SET_COUNT][3];
    uint64_t random = 3;

    for (size_t i = 0; i < LONG - 5; i++) {
        x[i] = 60 * random_float(&random);
        w[i] = random_float(&random);
    }
    for (size_t set = 0; set < SET_COUNT; set++) {
        const kernels *k = kernels_select(SETS[set]);
        for (size_t i = 0; i < 3; i++) {
            results[set][i] = take(LONG * sizeof(float));
            memcpy(results[set][i], x, LONG * sizeof(float));
        }
        if (!k)
            continue;
        k->norm(x, w, LONG, LONG - 5, 1e-5f, results[set][0]);
        k->gate(results[set][1], w, LONG);
        k->add(results[set][2], w, LONG);
        for (size_t i = 0; i < 3; i++)
            ck_assert_mem_eq(results[set][i], results[0][i], LONG * sizeof(float));
    }
    double squares = 0;
    for (size_t i = 0; i < LONG; i++)
        squares += (double)x[i] * x[i];
    for (size_t i = 0; i < LONG; i++) {
        double norm = x[i] / sqrt(squares / (LONG - 5) + 1e-5) * w[i];
        double gate = x[i] / (1 + exp(-x[i])) * w[i];
        ck_assert_double_eq_tol(results[0][0][i], norm, 1e-6 * fabs(norm) + 1e-30);
        ck_assert_double_eq_tol(results[0][1][i], gate, 1e-6 * fabs(gate) + 1e-30);
        ck_assert_float_eq(results[0][2][i], x[i] + w[i]);
    }
    for (size_t i = 0; i < SET_COUNT * 3; i++)
        free(results[i / 3][i % 3]);
    free(x);
    free(w);
}
END_TEST

START_TEST(all_sets_exponentiate_alike_and_rightly)
{
    float *x = take(LONG * sizeof(float)), *expected = take(LONG * sizeof(float));
    float *out = take(LONG * sizeof(float));

    for (size_t i = 0; i < LONG; i++)
        x[i] = 3 - (float)i * 0.11f;
    x[LONG - 1] = -INFINITY;
    kernels_portable.exponentials(x, LONG, 3, 1.25f, expected);
    for (size_t set = 1; set < SET_COUNT; set++)
        if (kernels_select(SETS[set])) {
            kernels_select(SETS[set])->exponentials(x, LONG, 3, 1.25f, out);
            ck_assert_mem_eq(out, expected, LONG * sizeof(float));
        }
    ck_assert_float_eq(expected[0], 1);
    ck_assert_float_eq(expected[LONG - 1], 0);
    for (size_t i = 0; i < LONG; i++) {
        float power = (x[i] - 3) / 1.25f;
        double exact = power < -87 ? 0 : exp((double)power);
        ck_assert_double_eq_tol(expected[i], exact, 3e-7 * exact + 1e-40);
    }
    free(x);
    free(expected);
    free(out);
}
END_TEST

/* ---- attention ---- */

enum { HEAD = 24, PADDED = 32, PAGES = 5, PAGE_FLOATS = 7 + (HEAD + PADDED) * LANES };

typedef struct {
    cache_view view;
    float *memory;
    uint32_t pages[PAGES];
    float queries[QUERIES_AT_ONCE][HEAD], outs[QUERIES_AT_ONCE][HEAD];
    query list[QUERIES_AT_ONCE];
} attention;

/* Pages lie in no order; what no query may see is NaN. */
static attention *random_attention(void)
{
    static const uint32_t last[QUERIES_AT_ONCE] = {0, 15, 37, 70};
    attention *a = take(sizeof(*a));
    uint64_t random = 8;

    a->memory = take(PAGES * PAGE_FLOATS * sizeof(float));
    for (uint32_t i = 0; i < PAGES; i++)
        a->pages[i] = PAGES - 1 - i;
    a->view = (cache_view){.memory = a->memory,
                           .pages = a->pages,
                           .page_floats = PAGE_FLOATS,
                           .offset = 7,
                           .size = HEAD,
                           .padded = PADDED,
                           .scale = 0.25f};
    for (uint32_t p = 0; p < PAGES * LANES; p++)
        for (uint32_t d = 0; d < PADDED; d++) {
            float *page = a->memory + a->pages[p / LANES] * PAGE_FLOATS + 7;
            float value = p > last[QUERIES_AT_ONCE - 1] ? NAN : 3 * random_float(&random);

            if (d < HEAD)
                page[d * LANES + p % LANES] = value;
            page[HEAD * LANES + (p % LANES) * PADDED + d] = d < HEAD ? value + 1 : NAN;
        }
    for (int i = 0; i < QUERIES_AT_ONCE; i++) {
        for (int d = 0; d < HEAD; d++)
            a->queries[i][d] = random_float(&random);
        a->list[i] = (query){a->queries[i], a->outs[i], last[i]};
    }
    return a;
}

static void run_attention(const kernels *k, const attention *a, size_t first, size_t count)
{
    float *scores = take(QUERIES_AT_ONCE * PAGES * LANES * sizeof(float));

    k->attend(&a->view, a->list + first, count, scores, PAGES * LANES);
    free(scores);
}

START_TEST(attention_weighs_the_values_it_may_see)
{
    attention *a = random_attention();

    run_attention(&kernels_portable, a, 0, QUERIES_AT_ONCE);
    for (int i = 0; i < QUERIES_AT_ONCE; i++) {
        double sum = 0, out[HEAD] = {0};

        for (uint32_t p = 0; p <= a->list[i].last; p++) {
            const float *page = a->memory + a->pages[p / LANES] * PAGE_FLOATS + 7;
            double score = 0;

            for (int d = 0; d < HEAD; d++)
                score += (double)a->queries[i][d] * (double)page[d * LANES + p % LANES];
            sum += exp(score / 4);
            for (int d = 0; d < HEAD; d++)
                out[d] += exp(score / 4) * (double)page[HEAD * LANES + p % LANES * PADDED + d];
        }
        for (int d = 0; d < HEAD; d++)
            ck_assert_double_eq_tol(a->outs[i][d], out[d] / sum, 1e-5);
    }
    free(a->memory);
    free(a);
}
END_TEST

START_TEST(attention_has_the_same_bits_in_all_sets_and_companies)
{
    attention *a = random_attention(), *expected = random_attention();

    run_attention(&kernels_portable, expected, 0, QUERIES_AT_ONCE);
    for (size_t set = 0; set < SET_COUNT; set++)
        for (size_t count = 1; kernels_select(SETS[set]) && count <= QUERIES_AT_ONCE; count++)
            for (size_t first = 0; first + count <= QUERIES_AT_ONCE; first++) {
                memset(a->outs, 0, sizeof(a->outs));
                run_attention(kernels_select(SETS[set]), a, first, count);
                ck_assert_mem_eq(a->outs[first], expected->outs[first], count * sizeof(a->outs[0]));
            }
    free(a->memory);
    free(expected->memory);
    free(a);
    free(expected);
}
END_TEST

/* ---- halves, selection ---- */

START_TEST(halves_are_widened_exactly)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        int exponent = (int)(bits >> 10 & 31);
        double fraction = (double)(bits & 0x3ff) / 1024;
        double size = exponent ? ldexp(1 + fraction, exponent - 15) : ldexp(fraction, -14);
        float value = f32_from_f16((uint16_t)bits);

        if (exponent == 31)
            ck_assert(isnan(value) == (fraction > 0) && !isfinite(value));
        else
            ck_assert_float_eq(value, (float)(bits & 0x8000 ? -size : size));
        ck_assert_int_eq(!!signbit(value), bits >> 15);
    }
    ck_assert_float_eq(f32_from_bf16(0x3fc0), 1.5f);
}
END_TEST

START_TEST(kernels_are_chosen_by_name_or_the_fastest)
{
    ck_assert_str_eq(kernels_select("portable")->name, "portable");
    ck_assert_ptr_null(kernels_select("fortran"));
    ck_assert_ptr_nonnull(kernels_select(NULL));
#if defined(__x86_64__)
    if (kernels_select("avx512"))
        ck_assert_ptr_eq(kernels_select(NULL), &kernels_avx512);
    else if (kernels_select("avx2"))
        ck_assert_ptr_eq(kernels_select(NULL), &kernels_avx2);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("kernels");

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, all_sets_multiply_to_the_same_bits, 0, SHAPE_COUNT);
    tcase_add_loop_test(tests, a_product_does_not_depend_on_the_rows_beside_it, 0, SHAPE_COUNT);
    tcase_add_loop_test(tests, a_product_is_close_to_the_exact_one, 0, SHAPE_COUNT);
    tcase_add_test(tests, values_are_rounded_to_16_bits_of_the_largest);
    tcase_add_test(tests, blocks_of_nothing_and_of_no_numbers_are_told);
    tcase_add_test(tests, all_sets_norm_gate_and_add_to_the_same_bits);
    tcase_add_test(tests, all_sets_exponentiate_alike_and_rightly);
    tcase_add_test(tests, attention_weighs_the_values_it_may_see);
    tcase_add_test(tests, attention_has_the_same_bits_in_all_sets_and_companies);
    tcase_add_test(tests, halves_are_widened_exactly);
    tcase_add_test(tests, kernels_are_chosen_by_name_or_the_fastest);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
