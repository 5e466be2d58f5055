/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "../../lib/core/stream.h"
#include "../support/support.h"

#define LIMIT 40

/* What came out, as a text: "<OBJECT>" "LEFT OUT:HEAD" … "| END: REST". */
struct record {
	struct sv_buf text;
	const char *stop_at; /* the sink returns -ECANCELED for it; NULL: for none */
};

static int on_object(void *arg, const char *text, size_t len)
{
	struct record *rec = arg;

	sv_buf_printf(&rec->text, "<%.*s>", (int)len, text);
	return rec->stop_at && strlen(rec->stop_at) == len && !memcmp(text, rec->stop_at, len) ?
		       -ECANCELED :
		       0;
}

static void on_too_large(void *arg, const char *head, size_t len)
{
	sv_buf_printf(&((struct record *)arg)->text, "LEFT OUT:%.*s;", (int)len, head);
}

static const struct sv_stream_sink sink = { on_object, on_too_large };

/* In memory of just that size, so that a byte too many is seen. */
static int feed_exactly(struct sv_stream *s, const char *ptr, size_t len)
{
	sv_autofree char *piece = malloc(len ? len : 1);

	ck_assert_ptr_nonnull(piece);
	memcpy(piece, ptr, len);
	return sv_stream_feed(s, piece, len);
}

static const char *name_of(int r)
{
	switch (r) {
	case 0:
		return "end";
	case SV_STREAM_E_SYNTAX:
		return "syntax";
	case SV_STREAM_E_LIMIT:
		return "limit";
	case SV_STREAM_E_CUT:
		return "cut";
	case -ECANCELED:
		return "canceled";
	default:
		return "?";
	}
}

/* The text in three pieces, or (at2 = 0) in many: of a byte, if it is not long. */
static char *run(enum sv_stream_mode mode, size_t limit, const char *text, size_t at, size_t at2,
		 const char *stop_at)
{
	sv_autostream struct sv_stream s = { 0 };
	struct record rec = { .stop_at = stop_at };
	size_t len = strlen(text), rest_len = 4711, i, n;
	const char *rest = "untouched";
	int fed = 0, r;

	sv_stream_init(&s, mode, limit, &sink, &rec);
	if (at2 > 0) {
		fed = feed_exactly(&s, text, at);
		if (fed == 0)
			fed = feed_exactly(&s, text + at, at2 - at);
		if (fed == 0)
			fed = feed_exactly(&s, text + at2, len - at2);
	} else {
		for (i = 0; i < len && fed == 0; i += n) {
			n = len < 100000 ? 1 : len - i < 1021 ? len - i : 1021;
			fed = feed_exactly(&s, text + i, n);
		}
	}
	if (fed) { /* and it stays with that */
		ck_assert_int_eq(sv_stream_feed(&s, " ", 1), fed);
		ck_assert_int_eq(sv_stream_end(&s, &rest, &rest_len), fed);
	}
	r = sv_stream_end(&s, &rest, &rest_len);
	sv_buf_printf(&rec.text, "| %s", name_of(r));
	if (r == 0)
		sv_buf_printf(&rec.text, ": %.*s", (int)rest_len, rest);
	else
		ck_assert_str_eq(rest, "untouched");
	return sv_buf_take(&rec.text);
}

static void check_every_split(enum sv_stream_mode mode, size_t limit, const char *text,
			      const char *stop_at, const char *want)
{
	size_t len = strlen(text), i, j;

	for (i = 0; i <= len; i++)
		for (j = i; j <= len; j += len > 100 ? 37 : 1) {
			sv_autofree char *got = run(mode, limit, text, i, j, stop_at);

			ck_assert_msg(strcmp(got, want) == 0, "%s in pieces at %zu, %zu: %s", text,
				      i, j, got);
		}
}

static const struct {
	const char *text;
	const char *want;
} watches[] = {
	{ "", "| end: " },
	{ " \n", "| end: " },
	{ "{}", "<{}>| end: " },
	{ "{\"a\":1}\n{\"b\":[{}]}\n", "<{\"a\":1}><{\"b\":[{}]}>| end: " },
	{ "{}{} \t\r\n {}", "<{}><{}><{}>| end: " },
	{ "{\n \"a\" : {\n }\n}\n", "<{\n \"a\" : {\n }\n}>| end: " },

	/* brackets, quotes and backslashes in strings */
	{ "{\"}\":\"{[\"}{}", "<{\"}\":\"{[\"}><{}>| end: " },
	{ "{\"\\\"}\":1}{}", "<{\"\\\"}\":1}><{}>| end: " },
	{ "{\"a\\\\\":1}{}", "<{\"a\\\\\":1}><{}>| end: " },
	{ "{\"a\\\\\\\"}\":1}{}", "<{\"a\\\\\\\"}\":1}><{}>| end: " },
	{ "{\"\\u0022\":\"\\\\\"}{}", "<{\"\\u0022\":\"\\\\\"}><{}>| end: " },
	{ "{\"a\":\"\\\"\\\"\\\\\\\"\"}", "<{\"a\":\"\\\"\\\"\\\\\\\"\"}>| end: " },

	/* other texts than objects */
	{ "[]", "| syntax" },
	{ "null", "| syntax" },
	{ "{}x", "<{}>| syntax" },
	{ "{},{}", "<{}>| syntax" },
	{ "}", "| syntax" },
	{ "<html>", "| syntax" },
	{ "\xef\xbb\xbf{}", "| syntax" },
	{ "{\"a\":[}", "| syntax" },
	{ "{\"a\":[1}]", "| syntax" },
	{ "{]", "| syntax" },

	/* whoever parses the object refuses this */
	{ "{a b, \x01}", "<{a b, \x01}>| end: " },

	/* cut */
	{ "{", "| cut" },
	{ "{}{\"a\":", "<{}>| cut" },
	{ "{\"a", "| cut" },
	{ "{\"a\\", "| cut" },
	{ "{\"a\\\"}", "| cut" },
	{ "{\"a\":{}", "| cut" },

	/* over the limit of 40 bytes */
	{ "{\"a\":\"23456789012345678901234567890123\"}",
	  "<{\"a\":\"23456789012345678901234567890123\"}>| end: " },
	{ "{\"a\":\"234567890123456789012345678901234\"}{}",
	  "LEFT OUT:{\"a\":\"234567890123456789012345678901234\"};<{}>| end: " },
	{ "{\"a\":\"{2345678901234567890123456789\\\"}{}012345\"}{}{}",
	  "LEFT OUT:{\"a\":\"{2345678901234567890123456789\\\"}{}012345\"};<{}><{}>| end: " },
	{ "{}{\"a\":\"2345678901234567890123456789012345\"", "<{}>| cut" },
	{ "{}{\"a\":\"23456789012345678901234567890123456789\"]", "<{}>| syntax" },
};

START_TEST(a_watch_is_one_object_after_the_other_however_it_is_cut)
{
	sv_autofree char *bytes = run(SV_STREAM_WATCH, LIMIT, watches[_i].text, 0, 0, NULL);

	ck_assert_str_eq(bytes, watches[_i].want);
	check_every_split(SV_STREAM_WATCH, LIMIT, watches[_i].text, NULL, watches[_i].want);
}
END_TEST

static const struct {
	const char *text;
	const char *want;
} lists[] = {
	{ "{\"items\":[]}", "| end: {\"items\":[]}" },
	{ "{\"items\":[{}]}", "<{}>| end: {\"items\":[]}" },
	{ "{\"items\":[{\"a\":[1]},{\"b\":{}}]}",
	  "<{\"a\":[1]}><{\"b\":{}}>| end: {\"items\":[]}" },
	{ " {\n\"items\" :\n[ {} ,\n {} ] }\n", "<{}><{}>| end: {\n\"items\" :\n[] }" },
	{ "{\"kind\":\"L\",\"metadata\":{\"continue\":\"c]}\"},\"items\":[{\"a\":\"]}\"}]}\n",
	  "<{\"a\":\"]}\"}>| end: {\"kind\":\"L\",\"metadata\":{\"continue\":\"c]}\"},\"items\":[]}" },
	{ "{\"items\":[{}],\"metadata\":{\"resourceVersion\":\"1\"}}",
	  "<{}>| end: {\"items\":[],\"metadata\":{\"resourceVersion\":\"1\"}}" },

	/* none */
	{ "{}", "| end: {}" },
	{ "{ }", "| end: { }" },
	{ "{\"items\":null}", "| end: {\"items\":null}" },
	{ "{\"a\":1,\"b\":[],\"c\":true , \"d\" : -1.5e+3 }",
	  "| end: {\"a\":1,\"b\":[],\"c\":true , \"d\" : -1.5e+3 }" },

	/* only the member of the outer object counts */
	{ "{\"a\":{\"items\":[{\"x\":1}]}}", "| end: {\"a\":{\"items\":[{\"x\":1}]}}" },
	{ "{\"a\":\"items\",\"b\":[{}]}", "| end: {\"a\":\"items\",\"b\":[{}]}" },
	{ "{\"items\":[{\"items\":[{}]}]}", "<{\"items\":[{}]}>| end: {\"items\":[]}" },
	{ "{\"item\":[{}]}", "| end: {\"item\":[{}]}" },
	{ "{\"itemss\":[{}]}", "| end: {\"itemss\":[{}]}" },
	{ "{\"itemsitems\":[{}]}", "| end: {\"itemsitems\":[{}]}" },
	{ "{\"xitems\":[{}]}", "| end: {\"xitems\":[{}]}" },
	{ "{\"Items\":[{}]}", "| end: {\"Items\":[{}]}" },
	{ "{\"\":[{}]}", "| end: {\"\":[{}]}" },

	/* it could be missed, or there twice */
	{ "{\"\\u0069tems\":[{}]}", "| syntax" },
	{ "{\"items\":[{}],\"items\":[{}]}", "<{}>| syntax" },
	{ "{\"items\":null,\"items\":[{}]}", "| syntax" },

	/* of another form */
	{ "", "| cut" },
	{ " \n", "| cut" },
	{ "[]", "| syntax" },
	{ "null", "| syntax" },
	{ "\"items\"", "| syntax" },
	{ "404 page not found", "| syntax" },
	{ "{\"items\":{}}", "| syntax" },
	{ "{\"items\":\"x\"}", "| syntax" },
	{ "{\"items\":1}", "| syntax" },
	{ "{\"items\":true}", "| syntax" },
	{ "{\"items\":[1]}", "| syntax" },
	{ "{\"items\":[null]}", "| syntax" },
	{ "{\"items\":[[]]}", "| syntax" },
	{ "{\"items\":[\"x\"]}", "| syntax" },
	{ "{\"items\":[{},1]}", "<{}>| syntax" },
	{ "{\"items\":[,{}]}", "| syntax" },
	{ "{\"items\":[{},]}", "<{}>| syntax" },
	{ "{\"items\":[{},,{}]}", "<{}>| syntax" },
	{ "{\"items\":[{}{}]}", "<{}>| syntax" },
	{ "{\"items\":[{}}", "<{}>| syntax" },
	{ "{\"items\":[]]", "| syntax" },
	{ "{\"items\":[],}", "| syntax" },
	{ "{\"items\" []}", "| syntax" },
	{ "{\"items\":[]} {}", "| syntax" },
	{ "{\"items\":[]}x", "| syntax" },
	{ "{,}", "| syntax" },
	{ "{a:1}", "| syntax" },
	{ "{\"a\"}", "| syntax" },
	{ "{\"a\":}", "| syntax" },
	{ "{\"a\":,}", "| syntax" },
	{ "{\"a\":1 \"b\":2}", "| syntax" },
	{ "{\"a\":1:2}", "| syntax" },
	{ "{\"a\":[1,{]}", "| syntax" },

	/* cut */
	{ "{", "| cut" },
	{ "{\"it", "| cut" },
	{ "{\"items\"", "| cut" },
	{ "{\"items\":", "| cut" },
	{ "{\"items\":n", "| cut" },
	{ "{\"items\":[", "| cut" },
	{ "{\"items\":[{", "| cut" },
	{ "{\"items\":[{}", "<{}>| cut" },
	{ "{\"items\":[{},", "<{}>| cut" },
	{ "{\"items\":[{}]", "<{}>| cut" },
	{ "{\"items\":[],\"metadata\":{\"a\":\"", "| cut" },

	/* over the limit of 40 bytes */
	{ "{\"items\":[{},{\"a\":\"[2345678901234567890123456789012345\"},{\"b\":1}]}",
	  "<{}>LEFT OUT:{\"a\":\"[2345678901234567890123456789012345\"};<{\"b\":1}>"
	  "| end: {\"items\":[]}" },
};

START_TEST(a_list_is_its_items_however_it_is_cut)
{
	sv_autofree char *bytes = run(SV_STREAM_LIST, LIMIT, lists[_i].text, 0, 0, NULL);

	ck_assert_str_eq(bytes, lists[_i].want);
	check_every_split(SV_STREAM_LIST, LIMIT, lists[_i].text, NULL, lists[_i].want);
}
END_TEST

START_TEST(the_sink_can_end_the_feeding)
{
	check_every_split(SV_STREAM_WATCH, LIMIT, "{\"a\":1}{\"b\":2}{\"c\":3}x", "{\"b\":2}",
			  "<{\"a\":1}><{\"b\":2}>| canceled");
	check_every_split(SV_STREAM_LIST, LIMIT, "{\"items\":[{\"a\":1},{\"b\":2},{\"c\":3}]}",
			  "{\"a\":1}", "<{\"a\":1}>| canceled");
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

static char *nested(const char *start, unsigned n, const char *end)
{
	sv_autobuf struct sv_buf b = { 0 };
	unsigned i;

	sv_buf_puts(&b, start);
	for (i = 0; i < n; i++)
		sv_buf_puts(&b, "[");
	for (i = 0; i < n; i++)
		sv_buf_puts(&b, "]");
	sv_buf_puts(&b, end);
	return sv_buf_take(&b);
}

static const struct {
	const char *start, *end;
	enum sv_stream_mode mode;
	unsigned depth; /* what may stand between them */
} deep[] = {
	{ "{\"a\":", "}", SV_STREAM_WATCH, SV_TREE_DEPTH_MAX - 1 },
	{ "{\"items\":[{\"a\":", "}]}", SV_STREAM_LIST, SV_TREE_DEPTH_MAX - 1 },
	{ "{\"a\":", "}", SV_STREAM_LIST, SV_TREE_DEPTH_MAX },
};

START_TEST(nesting_has_a_limit)
{
	sv_autofree char *fits = nested(deep[_i].start, deep[_i].depth, deep[_i].end);
	sv_autofree char *exceeds = nested(deep[_i].start, deep[_i].depth + 1, deep[_i].end);
	sv_autofree char *got = run(deep[_i].mode, 1000, fits, 0, 0, NULL);

	ck_assert_ptr_nonnull(strstr(got, "| end"));
	check_every_split(deep[_i].mode, 1000, exceeds, NULL, "| limit");
}
END_TEST

/* The head of what is left out, and the memory for it, however long the object is. */
START_TEST(an_object_over_the_limit_is_not_kept)
{
	static const char piece[] = "0123456789";
	sv_autostream struct sv_stream s = { 0 };
	struct record rec = { 0 };
	sv_autobuf struct sv_buf want = { 0 };
	size_t i, limit = 20000;

	sv_buf_puts(&want, "LEFT OUT:{\"");
	while (want.len < strlen("LEFT OUT:") + SV_STREAM_HEAD_MAX)
		sv_buf_add(&want, &piece[(want.len - strlen("LEFT OUT:{\"")) % 10], 1);
	sv_buf_puts(&want, ";<{}>");

	sv_stream_init(&s, SV_STREAM_WATCH, limit, &sink, &rec);
	ck_assert_int_eq(sv_stream_feed(&s, "{\"", 2), 0);
	for (i = 0; i < 100000; i++) {
		ck_assert_int_eq(sv_stream_feed(&s, piece, 10), 0);
		ck_assert_uint_le(s.object.cap,
				  i < limit / 10 ? 2 * limit : 2 * SV_STREAM_HEAD_MAX);
	}
	ck_assert_ptr_null(rec.text.ptr);
	ck_assert_int_eq(sv_stream_feed(&s, "\"}{}", 4), 0);
	ck_assert_str_eq(rec.text.ptr, want.ptr);
	ck_assert_ptr_null(s.object.ptr);
	sv_buf_done(&rec.text);
}
END_TEST

START_TEST(the_head_is_the_same_from_one_piece)
{
	sv_autofree char *inner = t_repeat('x', 10000);
	sv_autofree char *text = sv_asprintf("{\"%s\"}", inner);
	sv_autofree char *one = run(SV_STREAM_WATCH, 5000, text, 0, strlen(text), NULL);
	sv_autofree char *bytes = run(SV_STREAM_WATCH, 5000, text, 0, 0, NULL);

	ck_assert_uint_eq(strlen(one), strlen("LEFT OUT:;| end: ") + SV_STREAM_HEAD_MAX);
	ck_assert_str_eq(one, bytes);
}
END_TEST

START_TEST(an_object_of_just_the_limit_is_handed_on)
{
	sv_autofree char *inner = t_repeat('x', SV_STREAM_HEAD_MAX);
	sv_autofree char *text = sv_asprintf("{\"%s\"}", inner);
	sv_autofree char *want = sv_asprintf("<%s>| end: ", text);
	sv_autofree char *one = run(SV_STREAM_WATCH, strlen(text), text, 0, strlen(text), NULL);
	sv_autofree char *bytes = run(SV_STREAM_WATCH, strlen(text), text, 0, 0, NULL);

	ck_assert_str_eq(one, want);
	ck_assert_str_eq(bytes, want);
}
END_TEST

START_TEST(too_large_objects_may_be_nobodys_business)
{
	struct sv_stream_sink quiet = { on_object, NULL };
	sv_autostream struct sv_stream s = { 0 };
	struct record rec = { 0 };

	sv_stream_init(&s, SV_STREAM_WATCH, 3, &quiet, &rec);
	ck_assert_int_eq(sv_stream_feed(&s, "{  }{ }{\"", 9), 0);
	ck_assert_int_eq(sv_stream_end(&s, NULL, NULL), SV_STREAM_E_CUT);
	ck_assert_str_eq(rec.text.ptr, "<{ }>");
	sv_buf_done(&rec.text);
}
END_TEST

START_TEST(the_rest_of_a_list_has_a_limit)
{
	static const char start[] = "{\"a\":\"", end[] = "\",\"items\":[{}]}";
	size_t room = SV_STREAM_REST_MAX - strlen(start) - strlen("\",\"items\":[]}");
	sv_autofree char *fits = t_repeat('x', room);
	sv_autofree char *exceeds = t_repeat('x', room + 1);
	sv_autofree char *text = sv_asprintf("%s%s%s", start, fits, end);
	sv_autofree char *long_text = sv_asprintf("%s%s%s", start, exceeds, end);
	sv_autofree char *got = run(SV_STREAM_LIST, LIMIT, text, 0, 1, NULL);
	sv_autofree char *over = run(SV_STREAM_LIST, LIMIT, long_text, 0, 1, NULL);
	sv_autofree char *over_bytes = run(SV_STREAM_LIST, LIMIT, long_text, 0, 0, NULL);

	ck_assert_ptr_nonnull(strstr(got, "| end"));
	ck_assert_str_eq(over, "<{}>| limit");
	ck_assert_str_eq(over_bytes, "<{}>| limit");
}
END_TEST

/* A fault behind the limit does not hide it: that would depend on the pieces. */
START_TEST(a_limit_that_was_passed_counts_before_a_later_fault)
{
	sv_autofree char *fill = t_repeat('x', SV_STREAM_REST_MAX);
	sv_autofree char *text = sv_asprintf("{\"a\":\"%s\",}", fill);
	sv_autofree char *one = run(SV_STREAM_LIST, LIMIT, text, 0, 1, NULL);
	sv_autofree char *bytes = run(SV_STREAM_LIST, LIMIT, text, 0, 0, NULL);

	ck_assert_str_eq(one, "| limit");
	ck_assert_str_eq(bytes, "| limit");
}
END_TEST

/* An object that is in one piece is handed on from there; what is split is held no longer than needed. */
START_TEST(nothing_is_held_between_objects)
{
	sv_autostream struct sv_stream s = { 0 };
	struct record rec = { 0 };

	sv_stream_init(&s, SV_STREAM_WATCH, LIMIT, &sink, &rec);
	ck_assert_int_eq(sv_stream_feed(&s, "{\"a\":1}", 7), 0);
	ck_assert_ptr_null(s.object.ptr);
	ck_assert_int_eq(sv_stream_feed(&s, "{\"b\"", 4), 0);
	ck_assert_str_eq(s.object.ptr, "{\"b\"");
	ck_assert_int_eq(sv_stream_feed(&s, ":1}\n", 4), 0);
	ck_assert_ptr_null(s.object.ptr);
	ck_assert_str_eq(rec.text.ptr, "<{\"a\":1}><{\"b\":1}>");
	sv_buf_done(&rec.text);
}
END_TEST

T_SUITE(stream)
{
	T_EACH(a_watch_is_one_object_after_the_other_however_it_is_cut, watches);
	T_EACH(a_list_is_its_items_however_it_is_cut, lists);
	T_TEST(the_sink_can_end_the_feeding);
	T_EACH(nesting_has_a_limit, deep);
	T_TEST(an_object_over_the_limit_is_not_kept);
	T_TEST(the_head_is_the_same_from_one_piece);
	T_TEST(an_object_of_just_the_limit_is_handed_on);
	T_TEST(too_large_objects_may_be_nobodys_business);
	T_TEST(the_rest_of_a_list_has_a_limit);
	T_TEST(a_limit_that_was_passed_counts_before_a_later_fault);
	T_TEST(nothing_is_held_between_objects);
}
