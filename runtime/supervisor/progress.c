/*
 * progress.c - what a run tells a person while it goes on and at its end
 */
#include "runtime/supervisor/progress.h"
#include "runtime/supervisor/children.h"
#include <inttypes.h>
#include <millrace/stats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_BLOCK = 1 << 20, COUNT_MAX = 1 << 30 };

/* Lines of a file; 0 for one that would take long to read. */
static uint64_t count_lines(int fd)
{
    char *block = malloc(COUNT_BLOCK);
    uint64_t lines = 0;
    off_t offset = 0;
    ssize_t got = 0;
    char last = '\n';
    while (block != NULL && offset < COUNT_MAX &&
           (got = pread(fd, block, COUNT_BLOCK, offset)) > 0) {
        const char *at = block, *end = block + got;
        while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
            lines++;
            at++;
        }
        last = end[-1];
        offset += got;
    }
    free(block);
    if (got != 0)
        return 0;
    return lines + (last != '\n');
}

void progress_open(struct progress *progress, const mr_domain *domain, int input, int answers)
{
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO) && !isatty(answers),
                                  .began = now_ms(),
                                  .finished0 = mr_stats_total(domain, MR_STAT_requests_finished),
                                  .failed0 = mr_stats_total(domain, MR_STAT_requests_failed),
                                  .emitted0 = mr_stats_total(domain, MR_STAT_emitted_tokens),
                                  .generated0 = mr_stats_total(domain, MR_STAT_generated_tokens)};
    if (progress->terminal && input >= 0)
        progress->requests = count_lines(input);
}

uint64_t progress_finished(const struct progress *progress, const mr_domain *domain)
{
    return mr_stats_total(domain, MR_STAT_requests_finished) - progress->finished0;
}

uint64_t progress_failed(const struct progress *progress, const mr_domain *domain)
{
    return mr_stats_total(domain, MR_STAT_requests_failed) - progress->failed0;
}

static double seconds(const struct progress *progress)
{
    double passed = (double)(now_ms() - progress->began) / 1000;
    return passed > 0.001 ? passed : 0.001;
}

void progress_show(struct progress *progress, const mr_domain *domain)
{
    char of[32] = "", left[48] = "";
    uint64_t done = progress_finished(progress, domain);
    uint64_t generated = mr_stats_total(domain, MR_STAT_generated_tokens) - progress->generated0;
    double passed = seconds(progress);
    if (!progress->terminal)
        return;
    if (progress->requests >= done && progress->requests > 0)
        snprintf(of, sizeof(of), "/%" PRIu64, progress->requests);
    if (of[0] != '\0' && done > 0) {
        double rest = passed / (double)done * (double)(progress->requests - done);
        snprintf(left, sizeof(left), ", %" PRIu64 ":%02" PRIu64 " left", (uint64_t)rest / 60,
                 (uint64_t)rest % 60);
    }
    fprintf(stderr, "\r\033[K%" PRIu64 "%s requests, %.0f tokens/s%s", done, of,
            (double)generated / passed, left);
    fflush(stderr);
    progress->shown = true;
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

void progress_summary(struct progress *progress, const mr_domain *domain, unsigned restarts)
{
    /* Those of the answers: what a worker generated behind a stop string is nobody's. */
    uint64_t tokens = mr_stats_total(domain, MR_STAT_emitted_tokens) - progress->emitted0;
    double passed = seconds(progress);
    progress_clear(progress);
    fprintf(stderr,
            "millrace: %" PRIu64 " requests answered, %" PRIu64 " of them with an error; %" PRIu64
            " tokens in %.1f s, %.0f tokens/s; %u restarts\n",
            progress_finished(progress, domain), progress_failed(progress, domain), tokens, passed,
            (double)tokens / passed, restarts);
}
