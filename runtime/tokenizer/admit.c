/*
 * admit.c - from a line of the input to contexts in shared memory
 */
#include "runtime/tokenizer/admit.h"
#include "runtime/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

/* How long one sleep lasts while there is no room; each is followed by a look at the phase. */
enum { WAIT_MS = 200 };

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* ---- waiting for room ---- */

/* wait_for_room - 0: try again; else an enum admit_result */
static int wait_for_room(struct admission *admission)
{
    if (mr_intake_wait(admission->intake, WAIT_MS) == -ESHUTDOWN)
        return ADMIT_STOPPED;
    switch (mr_domain_phase(mr_member_domain(admission->member))) {
    case MR_PHASE_DRAIN:
        return ADMIT_DRAINED;
    case MR_PHASE_STOP:
        return ADMIT_STOPPED;
    case MR_PHASE_RUN:
        break;
    }
    return mr_member_alive(admission->member) ? ADMIT_DONE : ADMIT_STOPPED;
}

/* put - admit or refuse, and wait while there is no room; an enum admit_result or -errno */
static int put(struct admission *admission, mr_request *wanted, const struct reply *note,
               int (*how)(mr_intake *, const mr_request *))
{
    size_t size = reply_size(note);
    char *bytes = malloc(size);
    mr_stats *stats = mr_member_stats(admission->member);
    int result;
    if (bytes == NULL)
        return -ENOMEM;
    reply_encode(note, bytes);
    wanted->reply = (mr_bytes){bytes, size};
    while ((result = how(admission->intake, wanted)) == -EAGAIN) {
        mr_stats_add(stats, MR_STAT_intake_waits, 1);
        if ((result = wait_for_room(admission)) != ADMIT_DONE)
            break;
    }
    if (result == ADMIT_DONE && how == mr_intake_admit && wanted->prompt_length > 0)
        mr_stats_record(stats, MR_HISTOGRAM_prompt_length, wanted->prompt_length, 1);
    free(bytes);
    return result;
}

/* ---- refusals ---- */

static int put_refusal(struct admission *admission, mr_request *wanted, struct reply *note,
                       const struct refusal *refusal)
{
    log_info("line %llu is refused: %s", (unsigned long long)note->line, refusal->message);
    note->flags = REPLY_REFUSED;
    note->error_code = text_of(refusal->code);
    note->error_message = text_of(refusal->message);
    note->error_param = text_of(refusal->param);
    wanted->kind = MR_KIND_REFUSAL;
    return put(admission, wanted, note, mr_intake_refuse);
}

int admit_refusal(struct admission *admission, uint64_t line, uint64_t end,
                  const struct refusal *refusal)
{
    mr_request wanted = {
        .size = sizeof(wanted), .ordinal = line, .input_end = end, .accepted = now()};
    struct reply note = {.line = line, .model = text_of(admission->model_name)};
    return put_refusal(admission, &wanted, &note, refusal);
}

/* ---- requests ---- */

/* check_id - whether the record's custom_id is new */
static bool check_id(struct admission *admission, uint64_t line, const struct request *request,
                     struct refusal *refusal)
{
    XXH128_hash_t hash = XXH3_128bits(request->custom_id.bytes, request->custom_id.length);
    const uint64_t words[2] = {hash.low64, hash.high64};
    int seen = mr_intake_seen(admission->intake, words, line);
    if (seen == -ENOSPC && !admission->unchecked_ids) {
        admission->unchecked_ids = true;
        log_warning("from line %llu on, custom_ids are no longer checked for duplicates: "
                    "there are more of them than the run remembers",
                    (unsigned long long)line);
    }
    if (seen != 1)
        return true;
    return refuse(refusal, REFUSAL_DUPLICATE_ID, "custom_id",
                  "'custom_id' %s was used by an earlier record",
                  quote(request->custom_id.bytes, request->custom_id.length).text);
}

/* A request without a seed gets one that depends on the run's seed and its line alone. */
static uint64_t derived_seed(const struct admission *admission, uint64_t line)
{
    return XXH3_64bits_withSeed(&line, sizeof(line), admission->info.seed);
}

/* set_ends - which tokens end the answer; ignore_eos leaves those that the request named itself */
static void set_ends(struct admission *admission, const struct request *request, mr_request *wanted)
{
    size_t count = 0, total = 0;
    int64_t *ids = admission->ends;
    const int64_t *ends = vocabulary_ends(admission->model->vocab, &count);
    for (size_t i = 0; i < count && !request->ignore_eos && total < ADMIT_MAX_ENDS; i++)
        ids[total++] = ends[i];
    for (size_t i = 0; i < request->stop_id_count && total < ADMIT_MAX_ENDS; i++)
        ids[total++] = request->stop_ids[i];
    wanted->eos_token_ids = ids;
    wanted->eos_token_count = total;
    wanted->ignore_eos = total == 0;
}

static void set_lengths(const struct admission *admission, const struct request *request,
                        mr_request *wanted)
{
    int64_t limit = admission->info.max_length;
    int64_t room = limit - (int64_t)wanted->prompt_length;
    int64_t most = request->sampling.max_new_tokens;
    wanted->max_length = most < 0 || most > room ? limit : (int64_t)wanted->prompt_length + most;
}

static void set_output(const struct request *request, mr_request *wanted)
{
    wanted->want_log_probabilities = request->logprobs;
    wanted->log_probabilities = request->top_logprobs;
    wanted->log_probabilities_echo = request->logprobs && request->echo;
}

static void fill_note(const struct admission *admission, const struct request *request,
                      struct reply *note)
{
    note->endpoint = request->endpoint;
    note->flags = (admission->stream ? REPLY_STREAM : 0) | (request->echo ? REPLY_ECHO : 0) |
                  (request->logprobs ? REPLY_LOGPROBS : 0) |
                  (request->keep_stop ? REPLY_KEEP_STOP : 0) |
                  (request->show_special ? REPLY_SHOW_SPECIAL : 0);
    note->top_logprobs = request->top_logprobs;
    note->sample_rate = admission->sample_rate;
    if (request->echo)
        note->prompt = request->text;
    note->stop_count = request->stop_count;
    memcpy(note->stops, request->stops, sizeof(note->stops));
}

/* refuse_unfit - what the library has against a request */
static bool refuse_unfit(struct admission *admission, const mr_request *wanted, int error,
                         struct refusal *refusal)
{
    if (error == -E2BIG && wanted->sampling.choices > admission->info.slots)
        return refuse(refusal, REFUSAL_TOO_LARGE, "body.n",
                      "'body.n' is %u, but the run has %u slots; see --slots",
                      wanted->sampling.choices, admission->info.slots);
    if (error == -E2BIG)
        return refuse(refusal, REFUSAL_TOO_LARGE, "",
                      "the request can never fit into this run's memory: %s; see --memory",
                      mr_error());
    return refuse(refusal, REFUSAL_INVALID_PARAMETER, "", "%s", mr_error());
}

/* prepare_text - the prompt and all that belongs to its tokens */
static bool prepare_text(struct admission *admission, const struct request *request,
                         mr_request *wanted, struct refusal *refusal)
{
    mr_tokens prompt;
    if (!model_encode(admission->model, request, admission->info.max_length - 1, &prompt, refusal))
        return false;
    wanted->prompt = prompt.ids;
    wanted->prompt_length = prompt.count;
    set_lengths(admission, request, wanted);
    set_output(request, wanted);
    return true;
}

/* Pixels of a request's images: what has no room in the arena is not decoded first. */
static uint64_t pixels_for(const struct admission *admission)
{
    uint64_t room = admission->info.arena_bytes / (3 * sizeof(float));
    return room < MATERIAL_MAX_PIXELS ? room : MATERIAL_MAX_PIXELS;
}

/* prepare_kind - what the kind has besides */
static bool prepare_kind(struct admission *admission, const struct request *request,
                         mr_request *wanted, struct refusal *refusal)
{
    struct material *material = &admission->material;
    *material =
        (struct material){.member = admission->member, .pixels_left = pixels_for(admission)};
    switch (request->kind) {
    case MR_KIND_VISION:
        return material_vision(material, admission->model, request, wanted, refusal);
    case MR_KIND_TTS:
        return material_speech(material, request, admission->sample_rate, wanted, refusal);
    case MR_KIND_PIXEL:
        return material_picture(material, admission->model, request, admission->info.max_length,
                                wanted, refusal);
    case MR_KIND_TEXT:
    case MR_KIND_REFUSAL:
        break;
    }
    return true;
}

/* prepare - all that a request needs before it is admitted; false with *refusal filled */
static bool prepare(struct admission *admission, const struct request *request, mr_request *wanted,
                    struct refusal *refusal)
{
    int error;
    wanted->kind = request->kind;
    wanted->priority = request->priority;
    if (request->timeout > 0)
        wanted->deadline = wanted->accepted + (uint64_t)(request->timeout * 1e9);
    wanted->logit_bias = request->biases;
    wanted->logit_bias_count = request->bias_count;
    wanted->sampling = request->sampling;
    wanted->sampling.ignore_eos = request->ignore_eos;
    if (!request->has_seed)
        wanted->sampling.seed = derived_seed(admission, wanted->ordinal);
    if ((request->kind != MR_KIND_PIXEL && !prepare_text(admission, request, wanted, refusal)) ||
        !prepare_kind(admission, request, wanted, refusal))
        return false;
    error = mr_sampling_check_request(&wanted->sampling);
    if (error == 0)
        error = mr_intake_check(admission->intake, wanted);
    return error == 0 || refuse_unfit(admission, wanted, error, refusal);
}

static int admit_record(struct admission *admission, struct request *request, mr_request *wanted,
                        struct reply *note, struct refusal *refusal)
{
    const struct served served = {vocabulary_count(admission->model->vocab), admission->info.kinds};
    int result;
    wanted->request_id = note->custom_id = request->custom_id;
    if (!check_id(admission, note->line, request, refusal) ||
        !request_read(request, &served, refusal)) {
        note->endpoint = request->endpoint;
        return put_refusal(admission, wanted, note, refusal);
    }
    fill_note(admission, request, note);
    set_ends(admission, request, wanted);
    result = prepare(admission, request, wanted, refusal)
                 ? put(admission, wanted, note, mr_intake_admit)
                 : put_refusal(admission, wanted, note, refusal);
    material_free(&admission->material);
    return result;
}

static bool is_blank(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r')
            return false;
    return true;
}

int admit_line(struct admission *admission, uint64_t line, uint64_t end, const char *bytes,
               size_t length)
{
    struct request request;
    struct refusal refusal;
    mr_request wanted = {.size = sizeof(wanted),
                         .ordinal = line,
                         .input_end = end,
                         .accepted = now(),
                         .model_name = text_of(admission->model_name)};
    struct reply note = {.line = line, .model = text_of(admission->model_name)};
    int result;
    if (is_blank(bytes, length)) {
        mr_intake_skip(admission->intake, line, end);
        return ADMIT_DONE;
    }
    if (request_open(&request, bytes, length, &refusal))
        result = admit_record(admission, &request, &wanted, &note, &refusal);
    else
        result = put_refusal(admission, &wanted, &note, &refusal);
    request_free(&request);
    return result;
}
