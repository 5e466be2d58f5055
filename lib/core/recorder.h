/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder - which Events about Pods to write to an API server, and when
 *
 * Pure. It is told what happened, and says which request to send next: a new
 * Event, or a patch that counts a repetition up. As client-go does it: what
 * repeats is one Event with a count; many different texts of one reason become
 * one "(combined from similar events)"; a Pod has a bucket of tokens, of which
 * every Event and every patch takes one. Repetitions are patched at growing
 * distances, the last one always in the end.
 *
 * Rights may be given per namespace: where the server denies an Event, nothing is recorded of
 * that namespace for SV_RECORDER_OFF_MS. The Event that was denied is kept and then tried again, to
 * find out whether the right is there now.
 *
 * Memory is bounded: SV_RECORDER_KNOWN_MAX Events are remembered (of those
 * forgotten a repetition becomes a new one), SV_RECORDER_WAITING_MAX wait.
 *
 * Times are ms of one monotonic clock (@now_ms) and Unix time (@unix_ms).
 */
#ifndef SV_CORE_RECORDER_H
#define SV_CORE_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/strmap.h"
#include "object.h"
#include "wire.h"

#define SV_RECORDER_KNOWN_MAX 1024
#define SV_RECORDER_WAITING_MAX 256
#define SV_RECORDER_UNDER_WAY_MAX 4
#define SV_RECORDER_SIMILAR_MAX 10       /* texts of one reason for one Pod … */
#define SV_RECORDER_SIMILAR_MS 600000    /* … that were heard within this time stay apart */
#define SV_RECORDER_BURST 25             /* tokens of a Pod */
#define SV_RECORDER_TOKEN_MS 300000      /* until it gets one more */
#define SV_RECORDER_REPEAT_FIRST_MS 1000 /* between an Event and its first patch; then it doubles */
#define SV_RECORDER_REPEAT_MAX_MS 300000
#define SV_RECORDER_TRY_MS 300000    /* from the first try of a request to the last */
#define SV_RECORDER_OFF_MS 600000    /* nothing is recorded of a namespace that was denied */
#define SV_RECORDER_DENIED_MAX 64    /* such namespaces; when so many are, so are all others */
#define SV_RECORDER_MESSAGE_MAX 1024 /* bytes of a text with its NUL; longer ones end in "…" */
#define SV_RECORDER_COMPONENT "secretvold"

struct sv_recorded; /* an Event that is known */

struct sv_recorder_counts {
	uint64_t sent;    /* Events and patches that the server has taken */
	uint64_t denied;  /* that it answered with 403 */
	uint64_t failed;  /* that it refused otherwise, or did not take in SV_RECORDER_TRY_MS */
	uint64_t dropped; /* that were never sent: too many, or of a namespace that was denied */
	uint64_t
		combined; /* what was noted that became part of a "(combined from similar events)" */
};

struct sv_recorder {
	char *node;
	struct sv_strmap known; /* key -> struct sv_recorded */
	struct sv_strmap pods;  /* key -> what their Events share */
	struct sv_recorded *waiting;
	size_t n_waiting;
	unsigned n_under_way;
	unsigned failures; /* in a row */
	int64_t pause_ms;  /* until then nothing is sent */
	size_t n_denied;   /* namespaces: of each the Event that was denied first is kept */
	unsigned serial;   /* of names */
	struct sv_recorder_counts counts;
};

/* Return: 0 or -ENOMEM. @node: whose daemon says so; copied. */
int sv_recorder_init(struct sv_recorder *r, const char *node);
void sv_recorder_done(struct sv_recorder *r);

/**
 * sv_recorder_note() - something happened to a Pod
 * @pod:     borrowed; its Events outlive it
 * @reason:  a constant, which says whether it is a warning
 * @message: becomes one printable line
 *
 * Return: 0 (it may have been dropped), or -ENOMEM: it is not recorded.
 */
int sv_recorder_note(struct sv_recorder *r, const struct sv_pod *pod, bool warning,
		     const char *reason, const char *message, int64_t now_ms, int64_t unix_ms);

struct sv_recorder_request {
	struct sv_recorded *event; /* for sv_recorder_answered(), which must follow */
	bool create;               /* POST, else PATCH (a merge patch) */
	char *path, *body;         /* owned by the caller */
};

enum {
	SV_RECORDER_E_NONE = 1, /* nothing to send now: see sv_recorder_wait() */
};

/* What to send now. Return: 0, SV_RECORDER_E_NONE or -ENOMEM; @ret is written on 0 only. */
int sv_recorder_next(struct sv_recorder *r, int64_t now_ms, int64_t unix_ms,
		     struct sv_recorder_request *ret);

/* ms until sv_recorder_next() may have something; -1: not before it hears something. */
int64_t sv_recorder_wait(const struct sv_recorder *r, int64_t now_ms);

enum sv_recorder_verdict {
	SV_RECORDER_TAKEN,
	SV_RECORDER_AGAIN, /* it is tried again */
	SV_RECORDER_GIVEN_UP, /* it is not: the server would say the same, or has been asked for long */
	SV_RECORDER_DENIED, /* we lack the right in its namespace */
};

/*
 * A request has ended. @status: code 0 if there was no answer; a Retry-After of its header counts as
 * one of the Status. @random: for the delay. What comes of it may be sent by now or have to wait.
 */
enum sv_recorder_verdict sv_recorder_answered(struct sv_recorder *r, struct sv_recorded *event,
					      const struct sv_wire_status *status, int64_t now_ms,
					      uint32_t random);

/* How many namespaces are denied, as far as known. @ret: the name of one, borrowed; "" if none is. */
size_t sv_recorder_denied(const struct sv_recorder *r, const char **ret);

#endif
