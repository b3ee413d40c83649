#include <errno.h>
#include <millrace/worker.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    mr_worker *worker = NULL;
    mr_context *batch[8];
    mr_worker_options options = {.size = sizeof(options), .capacity = 8, .fingerprint = "echo-1"};
    int n = mr_worker_attach(&worker, argc > 1 ? argv[1] : "", &options);

    while (n >= 0 && (n = mr_worker_batch(worker, batch, MR_WAIT)) >= 0) /* held and new ones */
        for (int i = 0; i < n; i++) {
            mr_text *text = mr_context_text(batch[i]);
            mr_tokens all = mr_text_all(text); /* a view: nothing is copied */
            int64_t echo = all.ids[all.count - mr_text_original_prompt_length(text)];

            if (!mr_context_cancelled(batch[i]))
                mr_text_update(text, echo, NULL); /* one commit */
            if (mr_text_is_done(text) || mr_context_cancelled(batch[i]))
                mr_worker_hand_on(worker, batch[i]); /* to the collector */
        }
    if (n != -ESHUTDOWN)
        fprintf(stderr, "echo-worker: %s\n", mr_error());
    mr_worker_leave(worker);
    return n != -ESHUTDOWN;
}
