/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/handout.h"
#include "../support/support.h"

#define MANIFEST SV_ORIGIN_MANIFEST

static struct sv_desired d;
static struct sv_handouts h;
static struct sv_pod *pod;

static void put_secret(enum sv_origin origin, const char *name, const char *keys)
{
	sv_autosecret struct sv_secret *s = t_secret(name, keys);

	ck_assert_int_eq(sv_desired_put_secret(&d, origin, s, 2000), 0);
}

static struct sv_pod *new_pod(const char *uid)
{
	sv_autofree char *text = sv_asprintf(
		"metadata: {name: p, uid: %s}\nspec:\n  containers:\n"
		"  - {name: c, image: i, envFrom: [{secretRef: {name: s}}, {secretRef: {name: opt, "
		"optional: true}}]}\n"
		"  - {name: c2, image: i, envFrom: [{secretRef: {name: t}}]}\n"
		"  - {name: plain, image: i, env: [{name: A, value: x}]}\n",
		uid);

	return t_pod_yaml(text);
}

static void setup(void)
{
	sv_desired_init(&d, NULL, NULL);
	d.expected[MANIFEST] = true;
	sv_desired_set_synced(&d, MANIFEST);
	put_secret(MANIFEST, "s", "k=1");
	put_secret(MANIFEST, "t", "k=1");
	pod = new_pod("u");
	ck_assert_int_eq(sv_desired_put_pod(&d, MANIFEST, pod, 1000), 0);
}

static void teardown(void)
{
	sv_handouts_done(&h);
	sv_desired_done(&d);
	sv_pod_unref(pod);
}

static void hand_out(const struct sv_pod *p, const char *container, int64_t now_ms)
{
	static const struct sv_env_opts opts;
	const struct sv_container *c = sv_pod_container(p, container);
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	ck_assert_ptr_nonnull(c);
	ck_assert_msg(sv_desired_env(&d, MANIFEST, p, c, &opts, &env, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(sv_handouts_note(&h, &d, MANIFEST, p, c, env, now_ms), 0);
}

static bool is_stale(const char *container)
{
	const struct sv_handout *got = sv_handouts_get(&h, "u", container);

	ck_assert_ptr_nonnull(got);
	return sv_handout_is_stale(got, &d);
}

START_TEST(what_was_handed_out_is_remembered_without_values)
{
	const struct sv_handout *got;

	ck_assert_ptr_null(sv_handouts_get(&h, "u", "c"));
	hand_out(pod, "c", 5000);
	got = sv_handouts_get(&h, "u", "c");
	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got->key, "u/c");
	ck_assert_str_eq(got->ns, "default");
	ck_assert_str_eq(got->pod, "p");
	ck_assert_int_eq(got->at_ms, 5000);
	ck_assert_int_eq(got->origin, MANIFEST);
	ck_assert_uint_eq(got->n_secrets, 2);
	ck_assert_str_eq(got->secrets[0].name, "s");
	ck_assert_uint_eq(got->secrets[0].generation, 1);
	ck_assert_uint_ne(got->secrets[0].serial, 0);
	ck_assert_str_eq(got->secrets[1].name, "opt");
	ck_assert_uint_eq(got->secrets[1].generation, 0);
	ck_assert_uint_eq(got->secrets[1].serial, 0);
	ck_assert_ptr_null(sv_handouts_get(&h, "u", "c2"));
	ck_assert_ptr_null(sv_handouts_get(&h, "x", "c"));
}
END_TEST

START_TEST(a_change_makes_it_stale_until_it_is_handed_out_again)
{
	hand_out(pod, "c", 1);
	hand_out(pod, "c2", 1);
	ck_assert(!is_stale("c"));
	put_secret(MANIFEST, "s", "k=2");
	ck_assert(is_stale("c"));
	ck_assert(!is_stale("c2")); /* made from others */
	hand_out(pod, "c", 2);
	ck_assert(!is_stale("c"));
	ck_assert_uint_eq(sv_handouts_get(&h, "u", "c")->secrets[0].generation, 2);
	ck_assert_int_eq(sv_handouts_get(&h, "u", "c")->at_ms, 2);
	ck_assert_uint_eq(h.items.n, 2);
}
END_TEST

START_TEST(secrets_of_others_make_nothing_stale)
{
	hand_out(pod, "c", 1);
	put_secret(SV_ORIGIN_API, "s", "k=other");
	put_secret(MANIFEST, "ns/s", "k=other");
	sv_desired_remove_secret(&d, SV_ORIGIN_API, "default", "s");
	ck_assert(!is_stale("c"));
}
END_TEST

START_TEST(a_secret_that_goes_or_comes_makes_it_stale)
{
	hand_out(pod, "c", 1);
	put_secret(MANIFEST, "opt", "x=1");
	ck_assert(is_stale("c"));
	hand_out(pod, "c", 2);
	ck_assert(!is_stale("c"));
	sv_desired_remove_secret(&d, MANIFEST, "default", "opt");
	ck_assert(is_stale("c"));
	put_secret(MANIFEST, "opt", "x=1"); /* another Secret with the same bytes */
	ck_assert(is_stale("c"));
	hand_out(pod, "c", 3);
	ck_assert(!is_stale("c"));
}
END_TEST

/* What a server's Secret is like is known only while somebody needs it. */
static void put_read(const char *uid, const char *value)
{
	sv_autofree char *text =
		sv_asprintf("metadata: {name: s, uid: %s}\nstringData: {k: \"%s\"}\n", uid, value);
	sv_autosecret struct sv_secret *s = t_secret_yaml(text);

	sv_desired_forget_secret(&d, SV_ORIGIN_API, "default", "s");
	ck_assert_int_eq(sv_desired_put_secret(&d, SV_ORIGIN_API, s, 2000), 0);
}

START_TEST(a_secret_that_was_forgotten_and_read_again_makes_nothing_stale)
{
	static const struct sv_env_opts opts;
	sv_autopod struct sv_pod *p =
		t_pod_yaml("metadata: {name: p, uid: u}\nspec:\n  containers:\n"
			   "  - {name: c, image: i, envFrom: [{secretRef: {name: s}}]}\n");
	const struct sv_container *c = sv_pod_container(p, "c");
	sv_autoenv struct sv_env *env = NULL;

	d.expected[SV_ORIGIN_API] = d.by_secret[SV_ORIGIN_API] = true;
	sv_desired_set_synced(&d, SV_ORIGIN_API);
	put_read("one", "1");
	ck_assert_int_eq(sv_desired_env(&d, SV_ORIGIN_API, p, c, &opts, &env, NULL), 0);
	ck_assert_int_eq(sv_handouts_note(&h, &d, SV_ORIGIN_API, p, c, env, 1), 0);
	sv_desired_forget_secret(&d, SV_ORIGIN_API, "default", "s");
	ck_assert(!is_stale("c")); /* nobody knows */
	put_read("one", "1");
	ck_assert(!is_stale("c"));
	put_read("one", "2");
	ck_assert(is_stale("c"));
	put_read("one", "1"); /* as it was */
	ck_assert(!is_stale("c"));
	put_read("two", "1"); /* another Secret with the same bytes */
	ck_assert(is_stale("c"));
}
END_TEST

START_TEST(what_uses_no_secret_is_never_stale)
{
	hand_out(pod, "plain", 1);
	put_secret(MANIFEST, "s", "k=2");
	sv_desired_remove_secret(&d, MANIFEST, "default", "t");
	ck_assert(!is_stale("plain"));
}
END_TEST

START_TEST(who_uses_a_secret_is_known)
{
	const struct sv_handout *got;

	hand_out(pod, "c", 1);
	got = sv_handouts_get(&h, "u", "c");
	ck_assert(sv_handout_uses(got, MANIFEST, "default", "s"));
	ck_assert(sv_handout_uses(got, MANIFEST, "default", "opt")); /* which may yet come */
	ck_assert(!sv_handout_uses(got, MANIFEST, "default", "t"));
	ck_assert(!sv_handout_uses(got, MANIFEST, "other", "s"));
	ck_assert(!sv_handout_uses(got, SV_ORIGIN_API, "default", "s"));
}
END_TEST

START_TEST(a_pod_that_is_gone_is_forgotten_with_all_its_containers)
{
	sv_autopod struct sv_pod *longer = new_pod("u2"), *other = new_pod("a");

	hand_out(pod, "c", 1);
	hand_out(pod, "c2", 1);
	hand_out(longer, "c", 1); /* its uid begins with the other's */
	hand_out(other, "c", 1);
	sv_handouts_forget(&h, "u");
	ck_assert_uint_eq(h.items.n, 2);
	ck_assert_ptr_null(sv_handouts_get(&h, "u", "c"));
	ck_assert_ptr_null(sv_handouts_get(&h, "u", "c2"));
	ck_assert_ptr_nonnull(sv_handouts_get(&h, "u2", "c"));
	ck_assert_ptr_nonnull(sv_handouts_get(&h, "a", "c"));
	sv_handouts_forget(&h, "nobody");
	sv_handouts_forget(&h, "u2");
	sv_handouts_forget(&h, "a");
	ck_assert_uint_eq(h.items.n, 0);
	sv_handouts_forget(&h, "u");
}
END_TEST

T_SUITE(handout)
{
	T_AROUND(setup, teardown);
	T_TEST(what_was_handed_out_is_remembered_without_values);
	T_TEST(a_change_makes_it_stale_until_it_is_handed_out_again);
	T_TEST(secrets_of_others_make_nothing_stale);
	T_TEST(a_secret_that_goes_or_comes_makes_it_stale);
	T_TEST(a_secret_that_was_forgotten_and_read_again_makes_nothing_stale);
	T_TEST(what_uses_no_secret_is_never_stale);
	T_TEST(who_uses_a_secret_is_known);
	T_TEST(a_pod_that_is_gone_is_forgotten_with_all_its_containers);
}
