/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fsutil.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"

#define DEPTH_MAX 64 /* levels that are held open while a tree is removed */
#define RACES_MAX 64 /* renames that may come between while one ".." is followed */

void sv_reserve_standard(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0) /* the lowest that is free, so it is this one */
			(void)open("/dev/null",
				   (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

static int open_how(int dirfd, const char *path, int flags, unsigned long long resolve)
{
	struct open_how how = {
		.flags = (unsigned long long)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	unsigned races = 0;
	long fd;

	/* EAGAIN may also be somebody's lease on the file, which lasts for as long as it likes. */
	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && races++ < RACES_MAX)));
	return fd < 0 ? -errno : (int)fd;
}

int sv_open_beneath(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, RESOLVE_NO_SYMLINKS);
}

int sv_open_on_mount(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int sv_open_inside(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, 0);
}

int sv_find_manifest(int dirfd, const char *name, int *path_fd, struct stat *st,
		     const char **reason, struct sv_err *err)
{
	*path_fd = sv_open_inside(dirfd, name, O_PATH);
	*reason = "Unreadable";
	if (*path_fd == -EXDEV) {
		*reason = "OutsideDirectory";
		sv_err_set(err, 0, "is a symbolic link that leads out of the directory");
		return -EXDEV;
	}
	if (*path_fd < 0)
		return sv_err_set(err, *path_fd, "cannot open");
	if (fstat(*path_fd, st) < 0)
		return sv_err_set(err, -errno, "cannot look at it");
	if (S_ISREG(st->st_mode))
		return 0;
	*reason = "NotAFile";
	sv_err_set(err, 0, "is not a plain file");
	return -EINVAL;
}

/* A mountpoint is told even if the same file system is mounted there. */
int sv_open_here(int dirfd, const char *name)
{
	int fd = sv_open_on_mount(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	return fd == -ELOOP ? -ENOTDIR : fd; /* a link is no directory */
}

int sv_each_entry(int dirfd, int (*fn)(void *arg, int dirfd, const char *name, unsigned char type),
		  void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	const struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		e = readdir(dir);
		if (!e) {
			r = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = fn(arg, dirfd, e->d_name, e->d_type);
	}
	closedir(dir);
	return r;
}

static int set_dir(int fd, mode_t mode, gid_t gid)
{
	if (gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) < 0)
		return -errno;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* One element: made if it is missing. mkdirat() is subject to the umask, and knows no setgid. */
int sv_open_dir(int dirfd, const char *name, mode_t mode, gid_t gid, bool exact, bool *made)
{
	struct stat st;
	int fd, r = 0;

	*made = mkdirat(dirfd, name, mode & 0777) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	fd = sv_open_here(dirfd, name);
	if (fd < 0) {
		r = fd;
	} else if (*made || exact) {
		if (fstat(fd, &st) < 0)
			r = -errno;
		else if ((st.st_mode & 07777) != mode || (gid != (gid_t)-1 && st.st_gid != gid))
			r = set_dir(fd, mode, gid);
	}
	if (r == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (*made) /* the next try would find it and leave its mode as it is */
		(void)unlinkat(dirfd, name, AT_REMOVEDIR);
	return r;
}

int sv_open_dirs(int dirfd, const char *path, mode_t mode, gid_t gid, bool exact, bool *made)
{
	bool made_here = false;
	int at = dirfd;

	for (;;) {
		size_t n = strcspn(path, "/");
		char name[NAME_MAX + 1];
		int fd;

		if (n > NAME_MAX) {
			fd = -ENAMETOOLONG;
		} else {
			memcpy(name, path, n);
			name[n] = '\0';
			fd = sv_open_dir(at, name, mode, gid, exact && !path[n], &made_here);
		}
		if (at != dirfd)
			close(at);
		if (fd < 0 || !path[n]) {
			if (made)
				*made = made_here;
			return fd;
		}
		at = fd;
		path += n + 1;
	}
}

int sv_make_dirs(int dirfd, const char *path, mode_t mode)
{
	const char *end = path + strcspn(path, "/");
	sv_autoclose int fd = -1;
	char part[PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (;; end += 1 + strcspn(end + 1, "/")) {
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = '\0';
		if (mkdirat(dirfd, part, mode) < 0)
			return -errno;
		if (!*end)
			break;
	}
	fd = sv_open_on_mount(dirfd, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return (st.st_mode & 07777) == mode ? SV_TAKE_FD(fd) : -EEXIST;
}

/* What is not there is no trouble, and what is in use stays: so do all directories above it. */
static bool stays(int e)
{
	return e == ENOTEMPTY || e == EEXIST || e == EBUSY || e == ENOTDIR || e == ELOOP ||
	       e == EXDEV;
}

static int rmdir_at(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int sv_remove_dirs(int dirfd, const char *path, unsigned keep)
{
	sv_autofree char *copy = strdup(path);
	unsigned elements = 1;
	const char *s;
	int r;

	if (!copy)
		return -ENOMEM;
	for (s = path; *s; s++)
		elements += *s == '/';
	for (; elements > keep; elements--) {
		char *slash = strrchr(copy, '/');
		sv_autoclose int above = -1;

		if (slash) {
			*slash = '\0';
			above = sv_open_on_mount(dirfd, copy, O_PATH | O_DIRECTORY);
			r = above < 0 ? above : rmdir_at(above, slash + 1);
		} else {
			r = rmdir_at(dirfd, copy);
		}
		if (r < 0 && r != -ENOENT)
			return stays(-r) ? 0 : r;
		if (!slash)
			break;
	}
	return 0;
}

int sv_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int sv_read_all(int fd, size_t max, struct sv_bytes *ret)
{
	sv_autobytes struct sv_bytes b = { NULL, 0 };
	size_t used = 0, want = 4096;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		want = (size_t)st.st_size + 1; /* the end is seen without growing */
	if (want > max + 1)
		want = max + 1;
	for (;;) {
		ssize_t n;

		if (used == b.len) {
			unsigned char *p;

			if (used > 0)
				want = used * 2 > max + 1 ? max + 1 : used * 2;
			p = malloc(want ? want : 1);
			if (!p)
				return -ENOMEM;
			if (used > 0)
				memcpy(p, b.ptr, used);
			sv_bytes_wipe(&b);
			b = (struct sv_bytes){ p, want };
		}
		n = read(fd, b.ptr + used, b.len - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max)
			return -EFBIG;
	}
	b.len = used;
	*ret = sv_bytes_take(&b);
	return 0;
}

struct sv_identity sv_identity_of(const struct stat *st)
{
	return (struct sv_identity){ st->st_dev, st->st_ino, st->st_size, st->st_mtim,
				     st->st_ctim };
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool sv_identity_equal(const struct sv_identity *a, const struct sv_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime);
}

/* ---- removal ------------------------------------------------------------------------------- */

/* Whoever has the file open sees no more of it; a file that cannot be written to is cut off. */
static int wipe_file(int dirfd, const char *name)
{
	static const char zeros[65536];
	sv_autoclose int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	off_t left;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	for (left = st.st_size < SV_WIPE_MAX ? st.st_size : SV_WIPE_MAX; left > 0 && r == 0;) {
		size_t n = left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros);

		r = sv_write_all(fd, zeros, n);
		left -= (off_t)n;
	}
	if ((r < 0 || st.st_size > SV_WIPE_MAX) && ftruncate(fd, 0) < 0)
		return -errno;
	return 0;
}

static void keep_first(int *first, int r)
{
	if (*first == 0)
		*first = r;
}

struct emptying {
	bool wipe;
	dev_t dev;
	int top;        /* the directory that is emptied as a whole */
	unsigned depth; /* below it */
	unsigned lifted;
	int r; /* the first failure: the other entries go all the same */
};

static void empty_dir(struct emptying *e, int dirfd);

/* What is too deep is moved up, and has its turn with the next walk. */
static int lift(struct emptying *e, int dirfd, const char *name)
{
	char up[32];
	int r;

	do {
		(void)snprintf(up, sizeof(up), "..lifted%u", e->lifted++);
		r = renameat2(dirfd, name, e->top, up, RENAME_NOREPLACE) < 0 ? -errno : 0;
	} while (r == -EEXIST && e->lifted > 0);
	return r;
}

static int remove_dir(struct emptying *e, int dirfd, const char *name)
{
	sv_autoclose int fd = sv_open_here(dirfd, name);
	int before = e->r;

	if (fd < 0)
		return fd;
	if (e->depth >= DEPTH_MAX)
		return lift(e, dirfd, name);
	e->r = 0;
	e->depth++;
	empty_dir(e, fd);
	e->depth--;
	if (e->r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		e->r = -errno;
	keep_first(&before, e->r == -ENOENT ? 0 : e->r);
	e->r = before;
	return 0;
}

static int remove_entry(struct emptying *e, int dirfd, const char *name, unsigned char type)
{
	int r = 0;

	if (type == DT_UNKNOWN) {
		struct stat st;

		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		type = (unsigned char)IFTODT(st.st_mode);
	}
	if (type == DT_DIR)
		return remove_dir(e, dirfd, name);
	if (type == DT_REG && e->wipe)
		r = wipe_file(dirfd, name);
	if (r != -EAGAIN && unlinkat(dirfd, name, 0) < 0)
		keep_first(&r, -errno);
	return r;
}

static int empty_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct emptying *e = arg;
	int r = remove_entry(e, dirfd, name, type);

	keep_first(&e->r, r == -ENOENT ? 0 : r);
	return 0;
}

static void empty_dir(struct emptying *e, int dirfd)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		keep_first(&e->r, -errno);
	else if (st.st_dev != e->dev)
		keep_first(&e->r, -EXDEV);
	else
		keep_first(&e->r, sv_each_entry(dirfd, empty_entry, e));
}

int sv_empty_dir(int dirfd, bool wipe)
{
	struct emptying e = { .wipe = wipe, .top = dirfd };
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	e.dev = st.st_dev;
	do {
		e.lifted = 0;
		empty_dir(&e, dirfd);
	} while (e.r == 0 && e.lifted > 0);
	return e.r;
}

int sv_remove_tree(int dirfd, const char *name, bool wipe)
{
	struct emptying e = { .wipe = wipe };
	sv_autoclose int fd = sv_open_here(dirfd, name);
	int r;

	if (fd == -ENOTDIR) {
		r = remove_entry(&e, dirfd, name, DT_UNKNOWN);
		return r == -ENOENT ? 0 : r;
	}
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = sv_empty_dir(fd, wipe);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}
