/* SPDX-License-Identifier: Apache-2.0 */
/*
 * actual - the volumes this node has: state, last error, retry time
 *
 * A record exists for every volume that is wanted, mounted, or being taken
 * down. Only reconcile.c changes records; everybody reads them.
 */
#ifndef SV_CORE_ACTUAL_H
#define SV_CORE_ACTUAL_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/strmap.h"
#include "object.h"
#include "plan.h"

#define SV_DATA_DIR_MAX 64        /* bytes of a generation's directory name, with the NUL */
#define SV_OLD_GENERATIONS_MAX 64 /* of one volume; then updates wait and merge */
#define SV_RETRY_FIRST_MS 500     /* R57 */
#define SV_RETRY_MAX_MS 122000
#define SV_COVERED_MS 10000 /* until an old generation is looked for again that something covers */
#define SV_OVERDUE_MS 5000  /* an action that takes longer is reported */

enum sv_state {
	SV_STATE_PENDING,   /* wanted; a source has not answered yet, or work has not begun */
	SV_STATE_PUBLISHED, /* mounted, and as asked for last */
	SV_STATE_STALE,     /* mounted with the last good content */
	SV_STATE_REFUSED,   /* not mounted: the input is at fault */
	SV_STATE_FAILED,    /* not mounted: the node is at fault; retried */
	SV_STATE_REMOVING,  /* no longer wanted */
	SV_STATE_UNUSED,    /* no container mounts it (R21) */
	SV_N_STATES,
};

const char *sv_state_name(enum sv_state state); /* "Pending", … */

/* On what a volume lives, and with that: can its content reach swap? */
enum sv_medium {
	SV_MEDIUM_UNKNOWN,
	SV_MEDIUM_TMPFS_NOSWAP, /* never swapped */
	SV_MEDIUM_RAMFS,        /* never swapped; we keep the size limit */
	SV_MEDIUM_TMPFS,        /* may be swapped */
};

const char *sv_medium_name(
	enum sv_medium medium); /* "", "noswap", "ramfs", "none": the field swapSafe */

struct sv_old_generation {
	char data_dir[SV_DATA_DIR_MAX];
	int64_t due_ms; /* monotonic: when it may be removed */
};

struct sv_actual {
	char *id;                      /* see desired.h */
	char *ns, *pod, *volume, *uid; /* "" while unknown (adopted, not yet wanted) */
	char *former_ns, *former_pod;  /* whose by-name link is still there; NULL if none */
	enum sv_volume_type type;
	int origin; /* enum sv_origin of the Pod that wanted it last, -1: none in this life */
	enum sv_state state;
	enum sv_medium medium;
	const char *reason; /* one word of the contract, "" if there is none */
	char *message;      /* owned; NULL for none */
	char *last_error; /* of the last action that failed; stays after a success; NULL for none */
	uint64_t generation;              /* 0: never published */
	int64_t published_ms, updated_ms; /* Unix time; 0: never */
	struct sv_plan *plan; /* what is on disk: files without values; NULL while unknown */
	bool as_planned;      /* and no change of it has begun without being done */
	bool mounted;
	bool covered; /* mounted, but something else is seen at its path */
	bool littered; /* not mounted, and after a failure something of it may be on disk all the same */
	/* work */
	bool busy;              /* an action is under way */
	bool cleaning;          /* that action removes old generations, no more */
	bool resists;           /* the last such action left some that were to go */
	bool overdue;           /* it takes long, and state, reason and message say so */
	bool input;             /* what is wanted may have changed since the last action began */
	bool full;              /* no room for a new generation until an old one has gone */
	bool queued;            /* to be looked at */
	bool timed;             /* in the set's list of records with something due */
	unsigned failures;      /* in a row */
	int64_t busy_since_ms;  /* monotonic */
	int64_t changed_us;     /* monotonic: when the oldest change came that waits; 0: none */
	int64_t retry_ms;       /* monotonic; 0: none */
	struct sv_actual *next; /* in the queue */
	struct sv_old_generation *old;
	size_t n_old;
	struct {
		enum sv_state state;
		const char *reason;
		char *message;
	} before; /* overdue: what they were */
};

struct sv_actual_queue {
	struct sv_actual *head, **tail;
};

struct sv_actuals {
	struct sv_strmap records;         /* id -> struct sv_actual */
	struct sv_actual_queue queues[2]; /* what is to go, and the rest */
	struct sv_actual **timed;         /* records with a retry or old generations; unordered */
	size_t n_timed, cap_timed;
	int64_t woken_ms; /* monotonic: what was due by then has been enqueued */
};

void sv_actuals_init(struct sv_actuals *s);
void sv_actuals_done(struct sv_actuals *s);

struct sv_actual *sv_actuals_get(const struct sv_actuals *s, const char *id);
/* The record of an id, made if need be. NULL for lack of memory. */
struct sv_actual *sv_actuals_make(struct sv_actuals *s, const char *id);
/* Forget a record; it must be neither busy nor queued. */
void sv_actuals_drop(struct sv_actuals *s, struct sv_actual *a);

/* Have a record looked at; once is enough. @urgent: before those that are not. */
void sv_actuals_enqueue(struct sv_actuals *s, struct sv_actual *a, bool urgent);
/* The next one to look at, or NULL. */
struct sv_actual *sv_actuals_dequeue(struct sv_actuals *s);

/* Remember that something will be due for this record. */
void sv_actuals_note_time(struct sv_actuals *s, struct sv_actual *a);
/* Enqueue every record with something due. Return: as sv_actuals_wait(). */
int64_t sv_actuals_wake(struct sv_actuals *s, int64_t now_ms);
/* ms until the next thing that the last sv_actuals_wake() has not seen is due; -1 if there is none. */
int64_t sv_actuals_wait(const struct sv_actuals *s, int64_t now_ms);

#endif
