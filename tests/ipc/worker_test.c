/*
 * worker_test.c - claiming, room, suspects, letting go; and what the sweep gives back
 */
#include "tests/ipc/support.h"
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static mr_domain *domain;
static mr_member *tokenizer;
static mr_intake *intake;
static uint64_t next_ordinal;

static void begin(mr_domain *made)
{
    domain = made;
    intake = support_intake(domain, &tokenizer);
    next_ordinal = 1;
}

static void setup(void)
{
    begin(support_domain(8));
}

static void teardown(void)
{
    mr_intake_close(intake);
    mr_member_leave(tokenizer);
    support_close(domain);
}

static void admit(int64_t new_tokens)
{
    mr_request request = support_request(next_ordinal++, new_tokens);

    ck_assert_msg(!mr_intake_admit(intake, &request), "%s", mr_error());
}

static uint32_t in_state(enum mr_state state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < domain->slot_count; i++)
        count += support_state(domain, i) == state;
    return count;
}

static void finish(mr_worker *worker, mr_context *context)
{
    mr_text *text = mr_context_text(context);

    while (!mr_text_is_done(text))
        ck_assert_int_eq(mr_text_update(text, 7, NULL), 0);
    ck_assert_int_eq(mr_worker_hand_on(worker, context), 0);
}

START_TEST(a_worker_claims_up_to_its_capacity)
{
    mr_worker *worker = support_worker(domain, 3);
    mr_context *batch[3];

    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    for (int i = 0; i < 5; i++)
        admit(4);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 3);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 3); /* the same ones */
    ck_assert_uint_eq(in_state(MR_STATE_LEASED), 3);
    finish(worker, batch[1]);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 3);
    mr_worker_leave(worker);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 4);
}
END_TEST

START_TEST(a_context_says_what_was_asked)
{
    mr_worker *worker = support_worker(domain, 1);
    const mr_logit_bias bias[] = {{5, 1.5f}, {6, -2.0f}};
    mr_request request = support_request(1, 4);
    mr_context *batch[1];
    size_t count;

    request.logit_bias = bias;
    request.logit_bias_count = 2;
    request.deadline = 99;
    request.priority = -3;
    ck_assert_int_eq(mr_intake_admit(intake, &request), 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, MR_WAIT), 1);
    ck_assert_int_eq(mr_context_kind(batch[0]), MR_KIND_TEXT);
    ck_assert_int_eq((int)mr_context_request_id(batch[0]).length, 2);
    ck_assert(!memcmp(mr_context_model_name(batch[0]).bytes, "model", 5));
    ck_assert_float_eq(mr_context_logit_bias(batch[0], &count)[1].bias, -2.0f);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(mr_context_deadline(batch[0]), 99);
    ck_assert_int_eq(mr_context_priority(batch[0]), -3);
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_NONE);
    ck_assert(!mr_context_suspect(batch[0]));
    mr_worker_leave(worker);
}
END_TEST

START_TEST(what_does_not_fit_beside_the_held_is_left_to_others)
{
    mr_worker_options options = {.size = sizeof(options),
                                 .capacity = 8,
                                 .fingerprint = "test",
                                 .token_capacity = 128,
                                 .token_page = 16};
    mr_worker *small, *other = support_worker(domain, 8);
    mr_context *batch[8];

    ck_assert_int_eq(mr_worker_join(&small, domain, &options), 0);
    admit(60); /* 63 tokens: 64 with pages of 16 */
    admit(60);
    admit(60);
    ck_assert_int_eq(mr_worker_batch(small, batch, 0), 2);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 1);
    ck_assert_int_eq(mr_worker_batch(other, &batch[2], 0), 1);
    admit(60);
    finish(small, batch[0]);
    ck_assert_int_eq(mr_worker_batch(small, batch, 0), 2); /* there is room again */
    mr_worker_leave(small);
    mr_worker_leave(other);
}
END_TEST

/* There is always a small one that would fit into the room left. */
START_TEST(a_large_context_is_not_kept_out_by_small_ones)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = 8, .fingerprint = "test", .token_capacity = 128};
    mr_context *batch[8];
    mr_worker *worker;
    int rounds = 0;
    bool taken = false;

    ck_assert_int_eq(mr_worker_join(&worker, domain, &options), 0);
    admit(37); /* 40 tokens each */
    admit(37);
    admit(117); /* 120 */
    while (!taken) {
        int n = mr_worker_batch(worker, batch, 0);

        ck_assert_int_lt(rounds++, 20);
        ck_assert_int_gt(n, 0);
        taken = mr_text_max_length(mr_context_text(batch[n - 1])) == 120;
        finish(worker, batch[0]);
        admit(37);
        if (in_state(MR_STATE_DONE) == 3)
            break; /* slots are for ever taken by what nobody emits */
    }
    ck_assert(taken);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(what_another_took_is_not_waited_for)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = 8, .fingerprint = "test", .token_capacity = 128};
    mr_worker *worker, *other = support_worker(domain, 1);
    mr_context *batch[8], *large[1];

    ck_assert_int_eq(mr_worker_join(&worker, domain, &options), 0);
    admit(37);
    admit(117);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_int_eq(mr_worker_batch(other, large, 0), 1);
    admit(37);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 2);
    mr_worker_leave(worker);
    mr_worker_leave(other);
}
END_TEST

START_TEST(a_worker_without_room_for_the_longest_is_refused)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = 1, .fingerprint = "test", .token_capacity = 127};
    mr_worker *worker;

    ck_assert_int_eq(mr_worker_join(&worker, domain, &options), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "--max-len"));
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    mr_worker_options good = {.size = sizeof(good), .capacity = 1, .fingerprint = "test"}, bad;
    mr_worker *worker;

    bad = good, bad.size = 4;
    ck_assert_int_eq(mr_worker_join(&worker, domain, &bad), -EINVAL);
    bad = good, bad.fingerprint = NULL;
    ck_assert_int_eq(mr_worker_join(&worker, domain, &bad), -EINVAL);
    bad = good, bad.fingerprint = "";
    ck_assert_int_eq(mr_worker_join(&worker, domain, &bad), -EINVAL);
    bad = good, bad.capacity = 0;
    ck_assert_int_eq(mr_worker_join(&worker, domain, &bad), -EINVAL);
    bad = good, bad.capacity = MR_MAX_SLOTS + 1;
    ck_assert_int_eq(mr_worker_join(&worker, domain, &bad), -EINVAL);
    ck_assert_int_eq(mr_worker_join(&worker, domain, NULL), -EINVAL);
    ck_assert_int_eq(mr_worker_attach(&worker, "no/name", &good), -EINVAL);
    bad = good, bad.stage = "decode";
    ck_assert_int_eq(mr_worker_join(&worker, domain, &bad), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "'decode'"));
    ck_assert_int_eq(mr_worker_attach(&worker, "no-such-domain", &good), -ENOENT);
}
END_TEST

START_TEST(an_unfinished_context_is_not_handed_on)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];

    admit(4);
    mr_worker_batch(worker, batch, 0);
    ck_assert_int_eq(mr_worker_hand_on(worker, batch[0]), -EINVAL);
    ck_assert_int_eq(mr_text_update_with_future_token(mr_context_text(batch[0])), 0);
    ck_assert_int_eq(mr_worker_hand_on(worker, batch[0]), -EINVAL);
    ck_assert_ptr_nonnull(strstr(mr_error(), "placeholder"));
    ck_assert_int_eq(mr_text_realize_future_token(mr_context_text(batch[0]), 5, NULL), 0);
    ck_assert_int_eq(mr_supervisor_cancel(domain, mr_context_handle(batch[0]), MR_CANCEL_CLIENT),
                     0);
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_CLIENT);
    ck_assert_int_eq(mr_worker_hand_on(worker, batch[0]), 0);
    ck_assert_int_eq(mr_worker_hand_on(worker, batch[0]), -EINVAL); /* not ours any more */
    mr_worker_leave(worker);
}
END_TEST

START_TEST(what_is_not_held_is_not_let_go_of)
{
    mr_worker *worker = support_worker(domain, 2), *other = support_worker(domain, 1);
    mr_context *batch[2], *theirs[1];

    admit(4);
    admit(4);
    admit(4);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 2);
    ck_assert_int_eq(mr_worker_batch(other, theirs, 0), 1);
    ck_assert_int_eq(mr_worker_hand_on(worker, NULL), -EINVAL);
    ck_assert_int_eq(mr_worker_put_back(worker, theirs[0]), -EINVAL);
    ck_assert_int_eq(mr_worker_fail(worker, theirs[0], "not ours"), -EINVAL);
    support_die(domain, mr_worker_index(worker)); /* taken for dead: its leases are lost */
    ck_assert_int_eq(mr_worker_fail(worker, batch[0], "too late"), -ESTALE);
    mr_worker_leave(worker);
    mr_worker_leave(other);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 3);
}
END_TEST

START_TEST(numbers_of_nobody_are_nothing)
{
    mr_worker *worker = support_worker(domain, 1);

    mr_stats_add(NULL, MR_STAT_steps, 1);
    mr_stats_set(NULL, MR_STAT_steps, 1);
    ck_assert_uint_eq(mr_stats_get(NULL, MR_STAT_steps), 0);
    ck_assert_ptr_null(mr_stats_of(domain, -1));
    ck_assert_ptr_null(mr_stats_of(domain, MR_MAX_MEMBERS + 1));
    ck_assert_ptr_nonnull(mr_stats_of(domain, MR_MAX_MEMBERS)); /* the dead */
    mr_worker_leave(worker);
    domain->stats_writable = false; /* a reader's view: it counts nothing */
    worker = support_worker(domain, 1);
    admit(4);
    support_die(domain, mr_worker_index(worker));
    mr_worker_leave(worker);
    domain->stats_writable = true;
}
END_TEST

START_TEST(put_back_is_computed_again_from_its_tokens)
{
    mr_worker *first = support_worker(domain, 1), *second = support_worker(domain, 1);
    mr_context *batch[1];
    mr_text *text;

    admit(4);
    mr_worker_batch(first, batch, 0);
    mr_text_update(mr_context_text(batch[0]), 21, NULL);
    ck_assert_int_eq(mr_worker_put_back(first, batch[0]), 0);
    ck_assert_int_eq(mr_worker_batch(second, batch, 0), 1);
    text = mr_context_text(batch[0]);
    ck_assert_int_eq((int)mr_text_active_length(text), 4);
    ck_assert_int_eq((int)mr_text_original_prompt_length(text), 3);
    ck_assert_int_eq((int)mr_text_active(text).ids[3], 21);
    mr_worker_leave(first);
    mr_worker_leave(second);
}
END_TEST

START_TEST(a_failed_context_is_done_with_its_reason)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];
    mr_member *member;
    mr_emission *emission;
    mr_handle handle;
    mr_view view;

    admit(4);
    mr_worker_batch(worker, batch, 0);
    ck_assert_int_eq(mr_worker_fail(worker, batch[0], "the weights are gone"), 0);
    emission = support_emission(domain, &member);
    ck_assert_int_eq(mr_emission_next(emission, &handle, 0), 0);
    ck_assert_int_eq(mr_emission_view(emission, handle, &view), 0);
    ck_assert(view.done && view.failed);
    ck_assert_int_eq((int)view.failure.length, 20);
    mr_emission_close(emission);
    mr_member_leave(member);
    mr_worker_leave(worker);
}
END_TEST

/* ---- deaths ---- */

START_TEST(the_dead_ones_contexts_are_ready_again)
{
    mr_worker *dead = support_worker(domain, 4), *heir = support_worker(domain, 4);
    mr_context *batch[4], *mine[4];

    admit(4);
    admit(4);
    ck_assert_int_eq(mr_worker_batch(dead, batch, 0), 2);
    mr_text_update(mr_context_text(batch[0]), 33, NULL);
    support_die(domain, mr_worker_index(dead));
    ck_assert_uint_eq(in_state(MR_STATE_READY), 2);
    ck_assert_int_eq(mr_worker_batch(heir, mine, 0), 1); /* a suspect, alone */
    ck_assert(mr_context_suspect(mine[0]));
    mr_text_update(mr_context_text(mine[0]), 1, NULL); /* it has moved: no suspect any more */
    ck_assert(!mr_context_suspect(mine[0]));
    ck_assert_int_eq(mr_worker_batch(heir, mine, 0), 1);
    mr_text_update(mr_context_text(mine[0]), 1, NULL);
    ck_assert_int_eq(mr_worker_batch(heir, mine, 0), 2);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_commits), 3); /* the dead one's too */
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_generated_tokens), 3);
    mr_worker_leave(dead); /* frees; its leases are lost */
    mr_worker_leave(heir);
}
END_TEST

START_TEST(the_dead_ones_late_calls_harm_nobody)
{
    mr_worker *dead = support_worker(domain, 4), *heir = support_worker(domain, 4);
    mr_context *batch[4], *mine[4];

    admit(1);
    mr_worker_batch(dead, batch, 0);
    support_die(domain, mr_worker_index(dead));
    mr_worker_batch(heir, mine, 0);
    ck_assert_int_eq(mr_worker_put_back(dead, batch[0]), -ESTALE);
    finish(heir, mine[0]);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    mr_worker_leave(dead);
    mr_worker_leave(heir);
}
END_TEST

START_TEST(three_deaths_in_a_row_fail_the_request)
{
    mr_context *batch[4];
    unsigned failed = 0;

    admit(4);
    for (int i = 0; i < 3; i++) {
        mr_worker *worker = support_worker(domain, 4);

        ck_assert_uint_eq(failed, 0);
        ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
        ck_assert_int_eq(mr_supervisor_sweep(domain, mr_worker_index(worker), &failed), 1);
        mr_worker_leave(worker);
    }
    ck_assert_uint_eq(failed, 1);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_slots_reclaimed), 3);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_slots_failed), 1);
    ck_assert_uint_eq(mr_stats_total(domain, MR_STAT_members_swept), 3);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
}
END_TEST

/* They die together once; then each is tried by itself. */
START_TEST(who_waits_beside_a_killer_is_not_given_up_with_it)
{
    static const int given[] = {3, 1, 1};
    mr_context *batch[4];
    unsigned failed = 0;

    for (int i = 0; i < 3; i++)
        admit(4);
    for (int i = 0; i < 3; i++) {
        mr_worker *worker = support_worker(domain, 4);

        ck_assert_int_eq(mr_worker_batch(worker, batch, 0), given[i]);
        ck_assert_int_eq(mr_supervisor_sweep(domain, mr_worker_index(worker), &failed), 3);
        mr_worker_leave(worker);
    }
    ck_assert_uint_eq(failed, 1);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 2);
}
END_TEST

START_TEST(a_step_between_deaths_clears_the_count)
{
    mr_context *batch[4];
    unsigned failed = 0;

    admit(20);
    for (int i = 0; i < 6; i++) {
        mr_worker *worker = support_worker(domain, 4);

        ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
        if (i % 2)
            ck_assert_int_eq(mr_text_update(mr_context_text(batch[0]), 5, NULL), 0);
        ck_assert_int_eq(mr_supervisor_sweep(domain, mr_worker_index(worker), &failed), 1);
        ck_assert_uint_eq(failed, 0);
        mr_worker_leave(worker);
    }
}
END_TEST

START_TEST(a_finished_context_of_a_dead_worker_is_done)
{
    mr_worker *dead = support_worker(domain, 1);
    mr_context *batch[1];

    admit(1);
    mr_worker_batch(dead, batch, 0);
    mr_text_update(mr_context_text(batch[0]), 9, NULL); /* killed before it was handed on */
    support_die(domain, mr_worker_index(dead));
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    mr_worker_leave(dead);
}
END_TEST

/* Killed in mr_worker_fail(), between the commit of the failure and the CAS. */
START_TEST(a_failed_context_of_a_dead_worker_is_done)
{
    mr_worker *dead = support_worker(domain, 1);
    mr_context *batch[1];
    uint64_t held;

    admit(4);
    mr_worker_batch(dead, batch, 0);
    held = batch[0]->state;
    ck_assert_int_eq(mr_worker_fail(dead, batch[0], "no good"), 0);
    for (uint32_t i = 0; i < domain->slot_count; i++)
        if (support_state(domain, i) == MR_STATE_DONE)
            atomic_store(&domain->slots[i].state, held);
    support_die(domain, mr_worker_index(dead));
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    mr_worker_leave(dead);
}
END_TEST

START_TEST(a_corrupt_context_fails_and_the_others_go_on)
{
    mr_worker *worker = support_worker(domain, 4), *dead = support_worker(domain, 1);
    mr_context *batch[4];

    admit(4);
    admit(4);
    domain->slots[7].params.tokens.bytes = 4; /* slots are taken from the top of the stack */
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    mr_worker_leave(worker);
    mr_worker_batch(dead, batch, 0);
    domain->slots[mr_handle_index(mr_context_handle(batch[0]))].arena.offset = 0;
    support_die(domain, mr_worker_index(dead));
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 2);
    mr_worker_leave(dead);
}
END_TEST

/* Values that a process gone mad may write over a request's words, one at a time. */
struct spoiled {
    size_t offset; /* in mr_slot */
    uint64_t value;
    size_t bytes; /* of it */
};

#define PARAMETER(field, bad)                                                                      \
    {                                                                                              \
        offsetof(mr_slot, params.field), bad, sizeof(((mr_slot *)NULL)->params.field)              \
    }
#define CURSOR(number, bad)                                                                        \
    {                                                                                              \
        offsetof(mr_slot, cursors) + (number) * sizeof(mr_word), (uint64_t)(bad), sizeof(mr_word)  \
    }

static const struct spoiled spoiled[] = {
    PARAMETER(kind, 0),
    PARAMETER(kind, 99),
    PARAMETER(choices, 0),
    PARAMETER(choices, 1000),
    PARAMETER(choice, 1),
    PARAMETER(capacity, 0),
    PARAMETER(capacity, INT64_MAX),
    PARAMETER(original_prompt, 0),
    PARAMETER(original_prompt, 1000),
    PARAMETER(tokens.offset, 1),
    PARAMETER(tokens.offset, 64),
    PARAMETER(tokens.offset, UINT64_MAX - 7),
    PARAMETER(tokens.bytes, UINT64_MAX),
    PARAMETER(reply.offset, UINT64_C(1) << 40),
    {offsetof(mr_slot, arena.offset), UINT64_C(1) << 40, 8},
    {offsetof(mr_slot, arena.bytes), UINT64_MAX, 8},
    CURSOR(MR_CURSOR_LENGTH, 0),
    CURSOR(MR_CURSOR_LENGTH, 1000),
    CURSOR(MR_CURSOR_END, -1),
    CURSOR(MR_CURSOR_END, 1000),
    CURSOR(MR_CURSOR_END, 1),
    CURSOR(MR_CURSOR_START, -1),
    CURSOR(MR_CURSOR_START, 1000),
    CURSOR(MR_CURSOR_OFFSET, INT64_MIN),
    CURSOR(MR_CURSOR_OFFSET, INT64_MAX),
    CURSOR(MR_CURSOR_PROMPT, 0),
    CURSOR(MR_CURSOR_PROMPT, 1000),
    CURSOR(MR_CURSOR_CONSUMED, 0),
    CURSOR(MR_CURSOR_CONSUMED, 1000),
    CURSOR(MR_CURSOR_COMPLETION, 0),
    CURSOR(MR_CURSOR_BASE, 0),
    CURSOR(MR_CURSOR_BASE, 1000),
    CURSOR(MR_CURSOR_STATUS, -1),
    CURSOR(MR_CURSOR_STATUS, 9),
    CURSOR(MR_CURSOR_FLAGS, 64),
    CURSOR(MR_CURSOR_RECORDS, -1),
    CURSOR(MR_CURSOR_RECORDS, INT64_MAX),
    CURSOR(MR_CURSOR_RECORD_FIRST, -1),
    CURSOR(MR_CURSOR_RECORD_LATE, 1000),
    CURSOR(MR_CURSOR_ECHO, -1),
    CURSOR(MR_CURSOR_ECHO, 1000),
};

START_TEST(a_request_with_a_spoiled_word_fails_by_itself)
{
    mr_worker *worker = support_worker(domain, 4);
    const struct spoiled *bad = &spoiled[_i];
    mr_context *batch[4];
    mr_handle handle, suspect;
    mr_emission *emission;
    mr_member *member;
    unsigned deaths;
    mr_view view;

    admit(4);
    for (uint32_t i = 0; i < domain->slot_count; i++)
        if (support_state(domain, i) == MR_STATE_READY) {
            memcpy((unsigned char *)&domain->slots[i] + bad->offset, &bad->value, bad->bytes);
            /* cursors of the copy that counts: a filled slot has seen two commits */
            ck_assert_uint_eq(atomic_load(&domain->slots[i].sequence) & 1, 0);
        }
    admit(4);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1); /* the other one */
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    member = support_join(domain, MR_ROLE_COLLECTOR);
    ck_assert_int_eq(mr_emission_open(&emission, member, &suspect, &deaths), 0);
    while (!mr_emission_next(emission, &handle, 0)) {
        int rc = mr_emission_view(emission, handle, &view); /* never follows a bad word */

        ck_assert(rc == -EBADMSG || rc == 0);
    }
    mr_emission_close(emission);
    mr_member_leave(member);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(the_audit_takes_leases_of_nobody_back)
{
    mr_worker *worker = support_worker(domain, 4);
    mr_context *batch[4];
    mr_state_parts parts;

    admit(4);
    mr_worker_batch(worker, batch, 0);
    ck_assert_int_eq(mr_supervisor_audit(domain), 0);
    parts = mr_state_unpack(mr_slot_load(batch[0]->slot));
    parts.owner = 999;
    atomic_store(&batch[0]->slot->state, mr_state_pack(parts));
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 1);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_lease_of_a_stage_that_is_none_ends_with_an_error)
{
    mr_worker *worker = support_worker(domain, 4);
    mr_context *batch[4];
    mr_state_parts parts;

    admit(4);
    admit(4);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 2);
    for (int i = 0; i < 2; i++) {
        mr_slot *slot = batch[i]->slot;

        parts = mr_state_unpack(mr_slot_load(slot));
        parts.stage = 156;
        atomic_store(&slot->state, mr_state_pack(parts));
        if (i == 0) {
            ck_assert_int_eq(mr_supervisor_audit(domain), 1); /* its holder lives */
            continue;
        }
        support_die(domain, mr_worker_index(worker));
    }
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 2);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(the_audit_fails_what_is_in_no_state)
{
    mr_state_parts parts;

    admit(4);
    admit(4);
    for (uint32_t i = 0; i < domain->slot_count; i++) {
        parts = mr_state_unpack(mr_slot_load(&domain->slots[i]));
        if (parts.state != MR_STATE_READY)
            continue;
        if (in_state(MR_STATE_READY) == 2)
            parts.stage = 200;
        else
            parts.state = 11;
        atomic_store(&domain->slots[i].state, mr_state_pack(parts));
        ck_assert_int_eq(mr_supervisor_audit(domain), 1);
        ck_assert_int_eq(mr_supervisor_audit(domain), 0);
    }
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 2);
    parts = mr_state_unpack(mr_slot_load(&domain->slots[0])); /* never used */
    parts.state = 11;
    atomic_store(&domain->slots[0].state, mr_state_pack(parts));
    ck_assert_int_eq(mr_supervisor_audit(domain), 1);
    ck_assert_uint_eq(support_state(domain, 0), MR_STATE_FREE);
}
END_TEST

/* Beyond a head that was spoiled no hint is seen. */
START_TEST(the_audit_finds_what_a_spoiled_ring_hides)
{
    mr_worker *worker = support_worker(domain, 4);
    mr_context *batch[4];

    admit(4);
    atomic_store(&domain->queues[0].ring.head, 1 << 20);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    mr_supervisor_audit(domain);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_cancel_that_comes_late_does_not_hit_the_next_context)
{
    mr_worker *worker = support_worker(domain, 1);
    mr_context *batch[1];
    mr_handle handle;

    admit(4);
    mr_worker_batch(worker, batch, 0);
    handle = mr_context_handle(batch[0]);
    ck_assert_int_eq(mr_supervisor_cancel(domain, handle, MR_CANCEL_CLIENT), 0);
    ck_assert_int_eq(mr_supervisor_cancel(domain, handle + (1 << 20), MR_CANCEL_CLIENT), -ESTALE);
    ck_assert_int_eq(mr_supervisor_cancel(domain, domain->slot_count, MR_CANCEL_CLIENT), -EINVAL);
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_CLIENT);
    batch[0]->handle += 1 << MR_INDEX_BITS; /* the next one in this slot */
    ck_assert_int_eq(mr_context_cancelled(batch[0]), MR_CANCEL_NONE);
    batch[0]->handle = handle;
    mr_worker_leave(worker);
}
END_TEST

START_TEST(another_arithmetic_does_not_go_on_with_it)
{
    mr_worker_options options = {.size = sizeof(options), .capacity = 2, .fingerprint = "other"};
    mr_worker *first = support_worker(domain, 2), *other, *same = support_worker(domain, 2);
    mr_context *batch[2];

    ck_assert_int_eq(mr_worker_join(&other, domain, &options), 0);
    admit(4);
    mr_worker_batch(first, batch, 0);
    mr_text_update(mr_context_text(batch[0]), 9, NULL);
    mr_worker_put_back(first, batch[0]);
    ck_assert_int_eq(mr_worker_batch(other, batch, 20), 0); /* left to one of its kind */
    ck_assert_int_eq(mr_worker_batch(same, batch, 0), 1);
    mr_worker_put_back(same, batch[0]);
    support_die(domain, mr_worker_index(first));
    support_die(domain, mr_worker_index(same));
    ck_assert_int_eq(mr_worker_batch(other, batch, 20), 0);
    ck_assert_uint_eq(in_state(MR_STATE_READY), 1); /* one of its kind may be starting again */
    domain->patience_ns = 10000000;
    ck_assert_int_eq(mr_worker_batch(other, batch, 50), 0);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1); /* none came for a while: failed, said so */
    mr_worker_leave(first);
    mr_worker_leave(same);
    mr_worker_leave(other);
}
END_TEST

START_TEST(what_another_kind_began_keeps_nobody_from_the_rest)
{
    mr_worker_options options = {.size = sizeof(options), .capacity = 4, .fingerprint = "other"};
    mr_worker *first = support_worker(domain, 1), *other;
    mr_context *batch[4];

    ck_assert_int_eq(mr_worker_join(&other, domain, &options), 0);
    admit(4);
    ck_assert_int_eq(mr_worker_batch(other, batch, 0), 1);
    admit(4);
    ck_assert_int_eq(mr_worker_batch(first, batch, 0), 1);
    mr_text_update(mr_context_text(batch[0]), 9, NULL);
    mr_worker_put_back(first, batch[0]);
    admit(4);
    admit(4);
    ck_assert_int_eq(mr_worker_batch(other, batch, 0), 3); /* the one that it has, and two */
    ck_assert_int_eq(mr_worker_batch(first, batch, 0), 1); /* its hint wasn't lost */
    ck_assert_int_eq(mr_text_length(mr_context_text(batch[0])), 4);
    mr_worker_leave(first);
    mr_worker_leave(other);
}
END_TEST

/* `count` contexts that a worker of this fingerprint has begun and put back. */
static void begin_by(const char *fingerprint, int count)
{
    mr_worker_options options = {
        .size = sizeof(options), .capacity = 8, .fingerprint = fingerprint};
    mr_worker *worker;
    mr_context *batch[8];
    int place;

    ck_assert_int_eq(mr_worker_join(&worker, domain, &options), 0);
    for (int i = 0; i < count; i++)
        admit(4);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), count);
    for (int i = 0; i < count; i++)
        mr_text_update(mr_context_text(batch[i]), 9, NULL);
    place = mr_worker_index(worker);
    mr_worker_leave(worker);
    support_die(domain, place);
}

static _Atomic bool taking_ends;

static void *take_and_put_back(void *nothing)
{
    mr_worker_options options = {.size = sizeof(options), .capacity = 1, .fingerprint = "theirs"};
    mr_worker *worker;
    mr_context *batch[1];

    (void)nothing;
    if (mr_worker_join(&worker, domain, &options))
        return NULL;
    while (!atomic_load(&taking_ends))
        if (mr_worker_batch(worker, batch, 0) == 1)
            mr_worker_put_back(worker, batch[0]);
    mr_worker_leave(worker);
    return NULL;
}

START_TEST(what_is_left_to_others_who_take_it_holds_up_no_batch)
{
    mr_worker *worker;
    mr_context *batch[4];
    pthread_t thread;

    begin_by("theirs", 3);
    admit(4);
    worker = support_worker(domain, 4);
    atomic_store(&taking_ends, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_and_put_back, NULL), 0);
    for (int i = 0; i < 3000; i++)
        ck_assert_int_le(mr_worker_batch(worker, batch, 0), 1);
    atomic_store(&taking_ends, true);
    pthread_join(thread, NULL);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(kinds_of_which_nobody_is_left_are_given_up_each_in_its_time)
{
    mr_worker *worker;
    mr_context *batch[2];

    begin_by("one", 1);
    begin_by("two", 1);
    worker = support_worker(domain, 2);
    domain->patience_ns = 10000000;
    for (int i = 0; i < 50 && in_state(MR_STATE_DONE) < 2; i++)
        ck_assert_int_eq(mr_worker_batch(worker, batch, 5), 0);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 2);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(a_worker_that_only_polls_is_in_no_step_when_it_holds_nothing)
{
    mr_worker *worker = support_worker(domain, 2);
    const mr_place_record *place = &domain->members[mr_worker_index(worker)];
    mr_context *batch[2];

    admit(4);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 1);
    ck_assert_uint_ne(atomic_load(&place->step_begun), 0);
    mr_worker_fail(worker, batch[0], "it is over");
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 0);
    ck_assert_uint_eq(atomic_load(&place->step_begun), 0);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(dropped_hints_are_found_again)
{
    mr_worker *worker = support_worker(domain, 2), *second = support_worker(domain, 8);
    mr_context *batch[8];

    for (int i = 0; i < 4; i++)
        admit(4);
    for (uint32_t index, hint; !mr_queue_pop(domain, 0, &index, &hint);)
        ; /* a consumer died with them */
    mr_queue_rescan_raise(domain, 0);
    ck_assert_int_eq(mr_worker_batch(worker, batch, 0), 2);
    ck_assert_int_eq(mr_worker_batch(second, batch, 0), 2); /* who stopped early raised it again */
    mr_worker_leave(worker);
    mr_worker_leave(second);
}
END_TEST

START_TEST(the_end_of_the_domain_ends_the_batch)
{
    mr_worker *worker = support_worker(domain, 2);
    mr_context *batch[2];

    ck_assert_int_eq(mr_worker_batch(worker, batch, 5), 0);
    ck_assert_int_eq(mr_worker_arm(worker), 0);
    ck_assert_int_ge(mr_worker_fd(worker), 0);
    mr_worker_progress(worker);
    mr_domain_set_phase(mr_worker_domain(worker), MR_PHASE_STOP);
    ck_assert_int_eq(mr_worker_batch(worker, batch, MR_WAIT), -ESHUTDOWN);
    mr_worker_leave(worker);
    mr_worker_leave(NULL);
}
END_TEST

START_TEST(a_context_goes_through_all_stages)
{
    static const char *const stages[] = {"encode", "generate"};
    mr_worker_options options = {
        .size = sizeof(options), .capacity = 2, .fingerprint = "test", .stage = "encode"};
    mr_worker *encoder, *generator;
    mr_context *batch[2];

    teardown();
    begin(support_domain_with((mr_domain_options){.size = sizeof(mr_domain_options),
                                                  .slots = 4,
                                                  .arena_bytes = 65536,
                                                  .max_length = 64,
                                                  .stages = 2,
                                                  .stage_names = stages}));
    ck_assert_int_eq(mr_worker_join(&encoder, domain, &options), 0);
    options.stage = "generate";
    ck_assert_int_eq(mr_worker_join(&generator, domain, &options), 0);
    admit(2);
    ck_assert_int_eq(mr_worker_batch(generator, batch, 0), 0);
    ck_assert_int_eq(mr_worker_batch(encoder, batch, 0), 1);
    ck_assert_int_eq(mr_worker_hand_on(encoder, batch[0]), 0);
    ck_assert_int_eq(mr_worker_batch(encoder, batch, 0), 0);
    ck_assert_int_eq(mr_worker_batch(generator, batch, 0), 1);
    finish(generator, batch[0]);
    ck_assert_uint_eq(in_state(MR_STATE_DONE), 1);
    mr_worker_leave(encoder);
    mr_worker_leave(generator);
}
END_TEST

START_TEST(members_can_be_asked_about)
{
    mr_worker *worker = support_worker(domain, 3);
    mr_member_info info;
    mr_context *batch[3];

    admit(4);
    mr_worker_batch(worker, batch, 0);
    ck_assert_int_eq(mr_member_get_info(domain, mr_worker_index(worker), &info), 0);
    ck_assert_int_eq(info.pid, getpid());
    ck_assert_uint_eq(info.held, 1);
    ck_assert_uint_eq(info.capacity, 3);
    ck_assert_uint_gt(info.start_time, 0);
    ck_assert_uint_gt(info.step_begun, 0);
    ck_assert_int_eq(mr_member_get_info(domain, 63, &info), -ENOENT);
    ck_assert_int_eq(mr_member_get_info(domain, 64, &info), -ENOENT);
    ck_assert_int_eq(mr_supervisor_sweep(domain, 64, NULL), -EINVAL);
    ck_assert_int_eq(mr_supervisor_sweep(domain, 63, NULL), 0);
    mr_worker_leave(worker);
}
END_TEST

START_TEST(places_run_out)
{
    mr_member_options options = {.size = sizeof(options), .role = MR_ROLE_COLLECTOR};
    mr_member *members[MR_MAX_MEMBERS], *one_more;
    int taken = 0;

    while (!mr_member_join(&members[taken], domain, &options))
        taken++;
    ck_assert_int_eq(taken, MR_MAX_MEMBERS - 1); /* the tokenizer has one */
    ck_assert_int_eq(mr_member_join(&one_more, domain, &options), -EAGAIN);
    options.role = 77;
    ck_assert_int_eq(mr_member_join(&one_more, domain, &options), -EINVAL);
    options.role = 0;
    ck_assert_int_eq(mr_member_join(&one_more, domain, &options), -EINVAL);
    options.role = MR_ROLE_WORKER; /* without capacity */
    ck_assert_int_eq(mr_member_join(&one_more, domain, &options), -EINVAL);
    options.capacity = 1;
    options.stage = 1;
    ck_assert_int_eq(mr_member_join(&one_more, domain, &options), -EINVAL);
    while (taken--)
        mr_member_leave(members[taken]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *tests = tcase_create("worker"), *deaths = tcase_create("deaths");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_checked_fixture(deaths, setup, teardown);
    tcase_add_test(tests, a_worker_claims_up_to_its_capacity);
    tcase_add_test(tests, a_context_says_what_was_asked);
    tcase_add_test(tests, what_does_not_fit_beside_the_held_is_left_to_others);
    tcase_add_test(tests, a_large_context_is_not_kept_out_by_small_ones);
    tcase_add_test(tests, what_another_took_is_not_waited_for);
    tcase_add_test(tests, a_worker_without_room_for_the_longest_is_refused);
    tcase_add_test(tests, wrong_options_are_refused);
    tcase_add_test(tests, an_unfinished_context_is_not_handed_on);
    tcase_add_test(tests, what_is_not_held_is_not_let_go_of);
    tcase_add_test(tests, numbers_of_nobody_are_nothing);
    tcase_add_test(tests, put_back_is_computed_again_from_its_tokens);
    tcase_add_test(tests, a_failed_context_is_done_with_its_reason);
    tcase_add_test(tests, dropped_hints_are_found_again);
    tcase_add_test(tests, the_end_of_the_domain_ends_the_batch);
    tcase_add_test(tests, a_context_goes_through_all_stages);
    tcase_add_test(tests, members_can_be_asked_about);
    tcase_add_test(tests, places_run_out);
    tcase_add_test(deaths, the_dead_ones_contexts_are_ready_again);
    tcase_add_test(deaths, the_dead_ones_late_calls_harm_nobody);
    tcase_add_test(deaths, three_deaths_in_a_row_fail_the_request);
    tcase_add_test(deaths, who_waits_beside_a_killer_is_not_given_up_with_it);
    tcase_add_test(deaths, a_step_between_deaths_clears_the_count);
    tcase_add_test(deaths, a_finished_context_of_a_dead_worker_is_done);
    tcase_add_test(deaths, a_failed_context_of_a_dead_worker_is_done);
    tcase_add_test(deaths, a_corrupt_context_fails_and_the_others_go_on);
    tcase_add_loop_test(deaths, a_request_with_a_spoiled_word_fails_by_itself, 0,
                        sizeof(spoiled) / sizeof(*spoiled));
    tcase_add_test(deaths, the_audit_takes_leases_of_nobody_back);
    tcase_add_test(deaths, a_lease_of_a_stage_that_is_none_ends_with_an_error);
    tcase_add_test(deaths, the_audit_fails_what_is_in_no_state);
    tcase_add_test(deaths, the_audit_finds_what_a_spoiled_ring_hides);
    tcase_add_test(tests, a_cancel_that_comes_late_does_not_hit_the_next_context);
    tcase_add_test(deaths, another_arithmetic_does_not_go_on_with_it);
    tcase_add_test(deaths, what_another_kind_began_keeps_nobody_from_the_rest);
    tcase_add_test(deaths, a_worker_that_only_polls_is_in_no_step_when_it_holds_nothing);
    tcase_add_test(deaths, kinds_of_which_nobody_is_left_are_given_up_each_in_its_time);
    tcase_add_test(deaths, what_is_left_to_others_who_take_it_holds_up_no_batch);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, deaths);
    return support_run(suite);
}
