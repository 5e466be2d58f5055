/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
/*
 * floor - what the kernel alone charges for the volumes that secretvold makes
 *
 * One thread, raw system calls, nothing decided and nothing checked beyond the
 * return codes: a program that makes the same volumes cannot be much faster
 * than this. With --update it makes one update of every volume instead. The
 * removal at the end is timed on its own.
 *
 * Everything happens in a mount namespace of its own, so a run that is killed
 * leaves directories at worst, never a mount.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VOLUME_DIR "kubernetes.io~secret"
#define VOLUME "secret"
#define NAMESPACE "bench"
#define SIZE_LIMIT "16777216"
#define MAX_REPEAT 100

static const char *const keys[] = { "password", "username" };
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

struct took {
	double wall_us, cpu_us, remove_us;
};

static bool noswap; /* this kernel's tmpfs knows the option */

static double now_us(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		err(1, "clock_gettime");
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct took start(void)
{
	return (struct took){ now_us(CLOCK_MONOTONIC), now_us(CLOCK_PROCESS_CPUTIME_ID), 0 };
}

static struct took stop(struct took t)
{
	return (struct took){ now_us(CLOCK_MONOTONIC) - t.wall_us,
			      now_us(CLOCK_PROCESS_CPUTIME_ID) - t.cpu_us, 0 };
}

/* Names as long as real ones: the length of a path is a part of its price. */
static void pod_uid(char *buf, size_t size, int i)
{
	(void)snprintf(buf, size, "5ec2e700-0000-4000-8000-%012d", i);
}

static void pod_name(char *buf, size_t size, int i)
{
	(void)snprintf(buf, size, "pod-%05d", i);
}

static void data_name(char *buf, size_t size, int generation)
{
	(void)snprintf(buf, size, "..2026_01_01_00_00_00.%09d", generation);
}

static int volume_value(char *buf, size_t size, const char *key, int i, int generation)
{
	return snprintf(buf, size, "%s-%05d-%d", key, i, generation);
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

static void publish(int root, int i)
{
	char uid[64], pod[32], path[256], link[512];
	int mnt, target, len;

	pod_uid(uid, sizeof(uid), i);
	pod_name(pod, sizeof(pod), i);
	len = snprintf(path, sizeof(path), "pods/%s", uid);
	mkdir_or_die(root, path, 0750);
	len += snprintf(path + len, sizeof(path) - (size_t)len, "/volumes");
	mkdir_or_die(root, path, 0750);
	len += snprintf(path + len, sizeof(path) - (size_t)len, "/%s", VOLUME_DIR);
	mkdir_or_die(root, path, 0750);
	(void)snprintf(path + len, sizeof(path) - (size_t)len, "/%s", VOLUME);
	mkdir_or_die(root, path, 0755);

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
	char uid[64], path[256];
	int target, mnt;

	pod_uid(uid, sizeof(uid), i);
	(void)snprintf(path, sizeof(path), "pods/%s/volumes/%s/%s", uid, VOLUME_DIR, VOLUME);
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

/* A figure about volumes that cannot be read would be worth nothing. */
static void verify(int root, int i, int generation)
{
	char pod[32], path[256], want[64], got[64];
	int fd, len;
	ssize_t n;

	pod_name(pod, sizeof(pod), i);
	for (int k = 0; k < N_KEYS; k++) {
		(void)snprintf(path, sizeof(path), "by-name/%s/%s/%s/%s", NAMESPACE, pod, VOLUME,
			       keys[k]);
		fd = openat(root, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			err(1, "open '%s'", path);
		n = read(fd, got, sizeof(got));
		(void)close(fd);
		len = volume_value(want, sizeof(want), keys[k], i, generation);
		if (n != len || memcmp(got, want, (size_t)len) != 0)
			errx(1, "'%s' does not hold what was written", path);
	}
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
	char uid[64], pod[32], path[256], full[4096];

	pod_name(pod, sizeof(pod), i);
	(void)snprintf(path, sizeof(path), "by-name/%s/%s/%s", NAMESPACE, pod, VOLUME);
	unlink_or_die(root, path, 0);
	cut_last(path);
	unlink_or_die(root, path, AT_REMOVEDIR);

	pod_uid(uid, sizeof(uid), i);
	(void)snprintf(path, sizeof(path), "pods/%s/volumes/%s/%s", uid, VOLUME_DIR, VOLUME);
	(void)snprintf(full, sizeof(full), "%s/%s", root_path, path);
	if (umount2(full, UMOUNT_NOFOLLOW) < 0)
		err(1, "umount '%s'", full);
	for (int depth = 0; depth < 4; depth++) {
		unlink_or_die(root, path, AT_REMOVEDIR);
		cut_last(path);
	}
}

static struct took run(int root, const char *root_path, int count, bool updates)
{
	struct took t = { 0, 0, 0 };
	double begin_us;

	mkdir_or_die(root, "pods", 0750);
	mkdir_or_die(root, "by-name", 0750);
	mkdir_or_die(root, "by-name/" NAMESPACE, 0750);

	if (!updates)
		t = start();
	for (int i = 0; i < count; i++)
		publish(root, i);
	if (updates)
		t = start();
	for (int i = 0; updates && i < count; i++)
		update(root, i, 2);
	t = stop(t);

	for (int i = 0; i < count; i++)
		verify(root, i, updates ? 2 : 1);
	begin_us = now_us(CLOCK_MONOTONIC);
	for (int i = 0; i < count; i++)
		take_down(root, root_path, i);
	t.remove_us = now_us(CLOCK_MONOTONIC) - begin_us;
	unlink_or_die(root, "by-name/" NAMESPACE, AT_REMOVEDIR);
	unlink_or_die(root, "by-name", AT_REMOVEDIR);
	unlink_or_die(root, "pods", AT_REMOVEDIR);
	return t;
}

static int by_wall(const void *a, const void *b)
{
	double x = ((const struct took *)a)->wall_us, y = ((const struct took *)b)->wall_us;

	return (x > y) - (x < y);
}

static int number(const char *option, const char *text, int max)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > max)
		errx(2, "--%s wants a number from 1 to %d", option, max);
	return (int)n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "repeat", required_argument, NULL, 'k' },
		{ "update", no_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	static struct took runs[MAX_REPEAT];
	const char *root_path = NULL;
	int count = 0, repeat = 1, root, c;
	bool updates = false;
	struct took t;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			root_path = optarg;
		else if (c == 'n')
			count = number("count", optarg, 99999);
		else if (c == 'k')
			repeat = number("repeat", optarg, MAX_REPEAT);
		else if (c == 'u')
			updates = true;
		else
			return 2;
	}
	if (!root_path || !count || optind != argc)
		errx(2, "usage: floor --root DIR --count N [--repeat K] [--update]");

	if (unshare(CLONE_NEWNS) < 0)
		err(1, "unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		err(1, "make mounts private");
	umask(0); /* modes as asked, without a chmod for each directory */
	root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		err(1, "%s", root_path);
	noswap = probe_noswap();

	for (int k = 0; k < repeat; k++)
		runs[k] = run(root, root_path, count, updates);
	(void)close(root);

	qsort(runs, (size_t)repeat, sizeof(runs[0]), by_wall);
	t = runs[repeat / 2];
	printf("{\"count\":%d,\"repeat\":%d,\"what\":\"%s\",\"noswap\":%s,\"per_volume_us\":%.2f,"
	       "\"total_ms\":%.3f,\"cpu_per_volume_us\":%.2f,\"remove_per_volume_us\":%.2f}\n",
	       count, repeat, updates ? "update" : "publish", noswap ? "true" : "false",
	       t.wall_us / count, t.wall_us / 1e3, t.cpu_us / count, t.remove_us / count);
	return fflush(stdout) == 0 ? 0 : 1;
}
