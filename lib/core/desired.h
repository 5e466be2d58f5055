/* SPDX-License-Identifier: Apache-2.0 */
/*
 * desired - Pods and Secrets heard of, to the volumes this node should have
 *
 * Pure bookkeeping: sources put and remove objects, and every change that may
 * matter to a volume is told by the volume's id, so that an event costs what it
 * touches and not what there is.
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
	struct sv_wanted **users;
	size_t n_users, cap_users;
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
	uint64_t serial;                            /* of the last change of a Secret */
	void (*changed)(void *arg, const char *id); /* a volume is to be looked at; may be NULL */
	void *arg;
};

void sv_desired_init(struct sv_desired *d, void (*changed)(void *arg, const char *id), void *arg);
void sv_desired_done(struct sv_desired *d);

/*
 * Put takes references. Return: 0 or -ENOMEM: put it again later. Until then a volume that the
 * old version of the Pod had too is not taken away.
 */
int sv_desired_put_pod(struct sv_desired *d, enum sv_origin origin, struct sv_pod *pod,
		       int64_t now_ms);
void sv_desired_remove_pod(struct sv_desired *d, enum sv_origin origin, const char *ns,
			   const char *name);
int sv_desired_put_secret(struct sv_desired *d, enum sv_origin origin, struct sv_secret *secret,
			  int64_t now_ms);
void sv_desired_remove_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name);
/* A Secret of that name exists but was refused; NULL takes that back. Return: 0 or -ENOMEM. */
int sv_desired_refuse_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			     const char *name, const char *text);

/* The source of an origin has told everything there is: from now on, what is not there is missing. */
void sv_desired_set_synced(struct sv_desired *d, enum sv_origin origin);
/* True if every source that is expected has synced. */
bool sv_desired_all_synced(const struct sv_desired *d);

/* The id of a secret or projected volume of a Pod: a new string, NULL for lack of memory. */
char *sv_desired_id(const struct sv_pod *pod, const struct sv_volume *vol);

struct sv_wanted *sv_desired_wanted(const struct sv_desired *d, const char *id);

/* sv_plan_make() for a wanted volume with the Secrets of its origin. */
int sv_desired_plan(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
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
/* What is known under a Secret's name; borrowed, NULL if nothing is. */
const struct sv_desired_secret *sv_desired_secret(const struct sv_desired *d, enum sv_origin origin,
						  const char *ns, const char *name);

/* The volume was published from this plan: keep the immutable Secrets in it. Return: 0 or -ENOMEM. */
int sv_desired_pin(struct sv_wanted *w, const struct sv_plan *plan);

#endif
