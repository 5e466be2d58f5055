/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secretvol - blocking client of secretvold's status socket
 *
 * The one header that is installed. Requests are HTTP/1.1 over a Unix socket,
 * answers JSON; their form is documented in the README under "Status socket".
 * A client is used by one thread at a time.
 */
#ifndef SECRETVOL_H
#define SECRETVOL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SV_CLIENT_DEFAULT_SOCKET "/run/secretvold/secretvold.sock"

enum {
	SV_CLIENT_E_UNREACHABLE = 1, /* no daemon answers on the socket */
	SV_CLIENT_E_STATUS,   /* it answered with another status than 200: see sv_client_status() */
	SV_CLIENT_E_STOPPED,  /* the callback asked to stop */
	SV_CLIENT_E_PROTOCOL, /* the answer could not be understood */
	SV_CLIENT_E_TIMEOUT,  /* the deadline of the request passed */
	SV_CLIENT_E_CLOSED,   /* it was there, and closed the connection without an answer */
};

struct sv_client;

/* Called with each piece of a body as it arrives. Return 0 to go on, anything else to stop. */
typedef int (*sv_client_body_fn)(void *arg, const char *data, size_t len);

/**
 * sv_client_new() - make a client; nothing is connected yet
 * @socket: path, or NULL: $SECRETVOLD_SOCKET, else SV_CLIENT_DEFAULT_SOCKET
 *
 * Return: 0 or -ENOMEM; @ret is written on 0 only.
 */
int sv_client_new(const char *socket, struct sv_client **ret);
void sv_client_free(struct sv_client *c); /* NULL is fine */

/* The path that is used; borrowed. */
const char *sv_client_socket(const struct sv_client *c);

/**
 * sv_client_request() - send one request and read its answer
 * @body:       JSON to POST, or NULL for a GET
 * @path:       path and query, percent-encoded: "/v1/volumes?namespace=default"
 * @timeout_ms: of the whole request, 0 for none (watches)
 * @fn:         gets the body of a 200 answer
 *
 * Return: 0, SV_CLIENT_E_* or a negated errno; sv_client_error() has the text.
 */
int sv_client_request(struct sv_client *c, const char *path, const char *body, long timeout_ms,
		      sv_client_body_fn fn, void *arg);

/* HTTP status of the last answer, 0 if there was none. */
int sv_client_status(const struct sv_client *c);

/* One line about the last failure; borrowed, valid until the next request. */
const char *sv_client_error(const struct sv_client *c);

#ifdef __cplusplus
}
#endif

#endif
