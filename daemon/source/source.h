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

#include "../../lib/base/text.h"
#include "../../lib/core/catalog.h"

/* Told that what a lease is about has been answered; only once, never from within lease(). */
typedef void (*sv_lease_fn)(void *arg);
struct sv_lease;
struct sv_event;

struct sv_source {
	const char *type; /* "manifest", "kubernetes" */
	enum sv_origin origin;
	/* Add one object for each part (directory, server) to the status report's list. */
	void (*report)(struct sv_source *s, struct json_object *list);
	void (*each_problem)(struct sv_source *s, sv_problem_fn fn, void *arg);
	void (*reload)(struct sv_source *s); /* read everything again */
	/*
	 * Who needs a Secret may have changed, see sv_desired_users(). NULL: it does not matter. Only
	 * noted: attend() is called before any volume is looked at, and may act on it.
	 */
	void (*interest)(struct sv_source *s, const char *ns, const char *name);
	void (*attend)(struct sv_source *s); /* NULL where interest() is */
	/*
	 * Learn of Secrets that no volume needs, for as long as the lease lasts. NULL: a source that
	 * knows all it has. @ready is called when all of them have been answered, one way or another;
	 * *wait is false if they have been already. Return: 0 or -ENOMEM.
	 */
	int (*lease)(struct sv_source *s, const char *ns, const char *const *names, size_t n,
		     sv_lease_fn ready, void *arg, struct sv_lease **ret, bool *wait);
	void (*release)(struct sv_source *s, struct sv_lease *lease);
	/*
	 * A Secret that this source put has forgotten its values, and they are needed: fill it with
	 * sv_manager_fill_secret() and return 0; or return SV_PLAN_E_PENDING and put it, or end a
	 * reading (sv_manager_set_reading()), later; or SV_PLAN_E_UNAVAILABLE or a negated errno. @err is
	 * for results other than 0. NULL: what is forgotten cannot be had again.
	 */
	int (*refill)(struct sv_source *s, struct sv_secret *secret, struct sv_err *err);
	/* Append what is particular to this source, in Prometheus' text format. May be NULL. */
	void (*metrics)(struct sv_source *s, struct sv_buf *b);
	/* Something happened to a volume of a Pod that it has put. Both are borrowed. May be NULL. */
	void (*event)(struct sv_source *s, const struct sv_pod *pod, const struct sv_event *event);
	void (*stop)(struct sv_source
			     *s); /* close its handles; free() comes after the loop has run out */
	void (*free)(struct sv_source *s);
};

#endif
