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
	free(s->trouble_text);
	free(s->users);
	free(s->key);
	free(s);
}

/* A name that nobody refers to and that stands for nothing need not be remembered. */
static void tidy_secret(struct sv_desired *d, struct sv_desired_secret *s)
{
	if (s->secret || s->refused || s->n_users > 0 || s->holds > 0)
		return; /* that it is absent, or cannot be had, matters to users only */
	sv_strmap_remove(&d->secrets[s->origin], s->key);
	secret_free(s);
}

static void tell_users(const struct sv_desired *d, const struct sv_desired_secret *s)
{
	size_t i;

	for (i = 0; i < s->n_users; i++)
		tell(d, s->users[i]->id);
}

static void end_trouble(const struct sv_desired *d, struct sv_desired_secret *s)
{
	free(s->trouble_text);
	s->trouble_text = NULL;
	s->trouble = 0;
	tell_users(d, s);
}

/* ---- values -------------------------------------------------------------------------------- */

/* What values take, with what it takes to hold them. */
static size_t cost_of(const struct sv_secret *s)
{
	return s->size + s->n_keys * 64;
}

static void forget(struct sv_desired *d, struct sv_secret *s)
{
	if (s->data)
		d->filled_size -= cost_of(s);
	sv_secret_forget(s);
}

/* Those that have been replaced since need no place in the list. */
static void tidy_filled(struct sv_desired *d)
{
	size_t i, n = 0;

	for (i = 0; i < d->n_filled; i++)
		if (d->filled[i]->data)
			d->filled[n++] = d->filled[i];
		else
			sv_secret_unref(d->filled[i]);
	d->n_filled = n;
}

/* For one more: by tidying if that pays. */
static void make_place(struct sv_desired *d)
{
	size_t cap = d->cap_filled ? d->cap_filled * 2 : 16;
	struct sv_secret **p;

	tidy_filled(d);
	if (d->n_filled < d->cap_filled / 2)
		return;
	p = reallocarray(d->filled, cap, sizeof(*p));
	if (!p)
		return;
	d->filled = p;
	d->cap_filled = cap;
}

/* A Secret has values that will have to go. Without memory to remember it they go at once. */
static void note_filled(struct sv_desired *d, enum sv_origin origin, struct sv_secret *s)
{
	if (!d->forgets[origin] || !s->data)
		return;
	if (d->n_filled == d->cap_filled)
		make_place(d);
	if (d->n_filled == d->cap_filled) {
		sv_secret_forget(s);
		return;
	}
	d->filled_size += cost_of(s);
	d->filled[d->n_filled++] = sv_secret_ref(s);
}

/* A version that is no longer the one in force: who works with its values holds them. */
static void let_go(struct sv_desired *d, enum sv_origin origin, struct sv_secret *s)
{
	if (d->forgets[origin])
		forget(d, s);
	sv_secret_unref(s);
}

size_t sv_desired_forget(struct sv_desired *d)
{
	size_t i, before = d->filled_size;

	for (i = 0; i < d->n_filled; i++) {
		forget(d, d->filled[i]);
		sv_secret_unref(d->filled[i]);
	}
	d->n_filled = 0;
	d->filled_size = 0;
	return before;
}

void sv_desired_make_room(struct sv_desired *d)
{
	if (d->filled_size > SV_VALUES_MAX)
		sv_desired_forget(d);
}

void sv_desired_set_keep(struct sv_desired *d, enum sv_keep keep)
{
	size_t i;
	int o;

	sv_desired_forget(d);
	for (o = 0; o < SV_N_ORIGINS; o++) {
		bool forgot = d->forgets[o];

		d->forgets[o] =
			keep == SV_KEEP_NEVER || (keep == SV_KEEP_AUTO && o == SV_ORIGIN_MANIFEST);
		for (i = 0; !forgot && i < d->secrets[o].n; i++) {
			struct sv_desired_secret *s = d->secrets[o].entries[i].value;

			if (s->secret)
				note_filled(d, (enum sv_origin)o, s->secret);
		}
	}
}

bool sv_desired_fill(struct sv_desired *d, enum sv_origin origin, struct sv_secret *secret,
		     const struct sv_secret *from)
{
	if (!sv_secret_is_hollow(secret))
		return true;
	if (!sv_secret_fill(secret, from))
		return false;
	note_filled(d, origin, secret);
	return true;
}

static bool is_waited_for(const struct sv_desired *d, const struct sv_desired_secret *s)
{
	size_t i;

	if (s->asked || !d->forgets[s->origin])
		return true;
	for (i = 0; d->waits && i < s->n_users; i++)
		if (d->waits(d->arg, s->users[i]->id))
			return true;
	return false;
}

/* Whoever asked in vain asks again. */
static void answer(struct sv_desired *d, struct sv_desired_secret *s)
{
	if (!s->asked)
		return;
	s->asked = false;
	tell_users(d, s);
}

void sv_desired_offer(struct sv_desired *d, enum sv_origin origin, const struct sv_secret *from)
{
	struct sv_desired_secret *s = find_secret(d, origin, from->ns, from->name);

	if (!s || !s->secret || !sv_secret_is_hollow(s->secret) || !is_waited_for(d, s))
		return;
	if (sv_desired_fill(d, origin, s->secret, from))
		answer(d, s);
}

void sv_desired_look_again(struct sv_desired *d, enum sv_origin origin)
{
	size_t i;

	for (i = 0; i < d->secrets[origin].n; i++)
		answer(d, d->secrets[origin].entries[i].value);
}

/* ---- Secrets come and go ------------------------------------------------------------------- */

int sv_desired_put_secret(struct sv_desired *d, enum sv_origin origin, struct sv_secret *secret,
			  int64_t now_ms)
{
	struct sv_desired_secret *s = get_secret(d, origin, secret->ns, secret->name);

	if (!s)
		return -ENOMEM;
	s->absent = false;
	if (s->trouble)
		end_trouble(d, s);
	if (s->secret && sv_secret_equal(s->secret, secret)) { /* told again: nothing has changed */
		sv_desired_offer(d, origin, secret);
		return 0;
	}
	if (s->secret)
		let_go(d, origin, s->secret);
	s->secret = sv_secret_ref(secret);
	note_filled(d, origin, secret);
	s->asked = false;
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

	if (!s)
		return;
	if (s->trouble)
		end_trouble(d, s);
	if (!s->secret && s->absent == d->by_secret[origin])
		return;
	s->absent = d->by_secret[origin];
	if (s->secret) {
		let_go(d, origin, SV_TAKE(s->secret));
		s->serial = ++d->serial;
	}
	tell_users(d, s);
	tidy_secret(d, s);
}

int sv_desired_trouble_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name, int trouble, const char *text)
{
	struct sv_desired_secret *s = find_secret(d, origin, ns, name);
	char *copy;

	if (!s || (s->trouble == trouble && strcmp(s->trouble_text, text) == 0))
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(s->trouble_text);
	s->trouble_text = copy;
	s->trouble = trouble;
	tell_users(d, s);
	return 0;
}

void sv_desired_forget_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			      const char *name)
{
	struct sv_desired_secret *s = find_secret(d, origin, ns, name);

	if (!s)
		return;
	if (s->secret)
		let_go(d, origin, SV_TAKE(s->secret));
	s->absent = false;
	if (s->trouble)
		end_trouble(d, s);
	tidy_secret(d, s);
}

int sv_desired_hold_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			   const char *name)
{
	struct sv_desired_secret *s = get_secret(d, origin, ns, name);

	if (!s)
		return -ENOMEM;
	s->holds++;
	return 0;
}

void sv_desired_release_secret(struct sv_desired *d, enum sv_origin origin, const char *ns,
			       const char *name)
{
	struct sv_desired_secret *s = find_secret(d, origin, ns, name);

	if (!s || s->holds == 0)
		return;
	s->holds--;
	tidy_secret(d, s);
}

size_t sv_desired_users(const struct sv_desired *d, enum sv_origin origin, const char *ns,
			const char *name, uint64_t *joins)
{
	const struct sv_desired_secret *s = find_secret(d, origin, ns, name);
	size_t i, n = 0;

	for (i = 0; s && i < s->n_users; i++)
		n += s->users[i]->used;
	if (joins)
		*joins = s ? s->joins : 0;
	return n;
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

static void tell_interest(const struct sv_desired *d, const struct sv_wanted *w, size_t i)
{
	if (d->interest)
		d->interest(d->arg, w->origin, w->pod->ns, w->vol->sources[i].name);
}

static void drop_users(struct sv_desired *d, struct sv_wanted *w)
{
	size_t i;

	for (i = 0; i < w->vol->n_sources; i++) {
		struct sv_desired_secret *s =
			find_secret(d, w->origin, w->pod->ns, w->vol->sources[i].name);

		if (s)
			remove_user(d, s, w);
		tell_interest(d, w, i);
	}
}

/* @joins: the volume is a new one. */
static int add_users(struct sv_desired *d, struct sv_wanted *w, bool joins)
{
	size_t i;

	for (i = 0; i < w->vol->n_sources; i++) {
		struct sv_desired_secret *s =
			get_secret(d, w->origin, w->pod->ns, w->vol->sources[i].name);

		if (!s || add_user(s, w) < 0)
			return -ENOMEM;
		s->joins += joins && w->used;
		tell_interest(d, w, i);
	}
	return 0;
}

void sv_desired_unpin(struct sv_wanted *w)
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
	sv_desired_unpin(w);
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
	bool joins;

	if (!id)
		return -ENOMEM;
	w = sv_strmap_get(&d->wanted, id);
	joins = !w;
	if (w && w->origin != origin) { /* a uid is one Pod's: whoever came first keeps it */
		d->shared_uid = true;
		return 0;
	}
	if (w) { /* the Pod was put again: its volume goes on */
		drop_users(d, w);
		/* one of that uid elsewhere? there, other Secrets have these names */
		if (strcmp(w->pod->ns, pod->ns) != 0)
			sv_desired_unpin(w);
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
	if (add_users(d, w, joins) < 0)
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
static void unwant(struct sv_desired *d, enum sv_origin origin, const struct sv_pod *pod,
		   const struct sv_volume *vol, const struct sv_pod *kept)
{
	struct sv_wanted *w = find_wanted(d, pod, vol);

	if (!w || w->origin != origin || w->pod == kept || strcmp(w->pod->ns, pod->ns) != 0 ||
	    strcmp(w->pod->name, pod->name) != 0)
		return;
	drop_users(d, w);
	sv_strmap_remove(&d->wanted, w->id);
	tell(d, w->id);
	wanted_free(w);
}

static int want_all(struct sv_desired *d, enum sv_origin origin, struct sv_pod *pod)
{
	size_t i;
	int r = 0;

	for (i = 0; i < pod->n_volumes && r == 0 && !pod->terminated; i++)
		if (pod->volumes[i].type != SV_VOLUME_OTHER)
			r = want(d, origin, pod, &pod->volumes[i]);
	return r;
}

/* A Pod of another origin may have waited for the uid. */
static void hand_over(struct sv_desired *d, enum sv_origin origin, const char *uid)
{
	size_t i;
	int o;

	for (o = 0; d->shared_uid && o < SV_N_ORIGINS; o++)
		for (i = 0; o != (int)origin && i < d->pods[o].n; i++) {
			struct sv_desired_pod *p = d->pods[o].entries[i].value;

			if (strcmp(p->pod->uid, uid) == 0)
				(void)want_all(d, p->origin,
					       p->pod); /* at worst with its next put */
		}
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
static void unwant_all(struct sv_desired *d, enum sv_origin origin, const struct sv_pod *pod,
		       const struct sv_pod *kept, bool all)
{
	size_t i;

	for (i = 0; i < pod->n_volumes; i++)
		if (pod->volumes[i].type != SV_VOLUME_OTHER &&
		    (all || !has_volume(kept, &pod->volumes[i])))
			unwant(d, origin, pod, &pod->volumes[i], kept);
	hand_over(d, origin, pod->uid);
}

int sv_desired_put_pod(struct sv_desired *d, enum sv_origin origin, struct sv_pod *pod,
		       int64_t now_ms)
{
	sv_autofree char *key = sv_asprintf("%s/%s", pod->ns, pod->name);
	struct sv_pod *old = NULL;
	struct sv_desired_pod *p;
	int r;

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
	r = want_all(d, origin, pod);
	/*
	 * What the new version has belongs to it by now, or will when it is put again: without memory
	 * for it a volume stays what it was, and is not taken away.
	 */
	if (old && old != pod)
		unwant_all(d, origin, old, pod, r == 0 || strcmp(old->uid, pod->uid) != 0);
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
	unwant_all(d, origin, p->pod, NULL, true);
	sv_pod_unref(p->pod);
	free(p->key);
	free(p);
}

void sv_desired_set_reading(struct sv_desired *d, enum sv_origin origin, bool reading)
{
	bool ends = d->reading[origin] && !reading;

	d->reading[origin] = reading;
	if (ends)
		sv_desired_look_again(d, origin);
}

void sv_desired_set_synced(struct sv_desired *d, enum sv_origin origin)
{
	if (d->synced[origin])
		return;
	d->synced[origin] = true;
	sv_desired_look_again(d, origin);
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

bool sv_desired_is_known(const struct sv_desired *d, enum sv_origin origin,
			 const struct sv_desired_secret *s)
{
	return !d->by_secret[origin] || (s && (s->secret || s->absent || s->refused));
}

struct looker {
	const struct sv_desired *d;
	enum sv_origin origin;
	struct sv_secret **pins;
	size_t n_pins;
	bool outline; /* hollow Secrets will do */
	bool waits;   /* for what the source may be about to tell */
};

/* The Secret that counts for the volume, or NULL. */
static struct sv_secret *find_version(const struct looker *l, const struct sv_desired_secret *s,
				      const char *name)
{
	size_t i;

	for (i = 0; i < l->n_pins; i++)
		if (strcmp(l->pins[i]->name, name) == 0)
			return l->pins[i];
	return s ? s->secret : NULL;
}

static bool is_among(struct sv_secret *const *pins, size_t n, const struct sv_secret *secret)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pins[i] == secret)
			return true;
	return false;
}

static int refill(const struct looker *l, struct sv_desired_secret *s, struct sv_secret *secret,
		  struct sv_err *err)
{
	int r = l->d->refill ? l->d->refill(l->d->arg, l->origin, secret, err) :
			       sv_err_set(err, SV_PLAN_E_UNAVAILABLE,
					  "secret \"%s\": its values were forgotten", secret->name);

	if (r > 0 && s)
		s->asked = true;
	/* filled, but there was no memory to remember that */
	return r == 0 && sv_secret_is_hollow(secret) ? -ENOMEM : r;
}

static int look_up(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		   struct sv_err *err)
{
	const struct looker *l = arg;
	struct sv_desired_secret *s = find_secret(l->d, l->origin, ns, name);
	struct sv_secret *secret = find_version(l, s, name);
	int r;

	if (s && s->trouble == SV_PLAN_E_FORBIDDEN && !is_among(l->pins, l->n_pins, secret))
		return sv_err_set(err, s->trouble, "%s", s->trouble_text);
	if (secret) {
		r = l->outline || !sv_secret_is_hollow(secret) ? 0 : refill(l, s, secret, err);
		if (r == 0)
			*ret = secret;
		return r;
	}
	if (!sv_desired_is_known(l->d, l->origin, s))
		return s && s->trouble ?
			       sv_err_set(err, s->trouble, "secret \"%s\": %s", name,
					  s->trouble_text) :
			       sv_err_set(err, SV_PLAN_E_PENDING,
					  "secret \"%s\": the API server has not answered yet",
					  name);
	if (!l->d->synced[l->origin] || (l->waits && l->d->reading[l->origin])) {
		if (s)
			s->asked = true;
		return sv_err_set(err, SV_PLAN_E_PENDING,
				  "secret \"%s\": its source has not been read yet", name);
	}
	if (s && s->refused)
		sv_err_set(err, 0, "it exists and is invalid: %s", s->refused);
	return SV_PLAN_E_NO_SECRET;
}

static int make_plan(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
		     bool outline, struct sv_plan **ret, struct sv_err *err)
{
	struct looker l = { d, w->origin, w->pins, w->n_pins, outline, true };
	int r = sv_plan_make(w->pod, w->vol, limit, look_up, &l, ret, err);

	if (r == 0)
		(*ret)->origin = w->origin;
	return r;
}

int sv_desired_plan(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
		    struct sv_plan **ret, struct sv_err *err)
{
	return make_plan(d, w, limit, false, ret, err);
}

int sv_desired_outline(const struct sv_desired *d, const struct sv_wanted *w, size_t limit,
		       struct sv_plan **ret, struct sv_err *err)
{
	return make_plan(d, w, limit, true, ret, err);
}

int sv_desired_env(const struct sv_desired *d, enum sv_origin origin, const struct sv_pod *pod,
		   const struct sv_container *c, const struct sv_env_opts *opts,
		   struct sv_env **ret, struct sv_err *err)
{
	struct looker l = { .d = d, .origin = origin };

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

/* An action may end when the volume belongs to a Pod of that uid elsewhere already. */
static bool is_to_be_pinned(const struct sv_wanted *w, const struct sv_plan *plan,
			    const struct sv_secret *s)
{
	return s && s->immutable && plan->origin == w->origin && strcmp(s->ns, w->pod->ns) == 0;
}

int sv_desired_pin(struct sv_wanted *w, const struct sv_plan *plan)
{
	struct sv_secret **pins = NULL;
	size_t i, n = 0;

	for (i = 0; i < plan->n_secrets; i++)
		n += is_to_be_pinned(w, plan, plan->secrets[i].secret);
	if (n > 0) {
		pins = calloc(n, sizeof(*pins));
		if (!pins)
			return -ENOMEM;
		for (i = 0, n = 0; i < plan->n_secrets; i++) {
			struct sv_secret *secret = plan->secrets[i].secret;

			/* several sources may name one Secret */
			if (is_to_be_pinned(w, plan, secret) && !is_among(pins, n, secret))
				pins[n++] = sv_secret_ref(secret);
		}
	}
	sv_desired_unpin(w);
	w->pins = pins;
	w->n_pins = n;
	return 0;
}

void sv_desired_done(struct sv_desired *d)
{
	size_t i;
	int o;

	sv_desired_forget(d);
	free(d->filled);
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
