/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
	if (st.st_uid != 0 || (st.st_mode & 022)) {
		r = sv_err_set(err, -EPERM,
			       "root directory '%s' must be owned by root and not writable by "
			       "others (it is owned by %u, mode %04o)",
			       n.root, st.st_uid, st.st_mode & 07777);
		goto fail;
	}
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

/* ---- by-name links ------------------------------------------------------------------------- */

/* "by-name/NS/POD" of a volume's link; its target is the volume's path from there. */
static char *name_dir(const char *ns, const char *pod)
{
	return sv_asprintf("by-name/%s/%s", ns, pod);
}

static char *name_target(const struct sv_action *action)
{
	return sv_asprintf("../../../%s", action->id);
}

static int link_name(const struct sv_node *n, const struct sv_action *action, struct sv_err *err)
{
	sv_autofree char *dir = name_dir(action->ns, action->pod);
	sv_autofree char *target = name_target(action);
	char found[PATH_MAX], tmp[32];
	sv_autoclose int fd = -1;
	ssize_t len;

	if (!dir || !target)
		return sv_err_set(err, -ENOMEM, "cannot link by name");
	fd = sv_open_dirs(n->root_fd, dir, DIR_MODE, (gid_t)-1, false, NULL);
	if (fd < 0)
		return sv_err_set(err, fd, "cannot make '%s'", dir);
	if (symlinkat(target, fd, action->volume) == 0)
		return 0;
	if (errno != EEXIST)
		return sv_err_set(err, -errno, "cannot link '%s/%s'", dir, action->volume);
	len = readlinkat(fd, action->volume, found, sizeof(found));
	if (len > 0 && (size_t)len == strlen(target) && memcmp(found, target, (size_t)len) == 0)
		return 0;
	/* it leads elsewhere: to the volume of another Pod that had this name, say */
	(void)snprintf(tmp, sizeof(tmp), ".tmp%d", gettid());
	(void)unlinkat(fd, tmp, 0);
	if (symlinkat(target, fd, tmp) < 0 || renameat(fd, tmp, fd, action->volume) < 0) {
		int r = -errno;

		(void)unlinkat(fd, tmp, 0);
		return sv_err_set(err, r, "cannot link '%s/%s'", dir, action->volume);
	}
	return 0;
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
	fd = sv_open_beneath(n->root_fd, dir, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		r = fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd;
	else
		r = unlink_one(fd, action->volume, target);
	if (r == 0)
		r = sv_remove_dirs(n->root_fd, dir, 1);
	return r < 0 ? sv_err_set(&action->err, r, "cannot unlink '%s/%s'", dir, action->volume) :
		       0;
}

/* ---- publishing ---------------------------------------------------------------------------- */

static int fault(struct sv_action *action, enum sv_fault fault, int r)
{
	action->fault = fault;
	return r;
}

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

struct usage {
	size_t bytes;
};

static int add_usage(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct usage *u = arg;
	struct stat st;

	(void)type;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		u->bytes += pages((size_t)st.st_size);
	if (S_ISDIR(st.st_mode)) {
		sv_autoclose int fd =
			openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0)
			(void)sv_each_entry(fd, add_usage, u);
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
		u.bytes += pages(plan->files[i].size);
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

static int busy(struct sv_action *action, const char *what)
{
	sv_err_set(&action->err, 0, "'%s' is occupied by %s", action->id, what);
	return -EBUSY;
}

/* Something else stands where the volume is to be: it is not ours to cover. */
static int check_target(int fd, struct sv_action *action)
{
	int r = sv_tmpfs_is_mount(fd);
	const struct dirent *e;
	DIR *dir;
	int copy;

	if (r < 0)
		return fault(action, SV_FAULT_MOUNT,
			     sv_err_set(&action->err, r, "cannot stat '%s'", action->id));
	if (r > 0)
		return fault(action, SV_FAULT_OCCUPIED,
			     busy(action, "a mount that is not a volume"));
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return fault(action, SV_FAULT_MOUNT,
			     sv_err_set(&action->err, r, "cannot read '%s'", action->id));
	}
	while ((e = readdir(dir)) && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0))
		;
	closedir(dir);
	if (e)
		return fault(action, SV_FAULT_OCCUPIED,
			     busy(action, "files that are not a volume's"));
	return 0;
}

static int attach(const struct sv_node *n, struct sv_action *action, int mnt)
{
	bool made = false;
	sv_autoclose int target =
		sv_open_dirs(n->root_fd, action->id, DIR_MODE, (gid_t)-1, false, &made);
	int r;

	if (target < 0)
		return fault(
			action,
			target == -ENOTDIR || target == -ELOOP ? SV_FAULT_OCCUPIED : SV_FAULT_MOUNT,
			sv_err_set(&action->err, target, "cannot make directory '%s'", action->id));
	r = made ? 0 : check_target(target, action);
	if (r < 0)
		return r;
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
		r = sv_atomic_write(mnt, action->plan, action->generation, &w, &action->err);
	take_written(action, &w);
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
	r = action->medium == SV_MEDIUM_RAMFS ? check_room(action, dirfd) : 0;
	if (action->generation <= action->current) /* adopted: the name knows the number */
		action->generation = action->current + 1;
	if (r == 0)
		r = sv_atomic_write(dirfd, action->plan, action->generation, &w, &action->err);
	if (r < 0) {
		sv_written_done(&w);
		return fault(action, SV_FAULT_WRITE, r);
	}
	if (w.n_old == 0) { /* it had lost its ..data: all that was seen before is old */
		w.old = SV_TAKE(action->old);
		w.n_old = action->n_old;
	}
	take_written(action, &w);
	action->changed = true;
	return 0;
}

/* The volume's directory, or -ENOENT; a mount on it is entered. */
static int open_volume(const struct sv_node *n, const struct sv_action *action)
{
	return sv_open_beneath(n->root_fd, action->id, O_RDONLY | O_DIRECTORY);
}

static int sync_volume(const struct sv_node *n, struct sv_action *action)
{
	sv_autoclose int target = -1;
	int r = 0;

	if (action->mounted) {
		target = open_volume(n, action);
		r = target < 0 ? target : sv_tmpfs_is_volume(target);
		if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
			r = 0; /* gone; any other failure does not say so */
		if (r < 0)
			return fault(action, SV_FAULT_MOUNT,
				     sv_err_set(&action->err, r, "cannot open '%s'", action->id));
	}
	action->is_mounted = r > 0;
	r = action->is_mounted ? publish_over(n, action, target) : publish_new(n, action);
	if (r < 0 && !action->mounted && action->fault == SV_FAULT_OCCUPIED &&
	    action->generation > 1) {
		/* by the volume that we had, perhaps, and which something covered for a while */
		target = open_volume(n, action);
		if (target >= 0 && sv_tmpfs_is_volume(target) > 0) {
			action->is_mounted = true;
			r = publish_over(n, action, target);
		}
	}
	if (r == 0) {
		r = unlink_name(n, action, action->former_ns, action->former_pod);
		if (r == 0)
			r = link_name(n, action, &action->err);
		if (r < 0)
			action->fault = SV_FAULT_WRITE;
	}
	return r;
}

/* ---- cleaning and removing ----------------------------------------------------------------- */

static int clean_volume(const struct sv_node *n, struct sv_action *action)
{
	sv_autoclose int target = open_volume(n, action);
	sv_autoclose int dirfd = -1;
	size_t i, left = 0;
	int r = target < 0 ? target : sv_tmpfs_is_volume(target);

	if (r == 0 || r == -ENOENT)
		return 0; /* gone, and its generations with it */
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

/* First the content: whoever still has the mount keeps no secret (R75). */
static int take_down(struct sv_action *action, int parent, int target, const char *name)
{
	sv_autoclose int dirfd = -1;
	int r = sv_tmpfs_is_volume(target);

	if (r < 0)
		return sv_err_set(&action->err, r, "cannot stat '%s'", action->id);
	if (r == 0)
		return 0;
	dirfd = sv_tmpfs_open_rw(target, &action->err);
	r = dirfd < 0 ? dirfd : sv_atomic_empty(dirfd);
	if (r == 0)
		r = sv_tmpfs_detach(parent, name);
	return r < 0 ? sv_err_set(&action->err, r, "cannot take down '%s'", action->id) : 0;
}

/* Also where a part of it is gone already: what is left is removed. */
static int remove_volume(const struct sv_node *n, struct sv_action *action)
{
	const char *slash = strrchr(action->id, '/');
	sv_autofree char *parent_path = strndup(action->id, (size_t)(slash - action->id));
	sv_autoclose int parent = -1, target = -1;
	int r = unlink_name(n, action, action->former_ns, action->former_pod);

	if (r == 0)
		r = unlink_name(n, action, action->ns, action->pod);
	if (r < 0)
		return fault(action, SV_FAULT_WRITE, r);
	parent = parent_path ? sv_open_beneath(n->root_fd, parent_path, O_RDONLY | O_DIRECTORY) :
			       -ENOMEM;
	r = parent < 0 ? parent : 0;
	if (parent >= 0)
		target = openat(parent, slash + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (parent >= 0 && target < 0)
		r = -errno;
	if (r < 0 && r != -ENOENT)
		return fault(action, SV_FAULT_MOUNT,
			     sv_err_set(&action->err, r, "cannot open '%s'", action->id));
	r = target < 0 ? 0 : take_down(action, parent, target, slash + 1);
	if (r < 0)
		return fault(action, SV_FAULT_MOUNT, r);
	action->is_mounted = false;
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

/* A volume that is mounted, and the by-name link that leads to it. */
struct found {
	char *target; /* of the link: "../../../pods/UID/…" */
	enum sv_medium medium;
	char *ns, *pod; /* "" until the link is seen */
};

struct adopter {
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

/* Mounts are listed in their order: of several on one path the last is what is seen there. */
static int adopt_one(void *arg, const char *path, enum sv_medium medium)
{
	struct adopter *a = arg;
	struct found *f;
	char *target;

	if (!is_id(path))
		return 0;
	target = sv_asprintf("../../../%s", path);
	if (!target)
		return -ENOMEM;
	f = sv_strmap_get(&a->found, target);
	if (f) {
		free(target);
		f->medium = medium;
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f || sv_strmap_put(&a->found, target, f) < 0) {
		free(target);
		free(f);
		return -ENOMEM;
	}
	f->target = target;
	f->medium = medium;
	return 0;
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
		sv_autoclose int fd =
			openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

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
	if (e != 0 && e != ENOENT && e != ENOTDIR && e != ELOOP && e != EINVAL)
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
	if (f->ns)
		return 0;
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
	sv_autoclose int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	(void)type;
	if (fd < 0) {
		note_unseen(a, errno);
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
	struct adopter a = { .failed = 0 };
	unsigned depth = 0;
	size_t i;
	int r = sv_tmpfs_list(n->root, adopt_one, &a, err);

	if (r == 0) {
		pods = sv_open_beneath(n->root_fd, "pods", O_RDONLY | O_DIRECTORY);
		if (pods >= 0)
			(void)sv_each_entry(pods, sweep_pods, &depth);
		names = sv_open_beneath(n->root_fd, "by-name", O_RDONLY | O_DIRECTORY);
		note_unseen(&a, names < 0 ? -names : -sv_each_entry(names, sweep_names, &a));
		r = a.failed;
	}
	for (i = 0; i < a.found.n; i++) {
		struct found *f = a.found.entries[i].value;

		if (r == 0 &&
		    f->medium != SV_MEDIUM_UNKNOWN) /* else: not one of ours, or covered */
			r = fn(arg, f->target + strlen("../../../"), f->medium, f->ns ? f->ns : "",
			       f->pod ? f->pod : "");
		found_free(f);
	}
	sv_strmap_done(&a.found);
	return r < 0 && !*err->msg ? sv_err_set(err, r, "cannot adopt volumes") : r;
}
