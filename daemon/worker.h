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

struct sv_worker {
	uv_loop_t *loop;
	const struct sv_node *node;
	void (*done)(void *arg, struct sv_action *action); /* owns the action */
	void *arg;
	unsigned in_flight;
	size_t in_flight_size; /* bytes of the values that they write */
};

/* Return: 0, or -ENOMEM: the action is then still the caller's. */
int sv_worker_start(struct sv_worker *w, struct sv_action *action);

#endif
