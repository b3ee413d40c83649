/*
 * template.h - from a chat's messages to the text that a model was trained to continue
 *
 * A model file carries its template as a Jinja program. No program is run here: three families
 * are told apart by what stands in it, and rendered as it would render them.
 *
 *   ChatML   <|im_start|>ROLE\nCONTENT<|im_end|>\n               SmolLM2, Qwen, Hermes ...
 *   Llama-3  <|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|>
 *   Zephyr   <|ROLE|>\nCONTENT EOS\n                             Zephyr, TinyLlama, StableLM
 *
 * Read out of the program besides: whether it begins with BOS, whether it strips blanks from
 * contents, the system message it puts in when a chat has none, Llama 3.1's lines of dates (with
 * the date that stands in the file, never today's). Not rendered: tools, reasoning. An image is no
 * text: its place is told.
 *
 * What stands in a message is never a marker: the result tells which parts are the template's
 * own, and encoder_run() recognises control tokens in those alone.
 */
#ifndef MILLRACE_TOKENIZER_TEMPLATE_H
#define MILLRACE_TOKENIZER_TEMPLATE_H

#include "runtime/tokenizer/encode.h"

typedef struct chat_template chat_template;

typedef struct {
    gguf_text role;
    gguf_text content;
    size_t *marks; /* where images stand in the content, ascending; such a content isn't stripped */
    size_t mark_count;
} chat_message;

/* A rendered chat. Starts zeroed; may be rendered into again and again; chat_prompt_free(). */
typedef struct {
    char *bytes;
    size_t length;
    size_t room;
    text_range *own;
    size_t own_count;
    size_t own_room;
    size_t *marks; /* where the images of the contents stand in it */
    size_t mark_count;
    size_t mark_room;
} chat_prompt;

/* chat_template_program - the text of a model file's template, in the file; .bytes NULL: none */
gguf_text chat_template_program(const gguf *file);

/*
 * chat_template_read - the template that a program makes
 *
 *   error  out, on failure: one sentence; so it is when there is none, or one of a family that
 *          isn't known
 *
 * Returns it, to be freed with chat_template_free(), or NULL. Keeps nothing of program and vocab.
 */
chat_template *chat_template_read(gguf_text program, const vocabulary *vocab, char *error,
                                  size_t error_size);
void chat_template_free(chat_template *chat); /* NULL is fine */

/*
 * chat_template_render - the text of a chat
 *
 *   generation  whether to end with the beginning of the assistant's answer
 *   prompt      out; its bytes are valid until it is rendered into again or freed
 *
 * Returns 0, -ENOMEM, or -EINVAL: the family has no such role (Zephyr knows system, user and
 * assistant; the others take any).
 */
int chat_template_render(const chat_template *chat, const chat_message *messages, size_t count,
                         bool generation, chat_prompt *prompt);
void chat_prompt_free(chat_prompt *prompt);

#endif
