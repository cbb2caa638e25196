/* Stands between a process and the disk: LD_PRELOAD=shim.so.
 *
 * It records what the process does below DOCKET_SHIM_ROOT, in order, into DOCKET_SHIM_TRACE: creations, writes with their
 * bytes, renames, removals, the beginning and the end of every sync, and what is written to standard output (the
 * acknowledgements). From that a test builds the disk as a power cut at any instant would have left it.
 *
 * DOCKET_SHIM_FAIL=N:ERRNO:HOW makes the N-th changing call below the root fail. HOW is "once", "short" (a write does half of
 * its work first) or "full" (every later call that needs space fails with it), or "kill" (the process is killed instead of
 * the call) or "torn" (it is killed in the middle of it: a write has done half of its work).
 * DOCKET_SHIM_IGNORE_SYNC=1 answers syncs without recording them, as a disk would that lies.
 *
 * A record is: type (1 byte), 3 unused, length of a, length of b (32 bits each), two 64-bit numbers, a, b; numbers big-endian.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(type, name, ...) static type (*real_##name)(__VA_ARGS__)
REAL(int, open, const char *, int, ...);
REAL(int, openat, int, const char *, int, ...);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
REAL(int, ftruncate, int, off_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, rename, const char *, const char *);
REAL(int, unlink, const char *);
REAL(int, unlinkat, int, const char *, int);
REAL(int, rmdir, const char *);
REAL(int, mkdir, const char *, mode_t);
REAL(int, linkat, int, const char *, int, const char *, int);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int trace = -1;
static int ignore_sync;
static long fail_at, calls;
static int fail_errno, fail_short, fail_full, fail_kill, fail_torn, disk_full;
static uint64_t syncs;

/* Inodes below the root: an open-addressed set. */
#define INODES 65536
static ino_t inodes[INODES];

static void know(ino_t inode) {
    size_t at = inode % INODES;
    while (inodes[at] && inodes[at] != inode) at = (at + 1) % INODES;
    inodes[at] = inode;
}

static int known(ino_t inode) {
    size_t at = inode % INODES;
    while (inodes[at]) {
        if (inodes[at] == inode) return 1;
        at = (at + 1) % INODES;
    }
    return 0;
}

__attribute__((constructor)) static void start(void) {
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
    FIND(open); FIND(openat); FIND(write); FIND(writev); FIND(pwrite); FIND(ftruncate); FIND(fsync); FIND(fdatasync);
    FIND(rename); FIND(unlink); FIND(unlinkat); FIND(rmdir); FIND(mkdir); FIND(linkat);
    const char *dir = getenv("DOCKET_SHIM_ROOT"), *file = getenv("DOCKET_SHIM_TRACE"), *fail = getenv("DOCKET_SHIM_FAIL");
    if (!dir || strlen(dir) >= sizeof root) return;
    strcpy(root, dir);
    root_length = strlen(root);
    if (file) {
        int fd = real_open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        trace = fcntl(fd, F_DUPFD_CLOEXEC, 900);
        close(fd);
    }
    ignore_sync = getenv("DOCKET_SHIM_IGNORE_SYNC") != NULL;
    if (fail) {
        char how[16] = "";
        if (sscanf(fail, "%ld:%d:%15s", &fail_at, &fail_errno, how) != 3) abort();
        fail_short = strcmp(how, "short") == 0;
        fail_full = strcmp(how, "full") == 0;
        fail_kill = strcmp(how, "kill") == 0;
        fail_torn = strcmp(how, "torn") == 0;
    }
}

static int below(const char *path) {
    return root_length && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || !path[root_length]);
}

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = real_write(trace, at, length);
        if (done < 0) {
            if (errno == EINTR) continue;
            abort();
        }
        at += done;
        length -= (size_t)done;
    }
}

/* Called with the lock held. */
static void record(char type, uint64_t x, uint64_t y, const void *a, size_t a_length, const void *b, size_t b_length) {
    if (trace < 0) return;
    int kept = errno;
    char head[28] = {type};
    uint32_t lengths[2] = {htobe32((uint32_t)a_length), htobe32((uint32_t)b_length)};
    x = htobe64(x);
    y = htobe64(y);
    memcpy(head + 4, lengths, 8);
    memcpy(head + 12, &x, 8);
    memcpy(head + 20, &y, 8);
    put(head, sizeof head);
    put(a, a_length);
    put(b, b_length);
    errno = kept;
}

/* True when this call is to fail; counts calls that change something below the root. Called with the lock held. */
static int fails(char type, const char *what, int needs_space) {
    int fail = 0;
    calls++;
    if (fail_at && calls == fail_at) {
        fail = 1;
        disk_full = fail_full;
    } else if (disk_full && needs_space) {
        fail = 1;
    }
    if (fail) {
        record('F', (uint64_t)calls, (uint64_t)fail_errno, &type, 1, what, strlen(what));
        if (fail_kill || (fail_torn && type != 'W')) raise(SIGKILL);
        errno = fail_errno;
    }
    return fail;
}

static ino_t inode_of(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static int full_path(int dir, const char *path, char *out) {
    if (path[0] == '/' || dir == AT_FDCWD) {
        if (strlen(path) >= PATH_MAX) return 0;
        strcpy(out, path);
        return path[0] == '/';
    }
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    if (length < 0 || (size_t)length + strlen(path) + 2 > PATH_MAX) return 0;
    out[length] = '/';
    strcpy(out + length + 1, path);
    return 1;
}

static int opening(int dir, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    if (!root_length || !full_path(dir, path, full) || !below(full)) return real_openat(dir, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat st;
    int there = stat(full, &st) == 0, creates = (flags & O_CREAT) && !there;
    if (creates && fails('C', full, 1)) {
        pthread_mutex_unlock(&lock);
        return -1;
    }
    int fd = real_openat(dir, path, flags, mode);
    if (fd >= 0) {
        ino_t inode = inode_of(fd);
        know(inode);
        if (creates) record('C', inode, 0, full, strlen(full), "", 0);
        else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) record('T', inode, 0, "", 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { MODE(flags) return opening(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opening(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags) return opening(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags) return opening(dir, path, flags | O_LARGEFILE, mode); }

/* offset < 0: at the file's own position. */
static ssize_t writing(int fd, const void *bytes, size_t length, off_t offset) {
    ino_t inode;
    if (!root_length || (fd != 1 && !(known(inode = inode_of(fd)))))
        return offset < 0 ? real_write(fd, bytes, length) : real_pwrite(fd, bytes, length, offset);
    if (fd == 1) {
        ssize_t done = real_write(fd, bytes, length);
        pthread_mutex_lock(&lock);
        if (done > 0) record('A', 0, 0, bytes, (size_t)done, "", 0);
        pthread_mutex_unlock(&lock);
        return done;
    }
    /* What somebody else can see of the write, a sync of theirs covers: both under one lock. */
    pthread_mutex_lock(&lock);
    int fail = fails('W', "", 1), half = fail && (fail_short || fail_torn) && length > 1;
    if (half) length /= 2;
    ssize_t done = -1;
    if (!fail || half) {
        done = offset < 0 ? real_write(fd, bytes, length) : real_pwrite(fd, bytes, length, offset);
        uint64_t at = offset < 0 ? (uint64_t)(lseek(fd, 0, SEEK_CUR) - done) : (uint64_t)offset;
        if (done > 0) record('W', inode, at, bytes, (size_t)done, "", 0);
    }
    if (fail && fail_torn) raise(SIGKILL);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return writing(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return writing(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return writing(fd, bytes, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    /* A short write is always allowed: the first part that has bytes. */
    for (int i = 0; root_length && i < count; i++)
        if (parts[i].iov_len) return writing(fd, parts[i].iov_base, parts[i].iov_len, -1);
    return real_writev(fd, parts, count);
}
/* Whoever copies like this falls back to reading and writing. */
ssize_t copy_file_range(int a, off_t *b, int c, off_t *d, size_t e, unsigned f) {
    (void)a; (void)b; (void)c; (void)d; (void)e; (void)f;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int a, int b, off_t *c, size_t d) {
    (void)a; (void)b; (void)c; (void)d;
    errno = ENOSYS;
    return -1;
}

int ftruncate(int fd, off_t size) {
    ino_t inode = inode_of(fd);
    if (!root_length || !known(inode)) return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    int done = fails('T', "", 0) ? -1 : real_ftruncate(fd, size);
    if (done == 0) record('T', inode, (uint64_t)size, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int syncing(int fd, int (*real)(int)) {
    ino_t inode = inode_of(fd);
    if (!root_length || !known(inode)) return real(fd);
    pthread_mutex_lock(&lock);
    if (fails('S', "", 0)) {
        pthread_mutex_unlock(&lock);
        return -1;
    }
    uint64_t number = ++syncs;
    if (!ignore_sync) record('s', inode, number, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    /* The trace is the disk; the real one need not be waited for. */
    pthread_mutex_lock(&lock);
    if (!ignore_sync) record('S', inode, number, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return syncing(fd, real_fsync); }
int fdatasync(int fd) { return syncing(fd, real_fdatasync); }

int rename(const char *from, const char *to) {
    if (!below(from) && !below(to)) return real_rename(from, to);
    pthread_mutex_lock(&lock);
    int done = fails('R', to, 1) ? -1 : real_rename(from, to);
    if (done == 0) record('R', 0, 0, from, strlen(from), to, strlen(to));
    pthread_mutex_unlock(&lock);
    return done;
}

static int removing(int dir, const char *path, int flags) {
    char full[PATH_MAX];
    if (!root_length || !full_path(dir, path, full) || !below(full)) return real_unlinkat(dir, path, flags);
    pthread_mutex_lock(&lock);
    int done = fails('U', full, 0) ? -1 : real_unlinkat(dir, path, flags);
    if (done == 0) record('U', 0, 0, full, strlen(full), "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int unlink(const char *path) { return removing(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return removing(AT_FDCWD, path, AT_REMOVEDIR); }
int unlinkat(int dir, const char *path, int flags) { return removing(dir, path, flags); }

int mkdir(const char *path, mode_t mode) {
    if (!below(path)) return real_mkdir(path, mode);
    pthread_mutex_lock(&lock);
    struct stat st;
    int there = stat(path, &st) == 0;
    int done = !there && fails('M', path, 1) ? -1 : real_mkdir(path, mode);
    if (done == 0 && stat(path, &st) == 0) {
        know(st.st_ino);
        record('M', st.st_ino, 0, path, strlen(path), "", 0);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    char full[PATH_MAX];
    if (!root_length || !full_path(to_dir, to, full) || !below(full))
        return real_linkat(from_dir, from, to_dir, to, flags);
    pthread_mutex_lock(&lock);
    int done = fails('L', full, 1) ? -1 : real_linkat(from_dir, from, to_dir, to, flags);
    if (done == 0) record('L', 0, 0, from, strlen(from), full, strlen(full));
    pthread_mutex_unlock(&lock);
    return done;
}
