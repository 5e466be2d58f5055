/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/validate.h"
#include "../support/support.h"

typedef const char *(*check_fn)(const char *);

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A251                    \
	A63 "." A63 "." A63 "." \
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A253 A251 "aa"

static const struct {
	check_fn check;
	const char *text;
	const char *says; /* a part of the complaint; NULL: fine */
} names[] = {
	/* R1 */
	{ sv_check_subdomain, "a", NULL },
	{ sv_check_subdomain, "0", NULL },
	{ sv_check_subdomain, "my-secret", NULL },
	{ sv_check_subdomain, "my.secret.1", NULL },
	{ sv_check_subdomain, "a--b", NULL },
	{ sv_check_subdomain, A253, NULL },
	{ sv_check_subdomain, A253 "a", "must be no more than 253 characters" },
	{ sv_check_subdomain, "", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "A", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "-a", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a-", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, ".a", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a.", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a..b", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a.-b", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a_b", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a/b", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "a b", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "é", "lowercase RFC 1123 subdomain" },
	{ sv_check_subdomain, "..", "lowercase RFC 1123 subdomain" },
	/* R11 */
	{ sv_check_label, "a", NULL },
	{ sv_check_label, "0-9", NULL },
	{ sv_check_label, A63, NULL },
	{ sv_check_label, A63 "a", "must be no more than 63 characters" },
	{ sv_check_label, "", "lowercase RFC 1123 label" },
	{ sv_check_label, "a.b", "lowercase RFC 1123 label" },
	{ sv_check_label, "-", "lowercase RFC 1123 label" },
	{ sv_check_label, "aB", "lowercase RFC 1123 label" },
	{ sv_check_label, "a_b", "lowercase RFC 1123 label" },
	{ sv_check_label, "a\n", "lowercase RFC 1123 label" },
	/* R5 */
	{ sv_check_secret_key, "a", NULL },
	{ sv_check_secret_key, "A-Z_a.z0", NULL },
	{ sv_check_secret_key, ".x", NULL },
	{ sv_check_secret_key, "a..b", NULL },
	{ sv_check_secret_key, "-", NULL },
	{ sv_check_secret_key, A253, NULL },
	{ sv_check_secret_key, A253 "a", "must be no more than 253 characters" },
	{ sv_check_secret_key, "", "a valid config key must consist of alphanumeric characters" },
	{ sv_check_secret_key, "a b", "a valid config key" },
	{ sv_check_secret_key, "a/b", "a valid config key" },
	{ sv_check_secret_key, "é", "a valid config key" },
	{ sv_check_secret_key, ".", "must not be '.'" },
	{ sv_check_secret_key, "..", "must not be '..'" },
	{ sv_check_secret_key, "...", "must not start with '..'" },
	{ sv_check_secret_key, "..data", "must not start with '..'" },
	/* metadata.uid becomes a directory name */
	{ sv_check_uid, "6f1c0e52-9a4d-4c3b-8e27-51d0a37b941f", NULL },
	{ sv_check_uid, "A_z.0", NULL },
	{ sv_check_uid, "...", NULL },
	{ sv_check_uid, "..x", NULL },
	{ sv_check_uid, A63 "." A63 "a", NULL },
	{ sv_check_uid, A63 "." A63 "aa", "must be no more than 128 characters" },
	{ sv_check_uid, "", "must not be empty" },
	{ sv_check_uid, ".", "must not be '.'" },
	{ sv_check_uid, "..", "must not be '..'" },
	{ sv_check_uid, "a/b", "must consist of alphanumeric characters" },
	{ sv_check_uid, "../x", "must consist of alphanumeric characters" },
	{ sv_check_uid, "a b", "must consist of alphanumeric characters" },
	{ sv_check_time, "2026-01-01T00:00:00Z", NULL },
	{ sv_check_time, "2024-02-29T23:59:59.123456789Z", NULL },
	{ sv_check_time, "2000-02-29T00:00:00+07:30", NULL },
	{ sv_check_time, "2026-12-31T00:00:00.0-12:00", NULL },
	{ sv_check_time, "", "RFC 3339" },
	{ sv_check_time, "xx", "RFC 3339" },
	{ sv_check_time, "2026-01-01", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00", "RFC 3339" },
	{ sv_check_time, "2026-01-01 00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-1-01T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-00-01T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-13-01T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-01-00T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-02-29T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2100-02-29T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-04-31T00:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-01-01T24:00:00Z", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:60:00Z", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:60Z", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00.Z", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00z", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00Zx", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00+07", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00+07:00x", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00+25:00", "RFC 3339" },
	{ sv_check_time, "2026-01-01T00:00:00-07:61", "RFC 3339" },
	/* R14 */
	{ sv_check_relative_path, "a", NULL },
	{ sv_check_relative_path, "a/b/c", NULL },
	{ sv_check_relative_path, ".", NULL },
	{ sv_check_relative_path, "./x", NULL },
	{ sv_check_relative_path, "a//b/", NULL },
	{ sv_check_relative_path, "a/..b", NULL },
	{ sv_check_relative_path, "a\\b c/é", NULL },
	{ sv_check_relative_path, "/a", "must be a relative path" },
	{ sv_check_relative_path, "..", "must not contain '..'" },
	{ sv_check_relative_path, "a/..", "must not contain '..'" },
	{ sv_check_relative_path, "a/../b", "must not contain '..'" },
	{ sv_check_relative_path, "../a", "must not contain '..'" },
	{ sv_check_relative_path, "..a", "must not start with '..'" },
	{ sv_check_relative_path, "...", "must not start with '..'" },
	/* R19 */
	{ sv_check_sub_path, "", NULL },
	{ sv_check_sub_path, "..x", NULL },
	{ sv_check_sub_path, "a/b", NULL },
	{ sv_check_sub_path, "/a", "must be a relative path" },
	{ sv_check_sub_path, "a/../b", "must not contain '..'" },
	/* R68 */
	{ sv_check_env_name, "MY_ENV.name-1", NULL },
	{ sv_check_env_name, "_", NULL },
	{ sv_check_env_name, "-a", NULL },
	{ sv_check_env_name, ".a", NULL },
	{ sv_check_env_name, "1a", "a valid environment variable name" },
	{ sv_check_env_name, "", "a valid environment variable name" },
	{ sv_check_env_name, "a b", "a valid environment variable name" },
	{ sv_check_env_name, "a=b", "a valid environment variable name" },
	{ sv_check_env_name, ".", "must not be '.'" },
	{ sv_check_env_name, "..", "must not be '..'" },
	{ sv_check_env_name, "..a", "must not start with '..'" },
	/* R87 */
	{ sv_check_env_name_relaxed, "1a", NULL },
	{ sv_check_env_name_relaxed, "..", NULL },
	{ sv_check_env_name_relaxed, " ~!", NULL },
	{ sv_check_env_name_relaxed, "", "printable ASCII" },
	{ sv_check_env_name_relaxed, "a=b", "other than '='" },
	{ sv_check_env_name_relaxed, "a\tb", "printable ASCII" },
	{ sv_check_env_name_relaxed, "a\x7f", "printable ASCII" },
	{ sv_check_env_name_relaxed, "é", "printable ASCII" },
	/* R36 */
	{ sv_check_payload_path, "a/b", NULL },
	{ sv_check_payload_path, ".", NULL },
	{ sv_check_payload_path, "./..a", NULL },
	{ sv_check_payload_path, "a/..b", NULL },
	{ sv_check_payload_path, "", "invalid path: must not be empty" },
	{ sv_check_payload_path, "/a", "invalid path: must be relative path" },
	{ sv_check_payload_path, "a/../b", "invalid path: must not contain '..'" },
	{ sv_check_payload_path, "..", "invalid path: must not contain '..'" },
	{ sv_check_payload_path, "..a/b", "invalid path: must not start with '..'" },
};

START_TEST(names_and_paths_are_checked_as_kubernetes_does)
{
	const char *text = names[_i].check(names[_i].text);

	if (names[_i].says)
		t_contains(text, names[_i].says);
	else
		ck_assert_ptr_null(text);
}
END_TEST

START_TEST(payload_paths_have_limits)
{
	sv_autofree char *element = t_repeat('a', SV_ELEMENT_MAX), *longest = t_repeat('a', 4096);
	sv_autofree char *fits = sv_asprintf("%s/%s", element, element);
	sv_autofree char *over = sv_asprintf("x/%sa/y", element);
	size_t i;

	ck_assert_ptr_null(sv_check_payload_path(fits));
	ck_assert_str_eq(sv_check_payload_path(over),
			 "invalid path: filenames must be less than or equal to 255 characters");
	for (i = 1; i < 4096; i += 2)
		longest[i] = '/';
	longest[4095] = 'a';
	ck_assert_ptr_null(sv_check_payload_path(longest));
	free(over);
	over = sv_asprintf("%sa", longest);
	ck_assert_str_eq(sv_check_payload_path(over),
			 "invalid path: must be less than or equal to 4096 characters");
}
END_TEST

static const struct {
	const char *old, *new;
	const char *want; /* complaints */
} updates[] = {
	{ "a=1", "a=2", "" },
	{ "a=1", "b=1 c=2", "" },
	{ "a=1", "a=1 !immutable", "" },
	{ "a=1 !immutable", "a=1 !immutable", "" },
	{ "a=1 !immutable", "a=1", "Forbidden immutable" },
	{ "a=1 !immutable", "a=2 !immutable", "Forbidden data" },
	{ "a=1 !immutable", "b=1 !immutable", "Forbidden data" },
	{ "a=1 !immutable", "a=1 b=1 !immutable", "Forbidden data" },
	{ "a=1 !immutable", "!immutable", "Forbidden data" },
	{ "a=1 !immutable", "a=2", "Forbidden immutable\nForbidden data" },
	{ "a=1 !type=x", "a=1 !type=x", "" },
	{ "a=1 !type=x", "a=1", "Invalid type" },
	{ "a=1", "a=1 !type=x", "Invalid type" },
	{ "a=1", "a=1 !type=Opaque", "" },
	{ "a=1 !type=x !immutable", "a=2", "Invalid type\nForbidden immutable\nForbidden data" },
};

START_TEST(what_may_not_change_in_a_secret_is_refused)
{
	sv_autosecret struct sv_secret *old = t_secret("s", updates[_i].old);
	sv_autosecret struct sv_secret *new = t_secret("s", updates[_i].new);
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autofree char *text = NULL;

	sv_validate_secret_update(old, new, &c);
	text = t_complaints(&c);
	ck_assert_str_eq(text, updates[_i].want);
}
END_TEST

START_TEST(the_texts_are_the_api_servers)
{
	sv_autosecret struct sv_secret *old = t_secret("s", "a=1 !immutable !type=x");
	sv_autosecret struct sv_secret *new = t_secret("s", "a=2");
	sv_autocomplaints struct sv_complaints c = { 0 };

	sv_validate_secret_update(old, new, &c);
	ck_assert_uint_eq(c.n, 3);
	ck_assert_str_eq(c.items[0].message, "type: Invalid value: \"Opaque\": field is immutable");
	ck_assert_str_eq(c.items[1].message,
			 "immutable: Forbidden: field is immutable when `immutable` is set");
	ck_assert_str_eq(c.items[2].message,
			 "data: Forbidden: field is immutable when `immutable` is set");
}
END_TEST

T_SUITE(validate)
{
	T_EACH(names_and_paths_are_checked_as_kubernetes_does, names);
	T_TEST(payload_paths_have_limits);
	T_EACH(what_may_not_change_in_a_secret_is_refused, updates);
	T_TEST(the_texts_are_the_api_servers);
}
