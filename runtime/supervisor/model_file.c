/*
 * model_file.c - what the supervisor takes from a model's file
 */
#include "runtime/supervisor/model_file.h"
#include "runtime/log.h"
#include "runtime/tokenizer/tables.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void read_context_length(struct model_file *model, const gguf *file)
{
    char key[160];
    gguf_text architecture;
    if (!gguf_string(file, "general.architecture", &architecture) || architecture.length > 64)
        return;
    snprintf(key, sizeof(key), "%.*s.context_length", (int)architecture.length, architecture.bytes);
    if (!gguf_u64(file, key, &model->context_length))
        model->context_length = 0;
}

static int read_facts(struct model_file *model, const gguf *file, const char *path)
{
    gguf_array tokens;
    model->fingerprint = gguf_fingerprint(file);
    read_context_length(model, file);
    if (gguf_get_array(file, "tokenizer.ggml.tokens", &tokens))
        model->vocabulary = tokens.count;
    if (model->vocabulary > 0 && model->vocabulary <= INT32_MAX)
        return 0;
    log_error("cannot use model '%s': it has no tokens ('tokenizer.ggml.tokens'); fetch one that "
              "was made for text",
              path);
    return -EINVAL;
}

int model_file_read(struct model_file *model, const char *path)
{
    char why[512];
    gguf *file = gguf_open(path, why, sizeof(why));
    int error = 0;
    *model = (struct model_file){.tables = -1};
    if (file == NULL) {
        log_error("%s", why);
        return -EINVAL;
    }
    error = read_facts(model, file, path);
    if (error == 0) {
        model->tables = tables_make(file, &model->tables_bytes, why, sizeof(why));
        if (model->tables < 0) {
            log_error("%s", why);
            error = -EINVAL;
        }
    }
    gguf_close(file);
    return error;
}

void model_file_close(struct model_file *model)
{
    if (model->tables >= 0)
        close(model->tables);
    model->tables = -1;
}
