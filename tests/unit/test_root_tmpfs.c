/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../../lib/node/tmpfs.h"
#include "../support/support.h"

static const struct sv_tmpfs_opts plain = {
	.medium = SV_MEDIUM_TMPFS, .size = 1 << 20, .mode = 01777, .gid = -1, .id = "v"
};

static int new_fs(const struct sv_tmpfs_opts *opts)
{
	struct sv_err err = { "" };
	int fd = sv_tmpfs_new(opts, &err);

	ck_assert_msg(fd >= 0, "%s", err.msg);
	return fd;
}

static int open_dir(const char *name)
{
	int fd = openat(t_dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* A volume attached at a new directory, with one file in it. */
static void attach(const char *name, const struct sv_tmpfs_opts *opts)
{
	sv_autoclose int mnt = new_fs(opts), target = -1;
	struct sv_err err = { "" };

	ck_assert_int_eq(mkdirat(t_dirfd, name, 0755), 0);
	target = openat(t_dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	t_write(mnt, "file", "x");
	ck_assert_msg(sv_tmpfs_attach(mnt, target, &err) == 0, "%s", err.msg);
}

/* What mountinfo says of a mount below the place: "TYPE FLAGS FSOPTIONS", or NULL. */
static char *mountinfo(const char *name)
{
	sv_autofree char *point = sv_asprintf(" %s/%s ", t_dir, name);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[2048], *found = NULL;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, point), *dash = strstr(line, " - ");

		if (at && dash) {
			free(found);
			*strchr(dash, '\n') = '\0';
			found = sv_asprintf("%.*s %s", (int)strcspn(at + strlen(point), " "),
					    at + strlen(point), dash + 3);
		}
	}
	(void)fclose(f);
	return found;
}

START_TEST(a_file_system_is_detached_and_writable)
{
	sv_autoclose int fd = new_fs(&plain);
	struct statvfs vfs;
	struct statfs fs;
	struct stat st;

	t_write(fd, "file", "x");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 01777);
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_uint_eq(st.st_gid, 0);
	ck_assert_int_eq(fstatfs(fd, &fs), 0);
	ck_assert_int_eq(fs.f_type, TMPFS_MAGIC);
	ck_assert_uint_eq((size_t)fs.f_blocks * (size_t)fs.f_bsize, 1 << 20);
	ck_assert_int_eq(fstatvfs(fd, &vfs), 0);
	ck_assert_uint_eq(vfs.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC),
			  ST_NOSUID | ST_NODEV | ST_NOEXEC);
	ck_assert_int_eq(vfs.f_flag & ST_RDONLY, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

static const struct {
	enum sv_medium medium;
	mode_t mode;
	int64_t gid;
	__typeof__(((struct statfs *)0)->f_type) magic;
} kinds[] = {
	{ SV_MEDIUM_TMPFS, 01777, -1, TMPFS_MAGIC },
	{ SV_MEDIUM_TMPFS, 03777, 4321, TMPFS_MAGIC },
	{ SV_MEDIUM_TMPFS, 03777, 0, TMPFS_MAGIC },
	{ SV_MEDIUM_TMPFS_NOSWAP, 03777, 4321, TMPFS_MAGIC },
	{ SV_MEDIUM_RAMFS, 01777, -1, RAMFS_MAGIC },
	{ SV_MEDIUM_RAMFS, 03777, 4321, RAMFS_MAGIC },
	{ SV_MEDIUM_RAMFS, 03777, 0, RAMFS_MAGIC },
};

static enum sv_medium choice(enum sv_swap_policy policy)
{
	enum sv_medium medium = SV_MEDIUM_UNKNOWN;
	struct sv_err err = { "" };

	ck_assert_msg(sv_tmpfs_choose(policy, &medium, &err) == 0, "%s", err.msg);
	return medium;
}

START_TEST(the_root_has_the_mode_and_group_asked_for)
{
	const struct sv_tmpfs_opts opts = { .medium = kinds[_i].medium,
					    .size = 1 << 20,
					    .mode = kinds[_i].mode,
					    .gid = kinds[_i].gid };
	sv_autoclose int fd = -1;
	struct statfs fs;
	struct stat st;

	if (kinds[_i].medium == SV_MEDIUM_TMPFS_NOSWAP &&
	    choice(SV_SWAP_AVOID) != SV_MEDIUM_TMPFS_NOSWAP)
		return; /* an older kernel */
	umask(077);
	fd = new_fs(&opts);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, kinds[_i].mode);
	ck_assert_uint_eq(st.st_gid, kinds[_i].gid > 0 ? (gid_t)kinds[_i].gid : 0);
	ck_assert_int_eq(fstatfs(fd, &fs), 0);
	ck_assert(fs.f_type == kinds[_i].magic);
}
END_TEST

START_TEST(it_has_no_more_room_than_was_asked_for)
{
	sv_autoclose int fd = new_fs(&plain);
	sv_autofree char *half = t_repeat('x', 600000);
	int file;

	t_write(fd, "a", half);
	file = openat(fd, "b", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	ck_assert_int_lt(write(file, half, 600000), 600000);
	close(file);
}
END_TEST

START_TEST(what_is_attached_is_read_only_for_all)
{
	sv_autofree char *text = NULL, *info = NULL;
	sv_autoclose int fd = -1;

	attach("v", &plain);
	fd = open_dir("v");
	text = t_read(fd, "file"); /* complete from the first moment */
	ck_assert_pstr_eq(text, "x");
	ck_assert_int_eq(openat(fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_int_eq(unlinkat(fd, "file", 0), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_int_eq(fchmod(fd, 0700), -1);
	ck_assert_int_eq(errno, EROFS);
	info = mountinfo("v");
	t_contains(info, "ro,nosuid,nodev,noexec");
	t_contains(info, " tmpfs tmpfs ");
	t_contains(info, "size=1024k");
}
END_TEST

START_TEST(a_writable_view_is_private)
{
	sv_autoclose int target = -1, view = -1;
	sv_autofree char *text = NULL, *before = NULL, *after = NULL;
	struct sv_err err = { "" };

	attach("v", &plain);
	target = open_dir("v");
	before = mountinfo("v");
	view = sv_tmpfs_open_rw(target, &err);
	ck_assert_msg(view >= 0, "%s", err.msg);
	t_write(view, "new", "y");
	ck_assert_int_eq(unlinkat(view, "file", 0), 0);
	text = t_read(target, "new"); /* seen at once */
	ck_assert_pstr_eq(text, "y");
	ck_assert_int_ne(faccessat(target, "file", F_OK, 0), 0);
	ck_assert_int_eq(openat(target, "z", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	ck_assert_int_eq(errno, EROFS); /* but written only here */
	after = mountinfo("v");
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(no_swap_is_shown_by_the_kernel)
{
	struct sv_tmpfs_opts opts = plain;
	sv_autofree char *info = NULL, *other = NULL;

	opts.medium = SV_MEDIUM_TMPFS_NOSWAP;
	if (choice(SV_SWAP_REQUIRE) != SV_MEDIUM_TMPFS_NOSWAP)
		return; /* an older kernel */
	attach("v", &opts);
	attach("w", &plain);
	info = mountinfo("v");
	t_contains(info, "noswap");
	other = mountinfo("w");
	ck_assert_ptr_null(strstr(other, "noswap"));
}
END_TEST

START_TEST(the_policy_decides_what_is_used)
{
	enum sv_swap_policy policy = SV_SWAP_REQUIRE;
	enum sv_medium medium;

	ck_assert_int_eq(choice(SV_SWAP_IGNORE), SV_MEDIUM_TMPFS);
	medium = choice(SV_SWAP_AVOID);
	ck_assert(medium == SV_MEDIUM_TMPFS_NOSWAP || medium == SV_MEDIUM_RAMFS);
	ck_assert_int_eq(choice(SV_SWAP_REQUIRE), medium);
	ck_assert_int_eq(sv_swap_policy_parse("avoid", &policy), 0);
	ck_assert_int_eq(policy, SV_SWAP_AVOID);
	ck_assert_int_eq(sv_swap_policy_parse("require", &policy), 0);
	ck_assert_int_eq(policy, SV_SWAP_REQUIRE);
	ck_assert_int_eq(sv_swap_policy_parse("ignore", &policy), 0);
	ck_assert_int_eq(policy, SV_SWAP_IGNORE);
	ck_assert_int_eq(sv_swap_policy_parse("Avoid", &policy), -EINVAL);
	ck_assert_int_eq(sv_swap_policy_parse("", &policy), -EINVAL);
	ck_assert_int_eq(policy, SV_SWAP_IGNORE);
	ck_assert_str_eq(sv_swap_policy_name(SV_SWAP_REQUIRE), "require");
}
END_TEST

START_TEST(a_mount_is_told_from_a_directory)
{
	sv_autofree char *proc = sv_asprintf("%s/proc", t_dir),
			 *bound = sv_asprintf("%s/bound", t_dir);
	sv_autofree char *from = sv_asprintf("%s/dir", t_dir);
	struct sv_tmpfs_opts ram = plain;
	struct {
		const char *name;
		int mount, volume;
	} want[] = { { "dir", 0, 0 }, { "v", 1, 1 }, { "ram", 1, 1 }, { "proc", 1, 0 } };
	size_t i;
	int fd;

	ram.medium = SV_MEDIUM_RAMFS;
	attach("v", &plain);
	attach("ram", &ram);
	ck_assert_int_eq(mkdirat(t_dirfd, "dir", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "proc", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "bound", 0755), 0);
	ck_assert_int_eq(mount("proc", proc, "proc", 0, NULL), 0);
	ck_assert_int_eq(mount(from, bound, NULL, MS_BIND, NULL), 0);
	for (i = 0; i < SV_ARRAY_SIZE(want); i++) {
		fd = open_dir(want[i].name);
		ck_assert_int_eq(sv_tmpfs_is_mount(fd), want[i].mount);
		ck_assert_int_eq(sv_tmpfs_is_volume(fd, "v"), want[i].volume);
		close(fd);
	}
	fd = open_dir("bound");
	ck_assert_int_eq(sv_tmpfs_is_mount(fd), 1);
	close(fd);
	fd = openat(t_dirfd, "v/file", O_RDONLY | O_CLOEXEC); /* in one, but not its root */
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, "v"), 0);
	close(fd);
	ck_assert_int_eq(sv_tmpfs_is_mount(-1), -EBADF);
}
END_TEST

START_TEST(a_volume_is_told_by_its_mark)
{
	sv_autofree char *other = sv_asprintf("%s/other", t_dir), *v = sv_asprintf("%s/v", t_dir);
	sv_autofree char *owner = NULL;
	struct sv_tmpfs_opts unmarked = plain;
	int fd;

	unmarked.id = NULL;
	attach("v", &plain);
	attach("unmarked", &unmarked); /* in all else like a volume */
	ck_assert_int_eq(mkdirat(t_dirfd, "other", 0755), 0);
	ck_assert_int_eq(mount(v, other, NULL, MS_BIND, NULL), 0);
	fd = open_dir("unmarked");
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, "v"), 0);
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, ""), 0);
	ck_assert_int_eq(sv_tmpfs_owner(fd, &owner), 0);
	close(fd);
	fd = open_dir("other"); /* wherever it is mounted */
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, "v"), 1);
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, "vv"), 0);
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, "other"), 0);
	ck_assert_int_eq(sv_tmpfs_owner(fd, &owner), 1);
	ck_assert_str_eq(owner, "v");
	close(fd);
}
END_TEST

START_TEST(a_mount_that_lost_its_flags_gets_them_back)
{
	sv_autofree char *v = sv_asprintf("%s/v", t_dir), *info = NULL;
	struct sv_err err = { "" };
	int fd;

	attach("v", &plain);
	ck_assert_int_eq(mount(NULL, v, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	t_write(t_dirfd, "v/new", "x"); /* it is writable */
	fd = open_dir("v");
	ck_assert_int_eq(sv_tmpfs_is_volume(fd, "v"), 1);
	ck_assert_msg(sv_tmpfs_protect(fd, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(sv_tmpfs_protect(fd, &err), 0);
	close(fd);
	info = mountinfo("v");
	t_contains(info, "ro,nosuid,nodev,noexec");
}
END_TEST

START_TEST(a_mount_in_use_is_detached)
{
	sv_autoclose int inside = -1;
	sv_autofree char *info = NULL, *text = NULL;

	attach("v", &plain);
	inside = open_dir("v");
	ck_assert_int_eq(sv_tmpfs_detach(t_dirfd, "v"), 0);
	info = mountinfo("v");
	ck_assert_ptr_null(info);
	text = t_read(inside, "file"); /* whoever is in it still is */
	ck_assert_pstr_eq(text, "x");
	ck_assert_int_eq(sv_tmpfs_detach(t_dirfd, "v"), -EINVAL); /* no mount */
	ck_assert_int_eq(sv_tmpfs_detach(t_dirfd, "none"), -ENOENT);
}
END_TEST

START_TEST(a_link_to_a_mount_is_not_detached)
{
	sv_autofree char *info = NULL;

	attach("v", &plain);
	ck_assert_int_eq(symlinkat("v", t_dirfd, "link"), 0);
	ck_assert_int_lt(sv_tmpfs_detach(t_dirfd, "link"), 0);
	info = mountinfo("v");
	ck_assert_ptr_nonnull(info);
}
END_TEST

static int add(void *arg, const char *path, enum sv_medium medium)
{
	sv_buf_printf(arg, "%s:%s ", path,
		      medium == SV_MEDIUM_UNKNOWN ? "?" : sv_medium_name(medium));
	return 0;
}

static int stop(void *arg, const char *path, enum sv_medium medium)
{
	(void)path;
	(void)medium;
	return ++*(int *)arg == 2 ? 7 : 0;
}

START_TEST(mounts_below_a_directory_are_listed)
{
	sv_autofree char *root = sv_asprintf("%s/r", t_dir),
			 *other = sv_asprintf("%s/r/other", t_dir);
	struct sv_tmpfs_opts opts = plain;
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	int n = 0;

	ck_assert_int_eq(mkdirat(t_dirfd, "r", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "r/a b\\c", 0755), 0); /* escaped in mountinfo */
	attach("r/a b\\c/v", &plain);
	opts.medium = SV_MEDIUM_RAMFS;
	attach("r/w", &opts);
	attach("rx", &plain); /* beside, not below */
	ck_assert_int_eq(mkdirat(t_dirfd, "r/other", 0755), 0);
	ck_assert_int_eq(mount("proc", other, "proc", 0, NULL), 0);
	ck_assert_int_eq(sv_tmpfs_list(root, add, &b, &err), 0);
	ck_assert_str_eq(b.ptr, "a b\\c/v:none w:ramfs other:? ");
	ck_assert_int_eq(sv_tmpfs_list(root, stop, &n, &err), 7);
	ck_assert_int_eq(n, 2);
}
END_TEST

T_SUITE(tmpfs)
{
	T_AROUND(t_enter_place, t_leave_place);
	T_TEST(a_file_system_is_detached_and_writable);
	T_EACH(the_root_has_the_mode_and_group_asked_for, kinds);
	T_TEST(it_has_no_more_room_than_was_asked_for);
	T_TEST(what_is_attached_is_read_only_for_all);
	T_TEST(a_writable_view_is_private);
	T_TEST(no_swap_is_shown_by_the_kernel);
	T_TEST(the_policy_decides_what_is_used);
	T_TEST(a_mount_is_told_from_a_directory);
	T_TEST(a_volume_is_told_by_its_mark);
	T_TEST(a_mount_that_lost_its_flags_gets_them_back);
	T_TEST(a_mount_in_use_is_detached);
	T_TEST(a_link_to_a_mount_is_not_detached);
	T_TEST(mounts_below_a_directory_are_listed);
}
