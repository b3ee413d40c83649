/*
 * process.c - how a process of the runtime begins: tokenizer and collector
 */
#include "runtime/process.h"
#include "runtime/log.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <millrace/confine.h>
#include <stdlib.h>
#include <sys/prctl.h>

/* The name that ps shows, by role. */
static const char *process_name(enum mr_role role)
{
    return role == MR_ROLE_TOKENIZER ? "mr-tokenizer" : "mr-collector";
}

static int read_arguments(int argc, char **argv, const char **domain, enum log_level *level)
{
    static const struct option options[] = {{"attach", required_argument, NULL, 'a'},
                                            {"log-level", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    int option, named;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a') {
            *domain = optarg;
        } else if (option == 'l' && (named = log_level_of(optarg)) >= 0) {
            *level = (enum log_level)named;
        } else {
            return -EINVAL;
        }
    }
    return *domain != NULL && optind == argc ? 0 : -EINVAL;
}

static int join(struct process *process, const char *domain, enum mr_role role)
{
    const mr_member_options options = {
        .size = sizeof(options), .role = role, .name = process_name(role)};
    int error = mr_member_attach(&process->member, domain, &options);
    if (error < 0) {
        log_error("cannot join domain '%s': %s", domain, mr_error());
        return error;
    }
    error = note_read(mr_member_domain(process->member), &process->note);
    if (error < 0)
        log_error("the note of domain '%s' can't be read: it is of another version", domain);
    return error;
}

int process_begin(struct process *process, int argc, char **argv, enum mr_role role)
{
    const char *domain = NULL;
    enum log_level level = LOG_LEVEL_WARNING;
    int error;
    *process = (struct process){0};
    prctl(PR_SET_NAME, process_name(role));
    error = read_arguments(argc, argv, &domain, &level);
    log_open(process_name(role), level);
    if (error < 0) {
        log_error("started with arguments it doesn't know; only `millrace run` starts it");
        return error;
    }
    /* Now: later these numbers are given to whatever is opened. */
    process->has_spool = fcntl(PROCESS_SPOOL_FD, F_GETFD) >= 0;
    process->has_relay = fcntl(PROCESS_RELAY_READ_FD, F_GETFD) >= 0;
    error = join(process, domain, role);
    if (error < 0)
        process_end(process);
    else if (mr_confine() < 0)
        log_debug("not confined: %s", mr_error());
    return error;
}

int process_status(int error)
{
    return mr_error_passes(error) ? PROCESS_FAILED : PROCESS_IMPOSSIBLE;
}

void process_end(struct process *process)
{
    mr_member_leave(process->member);
    note_free(&process->note);
    *process = (struct process){0};
}
