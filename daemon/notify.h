/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify - what the service manager is told (sd_notify(3)): readiness, status, signs of life
 *
 * A sign of life goes out only after a job has passed through the thread pool
 * and come back: it proves that the loop turns and that workers work.
 */
#ifndef SV_DAEMON_NOTIFY_H
#define SV_DAEMON_NOTIFY_H

#include "manager.h"

struct sv_notify {
	struct sv_manager *manager;
	uv_timer_t watchdog, status;
	uv_work_t probe;
	bool probing;   /* the last probe has not come back */
	bool ready;     /* the first synchronisation is done, and READY=1 was sent */
	bool late;      /* it was sent before that was done */
	char last[128]; /* status line that was sent */
};

void sv_notify_init(struct sv_notify *n, uv_loop_t *loop, struct sv_manager *manager);

/* The first synchronisation is done. If that takes long, systemd is told READY=1 before. */
void sv_notify_ready(struct sv_notify *n);
/* Counts may have changed: the status line follows in a moment. */
void sv_notify_changed(struct sv_notify *n);
/* A reload begins and ends. Nothing is said of it before READY=1. */
void sv_notify_reloading(const struct sv_notify *n);
void sv_notify_reloaded(struct sv_notify *n);
void sv_notify_stopping(struct sv_notify *n);
void sv_notify_close(struct sv_notify *n); /* closes the handles */

#endif
