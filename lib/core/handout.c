/* SPDX-License-Identifier: Apache-2.0 */
#include "handout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"

static void handout_free(struct sv_handout *h)
{
	size_t i;

	if (!h)
		return;
	for (i = 0; i < h->n_secrets; i++) {
		free(h->secrets[i].name);
		free(h->secrets[i].uid);
	}
	free(h->secrets);
	free(h->ns);
	free(h->pod);
	free(h->key);
	free(h);
}

static struct sv_handout *make(const struct sv_desired *d, enum sv_origin origin,
			       const struct sv_pod *pod, const struct sv_container *c,
			       const struct sv_env *env, int64_t now_ms)
{
	struct sv_handout *h = calloc(1, sizeof(*h));
	size_t i;

	if (!h)
		return NULL;
	h->key = sv_asprintf("%s/%s", pod->uid, c->name);
	h->ns = strdup(pod->ns);
	h->pod = strdup(pod->name);
	h->origin = origin;
	h->at_ms = now_ms;
	h->secrets = calloc(env->n_secrets ? env->n_secrets : 1, sizeof(*h->secrets));
	for (i = 0; h->secrets && i < env->n_secrets; i++) {
		const struct sv_desired_secret *s =
			sv_desired_secret(d, origin, pod->ns, env->secrets[i].name);
		bool there = s && env->secrets[i].secret;

		h->secrets[i].name = strdup(env->secrets[i].name);
		h->secrets[i].generation = there ? s->generation : 0;
		h->secrets[i].serial = there ? s->serial : 0;
		h->secrets[i].uid = strdup(there ? env->secrets[i].secret->uid : "");
		if (there)
			h->secrets[i].digest = env->secrets[i].secret->digest;
		h->n_secrets++;
		if (!h->secrets[i].name || !h->secrets[i].uid)
			break;
	}
	if (h->key && h->ns && h->pod && h->secrets && i == env->n_secrets)
		return h;
	handout_free(h);
	return NULL;
}

int sv_handouts_note(struct sv_handouts *h, const struct sv_desired *d, enum sv_origin origin,
		     const struct sv_pod *pod, const struct sv_container *c,
		     const struct sv_env *env, int64_t now_ms)
{
	struct sv_handout *new = make(d, origin, pod, c, env, now_ms);

	if (!new)
		return -ENOMEM;
	handout_free(sv_strmap_remove(&h->items, new->key));
	if (sv_strmap_put(&h->items, new->key, new) < 0) {
		handout_free(new);
		return -ENOMEM;
	}
	return 0;
}

const struct sv_handout *sv_handouts_get(const struct sv_handouts *h, const char *uid,
					 const char *container)
{
	return sv_strmap_get_pair(&h->items, uid, container);
}

bool sv_handout_secret_is_stale(const struct sv_handout *h, size_t i, const struct sv_desired *d)
{
	const struct sv_desired_secret *s =
		sv_desired_secret(d, h->origin, h->ns, h->secrets[i].name);
	const struct sv_secret *now = s ? s->secret : NULL;

	if (!sv_desired_is_known(d, h->origin, s) || (now ? s->serial : 0) == h->secrets[i].serial)
		return false;
	/* One that nobody needed meanwhile was forgotten, and read again as something new. */
	return !now || !*h->secrets[i].uid || strcmp(now->uid, h->secrets[i].uid) != 0 ||
	       !sv_digest_equal(&now->digest, &h->secrets[i].digest);
}

bool sv_handout_is_stale(const struct sv_handout *h, const struct sv_desired *d)
{
	size_t i;

	for (i = 0; i < h->n_secrets; i++)
		if (sv_handout_secret_is_stale(h, i, d))
			return true;
	return false;
}

bool sv_handout_uses(const struct sv_handout *h, enum sv_origin origin, const char *ns,
		     const char *secret)
{
	size_t i;

	if (h->origin != origin || strcmp(h->ns, ns) != 0)
		return false;
	for (i = 0; i < h->n_secrets; i++)
		if (strcmp(h->secrets[i].name, secret) == 0)
			return true;
	return false;
}

/* Allocates nothing: what must be forgotten must not stay for lack of memory. */
void sv_handouts_forget(struct sv_handouts *h, const char *uid)
{
	size_t n = strlen(uid), i = sv_strmap_lower(&h->items, uid);

	while (i < h->items.n && strncmp(h->items.entries[i].key, uid, n) == 0)
		if (h->items.entries[i].key[n] == '/')
			handout_free(sv_strmap_remove(&h->items, h->items.entries[i].key));
		else
			i++; /* of a uid that begins like this one */
}

void sv_handouts_done(struct sv_handouts *h)
{
	size_t i;

	for (i = 0; i < h->items.n; i++)
		handout_free(h->items.entries[i].value);
	sv_strmap_done(&h->items);
}
