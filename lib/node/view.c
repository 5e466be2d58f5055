/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/path.h"
#include "../base/text.h"
#include "fsutil.h"

#define ROOT_ENTRIES_MAX 512 /* of "/", each of which is held open while it is covered */

struct view {
	const char *scratch;
	dev_t *shadows; /* devices of the tmpfs that cover directories: those may be written to */
	size_t n_shadows;
	struct sv_err *err;
};

/* An entry of a directory of a generation: it goes with its generation, but what is bound stays. */
struct pinned {
	char *path; /* below that directory; parents come first */
	int tree;   /* a detached mount of the file, -1 for a directory */
	struct stat st;
};

struct prepared {
	char *target;
	int tree; /* a detached mount, to be attached there */
	bool is_dir;
	struct pinned *pins; /* what that mount is to hold */
	size_t n_pins;
};

static bool is_or_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

static const char *check_clean(const char *path)
{
	if (strcmp(path, "/") == 0)
		return "must not be the root directory";
	if (is_or_below(path, "/proc") || is_or_below(path, "/sys"))
		return "must not be in /proc or /sys";
	if (strcmp(path, "/dev") == 0)
		return "must not be /dev";
	return NULL;
}

const char *sv_view_check_target(const char *target)
{
	sv_autofree char *path = sv_path_clean_absolute(target);

	if (!*target)
		return "must not be empty";
	return path ? check_clean(path) : NULL;
}

/* ---- what is to be attached ---------------------------------------------------------------- */

static int set_number(int fs, const char *key, bool octal, unsigned number)
{
	char text[16];

	(void)snprintf(text, sizeof(text), octal ? "%o" : "%u", number);
	return fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0);
}

static int new_tmpfs(const struct stat *like)
{
	sv_autoclose int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || set_number(fs, "mode", true, like->st_mode & 07777) < 0 ||
	    set_number(fs, "uid", false, like->st_uid) < 0 ||
	    set_number(fs, "gid", false, like->st_gid) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int clone_entry(int from, const char *name)
{
	int tree = open_tree(from, name,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
				     AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);

	return tree < 0 ? -errno : tree;
}

struct pin_walk {
	struct prepared *into;
	const char *prefix;
};

static int pin_dir(struct prepared *p, int fd, const char *prefix);

static int pin_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	const struct pin_walk *walk = arg;
	struct prepared *p = walk->into;
	struct pinned *list = reallocarray(p->pins, p->n_pins + 1, sizeof(*list)), *e;
	sv_autofree char *prefix = NULL;
	sv_autoclose int fd = -1;

	(void)type;
	if (!list)
		return -ENOMEM;
	p->pins = list;
	e = &list[p->n_pins];
	if (fstatat(dirfd, name, &e->st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	e->path = sv_asprintf("%s%s", walk->prefix, name);
	if (!e->path)
		return -ENOMEM;
	e->tree = -1;
	p->n_pins++;
	if (!S_ISDIR(e->st.st_mode)) {
		e->tree = clone_entry(dirfd, name);
		return e->tree < 0 ? e->tree : 0;
	}
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	prefix = sv_asprintf("%s/", e->path);
	return prefix ? pin_dir(p, fd, prefix) : -ENOMEM;
}

static int pin_dir(struct prepared *p, int fd, const char *prefix)
{
	struct pin_walk walk = { p, prefix };

	return sv_each_entry(fd, pin_entry, &walk);
}

/* Return: 1, 0, or a negated errno. */
static int is_same(int fd, const struct stat *st)
{
	struct stat other;

	if (fstat(fd, &other) < 0)
		return -errno;
	return other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

static int prepare(struct view *v, const struct sv_view_mount *m, struct prepared *ret)
{
	struct stat st = { .st_mode = S_IFDIR | 01777 };
	sv_autoclose int root = -1, fd = -1;
	const char *text;
	int r;

	ret->is_dir = true;
	ret->target = sv_path_clean_absolute(m->target);
	if (!ret->target)
		return sv_err_set(v->err, -ENOMEM, "cannot prepare mounts");
	text = check_clean(ret->target);
	if (text)
		return sv_err_set(v->err, SV_VIEW_E_TARGET, "mountPath \"%s\" %s", m->target, text);
	if (*m->source) {
		root = open(m->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return sv_err_set(v->err, -errno, "cannot open volume '%s'", m->source);
		/* A subPath ends at the real file, so that later updates do not reach it (R62) */
		fd = *m->sub_path ? sv_open_inside(root, m->sub_path, O_PATH) : dup(root);
		if (fd == -EXDEV)
			return sv_err_set(v->err, SV_VIEW_E_SUB_PATH,
					  "subPath \"%s\" leads out of the volume", m->sub_path);
		if (fd < 0 && fd != -ENOENT)
			return sv_err_set(v->err, fd, "subPath \"%s\"", m->sub_path);
		if (fd < 0 && fstat(root, &st) < 0)
			return sv_err_set(v->err, -errno, "cannot stat volume '%s'", m->source);
	}
	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			return sv_err_set(v->err, -errno, "cannot stat volume '%s'", m->source);
		ret->is_dir = S_ISDIR(st.st_mode);
		r = ret->is_dir ? is_same(root, &st) : 1;
		if (r < 0)
			return sv_err_set(v->err, r, "cannot stat volume '%s'", m->source);
		if (r > 0) {
			ret->tree = open_tree(fd, "",
					      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
			if (ret->tree < 0)
				return sv_err_set(v->err, -errno, "cannot clone volume '%s'",
						  m->source);
			return 0;
		}
		r = pin_dir(ret, fd, "");
		if (r < 0)
			return sv_err_set(v->err, r, "cannot keep subPath \"%s\"", m->sub_path);
	}
	/* The kubelet makes a missing subPath as an empty directory like the root: here is one (R19). */
	ret->tree = new_tmpfs(&st);
	return ret->tree < 0 ? sv_err_set(v->err, ret->tree, "cannot make an empty directory") : 0;
}

/* ---- covering directories ------------------------------------------------------------------ */

static int note_shadow(struct view *v, int fd)
{
	dev_t *list = reallocarray(v->shadows, v->n_shadows + 1, sizeof(*list));
	struct stat st;

	if (!list)
		return -ENOMEM;
	v->shadows = list;
	if (fstat(fd, &st) < 0)
		return -errno;
	list[v->n_shadows++] = st.st_dev;
	return 0;
}

static bool is_shadow(const struct view *v, dev_t dev)
{
	size_t i;

	for (i = 0; i < v->n_shadows; i++)
		if (v->shadows[i] == dev)
			return true;
	return false;
}

static int attach(int tree, int dirfd, const char *name)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*name ? 0 : MOVE_MOUNT_T_EMPTY_PATH);

	return move_mount(tree, "", dirfd, name, flags) < 0 ? -errno : 0;
}

/* A place for something to be bound on: an empty directory, or an empty file. */
static int make_place(int dirfd, const char *name, bool is_dir)
{
	int fd;

	if (is_dir)
		return mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int copy_link(int from, const char *name, int to)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? -errno : 0;
}

static int show_entry(int from, const char *name, int to)
{
	sv_autoclose int tree = -1;
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno; /* gone meanwhile */
	if (S_ISLNK(st.st_mode))
		return copy_link(from, name, to);
	tree = clone_entry(from, name);
	if (tree < 0)
		return tree == -ENOENT ? 0 : tree;
	r = make_place(to, name, S_ISDIR(st.st_mode));
	return r < 0 ? r : attach(tree, to, name);
}

static int show_one(void *arg, int dirfd, const char *name, unsigned char type)
{
	(void)type;
	return show_entry(dirfd, name, *(int *)arg);
}

/* Covers a directory other than "/". Return: a descriptor of the tmpfs that shows the same. */
static int cover_dir(struct view *v, int below)
{
	struct stat st;
	int mnt, r;

	if (fstat(below, &st) < 0)
		return -errno;
	mnt = new_tmpfs(&st);
	if (mnt < 0)
		return mnt;
	r = attach(mnt, below, "");
	if (r == 0)
		r = note_shadow(v, mnt);
	if (r == 0)
		r = sv_each_entry(below, show_one, &mnt);
	if (r < 0) {
		close(mnt);
		return r;
	}
	return mnt;
}

/* The entries of "/", cloned before anything is attached: the new root stands in one of them at first. */
struct root_entry {
	char name[NAME_MAX + 1];
	int tree; /* -1: a symbolic link */
	bool is_dir;
};

struct root_copy {
	struct root_entry *entries;
	size_t n;
};

static int clone_one(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct root_copy *c = arg;
	struct root_entry *e = &c->entries[c->n];
	struct stat st;

	(void)type;
	if (c->n == ROOT_ENTRIES_MAX)
		return -E2BIG;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	e->is_dir = S_ISDIR(st.st_mode);
	e->tree = S_ISLNK(st.st_mode) ? -1 : clone_entry(dirfd, name);
	if (e->tree < -1)
		return e->tree;
	c->n++;
	return 0;
}

static int fill_root(const struct root_copy *c, int old, int mnt)
{
	size_t i;
	int r = 0;

	for (i = 0; i < c->n && r == 0; i++) {
		const struct root_entry *e = &c->entries[i];

		if (e->tree < 0) {
			r = copy_link(old, e->name, mnt);
			continue;
		}
		r = make_place(mnt, e->name, e->is_dir);
		if (r == 0)
			r = attach(e->tree, mnt, e->name);
	}
	return r;
}

/* pivot_root(2) onto itself: the old root ends on top of the new one and is then let go. */
static int switch_root(int mnt)
{
	if (fchdir(mnt) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int cover_root(struct view *v)
{
	sv_autoclose int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sv_autoclose int scratch = open(v->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct root_copy c = { calloc(ROOT_ENTRIES_MAX, sizeof(*c.entries)), 0 };
	struct stat st = { 0 };
	int mnt = -1, r = 0;
	size_t i;

	if (!c.entries)
		r = -ENOMEM;
	else if (old < 0 || scratch < 0 || fstat(old, &st) < 0)
		r = -errno;
	if (r == 0)
		r = sv_each_entry(old, clone_one, &c);
	if (r == 0)
		r = mnt = new_tmpfs(&st);
	if (r >= 0)
		r = attach(mnt, scratch, "");
	if (r == 0)
		r = note_shadow(v, mnt);
	if (r == 0)
		r = fill_root(&c, old, mnt);
	if (r == 0)
		r = switch_root(mnt);
	for (i = 0; i < c.n; i++)
		if (c.entries[i].tree >= 0)
			close(c.entries[i].tree);
	free(c.entries);
	if (r < 0) {
		if (mnt >= 0)
			close(mnt);
		return r;
	}
	return mnt;
}

/* ---- attaching ----------------------------------------------------------------------------- */

/* The part of @path that exists, as a descriptor; *rest is what does not, "" if all does. */
static int open_existing(const char *path, const char **rest)
{
	sv_autofree char *head = strdup(path);
	char *cut;
	int fd;

	if (!head)
		return -ENOMEM;
	*rest = path + strlen(path);
	for (;;) {
		fd = open(*head ? head : "/", O_PATH | O_CLOEXEC);
		if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR))
			return fd < 0 ? -errno : fd;
		cut = strrchr(head, '/');
		if (!cut)
			return -ENOENT;
		*cut = '\0';
		*rest = path + (cut - head) + 1;
	}
}

/* Makes what is missing of a target below a directory that may be written to. */
static int make_rest(int dirfd, const char *rest, bool is_dir)
{
	const char *slash = strrchr(rest, '/');
	sv_autofree char *parent = slash ? strndup(rest, (size_t)(slash - rest)) : NULL;
	sv_autoclose int fd = -1;

	if (!slash)
		return make_place(dirfd, rest, is_dir);
	if (!parent)
		return -ENOMEM;
	fd = sv_open_dirs(dirfd, parent, 0755, (gid_t)-1, false, NULL);
	return fd < 0 ? fd : make_place(fd, slash + 1, is_dir);
}

static int set_pin(const struct pinned *e, int mnt)
{
	int r = make_place(mnt, e->path, e->tree < 0);

	if (r < 0)
		return r;
	if (e->tree >= 0)
		return attach(e->tree, mnt, e->path);
	if (fchownat(mnt, e->path, e->st.st_uid, e->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(mnt, e->path, e->st.st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

/* The prepared mount goes to its place; one that was made here is filled there, and read-only then. */
static int attach_prepared(const struct prepared *p, int dirfd, const char *name)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	int r = attach(p->tree, dirfd, name);
	size_t i;

	for (i = 0; i < p->n_pins && r == 0; i++)
		r = set_pin(&p->pins[i], p->tree);
	if (r == 0 && mount_setattr(p->tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		r = -errno;
	return r;
}

static int attach_at(struct view *v, const struct prepared *p)
{
	const char *rest;
	sv_autoclose int fd = open_existing(p->target, &rest);
	sv_autoclose int cover = -1;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return sv_err_set(v->err, fd < 0 ? fd : -errno, "cannot open mountPath \"%s\"",
				  p->target);
	if (*rest && !S_ISDIR(st.st_mode))
		return sv_err_set(v->err, SV_VIEW_E_TARGET,
				  "mountPath \"%s\": a part of it is a file", p->target);
	if (!*rest) {
		if (S_ISDIR(st.st_mode) != p->is_dir)
			return sv_err_set(v->err, SV_VIEW_E_TARGET,
					  "mountPath \"%s\" is a %s here, the volume's part a %s",
					  p->target, p->is_dir ? "file" : "directory",
					  p->is_dir ? "directory" : "file");
		r = attach_prepared(p, fd, "");
		return r < 0 ? sv_err_set(v->err, r, "cannot mount at \"%s\"", p->target) : 0;
	}
	if (!is_shadow(v, st.st_dev)) {
		r = cover = rest == p->target + 1 ? cover_root(v) : cover_dir(v, fd);
		if (r < 0)
			return sv_err_set(v->err, r, "cannot make room for mountPath \"%s\"",
					  p->target);
	}
	r = make_rest(cover >= 0 ? cover : fd, rest, p->is_dir);
	if (r == 0)
		r = attach_prepared(p, cover >= 0 ? cover : fd, rest);
	return r < 0 ? sv_err_set(v->err, r, "cannot mount at \"%s\"", p->target) : 0;
}

static int compare_targets(const void *a, const void *b)
{
	return strcmp(((const struct prepared *)a)->target, ((const struct prepared *)b)->target);
}

static int check_unique(struct view *v, const struct prepared *list, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (strcmp(list[i - 1].target, list[i].target) == 0)
			return sv_err_set(v->err, SV_VIEW_E_TARGET,
					  "mountPath \"%s\" is used by two mounts", list[i].target);
	return 0;
}

static void prepared_done(struct prepared *p)
{
	size_t i;

	for (i = 0; i < p->n_pins; i++) {
		free(p->pins[i].path);
		if (p->pins[i].tree >= 0)
			close(p->pins[i].tree);
	}
	free(p->pins);
	free(p->target);
	if (p->tree >= 0)
		close(p->tree);
}

int sv_view_enter(const struct sv_view_mount *mounts, size_t n, const char *scratch,
		  struct sv_err *err)
{
	struct view v = { .scratch = scratch, .err = err };
	struct prepared *list = calloc(n ? n : 1, sizeof(*list));
	size_t i;
	int r = 0;

	if (!list)
		return sv_err_set(err, -ENOMEM, "cannot prepare mounts");
	for (i = 0; i < n; i++)
		list[i].tree = -1;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = sv_err_set(err, -errno, "cannot make a private mount namespace");
	for (i = 0; i < n && r == 0; i++)
		r = prepare(&v, &mounts[i], &list[i]);
	if (r == 0 && n > 0) {
		qsort(list, n, sizeof(*list), compare_targets); /* what contains comes first */
		r = check_unique(&v, list, n);
	}
	for (i = 0; i < n && r == 0; i++)
		r = attach_at(&v, &list[i]);
	for (i = 0; i < n; i++)
		prepared_done(&list[i]);
	free(list);
	free(v.shadows);
	return r;
}
