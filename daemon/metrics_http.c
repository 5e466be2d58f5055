/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/text.h"
#include "listener.h"
#include "log.h"
#include "reply.h"

struct peer {
	struct peer *next, **link;
	int fd;
	int64_t since_ms; /* monotonic: when it connected or its last request was answered */
};

struct sv_metrics_http {
	struct sv_api_context context;
	struct MHD_Daemon *http;
	int fd; /* listening */
	struct sv_listener listener;
	uv_poll_t epoll;
	bool polled; /* epoll is a handle of the loop's */
	uv_timer_t timer;
	struct peer *peers;
	unsigned n_peers;
};

/* ---- the address --------------------------------------------------------------------------- */

static bool parse_port(const char *text, in_port_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || port > 65535)
		return false;
	*ret = htons((in_port_t)port);
	return true;
}

socklen_t sv_metrics_address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t len = colon ? (size_t)(colon - text) : 0;

	memset(ret, 0, sizeof(*ret));
	if (!colon || len >= sizeof(host))
		return 0;
	memcpy(host, text, len);
	host[len] = '\0';
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		v6->sin6_family = AF_INET6;
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 &&
				       parse_port(colon + 1, &v6->sin6_port) ?
			       sizeof(*v6) :
			       0;
	}
	v4->sin_family = AF_INET;
	if (len == 0 || strcmp(host, "localhost") == 0)
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		return 0;
	return parse_port(colon + 1, &v4->sin_port) ? sizeof(*v4) : 0;
}

/* "127.0.0.1:9464", as it turned out: the port may have been the kernel's choice. */
static void describe(int fd, char *text, size_t size)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .v6 = { 0 } };
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "";

	(void)getsockname(fd, &a.any, &len);
	if (a.any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host));
		(void)snprintf(text, size, "[%s]:%u", host, ntohs(a.v6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host));
		(void)snprintf(text, size, "%s:%u", host, ntohs(a.v4.sin_port));
	}
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

static void run_http(struct sv_metrics_http *h)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;
	int turns = 0;
	bool more;

	do { /* epoll is edge-triggered in there: run until it says that it waits */
		(void)MHD_run(h->http);
		more = MHD_get_timeout(h->http, &wait) == MHD_YES;
	} while (more && wait == 0 && ++turns < 64);
	if (h->n_peers == 0)
		uv_timer_stop(&h->timer);
	else if (more && wait == 0)
		uv_timer_start(&h->timer, on_timer, 1, 0);
	else if (!uv_is_active((uv_handle_t *)&h->timer))
		uv_timer_start(&h->timer, on_timer, 1000, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct sv_metrics_http *h = timer->data;
	int64_t now = sv_monotonic_ms();
	struct peer *p;

	for (p = h->peers; p; p = p->next) /* libmicrohttpd's own limit is put off by every byte */
		if (now - p->since_ms > SV_METRICS_REQUEST_MS)
			(void)shutdown(p->fd, SHUT_RDWR);
	run_http(h);
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run_http(poll->data);
}

/* Whoever has waited for longest makes room, so that idle peers keep nobody out. The newest come first. */
static void make_room(struct sv_metrics_http *h)
{
	struct peer *p, *oldest = NULL;

	for (p = h->peers; p; p = p->next)
		if (!oldest || p->since_ms <= oldest->since_ms)
			oldest = p;
	if (oldest)
		(void)shutdown(oldest->fd, SHUT_RDWR);
	run_http(h);
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
	struct sv_metrics_http *h = poll->data;
	int i;

	(void)status;
	(void)events;
	for (i = 0; i < SV_METRICS_PEERS_MAX; i++) {
		struct sockaddr_storage addr;
		socklen_t len = sizeof(addr);
		int fd = sv_listener_accept(&h->listener, (struct sockaddr *)&addr, &len);

		if (fd < 0)
			break;
		if (h->n_peers >= SV_METRICS_PEERS_MAX)
			make_room(h);
		if (h->n_peers >= SV_METRICS_PEERS_MAX)
			close(fd);
		else
			(void)MHD_add_connection(h->http, fd, (struct sockaddr *)&addr, len);
	}
	run_http(h);
}

/* libmicrohttpd tells of a connection that begins or ends. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct sv_metrics_http *h = cls;
	struct peer *p = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

		*context = p = info ? calloc(1, sizeof(*p)) : NULL;
		if (!p)
			return;
		p->fd = info->connect_fd;
		p->since_ms = sv_monotonic_ms();
		p->next = h->peers;
		p->link = &h->peers;
		if (p->next)
			p->next->link = &p->next;
		h->peers = p;
		h->n_peers++;
	} else if (p) {
		*p->link = p->next;
		if (p->next)
			p->next->link = p->link;
		h->n_peers--;
		free(p);
		*context = NULL;
	}
}

/* ---- requests ------------------------------------------------------------------------------ */

static const char *no_argument(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	const struct sv_metrics_http *h = cls;
	const struct sv_api_request request = {
		.method = method,
		.path = url,
		.argument = no_argument,
	};
	struct sv_api_answer answer;

	(void)version;
	(void)upload;
	if (*upload_size > 0)
		return MHD_NO; /* a body after all: nothing here takes one */
	/* An answer before the end of the request would close a connection that could be kept. */
	if (*context != cls && strcmp(method, MHD_HTTP_METHOD_GET) == 0) {
		*context = cls;
		return MHD_YES;
	}
	if (strcmp(url, "/metrics") == 0 || strcmp(url, "/healthz") == 0)
		sv_api_answer(&h->context, &request, &answer);
	else
		sv_api_error(&answer, MHD_HTTP_NOT_FOUND, "", "only /metrics is served here");
	return sv_reply(c, &answer);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct peer *p = info ? info->socket_context : NULL;

	(void)cls;
	(void)code;
	if (p)
		p->since_ms = sv_monotonic_ms();
	*context = NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int listen_on(struct sv_metrics_http *h, const char *text, struct sv_err *err)
{
	struct sockaddr_storage addr;
	socklen_t len = sv_metrics_address(text, &addr);
	int on = 1;

	if (len == 0)
		return sv_err_set(err, -EINVAL, "metrics-address '%s'", text);
	h->fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->fd < 0 || setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(h->fd, (struct sockaddr *)&addr, len) < 0 || listen(h->fd, 64) < 0)
		return sv_err_set(err, -errno, "cannot listen on metrics-address '%s'", text);
	return 0;
}

static int start_http(struct sv_metrics_http *h, uv_loop_t *loop, struct sv_err *err)
{
	const union MHD_DaemonInfo *info;
	int r;

	h->http = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
				   on_request, h, MHD_OPTION_CONNECTION_LIMIT,
				   SV_METRICS_PEERS_MAX + 1, MHD_OPTION_CONNECTION_TIMEOUT,
				   SV_METRICS_REQUEST_MS / 1000, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				   (size_t)8192, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
				   MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	info = h->http ? MHD_get_daemon_info(h->http, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return sv_err_set(err, -ENOMEM, "cannot start the metrics server");
	h->epoll.data = h->timer.data = h;
	r = uv_poll_init(loop, &h->epoll, info->epoll_fd);
	h->polled = r == 0;
	if (r == 0)
		r = sv_listener_start(&h->listener, loop, h->fd, on_connect, h);
	if (r < 0)
		return sv_err_set(err, r, "cannot start the metrics server");
	uv_timer_init(loop, &h->timer);
	(void)uv_poll_start(&h->epoll, UV_READABLE, on_epoll);
	return 0;
}

/* The loop may have a handle that it has to let go first. */
static void on_closed(uv_handle_t *handle)
{
	sv_metrics_http_free(handle->data);
}

int sv_metrics_http_new(uv_loop_t *loop, const struct sv_api_context *context,
			struct sv_metrics_http **ret, struct sv_err *err)
{
	struct sv_metrics_http *h = calloc(1, sizeof(*h));
	char text[INET6_ADDRSTRLEN + 16];
	int r;

	if (!h)
		return sv_err_set(err, -ENOMEM, "cannot start the metrics server");
	h->context = *context;
	h->fd = -1;
	r = listen_on(h, context->config->metrics_address, err);
	if (r == 0)
		r = start_http(h, loop, err);
	if (r < 0) {
		if (h->polled)
			uv_close((uv_handle_t *)&h->epoll, on_closed);
		else
			sv_metrics_http_free(h);
		return r;
	}
	describe(h->fd, text, sizeof(text));
	sv_log_notice("metrics on http://%s/metrics", text);
	*ret = h;
	return 0;
}

void sv_metrics_http_stop(struct sv_metrics_http *h)
{
	sv_listener_close(&h->listener);
	uv_close((uv_handle_t *)&h->epoll, NULL);
	uv_close((uv_handle_t *)&h->timer, NULL);
}

void sv_metrics_http_free(struct sv_metrics_http *h)
{
	if (!h)
		return;
	if (h->http)
		MHD_stop_daemon(h->http);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}
