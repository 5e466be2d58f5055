/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers look at a volume while its content is replaced as fast as it goes (../torture/reader.h),
 * once with all going well and once with calls of the writer failing at random. A second each, or
 * TORTURE_SECONDS; TORTURE_SEED makes the same calls fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/node/volume.h"
#include "../support/support.h"
#include "../torture/reader.h"
#include "fault.h"

#define ID "pods/u/volumes/kubernetes.io~secret/v"
#define KEPT 12 /* old generations; far more than a reader needs for one look */

static struct sv_node node;
static struct sv_pod *pod;
static uint64_t generation;
static bool mounted;
static unsigned seed;

static struct {
	char names[KEPT * 4][SV_DATA_DIR_MAX]; /* oldest first */
	size_t n;
} old;

/* ---- content ------------------------------------------------------------------------------- */

/* Paths that are always there, and others that come, go, and change from file to directory. */
static const char *const sets[][6] = {
	{ "set", READER_ALWAYS, "one", "flip" },
	{ "set", READER_ALWAYS, "two/deep/file", "flip/in" },
	{ "set", READER_ALWAYS, "one", "two/deep/other", "flip/on" },
};

static char *value_of(const char *path, long number)
{
	const char *const *set = sets[number % 3];
	struct sv_buf b = { 0 };
	int i;

	sv_buf_printf(&b, "%ld\n", number);
	if (strcmp(path, "set") == 0)
		for (i = 0; set[i]; i++)
			sv_buf_printf(&b, "%s\n", set[i]);
	else
		for (i = 0; i < 300; i++) /* more than a page in all */
			sv_buf_puts(&b, "filling filling");
	return sv_buf_take(&b);
}

static struct sv_secret *secret_of(long number)
{
	const char *const *set = sets[number % 3];
	sv_autobuf struct sv_buf b = { 0 };
	int i;

	sv_buf_puts(&b, "metadata: {name: s}\nstringData:\n");
	for (i = 0; set[i]; i++) {
		sv_autofree char *value = value_of(set[i], number);
		char *c;

		sv_buf_printf(&b, "  k%d: \"", i);
		for (c = value; *c; c++)
			if (*c == '\n')
				sv_buf_puts(&b, "\\n");
			else
				sv_buf_add(&b, c, 1);
		sv_buf_puts(&b, "\"\n");
	}
	return t_secret_yaml(b.ptr);
}

static struct sv_pod *pod_of(int set)
{
	sv_autobuf struct sv_buf b = { 0 };
	int i;

	sv_buf_puts(&b, "metadata: {name: p, uid: u}\nspec:\n  volumes:\n  - name: v\n"
			"    secret: {secretName: s, items: [");
	for (i = 0; sets[set][i]; i++)
		sv_buf_printf(&b, "{key: k%d, path: %s}, ", i, sets[set][i]);
	sv_buf_puts(&b, "]}\n  containers:\n  - name: c\n    image: i\n"
			"    volumeMounts: [{name: v, mountPath: /m}]\n");
	return t_pod_yaml(b.ptr);
}

/* ---- writing ------------------------------------------------------------------------------- */

static struct sv_action *make_action(enum sv_action_kind kind)
{
	struct sv_action *a = calloc(1, sizeof(*a));

	ck_assert_ptr_nonnull(a);
	a->kind = kind;
	a->id = strdup(ID);
	a->ns = strdup("default");
	a->pod = strdup("p");
	a->volume = strdup("v");
	a->mounted = a->is_mounted = mounted;
	a->generation = generation + 1;
	a->size_limit = 1 << 20;
	a->medium = node.medium;
	a->wipe = true;
	return a;
}

static struct sv_action *sync_to(long number)
{
	struct sv_action *a = make_action(SV_ACTION_SYNC);
	sv_autosecret struct sv_secret *secret = secret_of(number);
	struct sv_secret *secrets[] = { secret, NULL };

	sv_pod_unref(pod);
	pod = pod_of((int)(number % 3));
	a->plan = t_plan(pod, "v", secrets);
	return a;
}

/* What there is of old generations, in the order in which they have come to be old. */
static void remember(const struct sv_action *a)
{
	size_t i, j;

	for (i = 0; i < a->n_old; i++) {
		for (j = 0; j < old.n; j++)
			if (strcmp(old.names[j], a->old[i].data_dir) == 0)
				break;
		if (j == old.n && old.n < KEPT * 4)
			memcpy(old.names[old.n++], a->old[i].data_dir, SV_DATA_DIR_MAX);
	}
}

static void clean_oldest(void)
{
	struct sv_action *a;

	if (old.n <= KEPT)
		return;
	a = make_action(SV_ACTION_CLEAN);
	a->clean = calloc(1, sizeof(*a->clean));
	ck_assert_ptr_nonnull(a->clean);
	memcpy(a->clean[0].data_dir, old.names[0], SV_DATA_DIR_MAX);
	a->n_clean = 1;
	sv_volume_carry_out(&node, a);
	ck_assert_msg(a->result == 0, "%s", a->err.msg);
	sv_action_free(a);
	memmove(old.names[0], old.names[1], --old.n * SV_DATA_DIR_MAX);
}

/* Which generation ..data leads to. */
static char *present(void)
{
	sv_autofree char *path = sv_asprintf("%s/..data", ID);

	return t_link(node.root_fd, path);
}

/* Makes some call of the action fail, or none. */
static void at_random(struct sv_action *a)
{
	const struct fault_loop loop = {
		.scope = FAULT_ALL,
		.call = (unsigned)rand_r(&seed) % 200 + 1, /* of about 150 */
		.variant = (unsigned)rand_r(&seed) % 4,
		.lasting = rand_r(&seed) % 2,
	};

	fault_on(&loop);
	sv_volume_carry_out(&node, a);
	fault_off();
}

static long wanted_ms(void)
{
	const char *seconds = getenv("TORTURE_SECONDS");

	return seconds ? strtol(seconds, NULL, 10) * 1000 : 1000;
}

static long now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void setup(void)
{
	const char *text = getenv("TORTURE_SEED");
	sv_autofree char *root = NULL;
	struct sv_err err = { "" };

	t_enter_place();
	umask(022);
	root = sv_asprintf("%s/root", t_dir);
	ck_assert_msg(sv_node_open(root, &node, &err) == 0, "%s", err.msg);
	node.policy = SV_SWAP_IGNORE;
	node.medium = SV_MEDIUM_TMPFS;
	seed = text ? (unsigned)strtoul(text, NULL, 10) : (unsigned)time(NULL);
}

static void teardown(void)
{
	sv_pod_unref(pod);
	pod = NULL;
	sv_node_close(&node);
	t_leave_place();
}

struct tally {
	long tried, swaps, failures;
};

/* One new content. A failure may come before or after ..data was moved: it says itself. */
static void write_one(struct reader_shared *s, long number, bool faults, struct tally *t)
{
	struct sv_action *a = sync_to(number);
	sv_autofree char *before = present(), *after = NULL;

	if (faults && number > 1)
		at_random(a);
	else
		sv_volume_carry_out(&node, a);
	ck_assert_msg(faults || a->result == 0, "%s", a->err.msg);
	after = present();
	t->tried++;
	t->failures += a->result != 0;
	if (!before || strcmp(before, after) != 0) {
		t->swaps += before != NULL;
		generation = a->current ? a->current : a->generation;
		s->current = number;
	}
	mounted = a->is_mounted;
	if (a->listed)
		remember(a);
	sv_action_free(a);
}

/* On a busy machine it takes longer until there is something to judge by. */
static bool is_enough(const struct reader_shared *s, const struct tally *t, bool faults)
{
	bool enough = t->swaps > 20 && (!faults || t->failures > 10);
	int i;

	for (i = 0; i < READERS; i++)
		enough = enough && s->passes[i] > 20;
	return enough;
}

static void torture(bool faults)
{
	struct reader_shared *s = reader_share();
	sv_autofree char *dir = sv_asprintf("%s/root/" ID, t_dir);
	struct tally t = { 0, 0, 0 };
	unsigned first_seed = seed;
	pid_t pids[READERS + 1];
	long number = 1, end_ms;
	bool ok;

	s->calm = !faults;
	s->keep = KEPT - 2;
	write_one(s, number++, faults, &t);
	reader_start(s, dir, pids);
	end_ms = now_ms() + wanted_ms();
	for (; !s->stop && now_ms() < end_ms + (is_enough(s, &t, faults) ? 0 : 30000); number++) {
		write_one(s, number, faults, &t);
		clean_oldest();
	}
	ok = reader_stop(s, pids);
	ck_assert_msg(!s->broken, "seed %u, after %s: %s", first_seed, fault_text(), s->text);
	ck_assert_msg(ok, "a reader has crashed");
	ck_assert_msg(s->overflow || s->moves == t.swaps,
		      "seed %u: %ld generations, and ..data moved %ld times", first_seed, t.swaps,
		      s->moves);
	ck_assert_msg(is_enough(s, &t, faults),
		      "%ld generations, %ld failures, looked %ld, %ld and %ld times", t.swaps,
		      t.failures, s->passes[0], s->passes[1], s->passes[2]);
	if (getenv("TORTURE_SECONDS") || getenv("FAULT_VERBOSE"))
		(void)dprintf(STDERR_FILENO,
			      "%ld generations, %ld of %ld tries failed, looked %ld, %ld and %ld "
			      "times, seed %u\n",
			      t.swaps, t.failures, t.tried, s->passes[0], s->passes[1],
			      s->passes[2], first_seed);
	reader_unshare(s);
}

START_TEST(readers_see_one_generation_at_a_time)
{
	torture(false);
}
END_TEST

START_TEST(readers_see_one_generation_while_writing_fails)
{
	torture(true);
}
END_TEST

T_SUITE(fault_readers)
{
	T_AROUND(setup, teardown);
	T_TEST(readers_see_one_generation_at_a_time);
	T_TEST(readers_see_one_generation_while_writing_fails);
}
