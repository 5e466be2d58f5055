/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/complaint.h"
#include "../support/support.h"

START_TEST(texts_read_as_the_api_servers_do)
{
	sv_autocomplaints struct sv_complaints c = { 0 };

	sv_complain(&c, SV_REQUIRED, "spec.containers", NULL, "%s", "");
	sv_complain(&c, SV_INVALID, "metadata.name", "Bad", "%s", "must be good");
	sv_complain(&c, SV_DUPLICATE, "spec.volumes[1].name", "v", "%s", "");
	sv_complain(&c, SV_NOT_FOUND, "f", "v", "%s", "");
	sv_complain(&c, SV_NOT_SUPPORTED, "f", "v", "supported values: %s", "x");
	sv_complain(&c, SV_FORBIDDEN, "f", NULL, "%s", "no");
	sv_complain(&c, SV_TOO_LONG, "data", NULL, "%s", "must be short");
	sv_complain_int(&c, "mode", -1, "%s", "must be more");
	sv_complain(&c, SV_DECODE, "spec.x", NULL, "%s", "as it stands");
	ck_assert_uint_eq(c.n, 9);
	ck_assert_str_eq(c.items[0].message, "spec.containers: Required value");
	ck_assert_str_eq(c.items[1].message, "metadata.name: Invalid value: \"Bad\": must be good");
	ck_assert_str_eq(c.items[2].message, "spec.volumes[1].name: Duplicate value: \"v\"");
	ck_assert_str_eq(c.items[3].message, "f: Not found: \"v\"");
	ck_assert_str_eq(c.items[4].message, "f: Unsupported value: \"v\": supported values: x");
	ck_assert_str_eq(c.items[5].message, "f: Forbidden: no");
	ck_assert_str_eq(c.items[6].message, "data: Too long: must be short");
	ck_assert_str_eq(c.items[7].message, "mode: Invalid value: -1: must be more");
	ck_assert_str_eq(c.items[8].message, "as it stands");
	ck_assert_str_eq(c.items[8].field, "spec.x");
}
END_TEST

START_TEST(values_are_made_printable_and_cut)
{
	sv_autofree char *longest = t_repeat('a', 1000);
	sv_autocomplaints struct sv_complaints c = { 0 };

	sv_complain(&c, SV_INVALID, "data[a\nb]", "x\x1b[31m\n", "%s", "no");
	sv_complain(&c, SV_INVALID, "f", longest, "%s", "no");
	ck_assert_str_eq(c.items[0].field, "data[a\\nb]");
	ck_assert_str_eq(c.items[0].message, "data[a\\nb]: Invalid value: \"x\\x1b[31m\\n\": no");
	t_contains(c.items[1].message, "aaa…\": no");
	ck_assert_uint_lt(strlen(c.items[1].message), 300);
}
END_TEST

START_TEST(fields_and_messages_have_an_end)
{
	sv_autofree char *endless = t_repeat('a', 100000);
	sv_autocomplaints struct sv_complaints c = { 0 };

	sv_complain(&c, SV_DECODE, endless, NULL, "%s", endless);
	ck_assert_uint_lt(strlen(c.items[0].field), 8192);
	ck_assert_uint_lt(strlen(c.items[0].message), 16384);
	t_contains(c.items[0].message, "aaa…");
}
END_TEST

START_TEST(what_is_too_much_is_counted_and_dropped)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	int i;

	for (i = 0; i < SV_COMPLAINTS_MAX + 5; i++)
		sv_complain_int(&c, "f", i, "%s", "");
	ck_assert_uint_eq(c.n, SV_COMPLAINTS_MAX);
	ck_assert_uint_eq(c.dropped, 5);
	ck_assert(!c.out_of_memory);
	sv_complaints_done(&c);
	ck_assert_uint_eq(c.n, 0);
}
END_TEST

static const struct {
	enum sv_category category;
	const char *name;
} categories[] = {
	{ SV_DECODE, "decode" },       { SV_REQUIRED, "Required" },
	{ SV_INVALID, "Invalid" },     { SV_DUPLICATE, "Duplicate" },
	{ SV_NOT_FOUND, "NotFound" },  { SV_NOT_SUPPORTED, "NotSupported" },
	{ SV_FORBIDDEN, "Forbidden" }, { SV_TOO_LONG, "TooLong" },
	{ SV_TOO_MANY, "TooMany" },
};

START_TEST(categories_have_the_api_servers_names)
{
	ck_assert_str_eq(sv_category_name(categories[_i].category), categories[_i].name);
}
END_TEST

T_SUITE(complaint)
{
	T_TEST(texts_read_as_the_api_servers_do);
	T_TEST(values_are_made_printable_and_cut);
	T_TEST(fields_and_messages_have_an_end);
	T_TEST(what_is_too_much_is_counted_and_dropped);
	T_EACH(categories_have_the_api_servers_names, categories);
}
