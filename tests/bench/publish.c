/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
/*
 * publish - what the library adds to the floor: plan in hand to volume attached
 *
 * One thread, no daemon: N actions are prepared, and the time goes to carrying
 * them out. With --update every volume is mounted already, and what is timed is
 * its new generation and the removal of the old one. Same volumes and same
 * output as floor.c.
 */
#include "bench.h"

#include "../../lib/node/volume.h"

#define SIZE_LIMIT ((size_t)16 << 20) /* the daemon's default */

static void *need(void *p)
{
	if (!p)
		errx(1, "out of memory");
	return p;
}

static struct sv_pod *make_pod(int i)
{
	struct sv_pod *pod = need(sv_pod_new());
	struct sv_container *c;
	struct sv_volume *vol;
	char name[32];

	pod_name(name, sizeof(name), i);
	pod->ns = need(strdup(NAMESPACE));
	pod->name = need(strdup(name));
	pod->uid = need(strdup(name));

	vol = pod->volumes = need(calloc(1, sizeof(*vol)));
	pod->n_volumes = 1;
	vol->name = need(strdup(VOLUME));
	vol->type = SV_VOLUME_SECRET;
	vol->default_mode = 0644;
	vol->sources = need(calloc(1, sizeof(*vol->sources)));
	vol->n_sources = 1;
	vol->sources[0].name = need(strdup("secret"));

	c = pod->containers = need(calloc(1, sizeof(*c)));
	pod->n_containers = 1;
	c->name = need(strdup("app"));
	c->mounts = need(calloc(1, sizeof(*c->mounts)));
	c->n_mounts = 1;
	c->mounts[0].volume = need(strdup(VOLUME));
	c->mounts[0].path = need(strdup("/etc/secret"));
	return pod;
}

static struct sv_secret *make_secret(int i, int generation)
{
	struct sv_secret *s = need(sv_secret_new());
	struct sv_secret_item items[N_KEYS];
	char value[64];

	s->ns = need(strdup(NAMESPACE));
	s->name = need(strdup("secret"));
	for (int k = 0; k < N_KEYS; k++) {
		int len = volume_value(value, sizeof(value), keys[k], i, generation);

		items[k].name = need(strdup(keys[k]));
		if (sv_bytes_copy(value, (size_t)len, &items[k].value) < 0)
			errx(1, "out of memory");
	}
	if (sv_secret_set(s, items, N_KEYS) < 0)
		errx(1, "cannot make a Secret");
	return s;
}

static int lookup(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		  struct sv_err *err)
{
	(void)ns, (void)name, (void)err;
	*ret = arg;
	return 0;
}

static struct sv_action *new_action(enum sv_action_kind kind, int i, bool mounted)
{
	struct sv_action *a = need(calloc(1, sizeof(*a)));
	char text[256];

	a->kind = kind;
	(void)volume_path(text, sizeof(text), i);
	a->id = need(strdup(text));
	a->ns = need(strdup(NAMESPACE));
	pod_name(text, sizeof(text), i);
	a->pod = need(strdup(text));
	a->volume = need(strdup(VOLUME));
	a->mounted = mounted;
	return a;
}

static struct sv_action *new_sync(const struct sv_node *n, int i, int generation)
{
	sv_autosecret struct sv_secret *secret = make_secret(i, generation);
	sv_autopod struct sv_pod *pod = make_pod(i);
	struct sv_action *a = new_action(SV_ACTION_SYNC, i, generation > 1);
	struct sv_err err = { "" };

	a->generation = (uint64_t)generation;
	a->medium = n->medium;
	a->size_limit = SIZE_LIMIT;
	if (sv_plan_make(pod, &pod->volumes[0], SIZE_LIMIT, lookup, secret, &a->plan, &err) != 0)
		errx(1, "plan: %s", err.msg);
	return a;
}

/* With @clean the old generation goes as well, so that an update ends as the floor's does. */
static void carry_out(const struct sv_node *n, struct sv_action *a, struct sv_action *clean)
{
	sv_volume_carry_out(n, a);
	if (a->result != 0)
		errx(1, "%s: %s", a->id, a->err.msg);
	if (a->kind == SV_ACTION_SYNC && !a->changed)
		errx(1, "%s: nothing was written", a->id);
	if (clean) {
		clean->clean = SV_TAKE(a->old);
		clean->n_clean = a->n_old;
		a->n_old = 0;
		if (clean->n_clean != 1)
			errx(1, "%s: %zu old generations", a->id, clean->n_clean);
		carry_out(n, clean, NULL);
	}
}

/* Actions are made before the clock starts and freed after it has stopped. */
static struct took timed(const struct bench *b, const struct sv_node *n, struct sv_action **actions,
			 struct sv_action **cleans)
{
	struct took t = start();

	for (int i = 0; i < b->count; i++)
		carry_out(n, actions[i], cleans ? cleans[i] : NULL);
	t = stop(t);
	for (int i = 0; i < b->count; i++) {
		sv_action_free(actions[i]);
		if (cleans)
			sv_action_free(cleans[i]);
	}
	return t;
}

static struct took run(const struct bench *b, const struct sv_node *n)
{
	struct sv_action **actions = need(calloc((size_t)b->count, sizeof(struct sv_action *)));
	struct sv_action **cleans = need(calloc((size_t)b->count, sizeof(struct sv_action *)));
	struct took t;

	for (int i = 0; i < b->count; i++)
		actions[i] = new_sync(n, i, 1);
	t = timed(b, n, actions, NULL);

	if (b->updates) {
		for (int i = 0; i < b->count; i++) {
			actions[i] = new_sync(n, i, 2);
			cleans[i] = new_action(SV_ACTION_CLEAN, i, true);
		}
		t = timed(b, n, actions, cleans);
	}
	for (int i = 0; i < b->count; i++)
		verify(n->root_fd, i, b->updates ? 2 : 1);

	for (int i = 0; i < b->count; i++)
		actions[i] = new_action(SV_ACTION_REMOVE, i, true);
	t.remove_us = timed(b, n, actions, NULL).wall_us;
	free(actions);
	free(cleans);
	return t;
}

int main(int argc, char **argv)
{
	const struct bench b = parse_options(argc, argv);
	static struct took runs[MAX_REPEAT];
	struct sv_err err = { "" };
	struct sv_node n;

	enter_private_namespace();
	umask(0);
	if (sv_node_open(b.root_path, &n, &err) < 0)
		errx(1, "%s", err.msg);
	if (sv_tmpfs_choose(SV_SWAP_AVOID, &n.medium, &err) < 0)
		errx(1, "%s", err.msg);
	for (int k = 0; k < b.repeat; k++)
		runs[k] = run(&b, &n);
	sv_node_close(&n);
	return print_result(&b, runs);
}
