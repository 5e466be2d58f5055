/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "../../lib/node/fsutil.h"
#include "../../lib/node/volume.h"
#include "../support/support.h"

#define DIR_OF(uid) "pods/" uid "/volumes/kubernetes.io~secret"
#define ID DIR_OF("u") "/v"
#define LIMIT (1 << 20)

static struct sv_node node;
static char root[64];
static uint64_t generation; /* of the record that is simulated here */
static bool mounted;

static void open_node(void)
{
	struct sv_err err = { "" };

	(void)snprintf(root, sizeof(root), "%s/root", t_dir);
	ck_assert_msg(sv_node_open(root, &node, &err) == 0, "%s", err.msg);
	node.policy = SV_SWAP_AVOID;
	ck_assert_msg(sv_tmpfs_choose(SV_SWAP_AVOID, &node.medium, &err) == 0, "%s", err.msg);
}

static void setup(void)
{
	t_enter_place();
	open_node();
	generation = 0;
	mounted = false;
}

static void teardown(void)
{
	sv_node_close(&node);
	t_leave_place();
}

static struct sv_action *make_action(enum sv_action_kind kind, const char *id, const char *pod)
{
	struct sv_action *a = calloc(1, sizeof(*a));

	ck_assert_ptr_nonnull(a);
	a->kind = kind;
	a->id = strdup(id);
	a->ns = strdup(*pod ? "default" : "");
	a->pod = strdup(pod);
	a->volume = strdup(strrchr(id, '/') + 1);
	a->mounted = a->is_mounted = mounted;
	a->generation = generation + 1;
	a->size_limit = LIMIT;
	a->medium = mounted ? node.medium : SV_MEDIUM_UNKNOWN;
	a->wipe = true;
	return a;
}

static struct sv_plan *plan_of(const char *keys, const char *pod_extra)
{
	sv_autofree char *volumes = sv_asprintf("v=s %s", pod_extra);
	sv_autosecret struct sv_secret *secret = t_secret("s", keys);
	sv_autopod struct sv_pod *pod = t_pod("p@u", volumes);
	struct sv_secret *secrets[] = { secret, NULL };

	return t_plan(pod, "v", secrets);
}

/* An update as reconcile would order it, with what the record would know afterwards. */
static struct sv_action *sync_at(const char *id, const char *pod, struct sv_plan *plan)
{
	struct sv_action *a = make_action(SV_ACTION_SYNC, id, pod);

	a->plan = plan;
	sv_volume_carry_out(&node, a);
	mounted = a->is_mounted;
	if (a->result == 0)
		generation = a->current;
	return a;
}

static struct sv_action *sync_keys(const char *keys)
{
	return sync_at(ID, "p", plan_of(keys, ""));
}

static void succeeded(struct sv_action *a)
{
	ck_assert_msg(a->result == 0, "%s", a->err.msg);
	sv_action_free(a);
}

static void succeed_keys(const char *keys)
{
	succeeded(sync_keys(keys));
}

static void failed(struct sv_action *a, int result, enum sv_fault fault, const char *says)
{
	ck_assert_int_eq(a->result, result);
	ck_assert_int_eq(a->fault, fault);
	t_contains(a->err.msg, says);
	ck_assert(!a->changed);
	sv_action_free(a);
}

static struct sv_action *remove_volume(const char *pod)
{
	struct sv_action *a = make_action(SV_ACTION_REMOVE, ID, pod);

	sv_volume_carry_out(&node, a);
	mounted = a->is_mounted;
	return a;
}

static int open_volume(void)
{
	int fd = openat(node.root_fd, ID, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void expect_volume(const char *want)
{
	sv_autoclose int fd = open_volume();
	sv_autofree char *tree = t_tree(fd);

	ck_assert_str_eq(tree, want);
}

/* What is below the root directory, not looking into volumes. */
static void expect_root(const char *want)
{
	sv_autofree char *tree = t_tree(node.root_fd);

	ck_assert_str_eq(tree, want);
}

static bool is_volume(const char *id)
{
	sv_autoclose int fd = openat(node.root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && sv_tmpfs_is_volume(fd, id) == 1;
}

#define EMPTY_VOLUME                                             \
	"pods/ 0750 0\npods/u/ 0750 0\npods/u/volumes/ 0750 0\n" \
	"pods/u/volumes/kubernetes.io~secret/ 0750 0\npods/u/volumes/kubernetes.io~secret/v/"

/* ---- the root directory ----------------------------------------------------------------------- */

START_TEST(a_root_directory_is_made_and_locked)
{
	struct sv_node other = { .root_fd = -1 };
	struct sv_err err = { "" };
	struct stat st;

	ck_assert_int_eq(fstat(node.root_fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
	ck_assert_int_eq(sv_node_open(root, &other, &err), -EBUSY);
	t_contains(err.msg, "another secretvold uses root directory");
	ck_assert_int_eq(other.root_fd, -1);
	sv_node_close(&node);
	ck_assert_int_eq(sv_node_open(root, &node, &err), 0);
}
END_TEST

START_TEST(parents_of_a_root_directory_are_made)
{
	sv_autofree char *deep = sv_asprintf("%s/a/b/c/", t_dir);
	struct sv_node other = { .root_fd = -1 };
	struct sv_err err = { "" };
	struct stat st;

	ck_assert_msg(sv_node_open(deep, &other, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(other.root, "/mnt/a/b/c"); /* canonical */
	ck_assert_int_eq(fstatat(t_dirfd, "a/b", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	sv_node_close(&other);
}
END_TEST

START_TEST(a_root_directory_that_others_may_write_is_refused)
{
	sv_autofree char *bad = sv_asprintf("%s/bad", t_dir);
	struct sv_node other = { .root_fd = -1 };
	struct sv_err err = { "" };

	ck_assert_int_eq(mkdirat(t_dirfd, "bad", 0700), 0);
	ck_assert_int_eq(fchmodat(t_dirfd, "bad", 0770, 0), 0);
	ck_assert_int_eq(sv_node_open(bad, &other, &err), -EPERM);
	t_contains(err.msg, "must be owned by root and not writable by others");
	ck_assert_int_eq(fchmodat(t_dirfd, "bad", 0702, 0), 0);
	ck_assert_int_eq(sv_node_open(bad, &other, &err), -EPERM);
	ck_assert_int_eq(fchmodat(t_dirfd, "bad", 0700, 0), 0);
	ck_assert_int_eq(fchownat(t_dirfd, "bad", 5, 0, 0), 0);
	ck_assert_int_eq(sv_node_open(bad, &other, &err), -EPERM);
	ck_assert_int_eq(sv_node_open("relative", &other, &err), -EINVAL);
	t_write(t_dirfd, "file", "x");
	ck_assert_int_lt(sv_node_open("/mnt/file", &other, &err), 0);
	ck_assert_int_lt(sv_node_open("/mnt/file/x", &other, &err), 0);
}
END_TEST

START_TEST(a_root_directory_below_what_others_may_write_is_refused)
{
	sv_autofree char *below = sv_asprintf("%s/above/root", t_dir);
	struct sv_node other = { .root_fd = -1 };
	struct sv_err err = { "" };

	ck_assert_int_eq(mkdirat(t_dirfd, "above", 0755), 0);
	ck_assert_int_eq(fchmodat(t_dirfd, "above", 0777, 0), 0);
	ck_assert_int_eq(sv_node_open(below, &other, &err), -EPERM);
	t_contains(err.msg, "'/mnt/above', above the root directory, must be owned by root");
	ck_assert_int_eq(fchmodat(t_dirfd, "above", 0755, 0), 0);
	ck_assert_int_eq(fchownat(t_dirfd, "above", 5, 0, 0), 0);
	ck_assert_int_eq(sv_node_open(below, &other, &err), -EPERM);
	ck_assert_int_eq(fchmodat(t_dirfd, "above", 01777, 0), 0); /* sticky, and not root's */
	ck_assert_int_eq(sv_node_open(below, &other, &err), -EPERM);
	ck_assert_int_eq(fchownat(t_dirfd, "above", 0, 0, 0), 0);
	ck_assert_int_eq(fchmodat(t_dirfd, "above", 01777, 0), 0); /* as /tmp */
	ck_assert_msg(sv_node_open(below, &other, &err) == 0, "%s", err.msg);
	sv_node_close(&other);
}
END_TEST

/* ---- publishing ---------------------------------------------------------------------------------- */

START_TEST(a_volume_appears_complete)
{
	struct sv_action *a = sync_keys("a=1 b=2");
	sv_autofree char *target = NULL, *linked = NULL;
	sv_autoclose int fd = -1;
	struct stat st;

	ck_assert_msg(a->result == 0, "%s", a->err.msg);
	ck_assert(a->is_mounted && a->changed && a->listed);
	ck_assert_uint_eq(a->current, 1);
	ck_assert_uint_eq(a->n_old, 0);
	ck_assert_int_eq(a->medium, node.medium);
	sv_action_free(a);
	ck_assert(is_volume(ID));
	expect_volume("..GEN/ 0755 0\n..GEN/a 0644 0 =1\n..GEN/b 0644 0 =2\n..data -> ..GEN\n"
		      "a -> ..data/a\nb -> ..data/b");
	fd = open_volume();
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 01777);
	ck_assert_int_eq(openat(fd, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	ck_assert_int_eq(errno, EROFS);
	target = t_link(node.root_fd, "by-name/default/p/v");
	ck_assert_pstr_eq(target, "../../../" ID);
	linked = t_read(node.root_fd, "by-name/default/p/v/a");
	ck_assert_pstr_eq(linked, "1");
	ck_assert_int_eq(fstatat(node.root_fd, "by-name/default", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
	ck_assert_int_eq(fstatat(node.root_fd, DIR_OF("u"), &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
}
END_TEST

START_TEST(a_group_is_seen_from_the_start)
{
	sv_autoclose int fd = -1;
	struct stat st;

	succeeded(sync_at(ID, "p", plan_of("a=1", "!fsGroup=4321")));
	fd = open_volume();
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 03777);
	ck_assert_uint_eq(st.st_gid, 4321);
	expect_volume("..GEN/ 2755 4321\n..GEN/a 0644 4321 =1\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

START_TEST(an_update_is_written_into_the_same_mount)
{
	struct sv_action *a;
	sv_autoclose int before = -1;
	sv_autofree char *value = NULL;

	succeeded(sync_keys("a=1"));
	before = open_volume();
	a = sync_keys("a=2");
	ck_assert_msg(a->result == 0, "%s", a->err.msg);
	ck_assert(a->changed);
	ck_assert_uint_eq(a->current, 2);
	ck_assert_uint_eq(a->n_old, 1);
	ck_assert_int_gt(a->born_ms, 0);
	sv_action_free(a);
	value = t_read(before, "a"); /* a container that has the mount sees it */
	ck_assert_pstr_eq(value, "2");
}
END_TEST

START_TEST(what_is_as_it_should_be_is_left_alone)
{
	sv_autofree char *before = NULL, *after = NULL;
	struct sv_action *a;
	sv_autoclose int fd = -1;

	succeeded(sync_keys("a=1"));
	fd = open_volume();
	before = t_link(fd, "..data");
	a = sync_keys("a=1");
	ck_assert_int_eq(a->result, 0);
	ck_assert(a->is_mounted && !a->changed && a->listed);
	ck_assert_uint_eq(a->current, 1);
	ck_assert_int_gt(a->current_ms, 0);
	sv_action_free(a);
	after = t_link(fd, "..data");
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(a_volume_that_was_unmounted_is_made_anew)
{
	struct sv_action *a;

	succeeded(sync_keys("a=1"));
	ck_assert_int_eq(umount2("/mnt/root/" ID, MNT_DETACH), 0);
	a = sync_keys("a=1");
	ck_assert_int_eq(a->result, 0);
	ck_assert(a->changed && a->is_mounted);
	ck_assert_uint_eq(a->current, 2);
	sv_action_free(a);
	ck_assert(is_volume(ID));
	ck_assert_int_eq(umount2("/mnt/root/" ID, MNT_DETACH), 0);
	ck_assert_int_eq(sv_remove_tree(node.root_fd, "pods", false), 0); /* and its directory */
	succeeded(sync_keys("a=1"));
	ck_assert(is_volume(ID));
}
END_TEST

START_TEST(the_link_by_name_follows_the_pod)
{
	sv_autofree char *target = NULL;

	succeeded(sync_keys("a=1"));
	ck_assert_int_eq(unlinkat(node.root_fd, "by-name/default/p/v", 0), 0);
	ck_assert_int_eq(symlinkat("elsewhere", node.root_fd, "by-name/default/p/v"), 0);
	succeeded(sync_keys("a=1")); /* nothing changes but the link */
	target = t_link(node.root_fd, "by-name/default/p/v");
	ck_assert_pstr_eq(target, "../../../" ID);
}
END_TEST

/* ---- what may stand in the way ---------------------------------------------------------------------- */

START_TEST(files_of_others_are_not_covered)
{
	close(sv_open_dirs(node.root_fd, ID, 0750, (gid_t)-1, false, NULL));
	t_write(node.root_fd, ID "/precious", "x");
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "occupied by files");
	ck_assert(!mounted);
	expect_root(EMPTY_VOLUME
		    " 0750 0\npods/u/volumes/kubernetes.io~secret/v/precious 0644 0 =x");
	ck_assert_int_eq(unlinkat(node.root_fd, ID "/precious", 0), 0);
	succeeded(sync_keys("a=1"));
}
END_TEST

START_TEST(a_mount_of_others_is_not_covered)
{
	close(sv_open_dirs(node.root_fd, ID, 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(mount("proc", "/mnt/root/" ID, "proc", 0, NULL), 0);
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "occupied by a mount");
	mounted = true; /* even if the record believed so */
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "occupied by a mount");
	ck_assert_int_eq(faccessat(node.root_fd, ID "/self", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(umount2("/mnt/root/" ID, 0), 0); /* it was covered by nothing */
	succeeded(sync_keys("a=1"));
}
END_TEST

START_TEST(a_file_is_not_replaced)
{
	close(sv_open_dirs(node.root_fd, DIR_OF("u"), 0750, (gid_t)-1, false, NULL));
	t_write(node.root_fd, ID, "x");
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "occupied by something");
	expect_root("pods/ 0750 0\npods/u/ 0750 0\npods/u/volumes/ 0750 0\n"
		    "pods/u/volumes/kubernetes.io~secret/ 0750 0\n"
		    "pods/u/volumes/kubernetes.io~secret/v 0644 0 =x");
}
END_TEST

START_TEST(a_link_is_not_followed)
{
	close(sv_open_dirs(node.root_fd, DIR_OF("u"), 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(mkdirat(t_dirfd, "outside", 0755), 0);
	ck_assert_int_eq(symlinkat("/mnt/outside", node.root_fd, ID), 0);
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "occupied by something");
	ck_assert_int_eq(unlinkat(node.root_fd, ID, 0), 0);
	ck_assert_int_eq(unlinkat(node.root_fd, DIR_OF("u"), AT_REMOVEDIR), 0);
	ck_assert_int_eq(symlinkat("/mnt/outside", node.root_fd, DIR_OF("u")), 0);
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "occupied by something");
	{
		sv_autoclose int fd =
			openat(t_dirfd, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		sv_autofree char *tree = t_tree(fd);

		ck_assert_str_eq(tree, "");
	}
}
END_TEST

START_TEST(something_at_the_name_does_not_undo_the_volume)
{
	struct sv_action *a;

	ck_assert_int_eq(mkdirat(node.root_fd, "by-name", 0750), 0);
	t_write(node.root_fd, "by-name/default", "x");
	a = sync_keys("a=1");
	ck_assert_int_lt(a->result, 0);
	ck_assert_int_eq(a->fault, SV_FAULT_WRITE);
	ck_assert(a->is_mounted); /* what is said of the mount is true */
	sv_action_free(a);
	ck_assert(is_volume(ID));
	ck_assert_int_eq(unlinkat(node.root_fd, "by-name/default", 0), 0);
	succeeded(sync_keys("a=1"));
}
END_TEST

/* ---- room ------------------------------------------------------------------------------------------- */

START_TEST(a_volume_without_room_fails_and_leaves_nothing)
{
	sv_autofree char *large = t_repeat('x', 900000), *more = t_repeat('y', 900000);
	sv_autofree char *keys = sv_asprintf("a=%s", large), *twice = NULL;
	sv_autosecret struct sv_secret *secret = t_secret("s", keys);
	sv_autopod struct sv_pod *pod = t_pod_yaml(
		"metadata: {name: p, uid: u}\nspec:\n  containers: [{name: c, image: i}]\n  volumes: "
		"[{name: v, secret: {secretName: s, items: [{key: a, path: a}, {key: a, path: b}, {key: "
		"a, path: c}]}}]\n");
	struct sv_secret *secrets[] = { secret, NULL };
	struct sv_action *a = make_action(SV_ACTION_SYNC, ID, "p");
	int i;

	a->plan = t_plan(pod, "v", secrets); /* 2.7 MB */
	a->size_limit = 4096;                /* room for one and a little */
	sv_volume_carry_out(&node, a);
	failed(a, -ENOSPC, SV_FAULT_WRITE, "No space left on device");
	ck_assert(!is_volume(ID));
	expect_root(""); /* it was not even attached */

	/* updates have room beside what is there, up to a point */
	twice = sv_asprintf("a=%s", more);
	for (i = 0; i < 5; i++)
		succeeded(sync_keys(i % 2 ? twice : keys));
	a = sync_keys(twice);
	ck_assert(a->is_mounted && a->listed);
	ck_assert_uint_eq(a->current, 5);
	ck_assert_uint_eq(a->n_old, 4); /* these could make room */
	failed(a, -ENOSPC, SV_FAULT_WRITE, "No space left on device");
}
END_TEST

START_TEST(a_volume_has_the_room_of_a_limit_that_has_grown)
{
	sv_autofree char *large = t_repeat('x', 900000), *more = t_repeat('y', 900000);
	sv_autofree char *keys = sv_asprintf("a=%s", large), *other = sv_asprintf("a=%s", more);
	struct sv_action *a = make_action(SV_ACTION_SYNC, ID, "p");

	a->plan = plan_of("a=1", "");
	a->size_limit = 4096; /* room for one and a little */
	sv_volume_carry_out(&node, a);
	mounted = a->is_mounted;
	generation = a->current;
	succeeded(a);
	succeed_keys(keys);
	succeed_keys(other);
	succeed_keys(keys);
}
END_TEST

START_TEST(ramfs_keeps_to_the_same_room)
{
	sv_autofree char *large = t_repeat('x', 900000);
	sv_autofree char *keys = sv_asprintf("a=%s", large), *other = sv_asprintf("b=%s", large);
	struct sv_action *a;
	int i;

	node.medium = SV_MEDIUM_RAMFS;
	for (i = 0; i < 5; i++)
		succeeded(sync_keys(i % 2 ? keys : other));
	a = sync_keys(keys);
	ck_assert_uint_eq(a->current, 5);
	failed(a, -ENOSPC, SV_FAULT_WRITE, "");
	ck_assert(is_volume(ID));
}
END_TEST

/* ---- swap -------------------------------------------------------------------------------------------- */

START_TEST(a_policy_that_cannot_be_met_is_a_refusal)
{
	struct sv_action *a;

	node.medium = SV_MEDIUM_UNKNOWN;
	node.policy = SV_SWAP_REQUIRE;
	a = sync_keys("a=1");
	ck_assert_int_gt(a->result, 0);
	ck_assert_int_eq(a->fault, SV_FAULT_SWAP);
	ck_assert(!a->is_mounted);
	t_contains(a->err.msg, "'require'");
	sv_action_free(a);
	expect_root("");
}
END_TEST

START_TEST(an_unsafe_volume_is_not_written_to_under_require)
{
	struct sv_action *a;

	node.medium = SV_MEDIUM_TMPFS;
	node.policy = SV_SWAP_IGNORE;
	succeeded(sync_keys("a=1"));
	node.policy = SV_SWAP_REQUIRE;
	succeeded(sync_keys("a=1")); /* what is there is there */
	a = sync_keys("a=2");
	ck_assert_int_gt(a->result, 0);
	ck_assert_int_eq(a->fault, SV_FAULT_SWAP);
	ck_assert(a->is_mounted && !a->changed);
	sv_action_free(a);
	expect_volume("..GEN/ 0755 0\n..GEN/a 0644 0 =1\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

/* ---- cleaning and removing ----------------------------------------------------------------------------- */

START_TEST(old_generations_are_cleaned_up)
{
	struct sv_action *a, *clean;

	succeeded(sync_keys("a=1"));
	succeeded(sync_keys("a=2"));
	a = sync_keys("a=3");
	ck_assert_uint_eq(a->n_old, 2);
	clean = make_action(SV_ACTION_CLEAN, ID, "p");
	clean->clean = SV_TAKE(a->old);
	clean->n_clean = a->n_old;
	a->n_old = 0;
	sv_action_free(a);
	sv_volume_carry_out(&node, clean);
	ck_assert_uint_eq(clean->n_old, 0);
	succeeded(clean);
	expect_volume("..GEN/ 0755 0\n..GEN/a 0644 0 =3\n..data -> ..GEN\na -> ..data/a");
}
END_TEST

START_TEST(what_resists_cleaning_is_told)
{
	struct sv_action *clean;
	sv_autofree char *current = NULL;
	sv_autoclose int fd = -1;

	succeeded(sync_keys("a=1"));
	fd = open_volume();
	current = t_link(fd, "..data");
	clean = make_action(SV_ACTION_CLEAN, ID, "p");
	clean->clean = calloc(2, sizeof(*clean->clean));
	clean->n_clean = 2;
	strcpy(clean->clean[0].data_dir, current); /* never the current one */
	strcpy(clean->clean[1].data_dir, "..2020_gone");
	sv_volume_carry_out(&node, clean);
	ck_assert_int_eq(clean->result, -EBUSY);
	ck_assert_uint_eq(clean->n_old, 1);
	ck_assert_str_eq(clean->old[0].data_dir, current);
	sv_action_free(clean);
	expect_volume("..GEN/ 0755 0\n..GEN/a 0644 0 =1\n..data -> ..GEN\na -> ..data/a");

	ck_assert_int_eq(umount2("/mnt/root/" ID, MNT_DETACH), 0);
	clean = make_action(SV_ACTION_CLEAN, ID, "p");
	clean->clean = calloc(1, sizeof(*clean->clean));
	clean->n_clean = 1;
	strcpy(clean->clean[0].data_dir, current);
	sv_volume_carry_out(&node, clean); /* with the mount all has gone */
	ck_assert_uint_eq(clean->n_old, 0);
	succeeded(clean);
}
END_TEST

/* It is still there, and comes to light with what covers it. */
START_TEST(what_is_covered_is_not_forgotten)
{
	static const char *const above[] = { ID, "pods/u" };
	struct sv_action *clean, *a;
	size_t i;

	succeeded(sync_keys("a=1"));
	a = sync_keys("a=2");
	for (i = 0; i < SV_ARRAY_SIZE(above); i++) {
		sv_autofree char *point = sv_asprintf("/mnt/root/%s", above[i]);

		ck_assert_int_eq(mount("proc", point, "proc", 0, NULL), 0);
		clean = make_action(SV_ACTION_CLEAN, ID, "p");
		clean->clean = calloc(1, sizeof(*clean->clean));
		clean->clean[clean->n_clean++] = a->old[0];
		sv_volume_carry_out(&node, clean);
		failed(clean, -EBUSY, SV_FAULT_OCCUPIED, "is occupied by a mount");
		ck_assert_int_eq(umount2(point, 0), 0);
	}
	succeeded(a);
}
END_TEST

START_TEST(a_removed_volume_leaves_nothing)
{
	struct sv_action *a;

	succeeded(sync_keys("a=1"));
	a = remove_volume("p");
	ck_assert(!a->is_mounted);
	succeeded(a);
	expect_root("by-name/ 0750 0\npods/ 0750 0");
	succeeded(remove_volume("p")); /* gone is gone */
	expect_root("by-name/ 0750 0\npods/ 0750 0");
}
END_TEST

START_TEST(what_others_keep_of_a_removed_volume_holds_no_secret)
{
	sv_autoclose int dir = -1, file = -1;
	sv_autofree char *tree = NULL;
	char value[8] = "";

	succeeded(sync_keys("a=secret"));
	dir = open_volume(); /* as a container's own mount would */
	file = openat(dir, "a", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(file, 0);
	succeeded(remove_volume("p"));
	tree = t_tree(dir);
	ck_assert_str_eq(tree, "");
	ck_assert_int_eq(pread(file, value, 6, 0), 6);
	ck_assert_mem_eq(value, "\0\0\0\0\0\0", 6);
}
END_TEST

START_TEST(other_volumes_and_names_stay)
{
	sv_autofree char *target = NULL;

	succeeded(sync_keys("a=1"));
	mounted = false;
	generation = 0;
	succeeded(sync_at(DIR_OF("u") "/w", "p", plan_of("a=1", "")));
	mounted = true;
	succeeded(remove_volume("p"));
	ck_assert(!is_volume(ID));
	ck_assert(is_volume(DIR_OF("u") "/w"));
	target = t_link(node.root_fd, "by-name/default/p/w");
	ck_assert_pstr_eq(target, "../../../" DIR_OF("u") "/w");
	ck_assert_int_ne(faccessat(node.root_fd, "by-name/default/p/v", F_OK, AT_SYMLINK_NOFOLLOW),
			 0);
}
END_TEST

START_TEST(a_name_that_another_pod_has_taken_stays)
{
	sv_autofree char *target = NULL;

	succeeded(sync_keys("a=1"));
	mounted = false;
	generation = 0;
	succeeded(sync_at(DIR_OF("x") "/v", "p", plan_of("a=1", ""))); /* same name, another uid */
	mounted = true;
	succeeded(remove_volume("p"));
	target = t_link(node.root_fd, "by-name/default/p/v");
	ck_assert_pstr_eq(target, "../../../" DIR_OF("x") "/v");
}
END_TEST

START_TEST(a_mount_of_others_is_not_taken_down)
{
	struct sv_action *a;

	succeeded(sync_keys("a=1"));
	ck_assert_int_eq(umount2("/mnt/root/" ID, MNT_DETACH), 0);
	ck_assert_int_eq(mount("proc", "/mnt/root/" ID, "proc", 0, NULL), 0);
	a = remove_volume("p");
	ck_assert(!a->is_mounted); /* not ours */
	sv_action_free(a);
	ck_assert_int_eq(faccessat(node.root_fd, ID "/self", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(umount2("/mnt/root/" ID, 0), 0);
}
END_TEST

START_TEST(files_of_others_are_not_removed)
{
	close(sv_open_dirs(node.root_fd, ID, 0750, (gid_t)-1, false, NULL));
	t_write(node.root_fd, ID "/precious", "x");
	mounted = true;
	sv_action_free(remove_volume("p"));
	expect_root(EMPTY_VOLUME
		    " 0750 0\npods/u/volumes/kubernetes.io~secret/v/precious 0644 0 =x");
}
END_TEST

/* ---- neighbours -------------------------------------------------------------------------------- */

static void bind(const char *from, const char *to)
{
	sv_autofree char *source = sv_asprintf("%s/%s", t_dir, from);
	sv_autofree char *target = sv_asprintf("%s/%s", t_dir, to);

	ck_assert_int_eq(mount(source, target, NULL, MS_BIND, NULL), 0);
}

static void uncover(const char *path)
{
	sv_autofree char *target = sv_asprintf("%s/%s", t_dir, path);

	ck_assert_int_eq(umount2(target, 0), 0);
}

static void make_outside(void)
{
	ck_assert_int_eq(mkdirat(t_dirfd, "outside", 0755), 0);
	ck_assert_int_eq(mkdirat(t_dirfd, "outside/empty", 0755), 0);
	t_write(t_dirfd, "outside/precious", "x");
}

static void expect_outside(void)
{
	sv_autoclose int fd = openat(t_dirfd, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sv_autofree char *tree = t_tree(fd);

	ck_assert_str_eq(tree, "empty/ 0755 0\nprecious 0644 0 =x");
}

START_TEST(a_covered_volume_is_still_there)
{
	struct sv_action *a;

	make_outside();
	succeed_keys("a=1");
	bind("outside", "root/" ID);
	a = sync_keys("a=2");
	ck_assert(a->is_mounted && a->covered);
	failed(a, -EBUSY, SV_FAULT_OCCUPIED, "occupied by a mount that is not a volume");
	a = remove_volume("p");
	ck_assert(a->is_mounted);
	failed(a, -EBUSY, SV_FAULT_OCCUPIED, "covered by a mount that is not a volume");
	expect_outside();
	uncover("root/" ID);
	ck_assert(is_volume(ID));
	a = sync_keys("a=2");
	ck_assert(!a->covered);
	succeeded(a);
	succeeded(remove_volume("p"));
	expect_root("by-name/ 0750 0\npods/ 0750 0");
}
END_TEST

START_TEST(a_mount_above_a_volume_is_not_passed)
{
	make_outside();
	succeed_keys("a=1");
	bind("outside", "root/pods/u");
	failed(sync_keys("a=2"), -EBUSY, SV_FAULT_OCCUPIED, "'pods/u' is occupied by a mount");
	failed(remove_volume("p"), -EBUSY, SV_FAULT_OCCUPIED, "covered by a mount");
	ck_assert(mounted);
	expect_outside();
	uncover("root/pods/u");
	succeed_keys("a=2");
	succeeded(remove_volume("p"));
}
END_TEST

START_TEST(a_volume_that_was_moved_is_brought_back)
{
	struct stat before, after;
	struct sv_action *a;

	succeed_keys("a=1");
	ck_assert_int_eq(fstatat(node.root_fd, ID, &before, 0), 0);
	ck_assert_int_eq(renameat(node.root_fd, "pods/u", node.root_fd, "pods/hidden"), 0);
	succeed_keys("a=2");
	ck_assert_int_eq(fstatat(node.root_fd, ID, &after, 0), 0);
	ck_assert_uint_eq(after.st_dev, before.st_dev); /* the one that containers see */
	ck_assert_int_ne(faccessat(node.root_fd, "pods/hidden", F_OK, 0), 0);
	ck_assert_int_eq(renameat(node.root_fd, "pods/u", node.root_fd, "hidden"), 0);
	a = remove_volume("p");
	ck_assert(!a->is_mounted);
	succeeded(a);
	expect_root("by-name/ 0750 0\npods/ 0750 0");
}
END_TEST

START_TEST(in_a_root_that_cannot_be_reached_nothing_is_published)
{
	make_outside();
	succeed_keys("a=1");
	bind("outside", "root");
	failed(sync_keys("a=2"), -EBUSY, SV_FAULT_OCCUPIED, "something is mounted over it");
	expect_outside();
	uncover("root");
	bind("root", "root"); /* as it was, and yet another mount */
	failed(sync_keys("a=2"), -EBUSY, SV_FAULT_OCCUPIED, "something is mounted over it");
	uncover("root");
	ck_assert_int_eq(renameat(t_dirfd, "root", t_dirfd, "away"), 0);
	failed(sync_keys("a=2"), -EBUSY, SV_FAULT_OCCUPIED, "has been moved away");
	ck_assert_int_eq(renameat(t_dirfd, "away", t_dirfd, "root"), 0);
	succeed_keys("a=2");
}
END_TEST

static const struct {
	const char *path;
	uid_t uid;
	mode_t mode;
} foreign_dirs[] = {
	{ "pods", 5, 0755 },
	{ "pods/u", 0, 0770 },
	{ "pods/u/volumes", 0, 0702 },
	{ ID, 5, 0700 },
};

START_TEST(a_directory_of_others_is_not_used)
{
	const char *path = foreign_dirs[_i].path;

	close(sv_open_dirs(node.root_fd, path, 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(fchmodat(node.root_fd, path, foreign_dirs[_i].mode, 0), 0);
	ck_assert_int_eq(fchownat(node.root_fd, path, foreign_dirs[_i].uid, 0, 0), 0);
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "not owned by root, or others");
	ck_assert(!is_volume(ID));
	close(sv_open_dirs(node.root_fd, path, 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(fchownat(node.root_fd, path, 0, 0, 0), 0);
	ck_assert_int_eq(fchmodat(node.root_fd, path, 0750, 0), 0);
	succeed_keys("a=1");
}
END_TEST

static const char *const open_dirs[] = { "pods", DIR_OF("u"), ID, "by-name/default/p" };

START_TEST(a_directory_that_others_may_read_is_closed)
{
	sv_autoclose int fd =
		sv_open_dirs(node.root_fd, open_dirs[_i], 0750, (gid_t)-1, false, NULL);
	struct stat st;

	ck_assert_int_eq(fchmod(fd, 0755), 0);
	succeed_keys("a=1");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
}
END_TEST

static const char *const beginnings[] = { "pods", "pods/u", "pods/u/volumes", DIR_OF("u"), ID };

/* However much of the path is there: another volume of the Pod may be. */
START_TEST(what_is_missing_above_a_volume_is_made_whatever_the_umask)
{
	static const char *const dirs[] = {
		"pods",    "pods/u",          "pods/u/volumes",   DIR_OF("u"),
		"by-name", "by-name/default", "by-name/default/p"
	};
	struct stat st;
	size_t i;

	close(sv_open_dirs(node.root_fd, beginnings[_i], 0750, (gid_t)-1, false, NULL));
	umask(0777);
	succeed_keys("a=1");
	for (i = 0; i < SV_ARRAY_SIZE(dirs); i++) {
		ck_assert_int_eq(fstatat(node.root_fd, dirs[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_msg((st.st_mode & 07777) == 0750, "%s: %04o", dirs[i], st.st_mode);
	}
}
END_TEST

/* ---- after a restart --------------------------------------------------------------------------------------- */

static int add(void *arg, struct sv_adopted *found)
{
	sv_buf_printf(arg, "%s%s %s %s/%s", ((struct sv_buf *)arg)->len ? "\n" : "", found->id,
		      sv_medium_name(found->medium), found->ns, found->pod);
	return 0;
}

static void expect_adopted(const char *want);

START_TEST(a_restart_does_not_sweep_what_is_mounted_above_volumes)
{
	make_outside();
	ck_assert_int_eq(mkdirat(t_dirfd, "outside/empty/within", 0755), 0);
	ck_assert_int_eq(symlinkat("nowhere", t_dirfd, "outside/empty/link"), 0);
	close(sv_open_dirs(node.root_fd, "pods/u", 0750, (gid_t)-1, false, NULL));
	close(sv_open_dirs(node.root_fd, "by-name/default", 0750, (gid_t)-1, false, NULL));
	bind("outside", "root/pods/u");
	bind("outside", "root/by-name/default");
	expect_adopted("");
	uncover("root/pods/u");
	uncover("root/by-name/default");
	bind("outside", "root/pods");
	bind("outside", "root/by-name");
	expect_adopted("");
	ck_assert_int_eq(faccessat(t_dirfd, "outside/empty/within", F_OK, 0), 0);
	ck_assert_int_eq(faccessat(t_dirfd, "outside/empty/link", F_OK, AT_SYMLINK_NOFOLLOW), 0);
}
END_TEST

START_TEST(a_restart_finds_what_was_covered_or_moved)
{
	sv_autofree char *want = sv_asprintf(ID " %s default/p", sv_medium_name(node.medium));

	make_outside();
	succeed_keys("a=1");
	bind("outside", "root/" ID);
	expect_adopted(want);
	uncover("root/" ID);
	bind("outside", "root/pods");
	expect_adopted(want);
	uncover("root/pods");
	ck_assert_int_eq(renameat(node.root_fd, "pods/u", node.root_fd, "pods/hidden"), 0);
	expect_adopted(want);
	expect_outside();
}
END_TEST

/* Whole, with a volume's flags, at a volume's path: and yet somebody's. */
START_TEST(a_file_system_without_the_mark_is_not_adopted)
{
	const struct sv_tmpfs_opts opts = {
		.medium = SV_MEDIUM_TMPFS, .size = 1 << 20, .mode = 01777, .gid = -1
	};
	sv_autoclose int mnt = sv_tmpfs_new(&opts, NULL);
	sv_autoclose int target = sv_open_dirs(node.root_fd, ID, 0750, (gid_t)-1, false, NULL);

	t_write(mnt, "precious", "x");
	ck_assert_int_eq(sv_tmpfs_attach(mnt, target, NULL), 0);
	expect_adopted("");
	failed(sync_keys("a=1"), -EBUSY, SV_FAULT_OCCUPIED, "a mount that is not a volume");
	mounted = true;
	succeeded(remove_volume("p"));
	expect_volume("precious 0644 0 =x");
}
END_TEST

static void expect_adopted(const char *want)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };

	sv_buf_puts(&b, "");
	ck_assert_msg(sv_node_adopt(&node, add, &b, &err) == 0, "%s", err.msg);
	ck_assert_str_eq(b.ptr, want);
}

START_TEST(a_restart_finds_what_is_mounted)
{
	sv_autofree char *want = NULL;

	expect_adopted("");
	succeeded(sync_keys("a=1"));
	sv_node_close(&node); /* mounts outlive us */
	open_node();
	want = sv_asprintf(ID " %s default/p", sv_medium_name(node.medium));
	expect_adopted(want);
	generation = 0; /* a new life does not know the number, but the name does */
	succeeded(sync_keys("a=1"));
	ck_assert_uint_eq(generation, 1);
	generation = 0;
	succeeded(sync_keys("a=2"));
	ck_assert_uint_eq(generation, 2);
}
END_TEST

static int remember(void *arg, struct sv_adopted *found)
{
	struct sv_adopted *ret = arg;

	*ret = *found;
	found->old = NULL;
	return 0;
}

START_TEST(a_restart_reads_what_a_volume_holds)
{
	struct sv_adopted found = { 0 };
	struct sv_err err = { "" };
	struct sv_action *a;
	int64_t born_ms;
	struct stat st;

	a = sync_keys("a=1");
	ck_assert_int_eq(a->result, 0);
	born_ms = a->born_ms;
	sv_action_free(a);
	a = sync_keys("a=2");
	ck_assert_int_eq(a->result, 0);
	ck_assert_int_eq(sv_node_adopt(&node, remember, &found, &err), 0);
	ck_assert_int_eq(found.current_ms, a->current_ms); /* as it was told before */
	ck_assert_int_eq(found.born_ms, born_ms);
	sv_action_free(a);
	ck_assert_uint_eq(found.generation, 2);
	ck_assert_uint_eq(found.n_old, 1);
	ck_assert_int_eq(strncmp(found.old[0].data_dir, "..2", 3), 0);
	ck_assert_int_eq(fstatat(node.root_fd, ID "/..data", &st, 0), 0);
	ck_assert_int_eq(found.current_ms / 1000, st.st_mtim.tv_sec);
	ck_assert_int_le(found.born_ms, found.current_ms);
	ck_assert_int_gt(found.born_ms, found.current_ms - 60000);
	free(found.old);

	ck_assert_int_eq(mount("proc", "/mnt/root/" ID, "proc", 0, NULL), 0);
	ck_assert_int_eq(sv_node_adopt(&node, remember, &found, &err), 0);
	ck_assert_uint_eq(found.generation, 0);
	ck_assert_ptr_null(found.old);
	ck_assert_int_eq(umount2("/mnt/root/" ID, 0), 0);
}
END_TEST

/* Its Pod was renamed, and the daemon ended before the first link went: one is as good as the other. */
START_TEST(a_restart_leaves_one_name_to_a_volume)
{
	int n;

	succeeded(sync_keys("a=1"));
	close(sv_open_dirs(node.root_fd, "by-name/default/q", 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(symlinkat("../../../" ID, node.root_fd, "by-name/default/q/v"), 0);
	{
		struct sv_adopted found = { 0 };
		struct sv_err err = { "" };

		ck_assert_int_eq(sv_node_adopt(&node, remember, &found, &err), 0);
	}
	n = (faccessat(node.root_fd, "by-name/default/p/v", F_OK, 0) == 0) +
	    (faccessat(node.root_fd, "by-name/default/q/v", F_OK, 0) == 0);
	ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(a_restart_sweeps_what_leads_nowhere)
{
	succeeded(sync_keys("a=1"));
	close(sv_open_dirs(node.root_fd, DIR_OF("gone") "/v", 0750, (gid_t)-1, false, NULL));
	close(sv_open_dirs(node.root_fd, DIR_OF("u") "/gone", 0750, (gid_t)-1, false, NULL));
	close(sv_open_dirs(node.root_fd, "by-name/other/q", 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(
		symlinkat("../../../" DIR_OF("gone") "/v", node.root_fd, "by-name/other/q/v"), 0);
	ck_assert_int_eq(symlinkat("x", node.root_fd, "by-name/default/p/stale"), 0);
	close(sv_open_dirs(node.root_fd, DIR_OF("kept") "/v", 0750, (gid_t)-1, false, NULL));
	t_write(node.root_fd, DIR_OF("kept") "/v/precious", "x");
	{
		sv_autobuf struct sv_buf b = { 0 };
		struct sv_err err = { "" };

		ck_assert_int_eq(sv_node_adopt(&node, add, &b, &err), 0);
	}
	ck_assert_int_ne(faccessat(node.root_fd, "pods/gone", F_OK, 0), 0);
	ck_assert_int_ne(faccessat(node.root_fd, DIR_OF("u") "/gone", F_OK, 0), 0);
	ck_assert_int_ne(faccessat(node.root_fd, "by-name/other", F_OK, 0), 0);
	ck_assert_int_ne(
		faccessat(node.root_fd, "by-name/default/p/stale", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(faccessat(node.root_fd, DIR_OF("kept") "/v/precious", F_OK, 0), 0);
	ck_assert_int_eq(faccessat(node.root_fd, "by-name/default/p/v/a", F_OK, 0), 0);
	ck_assert(is_volume(ID));
}
END_TEST

START_TEST(mounts_of_others_are_not_adopted)
{
	close(sv_open_dirs(node.root_fd, DIR_OF("a") "/v", 0750, (gid_t)-1, false, NULL));
	close(sv_open_dirs(node.root_fd, "pods/b/volumes/kubernetes.io~empty-dir/v", 0750,
			   (gid_t)-1, false, NULL));
	close(sv_open_dirs(node.root_fd, DIR_OF("c") "/v", 0750, (gid_t)-1, false, NULL));
	ck_assert_int_eq(mount("proc", "/mnt/root/" DIR_OF("a") "/v", "proc", 0, NULL), 0);
	ck_assert_int_eq(mount("tmpfs", "/mnt/root/pods/b/volumes/kubernetes.io~empty-dir/v",
			       "tmpfs", 0, NULL),
			 0);
	/* at the right place, but writable: somebody else's */
	ck_assert_int_eq(mount("tmpfs", "/mnt/root/" DIR_OF("c") "/v", "tmpfs", 0, NULL), 0);
	expect_adopted("");
	ck_assert_int_eq(umount2("/mnt/root/" DIR_OF("a") "/v", 0), 0);
	ck_assert_int_eq(umount2("/mnt/root/" DIR_OF("c") "/v", 0), 0);
}
END_TEST

START_TEST(a_volume_without_a_name_is_adopted_all_the_same)
{
	sv_autofree char *want = sv_asprintf(ID " %s /", sv_medium_name(node.medium));
	struct sv_action *a;

	succeeded(sync_keys("a=1"));
	ck_assert_int_eq(sv_remove_tree(node.root_fd, "by-name", false), 0);
	expect_adopted(want);
	a = remove_volume("");
	ck_assert(!a->is_mounted);
	succeeded(a);
	expect_root("pods/ 0750 0");
}
END_TEST

static int stop(void *arg, struct sv_adopted *found)
{
	(void)found;
	++*(int *)arg;
	return -ENOMEM;
}

START_TEST(adopting_may_be_stopped)
{
	struct sv_err err = { "" };
	int n = 0;

	succeeded(sync_keys("a=1"));
	mounted = false;
	succeeded(sync_at(DIR_OF("u") "/w", "p", plan_of("a=1", "")));
	ck_assert_int_eq(sv_node_adopt(&node, stop, &n, &err), -ENOMEM);
	ck_assert_int_eq(n, 1);
	ck_assert_str_ne(err.msg, "");
}
END_TEST

static void *carry_out(void *action)
{
	sv_volume_carry_out(&node, action);
	return NULL;
}

/* Two workers carry them out, and both succeed. */
static void side_by_side(struct sv_action *a, struct sv_action *b)
{
	pthread_t threads[2];

	ck_assert_int_eq(pthread_create(&threads[0], NULL, carry_out, a), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, carry_out, b), 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	succeeded(a);
	succeeded(b);
}

/* A Pod replaces another of its name: one volume comes while the other one goes. */
START_TEST(a_name_leads_to_the_new_volume_however_the_old_one_goes)
{
	int i;

	for (i = 0; i < 600; i++) {
		sv_autofree char *id = sv_asprintf("pods/u%d/volumes/kubernetes.io~secret/v", i);
		sv_autofree char *next_id =
			sv_asprintf("pods/u%d/volumes/kubernetes.io~secret/v", i + 1);
		sv_autofree char *want = sv_asprintf("../../../%s", next_id), *link = NULL;
		struct sv_action *old, *new;

		if (i == 0)
			succeeded(sync_at(id, "p", plan_of("k=1", "")));
		mounted = true;
		old = make_action(SV_ACTION_REMOVE, id, "p");
		mounted = false;
		new = make_action(SV_ACTION_SYNC, next_id, "p");
		new->plan = plan_of("k=2", "");
		side_by_side(old, new);
		link = t_link(node.root_fd, "by-name/default/p/v");
		ck_assert_pstr_eq(link, want);
	}
}
END_TEST

/* It takes the directories that are empty along. */
START_TEST(a_volume_is_made_while_the_one_beside_it_goes)
{
	static const char *const ids[] = { DIR_OF("u") "/a", DIR_OF("u") "/b" };
	int i;

	succeeded(sync_at(ids[0], "p", plan_of("k=1", "")));
	for (i = 0; i < 1000; i++) {
		struct sv_action *old, *new;

		mounted = true;
		old = make_action(SV_ACTION_REMOVE, ids[i % 2], "p");
		mounted = false;
		new = make_action(SV_ACTION_SYNC, ids[(i + 1) % 2], "p");
		new->plan = plan_of("k=2", "");
		side_by_side(old, new);
		ck_assert(is_volume(ids[(i + 1) % 2]));
	}
}
END_TEST

START_TEST(a_late_update_does_not_take_a_name_from_the_new_volume)
{
	sv_autofree char *link = NULL;

	succeeded(sync_at(DIR_OF("u") "/v", "p", plan_of("k=1", "")));
	mounted = false;
	succeeded(sync_at(DIR_OF("new") "/v", "p", plan_of("k=2", "")));
	succeeded(sync_at(DIR_OF("u") "/v", "p", plan_of("k=3", "")));
	link = t_link(node.root_fd, "by-name/default/p/v");
	ck_assert_str_eq(link, "../../../" DIR_OF("new") "/v");
	mounted = true;
	succeeded(remove_volume("p"));
	free(link);
	link = t_link(node.root_fd, "by-name/default/p/v");
	ck_assert_str_eq(link, "../../../" DIR_OF("new") "/v");
}
END_TEST

T_SUITE(volume)
{
	T_AROUND(setup, teardown);
	T_TEST(a_root_directory_is_made_and_locked);
	T_TEST(parents_of_a_root_directory_are_made);
	T_TEST(a_root_directory_that_others_may_write_is_refused);
	T_TEST(a_root_directory_below_what_others_may_write_is_refused);
	T_TEST(a_volume_appears_complete);
	T_TEST(a_group_is_seen_from_the_start);
	T_TEST(an_update_is_written_into_the_same_mount);
	T_TEST(what_is_as_it_should_be_is_left_alone);
	T_TEST(a_volume_that_was_unmounted_is_made_anew);
	T_TEST(the_link_by_name_follows_the_pod);
	T_TEST(files_of_others_are_not_covered);
	T_TEST(a_mount_of_others_is_not_covered);
	T_TEST(a_file_is_not_replaced);
	T_TEST(a_link_is_not_followed);
	T_TEST(something_at_the_name_does_not_undo_the_volume);
	T_TEST(a_volume_without_room_fails_and_leaves_nothing);
	T_TEST(a_volume_has_the_room_of_a_limit_that_has_grown);
	T_TEST(ramfs_keeps_to_the_same_room);
	T_TEST(a_policy_that_cannot_be_met_is_a_refusal);
	T_TEST(an_unsafe_volume_is_not_written_to_under_require);
	T_TEST(old_generations_are_cleaned_up);
	T_TEST(what_resists_cleaning_is_told);
	T_TEST(what_is_covered_is_not_forgotten);
	T_TEST(a_removed_volume_leaves_nothing);
	T_TEST(what_others_keep_of_a_removed_volume_holds_no_secret);
	T_TEST(other_volumes_and_names_stay);
	T_TEST(a_name_that_another_pod_has_taken_stays);
	T_TEST(a_mount_of_others_is_not_taken_down);
	T_TEST(files_of_others_are_not_removed);
	T_TEST(a_covered_volume_is_still_there);
	T_TEST(a_mount_above_a_volume_is_not_passed);
	T_TEST(a_volume_that_was_moved_is_brought_back);
	T_TEST(in_a_root_that_cannot_be_reached_nothing_is_published);
	T_EACH(a_directory_of_others_is_not_used, foreign_dirs);
	T_EACH(a_directory_that_others_may_read_is_closed, open_dirs);
	T_EACH(what_is_missing_above_a_volume_is_made_whatever_the_umask, beginnings);
	T_TEST(a_restart_does_not_sweep_what_is_mounted_above_volumes);
	T_TEST(a_restart_finds_what_was_covered_or_moved);
	T_TEST(a_file_system_without_the_mark_is_not_adopted);
	T_TEST(a_restart_finds_what_is_mounted);
	T_TEST(a_restart_reads_what_a_volume_holds);
	T_TEST(a_restart_leaves_one_name_to_a_volume);
	T_TEST(a_restart_sweeps_what_leads_nowhere);
	T_TEST(mounts_of_others_are_not_adopted);
	T_TEST(a_volume_without_a_name_is_adopted_all_the_same);
	T_TEST(adopting_may_be_stopped);
	T_TEST(a_name_leads_to_the_new_volume_however_the_old_one_goes);
	T_TEST(a_volume_is_made_while_the_one_beside_it_goes);
	T_TEST(a_late_update_does_not_take_a_name_from_the_new_volume);
}
