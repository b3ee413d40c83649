/*
 * replay.c - step by step: a table of expected values, overwritten by what a step names
 *
 * Where the specification gives the C version another verdict than "the same", a step carries
 * "quirk": it is judged by that verdict, and the line ends there.
 *
 * One difference has no step of its own: after a reset the Python keeps records that can never be
 * delivered, and after tokens.consume those of the consumed tokens. Here they are gone, so their
 * keys are taken out of what is expected (`dropped`) until one is stored anew.
 */
#include "tests/ipc/golden/golden.h"
#include <millrace/error.h>
#include <millrace/vision.h>
#include <stdlib.h>
#include <string.h>

struct track {
    struct subject subject;
    json_t *expected;
    json_t *dropped;       /* keys of records, as an object */
    json_t *status_before; /* what the status is without the placeholder */
};

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is(const char *a, const char *b)
{
    return a && !strcmp(a, b);
}

static bool any_of(const char *text, const char *const *list)
{
    for (; text && *list; list++)
        if (!strcmp(text, *list))
            return true;
    return false;
}

/* ---- comparing ---- */

static json_t *without_dropped(const json_t *positions, const json_t *dropped)
{
    json_t *list = json_array();
    char key[32];

    for (size_t i = 0; i < json_array_size(positions); i++) {
        json_t *position = json_array_get(positions, i);

        snprintf(key, sizeof(key), "%lld", (long long)json_integer_value(position));
        if (!json_object_get(dropped, key))
            json_array_append(list, position);
    }
    return list;
}

static bool compare_value(const struct place *place, const struct track *t, const char *key,
                          json_t *expected, const json_t *actual)
{
    json_t *rest;
    bool ok;

    if (!is(key, "logprob_positions"))
        return report_compare(place, key, expected, actual);
    rest = without_dropped(expected, t->dropped);
    ok = report_compare(place, key, rest, actual);
    json_decref(rest);
    return ok;
}

static bool compare_state(const struct place *place, const struct track *t)
{
    static const char *const informal[] = {"capacity", "speech_capacity", NULL};
    json_t *actual = state_of(&t->subject), *value;
    const char *key;
    bool ok = true;

    json_object_foreach(t->expected, key, value)
    {
        if (!any_of(key, informal))
            ok &= compare_value(place, t, key, value, json_object_get(actual, key));
    }
    json_decref(actual);
    return ok;
}

/* ---- records that are gone ---- */

static int64_t integer_in(const json_t *state, const char *key)
{
    return json_integer_value(json_object_get(state, key));
}

static int64_t consumed_in(const json_t *state)
{
    return json_integer_value(json_array_get(json_object_get(state, "completion"), 0));
}

static void drop_between(struct track *t, int64_t from, int64_t to)
{
    const json_t *positions = json_object_get(t->expected, "logprob_positions");
    char key[32];

    for (size_t i = 0; i < json_array_size(positions); i++) {
        int64_t position = json_integer_value(json_array_get(positions, i));

        snprintf(key, sizeof(key), "%lld", (long long)position);
        if (position >= from && position < to)
            json_object_set_new(t->dropped, key, json_true());
    }
}

static void stored_again(struct track *t, int64_t position)
{
    char key[32];

    snprintf(key, sizeof(key), "%lld", (long long)position);
    json_object_del(t->dropped, key);
}

/* The step has succeeded; `before` is what was expected before it, t->expected what is now. */
static void follow_records(struct track *t, const json_t *before, const char *op,
                           const json_t *arguments)
{
    bool record = json_is_object(json_object_get(arguments, "logprob"));

    if (is(op, "reset"))
        drop_between(t, INT64_MIN, consumed_in(t->expected));
    else if (is(op, "tokens.consume"))
        drop_between(t, consumed_in(before), consumed_in(t->expected));
    else if (is(op, "update") && record && json_is_false(json_object_get(before, "chunked")))
        stored_again(t, integer_in(before, "current_position"));
    else if (is(op, "realize_future_token") && record)
        stored_again(t, integer_in(before, "current_position") - 1);
}

static void follow_status(struct track *t, const json_t *before, const char *op)
{
    bool placeholder = is(op, "update_with_future_token");

    if (!placeholder && !is(op, "set_status"))
        return;
    json_decref(t->status_before);
    t->status_before = json_incref(json_object_get(placeholder ? before : t->expected, "status"));
}

/* ---- verdicts ---- */

/* A speaking context is done when its audio is. */
static bool is_done(const json_t *state)
{
    const char *audio = text_in(state, "audio_generation_status");

    return !is(audio ? audio : text_in(state, "status"), "active");
}

/* A reset as it should be: no placeholder (Q30), no offset (Q14). */
static void expect_restarted(struct track *t)
{
    json_t *all = json_deep_copy(json_object_get(t->expected, "all"));
    int length = (int)json_array_size(all);
    json_t *last = json_array_get(all, (size_t)length - 1), *values;
    bool placeholder = json_integer_value(last) == MR_FUTURE_TOKEN;
    int images =
        (int)(integer_in(t->expected, "image_idx") + integer_in(t->expected, "next_images"));

    if (placeholder) {
        json_array_remove(all, (size_t)--length);
        json_object_set(t->expected, "status", t->status_before);
    }
    values = json_pack(
        "{s:O,s:O,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:b,s:b,s:[i,i],s:b,s:b,s:i,s:i,s:b}", "all", all,
        "active", all, "len", length, "prompt_length", length, "generated_length", 0,
        "processed_length", 0, "active_length", length, "current_position", length,
        "processing_end", length, "offset", 0, "chunked", 0, "outstanding", 0, "completion", length,
        length, "is_done", is_done(t->expected), "is_initial_prompt", 1, "image_idx", 0,
        "next_images", images, "needs_vision_encoding", images > 0);
    json_object_update_existing(t->expected, values);
    json_decref(values);
    drop_between(t, INT64_MIN, length);
    json_decref(all);
}

/* A step whose verdict isn't "keep": what our version does instead. */
static bool judge(const struct place *place, struct track *t, const json_t *step, const char *quirk,
                  const struct outcome *outcome)
{
    static const char *const same_error[] = {"Q21", "Q29", NULL};
    static const char *const refused[] = {"Q12", "Q13", "Q23", "Q27", "Q32",
                                          "Q34", "Q37", "Q38", NULL};
    static const char *const restarted[] = {"Q14", "Q30", NULL};
    bool ok;

    if (any_of(quirk, same_error)) {
        ok = report_error(place, text_in(step, "why"), outcome->rc, outcome->code);
    } else if (any_of(quirk, refused)) {
        ok = outcome->rc < 0 || report_text(place, quirk, "a refusal", "success");
    } else if (any_of(quirk, restarted)) {
        ok = report_error(place, NULL, outcome->rc, outcome->code);
        expect_restarted(t);
    } else {
        return report_text(place, "verdict", "one that is known", quirk);
    }
    return compare_state(place, t) && ok;
}

/* ---- a step ---- */

static bool take_step(const struct place *place, struct track *t, const json_t *step,
                      const json_t *delta, const struct outcome *outcome)
{
    json_t *before = json_copy(t->expected);
    const json_t *ret = json_object_get(step, "ret");
    bool ok = report_error(place, text_in(step, "why"), outcome->rc, outcome->code);

    json_object_update(t->expected, (json_t *)(uintptr_t)delta);
    if (outcome->rc >= 0) {
        follow_records(t, before, place->op, json_object_get(step, "args"));
        follow_status(t, before, place->op);
    }
    if (ret && outcome->ret)
        ok &= report_compare(place, "returned", ret, outcome->ret);
    ok &= compare_state(place, t);
    json_decref(before);
    return ok;
}

/* *last: the line ends with this step. */
static bool replay_step(const struct place *place, struct track *t, const json_t *step,
                        const json_t *delta, bool *last)
{
    const char *quirk = text_in(step, "quirk");
    struct outcome outcome;
    bool ok;

    if (!operation_run(&t->subject, place->op, json_object_get(step, "args"), &outcome))
        return report_text(place, "operation", "one that is known", place->op);
    *last = quirk != NULL;
    ok =
        quirk ? judge(place, t, step, quirk, &outcome) : take_step(place, t, step, delta, &outcome);
    json_decref(outcome.ret);
    return ok;
}

/* ---- creation ---- */

static int64_t longest_in(const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    int64_t longest = integer_in(value, "len");

    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        int64_t inside = json_is_object(item) ? longest_in(item) : 0;

        longest = inside > longest ? inside : longest;
    }
    json_array_foreach(value, i, item)
    {
        int64_t inside = longest_in(item);

        longest = inside > longest ? inside : longest;
    }
    return longest;
}

/* Room for the longest state of the line, and for what the verdicts refuse. */
static int64_t room_for(const json_t *line)
{
    int64_t longest = longest_in(json_object_get(line, "expect"));
    const json_t *steps = json_object_get(line, "steps");

    for (size_t i = 0; i < json_array_size(steps); i++) {
        int64_t inside = longest_in(json_object_get(json_array_get(steps, i), "expect"));

        longest = inside > longest ? inside : longest;
    }
    return longest + 16;
}

/* *rc: as the constructor; the track is to be ended by track_end() in either case. */
static void track_begin(struct track *t, const char *kind, const json_t *arguments,
                        int64_t capacity, int *rc)
{
    struct pool pool = {.count = 0};
    const char *status = text_in(arguments, "status");
    mr_request request;

    *t = (struct track){.subject = {.defined = INT64_MAX}, .dropped = json_object()};
    *rc = request_parse(&pool, kind, arguments, &request);
    if (*rc == 0) {
        t->subject.fixture = fixture_new(&request, capacity);
        *rc = t->subject.fixture ? 0 : -1;
    }
    pool_free(&pool);
    if (*rc == 0 && status)
        mr_text_set_status(fixture_text(t->subject.fixture), status_of(status));
}

static void track_end(struct track *t)
{
    if (t->subject.fixture)
        fixture_free(t->subject.fixture);
    json_decref(t->expected);
    json_decref(t->dropped);
    json_decref(t->status_before);
}

/* Steps on the bare token buffer, before the original makes the context around it. */
static int prepare_buffer(struct track *t, const json_t *steps)
{
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        struct outcome outcome;

        if (!operation_run(&t->subject, text_in(step, "op"), json_object_get(step, "args"),
                           &outcome))
            return -1;
        json_decref(outcome.ret);
        if (outcome.rc < 0)
            return outcome.rc;
    }
    return 0;
}

/* ---- lines ---- */

static void at_step(struct place *place, size_t i, const json_t *step)
{
    place->step = i + 1;
    place->op = text_in(step, "op");
}

static bool replay_steps(struct place *place, struct track *t, const json_t *steps)
{
    bool last = false, ok = true;

    for (size_t i = 0; i < json_array_size(steps) && ok && !last; i++) {
        const json_t *step = json_array_get(steps, i);

        at_step(place, i, step);
        ok = replay_step(place, t, step, json_object_get(step, "expect"), &last);
    }
    return ok;
}

/* The kind of the context: of the line, or what a line of validators says. */
static const char *kind_of(const json_t *line)
{
    const char *kind = text_in(line, "context_kind");

    return kind ? kind : text_in(line, "kind");
}

/* The original makes a context around a buffer that may have moved already, and then refuses one
 * that stands inside an image. Here the context comes first, and the caller asks. */
static bool is_bisected(const struct track *t)
{
    const mr_vision *vision = mr_context_vision(fixture_context(t->subject.fixture));

    return vision && mr_vision_bisected(vision);
}

bool replay_text(struct place *place, const json_t *line)
{
    struct track t;
    int rc, code;
    bool ok;

    track_begin(&t, kind_of(line), json_object_get(line, "new"), room_for(line), &rc);
    if (rc == 0)
        rc = prepare_buffer(&t, json_object_get(line, "pre"));
    code = rc < 0 ? mr_error_code() : 0;
    if (rc == 0 && is_bisected(&t)) {
        rc = -1;
        code = MR_VISION_BISECT;
    }
    t.expected = json_deep_copy(json_object_get(line, "expect"));
    if (json_object_get(line, "quirk"))
        ok = rc < 0 || report_text(place, text_in(line, "quirk"), "a refusal", "success");
    else
        ok = report_error(place, text_in(line, "why"), rc, code) &&
             (rc < 0 || (compare_state(place, &t) &&
                         replay_steps(place, &t, json_object_get(line, "steps"))));
    track_end(&t);
    return ok;
}

/* ---- several contexts and the reserve scope ---- */

enum { CONTEXTS = 16 };

struct group {
    struct track tracks[CONTEXTS];
    size_t count;
    mr_text *batch[CONTEXTS]; /* in the scope */
    size_t batch_count;
};

static void delta_of(struct group *g, const json_t *step)
{
    const char *key;
    json_t *delta;

    json_object_foreach(json_object_get(step, "expect"), key, delta)
    {
        json_object_update(g->tracks[atoi(key)].expected, delta);
    }
}

static bool compare_group(const struct place *place, const struct group *g)
{
    bool ok = true;

    for (size_t i = 0; i < g->count; i++)
        ok &= compare_state(place, &g->tracks[i]);
    return ok;
}

static void leave(struct group *g)
{
    mr_reserve_leave(g->batch, g->batch_count);
    g->batch_count = 0;
    for (size_t i = 0; i < g->count; i++)
        g->tracks[i].subject.defined = INT64_MAX;
}

static int enter(struct group *g, const json_t *arguments)
{
    const json_t *batch = json_object_get(arguments, "batch");
    int rc;

    g->batch_count = json_array_size(batch);
    for (size_t i = 0; i < g->batch_count; i++) {
        struct track *t = &g->tracks[json_integer_value(json_array_get(batch, i))];

        g->batch[i] = fixture_text(t->subject.fixture);
        t->subject.defined = mr_text_length(g->batch[i]);
    }
    rc = mr_reserve_enter(g->batch, g->batch_count, integer_in(arguments, "num_tokens"));
    if (rc < 0) {
        g->batch_count = 0;
        leave(g);
    }
    return rc;
}

/* Entering and leaving; an error that leaving gives in the original (Q43) is none here. */
static bool scope_step(const struct place *place, struct group *g, const json_t *step,
                       const char *quirk, bool *last)
{
    const char *why = text_in(step, "why");
    int rc = 0;

    if (is(place->op, "reserve_enter"))
        rc = enter(g, json_object_get(step, "args"));
    else
        leave(g);
    if (is(quirk, "Q44")) {
        *last = true;
        return (rc < 0 || report_text(place, quirk, "a refusal", "success")) &&
               compare_group(place, g);
    }
    delta_of(g, step);
    return report_error(place, is(quirk, "Q43") ? NULL : why, rc, rc < 0 ? mr_error_code() : 0) &&
           compare_group(place, g);
}

static bool context_step(const struct place *place, struct group *g, const json_t *step,
                         const char *quirk, bool *last)
{
    struct track *t = &g->tracks[integer_in(step, "ctx")];
    char key[8];
    struct outcome outcome;
    bool ok;

    if (!is(quirk, "Q32") || !fixture_context(t->subject.fixture)->reserved) {
        snprintf(key, sizeof(key), "%d", (int)integer_in(step, "ctx"));
        return replay_step(place, t, step, json_object_get(json_object_get(step, "expect"), key),
                           last);
    }
    if (!operation_run(&t->subject, place->op, json_object_get(step, "args"), &outcome))
        return report_text(place, "operation", "one that is known", place->op);
    ok = judge(place, t, step, quirk, &outcome);
    json_decref(outcome.ret);
    *last = true;
    return ok;
}

static bool group_step(const struct place *place, struct group *g, const json_t *step,
                       const char *quirk, bool *last)
{
    return is(place->op, "reserve_enter") || is(place->op, "reserve_exit") ||
                   is(place->op, "reserve_exit_with_exception")
               ? scope_step(place, g, step, quirk, last)
               : context_step(place, g, step, quirk, last);
}

bool replay_reserve(struct place *place, const json_t *line)
{
    const json_t *contexts = json_object_get(json_object_get(line, "new"), "contexts");
    const json_t *steps = json_object_get(line, "steps");
    struct group g = {.count = json_array_size(contexts)};
    bool ok = true, last = false;
    int rc = 0;

    for (size_t i = 0; i < g.count; i++) {
        track_begin(&g.tracks[i], "text", json_array_get(contexts, i), room_for(line), &rc);
        g.tracks[i].expected = json_deep_copy(json_array_get(json_object_get(line, "expect"), i));
        ok &= report_error(place, NULL, rc, mr_error_code());
    }
    ok = ok && compare_group(place, &g);
    for (size_t i = 0; i < json_array_size(steps) && ok && !last; i++) {
        at_step(place, i, json_array_get(steps, i));
        ok = group_step(place, &g, json_array_get(steps, i), text_in(line, "quirk"), &last);
    }
    for (size_t i = 0; i < g.count; i++)
        track_end(&g.tracks[i]);
    return ok;
}
