/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apiserver - a scripted Kubernetes API server on the test's own libuv loop
 *
 * Plain HTTP/1.1 on 127.0.0.1, no thread, no sleep: what a test calls has
 * happened when the call returns (bytes that the socket has no room for follow
 * as the loop runs). Two layers:
 *
 * - Raw: every request is logged, and a test's handler may answer it byte by
 *   byte, late, half or never.
 * - A world of Pods, Secrets and Events with versions and a history, which
 *   answers list, get, watch and the posting of events as a real server does,
 *   and on bad days by queued faults.
 *
 * A misuse and a lack of memory end the program with a message on stderr:
 * libcheck then counts an error. Nothing here needs libcheck.
 *
 * Checked against kube-apiserver v1.20.2 with Debian 12's etcd, which
 * tests/e2e/test_apiserver_fidelity.py does again wherever there is one:
 *
 * - Lists: an unset version, and any with limit, is answered by etcd: in order, paged, at the
 *   world's version (or exactly at the one asked for; a future one is a 500, a compacted one a 410).
 *   Version 0, and a version without limit, is answered by the watch cache: in no order, limit
 *   ignored, at the version of the last change *of that kind*; a higher one is a 504 with the cause
 *   ResourceVersionTooLarge (a real server first waits 3 s for it; this one does not). A selector for
 *   one name is answered at the current version whatever is asked, unless resourceVersionMatch=Exact;
 *   the list says that it is of the current version even then.
 * - continue: with a version other than 0 a 400; expired a 410 that carries a token for an
 *   inconsistent rest. remainingItemCount only without a selector. A page ends with a token
 *   whenever keys are left, also if none of them matches: a last page may be empty.
 * - Items of a list have no kind and apiVersion, objects of events and of get have.
 * - Watches: no version, or 0: an ADDED for all there is, then changes. A future version: silence
 *   until the changes pass it. One that is too old: status 200 and one ERROR event with a Status 410.
 *   DELETED has the last content and the version of the deletion; an object that a change moves
 *   out of (into) the selection is DELETED (ADDED). The time-out ends the body cleanly.
 * - Bookmarks: only where allowed, only metadata.resourceVersion set, of the kind's last change.
 *   (A real server sends one about every minute and 2 s before the time-out; here a test does.)
 * - An update that changes nothing makes no version and no event.
 * - Texts of 400, 401, 403 (node authorizer, anonymous), 404, 405, 409, 410, 415, 422, 500, 504.
 * - Events: POST answers 201 or 409, PATCH (merge and strategic merge) 200 or 404.
 *
 * Not checked: the texts of 429, 500 InternalError and 503 that faults send.
 * Unlike a real server: every namespace exists, secrets and pods are written by the test only.
 */
#ifndef TESTS_APISERVER_H
#define TESTS_APISERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct t_api;
struct t_api_conn;

/* ---- the server ---------------------------------------------------------------------------- */

/* Listens on a free port of 127.0.0.1. SIGPIPE is ignored from now on. */
struct t_api *t_api_new(uv_loop_t *loop);

/* Cuts all connections and closes; the memory goes when the loop has run. NULL is fine. */
void t_api_stop(struct t_api *api);

uint16_t t_api_port(const struct t_api *api);
const char *t_api_url(const struct t_api *api); /* "http://127.0.0.1:PORT"; borrowed */

/* Connections are cut (FIN) and new ones refused, until t_api_up() listens on the same port. */
void t_api_down(struct t_api *api);
void t_api_up(struct t_api *api);

/* Accepts no connection, but refuses none: a client waits, as behind a dead load balancer. */
void t_api_deaf(struct t_api *api, bool deaf);

enum t_api_cut {
	T_API_FIN, /* an orderly end of the connection, in an improper place */
	T_API_RST, /* a connection reset */
};

/* Ends every open connection, those of idle clients too. */
void t_api_cut_all(struct t_api *api, enum t_api_cut how);

size_t t_api_n_connections(const struct t_api *api);    /* open now */
uint64_t t_api_n_accepted(const struct t_api *api);     /* since the start */
size_t t_api_n_watches(const struct t_api *api);        /* open now, of the world */
uint64_t t_api_n_bad_requests(const struct t_api *api); /* that were no HTTP/1.1 */

/*
 * Runs the loop until @done says so. Ends the program with @what on stderr after 60 s: a test that
 * waits for something that never comes fails, at whatever speed the machine has.
 */
void t_api_until(struct t_api *api, bool (*done)(void *arg), void *arg, const char *what);

/* ---- requests ------------------------------------------------------------------------------ */

struct t_api_pair {
	char *name, *value; /* decoded; of headers, the name in lower case */
};

/*
 * A request in the log. A watch is a request with verb "watch"; a list or watch for one name by
 * fieldSelector has that name.
 */
struct t_api_req {
	uint64_t serial;     /* 1, 2, … of this server */
	uint64_t connection; /* 1, 2, … in order of acceptance */
	uint64_t at_ns;      /* uv_hrtime() when it was complete */
	char *method, *path; /* path without query, percent-decoded */
	char *target;        /* path and query as sent */
	struct t_api_pair *query, *headers;
	size_t n_query, n_headers;
	char *body; /* NUL-terminated; "" if there is none */
	size_t body_len;

	/* What it asks of the API; "" and NULL where it is none of the API's forms. */
	const char *verb; /* get list watch create patch update delete */
	const char *kind; /* pods secrets events version */
	char *ns, *name, *node;

	int status; /* it was answered with; 0: not yet, or never */
	bool ended; /* nothing more will be sent: complete, cut, or the client has gone */

	struct t_api_conn *conn; /* NULL once it has ended */
	struct t_api *api;
	struct t_api_fault *fault; /* that was taken from the queue for it; owned */
	struct t_api_drip *drip;
	void *watch;  /* of the world */
	bool chunked; /* t_api_begin() was called */
};

/* The log, oldest first; pointers live until t_api_clear_log() or the end. @i < t_api_n_requests(). */
size_t t_api_n_requests(const struct t_api *api);
struct t_api_req *t_api_request(const struct t_api *api, size_t i);
struct t_api_req *t_api_last(const struct t_api *api); /* NULL if there is none */

/* Forgets requests that have ended; the others stay. Serials go on. */
void t_api_clear_log(struct t_api *api);

/* A query parameter or a header (by its name in lower case); NULL if it is absent. Borrowed. */
const char *t_api_query(const struct t_api_req *req, const char *name);
const char *t_api_header(const struct t_api_req *req, const char *name);

/* How many requests in the log have this verb, kind and name. NULL: any. */
size_t t_api_count(const struct t_api *api, const char *verb, const char *kind, const char *name);

/* The newest such request, or NULL. */
struct t_api_req *t_api_find(const struct t_api *api, const char *verb, const char *kind,
			     const char *name);

/* Told when the loop calls the server and when that is done, if it is set: not what is tested. */
extern void (*t_api_aside)(bool begins);

/* ---- a handler of the test's own ----------------------------------------------------------- */

/*
 * Called for each request before faults and the world see it. True: the handler answers, now or
 * later, with the functions below, or lets it hang by doing nothing. False: the world answers.
 */
typedef bool (*t_api_handler)(void *arg, struct t_api_req *req);
void t_api_handle(struct t_api *api, t_api_handler handler, void *arg);

/*
 * All of these do nothing to a request that has ended. @headers: further lines, each with "\r\n", or
 * NULL; without a Content-Type it is application/json. NUL-terminated texts where no length is given.
 */
void t_api_reply(struct t_api_req *req, int status, const char *headers, const char *body,
		 size_t len);
void t_api_begin(struct t_api_req *req, int status, const char *headers); /* chunked */
void t_api_send(struct t_api_req *req, const void *data, size_t len);     /* one chunk */
void t_api_end(struct t_api_req *req);                                    /* the last chunk */

/* Bytes on the connection as they are, no framing. For a part of an answer, or no HTTP at all. */
void t_api_raw(struct t_api_req *req, const void *data, size_t len);

/* Ends the connection where it is; what was sent is sent first if it is a FIN. */
void t_api_cut(struct t_api_req *req, enum t_api_cut how);

/* The body (after t_api_begin()) in chunks of @step bytes, one every @every_ms, then the end. */
void t_api_drip(struct t_api_req *req, const void *data, size_t len, size_t step,
		uint64_t every_ms);

/* ---- the world: objects -------------------------------------------------------------------- */

/*
 * Kinds are "pods" and "secrets" (and "events", which clients make). A key is "NAME", in namespace
 * default, or "NS/NAME". Every change makes a version, which is returned; it starts at 95, so that
 * whoever compares versions as texts finds out soon.
 */

/*
 * Creates or replaces the object in a JSON text with its kind and metadata.name. Filled in as by the
 * real server: namespace default, uid, resourceVersion, creationTimestamp, type Opaque,
 * defaultMode 420 of secret and projected volumes; stringData becomes data.
 */
uint64_t t_api_put(struct t_api *api, const char *json);

/* "username=my-app password=39528$vdg7Jb"; an "!immutable" or "!type=T" sets that field. */
uint64_t t_api_put_secret(struct t_api *api, const char *key, const char *keys);

/* A Secret with one key "data" of @n bytes. */
uint64_t t_api_put_big_secret(struct t_api *api, const char *key, size_t n);

/*
 * A running Pod with one container that mounts each of "vol=secret vol=secret?" at /VOL ('?':
 * optional). @node may be NULL: not bound.
 */
uint64_t t_api_put_pod(struct t_api *api, const char *key, const char *node, const char *volumes);

/* Applies a JSON merge patch (RFC 7386) to an object that exists. */
uint64_t t_api_edit(struct t_api *api, const char *kind, const char *key, const char *patch);

/* Sets deletionTimestamp (MODIFIED), as a graceful deletion begins. */
uint64_t t_api_terminate(struct t_api *api, const char *key);

/* The object must exist. */
uint64_t t_api_delete(struct t_api *api, const char *kind, const char *key);

/* JSON of an object as get would answer, or NULL if there is none. Owned by the caller. */
char *t_api_get(const struct t_api *api, const char *kind, const char *key);

/* Objects of a kind that exist now. */
size_t t_api_n_objects(const struct t_api *api, const char *kind);

uint64_t t_api_version(const struct t_api *api);
uint64_t t_api_compacted(const struct t_api *api); /* history begins there; 0: at the start */

/* Lets the version jump: other objects of the cluster have changed. @version is not lower. */
void t_api_set_version(struct t_api *api, uint64_t version);

/*
 * History up to @version expires: lists at an older version and older continue tokens are a 410, a
 * watch from an older version gets an ERROR event. 0: up to now.
 */
void t_api_compact(struct t_api *api, uint64_t version);

/*
 * The world becomes what it was at @version (not compacted), and goes on from there: as after etcd
 * was restored from a backup. All connections are cut.
 */
void t_api_restore(struct t_api *api, uint64_t version);

/* ---- the world: who may read --------------------------------------------------------------- */

/*
 * From now on everybody is system:node:@node, and a Secret may be read only by its name and while
 * a Pod bound to the node refers to it (mirror Pods do not count). The first @denials requests for a
 * Secret that would be allowed are denied as well, as right after a binding; anew when the last
 * reference has gone and one comes again. @node NULL: everybody may read everything.
 */
void t_api_authorize_node(struct t_api *api, const char *node, unsigned denials);

/* Whoever sends another bearer token gets a 401, and without one is anonymous: 403. NULL: no matter. */
void t_api_require_token(struct t_api *api, const char *token);

/* ---- the world: open watches --------------------------------------------------------------- */

/* These act on all open watches of @kind that may see @key (NULL: all of that kind). */

/* A bookmark, to those that allow them. @version 0: of the kind's last change. Return: how many. */
size_t t_api_bookmark(struct t_api *api, const char *kind, const char *key, uint64_t version);

/* Bytes as one chunk, complete or not: an event out of order, garbage, half a line. */
void t_api_watch_send(struct t_api *api, const char *kind, const char *key, const char *text);

/* An event of any type with any object: no version is made. */
void t_api_watch_event(struct t_api *api, const char *kind, const char *key, const char *type,
		       const char *object);

/* An ERROR event with a Status of @code, and the end. */
void t_api_watch_error(struct t_api *api, const char *kind, const char *key, int code);

void t_api_watch_end(struct t_api *api, const char *kind, const char *key); /* as by a time-out */
void t_api_watch_cut(struct t_api *api, const char *kind, const char *key, enum t_api_cut how);

/* ---- faults -------------------------------------------------------------------------------- */

enum t_api_what {
	T_API_STATUS, /* .status with a Status body (or .body) and .headers; 429 has Retry-After */
	T_API_CUT,    /* the connection ends before anything was done or answered */
	T_API_LOSE,   /* the world acts, the connection ends in place of the answer */
	T_API_CUT_AFTER, /* the connection ends after .bytes of the body */
	T_API_HANG,      /* nothing is ever answered */
	T_API_HANG_BODY, /* the header, and nothing more */
	T_API_GARBAGE,   /* .body (or some garbage) as the body; to a watch, as its first line */
	T_API_HALF,      /* half the body, then a clean end; of a watch, half the first event */
	T_API_TWICE,     /* watch: every event twice */
	T_API_REORDER,   /* watch: events in pairs, the later one first */
	T_API_UNKNOWN,   /* watch: an event of type "EXPLODED" before the first */
	T_API_ERROR,     /* watch: status 200, one ERROR event with a Status of .status, the end */
	T_API_BIG,       /* every object is at least .bytes long */
	T_API_REDIRECT,  /* 302 to .body, a URL */
	T_API_DRIP,      /* the body in chunks of .bytes, one every .every_ms; not of a watch */
	T_API_LATE,      /* answered as usual, but .every_ms later */
	T_API_RAW,       /* .body instead of an answer, then the end of the connection */
};

struct t_api_fault {
	enum t_api_what what;
	const char *verb, *kind, *name; /* requests that it is for; NULL: any */
	unsigned skip;                  /* that many of them pass first */
	unsigned times;                 /* for how many of them; 0: one */
	bool forever;
	enum t_api_cut how;
	int status;
	unsigned retry_after_s;
	size_t bytes;
	uint64_t every_ms;
	const char *body, *headers; /* copied */
};

/* The first fault in the queue that fits takes the request. */
void t_api_fault(struct t_api *api, const struct t_api_fault *fault);
void t_api_clear_faults(struct t_api *api);
size_t t_api_n_faults(const struct t_api *api); /* that wait for requests */

/* By name, "status" to "raw" with '_'; false if there is no such fault. */
bool t_api_what(const char *name, enum t_api_what *ret);

#endif
