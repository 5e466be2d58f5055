/* SPDX-License-Identifier: Apache-2.0 */
/* Faults: the queue, and what they make of the world's answers. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver_priv.h"

#define GARBAGE "\x01\xff<html>not what you asked for\n"
#define EXPLODED "{\"type\":\"EXPLODED\",\"object\":{\"kind\":\"Bang\",\"apiVersion\":\"v9\"}}\n"

struct t_fault {
	struct t_fault *next;
	struct t_api_fault f; /* its texts are owned */
};

static const char *const names[] = {
	[T_API_STATUS] = "status",   [T_API_CUT] = "cut",
	[T_API_LOSE] = "lose",       [T_API_CUT_AFTER] = "cut_after",
	[T_API_HANG] = "hang",       [T_API_HANG_BODY] = "hang_body",
	[T_API_GARBAGE] = "garbage", [T_API_HALF] = "half",
	[T_API_TWICE] = "twice",     [T_API_REORDER] = "reorder",
	[T_API_UNKNOWN] = "unknown", [T_API_ERROR] = "error",
	[T_API_BIG] = "big",         [T_API_REDIRECT] = "redirect",
	[T_API_DRIP] = "drip",       [T_API_LATE] = "late",
	[T_API_RAW] = "raw",
};

bool t_api_what(const char *name, enum t_api_what *ret)
{
	for (size_t i = 0; i < SV_ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], name) == 0) {
			*ret = (enum t_api_what)i;
			return true;
		}
	}
	return false;
}

/* ---- the queue ----------------------------------------------------------------------------- */

static struct t_api_fault copy_fault(const struct t_api_fault *f)
{
	struct t_api_fault copy = *f;

	copy.verb = t_api_strdup(f->verb);
	copy.kind = t_api_strdup(f->kind);
	copy.name = t_api_strdup(f->name);
	copy.body = t_api_strdup(f->body);
	copy.headers = t_api_strdup(f->headers);
	return copy;
}

static void done_fault(struct t_api_fault *f)
{
	free((char *)(uintptr_t)f->verb);
	free((char *)(uintptr_t)f->kind);
	free((char *)(uintptr_t)f->name);
	free((char *)(uintptr_t)f->body);
	free((char *)(uintptr_t)f->headers);
}

void t_api_fault(struct t_api *api, const struct t_api_fault *fault)
{
	struct t_fault *q = t_api_alloc(sizeof(*q)), **end = &api->faults;

	q->f = copy_fault(fault);
	if (q->f.times == 0)
		q->f.times = 1;
	while (*end)
		end = &(*end)->next;
	*end = q;
}

void t_api_clear_faults(struct t_api *api)
{
	while (api->faults) {
		struct t_fault *q = api->faults;

		api->faults = q->next;
		done_fault(&q->f);
		free(q);
	}
}

void t_fault_free_all(struct t_api *api)
{
	t_api_clear_faults(api);
}

size_t t_api_n_faults(const struct t_api *api)
{
	size_t n = 0;

	for (const struct t_fault *q = api->faults; q; q = q->next)
		n++;
	return n;
}

void t_fault_release(struct t_api_req *req)
{
	if (req->fault)
		done_fault(req->fault);
	free(req->fault);
	req->fault = NULL;
}

static bool fits(const struct t_api_fault *f, const struct t_api_req *req)
{
	return (!f->verb || strcmp(f->verb, req->verb) == 0) &&
	       (!f->kind || strcmp(f->kind, req->kind) == 0) &&
	       (!f->name || t_api_same(f->name, req->name));
}

/* The fault of this request becomes its own; one that is used up leaves the queue. */
static bool draw(struct t_api_req *req)
{
	for (struct t_fault **p = &req->api->faults; *p; p = &(*p)->next) {
		struct t_fault *q = *p;

		if (!fits(&q->f, req))
			continue;
		if (q->f.skip > 0) {
			q->f.skip--;
			continue;
		}
		req->fault = t_api_alloc(sizeof(*req->fault));
		*req->fault = copy_fault(&q->f);
		if (!q->f.forever && --q->f.times == 0) {
			*p = q->next;
			done_fault(&q->f);
			free(q);
		}
		return true;
	}
	return false;
}

/* ---- in place of an answer ----------------------------------------------------------------- */

static void reply_status(struct t_api_req *req, const struct t_api_fault *f)
{
	bool busy = f->status == 429 && !f->body; /* the filter for load writes plain text */
	sv_autofree char *made = f->body || busy ? NULL : t_status_of(f->status, req);
	const char *body = f->body ? f->body :
			   busy    ? "Too many requests, please try again later.\n" :
				     made;
	unsigned after_s = f->retry_after_s ? f->retry_after_s : busy ? 1 : 0;
	sv_autofree char *retry =
		after_s ? t_api_printf("Retry-After: %u\r\n", after_s) : t_api_strdup("");
	sv_autofree char *headers = t_api_printf(
		"%s%s%s", retry, busy ? "Content-Type: text/plain; charset=utf-8\r\n" : "",
		f->headers ? f->headers : "");

	t_api_reply(req, f->status, headers, body, strlen(body));
}

static void reply_redirect(struct t_api_req *req, const struct t_api_fault *f)
{
	sv_autofree char *headers = t_api_printf("Location: %s\r\n", f->body ? f->body : "/");

	t_api_reply(req, f->status ? f->status : 302, headers, "", 0);
}

bool t_fault_take(struct t_api_req *req)
{
	const struct t_api_fault *f;

	if (!draw(req))
		return false;
	f = req->fault;
	switch (f->what) {
	case T_API_STATUS:
		reply_status(req, f);
		return true;
	case T_API_CUT:
		t_api_cut(req, f->how);
		return true;
	case T_API_HANG:
		return true;
	case T_API_REDIRECT:
		reply_redirect(req, f);
		return true;
	case T_API_RAW:
		t_api_raw(req, f->body ? f->body : "", f->body ? strlen(f->body) : 0);
		t_api_cut(req, f->how);
		return true;
	case T_API_LATE:
		t_api_late(req, f->every_ms, t_world_answer);
		return true;
	default: /* the world answers, and its answer suffers */
		return false;
	}
}

size_t t_fault_object_size(const struct t_api_req *req)
{
	return req->fault && req->fault->what == T_API_BIG ? req->fault->bytes : 0;
}

/* ---- answers of one piece ------------------------------------------------------------------ */

/* The header of a complete answer, and only the first @n bytes of its body. */
static void reply_part(struct t_api_req *req, int status, const char *headers, const char *body,
		       size_t len, size_t n)
{
	sv_autofree char *head = t_api_printf("HTTP/1.1 %d Status\r\nContent-Type: "
					      "application/json\r\n%sContent-Length: %zu\r\n\r\n",
					      status, headers ? headers : "", len);

	t_api_raw(req, head, strlen(head));
	t_api_raw(req, body, n < len ? n : len);
	req->status = status;
}

void t_fault_reply(struct t_api_req *req, int status, const char *headers, const char *body,
		   size_t len)
{
	const struct t_api_fault *f = req->fault;

	switch (f ? (int)f->what : -1) {
	case T_API_LOSE:
		t_api_cut(req, f->how);
		return;
	case T_API_CUT_AFTER:
		reply_part(req, status, headers, body, len, f->bytes);
		t_api_cut(req, f->how);
		return;
	case T_API_HANG_BODY:
		reply_part(req, status, headers, body, len, 0);
		return;
	case T_API_GARBAGE:
		body = f->body ? f->body : GARBAGE;
		t_api_reply(req, status, headers, body, strlen(body));
		return;
	case T_API_HALF:
		t_api_reply(req, status, headers, body, len / 2);
		return;
	case T_API_DRIP:
		t_api_begin(req, status, headers);
		t_api_drip(req, body, len, f->bytes ? f->bytes : 1, f->every_ms);
		return;
	default:
		t_api_reply(req, status, headers, body, len);
	}
}

/* ---- watches ------------------------------------------------------------------------------- */

static void send_line(struct t_api_req *req, struct t_fault_stream *s, const char *line, size_t len)
{
	const struct t_api_fault *f = req->fault;
	size_t room = f && f->what == T_API_CUT_AFTER ? f->bytes - s->sent : len + 1;

	t_api_send(req, line, len < room ? len : room);
	s->sent += len < room ? len : room;
	if (len >= room)
		t_api_cut(req, f->how);
}

bool t_fault_begin(struct t_api_req *req, struct t_fault_stream *s)
{
	const struct t_api_fault *f = req->fault;

	if (f && f->what == T_API_LOSE) {
		t_api_cut(req, f->how);
		return false;
	}
	t_api_begin(req, 200, NULL);
	switch (f ? (int)f->what : -1) {
	case T_API_HANG_BODY:
		return false;
	case T_API_CUT_AFTER:
		if (f->bytes == 0)
			t_api_cut(req, f->how);
		break;
	case T_API_GARBAGE:
		send_line(req, s, f->body ? f->body : GARBAGE, strlen(f->body ? f->body : GARBAGE));
		break;
	case T_API_UNKNOWN:
		send_line(req, s, EXPLODED, strlen(EXPLODED));
		break;
	case T_API_ERROR: {
		sv_autofree char *status = f->body ? t_api_strdup(f->body) :
						     t_status_of(f->status ? f->status : 410, req);
		sv_autofree char *line = t_api_printf("{\"type\":\"ERROR\",\"object\":%.*s}\n",
						      (int)strcspn(status, "\n"), status);

		send_line(req, s, line, strlen(line));
		t_api_end(req);
		break;
	}
	default:
		break;
	}
	return !req->ended;
}

void t_fault_event(struct t_api_req *req, struct t_fault_stream *s, const char *line, size_t len)
{
	const struct t_api_fault *f = req->fault;

	switch (f ? (int)f->what : -1) {
	case T_API_HANG_BODY:
		return;
	case T_API_HALF:
		t_api_send(req, line, len / 2);
		t_api_end(req);
		return;
	case T_API_TWICE:
		send_line(req, s, line, len);
		send_line(req, s, line, len);
		return;
	case T_API_REORDER:
		if (!s->held) {
			s->held = t_api_alloc(len + 1);
			memcpy(s->held, line, len);
			s->held_len = len;
			return;
		}
		send_line(req, s, line, len);
		t_fault_flush(req, s);
		return;
	default:
		send_line(req, s, line, len);
	}
}

void t_fault_flush(struct t_api_req *req, struct t_fault_stream *s)
{
	sv_autofree char *held = SV_TAKE(s->held);

	if (held)
		send_line(req, s, held, s->held_len);
}
