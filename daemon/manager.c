/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "manager.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/base/text.h"
#include "log.h"
#include "process.h"
#include "source/source.h"

/* Enough to keep the threads fed, few enough that plans and their Secrets are held briefly. */
#define IN_FLIGHT_MAX 32
#define TRIM_SIZE (256 << 10)
#define IN_FLIGHT_SIZE_MAX (4 << 20) /* bytes; an action that is larger goes alone */

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t sv_monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t sv_unix_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

struct sv_status_env sv_manager_now(const struct sv_manager *m)
{
	return (struct sv_status_env){ m->node->root, sv_monotonic_ms(), sv_unix_ms() };
}

/* ---- telling others ------------------------------------------------------------------------ */

/* The Pod that owns a record, if it is still wanted. */
static struct sv_desired_pod *pod_of(const struct sv_manager *m, const struct sv_actual *a)
{
	struct sv_desired_pod *p;

	if (a->origin < 0)
		return NULL;
	p = sv_desired_pod_of(&m->desired, (enum sv_origin)a->origin, a->ns, a->pod);
	return p && strcmp(p->pod->uid, a->uid) == 0 ? p : NULL;
}

static void feed_pod(struct sv_manager *m, const struct sv_desired_pod *p, const char *type)
{
	if (sv_feed_has_readers(&m->feed, SV_TOPIC_PODS))
		sv_feed_add(&m->feed, SV_TOPIC_PODS, type,
			    sv_status_pod(&m->desired, &m->actuals, &m->handouts, p));
}

/* @last: the record is about to be dropped. */
static void feed_volume(struct sv_manager *m, const struct sv_actual *a, const char *type,
			bool last)
{
	const struct sv_desired_pod *p;

	if (m->on_change)
		m->on_change(m->arg);
	if (sv_feed_has_readers(&m->feed, SV_TOPIC_VOLUMES)) {
		const struct sv_status_env env = sv_manager_now(m);

		sv_feed_add(&m->feed, SV_TOPIC_VOLUMES, type,
			    sv_status_volume(&m->desired, a, &env));
	}
	/* a new volume comes with its Pod, which is told of next */
	if (!sv_feed_has_readers(&m->feed, SV_TOPIC_PODS) || strcmp(type, "ADDED") == 0)
		return;
	p = pod_of(m, a);
	if (p)
		feed_pod(m, p, "MODIFIED");
	else if (!last)
		sv_feed_add(&m->feed, SV_TOPIC_PODS, "MODIFIED",
			    sv_status_gone_pod(&m->actuals, a));
}

/* After a record was dropped: a Pod that is not wanted is gone with its last volume. */
static void feed_gone_pod(struct sv_manager *m, const char *ns, const char *pod, const char *uid)
{
	sv_autofree char *prefix = sv_asprintf("pods/%s/", uid);
	struct json_object *o;
	size_t i;

	if (!sv_feed_has_readers(&m->feed, SV_TOPIC_PODS))
		return;
	if (!prefix) {
		sv_feed_add(&m->feed, SV_TOPIC_PODS, "DELETED", NULL);
		return;
	}
	i = sv_strmap_lower(&m->actuals.records, prefix);
	if (i < m->actuals.records.n &&
	    strncmp(m->actuals.records.entries[i].key, prefix, strlen(prefix)) == 0)
		return;
	o = json_object_new_object();
	sv_json_text(o, "namespace", ns);
	sv_json_text(o, "name", pod);
	sv_json_text(o, "uid", uid);
	sv_feed_add(&m->feed, SV_TOPIC_PODS, "DELETED", o);
}

static const struct sv_event *add_pod_event(struct sv_manager *m, const char *ns, const char *pod,
					    const char *volume, bool warning, const char *reason,
					    const char *message)
{
	const struct sv_event *e =
		sv_events_add(&m->events, sv_unix_ms(), warning, reason, ns, pod, volume, message);

	if (e && sv_feed_has_readers(&m->feed, SV_TOPIC_EVENTS))
		sv_feed_add(&m->feed, SV_TOPIC_EVENTS, e->count > 1 ? "MODIFIED" : "ADDED",
			    sv_event_json(e));
	return e;
}

static void add_event(struct sv_manager *m, const struct sv_actual *a, bool warning,
		      const char *reason, const char *message)
{
	const struct sv_event *e =
		add_pod_event(m, a->ns, a->pod, a->volume, warning, reason, message);
	struct sv_source *source = a->origin >= 0 ? m->sources[a->origin] : NULL;
	const struct sv_desired_pod *p = e && source && source->event ? pod_of(m, a) : NULL;

	if (p)
		source->event(source, p->pod, e);
}

/* "NAME@GENERATION" of every Secret of a volume, or with the API's resourceVersion: who was published what. */
static char *versions_of(const struct sv_manager *m, const struct sv_actual *a)
{
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; a->plan && a->origin >= 0 && i < a->plan->n_secrets; i++) {
		const char *name = a->plan->secrets[i].name;
		const struct sv_desired_secret *s =
			sv_desired_secret(&m->desired, (enum sv_origin)a->origin, a->ns, name);

		sv_buf_printf(&b, "%s%s@", i ? " " : "", name);
		if (s && s->secret && *s->secret->resource_version)
			sv_buf_puts(&b, s->secret->resource_version);
		else
			sv_buf_printf(&b, "%llu",
				      (unsigned long long)(s && s->secret ? s->generation : 0));
	}
	return sv_buf_take(&b);
}

static struct sv_log_fields fields_of(const struct sv_actual *a, enum sv_log_id id)
{
	return (struct sv_log_fields){
		.id = id,
		.ns = a->ns,
		.pod = a->pod,
		.uid = a->uid,
		.volume = a->volume,
		.reason = a->reason,
		.generation = a->generation,
	};
}

static void report_failure(struct sv_manager *m, const struct sv_actual *a)
{
	const struct sv_log_fields fields = fields_of(a, SV_LOG_NOT_PUBLISHED);
	bool removing = a->state == SV_STATE_REMOVING;
	const char *text = a->message ? a->message : "";
	sv_autofree char *message = sv_asprintf(
		"%s failed for volume \"%s\" : %s",
		removing ? "UnmountVolume.TearDown" : "MountVolume.SetUp", a->volume, text);
	/* Repetitions are the event's count, not more lines. */
	enum sv_log_level level = a->overdue       ? SV_LOG_WARNING :
				  a->retry_ms == 0 ? SV_LOG_INFO :
				  a->failures <= 1 ? SV_LOG_WARNING :
						     SV_LOG_DEBUG;

	if (message)
		add_event(m, a, true, removing ? "FailedUnMount" : "FailedMount", message);
	sv_log_event(level, &fields, "volume %s/%s/%s: %s: %s: %s%s", a->ns, a->pod, a->volume,
		     sv_state_name(a->state), a->reason, text,
		     a->retry_ms && !a->overdue ? "; will be retried" : "");
}

/* One line for each publication: which Pod's volume got which generation of what. */
static void report_published(struct sv_manager *m, const struct sv_actual *a, bool first,
			     int64_t duration_us)
{
	struct sv_log_fields fields = fields_of(a, first ? SV_LOG_PUBLISHED : SV_LOG_UPDATED);
	sv_autofree char *versions = versions_of(m, a), *message = NULL;

	message = first ? sv_asprintf("MountVolume.SetUp succeeded for volume \"%s\"", a->volume) :
			  sv_asprintf("volume \"%s\" has generation %llu", a->volume,
				      (unsigned long long)a->generation);
	if (message)
		add_event(m, a, false, first ? "SuccessfulMountVolume" : "SecretUpdated", message);
	fields.secret = versions;
	fields.duration_us = duration_us;
	sv_log_event(SV_LOG_INFO, &fields, "volume %s/%s/%s: %s generation %llu from %s", a->ns,
		     a->pod, a->volume, first ? "published" : "updated to",
		     (unsigned long long)a->generation,
		     versions && *versions ? versions : "no secrets");
}

static void report(struct sv_manager *m, struct sv_actual *a, enum sv_outcome outcome,
		   int64_t duration_us)
{
	switch (outcome) {
	case SV_OUTCOME_NONE:
	case SV_OUTCOME_REMOVED: /* tell_removed() and drop() tell */
		return;
	case SV_OUTCOME_STATE:
	case SV_OUTCOME_ADOPTED:
		sv_log_debug("volume %s/%s/%s: %s", a->ns, a->pod, a->volume,
			     outcome == SV_OUTCOME_ADOPTED ? "adopted" : sv_state_name(a->state));
		break;
	case SV_OUTCOME_PUBLISHED:
	case SV_OUTCOME_UPDATED:
		report_published(m, a, outcome == SV_OUTCOME_PUBLISHED, duration_us);
		break;
	case SV_OUTCOME_FAILED:
		report_failure(m, a);
		break;
	}
	feed_volume(m, a, "MODIFIED", false);
}

/*
 * Another Pod may have the name by now, and the link by name may have gone with the volume that had
 * it before, if both were published at one time: a volume that is looked at links itself again.
 */
static void look_at_heir(struct sv_manager *m, const char *ns, const char *pod, const char *volume)
{
	const struct sv_desired_pod *p = sv_desired_pod(&m->desired, ns, pod);
	struct sv_actual *a;
	size_t i;

	for (i = 0; p && i < p->pod->n_volumes; i++) {
		const struct sv_volume *v = &p->pod->volumes[i];
		sv_autofree char *id =
			strcmp(v->name, volume) == 0 ? sv_desired_id(p->pod, v) : NULL;

		a = id ? sv_actuals_get(&m->actuals, id) : NULL;
		if (!a || !a->mounted)
			continue;
		a->input = true;
		sv_actuals_enqueue(&m->actuals, a, false);
		m->dirty = true;
	}
}

/* Its record may stay for a while, if it is to be looked at once more. */
static void tell_removed(struct sv_manager *m, const struct sv_actual *a)
{
	const struct sv_log_fields fields = fields_of(a, SV_LOG_REMOVED);

	add_event(m, a, false, "VolumeRemoved", "volume is no longer wanted and was removed");
	sv_log_event(SV_LOG_INFO, &fields, "volume %s/%s/%s: removed", a->ns, a->pod, a->volume);
	look_at_heir(m, a->ns, a->pod, a->volume);
}

/* The record has served its time. */
static void drop(struct sv_manager *m, struct sv_actual *a)
{
	sv_autofree char *ns = strdup(a->ns), *pod = strdup(a->pod), *uid = strdup(a->uid);
	bool wanted;

	feed_volume(m, a, "DELETED", true);
	wanted = pod_of(m, a) != NULL;
	sv_actuals_drop(&m->actuals, a);
	if (!wanted && ns && pod && uid)
		feed_gone_pod(m, ns, pod, uid);
	else if (!wanted)
		sv_feed_add(&m->feed, SV_TOPIC_PODS, "DELETED", NULL);
}

/* ---- work ---------------------------------------------------------------------------------- */

static void run(struct sv_manager *m);

static void on_changed(void *arg, const char *id);

/* Wanted volumes without a record: there was no memory for one. */
static void find_lost(struct sv_manager *m)
{
	size_t i;

	m->lost = false;
	for (i = 0; i < m->desired.wanted.n; i++) {
		const struct sv_wanted *w = m->desired.wanted.entries[i].value;

		if (!sv_actuals_get(&m->actuals, w->id))
			on_changed(m, w->id);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct sv_manager *m = timer->data;

	m->dirty = true; /* looked at by on_prepare() before the loop waits */
	if (m->lost)
		find_lost(m);
}

static void on_prepare(uv_prepare_t *prepare)
{
	run(prepare->data);
}

static void on_check(uv_check_t *check)
{
	run(check->data);
}

/* Something happened to a wanted volume, or to one that is no longer wanted. */
static void on_changed(void *arg, const char *id)
{
	struct sv_manager *m = arg;
	bool known = sv_actuals_get(&m->actuals, id) != NULL;
	const struct sv_wanted *w = sv_desired_wanted(&m->desired, id);
	struct sv_actual *a;

	m->dirty = true;
	if (!known && !w)
		return;
	a = sv_actuals_make(&m->actuals, id);
	if (!a) {
		sv_log_err("volume %s: out of memory", id);
		m->lost = true;
		return;
	}
	a->input = true;
	if (!w)
		a->changed_us = 0;
	else if (a->changed_us == 0)
		a->changed_us = (int64_t)(uv_hrtime() / 1000);
	sv_actuals_enqueue(&m->actuals, a, !w);
	if (!w || (known && strcmp(a->ns, w->pod->ns) == 0 && strcmp(a->pod, w->pod->name) == 0))
		return;
	if (known) /* a Pod of this uid has another name now */
		feed_volume(m, a, "DELETED", true);
	if (sv_reconcile_identify(a, w) == 0)
		feed_volume(m, a, "ADDED", false);
}

static bool waits(void *arg, const char *id)
{
	const struct sv_actual *a = sv_actuals_get(&((struct sv_manager *)arg)->actuals, id);

	return a && (a->queued || a->input);
}

static int refill(void *arg, enum sv_origin origin, struct sv_secret *secret, struct sv_err *err)
{
	struct sv_manager *m = arg;
	struct sv_source *source = m->sources[origin];

	sv_manager_tidy(m);
	if (source && source->refill)
		return source->refill(source, secret, err);
	return sv_err_set(err, SV_PLAN_E_UNAVAILABLE,
			  "secret \"%s\": its values were forgotten once published, and its source "
			  "does not give them again",
			  secret->name);
}

static void on_done(void *arg, struct sv_action *action)
{
	struct sv_manager *m = arg;
	struct sv_actual *a = sv_actuals_get(&m->actuals, action->id);
	const bool resisted = a->resists;
	enum sv_outcome outcome;
	int64_t duration_us;

	if (a->overdue)
		sv_log_notice("volume %s/%s/%s: work on it has come to an end after %lld s", a->ns,
			      a->pod, a->volume,
			      (long long)(sv_monotonic_ms() - a->busy_since_ms) / 1000);
	outcome = sv_reconcile_finish(&m->desired, &m->actuals, a, action, &m->opts,
				      sv_monotonic_ms(), sv_unix_ms());
	sv_metrics_carried_out(&m->metrics, a, action, outcome);
	/* The change still waits, and has for longer than what came since. */
	if (action->result < 0 && action->since_us)
		a->changed_us = action->since_us;
	/* Once: whoever holds a part of an old generation may do so for as long as it likes. */
	if (action->kind == SV_ACTION_CLEAN && action->result < 0 && !resisted)
		sv_log_warn("volume %s/%s/%s: %s; will be retried", a->ns, a->pod, a->volume,
			    action->err.msg);
	duration_us = action->duration_us;
	sv_action_free(action);
	if (outcome == SV_OUTCOME_REMOVED)
		tell_removed(m, a);
	if (outcome == SV_OUTCOME_REMOVED && !a->queued)
		drop(m, a);
	else
		report(m, a, outcome, duration_us);
	m->dirty = true;
}

/*
 * How long does a change take to be seen? It is measured to the end of the action that makes it
 * visible; one that is refused never is, and what mends it is a new one.
 */
static void note_change(struct sv_actual *a, struct sv_action *action)
{
	if (action && action->kind == SV_ACTION_SYNC) {
		action->since_us = a->changed_us;
		a->changed_us = 0;
	} else if (a->state == SV_STATE_UNUSED ||
		   (!a->input && a->retry_ms == 0 && a->state != SV_STATE_PENDING)) {
		a->changed_us = 0;
	}
}

static void look_at(struct sv_manager *m, struct sv_actual *a)
{
	struct sv_action *action = NULL;
	enum sv_outcome outcome = sv_reconcile_start(&m->desired, &m->actuals, a, &m->opts,
						     sv_monotonic_ms(), &action);

	if (outcome == SV_OUTCOME_REMOVED) {
		drop(m, a);
		return;
	}
	sv_metrics_decided(&m->metrics, a, outcome);
	note_change(a, action);
	if (action && sv_worker_start(&m->worker, action) < 0) {
		action->result = -ENOMEM;
		sv_err_set(&action->err, -ENOMEM, "cannot start work");
		on_done(m, action);
		return;
	}
	report(m, a, outcome, 0);
}

static bool has_old_generations(const struct sv_manager *m)
{
	size_t i;

	for (i = 0; i < m->actuals.n_timed; i++)
		if (m->actuals.timed[i]->n_old > 0)
			return true;
	return false;
}

/* A source that answers for each Secret has not done so for all yet. */
static bool has_unanswered(const struct sv_manager *m)
{
	size_t i;

	for (i = 0; i < m->actuals.records.n; i++) {
		const struct sv_actual *a = m->actuals.records.entries[i].value;

		if (a->state == SV_STATE_PENDING && !*a->reason && a->origin >= 0 &&
		    m->desired.by_secret[a->origin])
			return true;
	}
	return false;
}

static void settle(struct sv_manager *m)
{
	if (m->settled || m->worker.in_flight > (m->stopping ? 0 : m->worker.stuck))
		return;
	if (!m->stopping && m->drain && has_old_generations(m))
		return;
	if (!m->stopping && (m->lost || !sv_desired_all_synced(&m->desired) || has_unanswered(m)))
		return;
	m->settled = true;
	if (m->on_settled)
		m->on_settled(m->arg);
}

/* Nobody waits for values: what can be had again goes, its memory to the system if it was much. */
static void tidy(struct sv_manager *m)
{
	m->untidy = false;
	if (sv_desired_forget(&m->desired) > TRIM_SIZE)
		sv_process_trim_memory();
	sv_process_wipe_stack();
}

static bool may_start(const struct sv_worker *w)
{
	return w->in_flight == w->stuck ||
	       (w->in_flight < IN_FLIGHT_MAX && w->in_flight_size < IN_FLIGHT_SIZE_MAX);
}

/* Before volumes are looked at: a new one may need a Secret that has to be asked about first. */
static void attend(struct sv_manager *m)
{
	int o;

	for (o = 0; o < SV_N_ORIGINS; o++)
		if (m->sources[o] && m->sources[o]->attend)
			m->sources[o]->attend(m->sources[o]);
}

static void on_overdue(void *arg, const struct sv_action *action, bool begun)
{
	struct sv_manager *m = arg;
	struct sv_actual *a = sv_actuals_get(&m->actuals, action->id);

	if (a)
		report(m, a, sv_reconcile_overdue(&m->desired, a, begun), 0);
}

static bool is_reading(const struct sv_manager *m)
{
	int o;

	for (o = 0; o < SV_N_ORIGINS; o++)
		if (m->desired.reading[o])
			return true;
	return false;
}

static void work(struct sv_manager *m)
{
	struct sv_actual *a = NULL;
	int64_t wait, overdue;

	m->dirty = false;
	if (m->stopping) {
		settle(m);
		return;
	}
	attend(m);
	overdue = sv_worker_overdue(&m->worker, SV_OVERDUE_MS, on_overdue, m);
	(void)sv_actuals_wake(&m->actuals, sv_monotonic_ms());
	while (may_start(&m->worker) && (a = sv_actuals_dequeue(&m->actuals)))
		look_at(m, a);
	if (!a && m->worker.in_flight == 0 && !is_reading(m) && m->untidy)
		tidy(m);
	wait = sv_actuals_wait(&m->actuals, sv_monotonic_ms()); /* what failed just now, too */
	if (m->worker.in_flight > m->worker.stuck && (overdue < 0 || overdue > SV_OVERDUE_MS))
		overdue = SV_OVERDUE_MS; /* for those that were started just now */
	if (wait < 0 || (overdue >= 0 && overdue < wait))
		wait = overdue;
	if (m->lost && (wait < 0 || wait > SV_RETRY_FIRST_MS))
		wait = SV_RETRY_FIRST_MS;
	if (wait >= 0)
		uv_timer_start(&m->timer, on_timer, (uint64_t)wait + 1, 0);
	else
		uv_timer_stop(&m->timer);
	if (!m->dirty)
		settle(m);
}

/* Before the loop waits nothing may be left to do: what this does can make more. */
static void run(struct sv_manager *m)
{
	while (m->dirty)
		work(m);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void on_interest(void *arg, enum sv_origin origin, const char *ns, const char *name)
{
	struct sv_manager *m = arg;

	if (m->sources[origin] && m->sources[origin]->interest)
		m->sources[origin]->interest(m->sources[origin], ns, name);
	m->dirty = true;
}

int sv_manager_init(struct sv_manager *m, uv_loop_t *loop, struct sv_node *node,
		    const struct sv_reconcile_opts *opts)
{
	*m = (struct sv_manager){ .loop = loop, .node = node, .opts = *opts };
	sv_desired_init(&m->desired, on_changed, m);
	m->desired.interest = on_interest;
	m->desired.waits = waits;
	m->desired.refill = refill;
	sv_actuals_init(&m->actuals);
	sv_metrics_init(&m->metrics);
	m->worker = (struct sv_worker){ .loop = loop, .node = node, .done = on_done, .arg = m };
	m->timer.data = m->prepare.data = m->check.data = m;
	uv_timer_init(loop, &m->timer);
	uv_prepare_init(loop, &m->prepare);
	uv_check_init(loop, &m->check);
	uv_prepare_start(&m->prepare, on_prepare);
	uv_check_start(&m->check, on_check);
	return 0;
}

static int adopt(void *arg, struct sv_adopted *found)
{
	struct sv_manager *m = arg;

	return sv_reconcile_adopt(&m->actuals, found, sv_monotonic_ms() + m->opts.grace_ms) ?
		       0 :
		       -ENOMEM;
}

int sv_manager_adopt(struct sv_manager *m, struct sv_err *err)
{
	m->dirty = true;
	return sv_node_adopt(m->node, adopt, m, err);
}

static int warn_no_memory(int r, const char *what, const char *ns, const char *name)
{
	if (r < 0)
		sv_log_err("%s %s/%s: out of memory", what, ns, name);
	return r;
}

int sv_manager_put_pod(struct sv_manager *m, enum sv_origin origin, struct sv_pod *pod)
{
	struct sv_desired_pod *p = sv_desired_pod_of(&m->desired, origin, pod->ns, pod->name);
	struct sv_pod *old = p ? sv_pod_ref(p->pod) : NULL;
	int r = sv_desired_put_pod(&m->desired, origin, pod, sv_unix_ms());

	p = sv_desired_pod_of(&m->desired, origin, pod->ns, pod->name);
	if (old && p && strcmp(old->uid, p->pod->uid) != 0) /* another Pod of the same name */
		sv_handouts_forget(&m->handouts, old->uid);
	if (p)
		feed_pod(m, p, old ? "MODIFIED" : "ADDED");
	sv_pod_unref(old);
	m->dirty = true;
	return warn_no_memory(r, "pod", pod->ns, pod->name);
}

void sv_manager_remove_pod(struct sv_manager *m, enum sv_origin origin, const char *ns,
			   const char *name)
{
	const struct sv_desired_pod *p = sv_desired_pod_of(&m->desired, origin, ns, name);
	struct sv_pod *pod = p ? sv_pod_ref(p->pod) : NULL;

	sv_desired_remove_pod(&m->desired, origin, ns, name);
	if (pod) {
		sv_handouts_forget(&m->handouts, pod->uid);
		feed_gone_pod(m, ns, name, pod->uid);
		sv_pod_unref(pod);
	}
	m->dirty = true;
}

/* Environments that were made from the Secret have become stale: their Pods say so. */
static void feed_stale(struct sv_manager *m, enum sv_origin origin, const char *ns,
		       const char *secret)
{
	size_t i;

	for (i = 0; i < m->handouts.items.n; i++) {
		const struct sv_handout *h = m->handouts.items.entries[i].value;
		const struct sv_desired_pod *p;

		if (!sv_handout_uses(h, origin, ns, secret))
			continue;
		p = sv_desired_pod(&m->desired, h->ns, h->pod);
		if (p)
			feed_pod(m, p, "MODIFIED");
	}
}

int sv_manager_put_secret(struct sv_manager *m, enum sv_origin origin, struct sv_secret *secret)
{
	int r = sv_desired_put_secret(&m->desired, origin, secret, sv_unix_ms());

	feed_stale(m, origin, secret->ns, secret->name);
	sv_manager_tidy(m);
	return warn_no_memory(r, "secret", secret->ns, secret->name);
}

void sv_manager_remove_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			      const char *name)
{
	sv_desired_remove_secret(&m->desired, origin, ns, name);
	feed_stale(m, origin, ns, name);
}

int sv_manager_refuse_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			     const char *name, const char *text)
{
	return warn_no_memory(sv_desired_refuse_secret(&m->desired, origin, ns, name, text),
			      "secret", ns, name);
}

int sv_manager_trouble_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			      const char *name, int trouble, const char *text)
{
	return warn_no_memory(
		sv_desired_trouble_secret(&m->desired, origin, ns, name, trouble, text), "secret",
		ns, name);
}

void sv_manager_forget_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			      const char *name)
{
	sv_desired_forget_secret(&m->desired, origin, ns, name);
}

void sv_manager_report_stuck(struct sv_manager *m)
{
	if (m->on_stuck)
		m->on_stuck(m->arg);
}

bool sv_manager_has_orphans(const struct sv_manager *m)
{
	size_t i;

	for (i = 0; i < m->actuals.records.n; i++) {
		const struct sv_actual *a = m->actuals.records.entries[i].value;

		if (a->mounted && !sv_desired_wanted(&m->desired, a->id))
			return true;
	}
	return false;
}

void sv_manager_set_reading(struct sv_manager *m, enum sv_origin origin, bool reading)
{
	sv_desired_set_reading(&m->desired, origin, reading);
	sv_manager_tidy(m);
}

bool sv_manager_fill_secret(struct sv_manager *m, enum sv_origin origin, struct sv_secret *wanted,
			    const struct sv_secret *from)
{
	return sv_desired_fill(&m->desired, origin, wanted, from);
}

void sv_manager_offer_secret(struct sv_manager *m, enum sv_origin origin,
			     const struct sv_secret *from)
{
	sv_desired_offer(&m->desired, origin, from);
}

void sv_manager_tidy(struct sv_manager *m)
{
	m->untidy = m->dirty = true;
}

void sv_manager_set_keep(struct sv_manager *m, enum sv_keep keep)
{
	sv_desired_set_keep(&m->desired, keep);
	sv_manager_tidy(m);
}

/* Who got values of which Secrets: names and generations only. */
static void log_handout(const struct sv_manager *m, const struct sv_desired_pod *p,
			const struct sv_container *c, const struct sv_env *env)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_log_fields fields = {
		.id = SV_LOG_ENVIRONMENT, .ns = p->pod->ns, .pod = p->pod->name, .uid = p->pod->uid
	};
	size_t i;

	for (i = 0; i < env->n_secrets; i++) {
		const struct sv_desired_secret *s =
			sv_desired_secret(&m->desired, p->origin, p->pod->ns, env->secrets[i].name);

		sv_buf_printf(&b, "%s%s@%llu", i ? " " : "", env->secrets[i].name,
			      (unsigned long long)(s && s->secret ? s->generation : 0));
	}
	fields.secret = b.ptr;
	sv_log_event(SV_LOG_INFO, &fields,
		     "environment of container %s of pod %s/%s handed out, from %s", c->name,
		     p->pod->ns, p->pod->name, b.len ? b.ptr : "no secrets");
}

int sv_manager_env(struct sv_manager *m, const char *ns, const char *name, const char *container,
		   const struct sv_env_opts *opts, const struct sv_desired_pod **pod,
		   const struct sv_container **c, struct sv_env **ret, struct sv_err *err)
{
	const struct sv_desired_pod *p = sv_desired_pod(&m->desired, ns, name);
	sv_autofree char *text = NULL;
	size_t i;
	int r;

	*pod = p;
	*c = p ? sv_pod_container(p->pod, container) : NULL;
	if (!p)
		sv_err_set(err, 0, "pod \"%s\" not found in namespace \"%s\"", name, ns);
	else if (!*c)
		sv_err_set(err, 0, "container \"%s\" not found in pod \"%s\"",
			   container ? container : "", name);
	if (!*c)
		return -ENOENT;
	r = sv_desired_env(&m->desired, p->origin, p->pod, *c, opts, ret, err);
	sv_manager_tidy(m);
	if (r > 0) {
		text = sv_asprintf("Error: %s", err->msg);
		add_pod_event(m, ns, name, "", true, "Failed", text ? text : err->msg);
	}
	if (r != 0)
		return r;
	for (i = 0; i < (*ret)->n_notices; i++)
		add_pod_event(m, ns, name, "", true, "InvalidEnvironmentVariableNames",
			      (*ret)->notices[i]);
	return 0;
}

int sv_manager_lease(struct sv_manager *m, const char *ns, const char *name, const char *container,
		     void (*ready)(void *arg), void *arg, struct sv_env_lease *ret)
{
	const struct sv_desired_pod *p = sv_desired_pod(&m->desired, ns, name);
	const struct sv_container *c = p ? sv_pod_container(p->pod, container) : NULL;
	struct sv_source *source = p ? m->sources[p->origin] : NULL;
	sv_autofree const char **names = NULL;
	struct sv_lease *lease = NULL;
	bool wait = false;
	size_t n;
	int r;

	*ret = (struct sv_env_lease){ 0 };
	if (!c || !source || !source->lease)
		return 0;
	r = sv_env_secret_names(c, &names, &n);
	if (r == 0 && n > 0)
		r = source->lease(source, ns, names, n, ready, arg, &lease, &wait);
	if (r == 0 && n > 0)
		*ret = (struct sv_env_lease){ source, lease, wait };
	return r;
}

void sv_manager_release(struct sv_env_lease *l)
{
	if (l->lease)
		l->source->release(l->source, l->lease);
	*l = (struct sv_env_lease){ 0 };
}

void sv_manager_handed_out(struct sv_manager *m, const struct sv_desired_pod *p,
			   const struct sv_container *c, const struct sv_env *env)
{
	(void)warn_no_memory(sv_handouts_note(&m->handouts, &m->desired, p->origin, p->pod, c, env,
					      sv_unix_ms()),
			     "pod", p->pod->ns, p->pod->name);
	feed_pod(m, p, "MODIFIED");
	log_handout(m, p, c, env);
	m->metrics.environments++;
}

/* @to_go_only: those that are to have no volume, also as no container mounts it. */
static void look_at_all(struct sv_manager *m, bool to_go_only)
{
	size_t i;

	for (i = 0; i < m->actuals.records.n; i++) {
		struct sv_actual *a = m->actuals.records.entries[i].value;
		const struct sv_wanted *w = sv_desired_wanted(&m->desired, a->id);
		bool stays = w && w->used;

		if (stays && to_go_only)
			continue;
		a->input = true;
		sv_actuals_enqueue(&m->actuals, a, !stays);
	}
	m->dirty = true;
}

void sv_manager_set_synced(struct sv_manager *m, enum sv_origin origin)
{
	if (m->desired.synced[origin])
		return;
	sv_desired_set_synced(&m->desired, origin);
	look_at_all(m, true); /* it may go now */
}

void sv_manager_set_opts(struct sv_manager *m, const struct sv_reconcile_opts *opts)
{
	m->opts = *opts;
	look_at_all(m, false);
}

void sv_manager_count(const struct sv_manager *m, size_t counts[SV_N_STATES])
{
	size_t i;

	memset(counts, 0, SV_N_STATES * sizeof(*counts));
	for (i = 0; i < m->actuals.records.n; i++)
		counts[((struct sv_actual *)m->actuals.records.entries[i].value)->state]++;
}

void sv_manager_each_pod(const struct sv_manager *m, void (*fn)(void *arg, struct json_object *pod),
			 void *arg)
{
	const char *last = "";
	size_t i;
	int o;

	for (o = 0; o < SV_N_ORIGINS; o++)
		for (i = 0; i < m->desired.pods[o].n; i++)
			fn(arg, sv_status_pod(&m->desired, &m->actuals, &m->handouts,
					      m->desired.pods[o].entries[i].value));
	for (i = 0; i < m->actuals.records.n; i++) {
		const struct sv_actual *a = m->actuals.records.entries[i].value;

		if (strcmp(last, a->uid) == 0)
			continue; /* records of one Pod stand together */
		last = a->uid;
		if (!pod_of(m, a))
			fn(arg, sv_status_gone_pod(&m->actuals, a));
	}
}

void sv_manager_stop(struct sv_manager *m)
{
	m->stopping = m->dirty = true;
	m->settled = false;
	uv_timer_start(&m->timer, on_timer, 0, 0); /* the loop may be about to wait */
}

void sv_manager_close(struct sv_manager *m)
{
	uv_close((uv_handle_t *)&m->timer, NULL);
	uv_close((uv_handle_t *)&m->prepare, NULL);
	uv_close((uv_handle_t *)&m->check, NULL);
}

void sv_manager_done(struct sv_manager *m)
{
	sv_desired_done(&m->desired);
	sv_actuals_done(&m->actuals);
	sv_handouts_done(&m->handouts);
	sv_events_done(&m->events);
	sv_feed_done(&m->feed);
}
