/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's malloc() and its relatives are these, for every library in it. System calls are
 * caught by the linker (--wrap, see the Makefile), for the code in the program itself only.
 */
#define _GNU_SOURCE
#include "fault.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../support/support.h"

#define PARTLY (-1) /* no errno: do a part only */
#define MAX_VARIANTS 4

enum function {
	F_MALLOC,
	F_OPENAT,
	F_OPEN,
	F_OPENAT2,
	F_MKDIRAT,
	F_MKDIR,
	F_UNLINKAT,
	F_SYMLINKAT,
	F_READLINKAT,
	F_RENAMEAT,
	F_READ,
	F_WRITE,
	F_FCHMOD,
	F_FCHOWN,
	F_FSTAT,
	F_FSTATAT,
	F_FSTATFS,
	F_STATX,
	F_FDOPENDIR,
	F_READDIR,
	F_CLOSE,
	F_FSOPEN,
	F_FSPICK,
	F_FSCONFIG,
	F_FSMOUNT,
	F_MOUNT_SETATTR,
	F_MOVE_MOUNT,
	F_OPEN_TREE,
	F_UMOUNT2,
	F_FSETXATTR,
	F_FGETXATTR,
	F_GETRANDOM,
	F_TABLE,
	F_ACCEPT,
	F_SOCKET,
	F_BIND,
	F_LISTEN,
	F_GETSOCKOPT,
	F_LSTAT,
	F_CHMOD,
	F_UNLINK,
	F_FCNTL,
	F_INOTIFY_INIT,
	F_INOTIFY_ADD,
	F_QUEUE_WORK,
	F_POLL_INIT,
	F_RECV,
	F_SEND,
	F_UNSHARE,
	F_MOUNT,
	F_MKNODAT,
	F_PIVOT_ROOT,
	F_FTRUNCATE,
	F_RENAMEAT2,
	F_FLOCK,
	F_FACCESSAT,
	F_REALPATH,
	F_DUP,
	F_FCHMODAT,
	F_FCHOWNAT,
	F_CHDIR,
	F_FCHDIR,
	F_CONNECT,
	F_POLL,
	F_GETSOCKNAME,
	F_SETSOCKOPT,
	F_STAT,
	F_ACCESS,
	F_OPENDIR,
	F_GETRLIMIT,
	F_SETRLIMIT,
	F_PRCTL,
	F_MLOCKALL,
	F_MUNLOCKALL,
	F_INOTIFY_RM,
	F_SHUTDOWN,
	N_FUNCTIONS,
};

static const struct {
	const char *name;
	int errnos[MAX_VARIANTS];
} functions[N_FUNCTIONS] = {
	[F_MALLOC] = { "malloc", { ENOMEM } },
	[F_OPENAT] = { "openat", { EMFILE, ENOSPC, EIO, EINTR } },
	[F_OPEN] = { "open", { EMFILE, EIO } },
	[F_OPENAT2] = { "openat2", { EMFILE, ENOMEM, EINTR, EAGAIN } },
	[F_MKDIRAT] = { "mkdirat", { ENOSPC, EPERM } },
	[F_MKDIR] = { "mkdir", { ENOSPC, EPERM } },
	[F_UNLINKAT] = { "unlinkat", { EIO, EBUSY, EPERM } },
	[F_SYMLINKAT] = { "symlinkat", { ENOSPC, EIO } },
	[F_READLINKAT] = { "readlinkat", { EIO, ENOMEM } },
	[F_RENAMEAT] = { "renameat", { ENOSPC, EBUSY } },
	[F_READ] = { "read", { EIO, EINTR, PARTLY } },
	[F_WRITE] = { "write", { ENOSPC, EIO, EINTR, PARTLY } },
	[F_FCHMOD] = { "fchmod", { EPERM, EIO } },
	[F_FCHOWN] = { "fchown", { EPERM, EIO } },
	[F_FSTAT] = { "fstat", { EIO, ENOMEM } },
	[F_FSTATAT] = { "fstatat", { EIO, ENOMEM } },
	[F_FSTATFS] = { "fstatfs", { EIO, EINTR } },
	[F_STATX] = { "statx", { EIO, ENOMEM } },
	[F_FDOPENDIR] = { "fdopendir", { ENOMEM } },
	[F_READDIR] = { "readdir", { EIO, ENOMEM } },
	[F_CLOSE] = { "close", { EIO, EINTR } },
	[F_FSOPEN] = { "fsopen", { EMFILE, ENOMEM, EPERM } },
	[F_FSPICK] = { "fspick", { EMFILE, ENOMEM } },
	[F_FSCONFIG] = { "fsconfig", { ENOMEM, EINVAL } },
	[F_FSMOUNT] = { "fsmount", { EMFILE, EBUSY, EPERM } },
	[F_MOUNT_SETATTR] = { "mount_setattr", { EBUSY, EPERM } },
	[F_MOVE_MOUNT] = { "move_mount", { ENOSPC, EBUSY, ENOMEM } },
	[F_OPEN_TREE] = { "open_tree", { EMFILE, ENOMEM } },
	[F_UMOUNT2] = { "umount2", { EBUSY, ENOMEM } },
	[F_FSETXATTR] = { "fsetxattr", { EIO, ENOSPC } },
	[F_FGETXATTR] = { "fgetxattr", { EIO, ENOMEM } },
	[F_GETRANDOM] = { "getrandom", { EAGAIN, PARTLY } },
	[F_TABLE] = { "mnt_table_parse_file", { EMFILE, ENOMEM } },
	[F_ACCEPT] = { "accept4", { EMFILE, ENFILE, ENOMEM, EINTR } },
	[F_SOCKET] = { "socket", { EMFILE, ENFILE } },
	[F_BIND] = { "bind", { ENOSPC, EIO } },
	[F_LISTEN] = { "listen", { ENOMEM } },
	[F_GETSOCKOPT] = { "getsockopt", { ENOMEM } },
	[F_LSTAT] = { "lstat", { EIO, ENOMEM } },
	[F_CHMOD] = { "chmod", { EPERM, EIO } },
	[F_UNLINK] = { "unlink", { EIO, EBUSY } },
	[F_FCNTL] = { "fcntl", { EAGAIN, EMFILE } },
	[F_INOTIFY_INIT] = { "inotify_init1", { EMFILE, ENFILE } },
	[F_INOTIFY_ADD] = { "inotify_add_watch", { ENOSPC, ENOMEM } },
	[F_QUEUE_WORK] = { "uv_queue_work", { ENOMEM } },
	[F_POLL_INIT] = { "uv_poll_init", { ENOSPC, ENOMEM } },
	[F_RECV] = { "recv", { EINTR, ECONNRESET } },
	[F_UNSHARE] = { "unshare", { EPERM, ENOSPC } },
	[F_MOUNT] = { "mount", { EPERM, ENOMEM } },
	[F_MKNODAT] = { "mknodat", { ENOSPC, EPERM } },
	[F_PIVOT_ROOT] = { "pivot_root", { EBUSY, EPERM } },
	[F_FTRUNCATE] = { "ftruncate", { EIO, EPERM } },
	[F_RENAMEAT2] = { "renameat2", { ENOSPC, EBUSY, EPERM, EINVAL } },
	[F_FLOCK] = { "flock", { ENOLCK, EINTR } },
	[F_FACCESSAT] = { "faccessat", { EIO, ENOMEM } },
	[F_REALPATH] = { "realpath", { ENOMEM, EIO } },
	[F_DUP] = { "dup", { EMFILE } },
	[F_FCHMODAT] = { "fchmodat", { EPERM, EIO } },
	[F_FCHOWNAT] = { "fchownat", { EPERM, EIO } },
	[F_CHDIR] = { "chdir", { EIO, ENOMEM } },
	[F_FCHDIR] = { "fchdir", { EIO, EPERM } },
	[F_CONNECT] = { "connect", { ENOMEM, EPERM } },
	[F_POLL] = { "poll", { ENOMEM, EINTR } },
	[F_GETSOCKNAME] = { "getsockname", { ENOBUFS } },
	[F_SETSOCKOPT] = { "setsockopt", { ENOMEM } },
	[F_STAT] = { "stat", { EIO, ENOMEM } },
	[F_ACCESS] = { "access", { EIO, ENOMEM } },
	[F_OPENDIR] = { "opendir", { EMFILE, ENOMEM } },
	[F_GETRLIMIT] = { "getrlimit", { EPERM } },
	[F_SETRLIMIT] = { "setrlimit", { EPERM } },
	[F_PRCTL] = { "prctl", { EPERM } },
	[F_MLOCKALL] = { "mlockall", { ENOMEM, EAGAIN } },
	[F_MUNLOCKALL] = { "munlockall", { ENOMEM } },
	[F_INOTIFY_RM] = { "inotify_rm_watch", { EINVAL } },
	[F_SHUTDOWN] = { "shutdown", { ENOTCONN } },
	[F_SEND] = { "send", { EINTR, EPIPE, PARTLY } },
};

static struct {
	struct fault_loop now;
	bool on, aside, lasting;
	unsigned calls; /* counted so far */
	int function;   /* that was made to fail, or -1 */
	int err;
	long blocks; /* allocated and not freed, in all of the program */
} state = { .function = -1 };

extern const char __executable_start[], etext[];
#define CALLER ((const char *)__builtin_return_address(0))

static bool is_ours(const char *caller)
{
	return caller >= __executable_start && caller < etext;
}

/* Is this call to fail? Sets errno. Allocates nothing, as malloc() asks too. */
static bool strikes(enum function f)
{
	const struct fault_loop *now = &state.now;

	if (!state.on || state.aside ||
	    (now->scope != FAULT_ALL && now->scope != FAULT_DAEMON && f != F_MALLOC))
		return false;
	if (++state.calls == now->call) {
		state.function = (int)f;
		state.err = functions[f].errnos[now->variant];
		if (state.err == 0) /* chosen at random, and there are not as many */
			state.err = functions[f].errnos[0];
		state.lasting = now->lasting && state.err != EINTR && state.err != EAGAIN;
	} else if (state.function != (int)f || !state.lasting) {
		return false;
	}
	if (state.err == PARTLY)
		return true;
	errno = state.err;
	return true;
}

static bool has_variant(int f, unsigned v)
{
	return v < MAX_VARIANTS && functions[f].errnos[v] != 0;
}

bool fault_next(struct fault_loop *loop)
{
	if (!loop->begun) {
		loop->begun = true;
		loop->call = loop->first ? loop->first : 1;
		return true;
	}
	if (state.function < 0) /* all calls were made, and none was the n-th */
		return false;
	loop->fired++;
	/* one that is to be repeated until it works must not fail for ever */
	if (!loop->lasting && !(state.err == EINTR || state.err == EAGAIN)) {
		loop->lasting = true;
		return true;
	}
	loop->lasting = false;
	if (has_variant(state.function, loop->variant + 1)) {
		loop->variant++;
		return true;
	}
	loop->variant = 0;
	loop->call += loop->stride ? loop->stride : 1;
	return true;
}

void fault_aside(bool begins)
{
	state.aside = begins;
}

ssize_t __real_getrandom(void *buf, size_t n, unsigned flags);

void fault_sample(struct fault_loop *loop, unsigned runs)
{
	const char *given = getenv("FAULT_OFFSET");
	unsigned offset = 0;

	if (getenv("FAULT_EVERY") || state.calls <= runs)
		return;
	if (given)
		offset = (unsigned)strtoul(given, NULL, 10);
	else
		(void)__real_getrandom(&offset, sizeof(offset), 0);
	loop->stride = state.calls / runs;
	offset %= loop->stride;
	loop->first = offset ? offset : loop->stride;
}

void fault_on(const struct fault_loop *loop)
{
	state.now = *loop;
	state.calls = 0;
	state.function = -1;
	state.on = true;
}

void fault_off(void)
{
	state.on = false;
}

bool fault_fired(void)
{
	return state.function >= 0;
}

int fault_errno(void)
{
	return state.function < 0 || state.err == PARTLY ? 0 : state.err;
}

bool fault_is_harmless(void)
{
	int f = state.function;

	if (f < 0 || state.err == PARTLY || f == F_CLOSE || f == F_GETRANDOM)
		return true;
	return (f == F_READ || f == F_WRITE || f == F_OPENAT2) &&
	       (state.err == EINTR || state.err == EAGAIN);
}

const char *fault_text(void)
{
	static char text[160];
	int n;

	if (state.function < 0)
		return "";
	n = snprintf(text, sizeof(text), "%s(), call %u of all: %s%s",
		     functions[state.function].name, state.now.call,
		     state.err == PARTLY ? "a part only" : strerrorname_np(state.err),
		     state.lasting ? ", and later ones" : "");
	if (state.now.stride > 1) /* to see it again */
		(void)snprintf(text + n, sizeof(text) - (size_t)n, " (FAULT_OFFSET=%u)",
			       state.now.call);
	return text;
}

/* ---- what is in use -------------------------------------------------------------------------- */

long fault_live_blocks(void)
{
#ifdef __SANITIZE_ADDRESS__
	return 0; /* its own strdup() and so on are not seen here; it finds leaks itself */
#else
	return state.blocks;
#endif
}

int fault_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/*
 * Others come and go, in a namespace of our own, too: who removes a mount point elsewhere takes the
 * mount on it away here (mount_namespaces(7)).
 */
int fault_mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t len = strlen(t_dir);
	char line[4096], at[256];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += sscanf(line, "%*d %*d %*s %*s %255s", at) == 1 &&
		     strncmp(at, t_dir, len) == 0 && (at[len] == '/' || at[len] == '\0');
	(void)fclose(f);
	return n;
}

/* ---- what tests expect ----------------------------------------------------------------------- */

void fault_enough(const struct fault_loop *loop, unsigned at_least)
{
	ck_assert_msg(loop->fired >= at_least, "only %u failures", loop->fired);
	if (getenv("FAULT_VERBOSE")) /* stderr may be a test's own */
		(void)dprintf(STDERR_FILENO, "%u calls, every %u, %u failures\n", loop->call - 1,
			      loop->stride ? loop->stride : 1, loop->fired);
}

void fault_each(void (*what)(const struct fault_loop *loop), enum fault_scope scope, unsigned runs,
		void (*real_time)(void), unsigned at_least)
{
	struct fault_loop loop = { .scope = scope };
	struct fault_loop none = { .scope = scope, .call = ~0U };

	what(&none); /* once unharmed: what libraries keep for ever is there then */
	fault_note_use();
	what(&none);
	fault_no_leaks();
	fault_sample(&loop, runs);
	FAULT_EACH(loop)
	{
		what(&loop);
		fault_no_leaks();
	}
	real_time();
	fault_enough(&loop, at_least);
}

void fault_out_of_memory(int r)
{
	ck_assert_msg(r == -ENOMEM || r == 0, "%d after %s", r, fault_text());
}

static long n_blocks;
static int n_fds, n_mounts;

void fault_note_use(void)
{
	n_blocks = fault_live_blocks();
	n_fds = fault_open_fds();
	n_mounts = fault_mounts();
}

void fault_no_leaks(void)
{
	ck_assert_msg(fault_live_blocks() == n_blocks, "%ld blocks leak after %s",
		      fault_live_blocks() - n_blocks, fault_text());
	ck_assert_msg(fault_open_fds() == n_fds, "%d descriptors leak after %s",
		      fault_open_fds() - n_fds, fault_text());
	ck_assert_msg(fault_mounts() == n_mounts, "%d mounts leak after %s",
		      fault_mounts() - n_mounts, fault_text());
}

/* ---- memory ---------------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__
#define REAL(name) __interceptor_##name
/* json-c 0.16 forgets a member's key when its table cannot grow. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:json_object_object_add\n";
}
#else
#define REAL(name) __libc_##name
#endif
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *p, size_t size);
void REAL(free)(void *p);

static void *counted(void *p)
{
	state.blocks += p != NULL;
	return p;
}

static bool strikes_memory(const char *caller)
{
	return (state.now.scope != FAULT_OURS || is_ours(caller)) && strikes(F_MALLOC);
}

void *malloc(size_t size)
{
	return strikes_memory(CALLER) ? NULL : counted(REAL(malloc)(size));
}

void *calloc(size_t n, size_t size)
{
	return strikes_memory(CALLER) ? NULL : counted(REAL(calloc)(n, size));
}

static void *resize(void *p, size_t size, const char *caller)
{
	if (size > 0 && strikes_memory(caller))
		return NULL;
	state.blocks -= p != NULL;
	return counted(REAL(realloc)(p, size));
}

void *realloc(void *p, size_t size)
{
	return resize(p, size, CALLER);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return resize(p, total, CALLER);
}

void free(void *p)
{
	state.blocks -= p != NULL;
	REAL(free)(p);
}

static bool spares_copies(void)
{
	return state.now.scope == FAULT_OURS || state.now.scope == FAULT_NO_COPIES ||
	       state.now.scope == FAULT_DAEMON;
}

static char *copy(const char *s, size_t len, const char *caller)
{
	char *p;

	if ((is_ours(caller) || !spares_copies()) && strikes(F_MALLOC))
		return NULL;
	p = counted(REAL(malloc)(len + 1));
	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

/* The sanitizer's own would not ask malloc() above. */
char *strndup(const char *s, size_t n)
{
	return copy(s, strnlen(s, n), CALLER);
}

char *strdup(const char *s)
{
	return copy(s, strlen(s), CALLER);
}

/* ---- system calls ---------------------------------------------------------------------------- */

/* WRAP(…): a function that fails with -1 when it is struck. */
#define WRAP(f, type, name, params, args)                    \
	type __real_##name params;                           \
	type __wrap_##name params;                           \
	type __wrap_##name params                            \
	{                                                    \
		return strikes(f) ? -1 : __real_##name args; \
	}

WRAP(F_MKDIRAT, int, mkdirat, (int fd, const char *p, mode_t m), (fd, p, m))
WRAP(F_MKDIR, int, mkdir, (const char *p, mode_t m), (p, m))
WRAP(F_UNLINKAT, int, unlinkat, (int fd, const char *p, int flags), (fd, p, flags))
WRAP(F_SYMLINKAT, int, symlinkat, (const char *to, int fd, const char *p), (to, fd, p))
WRAP(F_READLINKAT, ssize_t, readlinkat, (int fd, const char *p, char *b, size_t n), (fd, p, b, n))
WRAP(F_READLINKAT, ssize_t, __readlinkat_chk, (int fd, const char *p, char *b, size_t n, size_t m),
     (fd, p, b, n, m))
WRAP(F_RENAMEAT, int, renameat, (int a, const char *p, int b, const char *q), (a, p, b, q))
WRAP(F_FCHMOD, int, fchmod, (int fd, mode_t m), (fd, m))
WRAP(F_FCHOWN, int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g))
WRAP(F_FTRUNCATE, int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(F_FSTAT, int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(F_FSTATAT, int, fstatat, (int fd, const char *p, struct stat *st, int flags),
     (fd, p, st, flags))
WRAP(F_FSTATFS, int, fstatfs, (int fd, struct statfs *st), (fd, st))
WRAP(F_STATX, int, statx, (int fd, const char *p, int flags, unsigned m, struct statx *st),
     (fd, p, flags, m, st))
WRAP(F_FSOPEN, int, fsopen, (const char *name, unsigned flags), (name, flags))
WRAP(F_FSPICK, int, fspick, (int fd, const char *p, unsigned flags), (fd, p, flags))
WRAP(F_FSCONFIG, int, fsconfig, (int fd, unsigned c, const char *k, const void *v, int a),
     (fd, c, k, v, a))
WRAP(F_FSMOUNT, int, fsmount, (int fd, unsigned flags, unsigned attrs), (fd, flags, attrs))
WRAP(F_MOUNT_SETATTR, int, mount_setattr,
     (int fd, const char *p, unsigned flags, struct mount_attr *a, size_t n), (fd, p, flags, a, n))
WRAP(F_MOVE_MOUNT, int, move_mount, (int a, const char *p, int b, const char *q, unsigned flags),
     (a, p, b, q, flags))
WRAP(F_OPEN_TREE, int, open_tree, (int fd, const char *p, unsigned flags), (fd, p, flags))
WRAP(F_UMOUNT2, int, umount2, (const char *p, int flags), (p, flags))
WRAP(F_FSETXATTR, int, fsetxattr, (int fd, const char *k, const void *v, size_t n, int flags),
     (fd, k, v, n, flags))
WRAP(F_FGETXATTR, ssize_t, fgetxattr, (int fd, const char *k, void *v, size_t n), (fd, k, v, n))

ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags)
{
	if (strikes(F_GETRANDOM)) {
		if (state.err != PARTLY)
			return -1;
		n = n > 1 ? 1 : n;
	}
	return __real_getrandom(buf, n, flags);
}

WRAP(F_ACCEPT, int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
     (fd, a, n, flags))
WRAP(F_SOCKET, int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(F_BIND, int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(F_LISTEN, int, listen, (int fd, int n), (fd, n))
WRAP(F_GETSOCKOPT, int, getsockopt, (int fd, int level, int name, void *v, socklen_t *n),
     (fd, level, name, v, n))
WRAP(F_LSTAT, int, lstat, (const char *p, struct stat *st), (p, st))
WRAP(F_CHMOD, int, chmod, (const char *p, mode_t m), (p, m))
WRAP(F_UNLINK, int, unlink, (const char *p), (p))
WRAP(F_UNSHARE, int, unshare, (int flags), (flags))
WRAP(F_MOUNT, int, mount,
     (const char *from, const char *to, const char *type, unsigned long flags, const void *data),
     (from, to, type, flags, data))
WRAP(F_MKNODAT, int, mknodat, (int fd, const char *p, mode_t m, dev_t dev), (fd, p, m, dev))
WRAP(F_INOTIFY_INIT, int, inotify_init1, (int flags), (flags))
WRAP(F_INOTIFY_ADD, int, inotify_add_watch, (int fd, const char *p, uint32_t mask), (fd, p, mask))

WRAP(F_RENAMEAT2, int, renameat2, (int a, const char *p, int b, const char *q, unsigned flags),
     (a, p, b, q, flags))
WRAP(F_FLOCK, int, flock, (int fd, int operation), (fd, operation))
WRAP(F_FACCESSAT, int, faccessat, (int fd, const char *p, int mode, int flags),
     (fd, p, mode, flags))
WRAP(F_DUP, int, dup, (int fd), (fd))
WRAP(F_FCHMODAT, int, fchmodat, (int fd, const char *p, mode_t m, int flags), (fd, p, m, flags))
WRAP(F_FCHOWNAT, int, fchownat, (int fd, const char *p, uid_t u, gid_t g, int flags),
     (fd, p, u, g, flags))
WRAP(F_CHDIR, int, chdir, (const char *p), (p))
WRAP(F_FCHDIR, int, fchdir, (int fd), (fd))
WRAP(F_CONNECT, int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(F_POLL, int, poll, (struct pollfd * fds, nfds_t n, int timeout_ms), (fds, n, timeout_ms))
WRAP(F_GETSOCKNAME, int, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(F_SETSOCKOPT, int, setsockopt, (int fd, int level, int name, const void *v, socklen_t n),
     (fd, level, name, v, n))
WRAP(F_STAT, int, stat, (const char *p, struct stat *st), (p, st))
WRAP(F_ACCESS, int, access, (const char *p, int mode), (p, mode))
WRAP(F_GETRLIMIT, int, getrlimit, (int what, struct rlimit *r), (what, r))
WRAP(F_SETRLIMIT, int, setrlimit, (int what, const struct rlimit *r), (what, r))
WRAP(F_MLOCKALL, int, mlockall, (int flags), (flags))
WRAP(F_MUNLOCKALL, int, munlockall, (void), ())
WRAP(F_INOTIFY_RM, int, inotify_rm_watch, (int fd, int wd), (fd, wd))
WRAP(F_SHUTDOWN, int, shutdown, (int fd, int how), (fd, how))

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;
	int i;

	va_start(ap, option);
	for (i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	return strikes(F_PRCTL) ? -1 : __real_prctl(option, a[0], a[1], a[2], a[3]);
}

/* Locks and leases: one int, or none that counts. */
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	int arg;

	va_start(ap, command);
	arg = va_arg(ap, int);
	va_end(ap);
	return strikes(F_FCNTL) ? -1 : __real_fcntl(fd, command, arg);
}

bool fault_strikes_work(void)
{
	return strikes(F_QUEUE_WORK);
}

/* libuv asks epoll(7) whether it takes the descriptor. */
struct uv_loop_s;
struct uv_poll_s;
int __real_uv_poll_init(struct uv_loop_s *loop, struct uv_poll_s *poll, int fd);
int __wrap_uv_poll_init(struct uv_loop_s *loop, struct uv_poll_s *poll, int fd);
int __wrap_uv_poll_init(struct uv_loop_s *loop, struct uv_poll_s *poll, int fd)
{
	return strikes(F_POLL_INIT) ? -errno : __real_uv_poll_init(loop, poll, fd);
}

long __real_syscall(long number, ...);

/* libmicrohttpd's, as the program's functions come before those of the C library. */
ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	return strikes(F_RECV) ? -1 : recvfrom(fd, buf, n, flags, NULL, NULL);
}

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	if (strikes(F_SEND)) {
		if (state.err != PARTLY)
			return -1;
		n = n > 1 ? 1 : n;
	}
	return sendto(fd, buf, n, flags, NULL, 0);
}

/* The head and the body of an answer together; sd_notify() too. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (strikes(F_SEND)) {
		if (state.err != PARTLY)
			return -1;
		return sendto(fd, m->msg_iov->iov_base, 1, flags, NULL, 0);
	}
	return (ssize_t)__real_syscall(SYS_sendmsg, (long)fd, m, (long)flags);
}

#define WRAP_POINTER(f, type, name, params, args)              \
	type __real_##name params;                             \
	type __wrap_##name params;                             \
	type __wrap_##name params                              \
	{                                                      \
		return strikes(f) ? NULL : __real_##name args; \
	}

struct libmnt_table;
WRAP_POINTER(F_FDOPENDIR, DIR *, fdopendir, (int fd), (fd))
WRAP_POINTER(F_OPENDIR, DIR *, opendir, (const char *p), (p))
WRAP_POINTER(F_REALPATH, char *, realpath, (const char *p, char *buf), (p, buf))
WRAP_POINTER(F_READDIR, struct dirent *, readdir, (DIR * dir), (dir))

int __real_mnt_table_parse_file(struct libmnt_table *table, const char *name);
int __wrap_mnt_table_parse_file(struct libmnt_table *table, const char *name);
int __wrap_mnt_table_parse_file(struct libmnt_table *table, const char *name)
{
	return strikes(F_TABLE) ? -errno : __real_mnt_table_parse_file(table, name);
}

/* A mode is passed on whether it was given or not: only O_CREAT looks at it. */
int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return strikes(F_OPENAT) ? -1 : __real_openat(fd, path, flags, mode);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return strikes(F_OPEN) ? -1 : __real_open(path, flags, mode);
}

/* The code uses it for openat2(2), which has four arguments, and pivot_root(2). */
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[4];
	va_list ap;
	int i;

	va_start(ap, number);
	for (i = 0; i < 4; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && strikes(F_OPENAT2))
		return -1;
	if (number == SYS_pivot_root && strikes(F_PIVOT_ROOT))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3]);
}

ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	if (strikes(F_READ)) {
		ssize_t got;

		if (state.err != PARTLY)
			return -1;
		got = __real_read(fd, buf, n > 1 ? 1 : n);
		if (got >= 0 || errno != EINVAL) /* inotify has no parts of events */
			return got;
	}
	return __real_read(fd, buf, n);
}

ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (strikes(F_WRITE)) {
		if (state.err != PARTLY)
			return -1;
		n = n > 1 ? 1 : n;
	}
	return __real_write(fd, buf, n);
}

/* The descriptor is gone all the same, as on Linux. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	int err;

	if (!strikes(F_CLOSE))
		return __real_close(fd);
	err = errno;
	(void)__real_close(fd);
	errno = err;
	return -1;
}
