/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker - carries actions out on libuv's thread pool
 *
 * An action and what it holds belong to the worker from start to the callback,
 * which runs on the loop thread and gets it back.
 */
#ifndef SV_DAEMON_WORKER_H
#define SV_DAEMON_WORKER_H

#include <uv.h>

#include "../lib/node/volume.h"

#define SV_WORKERS 4 /* threads; see sv_worker_prepare() */

struct sv_job;

struct sv_worker {
	uv_loop_t *loop;
	const struct sv_node *node;
	void (*done)(void *arg, struct sv_action *action); /* owns the action */
	void *arg;
	unsigned in_flight;
	size_t in_flight_size; /* bytes of the values that they write */
	unsigned stuck;        /* of in_flight: whose thread does not come back */
	struct sv_job *jobs;   /* all that are in flight */
};

/* Before the first action of the process: libuv's pool is to have SV_WORKERS threads. */
void sv_worker_prepare(void);

/* Return: 0, or -ENOMEM: the action is then still the caller's. */
int sv_worker_start(struct sv_worker *w, struct sv_action *action);

/**
 * sv_worker_overdue() - look for actions that take long
 * @limit_ms: what is long
 * @fn:       called once for an action that waits for a thread, and once for one that a thread
 *            has begun with (@begun); the action is the worker's, and only its id may be looked at
 *
 * One whose thread does not come back counts as stuck from then on, and its size no longer.
 *
 * Return: ms until another one may be overdue, -1 if there is none.
 */
int64_t sv_worker_overdue(struct sv_worker *w, int64_t limit_ms,
			  void (*fn)(void *arg, const struct sv_action *action, bool begun),
			  void *arg);

/* The id of the action that has been stuck for longest, and when a thread began with it; NULL if none is. */
const char *sv_worker_stuck(const struct sv_worker *w, int64_t *since_ms);

#endif
