/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reflector - what to ask an API server next: list, watch, or wait (R80)
 *
 * Pure. It mirrors one selection of objects (this node's Pods, a Secret): a
 * list in pages, then a watch from the list's version, then a watch from where
 * that one ended, or a list again where the server no longer has that version.
 * Whoever sends the requests tells it what came of them.
 *
 * After an outage most versions are too old: a server that starts keeps no history of before, and
 * bookmarks, which come about once a minute, are older than its start. A watch that is told so costs
 * a request for nothing, before the list that it takes in any case; so watches of one kind share what
 * they were told (sv_reflector_is_behind()). List and watch remain: a watch alone may begin with what
 * there is, but does not say that there is nothing, and one list of many Secrets is not allowed to
 * a node (R78).
 *
 * Delays grow from SV_BACKOFF_FIRST_MS to SV_BACKOFF_MAX_MS, with jitter, so
 * that many clients of a server that comes back do not arrive at once.
 */
#ifndef SV_CORE_REFLECTOR_H
#define SV_CORE_REFLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/text.h"
#include "wire.h"

#define SV_LIST_PAGE 500        /* objects of a list that are asked for at once */
#define SV_BACKOFF_FIRST_MS 250 /* most of the first delay */
#define SV_BACKOFF_MAX_MS 30000 /* most of any delay, unless the server asks for more */
#define SV_RETRY_AFTER_MAX_MS 300000
#define SV_WATCH_MIN_MS 1000   /* a watch that ends sooner without an event has failed (R80) */
#define SV_WATCH_TIMEOUT_S 300 /* the server is asked to end a watch after 300 to 599 s */
#define SV_DENIALS_BELIEVED 3  /* a 403 right after binding may be transient (R78) */

/* How fresh a list has to be. */
enum sv_list_from {
	SV_LIST_ANY,    /* resourceVersion=0: whatever the server has in memory */
	SV_LIST_SEEN,   /* not older than what was seen last */
	SV_LIST_NEWEST, /* what is in its store */
};

struct sv_reflector {
	bool listing;   /* the next request is a list, else a watch */
	bool synced;    /* a list was complete once */
	bool fresh;     /* the version is of a list that no watch went on from yet */
	bool reordered; /* an event was older than what was seen before */
	bool rewound; /* the last list was older: the server lost what came after (a restored etcd) */
	enum sv_list_from from;
	char *version;              /* resourceVersion of the newest thing seen; NULL: none */
	char *token;                /* of the list's next page; NULL: the first */
	unsigned failures, denials; /* in a row; a watch that lasts ends the row */
	bool watch_failed;          /* in that row: then a list does not end it */
	unsigned events;            /* of the watch under way */
};

void sv_reflector_init(struct sv_reflector *r, enum sv_list_from first);
void sv_reflector_done(struct sv_reflector *r);

/*
 * Append the parameters of the next request, "limit=500&…" or "watch=true&…".
 * @random: any 32 bits, for the time-out. Lack of memory shows in @b.
 */
void sv_reflector_query(const struct sv_reflector *r, uint32_t random, struct sv_buf *b);

/**
 * sv_reflector_listed() - a page of the list has arrived
 * @version, @token: of the list; "" for none
 *
 * Return: 1 if that was the last page, 0 if another one follows, or -ENOMEM.
 */
int sv_reflector_listed(struct sv_reflector *r, const char *version, const char *token);

enum sv_reflector_verdict {
	SV_EVENT_TAKE,
	SV_EVENT_OLD, /* known already: leave it out */
};

/* An event of the watch under way. Return: enum sv_reflector_verdict, or -ENOMEM. */
int sv_reflector_event(struct sv_reflector *r, const struct sv_wire_event *e);

/**
 * sv_reflector_failed() - a list or watch was refused, was cut, or never answered
 * @status:    what the server said; code 0 if it said nothing
 * @lasted_ms: how long a watch had been under way; 0 for a list or if it never began
 *
 * Return: ms to wait before the next request.
 */
int64_t sv_reflector_failed(struct sv_reflector *r, const struct sv_wire_status *status,
			    int64_t lasted_ms, uint32_t random);

/* The watch came to its regular end after @lasted_ms. Return: ms to wait. */
int64_t sv_reflector_ended(struct sv_reflector *r, int64_t lasted_ms, uint32_t random);

/* List again: what was seen may be wrong, or somebody asks. */
void sv_reflector_restart(struct sv_reflector *r, enum sv_list_from from);

/* What was seen last counts for nothing: its version is not known any more. */
void sv_reflector_forget(struct sv_reflector *r);

/* Does the server say that a version, or a token, is too old? */
bool sv_reflector_is_expired(const struct sv_wire_status *status);

/*
 * Is the next request a watch that would be told so? @expired: a version from which the server could
 * not go on for another selection of the same kind; NULL: none. Right after a list the answer is no.
 */
bool sv_reflector_is_behind(const struct sv_reflector *r, const char *expired);

/* Has the server said often enough that this may not be read? */
bool sv_reflector_is_denied(const struct sv_reflector *r);

/* Full jitter between half of it and all of it; at most SV_BACKOFF_MAX_MS for the n-th failure, from 1. */
int64_t sv_backoff_ms(unsigned failures, uint32_t random);

#endif
