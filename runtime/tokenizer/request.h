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

enum {
    REQUEST_ID_MAX = 512, /* bytes of a custom_id */
    REQUEST_MAX_STOP_IDS = 64,
    REQUEST_MAX_BIASES = 1024,
    REQUEST_MAX_TOP_LOGPROBS = 20
};

struct request {
    json_t *root; /* owns what the views below point into */
    mr_bytes custom_id;
    enum endpoint endpoint;

    /* The prompt, one of three. */
    chat_message *messages; /* ENDPOINT_CHAT */
    size_t message_count;
    mr_bytes text;   /* ENDPOINT_COMPLETION with a string */
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
};

/*
 * request_open - parse a line, up to its custom_id
 *
 * False with *refusal filled when it is no JSON object or has no good custom_id; then
 * request->custom_id is empty. Either way request_free() must follow.
 */
bool request_open(struct request *request, const char *line, size_t length,
                  struct refusal *refusal);

/* request_read - read and check the rest; ids of tokens must lie in [0, token_limit). False with
 * *refusal filled, then also request->endpoint is set if it is known. */
bool request_read(struct request *request, size_t token_limit, struct refusal *refusal);

void request_free(struct request *request);

#endif
