/* SPDX-License-Identifier: Apache-2.0 */
/* What requests ask for, and the answers of one piece: get, list, events. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/bytes.h"
#include "apiserver_world.h"

#define TOKEN_FORM "meta.k8s.io/v1"

/* ---- what a request asks for --------------------------------------------------------------- */

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
	kind = t_kind_find(part);
	if (kind < 0 || (rest && (!req->ns || strchr(rest, '/'))))
		return;
	req->kind = t_kinds[kind].plural;
	if (rest) {
		req->name = t_api_strdup(rest);
		req->verb = object_verb(req);
		return;
	}
	req->verb = collection_verb(req);
	free(parse_selector(req));
}

/* ---- get and list -------------------------------------------------------------------------- */

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
	t_status_refuse(req, 400, "BadRequest", message, NULL);
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
		t_tree_text(quoted));

	json_object_put(quoted);
	t_status_refuse(req, 422, "Invalid", message, details);
}

/* False: it has been refused. */
bool t_req_options(struct t_api_req *req, struct t_options *o)
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
			t_status_refuse(req, 400, "BadRequest", wrong, NULL);
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
			t_status_refuse(req, 500, NULL, wrong, NULL);
			return false;
		}
	}
	return true;
}

bool t_req_selects(const struct t_api_req *req, const struct version *v)
{
	return v && (!req->name || strcmp(req->name, v->name) == 0) &&
	       (!req->ns || strcmp(req->ns, v->ns) == 0) &&
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
	form = t_tree_string(tree, "v");
	if (!tree)
		wrong = t_api_strdup("continue key is not valid: unexpected end of JSON input");
	else if (!t_api_same(form, TOKEN_FORM))
		wrong = t_api_printf("continue key is not valid: server does not recognize this "
				     "encoded version \"%s\"",
				     form ? form : "");
	else if (!t_tree_string(tree, "start"))
		wrong = t_api_strdup("continue key is not valid: encoded start key empty");
	if (!wrong) {
		*rv = json_object_get_int64(t_tree_member(tree, "rv"));
		*start = t_api_strdup(t_tree_string(tree, "start")); /* up to its final NUL */
	}
	json_object_put(tree);
	return wrong;
}

static void refuse_expired(struct t_api_req *req, const char *start)
{
	sv_autofree char *token = start ? make_token(-1, start) : NULL;
	sv_autofree char *metadata = token ? t_api_printf("{\"continue\":\"%s\"}", token) : NULL;

	if (!start) {
		t_status_reply(req, 410, t_status_of(410, req));
		return;
	}
	t_status_reply(req, 410,
		       t_status_json_with(
			       410, "Expired",
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
	t_version_add_inner(&p->items, v, v->rv, min_len);
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
		const struct version *v = t_version_at(o, p->at);

		if (!v || (req->ns && strcmp(req->ns, v->ns) != 0) ||
		    (start && strcmp(token_key(req, o->key), start) <= 0))
			continue;
		if (limit && p->n == limit) {
			p->remaining++;
			continue;
		}
		last = o->key;
		if (t_req_selects(req, v))
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
		      t_kinds[kind].kind, p->rv);
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
			   const struct t_options *o)
{
	sv_autofree char *start = NULL, *wrong = NULL, *message = NULL;
	struct page p = { .rv = w->rv };
	int64_t rv = -1;

	wrong = read_token(o->cont, &rv, &start);
	if (wrong) {
		message = t_api_printf("invalid continue token: %s", wrong);
		t_status_refuse(req, 400, "BadRequest", message, NULL);
		return;
	}
	if (o->has_rv && o->rv != 0) {
		t_status_refuse(req, 400, "BadRequest",
				"specifying resource version is not allowed when using continue",
				NULL);
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
		t_status_refuse(req, 500, NULL,
				"etcdserver: mvcc: required revision is a future revision", NULL);
		return;
	}
	read_page(w, req, kind, &p, start, o->limit);
	reply_page(req, kind, &p);
}

/* From the watch cache: what it has, at its own version, in no order (so: backwards). */
static void list_cached(struct t_world *w, struct t_api_req *req, int kind,
			const struct t_options *o)
{
	const struct sv_strmap *m = &w->objects[kind];
	struct page p = { .rv = w->cached_rv[kind] };

	if (o->rv > p.rv) {
		t_status_reply(req, 504, t_status_too_large(o->rv, p.rv, true));
		return;
	}
	for (size_t i = m->n; i-- > 0;) {
		const struct version *v = t_version_now(m->entries[i].value);

		if (t_req_selects(req, v))
			add_item(&p, v, t_fault_object_size(req));
	}
	reply_page(req, kind, &p);
}

static void list_stored(struct t_world *w, struct t_api_req *req, int kind,
			const struct t_options *o)
{
	bool single = req->ns && req->name;
	bool exact = strcmp(o->match, "Exact") == 0;
	bool at_least = strcmp(o->match, "NotOlderThan") == 0 || (!exact && single);
	struct page p = { .at = w->rv, .rv = w->rv };

	if (o->has_rv && o->rv != 0 && at_least && o->rv > w->rv) {
		t_status_reply(req, 504, t_status_too_large(o->rv, w->rv, false));
		return;
	}
	if (o->has_rv && o->rv != 0 && !at_least) {
		if (o->rv > w->rv) {
			t_status_refuse(req, 500, NULL,
					"etcdserver: mvcc: required revision is a future revision",
					NULL);
			return;
		}
		if (o->rv < w->compacted && single) {
			t_status_refuse(req, 500, NULL,
					"etcdserver: mvcc: required revision has been compacted",
					NULL);
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
	struct t_options o;

	if (!t_req_options(req, &o))
		return;
	if (*o.cont)
		list_continued(w, req, kind, &o);
	else if (t_kinds[kind].cached && o.has_rv && strcmp(o.match, "Exact") != 0 &&
		 (o.rv == 0 || o.limit == 0))
		list_cached(w, req, kind, &o);
	else
		list_stored(w, req, kind, &o);
}

static void reply_object(struct t_api_req *req, int status, int kind, const struct version *v)
{
	sv_autobuf struct sv_buf b = { 0 };

	t_version_add_object(&b, kind, v, v->rv, t_fault_object_size(req));
	sv_buf_puts(&b, "\n");
	if (b.failed)
		t_api_die("out of memory");
	t_fault_reply(req, status, NULL, b.ptr, b.len);
}

static void answer_get(struct t_world *w, struct t_api_req *req, int kind)
{
	const struct version *v = t_world_find(w, kind, req->ns, req->name);
	struct t_options o;

	if (!t_req_options(req, &o))
		return;
	if (o.rv > w->cached_rv[kind])
		t_status_reply(req, 504, t_status_too_large(o.rv, w->cached_rv[kind], true));
	else if (!v)
		t_status_reply(req, 404, t_status_not_found(req));
	else
		reply_object(req, 200, kind, v);
}

/* ---- events -------------------------------------------------------------------------------- */

static void answer_create(struct t_world *w, struct t_api_req *req, int kind)
{
	const char *type = t_api_header(req, "content-type"), *name, *ns;
	struct json_object *obj, *meta;
	sv_autofree char *message = NULL;

	if (type && !strstr(type, "application/json")) { /* absent: JSON */
		t_status_refuse(
			req, 415, "UnsupportedMediaType",
			"the body of the request was in an unknown format - accepted media types "
			"include: application/json, application/yaml, "
			"application/vnd.kubernetes.protobuf",
			NULL);
		return;
	}
	obj = json_tokener_parse(req->body);
	meta = t_tree_member(obj, "metadata");
	name = t_tree_string(meta, "name");
	ns = t_tree_string(meta, "namespace");
	if (!json_object_is_type(obj, json_type_object)) {
		t_status_refuse(
			req, 400, "BadRequest",
			"the object provided is unrecognized (must be of type Event): couldn't get "
			"version/kind; json parse error",
			NULL);
	} else if (!name || !*name) {
		t_status_refuse(
			req, 422, "Invalid",
			"Event \"\" is invalid: metadata.name: Required value: name or generateName "
			"is required",
			"{\"kind\":\"Event\",\"causes\":[{\"reason\":\"FieldValueRequired\","
			"\"message\":\"Required value: name or generateName is required\","
			"\"field\":\"metadata.name\"}]}");
	} else if (ns && strcmp(ns, req->ns) != 0) {
		t_status_refuse(
			req, 400, "BadRequest",
			"the namespace of the provided object does not match the namespace sent on "
			"the request",
			NULL);
	} else if (t_world_find(w, kind, req->ns, name)) {
		sv_autofree char *details =
			t_api_printf("{\"name\":\"%s\",\"kind\":\"%s\"}", name, req->kind);

		message = t_api_printf("%s \"%s\" already exists", req->kind, name);
		t_status_refuse(req, 409, "AlreadyExists", message, details);
	} else {
		t_tree_set_string(meta, "namespace", req->ns);
		req->name = t_api_strdup(name);
		(void)t_world_put(w, kind, obj);
		reply_object(req, 201, kind, t_world_find(w, kind, req->ns, req->name));
	}
	json_object_put(obj);
}

static void answer_patch(struct t_world *w, struct t_api_req *req, int kind)
{
	const char *type = t_api_header(req, "content-type");
	const struct version *v = t_world_find(w, kind, req->ns, req->name);
	struct json_object *patch;

	if (!type ||
	    (!strstr(type, "/merge-patch+json") && !strstr(type, "/strategic-merge-patch+json"))) {
		t_status_refuse(req, 415, "UnsupportedMediaType", "415: Unsupported Media Type",
				"{}");
		return;
	}
	if (!v) {
		t_status_reply(req, 404, t_status_not_found(req));
		return;
	}
	patch = json_tokener_parse(req->body);
	if (!json_object_is_type(patch, json_type_object)) {
		t_status_refuse(req, 400, "BadRequest", "error decoding patch", NULL);
	} else {
		(void)t_world_edit(w, kind, v, patch);
		reply_object(req, 200, kind, t_world_find(w, kind, req->ns, req->name));
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
		{ "get", answer_get, false },       { "list", answer_list, false },
		{ "watch", t_watch_answer, false }, { "create", answer_create, true },
		{ "patch", answer_patch, true },
	};
	struct t_world *w = req->api->world;
	int kind = t_kind_find(req->kind);

	if (t_access_refuse(w, req))
		return;
	if (strcmp(req->kind, "version") == 0) {
		answer_version(req);
		return;
	}
	if (kind < 0) {
		t_status_refuse(req, 404, "NotFound",
				"the server could not find the requested resource", "{}");
		return;
	}
	for (size_t i = 0; i < SV_ARRAY_SIZE(answers); i++) {
		if (strcmp(answers[i].verb, req->verb) == 0 &&
		    (kind == T_EVENTS || !answers[i].events_only)) {
			answers[i].answer(w, req, kind);
			return;
		}
	}
	t_status_refuse(req, 405, "MethodNotAllowed",
			"the server does not allow this method on the requested resource", "{}");
}
