/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_http - /metrics and /healthz on a TCP address, for Prometheus
 *
 * Off unless --metrics-address is given. Nothing else is served, nobody is
 * asked who they are, and nothing that is served is a secret or names one.
 */
#ifndef SV_DAEMON_METRICS_HTTP_H
#define SV_DAEMON_METRICS_HTTP_H

#include <sys/socket.h>
#include <uv.h>

#include "api.h"

#define SV_METRICS_PEERS_MAX 16
#define SV_METRICS_REQUEST_MS 10000 /* also the longest that an idle connection is kept */

struct sv_metrics_http;

/**
 * sv_metrics_address() - read HOST:PORT
 *
 * HOST is an IPv4 address, an IPv6 address in brackets, or `localhost`; without it the loopback
 * address is meant. No names: they would have to be looked up. Port 0 has the kernel choose one.
 *
 * Return: the length of the address in @ret, 0 if the text is none.
 */
socklen_t sv_metrics_address(const char *text, struct sockaddr_storage *ret);

/* Listen on the address of the configuration. Return: 0 or a negated errno. */
int sv_metrics_http_new(uv_loop_t *loop, const struct sv_api_context *context,
			struct sv_metrics_http **ret, struct sv_err *err);
void sv_metrics_http_stop(struct sv_metrics_http *h); /* the handles are closed by the loop */
void sv_metrics_http_free(struct sv_metrics_http *h); /* after the loop has run out; NULL is fine */

#endif
