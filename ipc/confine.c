/*
 * confine.c - a seccomp filter for members: what they never need is refused
 *
 * The filter denies and lets all else pass: an allow-list would break with each C library that
 * takes another call for the same purpose. It is no wall around hostile code, which may still open
 * the user's files; it takes away the usual next steps of somebody who has got into a process by
 * its input.
 */
#include "ipc/error.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <millrace/confine.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE_ARCH

enum { X32_BIT = 0x40000000 }; /* x86-64's other way to number its calls */

static const unsigned denied[] = {
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_open_by_handle_at,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
};

enum { DENIED = sizeof(denied) / sizeof(*denied), HEAD = 5, SOCKET = 4, TAIL = 2 };
enum { LENGTH = HEAD + SOCKET + DENIED + TAIL };

_Static_assert(LENGTH < 256, "a jump of the filter is one byte");

/* The last instruction refuses, the one before it allows. */
static struct sock_filter jump_to_refusal(unsigned condition, unsigned value, int at)
{
    return (struct sock_filter)BPF_JUMP(BPF_JMP | condition | BPF_K, value,
                                        (unsigned char)(LENGTH - 2 - at), 0);
}

static void fill(struct sock_filter *filter)
{
    int n = 0;

    filter[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
    filter[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, LENGTH - 2 - n, 0, 0);
    n++;
    filter[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    filter[n] = jump_to_refusal(BPF_JGE, X32_BIT, n);
    n++;
    for (int i = 0; i < DENIED; i++, n++)
        filter[n] = jump_to_refusal(BPF_JEQ, denied[i], n);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                               offsetof(struct seccomp_data, args[0]));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0);
    filter[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, LENGTH - 2 - n, 0, 0);
    n++;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
}

static int install(void)
{
    struct sock_filter filter[LENGTH];
    struct sock_fprog program = {.len = LENGTH, .filter = filter};

    fill(filter);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        return mr_fail(ENOSYS, "the kernel refuses a seccomp filter: %s", strerror(errno));
    return 0;
}

#else

static int install(void)
{
    return mr_fail(ENOSYS, "there is no seccomp filter for this kind of processor");
}

#endif

int mr_confine(void)
{
    const char *way = getenv("MILLRACE_SECCOMP");

    if (way && !strcmp(way, "off"))
        return mr_fail(ECANCELED, "MILLRACE_SECCOMP is 'off'");
    return install();
}
