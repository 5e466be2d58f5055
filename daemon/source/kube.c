/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "kube.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/text.h"
#include "../../lib/core/decode.h"
#include "../log.h"
#include "kube_events.h"
#include "kube_secrets.h"

#define ORIGIN SV_ORIGIN_API

struct kube {
	struct sv_source source;
	struct sv_manager *manager;
	char *node_name;
	int64_t started_ms; /* Unix time */
	struct sv_decode_opts decode;
	struct sv_kube_server server;
	struct sv_kube_problems problems;
	struct sv_kube_secrets secrets;
	struct sv_kube_events *events; /* NULL: none are written */
	struct sv_kube_watch pods;
	char **listed; /* "NS/NAME" of the Pods of the list under way */
	size_t n_listed, cap_listed;
	bool confirmed;   /* what is not in the list may be removed */
	unsigned rewinds; /* how often the server was found set back */
};

static void check(int r)
{
	if (r < 0)
		sv_log_err("kubernetes: out of memory");
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

static int put_pod(struct kube *k, const struct sv_wire_event *e)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autopod struct sv_pod *pod = NULL;
	sv_autofree char *text = NULL;
	int r = sv_decode_pod(e->object, &k->decode, &pod, &c);

	if (r > 0) { /* what we had of it stays */
		text = sv_kube_complaint(&c);
		sv_kube_problems_set(&k->problems, "Pod", e->ns, e->name, "InvalidPod",
				     text ? text : "");
		return 0;
	}
	if (r < 0)
		return r;
	sv_kube_problems_clear(&k->problems, "Pod", e->ns, e->name);
	if (strcmp(pod->node_name ? pod->node_name : "", k->node_name) != 0)
		return 0; /* not ours, whatever the server says */
	return sv_manager_put_pod(k->manager, ORIGIN, pod);
}

static int on_pod(struct sv_kube_watch *w, const struct sv_wire_event *e)
{
	struct kube *k = w->arg;
	int r = w->listing ? note_listed(k, e->ns, e->name) : 0;

	if (r == 0 && e->type != SV_WIRE_DELETED)
		return put_pod(k, e);
	if (r == 0) {
		sv_kube_problems_clear(&k->problems, "Pod", e->ns, e->name);
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
		struct sv_pod *pod;

		if (k->n_listed > 0 &&
		    bsearch(&p->key, k->listed, k->n_listed, sizeof(*k->listed), compare_texts)) {
			i++;
			continue;
		}
		pod = sv_pod_ref(p->pod);
		sv_kube_problems_clear(&k->problems, "Pod", pod->ns, pod->name);
		sv_manager_remove_pod(k->manager, ORIGIN, pod->ns, pod->name);
		sv_pod_unref(pod);
	}
	free_listed(k);
}

static void note_set_back(struct kube *k)
{
	k->rewinds++;
	sv_log_warn("%s: the server has lost what it had before (was it restored?): everything is "
		    "listed again",
		    k->server.name);
	sv_kube_secrets_relist(&k->secrets);
}

static void on_set_back(void *arg)
{
	struct kube *k = arg;

	note_set_back(k);
	sv_kube_watch_relist(&k->pods, SV_LIST_NEWEST);
}

static bool pods_listed(struct sv_kube_watch *w)
{
	struct kube *k = w->arg;

	sv_kube_problems_clear(&k->problems, "Pod", "", "");
	remove_vanished(k);
	if (w->reflector.rewound)
		note_set_back(k);
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
			const char *text)
{
	struct kube *k = w->arg;

	if (sv_kube_server_judge(&k->server, w->code, w->generation, text))
		return;
	sv_log_debug("%s: pods: %s", k->server.name, text);
	if (status->code == 403)
		sv_kube_problems_set(&k->problems, "Pod", "", "", "Forbidden", text);
	else if (status->code != 410 && w->reflector.failures > 1)
		sv_kube_problems_set(&k->problems, "Pod", "", "", "SourceUnavailable", text);
	if (status->code != 410 && !k->pods.reflector.synced)
		sv_manager_report_stuck(k->manager);
	/*
	 * A watch that was cut: is it the server that we knew? One that was refused: a list ends the
	 * complaint.
	 */
	if (!w->reflector.listing) {
		sv_reflector_restart(&w->reflector, SV_LIST_SEEN);
		sv_kube_secrets_doubt(&k->secrets);
	}
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
	sv_kube_problems_set(&k->problems, "Pod", ns, name, "TooLarge", text);
}

static const struct sv_kube_watch_ops pods_ops = {
	begin_pods, on_pod, pods_too_large, pods_listed, pods_failed,
};

/* ---- the server ---------------------------------------------------------------------------- */

static void on_down(void *arg, const char *text)
{
	struct kube *k = arg;

	sv_kube_secrets_down(&k->secrets, text);
	sv_manager_report_stuck(k->manager);
}

/* What happened meanwhile, and is it the server that we knew? */
static void on_up(void *arg)
{
	struct kube *k = arg;

	sv_kube_watch_relist(&k->pods, k->pods.reflector.synced ? SV_LIST_SEEN : SV_LIST_ANY);
	sv_kube_secrets_doubt(&k->secrets);
}

/* ---- a source ------------------------------------------------------------------------------ */

/* When what is known was last known to be what the server has; Unix time in ms, 0: never. */
static int64_t as_of(const struct kube *k)
{
	int64_t heard = sv_http_heard_ms(k->server.http);

	return heard && k->pods.synced_ms ? sv_unix_ms() - (sv_monotonic_ms() - heard) : 0;
}

static unsigned live_watches(const struct kube *k)
{
	return sv_kube_watch_is_live(&k->pods) + sv_kube_secrets_live(&k->secrets);
}

static void report(struct sv_source *source, struct json_object *list)
{
	struct kube *k = (struct kube *)source;
	struct json_object *o = json_object_new_object();
	const struct sv_kube_server *s = &k->server;

	sv_json_text(o, "type", "kubernetes");
	sv_json_text(o, "name", s->name);
	sv_json_bool(o, "synced", k->manager->desired.synced[ORIGIN]);
	sv_json_time(o, "lastSync", as_of(k));
	sv_json_int(o, "pods", (int64_t)k->manager->desired.pods[ORIGIN].n);
	sv_json_int(o, "secrets", (int64_t)k->secrets.items.n);
	sv_json_int(o, "watches", live_watches(k));
	sv_json_int(o, "connections", sv_http_counts(s->http).connections);
	sv_json_bool(o, "available", !s->down);
	sv_json_time(o, "unavailableSince", s->down ? s->down_since_ms : 0);
	sv_json_time(o, "certificateExpires", sv_kube_auth_access(s->auth)->expires_ms);
	sv_json_text(o, "error", s->down && s->down_text ? s->down_text : "");
	sv_json_append(list, o);
}

static void write_event_metrics(const struct kube *k, struct sv_buf *b)
{
	static const char name[] = "secretvold_api_events_total";
	struct sv_recorder_counts c = sv_kube_events_counts(k->events);
	const struct {
		const char *result;
		uint64_t n;
	} results[] = {
		{ "sent", c.sent },
		{ "denied", c.denied },
		{ "failed", c.failed },
		{ "dropped", c.dropped },
	};
	size_t i;

	sv_metrics_head(
		b, name, "counter",
		"Events about Pods, and counts of them, for the API server: taken, denied for "
		"lack of a right, given up, or never sent.");
	for (i = 0; i < SV_ARRAY_SIZE(results); i++)
		sv_buf_printf(b, "%s{result=\"%s\"} %" PRIu64 "\n", name, results[i].result,
			      results[i].n);
	sv_metrics_number(b, "secretvold_api_events_combined_total", "counter",
			  "What happened to Pods and became part of an Event that stands for many.",
			  c.combined);
}

static void write_metrics(struct sv_source *source, struct sv_buf *b)
{
	static const char requests[] = "secretvold_api_requests_total";
	static const char *const verbs[SV_HTTP_N_VERBS] = { "get", "list", "watch", "create",
							    "patch" };
	static const char *const codes[SV_HTTP_N_CLASSES] = { "none", "1xx", "2xx",
							      "3xx",  "4xx", "5xx" };
	struct kube *k = (struct kube *)source;
	struct sv_http_counts counts = sv_http_counts(k->server.http);
	size_t i, j;

	sv_metrics_head(b, requests, "counter",
			"Requests to the API server that have ended, by class of their status; "
			"none: no answer.");
	for (i = 0; i < SV_HTTP_N_VERBS; i++)
		for (j = 0; j < SV_HTTP_N_CLASSES; j++)
			if (j != 1) /* no answer ends with an informational status */
				sv_buf_printf(b, "%s{verb=\"%s\",code=\"%s\"} %" PRIu64 "\n",
					      requests, verbs[i], codes[j], counts.answers[i][j]);
	sv_metrics_number(b, "secretvold_api_requests_sent_total", "counter",
			  "Requests to the API server that were begun.", counts.requests);
	sv_metrics_number(b, "secretvold_api_available", "gauge",
			  "1 if the API server answers and accepts the credentials.",
			  !k->server.down);
	sv_metrics_number(b, "secretvold_api_watches", "gauge", "Watches that are open.",
			  live_watches(k));
	sv_metrics_number(b, "secretvold_api_connections", "gauge",
			  "Connections to the API server that carry requests.", counts.connections);
	sv_metrics_number(b, "secretvold_api_rewinds_total", "counter",
			  "How often the API server was found to have lost what it had before.",
			  k->rewinds);
	if (k->events)
		write_event_metrics(k, b);
}

/* A name that no Pod carries is no error to anybody else. NULL: all is well, or it is not known. */
static char *other_node(const struct kube *k)
{
	const char *node = sv_kube_auth_access(k->server.auth)->node;

	if (!*node || strcmp(node, k->node_name) == 0)
		return NULL;
	return sv_asprintf("the client certificate is that of node \"%s\", and node-name asks for "
			   "the Pods of \"%s\"",
			   node, k->node_name);
}

static void each_problem(struct sv_source *source, sv_problem_fn fn, void *arg)
{
	struct kube *k = (struct kube *)source;
	const struct sv_kube_server *s = &k->server;
	sv_autofree char *other = other_node(k);
	struct sv_problem p = sv_problem_about("kubernetes", s->name);

	p.reason = "SourceUnavailable";
	if (s->down) {
		p.message = s->down_text ? s->down_text : "";
		p.since_ms = s->down_since_ms;
		fn(arg, &p);
	}
	if (s->auth_text) {
		p.message = s->auth_text;
		p.since_ms = s->auth_since_ms;
		p.warning = true;
		fn(arg, &p);
	}
	p.message = k->events ? sv_kube_events_problem(k->events, &p.since_ms, &p.ns) : NULL;
	if (p.message) {
		p.warning = true;
		p.kind = "Event";
		p.reason = "Forbidden";
		fn(arg, &p);
	}
	if (other) {
		p.warning = true;
		p.kind = "Node";
		p.ns = "";
		p.name = k->node_name;
		p.reason = "OtherNode";
		p.message = other;
		p.since_ms = k->started_ms;
		fn(arg, &p);
	}
	sv_kube_problems_each(&k->problems, fn, arg);
}

static int lease(struct sv_source *source, const char *ns, const char *const *names, size_t n,
		 sv_lease_fn ready, void *arg, struct sv_lease **ret, bool *wait)
{
	return sv_kube_secrets_lease(&((struct kube *)source)->secrets, ns, names, n, ready, arg,
				     ret, wait);
}

static void release(struct sv_source *source, struct sv_lease *l)
{
	sv_kube_secrets_release(&((struct kube *)source)->secrets, l);
}

static void interest(struct sv_source *source, const char *ns, const char *name)
{
	sv_kube_secrets_interest(&((struct kube *)source)->secrets, ns, name);
}

static void attend(struct sv_source *source)
{
	sv_kube_secrets_attend(&((struct kube *)source)->secrets);
}

static int refill(struct sv_source *source, struct sv_secret *secret, struct sv_err *err)
{
	return sv_kube_secrets_refill(&((struct kube *)source)->secrets, secret, err);
}

static void event(struct sv_source *source, const struct sv_pod *pod, const struct sv_event *e)
{
	struct kube *k = (struct kube *)source;

	if (k->events)
		sv_kube_events_note(k->events, pod, e);
}

static void reload(struct sv_source *source)
{
	struct kube *k = (struct kube *)source;

	sv_kube_server_reload(&k->server);
	sv_kube_watch_relist(&k->pods, SV_LIST_NEWEST);
	sv_kube_secrets_relist(&k->secrets);
}

static void stop(struct sv_source *source)
{
	struct kube *k = (struct kube *)source;

	k->manager->sources[ORIGIN] = NULL;
	sv_kube_watch_close(&k->pods, NULL);
	sv_kube_secrets_stop(&k->secrets);
	sv_kube_events_stop(k->events);
	sv_kube_server_stop(&k->server);
}

static void source_free(struct sv_source *source)
{
	struct kube *k = (struct kube *)source;

	free_listed(k);
	free(k->listed);
	sv_kube_events_free(k->events);
	sv_kube_secrets_done(&k->secrets);
	sv_kube_problems_done(&k->problems);
	sv_kube_server_done(&k->server);
	free(k->node_name);
	free(k);
}

/* A node's name is a DNS subdomain; here it is one value of a selector. */
static char *pods_path(const char *node)
{
	if (!sv_kube_is_plain(node))
		return NULL;
	return sv_asprintf("/api/v1/pods?fieldSelector=spec.nodeName%%3D%s&", node);
}

void sv_source_kube_configure(struct sv_source *source, bool strict_env_names)
{
	((struct kube *)source)->decode.strict_env_names = strict_env_names;
}

int sv_source_kube_new(uv_loop_t *loop, struct sv_manager *manager, const struct sv_kube_opts *opts,
		       struct sv_source **ret, struct sv_err *err)
{
	struct kube *k = calloc(1, sizeof(*k));
	char *path = pods_path(opts->node_name);
	sv_autofree char *other = NULL;
	int r = path ? -ENOMEM : -EINVAL;

	if (k)
		k->node_name = strdup(opts->node_name);
	if (path && k && k->node_name)
		r = sv_kube_server_init(&k->server, loop, opts->auth, err);
	else
		sv_kube_auth_free(opts->auth);
	if (r < 0) {
		if (r == -EINVAL)
			sv_err_set(err, 0, "node-name: '%s' is no name of a node", opts->node_name);
		free(path);
		if (k)
			free(k->node_name);
		free(k);
		return r;
	}
	k->source = (struct sv_source){ .type = "kubernetes",
					.origin = ORIGIN,
					.report = report,
					.each_problem = each_problem,
					.reload = reload,
					.interest = interest,
					.attend = attend,
					.refill = refill,
					.event = event,
					.lease = lease,
					.release = release,
					.metrics = write_metrics,
					.stop = stop,
					.free = source_free };
	k->manager = manager;
	k->decode = (struct sv_decode_opts){ opts->strict_env_names, true };
	k->problems.server = k->server.name;
	k->server.on_down = on_down;
	k->server.on_up = on_up;
	k->server.arg = k;
	manager->sources[ORIGIN] = &k->source;
	manager->desired.expected[ORIGIN] = manager->desired.by_secret[ORIGIN] = true;
	sv_kube_secrets_init(&k->secrets, &k->server, manager, &k->problems, opts->by_namespace,
			     &k->decode);
	k->secrets.set_back = on_set_back;
	k->secrets.arg = k;
	if (!opts->no_events)
		check(sv_kube_events_new(&k->server, k->node_name, &k->events));
	sv_kube_watch_init(&k->pods, &k->server, &pods_ops, k, NULL, path, SV_LIST_ANY);
	sv_kube_watch_start(&k->pods, 0);
	k->started_ms = sv_unix_ms();
	other = other_node(k);
	if (other)
		sv_log_warn("%s: %s", k->server.name, other);
	*ret = &k->source;
	return 0;
}
