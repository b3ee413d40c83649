/*
 * command.c - the verbs that command a running group: drain, scale, cancel
 *
 * Each sends one order over the group's control socket and prints the answer. Who may is settled
 * there: the user whose group it is.
 */
#include "runtime/supervisor/command.h"
#include "runtime/log.h"
#include "runtime/supervisor/group.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <millrace/supervise.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMMAND_DONE = 0, COMMAND_REFUSED = 1, COMMAND_WRONG = 2 };

struct usage {
    const char *arguments;
    const char *text;
};

/* ---- arguments ---- */

static bool is_help(int argc, char **argv)
{
    return argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

static int help(const char *verb, const struct usage *usage)
{
    printf("usage: millrace %s %s\n\n%s\nExit status: 0 done, 1 not done, 2 wrong usage.\n", verb,
           usage->arguments, usage->text);
    return COMMAND_DONE;
}

static int wrong(const char *verb, const struct usage *usage)
{
    log_error("usage: millrace %s %s; see 'millrace %s --help'", verb, usage->arguments, verb);
    return COMMAND_WRONG;
}

static bool read_word(mr_command *command, const char *word)
{
    if (*word == '\0' || strlen(word) >= sizeof(command->word)) {
        log_error("'%.40s' is %s to be the name of anything", word,
                  *word == '\0' ? "too short" : "too long");
        return false;
    }
    snprintf(command->word, sizeof(command->word), "%s", word);
    return true;
}

static bool read_count(mr_command *command, const char *word)
{
    char *end;
    unsigned long number;
    errno = 0;
    number = strtoul(word, &end, 10);
    if (errno != 0 || word[0] < '0' || word[0] > '9' || *end != '\0' ||
        number > GROUP_MAX_WORKERS) {
        log_error("the number of workers is '%s', but must lie in [0, %d]", word,
                  GROUP_MAX_WORKERS);
        return false;
    }
    command->number = (uint32_t)number;
    return true;
}

/* ---- the one run of this user ---- */

/* The NAME of "millrace.NAME.sock". */
static bool name_of_socket(const char *file, char name[MR_NAME_MAX + 1])
{
    static const char head[] = "millrace.", tail[] = ".sock";
    size_t length = strlen(file), around = sizeof(head) - 1 + sizeof(tail) - 1;
    if (length <= around || length - around > MR_NAME_MAX ||
        strncmp(file, head, sizeof(head) - 1) != 0 ||
        strcmp(file + length - (sizeof(tail) - 1), tail) != 0)
        return false;
    snprintf(name, MR_NAME_MAX + 1, "%.*s", (int)(length - around), file + sizeof(head) - 1);
    return true;
}

static bool is_mine_and_lives(int folder, const char *file, const char *name)
{
    struct stat status;
    mr_domain *domain;
    if (fstatat(folder, file, &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_uid != geteuid() ||
        mr_domain_open(&domain, name) < 0)
        return false;
    mr_domain_close(domain);
    return true;
}

/* find_only - the name of the one run of this user; how many there are */
static unsigned find_only(char only[MR_NAME_MAX + 1])
{
    char name[MR_NAME_MAX + 1];
    unsigned count = 0;
    struct dirent *entry;
    DIR *folder = opendir("/dev/shm");
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (!name_of_socket(entry->d_name, name) ||
            !is_mine_and_lives(dirfd(folder), entry->d_name, name))
            continue;
        snprintf(only, MR_NAME_MAX + 1, "%s", name);
        count++;
    }
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* ---- the verbs ---- */

static int ask(const char *name, const mr_command *command)
{
    char text[256];
    if (mr_control_ask(name, command, text, sizeof(text)) == 0) {
        puts(text);
        return COMMAND_DONE;
    }
    log_error("%s", text);
    return COMMAND_REFUSED;
}

int drain_main(int argc, char **argv)
{
    static const struct usage usage = {
        "[NAME] WORKER",
        "The worker of the run NAME (without it: of your only one) hands its requests back "
        "between\n"
        "two steps and leaves; others go on with them. WORKER is its name, as ps shows it, or its\n"
        "process id. It is not started again; the command returns when it has left.\n"};
    mr_command command = {.verb = MR_VERB_DRAIN};
    char only[MR_NAME_MAX + 1];
    unsigned runs = 1;
    log_open("millrace", LOG_LEVEL_WARNING);
    if (is_help(argc, argv))
        return help("drain", &usage);
    if (argc != 2 && argc != 3)
        return wrong("drain", &usage);
    if (!read_word(&command, argv[argc - 1]))
        return COMMAND_WRONG;
    if (argc == 2 && (runs = find_only(only)) != 1) {
        log_error("%s; say which one has the worker '%.40s': millrace drain NAME WORKER",
                  runs == 0 ? "no run of yours is there" : "you have several runs", argv[1]);
        return COMMAND_REFUSED;
    }
    return ask(argc == 3 ? argv[1] : only, &command);
}

int scale_main(int argc, char **argv)
{
    static const struct usage usage = {
        "NAME N",
        "From now on the run NAME has N workers of its own: missing ones are started, from the\n"
        "binary as it is now, and those that are too many, the youngest first, hand their "
        "requests\n"
        "back between two steps and leave.\n"};
    mr_command command = {.verb = MR_VERB_SCALE};
    log_open("millrace", LOG_LEVEL_WARNING);
    if (is_help(argc, argv))
        return help("scale", &usage);
    if (argc != 3)
        return wrong("scale", &usage);
    return read_count(&command, argv[2]) ? ask(argv[1], &command) : COMMAND_WRONG;
}

int cancel_main(int argc, char **argv)
{
    static const struct usage usage = {
        "NAME CUSTOM_ID",
        "The request of the run NAME ends, with all its choices, within one step; it is answered\n"
        "with the error 'cancelled'. One that is answered already, or that the run hasn't read "
        "yet,\n"
        "can't be cancelled.\n"};
    mr_command command = {.verb = MR_VERB_CANCEL};
    log_open("millrace", LOG_LEVEL_WARNING);
    if (is_help(argc, argv))
        return help("cancel", &usage);
    if (argc != 3)
        return wrong("cancel", &usage);
    return read_word(&command, argv[2]) ? ask(argv[1], &command) : COMMAND_WRONG;
}
