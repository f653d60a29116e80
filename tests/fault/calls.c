/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded with LD_PRELOAD, this counts the calls that a program and its libraries make about the
 * files below one directory, and lets one of them fail.
 *
 *   SMELT_CALLS_BELOW  the directory, an absolute path without links
 *   SMELT_CALLS_FAIL   "KIND N HOW": the N-th call of a KIND (below) fails with the errno HOW
 *                      (EIO, ENOSPC, ...), or transfers but half of its bytes (short);
 *                      "N+": that call and all that follow
 *                      "KIND:TEXT N HOW": the N-th of those with TEXT in the file's name
 *   SMELT_CALLS_LOG    file to append to: "failed KIND N FUNCTION PATH" as it happens, and
 *                      at the program's end "made KIND COUNT" for each kind
 *
 * A stream over such a file reads and writes through these functions, too.  Not seen: what the C
 * library calls of itself elsewhere, and what reads a mapping.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* clang-format off */
#define KINDS(X)                                                                         \
    X(open) X(read) X(write) X(sync) X(rename) X(link) X(unlink) X(mkdir) X(map)         \
    X(truncate) X(close) X(lock) X(record) X(stat) X(list) X(mode) X(thread) X(socket)
/* clang-format on */
#define AS_ENUM(k) K_##k,
#define AS_TEXT(k) #k,
enum kind { KINDS(AS_ENUM) N_KINDS };
static const char *const kind_name[] = {KINDS(AS_TEXT)};

#define NEXT(name) ((__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name))

/* ---------------------------------------------------------------- what is asked for */

enum { SHORT = -1 };
static struct {
    const char *below, *log;
    size_t below_len;
    int kind, error;
    long nth;
    bool from_there_on;
    char about[64];
} asked = {.kind = -1};
static atomic_long made[N_KINDS], considered;

static const struct {
    const char *name;
    int value;
} errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE},
              {"EACCES", EACCES}, {"EINTR", EINTR},   {"ENOMEM", ENOMEM},
              {"EAGAIN", EAGAIN}, {"ENOLCK", ENOLCK}, {"EPERM", EPERM},
              {"EDQUOT", EDQUOT}, {"short", SHORT}};

/* "write", "write:catalog.db" */
static int kind_of(char *text)
{
    char *about = strchr(text, ':');
    if (about)
        *about = 0;
    snprintf(asked.about, sizeof asked.about, "%s", about ? about + 1 : "");
    for (int k = 0; k < N_KINDS; k++)
        if (!strcmp(kind_name[k], text))
            return k;
    return -1;
}

static void read_fault(const char *text)
{
    char kind[64], how[16], plus[2] = "";
    if (!text || (sscanf(text, "%63s %ld%1[+] %15s", kind, &asked.nth, plus, how) != 4 &&
                  sscanf(text, "%63s %ld %15s", kind, &asked.nth, how) != 3))
        return;
    asked.from_there_on = plus[0] == '+';
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(errors[i].name, how))
            asked.error = errors[i].value;
    asked.kind = asked.error ? kind_of(kind) : -1;
}

__attribute__((constructor)) static void begin(void)
{
    asked.below = getenv("SMELT_CALLS_BELOW");
    asked.log = getenv("SMELT_CALLS_LOG");
    asked.below_len = asked.below ? strlen(asked.below) : 0;
    read_fault(getenv("SMELT_CALLS_FAIL"));
}

/* One line, whole, whatever else writes there. */
static void note(const char *what, int kind, long n, const char *function,
                 const char *path)
{
    char line[PATH_MAX + 100];
    int fd = asked.log
                 ? NEXT(open)(asked.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)
                 : -1;
    int len = snprintf(line, sizeof line, "%s %s %ld %s %s\n", what, kind_name[kind], n,
                       function, path);
    if (fd >= 0 && NEXT(write)(fd, line, (size_t)len) != len)
        fputs("calls: the log is not written\n", stderr);
    if (fd >= 0)
        NEXT(close)(fd);
}

__attribute__((destructor)) static void end(void)
{
    for (int k = 0; k < N_KINDS; k++)
        note("made", k, atomic_load(&made[k]), "", "");
}

/* ---------------------------------------------------------------- is it this call's turn */

/* The errno of this call, SHORT, or 0: it is made as it is. */
static int turn(enum kind kind, const char *function, const char *path)
{
    atomic_fetch_add(&made[kind], 1);
    if ((int)kind != asked.kind || !strstr(path, asked.about))
        return 0;
    long n = atomic_fetch_add(&considered, 1) + 1;
    if (asked.from_there_on ? n < asked.nth : n != asked.nth)
        return 0;
    note("failed", (int)kind, n, function, path);
    return asked.error;
}

static bool is_below(const char *path)
{
    return asked.below_len > 0 && !strncmp(path, asked.below, asked.below_len) &&
           (path[asked.below_len] == '/' || !path[asked.below_len]);
}

static bool name_of(char out[PATH_MAX], int fd)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = fd < 0 ? -1 : NEXT(readlink)(link, out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = 0;
    return n > 0;
}

static int fd_turn(enum kind kind, const char *function, int fd)
{
    char path[PATH_MAX];
    int kept = errno;
    int how = name_of(path, fd) && is_below(path) ? turn(kind, function, path) : 0;
    errno = how > 0 ? how : kept;
    return how;
}

static int path_turn(enum kind kind, const char *function, int at, const char *name)
{
    char dir[PATH_MAX] = "", path[2 * PATH_MAX];
    int kept = errno;
    if (name[0] != '/' &&
        !(at == AT_FDCWD ? getcwd(dir, sizeof dir) != NULL : name_of(dir, at)))
        dir[0] = 0;
    snprintf(path, sizeof path, "%s%s%s", dir, dir[0] ? "/" : "", name);
    int how = is_below(path) ? turn(kind, function, path) : 0;
    errno = how > 0 ? how : kept;
    return how;
}

/* Of something that has no name: a thread, a socket. */
static int nameless_turn(enum kind kind, const char *function)
{
    int how = asked.below_len ? turn(kind, function, "") : 0;
    if (how > 0)
        errno = how;
    return how;
}

/* A transfer: fails, or may go on with what is left of *len. */
static bool transfer_fails(enum kind kind, const char *function, int fd, size_t *len)
{
    int how = fd_turn(kind, function, fd);
    if (how == SHORT && *len > 1)
        *len /= 2;
    return how > 0;
}

/* ---------------------------------------------------------------- opening */

#define MODE_AFTER(flags)                  \
    mode_t mode = 0;                       \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list args;                      \
        va_start(args, flags);             \
        mode = (mode_t)va_arg(args, int);  \
        va_end(args);                      \
    }

#define OPEN(name)                                          \
    int name(const char *path, int flags, ...)              \
    {                                                       \
        MODE_AFTER(flags)                                   \
        return path_turn(K_open, #name, AT_FDCWD, path) > 0 \
                   ? -1                                     \
                   : NEXT(name)(path, flags, mode);         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                    \
    int name(int at, const char *path, int flags, ...)  \
    {                                                   \
        MODE_AFTER(flags)                               \
        return path_turn(K_open, #name, at, path) > 0   \
                   ? -1                                 \
                   : NEXT(name)(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define MAKE_TEMPORARY(name, call, ...)                                             \
    int name(__VA_ARGS__)                                                           \
    {                                                                               \
        return path_turn(K_open, #name, AT_FDCWD, path) > 0 ? -1 : NEXT(name) call; \
    }
MAKE_TEMPORARY(mkstemp, (path), char *path)
MAKE_TEMPORARY(mkstemp64, (path), char *path)
MAKE_TEMPORARY(mkostemp, (path, flags), char *path, int flags)
MAKE_TEMPORARY(mkostemp64, (path, flags), char *path, int flags)

/* ---------------------------------------------------------------- calls that say 0 or -1 */

#define OF_PATH(kind, name, at, path, call, ...)                                \
    int name(__VA_ARGS__)                                                       \
    {                                                                           \
        return path_turn(K_##kind, #name, at, path) > 0 ? -1 : NEXT(name) call; \
    }
#define OF_FD(kind, name, fd, call, ...)                                \
    int name(__VA_ARGS__)                                               \
    {                                                                   \
        return fd_turn(K_##kind, #name, fd) > 0 ? -1 : NEXT(name) call; \
    }
OF_FD(sync, fsync, fd, (fd), int fd)
OF_FD(sync, fdatasync, fd, (fd), int fd)
OF_FD(truncate, ftruncate, fd, (fd, size), int fd, off_t size)
OF_FD(truncate, ftruncate64, fd, (fd, size), int fd, off64_t size)
OF_FD(lock, flock, fd, (fd, how), int fd, int how)
OF_FD(stat, fstat, fd, (fd, st), int fd, struct stat *st)
OF_FD(stat, fstat64, fd, (fd, st), int fd, struct stat64 *st)
OF_FD(mode, fchmod, fd, (fd, mode), int fd, mode_t mode)
OF_PATH(mode, chmod, AT_FDCWD, path, (path, mode), const char *path, mode_t mode)
OF_PATH(stat, stat, AT_FDCWD, path, (path, st), const char *path, struct stat *st)
OF_PATH(stat, stat64, AT_FDCWD, path, (path, st), const char *path, struct stat64 *st)
OF_PATH(stat, lstat, AT_FDCWD, path, (path, st), const char *path, struct stat *st)
OF_PATH(stat, lstat64, AT_FDCWD, path, (path, st), const char *path, struct stat64 *st)
OF_PATH(stat, fstatat, at, path, (at, path, st, flags), int at, const char *path,
        struct stat *st, int flags)
OF_PATH(stat, access, AT_FDCWD, path, (path, how), const char *path, int how)
OF_PATH(mkdir, mkdir, AT_FDCWD, path, (path, mode), const char *path, mode_t mode)
OF_PATH(rename, rename, AT_FDCWD, to, (from, to), const char *from, const char *to)
OF_PATH(rename, renameat, to_at, to, (from_at, from, to_at, to), int from_at,
        const char *from, int to_at, const char *to)
OF_PATH(link, link, AT_FDCWD, to, (from, to), const char *from, const char *to)
OF_PATH(unlink, unlink, AT_FDCWD, path, (path), const char *path)
OF_PATH(unlink, unlinkat, at, path, (at, path, flags), int at, const char *path,
        int flags)
OF_PATH(unlink, rmdir, AT_FDCWD, path, (path), const char *path)

/* The descriptor is gone, whatever close says. */
int close(int fd)
{
    int how = fd_turn(K_close, "close", fd);
    int rc = NEXT(close)(fd);
    if (how > 0)
        errno = how;
    return how > 0 ? -1 : rc;
}

#define FCNTL(name)                                                                      \
    int name(int fd, int command, ...)                                                   \
    {                                                                                    \
        va_list args;                                                                    \
        va_start(args, command);                                                         \
        void *arg = va_arg(args, void *);                                                \
        va_end(args);                                                                    \
        bool locks = command == F_SETLK || command == F_SETLKW;                          \
        return locks && fd_turn(K_record, #name, fd) > 0 ? -1                            \
                                                         : NEXT(name)(fd, command, arg); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

/* ---------------------------------------------------------------- bytes */

#define TRANSFER(kind, name, call, ...)                                          \
    ssize_t name(__VA_ARGS__)                                                    \
    {                                                                            \
        return transfer_fails(K_##kind, #name, fd, &len) ? -1 : NEXT(name) call; \
    }
TRANSFER(read, read, (fd, data, len), int fd, void *data, size_t len)
TRANSFER(read, pread, (fd, data, len, at), int fd, void *data, size_t len, off_t at)
TRANSFER(read, pread64, (fd, data, len, at), int fd, void *data, size_t len, off64_t at)
TRANSFER(write, write, (fd, data, len), int fd, const void *data, size_t len)
TRANSFER(write, pwrite, (fd, data, len, at), int fd, const void *data, size_t len,
         off_t at)
TRANSFER(write, pwrite64, (fd, data, len, at), int fd, const void *data, size_t len,
         off64_t at)

ssize_t writev(int fd, const struct iovec *part, int n)
{
    int how = fd_turn(K_write, "writev", fd);
    return how > 0 ? -1 : NEXT(writev)(fd, part, how == SHORT && n > 1 ? n / 2 : n);
}

#define MAP(name, offset)                                                       \
    void *name(void *addr, size_t len, int prot, int flags, int fd, offset at)  \
    {                                                                           \
        bool fails = fd >= 0 && fd_turn(K_map, #name, fd) > 0;                  \
        return fails ? MAP_FAILED : NEXT(name)(addr, len, prot, flags, fd, at); \
    }
MAP(mmap, off_t)
MAP(mmap64, off64_t)

/* ---------------------------------------------------------------- streams */

/* The C library's streams make calls that nothing can stand before; over these functions they
 * make the ones above. */
static ssize_t stream_read(void *fd, char *data, size_t len)
{
    return read((int)(intptr_t)fd, data, len);
}

static ssize_t stream_write(void *fd, const char *data, size_t len)
{
    ssize_t n = write((int)(intptr_t)fd, data, len);
    return n < 0 ? 0 : n;
}

static int stream_seek(void *fd, off64_t *at, int whence)
{
    *at = lseek64((int)(intptr_t)fd, *at, whence);
    return *at < 0 ? -1 : 0;
}

static int stream_close(void *fd)
{
    return close((int)(intptr_t)fd);
}

FILE *fdopen(int fd, const char *mode)
{
    char path[PATH_MAX];
    cookie_io_functions_t io = {stream_read, stream_write, stream_seek, stream_close};
    if (!name_of(path, fd) || !is_below(path))
        return NEXT(fdopen)(fd, mode);
    return fopencookie((void *)(intptr_t)fd, mode, io); /* NOLINT: a small number */
}

static int flags_of(const char *mode)
{
    int flags = mode[0] == 'r'   ? O_RDONLY
                : mode[0] == 'w' ? O_CREAT | O_TRUNC
                                 : O_CREAT | O_APPEND;
    return flags | (strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY);
}

#define FOPEN(name)                                  \
    FILE *name(const char *path, const char *mode)   \
    {                                                \
        int fd = open(path, flags_of(mode), 0666);   \
        FILE *f = fd >= 0 ? fdopen(fd, mode) : NULL; \
        if (fd >= 0 && !f)                           \
            close(fd);                               \
        return f;                                    \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* ---------------------------------------------------------------- directories */

DIR *opendir(const char *path)
{
    return path_turn(K_list, "opendir", AT_FDCWD, path) > 0 ? NULL : NEXT(opendir)(path);
}

DIR *fdopendir(int fd)
{
    return fd_turn(K_list, "fdopendir", fd) > 0 ? NULL : NEXT(fdopendir)(fd);
}

struct dirent *readdir(DIR *d)
{
    return fd_turn(K_list, "readdir", dirfd(d)) > 0 ? NULL : NEXT(readdir)(d);
}

char *mkdtemp(char *path)
{
    return path_turn(K_mkdir, "mkdtemp", AT_FDCWD, path) > 0 ? NULL : NEXT(mkdtemp)(path);
}

char *realpath(const char *path, char *out)
{
    return path_turn(K_stat, "realpath", AT_FDCWD, path) > 0 ? NULL
                                                             : NEXT(realpath)(path, out);
}

ssize_t readlink(const char *path, char *out, size_t len)
{
    return path_turn(K_stat, "readlink", AT_FDCWD, path) > 0
               ? -1
               : NEXT(readlink)(path, out, len);
}

/* ---------------------------------------------------------------- threads and sockets */

int pthread_create(pthread_t *out, const pthread_attr_t *how, void *(*fn)(void *),
                   void *arg)
{
    int error = nameless_turn(K_thread, "pthread_create");
    return error > 0 ? error : NEXT(pthread_create)(out, how, fn, arg);
}

#define OF_SOCKET(name, call, ...)                                        \
    int name(__VA_ARGS__)                                                 \
    {                                                                     \
        return nameless_turn(K_socket, #name) > 0 ? -1 : NEXT(name) call; \
    }
OF_SOCKET(socket, (domain, type, protocol), int domain, int type, int protocol)
OF_SOCKET(bind, (fd, to, len), int fd, __CONST_SOCKADDR_ARG to, socklen_t len)
OF_SOCKET(listen, (fd, n), int fd, int n)
OF_SOCKET(accept4, (fd, from, len, flags), int fd, __SOCKADDR_ARG from, socklen_t *len,
          int flags)
