/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handout - from which Secrets was a container's environment last made?
 *
 * An environment is fixed when a process starts (R63). What was handed out is
 * remembered, without values, so that the status can say when it has become stale.
 */
#ifndef SV_CORE_HANDOUT_H
#define SV_CORE_HANDOUT_H

#include "desired.h"

struct sv_handout {
	char *key; /* "UID/CONTAINER" */
	enum sv_origin origin;
	char *ns, *pod;
	int64_t at_ms; /* Unix time */
	struct {
		char *name;
		uint64_t generation, serial; /* 0: the Secret was not there */
		char *uid;                   /* "" where its source has none */
		struct sv_digest digest;     /* if it was there */
	} * secrets;
	size_t n_secrets;
};

struct sv_handouts { /* all zero: none */
	struct sv_strmap items;
};

/* An environment was handed out. Return: 0 or -ENOMEM. */
int sv_handouts_note(struct sv_handouts *h, const struct sv_desired *d, enum sv_origin origin,
		     const struct sv_pod *pod, const struct sv_container *c,
		     const struct sv_env *env, int64_t now_ms);
const struct sv_handout *sv_handouts_get(const struct sv_handouts *h, const char *uid,
					 const char *container);
/* A Secret it was made from has changed since, has gone, or has come; as far as anybody watches it. */
bool sv_handout_is_stale(const struct sv_handout *h, const struct sv_desired *d);
/* The same of one of them, @i < n_secrets. */
bool sv_handout_secret_is_stale(const struct sv_handout *h, size_t i, const struct sv_desired *d);
/* Does it depend on this Secret? */
bool sv_handout_uses(const struct sv_handout *h, enum sv_origin origin, const char *ns,
		     const char *secret);
/* The Pod is no more. */
void sv_handouts_forget(struct sv_handouts *h, const char *uid);
void sv_handouts_done(struct sv_handouts *h);

#endif
