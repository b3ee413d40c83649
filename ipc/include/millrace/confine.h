/*
 * millrace/confine.h - what no member of a domain needs once it has started
 */
#ifndef MILLRACE_CONFINE_H
#define MILLRACE_CONFINE_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * mr_confine - give up, for all threads of this process and for good, what a member never needs
 *
 * Afterwards the kernel refuses with EPERM: to run a program, to trace or to read another process,
 * to make a socket other than AF_UNIX, to mount, to change namespaces, keys, modules, the kernel or
 * the clock (docs/security.md has the list). Sets no_new_privs. It is a list of what is denied, so
 * a newer C library or kernel breaks nothing.
 *
 * Returns 0; -ENOSYS where the kernel or a container refuses seccomp, or -ECANCELED where the
 * environment says MILLRACE_SECCOMP=off: then all is as before, and a member goes on.
 */
int mr_confine(void);

#ifdef __cplusplus
}
#endif
#endif
