/*
 * collector.c - from committed tokens to records in the output, exactly once
 *
 * One loop: take hints until there are none (or enough), look at each context, append pieces and
 * final records, write, commit. A *batch* is what one commit covers: bytes of the output, and one
 * part for each context that they belong to. A batch that is given up, by a kill or an error, never
 * was: the output is cut and the contexts are as the commit before left them.
 *
 * A request with several choices is answered in one record when all are done, its parts in one
 * commit; until then each choice streams by itself. The hint of the choice that is done last
 * brings the record.
 *
 * A context at which collectors died again and again is the *poison*: its tokens aren't looked at,
 * and its request is answered with an error when it is done.
 */
#include "runtime/collector/collector.h"
#include "runtime/collector/answer.h"
#include "runtime/collector/follow.h"
#include "runtime/collector/output.h"
#include "runtime/collector/result.h"
#include "runtime/log.h"
#include <errno.h>
#include <millrace/worker.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HINTS_AT_ONCE = 64, SLOT_MASK = 0x7fff, WAIT_MS = 1000, LONELY_MS = 4000 };

/* What the stats are told of a request once its record is committed. */
struct answered {
    uint64_t accepted; /* boot time; 0: not known */
    uint64_t tokens;
};

struct collector {
    mr_emission *emission;
    mr_member *member;
    const vocabulary *vocabulary;
    uint64_t created;
    pid_t parent;
    struct output output;
    struct record record;
    struct logprob_source logprobs;

    mr_handle poison;
    bool has_poison;

    struct followed *followed; /* by slot */
    unsigned slots;
    mr_view views[MR_MAX_CHOICES]; /* of the request that is being answered */

    mr_emitted parts[MR_MAX_EMITTED]; /* of the batch */
    unsigned part_count;
    uint64_t requests; /* in the batch, for the stats */
    uint64_t failures;
    uint64_t tokens;
    struct answered answered[MR_MAX_EMITTED]; /* these requests */
    uint64_t began;                           /* boot time, of this process; 0: it is the first */
    uint64_t now;                             /* of the batch */
};

static uint64_t boot_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static const char spoilt[] = "its context in shared memory was spoilt";

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* ---- the batch ---- */

static struct followed *followed_of(const struct collector *collector, mr_handle handle)
{
    return &collector->followed[handle & SLOT_MASK];
}

static void count_batch(struct collector *collector, uint64_t bytes)
{
    mr_stats *stats = mr_member_stats(collector->member);
    uint64_t now = boot_time();
    for (uint64_t i = 0; i < collector->requests; i++) {
        const struct answered *answered = &collector->answered[i];
        if (answered->accepted > 0)
            mr_stats_record(stats, MR_HISTOGRAM_end_to_end, now - answered->accepted, 1);
        if (answered->tokens > 0)
            mr_stats_record(stats, MR_HISTOGRAM_output_length, answered->tokens, 1);
    }
    mr_emission_time(collector->emission, now);
    mr_stats_add(stats, MR_STAT_emitted_tokens, collector->tokens);
    mr_stats_add(stats, MR_STAT_emitted_bytes, bytes);
    mr_stats_add(stats, MR_STAT_requests_finished, collector->requests);
    collector->requests = 0;
    collector->failures = 0;
    collector->tokens = 0;
}

static void empty_batch(struct collector *collector)
{
    for (unsigned i = 0; i < collector->part_count; i++) {
        struct followed *followed = followed_of(collector, collector->parts[i].handle);
        followed->part = 0;
        if (followed->final)
            followed_forget(followed);
    }
    collector->part_count = 0;
}

/* commit - write what the batch still holds and make it count */
static int commit(struct collector *collector)
{
    uint64_t before = collector->output.committed;
    int error = record_flush(&collector->record);
    if (error < 0 || collector->part_count == 0)
        return error;
    /* Before the commit, so that a kill between them can't hide a failure from the exit status. */
    mr_stats_add(mr_member_stats(collector->member), MR_STAT_requests_failed, collector->failures);
    error = mr_emission_commit(collector->emission, collector->output.length, collector->parts,
                               collector->part_count);
    if (error < 0) {
        log_error("cannot commit what was emitted: %s", mr_error());
        return error;
    }
    output_commit(&collector->output);
    count_batch(collector, collector->output.committed - before);
    empty_batch(collector);
    return 0;
}

/* make_room - for `count` more parts in the batch */
static int make_room(struct collector *collector, unsigned count)
{
    return collector->part_count + count > MR_MAX_EMITTED ? commit(collector) : 0;
}

/* part_of - the context's part of the batch; there is room for it */
static mr_emitted *part_of(struct collector *collector, const mr_view *view)
{
    struct followed *followed = followed_of(collector, view->handle);
    if (followed->part == 0) {
        collector->parts[collector->part_count++] = (mr_emitted){
            .handle = view->handle, .tokens = view->emitted_tokens, .bytes = view->emitted_bytes};
        followed->part = collector->part_count;
    }
    return &collector->parts[followed->part - 1];
}

static void put_final(struct collector *collector, const mr_view *view)
{
    part_of(collector, view)->final = 1;
    followed_of(collector, view->handle)->final = true;
}

/* ---- one context ---- */

static bool is_poison(const struct collector *collector, const mr_view *view)
{
    return collector->has_poison && collector->poison == view->handle;
}

/* put_piece - what is ready of a streamed text, if anything */
static int put_piece(struct collector *collector, struct followed *followed, const mr_view *view,
                     const struct reply *reply)
{
    struct detokenizer *text = &followed->text;
    size_t ready = detokenizer_ready(text);
    mr_emitted *part;
    int error = ready > 0 ? make_room(collector, 1) : 0;
    if (error < 0 || ready == 0)
        return error;
    answer_piece(&collector->record, reply->custom_id, view->choice, text->begin,
                 (mr_bytes){text->bytes, ready});
    detokenizer_take(text, ready);
    part = part_of(collector, view);
    part->tokens = (uint64_t)text->tokens;
    part->bytes = text->begin;
    return collector->record.error;
}

/* is_lost - whether its failure leaves the request without an answer. A text that a stop string had
 * ended before needs nothing more, and whether its worker stopped in time must not matter. */
static bool is_lost(const struct collector *collector, const mr_view *view)
{
    return view->failed && !followed_of(collector, view->handle)->text.stopped;
}

/* is_ended - whether it was ended from outside before its text was complete: by its client, or by
 * its deadline. One that is complete is answered, even if that came just after. */
static bool is_ended(const struct collector *collector, const mr_view *view)
{
    return view->done && view->status == MR_ACTIVE &&
           (view->cancel == MR_CANCEL_CLIENT || view->cancel == MR_CANCEL_DEADLINE) &&
           !followed_of(collector, view->handle)->text.stopped;
}

/* is_cut - whether it was stopped, but neither by a stop string nor with its whole request: the
 * word that says so was overwritten */
static bool is_cut(const struct collector *collector, const mr_view *view)
{
    return view->kind == MR_KIND_TEXT && view->done && view->status == MR_ACTIVE &&
           view->cancel == MR_CANCEL_STOPPED && !followed_of(collector, view->handle)->text.stopped;
}

/* has_text - whether its tokens are the answer's text */
static bool has_text(const mr_view *view)
{
    return view->kind == MR_KIND_TEXT || view->kind == MR_KIND_VISION;
}

/* follow - bring the text of a context up to the snapshot, and emit what is new of a stream */
static int follow(struct collector *collector, const mr_view *view)
{
    struct followed *followed = followed_of(collector, view->handle);
    struct reply reply;
    int error;
    followed_use(followed, view->handle);
    if (!has_text(view) || is_poison(collector, view) || (followed->known && !followed->wanted) ||
        reply_decode(&reply, view->reply) < 0)
        return 0;
    followed_note(followed, &reply);
    if (!followed->wanted)
        return 0;
    error = followed_update(followed, collector->vocabulary, view, &reply);
    if (error < 0) {
        log_error("cannot follow a text: %s", strerror(-error));
        return error;
    }
    if (followed->text.stopped && !followed->told)
        mr_emission_stop(collector->emission, view->handle);
    followed->told = followed->text.stopped;
    return followed->stream ? put_piece(collector, followed, view, &reply) : 0;
}

/*
 * see - mr_emission_view(), but for a context whose memory was spoilt by a member gone mad
 *
 * Such a one looks like one that failed and has no tokens, so that it is answered with an error
 * like others when it is done. Returns 0, -ESTALE or -EAGAIN.
 */
static int see(struct collector *collector, mr_handle handle, mr_view *view)
{
    int error;
    *view = (mr_view){.handle = handle}; /* what stays of it if nothing can be told */
    error = mr_emission_view(collector->emission, handle, view);
    if (error == 0 || error == -ESTALE || error == -EAGAIN)
        return error;
    log_error("a request can't be answered: %s", mr_error());
    view->failed = 1;
    view->failure = bytes_of(spoilt);
    view->tokens.count = 0;
    if (!view->done)
        mr_emission_stop(collector->emission, handle);
    return 0;
}

/* ---- the answer of a request ---- */

/* see_all - snapshots of all choices of a request into collector->views; 0, -EAGAIN while one of
 * them isn't done, -ENOENT when one is no longer to be found */
static int see_all(struct collector *collector, const mr_view *one, unsigned choices)
{
    collector->views[0] = *one;
    for (unsigned i = 0; i < choices && choices > 1; i++) {
        mr_view *view = &collector->views[i];
        mr_handle handle;
        int error = mr_emission_choice(collector->emission, one->handle, i, &handle);
        if (error == -ENOENT)
            return error;
        if (error < 0)
            return -EAGAIN;
        followed_use(followed_of(collector, handle), handle);
        if (followed_of(collector, handle)->final) /* by itself, being spoilt */
            return -ENOENT;
        if (see(collector, handle, view) < 0 || !view->done)
            return -EAGAIN;
    }
    return 0;
}

/* has_poison - whether one of the choices in collector->views must not be looked into */
static bool has_poison(const struct collector *collector, unsigned choices)
{
    bool has = false;
    for (unsigned i = 0; i < choices; i++)
        has |= is_poison(collector, &collector->views[i]);
    return has;
}

static void end_of(const mr_view *view, mr_bytes *code, mr_bytes *message)
{
    bool deadline = view->cancel == MR_CANCEL_DEADLINE;
    *code = bytes_of(deadline ? "deadline_exceeded" : "cancelled");
    *message = bytes_of(deadline ? "the request took longer than its 'timeout'"
                                 : "the request was cancelled");
}

/* trouble_of - why the request has no result: code and message; false if it has one */
static bool trouble_of(const struct collector *collector, unsigned choices, mr_bytes *code,
                       mr_bytes *message)
{
    if (has_poison(collector, choices)) {
        *code = bytes_of("kills_collector");
        *message = bytes_of("the collector died again and again while it made the answer");
        return true;
    }
    for (unsigned i = 0; i < choices; i++) {
        if (is_ended(collector, &collector->views[i])) {
            end_of(&collector->views[i], code, message);
            return true;
        }
        if (is_lost(collector, &collector->views[i])) {
            *code = bytes_of("worker_failed");
            *message = collector->views[i].failure;
            return true;
        }
    }
    for (unsigned i = 0; i < choices; i++)
        if (is_cut(collector, &collector->views[i])) {
            *code = bytes_of("worker_failed");
            *message = bytes_of(spoilt);
            return true;
        }
    return false;
}

static int put_answer(struct collector *collector, const struct reply *reply, unsigned choices,
                      const struct result *result)
{
    const struct answer answer = {.reply = reply,
                                  .vocabulary = collector->vocabulary,
                                  .created = collector->created,
                                  .views = collector->views,
                                  .choices = choices,
                                  .logprobs = &collector->logprobs,
                                  .result = result};
    uint64_t tokens;
    int error = answer_write(&collector->record, &answer, &tokens);
    if (error == 0)
        collector->tokens += tokens;
    return error;
}

static void put_refusal(struct collector *collector, const struct reply *reply, uint64_t ordinal,
                        mr_bytes code, mr_bytes message)
{
    answer_refuse(&collector->record, reply, ordinal, code, message);
    collector->failures++;
}

/* put_result - the answer of a request without a text: its file, or why the worker left none */
static int put_result(struct collector *collector, const struct reply *reply)
{
    const mr_view *view = &collector->views[0];
    struct result result = {0};
    struct media_error why;
    mr_context *context;
    int error = mr_emission_context(collector->emission, view->handle, &context);
    if (error == 0 && view->cancel != MR_CANCEL_NONE &&
        (!mr_context_is_done(context) || view->status == MR_CANCELLED)) {
        mr_bytes code, message;
        end_of(view, &code, &message);
        put_refusal(collector, reply, view->ordinal, code, message);
        return 0;
    }
    if (error < 0)
        media_fail(&why, error, "%s", mr_error());
    else
        error = result_make(&result, context, reply, &why);
    if (error == 0)
        error = put_answer(collector, reply, 1, &result);
    else if (error != -ENOMEM) {
        put_refusal(collector, reply, view->ordinal, bytes_of("worker_failed"),
                    bytes_of(why.sentence));
        error = 0;
    }
    result_free(&result);
    return error;
}

/* put_record - the final record of the request whose choices are in collector->views */
static int put_record(struct collector *collector, unsigned choices)
{
    const mr_view *first = &collector->views[0];
    struct reply reply;
    mr_bytes code, message;
    int error;
    if (reply_decode(&reply, first->reply) < 0) {
        reply = (struct reply){.line = first->ordinal};
        put_refusal(collector, &reply, first->ordinal, bytes_of("server_error"),
                    bytes_of("the request's note to the collector is spoilt"));
    } else if (reply.flags & REPLY_REFUSED) {
        put_refusal(collector, &reply, first->ordinal, reply.error_code, reply.error_message);
    } else if (trouble_of(collector, choices, &code, &message)) {
        put_refusal(collector, &reply, first->ordinal, code, message);
    } else {
        error = has_text(first) ? put_answer(collector, &reply, choices, NULL)
                                : put_result(collector, &reply);
        if (error < 0)
            log_error("cannot make an answer: %s", strerror(-error));
        return error;
    }
    return 0;
}

static unsigned choices_of(const mr_view *view)
{
    if (view->choices < 1 || view->kind == MR_KIND_REFUSAL)
        return 1;
    return view->choices < MR_MAX_CHOICES ? view->choices : MR_MAX_CHOICES;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * end_lonely - of a request of which another choice is no longer to be found
 *
 * If that one's state word was overwritten the supervisor's audit finds it within two seconds, and
 * the request is answered as failed. If its record was, it has been answered by itself, with an
 * error: then nothing more is to be said, and this slot is given back.
 */
static int end_lonely(struct collector *collector, const mr_view *view)
{
    struct followed *followed = followed_of(collector, view->handle);
    int error;
    if (followed->lonely == 0)
        followed->lonely = now_ms();
    if (now_ms() - followed->lonely < LONELY_MS)
        return 0; /* the audit has it looked at again, each second */
    error = make_room(collector, 1);
    if (error == 0)
        put_final(collector, view);
    return error;
}

/* answer - the final record of the request that the context belongs to, once all of it is done */
static int answer(struct collector *collector, const mr_view *view)
{
    unsigned choices = choices_of(view);
    uint64_t tokens;
    int error = see_all(collector, view, choices);
    if (error == -ENOENT)
        return end_lonely(collector, view);
    if (error < 0)
        return 0;
    error = make_room(collector, choices);
    tokens = collector->tokens;
    for (unsigned i = 0; i < choices && error == 0 && !has_poison(collector, choices); i++)
        error = follow(collector, &collector->views[i]);
    if (error == 0)
        error = put_record(collector, choices);
    if (error < 0)
        return error;
    for (unsigned i = 0; i < choices; i++)
        put_final(collector, &collector->views[i]);
    collector->answered[collector->requests++] =
        (struct answered){.accepted = view->accepted, .tokens = collector->tokens - tokens};
    return collector->record.error;
}

/* stop_others - nobody needs the other choices of a request that can't be answered any more */
static void stop_others(struct collector *collector, const mr_view *view)
{
    for (unsigned i = 0; i < choices_of(view); i++) {
        mr_handle handle;
        if (mr_emission_choice(collector->emission, view->handle, i, &handle) == 0)
            mr_emission_stop(collector->emission, handle);
    }
}

/*
 * count_tokens - the latencies of what is new in a snapshot
 *
 * Tokens that came since the last look share its time. What was there before this process began was
 * seen by its predecessor, in its time.
 */
static void count_tokens(struct collector *collector, struct followed *followed,
                         const mr_view *view)
{
    mr_stats *stats = mr_member_stats(collector->member);
    uint64_t prompt = (uint64_t)view->prompt_length;
    uint64_t seen = view->tokens.count > prompt ? view->tokens.count - prompt : 0;
    uint64_t more = seen > followed->seen ? seen - followed->seen : 0;
    if (more == 0 || view->accepted == 0)
        return;
    if (view->accepted > collector->now) /* all of it was since this batch began */
        collector->now = boot_time();
    if (followed->seen > 0)
        mr_stats_record(stats, MR_HISTOGRAM_inter_token_latency,
                        (collector->now - followed->seen_at) / more, more);
    else if (view->accepted >= collector->began)
        mr_stats_record(stats, MR_HISTOGRAM_time_to_first_token, collector->now - view->accepted,
                        1);
    followed->seen = seen;
    followed->seen_at = collector->now;
}

/* look_at - do what there is to do for a context that may have something new */
static int look_at(struct collector *collector, mr_handle handle)
{
    struct followed *followed = followed_of(collector, handle);
    mr_view view;
    int error;
    if ((handle & SLOT_MASK) >= collector->slots)
        return 0;
    followed_use(followed, handle);
    if (followed->final || see(collector, handle, &view) < 0)
        return 0; /* in the batch already, or a hint that came too late */
    if (view.emitted_final) {
        error = make_room(collector, 1);
        if (error == 0)
            put_final(collector, &view);
        return error;
    }
    count_tokens(collector, followed, &view);
    error = follow(collector, &view);
    if (is_lost(collector, &view) || is_ended(collector, &view) || is_poison(collector, &view))
        stop_others(collector, &view);
    return error == 0 && view.done ? answer(collector, &view) : error;
}

/* ---- the loop ---- */

/* wait_for_any - until there may be a hint, or the reader of the output took something */
static void wait_for_any(struct collector *collector)
{
    struct pollfd fds[] = {
        {.fd = mr_emission_fd(collector->emission), .events = POLLIN},
        {.fd = collector->output.target, .events = output_events(&collector->output)}};
    if (mr_emission_arm(collector->emission) == 0)
        poll(fds, fds[1].events != 0 ? 2 : 1, WAIT_MS);
}

/* next - a context to look at; waits until there is one or the output can be sent on */
static int next(struct collector *collector, mr_handle *handle, bool unsent)
{
    int error;
    if (!unsent)
        return mr_emission_next(collector->emission, handle, MR_WAIT);
    error = mr_emission_next(collector->emission, handle, 0);
    if (error == -EAGAIN)
        wait_for_any(collector);
    return error;
}

/* turn - one batch; 0, -ESHUTDOWN or another error */
static int turn(struct collector *collector)
{
    mr_handle handle;
    int left = output_send(&collector->output);
    int error = left < 0 ? left : next(collector, &handle, left == 1);
    collector->now = boot_time();
    for (unsigned i = 1; error == 0; i++) {
        error = look_at(collector, handle);
        if (error < 0)
            return error;
        error = i < HINTS_AT_ONCE ? mr_emission_next(collector->emission, &handle, 0) : -EAGAIN;
    }
    left = error == -EAGAIN || error == -ESHUTDOWN ? commit(collector) : error;
    return left == 0 && error == -ESHUTDOWN ? error : left;
}

static bool is_running(void *self)
{
    struct collector *collector = self;
    mr_member_progress(collector->member); /* it waits for the output, and isn't stuck */
    return mr_member_alive(collector->member) &&
           mr_domain_phase(mr_member_domain(collector->member)) != MR_PHASE_STOP;
}

/* At the end of a run that answered everything its reader may take his time; at the end of one that
 * was broken off nobody waits for him. */
static bool is_waiting_for_reader(void *self)
{
    struct collector *collector = self;
    mr_member_progress(collector->member);
    return getppid() == collector->parent &&
           mr_domain_unfinished(mr_member_domain(collector->member)) == 0;
}

static int leave(struct collector *collector)
{
    int left;
    collector->output.patient = is_waiting_for_reader;
    left = output_finish(&collector->output);
    if (left == -ESHUTDOWN)
        log_warning("stopped before the output's reader took all answers");
    return left == -ESHUTDOWN ? 0 : left;
}

static int run(struct collector *collector)
{
    int error;
    do
        error = turn(collector);
    while (error == 0);
    if (error == -ESHUTDOWN)
        error = leave(collector);
    if (error == -EPIPE)
        log_error("the output was closed by its reader before all answers were written");
    else if (error == -EINVAL || error == -EBADF)
        log_error("the output is of a kind that can't be written to: %s", strerror(-error));
    return error;
}

/* ---- the beginning ---- */

static int drain(void *self, const char *bytes, size_t count)
{
    struct collector *collector = self;
    return output_write(&collector->output, bytes, count);
}

static int read_logprobs(void *self, const mr_view *view, int64_t position,
                         struct logprob_position *result)
{
    struct collector *collector = self;
    return mr_emission_logprobs(collector->emission, view->handle, position, &result->logprobs,
                                result->entries, LOGPROBS_MAX_ENTRIES, result->tops,
                                LOGPROBS_MAX_TOP);
}

static int open_emission(struct collector *collector, unsigned max_attempts)
{
    unsigned deaths = 0;
    int error =
        mr_emission_open(&collector->emission, collector->member, &collector->poison, &deaths);
    if (error < 0)
        log_error("cannot collect: %s", mr_error());
    collector->has_poison = error == 0 && deaths >= max_attempts;
    if (collector->has_poison)
        log_error("the request at which the collector died %u times gets an error for an answer",
                  deaths);
    return error;
}

static int begin(struct collector *collector, const struct collector_options *options)
{
    mr_domain_info info = {.size = sizeof(info)};
    int error;
    mr_domain_get_info(mr_member_domain(options->member), &info);
    collector->member = options->member;
    collector->vocabulary = options->vocabulary;
    collector->created = info.created;
    if (mr_stats_total(mr_member_domain(options->member), MR_STAT_members_swept) > 0)
        collector->began = boot_time(); /* there may have been another */
    collector->parent = getppid();
    collector->slots = info.slots <= MR_MAX_SLOTS ? info.slots : MR_MAX_SLOTS;
    collector->logprobs = (struct logprob_source){read_logprobs, collector};
    collector->followed = calloc(MR_MAX_SLOTS, sizeof(*collector->followed));
    if (collector->followed == NULL || record_init(&collector->record, drain, collector) < 0) {
        log_error("cannot collect: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    error = open_emission(collector, info.max_attempts);
    if (error < 0)
        return error;
    return output_open(&collector->output, options->target, options->spool,
                       mr_emission_length(collector->emission), is_running, collector);
}

static void end(struct collector *collector)
{
    for (unsigned i = 0; collector->followed != NULL && i < collector->slots; i++)
        detokenizer_free(&collector->followed[i].text);
    free(collector->followed);
    record_free(&collector->record);
    output_close(&collector->output);
    mr_emission_close(collector->emission);
    free(collector);
}

int collector_run(const struct collector_options *options)
{
    struct collector *collector = calloc(1, sizeof(*collector));
    int error;
    if (collector == NULL) {
        log_error("cannot collect: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    error = begin(collector, options);
    if (error == 0)
        error = run(collector);
    end(collector);
    return error;
}
