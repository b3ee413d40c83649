/*
 * fetch.c - where the bytes of an image or a sound come from
 */
#include "runtime/media/fetch.h"
#include "runtime/media/base64.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* A piece of the URL; it has no end of its own. */
struct text {
    const char *bytes;
    size_t length;
};

static struct text behind(struct text text, size_t count)
{
    return (struct text){text.bytes + count, text.length - count};
}

/* Scheme and host are the same in capitals. */
static bool begins_with(struct text text, const char *beginning)
{
    size_t length = strlen(beginning);
    return text.length >= length && strncasecmp(text.bytes, beginning, length) == 0;
}

static int too_large(struct media_error *error, size_t limit)
{
    return media_fail(error, -EFBIG, "it has more than the %zu bytes that are allowed", limit);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Each %XX becomes its byte; false: a '%' without two digits. `out` has room for text.length. */
static bool percent_decode(struct text text, unsigned char *out, size_t *out_length)
{
    unsigned char *end = out;
    while (text.length > 0) {
        const char *percent = memchr(text.bytes, '%', text.length);
        size_t plain = percent != NULL ? (size_t)(percent - text.bytes) : text.length;
        int high, low;
        memcpy(end, text.bytes, plain);
        end += plain;
        text = behind(text, plain);
        if (text.length == 0)
            break;
        high = text.length >= 3 ? hex_digit(text.bytes[1]) : -1;
        low = high >= 0 ? hex_digit(text.bytes[2]) : -1;
        if (low < 0)
            return false;
        *end++ = (unsigned char)(high << 4 | low);
        text = behind(text, 3);
    }
    *out_length = (size_t)(end - out);
    return true;
}

/* Into memory of the content's own length. */
static int decode_content(struct text content, bool base64, struct media_bytes *bytes,
                          struct media_error *error)
{
    if (!percent_decode(content, bytes->bytes, &bytes->length))
        return media_fail(error, -EINVAL,
                          "the data: URL is broken: a '%%' is not followed by two hex digits");
    if (base64 &&
        base64_decode((char *)bytes->bytes, bytes->length, bytes->bytes, &bytes->length) < 0)
        return media_fail(error, -EINVAL,
                          "the data: URL is broken: its base64 must be groups of four characters, "
                          "the last padded with '=', without blanks");
    return 0;
}

static int fetch_data(struct text url, size_t limit, struct media_bytes *bytes,
                      struct media_error *error)
{
    static const char mark[] = ";base64";
    const size_t mark_length = sizeof(mark) - 1;
    const char *comma = memchr(url.bytes, ',', url.length);
    struct text head, content;
    unsigned char *shrunk;
    int status;
    if (comma == NULL)
        return media_fail(error, -EINVAL,
                          "the data: URL is broken: it has no ',' before its content");
    head = (struct text){url.bytes, (size_t)(comma - url.bytes)};
    content = behind(url, head.length + 1);
    if (content.length > 3 * BASE64_ENCODED(limit)) /* each of its characters may be a %XX */
        return too_large(error, limit);
    bytes->bytes = malloc(content.length + 1);
    if (bytes->bytes == NULL)
        return media_fail(error, -ENOMEM, "no memory for the content of a data: URL");
    status = decode_content(content,
                            head.length >= mark_length &&
                                begins_with(behind(head, head.length - mark_length), mark),
                            bytes, error);
    if (status == 0 && bytes->length > limit)
        status = too_large(error, limit);
    shrunk = status == 0 ? realloc(bytes->bytes, bytes->length + 1) : NULL;
    if (shrunk != NULL)
        bytes->bytes = shrunk;
    return status;
}

/* How much of a path a sentence shows: whole characters. */
static int shown(const char *path)
{
    enum { SHOWN = 120 };
    size_t length = strnlen(path, SHOWN + 1);
    if (length <= SHOWN)
        return (int)length;
    for (length = SHOWN; length > 0 && ((unsigned char)path[length] & 0xC0) == 0x80;)
        length--;
    return (int)length;
}

static int cannot(struct media_error *error, const char *what, const char *path)
{
    int reason = errno;
    return media_fail(error, -reason, "cannot %s '%.*s': %s", what, shown(path), path,
                      strerror(reason));
}

/* Reads `length` bytes, which the file had a moment ago. */
static int read_all(int fd, unsigned char *bytes, size_t length, const char *path,
                    struct media_error *error)
{
    size_t have = 0;
    while (have < length) {
        ssize_t count = read(fd, bytes + have, length - have);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return cannot(error, "read", path);
        if (count == 0)
            return media_fail(error, -EINVAL, "'%.*s' became shorter while it was read",
                              shown(path), path);
        have += (size_t)count;
    }
    return 0;
}

static int read_regular(int fd, const char *path, size_t limit, struct media_bytes *bytes,
                        struct media_error *error)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0)
        return cannot(error, "look at", path);
    if (!S_ISREG(stat.st_mode))
        return media_fail(error, -ENOTSUP, "'%.*s' is not a regular file", shown(path), path);
    if ((uintmax_t)stat.st_size > limit)
        return media_fail(error, -EFBIG, "'%.*s' has %jd bytes; %zu are allowed", shown(path), path,
                          (intmax_t)stat.st_size, limit);
    bytes->length = (size_t)stat.st_size;
    bytes->bytes = malloc(bytes->length + 1);
    if (bytes->bytes == NULL)
        return media_fail(error, -ENOMEM, "no memory for the %zu bytes of '%.*s'", bytes->length,
                          shown(path), path);
    return read_all(fd, bytes->bytes, bytes->length, path, error);
}

/* A path may come with any length and any byte in it. */
static int fetch_file(struct text text, size_t limit, struct media_bytes *bytes,
                      struct media_error *error)
{
    char path[PATH_MAX];
    int fd, status;
    if (text.length == 0)
        return media_fail(error, -EINVAL, "it is empty; give a data: URL or the path of a file");
    if (text.length >= sizeof(path))
        return media_fail(error, -ENAMETOOLONG, "a path of %zu bytes is too long", text.length);
    if (memchr(text.bytes, '\0', text.length) != NULL)
        return media_fail(error, -EINVAL, "a path can't have a NUL in it");
    memcpy(path, text.bytes, text.length);
    path[text.length] = '\0';
    /* Without O_NONBLOCK a FIFO would let us wait for its writer. */
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return cannot(error, "open", path);
    status = read_regular(fd, path, limit, bytes, error);
    close(fd);
    return status;
}

static int fetch_file_url(struct text url, size_t limit, struct media_bytes *bytes,
                          struct media_error *error)
{
    unsigned char decoded[3 * PATH_MAX]; /* a path of which each byte is written as %XX */
    struct text path = behind(url, strlen("file:"));
    size_t length;
    if (begins_with(path, "//localhost/"))
        path = behind(path, strlen("//localhost"));
    else if (begins_with(path, "///"))
        path = behind(path, strlen("//"));
    if (!begins_with(path, "/") || begins_with(path, "//"))
        return media_fail(error, -EINVAL,
                          "a file: URL must name an absolute path of this machine: file:///PATH");
    if (path.length > sizeof(decoded))
        return media_fail(error, -ENAMETOOLONG, "a path of %zu bytes is too long", path.length);
    if (!percent_decode(path, decoded, &length))
        return media_fail(error, -EINVAL,
                          "the file: URL is broken: a '%%' is not followed by two hex digits");
    return fetch_file((struct text){(const char *)decoded, length}, limit, bytes, error);
}

/* The length of a scheme before "://", or 0. */
static size_t foreign_scheme(struct text url)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    size_t length = 0;
    while (length < url.length && url.bytes[length] != '\0' &&
           strchr(allowed, url.bytes[length]) != NULL)
        length++;
    return begins_with(behind(url, length), "://") ? length : 0;
}

static int fetch(struct text url, size_t limit, struct media_bytes *bytes,
                 struct media_error *error)
{
    size_t scheme = foreign_scheme(url);
    if (begins_with(url, "data:"))
        return fetch_data(url, limit, bytes, error);
    if (begins_with(url, "file:"))
        return fetch_file_url(url, limit, bytes, error);
    if (scheme > 0)
        return media_fail(error, -ENOTSUP,
                          "nothing is fetched from a network ('%.*s://...'); give the content "
                          "itself as a data: URL, or the path of a file",
                          (int)(scheme < 20 ? scheme : 20), url.bytes);
    return fetch_file(url, limit, bytes, error);
}

int media_fetch(const char *url, size_t length, size_t limit, struct media_bytes *bytes,
                struct media_error *error)
{
    int status;
    *bytes = (struct media_bytes){0};
    status = fetch((struct text){url, length}, limit, bytes, error);
    if (status < 0) {
        free(bytes->bytes);
        *bytes = (struct media_bytes){0};
    }
    return status;
}
