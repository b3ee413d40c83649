/*
 * fixture.c - the vocabulary that the tokenizer's tests share
 */
#include "tests/tokenizer/fixture.h"
#include "models/gguf_internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *fixture_path(const char *name)
{
    static char path[4096];
    const char *data = getenv("MILLRACE_TEST_DATA");

    snprintf(path, sizeof(path), "%s/%s", data ? data : "tests", name);
    return path;
}

void fixture_parse(fixture *made)
{
    char error[512];

    made->file = gguf_parse(made->bytes.bytes, made->bytes.length, "fixture", error, sizeof(error));
    ck_assert_msg(made->file != NULL, "%s", error);
    made->vocab = vocabulary_load(made->file, error, sizeof(error));
    ck_assert_msg(made->vocab != NULL, "%s", error);
    made->mapped = NULL;
    made->coder = encoder_new(made->vocab, error, sizeof(error));
    ck_assert_msg(made->coder != NULL, "%s", error);
}

void fixture_open(fixture *made, const char *pre)
{
    static const char key[] = "tokenizer.ggml.pre";
    char error[512];
    gguf *file = gguf_open(fixture_path("data/smollm2-16k.gguf"), error, sizeof(error));

    ck_assert_msg(file != NULL, "%s", error);
    gguf_builder_begin(&made->bytes, 3);
    gguf_builder_copy(&made->bytes, file, key);
    gguf_builder_add_string(&made->bytes, key, pre);
    gguf_builder_finish(&made->bytes, 0);
    gguf_close(file);
    fixture_parse(made);
}

void fixture_map(fixture *made)
{
    char error[512];
    uint64_t bytes;
    int fd = tables_make(made->file, &bytes, error, sizeof(error));

    ck_assert_msg(fd >= 0, "%s", error);
    made->mapped = tables_map(fd, error, sizeof(error));
    ck_assert_msg(made->mapped != NULL, "%s", error);
    close(fd);
    encoder_free(made->coder);
    made->coder = encoder_new(tables_vocabulary(made->mapped), error, sizeof(error));
    ck_assert_msg(made->coder != NULL, "%s", error);
}

void fixture_close(fixture *made)
{
    encoder_free(made->coder);
    tables_free(made->mapped);
    vocabulary_free(made->vocab);
    gguf_close(made->file);
    gguf_builder_free(&made->bytes);
}

encoder_tokens fixture_encode(fixture *made, const char *text, size_t length, bool special)
{
    const text_range all = {0, length};
    const encoder_text whole = {text, length, &all, special, false};
    encoder_tokens tokens;

    /* Each assertion that Check counts costs a system call; this runs in loops. */
    if (encoder_run(made->coder, &whole, SIZE_MAX, &tokens) != 0)
        ck_abort_msg("encoding fails");
    return tokens;
}
