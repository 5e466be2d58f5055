/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/text.h"
#include "../lib/core/json.h"

/* ---- answers ------------------------------------------------------------------------------- */

static void answer_text(struct sv_api_answer *ret, unsigned status, char *text)
{
	*ret = (struct sv_api_answer){ status, "text/plain", text };
}

/* Takes the tree, wiping it. One that is not whole is no answer. */
static void answer_json(struct sv_api_answer *ret, unsigned status, struct json_object *o)
{
	*ret = (struct sv_api_answer){ status, "application/json", sv_json_line(o) };
	sv_tree_free(o);
}

void sv_api_error(struct sv_api_answer *ret, unsigned status, const char *reason, const char *text)
{
	struct json_object *o = json_object_new_object();

	sv_json_text(o, "error", text);
	if (*reason)
		sv_json_text(o, "reason", reason);
	answer_json(ret, status, o);
}

const char *sv_api_argument(const struct sv_api_request *req, const char *name)
{
	const char *value = req->argument(req->arg, name);

	return value && *value ? value : NULL;
}

static bool is_ready(const struct sv_api_context *x)
{
	return x->manager->settled && !x->manager->stopping;
}

static void answer_health(const struct sv_api_context *x, const struct sv_api_request *req,
			  bool readiness, struct sv_api_answer *ret)
{
	bool works = x->manager->worker.stuck < SV_WORKERS;
	bool settled = !readiness || is_ready(x), ready = settled && works;
	struct sv_buf b = { 0 };

	if (req->argument(req->arg, "verbose") || !ready) {
		sv_buf_puts(&b, "[+]loop ok\n");
		sv_buf_printf(&b, "[%c]workers %s\n", works ? '+' : '-',
			      works ? "ok" : "all are at work that does not come to an end");
		if (readiness) {
			bool synced = sv_desired_all_synced(&x->manager->desired);

			sv_buf_printf(&b, "[%c]sources %s\n", synced ? '+' : '-',
				      synced ? "ok" : "not all read once");
			sv_buf_printf(&b, "[%c]volumes %s\n", settled ? '+' : '-',
				      settled ? "ok" : "first reconciliation not done");
		}
	}
	sv_buf_puts(&b, ready ? "ok\n" : "not ready\n");
	answer_text(ret, ready ? 200 : 503, sv_buf_take(&b));
}

/* ---- status -------------------------------------------------------------------------------- */

static void add_problem(void *arg, const struct sv_problem *p)
{
	sv_json_append(arg, sv_status_problem(p));
}

static struct json_object *swap_status(const struct sv_manager *m)
{
	struct json_object *o = json_object_new_object();
	enum sv_medium medium = m->node->medium;

	sv_json_text(o, "policy", sv_swap_policy_name(m->node->policy));
	sv_json_text(o, "medium",
		     medium == SV_MEDIUM_UNKNOWN ? "" :
		     medium == SV_MEDIUM_RAMFS   ? "ramfs" :
						   "tmpfs");
	sv_json_bool(o, "safe", medium == SV_MEDIUM_TMPFS_NOSWAP || medium == SV_MEDIUM_RAMFS);
	sv_json_text(o, "how", medium == SV_MEDIUM_UNKNOWN ? "none" : sv_medium_name(medium));
	return o;
}

static size_t count_secrets(const struct sv_desired *d)
{
	size_t i, n = 0;
	int o;

	for (o = 0; o < SV_N_ORIGINS; o++)
		for (i = 0; i < d->secrets[o].n; i++) {
			const struct sv_desired_secret *s = d->secrets[o].entries[i].value;

			n += s->secret != NULL;
		}
	return n;
}

static struct json_object *counts_status(const struct sv_manager *m)
{
	struct json_object *o = json_object_new_object(), *states = json_object_new_object();
	size_t counts[SV_N_STATES], pods = 0;
	int i;

	sv_manager_count(m, counts);
	for (i = 0; i < SV_N_ORIGINS; i++)
		pods += m->desired.pods[i].n;
	sv_json_int(o, "pods", (int64_t)pods);
	sv_json_int(o, "secrets", (int64_t)count_secrets(&m->desired));
	sv_json_int(o, "volumes", (int64_t)m->actuals.records.n);
	for (i = 0; i < SV_N_STATES; i++)
		sv_json_int(states, sv_state_name((enum sv_state)i), (int64_t)counts[i]);
	sv_json_add(o, "states", states);
	return o;
}

/* Threads that do not come back are the node's trouble: which volumes they have, these say themselves. */
static void add_stuck(const struct sv_manager *m, struct json_object *problems)
{
	const struct sv_worker *w = &m->worker;
	struct sv_problem p = sv_problem_about("node", m->node->root);
	sv_autofree char *text = NULL;
	int64_t since_ms, now_ms = sv_monotonic_ms();
	const char *id = sv_worker_stuck(w, &since_ms);

	if (!id)
		return;
	text = sv_asprintf(
		"%u of %d workers %s at work that does not come to an end, for %lld s at "
		"%s%s",
		w->stuck, SV_WORKERS, w->stuck == 1 ? "is" : "are",
		(long long)(now_ms - since_ms) / 1000, id,
		w->stuck < SV_WORKERS ? "" : ": nothing is published or removed");
	p.reason = "Busy";
	p.message = text ? text : "out of memory";
	p.since_ms = sv_unix_ms() - (now_ms - since_ms);
	add_problem(problems, &p);
}

static void answer_status(const struct sv_api_context *x, struct sv_api_answer *ret)
{
	struct json_object *o = json_object_new_object(), *sources = json_object_new_array(),
			   *problems = json_object_new_array();
	size_t i;

	sv_json_text(o, "apiVersion", SV_STATUS_VERSION);
	sv_json_text(o, "kind", "Status");
	sv_json_text(o, "version", SV_VERSION);
	sv_json_int(o, "pid", getpid());
	sv_json_time(o, "startedAt", x->started_ms);
	sv_json_text(o, "rootDir", x->manager->node->root);
	sv_json_text(o, "nodeName", x->config->node_name);
	sv_json_bool(o, "ready", is_ready(x));
	sv_json_add(o, "swap", swap_status(x->manager));
	for (i = 0; x->sources[i]; i++) {
		x->sources[i]->report(x->sources[i], sources);
		x->sources[i]->each_problem(x->sources[i], add_problem, problems);
	}
	add_stuck(x->manager, problems);
	sv_json_add(o, "sources", sources);
	sv_json_add(o, "counts", counts_status(x->manager));
	sv_json_add(o, "problems", problems);
	answer_json(ret, 200, o);
}

static void answer_metrics(const struct sv_api_context *x, struct sv_api_answer *ret)
{
	struct sv_buf b = { 0 };

	sv_metrics_write(x, &b);
	*ret = (struct sv_api_answer){ 200, SV_METRICS_TYPE, sv_buf_take(&b) };
}

/* ---- lists --------------------------------------------------------------------------------- */

bool sv_api_matches(const char *ns, const char *pod, const char *want_ns, const char *want_pod)
{
	return (!want_ns || strcmp(ns, want_ns) == 0) && (!want_pod || strcmp(pod, want_pod) == 0);
}

/* Volumes by namespace, Pod and name, as people look for them; records are kept by uid. */
static int compare_volumes(const void *va, const void *vb)
{
	const struct sv_actual *a = *(const struct sv_actual *const *)va,
			       *b = *(const struct sv_actual *const *)vb;
	int r = strcmp(a->ns, b->ns);

	if (r == 0)
		r = strcmp(a->pod, b->pod);
	if (r == 0)
		r = strcmp(a->volume, b->volume);
	return r ? r : strcmp(a->id, b->id);
}

static void each_volume(const struct sv_manager *m, const char *ns, const char *pod,
			void (*fn)(void *arg, struct json_object *o), void *arg)
{
	const struct sv_status_env env = sv_manager_now(m);
	const struct sv_strmap *records = &m->actuals.records;
	sv_autofree const struct sv_actual **found = calloc(records->n + 1, sizeof(*found));
	size_t i, n = 0;

	if (!found) {
		fn(arg, NULL);
		return;
	}
	for (i = 0; i < records->n; i++) {
		const struct sv_actual *a = records->entries[i].value;

		if (sv_api_matches(a->ns, a->pod, ns, pod))
			found[n++] = a;
	}
	qsort(found, n, sizeof(*found), compare_volumes);
	for (i = 0; i < n; i++)
		fn(arg, sv_status_volume(&m->desired, found[i], &env));
}

void sv_api_each(const struct sv_manager *m, enum sv_topic topic, const char *ns, const char *pod,
		 void (*fn)(void *arg, struct json_object *o), void *arg)
{
	size_t i;

	switch (topic) {
	case SV_TOPIC_VOLUMES:
		each_volume(m, ns, pod, fn, arg);
		break;
	case SV_TOPIC_PODS:
		sv_manager_each_pod(m, fn, arg);
		break;
	default:
		for (i = 0; i < m->events.n; i++)
			if (sv_api_matches(m->events.items[i].ns, m->events.items[i].pod, ns, pod))
				fn(arg, sv_event_json(&m->events.items[i]));
	}
}

static void add_item(void *arg, struct json_object *o)
{
	sv_json_append(arg, o);
}

static void answer_list(const struct sv_api_context *x, const struct sv_api_request *req,
			enum sv_topic topic, const char *kind, struct sv_api_answer *ret)
{
	struct json_object *items, *o = sv_status_list(kind, &items);

	if (o)
		sv_api_each(x->manager, topic, sv_api_argument(req, "namespace"),
			    sv_api_argument(req, "pod"), add_item, items);
	answer_json(ret, 200, o);
}

static void answer_secrets(const struct sv_api_context *x, struct sv_api_answer *ret)
{
	const struct sv_desired *d = &x->manager->desired;
	struct json_object *items, *o = sv_status_list("SecretList", &items);
	size_t i;
	int origin;

	for (origin = 0; o && origin < SV_N_ORIGINS; origin++)
		for (i = 0; i < d->secrets[origin].n; i++) {
			const struct sv_desired_secret *rec = d->secrets[origin].entries[i].value;

			if (rec->secret)
				sv_json_append(items, sv_status_secret(rec));
		}
	answer_json(ret, 200, o);
}

/* ---- environments -------------------------------------------------------------------------- */

static bool is_text(const struct sv_bytes *b)
{
	return sv_utf8_valid((const char *)b->ptr, b->len) &&
	       (b->len == 0 || !memchr(b->ptr, '\0', b->len));
}

static struct json_object *entry_json(const struct sv_env_entry *e)
{
	struct json_object *o = json_object_new_object();

	sv_json_text(o, "name", e->name);
	if (is_text(&e->value)) {
		sv_json_add(
			o, "value",
			json_object_new_string_len(e->value.ptr ? (const char *)e->value.ptr : "",
						   (int)e->value.len));
	} else {
		char *text = sv_base64_encode(e->value.ptr, e->value.len);

		sv_json_add(o, "valueBase64", text ? json_object_new_string(text) : NULL);
		free(text);
	}
	return o;
}

static void add_strings(struct json_object *o, const char *key, char *const *strings)
{
	struct json_object *list = strings ? json_object_new_array() : NULL;

	for (; strings && *strings; strings++)
		sv_json_append(list, json_object_new_string(*strings));
	if (strings)
		sv_json_add(o, key, list);
	else
		sv_json_text(o, key, NULL);
}

static void add_id(struct json_object *o, const char *key, int64_t own, int64_t pod)
{
	int64_t id = own >= 0 ? own : pod;

	if (id >= 0)
		sv_json_int(o, key, id);
	else
		sv_json_text(o, key, NULL);
}

/* A mount of the container, with the volume it stands for and its state. */
static struct json_object *mount_json(const struct sv_manager *m, const struct sv_pod *pod,
				      const struct sv_mount *mount, const struct sv_env *env,
				      struct sv_err *err, int *r)
{
	struct json_object *o = json_object_new_object();
	const struct sv_volume *vol = NULL;
	const struct sv_actual *a = NULL;
	sv_autofree char *sub_path = NULL, *id = NULL, *path = NULL;
	size_t i;

	for (i = 0; i < pod->n_volumes; i++)
		if (strcmp(pod->volumes[i].name, mount->volume) == 0)
			vol = &pod->volumes[i];
	if (*mount->sub_path_expr)
		*r = sv_env_sub_path(env, mount->sub_path_expr, &sub_path, err);
	if (vol && vol->type != SV_VOLUME_OTHER)
		id = sv_desired_id(pod, vol);
	if (id)
		a = sv_actuals_get(&m->actuals, id);
	path = id ? sv_asprintf("%s/%s", m->node->root, id) : NULL;
	if (vol && vol->type != SV_VOLUME_OTHER && !path) {
		json_object_put(o);
		return NULL;
	}
	sv_json_text(o, "volume", mount->volume);
	sv_json_text(o, "mountPath", mount->path);
	sv_json_text(o, "subPath", sub_path ? sub_path : mount->sub_path);
	sv_json_text(o, "path", path ? path : "");
	sv_json_text(o, "state", a ? sv_state_name(a->state) : "");
	return o;
}

static struct json_object *env_json(const struct sv_manager *m, const struct sv_pod *pod,
				    const struct sv_container *c, const struct sv_env *env,
				    struct sv_err *err, int *r)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	size_t i;

	for (i = 0; i < env->n_entries; i++)
		sv_json_append(list, entry_json(&env->entries[i]));
	sv_json_add(o, "env", list);
	sv_json_text(o, "namespace", pod->ns);
	sv_json_text(o, "pod", pod->name);
	sv_json_text(o, "podUid", pod->uid);
	sv_json_text(o, "container", c->name);
	list = json_object_new_array();
	for (i = 0; i < env->n_notices; i++)
		sv_json_append(list, json_object_new_string(env->notices[i]));
	sv_json_add(o, "notices", list);
	add_strings(o, "command", env->command);
	add_strings(o, "args", env->args);
	add_id(o, "runAsUser", c->run_as_user, pod->run_as_user);
	add_id(o, "runAsGroup", c->run_as_group, pod->run_as_group);
	add_id(o, "fsGroup", -1, pod->fs_group);
	list = json_object_new_array();
	for (i = 0; i < pod->n_supplemental_groups; i++)
		sv_json_append(list, json_object_new_int64(pod->supplemental_groups[i]));
	sv_json_add(o, "supplementalGroups", list);
	list = json_object_new_array();
	for (i = 0; i < c->n_mounts && *r == 0; i++)
		sv_json_append(list, mount_json(m, pod, &c->mounts[i], env, err, r));
	sv_json_add(o, "mounts", list);
	return o;
}

/* What POST /v1/env asks for. */
struct env_request {
	struct json_object *body; /* has the names */
	const char *ns, *pod;
	const char *container; /* NULL: the first one */
};

/* A member that may be left out: *ret stays then. Anything but a name would be taken for that. */
static int read_name(struct json_object *body, const char *key, const char **ret,
		     struct sv_err *err)
{
	struct json_object *node = json_object_object_get(body, key);
	const char *name = json_object_get_string(node);

	if (!node)
		return 0;
	if (!json_object_is_type(node, json_type_string) || !*name ||
	    strlen(name) != (size_t)json_object_get_string_len(node))
		return sv_err_set(err, 1, "%s: expects a name", key);
	*ret = name;
	return 0;
}

/* The body is to be put in either case. Return: 0, > 0 for a bad request, or -ENOMEM. */
static int read_env_request(const struct sv_api_request *req, struct env_request *ret,
			    struct sv_err *err)
{
	int r;

	*ret = (struct env_request){ .ns = "default" };
	r = sv_json_parse(req->body ? req->body : "", req->body_len, &ret->body, err, NULL);
	if (r == 0 && json_object_is_type(ret->body, json_type_object)) {
		r = read_name(ret->body, "namespace", &ret->ns, err);
		if (r == 0)
			r = read_name(ret->body, "pod", &ret->pod, err);
		if (r == 0)
			r = read_name(ret->body, "container", &ret->container, err);
	}
	return r || ret->pod ? r : sv_err_set(err, 1, "expects an object with a member pod");
}

bool sv_api_is_env(const struct sv_api_request *req)
{
	return req->is_root && strcmp(req->path, "/v1/env") == 0 &&
	       strcmp(req->method, "POST") == 0;
}

int sv_api_lease(const struct sv_api_context *x, const struct sv_api_request *req,
		 void (*ready)(void *arg), void *arg, struct sv_env_lease *ret)
{
	struct env_request asked;
	int r = 0;

	*ret = (struct sv_env_lease){ 0 };
	if (read_env_request(req, &asked, NULL) == 0) /* the answer says what is wrong */
		r = sv_manager_lease(x->manager, asked.ns, asked.pod, asked.container, ready, arg,
				     ret);
	json_object_put(asked.body);
	return r;
}

static void answer_env(const struct sv_api_context *x, const struct sv_api_request *req,
		       struct sv_api_answer *ret)
{
	const struct sv_env_opts opts = { x->config->strict_env_names, x->config->node_name };
	const struct sv_desired_pod *pod = NULL;
	const struct sv_container *c = NULL;
	sv_autoenv struct sv_env *env = NULL;
	struct json_object *o = NULL;
	struct env_request asked;
	struct sv_err err = { "" };
	int r;

	if (!req->is_root) {
		sv_api_error(ret, 403, "", "only root may ask for values");
		return;
	}
	r = read_env_request(req, &asked, &err);
	if (r) {
		sv_api_error(ret, r < 0 ? 500 : 400, "", err.msg);
		json_object_put(asked.body);
		return;
	}
	r = sv_manager_env(x->manager, asked.ns, asked.pod, asked.container, &opts, &pod, &c, &env,
			   &err);
	if (r == 0) {
		o = env_json(x->manager, pod->pod, c, env, &err, &r);
		if (r)
			sv_tree_free(o);
		else
			answer_json(ret, 200, o);
	}
	if (r == 0 && ret->text)
		sv_manager_handed_out(x->manager, pod, c, env);
	json_object_put(asked.body);
	if (r == 0)
		return;
	if (r == -ENOENT)
		sv_api_error(ret, 404, "", err.msg);
	else if (r > 0)
		sv_api_error(ret, r == SV_PLAN_E_PENDING || r == SV_PLAN_E_UNAVAILABLE ? 503 : 409,
			     sv_reconcile_reason(r), err.msg);
	else
		sv_api_error(ret, 500, "", err.msg);
}

/* ---- routes -------------------------------------------------------------------------------- */

static const struct {
	const char *path, *kind;
	enum sv_topic topic;
} lists[] = {
	{ "/v1/volumes", "VolumeList", SV_TOPIC_VOLUMES },
	{ "/v1/pods", "PodList", SV_TOPIC_PODS },
	{ "/v1/events", "EventList", SV_TOPIC_EVENTS },
};

static bool is_get(const struct sv_api_request *req)
{
	return strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
}

bool sv_api_is_watch(const struct sv_api_request *req, enum sv_topic *topic)
{
	const char *watch = sv_api_argument(req, "watch");
	size_t i;

	if (!watch || strcmp(req->method, "GET") != 0 ||
	    (strcmp(watch, "1") != 0 && strcmp(watch, "true") != 0))
		return false;
	for (i = 0; i < SV_ARRAY_SIZE(lists); i++)
		if (strcmp(req->path, lists[i].path) == 0) {
			*topic = lists[i].topic;
			return true;
		}
	return false;
}

void sv_api_answer(const struct sv_api_context *x, const struct sv_api_request *req,
		   struct sv_api_answer *ret)
{
	const char *path = req->path;
	bool is_env = strcmp(path, "/v1/env") == 0;
	size_t i;

	if (is_env ? strcmp(req->method, "POST") != 0 : !is_get(req)) {
		sv_api_error(ret, 405, "",
			     is_env ? "only POST is answered" : "only GET is answered");
		return;
	}
	if (is_env) {
		answer_env(x, req, ret);
		return;
	}
	if (strcmp(path, "/healthz") == 0 || strcmp(path, "/livez") == 0) {
		answer_health(x, req, false, ret);
		return;
	}
	if (strcmp(path, "/readyz") == 0) {
		answer_health(x, req, true, ret);
		return;
	}
	if (strcmp(path, "/metrics") == 0) {
		answer_metrics(x, ret);
		return;
	}
	if (strcmp(path, "/v1/status") == 0) {
		answer_status(x, ret);
		return;
	}
	if (strcmp(path, "/v1/secrets") == 0) {
		answer_secrets(x, ret);
		return;
	}
	for (i = 0; i < SV_ARRAY_SIZE(lists); i++)
		if (strcmp(path, lists[i].path) == 0) {
			answer_list(x, req, lists[i].topic, lists[i].kind, ret);
			return;
		}
	sv_api_error(ret, 404, "", "no such path");
}
