/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PAUSE_MS 100

static void free_text(void *cls)
{
	char *text = cls;

	explicit_bzero(text, strlen(text));
	free(text);
}

enum MHD_Result sv_http_send(struct MHD_Connection *c, struct sv_api_answer *answer)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	if (!answer->text)
		return MHD_NO;
	r = MHD_create_response_from_buffer_with_free_callback(strlen(answer->text), answer->text,
							       free_text);
	if (!r) {
		free_text(answer->text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	ok = MHD_queue_response(c, answer->status, r);
	MHD_destroy_response(r);
	return ok;
}

static void on_pause(uv_timer_t *timer)
{
	struct sv_http_listener *l = timer->data;

	uv_poll_start(&l->poll, UV_READABLE, l->on_connect);
}

void sv_http_listen(struct sv_http_listener *l, uv_loop_t *loop, int fd, uv_poll_cb on_connect,
		    void *data)
{
	l->fd = fd;
	l->on_connect = on_connect;
	l->poll.data = data;
	l->pause.data = l;
	uv_poll_init(loop, &l->poll, fd);
	uv_timer_init(loop, &l->pause);
	uv_poll_start(&l->poll, UV_READABLE, on_connect);
}

int sv_http_accept(struct sv_http_listener *l, struct sockaddr *addr, socklen_t *len)
{
	int fd = accept4(l->fd, addr, len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		uv_poll_stop(&l->poll);
		uv_timer_start(&l->pause, on_pause, PAUSE_MS, 0);
	}
	return fd;
}

void sv_http_close(struct sv_http_listener *l)
{
	uv_close((uv_handle_t *)&l->poll, NULL);
	uv_close((uv_handle_t *)&l->pause, NULL);
}
