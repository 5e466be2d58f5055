/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/strmap.h"
#include "../base/text.h"
#include "validate.h"

#define NAMESAKES_MAX 16 /* in one file, of which complaints are compared with those of before */

struct effective;

/* One object of a file. */
struct entry {
	struct file *file;
	enum sv_kind kind;
	char *ns, *name;
	unsigned document, line;
	struct sv_pod *pod;              /* the last good version, or NULL */
	struct sv_secret *secret;        /* likewise */
	struct sv_complaints complaints; /* about the version in the file */
	struct sv_complaints change;     /* about replacing the Secret in force (R8, R9) */
	char *lost; /* to whom the entry lost its name or uid: a message; NULL while it counts */
	bool lost_uid;
	int64_t lost_since_ms;      /* Unix time; 0 while it counts */
	const struct entry *before; /* which had a `change`, while it is being replaced; or NULL */
	bool vague;                 /* it may be any object of the file */
	bool kept; /* of an earlier version of the file: it may be what is vague now */
};

/* How much there is of what has limits. */
struct sums {
	size_t pods, volumes, secrets_size;
};

struct file {
	char *path;
	struct entry *entries;
	size_t n_entries, ignored;
	char *reason, *message; /* why the file cannot be used, or NULL */
	unsigned line;
	int64_t since_ms;         /* of the message */
	int64_t exposed_since_ms; /* of the warning that others may read a Secret */
	bool gone, exposed;
	struct sums sums;
};

/* What counts under one name. */
struct effective {
	char *key; /* "Pod/NS/NAME" or "Secret/NS/NAME" */
	struct entry *holder;
	struct sv_pod *pod; /* as told to the sink */
	struct sv_secret *secret;
	bool touched;
};

struct sv_catalog {
	struct sv_catalog_sink sink;
	void *arg;
	struct sv_strmap files;   /* path -> struct file */
	struct sv_strmap effects; /* key -> struct effective */
	struct sv_strmap uids;    /* uid -> struct entry that holds it */
	struct effective **touched;
	size_t n_touched, cap_touched;
	size_t n_losers; /* entries with a good object that do not count */
	struct sums sums;
	struct sv_catalog_limits limits;
	int64_t now_ms; /* Unix time of the change under way */
	bool unsettled; /* memory ran out: who counts is to be found out from the beginning */
};

/* ---- entries and files --------------------------------------------------------------------- */

static bool is_good(const struct entry *e)
{
	return e->pod || e->secret;
}

/* A Secret that is invalid and has no good version. */
static bool is_refused(const struct entry *e)
{
	return e->kind == SV_KIND_SECRET && !is_good(e) && e->complaints.n > 0;
}

static char *key_of(enum sv_kind kind, const char *ns, const char *name)
{
	return sv_asprintf("%s/%s/%s", sv_kind_name(kind), ns, name);
}

static void drop_object(struct entry *e)
{
	sv_pod_unref(e->pod);
	sv_secret_unref(e->secret);
	e->pod = NULL;
	e->secret = NULL;
}

static void entry_done(struct entry *e)
{
	free(e->ns);
	free(e->name);
	drop_object(e);
	sv_complaints_done(&e->complaints);
	sv_complaints_done(&e->change);
	free(e->lost);
}

static void free_entries(struct entry *entries, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		entry_done(&entries[i]);
	free(entries);
}

static void file_free(struct file *f)
{
	free_entries(f->entries, f->n_entries);
	free(f->path);
	free(f->reason);
	free(f->message);
	free(f);
}

static struct file *get_file(struct sv_catalog *c, const char *path)
{
	struct file *f = sv_strmap_get(&c->files, path);

	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->path = strdup(path);
	if (!f->path || sv_strmap_put(&c->files, f->path, f) < 0) {
		file_free(f);
		return NULL;
	}
	return f;
}

static struct effective *get_effective(struct sv_catalog *c, const struct entry *e)
{
	sv_autofree char *key = key_of(e->kind, e->ns, e->name);
	struct effective *eff;

	if (!key)
		return NULL;
	eff = sv_strmap_get(&c->effects, key);
	if (eff)
		return eff;
	eff = calloc(1, sizeof(*eff));
	if (!eff)
		return NULL;
	eff->key = SV_TAKE(key);
	if (sv_strmap_put(&c->effects, eff->key, eff) < 0) {
		free(eff->key);
		free(eff);
		return NULL;
	}
	return eff;
}

static int touch(struct sv_catalog *c, struct effective *eff)
{
	if (eff->touched)
		return 0;
	if (c->n_touched == c->cap_touched) {
		size_t cap = c->cap_touched ? c->cap_touched * 2 : 16;
		struct effective **p = reallocarray(c->touched, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		c->touched = p;
		c->cap_touched = cap;
	}
	c->touched[c->n_touched++] = eff;
	eff->touched = true;
	return 0;
}

/* ---- who counts ---------------------------------------------------------------------------- */

static int release(struct sv_catalog *c, struct entry *e)
{
	struct effective *eff;

	if (!is_good(e))
		return 0;
	eff = get_effective(c, e);
	if (!eff)
		return -ENOMEM;
	if (eff->holder == e)
		eff->holder = NULL;
	if (e->pod && sv_strmap_get(&c->uids, e->pod->uid) == e)
		sv_strmap_remove(&c->uids, e->pod->uid);
	return touch(c, eff);
}

/* Takes name and uid for an entry if both are free. *taken_by is who has one of them otherwise. */
static int claim(struct sv_catalog *c, struct entry *e, struct entry **taken_by, bool *by_uid)
{
	struct effective *eff = get_effective(c, e);
	struct entry *holder;

	*taken_by = NULL;
	*by_uid = false;
	if (!eff)
		return -ENOMEM;
	holder = eff->holder;
	if (!holder && e->pod) {
		holder = sv_strmap_get(&c->uids, e->pod->uid);
		*by_uid = holder != NULL;
	}
	if (holder && holder != e) {
		*taken_by = holder;
		return 0;
	}
	if (e->pod && sv_strmap_put(&c->uids, e->pod->uid, e) < 0)
		return -ENOMEM;
	eff->holder = e;
	e->lost_since_ms = 0;
	return touch(c, eff);
}

static int lose(struct sv_catalog *c, struct entry *e, const struct entry *winner, bool by_uid)
{
	char *text;

	if (e->kept) { /* another has its name or uid: it is no longer missing */
		drop_object(e);
		return 0;
	}
	if (e->file->gone) { /* it is on its way out: nobody needs to hear of it */
		c->n_losers++;
		return 0;
	}
	text = by_uid ? sv_asprintf("metadata.uid: Duplicate value: \"%s\": Pod %s/%s in %s has it "
				    "already",
				    e->pod->uid, winner->ns, winner->name, winner->file->path) :
			sv_asprintf("%s %s/%s is defined in %s already, which counts",
				    sv_kind_name(e->kind), e->ns, e->name, winner->file->path);
	if (!text)
		return -ENOMEM;
	free(e->lost);
	e->lost = text;
	if (e->lost_since_ms == 0 || e->lost_uid != by_uid)
		e->lost_since_ms = c->now_ms;
	e->lost_uid = by_uid;
	c->n_losers++;
	return 0;
}

/*
 * From the beginning, in the order of paths, whatever was known before. What has vanished, a file
 * or an object that is kept, comes last.
 */
static int resolve_all(struct sv_catalog *c)
{
	size_t i, j;
	int pass, r = 0;

	c->n_losers = 0;
	c->uids.n = 0;
	for (i = 0; i < c->effects.n && r == 0; i++) {
		struct effective *eff = c->effects.entries[i].value;

		eff->holder = NULL;
		r = touch(c, eff);
	}
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < c->files.n && r == 0; i++) {
			struct file *f = c->files.entries[i].value;

			for (j = 0; j < f->n_entries && r == 0; j++) {
				struct entry *e = &f->entries[j], *winner;
				bool by_uid;

				if ((f->gone || e->kept) != (pass == 1))
					continue;
				free(e->lost);
				e->lost = NULL;
				if (!is_good(e))
					continue;
				r = claim(c, e, &winner, &by_uid);
				if (r < 0 || !winner)
					continue;
				sv_complaints_done(&e->change);
				r = lose(c, e, winner, by_uid);
			}
		}
	c->unsettled = r < 0;
	return r;
}

/* A complaint that stood before stands since then. @before may be NULL. */
static void date(struct sv_complaints *list, const struct sv_complaints *before, int64_t now_ms)
{
	size_t i, j;

	for (i = 0; i < list->n; i++) {
		struct sv_complaint *item = &list->items[i];

		item->since_ms = item->since_ms ? item->since_ms : now_ms;
		for (j = 0; before && j < before->n; j++)
			if (before->items[j].category == item->category &&
			    strcmp(before->items[j].field, item->field) == 0)
				item->since_ms = before->items[j].since_ms;
	}
}

/* ---- telling the sink ---------------------------------------------------------------------- */

static void drop_effective(struct sv_catalog *c, struct effective *eff)
{
	if (eff->pod && c->sink.remove_pod)
		c->sink.remove_pod(c->arg, eff->pod->ns, eff->pod->name);
	if (eff->secret && c->sink.remove_secret)
		c->sink.remove_secret(c->arg, eff->secret->ns, eff->secret->name);
	sv_strmap_remove(&c->effects, eff->key);
	sv_pod_unref(eff->pod);
	sv_secret_unref(eff->secret);
	free(eff->key);
	free(eff);
}

static void tell_pod(struct sv_catalog *c, struct effective *eff, struct entry *e, bool again)
{
	if (eff->pod && sv_pod_equal(eff->pod, e->pod)) {
		if (eff->pod != e->pod) { /* one copy is enough */
			struct sv_pod *copy = e->pod;

			e->pod = sv_pod_ref(eff->pod);
			/* its uid was the key; replacing one needs no memory */
			(void)sv_strmap_put(&c->uids, e->pod->uid, e);
			sv_pod_unref(copy);
		}
		if (again && c->sink.put_pod)
			c->sink.put_pod(c->arg, eff->pod);
		return;
	}
	sv_pod_unref(eff->pod);
	eff->pod = sv_pod_ref(e->pod);
	if (c->sink.put_pod)
		c->sink.put_pod(c->arg, eff->pod);
}

static int tell_secret(struct sv_catalog *c, struct effective *eff, struct entry *e, bool again)
{
	sv_autocomplaints struct sv_complaints before = e->change;

	e->change = (struct sv_complaints){ 0 };
	if (eff->secret && eff->secret != e->secret) {
		if (sv_secret_equal(eff->secret, e->secret)) {
			if (sv_secret_is_hollow(eff->secret) && c->sink.put_secret)
				c->sink.put_secret(c->arg, e->secret); /* its values are here */
			sv_secret_unref(e->secret);
			e->secret = sv_secret_ref(eff->secret);
		} else {
			sv_validate_secret_update(eff->secret, e->secret, &e->change);
		}
	}
	if (e->change.out_of_memory)
		return -ENOMEM;
	date(&e->change, e->before ? &e->before->change : &before, c->now_ms);
	if ((eff->secret == e->secret || e->change.n > 0) && !again)
		return 0;
	if (e->change.n == 0) {
		sv_secret_unref(eff->secret);
		eff->secret = sv_secret_ref(e->secret);
	}
	if (c->sink.put_secret)
		c->sink.put_secret(c->arg, eff->secret);
	return 0;
}

/* @again: also what the sink knows. */
static int flush(struct sv_catalog *c, bool again)
{
	size_t i;
	int r = 0;

	/* What goes is told last, so that a Pod never sees a moment without a Secret that moved. */
	for (i = 0; i < c->n_touched; i++) {
		struct effective *eff = c->touched[i];

		eff->touched = false;
		if (!eff->holder)
			continue;
		if (eff->holder->pod)
			tell_pod(c, eff, eff->holder, again);
		else if (tell_secret(c, eff, eff->holder, again) < 0)
			r = -ENOMEM;
	}
	for (i = 0; i < c->n_touched; i++)
		if (!c->touched[i]->holder)
			drop_effective(c, c->touched[i]);
	c->n_touched = 0;
	return r;
}

/*
 * The end of every change. Without memory it is not known who counts: then nobody is told
 * anything, least of all that something is gone, until sv_catalog_retell() has found out.
 * @again: also what the sink knows.
 */
static int settle(struct sv_catalog *c, int r, bool again)
{
	if (r == 0)
		r = flush(c, again);
	if (r < 0)
		c->unsettled = true;
	return r;
}

/* ---- looking up ---------------------------------------------------------------------------- */

/* Entries by kind and name; of one name the good ones first. */
struct index {
	const struct entry **items;
	size_t n, cap;
};

static int compare_names(const struct entry *a, const struct entry *b)
{
	int r = a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->ns, b->ns);

	return r ? r : strcmp(a->name, b->name);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a,
			   *y = *(const struct entry *const *)b;
	int r = compare_names(x, y);

	if (r == 0 && is_good(x) != is_good(y))
		return is_good(x) ? -1 : 1;
	if (r == 0 && x->file != y->file)
		return strcmp(x->file->path, y->file->path);
	return r ? r : x < y ? -1 : 1;
}

static int add_to_index(struct index *ix, const struct entry *entries, size_t n,
			bool (*is_wanted)(const struct entry *))
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_wanted && !is_wanted(&entries[i]))
			continue;
		if (ix->n == ix->cap) {
			size_t cap = ix->cap ? ix->cap * 2 : 64;
			const struct entry **p = reallocarray(ix->items, cap, sizeof(*p));

			if (!p)
				return -ENOMEM;
			ix->items = p;
			ix->cap = cap;
		}
		ix->items[ix->n++] = &entries[i];
	}
	return 0;
}

static void sort_index(struct index *ix)
{
	if (ix->n > 0)
		qsort(ix->items, ix->n, sizeof(*ix->items), compare_entries);
}

/* One entry for each kind and name: a good version if there is one, else the first. */
static void sort_uniquely(struct index *ix)
{
	size_t i, n = 0;

	sort_index(ix);
	for (i = 0; i < ix->n; i++)
		if (i == 0 || compare_names(ix->items[i], ix->items[n - 1]) != 0)
			ix->items[n++] = ix->items[i];
	ix->n = n;
}

/* The first of its name, or NULL. */
static const struct entry *const *find_place(const struct index *ix, const struct entry *like)
{
	size_t low = 0, high = ix->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_names(ix->items[mid], like) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ix->n && compare_names(ix->items[low], like) == 0 ? &ix->items[low] : NULL;
}

static const struct entry *find_in(const struct index *ix, const struct entry *like)
{
	const struct entry *const *p = find_place(ix, like);

	return p ? *p : NULL;
}

/* The first complaint about a Secret that has no good version, in any file but one. */
static const char *find_refusal(const struct sv_catalog *c, const struct file *except,
				const char *ns, const char *name)
{
	size_t i, j;

	for (i = 0; i < c->files.n; i++) {
		const struct file *f = c->files.entries[i].value;

		for (j = 0; j < f->n_entries && f != except; j++) {
			const struct entry *e = &f->entries[j];

			if (is_refused(e) && strcmp(e->ns, ns) == 0 && strcmp(e->name, name) == 0)
				return e->complaints.items[0].message;
		}
	}
	return NULL;
}

static bool refuses_any(const struct file *f)
{
	size_t i;

	for (i = 0; i < f->n_entries; i++)
		if (is_refused(&f->entries[i]))
			return true;
	return false;
}

/* A file refuses Secrets. */
static void tell_refused(struct sv_catalog *c, const struct file *f)
{
	size_t i;

	for (i = 0; i < f->n_entries && c->sink.refuse_secret; i++) {
		const struct entry *e = &f->entries[i];

		if (is_refused(e))
			c->sink.refuse_secret(c->arg, e->ns, e->name,
					      e->complaints.items[0].message);
	}
}

/*
 * It no longer does: then another one may still. Without memory for an index every file is looked
 * through for each of them.
 */
static void tell_unrefused(struct sv_catalog *c, const struct file *f)
{
	struct index others = { NULL, 0, 0 };
	size_t i;
	int r = 0;

	if (!c->sink.refuse_secret || !refuses_any(f))
		return;
	for (i = 0; i < c->files.n && r == 0; i++) {
		const struct file *other = c->files.entries[i].value;

		if (other != f)
			r = add_to_index(&others, other->entries, other->n_entries, is_refused);
	}
	sort_uniquely(&others);
	for (i = 0; i < f->n_entries; i++) {
		const struct entry *e = &f->entries[i], *other;
		const char *text;

		if (!is_refused(e))
			continue;
		other = r == 0 ? find_in(&others, e) : NULL;
		text = r < 0 ? find_refusal(c, f, e->ns, e->name) :
		       other ? other->complaints.items[0].message :
			       NULL;
		c->sink.refuse_secret(c->arg, e->ns, e->name, text);
	}
	free(others.items);
}

/* ---- changes ------------------------------------------------------------------------------- */

int sv_catalog_new(const struct sv_catalog_sink *sink, void *arg, struct sv_catalog **ret)
{
	struct sv_catalog *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (sink)
		c->sink = *sink;
	c->arg = arg;
	*ret = c;
	return 0;
}

void sv_catalog_free(struct sv_catalog *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < c->effects.n; i++) {
		struct effective *eff = c->effects.entries[i].value;

		sv_pod_unref(eff->pod);
		sv_secret_unref(eff->secret);
		free(eff->key);
		free(eff);
	}
	for (i = 0; i < c->files.n; i++)
		file_free(c->files.entries[i].value);
	sv_strmap_done(&c->effects);
	sv_strmap_done(&c->files);
	sv_strmap_done(&c->uids);
	free(c->touched);
	free(c);
}

/* A refused object goes on with the last good version in the same file. */
static void inherit(struct entry *e, const struct entry *old)
{
	e->pod = old->pod ? sv_pod_ref(old->pod) : NULL;
	e->secret = old->secret ? sv_secret_ref(old->secret) : NULL;
}

static size_t count_vague(const struct entry *entries, size_t n)
{
	size_t i, vague = 0;

	for (i = 0; i < n; i++)
		vague += entries[i].vague;
	return vague;
}

/*
 * What stays although the file no longer has it. An object whose kind cannot be read may be any of
 * its name. What is vague may be any at all: if there is more of it than before, something has
 * become so, and whatever has gone missing stays until all is clear again.
 */
static int keep_missing(const struct file *f, const struct index *before, struct entry *entries,
			size_t *n)
{
	size_t was_vague = count_vague(f->entries, f->n_entries), vague = count_vague(entries, *n);
	struct index now = { NULL, 0, 0 };
	size_t i;
	int r = add_to_index(&now, entries, *n, NULL);

	sort_uniquely(&now);
	for (i = 0; i < f->n_entries && r == 0; i++) { /* in order: the first one wins */
		const struct entry *old = &f->entries[i];
		const struct entry unknown = { .kind = SV_KIND_UNKNOWN,
					       .ns = old->ns,
					       .name = old->name };
		struct entry *e = &entries[*n];

		if (!is_good(old) || find_in(before, old) != old || find_in(&now, old))
			continue;
		if (vague <= was_vague && !(old->kept && vague > 0) && !find_in(&now, &unknown))
			continue;
		*e = (struct entry){
			.file = old->file,
			.kind = old->kind,
			.ns = strdup(old->ns),
			.name = strdup(old->name),
			.document = old->document,
			.line = old->line,
			.pod = old->pod ? sv_pod_ref(old->pod) : NULL,
			.secret = old->secret ? sv_secret_ref(old->secret) : NULL,
			.kept = true,
		};
		(*n)++;
		r = e->ns && e->name ? 0 : -ENOMEM;
	}
	free(now.items);
	return r;
}

static bool has_complaints(const struct entry *e)
{
	return e->complaints.n > 0 || e->change.n > 0 || e->lost;
}

/* Complaints that go on keep their time. @ix: what had any before; some may be of one name. */
static void take_times(struct entry *e, const struct index *ix, int64_t now_ms)
{
	const struct entry *const *p = find_place(ix, e);
	size_t i, n = p ? ix->n - (size_t)(p - ix->items) : 0;

	date(&e->complaints, NULL, now_ms);
	for (i = 0; i < n && i < NAMESAKES_MAX && compare_names(p[i], e) == 0; i++) {
		const struct entry *old = p[i];

		date(&e->complaints, &old->complaints, now_ms);
		if (old->change.n > 0)
			e->before = old;
		if (old->lost) {
			e->lost_since_ms = old->lost_since_ms;
			e->lost_uid = old->lost_uid;
		}
	}
}

/* Entries out of a manifest, and of what was there before. */
static struct entry *make_entries(struct file *f, struct sv_manifest *m, int64_t now_ms, size_t *n)
{
	struct index before = { NULL, 0, 0 }, complained = { NULL, 0, 0 };
	bool refused = false, unclear = false;
	struct entry *entries;
	size_t i;
	int r;

	for (i = 0; i < m->n_objects; i++) {
		const struct sv_manifest_object *o = &m->objects[i];

		refused = refused || o->complaints.n > 0;
		unclear = unclear || o->vague || o->kind == SV_KIND_UNKNOWN;
	}
	entries = calloc(m->n_objects + (unclear ? f->n_entries : 0) + 1, sizeof(*entries));
	r = entries ? 0 : -ENOMEM;
	if (r == 0)
		r = add_to_index(&complained, f->entries, f->n_entries, has_complaints);
	if (r == 0 && refused)
		r = add_to_index(&before, f->entries, f->n_entries, NULL);
	sort_index(&complained);
	sort_uniquely(&before);
	for (i = 0; i < m->n_objects && r == 0; i++) {
		struct sv_manifest_object *o = &m->objects[i];
		struct entry *e = &entries[i];
		const struct entry *old;

		*e = (struct entry){
			.file = f,
			.kind = o->kind,
			.ns = SV_TAKE(o->ns),
			.name = SV_TAKE(o->name),
			.document = o->document,
			.line = o->line,
			.pod = SV_TAKE(o->pod),
			.secret = SV_TAKE(o->secret),
			.complaints = o->complaints,
			.vague = o->vague,
		};
		o->complaints = (struct sv_complaints){ 0 };
		take_times(e, &complained, now_ms);
		old = is_good(e) ? NULL : find_in(&before, e);
		if (old)
			inherit(e, old);
	}
	*n = i;
	if (r == 0 && unclear)
		r = keep_missing(f, &before, entries, n);
	free(before.items);
	free(complained.items);
	if (r == 0)
		return entries;
	free_entries(entries, *n);
	return NULL;
}

/* ---- limits -------------------------------------------------------------------------------- */

void sv_catalog_set_limits(struct sv_catalog *c, const struct sv_catalog_limits *limits)
{
	c->limits = *limits;
}

static struct sums sum_up(const struct entry *entries, size_t n)
{
	struct sums s = { 0, 0, 0 };
	size_t i, j;

	for (i = 0; i < n; i++) {
		const struct sv_pod *pod = entries[i].pod;
		const struct sv_secret *secret = entries[i].secret;

		s.pods += pod != NULL;
		for (j = 0; pod && j < pod->n_volumes; j++)
			s.volumes += pod->volumes[j].type != SV_VOLUME_OTHER;
		s.secrets_size += secret ? SV_SECRET_COST : 0;
		for (j = 0; secret && j < secret->n_keys; j++)
			s.secrets_size += strlen(secret->keys[j].name) + secret->keys[j].size;
	}
	return s;
}

/* Is there more of something than before, and too much of it? */
static bool is_over(size_t all, size_t old, size_t new, size_t limit)
{
	return limit > 0 && new > old &&all - old + new > limit;
}

static int check_limits(const struct sv_catalog *c, const struct sums *old, const struct sums *new,
			struct sv_err *err)
{
	const struct sums *all = &c->sums;
	const struct sv_catalog_limits *max = &c->limits;

	if (is_over(all->pods, old->pods, new->pods, max->pods))
		return sv_err_set(err, SV_CATALOG_E_LIMIT,
				  "with the %zu Pods of this file there would be %zu in all "
				  "manifests: over the limit of %zu Pods (--pod-limit)",
				  new->pods, all->pods - old->pods + new->pods, max->pods);
	if (is_over(all->volumes, old->volumes, new->volumes, max->volumes))
		return sv_err_set(err, SV_CATALOG_E_LIMIT,
				  "with the %zu volumes of this file there would be %zu in all "
				  "manifests: over the limit of %zu volumes (--volume-limit)",
				  new->volumes, all->volumes - old->volumes + new->volumes,
				  max->volumes);
	if (is_over(all->secrets_size, old->secrets_size, new->secrets_size, max->secrets_size))
		return sv_err_set(
			err, SV_CATALOG_E_LIMIT,
			"with the Secrets of this file, %zu bytes, there would be %zu bytes "
			"in all manifests: over the limit of %zu bytes "
			"(--secrets-size-limit)",
			new->secrets_size,
			all->secrets_size - old->secrets_size + new->secrets_size,
			max->secrets_size);
	return 0;
}

static void take_sums(struct sv_catalog *c, struct file *f, struct sums new)
{
	c->sums.pods += new.pods - f->sums.pods;
	c->sums.volumes += new.volumes - f->sums.volumes;
	c->sums.secrets_size += new.secrets_size - f->sums.secrets_size;
	f->sums = new;
}

/* Others may read a Secret. */
static bool warns(const struct file *f)
{
	size_t i;

	for (i = 0; i < f->n_entries && f->exposed; i++)
		if (f->entries[i].kind == SV_KIND_SECRET)
			return true;
	return false;
}

static void clear_failure(struct file *f)
{
	free(f->reason);
	free(f->message);
	f->reason = f->message = NULL;
}

/* Entries are about to be freed, and without memory it is not known who counts instead. */
static void drop_holders(struct sv_catalog *c, const struct entry *old, size_t n)
{
	size_t i;

	for (i = 0; n > 0 && i < c->effects.n; i++) {
		struct effective *eff = c->effects.entries[i].value;

		if (eff->holder >= old && eff->holder < old + n)
			eff->holder = NULL;
	}
}

/* Puts new entries in the place of a file's old ones and settles who counts. */
static int replace_entries(struct sv_catalog *c, struct file *f, struct entry *entries, size_t n)
{
	bool all = c->n_losers > 0 || c->unsettled;
	struct entry *old = f->entries;
	size_t n_old = f->n_entries, i;
	int r = 0;

	tell_unrefused(c, f);
	for (i = 0; i < n_old && r == 0 && !c->unsettled; i++)
		r = release(c, &old[i]);
	f->entries = entries;
	f->n_entries = n;
	take_sums(c, f, sum_up(entries, n));
	for (i = 0; i < n && r == 0 && !all; i++) {
		struct entry *winner = NULL;
		bool by_uid;

		if (is_good(&entries[i]))
			r = claim(c, &entries[i], &winner, &by_uid);
		all = winner != NULL;
	}
	if (r == 0 && all)
		r = resolve_all(c);
	r = settle(c, r, false);
	if (r < 0)
		drop_holders(c, old, n_old);
	for (i = 0; i < n; i++)
		entries[i].before = NULL;
	free_entries(old, n_old);
	tell_refused(c, f);
	return r;
}

int sv_catalog_set(struct sv_catalog *c, const char *path, struct sv_manifest *m, bool exposed,
		   int64_t now_ms, struct sv_err *err)
{
	struct file *f = get_file(c, path);
	size_t n = 0;
	struct entry *entries = f ? make_entries(f, m, now_ms, &n) : NULL;
	struct sums sums;
	int r;

	if (!entries)
		return -ENOMEM;
	sums = sum_up(entries, n);
	r = check_limits(c, &f->sums, &sums, err);
	if (r) {
		free_entries(entries, n);
		return r;
	}
	clear_failure(f);
	if (!warns(f))
		f->exposed_since_ms = now_ms;
	f->ignored = m->ignored;
	f->exposed = exposed;
	f->gone = false;
	sv_manifest_done(m);
	c->now_ms = now_ms;
	return replace_entries(c, f, entries, n);
}

int sv_catalog_fail(struct sv_catalog *c, const char *path, unsigned line, const char *reason,
		    const char *message, int64_t now_ms)
{
	struct file *f = get_file(c, path);
	char *why = strdup(message), *word = strdup(reason);

	if (!f || !why || !word) {
		free(why);
		free(word);
		return -ENOMEM;
	}
	if (!f->message || strcmp(f->message, message) != 0)
		f->since_ms = now_ms;
	clear_failure(f);
	f->message = why;
	f->reason = word;
	f->line = line;
	c->now_ms = now_ms;
	if (f->gone) {
		f->gone = false;
		return settle(c, resolve_all(c), false);
	}
	return 0;
}

int sv_catalog_mark_gone(struct sv_catalog *c, const char *path, bool gone, int64_t now_ms)
{
	struct file *f = sv_strmap_get(&c->files, path);

	if (!f || f->gone == gone)
		return 0;
	f->gone = gone;
	c->now_ms = now_ms;
	if (c->n_losers == 0)
		return 0;
	return settle(c, resolve_all(c), false);
}

int sv_catalog_remove(struct sv_catalog *c, const char *path, int64_t now_ms)
{
	struct file *f = sv_strmap_get(&c->files, path);
	int r;

	if (!f)
		return 0;
	sv_strmap_remove(&c->files, path);
	c->now_ms = now_ms;
	r = replace_entries(c, f, NULL, 0);
	file_free(f);
	return r;
}

int sv_catalog_retell(struct sv_catalog *c, int64_t now_ms)
{
	size_t i;
	int r;

	c->now_ms = now_ms;
	r = settle(c, resolve_all(c), true);
	for (i = 0; i < c->files.n; i++)
		tell_refused(c, c->files.entries[i].value);
	return r;
}

/* ---- queries ------------------------------------------------------------------------------- */

bool sv_catalog_has(const struct sv_catalog *c, const char *path)
{
	return sv_strmap_get(&c->files, path) != NULL;
}

static const char *reason_of(const struct entry *e)
{
	return e->kind == SV_KIND_POD    ? "InvalidPod" :
	       e->kind == SV_KIND_SECRET ? "InvalidSecret" :
					   "InvalidManifest";
}

struct sv_problem sv_problem_about(const char *source, const char *file)
{
	return (struct sv_problem){
		.source = source,
		.file = file,
		.document = -1,
		.kind = "",
		.ns = "",
		.name = "",
		.field = "",
		.category = "",
		.reason = "",
		.message = "",
	};
}

static struct sv_problem about_entry(const struct entry *e)
{
	struct sv_problem p = sv_problem_about("manifest", e->file->path);

	p.document = (int)e->document;
	p.line = e->line;
	p.kind = sv_kind_name(e->kind);
	p.ns = e->ns;
	p.name = e->name;
	p.reason = reason_of(e);
	return p;
}

static void tell_complaints(const struct entry *e, const struct sv_complaints *list,
			    sv_problem_fn fn, void *arg)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		struct sv_problem p = about_entry(e);

		p.field = list->items[i].field;
		p.category = sv_category_name(list->items[i].category);
		p.message = list->items[i].message;
		p.since_ms = list->items[i].since_ms;
		if (list->items[i].line)
			p.line = list->items[i].line;
		fn(arg, &p);
	}
}

static void tell_entry(const struct entry *e, sv_problem_fn fn, void *arg)
{
	tell_complaints(e, &e->complaints, fn, arg);
	tell_complaints(e, &e->change, fn, arg);
	if (e->lost) {
		struct sv_problem p = about_entry(e);

		p.field = e->lost_uid ? "metadata.uid" : "metadata.name";
		p.category = sv_category_name(SV_DUPLICATE);
		p.reason = e->lost_uid ? "InvalidPod" : "DuplicateObject";
		p.message = e->lost;
		p.since_ms = e->lost_since_ms;
		fn(arg, &p);
	}
}

void sv_catalog_each_problem(const struct sv_catalog *c, sv_problem_fn fn, void *arg)
{
	size_t i, j;

	for (i = 0; i < c->files.n; i++) {
		const struct file *f = c->files.entries[i].value;
		struct sv_problem p = sv_problem_about("manifest", f->path);

		p.line = f->line;
		p.since_ms = f->since_ms;
		if (f->message) {
			p.reason = f->reason;
			p.message = f->message;
			if (strcmp(f->reason, "InvalidManifest") == 0)
				p.category = sv_category_name(SV_DECODE);
			fn(arg, &p);
		}
		for (j = 0; j < f->n_entries; j++)
			tell_entry(&f->entries[j], fn, arg);
		if (warns(f)) {
			p.since_ms = f->exposed_since_ms;
			p.line = 0;
			p.category = "";
			p.reason = "InsecurePermissions";
			p.message =
				"holds a Secret and may be read by group or others: chmod it to "
				"0600";
			p.warning = true;
			fn(arg, &p);
		}
	}
}

void sv_catalog_each_pod(const struct sv_catalog *c, void (*fn)(void *arg, struct sv_pod *pod),
			 void *arg)
{
	size_t i;

	for (i = 0; i < c->effects.n; i++) {
		struct effective *eff = c->effects.entries[i].value;

		if (eff->pod)
			fn(arg, eff->pod);
	}
}

/* Allocates nothing: a lack of memory must not look like a Secret that nobody has. */
static struct effective *find_secret(const struct sv_catalog *c, const char *ns, const char *name)
{
	char key[sizeof("Secret//") + SV_LABEL_MAX + SV_SUBDOMAIN_MAX];
	int n = snprintf(key, sizeof(key), "%s/%s/%s", sv_kind_name(SV_KIND_SECRET), ns, name);

	/* What counts has valid names, which fit. */
	return n > 0 && (size_t)n < sizeof(key) ? sv_strmap_get(&c->effects, key) : NULL;
}

struct sv_secret *sv_catalog_secret(const struct sv_catalog *c, const char *ns, const char *name)
{
	struct effective *eff = find_secret(c, ns, name);

	return eff ? eff->secret : NULL;
}

const char *sv_catalog_path(const struct sv_catalog *c, const char *ns, const char *name)
{
	struct effective *eff = find_secret(c, ns, name);

	return eff && eff->holder ? eff->holder->file->path : NULL;
}

bool sv_catalog_holds(const struct sv_catalog *c, const char *path, const struct sv_secret *secret)
{
	const struct file *f = sv_strmap_get(&c->files, path);
	size_t i;

	for (i = 0; f && i < f->n_entries; i++) {
		const struct entry *e = &f->entries[i];

		if (e->secret && e->complaints.n == 0 && !e->kept &&
		    strcmp(e->name, secret->name) == 0 && strcmp(e->ns, secret->ns) == 0 &&
		    sv_secret_same_data(e->secret, secret))
			return true;
	}
	return false;
}

const char *sv_catalog_failure(const struct sv_catalog *c, const char *path)
{
	const struct file *f = sv_strmap_get(&c->files, path);

	return f ? f->message : NULL;
}

void sv_catalog_forget(struct sv_catalog *c, const char *path)
{
	const struct file *f = sv_strmap_get(&c->files, path);
	size_t i;

	for (i = 0; f && i < f->n_entries; i++) {
		struct entry *e = &f->entries[i];

		if (e->secret && sv_catalog_secret(c, e->ns, e->name) != e->secret)
			sv_secret_forget(e->secret);
	}
}

const char *sv_catalog_refused(const struct sv_catalog *c, const char *ns, const char *name)
{
	return find_refusal(c, NULL, ns, name);
}

static bool is_in(const struct file *f, const char *dir)
{
	size_t n = dir ? strlen(dir) : 0;

	return !dir || (strncmp(f->path, dir, n) == 0 && strrchr(f->path, '/') == f->path + n);
}

void sv_catalog_count(const struct sv_catalog *c, const char *dir, struct sv_catalog_counts *ret)
{
	size_t i;

	*ret = (struct sv_catalog_counts){ 0 };
	for (i = 0; i < c->files.n; i++) {
		const struct file *f = c->files.entries[i].value;

		ret->files += is_in(f, dir);
		ret->ignored += is_in(f, dir) ? f->ignored : 0;
	}
	for (i = 0; i < c->effects.n; i++) {
		const struct effective *eff = c->effects.entries[i].value;

		if (!eff->holder || !is_in(eff->holder->file, dir))
			continue;
		ret->pods += eff->pod != NULL;
		ret->secrets += eff->secret != NULL;
	}
}
