/*
 * domain.c - the life of a domain: made, opened, replaced, resumed, removed
 *
 * A domain is made whole before it has a name (segment.c). Two starts of one name meet at the link
 * of the data segment: one gets EEXIST. A dead domain is replaced under the supervisor's lock on
 * the old segment, which its replacer must hold while it unlinks; after it got the lock it looks
 * whether the name still leads to that segment, since another may have been quicker.
 */
#include "ipc/domain.h"
#include "ipc/domain_view.h"
#include "ipc/error.h"
#include "ipc/geometry.h"
#include "ipc/ring.h"
#include "ipc/segment.h"
#include "ipc/stats.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- making one ---- */

static uint64_t realtime_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

static void init_header(mr_domain *domain, const char *name, const mr_geometry *g)
{
    mr_header *h = (mr_header *)(void *)domain->data;

    h->abi = MR_ABI;
    h->header_bytes = sizeof(*h);
    h->layout = mr_layout_epoch();
    h->total_bytes = g->data_bytes;
    h->all_bytes = g->data_bytes + g->stats_bytes;
    h->created = g->options.created ? g->options.created : realtime_seconds();
    h->seed = g->options.seed;
    h->model_fingerprint = g->options.model_fingerprint;
    h->creator = (uint32_t)getpid();
    h->named = g->options.named;
    h->slots = g->options.slots;
    h->stages = g->options.stages;
    h->max_length = g->options.max_length;
    h->vocabulary = g->options.vocabulary;
    h->max_attempts = g->options.max_attempts;
    h->spin_us = g->options.spin_us;
    h->kinds = g->options.kinds;
    h->members_offset = g->members_offset;
    h->queues_offset = g->queues_offset;
    h->slots_offset = g->slots_offset;
    h->ids_offset = g->ids_offset;
    h->ids_count = g->options.id_table;
    h->finished_offset = g->finished_offset;
    h->finished_count = g->options.finished;
    h->arena_offset = g->arena_offset;
    h->arena_bytes = g->options.arena_bytes;
    snprintf(h->name, sizeof(h->name), "%s", name);
    for (uint32_t i = 0; i < g->options.stages; i++)
        snprintf(h->stage_names[i], sizeof(h->stage_names[i]), "%s",
                 g->options.stage_names ? g->options.stage_names[i] : "generate");
}

static void init_queues(mr_domain *domain, const mr_geometry *g)
{
    mr_queue *queues = (mr_queue *)(void *)(domain->data + g->queues_offset);

    for (uint32_t i = 0; i < MR_QUEUES; i++) {
        mr_ring_init(&queues[i].ring, g->entries_offset + i * g->ring_entries * 8, g->ring_entries);
        sem_init(&queues[i].doorbell.semaphore, 1, 0);
    }
}

static int make_eventfds(mr_domain *domain)
{
    for (int i = 0; i < MR_QUEUES; i++) {
        domain->eventfds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (domain->eventfds[i] < 0)
            return mr_fail(errno, "cannot make an eventfd: %s", strerror(errno));
    }
    return 0;
}

/* Nameless segments, filled, locked and mapped. */
static int make_segments(mr_domain *domain, const char *name, const mr_geometry *g)
{
    int rc;

    domain->data_fd = mr_segment_make(g->data_bytes, 0600, &domain->data);
    if (domain->data_fd < 0)
        return domain->data_fd;
    domain->data_bytes = g->data_bytes;
    domain->stats_fd = mr_segment_make(g->stats_bytes, 0644, &domain->stats);
    if (domain->stats_fd < 0)
        return domain->stats_fd;
    domain->stats_bytes = g->stats_bytes;
    domain->stats_writable = true;
    init_header(domain, name, g);
    init_queues(domain, g);
    atomic_store_explicit(&((mr_header *)(void *)domain->data)->magic, MR_MAGIC,
                          memory_order_release);
    if ((rc = mr_segment_lock_supervisor(domain->data_fd)) ||
        (rc = mr_segment_lock_member(domain->data_fd)))
        return rc;
    domain->supervisor = true;
    return 0;
}

static void unlink_all(const char *name)
{
    static const char *const whats[] = {"sock", "kv", "stats",
                                        "data"}; /* data last: it is the name */
    char path[MR_PATH_MAX];

    for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++) {
        mr_segment_path(path, name, whats[i]);
        unlink(path);
    }
}

/* ---- the dead of that name ---- */

static bool still_named(int fd, const char *path)
{
    struct stat mine, named;

    return !fstat(fd, &mine) && !stat(path, &named) && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

/* Whether the stats tell of a supervisor that lives; the lock's word holds where they can't. */
static bool has_supervisor(const char *name)
{
    mr_stats_view *view;
    bool alive;

    if (mr_stats_open(&view, name))
        return true;
    alive = mr_stats_alive(view);
    mr_stats_close(view);
    return alive;
}

/*
 * Lock a domain in which nobody lives, be it after a while: who loses his supervisor leaves by
 * himself, and a child that the supervisor was just making when it died has its lock a moment more.
 */
static int lock_dead(int fd, const char *name, unsigned patience_ms)
{
    for (unsigned waited = 0;; waited += MR_LOOK_MS) {
        int rc = mr_segment_lock_supervisor(fd);

        if (!rc && !mr_segment_has_members(fd))
            return 0;
        if (rc && (waited >= patience_ms || has_supervisor(name)))
            return mr_fail(EBUSY, "domain '%s' is running; choose another name or stop it first",
                           name);
        if (waited >= patience_ms)
            return mr_fail(EBUSY,
                           "domain '%s' has lost its supervisor, but not yet its members; end them",
                           name);
        usleep(MR_LOOK_MS * 1000);
    }
}

/* Open and lock a domain by name if nobody lives in it; -ENOENT, -EBUSY. When 0 is returned the
 * domain may be unbound (header == NULL), and *bound says why: -EPROTO, another version's; else
 * corrupt. */
static int seize(const char *name, unsigned patience_ms, mr_domain **out, int *bound)
{
    char path[MR_PATH_MAX];
    mr_domain *domain = mr_view_new();
    int rc = 0;

    if (!domain)
        return mr_fail(ENOMEM, "out of memory");
    mr_segment_path(path, name, "data");
    domain->data_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (domain->data_fd < 0)
        rc = mr_fail(errno, "cannot open domain '%s': %s", name, strerror(errno));
    else if (!(rc = lock_dead(domain->data_fd, name, patience_ms)) &&
             !still_named(domain->data_fd, path))
        rc = mr_fail(EAGAIN, "domain '%s' is just being replaced", name);
    if (rc) {
        mr_view_close(domain);
        return rc;
    }
    *bound = mr_segment_map(domain->data_fd, true, &domain->data, &domain->data_bytes);
    if (*bound || (*bound = mr_view_bind(domain)))
        domain->header = NULL;
    *out = domain;
    return 0;
}

/* Remove a dead domain if that loses nothing, as far as this version can tell. */
static int replace_dead(const char *name, bool unnamed_only)
{
    mr_domain *dead;
    int bound, rc = seize(name, 0, &dead, &bound);

    if (rc)
        return rc;
    if (bound == -EPROTO)
        rc =
            mr_fail(ENOTEMPTY,
                    "domain '%s' was left by another version of millrace; finish it with that one, "
                    "or drop it with --discard %s",
                    name, name);
    else if (dead->header && dead->info.named && (unnamed_only || mr_domain_unfinished(dead)))
        rc = mr_fail(
            ENOTEMPTY,
            "domain '%s' ended with %llu requests unfinished; finish them with --resume %s or "
            "drop them with --discard %s",
            name, (unsigned long long)mr_domain_unfinished(dead), name, name);
    else
        unlink_all(name);
    mr_view_close(dead);
    return rc;
}

static int publish(mr_domain *domain, const char *name)
{
    char path[MR_PATH_MAX];
    int rc;

    mr_segment_path(path, name, "data");
    while ((rc = mr_segment_publish(domain->data_fd, path)) == -EEXIST) {
        rc = replace_dead(name, false);
        if (rc == -EBUSY)
            return mr_fail(EEXIST, "domain '%s' is running; choose another name or stop it first",
                           name);
        if (rc && rc != -ENOENT && rc != -EAGAIN)
            return rc;
    }
    if (rc)
        return rc;
    mr_segment_path(path, name, "stats");
    unlink(path); /* of a dead domain whose data is gone */
    rc = mr_segment_publish(domain->stats_fd, path);
    if (rc)
        unlink_all(name); /* it is ours: nobody may find half a domain */
    return rc;
}

static int publish_with_stats(mr_domain *domain, const char *name)
{
    mr_stats_init((mr_stats_segment *)(void *)domain->stats, &domain->info);
    mr_stats_take_over(domain);
    return publish(domain, name);
}

int mr_domain_create(mr_domain **out, const char *name, const mr_domain_options *options)
{
    mr_geometry g;
    mr_domain *domain;
    int rc;

    if ((rc = mr_segment_name_valid(name)) || (rc = mr_geometry_plan(options, &g)))
        return rc;
    if (!(domain = mr_view_new()))
        return mr_fail(ENOMEM, "out of memory");
    if ((rc = make_segments(domain, name, &g)) || (rc = mr_view_bind(domain)) ||
        (rc = make_eventfds(domain)) || (rc = publish_with_stats(domain, name))) {
        mr_view_close(domain);
        return rc;
    }
    *out = domain;
    return 0;
}

/* ---- the others ---- */

static int open_data(mr_domain *domain, const char *name)
{
    int rc;

    if ((rc = mr_view_open_data(domain, name, O_RDWR)))
        return rc;
    if ((rc = mr_segment_lock_member(domain->data_fd)))
        return rc;
    if (!mr_segment_has_supervisor(domain->data_fd))
        return mr_fail(ESTALE, "domain '%s' is dead: its supervisor is gone; resume or discard it",
                       name);
    if ((rc = mr_segment_map(domain->data_fd, true, &domain->data, &domain->data_bytes)))
        return rc;
    return mr_view_bind(domain);
}

int mr_domain_open(mr_domain **out, const char *name)
{
    mr_domain *domain;
    int rc = mr_segment_name_valid(name);

    if (rc)
        return rc;
    if (!(domain = mr_view_new()))
        return mr_fail(ENOMEM, "out of memory");
    if ((rc = open_data(domain, name)) || (rc = mr_view_open_stats(domain, name))) {
        mr_view_close(domain);
        return rc;
    }
    *out = domain;
    return 0;
}

int mr_domain_resume(mr_domain **out, const char *name)
{
    mr_domain *domain;
    int bound, rc = mr_segment_name_valid(name);

    if (rc || (rc = seize(name, MR_LEAVE_MS, &domain, &bound)))
        return rc;
    if (bound == -EPROTO)
        rc = bound; /* which mr_view_bind() explained */
    else if (!domain->header)
        rc = mr_fail(EBADMSG, "domain '%s' is corrupt and can't be resumed; discard it", name);
    else if (!(rc = mr_segment_lock_member(domain->data_fd)) &&
             !(rc = mr_view_open_stats(domain, name)))
        rc = make_eventfds(domain);
    if (rc) {
        mr_view_close(domain);
        return rc;
    }
    domain->supervisor = true;
    mr_stats_take_over(domain);
    atomic_store_explicit(&domain->header->phase, MR_PHASE_RUN, memory_order_release);
    *out = domain;
    return 0;
}

void mr_domain_close(mr_domain *domain)
{
    if (domain)
        mr_view_close(domain);
}

void mr_domain_remove(mr_domain *domain)
{
    if (!domain)
        return;
    unlink_all(domain->info.name);
    mr_view_close(domain);
}

int mr_domain_discard(const char *name)
{
    mr_domain *dead;
    int bound, rc = mr_segment_name_valid(name);

    if (rc || (rc = seize(name, MR_LEAVE_MS, &dead, &bound)))
        return rc;
    unlink_all(name);
    mr_view_close(dead);
    return 0;
}

/* "millrace.NAME.data" -> NAME; false for other files. */
static bool name_of_file(const char *file, char name[MR_NAME_MAX + 1])
{
    size_t length = strlen(file);

    if (strncmp(file, "millrace.", 9) || length < 15 || strcmp(file + length - 5, ".data") ||
        length - 14 > MR_NAME_MAX)
        return false;
    memcpy(name, file + 9, length - 14);
    name[length - 14] = 0;
    return true;
}

int mr_domain_clean(void)
{
    DIR *folder = opendir("/dev/shm");
    struct dirent *entry;
    int removed = 0;

    if (!folder)
        return 0;
    while ((entry = readdir(folder))) {
        char name[MR_NAME_MAX + 1];
        struct stat st;

        if (name_of_file(entry->d_name, name) &&
            !fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
            st.st_uid == geteuid() && !replace_dead(name, true))
            removed++;
    }
    closedir(folder);
    return removed;
}
