/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "listener.h"

#include <errno.h>

#define PAUSE_MS 100

static void on_pause(uv_timer_t *timer)
{
	struct sv_listener *l = timer->data;

	(void)uv_poll_start(&l->poll, UV_READABLE, l->on_connect);
}

int sv_listener_start(struct sv_listener *l, uv_loop_t *loop, int fd, uv_poll_cb on_connect,
		      void *data)
{
	int r;

	l->fd = fd;
	l->on_connect = on_connect;
	l->poll.data = data;
	l->pause.data = l;
	r = uv_poll_init(loop, &l->poll, fd);
	if (r < 0)
		return r;
	uv_timer_init(loop, &l->pause);
	/* can fail for a wrong handle only */
	(void)uv_poll_start(&l->poll, UV_READABLE, on_connect);
	return 0;
}

int sv_listener_accept(struct sv_listener *l, struct sockaddr *addr, socklen_t *len)
{
	int fd = accept4(l->fd, addr, len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		uv_poll_stop(&l->poll);
		uv_timer_start(&l->pause, on_pause, PAUSE_MS, 0);
	}
	return fd;
}

void sv_listener_close(struct sv_listener *l)
{
	uv_close((uv_handle_t *)&l->poll, NULL);
	uv_close((uv_handle_t *)&l->pause, NULL);
}
