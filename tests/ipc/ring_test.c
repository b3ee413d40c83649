/*
 * ring_test.c - the one-CAS ring and the doorbell
 */
#include "ipc/queue.h"
#include "ipc/ring.h"
#include "tests/ipc/support.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES = 16 };

static mr_ring ring;
static mr_word words[ENTRIES];
static const mr_entries entries = {words, ENTRIES - 1};

static void empty_ring(void)
{
    memset(words, 0, sizeof(words));
    mr_ring_init(&ring, 0, ENTRIES);
}

/* As if the ring had gone round `cycle` times. */
static void ring_at_cycle(uint64_t cycle)
{
    empty_ring();
    for (int i = 0; i < ENTRIES; i++)
        atomic_store(&words[i], cycle << 24);
    atomic_store(&ring.head, cycle * ENTRIES);
    atomic_store(&ring.tail, cycle * ENTRIES);
}

START_TEST(values_come_out_in_the_order_they_went_in)
{
    uint32_t value;

    empty_ring();
    for (uint32_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(mr_ring_push(&ring, entries, i), 0);
        ck_assert_int_eq(mr_ring_push(&ring, entries, i + 7), 0);
        ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), 0);
        ck_assert_uint_eq(value, i);
        ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), 0);
        ck_assert_uint_eq(value, i + 7);
        ck_assert_int_eq(mr_ring_check(&ring, entries), 0);
    }
}
END_TEST

START_TEST(full_and_empty_are_exact)
{
    uint32_t value;

    empty_ring();
    ck_assert(mr_ring_empty(&ring, entries));
    ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), -EAGAIN);
    for (uint32_t i = 0; i < ENTRIES; i++)
        ck_assert_int_eq(mr_ring_push(&ring, entries, i), 0);
    ck_assert_int_eq(mr_ring_push(&ring, entries, 99), -ENOBUFS);
    ck_assert(!mr_ring_empty(&ring, entries));
    ck_assert_int_eq(mr_ring_check(&ring, entries), 0);
    ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), 0);
    ck_assert_int_eq(mr_ring_push(&ring, entries, 99), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), 0);
    ck_assert_uint_eq(value, 99);
    ck_assert(mr_ring_empty(&ring, entries));
}
END_TEST

START_TEST(cycles_wrap)
{
    uint32_t value;

    ring_at_cycle((UINT64_C(1) << 40) - 1);
    for (uint32_t i = 0; i < 5 * ENTRIES; i++) {
        ck_assert_int_eq(mr_ring_push(&ring, entries, i), 0);
        ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), 0);
        ck_assert_uint_eq(value, i);
    }
}
END_TEST

START_TEST(indexes_left_behind_by_the_dead_are_walked_over)
{
    uint32_t value;

    empty_ring();
    for (uint32_t i = 0; i < 11; i++) {
        mr_ring_push(&ring, entries, i);
        if (i < 9)
            mr_ring_pop(&ring, entries, &value);
    }
    atomic_store(&ring.head, 0); /* nobody moved them after the CAS */
    atomic_store(&ring.tail, 0);
    ck_assert_int_eq(mr_ring_push(&ring, entries, 50), 0);
    ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), 0);
    ck_assert_uint_eq(value, 9);
    ck_assert(!mr_ring_empty(&ring, entries));
    ck_assert_int_eq(mr_ring_check(&ring, entries), 0);
}
END_TEST

START_TEST(a_spoiled_ring_is_noticed_and_harmless)
{
    uint32_t value;

    empty_ring();
    mr_ring_push(&ring, entries, 1);
    atomic_store(&ring.tail, 40);
    ck_assert_int_eq(mr_ring_check(&ring, entries), -EBADMSG);
    atomic_store(&ring.head, 1 << 20);
    ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), -EAGAIN);
    ck_assert(mr_ring_empty(&ring, entries));
    empty_ring();
    atomic_store(&words[3], UINT64_C(5) << 24);
    ck_assert_int_eq(mr_ring_check(&ring, entries), -EBADMSG);
}
END_TEST

START_TEST(cycles_that_were_spoiled_send_nobody_round_for_ever)
{
    uint32_t value;

    empty_ring();
    for (int i = 0; i < ENTRIES; i++) /* all of them far ahead */
        atomic_store(&words[i], UINT64_C(1) << 62);
    ck_assert_int_eq(mr_ring_check(&ring, entries), -EBADMSG);
    ck_assert_int_eq(mr_ring_push(&ring, entries, 1), -ENOBUFS);
    ck_assert_int_eq(mr_ring_pop(&ring, entries, &value), -EAGAIN);
    ck_assert(mr_ring_empty(&ring, entries));
}
END_TEST

/* ---- many threads ---- */

enum { THREADS = 4, VALUES = 20000 };

static _Atomic uint32_t taken[THREADS * VALUES];
static _Atomic uint32_t left;

static void *pusher(void *first)
{
    for (uint32_t i = 0; i < VALUES; i++)
        while (mr_ring_push(&ring, entries, (uint32_t)(uintptr_t)first + i))
            sched_yield();
    return NULL;
}

static void *popper(void *nothing)
{
    uint32_t value;

    (void)nothing;
    while (atomic_load(&left) > 0)
        if (!mr_ring_pop(&ring, entries, &value)) {
            atomic_fetch_add(&taken[value], 1);
            atomic_fetch_sub(&left, 1);
        } else {
            sched_yield();
        }
    return NULL;
}

START_TEST(each_value_is_taken_once_by_many)
{
    pthread_t pushers[THREADS], poppers[THREADS];

    empty_ring();
    atomic_store(&left, THREADS * VALUES);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&pushers[i], NULL, pusher, (void *)(i * VALUES));
        pthread_create(&poppers[i], NULL, popper, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(pushers[i], NULL);
        pthread_join(poppers[i], NULL);
    }
    for (uint32_t i = 0; i < THREADS * VALUES; i++)
        ck_assert_uint_eq(atomic_load(&taken[i]), 1);
    ck_assert_int_eq(mr_ring_check(&ring, entries), 0);
}
END_TEST

/* ---- the doorbell ---- */

START_TEST(a_full_queue_raises_rescan)
{
    mr_domain *domain = support_domain(4);
    uint32_t index, hint, popped = 0;

    for (uint32_t i = 0; i < 100; i++)
        mr_queue_push(domain, 0, i % 4, 0);
    ck_assert(mr_queue_rescan_begin(domain, 0));
    ck_assert(!mr_queue_rescan_begin(domain, 0));
    while (!mr_queue_pop(domain, 0, &index, &hint))
        popped++;
    ck_assert_uint_eq(popped, 16);
    support_close(domain);
}
END_TEST

START_TEST(hints_of_slots_that_are_not_there_are_dropped)
{
    mr_domain *domain = support_domain(4);
    uint32_t index, hint;

    mr_queue_push(domain, 0, 4, 0);
    mr_queue_push(domain, 0, 3, 0);
    ck_assert_int_eq(mr_queue_pop(domain, 0, &index, &hint), 0);
    ck_assert_uint_eq(index, 3);
    support_close(domain);
}
END_TEST

static void *sleeper(void *domain)
{
    uint32_t index, hint;

    while (mr_queue_pop(domain, 0, &index, &hint))
        mr_queue_sleep(domain, 0, 5, -1);
    return NULL;
}

START_TEST(a_push_wakes_a_sleeper)
{
    mr_domain *domain = support_domain(4);
    const mr_doorbell *bell = &domain->queues[0].doorbell;
    pthread_t thread;

    pthread_create(&thread, NULL, sleeper, domain);
    while (!atomic_load(&bell->sleepers))
        usleep(100);
    usleep(2000);
    mr_queue_push(domain, 0, 1, 0);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(atomic_load(&bell->sleepers), 0);
    support_close(domain);
}
END_TEST

START_TEST(nobody_sleeps_beside_a_hint_or_a_rescan)
{
    mr_domain *domain = support_domain(4);
    uint32_t index, hint;

    mr_queue_push(domain, 0, 1, 0);
    mr_queue_sleep(domain, 0, 0, -1); /* returns at once */
    mr_queue_pop(domain, 0, &index, &hint);
    mr_queue_rescan_raise(domain, 0);
    mr_queue_sleep(domain, 0, 0, -1);
    ck_assert(mr_queue_spin(domain, 0));
    mr_queue_rescan_begin(domain, 0);
    ck_assert(!mr_queue_spin(domain, 0));
    support_close(domain);
}
END_TEST

START_TEST(an_armed_descriptor_becomes_readable)
{
    mr_domain *domain = support_domain(4);
    struct pollfd look = {.fd = domain->eventfds[0], .events = POLLIN};
    uint32_t index, hint;

    mr_queue_push(domain, 0, 1, 0); /* nobody watches: no system call */
    ck_assert_int_eq(poll(&look, 1, 0), 0);
    ck_assert(mr_queue_watch(domain, 0, 2));
    mr_queue_pop(domain, 0, &index, &hint);
    ck_assert(!mr_queue_watch(domain, 0, 2));
    mr_queue_push(domain, 0, 2, 0);
    ck_assert_int_eq(poll(&look, 1, 0), 1);
    mr_queue_unwatch(domain, 0, 2);
    ck_assert_int_eq(poll(&look, 1, 0), 0);
    support_close(domain);
}
END_TEST

/* A sleeper that was woken and killed before it took its post leaves a post that wakes nobody: the
 * sweep's ringing posts for each that is left all the same. */
START_TEST(ringing_after_a_death_trusts_no_post_that_is_there)
{
    mr_domain *domain = support_domain(4);
    mr_doorbell *bell = &domain->queues[0].doorbell;
    int posts;

    atomic_store(&bell->sleepers, 6);
    mr_queue_push(domain, 0, 1, 0);
    mr_queue_push(domain, 0, 1, 0);
    mr_queue_ring_all(domain, 0);
    sem_getvalue(&bell->semaphore, &posts);
    ck_assert_int_eq(posts, 4);
    support_close(domain);
}
END_TEST

START_TEST(who_empties_the_descriptor_leaves_it_readable_for_other_watchers)
{
    mr_domain *domain = support_domain(4);
    struct pollfd look = {.fd = domain->eventfds[0], .events = POLLIN};

    ck_assert(!mr_queue_watch(domain, 0, 2));
    ck_assert(!mr_queue_watch(domain, 0, 3));
    mr_queue_push(domain, 0, 1, 0);
    mr_queue_push(domain, 0, 2, 0);
    mr_queue_unwatch(domain, 0, 2); /* it takes one of them, perhaps */
    ck_assert_int_eq(poll(&look, 1, 0), 1);
    mr_queue_unwatch(domain, 0, 3);
    ck_assert_int_eq(poll(&look, 1, 0), 0);
    mr_queue_unwatch(domain, 0, 3); /* not watching: nothing to do */
    support_close(domain);
}
END_TEST

/* A process gone mad writes over what the ring says of itself. */
START_TEST(the_words_that_tell_where_the_entries_lie_are_read_once)
{
    mr_domain *domain = support_domain(4);
    uint32_t index, hint;

    domain->queues[0].ring.mask = UINT64_MAX;
    domain->queues[0].ring.entries = UINT64_MAX / 2;
    mr_queue_push(domain, 0, 3, 0);
    ck_assert_int_eq(mr_queue_pop(domain, 0, &index, &hint), 0);
    ck_assert_uint_eq(index, 3);
    support_close(domain);
}
END_TEST

START_TEST(posts_do_not_pile_up)
{
    mr_domain *domain = support_domain(4);
    mr_doorbell *bell = &domain->queues[0].doorbell;
    int posts;

    atomic_store(&bell->sleepers, 6); /* two that are slow to wake */
    for (uint32_t i = 0; i < 10; i++)
        mr_queue_push(domain, 0, 1, 0);
    sem_getvalue(&bell->semaphore, &posts);
    ck_assert_int_eq(posts, 2);
    mr_queue_forget(domain, 0, 1);
    mr_queue_forget(domain, 0, 2);
    ck_assert_uint_eq(atomic_load(&bell->sleepers), 0);
    support_close(domain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *rings = tcase_create("ring"), *bells = tcase_create("doorbell");

    tcase_set_timeout(rings, 60);
    tcase_add_test(rings, values_come_out_in_the_order_they_went_in);
    tcase_add_test(rings, full_and_empty_are_exact);
    tcase_add_test(rings, cycles_wrap);
    tcase_add_test(rings, indexes_left_behind_by_the_dead_are_walked_over);
    tcase_add_test(rings, a_spoiled_ring_is_noticed_and_harmless);
    tcase_add_test(rings, cycles_that_were_spoiled_send_nobody_round_for_ever);
    tcase_add_test(rings, each_value_is_taken_once_by_many);
    tcase_add_test(bells, a_full_queue_raises_rescan);
    tcase_add_test(bells, hints_of_slots_that_are_not_there_are_dropped);
    tcase_add_test(bells, a_push_wakes_a_sleeper);
    tcase_add_test(bells, nobody_sleeps_beside_a_hint_or_a_rescan);
    tcase_add_test(bells, an_armed_descriptor_becomes_readable);
    tcase_add_test(bells, ringing_after_a_death_trusts_no_post_that_is_there);
    tcase_add_test(bells, who_empties_the_descriptor_leaves_it_readable_for_other_watchers);
    tcase_add_test(bells, the_words_that_tell_where_the_entries_lie_are_read_once);
    tcase_add_test(bells, posts_do_not_pile_up);
    suite_add_tcase(suite, rings);
    suite_add_tcase(suite, bells);
    return support_run(suite);
}
