/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/node/fsutil.h"
#include "../support/support.h"

/* ---- opening ----------------------------------------------------------------------------------- */

static void make_things(void)
{
	ck_assert_int_eq(mkdirat(t_dirfd, "a", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "a/b", 0755), 0);
	t_write(t_dirfd, "a/b/file", "x");
	ck_assert_int_eq(symlinkat("b", t_dirfd, "a/link"), 0);
	ck_assert_int_eq(symlinkat("file", t_dirfd, "a/b/link"), 0);
	ck_assert_int_eq(symlinkat("/etc/passwd", t_dirfd, "a/out"), 0);
}

/* @closed: bits of standard descriptors. Return: of those, which cannot be used as one would. */
static int reserve(int closed)
{
	int fd, saved[3], next, taken = 0;

	for (fd = 0; fd <= 2; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (closed >> fd & 1)
			close(fd);
	}
	sv_reserve_standard();
	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == FD_CLOEXEC &&
		    (fcntl(fd, F_GETFL) & O_ACCMODE) == (fd ? O_RDONLY : O_WRONLY))
			taken |= 1 << fd;
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (fd = 0; fd <= 2; fd++) {
		(void)dup2(saved[fd], fd);
		close(saved[fd]);
	}
	close(next);
	return next > 2 ? taken : -1;
}

static const int closed[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

START_TEST(standard_descriptors_that_are_closed_are_reserved)
{
	ck_assert_int_eq(reserve(closed[_i]), closed[_i]);
}
END_TEST

static const struct {
	const char *path;
	int want; /* 0: opens */
} paths[] = {
	{ "a", 0 },
	{ "a/b/file", 0 },
	{ "a/./b/../b/file", 0 }, /* stays beneath */
	{ "none", -ENOENT },
	{ "a/none/x", -ENOENT },
	{ "a/b/file/x", -ENOTDIR },
	{ "a/link/file", -ELOOP },
	{ "a/b/link", -ELOOP },
	{ "a/out", -ELOOP },
	{ "../etc/passwd", -EXDEV },
	{ "a/../../x", -EXDEV },
	{ "/etc/passwd", -EXDEV },
	{ "", -ENOENT },
};

START_TEST(a_path_is_opened_beneath_and_without_links)
{
	sv_autoclose int fd = -1;

	make_things();
	fd = sv_open_beneath(t_dirfd, paths[_i].path, O_RDONLY);
	if (paths[_i].want) {
		ck_assert_int_eq(fd, paths[_i].want);
		return;
	}
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

static const struct {
	const char *name, *reason; /* NULL: it is a manifest */
	int r;
} manifests[] = {
	{ "file", NULL, 0 },
	{ "inside", NULL, 0 },
	{ "outside", "OutsideDirectory", -EXDEV },
	{ "dangling", "Unreadable", -ENOENT },
	{ "dir", "NotAFile", -EINVAL },
	{ "fifo", "NotAFile", -EINVAL },
};

START_TEST(a_manifest_is_a_plain_file_inside_its_directory)
{
	sv_autoclose int dir = -1, fd = -1;
	const char *reason = NULL;
	struct sv_err err = { "" };
	struct stat st;

	ck_assert_int_eq(mkdirat(t_dirfd, "m", 0755), 0);
	t_write(t_dirfd, "elsewhere", "x");
	t_write(t_dirfd, "m/file", "x");
	ck_assert_int_eq(symlinkat("file", t_dirfd, "m/inside"), 0);
	ck_assert_int_eq(symlinkat("../elsewhere", t_dirfd, "m/outside"), 0);
	ck_assert_int_eq(symlinkat("nowhere", t_dirfd, "m/dangling"), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "m/dir", 0755), 0);
	ck_assert_int_eq(mkfifoat(t_dirfd, "m/fifo", 0644), 0);
	dir = sv_open_here(t_dirfd, "m");
	ck_assert_int_eq(sv_find_manifest(dir, manifests[_i].name, &fd, &st, &reason, &err),
			 manifests[_i].r);
	if (manifests[_i].reason)
		ck_assert_str_eq(reason, manifests[_i].reason);
	ck_assert_int_eq(*err.msg == '\0', manifests[_i].r == 0);
}
END_TEST

START_TEST(a_mountpoint_is_told_and_not_passed)
{
	sv_autofree char *point = sv_asprintf("%s/a/m", t_dir),
			 *same = sv_asprintf("%s/a/n", t_dir);
	sv_autofree char *b = sv_asprintf("%s/a/b", t_dir);
	static const char *const names[] = { "m", "n" };
	sv_autoclose int dir = -1;
	bool made = true;
	size_t i;

	make_things();
	ck_assert_int_eq(mkdirat(t_dirfd, "a/m", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "a/n", 0755), 0);
	ck_assert_int_eq(mount("tmpfs", point, "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(mount(b, same, NULL, MS_BIND, NULL), 0); /* the same file system */
	ck_assert_int_eq(mkdirat(t_dirfd, "a/m/x", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "a/n/x", 0755), 0);
	dir = sv_open_here(t_dirfd, "a");
	ck_assert_int_ge(dir, 0);
	for (i = 0; i < SV_ARRAY_SIZE(names); i++) {
		sv_autofree char *path = sv_asprintf("a/%s/x", names[i]);

		ck_assert_int_eq(sv_open_here(dir, names[i]), -EXDEV);
		ck_assert_int_eq(sv_open_dir(dir, names[i], 0700, (gid_t)-1, true, &made), -EXDEV);
		ck_assert(!made);
		ck_assert_int_eq(sv_open_on_mount(t_dirfd, path, O_RDONLY), -EXDEV);
		ck_assert_int_eq(sv_open_dirs(t_dirfd, path, 0700, (gid_t)-1, false, NULL), -EXDEV);
		sv_remove_dirs(t_dirfd, path, 0);
		ck_assert_int_eq(faccessat(t_dirfd, path, F_OK, 0), 0);
	}
	ck_assert_int_eq(sv_open_here(dir, "link"), -ENOTDIR);
	ck_assert_int_eq(sv_open_on_mount(t_dirfd, "a/link/file", O_RDONLY), -ELOOP);
	close(sv_open_on_mount(t_dirfd, "a/b/file", O_RDONLY));
}
END_TEST

START_TEST(missing_directories_are_made_whatever_the_umask)
{
	sv_autofree char *tree = NULL;
	sv_autoclose int fd = -1, again = -1;
	bool made = false;

	umask(077);
	fd = sv_open_dirs(t_dirfd, "a/b/c", 0755, (gid_t)-1, false, &made);
	ck_assert_int_ge(fd, 0);
	ck_assert(made);
	again = sv_open_dirs(t_dirfd, "a/b/c", 0700, (gid_t)-1, false, &made);
	ck_assert_int_ge(again, 0);
	ck_assert(!made); /* and what is there stays as it is */
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "a/ 0755 0\na/b/ 0755 0\na/b/c/ 0755 0");
}
END_TEST

START_TEST(a_group_and_its_bit_are_set_on_what_is_made)
{
	sv_autofree char *tree = NULL;
	int fd;

	ck_assert_int_eq(mkdirat(t_dirfd, "a", 0700), 0);
	fd = sv_open_dirs(t_dirfd, "a/b/c", 02755, 4321, false, NULL);
	ck_assert_int_ge(fd, 0);
	close(fd);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "a/ 0700 0\na/b/ 2755 4321\na/b/c/ 2755 4321");
}
END_TEST

START_TEST(exact_sets_the_last_directory_even_if_it_was_there)
{
	sv_autofree char *tree = NULL;
	int fd;

	ck_assert_int_eq(mkdirat(t_dirfd, "a", 0700), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "a/b", 0700), 0);
	fd = sv_open_dirs(t_dirfd, "a/b", 02755, 7, true, NULL);
	ck_assert_int_ge(fd, 0);
	close(fd);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "a/ 0700 0\na/b/ 2755 7");
}
END_TEST

START_TEST(directories_are_not_made_through_links_or_files)
{
	sv_autofree char *longest = t_repeat('x', 256);

	make_things();
	ck_assert_int_lt(sv_open_dirs(t_dirfd, "a/link/x", 0755, (gid_t)-1, false, NULL), 0);
	ck_assert_int_eq(sv_open_dirs(t_dirfd, "a/b/file", 0755, (gid_t)-1, false, NULL), -ENOTDIR);
	ck_assert_int_eq(sv_open_dirs(t_dirfd, "a/b/file/x", 0755, (gid_t)-1, false, NULL),
			 -ENOTDIR);
	ck_assert_int_eq(sv_open_dirs(t_dirfd, longest, 0755, (gid_t)-1, false, NULL),
			 -ENAMETOOLONG);
	ck_assert_int_ne(faccessat(t_dirfd, "a/b/x", F_OK, 0), 0);
}
END_TEST

START_TEST(a_path_of_which_nothing_is_there_is_made_at_once)
{
	sv_autofree char *tree = NULL, *longest = t_repeat('x', PATH_MAX);
	sv_autoclose int fd = sv_make_dirs(t_dirfd, "a/b/c", 0750), one = -1;
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(mkdirat(fd, "d", 0700), 0);
	one = sv_make_dirs(fd, "e", 0711);
	ck_assert_int_eq(fstat(one, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0711);
	ck_assert_int_eq(sv_make_dirs(t_dirfd, "a/b/c", 0750), -EEXIST);
	ck_assert_int_eq(sv_make_dirs(t_dirfd, longest, 0750), -ENAMETOOLONG);
	ck_assert_int_eq(sv_make_dirs(t_dirfd, longest + PATH_MAX - 256, 0750), -ENAMETOOLONG);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "a/ 0750 0\na/b/ 0750 0\na/b/c/ 0750 0\n"
			       "a/b/c/d/ 0700 0\na/b/c/e/ 0711 0");
	umask(027);
	ck_assert_int_eq(sv_make_dirs(t_dirfd, "x/y", 0755),
			 -EEXIST); /* the umask has taken something */
}
END_TEST

static const struct {
	const char *path;
	unsigned keep;
	const char *left;
} removals[] = {
	{ "a/b/c", 0, "x/ 0755 0" },
	{ "a/b/c", 1, "a/ 0755 0\nx/ 0755 0" },
	{ "a/b/c", 2, "a/ 0755 0\na/b/ 0755 0\nx/ 0755 0" },
	{ "a/b/c", 3, "a/ 0755 0\na/b/ 0755 0\na/b/c/ 0755 0\nx/ 0755 0" },
	{ "a/b/c/gone", 1, "a/ 0755 0\nx/ 0755 0" }, /* what is missing is no obstacle */
	{ "a/b/c/gone/too", 1, "a/ 0755 0\nx/ 0755 0" },
};

START_TEST(empty_directories_are_removed_upwards)
{
	sv_autofree char *tree = NULL;

	close(sv_open_dirs(t_dirfd, "a/b/c", 0755, (gid_t)-1, false, NULL));
	ck_assert_int_eq(mkdirat(t_dirfd, "x", 0755), 0);
	sv_remove_dirs(t_dirfd, removals[_i].path, removals[_i].keep);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, removals[_i].left);
}
END_TEST

START_TEST(a_directory_that_holds_something_stays_with_all_above_it)
{
	sv_autofree char *tree = NULL;

	close(sv_open_dirs(t_dirfd, "a/b/c", 0755, (gid_t)-1, false, NULL));
	t_write(t_dirfd, "a/b/file", "x");
	sv_remove_dirs(t_dirfd, "a/b/c", 0);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "a/ 0755 0\na/b/ 0755 0\na/b/file 0644 0 =x");
}
END_TEST

/* ---- reading ------------------------------------------------------------------------------------ */

static const struct {
	size_t size, max;
	int want;
} reads[] = {
	{ 0, 10, 0 },      { 10, 10, 0 },          { 11, 10, -EFBIG },
	{ 0, 0, 0 },       { 1, 0, -EFBIG },       { 100000, 1 << 20, 0 },
	{ 4096, 4096, 0 }, { 4097, 4096, -EFBIG }, { 65536, 65535, -EFBIG },
};

START_TEST(a_file_is_read_to_its_end_or_its_limit)
{
	sv_autofree char *text = t_repeat('x', reads[_i].size);
	sv_autobytes struct sv_bytes b = { NULL, 0 };
	sv_autoclose int fd = -1;

	t_write(t_dirfd, "f", text);
	fd = openat(t_dirfd, "f", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(sv_read_all(fd, reads[_i].max, &b), reads[_i].want);
	ck_assert_uint_eq(b.len, reads[_i].want ? 0 : reads[_i].size);
	if (b.len)
		ck_assert_mem_eq(b.ptr, text, b.len);
}
END_TEST

START_TEST(what_has_no_size_is_read_as_well)
{
	sv_autofree char *text = t_repeat('y', 30000);
	sv_autobytes struct sv_bytes b = { NULL, 0 }, over = { NULL, 0 };
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(sv_write_all(fds[1], text, 30000), 0);
	close(fds[1]);
	ck_assert_int_eq(sv_read_all(fds[0], 30000, &b), 0);
	ck_assert_uint_eq(b.len, 30000);
	ck_assert_mem_eq(b.ptr, text, 30000);
	close(fds[0]);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(sv_write_all(fds[1], text, 30000), 0);
	close(fds[1]);
	ck_assert_int_eq(sv_read_all(fds[0], 29999, &over), -EFBIG);
	ck_assert_int_eq(sv_read_all(-1, 1, &over), -EBADF);
	close(fds[0]);
}
END_TEST

/* ---- removing ------------------------------------------------------------------------------------ */

START_TEST(a_tree_is_removed_without_following_links)
{
	sv_autofree char *tree = NULL;

	make_things();
	ck_assert_int_eq(mkdirat(t_dirfd, "keep", 0755), 0);
	t_write(t_dirfd, "keep/me", "x");
	ck_assert_int_eq(symlinkat("../keep", t_dirfd, "a/keep"), 0);
	ck_assert_int_eq(mkfifoat(t_dirfd, "a/fifo", 0600), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "a", true), 0);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "keep/ 0755 0\nkeep/me 0644 0 =x");
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "a", true), 0); /* gone is gone */
}
END_TEST

START_TEST(one_file_or_link_is_removed_too)
{
	make_things();
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "a/out", true), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "a/b/file", false), 0);
	ck_assert_int_eq(faccessat(t_dirfd, "a/b/file", F_OK, 0), -1);
	ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
}
END_TEST

START_TEST(a_directory_is_emptied_and_stays)
{
	sv_autofree char *tree = NULL;
	sv_autoclose int fd = -1;

	make_things();
	fd = openat(t_dirfd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(sv_empty_dir(fd, true), 0);
	tree = t_tree(t_dirfd);
	ck_assert_str_eq(tree, "a/ 0755 0");
}
END_TEST

/* Who has the file open sees whether its content was overwritten. */
static void remove_and_read(bool wipe, size_t size, char want)
{
	sv_autofree char *text = t_repeat('s', size), *left = t_repeat('?', size);
	sv_autoclose int fd = -1;
	size_t i;

	ck_assert_int_eq(mkdirat(t_dirfd, "d", 0755), 0);
	t_write(t_dirfd, "d/secret", text);
	fd = openat(t_dirfd, "d/secret", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fchmodat(t_dirfd, "d/secret", 0400, 0), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "d", wipe), 0);
	ck_assert_int_eq(pread(fd, left, size, 0), (ssize_t)size);
	for (i = 0; i < size; i++)
		ck_assert_int_eq(left[i], want);
}

START_TEST(wiping_overwrites_and_not_wiping_does_not)
{
	remove_and_read(true, 6, '\0');
	remove_and_read(true, 200000, '\0');
	remove_and_read(false, 6, 's');
}
END_TEST

START_TEST(other_file_systems_are_not_entered)
{
	sv_autofree char *mountpoint = sv_asprintf("%s/a/b/m", t_dir);

	make_things();
	ck_assert_int_eq(mkdirat(t_dirfd, "a/b/m", 0755), 0);
	ck_assert_int_eq(mount("tmpfs", mountpoint, "tmpfs", 0, NULL), 0);
	t_write(t_dirfd, "a/b/m/other", "x");
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "a", true), -EXDEV);
	ck_assert_int_eq(faccessat(t_dirfd, "a/b/m/other", F_OK, 0), 0);
	ck_assert_int_ne(faccessat(t_dirfd, "a/b/file", F_OK, 0), 0); /* goes on after an error */
	ck_assert_int_ne(faccessat(t_dirfd, "a/out", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(umount2(mountpoint, 0), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "a", true), 0);
}
END_TEST

START_TEST(a_bind_mount_of_the_same_file_system_is_not_emptied)
{
	sv_autofree char *keep = sv_asprintf("%s/keep", t_dir);
	sv_autofree char *mountpoint = sv_asprintf("%s/a/m", t_dir);

	ck_assert_int_eq(mkdirat(t_dirfd, "keep", 0755), 0);
	t_write(t_dirfd, "keep/me", "x");
	ck_assert_int_eq(mkdirat(t_dirfd, "a", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "a/m", 0755), 0);
	ck_assert_int_eq(mount(keep, mountpoint, NULL, MS_BIND, NULL), 0);
	ck_assert_int_ne(sv_remove_tree(t_dirfd, "a", true), 0);
	ck_assert_int_eq(faccessat(t_dirfd, "keep/me", F_OK, 0), 0);
}
END_TEST

/* Deeper than a path can name, with fewer descriptors than it has levels. */
START_TEST(deep_trees_are_removed)
{
	const struct rlimit few = { 300, 300 };
	int fd, i;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "d", 0755), 0);
	t_write(t_dirfd, "d/..lifted0", "x"); /* the name that the first level takes that goes up */
	fd = dup(t_dirfd);
	for (i = 0; i < 6000; i++) {
		int next;

		ck_assert(mkdirat(fd, "d", 0755) == 0 || i == 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		close(fd);
		fd = next;
	}
	close(fd);
	i = sv_remove_tree(t_dirfd, "d", true);
	ck_assert_int_eq(i, 0);
	ck_assert_int_ne(faccessat(t_dirfd, "d", F_OK, 0), 0);
}
END_TEST

/* 32 TiB of nothing: to write that would take all memory there is. */
START_TEST(a_huge_file_is_overwritten_as_far_as_a_secret_goes_and_cut_off)
{
	sv_autoclose int fd = -1;
	struct stat st;

	ck_assert_int_eq(mkdirat(t_dirfd, "d", 0755), 0);
	t_write(t_dirfd, "d/huge", "secret");
	fd = openat(t_dirfd, "d/huge", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 1LL << 45), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "d", true), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

START_TEST(a_file_that_has_no_room_to_be_overwritten_is_cut_off)
{
	sv_autofree char *small = sv_asprintf("%s/small", t_dir);
	sv_autoclose int fd = -1;
	struct stat st;

	ck_assert_int_eq(mkdirat(t_dirfd, "small", 0755), 0);
	ck_assert_int_eq(mount("tmpfs", small, "tmpfs", 0, "size=64k"), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "small/d", 0755), 0);
	t_write(t_dirfd, "small/d/holes", "secret");
	fd = openat(t_dirfd, "small/d/holes", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	{
		sv_autoclose int dir = openat(t_dirfd, "small", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		ck_assert_int_eq(sv_remove_tree(dir, "d", true), 0);
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

/* Who holds a lease could keep the content: it is overwritten when the lease is gone. */
START_TEST(a_file_under_a_lease_stays_until_it_can_be_overwritten)
{
	sv_autoclose int fd = -1;
	char value[7] = "";

	(void)signal(SIGIO, SIG_IGN);
	ck_assert_int_eq(mkdirat(t_dirfd, "d", 0755), 0);
	t_write(t_dirfd, "d/secret", "secret");
	t_write(t_dirfd, "d/other", "secret");
	fd = openat(t_dirfd, "d/secret", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "d", true), -EAGAIN);
	ck_assert_int_eq(faccessat(t_dirfd, "d/secret", F_OK, 0), 0);
	ck_assert_int_ne(faccessat(t_dirfd, "d/other", F_OK, 0), 0);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	ck_assert_int_eq(sv_remove_tree(t_dirfd, "d", true), 0);
	ck_assert_int_eq(pread(fd, value, 6, 0), 6);
	ck_assert_mem_eq(value, "\0\0\0\0\0\0", 6);
}
END_TEST

/* A lease against readers lasts until its holder or the kernel, after a minute, ends it. */
START_TEST(a_file_under_a_lease_is_told_at_once)
{
	sv_autoclose int fd = -1;

	(void)signal(SIGIO, SIG_IGN);
	t_write(t_dirfd, "f", "x");
	fd = openat(t_dirfd, "f", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	ck_assert_int_eq(sv_open_beneath(t_dirfd, "f", O_RDONLY | O_NONBLOCK), -EAGAIN);
}
END_TEST

T_SUITE(fsutil)
{
	T_AROUND(t_enter_place, t_leave_place);
	T_EACH(standard_descriptors_that_are_closed_are_reserved, closed);
	T_EACH(a_path_is_opened_beneath_and_without_links, paths);
	T_EACH(a_manifest_is_a_plain_file_inside_its_directory, manifests);
	T_TEST(a_mountpoint_is_told_and_not_passed);
	T_TEST(missing_directories_are_made_whatever_the_umask);
	T_TEST(a_path_of_which_nothing_is_there_is_made_at_once);
	T_TEST(a_group_and_its_bit_are_set_on_what_is_made);
	T_TEST(exact_sets_the_last_directory_even_if_it_was_there);
	T_TEST(directories_are_not_made_through_links_or_files);
	T_EACH(empty_directories_are_removed_upwards, removals);
	T_TEST(a_directory_that_holds_something_stays_with_all_above_it);
	T_EACH(a_file_is_read_to_its_end_or_its_limit, reads);
	T_TEST(what_has_no_size_is_read_as_well);
	T_TEST(a_tree_is_removed_without_following_links);
	T_TEST(one_file_or_link_is_removed_too);
	T_TEST(a_directory_is_emptied_and_stays);
	T_TEST(wiping_overwrites_and_not_wiping_does_not);
	T_TEST(other_file_systems_are_not_entered);
	T_TEST(a_bind_mount_of_the_same_file_system_is_not_emptied);
	T_TEST(deep_trees_are_removed);
	T_TEST(a_huge_file_is_overwritten_as_far_as_a_secret_goes_and_cut_off);
	T_TEST(a_file_that_has_no_room_to_be_overwritten_is_cut_off);
	T_TEST(a_file_under_a_lease_stays_until_it_can_be_overwritten);
	T_TEST(a_file_under_a_lease_is_told_at_once);
}
