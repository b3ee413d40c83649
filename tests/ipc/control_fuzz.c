/*
 * control_fuzz.c - any bytes said to the supervisor's socket
 *
 * A libFuzzer target. The input is what up to three callers say in turn: {caller 1, length 2} and
 * that many bytes of a message, again and again. What a message is meant to be, magic number and
 * layout included, the first bit of `caller` lets the target fill in, since no guess would meet
 * them. Whatever was said, the supervisor hears all of it, and nobody but a caller who greeted well
 * has a place.
 */
#include "ipc/control.h"
#include "tests/fuzz/fuzz.h"
#include <millrace/error.h>
#include <millrace/supervise.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALLERS = 3, MESSAGES_MAX = 16, MESSAGE_MAX = 2048, EVENTS_MAX = 100 };

static mr_domain *domain;

static void remove_domain(void)
{
    mr_domain_remove(domain);
}

static void make_domain(void)
{
    const mr_domain_options options = {
        .size = sizeof(options), .slots = 2, .arena_bytes = 65536, .max_length = 64, .id_table = 8};
    char name[40];

    mr_domain_clean();
    snprintf(name, sizeof(name), "fuzz-control-%d", (int)getpid());
    if (mr_domain_create(&domain, name, &options)) {
        fprintf(stderr, "no domain to fuzz: %s\n", mr_error());
        abort();
    }
    atexit(remove_domain);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/dev/shm/millrace.%s.sock",
             domain->info.name);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
        abort();
    return fd;
}

/* ---- the supervisor's side ---- */

static void check_command(const mr_command *command)
{
    if (!memchr(command->word, 0, sizeof(command->word)))
        abort();
}

static void hear_all(mr_control *control)
{
    mr_control_event event;
    int events = 0;

    while (!mr_control_next(control, &event) && event.kind != MR_CONTROL_NONE) {
        if (++events > EVENTS_MAX)
            abort();
        if (event.kind == MR_CONTROL_REFUSED && !event.why[0])
            abort();
        if (event.kind == MR_CONTROL_COMMAND) {
            check_command(&event.command);
            if (event.command.number & 1) /* others are never answered */
                mr_control_answer(control, event.caller, 0, "done");
        }
        if (event.kind == MR_CONTROL_LEFT || event.kind == MR_CONTROL_DIED)
            mr_supervisor_sweep(domain, event.member, NULL);
    }
}

/* ---- the callers' side ---- */

static void fill_in(unsigned char *message, size_t length, bool order)
{
    const uint64_t magic = order ? MR_ORDER_MAGIC : MR_GREETING_MAGIC;
    const uint32_t greeting[] = {MR_ABI, sizeof(mr_greeting)}, size = sizeof(mr_order);

    memcpy(message, &magic, sizeof(magic));
    if (order) {
        memcpy(message + offsetof(mr_order, bytes), &size, sizeof(size));
    } else if (length >= sizeof(mr_greeting)) {
        memcpy(message + offsetof(mr_greeting, abi), greeting, sizeof(greeting));
        memcpy(message + offsetof(mr_greeting, layout), &domain->header->layout, 8);
    }
}

static void say(int fd, unsigned how, const unsigned char *bytes, size_t length)
{
    unsigned char message[MESSAGE_MAX] = {0};
    const size_t wanted = how & 8 ? sizeof(mr_order) : sizeof(mr_greeting);

    memcpy(message, bytes, length);
    if (how & 4) {
        length = how & 16 ? length : wanted;
        if (length >= 16)
            fill_in(message, length, (how & 8) != 0);
    }
    send(fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void talk(mr_control *control, const unsigned char *bytes, size_t size)
{
    int callers[CALLERS] = {-1, -1, -1};

    for (int i = 0; i < MESSAGES_MAX && size >= 3; i++) {
        unsigned how = bytes[0], who = how % 4;
        size_t length = (size_t)bytes[1] | (size_t)bytes[2] << 8;

        length = length % MESSAGE_MAX < size - 3 ? length % MESSAGE_MAX : size - 3;
        if (who < CALLERS && callers[who] < 0)
            callers[who] = dial();
        if (who < CALLERS) {
            say(callers[who], how, bytes + 3, length);
        } else if (callers[length % CALLERS] >= 0) { /* hangs up */
            close(callers[length % CALLERS]);
            callers[length % CALLERS] = -1;
        }
        hear_all(control);
        bytes += 3 + length;
        size -= 3 + length;
    }
    for (int i = 0; i < CALLERS; i++)
        if (callers[i] >= 0)
            close(callers[i]);
    hear_all(control);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    mr_control *control;

    if (!domain)
        make_domain();
    if (mr_control_open(&control, domain))
        abort();
    talk(control, bytes, size);
    mr_control_close(control);
    for (int i = 0; i < MR_MAX_MEMBERS; i++) /* who greeted is this very process: it lives on */
        mr_supervisor_sweep(domain, i, NULL);
    return 0;
}
