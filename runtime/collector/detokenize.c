/*
 * detokenize.c - from the tokens of one choice to its text, piece by piece
 */
#include "runtime/collector/detokenize.h"
#include "runtime/tokenizer/utf8.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

int detokenizer_init(struct detokenizer *text, const vocabulary *vocab, const struct reply *reply,
                     int64_t min_tokens)
{
    *text = (struct detokenizer){.vocabulary = vocab,
                                 .show_special = (reply->flags & REPLY_SHOW_SPECIAL) != 0,
                                 .keep_stop = (reply->flags & REPLY_KEEP_STOP) != 0,
                                 .min_tokens = min_tokens};
    return stops_new(&text->stops, reply->stops, reply->stop_count);
}

size_t view_prompt_length(const mr_view *view)
{
    if (view->prompt_length < 0)
        return 0;
    return (uint64_t)view->prompt_length < view->tokens.count ? (size_t)view->prompt_length
                                                              : view->tokens.count;
}

int64_t view_token(const mr_view *view, size_t index)
{
    return index + 1 == view->tokens.count ? view->last_token : view->tokens.ids[index];
}

int detokenizer_begin(struct detokenizer *text, const vocabulary *vocab, const struct reply *reply,
                      const mr_view *view)
{
    int error = detokenizer_init(text, vocab, reply, view->sampling->min_new_tokens);
    if (error < 0 || (reply->flags & REPLY_ECHO) == 0)
        return error;
    detokenizer_prompt_text(text, reply->prompt);
    for (size_t i = 0; i < view_prompt_length(view) && reply->prompt.length == 0; i++)
        detokenizer_prompt_token(text, view_token(view, i));
    detokenizer_end_prompt(text);
    return 0;
}

void detokenizer_free(struct detokenizer *text)
{
    stops_free(text->stops);
    free(text->bytes);
    *text = (struct detokenizer){0};
}

static bool make_room(struct detokenizer *text, size_t more)
{
    size_t room = text->room > 0 ? text->room : 256;
    char *bytes;
    while (room - text->count < more)
        room *= 2;
    if (room == text->room)
        return true;
    bytes = realloc(text->bytes, room);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

/* put - whole characters, to the end of the text */
static void put(struct detokenizer *text, const char *bytes, size_t length)
{
    if (!make_room(text, length))
        return;
    memcpy(text->bytes + text->count, bytes, length);
    text->count += length;
    for (size_t i = 0; i < length; i++)
        text->characters += (bytes[i] & 0xC0) != 0x80;
}

/* put_searched - the same, up to the stop string that counts if one is completed */
static void put_searched(struct detokenizer *text, const char *bytes, size_t length)
{
    bool may_stop = text->tokens > text->min_tokens;
    for (size_t i = 0; i < length && text->stops != NULL; i++) {
        size_t found = stops_feed(text->stops, (unsigned char)bytes[i]);
        if (found == 0 || !may_stop)
            continue;
        put(text, bytes, i + 1);
        if (!text->keep_stop && !text->failed)
            text->count -= found;
        text->stopped = true;
        return;
    }
    put(text, bytes, length);
}

typedef void sink(struct detokenizer *text, const char *bytes, size_t length);

/* Whether more bytes could complete the broken part that utf8_step() found at the end of a text:
 * then it ran out of bytes before it met one that doesn't fit. */
static bool lacks_bytes(const char *part, size_t step, size_t length)
{
    unsigned char lead = (unsigned char)part[0];
    return step == length && lead >= 0xC2 && lead <= 0xF4;
}

/* complete - one more byte for the unfinished character; false if it doesn't belong to it */
static bool complete(struct detokenizer *text, char byte, sink *out)
{
    bool valid;
    size_t step;
    text->unfinished[text->unfinished_count++] = byte;
    step = utf8_step(text->unfinished, text->unfinished_count, &valid);
    if (!valid && lacks_bytes(text->unfinished, step, text->unfinished_count))
        return true;
    text->unfinished_count = 0;
    if (valid)
        out(text, text->unfinished, step);
    else
        out(text, replacement, sizeof(replacement) - 1);
    return valid;
}

/* add_bytes - of a token, repaired (rule 2) */
static void add_bytes(struct detokenizer *text, const char *bytes, size_t length, sink *out)
{
    while (text->unfinished_count > 0 && length > 0 && complete(text, *bytes, out)) {
        bytes++;
        length--;
    }
    while (length > 0 && !text->stopped) {
        bool valid = true;
        size_t step = utf8_valid(bytes, length);
        if (step == 0)
            step = utf8_step(bytes, length, &valid);
        if (!valid && lacks_bytes(bytes, step, length)) {
            memcpy(text->unfinished, bytes, length);
            text->unfinished_count = (unsigned)length;
            return;
        }
        out(text, valid ? bytes : replacement, valid ? step : sizeof(replacement) - 1);
        bytes += step;
        length -= step;
    }
}

static void add_token(struct detokenizer *text, int64_t token, sink *out)
{
    gguf_text bytes = {NULL, 0};
    if (text->show_special || !vocabulary_is_control(text->vocabulary, token))
        bytes = vocabulary_bytes(text->vocabulary, token);
    if (bytes.length > 0)
        add_bytes(text, bytes.bytes, bytes.length, out);
}

/* end_character - no byte will follow the unfinished character */
static void end_character(struct detokenizer *text, sink *out)
{
    if (text->unfinished_count == 0)
        return;
    text->unfinished_count = 0;
    out(text, replacement, sizeof(replacement) - 1);
}

void detokenizer_prompt_text(struct detokenizer *text, mr_bytes prompt)
{
    if (prompt.length > 0)
        add_bytes(text, prompt.bytes, prompt.length, put);
}

void detokenizer_prompt_token(struct detokenizer *text, int64_t token)
{
    add_token(text, token, put);
}

void detokenizer_end_prompt(struct detokenizer *text)
{
    end_character(text, put);
}

void detokenizer_add(struct detokenizer *text, int64_t token)
{
    if (text->ended || text->stopped)
        return;
    text->tokens++;
    add_token(text, token, put_searched);
}

void detokenizer_end(struct detokenizer *text)
{
    if (!text->ended && !text->stopped)
        end_character(text, put_searched);
    text->ended = true;
}

size_t detokenizer_ready(const struct detokenizer *text)
{
    if (text->ended || text->stopped)
        return text->count;
    return text->count - stops_pending(text->stops);
}

void detokenizer_take(struct detokenizer *text, size_t count)
{
    if (count == 0)
        return;
    memmove(text->bytes, text->bytes + count, text->count - count);
    text->count -= count;
    text->begin += count;
}
