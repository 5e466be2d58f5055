/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile - (desired, actual, now) to actions, and results back into state
 *
 * Pure: an action is data that somebody carries out elsewhere. One action per
 * volume at a time. A refusal waits for new input; a failure of the node is
 * retried with back-off (R57); a failed update leaves what is mounted alone
 * (section 7.1 of the contract).
 */
#ifndef SV_CORE_RECONCILE_H
#define SV_CORE_RECONCILE_H

#include "actual.h"
#include "desired.h"

enum sv_action_kind {
	SV_ACTION_SYNC,   /* make the volume as the plan says, mounted or not yet */
	SV_ACTION_CLEAN,  /* remove generations whose grace has passed */
	SV_ACTION_REMOVE, /* empty it, unmount it, remove its directories */
};

/* What went wrong on the node, as the word that the status shows. */
enum sv_fault {
	SV_FAULT_NONE,
	SV_FAULT_MOUNT,    /* MountFailed */
	SV_FAULT_WRITE,    /* WriteFailed */
	SV_FAULT_OCCUPIED, /* Busy: something that is not ours stands at the volume's path */
	SV_FAULT_SWAP,     /* SwapNotSafe: a refusal */
};

struct sv_action {
	enum sv_action_kind kind;
	char *id;                        /* the volume's path below the root directory */
	char *ns, *pod, *volume;         /* for the by-name link; "" if not known */
	char *former_ns, *former_pod;    /* names it was linked by before; NULL or "": none */
	struct sv_plan *plan;            /* SYNC: owned, holds its Secrets */
	bool mounted;                    /* what the record says */
	size_t size_limit;               /* SYNC: bytes of payload that a volume may have */
	uint64_t generation;             /* SYNC: of the new content, if new content is written */
	struct sv_old_generation *clean; /* CLEAN: which ones */
	size_t n_clean;
	bool wipe; /* CLEAN: overwrite their content; not where a container may hold a part of it (R62) */
	int64_t since_us; /* SYNC: the record's changed_us, which it takes along; 0: none */

	/* The result, filled in by whoever carries the action out. */
	int result; /* 0, < 0 a negated errno, > 0 a refusal */
	enum sv_fault fault;
	struct sv_err err;
	int64_t duration_us; /* how long it took */
	int64_t ended_us;    /* monotonic; 0: it never began */
	bool is_mounted;     /* SYNC, REMOVE: afterwards */
	bool covered;        /* SYNC: it is mounted, and not seen: something covers it */
	bool changed;        /* SYNC: a new generation was written */
	uint64_t current;    /* SYNC: the generation that is there now */
	int64_t current_ms,
		born_ms; /* SYNC: when it was made, when the volume was; Unix time, 0: unknown */
	enum sv_medium medium;
	bool listed; /* SYNC: `old` is all there is */
	struct sv_old_generation
		*old; /* other generations that are there; CLEAN: that resisted; owned */
	size_t n_old;
};

void sv_action_free(struct sv_action *a); /* NULL is fine */

struct sv_reconcile_opts {
	size_t volume_size_limit; /* bytes */
	int64_t grace_ms;         /* how long an old generation stays */
};

/* What became of a record, for logs, events and watchers. */
enum sv_outcome {
	SV_OUTCOME_NONE,      /* nothing that anybody would want to hear of */
	SV_OUTCOME_STATE,     /* state, reason or message differ */
	SV_OUTCOME_PUBLISHED, /* first time */
	SV_OUTCOME_UPDATED,   /* a new generation */
	SV_OUTCOME_ADOPTED,   /* found as wanted after a start */
	SV_OUTCOME_FAILED,    /* one more failure or refusal */
	SV_OUTCOME_REMOVED,   /* the record is to be dropped */
};

/**
 * sv_reconcile_start() - decide about one record
 * @now_ms: monotonic time
 * @ret:    an action to be carried out, owned by the caller; NULL if there is nothing to do
 *
 * Return: what became of the record (never PUBLISHED, UPDATED or ADOPTED). With REMOVED the
 * caller drops the record. Lack of memory counts as a failure of the node.
 */
enum sv_outcome sv_reconcile_start(const struct sv_desired *d, struct sv_actuals *s,
				   struct sv_actual *a, const struct sv_reconcile_opts *opts,
				   int64_t now_ms, struct sv_action **ret);

/**
 * sv_reconcile_overdue() - the action of a record takes long
 * @begun: by a thread that does not come back; else it waits for one
 *
 * State and message say so until the action has come to its end: the reason is Busy. What
 * the volume holds is as before, and whatever else is wanted of it waits.
 */
enum sv_outcome sv_reconcile_overdue(const struct sv_desired *d, struct sv_actual *a, bool begun);

/**
 * sv_reconcile_finish() - take in the result of an action
 * @action:  carried out; its plan is taken
 * @unix_ms: for the report
 *
 * The record is enqueued again if it has to be looked at.
 */
enum sv_outcome sv_reconcile_finish(const struct sv_desired *d, struct sv_actuals *s,
				    struct sv_actual *a, struct sv_action *action,
				    const struct sv_reconcile_opts *opts, int64_t now_ms,
				    int64_t unix_ms);

/* A volume that was found mounted at the start. */
struct sv_adopted {
	const char *id;
	const char *ns, *pod; /* as its by-name link says, "" if there is none */
	enum sv_medium medium;
	uint64_t generation; /* that ..data points to; 0: unknown, as the volume is covered, say */
	int64_t current_ms, born_ms; /* Unix time of that generation and of the mount; 0: unknown */
	struct sv_old_generation *old; /* owned; due_ms is not set */
	size_t n_old;
};

/**
 * sv_reconcile_adopt() - make the record of a volume that was found
 * @found:  its list of old generations is taken
 * @due_ms: monotonic: when they may be removed
 *
 * Return: the record, or NULL for lack of memory.
 */
struct sv_actual *sv_reconcile_adopt(struct sv_actuals *s, struct sv_adopted *found,
				     int64_t due_ms);

/* The record learns whose it is. Return: 0 or -ENOMEM. */
int sv_reconcile_identify(struct sv_actual *a, const struct sv_wanted *w);

/* The word for a SV_PLAN_E_* refusal: "SecretNotFound", … */
const char *sv_reconcile_reason(int refusal);

#endif
