/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../support/support.h"

static bool has(const struct sv_secret_data *d, size_t i, const char *want)
{
	return d->values[i].len == strlen(want) &&
	       memcmp(d->values[i].ptr, want, strlen(want)) == 0;
}

START_TEST(a_secret_that_forgot_its_values_knows_the_rest)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1 b=22 c=");

	ck_assert(!sv_secret_is_hollow(s));
	ck_assert_uint_eq(s->size, 3);
	sv_secret_forget(s);
	sv_secret_forget(s);
	ck_assert(sv_secret_is_hollow(s));
	ck_assert_ptr_null(sv_secret_value(s, "a"));
	ck_assert_ptr_nonnull(sv_secret_key(s, "a"));
	ck_assert_uint_eq(sv_secret_key(s, "b")->size, 2);
	ck_assert_ptr_null(sv_secret_key(s, "d"));
	ck_assert_uint_eq(s->size, 3);
}
END_TEST

START_TEST(whoever_holds_the_values_keeps_them)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1 b=22");
	struct sv_secret_data *d = sv_secret_data_ref(s->data);

	sv_secret_forget(s);
	ck_assert(has(d, 0, "1") && has(d, 1, "22"));
	sv_secret_data_unref(d);
}
END_TEST

START_TEST(a_hollow_secret_compares_as_a_full_one)
{
	static const struct {
		const char *keys;
		bool same_data, equal;
	} cases[] = { { "a=1 b=2", true, true },
		      { "b=2 a=1", true, true },
		      { "a=1", false, false },
		      { "a=1 b=3", false, false },
		      { "a=1 c=2", false, false },
		      { "a=12 b=", false, false },
		      { "", false, false },
		      { "a=1 b=2 !immutable", true, false },
		      { "a=1 b=2 !type=x", true, false } };
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1 b=2");
	size_t i;

	sv_secret_forget(s);
	for (i = 0; i < SV_ARRAY_SIZE(cases); i++) {
		sv_autosecret struct sv_secret *other = t_secret("s", cases[i].keys);

		ck_assert_int_eq(sv_secret_same_data(s, other), cases[i].same_data);
		ck_assert_int_eq(sv_secret_equal(s, other), cases[i].equal);
		sv_secret_forget(other);
		ck_assert_int_eq(sv_secret_equal(s, other), cases[i].equal);
	}
}
END_TEST

START_TEST(values_are_given_again_if_they_are_the_same)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1 b=2");
	sv_autosecret struct sv_secret *same = t_secret("ns/t", "b=2 a=1");
	sv_autosecret struct sv_secret *other = t_secret("s", "a=1 b=3");
	sv_autosecret struct sv_secret *full = t_secret("s", "a=1 b=2");
	struct sv_secret_data *data = full->data;

	sv_secret_forget(s);
	ck_assert(!sv_secret_fill(s, other));
	ck_assert(sv_secret_is_hollow(s));
	ck_assert(sv_secret_fill(s, same));
	ck_assert_ptr_eq(s->data, same->data); /* one copy */
	ck_assert(has(s->data, 0, "1") && has(s->data, 1, "2"));
	ck_assert(sv_secret_fill(full, same));
	ck_assert_ptr_eq(full->data, data); /* had its own */
	sv_secret_forget(s);
	sv_secret_forget(same);
	ck_assert(!sv_secret_fill(s, same)); /* nothing to give */
}
END_TEST

START_TEST(a_secret_without_keys_is_never_hollow)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "");

	sv_secret_forget(s);
	ck_assert(!sv_secret_is_hollow(s));
	ck_assert(sv_secret_fill(s, s));
	ck_assert_ptr_null(sv_secret_value(s, "a"));
}
END_TEST

START_TEST(a_container_is_found_by_its_name_or_is_the_first_of_the_app)
{
	sv_autopod struct sv_pod *pod =
		t_pod_yaml("metadata: {name: p}\nspec:\n"
			   "  initContainers: [{name: init, image: i}]\n"
			   "  containers: [{name: app, image: i}, {name: other, image: i}]\n");

	ck_assert_str_eq(sv_pod_container(pod, NULL)->name, "app");
	ck_assert_str_eq(sv_pod_container(pod, "init")->name, "init");
	ck_assert_str_eq(sv_pod_container(pod, "other")->name, "other");
	ck_assert_ptr_null(sv_pod_container(pod, "ap"));
}
END_TEST

T_SUITE(object)
{
	T_TEST(a_secret_that_forgot_its_values_knows_the_rest);
	T_TEST(whoever_holds_the_values_keeps_them);
	T_TEST(a_hollow_secret_compares_as_a_full_one);
	T_TEST(values_are_given_again_if_they_are_the_same);
	T_TEST(a_secret_without_keys_is_never_hollow);
	T_TEST(a_container_is_found_by_its_name_or_is_the_first_of_the_app);
}
