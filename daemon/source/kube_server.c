/* SPDX-License-Identifier: Apache-2.0 */
#include "kube_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../lib/core/reflector.h"
#include "../log.h"
#include "../manager.h"

#define AUTH_CHECK_MS 1000 /* how often the files of the credentials are looked at */

static const char unknown[] = "the server answers 401: it does not accept our credentials";

uint32_t sv_kube_random(void)
{
	uint32_t n = 0;

	(void)!getrandom(&n, sizeof(n), GRND_NONBLOCK);
	return n;
}

static void probe_later(struct sv_kube_server *s);

static void forget_text(char **text)
{
	free(*text);
	*text = NULL;
}

/* ---- credentials --------------------------------------------------------------------------- */

/* Their files may have been replaced. Return: true if others are in use from now on. */
static bool refresh(struct sv_kube_server *s, bool force)
{
	const struct sv_kube_access *access;
	struct sv_err err = { "" };
	int64_t now = sv_monotonic_ms();
	int r;

	if (!force && s->auth_checked_ms && now - s->auth_checked_ms < AUTH_CHECK_MS)
		return false;
	s->auth_checked_ms = now;
	r = sv_kube_auth_refresh(s->auth, force, &err);
	if (r != 0 && r != SV_KUBE_AUTH_E_CHANGED) {
		if (!s->auth_text || strcmp(s->auth_text, err.msg) != 0) {
			sv_log_warn("credentials: %s; the ones read before stay in use", err.msg);
			forget_text(&s->auth_text);
			s->auth_text = strdup(err.msg);
			s->auth_since_ms = sv_unix_ms();
		}
		return false;
	}
	forget_text(&s->auth_text);
	access = sv_kube_auth_access(s->auth);
	if (access->generation == s->auth_used)
		return false;
	if (sv_http_set_access(s->http, access) < 0) {
		sv_log_err("credentials: out of memory");
		return false; /* tried again with the next look at them */
	}
	s->auth_used = access->generation;
	sv_log_notice("%s: credentials have changed and are in use", s->name);
	return true;
}

/* ---- turns --------------------------------------------------------------------------------- */

static void pump(struct sv_kube_server *s)
{
	if (s->down || s->stopping || !s->queue)
		return;
	(void)refresh(s, false);
	while (s->queue && !s->down && s->unanswered < SV_KUBE_UNANSWERED_MAX) {
		struct sv_kube_turn *t = s->queue;

		sv_kube_server_leave(s, t);
		s->unanswered++;
		t->go(t);
	}
}

static void on_idle(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	pump(idle->data);
}

/* In the loop's next turn: who calls may be in the middle of an answer. */
static void wake(struct sv_kube_server *s)
{
	if (s->queue && !s->down && !s->stopping)
		uv_idle_start(&s->idle, on_idle);
}

void sv_kube_server_enqueue(struct sv_kube_server *s, struct sv_kube_turn *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*s->queue_end = t;
	s->queue_end = &t->next;
	wake(s);
}

void sv_kube_server_leave(struct sv_kube_server *s, struct sv_kube_turn *t)
{
	struct sv_kube_turn **p = &s->queue;

	if (!t->queued)
		return;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	if (!t->next)
		s->queue_end = p;
	t->queued = false;
}

void sv_kube_server_answered(struct sv_kube_server *s)
{
	s->unanswered--;
	wake(s);
}

/* ---- is it there? -------------------------------------------------------------------------- */

static void go_down(struct sv_kube_server *s, const char *text)
{
	if (s->down && s->down_text && strcmp(s->down_text, text) == 0)
		return;
	forget_text(&s->down_text);
	s->down_text = strdup(text);
	if (!s->down) {
		s->down = true;
		s->down_since_ms = sv_unix_ms();
		s->probe_failures = 0;
		probe_later(s);
	}
	sv_log_event(SV_LOG_WARNING,
		     &(struct sv_log_fields){ .id = SV_LOG_SOURCE, .reason = "SourceUnavailable" },
		     "%s: %s; last good volumes stay", s->name, text);
	s->on_down(s->arg, text);
}

static void go_up(struct sv_kube_server *s)
{
	if (!s->down)
		return;
	s->down = false;
	forget_text(&s->down_text);
	sv_log_notice("%s: answers again after %lld s", s->name,
		      (long long)((sv_unix_ms() - s->down_since_ms) / 1000));
	s->on_up(s->arg);
	wake(s);
}

uint64_t sv_kube_server_generation(const struct sv_kube_server *s)
{
	return sv_kube_auth_access(s->auth)->generation;
}

/* Are there newer credentials than those that were refused? */
static bool has_newer(struct sv_kube_server *s, uint64_t generation)
{
	return sv_kube_server_generation(s) != generation || refresh(s, true);
}

bool sv_kube_server_judge(struct sv_kube_server *s, int code, uint64_t generation, const char *text)
{
	if (code == 0)
		go_down(s, text);
	else if (code == 401 && !has_newer(s, generation))
		go_down(s, unknown);
	return s->down;
}

static void on_probe(void *arg, const struct sv_http_end *end)
{
	struct sv_kube_server *s = arg;
	int64_t silent_ms = sv_monotonic_ms() - sv_http_heard_ms(s->http);

	s->probe = NULL;
	if (end->code == 0) {
		s->probe_failures++;
		go_down(s, end->text);
		/*
		 * Silent for long, and nobody answers: what is open is dead. (A server that refuses
		 * connections may yet serve those it has, while it is being shut down.) Also if it was
		 * away already: it may be libcurl that is stuck, after an allocation of its own failed.
		 */
		if (end->silent && silent_ms >= SV_KUBE_SILENCE_MS)
			sv_http_reset(s->http, end->text);
	} else if (end->code == 401) {
		s->probe_failures++;
		if (!has_newer(s, s->probe_generation))
			go_down(s, unknown);
	} else {
		s->probe_failures = 0;
		go_up(s);
	}
	probe_later(s);
}

static void on_probe_due(uv_timer_t *timer)
{
	struct sv_kube_server *s = timer->data;
	const struct sv_http_call call = { .verb = SV_HTTP_GET,
					   .path = "/version",
					   .limit_ms = SV_KUBE_PROBE_MS,
					   .done = on_probe,
					   .arg = s };

	if (s->probe || s->stopping)
		return;
	(void)refresh(s, s->down);
	s->probe_generation = sv_kube_server_generation(s);
	if (s->down || sv_monotonic_ms() - sv_http_heard_ms(s->http) >= SV_KUBE_SILENCE_MS)
		s->probe = sv_http_start(s->http, &call);
	if (!s->probe)
		probe_later(s);
}

static void probe_later(struct sv_kube_server *s)
{
	int64_t ms = sv_backoff_ms(s->probe_failures + 1, sv_kube_random());

	if (ms > SV_KUBE_PROBE_MS) /* the clients of a server come back at different moments */
		ms = SV_KUBE_PROBE_MS - (int64_t)(sv_kube_random() % (SV_KUBE_PROBE_MS / 4));
	if (!s->down)
		ms = SV_KUBE_SILENCE_MS;
	if (!s->stopping && !s->probe)
		uv_timer_start(&s->probe_timer, on_probe_due, (uint64_t)ms, 0);
}

void sv_kube_server_reload(struct sv_kube_server *s)
{
	(void)refresh(s, true);
	s->probe_failures = 0;
	if (s->down)
		probe_later(s);
}

/* ---- life ---------------------------------------------------------------------------------- */

int sv_kube_server_init(struct sv_kube_server *s, uv_loop_t *loop, struct sv_kube_auth *auth,
			struct sv_err *err)
{
	int r;

	*s = (struct sv_kube_server){ .loop = loop, .auth = auth };
	s->queue_end = &s->queue;
	s->name = strdup(sv_kube_auth_access(auth)->server);
	r = s->name ? sv_http_new(loop, &s->http, err) : -ENOMEM;
	if (r == 0 && sv_http_set_access(s->http, sv_kube_auth_access(auth)) < 0) {
		sv_http_stop(s->http);
		r = -ENOMEM;
	}
	if (r < 0) {
		sv_kube_auth_free(auth);
		free(s->name);
		return sv_err_set(err, r, "cannot watch the API server");
	}
	s->auth_used = sv_kube_auth_access(auth)->generation;
	s->idle.data = s->probe_timer.data = s;
	uv_idle_init(loop, &s->idle);
	uv_timer_init(loop, &s->probe_timer);
	probe_later(s);
	return 0;
}

void sv_kube_server_stop(struct sv_kube_server *s)
{
	s->stopping = true;
	if (s->probe)
		sv_http_cancel(s->http, SV_TAKE(s->probe));
	sv_http_stop(s->http);
	uv_close((uv_handle_t *)&s->idle, NULL);
	uv_close((uv_handle_t *)&s->probe_timer, NULL);
}

void sv_kube_server_done(struct sv_kube_server *s)
{
	sv_http_free(s->http);
	sv_kube_auth_free(s->auth);
	free(s->name);
	free(s->down_text);
	free(s->auth_text);
}
