/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manager - owns desired and actual, merges bursts of events, starts actions
 *
 * The sink of all sources. Everything here runs on the loop thread. Events that
 * arrive in one turn of the loop are taken in together before any action starts.
 */
#ifndef SV_DAEMON_MANAGER_H
#define SV_DAEMON_MANAGER_H

#include <uv.h>

#include "../lib/core/reconcile.h"
#include "../lib/core/status.h"
#include "events.h"
#include "feed.h"
#include "metrics.h"
#include "worker.h"

struct sv_source;

struct sv_manager {
	uv_loop_t *loop;
	struct sv_node *node;
	struct sv_desired desired;
	struct sv_actuals actuals;
	struct sv_handouts handouts;
	struct sv_events events;
	struct sv_feed feed;
	struct sv_metrics metrics;
	struct sv_reconcile_opts opts;
	struct sv_worker worker;
	struct sv_source *sources[SV_N_ORIGINS]; /* who can be asked for more; NULL: nobody */
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t timer;
	bool dirty;   /* there is something to look at */
	bool untidy;  /* values have gone by since the last look at what they leave behind */
	bool lost;    /* no memory for a volume's record: it is tried again */
	bool settled; /* the sources have been read once, and what followed from that is done */
	bool drain;   /* settled means also that no old generation is left */
	bool stopping;
	void (*on_settled)(
		void *arg); /* once, and again after everything was stopped; may be NULL */
	void (*on_change)(void *arg); /* a volume's state changed; may be NULL */
	void (*on_stuck)(void *arg);  /* a source cannot be read now; may be NULL */
	void *arg;
};

/* @m must stay where it is until sv_manager_close()'s handles are closed. Return: 0 or a negated errno. */
int sv_manager_init(struct sv_manager *m, uv_loop_t *loop, struct sv_node *node,
		    const struct sv_reconcile_opts *opts);

/* Take in what a former life left. Before the sources start. */
int sv_manager_adopt(struct sv_manager *m, struct sv_err *err);

/*
 * For sources. Objects are borrowed. Return: 0, or -ENOMEM, which is logged: to be told again later
 * with all that the source knows.
 */
int sv_manager_put_pod(struct sv_manager *m, enum sv_origin origin, struct sv_pod *pod);
void sv_manager_remove_pod(struct sv_manager *m, enum sv_origin origin, const char *ns,
			   const char *name);
int sv_manager_put_secret(struct sv_manager *m, enum sv_origin origin, struct sv_secret *secret);
void sv_manager_remove_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			      const char *name);
int sv_manager_refuse_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			     const char *name, const char *text);
int sv_manager_trouble_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			      const char *name, int trouble, const char *text);
void sv_manager_forget_secret(struct sv_manager *m, enum sv_origin origin, const char *ns,
			      const char *name);
void sv_manager_set_synced(struct sv_manager *m, enum sv_origin origin);
/* A source cannot be read: with --once nobody waits for it. */
void sv_manager_report_stuck(struct sv_manager *m);
/* Is anything mounted that no Pod heard of so far wants? */
bool sv_manager_has_orphans(const struct sv_manager *m);

/*
 * Values are forgotten when nothing waits for them and no source is reading: what it brings may be
 * needed by what comes next. At its end what could not be had is asked for again.
 */
void sv_manager_set_reading(struct sv_manager *m, enum sv_origin origin, bool reading);
/*
 * Values that a source has come by, perhaps asked by its refill(): of the very version that is
 * wanted (false if they are others), and of whatever else waits for them.
 */
bool sv_manager_fill_secret(struct sv_manager *m, enum sv_origin origin, struct sv_secret *wanted,
			    const struct sv_secret *from);
void sv_manager_offer_secret(struct sv_manager *m, enum sv_origin origin,
			     const struct sv_secret *from);

/* Values have gone by: what they left behind is cleared away in this turn of the loop. */
void sv_manager_tidy(struct sv_manager *m);

/* Which values are kept, from now on. */
void sv_manager_set_keep(struct sv_manager *m, enum sv_keep keep);

/* New limits after a reload: every volume is looked at again. */
void sv_manager_set_opts(struct sv_manager *m, const struct sv_reconcile_opts *opts);

/* Start no more actions; on_settled is called when those under way are done. */
void sv_manager_stop(struct sv_manager *m);
void sv_manager_close(struct sv_manager *m); /* closes the handles */
void sv_manager_done(struct sv_manager *m);  /* after the loop has run out */

/**
 * sv_manager_env() - the environment of a container
 * @container: its name, NULL for the first one
 * @pod, @c:   set if they exist, whatever else; borrowed until the next event
 *
 * Names that strict rules skip become an event (R68), and so does a refusal (R71).
 *
 * Return: 0, a SV_PLAN_E_* refusal, -ENOENT if there is no such Pod or container, or -ENOMEM.
 */
int sv_manager_env(struct sv_manager *m, const char *ns, const char *name, const char *container,
		   const struct sv_env_opts *opts, const struct sv_desired_pod **pod,
		   const struct sv_container **c, struct sv_env **ret, struct sv_err *err);

/* What an environment needs and no volume does, while it is being made. All zero: nothing. */
struct sv_env_lease {
	struct sv_source *source;
	struct sv_lease *lease;
	bool waiting; /* the source has not answered yet: @ready will be called, once */
};

/**
 * sv_manager_lease() - have the Secrets of a container's environment read
 *
 * What cannot be leased (no such Pod, or a source that knows all it has) is no error: there is
 * nothing to wait for then. Return: 0 or -ENOMEM.
 */
int sv_manager_lease(struct sv_manager *m, const char *ns, const char *name, const char *container,
		     void (*ready)(void *arg), void *arg, struct sv_env_lease *ret);
void sv_manager_release(struct sv_env_lease *l);

/* It was handed out: remembered, logged, and told to those who watch the Pod. */
void sv_manager_handed_out(struct sv_manager *m, const struct sv_desired_pod *p,
			   const struct sv_container *c, const struct sv_env *env);

/* The moment, for status.h. */
struct sv_status_env sv_manager_now(const struct sv_manager *m);
/* How many volumes are in each state. */
void sv_manager_count(const struct sv_manager *m, size_t counts[SV_N_STATES]);

/* All Pods, also those that are being taken down, in a stable order. */
void sv_manager_each_pod(const struct sv_manager *m, void (*fn)(void *arg, struct json_object *pod),
			 void *arg);

int64_t sv_monotonic_ms(void);
int64_t sv_unix_ms(void);

#endif
