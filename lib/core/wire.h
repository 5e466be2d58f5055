/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - what a Kubernetes API server sends: watch events, heads of lists, Status objects
 *
 * Pure. One JSON text in, one decoded piece out. Texts are a server's and may
 * hold Secrets: they appear in no message, and trees are wiped.
 */
#ifndef SV_CORE_WIRE_H
#define SV_CORE_WIRE_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"

enum {
	SV_WIRE_E_SYNTAX = 1, /* not what an API server sends */
};

/* A Status object, or what can be told of an answer that holds none. */
struct sv_wire_status {
	int code;               /* HTTP status code; 0: there was no whole answer */
	char reason[64];        /* "Expired", "Forbidden", …; "" if unknown */
	char message[256];      /* printable; cut where it is longer */
	int64_t retry_after_ms; /* how long the server wants to be left alone; 0: it did not say */
	bool too_large_version; /* the resourceVersion asked for is one it has not reached yet */
	bool terminating; /* nothing is created in the namespace any more: it is being deleted */
};

/* Read the body of an answer whose HTTP status is @code. What is no Status gives just the code. */
void sv_wire_status(const char *text, size_t len, int code, struct sv_wire_status *ret);

enum sv_wire_type {
	SV_WIRE_ADDED,
	SV_WIRE_MODIFIED,
	SV_WIRE_DELETED,
	SV_WIRE_BOOKMARK, /* only the version has moved on */
	SV_WIRE_ERROR,    /* the watch is at its end: status says why */
	SV_WIRE_UNKNOWN,  /* of a type that we do not know */
};

/* One event of a watch, or one item of a list (then of type ADDED). */
struct sv_wire_event {
	enum sv_wire_type type;
	struct json_object *root;     /* owned: wiped by sv_wire_event_done() */
	struct json_object *object;   /* borrowed from root */
	const char *ns, *name;        /* of the object, borrowed; "" where missing */
	const char *version;          /* metadata.resourceVersion, "" where missing */
	struct sv_wire_status status; /* ERROR only */
};

/* Return: 0, SV_WIRE_E_SYNTAX or -ENOMEM; @ret is written on 0 only. */
int sv_wire_event(const char *text, size_t len, struct sv_wire_event *ret, struct sv_err *err);
int sv_wire_item(const char *text, size_t len, struct sv_wire_event *ret, struct sv_err *err);
void sv_wire_event_done(struct sv_wire_event *e); /* all zero is fine */

/* The rest of a list once its items are out. Strings are owned by the caller, "" where missing. */
int sv_wire_list(const char *text, size_t len, char **version, char **token, struct sv_err *err);

/* What the first bytes of an object that was not kept say of its name: "NS/NAME", "NAME" or "". */
void sv_wire_name(const char *head, size_t len, char *ret, size_t size);

/* Do they say that the object was deleted? For the head of a watch event. */
bool sv_wire_deletes(const char *head, size_t len);

/*
 * resourceVersions compared as numbers: < 0, 0 or > 0. Versions are opaque by their
 * definition: where one is not a number they compare as equal, and nothing is concluded.
 */
int sv_wire_compare(const char *a, const char *b);

#define sv_autowire __attribute__((cleanup(sv_wire_event_done)))

#endif
