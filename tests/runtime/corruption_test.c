/*
 * corruption_test.c - bits of a running group's control words flip, and nobody falls over
 *
 * While a run answers, one bit after the other is flipped at random in its shared memory: in state
 * words, cursors, marks, offsets, rings, bells, places and the header's moving words, in what is in
 * use and in what is not; not in the payload. Each request must be answered once, as in an
 * undisturbed run or with an error; the run ends and leaves nothing. A flip that is harmless shows
 * nothing.
 *
 * CORRUPTION_SEED repeats a row of flips, CORRUPTION_ROUNDS makes it longer; which words were hit
 * is said when something goes wrong.
 */
#include "ipc/domain.h"
#include "ipc/slot.h"
#include "tests/runtime/fixture.h"
#include <fcntl.h>
#include <millrace/check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 600, TOKENS = 40, SLOTS = 32, APART_S = 3, END_S = 20, FLIPS = 80, LOG = 80 };

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % n;
}

/* ---- what is hit ---- */

static struct hit {
    char what[60];
} hits[LOG];
static unsigned hit_count;

static double hit_at[SLOTS];        /* when, */
static uint64_t hit_ordinal[SLOTS]; /* and of which record it was then */

static unsigned char *memory; /* the run's data segment, to be written */
static uint64_t memory_bytes;

/* Flips a bit of `bytes` bytes that lie at `at` in the read-only view of the domain. */
static void flip(const mr_domain *domain, const char *name, uint32_t number, const void *at,
                 size_t bytes)
{
    size_t offset = (size_t)((const unsigned char *)at - domain->data) + random_below(bytes);
    unsigned bit = (unsigned)random_below(8);
    __atomic_fetch_xor(&memory[offset], (unsigned char)(1u << bit), __ATOMIC_SEQ_CST);
    if (hit_count < LOG)
        snprintf(hits[hit_count].what, sizeof(hits[0].what), "%s %u: byte %zu, bit %u", name,
                 number, offset - (size_t)((const unsigned char *)at - domain->data), bit);
    hit_count++;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool was_just_hit(uint32_t index, uint64_t ordinal)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        if ((i == index || (ordinal != 0 && hit_ordinal[i] == ordinal)) &&
            now() - hit_at[i] < APART_S)
            return true;
    return false;
}

/* One in use, if any is, whose request wasn't hit for a while: two faults in one request, the
 * second before the first is mended, are more than is promised. SLOTS: there is none. */
static uint32_t any_slot(const mr_domain *domain)
{
    uint32_t found = SLOTS;
    for (int i = 0; i < 8; i++) {
        uint32_t index = (uint32_t)random_below(SLOTS);
        if (was_just_hit(index, atomic_load(&domain->slots[index].ordinal)))
            continue;
        found = index;
        if (mr_state_unpack(mr_slot_load(&domain->slots[index])).state >= MR_STATE_READY)
            break;
    }
    if (found < SLOTS) {
        hit_at[found] = now();
        hit_ordinal[found] = atomic_load(&domain->slots[found].ordinal);
    }
    return found;
}

#define FLIP(what) flip(domain, #what, index, &slot->what, sizeof(slot->what))

static void flip_in_slot(const mr_domain *domain)
{
    uint32_t index = any_slot(domain);
    const mr_slot *slot = &domain->slots[index % SLOTS];
    if (index == SLOTS)
        return;
    switch (random_below(13)) {
    case 0:
    case 1:
    case 2:
        FLIP(state);
        break;
    case 3:
        FLIP(cancel);
        break;
    case 4:
        FLIP(emitted_tokens);
        break;
    case 5:
        FLIP(emitted_final);
        break;
    case 6:
        FLIP(sequence);
        break;
    case 7:
        FLIP(news);
        break;
    case 8:
        FLIP(glance);
        break;
    case 9:
        FLIP(cursors);
        break;
    case 10:
        FLIP(ordinal);
        break;
    case 11:
        FLIP(arena);
        break;
    default:
        flip(domain, "params", index, &slot->params, offsetof(mr_params, sampling));
    }
}

static void flip_in_queue(const mr_domain *domain)
{
    static const uint32_t numbers[] = {0, MR_QUEUE_COLLECTOR, MR_QUEUE_FREE};
    uint32_t index = numbers[random_below(3)];
    const mr_queue *slot = &domain->queues[index];
    switch (random_below(6)) {
    case 0:
        FLIP(ring.head);
        break;
    case 1:
        FLIP(ring.tail);
        break;
    case 2:
        FLIP(ring.rescan);
        break;
    case 3:
        flip(domain, "bell", index, &slot->doorbell.sleepers, sizeof(slot->doorbell.sleepers));
        break;
    case 4:
        flip(domain, "semaphore", index, &slot->doorbell.semaphore, 4);
        break;
    default:
        flip(domain, "ring entries", index, domain->entries[index].at,
             (domain->entries[index].mask + 1) * sizeof(uint64_t));
    }
}

static void flip_in_header(const mr_domain *domain)
{
    uint32_t index = (uint32_t)random_below(4);
    const mr_header *h = domain->header;
    const mr_place_record *slot = &domain->members[index];
    switch (random_below(6)) {
    case 0:
        flip(domain, "mark", 0, h->mark, sizeof(h->mark));
        break;
    case 1:
        flip(domain, "journal", 0, h->journal, 2 * sizeof(uint64_t));
        break;
    case 2:
        flip(domain, "journal sequence", 0, &h->journal_sequence, sizeof(h->journal_sequence));
        break;
    case 3:
        flip(domain, "phase", 0, &h->phase, sizeof(h->phase));
        break;
    case 4:
        FLIP(place);
        break;
    default:
        FLIP(held);
    }
}

static void flip_any(const mr_domain *domain)
{
    switch (random_below(4)) {
    case 0:
        flip_in_queue(domain);
        break;
    case 1:
        flip_in_header(domain);
        break;
    default:
        flip_in_slot(domain);
    }
}

/* ---- a round ---- */

static void write_input(void)
{
    FILE *file = fopen("in", "we");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < REQUESTS; i++)
        fprintf(file,
                "{\"custom_id\": \"r%d\", \"method\": \"POST\", \"url\": \"/v1/completions\", "
                "\"body\": {\"prompt\": \"request %d goes on and on, over and over\", "
                "\"max_tokens\": %d%s}}\n",
                i, i, TOKENS,
                i % 5 == 3   ? ", \"n\": 2"
                : i % 5 == 4 ? ", \"logprobs\": 2"
                             : "");
    ck_assert_int_eq(fclose(file), 0);
}

static mr_domain *inspect(const struct run *run)
{
    char name[48], path[96];
    mr_domain *domain = NULL;
    int fd;
    snprintf(name, sizeof(name), "run-%u-%d", (unsigned)getuid(), (int)run->pid);
    for (int i = 0; i < 2000 && domain == NULL; i++) {
        wait_ms(1);
        mr_domain_inspect(&domain, name);
    }
    ck_assert_ptr_nonnull(domain);
    snprintf(path, sizeof(path), "/dev/shm/millrace.%s.data", name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    memory_bytes = domain->data_bytes;
    memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    close(fd);
    return domain;
}

static bool has_ended(const struct run *run)
{
    siginfo_t info = {0};
    waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
}

static void print_finding(void *self, const char *place, const char *what)
{
    (void)self;
    fprintf(stderr, "  found: %s: %s\n", place, what);
}

static void print_hits(const struct run *run)
{
    for (unsigned i = 0; i < hit_count && i < LOG; i++)
        fprintf(stderr, "  %s\n", hits[i].what);
    if (run->err != NULL)
        fprintf(stderr, "%s", run->err);
}

/* True when each record is answered once: as before or with an error. */
static bool answers_fit(const char *path, json_t *expected, char *why, size_t size,
                        unsigned *failed)
{
    json_t *seen = json_object();
    char *text = file_read(path, NULL), key[32];
    why[0] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL && why[0] == '\0';
         line = strtok(NULL, "\n")) {
        json_t *record = json_loads(line, 0, NULL), *error = json_object_get(record, "error");
        const char *id = json_string_value(json_object_get(record, "custom_id"));
        bool is_error = json_is_object(error);
        if (id == NULL && is_error) { /* its id was lost with its context: the line tells */
            snprintf(key, sizeof(key), "r%lld",
                     (long long)json_integer_value(json_object_get(error, "line")) - 1);
            id = key;
        }
        if (id == NULL || json_object_get(expected, id) == NULL)
            snprintf(why, size, "nobody asked for this: %.300s", line);
        else if (json_object_get(seen, id) != NULL)
            snprintf(why, size, "'%s' is answered twice: %.300s; before: %.300s", id, line,
                     json_string_value(json_object_get(seen, id)));
        else if (!is_error && !json_equal(record, json_object_get(expected, id)))
            snprintf(why, size, "'%s' is answered wrong: %.3800s", id, line);
        else
            json_object_set_new(seen, id, json_string(line));
        *failed += is_error;
        json_decref(record);
    }
    if (why[0] == '\0' && json_object_size(seen) != json_object_size(expected))
        snprintf(why, size, "%zu of %zu requests are answered", json_object_size(seen),
                 json_object_size(expected));
    json_decref(seen);
    free(text);
    return why[0] == '\0';
}

static void play(json_t *expected, uint64_t seed)
{
    struct run run;
    char why[4000];
    unsigned failed = 0;
    mr_domain *domain;
    hit_count = 0;
    memset(hit_at, 0, sizeof(hit_at));
    random_state = seed;
    unlink("out");
    run_begin(&run, NULL, "-o", "out", "-n", "2", "--slots", "32", "in");
    domain = inspect(&run);
    run_wait_for_lines("out", 1);
    while (hit_count < FLIPS && !has_ended(&run)) {
        flip_any(domain);
        wait_ms((unsigned)random_below(20));
    }
    for (double end = now() + END_S; !has_ended(&run) && now() < end;)
        wait_ms(20);
    if (!has_ended(&run)) {
        print_hits(&run);
        mr_domain_check(domain, print_finding, NULL, NULL);
    }
    run_end(&run);
    if ((run.status != 0 && run.status != 1) ||
        !answers_fit("out", expected, why, sizeof(why), &failed)) {
        print_hits(&run);
        ck_abort_msg("CORRUPTION_SEED=%llu: status %d, %s", (unsigned long long)seed, run.status,
                     why);
    }
    fprintf(stderr, "seed %llu: %u flips, %u of %u requests failed\n", (unsigned long long)seed,
            hit_count, failed, (unsigned)REQUESTS);
    munmap(memory, memory_bytes);
    mr_domain_close(domain);
    run_free(&run);
}

START_TEST(flipped_bits_fail_a_request_at_most)
{
    struct run run;
    json_t *expected;
    unsigned rounds = setting("CORRUPTION_ROUNDS", 3);
    uint64_t seed = setting("CORRUPTION_SEED", (unsigned)time(NULL));
    setenv("ECHO_STEP_US", "1000", 1);
    write_input();
    ck_assert_int_eq(run_whole(&run, NULL, "-o", "whole", "in"), 0);
    run_free(&run);
    expected = answers_read("whole");
    ck_assert_uint_eq(json_object_size(expected), REQUESTS);
    for (unsigned i = 0; i < rounds; i++)
        play(expected, seed + i);
    json_decref(expected);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("corruption");
    TCase *flips = tcase_create("flips");
    SRunner *runner;
    int failed;
    tcase_set_timeout(flips, 120 + setting("CORRUPTION_ROUNDS", 3) * 10);
    tcase_add_checked_fixture(flips, fixture_open, fixture_close);
    tcase_add_test(flips, flipped_bits_fail_a_request_at_most);
    suite_add_tcase(suite, flips);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
