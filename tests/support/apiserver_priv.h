/* SPDX-License-Identifier: Apache-2.0 */
/* apiserver_priv - what the files of the scripted API server share; see apiserver.h */
#ifndef TESTS_APISERVER_PRIV_H
#define TESTS_APISERVER_PRIV_H

#include <json-c/json_object.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/text.h"
#include "apiserver.h"

struct t_world;

struct t_api {
	uv_loop_t *loop;
	uv_tcp_t *listener; /* bound also while it is down, so that nobody else takes the port */
	bool down, deaf, stopping, accept_waits;
	uint16_t port;
	char url[32];
	size_t n_handles; /* that are not closed: the memory waits for them */

	struct t_api_conn *conns;
	size_t n_conns;
	uint64_t n_accepted, n_bad;

	struct t_api_req **log;
	size_t n_log, cap_log;
	uint64_t last_serial;

	t_api_handler handler;
	void *handler_arg;

	struct t_world *world;
	struct t_fault *faults; /* the queue */
};

/* ---- for all: what cannot go on ends the program */

void t_api_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void *t_api_alloc(size_t size); /* zeroed */
char *t_api_strdup(const char *s);
char *t_api_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool t_api_same(const char *a, const char *b); /* NULL is equal to NULL only */

/* Around what the loop calls: see t_api_aside. */
void t_api_enter(bool begins);

/* Handles of the server are counted: uv_close() through t_api_close(), with a callback that frees. */
void t_api_opened(struct t_api *api);
void t_api_closed(struct t_api *api);

/* @late, after a while, unless the request has ended by then. */
void t_api_late(struct t_api_req *req, uint64_t ms, void (*late)(struct t_api_req *req));

/* ---- the world (apiserver_store.c and its siblings) */

struct t_world *t_world_new(struct t_api *api);
void t_world_free(struct t_world *w);
void t_world_classify(struct t_api_req *req); /* fills verb, kind, ns, name, node */
void t_world_answer(struct t_api_req *req);
void t_world_gone(struct t_api_req *req); /* it has ended: its watch goes */

/* The Status that a real server sends with a code to such a request; owned by the caller. */
char *t_status_of(int code, const struct t_api_req *req);

/* ---- faults (apiserver_fault.c) */

/* Takes a fault for the request from the queue. True: it has answered, or never will. */
bool t_fault_take(struct t_api_req *req);
void t_fault_free_all(struct t_api *api);
void t_fault_release(struct t_api_req *req);

/* The world's answers go through these, so that a fault can have its way with them. */
void t_fault_reply(struct t_api_req *req, int status, const char *headers, const char *body,
		   size_t len);

struct t_fault_stream { /* of a watch */
	size_t sent;    /* bytes of the body */
	char *held;     /* REORDER: waits for the next event */
	size_t held_len;
};

/* False: the stream is to stay silent or has ended. */
bool t_fault_begin(struct t_api_req *req, struct t_fault_stream *s);
void t_fault_event(struct t_api_req *req, struct t_fault_stream *s, const char *line, size_t len);

/* What is held back goes out: the stream is about to end. */
void t_fault_flush(struct t_api_req *req, struct t_fault_stream *s);

/* BIG: how long every object has to be; 0 otherwise. */
size_t t_fault_object_size(const struct t_api_req *req);

#endif
