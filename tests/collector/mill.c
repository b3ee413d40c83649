/*
 * mill.c - a small mill around the collector under test: requests, a model and the right output
 */
#include "tests/collector/mill.h"
#include "runtime/collector/answer.h"
#include "tests/collector/words.h"
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CREATED = 1700000000, MAX_GENERATED = 60, MAX_PROMPT = 12, CAPACITY = 4, TOPS = 2 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* ---- what the requests are ---- */

static bool is_refused(uint64_t ordinal)
{
    return ordinal % 13 == 5;
}

static bool is_given_up(uint64_t ordinal)
{
    return ordinal % 17 == 7;
}

static unsigned choices_of(uint64_t ordinal)
{
    return ordinal % 7 == 3 ? 2 + (unsigned)(ordinal % 2) : 1;
}

static size_t prompt_of(uint64_t ordinal, int64_t *prompt)
{
    size_t length = 1 + (size_t)(mix(ordinal) % MAX_PROMPT);
    for (size_t i = 0; i < length; i++)
        prompt[i] = (int64_t)(mix(ordinal * 31 + i) % WORD_COUNT);
    return length;
}

static struct reply reply_of(const struct mill_plan *plan, uint64_t ordinal, char *id, size_t size)
{
    struct reply reply = {.endpoint = ordinal % 2 ? ENDPOINT_COMPLETION : ENDPOINT_CHAT,
                          .flags = plan->stream ? REPLY_STREAM : 0,
                          .top_logprobs = TOPS,
                          .line = ordinal,
                          .model = bytes_of("hash")};
    snprintf(id, size, "request-%" PRIu64, ordinal);
    reply.custom_id = bytes_of(id);
    if (is_refused(ordinal)) {
        reply.flags = REPLY_REFUSED;
        reply.error_code = bytes_of("invalid_parameter");
        reply.error_message = bytes_of("it is the turn of this one");
    } else {
        reply.flags |= ordinal % 5 == 1 ? REPLY_LOGPROBS : 0;
        reply.flags |= ordinal % 10 == 1 ? REPLY_ECHO : 0;
        reply.stop_count = ordinal % 3 == 0 ? 3 : 0;
        reply.stops[0] = bytes_of("ab");
        reply.stops[1] = bytes_of("aab");
        reply.stops[2] = bytes_of("Hello b");
    }
    return reply;
}

/* The token of a choice at `index` behind the prompt. */
static int64_t model(uint64_t ordinal, unsigned choice, int64_t index)
{
    static const unsigned char common[] = {'a', 'a', 'b', ' ', 'a', 0xE2, 0x82, 0xAC, 'c', '"'};
    uint64_t hash = mix(ordinal * 1000003 + choice * 101 + (uint64_t)index);
    if (hash % 40 == 0)
        return WORD_END;
    return hash % 3 ? common[hash / 120 % sizeof(common)] : (int64_t)(256 + hash / 120 % 4);
}

static double logprob_of(uint64_t ordinal, int64_t position)
{
    return -(double)(mix(ordinal + (uint64_t)position) % 1000000) / 7e4;
}

static void entry_of(uint64_t ordinal, int64_t position, mr_logprob *entry, mr_top_logprob *tops)
{
    for (int i = 0; i < TOPS; i++)
        tops[i] = (mr_top_logprob){'a' + i, logprob_of(ordinal + 1, position) - i};
    *entry = (mr_logprob){logprob_of(ordinal, position), tops, TOPS};
}

static int64_t generated_of(uint64_t ordinal)
{
    return 1 + (int64_t)(mix(ordinal * 3) % MAX_GENERATED);
}

mr_domain_options mill_domain(const struct mill_plan *plan)
{
    return (mr_domain_options){.size = sizeof(mr_domain_options),
                               .slots = plan->slots,
                               .arena_bytes = 4 << 20,
                               .max_length = 256,
                               .vocabulary = WORD_COUNT,
                               .created = CREATED,
                               .max_attempts = 15};
}

/* ---- tokenizer ---- */

static uint64_t boot_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int take_in(mr_intake *intake, const struct mill_plan *plan, uint64_t ordinal)
{
    static const int64_t ends[] = {WORD_END};
    char id[32], note[512];
    int64_t prompt[MAX_PROMPT];
    struct reply reply = reply_of(plan, ordinal, id, sizeof(id));
    mr_request request = {.size = sizeof(request),
                          .kind = MR_KIND_TEXT,
                          .ordinal = ordinal,
                          .accepted = boot_time(),
                          .input_end = ordinal,
                          .request_id = reply.custom_id,
                          .reply = {note, reply_size(&reply)},
                          .prompt = prompt,
                          .prompt_length = prompt_of(ordinal, prompt),
                          .eos_token_ids = ends,
                          .eos_token_count = 1,
                          .log_probabilities = TOPS,
                          .want_log_probabilities = (reply.flags & REPLY_LOGPROBS) != 0,
                          .log_probabilities_echo = (reply.flags & REPLY_ECHO) != 0};
    int error;
    if (request.reply.length > sizeof(note))
        return -E2BIG;
    reply_encode(&reply, note);
    request.max_length = (int64_t)request.prompt_length + generated_of(ordinal);
    mr_sampling_defaults(&request.sampling);
    request.sampling.choices = choices_of(ordinal);
    request.sampling.seed = ordinal;
    while ((error = is_refused(ordinal) ? mr_intake_refuse(intake, &request)
                                        : mr_intake_admit(intake, &request)) == -EAGAIN)
        if ((error = mr_intake_wait(intake, MR_WAIT)) < 0)
            break;
    return error;
}

int mill_tokenizer(mr_member *member, const struct mill_plan *plan)
{
    mr_intake_mark mark;
    mr_intake *intake;
    unsigned deaths;
    int error = mr_intake_open(&intake, member, &mark, &deaths);
    if (error < 0)
        return error;
    for (uint64_t ordinal = mark.ordinal + 1; error == 0 && ordinal <= plan->requests; ordinal++)
        error = take_in(intake, plan, ordinal);
    if (error == 0)
        mr_intake_finish(intake);
    while (error == 0 || error == -ETIMEDOUT)
        error = mr_intake_wait(intake, 20);
    mr_intake_close(intake);
    return error == -ESHUTDOWN ? 0 : error;
}

/* ---- worker ---- */

static void put_echo(mr_text *text, uint64_t ordinal)
{
    for (int64_t i = 1; i < mr_text_original_prompt_length(text); i++) {
        mr_top_logprob tops[TOPS];
        mr_logprob entry;
        entry_of(ordinal, i, &entry, tops);
        mr_text_put_echo_logprob(text, i, &entry);
    }
}

static int step(mr_context *context)
{
    mr_text *text = mr_context_text(context);
    const mr_sampling *sampling = mr_context_sampling(context);
    int64_t length = mr_text_length(text);
    int64_t index = length - mr_text_original_prompt_length(text);
    mr_top_logprob tops[TOPS];
    mr_logprob entry;
    const mr_logprobs logprobs = {&entry, 1};
    if (index == 0 && mr_text_log_probabilities_echo(text))
        put_echo(text, sampling->seed);
    entry_of(sampling->seed, length, &entry, tops);
    return mr_text_update(text, model(sampling->seed, sampling->choice, index),
                          mr_text_wants_log_probabilities(text) ? &logprobs : NULL);
}

static int advance(mr_worker *worker, mr_context *context)
{
    mr_text *text = mr_context_text(context);
    uint64_t ordinal = mr_context_sampling(context)->seed;
    int error = 0;
    if (mr_context_cancelled(context))
        return mr_worker_hand_on(worker, context);
    if (is_given_up(ordinal) &&
        mr_text_length(text) == mr_text_original_prompt_length(text) + generated_of(ordinal) / 2)
        return mr_worker_fail(worker, context, "the worker gave up");
    error = step(context);
    if (error == 0 && mr_text_is_done(text))
        error = mr_worker_hand_on(worker, context);
    return error;
}

int mill_worker(mr_worker *worker)
{
    mr_context *batch[CAPACITY];
    int count = 0;
    while (count >= 0 && (count = mr_worker_batch(worker, batch, MR_WAIT)) >= 0)
        for (int i = 0; i < count; i++) {
            int error = advance(worker, batch[i]);
            if (error < 0) {
                fprintf(stderr, "worker: %s\n", mr_error());
                return error;
            }
        }
    return count == -ESHUTDOWN ? 0 : count;
}

bool mill_answered(const mr_domain *domain, const struct mill_plan *plan)
{
    return mr_stats_total(domain, MR_STAT_requests_accepted) +
                   mr_stats_total(domain, MR_STAT_requests_refused) >=
               plan->requests &&
           mr_domain_unfinished(domain) == 0;
}

/* ---- the right output ---- */

static int read_logprobs(void *self, const mr_view *view, int64_t position,
                         struct logprob_position *result)
{
    (void)self;
    if (position == 0)
        return -ENOENT;
    entry_of(view->ordinal, position, &result->entries[0], result->tops);
    result->logprobs = (mr_logprobs){result->entries, 1};
    return 0;
}

/* A choice that ran to its end, as the collector would see it. */
struct run {
    int64_t tokens[MAX_PROMPT + MAX_GENERATED];
    mr_view view;
};

static void run_choice(struct run *run, uint64_t ordinal, unsigned choice)
{
    static const mr_sampling sampling = {.min_new_tokens = -1};
    size_t prompt = prompt_of(ordinal, run->tokens);
    size_t count = prompt;
    bool ended = false;
    for (int64_t i = 0; i < generated_of(ordinal) && !ended; i++) {
        run->tokens[count++] = model(ordinal, choice, i);
        ended = run->tokens[count - 1] == WORD_END;
    }
    run->view = (mr_view){.kind = MR_KIND_TEXT,
                          .done = 1,
                          .status = ended ? MR_END_OF_SEQUENCE : MR_MAXIMUM_LENGTH,
                          .choice = choice,
                          .ordinal = ordinal,
                          .prompt_length = (int64_t)prompt,
                          .tokens = {run->tokens, count},
                          .last_token = run->tokens[count - 1],
                          .sampling = &sampling};
}

/* stops_within - whether a stop string is complete in the first `count` generated tokens */
static bool stops_within(const struct reply *reply, const mr_view *view, int64_t count)
{
    struct detokenizer text;
    bool stopped;
    ck_assert_int_eq(detokenizer_init(&text, words, reply, -1), 0);
    for (int64_t i = 0; i < count; i++)
        detokenizer_add(&text, view_token(view, view_prompt_length(view) + (size_t)i));
    stopped = text.stopped;
    detokenizer_free(&text);
    return stopped;
}

/* gives_up - whether a worker gets as far as to give the request up, and its text isn't complete
 * by then */
static bool gives_up(const struct reply *reply, uint64_t ordinal)
{
    int64_t half = generated_of(ordinal) / 2;
    struct run run;
    for (unsigned i = 0; i < choices_of(ordinal) && is_given_up(ordinal); i++) {
        run_choice(&run, ordinal, i);
        if ((int64_t)(run.view.tokens.count - view_prompt_length(&run.view)) > half &&
            !stops_within(reply, &run.view, half))
            return true;
    }
    return false;
}

static void put_answer(struct record *record, const struct reply *reply, uint64_t ordinal)
{
    static const struct logprob_source source = {read_logprobs, NULL};
    struct run runs[3];
    mr_view views[3];
    struct answer answer = {.reply = reply,
                            .vocabulary = words,
                            .created = CREATED,
                            .views = views,
                            .choices = choices_of(ordinal),
                            .logprobs = &source};
    uint64_t tokens;
    for (unsigned i = 0; i < answer.choices; i++) {
        run_choice(&runs[i], ordinal, i);
        views[i] = runs[i].view;
    }
    ck_assert_int_eq(answer_write(record, &answer, &tokens), 0);
}

/* A string of `length` bytes; they need no end, which strndup() may look for all the same. */
static char *copy_of(const char *bytes, size_t length)
{
    char *copy = malloc(length + 1);
    memcpy(copy, bytes, length);
    copy[length] = 0;
    return copy;
}

static char *right_line(const struct mill_plan *plan, uint64_t ordinal)
{
    char id[32];
    struct reply reply = reply_of(plan, ordinal, id, sizeof(id));
    struct record record;
    char *line;
    ck_assert_int_eq(record_init(&record, NULL, NULL), 0);
    if (is_refused(ordinal))
        answer_refuse(&record, &reply, ordinal, reply.error_code, reply.error_message);
    else if (ordinal == plan->poison)
        answer_refuse(&record, &reply, ordinal, bytes_of("kills_collector"),
                      bytes_of("the collector died again and again while it made the answer"));
    else if (gives_up(&reply, ordinal))
        answer_refuse(&record, &reply, ordinal, bytes_of("worker_failed"),
                      bytes_of("the worker gave up"));
    else
        put_answer(&record, &reply, ordinal);
    line = copy_of(record.bytes, record.count - 1);
    record_free(&record);
    return line;
}

/* ---- comparing ---- */

/* The pieces of one choice, joined. */
struct joined {
    char *text;
    size_t length;
};

static void join_piece(struct joined *texts, const struct mill_plan *plan, const json_t *piece)
{
    const json_t *delta = json_object_get(piece, "delta");
    uint64_t ordinal =
        strtoull(strchr(json_string_value(json_object_get(piece, "custom_id")), '-') + 1, NULL, 10);
    size_t choice = (size_t)json_integer_value(json_object_get(piece, "choice"));
    struct joined *joined = &texts[ordinal * 3 + choice];
    ck_assert_uint_le(ordinal, plan->requests);
    ck_assert_msg((size_t)json_integer_value(json_object_get(piece, "offset")) == joined->length,
                  "a piece of request %" PRIu64 " is at %lld and should be at %zu", ordinal,
                  (long long)json_integer_value(json_object_get(piece, "offset")), joined->length);
    joined->text = realloc(joined->text, joined->length + json_string_length(delta) + 1);
    memcpy(joined->text + joined->length, json_string_value(delta), json_string_length(delta));
    joined->length += json_string_length(delta);
}

static void check_text(struct joined *texts, uint64_t ordinal, const json_t *choice)
{
    const json_t *content = json_object_get(choice, "text");
    struct joined *joined =
        &texts[ordinal * 3 + (uint64_t)json_integer_value(json_object_get(choice, "index"))];
    if (content == NULL)
        content = json_object_get(json_object_get(choice, "message"), "content");
    ck_assert_uint_eq(json_string_length(content), joined->length);
    if (joined->length > 0)
        ck_assert_mem_eq(json_string_value(content), joined->text, joined->length);
}

static void check_texts(struct joined *texts, uint64_t ordinal, const json_t *record)
{
    const json_t *body = json_object_get(json_object_get(record, "response"), "body");
    const json_t *choices = json_object_get(body, "choices");
    for (size_t i = 0; i < json_array_size(choices); i++)
        check_text(texts, ordinal, json_array_get(choices, i));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint64_t ordinal_of(const json_t *record)
{
    const char *id = json_string_value(json_object_get(record, "custom_id"));
    return strtoull(strchr(id, '-') + 1, NULL, 10);
}

/* take_lines - sorts out pieces and final records; returns the number of the latter */
static size_t take_lines(const struct mill_plan *plan, const char *output, size_t length,
                         struct joined *texts, char **finals)
{
    size_t count = 0;
    for (const char *end, *line = output; line < output + length; line = end + 1) {
        json_t *value;
        end = memchr(line, '\n', (size_t)(output + length - line));
        ck_assert_msg(end != NULL, "the output ends within a line");
        value = json_loadb(line, (size_t)(end - line), JSON_ALLOW_NUL, NULL);
        ck_assert_msg(value != NULL, "not a record: '%.*s'", (int)(end - line), line);
        if (json_object_get(value, "delta") != NULL) {
            ck_assert(plan->stream);
            join_piece(texts, plan, value);
        } else {
            ck_assert_uint_lt(count, plan->requests);
            finals[count++] = copy_of(line, (size_t)(end - line));
            if (plan->stream)
                check_texts(texts, ordinal_of(value), value);
        }
        json_decref(value);
    }
    return count;
}

static void compare(const struct mill_plan *plan, char **finals, size_t count)
{
    char **right = calloc(plan->requests, sizeof(*right));
    for (uint64_t i = 0; i < plan->requests; i++)
        right[i] = right_line(plan, i + 1);
    qsort(right, plan->requests, sizeof(*right), by_text);
    qsort(finals, count, sizeof(*finals), by_text);
    for (uint64_t i = 0; i < plan->requests && i < count; i++)
        ck_assert_str_eq(finals[i], right[i]);
    ck_assert_uint_eq(count, plan->requests);
    for (uint64_t i = 0; i < plan->requests; i++)
        free(right[i]);
    free(right);
}

void mill_check(const struct mill_plan *plan, const char *output, size_t length)
{
    struct joined *texts = calloc(plan->requests + 1, 3 * sizeof(*texts));
    char **finals = calloc(plan->requests, sizeof(*finals));
    size_t count = take_lines(plan, output, length, texts, finals);
    compare(plan, finals, count);
    for (size_t i = 0; i < count; i++)
        free(finals[i]);
    for (uint64_t i = 0; i < (plan->requests + 1) * 3; i++)
        free(texts[i].text);
    free(finals);
    free(texts);
}
