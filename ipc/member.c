/*
 * member.c - places: who may act in a domain
 *
 * A place is filled by the supervisor before its holder may act, and emptied by the sweep once the
 * holder is dead: so each word of its record has one writer at any time. The index of a place is
 * the *lease index* that stands in the state words of the contexts that its holder owns.
 */
#include "ipc/member.h"
#include "ipc/control.h"
#include "ipc/error.h"
#include "ipc/queue.h"
#include <errno.h>
#include <millrace/supervise.h>
#include <millrace/worker.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t mr_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t mr_boottime_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

uint64_t mr_fingerprint_hash(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211); /* FNV-1a */
    return hash ? hash : 1;
}

uint64_t mr_process_start_time(int32_t pid)
{
    char path[32], line[1024];
    unsigned long long start = 0;
    FILE *file;
    char *field;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (!(file = fopen(path, "re")))
        return 0;
    /* the name in parentheses may hold anything: fields count from behind the last ')'. Zombies
     * have ended: nobody but their parent has still to hear of it */
    if (fgets(line, sizeof(line), file) && (field = strrchr(line, ')')) && !strchr("ZX", field[2]))
        for (int i = 2; i < 22 && field; i++)
            field = strchr(field + 1, ' ');
    else
        field = NULL;
    if (field && sscanf(field, "%llu", &start) != 1)
        start = 0;
    fclose(file);
    return start;
}

uint64_t mr_process_namespace(int32_t pid)
{
    char path[40];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    return stat(path, &st) ? 0 : (uint64_t)st.st_ino;
}

int mr_place_stage(const mr_domain *domain, const mr_member_options *options)
{
    if (!options->stage_name)
        return options->stage < domain->stage_count ? (int)options->stage
                                                    : mr_fail(EINVAL, "stage %u is not in [0, %u)",
                                                              options->stage, domain->stage_count);
    for (uint32_t i = 0; i < domain->stage_count; i++)
        if (!strcmp(options->stage_name, domain->info.stage_names[i]))
            return (int)i;
    return mr_fail(EINVAL, "stage '%.40s' is unknown in domain '%s'; its first is '%s'",
                   options->stage_name, domain->info.name, domain->info.stage_names[0]);
}

/* One of a set. */
static const char *name_of_kind(uint32_t kinds)
{
    return kinds & MR_TAKES_VISION  ? "vision"
           : kinds & MR_TAKES_TTS   ? "tts"
           : kinds & MR_TAKES_PIXEL ? "pixel"
                                    : "text";
}

static int check_fit(const mr_domain *domain, const mr_member_options *options)
{
    const mr_domain_info *info = &domain->info;

    if (options->role < MR_ROLE_SUPERVISOR || options->role > MR_ROLE_WORKER)
        return mr_fail(EINVAL, "role %u is unknown", options->role);
    if (options->role != MR_ROLE_WORKER)
        return 0;
    if (options->capacity < 1)
        return mr_fail(EINVAL, "a worker's capacity must be at least 1");
    if (options->model_fingerprint && info->model_fingerprint &&
        options->model_fingerprint != info->model_fingerprint)
        return mr_fail(
            EINVAL,
            "the worker's model has another tokenizer (%016llx) than domain '%s' (%016llx); "
            "give it the model that the domain serves",
            (unsigned long long)options->model_fingerprint, info->name,
            (unsigned long long)info->model_fingerprint);
    if (info->kinds & ~(options->kinds ? options->kinds : (uint32_t)MR_TAKES_TEXT))
        return mr_fail(EINVAL,
                       "domain '%s' serves %s requests, which this worker doesn't take; start the "
                       "domain for other kinds, or set mr_worker_options.kinds",
                       info->name, name_of_kind(info->kinds & ~options->kinds));
    if (options->vocabulary && info->vocabulary && options->vocabulary < info->vocabulary)
        return mr_fail(EINVAL, "the worker's vocabulary has %u tokens, domain '%s' needs %u",
                       options->vocabulary, info->name, info->vocabulary);
    return 0;
}

static void fill_place(mr_domain *domain, int index, const mr_member_options *options, int stage,
                       int32_t pid)
{
    mr_place_record *place = &domain->members[index];

    place->role = options->role;
    place->pid = pid;
    place->stage = (uint32_t)stage;
    place->start_time = mr_process_start_time(pid);
    place->pid_namespace = mr_process_namespace(pid);
    place->fingerprint = mr_fingerprint_hash(options->fingerprint);
    place->capacity = options->capacity;
    place->flags = options->flags;
    snprintf(place->name, sizeof(place->name), "%s", options->name ? options->name : "");
    atomic_store_explicit(&place->leave, 0, memory_order_relaxed);
    atomic_store_explicit(&place->steps, 0, memory_order_relaxed);
    atomic_store_explicit(&place->parts, 0, memory_order_relaxed);
    atomic_store_explicit(&place->step_begun, 0, memory_order_relaxed);
    atomic_store_explicit(&place->held, 0, memory_order_relaxed);
    atomic_store_explicit(&place->alone, 0, memory_order_relaxed);
    mr_stats_give(domain, index);
    atomic_store_explicit(&place->place, MR_PLACE_TAKEN, memory_order_release);
}

/* Only the supervisor's process gives places, but its threads may all want one (mr_worker_join()).
 */
static pthread_mutex_t giving = PTHREAD_MUTEX_INITIALIZER;

int mr_place_take(mr_domain *domain, const mr_member_options *options, int32_t pid)
{
    int stage, index = 0, rc = check_fit(domain, options);

    if (rc || (stage = mr_place_stage(domain, options)) < 0)
        return rc ? rc : stage;
    pthread_mutex_lock(&giving);
    while (index < MR_MAX_MEMBERS && mr_place_taken(domain, (uint32_t)index))
        index++;
    if (index < MR_MAX_MEMBERS)
        fill_place(domain, index, options, stage, pid);
    pthread_mutex_unlock(&giving);
    return index < MR_MAX_MEMBERS ? index
                                  : mr_fail(EAGAIN, "all %d places of domain '%s' are taken",
                                            MR_MAX_MEMBERS, domain->info.name);
}

static mr_member *member_new(mr_domain *domain, int index, const mr_member_options *options)
{
    mr_member *member = calloc(1, sizeof(*member));

    if (!member)
        return NULL;
    member->domain = domain;
    member->socket = -1;
    member->index = index;
    member->role = options->role;
    member->place = &domain->members[index];
    member->stage = member->place->stage;
    member->fingerprint = member->place->fingerprint;
    member->stats = mr_stats_page(domain, index);
    return member;
}

int mr_member_join(mr_member **out, mr_domain *domain, const mr_member_options *options)
{
    int index = mr_place_take(domain, options, getpid());

    if (index < 0)
        return index;
    *out = member_new(domain, index, options);
    return *out ? 0 : mr_fail(ENOMEM, "out of memory");
}

/* A Ctrl-C is for the supervisor, which tells us in its own way. */
static void leave_signals_to_the_supervisor(void)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

int mr_member_attach(mr_member **out, const char *name, const mr_member_options *options)
{
    mr_domain *domain;
    mr_member *member;
    int index, socket, rc = mr_domain_open(&domain, name);

    if (rc)
        return rc;
    index = mr_control_greet(domain, options, &socket);
    if (index < 0) {
        mr_domain_close(domain);
        return index;
    }
    if (domain->members[index].stage >= domain->stage_count) {
        close(socket);
        mr_domain_close(domain);
        return mr_fail(EBADMSG, "place %d of domain '%s' is corrupt: stage out of range", index,
                       name);
    }
    if (!(member = member_new(domain, index, options))) {
        close(socket);
        mr_domain_close(domain);
        return mr_fail(ENOMEM, "out of memory");
    }
    member->owns_domain = true;
    member->socket = socket;
    if (!(options->flags & MR_KEEP_SIGNALS))
        leave_signals_to_the_supervisor();
    if (options->name)
        prctl(PR_SET_NAME, options->name);
    *out = member;
    return 0;
}

void mr_member_leave(mr_member *member)
{
    if (!member)
        return;
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        mr_queue_forget(member->domain, i, (unsigned)member->index);
    if (member->socket >= 0) {
        mr_control_say_goodbye(member->socket);
        close(member->socket);
    }
    if (member->owns_domain)
        mr_domain_close(member->domain);
    free(member);
}

mr_domain *mr_member_domain(mr_member *member)
{
    return member->domain;
}

int mr_member_index(const mr_member *member)
{
    return member->index;
}

mr_stats *mr_member_stats(mr_member *member)
{
    return member->stats;
}

bool mr_member_alive(mr_member *member)
{
    uint64_t now;

    if (member->gone || mr_domain_phase(member->domain) >= MR_PHASE_STOP)
        return false;
    if (member->socket < 0)
        return true;
    now = mr_monotonic_ns();
    if (now >= member->next_look) {
        member->next_look = now + 100000000;
        member->gone = mr_control_hung_up(member->socket);
    }
    return !member->gone;
}

static void count_up(mr_word *word)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void mr_member_begin(mr_member *member)
{
    mr_place_record *place = member->place;

    count_up(&place->steps);
    if (!atomic_load_explicit(&place->step_begun, memory_order_relaxed))
        atomic_store_explicit(&place->step_begun, mr_boottime_ns(), memory_order_relaxed);
}

void mr_member_rest(mr_member *member)
{
    atomic_store_explicit(&member->place->step_begun, 0, memory_order_relaxed);
}

void mr_member_progress(mr_member *member)
{
    count_up(&member->place->parts);
}

int mr_member_get_info(const mr_domain *domain, int index, mr_member_info *info)
{
    const mr_place_record *place;

    if (index < 0 || index >= MR_MAX_MEMBERS)
        return mr_fail(ENOENT, "place %d is not in [0, %d)", index, MR_MAX_MEMBERS);
    place = &domain->members[index];
    if (!mr_place_taken(domain, (uint32_t)index))
        return mr_fail(ENOENT, "place %d is free", index);
    *info = (mr_member_info){
        .index = index,
        .role = (enum mr_role)place->role,
        .pid = place->pid,
        .start_time = place->start_time,
        .stage = place->stage,
        .capacity = place->capacity,
        .held = (uint32_t)atomic_load_explicit(&place->held, memory_order_relaxed),
        .steps = atomic_load_explicit(&place->steps, memory_order_relaxed),
        .parts = atomic_load_explicit(&place->parts, memory_order_relaxed),
        .step_begun = atomic_load_explicit(&place->step_begun, memory_order_relaxed),
        .fingerprint = place->fingerprint,
        .flags = place->flags,
    };
    snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(place->name) - 1, place->name);
    return 0;
}
