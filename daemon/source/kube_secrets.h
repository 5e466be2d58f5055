/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_secrets - the Secrets of an API server that somebody here needs
 *
 * One named watch for each Secret that a mounted volume of a live Pod names,
 * dropped with the last of them (R78, R79); or one watch for each namespace
 * with such Secrets, of which all others are passed over. Immutable ones are
 * not watched once they were read (R61), and read again for Pods that come
 * later. Those that only environments name are asked for under a lease.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_SECRETS_H
#define SV_DAEMON_SOURCE_KUBE_SECRETS_H

#include "../../lib/core/decode.h"
#include "../manager.h"
#include "kube_problems.h"
#include "kube_watch.h"
#include "source.h"

#define SV_KUBE_LEASE_MS 8000 /* how long an environment waits for its Secrets */

struct sv_kube_secrets {
	struct sv_kube_server *server;
	struct sv_manager *manager;
	struct sv_kube_problems *problems;
	bool by_namespace;
	struct sv_decode_opts decode;
	struct sv_strmap items;      /* "NS/NAME" -> what is known of it and who needs it */
	struct sv_strmap namespaces; /* name -> its watch */
	struct sv_strmap touched;    /* "NS/NAME": who needs it may have changed; keys are owned */
	bool lost;                   /* no memory to note or to make one: all are looked at again */
	uv_timer_t retry;            /* then */
	struct sv_lease *leases;
	struct sv_kube_horizon horizon;
	struct sv_kube_watch *doubt; /* it asks the store whether the server was set back */
	void (*set_back)(void *arg); /* it was */
	void *arg;
};

/* Pointers are borrowed for good. @s must stay where it is until the loop has run out. */
void sv_kube_secrets_init(struct sv_kube_secrets *s, struct sv_kube_server *server,
			  struct sv_manager *manager, struct sv_kube_problems *problems,
			  bool by_namespace, const struct sv_decode_opts *decode);
void sv_kube_secrets_stop(struct sv_kube_secrets *s); /* ends all leases and watches */
void sv_kube_secrets_done(struct sv_kube_secrets *s);

/* The server has gone: who waits for a first answer is told, with @text. */
void sv_kube_secrets_down(struct sv_kube_secrets *s, const char *text);
/*
 * Connections were cut: is it the server that we knew? A watch from a version that a restored server
 * has yet to reach is silent, so the Secret that was seen last is listed from the store: a single
 * key. If the store is older than what was seen, set_back() is called.
 */
void sv_kube_secrets_doubt(struct sv_kube_secrets *s);
/* List all again: what was seen may be wrong. */
void sv_kube_secrets_relist(struct sv_kube_secrets *s);
unsigned sv_kube_secrets_live(const struct sv_kube_secrets *s); /* watches that are open */

/* See source.h. */
void sv_kube_secrets_interest(struct sv_kube_secrets *s, const char *ns, const char *name);
void sv_kube_secrets_attend(struct sv_kube_secrets *s);
int sv_kube_secrets_refill(struct sv_kube_secrets *s, struct sv_secret *secret, struct sv_err *err);
int sv_kube_secrets_lease(struct sv_kube_secrets *s, const char *ns, const char *const *names,
			  size_t n, sv_lease_fn ready, void *arg, struct sv_lease **ret,
			  bool *wait);
void sv_kube_secrets_release(struct sv_kube_secrets *s, struct sv_lease *l);

/* "the first complaint (and N more)" about an object that the server holds and we cannot use; NULL for lack of memory. */
char *sv_kube_complaint(const struct sv_complaints *c);

#endif
