/*
 * request.h - a record of the input, read and checked
 *
 * A record is a line of OpenAI's Batch format: {custom_id, method, url, body}. Its url says what
 * the body is; the fields of a body are those of OpenAI's API and the usual extras of vLLM
 * (docs/formats.md). What is checked here needs nothing but the record itself and the size of the
 * vocabulary; what depends on the prompt's tokens or on the domain is admit.h's.
 */
#ifndef RUNTIME_TOKENIZER_REQUEST_H
#define RUNTIME_TOKENIZER_REQUEST_H

#include "runtime/reply.h"
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/template.h"
#include <millrace/intake.h>
#include <millrace/prepare.h>

enum {
    REQUEST_ID_MAX = 512, /* bytes of a custom_id */
    REQUEST_MAX_STOP_IDS = 64,
    REQUEST_MAX_BIASES = 1024,
    REQUEST_MAX_TOP_LOGPROBS = 20,
    REQUEST_MAX_IMAGES = 64
};

/* What a run serves, as far as it decides whether a record is good. */
struct served {
    size_t tokens;  /* ids lie in [0, tokens) */
    uint32_t kinds; /* enum mr_kinds */
};

struct request {
    json_t *root; /* owns what the views below point into */
    mr_bytes custom_id;
    enum endpoint endpoint;

    enum mr_kind kind; /* of the contexts that it becomes */

    /* The prompt, one of three. */
    chat_message *messages; /* ENDPOINT_CHAT */
    size_t message_count;
    mr_bytes text;   /* of a completion, of what is to be spoken */
    int64_t *tokens; /* ENDPOINT_COMPLETION with tokens; NULL: with a string */
    size_t token_count;

    mr_sampling sampling; /* .max_new_tokens -1: up to the context's end */
    bool has_seed;
    bool ignore_eos;
    bool echo;
    bool logprobs;
    bool keep_stop;    /* include_stop_str_in_output */
    bool show_special; /* not skip_special_tokens */
    bool begin;        /* add_special_tokens: BOS before the prompt of a completion */
    int32_t priority;
    double timeout; /* seconds from its reading until it is ended; 0: none */
    unsigned top_logprobs;
    mr_bytes stops[REPLY_MAX_STOPS];
    unsigned stop_count;
    int64_t stop_ids[REQUEST_MAX_STOP_IDS];
    size_t stop_id_count;
    mr_logit_bias *biases;
    size_t bias_count;

    mr_bytes images[REQUEST_MAX_IMAGES]; /* MR_KIND_VISION: their urls, by their places */
    size_t image_count;

    /* ENDPOINT_SPEECH */
    mr_bytes audio_prompt;        /* url; none: length 0 */
    int64_t *audio_prompt_tokens; /* or this; both may be none */
    size_t audio_prompt_count;
    double max_seconds; /* of audio */

    /* ENDPOINT_IMAGE; options.seed -1: none */
    mr_pixel_options picture;
    mr_pixel_prompts prompts;
};

/*
 * request_open - parse a line, up to its custom_id
 *
 * False with *refusal filled when it is no JSON object or has no good custom_id; then
 * request->custom_id is empty. Either way request_free() must follow.
 */
bool request_open(struct request *request, const char *line, size_t length,
                  struct refusal *refusal);

/* request_read - read and check the rest, for a run that serves this. False with *refusal filled,
 * then also request->endpoint is set if it is known. */
bool request_read(struct request *request, const struct served *served, struct refusal *refusal);

void request_free(struct request *request);

#endif
