/*
 * group.c - bodies of a group in miniature
 *
 * A final record is a line "F ordinal refused" or "F ordinal choices token token ... | token ...";
 * a piece is a line "P ordinal choice index token".
 */
#include "tests/ipc/group.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_ROOM = 1 << 16, MAX_TOKENS = 64 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

uint32_t group_choices(uint64_t ordinal)
{
    return ordinal % 7 == 3 ? 2 + (uint32_t)(ordinal % 2) : 1;
}

bool group_refused(uint64_t ordinal)
{
    return ordinal % 11 == 5;
}

int64_t group_prompt_length(uint64_t ordinal)
{
    return 1 + (int64_t)(mix(ordinal) % 40);
}

int64_t group_generated(uint64_t ordinal)
{
    return 1 + (int64_t)(mix(ordinal * 3) % MAX_TOKENS);
}

/* The model: a token from the request, the choice and the place behind the prompt. */
static int64_t model(uint64_t ordinal, uint32_t choice, int64_t index)
{
    return (int64_t)(mix(ordinal * 1000003 + choice * 101 + (uint64_t)index) % 30000);
}

mr_domain_options group_domain(const group_plan *plan)
{
    return (mr_domain_options){
        .size = sizeof(mr_domain_options),
        .slots = plan->slots,
        .arena_bytes = plan->arena_bytes,
        .max_length = 256,
        .vocabulary = 30000,
        .created = 1,
        .max_attempts = 15,
    };
}

/* ---- tokenizer ---- */

static mr_request request_of(uint64_t ordinal, int64_t *prompt)
{
    mr_request request = {
        .size = sizeof(request),
        .kind = MR_KIND_TEXT,
        .ordinal = ordinal,
        .input_end = ordinal * 10,
        .prompt = prompt,
        .prompt_length = (size_t)group_prompt_length(ordinal),
        .max_length = group_prompt_length(ordinal) + group_generated(ordinal),
        .request_id = {"request", 7},
    };

    prompt[0] = (int64_t)(ordinal % 30000);
    for (size_t i = 1; i < request.prompt_length; i++)
        prompt[i] = (int64_t)i;
    mr_sampling_defaults(&request.sampling);
    request.sampling.choices = group_choices(ordinal);
    request.sampling.seed = ordinal;
    return request;
}

static int take_in(mr_intake *intake, uint64_t ordinal)
{
    int64_t prompt[64];
    mr_request request = request_of(ordinal, prompt);
    int rc;

    mr_intake_work(intake, ordinal);
    while ((rc = group_refused(ordinal) ? mr_intake_refuse(intake, &request)
                                        : mr_intake_admit(intake, &request)) == -EAGAIN)
        if ((rc = mr_intake_wait(intake, MR_WAIT)))
            return rc;
    return rc;
}

int group_tokenizer(mr_member *member, const group_plan *plan)
{
    mr_intake *intake;
    mr_intake_mark mark;
    int rc = mr_intake_open(&intake, member, &mark, NULL);

    if (rc)
        return rc;
    for (uint64_t ordinal = mark.ordinal + 1; !rc && ordinal <= plan->requests; ordinal++)
        rc = take_in(intake, ordinal);
    if (!rc)
        mr_intake_finish(intake);
    while (!rc || rc == -ETIMEDOUT) /* stay, as the runtime's does, until the domain stops */
        rc = mr_intake_wait(intake, 20);
    mr_intake_close(intake);
    return rc == -ESHUTDOWN ? 0 : rc;
}

/* ---- worker ---- */

static int advance(mr_worker *worker, mr_context *context)
{
    mr_text *text = mr_context_text(context);
    int64_t index = mr_text_length(text) - mr_text_original_prompt_length(text);
    uint64_t ordinal = mr_context_sampling(context)->seed;
    uint32_t choice = mr_context_sampling(context)->choice;
    int rc = 0;

    if (mr_text_active_length(text) > 8 && mr_text_prompt(text).ids[0] % 2)
        return mr_text_chunk(text, 8) ? -EINVAL : mr_text_update(text, 0, NULL);
    if (!mr_context_cancelled(context))
        rc = mr_text_update(text, model(ordinal, choice, index), NULL);
    if (!rc && mr_text_is_done(text))
        rc = mr_worker_hand_on(worker, context);
    return rc;
}

int group_worker(mr_worker *worker, const group_plan *plan)
{
    mr_context **batch = calloc(plan->capacity, sizeof(*batch));
    int n = batch ? 0 : -ENOMEM;

    while (n >= 0 && (n = mr_worker_batch(worker, batch, MR_WAIT)) >= 0)
        for (int i = 0; i < n; i++) {
            int rc = advance(worker, batch[i]);

            if (rc) {
                fprintf(stderr, "worker: %s\n", mr_error());
                n = rc;
                break;
            }
        }
    free(batch);
    return n == -ESHUTDOWN ? 0 : n;
}

/* ---- collector ---- */

typedef struct page {
    char *text;
    size_t used;
    mr_emitted parts[MR_MAX_EMITTED];
    size_t count;
} page;

static int64_t token_at(const mr_view *view, size_t i)
{
    return i + 1 == view->tokens.count ? view->last_token : view->tokens.ids[i];
}

static void add_pieces(page *p, const mr_view *view)
{
    size_t from = (size_t)view->prompt_length + view->emitted_tokens;

    for (size_t i = from; i < view->tokens.count; i++)
        p->used += (size_t)sprintf(p->text + p->used, "P %llu %u %llu %lld\n",
                                   (unsigned long long)view->ordinal, view->choice,
                                   (unsigned long long)(i - (size_t)view->prompt_length),
                                   (long long)token_at(view, i));
    p->parts[p->count++] = (mr_emitted){.handle = view->handle,
                                        .tokens = view->tokens.count - (size_t)view->prompt_length};
}

static void add_final(page *p, const mr_view *views, uint32_t choices)
{
    p->used += (size_t)sprintf(p->text + p->used, "F %llu", (unsigned long long)views[0].ordinal);
    if (views[0].kind == MR_KIND_REFUSAL)
        p->used += (size_t)sprintf(p->text + p->used, " refused");
    for (uint32_t c = 0; c < choices; c++) {
        const mr_view *view = &views[c];

        for (size_t i = (size_t)view->prompt_length; i < view->tokens.count; i++)
            p->used += (size_t)sprintf(p->text + p->used, " %lld", (long long)token_at(view, i));
        if (view->failed)
            p->used += (size_t)sprintf(p->text + p->used, " failed: %.*s",
                                       (int)view->failure.length, view->failure.bytes);
        p->used += (size_t)sprintf(p->text + p->used, " |");
        p->parts[p->count++] =
            (mr_emitted){.handle = view->handle,
                         .tokens = view->tokens.count - (size_t)view->prompt_length,
                         .final = 1};
    }
    p->used += (size_t)sprintf(p->text + p->used, "\n");
}

/* All choices of the request, if all are done. */
static bool all_done(mr_emission *emission, const mr_view *view, mr_view *views)
{
    for (uint32_t c = 0; c < view->choices; c++) {
        mr_handle handle;

        if (mr_emission_choice(emission, view->handle, c, &handle) ||
            mr_emission_view(emission, handle, &views[c]) || !views[c].done)
            return false;
    }
    return true;
}

static int emit(mr_emission *emission, page *p, int output)
{
    uint64_t length = mr_emission_length(emission);
    size_t done = 0;

    while (done < p->used) {
        ssize_t n = pwrite(output, p->text + done, p->used - done, (off_t)(length + done));

        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return mr_emission_commit(emission, length + p->used, p->parts, p->count);
}

static bool has_pieces(const group_plan *plan, const mr_view *view)
{
    return plan->stream && view->kind != MR_KIND_REFUSAL &&
           view->tokens.count > (size_t)view->prompt_length + view->emitted_tokens;
}

/* Fills the page with the next thing to emit for this context's request; 0: nothing, 1: something.
 */
static int look(mr_emission *emission, mr_handle handle, const group_plan *plan, page *p)
{
    mr_view view, views[8];
    int rc = mr_emission_view(emission, handle, &view);

    if (rc)
        return rc == -ESTALE ? 0 : rc;
    p->used = p->count = 0;
    if (has_pieces(plan, &view)) {
        add_pieces(p, &view);
        return 1;
    }
    if (!view.done || !all_done(emission, &view, views))
        return 0;
    for (uint32_t c = 0; c < view.choices; c++)
        if (has_pieces(plan, &views[c])) {
            add_pieces(p, &views[c]);
            return 1;
        }
    add_final(p, views, view.choices);
    return 1;
}

int group_collector(mr_member *member, const group_plan *plan, int output)
{
    page p = {.text = malloc(LINE_ROOM)};
    mr_emission *emission;
    mr_handle handle, suspect;
    unsigned deaths;
    int rc = p.text ? mr_emission_open(&emission, member, &suspect, &deaths) : -ENOMEM;

    if (rc)
        return rc;
    if (ftruncate(output, (off_t)mr_emission_length(emission)))
        rc = -errno;
    while (!rc && !(rc = mr_emission_next(emission, &handle, MR_WAIT)))
        while ((rc = look(emission, handle, plan, &p)) > 0)
            if ((rc = emit(emission, &p, output)))
                break;
    mr_emission_close(emission);
    free(p.text);
    return rc == -ESHUTDOWN ? 0 : rc;
}

/* ---- the end ---- */

bool group_finished(const mr_domain *domain)
{
    mr_domain_progress progress;

    mr_domain_get_progress(domain, &progress);
    return progress.complete;
}

static void expected_final(uint64_t ordinal, char *line)
{
    line += sprintf(line, "F %llu", (unsigned long long)ordinal);
    if (group_refused(ordinal)) {
        sprintf(line, " refused |\n");
        return;
    }
    for (uint32_t c = 0; c < group_choices(ordinal); c++) {
        for (int64_t i = 0; i < group_generated(ordinal); i++)
            line += sprintf(line, " %lld", (long long)model(ordinal, c, i));
        line += sprintf(line, " |");
    }
    sprintf(line, "\n");
}

/* Pieces come in order, each once, with the model's token. */
static bool piece_is_right(const char *line, uint32_t *next)
{
    unsigned long long ordinal, index;
    unsigned choice;
    long long token;

    return sscanf(line, "P %llu %u %llu %lld", &ordinal, &choice, &index, &token) == 4 &&
           index == next[ordinal * 4 + choice]++ && token == model(ordinal, choice, (int64_t)index);
}

static uint64_t pieces_wanted(const group_plan *plan)
{
    uint64_t sum = 0;

    for (uint64_t i = 1; plan->stream && i <= plan->requests; i++)
        if (!group_refused(i))
            sum += group_choices(i) * (uint64_t)group_generated(i);
    return sum;
}

static bool check_lines(const group_plan *plan, FILE *file, uint32_t *next, bool *seen, char *why,
                        size_t size)
{
    char *line = malloc(LINE_ROOM), *want = malloc(LINE_ROOM);
    uint64_t finals = 0, pieces = 0;
    bool right = line && want;

    while (right && fgets(line, LINE_ROOM, file)) {
        uint64_t ordinal = strtoull(line + 1, NULL, 10);

        right = ordinal >= 1 && ordinal <= plan->requests;
        if (right && line[0] == 'P') {
            pieces++;
            right = piece_is_right(line, next);
        } else if (right) {
            finals++;
            expected_final(ordinal, want);
            right = !seen[ordinal] && !strcmp(line, want);
            seen[ordinal] = true;
        }
        if (!right)
            snprintf(why, size, "wrong or doubled: %.200s", line);
    }
    if (right && (finals != plan->requests || pieces != pieces_wanted(plan))) {
        right = false;
        snprintf(why, size, "%llu of %llu finals, %llu of %llu pieces", (unsigned long long)finals,
                 (unsigned long long)plan->requests, (unsigned long long)pieces,
                 (unsigned long long)pieces_wanted(plan));
    }
    free(line);
    free(want);
    return right;
}

bool group_output_is_right(const group_plan *plan, int output, char *why, size_t why_size)
{
    uint32_t *next = calloc((plan->requests + 1) * 4, sizeof(*next));
    bool *seen = calloc(plan->requests + 1, sizeof(*seen)), right = false;
    FILE *file = fdopen(dup(output), "r");

    if (next && seen && file && !fseek(file, 0, SEEK_SET))
        right = check_lines(plan, file, next, seen, why, why_size);
    if (file)
        fclose(file);
    free(next);
    free(seen);
    return right;
}
