/*
 * probes.h - static probe points (USDT), for bpftrace, perf and gdb (private to ipc/)
 *
 * A probe is a nop and a note in the binary that tells where its arguments lie; docs/trace.md
 * lists them. Arguments are ordinals, slots and counts, never an id or a text; give it what is at
 * hand, so that nothing is computed for a probe that nobody watches. Without Debian's
 * systemtap-sdt-dev there are none.
 */
#ifndef MILLRACE_IPC_PROBES_H
#define MILLRACE_IPC_PROBES_H

#include "config.h"

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
/* Clang blames what that header's macros expand to on the line that uses them. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#define MR_PROBE3(name, a, b, c)    DTRACE_PROBE3(millrace, name, a, b, c)
#define MR_PROBE4(name, a, b, c, d) DTRACE_PROBE4(millrace, name, a, b, c, d)
#else
#define MR_PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define MR_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
