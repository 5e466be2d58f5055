/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "atomic_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "fsutil.h"

#define DATA "..data"
#define DATA_TMP "..data_tmp"
#define RANDOM_DIGITS 6

void sv_written_done(struct sv_written *w)
{
	free(w->old);
	*w = (struct sv_written){ 0 };
}

/* ---- names --------------------------------------------------------------------------------- */

static int make_name(uint64_t generation, char name[SV_DATA_DIR_MAX])
{
	struct timespec now;
	struct tm tm;
	uint32_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)
			getpid(); /* too early for randomness: the number is unique anyway */
	clock_gettime(CLOCK_REALTIME, &now);
	if (!gmtime_r(&now.tv_sec, &tm))
		return -EOVERFLOW;
	(void)snprintf(name, SV_DATA_DIR_MAX, "..%04d_%02d_%02d_%02d_%02d_%02d.%" PRIu64 "%06u",
		       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		       tm.tm_sec, generation, random % 1000000);
	return 0;
}

/* "..2026_…": what a generation is called, ours or a kubelet's. */
static bool is_generation(const char *name)
{
	return name[0] == '.' && name[1] == '.' && name[2] >= '0' && name[2] <= '9' &&
	       strlen(name) < SV_DATA_DIR_MAX;
}

static uint64_t number_of(const char *name)
{
	const char *digits = strrchr(name, '.') + 1;
	size_t n = strlen(digits);
	char copy[SV_DATA_DIR_MAX];

	if (n <= RANDOM_DIGITS || strspn(digits, "0123456789") != n)
		return 1; /* not ours: at least it is one */
	memcpy(copy, digits, n - RANDOM_DIGITS);
	copy[n - RANDOM_DIGITS] = '\0';
	return strtoull(copy, NULL, 10);
}

/* The generation that ..data points to, "" if there is none that could be. */
static int read_current(int dirfd, char name[SV_DATA_DIR_MAX])
{
	ssize_t n = readlinkat(dirfd, DATA, name, SV_DATA_DIR_MAX - 1);

	name[n > 0 ? n : 0] = '\0';
	if (n < 0 && errno != ENOENT && errno != EINVAL)
		return -errno;
	if (!is_generation(name) || strchr(name, '/'))
		name[0] = '\0';
	return 0;
}

static size_t first_element(const char *path)
{
	return strcspn(path, "/");
}

/* The top-level name of @path is a nested mountpoint, which hides the files (R49). */
static bool is_mountpoint(const struct sv_plan *plan, const char *path, size_t n)
{
	size_t i;

	for (i = 0; i < plan->n_dirs; i++)
		if (strncmp(plan->dirs[i], path, n) == 0 &&
		    (plan->dirs[i][n] == '/' || !plan->dirs[i][n]))
			return true;
	return false;
}

/* Does a link of this name belong to a file of the plan? Files stand in the order of first elements. */
static bool is_planned_link(const struct sv_plan *plan, const char *name)
{
	size_t n = strlen(name), lo = 0, hi = plan->n_files;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const char *path = plan->files[mid].path;
		size_t m = first_element(path);
		int r = memcmp(path, name, m < n ? m : n);

		if (r == 0 && m == n)
			return !is_mountpoint(plan, name, n);
		if (r < 0 || (r == 0 && m < n))
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static gid_t group_of(const struct sv_plan *plan)
{
	return plan->fs_group >= 0 ? (gid_t)plan->fs_group : 0;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static int same_content(int fd, const struct sv_bytes *want)
{
	char buf[16384];
	size_t done = 0;

	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if ((size_t)n > want->len - done || memcmp(buf, want->ptr + done, (size_t)n) != 0) {
			explicit_bzero(buf, sizeof(buf));
			return 0;
		}
		done += (size_t)n;
	}
	explicit_bzero(buf, want->len < sizeof(buf) ? want->len : sizeof(buf));
	return done == want->len;
}

/*
 * Something else stands there: nothing, a link, a socket, a device that may not be opened here. Or
 * what cannot be read, as somebody has a lease on it: a new generation needs nothing from it.
 */
static bool is_no_file(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENXIO || r == -EACCES ||
	       r == -EAGAIN;
}

static int same_file(int datafd, const struct sv_plan *plan, const struct sv_plan_file *f)
{
	sv_autoclose int fd = sv_open_beneath(datafd, f->path, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return is_no_file(fd) ? 0 : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != f->mode || st.st_uid != 0 ||
	    st.st_gid != group_of(plan) || (size_t)st.st_size != f->size)
		return 0;
	return same_content(fd, f->value);
}

struct counter {
	const struct sv_plan *plan;
	size_t files; /* seen so far; one more than the plan has is enough to know */
	unsigned depth, max_depth;
	bool odd; /* a directory that is empty, or not as it was made */
};

static int count_entry(void *arg, int dirfd, const char *name, unsigned char type);

/* Is a directory of the generation as it was made? Counts what is in it. */
static int count_dir(struct counter *c, int dirfd)
{
	size_t before = c->files;
	struct stat st;
	int r;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) != sv_plan_dir_mode(c->plan) || st.st_uid != 0 ||
	    st.st_gid != group_of(c->plan))
		c->odd = true;
	r = c->odd ? 0 : sv_each_entry(dirfd, count_entry, c);
	if (c->files == before && c->depth > 0)
		c->odd = true; /* every directory below the first is there for a file */
	return r;
}

static int count_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct counter *c = arg;
	sv_autoclose int fd = -1;
	int r;

	if (c->odd || c->files > c->plan->n_files)
		return 0;
	if (type != DT_DIR) {
		c->files++;
		return 0;
	}
	if (c->depth >= c->max_depth) { /* whatever is in it: no file of the plan is */
		c->odd = true;
		return 0;
	}
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	c->depth++;
	r = count_dir(c, fd);
	c->depth--;
	return r;
}

/* How many directories the deepest file is in. */
static unsigned depth_of(const struct sv_plan *plan)
{
	unsigned max = 0;
	size_t i;

	for (i = 0; i < plan->n_files; i++) {
		const char *s = plan->files[i].path;
		unsigned n = 0;

		while ((s = strchr(s, '/'))) {
			s++;
			n++;
		}
		max = n > max ? n : max;
	}
	return max;
}

static int same_generation(int dirfd, const char *name, const struct sv_plan *plan)
{
	sv_autoclose int datafd =
		openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct counter counter = { .plan = plan, .max_depth = depth_of(plan) };
	size_t i;
	int r;

	if (datafd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	r = count_dir(&counter, datafd);
	if (r < 0)
		return r;
	if (counter.odd || counter.files != plan->n_files)
		return 0;
	for (i = 0; i < plan->n_files; i++) {
		r = same_file(datafd, plan, &plan->files[i]);
		if (r <= 0)
			return r;
	}
	return 1;
}

/* "..data/ELEMENT" of the file's first element; ELEMENT starts at target + 7. */
static void link_target(const char *path, char target[NAME_MAX + 8])
{
	size_t n = first_element(path);

	memcpy(target, DATA "/", 7);
	memcpy(target + 7, path, n);
	target[7 + n] = '\0';
}

static bool same_links(int dirfd, const struct sv_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_files; i++) {
		char target[NAME_MAX + 8], found[NAME_MAX + 8];
		const char *path = plan->files[i].path;
		ssize_t n;

		if (!sv_plan_starts_element(plan, i) ||
		    is_mountpoint(plan, path, first_element(path)))
			continue;
		link_target(path, target);
		n = readlinkat(dirfd, target + 7, found, sizeof(found));
		if (n < 0 && errno == EINVAL) /* something that is no link: left alone (R40) */
			continue;
		if (n < 0 || (size_t)n != strlen(target) || memcmp(found, target, (size_t)n) != 0)
			return false;
	}
	return true;
}

static bool same_dirs(int dirfd, const struct sv_plan *plan)
{
	struct stat st;
	size_t i;

	if (fstat(dirfd, &st) < 0 || (st.st_mode & 07777) != sv_plan_root_mode(plan) ||
	    st.st_gid != group_of(plan))
		return false;
	for (i = 0; i < plan->n_dirs; i++) {
		sv_autoclose int fd = sv_open_beneath(dirfd, plan->dirs[i], O_PATH | O_DIRECTORY);

		if (fd < 0)
			return false;
	}
	return true;
}

/* ---- the volume's root --------------------------------------------------------------------- */

struct scan {
	const struct sv_plan *plan;
	const char *current;
	bool unlink_stale;
	size_t stale;
	struct sv_written *ret;
};

static int scan_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct scan *s = arg;
	struct sv_old_generation *p;

	if (type == DT_DIR && is_generation(name)) {
		if (strcmp(name, s->current) == 0 || s->ret->n_old >= SV_OLD_GENERATIONS_MAX)
			return 0;
		p = reallocarray(s->ret->old, s->ret->n_old + 1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		s->ret->old = p;
		memcpy(p[s->ret->n_old].data_dir, name, strlen(name) + 1);
		p[s->ret->n_old++].due_ms = 0;
	} else if (type == DT_LNK && strcmp(name, DATA) != 0 && !is_planned_link(s->plan, name)) {
		s->stale++;
		if (s->unlink_stale && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/*
 * Walk the root: collect the generations that are not @current and, with @unlink_stale, remove
 * links that no file of the plan wants any more (R42). *stale is how many such links there were.
 * We leave no more generations than the limit; what somebody else has put there waits its turn.
 */
static int scan_root(int dirfd, const struct sv_plan *plan, const char *current, bool unlink_stale,
		     size_t *stale, struct sv_written *ret)
{
	struct scan s = { plan, current, unlink_stale, 0, ret };
	int r = sv_each_entry(dirfd, scan_entry, &s);

	*stale = s.stale;
	return r;
}

static void note_current(int dirfd, const char *current, struct sv_written *ret)
{
	struct stat st;

	ret->made_ms = 0;
	ret->generation = *current ? number_of(current) : 0;
	if (*current && fstatat(dirfd, current, &st, AT_SYMLINK_NOFOLLOW) == 0)
		ret->made_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

/* The generation that is current, and what else is there that @plan says nothing of. */
static int look(int dirfd, const struct sv_plan *plan, char current[SV_DATA_DIR_MAX], size_t *stale,
		struct sv_written *ret)
{
	int r = read_current(dirfd, current);

	if (r == 0)
		r = scan_root(dirfd, plan, current, false, stale, ret);
	if (r == 0)
		note_current(dirfd, current, ret);
	return r;
}

int sv_atomic_look(int dirfd, struct sv_written *ret)
{
	static const struct sv_plan none;
	char current[SV_DATA_DIR_MAX];
	size_t stale;

	return look(dirfd, &none, current, &stale, ret);
}

int sv_atomic_check(int dirfd, const struct sv_plan *plan, struct sv_written *ret)
{
	char current[SV_DATA_DIR_MAX];
	size_t stale = 0;
	int r = look(dirfd, plan, current, &stale, ret);

	if (r < 0)
		return r;
	if (!*current || stale > 0 || !same_dirs(dirfd, plan) || !same_links(dirfd, plan))
		return 0;
	return same_generation(dirfd, current, plan);
}

/* ---- writing ------------------------------------------------------------------------------- */

static int write_file(int dirfd, const char *name, const struct sv_plan *plan,
		      const struct sv_plan_file *f)
{
	sv_autoclose int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = sv_write_all(fd, f->value->ptr, f->value->len);
	if (r < 0)
		return r;
	if (plan->fs_group >= 0 && fchown(fd, (uid_t)-1, group_of(plan)) < 0)
		return -errno;
	if (fchmod(fd, f->mode) < 0)
		return -errno;
	return 0;
}

static int write_files(int datafd, const struct sv_plan *plan, struct sv_err *err)
{
	gid_t gid = plan->fs_group >= 0 ? group_of(plan) : (gid_t)-1;
	size_t i;
	int r;

	for (i = 0; i < plan->n_files; i++) {
		const struct sv_plan_file *f = &plan->files[i];
		const char *name = strrchr(f->path, '/');

		if (name) {
			sv_autofree char *parent = strndup(f->path, (size_t)(name - f->path));
			sv_autoclose int fd = -1;

			fd = parent ? sv_open_dirs(datafd, parent, sv_plan_dir_mode(plan), gid,
						   false, NULL) :
				      -ENOMEM;
			r = fd < 0 ? fd : write_file(fd, name + 1, plan, f);
		} else {
			r = write_file(datafd, f->path, plan, f);
		}
		if (r < 0)
			return sv_err_set(err, r, "cannot write '%s'", f->path);
	}
	return 0;
}

static int write_generation(int dirfd, const char *name, const struct sv_plan *plan,
			    struct sv_err *err)
{
	sv_autoclose int datafd = -1;
	int r;

	datafd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (datafd < 0)
		return sv_err_set(err, -errno, "cannot open '%s'", name);
	r = write_files(datafd, plan, err);
	if (r < 0)
		return r;
	if (plan->fs_group >= 0 && fchown(datafd, (uid_t)-1, group_of(plan)) < 0)
		return sv_err_set(err, -errno, "cannot set the group of '%s'", name);
	if (fchmod(datafd, sv_plan_dir_mode(plan)) < 0)
		return sv_err_set(err, -errno, "cannot set the mode of '%s'", name);
	return 0;
}

/* A link by way of a temporary name, so that its own name always stands for something. */
static int replace_link(int dirfd, const char *target, const char *name)
{
	if (symlinkat(target, dirfd, DATA_TMP) < 0) {
		if (errno != EEXIST || unlinkat(dirfd, DATA_TMP, 0) < 0 ||
		    symlinkat(target, dirfd, DATA_TMP) < 0)
			return -errno;
	}
	if (renameat(dirfd, DATA_TMP, dirfd, name) < 0) {
		int r = -errno;

		(void)unlinkat(dirfd, DATA_TMP, 0);
		return r;
	}
	return 0;
}

static int make_links(int dirfd, const struct sv_plan *plan, struct sv_err *err)
{
	size_t i;

	for (i = 0; i < plan->n_files; i++) {
		char target[NAME_MAX + 8], found[NAME_MAX + 8];
		const char *path = plan->files[i].path;
		ssize_t n;
		int r = 0;

		if (!sv_plan_starts_element(plan, i) ||
		    is_mountpoint(plan, path, first_element(path)))
			continue;
		link_target(path, target);
		if (symlinkat(target, dirfd, target + 7) == 0)
			continue;
		if (errno != EEXIST)
			return sv_err_set(err, -errno, "cannot make link '%s'", target + 7);
		n = readlinkat(dirfd, target + 7, found, sizeof(found));
		if (n < 0 && errno == EINVAL) /* not a link: left alone (R40) */
			continue;
		if (n < 0)
			r = -errno;
		else if ((size_t)n != strlen(target) || memcmp(found, target, (size_t)n) != 0)
			r = replace_link(dirfd, target, target + 7);
		if (r < 0)
			return sv_err_set(err, r, "cannot make link '%s'", target + 7);
	}
	return 0;
}

static int remove_link(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISLNK(st.st_mode) && unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

/* Nested mountpoints (R49). A link in the place of one gives way. */
static int make_dirs(int dirfd, const struct sv_plan *plan, struct sv_err *err)
{
	gid_t gid = plan->fs_group >= 0 ? group_of(plan) : (gid_t)-1;
	size_t i;

	for (i = 0; i < plan->n_dirs; i++) {
		const char *path = plan->dirs[i];
		char first[NAME_MAX + 1];
		int fd;

		memcpy(first, path, first_element(path));
		first[first_element(path)] = '\0';
		fd = remove_link(dirfd, first);
		if (fd == 0)
			fd = sv_open_dirs(dirfd, path, sv_plan_dir_mode(plan), gid, true, NULL);
		if (fd < 0)
			return sv_err_set(err, fd, "cannot make mountpoint '%s'", path);
		close(fd);
	}
	return 0;
}

/* The root's own mode and group; fsGroup may have changed since it was made. */
static int set_root(int dirfd, const struct sv_plan *plan, struct sv_err *err)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return sv_err_set(err, -errno, "cannot stat the volume's root");
	if (st.st_gid != group_of(plan) && fchown(dirfd, (uid_t)-1, group_of(plan)) < 0)
		return sv_err_set(err, -errno, "cannot set the group of the volume's root");
	if (((st.st_mode & 07777) != sv_plan_root_mode(plan) || st.st_gid != group_of(plan)) &&
	    fchmod(dirfd, sv_plan_root_mode(plan)) < 0)
		return sv_err_set(err, -errno, "cannot set the mode of the volume's root");
	return 0;
}

int sv_atomic_write(int dirfd, const struct sv_plan *plan, uint64_t generation, bool fresh,
		    struct sv_written *ret, struct sv_err *err)
{
	char name[SV_DATA_DIR_MAX];
	size_t stale = 0;
	int r = make_name(generation, name);

	if (r < 0)
		return sv_err_set(err, r, "cannot prepare a new generation");
	r = set_root(dirfd, plan, err);
	if (r == 0 && mkdirat(dirfd, name, 0700) < 0)
		r = sv_err_set(err, -errno, "cannot make directory '%s'", name);
	if (r < 0) /* nothing was made yet: what has that name, if anything does, stays */
		return r;
	r = write_generation(dirfd, name, plan, err);
	if (r == 0) {
		r = replace_link(dirfd, name, DATA);
		if (r < 0)
			sv_err_set(err, r, "cannot switch to '%s'", name);
	}
	if (r < 0) {
		(void)sv_remove_tree(dirfd, name, true);
		return r;
	}
	r = make_dirs(dirfd, plan, err); /* not before: they may take a link's place */
	if (r == 0)
		r = make_links(dirfd, plan, err);
	sv_written_done(ret);
	if (r == 0 && !fresh) {
		r = scan_root(dirfd, plan, name, true, &stale, ret);
		if (r < 0)
			sv_err_set(err, r, "cannot remove what is no longer there");
	}
	note_current(dirfd, name, ret);
	return r;
}

int sv_atomic_empty(int dirfd)
{
	if (unlinkat(dirfd, DATA, 0) < 0 && errno != ENOENT && errno != EISDIR)
		return -errno;
	return sv_empty_dir(dirfd, true);
}

int sv_atomic_remove(int dirfd, const char *data_dir, bool wipe)
{
	char current[SV_DATA_DIR_MAX];
	int r = read_current(dirfd, current);

	if (r < 0)
		return r;
	if (strcmp(current, data_dir) == 0 || !is_generation(data_dir))
		return -EBUSY;
	return sv_remove_tree(dirfd, data_dir, wipe);
}
