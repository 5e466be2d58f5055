/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that come, go, break and vanish against a model that works everything out anew: the
 * first path wins, files that have vanished come last, and the sink has heard just that.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/core/catalog.h"
#include "../../lib/core/validate.h"
#include "fuzz.h"

#define N_FILES 4
#define N_NAMES 3
#define N_UIDS 3
#define N_OBJECTS 4
#define N_KEPT (2 * N_NAMES)

/* One object, as small as can be: what it is called and all that can change about it. */
struct object {
	bool is_pod, bad;
	bool unknown, vague; /* its kind is not said; it is no object at all */
	bool kept;           /* it is no longer in the file, or may be one of those */
	unsigned name, value, uid;
	bool immutable;
};

struct model_file {
	bool there, gone, failed, exposed;
	struct object objects[N_OBJECTS + N_KEPT]; /* as written last */
	struct object good[N_OBJECTS +
			   N_KEPT]; /* what counts of them: a refused one's last good version */
	bool has_good[N_OBJECTS + N_KEPT];
	size_t n;
};

struct told {
	bool there;
	unsigned value;
	bool immutable;
	unsigned uid;
};

static struct {
	struct sv_catalog *c;
	struct model_file files[N_FILES];
	struct told pods[N_NAMES], secrets[N_NAMES]; /* what the model expects to have been told */
	struct told heard_pods[N_NAMES], heard_secrets[N_NAMES]; /* what was */
	bool heard_refused[N_NAMES];
	size_t problems, wanted_problems;
} t;

static const char *const file_names[N_FILES] = { "/m/a.yaml", "/m/b.yaml", "/m/b.yaml.d", "/m/c" };

static unsigned number_of(const char *name)
{
	MUST(name[0] == 'n' && name[1] >= '0' && name[1] < '0' + N_NAMES && !name[2]);
	return (unsigned)(name[1] - '0');
}

/* ---- the sink ------------------------------------------------------------------------------ */

static void put_pod(void *arg, struct sv_pod *pod)
{
	struct told *p = &t.heard_pods[number_of(pod->name)], before = *p;

	MUST(arg == &t);
	*p = (struct told){ true, (unsigned)pod->fs_group, false, (unsigned)atoi(pod->uid) };
	MUST(memcmp(p, &before, sizeof(before)) != 0); /* equal objects are not put again */
}

static void remove_pod(void *arg, const char *ns, const char *name)
{
	struct told *p = &t.heard_pods[number_of(name)];

	(void)arg;
	MUST(strcmp(ns, "default") == 0 && p->there);
	*p = (struct told){ false, 0, false, 0 };
}

static void put_secret(void *arg, struct sv_secret *s)
{
	struct told *p = &t.heard_secrets[number_of(s->name)], before = *p;

	(void)arg;
	MUST(s->n_keys == 1 && s->data->values[0].len == 1);
	*p = (struct told){ true, (unsigned)(s->data->values[0].ptr[0] - '0'), s->immutable, 0 };
	MUST(memcmp(p, &before, sizeof(before)) != 0);
}

static void remove_secret(void *arg, const char *ns, const char *name)
{
	struct told *p = &t.heard_secrets[number_of(name)];

	(void)arg;
	MUST(strcmp(ns, "default") == 0 && p->there);
	*p = (struct told){ false, 0, false, 0 };
}

static void refuse_secret(void *arg, const char *ns, const char *name, const char *text)
{
	(void)arg;
	MUST(strcmp(ns, "default") == 0 && (!text || fuzz_is_printable(text)));
	t.heard_refused[number_of(name)] = text != NULL;
}

/* ---- operations ---------------------------------------------------------------------------- */

static struct object make_object(struct fuzz_in *in)
{
	struct object o = { .is_pod = fuzz_one_in(in, 2) };

	o.name = fuzz_below(in, N_NAMES);
	o.bad = fuzz_one_in(in, 4);
	o.value = fuzz_below(in, 3);
	o.uid = fuzz_below(in, N_UIDS);
	o.immutable = !o.is_pod && fuzz_one_in(in, 3);
	o.vague = fuzz_one_in(in, 8);
	o.unknown = !o.vague && fuzz_one_in(in, 8);
	o.bad = o.bad && !o.vague && !o.unknown;
	return o;
}

static void write_object(struct sv_buf *b, const struct object *o)
{
	if (o->vague)
		sv_buf_puts(b, "1\n");
	else if (o->unknown)
		sv_buf_printf(b, "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n%u\"}}\n",
			      o->name);
	else if (o->is_pod)
		sv_buf_printf(
			b,
			"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"n%u\","
			"\"uid\":\"%u\"},\"spec\":{\"securityContext\":{\"fsGroup\":%u},"
			"\"containers\":[{\"name\":\"c\",\"image\":\"%s\"}]}}\n",
			o->name, o->uid, o->value, o->bad ? "" : "i");
	else
		sv_buf_printf(
			b,
			"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"n%u\"},"
			"\"immutable\":%s,\"stringData\":{\"%s\":\"%u\"}}\n",
			o->name, o->immutable ? "true" : "false", o->bad ? "?" : "k", o->value);
}

static bool same_name(const struct object *a, const struct object *b)
{
	return a->is_pod == b->is_pod && a->name == b->name && !a->unknown && !a->vague &&
	       !b->unknown && !b->vague;
}

static size_t count_vague(const struct model_file *f)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		n += f->objects[i].vague;
	return n;
}

/* What the file no longer has, and may have. */
static void keep_missing(struct model_file *f, const struct model_file *old)
{
	size_t vague = count_vague(f), i, j;

	for (j = 0; j < old->n; j++) {
		const struct object *was = &old->objects[j];
		bool keep = vague > count_vague(old) || (was->kept && vague > 0);

		for (i = 0; i < f->n; i++)
			keep = keep || (f->objects[i].unknown && f->objects[i].name == was->name);
		for (i = 0; i < f->n; i++)
			keep = keep && !same_name(&f->objects[i], was);
		if (!keep || !old->has_good[j])
			continue;
		MUST(f->n < N_OBJECTS + N_KEPT);
		f->objects[f->n] = f->good[f->n] = old->good[j];
		f->objects[f->n].kept = f->has_good[f->n] = true;
		f->n++;
	}
}

static void set(struct fuzz_in *in, unsigned at)
{
	struct model_file *f = &t.files[at], old = *f;
	struct sv_manifest m = { NULL, 0, 0 };
	sv_autobuf struct sv_buf text = { 0 };
	struct sv_err err = { "" };
	size_t i, j;

	*f = (struct model_file){ .there = true, .n = fuzz_below(in, N_OBJECTS + 1) };
	sv_buf_puts(&text, "");
	for (i = 0; i < f->n; i++) {
		struct object *o = &f->objects[i];

		*o = make_object(in);
		write_object(&text, o);
		f->good[i] = *o;
		f->has_good[i] = !o->bad && !o->unknown && !o->vague;
		for (j = 0; o->bad && old.there && j < old.n; j++)
			if (same_name(&old.objects[j], o) && old.has_good[j]) {
				f->good[i] = old.good[j];
				f->has_good[i] = true;
				break;
			}
	}
	MUST(sv_manifest_parse(text.ptr, text.len, SV_FORMAT_JSON, NULL, &m, &err, NULL) == 0);
	MUST(m.n_objects == f->n);
	keep_missing(f, &old);
	f->exposed = fuzz_one_in(in, 2);
	MUST(sv_catalog_set(t.c, file_names[at], &m, f->exposed, 1000, NULL) == 0);
	MUST(m.n_objects == 0);
}

static void operate(struct fuzz_in *in)
{
	unsigned at = fuzz_below(in, N_FILES);
	struct model_file *f = &t.files[at];

	switch (fuzz_below(in, 8)) {
	case 0:
		MUST(sv_catalog_remove(t.c, file_names[at], 1000) == 0);
		*f = (struct model_file){ .there = false };
		break;
	case 1:
		MUST(sv_catalog_fail(t.c, file_names[at], 3, "InvalidManifest", "broken", 5) == 0);
		f->there = f->failed = true;
		f->gone = false;
		break;
	case 2:
	case 3:
		f->gone = f->there && fuzz_one_in(in, 2);
		MUST(sv_catalog_mark_gone(t.c, file_names[at], f->gone, 1000) == 0);
		break;
	default:
		set(in, at);
	}
}

/* ---- what should be ------------------------------------------------------------------------ */

/* How many complaints there are about a change. */
static size_t count_complaints(const struct told *old, const struct object *new)
{
	if (!old->there || !old->immutable)
		return 0;
	return (size_t) !new->immutable + (new->value != old->value);
}

static void work_out(void)
{
	bool uid_taken[N_UIDS] = { false };
	const struct object *pods[N_NAMES] = { NULL }, *secrets[N_NAMES] = { NULL };
	size_t pass, i, j;

	t.wanted_problems = 0;
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < N_FILES; i++)
			for (j = 0; j < t.files[i].n; j++) {
				const struct object *o = &t.files[i].good[j];
				bool kept = t.files[i].objects[j].kept;

				if ((t.files[i].gone || kept) != (pass == 1) ||
				    !t.files[i].has_good[j])
					continue;
				if (!o->is_pod && !secrets[o->name]) {
					secrets[o->name] = o;
				} else if (o->is_pod && !pods[o->name] && !uid_taken[o->uid]) {
					pods[o->name] = o;
					uid_taken[o->uid] = true;
				} else if (kept) { /* it has been found */
					t.files[i].has_good[j] = false;
				} else if (pass == 0) { /* of one that is going nobody hears */
					t.wanted_problems++;
				}
			}
	for (i = 0; i < N_NAMES; i++) {
		const struct object *o = pods[i];
		size_t n;

		t.pods[i] = o ? (struct told){ true, o->value, false, o->uid } :
				(struct told){ false, 0, false, 0 };
		o = secrets[i];
		n = o ? count_complaints(&t.secrets[i], o) : 0;
		t.wanted_problems += n;
		if (!o)
			t.secrets[i] = (struct told){ false, 0, false, 0 };
		else if (n == 0)
			t.secrets[i] = (struct told){ true, o->value, o->immutable, 0 };
	}
}

static bool is_same(const struct told *a, const struct told *b)
{
	return a->there == b->there && a->value == b->value && a->immutable == b->immutable &&
	       a->uid == b->uid;
}

static void count_pod(void *arg, struct sv_pod *pod)
{
	size_t *n = arg;

	MUST(t.heard_pods[number_of(pod->name)].there);
	(*n)++;
}

static void check_problem(void *arg, const struct sv_problem *p)
{
	(void)arg;
	MUST(p->source && p->file && p->kind && p->ns && p->name && p->field && p->category);
	MUST(*p->reason && *p->message && fuzz_is_printable(p->message));
	t.problems++;
}

static void check_secret(unsigned name)
{
	char text[3] = { 'n', (char)('0' + name), '\0' };
	const struct sv_secret *s = sv_catalog_secret(t.c, "default", text);
	bool refused = false;
	size_t i, j;

	MUST(!s == !t.secrets[name].there);
	MUST(!s || (unsigned)(s->data->values[0].ptr[0] - '0') == t.secrets[name].value);
	for (i = 0; i < N_FILES; i++)
		for (j = 0; j < t.files[i].n; j++)
			refused = refused ||
				  (t.files[i].objects[j].bad && !t.files[i].objects[j].is_pod &&
				   t.files[i].objects[j].name == name && !t.files[i].has_good[j]);
	MUST(!sv_catalog_refused(t.c, "default", text) == !refused);
	MUST(t.heard_refused[name] == refused);
}

/* What is wrong is said, and nothing else. */
static void check_problems(void)
{
	size_t i, j;

	for (i = 0; i < N_FILES; i++) {
		const struct model_file *f = &t.files[i];
		bool secret = false;

		for (j = 0; j < f->n; j++) {
			const struct object *o = &f->objects[j];

			t.wanted_problems += o->bad || o->unknown || o->vague;
			secret = secret || (!o->is_pod && !o->unknown && !o->vague);
		}
		t.wanted_problems += f->failed;
		t.wanted_problems += secret && f->exposed;
		MUST(sv_catalog_has(t.c, file_names[i]) == f->there);
	}
	t.problems = 0;
	sv_catalog_each_problem(t.c, check_problem, NULL);
	MUST(t.problems == t.wanted_problems);
}

static void check(void)
{
	struct sv_catalog_counts counts;
	size_t i, n = 0, n_pods = 0, n_secrets = 0;

	work_out();
	for (i = 0; i < N_NAMES; i++) {
		MUST(is_same(&t.pods[i], &t.heard_pods[i]));
		MUST(is_same(&t.secrets[i], &t.heard_secrets[i]));
		check_secret((unsigned)i);
		n_pods += t.pods[i].there;
		n_secrets += t.secrets[i].there;
	}
	sv_catalog_each_pod(t.c, count_pod, &n);
	sv_catalog_count(t.c, NULL, &counts);
	MUST(n == n_pods && counts.pods == n_pods && counts.secrets == n_secrets);
	check_problems();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sv_catalog_sink sink = { put_pod, remove_pod, put_secret, remove_secret,
						     refuse_secret };
	struct fuzz_in in = { data, data + size };
	int i;

	memset(&t, 0, sizeof(t));
	MUST(sv_catalog_new(&sink, &t, &t.c) == 0);
	for (i = 0; i < 60 && fuzz_more(&in); i++) {
		operate(&in);
		check();
	}
	sv_catalog_free(t.c);
	return 0;
}
