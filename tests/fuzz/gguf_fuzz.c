/*
 * gguf_fuzz.c - any bytes as a GGUF file: opened, walked, and its vocabulary used
 *
 * Built with FUZZ_LDFLAGS it is a libFuzzer target; replay.c gives it a main() that runs a corpus.
 * What opens must be safe to read in full; a vocabulary that loads must encode a text into tokens
 * of its own, and a template that loads must render a chat.
 */
#include "models/gguf_internal.h"
#include "runtime/tokenizer/template.h"
#include "tests/fuzz/fuzz.h"
#include "tests/models/gguf_walk.h"

#include <stdlib.h>

static const char sample[] =
    "Hello, it's 12345  \xF0\x9F\x98\x80\n\n\xFF<|im_end|> \xC3\xA9t\xC3\xA9";

static void decode(const vocabulary *vocab, encoder_tokens tokens)
{
    size_t length = 0;

    for (size_t i = 0; i < tokens.count; i++) {
        gguf_text text = vocabulary_bytes(vocab, tokens.ids[i]);

        if (!text.bytes)
            abort();
        if (!vocabulary_is_control(vocab,
                                   tokens.ids[i])) /* whose names may be longer than the text */
            length += text.length;
    }
    if (length > 4096)
        abort();
}

static void encode(const vocabulary *vocab)
{
    const text_range all = {0, sizeof(sample) - 1};
    const encoder_text text = {sample, sizeof(sample) - 1, &all, 1, true};
    encoder_tokens tokens;
    char error[256];
    encoder *coder = encoder_new(vocab, error, sizeof(error));

    if (coder && encoder_run(coder, &text, 4096, &tokens) == 0)
        decode(vocab, tokens);
    encoder_free(coder);
}

static void render(const gguf *file, const vocabulary *vocab)
{
    static const chat_message messages[] = {
        {.role = {"system", 6}, .content = {" be kind\n", 9}},
        {.role = {"user", 4}, .content = {sample, sizeof(sample) - 1}}};
    chat_prompt prompt = {0};
    char error[256];
    chat_template *chat =
        chat_template_read(chat_template_program(file), vocab, error, sizeof(error));

    for (size_t first = 0; chat && first < 2; first++)
        if (chat_template_render(chat, messages + first, 2 - first, true, &prompt) != 0)
            abort();
    chat_prompt_free(&prompt);
    chat_template_free(chat);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    char error[256] = "";
    gguf *file = gguf_parse(bytes, size, "fuzz", error, sizeof(error));
    vocabulary *vocab;

    if (!file)
        return error[0] ? 0 : -1;
    gguf_walk(file);
    vocab = vocabulary_load(file, error, sizeof(error));
    if (vocab) {
        encode(vocab);
        render(file, vocab);
    }
    vocabulary_free(vocab);
    gguf_close(file);
    return 0;
}
