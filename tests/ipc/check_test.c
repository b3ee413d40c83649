/*
 * check_test.c - each thing that must hold is broken on purpose, and found by its name
 *
 * A domain of eight slots in which a request is leased, one waits, one is done and one was refused;
 * for the hints, one that nobody works in.
 */
#include "ipc/control.h"
#include "ipc/cursors.h"
#include "ipc/member.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mr_domain *domain;
static mr_member *tokenizer;
static mr_intake *intake;
static mr_worker *worker;
static mr_context *batch[4];
static mr_slot *leased, *ready, *done, *refused, *idle;

/* ---- what is found ---- */

static char found[4000];

static void note(void *self, const char *place, const char *what)
{
    size_t used = strlen(found);

    (void)self;
    ck_assert_msg(what[0] && !strchr(what, '\n'), "%s: '%s'", place, what);
    snprintf(found + used, sizeof(found) - used, "%s: %s\n", place, what);
}

static int check(void)
{
    int n;

    found[0] = 0;
    n = mr_domain_check(domain, note, NULL, NULL);
    ck_assert_int_ge(n, 0);
    return n;
}

static void is_clean(void)
{
    ck_assert_msg(check() == 0, "%s", found);
}

static void is_found(const char *place, const char *what)
{
    char begin[80];

    check();
    snprintf(begin, sizeof(begin), "%s: ", place);
    ck_assert_msg(!strncmp(found, begin, strlen(begin)) && strstr(found, what),
                  "wanted '%s: ... %s', found: %s", place, what, found);
}

static void is_found_in(const mr_slot *slot, const char *what)
{
    char place[40];

    snprintf(place, sizeof(place), "slot %td", slot - domain->slots);
    is_found(place, what);
}

/* ---- the domain ---- */

static mr_slot *slot_in(uint32_t state, const mr_slot *but)
{
    for (uint32_t i = 0; i < domain->slot_count; i++)
        if (support_state(domain, i) == state && &domain->slots[i] != but)
            return &domain->slots[i];
    ck_abort_msg("no slot is in state %u", state);
    return NULL;
}

static void admit(uint64_t ordinal, int64_t tokens)
{
    mr_request request = support_request(ordinal, tokens);

    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
}

static void refuse(uint64_t ordinal)
{
    mr_request request = support_request(ordinal, 1);

    ck_assert_int_eq(mr_intake_refuse(intake, &request), 0);
}

static void open_busy(void)
{
    domain = support_domain(8);
    intake = support_intake(domain, &tokenizer);
    worker = support_worker(domain, 2);
    refuse(1);
    refused = slot_in(MR_STATE_DONE, NULL);
    admit(2, 1);
    admit(3, 8);
    admit(4, 8);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 2);
    mr_text_update(mr_context_text(batch[0]), 5, NULL);
    mr_worker_hand_on(worker, batch[0]);
    done = slot_in(MR_STATE_DONE, refused);
    leased = slot_in(MR_STATE_LEASED, NULL);
    ready = slot_in(MR_STATE_READY, NULL);
    idle = slot_in(MR_STATE_FREE, NULL);
    atomic_store(&idle->state, mr_state_pack((mr_state_parts){.generation = 1}));
    is_clean();
}

static void close_busy(void)
{
    mr_worker_leave(worker);
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
    support_close(domain);
}

static void set_state(mr_slot *slot, uint32_t state, uint32_t stage, uint32_t owner)
{
    mr_state_parts parts = mr_state_unpack(mr_slot_load(slot));

    parts.state = state;
    parts.stage = stage;
    parts.owner = owner;
    atomic_store(&slot->state, mr_state_pack(parts));
}

static void set_cursor(mr_slot *slot, enum mr_cursor cursor, int64_t value)
{
    atomic_store(&slot->cursors[atomic_load(&slot->sequence) & 1][cursor], (uint64_t)value);
}

/* ---- the header, the marks, the places ---- */

START_TEST(a_header_that_was_overwritten_is_found)
{
    mr_header *h = domain->header;

    h->slots_offset += 64;
    is_found("header", "its parts don't lie where");
    h->slots_offset -= 64;
    h->layout ^= 1;
    is_found("header", "the words that tell its version");
    h->layout ^= 1;
    h->stages = 9;
    is_found("header", "stages '9'");
    h->stages = 1;
    h->name[2] = '/';
    is_found("header", "the domain's name");
    h->name[2] = 's';
    memset(h->stage_names[0], 'x', sizeof(h->stage_names[0]));
    is_found("header", "the name of stage 0");
    strcpy(h->stage_names[0], "generate");
    h->note[MR_NOTE_MAX] = 1;
    is_found("header", "the note has no end");
    h->note[MR_NOTE_MAX] = 0;
    is_clean();
}
END_TEST

START_TEST(a_word_of_the_header_that_cannot_be_is_found)
{
    mr_header *h = domain->header;

    atomic_store(&h->phase, 7);
    is_found("header", "phase 7 is unknown");
    atomic_store(&h->phase, 0);
    atomic_store(&h->emitting, 100);
    is_found("header", "slot 99, of 8, is being emitted");
    atomic_store(&h->emitting, 0);
    atomic_store(&h->intake_deaths, 2);
    is_found("header", "2 tokenizers died at no record");
    atomic_store(&h->intake_deaths, 0);
    atomic_store(&h->emission_deaths, 2);
    is_found("header", "2 collectors died at no request");
}
END_TEST

START_TEST(a_place_that_cannot_be_is_found)
{
    mr_place_record *place = &domain->members[1]; /* the worker's */
    uint32_t role = place->role;

    atomic_store(&place->place, 5);
    is_found("place 1", "neither free nor taken");
    atomic_store(&place->place, MR_PLACE_TAKEN);
    place->role = 9;
    is_found("place 1", "role 9");
    place->role = MR_ROLE_TOKENIZER;
    is_found("place 1", "a second tokenizer");
    place->role = role;
    place->pid = -1;
    is_found("place 1", "process -1");
    place->pid = getpid();
    memset(place->name, 'x', sizeof(place->name));
    is_found("place 1", "its name has no end");
    place->name[0] = 0;
    place->stage = 3;
    is_found("place 1", "stage 3");
    place->stage = 0;
    atomic_store(&place->held, 99);
    is_found("place 1", "holds 99 contexts");
    atomic_store(&place->held, 1);
    atomic_store(&place->alone, 31);
    is_found("place 1", "alone on slot 30");
}
END_TEST

START_TEST(marks_that_cannot_be_are_found)
{
    mr_header *h = domain->header;
    mr_word *mark = h->mark[atomic_load(&h->mark_sequence) & 1];
    mr_word *journal = h->journal[atomic_load(&h->journal_sequence) & 1];

    atomic_store(&mark[MR_MARK_ORDINAL], 2); /* two records are ahead */
    is_found("intake mark", "it stands at record 2");
    atomic_store(&mark[MR_MARK_ORDINAL], 3);
    is_clean(); /* the tokenizer may have died before it moved the mark */
    atomic_store(&mark[MR_MARK_FINISHED], 6);
    is_found("intake mark", "neither there nor not");
    atomic_store(&mark[MR_MARK_FINISHED], 0);
    domain->ids[5].ordinal = 1000;
    is_found("custom ids", "of record 1000");
    domain->ids[5].ordinal = 0;
    atomic_store(&journal[MR_JOURNAL_LENGTH], UINT64_MAX);
    is_found("journal", "an output of -1 bytes");
    atomic_store(&journal[MR_JOURNAL_LENGTH], 0);
    atomic_store(&journal[MR_JOURNAL_COUNT], 5000);
    is_found("journal", "5000 parts");
    atomic_store(&journal[MR_JOURNAL_COUNT], 1);
    atomic_store(&journal[MR_JOURNAL_PARTS], 77);
    is_found("journal", "part 0 is of slot 77");
}
END_TEST

/* ---- slots ---- */

START_TEST(a_state_word_that_cannot_be_is_found)
{
    uint32_t owner = mr_state_unpack(mr_slot_load(leased)).owner;
    mr_state_parts parts;

    set_state(ready, 11, 0, 0);
    is_found_in(ready, "state 11 is unknown");
    set_state(ready, MR_STATE_READY, 0, 5);
    is_found_in(ready, "a kind of worker that didn't begin it");
    set_state(ready, MR_STATE_READY, 4, 0);
    is_found_in(ready, "stage 4 is not in [0, 1)");
    set_state(ready, MR_STATE_READY, 0, 0);
    parts = mr_state_unpack(mr_slot_load(ready));
    parts.attempts = 3;
    atomic_store(&ready->state, mr_state_pack(parts));
    is_found_in(ready, "3 workers died with it");
    parts.attempts = 0;
    atomic_store(&ready->state, mr_state_pack(parts));
    set_state(leased, MR_STATE_LEASED, 0, 99);
    is_found_in(leased, "leased to place 99");
    set_state(leased, MR_STATE_LEASED, 0, 7);
    is_found_in(leased, "leased to place 7, which is free");
    set_state(leased, MR_STATE_LEASED, 0, 0);
    is_found_in(leased, "which is no worker's");
    set_state(leased, MR_STATE_LEASED, 0, owner);
    set_state(leased, MR_STATE_DONE, 0, 0);
    is_found_in(leased, "before its end");
    set_state(leased, MR_STATE_FREE, 0, 0);
    is_found_in(leased, "record 3 in it was never answered");
}
END_TEST

START_TEST(a_request_that_was_overwritten_is_found)
{
    const mr_range id = ready->params.request_id;

    ready->params.request_id.offset = 8;
    is_found_in(ready, "array 5 lies outside of its range");
    ready->params.request_id = id;
    ready->arena.offset += 1 << 30;
    is_found_in(ready, "outside of the arena");
    ready->arena.offset -= 1 << 30;
    ready->params.kind = 60;
    is_found_in(ready, "kind 60");
    ready->params.kind = MR_KIND_TEXT;
    ready->params.sampling.seed++;
    is_found_in(ready, "its request was overwritten");
    ready->params.sampling.seed--;
    atomic_store(&ready->choice, UINT64_C(2) << 32);
    is_found_in(ready, "its request was overwritten");
    atomic_store(&ready->choice, UINT64_C(1) << 32);
    is_clean();
    atomic_store(&ready->ordinal, 2);
    is_found_in(ready, "its request was overwritten");
}
END_TEST

START_TEST(cursors_and_marks_that_cannot_be_are_found)
{
    mr_word *glance;

    set_cursor(leased, MR_CURSOR_END, 70);
    is_found_in(leased, "end of the active tokens");
    set_cursor(leased, MR_CURSOR_END, 3);
    set_cursor(leased, MR_CURSOR_LAST, 77);
    is_found_in(leased, "its cursors were overwritten");
    set_cursor(leased, MR_CURSOR_LAST, 13);
    glance = &leased->glance[atomic_load(&leased->sequence) & 1][MR_GLANCE_LENGTH];
    atomic_store(glance, 4);
    is_found_in(leased, "what the collector sees (4 tokens)");
    atomic_store(glance, 3);
    mr_marks_store(leased, 5, 9);
    is_found_in(leased, "5 tokens were emitted, but 0 were generated");
    mr_marks_store(leased, 0, 0);
    atomic_store(&leased->emitted_bytes, 1);
    is_found_in(leased, "what was emitted of it was overwritten");
    atomic_store(&leased->emitted_bytes, 0);
    atomic_store(&leased->emitted_final, MR_FINAL);
    is_found_in(leased, "answered already");
    atomic_store(&leased->emitted_final, 1 << 5); /* a bit alone says nothing */
    is_clean();
}
END_TEST

START_TEST(slots_that_share_something_are_found)
{
    uint64_t ordinal = ready->ordinal;

    /* of the same length as its own, so that its parts are where it ends */
    ready->arena.bytes += 64;
    done->arena.bytes += 64;
    leased->arena.bytes += 64;
    refused->arena.bytes += 64;
    check();
    ck_assert_msg(strstr(found, "its range overlaps that of slot"), "%s", found);
    ready->arena.bytes -= 64;
    done->arena.bytes -= 64;
    leased->arena.bytes -= 64;
    refused->arena.bytes -= 64;
    atomic_store(&ready->ordinal, leased->ordinal);
    check();
    ck_assert_msg(strstr(found, "it holds record 3, choice 0, as slot"), "%s", found);
    atomic_store(&ready->ordinal, ordinal);
    is_clean();
}
END_TEST

/* ---- queues ---- */

START_TEST(a_ring_that_was_overwritten_is_found)
{
    mr_queue *queue = &domain->queues[0];
    mr_word *entry = &domain->entries[0].at[0];
    uint64_t before = atomic_load(entry);

    queue->ring.mask ^= 8;
    is_found("queue 'generate'", "where its ring lies");
    queue->ring.mask ^= 8;
    atomic_store(&queue->ring.tail, 1 << 20);
    is_found("queue 'generate'", "don't fit");
    atomic_store(&queue->ring.tail, 0);
    atomic_store(entry, before ^ UINT64_C(1) << 60);
    is_found("queue 'generate'", "don't fit");
    atomic_store(entry, (before & ~UINT64_C(0xffffff)) | 1 << 23 | 700);
    is_found("queue 'generate'", "hint to slot 700, of 8");
    atomic_store(entry, before);
    entry = &domain->entries[MR_QUEUE_FREE].at[3];
    atomic_store(entry, UINT64_C(9) << 24);
    is_found("queue 'free'", "don't fit");
}
END_TEST

START_TEST(a_bell_that_was_overwritten_is_found)
{
    mr_doorbell *bell = &domain->queues[MR_QUEUE_COLLECTOR].doorbell;

    atomic_store(&bell->sleepers, 1 << 9);
    is_found("queue 'collector'", "place 9 sleeps at it, and is free");
    atomic_store(&bell->sleepers, 1 << 1);
    is_clean();
    for (int i = 0; i < 65; i++)
        sem_post(&bell->semaphore);
    is_found("queue 'collector'", "rung 65 times");
}
END_TEST

/* ---- a domain at rest ---- */

static void empty_ring(uint32_t number)
{
    uint32_t value;

    while (!mr_ring_pop(&domain->queues[number].ring, domain->entries[number], &value))
        ;
    atomic_store(&domain->queues[number].ring.rescan, 0);
}

START_TEST(ways_of_requests_that_cannot_be_are_found)
{
    mr_finished *kept = &domain->finished[1];
    const uint64_t begun = atomic_load(&leased->first_lease.begun);

    atomic_store(&leased->first_lease.begun, begun ^ UINT64_C(1) << 60); /* another request's */
    is_found_in(leased, "what it tells of lease 1");
    atomic_store(&leased->first_lease.begun, begun ^ UINT64_C(1) << 53); /* no beginning */
    is_found_in(leased, "what it tells of lease 1");
    atomic_store(&leased->first_lease.begun, begun);
    atomic_store(&kept->number, 2); /* but none has ended */
    is_found("ended requests", "place 1 has request 2 of 0");
    atomic_store(&domain->header->finished, 2);
    is_clean();
    atomic_store(&kept->number, 1);
    is_found("ended requests", "place 1 has request 1 of 2");
}
END_TEST

START_TEST(what_waits_for_nobody_is_found_once_nobody_is_there)
{
    mr_worker_leave(worker);
    for (int place = 0; place < 3; place++)
        support_die(domain, place);
    is_clean();
    for (uint32_t i = 0; i < MR_QUEUES; i++)
        atomic_store(&domain->queues[i].ring.rescan, 0);
    is_clean(); /* all were hinted by the sweep */
    empty_ring(0);
    is_found_in(ready < leased ? ready : leased, "it waits for queue 'generate'");
    atomic_store(&domain->queues[0].ring.rescan, 1);
    is_clean();
    empty_ring(MR_QUEUE_COLLECTOR);
    is_found_in(refused < done ? refused : done, "it waits for queue 'collector'");
    atomic_store(&domain->queues[MR_QUEUE_COLLECTOR].ring.rescan, 1);
    empty_ring(MR_QUEUE_FREE);
    is_found_in(idle, "it waits for queue 'free'");
    atomic_store(&domain->queues[MR_QUEUE_FREE].ring.rescan, 1);
    atomic_store(&domain->header->intaking, 4);
    is_found("header", "record 4 is being taken in, but by nobody");
    atomic_store(&domain->header->intaking, 0);
    atomic_store(&domain->header->emitting, 4);
    is_found("header", "slot 3 is being emitted, but by nobody");
    worker = support_worker(domain, 2);
}
END_TEST

START_TEST(what_is_in_use_is_counted)
{
    mr_census census = {.size = sizeof(census)};

    ck_assert_int_eq(mr_domain_check(domain, NULL, NULL, &census), 0);
    ck_assert_uint_eq(census.slots, 8);
    ck_assert_uint_eq(census.free, 4);
    ck_assert_uint_eq(census.ready, 1);
    ck_assert_uint_eq(census.leased, 1);
    ck_assert_uint_eq(census.done, 2);
    ck_assert_uint_eq(census.filling, 0);
    ck_assert_uint_eq(census.members, 2);
    ck_assert_uint_gt(census.arena_bytes, 4 * 64);
    ck_assert_uint_eq(census.arena_size, domain->arena_bytes);
}
END_TEST

/* ---- mapped read-only, living or dead ---- */

START_TEST(a_domain_is_inspected_without_being_touched)
{
    mr_domain *seen, *gone = domain;
    char name[40];

    snprintf(name, sizeof(name), "%s", support_name(domain));
    ck_assert_int_eq(mr_domain_inspect(&seen, name), 0);
    domain = seen;
    is_clean();
    domain = gone;
    atomic_store(&ready->state, mr_slot_load(ready) | UINT64_C(15) << 28);
    domain = seen;
    is_found_in(&seen->slots[ready - gone->slots], "state 15");
    domain = gone;
    mr_domain_close(seen);
    ck_assert_int_eq(mr_domain_inspect(&seen, "no-such-domain"), -ENOENT);
    ck_assert_int_eq(mr_domain_inspect(&seen, "../x"), -EINVAL);
    domain->header->members_offset = UINT64_MAX;
    ck_assert_int_eq(mr_domain_inspect(&seen, name), -EBADMSG);
}
END_TEST

START_TEST(a_dead_domain_is_inspected)
{
    mr_domain *seen;
    char name[40];
    pid_t pid;

    snprintf(name, sizeof(name), "test-%d-dead", (int)getpid());
    pid = fork();
    if (!pid) {
        mr_domain_options options = {.size = sizeof(options),
                                     .slots = 8,
                                     .arena_bytes = 1 << 16,
                                     .max_length = 64,
                                     .named = 1};

        mr_domain_create(&domain, name, &options);
        support_worker(domain, 1);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(mr_domain_open(&seen, name), -ESTALE);
    ck_assert_int_eq(mr_domain_inspect(&seen, name), 0);
    domain = seen;
    is_clean();
    ck_assert_int_eq(mr_domain_discard(name), 0); /* nobody is kept from it */
    is_clean();
    mr_domain_close(seen);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *busy = tcase_create("busy"), *alone = tcase_create("alone");

    tcase_add_checked_fixture(busy, open_busy, close_busy);
    tcase_add_test(busy, a_header_that_was_overwritten_is_found);
    tcase_add_test(busy, a_word_of_the_header_that_cannot_be_is_found);
    tcase_add_test(busy, a_place_that_cannot_be_is_found);
    tcase_add_test(busy, marks_that_cannot_be_are_found);
    tcase_add_test(busy, a_state_word_that_cannot_be_is_found);
    tcase_add_test(busy, a_request_that_was_overwritten_is_found);
    tcase_add_test(busy, cursors_and_marks_that_cannot_be_are_found);
    tcase_add_test(busy, slots_that_share_something_are_found);
    tcase_add_test(busy, a_ring_that_was_overwritten_is_found);
    tcase_add_test(busy, a_bell_that_was_overwritten_is_found);
    tcase_add_test(busy, ways_of_requests_that_cannot_be_are_found);
    tcase_add_test(busy, what_waits_for_nobody_is_found_once_nobody_is_there);
    tcase_add_test(busy, what_is_in_use_is_counted);
    tcase_add_test(busy, a_domain_is_inspected_without_being_touched);
    tcase_add_test(alone, a_dead_domain_is_inspected);
    suite_add_tcase(suite, busy);
    suite_add_tcase(suite, alone);
    return support_run(suite);
}
