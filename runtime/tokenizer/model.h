/*
 * model.h - what the tokenizer has of the model: vocabulary, encoder, chat template
 *
 * Constant once loaded, except for the encoder and the rendered chat, which are for one thread.
 */
#ifndef RUNTIME_TOKENIZER_MODEL_H
#define RUNTIME_TOKENIZER_MODEL_H

#include "runtime/tokenizer/refusal.h"
#include "runtime/tokenizer/request.h"
#include "runtime/tokenizer/tables.h"

struct model {
    tables *tables;
    const vocabulary *vocab; /* of the tables */
    encoder *coder;
    chat_template *chat; /* NULL: the file has none that is known; then `chat_error` says why */
    chat_prompt rendered;
    char chat_error[256];

    /* What stands for an image in a prompt; set by model_set_image(). */
    int64_t image_token;
    size_t image_tokens;
    int64_t *joined; /* the tokens of a chat with images */
    size_t joined_room;
};

/* model_load - of the tables that lie in a memory file (tables.h), which may be closed then. 0, or
 * -EINVAL with a sentence in `error`; model_free() must follow either way */
int model_load(struct model *model, int fd, char *error, size_t error_size);
void model_free(struct model *model);

/* model_set_image - each image stands as `count` tokens of this id; id -1: the vocabulary's own, by
 * its name. -EINVAL with a sentence in `error` if it has none. */
int model_set_image(struct model *model, int64_t token, size_t count, char *error,
                    size_t error_size);

/*
 * model_encode_text - the tokens of a plain text, at most `limit` of them; the rest is cut off
 *
 * As model_encode() else.
 */
bool model_encode_text(struct model *model, mr_bytes text, size_t limit, mr_tokens *tokens,
                       struct refusal *refusal);

/*
 * model_encode - the tokens of a request's prompt
 *
 *   limit   most tokens that a prompt may have
 *   tokens  out: valid until the next call, or as long as the request
 *
 * False with *refusal filled.
 */
bool model_encode(struct model *model, const struct request *request, size_t limit,
                  mr_tokens *tokens, struct refusal *refusal);

#endif
