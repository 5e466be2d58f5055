/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "process.h"

#include <cap-ng.h>
#include <errno.h>
#include <libmount/libmount.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/cleanup.h"
#include "log.h"

void sv_process_harden(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	(void)setrlimit(RLIMIT_CORE, &none);
	/* A path of 2,000 elements takes two descriptors for each while it is walked. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGIO, SIG_IGN); /* a lease that is broken: see source/dir.c */
	(void)umask(027);
	/* Two arenas serve two kinds of threads; more would only spread what is free. */
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

/* ---- memory -------------------------------------------------------------------------------- */

#define STACK_USED (128 << 10) /* twice the largest buffer in source/dir.c */
#define LOCK_FLAGS (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)

static bool wanted, locked;

bool sv_process_lock_memory(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY ||
	    (capng_get_caps_process() == 0 &&
	     capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) == 1))
		wanted = locked = mlockall(LOCK_FLAGS) == 0;
	return locked;
}

/* What is locked again later has been in reach of swap meanwhile: that is worth a line, once. */
static void lock_again(void)
{
	bool was_locked = locked;

	locked = mlockall(LOCK_FLAGS) == 0;
	if (was_locked && !locked)
		sv_log_warn(
			"memory cannot be locked any more: %s; it is tried again, and until then "
			"Secrets at work may reach swap",
			strerror(errno));
}

void sv_process_trim_memory(void)
{
	if (locked)
		(void)munlockall(); /* the system takes no locked pages back */
	(void)malloc_trim(0);
	if (wanted)
		lock_again();
}

/* Values get there by way of registers: the dynamic linker saves them all when it binds a call. */
__attribute__((noinline)) void sv_process_wipe_stack(void)
{
	char below[STACK_USED];

	explicit_bzero(below, sizeof(below));
}

/* ---- mounts -------------------------------------------------------------------------------- */

/* "shared:12" or "master:12" among the optional fields of a mountinfo line: 12, or 0. */
static unsigned long peer_group(const char *fields, const char *kind)
{
	const char *p = fields ? strstr(fields, kind) : NULL;

	return p ? strtoul(p + strlen(kind), NULL, 10) : 0;
}

/* The optional fields of the mount that holds a directory. */
static char *fields_of(const char *dir)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_fs *fs =
		table ? mnt_table_find_mountpoint(table, dir, MNT_ITER_BACKWARD) : NULL;
	const char *fields = fs ? mnt_fs_get_optional_fields(fs) : NULL;
	char *copy = strdup(fields ? fields : "");

	mnt_unref_table(table);
	return copy;
}

/* Does a mount of PID 1's namespace belong to the group? If that cannot be read, we believe it. */
static bool host_has_group(unsigned long group)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/1/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	bool found = !table;

	while (table && iter && !found && mnt_table_next_fs(table, iter, &fs) == 0)
		found = peer_group(mnt_fs_get_optional_fields(fs), "shared:") == group;
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return found;
}

int sv_process_check_mounts(const char *dir, struct sv_err *err)
{
	const bool alone = getpid() == 1; /* in a container: there is no host in our /proc */
	sv_autofree char *fields = NULL;
	struct stat own, host;
	unsigned long group;

	if (stat("/proc/self/ns/mnt", &own) < 0)
		return sv_err_set(err, -errno, "cannot look at this process's mount namespace");
	if (!alone && stat("/proc/1/ns/mnt", &host) == 0 && own.st_ino == host.st_ino &&
	    own.st_dev == host.st_dev)
		return 0;
	fields = fields_of(dir);
	if (!fields)
		return sv_err_set(err, -ENOMEM, "cannot look at the mounts");
	group = peer_group(fields, "shared:");
	if (group && !peer_group(fields, "master:") && host_has_group(group))
		return 0;
	return sv_err_set(err, SV_PROCESS_E_HIDDEN,
			  alone ? "volumes in '%s' are not seen outside this container: the "
				  "directory needs mount propagation 'Bidirectional' (rshared)" :
				  "volumes in '%s' are not seen outside this process's own mount "
				  "namespace",
			  dir);
}

bool sv_process_is_service(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID");

	return pid && strtol(pid, NULL, 10) == (long)getpid();
}

/* ---- capabilities -------------------------------------------------------------------------- */

/*
 * FSETID keeps the setgid bit on directories of a group that we are not in (R44), IPC_LOCK our
 * memory out of swap; the others mount, and write where root's own rights might not reach.
 */
static const int needed[] = { CAP_SYS_ADMIN, CAP_CHOWN,  CAP_DAC_OVERRIDE,
			      CAP_FOWNER,    CAP_FSETID, CAP_IPC_LOCK };

int sv_process_drop_capabilities(struct sv_err *err)
{
	bool had[SV_ARRAY_SIZE(needed)], may_bound;
	size_t i;

	if (capng_get_caps_process() < 0)
		return sv_err_set(err, -EPERM, "cannot read capabilities");
	for (i = 0; i < SV_ARRAY_SIZE(needed); i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, (unsigned)needed[i]) == 1;
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1;
	capng_clear(CAPNG_SELECT_BOTH);
	for (i = 0; i < SV_ARRAY_SIZE(needed); i++)
		if (had[i])
			(void)capng_update(CAPNG_ADD,
					   CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
					   (unsigned)needed[i]);
	if (capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0)
		return sv_err_set(err, -EPERM, "cannot give up capabilities");
	return 0;
}

/* ---- system calls -------------------------------------------------------------------------- */

/* Everything that the daemon and its libraries do once they run. No exec, no ptrace, no namespaces. */
static const int allowed[] = {
	/* memory and threads */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	SCMP_SYS(mlockall),
	SCMP_SYS(munlockall),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu),
	SCMP_SYS(membarrier),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(tgkill),
	SCMP_SYS(prlimit64),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getrusage),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(prctl),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(capget),
	/* time and randomness */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(getrandom),
	SCMP_SYS(restart_syscall),
	/* signals */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	/* descriptors and waiting */
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(fcntl),
	SCMP_SYS(ioctl),
	SCMP_SYS(pipe2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),
	/* files */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(stat),
	SCMP_SYS(fstat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(getdents64),
	SCMP_SYS(getcwd),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(symlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rmdir),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(chmod),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(chown),
	SCMP_SYS(lchown),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fsync),
	SCMP_SYS(umask),
	SCMP_SYS(flock),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(fgetxattr),
	/* mounts */
	SCMP_SYS(fsopen),
	SCMP_SYS(fspick),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(umount2),
	/* sockets; which families, see below */
	SCMP_SYS(socketpair),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(connect),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SV_SANITIZED /* their run-time does what the daemon does not */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SV_SANITIZED
#endif
#endif

#define NAMESPACES                                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

static int add_rules(scmp_filter_ctx ctx)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };
	size_t i;
	int r = 0;

	for (i = 0; i < SV_ARRAY_SIZE(allowed) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	for (i = 0; i < SV_ARRAY_SIZE(families) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	/* Threads, not namespaces: clone3's flags cannot be seen, and glibc knows what to do without. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return r;
}

int sv_process_filter_calls(struct sv_err *err)
{
#ifdef SV_SANITIZED
	(void)add_rules;
	(void)err;
	return 0;
#else
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = ctx ? add_rules(ctx) : -ENOMEM;

	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? sv_err_set(err, r, "cannot restrict system calls") : 0;
#endif
}
