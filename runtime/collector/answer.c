/*
 * answer.c - the records of the output, made of tokens
 */
#include "runtime/collector/answer.h"
#include "runtime/collector/detokenize.h"
#include "runtime/media/base64.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* Which of a record's ids; each is another hash of the same request. */
enum id_kind { ID_RECORD = 0, ID_REQUEST = 1, ID_RESULT = 2, ID_KINDS = 3 };

static void put_id(struct record *record, const char *prefix, enum id_kind kind, mr_bytes custom_id,
                   uint64_t ordinal)
{
    const char *bytes = custom_id.length > 0 ? custom_id.bytes : "";
    XXH128_hash_t hash =
        XXH3_128bits_withSeed(bytes, custom_id.length, ordinal * ID_KINDS + (uint64_t)kind);
    char id[80];
    snprintf(id, sizeof(id), "\"%s%016" PRIx64 "%016" PRIx64 "\"", prefix, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
    record_raw(record, id);
}

static void put_head(struct record *record, const struct reply *reply, uint64_t ordinal)
{
    record_raw(record, "{\"id\":");
    put_id(record, "batch_req_", ID_RECORD, reply->custom_id, ordinal);
    record_raw(record, ",\"custom_id\":");
    if (reply->custom_id.length > 0)
        record_string(record, reply->custom_id);
    else
        record_raw(record, "null");
}

static void put_field(struct record *record, const char *name, mr_bytes value)
{
    record_raw(record, name);
    record_string(record, value);
}

/* ---- a result ---- */

static bool is_chat(const struct answer *answer)
{
    return answer->reply->endpoint == ENDPOINT_CHAT;
}

static void put_ready(struct record *record, struct detokenizer *text)
{
    size_t ready = detokenizer_ready(text);
    record_escaped(record, (mr_bytes){text->bytes, ready});
    detokenizer_take(text, ready);
}

/*
 * put_text - the text of a choice, as the inside of a string
 *
 * The text may be larger than memory should be, so it goes out token by token.
 * Returns 0 or -ENOMEM; *tokens and *stopped tell what counts.
 */
static int put_text(struct record *record, const struct answer *answer, const mr_view *view,
                    int64_t *tokens, bool *stopped)
{
    struct detokenizer text;
    int error = detokenizer_begin(&text, answer->vocabulary, answer->reply, view);
    if (error < 0)
        return error;
    for (size_t i = view_prompt_length(view); i < view->tokens.count && !text.stopped; i++) {
        detokenizer_add(&text, view_token(view, i));
        put_ready(record, &text);
    }
    detokenizer_end(&text);
    put_ready(record, &text);
    *tokens = text.tokens;
    *stopped = text.stopped;
    error = text.failed ? -ENOMEM : 0;
    detokenizer_free(&text);
    return error;
}

static const char *finish_reason(const mr_view *view, bool stopped)
{
    if (stopped || view->status == MR_END_OF_SEQUENCE)
        return "stop";
    if (view->status == MR_MAXIMUM_LENGTH)
        return "length";
    if (view->cancel == MR_CANCEL_DEADLINE)
        return "deadline";
    return "cancelled";
}

static int put_logprobs(struct record *record, const struct answer *answer, const mr_view *view,
                        int64_t tokens)
{
    const struct logprob_range range = {view, answer->reply, answer->vocabulary, answer->logprobs,
                                        tokens};
    record_raw(record, ",\"logprobs\":");
    if (answer->reply->flags & REPLY_LOGPROBS) {
        if (!is_chat(answer))
            return logprobs_write_completion(record, &range);
        logprobs_write_chat(record, &range);
    } else {
        record_raw(record, "null");
    }
    return 0;
}

static int put_choice(struct record *record, const struct answer *answer, const mr_view *view,
                      int64_t *tokens)
{
    bool stopped;
    int error;
    record_raw(record, "{\"index\":");
    record_int(record, view->choice);
    record_raw(record, is_chat(answer) ? ",\"message\":{\"role\":\"assistant\",\"content\":\""
                                       : ",\"text\":\"");
    error = put_text(record, answer, view, tokens, &stopped);
    if (error < 0)
        return error;
    record_raw(record, is_chat(answer) ? "\"}" : "\"");
    error = put_logprobs(record, answer, view, *tokens);
    record_raw(record, ",\"finish_reason\":\"");
    record_raw(record, finish_reason(view, stopped));
    record_raw(record, "\"}");
    return error;
}

static void put_usage(struct record *record, uint64_t prompt, uint64_t completion)
{
    record_raw(record, ",\"usage\":{\"prompt_tokens\":");
    record_int(record, prompt);
    record_raw(record, ",\"completion_tokens\":");
    record_int(record, completion);
    record_raw(record, ",\"total_tokens\":");
    record_int(record, prompt + completion);
    record_raw(record, "}");
}

static void put_body_head(struct record *record, const struct answer *answer, const char *prefix,
                          const char *object)
{
    record_raw(record, "{\"id\":");
    put_id(record, prefix, ID_RESULT, answer->reply->custom_id, answer->views[0].ordinal);
    record_raw(record, ",\"object\":\"");
    record_raw(record, object);
    record_raw(record, "\",\"created\":");
    record_int(record, answer->created);
    put_field(record, ",\"model\":", answer->reply->model);
}

static int put_texts(struct record *record, const struct answer *answer, uint64_t *tokens)
{
    put_body_head(record, answer, is_chat(answer) ? "chatcmpl-" : "cmpl-",
                  is_chat(answer) ? "chat.completion" : "text_completion");
    record_raw(record, ",\"choices\":[");
    for (unsigned i = 0; i < answer->choices; i++) {
        int64_t counted = 0;
        int error;
        record_raw(record, i > 0 ? "," : "");
        error = put_choice(record, answer, &answer->views[i], &counted);
        if (error < 0)
            return error;
        *tokens += (uint64_t)counted;
    }
    record_raw(record, "]");
    put_usage(record, view_prompt_length(&answer->views[0]), *tokens);
    return 0;
}

/* ---- a file ---- */

/* A file may be large: it goes out in pieces. */
static void put_file(struct record *record, const struct media_bytes *file)
{
    enum { PIECE = 3 << 10 };
    char text[BASE64_ENCODED(PIECE) + 1];
    for (size_t at = 0; at < file->length; at += PIECE) {
        size_t length = file->length - at < PIECE ? file->length - at : PIECE;
        base64_encode(file->bytes + at, length, text);
        text[BASE64_ENCODED(length)] = '\0';
        record_raw(record, text);
    }
}

static void put_picture(struct record *record, const struct answer *answer)
{
    char size[32];
    snprintf(size, sizeof(size), "%ux%u", answer->result->width, answer->result->height);
    record_raw(record, "{\"created\":");
    record_int(record, answer->created);
    record_raw(record, ",\"data\":[{\"b64_json\":\"");
    put_file(record, &answer->result->file);
    record_raw(record, "\"}],\"output_format\":\"png\",\"size\":\"");
    record_raw(record, size);
    record_raw(record, "\"");
}

static void put_speech(struct record *record, const struct answer *answer, uint64_t *tokens)
{
    const mr_view *view = &answer->views[0];
    *tokens = view->tokens.count - view_prompt_length(view);
    put_body_head(record, answer, "speech-", "audio.speech");
    record_raw(record, ",\"audio\":{\"data\":\"");
    put_file(record, &answer->result->file);
    record_raw(record, "\",\"format\":\"wav\",\"sample_rate\":");
    record_int(record, answer->reply->sample_rate);
    record_raw(record, "}");
    put_usage(record, view_prompt_length(view), *tokens);
}

static int put_body(struct record *record, const struct answer *answer, uint64_t *tokens)
{
    if (answer->reply->endpoint == ENDPOINT_IMAGE)
        put_picture(record, answer);
    else if (answer->reply->endpoint == ENDPOINT_SPEECH)
        put_speech(record, answer, tokens);
    else
        return put_texts(record, answer, tokens);
    return 0;
}

int answer_write(struct record *record, const struct answer *answer, uint64_t *tokens)
{
    const mr_view *first = &answer->views[0];
    int error;
    *tokens = 0;
    put_head(record, answer->reply, first->ordinal);
    record_raw(record, ",\"response\":{\"status_code\":200,\"request_id\":");
    put_id(record, "req_", ID_REQUEST, answer->reply->custom_id, first->ordinal);
    record_raw(record, ",\"body\":");
    error = put_body(record, answer, tokens);
    record_raw(record, "}},\"error\":null}\n");
    return error;
}

/* ---- the others ---- */

void answer_refuse(struct record *record, const struct reply *reply, uint64_t ordinal,
                   mr_bytes code, mr_bytes message)
{
    put_head(record, reply, ordinal);
    put_field(record, ",\"response\":null,\"error\":{\"code\":", code);
    put_field(record, ",\"message\":", message);
    if (reply->error_param.length > 0)
        put_field(record, ",\"param\":", reply->error_param);
    record_raw(record, ",\"line\":");
    record_int(record, reply->line);
    record_raw(record, "}}\n");
}

void answer_piece(struct record *record, mr_bytes custom_id, unsigned choice, uint64_t offset,
                  mr_bytes delta)
{
    put_field(record, "{\"custom_id\":", custom_id);
    record_raw(record, ",\"choice\":");
    record_int(record, choice);
    record_raw(record, ",\"offset\":");
    record_int(record, offset);
    put_field(record, ",\"delta\":", delta);
    record_raw(record, "}\n");
}
