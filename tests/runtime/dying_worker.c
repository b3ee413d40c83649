/*
 * dying_worker.c - the llama worker, which dies at a step that the test chooses
 *
 * It is linked with --wrap=mr_text_update, so each commit of a token passes here and is counted in
 * the file DIE_COUNT, over all workers and their successors: each adds a byte before it commits.
 * At the DIE_AT-th it kills itself: before the commit, or with DIE_AFTER behind it. What a
 * successor commits then is counted on, so each test sees one death.
 */
#include <fcntl.h>
#include <millrace/text.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int __real_mr_text_update(mr_text *text, int64_t token, const mr_logprobs *logprobs);
int __wrap_mr_text_update(mr_text *text, int64_t token, const mr_logprobs *logprobs);

/* Which commit, of all that were ever begun in this test, is this one? */
static long count(void)
{
    const char *path = getenv("DIE_COUNT");
    int file = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    struct stat status = {0};
    if (file < 0 || write(file, "x", 1) != 1 || fstat(file, &status) < 0)
        abort();
    close(file);
    return (long)status.st_size;
}

int __wrap_mr_text_update(mr_text *text, int64_t token, const mr_logprobs *logprobs)
{
    const char *at = getenv("DIE_AT");
    bool now = count() == (at != NULL ? atol(at) : 0);
    int error;
    if (now && getenv("DIE_AFTER") == NULL)
        raise(SIGKILL);
    error = __real_mr_text_update(text, token, logprobs);
    if (now)
        raise(SIGKILL);
    return error;
}
