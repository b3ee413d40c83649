/*
 * run.c - `millrace run`: from the command line to a group that runs, and its end
 *
 * Whatever fails on the way, supervisor_close() takes back all that was made: no segment, socket or
 * process outlives the program, unless a named run stays to be resumed.
 */
#include "runtime/supervisor/run.h"
#include "runtime/log.h"
#include "runtime/supervisor/geometry.h"
#include "runtime/supervisor/supervisor.h"
#include "runtime/timeline.h"
#include <errno.h>
#include <millrace/emission.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* What a stream's spool holds at most: a line and a block, unsent answers (collector/output.h)
     */
    INPUT_SPOOL_MIB = 17,
    OUTPUT_SPOOL_MIB = 96
};

/* ---- what the run is to do ---- */

/* The model's name in answers: its file's, without directory and ending. */
static char *name_of_model(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    size_t length = strlen(base);
    if (length > 5 && strcmp(base + length - 5, ".gguf") == 0)
        length -= 5;
    return strndup(base, length);
}

static unsigned threads_of_worker(const struct run_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned share = (unsigned)(cores < 1 ? 1 : cores) / (options->workers ? options->workers : 1);
    if (options->threads > 0)
        return options->threads;
    return share > 0 ? share : 1;
}

static char *find_worker(const struct run_options *options)
{
    char *path;
    if (options->worker != NULL)
        return realpath(options->worker, NULL);
    path = launch_worker_path();
    return path != NULL ? path : options->workers == 0 ? strdup("") : NULL;
}

static int fill_note(struct supervisor *run, const struct run_options *options)
{
    char *model = realpath(options->model, NULL);
    run->note = (struct note){.model = model != NULL ? model : strdup(options->model),
                              .model_name = name_of_model(options->model),
                              .input = strdup(run->input.path),
                              .output = strdup(run->output.path),
                              .worker = find_worker(options),
                              .workers = options->workers,
                              .max_batch = options->max_batch,
                              .threads = threads_of_worker(options),
                              .image_tokens = options->image_tokens,
                              .image_token = options->image_token,
                              .sample_rate = options->sample_rate,
                              .stream = options->stream,
                              .plain_io = options->plain_io};
    if (run->note.worker != NULL)
        return 0;
    if (options->worker != NULL)
        log_error("cannot find the worker '%s': %s", options->worker, strerror(errno));
    else
        log_error("cannot find 'millrace-worker-llama' beside this program or in '%s'; name a "
                  "worker with --worker",
                  PKGLIBEXECDIR);
    return -ENOENT;
}

/* ---- a domain for it ---- */

/* The worst case, before the first request. */
static void say_size(const struct supervisor *run)
{
    unsigned spools = (run->input.spool >= 0 ? INPUT_SPOOL_MIB : 0) +
                      (run->output.spool >= 0 ? OUTPUT_SPOOL_MIB : 0);
    char streams[64] = "";
    if (spools > 0)
        snprintf(streams, sizeof(streams), " and at most %u MiB for streams", spools);
    fprintf(stderr,
            "millrace: domain '%s': %u slots for requests of at most %u tokens; %.1f MiB of shared "
            "memory are reserved, and it never takes more, besides %.1f MiB for the vocabulary%s\n",
            run->info.name, run->info.slots, run->info.max_length,
            (double)run->info.total_bytes / (1 << 20), (double)run->model.tables_bytes / (1 << 20),
            streams);
}

static uint64_t time_of_creation(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    return epoch != NULL ? strtoull(epoch, NULL, 10) : 0;
}

static int create_domain(struct supervisor *run, const struct run_options *options)
{
    char name[MR_NAME_MAX + 1];
    mr_domain_options domain = {.size = sizeof(domain),
                                .seed = options->seed,
                                .max_attempts = options->max_attempts,
                                .created = time_of_creation(),
                                .kinds = options->kinds,
                                .named = options->name != NULL};
    if (model_file_read(&run->model, options->model) < 0 ||
        geometry_choose(&domain, options, &run->model, geometry_free_bytes()) < 0)
        return -EINVAL;
    snprintf(name, sizeof(name), "run-%u-%d", (unsigned)getuid(), (int)getpid());
    if (mr_domain_create(&run->domain, options->name != NULL ? options->name : name, &domain) < 0) {
        log_error("%s", mr_error());
        return -EEXIST;
    }
    return 0;
}

static int keep_note(struct supervisor *run)
{
    int error = note_write(run->domain, &run->note);
    if (error < 0)
        log_error("cannot keep the run's options in its domain: a path is too long or not UTF-8");
    return error;
}

static int start_new(struct supervisor *run, const struct run_options *options)
{
    if (run_input_open(&run->input, options->input) < 0 ||
        run_output_open(&run->output, options->output) < 0 ||
        !endpoints_differ(&run->input, &run->output) || fill_note(run, options) < 0 ||
        create_domain(run, options) < 0)
        return -EINVAL;
    return keep_note(run);
}

/* ---- a domain that was left by another run ---- */

static const char *path_or_null(const char *path)
{
    return path[0] != '\0' ? path : NULL;
}

/* Another vocabulary would cut requests and answers otherwise, or name tokens that aren't there. */
static int reopen_model(struct supervisor *run)
{
    mr_domain_info info = {.size = sizeof(info)};
    int error = model_file_read(&run->model, run->note.model);
    mr_domain_get_info(run->domain, &info);
    if (error == 0 && run->model.fingerprint != info.model_fingerprint) {
        log_error("cannot resume '%s': the model file '%s' is not the one that the run began with; "
                  "put that one back",
                  info.name, run->note.model);
        error = -EINVAL;
    }
    return error;
}

/* Without its input a run still finishes what it had accepted. A stream has been read as far as it
 * will ever be. */
static int reopen_input(struct supervisor *run)
{
    if (run->note.input[0] != '\0' && run_input_open(&run->input, run->note.input) == 0)
        return 0;
    run_input_close(&run->input);
    mr_domain_set_phase(run->domain, MR_PHASE_DRAIN);
    return run_input_none(&run->input);
}

/* The spool of an output that is a stream went with the old run, which had sent on all that was
 * committed; the new one goes on at the same place. */
static int place_spool(struct supervisor *run)
{
    const mr_member_options options = {
        .size = sizeof(options), .role = MR_ROLE_COLLECTOR, .name = "millrace"};
    mr_member *member = NULL;
    mr_emission *emission = NULL;
    mr_handle suspect;
    unsigned deaths;
    int error;
    if (run->output.spool < 0)
        return 0;
    error = mr_member_join(&member, run->domain, &options);
    if (error == 0)
        error = mr_emission_open(&emission, member, &suspect, &deaths);
    if (error == 0 && lseek(run->output.spool, (off_t)mr_emission_length(emission), SEEK_SET) < 0)
        error = -errno;
    mr_emission_close(emission);
    mr_member_leave(member);
    if (error < 0)
        log_error("cannot go on with the output: %s", mr_error());
    return error;
}

static int start_resumed(struct supervisor *run, const char *name)
{
    int error = mr_domain_resume(&run->domain, name);
    run->resumed = true;
    if (error == 0)
        error = mr_supervisor_sweep_all(run->domain);
    if (error < 0) {
        log_error("cannot resume '%s': %s", name, mr_error());
        return error;
    }
    error = note_read(run->domain, &run->note);
    if (error < 0) {
        log_error("cannot resume '%s': its options can't be read", name);
        return error;
    }
    error = reopen_model(run);
    if (error == 0)
        error = reopen_input(run);
    if (error == 0)
        error = run_output_open(&run->output, path_or_null(run->note.output));
    return error < 0 ? error : place_spool(run);
}

/* ---- beginning and end ---- */

static int start(struct supervisor *run, const struct run_options *options)
{
    int error;
    mr_domain_clean();
    error = options->resume != NULL ? start_resumed(run, options->resume) : start_new(run, options);
    if (error < 0)
        return error;
    if (run->note.plain_io)
        setenv("MILLRACE_IO", "plain", 1);
    if (options->unconfined)
        setenv("MILLRACE_SECCOMP", "off", 1);
    run->info.size = sizeof(run->info);
    mr_domain_get_info(run->domain, &run->info);
    say_size(run);
    if (mr_control_open(&run->control, run->domain) < 0) {
        log_error("%s", mr_error());
        return -EIO;
    }
    error = supervisor_open_events(run);
    if (error == 0)
        error = group_make(&run->group, run->info.name, &run->note, options->log_level,
                           run->model.tables, &run->input, &run->output);
    progress_open(&run->progress, run->domain, run->input.spool < 0 ? run->input.fd : -1,
                  run->output.fd);
    return error;
}

/* Whether the domain stays to be resumed. A run that never answered anything loses nothing when it
 * goes: its requests are still where they came from. */
static bool stays(const struct supervisor *run)
{
    if (run->domain == NULL || !run->info.named)
        return false;
    if (run->resumed || progress_finished(&run->progress, run->domain) > 0 || run->interrupted ||
        run->gave_up)
        return mr_domain_unfinished(run->domain) > 0 || !run->input_done;
    return false;
}

static enum run_status final_status(struct supervisor *run)
{
    uint64_t finished = progress_finished(&run->progress, run->domain);
    if (run->interrupted)
        return RUN_INTERRUPTED;
    if (run->status == RUN_ANSWERED && finished == 0 && !run->resumed) {
        log_error("the input held no request");
        return RUN_IMPOSSIBLE;
    }
    if (run->status == RUN_ANSWERED && progress_failed(&run->progress, run->domain) > 0)
        return RUN_SOME_FAILED;
    return run->status;
}

static void say_what_stays(const struct supervisor *run)
{
    log_error("the run stays as '%s' with %llu accepted requests to be answered: millrace run "
              "--resume %s, or --discard %s",
              run->info.name, (unsigned long long)mr_domain_unfinished(run->domain), run->info.name,
              run->info.name);
}

static void supervisor_close(struct supervisor *run)
{
    mr_control_close(run->control);
    if (run->domain != NULL && (stays(run) || (run->resumed && run->control == NULL)))
        mr_domain_close(run->domain);
    else
        mr_domain_remove(run->domain);
    group_free(&run->group);
    note_free(&run->note);
    model_file_close(&run->model);
    run_input_close(&run->input);
    run_output_close(&run->output);
    close(run->epoll);
    close(run->signals);
    close(run->timer);
}

/* ---- the ways of its requests ---- */

/* Before the run, so that nobody learns after an hour that the file can't be written. */
static int open_trace(FILE **file, const char *path)
{
    *file = path != NULL ? fopen(path, "we") : NULL;
    if (path == NULL || *file != NULL)
        return 0;
    log_error("cannot write the trace '%s': %s", path, strerror(errno));
    return -errno;
}

static void close_trace(FILE *file, const char *path, const mr_domain *domain)
{
    struct timeline timeline;
    int error;
    if (file == NULL)
        return;
    error = domain != NULL ? timeline_read(&timeline, domain) : 0;
    if (domain != NULL && error == 0) {
        error = timeline_chrome(&timeline, file);
        timeline_free(&timeline);
    }
    if (fclose(file) != 0 && error == 0)
        error = -errno;
    if (error < 0)
        log_error("cannot write the trace '%s': %s", path, strerror(-error));
}

static int run_it(const struct run_options *options)
{
    struct supervisor run = {
        .epoll = -1,
        .signals = -1,
        .timer = -1,
        .stuck_after = options->stuck_after,
        .model = {.tables = -1},
        .input = {.fd = -1, .spool = -1, .relay = {-1, -1}, .terminal = -1, .pump = -1},
        .output = {.fd = -1, .spool = -1}};
    int status = RUN_IMPOSSIBLE;
    FILE *trace;
    if (open_trace(&trace, options->trace) < 0)
        return RUN_IMPOSSIBLE;
    if (start(&run, options) == 0) {
        supervisor_loop(&run);
        status = final_status(&run);
        progress_summary(&run.progress, run.domain, run.restarts);
        if (stays(&run))
            say_what_stays(&run);
    }
    close_trace(trace, options->trace, run.domain);
    supervisor_close(&run);
    return status;
}

static int discard(const char *name)
{
    int error = mr_domain_discard(name);
    if (error < 0)
        log_error("cannot discard '%s': %s", name, mr_error());
    return error < 0 ? RUN_IMPOSSIBLE : RUN_ANSWERED;
}

int run_main(int argc, char **argv)
{
    struct run_options options;
    log_open("millrace", LOG_LEVEL_WARNING);
    switch (options_read(&options, argc, argv)) {
    case OPTIONS_HELP:
        options_help();
        return 0;
    case OPTIONS_VERSION:
        printf("millrace %s\n", mr_version());
        return 0;
    case OPTIONS_WRONG:
        fputs("try 'millrace run --help'\n", stderr);
        return RUN_IMPOSSIBLE;
    case OPTIONS_RUN:
        break;
    }
    log_open("millrace", options.log_level);
    return options.discard != NULL ? discard(options.discard) : run_it(&options);
}
