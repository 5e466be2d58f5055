/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/wire.h"
#include "../support/support.h"

/* ---- Status -------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int http;
	int code;
	const char *reason, *message;
	int64_t retry_after_ms;
	bool too_large;
} statuses[] = {
	{ "", 503, 503, "", "", 0, false },
	{ "<html>bad gateway</html>", 502, 502, "", "", 0, false },
	{ "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}", 410,
	  410, "Expired", "too old", 0, false },
	{ "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}", 0, 410, "Expired", "", 0,
	  false },
	/* what HTTP says counts */
	{ "{\"kind\":\"Status\",\"code\":200}", 403, 403, "", "", 0, false },
	{ "{\"kind\":\"Secret\",\"message\":\"a value\",\"reason\":\"r\"}", 500, 500, "", "", 0,
	  false },
	{ "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":7}}", 429, 429, "", "", 7000,
	  false },
	{ "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":-7}}", 429, 429, "", "", 0,
	  false },
	{ "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":99999999999}}", 429, 429, "", "",
	  0, false },
	{ "{\"kind\":\"Status\",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}]}}",
	  504, 504, "", "", 0, true },
	{ "{\"kind\":\"Status\",\"details\":{\"causes\":[3,null,{\"reason\":\"Other\"}]}}", 504,
	  504, "", "", 0, false },
	{ "{\"kind\":\"Status\",\"message\":\"Too large resource version: 9, current: 7\"}", 504,
	  504, "", "Too large resource version: 9, current: 7", 0, true },
	{ "{\"kind\":\"Status\",\"code\":-1}", 0, 0, "", "", 0, false },
	{ "{\"kind\":\"Status\",\"code\":4000000000}", 0, 0, "", "", 0, false },
	{ "{\"kind\":\"Status\",\"code\":\"410\",\"reason\":410,\"details\":[]}", 0, 0, "", "", 0,
	  false },
	{ "{\"kind\":\"Status\",\"message\":\"two\\nlines\\u001b[31m\"}", 500, 500, "",
	  "two\\nlines\\x1b[31m", 0, false },
	{ "[1]", 500, 500, "", "", 0, false },
};

START_TEST(a_status_is_read_as_far_as_it_is_one)
{
	struct sv_wire_status s = { .code = 99 };

	sv_wire_status(statuses[_i].text, strlen(statuses[_i].text), statuses[_i].http, &s);
	ck_assert_int_eq(s.code, statuses[_i].code);
	ck_assert_str_eq(s.reason, statuses[_i].reason);
	ck_assert_str_eq(s.message, statuses[_i].message);
	ck_assert_int_eq(s.retry_after_ms, statuses[_i].retry_after_ms);
	ck_assert_int_eq(s.too_large_version, statuses[_i].too_large);
}
END_TEST

START_TEST(long_texts_of_a_status_are_cut)
{
	sv_autofree char *word = t_repeat('r', 1000);
	sv_autofree char *text = sv_asprintf(
		"{\"kind\":\"Status\",\"reason\":\"%s\",\"message\":\"%s\"}", word, word);
	struct sv_wire_status s;

	sv_wire_status(text, strlen(text), 500, &s);
	ck_assert_uint_lt(strlen(s.reason), sizeof(s.reason));
	ck_assert_uint_ge(strlen(s.reason), 40);
	ck_assert_uint_lt(strlen(s.message), sizeof(s.message));
	ck_assert_uint_ge(strlen(s.message), 200);
}
END_TEST

/* ---- events and items ---------------------------------------------------------------------- */

#define META "\"metadata\":{\"name\":\"db\",\"namespace\":\"prod\",\"resourceVersion\":\"101\"}"

static const struct {
	const char *text;
	int want;
	enum sv_wire_type type;
	const char *ns, *name, *version;
} events[] = {
	{ "{\"type\":\"ADDED\",\"object\":{" META "}}", 0, SV_WIRE_ADDED, "prod", "db", "101" },
	{ "{\"type\":\"MODIFIED\",\"object\":{" META "}}", 0, SV_WIRE_MODIFIED, "prod", "db",
	  "101" },
	{ "{\"object\":{" META "},\"type\":\"DELETED\"}", 0, SV_WIRE_DELETED, "prod", "db", "101" },
	{ "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"9\"}}}",
	  0, SV_WIRE_BOOKMARK, "", "", "9" },
	{ "{\"type\":\"EXPLODED\",\"object\":{}}", 0, SV_WIRE_UNKNOWN, "", "", "" },
	{ "{\"type\":\"added\",\"object\":{" META "}}", 0, SV_WIRE_UNKNOWN, "prod", "db", "101" },
	{ "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}", 0, SV_WIRE_ERROR,
	  "", "", "" },
	{ "{\"type\":\"ERROR\",\"object\":{}}", 0, SV_WIRE_ERROR, "", "", "" },
	/* a change that cannot be put in order is none that a watch can go on from */
	{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"db\"}}}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"BOOKMARK\",\"object\":{}}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":101}}}",
	  SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":[]}}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\",\"object\":[]}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\",\"object\":null}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\"}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"\",\"object\":{" META "}}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":7,\"object\":{" META "}}", SV_WIRE_E_SYNTAX },
	{ "{\"object\":{" META "}}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\",\"object\":{" META "}", SV_WIRE_E_SYNTAX },
	{ "{\"type\":\"ADDED\",\"object\":{" META "}}{}", SV_WIRE_E_SYNTAX },
	{ "[]", SV_WIRE_E_SYNTAX },
	{ "null", SV_WIRE_E_SYNTAX },
	{ "", SV_WIRE_E_SYNTAX },
};

START_TEST(an_event_is_read_whole_or_not_at_all)
{
	sv_autowire struct sv_wire_event e = { 0 };
	struct sv_err err = { "" };
	int r = sv_wire_event(events[_i].text, strlen(events[_i].text), &e, &err);

	ck_assert_int_eq(r, events[_i].want);
	ck_assert_int_eq(e.root != NULL, r == 0); /* a refusal leaves ret alone */
	ck_assert_int_eq(*err.msg != '\0', r != 0);
	if (r)
		return;
	ck_assert_int_eq(e.type, events[_i].type);
	ck_assert_str_eq(e.ns, events[_i].ns);
	ck_assert_str_eq(e.name, events[_i].name);
	ck_assert_str_eq(e.version, events[_i].version);
}
END_TEST

START_TEST(an_error_event_says_why)
{
	static const char text[] =
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
		"\"message\":\"too old resource version: 1 (5)\"}}";
	sv_autowire struct sv_wire_event e = { 0 };

	ck_assert_int_eq(sv_wire_event(text, strlen(text), &e, NULL), 0);
	ck_assert_int_eq(e.status.code, 410);
	ck_assert_str_eq(e.status.reason, "Expired");
	ck_assert_str_eq(e.status.message, "too old resource version: 1 (5)");
}
END_TEST

static const struct {
	const char *text;
	int want;
	const char *ns, *name, *version;
} items[] = {
	{ "{" META "}", 0, "prod", "db", "101" },
	{ "{\"metadata\":{\"name\":\"db\"}}", 0, "", "db", "" },
	{ "{}", 0, "", "", "" },
	{ "{\"metadata\":7}", 0, "", "", "" },
	{ "{" META, SV_WIRE_E_SYNTAX },
	{ "[]", SV_WIRE_E_SYNTAX },
	{ "7", SV_WIRE_E_SYNTAX },
};

START_TEST(an_item_of_a_list_reads_as_an_addition)
{
	sv_autowire struct sv_wire_event e = { 0 };
	int r = sv_wire_item(items[_i].text, strlen(items[_i].text), &e, NULL);

	ck_assert_int_eq(r, items[_i].want);
	if (r)
		return;
	ck_assert_int_eq(e.type, SV_WIRE_ADDED);
	ck_assert_ptr_eq(e.object, e.root);
	ck_assert_str_eq(e.ns, items[_i].ns);
	ck_assert_str_eq(e.name, items[_i].name);
	ck_assert_str_eq(e.version, items[_i].version);
}
END_TEST

START_TEST(what_a_server_sent_is_in_no_message)
{
	static const char *const texts[] = {
		"{\"data\":{\"password\":\"c2VjcmV0\"} oops",
		"{\"type\":\"ADDED\",\"object\":{\"data\":{\"password\":\"c2VjcmV0\"}}}",
		"c2VjcmV0",
	};
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(texts); i++) {
		sv_autowire struct sv_wire_event e = { 0 };
		sv_autofree char *version = NULL, *token = NULL;
		struct sv_err event = { "" }, list = { "" };

		ck_assert_int_eq(sv_wire_event(texts[i], strlen(texts[i]), &e, &event),
				 SV_WIRE_E_SYNTAX);
		ck_assert_int_eq(sv_wire_list(texts[i], strlen(texts[i]), &version, &token, &list),
				 SV_WIRE_E_SYNTAX);
		ck_assert(*event.msg && !strstr(event.msg, "c2VjcmV0"));
		ck_assert(*list.msg && !strstr(list.msg, "c2VjcmV0"));
	}
}
END_TEST

/* ---- lists --------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int want;
	const char *version, *token;
} lists[] = {
	{ "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"12\"},\"items\":[]}", 0, "12",
	  "" },
	{ "{\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"abc\"}}", 0, "12", "abc" },
	{ "{\"metadata\":{}}", 0, "", "" },
	{ "{\"metadata\":{\"resourceVersion\":12,\"continue\":null}}", 0, "", "" },
	{ "{}", SV_WIRE_E_SYNTAX },
	{ "{\"metadata\":null}", SV_WIRE_E_SYNTAX },
	{ "[]", SV_WIRE_E_SYNTAX },
	{ "{\"metadata\":{}", SV_WIRE_E_SYNTAX },
	{ "", SV_WIRE_E_SYNTAX },
};

START_TEST(the_rest_of_a_list_has_its_version_and_its_token)
{
	sv_autofree char *version = NULL, *token = NULL;
	struct sv_err err = { "" };
	int r = sv_wire_list(lists[_i].text, strlen(lists[_i].text), &version, &token, &err);

	ck_assert_int_eq(r, lists[_i].want);
	ck_assert_pstr_eq(version, lists[_i].version);
	ck_assert_pstr_eq(token, lists[_i].token);
	ck_assert_int_eq(*err.msg != '\0', r != 0);
}
END_TEST

/* ---- names of what was not kept ------------------------------------------------------------ */

static const struct {
	const char *head;
	const char *want;
} heads[] = {
	{ "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\",\"namespace\":"
	  "\"prod\",\"uid\":",
	  "prod/db" },
	{ "{\"metadata\":{\"name\":\"db\",\"x\":1", "db" },
	{ "{\"metadata\":{\"name\":\"db", "" },
	{ "{\"metadata\":{\"namespace\":\"prod\"}", "" },
	{ "{\"data\":{\"name\":\"value\"}", "" },
	{ "{\"metadata\":{", "" },
	{ "", "" },
	{ "{\"metadata\":{\"name\":\"a\nb\"", "a\\nb" },
};

START_TEST(an_object_that_was_left_out_is_named_where_its_head_says_so)
{
	char name[SV_ERR_MAX] = "?";
	size_t len = strlen(heads[_i].head);
	sv_autofree char *exact = malloc(len + 1); /* a byte too many is seen by the sanitizer */

	memcpy(exact + 1, heads[_i].head, len);
	sv_wire_name(exact + 1, len, name, sizeof(name));
	ck_assert_str_eq(name, heads[_i].want);
}
END_TEST

static const struct {
	const char *head;
	bool want;
} deletions[] = {
	{ "{\"type\":\"DELETED\",\"object\":{\"kind\"", true },
	{ "{\"type\":\"MODIFIED\",\"object\":{\"kind\"", false },
	{ "{\"type\":\"MODIFIED\",\"object\":{\"x\":{\"type\":\"DELETED\",\"object\":1}}", false },
	{ "{\"type\":\"DELETED\"", false },
	{ "", false },
};

START_TEST(a_deletion_is_known_by_the_head_of_its_event)
{
	ck_assert_int_eq(sv_wire_deletes(deletions[_i].head, strlen(deletions[_i].head)),
			 deletions[_i].want);
}
END_TEST

/* ---- versions ------------------------------------------------------------------------------ */

static const struct {
	const char *a, *b;
	int want;
} versions[] = {
	{ "1", "1", 0 },
	{ "1", "2", -1 },
	{ "99", "100", -1 },
	{ "100", "99", 1 },
	{ "0", "1", -1 },
	/* larger than any integer type */
	{ "99999999999999999999999998", "99999999999999999999999999", -1 },
	/* opaque: nothing is concluded */
	{ "a", "b", 0 },
	{ "", "1", 0 },
	{ "1", "", 0 },
	{ "01", "1", 0 },
	{ "-1", "1", 0 },
	{ "1x", "2", 0 },
	{ "v1", "v2", 0 },
};

START_TEST(versions_compare_as_numbers_where_they_are_numbers)
{
	int r = sv_wire_compare(versions[_i].a, versions[_i].b);

	ck_assert_int_eq((r > 0) - (r < 0), versions[_i].want);
	r = sv_wire_compare(versions[_i].b, versions[_i].a);
	ck_assert_int_eq((r > 0) - (r < 0), -versions[_i].want);
}
END_TEST

T_SUITE(wire)
{
	T_EACH(a_status_is_read_as_far_as_it_is_one, statuses);
	T_TEST(long_texts_of_a_status_are_cut);
	T_EACH(an_event_is_read_whole_or_not_at_all, events);
	T_TEST(an_error_event_says_why);
	T_EACH(an_item_of_a_list_reads_as_an_addition, items);
	T_TEST(what_a_server_sent_is_in_no_message);
	T_EACH(the_rest_of_a_list_has_its_version_and_its_token, lists);
	T_EACH(an_object_that_was_left_out_is_named_where_its_head_says_so, heads);
	T_EACH(a_deletion_is_known_by_the_head_of_its_event, deletions);
	T_EACH(versions_compare_as_numbers_where_they_are_numbers, versions);
}
