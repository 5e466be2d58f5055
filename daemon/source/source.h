/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source - what a source of Pods and Secrets is to the rest of the daemon
 *
 * A source tells the manager what there is (put, remove, synced) and can be
 * asked how it is. It runs on the loop thread.
 */
#ifndef SV_DAEMON_SOURCE_H
#define SV_DAEMON_SOURCE_H

#include <json-c/json_object.h>

#include "../../lib/core/catalog.h"

struct sv_source {
	const char *type; /* "manifest", "kubernetes" */
	/* Add one object for each part (directory, server) to the status report's list. */
	void (*report)(struct sv_source *s, struct json_object *list);
	void (*each_problem)(struct sv_source *s, sv_problem_fn fn, void *arg);
	void (*reload)(struct sv_source *s); /* read everything again */
	void (*stop)(struct sv_source
			     *s); /* close its handles; free() comes after the loop has run out */
	void (*free)(struct sv_source *s);
};

#endif
