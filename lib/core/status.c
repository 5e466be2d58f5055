/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "../base/text.h"

struct json_object *sv_status_list(const char *kind, struct json_object **items)
{
	struct json_object *o = json_object_new_object();

	*items = json_object_new_array();
	if (!o || !*items) {
		json_object_put(o);
		json_object_put(*items);
		return NULL;
	}
	sv_json_text(o, "apiVersion", SV_STATUS_VERSION);
	sv_json_text(o, "kind", kind);
	sv_json_add(o, "items", *items);
	return o;
}

/* ---- volumes ------------------------------------------------------------------------------- */

static const char *type_name(enum sv_volume_type type)
{
	return type == SV_VOLUME_PROJECTED ? "projected" : "secret";
}

static void add_mode(struct json_object *o, mode_t mode)
{
	char text[8];

	(void)snprintf(text, sizeof(text), "%04o", (unsigned)mode);
	sv_json_text(o, "mode", text);
}

static struct json_object *files_of(const struct sv_plan *plan)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; list && plan && i < plan->n_files; i++) {
		const struct sv_plan_file *f = &plan->files[i];
		struct json_object *o = json_object_new_object();

		sv_json_text(o, "path", f->path);
		sv_json_text(o, "secret", f->secret);
		sv_json_text(o, "key", f->key);
		add_mode(o, f->mode);
		sv_json_int(o, "uid", 0);
		sv_json_int(o, "gid", plan->fs_group >= 0 ? plan->fs_group : 0);
		sv_json_int(o, "size", (int64_t)f->size);
		sv_json_append(list, o);
	}
	return list;
}

/* Mountpoints of other volumes that lie below this one. */
static struct json_object *directories_of(const struct sv_plan *plan)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; list && plan && i < plan->n_dirs; i++) {
		struct json_object *o = json_object_new_object();

		sv_json_text(o, "path", plan->dirs[i]);
		add_mode(o, sv_plan_dir_mode(plan));
		sv_json_append(list, o);
	}
	return list;
}

static struct json_object *secrets_of(const struct sv_desired *d, const struct sv_wanted *w)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; list && w && i < w->vol->n_sources; i++) {
		const struct sv_secret_source *src = &w->vol->sources[i];
		const struct sv_desired_secret *rec =
			sv_desired_secret(d, w->origin, w->pod->ns, src->name);
		const struct sv_secret *s = rec ? rec->secret : NULL;
		struct json_object *o = json_object_new_object();

		sv_json_text(o, "name", src->name);
		sv_json_text(o, "resourceVersion", s ? s->resource_version : "");
		sv_json_bool(o, "optional", src->optional);
		sv_json_bool(o, "found", s != NULL);
		sv_json_append(list, o);
	}
	return list;
}

/* The items that the Pod lists: what is missing is named here, also while nothing is mounted. */
static struct json_object *items_of(const struct sv_desired *d, const struct sv_wanted *w)
{
	struct json_object *list = json_object_new_array();
	size_t i, j;

	for (i = 0; list && w && i < w->vol->n_sources; i++) {
		const struct sv_secret_source *src = &w->vol->sources[i];
		const struct sv_desired_secret *rec =
			sv_desired_secret(d, w->origin, w->pod->ns, src->name);
		const struct sv_secret *s = rec ? rec->secret : NULL;

		for (j = 0; j < src->n_items; j++) {
			struct json_object *o = json_object_new_object();

			sv_json_text(o, "secret", src->name);
			sv_json_text(o, "key", src->items[j].key);
			sv_json_text(o, "path", src->items[j].path);
			sv_json_bool(o, "optional", src->optional);
			sv_json_bool(o, "found", s && sv_secret_key(s, src->items[j].key));
			sv_json_append(list, o);
		}
	}
	return list;
}

/* Immutable Secrets that the volume keeps although they are gone, or others have their names. */
static struct json_object *kept_of(const struct sv_desired *d, const struct sv_wanted *w)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; list && w && i < w->n_pins; i++) {
		const struct sv_desired_secret *rec =
			sv_desired_secret(d, w->origin, w->pod->ns, w->pins[i]->name);

		if (!rec || !rec->secret || !sv_secret_equal(rec->secret, w->pins[i]))
			sv_json_append(list, json_object_new_string(w->pins[i]->name));
	}
	return list;
}

/* What the volume will be once all that is known of has been applied; 0: not wanted at all. */
static uint64_t wanted_generation(const struct sv_actual *a, const struct sv_wanted *w)
{
	if (!w || !w->used)
		return 0;
	return a->state == SV_STATE_PUBLISHED && !a->input ? a->generation : a->generation + 1;
}

static struct json_object *mounts_of(const struct sv_wanted *w)
{
	struct json_object *list = json_object_new_array();
	size_t i, j;

	for (i = 0; list && w && i < w->pod->n_containers; i++) {
		const struct sv_container *c = &w->pod->containers[i];

		for (j = 0; j < c->n_mounts; j++) {
			struct json_object *o;

			if (strcmp(c->mounts[j].volume, w->vol->name) != 0)
				continue;
			o = json_object_new_object();
			sv_json_text(o, "container", c->name);
			sv_json_text(o, "mountPath", c->mounts[j].path);
			sv_json_bool(o, "readOnly", true); /* whatever the Pod says (R20) */
			sv_json_text(o, "subPath", c->mounts[j].sub_path);
			sv_json_text(o, "subPathExpr", c->mounts[j].sub_path_expr);
			sv_json_append(list, o);
		}
	}
	return list;
}

/* How long an action has taken so far grows by itself: it is told when somebody asks. */
static void add_message(struct json_object *o, const struct sv_actual *a,
			const struct sv_status_env *env)
{
	sv_autofree char *text = NULL;

	if (a->overdue)
		text = sv_asprintf("%s, for %lld s", a->message ? a->message : "",
				   (long long)(env->now_ms - a->busy_since_ms) / 1000);
	sv_json_text(o, "message", text ? text : a->message ? a->message : "");
}

struct json_object *sv_status_volume(const struct sv_desired *d, const struct sv_actual *a,
				     const struct sv_status_env *env)
{
	const struct sv_wanted *w = sv_desired_wanted(d, a->id);
	sv_autofree char *path = sv_asprintf("%s/%s", env->root, a->id);
	struct json_object *o = json_object_new_object();

	if (!o || !path) {
		json_object_put(o);
		return NULL;
	}
	sv_json_text(o, "namespace", a->ns);
	sv_json_text(o, "pod", a->pod);
	sv_json_text(o, "podUid", a->uid);
	sv_json_text(o, "volume", a->volume);
	sv_json_text(o, "type", type_name(a->type));
	sv_json_text(o, "source", a->origin >= 0 ? sv_origin_name((enum sv_origin)a->origin) : "");
	sv_json_text(o, "state", sv_state_name(a->state));
	sv_json_text(o, "reason", a->reason);
	add_message(o, a, env);
	sv_json_text(o, "path", path);
	sv_json_add(o, "secrets", secrets_of(d, w));
	sv_json_add(o, "files", files_of(a->mounted ? a->plan : NULL));
	sv_json_add(o, "directories", directories_of(a->mounted ? a->plan : NULL));
	sv_json_add(o, "items", items_of(d, w));
	sv_json_add(o, "keptSecrets", kept_of(d, w));
	sv_json_add(o, "mounts", mounts_of(w));
	sv_json_int(o, "fsGroup", w ? w->pod->fs_group : -1);
	sv_json_int(o, "generation", (int64_t)a->generation);
	sv_json_int(o, "wantedGeneration", (int64_t)wanted_generation(a, w));
	sv_json_time(o, "publishedAt", a->published_ms);
	sv_json_time(o, "updatedAt", a->updated_ms);
	sv_json_text(o, "swapSafe", a->mounted ? sv_medium_name(a->medium) : "");
	sv_json_text(o, "lastError", a->last_error ? a->last_error : "");
	sv_json_int(o, "failures", a->failures);
	sv_json_time(o, "busySince",
		     a->overdue ? env->unix_ms - (env->now_ms - a->busy_since_ms) : 0);
	sv_json_time(o, "nextRetryAt",
		     a->retry_ms ? env->unix_ms + (a->retry_ms - env->now_ms) : 0);
	return o;
}

/* ---- Pods ---------------------------------------------------------------------------------- */

/* The records of one Pod uid stand together, since ids begin with it. */
struct pod_walk {
	const struct sv_actuals *s;
	char *prefix;
	size_t i;
};

static bool walk_start(struct pod_walk *w, const struct sv_actuals *s, const char *uid)
{
	*w = (struct pod_walk){ .s = s, .prefix = sv_asprintf("pods/%s/", uid) };
	if (!w->prefix)
		return false;
	w->i = sv_strmap_lower(&s->records, w->prefix);
	return true;
}

static const struct sv_actual *walk_next(struct pod_walk *w)
{
	if (w->i < w->s->records.n &&
	    strncmp(w->s->records.entries[w->i].key, w->prefix, strlen(w->prefix)) == 0)
		return w->s->records.entries[w->i++].value;
	free(w->prefix);
	return NULL;
}

struct pod_counts {
	int64_t wanted, ready, removing;
	int64_t unclaimed; /* found at the start: whether they are wanted, no source has said yet */
};

static struct json_object *volumes_of(const struct sv_actuals *s, const char *uid,
				      struct pod_counts *counts)
{
	struct json_object *list = json_object_new_array();
	const struct sv_actual *a;
	struct pod_walk walk;

	if (!list || !walk_start(&walk, s, uid)) {
		json_object_put(list);
		return NULL;
	}
	while ((a = walk_next(&walk))) {
		struct json_object *o = json_object_new_object();

		sv_json_text(o, "name", a->volume);
		sv_json_text(o, "type", type_name(a->type));
		sv_json_text(o, "state", sv_state_name(a->state));
		sv_json_text(o, "reason", a->reason);
		sv_json_text(o, "message", a->message ? a->message : "");
		sv_json_append(list, o);
		counts->removing += a->state == SV_STATE_REMOVING;
		counts->wanted += a->state != SV_STATE_REMOVING && a->state != SV_STATE_UNUSED;
		counts->ready += a->state == SV_STATE_PUBLISHED;
		counts->unclaimed += a->mounted && a->origin < 0 && a->state == SV_STATE_PENDING;
	}
	return list;
}

static struct json_object *make_pod(const char *ns, const char *name, const char *uid,
				    const char *source, const struct sv_actuals *s, bool terminated,
				    bool gone, int64_t created_ms)
{
	struct json_object *o = json_object_new_object(), *volumes;
	struct pod_counts n = { 0, 0, 0, 0 };
	const char *state;

	if (!o)
		return NULL;
	volumes = volumes_of(s, uid, &n);
	gone = gone && n.unclaimed == 0;
	state = gone || (terminated && n.removing > 0) ? "Removing" :
		terminated                             ? "Terminated" :
		n.ready == n.wanted                    ? "Ready" :
							 "NotReady";
	sv_json_text(o, "namespace", ns);
	sv_json_text(o, "name", name);
	sv_json_text(o, "uid", uid);
	sv_json_text(o, "source", source);
	sv_json_text(o, "state", state);
	sv_json_int(o, "ready", n.ready);
	sv_json_int(o, "wanted", n.wanted);
	sv_json_bool(o, "terminated", terminated);
	sv_json_add(o, "volumes", volumes);
	sv_json_time(o, "createdAt", created_ms);
	return o;
}

static struct json_object *environment_of(const struct sv_desired *d, const struct sv_handout *h)
{
	struct json_object *o = json_object_new_object(), *secrets = json_object_new_array();
	size_t i;

	sv_json_time(o, "handedOutAt", h->at_ms);
	sv_json_bool(o, "stale", sv_handout_is_stale(h, d));
	for (i = 0; i < h->n_secrets; i++) {
		const struct sv_desired_secret *now =
			sv_desired_secret(d, h->origin, h->ns, h->secrets[i].name);
		struct json_object *s = json_object_new_object();

		sv_json_text(s, "name", h->secrets[i].name);
		sv_json_int(s, "generation", (int64_t)h->secrets[i].generation);
		if (sv_desired_is_known(d, h->origin, now)) {
			sv_json_int(s, "currentGeneration",
				    now && now->secret ? (int64_t)now->generation : 0);
			sv_json_bool(s, "stale", sv_handout_secret_is_stale(h, i, d));
		} else { /* no volume needs it: read for the environment, and not watched */
			sv_json_text(s, "currentGeneration", NULL);
			sv_json_bool(s, "stale", false);
		}
		sv_json_append(secrets, s);
	}
	sv_json_add(o, "secrets", secrets);
	return o;
}

/* What each container's environment was made from last, if it was asked for (R63). */
static void add_containers(struct json_object *o, const struct sv_desired *d,
			   const struct sv_handouts *handouts, const struct sv_pod *pod)
{
	static const char *const kinds[] = { "app", "init", "ephemeral" };
	struct json_object *list = json_object_new_array();
	bool stale = false;
	size_t i;

	for (i = 0; i < pod->n_containers; i++) {
		const struct sv_container *c = &pod->containers[i];
		const struct sv_handout *h = sv_handouts_get(handouts, pod->uid, c->name);
		struct json_object *item = json_object_new_object();

		sv_json_text(item, "name", c->name);
		sv_json_text(item, "kind", kinds[c->kind]);
		if (h)
			sv_json_add(item, "environment", environment_of(d, h));
		else
			sv_json_text(item, "environment", NULL);
		sv_json_append(list, item);
		stale = stale || (h && sv_handout_is_stale(h, d));
	}
	sv_json_add(o, "containers", list);
	sv_json_text(o, "reason", stale ? "StaleEnvironment" : "");
}

struct json_object *sv_status_pod(const struct sv_desired *d, const struct sv_actuals *s,
				  const struct sv_handouts *handouts,
				  const struct sv_desired_pod *p)
{
	struct json_object *o =
		make_pod(p->pod->ns, p->pod->name, p->pod->uid, sv_origin_name(p->origin), s,
			 p->pod->terminated, false, p->created_ms);

	if (o)
		add_containers(o, d, handouts, p->pod);
	return o;
}

struct json_object *sv_status_gone_pod(const struct sv_actuals *s, const struct sv_actual *a)
{
	return make_pod(a->ns, a->pod, a->uid,
			a->origin >= 0 ? sv_origin_name((enum sv_origin)a->origin) : "", s, false,
			true, 0);
}

/* ---- Secrets and problems ------------------------------------------------------------------ */

struct json_object *sv_status_secret(const struct sv_desired_secret *rec)
{
	const struct sv_secret *s = rec->secret;
	struct json_object *o = json_object_new_object(), *keys = json_object_new_array(),
			   *users = json_object_new_array();
	size_t i;

	if (!o || !keys || !users) {
		json_object_put(o);
		json_object_put(keys);
		json_object_put(users);
		return NULL;
	}
	sv_json_text(o, "namespace", s->ns);
	sv_json_text(o, "name", s->name);
	sv_json_text(o, "type", s->type);
	sv_json_bool(o, "immutable", s->immutable);
	sv_json_text(o, "source", sv_origin_name(rec->origin));
	sv_json_text(o, "resourceVersion", s->resource_version);
	sv_json_int(o, "generation", (int64_t)rec->generation);
	for (i = 0; i < s->n_keys; i++) {
		struct json_object *k = json_object_new_object();

		sv_json_text(k, "name", s->keys[i].name);
		sv_json_int(k, "size", (int64_t)s->keys[i].size);
		sv_json_append(keys, k);
	}
	sv_json_add(o, "keys", keys);
	for (i = 0; i < rec->n_users; i++) {
		struct json_object *u;

		if (i > 0 && rec->users[i] == rec->users[i - 1])
			continue; /* a volume that names the Secret more than once */
		u = json_object_new_object();
		sv_json_text(u, "pod", rec->users[i]->pod->name);
		sv_json_text(u, "volume", rec->users[i]->vol->name);
		sv_json_append(users, u);
	}
	sv_json_add(o, "usedBy", users);
	sv_json_time(o, "updatedAt", rec->updated_ms);
	return o;
}

struct json_object *sv_status_problem(const struct sv_problem *p)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	sv_json_text(o, "source", p->source);
	sv_json_text(o, "file", p->file);
	if (p->document >= 0)
		sv_json_int(o, "document", p->document);
	else
		sv_json_text(o, "document", NULL);
	sv_json_int(o, "line", p->line);
	sv_json_text(o, "kind", p->kind);
	sv_json_text(o, "namespace", p->ns);
	sv_json_text(o, "name", p->name);
	sv_json_text(o, "field", p->field);
	sv_json_text(o, "category", p->category);
	sv_json_text(o, "severity", p->warning ? "warning" : "error");
	sv_json_text(o, "reason", p->reason);
	sv_json_text(o, "message", p->message);
	sv_json_time(o, "since", p->since_ms);
	return o;
}
