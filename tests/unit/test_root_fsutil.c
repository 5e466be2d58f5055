/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
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

START_TEST(deep_trees_are_removed)
{
	int fd = dup(t_dirfd), i;

	for (i = 0; i < 600; i++) {
		int next;

		ck_assert_int_eq(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		close(fd);
		fd = next;
	}
	close(fd);
	i = sv_remove_tree(t_dirfd, "d", true);
	ck_assert_int_eq(i, 0);
}
END_TEST

T_SUITE(fsutil)
{
	T_AROUND(t_enter_place, t_leave_place);
	T_EACH(a_path_is_opened_beneath_and_without_links, paths);
	T_TEST(missing_directories_are_made_whatever_the_umask);
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
}
