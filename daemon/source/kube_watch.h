/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_watch - one selection of objects of an API server, listed and watched
 *
 * Carries out what lib/core/reflector.h decides: sends the requests when their
 * turn comes, takes the answers apart while they arrive, and waits between them.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_WATCH_H
#define SV_DAEMON_SOURCE_KUBE_WATCH_H

#include <uv.h>

#include "../../lib/core/reflector.h"
#include "../../lib/core/stream.h"
#include "kube_server.h"

#define SV_KUBE_OBJECT_MAX (4 << 20) /* bytes of an object; etcd takes 1.5 MiB */
#define SV_KUBE_STATUS_MAX 65536     /* bytes of an answer that is no success */

enum { SV_KUBE_WATCH_ENOUGH = 101 }; /* apart from what the stream returns */

struct sv_kube_watch;

/* All are called on the loop; only listed() and failed() may call back into the watch or the server. */
struct sv_kube_watch_ops {
	/* A list begins: what is not told until listed() no longer exists. */
	void (*begin)(struct sv_kube_watch *w);
	/*
	 * An object of a list, or a change: ADDED, MODIFIED or DELETED. Return: 0, -ENOMEM, or
	 * SV_KUBE_WATCH_ENOUGH to have the answer end, and no other request follow.
	 */
	int (*event)(struct sv_kube_watch *w, const struct sv_wire_event *e);
	/* An object was too large to be read; @name as far as it could be told: "NS/NAME", "NAME", "". */
	void (*too_large)(struct sv_kube_watch *w, const char *name);
	/* The list was complete. Return: false to leave it at that, without a watch. */
	bool (*listed)(struct sv_kube_watch *w);
	/* A list or watch failed, and will be tried again. @text: printable. */
	void (*failed)(struct sv_kube_watch *w, const struct sv_wire_status *status,
		       const char *text);
};

/* What watches of one kind share. All zero: nothing known. */
struct sv_kube_horizon {
	char *expired; /* the newest version that the server could not go on from; NULL: none */
};

void sv_kube_horizon_done(struct sv_kube_horizon *h); /* or forget: it is another server's */

struct sv_kube_watch {
	const struct sv_kube_watch_ops *ops;
	void *arg; /* the owner's */
	struct sv_kube_server *server;
	struct sv_kube_horizon *horizon; /* NULL: it has none to share; borrowed */
	struct sv_kube_turn turn;
	char *path; /* "/api/v1/pods?fieldSelector=…&": the reflector's parameters follow; owned */
	struct sv_reflector reflector;
	uv_timer_t timer;
	struct sv_http_request *request;
	bool unanswered;     /* the request has no head yet */
	bool listing;        /* the request is a list */
	int code;            /* of the answer; 0: none yet */
	uint64_t generation; /* of the credentials that it was sent with */
	int64_t began_ms;    /* monotonic: when the head came */
	int64_t synced_ms;   /* Unix time of the last complete list; 0: never */
	struct sv_stream stream;
	struct sv_wire_status status; /* of an ERROR event */
	struct sv_buf body;           /* of an answer that is no success */
	void (*closed)(struct sv_kube_watch *w);
};

/*
 * @path is taken; NULL: there is nothing to ask for, and nothing is ever sent. @horizon: may be NULL.
 * Nothing is sent before sv_kube_watch_start().
 */
void sv_kube_watch_init(struct sv_kube_watch *w, struct sv_kube_server *server,
			const struct sv_kube_watch_ops *ops, void *arg,
			struct sv_kube_horizon *horizon, char *path, enum sv_list_from first);
/* Have the next request due after @delay_ms, unless one is under way. */
void sv_kube_watch_start(struct sv_kube_watch *w, int64_t delay_ms);
/* End what is under way and list again. */
void sv_kube_watch_relist(struct sv_kube_watch *w, enum sv_list_from from);
/* End what is under way and be silent until started again. */
void sv_kube_watch_pause(struct sv_kube_watch *w);
/* End everything; @closed is called by the loop, and may free what the watch is in. */
void sv_kube_watch_close(struct sv_kube_watch *w, void (*closed)(struct sv_kube_watch *w));
/* Is a list under way, or about to be asked for? */
bool sv_kube_watch_is_listing(const struct sv_kube_watch *w);
/* Is a watch open, so that what is known is what the server has? */
bool sv_kube_watch_is_live(const struct sv_kube_watch *w);

/* May a name stand in a path or a selector as it is? What the API server takes for a name may. */
bool sv_kube_is_plain(const char *name);

#endif
