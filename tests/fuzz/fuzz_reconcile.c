/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events, actions and their results in any order. One action a volume at a time, nothing is
 * removed before the sources have synced, no record is lost, and once nothing happens any more
 * and the node works, everything is as wanted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/core/reconcile.h"
#include "fuzz.h"

#define N_PODS 3
#define N_SECRETS 2
#define N_ACTIONS 16
#define GRACE_MS 250

static const struct sv_reconcile_opts opts = { .volume_size_limit = 1 << 20, .grace_ms = GRACE_MS };

/* What really is at a volume's path. */
struct disk {
	char *id;
	bool mounted;
	uint64_t current; /* generation */
	struct sv_old_generation *old;
	size_t n_old;
	char *content; /* "path=value …" of the current generation */
};

static struct {
	struct sv_desired d;
	struct sv_actuals s;
	int64_t now;
	struct sv_action *actions[N_ACTIONS]; /* under way */
	size_t n_actions;
	struct sv_strmap disks;
	unsigned names; /* of generations */
} t;

/* ---- the manager's part -------------------------------------------------------------------- */

static void changed(void *arg, const char *id)
{
	const struct sv_wanted *w = sv_desired_wanted(&t.d, id);
	struct sv_actual *a = sv_actuals_get(&t.s, id);

	MUST(arg == &t);
	if (!a && !w)
		return;
	a = sv_actuals_make(&t.s, id);
	MUST(a);
	a->input = true;
	sv_actuals_enqueue(&t.s, a, !w);
	if (w)
		MUST(sv_reconcile_identify(a, w) == 0);
}

static struct disk *disk_of(const char *id)
{
	struct disk *k = sv_strmap_get(&t.disks, id);

	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	MUST(k);
	k->id = strdup(id);
	MUST(k->id && sv_strmap_put(&t.disks, k->id, k) == 0);
	return k;
}

static bool is_under_way(const char *id)
{
	size_t i;

	for (i = 0; i < t.n_actions; i++)
		if (strcmp(t.actions[i]->id, id) == 0)
			return true;
	return false;
}

/* Is the volume wanted by nobody, and is that certain? */
static bool may_go(const struct sv_actual *a)
{
	return a->origin >= 0 ? t.d.synced[a->origin] : sv_desired_all_synced(&t.d);
}

static void check_action(const struct sv_action *action, const struct sv_actual *a)
{
	const struct sv_wanted *w = sv_desired_wanted(&t.d, a->id);
	size_t i;

	MUST(strcmp(action->id, a->id) == 0 && a->busy && !is_under_way(a->id));
	MUST(action->mounted == disk_of(a->id)->mounted && a->mounted == action->mounted);
	switch (action->kind) {
	case SV_ACTION_SYNC:
		MUST(w && w->used && action->plan);
		fuzz_check_plan(w->pod, action->plan, opts.volume_size_limit);
		break;
	case SV_ACTION_REMOVE:
		MUST((!w || !w->used) && (a->mounted || a->littered) && may_go(a));
		break;
	case SV_ACTION_CLEAN:
		MUST(w && w->used && a->mounted && action->n_clean > 0);
		for (i = 0; i < action->n_clean; i++)
			MUST(action->clean[i].due_ms <= t.now);
		break;
	}
}

static void look_at(struct sv_actual *a)
{
	struct sv_action *action = NULL;
	enum sv_outcome outcome = sv_reconcile_start(&t.d, &t.s, a, &opts, t.now, &action);

	if (outcome == SV_OUTCOME_REMOVED) {
		MUST(!action && !a->busy && !a->mounted && !disk_of(a->id)->mounted);
		MUST(!sv_desired_wanted(&t.d, a->id));
		sv_actuals_drop(&t.s, a);
		return;
	}
	MUST(outcome != SV_OUTCOME_PUBLISHED && outcome != SV_OUTCOME_UPDATED &&
	     outcome != SV_OUTCOME_ADOPTED);
	if (!action)
		return;
	check_action(action, a);
	MUST(t.n_actions < N_ACTIONS);
	t.actions[t.n_actions++] = action;
}

static int64_t work(void)
{
	int64_t wait = sv_actuals_wake(&t.s, t.now);
	struct sv_actual *a;
	int rounds = 0;

	while (t.n_actions < N_ACTIONS && (a = sv_actuals_dequeue(&t.s))) {
		MUST(rounds++ < 1000); /* looking at records must come to an end */
		look_at(a);
	}
	return wait;
}

/* ---- the node's part ----------------------------------------------------------------------- */

static char *content_of(const struct sv_plan *plan)
{
	struct sv_buf b = { 0 };
	size_t i;

	sv_buf_puts(&b, "");
	for (i = 0; i < plan->n_files; i++)
		sv_buf_printf(&b, "%s=%.*s ", plan->files[i].path, (int)plan->files[i].value->len,
			      plan->files[i].value->ptr ? (char *)plan->files[i].value->ptr : "");
	return sv_buf_take(&b);
}

static void list_old(const struct disk *k, struct sv_action *action)
{
	action->listed = true;
	action->n_old = k->n_old;
	action->old = calloc(k->n_old + 1, sizeof(*action->old));
	MUST(action->old);
	if (k->n_old)
		memcpy(action->old, k->old, k->n_old * sizeof(*k->old));
}

static void clear_disk(struct disk *k)
{
	free(k->old);
	free(k->content);
	*k = (struct disk){ .id = k->id };
}

static void carry_out_sync(struct disk *k, struct sv_action *action, unsigned luck)
{
	sv_autofree char *content = content_of(action->plan);
	static const struct {
		int result;
		enum sv_fault fault;
	} failures[] = { { -EIO, SV_FAULT_WRITE },
			 { -ENOSPC, SV_FAULT_WRITE },
			 { -EBUSY, SV_FAULT_OCCUPIED },
			 { 1, SV_FAULT_SWAP } };

	action->is_mounted = k->mounted;
	if (luck > 0) {
		action->result = failures[(luck - 1) % 4].result;
		action->fault = failures[(luck - 1) % 4].fault;
		sv_err_set(&action->err, action->result, "bad luck");
		if (k->mounted && luck > 4)
			list_old(k, action);
		return;
	}
	action->medium = SV_MEDIUM_TMPFS_NOSWAP;
	action->changed = !k->mounted || !k->content || strcmp(k->content, content) != 0;
	if (action->changed) {
		if (k->mounted && k->current) {
			k->old = reallocarray(k->old, k->n_old + 1, sizeof(*k->old));
			MUST(k->old);
			memset(&k->old[k->n_old], 0, sizeof(*k->old));
			(void)snprintf(k->old[k->n_old++].data_dir, SV_DATA_DIR_MAX, "..%u",
				       t.names++);
		}
		MUST(action->generation > k->current);
		k->current = action->generation;
		free(k->content);
		k->content = SV_TAKE(content);
	}
	k->mounted = action->is_mounted = true;
	action->current = k->current;
	list_old(k, action);
}

static void carry_out_clean(struct disk *k, struct sv_action *action, unsigned luck)
{
	size_t i, j, n = 0;

	if (luck > 2) {
		action->result = -EIO; /* it did not come to any */
		return;
	}
	action->old = calloc(action->n_clean, sizeof(*action->old));
	MUST(action->old);
	for (i = 0; i < k->n_old; i++) {
		for (j = 0; j < action->n_clean; j++)
			if (strcmp(k->old[i].data_dir, action->clean[j].data_dir) == 0)
				break;
		if (j < action->n_clean && luck > 0) { /* this one resists */
			action->old[action->n_old++] = k->old[i];
			action->result = -EBUSY;
		}
		if (j == action->n_clean || luck > 0)
			k->old[n++] = k->old[i];
	}
	k->n_old = n;
}

static void finish(struct fuzz_in *in, size_t at)
{
	struct sv_action *action = t.actions[at];
	struct sv_actual *a = sv_actuals_get(&t.s, action->id);
	struct disk *k = disk_of(action->id);
	unsigned luck = in && fuzz_one_in(in, 2) ? fuzz_below(in, 9) : 0;
	enum sv_outcome outcome;

	MUST(a && a->busy); /* no record goes while something is done to it */
	t.actions[at] = t.actions[--t.n_actions];
	switch (action->kind) {
	case SV_ACTION_SYNC:
		carry_out_sync(k, action, luck);
		break;
	case SV_ACTION_CLEAN:
		carry_out_clean(k, action, luck);
		break;
	case SV_ACTION_REMOVE:
		action->result = luck ? -EBUSY : 0;
		action->fault = luck ? SV_FAULT_MOUNT : SV_FAULT_NONE;
		sv_err_set(&action->err, action->result, "bad luck");
		if (luck % 2 == 0)
			clear_disk(k);
		action->is_mounted = k->mounted;
	}
	outcome = sv_reconcile_finish(&t.d, &t.s, a, action, &opts, t.now, t.now);
	MUST(!a->busy && a->mounted == k->mounted);
	if (action->kind == SV_ACTION_SYNC)
		MUST(a->state != SV_STATE_REMOVING);
	sv_action_free(action);
	if (outcome == SV_OUTCOME_REMOVED && !a->queued) {
		MUST(!k->mounted);
		sv_actuals_drop(&t.s, a);
	}
}

/* ---- events -------------------------------------------------------------------------------- */

static struct sv_manifest parse(struct sv_buf *text)
{
	struct sv_manifest m = { NULL, 0, 0 };
	struct sv_err err = { "" };

	MUST(!text->failed &&
	     sv_manifest_parse(text->ptr, text->len, SV_FORMAT_YAML, NULL, &m, &err, NULL) == 0);
	MUST(m.n_objects == 1);
	return m;
}

/* Three names in two namespaces; two of three share a uid now and then. */
static void put_pod(struct fuzz_in *in, unsigned name)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_manifest m;

	sv_buf_printf(&b,
		      "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n%u, uid: u%u}\n",
		      name, fuzz_one_in(in, 4) ? 0 : name);
	sv_buf_printf(&b, "status: {phase: %s}\n", fuzz_one_in(in, 8) ? "Failed" : "Running");
	sv_buf_puts(&b, "spec:\n  containers: [{name: c, image: i, volumeMounts: [");
	if (!fuzz_one_in(in, 4))
		sv_buf_puts(&b, "{name: v, mountPath: /v}, ");
	sv_buf_puts(&b, "{name: w, mountPath: /w}]}]\n  volumes:\n");
	sv_buf_printf(&b, "  - {name: v, secret: {secretName: s%u, optional: %s}}\n",
		      fuzz_below(in, N_SECRETS), fuzz_one_in(in, 3) ? "true" : "false");
	sv_buf_puts(&b, "  - {name: w, projected: {sources: [{secret: {name: s0}}, {secret: {name: "
			"s0}}, {secret: {name: s1}}]}}\n");
	m = parse(&b);
	MUST(m.objects[0].pod);
	MUST(sv_desired_put_pod(&t.d, SV_ORIGIN_MANIFEST, m.objects[0].pod, t.now) == 0);
	sv_manifest_done(&m);
}

static void put_secret(struct fuzz_in *in)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_manifest m;
	unsigned ns = fuzz_below(in, N_PODS), name = fuzz_below(in, N_SECRETS);

	sv_buf_printf(&b,
		      "apiVersion: v1\nkind: Secret\nmetadata: {name: s%u, namespace: n%u}\n"
		      "immutable: %s\nstringData: {k%u: \"%u in n%u\"}\n",
		      name, ns, fuzz_one_in(in, 4) ? "true" : "false", fuzz_below(in, 2),
		      fuzz_below(in, 4), ns);
	m = parse(&b);
	MUST(m.objects[0].secret);
	MUST(sv_desired_put_secret(&t.d, SV_ORIGIN_MANIFEST, m.objects[0].secret, t.now) == 0);
	sv_manifest_done(&m);
}

/* The name of a namespace or a Secret. */
static const char *numbered(char letter, unsigned n)
{
	static char names[2][3];
	char *name = names[letter == 's'];

	name[0] = letter;
	name[1] = (char)('0' + n);
	name[2] = '\0';
	return name;
}

static void set_synced(void)
{
	size_t i;

	if (t.d.synced[SV_ORIGIN_MANIFEST])
		return;
	sv_desired_set_synced(&t.d, SV_ORIGIN_MANIFEST);
	for (i = 0; i < t.s.records.n; i++) /* what nobody wants may go now */
		sv_actuals_enqueue(&t.s, t.s.records.entries[i].value, false);
}

static void act(struct fuzz_in *in)
{
	unsigned n = fuzz_below(in, N_PODS), m = fuzz_below(in, N_SECRETS);

	switch (fuzz_below(in, 12)) {
	case 0:
	case 1:
		put_pod(in, n);
		break;
	case 2:
		sv_desired_remove_pod(&t.d, SV_ORIGIN_MANIFEST, numbered('n', n), "p");
		break;
	case 3:
	case 4:
		put_secret(in);
		break;
	case 5:
		sv_desired_remove_secret(&t.d, SV_ORIGIN_MANIFEST, numbered('n', n),
					 numbered('s', m));
		break;
	case 6:
		MUST(sv_desired_refuse_secret(&t.d, SV_ORIGIN_MANIFEST, numbered('n', n),
					      numbered('s', m), m ? "bad" : NULL) == 0);
		break;
	case 7:
		set_synced();
		break;
	case 8:
		t.now += (int64_t)fuzz_below(in, 1000);
		break;
	default:
		if (t.n_actions > 0)
			finish(in, fuzz_below(in, (unsigned)t.n_actions));
	}
	if (!fuzz_one_in(in, 4))
		work();
}

/* ---- what must hold ------------------------------------------------------------------------ */

static void check_records(void)
{
	size_t i;

	for (i = 0; i < t.d.wanted.n; i++)
		MUST(sv_actuals_get(&t.s, t.d.wanted.entries[i].key));
	for (i = 0; i < t.disks.n; i++) {
		const struct disk *k = t.disks.entries[i].value;

		MUST(!k->mounted || sv_actuals_get(&t.s, k->id));
	}
	for (i = 0; i < t.s.records.n; i++) {
		const struct sv_actual *a = t.s.records.entries[i].value;

		MUST(a->busy == is_under_way(a->id));
		MUST((a->state != SV_STATE_STALE && a->state != SV_STATE_PUBLISHED) || a->mounted);
		MUST((a->state != SV_STATE_REFUSED && a->state != SV_STATE_FAILED) || !a->mounted);
		MUST(a->n_old <= SV_OLD_GENERATIONS_MAX + 1);
	}
}

static void check_settled(const struct sv_actual *a)
{
	const struct sv_wanted *w = sv_desired_wanted(&t.d, a->id);
	sv_autofree char *content = NULL;
	sv_autoplan struct sv_plan *plan = NULL;
	struct sv_err err = { "" };

	MUST(w && !a->busy);
	MUST(a->n_old == 0);
	if (!w->used) {
		MUST(a->state == SV_STATE_UNUSED && !a->mounted);
		return;
	}
	if (sv_desired_plan(&t.d, w, opts.volume_size_limit, &plan, &err) != 0) {
		MUST(a->state == (a->mounted ? SV_STATE_STALE : SV_STATE_REFUSED));
		return;
	}
	if (strcmp(a->reason, "SwapNotSafe") == 0) /* the node's refusal is as final as any */
		return;
	content = content_of(plan);
	MUST(a->state == SV_STATE_PUBLISHED && a->mounted);
	MUST(content && strcmp(disk_of(a->id)->content, content) == 0);
	MUST(strcmp(a->ns, w->pod->ns) == 0 && strcmp(a->pod, w->pod->name) == 0);
}

/* No more events, and a node that works: all is done in the end. */
static void settle(void)
{
	int64_t wait;
	int rounds = 0;
	size_t i;

	set_synced();
	for (;;) {
		MUST(rounds++ < 1000);
		wait = work();
		check_records();
		if (t.n_actions > 0) {
			finish(NULL, 0);
			continue;
		}
		if (!t.s.queues[0].head && !t.s.queues[1].head && wait < 0)
			break;
		t.now += wait > 0 ? wait : 0;
	}
	for (i = 0; i < t.s.records.n; i++)
		check_settled(t.s.records.entries[i].value);
	for (i = 0; i < t.disks.n; i++) {
		const struct disk *k = t.disks.entries[i].value;

		MUST(!k->mounted || sv_desired_wanted(&t.d, k->id));
	}
}

static void adopt(struct fuzz_in *in)
{
	static const char *const ids[] = { "pods/u0/volumes/kubernetes.io~secret/v",
					   "pods/u1/volumes/kubernetes.io~projected/w",
					   "pods/x/volumes/kubernetes.io~secret/y" };
	size_t i;

	for (i = 0; i < 3; i++)
		if (fuzz_one_in(in, 4)) {
			struct sv_adopted found = {
				.id = ids[i], .ns = "n0", .pod = "p", .medium = SV_MEDIUM_TMPFS
			};

			disk_of(ids[i])->mounted = true;
			MUST(sv_reconcile_adopt(&t.s, &found, 0));
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, data + size };
	size_t i;

	memset(&t, 0, sizeof(t));
	sv_desired_init(&t.d, changed, &t);
	sv_actuals_init(&t.s);
	t.d.expected[SV_ORIGIN_MANIFEST] = true;
	t.now = 1000;
	adopt(&in);
	for (i = 0; i < 200 && fuzz_more(&in); i++) {
		act(&in);
		check_records();
	}
	settle();
	sv_actuals_done(&t.s);
	sv_desired_done(&t.d);
	for (i = 0; i < t.disks.n; i++) {
		struct disk *k = t.disks.entries[i].value;

		clear_disk(k);
		free(k->id);
		free(k);
	}
	sv_strmap_done(&t.disks);
	return 0;
}
