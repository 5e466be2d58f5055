/* SPDX-License-Identifier: Apache-2.0 */
/*
 * desired - Pods and Secrets heard of, to the volumes this node should have
 *
 * Pure bookkeeping: sources put and remove objects, and every change that may
 * matter to a volume is told by the volume's id, so that an event costs what it
 * touches and not what there is.
 *
 * Values of Secrets that can be had again are forgotten (sv_desired_forget(),
 * called when no work is left), and asked for when a plan or an environment
 * needs them. What is kept is decided by where a Secret comes from.
 *
 * A volume's id is its path below the root directory (R30):
 * pods/UID/volumes/kubernetes.io~secret/NAME, or kubernetes.io~projected.
 */
#ifndef SV_CORE_DESIRED_H
#define SV_CORE_DESIRED_H

#include <stdint.h>

#include "../base/strmap.h"
#include "env.h"
#include "object.h"
#include "plan.h"

/* Are values kept once what waited for them is done? */
enum sv_keep {
	SV_KEEP_AUTO, /* a manifest is there to be read again; an API server may be out of reach */
	SV_KEEP_ALWAYS, /* of either origin */
	SV_KEEP_NEVER,
};

/* Bytes of values that may wait to be used, beside those of the file that was read last. */
#define SV_VALUES_MAX (3 << 20)

/**
 * sv_refill_fn - asked for the values of a hollow Secret
 * @secret: known under its name, or an older version that a volume keeps
 * @err:    text for results other than 0
 *
 * Return: 0: sv_desired_fill() was called for it; SV_PLAN_E_PENDING: they will be put or offered, or
 * sv_desired_look_again() called; SV_PLAN_E_UNAVAILABLE: they cannot be had; or a negated errno.
 */
typedef int (*sv_refill_fn)(void *arg, enum sv_origin origin, struct sv_secret *secret,
			    struct sv_err *err);

/* One secret or projected volume of a Pod that is not terminated (R24). */
struct sv_wanted {
	char *id;
	enum sv_origin origin;
	struct sv_pod *pod;          /* counted */
	const struct sv_volume *vol; /* of that Pod */
	bool used;                   /* a container mounts it (R21) */
	struct sv_secret *
		*pins; /* immutable Secrets it was published from (section 7.7 of the contract) */
	size_t n_pins;
};

/* A Secret, or just a name that volumes refer to. */
struct sv_desired_secret {
	char *key; /* "NS/NAME" */
	enum sv_origin origin;
	struct sv_secret *secret; /* counted; NULL while there is none */
	char *refused;            /* why the one that exists is invalid, or NULL */
	bool absent;              /* its source has said that there is none */
	int trouble;              /* SV_PLAN_E_FORBIDDEN, _UNAVAILABLE, or 0 */
	char *trouble_text;       /* goes with it, or NULL */
	bool asked;               /* it, or its values, were asked for in vain */
	struct sv_wanted **users;
	size_t n_users, cap_users;
	uint64_t joins;      /* volumes that have become users, ever */
	unsigned holds;      /* see sv_desired_hold_secret() */
	int64_t updated_ms;  /* Unix time of the last put */
	uint64_t generation; /* how often it was put; 0: never */
	uint64_t serial;     /* of the last change: different for every change of every Secret */
};

struct sv_desired_pod {
	char *key; /* "NS/NAME" */
	enum sv_origin origin;
	struct sv_pod *pod; /* counted */
	int64_t created_ms; /* Unix time of the first put */
};

struct sv_desired {
	struct sv_strmap pods[SV_N_ORIGINS];        /* key -> struct sv_desired_pod */
	struct sv_strmap secrets[SV_N_ORIGINS];     /* key -> struct sv_desired_secret */
	struct sv_strmap wanted;                    /* id -> struct sv_wanted */
	bool expected[SV_N_ORIGINS];                /* there is a source of this origin */
	bool synced[SV_N_ORIGINS];                  /* it has told everything once */
	bool reading[SV_N_ORIGINS];                 /* it is telling, and there is more to come */
	bool by_secret[SV_N_ORIGINS];               /* it answers for each Secret by itself */
	bool shared_uid;                            /* Pods of two origins have had one uid */
	uint64_t serial;                            /* of the last change of a Secret */
	void (*changed)(void *arg, const char *id); /* a volume is to be looked at; may be NULL */
	/* The volumes that need a Secret may be others now, see sv_desired_users(); may be NULL. */
	void (*interest)(void *arg, enum sv_origin origin, const char *ns, const char *name);
	bool (*waits)(void *arg, const char *id); /* is one to be looked at? NULL: none is */
	sv_refill_fn refill;                      /* NULL: what is forgotten is gone */
	void *arg;
	bool forgets[SV_N_ORIGINS];
	struct sv_secret **filled; /* counted: those whose values are to be forgotten */
	size_t n_filled, cap_filled;
	size_t filled_size; /* bytes */
};

void sv_desired_init(struct sv_desired *d, void (*changed)(void *arg, const char *id), void *arg);
void sv_desired_done(struct sv_desired *d);

/*
 * Put takes references. Return: 0 or -ENOMEM: put it again later. Until then a volume that the
 * old version of the Pod had too is not taken away.
 * A volume that a Pod of another origin has under the same uid stays that one's until it goes.
 */
int sv_desired_put_pod(struct sv_desired *d, enum sv_origin origin, struct sv_pod *pod,
		       int64_t now_ms);
void sv_desired_remove_pod(struct sv_desired *d, enum sv_origin origin, const char *ns,
			   const char *name);
int sv_desired_put_secret(struct sv_desired *d, enum sv_origin origin, struct sv_secret *secret,
			  int64_t now_ms);
void sv_desired_remove_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name);
/*
 * For sources that answer for each Secret: it cannot be had for now. @trouble: SV_PLAN_E_FORBIDDEN,
 * which also new uses of a value that is there are refused for, or SV_PLAN_E_UNAVAILABLE. That is
 * over when the Secret is put, removed or forgotten.
 */
int sv_desired_trouble_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name, int trouble, const char *text);
/* Nothing is known of it any more: as if its source had never answered. */
void sv_desired_forget_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name);
/* What is learnt of it is remembered although no volume names it, until it is let go of as often. */
int sv_desired_hold_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			   const char *name);
void sv_desired_release_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			       const char *name);
/*
 * How many volumes that a container mounts name the Secret (R21, R79). @joins: how many have come to
 * do so since it is known; may be NULL.
 */
size_t sv_desired_users(const struct sv_desired *d, enum sv_origin origin, const char *ns,
			const char *name, uint64_t *joins);
/* A Secret of that name exists but was refused; NULL takes that back. Return: 0 or -ENOMEM. */
int sv_desired_refuse_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			     const char *name, const char *text);

/*
 * The source of an origin has told everything there is: from now on, what is not there is missing,
 * and volumes that asked for it are to be looked at.
 */
void sv_desired_set_synced(struct sv_desired *d, enum sv_origin origin);
/*
 * While a source is reading, a volume waits for a Secret that is not there: it may come next, and
 * until then an optional one would be taken for missing.
 */
void sv_desired_set_reading(struct sv_desired *d, enum sv_origin origin, bool reading);
/* True if every source that is expected has synced. */
bool sv_desired_all_synced(const struct sv_desired *d);

/* ---- values -------------------------------------------------------------------------------- */

/* From now on. What is there and no longer to be kept goes with the next sv_desired_forget(). */
void sv_desired_set_keep(struct sv_desired *d, enum sv_keep keep);

/* Nothing waits: let go of all values that are not kept. Return: how many bytes that were. */
size_t sv_desired_forget(struct sv_desired *d);

/* More is about to be read: let go of values that wait if there are more than SV_VALUES_MAX. */
void sv_desired_make_room(struct sv_desired *d);

/*
 * Give a hollow Secret the values of @from. False if they are not its values. Without memory to
 * remember that they are to be forgotten it stays hollow.
 */
bool sv_desired_fill(struct sv_desired *d, enum sv_origin origin, struct sv_secret *secret,
		     const struct sv_secret *from);

/* Values came by: taken if they are those of the Secret under that name and somebody waits. */
void sv_desired_offer(struct sv_desired *d, enum sv_origin origin, const struct sv_secret *from);

/* What was asked for in vain may be had by now: have the volumes looked at that asked. */
void sv_desired_look_again(struct sv_desired *d, enum sv_origin origin);

/* ---- queries ------------------------------------------------------------------------------- */

/* The id of a secret or projected volume of a Pod: a new string, NULL for lack of memory. */
char *sv_desired_id(const struct sv_pod *pod, const struct sv_volume *vol);

struct sv_wanted *sv_desired_wanted(const struct sv_desired *d, const char *id);

/* sv_plan_make() for a wanted volume with the Secrets of its origin. */
int sv_desired_plan(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
		    struct sv_plan **ret, struct sv_err *err);

/* The same as far as it can be said without asking for values: to be compared, not written. */
int sv_desired_outline(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
		       struct sv_plan **ret, struct sv_err *err);

/* sv_env_make() with the Secrets of an origin. */
int sv_desired_env(const struct sv_desired *d, enum sv_origin origin, const struct sv_pod *pod,
		   const struct sv_container *c, const struct sv_env_opts *opts,
		   struct sv_env **ret, struct sv_err *err);

/* A Pod of a name, of whatever origin; borrowed, NULL if there is none. */
struct sv_desired_pod *sv_desired_pod(const struct sv_desired *d, const char *ns, const char *name);
/* The one of an origin. */
struct sv_desired_pod *sv_desired_pod_of(const struct sv_desired *d, enum sv_origin origin,
					 const char *ns, const char *name);
/*
 * Where the source answers for each Secret: is it known whether there is this one? @s: what
 * sv_desired_secret() gave, also NULL.
 */
bool sv_desired_is_known(const struct sv_desired *d, enum sv_origin origin,
			 const struct sv_desired_secret *s);
/* What is known under a Secret's name; borrowed, NULL if nothing is. */
const struct sv_desired_secret *sv_desired_secret(const struct sv_desired *d, enum sv_origin origin,
						  const char *ns, const char *name);

/* The volume was published from this plan: keep the immutable Secrets in it. Return: 0 or -ENOMEM. */
int sv_desired_pin(struct sv_wanted *w, const struct sv_plan *plan);
/* It was taken down: one that is made anew is made from what there is then. */
void sv_desired_unpin(struct sv_wanted *w);

#endif
