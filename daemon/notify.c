/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "log.h"

#define STATUS_DELAY_MS 200 /* bursts of changes are one status line */
#define LATE_MS 10000       /* a source that has not answered by then delays no other service */

static void after_probe(uv_work_t *req, int status)
{
	struct sv_notify *n = req->data;

	(void)status;
	n->probing = false;
	(void)sd_notify(0, "WATCHDOG=1");
}

static void probe(uv_work_t *req)
{
	(void)req; /* that it was carried out is all there is to it */
}

static void on_watchdog(uv_timer_t *timer)
{
	struct sv_notify *n = timer->data;

	if (n->probing) {
		sv_log_warn("no worker has been free since the last sign of life");
		return;
	}
	n->probing = uv_queue_work(timer->loop, &n->probe, probe, after_probe) == 0;
}

static void send_status(struct sv_notify *n, const char *prefix)
{
	size_t counts[SV_N_STATES];
	char line[sizeof(n->last)];

	sv_manager_count(n->manager, counts);
	(void)snprintf(line, sizeof(line),
		       "%zu volumes published, %zu stale, %zu refused, %zu failed, %zu pending",
		       counts[SV_STATE_PUBLISHED], counts[SV_STATE_STALE], counts[SV_STATE_REFUSED],
		       counts[SV_STATE_FAILED], counts[SV_STATE_PENDING]);
	if (!*prefix && strcmp(line, n->last) == 0)
		return;
	memcpy(n->last, line, sizeof(line));
	(void)sd_notifyf(0, "%sSTATUS=%s", prefix, line);
}

static void on_status(uv_timer_t *timer)
{
	send_status(timer->data, "");
}

/*
 * What is ordered after us must not wait for ever for a source that is away, nor may systemd lose
 * patience and kill us: volumes of an earlier run are there, and /readyz tells the rest.
 */
static void on_late(uv_timer_t *timer)
{
	((struct sv_notify *)timer->data)->late = true;
	if (sd_notify(0, "READY=1\nSTATUS=waiting for a source that has not answered yet") > 0)
		sv_log_warn("a source has not answered yet; what waits for this service no longer "
			    "does");
}

void sv_notify_init(struct sv_notify *n, uv_loop_t *loop, struct sv_manager *manager)
{
	uint64_t usec = 0;

	*n = (struct sv_notify){ .manager = manager };
	n->watchdog.data = n->status.data = n->probe.data = n;
	uv_timer_init(loop, &n->watchdog);
	uv_timer_init(loop, &n->status);
	if (sd_watchdog_enabled(0, &usec) > 0 &&
	    usec >= 2000) /* twice in the time that is allowed */
		uv_timer_start(&n->watchdog, on_watchdog, usec / 2000, usec / 2000);
	uv_timer_start(&n->status, on_late, LATE_MS, 0);
}

void sv_notify_ready(struct sv_notify *n)
{
	n->ready = true;
	uv_timer_stop(&n->status);
	send_status(n, "READY=1\n");
}

void sv_notify_changed(struct sv_notify *n)
{
	if (n->ready && !uv_is_active((uv_handle_t *)&n->status))
		uv_timer_start(&n->status, on_status, STATUS_DELAY_MS, 0);
}

/* Before READY=1 there is nothing to reload, and the end of it would say that we are ready. */
void sv_notify_reloading(const struct sv_notify *n)
{
	if (n->ready || n->late)
		(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
				 (long long)sv_monotonic_ms() * 1000);
}

void sv_notify_reloaded(struct sv_notify *n)
{
	if (n->ready)
		send_status(n, "READY=1\n");
	else if (n->late)
		(void)sd_notify(0, "READY=1");
}

void sv_notify_stopping(struct sv_notify *n)
{
	n->ready = n->late = false;
	uv_timer_stop(&n->status);
	(void)sd_notify(0, "STOPPING=1");
}

void sv_notify_close(struct sv_notify *n)
{
	uv_close((uv_handle_t *)&n->watchdog, NULL);
	uv_close((uv_handle_t *)&n->status, NULL);
}
