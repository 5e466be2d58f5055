/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apiserver - the scripted API server of tests/support as a program of its own
 *
 * For tests and figures that run the whole daemon. Prints one line of JSON with the addresses,
 * {"url":…,"control":…}, and serves until SIGTERM or SIGINT, or until its standard input, if that is a
 * pipe, is closed.
 *
 * The control interface has a port of its own: it is there while the server is down, and its
 * requests are neither logged nor counted.
 *
 *   POST /_control/NAME   one of the commands below, with a JSON object of its arguments
 *   POST /_control/batch  an array of such objects, each with "do": NAME; all or an error at the first
 *   GET  /_control/state  counts, and the version
 *   GET  /_control/requests[?verb=&kind=&name=&after=SERIAL]  the log
 *   GET  /_control/object?kind=&key=                          an object, or 404
 *
 * The commands are the functions of tests/support/apiserver.h without their t_api_, and take what
 * those take; "how": "rst" is T_API_RST. Beside them: bookmarks {"every_ms"} sends bookmarks to all
 * watches by a timer (0: no more). Answers: 200 with {"version": N}, or 400 with {"error": TEXT}.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/text.h"
#include "../support/apiserver.h"

#define PREFIX "/_control/"

struct fake {
	uv_loop_t loop;
	struct t_api *api, *control;
	uv_timer_t bookmarks;
	uv_signal_t signals[2];
	uv_pipe_t input;
	bool stopping;
};

/* ---- arguments ----------------------------------------------------------------------------- */

static struct json_object *arg(struct json_object *args, const char *name)
{
	struct json_object *value = NULL;

	(void)json_object_object_get_ex(args, name, &value);
	return value;
}

static const char *text_arg(struct json_object *args, const char *name)
{
	struct json_object *value = arg(args, name);

	return value ? json_object_get_string(value) : NULL;
}

static uint64_t number_arg(struct json_object *args, const char *name)
{
	return (uint64_t)json_object_get_int64(arg(args, name));
}

static bool flag_arg(struct json_object *args, const char *name)
{
	return json_object_get_boolean(arg(args, name));
}

static enum t_api_cut how_arg(struct json_object *args)
{
	const char *how = text_arg(args, "how");

	return how && strcmp(how, "rst") == 0 ? T_API_RST : T_API_FIN;
}

/* ---- commands: NULL if done, or what is wrong ---------------------------------------------- */

static const char *do_put(struct fake *f, struct json_object *args)
{
	const char *kind = text_arg(args, "kind");

	if (!kind || (strcmp(kind, "Pod") != 0 && strcmp(kind, "Secret") != 0) ||
	    !text_arg(arg(args, "metadata"), "name"))
		return "put wants a Pod or a Secret with a name";
	json_object_object_del(args, "do");
	(void)t_api_put(f->api, json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN));
	return NULL;
}

static const char *do_put_secret(struct fake *f, struct json_object *args)
{
	(void)t_api_put_secret(f->api, text_arg(args, "key"), text_arg(args, "keys"));
	return NULL;
}

static const char *do_put_big_secret(struct fake *f, struct json_object *args)
{
	(void)t_api_put_big_secret(f->api, text_arg(args, "key"), number_arg(args, "bytes"));
	return NULL;
}

static const char *do_put_pod(struct fake *f, struct json_object *args)
{
	(void)t_api_put_pod(f->api, text_arg(args, "key"), text_arg(args, "node"),
			    text_arg(args, "volumes"));
	return NULL;
}

static bool known_kind(const char *kind)
{
	return strcmp(kind, "pods") == 0 || strcmp(kind, "secrets") == 0 ||
	       strcmp(kind, "events") == 0;
}

static bool exists(struct fake *f, const char *kind, const char *key)
{
	sv_autofree char *object = known_kind(kind) ? t_api_get(f->api, kind, key) : NULL;

	return object != NULL;
}

static const char *do_edit(struct fake *f, struct json_object *args)
{
	struct json_object *patch = arg(args, "patch");

	if (!json_object_is_type(patch, json_type_object))
		return "patch is not an object";
	if (!exists(f, text_arg(args, "kind"), text_arg(args, "key")))
		return "there is no such object";
	(void)t_api_edit(f->api, text_arg(args, "kind"), text_arg(args, "key"),
			 json_object_to_json_string_ext(patch, JSON_C_TO_STRING_PLAIN));
	return NULL;
}

static const char *do_terminate(struct fake *f, struct json_object *args)
{
	if (!exists(f, "pods", text_arg(args, "key")))
		return "there is no such object";
	(void)t_api_terminate(f->api, text_arg(args, "key"));
	return NULL;
}

static const char *do_delete(struct fake *f, struct json_object *args)
{
	if (!exists(f, text_arg(args, "kind"), text_arg(args, "key")))
		return "there is no such object";
	(void)t_api_delete(f->api, text_arg(args, "kind"), text_arg(args, "key"));
	return NULL;
}

static const char *do_set_version(struct fake *f, struct json_object *args)
{
	if (number_arg(args, "version") < t_api_version(f->api))
		return "the version is higher already";
	t_api_set_version(f->api, number_arg(args, "version"));
	return NULL;
}

static const char *do_compact(struct fake *f, struct json_object *args)
{
	if (number_arg(args, "version") > t_api_version(f->api))
		return "that version is not reached yet";
	t_api_compact(f->api, number_arg(args, "version"));
	return NULL;
}

static const char *do_restore(struct fake *f, struct json_object *args)
{
	uint64_t version = number_arg(args, "version");

	if (version > t_api_version(f->api) || version < t_api_compacted(f->api))
		return "history does not have that version";
	t_api_restore(f->api, version);
	return NULL;
}

static const char *do_authorize_node(struct fake *f, struct json_object *args)
{
	t_api_authorize_node(f->api, text_arg(args, "node"), (unsigned)number_arg(args, "denials"));
	return NULL;
}

static const char *do_require_token(struct fake *f, struct json_object *args)
{
	t_api_require_token(f->api, text_arg(args, "token"));
	return NULL;
}

static const char *do_bookmark(struct fake *f, struct json_object *args)
{
	if (!known_kind(text_arg(args, "kind")))
		return "no such kind";
	(void)t_api_bookmark(f->api, text_arg(args, "kind"), text_arg(args, "key"),
			     number_arg(args, "version"));
	return NULL;
}

static void on_bookmarks(uv_timer_t *timer)
{
	struct fake *f = timer->data;

	(void)t_api_bookmark(f->api, "pods", NULL, 0);
	(void)t_api_bookmark(f->api, "secrets", NULL, 0);
}

static const char *do_bookmarks(struct fake *f, struct json_object *args)
{
	uint64_t every_ms = number_arg(args, "every_ms");

	(void)uv_timer_stop(&f->bookmarks);
	if (every_ms)
		(void)uv_timer_start(&f->bookmarks, on_bookmarks, every_ms, every_ms);
	return NULL;
}

static const char *do_watch_send(struct fake *f, struct json_object *args)
{
	if (!known_kind(text_arg(args, "kind")))
		return "no such kind";
	t_api_watch_send(f->api, text_arg(args, "kind"), text_arg(args, "key"),
			 text_arg(args, "text"));
	return NULL;
}

static const char *do_watch_event(struct fake *f, struct json_object *args)
{
	if (!known_kind(text_arg(args, "kind")))
		return "no such kind";
	t_api_watch_event(
		f->api, text_arg(args, "kind"), text_arg(args, "key"), text_arg(args, "type"),
		json_object_to_json_string_ext(arg(args, "object"), JSON_C_TO_STRING_PLAIN));
	return NULL;
}

static const char *do_watch_error(struct fake *f, struct json_object *args)
{
	if (!known_kind(text_arg(args, "kind")))
		return "no such kind";
	t_api_watch_error(f->api, text_arg(args, "kind"), text_arg(args, "key"),
			  (int)number_arg(args, "code"));
	return NULL;
}

static const char *do_watch_end(struct fake *f, struct json_object *args)
{
	if (!known_kind(text_arg(args, "kind")))
		return "no such kind";
	t_api_watch_end(f->api, text_arg(args, "kind"), text_arg(args, "key"));
	return NULL;
}

static const char *do_watch_cut(struct fake *f, struct json_object *args)
{
	if (!known_kind(text_arg(args, "kind")))
		return "no such kind";
	t_api_watch_cut(f->api, text_arg(args, "kind"), text_arg(args, "key"), how_arg(args));
	return NULL;
}

static const char *do_fault(struct fake *f, struct json_object *args)
{
	struct t_api_fault fault = {
		.verb = text_arg(args, "verb"),
		.kind = text_arg(args, "kind"),
		.name = text_arg(args, "name"),
		.skip = (unsigned)number_arg(args, "skip"),
		.times = (unsigned)number_arg(args, "times"),
		.forever = flag_arg(args, "forever"),
		.how = how_arg(args),
		.status = (int)number_arg(args, "status"),
		.retry_after_s = (unsigned)number_arg(args, "retry_after_s"),
		.bytes = number_arg(args, "bytes"),
		.every_ms = number_arg(args, "every_ms"),
		.body = text_arg(args, "body"),
		.headers = text_arg(args, "headers"),
	};

	if (!t_api_what(text_arg(args, "what"), &fault.what))
		return "there is no such fault";
	if (fault.what == T_API_STATUS && (fault.status < 200 || fault.status > 599))
		return "a status from 200 to 599 is wanted";
	t_api_fault(f->api, &fault);
	return NULL;
}

static const char *do_clear_faults(struct fake *f, struct json_object *args)
{
	(void)args;
	t_api_clear_faults(f->api);
	return NULL;
}

static const char *do_clear_log(struct fake *f, struct json_object *args)
{
	(void)args;
	t_api_clear_log(f->api);
	return NULL;
}

static const char *do_down(struct fake *f, struct json_object *args)
{
	(void)args;
	t_api_down(f->api);
	return NULL;
}

static const char *do_up(struct fake *f, struct json_object *args)
{
	(void)args;
	t_api_up(f->api);
	return NULL;
}

static const char *do_deaf(struct fake *f, struct json_object *args)
{
	t_api_deaf(f->api, flag_arg(args, "deaf"));
	return NULL;
}

static const char *do_cut_all(struct fake *f, struct json_object *args)
{
	t_api_cut_all(f->api, how_arg(args));
	return NULL;
}

static const struct {
	const char *name;
	const char *(*run)(struct fake *f, struct json_object *args);
	const char *needs[3]; /* members that must be there; NULL ends them */
} commands[] = {
	{ "put", do_put, { "metadata" } },
	{ "put_secret", do_put_secret, { "key", "keys" } },
	{ "put_big_secret", do_put_big_secret, { "key", "bytes" } },
	{ "put_pod", do_put_pod, { "key", "volumes" } },
	{ "edit", do_edit, { "kind", "key", "patch" } },
	{ "terminate", do_terminate, { "key" } },
	{ "delete", do_delete, { "kind", "key" } },
	{ "set_version", do_set_version, { "version" } },
	{ "compact", do_compact, { NULL } },
	{ "restore", do_restore, { "version" } },
	{ "authorize_node", do_authorize_node, { NULL } },
	{ "require_token", do_require_token, { NULL } },
	{ "bookmark", do_bookmark, { "kind" } },
	{ "bookmarks", do_bookmarks, { "every_ms" } },
	{ "watch_send", do_watch_send, { "kind", "text" } },
	{ "watch_event", do_watch_event, { "kind", "type", "object" } },
	{ "watch_error", do_watch_error, { "kind", "code" } },
	{ "watch_end", do_watch_end, { "kind" } },
	{ "watch_cut", do_watch_cut, { "kind" } },
	{ "fault", do_fault, { "what" } },
	{ "clear_faults", do_clear_faults, { NULL } },
	{ "clear_log", do_clear_log, { NULL } },
	{ "down", do_down, { NULL } },
	{ "up", do_up, { NULL } },
	{ "deaf", do_deaf, { "deaf" } },
	{ "cut_all", do_cut_all, { NULL } },
};

static const char *run(struct fake *f, const char *name, struct json_object *args)
{
	if (!name || !json_object_is_type(args, json_type_object))
		return "a command and a JSON object are wanted";
	for (size_t i = 0; i < SV_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		for (size_t n = 0; n < SV_ARRAY_SIZE(commands[i].needs); n++)
			if (commands[i].needs[n] && !arg(args, commands[i].needs[n]))
				return "a member is missing";
		return commands[i].run(f, args);
	}
	return "there is no such command";
}

static const char *run_batch(struct fake *f, struct json_object *batch)
{
	if (!json_object_is_type(batch, json_type_array))
		return "a JSON array is wanted";
	for (size_t i = 0; i < json_object_array_length(batch); i++) {
		struct json_object *args = json_object_array_get_idx(batch, i);
		const char *name =
			json_object_is_type(args, json_type_object) ? text_arg(args, "do") : NULL;
		const char *wrong = run(f, name, args);

		if (wrong)
			return wrong;
	}
	return NULL;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void reply(struct t_api_req *req, int status, struct json_object *tree)
{
	const char *text = json_object_to_json_string_ext(
		tree, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	t_api_reply(req, status, NULL, text, strlen(text));
	json_object_put(tree);
}

static void add_number(struct json_object *tree, const char *name, uint64_t n)
{
	if (json_object_object_add(tree, name, json_object_new_uint64(n)) != 0)
		errx(1, "out of memory");
}

static void add_text(struct json_object *tree, const char *name, const char *text)
{
	if (json_object_object_add(tree, name, text ? json_object_new_string(text) : NULL) != 0)
		errx(1, "out of memory");
}

static struct json_object *state_of(const struct fake *f)
{
	static const char *const kinds[] = { "pods", "secrets", "events" };
	struct json_object *tree = json_object_new_object();

	add_number(tree, "version", t_api_version(f->api));
	add_number(tree, "compacted", t_api_compacted(f->api));
	add_number(tree, "connections", t_api_n_connections(f->api));
	add_number(tree, "accepted", t_api_n_accepted(f->api));
	add_number(tree, "watches", t_api_n_watches(f->api));
	add_number(tree, "requests", t_api_n_requests(f->api));
	add_number(tree, "bad_requests", t_api_n_bad_requests(f->api));
	add_number(tree, "faults", t_api_n_faults(f->api));
	for (size_t i = 0; i < SV_ARRAY_SIZE(kinds); i++)
		add_number(tree, kinds[i], t_api_n_objects(f->api, kinds[i]));
	return tree;
}

static struct json_object *pairs(const struct t_api_pair *p, size_t n)
{
	struct json_object *tree = json_object_new_object();

	for (size_t i = 0; i < n; i++)
		add_text(tree, p[i].name, p[i].value);
	return tree;
}

static struct json_object *request_of(const struct t_api_req *req)
{
	struct json_object *tree = json_object_new_object();

	add_number(tree, "serial", req->serial);
	add_number(tree, "connection", req->connection);
	add_number(tree, "at_ns", req->at_ns);
	add_text(tree, "method", req->method);
	add_text(tree, "target", req->target);
	add_text(tree, "path", req->path);
	add_text(tree, "verb", req->verb);
	add_text(tree, "kind", req->kind);
	add_text(tree, "ns", req->ns);
	add_text(tree, "name", req->name);
	add_text(tree, "node", req->node);
	add_text(tree, "body", req->body);
	add_number(tree, "status", (uint64_t)req->status);
	json_object_object_add(tree, "ended", json_object_new_boolean(req->ended));
	json_object_object_add(tree, "query", pairs(req->query, req->n_query));
	json_object_object_add(tree, "headers", pairs(req->headers, req->n_headers));
	return tree;
}

static bool is(const char *want, const char *have)
{
	return !want || (have && strcmp(want, have) == 0);
}

static struct json_object *requests_of(const struct fake *f, const struct t_api_req *asks)
{
	const char *after = t_api_query(asks, "after");
	uint64_t serial = after ? strtoull(after, NULL, 10) : 0;
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < t_api_n_requests(f->api); i++) {
		const struct t_api_req *req = t_api_request(f->api, i);

		if (req->serial > serial && is(t_api_query(asks, "verb"), req->verb) &&
		    is(t_api_query(asks, "kind"), req->kind) &&
		    is(t_api_query(asks, "name"), req->name))
			json_object_array_add(list, request_of(req));
	}
	return list;
}

static void reply_object(struct fake *f, struct t_api_req *req)
{
	const char *kind = t_api_query(req, "kind"), *key = t_api_query(req, "key");
	sv_autofree char *text =
		kind && key && known_kind(kind) ? t_api_get(f->api, kind, key) : NULL;

	t_api_reply(req, text ? 200 : 404, NULL, text ? text : "{}", text ? strlen(text) : 2);
}

static void reply_command(struct fake *f, struct t_api_req *req)
{
	const char *name = req->path + strlen(PREFIX), *wrong;
	struct json_object *args = json_tokener_parse(req->body_len ? req->body : "{}");
	struct json_object *tree = json_object_new_object();

	wrong = strcmp(name, "batch") == 0 ? run_batch(f, args) : run(f, name, args);
	if (wrong)
		add_text(tree, "error", wrong);
	else
		add_number(tree, "version", t_api_version(f->api));
	json_object_put(args);
	reply(req, wrong ? 400 : 200, tree);
}

static bool on_control(void *arg_, struct t_api_req *req)
{
	struct fake *f = arg_;
	const char *name =
		strncmp(req->path, PREFIX, strlen(PREFIX)) == 0 ? req->path + strlen(PREFIX) : "";

	if (strcmp(req->method, "POST") == 0 && *name)
		reply_command(f, req);
	else if (strcmp(name, "state") == 0)
		reply(req, 200, state_of(f));
	else if (strcmp(name, "requests") == 0)
		reply(req, 200, requests_of(f, req));
	else if (strcmp(name, "object") == 0)
		reply_object(f, req);
	else
		t_api_reply(req, 404, NULL, "{}", 2);
	t_api_clear_log(f->control); /* a bench polls it for minutes */
	return true;
}

/* ---- the program --------------------------------------------------------------------------- */

static void stop(struct fake *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	for (size_t i = 0; i < SV_ARRAY_SIZE(f->signals); i++)
		uv_close((uv_handle_t *)&f->signals[i], NULL);
	uv_close((uv_handle_t *)&f->bookmarks, NULL);
	uv_close((uv_handle_t *)&f->input, NULL);
	t_api_stop(f->api);
	t_api_stop(f->control);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	(void)signum;
	stop(handle->data);
}

static void on_input_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char room[64];

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(room, sizeof(room));
}

/* Whoever tests with us holds the other end: when it is killed, nothing of it stays behind. */
static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0)
		stop(stream->data);
}

static void start(struct fake *f)
{
	static const int signums[] = { SIGTERM, SIGINT };

	if (uv_loop_init(&f->loop) != 0)
		errx(1, "uv_loop_init");
	(void)uv_timer_init(&f->loop, &f->bookmarks);
	f->bookmarks.data = f;
	for (size_t i = 0; i < SV_ARRAY_SIZE(f->signals); i++) {
		(void)uv_signal_init(&f->loop, &f->signals[i]);
		f->signals[i].data = f;
		(void)uv_signal_start(&f->signals[i], on_signal, signums[i]);
	}
	(void)uv_pipe_init(&f->loop, &f->input, 0);
	f->input.data = f;
	if (uv_guess_handle(0) == UV_NAMED_PIPE && uv_pipe_open(&f->input, 0) == 0)
		(void)uv_read_start((uv_stream_t *)&f->input, on_input_alloc, on_input);
	f->api = t_api_new(&f->loop);
	f->control = t_api_new(&f->loop);
	t_api_handle(f->control, on_control, f);
}

int main(void)
{
	struct fake f = { 0 };

	start(&f);
	printf("{\"url\":\"%s\",\"control\":\"%s\"}\n", t_api_url(f.api), t_api_url(f.control));
	if (fflush(stdout) != 0)
		err(1, "stdout");
	(void)uv_run(&f.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&f.loop) == 0 ? 0 : 1;
}
