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

/* Another rule for names of variables: for what is read from now on, so a reload() is to follow. */
void sv_source_kube_configure(struct sv_source *source, bool strict_env_names);

#endif
