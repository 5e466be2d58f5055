/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/text.h"
#include "json.h"

/* A member that is a string, borrowed; "" where it is missing or something else. */
static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *node = NULL;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, key, &node) ||
	    !json_object_is_type(node, json_type_string))
		return "";
	return json_object_get_string(node);
}

static struct json_object *object_of(struct json_object *o, const char *key)
{
	struct json_object *node = NULL;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, key, &node) ||
	    !json_object_is_type(node, json_type_object))
		return NULL;
	return node;
}

static int64_t number_of(struct json_object *o, const char *key)
{
	struct json_object *node = NULL;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, key, &node) || !json_object_is_type(node, json_type_int))
		return 0;
	return json_object_get_int64(node);
}

/* ---- Status -------------------------------------------------------------------------------- */

static void set_message(struct sv_wire_status *s, const char *text)
{
	sv_text_escape(s->message, sizeof(s->message), text);
}

static bool has_cause(struct json_object *details, const char *reason)
{
	struct json_object *causes = NULL;
	size_t i;

	if (!details || !json_object_object_get_ex(details, "causes", &causes) ||
	    !json_object_is_type(causes, json_type_array))
		return false;
	for (i = 0; i < json_object_array_length(causes); i++)
		if (strcmp(text_of(json_object_array_get_idx(causes, i), "reason"), reason) == 0)
			return true;
	return false;
}

static void read_status(struct json_object *o, struct sv_wire_status *s)
{
	struct json_object *details = object_of(o, "details");
	int64_t code = number_of(o, "code"), seconds = number_of(details, "retryAfterSeconds");

	if (strcmp(text_of(o, "kind"), "Status") != 0)
		return;
	if (s->code == 0 && code > 0 && code < 1000)
		s->code = (int)code;
	sv_text_escape(s->reason, sizeof(s->reason), text_of(o, "reason"));
	set_message(s, text_of(o, "message"));
	if (seconds > 0 && seconds < INT32_MAX)
		s->retry_after_ms = seconds * 1000;
	/* servers before 1.19 gave the message only */
	s->too_large_version = has_cause(details, "ResourceVersionTooLarge") ||
			       strncmp(s->message, "Too large resource version", 26) == 0;
	s->terminating = has_cause(details, "NamespaceTerminating");
}

void sv_wire_status(const char *text, size_t len, int code, struct sv_wire_status *ret)
{
	struct json_object *o = NULL;

	*ret = (struct sv_wire_status){ .code = code };
	if (len > 0 && sv_json_parse(text, len, &o, NULL, NULL) == 0)
		read_status(o, ret);
	sv_tree_free(o);
}

/* ---- events -------------------------------------------------------------------------------- */

static enum sv_wire_type type_of(const char *word)
{
	static const char *const words[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR" };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum sv_wire_type)i;
	return SV_WIRE_UNKNOWN;
}

static void identify(struct sv_wire_event *e)
{
	struct json_object *meta = object_of(e->object, "metadata");

	e->ns = text_of(meta, "namespace");
	e->name = text_of(meta, "name");
	e->version = text_of(meta, "resourceVersion");
}

/* Texts of the parser may quote what it stumbled over: nothing of it is passed on. */
static int parse(const char *text, size_t len, struct json_object **ret, struct sv_err *err)
{
	int r = sv_json_parse(text, len, ret, NULL, NULL);

	if (r > 0)
		return sv_err_set(err, SV_WIRE_E_SYNTAX, "the server sent what is not JSON");
	return r < 0 ? sv_err_set(err, r, "cannot read what the server sent") : 0;
}

int sv_wire_event(const char *text, size_t len, struct sv_wire_event *ret, struct sv_err *err)
{
	sv_autowire struct sv_wire_event e = { 0 };
	int r = parse(text, len, &e.root, err);

	if (r)
		return r;
	e.type = type_of(text_of(e.root, "type"));
	e.object = object_of(e.root, "object");
	if (!e.object || !*text_of(e.root, "type"))
		return sv_err_set(err, SV_WIRE_E_SYNTAX, "the server sent what is no watch event");
	identify(&e);
	if (e.type == SV_WIRE_ERROR)
		read_status(e.object, &e.status);
	else if (e.type != SV_WIRE_UNKNOWN && !*e.version)
		return sv_err_set(err, SV_WIRE_E_SYNTAX,
				  "the server sent a watch event without metadata.resourceVersion");
	*ret = e;
	e.root = NULL;
	return 0;
}

int sv_wire_item(const char *text, size_t len, struct sv_wire_event *ret, struct sv_err *err)
{
	struct sv_wire_event e = { .type = SV_WIRE_ADDED };
	int r = parse(text, len, &e.root, err);

	if (r)
		return r;
	if (!json_object_is_type(e.root, json_type_object)) {
		sv_tree_free(e.root);
		return sv_err_set(err, SV_WIRE_E_SYNTAX, "the server sent what is no object");
	}
	e.object = e.root;
	identify(&e);
	*ret = e;
	return 0;
}

void sv_wire_event_done(struct sv_wire_event *e)
{
	sv_tree_free(e->root);
	*e = (struct sv_wire_event){ 0 };
}

/* ---- lists --------------------------------------------------------------------------------- */

int sv_wire_list(const char *text, size_t len, char **version, char **token, struct sv_err *err)
{
	struct json_object *o = NULL, *meta;
	char *v = NULL, *t = NULL;
	int r = parse(text, len, &o, err);

	if (r)
		return r;
	meta = object_of(o, "metadata");
	if (meta) {
		v = strdup(text_of(meta, "resourceVersion"));
		t = strdup(text_of(meta, "continue"));
		r = v && t ? 0 : sv_err_set(err, -ENOMEM, "cannot read a list");
	} else {
		r = sv_err_set(err, SV_WIRE_E_SYNTAX, "the server sent a list without metadata");
	}
	sv_tree_free(o);
	if (r) {
		free(v);
		free(t);
		return r;
	}
	*version = v;
	*token = t;
	return 0;
}

/* The string value behind "KEY":, or "" — good enough for the head of what a server printed. */
static size_t scan_text(const char *head, size_t len, const char *key, const char **ret)
{
	sv_autofree char *mark = sv_asprintf("\"%s\":\"", key);
	const char *p = mark ? memmem(head, len, mark, strlen(mark)) : NULL, *end;

	if (!p)
		return 0;
	p += strlen(mark);
	end = memchr(p, '"', len - (size_t)(p - head));
	*ret = p;
	return end ? (size_t)(end - p) : 0;
}

void sv_wire_name(const char *head, size_t len, char *ret, size_t size)
{
	const char *meta = memmem(head, len, "\"metadata\":{", 12), *ns = "", *name = "";
	sv_autofree char *text = NULL;
	size_t n_ns, n_name;

	*ret = '\0';
	if (!meta)
		return;
	len -= (size_t)(meta - head);
	n_name = scan_text(meta, len, "name", &name);
	n_ns = scan_text(meta, len, "namespace", &ns);
	text = sv_asprintf("%.*s%s%.*s", (int)n_ns, ns, n_ns ? "/" : "", (int)n_name, name);
	if (text && n_name)
		sv_text_escape(ret, size, text);
}

bool sv_wire_deletes(const char *head, size_t len)
{
	static const char mark[] = "\"type\":\"DELETED\"";
	const char *object = memmem(head, len, "\"object\":", 9);

	/* an object may hold such words, too */
	return object && memmem(head, (size_t)(object - head), mark, strlen(mark));
}

/* ---- versions ------------------------------------------------------------------------------ */

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s) && (*s != '0' || !s[1]);
}

int sv_wire_compare(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	if (!is_number(a) || !is_number(b))
		return 0;
	if (n != m)
		return n < m ? -1 : 1;
	return strcmp(a, b);
}
