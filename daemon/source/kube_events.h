/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_events - writes Events about Pods to the API server, as the kubelet does (R56)
 *
 * Carries out what lib/core/recorder.h decides. It picks what concerns the
 * Pod's owner: FailedMount, and SecretUpdated. What waits when the daemon ends is
 * lost. It takes the rights to create and patch events; without them it is silent for
 * SV_RECORDER_OFF_MS at a time, and has a problem to show.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_EVENTS_H
#define SV_DAEMON_SOURCE_KUBE_EVENTS_H

#include <uv.h>

#include "../../lib/core/recorder.h"
#include "../events.h"
#include "http.h"

#define SV_KUBE_EVENT_LIMIT_MS 30000 /* for a request */

struct sv_kube_events;

struct sv_kube_events_opts {
	const char *node_name;    /* copied */
	bool (*ready)(void *arg); /* may anything be sent now? Else sv_kube_events_go() follows */
	void *arg;
};

/* @http is borrowed. Return: 0 or -ENOMEM. */
int sv_kube_events_new(uv_loop_t *loop, struct sv_http *http,
		       const struct sv_kube_events_opts *opts, struct sv_kube_events **ret);
/* Ends what is under way and closes its handles, before http stops; free() comes after the loop. */
void sv_kube_events_stop(struct sv_kube_events *e);
void sv_kube_events_free(struct sv_kube_events *e); /* NULL is fine */

/* Something happened to a Pod of the server: sent in a moment, if it is one of those. */
void sv_kube_events_note(struct sv_kube_events *e, const struct sv_pod *pod,
			 const struct sv_event *event);

/* The server is ready again. */
void sv_kube_events_go(struct sv_kube_events *e);

/* Why none are written, and since when (Unix time in ms); NULL if all is well. */
const char *sv_kube_events_problem(const struct sv_kube_events *e, int64_t *since_ms);

struct sv_recorder_counts sv_kube_events_counts(const struct sv_kube_events *e);

#endif
