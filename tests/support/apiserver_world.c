/* SPDX-License-Identifier: Apache-2.0 */
/* The world: objects with versions and a history, and the API's answers about them. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/base/bytes.h"
#include "../../lib/base/strmap.h"
#include "apiserver_priv.h"

#define FIRST_VERSION 95
#define TOKEN_FORM "meta.k8s.io/v1"

enum { PODS, SECRETS, EVENTS, N_KINDS };

static const struct kind {
	const char *plural, *kind;
	bool cached;          /* served by the watch cache where that is asked for */
	const char *bookmark; /* what a bookmark's object has besides metadata */
} kinds[N_KINDS] = {
	[PODS] = { "pods", "Pod", true, ",\"spec\":{\"containers\":null},\"status\":{}" },
	[SECRETS] = { "secrets", "Secret", true, "" },
	[EVENTS] = { "events", "Event", false, "" },
};

/* What an object was between two changes. Constant, shared by references. */
struct version {
	unsigned refs;
	uint64_t rv;
	char *ns, *name, *node, *uid;
	char *item;            /* JSON as in a list: without kind and apiVersion */
	size_t len;            /* of it */
	size_t rv_off, rv_len; /* where the digits of the version stand in it */
	char **secrets;        /* that a Pod bound to a node refers to */
	size_t n_secrets;
};

struct past {
	uint64_t rv;
	struct version *v; /* NULL: deleted */
};

struct object {
	char *key; /* "NS/NAME" */
	struct past *past;
	size_t n;
};

struct change {
	uint64_t rv;
	int kind;
	struct version *old, *new; /* NULL: did not exist, does not exist */
};

struct watch {
	uv_timer_t timer;
	struct t_api *api;
	struct watch *prev, *next;
	struct t_api_req *req; /* NULL: closing */
	int kind;
	uint64_t rv; /* changes after this one are its */
	bool bookmarks;
	struct t_fault_stream stream;
};

struct denial {
	char *key;
	unsigned left;
};

struct t_world {
	struct t_api *api;
	struct sv_strmap
		objects[N_KINDS]; /* struct object, deleted ones too while history has them */
	struct change *changes;
	size_t n_changes, cap_changes;
	uint64_t rv, compacted;
	uint64_t cached_rv[N_KINDS];
	uint64_t last_uid;
	struct watch *watches;
	size_t n_watches;
	char *node, *token; /* NULL: no matter */
	unsigned denials;
	struct sv_strmap denied; /* struct denial */
};

/* ---- JSON ---------------------------------------------------------------------------------- */

static const char *text_of(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *m = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &m) ?
		       m :
		       NULL;
}

static const char *string_member(struct json_object *o, const char *name)
{
	struct json_object *m = member(o, name);

	return json_object_is_type(m, json_type_string) ? json_object_get_string(m) : NULL;
}

static void set_string(struct json_object *o, const char *name, const char *value)
{
	struct json_object *s = json_object_new_string(value);

	if (!s || json_object_object_add(o, name, s) != 0)
		t_api_die("out of memory");
}

/* A further reference to @value as a member of @o. */
static void set_member(struct json_object *o, const char *name, struct json_object *value)
{
	if (json_object_object_add(o, name, json_object_get(value)) != 0)
		t_api_die("out of memory");
}

static struct json_object *parse_json(const char *text)
{
	struct json_object *o = json_tokener_parse(text);

	if (!json_object_is_type(o, json_type_object))
		t_api_die("this is no JSON object: %s", text);
	return o;
}

/* RFC 7386; strategic merge does the same to the fields that events have. */
static void merge(struct json_object *target, struct json_object *patch)
{
	json_object_object_foreach (patch, name, value) {
		struct json_object *old = member(target, name);

		if (!value)
			json_object_object_del(target, name);
		else if (json_object_is_type(value, json_type_object) &&
			 json_object_is_type(old, json_type_object))
			merge(old, value);
		else
			set_member(target, name, value);
	}
}

static void now_text(char *buf, size_t size, long later_s)
{
	time_t now = time(NULL) + later_s;
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	(void)strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* ---- Status -------------------------------------------------------------------------------- */

static char *status_json(int code, const char *reason, const char *message, const char *metadata,
			 const char *details)
{
	struct json_object *quoted = json_object_new_string(message);
	char *text = t_api_printf("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":%s,"
				  "\"status\":\"Failure\",\"message\":%s%s%s%s%s%s,\"code\":%d}\n",
				  metadata ? metadata : "{}", text_of(quoted),
				  reason ? ",\"reason\":\"" : "", reason ? reason : "",
				  reason ? "\"" : "", details ? ",\"details\":" : "",
				  details ? details : "", code);

	json_object_put(quoted);
	return text;
}

char *t_api_status_json(int code, const char *reason, const char *message, const char *details)
{
	return status_json(code, reason, message, NULL, details);
}

/* {"name":"s1","kind":"secrets"}; names of the API's kinds of objects need no escapes. */
static char *details_of(const struct t_api_req *req)
{
	return req->name ? t_api_printf("{\"name\":\"%s\",\"kind\":\"%s\"}", req->name, req->kind) :
			   t_api_printf("{\"kind\":\"%s\"}", req->kind);
}

static char *forbidden(const struct t_api_req *req, const char *user, const char *why)
{
	sv_autofree char *details = details_of(req);
	sv_autofree char *quoted =
		req->name ? t_api_printf(" \"%s\"", req->name) : t_api_strdup("");
	sv_autofree char *scope = req->ns ? t_api_printf("in the namespace \"%s\"", req->ns) :
					    t_api_strdup("at the cluster scope");
	sv_autofree char *message = t_api_printf(
		"%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"\" %s%s%s",
		req->kind, quoted, user, req->verb, req->kind, scope, why ? ": " : "",
		why ? why : "");

	return t_api_status_json(403, "Forbidden", message, details);
}

static char *too_large(uint64_t wanted, uint64_t current, bool retry)
{
	sv_autofree char *message =
		t_api_printf("Timeout: Too large resource version: %" PRIu64 ", current: %" PRIu64,
			     wanted, current);

	return t_api_status_json(504, "Timeout", message,
				 retry ? "{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","
					 "\"message\":\"Too large resource version\"}],"
					 "\"retryAfterSeconds\":1}" :
					 "{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","
					 "\"message\":\"Too large resource version\"}]}");
}

static char *not_found(const struct t_api_req *req)
{
	sv_autofree char *details = details_of(req);
	sv_autofree char *message =
		t_api_printf("%s \"%s\" not found", req->kind, req->name ? req->name : "");

	return t_api_status_json(404, "NotFound", message, details);
}

char *t_api_status_of(int code, const struct t_api_req *req)
{
	const char *node = req->api->world->node;
	sv_autofree char *user = t_api_printf("system:node:%s", node ? node : "node");
	sv_autofree char *why = t_api_printf(
		"no relationship found between node '%s' and this object", node ? node : "node");

	switch (code) {
	case 401:
		return t_api_status_json(401, "Unauthorized", "Unauthorized", NULL);
	case 403:
		return forbidden(req, user, strcmp(req->kind, "secrets") == 0 ? why : NULL);
	case 404:
		return not_found(req);
	case 410:
		return t_api_status_json(410, "Expired",
					 "The resourceVersion for the provided list is too old.",
					 NULL);
	case 500:
		return t_api_status_json(
			500, "InternalError",
			"Internal error occurred: etcdserver: request timed out",
			"{\"causes\":[{\"message\":\"etcdserver: request timed out\"}]}");
	case 503:
		return t_api_status_json(503, "ServiceUnavailable",
					 "the server is currently unable to handle the request",
					 NULL);
	case 504:
		return too_large(req->api->world->rv + 1, req->api->world->rv, true);
	default:
		return t_api_status_json(code, NULL, "unknown", NULL);
	}
}

/* @status: owned, freed here. */
static void reply_status(struct t_api_req *req, int code, char *status)
{
	const char *headers = code == 403 ? "X-Content-Type-Options: nosniff\r\n" :
			      strstr(status, "retryAfterSeconds") ? "Retry-After: 1\r\n" :
								    NULL;

	t_fault_reply(req, code, headers, status, strlen(status));
	free(status);
}

static void refuse(struct t_api_req *req, int code, const char *reason, const char *message,
		   const char *details)
{
	reply_status(req, code, t_api_status_json(code, reason, message, details));
}

/* ---- what a request asks for --------------------------------------------------------------- */

static int find_kind(const char *plural)
{
	for (int k = 0; k < N_KINDS; k++)
		if (strcmp(kinds[k].plural, plural) == 0)
			return k;
	return -1;
}

static int need_kind(const char *plural)
{
	int k = find_kind(plural);

	if (k < 0)
		t_api_die("no kind '%s'", plural);
	return k;
}

static void replace(char **where, const char *value, size_t len)
{
	free(*where);
	*where = strndup(value, len);
	if (!*where)
		t_api_die("out of memory");
}

/* Sets what the selector asks for. Return: what is wrong with it, owned by the caller, or NULL. */
static char *parse_selector(struct t_api_req *req)
{
	const char *s = t_api_query(req, "fieldSelector");

	for (size_t len; s && *s; s += len + (s[len] == ',')) {
		const char *value;
		size_t field;

		len = strcspn(s, ",");
		field = strcspn(s, "=,!");
		if (s[field] != '=')
			return t_api_printf("invalid selector: '%s'; can't understand '%.*s'", s,
					    (int)len, s);
		value = s + field + 1 + (s[field + 1] == '=');
		if (strncmp(s, "metadata.name", field) == 0 && field == 13)
			replace(&req->name, value, len - (size_t)(value - s));
		else if (strncmp(s, "metadata.namespace", field) == 0 && field == 18)
			replace(&req->ns, value, len - (size_t)(value - s));
		else if (strncmp(s, "spec.nodeName", field) == 0 && field == 13 &&
			 strcmp(req->kind, "pods") == 0)
			replace(&req->node, value, len - (size_t)(value - s));
		else
			return t_api_printf("field label not supported: %.*s", (int)field, s);
	}
	return NULL;
}

static const char *collection_verb(const struct t_api_req *req)
{
	const char *watch = t_api_query(req, "watch");

	if (strcmp(req->method, "POST") == 0)
		return "create";
	if (strcmp(req->method, "GET") != 0)
		return strcmp(req->method, "DELETE") == 0 ? "deletecollection" : "update";
	return watch && (strcmp(watch, "true") == 0 || strcmp(watch, "1") == 0) ? "watch" : "list";
}

static const char *object_verb(const struct t_api_req *req)
{
	static const char *const verbs[][2] = {
		{ "GET", "get" }, { "PUT", "update" }, { "PATCH", "patch" }, { "DELETE", "delete" }
	};

	for (size_t i = 0; i < SV_ARRAY_SIZE(verbs); i++)
		if (strcmp(req->method, verbs[i][0]) == 0)
			return verbs[i][1];
	return "create";
}

void t_world_classify(struct t_api_req *req)
{
	sv_autofree char *copy = t_api_strdup(req->path);
	char *rest, *part;
	int kind;

	if (strcmp(req->path, "/version") == 0) {
		req->verb = "get";
		req->kind = "version";
		return;
	}
	if (strncmp(copy, "/api/v1/", 8) != 0)
		return;
	rest = copy + 8;
	part = strsep(&rest, "/");
	if (strcmp(part, "namespaces") == 0 && rest && strchr(rest, '/')) {
		req->ns = t_api_strdup(strsep(&rest, "/"));
		part = strsep(&rest, "/");
	}
	kind = find_kind(part);
	if (kind < 0 || (rest && (!req->ns || strchr(rest, '/'))))
		return;
	req->kind = kinds[kind].plural;
	if (rest) {
		req->name = t_api_strdup(rest);
		req->verb = object_verb(req);
		return;
	}
	req->verb = collection_verb(req);
	free(parse_selector(req));
}

/* ---- versions of objects ------------------------------------------------------------------- */

static struct version *version_ref(struct version *v)
{
	if (v)
		v->refs++;
	return v;
}

static void version_unref(struct version *v)
{
	if (!v || --v->refs > 0)
		return;
	for (size_t i = 0; i < v->n_secrets; i++)
		free(v->secrets[i]);
	free(v->secrets);
	free(v->ns);
	free(v->name);
	free(v->node);
	free(v->uid);
	free(v->item);
	free(v);
}

static void add_secret(struct version *v, const char *name)
{
	if (!name)
		return;
	v->secrets = reallocarray(v->secrets, v->n_secrets + 1, sizeof(*v->secrets));
	if (!v->secrets)
		t_api_die("out of memory");
	v->secrets[v->n_secrets++] = t_api_strdup(name);
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* Calls @fn for each element of the array that is a member of @o. */
static void each(struct version *v, struct json_object *o, const char *name,
		 void (*fn)(struct version *v, struct json_object *element))
{
	struct json_object *array = member(o, name);

	for (size_t i = 0; i < length(array); i++)
		fn(v, json_object_array_get_idx(array, i));
}

static void refs_of_source(struct version *v, struct json_object *source)
{
	add_secret(v, string_member(member(source, "secret"), "name"));
}

static void refs_of_volume(struct version *v, struct json_object *volume)
{
	add_secret(v, string_member(member(volume, "secret"), "secretName"));
	each(v, member(volume, "projected"), "sources", refs_of_source);
}

static void refs_of_env(struct version *v, struct json_object *env)
{
	add_secret(v, string_member(member(member(env, "valueFrom"), "secretKeyRef"), "name"));
}

static void refs_of_env_from(struct version *v, struct json_object *from)
{
	add_secret(v, string_member(member(from, "secretRef"), "name"));
}

static void refs_of_container(struct version *v, struct json_object *container)
{
	each(v, container, "env", refs_of_env);
	each(v, container, "envFrom", refs_of_env_from);
}

static void refs_of_pull_secret(struct version *v, struct json_object *ref)
{
	add_secret(v, string_member(ref, "name"));
}

/* Rule R78: a mirror Pod gives no right, whatever it refers to. */
static void collect_refs(struct version *v, struct json_object *pod)
{
	struct json_object *spec = member(pod, "spec");

	if (member(member(member(pod, "metadata"), "annotations"), "kubernetes.io/config.mirror"))
		return;
	each(v, spec, "volumes", refs_of_volume);
	each(v, spec, "initContainers", refs_of_container);
	each(v, spec, "containers", refs_of_container);
	each(v, spec, "imagePullSecrets", refs_of_pull_secret);
}

/* The members that the real server writes first, so that the version's digits are found. */
static struct json_object *ordered_metadata(struct json_object *given, const char *ns,
					    const char *uid, const char *created)
{
	struct json_object *meta = json_object_new_object();

	set_string(meta, "name", string_member(given, "name"));
	set_string(meta, "namespace", ns);
	set_string(meta, "uid", uid);
	set_string(meta, "resourceVersion", "");
	set_string(meta, "creationTimestamp", created);
	json_object_object_foreach (given, name, value) {
		if (!member(meta, name))
			set_member(meta, name, value);
	}
	return meta;
}

/* @rv: written into the item, where @obj has none. */
static struct version *make_version(int kind, struct json_object *obj, struct json_object *meta,
				    uint64_t rv)
{
	static const char field[] = "\"resourceVersion\":\"";
	struct version *v = t_api_alloc(sizeof(*v));
	struct json_object *item = json_object_new_object();
	const char *text, *at;
	int off;

	v->refs = 1;
	v->rv = rv;
	v->name = t_api_strdup(string_member(meta, "name"));
	v->ns = t_api_strdup(string_member(meta, "namespace"));
	v->uid = t_api_strdup(string_member(meta, "uid"));
	v->node = t_api_strdup(string_member(member(obj, "spec"), "nodeName"));
	set_member(item, "metadata", meta);
	json_object_object_foreach (obj, name, value) {
		if (strcmp(name, "metadata") != 0 && strcmp(name, "kind") != 0 &&
		    strcmp(name, "apiVersion") != 0)
			set_member(item, name, value);
	}
	text = text_of(item);
	at = strstr(text, field) + sizeof(field) - 1;
	off = (int)(at - text);
	v->item = t_api_printf("%.*s%" PRIu64 "%s", off, text, rv, at);
	v->len = strlen(v->item);
	v->rv_off = (size_t)off;
	v->rv_len = strcspn(v->item + off, "\"");
	json_object_put(item);
	if (kind == PODS && v->node)
		collect_refs(v, obj);
	return v;
}

/* The object's JSON behind its '{', with another version than its own. */
static void add_inner(struct sv_buf *b, const struct version *v, uint64_t rv, size_t min_len)
{
	static const char head[] = "{\"metadata\":{";

	if (v->len < min_len) { /* a fault: longer than any real one */
		sv_autofree char *pad = t_api_alloc(min_len - v->len + 1);

		memset(pad, 'x', min_len - v->len);
		sv_buf_printf(b, "%s\"annotations\":{\"pad\":\"%s\"},", head + 1, pad);
		sv_buf_add(b, v->item + sizeof(head) - 1, v->rv_off - (sizeof(head) - 1));
	} else {
		sv_buf_add(b, v->item + 1, v->rv_off - 1);
	}
	sv_buf_printf(b, "%" PRIu64, rv);
	sv_buf_add(b, v->item + v->rv_off + v->rv_len, v->len - v->rv_off - v->rv_len);
}

static void add_object(struct sv_buf *b, int kind, const struct version *v, uint64_t rv,
		       size_t min_len)
{
	sv_buf_printf(b, "{\"kind\":\"%s\",\"apiVersion\":\"v1\",", kinds[kind].kind);
	add_inner(b, v, rv, min_len);
}

/* ---- objects and their past ---------------------------------------------------------------- */

static struct version *version_at(const struct object *o, uint64_t rv)
{
	for (size_t i = o->n; i-- > 0;)
		if (o->past[i].rv <= rv)
			return o->past[i].v;
	return NULL;
}

static struct version *version_now(const struct object *o)
{
	return o && o->n ? o->past[o->n - 1].v : NULL;
}

/* "NS/NAME" of a key that a test gives. */
static char *full_key(const char *key)
{
	return strchr(key, '/') ? t_api_strdup(key) : t_api_printf("default/%s", key);
}

static struct object *find_object(const struct t_world *w, int kind, const char *key)
{
	sv_autofree char *full = full_key(key);

	return sv_strmap_get(&w->objects[kind], full);
}

static struct version *find_version(const struct t_world *w, int kind, const char *ns,
				    const char *name)
{
	sv_autofree char *key = t_api_printf("%s/%s", ns, name);

	return version_now(sv_strmap_get(&w->objects[kind], key));
}

static struct object *need_object(const struct t_world *w, int kind, const char *key)
{
	struct object *o = find_object(w, kind, key);

	if (!version_now(o))
		t_api_die("there is no %s '%s'", kinds[kind].kind, key);
	return o;
}

static void free_object(struct object *o)
{
	for (size_t i = 0; i < o->n; i++)
		version_unref(o->past[i].v);
	free(o->past);
	free(o->key);
	free(o);
}

static void tell_watches(struct t_world *w, const struct change *change);

/* The object is @v (owned; NULL: no more) from the next version on. */
static uint64_t commit(struct t_world *w, int kind, struct object *o, struct version *v)
{
	struct change change = { ++w->rv, kind, version_ref(version_now(o)), version_ref(v) };

	o->past = reallocarray(o->past, o->n + 1, sizeof(*o->past));
	if (!o->past)
		t_api_die("out of memory");
	o->past[o->n++] = (struct past){ w->rv, v };
	if (w->n_changes == w->cap_changes) {
		w->cap_changes = w->cap_changes ? 2 * w->cap_changes : 64;
		w->changes = reallocarray(w->changes, w->cap_changes, sizeof(*w->changes));
		if (!w->changes)
			t_api_die("out of memory");
	}
	w->changes[w->n_changes++] = change;
	w->cached_rv[kind] = w->rv;
	tell_watches(w, &change);
	return w->rv;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void default_mode(struct json_object *source)
{
	if (json_object_is_type(source, json_type_object) && !member(source, "defaultMode"))
		json_object_object_add(source, "defaultMode", json_object_new_int(420));
}

static void fill_pod(struct json_object *pod)
{
	struct json_object *volumes = member(member(pod, "spec"), "volumes");

	for (size_t i = 0; i < length(volumes); i++) {
		struct json_object *volume = json_object_array_get_idx(volumes, i);

		default_mode(member(volume, "secret"));
		default_mode(member(volume, "projected"));
	}
}

static void fill_secret(struct json_object *secret)
{
	struct json_object *strings = member(secret, "stringData"), *data = member(secret, "data");

	if (strings && !data) {
		data = json_object_new_object();
		json_object_object_add(secret, "data", data);
	}
	if (strings) {
		json_object_object_foreach (strings, name, value) {
			sv_autofree char *coded =
				sv_base64_encode(json_object_get_string(value),
						 (size_t)json_object_get_string_len(value));

			if (!coded)
				t_api_die("out of memory");
			set_string(data, name, coded);
		}
		json_object_object_del(secret, "stringData");
	}
	if (!member(secret, "type"))
		set_string(secret, "type", "Opaque");
}

static void fill_event(struct json_object *event)
{
	if (!json_object_object_get_ex(event, "eventTime", NULL))
		json_object_object_add(event, "eventTime", NULL);
	if (!member(event, "reportingComponent"))
		set_string(event, "reportingComponent", "");
	if (!member(event, "reportingInstance"))
		set_string(event, "reportingInstance", "");
}

static uint64_t put_object(struct t_world *w, int kind, struct json_object *obj)
{
	struct json_object *given = member(obj, "metadata"), *meta;
	const char *name = string_member(given, "name"), *ns = string_member(given, "namespace");
	const char *uid = string_member(given, "uid");
	const char *created = string_member(given, "creationTimestamp");
	sv_autofree char *new_uid = NULL, *key = NULL, *old_created = NULL;
	struct version *v, *old;
	struct object *o;
	char now[32];

	if (!name)
		t_api_die("an object needs metadata.name: %s", text_of(obj));
	ns = ns ? ns : "default";
	key = t_api_printf("%s/%s", ns, name);
	o = sv_strmap_get(&w->objects[kind], key);
	old = version_now(o);
	if (old && uid && strcmp(old->uid, uid) != 0) { /* another object of that name */
		(void)commit(w, kind, o, NULL);
		old = NULL;
	}
	if (!o) {
		o = t_api_alloc(sizeof(*o));
		o->key = t_api_strdup(key);
		if (sv_strmap_put(&w->objects[kind], o->key, o) != 0)
			t_api_die("out of memory");
	}
	if (!uid) {
		new_uid = old ? t_api_strdup(old->uid) :
				t_api_printf("a91a91a9-0000-4000-8000-%012" PRIx64, ++w->last_uid);
		uid = new_uid;
	}
	if (!created && old) {
		struct json_object *item = parse_json(old->item);

		old_created =
			t_api_strdup(string_member(member(item, "metadata"), "creationTimestamp"));
		json_object_put(item);
		created = old_created;
	}
	now_text(now, sizeof(now), 0);
	meta = ordered_metadata(given, ns, uid, created ? created : now);
	if (kind == PODS)
		fill_pod(obj);
	else if (kind == SECRETS)
		fill_secret(obj);
	else
		fill_event(obj);

	if (old) { /* an update that changes nothing is none */
		struct version *same = make_version(kind, obj, meta, old->rv);
		bool equal = strcmp(same->item, old->item) == 0;

		version_unref(same);
		if (equal) {
			json_object_put(meta);
			return old->rv;
		}
	}
	v = make_version(kind, obj, meta, w->rv + 1);
	json_object_put(meta);
	return commit(w, kind, o, v);
}

uint64_t t_api_put(struct t_api *api, const char *json)
{
	struct json_object *obj = parse_json(json);
	const char *name = string_member(obj, "kind");
	uint64_t rv = 0;

	for (int k = 0; k < N_KINDS; k++)
		if (t_api_same(kinds[k].kind, name))
			rv = put_object(api->world, k, obj);
	if (rv == 0)
		t_api_die("an object of kind '%s'", name ? name : "");
	json_object_put(obj);
	return rv;
}

static uint64_t edit(struct t_world *w, int kind, const struct version *old,
		     struct json_object *patch)
{
	struct json_object *obj = parse_json(old->item);
	uint64_t rv;

	merge(obj, patch);
	rv = put_object(w, kind, obj);
	json_object_put(obj);
	return rv;
}

uint64_t t_api_edit(struct t_api *api, const char *kind, const char *key, const char *patch)
{
	int k = need_kind(kind);
	struct object *o = need_object(api->world, k, key);
	struct json_object *tree = parse_json(patch);
	uint64_t rv = edit(api->world, k, version_now(o), tree);

	json_object_put(tree);
	return rv;
}

uint64_t t_api_terminate(struct t_api *api, const char *key)
{
	sv_autofree char *patch = NULL;
	char then[32];

	now_text(then, sizeof(then), 30);
	patch = t_api_printf("{\"metadata\":{\"deletionTimestamp\":\"%s\","
			     "\"deletionGracePeriodSeconds\":30}}",
			     then);
	return t_api_edit(api, "pods", key, patch);
}

uint64_t t_api_delete(struct t_api *api, const char *kind, const char *key)
{
	int k = need_kind(kind);

	return commit(api->world, k, need_object(api->world, k, key), NULL);
}

/* {"kind":…,"metadata":{"name":…,"namespace":…}} of "NS/NAME". */
static struct json_object *new_object(const char *kind, const char *key)
{
	struct json_object *obj = json_object_new_object(), *meta = json_object_new_object();
	sv_autofree char *full = full_key(key);
	char *name = strchr(full, '/');

	*name++ = '\0';
	set_string(obj, "kind", kind);
	set_string(meta, "name", name);
	set_string(meta, "namespace", full);
	json_object_object_add(obj, "metadata", meta);
	return obj;
}

static uint64_t put_new(struct t_api *api, int kind, struct json_object *obj)
{
	uint64_t rv = put_object(api->world, kind, obj);

	json_object_put(obj);
	return rv;
}

uint64_t t_api_put_secret(struct t_api *api, const char *key, const char *keys)
{
	struct json_object *obj = new_object("Secret", key), *strings = json_object_new_object();
	sv_autofree char *copy = t_api_strdup(keys);
	char *rest = copy, *word;

	json_object_object_add(obj, "stringData", strings);
	while ((word = strsep(&rest, " ")) != NULL) {
		char *value = strchr(word, '=');

		if (strcmp(word, "!immutable") == 0) {
			json_object_object_add(obj, "immutable", json_object_new_boolean(1));
		} else if (strncmp(word, "!type=", 6) == 0) {
			set_string(obj, "type", word + 6);
		} else if (value) {
			*value++ = '\0';
			set_string(strings, word, value);
		} else if (*word) {
			t_api_die("no '=' in '%s'", word);
		}
	}
	return put_new(api, SECRETS, obj);
}

uint64_t t_api_put_big_secret(struct t_api *api, const char *key, size_t n)
{
	sv_autofree char *keys = t_api_alloc(n + 6);

	memcpy(keys, "data=", 5);
	memset(keys + 5, 'x', n);
	return t_api_put_secret(api, key, keys);
}

static void add_volume(struct json_object *volumes, struct json_object *mounts, char *word)
{
	struct json_object *volume = json_object_new_object(), *mount = json_object_new_object();
	struct json_object *source = json_object_new_object();
	char *secret = strchr(word, '=');
	size_t len = secret ? strlen(secret) : 0;
	sv_autofree char *path = NULL;

	if (len < 2)
		t_api_die("'%s' is not vol=secret", word);
	*secret++ = '\0';
	if (secret[len - 2] == '?') {
		secret[len - 2] = '\0';
		json_object_object_add(source, "optional", json_object_new_boolean(1));
	}
	set_string(source, "secretName", secret);
	set_string(volume, "name", word);
	json_object_object_add(volume, "secret", source);
	json_object_array_add(volumes, volume);
	path = t_api_printf("/%s", word);
	set_string(mount, "name", word);
	set_string(mount, "mountPath", path);
	json_object_array_add(mounts, mount);
}

uint64_t t_api_put_pod(struct t_api *api, const char *key, const char *node, const char *volumes)
{
	struct json_object *obj = new_object("Pod", key), *spec = json_object_new_object();
	struct json_object *sources = json_object_new_array(), *mounts = json_object_new_array();
	struct json_object *containers = json_object_new_array();
	struct json_object *container = json_object_new_object(),
			   *status = json_object_new_object();
	sv_autofree char *copy = t_api_strdup(volumes);
	char *rest = copy, *word;

	while ((word = strsep(&rest, " ")) != NULL)
		if (*word)
			add_volume(sources, mounts, word);
	set_string(container, "name", "c");
	set_string(container, "image", "busybox");
	json_object_object_add(container, "volumeMounts", mounts);
	json_object_array_add(containers, container);
	json_object_object_add(spec, "volumes", sources);
	json_object_object_add(spec, "containers", containers);
	if (node)
		set_string(spec, "nodeName", node);
	json_object_object_add(obj, "spec", spec);
	set_string(status, "phase", "Running");
	json_object_object_add(obj, "status", status);
	return put_new(api, PODS, obj);
}

char *t_api_get(const struct t_api *api, const char *kind, const char *key)
{
	int k = need_kind(kind);
	const struct version *v = version_now(find_object(api->world, k, key));
	struct sv_buf b = { 0 };

	if (!v)
		return NULL;
	add_object(&b, k, v, v->rv, 0);
	return sv_buf_take(&b);
}

size_t t_api_n_objects(const struct t_api *api, const char *kind)
{
	const struct sv_strmap *m = &api->world->objects[need_kind(kind)];
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += version_now(m->entries[i].value) != NULL;
	return n;
}

/* ---- history ------------------------------------------------------------------------------- */

uint64_t t_api_version(const struct t_api *api)
{
	return api->world->rv;
}

uint64_t t_api_compacted(const struct t_api *api)
{
	return api->world->compacted;
}

void t_api_set_version(struct t_api *api, uint64_t version)
{
	if (version < api->world->rv)
		t_api_die("the version is %" PRIu64 " already", api->world->rv);
	api->world->rv = version;
}

static void drop_changes(struct t_world *w, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++) {
		version_unref(w->changes[i].old);
		version_unref(w->changes[i].new);
	}
	if (n > 0)
		memmove(w->changes + from, w->changes + from + n,
			(w->n_changes - from - n) * sizeof(*w->changes));
	w->n_changes -= n;
}

/* Index of the first change after @rv. */
static size_t changes_after(const struct t_world *w, uint64_t rv)
{
	size_t low = 0, high = w->n_changes;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (w->changes[mid].rv <= rv)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void drop_past(struct object *o, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		version_unref(o->past[i].v);
	if (n > 0)
		memmove(o->past + from, o->past + from + n, (o->n - from - n) * sizeof(*o->past));
	o->n -= n;
}

static void drop_empty_objects(struct sv_strmap *m)
{
	for (size_t i = m->n; i-- > 0;) {
		struct object *o = m->entries[i].value;

		if (o->n == 0) {
			(void)sv_strmap_remove(m, o->key);
			free_object(o);
		}
	}
}

void t_api_compact(struct t_api *api, uint64_t version)
{
	struct t_world *w = api->world;

	version = version ? version : w->rv;
	if (version > w->rv)
		t_api_die("cannot compact the future");
	for (int k = 0; k < N_KINDS; k++) {
		for (size_t i = 0; i < w->objects[k].n; i++) {
			struct object *o = w->objects[k].entries[i].value;
			size_t n = 0;

			while (n < o->n && o->past[n].rv <= version)
				n++;
			if (n > 0 && o->past[n - 1].v) /* the last of them is what it is then */
				n--;
			drop_past(o, 0, n);
		}
		drop_empty_objects(&w->objects[k]);
	}
	drop_changes(w, 0, changes_after(w, version));
	w->compacted = version > w->compacted ? version : w->compacted;
}

void t_api_restore(struct t_api *api, uint64_t version)
{
	struct t_world *w = api->world;
	size_t first;

	if (version > w->rv || version < w->compacted)
		t_api_die("cannot restore version %" PRIu64, version);
	t_api_cut_all(api, T_API_FIN);
	for (int k = 0; k < N_KINDS; k++) {
		for (size_t i = 0; i < w->objects[k].n; i++) {
			struct object *o = w->objects[k].entries[i].value;
			size_t n = 0;

			while (n < o->n && o->past[n].rv <= version)
				n++;
			drop_past(o, n, o->n - n);
		}
		drop_empty_objects(&w->objects[k]);
		w->cached_rv[k] = version; /* what the new server's caches have read */
	}
	first = changes_after(w, version);
	drop_changes(w, first, w->n_changes - first);
	w->rv = version;
}

/* ---- who may ------------------------------------------------------------------------------- */

void t_api_authorize_node(struct t_api *api, const char *node, unsigned denials)
{
	free(api->world->node);
	api->world->node = t_api_strdup(node);
	api->world->denials = denials;
}

void t_api_require_token(struct t_api *api, const char *token)
{
	free(api->world->token);
	api->world->token = t_api_strdup(token);
}

static bool pod_refers(const struct version *pod, const char *node, const char *ns,
		       const char *secret)
{
	if (!pod || !pod->node || strcmp(pod->node, node) != 0 || strcmp(pod->ns, ns) != 0)
		return false;
	for (size_t i = 0; i < pod->n_secrets; i++)
		if (strcmp(pod->secrets[i], secret) == 0)
			return true;
	return false;
}

static bool node_refers(const struct t_world *w, const char *ns, const char *secret)
{
	const struct sv_strmap *pods = &w->objects[PODS];

	for (size_t i = 0; i < pods->n; i++)
		if (pod_refers(version_now(pods->entries[i].value), w->node, ns, secret))
			return true;
	return false;
}

static void forget_denial(struct t_world *w, const char *key)
{
	struct denial *d = sv_strmap_remove(&w->denied, key);

	if (d) {
		free(d->key);
		free(d);
	}
}

/* The graph has the edge, but not yet for everybody to see. */
static bool denied_at_first(struct t_world *w, const char *key)
{
	struct denial *d = sv_strmap_get(&w->denied, key);

	if (!d) {
		d = t_api_alloc(sizeof(*d));
		d->key = t_api_strdup(key);
		d->left = w->denials;
		if (sv_strmap_put(&w->denied, d->key, d) != 0)
			t_api_die("out of memory");
	}
	if (d->left == 0)
		return false;
	d->left--;
	return true;
}

/* Why the node may not; NULL if it may. *@bare: the text has no reason. */
static char *node_refusal(struct t_world *w, const struct t_api_req *req, bool *bare)
{
	bool reads = strcmp(req->verb, "get") == 0 || strcmp(req->verb, "list") == 0 ||
		     strcmp(req->verb, "watch") == 0;
	sv_autofree char *key = NULL;

	*bare = false;
	if (strcmp(req->kind, "events") == 0) {
		*bare = true;
		return strcmp(req->verb, "create") == 0 || strcmp(req->verb, "patch") == 0 ||
				       strcmp(req->verb, "update") == 0 ?
			       NULL :
			       t_api_strdup("");
	}
	if (strcmp(req->kind, "secrets") != 0)
		return NULL;
	if (!reads)
		return t_api_strdup("can only read resources of this type");
	if (!req->ns)
		return t_api_strdup("can only read namespaced object of this type");
	if (!req->name || !*req->name)
		return t_api_strdup("No Object name found");
	key = t_api_printf("%s/%s", req->ns, req->name);
	if (!node_refers(w, req->ns, req->name))
		forget_denial(w, key);
	else if (!denied_at_first(w, key))
		return NULL;
	return t_api_printf("no relationship found between node '%s' and this object", w->node);
}

/* True: the request was refused. */
static bool refuse_stranger(struct t_world *w, struct t_api_req *req)
{
	const char *auth = t_api_header(req, "authorization");
	sv_autofree char *want = w->token ? t_api_printf("Bearer %s", w->token) : NULL;
	sv_autofree char *user = w->node ? t_api_printf("system:node:%s", w->node) : NULL;
	sv_autofree char *why = NULL;
	bool bare;

	if (want && auth && strcmp(auth, want) != 0) {
		reply_status(req, 401, t_api_status_of(401, req));
		return true;
	}
	if (strcmp(req->kind, "version") == 0 || !*req->kind)
		return false;
	if (want && !auth) {
		reply_status(req, 403, forbidden(req, "system:anonymous", NULL));
		return true;
	}
	if (!user)
		return false;
	why = node_refusal(w, req, &bare);
	if (why)
		reply_status(req, 403, forbidden(req, user, bare ? NULL : why));
	return why != NULL;
}

/* ---- get and list -------------------------------------------------------------------------- */

struct options {
	bool has_rv;
	uint64_t rv;
	const char *match; /* resourceVersionMatch, "" if absent */
	uint64_t limit;    /* 0: none */
	const char *cont;  /* "" if absent */
	uint64_t timeout_s;
};

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

/* An int64 of the query; false if it has been refused. Negative means none. */
static bool int_option(struct t_api_req *req, const char *name, uint64_t *ret)
{
	const char *text = t_api_query(req, name);
	sv_autofree char *message = NULL;

	*ret = 0;
	if (!text || !*text || (*text == '-' && parse_number(text + 1, ret))) {
		*ret = 0;
		return true;
	}
	if (parse_number(text, ret))
		return true;
	message = t_api_printf("strconv.ParseInt: parsing \"%s\": invalid syntax", text);
	refuse(req, 400, "BadRequest", message, NULL);
	return false;
}

static void refuse_match(struct t_api_req *req, const char *why)
{
	sv_autofree char *field = t_api_printf("Forbidden: %s", why);
	struct json_object *quoted = json_object_new_string(field);
	sv_autofree char *message = t_api_printf(
		"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: %s", field);
	sv_autofree char *details = t_api_printf(
		"{\"group\":\"meta.k8s.io\",\"kind\":\"ListOptions\",\"causes\":[{\"reason\":"
		"\"FieldValueForbidden\",\"message\":%s,\"field\":\"resourceVersionMatch\"}]}",
		text_of(quoted));

	json_object_put(quoted);
	refuse(req, 422, "Invalid", message, details);
}

/* False: it has been refused. */
static bool parse_options(struct t_api_req *req, struct options *o)
{
	const char *rv = t_api_query(req, "resourceVersion");
	const char *match = t_api_query(req, "resourceVersionMatch");
	const char *cont = t_api_query(req, "continue");
	sv_autofree char *wrong = NULL;

	memset(o, 0, sizeof(*o));
	o->match = match ? match : "";
	o->cont = cont ? cont : "";
	if (!int_option(req, "limit", &o->limit) ||
	    !int_option(req, "timeoutSeconds", &o->timeout_s))
		return false;
	if (strcmp(req->verb, "get") != 0) {
		wrong = parse_selector(req);
		if (wrong) {
			refuse(req, 400, "BadRequest", wrong, NULL);
			return false;
		}
	}
	if (*o->match && strcmp(req->verb, "watch") == 0)
		return refuse_match(req, "resourceVersionMatch is forbidden for watch"), false;
	if (*o->match && (!rv || !*rv))
		return refuse_match(req, "resourceVersionMatch is forbidden unless "
					 "resourceVersion is provided"),
		       false;
	if (strcmp(o->match, "Exact") == 0 && strcmp(rv, "0") == 0)
		return refuse_match(req, "resourceVersionMatch \"exact\" is forbidden for "
					 "resourceVersion \"0\""),
		       false;
	if (rv && *rv) {
		o->has_rv = true;
		if (!parse_number(rv, &o->rv)) {
			wrong = t_api_printf("resourceVersion: Invalid value: \"%s\": "
					     "strconv.ParseUint: parsing \"%s\": invalid syntax",
					     rv, rv);
			refuse(req, 500, NULL, wrong, NULL);
			return false;
		}
	}
	return true;
}

static bool selected(const struct t_api_req *req, const struct version *v)
{
	return v && (!req->ns || strcmp(req->ns, v->ns) == 0) &&
	       (!req->name || strcmp(req->name, v->name) == 0) &&
	       (!req->node || strcmp(req->node, v->node ? v->node : "") == 0);
}

/* base64url without padding, as the real server makes it. */
static char *make_token(int64_t rv, const char *start)
{
	sv_autofree char *json = t_api_printf(
		"{\"v\":\"" TOKEN_FORM "\",\"rv\":%" PRId64 ",\"start\":\"%s\\u0000\"}", rv, start);
	char *token = sv_base64_encode(json, strlen(json));

	if (!token)
		t_api_die("out of memory");
	for (char *p = token; *p; p++) {
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
		else if (*p == '=')
			*p = '\0';
	}
	return token;
}

/* Return: what is wrong with it, owned; NULL if it is right. @start: owned by the caller. */
static char *read_token(const char *token, int64_t *rv, char **start)
{
	sv_autofree char *padded =
		t_api_printf("%s%.*s", token, (int)((4 - strlen(token) % 4) % 4), "===");
	sv_autobytes struct sv_bytes bytes = { NULL, 0 };
	sv_autofree char *text = NULL;
	struct json_object *tree;
	const char *form;
	size_t bad;
	char *wrong = NULL;

	for (char *p = padded; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
	if (sv_base64_decode(padded, strlen(padded), &bytes, &bad) != 0)
		return t_api_printf(
			"continue key is not valid: illegal base64 data at input byte %zu", bad);
	text = strndup((const char *)bytes.ptr, bytes.len);
	tree = text ? json_tokener_parse(text) : NULL;
	form = string_member(tree, "v");
	if (!tree)
		wrong = t_api_strdup("continue key is not valid: unexpected end of JSON input");
	else if (!t_api_same(form, TOKEN_FORM))
		wrong = t_api_printf("continue key is not valid: server does not recognize this "
				     "encoded version \"%s\"",
				     form ? form : "");
	else if (!string_member(tree, "start"))
		wrong = t_api_strdup("continue key is not valid: encoded start key empty");
	if (!wrong) {
		*rv = json_object_get_int64(member(tree, "rv"));
		*start = t_api_strdup(string_member(tree, "start")); /* up to its final NUL */
	}
	json_object_put(tree);
	return wrong;
}

static void refuse_expired(struct t_api_req *req, const char *start)
{
	sv_autofree char *token = start ? make_token(-1, start) : NULL;
	sv_autofree char *metadata = token ? t_api_printf("{\"continue\":\"%s\"}", token) : NULL;

	if (!start) {
		reply_status(req, 410, t_api_status_of(410, req));
		return;
	}
	reply_status(
		req, 410,
		status_json(410, "Expired",
			    "The provided continue parameter is too old to display a consistent "
			    "list result. You can start a new list without the continue "
			    "parameter, or use the continue token in this response to retrieve "
			    "the remainder of the results. Continuing with the provided token "
			    "results in an inconsistent list - objects that were created, "
			    "modified, or deleted between the time the first chunk was returned "
			    "and now may show up in the list.",
			    metadata, NULL));
}

struct page {
	struct sv_buf items;
	uint64_t at; /* the version that is read */
	uint64_t rv; /* the one that the list says it is of */
	size_t n;
	char *token; /* NULL: the last page */
	size_t remaining;
};

static void add_item(struct page *p, const struct version *v, size_t min_len)
{
	sv_buf_puts(&p->items, p->n++ ? ",{" : "{");
	add_inner(&p->items, v, v->rv, min_len);
}

/* The key in a continue token: of a list of one namespace without it. */
static const char *token_key(const struct t_api_req *req, const char *key)
{
	return req->ns ? strchr(key, '/') + 1 : key;
}

/* In order, from behind @start (a token's key, or NULL), at most @limit matching ones (0: all). */
static void read_page(struct t_world *w, struct t_api_req *req, int kind, struct page *p,
		      const char *start, uint64_t limit)
{
	const struct sv_strmap *m = &w->objects[kind];
	const char *last = NULL;
	size_t i;

	for (i = 0; i < m->n; i++) {
		const struct object *o = m->entries[i].value;
		const struct version *v = version_at(o, p->at);

		if (!v || (req->ns && strcmp(req->ns, v->ns) != 0) ||
		    (start && strcmp(token_key(req, o->key), start) <= 0))
			continue;
		if (limit && p->n == limit) {
			p->remaining++;
			continue;
		}
		last = o->key;
		if (selected(req, v))
			add_item(p, v, t_fault_object_size(req));
	}
	if (p->remaining)
		p->token = make_token((int64_t)p->at, token_key(req, last));
}

static void reply_page(struct t_api_req *req, int kind, struct page *p)
{
	sv_autobuf struct sv_buf b = { 0 };
	bool selects = t_api_query(req, "fieldSelector") && *t_api_query(req, "fieldSelector");

	sv_buf_printf(&b,
		      "{\"kind\":\"%sList\",\"apiVersion\":\"v1\",\"metadata\":"
		      "{\"resourceVersion\":\"%" PRIu64 "\"",
		      kinds[kind].kind, p->rv);
	if (p->token)
		sv_buf_printf(&b, ",\"continue\":\"%s\"", p->token);
	if (p->token && !selects)
		sv_buf_printf(&b, ",\"remainingItemCount\":%zu", p->remaining);
	sv_buf_puts(&b, "},\"items\":[");
	sv_buf_add(&b, p->items.ptr ? p->items.ptr : "", p->items.len);
	sv_buf_puts(&b, "]}\n");
	if (b.failed || p->items.failed)
		t_api_die("out of memory");
	t_fault_reply(req, 200, NULL, b.ptr, b.len);
	sv_buf_done(&p->items);
	free(p->token);
}

static void list_continued(struct t_world *w, struct t_api_req *req, int kind,
			   const struct options *o)
{
	sv_autofree char *start = NULL, *wrong = NULL, *message = NULL;
	struct page p = { .rv = w->rv };
	int64_t rv = -1;

	wrong = read_token(o->cont, &rv, &start);
	if (wrong) {
		message = t_api_printf("invalid continue token: %s", wrong);
		refuse(req, 400, "BadRequest", message, NULL);
		return;
	}
	if (o->has_rv && o->rv != 0) {
		refuse(req, 400, "BadRequest",
		       "specifying resource version is not allowed when using continue", NULL);
		return;
	}
	if (rv >= 0)
		p.rv = (uint64_t)rv;
	p.at = p.rv;
	if (p.rv < w->compacted) {
		refuse_expired(req, start);
		return;
	}
	if (p.rv > w->rv) {
		refuse(req, 500, NULL, "etcdserver: mvcc: required revision is a future revision",
		       NULL);
		return;
	}
	read_page(w, req, kind, &p, start, o->limit);
	reply_page(req, kind, &p);
}

/* From the watch cache: what it has, at its own version, in no order (so: backwards). */
static void list_cached(struct t_world *w, struct t_api_req *req, int kind, const struct options *o)
{
	const struct sv_strmap *m = &w->objects[kind];
	struct page p = { .rv = w->cached_rv[kind] };

	if (o->rv > p.rv) {
		reply_status(req, 504, too_large(o->rv, p.rv, true));
		return;
	}
	for (size_t i = m->n; i-- > 0;) {
		const struct version *v = version_now(m->entries[i].value);

		if (selected(req, v))
			add_item(&p, v, t_fault_object_size(req));
	}
	reply_page(req, kind, &p);
}

static void list_stored(struct t_world *w, struct t_api_req *req, int kind, const struct options *o)
{
	bool single = req->ns && req->name;
	bool exact = strcmp(o->match, "Exact") == 0;
	bool at_least = strcmp(o->match, "NotOlderThan") == 0 || (!exact && single);
	struct page p = { .at = w->rv, .rv = w->rv };

	if (o->has_rv && o->rv != 0 && at_least && o->rv > w->rv) {
		reply_status(req, 504, too_large(o->rv, w->rv, false));
		return;
	}
	if (o->has_rv && o->rv != 0 && !at_least) {
		if (o->rv > w->rv) {
			refuse(req, 500, NULL,
			       "etcdserver: mvcc: required revision is a future revision", NULL);
			return;
		}
		if (o->rv < w->compacted && single) {
			refuse(req, 500, NULL,
			       "etcdserver: mvcc: required revision has been compacted", NULL);
			return;
		}
		if (o->rv < w->compacted) {
			refuse_expired(req, NULL);
			return;
		}
		p.at = o->rv;
		if (!single) /* etcd's answer about one key is headed by its present version */
			p.rv = o->rv;
	}
	read_page(w, req, kind, &p, NULL, o->limit);
	reply_page(req, kind, &p);
}

static void answer_list(struct t_world *w, struct t_api_req *req, int kind)
{
	struct options o;

	if (!parse_options(req, &o))
		return;
	if (*o.cont)
		list_continued(w, req, kind, &o);
	else if (kinds[kind].cached && o.has_rv && strcmp(o.match, "Exact") != 0 &&
		 (o.rv == 0 || o.limit == 0))
		list_cached(w, req, kind, &o);
	else
		list_stored(w, req, kind, &o);
}

static void reply_object(struct t_api_req *req, int status, int kind, const struct version *v)
{
	sv_autobuf struct sv_buf b = { 0 };

	add_object(&b, kind, v, v->rv, t_fault_object_size(req));
	sv_buf_puts(&b, "\n");
	if (b.failed)
		t_api_die("out of memory");
	t_fault_reply(req, status, NULL, b.ptr, b.len);
}

static void answer_get(struct t_world *w, struct t_api_req *req, int kind)
{
	const struct version *v = find_version(w, kind, req->ns, req->name);
	struct options o;

	if (!parse_options(req, &o))
		return;
	if (o.rv > w->cached_rv[kind])
		reply_status(req, 504, too_large(o.rv, w->cached_rv[kind], true));
	else if (!v)
		reply_status(req, 404, not_found(req));
	else
		reply_object(req, 200, kind, v);
}

/* ---- watch --------------------------------------------------------------------------------- */

static void watch_line(struct watch *watch, const char *line, size_t len)
{
	t_fault_event(watch->req, &watch->stream, line, len);
}

static void watch_version(struct watch *watch, const char *type, const struct version *v,
			  uint64_t rv)
{
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_printf(&b, "{\"type\":\"%s\",\"object\":", type);
	add_object(&b, watch->kind, v, rv, t_fault_object_size(watch->req));
	sv_buf_puts(&b, "}\n");
	if (b.failed)
		t_api_die("out of memory");
	watch_line(watch, b.ptr, b.len);
}

static void watch_change(struct watch *watch, const struct change *c)
{
	bool was, is;

	if (watch->kind != c->kind || c->rv <= watch->rv)
		return;
	was = selected(watch->req, c->old);
	is = selected(watch->req, c->new);
	if (is)
		watch_version(watch, was ? "MODIFIED" : "ADDED", c->new, c->rv);
	else if (was)
		watch_version(watch, "DELETED", c->old, c->rv);
}

static void tell_watches(struct t_world *w, const struct change *change)
{
	struct change copy = *change; /* a fault may end the watch, and that call back */

	for (struct watch *watch = w->watches, *next; watch; watch = next) {
		next = watch->next;
		watch_change(watch, &copy);
	}
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	struct t_api *api = watch->api;

	free(watch->stream.held);
	free(watch);
	t_api_closed(api);
}

void t_world_gone(struct t_api_req *req)
{
	struct watch *watch = SV_TAKE(req->watch);
	struct t_world *w = req->api->world;

	if (!watch)
		return;
	watch->req = NULL;
	if (watch->prev)
		watch->prev->next = watch->next;
	else
		w->watches = watch->next;
	if (watch->next)
		watch->next->prev = watch->prev;
	w->n_watches--;
	uv_close((uv_handle_t *)&watch->timer, on_watch_closed);
}

static void end_watch(struct watch *watch)
{
	t_fault_flush(watch->req, &watch->stream);
	if (watch->req)
		t_api_end(watch->req);
}

static void on_watch_timeout(uv_timer_t *timer)
{
	end_watch(timer->data);
}

static void watch_error(struct watch *watch, char *status)
{
	sv_autofree char *line = t_api_printf("{\"type\":\"ERROR\",\"object\":%.*s}\n",
					      (int)strcspn(status, "\n"), status);

	free(status);
	watch_line(watch, line, strlen(line));
	if (watch->req)
		end_watch(watch);
}

static struct watch *open_watch(struct t_world *w, struct t_api_req *req, int kind,
				const struct options *o)
{
	const char *bookmarks = t_api_query(req, "allowWatchBookmarks");
	struct watch *watch = t_api_alloc(sizeof(*watch));

	watch->api = w->api;
	watch->req = req;
	watch->kind = kind;
	watch->rv = o->rv;
	watch->bookmarks =
		bookmarks && (strcmp(bookmarks, "true") == 0 || strcmp(bookmarks, "1") == 0);
	watch->timer.data = watch;
	(void)uv_timer_init(w->api->loop, &watch->timer);
	t_api_opened(w->api);
	watch->next = w->watches;
	if (watch->next)
		watch->next->prev = watch;
	w->watches = watch;
	w->n_watches++;
	req->watch = watch;
	return watch;
}

/* What there is, in no order, each as ADDED. */
static void watch_state(struct t_world *w, struct watch *watch)
{
	const struct sv_strmap *m = &w->objects[watch->kind];
	struct t_api_req *req = watch->req;

	watch->rv = w->rv;
	for (size_t i = m->n; i-- > 0 && !req->ended;) {
		const struct version *v = version_now(m->entries[i].value);

		if (selected(req, v))
			watch_version(watch, "ADDED", v, v->rv);
	}
}

static void answer_watch(struct t_world *w, struct t_api_req *req, int kind)
{
	struct options o;
	struct watch *watch;

	if (!parse_options(req, &o))
		return;
	watch = open_watch(w, req, kind, &o);
	if (!t_fault_begin(req, &watch->stream))
		return;
	if (o.timeout_s)
		(void)uv_timer_start(&watch->timer, on_watch_timeout, o.timeout_s * 1000, 0);
	if (!o.has_rv || o.rv == 0) {
		watch_state(w, watch);
	} else if (o.rv < w->compacted) {
		sv_autofree char *message = t_api_printf(
			"too old resource version: %" PRIu64 " (%" PRIu64 ")", o.rv, w->compacted);

		watch_error(watch, t_api_status_json(410, "Expired", message, NULL));
	} else {
		for (size_t i = changes_after(w, o.rv); i < w->n_changes && !req->ended; i++)
			watch_change(watch, &w->changes[i]);
	}
}

size_t t_api_n_watches(const struct t_api *api)
{
	return api->world->n_watches;
}

/* May this watch see the object "NS/NAME" (of any node)? */
static bool watch_fits(const struct watch *watch, int kind, const char *key)
{
	const struct t_api_req *req = watch->req;
	sv_autofree char *full = key ? full_key(key) : NULL;
	char *name;

	if (watch->kind != kind)
		return false;
	if (!full)
		return true;
	name = strchr(full, '/');
	*name++ = '\0';
	return (!req->ns || strcmp(req->ns, full) == 0) &&
	       (!req->name || strcmp(req->name, name) == 0);
}

/* The watches that fit, each once, also when the body ends them. */
#define EACH_WATCH(api, watch, kind, key)                                                      \
	for (struct watch *watch = (api)->world->watches, *next_ = watch ? watch->next : NULL; \
	     watch; watch = next_, next_ = watch ? watch->next : NULL)                         \
		if (watch_fits(watch, need_kind(kind), key))

size_t t_api_bookmark(struct t_api *api, const char *kind, const char *key, uint64_t version)
{
	int k = need_kind(kind);
	sv_autofree char *line = t_api_printf(
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"resourceVersion\":\"%" PRIu64
		"\",\"creationTimestamp\":null}%s}}\n",
		kinds[k].kind, version ? version : api->world->cached_rv[k], kinds[k].bookmark);
	size_t n = 0;

	EACH_WATCH(api, watch, kind, key)
	{
		if (watch->bookmarks) {
			watch_line(watch, line, strlen(line));
			n++;
		}
	}
	return n;
}

void t_api_watch_send(struct t_api *api, const char *kind, const char *key, const char *text)
{
	EACH_WATCH(api, watch, kind, key)
	t_api_send(watch->req, text, strlen(text));
}

void t_api_watch_event(struct t_api *api, const char *kind, const char *key, const char *type,
		       const char *object)
{
	sv_autofree char *line = t_api_printf("{\"type\":\"%s\",\"object\":%s}\n", type, object);

	t_api_watch_send(api, kind, key, line);
}

void t_api_watch_error(struct t_api *api, const char *kind, const char *key, int code)
{
	EACH_WATCH(api, watch, kind, key)
	watch_error(watch, t_api_status_of(code, watch->req));
}

void t_api_watch_end(struct t_api *api, const char *kind, const char *key)
{
	EACH_WATCH(api, watch, kind, key)
	end_watch(watch);
}

void t_api_watch_cut(struct t_api *api, const char *kind, const char *key, enum t_api_cut how)
{
	EACH_WATCH(api, watch, kind, key)
	t_api_cut(watch->req, how);
}

/* ---- events -------------------------------------------------------------------------------- */

static void answer_create(struct t_world *w, struct t_api_req *req, int kind)
{
	const char *type = t_api_header(req, "content-type"), *name, *ns;
	struct json_object *obj, *meta;
	sv_autofree char *message = NULL;

	if (type && !strstr(type, "application/json")) { /* absent: JSON */
		refuse(req, 415, "UnsupportedMediaType",
		       "the body of the request was in an unknown format - accepted media types "
		       "include: application/json, application/yaml, "
		       "application/vnd.kubernetes.protobuf",
		       NULL);
		return;
	}
	obj = json_tokener_parse(req->body);
	meta = member(obj, "metadata");
	name = string_member(meta, "name");
	ns = string_member(meta, "namespace");
	if (!json_object_is_type(obj, json_type_object)) {
		refuse(req, 400, "BadRequest",
		       "the object provided is unrecognized (must be of type Event): couldn't get "
		       "version/kind; json parse error",
		       NULL);
	} else if (!name || !*name) {
		refuse(req, 422, "Invalid",
		       "Event \"\" is invalid: metadata.name: Required value: name or generateName "
		       "is required",
		       "{\"kind\":\"Event\",\"causes\":[{\"reason\":\"FieldValueRequired\","
		       "\"message\":\"Required value: name or generateName is required\","
		       "\"field\":\"metadata.name\"}]}");
	} else if (ns && strcmp(ns, req->ns) != 0) {
		refuse(req, 400, "BadRequest",
		       "the namespace of the provided object does not match the namespace sent on "
		       "the request",
		       NULL);
	} else if (find_version(w, kind, req->ns, name)) {
		sv_autofree char *details =
			t_api_printf("{\"name\":\"%s\",\"kind\":\"%s\"}", name, req->kind);

		message = t_api_printf("%s \"%s\" already exists", req->kind, name);
		refuse(req, 409, "AlreadyExists", message, details);
	} else {
		set_string(meta, "namespace", req->ns);
		req->name = t_api_strdup(name);
		(void)put_object(w, kind, obj);
		reply_object(req, 201, kind, find_version(w, kind, req->ns, req->name));
	}
	json_object_put(obj);
}

static void answer_patch(struct t_world *w, struct t_api_req *req, int kind)
{
	const char *type = t_api_header(req, "content-type");
	const struct version *v = find_version(w, kind, req->ns, req->name);
	struct json_object *patch;

	if (!type ||
	    (!strstr(type, "/merge-patch+json") && !strstr(type, "/strategic-merge-patch+json"))) {
		refuse(req, 415, "UnsupportedMediaType", "415: Unsupported Media Type", "{}");
		return;
	}
	if (!v) {
		reply_status(req, 404, not_found(req));
		return;
	}
	patch = json_tokener_parse(req->body);
	if (!json_object_is_type(patch, json_type_object)) {
		refuse(req, 400, "BadRequest", "error decoding patch", NULL);
	} else {
		(void)edit(w, kind, v, patch);
		reply_object(req, 200, kind, find_version(w, kind, req->ns, req->name));
	}
	json_object_put(patch);
}

/* ---- all ----------------------------------------------------------------------------------- */

static void answer_version(struct t_api_req *req)
{
	static const char text[] =
		"{\n  \"major\": \"1\",\n  \"minor\": \"20\",\n"
		"  \"gitVersion\": \"v1.20.2\",\n  \"platform\": \"linux/amd64\"\n}";

	t_fault_reply(req, 200, NULL, text, sizeof(text) - 1);
}

void t_world_answer(struct t_api_req *req)
{
	static const struct {
		const char *verb;
		void (*answer)(struct t_world *w, struct t_api_req *req, int kind);
		bool events_only;
	} answers[] = {
		{ "get", answer_get, false },     { "list", answer_list, false },
		{ "watch", answer_watch, false }, { "create", answer_create, true },
		{ "patch", answer_patch, true },
	};
	struct t_world *w = req->api->world;
	int kind = find_kind(req->kind);

	if (refuse_stranger(w, req))
		return;
	if (strcmp(req->kind, "version") == 0) {
		answer_version(req);
		return;
	}
	if (kind < 0) {
		refuse(req, 404, "NotFound", "the server could not find the requested resource",
		       "{}");
		return;
	}
	for (size_t i = 0; i < SV_ARRAY_SIZE(answers); i++) {
		if (strcmp(answers[i].verb, req->verb) == 0 &&
		    (kind == EVENTS || !answers[i].events_only)) {
			answers[i].answer(w, req, kind);
			return;
		}
	}
	refuse(req, 405, "MethodNotAllowed",
	       "the server does not allow this method on the requested resource", "{}");
}

struct t_world *t_world_new(struct t_api *api)
{
	struct t_world *w = t_api_alloc(sizeof(*w));

	w->api = api;
	w->rv = FIRST_VERSION;
	for (int k = 0; k < N_KINDS; k++)
		w->cached_rv[k] = FIRST_VERSION;
	return w;
}

void t_world_free(struct t_world *w)
{
	drop_changes(w, 0, w->n_changes);
	free(w->changes);
	for (int k = 0; k < N_KINDS; k++) {
		for (size_t i = 0; i < w->objects[k].n; i++)
			free_object(w->objects[k].entries[i].value);
		sv_strmap_done(&w->objects[k]);
	}
	while (w->denied.n > 0) /* the last one: nothing has to move */
		forget_denial(w, w->denied.entries[w->denied.n - 1].key);
	sv_strmap_done(&w->denied);
	free(w->node);
	free(w->token);
	free(w);
}
