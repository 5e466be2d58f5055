/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *sv_origin_name(enum sv_origin origin)
{
	return origin == SV_ORIGIN_API ? "api" : "manifest";
}

struct sv_secret *sv_secret_new(void)
{
	struct sv_secret *s = calloc(1, sizeof(*s));

	if (s)
		atomic_init(&s->refs, 1);
	return s;
}

struct sv_secret *sv_secret_ref(struct sv_secret *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void sv_secret_unref(struct sv_secret *s)
{
	size_t i;

	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < s->n_keys; i++)
		free(s->keys[i].name);
	free(s->keys);
	sv_secret_data_unref(s->data);
	free(s->ns);
	free(s->name);
	free(s->uid);
	free(s->resource_version);
	free(s->type);
	free(s);
}

struct sv_secret_data *sv_secret_data_ref(struct sv_secret_data *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void sv_secret_data_unref(struct sv_secret_data *d)
{
	size_t i;

	if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < d->n; i++)
		sv_bytes_wipe(&d->values[i]);
	free(d);
}

/* Names and values in turn, so that none can pass for another. */
static int make_digest(const struct sv_secret_item *items, size_t n, struct sv_digest *ret)
{
	sv_autofree struct sv_bytes *parts = calloc(n ? n : 1, 2 * sizeof(*parts));
	size_t i;

	if (!parts)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		parts[2 * i].ptr = (unsigned char *)items[i].name;
		parts[2 * i].len = strlen(items[i].name);
		parts[2 * i + 1] = items[i].value;
	}
	return sv_digest_make(parts, 2 * n, ret);
}

int sv_secret_set(struct sv_secret *s, struct sv_secret_item *items, size_t n)
{
	sv_autofree struct sv_secret_key *keys = calloc(n ? n : 1, sizeof(*keys));
	sv_autofree struct sv_secret_data *data =
		calloc(1, sizeof(*data) + n * sizeof(data->values[0]));
	size_t i;
	int r;

	if (!keys || !data)
		return -ENOMEM;
	r = make_digest(items, n, &s->digest);
	if (r < 0)
		return r; // cppcheck-suppress memleak ; sv_autofree frees both
	atomic_init(&data->refs, 1);
	data->n = s->n_keys = n;
	for (i = 0; i < n; i++) {
		keys[i].name = SV_TAKE(items[i].name);
		keys[i].size = items[i].value.len;
		s->size += items[i].value.len;
		data->values[i] = sv_bytes_take(&items[i].value);
	}
	s->keys = SV_TAKE(keys);
	s->data = SV_TAKE(data);
	return 0;
}

bool sv_secret_is_hollow(const struct sv_secret *s)
{
	return s->n_keys > 0 && !s->data;
}

void sv_secret_forget(struct sv_secret *s)
{
	sv_secret_data_unref(s->data);
	s->data = NULL;
}

bool sv_secret_fill(struct sv_secret *s, const struct sv_secret *from)
{
	if (!sv_secret_is_hollow(s))
		return true;
	if (!from->data || !sv_secret_same_data(s, from))
		return false;
	s->data = sv_secret_data_ref(from->data);
	return true;
}

struct sv_pod *sv_pod_new(void)
{
	struct sv_pod *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	atomic_init(&p->refs, 1);
	p->fs_group = p->run_as_user = p->run_as_group = -1;
	return p;
}

struct sv_pod *sv_pod_ref(struct sv_pod *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

static void free_strings(char **list)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static void free_labels(struct sv_label *labels, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(labels[i].name);
		free(labels[i].value);
	}
	free(labels);
}

static void volume_done(struct sv_volume *v)
{
	size_t i, j;

	for (i = 0; i < v->n_sources; i++) {
		struct sv_secret_source *s = &v->sources[i];

		for (j = 0; j < s->n_items; j++) {
			free(s->items[j].key);
			free(s->items[j].path);
		}
		free(s->items);
		free(s->name);
	}
	free(v->sources);
	free(v->unsupported);
	free(v->name);
}

static void container_done(struct sv_container *c)
{
	size_t i;

	for (i = 0; i < c->n_mounts; i++) {
		free(c->mounts[i].volume);
		free(c->mounts[i].path);
		free(c->mounts[i].sub_path);
		free(c->mounts[i].sub_path_expr);
	}
	free(c->mounts);
	for (i = 0; i < c->n_env_from; i++) {
		free(c->env_from[i].prefix);
		free(c->env_from[i].secret);
		free(c->env_from[i].config_map);
	}
	free(c->env_from);
	for (i = 0; i < c->n_env; i++) {
		free(c->env[i].name);
		free(c->env[i].value);
		free(c->env[i].ref);
		free(c->env[i].key);
	}
	free(c->env);
	free_strings(c->command);
	free_strings(c->args);
	free(c->name);
}

void sv_pod_unref(struct sv_pod *p)
{
	size_t i;

	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < p->n_volumes; i++)
		volume_done(&p->volumes[i]);
	free(p->volumes);
	for (i = 0; i < p->n_containers; i++)
		container_done(&p->containers[i]);
	free(p->containers);
	free_labels(p->labels, p->n_labels);
	free_labels(p->annotations, p->n_annotations);
	free(p->supplemental_groups);
	free(p->ns);
	free(p->name);
	free(p->uid);
	free(p->node_name);
	free(p);
}

static int compare_key(const void *name, const void *key)
{
	return strcmp(name, ((const struct sv_secret_key *)key)->name);
}

const struct sv_secret_key *sv_secret_key(const struct sv_secret *s, const char *name)
{
	return s->n_keys > 0 ? bsearch(name, s->keys, s->n_keys, sizeof(*s->keys), compare_key) :
			       NULL;
}

const struct sv_bytes *sv_secret_value(const struct sv_secret *s, const char *key)
{
	const struct sv_secret_key *k = s->data ? sv_secret_key(s, key) : NULL;

	return k ? &s->data->values[k - s->keys] : NULL;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool sv_secret_same_data(const struct sv_secret *a, const struct sv_secret *b)
{
	return sv_digest_equal(&a->digest, &b->digest);
}

bool sv_secret_equal(const struct sv_secret *a, const struct sv_secret *b)
{
	return a->immutable == b->immutable && same(a->ns, b->ns) && same(a->name, b->name) &&
	       same(a->uid, b->uid) && same(a->type, b->type) &&
	       same(a->resource_version, b->resource_version) && sv_secret_same_data(a, b);
}

static bool same_source(const struct sv_secret_source *a, const struct sv_secret_source *b)
{
	size_t i;

	if (!same(a->name, b->name) || a->optional != b->optional || a->n_items != b->n_items)
		return false;
	for (i = 0; i < a->n_items; i++)
		if (!same(a->items[i].key, b->items[i].key) ||
		    !same(a->items[i].path, b->items[i].path) ||
		    a->items[i].mode != b->items[i].mode)
			return false;
	return true;
}

static bool same_volume(const struct sv_volume *a, const struct sv_volume *b)
{
	size_t i;

	if (!same(a->name, b->name) || a->type != b->type || a->default_mode != b->default_mode ||
	    a->n_sources != b->n_sources || !same(a->unsupported, b->unsupported))
		return false;
	for (i = 0; i < a->n_sources; i++)
		if (!same_source(&a->sources[i], &b->sources[i]))
			return false;
	return true;
}

static bool same_strings(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++)
		if (!same(*a, *b))
			return false;
	return *a == *b;
}

static bool same_labels(const struct sv_label *a, size_t n_a, const struct sv_label *b, size_t n_b)
{
	size_t i;

	if (n_a != n_b)
		return false;
	for (i = 0; i < n_a; i++)
		if (!same(a[i].name, b[i].name) || !same(a[i].value, b[i].value))
			return false;
	return true;
}

static bool same_env(const struct sv_container *a, const struct sv_container *b)
{
	size_t i;

	if (a->n_env != b->n_env || a->n_env_from != b->n_env_from)
		return false;
	for (i = 0; i < a->n_env_from; i++) {
		const struct sv_env_source *x = &a->env_from[i], *y = &b->env_from[i];

		if (!same(x->prefix, y->prefix) || !same(x->secret, y->secret) ||
		    !same(x->config_map, y->config_map) || x->optional != y->optional)
			return false;
	}
	for (i = 0; i < a->n_env; i++) {
		const struct sv_env_var *x = &a->env[i], *y = &b->env[i];

		if (!same(x->name, y->name) || x->kind != y->kind || !same(x->value, y->value) ||
		    !same(x->ref, y->ref) || !same(x->key, y->key) || x->optional != y->optional)
			return false;
	}
	return true;
}

static bool same_container(const struct sv_container *a, const struct sv_container *b)
{
	size_t i;

	if (!same(a->name, b->name) || a->kind != b->kind || a->n_mounts != b->n_mounts ||
	    a->run_as_user != b->run_as_user || a->run_as_group != b->run_as_group ||
	    !same_strings(a->command, b->command) || !same_strings(a->args, b->args))
		return false;
	for (i = 0; i < a->n_mounts; i++) {
		const struct sv_mount *x = &a->mounts[i], *y = &b->mounts[i];

		if (!same(x->volume, y->volume) || !same(x->path, y->path) ||
		    !same(x->sub_path, y->sub_path) || !same(x->sub_path_expr, y->sub_path_expr) ||
		    x->read_only != y->read_only)
			return false;
	}
	return same_env(a, b);
}

bool sv_pod_equal(const struct sv_pod *a, const struct sv_pod *b)
{
	size_t i;

	if (!same(a->ns, b->ns) || !same(a->name, b->name) || !same(a->uid, b->uid) ||
	    !same(a->node_name, b->node_name) || a->terminated != b->terminated ||
	    a->fs_group != b->fs_group || a->run_as_user != b->run_as_user ||
	    a->run_as_group != b->run_as_group || a->n_volumes != b->n_volumes ||
	    a->n_containers != b->n_containers ||
	    a->n_supplemental_groups != b->n_supplemental_groups)
		return false;
	for (i = 0; i < a->n_supplemental_groups; i++)
		if (a->supplemental_groups[i] != b->supplemental_groups[i])
			return false;
	for (i = 0; i < a->n_volumes; i++)
		if (!same_volume(&a->volumes[i], &b->volumes[i]))
			return false;
	for (i = 0; i < a->n_containers; i++)
		if (!same_container(&a->containers[i], &b->containers[i]))
			return false;
	return same_labels(a->labels, a->n_labels, b->labels, b->n_labels) &&
	       same_labels(a->annotations, a->n_annotations, b->annotations, b->n_annotations);
}

bool sv_pod_mounts(const struct sv_pod *pod, const char *volume)
{
	size_t i, j;

	for (i = 0; i < pod->n_containers; i++)
		for (j = 0; j < pod->containers[i].n_mounts; j++)
			if (strcmp(pod->containers[i].mounts[j].volume, volume) == 0)
				return true;
	return false;
}

bool sv_pod_mounts_part(const struct sv_pod *pod, const char *volume)
{
	size_t i, j;

	for (i = 0; i < pod->n_containers; i++)
		for (j = 0; j < pod->containers[i].n_mounts; j++) {
			const struct sv_mount *m = &pod->containers[i].mounts[j];

			if (strcmp(m->volume, volume) == 0 && (*m->sub_path || *m->sub_path_expr))
				return true;
		}
	return false;
}

const struct sv_container *sv_pod_container(const struct sv_pod *pod, const char *name)
{
	size_t i;

	for (i = 0; i < pod->n_containers; i++) {
		const struct sv_container *c = &pod->containers[i];

		if (name ? strcmp(c->name, name) == 0 : c->kind == SV_CONTAINER_APP)
			return c;
	}
	return NULL;
}
