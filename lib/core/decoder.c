/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "decoder.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "validate.h"
#include "yaml.h"

static struct sv_place step(struct sv_decoder *d, struct json_object *node)
{
	struct sv_place place = { d->path.len, d->line };
	unsigned line = sv_tree_line(node);

	if (line)
		d->line = line;
	return place;
}

struct sv_place sv_enter(struct sv_decoder *d, const char *field, struct json_object *node)
{
	struct sv_place place = step(d, node);

	sv_buf_printf(&d->path, "%s%s", d->path.len ? "." : "", field);
	return place;
}

struct sv_place sv_enter_index(struct sv_decoder *d, size_t i, struct json_object *node)
{
	struct sv_place place = step(d, node);

	sv_buf_printf(&d->path, "[%zu]", i);
	return place;
}

struct sv_place sv_enter_key(struct sv_decoder *d, const char *key, struct json_object *node)
{
	struct sv_place place = step(d, node);

	sv_buf_printf(&d->path, "[%s]", key);
	return place;
}

void sv_leave(struct sv_decoder *d, struct sv_place place)
{
	d->path.len = place.len;
	if (d->path.ptr)
		d->path.ptr[place.len] = '\0';
	d->line = place.line;
}

static const char *here(const struct sv_decoder *d)
{
	return d->path.ptr ? d->path.ptr : "";
}

static void set_line(struct sv_decoder *d, size_t before)
{
	if (d->c->n > before)
		d->c->items[d->c->n - 1].line = d->line;
	if (d->path.failed)
		d->c->out_of_memory = true;
}

void sv_reject(struct sv_decoder *d, enum sv_category category, const char *field,
	       const char *value, const char *detail)
{
	struct sv_place place = { d->path.len, d->line };
	size_t before = d->c->n;

	if (field)
		place = sv_enter(d, field, NULL);
	sv_complain(d->c, category, here(d), value, "%s", detail);
	set_line(d, before);
	sv_leave(d, place);
}

void sv_reject_int(struct sv_decoder *d, const char *field, long long value, const char *detail)
{
	struct sv_place place = { d->path.len, d->line };
	size_t before = d->c->n;

	if (field)
		place = sv_enter(d, field, NULL);
	sv_complain_int(d->c, here(d), value, "%s", detail);
	set_line(d, before);
	sv_leave(d, place);
}

int sv_reject_many(struct sv_decoder *d, const char *field, size_t n, size_t max)
{
	sv_autofree char *detail = sv_asprintf("%zu: must have at most %zu items", n, max);

	if (!detail)
		return -ENOMEM;
	sv_reject(d, SV_TOO_MANY, field, NULL, detail);
	return SV_DECODE_E_INVALID;
}

int sv_reject_type(struct sv_decoder *d, const char *field, const char *go, const char *fmt, ...)
{
	struct sv_place place = { d->path.len, d->line };
	sv_autobuf struct sv_buf detail = { 0 };
	size_t before = d->c->n;
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&detail, fmt, ap);
	va_end(ap);
	if (field)
		place = sv_enter(d, field, NULL);
	sv_complain(d->c, SV_DECODE, here(d), NULL,
		    "%s in version \"v1\" cannot be handled as a %s: %s: %s: %s", d->kind, d->kind,
		    here(d), go, detail.failed ? "" : detail.ptr);
	if (detail.failed)
		d->c->out_of_memory = true;
	set_line(d, before);
	sv_leave(d, place);
	return SV_DECODE_E_INVALID;
}

static const char *type_name(struct json_object *node)
{
	switch (json_object_get_type(node)) {
	case json_type_boolean:
		return "a boolean";
	case json_type_double:
	case json_type_int:
		return "a number";
	case json_type_object:
		return "an object";
	case json_type_array:
		return "a list";
	case json_type_string:
		return "a string";
	default:
		return "null";
	}
}

static int read_node(struct sv_decoder *d, struct json_object *from, const char *field,
		     const char *go, enum json_type type, const char *expects,
		     struct json_object **ret)
{
	struct json_object *node = NULL;

	*ret = NULL;
	if (!from || !json_object_object_get_ex(from, field, &node) || !node)
		return 0;
	if (!json_object_is_type(node, type))
		return sv_reject_type(d, field, go, "expects %s but found %s", expects,
				      type_name(node));
	*ret = node;
	return 0;
}

int sv_read_object(struct sv_decoder *d, struct json_object *from, const char *field,
		   const char *go, struct json_object **ret)
{
	return read_node(d, from, field, go, json_type_object, "an object", ret);
}

int sv_read_list(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		 struct json_object **ret)
{
	return read_node(d, from, field, go, json_type_array, "a list", ret);
}

int sv_read_element(struct sv_decoder *d, struct json_object *list, size_t i, const char *go,
		    struct json_object **ret)
{
	struct json_object *node = json_object_array_get_idx(list, i);

	if (node && !json_object_is_type(node, json_type_object))
		return sv_reject_type(d, NULL, go, "expects an object but found %s",
				      type_name(node));
	*ret = node;
	return 0;
}

size_t sv_list_len(struct json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

int sv_read_string(struct sv_decoder *d, struct json_object *from, const char *field,
		   const char *go, char **ret)
{
	struct json_object *node;
	const char *text;
	char *copy;
	int r = read_node(d, from, field, go, json_type_string, "a string", &node);

	if (r || !node)
		return r;
	text = json_object_get_string(node);
	if (strlen(text) != (size_t)json_object_get_string_len(node))
		return sv_reject_type(d, field, go, "holds a NUL character");
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

int sv_read_bool(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		 bool *ret)
{
	struct json_object *node;
	int r = read_node(d, from, field, go, json_type_boolean, "a boolean", &node);

	if (r == 0 && node)
		*ret = json_object_get_boolean(node);
	return r;
}

static int read_int(struct sv_decoder *d, struct json_object *from, const char *field,
		    const char *go, int64_t min, int64_t max, int64_t *ret)
{
	struct json_object *node = NULL;
	int64_t value;
	int r;

	if (from && json_object_object_get_ex(from, field, &node) &&
	    json_object_is_type(node, json_type_double))
		return sv_reject_type(d, field, go, "can not decode float as int");
	r = read_node(d, from, field, go, json_type_int, "an integer", &node);
	if (r || !node)
		return r;
	value = json_object_get_int64(node); /* saturates */
	if (value < min || value > max ||
	    (value == INT64_MAX && json_object_get_uint64(node) > INT64_MAX))
		return sv_reject_type(d, field, go, "integer overflow");
	*ret = value;
	return 0;
}

int sv_read_int32(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		  int64_t *ret)
{
	return read_int(d, from, field, go, INT32_MIN, INT32_MAX, ret);
}

int sv_read_int64(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		  int64_t *ret)
{
	return read_int(d, from, field, go, INT64_MIN, INT64_MAX, ret);
}

int sv_check_string_map(struct sv_decoder *d, struct json_object *from, const char *field,
			const char *go)
{
	struct json_object *map;
	struct sv_place place;
	int r = sv_read_object(d, from, field, go, &map);

	if (r || !map)
		return r;
	place = sv_enter(d, field, map);
	json_object_object_foreach (map, key, value) {
		if (value && !json_object_is_type(value, json_type_string)) {
			struct sv_place at = sv_enter_key(d, key, value);

			r = sv_reject_type(d, NULL, go, "expects a string but found %s",
					   type_name(value));
			sv_leave(d, at);
			break;
		}
	}
	sv_leave(d, place);
	return r;
}

static int read_meta_fields(struct sv_decoder *d, struct sv_meta *m)
{
	const char *text;
	int r;

	r = sv_read_string(d, m->node, "name", "v1.ObjectMeta.Name", &m->name);
	if (r == 0)
		r = sv_read_string(d, m->node, "namespace", "v1.ObjectMeta.Namespace", &m->ns);
	if (r == 0)
		r = sv_read_string(d, m->node, "uid", "v1.ObjectMeta.UID", &m->uid);
	if (r == 0)
		r = sv_read_string(d, m->node, "resourceVersion", "v1.ObjectMeta.ResourceVersion",
				   &m->resource_version);
	if (r == 0)
		r = sv_check_string_map(d, m->node, "labels", "v1.ObjectMeta.Labels");
	if (r == 0)
		r = sv_check_string_map(d, m->node, "annotations", "v1.ObjectMeta.Annotations");
	if (r)
		return r;
	if (m->ns && !*m->ns) {
		free(m->ns);
		m->ns = NULL;
	}
	if (!m->ns)
		m->ns = strdup("default");
	if (!m->name)
		m->name = strdup("");
	if (!m->uid)
		m->uid = strdup("");
	if (!m->resource_version)
		m->resource_version = strdup("");
	if (!m->ns || !m->name || !m->uid || !m->resource_version)
		return -ENOMEM;
	text = sv_check_subdomain(m->name);
	if (!*m->name)
		sv_reject(d, SV_REQUIRED, "name", NULL, "name or generateName is required");
	else if (text)
		sv_reject(d, SV_INVALID, "name", m->name, text);
	text = sv_check_label(m->ns);
	if (text)
		sv_reject(d, SV_INVALID, "namespace", m->ns, text);
	return 0;
}

int sv_read_meta(struct sv_decoder *d, struct json_object *tree, struct sv_meta *ret)
{
	struct sv_place place;
	int r = sv_read_object(d, tree, "metadata", "v1.ObjectMeta", &ret->node);

	if (r)
		return r;
	place = sv_enter(d, "metadata", ret->node);
	r = read_meta_fields(d, ret);
	sv_leave(d, place);
	return r;
}

void sv_meta_done(struct sv_meta *m)
{
	free(m->ns);
	free(m->name);
	free(m->uid);
	free(m->resource_version);
}
