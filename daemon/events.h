/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events - what happened to which volume, newest last
 *
 * A bounded list in the kubelet's words (R56). An event that repeats one which
 * is still in the list is counted up and moved to the end, as Kubernetes does.
 */
#ifndef SV_DAEMON_EVENTS_H
#define SV_DAEMON_EVENTS_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SV_EVENTS_MAX 1024

struct sv_event {
	int64_t time_ms; /* Unix time of the last occurrence */
	bool warning;
	const char *reason; /* a constant */
	char *ns, *pod, *volume, *message;
	unsigned count;
};

struct sv_events {              /* all zero: empty */
	struct sv_event *items; /* oldest first */
	size_t n;
};

/* Return: the event, borrowed until the next call; NULL for lack of memory. */
const struct sv_event *sv_events_add(struct sv_events *e, int64_t now_ms, bool warning,
				     const char *reason, const char *ns, const char *pod,
				     const char *volume, const char *message);
struct json_object *sv_event_json(const struct sv_event *e);
void sv_events_done(struct sv_events *e);

#endif
