/*
 * process.c - the tokenizer: requests in, contexts out
 *
 * It begins where its predecessor was stopped, be it by SIGKILL: the intake mark says behind which
 * line, and no state of its own counts. A record at which tokenizers die again and again is
 * refused unread. It leaves when its input has ended, which it notes in the domain, or when nothing
 * more is to be accepted, after which a resumed run may go on; what was accepted no longer needs
 * it.
 */
#include "runtime/process.h"
#include "runtime/log.h"
#include "runtime/tokenizer/admit.h"
#include "runtime/tokenizer/json.h"
#include "runtime/tokenizer/lines.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { LINE_LIMIT = 16 << 20, READS_AT_ONCE = 4 };

struct tokenizer {
    struct process process;
    struct model model;
    struct admission admission;
    struct io *io;
    struct source *source;
    struct lines *lines;
    mr_intake *intake;
    mr_intake_mark mark; /* as this process moves it */
    bool broken;         /* the input can't be read to its end */
    unsigned deaths;     /* of predecessors, at the line behind the mark as it was found */
};

/* ---- beginning ---- */

static int open_input(struct tokenizer *tokenizer)
{
    /* A file redirected from a shell may have been read up to somewhere. */
    off_t position = lseek(PROCESS_INPUT_FD, 0, SEEK_CUR);
    uint64_t first = tokenizer->process.has_spool || position < 0 ? 0 : (uint64_t)position;
    uint64_t offset = tokenizer->mark.input_end > first ? tokenizer->mark.input_end : first;
    bool relay = tokenizer->process.has_relay;
    const struct source_input input = {
        .fd = PROCESS_INPUT_FD,
        .spool = tokenizer->process.has_spool ? PROCESS_SPOOL_FD : -1,
        .relay = {relay ? PROCESS_RELAY_READ_FD : -1, relay ? PROCESS_RELAY_WRITE_FD : -1}};
    int error = io_open(&tokenizer->io, READS_AT_ONCE);
    if (error == 0)
        error = source_open(&tokenizer->source, tokenizer->io, &input, offset);
    if (error == 0)
        error = lines_open(&tokenizer->lines, tokenizer->source, first, offset, LINE_LIMIT);
    if (error < 0)
        log_error("cannot read the input: %s", strerror(-error));
    return error;
}

static int open_intake(struct tokenizer *tokenizer)
{
    struct admission *admission = &tokenizer->admission;
    int error = mr_intake_open(&tokenizer->intake, tokenizer->process.member, &tokenizer->mark,
                               &tokenizer->deaths);
    if (error < 0) {
        log_error("cannot take requests in: %s", mr_error());
        return error;
    }
    *admission = (struct admission){.member = tokenizer->process.member,
                                    .intake = tokenizer->intake,
                                    .model = &tokenizer->model,
                                    .model_name = tokenizer->process.note.model_name,
                                    .stream = tokenizer->process.note.stream,
                                    .sample_rate = tokenizer->process.note.sample_rate,
                                    .info.size = sizeof(admission->info)};
    mr_domain_get_info(mr_member_domain(admission->member), &admission->info);
    return 0;
}

static int load_model(struct tokenizer *tokenizer)
{
    char why[512];
    const struct note *note = &tokenizer->process.note;
    mr_domain_info info = {.size = sizeof(info)};
    int error = model_load(&tokenizer->model, PROCESS_TABLES_FD, why, sizeof(why));
    close(PROCESS_TABLES_FD);
    mr_domain_get_info(mr_member_domain(tokenizer->process.member), &info);
    if (error == 0 && info.kinds & MR_TAKES_VISION)
        error = model_set_image(&tokenizer->model, note->image_token, note->image_tokens, why,
                                sizeof(why));
    if (error < 0)
        log_error("%s", why);
    return error;
}

/* ---- taking lines in ---- */

/* The phase as an enum admit_result. */
static int look_at_phase(const struct tokenizer *tokenizer)
{
    switch (mr_domain_phase(mr_member_domain(tokenizer->process.member))) {
    case MR_PHASE_DRAIN:
        return ADMIT_DRAINED;
    case MR_PHASE_STOP:
        return ADMIT_STOPPED;
    case MR_PHASE_RUN:
        break;
    }
    return mr_member_alive(tokenizer->process.member) ? ADMIT_DONE : ADMIT_STOPPED;
}

static int admit_too_long(struct tokenizer *tokenizer, uint64_t number, uint64_t end)
{
    struct refusal refusal;
    refuse(&refusal, REFUSAL_LINE_TOO_LONG, "", "the line is longer than %d MiB", LINE_LIMIT >> 20);
    return admit_refusal(&tokenizer->admission, number, end, &refusal);
}

static int admit_poison(struct tokenizer *tokenizer, uint64_t number, uint64_t end)
{
    struct refusal refusal;
    refuse(&refusal, REFUSAL_POISON, "", "the tokenizer died %u times in a row at this record",
           tokenizer->deaths);
    tokenizer->deaths = 0;
    return admit_refusal(&tokenizer->admission, number, end, &refusal);
}

/* take_record - the next line, numbered one more than the last */
static int take_record(struct tokenizer *tokenizer, int kind, const struct line *line)
{
    uint64_t number = tokenizer->mark.ordinal + 1;
    int result;
    mr_intake_work(tokenizer->intake, number);
    if (tokenizer->deaths > 0 && tokenizer->deaths >= tokenizer->admission.info.max_attempts)
        result = admit_poison(tokenizer, number, line->end);
    else if (kind == LINES_TOO_LONG)
        result = admit_too_long(tokenizer, number, line->end);
    else
        result = admit_line(&tokenizer->admission, number, line->end, line->bytes, line->length);
    if (result != ADMIT_DONE)
        return result;
    tokenizer->deaths = 0;
    tokenizer->mark = (mr_intake_mark){.ordinal = number, .input_end = line->end};
    source_release(tokenizer->source, line->end - 1);
    return ADMIT_DONE;
}

/* A part of a line that is too long went by: what the spool holds of it isn't needed again. */
static void take_skipped(struct tokenizer *tokenizer, const struct line *line)
{
    tokenizer->mark.input_end = line->end;
    mr_intake_skip(tokenizer->intake, tokenizer->mark.ordinal, line->end);
    source_release(tokenizer->source, line->end - 1);
}

static int input_broken(struct tokenizer *tokenizer, int error)
{
    log_error("cannot read the input behind line %llu: %s",
              (unsigned long long)tokenizer->mark.ordinal, strerror(-error));
    tokenizer->broken = true;
    return ADMIT_DRAINED;
}

/* take_all - until the input's end (ADMIT_DRAINED too) or a stop; an enum admit_result or -errno */
static int take_all(struct tokenizer *tokenizer)
{
    struct line line;
    int kind, result;
    while ((result = look_at_phase(tokenizer)) == ADMIT_DONE) {
        mr_intake_work(tokenizer->intake, 0);
        kind = lines_next(tokenizer->lines, &line);
        if (kind == LINES_END) {
            mr_intake_finish(tokenizer->intake);
            return ADMIT_DRAINED;
        }
        if (kind < 0)
            return input_broken(tokenizer, kind);
        if (kind == LINES_SKIPPED)
            take_skipped(tokenizer, &line);
        else if (kind != LINES_WAIT && (result = take_record(tokenizer, kind, &line)) != ADMIT_DONE)
            return result;
    }
    return result;
}

static int run(struct tokenizer *tokenizer)
{
    int result;
    if (load_model(tokenizer) < 0 || open_intake(tokenizer) < 0)
        return PROCESS_IMPOSSIBLE;
    if (mr_intake_finished(tokenizer->intake))
        return PROCESS_DONE;
    result = look_at_phase(tokenizer);
    if (result == ADMIT_DONE && open_input(tokenizer) < 0)
        return PROCESS_INPUT_BROKEN;
    if (result == ADMIT_DONE)
        result = take_all(tokenizer);
    if (result < 0) {
        log_error("line %llu could not be taken in: %s",
                  (unsigned long long)tokenizer->mark.ordinal + 1, mr_error());
        return PROCESS_FAILED;
    }
    return tokenizer->broken ? PROCESS_INPUT_BROKEN : PROCESS_DONE;
}

int tokenizer_main(int argc, char **argv)
{
    struct tokenizer tokenizer = {0};
    int status, error;
    json_install_budget();
    error = process_begin(&tokenizer.process, argc, argv, MR_ROLE_TOKENIZER);
    if (error < 0)
        return process_status(error);
    status = run(&tokenizer);
    lines_close(tokenizer.lines);
    source_close(tokenizer.source);
    io_close(tokenizer.io);
    mr_intake_close(tokenizer.intake);
    model_free(&tokenizer.model);
    process_end(&tokenizer.process);
    return status;
}
