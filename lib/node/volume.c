/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/strmap.h"
#include "../base/text.h"
#include "atomic_writer.h"
#include "fsutil.h"

#define DIR_MODE 0750 /* of everything above the volumes, as the kubelet's pod directories */
#define RACES_MAX 64  /* directories that may be removed while one path is made */

/* ---- the root directory -------------------------------------------------------------------- */

/* mkdir -p with our own mode; what is there stays as it is. */
static int make_path(const char *path)
{
	sv_autofree char *copy = strdup(path);
	char *p;

	if (!copy)
		return -ENOMEM;
	for (p = copy + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(copy, 0755) < 0 && errno != EEXIST)
				return -errno;
			*p = '/';
		}
	return mkdir(copy, DIR_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

static bool is_own(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & 022);
}

/* Whoever may rename a directory above the root could put another root in its place. */
static int check_parents(const char *root, struct sv_err *err)
{
	sv_autofree char *copy = strdup(root);
	struct stat st;
	char *slash;

	if (!copy)
		return sv_err_set(err, -ENOMEM, "cannot look above '%s'", root);
	while ((slash = strrchr(copy, '/'))) {
		*slash = '\0';
		if (lstat(*copy ? copy : "/", &st) < 0)
			return sv_err_set(err, -errno, "cannot stat '%s'", copy);
		if (!is_own(&st) && (st.st_uid != 0 || !(st.st_mode & S_ISVTX)))
			return sv_err_set(
				err, -EPERM,
				"'%s', above the root directory, must be owned by root and not "
				"writable by others (it is owned by %u, mode %04o)",
				copy, st.st_uid, st.st_mode & 07777);
	}
	return 0;
}

int sv_node_open(const char *root, struct sv_node *ret, struct sv_err *err)
{
	struct sv_node n = { .root_fd = -1 };
	struct stat st;
	int r;

	if (root[0] != '/')
		return sv_err_set(err, -EINVAL, "root directory '%s' is not an absolute path",
				  root);
	r = make_path(root);
	if (r < 0)
		return sv_err_set(err, r, "cannot make root directory '%s'", root);
	n.root = realpath(root, NULL);
	if (!n.root)
		return sv_err_set(err, -errno, "cannot resolve root directory '%s'", root);
	n.root_fd = open(n.root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (n.root_fd < 0 || fstat(n.root_fd, &st) < 0) {
		r = sv_err_set(err, -errno, "cannot open root directory '%s'", n.root);
		goto fail;
	}
	if (!is_own(&st)) {
		r = sv_err_set(err, -EPERM,
			       "root directory '%s' must be owned by root and not writable by "
			       "others (it is owned by %u, mode %04o)",
			       n.root, st.st_uid, st.st_mode & 07777);
		goto fail;
	}
	r = check_parents(n.root, err);
	if (r < 0)
		goto fail;
	if (flock(n.root_fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ?
			    sv_err_set(err, -EBUSY, "another secretvold uses root directory '%s'",
				       n.root) :
			    sv_err_set(err, -errno, "cannot lock root directory '%s'", n.root);
		goto fail;
	}
	*ret = n;
	return 0;
fail:
	sv_node_close(&n);
	return r;
}

void sv_node_close(struct sv_node *n)
{
	if (n->root_fd >= 0)
		close(n->root_fd);
	n->root_fd = -1;
	free(n->root);
	n->root = NULL;
}

/* ---- directories above the volumes ----------------------------------------------------------- */

static int fault(struct sv_action *action, enum sv_fault fault, int r)
{
	action->fault = fault;
	return r;
}

static int busy(struct sv_action *action, const char *path, const char *what)
{
	sv_err_set(&action->err, 0, "'%s' %s", path, what);
	return fault(action, SV_FAULT_OCCUPIED, -EBUSY);
}

/* What stands at a path of ours, if anything, is not what we make. */
static bool is_not_there(int e)
{
	return e == ENOENT || e == ENOTDIR || e == ELOOP || e == EXDEV;
}

/* A mount's number and its root's inode: what is found by path now, and what was opened at the start. */
static int same_place(const char *path, int fd)
{
	struct statx by_path, by_fd;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &by_fd) < 0)
		return -errno;
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_MNT_ID, &by_path) < 0)
		return is_not_there(errno) ? 0 : -errno;
	return by_path.stx_ino == by_fd.stx_ino && by_path.stx_mnt_id == by_fd.stx_mnt_id &&
	       by_path.stx_dev_major == by_fd.stx_dev_major &&
	       by_path.stx_dev_minor == by_fd.stx_dev_minor;
}

/* Volumes in a root that nobody can reach would be reported as published. */
static int check_root(const struct sv_node *n, struct sv_action *action)
{
	int r = same_place(n->root, n->root_fd);

	if (r < 0)
		return fault(action, SV_FAULT_MOUNT,
			     sv_err_set(&action->err, r, "cannot stat '%s'", n->root));
	return r ? 0 :
		   busy(action, n->root, "has been moved away, or something is mounted over it");
}

/* Says what an element of a path that cannot be opened is. */
static int blocked(struct sv_action *action, const char *path, int r)
{
	if (r == -EXDEV)
		return busy(action, path, "is occupied by a mount that is not a volume");
	if (r == -ENOTDIR || r == -ELOOP)
		return busy(action, path, "is occupied by something that is no directory");
	return fault(action, SV_FAULT_MOUNT, sv_err_set(&action->err, r, "cannot open '%s'", path));
}

/* What others may write to, they may replace: nothing is put below it. What they may read is closed. */
static int check_own(struct sv_action *action, const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return blocked(action, path, -errno);
	if (!is_own(&st))
		return busy(action, path, "is not owned by root, or others may write to it");
	if ((st.st_mode & 07) && fchmod(fd, st.st_mode & 07770) < 0)
		return blocked(action, path, -errno);
	return 0;
}

/**
 * open_dirs() - the directory of a path below the root, and what is missing of it is made
 * @made: was the last one made by this call?
 *
 * All of it is the root's own: no link, no mount, nothing that others may change.
 */
static int open_dirs(const struct sv_node *n, const char *path, bool *made,
		     struct sv_action *action)
{
	sv_autofree char *copy = strdup(path);
	bool fresh = false; /* made just now: what is below it, we have made */
	sv_autoclose int at = -1;
	char *name = copy, *slash;
	int r = copy ? 0 : blocked(action, path, -ENOMEM);
	unsigned races = 0;

	while (r == 0 && name) {
		int above = at < 0 ? n->root_fd : at;
		bool again = false; /* a volume beside it that went has taken a directory along */
		int fd = fresh ? sv_make_dirs(above, name, DIR_MODE) : -EEXIST;

		slash = fd == -EEXIST ? strchr(name, '/') : NULL;
		*made = fd >= 0;
		if (fd == -EEXIST) {
			if (slash)
				*slash = '\0';
			fd = sv_open_dir(above, name, DIR_MODE, (gid_t)-1, fresh, made);
		}
		fresh = fd >= 0 && (fresh || *made);
		if (fd == -ENOENT && races++ < RACES_MAX)
			again = true;
		else if (fd < 0)
			r = blocked(action, copy, fd);
		else if (!fresh)
			r = check_own(action, copy, fd);
		if (at >= 0)
			close(at);
		at = fd < 0 ? -1 : fd;
		if (slash)
			*slash = '/';
		name = again ? copy : slash ? slash + 1 : NULL;
	}
	return r < 0 ? r : SV_TAKE_FD(at);
}

/* The directory that a path is in, not made; *name is the last element. Links and mounts are not passed. */
static int open_parent(const struct sv_node *n, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	sv_autofree char *parent = strndup(path, (size_t)(slash - path));

	*name = slash + 1;
	return parent ? sv_open_on_mount(n->root_fd, parent, O_RDONLY | O_DIRECTORY) : -ENOMEM;
}

/* The directory of a path, or what is mounted on it. */
static int open_last(const struct sv_node *n, const char *path)
{
	const char *name;
	sv_autoclose int parent = open_parent(n, path, &name);
	int fd;

	if (parent < 0)
		return parent;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- by-name links ------------------------------------------------------------------------- */

/*
 * A name is not one volume's alone: a Pod that replaces another of its name is published while the
 * other one's volume is taken down. Links, and the directories above them, change one at a time.
 */
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

/* "by-name/NS/POD" of a volume's link; its target is the volume's path from there. */
static char *name_dir(const char *ns, const char *pod)
{
	return sv_asprintf("by-name/%s/%s", ns, pod);
}

static char *name_target(const struct sv_action *action)
{
	return sv_asprintf("../../../%s", action->id);
}

/* Not the first time under this name: another Pod may have the name by now. */
static bool is_late(const struct sv_action *action)
{
	return action->mounted && (!action->former_pod || !*action->former_pod);
}

/* Return: 1, 0, or a negated errno. */
static int leads_to_volume(int dirfd, const char *name, const char *target, ssize_t len)
{
	static const char pods[] = "../../../pods/";

	if (len <= (ssize_t)strlen(pods) || memcmp(target, pods, strlen(pods)) != 0)
		return 0;
	if (faccessat(dirfd, name, F_OK, 0) == 0)
		return 1;
	return is_not_there(errno) ? 0 : -errno;
}

static int link_locked(const struct sv_node *n, struct sv_action *action)
{
	struct sv_err *err = &action->err;
	sv_autofree char *dir = name_dir(action->ns, action->pod);
	sv_autofree char *target = name_target(action);
	char found[PATH_MAX], tmp[32];
	sv_autoclose int fd = -1;
	bool made = false;
	ssize_t len;
	int r;

	if (!dir || !target)
		return sv_err_set(err, -ENOMEM, "cannot link by name");
	fd = open_dirs(n, dir, &made, action);
	if (fd < 0)
		return fd;
	if (symlinkat(target, fd, action->volume) == 0)
		return 0;
	if (errno != EEXIST)
		return sv_err_set(err, -errno, "cannot link '%s/%s'", dir, action->volume);
	len = readlinkat(fd, action->volume, found, sizeof(found));
	if (len > 0 && (size_t)len == strlen(target) && memcmp(found, target, (size_t)len) == 0)
		return 0;
	/* It leads elsewhere: to the volume of another Pod that had this name, say. */
	r = len < 0 && errno != EINVAL && errno != ENOENT ? -errno : 0;
	if (r == 0 && is_late(action))
		r = leads_to_volume(fd, action->volume, found, len);
	if (r < 0)
		return sv_err_set(err, r, "cannot tell where '%s/%s' leads", dir, action->volume);
	if (r > 0)
		return 0;
	(void)snprintf(tmp, sizeof(tmp), ".tmp%d", gettid());
	(void)unlinkat(fd, tmp, 0);
	if (symlinkat(target, fd, tmp) < 0 || renameat(fd, tmp, fd, action->volume) < 0) {
		r = -errno;
		(void)unlinkat(fd, tmp, 0);
		return sv_err_set(err, r, "cannot link '%s/%s'", dir, action->volume);
	}
	return 0;
}

static int link_name(const struct sv_node *n, struct sv_action *action)
{
	int r;

	(void)pthread_mutex_lock(&names_lock);
	r = link_locked(n, action);
	(void)pthread_mutex_unlock(&names_lock);
	return r;
}

static int unlink_one(int dirfd, const char *name, const char *target)
{
	char found[PATH_MAX];
	ssize_t len = readlinkat(dirfd, name, found, sizeof(found) - 1);

	if (len < 0)
		return errno == ENOENT || errno == EINVAL ? 0 : -errno;
	found[len] = '\0';
	return strcmp(found, target) == 0 && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ?
		       -errno :
		       0;
}

/* Takes back the link of a volume, unless it leads to another one by now. */
static int unlink_name(const struct sv_node *n, struct sv_action *action, const char *ns,
		       const char *pod)
{
	sv_autofree char *dir = NULL, *target = NULL;
	sv_autoclose int fd = -1;
	int r;

	if (!pod || !*pod) /* adopted, and no link led to it */
		return 0;
	dir = name_dir(ns, pod);
	target = name_target(action);
	if (!dir || !target)
		return sv_err_set(&action->err, -ENOMEM, "cannot unlink by name");
	(void)pthread_mutex_lock(&names_lock);
	fd = sv_open_on_mount(n->root_fd, dir, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		r = is_not_there(-fd) ? 0 : fd;
	else
		r = unlink_one(fd, action->volume, target);
	if (r == 0)
		r = sv_remove_dirs(n->root_fd, dir, 1);
	(void)pthread_mutex_unlock(&names_lock);
	return r < 0 ? sv_err_set(&action->err, r, "cannot unlink '%s/%s'", dir, action->volume) :
		       0;
}

/* ---- publishing ---------------------------------------------------------------------------- */

/* A result's text with the volume in front, so that it stands alone in a log. */
static void finish(struct sv_action *action, int r)
{
	action->result = r;
	if (r < 0 && !*action->err.msg)
		sv_err_set(&action->err, r, "cannot work on the volume");
}

static size_t pages(size_t size)
{
	return (size + SV_PLAN_PAGE - 1) / SV_PLAN_PAGE * SV_PLAN_PAGE;
}

static size_t room(const struct sv_action *action)
{
	return pages(action->size_limit) * SV_ROOM_FACTOR + (1 << 20);
}

#define USAGE_DEPTH_MAX 64

struct usage {
	size_t bytes;
	unsigned depth;
};

static void add_bytes(struct usage *u, size_t n)
{
	if (__builtin_add_overflow(u->bytes, n, &u->bytes))
		u->bytes = SIZE_MAX;
}

static int add_usage(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct usage *u = arg;
	struct stat st;

	(void)type;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		add_bytes(u,
			  (size_t)st.st_size < SIZE_MAX / 2 ? pages((size_t)st.st_size) : SIZE_MAX);
	if (S_ISDIR(st.st_mode) && u->depth < USAGE_DEPTH_MAX) {
		sv_autoclose int fd = sv_open_here(dirfd, name);

		u->depth++;
		if (fd >= 0)
			(void)sv_each_entry(fd, add_usage, u);
		u->depth--;
	}
	return 0;
}

/* ramfs takes all it is given: keep to the limit that tmpfs would have. */
static int check_room(const struct sv_action *action, int dirfd)
{
	const struct sv_plan *plan = action->plan;
	struct usage u = { 0 };
	size_t i;

	(void)sv_each_entry(dirfd, add_usage, &u);
	for (i = 0; i < plan->n_files; i++)
		add_bytes(&u, pages(plan->files[i].size));
	return u.bytes > room(action) ? -ENOSPC : 0;
}

static void take_written(struct sv_action *action, struct sv_written *w)
{
	free(action->old);
	action->old = SV_TAKE(w->old);
	action->n_old = w->n_old;
	action->listed = true;
	action->current = w->generation;
	action->current_ms = w->made_ms;
}

static int any_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	(void)arg, (void)dirfd, (void)name, (void)type;
	return 1;
}

/* Files stand where the volume is to be: they are not ours to cover. */
static int check_empty(int fd, struct sv_action *action)
{
	int r = sv_each_entry(fd, any_entry, NULL);

	if (r > 0)
		return busy(action, action->id, "is occupied by files that are not a volume's");
	return r == 0 ? 0 :
			fault(action, SV_FAULT_MOUNT,
			      sv_err_set(&action->err, r, "cannot read '%s'", action->id));
}

/* The directory that a volume is to be attached on. */
static int open_target(const struct sv_node *n, struct sv_action *action)
{
	bool made = false;
	sv_autoclose int target = open_dirs(n, action->id, &made, action);
	int r = target < 0 ? target : 0;

	if (r == 0 && !made)
		r = check_empty(target, action);
	return r < 0 ? r : SV_TAKE_FD(target);
}

static int attach(const struct sv_node *n, struct sv_action *action, int mnt)
{
	sv_autoclose int target = open_target(n, action);
	int r;

	if (target < 0)
		return target;
	r = sv_tmpfs_attach(mnt, target, &action->err);
	return r < 0 ? fault(action, SV_FAULT_MOUNT, r) : 0;
}

static int64_t birth_ms(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) < 0 || !(st.stx_mask & STATX_BTIME))
		return 0;
	return st.stx_btime.tv_sec * 1000 + st.stx_btime.tv_nsec / 1000000;
}

static int publish_new(const struct sv_node *n, struct sv_action *action)
{
	const struct sv_tmpfs_opts opts = {
		.medium = n->medium,
		.size = room(action),
		.mode = sv_plan_root_mode(action->plan),
		.gid = action->plan->fs_group,
		.id = action->id,
	};
	struct sv_written w = { 0 };
	sv_autoclose int mnt = -1;
	int r;

	if (n->medium == SV_MEDIUM_UNKNOWN) {
		sv_err_set(&action->err, 0,
			   "the kernel offers neither tmpfs with noswap nor ramfs, and the swap "
			   "policy is 'require'");
		return fault(action, SV_FAULT_SWAP, 1);
	}
	mnt = sv_tmpfs_new(&opts, &action->err);
	if (mnt < 0)
		return fault(action, SV_FAULT_MOUNT, mnt);
	action->medium = n->medium;
	r = n->medium == SV_MEDIUM_RAMFS ? check_room(action, mnt) : 0;
	if (r == 0)
		r = sv_atomic_write(mnt, action->plan, action->generation, true, &w, &action->err);
	take_written(action, &w);
	action->born_ms = birth_ms(mnt);
	if (r < 0)
		return fault(action, SV_FAULT_WRITE, r);
	r = attach(n, action, mnt);
	if (r < 0) {
		(void)sv_remove_dirs(n->root_fd, action->id, 1); /* what is empty and no mount */
		return r;
	}
	action->is_mounted = action->changed = true;
	return 0;
}

static int publish_over(const struct sv_node *n, struct sv_action *action, int target)
{
	struct sv_written w = { 0 };
	sv_autoclose int dirfd = -1;
	int r = sv_atomic_check(target, action->plan, &w);

	take_written(action, &w);
	action->born_ms = birth_ms(target);
	if (r > 0)
		return 0;
	if (r == 0 && n->policy == SV_SWAP_REQUIRE && action->medium == SV_MEDIUM_TMPFS) {
		sv_err_set(&action->err, 0,
			   "the volume is on a tmpfs that may be swapped, and the swap policy is "
			   "'require'");
		return fault(action, SV_FAULT_SWAP, 1);
	}
	if (r == 0)
		r = dirfd = sv_tmpfs_open_rw(target, &action->err);
	if (r < 0)
		return fault(action, SV_FAULT_MOUNT, r);
	(void)sv_tmpfs_grow(dirfd, room(action)); /* if it lacks room then, writing tells */
	r = action->medium == SV_MEDIUM_RAMFS ? check_room(action, dirfd) : 0;
	if (action->generation <= action->current) /* adopted: the name knows the number */
		action->generation = action->current + 1;
	if (r == 0)
		r = sv_atomic_write(dirfd, action->plan, action->generation, false, &w,
				    &action->err);
	if (r < 0) {
		sv_written_done(&w);
		return fault(action, SV_FAULT_WRITE, r);
	}
	take_written(action, &w);
	action->changed = true;
	return 0;
}

/* ---- what others have moved or covered --------------------------------------------------------- */

/* Overwrites and unmounts a volume. Return: 1, 0 if it is not there, or a negated errno. */
static int take_down(int parent, const char *name, const char *id, struct sv_err *err)
{
	int r, gone = 0;

	for (;;) { /* something may come on top of it, and be unmounted instead */
		sv_autoclose int target =
			openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sv_autoclose int dirfd = -1;

		if (target < 0)
			return gone || errno == ENOENT || errno == ENOTDIR ? gone : -errno;
		r = sv_tmpfs_is_volume(target, id);
		if (r <= 0)
			return gone ? gone : r;
		dirfd = sv_tmpfs_open_rw(target, err);
		/* First the content: whoever still has the mount keeps no secret (R75) */
		r = dirfd < 0 ? dirfd : sv_atomic_empty(dirfd);
		if (r == 0)
			r = sv_tmpfs_detach(parent, name);
		if (r < 0)
			return r;
		gone = 1;
	}
}

struct search {
	const struct sv_node *n;
	const char *id;
	unsigned at_path; /* file systems like a volume's that are mounted at its path */
	bool last;        /* the last mount there is one */
	char *path;       /* where the volume is, if that is another one; owned */
	struct sv_err *err;
};

static int search_one(void *arg, const char *path, enum sv_medium medium)
{
	struct search *s = arg;
	sv_autofree char *owner = NULL;
	sv_autoclose int fd = -1;
	int r;

	if (strcmp(path, s->id) == 0) {
		s->last = medium != SV_MEDIUM_UNKNOWN;
		s->at_path += s->last;
		return 0;
	}
	if (medium == SV_MEDIUM_UNKNOWN || s->path)
		return 0;
	fd = sv_open_beneath(s->n->root_fd, path, O_RDONLY | O_DIRECTORY);
	r = fd < 0 ? fd : sv_tmpfs_owner(fd, &owner);
	if (r < 0 && !is_not_there(-r)) /* it may be the one: not to be forgotten */
		return sv_err_set(s->err, r, "cannot look at '%s'", path);
	if (r <= 0 || strcmp(owner, s->id) != 0)
		return 0;
	s->path = strdup(path);
	return s->path ? 0 : -ENOMEM;
}

/**
 * search() - what became of a volume that is not seen at its path?
 * @reachable: the path leads to what is mounted there last
 * @moved:     where it is now, below the root; NULL if it is not. Owned by the caller
 *
 * Return: 1 if it may be at its path, below something else; 0; or a negated errno.
 */
static int search(const struct sv_node *n, struct sv_action *action, bool reachable, char **moved)
{
	struct search s = { .n = n, .id = action->id, .err = &action->err };
	int r = sv_tmpfs_list(n->root, search_one, &s, &action->err);

	if (r < 0) {
		free(s.path);
		return fault(action, SV_FAULT_MOUNT, r);
	}
	*moved = s.path;
	return s.at_path > (reachable && s.last ? 1U : 0U);
}

/* The directory that a path is in, wherever that was moved to: mounts are passed; *name is the last element. */
static int open_above(const struct sv_node *n, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	sv_autofree char *above = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");

	*name = slash ? slash + 1 : path;
	return above ? sv_open_beneath(n->root_fd, above, O_RDONLY | O_DIRECTORY) : -ENOMEM;
}

static void detach_again(const struct sv_node *n, const char *id)
{
	const char *name;
	sv_autoclose int parent = open_parent(n, id, &name);

	if (parent >= 0)
		(void)sv_tmpfs_detach(parent, name);
}

/* A directory above it was renamed: containers still see it, so it is not made anew. */
static int bring_back(const struct sv_node *n, struct sv_action *action, const char *path)
{
	const char *name;
	sv_autoclose int volume = sv_open_beneath(n->root_fd, path, O_RDONLY | O_DIRECTORY);
	sv_autoclose int parent = open_above(n, path, &name), target = -1;
	int r;

	if (volume < 0 || parent < 0)
		return fault(action, SV_FAULT_MOUNT,
			     sv_err_set(&action->err, volume < 0 ? volume : parent,
					"cannot open '%s'", path));
	target = open_target(n, action);
	if (target < 0)
		return target;
	r = sv_tmpfs_attach_again(volume, target, &action->err);
	if (r == 0) {
		r = sv_tmpfs_detach(parent, name);
		if (r < 0) /* the next try must not take it for one that was never away */
			detach_again(n, action->id);
	}
	return r < 0 ? fault(action, SV_FAULT_MOUNT, r) : 0;
}

/* Nothing is put over what is not ours, and a volume below it is still there. */
static int covered(const struct sv_node *n, struct sv_action *action)
{
	sv_autoclose int target = open_target(n, action); /* it says what is in the way */

	action->covered = true;
	return target < 0 ? target : busy(action, action->id, "was covered until now");
}

/*
 * A volume that was mounted and is not at its path. Return: 1 if it is there now, brought back from
 * where it had been moved to; 0 if it is gone; or a negated errno, as when something covers it.
 */
static int find_again(const struct sv_node *n, struct sv_action *action, bool reachable)
{
	sv_autofree char *moved = NULL;
	int r = search(n, action, reachable, &moved);

	if (r < 0)
		return r;
	if (!moved)
		return r > 0 ? covered(n, action) : 0;
	r = bring_back(n, action, moved);
	if (r < 0)
		return r;
	(void)sv_remove_dirs(n->root_fd, moved, 0);
	return 1;
}

/* The volume's descriptor: 0 if it is not there, and was not moved or covered either. */
static int find_volume(const struct sv_node *n, struct sv_action *action, int *ret)
{
	sv_autoclose int fd = open_last(n, action->id);
	int r = fd < 0 ? fd : sv_tmpfs_is_volume(fd, action->id);

	if (r < 0 && !is_not_there(-r))
		return blocked(action, action->id, r);
	if (r <= 0 && action->mounted) {
		r = find_again(n, action, r == 0);
		if (r < 0)
			return r;
		if (r > 0) {
			if (fd >= 0)
				close(fd);
			fd = open_last(n, action->id);
			r = fd < 0 ? fd : sv_tmpfs_is_volume(fd, action->id);
			if (r < 0) /* it is there, and nothing is to be put over it */
				return blocked(action, action->id, r);
		}
	}
	if (r <= 0)
		return 0;
	*ret = SV_TAKE_FD(fd);
	return 1;
}

static int sync_volume(const struct sv_node *n, struct sv_action *action)
{
	sv_autoclose int target = -1;
	int r = check_root(n, action);

	if (r < 0) {
		action->covered =
			action->fault == SV_FAULT_OCCUPIED; /* or it could not be found out */
		return r;
	}
	r = find_volume(n, action, &target);
	if (r < 0)
		return r;
	action->is_mounted = r > 0;
	if (r > 0)
		r = sv_tmpfs_protect(target, &action->err);
	if (r < 0)
		return fault(action, SV_FAULT_MOUNT, r);
	r = action->is_mounted ? publish_over(n, action, target) : publish_new(n, action);
	if (r == 0) {
		r = unlink_name(n, action, action->former_ns, action->former_pod);
		if (r == 0)
			r = link_name(n, action);
		if (r < 0)
			action->fault = SV_FAULT_WRITE;
	}
	return r;
}

/* ---- cleaning and removing ----------------------------------------------------------------- */

static int clean_volume(const struct sv_node *n, struct sv_action *action)
{
	sv_autoclose int target = open_last(n, action->id);
	sv_autoclose int dirfd = -1;
	size_t i, left = 0;
	int r = target < 0 ? target : sv_tmpfs_is_volume(target, action->id);

	if (r == 0) { /* its directory, or something that covers it */
		r = sv_tmpfs_is_mount(target);
		r = r > 0 ? -EXDEV : r;
	}
	if (r == 0 || r == -ENOENT)
		return 0; /* gone, and its generations with it */
	if (r == -EXDEV)
		return blocked(action, action->id, r);
	if (r > 0)
		r = dirfd = sv_tmpfs_open_rw(target, &action->err);
	action->old = calloc(action->n_clean, sizeof(*action->old));
	if (!action->old)
		return -ENOMEM;
	for (i = 0; i < action->n_clean; i++) {
		int e = dirfd < 0 ?
				r :
				sv_atomic_remove(dirfd, action->clean[i].data_dir, action->wipe);

		if (e < 0)
			action->old[left++] = action->clean[i];
		if (e < 0 && r >= 0)
			r = sv_err_set(&action->err, e, "cannot remove generation '%s'",
				       action->clean[i].data_dir);
	}
	action->n_old = left;
	return r < 0 ? fault(action, SV_FAULT_WRITE, r) : 0;
}

static int take_down_at(const struct sv_node *n, struct sv_action *action, const char *path)
{
	const char *name;
	sv_autoclose int parent = open_above(n, path, &name);

	return parent < 0 ? parent : take_down(parent, name, action->id, &action->err);
}

/* The volume is not at its path: it is gone, or somewhere else, or below something. */
static int remove_hidden(const struct sv_node *n, struct sv_action *action, bool reachable)
{
	int r;

	for (;;) {
		sv_autofree char *moved = NULL;

		r = search(n, action, reachable, &moved);
		if (r > 0 && !moved)
			return busy(action, action->id,
				    "is covered by a mount that is not a volume");
		if (r < 0 || !moved)
			return r;
		r = take_down_at(n, action, moved);
		if (r <= 0)
			return r;
		(void)sv_remove_dirs(n->root_fd, moved, 0);
	}
}

/* Also where a part of it is gone already: what is left is removed. */
static int remove_volume(const struct sv_node *n, struct sv_action *action)
{
	const char *name;
	sv_autoclose int parent = open_parent(n, action->id, &name);
	int r = parent < 0 ? parent : take_down(parent, name, action->id, &action->err), unlinked;

	unlinked = unlink_name(n, action, action->former_ns, action->former_pod);
	if (unlinked == 0)
		unlinked = unlink_name(n, action, action->ns, action->pod);
	if (r == 0 || is_not_there(-r))
		r = remove_hidden(n, action, r == 0);
	if (r == -EBUSY && action->fault == SV_FAULT_OCCUPIED)
		return r;
	if (r < 0)
		return fault(action, SV_FAULT_MOUNT,
			     sv_err_set(&action->err, r, "cannot take down '%s'", action->id));
	action->is_mounted = false;
	if (unlinked < 0)
		return fault(action, SV_FAULT_WRITE, unlinked);
	r = sv_remove_dirs(n->root_fd, action->id, 1);
	return r < 0 ? fault(action, SV_FAULT_WRITE,
			     sv_err_set(&action->err, r, "cannot remove '%s'", action->id)) :
		       0;
}

void sv_volume_carry_out(const struct sv_node *n, struct sv_action *action)
{
	switch (action->kind) {
	case SV_ACTION_SYNC:
		finish(action, sync_volume(n, action));
		break;
	case SV_ACTION_CLEAN:
		finish(action, clean_volume(n, action));
		break;
	case SV_ACTION_REMOVE:
		finish(action, remove_volume(n, action));
		break;
	}
}

/* ---- what a former life left --------------------------------------------------------------- */

/* "pods/UID/volumes/kubernetes.io~secret/NAME" and nothing else. */
static bool is_id(const char *path)
{
	const char *uid, *volumes, *type, *name;

	if (strncmp(path, "pods/", 5) != 0)
		return false;
	uid = path + 5;
	volumes = strchr(uid, '/');
	if (!volumes || volumes == uid || strncmp(volumes, "/volumes/", 9) != 0)
		return false;
	type = volumes + 9;
	if (strncmp(type, "kubernetes.io~secret/", 21) == 0)
		name = type + 21;
	else if (strncmp(type, "kubernetes.io~projected/", 24) == 0)
		name = type + 24;
	else
		return false;
	return *name && !strchr(name, '/');
}

/* A volume that is mounted, it seems, and the by-name link that leads to it. */
struct found {
	char *target; /* of the link: "../../../pods/UID/…" */
	enum sv_medium medium;
	unsigned n_mounts; /* at its path; 0: it was moved, and tells by its mark where from */
	char *ns, *pod;    /* "" until the link is seen */
};

struct adopter {
	const struct sv_node *n;
	struct sv_strmap found; /* target -> struct found */
	const char *ns, *pod;   /* of the links being swept */
	int failed; /* a negated errno: some link was not seen, and would outlive its volume */
};

static void found_free(struct found *f)
{
	free(f->target);
	free(f->ns);
	free(f->pod);
	free(f);
}

static int note_found(struct adopter *a, const char *id, enum sv_medium medium, bool at_path)
{
	sv_autofree char *target = sv_asprintf("../../../%s", id);
	struct found *f;

	if (!target)
		return -ENOMEM;
	f = sv_strmap_get(&a->found, target);
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (!f || sv_strmap_put(&a->found, target, f) < 0) {
			free(f);
			return -ENOMEM;
		}
		f->target = SV_TAKE(target);
	}
	/* of several on one path ours, if it is among them, is the first: it covers nothing */
	if (f->medium == SV_MEDIUM_UNKNOWN)
		f->medium = medium;
	f->n_mounts += at_path;
	return 0;
}

/* A mount below the root: at a volume's path, or a volume that was moved from its own. */
static int adopt_one(void *arg, const char *path, enum sv_medium medium)
{
	struct adopter *a = arg;
	sv_autofree char *owner = NULL;
	sv_autoclose int fd = -1;
	int r = is_id(path) ? note_found(a, path, medium, true) : 0;

	if (r < 0 || medium == SV_MEDIUM_UNKNOWN)
		return r;
	fd = sv_open_beneath(a->n->root_fd, path, O_RDONLY | O_DIRECTORY);
	r = fd < 0 ? fd : sv_tmpfs_owner(fd, &owner);
	if (r <= 0) /* what cannot be opened is covered: at a volume's path it is noted */
		return r == -ENOMEM ? r : 0;
	return strcmp(owner, path) != 0 && is_id(owner) ? note_found(a, owner, medium, false) : 0;
}

/*
 * Ours, or perhaps below something that is not: then it is as if it had been covered just now, and
 * not looked into. Return: 1, 0 or a negated errno.
 */
static int look_into(const struct sv_node *n, const struct found *f, struct sv_adopted *ret)
{
	struct sv_written w = { 0 };
	sv_autoclose int fd = -1;
	int r;

	if (f->medium == SV_MEDIUM_UNKNOWN)
		return 0;
	if (f->n_mounts != 1)
		return 1;
	fd = open_last(n, ret->id);
	if (fd == -EXDEV)
		return 1;
	if (fd < 0) /* unmounted since the table was read, say */
		return is_not_there(-fd) ? 0 : fd;
	r = sv_tmpfs_is_volume(fd, ret->id);
	if (r <= 0)
		return r;
	r = sv_atomic_look(fd, &w);
	ret->generation = w.generation;
	ret->current_ms = w.made_ms;
	ret->born_ms = birth_ms(fd);
	ret->old = SV_TAKE(w.old);
	ret->n_old = w.n_old;
	return r < 0 ? r : 1;
}

static int adopt_found(const struct sv_node *n, const struct found *f, sv_adopt_fn fn, void *arg)
{
	struct sv_adopted found = {
		.id = f->target + strlen("../../../"),
		.ns = f->ns ? f->ns : "",
		.pod = f->pod ? f->pod : "",
		.medium = f->medium,
	};
	int r = look_into(n, f, &found);

	if (r > 0)
		r = fn(arg, &found);
	free(found.old);
	return r;
}

/*
 * pods/UID/volumes/TYPE/NAME: what is in NAME, which may be a mount of others, is not looked at.
 * rmdir() takes only what is empty and not a mount: just what is to go.
 */
static int sweep_pods(void *arg, int dirfd, const char *name, unsigned char type)
{
	unsigned *depth = arg;

	(void)type;
	if (*depth < 3) {
		sv_autoclose int fd = sv_open_here(dirfd, name);

		if (fd < 0)
			return 0;
		(*depth)++;
		(void)sv_each_entry(fd, sweep_pods, depth);
		(*depth)--;
	}
	(void)unlinkat(dirfd, name, AT_REMOVEDIR);
	return 0;
}

/* What is gone, or is not what we make, is no trouble. */
static void note_unseen(struct adopter *a, int e)
{
	if (e != 0 && e != EINVAL && !is_not_there(e))
		a->failed = -e;
}

static int sweep_link(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct adopter *a = arg;
	char target[PATH_MAX];
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target) - 1);
	struct found *f;

	(void)type;
	if (len < 0) {
		note_unseen(a, errno);
		return 0;
	}
	target[len] = '\0';
	f = sv_strmap_get(&a->found, target);
	if (!f || strcmp(strrchr(target, '/') + 1, name) != 0) { /* or one that was half made */
		(void)unlinkat(dirfd, name, 0);
		return 0;
	}
	if (f->ns) { /* its Pod was renamed: whichever of the two is right, the first work on it tells */
		(void)unlinkat(dirfd, name, 0);
		return 0;
	}
	f->ns = strdup(a->ns);
	f->pod = strdup(a->pod);
	if (!f->ns || !f->pod)
		a->failed = -ENOMEM;
	return 0;
}

/* by-name/NS/POD/VOLUME: two levels of directories above the links. */
static int sweep_names(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct adopter *a = arg;
	sv_autoclose int fd = sv_open_here(dirfd, name);

	(void)type;
	if (fd < 0) {
		note_unseen(a, -fd);
		return 0;
	}
	if (!a->ns) {
		a->ns = name;
		note_unseen(a, -sv_each_entry(fd, sweep_names, a));
		a->ns = NULL;
	} else {
		a->pod = name;
		note_unseen(a, -sv_each_entry(fd, sweep_link, a));
	}
	(void)unlinkat(dirfd, name, AT_REMOVEDIR);
	return 0;
}

int sv_node_adopt(struct sv_node *n, sv_adopt_fn fn, void *arg, struct sv_err *err)
{
	sv_autoclose int pods = -1, names = -1;
	struct adopter a = { .n = n };
	unsigned depth = 0;
	size_t i;
	int r = sv_tmpfs_list(n->root, adopt_one, &a, err);

	if (r == 0) {
		pods = sv_open_here(n->root_fd, "pods");
		if (pods >= 0)
			(void)sv_each_entry(pods, sweep_pods, &depth);
		names = sv_open_here(n->root_fd, "by-name");
		note_unseen(&a, names < 0 ? -names : -sv_each_entry(names, sweep_names, &a));
		r = a.failed;
	}
	for (i = 0; i < a.found.n; i++) {
		struct found *f = a.found.entries[i].value;

		if (r == 0)
			r = adopt_found(n, f, fn, arg);
		found_free(f);
	}
	sv_strmap_done(&a.found);
	return r < 0 && !*err->msg ? sv_err_set(err, r, "cannot adopt volumes") : r;
}
