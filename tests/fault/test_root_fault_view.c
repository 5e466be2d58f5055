/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view is entered while every call of it fails in turn: the files are there where they should
 * be, or it says why not, the host has not changed, and nothing leaks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/node/view.h"
#include "../support/support.h"
#include "fault.h"

static int outside = -1; /* the namespace that is left, and come back to */

static void setup(void)
{
	t_enter_place();
	outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(outside, 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "vol", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "vol/..2026_1", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "vol/..2026_1/d", 0750), 0);
	t_write(t_dirfd, "vol/..2026_1/k", "value");
	t_write(t_dirfd, "vol/..2026_1/d/x", "deep");
	ck_assert_int_eq(symlinkat("..2026_1", t_dirfd, "vol/..data"), 0);
	ck_assert_int_eq(symlinkat("..data/k", t_dirfd, "vol/k"), 0);
	ck_assert_int_eq(symlinkat("..data/d", t_dirfd, "vol/d"), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "host", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "host/dir", 0755), 0);
	t_write(t_dirfd, "host/file", "a file");
	t_write(t_dirfd, "host/dir/inside", "inside");
	ck_assert_int_eq(symlinkat("dir", t_dirfd, "host/link"), 0);
}

static void teardown(void)
{
	close(outside);
	t_leave_place();
}

static void holds(const char *path, const char *want)
{
	sv_autofree char *text = t_read(AT_FDCWD, path);

	ck_assert_msg(text && strcmp(text, want) == 0, "%s holds '%s' after %s", path,
		      text ? text : "(nothing)", fault_text());
}

/* On what is there, in what has to be made, a part of a volume, a file, and an empty directory. */
static const struct sv_view_mount mounts[] = {
	{ "/mnt/vol", "", "/mnt/host/dir" },        { "/mnt/vol", "", "/mnt/host/made/deep" },
	{ "/mnt/vol", "d", "/mnt/host/made/part" }, { "/mnt/vol", "k", "/mnt/host/made/k" },
	{ "", "", "/mnt/host/made/empty" },
};

/* The root itself has to be covered. */
#define ABSENT "/sv-fault-test-absent"
static const struct sv_view_mount at_root[] = { { "/mnt/vol", "", ABSENT "/deep" } };

static void look_at_root(void)
{
	holds(ABSENT "/deep/k", "value");
	holds("/mnt/host/file", "a file");
}

static void look_around(void)
{
	holds("/mnt/host/dir/k", "value");
	holds("/mnt/host/made/deep/k", "value");
	holds("/mnt/host/made/part/x", "deep");
	holds("/mnt/host/made/k", "value");
	holds("/mnt/host/file", "a file");
	ck_assert_msg(faccessat(AT_FDCWD, "/mnt/host/made/empty", F_OK, 0) == 0, "after %s",
		      fault_text());
	ck_assert_int_lt(faccessat(AT_FDCWD, "/mnt/host/dir/inside", F_OK, 0), 0);
	ck_assert_msg(open("/mnt/host/dir/k", O_WRONLY | O_CLOEXEC) < 0, "writable after %s",
		      fault_text());
}

static void enter(const struct sv_view_mount *list, size_t n, void (*look)(void))
{
	struct fault_loop loop = { .scope = FAULT_ALL };
	sv_autofree char *before = t_tree(t_dirfd);
	long n_blocks = fault_live_blocks();
	int n_fds = fault_open_fds();

	FAULT_EACH(loop)
	{
		sv_autofree char *after = NULL;
		struct sv_err err = { "" };
		int r;

		fault_on(&loop);
		r = sv_view_enter(list, n, "/mnt/vol", &err);
		fault_off();
		ck_assert_msg(r <= 0, "%d, %s after %s", r, err.msg, fault_text());
		if (r == 0)
			look();
		else
			ck_assert_msg(*err.msg, "no text after %s", fault_text());
		if (fault_is_harmless())
			ck_assert_msg(r == 0, "%s after %s", err.msg, fault_text());
		ck_assert_int_eq(setns(outside, CLONE_NEWNS), 0);
		after = t_tree(t_dirfd);
		ck_assert_msg(strcmp(before, after) == 0, "the host has changed after %s:\n%s",
			      fault_text(), after);
		free(SV_TAKE(after));
		ck_assert_msg(fault_open_fds() == n_fds, "%d descriptors leak after %s",
			      fault_open_fds() - n_fds, fault_text());
		ck_assert_msg(fault_live_blocks() == n_blocks, "%ld blocks leak after %s",
			      fault_live_blocks() - n_blocks, fault_text());
	}
	ck_assert_msg(loop.fired >= 100, "only %u failures", loop.fired);
}

START_TEST(a_view_is_whole_or_is_not_entered)
{
	enter(mounts, SV_ARRAY_SIZE(mounts), look_around);
}
END_TEST

START_TEST(a_view_that_covers_the_root_is_whole_or_is_not_entered)
{
	enter(at_root, SV_ARRAY_SIZE(at_root), look_at_root);
}
END_TEST

T_SUITE(fault_view)
{
	T_AROUND(setup, teardown);
	T_TEST(a_view_is_whole_or_is_not_entered);
	T_TEST(a_view_that_covers_the_root_is_whole_or_is_not_entered);
}
