/*
 * millrace/stats.h - what each process counts, for anybody to read
 *
 * Each member has a page in the domain's stats segment and is its only writer: plain stores, no
 * lock, no system call. The segment describes itself: a table of {name, kind, unit, help} lies in
 * it. Reading needs no permission on the data. docs/stats.md has the layout for other languages.
 */
#ifndef MILLRACE_STATS_H
#define MILLRACE_STATS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, kind, unit, help. New rows at the end only: the number is the place in the page. */
#define MR_STATS(ROW)                                                                              \
    ROW(requests_accepted, counter, requests, "requests taken in, refused ones not counted")       \
    ROW(requests_refused, counter, requests, "records answered with an error at admission")        \
    ROW(requests_finished, counter, requests, "requests whose final record was emitted")           \
    ROW(requests_failed, counter, requests, "of these, how many with an error")                    \
    ROW(prompt_tokens, counter, tokens, "tokens of accepted prompts")                              \
    ROW(generated_tokens, counter, tokens, "tokens committed by workers")                          \
    ROW(emitted_tokens, counter, tokens, "generated tokens of finished requests")                  \
    ROW(emitted_bytes, counter, bytes, "bytes appended to the output")                             \
    ROW(steps, counter, steps, "model steps")                                                      \
    ROW(commits, counter, commits, "commits of contexts")                                          \
    ROW(claims, counter, contexts, "contexts claimed")                                             \
    ROW(stale_hints, counter, hints, "hints that named nothing claimable any more")                \
    ROW(put_back, counter, contexts, "contexts put back")                                          \
    ROW(slots_reclaimed, counter, contexts, "contexts taken back from dead members")               \
    ROW(slots_failed, counter, contexts, "contexts failed after too many deaths")                  \
    ROW(members_swept, counter, members, "members that died or left")                              \
    ROW(rescans, counter, scans, "looks through all slots after a hint was dropped")               \
    ROW(sleeps, counter, sleeps, "times this process slept for want of work")                      \
    ROW(held, gauge, contexts, "contexts held now")                                                \
    ROW(kv_tokens, gauge, tokens, "tokens of KV cache reserved now")

enum mr_stat {
#define MR_STAT_ROW(name, kind, unit, help) MR_STAT_##name,
    MR_STATS(MR_STAT_ROW)
#undef MR_STAT_ROW
        MR_STAT_COUNT
};

typedef struct mr_stats mr_stats;

void mr_stats_add(mr_stats *stats, enum mr_stat stat, uint64_t amount); /* this page's owner only */
void mr_stats_set(mr_stats *stats, enum mr_stat stat, uint64_t value);
uint64_t mr_stats_get(const mr_stats *stats, enum mr_stat stat);

struct mr_domain;

/* mr_stats_total - sum over all pages, living and dead (counters of the dead are kept) */
uint64_t mr_stats_total(const struct mr_domain *domain, enum mr_stat stat);

/* mr_stats_of - a member's page, for reading */
const mr_stats *mr_stats_of(const struct mr_domain *domain, int member);

#ifdef __cplusplus
}
#endif
#endif
