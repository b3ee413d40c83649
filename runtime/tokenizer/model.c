/*
 * model.c - what the tokenizer takes from the model file: vocabulary, encoder, chat template
 */
#include "runtime/tokenizer/model.h"
#include <errno.h>
#include <string.h>

int model_load(struct model *model, const char *path, char *error, size_t error_size)
{
    gguf *file = gguf_open(path, error, error_size);
    *model = (struct model){0};
    if (file == NULL)
        return -EINVAL;
    model->vocab = vocabulary_load(file, error, error_size);
    if (model->vocab != NULL)
        model->coder = encoder_new(model->vocab, error, error_size);
    if (model->coder != NULL)
        model->chat =
            chat_template_load(file, model->vocab, model->chat_error, sizeof(model->chat_error));
    gguf_close(file);
    return model->coder == NULL ? -EINVAL : 0;
}

void model_free(struct model *model)
{
    chat_prompt_free(&model->rendered);
    chat_template_free(model->chat);
    encoder_free(model->coder);
    vocabulary_free(model->vocab);
    *model = (struct model){0};
}

static bool too_long(struct refusal *refusal, const struct request *request, size_t limit)
{
    const char *param = request->endpoint == ENDPOINT_CHAT ? "body.messages" : "body.prompt";
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
