/*
 * control.h - the words spoken on a domain's control socket (private to ipc/)
 *
 * A SOCK_SEQPACKET socket in /dev/shm: a member greets, the supervisor answers with a place and the
 * queues' eventfds, or with a refusal; the connection then stays open. Or somebody gives an order,
 * is answered, and is hung up on. Who it is, the supervisor learns from the kernel (SO_PEERCRED),
 * never from the message.
 */
#ifndef MILLRACE_IPC_CONTROL_H
#define MILLRACE_IPC_CONTROL_H

#include "ipc/domain.h"
#include <millrace/supervise.h>

#define MR_GREETING_MAGIC UINT64_C(0x3147455254524d)

typedef struct mr_greeting {
    uint64_t magic;
    uint32_t abi;
    uint32_t bytes;
    uint64_t layout;
    uint32_t role;
    uint32_t stage;
    uint32_t capacity;
    uint32_t flags;
    uint32_t vocabulary;
    uint32_t has_stage_name;
    uint64_t model_fingerprint;
    char stage_name[48];
    char fingerprint[128];
    char name[32];
    uint32_t kinds;
    uint32_t reserved_word;
    uint64_t reserved[7];
} mr_greeting;

typedef struct mr_answer {
    uint64_t magic;
    int32_t place; /* or -errno */
    uint32_t bytes;
    char why[200];
    uint64_t reserved[4];
} mr_answer;

#define MR_ORDER_MAGIC UINT64_C(0x315245445252524d)

typedef struct mr_order {
    uint64_t magic;
    uint32_t bytes;
    uint32_t reserved_word;
    mr_command command;
    uint64_t reserved[4];
} mr_order;

enum { MR_GOODBYE = 'G' };

/* mr_control_greet - as a member: ask for a place; returns its index and the socket. Stores the
 * eventfds in the domain. */
int mr_control_greet(mr_domain *domain, const mr_member_options *options, int *socket);
void mr_control_say_goodbye(int socket);
bool mr_control_hung_up(int socket); /* the supervisor is gone */

#endif
