/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/yaml.h"
#include "../support/support.h"

/* ---- scalars (R28) ------------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *value; /* as JSON */
	const char *key;   /* the same text as a map's key; NULL: refused */
} scalars[] = {
	/* octal, hexadecimal, binary, signs, underscores */
	{ "0400", "256", "256" },
	{ "0o400", "256", "256" },
	{ "0x1A4", "420", "420" },
	{ "0X1a4", "420", "420" },
	{ "0b101", "5", "5" },
	{ "+256", "256", "256" },
	{ "-1", "-1", "-1" },
	{ "2_56", "256", "256" },
	{ "0_400", "256", "256" },
	{ "400", "400", "400" },
	{ "0o7", "7", "7" },
	{ "0", "0", "0" },
	{ "-0", "0", "0" },
	{ "-0x10", "-16", "-16" },
	{ "-0b11", "-3", "-3" },
	/* not octal: a decimal number with a zero in front */
	{ "0800", "800", "800" },
	{ "09", "9", "9" },
	/* floats; integral ones are integers */
	{ "256.0", "256", "256" },
	{ "1.0", "1", "1" },
	{ "256.5", "256.5", "256.5" },
	{ "1e3", "1000", "1000" },
	{ "2.56e2", "256", "256" },
	{ "10.0", "10", "10" },
	{ "100.0", "100", "100" },
	{ "123456.0", "123456", "123456" },
	{ "1000000.0", "1000000", "1e+06" },
	{ "1234567.0", "1234567", "1.234567e+06" },
	{ "0.001", "0.001", "0.001" },
	{ "0.0000152587890625", "1.52587890625e-05", "1.5258789e-05" },
	{ "-2.50", "-2.5", "-2.5" },
	{ "1_000.5", "1000.5", "1000.5" },
	{ ".5", "0.5", "0.5" },
	{ "+.5", "0.5", "0.5" },
	{ "5.", "5", "5" },
	{ "1e22", "1e+22", "1e+22" },
	/* as large as they come */
	{ "9223372036854775807", "9223372036854775807", "9223372036854775807" },
	{ "-9223372036854775808", "-9223372036854775808", "-9223372036854775808" },
	{ "18446744073709551615", "18446744073709551615", "18446744073709551615" },
	{ "0xFFFFFFFFFFFFFFFF", "18446744073709551615", "18446744073709551615" },
	/* booleans, even as keys */
	{ "y", "true", "true" },
	{ "Y", "true", "true" },
	{ "yes", "true", "true" },
	{ "YES", "true", "true" },
	{ "on", "true", "true" },
	{ "On", "true", "true" },
	{ "true", "true", "true" },
	{ "True", "true", "true" },
	{ "n", "false", "false" },
	{ "N", "false", "false" },
	{ "no", "false", "false" },
	{ "off", "false", "false" },
	{ "False", "false", "false" },
	{ "FALSE", "false", "false" },
	{ "yEs", "\"yEs\"", "yEs" },
	{ "tRUE", "\"tRUE\"", "tRUE" },
	/* null */
	{ "NULL", "null", NULL },
	{ "null", "null", NULL },
	{ "Null", "null", NULL },
	{ "~", "null", NULL },
	{ "nULL", "\"nULL\"", "nULL" },
	/* quoted ones and those with a tag are strings */
	{ "\"0400\"", "\"0400\"", "0400" },
	{ "'0400'", "\"0400\"", "0400" },
	{ "\"y\"", "\"y\"", "y" },
	{ "'true'", "\"true\"", "true" },
	{ "\"\"", "\"\"", "" },
	{ "'~'", "\"~\"", "~" },
	{ "!!str 0400", "\"0400\"", "0400" },
	{ "! 0400", "\"0400\"", "0400" },
	{ "!!int \"0400\"", "256", "256" },
	{ "!!float 1", "1", "1" },
	{ "!!bool \"yes\"", "true", "true" },
	{ "!!binary Zm9v", "\"foo\"", NULL },
	/* nothing of the kind */
	{ "2001-01-01", "\"2001-01-01\"", "2001-01-01" },
	{ "2001-01-01T00:00:00Z", "\"2001-01-01T00:00:00Z\"", "2001-01-01T00:00:00Z" },
	{ "1:30", "\"1:30\"", "1:30" },
	{ "1.2.3", "\"1.2.3\"", "1.2.3" },
	{ "0x", "\"0x\"", "0x" },
	{ "0xg", "\"0xg\"", "0xg" },
	{ "0b2", "\"0b2\"", "0b2" },
	{ "1e", "\"1e\"", "1e" },
	{ "1e+", "\"1e+\"", "1e+" },
	{ "+", "\"+\"", "+" },
	{ ".", "\".\"", "." },
	{ "..", "\"..\"", ".." },
	{ "-.", "\"-.\"", "-." },
	{ "--1", "\"--1\"", "--1" },
	{ "127.0.0.1", "\"127.0.0.1\"", "127.0.0.1" },
	{ "1 2", "\"1 2\"", "1 2" },
	{ "my-app", "\"my-app\"", "my-app" },
	{ "username=x", "\"username=x\"", "username=x" },
	{ "é", "\"é\"", "é" },
};

START_TEST(a_plain_value_has_yaml_1_1_habits)
{
	sv_autofree char *text = sv_asprintf("a: %s", scalars[_i].text);
	sv_autofree char *want = sv_asprintf("{\"a\":%s}", scalars[_i].value);
	t_autotree struct json_object *tree = t_yaml(text);

	ck_assert_str_eq(t_json(tree), want);
}
END_TEST

START_TEST(so_has_a_plain_key)
{
	sv_autofree char *text = sv_asprintf("%s: v", scalars[_i].text);
	sv_autofree char *want = sv_asprintf("{\"%s\":\"v\"}", scalars[_i].key);
	struct sv_trees trees = { NULL, 0 };
	struct sv_err err = { "" };
	int r = sv_yaml_parse(text, strlen(text), &trees, &err, NULL);

	if (!scalars[_i].key && strncmp(scalars[_i].text, "!!binary", 8) != 0) {
		ck_assert_int_eq(r, SV_TREE_E_SYNTAX);
		ck_assert_str_eq(err.msg, "line 1: unsupported map key: null");
		return;
	}
	ck_assert_int_eq(r, 0);
	if (scalars[_i].key)
		ck_assert_str_eq(t_json(trees.items[0].root), want);
	sv_trees_done(&trees);
}
END_TEST

START_TEST(an_empty_value_is_null)
{
	t_autotree struct json_object *tree = t_yaml("{a: , b: ~, c: [~, ''], d: .inf}");
	struct json_object *d = NULL;

	ck_assert(json_object_object_get_ex(tree, "d", &d));
	ck_assert(json_object_is_type(d, json_type_double));
	json_object_object_del(tree, "d");
	ck_assert_str_eq(t_json(tree), "{\"a\":null,\"b\":null,\"c\":[null,\"\"]}");
}
END_TEST

/* ---- documents that are in order ------------------------------------------------------------ */

static const struct {
	const char *text, *want; /* want: one tree a line */
} documents[] = {
	{ "", "" },
	{ "\n# a comment\n", "" },
	{ "---\n", "null" },
	{ "---\n---\n", "null\nnull" },
	{ "a: 1\n---\nb: 2\n", "{\"a\":1}\n{\"b\":2}" },
	{ "---\na: 1\n...\n---\nb: 2\n...\n", "{\"a\":1}\n{\"b\":2}" },
	{ "%YAML 1.1\n%TAG ! tag:example.com,2000:\n---\na: !x 1\n", "{\"a\":\"1\"}" },
	{ "plain", "\"plain\"" },
	{ "- a\n- - b\n  - c\n- {d: [e]}\n", "[\"a\",[\"b\",\"c\"],{\"d\":[\"e\"]}]" },
	{ "a:\n- b\n", "{\"a\":[\"b\"]}" },
	/* block and folded scalars */
	{ "a: |\n  x\n   y\n\n  z\n", "{\"a\":\"x\\n y\\n\\nz\\n\"}" },
	{ "a: |-\n  x\n", "{\"a\":\"x\"}" },
	{ "a: |+\n  x\n\n", "{\"a\":\"x\\n\\n\"}" },
	{ "a: >\n  x\n  y\n\n  z\n", "{\"a\":\"x y\\nz\\n\"}" },
	{ "a: |\n  0400\n", "{\"a\":\"0400\\n\"}" },
	{ "a: \"x\\ty\\u00e9\\x41\\\n  z\"\n", "{\"a\":\"x\\tyéAz\"}" },
	{ "a: 'it''s'\n", "{\"a\":\"it's\"}" },
	{ "a: x\n  y\n", "{\"a\":\"x y\"}" },
	{ "a: \"\\0\"\n", "{\"a\":\"\\u0000\"}" },
	/* duplicate keys: the last wins */
	{ "a: 1\na: 2\n", "{\"a\":2}" },
	{ "{y: 1, true: 2, 'true': 3}", "{\"true\":3}" },
	{ "{1.0: a, 1: b}", "{\"1\":\"b\"}" },
	/* flow style with comments, as kubectl's KYAML is */
	{ "---\n{\n  apiVersion: \"v1\", # which\n  kind: \"Pod\",\n  # alone\n  metadata: {\n    "
	  "name: \"p\",\n    labels: {},\n  },\n  list: [{\n    a: 1,\n  }, {\n    b: "
	  "\"0400\",\n  }],\n}\n",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"labels\":{}},"
	  "\"list\":[{\"a\":1},{\"b\":\"0400\"}]}" },
	/* JSON is YAML, nearly */
	{ "{\"a\": [1, true, null, \"x\"]}", "{\"a\":[1,true,null,\"x\"]}" },
	/* anchors and aliases */
	{ "a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
	{ "a: &x 0400\nc: *x\n", "{\"a\":256,\"c\":256}" },
	{ "a: &x\nc: *x\n", "{\"a\":null,\"c\":null}" },
	{ "a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}" },
	{ "&k a: 1\nb: *k\n", "{\"a\":1,\"b\":\"a\"}" },
	{ "a: &k x\n*k : 1\n", "{\"a\":\"x\",\"x\":1}" },
	/* merge keys: what stands in the map itself wins, then the first of a list */
	{ "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n",
	  "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"q\":3,\"p\":1}}" },
	{ "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}\n",
	  "{\"a\":{\"p\":1},\"b\":{\"p\":2,\"q\":2},\"c\":{\"p\":1,\"q\":2}}" },
	{ "a: {<<: {p: 1}}\n", "{\"a\":{\"p\":1}}" },
	{ "a: {'<<': 1}\n", "{\"a\":{\"<<\":1}}" },
	/* a byte order mark, Windows line ends */
	{ "\xef\xbb\xbf"
	  "a: 1\n",
	  "{\"a\":1}" },
	{ "a: 1\r\nb: 2\r\n", "{\"a\":1,\"b\":2}" },
	{ "a:\t1\n", "{\"a\":1}" }, /* tabs separate, but do not indent */
};

START_TEST(documents_become_trees)
{
	const char *text = documents[_i].text;
	struct sv_trees trees = { NULL, 0 };
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	size_t i;

	ck_assert_msg(sv_yaml_parse(text, strlen(text), &trees, &err, NULL) == 0, "%s", err.msg);
	sv_buf_puts(&b, "");
	for (i = 0; i < trees.n; i++)
		sv_buf_printf(&b, "%s%s", i ? "\n" : "", t_json(trees.items[i].root));
	ck_assert_str_eq(b.ptr, documents[_i].want);
	sv_trees_done(&trees);
}
END_TEST

/* ---- texts that are not --------------------------------------------------------------------- */

static const struct {
	const char *text;
	unsigned line;
	const char *says;
} broken[] = {
	{ "a: [1, 2\n", 2, "" },
	{ "a: {b: 1\n", 2, "" },
	{ "a: \"x\n", 2, "unexpected end of stream" },
	{ "a: 'x\n\n\n", 4, "unexpected end of stream" },
	{ "a:\n\tb: 1\n", 2, "cannot start any token" },
	{ "a: 1\n b: 2\n", 2, "mapping values are not allowed" },
	{ "a: 1\nb\n", 3, "" },
	{ "a: *nope\n", 1, "unknown anchor" },
	{ "a: 1\n---\nb: *nope\n", 3, "unknown anchor" },
	{ "a: &x 1\n---\nb: *x\n", 3, "unknown anchor" }, /* anchors are a document's own */
	{ "a: &x [*x]\n", 1, "unknown anchor" },
	{ "<<: {a: 1}\nb: 2\n<<: {c: 3}\n", 3, "a map has two merge keys" },
	{ "a: 1\n~: 2\n", 2, "unsupported map key: null" },
	{ "a: 1\n?\n: 2\n", 2, "unsupported map key: null" },
	{ "? [a]\n: 1\n", 1, "unsupported map key" },
	{ "x: 1\n? {a: b}\n: 1\n", 2, "unsupported map key" },
	{ "a: &x {b: 1}\n*x : 1\n", 2, "unsupported map key" },
	{ "\"a\\0b\": 1\n", 1, "NUL" },
	{ "a: {<<: 1}\n", 1, "map merge requires map" },
	{ "a: &x 1\nb: {<<: [*x]}\n", 2, "map merge requires map" },
	{ "a: !!int x\n", 1, "does not fit its tag" },
	{ "a: !!int 1.5\n", 1, "does not fit its tag" },
	{ "a: !!bool 1\n", 1, "does not fit its tag" },
	{ "a: !!binary \"!\"\n", 1, "invalid base64" },
	{ "%YAML 3.0\n---\na: 1\n", 1, "incompatible" },
	{ "%FOO\na: 1\n", 1, "" },
	{ "a: 1\nb: \x01\n", 2, "control characters are not allowed" },
	{ "a: 1\n\nb: \xff\n", 3, "UTF-8" },
	{ "a: \xc3", 1, "UTF-8" },
	{ "a: \xed\xa0\x80\n", 1, "" },
	{ "a: \"\\ud800\"\n", 1, "" },
	{ "\xff\xfe"
	  "a\0:\0",
	  1, "" }, /* UTF-16 */
	{ "a: @x\n", 1, "cannot start any token" },
	{ "a: `x`\n", 1, "cannot start any token" },
	{ "- a\nb: 1\n", 2, "" },
	{ "a: 1\n...\n}\n", 3, "" },
};

START_TEST(a_broken_text_is_refused_with_its_line)
{
	const char *text = broken[_i].text;
	struct sv_trees trees = { NULL, 77 };
	struct sv_err err = { "" };
	unsigned line = 0;
	sv_autofree char *start = sv_asprintf("line %u: ", broken[_i].line);

	ck_assert_int_eq(sv_yaml_parse(text, strlen(text), &trees, &err, &line), SV_TREE_E_SYNTAX);
	ck_assert_uint_eq(trees.n, 77); /* written on 0 only */
	ck_assert_uint_eq(line, broken[_i].line);
	t_contains(err.msg, start);
	t_contains(err.msg, broken[_i].says);
}
END_TEST

START_TEST(a_nul_byte_in_the_text_is_refused)
{
	struct sv_trees trees;
	struct sv_err err;
	unsigned line = 0;

	ck_assert_int_eq(sv_yaml_parse("a: 1\nb: \0x\n", 11, &trees, &err, &line),
			 SV_TREE_E_SYNTAX);
	ck_assert_uint_eq(line, 2);
}
END_TEST

START_TEST(errors_never_show_the_text)
{
	struct sv_trees trees;
	struct sv_err err = { "" };
	const char *text = "data: {password: hunter2, x: !!int hunter2, *hunter2 : hunter2";
	size_t len;

	for (len = 1; len <= strlen(text); len++)
		if (sv_yaml_parse(text, len, &trees, &err, NULL) == 0)
			sv_trees_done(&trees);
		else
			ck_assert_ptr_null(strstr(err.msg, "hunter"));
}
END_TEST

/* Cut anywhere, a text parses or is refused, and nothing leaks (seen with sanitizers). */
START_TEST(a_truncated_text_does_no_harm)
{
	static const char text[] = "%YAML 1.1\n--- &a\nx: &b [1, \"two\", 'three', &c {d: *b, ? e "
				   ": |\n  f\n\n, <<: *c}]\n...\n--- !!map\n? *c\n: >-\n  g\n";
	size_t len;

	for (len = 0; len < sizeof(text); len++) {
		struct sv_trees trees;
		sv_autofree char *copy = malloc(len + 1); /* so that reading beyond is seen */

		memcpy(copy, text, len);
		if (sv_yaml_parse(copy, len, &trees, NULL, NULL) == 0)
			sv_trees_done(&trees);
	}
}
END_TEST

/* ---- limits --------------------------------------------------------------------------------- */

static int parse(const char *text, struct sv_err *err)
{
	struct sv_trees trees = { NULL, 0 };
	int r = sv_yaml_parse(text, strlen(text), &trees, err, NULL);

	if (r == 0)
		sv_trees_done(&trees);
	return r;
}

START_TEST(nesting_has_a_limit)
{
	sv_autofree char *open = t_repeat('[', SV_TREE_DEPTH_MAX);
	sv_autofree char *close = t_repeat(']', SV_TREE_DEPTH_MAX);
	sv_autofree char *fits = sv_asprintf("%s%s", open, close);
	sv_autofree char *over = sv_asprintf("[%s%s]", open, close);
	sv_autofree char *scalar = sv_asprintf("%s1%s", open, close); /* a scalar is a level */
	sv_autofree char *huge = t_repeat('[', 100000);
	struct sv_err err = { "" };

	ck_assert_int_eq(parse(fits, &err), 0);
	ck_assert_int_eq(parse(over, &err), SV_TREE_E_LIMIT);
	t_contains(err.msg, "nested too deep");
	ck_assert_int_eq(parse(scalar, &err), SV_TREE_E_LIMIT);
	ck_assert_int_ne(parse(huge, &err), 0);
}
END_TEST

/* An alias brings the depth of what it stands for along. */
START_TEST(aliases_cannot_nest_deeper_than_the_limit)
{
	sv_autofree char *open = t_repeat('[', 60), *close = t_repeat(']', 60);
	sv_autofree char *fits = sv_asprintf("- &a %.*s1%.*s\n- %.*s*a%.*s\n", 40, open, 40, close,
					     50, open, 50, close);
	sv_autofree char *over = sv_asprintf("- &a %s1%s\n- %s*a%s\n", open, close, open, close);
	sv_autofree char *key =
		sv_asprintf("a: &a {x: &b %s1%s}\nb: %s{<<: *a}%s\n", open, close, open, close);
	struct sv_err err = { "" };

	ck_assert_int_eq(parse(fits, &err), 0);
	ck_assert_int_eq(parse(over, &err), SV_TREE_E_LIMIT);
	ck_assert_int_eq(parse(key, &err), SV_TREE_E_LIMIT);
}
END_TEST

START_TEST(aliases_cannot_multiply_without_limit)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	int i;

	sv_buf_puts(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (i = 1; i < 10; i++)
		sv_buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
			      i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	ck_assert_int_eq(parse(b.ptr, &err), SV_TREE_E_LIMIT);
	t_contains(err.msg, "excessive aliasing");
}
END_TEST

START_TEST(documents_have_a_limit_and_each_its_own_nodes)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	int i;

	for (i = 0; i < SV_TREE_DOCUMENTS_MAX; i++)
		sv_buf_puts(&b, "--- 1\n");
	ck_assert_int_eq(parse(b.ptr, &err), 0);
	sv_buf_puts(&b, "--- 1\n");
	ck_assert_int_eq(parse(b.ptr, &err), SV_TREE_E_LIMIT);
	t_contains(err.msg, "too many documents");
}
END_TEST

START_TEST(nodes_have_a_limit)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	int i;

	for (i = 0; i < SV_TREE_NODES_MAX; i++)
		sv_buf_puts(&b, "- 1\n");
	ck_assert_int_eq(parse(b.ptr, &err), SV_TREE_E_LIMIT); /* the list is one as well */
	b.ptr[b.len - 4] = '\0';
	ck_assert_int_eq(parse(b.ptr, &err), 0);
}
END_TEST

/* To find one of many, all are looked at: without a limit, a file could take minutes. */
START_TEST(anchors_and_tags_have_a_limit)
{
	sv_autobuf struct sv_buf anchors = { 0 }, tags = { 0 };
	struct sv_err err = { "" };
	int i;

	for (i = 0; i < SV_TREE_ANCHORS_MAX; i++)
		sv_buf_printf(&anchors, "- &a%d x\n", i);
	sv_buf_puts(&anchors, "- &a0 y\n"); /* the same one again */
	ck_assert_int_eq(parse(anchors.ptr, &err), 0);
	sv_buf_puts(&anchors, "- &b x\n");
	ck_assert_int_eq(parse(anchors.ptr, &err), SV_TREE_E_LIMIT);
	ck_assert_str_eq(err.msg, "line 1002: too many anchors");
	for (i = 0; i < SV_TREE_TAGS_MAX; i++)
		sv_buf_printf(&tags, "%%TAG !a%d! x\n", i);
	sv_buf_puts(&tags, "--- x %TAG\n");
	ck_assert_int_eq(parse(tags.ptr, &err), 0);
	sv_buf_puts(&tags, "...\n%TAG !b! x\n--- x\n");
	ck_assert_int_eq(parse(tags.ptr, &err), SV_TREE_E_LIMIT);
	ck_assert_str_eq(err.msg, "more than 100 %TAG directives");
}
END_TEST

/* ---- lines ---------------------------------------------------------------------------------- */

START_TEST(every_node_knows_its_line)
{
	const char *text = "# head\na: 1\nb:\n  c: x\n  d:\n  - 1\n  - {e: \"f\"}\n\n---\n\ng: y\n";
	struct sv_trees trees = { NULL, 0 };
	struct json_object *a, *b, *c, *d, *e;

	ck_assert_int_eq(sv_yaml_parse(text, strlen(text), &trees, NULL, NULL), 0);
	ck_assert_uint_eq(trees.n, 2);
	ck_assert_uint_eq(trees.items[0].line, 2);
	ck_assert_uint_eq(trees.items[1].line, 11);
	ck_assert_uint_eq(sv_tree_line(trees.items[0].root), 2);
	ck_assert(json_object_object_get_ex(trees.items[0].root, "a", &a));
	ck_assert(json_object_object_get_ex(trees.items[0].root, "b", &b));
	ck_assert(json_object_object_get_ex(b, "c", &c));
	ck_assert(json_object_object_get_ex(b, "d", &d));
	ck_assert(json_object_object_get_ex(json_object_array_get_idx(d, 1), "e", &e));
	ck_assert_uint_eq(sv_tree_line(a), 2);
	ck_assert_uint_eq(sv_tree_line(b), 4);
	ck_assert_uint_eq(sv_tree_line(c), 4);
	ck_assert_uint_eq(sv_tree_line(d), 6);
	ck_assert_uint_eq(sv_tree_line(json_object_array_get_idx(d, 0)), 6);
	ck_assert_uint_eq(sv_tree_line(e), 7);
	ck_assert_uint_eq(sv_tree_line(NULL), 0);
	sv_trees_done(&trees);
}
END_TEST

T_SUITE(yaml)
{
	T_EACH(a_plain_value_has_yaml_1_1_habits, scalars);
	T_EACH(so_has_a_plain_key, scalars);
	T_TEST(an_empty_value_is_null);
	T_EACH(documents_become_trees, documents);
	T_EACH(a_broken_text_is_refused_with_its_line, broken);
	T_TEST(a_nul_byte_in_the_text_is_refused);
	T_TEST(errors_never_show_the_text);
	T_TEST(a_truncated_text_does_no_harm);
	T_TEST(nesting_has_a_limit);
	T_TEST(aliases_cannot_nest_deeper_than_the_limit);
	T_TEST(aliases_cannot_multiply_without_limit);
	T_TEST(documents_have_a_limit_and_each_its_own_nodes);
	T_TEST(nodes_have_a_limit);
	T_TEST(anchors_and_tags_have_a_limit);
	T_TEST(every_node_knows_its_line);
}
