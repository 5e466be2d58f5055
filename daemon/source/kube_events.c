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
	struct sv_kube_events *events;
	struct sv_http_request *http; /* NULL: not in use */
	struct sv_recorded *event;
	int code;
	struct sv_buf body; /* of an answer that is no success */
};

struct sv_kube_events {
	struct sv_http *http;
	bool (*ready)(void *arg);
	void *arg;
	struct sv_recorder recorder;
	uv_timer_t timer;
	struct call calls[SV_RECORDER_UNDER_WAY_MAX];
	char *problem; /* NULL: none */
	int64_t problem_ms;
};

static void on_timer(uv_timer_t *timer);

static void pump_in(struct sv_kube_events *e, int64_t delay_ms)
{
	uv_timer_start(&e->timer, on_timer, (uint64_t)delay_ms, 0);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void clear_problem(struct sv_kube_events *e)
{
	if (e->problem)
		sv_log_notice("the API server takes events again");
	free(e->problem);
	e->problem = NULL;
}

static void set_problem(struct sv_kube_events *e, const struct sv_wire_status *status)
{
	if (e->problem) /* said already */
		return;
	e->problem = sv_asprintf("no events are written: the right to create and patch events is "
				 "needed (%s); tried again after %d minutes, and --no-api-events "
				 "does without",
				 status->message[0] ? status->message : "status 403",
				 SV_RECORDER_OFF_MS / 60000);
	e->problem_ms = sv_unix_ms();
	if (e->problem)
		sv_log_event(SV_LOG_WARNING,
			     &(struct sv_log_fields){ .id = SV_LOG_SOURCE, .reason = "Forbidden" },
			     "%s", e->problem);
}

static void answered(struct sv_kube_events *e, struct sv_recorded *event,
		     const struct sv_wire_status *status, const char *text)
{
	switch (sv_recorder_answered(&e->recorder, event, status, sv_monotonic_ms(),
				     sv_kube_random())) {
	case SV_RECORDER_TAKEN:
		clear_problem(e);
		break;
	case SV_RECORDER_AGAIN:
		sv_log_debug("an event is sent again: status %d %s%s", status->code,
			     status->message, text);
		break;
	case SV_RECORDER_GIVEN_UP:
		sv_log_warn("an event is given up: status %d %s%s", status->code, status->message,
			    text);
		break;
	case SV_RECORDER_DENIED:
		set_problem(e, status);
		break;
	}
}

static void on_head(void *arg, int code)
{
	((struct call *)arg)->code = code;
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
	answered(e, c->event, &status, end->text);
	pump_in(e, 0);
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
	*c = (struct call){ .events = e, .event = request->event };
	call.arg = c;
	c->http = sv_http_start(e->http, &call);
	if (!c->http)
		answered(e, request->event, &none, "out of memory");
}

static void on_timer(uv_timer_t *timer)
{
	struct sv_kube_events *e = timer->data;
	struct sv_recorder_request request;
	int64_t delay_ms;
	int r = 0;

	if (!e->recorder.waiting || !e->ready(e->arg))
		return;
	while (r == 0) {
		r = sv_recorder_next(&e->recorder, sv_monotonic_ms(), sv_unix_ms(), &request);
		if (r != 0)
			break;
		begin(e, &request);
		free(request.path);
		free(request.body);
	}
	delay_ms = sv_recorder_wait(&e->recorder, sv_monotonic_ms());
	if (r < 0)
		pump_in(e, NO_MEMORY_MS);
	else if (delay_ms >= 0)
		pump_in(e, delay_ms);
}

void sv_kube_events_go(struct sv_kube_events *e)
{
	pump_in(e, 0);
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
	pump_in(e, 0); /* not from in here: what happens in one turn of the loop is counted first */
}

/* ---- what is known of it ------------------------------------------------------------------- */

const char *sv_kube_events_problem(const struct sv_kube_events *e, int64_t *since_ms)
{
	*since_ms = e->problem_ms;
	return e->problem;
}

struct sv_recorder_counts sv_kube_events_counts(const struct sv_kube_events *e)
{
	return e->recorder.counts;
}

/* ---- life ---------------------------------------------------------------------------------- */

int sv_kube_events_new(uv_loop_t *loop, struct sv_http *http,
		       const struct sv_kube_events_opts *opts, struct sv_kube_events **ret)
{
	struct sv_kube_events *e = calloc(1, sizeof(*e));

	if (!e || sv_recorder_init(&e->recorder, opts->node_name) < 0) {
		free(e);
		return -ENOMEM;
	}
	e->http = http;
	e->ready = opts->ready;
	e->arg = opts->arg;
	e->timer.data = e;
	uv_timer_init(loop, &e->timer);
	*ret = e;
	return 0;
}

void sv_kube_events_stop(struct sv_kube_events *e)
{
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(e->calls); i++) {
		struct call *c = &e->calls[i];

		if (c->http)
			sv_http_cancel(e->http, SV_TAKE(c->http));
		sv_buf_done(&c->body);
	}
	uv_close((uv_handle_t *)&e->timer, NULL);
}

void sv_kube_events_free(struct sv_kube_events *e)
{
	if (!e)
		return;
	sv_recorder_done(&e->recorder);
	free(e->problem);
	free(e);
}
