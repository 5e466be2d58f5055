/* SPDX-License-Identifier: Apache-2.0 */
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
	expect_told("u/a x/a");
	ck_assert(sv_desired_all_synced(&d));
	expect_value("x", "a", "");
	sv_desired_set_synced(&d, API);
	expect_told("");
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
	T_TEST(a_source_that_nobody_expects_need_not_sync);
	T_TEST(a_refused_secret_is_not_found_with_a_reason);
	T_TEST(a_published_volume_keeps_an_immutable_secret);
	T_TEST(a_mutable_secret_is_not_kept);
	T_TEST(a_pod_that_names_another_secret_gets_that_one);
	T_TEST(a_volume_that_moves_to_another_namespace_takes_no_secret_along);
	T_TEST(times_are_kept);
}
