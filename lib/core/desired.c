/* SPDX-License-Identifier: Apache-2.0 */
#include "desired.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"

void sv_desired_init(struct sv_desired *d, void (*changed)(void *arg, const char *id), void *arg)
{
	*d = (struct sv_desired){ .changed = changed, .arg = arg };
}

static void tell(const struct sv_desired *d, const char *id)
{
	if (d->changed)
		d->changed(d->arg, id);
}

/* ---- Secrets ------------------------------------------------------------------------------- */

/* By sv_strmap_get_pair(): a lack of memory must not look like a Secret that does not exist. */
static struct sv_desired_secret *find_secret(const struct sv_desired *d, enum sv_origin origin,
					     const char *ns, const char *name)
{
	return sv_strmap_get_pair(&d->secrets[origin], ns, name);
}

static struct sv_desired_secret *get_secret(struct sv_desired *d, enum sv_origin origin,
					    const char *ns, const char *name)
{
	sv_autofree char *key = sv_asprintf("%s/%s", ns, name);
	struct sv_desired_secret *s;

	if (!key)
		return NULL;
	s = sv_strmap_get(&d->secrets[origin], key);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->key = SV_TAKE(key);
	s->origin = origin;
	if (sv_strmap_put(&d->secrets[origin], s->key, s) < 0) {
		free(s->key);
		free(s);
		return NULL;
	}
	return s;
}

static void secret_free(struct sv_desired_secret *s)
{
	sv_secret_unref(s->secret);
	free(s->refused);
	free(s->users);
	free(s->key);
	free(s);
}

/* A name that nobody refers to and that stands for nothing need not be remembered. */
static void tidy_secret(struct sv_desired *d, struct sv_desired_secret *s)
{
	if (s->secret || s->refused || s->n_users > 0)
		return;
	sv_strmap_remove(&d->secrets[s->origin], s->key);
	secret_free(s);
}

static void tell_users(const struct sv_desired *d, const struct sv_desired_secret *s)
{
	size_t i;

	for (i = 0; i < s->n_users; i++)
		tell(d, s->users[i]->id);
}

int sv_desired_put_secret(struct sv_desired *d, enum sv_origin origin, struct sv_secret *secret,
			  int64_t now_ms)
{
	struct sv_desired_secret *s = get_secret(d, origin, secret->ns, secret->name);

	if (!s)
		return -ENOMEM;
	if (s->secret && sv_secret_equal(s->secret, secret))
		return 0; /* told again: nothing has changed */
	sv_secret_unref(s->secret);
	s->secret = sv_secret_ref(secret);
	s->updated_ms = now_ms;
	s->generation++;
	s->serial = ++d->serial;
	tell_users(d, s);
	return 0;
}

void sv_desired_remove_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name)
{
	struct sv_desired_secret *s = find_secret(d, origin, ns, name);

	if (!s || !s->secret)
		return;
	sv_secret_unref(s->secret);
	s->secret = NULL;
	s->serial = ++d->serial;
	tell_users(d, s);
	tidy_secret(d, s);
}

int sv_desired_refuse_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			     const char *name, const char *text)
{
	struct sv_desired_secret *s =
		text ? get_secret(d, origin, ns, name) : find_secret(d, origin, ns, name);
	char *copy = text ? strdup(text) : NULL;

	if (text && (!s || !copy)) {
		free(copy);
		return -ENOMEM;
	}
	if (!s)
		return 0;
	free(s->refused);
	s->refused = copy;
	if (!s->secret)
		tell_users(d, s);
	tidy_secret(d, s);
	return 0;
}

static int add_user(struct sv_desired_secret *s, struct sv_wanted *w)
{
	if (s->n_users == s->cap_users) {
		size_t cap = s->cap_users ? s->cap_users * 2 : 1;
		struct sv_wanted **p = reallocarray(s->users, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->users = p;
		s->cap_users = cap;
	}
	s->users[s->n_users++] = w;
	return 0;
}

/* A volume may name one Secret several times and is then its user as often. */
static void remove_user(struct sv_desired *d, struct sv_desired_secret *s,
			const struct sv_wanted *w)
{
	size_t i, n = 0;

	for (i = 0; i < s->n_users; i++)
		if (s->users[i] != w)
			s->users[n++] = s->users[i];
	s->n_users = n;
	tidy_secret(d, s);
}

/* ---- volumes ------------------------------------------------------------------------------- */

static void drop_users(struct sv_desired *d, struct sv_wanted *w)
{
	size_t i;

	for (i = 0; i < w->vol->n_sources; i++) {
		struct sv_desired_secret *s =
			find_secret(d, w->origin, w->pod->ns, w->vol->sources[i].name);

		if (s)
			remove_user(d, s, w);
	}
}

static int add_users(struct sv_desired *d, struct sv_wanted *w)
{
	size_t i;

	for (i = 0; i < w->vol->n_sources; i++) {
		struct sv_desired_secret *s =
			get_secret(d, w->origin, w->pod->ns, w->vol->sources[i].name);

		if (!s || add_user(s, w) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void free_pins(struct sv_wanted *w)
{
	size_t i;

	for (i = 0; i < w->n_pins; i++)
		sv_secret_unref(w->pins[i]);
	free(w->pins);
	w->pins = NULL;
	w->n_pins = 0;
}

static void wanted_free(struct sv_wanted *w)
{
	free_pins(w);
	sv_pod_unref(w->pod);
	free(w->id);
	free(w);
}

char *sv_desired_id(const struct sv_pod *pod, const struct sv_volume *vol)
{
	return sv_asprintf("pods/%s/volumes/kubernetes.io~%s/%s", pod->uid,
			   vol->type == SV_VOLUME_SECRET ? "secret" : "projected", vol->name);
}

static int want(struct sv_desired *d, enum sv_origin origin, struct sv_pod *pod,
		const struct sv_volume *vol)
{
	sv_autofree char *id = sv_desired_id(pod, vol);
	struct sv_wanted *w;

	if (!id)
		return -ENOMEM;
	w = sv_strmap_get(&d->wanted, id);
	if (w) { /* the Pod was put again: its volume goes on */
		drop_users(d, w);
		/* one of that uid elsewhere? there, other Secrets have these names */
		if (w->origin != origin || strcmp(w->pod->ns, pod->ns) != 0)
			free_pins(w);
		sv_pod_unref(w->pod);
	} else {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->id = SV_TAKE(id);
		if (sv_strmap_put(&d->wanted, w->id, w) < 0) {
			wanted_free(w);
			return -ENOMEM;
		}
	}
	w->origin = origin;
	w->pod = sv_pod_ref(pod);
	w->vol = vol;
	w->used = sv_pod_mounts(pod, vol->name);
	if (add_users(d, w) < 0)
		return -ENOMEM;
	tell(d, w->id);
	return 0;
}

static bool is_same_volume(const struct sv_volume *a, const struct sv_volume *b)
{
	return a->type == b->type && strcmp(a->name, b->name) == 0;
}

static struct sv_wanted *find_wanted(const struct sv_desired *d, const struct sv_pod *pod,
				     const struct sv_volume *vol)
{
	sv_autofree char *id = sv_desired_id(pod, vol);
	size_t i;

	if (id)
		return sv_strmap_get(&d->wanted, id);
	for (i = 0; i < d->wanted.n; i++) { /* out of memory: the slow way */
		struct sv_wanted *w = d->wanted.entries[i].value;

		if (strcmp(w->pod->uid, pod->uid) == 0 && is_same_volume(w->vol, vol))
			return w;
	}
	return NULL;
}

/*
 * No longer wanted, unless another Pod has taken the volume over meanwhile, or the version of the
 * Pod that is kept has. (Where memory ran out it may belong to an older version than @pod.)
 */
static void unwant(struct sv_desired *d, const struct sv_pod *pod, const struct sv_volume *vol,
		   const struct sv_pod *kept)
{
	struct sv_wanted *w = find_wanted(d, pod, vol);

	if (!w || w->pod == kept || strcmp(w->pod->ns, pod->ns) != 0 ||
	    strcmp(w->pod->name, pod->name) != 0)
		return;
	drop_users(d, w);
	sv_strmap_remove(&d->wanted, w->id);
	tell(d, w->id);
	wanted_free(w);
}

static bool has_volume(const struct sv_pod *pod, const struct sv_volume *vol)
{
	size_t i;

	for (i = 0; i < pod->n_volumes; i++)
		if (is_same_volume(&pod->volumes[i], vol))
			return true;
	return false;
}

/* @kept: the version that is there now, NULL: none; @all: it has all that it should have. */
static void unwant_all(struct sv_desired *d, const struct sv_pod *pod, const struct sv_pod *kept,
		       bool all)
{
	size_t i;

	for (i = 0; i < pod->n_volumes; i++)
		if (pod->volumes[i].type != SV_VOLUME_OTHER &&
		    (all || !has_volume(kept, &pod->volumes[i])))
			unwant(d, pod, &pod->volumes[i], kept);
}

int sv_desired_put_pod(struct sv_desired *d, enum sv_origin origin, struct sv_pod *pod,
		       int64_t now_ms)
{
	sv_autofree char *key = sv_asprintf("%s/%s", pod->ns, pod->name);
	struct sv_pod *old = NULL;
	struct sv_desired_pod *p;
	size_t i;
	int r = 0;

	if (!key)
		return -ENOMEM;
	p = sv_strmap_get(&d->pods[origin], key);
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->key = SV_TAKE(key);
		p->origin = origin;
		p->created_ms = now_ms;
		if (sv_strmap_put(&d->pods[origin], p->key, p) < 0) {
			free(p->key);
			free(p);
			return -ENOMEM;
		}
	}
	old = p->pod;
	if (old && strcmp(old->uid, pod->uid) != 0)
		p->created_ms = now_ms; /* another Pod of the same name */
	p->pod = sv_pod_ref(pod);
	for (i = 0; i < pod->n_volumes && r == 0 && !pod->terminated; i++)
		if (pod->volumes[i].type != SV_VOLUME_OTHER)
			r = want(d, origin, pod, &pod->volumes[i]);
	/*
	 * What the new version has belongs to it by now, or will when it is put again: without memory
	 * for it a volume stays what it was, and is not taken away.
	 */
	if (old && old != pod)
		unwant_all(d, old, pod, r == 0 || strcmp(old->uid, pod->uid) != 0);
	sv_pod_unref(old);
	return r;
}

void sv_desired_remove_pod(struct sv_desired *d, enum sv_origin origin, const char *ns,
			   const char *name)
{
	struct sv_desired_pod *p = sv_strmap_get_pair(&d->pods[origin], ns, name);

	if (!p)
		return;
	sv_strmap_remove(&d->pods[origin], p->key);
	unwant_all(d, p->pod, NULL, true);
	sv_pod_unref(p->pod);
	free(p->key);
	free(p);
}

void sv_desired_set_synced(struct sv_desired *d, enum sv_origin origin)
{
	size_t i;

	if (d->synced[origin])
		return;
	d->synced[origin] = true;
	for (i = 0; i < d->wanted.n; i++) {
		struct sv_wanted *w = d->wanted.entries[i].value;

		if (w->origin == origin)
			tell(d, w->id);
	}
}

bool sv_desired_all_synced(const struct sv_desired *d)
{
	int i;

	for (i = 0; i < SV_N_ORIGINS; i++)
		if (d->expected[i] && !d->synced[i])
			return false;
	return true;
}

struct sv_wanted *sv_desired_wanted(const struct sv_desired *d, const char *id)
{
	return sv_strmap_get(&d->wanted, id);
}

/* ---- plans --------------------------------------------------------------------------------- */

struct looker {
	const struct sv_desired *d;
	enum sv_origin origin;
	struct sv_secret **pins;
	size_t n_pins;
};

static int look_up(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		   struct sv_err *err)
{
	const struct looker *l = arg;
	const struct sv_desired_secret *s;
	size_t i;

	for (i = 0; i < l->n_pins; i++)
		if (strcmp(l->pins[i]->name, name) == 0) {
			*ret = l->pins[i];
			return 0;
		}
	s = find_secret(l->d, l->origin, ns, name);
	if (s && s->secret) {
		*ret = s->secret;
		return 0;
	}
	if (!l->d->synced[l->origin])
		return sv_err_set(err, SV_PLAN_E_PENDING,
				  "secret \"%s\": its source has not been read yet", name);
	if (s && s->refused)
		sv_err_set(err, 0, "it exists and is invalid: %s", s->refused);
	return SV_PLAN_E_NO_SECRET;
}

int sv_desired_plan(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
		    struct sv_plan **ret, struct sv_err *err)
{
	struct looker l = { d, w->origin, w->pins, w->n_pins };

	return sv_plan_make(w->pod, w->vol, limit, look_up, &l, ret, err);
}

int sv_desired_env(const struct sv_desired *d, enum sv_origin origin, const struct sv_pod *pod,
		   const struct sv_container *c, const struct sv_env_opts *opts,
		   struct sv_env **ret, struct sv_err *err)
{
	struct looker l = { d, origin, NULL, 0 };

	return sv_env_make(pod, c, opts, look_up, &l, ret, err);
}

struct sv_desired_pod *sv_desired_pod_of(const struct sv_desired *d, enum sv_origin origin,
					 const char *ns, const char *name)
{
	return sv_strmap_get_pair(&d->pods[origin], ns, name);
}

struct sv_desired_pod *sv_desired_pod(const struct sv_desired *d, const char *ns, const char *name)
{
	struct sv_desired_pod *p = NULL;
	int o;

	for (o = 0; o < SV_N_ORIGINS && !p; o++)
		p = sv_strmap_get_pair(&d->pods[o], ns, name);
	return p;
}

const struct sv_desired_secret *sv_desired_secret(const struct sv_desired *d, enum sv_origin origin,
						  const char *ns, const char *name)
{
	return find_secret(d, origin, ns, name);
}

/* An action may end when the volume belongs to a Pod of that uid in another namespace already. */
static bool is_to_be_pinned(const struct sv_wanted *w, const struct sv_secret *s)
{
	return s && s->immutable && strcmp(s->ns, w->pod->ns) == 0;
}

int sv_desired_pin(struct sv_wanted *w, const struct sv_plan *plan)
{
	struct sv_secret **pins = NULL;
	size_t i, n = 0;

	for (i = 0; i < plan->n_secrets; i++)
		n += is_to_be_pinned(w, plan->secrets[i].secret);
	if (n > 0) {
		pins = calloc(n, sizeof(*pins));
		if (!pins)
			return -ENOMEM;
		for (i = 0, n = 0; i < plan->n_secrets; i++)
			if (is_to_be_pinned(w, plan->secrets[i].secret))
				pins[n++] = sv_secret_ref(plan->secrets[i].secret);
	}
	free_pins(w);
	w->pins = pins;
	w->n_pins = n;
	return 0;
}

void sv_desired_done(struct sv_desired *d)
{
	size_t i;
	int o;

	for (i = 0; i < d->wanted.n; i++)
		wanted_free(d->wanted.entries[i].value);
	sv_strmap_done(&d->wanted);
	for (o = 0; o < SV_N_ORIGINS; o++) {
		for (i = 0; i < d->pods[o].n; i++) {
			struct sv_desired_pod *p = d->pods[o].entries[i].value;

			sv_pod_unref(p->pod);
			free(p->key);
			free(p);
		}
		for (i = 0; i < d->secrets[o].n; i++)
			secret_free(d->secrets[o].entries[i].value);
		sv_strmap_done(&d->pods[o]);
		sv_strmap_done(&d->secrets[o]);
	}
}
