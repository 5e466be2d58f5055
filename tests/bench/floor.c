/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
/*
 * floor - what the kernel alone charges for the volumes that secretvold makes
 *
 * One thread, raw system calls, nothing decided and nothing checked beyond the
 * return codes: a program that makes the same volumes cannot be much faster
 * than this. With --update it makes one update of every volume instead. The
 * removal at the end is timed on its own.
 */
#include "bench.h"

#define SIZE_LIMIT "68157440" /* what the daemon gives a volume by default */

static bool noswap; /* this kernel's tmpfs knows the option */

static void data_name(char *buf, size_t size, int generation)
{
	(void)snprintf(buf, size, "..2026_01_01_00_00_00.%09d", generation);
}

static void mkdir_or_die(int dirfd, const char *path, mode_t mode)
{
	if (mkdirat(dirfd, path, mode) < 0)
		err(1, "mkdir '%s'", path);
}

/* A detached, empty tmpfs; the descriptor is the mount. */
static int make_tmpfs(void)
{
	int fs, mnt;

	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		err(1, "fsopen");
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "tmpfs", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "size", SIZE_LIMIT, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "1777", 0) < 0 ||
	    (noswap && fsconfig(fs, FSCONFIG_SET_FLAG, "noswap", NULL, 0) < 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		err(1, "fsconfig");
	mnt = fsmount(fs, FSMOUNT_CLOEXEC,
		      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		err(1, "fsmount");
	(void)close(fs);
	return mnt;
}

static bool probe_noswap(void)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	bool known;

	if (fs < 0)
		err(1, "fsopen");
	known = fsconfig(fs, FSCONFIG_SET_FLAG, "noswap", NULL, 0) == 0;
	(void)close(fs);
	return known;
}

static void write_file(int mnt, const char *dir, const char *key, int i, int generation)
{
	char path[128], value[64];
	int fd, len;

	len = volume_value(value, sizeof(value), key, i, generation);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, key);
	fd = openat(mnt, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "open '%s'", path);
	if (write(fd, value, (size_t)len) != len)
		err(1, "write '%s'", path);
	if (fchmod(fd, 0644) < 0)
		err(1, "fchmod '%s'", path);
	(void)close(fd);
}

/* A new generation below @mnt, and ..data switched to it. */
static void write_generation(int mnt, int i, int generation)
{
	char dir[64];

	data_name(dir, sizeof(dir), generation);
	mkdir_or_die(mnt, dir, 0755);
	for (int k = 0; k < N_KEYS; k++)
		write_file(mnt, dir, keys[k], i, generation);
	if (symlinkat(dir, mnt, "..data_tmp") < 0)
		err(1, "symlink ..data_tmp");
	if (renameat(mnt, "..data_tmp", mnt, "..data") < 0)
		err(1, "rename ..data_tmp");
}

/* mkdir -p of what is a volume's own: its path from the second element on. */
static void make_dirs(int root, char *path)
{
	for (char *slash = strchr(path, '/') + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir_or_die(root, path, 0750);
		*slash = '/';
	}
	mkdir_or_die(root, path, 0750);
}

static void publish(int root, int i)
{
	char pod[32], path[256], link[512];
	int mnt, target;

	pod_name(pod, sizeof(pod), i);
	(void)volume_path(path, sizeof(path), i);
	make_dirs(root, path);

	mnt = make_tmpfs();
	write_generation(mnt, i, 1);
	for (int k = 0; k < N_KEYS; k++) {
		(void)snprintf(link, sizeof(link), "..data/%s", keys[k]);
		if (symlinkat(link, mnt, keys[k]) < 0)
			err(1, "symlink '%s'", keys[k]);
	}

	if (mount_setattr(mnt, "", AT_EMPTY_PATH,
			  &(struct mount_attr){ .attr_set = MOUNT_ATTR_RDONLY },
			  sizeof(struct mount_attr)) < 0)
		err(1, "mount_setattr");
	target = openat(root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		err(1, "open '%s'", path);
	if (move_mount(mnt, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		err(1, "move_mount '%s'", path);
	(void)close(target);
	(void)close(mnt);

	(void)snprintf(link, sizeof(link), "../../../%s", path);
	(void)snprintf(path, sizeof(path), "by-name/%s/%s", NAMESPACE, pod);
	mkdir_or_die(root, path, 0750);
	(void)snprintf(path, sizeof(path), "by-name/%s/%s/%s", NAMESPACE, pod, VOLUME);
	if (symlinkat(link, root, path) < 0)
		err(1, "symlink '%s'", path);
}

/* Through a writable private clone of the read-only mount, as a restarted daemon has to. */
static void update(int root, int i, int generation)
{
	char path[256];
	int target, mnt;

	(void)volume_path(path, sizeof(path), i);
	target = openat(root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		err(1, "open '%s'", path);
	mnt = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (mnt < 0)
		err(1, "open_tree '%s'", path);
	if (mount_setattr(mnt, "", AT_EMPTY_PATH,
			  &(struct mount_attr){ .attr_clr = MOUNT_ATTR_RDONLY },
			  sizeof(struct mount_attr)) < 0)
		err(1, "mount_setattr");

	write_generation(mnt, i, generation);

	data_name(path, sizeof(path), generation - 1);
	for (int k = 0; k < N_KEYS; k++) {
		char file[320];

		(void)snprintf(file, sizeof(file), "%s/%s", path, keys[k]);
		if (unlinkat(mnt, file, 0) < 0)
			err(1, "unlink '%s'", file);
	}
	if (unlinkat(mnt, path, AT_REMOVEDIR) < 0)
		err(1, "rmdir '%s'", path);
	(void)close(mnt);
	(void)close(target);
}

static void unlink_or_die(int dirfd, const char *path, int flags)
{
	if (unlinkat(dirfd, path, flags) < 0)
		err(1, "remove '%s'", path);
}

static void cut_last(char *path)
{
	*strrchr(path, '/') = '\0';
}

static void take_down(int root, const char *root_path, int i)
{
	char pod[32], path[256], full[4096];

	pod_name(pod, sizeof(pod), i);
	(void)snprintf(path, sizeof(path), "by-name/%s/%s/%s", NAMESPACE, pod, VOLUME);
	unlink_or_die(root, path, 0);
	cut_last(path);
	unlink_or_die(root, path, AT_REMOVEDIR);

	(void)volume_path(path, sizeof(path), i);
	(void)snprintf(full, sizeof(full), "%s/%s", root_path, path);
	if (umount2(full, UMOUNT_NOFOLLOW) < 0)
		err(1, "umount '%s'", full);
	for (int depth = 0; depth < 4; depth++) {
		unlink_or_die(root, path, AT_REMOVEDIR);
		cut_last(path);
	}
}

static struct took run(const struct bench *b, int root)
{
	struct took t = { 0, 0, 0 };
	double begin_us;

	mkdir_or_die(root, "pods", 0750);
	mkdir_or_die(root, "by-name", 0750);
	mkdir_or_die(root, "by-name/" NAMESPACE, 0750);

	if (!b->updates)
		t = start();
	for (int i = 0; i < b->count; i++)
		publish(root, i);
	if (b->updates)
		t = start();
	for (int i = 0; b->updates && i < b->count; i++)
		update(root, i, 2);
	t = stop(t);

	for (int i = 0; i < b->count; i++)
		verify(root, i, b->updates ? 2 : 1);
	begin_us = now_us(CLOCK_MONOTONIC);
	for (int i = 0; i < b->count; i++)
		take_down(root, b->root_path, i);
	t.remove_us = now_us(CLOCK_MONOTONIC) - begin_us;
	unlink_or_die(root, "by-name/" NAMESPACE, AT_REMOVEDIR);
	unlink_or_die(root, "by-name", AT_REMOVEDIR);
	unlink_or_die(root, "pods", AT_REMOVEDIR);
	return t;
}

int main(int argc, char **argv)
{
	const struct bench b = parse_options(argc, argv);
	static struct took runs[MAX_REPEAT];
	int root;

	enter_private_namespace();
	umask(0); /* modes as asked, without a chmod for each directory */
	root = open(b.root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		err(1, "%s", b.root_path);
	noswap = probe_noswap();

	for (int k = 0; k < b.repeat; k++)
		runs[k] = run(&b, root);
	(void)close(root);
	return print_result(&b, runs);
}
