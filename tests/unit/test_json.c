/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/json.h"
#include "../support/support.h"

/* What Go's decoder says (R27). */
static const struct {
	const char *text;
	const char *says; /* behind "line N: "; NULL: in order */
	const char *want; /* the tree, if it differs from the text */
} texts[] = {
	{ "{}", NULL, NULL },
	{ "[]", NULL, NULL },
	{ "null", NULL, NULL },
	{ "true", NULL, NULL },
	{ "false", NULL, NULL },
	{ "0", NULL, NULL },
	{ "-0", NULL, "0" },
	{ "123", NULL, NULL },
	{ "\"x\"", NULL, NULL },
	{ " \t\r\n{ \"a\" : [ 1 , -2 ] } \n", NULL, "{\"a\":[1,-2]}" },
	{ "{\"a\":{\"b\":[{\"c\":null}]}}", NULL, NULL },
	{ "{\"a\":1,\"b\":2,\"a\":3}", NULL, "{\"a\":3,\"b\":2}" },
	{ "{\"\":1}", NULL, NULL },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", NULL, "\"\\\"\\\\/\\b\\f\\n\\r\\té\"" },
	{ "\"\\u0000\"", NULL, NULL },
	{ "\"\\ud83d\\ude00\"", NULL, "\"😀\"" },
	{ "\"é\x7f\"", NULL, NULL },
	{ "\"<!-- // # -->\"", NULL, NULL },

	/* numbers */
	{ "0400", "invalid character '4' after top-level value", NULL },
	{ "{\"mode\":0400}", "invalid character '4' after object key:value pair", NULL },
	{ "[0400]", "invalid character '4' after array element", NULL },
	{ "[-]", "invalid character ']' in numeric literal", NULL },
	{ "[-a]", "invalid character 'a' in numeric literal", NULL },
	{ "[+1]", "invalid character '+' looking for beginning of value", NULL },
	{ "[.5]", "invalid character '.' looking for beginning of value", NULL },
	{ "[1.]", "invalid character ']' after decimal point in numeric literal", NULL },
	{ "[1e]", "invalid character ']' in exponent of numeric literal", NULL },
	{ "[1e+]", "invalid character ']' in exponent of numeric literal", NULL },
	{ "[0x10]", "invalid character 'x' after array element", NULL },
	{ "[1_0]", "invalid character '_' after array element", NULL },
	{ "[NaN]", "invalid character 'N' looking for beginning of value", NULL },
	{ "[nan]", "invalid character 'a' in literal null (expecting 'u')", NULL },
	{ "[Infinity]", "invalid character 'I' looking for beginning of value", NULL },
	{ "[-Infinity]", "invalid character 'I' in numeric literal", NULL },

	/* commas, quotes, comments */
	{ "{\"a\":1,}", "invalid character '}' looking for beginning of object key string", NULL },
	{ "[1,]", "invalid character ']' looking for beginning of value", NULL },
	{ "[,1]", "invalid character ',' looking for beginning of value", NULL },
	{ "[1 2]", "invalid character '2' after array element", NULL },
	{ "{\"a\" 1}", "invalid character '1' after object key", NULL },
	{ "{\"a\":1 \"b\":2}", "invalid character '\"' after object key:value pair", NULL },
	{ "{a:1}", "invalid character 'a' looking for beginning of object key string", NULL },
	{ "{'a':1}", "invalid character '\\'' looking for beginning of object key string", NULL },
	{ "['a']", "invalid character '\\'' looking for beginning of value", NULL },
	{ "{1:1}", "invalid character '1' looking for beginning of object key string", NULL },
	{ "{,}", "invalid character ',' looking for beginning of object key string", NULL },
	{ "[1] // x", "invalid character '/' after top-level value", NULL },
	{ "/* x */ 1", "invalid character '/' looking for beginning of value", NULL },
	{ "[1, # x\n2]", "invalid character '#' looking for beginning of value", NULL },
	{ "[1}", "invalid character '}' after array element", NULL },
	{ "{\"a\":1]", "invalid character ']' after object key:value pair", NULL },
	{ "}", "invalid character '}' looking for beginning of value", NULL },
	{ "\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value", NULL },
	{ "[1\\]", "invalid character '\\\\' after array element", NULL },
	{ "[1\x90]", "invalid character '\\u0090' after array element", NULL },

	/* literals */
	{ "tru", "unexpected end of JSON input", NULL },
	{ "trux", "invalid character 'x' in literal true (expecting 'e')", NULL },
	{ "[nul]", "invalid character ']' in literal null (expecting 'l')", NULL },
	{ "True", "invalid character 'T' looking for beginning of value", NULL },
	{ "fals3", "invalid character '3' in literal false (expecting 'e')", NULL },
	{ "nullnull", "invalid character 'n' after top-level value", NULL },

	/* strings */
	{ "\"a\nb\"", "invalid character '\\n' in string literal", NULL },
	{ "\"a\tb\"", "invalid character '\\t' in string literal", NULL },
	{ "\"a\rb\"", "invalid character '\\r' in string literal", NULL },
	{ "\"a\x01\"", "invalid character '\\x01' in string literal", NULL },
	{ "\"a\x1f\"", "invalid character '\\x1f' in string literal", NULL },
	{ "\"\\x41\"", "invalid character 'x' in string escape code", NULL },
	{ "\"\\'\"", "invalid character '\\'' in string escape code", NULL },
	{ "\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape", NULL },
	{ "\"\\u12\"", "invalid character '\"' in \\u hexadecimal character escape", NULL },
	{ "{\"a\\u0000b\":1}", "an object key holds a NUL character", NULL },
	{ "\"\xff\"", "invalid UTF-8 in string literal", NULL },
	{ "\"\xc3\"", "invalid UTF-8 in string literal", NULL },
	{ "\"\xed\xa0\x80\"", "invalid UTF-8 in string literal", NULL },

	/* cut short, or too much */
	{ "", "unexpected end of JSON input", NULL },
	{ "  ", "unexpected end of JSON input", NULL },
	{ "{", "unexpected end of JSON input", NULL },
	{ "{\"a", "unexpected end of JSON input", NULL },
	{ "{\"a\"", "unexpected end of JSON input", NULL },
	{ "{\"a\":", "unexpected end of JSON input", NULL },
	{ "{\"a\":1", "unexpected end of JSON input", NULL },
	{ "{\"a\":1,", "unexpected end of JSON input", NULL },
	{ "[1", "unexpected end of JSON input", NULL },
	{ "\"\\", "unexpected end of JSON input", NULL },
	{ "\"\\u00", "unexpected end of JSON input", NULL },
	{ "-", "unexpected end of JSON input", NULL },
	{ "1.", "unexpected end of JSON input", NULL },
	{ "{} {}", "invalid character '{' after top-level value", NULL },
	{ "1 2", "invalid character '2' after top-level value", NULL },
	{ "apiVersion: v1", "invalid character 'a' looking for beginning of value", NULL },
};

START_TEST(json_is_as_strict_as_gos)
{
	const char *text = texts[_i].text;
	sv_autofree char *exact = malloc(strlen(text) ? strlen(text) : 1); /* not terminated */
	t_autotree struct json_object *tree = NULL;
	struct sv_err err = { "" };
	unsigned line = 0;
	int r;

	memcpy(exact, text, strlen(text));
	r = sv_json_parse(exact, strlen(text), &tree, &err, &line);
	if (texts[_i].says) {
		ck_assert_int_eq(r, SV_TREE_E_SYNTAX);
		ck_assert_ptr_null(tree); /* written on 0 only */
		ck_assert_uint_ge(line, 1);
		t_contains(err.msg, "line ");
		ck_assert_str_eq(strchr(err.msg, ':') + 2, texts[_i].says);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.msg);
	ck_assert_str_eq(t_json(tree), texts[_i].want ? texts[_i].want : text);
}
END_TEST

/* A fraction or an exponent makes a number a float, whatever its value (R27). */
static const struct {
	const char *text;
	json_type type;
} numbers[] = {
	{ "256", json_type_int },
	{ "-256", json_type_int },
	{ "256.0", json_type_double },
	{ "2.56e2", json_type_double },
	{ "256e0", json_type_double },
	{ "1E2", json_type_double },
	{ "1e999", json_type_double },
	{ "9223372036854775807", json_type_int },
	{ "18446744073709551615", json_type_int },
	{ "99999999999999999999999999", json_type_int },
	{ "-99999999999999999999999999", json_type_int },
};

START_TEST(numbers_are_integers_or_floats)
{
	t_autotree struct json_object *tree = NULL;

	ck_assert_int_eq(
		sv_json_parse(numbers[_i].text, strlen(numbers[_i].text), &tree, NULL, NULL), 0);
	ck_assert_int_eq(json_object_get_type(tree), numbers[_i].type);
}
END_TEST

START_TEST(huge_integers_are_not_mistaken_for_small_ones)
{
	const char *text = "[9223372036854775808, 99999999999999999999, -99999999999999999999]";
	t_autotree struct json_object *tree = NULL;

	ck_assert_int_eq(sv_json_parse(text, strlen(text), &tree, NULL, NULL), 0);
	ck_assert_uint_eq(json_object_get_uint64(json_object_array_get_idx(tree, 0)),
			  9223372036854775808ULL);
	ck_assert_uint_eq(json_object_get_uint64(json_object_array_get_idx(tree, 1)), UINT64_MAX);
	ck_assert_int_eq(json_object_get_int64(json_object_array_get_idx(tree, 2)), INT64_MIN);
}
END_TEST

static int parse_nested(size_t depth, const char *inner, const char *start, const char *end)
{
	sv_autobuf struct sv_buf b = { 0 };
	t_autotree struct json_object *tree = NULL;
	size_t i;

	for (i = 0; i < depth; i++)
		sv_buf_puts(&b, start);
	sv_buf_puts(&b, inner);
	for (i = 0; i < depth; i++)
		sv_buf_puts(&b, end);
	return sv_json_parse(b.ptr, b.len, &tree, NULL, NULL);
}

START_TEST(nesting_has_a_limit)
{
	ck_assert_int_eq(parse_nested(SV_TREE_DEPTH_MAX, "", "[", "]"), 0);
	ck_assert_int_eq(parse_nested(SV_TREE_DEPTH_MAX - 1, "1", "[", "]"), 0);
	ck_assert_int_eq(parse_nested(SV_TREE_DEPTH_MAX, "1", "[", "]"), SV_TREE_E_LIMIT);
	ck_assert_int_eq(parse_nested(SV_TREE_DEPTH_MAX + 1, "", "[", "]"), SV_TREE_E_LIMIT);
	ck_assert_int_eq(parse_nested(SV_TREE_DEPTH_MAX - 1, "{}", "{\"a\":", "}"), 0);
	ck_assert_int_eq(parse_nested(SV_TREE_DEPTH_MAX, "{}", "{\"a\":", "}"), SV_TREE_E_LIMIT);
	ck_assert_int_eq(parse_nested(1000000, "", "[", "]"), SV_TREE_E_LIMIT);
}
END_TEST

static const int over[] = { 0, 1 };

START_TEST(nodes_have_a_limit)
{
	sv_autobuf struct sv_buf b = { 0 };
	t_autotree struct json_object *tree = NULL;
	int i;

	sv_buf_puts(&b, "[1");
	for (i = 1; i < SV_TREE_NODES_MAX - 1; i++) /* the list is one */
		sv_buf_puts(&b, ",1");
	sv_buf_puts(&b, over[_i] ? ",1]" : "]");
	ck_assert_int_eq(sv_json_parse(b.ptr, b.len, &tree, NULL, NULL),
			 over[_i] ? SV_TREE_E_LIMIT : 0);
}
END_TEST

static const struct {
	const char *text;
	unsigned line;
} lines[] = {
	{ "{\n\"a\": 0400\n}", 2 },
	{ "x", 1 },
	{ "\n\n\n", 4 },
	{ "{\n \"a\":\n  [\n   1,\n  ]}", 5 },
	{ "{}\n\n{}", 3 },
};

START_TEST(the_line_of_a_fault_is_told)
{
	struct json_object *tree = NULL;
	sv_autofree char *start = sv_asprintf("line %u: ", lines[_i].line);
	struct sv_err err = { "" };
	unsigned line = 0;

	ck_assert_int_eq(sv_json_parse(lines[_i].text, strlen(lines[_i].text), &tree, &err, &line),
			 SV_TREE_E_SYNTAX);
	ck_assert_uint_eq(line, lines[_i].line);
	ck_assert_mem_eq(err.msg, start, strlen(start));
}
END_TEST

static const struct {
	const char *text;
	const char *want; /* "LINE:TREE" of each document, blanks between; NULL: refused */
} streams[] = {
	{ "", "" },
	{ "\n \n", "" },
	{ "{}", "1:{}" },
	{ "{}{}", "1:{} 1:{}" },
	{ "{}\n{\"a\":1}\n\n[]", "1:{} 2:{\"a\":1} 4:[]" },
	{ "1 2", "1:1 1:2" },
	{ "\"a\" null", "1:\"a\" 1:null" },
	{ "{},{}", NULL },
	{ "{}x", NULL },
	{ "{} x", NULL },
	{ "{}\n---\n{}", NULL },
	{ "{} {", NULL },
};

START_TEST(a_stream_holds_values_one_after_another)
{
	struct sv_trees trees = { NULL, 0 };
	sv_autobuf struct sv_buf b = { 0 };
	const char *text = streams[_i].text;
	size_t i;
	int r = sv_json_parse_all(text, strlen(text), &trees, NULL, NULL);

	if (!streams[_i].want) {
		ck_assert_int_eq(r, SV_TREE_E_SYNTAX);
		ck_assert_ptr_null(trees.items);
		return;
	}
	ck_assert_int_eq(r, 0);
	sv_buf_puts(&b, "");
	for (i = 0; i < trees.n; i++)
		sv_buf_printf(&b, "%s%u:%s", i ? " " : "", trees.items[i].line,
			      t_json(trees.items[i].root));
	ck_assert_str_eq(b.ptr, streams[_i].want);
	sv_trees_done(&trees);
}
END_TEST

START_TEST(a_stream_has_a_limit)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_trees trees = { NULL, 0 };
	int i;

	for (i = 0; i <= SV_TREE_DOCUMENTS_MAX; i++)
		sv_buf_puts(&b, "{}");
	ck_assert_int_eq(sv_json_parse_all(b.ptr, b.len, &trees, NULL, NULL), SV_TREE_E_LIMIT);
	ck_assert_int_eq(sv_json_parse_all(b.ptr, b.len - 2, &trees, NULL, NULL), 0);
	sv_trees_done(&trees);
}
END_TEST

START_TEST(nul_bytes_are_refused)
{
	struct sv_trees trees = { NULL, 0 };
	struct json_object *tree = NULL;

	ck_assert_int_eq(sv_json_parse("{}\0", 3, &tree, NULL, NULL), SV_TREE_E_SYNTAX);
	ck_assert_int_eq(sv_json_parse("\"a\0\"", 4, &tree, NULL, NULL), SV_TREE_E_SYNTAX);
	ck_assert_int_eq(sv_json_parse_all("{}\0{}", 5, &trees, NULL, NULL), SV_TREE_E_SYNTAX);
}
END_TEST

T_SUITE(json)
{
	T_EACH(json_is_as_strict_as_gos, texts);
	T_EACH(numbers_are_integers_or_floats, numbers);
	T_TEST(huge_integers_are_not_mistaken_for_small_ones);
	T_TEST(nesting_has_a_limit);
	T_EACH(nodes_have_a_limit, over);
	T_EACH(the_line_of_a_fault_is_told, lines);
	T_EACH(a_stream_holds_values_one_after_another, streams);
	T_TEST(a_stream_has_a_limit);
	T_TEST(nul_bytes_are_refused);
}
