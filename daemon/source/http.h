/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - requests to an API server: libcurl's multi interface on the loop
 *
 * Many requests stay open for minutes (watches). With HTTP/2 they share as few
 * connections as the server allows. How many streams a connection takes is the
 * server's secret, and libcurl lets what is over it wait without a word; so
 * requests are counted by connection, and when some wait although nothing moves,
 * more connections are allowed: see sv_http_adapt().
 *
 * Redirects are not followed: credentials go to the configured server only.
 */
#ifndef SV_DAEMON_SOURCE_HTTP_H
#define SV_DAEMON_SOURCE_HTTP_H

#include <uv.h>

#include "../../lib/core/wire.h"
#include "kube_auth.h"

#define SV_HTTP_CONNECT_MS 10000 /* for a connection, TLS included */
#define SV_HTTP_ANSWER_MS 15000  /* from the request to the head of its answer */
#define SV_HTTP_CONNECTIONS_MAX 1024
/* How a request ends that could have no socket. */
#define SV_HTTP_CONFINED                                                                      \
	"this process may not use the network: the unit of the service needs a drop-in with " \
	"RestrictAddressFamilies=AF_INET AF_INET6"

enum sv_http_verb { SV_HTTP_GET, SV_HTTP_LIST, SV_HTTP_WATCH, SV_HTTP_CREATE, SV_HTTP_PATCH };
#define SV_HTTP_N_VERBS 5
#define SV_HTTP_N_CLASSES 6 /* of status: 1xx to 5xx; 0: no answer */

struct sv_http_counts {
	uint64_t answers[SV_HTTP_N_VERBS][SV_HTTP_N_CLASSES];
	uint64_t requests;    /* handed to libcurl */
	unsigned open;        /* requests under way */
	unsigned connections; /* that carry at least one request */
	unsigned allowed;     /* connections that libcurl may make */
};

/* How many connections requests are spread over, looked at now and then. */
struct sv_http_load {
	unsigned open;        /* requests under way */
	unsigned unsent;      /* of these, without a connection */
	unsigned connections; /* that carry at least one request */
	unsigned fullest;     /* requests on the one of these that has most */
	bool moving; /* since the last look a request was sent, or a connection is being made */
	unsigned streams; /* most requests that one connection is known to take; 0: not known */
	unsigned allowed; /* connections; at least 1 */
};

/*
 * Pure: sets @allowed, and @streams if it turns out to be wrong. More are allowed when requests wait
 * although nothing moves, as many at once as they need by what a connection was seen to take at
 * any time: those that are left after others were lost carry less than they could. Where that
 * would be room enough, it is believed half as much. Fewer are allowed when less than half is needed,
 * since a server that is full lets libcurl make all that are allowed.
 */
void sv_http_adapt(struct sv_http_load *load);

struct sv_http;
struct sv_http_request;

struct sv_http_end {
	int code;
	bool whole;             /* the answer came to its regular end */
	bool silent;            /* nothing came within the time for it */
	int refused;            /* what data() returned, 0 */
	int64_t retry_after_ms; /* of the Retry-After header; 0: none */
	const char *text;       /* why it is not whole, printable; "" */
};

struct sv_http_call {
	enum sv_http_verb verb;
	const char *
		path; /* with its query, from the server's root: "/api/v1/…"; borrowed for the call */
	const char *body; /* for CREATE and PATCH, copied; else NULL */
	int64_t limit_ms; /* for the whole request; 0: none but the limit for the head */
	/*
	 * The head of the answer is there. Then its body, piece by piece; data() returns 0, or
	 * whatever else to have the request end. Neither may call into http. May be NULL.
	 */
	void (*head)(void *arg, int code);
	int (*data)(void *arg, const char *ptr, size_t len);
	/*
	 * Once, and the last call: how it ended. @code is 0 if no head came, @text then says why ("" if
	 * the answer came to its regular end). @refused: what data() returned. New calls may be made.
	 */
	void (*done)(void *arg, const struct sv_http_end *end);
	void *arg;
};

/* Return: 0 or a negated errno. */
int sv_http_new(uv_loop_t *loop, struct sv_http **ret, struct sv_err *err);
/* Ends all requests without a call, and closes the handles; free() comes after the loop has run out. */
void sv_http_stop(struct sv_http *h);
void sv_http_free(struct sv_http *h); /* NULL is fine */

/* Server and credentials for requests that begin from now on: copied. Return: 0 or -ENOMEM. */
int sv_http_set_access(struct sv_http *h, const struct sv_kube_access *access);

/* Begin a request: in a moment, never before this returns. NULL for lack of memory. */
struct sv_http_request *sv_http_start(struct sv_http *h, const struct sv_http_call *call);
/* End it, without a call to done(). Not from within head() or data(). */
void sv_http_cancel(struct sv_http *h, struct sv_http_request *r);

/* Give up every connection: requests under way end with code 0 or as cut. */
void sv_http_reset(struct sv_http *h, const char *why);

/* When the server was last heard: monotonic, ms; 0: never. */
int64_t sv_http_heard_ms(const struct sv_http *h);
struct sv_http_counts sv_http_counts(const struct sv_http *h);

#endif
