/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../base/cleanup.h"

#define VOLUME_FLAGS (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC)

int sv_swap_policy_parse(const char *text, enum sv_swap_policy *ret)
{
	int p;

	for (p = SV_SWAP_AVOID; p <= SV_SWAP_IGNORE; p++)
		if (strcmp(text, sv_swap_policy_name((enum sv_swap_policy)p)) == 0) {
			*ret = (enum sv_swap_policy)p;
			return 0;
		}
	return -EINVAL;
}

const char *sv_swap_policy_name(enum sv_swap_policy policy)
{
	static const char *const names[] = { "avoid", "require", "ignore" };

	return names[policy];
}

/* Only CAP_SYS_ADMIN can set it: root in a container, who may write to its volume, cannot. */
static const char mark_name[] = "trusted.secretvold";

static int set_mark(int root, const char *id)
{
	if (fsetxattr(root, mark_name, id, strlen(id), 0) == 0 || errno == EOPNOTSUPP)
		return 0; /* or ramfs, or a kernel built without */
	return -errno;
}

/* To others, marks look as if there were none. Return: 1, 0, or a negated errno. */
static int may_see_marks(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data, 0, 0) < 0)
		return -errno;
	return (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

/*
 * Return: 1, 0 if there is none, -EOPNOTSUPP if there can be none or none can be seen, or another
 * negated errno.
 */
static int read_mark(int root, char value[PATH_MAX])
{
	ssize_t n = fgetxattr(root, mark_name, value, PATH_MAX - 1);
	int r;

	if (n >= 0) {
		value[n] = '\0';
		return 1;
	}
	if (errno == ERANGE)
		return 0;
	if (errno != ENODATA)
		return -errno;
	r = may_see_marks();
	return r == 0 ? -EOPNOTSUPP : r < 0 ? r : 0;
}

static int set_string(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

static int configure(int fs, const struct sv_tmpfs_opts *opts)
{
	char text[32];
	int r;

	(void)snprintf(text, sizeof(text), "%o", (unsigned)opts->mode);
	r = set_string(fs, "mode", text);
	if (r < 0 || opts->medium == SV_MEDIUM_RAMFS)
		return r;
	r = set_string(fs, "source", "tmpfs"); /* as the kubelet's are called (R32) */
	(void)snprintf(text, sizeof(text), "%zu", opts->size);
	if (r == 0)
		r = set_string(fs, "size", text);
	if (r == 0 && opts->gid > 0) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)opts->gid);
		r = set_string(fs, "gid", text);
	}
	if (r == 0 && opts->medium == SV_MEDIUM_TMPFS_NOSWAP &&
	    fsconfig(fs, FSCONFIG_SET_FLAG, "noswap", NULL, 0) < 0)
		r = -errno;
	return r;
}

/* What the kernel does not do when it makes the file system. */
static int finish_root(int mnt, const struct sv_tmpfs_opts *opts)
{
	sv_autoclose int root = openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -errno;
	if (opts->medium == SV_MEDIUM_RAMFS && opts->gid > 0 && /* ramfs has no gid= */
	    (fchown(root, (uid_t)-1, (gid_t)opts->gid) < 0 || fchmod(root, opts->mode) < 0))
		return -errno;
	return opts->id ? set_mark(root, opts->id) : 0;
}

int sv_tmpfs_new(const struct sv_tmpfs_opts *opts, struct sv_err *err)
{
	const char *type = opts->medium == SV_MEDIUM_RAMFS ? "ramfs" : "tmpfs";
	sv_autoclose int fs = fsopen(type, FSOPEN_CLOEXEC);
	sv_autoclose int mnt = -1;
	int r;

	if (fs < 0)
		return sv_err_set(err, -errno, "cannot make a %s", type);
	r = configure(fs, opts);
	if (r == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	if (r < 0)
		return sv_err_set(err, r, "cannot make a %s", type);
	mnt = fsmount(fs, FSMOUNT_CLOEXEC,
		      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return sv_err_set(err, -errno, "cannot mount a %s", type);
	r = finish_root(mnt, opts);
	if (r < 0)
		return sv_err_set(err, r, "cannot prepare the root of a %s", type);
	return SV_TAKE_FD(mnt);
}

/* What the kernel does not know, or lets nobody here do; all other errors pass and tell nothing. */
static bool is_refusal(int r)
{
	return r == -EINVAL || r == -ENODEV || r == -ENOSYS || r == -EOPNOTSUPP || r == -EPERM ||
	       r == -EACCES;
}

/* Return: 1, 0, or a negated errno if it could not be found out. */
static int works(enum sv_medium medium, struct sv_err *err)
{
	const struct sv_tmpfs_opts opts = {
		.medium = medium, .size = 4096, .mode = 0700, .gid = -1
	};
	int fd = sv_tmpfs_new(&opts, err);

	if (fd < 0)
		return is_refusal(fd) ? 0 : fd;
	close(fd);
	return 1;
}

int sv_tmpfs_choose(enum sv_swap_policy policy, enum sv_medium *ret, struct sv_err *err)
{
	static const enum sv_medium safe[] = { SV_MEDIUM_TMPFS_NOSWAP, SV_MEDIUM_RAMFS };
	enum sv_medium found = policy == SV_SWAP_REQUIRE ? SV_MEDIUM_UNKNOWN : SV_MEDIUM_TMPFS;
	int r = 0;
	size_t i;

	for (i = 0; policy != SV_SWAP_IGNORE && r == 0 && i < SV_ARRAY_SIZE(safe); i++) {
		r = works(safe[i], err);
		if (r > 0)
			found = safe[i];
	}
	if (r < 0)
		return r;
	*ret = found;
	return 0;
}

static int set_read_only(int fd, bool read_only)
{
	struct mount_attr attr = { 0 };

	if (read_only)
		attr.attr_set = MOUNT_ATTR_RDONLY;
	else
		attr.attr_clr = MOUNT_ATTR_RDONLY;
	return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int sv_tmpfs_attach(int mount_fd, int target_fd, struct sv_err *err)
{
	int r = set_read_only(mount_fd, true);

	if (r < 0)
		return sv_err_set(err, r, "cannot make the mount read-only");
	if (move_mount(mount_fd, "", target_fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return sv_err_set(err, -errno, "cannot attach the mount");
	return 0;
}

int sv_tmpfs_attach_again(int volume_fd, int target_fd, struct sv_err *err)
{
	sv_autoclose int tree =
		open_tree(volume_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (tree < 0)
		return sv_err_set(err, -errno, "cannot clone the mount");
	return sv_tmpfs_attach(tree, target_fd, err);
}

int sv_tmpfs_open_rw(int target_fd, struct sv_err *err)
{
	sv_autoclose int tree =
		open_tree(target_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int r;

	if (tree < 0)
		return sv_err_set(err, -errno, "cannot clone the mount");
	r = set_read_only(tree, false);
	if (r < 0)
		return sv_err_set(err, r, "cannot make a writable view of the mount");
	/* The descriptor of the clone keeps it alive: it goes away with the last use. */
	r = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0)
		return sv_err_set(err, -errno, "cannot open a writable view of the mount");
	return r;
}

int sv_tmpfs_grow(int fd, size_t size)
{
	sv_autoclose int fs = -1;
	struct statfs now;
	char text[32];
	int r;

	if (fstatfs(fd, &now) < 0)
		return -errno;
	if (now.f_type != TMPFS_MAGIC || now.f_blocks == 0 ||
	    now.f_blocks >= size / (size_t)now.f_bsize)
		return 0;
	fs = fspick(fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	if (fs < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%zu", size);
	r = set_string(fs, "size", text);
	return r == 0 && fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0 ? -errno : r;
}

int sv_tmpfs_is_mount(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) <
	    0)
		return -errno;
	return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* Where there can be no mark, or none can be seen: as far as one can tell. */
static int looks_like_volume(int fd, const struct statfs *fs)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return (fs->f_flags & VOLUME_FLAGS) == VOLUME_FLAGS && st.st_uid == 0 &&
	       (st.st_mode & 05777) == 01777;
}

int sv_tmpfs_is_volume(int fd, const char *id)
{
	char mark[PATH_MAX];
	struct statfs fs;
	int r = sv_tmpfs_is_mount(fd);

	if (r <= 0)
		return r;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
		return 0;
	r = read_mark(fd, mark);
	if (r == -EOPNOTSUPP)
		return looks_like_volume(fd, &fs);
	return r > 0 ? strcmp(mark, id) == 0 : r;
}

int sv_tmpfs_owner(int fd, char **ret)
{
	char mark[PATH_MAX];
	int r = sv_tmpfs_is_mount(fd);

	if (r > 0)
		r = read_mark(fd, mark);
	if (r <= 0)
		return r == -EOPNOTSUPP ? 0 : r;
	*ret = strdup(mark);
	return *ret ? 1 : -ENOMEM;
}

int sv_tmpfs_protect(int fd, struct sv_err *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return sv_err_set(err, -errno, "cannot stat the mount");
	if ((fs.f_flags & VOLUME_FLAGS) == VOLUME_FLAGS)
		return 0;
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return sv_err_set(err, -errno, "cannot make the mount read-only again");
	return 0;
}

int sv_tmpfs_detach(int parent_fd, const char *name)
{
	char path[64 + NAME_MAX];

	/* By way of the descriptor: what is detached is what was looked at, whatever the path says now. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent_fd, name);
	return umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? -errno : 0;
}

static enum sv_medium medium_of(struct libmnt_fs *fs)
{
	const char *type = mnt_fs_get_fstype(fs);
	const char *opts = mnt_fs_get_fs_options(fs);
	const char *root = mnt_fs_get_root(fs);

	if (root && strcmp(root, "/") != 0) /* a part of somebody else's, bound there */
		return SV_MEDIUM_UNKNOWN;
	if (type && strcmp(type, "ramfs") == 0)
		return SV_MEDIUM_RAMFS;
	if (!type || strcmp(type, "tmpfs") != 0)
		return SV_MEDIUM_UNKNOWN;
	return opts && mnt_match_options(opts, "+noswap") ? SV_MEDIUM_TMPFS_NOSWAP :
							    SV_MEDIUM_TMPFS;
}

/*
 * Out of memory, libmount leaves a line out and goes on, or gives what it has got until then as if
 * it were all. A mount that is overlooked looks like one that is gone: errno tells.
 */
static int on_parse_error(struct libmnt_table *table, const char *filename, int line)
{
	bool *no_memory = mnt_table_get_userdata(table);

	(void)filename;
	(void)line;
	*no_memory = *no_memory || errno == ENOMEM;
	return 1; /* one that it cannot read is none of ours */
}

static int read_mountinfo(struct libmnt_table *table)
{
	bool no_memory = false;
	int r;

	mnt_table_set_userdata(table, &no_memory);
	mnt_table_set_parser_errcb(table, on_parse_error);
	errno = 0;
	r = mnt_table_parse_file(table, "/proc/self/mountinfo");
	return r > 0 || no_memory || errno == ENOMEM ? -ENOMEM : r;
}

int sv_tmpfs_list(const char *dir, int (*fn)(void *arg, const char *path, enum sv_medium medium),
		  void *arg, struct sv_err *err)
{
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	size_t n = strlen(dir);
	struct libmnt_fs *fs;
	int r;

	r = table && iter ? read_mountinfo(table) : -ENOMEM;
	if (r < 0)
		sv_err_set(err, r, "cannot read /proc/self/mountinfo");
	while (r == 0 && mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);
		enum sv_medium medium;

		if (!target || strncmp(target, dir, n) != 0 || target[n] != '/')
			continue;
		errno = 0;
		medium = medium_of(fs);
		if (errno == ENOMEM) /* options that could not be looked at look as if not set */
			r = sv_err_set(err, -ENOMEM, "cannot tell what '%s' is", target);
		else
			r = fn(arg, target + n + 1, medium);
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return r;
}
