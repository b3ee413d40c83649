/*
 * serve_zmq.c - W3's peer: the same requests through ZeroMQ and MessagePack, in C
 *
 * Three kinds of processes joined by PUSH and PULL sockets over ipc://, without high-water marks,
 * as vLLM, SGLang and MAX join theirs: tokenizer -> workers -> collector -> tokenizer. A request is
 * [id, [token ...], max_length, seed]; a worker sends one message a step with the new tokens of
 * its whole batch, [[id, [token], done] ...]; the collector tells the tokenizer which are done.
 *
 * Kind to the peer: the packed prompt is handed to ZeroMQ without a copy, ids are short, and the
 * collector finds a request by arithmetic on its id instead of a table of strings.
 */
#include "bench/hop/parts.h"
#include <errno.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

enum { ID_LENGTH = 16, LOOK_MS = 20, KNOWN = 1024, CONNECT_US = 30000 };

struct zmq_group {
    const serving *plan;
    char to_worker[48], to_collector[48], to_tokenizer[48];
};

struct link {
    void *context;
    void *in;
    void *out;
};

/* ---- sockets ---- */

static void *socket_of(void *context, int type, const char *address, bool binds)
{
    const int none = 0, look = LOOK_MS, again = 1;
    void *socket = zmq_socket(context, type);

    if (!socket || zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none)) ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none)) ||
        zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &again, sizeof(again)) ||
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &look, sizeof(look)) ||
        (binds ? zmq_bind(socket, address) : zmq_connect(socket, address)))
        die("a ZeroMQ socket at '%s': %s", address, zmq_strerror(errno));
    return socket;
}

/* All three links come up in any order; none of that is measured. */
static void let_connect(void)
{
    usleep(CONNECT_US);
}

static void link_close(const struct link *l)
{
    zmq_close(l->in);
    zmq_close(l->out);
    zmq_ctx_term(l->context);
}

/* False: nothing came. `flags` may be ZMQ_DONTWAIT. */
static bool receive(void *socket, zmq_msg_t *message, int flags)
{
    zmq_msg_init(message);
    if (zmq_msg_recv(message, socket, flags) >= 0)
        return true;
    if (errno != EAGAIN && errno != EINTR)
        die("ZeroMQ can't receive: %s", zmq_strerror(errno));
    return false;
}

static void release(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* Sends what was packed; `given` hands the memory over instead of copying it. */
static void send_packed(void *socket, msgpack_sbuffer *packed, bool given)
{
    zmq_msg_t message;
    int rc;

    if (given) {
        size_t size = packed->size;

        zmq_msg_init_data(&message, msgpack_sbuffer_release(packed), size, release, NULL);
        rc = zmq_msg_send(&message, socket, 0);
    } else {
        rc = zmq_send(socket, packed->data, packed->size, 0);
        msgpack_sbuffer_clear(packed);
    }
    if (rc < 0)
        die("ZeroMQ can't send: %s", zmq_strerror(errno));
}

static void pack_id(msgpack_packer *packer, uint64_t request)
{
    char id[ID_LENGTH + 1];

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)request);
    msgpack_pack_str(packer, ID_LENGTH);
    msgpack_pack_str_body(packer, id, ID_LENGTH);
}

static uint64_t id_of(const msgpack_object *o)
{
    char id[ID_LENGTH + 1] = "";

    memcpy(id, o->via.str.ptr, ID_LENGTH);
    return strtoull(id, NULL, 16);
}

/* ---- tokenizer ---- */

static void send_request(void *socket, uint64_t request, report *mine)
{
    const int64_t *prompt = serve_prompt(request);
    msgpack_sbuffer packed;
    msgpack_packer packer;

    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    pack_id(&packer, request);
    msgpack_pack_array(&packer, PROMPT_TOKENS);
    for (int i = 0; i < PROMPT_TOKENS; i++)
        msgpack_pack_int64(&packer, prompt[i]);
    msgpack_pack_int64(&packer, PROMPT_TOKENS + OUTPUT_TOKENS);
    msgpack_pack_uint64(&packer, request);
    mine->sum += packed.size;
    send_packed(socket, &packed, true);
}

static void tokenizer(run *r, report *mine, void *shared)
{
    const struct zmq_group *g = shared;
    struct link l = {.context = zmq_ctx_new()};
    int in_flight = 0;

    l.in = socket_of(l.context, ZMQ_PULL, g->to_tokenizer, true);
    l.out = socket_of(l.context, ZMQ_PUSH, g->to_worker, true);
    let_connect();
    run_begin(r, mine);
    while (!run_stopped(r) || in_flight) {
        zmq_msg_t message;

        while (in_flight < g->plan->in_flight && !run_stopped(r)) {
            send_request(l.out, mine->count += 1, mine);
            in_flight++;
        }
        if (receive(l.in, &message, 0)) {
            in_flight--;
            zmq_msg_close(&message);
        }
    }
    atomic_store(&r->feeding, 0);
    run_end(mine);
    link_close(&l);
}

/* ---- worker ---- */

struct held {
    uint64_t request;
    int64_t *tokens; /* the worker's own copy, as an engine has it */
    int64_t length;
    int64_t max_length;
};

static void take(struct held *held, const char *data, size_t size)
{
    msgpack_unpacked unpacked;
    const msgpack_object *fields;

    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, data, size, NULL) != MSGPACK_UNPACK_SUCCESS)
        die("a request can't be unpacked");
    fields = unpacked.data.via.array.ptr;
    held->request = id_of(&fields[0]);
    held->length = fields[1].via.array.size;
    held->max_length = fields[2].via.i64;
    held->tokens = malloc((size_t)held->max_length * sizeof(*held->tokens));
    for (int64_t i = 0; i < held->length; i++)
        held->tokens[i] = fields[1].via.array.ptr[i].via.i64;
    msgpack_unpacked_destroy(&unpacked);
}

/* Takes what there is room for; waits only if nothing is held. */
static int fill_batch(struct link *l, struct held *held, int count, int capacity)
{
    zmq_msg_t message;

    while (count < capacity && receive(l->in, &message, count ? ZMQ_DONTWAIT : 0)) {
        take(&held[count++], zmq_msg_data(&message), zmq_msg_size(&message));
        zmq_msg_close(&message);
    }
    return count;
}

/* One step of all; returns how many are left. */
static int step(const run *r, struct held *held, int count, msgpack_packer *packer)
{
    uint64_t now = 0;
    int left = 0;

    msgpack_pack_array(packer, (size_t)count);
    for (int i = 0; i < count; i++) {
        struct held *h = &held[i];
        uint64_t index = (uint64_t)h->length - PROMPT_TOKENS;
        int64_t token = serve_token_or_stamp(r, h->request, index, &now);
        bool done = h->length + 1 == h->max_length;

        h->tokens[h->length++] = token;
        msgpack_pack_array(packer, 3);
        pack_id(packer, h->request);
        msgpack_pack_array(packer, 1);
        msgpack_pack_int64(packer, token);
        done ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
        if (done)
            free(h->tokens);
        else
            held[left++] = *h;
    }
    return left;
}

static void work(run *r, report *mine, void *shared)
{
    const struct zmq_group *g = shared;
    struct link l = {.context = zmq_ctx_new()};
    struct held held[MAX_IN_FLIGHT];
    int count = 0;
    msgpack_sbuffer packed;
    msgpack_packer packer;

    l.in = socket_of(l.context, ZMQ_PULL, g->to_worker, false);
    l.out = socket_of(l.context, ZMQ_PUSH, g->to_collector, false);
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    let_connect();
    run_begin(r, mine);
    while (count || atomic_load(&r->feeding)) {
        count = fill_batch(&l, held, count, g->plan->in_flight / g->plan->workers);
        if (!count)
            continue;
        serve_pace(g->plan, mine);
        mine->count += (uint64_t)count;
        count = step(r, held, count, &packer);
        mine->sum += packed.size;
        send_packed(l.out, &packed, false);
    }
    run_end(mine);
    msgpack_sbuffer_destroy(&packed);
    link_close(&l);
}

/* ---- collector ---- */

/* What is known of the requests in flight, at their number modulo the table's size. */
struct open_request {
    uint64_t request;
    uint64_t received;
};

static void collect_one(run *r, const msgpack_object *output, struct open_request *known,
                        uint64_t now)
{
    const msgpack_object *fields = output->via.array.ptr;
    uint64_t request = id_of(&fields[0]), index;
    int64_t token = fields[1].via.array.ptr[0].via.i64;

    if (known->request != request)
        *known = (struct open_request){.request = request};
    index = known->received++;
    if (index % STAMP_EACH == 0)
        run_delay(r, (uint64_t)token, now);
    else if (token != serve_token(request, index))
        die("token %llu of request %llu is wrong", (unsigned long long)index,
            (unsigned long long)request);
}

/* One step's tokens; what is done is told to the tokenizer. */
static void collect(run *r, report *mine, const struct link *l, zmq_msg_t *message)
{
    static struct open_request known[KNOWN];
    msgpack_unpacked unpacked;
    uint64_t now = run_stamp(r);

    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, zmq_msg_data(message), zmq_msg_size(message), NULL) !=
        MSGPACK_UNPACK_SUCCESS)
        die("a step's tokens can't be unpacked");
    for (uint32_t i = 0; i < unpacked.data.via.array.size; i++) {
        const msgpack_object *output = &unpacked.data.via.array.ptr[i];
        const msgpack_object *fields = output->via.array.ptr;

        collect_one(r, output, &known[id_of(&fields[0]) % KNOWN], now);
        mine->count++;
        if (fields[2].via.boolean)
            zmq_send(l->out, fields[0].via.str.ptr, ID_LENGTH, 0);
    }
    msgpack_unpacked_destroy(&unpacked);
}

static void collector(run *r, report *mine, void *shared)
{
    const struct zmq_group *g = shared;
    struct link l = {.context = zmq_ctx_new()};

    l.in = socket_of(l.context, ZMQ_PULL, g->to_collector, true);
    l.out = socket_of(l.context, ZMQ_PUSH, g->to_tokenizer, false);
    let_connect();
    run_begin(r, mine);
    while (atomic_load(&r->feeding)) {
        zmq_msg_t message;

        if (!receive(l.in, &message, 0))
            continue;
        collect(r, mine, &l, &message);
        zmq_msg_close(&message);
        mine->ended = now_ns();
    }
    run_end_at(mine, mine->ended);
    link_close(&l);
}

/* ---- the group ---- */

static double copied_a_request(const run *r, int workers)
{
    double bytes = (double)r->reports[0].sum / (double)r->reports[0].count;
    double steps = 0, tokens = 0;

    for (int i = 0; i < workers; i++) {
        steps += (double)r->reports[2 + i].sum;
        tokens += (double)r->reports[2 + i].count;
    }
    return 4 * (bytes + steps / tokens * OUTPUT_TOKENS); /* packed, written, read, unpacked */
}

served serve_zmq(const serving *s)
{
    struct zmq_group g = {.plan = s};
    run *r = run_new();
    served result;

    snprintf(g.to_worker, sizeof(g.to_worker), "ipc://@hop-%d-worker", (int)getpid());
    snprintf(g.to_collector, sizeof(g.to_collector), "ipc://@hop-%d-collector", (int)getpid());
    snprintf(g.to_tokenizer, sizeof(g.to_tokenizer), "ipc://@hop-%d-tokenizer", (int)getpid());
    atomic_store(&r->feeding, 1);
    run_add(r, tokenizer, &g, serve_place(SERVE_TOKENIZER));
    run_add(r, collector, &g, serve_place(SERVE_COLLECTOR));
    for (int i = 0; i < s->workers; i++)
        run_add(r, work, &g, serve_place(SERVE_WORKER + i));
    run_go(r);
    usleep((useconds_t)(s->seconds * 1e6));
    run_stop(r);
    run_wait(r);
    result = serve_result(r, &r->reports[1]);
    result.copied = copied_a_request(r, s->workers);
    run_free(r);
    return result;
}

/* ---- W2: a word there and back ---- */

struct zmq_trip {
    char addresses[2][48];
    struct link links[2];
};

static void *zmq_trip_open(const trip *t)
{
    struct zmq_trip *z = share(sizeof(*z));

    (void)t;
    for (int i = 0; i < 2; i++)
        snprintf(z->addresses[i], sizeof(z->addresses[i]), "ipc://@hop-%d-%d", (int)getpid(), i);
    return z;
}

static void zmq_trip_enter(void *shared, int side)
{
    struct zmq_trip *z = shared;
    struct link *l = &z->links[side];

    l->context = zmq_ctx_new();
    l->in = socket_of(l->context, ZMQ_PULL, z->addresses[!side], true);
    l->out = socket_of(l->context, ZMQ_PUSH, z->addresses[side], false);
    let_connect();
}

static void zmq_trip_give(void *shared, int side, uint32_t word)
{
    const struct zmq_trip *z = shared;

    if (zmq_send(z->links[side].out, &word, sizeof(word), 0) < 0)
        die("ZeroMQ can't send: %s", zmq_strerror(errno));
}

static uint32_t zmq_trip_take(void *shared, int side)
{
    const struct zmq_trip *z = shared;
    uint32_t word;

    while (zmq_recv(z->links[side].in, &word, sizeof(word), 0) != sizeof(word))
        if (errno != EAGAIN)
            die("ZeroMQ can't receive: %s", zmq_strerror(errno));
    return word;
}

static void zmq_trip_leave(void *shared, int side)
{
    const struct zmq_trip *z = shared;

    link_close(&z->links[side]); /* waits until all is sent */
}

static void zmq_trip_close(void *shared)
{
    munmap(shared, sizeof(struct zmq_trip));
}

const trip trip_zmq = {
    .name = "ZeroMQ",
    .sleeps = true,
    .open = zmq_trip_open,
    .enter = zmq_trip_enter,
    .give = zmq_trip_give,
    .take = zmq_trip_take,
    .leave = zmq_trip_leave,
    .close = zmq_trip_close,
};
