/*
 * template.c - from a chat's messages to the text that a model was trained to continue
 *
 * Literals, and the words that a template itself puts in, are recorded as the prompt's own
 * ranges; roles and contents are not, since both come from the request.
 */
#include "runtime/tokenizer/template.h"
#include "runtime/tokenizer/grow.h"
#include "runtime/tokenizer/template_internal.h"
#include "runtime/tokenizer/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const gguf_text system_role = {"system", 6};
static const gguf_text assistant_role = {"assistant", 9};

/* Appends text; `own` says whether it is the template's, or out of the request. */
static int put(chat_prompt *prompt, gguf_text text, bool own)
{
    size_t start = prompt->length;
    text_range *last;

    if (text.length == 0)
        return 0;
    if (!GROW(prompt->bytes, prompt->room, start + text.length) ||
        !GROW(prompt->own, prompt->own_room, prompt->own_count + 1))
        return -ENOMEM;
    memcpy(prompt->bytes + start, text.bytes, text.length);
    prompt->length += text.length;
    last = prompt->own_count ? &prompt->own[prompt->own_count - 1] : NULL;
    if (own && last && last->end == start)
        last->end = prompt->length;
    else if (own)
        prompt->own[prompt->own_count++] = (text_range){start, prompt->length};
    return 0;
}

static int put_own(chat_prompt *prompt, const char *text)
{
    return put(prompt, (gguf_text){text, strlen(text)}, true);
}

/* What Python's str.strip() takes off. */
static bool is_blank(unsigned code)
{
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
           code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static bool blank_at(const char *text, size_t length)
{
    bool valid;

    return utf8_step(text, length, &valid) == length && valid && is_blank(utf8_code_point(text));
}

/* Bytes of the blank that the text begins with, or ends with, or 0: no blank has more than 3. */
static size_t blank_in_front(gguf_text text)
{
    for (size_t n = 1; n <= 3 && n <= text.length; n++)
        if (blank_at(text.bytes, n))
            return n;
    return 0;
}

static size_t blank_behind(gguf_text text)
{
    for (size_t n = 1; n <= 3 && n <= text.length; n++)
        if (blank_at(text.bytes + text.length - n, n))
            return n;
    return 0;
}

static gguf_text stripped(gguf_text text)
{
    size_t blank;

    while ((blank = blank_in_front(text)) != 0) {
        text.bytes += blank;
        text.length -= blank;
    }
    while ((blank = blank_behind(text)) != 0)
        text.length -= blank;
    return text;
}

static bool is_role(gguf_text role, gguf_text wanted)
{
    return role.length == wanted.length && memcmp(role.bytes, wanted.bytes, role.length) == 0;
}

static bool has_role(const template_family *family, gguf_text role)
{
    static const gguf_text user_role = {"user", 4};

    return !family->three_roles || is_role(role, system_role) || is_role(role, user_role) ||
           is_role(role, assistant_role);
}

static int put_end(const chat_template *chat, chat_prompt *prompt)
{
    int result = 0;

    if (chat->family->eos_after_content)
        result = put_own(prompt, chat->eos);
    return result ? result : put_own(prompt, chat->family->after_content);
}

/* In a family of three roles a role is part of its marker, and one of the three. */
static int put_head(const chat_template *chat, gguf_text role, chat_prompt *prompt)
{
    int result;

    if ((result = put_own(prompt, chat->family->before_role)) != 0 ||
        (result = put(prompt, role, chat->family->three_roles)) != 0)
        return result;
    return put_own(prompt, chat->family->after_role);
}

/* A content as it is rendered. */
static gguf_text shown(const chat_template *chat, const chat_message *message)
{
    return chat->strips && !message->mark_count ? stripped(message->content) : message->content;
}

static int put_content(const chat_template *chat, const chat_message *message, chat_prompt *prompt)
{
    size_t start = prompt->length;

    if (!GROW(prompt->marks, prompt->mark_room, prompt->mark_count + message->mark_count))
        return -ENOMEM;
    for (size_t i = 0; i < message->mark_count; i++)
        prompt->marks[prompt->mark_count++] = start + message->marks[i];
    return put(prompt, shown(chat, message), false);
}

static int put_message(const chat_template *chat, const chat_message *message, chat_prompt *prompt)
{
    int result;

    if (!has_role(chat->family, message->role))
        return -EINVAL;
    if ((result = put_head(chat, message->role, prompt)) != 0 ||
        (result = put_content(chat, message, prompt)) != 0)
        return result;
    return put_end(chat, prompt);
}

/* A system message with the template's words, followed by the chat's own system message if it
 * has one; *taken says whether it did. */
static int put_system(const chat_template *chat, const char *words, const chat_message *first,
                      bool *taken, chat_prompt *prompt)
{
    int result;

    *taken = is_role(first->role, system_role);
    if ((result = put_head(chat, system_role, prompt)) != 0 ||
        (result = put_own(prompt, words)) != 0 ||
        (*taken && (result = put_content(chat, first, prompt)) != 0))
        return result;
    return put_end(chat, prompt);
}

static int put_beginning(const chat_template *chat, const chat_message *first, bool *taken,
                         chat_prompt *prompt)
{
    int result = put_own(prompt, chat->begin);

    *taken = false;
    if (result != 0 || !first)
        return result;
    if (chat->preamble)
        return put_system(chat, chat->preamble, first, taken, prompt);
    if (chat->system && !is_role(first->role, system_role))
        return put_system(chat, chat->system, first, taken, prompt);
    return 0;
}

int chat_template_render(const chat_template *chat, const chat_message *messages, size_t count,
                         bool generation, chat_prompt *prompt)
{
    bool taken;
    int result;

    prompt->length = 0;
    prompt->own_count = 0;
    prompt->mark_count = 0;
    result = put_beginning(chat, count ? &messages[0] : NULL, &taken, prompt);
    for (size_t i = taken; i < count && result == 0; i++)
        result = put_message(chat, &messages[i], prompt);
    if (result == 0 && generation)
        result = put_head(chat, assistant_role, prompt);
    return result;
}

void chat_prompt_free(chat_prompt *prompt)
{
    free(prompt->bytes);
    free(prompt->own);
    free(prompt->marks);
    *prompt = (chat_prompt){0};
}
