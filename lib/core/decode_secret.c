/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "decoder.h"
#include "json.h"
#include "validate.h"

#define SA_NAME_ANNOTATION "kubernetes.io/service-account.name"

/* What has been read of data and stringData. */
struct items {
	struct sv_secret_item *list;
	size_t n;
};

static void items_done(struct items *items)
{
	size_t i;

	for (i = 0; i < items->n; i++) {
		free(items->list[i].name);
		sv_bytes_wipe(&items->list[i].value);
	}
	free(items->list);
}

static int compare_items(const void *a, const void *b)
{
	return strcmp(((const struct sv_secret_item *)a)->name,
		      ((const struct sv_secret_item *)b)->name);
}

static int add_item(struct items *items, const char *name, struct sv_bytes *value)
{
	struct sv_secret_item *item = &items->list[items->n]; /* read_data() made room */

	item->name = strdup(name);
	if (!item->name)
		return -ENOMEM;
	item->value = sv_bytes_take(value);
	items->n++;
	return 0;
}

/* One entry of data. Base64 that is wrong ends the walk, as any field of a wrong type does (R2). */
static int read_data_value(struct sv_decoder *d, struct json_object *node, struct sv_bytes *ret)
{
	size_t bad = 0;
	int r;

	if (!node) /* null keeps the key (R3) */
		return 0;
	if (!json_object_is_type(node, json_type_string))
		return sv_reject_type(d, NULL, "v1.Secret.Data", "expects a base64 string");
	r = sv_base64_decode(json_object_get_string(node), (size_t)json_object_get_string_len(node),
			     ret, &bad);
	if (r == SV_BASE64_E_ILLEGAL)
		return sv_reject_type(d, NULL, "v1.Secret.Data",
				      "illegal base64 data at input byte %zu", bad);
	return r;
}

static int read_string_value(struct sv_decoder *d, struct json_object *node, struct sv_bytes *ret)
{
	if (!node)
		return 0;
	if (!json_object_is_type(node, json_type_string))
		return sv_reject_type(d, NULL, "v1.Secret.StringData", "expects a string");
	return sv_bytes_copy(json_object_get_string(node), (size_t)json_object_get_string_len(node),
			     ret);
}

static int read_entry(struct sv_decoder *d, struct items *items, const char *key,
		      struct json_object *node, bool is_data, size_t n_data)
{
	struct sv_place place = sv_enter_key(d, key, node);
	sv_autobytes struct sv_bytes value = { NULL, 0 };
	struct sv_secret_item wanted = { .name = (char *)(uintptr_t)key }, *item = NULL;
	int r;

	r = is_data ? read_data_value(d, node, &value) : read_string_value(d, node, &value);
	sv_leave(d, place);
	if (r)
		return r;
	if (n_data > 0) /* stringData wins (R4); keys of one map are unique */
		item = bsearch(&wanted, items->list, n_data, sizeof(*item), compare_items);
	if (!item)
		return add_item(items, key, &value);
	sv_bytes_wipe(&item->value);
	item->value = sv_bytes_take(&value);
	return 0;
}

static int read_map(struct sv_decoder *d, struct items *items, struct json_object *map,
		    const char *field)
{
	struct sv_place place = sv_enter(d, field, map);
	bool is_data = strcmp(field, "data") == 0;
	size_t n_data = items->n; /* sorted; none while data itself is read */
	int r = 0;

	json_object_object_foreach (map, key, value) {
		r = read_entry(d, items, key, value, is_data, n_data);
		if (r)
			break;
	}
	if (items->n > 0)
		qsort(items->list, items->n, sizeof(*items->list), compare_items);
	sv_leave(d, place);
	return r;
}

static int read_data(struct sv_decoder *d, struct json_object *tree, struct sv_secret *s)
{
	__attribute__((cleanup(items_done))) struct items items = { NULL, 0 };
	struct json_object *data, *strings;
	size_t n;
	int r;

	r = sv_read_object(d, tree, "data", "v1.Secret.Data", &data);
	if (r == 0)
		r = sv_read_object(d, tree, "stringData", "v1.Secret.StringData", &strings);
	if (r)
		return r;
	n = (data ? (size_t)json_object_object_length(data) : 0) +
	    (strings ? (size_t)json_object_object_length(strings) : 0);
	if (n > SV_SECRET_KEYS_MAX)
		return sv_reject_many(d, "data", n, SV_SECRET_KEYS_MAX);
	items.list = calloc(n ? n : 1, sizeof(*items.list));
	if (!items.list)
		return -ENOMEM;
	if (data)
		r = read_map(d, &items, data, "data");
	if (r == 0 && strings)
		r = read_map(d, &items, strings, "stringData");
	return r ? r : sv_secret_set(s, items.list, items.n);
}

static void check_keys(struct sv_decoder *d, const struct sv_secret *s)
{
	struct sv_place place = sv_enter(d, "data", NULL);
	size_t i;

	for (i = 0; i < s->n_keys; i++) {
		const char *text = sv_check_secret_key(s->keys[i].name);

		if (text) {
			struct sv_place at = sv_enter_key(d, s->keys[i].name, NULL);

			sv_reject(d, SV_INVALID, NULL, s->keys[i].name, text);
			sv_leave(d, at);
		}
	}
	if (s->size > SV_SECRET_SIZE_MAX)
		sv_reject(d, SV_TOO_LONG, NULL, NULL, "must have at most 1048576 bytes");
	sv_leave(d, place);
}

static void require_key(struct sv_decoder *d, const struct sv_secret *s, const char *field,
			const char *key)
{
	if (!sv_secret_key(s, key))
		sv_reject(d, SV_REQUIRED, field, NULL, "");
}

/* The value must be a JSON object; what is wrong with it is not said, since it is secret. */
static void require_json(struct sv_decoder *d, const struct sv_secret *s, const char *field,
			 const char *key)
{
	const struct sv_bytes *value = sv_secret_value(s, key);
	struct json_object *tree = NULL;
	int r;

	if (!value) {
		sv_reject(d, SV_REQUIRED, field, NULL, "");
		return;
	}
	r = sv_json_parse((const char *)value->ptr, value->len, &tree, NULL, NULL);
	if (r < 0) /* says nothing about the value */
		d->c->out_of_memory = true;
	else if (r > 0 || (tree && !json_object_is_type(tree, json_type_object)))
		sv_reject(d, SV_INVALID, field, "<secret contents redacted>",
			  "must be a JSON object");
	sv_tree_free(tree);
}

static bool has_sa_annotation(struct json_object *meta)
{
	struct json_object *annotations, *node;

	return meta && json_object_object_get_ex(meta, "annotations", &annotations) &&
	       annotations && json_object_object_get_ex(annotations, SA_NAME_ANNOTATION, &node) &&
	       json_object_get_string_len(node) > 0;
}

/* What the built-in types demand (R7). Field paths are the ones that 1.20 prints. */
static void check_type(struct sv_decoder *d, const struct sv_secret *s, struct json_object *meta)
{
	const struct sv_secret_key *key;

	if (strcmp(s->type, "kubernetes.io/service-account-token") == 0) {
		if (!has_sa_annotation(meta))
			sv_reject(d, SV_REQUIRED, "metadata.annotations[" SA_NAME_ANNOTATION "]",
				  NULL, "");
	} else if (strcmp(s->type, "kubernetes.io/dockercfg") == 0) {
		require_json(d, s, "data[.dockercfg]", ".dockercfg");
	} else if (strcmp(s->type, "kubernetes.io/dockerconfigjson") == 0) {
		require_json(d, s, "data[.dockerconfigjson]", ".dockerconfigjson");
	} else if (strcmp(s->type, "kubernetes.io/basic-auth") == 0) {
		if (!sv_secret_key(s, "username") && !sv_secret_key(s, "password")) {
			sv_reject(d, SV_REQUIRED, "data[%s][username]", NULL, "");
			sv_reject(d, SV_REQUIRED, "data[%s][password]", NULL, "");
		}
	} else if (strcmp(s->type, "kubernetes.io/ssh-auth") == 0) {
		key = sv_secret_key(s, "ssh-privatekey");
		if (!key || key->size == 0)
			sv_reject(d, SV_REQUIRED, "data[%s][ssh-privatekey]", NULL, "");
	} else if (strcmp(s->type, "kubernetes.io/tls") == 0) {
		require_key(d, s, "data[tls.crt]", "tls.crt");
		require_key(d, s, "data[tls.key]", "tls.key");
	}
}

static int read_secret(struct sv_decoder *d, struct json_object *tree, struct sv_secret *s)
{
	sv_autometa struct sv_meta meta = { 0 };
	int r = sv_read_meta(d, tree, &meta);

	if (r)
		return r;
	s->ns = SV_TAKE(meta.ns);
	s->name = SV_TAKE(meta.name);
	s->uid = SV_TAKE(meta.uid);
	s->resource_version = SV_TAKE(meta.resource_version);
	r = sv_read_string(d, tree, "type", "v1.Secret.Type", &s->type);
	if (r == 0)
		r = sv_read_bool(d, tree, "immutable", "v1.Secret.Immutable", &s->immutable);
	if (r == 0)
		r = read_data(d, tree, s);
	if (r)
		return r;
	if (!s->type || !*s->type) {
		free(s->type);
		s->type = strdup("Opaque");
		if (!s->type)
			return -ENOMEM;
	}
	check_keys(d, s);
	check_type(d, s, meta.node);
	return 0;
}

int sv_decode_secret(struct json_object *tree, const struct sv_decode_opts *opts,
		     struct sv_secret **ret, struct sv_complaints *c)
{
	struct sv_decoder d = {
		.kind = "Secret", .opts = opts, .c = c, .line = sv_tree_line(tree)
	};
	sv_autosecret struct sv_secret *s = sv_secret_new();
	size_t before = c->n;
	int r;

	if (!s)
		return -ENOMEM;
	r = read_secret(&d, tree, s);
	sv_buf_done(&d.path);
	if (r == 0 && c->n > before)
		r = SV_DECODE_E_INVALID;
	if (c->out_of_memory)
		r = -ENOMEM;
	if (r)
		return r;
	*ret = SV_TAKE(s);
	return 0;
}
