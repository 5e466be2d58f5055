/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "kube_secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/text.h"
#include "../log.h"

#define ORIGIN SV_ORIGIN_API
#define TROUBLE_FAILURES 2 /* in a row, before a Secret counts as unavailable */

/* A Secret that somebody needs. */
struct secret {
	struct sv_kube_watch watch; /* first: see secret_of() */
	struct sv_kube_secrets *all;
	char *key, *ns, *name;
	/* when that was looked at last: volumes that need it, and how many have come to, ever */
	size_t users;
	uint64_t joins;
	unsigned leases;
	bool answered; /* it is known whether it exists, or that we may not know */
	bool found;    /* by the Secret's own list under way */
	bool told;     /* by_namespace: of it, by the namespace's list under way */
	bool in_list;  /* that list began when the Secret was needed already */
	bool passed; /* by_namespace: told of by the namespace since the Secret's own list began */
	bool immutable;
};

/* A namespace that is watched as a whole. */
struct namespace
{
	struct sv_kube_watch watch;
	char *name;
};

struct sv_lease {
	struct sv_lease *next, **link;
	struct secret **secrets;
	size_t n;
	uv_timer_t timer;
	sv_lease_fn ready; /* NULL: was called */
	void *arg;
};

static struct secret *secret_of(struct sv_kube_watch *w)
{
	return (struct secret *)w;
}

static const char *down_text(const struct sv_kube_secrets *k)
{
	return k->server->down_text ? k->server->down_text : "the server is not available";
}

char *sv_kube_complaint(const struct sv_complaints *c)
{
	if (c->n == 0)
		return strdup("cannot be read");
	return c->n > 1 ? sv_asprintf("%s (and %zu more)", c->items[0].message, c->n - 1) :
			  strdup(c->items[0].message);
}

/* A volume that waits for a Secret is told why. */
static void mark_unavailable(struct secret *s, const char *text)
{
	if (!s->answered)
		sv_manager_trouble_secret(s->all->manager, ORIGIN, s->ns, s->name,
					  SV_PLAN_E_UNAVAILABLE, text);
}

/* ---- Secrets ------------------------------------------------------------------------------- */

static void check_leases(struct sv_kube_secrets *k);

/* It is known now what there is. */
static void set_answered(struct secret *s, bool answered)
{
	s->answered = answered;
	if (answered && s->leases > 0)
		check_leases(s->all);
}

static int put_secret(struct secret *s, const struct sv_wire_event *e)
{
	struct sv_kube_secrets *k = s->all;
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autosecret struct sv_secret *secret = NULL;
	sv_autofree char *text = NULL;
	int r = sv_decode_secret(e->object, &k->decode, &secret, &c);

	if (r > 0) {
		text = sv_kube_complaint(&c);
		sv_kube_problems_set(k->problems, "Secret", s->ns, s->name, "InvalidSecret",
				     text ? text : "");
		return sv_manager_refuse_secret(k->manager, ORIGIN, s->ns, s->name,
						text ? text : "");
	}
	if (r < 0)
		return r;
	sv_kube_problems_clear(k->problems, "Secret", s->ns, s->name);
	s->immutable = secret->immutable;
	r = sv_manager_refuse_secret(k->manager, ORIGIN, s->ns, s->name, NULL);
	return r < 0 ? r : sv_manager_put_secret(k->manager, ORIGIN, secret);
}

static void remove_secret(struct secret *s)
{
	sv_kube_problems_clear(s->all->problems, "Secret", s->ns, s->name);
	s->immutable = false;
	sv_manager_refuse_secret(s->all->manager, ORIGIN, s->ns, s->name, NULL);
	sv_manager_remove_secret(s->all->manager, ORIGIN, s->ns, s->name);
}

/* A change of a Secret that somebody needs. */
static int take_secret(struct secret *s, const struct sv_wire_event *e)
{
	int r = 0;

	if (e->type == SV_WIRE_DELETED)
		remove_secret(s);
	else
		r = put_secret(s, e);
	if (r == 0)
		set_answered(s, true);
	return r;
}

static void begin_secret(struct sv_kube_watch *w)
{
	secret_of(w)->found = secret_of(w)->passed = false;
}

static int on_secret(struct sv_kube_watch *w, const struct sv_wire_event *e)
{
	struct secret *s = secret_of(w);
	int r;

	if (strcmp(e->name, s->name) != 0 || strcmp(e->ns, s->ns) != 0)
		return 0; /* not what was asked for */
	s->found = true;
	if (s->passed)
		return 0; /* what the namespace told is newer, or will be followed by this */
	r = take_secret(s, e);
	return r == 0 && !w->listing && s->immutable ? SV_KUBE_WATCH_ENOUGH : r; /* R61 */
}

/* Who is told of its changes by a watch of its own? */
static bool needs_watch(const struct secret *s)
{
	return s->users > 0 && !s->immutable && !s->all->by_namespace;
}

/* A list has come: does it say that the server was set back? */
static void judge_store(struct sv_kube_secrets *k, const struct sv_kube_watch *w)
{
	if (k->doubt != w)
		return;
	k->doubt = NULL;
	if (w->reflector.rewound)
		k->set_back(k->arg);
}

static bool secret_listed(struct sv_kube_watch *w)
{
	struct secret *s = secret_of(w);

	if (s->passed)
		sv_reflector_forget(&w->reflector); /* it was not taken: see knows_newer() */
	else if (!s->found)
		remove_secret(s);
	set_answered(s, true);
	judge_store(s->all, w);
	return needs_watch(s);
}

/* Its requests were refused: is that worth a word to those who wait? */
static void judge_secret(struct secret *s, const struct sv_kube_watch *w,
			 const struct sv_wire_status *status, const char *text)
{
	struct sv_kube_secrets *k = s->all;

	if (status->code == 403 && sv_reflector_is_denied(&w->reflector)) {
		sv_kube_problems_set(k->problems, "Secret", s->ns, s->name, "Forbidden", text);
		sv_manager_trouble_secret(k->manager, ORIGIN, s->ns, s->name, SV_PLAN_E_FORBIDDEN,
					  status->message[0] ? status->message : text);
		if (k->by_namespace) /* what comes next ends that, however old it is */
			sv_reflector_forget(&s->watch.reflector);
		set_answered(s, true);
	} else if (status->code != 403 && w->reflector.failures >= TROUBLE_FAILURES) {
		mark_unavailable(s, text);
	}
}

static void secret_failed(struct sv_kube_watch *w, const struct sv_wire_status *status,
			  const char *text)
{
	struct secret *s = secret_of(w);
	struct sv_kube_secrets *k = s->all;

	if (sv_kube_server_judge(k->server, w->code, w->generation, text))
		return;
	sv_log_debug("%s: secret %s: %s", k->server->name, s->key, text);
	judge_secret(s, w, status, text);
}

static void secret_too_large(struct sv_kube_watch *w, const char *name)
{
	struct secret *s = secret_of(w);
	sv_autofree char *text = sv_asprintf("is larger than %d bytes", SV_KUBE_OBJECT_MAX);

	(void)name;
	s->found = true;
	sv_kube_problems_set(s->all->problems, "Secret", s->ns, s->name, "TooLarge",
			     text ? text : "");
	sv_manager_refuse_secret(s->all->manager, ORIGIN, s->ns, s->name, text ? text : "");
}

static const struct sv_kube_watch_ops secret_ops = {
	begin_secret, on_secret, secret_too_large, secret_listed, secret_failed,
};

/* ---- namespaces ---------------------------------------------------------------------------- */

static struct namespace *namespace_of(struct sv_kube_watch *w)
{
	return (struct namespace *)w;
}

static bool is_in(const struct sv_kube_secrets *k, size_t i, const char *ns)
{
	return i < k->items.n &&
	       strcmp(((const struct secret *)k->items.entries[i].value)->ns, ns) == 0;
}

static void each_secret_in(struct sv_kube_secrets *k, const char *ns,
			   void (*fn)(struct secret *s, const void *arg), const void *arg)
{
	size_t i;

	for (i = sv_strmap_lower_pair(&k->items, ns, ""); is_in(k, i, ns); i++)
		fn(k->items.entries[i].value, arg);
}

static void clear_told(struct secret *s, const void *arg)
{
	(void)arg;
	s->told = false;
	s->in_list = true;
}

static void begin_namespace(struct sv_kube_watch *w)
{
	each_secret_in(w->arg, namespace_of(w)->name, clear_told, NULL);
}

/* A newer state was read when it came to be needed; the list of a server that lags is older, too. */
static bool knows_newer(const struct secret *s, const char *version)
{
	const char *own = s->watch.reflector.version;

	return own && version && sv_wire_compare(version, own) < 0;
}

static int on_namespace(struct sv_kube_watch *w, const struct sv_wire_event *e)
{
	struct sv_kube_secrets *k = w->arg;
	struct secret *s = sv_strmap_get_pair(&k->items, e->ns, e->name);

	if (!s)
		return 0; /* nobody here needs it */
	s->told = true;
	if (knows_newer(s, e->version))
		return 0;
	s->passed = true;
	return take_secret(s, e);
}

/* @arg: version of the list */
static void note_missing(struct secret *s, const void *arg)
{
	if (!s->watch.path) /* it was answered when it came to be needed */
		return;
	if (!s->told && !s->in_list) { /* it may have stood in what was passed over already */
		if (!s->watch.reflector.synced)
			sv_kube_watch_start(&s->watch, 0);
		return;
	}
	if (!s->told && !knows_newer(s, arg)) {
		s->passed = true;
		remove_secret(s);
	}
	set_answered(s, true);
}

static bool namespace_listed(struct sv_kube_watch *w)
{
	each_secret_in(w->arg, namespace_of(w)->name, note_missing, w->reflector.version);
	judge_store(w->arg, w);
	return true;
}

struct refusal {
	const struct sv_kube_watch *watch;
	const struct sv_wire_status *status;
	const char *text;
};

static void tell_refusal(struct secret *s, const void *arg)
{
	const struct refusal *r = arg;

	judge_secret(s, r->watch, r->status, r->text);
}

static void namespace_failed(struct sv_kube_watch *w, const struct sv_wire_status *status,
			     const char *text)
{
	struct sv_kube_secrets *k = w->arg;
	const struct refusal r = { w, status, text };

	if (sv_kube_server_judge(k->server, w->code, w->generation, text))
		return;
	sv_log_debug("%s: secrets of namespace %s: %s", k->server->name, namespace_of(w)->name,
		     text);
	each_secret_in(k, namespace_of(w)->name, tell_refusal, &r);
}

static void namespace_too_large(struct sv_kube_watch *w, const char *name)
{
	struct sv_kube_secrets *k = w->arg;
	struct secret *s = strchr(name, '/') ?
				   sv_strmap_get(&k->items, name) :
				   sv_strmap_get_pair(&k->items, namespace_of(w)->name, name);

	if (!s)
		return;
	s->told = true;
	secret_too_large(&s->watch, name);
}

static const struct sv_kube_watch_ops namespace_ops = {
	begin_namespace, on_namespace, namespace_too_large, namespace_listed, namespace_failed,
};

/* ---- who needs what ------------------------------------------------------------------------ */

static void secret_free(struct secret *s)
{
	if (!s)
		return;
	free(s->key);
	free(s->ns);
	free(s->name);
	free(s);
}

static void secret_closed(struct sv_kube_watch *w)
{
	secret_free(secret_of(w));
}

static void namespace_closed(struct sv_kube_watch *w)
{
	struct namespace *n = namespace_of(w);

	free(n->name);
	free(n);
}

/* For what is plain. NULL for lack of memory. */
static char *secret_path(const char *ns, const char *name)
{
	return name ? sv_asprintf(
			      "/api/v1/namespaces/%s/secrets?fieldSelector=metadata.name%%3D%s&",
			      ns, name) :
		      sv_asprintf("/api/v1/namespaces/%s/secrets?", ns);
}

/* NULL for lack of memory. */
static struct namespace *get_namespace(struct sv_kube_secrets *k, const char *name)
{
	struct namespace *n = sv_strmap_get(&k->namespaces, name);
	char *path;

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	path = secret_path(name, NULL);
	if (n)
		n->name = strdup(name);
	if (!n || !path || !n->name || sv_strmap_put(&k->namespaces, n->name, n) < 0) {
		if (n)
			free(n->name);
		free(n);
		free(path);
		return NULL;
	}
	sv_kube_watch_init(&n->watch, k->server, &namespace_ops, k, &k->horizon, path,
			   SV_LIST_NEWEST);
	sv_kube_watch_start(&n->watch, 0);
	return n;
}

static void drop_namespace(struct sv_kube_secrets *k, struct namespace *n)
{
	if (k->doubt == &n->watch)
		k->doubt = NULL;
	sv_strmap_remove(&k->namespaces, n->name);
	sv_kube_watch_close(&n->watch, namespace_closed);
}

static void drop_idle_namespace(struct sv_kube_secrets *k, const char *name)
{
	struct namespace *n = sv_strmap_get(&k->namespaces, name);

	if (n && !is_in(k, sv_strmap_lower_pair(&k->items, name, ""), name))
		drop_namespace(k, n);
}

static struct secret *secret_new(struct sv_kube_secrets *k, const char *ns, const char *name)
{
	struct secret *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->all = k;
	s->ns = strdup(ns);
	s->name = strdup(name);
	s->key = sv_asprintf("%s/%s", ns, name);
	if (s->ns && s->name && s->key)
		return s;
	secret_free(s);
	return NULL;
}

/* What is learnt of it is held by the manager from now on. */
static int add_secret(struct sv_kube_secrets *k, struct secret *s)
{
	if (sv_strmap_put(&k->items, s->key, s) < 0)
		return -ENOMEM;
	if (sv_desired_hold_secret(&k->manager->desired, ORIGIN, s->ns, s->name) == 0)
		return 0;
	sv_strmap_remove(&k->items, s->key);
	return -ENOMEM;
}

/* NULL for lack of memory: nothing is known of it then, and least of all that there is none. */
static struct secret *make_secret(struct sv_kube_secrets *k, const char *ns, const char *name)
{
	/* Names come from Pods: what the API server would not take in a path must not get into one. */
	bool plain = sv_kube_is_plain(ns) && sv_kube_is_plain(name);
	struct secret *s = secret_new(k, ns, name);
	char *path = plain ? secret_path(ns, name) : NULL;
	struct namespace *n = plain && k->by_namespace ? get_namespace(k, ns) : NULL;

	if (!s || (plain && (!path || (k->by_namespace && !n))) || add_secret(k, s) < 0) {
		drop_idle_namespace(k, ns);
		secret_free(s);
		free(path);
		return NULL;
	}
	/* From the store: a lagging memory may not have a Secret that was made just before its Pod. */
	sv_kube_watch_init(&s->watch, k->server, &secret_ops, k, &k->horizon, path, SV_LIST_NEWEST);
	if (!plain) { /* a name that no Secret can have (R13) */
		remove_secret(s);
		set_answered(s, true);
	} else if (k->server->down) {
		mark_unavailable(s, down_text(k));
	}
	/* Its namespace's list may have been read already: then it was not asked for there. */
	if (plain && (!n || n->watch.reflector.synced))
		sv_kube_watch_start(&s->watch, 0);
	return s;
}

static void drop_secret(struct sv_kube_secrets *k, struct secret *s)
{
	if (k->doubt == &s->watch)
		k->doubt = NULL;
	sv_strmap_remove(&k->items, s->key);
	sv_kube_problems_clear(k->problems, "Secret", s->ns, s->name);
	sv_manager_refuse_secret(k->manager, ORIGIN, s->ns, s->name, NULL);
	sv_manager_forget_secret(k->manager, ORIGIN, s->ns, s->name);
	sv_desired_release_secret(&k->manager->desired, ORIGIN, s->ns, s->name);
	sv_kube_watch_close(&s->watch, secret_closed);
}

/* Ask anew: what is known may be old. */
static void ask_again(struct secret *s)
{
	if (!s->watch.path)
		return;
	set_answered(s, false);
	sv_kube_watch_relist(&s->watch, SV_LIST_NEWEST);
	if (s->all->server->down)
		mark_unavailable(s, down_text(s->all));
}

static void look_at_known(struct sv_kube_secrets *k, struct secret *s)
{
	uint64_t joins;
	size_t users = sv_desired_users(&k->manager->desired, ORIGIN, s->ns, s->name, &joins);
	size_t before = s->users;
	bool joined = joins != s->joins;

	s->users = users;
	s->joins = joins;
	if (users == 0 && s->leases == 0) {
		drop_secret(k, s);
		drop_idle_namespace(k, s->ns); /* the loop frees it later */
	} else if (users > 0 && !k->by_namespace && (before == 0 || (joined && s->immutable))) {
		/*
		 * Nobody watched it: it may have changed, or was deleted and made anew. New volumes wait
		 * for the answer, volumes that exist keep what they have.
		 */
		sv_manager_forget_secret(k->manager, ORIGIN, s->ns, s->name);
		ask_again(s);
	} else if (users == 0 &&
		   !s->watch.reflector.listing) { /* else a lease waits for the list */
		sv_kube_watch_pause(&s->watch);
	}
}

static int look_at_new(struct sv_kube_secrets *k, const char *key)
{
	const char *name = strchr(key, '/') + 1;
	sv_autofree char *ns = strndup(key, (size_t)(name - 1 - key));
	struct secret *s;
	uint64_t joins;
	size_t users;

	if (!ns)
		return -ENOMEM;
	users = sv_desired_users(&k->manager->desired, ORIGIN, ns, name, &joins);
	if (users == 0)
		return 0;
	s = make_secret(k, ns, name);
	if (!s)
		return -ENOMEM;
	s->users = users;
	s->joins = joins;
	return 0;
}

static void on_retry(uv_timer_t *timer)
{
	struct sv_kube_secrets *k = timer->data;

	sv_manager_tidy(k->manager); /* which has it attended to */
}

static void lose(struct sv_kube_secrets *k)
{
	if (!k->lost)
		sv_log_err("kubernetes: out of memory; will be tried again");
	k->lost = true;
	if (!uv_is_active((uv_handle_t *)&k->retry))
		uv_timer_start(&k->retry, on_retry, SV_RETRY_FIRST_MS, 0);
}

static int look_at(struct sv_kube_secrets *k, const char *key)
{
	struct secret *s = sv_strmap_get(&k->items, key);

	if (!s)
		return look_at_new(k, key);
	look_at_known(k, s);
	return 0;
}

/* What we know of is held there. Looking takes nothing out but what is looked at. */
static int look_at_all(struct sv_kube_secrets *k)
{
	const struct sv_strmap *all = &k->manager->desired.secrets[ORIGIN];
	size_t i;
	int r = 0;

	for (i = all->n; i-- > 0;)
		if (look_at(k, all->entries[i].key) < 0)
			r = -ENOMEM;
	return r;
}

void sv_kube_secrets_interest(struct sv_kube_secrets *k, const char *ns, const char *name)
{
	char *key;

	if (sv_strmap_get_pair(&k->touched, ns, name))
		return;
	key = sv_asprintf("%s/%s", ns, name);
	if (!key || sv_strmap_put(&k->touched, key, key) < 0) {
		free(key);
		lose(k);
	}
	sv_manager_tidy(k->manager); /* which has it attended to */
}

void sv_kube_secrets_attend(struct sv_kube_secrets *k)
{
	struct sv_strmap touched = k->touched;
	size_t i;
	int r = 0;

	k->touched = (struct sv_strmap){ 0 };
	for (i = 0; i < touched.n; i++) {
		if (!k->lost && look_at(k, touched.entries[i].key) < 0)
			r = -ENOMEM;
		free(touched.entries[i].value);
	}
	sv_strmap_done(&touched);
	if (k->lost)
		r = look_at_all(k);
	if (r < 0)
		lose(k);
	else
		k->lost = false;
}

int sv_kube_secrets_refill(struct sv_kube_secrets *k, struct sv_secret *secret, struct sv_err *err)
{
	struct secret *s = sv_strmap_get_pair(&k->items, secret->ns, secret->name);

	if (!s || k->server->down)
		return sv_err_set(err, SV_PLAN_E_UNAVAILABLE,
				  "secret \"%s\": its values were not kept, and %s", secret->name,
				  s ? down_text(k) : "nobody watches it");
	/* What a list under way brings is not older than what is known, and who asks is told of it. */
	if (!sv_kube_watch_is_listing(&s->watch) || s->passed)
		sv_kube_watch_relist(&s->watch, SV_LIST_NEWEST);
	return sv_err_set(err, SV_PLAN_E_PENDING, "secret \"%s\": its values are asked for again",
			  secret->name);
}

static void doubt_if_newer(struct sv_kube_secrets *k, struct sv_kube_watch *w)
{
	const char *version = w->reflector.version;

	if (version && (!k->doubt || sv_wire_compare(version, k->doubt->reflector.version) > 0))
		k->doubt = w;
}

void sv_kube_secrets_doubt(struct sv_kube_secrets *k)
{
	size_t i;

	k->doubt = NULL;
	for (i = 0; i < k->namespaces.n; i++)
		doubt_if_newer(k, &((struct namespace *)k->namespaces.entries[i].value)->watch);
	for (i = 0; i < k->items.n; i++) {
		struct secret *s = k->items.entries[i].value;

		if (s->watch.path && (needs_watch(s) || k->by_namespace))
			doubt_if_newer(k, &s->watch);
	}
	if (k->doubt)
		sv_kube_watch_relist(k->doubt, SV_LIST_NEWEST);
}

void sv_kube_secrets_relist(struct sv_kube_secrets *k)
{
	size_t i;

	k->doubt = NULL; /* so it is */
	sv_kube_horizon_done(&k->horizon);
	for (i = 0; i < k->namespaces.n; i++)
		sv_kube_watch_relist(&((struct namespace *)k->namespaces.entries[i].value)->watch,
				     SV_LIST_NEWEST);
	for (i = 0; i < k->items.n; i++) {
		struct secret *s = k->items.entries[i].value;

		if (k->by_namespace) /* whose lists tell now, from whatever version on */
			sv_reflector_forget(&s->watch.reflector);
		else if (s->watch.path)
			sv_kube_watch_relist(&s->watch, SV_LIST_NEWEST);
	}
}

/* ---- leases -------------------------------------------------------------------------------- */

static bool is_answered(const struct sv_lease *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!l->secrets[i]->answered)
			return false;
	return true;
}

static void end_waiting(struct sv_lease *l)
{
	sv_lease_fn ready = l->ready;

	l->ready = NULL;
	uv_timer_stop(&l->timer);
	if (ready)
		ready(l->arg);
}

static void on_lease_over(uv_timer_t *timer)
{
	end_waiting(timer->data);
}

static void check_leases(struct sv_kube_secrets *k)
{
	struct sv_lease *l;

	for (l = k->leases; l; l = l->next)
		if (l->ready && is_answered(l)) /* not from in here: the caller is in an answer */
			uv_timer_start(&l->timer, on_lease_over, 0, 0);
}

static void lease_closed(uv_handle_t *handle)
{
	struct sv_lease *l = handle->data;

	free(l->secrets);
	free(l);
}

void sv_kube_secrets_release(struct sv_kube_secrets *k, struct sv_lease *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		l->secrets[i]->leases--;
		sv_kube_secrets_interest(k, l->secrets[i]->ns, l->secrets[i]->name);
	}
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	l->ready = NULL;
	uv_close((uv_handle_t *)&l->timer, lease_closed);
}

static struct secret *lease_secret(struct sv_kube_secrets *k, const char *ns, const char *name)
{
	struct secret *s = sv_strmap_get_pair(&k->items, ns, name);

	if (!s) {
		s = make_secret(k, ns, name);
	} else if ((s->users == 0 || s->immutable) && s->answered && !k->by_namespace) {
		ask_again(s); /* nobody watches it */
	}
	if (s)
		s->leases++;
	return s;
}

int sv_kube_secrets_lease(struct sv_kube_secrets *k, const char *ns, const char *const *names,
			  size_t n, sv_lease_fn ready, void *arg, struct sv_lease **ret, bool *wait)
{
	struct sv_lease *l = calloc(1, sizeof(*l));

	if (l)
		l->secrets = calloc(n ? n : 1, sizeof(*l->secrets));
	if (!l || !l->secrets) {
		free(l);
		return -ENOMEM;
	}
	l->timer.data = l;
	uv_timer_init(k->server->loop, &l->timer);
	l->next = k->leases;
	l->link = &k->leases;
	if (l->next)
		l->next->link = &l->next;
	k->leases = l;
	for (; l->n < n; l->n++) {
		l->secrets[l->n] = lease_secret(k, ns, names[l->n]);
		if (!l->secrets[l->n]) {
			sv_kube_secrets_release(k, l);
			return -ENOMEM;
		}
	}
	*wait = !k->server->down && !is_answered(l);
	if (*wait) {
		l->ready = ready;
		l->arg = arg;
		uv_timer_start(&l->timer, on_lease_over, SV_KUBE_LEASE_MS, 0);
	}
	*ret = l;
	return 0;
}

/* ---- all of them --------------------------------------------------------------------------- */

void sv_kube_secrets_init(struct sv_kube_secrets *k, struct sv_kube_server *server,
			  struct sv_manager *manager, struct sv_kube_problems *problems,
			  bool by_namespace, const struct sv_decode_opts *decode)
{
	*k = (struct sv_kube_secrets){ .server = server,
				       .manager = manager,
				       .problems = problems,
				       .by_namespace = by_namespace,
				       .decode = *decode };
	k->retry.data = k;
	uv_timer_init(server->loop, &k->retry);
}

void sv_kube_secrets_stop(struct sv_kube_secrets *k)
{
	while (k->leases)
		sv_kube_secrets_release(k, k->leases);
	while (k->items.n)
		drop_secret(k, k->items.entries[k->items.n - 1].value);
	while (k->namespaces.n)
		drop_namespace(k, k->namespaces.entries[k->namespaces.n - 1].value);
	uv_close((uv_handle_t *)&k->retry, NULL);
}

void sv_kube_secrets_done(struct sv_kube_secrets *k)
{
	size_t i;

	for (i = 0; i < k->touched.n; i++)
		free(k->touched.entries[i].value);
	sv_strmap_done(&k->touched);
	sv_strmap_done(&k->items);
	sv_strmap_done(&k->namespaces);
	sv_kube_horizon_done(&k->horizon);
}

void sv_kube_secrets_down(struct sv_kube_secrets *k, const char *text)
{
	struct sv_lease *l;
	size_t i;

	for (i = 0; i < k->items.n; i++)
		mark_unavailable(k->items.entries[i].value, text);
	for (l = k->leases; l; l = l->next) /* nobody will answer for now */
		if (l->ready)
			uv_timer_start(&l->timer, on_lease_over, 0, 0);
}

unsigned sv_kube_secrets_live(const struct sv_kube_secrets *k)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < k->items.n; i++)
		n += sv_kube_watch_is_live(&((struct secret *)k->items.entries[i].value)->watch);
	for (i = 0; i < k->namespaces.n; i++)
		n += sv_kube_watch_is_live(
			&((struct namespace *)k->namespaces.entries[i].value)->watch);
	return n;
}
