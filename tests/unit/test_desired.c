/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/core/desired.h"
#include "../support/support.h"

#define MANIFEST SV_ORIGIN_MANIFEST
#define API SV_ORIGIN_API

static struct sv_desired d;
static struct sv_buf told; /* "UID/VOLUME …" of what is to be looked at */

static void changed(void *arg, const char *id)
{
	const char *uid = id + strlen("pods/"), *end = strchr(uid, '/');

	ck_assert_ptr_eq(arg, &told);
	ck_assert_mem_eq(id, "pods/", 5);
	sv_buf_printf(&told, "%s%.*s%s", told.len ? " " : "", (int)(end - uid), uid,
		      strrchr(id, '/'));
}

static void setup(void)
{
	sv_desired_init(&d, changed, &told);
	d.expected[MANIFEST] = true;
	sv_desired_set_synced(&d, MANIFEST);
}

static void teardown(void)
{
	sv_desired_done(&d);
	sv_buf_done(&told);
}

static void expect_told(const char *want)
{
	sv_autofree char *text = sv_buf_take(&told);

	ck_assert_str_eq(text, want);
}

static void put_pod(enum sv_origin origin, const char *name, const char *volumes)
{
	sv_autopod struct sv_pod *pod = t_pod(name, volumes);

	ck_assert_int_eq(sv_desired_put_pod(&d, origin, pod, 1000), 0);
}

static void put_secret(enum sv_origin origin, const char *name, const char *keys)
{
	sv_autosecret struct sv_secret *s = t_secret(name, keys);

	ck_assert_int_eq(sv_desired_put_secret(&d, origin, s, 2000), 0);
}

static const char *id(const char *uid, const char *volume)
{
	static char text[256];

	(void)snprintf(text, sizeof(text), "pods/%s/volumes/kubernetes.io~secret/%s", uid, volume);
	return text;
}

static int plan(const char *uid, const char *volume, struct sv_plan **ret, struct sv_err *err)
{
	struct sv_wanted *w = sv_desired_wanted(&d, id(uid, volume));

	ck_assert_ptr_nonnull(w);
	return sv_desired_plan(&d, w, 1 << 20, ret, err);
}

/* The value of key k in the plan of a volume, or the refusal's text. */
static void expect_value(const char *uid, const char *volume, const char *want)
{
	sv_autoplan struct sv_plan *p = NULL;
	struct sv_err err = { "" };
	int r = plan(uid, volume, &p, &err);

	if (r) {
		ck_assert_str_eq(err.msg, want);
		return;
	}
	ck_assert_uint_eq(p->n_files, strlen(want) ? 1 : 0);
	if (p->n_files)
		ck_assert(p->files[0].size == strlen(want) &&
			  memcmp(p->files[0].value->ptr, want, p->files[0].size) == 0);
}

START_TEST(volumes_have_the_kubelets_path)
{
	sv_autopod struct sv_pod *pod = t_pod_yaml(
		"metadata: {name: p, uid: u}\nspec:\n  containers: [{name: c, image: i, volumeMounts: "
		"[{name: a, mountPath: /a}]}]\n  volumes: [{name: a, secret: {secretName: s}}, {name: "
		"b, projected: {sources: [{secret: {name: s}}]}}, {name: c}]\n");
	struct sv_wanted *w;

	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, pod, 1), 0);
	expect_told("u/a u/b");
	ck_assert_uint_eq(d.wanted.n, 2); /* an emptyDir is not ours */
	w = sv_desired_wanted(&d, "pods/u/volumes/kubernetes.io~secret/a");
	ck_assert_ptr_nonnull(w);
	ck_assert(w->used);
	ck_assert_ptr_eq(w->pod, pod);
	ck_assert_str_eq(w->vol->name, "a");
	ck_assert_int_eq(w->origin, MANIFEST);
	w = sv_desired_wanted(&d, "pods/u/volumes/kubernetes.io~projected/b");
	ck_assert_ptr_nonnull(w);
	ck_assert(!w->used); /* R21 */
	ck_assert_ptr_null(sv_desired_wanted(&d, "pods/u/volumes/kubernetes.io~secret/c"));
}
END_TEST

START_TEST(a_change_is_told_to_the_volumes_that_it_touches)
{
	put_pod(MANIFEST, "p@u", "a=s b=t");
	put_pod(MANIFEST, "q@x", "a=s");
	put_pod(MANIFEST, "ns/p@y", "a=s");
	expect_told("u/a u/b x/a y/a");
	put_secret(MANIFEST, "s", "k=1");
	expect_told("u/a x/a");
	put_secret(MANIFEST, "ns/s", "k=1");
	expect_told("y/a");
	put_secret(MANIFEST, "unused", "k=1");
	expect_told("");
	sv_desired_remove_secret(&d, MANIFEST, "default", "t");
	expect_told(""); /* was not there */
	put_secret(MANIFEST, "t", "k=1");
	sv_desired_remove_secret(&d, MANIFEST, "default", "t");
	expect_told("u/b u/b");
	sv_desired_remove_pod(&d, MANIFEST, "default", "q");
	expect_told("x/a");
	put_secret(MANIFEST, "s", "k=2");
	expect_told("u/a");
	sv_desired_remove_pod(&d, MANIFEST, "default", "none");
	expect_told("");
}
END_TEST

START_TEST(a_pod_that_is_put_again_keeps_what_it_still_has)
{
	put_pod(MANIFEST, "p@u", "a=s b=t");
	expect_told("u/a u/b");
	put_pod(MANIFEST, "p@u", "b=s c=t");
	expect_told("u/b u/c u/a");
	ck_assert_ptr_null(sv_desired_wanted(&d, id("u", "a")));
	ck_assert_ptr_nonnull(sv_desired_wanted(&d, id("u", "b")));
	put_secret(MANIFEST, "s", "k=1"); /* b's now */
	expect_told("u/b");
	put_secret(MANIFEST, "t", "k=1"); /* c's, no longer b's */
	expect_told("u/c");
	put_pod(MANIFEST, "p@v", "b=s"); /* another Pod of the same name */
	expect_told("v/b u/b u/c");
	put_secret(MANIFEST, "s", "k=1"); /* as it was: nobody is told */
	expect_told("");
	put_secret(MANIFEST, "s", "k=2");
	expect_told("v/b");
}
END_TEST

START_TEST(the_same_pod_may_be_put_twice)
{
	sv_autopod struct sv_pod *pod = t_pod("p@u", "a=s");

	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, pod, 1), 0);
	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, pod, 2), 0);
	ck_assert_ptr_nonnull(sv_desired_wanted(&d, id("u", "a")));
	sv_desired_remove_pod(&d, MANIFEST, "default", "p");
	ck_assert_ptr_null(sv_desired_wanted(&d, id("u", "a")));
	ck_assert_int_eq(pod->refs, 1);
}
END_TEST

START_TEST(a_volume_moves_with_its_uid_to_another_name)
{
	put_pod(MANIFEST, "p@u", "a=s");
	put_pod(MANIFEST, "q@u", "a=s");
	expect_told("u/a u/a");
	sv_desired_remove_pod(&d, MANIFEST, "default", "p");
	expect_told(""); /* q has it */
	ck_assert_str_eq(sv_desired_wanted(&d, id("u", "a"))->pod->name, "q");
	put_secret(MANIFEST, "s", "k=1");
	expect_told("u/a");
}
END_TEST

/* R24 */
START_TEST(a_terminated_pod_wants_nothing)
{
	put_pod(MANIFEST, "p@u", "a=s");
	expect_told("u/a");
	put_pod(MANIFEST, "p@u", "a=s !terminated");
	expect_told("u/a");
	ck_assert_uint_eq(d.wanted.n, 0);
	put_secret(MANIFEST, "s", "k=1");
	expect_told("");
	put_pod(MANIFEST, "p@u", "a=s");
	expect_told("u/a");
	expect_value("u", "a", "1");
}
END_TEST

START_TEST(an_unused_volume_is_wanted_but_not_used)
{
	put_pod(MANIFEST, "p@u", "a-=s");
	ck_assert(!sv_desired_wanted(&d, id("u", "a"))->used);
	put_pod(MANIFEST, "p@u", "a=s");
	ck_assert(sv_desired_wanted(&d, id("u", "a"))->used);
}
END_TEST

START_TEST(names_are_forgotten_when_nobody_needs_them)
{
	put_pod(MANIFEST, "p@u", "a=s b=s c=t");
	ck_assert_uint_eq(d.secrets[MANIFEST].n, 2);
	put_secret(MANIFEST, "s", "k=1");
	put_secret(MANIFEST, "x", "k=1");
	ck_assert_uint_eq(d.secrets[MANIFEST].n, 3);
	sv_desired_remove_secret(&d, MANIFEST, "default", "x");
	sv_desired_remove_pod(&d, MANIFEST, "default", "p");
	ck_assert_uint_eq(d.secrets[MANIFEST].n, 1);
	sv_desired_remove_secret(&d, MANIFEST, "default", "s");
	ck_assert_uint_eq(d.secrets[MANIFEST].n, 0);
	ck_assert_uint_eq(d.wanted.n, 0);
	ck_assert_uint_eq(d.pods[MANIFEST].n, 0);
}
END_TEST

/* ---- origins --------------------------------------------------------------------------------- */

START_TEST(origins_do_not_mix)
{
	d.expected[API] = true;
	sv_desired_set_synced(&d, API);
	put_pod(MANIFEST, "p@u", "a=s");
	put_pod(API, "p@x", "a=s");
	expect_told("u/a x/a");
	put_secret(API, "s", "k=api");
	expect_told("x/a");
	expect_value("u", "a", "secret \"s\" not found");
	expect_value("x", "a", "api");
	put_secret(MANIFEST, "s", "k=file");
	expect_told("u/a");
	expect_value("u", "a", "file");
	expect_value("x", "a", "api");
	sv_desired_remove_secret(&d, API, "default", "s");
	expect_value("u", "a", "file");
	expect_value("x", "a", "secret \"s\" not found");
	sv_desired_remove_pod(&d, API, "default", "p");
	ck_assert_ptr_nonnull(sv_desired_wanted(&d, id("u", "a")));
	ck_assert_ptr_null(sv_desired_wanted(&d, id("x", "a")));
}
END_TEST

START_TEST(before_its_source_has_answered_a_secret_is_pending_and_not_missing)
{
	sv_autoplan struct sv_plan *p = NULL;
	struct sv_err err = { "" };

	d.expected[API] = true;
	ck_assert(!sv_desired_all_synced(&d));
	put_pod(API, "p@u", "a=s");
	put_pod(API, "q@x", "a=nope?");
	put_pod(MANIFEST, "r@y", "a=nope?");
	expect_told("u/a x/a y/a");
	ck_assert_int_eq(plan("u", "a", &p, &err), SV_PLAN_E_PENDING);
	t_contains(err.msg, "secret \"s\"");
	ck_assert_int_eq(plan("x", "a", &p, &err), SV_PLAN_E_PENDING); /* optional or not */
	expect_value("y", "a", "");
	put_secret(API, "s", "k=1"); /* what is there is there */
	expect_told("u/a");
	expect_value("u", "a", "1");
	sv_desired_set_synced(&d, API);
	expect_told("x/a"); /* the other has all it asked for */
	ck_assert(sv_desired_all_synced(&d));
	expect_value("x", "a", "");
	sv_desired_set_synced(&d, API);
	expect_told("");
}
END_TEST

START_TEST(while_its_source_is_reading_a_secret_may_come_next)
{
	sv_desired_set_reading(&d, MANIFEST, true);
	put_pod(MANIFEST, "p@u", "a=s b=t? c=gone?");
	put_secret(MANIFEST, "t", "k=1");
	expect_told("u/a u/b u/c u/b");
	expect_value("u", "a", "secret \"s\": its source has not been read yet");
	expect_value("u", "b", "1");
	expect_value("u", "c", "secret \"gone\": its source has not been read yet");
	put_secret(MANIFEST, "s", "k=2");
	expect_told("u/a");
	sv_desired_set_reading(&d, MANIFEST, false);
	expect_told("u/c"); /* who waits in vain */
	expect_value("u", "a", "2");
	sv_desired_set_reading(&d, MANIFEST, false);
	ck_assert_uint_eq(told.len, 0);
}
END_TEST

START_TEST(a_source_that_nobody_expects_need_not_sync)
{
	ck_assert(sv_desired_all_synced(&d));
	d.synced[MANIFEST] = false;
	ck_assert(!sv_desired_all_synced(&d));
	d.expected[MANIFEST] = false;
	ck_assert(sv_desired_all_synced(&d));
}
END_TEST

/* ---- refused Secrets -------------------------------------------------------------------------- */

START_TEST(a_refused_secret_is_not_found_with_a_reason)
{
	put_pod(MANIFEST, "p@u", "a=s");
	expect_told("u/a");
	ck_assert_int_eq(sv_desired_refuse_secret(&d, MANIFEST, "default", "s", "data[x]: no"), 0);
	expect_told("u/a");
	expect_value("u", "a", "secret \"s\" not found: it exists and is invalid: data[x]: no");
	put_secret(MANIFEST, "s", "k=1");
	expect_told("u/a");
	expect_value("u", "a", "1");
	ck_assert_int_eq(sv_desired_refuse_secret(&d, MANIFEST, "default", "s", NULL), 0);
	expect_told(""); /* nothing that the volume would see */
	sv_desired_remove_secret(&d, MANIFEST, "default", "s");
	expect_told("u/a");
	expect_value("u", "a", "secret \"s\" not found");
	ck_assert_int_eq(sv_desired_refuse_secret(&d, MANIFEST, "default", "none", NULL), 0);
	ck_assert_int_eq(sv_desired_refuse_secret(&d, MANIFEST, "default", "x", "no"), 0);
	ck_assert_int_eq(sv_desired_refuse_secret(&d, MANIFEST, "default", "x", NULL), 0);
	ck_assert_uint_eq(d.secrets[MANIFEST].n, 1);
}
END_TEST

START_TEST(what_nobody_knows_or_holds_can_be_forgotten)
{
	d.by_secret[API] = true;
	sv_desired_forget_secret(&d, API, "default", "none");
	sv_desired_release_secret(&d, API, "default", "none");
	sv_desired_remove_secret(&d, API, "default", "none");
	put_pod(API, "p@u", "a=s");
	expect_told("u/a");
	sv_desired_release_secret(&d, API, "default", "s"); /* more often than it was held */
	sv_desired_remove_secret(&d, API, "default", "s");
	expect_told("u/a");
	sv_desired_remove_secret(&d, API, "default", "s"); /* still absent: no news */
	expect_told("");
	ck_assert_uint_eq(d.secrets[API].n, 1);
}
END_TEST

/* ---- immutable Secrets (section 7.7) ----------------------------------------------------------- */

static void publish(const char *uid, const char *volume)
{
	sv_autoplan struct sv_plan *p = NULL;
	struct sv_err err = { "" };

	ck_assert_msg(plan(uid, volume, &p, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(sv_desired_pin(sv_desired_wanted(&d, id(uid, volume)), p), 0);
}

START_TEST(a_published_volume_keeps_an_immutable_secret)
{
	put_secret(MANIFEST, "s", "k=1 !immutable");
	put_pod(MANIFEST, "p@u", "a=s");
	put_pod(MANIFEST, "q@x", "a=s");
	publish("u", "a");
	sv_desired_remove_secret(&d, MANIFEST, "default", "s");
	expect_value("u", "a", "1");
	expect_value("x", "a", "secret \"s\" not found"); /* was never published */
	put_secret(MANIFEST, "s", "k=2");
	expect_value("u", "a", "1");
	expect_value("x", "a", "2");                /* Pods that start later see the new one */
	put_pod(MANIFEST, "p@u", "a=s !fsGroup=5"); /* the same Pod, changed */
	expect_value("u", "a", "1");
	sv_desired_remove_pod(&d, MANIFEST, "default", "p");
	put_pod(MANIFEST, "p@u", "a=s"); /* another one, though it has the same uid */
	expect_value("u", "a", "2");
}
END_TEST

START_TEST(a_volume_keeps_a_version_that_may_no_longer_be_read)
{
	put_pod(API, "p@u", "a=s");
	put_pod(API, "q@w", "a=s");
	put_secret(API, "s", "k=1 !immutable");
	publish("u", "a");
	ck_assert_int_eq(sv_desired_trouble_secret(&d, API, "default", "s", SV_PLAN_E_FORBIDDEN,
						   "not allowed"),
			 0);
	expect_value("u", "a", "1");
	expect_value("w", "a", "not allowed");
}
END_TEST

START_TEST(a_mutable_secret_is_not_kept)
{
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	publish("u", "a");
	put_secret(MANIFEST, "s", "k=2");
	expect_value("u", "a", "2");
	put_secret(MANIFEST, "s", "k=2 !immutable");
	publish("u", "a");
	sv_desired_remove_secret(&d, MANIFEST, "default", "s");
	expect_value("u", "a", "2");
	publish("u", "a"); /* once more changes nothing */
	expect_value("u", "a", "2");
}
END_TEST

START_TEST(a_pod_that_names_another_secret_gets_that_one)
{
	put_secret(MANIFEST, "s", "k=1 !immutable");
	put_secret(MANIFEST, "t", "k=2");
	put_pod(MANIFEST, "p@u", "a=s");
	publish("u", "a");
	put_pod(MANIFEST, "p@u", "a=t");
	expect_value("u", "a", "2");
	publish("u", "a");
	ck_assert_uint_eq(sv_desired_wanted(&d, id("u", "a"))->n_pins, 0);
}
END_TEST

START_TEST(a_volume_that_moves_to_another_namespace_takes_no_secret_along)
{
	sv_autoplan struct sv_plan *late = NULL;

	put_secret(MANIFEST, "one/s", "k=one !immutable");
	put_pod(MANIFEST, "one/p@u", "a=s");
	ck_assert_int_eq(plan("u", "a", &late, NULL), 0);
	publish("u", "a");
	put_pod(MANIFEST, "two/p@u", "a=s");
	sv_desired_remove_pod(&d, MANIFEST, "one", "p");
	expect_value("u", "a", "secret \"s\" not found");
	/* an action that began before ends after */
	ck_assert_int_eq(sv_desired_pin(sv_desired_wanted(&d, id("u", "a")), late), 0);
	expect_value("u", "a", "secret \"s\" not found");
	put_secret(MANIFEST, "two/s", "k=two");
	expect_value("u", "a", "two");
}
END_TEST

START_TEST(times_are_kept)
{
	struct sv_desired_pod *p;
	sv_autopod struct sv_pod *a = t_pod("p@u", "v=s"), *b = t_pod("p@u", "v=t");
	sv_autopod struct sv_pod *c = t_pod("p@x", "v=s");

	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, a, 10), 0);
	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, b, 20), 0);
	p = sv_strmap_get(&d.pods[MANIFEST], "default/p");
	ck_assert_int_eq(p->created_ms, 10);
	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, c, 30), 0);
	ck_assert_int_eq(p->created_ms, 30);
	put_secret(MANIFEST, "s", "k=1");
	ck_assert_int_eq(sv_desired_secret(&d, MANIFEST, "default", "s")->updated_ms, 2000);
	ck_assert_uint_eq(sv_desired_secret(&d, MANIFEST, "default", "s")->generation, 1);
	ck_assert_ptr_eq(sv_desired_pod(&d, "default", "p"), p);
	ck_assert_ptr_null(sv_desired_pod(&d, "default", "q"));
}
END_TEST

/* ---- values ---------------------------------------------------------------------------------- */

static struct {
	int answer;             /* 0: fill it from `from` */
	struct sv_secret *from; /* borrowed */
	unsigned calls;
	const char *waiting; /* "UID/VOLUME" that is to be looked at, or NULL */
} source;

static int refill(void *arg, enum sv_origin origin, struct sv_secret *secret, struct sv_err *err)
{
	ck_assert_ptr_eq(arg, &told);
	ck_assert(sv_secret_is_hollow(secret));
	source.calls++;
	if (source.answer)
		return sv_err_set(err, source.answer, "no values of %s", secret->name);
	if (source.from)
		ck_assert(sv_desired_fill(&d, origin, secret, source.from));
	return 0;
}

static bool waits(void *arg, const char *id_text)
{
	ck_assert_ptr_eq(arg, &told);
	return source.waiting && strstr(id_text, source.waiting);
}

static void forget_manifests(void)
{
	memset(&source, 0, sizeof(source));
	d.refill = refill;
	d.waits = waits;
	sv_desired_set_keep(&d, SV_KEEP_AUTO);
}

static bool is_hollow(enum sv_origin origin, const char *name)
{
	return sv_secret_is_hollow(sv_desired_secret(&d, origin, "default", name)->secret);
}

START_TEST(what_is_kept_depends_on_the_policy_and_the_origin)
{
	static const struct {
		enum sv_keep keep;
		bool manifest, api; /* forgotten */
	} cases[] = { { SV_KEEP_AUTO, true, false },
		      { SV_KEEP_ALWAYS, false, false },
		      { SV_KEEP_NEVER, true, true } };
	size_t i;

	sv_desired_forget(&d); /* all is kept until somebody says otherwise */
	put_secret(MANIFEST, "s", "k=1");
	put_secret(API, "s", "k=1");
	for (i = 0; i < SV_ARRAY_SIZE(cases); i++) {
		sv_autosecret struct sv_secret *s = t_secret("s", "k=1");

		sv_desired_set_keep(&d, cases[i].keep);
		sv_desired_offer(&d, MANIFEST, s);
		sv_desired_forget(&d);
		ck_assert_int_eq(is_hollow(MANIFEST, "s"), cases[i].manifest);
		ck_assert_int_eq(is_hollow(API, "s"), cases[i].api);
		ck_assert_uint_eq(d.filled_size, 0);
	}
}
END_TEST

START_TEST(a_forgotten_value_is_asked_for_when_a_plan_needs_it)
{
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1");
	struct sv_secret *filled;

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	expect_value("u", "a", "1");
	ck_assert_uint_eq(source.calls, 0); /* read a moment ago */
	ck_assert_uint_gt(sv_desired_forget(&d), 0);
	ck_assert_uint_eq(sv_desired_forget(&d), 0);
	ck_assert(is_hollow(MANIFEST, "s"));
	source.from = again;
	expect_value("u", "a", "1");
	expect_value("u", "a", "1");
	ck_assert_uint_eq(source.calls, 1);
	filled = sv_desired_secret(&d, MANIFEST, "default", "s")->secret;
	ck_assert(sv_desired_fill(&d, MANIFEST, filled, again)); /* it has them: noted once */
	ck_assert_uint_eq(d.n_filled, 1);
	sv_desired_forget(&d);
	ck_assert(is_hollow(MANIFEST, "s"));
}
END_TEST

START_TEST(a_plan_holds_the_values_that_are_forgotten_meanwhile)
{
	sv_autoplan struct sv_plan *p = NULL;

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	ck_assert_int_eq(plan("u", "a", &p, NULL), 0);
	sv_desired_forget(&d);
	ck_assert_mem_eq(p->files[0].value->ptr, "1", 1);
	put_secret(MANIFEST, "s", "k=2");
	ck_assert_mem_eq(p->files[0].value->ptr, "1", 1);
}
END_TEST

START_TEST(values_that_nobody_gives_again_are_gone)
{
	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	sv_desired_forget(&d);
	d.refill = NULL;
	expect_value("u", "a", "secret \"s\": its values were forgotten");
}
END_TEST

START_TEST(the_list_of_what_is_to_be_forgotten_is_tidied_first)
{
	int i;

	forget_manifests();
	put_secret(MANIFEST, "kept", "k=0");
	for (i = 0; i < 200; i++) { /* one stays, the others go at once */
		sv_autofree char *keys = sv_asprintf("k=%d", i);

		put_secret(MANIFEST, "s", keys);
	}
	ck_assert_uint_le(d.cap_filled, 16);
	sv_desired_forget(&d);
	ck_assert(is_hollow(MANIFEST, "kept") && is_hollow(MANIFEST, "s"));
	ck_assert_uint_eq(d.filled_size, 0);
}
END_TEST

START_TEST(a_version_that_was_replaced_or_removed_goes_at_once)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "k=1"), *t = t_secret("t", "k=1");

	forget_manifests();
	ck_assert_int_eq(sv_desired_put_secret(&d, MANIFEST, s, 1), 0);
	ck_assert_int_eq(sv_desired_put_secret(&d, MANIFEST, t, 1), 0);
	put_secret(MANIFEST, "s", "k=2");
	ck_assert(sv_secret_is_hollow(s));
	sv_desired_remove_secret(&d, MANIFEST, "default", "t");
	ck_assert(sv_secret_is_hollow(t));
	ck_assert(!is_hollow(MANIFEST, "s"));
}
END_TEST

START_TEST(values_that_cannot_be_had_are_a_refusal_and_asked_for_again)
{
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1");
	sv_autoplan struct sv_plan *p = NULL;

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	sv_desired_forget(&d);
	source.answer = SV_PLAN_E_UNAVAILABLE;
	ck_assert_int_eq(plan("u", "a", &p, NULL), SV_PLAN_E_UNAVAILABLE);
	expect_value("u", "a", "no values of s");
	source.answer = SV_PLAN_E_PENDING;
	ck_assert_int_eq(plan("u", "a", &p, NULL), SV_PLAN_E_PENDING);
	expect_told("u/a");
	sv_desired_look_again(&d, MANIFEST);
	expect_told("u/a");
	sv_desired_look_again(&d, MANIFEST); /* nobody has asked since */
	expect_told("");
	ck_assert_int_eq(plan("u", "a", &p, NULL), SV_PLAN_E_PENDING);
	ck_assert_int_eq(sv_desired_put_secret(&d, MANIFEST, again, 1), 0); /* the same */
	expect_told("u/a");
	source.answer = SV_PLAN_E_UNAVAILABLE;
	expect_value("u", "a", "1");
	ck_assert_uint_eq(sv_desired_secret(&d, MANIFEST, "default", "s")->generation, 1);
}
END_TEST

START_TEST(without_memory_to_remember_them_values_are_not_taken_for_there)
{
	sv_autoplan struct sv_plan *p = NULL;

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	sv_desired_forget(&d);
	source.from = NULL; /* says that it filled the Secret, and it is hollow all the same */
	ck_assert_int_eq(plan("u", "a", &p, NULL), -ENOMEM);
}
END_TEST

START_TEST(values_that_come_by_are_taken_if_somebody_waits)
{
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1"), *other = t_secret("s", "k=2");
	sv_autosecret struct sv_secret *unknown = t_secret("t", "k=1");

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s b=s");
	sv_desired_forget(&d);
	sv_desired_offer(&d, MANIFEST, again);
	ck_assert(is_hollow(MANIFEST, "s"));
	source.waiting = "u/volumes/kubernetes.io~secret/b";
	sv_desired_offer(&d, MANIFEST, other);
	sv_desired_offer(&d, MANIFEST, unknown);
	sv_desired_offer(&d, API, again);
	ck_assert(is_hollow(MANIFEST, "s"));
	sv_desired_offer(&d, MANIFEST, again);
	ck_assert(!is_hollow(MANIFEST, "s"));
	sv_desired_forget(&d);
	ck_assert(is_hollow(MANIFEST, "s"));
}
END_TEST

#define COST 64 /* of a Secret with a key, beside its value */

START_TEST(values_that_wait_are_bounded)
{
	sv_autofree char *keys = NULL, *value = t_repeat('x', SV_VALUES_MAX / 4 - COST);
	char name[16];
	int i;

	keys = sv_asprintf("k=%s", value);
	forget_manifests();
	for (i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		sv_desired_make_room(&d);
		put_secret(MANIFEST, name, keys);
	}
	ck_assert_uint_eq(d.filled_size, SV_VALUES_MAX);
	sv_desired_make_room(&d); /* these may wait */
	ck_assert(!is_hollow(MANIFEST, "s0"));
	put_secret(MANIFEST, "s4", "k=x");
	ck_assert(!is_hollow(MANIFEST, "s0")); /* nor does what is being read drive them out */
	sv_desired_make_room(&d);
	ck_assert(is_hollow(MANIFEST, "s0") && is_hollow(MANIFEST, "s4"));
	ck_assert_uint_eq(d.filled_size, 0);
}
END_TEST

START_TEST(many_changes_without_a_pause_are_not_remembered_for_ever)
{
	char keys[32];
	int i;

	forget_manifests();
	for (i = 0; i < 1000; i++) {
		(void)snprintf(keys, sizeof(keys), "k=%d", i);
		put_secret(MANIFEST, "s", keys);
	}
	ck_assert_uint_le(d.cap_filled, 16);
	ck_assert_uint_lt(d.filled_size, 200);
}
END_TEST

START_TEST(an_outline_needs_no_values)
{
	struct sv_wanted *w;
	sv_autoplan struct sv_plan *full = NULL, *outline = NULL;

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	put_pod(MANIFEST, "p@u", "a=s");
	ck_assert_int_eq(plan("u", "a", &full, NULL), 0);
	sv_desired_forget(&d);
	w = sv_desired_wanted(&d, id("u", "a"));
	ck_assert_int_eq(sv_desired_outline(&d, w, 1 << 20, &outline, NULL), 0);
	ck_assert_uint_eq(source.calls, 0);
	ck_assert_ptr_null(outline->files[0].value);
	ck_assert(sv_plan_same(full, outline));
}
END_TEST

START_TEST(an_environment_asks_for_values_too)
{
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1");
	sv_autopod struct sv_pod *pod = t_pod_yaml(
		"metadata: {name: p}\nspec:\n  containers: [{name: c, image: i, envFrom: "
		"[{secretRef: {name: s}}]}]\n");
	const struct sv_env_opts opts = { .node_name = "n" };
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	forget_manifests();
	put_secret(MANIFEST, "s", "k=1");
	sv_desired_forget(&d);
	source.answer = SV_PLAN_E_UNAVAILABLE;
	ck_assert_int_eq(sv_desired_env(&d, MANIFEST, pod, &pod->containers[0], &opts, &env, &err),
			 SV_PLAN_E_UNAVAILABLE);
	ck_assert_str_eq(err.msg, "no values of s");
	source.answer = 0;
	source.from = again;
	ck_assert_int_eq(sv_desired_env(&d, MANIFEST, pod, &pod->containers[0], &opts, &env, &err),
			 0);
	ck_assert_mem_eq(sv_env_get(env, "k")->ptr, "1", 1);
}
END_TEST

START_TEST(a_secret_that_a_volume_keeps_is_asked_for_in_its_own_version)
{
	sv_autosecret struct sv_secret *old = t_secret("s", "k=1 !immutable");
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1 !immutable");
	sv_autoplan struct sv_plan *p = NULL;

	forget_manifests();
	put_pod(MANIFEST, "p@u", "a=s");
	ck_assert_int_eq(sv_desired_put_secret(&d, MANIFEST, old, 1), 0);
	ck_assert_int_eq(plan("u", "a", &p, NULL), 0);
	ck_assert_int_eq(sv_desired_pin(sv_desired_wanted(&d, id("u", "a")), p), 0);
	sv_plan_forget(p);
	sv_desired_remove_secret(&d, MANIFEST, "default", "s");
	put_secret(MANIFEST, "s", "k=2 !immutable");
	ck_assert(sv_secret_is_hollow(old));
	source.from = again;
	expect_value("u", "a", "1");
	ck_assert_uint_eq(source.calls, 1);
	sv_desired_forget(&d);
	ck_assert(sv_secret_is_hollow(old));
}
END_TEST

T_SUITE(desired)
{
	T_AROUND(setup, teardown);
	T_TEST(volumes_have_the_kubelets_path);
	T_TEST(a_change_is_told_to_the_volumes_that_it_touches);
	T_TEST(a_pod_that_is_put_again_keeps_what_it_still_has);
	T_TEST(the_same_pod_may_be_put_twice);
	T_TEST(a_volume_moves_with_its_uid_to_another_name);
	T_TEST(a_terminated_pod_wants_nothing);
	T_TEST(an_unused_volume_is_wanted_but_not_used);
	T_TEST(names_are_forgotten_when_nobody_needs_them);
	T_TEST(origins_do_not_mix);
	T_TEST(before_its_source_has_answered_a_secret_is_pending_and_not_missing);
	T_TEST(while_its_source_is_reading_a_secret_may_come_next);
	T_TEST(a_source_that_nobody_expects_need_not_sync);
	T_TEST(a_refused_secret_is_not_found_with_a_reason);
	T_TEST(what_nobody_knows_or_holds_can_be_forgotten);
	T_TEST(a_volume_keeps_a_version_that_may_no_longer_be_read);
	T_TEST(a_published_volume_keeps_an_immutable_secret);
	T_TEST(a_mutable_secret_is_not_kept);
	T_TEST(a_pod_that_names_another_secret_gets_that_one);
	T_TEST(a_volume_that_moves_to_another_namespace_takes_no_secret_along);
	T_TEST(times_are_kept);
	T_TEST(what_is_kept_depends_on_the_policy_and_the_origin);
	T_TEST(a_forgotten_value_is_asked_for_when_a_plan_needs_it);
	T_TEST(a_plan_holds_the_values_that_are_forgotten_meanwhile);
	T_TEST(values_that_nobody_gives_again_are_gone);
	T_TEST(the_list_of_what_is_to_be_forgotten_is_tidied_first);
	T_TEST(a_version_that_was_replaced_or_removed_goes_at_once);
	T_TEST(values_that_cannot_be_had_are_a_refusal_and_asked_for_again);
	T_TEST(without_memory_to_remember_them_values_are_not_taken_for_there);
	T_TEST(values_that_come_by_are_taken_if_somebody_waits);
	T_TEST(values_that_wait_are_bounded);
	T_TEST(many_changes_without_a_pause_are_not_remembered_for_ever);
	T_TEST(an_outline_needs_no_values);
	T_TEST(an_environment_asks_for_values_too);
	T_TEST(a_secret_that_a_volume_keeps_is_asked_for_in_its_own_version);
}
