/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server - the status socket: HTTP/1.1 and JSON by libmicrohttpd on the loop
 *
 * Connections are accepted here, so that the peer is known (SO_PEERCRED) and
 * counted before a byte is read. Root and members of the socket's group may
 * read. Slow or idle peers are closed, and never keep root out. Others than root get
 * at most a part of the loop's time: after an answer that was work they wait their turn.
 */
#ifndef SV_DAEMON_SERVER_H
#define SV_DAEMON_SERVER_H

#include <sys/types.h>
#include <uv.h>

#include "api.h"

#define SV_PEERS_MAX 64              /* connections */
#define SV_PEERS_ROOT 8              /* of these, kept for root */
#define SV_PEERS_PER_USER 8          /* of one user who is not root */
#define SV_REQUEST_MS 10000          /* from the first byte to the last */
#define SV_OTHERS_PART 5             /* the part of the time that others than root get: a fifth */
#define SV_FINISH_MS 250             /* for requests under way when the daemon stops */
#define SV_HEADER_MAX 16384          /* bytes of a request's head, with its request line */
#define SV_BODY_MAX 65536            /* bytes of a request's body */
#define SV_HELD_MAX (256U << 20)     /* bytes of answers that are being sent to others than root */
#define SV_HELD_PER_USER (16U << 20) /* of one of them, beyond a first answer of any size */

struct sv_server;

/*
 * The socket that systemd passed, or @ret_fd -1 if it passed none. Its file says who may read status:
 * @ret_gid is the file's group if the file is open to one that is not root's, else -1.
 */
int sv_server_passed(int *ret_fd, gid_t *ret_gid, struct sv_err *err);

/**
 * sv_server_new() - listen on the socket of the configuration
 * @fd:  a listening socket passed by systemd, or -1
 * @gid: who besides root may read, or (gid_t)-1
 */
int sv_server_new(uv_loop_t *loop, const struct sv_api_context *context, int fd, gid_t gid,
		  struct sv_server **ret, struct sv_err *err);

/* Stop listening and close all connections; the handles are closed by the loop afterwards. */
void sv_server_stop(struct sv_server *s);
void sv_server_free(struct sv_server *s); /* after the loop has run out */

#endif
