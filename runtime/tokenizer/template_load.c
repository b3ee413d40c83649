/*
 * template_load.c - reading a chat template's program: its family and its words
 *
 * The program is not parsed; a few places are searched that all templates of a family have in
 * common. A family is a row of literals.
 */
#include "runtime/tokenizer/template_internal.h"
#include "runtime/tokenizer/text_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const template_family chatml = {"<|im_start|>", "\n", "<|im_end|>\n", false, false};
static const template_family llama3 = {"<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>",
                                       false, false};
static const template_family zephyr = {"<|", "|>\n", "\n", true, true};

/* The program as a C string with "\n" written out as the line feed it stands for. */
static char *unescaped(gguf_text source)
{
    char *out = malloc(source.length + 1);
    size_t n = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < source.length; i++) {
        if (i + 1 < source.length && source.bytes[i] == '\\' && source.bytes[i + 1] == 'n') {
            out[n++] = '\n';
            i++;
        } else if (source.bytes[i] != '\0') {
            out[n++] = source.bytes[i];
        }
    }
    out[n] = '\0';
    return out;
}

/* Zephyr's markers are too plain to go by: Phi-3, GLM and Falcon have them too, but end a
 * message otherwise. */
static bool is_zephyr(const char *program)
{
    static const char *const accesses[] = {"message['content']", "message[\"content\"]",
                                           "message.content"};
    char wanted[64];

    for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
        snprintf(wanted, sizeof(wanted), "<|user|>\n' + %s + eos_token", accesses[i]);
        if (strstr(program, wanted))
            return true;
    }
    return false;
}

static const template_family *family_of(const char *program)
{
    if (strstr(program, chatml.before_role))
        return &chatml;
    if (strstr(program, llama3.before_role))
        return &llama3;
    return is_zephyr(program) ? &zephyr : NULL;
}

static bool strips_contents(const char *program)
{
    return strstr(program, "| trim") || strstr(program, "|trim");
}

/* The words between `from` and `to` where both are in one literal that begins with `from`. */
static char *literal_words(const char *program, const char *from, const char *to)
{
    const char *next;

    for (const char *at = strstr(program, from); at; at = strstr(next, from)) {
        char quote = at > program ? at[-1] : '\0';
        const char *close;
        const char *end;

        next = at + strlen(from);
        if (quote != '\'' && quote != '"')
            continue;
        close = strchr(next, quote);
        end = strstr(next, to);
        if (close && end && end > next && end < close)
            return text_copy((gguf_text){next, (size_t)(end - next)});
    }
    return NULL;
}

/* Llama 3.1 and later begin a chat's system message with two lines of dates. */
static char *preamble_of(const char *program)
{
    char *known = literal_words(program, "Cutting Knowledge Date: ", "\n");
    const char *date = strstr(program, "date_string = \"");
    char *preamble = NULL;
    int printed;

    if (!known || !date) {
        free(known);
        return NULL;
    }
    date = strchr(date, '"') + 1;
    printed = asprintf(&preamble, "Cutting Knowledge Date: %s\nToday Date: %.*s\n\n", known,
                       (int)strcspn(date, "\""), date);
    free(known);
    return printed < 0 ? NULL : preamble;
}

static char *special_text(const vocabulary *vocab, enum vocabulary_special which)
{
    int64_t id = vocabulary_special(vocab, which);
    gguf_text text = id >= 0 ? vocabulary_bytes(vocab, id) : (gguf_text){"", 0};

    return text_copy(text);
}

static bool read_program(chat_template *chat, const char *program, const vocabulary *vocab)
{
    chat->begin = special_text(vocab, VOCABULARY_BOS);
    chat->eos = special_text(vocab, VOCABULARY_EOS);
    if (!chat->begin || !chat->eos)
        return false;
    if (!strstr(program, "bos_token"))
        *chat->begin = '\0';
    chat->strips = strips_contents(program);
    if (chat->family == &chatml)
        chat->system = literal_words(program, "<|im_start|>system\n", "<|im_end|>");
    if (chat->family == &llama3)
        chat->preamble = preamble_of(program);
    return true;
}

static chat_template *new_template(gguf_text source, const vocabulary *vocab, char *error,
                                   size_t error_size)
{
    chat_template *chat = calloc(1, sizeof(*chat));
    char *program = unescaped(source);
    bool ok = false;

    if (!chat || !program)
        snprintf(error, error_size, "no memory for the model's chat template");
    else if (!(chat->family = family_of(program)))
        snprintf(error, error_size,
                 "the model file's chat template is of no family that is "
                 "known: ChatML, Llama-3, Zephyr");
    else if (!(ok = read_program(chat, program, vocab)))
        snprintf(error, error_size, "no memory for the model's chat template");
    free(program);
    if (ok)
        return chat;
    chat_template_free(chat);
    return NULL;
}

chat_template *chat_template_read(gguf_text program, const vocabulary *vocab, char *error,
                                  size_t error_size)
{
    if (!program.bytes) {
        snprintf(error, error_size, "the model file has no key 'tokenizer.chat_template'");
        return NULL;
    }
    return new_template(program, vocab, error, error_size);
}

gguf_text chat_template_program(const gguf *file)
{
    gguf_text program = {NULL, 0};

    gguf_string(file, "tokenizer.chat_template", &program);
    return program;
}

void chat_template_free(chat_template *chat)
{
    if (!chat)
        return;
    free(chat->begin);
    free(chat->eos);
    free(chat->system);
    free(chat->preamble);
    free(chat);
}
