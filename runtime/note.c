/*
 * note.c - what a run was asked to do, as JSON in its domain
 */
#include "runtime/note.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int note_write(mr_domain *domain, const struct note *note)
{
    int error = -ENOMEM;
    json_t *root = json_pack("{ss ss ss ss ss si si si si si si sb sb}", "model", note->model,
                             "model_name", note->model_name, "input", note->input, "output",
                             note->output, "worker", note->worker, "workers", note->workers,
                             "max_batch", note->max_batch, "threads", note->threads, "image_tokens",
                             note->image_tokens, "image_token", note->image_token, "sample_rate",
                             note->sample_rate, "stream", note->stream, "plain_io", note->plain_io);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    if (text != NULL)
        error = mr_domain_set_note(domain, text);
    free(text);
    json_decref(root);
    return error;
}

static int copy_strings(struct note *note, const char *const strings[5])
{
    note->model = strdup(strings[0]);
    note->model_name = strdup(strings[1]);
    note->input = strdup(strings[2]);
    note->output = strdup(strings[3]);
    note->worker = strdup(strings[4]);
    if (note->model && note->model_name && note->input && note->output && note->worker)
        return 0;
    note_free(note);
    return -ENOMEM;
}

int note_read(const mr_domain *domain, struct note *note)
{
    const char *strings[5];
    int workers, max_batch, threads, image_tokens, sample_rate, stream, plain_io;
    int error = -EBADMSG;
    json_t *root = json_loads(mr_domain_note(domain), JSON_REJECT_DUPLICATES, NULL);
    *note = (struct note){0};
    if (root != NULL &&
        json_unpack(root, "{ss ss ss ss ss si si si si si si sb sb}", "model", &strings[0],
                    "model_name", &strings[1], "input", &strings[2], "output", &strings[3],
                    "worker", &strings[4], "workers", &workers, "max_batch", &max_batch, "threads",
                    &threads, "image_tokens", &image_tokens, "image_token", &note->image_token,
                    "sample_rate", &sample_rate, "stream", &stream, "plain_io", &plain_io) == 0 &&
        workers >= 0 && max_batch >= 0 && threads >= 0 && image_tokens >= 0 && sample_rate >= 0) {
        note->workers = (unsigned)workers;
        note->max_batch = (unsigned)max_batch;
        note->threads = (unsigned)threads;
        note->image_tokens = (unsigned)image_tokens;
        note->sample_rate = (unsigned)sample_rate;
        note->stream = stream != 0;
        note->plain_io = plain_io != 0;
        error = copy_strings(note, strings);
    }
    json_decref(root);
    return error;
}

void note_free(struct note *note)
{
    free(note->model);
    free(note->model_name);
    free(note->input);
    free(note->output);
    free(note->worker);
    *note = (struct note){0};
}
