/* SPDX-License-Identifier: Apache-2.0 */
#include "kube_watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "../manager.h"

#define LIST_LIMIT_MS 120000 /* for a whole page */
/* The server ends a watch when it was asked to, or it is stuck. */
#define WATCH_LIMIT_MS ((2 * SV_WATCH_TIMEOUT_S + 30) * 1000)

/* What an object handler returns to have the answer end. */
enum { STOP = 100 };

static void on_timer(uv_timer_t *timer)
{
	struct sv_kube_watch *w = timer->data;

	sv_kube_server_enqueue(w->server, &w->turn);
}

static void go(struct sv_kube_turn *turn);

void sv_kube_watch_init(struct sv_kube_watch *w, struct sv_kube_server *server,
			const struct sv_kube_watch_ops *ops, void *arg,
			struct sv_kube_horizon *horizon, char *path, enum sv_list_from first)
{
	*w = (struct sv_kube_watch){
		.ops = ops, .arg = arg, .server = server, .horizon = horizon, .path = path
	};
	w->turn.go = go;
	sv_reflector_init(&w->reflector, first);
	w->timer.data = w;
	uv_timer_init(server->loop, &w->timer);
}

void sv_kube_watch_start(struct sv_kube_watch *w, int64_t delay_ms)
{
	if (w->path && !w->request && !w->turn.queued)
		uv_timer_start(&w->timer, on_timer, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0);
}

/* ---- what is too old ---- */

void sv_kube_horizon_done(struct sv_kube_horizon *h)
{
	free(h->expired);
	h->expired = NULL;
}

/* The watch was told that its version is too old: so are others. */
static void raise_horizon(struct sv_kube_horizon *h, const char *version)
{
	char *copy;

	if (!version || (h->expired && sv_wire_compare(version, h->expired) <= 0))
		return;
	copy = strdup(version);
	if (!copy)
		return; /* others find out themselves */
	free(h->expired);
	h->expired = copy;
}

/* ---- answers ------------------------------------------------------------------------------- */

static int take_item(struct sv_kube_watch *w, const char *text, size_t len)
{
	sv_autowire struct sv_wire_event e = { 0 };
	struct sv_err err = { "" };
	int r = sv_wire_item(text, len, &e, &err);

	return r ? r : w->ops->event(w, &e);
}

static int take_event(struct sv_kube_watch *w, const char *text, size_t len)
{
	sv_autowire struct sv_wire_event e = { 0 };
	struct sv_err err = { "" };
	int r = sv_wire_event(text, len, &e, &err);

	if (r)
		return r;
	if (e.type == SV_WIRE_ERROR) {
		w->status = e.status;
		return STOP;
	}
	r = sv_reflector_event(&w->reflector, &e);
	if (r == SV_EVENT_TAKE)
		return w->ops->event(w, &e);
	return r < 0 ? r : w->reflector.reordered ? STOP : 0;
}

static int on_object(void *arg, const char *text, size_t len)
{
	struct sv_kube_watch *w = arg;

	return w->listing ? take_item(w, text, len) : take_event(w, text, len);
}

/* Of an object that was too large to be read: its name is all that matters. */
static int take_deletion(struct sv_kube_watch *w, char *name)
{
	char *slash = strchr(name, '/');
	const struct sv_wire_event e = { .type = SV_WIRE_DELETED,
					 .ns = slash ? name : "",
					 .name = slash ? slash + 1 : name,
					 .version = "" };

	if (slash)
		*slash = '\0';
	return w->ops->event(w, &e);
}

static void on_too_large(void *arg, const char *head, size_t len)
{
	struct sv_kube_watch *w = arg;
	char name[SV_ERR_MAX];

	sv_wire_name(head, len, name, sizeof(name));
	if (w->listing || !*name || !sv_wire_deletes(head, len))
		w->ops->too_large(w, name);
	else if (take_deletion(w, name) < 0)
		sv_log_err("%s: out of memory", w->server->name);
}

static const struct sv_stream_sink sink = { on_object, on_too_large };

static void note_answered(struct sv_kube_watch *w)
{
	if (!w->unanswered)
		return;
	w->unanswered = false;
	sv_kube_server_answered(w->server);
}

static void on_head(void *arg, int code)
{
	struct sv_kube_watch *w = arg;

	w->code = code;
	w->began_ms = sv_monotonic_ms();
	note_answered(w);
}

static int on_data(void *arg, const char *ptr, size_t len)
{
	struct sv_kube_watch *w = arg;

	if (w->code == 200)
		return sv_stream_feed(&w->stream, ptr, len);
	if (w->body.len + len <= SV_KUBE_STATUS_MAX)
		sv_buf_add(&w->body, ptr, len);
	return 0;
}

/* The page is whole. Return: 0, or what is wrong with it. */
static int take_list(struct sv_kube_watch *w, struct sv_err *err)
{
	sv_autofree char *version = NULL, *token = NULL;
	const char *rest;
	size_t len;
	int r = sv_stream_end(&w->stream, &rest, &len);

	if (r)
		return sv_err_set(err, r, "the list is no whole list");
	r = sv_wire_list(rest, len, &version, &token, err);
	if (r)
		return r;
	r = sv_reflector_listed(&w->reflector, version, token);
	if (r < 0)
		return sv_err_set(err, r, "cannot read a list");
	if (r > 0)
		w->synced_ms = sv_unix_ms();
	if (w->horizon && w->reflector.rewound)
		sv_kube_horizon_done(w->horizon);
	if (r == 0 || w->ops->listed(w))
		sv_kube_watch_start(w, 0);
	return 0;
}

static void fail(struct sv_kube_watch *w, const struct sv_wire_status *status, const char *text)
{
	int64_t lasted = w->listing || w->code != 200 ? 0 : sv_monotonic_ms() - w->began_ms;
	int64_t delay;

	if (w->horizon && !w->listing && sv_reflector_is_expired(status))
		raise_horizon(w->horizon, w->reflector.version);
	delay = sv_reflector_failed(&w->reflector, status, lasted, sv_kube_random());
	sv_kube_watch_start(w, delay);
	w->ops->failed(w, status, text);
}

/* An answer that is no success, or none at all. */
static void take_refusal(struct sv_kube_watch *w, const struct sv_http_end *end)
{
	struct sv_wire_status status = { 0 };
	sv_autofree char *text = NULL;

	if (end->whole)
		sv_wire_status(w->body.ptr, w->body.len, w->code, &status);
	if (end->retry_after_ms > status.retry_after_ms)
		status.retry_after_ms = end->retry_after_ms;
	if (status.code >= 300 && status.code < 400)
		text = sv_asprintf("the server answers %d: redirects are not followed, since "
				   "credentials are for this server only",
				   status.code);
	else if (status.code)
		text = sv_asprintf("the server answers %d%s%s", status.code,
				   *status.message ? ": " : "", status.message);
	fail(w, &status, text ? text : end->text);
}

/* A list or watch that began well. */
static void take_end(struct sv_kube_watch *w, const struct sv_http_end *end)
{
	struct sv_wire_status status = w->status;
	struct sv_err err = { "" };

	if (end->refused == SV_KUBE_WATCH_ENOUGH)
		return;
	if (end->refused == STOP && status.code) {
		fail(w, &status, status.message);
	} else if (end->refused == STOP) {
		fail(w, &status, "events came out of order");
	} else if (end->refused) {
		fail(w, &status,
		     end->refused == -ENOMEM ? "out of memory" :
					       "the server sent what is no answer");
		if (end->refused == -ENOMEM && !w->reflector.listing)
			sv_reflector_restart(&w->reflector, SV_LIST_SEEN); /* an event was lost */
	} else if (!end->whole) {
		fail(w, &status, end->text);
	} else if (w->listing) {
		if (take_list(w, &err))
			fail(w, &status, err.msg);
	} else if (sv_stream_end(&w->stream, NULL, NULL)) {
		fail(w, &status, "the watch was cut within an event");
	} else {
		sv_kube_watch_start(w, sv_reflector_ended(&w->reflector,
							  sv_monotonic_ms() - w->began_ms,
							  sv_kube_random()));
	}
}

static void on_done(void *arg, const struct sv_http_end *end)
{
	struct sv_kube_watch *w = arg;

	w->request = NULL;
	note_answered(w);
	if (w->code == 200)
		take_end(w, end);
	else
		take_refusal(w, end);
	sv_stream_done(&w->stream);
	sv_buf_done(&w->body);
}

static void send_next(struct sv_kube_watch *w)
{
	struct sv_http_call call = { .verb = w->reflector.listing ? SV_HTTP_LIST : SV_HTTP_WATCH,
				     .limit_ms =
					     w->reflector.listing ? LIST_LIMIT_MS : WATCH_LIMIT_MS,
				     .head = on_head,
				     .data = on_data,
				     .done = on_done,
				     .arg = w };
	sv_autobuf struct sv_buf path = { 0 };

	sv_buf_puts(&path, w->path);
	sv_reflector_query(&w->reflector, sv_kube_random(), &path);
	call.path = path.ptr;
	w->listing = w->reflector.listing;
	w->code = 0;
	w->generation = sv_kube_server_generation(w->server);
	w->status = (struct sv_wire_status){ 0 };
	if (w->listing && !w->reflector.token)
		w->ops->begin(w);
	sv_stream_done(&w->stream);
	sv_stream_init(&w->stream, w->listing ? SV_STREAM_LIST : SV_STREAM_WATCH,
		       SV_KUBE_OBJECT_MAX, &sink, w);
	w->request = path.failed ? NULL : sv_http_start(w->server->http, &call);
	w->unanswered = true;
	if (!w->request) {
		note_answered(w);
		sv_log_err("%s: cannot send a request: out of memory", w->path);
		sv_kube_watch_start(w, 1000);
	}
}

static void go(struct sv_kube_turn *turn)
{
	static const struct sv_wire_status gone = { .code = 410 };
	struct sv_kube_watch *w =
		(struct sv_kube_watch *)((char *)turn - offsetof(struct sv_kube_watch, turn));

	uv_timer_stop(&w->timer);
	if (w->horizon && sv_reflector_is_behind(&w->reflector, w->horizon->expired))
		(void)sv_reflector_failed(&w->reflector, &gone, 0, 0); /* as if it had been told */
	send_next(w);
}

static void end_request(struct sv_kube_watch *w)
{
	uv_timer_stop(&w->timer);
	sv_kube_server_leave(w->server, &w->turn);
	if (!w->request)
		return;
	sv_http_cancel(w->server->http, SV_TAKE(w->request));
	note_answered(w);
	sv_stream_done(&w->stream);
	sv_buf_done(&w->body);
}

void sv_kube_watch_relist(struct sv_kube_watch *w, enum sv_list_from from)
{
	end_request(w);
	sv_reflector_restart(&w->reflector, from);
	sv_kube_watch_start(w, 0);
}

void sv_kube_watch_pause(struct sv_kube_watch *w)
{
	end_request(w);
}

static void on_closed(uv_handle_t *handle)
{
	struct sv_kube_watch *w = handle->data;

	if (w->closed)
		w->closed(w);
}

void sv_kube_watch_close(struct sv_kube_watch *w, void (*closed)(struct sv_kube_watch *w))
{
	end_request(w);
	sv_reflector_done(&w->reflector);
	free(w->path);
	w->path = NULL;
	w->closed = closed;
	uv_close((uv_handle_t *)&w->timer, on_closed);
}

bool sv_kube_watch_is_listing(const struct sv_kube_watch *w)
{
	return w->reflector.listing &&
	       (w->request || w->turn.queued || uv_is_active((const uv_handle_t *)&w->timer));
}

bool sv_kube_watch_is_live(const struct sv_kube_watch *w)
{
	return w->request && !w->listing && w->code == 200;
}

bool sv_kube_is_plain(const char *name)
{
	return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.")];
}
