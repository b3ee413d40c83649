/*
 * model.c - what the tokenizer has of the model: vocabulary, encoder, chat template
 */
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/grow.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int model_load(struct model *model, int fd, char *error, size_t error_size)
{
    *model = (struct model){.tables = tables_map(fd, error, error_size)};
    if (model->tables == NULL)
        return -EINVAL;
    model->vocab = tables_vocabulary(model->tables);
    model->coder = encoder_new(model->vocab, error, error_size);
    if (model->coder == NULL)
        return -EINVAL;
    model->chat = chat_template_read(tables_chat_template(model->tables), model->vocab,
                                     model->chat_error, sizeof(model->chat_error));
    return 0;
}

void model_free(struct model *model)
{
    chat_prompt_free(&model->rendered);
    chat_template_free(model->chat);
    encoder_free(model->coder);
    tables_free(model->tables);
    free(model->joined);
    *model = (struct model){0};
}

int model_set_image(struct model *model, int64_t token, size_t count, char *error,
                    size_t error_size)
{
    /* of Qwen-VL, Llama 3.2, LLaVA and SmolVLM, Pixtral, Gemma 3 */
    static const char *const names[] = {"<|image_pad|>", "<|image|>", "<image>", "[IMG]",
                                        "<image_soft_token>"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && token < 0; i++)
        token = vocabulary_find_special(model->vocab, (gguf_text){names[i], strlen(names[i])});
    if (token < 0 || (uint64_t)token >= vocabulary_count(model->vocab)) {
        snprintf(error, error_size,
                 "the model's vocabulary has no token that stands for an image; name one of its "
                 "ids, below %zu, with --image-token",
                 vocabulary_count(model->vocab));
        return -EINVAL;
    }
    model->image_token = token;
    model->image_tokens = count;
    return 0;
}

static bool too_long(struct refusal *refusal, const struct request *request, size_t limit)
{
    const char *param = request->endpoint == ENDPOINT_CHAT     ? "body.messages"
                        : request->endpoint == ENDPOINT_SPEECH ? "body.input"
                                                               : "body.prompt";
    return refuse(refusal, REFUSAL_CONTEXT_LENGTH, param,
                  "'%s' has more than %zu tokens, the most that leave room for an answer in this "
                  "run's contexts; see --max-len",
                  param, limit);
}

static bool encode(struct model *model, const struct request *request, const encoder_text *text,
                   size_t limit, mr_tokens *tokens, struct refusal *refusal)
{
    encoder_tokens encoded;
    int error = encoder_run(model->coder, text, limit, &encoded);
    if (error == -E2BIG)
        return too_long(refusal, request, limit);
    if (error < 0)
        return refuse(refusal, REFUSAL_SERVER_ERROR, "", "the prompt could not be tokenized: %s",
                      strerror(-error));
    *tokens = (mr_tokens){encoded.ids, encoded.count};
    return true;
}

bool model_encode_text(struct model *model, mr_bytes text, size_t limit, mr_tokens *tokens,
                       struct refusal *refusal)
{
    encoder_tokens encoded;
    int error =
        encoder_run(model->coder, &(encoder_text){.bytes = text.bytes, .length = text.length},
                    text.length + 1, &encoded); /* no token without a byte */
    if (error < 0)
        return refuse(refusal, REFUSAL_SERVER_ERROR, "", "the prompt could not be tokenized: %s",
                      strerror(-error));
    *tokens = (mr_tokens){encoded.ids, encoded.count < limit ? encoded.count : limit};
    return true;
}

/* ---- a chat with images ---- */

/* The part [start, end) of a rendered chat, as a text of its own, with its share of the template's
 * own ranges: before and behind a content of images alone stand two that are one range. */
static encoder_text part_of(const chat_prompt *rendered, size_t start, size_t end, text_range *own)
{
    encoder_text part = {.bytes = rendered->bytes + start, .length = end - start, .own = own};
    for (size_t i = 0; i < rendered->own_count; i++) {
        text_range range = rendered->own[i];
        range.start = range.start > start ? range.start : start;
        range.end = range.end < end ? range.end : end;
        if (range.start < range.end)
            own[part.own_count++] = (text_range){range.start - start, range.end - start};
    }
    return part;
}

/* Appends to the tokens that are joined; false when there is no room for them. */
static bool append(struct model *model, mr_tokens *joined, const int64_t *ids, size_t count)
{
    if (!GROW(model->joined, model->joined_room, joined->count + count + 1))
        return false;
    for (size_t i = 0; i < count; i++)
        model->joined[joined->count++] = ids != NULL ? ids[i] : model->image_token;
    joined->ids = model->joined;
    return true;
}

/* Images behind each other would be taken for one: a line break keeps them apart. */
static encoder_text or_break(encoder_text part, bool between_images)
{
    return between_images && part.length == 0 ? (encoder_text){.bytes = "\n", .length = 1} : part;
}

static bool encode_marked(struct model *model, const struct request *request, size_t limit,
                          mr_tokens *tokens, struct refusal *refusal)
{
    const chat_prompt *rendered = &model->rendered;
    text_range *own = calloc(rendered->own_count + 1, sizeof(*own));
    mr_tokens joined = {NULL, 0}, part = {NULL, 0};
    size_t start = 0;
    bool good = own != NULL || refuse(refusal, REFUSAL_SERVER_ERROR, "", "out of memory");
    for (size_t i = 0; i <= rendered->mark_count && good; i++) {
        bool last = i == rendered->mark_count;
        size_t end = last ? rendered->length : rendered->marks[i];
        encoder_text text = or_break(part_of(rendered, start, end, own), i > 0 && !last);
        good = encode(model, request, &text, limit, &part, refusal);
        if (good && joined.count + part.count + (last ? 0 : model->image_tokens) > limit)
            good = too_long(refusal, request, limit);
        if (good && (!append(model, &joined, part.ids, part.count) ||
                     (!last && !append(model, &joined, NULL, model->image_tokens))))
            good = refuse(refusal, REFUSAL_TOO_LARGE, "body.messages",
                          "'body.messages' is too large to be tokenized");
        start = end;
    }
    free(own);
    *tokens = joined;
    return good;
}

static bool encode_chat(struct model *model, const struct request *request, size_t limit,
                        mr_tokens *tokens, struct refusal *refusal)
{
    chat_prompt *rendered = &model->rendered;
    int error;
    if (model->chat == NULL)
        return refuse(refusal, REFUSAL_NO_TEMPLATE, "url",
                      "the model can't be used for chats: %s; '/v1/completions' works",
                      model->chat_error);
    error = chat_template_render(model->chat, request->messages, request->message_count, true,
                                 rendered);
    if (error == -EINVAL)
        return refuse(refusal, REFUSAL_INVALID_PARAMETER, "body.messages",
                      "'body.messages' has a role that the model's chat template doesn't know");
    if (error < 0)
        return refuse(refusal, REFUSAL_TOO_LARGE, "body.messages",
                      "'body.messages' is too large to be rendered");
    if (rendered->mark_count > 0)
        return encode_marked(model, request, limit, tokens, refusal);
    return encode(model, request,
                  &(encoder_text){.bytes = rendered->bytes,
                                  .length = rendered->length,
                                  .own = rendered->own,
                                  .own_count = rendered->own_count},
                  limit, tokens, refusal);
}

bool model_encode(struct model *model, const struct request *request, size_t limit,
                  mr_tokens *tokens, struct refusal *refusal)
{
    bool good = true;
    if (request->endpoint == ENDPOINT_CHAT)
        good = encode_chat(model, request, limit, tokens, refusal);
    else if (request->tokens != NULL)
        *tokens = (mr_tokens){request->tokens, request->token_count};
    else
        good = encode(model, request,
                      &(encoder_text){.bytes = request->text.bytes,
                                      .length = request->text.length,
                                      .begin = request->begin},
                      limit, tokens, refusal);
    if (good && tokens->count > limit)
        return too_long(refusal, request, limit);
    if (good && tokens->count == 0)
        return refuse(refusal, REFUSAL_INVALID_PARAMETER, "body.prompt",
                      "'body.prompt' is empty, and the model has no token to begin with");
    return good;
}
