/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/core/status.h"

#define LOOK_BACK 256 /* events among which a repetition is found */

static void event_done(struct sv_event *e)
{
	free(e->ns);
	free(e->pod);
	free(e->volume);
	free(e->message);
}

static void take_out(struct sv_events *e, size_t i, struct sv_event *ret)
{
	assert(i < e->n);
	*ret = e->items[i];
	memmove(e->items + i, e->items + i + 1, (e->n - i - 1) * sizeof(*e->items));
	e->n--;
}

static bool find(const struct sv_events *e, const char *reason, const char *ns, const char *pod,
		 const char *volume, const char *message, size_t *ret)
{
	size_t i;

	for (i = e->n; i > 0 && e->n - i < LOOK_BACK; i--) {
		const struct sv_event *x = &e->items[i - 1];

		assert(x->volume && x->pod && x->ns && x->message);
		if (x->reason == reason && strcmp(x->volume, volume) == 0 &&
		    strcmp(x->pod, pod) == 0 && strcmp(x->ns, ns) == 0 &&
		    strcmp(x->message, message) == 0) {
			*ret = i - 1;
			return true;
		}
	}
	return false;
}

const struct sv_event *sv_events_add(struct sv_events *e, int64_t now_ms, bool warning,
				     const char *reason, const char *ns, const char *pod,
				     const char *volume, const char *message)
{
	struct sv_event new = { .time_ms = now_ms, .warning = warning, .reason = reason };
	size_t i;

	if (!e->items) {
		e->items = calloc(SV_EVENTS_MAX, sizeof(*e->items));
		if (!e->items)
			return NULL;
	}
	if (find(e, reason, ns, pod, volume, message, &i)) {
		take_out(e, i, &new);
	} else {
		new.ns = strdup(ns);
		new.pod = strdup(pod);
		new.volume = strdup(volume);
		new.message = strdup(message);
		if (!new.ns || !new.pod || !new.volume || !new.message) {
			event_done(&new);
			return NULL;
		}
	}
	if (e->n == SV_EVENTS_MAX) {
		struct sv_event oldest;

		take_out(e, 0, &oldest);
		event_done(&oldest);
	}
	new.time_ms = now_ms;
	new.count++;
	e->items[e->n++] = new;
	return &e->items[e->n - 1];
}

struct json_object *sv_event_json(const struct sv_event *e)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	sv_json_time(o, "time", e->time_ms);
	sv_json_text(o, "type", e->warning ? "Warning" : "Normal");
	sv_json_text(o, "reason", e->reason);
	sv_json_text(o, "namespace", e->ns);
	sv_json_text(o, "pod", e->pod);
	sv_json_text(o, "volume", e->volume);
	sv_json_text(o, "message", e->message);
	sv_json_int(o, "count", e->count);
	return o;
}

void sv_events_done(struct sv_events *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		event_done(&e->items[i]);
	free(e->items);
	*e = (struct sv_events){ NULL, 0 };
}
