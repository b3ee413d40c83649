/*
 * serve.c - what both servings have in common: the requests, the pace, the figures
 */
#include "bench/hop/parts.h"

enum { VOCABULARY = 128000, FEW_PROCESSORS = 6 };

int64_t serve_token(uint64_t request, uint64_t index)
{
    return (int64_t)((request * 31 + index * 7919) % VOCABULARY);
}

int64_t serve_token_or_stamp(const run *r, uint64_t request, uint64_t index, uint64_t *now)
{
    if (index % STAMP_EACH)
        return serve_token(request, index);
    if (!*now)
        *now = run_stamp(r);
    return (int64_t)*now;
}

const int64_t *serve_prompt(uint64_t request)
{
    static int64_t prompt[PROMPT_TOKENS];

    for (uint64_t i = 1; !prompt[1] && i < PROMPT_TOKENS; i++)
        prompt[i] = serve_token(0, i);
    prompt[0] = serve_token(request, 0);
    return prompt;
}

int serve_place(int process)
{
    if (processors() >= FEW_PROCESSORS)
        return -1;
    return process < SERVE_WORKER ? 0 : 1 + process - SERVE_WORKER;
}

void serve_pace(const serving *s, report *mine)
{
    uint64_t begun, end;

    if (!s->step_us)
        return;
    begun = now_ns();
    end = begun + (uint64_t)s->step_us * 1000;
    while (now_ns() < end)
        relax();
    mine->pretended += end - begun;
}

served serve_result(run *r, const report *collector)
{
    double tokens = (double)collector->count;
    double seconds = (double)(collector->ended - collector->begun) / 1e9;

    return (served){
        .tokens = tokens / seconds,
        .cpu_ns = run_cpu_seconds(r) * 1e9 / tokens,
        .delay_p50_us = run_delay_us(r, 0.5),
        .delay_p99_us = run_delay_us(r, 0.99),
    };
}
