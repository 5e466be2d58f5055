/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fsutil.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX (PATH_MAX / 2) /* as deep as a path can name */

static int open_how(int dirfd, const char *path, int flags, unsigned long long resolve)
{
	struct open_how how = {
		.flags = (unsigned long long)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int sv_open_beneath(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, RESOLVE_NO_SYMLINKS);
}

int sv_open_inside(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, 0);
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
static int open_dir(int dirfd, const char *name, mode_t mode, gid_t gid, bool exact, bool *made)
{
	struct stat st;
	int fd, r = 0;

	*made = mkdirat(dirfd, name, mode & 0777) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
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
			fd = open_dir(at, name, mode, gid, exact && !path[n], &made_here);
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

/* What is not there is no trouble, and what is in use stays: so do all directories above it. */
static bool stays(int e)
{
	return e == ENOTEMPTY || e == EEXIST || e == EBUSY || e == ENOTDIR || e == ELOOP;
}

static int remove_dir(int dirfd, const char *name)
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
			above = sv_open_beneath(dirfd, copy, O_PATH | O_DIRECTORY);
			r = above < 0 ? above : remove_dir(above, slash + 1);
		} else {
			r = remove_dir(dirfd, copy);
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

/* ---- removal ------------------------------------------------------------------------------- */

static int wipe_file(int dirfd, const char *name)
{
	static const char zeros[65536];
	sv_autoclose int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	off_t left;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	for (left = S_ISREG(st.st_mode) ? st.st_size : 0; left > 0;) {
		size_t n = left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros);
		int r = sv_write_all(fd, zeros, n);

		if (r < 0)
			return r;
		left -= (off_t)n;
	}
	return 0;
}

static void keep_first(int *first, int r)
{
	if (*first == 0)
		*first = r;
}

/* -EXDEV for a mountpoint, even if the same file system is mounted there. */
static int open_dir_here(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

static int empty_dir(int dirfd, bool wipe, dev_t dev, unsigned depth);

static int remove_entry(int dirfd, const char *name, unsigned char type, bool wipe, dev_t dev,
			unsigned depth)
{
	sv_autoclose int fd = -1;
	int r = 0;

	if (type == DT_UNKNOWN) {
		struct stat st;

		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		type = (unsigned char)IFTODT(st.st_mode);
	}
	if (type != DT_DIR) {
		if (type == DT_REG && wipe)
			r = wipe_file(dirfd, name);
		if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			keep_first(&r, -errno);
		return r;
	}
	fd = open_dir_here(dirfd, name);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = empty_dir(fd, wipe, dev, depth + 1);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

struct emptying {
	bool wipe;
	dev_t dev;
	unsigned depth;
	int r; /* the first failure: the other entries go all the same */
};

static int empty_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct emptying *e = arg;

	keep_first(&e->r, remove_entry(dirfd, name, type, e->wipe, e->dev, e->depth));
	return 0;
}

static int empty_dir(int dirfd, bool wipe, dev_t dev, unsigned depth)
{
	struct emptying e = { .wipe = wipe, .dev = dev, .depth = depth };
	struct stat st;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	if (fstat(dirfd, &st) < 0)
		return -errno;
	if (st.st_dev != dev)
		return -EXDEV;
	keep_first(&e.r, sv_each_entry(dirfd, empty_entry, &e));
	return e.r;
}

int sv_empty_dir(int dirfd, bool wipe)
{
	struct stat st;

	return fstat(dirfd, &st) < 0 ? -errno : empty_dir(dirfd, wipe, st.st_dev, 0);
}

int sv_remove_tree(int dirfd, const char *name, bool wipe)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	return remove_entry(dirfd, name, DT_UNKNOWN, wipe, st.st_dev, 0);
}
