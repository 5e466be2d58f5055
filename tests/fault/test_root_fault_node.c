/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call and allocation of an action fails once, and from then on. Whatever fails: no
 * half volume is seen, the result says what is there, nothing leaks, and the next try succeeds.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../../lib/node/atomic_writer.h"
#include "../../lib/node/fsutil.h"
#include "../../lib/node/volume.h"
#include "../support/support.h"
#include "fault.h"

#define ID "pods/u/volumes/kubernetes.io~secret/v"
#define OTHER_ID "pods/u2/volumes/kubernetes.io~projected/v"
#define LIMIT (1 << 20)

#define OLD "a=old same=1 gone=2 nested=5"
#define NEW "a=newer same=1 come=3 more=4"

/* Every kind of thing that a plan can ask for: a group, directories, a nested mountpoint. */
#define POD                                                               \
	"metadata: {name: p, uid: u}\n"                                   \
	"spec:\n"                                                         \
	"  securityContext: {fsGroup: 1234}\n"                            \
	"  volumes:\n"                                                    \
	"  - name: v\n"                                                   \
	"    projected:\n"                                                \
	"      sources:\n"                                                \
	"      - secret: {name: s}\n"                                     \
	"      - secret: {name: s, items: [{key: a, path: sub/dir/a}]}\n" \
	"  - {name: other, secret: {secretName: s}}\n"                    \
	"  containers:\n"                                                 \
	"  - name: c\n"                                                   \
	"    image: i\n"                                                  \
	"    volumeMounts:\n"                                             \
	"    - {name: v, mountPath: /m}\n"                                \
	"    - {name: other, mountPath: %s}\n"
#define NESTED "/m/nested/deep" /* the new Pod has a mountpoint where the old one had a file */

static struct sv_node node;
static bool mounted; /* what the record would say */
static uint64_t generation;
static char *old_data, *new_data; /* the trees below ..data */
static char *old_tree, *new_tree; /* of the whole volume */

static struct sv_plan *plan_of(const char *keys)
{
	sv_autosecret struct sv_secret *secret = t_secret("s", keys);
	sv_autofree char *text = sv_asprintf(POD, strstr(keys, "nested") ? "/elsewhere" : NESTED);
	sv_autopod struct sv_pod *pod = t_pod_yaml(text);
	struct sv_secret *secrets[] = { secret, NULL };

	return t_plan(pod, "v", secrets);
}

static void open_node(void)
{
	sv_autofree char *root = sv_asprintf("%s/root", t_dir);
	struct sv_err err = { "" };

	ck_assert_msg(sv_node_open(root, &node, &err) == 0, "%s", err.msg);
	node.policy = SV_SWAP_IGNORE;
	node.medium = SV_MEDIUM_TMPFS;
}

static struct sv_action *make_action(enum sv_action_kind kind, const char *id)
{
	struct sv_action *a = calloc(1, sizeof(*a));

	ck_assert_ptr_nonnull(a);
	a->kind = kind;
	a->id = strdup(id);
	a->ns = strdup("default");
	a->pod = strdup(strcmp(id, ID) == 0 ? "p" : "p2");
	a->volume = strdup("v");
	a->mounted = a->is_mounted = mounted;
	a->generation = generation + 1;
	a->size_limit = LIMIT;
	a->medium = mounted ? node.medium : SV_MEDIUM_UNKNOWN;
	a->wipe = true;
	return a;
}

static struct sv_action *sync_action(const char *id, const char *keys)
{
	struct sv_action *a = make_action(SV_ACTION_SYNC, id);

	a->plan = plan_of(keys);
	return a;
}

/* What the record learns. */
static void take(const struct sv_action *a)
{
	mounted = a->is_mounted;
	if (a->result == 0 && a->kind == SV_ACTION_SYNC)
		generation = a->current;
	if (!mounted)
		generation = 0;
}

static void carried_out(struct sv_action *a)
{
	sv_volume_carry_out(&node, a);
	ck_assert_msg(a->result == 0, "after %s: %s", fault_text(), a->err.msg);
	take(a);
	sv_action_free(a);
}

static int open_at(const char *path)
{
	return openat(node.root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool is_volume(const char *id)
{
	sv_autoclose int fd = open_at(id);

	return fd >= 0 && sv_tmpfs_is_volume(fd, id) == 1;
}

static bool leads_to_mount(const char *path)
{
	sv_autoclose int fd = open_at(path);

	return fd >= 0 && sv_tmpfs_is_mount(fd) == 1;
}

/* A volume, or ..data in it; old generations are left out: "..GEN" is the name of them all. */
static char *tree_at(const char *path)
{
	sv_autoclose int fd = open_at(path);

	ck_assert_msg(fd >= 0, "%s after %s: %s", path, fault_text(), strerror(errno));
	return t_tree(fd);
}

static size_t count_generations(void)
{
	sv_autoclose int fd = open_at(ID);
	struct dirent *e;
	size_t n = 0;
	DIR *dir;

	ck_assert_int_ge(fd, 0);
	dir = fdopendir(dup(fd));
	while ((e = readdir(dir)))
		n += e->d_type == DT_DIR && strncmp(e->d_name, "..2", 3) == 0;
	closedir(dir);
	return n;
}

static void remove_now(void)
{
	carried_out(make_action(SV_ACTION_REMOVE, ID));
	ck_assert(!is_volume(ID));
}

/* A clean volume with these keys; its trees. */
static void learn(const char *keys, char **tree, char **data)
{
	carried_out(sync_action(ID, keys));
	*tree = tree_at(ID);
	*data = tree_at(ID "/..data");
	remove_now();
}

static void setup(void)
{
	t_enter_place();
	umask(077); /* the hardest: no mode comes by itself */
	open_node();
	learn(OLD, &old_tree, &old_data);
	learn(NEW, &new_tree, &new_data);
	ck_assert_str_ne(old_data, new_data);
}

static void teardown(void)
{
	sv_node_close(&node);
	free(old_tree);
	free(old_data);
	free(new_tree);
	free(new_data);
	t_leave_place();
}

/* ---- one run --------------------------------------------------------------------------------- */

/*
 * Trouble of the node is told as that: neither the input is blamed for it, nor a neighbour, unless
 * something is in the way (@occupied) as well.
 */
static void reason_is_true(const struct sv_action *a, bool occupied)
{
	if (a->result == 0)
		return;
	ck_assert_msg(*a->err.msg, "no text after %s", fault_text());
	if (occupied && a->fault == SV_FAULT_OCCUPIED)
		return;
	ck_assert_msg(a->result < 0 && a->fault != SV_FAULT_OCCUPIED && a->fault != SV_FAULT_SWAP,
		      "%d, fault %d: %s after %s", a->result, a->fault, a->err.msg, fault_text());
	ck_assert_msg(a->result == -fault_errno(), "%d: %s after %s", a->result, a->err.msg,
		      fault_text());
	ck_assert_msg(strstr(a->err.msg, strerror(fault_errno())) ||
			      strstr(a->err.msg, "out of memory"),
		      "%s after %s", a->err.msg, fault_text());
}

static void strike(const struct fault_loop *loop, struct sv_action *a)
{
	fault_on(loop);
	sv_volume_carry_out(&node, a);
	fault_off();
	take(a);
	/* what the result says is true */
	ck_assert_msg(a->is_mounted == is_volume(a->id), "is_mounted is %d after %s", a->is_mounted,
		      fault_text());
	reason_is_true(a, false);
	if (fault_is_harmless())
		ck_assert_msg(a->result == 0, "%s after %s", a->err.msg, fault_text());
}

/* Every file of a generation can be read through the volume's links, with its own content. */
static void links_lead_to(const char *keys)
{
	sv_autofree char *copy = strdup(keys);
	sv_autoclose int fd = open_at(ID);
	char *save = NULL, *word;

	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		sv_autofree char *found = NULL;

		*value++ = '\0';
		found = t_read(fd, word);
		ck_assert_msg(found && strcmp(found, value) == 0, "%s is not seen after %s", word,
			      fault_text());
	}
}

/* What is mounted is one generation or the other, and a success is the new one. */
static void is_whole(const struct sv_action *a)
{
	sv_autofree char *data = tree_at(ID "/..data");

	if (strcmp(data, new_data) != 0) {
		ck_assert_msg(old_data && strcmp(data, old_data) == 0,
			      "neither old nor new after %s:\n%s", fault_text(), data);
		ck_assert_msg(a->result != 0, "still the old one after %s", fault_text());
		ck_assert_msg(!a->changed, "says it changed after %s", fault_text());
		links_lead_to(OLD);
	}
	if (a->result == 0) {
		links_lead_to(NEW);
		ck_assert_msg(a->listed && a->n_old + 1 == count_generations(),
			      "%zu old generations are not all after %s", a->n_old, fault_text());
	}
}

/* Removes every old generation, and then the volume is as if made now. */
static void clean_all(void)
{
	struct sv_action *sync = sync_action(ID, NEW), *a;
	sv_autofree char *tree = NULL;

	sv_volume_carry_out(&node, sync);
	ck_assert_msg(sync->result == 0, "after %s: %s", fault_text(), sync->err.msg);
	take(sync);
	if (sync->n_old > 0) {
		a = make_action(SV_ACTION_CLEAN, ID);
		a->clean = SV_TAKE(sync->old);
		a->n_clean = sync->n_old;
		carried_out(a);
	}
	sv_action_free(sync);
	tree = tree_at(ID);
	ck_assert_msg(strcmp(tree, new_tree) == 0, "after %s:\n%s\nbut wanted:\n%s", fault_text(),
		      tree, new_tree);
}

static void nothing_is_left(void)
{
	sv_autofree char *tree = t_tree(node.root_fd);

	ck_assert_msg(strcmp(tree, "by-name/ 0750 0\npods/ 0750 0") == 0, "after %s:\n%s",
		      fault_text(), tree);
}

/* ---- publishing, cleaning, removing ---------------------------------------------------------- */

static void make_target(void)
{
	sv_autoclose int fd = sv_open_dirs(node.root_fd, ID, 0750, (gid_t)-1, false, NULL);

	ck_assert_int_ge(fd, 0);
}

/* @there: an empty directory stands at the volume's path, as a crash may leave it. */
static void publish_loop(bool there)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a = sync_action(ID, NEW);

		if (there)
			make_target();
		strike(&loop, a);
		if (a->is_mounted)
			is_whole(a);
		else
			ck_assert_msg(a->result < 0 && !a->changed, "%d after %s", a->result,
				      fault_text());
		sv_action_free(a);
		carried_out(sync_action(ID, NEW));
		clean_all();
		remove_now();
		nothing_is_left();
		fault_no_leaks();
	}
	fault_enough(&loop, 100);
}

START_TEST(a_first_publication_is_whole_or_not_there)
{
	publish_loop(false);
}
END_TEST

START_TEST(a_first_publication_on_ramfs_is_whole_or_not_there)
{
	node.medium = SV_MEDIUM_RAMFS;
	publish_loop(false);
}
END_TEST

/* What is used where the kernel has it. */
static bool uses_default_medium(void)
{
	node.policy = SV_SWAP_AVOID;
	ck_assert_int_eq(sv_tmpfs_choose(node.policy, &node.medium, NULL), 0);
	return node.medium == SV_MEDIUM_TMPFS_NOSWAP;
}

START_TEST(a_first_publication_without_swap_is_whole_or_not_there)
{
	if (uses_default_medium())
		publish_loop(false);
}
END_TEST

START_TEST(a_first_publication_on_a_directory_is_whole_or_not_there)
{
	publish_loop(true);
}
END_TEST

static void update_loop(void)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		sv_autofree char *data = NULL;
		struct sv_action *a;

		carried_out(sync_action(ID, OLD));
		a = sync_action(ID, NEW);
		a->size_limit = 2 * LIMIT; /* it gets more room as well */
		strike(&loop, a);
		ck_assert_msg(a->is_mounted, "lost after %s", fault_text());
		is_whole(a);
		data = tree_at(ID "/..data");
		/* what failed once can be taken back */
		if (!loop.lasting && strcmp(data, new_data) != 0)
			ck_assert_msg(count_generations() == 1, "half a generation after %s",
				      fault_text());
		sv_action_free(a);
		carried_out(sync_action(ID, NEW));
		links_lead_to(NEW);
		clean_all();
		remove_now();
		nothing_is_left();
		free(SV_TAKE(data));
		fault_no_leaks();
	}
	fault_enough(&loop, 150);
}

START_TEST(an_update_leaves_the_old_generation_or_the_new_one)
{
	update_loop();
}
END_TEST

START_TEST(an_update_on_ramfs_leaves_the_old_generation_or_the_new_one)
{
	node.medium = SV_MEDIUM_RAMFS;
	update_loop();
}
END_TEST

START_TEST(an_update_without_swap_leaves_the_old_generation_or_the_new_one)
{
	if (uses_default_medium())
		update_loop();
}
END_TEST

static struct sv_action *group_action(int64_t gid)
{
	struct sv_action *a = sync_action(ID, NEW);

	a->plan->fs_group = gid;
	return a;
}

static void belongs_to(gid_t gid)
{
	sv_autoclose int fd = open_at(ID), data = open_at(ID "/..data");
	struct stat root, dir, file;

	ck_assert_int_eq(fstat(fd, &root), 0);
	ck_assert_int_eq(fstat(data, &dir), 0);
	ck_assert_int_eq(fstatat(fd, "a", &file, 0), 0);
	ck_assert_msg(root.st_gid == gid && dir.st_gid == gid && file.st_gid == gid,
		      "groups %u, %u, %u after %s", root.st_gid, dir.st_gid, file.st_gid,
		      fault_text());
}

START_TEST(another_group_is_that_of_all_files_or_it_is_said)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a;

		carried_out(sync_action(ID, NEW));
		a = group_action(4321);
		strike(&loop, a);
		ck_assert_msg(a->is_mounted, "lost after %s", fault_text());
		links_lead_to(NEW);
		if (a->result == 0)
			belongs_to(4321);
		sv_action_free(a);
		carried_out(group_action(4321));
		belongs_to(4321);
		remove_now();
		nothing_is_left();
		fault_no_leaks();
	}
	fault_enough(&loop, 150);
}
END_TEST

START_TEST(a_sync_without_a_change_fails_or_changes_nothing)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	carried_out(sync_action(ID, NEW));
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a = sync_action(ID, NEW);

		strike(&loop, a);
		ck_assert_msg(a->is_mounted, "lost after %s", fault_text());
		is_whole(a);
		links_lead_to(NEW);
		sv_action_free(a);
		carried_out(sync_action(ID, NEW));
		clean_all();
		fault_no_leaks();
	}
	fault_enough(&loop, 50);
	remove_now();
}
END_TEST

START_TEST(a_link_that_leads_elsewhere_is_replaced_or_stays)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	carried_out(sync_action(ID, NEW));
	fault_note_use();
	FAULT_EACH(loop)
	{
		sv_autoclose int dir = open_at("by-name/default/p");
		struct sv_action *a = sync_action(ID, NEW);
		sv_autofree char *before = NULL, *after = NULL;

		ck_assert_int_eq(unlinkat(dir, "v", 0), 0);
		ck_assert_int_eq(symlinkat("../../../elsewhere", dir, "v"), 0);
		strike(&loop, a);
		before = t_link(dir, "v");
		ck_assert_msg(
			before && (strcmp(before, "../../../" ID) == 0 ||
				   (a->result < 0 && strcmp(before, "../../../elsewhere") == 0)),
			"%s after %s", before, fault_text());
		sv_action_free(a);
		clean_all();
		after = t_tree(dir);
		ck_assert_msg(strcmp(after, "v -> ../../../" ID) == 0, "%s after %s", after,
			      fault_text());
	}
	fault_no_leaks();
	fault_enough(&loop, 50);
	remove_now();
	nothing_is_left();
}
END_TEST

START_TEST(a_file_that_leads_elsewhere_is_mended_or_it_is_said)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	carried_out(sync_action(ID, NEW));
	fault_note_use();
	FAULT_EACH(loop)
	{
		int fd = open_at(ID), root = sv_tmpfs_open_rw(fd, NULL);
		struct sv_action *a = sync_action(ID, NEW);

		ck_assert_int_eq(unlinkat(root, "same", 0), 0);
		ck_assert_int_eq(symlinkat("..data/nothing", root, "same"), 0);
		close(root);
		close(fd);
		strike(&loop, a);
		if (a->result == 0)
			links_lead_to(NEW);
		sv_action_free(a);
		clean_all();
	}
	fault_no_leaks();
	fault_enough(&loop, 50);
	remove_now();
}
END_TEST

START_TEST(a_name_that_another_volume_has_by_now_is_left_to_it)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	carried_out(sync_action(OTHER_ID, NEW));
	mounted = false;
	generation = 0;
	carried_out(sync_action(ID, NEW));
	fault_note_use();
	FAULT_EACH(loop)
	{
		sv_autoclose int dir = open_at("by-name/default/p");
		struct sv_action *a = sync_action(ID, NEW);
		sv_autofree char *link = NULL;

		ck_assert_int_eq(unlinkat(dir, "v", 0), 0);
		ck_assert_int_eq(symlinkat("../../../" OTHER_ID, dir, "v"), 0);
		strike(&loop, a);
		link = t_link(dir, "v");
		ck_assert_msg(strcmp(link, "../../../" OTHER_ID) == 0, "%s after %s", link,
			      fault_text());
		sv_action_free(a);
		clean_all();
	}
	fault_no_leaks();
	fault_enough(&loop, 50);
}
END_TEST

START_TEST(a_generation_of_a_name_that_is_taken_is_not_harmed)
{
	/* without random numbers, names repeat within a second */
	const struct fault_loop no_random = { .scope = FAULT_ALL, .call = 1, .lasting = true };
	sv_autoplan struct sv_plan *first = plan_of(OLD), *second = plan_of(NEW);
	sv_autofree char *tree = NULL;
	int i, r = 0;

	ck_assert_int_eq(mkdirat(t_dirfd, "w", 0700), 0);
	for (i = 0; i < 5; i++) { /* the clock may tick in between */
		sv_autoclose int fd = openat(t_dirfd, "w", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct sv_written w = { 0 };

		fault_on(&no_random);
		r = sv_atomic_write(fd, first, 7, false, &w, NULL);
		if (r == 0)
			r = sv_atomic_write(fd, second, 7, false, &w, NULL);
		fault_off();
		t_contains(fault_text(), "getrandom");
		sv_written_done(&w);
		if (r < 0)
			break;
	}
	ck_assert_int_eq(r, -EEXIST);
	tree = t_read(t_dirfd, "w/a");
	ck_assert_pstr_eq(tree, i ? "newer" : "old");
}
END_TEST

static bool exists(const char *data_dir)
{
	sv_autofree char *path = sv_asprintf(ID "/%s", data_dir);

	return faccessat(node.root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_listed(const struct sv_action *a, const char *data_dir)
{
	size_t i;

	for (i = 0; i < a->n_old; i++)
		if (strcmp(a->old[i].data_dir, data_dir) == 0)
			return true;
	return false;
}

START_TEST(what_a_clean_leaves_behind_is_listed)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a, *sync;
		size_t i;

		carried_out(sync_action(ID, OLD));
		carried_out(sync_action(ID, "a=between"));
		sync = sync_action(ID, NEW);
		sv_volume_carry_out(&node, sync);
		take(sync);
		ck_assert_uint_eq(sync->n_old, 2);
		a = make_action(SV_ACTION_CLEAN, ID);
		a->clean = SV_TAKE(sync->old);
		a->n_clean = 2;
		sv_action_free(sync);
		strike(&loop, a);
		ck_assert_msg(a->is_mounted, "lost after %s", fault_text());
		links_lead_to(NEW);
		for (i = 0; i < a->n_clean; i++)
			if (exists(a->clean[i].data_dir))
				ck_assert_msg(a->result < 0 && (a->n_old == 0 ||
								is_listed(a, a->clean[i].data_dir)),
					      "forgotten after %s", fault_text());
		sv_action_free(a);
		clean_all();
		remove_now();
		nothing_is_left();
		fault_no_leaks();
	}
	fault_enough(&loop, 50);
}
END_TEST

START_TEST(a_removal_that_failed_can_be_repeated)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a;

		carried_out(sync_action(ID, NEW));
		a = make_action(SV_ACTION_REMOVE, ID);
		strike(&loop, a);
		/* a link or a directory may be left when the mount has gone: then it says so */
		ck_assert_msg(!a->is_mounted || a->result != 0, "%d but mounted after %s",
			      a->result, fault_text());
		sv_action_free(a);
		if (loop.call % 2 == 0) { /* it may be wanted again meanwhile */
			carried_out(sync_action(ID, NEW));
			clean_all();
		}
		remove_now();
		nothing_is_left();
		fault_no_leaks();
	}
	fault_enough(&loop, 60);
}
END_TEST

/* ---- what others do to a volume --------------------------------------------------------------- */

#define HIDDEN "hidden/volumes/kubernetes.io~secret/v"

/* @there: somebody has made an empty directory where the volume was. */
static void move_away(bool there)
{
	ck_assert_int_eq(renameat(node.root_fd, "pods/u", node.root_fd, "hidden"), 0);
	if (there)
		make_target();
}

/* The directories are nobody's: what matters is that nothing is mounted there any more. */
static void nothing_is_hidden(void)
{
	if (strstr(fault_text(), "umount2") && strstr(fault_text(), "later")) {
		sv_autofree char *path = sv_asprintf("%s/root/" HIDDEN, t_dir);

		(void)umount2(path, 0); /* what could not be undone either */
	}
	ck_assert_msg(sv_remove_tree(node.root_fd, "hidden", false) == 0, "still mounted after %s",
		      fault_text());
	nothing_is_left();
}

/* As strike(), but the volume may be where it cannot be seen. */
static void strike_hidden(const struct fault_loop *loop, struct sv_action *a, bool occupied)
{
	fault_on(loop);
	sv_volume_carry_out(&node, a);
	fault_off();
	take(a);
	reason_is_true(a, occupied);
	ck_assert_msg(a->result != 0 || a->is_mounted == is_volume(a->id),
		      "is_mounted is %d after %s", a->is_mounted, fault_text());
}

START_TEST(a_volume_that_was_moved_is_brought_back_or_stays_there)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a;

		carried_out(sync_action(ID, OLD));
		move_away(loop.call % 2);
		a = sync_action(ID, NEW);
		strike_hidden(&loop, a, false);
		ck_assert_msg(a->is_mounted, "lost after %s", fault_text());
		ck_assert_msg(is_volume(ID) || leads_to_mount(HIDDEN), "gone after %s",
			      fault_text());
		if (is_volume(ID))
			is_whole(a);
		sv_action_free(a);
		carried_out(sync_action(ID, NEW));
		links_lead_to(NEW);
		remove_now();
		nothing_is_hidden();
		fault_no_leaks();
	}
	fault_enough(&loop, 150);
}
END_TEST

START_TEST(a_removal_of_a_volume_that_was_moved_can_be_repeated)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a;

		carried_out(sync_action(ID, NEW));
		move_away(loop.call % 2);
		a = make_action(SV_ACTION_REMOVE, ID);
		strike_hidden(&loop, a, false);
		ck_assert_msg(a->result < 0 || !leads_to_mount(HIDDEN), "forgotten after %s",
			      fault_text());
		sv_action_free(a);
		remove_now();
		nothing_is_hidden();
		fault_no_leaks();
	}
	fault_enough(&loop, 60);
}
END_TEST

START_TEST(a_volume_that_is_gone_is_made_anew_beside_others)
{
	sv_autofree char *path = sv_asprintf("%s/root/" ID, t_dir);

	carried_out(sync_action(OTHER_ID, OLD));
	mounted = false;
	generation = 0;
	carried_out(sync_action(ID, OLD));
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
	carried_out(sync_action(ID, NEW));
	links_lead_to(NEW);
	ck_assert(is_volume(OTHER_ID)); /* it was not taken for the one that is gone */
}
END_TEST

START_TEST(nothing_is_put_over_what_covers_a_volume)
{
	sv_autofree char *path = sv_asprintf("%s/root/" ID, t_dir);
	struct fault_loop loop = { .scope = FAULT_ALL };

	carried_out(sync_action(ID, OLD));
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a = sync_action(ID, NEW);

		if (loop.call % 2) {
			sv_action_free(a);
			a = make_action(SV_ACTION_REMOVE, ID);
		}
		ck_assert_int_eq(mount("cover", path, "tmpfs", 0, NULL), 0);
		strike_hidden(&loop, a, true);
		ck_assert_msg(a->result < 0 && a->is_mounted, "%d after %s", a->result,
			      fault_text());
		sv_action_free(a);
		ck_assert_int_eq(umount2(path, 0), 0);
		links_lead_to(OLD);
		fault_no_leaks();
	}
	fault_enough(&loop, 40);
	remove_now();
}
END_TEST

START_TEST(nothing_is_put_over_files_of_others)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	make_target();
	t_write(node.root_fd, ID "/precious", "x");
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a = sync_action(ID, NEW);
		sv_autofree char *seen = NULL;

		strike_hidden(&loop, a, true);
		ck_assert_msg(a->result < 0 && !a->is_mounted, "%d after %s", a->result,
			      fault_text());
		seen = t_read(node.root_fd, ID "/precious");
		ck_assert_msg(seen && strcmp(seen, "x") == 0, "covered after %s", fault_text());
		sv_action_free(a);
		free(SV_TAKE(seen));
		fault_no_leaks();
	}
	fault_enough(&loop, 100);
}
END_TEST

START_TEST(a_volume_that_was_made_writable_is_made_read_only_or_it_is_said)
{
	sv_autofree char *path = sv_asprintf("%s/root/" ID, t_dir);
	struct fault_loop loop = { .scope = FAULT_ALL };

	carried_out(sync_action(ID, NEW));
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_action *a = sync_action(ID, NEW);
		struct statvfs fs;

		ck_assert_int_eq(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
		strike(&loop, a);
		ck_assert_int_eq(statvfs(path, &fs), 0);
		ck_assert_msg(a->result < 0 || (fs.f_flag & ST_RDONLY), "writable after %s",
			      fault_text());
		sv_action_free(a);
		clean_all();
		fault_no_leaks();
	}
	fault_enough(&loop, 50);
	remove_now();
}
END_TEST

/* Deeper than one walk goes: what is below is lifted. */
static void make_deep(int levels)
{
	int at = dup(t_dirfd), i;

	for (i = 0; i < levels; i++) {
		int next;

		ck_assert(mkdirat(at, "deep", 0700) == 0 || errno == EEXIST);
		next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		close(at);
		at = next;
	}
	t_write(at, "f", "x");
	close(at);
}

static void remove_deep(const struct fault_loop *loop)
{
	int r;

	make_deep(70);
	fault_on(loop);
	r = sv_remove_tree(t_dirfd, "deep", false);
	fault_off();
	if (r == 0)
		ck_assert_msg(faccessat(t_dirfd, "deep", F_OK, 0) < 0, "still there after %s",
			      fault_text());
	else
		ck_assert_msg(r == -fault_errno() || r == -ENOTEMPTY, "%d after %s", r,
			      fault_text());
	r = sv_remove_tree(t_dirfd, "deep", false);
	ck_assert_msg(r == 0 || (r == -ENOENT && faccessat(t_dirfd, "deep", F_OK, 0) < 0),
		      "%d after %s", r, fault_text());
}

START_TEST(a_deep_tree_is_removed_or_it_is_said)
{
	const struct fault_loop none = { .scope = FAULT_ALL, .call = ~0U };
	struct fault_loop loop = { .scope = FAULT_ALL };

	fault_note_use();
	remove_deep(&none);
	fault_sample(&loop, 200);
	FAULT_EACH(loop)
	{
		remove_deep(&loop);
		fault_no_leaks();
	}
	fault_enough(&loop, 150);
}
END_TEST

/* A file with a hole on a file system that is full: it cannot be overwritten, only cut off. */
START_TEST(a_file_is_wiped_before_it_goes_or_it_is_said)
{
	sv_autofree char *small = sv_asprintf("%s/small", t_dir), *filling = t_repeat('x', 12288);
	struct fault_loop loop = { .scope = FAULT_ALL };
	int dir;

	ck_assert_int_eq(mkdir(small, 0700), 0);
	ck_assert_int_eq(mount("small", small, "tmpfs", 0, "size=16k"), 0);
	t_write(t_dirfd, "small/filling", filling);
	dir = open(small, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fault_note_use();
	FAULT_EACH(loop)
	{
		char seen[8] = "";
		int fd, r;

		t_write(dir, "f", "secret");
		fd = openat(dir, "f", O_RDWR | O_CLOEXEC);
		ck_assert_int_eq(ftruncate(fd, 65536), 0);
		fault_on(&loop);
		r = sv_remove_tree(dir, "f", true);
		fault_off();
		ck_assert_int_ge(pread(fd, seen, sizeof(seen) - 1, 0), 0);
		ck_assert_msg(r < 0 || strcmp(seen, "secret") != 0, "still there after %s",
			      fault_text());
		close(fd);
		ck_assert_int_eq(sv_remove_tree(dir, "f", true), 0);
		ck_assert_int_ne(faccessat(dir, "f", F_OK, 0), 0);
	}
	fault_no_leaks();
	close(dir);
	fault_enough(&loop, 15);
	ck_assert_int_eq(umount2(small, 0), 0);
}
END_TEST

/* ---- what a former life left ----------------------------------------------------------------- */

static struct {
	char id[128], ns[16], pod[16];
	enum sv_medium medium;
} adopted[4];
static int n_adopted;

/* Called while calls fail: no assertions here. */
static int adopt(void *arg, struct sv_adopted *found)
{
	(void)arg;
	if (n_adopted >= 4)
		return -E2BIG;
	adopted[n_adopted].medium = found->medium;
	(void)snprintf(adopted[n_adopted].id, sizeof(adopted[0].id), "%s", found->id);
	(void)snprintf(adopted[n_adopted].ns, sizeof(adopted[0].ns), "%s", found->ns);
	(void)snprintf(adopted[n_adopted++].pod, sizeof(adopted[0].pod), "%s", found->pod);
	return 0;
}

static void expect_adopted(void)
{
	ck_assert_msg(n_adopted == 2, "%d volumes found after %s", n_adopted, fault_text());
	ck_assert_str_eq(adopted[0].id, ID);
	ck_assert_str_eq(adopted[1].id, OTHER_ID);
	ck_assert_int_eq(adopted[0].medium, SV_MEDIUM_TMPFS);
	ck_assert_int_eq(adopted[1].medium, SV_MEDIUM_TMPFS);
}

START_TEST(an_adoption_finds_every_volume_or_fails)
{
	struct fault_loop loop = { .scope = FAULT_ALL };
	struct sv_err err = { "" };

	carried_out(sync_action(ID, NEW));
	mounted = false;
	generation = 0;
	carried_out(sync_action(OTHER_ID, NEW));
	fault_note_use();
	FAULT_EACH(loop)
	{
		int r;

		ck_assert_int_eq(mkdirat(node.root_fd, "pods/stale", 0750), 0);
		ck_assert_int_eq(mkdirat(node.root_fd, "by-name/stale", 0750), 0);
		ck_assert_int_eq(mkdirat(node.root_fd, "by-name/stale/p", 0750), 0);
		ck_assert_int_eq(symlinkat("../../../nowhere", node.root_fd, "by-name/stale/p/v"),
				 0);
		n_adopted = 0;
		*err.msg = '\0';
		fault_on(&loop);
		r = sv_node_adopt(&node, adopt, NULL, &err);
		fault_off();
		if (r == 0) {
			expect_adopted();
			/* without its names a volume that goes would leave its link behind */
			ck_assert_msg(strcmp(adopted[0].pod, "p") == 0 &&
					      strcmp(adopted[1].pod, "p2") == 0,
				      "nameless after %s", fault_text());
		} else {
			ck_assert_msg(r < 0 && *err.msg, "%d without a text after %s", r,
				      fault_text());
		}
		ck_assert(is_volume(ID) && is_volume(OTHER_ID));
		ck_assert_msg(leads_to_mount("by-name/default/p/v") &&
				      leads_to_mount("by-name/default/p2/v"),
			      "a link is lost after %s", fault_text());
		n_adopted = 0;
		*err.msg = '\0';
		ck_assert_int_eq(sv_node_adopt(&node, adopt, NULL, &err), 0);
		expect_adopted();
		ck_assert_str_eq(adopted[0].pod, "p");
		ck_assert_str_eq(adopted[1].pod, "p2");
		ck_assert_int_lt(faccessat(node.root_fd, "pods/stale", F_OK, 0), 0);
		ck_assert_int_lt(faccessat(node.root_fd, "by-name/stale", F_OK, 0), 0);
		fault_no_leaks();
	}
	fault_enough(&loop, 50);
}
END_TEST

START_TEST(a_root_directory_is_opened_or_not)
{
	struct fault_loop loop = { .scope = FAULT_ALL };

	sv_node_close(&node);
	fault_note_use();
	FAULT_EACH(loop)
	{
		sv_autofree char *root = sv_asprintf("%s/other/root", t_dir);
		struct sv_err err = { "" };
		int r;

		node = (struct sv_node){ .root_fd = -1 };
		fault_on(&loop);
		r = sv_node_open(root, &node, &err);
		fault_off();
		ck_assert_msg((r < 0) == (node.root_fd < 0) && (r == 0 || *err.msg), "%d after %s",
			      r, fault_text());
		sv_node_close(&node);
		ck_assert_int_eq(sv_node_open(root, &node, &err), 0);
		sv_node_close(&node);
		ck_assert_int_eq(unlinkat(t_dirfd, "other/root", AT_REMOVEDIR), 0);
		ck_assert_int_eq(unlinkat(t_dirfd, "other", AT_REMOVEDIR), 0);
	}
	fault_no_leaks();
	fault_enough(&loop, 8);
	open_node();
}
END_TEST

static const struct {
	enum sv_swap_policy policy;
	enum sv_medium last; /* where the kernel has nothing that is safe from swap */
} policies[] = {
	{ SV_SWAP_AVOID, SV_MEDIUM_TMPFS },
	{ SV_SWAP_REQUIRE, SV_MEDIUM_UNKNOWN },
};

/* Where the kernel says no, another medium is right; where it says nothing, none is. */
START_TEST(a_medium_is_chosen_by_what_the_kernel_says_only)
{
	const enum sv_swap_policy policy = policies[_i].policy;
	struct fault_loop loop = { .scope = FAULT_ALL };
	enum sv_medium usual = SV_MEDIUM_UNKNOWN;

	ck_assert_int_eq(sv_tmpfs_choose(policy, &usual, NULL), 0);
	ck_assert(usual == SV_MEDIUM_TMPFS_NOSWAP || usual == SV_MEDIUM_RAMFS);
	fault_note_use();
	FAULT_EACH(loop)
	{
		bool refused, silent;
		enum sv_medium medium = SV_MEDIUM_UNKNOWN;
		struct sv_err err = { "" };
		int r;

		fault_on(&loop);
		r = sv_tmpfs_choose(policy, &medium, &err);
		fault_off();
		refused = fault_errno() == EPERM || fault_errno() == EINVAL;
		silent = fault_fired() && !refused && !fault_is_harmless();
		ck_assert_msg((r < 0) == silent, "%d after %s", r, fault_text());
		if (r < 0)
			ck_assert_msg(*err.msg && medium == SV_MEDIUM_UNKNOWN,
				      "%d is chosen after %s", medium, fault_text());
		else if (!refused)
			ck_assert_msg(medium == usual, "%d after %s", medium, fault_text());
		else if (loop.lasting)
			ck_assert_msg(medium == policies[_i].last, "%d after %s", medium,
				      fault_text());
	}
	fault_no_leaks();
	fault_enough(&loop, 20);
}
END_TEST

START_TEST(a_manifest_is_read_as_a_whole_or_not_at_all)
{
	struct fault_loop loop = { .scope = FAULT_ALL };
	sv_autofree char *text = t_repeat('x', 10000);

	t_write(t_dirfd, "m.yaml", text);
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_bytes b = { NULL, 0 };
		struct sv_err err = { "" };
		const char *reason = "";
		struct stat st;
		int path_fd = -1, fd = -1, r;

		fault_on(&loop);
		r = sv_find_manifest(t_dirfd, "m.yaml", &path_fd, &st, &reason, &err);
		if (r == 0)
			r = fd = sv_open_beneath(t_dirfd, "m.yaml", O_RDONLY);
		if (r >= 0)
			r = sv_read_all(fd, 20000, &b);
		fault_off();
		ck_assert_msg(r < 0 || (b.len == 10000 && memcmp(b.ptr, text, b.len) == 0),
			      "%zu bytes after %s", b.len, fault_text());
		ck_assert_msg(path_fd >= 0 || (*err.msg && strcmp(reason, "Unreadable") == 0),
			      "'%s' after %s", err.msg, fault_text());
		sv_bytes_wipe(&b);
		if (path_fd >= 0)
			close(path_fd);
		if (fd >= 0)
			close(fd);
		fault_no_leaks();
	}
	fault_enough(&loop, 8);
}
END_TEST

T_SUITE(fault_node)
{
	T_AROUND(setup, teardown);
	T_TEST(a_first_publication_is_whole_or_not_there);
	T_TEST(a_first_publication_on_a_directory_is_whole_or_not_there);
	T_TEST(a_first_publication_on_ramfs_is_whole_or_not_there);
	T_TEST(a_first_publication_without_swap_is_whole_or_not_there);
	T_TEST(an_update_without_swap_leaves_the_old_generation_or_the_new_one);
	T_TEST(another_group_is_that_of_all_files_or_it_is_said);
	T_TEST(a_deep_tree_is_removed_or_it_is_said);
	T_TEST(an_update_leaves_the_old_generation_or_the_new_one);
	T_TEST(an_update_on_ramfs_leaves_the_old_generation_or_the_new_one);
	T_TEST(a_sync_without_a_change_fails_or_changes_nothing);
	T_TEST(a_link_that_leads_elsewhere_is_replaced_or_stays);
	T_TEST(a_file_that_leads_elsewhere_is_mended_or_it_is_said);
	T_TEST(a_name_that_another_volume_has_by_now_is_left_to_it);
	T_TEST(a_generation_of_a_name_that_is_taken_is_not_harmed);
	T_TEST(what_a_clean_leaves_behind_is_listed);
	T_TEST(a_removal_that_failed_can_be_repeated);
	T_TEST(a_volume_that_was_moved_is_brought_back_or_stays_there);
	T_TEST(a_removal_of_a_volume_that_was_moved_can_be_repeated);
	T_TEST(a_volume_that_is_gone_is_made_anew_beside_others);
	T_TEST(nothing_is_put_over_what_covers_a_volume);
	T_TEST(nothing_is_put_over_files_of_others);
	T_TEST(a_volume_that_was_made_writable_is_made_read_only_or_it_is_said);
	T_TEST(a_file_is_wiped_before_it_goes_or_it_is_said);
	T_TEST(an_adoption_finds_every_volume_or_fails);
	T_TEST(a_root_directory_is_opened_or_not);
	T_TEST(a_manifest_is_read_as_a_whole_or_not_at_all);
	T_EACH(a_medium_is_chosen_by_what_the_kernel_says_only, policies);
}
