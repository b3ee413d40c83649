/*
 * logprobs.c - the log-probabilities of a choice, in the formats of the two text APIs
 */
#include "runtime/collector/logprobs.h"
#include "runtime/tokenizer/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whole characters, none of them NUL: many readers of JSON take no NUL in a key. */
static bool is_plain(gguf_text text)
{
    return utf8_valid(text.bytes, text.length) == text.length &&
           memchr(text.bytes, '\0', text.length) == NULL;
}

/* put_token - a token as a string of its own */
static void put_token(struct record *record, const struct logprob_range *range, int64_t token)
{
    gguf_text text = vocabulary_bytes(range->vocabulary, token);
    char byte[40];
    record_raw(record, "\"");
    if (text.bytes == NULL) {
        snprintf(byte, sizeof(byte), "token_id:%" PRId64, token);
        record_raw(record, byte);
    } else if (is_plain(text)) {
        record_escaped(record, (mr_bytes){text.bytes, text.length});
    } else {
        record_raw(record, "bytes:");
        for (size_t i = 0; i < text.length; i++) {
            snprintf(byte, sizeof(byte), "\\\\x%02x", (unsigned)(unsigned char)text.bytes[i]);
            record_raw(record, byte);
        }
    }
    record_raw(record, "\"");
}

static void put_bytes(struct record *record, const struct logprob_range *range, int64_t token)
{
    gguf_text text = vocabulary_bytes(range->vocabulary, token);
    record_raw(record, "[");
    for (size_t i = 0; i < text.length; i++) {
        record_raw(record, i > 0 ? "," : "");
        record_int(record, (unsigned char)text.bytes[i]);
    }
    record_raw(record, "]");
}

/* read_entry - the record of one position; false if the worker gave none */
static bool read_entry(const struct logprob_range *range, size_t index,
                       struct logprob_position *position, mr_logprob *entry)
{
    int error = range->source->read(range->source->self, range->view, (int64_t)index, position);
    if (error < 0 || position->logprobs.count == 0)
        return false;
    *entry = position->logprobs.entries[0];
    if (entry->top_count > range->reply->top_logprobs)
        entry->top_count = range->reply->top_logprobs;
    return true;
}

/* ---- chat ---- */

static void put_chat_token(struct record *record, const struct logprob_range *range, int64_t token,
                           double logprob)
{
    record_raw(record, "{\"token\":");
    put_token(record, range, token);
    record_raw(record, ",\"logprob\":");
    record_real(record, logprob);
    record_raw(record, ",\"bytes\":");
    put_bytes(record, range, token);
}

static void put_chat_position(struct record *record, const struct logprob_range *range,
                              size_t index)
{
    struct logprob_position position;
    mr_logprob entry = {.chosen = -9999.0};
    read_entry(range, index, &position, &entry);
    put_chat_token(record, range, view_token(range->view, index), entry.chosen);
    record_raw(record, ",\"top_logprobs\":[");
    for (size_t i = 0; i < entry.top_count; i++) {
        record_raw(record, i > 0 ? "," : "");
        put_chat_token(record, range, entry.top[i].token, entry.top[i].logprob);
        record_raw(record, "}");
    }
    record_raw(record, "]}");
}

void logprobs_write_chat(struct record *record, const struct logprob_range *range)
{
    size_t first = view_prompt_length(range->view);
    record_raw(record, "{\"content\":[");
    for (size_t i = first; i < first + (size_t)range->tokens; i++) {
        record_raw(record, i > first ? "," : "");
        put_chat_position(record, range, i);
    }
    record_raw(record, "]}");
}

/* ---- completions ---- */

static void put_number(struct record *record, const struct logprob_range *range, size_t index)
{
    struct logprob_position position;
    mr_logprob entry;
    if (read_entry(range, index, &position, &entry))
        record_real(record, entry.chosen);
    else
        record_raw(record, "null");
}

static void put_alternative(struct record *record, const struct logprob_range *range, int64_t token,
                            double logprob, bool first)
{
    record_raw(record, first ? "" : ",");
    put_token(record, range, token);
    record_raw(record, ":");
    record_real(record, logprob);
}

/* put_alternatives - the top ones, and the chosen token if it isn't among them */
static void put_alternatives(struct record *record, const struct logprob_range *range, size_t index)
{
    struct logprob_position position;
    int64_t chosen = view_token(range->view, index);
    bool among = false;
    mr_logprob entry;
    if (!read_entry(range, index, &position, &entry)) {
        record_raw(record, "null");
        return;
    }
    record_raw(record, "{");
    for (size_t i = 0; i < entry.top_count; i++) {
        put_alternative(record, range, entry.top[i].token, entry.top[i].logprob, i == 0);
        among |= entry.top[i].token == chosen;
    }
    if (!among)
        put_alternative(record, range, chosen, entry.chosen, entry.top_count == 0);
    record_raw(record, "}");
}

static void put_string(struct record *record, const struct logprob_range *range, size_t index)
{
    put_token(record, range, view_token(range->view, index));
}

typedef void put_element(struct record *record, const struct logprob_range *range, size_t index);

static void put_list(struct record *record, const struct logprob_range *range, const char *name,
                     put_element *element)
{
    size_t prompt = view_prompt_length(range->view);
    size_t first = range->reply->flags & REPLY_ECHO ? 0 : prompt;
    record_raw(record, name);
    for (size_t i = first; i < prompt + (size_t)range->tokens; i++) {
        record_raw(record, i > first ? "," : "");
        element(record, range, i);
    }
    record_raw(record, "]");
}

/* put_offset - where the next token begins in what `text` has so far */
static void put_offset(struct record *record, struct detokenizer *text, bool first)
{
    record_raw(record, first ? "" : ",");
    record_int(record, text->characters);
    detokenizer_take(text, text->count);
}

static void put_prompt_offsets(struct record *record, const struct logprob_range *range,
                               struct detokenizer *text)
{
    for (size_t i = 0; i < view_prompt_length(range->view); i++) {
        put_offset(record, text, i == 0);
        detokenizer_prompt_token(text, view_token(range->view, i));
    }
    detokenizer_end_prompt(text);
    if (range->reply->prompt.length == 0)
        return;
    text->characters = 0; /* the text is that of the request, not that of its tokens */
    detokenizer_prompt_text(text, range->reply->prompt);
    detokenizer_end_prompt(text);
}

static int put_offsets(struct record *record, const struct logprob_range *range)
{
    struct reply unstopped = *range->reply;
    struct detokenizer text;
    size_t prompt = view_prompt_length(range->view);
    bool echo = (range->reply->flags & REPLY_ECHO) != 0;
    int error;
    unstopped.stop_count = 0;
    error = detokenizer_init(&text, range->vocabulary, &unstopped, 0);
    if (error < 0)
        return error;
    record_raw(record, ",\"text_offset\":[");
    if (echo)
        put_prompt_offsets(record, range, &text);
    for (size_t i = prompt; i < prompt + (size_t)range->tokens; i++) {
        put_offset(record, &text, i == (echo ? 0 : prompt));
        detokenizer_add(&text, view_token(range->view, i));
    }
    record_raw(record, "]");
    error = text.failed ? -ENOMEM : 0;
    detokenizer_free(&text);
    return error;
}

int logprobs_write_completion(struct record *record, const struct logprob_range *range)
{
    int error;
    put_list(record, range, "{\"tokens\":[", put_string);
    put_list(record, range, ",\"token_logprobs\":[", put_number);
    put_list(record, range, ",\"top_logprobs\":[", put_alternatives);
    error = put_offsets(record, range);
    record_raw(record, "}");
    return error;
}
