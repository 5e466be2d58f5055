/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "kube.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/text.h"
#include "../../lib/core/decode.h"
#include "../log.h"
#include "kube_events.h"
#include "kube_watch.h"

#define ORIGIN SV_ORIGIN_API
#define AUTH_CHECK_MS 1000 /* how often the files of the credentials are looked at */
#define TROUBLE_FAILURES 2 /* in a row, before a Secret counts as unavailable */

struct kube;

/* A complaint about one object, or about a whole selection. */
struct problem {
	char *key; /* "KIND NS/NAME" */
	const char *kind, *reason;
	char *ns, *name, *message;
	int64_t since_ms;
};

/* A Secret that somebody needs. */
struct secret {
	struct sv_kube_watch watch; /* first: see secret_of() */
	struct kube *kube;
	char *key, *ns, *name;
	size_t users; /* volumes that need it, when that was looked at last */
	unsigned leases;
	bool answered; /* it is known whether it exists, or that we may not know */
	bool found;    /* by the list under way; by_namespace: by the namespace's */
	bool in_list;  /* that list began when the Secret was needed already */
	bool immutable;
};

/* A namespace that is watched as a whole. */
struct namespace
{
	struct sv_kube_watch watch;
	struct kube *kube;
	char *name;
};

struct sv_lease {
	struct kube *kube;
	struct sv_lease *next, **link;
	struct secret **secrets;
	size_t n;
	uv_timer_t timer;
	sv_lease_fn ready; /* NULL: was called */
	void *arg;
};

struct kube {
	struct sv_source source;
	uv_loop_t *loop;
	struct sv_manager *manager;
	struct sv_kube_auth *auth;
	struct sv_http *http;
	char *node_name, *server;
	bool by_namespace, stopping;
	struct sv_decode_opts decode;
	struct sv_kube_watch pods;
	char **listed; /* "NS/NAME" of the Pods of the list under way */
	size_t n_listed, cap_listed;
	bool confirmed;              /* what is not in the list may be removed */
	struct sv_strmap secrets;    /* "NS/NAME" -> struct secret */
	struct sv_strmap namespaces; /* name -> struct namespace */
	struct sv_strmap problems;   /* key -> struct problem */
	struct sv_strmap touched;    /* "NS/NAME": who needs it may have changed; keys are owned */
	uv_idle_t idle;
	struct sv_kube_watch *queue, **queue_end; /* due, and waiting for their turn */
	unsigned unanswered;
	struct sv_lease *leases;
	struct sv_kube_events *events; /* NULL: none are written */
	/* Is the server there, and does it know us? */
	uv_timer_t probe_timer;
	struct sv_http_request *probe;
	unsigned probe_failures;
	bool down;
	char *down_text;
	int64_t down_since_ms; /* Unix time */
	char *auth_text;       /* why newer credentials cannot be used, or NULL */
	int64_t auth_since_ms;
	int64_t auth_checked_ms; /* monotonic */
	unsigned rewinds;        /* how often the server was found set back */
};

static void check(int r)
{
	if (r < 0)
		sv_log_err("kubernetes: out of memory");
}

static struct secret *secret_of(struct sv_kube_watch *w)
{
	return (struct secret *)w;
}

/* ---- problems ------------------------------------------------------------------------------ */

static void problem_free(struct problem *p)
{
	free(p->key);
	free(p->ns);
	free(p->name);
	free(p->message);
	free(p);
}

static void clear_problem(struct kube *k, const char *kind, const char *ns, const char *name)
{
	sv_autofree char *key = k->problems.n ? sv_asprintf("%s %s/%s", kind, ns, name) : NULL;
	struct problem *p = key ? sv_strmap_remove(&k->problems, key) : NULL;

	if (p)
		problem_free(p);
}

/* @kind and @reason are constants. */
static void set_problem(struct kube *k, const char *kind, const char *ns, const char *name,
			const char *reason, const char *message)
{
	sv_autofree char *key = sv_asprintf("%s %s/%s", kind, ns, name);
	struct problem *p = key ? sv_strmap_get(&k->problems, key) : NULL;

	if (p && strcmp(p->reason, reason) == 0 && strcmp(p->message, message) == 0)
		return;
	if (p)
		problem_free(sv_strmap_remove(&k->problems, key));
	p = calloc(1, sizeof(*p));
	if (!p) {
		check(-ENOMEM);
		return;
	}
	*p = (struct problem){ SV_TAKE(key),    kind,        reason, strdup(ns), strdup(name),
			       strdup(message), sv_unix_ms() };
	if (!p->key || !p->ns || !p->name || !p->message ||
	    sv_strmap_put(&k->problems, p->key, p) < 0) {
		problem_free(p);
		check(-ENOMEM);
		return;
	}
	sv_log_event(SV_LOG_WARNING,
		     &(struct sv_log_fields){ .id = SV_LOG_SOURCE, .reason = reason },
		     "%s: %s%s%s%s: %s", k->server, kind, *ns ? " " : "", ns,
		     *name ? (*ns ? "/" : " ") : "", message);
}

/* ---- whether the server is there ----------------------------------------------------------- */

static void pump(struct kube *k);
static void probe_later(struct kube *k);

static void forget_text(char **text)
{
	free(*text);
	*text = NULL;
}

/* Files of the credentials may have been replaced. Return: true if others are in use from now on. */
static bool refresh_access(struct kube *k, bool force)
{
	struct sv_err err = { "" };
	int64_t now = sv_monotonic_ms();
	int r;

	if (!force && k->auth_checked_ms && now - k->auth_checked_ms < AUTH_CHECK_MS)
		return false;
	k->auth_checked_ms = now;
	r = sv_kube_auth_refresh(k->auth, force, &err);
	if (r != 0 && r != SV_KUBE_AUTH_E_CHANGED) {
		if (!k->auth_text || strcmp(k->auth_text, err.msg) != 0) {
			sv_log_warn("credentials: %s; the ones read before stay in use", err.msg);
			forget_text(&k->auth_text);
			k->auth_text = strdup(err.msg);
			k->auth_since_ms = sv_unix_ms();
		}
		return false;
	}
	forget_text(&k->auth_text);
	if (r == 0)
		return false;
	check(sv_http_set_access(k->http, sv_kube_auth_access(k->auth)));
	sv_log_notice("%s: credentials have changed and are in use", k->server);
	return true;
}

/* A volume that waits for a Secret is told why. */
static void mark_unavailable(struct secret *s, const char *text)
{
	if (!s->answered)
		sv_manager_trouble_secret(s->kube->manager, ORIGIN, s->ns, s->name,
					  SV_PLAN_E_UNAVAILABLE, text);
}

static void end_leases(struct kube *k);

static void go_down(struct kube *k, const char *text)
{
	size_t i;

	if (k->down && strcmp(k->down_text ? k->down_text : "", text) == 0)
		return;
	forget_text(&k->down_text);
	k->down_text = strdup(text);
	if (!k->down) {
		k->down = true;
		k->down_since_ms = sv_unix_ms();
		k->probe_failures = 0;
		probe_later(k);
	}
	sv_log_event(SV_LOG_WARNING,
		     &(struct sv_log_fields){ .id = SV_LOG_SOURCE, .reason = "SourceUnavailable" },
		     "%s: %s; last good volumes stay", k->server, text);
	for (i = 0; i < k->secrets.n; i++)
		mark_unavailable(k->secrets.entries[i].value, text);
	end_leases(k);
	sv_manager_report_stuck(k->manager);
}

static void go_up(struct kube *k)
{
	if (!k->down)
		return;
	k->down = false;
	forget_text(&k->down_text);
	sv_log_notice("%s: answers again after %lld s", k->server,
		      (long long)((sv_unix_ms() - k->down_since_ms) / 1000));
	/* What happened meanwhile, and is it the server that we knew? */
	sv_kube_watch_relist(&k->pods, k->pods.reflector.synced ? SV_LIST_SEEN : SV_LIST_ANY);
	probe_later(k);
	pump(k);
	if (k->events)
		sv_kube_events_go(k->events);
}

static void on_probe(void *arg, const struct sv_http_end *end)
{
	struct kube *k = arg;
	bool was_down = k->down;

	k->probe = NULL;
	if (end->code == 0) {
		k->probe_failures++;
		go_down(k, end->text);
		/* Silent for long, and nobody answers: what is open is dead. (A server that refuses
		 * connections may yet serve those it has, while it is being shut down.) */
		if (!was_down && end->silent)
			sv_http_reset(k->http, end->text);
	} else if (end->code == 401) {
		k->probe_failures++;
		go_down(k, "the server answers 401: it does not accept our credentials");
	} else {
		k->probe_failures = 0;
		go_up(k);
	}
	probe_later(k);
}

static void on_probe_due(uv_timer_t *timer)
{
	struct kube *k = timer->data;
	const struct sv_http_call call = { .verb = SV_HTTP_GET,
					   .path = "/version",
					   .limit_ms = SV_KUBE_PROBE_MS,
					   .done = on_probe,
					   .arg = k };

	if (k->probe || k->stopping)
		return;
	(void)refresh_access(k, k->down);
	if (!k->down && sv_monotonic_ms() - sv_http_heard_ms(k->http) < SV_KUBE_SILENCE_MS) {
		probe_later(k);
		return;
	}
	k->probe = sv_http_start(k->http, &call);
	if (!k->probe)
		probe_later(k);
}

static void probe_later(struct kube *k)
{
	int64_t ms = sv_backoff_ms(k->probe_failures + 1, sv_kube_random());

	if (ms > SV_KUBE_PROBE_MS) /* the clients of a server come back at different moments */
		ms = SV_KUBE_PROBE_MS - (int64_t)(sv_kube_random() % (SV_KUBE_PROBE_MS / 4));
	if (!k->down)
		ms = SV_KUBE_SILENCE_MS;
	if (!k->stopping && !k->probe)
		uv_timer_start(&k->probe_timer, on_probe_due, (uint64_t)ms, 0);
}

/* ---- requests, in turn --------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle);

static void wake(struct kube *k)
{
	if (!k->stopping)
		uv_idle_start(&k->idle, on_idle);
}

static void pump(struct kube *k)
{
	if (k->down || k->stopping || !k->queue)
		return;
	(void)refresh_access(k, false);
	while (k->queue && k->unanswered < SV_KUBE_UNANSWERED_MAX) {
		struct sv_kube_watch *w = k->queue;

		k->queue = w->next;
		if (!k->queue)
			k->queue_end = &k->queue;
		w->queued = false;
		k->unanswered++;
		sv_kube_watch_go(w);
		if (!w->unanswered)
			k->unanswered--;
	}
}

static void enqueue(struct kube *k, struct sv_kube_watch *w)
{
	if (w->queued)
		return;
	w->queued = true;
	w->next = NULL;
	*k->queue_end = w;
	k->queue_end = &w->next;
}

static void dequeue(struct kube *k, struct sv_kube_watch *w)
{
	struct sv_kube_watch **p = &k->queue;

	if (!w->queued)
		return;
	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	if (!w->next)
		k->queue_end = p;
	w->queued = false;
}

static void on_due(struct sv_kube_watch *w)
{
	struct kube *k = w->arg;

	enqueue(k, w);
	pump(k);
}

static void on_answered(struct sv_kube_watch *w, int code)
{
	struct kube *k = w->arg;

	(void)code;
	k->unanswered--;
	if (k->queue)
		wake(k);
}

/* What a failure says of the server as a whole. Return: true if everything waits for it now. */
static bool judge_server(struct kube *k, const struct sv_kube_watch *w,
			 const struct sv_wire_status *status, const char *text)
{
	if (w->code == 0) {
		go_down(k, text);
	} else if (status->code == 401) {
		/* newer credentials may be there already: then the next try has them */
		if (!refresh_access(k, true))
			go_down(k, "the server answers 401: it does not accept our credentials");
	}
	return k->down;
}

/* ---- Pods ---------------------------------------------------------------------------------- */

static void free_listed(struct kube *k)
{
	size_t i;

	for (i = 0; i < k->n_listed; i++)
		free(k->listed[i]);
	k->n_listed = 0;
}

static void begin_pods(struct sv_kube_watch *w)
{
	free_listed(w->arg);
}

static int note_listed(struct kube *k, const char *ns, const char *name)
{
	if (k->n_listed == k->cap_listed) {
		size_t cap = k->cap_listed ? k->cap_listed * 2 : 64;
		char **p = reallocarray(k->listed, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		k->listed = p;
		k->cap_listed = cap;
	}
	k->listed[k->n_listed] = sv_asprintf("%s/%s", ns, name);
	return k->listed[k->n_listed] ? (k->n_listed++, 0) : -ENOMEM;
}

/* "the first complaint, and N more" about an object that the server holds and we cannot use. */
static char *first_complaint(const struct sv_complaints *c)
{
	if (c->n == 0)
		return strdup("cannot be read");
	return c->n > 1 ? sv_asprintf("%s (and %zu more)", c->items[0].message, c->n - 1) :
			  strdup(c->items[0].message);
}

static int put_pod(struct kube *k, const struct sv_wire_event *e)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autopod struct sv_pod *pod = NULL;
	sv_autofree char *text = NULL;
	int r = sv_decode_pod(e->object, &k->decode, &pod, &c);

	if (r > 0) { /* what we had of it stays */
		text = first_complaint(&c);
		set_problem(k, "Pod", e->ns, e->name, "InvalidPod", text ? text : "");
		return 0;
	}
	if (r < 0)
		return r;
	clear_problem(k, "Pod", e->ns, e->name);
	if (strcmp(pod->node_name ? pod->node_name : "", k->node_name) != 0)
		return 0; /* not ours, whatever the server says */
	sv_manager_put_pod(k->manager, ORIGIN, pod);
	return 0;
}

static int on_pod(struct sv_kube_watch *w, const struct sv_wire_event *e)
{
	struct kube *k = w->arg;
	int r = w->listing ? note_listed(k, e->ns, e->name) : 0;

	if (r == 0 && e->type != SV_WIRE_DELETED)
		return put_pod(k, e);
	if (r == 0) {
		clear_problem(k, "Pod", e->ns, e->name);
		sv_manager_remove_pod(k->manager, ORIGIN, e->ns, e->name);
	}
	return r;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What a list does not have has gone while nobody watched. */
static void remove_vanished(struct kube *k)
{
	const struct sv_strmap *pods = &k->manager->desired.pods[ORIGIN];
	size_t i = 0;

	if (k->n_listed > 0)
		qsort(k->listed, k->n_listed, sizeof(*k->listed), compare_texts);
	while (i < pods->n) {
		const struct sv_desired_pod *p = pods->entries[i].value;
		sv_autofree char *ns = NULL, *name = NULL;

		if (k->n_listed > 0 &&
		    bsearch(&p->key, k->listed, k->n_listed, sizeof(*k->listed), compare_texts)) {
			i++;
			continue;
		}
		ns = strdup(p->pod->ns);
		name = strdup(p->pod->name);
		if (!ns || !name) {
			check(-ENOMEM);
			return;
		}
		clear_problem(k, "Pod", ns, name);
		sv_manager_remove_pod(k->manager, ORIGIN, ns, name);
	}
	free_listed(k);
}

static void relist_secrets(struct kube *k);

static bool pods_listed(struct sv_kube_watch *w)
{
	struct kube *k = w->arg;

	clear_problem(k, "Pod", "", "");
	remove_vanished(k);
	if (w->reflector.rewound) {
		k->rewinds++;
		w->reflector.rewound = false;
		sv_log_warn("%s: the server has lost what it had before (was it restored?): "
			    "everything is listed again",
			    k->server);
		relist_secrets(k);
	}
	/*
	 * A server's memory may lag behind its store. Before what a former life mounted is taken down on
	 * the word of such a list, the store is asked.
	 */
	if (!k->confirmed && sv_manager_has_orphans(k->manager)) {
		k->confirmed = true;
		sv_reflector_restart(&w->reflector, SV_LIST_NEWEST);
		return true;
	}
	k->confirmed = true;
	sv_manager_set_synced(k->manager, ORIGIN);
	return true;
}

static void pods_failed(struct sv_kube_watch *w, const struct sv_wire_status *status,
			const char *text, int64_t delay_ms)
{
	struct kube *k = w->arg;

	(void)delay_ms;
	if (judge_server(k, w, status, text))
		return;
	sv_log_debug("%s: pods: %s", k->server, text);
	if (status->code == 403)
		set_problem(k, "Pod", "", "", "Forbidden", text);
	else if (status->code >= 400 && status->code != 410 && w->reflector.failures > 1)
		set_problem(k, "Pod", "", "", "SourceUnavailable", text);
	if (status->code >= 400 && status->code != 410)
		sv_manager_report_stuck(k->manager);
	/* a watch that was cut: is it the server that we knew? */
	if (status->code == 0 && !w->listing)
		sv_reflector_restart(&w->reflector, SV_LIST_SEEN);
}

static void pods_too_large(struct sv_kube_watch *w, const char *name)
{
	struct kube *k = w->arg;
	const char *slash = strchr(name, '/');
	sv_autofree char *ns = slash ? strndup(name, (size_t)(slash - name)) : strdup("");
	sv_autofree char *text =
		sv_asprintf("is larger than %d bytes and is left out", SV_KUBE_OBJECT_MAX);

	if (!ns || !text)
		return;
	name = slash ? slash + 1 : name;
	if (slash && w->listing)
		check(note_listed(k, ns, name)); /* it is there */
	set_problem(k, "Pod", ns, name, "TooLarge", text);
}

static const struct sv_kube_watch_ops pods_ops = {
	on_due, on_answered, begin_pods, on_pod, pods_too_large, pods_listed, pods_failed,
};

/* ---- Secrets ------------------------------------------------------------------------------- */

static void check_leases(struct kube *k);

/* It is known now what there is. */
static void set_answered(struct secret *s, bool answered)
{
	s->answered = answered;
	if (answered && s->leases > 0)
		check_leases(s->kube);
}

static int put_secret(struct secret *s, const struct sv_wire_event *e)
{
	struct kube *k = s->kube;
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autosecret struct sv_secret *secret = NULL;
	sv_autofree char *text = NULL;
	int r = sv_decode_secret(e->object, &k->decode, &secret, &c);

	if (r > 0) {
		text = first_complaint(&c);
		set_problem(k, "Secret", s->ns, s->name, "InvalidSecret", text ? text : "");
		sv_manager_refuse_secret(k->manager, ORIGIN, s->ns, s->name, text ? text : "");
		return 0;
	}
	if (r < 0)
		return r;
	clear_problem(k, "Secret", s->ns, s->name);
	s->immutable = secret->immutable;
	sv_manager_refuse_secret(k->manager, ORIGIN, s->ns, s->name, NULL);
	sv_manager_put_secret(k->manager, ORIGIN, secret);
	return 0;
}

static void remove_secret(struct secret *s)
{
	clear_problem(s->kube, "Secret", s->ns, s->name);
	s->immutable = false;
	sv_manager_refuse_secret(s->kube->manager, ORIGIN, s->ns, s->name, NULL);
	sv_manager_remove_secret(s->kube->manager, ORIGIN, s->ns, s->name);
}

/* A change of a Secret that somebody needs. */
static int take_secret(struct secret *s, const struct sv_wire_event *e)
{
	int r = 0;

	if (e->type == SV_WIRE_DELETED)
		remove_secret(s);
	else
		r = put_secret(s, e);
	if (r == 0)
		set_answered(s, true);
	return r;
}

static void begin_secret(struct sv_kube_watch *w)
{
	secret_of(w)->found = false;
}

static int on_secret(struct sv_kube_watch *w, const struct sv_wire_event *e)
{
	struct secret *s = secret_of(w);
	int r;

	if (strcmp(e->name, s->name) != 0 || strcmp(e->ns, s->ns) != 0)
		return 0; /* not what was asked for */
	s->found = true;
	r = take_secret(s, e);
	return r == 0 && !w->listing && s->immutable ? SV_KUBE_WATCH_ENOUGH : r; /* R61 */
}

/* Who is told of its changes by a watch of its own? */
static bool needs_watch(const struct secret *s)
{
	return s->users > 0 && !s->immutable && !s->kube->by_namespace;
}

static bool secret_listed(struct sv_kube_watch *w)
{
	struct secret *s = secret_of(w);

	w->reflector.rewound = false;
	if (!s->found)
		remove_secret(s);
	set_answered(s, true);
	return needs_watch(s);
}

/* Its requests were refused: is that worth a word to those who wait? */
static void judge_secret(struct secret *s, const struct sv_kube_watch *w,
			 const struct sv_wire_status *status, const char *text)
{
	struct kube *k = s->kube;

	if (status->code == 403 && sv_reflector_is_denied(&w->reflector)) {
		set_problem(k, "Secret", s->ns, s->name, "Forbidden", text);
		sv_manager_trouble_secret(k->manager, ORIGIN, s->ns, s->name, SV_PLAN_E_FORBIDDEN,
					  status->message[0] ? status->message : text);
		set_answered(s, true);
	} else if (status->code != 403 && w->reflector.failures >= TROUBLE_FAILURES) {
		mark_unavailable(s, text);
	}
}

static void secret_failed(struct sv_kube_watch *w, const struct sv_wire_status *status,
			  const char *text, int64_t delay_ms)
{
	struct secret *s = secret_of(w);
	struct kube *k = s->kube;

	(void)delay_ms;
	if (judge_server(k, w, status, text))
		return;
	sv_log_debug("%s: secret %s: %s", k->server, s->key, text);
	judge_secret(s, w, status, text);
}

static void secret_too_large(struct sv_kube_watch *w, const char *name)
{
	struct secret *s = secret_of(w);
	sv_autofree char *text = sv_asprintf("is larger than %d bytes", SV_KUBE_OBJECT_MAX);

	(void)name;
	s->found = true;
	set_problem(s->kube, "Secret", s->ns, s->name, "TooLarge", text ? text : "");
	sv_manager_refuse_secret(s->kube->manager, ORIGIN, s->ns, s->name, text ? text : "");
}

static const struct sv_kube_watch_ops secret_ops = {
	on_due,           on_answered,   begin_secret,  on_secret,
	secret_too_large, secret_listed, secret_failed,
};

/* ---- namespaces ---------------------------------------------------------------------------- */

static struct namespace *namespace_of(struct sv_kube_watch *w)
{
	return (struct namespace *)w;
}

static void each_secret_in(struct kube *k, const char *ns,
			   void (*fn)(struct secret *s, const void *arg), const void *arg)
{
	sv_autofree char *prefix = sv_asprintf("%s/", ns);
	size_t i, n = strlen(ns) + 1;

	if (!prefix) {
		check(-ENOMEM);
		return;
	}
	for (i = sv_strmap_lower(&k->secrets, prefix);
	     i < k->secrets.n && strncmp(k->secrets.entries[i].key, prefix, n) == 0; i++)
		fn(k->secrets.entries[i].value, arg);
}

static void clear_found(struct secret *s, const void *arg)
{
	(void)arg;
	s->found = false;
	s->in_list = true;
}

static void begin_namespace(struct sv_kube_watch *w)
{
	each_secret_in(w->arg, namespace_of(w)->name, clear_found, NULL);
}

static int on_namespace(struct sv_kube_watch *w, const struct sv_wire_event *e)
{
	struct kube *k = w->arg;
	sv_autofree char *key = sv_asprintf("%s/%s", e->ns, e->name);
	struct secret *s = key ? sv_strmap_get(&k->secrets, key) : NULL;

	if (!key)
		return -ENOMEM;
	if (!s)
		return 0; /* nobody here needs it */
	s->found = true;
	/* A newer state may have been read when it came to be needed. */
	if (!w->listing && s->watch.reflector.version &&
	    sv_wire_compare(e->version, s->watch.reflector.version) < 0)
		return 0;
	return take_secret(s, e);
}

static void note_missing(struct secret *s, const void *arg)
{
	(void)arg;
	if (!s->found && !s->in_list) { /* it may have stood in what was passed over already */
		sv_kube_watch_start(&s->watch, 0);
		return;
	}
	if (!s->found)
		remove_secret(s);
	set_answered(s, true);
}

static bool namespace_listed(struct sv_kube_watch *w)
{
	struct kube *k = w->arg;

	w->reflector.rewound = false;
	clear_problem(k, "Secret", namespace_of(w)->name, "");
	each_secret_in(k, namespace_of(w)->name, note_missing, NULL);
	return true;
}

struct refusal {
	const struct sv_kube_watch *watch;
	const struct sv_wire_status *status;
	const char *text;
};

static void tell_refusal(struct secret *s, const void *arg)
{
	const struct refusal *r = arg;

	judge_secret(s, r->watch, r->status, r->text);
}

static void namespace_failed(struct sv_kube_watch *w, const struct sv_wire_status *status,
			     const char *text, int64_t delay_ms)
{
	struct kube *k = w->arg;
	const struct refusal r = { w, status, text };

	(void)delay_ms;
	if (judge_server(k, w, status, text))
		return;
	sv_log_debug("%s: secrets of namespace %s: %s", k->server, namespace_of(w)->name, text);
	each_secret_in(k, namespace_of(w)->name, tell_refusal, &r);
}

static void namespace_too_large(struct sv_kube_watch *w, const char *name)
{
	struct kube *k = w->arg;
	sv_autofree char *key =
		sv_asprintf("%s%s%s", strchr(name, '/') ? "" : namespace_of(w)->name,
			    strchr(name, '/') ? "" : "/", name);
	struct secret *s = key ? sv_strmap_get(&k->secrets, key) : NULL;

	if (s)
		secret_too_large(&s->watch, name);
}

static const struct sv_kube_watch_ops namespace_ops = {
	on_due,           on_answered,      begin_namespace, on_namespace, namespace_too_large,
	namespace_listed, namespace_failed,
};

/* ---- who needs what ------------------------------------------------------------------------ */

static void secret_closed(struct sv_kube_watch *w)
{
	struct secret *s = secret_of(w);

	free(s->key);
	free(s->ns);
	free(s->name);
	free(s);
}

static void namespace_closed(struct sv_kube_watch *w)
{
	struct namespace *n = namespace_of(w);

	free(n->name);
	free(n);
}

/* Names come from Pods: what the API server would not take in a path must not get into one. */
static char *secret_path(const char *ns, const char *name)
{
	const char *plain = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	if (!*ns || ns[strspn(ns, plain)] || (name && (!*name || name[strspn(name, plain)])))
		return NULL;
	return name ? sv_asprintf(
			      "/api/v1/namespaces/%s/secrets?fieldSelector=metadata.name%%3D%s&",
			      ns, name) :
		      sv_asprintf("/api/v1/namespaces/%s/secrets?", ns);
}

static struct namespace *get_namespace(struct kube *k, const char *name)
{
	struct namespace *n = sv_strmap_get(&k->namespaces, name);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->kube = k;
	n->name = strdup(name);
	if (!n->name || sv_strmap_put(&k->namespaces, n->name, n) < 0) {
		free(n->name);
		free(n);
		return NULL;
	}
	sv_kube_watch_init(&n->watch, k->loop, k->http, &namespace_ops, k, secret_path(name, NULL),
			   SV_LIST_NEWEST);
	sv_kube_watch_start(&n->watch, 0);
	return n;
}

/* Has its namespace's list been read, so that it was not asked for there? */
static bool must_ask(struct kube *k, const struct secret *s)
{
	struct namespace *n;

	if (!k->by_namespace)
		return true;
	n = get_namespace(k, s->ns);
	if (!n)
		check(-ENOMEM);
	return n && n->watch.reflector.synced;
}

static struct secret *make_secret(struct kube *k, const char *ns, const char *name)
{
	struct secret *s = calloc(1, sizeof(*s));
	char *path = secret_path(ns, name);

	if (s) {
		s->kube = k;
		s->ns = strdup(ns);
		s->name = strdup(name);
		s->key = sv_asprintf("%s/%s", ns, name);
	}
	if (!s || !s->ns || !s->name || !s->key || sv_strmap_put(&k->secrets, s->key, s) < 0) {
		if (s) {
			free(s->ns);
			free(s->name);
			free(s->key);
		}
		free(s);
		free(path);
		check(-ENOMEM);
		return NULL;
	}
	/* From the store: a lagging memory may not have a Secret that was made just before its Pod. */
	sv_kube_watch_init(&s->watch, k->loop, k->http, &secret_ops, k, path, SV_LIST_NEWEST);
	check(sv_desired_hold_secret(&k->manager->desired, ORIGIN, ns, name));
	if (!path) { /* a name that no Secret can have (R13) */
		remove_secret(s);
		set_answered(s, true);
	} else if (k->down) {
		mark_unavailable(s, k->down_text ? k->down_text : "");
	}
	if (path && must_ask(k, s))
		sv_kube_watch_start(&s->watch, 0);
	return s;
}

static void drop_secret(struct kube *k, struct secret *s)
{
	sv_strmap_remove(&k->secrets, s->key);
	dequeue(k, &s->watch);
	clear_problem(k, "Secret", s->ns, s->name);
	sv_manager_refuse_secret(k->manager, ORIGIN, s->ns, s->name, NULL);
	sv_manager_forget_secret(k->manager, ORIGIN, s->ns, s->name);
	sv_desired_release_secret(&k->manager->desired, ORIGIN, s->ns, s->name);
	sv_kube_watch_close(&s->watch, secret_closed);
}

static void drop_idle_namespace(struct kube *k, const char *name)
{
	sv_autofree char *prefix = sv_asprintf("%s/", name);
	struct namespace *n = sv_strmap_get(&k->namespaces, name);
	size_t i = prefix ? sv_strmap_lower(&k->secrets, prefix) : 0;

	if (!n || !prefix ||
	    (i < k->secrets.n && strncmp(k->secrets.entries[i].key, prefix, strlen(prefix)) == 0))
		return;
	sv_strmap_remove(&k->namespaces, n->name);
	dequeue(k, &n->watch);
	sv_kube_watch_close(&n->watch, namespace_closed);
}

/* Ask anew: what is known may be old. */
static void ask_again(struct secret *s)
{
	if (!s->watch.path)
		return;
	set_answered(s, false);
	sv_kube_watch_relist(&s->watch, SV_LIST_NEWEST);
	if (s->kube->down)
		mark_unavailable(s, s->kube->down_text ? s->kube->down_text : "");
}

static void look_at(struct kube *k, const char *key)
{
	struct secret *s = sv_strmap_get(&k->secrets, key);
	const char *name = strchr(key, '/') + 1;
	sv_autofree char *ns = strndup(key, (size_t)(name - 1 - key));
	size_t users, before = s ? s->users : 0;

	if (!ns) {
		check(-ENOMEM);
		return;
	}
	users = sv_desired_users(&k->manager->desired, ORIGIN, ns, name);
	if (!s && users == 0)
		return;
	if (!s) {
		s = make_secret(k, ns, name);
		if (s)
			s->users = users;
		return;
	}
	s->users = users;
	if (users == 0 && s->leases == 0) {
		drop_secret(k, s);
		drop_idle_namespace(k, ns);
	} else if (s->immutable && users > before) {
		/* it may have been deleted and made anew; volumes that exist keep what they have */
		sv_manager_forget_secret(k->manager, ORIGIN, ns, name);
		ask_again(s);
	} else if (before == 0 && users > 0 && needs_watch(s)) {
		ask_again(s); /* it was read for an environment, some time ago */
	} else if (users == 0) {
		sv_kube_watch_pause(&s->watch);
	}
}

static void on_interest(void *arg, const char *ns, const char *name)
{
	struct kube *k = arg;
	char *key = sv_asprintf("%s/%s", ns, name);

	if (!key || sv_strmap_get(&k->touched, key) || sv_strmap_put(&k->touched, key, key) < 0) {
		if (!key)
			check(-ENOMEM);
		free(key);
		return;
	}
	wake(k);
}

static void on_idle(uv_idle_t *idle)
{
	struct kube *k = idle->data;
	struct sv_strmap touched = k->touched;
	size_t i;

	uv_idle_stop(idle);
	k->touched = (struct sv_strmap){ 0 };
	for (i = 0; i < touched.n; i++) {
		look_at(k, touched.entries[i].key);
		free(touched.entries[i].value);
	}
	sv_strmap_done(&touched);
	pump(k);
}

static void relist_secrets(struct kube *k)
{
	size_t i;

	for (i = 0; i < k->namespaces.n; i++)
		sv_kube_watch_relist(&((struct namespace *)k->namespaces.entries[i].value)->watch,
				     SV_LIST_NEWEST);
	for (i = 0; i < k->secrets.n; i++) {
		struct secret *s = k->secrets.entries[i].value;

		if (s->watch.path && !k->by_namespace)
			sv_kube_watch_relist(&s->watch, SV_LIST_NEWEST);
	}
}

/* ---- leases -------------------------------------------------------------------------------- */

static bool is_answered(const struct sv_lease *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!l->secrets[i]->answered)
			return false;
	return true;
}

static void end_waiting(struct sv_lease *l)
{
	sv_lease_fn ready = l->ready;

	l->ready = NULL;
	uv_timer_stop(&l->timer);
	if (ready)
		ready(l->arg);
}

static void on_lease_over(uv_timer_t *timer)
{
	end_waiting(timer->data);
}

static void check_leases(struct kube *k)
{
	struct sv_lease *l;

	for (l = k->leases; l; l = l->next)
		if (l->ready && is_answered(l)) /* not from in here: the caller is in an answer */
			uv_timer_start(&l->timer, on_lease_over, 0, 0);
}

/* Nobody will answer for now. */
static void end_leases(struct kube *k)
{
	struct sv_lease *l;

	for (l = k->leases; l; l = l->next)
		if (l->ready)
			uv_timer_start(&l->timer, on_lease_over, 0, 0);
}

static void lease_closed(uv_handle_t *handle)
{
	struct sv_lease *l = handle->data;

	free(l->secrets);
	free(l);
}

static void release(struct sv_source *source, struct sv_lease *l)
{
	struct kube *k = (struct kube *)source;
	size_t i;

	for (i = 0; i < l->n; i++) {
		l->secrets[i]->leases--;
		on_interest(k, l->secrets[i]->ns, l->secrets[i]->name);
	}
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	l->ready = NULL;
	uv_close((uv_handle_t *)&l->timer, lease_closed);
}

static struct secret *lease_secret(struct kube *k, const char *ns, const char *name)
{
	sv_autofree char *key = sv_asprintf("%s/%s", ns, name);
	struct secret *s = key ? sv_strmap_get(&k->secrets, key) : NULL;

	if (!key)
		return NULL;
	if (!s) {
		s = make_secret(k, ns, name);
	} else if (s->users == 0 && s->answered && !k->by_namespace) {
		ask_again(s); /* nobody watches it */
	}
	if (s)
		s->leases++;
	return s;
}

static int lease(struct sv_source *source, const char *ns, char *const *names, size_t n,
		 sv_lease_fn ready, void *arg, struct sv_lease **ret, bool *wait)
{
	struct kube *k = (struct kube *)source;
	struct sv_lease *l = calloc(1, sizeof(*l));

	if (l)
		l->secrets = calloc(n ? n : 1, sizeof(*l->secrets));
	if (!l || !l->secrets) {
		free(l);
		return -ENOMEM;
	}
	l->kube = k;
	l->timer.data = l;
	uv_timer_init(k->loop, &l->timer);
	l->next = k->leases;
	l->link = &k->leases;
	if (l->next)
		l->next->link = &l->next;
	k->leases = l;
	for (; l->n < n; l->n++) {
		l->secrets[l->n] = lease_secret(k, ns, names[l->n]);
		if (!l->secrets[l->n]) {
			release(source, l);
			return -ENOMEM;
		}
	}
	*wait = !k->down && !is_answered(l);
	if (*wait) {
		l->ready = ready;
		l->arg = arg;
		uv_timer_start(&l->timer, on_lease_over, SV_KUBE_LEASE_MS, 0);
	}
	*ret = l;
	return 0;
}

/* ---- Events of Pods ------------------------------------------------------------------------ */

static bool may_send_events(void *arg)
{
	struct kube *k = arg;

	if (k->down)
		return false;
	(void)refresh_access(k, false);
	return true;
}

static void on_pod_event(void *arg, const struct sv_pod *pod, const struct sv_event *event)
{
	sv_kube_events_note(((struct kube *)arg)->events, pod, event);
}

static int start_events(struct kube *k)
{
	const struct sv_kube_events_opts opts = { k->node_name, may_send_events, k };
	int r = sv_kube_events_new(k->loop, k->http, &opts, &k->events);

	if (r == 0) {
		k->manager->listener[ORIGIN].fn = on_pod_event;
		k->manager->listener[ORIGIN].arg = k;
	}
	return r;
}

/* ---- a source ------------------------------------------------------------------------------ */

/* When what is known was last known to be what the server has; Unix time in ms, 0: never. */
static int64_t as_of(const struct kube *k)
{
	int64_t heard = sv_http_heard_ms(k->http);

	return heard && k->pods.synced_ms ? sv_unix_ms() - (sv_monotonic_ms() - heard) : 0;
}

static void report(struct sv_source *source, struct json_object *list)
{
	struct kube *k = (struct kube *)source;
	struct json_object *o = json_object_new_object();
	struct sv_http_counts counts = sv_http_counts(k->http);
	unsigned live = sv_kube_watch_is_live(&k->pods);
	size_t i;

	for (i = 0; i < k->secrets.n; i++)
		live += sv_kube_watch_is_live(
			&((struct secret *)k->secrets.entries[i].value)->watch);
	for (i = 0; i < k->namespaces.n; i++)
		live += sv_kube_watch_is_live(
			&((struct namespace *)k->namespaces.entries[i].value)->watch);
	sv_json_text(o, "type", "kubernetes");
	sv_json_text(o, "name", k->server);
	sv_json_bool(o, "synced", k->manager->desired.synced[ORIGIN]);
	sv_json_time(o, "lastSync", as_of(k));
	sv_json_int(o, "pods", (int64_t)k->manager->desired.pods[ORIGIN].n);
	sv_json_int(o, "secrets", (int64_t)k->secrets.n);
	sv_json_int(o, "watches", live);
	sv_json_int(o, "connections", counts.connections);
	sv_json_bool(o, "available", !k->down);
	sv_json_time(o, "unavailableSince", k->down ? k->down_since_ms : 0);
	sv_json_time(o, "certificateExpires", sv_kube_auth_access(k->auth)->expires_ms);
	sv_json_text(o, "error", k->down && k->down_text ? k->down_text : "");
	json_object_array_add(list, o);
}

static void each_problem(struct sv_source *source, sv_problem_fn fn, void *arg)
{
	struct kube *k = (struct kube *)source;
	struct sv_problem p = { .source = "kubernetes",
				.file = k->server,
				.document = -1,
				.kind = "",
				.ns = "",
				.name = "",
				.field = "",
				.category = "",
				.reason = "SourceUnavailable" };
	size_t i;

	if (k->down) {
		p.message = k->down_text ? k->down_text : "";
		p.since_ms = k->down_since_ms;
		fn(arg, &p);
	}
	if (k->auth_text) {
		p.message = k->auth_text;
		p.since_ms = k->auth_since_ms;
		p.warning = true;
		fn(arg, &p);
	}
	p.message = k->events ? sv_kube_events_problem(k->events, &p.since_ms) : NULL;
	if (p.message) {
		p.warning = true;
		p.kind = "Event";
		p.reason = "Forbidden";
		fn(arg, &p);
	}
	p.warning = false;
	for (i = 0; i < k->problems.n; i++) {
		const struct problem *q = k->problems.entries[i].value;

		p.kind = q->kind;
		p.ns = q->ns;
		p.name = q->name;
		p.reason = q->reason;
		p.message = q->message;
		p.since_ms = q->since_ms;
		fn(arg, &p);
	}
}

static void write_metrics(struct sv_source *source, struct sv_buf *b)
{
	(void)source;
	(void)b;
}

static void reload(struct sv_source *source)
{
	struct kube *k = (struct kube *)source;

	(void)refresh_access(k, true);
	if (k->down) {
		k->probe_failures = 0;
		probe_later(k);
		return;
	}
	sv_kube_watch_relist(&k->pods, SV_LIST_NEWEST);
	relist_secrets(k);
}

static void stop(struct sv_source *source)
{
	struct kube *k = (struct kube *)source;

	k->stopping = true;
	k->manager->interest[ORIGIN].fn = NULL;
	k->manager->listener[ORIGIN].fn = NULL;
	while (k->leases)
		release(source, k->leases);
	sv_kube_watch_close(&k->pods, NULL);
	while (k->secrets.n)
		drop_secret(k, k->secrets.entries[k->secrets.n - 1].value);
	while (k->namespaces.n)
		drop_idle_namespace(k, k->namespaces.entries[k->namespaces.n - 1].key);
	if (k->probe)
		sv_http_cancel(k->http, SV_TAKE(k->probe));
	if (k->events)
		sv_kube_events_stop(k->events);
	sv_http_stop(k->http);
	uv_close((uv_handle_t *)&k->idle, NULL);
	uv_close((uv_handle_t *)&k->probe_timer, NULL);
}

static void source_free(struct sv_source *source)
{
	struct kube *k = (struct kube *)source;
	size_t i;

	while (k->problems.n) {
		struct problem *p = k->problems.entries[k->problems.n - 1].value;

		sv_strmap_remove(&k->problems, p->key);
		problem_free(p);
	}
	for (i = 0; i < k->touched.n; i++)
		free(k->touched.entries[i].value);
	sv_strmap_done(&k->problems);
	sv_strmap_done(&k->touched);
	sv_strmap_done(&k->secrets);
	sv_strmap_done(&k->namespaces);
	free_listed(k);
	free(k->listed);
	sv_kube_events_free(k->events);
	sv_http_free(k->http);
	sv_kube_auth_free(k->auth);
	free(k->node_name);
	free(k->server);
	free(k->down_text);
	free(k->auth_text);
	free(k);
}

/* A node's name is a DNS subdomain; whatever it is, it is one value of a selector. */
static char *pods_path(const char *node)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	if (!*node || node[strspn(node, plain)])
		return NULL;
	return sv_asprintf("/api/v1/pods?fieldSelector=spec.nodeName%%3D%s&", node);
}

int sv_source_kube_new(uv_loop_t *loop, struct sv_manager *manager, const struct sv_kube_opts *opts,
		       struct sv_source **ret, struct sv_err *err)
{
	struct kube *k = calloc(1, sizeof(*k));
	char *path = pods_path(opts->node_name);
	int r = path ? 0 : -EINVAL;

	if (r < 0)
		sv_err_set(err, r, "node-name: '%s' is no name of a node", opts->node_name);
	else if (!k)
		r = sv_err_set(err, -ENOMEM, "cannot watch the API server");
	else
		r = sv_http_new(loop, &k->http, err);
	if (r < 0) {
		free(path);
		free(k);
		sv_kube_auth_free(opts->auth);
		return r;
	}
	k->source = (struct sv_source){ .type = "kubernetes",
					.origin = ORIGIN,
					.report = report,
					.each_problem = each_problem,
					.reload = reload,
					.lease = lease,
					.release = release,
					.metrics = write_metrics,
					.stop = stop,
					.free = source_free };
	k->loop = loop;
	k->manager = manager;
	k->auth = opts->auth;
	k->by_namespace = opts->by_namespace;
	k->decode = (struct sv_decode_opts){ opts->strict_env_names, true };
	k->queue_end = &k->queue;
	k->node_name = strdup(opts->node_name);
	k->server = strdup(sv_kube_auth_access(k->auth)->server);
	k->idle.data = k->probe_timer.data = k;
	uv_idle_init(loop, &k->idle);
	uv_timer_init(loop, &k->probe_timer);
	sv_kube_watch_init(&k->pods, loop, k->http, &pods_ops, k, path, SV_LIST_ANY);
	manager->desired.expected[ORIGIN] = manager->desired.by_secret[ORIGIN] = true;
	manager->interest[ORIGIN].fn = on_interest;
	manager->interest[ORIGIN].arg = k;
	*ret = &k->source;
	if (!k->node_name || !k->server ||
	    sv_http_set_access(k->http, sv_kube_auth_access(k->auth)) < 0 ||
	    (!opts->no_events && start_events(k) < 0))
		return sv_err_set(err, -ENOMEM, "cannot watch the API server");
	sv_kube_watch_start(&k->pods, 0);
	probe_later(k);
	return 0;
}
