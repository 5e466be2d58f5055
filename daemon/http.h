/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - what the two HTTP servers share: connections taken, answers given to libmicrohttpd
 */
#ifndef SV_DAEMON_HTTP_H
#define SV_DAEMON_HTTP_H

#include <microhttpd.h>
#include <uv.h>

#include "api.h"

/*
 * Queues the answer, and takes its text: it is wiped when it has been sent, as it may
 * hold an environment. MHD_NO, which ends the connection, for lack of memory.
 */
enum MHD_Result sv_http_send(struct MHD_Connection *c, struct sv_api_answer *answer);

/*
 * A listening socket on the loop. Where no connection can be taken for want of descriptors or memory,
 * the queue stays readable: it is left alone for a moment then, or the loop would do nothing else.
 */
struct sv_http_listener {
	int fd;
	uv_poll_t poll;
	uv_timer_t pause;
	uv_poll_cb on_connect;
};

/* @fd stays the caller's, and @data is poll.data. */
void sv_http_listen(struct sv_http_listener *l, uv_loop_t *loop, int fd, uv_poll_cb on_connect,
		    void *data);
/* The next connection, non-blocking, or -1. @addr and @len may be NULL. */
int sv_http_accept(struct sv_http_listener *l, struct sockaddr *addr, socklen_t *len);
void sv_http_close(struct sv_http_listener *l); /* the handles */

#endif
