/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_server - is the API server there, does it know us, and whose turn is it?
 *
 * Requests go out in turn, so that a server is not met by hundreds at once.
 * While it cannot be reached, or does not accept our credentials, nobody's turn
 * comes; one small request now and then asks whether that is over. The files of
 * the credentials are looked at before requests go out.
 *
 * How it is noticed that the server has gone:
 * - A peer that acknowledges nothing: by the kernel, for each connection, after 30 s, whether
 *   something is under way (TCP_USER_TIMEOUT) or not (keepalive).
 * - One that acknowledges and says nothing: asked after SV_KUBE_SILENCE_MS without a byte on any
 *   connection, and given up with all of them if no answer comes in SV_KUBE_PROBE_MS.
 * - A request without the head of an answer: after SV_HTTP_ANSWER_MS.
 * Go's client sends an HTTP/2 ping on each connection that is silent for 30 s, and waits 15 s. libcurl
 * pings nobody from a multi handle, and a request cannot be told which connection to take. So one of
 * several connections that is stuck behind a proxy that acknowledges, and a server that is stuck in
 * one watch, are noticed when the watch should have ended, at the latest after 630 s. A
 * shorter limit would end watches that have nothing to say: bookmarks come once a minute from
 * most servers, and never from some. (For a watch on a connection that answers pings, Go's client
 * has no limit at all.)
 */
#ifndef SV_DAEMON_SOURCE_KUBE_SERVER_H
#define SV_DAEMON_SOURCE_KUBE_SERVER_H

#include <uv.h>

#include "../../lib/core/wire.h"
#include "http.h"
#include "kube_auth.h"

#define SV_KUBE_UNANSWERED_MAX 64 /* requests sent and not answered yet; others wait */
#define SV_KUBE_SILENCE_MS 30000  /* without a byte from the server: ask whether it is there */
#define SV_KUBE_PROBE_MS 10000    /* how long it may take to answer that; most between two */

/* A place in the queue; embedded in whoever wants to send. */
struct sv_kube_turn {
	void (*go)(struct sv_kube_turn *t); /* send; sv_kube_server_answered() follows */
	struct sv_kube_turn *next;
	bool queued;
};

struct sv_kube_server {
	uv_loop_t *loop;
	struct sv_http *http;
	struct sv_kube_auth *auth;
	char *name; /* its URL */
	bool down, stopping;
	char *down_text;       /* why; NULL unless down */
	int64_t down_since_ms; /* Unix time */
	char *auth_text;       /* why newer credentials cannot be used, or NULL */
	int64_t auth_since_ms; /* Unix time */
	int64_t auth_checked_ms;
	uint64_t auth_used; /* generation of the credentials in use, see kube_auth.h */
	struct sv_kube_turn *queue, **queue_end;
	unsigned unanswered;
	uv_idle_t idle;
	uv_timer_t probe_timer;
	struct sv_http_request *probe;
	uint64_t probe_generation; /* of its credentials */
	unsigned probe_failures;
	/* Told when it has gone, or another reason is known, and when it is back. */
	void (*on_down)(void *arg, const char *text);
	void (*on_up)(void *arg);
	void *arg;
};

/* @auth is taken, also on failure. @s must stay where it is until the loop has run out. */
int sv_kube_server_init(struct sv_kube_server *s, uv_loop_t *loop, struct sv_kube_auth *auth,
			struct sv_err *err);
void sv_kube_server_stop(struct sv_kube_server *s); /* closes the handles */
void sv_kube_server_done(struct sv_kube_server *s);

/* @t wants to send; once is enough. go() is called now or later, never after leave(). */
void sv_kube_server_enqueue(struct sv_kube_server *s, struct sv_kube_turn *t);
void sv_kube_server_leave(struct sv_kube_server *s, struct sv_kube_turn *t);
/* What go() sent has the head of its answer, or never will; also if it could not send. */
void sv_kube_server_answered(struct sv_kube_server *s);

/* Of the credentials that requests are sent with now: see struct sv_kube_access. */
uint64_t sv_kube_server_generation(const struct sv_kube_server *s);

/**
 * sv_kube_server_judge() - what a failed request says of the server as a whole
 * @code:       of the answer; 0: there was none. Then @text says why
 * @generation: of the credentials that it was sent with: a 401 to old ones is none to the new
 *
 * Return: true if the server is down: the failure is nobody's own.
 */
bool sv_kube_server_judge(struct sv_kube_server *s, int code, uint64_t generation,
			  const char *text);

/* Somebody wants to know now. */
void sv_kube_server_reload(struct sv_kube_server *s);

/* For jitter. */
uint32_t sv_kube_random(void);

#endif
