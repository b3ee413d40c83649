/*
 * main.c - the millrace program: which verb was asked for
 *
 * `tokenizer` and `collector` are for the supervisor alone; see process.h.
 */
#include "runtime/monitor/fsck.h"
#include "runtime/monitor/monitor.h"
#include "runtime/process.h"
#include "runtime/supervisor/command.h"
#include "runtime/supervisor/run.h"
#include "runtime/verify/verify.h"
#include <stdio.h>
#include <string.h>

static int help_main(int argc, char **argv);

static int version_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("millrace %s\n", mr_version());
    return 0;
}

static const struct verb {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help; /* NULL: hidden */
} verbs[] = {
    {"run", run_main, "answer the requests of a file or stream"},
    {"drain", drain_main, "have a worker of a run hand its requests back and leave"},
    {"scale", scale_main, "change the number of a run's workers"},
    {"cancel", cancel_main, "end a request of a run"},
    {"ls", ls_main, "the domains of this machine"},
    {"stat", stat_main, "all that a domain counts"},
    {"top", top_main, "a domain on the terminal, once a second"},
    {"metrics", metrics_main, "what a domain counts, for Prometheus"},
    {"trace", trace_main, "the way of a request: who did what with it, and when"},
    {"fsck", fsck_main, "check a domain's memory, of a run that goes on or is dead"},
    {"verify-worker", verify_main, "tell whether a worker of your own does what it should"},
    {"help", help_main, "this text"},
    {"version", version_main, "the version of the program"},
    {"--help", help_main, NULL},
    {"-h", help_main, NULL},
    {"--version", version_main, NULL},
    {"tokenizer", tokenizer_main, NULL},
    {"collector", collector_main, NULL},
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static int help_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("usage: millrace VERB [ARGUMENT...]\n\nverbs, each with --help:");
    for (int i = 0; i < VERBS; i++)
        if (verbs[i].help != NULL)
            printf("  %-13s %s\n", verbs[i].name, verbs[i].help);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 0; argc > 1 && i < VERBS; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].main(argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "millrace: '%s' is no verb; see 'millrace help'\n", argv[1]);
    else
        fputs("millrace: no verb is given; see 'millrace help'\n", stderr);
    return 2;
}
