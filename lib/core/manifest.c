/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "yaml.h"

const char *sv_kind_name(enum sv_kind kind)
{
	static const char *const names[] = { "Pod", "Secret", "" };

	return names[kind];
}

struct walk {
	const struct sv_decode_opts *opts;
	struct sv_manifest *m;
	unsigned document;
	struct sv_err *err;
};

static const char *text_of(struct json_object *from, const char *field)
{
	struct json_object *node = NULL;

	if (!from || !json_object_is_type(from, json_type_object) ||
	    !json_object_object_get_ex(from, field, &node) ||
	    !json_object_is_type(node, json_type_string))
		return "";
	return json_object_get_string(node);
}

static struct sv_manifest_object *add(struct walk *w, enum sv_kind kind, struct json_object *tree,
				      unsigned line)
{
	struct sv_manifest *m = w->m;
	struct json_object *meta = NULL, *ns = NULL;
	struct sv_manifest_object *o;

	/* grows by doubling: the size is a power of two whenever it is full */
	if ((m->n_objects & (m->n_objects - 1)) == 0) {
		o = reallocarray(m->objects, m->n_objects ? m->n_objects * 2 : 1, sizeof(*o));
		if (!o)
			return NULL;
		m->objects = o;
	}
	o = &m->objects[m->n_objects];
	*o = (struct sv_manifest_object){ .kind = kind, .document = w->document, .line = line };
	if (tree && json_object_is_type(tree, json_type_object))
		json_object_object_get_ex(tree, "metadata", &meta);
	o->name = strdup(text_of(meta, "name"));
	o->ns = strdup(*text_of(meta, "namespace") ? text_of(meta, "namespace") : "default");
	if (json_object_is_type(meta, json_type_object))
		json_object_object_get_ex(meta, "namespace", &ns);
	o->vague = !*text_of(meta, "name") || (ns && !json_object_is_type(ns, json_type_string));
	m->n_objects++;
	return o->name && o->ns ? o : NULL;
}

/* An object of which nothing can be decoded. */
static int complain(struct walk *w, struct json_object *tree, unsigned line, const char *field,
		    const char *text)
{
	struct sv_manifest_object *o = add(w, SV_KIND_UNKNOWN, tree, line);

	if (!o)
		return -ENOMEM;
	if (tree && json_object_object_get_ex(tree, "items", NULL))
		o->vague = true; /* it was a list: its name is nobody's */
	sv_complain(&o->complaints, SV_DECODE, field, NULL, "%s", text);
	if (o->complaints.n > 0)
		o->complaints.items[0].line = line;
	return o->complaints.out_of_memory ? -ENOMEM : 0;
}

static int decode(struct walk *w, enum sv_kind kind, struct json_object *tree, unsigned line)
{
	struct sv_manifest_object *o = add(w, kind, tree, line);
	size_t i;
	int r;

	if (!o)
		return -ENOMEM;
	r = kind == SV_KIND_POD ? sv_decode_pod(tree, w->opts, &o->pod, &o->complaints) :
				  sv_decode_secret(tree, w->opts, &o->secret, &o->complaints);
	for (i = 0; i < o->complaints.n; i++)
		if (o->complaints.items[i].line == 0)
			o->complaints.items[i].line = line;
	return r < 0 ? r : 0;
}

static int read_object(struct walk *w, struct json_object *tree, const char *default_kind,
		       unsigned depth, unsigned line);

static int read_list(struct walk *w, struct json_object *tree, const char *item_kind,
		     unsigned depth, unsigned line)
{
	struct json_object *items = NULL;
	size_t i;
	int r = 0;

	json_object_object_get_ex(tree, "items", &items);
	if (items && !json_object_is_type(items, json_type_array))
		return complain(w, tree, line, "items", "items: expects a list");
	if (depth > 2)
		return complain(w, tree, line, "items", "items: lists are nested too deep");
	for (i = 0; items && i < json_object_array_length(items) && r == 0; i++) {
		struct json_object *item = json_object_array_get_idx(items, i);
		unsigned at = sv_tree_line(item);

		r = read_object(w, item, item_kind, depth + 1, at ? at : line);
	}
	return r;
}

/* @default_kind: what an element of a typed list is when it does not say so; NULL elsewhere. */
static int read_object(struct walk *w, struct json_object *tree, const char *default_kind,
		       unsigned depth, unsigned line)
{
	const char *kind, *version;

	if (w->m->n_objects + w->m->ignored >= SV_MANIFEST_OBJECTS_MAX)
		return sv_err_set(w->err, SV_MANIFEST_E_SYNTAX, "more than %d objects",
				  SV_MANIFEST_OBJECTS_MAX);
	if (!tree && !default_kind && depth == 0) /* an empty document */
		return 0;
	if (!tree || !json_object_is_type(tree, json_type_object))
		return complain(w, NULL, line, "", "expects an object with kind and apiVersion");
	kind = text_of(tree, "kind");
	version = text_of(tree, "apiVersion");
	if (!*kind && default_kind) {
		kind = default_kind;
		version = *version ? version : "v1";
	}
	if (!*kind)
		return complain(w, tree, line, "kind", "kind: Object 'Kind' is missing");
	if (!*version)
		return complain(w, tree, line, "apiVersion",
				"apiVersion: Object 'apiVersion' is missing");
	if (strcmp(version, "v1") == 0) {
		if (strcmp(kind, "Pod") == 0)
			return decode(w, SV_KIND_POD, tree, line);
		if (strcmp(kind, "Secret") == 0)
			return decode(w, SV_KIND_SECRET, tree, line);
		if (strcmp(kind, "List") == 0)
			return read_list(w, tree, NULL, depth, line);
		if (strcmp(kind, "PodList") == 0)
			return read_list(w, tree, "Pod", depth, line);
		if (strcmp(kind, "SecretList") == 0)
			return read_list(w, tree, "Secret", depth, line);
	}
	w->m->ignored++;
	return 0;
}

int sv_manifest_parse(const char *text, size_t len, enum sv_format format,
		      const struct sv_decode_opts *opts, struct sv_manifest *ret,
		      struct sv_err *err, unsigned *line)
{
	struct sv_manifest m = { NULL, 0, 0 };
	struct walk w = { .opts = opts, .m = &m, .err = err };
	struct sv_trees trees = { NULL, 0 };
	size_t i;
	int r;

	if (line)
		*line = 0;
	r = format == SV_FORMAT_JSON ? sv_json_parse_all(text, len, &trees, err, line) :
				       sv_yaml_parse(text, len, &trees, err, line);
	if (r)
		return r > 0 ? SV_MANIFEST_E_SYNTAX : r;
	for (i = 0; i < trees.n && r == 0; i++) {
		w.document = (unsigned)i;
		r = read_object(&w, trees.items[i].root, NULL, 0, trees.items[i].line);
	}
	sv_trees_done(&trees);
	if (r) {
		sv_manifest_done(&m);
		return r < 0 ? sv_err_set(err, r, "cannot decode") : r;
	}
	*ret = m;
	return 0;
}

void sv_manifest_done(struct sv_manifest *m)
{
	size_t i;

	for (i = 0; i < m->n_objects; i++) {
		struct sv_manifest_object *o = &m->objects[i];

		free(o->ns);
		free(o->name);
		sv_pod_unref(o->pod);
		sv_secret_unref(o->secret);
		sv_complaints_done(&o->complaints);
	}
	free(m->objects);
	*m = (struct sv_manifest){ NULL, 0, 0 };
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

bool sv_manifest_format(const char *name, enum sv_format *ret)
{
	/* x~, x.swp, x.dpkg-* do not end in one of ours; .x is hidden */
	if (name[0] == '.' || name[0] == '#')
		return false;
	if (ends_with(name, ".json"))
		*ret = SV_FORMAT_JSON;
	else if (ends_with(name, ".yaml") || ends_with(name, ".yml"))
		*ret = SV_FORMAT_YAML;
	else
		return false;
	return true;
}
