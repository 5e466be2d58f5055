/* SPDX-License-Identifier: Apache-2.0 */
#include "kube_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/text.h"
#include "../log.h"
#include "../manager.h"
#include "kube_watch.h"

#define NO_MEMORY_MS 1000 /* until the next attempt */

struct call {
	uint64_t generation; /* of the credentials that it was sent with */
	struct sv_kube_events *events;
	struct sv_http_request *http; /* NULL: not in use */
	struct sv_recorded *event;
	int code;           /* 0: no head yet */
	struct sv_buf body; /* of an answer that is no success */
};

struct sv_kube_events {
	struct sv_kube_turn turn; /* first: see on_turn() */
	struct sv_kube_server *server;
	struct sv_recorder recorder;
	uv_timer_t timer;
	struct call calls[SV_RECORDER_UNDER_WAY_MAX];
	char *problem;    /* NULL: none */
	char *problem_ns; /* the namespace that it names; not NULL if there is a problem */
	char *denial;     /* what the server said last; NULL: nothing yet */
	size_t n_denied;  /* namespaces, when it was looked at last */
	int64_t problem_ms;
};

/* ---- when ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* Ask for a turn as soon as there is something to send. */
static void plan(struct sv_kube_events *e)
{
	int64_t delay_ms = sv_recorder_wait(&e->recorder, sv_monotonic_ms());

	if (delay_ms == 0)
		sv_kube_server_enqueue(e->server, &e->turn);
	else if (delay_ms > 0)
		uv_timer_start(&e->timer, on_timer, (uint64_t)delay_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	plan(timer->data);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void forget_problem(struct sv_kube_events *e)
{
	free(e->problem);
	free(e->problem_ns);
	e->problem = e->problem_ns = NULL;
}

static char *describe(const struct sv_kube_events *e, const char *ns, size_t n)
{
	sv_autofree char *more = n > 1 ? sv_asprintf(" (and %zu more)", n - 1) : strdup("");

	return more ? sv_asprintf(
			      "no events are written in namespace \"%s\"%s: the right to create "
			      "and patch events is needed there (%s); tried again after %d "
			      "minutes, and --no-api-events does without",
			      ns, more, e->denial ? e->denial : "status 403",
			      SV_RECORDER_OFF_MS / 60000) :
		      NULL;
}

/* Which namespaces are denied may have changed. */
static void update_problem(struct sv_kube_events *e)
{
	const struct sv_log_fields fields = { .id = SV_LOG_SOURCE, .reason = "Forbidden" };
	size_t before = e->n_denied;
	const char *ns;

	e->n_denied = sv_recorder_denied(&e->recorder, &ns);
	if (e->n_denied == before)
		return;
	forget_problem(e);
	if (e->n_denied == 0) {
		sv_log_notice("%s: takes events again", e->server->name);
		return;
	}
	if (before == 0)
		e->problem_ms = sv_unix_ms();
	e->problem = describe(e, ns, e->n_denied);
	e->problem_ns = strdup(ns);
	if (!e->problem || !e->problem_ns)
		forget_problem(e);
	else if (e->n_denied > before)
		sv_log_event(SV_LOG_WARNING, &fields, "%s: %s", e->server->name, e->problem);
}

static void keep_denial(struct sv_kube_events *e, const struct sv_wire_status *status)
{
	char *copy = status->message[0] ? strdup(status->message) : NULL;

	if (!copy)
		return;
	free(e->denial);
	e->denial = copy;
}

static void answered(struct sv_kube_events *e, struct sv_recorded *event,
		     const struct sv_wire_status *status, const char *text)
{
	switch (sv_recorder_answered(&e->recorder, event, status, sv_monotonic_ms(),
				     sv_kube_random())) {
	case SV_RECORDER_TAKEN:
		break;
	case SV_RECORDER_AGAIN:
		sv_log_debug("%s: an event is sent again: status %d %s%s", e->server->name,
			     status->code, status->message, text);
		break;
	case SV_RECORDER_GIVEN_UP:
		sv_log_warn("%s: an event is given up: status %d %s%s", e->server->name,
			    status->code, status->message, text);
		break;
	case SV_RECORDER_DENIED:
		keep_denial(e, status);
		break;
	}
	update_problem(e);
}

static void on_head(void *arg, int code)
{
	struct call *c = arg;

	c->code = code;
	sv_kube_server_answered(c->events->server);
}

static int on_data(void *arg, const char *ptr, size_t len)
{
	struct call *c = arg;

	if (c->code / 100 != 2 && c->body.len + len <= SV_KUBE_STATUS_MAX)
		sv_buf_add(&c->body, ptr, len);
	return 0;
}

static void on_done(void *arg, const struct sv_http_end *end)
{
	struct call *c = arg;
	struct sv_kube_events *e = c->events;
	struct sv_wire_status status;

	sv_wire_status(c->body.ptr, c->body.len, end->code, &status);
	if (status.retry_after_ms < end->retry_after_ms)
		status.retry_after_ms = end->retry_after_ms;
	sv_buf_done(&c->body);
	c->http = NULL;
	if (c->code == 0)
		sv_kube_server_answered(e->server);
	if (!end->silent) /* that may be the fault of what the server asks about Events */
		(void)sv_kube_server_judge(e->server, end->code, c->generation, end->text);
	answered(e, c->event, &status, end->text);
	plan(e);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void begin(struct sv_kube_events *e, const struct sv_recorder_request *request)
{
	const struct sv_wire_status none = { 0 };
	struct call *c = e->calls;
	struct sv_http_call call = {
		.verb = request->create ? SV_HTTP_CREATE : SV_HTTP_PATCH,
		.path = request->path,
		.body = request->body,
		.limit_ms = SV_KUBE_EVENT_LIMIT_MS,
		.head = on_head,
		.data = on_data,
		.done = on_done,
	};

	while (c->http) /* there are as many as the recorder has requests under way */
		c++;
	*c = (struct call){ .events = e,
			    .event = request->event,
			    .generation = sv_kube_server_generation(e->server) };
	call.arg = c;
	c->http = sv_http_start(e->server->http, &call);
	if (c->http)
		return;
	sv_kube_server_answered(e->server);
	answered(e, request->event, &none, "out of memory");
}

static void on_turn(struct sv_kube_turn *turn)
{
	struct sv_kube_events *e = (struct sv_kube_events *)turn;
	struct sv_recorder_request request;
	int r = sv_recorder_next(&e->recorder, sv_monotonic_ms(), sv_unix_ms(), &request);

	if (r == 0) {
		begin(e, &request);
		free(request.path);
		free(request.body);
	} else {
		sv_kube_server_answered(e->server);
	}
	if (r < 0)
		uv_timer_start(&e->timer, on_timer, NO_MEMORY_MS, 0);
	else
		plan(e);
}

void sv_kube_events_note(struct sv_kube_events *e, const struct sv_pod *pod,
			 const struct sv_event *event)
{
	if (strcmp(event->reason, "FailedMount") != 0 &&
	    strcmp(event->reason, "SecretUpdated") != 0)
		return;
	if (sv_recorder_note(&e->recorder, pod, event->warning, event->reason, event->message,
			     sv_monotonic_ms(), event->time_ms) < 0)
		sv_log_err("event of pod %s/%s: out of memory", pod->ns, pod->name);
	plan(e);
}

/* ---- what is known of it ------------------------------------------------------------------- */

const char *sv_kube_events_problem(const struct sv_kube_events *e, int64_t *since_ms,
				   const char **ns)
{
	*since_ms = e->problem_ms;
	*ns = e->problem ? e->problem_ns : "";
	return e->problem;
}

struct sv_recorder_counts sv_kube_events_counts(const struct sv_kube_events *e)
{
	return e->recorder.counts;
}

/* ---- life ---------------------------------------------------------------------------------- */

int sv_kube_events_new(struct sv_kube_server *server, const char *node_name,
		       struct sv_kube_events **ret)
{
	struct sv_kube_events *e = calloc(1, sizeof(*e));

	if (!e || sv_recorder_init(&e->recorder, node_name) < 0) {
		free(e);
		return -ENOMEM;
	}
	e->server = server;
	e->turn.go = on_turn;
	e->timer.data = e;
	uv_timer_init(server->loop, &e->timer);
	*ret = e;
	return 0;
}

void sv_kube_events_stop(struct sv_kube_events *e)
{
	size_t i;

	if (!e)
		return;
	for (i = 0; i < SV_ARRAY_SIZE(e->calls); i++) {
		struct call *c = &e->calls[i];

		if (c->http)
			sv_http_cancel(e->server->http, SV_TAKE(c->http));
		sv_buf_done(&c->body);
	}
	sv_kube_server_leave(e->server, &e->turn);
	uv_close((uv_handle_t *)&e->timer, NULL);
}

void sv_kube_events_free(struct sv_kube_events *e)
{
	if (!e)
		return;
	sv_recorder_done(&e->recorder);
	forget_problem(e);
	free(e->denial);
	free(e);
}
