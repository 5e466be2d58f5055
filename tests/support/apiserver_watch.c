/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: what they are told, and what a test makes them suffer. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver_world.h"

struct t_watch {
	uv_timer_t timer;
	struct t_api *api;
	struct t_watch *prev, *next;
	struct t_api_req *req; /* NULL: closing */
	int kind;
	uint64_t rv; /* changes after this one are its */
	bool bookmarks;
	struct t_fault_stream stream;
};

static void watch_line(struct t_watch *watch, const char *line, size_t len)
{
	t_fault_event(watch->req, &watch->stream, line, len);
}

static void watch_version(struct t_watch *watch, const char *type, const struct version *v,
			  uint64_t rv)
{
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_printf(&b, "{\"type\":\"%s\",\"object\":", type);
	t_version_add_object(&b, watch->kind, v, rv, t_fault_object_size(watch->req));
	sv_buf_puts(&b, "}\n");
	if (b.failed)
		t_api_die("out of memory");
	watch_line(watch, b.ptr, b.len);
}

static void watch_change(struct t_watch *watch, const struct change *c)
{
	const struct version *any = c->new ? c->new : c->old; /* a name never changes */
	bool was, is;

	if (watch->kind != c->kind || c->rv <= watch->rv ||
	    (watch->req->name && strcmp(watch->req->name, any->name) != 0))
		return;
	was = t_req_selects(watch->req, c->old);
	is = t_req_selects(watch->req, c->new);
	if (is)
		watch_version(watch, was ? "MODIFIED" : "ADDED", c->new, c->rv);
	else if (was)
		watch_version(watch, "DELETED", c->old, c->rv);
}

void t_world_tell(struct t_world *w, const struct change *change)
{
	struct change copy = *change; /* a fault may end the watch, and that call back */

	for (struct t_watch *watch = w->watches, *next; watch; watch = next) {
		next = watch->next;
		watch_change(watch, &copy);
	}
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct t_watch *watch = handle->data;
	struct t_api *api = watch->api;

	free(watch->stream.held);
	free(watch);
	t_api_closed(api);
}

void t_world_gone(struct t_api_req *req)
{
	struct t_watch *watch = SV_TAKE(req->watch);
	struct t_world *w = req->api->world;

	if (!watch)
		return;
	watch->req = NULL;
	if (watch->prev)
		watch->prev->next = watch->next;
	else
		w->watches = watch->next;
	if (watch->next)
		watch->next->prev = watch->prev;
	w->n_watches--;
	uv_close((uv_handle_t *)&watch->timer, on_watch_closed);
}

static void end_watch(struct t_watch *watch)
{
	t_fault_flush(watch->req, &watch->stream);
	if (watch->req)
		t_api_end(watch->req);
}

static void on_watch_timeout(uv_timer_t *timer)
{
	t_api_enter(true);
	end_watch(timer->data);
	t_api_enter(false);
}

static void watch_error(struct t_watch *watch, char *status)
{
	sv_autofree char *line = t_api_printf("{\"type\":\"ERROR\",\"object\":%.*s}\n",
					      (int)strcspn(status, "\n"), status);

	free(status);
	watch_line(watch, line, strlen(line));
	if (watch->req)
		end_watch(watch);
}

static struct t_watch *open_watch(struct t_world *w, struct t_api_req *req, int kind,
				  const struct t_options *o)
{
	const char *bookmarks = t_api_query(req, "allowWatchBookmarks");
	struct t_watch *watch = t_api_alloc(sizeof(*watch));

	watch->api = w->api;
	watch->req = req;
	watch->kind = kind;
	watch->rv = o->rv;
	watch->bookmarks =
		bookmarks && (strcmp(bookmarks, "true") == 0 || strcmp(bookmarks, "1") == 0);
	watch->timer.data = watch;
	(void)uv_timer_init(w->api->loop, &watch->timer);
	t_api_opened(w->api);
	watch->next = w->watches;
	if (watch->next)
		watch->next->prev = watch;
	w->watches = watch;
	w->n_watches++;
	req->watch = watch;
	return watch;
}

/* What there is, in no order, each as ADDED. */
static void watch_state(struct t_world *w, struct t_watch *watch)
{
	const struct sv_strmap *m = &w->objects[watch->kind];
	struct t_api_req *req = watch->req;

	watch->rv = w->rv;
	for (size_t i = m->n; i-- > 0 && !req->ended;) {
		const struct version *v = t_version_now(m->entries[i].value);

		if (t_req_selects(req, v))
			watch_version(watch, "ADDED", v, v->rv);
	}
}

void t_watch_answer(struct t_world *w, struct t_api_req *req, int kind)
{
	struct t_options o;
	struct t_watch *watch;

	if (!t_req_options(req, &o))
		return;
	watch = open_watch(w, req, kind, &o);
	if (!t_fault_begin(req, &watch->stream))
		return;
	if (o.timeout_s)
		(void)uv_timer_start(&watch->timer, on_watch_timeout, o.timeout_s * 1000, 0);
	if (!o.has_rv || o.rv == 0) {
		watch_state(w, watch);
	} else if (o.rv < w->compacted) {
		sv_autofree char *message = t_api_printf(
			"too old resource version: %" PRIu64 " (%" PRIu64 ")", o.rv, w->compacted);

		watch_error(watch, t_status_json(410, "Expired", message, NULL));
	} else {
		for (size_t i = t_world_changes_after(w, o.rv); i < w->n_changes && !req->ended;
		     i++)
			watch_change(watch, &w->changes[i]);
	}
}

size_t t_api_n_watches(const struct t_api *api)
{
	return api->world->n_watches;
}

/* May this watch see the object "NS/NAME" (of any node)? */
static bool watch_fits(const struct t_watch *watch, int kind, const char *key)
{
	const struct t_api_req *req = watch->req;
	sv_autofree char *full = key ? t_key_full(key) : NULL;
	char *name;

	if (watch->kind != kind)
		return false;
	if (!full)
		return true;
	name = strchr(full, '/');
	*name++ = '\0';
	return (!req->ns || strcmp(req->ns, full) == 0) &&
	       (!req->name || strcmp(req->name, name) == 0);
}

/* The watches that fit, each once, also when the body ends them. */
#define EACH_WATCH(api, watch, kind, key)                                                        \
	for (struct t_watch *watch = (api)->world->watches, *next_ = watch ? watch->next : NULL; \
	     watch; watch = next_, next_ = watch ? watch->next : NULL)                           \
		if (watch_fits(watch, t_kind_need(kind), key))

size_t t_api_bookmark(struct t_api *api, const char *kind, const char *key, uint64_t version)
{
	int k = t_kind_need(kind);
	sv_autofree char *line = t_api_printf(
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"resourceVersion\":\"%" PRIu64
		"\",\"creationTimestamp\":null}%s}}\n",
		t_kinds[k].kind, version ? version : api->world->cached_rv[k], t_kinds[k].bookmark);
	size_t n = 0;

	EACH_WATCH(api, watch, kind, key)
	{
		if (watch->bookmarks) {
			watch_line(watch, line, strlen(line));
			n++;
		}
	}
	return n;
}

void t_api_watch_send(struct t_api *api, const char *kind, const char *key, const char *text)
{
	EACH_WATCH(api, watch, kind, key)
	t_api_send(watch->req, text, strlen(text));
}

void t_api_watch_event(struct t_api *api, const char *kind, const char *key, const char *type,
		       const char *object)
{
	sv_autofree char *line = t_api_printf("{\"type\":\"%s\",\"object\":%s}\n", type, object);

	t_api_watch_send(api, kind, key, line);
}

void t_api_watch_error(struct t_api *api, const char *kind, const char *key, int code)
{
	EACH_WATCH(api, watch, kind, key)
	watch_error(watch, t_status_of(code, watch->req));
}

void t_api_watch_end(struct t_api *api, const char *kind, const char *key)
{
	EACH_WATCH(api, watch, kind, key)
	end_watch(watch);
}

void t_api_watch_cut(struct t_api *api, const char *kind, const char *key, enum t_api_cut how)
{
	EACH_WATCH(api, watch, kind, key)
	t_api_cut(watch->req, how);
}
