/*
 * segment.c - shared-memory objects: made whole or not at all
 *
 * An object is made without a name (O_TMPFILE), reserved by posix_fallocate() so that a full
 * /dev/shm is an error here and not a SIGBUS later, filled by its creator, locked, and only then
 * linked to its name. So nobody ever opens a half-made one, a creator that is killed leaves nothing
 * behind, and of two creators of one name the second is told EEXIST by the kernel. What has a name
 * is what shm_open(3) would open.
 *
 * The kernel drops locks when their holder dies: that, and no timeout, says whether a domain lives.
 * Byte 0: every member, shared. Byte 1: the supervisor, exclusive.
 */
#include "ipc/segment.h"
#include "ipc/error.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/domain.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void mr_segment_path(char path[MR_PATH_MAX], const char *name, const char *what)
{
    snprintf(path, MR_PATH_MAX, "/dev/shm/millrace.%s.%s", name, what);
}

int mr_segment_name_valid(const char *name)
{
    size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    if (!length || name[length] || length > MR_NAME_MAX)
        return mr_fail(
            EINVAL,
            "domain name '%.60s' is not 1 to %d letters, digits, '.', '_' or '-'; choose "
            "another",
            name, MR_NAME_MAX);
    return 0;
}

int mr_segment_make(uint64_t bytes, mode_t mode, unsigned char **map)
{
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    int rc;

    if (fd < 0)
        return mr_fail(errno, "cannot make shared memory in '/dev/shm': %s", strerror(errno));
    rc = fchmod(fd, mode) ? errno : posix_fallocate(fd, 0, (off_t)bytes);
    if (rc) {
        close(fd);
        return mr_fail(rc,
                       "cannot reserve %.1f MiB in '/dev/shm': %s; make it larger, or ask for less "
                       "memory, fewer slots or shorter contexts",
                       (double)bytes / 1048576, strerror(rc));
    }
    rc = mr_segment_map(fd, true, map, &bytes);
    if (rc) {
        close(fd);
        return rc;
    }
    return fd;
}

int mr_segment_publish(int fd, const char *path)
{
    char self[32];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
        return mr_fail(errno, "cannot name shared memory '%s': %s", path, strerror(errno));
    return 0;
}

int mr_segment_map(int fd, bool writable, unsigned char **map, uint64_t *bytes)
{
    struct stat st;
    void *at;

    if (fstat(fd, &st))
        return mr_fail(errno, "cannot look at shared memory: %s", strerror(errno));
    if (st.st_size <= 0)
        return mr_fail(EBADMSG, "a segment of shared memory is empty; remove it and start again");
    at = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
              fd, 0);
    if (at == MAP_FAILED)
        return mr_fail(errno, "cannot map %lld bytes of shared memory: %s", (long long)st.st_size,
                       strerror(errno));
    madvise(at, (size_t)st.st_size, MADV_DONTFORK); /* a forked child must not write */
    *map = at;
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static struct flock whole_lock(short type, off_t byte)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

int mr_segment_lock_member(int fd)
{
    struct flock lock = whole_lock(F_RDLCK, 0);

    return fcntl(fd, F_OFD_SETLK, &lock)
               ? mr_fail(errno, "cannot lock the domain's memory: %s", strerror(errno))
               : 0;
}

int mr_segment_lock_supervisor(int fd)
{
    struct flock lock = whole_lock(F_WRLCK, 1);

    if (!fcntl(fd, F_OFD_SETLK, &lock))
        return 0;
    return mr_fail(errno == EAGAIN || errno == EACCES ? EBUSY : errno,
                   "the domain has a living supervisor");
}

static bool locked_by_others(int fd, off_t byte)
{
    struct flock lock = whole_lock(F_WRLCK, byte);

    return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

bool mr_segment_has_members(int fd)
{
    return locked_by_others(fd, 0);
}

bool mr_segment_has_supervisor(int fd)
{
    return locked_by_others(fd, 1);
}
