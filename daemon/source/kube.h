/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube - a Kubernetes API server: this node's Pods and the Secrets they name
 *
 * Pods by one watch with spec.nodeName; Secrets by one watch each for as long
 * as a live Pod mounts them, which is what the node authorizer allows (R78,
 * R79), or by one watch a namespace. Secrets that only environments name are
 * asked for when somebody asks for an environment. Immutable ones are not
 * watched once they were read.
 *
 * While the server is away, or does not know us, one small request now and
 * then asks whether it is back; all else waits, and nothing is unmounted. Then
 * watches go on where they were, and only the Pods are listed again.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_H
#define SV_DAEMON_SOURCE_KUBE_H

#include "../config.h"
#include "../manager.h"
#include "kube_auth.h"
#include "source.h"

#define SV_KUBE_UNANSWERED_MAX 64 /* requests sent and not answered yet; others wait */
#define SV_KUBE_SILENCE_MS 30000  /* without a byte from the server: ask whether it is there */
#define SV_KUBE_PROBE_MS 10000    /* how long it may take to answer that; most between two */
#define SV_KUBE_LEASE_MS 8000     /* how long an environment waits for its Secrets */

struct sv_kube_opts {
	struct sv_kube_auth *auth; /* taken */
	const char *node_name;     /* copied */
	bool by_namespace;         /* watch namespaces, not single Secrets */
	bool strict_env_names;
	bool no_events; /* write no Events about Pods to the server */
};

/* Start to watch. @opts->auth is taken, also on failure. */
int sv_source_kube_new(uv_loop_t *loop, struct sv_manager *manager, const struct sv_kube_opts *opts,
		       struct sv_source **ret, struct sv_err *err);

#endif
