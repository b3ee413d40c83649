/*
 * serve_test.c - the worker's loop: answers are those of the engine alone, whatever the batch
 *
 * A whole domain in one process: requests are admitted, one worker serves them in a thread, and
 * the collector's view tells the answers.
 */
#include "tests/llama/fixture.h"
#include "workers/llama/serve.h"

#include <check.h>
#include <millrace/millrace.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REQUESTS = 14,
    CHOICES = 3, /* of every fourth request */
    VOCABULARY = 203,
    LONGEST = 128,
    TOP = 4,
    ENDING = 7 /* the token that ends an answer */
};

static const mr_sampling NEUTRAL = {.top_k = -1,
                                    .top_p = 1,
                                    .temperature = 1,
                                    .repetition_penalty = 1,
                                    .max_new_tokens = -1,
                                    .choices = 1};

typedef struct {
    int64_t prompt[LONGEST];
    mr_request request;
    char id[16];
} question;

/* What came out of one choice. */
typedef struct {
    bool done, failed;
    char failure[200];
    size_t count; /* of all tokens */
    int64_t tokens[LONGEST];
    double chosen[LONGEST]; /* by position; 1 where there is none */
    mr_top_logprob top[LONGEST][TOP];
    size_t top_count[LONGEST];
} answer;

static question questions[REQUESTS];
static answer answers[REQUESTS][CHOICES], expected[REQUESTS][CHOICES];

/* ---- questions ---- */

static void vary_sampling(uint64_t i, mr_sampling *s)
{
    static const double temperatures[] = {0, 0.7, 1.0, 1.4};

    *s = NEUTRAL;
    s->temperature = temperatures[i % 4];
    s->top_k = i % 3 == 0 ? 20 : -1;
    s->top_p = i % 5 == 0 ? 0.8 : 1;
    s->frequency_penalty = i % 2 ? 0.25 : 0;
    s->repetition_penalty = i % 7 == 0 ? 1.2 : 1;
    s->min_new_tokens = i % 3 ? 4 : 0;
    s->seed = 1000 + i;
    s->choices = i % 4 == 1 ? CHOICES : 1;
}

static void make_questions(void)
{
    static const int64_t ending = ENDING;
    uint64_t random = 77;

    for (uint64_t i = 0; i < REQUESTS; i++) {
        question *q = &questions[i];
        size_t length = 1 + i * 37 % 80;

        for (size_t j = 0; j < length; j++)
            q->prompt[j] = (int64_t)(next_random(&random) % VOCABULARY);
        snprintf(q->id, sizeof(q->id), "question-%d", (int)i);
        q->request = (mr_request){.size = sizeof(mr_request),
                                  .kind = MR_KIND_TEXT,
                                  .ordinal = i + 1,
                                  .input_end = i + 1,
                                  .request_id = {q->id, strlen(q->id)},
                                  .prompt = q->prompt,
                                  .prompt_length = length,
                                  .max_length = (int64_t)length + 8 + (int64_t)i * 3,
                                  .eos_token_ids = &ending,
                                  .eos_token_count = 1,
                                  .want_log_probabilities = i % 2,
                                  .log_probabilities = i % 2 ? i % (TOP + 1) : 0,
                                  .log_probabilities_echo = i % 6 == 3};
        vary_sampling(i, &q->request.sampling);
    }
}

/* ---- what the engine alone says ---- */

static void expect_logprob(sampler *s, const mr_request *r, const float *logits, answer *a,
                           size_t position)
{
    if (!r->want_log_probabilities)
        return;
    a->top_count[position] = r->log_probabilities;
    a->chosen[position] =
        sampler_logprob(s, logits, a->tokens[position], a->top[position], r->log_probabilities);
}

static void expect_answer(engine *e, sampler *s, const mr_request *r, uint32_t choice, answer *a)
{
    mr_sampling sampling = r->sampling;
    engine_sequence *sequence;

    sampling.choice = choice;
    memset(a, 0, sizeof(*a));
    memcpy(a->tokens, r->prompt, r->prompt_length * sizeof(a->tokens[0]));
    for (size_t i = 0; i < LONGEST; i++)
        a->chosen[i] = 1;
    ck_assert_int_eq(engine_sequence_open(e, LONGEST, NULL, 0, &sequence), 0);
    for (a->count = 1; !a->done; a->count++) {
        engine_work work = {sequence, a->tokens + a->count - 1, 1, 1};
        sample_request request = {.sampling = &sampling,
                                  .tokens = a->tokens,
                                  .token_count = a->count,
                                  .prompt_count = r->prompt_length,
                                  .ending = r->eos_token_ids,
                                  .ending_count = r->eos_token_count};

        ck_assert_int_eq(engine_step(e, &work, 1), 0);
        const float *logits = engine_logits(e, 0);
        if (a->count < r->prompt_length && !r->log_probabilities_echo)
            continue;
        if (a->count >= r->prompt_length) {
            ck_assert_int_eq(sampler_choose(s, logits, &request, &a->tokens[a->count]), 0);
            a->done = a->tokens[a->count] == ENDING || (int64_t)a->count + 1 == r->max_length;
        }
        expect_logprob(s, r, logits, a, a->count);
    }
    engine_sequence_close(e, sequence);
}

static void expect_answers(const model_spec *spec)
{
    engine *e = spec_open(spec, &(engine_options){.kernels = "portable"});
    sampler *s = sampler_create(VOCABULARY, &kernels_portable);

    for (size_t i = 0; i < REQUESTS; i++)
        for (uint32_t c = 0; c < questions[i].request.sampling.choices; c++)
            expect_answer(e, s, &questions[i].request, c, &expected[i][c]);
    sampler_destroy(s);
    engine_close(e);
}

/* ---- a domain ---- */

typedef struct {
    mr_domain *domain;
    mr_member *tokenizer, *collector;
    mr_intake *intake;
    mr_emission *emission;
    engine *e;
    mr_worker *worker;
    server *server;
    pthread_t thread;
    enum worker_exit status;
} house;

static void open_house(house *h, const model_spec *spec, const engine_options *options)
{
    char name[32];
    mr_domain_options domain = {.size = sizeof(domain),
                                .slots = 32,
                                .arena_bytes = 1 << 20,
                                .max_length = LONGEST,
                                .vocabulary = VOCABULARY,
                                .created = 1};
    mr_member_options member = {.size = sizeof(member), .role = MR_ROLE_TOKENIZER};
    mr_intake_mark mark;
    mr_handle suspect;
    unsigned deaths;

    snprintf(name, sizeof(name), "serve-%d", (int)getpid());
    ck_assert_msg(mr_domain_create(&h->domain, name, &domain) == 0, "%s", mr_error());
    ck_assert_int_eq(mr_member_join(&h->tokenizer, h->domain, &member), 0);
    member.role = MR_ROLE_COLLECTOR;
    ck_assert_int_eq(mr_member_join(&h->collector, h->domain, &member), 0);
    ck_assert_int_eq(mr_intake_open(&h->intake, h->tokenizer, &mark, &deaths), 0);
    ck_assert_int_eq(mr_emission_open(&h->emission, h->collector, &suspect, &deaths), 0);
    h->e = spec_open(spec, options);
}

static void *run_server(void *argument)
{
    house *h = argument;

    h->status = server_run(h->server, "serve_test");
    return NULL;
}

static void start_worker(house *h)
{
    const engine_facts *facts = engine_describe(h->e);
    mr_worker_options wants = {.size = sizeof(wants),
                               .capacity = facts->max_sequences,
                               .fingerprint = "serve_test",
                               .token_capacity = (uint64_t)facts->kv_pages * facts->page_positions,
                               .token_page = facts->page_positions,
                               .vocabulary = facts->vocabulary,
                               .flags = MR_BATCH_INVARIANT};

    ck_assert_msg(mr_worker_join(&h->worker, h->domain, &wants) == 0, "%s", mr_error());
    h->server = server_create(h->worker, h->e, facts->max_sequences);
    ck_assert_ptr_nonnull(h->server);
    ck_assert_int_eq(pthread_create(&h->thread, NULL, run_server, h), 0);
}

static void close_house(house *h)
{
    mr_domain_set_phase(h->domain, MR_PHASE_STOP);
    pthread_join(h->thread, NULL);
    ck_assert_int_eq(h->status, WORKER_DONE);
    server_destroy(h->server);
    mr_worker_leave(h->worker);
    engine_close(h->e);
    mr_intake_close(h->intake);
    mr_emission_close(h->emission);
    mr_member_leave(h->tokenizer);
    mr_member_leave(h->collector);
    mr_domain_remove(h->domain);
}

/* ---- answers ---- */

static void read_logprobs(house *h, const mr_view *view, answer *a)
{
    for (size_t position = 0; position < a->count; position++) {
        mr_logprobs record;
        mr_logprob entry;

        a->chosen[position] = 1;
        if (mr_emission_logprobs(h->emission, view->handle, (int64_t)position, &record, &entry, 1,
                                 a->top[position], TOP) < 0)
            continue;
        ck_assert_uint_eq(record.count, 1);
        a->chosen[position] = entry.chosen;
        a->top_count[position] = entry.top_count;
    }
}

static void read_answer(house *h, const mr_view *view)
{
    answer *a = &answers[view->ordinal - 1][view->choice];

    ck_assert(!a->done);
    a->done = true;
    a->failed = view->failed;
    snprintf(a->failure, sizeof(a->failure), "%.*s", (int)view->failure.length,
             view->failure.bytes);
    a->count = view->tokens.count;
    ck_assert_uint_le(a->count, LONGEST);
    memcpy(a->tokens, view->tokens.ids, a->count * sizeof(a->tokens[0]));
    if (a->count)
        a->tokens[a->count - 1] = view->last_token;
    if (view->want_log_probabilities)
        read_logprobs(h, view, a);
}

/* Waits until `contexts` of them are done. */
static void collect(house *h, size_t contexts)
{
    memset(answers, 0, sizeof(answers));
    while (contexts > 0) {
        mr_handle handle;
        mr_view view;

        ck_assert_msg(mr_emission_next(h->emission, &handle, 60000) == 0, "no answer for a minute");
        if (mr_emission_view(h->emission, handle, &view) < 0 || !view.done ||
            answers[view.ordinal - 1][view.choice].done)
            continue;
        read_answer(h, &view);
        contexts--;
    }
}

static void check_answer(const answer *a, const answer *right, const char *id)
{
    ck_assert_msg(!a->failed, "%s failed: %s", id, a->failure);
    ck_assert_msg(a->count == right->count, "%s has %zu tokens, not %zu", id, a->count,
                  right->count);
    ck_assert_mem_eq(a->tokens, right->tokens, a->count * sizeof(a->tokens[0]));
    for (size_t i = 0; i < a->count; i++) {
        ck_assert_msg(right->chosen[i] > 0 || a->chosen[i] == right->chosen[i],
                      "%s, position %zu: log-probability %a, not %a", id, i, a->chosen[i],
                      right->chosen[i]);
        ck_assert_uint_eq(a->top_count[i], right->top_count[i]);
        for (size_t t = 0; t < a->top_count[i]; t++) {
            ck_assert_int_eq(a->top[i][t].token, right->top[i][t].token);
            ck_assert_double_eq(a->top[i][t].logprob, right->top[i][t].logprob);
        }
    }
}

static void serve_all(const model_spec *spec, const engine_options *options)
{
    house h = {0};
    size_t contexts = 0;

    open_house(&h, spec, options);
    for (size_t i = 0; i < REQUESTS; i++) {
        ck_assert_msg(mr_intake_admit(h.intake, &questions[i].request) == 0, "%s", mr_error());
        contexts += questions[i].request.sampling.choices;
    }
    start_worker(&h);
    collect(&h, contexts);
    close_house(&h);
    for (size_t i = 0; i < REQUESTS; i++)
        for (uint32_t c = 0; c < questions[i].request.sampling.choices; c++)
            check_answer(&answers[i][c], &expected[i][c], questions[i].id);
}

/* The last one's cache holds two of the requests at a time. */
static const engine_options WAYS[] = {
    {.max_sequences = 1, .max_positions = 2, .max_logits = 1},
    {.max_sequences = 3, .max_positions = 7, .max_logits = 3},
    {.max_sequences = 20, .max_positions = 256, .max_logits = 52},
    {.max_sequences = 20, .max_positions = 64, .max_logits = 30, .threads = 2, .kv_pages = 16},
};

START_TEST(answers_are_those_of_the_engine_alone)
{
    model_spec spec = small_model(GGUF_Q8_0);

    make_questions();
    expect_answers(&spec);
    serve_all(&spec, &WAYS[_i]);
}
END_TEST

/* ---- what can't be answered ---- */

/* One request that goes wrong beside one that doesn't. */
static void serve_pair(const model_spec *spec, const mr_request *bad)
{
    house h = {0};

    open_house(&h, spec, &WAYS[2]);
    ck_assert_int_eq(mr_intake_admit(h.intake, &questions[0].request), 0);
    ck_assert_msg(mr_intake_admit(h.intake, bad) == 0, "%s", mr_error());
    start_worker(&h);
    collect(&h, 2);
    close_house(&h);
}

static void fails_with(const char *word)
{
    ck_assert(answers[1][0].failed);
    ck_assert_msg(strstr(answers[1][0].failure, word) != NULL, "'%s' says nothing of %s",
                  answers[1][0].failure, word);
}

START_TEST(a_schema_is_refused_and_others_go_on)
{
    model_spec spec = small_model(GGUF_F32);
    mr_request bad;

    make_questions();
    expect_answers(&spec);
    bad = questions[2].request;
    bad.ordinal = bad.input_end = 2;
    bad.json_schema = (mr_bytes){"{}", 2};
    serve_pair(&spec, &bad);
    fails_with("JSON schema");
    check_answer(&answers[0][0], &expected[0][0], "the other");
}
END_TEST

START_TEST(a_request_longer_than_the_model_is_refused)
{
    model_spec spec = small_model(GGUF_F32);
    mr_request bad;

    spec.context = 64;
    make_questions();
    bad = questions[2].request;
    bad.ordinal = bad.input_end = 2;
    bad.max_length = 100;
    questions[0].request.max_length = 60;
    serve_pair(&spec, &bad);
    fails_with("context");
    ck_assert(!answers[0][0].failed);
}
END_TEST

START_TEST(a_request_with_nothing_left_to_choose_fails_alone)
{
    static int64_t all[VOCABULARY];
    model_spec spec = small_model(GGUF_F32);
    mr_request bad;

    for (int i = 0; i < VOCABULARY; i++)
        all[i] = i;
    make_questions();
    expect_answers(&spec);
    bad = questions[2].request;
    bad.ordinal = bad.input_end = 2;
    bad.eos_token_ids = all;
    bad.eos_token_count = VOCABULARY;
    bad.sampling.min_new_tokens = 3;
    serve_pair(&spec, &bad);
    fails_with("no token can be chosen");
    check_answer(&answers[0][0], &expected[0][0], "the other");
}
END_TEST

START_TEST(a_stopped_request_is_let_go_of)
{
    model_spec spec = small_model(GGUF_F32);
    house h = {0};
    mr_handle handle;
    mr_view view;

    make_questions();
    questions[0].request.max_length = LONGEST;
    questions[0].request.eos_token_count = 0;
    open_house(&h, &spec, &WAYS[2]);
    ck_assert_int_eq(mr_intake_admit(h.intake, &questions[0].request), 0);
    start_worker(&h);
    ck_assert_int_eq(mr_emission_next(h.emission, &handle, 60000), 0);
    ck_assert_int_eq(mr_emission_view(h.emission, handle, &view), 0);
    mr_emission_stop(h.emission, handle);
    while (!view.done) {
        ck_assert_int_eq(mr_emission_next(h.emission, &handle, 60000), 0);
        ck_assert_int_eq(mr_emission_view(h.emission, handle, &view), 0);
    }
    ck_assert_uint_eq(view.failed, 0);
    close_house(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serve");
    TCase *tests = tcase_create("serve");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, answers_are_those_of_the_engine_alone, 0,
                        sizeof(WAYS) / sizeof(WAYS[0]));
    tcase_add_test(tests, a_schema_is_refused_and_others_go_on);
    tcase_add_test(tests, a_request_longer_than_the_model_is_refused);
    tcase_add_test(tests, a_request_with_nothing_left_to_choose_fails_alone);
    tcase_add_test(tests, a_stopped_request_is_let_go_of);
    suite_add_tcase(suite, tests);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
