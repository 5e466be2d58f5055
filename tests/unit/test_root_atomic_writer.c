/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/node/atomic_writer.h"
#include "../../lib/node/fsutil.h"
#include "../support/support.h"

/* The place itself is the volume: what stands in it is compared as a whole. */

static uint64_t generation; /* of the last write */
static struct sv_written written;

static void setup(void)
{
	t_enter_place();
	ck_assert_int_eq(fchmod(t_dirfd, 01777), 0);
	generation = 0;
}

static void teardown(void)
{
	sv_written_done(&written);
	t_leave_place();
}

/* Items as in "username:u" or "username:a/b:0400", blanks between; "" for every key. */
static struct sv_plan *make_plan(const char *keys, const char *items, const char *mounts,
				 int64_t group)
{
	sv_autosecret struct sv_secret *secret = t_secret("s", keys);
	struct sv_secret *secrets[] = { secret, NULL };
	sv_autofree char *copy = strdup(items), *security = NULL, *text = NULL;
	sv_autobuf struct sv_buf list = { 0 };
	sv_autopod struct sv_pod *pod = NULL;
	char *save = NULL, *word;

	sv_buf_puts(&list, "");
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *path = strchr(word, ':'), *mode;

		*path++ = '\0';
		mode = strchr(path, ':');
		if (mode)
			*mode++ = '\0';
		sv_buf_printf(&list, "{key: %s, path: \"%s\"%s%s}, ", word, path,
			      mode ? ", mode: " : "", mode ? mode : "");
	}
	security = group < 0 ? strdup("") : sv_asprintf("fsGroup: %lld", (long long)group);
	text = sv_asprintf(
		"metadata: {name: p}\nspec:\n  securityContext: {%s}\n  containers: [{name: c, image: "
		"i, volumeMounts: [{name: v, mountPath: /v}, %s]}]\n  volumes: [{name: v, secret: "
		"{secretName: s, items: [%s]}}, {name: w}]\n",
		security, mounts, list.ptr);
	pod = t_pod_yaml(text);
	return t_plan(pod, "v", secrets);
}

static void write_plan(const struct sv_plan *plan)
{
	struct sv_err err = { "" };

	ck_assert_msg(sv_atomic_write(t_dirfd, plan, ++generation, false, &written, &err) == 0,
		      "%s", err.msg);
	ck_assert_uint_eq(written.generation, generation);
}

static void write_keys(const char *keys)
{
	sv_autoplan struct sv_plan *plan = make_plan(keys, "", "", -1);

	write_plan(plan);
}

static int check(const struct sv_plan *plan)
{
	struct sv_written w = { 0 };
	int r = sv_atomic_check(t_dirfd, plan, &w);

	sv_written_done(&w);
	return r;
}

static void remove_old(void)
{
	size_t i;

	for (i = 0; i < written.n_old; i++)
		ck_assert_int_eq(sv_atomic_remove(t_dirfd, written.old[i].data_dir, true), 0);
}

static void expect_tree(const char *want)
{
	sv_autofree char *tree = t_tree(t_dirfd);

	ck_assert_str_eq(tree, want);
}

/* ---- layout (R38-R45) --------------------------------------------------------------------------- */

START_TEST(a_volume_is_laid_out_as_the_kubelets)
{
	write_keys("username=my-app password=x");
	expect_tree("..GEN/ 0755 0\n"
		    "..GEN/password 0644 0 =x\n"
		    "..GEN/username 0644 0 =my-app\n"
		    "..data -> ..GEN\n"
		    "password -> ..data/password\n"
		    "username -> ..data/username");
	ck_assert_uint_eq(written.n_old, 0);
}
END_TEST

START_TEST(nested_items_are_reached_by_their_first_element)
{
	sv_autoplan struct sv_plan *plan =
		make_plan("a=1 b=2", "a:d/x:0400 b:d/e/y a:z:0 b:d.e:0777", "", -1);

	write_plan(plan);
	expect_tree("..GEN/ 0755 0\n"
		    "..GEN/d/ 0755 0\n"
		    "..GEN/d/e/ 0755 0\n"
		    "..GEN/d/e/y 0644 0 =2\n"
		    "..GEN/d/x 0400 0 =1\n"
		    "..GEN/d.e 0777 0 =2\n"
		    "..GEN/z 0000 0 =1\n"
		    "..data -> ..GEN\n"
		    "d -> ..data/d\n"
		    "d.e -> ..data/d.e\n"
		    "z -> ..data/z");
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

START_TEST(no_umask_applies)
{
	sv_autoplan struct sv_plan *plan =
		make_plan("a=1", "a:d/x:0777 a:y:0666", "{name: w, mountPath: /v/n/m}", -1);

	umask(077);
	write_plan(plan);
	expect_tree("..GEN/ 0755 0\n"
		    "..GEN/d/ 0755 0\n"
		    "..GEN/d/x 0777 0 =1\n"
		    "..GEN/y 0666 0 =1\n"
		    "..data -> ..GEN\n"
		    "d -> ..data/d\n"
		    "n/ 0755 0\n"
		    "n/m/ 0755 0\n"
		    "y -> ..data/y");
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

START_TEST(a_group_owns_everything)
{
	sv_autoplan struct sv_plan *plan =
		make_plan("a=1", "a:d/x:0400 a:y:0 a:z:0200", "{name: w, mountPath: /v/n}", 4321);
	struct stat st;

	write_plan(plan);
	expect_tree("..GEN/ 2755 4321\n"
		    "..GEN/d/ 2755 4321\n"
		    "..GEN/d/x 0440 4321 =1\n"
		    "..GEN/y 0440 4321 =1\n"
		    "..GEN/z 0640 4321 =1\n"
		    "..data -> ..GEN\n"
		    "d -> ..data/d\n"
		    "n/ 2755 4321\n"
		    "y -> ..data/y\n"
		    "z -> ..data/z");
	ck_assert_int_eq(fstat(t_dirfd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 03777);
	ck_assert_uint_eq(st.st_gid, 4321);
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

START_TEST(a_group_that_comes_and_goes_is_followed)
{
	sv_autoplan struct sv_plan *with = make_plan("a=1", "", "", 5);
	sv_autoplan struct sv_plan *without = make_plan("a=1", "", "", -1);
	struct stat st;

	write_plan(without);
	ck_assert_int_eq(check(with), 0);
	write_plan(with);
	remove_old();
	expect_tree("..GEN/ 2755 5\n..GEN/a 0644 5 =1\n..data -> ..GEN\na -> ..data/a");
	ck_assert_int_eq(check(with), 1);
	ck_assert_int_eq(check(without), 0);
	write_plan(without);
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/a 0644 0 =1\n..data -> ..GEN\na -> ..data/a");
	ck_assert_int_eq(fstat(t_dirfd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 01777);
	ck_assert_uint_eq(st.st_gid, 0);
	ck_assert_int_eq(check(without), 1);
}
END_TEST

START_TEST(an_empty_volume_is_a_volume)
{
	sv_autoplan struct sv_plan *plan = make_plan("", "", "", -1);

	write_plan(plan);
	expect_tree("..GEN/ 0755 0\n..data -> ..GEN");
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

START_TEST(a_generation_is_named_after_its_time_and_number)
{
	sv_autofree char *name = NULL;
	char want[64];
	time_t now = time(NULL);
	struct tm tm;
	sv_autoplan struct sv_plan *plan = make_plan("a=1", "", "", -1);
	struct sv_written w = { 0 };
	struct sv_err err;

	ck_assert_int_eq(sv_atomic_write(t_dirfd, plan, 41, false, &w, &err), 0);
	name = t_link(t_dirfd, "..data");
	gmtime_r(&now, &tm);
	strftime(want, sizeof(want), "..%Y_%m_%d_%H_", &tm); /* minutes may turn meanwhile */
	ck_assert_mem_eq(name, want, strlen(want) - 3);
	ck_assert_uint_eq(strlen(name), strlen("..2026_01_02_03_04_05.41123456"));
	ck_assert_mem_eq(name + strlen("..2026_01_02_03_04_05"), ".41", 3);
	sv_written_done(&w);
	ck_assert_int_eq(sv_atomic_check(t_dirfd, plan, &w), 1);
	ck_assert_uint_eq(w.generation, 41); /* a restart knows the number */
	ck_assert_int_ge(w.made_ms, (now - 5) * 1000LL);
	ck_assert_int_le(w.made_ms, (now + 60) * 1000LL);
	sv_written_done(&w);
}
END_TEST

static const struct {
	const char *name;
	uint64_t want;
} foreign[] = {
	{ "..2026_01_02_03_04_05.7123456", 7 },
	{ "..2026_01_02_03_04_05.1000001", 1 },
	{ "..2026_01_02_03_04_05.12345678901", 12345 },
	{ "..2026_01_02_03_04_05.123", 1 }, /* a kubelet's: at least it is one */
	{ "..2026_01_02_03_04_05.x", 1 },
	{ "..2026", 1 },
	{ "x", 0 },
	{ "..data2", 0 },
	{ "../etc", 0 },
};

START_TEST(the_number_of_a_generation_is_read_from_its_name)
{
	sv_autoplan struct sv_plan *plan = make_plan("a=1", "", "", -1);
	struct sv_written w = { 0 };

	ck_assert_int_eq(symlinkat(foreign[_i].name, t_dirfd, "..data"), 0);
	ck_assert_int_eq(sv_atomic_check(t_dirfd, plan, &w), 0);
	ck_assert_uint_eq(w.generation, foreign[_i].want);
	sv_written_done(&w);
}
END_TEST

/* ---- updates -------------------------------------------------------------------------------------- */

START_TEST(an_update_switches_and_leaves_the_old_generation)
{
	sv_autofree char *before = NULL, *old = NULL, *value = NULL;

	write_keys("a=1 b=2 c=3");
	before = t_link(t_dirfd, "..data");
	write_keys("a=9 c=3 d=4");
	ck_assert_uint_eq(written.n_old, 1);
	ck_assert_str_eq(written.old[0].data_dir, before);
	old = sv_asprintf("%s/b", before);
	value = t_read(t_dirfd, old); /* whoever has resolved ..data before still reads it */
	ck_assert_pstr_eq(value, "2");
	remove_old();
	expect_tree("..GEN/ 0755 0\n"
		    "..GEN/a 0644 0 =9\n"
		    "..GEN/c 0644 0 =3\n"
		    "..GEN/d 0644 0 =4\n"
		    "..data -> ..GEN\n"
		    "a -> ..data/a\n"
		    "c -> ..data/c\n"
		    "d -> ..data/d"); /* b's link has gone */
}
END_TEST

START_TEST(links_of_what_is_in_both_are_left_alone)
{
	struct stat before, after;

	write_keys("a=1");
	ck_assert_int_eq(fstatat(t_dirfd, "a", &before, AT_SYMLINK_NOFOLLOW), 0);
	write_keys("a=2 b=2");
	ck_assert_int_eq(fstatat(t_dirfd, "a", &after, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino); /* never absent */
}
END_TEST

START_TEST(a_file_may_become_a_directory_and_back)
{
	sv_autoplan struct sv_plan *file = make_plan("a=1", "a:x", "", -1);
	sv_autoplan struct sv_plan *dir = make_plan("a=1", "a:x/y", "", -1);

	write_plan(file);
	write_plan(dir);
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/x/ 0755 0\n..GEN/x/y 0644 0 =1\n..data -> ..GEN\n"
		    "x -> ..data/x");
	write_plan(file);
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/x 0644 0 =1\n..data -> ..GEN\nx -> ..data/x");
}
END_TEST

START_TEST(every_old_generation_is_listed)
{
	write_keys("a=1");
	write_keys("a=2");
	write_keys("a=3");
	write_keys("a=4");
	ck_assert_uint_eq(written.n_old, 3);
	remove_old();
	write_keys("a=5");
	ck_assert_uint_eq(written.n_old, 1);
}
END_TEST

START_TEST(only_what_is_old_is_removed)
{
	sv_autofree char *current = NULL;

	write_keys("a=1");
	current = t_link(t_dirfd, "..data");
	ck_assert_int_eq(sv_atomic_remove(t_dirfd, current, true), -EBUSY);
	ck_assert_int_eq(sv_atomic_remove(t_dirfd, "..data", true), -EBUSY);
	ck_assert_int_eq(sv_atomic_remove(t_dirfd, "a", true), -EBUSY);
	ck_assert_int_eq(sv_atomic_remove(t_dirfd, "..2020.1", true), 0); /* gone is gone */
	expect_tree("..GEN/ 0755 0\n..GEN/a 0644 0 =1\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

START_TEST(an_old_generation_is_overwritten_or_only_removed)
{
	static const bool wipe[] = { true, false };
	size_t i;

	for (i = 0; i < 2; i++) {
		sv_autofree char *text = NULL;
		sv_autoclose int fd = -1;
		char value[8] = "";

		write_keys("a=secret");
		fd = openat(t_dirfd, "a", O_RDONLY | O_CLOEXEC);
		text = sv_asprintf("a=%d", (int)i);
		write_keys(text);
		ck_assert_int_eq(
			sv_atomic_remove(t_dirfd, written.old[written.n_old - 1].data_dir, wipe[i]),
			0);
		ck_assert_int_eq(pread(fd, value, 6, 0), 6);
		ck_assert_mem_eq(value, wipe[i] ? "\0\0\0\0\0\0" : "secret", 6);
	}
}
END_TEST

START_TEST(large_and_binary_values_arrive_whole)
{
	sv_autofree char *large = t_repeat('x', 1000000);
	sv_autosecret struct sv_secret *secret = sv_secret_new();
	struct sv_secret *secrets[] = { secret, NULL };
	struct sv_secret_item items[] = { { strdup("big"), { NULL, 0 } },
					  { strdup("bin"), { NULL, 0 } } };
	sv_autopod struct sv_pod *pod = t_pod("p", "v=s");
	sv_autoplan struct sv_plan *plan = NULL;
	char bin[256], found[300];
	struct stat st;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(bin); i++)
		bin[i] = (char)i;
	secret->ns = strdup("default");
	secret->name = strdup("s");
	ck_assert_int_eq(sv_bytes_copy(large, 1000000, &items[0].value), 0);
	ck_assert_int_eq(sv_bytes_copy(bin, sizeof(bin), &items[1].value), 0);
	ck_assert_int_eq(sv_secret_set(secret, items, 2), 0);
	plan = t_plan(pod, "v", secrets);
	write_plan(plan);
	ck_assert_int_eq(fstatat(t_dirfd, "big", &st, 0), 0);
	ck_assert_int_eq(st.st_size, 1000000);
	fd = openat(t_dirfd, "bin", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, found, sizeof(found)), sizeof(bin));
	ck_assert_mem_eq(found, bin, sizeof(bin));
	close(fd);
	ck_assert_int_eq(check(plan), 1);
	secret->data->values[0].ptr[999999] = 'y';
	ck_assert_int_eq(check(plan), 0);
	secret->data->values[0].ptr[999999] = 'x';
	secret->data->values[1].len--;
	ck_assert_int_eq(check(plan), 0);
	secret->data->values[1].len++;
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

/* ---- nothing to do (R43) --------------------------------------------------------------------------- */

START_TEST(what_is_as_planned_is_seen_as_such)
{
	sv_autoplan struct sv_plan *plan =
		make_plan("a=1 b=", "a:x a:d/y:0400 b:z", "{name: w, mountPath: /v/n}", 77);

	ck_assert_int_eq(check(plan), 0); /* nothing there yet */
	write_plan(plan);
	ck_assert_int_eq(check(plan), 1);
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

/* Each damage is seen, and a write puts it right. */
static const char *const damages[] = {
	"rm -f a",            /* a link */
	"ln -sfn ..data/b a", /* that leads elsewhere */
	"rm -f ..data",
	"ln -sfn nowhere ..data",
	"echo -n 9 > a", /* content */
	"echo -n 12 > a",
	": > a",
	"rm -f a && rm -f ..data/a", /* a file */
	"chmod 0600 ..data/a",       /* mode */
	"chmod 04644 ..data/a",
	"chown 5 ..data/a", /* owners */
	"chgrp 5 ..data/a",
	"chmod 0700 ..data/",
	"chgrp 5 ..data/",
	"chmod 0700 ..data/d",
	"chgrp 5 ..data/d",
	"touch ..data/extra", /* something more (R43) */
	"touch ..data/d/extra",
	"mkdir ..data/extra",
	"ln -s ..data/stale stale", /* a stale link (R42) */
	"ln -s ..data/stale stale && rm ..data",
	"rm -rf ..data/d",
	"rmdir n/m", /* a nested mountpoint */
	"rmdir n/m n && ln -s ..data/n n",
	"chmod 0755 .", /* the root */
	"chgrp 5 .",
	"rm -f ..data/a && ln -s /etc/hostname ..data/a",
	"rm -f ..data/a && mkdir ..data/a",
	"rm -f ..data/a && mkfifo ..data/a",
	"mkdir -p ..data/x/y/z && touch ..data/x/y/z/f",
	"rm -f ..data/a && /usr/bin/python3 -c 'import socket as s; s.socket(s.AF_UNIX).bind(\"..data/a\")'",
};

/* First elements that begin alike, with bytes on either side of '/'. */
START_TEST(one_link_is_stale_among_many_that_are_not)
{
	static const char *const paths[] = { "a/x", "a!", "a-b", "a.b/y", "a0",
					     "ab",  "A",  "z/z", "zz",    "\xc3\xa9" };
	size_t gone, i;

	for (gone = 0; gone < SV_ARRAY_SIZE(paths); gone++) {
		sv_autoplan struct sv_plan *all = NULL, *rest = NULL;
		sv_autobuf struct sv_buf items = { 0 }, others = { 0 };
		sv_autofree char *element = strdup(paths[gone]);
		struct stat st;

		element[strcspn(element, "/")] = '\0';
		for (i = 0; i < SV_ARRAY_SIZE(paths); i++) {
			sv_buf_printf(&items, "k:%s ", paths[i]);
			if (i != gone)
				sv_buf_printf(&others, "k:%s ", paths[i]);
		}
		all = make_plan("k=1", items.ptr, "", -1);
		rest = make_plan("k=1", others.ptr, "", -1);
		write_plan(all);
		ck_assert_int_eq(check(all), 1);
		ck_assert_int_eq(fstatat(t_dirfd, element, &st, AT_SYMLINK_NOFOLLOW), 0);
		write_plan(rest);
		ck_assert_int_eq(check(rest), 1);
		ck_assert_int_eq(fstatat(t_dirfd, element, &st, AT_SYMLINK_NOFOLLOW), -1);
	}
}
END_TEST

START_TEST(damage_is_seen_and_put_right)
{
	sv_autoplan struct sv_plan *plan =
		make_plan("a=1 b=2", "a:a b:b b:d/e", "{name: w, mountPath: /v/n/m}", -1);
	sv_autofree char *command = sv_asprintf("cd %s && %s", t_dir, damages[_i]);
	sv_autofree char *whole = NULL, *again = NULL;

	write_plan(plan);
	whole = t_tree(t_dirfd);
	ck_assert_int_eq(system(command), 0);
	ck_assert_msg(check(plan) == 0, "not seen: %s", damages[_i]);
	write_plan(plan);
	ck_assert_msg(check(plan) == 1, "not put right: %s", damages[_i]);
	{ /* all that is not part of the volume is listed as old */
		struct sv_written w = { 0 };
		size_t i;

		ck_assert_int_eq(sv_atomic_check(t_dirfd, plan, &w), 1);
		for (i = 0; i < w.n_old; i++)
			ck_assert_int_eq(sv_atomic_remove(t_dirfd, w.old[i].data_dir, true), 0);
		sv_written_done(&w);
	}
	again = t_tree(t_dirfd);
	ck_assert_str_eq(again, whole);
}
END_TEST

START_TEST(a_leftover_of_a_switch_is_no_obstacle)
{
	write_keys("a=1");
	ck_assert_int_eq(symlinkat("whatever", t_dirfd, "..data_tmp"), 0);
	write_keys("a=2");
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/a 0644 0 =2\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

START_TEST(a_leftover_generation_is_listed_and_removed)
{
	sv_autoplan struct sv_plan *plan = make_plan("a=1", "", "", -1);
	struct sv_written w = { 0 };

	write_plan(plan);
	ck_assert_int_eq(mkdirat(t_dirfd, "..2025_01_01_00_00_00.1", 0700), 0);
	ck_assert_int_eq(sv_atomic_check(t_dirfd, plan, &w), 1); /* it is not in the way */
	ck_assert_uint_eq(w.n_old, 1);
	ck_assert_str_eq(w.old[0].data_dir, "..2025_01_01_00_00_00.1");
	sv_written_done(&w);
	write_keys("a=2");
	ck_assert_uint_eq(written.n_old, 2);
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/a 0644 0 =2\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

/* ---- nested mountpoints (R49) ------------------------------------------------------------------------ */

START_TEST(no_more_generations_are_listed_than_we_leave)
{
	sv_autoplan struct sv_plan *plan = make_plan("a=1", "", "", -1);
	struct sv_written w = { 0 };
	char name[64];
	int i;

	write_plan(plan);
	for (i = 0; i < 3 * SV_OLD_GENERATIONS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "..2000_01_01_00_00_00.%d", i);
		ck_assert_int_eq(mkdirat(t_dirfd, name, 0755), 0);
	}
	for (i = 0; i < 3; i++) { /* each in its turn */
		size_t k;

		ck_assert_int_eq(sv_atomic_check(t_dirfd, plan, &w), 1);
		ck_assert_uint_eq(w.n_old, SV_OLD_GENERATIONS_MAX);
		for (k = 0; k < w.n_old; k++)
			ck_assert_int_eq(sv_atomic_remove(t_dirfd, w.old[k].data_dir, true), 0);
		sv_written_done(&w);
	}
	ck_assert_int_eq(sv_atomic_check(t_dirfd, plan, &w), 1);
	ck_assert_uint_eq(w.n_old, 0);
}
END_TEST

START_TEST(a_mountpoint_hides_files_of_its_name)
{
	sv_autoplan struct sv_plan *plan =
		make_plan("a=1 k=2", "a:a k:n a:m/x",
			  "{name: w, mountPath: /v/n}, {name: w, mountPath: "
			  "/v/m/y}",
			  -1);

	write_plan(plan);
	expect_tree("..GEN/ 0755 0\n"
		    "..GEN/a 0644 0 =1\n"
		    "..GEN/m/ 0755 0\n"
		    "..GEN/m/x 0644 0 =1\n"
		    "..GEN/n 0644 0 =2\n"
		    "..data -> ..GEN\n"
		    "a -> ..data/a\n"
		    "m/ 0755 0\n"
		    "m/y/ 0755 0\n"
		    "n/ 0755 0");
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

START_TEST(a_link_gives_way_to_a_mountpoint)
{
	sv_autoplan struct sv_plan *plan = make_plan("n=1", "", "{name: w, mountPath: /v/n/x}", -1);

	write_keys("n=1");
	ck_assert_int_eq(check(plan), 0);
	write_plan(plan);
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/n 0644 0 =1\n..data -> ..GEN\nn/ 0755 0\nn/x/ 0755 0");
	ck_assert_int_eq(check(plan), 1);
}
END_TEST

START_TEST(a_mountpoint_in_use_stays)
{
	sv_autoplan struct sv_plan *plan = make_plan("a=1", "", "{name: w, mountPath: /v/n}", -1);
	sv_autofree char *mountpoint = sv_asprintf("%s/n", t_dir);

	write_plan(plan);
	ck_assert_int_eq(mount("tmpfs", mountpoint, "tmpfs", 0, NULL), 0);
	t_write(t_dirfd, "n/inside", "x");
	write_keys("a=2"); /* no longer planned: left alone */
	ck_assert_int_eq(faccessat(t_dirfd, "n/inside", F_OK, 0), 0);
	ck_assert_int_eq(umount2(mountpoint, 0), 0);
}
END_TEST

/* ---- failures ------------------------------------------------------------------------------------------ */

START_TEST(a_failed_write_leaves_all_as_it_was)
{
	sv_autofree char *before = NULL, *after = NULL;
	sv_autofree char *large = t_repeat('x', 300000);
	sv_autofree char *keys = sv_asprintf("a=9 b=%s", large);
	sv_autoplan struct sv_plan *plan = make_plan(keys, "a:a b:d/b", "", -1);
	struct sv_err err = { "" };

	ck_assert_int_eq(mount(NULL, t_dir, NULL, MS_REMOUNT, "size=200k"), 0);
	write_keys("a=1 c=2");
	before = t_tree(t_dirfd);
	ck_assert_int_eq(sv_atomic_write(t_dirfd, plan, ++generation, false, &written, &err),
			 -ENOSPC);
	ck_assert_str_eq(err.msg, "cannot write 'd/b': No space left on device");
	after = t_tree(t_dirfd);
	ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(a_switch_that_fails_leaves_all_as_it_was)
{
	sv_autoplan struct sv_plan *plan = make_plan("a=2", "", "", -1);
	sv_autofree char *before = NULL, *after = NULL;
	struct sv_err err = { "" };

	write_keys("a=1");
	/* a directory that is not empty cannot be replaced by a link */
	ck_assert_int_eq(unlinkat(t_dirfd, "..data", 0), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "..data", 0755), 0);
	t_write(t_dirfd, "..data/x", "x");
	before = t_tree(t_dirfd);
	ck_assert_int_lt(sv_atomic_write(t_dirfd, plan, ++generation, false, &written, &err), 0);
	t_contains(err.msg, "cannot switch to '..2");
	after = t_tree(t_dirfd);
	ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(a_read_only_volume_is_checked_and_not_written)
{
	sv_autoplan struct sv_plan *plan = make_plan("a=1", "", "", -1);
	sv_autoplan struct sv_plan *other = make_plan("a=2", "", "", -1);
	struct sv_err err = { "" };

	write_plan(plan);
	ck_assert_int_eq(mount(NULL, t_dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	ck_assert_int_eq(check(plan), 1);
	ck_assert_int_eq(check(other), 0);
	ck_assert_int_eq(sv_atomic_write(t_dirfd, other, ++generation, false, &written, &err),
			 -EROFS);
	ck_assert_int_eq(check(plan), 1);
	ck_assert_int_eq(mount(NULL, t_dir, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
}
END_TEST

/* A reader that opens by name never sees a mixture, nor nothing. */
START_TEST(a_reader_always_finds_a_whole_generation)
{
	char values[64];
	int i;

	write_keys("a=0000 b=0000");
	for (i = 1; i < 50; i++) {
		sv_autoclose int data = openat(t_dirfd, "..data", O_PATH | O_CLOEXEC);
		sv_autofree char *a = NULL, *b = NULL, *now = NULL;

		(void)snprintf(values, sizeof(values), "a=%04d b=%04d", i, i);
		write_keys(values);
		a = t_read(data, "a"); /* resolved before the switch */
		b = t_read(data, "b");
		ck_assert_pstr_eq(a, b);
		ck_assert_int_eq(atoi(a), i - 1);
		now = t_read(t_dirfd, "b");
		ck_assert_int_eq(atoi(now), i);
	}
	ck_assert_uint_eq(written.n_old, 49);
}
END_TEST

START_TEST(the_longest_paths_can_be_written_compared_and_removed)
{
	sv_autofree char *element = t_repeat('e', 255);
	sv_autobuf struct sv_buf path = { 0 };
	sv_autofree char *items = NULL;
	sv_autoplan struct sv_plan *plan = NULL;
	int i;

	for (i = 0; i < 15; i++)
		sv_buf_printf(&path, "%s%s", i ? "/" : "", element);
	sv_buf_printf(&path, "/%.*s", 4000 - 15 * 256, element);
	ck_assert_uint_eq(path.len, 4000);
	items = sv_asprintf("a:%s", path.ptr);
	plan = make_plan("a=1", items, "", -1);
	write_plan(plan);
	ck_assert_int_eq(check(plan), 1);
	write_keys("a=1");
	remove_old();
	expect_tree("..GEN/ 0755 0\n..GEN/a 0644 0 =1\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

T_SUITE(atomic_writer)
{
	T_AROUND(setup, teardown);
	T_TEST(a_volume_is_laid_out_as_the_kubelets);
	T_TEST(nested_items_are_reached_by_their_first_element);
	T_TEST(no_umask_applies);
	T_TEST(a_group_owns_everything);
	T_TEST(a_group_that_comes_and_goes_is_followed);
	T_TEST(an_empty_volume_is_a_volume);
	T_TEST(a_generation_is_named_after_its_time_and_number);
	T_EACH(the_number_of_a_generation_is_read_from_its_name, foreign);
	T_TEST(an_update_switches_and_leaves_the_old_generation);
	T_TEST(links_of_what_is_in_both_are_left_alone);
	T_TEST(a_file_may_become_a_directory_and_back);
	T_TEST(every_old_generation_is_listed);
	T_TEST(only_what_is_old_is_removed);
	T_TEST(an_old_generation_is_overwritten_or_only_removed);
	T_TEST(large_and_binary_values_arrive_whole);
	T_TEST(what_is_as_planned_is_seen_as_such);
	T_EACH(damage_is_seen_and_put_right, damages);
	T_TEST(one_link_is_stale_among_many_that_are_not);
	T_TEST(a_leftover_of_a_switch_is_no_obstacle);
	T_TEST(a_leftover_generation_is_listed_and_removed);
	T_TEST(no_more_generations_are_listed_than_we_leave);
	T_TEST(a_mountpoint_hides_files_of_its_name);
	T_TEST(a_link_gives_way_to_a_mountpoint);
	T_TEST(a_mountpoint_in_use_stays);
	T_TEST(a_failed_write_leaves_all_as_it_was);
	T_TEST(a_switch_that_fails_leaves_all_as_it_was);
	T_TEST(a_read_only_volume_is_checked_and_not_written);
	T_TEST(a_reader_always_finds_a_whole_generation);
	T_TEST(the_longest_paths_can_be_written_compared_and_removed);
}
