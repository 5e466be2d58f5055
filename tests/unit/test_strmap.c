/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../../lib/base/strmap.h"
#include "../support/support.h"

#define N 500

static char keys[N][8];
static int values[N];

/* Every key once, in an order that jumps about. */
static void fill(struct sv_strmap *m)
{
	int i;

	for (i = 0; i < N; i++) {
		int k = i * 263 % N;

		(void)snprintf(keys[k], sizeof(keys[k]), "k%04d", k);
		values[k] = k;
		ck_assert_int_eq(sv_strmap_put(m, keys[k], &values[k]), 0);
	}
}

START_TEST(walking_is_in_the_order_of_the_keys)
{
	struct sv_strmap m = { NULL, 0, 0 };
	size_t i;

	fill(&m);
	ck_assert_uint_eq(m.n, N);
	for (i = 0; i < m.n; i++) {
		ck_assert_str_eq(m.entries[i].key, keys[i]);
		ck_assert_ptr_eq(m.entries[i].value, &values[i]);
		ck_assert_ptr_eq(sv_strmap_get(&m, keys[i]), &values[i]);
	}
	ck_assert_ptr_null(sv_strmap_get(&m, "k"));
	ck_assert_ptr_null(sv_strmap_get(&m, "k0001x"));
	ck_assert_ptr_null(sv_strmap_get(&m, "z"));
	sv_strmap_done(&m);
}
END_TEST

START_TEST(an_equal_key_replaces_key_and_value)
{
	struct sv_strmap m = { NULL, 0, 0 };
	char first[] = "key", second[] = "key";
	int a, b;

	ck_assert_int_eq(sv_strmap_put(&m, first, &a), 0);
	ck_assert_int_eq(sv_strmap_put(&m, second, &b), 0);
	ck_assert_uint_eq(m.n, 1);
	ck_assert_ptr_eq(m.entries[0].key, second); /* the first may be freed now */
	ck_assert_ptr_eq(sv_strmap_get(&m, "key"), &b);
	sv_strmap_done(&m);
}
END_TEST

START_TEST(what_is_removed_is_gone_and_the_rest_is_there)
{
	struct sv_strmap m = { NULL, 0, 0 };
	int i;

	fill(&m);
	for (i = 0; i < N; i += 2)
		ck_assert_ptr_eq(sv_strmap_remove(&m, keys[i]), &values[i]);
	ck_assert_ptr_null(sv_strmap_remove(&m, keys[0]));
	ck_assert_uint_eq(m.n, N / 2);
	for (i = 0; i < N; i++)
		ck_assert_ptr_eq(sv_strmap_get(&m, keys[i]), i % 2 ? &values[i] : NULL);
	sv_strmap_done(&m);
	ck_assert_uint_eq(m.n, 0);
	ck_assert_ptr_null(sv_strmap_get(&m, keys[1]));
	ck_assert_ptr_null(sv_strmap_remove(&m, keys[1]));
}
END_TEST

START_TEST(a_range_begins_at_the_first_key_that_is_not_smaller)
{
	static const struct {
		const char *key;
		size_t want;
	} cases[] = { { "", 0 },   { "a", 0 }, { "b", 0 },  { "ba", 1 },  { "d", 1 },
		      { "da", 2 }, { "f", 2 }, { "fa", 3 }, { "\xff", 3 } };
	struct sv_strmap m = { NULL, 0, 0 };
	size_t i;

	ck_assert_uint_eq(sv_strmap_lower(&m, "a"), 0);
	ck_assert_int_eq(sv_strmap_put(&m, "d", &m), 0);
	ck_assert_int_eq(sv_strmap_put(&m, "b", &m), 0);
	ck_assert_int_eq(sv_strmap_put(&m, "f", &m), 0);
	for (i = 0; i < SV_ARRAY_SIZE(cases); i++)
		ck_assert_uint_eq(sv_strmap_lower(&m, cases[i].key), cases[i].want);
	sv_strmap_done(&m);
}
END_TEST

START_TEST(a_pair_is_found_like_its_key)
{
	/* '-' and '.' come before '/', letters after it */
	static const char *const pairs[] = { "a-b/c", "a.b/c", "a/b", "a/c", "ab/c", "b/a" };
	struct sv_strmap m = { NULL, 0, 0 };
	size_t i;

	ck_assert_ptr_null(sv_strmap_get_pair(&m, "a", "b"));
	for (i = 0; i < SV_ARRAY_SIZE(pairs); i++)
		ck_assert_int_eq(sv_strmap_put(&m, pairs[i], (void *)pairs[i]), 0);
	for (i = 0; i < SV_ARRAY_SIZE(pairs); i++) {
		size_t n = strcspn(pairs[i], "/");
		sv_autofree char *a = strndup(pairs[i], n);

		ck_assert_ptr_eq(sv_strmap_get_pair(&m, a, pairs[i] + n + 1), pairs[i]);
		ck_assert_ptr_null(sv_strmap_get_pair(&m, a, "z"));
		ck_assert_ptr_null(sv_strmap_get_pair(&m, a, ""));
		ck_assert_uint_eq(sv_strmap_lower_pair(&m, a, pairs[i] + n + 1), i);
		ck_assert_uint_eq(sv_strmap_lower_pair(&m, a, "z"),
				  sv_strmap_lower_pair(&m, a, "") + (n == 1 && *a == 'a' ? 2 : 1));
	}
	ck_assert_ptr_null(sv_strmap_get_pair(&m, "", "c"));
	ck_assert_ptr_null(sv_strmap_get_pair(&m, "a-", "c"));
	sv_strmap_done(&m);
}
END_TEST

T_SUITE(strmap)
{
	T_TEST(walking_is_in_the_order_of_the_keys);
	T_TEST(an_equal_key_replaces_key_and_value);
	T_TEST(what_is_removed_is_gone_and_the_rest_is_there);
	T_TEST(a_range_begins_at_the_first_key_that_is_not_smaller);
	T_TEST(a_pair_is_found_like_its_key);
}
