/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_events - writes Events about Pods to the API server, as the kubelet does (R56)
 *
 * Carries out what lib/core/recorder.h decides. It picks what concerns the
 * Pod's owner: FailedMount, and SecretUpdated. What waits when the daemon ends is
 * lost. It takes the rights to create and patch events; of a namespace without them it is silent
 * for SV_RECORDER_OFF_MS at a time, and has a problem to show.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_EVENTS_H
#define SV_DAEMON_SOURCE_KUBE_EVENTS_H

#include <uv.h>

#include "../../lib/core/recorder.h"
#include "../events.h"
#include "kube_server.h"

#define SV_KUBE_EVENT_LIMIT_MS 30000 /* for a request */

struct sv_kube_events;

/* @server is borrowed for good, @node_name is copied. Return: 0 or -ENOMEM. */
int sv_kube_events_new(struct sv_kube_server *server, const char *node_name,
		       struct sv_kube_events **ret);
/* Ends what is under way and closes its handle; before the server stops. NULL is fine. */
void sv_kube_events_stop(struct sv_kube_events *e);
void sv_kube_events_free(struct sv_kube_events *e); /* after the loop has run out; NULL is fine */

/* Something happened to a Pod of the server: sent in a moment, if it is one of those. */
void sv_kube_events_note(struct sv_kube_events *e, const struct sv_pod *pod,
			 const struct sv_event *event);

/* Why none are written, since when (Unix time in ms), and of which namespace; NULL if all is well. */
const char *sv_kube_events_problem(const struct sv_kube_events *e, int64_t *since_ms,
				   const char **ns);

struct sv_recorder_counts sv_kube_events_counts(const struct sv_kube_events *e);

#endif
