/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "yaml.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "../base/bytes.h"
#include "../base/cleanup.h"
#include "../base/text.h"

/* ---- scalars: YAML 1.1 as Go's yaml.v2 resolves it (R28) ---------------------------------- */

enum kind { NIL, BOOL, INT, UINT, FLOAT, STRING };

struct scalar {
	enum kind kind;
	bool b;
	int64_t i;
	uint64_t u;
	double f;
};

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

static bool resolve_word(const char *s, struct scalar *ret)
{
	static const char *const yes[] = { "y",    "Y",    "yes", "Yes", "YES", "true",
					   "True", "TRUE", "on",  "On",  "ON",  NULL };
	static const char *const no[] = { "n",     "N",     "no",  "No",  "NO",  "false",
					  "False", "FALSE", "off", "Off", "OFF", NULL };
	static const char *const nil[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const nan_[] = { ".nan", ".NaN", ".NAN", NULL };
	static const char *const inf[] = {
		".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL
	};
	static const char *const minus_inf[] = { "-.inf", "-.Inf", "-.INF", NULL };

	if (is_one_of(s, yes) || is_one_of(s, no))
		*ret = (struct scalar){ .kind = BOOL, .b = is_one_of(s, yes) };
	else if (is_one_of(s, nil))
		*ret = (struct scalar){ .kind = NIL };
	else if (is_one_of(s, nan_))
		*ret = (struct scalar){ .kind = FLOAT, .f = NAN };
	else if (is_one_of(s, inf))
		*ret = (struct scalar){ .kind = FLOAT, .f = INFINITY };
	else if (is_one_of(s, minus_inf))
		*ret = (struct scalar){ .kind = FLOAT, .f = -INFINITY };
	else
		return false;
	return true;
}

/* [+-]?(0x..|0b..|0o..|0..|1..), underscores gone. */
static bool resolve_int(const char *s, struct scalar *ret)
{
	bool minus = *s == '-';
	uint64_t u = 0;
	unsigned base = 10;

	if (*s == '+' || *s == '-')
		s++;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		base = 16, s += 2;
	else if (s[0] == '0' && (s[1] == 'b' || s[1] == 'B'))
		base = 2, s += 2;
	else if (s[0] == '0' && (s[1] == 'o' || s[1] == 'O'))
		base = 8, s += 2;
	else if (s[0] == '0' && s[1])
		base = 8, s += 1;
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned d;

		if (*s >= '0' && *s <= '9')
			d = (unsigned)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			d = (unsigned)(*s - 'a') + 10;
		else if (*s >= 'A' && *s <= 'F')
			d = (unsigned)(*s - 'A') + 10;
		else
			return false;
		if (d >= base || u > (UINT64_MAX - d) / base)
			return false;
		u = u * base + d;
	}
	if (minus && u > (uint64_t)INT64_MAX + 1)
		return false;
	if (minus)
		*ret = (struct scalar){ .kind = INT, .i = u ? -(int64_t)(u - 1) - 1 : 0 };
	else if (u <= INT64_MAX)
		*ret = (struct scalar){ .kind = INT, .i = (int64_t)u };
	else
		*ret = (struct scalar){ .kind = UINT, .u = u };
	return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *s)
{
	size_t before, after = 0;

	if (*s == '+' || *s == '-')
		s++;
	before = strspn(s, "0123456789");
	s += before;
	if (*s == '.') {
		after = strspn(s + 1, "0123456789");
		s += 1 + after;
	}
	if (before + after == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		if (*s == '+' || *s == '-')
			s++;
		if (!*s)
			return false;
		s += strspn(s, "0123456789");
	}
	return !*s;
}

/* What a plain scalar without a tag means. @s is NUL-terminated and holds no NUL. */
static int resolve(const char *s, struct scalar *ret)
{
	sv_autofree char *digits = NULL;
	char *d;

	*ret = (struct scalar){ .kind = STRING };
	if (resolve_word(s, ret))
		return 0;
	if (!strchr("+-.0123456789", *s) || strlen(s) > 400)
		return 0; /* cannot be a number, or not one that a field could take */
	digits = malloc(strlen(s) + 1);
	if (!digits)
		return -ENOMEM;
	for (d = digits; *s; s++)
		if (*s != '_')
			*d++ = *s;
	*d = '\0';
	if (resolve_int(digits, ret))
		return 0;
	if (is_float(digits)) {
		/* The C locale is never changed here, so the point is a point. */
		ret->f = strtod(digits, NULL);
		if (!isinf(ret->f))
			ret->kind = FLOAT;
	}
	return 0;
}

static bool is_integral(double f)
{
	return f == floor(f) && fabs(f) < 9.2e18;
}

/* ---- events to trees ----------------------------------------------------------------------- */

struct anchor {
	char *name;
	struct json_object *node; /* counted */
	size_t size;              /* nodes below and including it, written out */
	unsigned height;          /* levels below it, likewise */
};

struct reader {
	yaml_parser_t parser;
	const char *text;
	size_t len;
	struct anchor *anchors; /* of this document */
	size_t n_anchors;
	size_t nodes;     /* of this document, aliases written out */
	unsigned deepest; /* level that was reached in the node being read, likewise */
	struct sv_err *err;
	unsigned line; /* of a failure */
};

static int fail_at(struct reader *y, int r, unsigned line, const char *text)
{
	y->line = line;
	return sv_err_set(y->err, r, "line %u: %s", line, text);
}

static int next(struct reader *y, yaml_event_t *event)
{
	const yaml_parser_t *p = &y->parser;
	unsigned line;

	if (yaml_parser_parse(&y->parser, event))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
	line = (unsigned)p->problem_mark.line + 1;
	if (p->error == YAML_READER_ERROR) { /* knows the byte, not the line */
		size_t i;

		line = 1;
		for (i = 0; i < p->problem_offset && i < y->len; i++)
			line += y->text[i] == '\n';
	}
	return fail_at(y, SV_TREE_E_SYNTAX, line, p->problem ? p->problem : "not YAML");
}

static struct anchor *find_anchor(struct reader *y, const char *name)
{
	size_t i;

	for (i = y->n_anchors; i > 0; i--) /* the newest of a name counts */
		if (strcmp(y->anchors[i - 1].name, name) == 0)
			return &y->anchors[i - 1];
	return NULL;
}

static int add_anchor(struct reader *y, const yaml_char_t *name, struct json_object *node,
		      size_t size, unsigned height, unsigned line)
{
	struct anchor *a;

	if (!name)
		return 0;
	a = find_anchor(y, (const char *)name);
	if (a) {
		json_object_put(a->node);
		a->node = json_object_get(node);
		a->size = size;
		a->height = height;
		return 0;
	}
	if (y->n_anchors >= SV_TREE_ANCHORS_MAX) /* looking for one costs that much */
		return fail_at(y, SV_TREE_E_LIMIT, line, "too many anchors");
	a = reallocarray(y->anchors, y->n_anchors + 1, sizeof(*a));
	if (!a)
		return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
	y->anchors = a;
	a += y->n_anchors;
	a->name = strdup((const char *)name);
	if (!a->name)
		return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
	a->node = json_object_get(node);
	a->size = size;
	a->height = height;
	y->n_anchors++;
	return 0;
}

static void drop_anchors(struct reader *y)
{
	size_t i;

	for (i = 0; i < y->n_anchors; i++) {
		free(y->anchors[i].name);
		json_object_put(y->anchors[i].node);
	}
	free(y->anchors);
	y->anchors = NULL;
	y->n_anchors = 0;
}

static int count(struct reader *y, size_t n, unsigned line)
{
	if (n > SV_TREE_NODES_MAX - y->nodes)
		return fail_at(y, SV_TREE_E_LIMIT, line,
			       "document contains excessive aliasing or too many values");
	y->nodes += n;
	return 0;
}

static bool has_tag(const yaml_event_t *e, const char *name)
{
	const char *tag = (const char *)e->data.scalar.tag;

	return tag && strncmp(tag, "tag:yaml.org,2002:", 18) == 0 && strcmp(tag + 18, name) == 0;
}

/* What a scalar event means; STRING leaves the event's own text as the value. */
static int read_scalar(struct reader *y, const yaml_event_t *e, struct scalar *ret)
{
	const char *s = (const char *)e->data.scalar.value;
	unsigned line = (unsigned)e->start_mark.line + 1;
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	bool tagged = e->data.scalar.tag && strcmp((const char *)e->data.scalar.tag, "!") != 0;
	int r;

	*ret = (struct scalar){ .kind = STRING };
	if (strlen(s) != e->data.scalar.length)
		return 0; /* a NUL: no word, no number */
	if (tagged ? !(has_tag(e, "int") || has_tag(e, "float") || has_tag(e, "bool") ||
		       has_tag(e, "null")) :
		     !plain || e->data.scalar.tag)
		return 0;
	r = resolve(s, ret);
	if (r)
		return sv_err_set(y->err, r, "cannot parse YAML");
	if (!tagged || (has_tag(e, "float") && (ret->kind == INT || ret->kind == FLOAT)) ||
	    (has_tag(e, "int") && (ret->kind == INT || ret->kind == UINT)) ||
	    (has_tag(e, "bool") && ret->kind == BOOL) || (has_tag(e, "null") && ret->kind == NIL))
		return 0;
	return fail_at(y, SV_TREE_E_SYNTAX, line, "a scalar does not fit its tag");
}

static int scalar_node(struct reader *y, const yaml_event_t *e, struct json_object **ret)
{
	const char *s = (const char *)e->data.scalar.value;
	struct scalar v;
	int r;

	if (has_tag(e, "binary")) {
		sv_autobytes struct sv_bytes b = { NULL, 0 };

		r = sv_base64_decode(s, e->data.scalar.length, &b, NULL);
		if (r > 0)
			return fail_at(y, SV_TREE_E_SYNTAX, (unsigned)e->start_mark.line + 1,
				       "!!binary value contains invalid base64 data");
		if (r == 0 && b.len > INT_MAX)
			r = -ENOMEM;
		if (r == 0)
			*ret = json_object_new_string_len(b.ptr ? (char *)b.ptr : "", (int)b.len);
		return r == 0 && *ret ? 0 : sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
	}
	r = read_scalar(y, e, &v);
	if (r)
		return r;
	switch (v.kind) {
	case NIL:
		*ret = NULL;
		return 0;
	case BOOL:
		*ret = json_object_new_boolean(v.b);
		break;
	case INT:
		*ret = json_object_new_int64(v.i);
		break;
	case UINT:
		*ret = json_object_new_uint64(v.u);
		break;
	case FLOAT: /* an integral one is printed without a fraction on the way to JSON */
		*ret = is_integral(v.f) ? json_object_new_int64((int64_t)v.f) :
					  json_object_new_double(v.f);
		break;
	case STRING:
		*ret = json_object_new_string_len(s, (int)e->data.scalar.length);
		break;
	}
	return *ret ? 0 : sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
}

/*
 * A float as a key: the fewest digits that read back as the same 32-bit float, and an exponent
 * where Go's FormatFloat(f, 'g', -1, 32) has one.
 */
static char *float_key(float f)
{
	char text[40];
	int digits, exponent;

	if (isnan(f) || isinf(f))
		return strdup(isnan(f) ? ".nan" : f < 0 ? "-.inf" : ".inf");
	for (digits = 0; digits < 9; digits++) {
		(void)snprintf(text, sizeof(text), "%.*e", digits, (double)f);
		if (strtof(text, NULL) == f)
			break;
	}
	exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	if (exponent < -4 || exponent >= 6)
		return sv_asprintf("%.*e", digits, (double)f);
	return sv_asprintf("%.*f", digits > exponent ? digits - exponent : 0, (double)f);
}

/* The key that a scalar stands for: words and numbers in their normal form. */
static int key_text(struct reader *y, const yaml_event_t *e, char **ret)
{
	unsigned line = (unsigned)e->start_mark.line + 1;
	struct scalar v;
	int r = read_scalar(y, e, &v);

	if (r)
		return r;
	switch (v.kind) {
	case NIL:
		return fail_at(y, SV_TREE_E_SYNTAX, line, "unsupported map key: null");
	case BOOL:
		*ret = strdup(v.b ? "true" : "false");
		break;
	case INT:
		*ret = sv_asprintf("%lld", (long long)v.i);
		break;
	case UINT:
		*ret = sv_asprintf("%llu", (unsigned long long)v.u);
		break;
	case FLOAT:
		*ret = float_key((float)v.f);
		break;
	case STRING:
		if (strlen((char *)e->data.scalar.value) != e->data.scalar.length)
			return fail_at(y, SV_TREE_E_SYNTAX, line,
				       "a map key holds a NUL character");
		*ret = strdup((char *)e->data.scalar.value);
		break;
	}
	return *ret ? 0 : sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
}

static int read_node(struct reader *y, yaml_event_t *e, unsigned depth, struct json_object **ret);

/* The next event as a node; the end of a collection is not one. */
static int read_next(struct reader *y, unsigned depth, struct json_object **ret, bool *end)
{
	yaml_event_t e;
	int r = next(y, &e);

	if (r)
		return r;
	*end = e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT;
	if (!*end)
		r = read_node(y, &e, depth, ret);
	yaml_event_delete(&e);
	return r;
}

static int read_list(struct reader *y, unsigned depth, struct json_object *list)
{
	for (;;) {
		struct json_object *item = NULL;
		bool end;
		int r = read_next(y, depth + 1, &item, &end);

		if (r || end)
			return r;
		if (json_object_array_add(list, item) < 0) {
			sv_tree_free(item);
			return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
		}
	}
}

static bool is_merge_key(const yaml_event_t *e)
{
	return e->type == YAML_SCALAR_EVENT && strcmp((char *)e->data.scalar.value, "<<") == 0 &&
	       e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!e->data.scalar.tag || has_tag(e, "merge"));
}

/* Keys of @from that @map does not have. */
static int merge_map(struct reader *y, struct json_object *map, struct json_object *from,
		     unsigned line)
{
	if (!json_object_is_type(from, json_type_object))
		return fail_at(y, SV_TREE_E_SYNTAX, line,
			       "map merge requires map or sequence of maps as the value");
	json_object_object_foreach (from, key, value) {
		if (json_object_object_get_ex(map, key, NULL))
			continue;
		if (json_object_object_add(map, key, json_object_get(value)) < 0) {
			json_object_put(value);
			return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
		}
	}
	return 0;
}

static int merge(struct reader *y, struct json_object *map, struct json_object *from, unsigned line)
{
	size_t i;
	int r = 0;

	if (!json_object_is_type(from, json_type_array))
		return merge_map(y, map, from, line);
	for (i = 0; i < json_object_array_length(from) && r == 0; i++)
		r = merge_map(y, map, json_object_array_get_idx(from, i), line);
	return r;
}

static int add_member(struct reader *y, struct json_object *map, const char *key,
		      struct json_object *value)
{
	if (json_object_object_add(map, key, value) < 0) {
		sv_tree_free(value);
		return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
	}
	return 0;
}

/* An anchor on a key stands for the key's text. */
static int anchor_key(struct reader *y, const yaml_char_t *anchor, const char *key, unsigned line)
{
	struct json_object *node = json_object_new_string(key);
	int r = node ? add_anchor(y, anchor, node, 1, 0, line) :
		       sv_err_set(y->err, -ENOMEM, "cannot parse YAML");

	json_object_put(node);
	return r;
}

static int read_map(struct reader *y, unsigned depth, struct json_object *map)
{
	struct json_object *merged = NULL; /* what << brings: filled in last, keys here win */
	unsigned merged_line = 0;
	int r;

	for (;;) {
		sv_autofree char *key = NULL;
		struct json_object *value = NULL;
		unsigned line;
		yaml_event_t e;
		bool is_merge, end;

		r = next(y, &e);
		if (r || e.type == YAML_MAPPING_END_EVENT) {
			if (r == 0)
				yaml_event_delete(&e);
			break;
		}
		line = (unsigned)e.start_mark.line + 1;
		is_merge = is_merge_key(&e);
		if (e.type == YAML_ALIAS_EVENT) {
			const struct anchor *a = find_anchor(y, (const char *)e.data.alias.anchor);

			if (a && json_object_is_type(a->node, json_type_string))
				key = strdup(json_object_get_string(a->node));
			r = key ? 0 : fail_at(y, SV_TREE_E_SYNTAX, line, "unsupported map key");
		} else if (e.type != YAML_SCALAR_EVENT) {
			r = fail_at(y, SV_TREE_E_SYNTAX, line, "unsupported map key: not a scalar");
		} else if (!is_merge) {
			r = key_text(y, &e, &key);
			if (r == 0 && e.data.scalar.anchor)
				r = anchor_key(y, e.data.scalar.anchor, key, line);
		}
		yaml_event_delete(&e);
		if (r == 0)
			r = read_next(y, depth + 1, &value, &end);
		if (r)
			break;
		if (is_merge && !merged) {
			merged = value;
			merged_line = line;
		} else if (is_merge) {
			sv_tree_free(value);
			r = fail_at(y, SV_TREE_E_SYNTAX, line, "a map has two merge keys");
			break;
		} else {
			r = add_member(y, map, key, value);
			if (r)
				break;
		}
	}
	if (r == 0 && merged)
		r = merge(y, map, merged, merged_line);
	json_object_put(merged); /* parts may live on in the map: no wiping */
	return r;
}

static int read_alias(struct reader *y, const yaml_event_t *e, unsigned depth,
		      struct json_object **ret)
{
	const struct anchor *a = find_anchor(y, (const char *)e->data.alias.anchor);
	unsigned line = (unsigned)e->start_mark.line + 1;
	int r;

	if (!a)
		return fail_at(y, SV_TREE_E_SYNTAX, line, "unknown anchor");
	if (a->height > SV_TREE_DEPTH_MAX - depth) /* whoever walks the tree relies on the limit */
		return fail_at(y, SV_TREE_E_LIMIT, line, "nested too deep");
	if (y->deepest < depth + a->height)
		y->deepest = depth + a->height;
	r = count(y, a->size, line);
	if (r == 0)
		*ret = json_object_get(a->node);
	return r;
}

static int read_node(struct reader *y, yaml_event_t *e, unsigned depth, struct json_object **ret)
{
	unsigned line = (unsigned)e->start_mark.line + 1;
	const yaml_char_t *anchor = NULL;
	struct json_object *node = NULL;
	size_t before = y->nodes;
	unsigned above = y->deepest;
	int r;

	if (depth > SV_TREE_DEPTH_MAX)
		return fail_at(y, SV_TREE_E_LIMIT, line, "nested too deep");
	if (e->type == YAML_ALIAS_EVENT)
		return read_alias(y, e, depth, ret);
	r = count(y, 1, line);
	if (r)
		return r;
	y->deepest = depth;
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		r = scalar_node(y, e, &node);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		node = json_object_new_array();
		r = node ? read_list(y, depth, node) : -ENOMEM;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		node = json_object_new_object();
		r = node ? read_map(y, depth, node) : -ENOMEM;
		break;
	default:
		r = fail_at(y, SV_TREE_E_SYNTAX, line, "unexpected event");
	}
	if (r == 0)
		r = add_anchor(y, anchor, node, y->nodes - before, y->deepest - depth, line);
	if (y->deepest < above)
		y->deepest = above;
	if (r) {
		json_object_put(
			node); /* aliases may share parts of it: the caller's free() wipes */
		return r;
	}
	if (node && !json_object_is_type(node, json_type_double))
		json_object_set_userdata(node, (void *)(uintptr_t)line, NULL);
	*ret = node;
	return 0;
}

static int add_tree(struct reader *y, struct sv_trees *trees, struct json_object *root,
		    unsigned line)
{
	struct sv_tree *items;

	if (trees->n >= SV_TREE_DOCUMENTS_MAX) {
		sv_tree_free(root);
		return fail_at(y, SV_TREE_E_LIMIT, line, "too many documents");
	}
	items = reallocarray(trees->items, trees->n + 1, sizeof(*items));
	if (!items) {
		sv_tree_free(root);
		return sv_err_set(y->err, -ENOMEM, "cannot parse YAML");
	}
	trees->items = items;
	items[trees->n++] = (struct sv_tree){ root, line };
	return 0;
}

static int read_documents(struct reader *y, struct sv_trees *trees)
{
	for (;;) {
		struct json_object *root = NULL;
		yaml_event_t e;
		bool end, stop;
		unsigned line;
		int r = next(y, &e);

		if (r)
			return r;
		stop = e.type == YAML_STREAM_END_EVENT;
		end = e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_END_EVENT ||
		      e.type == YAML_DOCUMENT_START_EVENT;
		if (stop || end) {
			yaml_event_delete(&e);
			if (stop)
				return 0;
			drop_anchors(y);
			y->nodes = 0;
			continue;
		}
		line = (unsigned)e.start_mark.line + 1;
		r = read_node(y, &e, 1, &root);
		yaml_event_delete(&e);
		if (r == 0)
			r = add_tree(y, trees, root, line);
		if (r)
			return r;
	}
}

/* libyaml compares every %TAG with all before it. */
static bool has_too_many_tags(const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	size_t n = 0;

	while (n <= SV_TREE_TAGS_MAX && (p = memmem(p, (size_t)(end - p), "%TAG", 4))) {
		n += p == text || p[-1] == '\n' || p[-1] == '\r';
		p += 4;
	}
	return n > SV_TREE_TAGS_MAX;
}

int sv_yaml_parse(const char *text, size_t len, struct sv_trees *ret, struct sv_err *err,
		  unsigned *line)
{
	struct reader y = { .text = text, .len = len, .err = err };
	struct sv_trees trees = { NULL, 0 };
	int r;

	if (len > INT_MAX)
		return sv_err_set(err, SV_TREE_E_LIMIT, "text of %zu bytes is too long", len);
	if (has_too_many_tags(text, len))
		return sv_err_set(err, SV_TREE_E_LIMIT, "more than %d %%TAG directives",
				  SV_TREE_TAGS_MAX);
	if (!yaml_parser_initialize(&y.parser))
		return sv_err_set(err, -ENOMEM, "cannot parse YAML");
	yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
	r = read_documents(&y, &trees);
	drop_anchors(&y);
	yaml_parser_delete(&y.parser);
	if (r) {
		sv_trees_done(&trees);
		if (line)
			*line = y.line;
		return r;
	}
	*ret = trees;
	return 0;
}

/* ---- trees --------------------------------------------------------------------------------- */

unsigned sv_tree_line(struct json_object *node)
{
	if (!node || json_object_is_type(node, json_type_double))
		return 0;
	return (unsigned)(uintptr_t)json_object_get_userdata(node);
}

static void wipe(struct json_object *node)
{
	size_t i;

	switch (json_object_get_type(node)) {
	case json_type_object: {
		json_object_object_foreach (node, key, value) {
			(void)key;
			wipe(value);
		}
		break;
	}
	case json_type_array:
		for (i = 0; i < json_object_array_length(node); i++)
			wipe(json_object_array_get_idx(node, i));
		break;
	case json_type_string:
		/* json-c gives no writable view of its own buffer, but this is it */
		explicit_bzero((char *)(uintptr_t)json_object_get_string(node),
			       (size_t)json_object_get_string_len(node));
		break;
	default:
		break;
	}
}

void sv_tree_free(struct json_object *root)
{
	if (!root)
		return;
	wipe(root);
	json_object_put(root);
}

void sv_trees_done(struct sv_trees *trees)
{
	size_t i;

	for (i = 0; i < trees->n; i++)
		sv_tree_free(trees->items[i].root);
	free(trees->items);
	*trees = (struct sv_trees){ NULL, 0 };
}
