/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/path.h"
#include "../../lib/node/view.h"
#include "../support/support.h"

/*
 * In t_dir: vol/, a volume of one generation with k, d/e/x and links; vol2/; host/ with entries.
 * Each test runs in its own process, so it may enter the view itself.
 */
#define ABSENT "/sv-unit-test-absent"

static char vol[128], vol2[128];
static int outside; /* the namespace that a test leaves */

static void make_dir(const char *path)
{
	ck_assert_msg(mkdirat(t_dirfd, path, 0755) == 0, "%s: %s", path, strerror(errno));
}

static void setup(void)
{
	t_enter_place();
	outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(outside, 0);
	(void)snprintf(vol, sizeof(vol), "%s/vol", t_dir);
	(void)snprintf(vol2, sizeof(vol2), "%s/vol2", t_dir);
	make_dir("vol");
	make_dir("vol/..2026_1");
	make_dir("vol/..2026_1/d");
	make_dir("vol/..2026_1/d/e");
	t_write(t_dirfd, "vol/..2026_1/k", "value");
	t_write(t_dirfd, "vol/..2026_1/d/e/x", "deep");
	ck_assert_int_eq(fchmodat(t_dirfd, "vol/..2026_1/d", 02750, 0), 0);
	ck_assert_int_eq(fchownat(t_dirfd, "vol/..2026_1/d/e", 3, 4, 0), 0);
	ck_assert_int_eq(symlinkat("..2026_1", t_dirfd, "vol/..data"), 0);
	ck_assert_int_eq(symlinkat("..data/k", t_dirfd, "vol/k"), 0);
	ck_assert_int_eq(symlinkat("..data/d", t_dirfd, "vol/d"), 0);
	ck_assert_int_eq(symlinkat("/etc", t_dirfd, "vol/abs"), 0);
	ck_assert_int_eq(symlinkat("../../../etc", t_dirfd, "vol/up"), 0);
	make_dir("vol2");
	t_write(t_dirfd, "vol2/k", "second");
	make_dir("host");
	make_dir("host/dir");
	t_write(t_dirfd, "host/file", "hosts");
	t_write(t_dirfd, "host/dir/inside", "inside");
	ck_assert_int_eq(symlinkat("dir", t_dirfd, "host/link"), 0);
	ck_assert_int_eq(mkfifoat(t_dirfd, "host/fifo", 0600), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(setns(outside, CLONE_NEWNS), 0);
	close(outside);
	t_leave_place();
}

/* "T" stands for t_dir at the beginning of a path. */
static char *at(const char *path)
{
	return *path == 'T' ? sv_asprintf("%s%s", t_dir, path + 1) : strdup(path);
}

static int enter(const struct sv_view_mount *mounts, size_t n, struct sv_err *err)
{
	struct sv_view_mount list[8];
	size_t i;
	int r;

	ck_assert_uint_le(n, SV_ARRAY_SIZE(list));
	for (i = 0; i < n; i++) {
		list[i] = mounts[i];
		list[i].target = at(mounts[i].target);
	}
	r = sv_view_enter(list, n, vol, err);
	for (i = 0; i < n; i++)
		free((char *)list[i].target);
	return r;
}

static void must_enter(const struct sv_view_mount *mounts, size_t n)
{
	struct sv_err err = { "" };
	int r = enter(mounts, n, &err);

	ck_assert_msg(r == 0, "%d: %s", r, err.msg);
}

static void holds(const char *path, const char *want)
{
	sv_autofree char *full = at(path), *text = t_read(AT_FDCWD, full);

	ck_assert_msg(text != NULL, "%s: %s", full, strerror(errno));
	ck_assert_str_eq(text, want);
}

static bool exists(const char *path)
{
	sv_autofree char *full = at(path);
	struct stat st;

	return lstat(full, &st) == 0;
}

/* ---- texts --------------------------------------------------------------------------------- */

static const struct {
	const char *path, *clean, *complaint;
} targets[] = {
	{ "/a", "/a", NULL },
	{ "a", "/a", NULL },
	{ "a/b/", "/a/b", NULL },
	{ "//a///b//", "/a/b", NULL },
	{ "/./a/./b/.", "/a/b", NULL },
	{ "/a/../b", "/b", NULL },
	{ "/a/b/../../c", "/c", NULL },
	{ "/../a", "/a", NULL },
	{ "../../a", "/a", NULL },
	{ "/a/..b", "/a/..b", NULL },
	{ "/a/b..", "/a/b..", NULL },
	{ "/...", "/...", NULL },
	{ "/.a", "/.a", NULL },
	{ "/dev/x", "/dev/x", NULL },
	{ "/procs", "/procs", NULL },
	{ "/proc-x", "/proc-x", NULL },
	{ "/system", "/system", NULL },
	{ "", "/", "must not be empty" },
	{ "/", "/", "must not be the root directory" },
	{ ".", "/", "must not be the root directory" },
	{ "..", "/", "must not be the root directory" },
	{ "/a/..", "/", "must not be the root directory" },
	{ "/a/../..", "/", "must not be the root directory" },
	{ "/proc", "/proc", "must not be in /proc or /sys" },
	{ "proc/", "/proc", "must not be in /proc or /sys" },
	{ "/proc/self/x", "/proc/self/x", "must not be in /proc or /sys" },
	{ "/a/../proc/1", "/proc/1", "must not be in /proc or /sys" },
	{ "/sys", "/sys", "must not be in /proc or /sys" },
	{ "/sys/x", "/sys/x", "must not be in /proc or /sys" },
	{ "/dev", "/dev", "must not be /dev" },
};

START_TEST(a_mount_path_is_cleaned_and_judged_by_its_text)
{
	sv_autofree char *clean = sv_path_clean_absolute(targets[_i].path);

	ck_assert_str_eq(clean, targets[_i].clean);
	ck_assert_pstr_eq(sv_view_check_target(targets[_i].path), targets[_i].complaint);
}
END_TEST

/* ---- views --------------------------------------------------------------------------------- */

/* Where a mount may stand; the covered directory's own entries are looked for. */
static const struct {
	const char *target;
} places[] = {
	{ "T/host" },          /* is there */
	{ "T/host/dir" },      /* is there, deeper */
	{ "T/host/link" },     /* through a link */
	{ "T/host/new" },      /* one element is missing */
	{ "T/host/new/x/y" },  /* some are */
	{ "T/host/link/new" }, /* in the directory that a link leads to */
	{ "T/host/link/a/b" },
	{ ABSENT }, /* in the root directory */
	{ ABSENT "/a/b" },
	{ "/etc/sv-unit-test-absent/x" },
	{ "/proc/../sv-unit-test-absent" },
	{ "T/../../sv-unit-test-absent/x" },
};

START_TEST(a_volume_stands_where_it_is_wanted)
{
	const struct sv_view_mount m = { vol, "", places[_i].target };
	sv_autofree char *full = at(places[_i].target), *file = NULL;

	must_enter(&m, 1);
	file = sv_asprintf("%s/k", full);
	holds(file, "value");
	if (strcmp(places[_i].target, "T/host") != 0) {
		holds("T/host/file", "hosts");
		ck_assert(exists("T/host/fifo"));
	}
	ck_assert(exists("/etc/passwd"));
	ck_assert(exists("/proc/self/status"));
	ck_assert(exists("/usr/bin"));
}
END_TEST

START_TEST(nothing_is_made_on_the_host)
{
	const struct sv_view_mount m[] = { { vol, "", "T/host/new/x" },
					   { vol, "", ABSENT "/a" },
					   { vol, "k", "T/host/dir/f" },
					   { vol, "", "/etc/sv-unit-test-absent" } };
	sv_autofree char *before = NULL, *after = NULL;

	before = t_tree(t_dirfd);
	must_enter(m, SV_ARRAY_SIZE(m));
	holds(ABSENT "/a/k", "value");
	ck_assert_int_eq(setns(outside, CLONE_NEWNS), 0);
	after = t_tree(t_dirfd);
	ck_assert_str_eq(after, before);
	ck_assert(!exists("T/host/new"));
	ck_assert(!exists("T/host/dir/f"));
	ck_assert(!exists(ABSENT));
	ck_assert(!exists("/etc/sv-unit-test-absent"));
}
END_TEST

START_TEST(mounts_stand_below_each_other_in_any_order)
{
	const struct sv_view_mount m[] = {
		{ vol2, "", ABSENT "/v/inner/deep" },
		{ vol, "", ABSENT "/v-beside" },
		{ vol, "", ABSENT "/v" },
		{ vol2, "k", ABSENT "/v/inner/file" },
		{ vol2, "", ABSENT "/v/..data/d" },
	};

	must_enter(m, SV_ARRAY_SIZE(m));
	holds(ABSENT "/v/k", "value");
	holds(ABSENT "/v-beside/k", "value");
	holds(ABSENT "/v/inner/deep/k", "second");
	holds(ABSENT "/v/inner/file", "second");
	holds(ABSENT "/v/d/k", "second");
	ck_assert(!exists("T/vol/inner"));
}
END_TEST

START_TEST(a_covered_directory_looks_as_before)
{
	const struct sv_view_mount m = { vol, "", "T/host/new" };
	sv_autofree char *before = NULL, *after = NULL, *full = at("T/host");
	struct stat a, b;
	char *new;
	int fd;

	ck_assert_int_eq(fchmodat(t_dirfd, "host", 03751, 0), 0);
	ck_assert_int_eq(fchownat(t_dirfd, "host", 5, 6, 0), 0);
	ck_assert_int_eq(fchmodat(t_dirfd, "host", 03751, 0), 0);
	ck_assert_int_eq(stat(full, &a), 0);
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	before = t_tree(fd);
	close(fd);
	must_enter(&m, 1);
	ck_assert_int_eq(stat(full, &b), 0);
	ck_assert_int_eq(b.st_mode, a.st_mode);
	ck_assert_int_eq(b.st_uid, a.st_uid);
	ck_assert_int_eq(b.st_gid, a.st_gid);
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	after = t_tree(fd);
	close(fd);
	new = strstr(after, "\nnew/ ");
	ck_assert_ptr_nonnull(new);
	*new = '\0'; /* it sorts last */
	ck_assert_str_eq(after, before);
}
END_TEST

/* ---- parts --------------------------------------------------------------------------------- */

static const struct {
	const char *sub_path, *file, *want;
} parts[] = {
	{ "k", "", "value" },           { "d/e/x", "", "deep" }, { "..data/k", "", "value" },
	{ "d", "/e/x", "deep" },        { "d/e", "/x", "deep" }, { "..data", "/k", "value" },
	{ "..data", "/d/e/x", "deep" }, { ".", "/k", "value" },
};

START_TEST(a_part_of_a_volume_stands_alone_and_stays)
{
	const struct sv_view_mount m = { vol, parts[_i].sub_path, ABSENT "/x" };
	sv_autofree char *file = sv_asprintf(ABSENT "/x%s", parts[_i].file);
	bool whole = strcmp(parts[_i].sub_path, ".") == 0;

	must_enter(&m, 1);
	holds(file, parts[_i].want);
	if (whole)
		return;
	/* The generation goes, as it does after an update. */
	ck_assert_int_eq(unlinkat(t_dirfd, "vol/..2026_1/k", 0), 0);
	ck_assert_int_eq(unlinkat(t_dirfd, "vol/..2026_1/d/e/x", 0), 0);
	(void)unlinkat(t_dirfd, "vol/..2026_1/d/e", AT_REMOVEDIR);
	(void)unlinkat(t_dirfd, "vol/..2026_1/d", AT_REMOVEDIR);
	(void)unlinkat(t_dirfd, "vol/..2026_1", AT_REMOVEDIR);
	holds(file, parts[_i].want);
}
END_TEST

START_TEST(a_directory_that_is_kept_has_its_modes_and_owners)
{
	const struct sv_view_mount m = { vol, "d", ABSENT "/x" };
	sv_autofree char *tree = NULL;
	struct stat st;
	int fd;

	must_enter(&m, 1);
	ck_assert_int_eq(stat(ABSENT "/x", &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 02750);
	fd = open(ABSENT "/x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree = t_tree(fd);
	close(fd);
	ck_assert_str_eq(tree, "e/ 0755 4\ne/x 0644 0 =deep");
	ck_assert_int_lt(mkdir(ABSENT "/x/new", 0755), 0);
	ck_assert_int_eq(errno, EROFS);
}
END_TEST

START_TEST(a_missing_part_is_an_empty_directory)
{
	const struct sv_view_mount m[] = { { vol, "none/such", ABSENT "/x" },
					   { "", "", ABSENT "/y" } };
	const char *const paths[] = { ABSENT "/x", ABSENT "/y" };
	size_t i;

	ck_assert_int_eq(fchmodat(t_dirfd, "vol", 01777, 0), 0);
	must_enter(m, SV_ARRAY_SIZE(m));
	for (i = 0; i < SV_ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		sv_autofree char *tree = t_tree(fd);
		struct stat st;

		ck_assert_str_eq(tree ? tree : "", "");
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_eq(st.st_mode & 07777, 01777);
		ck_assert_int_lt(mkdirat(fd, "new", 0755), 0);
		ck_assert_int_eq(errno, EROFS);
		close(fd);
	}
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------ */

static const struct {
	const char *sub_path, *target;
	int want;
	const char *text;
} refusals[] = {
	{ "", "/", SV_VIEW_E_TARGET, "mountPath \"/\" must not be the root directory" },
	{ "", "/proc/x", SV_VIEW_E_TARGET, "must not be in /proc or /sys" },
	{ "", "/a/../sys", SV_VIEW_E_TARGET,
	  "mountPath \"/a/../sys\" must not be in /proc or /sys" },
	{ "", "T/host/file", SV_VIEW_E_TARGET, "is a file here" },
	{ "", "T/host/file/x", SV_VIEW_E_TARGET, "a part of it is a file" },
	{ "", "T/host/file/x/y", SV_VIEW_E_TARGET, "a part of it is a file" },
	{ "k", "T/host/dir", SV_VIEW_E_TARGET, "is a directory here" },
	{ "abs", ABSENT, SV_VIEW_E_SUB_PATH, "subPath \"abs\" leads out of the volume" },
	{ "abs/passwd", ABSENT, SV_VIEW_E_SUB_PATH, "leads out of the volume" },
	{ "up", ABSENT, SV_VIEW_E_SUB_PATH, "leads out of the volume" },
	{ "..", ABSENT, SV_VIEW_E_SUB_PATH, "leads out of the volume" },
	{ "k/x", ABSENT, -ENOTDIR, "subPath \"k/x\"" },
};

START_TEST(what_cannot_be_is_refused_by_name)
{
	const struct sv_view_mount m = { vol, refusals[_i].sub_path, refusals[_i].target };
	struct sv_err err = { "" };

	ck_assert_int_eq(enter(&m, 1, &err), refusals[_i].want);
	t_contains(err.msg, refusals[_i].text);
}
END_TEST

START_TEST(two_mounts_do_not_share_a_path)
{
	const struct sv_view_mount m[] = { { vol, "", "/mnt/x" }, { vol2, "", "/mnt//./x/" } };
	struct sv_err err = { "" };

	ck_assert_int_eq(enter(m, 2, &err), SV_VIEW_E_TARGET);
	t_contains(err.msg, "mountPath \"/mnt/x\" is used by two mounts");
}
END_TEST

START_TEST(a_volume_that_is_gone_is_an_error)
{
	const struct sv_view_mount m = { "/nowhere/at/all", "", "/mnt" };
	struct sv_err err = { "" };

	ck_assert_int_eq(enter(&m, 1, &err), -ENOENT);
	t_contains(err.msg, "/nowhere/at/all");
}
END_TEST

START_TEST(no_mounts_are_a_view_too)
{
	struct sv_err err = { "" };
	struct stat a, b;

	ck_assert_int_eq(stat("/proc/self/ns/mnt", &a), 0);
	ck_assert_int_eq(sv_view_enter(NULL, 0, "/", &err), 0);
	ck_assert_int_eq(stat("/proc/self/ns/mnt", &b), 0);
	ck_assert(a.st_ino != b.st_ino);
}
END_TEST

T_SUITE(root_view)
{
	T_AROUND(setup, teardown);
	T_EACH(a_mount_path_is_cleaned_and_judged_by_its_text, targets);
	T_EACH(a_volume_stands_where_it_is_wanted, places);
	T_TEST(nothing_is_made_on_the_host);
	T_TEST(mounts_stand_below_each_other_in_any_order);
	T_TEST(a_covered_directory_looks_as_before);
	T_EACH(a_part_of_a_volume_stands_alone_and_stays, parts);
	T_TEST(a_directory_that_is_kept_has_its_modes_and_owners);
	T_TEST(a_missing_part_is_an_empty_directory);
	T_EACH(what_cannot_be_is_refused_by_name, refusals);
	T_TEST(two_mounts_do_not_share_a_path);
	T_TEST(a_volume_that_is_gone_is_an_error);
	T_TEST(no_mounts_are_a_view_too);
}
