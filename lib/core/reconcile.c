/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"

void sv_action_free(struct sv_action *a)
{
	if (!a)
		return;
	free(a->id);
	free(a->ns);
	free(a->pod);
	free(a->former_ns);
	free(a->former_pod);
	free(a->volume);
	sv_plan_free(a->plan);
	free(a->clean);
	free(a->old);
	free(a);
}

const char *sv_reconcile_reason(int refusal)
{
	switch (refusal) {
	case SV_PLAN_E_NO_SECRET:
		return "SecretNotFound";
	case SV_PLAN_E_NO_KEY:
		return "KeyNotFound";
	case SV_PLAN_E_PATH:
		return "InvalidPath";
	case SV_PLAN_E_CLASH:
		return "PathConflict";
	case SV_PLAN_E_TOO_LARGE:
		return "TooLarge";
	case SV_PLAN_E_UNSUPPORTED:
		return "UnsupportedSource";
	case SV_PLAN_E_FORBIDDEN:
		return "Forbidden";
	case SV_PLAN_E_UNAVAILABLE:
		return "SourceUnavailable";
	default:
		return "";
	}
}

static const char *fault_reason(enum sv_fault fault)
{
	switch (fault) {
	case SV_FAULT_MOUNT:
		return "MountFailed";
	case SV_FAULT_OCCUPIED:
		return "Busy";
	case SV_FAULT_SWAP:
		return "SwapNotSafe";
	default:
		return "WriteFailed";
	}
}

/* ---- records ------------------------------------------------------------------------------- */

/* Strings of a report: an allocation that fails leaves the old text, and false is returned. */
static bool set_text(char **text, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return false;
	free(*text);
	*text = copy;
	return true;
}

static enum sv_outcome set_state(struct sv_actual *a, enum sv_state state, const char *reason,
				 const char *message)
{
	bool same = a->state == state && strcmp(a->reason, reason) == 0 &&
		    strcmp(a->message ? a->message : "", message ? message : "") == 0;

	a->state = state;
	a->reason = reason;
	if (!same)
		(void)set_text(&a->message, message);
	return same ? SV_OUTCOME_NONE : SV_OUTCOME_STATE;
}

/* Does the last good content stand at the volume's path? */
static bool is_seen(const struct sv_actual *a)
{
	return a->mounted && !a->covered;
}

static void clear_retry(struct sv_actual *a)
{
	a->failures = 0;
	a->retry_ms = 0;
}

/* The node's trouble: keep what is mounted, try again later and less and less often (R57). */
static enum sv_outcome fail(struct sv_actuals *s, struct sv_actual *a, const char *reason,
			    const char *message, int64_t now_ms)
{
	int64_t delay = SV_RETRY_FIRST_MS;
	unsigned i;

	for (i = 0; i < a->failures && delay < SV_RETRY_MAX_MS; i++)
		delay *= 2;
	a->failures++;
	a->retry_ms = now_ms + (delay < SV_RETRY_MAX_MS ? delay : SV_RETRY_MAX_MS);
	sv_actuals_note_time(s, a);
	(void)set_text(&a->last_error, message);
	set_state(a,
		  a->state == SV_STATE_REMOVING ? SV_STATE_REMOVING :
		  is_seen(a)                    ? SV_STATE_STALE :
						  SV_STATE_FAILED,
		  reason, message);
	return SV_OUTCOME_FAILED;
}

/* The user's to fix: keep what is mounted, say why, wait for new input. */
static enum sv_outcome refuse(struct sv_actual *a, const char *reason, const char *message)
{
	clear_retry(a);
	(void)set_text(&a->last_error, message);
	return set_state(a, is_seen(a) ? SV_STATE_STALE : SV_STATE_REFUSED, reason, message) ==
			       SV_OUTCOME_NONE ?
		       SV_OUTCOME_NONE :
		       SV_OUTCOME_FAILED;
}

/* ---- start --------------------------------------------------------------------------------- */

static struct sv_action *make_action(const struct sv_actual *a, enum sv_action_kind kind)
{
	struct sv_action *action = calloc(1, sizeof(*action));

	if (!action)
		return NULL;
	action->kind = kind;
	action->id = strdup(a->id);
	action->ns = strdup(a->ns);
	action->pod = strdup(a->pod);
	action->volume = strdup(a->volume);
	action->former_ns = strdup(a->former_ns ? a->former_ns : "");
	action->former_pod = strdup(a->former_pod ? a->former_pod : "");
	action->mounted = action->is_mounted = a->mounted;
	action->generation = a->generation + 1;
	action->medium = a->medium;
	if (action->id && action->ns && action->pod && action->volume && action->former_ns &&
	    action->former_pod)
		return action;
	sv_action_free(action);
	return NULL;
}

static enum sv_outcome begin(struct sv_actuals *s, struct sv_actual *a, struct sv_action *action,
			     int64_t now_ms, struct sv_action **ret)
{
	if (!action)
		return fail(s, a, "WriteFailed", "out of memory", now_ms);
	a->busy = true;
	a->busy_since_ms = now_ms;
	a->cleaning = action->kind == SV_ACTION_CLEAN;
	*ret = action;
	return SV_OUTCOME_NONE;
}

/* Old generations whose grace has passed, or NULL. */
static void start_clean(struct sv_actuals *s, struct sv_actual *a, const struct sv_wanted *w,
			int64_t now_ms, struct sv_action **ret)
{
	struct sv_action *action;
	size_t i, n = 0;

	for (i = 0; i < a->n_old; i++)
		n += a->old[i].due_ms <= now_ms;
	if (n == 0 || !a->mounted)
		return;
	action = make_action(a, SV_ACTION_CLEAN);
	if (action)
		action->clean = calloc(n, sizeof(*action->clean));
	if (!action || !action->clean) {
		sv_action_free(action);
		for (i = 0; i < a->n_old; i++)
			if (a->old[i].due_ms <= now_ms)
				a->old[i].due_ms = now_ms + SV_RETRY_FIRST_MS;
		return;
	}
	action->wipe = !sv_pod_mounts_part(w->pod, w->vol->name);
	for (i = 0; i < a->n_old; i++)
		if (a->old[i].due_ms <= now_ms)
			action->clean[action->n_clean++] = a->old[i];
	begin(s, a, action, now_ms, ret);
}

/* Nobody's word that it may go: the source that wanted it, or all if nobody did in this life. */
static bool may_remove(const struct sv_desired *d, const struct sv_actual *a)
{
	return a->origin >= 0 ? d->synced[a->origin] : sv_desired_all_synced(d);
}

static enum sv_outcome start_remove(const struct sv_desired *d, struct sv_actuals *s,
				    struct sv_actual *a, bool unused, int64_t now_ms,
				    struct sv_action **ret)
{
	enum sv_outcome outcome = SV_OUTCOME_NONE;

	if (!a->mounted && !a->littered) {
		clear_retry(a);
		if (!unused)
			return SV_OUTCOME_REMOVED;
		(void)set_text(&a->last_error, NULL);
		return set_state(a, SV_STATE_UNUSED, "", NULL);
	}
	if (!may_remove(d, a))
		return SV_OUTCOME_NONE; /* looked at again when the sources have synced */
	if (a->state != SV_STATE_REMOVING) {
		clear_retry(a);
		outcome = set_state(a, SV_STATE_REMOVING, "", NULL);
	}
	if (a->retry_ms > now_ms)
		return outcome;
	a->as_planned = false;
	begin(s, a, make_action(a, SV_ACTION_REMOVE), now_ms, ret);
	return outcome;
}

int sv_reconcile_identify(struct sv_actual *a, const struct sv_wanted *w)
{
	sv_autofree char *ns = NULL, *pod = NULL;

	assert(a->ns && a->pod && w->pod->ns && w->pod->name);
	a->origin = (int)w->origin;
	if (strcmp(a->ns, w->pod->ns) == 0 && strcmp(a->pod, w->pod->name) == 0)
		return 0;
	ns = strdup(w->pod->ns);
	pod = strdup(w->pod->name);
	if (!ns || !pod)
		return -ENOMEM; /* before anything has changed: the old names are needed then */
	if (a->mounted && *a->pod && !a->former_pod) { /* its by-name link has to follow */
		free(a->former_ns);
		a->former_ns = SV_TAKE(a->ns);
		a->former_pod = SV_TAKE(a->pod);
	}
	free(a->ns);
	free(a->pod);
	a->ns = SV_TAKE(ns);
	a->pod = SV_TAKE(pod);
	return 0;
}

/*
 * Values that cannot be had (now) are not needed for a volume that has them already. Return: 1 if
 * nothing would change, 0 if something would or may, or a negated errno.
 */
static int is_done(const struct sv_desired *d, const struct sv_actual *a, const struct sv_wanted *w,
		   size_t limit)
{
	sv_autoplan struct sv_plan *outline = NULL;
	int r;

	if (!a->mounted || !a->plan || !a->as_planned)
		return 0;
	r = sv_desired_outline(d, w, limit, &outline, NULL);
	return r == 0 ? sv_plan_same(outline, a->plan) : r < 0 ? r : 0;
}

static enum sv_outcome start_sync(const struct sv_desired *d, struct sv_actuals *s,
				  struct sv_actual *a, const struct sv_wanted *w,
				  const struct sv_reconcile_opts *opts, int64_t now_ms,
				  struct sv_action **ret)
{
	sv_autoplan struct sv_plan *plan = NULL;
	struct sv_action *action;
	struct sv_err err = { "" };
	int r = sv_desired_plan(d, w, opts->volume_size_limit, &plan, &err), done = 0;

	if (r == SV_PLAN_E_PENDING || r == SV_PLAN_E_UNAVAILABLE)
		done = is_done(d, a, w, opts->volume_size_limit);
	if (done < 0)
		return fail(s, a, "WriteFailed", "out of memory", now_ms);
	if (done) {
		clear_retry(a);
		return set_state(a, SV_STATE_PUBLISHED, "", NULL);
	}
	if (r == SV_PLAN_E_PENDING ||
	    (r == SV_PLAN_E_UNAVAILABLE && !a->mounted && d->by_secret[w->origin])) {
		clear_retry(a);
		/* Mounted ones stay as they are: they are what was asked for last, as far as we know. */
		return set_state(a, SV_STATE_PENDING, sv_reconcile_reason(r), err.msg);
	}
	if (r > 0)
		return refuse(a, sv_reconcile_reason(r), err.msg);
	if (r < 0)
		return fail(s, a, "WriteFailed", err.msg, now_ms);
	action = make_action(a, SV_ACTION_SYNC);
	if (action) {
		action->size_limit = opts->volume_size_limit;
		action->plan = SV_TAKE(plan);
		a->as_planned = false;
	}
	return begin(s, a, action, now_ms, ret);
}

/* An update has to wait until an old generation has gone, if there is one to be made. */
static enum sv_outcome wait_for_room(const struct sv_desired *d, struct sv_actual *a,
				     const struct sv_wanted *w,
				     const struct sv_reconcile_opts *opts)
{
	if (is_done(d, a, w, opts->volume_size_limit) > 0)
		return SV_OUTCOME_NONE;
	return set_state(
		a, is_seen(a) ? SV_STATE_STALE : a->state, "Busy",
		"so many old generations are there that this update waits until one has gone");
}

/* Is the volume wanted otherwise than it is? What takes away old generations may take its time. */
static enum sv_state overdue_state(const struct sv_desired *d, const struct sv_actual *a)
{
	const struct sv_wanted *w = sv_desired_wanted(d, a->id);

	if (!w || !w->used || a->before.state == SV_STATE_REMOVING)
		return SV_STATE_REMOVING;
	if (a->cleaning && !a->input)
		return a->before.state;
	return is_seen(a) ? SV_STATE_STALE : SV_STATE_FAILED;
}

enum sv_outcome sv_reconcile_start(const struct sv_desired *d, struct sv_actuals *s,
				   struct sv_actual *a, const struct sv_reconcile_opts *opts,
				   int64_t now_ms, struct sv_action **ret)
{
	struct sv_wanted *w = sv_desired_wanted(d, a->id);
	enum sv_outcome outcome = SV_OUTCOME_NONE, started;

	*ret = NULL;
	if (a->busy && a->overdue) /* whether it is wanted may have changed meanwhile */
		return set_state(a, overdue_state(d, a), a->reason, a->message);
	if (a->busy)
		return SV_OUTCOME_NONE; /* finish() looks at it again */
	if (!w || !w->used) {
		if (w && sv_reconcile_identify(a, w) < 0)
			return fail(s, a, "WriteFailed", "out of memory", now_ms);
		return start_remove(d, s, a, w != NULL, now_ms, ret);
	}
	if (sv_reconcile_identify(a, w) < 0)
		return fail(s, a, "WriteFailed", "out of memory", now_ms);
	if (a->state == SV_STATE_REMOVING) /* wanted again before it had gone */
		outcome = set_state(a, SV_STATE_PENDING, "", NULL);
	if (!a->input && (a->retry_ms == 0 || a->retry_ms > now_ms)) {
		/* nothing new */
	} else if (a->full || a->n_old >= SV_OLD_GENERATIONS_MAX) {
		a->input = true; /* updates merge until an old generation has gone */
		a->retry_ms = 0; /* what is waited for now must not be hidden by it */
		started = a->full ? SV_OUTCOME_NONE : wait_for_room(d, a, w, opts);
		outcome = started == SV_OUTCOME_NONE ? outcome : started;
	} else {
		a->input = false;
		started = start_sync(d, s, a, w, opts, now_ms, ret);
		outcome = started == SV_OUTCOME_NONE ? outcome : started;
	}
	if (!*ret) /* also after a refusal: what is due now is not due again */
		start_clean(s, a, w, now_ms, ret);
	return outcome;
}

/* ---- finish -------------------------------------------------------------------------------- */

static void set_old(struct sv_actuals *s, struct sv_actual *a, struct sv_old_generation *old,
		    size_t n)
{
	free(a->old);
	a->old = old;
	a->n_old = n;
	if (n > 0)
		sv_actuals_note_time(s, a);
}

/* The generations that are there: those known keep their time, new ones get the grace from now. */
static void take_old(struct sv_actuals *s, struct sv_actual *a, struct sv_action *action,
		     int64_t due_ms)
{
	size_t i, j;

	if (!a->mounted)
		set_old(s, a, NULL, 0);
	if (!a->mounted || !action->listed)
		return;
	for (i = 0; i < action->n_old; i++) {
		action->old[i].due_ms = due_ms;
		for (j = 0; j < a->n_old; j++)
			if (strcmp(a->old[j].data_dir, action->old[i].data_dir) == 0)
				action->old[i].due_ms = a->old[j].due_ms;
	}
	set_old(s, a, SV_TAKE(action->old), action->n_old);
}

static bool is_listed(const struct sv_old_generation *list, size_t n, const char *data_dir)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].data_dir, data_dir) == 0)
			return true;
	return false;
}

/* What was to be removed is gone, or due once more. */
static void finish_clean(struct sv_actual *a, const struct sv_action *action, int64_t again_ms)
{
	bool none = action->result < 0 && action->n_old == 0; /* it did not come to any */
	size_t i, n = 0;

	a->full = false;
	a->resists = action->result < 0;
	for (i = 0; i < a->n_old; i++) {
		struct sv_old_generation *g = &a->old[i];

		bool wanted = is_listed(action->clean, action->n_clean, g->data_dir);

		if (wanted && (none || is_listed(action->old, action->n_old, g->data_dir)))
			g->due_ms = again_ms;
		else if (wanted)
			continue;
		a->old[n++] = *g;
	}
	a->n_old = n;
}

/* The link by name is that of the action now, which may be a former one: it follows then. */
static void take_names(struct sv_actual *a, struct sv_action *action)
{
	bool former = strcmp(action->ns, a->ns) != 0 || strcmp(action->pod, a->pod) != 0;

	free(a->former_ns);
	free(a->former_pod);
	a->former_ns = former ? SV_TAKE(action->ns) : NULL;
	a->former_pod = former ? SV_TAKE(action->pod) : NULL;
}

/* What is on disk now, without the values. */
static void take_plan(struct sv_actual *a, struct sv_action *action)
{
	sv_plan_free(a->plan);
	a->plan = SV_TAKE(action->plan);
	sv_plan_forget(a->plan);
	a->as_planned = true;
}

static enum sv_outcome finish_sync(const struct sv_desired *d, struct sv_actuals *s,
				   struct sv_actual *a, struct sv_action *action,
				   const struct sv_reconcile_opts *opts, int64_t now_ms,
				   int64_t unix_ms)
{
	bool first = !a->plan; /* in this life */
	struct sv_wanted *w;

	a->mounted = action->is_mounted;
	a->covered = action->covered;
	a->littered = !a->mounted && action->result < 0;
	a->medium = action->medium;
	take_old(s, a, action, now_ms + opts->grace_ms);
	if (action->result == -ENOSPC && a->n_old > 0) {
		a->full = a->input = true; /* there will be room when an old generation has gone */
		return set_state(a, SV_STATE_STALE, fault_reason(action->fault), action->err.msg);
	}
	if (action->result > 0)
		return refuse(a, fault_reason(action->fault), action->err.msg);
	if (action->result < 0)
		return fail(s, a, fault_reason(action->fault), action->err.msg, now_ms);
	take_names(a, action);
	w = sv_desired_wanted(d, a->id);
	if (w)
		(void)sv_desired_pin(w, action->plan); /* at worst a deletion shows too early */
	a->generation = action->current;
	if (action->changed || first) /* the next start finds the same time on disk */
		a->updated_ms = action->current_ms ? action->current_ms : unix_ms;
	if (a->published_ms == 0)
		a->published_ms = action->born_ms ? action->born_ms : a->updated_ms;
	take_plan(a, action);
	clear_retry(a);
	if (set_state(a, SV_STATE_PUBLISHED, "", NULL) == SV_OUTCOME_NONE && !action->changed)
		return SV_OUTCOME_NONE;
	if (!action->changed)
		return first ? SV_OUTCOME_ADOPTED : SV_OUTCOME_STATE;
	return action->current == 1 ? SV_OUTCOME_PUBLISHED : SV_OUTCOME_UPDATED;
}

static enum sv_outcome finish_remove(const struct sv_desired *d, struct sv_actuals *s,
				     struct sv_actual *a, struct sv_action *action, int64_t now_ms)
{
	struct sv_wanted *w;

	a->mounted = action->is_mounted;
	a->littered = !a->mounted && action->result < 0;
	if (!a->mounted) { /* what was waited for went with it */
		set_old(s, a, NULL, 0);
		a->full = false;
	}
	if (action->result < 0)
		return fail(s, a, fault_reason(action->fault), action->err.msg, now_ms);
	clear_retry(a);
	a->generation = 0;
	a->published_ms = a->updated_ms = 0;
	sv_plan_free(a->plan);
	a->plan = NULL;
	w = sv_desired_wanted(d, a->id);
	if (!w)
		return SV_OUTCOME_REMOVED;
	sv_desired_unpin(w);
	a->input = true; /* wanted again, or unused: start() says which */
	sv_actuals_enqueue(s, a, false);
	return set_state(a, SV_STATE_PENDING, "", NULL);
}

enum sv_outcome sv_reconcile_overdue(const struct sv_desired *d, struct sv_actual *a, bool begun)
{
	if (!a->overdue) {
		a->before.state = a->state;
		a->before.reason = a->reason;
		a->before.message = SV_TAKE(a->message);
	}
	a->overdue = true;
	set_state(a, overdue_state(d, a), "Busy",
		  begun ? "work on it has not come to an end" : "it waits for a worker");
	return SV_OUTCOME_FAILED;
}

/* The action has come to its end after all. */
static void end_overdue(struct sv_actual *a)
{
	free(a->message);
	a->state = a->before.state;
	a->reason = a->before.reason;
	a->message = SV_TAKE(a->before.message);
	a->overdue = false;
}

enum sv_outcome sv_reconcile_finish(const struct sv_desired *d, struct sv_actuals *s,
				    struct sv_actual *a, struct sv_action *action,
				    const struct sv_reconcile_opts *opts, int64_t now_ms,
				    int64_t unix_ms)
{
	enum sv_outcome outcome = SV_OUTCOME_NONE;
	bool overdue = a->overdue;

	a->busy = false;
	if (overdue)
		end_overdue(a);
	switch (action->kind) {
	case SV_ACTION_SYNC:
		outcome = finish_sync(d, s, a, action, opts, now_ms, unix_ms);
		break;
	case SV_ACTION_CLEAN:
		finish_clean(a, action,
			     now_ms + (action->fault == SV_FAULT_OCCUPIED ? SV_COVERED_MS :
									    SV_RETRY_FIRST_MS));
		break;
	case SV_ACTION_REMOVE:
		outcome = finish_remove(d, s, a, action, now_ms);
		break;
	}
	if (overdue && outcome == SV_OUTCOME_NONE)
		outcome = SV_OUTCOME_STATE; /* as it was before */
	if (outcome != SV_OUTCOME_REMOVED && (a->input || !sv_desired_wanted(d, a->id)))
		sv_actuals_enqueue(s, a, false); /* something arrived while it was busy */
	return outcome;
}

struct sv_actual *sv_reconcile_adopt(struct sv_actuals *s, struct sv_adopted *found, int64_t due_ms)
{
	struct sv_actual *a = sv_actuals_make(s, found->id);
	size_t i;

	if (!a)
		return NULL;
	if (!set_text(&a->ns, found->ns) || !set_text(&a->pod, found->pod)) {
		sv_actuals_drop(s, a); /* without its names its link would outlive it */
		return NULL;
	}
	a->mounted = true;
	a->medium = found->medium;
	a->state = SV_STATE_PENDING;
	a->generation = found->generation;
	a->updated_ms = found->current_ms;
	a->published_ms = found->born_ms;
	for (i = 0; i < found->n_old; i++)
		found->old[i].due_ms = due_ms;
	set_old(s, a, SV_TAKE(found->old), found->n_old);
	sv_actuals_enqueue(s, a, false);
	return a;
}
