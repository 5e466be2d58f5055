/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - a listening socket on the loop, for the two HTTP servers
 *
 * Where no connection can be taken for want of descriptors or memory (accept(2)), the queue stays
 * readable: it is left alone for a moment then, or the loop would do nothing else.
 */
#ifndef SV_DAEMON_LISTENER_H
#define SV_DAEMON_LISTENER_H

#include <sys/socket.h>
#include <uv.h>

struct sv_listener {
	int fd;
	uv_poll_t poll;
	uv_timer_t pause;
	uv_poll_cb on_connect;
};

/* @fd stays the caller's, and @data is poll.data. Return: 0, or a negated errno and nothing to close. */
int sv_listener_start(struct sv_listener *l, uv_loop_t *loop, int fd, uv_poll_cb on_connect,
		      void *data);

/* The next connection, non-blocking, or -1. @addr and @len may be NULL. */
int sv_listener_accept(struct sv_listener *l, struct sockaddr *addr, socklen_t *len);

void sv_listener_close(struct sv_listener *l); /* the handles; the loop frees them later */

#endif
