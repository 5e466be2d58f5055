/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <json-c/json_tokener.h>
#include <limits.h>
#include <string.h>

#include "../../lib/secretvol.h"

#define TIMEOUT_MS 30000     /* of an ordinary request: the daemon's own limit is shorter */
#define ANSWER_MAX 536870912 /* bytes of an answer, or of one line of a watch */
#define DEPTH_MAX 32

static struct sv_client *client;
static char *last_error; /* of a watch, where the client itself saw nothing wrong */

static struct sv_client *get_client(void)
{
	if (!client && sv_client_new(sv_options.socket, &client) < 0)
		sv_no_memory();
	return client;
}

static void set_error(char *text)
{
	free(last_error);
	last_error = text;
}

void sv_api_done(void)
{
	sv_client_free(client);
	client = NULL;
	set_error(NULL);
}

const char *sv_api_error(void)
{
	return last_error ? last_error : sv_client_error(get_client());
}

static struct json_object *parse(const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *tree;

	if (!tok)
		sv_no_memory();
	tree = json_tokener_parse_ex(tok, text, (int)len);
	if (json_tokener_get_error(tok) != json_tokener_success) {
		json_object_put(tree);
		tree = NULL;
	}
	json_tokener_free(tok);
	return tree;
}

static int collect(void *arg, const char *data, size_t len)
{
	struct sv_buf *b = arg;

	if (b->len + len > ANSWER_MAX)
		return -1;
	sv_buf_add(b, data, len);
	return b->failed;
}

static enum sv_exit exit_of(int r)
{
	return r == SV_CLIENT_E_UNREACHABLE || r == SV_CLIENT_E_TIMEOUT || r == SV_CLIENT_E_CLOSED ?
		       SV_EXIT_UNREACHABLE :
		       SV_EXIT_FAILED;
}

static enum sv_exit exit_of_status(int r)
{
	int status = sv_client_status(client);

	if (r != SV_CLIENT_E_STATUS)
		return exit_of(r);
	return status == 404                  ? SV_EXIT_NOT_FOUND :
	       status == 409 || status == 503 ? SV_EXIT_NOT_PUBLISHED :
						SV_EXIT_FAILED;
}

static int ask(const char *path, const char *body, struct json_object **ret)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct json_object *tree;
	int r;

	set_error(NULL);
	r = sv_client_request(get_client(), path, body, TIMEOUT_MS, collect, &b);
	if (b.failed)
		sv_no_memory();
	if (r == SV_CLIENT_E_STOPPED)
		set_error(sv_text("the answer of secretvold at %s to %s is too long",
				  sv_client_socket(client), path));
	if (r)
		return body ? exit_of_status(r) : exit_of(r);
	tree = parse(b.ptr ? b.ptr : "", b.len);
	if (!json_object_is_type(tree, json_type_object)) {
		json_object_put(tree);
		set_error(sv_text("the answer of secretvold at %s to %s is not a JSON object",
				  sv_client_socket(client), path));
		return SV_EXIT_FAILED;
	}
	*ret = tree;
	return 0;
}

int sv_api_try(const char *path, struct json_object **ret)
{
	return ask(path, NULL, ret);
}

int sv_api_post(const char *path, const char *body, struct json_object **ret)
{
	int r = ask(path, body, ret);

	return r ? sv_fail((enum sv_exit)r, "%s", sv_api_error()) : 0;
}

int sv_api_get(const char *path, struct json_object **ret)
{
	int r = sv_api_try(path, ret);

	return r ? sv_fail((enum sv_exit)r, "%s", sv_api_error()) : 0;
}

bool sv_api_is_ready(void)
{
	sv_autotree struct json_object *status = NULL;

	return sv_api_try("/v1/status", &status) == 0 && sv_bool(status, "ready");
}

int sv_api_list(const char *path, struct json_object **ret, struct json_object **items)
{
	sv_autotree struct json_object *list = NULL;
	int r = sv_api_get(path, &list);

	if (r)
		return r;
	*items = sv_member(list, "items");
	if (!json_object_is_type(*items, json_type_array))
		return sv_fail(SV_EXIT_FAILED, "the answer of secretvold to %s is not a list",
			       path);
	*ret = SV_TAKE(list);
	return 0;
}

/* ---- watches ---------------------------------------------------------------------------- */

struct watch {
	sv_api_watch_fn fn;
	void *arg;
	struct sv_buf rest; /* an incomplete line */
	bool bad;
};

static int one_line(struct watch *w, const char *text, size_t len)
{
	sv_autotree struct json_object *line = NULL;
	struct json_object *object;

	if (len == 0) /* a sign of life */
		return 0;
	line = parse(text, len);
	object = sv_member(line, "object");
	if (!object || !*sv_str(line, "type")) {
		w->bad = true;
		return -1;
	}
	return w->fn(w->arg, sv_str(line, "type"), object, line);
}

static int on_data(void *arg, const char *data, size_t len)
{
	struct watch *w = arg;
	const char *end;
	int r;

	while ((end = memchr(data, '\n', len))) {
		size_t n = (size_t)(end - data);

		if (w->rest.len > 0) {
			sv_autobuf struct sv_buf whole = w->rest;

			w->rest = (struct sv_buf){ 0 };
			sv_buf_add(&whole, data, n);
			if (whole.failed)
				sv_no_memory();
			r = one_line(w, whole.ptr, whole.len);
		} else {
			r = one_line(w, data, n);
		}
		if (r)
			return r;
		data = end + 1;
		len -= n + 1;
	}
	if (w->rest.len + len > ANSWER_MAX) {
		w->bad = true;
		return -1;
	}
	sv_buf_add(&w->rest, data, len);
	if (w->rest.failed)
		sv_no_memory();
	return 0;
}

enum sv_watch_end sv_api_watch(const char *path, long timeout_ms, sv_api_watch_fn fn, void *arg)
{
	struct watch w = { .fn = fn, .arg = arg };
	struct sv_client *c = get_client();
	int r;

	set_error(NULL);
	r = sv_client_request(c, path, NULL, timeout_ms, on_data, &w);
	sv_buf_done(&w.rest);
	if (w.bad) {
		set_error(sv_text("cannot understand what secretvold at %s says",
				  sv_client_socket(c)));
		return SV_WATCH_FAILED;
	}
	switch (r) {
	case SV_CLIENT_E_STOPPED:
		return SV_WATCH_STOPPED;
	case SV_CLIENT_E_TIMEOUT:
		return SV_WATCH_TIMEOUT;
	case SV_CLIENT_E_UNREACHABLE:
		return SV_WATCH_UNREACHABLE;
	case SV_CLIENT_E_STATUS:
		return sv_client_status(c) == 503 || sv_client_status(c) == 429 ? SV_WATCH_BUSY :
										  SV_WATCH_FAILED;
	case SV_CLIENT_E_CLOSED: /* it is stopping */
		return SV_WATCH_ENDED;
	case SV_CLIENT_E_PROTOCOL: /* cut off in the middle: the text is there */
		return sv_client_status(c) == 200 ? SV_WATCH_ENDED : SV_WATCH_FAILED;
	case 0:
		set_error(sv_text("secretvold at %s ended the watch", sv_client_socket(c)));
		return SV_WATCH_ENDED;
	default:
		return SV_WATCH_FAILED;
	}
}

int sv_api_follow(const char *path, sv_api_watch_fn fn, void *arg)
{
	switch (sv_api_watch(path, 0, fn, arg)) {
	case SV_WATCH_STOPPED:
		return 0;
	case SV_WATCH_UNREACHABLE:
	case SV_WATCH_TIMEOUT:
	case SV_WATCH_ENDED:
		return sv_fail(SV_EXIT_UNREACHABLE, "%s", sv_api_error());
	default:
		return sv_fail(SV_EXIT_FAILED, "%s", sv_api_error());
	}
}

/* ---- trees ------------------------------------------------------------------------------ */

char *sv_api_quote(const char *text)
{
	struct sv_buf b = { 0 };
	char *p;

	for (; *text; text++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~",
			   *text))
			sv_buf_add(&b, text, 1);
		else
			sv_buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*text);
	p = sv_buf_take(&b);
	if (!p)
		sv_no_memory();
	return p;
}

struct json_object *sv_member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) ? v : NULL;
}

const char *sv_str(struct json_object *o, const char *key)
{
	struct json_object *v = sv_member(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

int64_t sv_int(struct json_object *o, const char *key)
{
	struct json_object *v = sv_member(o, key);

	return json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;
}

bool sv_bool(struct json_object *o, const char *key)
{
	struct json_object *v = sv_member(o, key);

	return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

size_t sv_count(struct json_object *o, const char *key)
{
	struct json_object *v = sv_member(o, key);

	return json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
}

struct json_object *sv_element(struct json_object *o, const char *key, size_t i)
{
	return json_object_array_get_idx(sv_member(o, key), i);
}
