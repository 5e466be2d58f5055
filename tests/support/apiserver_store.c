/* SPDX-License-Identifier: Apache-2.0 */
/* The world's objects: what they are, were, and how they are written. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/base/bytes.h"
#include "apiserver_world.h"

#define FIRST_VERSION 95

const struct t_kind t_kinds[T_N_KINDS] = {
	[T_PODS] = { "pods", "Pod", true, ",\"spec\":{\"containers\":null},\"status\":{}" },
	[T_SECRETS] = { "secrets", "Secret", true, "" },
	[T_EVENTS] = { "events", "Event", false, "" },
};

int t_kind_find(const char *plural)
{
	for (int k = 0; k < T_N_KINDS; k++)
		if (strcmp(t_kinds[k].plural, plural) == 0)
			return k;
	return -1;
}

int t_kind_need(const char *plural)
{
	int k = t_kind_find(plural);

	if (k < 0)
		t_api_die("no kind '%s'", plural);
	return k;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

const char *t_tree_text(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

struct json_object *t_tree_member(struct json_object *o, const char *name)
{
	struct json_object *m = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &m) ?
		       m :
		       NULL;
}

const char *t_tree_string(struct json_object *o, const char *name)
{
	struct json_object *m = t_tree_member(o, name);

	return json_object_is_type(m, json_type_string) ? json_object_get_string(m) : NULL;
}

void t_tree_set_string(struct json_object *o, const char *name, const char *value)
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
		struct json_object *old = t_tree_member(target, name);

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
	free(v->created);
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
	struct json_object *array = t_tree_member(o, name);

	for (size_t i = 0; i < length(array); i++)
		fn(v, json_object_array_get_idx(array, i));
}

static void refs_of_source(struct version *v, struct json_object *source)
{
	add_secret(v, t_tree_string(t_tree_member(source, "secret"), "name"));
}

static void refs_of_volume(struct version *v, struct json_object *volume)
{
	add_secret(v, t_tree_string(t_tree_member(volume, "secret"), "secretName"));
	each(v, t_tree_member(volume, "projected"), "sources", refs_of_source);
}

static void refs_of_env(struct version *v, struct json_object *env)
{
	add_secret(v, t_tree_string(t_tree_member(t_tree_member(env, "valueFrom"), "secretKeyRef"),
				    "name"));
}

static void refs_of_env_from(struct version *v, struct json_object *from)
{
	add_secret(v, t_tree_string(t_tree_member(from, "secretRef"), "name"));
}

static void refs_of_container(struct version *v, struct json_object *container)
{
	each(v, container, "env", refs_of_env);
	each(v, container, "envFrom", refs_of_env_from);
}

static void refs_of_pull_secret(struct version *v, struct json_object *ref)
{
	add_secret(v, t_tree_string(ref, "name"));
}

/* Rule R78: a mirror Pod gives no right, whatever it refers to. */
static void collect_refs(struct version *v, struct json_object *pod)
{
	struct json_object *spec = t_tree_member(pod, "spec");

	if (t_tree_member(t_tree_member(t_tree_member(pod, "metadata"), "annotations"),
			  "kubernetes.io/config.mirror"))
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

	t_tree_set_string(meta, "name", t_tree_string(given, "name"));
	t_tree_set_string(meta, "namespace", ns);
	t_tree_set_string(meta, "uid", uid);
	t_tree_set_string(meta, "resourceVersion", "");
	t_tree_set_string(meta, "creationTimestamp", created);
	json_object_object_foreach (given, name, value) {
		if (!t_tree_member(meta, name))
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
	v->name = t_api_strdup(t_tree_string(meta, "name"));
	v->ns = t_api_strdup(t_tree_string(meta, "namespace"));
	v->uid = t_api_strdup(t_tree_string(meta, "uid"));
	v->created = t_api_strdup(t_tree_string(meta, "creationTimestamp"));
	v->node = t_api_strdup(t_tree_string(t_tree_member(obj, "spec"), "nodeName"));
	set_member(item, "metadata", meta);
	json_object_object_foreach (obj, name, value) {
		if (strcmp(name, "metadata") != 0 && strcmp(name, "kind") != 0 &&
		    strcmp(name, "apiVersion") != 0)
			set_member(item, name, value);
	}
	text = t_tree_text(item);
	at = strstr(text, field) + sizeof(field) - 1;
	off = (int)(at - text);
	v->item = t_api_printf("%.*s%" PRIu64 "%s", off, text, rv, at);
	v->len = strlen(v->item);
	v->rv_off = (size_t)off;
	v->rv_len = strcspn(v->item + off, "\"");
	json_object_put(item);
	if (kind == T_PODS && v->node)
		collect_refs(v, obj);
	return v;
}

/* The object's JSON behind its '{', with another version than its own. */
void t_version_add_inner(struct sv_buf *b, const struct version *v, uint64_t rv, size_t min_len)
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

void t_version_add_object(struct sv_buf *b, int kind, const struct version *v, uint64_t rv,
			  size_t min_len)
{
	sv_buf_printf(b, "{\"kind\":\"%s\",\"apiVersion\":\"v1\",", t_kinds[kind].kind);
	t_version_add_inner(b, v, rv, min_len);
}

/* ---- objects and their past ---------------------------------------------------------------- */

struct version *t_version_at(const struct object *o, uint64_t rv)
{
	for (size_t i = o->n; i-- > 0;)
		if (o->past[i].rv <= rv)
			return o->past[i].v;
	return NULL;
}

struct version *t_version_now(const struct object *o)
{
	return o && o->n ? o->past[o->n - 1].v : NULL;
}

/* "NS/NAME" of a key that a test gives. */
char *t_key_full(const char *key)
{
	return strchr(key, '/') ? t_api_strdup(key) : t_api_printf("default/%s", key);
}

static struct object *find_object(const struct t_world *w, int kind, const char *key)
{
	sv_autofree char *full = t_key_full(key);

	return sv_strmap_get(&w->objects[kind], full);
}

struct version *t_world_find(const struct t_world *w, int kind, const char *ns, const char *name)
{
	sv_autofree char *key = t_api_printf("%s/%s", ns, name);

	return t_version_now(sv_strmap_get(&w->objects[kind], key));
}

static struct object *need_object(const struct t_world *w, int kind, const char *key)
{
	struct object *o = find_object(w, kind, key);

	if (!t_version_now(o))
		t_api_die("there is no %s '%s'", t_kinds[kind].kind, key);
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

/* The object is @v (owned; NULL: no more) from the next version on. */
static uint64_t commit(struct t_world *w, int kind, struct object *o, struct version *v)
{
	struct change change = { ++w->rv, kind, version_ref(t_version_now(o)), version_ref(v) };

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
	t_world_tell(w, &change);
	return w->rv;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void default_mode(struct json_object *source)
{
	if (json_object_is_type(source, json_type_object) && !t_tree_member(source, "defaultMode"))
		json_object_object_add(source, "defaultMode", json_object_new_int(420));
}

static void fill_pod(struct json_object *pod)
{
	struct json_object *volumes = t_tree_member(t_tree_member(pod, "spec"), "volumes");

	for (size_t i = 0; i < length(volumes); i++) {
		struct json_object *volume = json_object_array_get_idx(volumes, i);

		default_mode(t_tree_member(volume, "secret"));
		default_mode(t_tree_member(volume, "projected"));
	}
}

static void fill_secret(struct json_object *secret)
{
	struct json_object *strings = t_tree_member(secret, "stringData"),
			   *data = t_tree_member(secret, "data");

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
			t_tree_set_string(data, name, coded);
		}
		json_object_object_del(secret, "stringData");
	}
	if (!t_tree_member(secret, "type"))
		t_tree_set_string(secret, "type", "Opaque");
}

static void fill_event(struct json_object *event)
{
	if (!json_object_object_get_ex(event, "eventTime", NULL))
		json_object_object_add(event, "eventTime", NULL);
	if (!t_tree_member(event, "reportingComponent"))
		t_tree_set_string(event, "reportingComponent", "");
	if (!t_tree_member(event, "reportingInstance"))
		t_tree_set_string(event, "reportingInstance", "");
}

uint64_t t_world_put(struct t_world *w, int kind, struct json_object *obj)
{
	struct json_object *given = t_tree_member(obj, "metadata"), *meta;
	const char *name = t_tree_string(given, "name"), *ns = t_tree_string(given, "namespace");
	const char *uid = t_tree_string(given, "uid");
	const char *created = t_tree_string(given, "creationTimestamp");
	sv_autofree char *new_uid = NULL, *key = NULL;
	struct version *v, *old;
	struct object *o;
	char now[32];

	if (!name)
		t_api_die("an object needs metadata.name: %s", t_tree_text(obj));
	ns = ns ? ns : "default";
	key = t_api_printf("%s/%s", ns, name);
	o = sv_strmap_get(&w->objects[kind], key);
	old = t_version_now(o);
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
	if (!created && old)
		created = old->created;
	now_text(now, sizeof(now), 0);
	meta = ordered_metadata(given, ns, uid, created ? created : now);
	if (kind == T_PODS)
		fill_pod(obj);
	else if (kind == T_SECRETS)
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
	const char *name = t_tree_string(obj, "kind");
	uint64_t rv = 0;

	for (int k = 0; k < T_N_KINDS; k++)
		if (t_api_same(t_kinds[k].kind, name))
			rv = t_world_put(api->world, k, obj);
	if (rv == 0)
		t_api_die("an object of kind '%s'", name ? name : "");
	json_object_put(obj);
	return rv;
}

uint64_t t_world_edit(struct t_world *w, int kind, const struct version *old,
		      struct json_object *patch)
{
	struct json_object *obj = parse_json(old->item);
	uint64_t rv;

	merge(obj, patch);
	rv = t_world_put(w, kind, obj);
	json_object_put(obj);
	return rv;
}

uint64_t t_api_edit(struct t_api *api, const char *kind, const char *key, const char *patch)
{
	int k = t_kind_need(kind);
	struct object *o = need_object(api->world, k, key);
	struct json_object *tree = parse_json(patch);
	uint64_t rv = t_world_edit(api->world, k, t_version_now(o), tree);

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
	int k = t_kind_need(kind);

	return commit(api->world, k, need_object(api->world, k, key), NULL);
}

/* {"kind":…,"metadata":{"name":…,"namespace":…}} of "NS/NAME". */
static struct json_object *new_object(const char *kind, const char *key)
{
	struct json_object *obj = json_object_new_object(), *meta = json_object_new_object();
	sv_autofree char *full = t_key_full(key);
	char *name = strchr(full, '/');

	*name++ = '\0';
	t_tree_set_string(obj, "kind", kind);
	t_tree_set_string(meta, "name", name);
	t_tree_set_string(meta, "namespace", full);
	json_object_object_add(obj, "metadata", meta);
	return obj;
}

static uint64_t put_new(struct t_api *api, int kind, struct json_object *obj)
{
	uint64_t rv = t_world_put(api->world, kind, obj);

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
			t_tree_set_string(obj, "type", word + 6);
		} else if (value) {
			*value++ = '\0';
			t_tree_set_string(strings, word, value);
		} else if (*word) {
			t_api_die("no '=' in '%s'", word);
		}
	}
	return put_new(api, T_SECRETS, obj);
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
	t_tree_set_string(source, "secretName", secret);
	t_tree_set_string(volume, "name", word);
	json_object_object_add(volume, "secret", source);
	json_object_array_add(volumes, volume);
	path = t_api_printf("/%s", word);
	t_tree_set_string(mount, "name", word);
	t_tree_set_string(mount, "mountPath", path);
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
	t_tree_set_string(container, "name", "c");
	t_tree_set_string(container, "image", "busybox");
	json_object_object_add(container, "volumeMounts", mounts);
	json_object_array_add(containers, container);
	json_object_object_add(spec, "volumes", sources);
	json_object_object_add(spec, "containers", containers);
	if (node)
		t_tree_set_string(spec, "nodeName", node);
	json_object_object_add(obj, "spec", spec);
	t_tree_set_string(status, "phase", "Running");
	json_object_object_add(obj, "status", status);
	return put_new(api, T_PODS, obj);
}

char *t_api_get(const struct t_api *api, const char *kind, const char *key)
{
	int k = t_kind_need(kind);
	const struct version *v = t_version_now(find_object(api->world, k, key));
	struct sv_buf b = { 0 };

	if (!v)
		return NULL;
	t_version_add_object(&b, k, v, v->rv, 0);
	return sv_buf_take(&b);
}

size_t t_api_n_objects(const struct t_api *api, const char *kind)
{
	const struct sv_strmap *m = &api->world->objects[t_kind_need(kind)];
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += t_version_now(m->entries[i].value) != NULL;
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
size_t t_world_changes_after(const struct t_world *w, uint64_t rv)
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
	for (int k = 0; k < T_N_KINDS; k++) {
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
	drop_changes(w, 0, t_world_changes_after(w, version));
	w->compacted = version > w->compacted ? version : w->compacted;
}

void t_api_restore(struct t_api *api, uint64_t version)
{
	struct t_world *w = api->world;
	size_t first;

	if (version > w->rv || version < w->compacted)
		t_api_die("cannot restore version %" PRIu64, version);
	t_api_cut_all(api, T_API_FIN);
	for (int k = 0; k < T_N_KINDS; k++) {
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
	first = t_world_changes_after(w, version);
	drop_changes(w, first, w->n_changes - first);
	w->rv = version;
}

/* ---- the world ----------------------------------------------------------------------------- */

struct t_world *t_world_new(struct t_api *api)
{
	struct t_world *w = t_api_alloc(sizeof(*w));

	w->api = api;
	w->rv = FIRST_VERSION;
	for (int k = 0; k < T_N_KINDS; k++)
		w->cached_rv[k] = FIRST_VERSION;
	return w;
}

void t_world_free(struct t_world *w)
{
	drop_changes(w, 0, w->n_changes);
	free(w->changes);
	for (int k = 0; k < T_N_KINDS; k++) {
		for (size_t i = 0; i < w->objects[k].n; i++)
			free_object(w->objects[k].entries[i].value);
		sv_strmap_done(&w->objects[k]);
	}
	t_access_done(w);
	free(w);
}
