/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/text.h"

/* A walk over the text that finds what Go's decoder refuses. Builds nothing. */
struct checker {
	const char *text;
	size_t len, pos;
	size_t nodes;
	size_t counted; /* how far lines have been counted */
	unsigned lines; /* ends of lines until there */
	struct sv_err *err;
};

/* The line of the position, which only moves forward. */
static unsigned line_here(struct checker *k)
{
	for (; k->counted < k->pos; k->counted++)
		k->lines += k->text[k->counted] == '\n';
	return k->lines + 1;
}

static int fail(struct checker *k, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int fail(struct checker *k, int r, const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return sv_err_set(k->err, r, "line %u: %s", line_here(k),
			  b.failed ? "out of memory" : b.ptr);
}

/* A byte between quotes as Go shows it: to Go, a byte beyond ASCII is a Latin-1 character. */
static void quote_byte(char out[16], unsigned char c)
{
	if (c == '\'' || c == '\\')
		(void)snprintf(out, 16, "'\\%c'", c);
	else if (c >= '\a' && c <= '\r')
		(void)snprintf(out, 16, "'\\%c'", "abtnvfr"[c - '\a']);
	else if (c < 0x20 || c == 0x7f)
		(void)snprintf(out, 16, "'\\x%02x'", c);
	else if (c < 0x80)
		(void)snprintf(out, 16, "'%c'", c);
	else if (c <= 0xa0 || c == 0xad)
		(void)snprintf(out, 16, "'\\u%04x'", c);
	else
		(void)snprintf(out, 16, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
}

/* Go's complaint about the byte at the position, or about the end of the text. */
static int invalid(struct checker *k, const char *where)
{
	char quoted[16];

	if (k->pos >= k->len)
		return fail(k, SV_TREE_E_SYNTAX, "unexpected end of JSON input");
	quote_byte(quoted, (unsigned char)k->text[k->pos]);
	return fail(k, SV_TREE_E_SYNTAX, "invalid character %s %s", quoted, where);
}

static int peek(const struct checker *k)
{
	return k->pos < k->len ? (unsigned char)k->text[k->pos] : -1;
}

static void skip_space(struct checker *k)
{
	while (k->pos < k->len && strchr(" \t\r\n", k->text[k->pos]) && k->text[k->pos])
		k->pos++;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int check_escape(struct checker *k, bool is_key)
{
	size_t start = ++k->pos; /* behind the backslash */
	int c = peek(k), i;

	if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
		return invalid(k, "in string escape code");
	k->pos++;
	if (c != 'u')
		return 0;
	for (i = 0; i < 4; i++, k->pos++)
		if (!is_hex(peek(k)))
			return invalid(k, "in \\u hexadecimal character escape");
	if (is_key && strncmp(k->text + start, "u0000", 5) == 0)
		return fail(k, SV_TREE_E_SYNTAX, "an object key holds a NUL character");
	return 0;
}

static int check_string(struct checker *k, bool is_key)
{
	k->pos++; /* the quote */
	for (;;) {
		int c = peek(k), r;
		size_t n;

		if (c < 0x20) /* the end as well */
			return invalid(k, "in string literal");
		if (c == '"') {
			k->pos++;
			return 0;
		}
		if (c == '\\') {
			r = check_escape(k, is_key);
			if (r)
				return r;
			continue;
		}
		n = sv_utf8_len(k->text + k->pos, k->len - k->pos);
		if (n == 0)
			return fail(k, SV_TREE_E_SYNTAX, "invalid UTF-8 in string literal");
		k->pos += n;
	}
}

static int check_digits(struct checker *k, const char *where)
{
	if (!is_digit(peek(k)))
		return invalid(k, where);
	while (is_digit(peek(k)))
		k->pos++;
	return 0;
}

static int check_number(struct checker *k)
{
	int r;

	if (peek(k) == '-')
		k->pos++;
	if (peek(k) == '0') {
		k->pos++; /* a digit behind it is what the caller finds out of place */
	} else {
		r = check_digits(k, "in numeric literal");
		if (r)
			return r;
	}
	if (peek(k) == '.') {
		k->pos++;
		r = check_digits(k, "after decimal point in numeric literal");
		if (r)
			return r;
	}
	if (peek(k) == 'e' || peek(k) == 'E') {
		k->pos++;
		if (peek(k) == '+' || peek(k) == '-')
			k->pos++;
		return check_digits(k, "in exponent of numeric literal");
	}
	return 0;
}

static int check_literal(struct checker *k, const char *word)
{
	const char *p;

	for (p = word; *p; p++, k->pos++)
		if (peek(k) != *p) {
			char where[48];

			(void)snprintf(where, sizeof(where), "in literal %s (expecting '%c')", word,
				       *p);
			return invalid(k, where);
		}
	return 0;
}

static int check_value(struct checker *k, unsigned depth);

static int check_members(struct checker *k, unsigned depth)
{
	int r;

	k->pos++; /* { */
	skip_space(k);
	if (peek(k) == '}') {
		k->pos++;
		return 0;
	}
	for (;;) {
		skip_space(k);
		if (peek(k) != '"')
			return invalid(k, "looking for beginning of object key string");
		r = check_string(k, true);
		if (r)
			return r;
		skip_space(k);
		if (peek(k) != ':')
			return invalid(k, "after object key");
		k->pos++;
		r = check_value(k, depth + 1);
		if (r)
			return r;
		skip_space(k);
		if (peek(k) == '}') {
			k->pos++;
			return 0;
		}
		if (peek(k) != ',')
			return invalid(k, "after object key:value pair");
		k->pos++;
	}
}

static int check_elements(struct checker *k, unsigned depth)
{
	int r;

	k->pos++; /* [ */
	skip_space(k);
	if (peek(k) == ']') {
		k->pos++;
		return 0;
	}
	for (;;) {
		r = check_value(k, depth + 1);
		if (r)
			return r;
		skip_space(k);
		if (peek(k) == ']') {
			k->pos++;
			return 0;
		}
		if (peek(k) != ',')
			return invalid(k, "after array element");
		k->pos++;
	}
}

static int check_value(struct checker *k, unsigned depth)
{
	int c;

	skip_space(k);
	c = peek(k);
	if (depth > SV_TREE_DEPTH_MAX)
		return fail(k, SV_TREE_E_LIMIT, "nested more than %d levels deep",
			    SV_TREE_DEPTH_MAX);
	if (++k->nodes > SV_TREE_NODES_MAX)
		return fail(k, SV_TREE_E_LIMIT, "more than %d values", SV_TREE_NODES_MAX);
	if (c == '{')
		return check_members(k, depth);
	if (c == '[')
		return check_elements(k, depth);
	if (c == '"')
		return check_string(k, false);
	if (c == '-' || is_digit(c))
		return check_number(k);
	if (c == 't')
		return check_literal(k, "true");
	if (c == 'f')
		return check_literal(k, "false");
	if (c == 'n')
		return check_literal(k, "null");
	return invalid(k, "looking for beginning of value");
}

static size_t count_nodes(struct json_object *node)
{
	size_t i, n = 1;

	if (json_object_is_type(node, json_type_object)) {
		json_object_object_foreach (node, key, value) {
			(void)key;
			n += count_nodes(value);
		}
	} else if (json_object_is_type(node, json_type_array)) {
		for (i = 0; i < json_object_array_length(node); i++)
			n += count_nodes(json_object_array_get_idx(node, i));
	}
	return n;
}

static int build_once(struct checker *k, size_t start, struct json_object **ret)
{
	struct json_tokener *tok = json_tokener_new_ex(SV_TREE_DEPTH_MAX + 2);
	struct json_object *root;
	enum json_tokener_error e;

	if (!tok)
		return sv_err_set(k->err, -ENOMEM, "cannot parse JSON");
	errno = 0;
	/* The NUL behind a number tells json-c that the number ends there. */
	root = json_tokener_parse_ex(tok, k->text + start, (int)(k->pos - start));
	e = json_tokener_get_error(tok);
	if (e == json_tokener_continue) {
		root = json_tokener_parse_ex(tok, "", 1);
		e = json_tokener_get_error(tok);
	}
	json_tokener_free(tok);
	if (e != json_tokener_success) {
		sv_tree_free(root);
		if (errno == ENOMEM)
			return sv_err_set(k->err, -ENOMEM, "cannot parse JSON");
		return fail(k, e == json_tokener_error_depth ? SV_TREE_E_LIMIT : SV_TREE_E_SYNTAX,
			    "%s", json_tokener_error_desc(e));
	}
	*ret = root;
	return 0;
}

/*
 * json-c on text that has been checked: what can still fail is memory. Without it, json-c may
 * leave a member or an element out and say nothing. Keys that occur twice have the same effect,
 * but every time.
 */
static int build(struct checker *k, size_t start, size_t n_nodes, struct json_object **ret)
{
	struct json_object *root = NULL;
	int r = build_once(k, start, &root);
	size_t n;

	if (r)
		return r;
	n = count_nodes(root);
	if (n < n_nodes) {
		sv_tree_free(root);
		root = NULL;
		r = build_once(k, start, &root);
		if (r)
			return r;
		if (count_nodes(root) != n) {
			sv_tree_free(root);
			return sv_err_set(k->err, -ENOMEM, "cannot parse JSON");
		}
	}
	*ret = root;
	return 0;
}

static int next_value(struct checker *k, struct json_object **ret)
{
	size_t start, before = k->nodes;
	int r;

	skip_space(k);
	start = k->pos;
	r = check_value(k, 1);
	return r ? r : build(k, start, k->nodes - before, ret);
}

static int start(struct checker *k, const char *text, size_t len, struct sv_err *err)
{
	*k = (struct checker){ .text = text, .len = len, .err = err };
	if (len > INT_MAX)
		return sv_err_set(err, SV_TREE_E_LIMIT, "text of %zu bytes is too long", len);
	return 0;
}

int sv_json_parse(const char *text, size_t len, struct json_object **ret, struct sv_err *err,
		  unsigned *line)
{
	struct json_object *root = NULL;
	struct checker k;
	int r = start(&k, text, len, err);

	if (r == 0)
		r = next_value(&k, &root);
	if (r == 0) {
		skip_space(&k);
		if (k.pos < k.len)
			r = invalid(&k, "after top-level value");
	}
	if (r) {
		if (line)
			*line = line_here(&k);
		sv_tree_free(root);
		return r;
	}
	*ret = root;
	return 0;
}

int sv_json_parse_all(const char *text, size_t len, struct sv_trees *ret, struct sv_err *err,
		      unsigned *line)
{
	struct sv_trees trees = { NULL, 0 };
	struct checker k;
	int r = start(&k, text, len, err);

	while (r == 0) {
		struct json_object *root = NULL;
		struct sv_tree *items;
		unsigned at;

		skip_space(&k);
		if (k.pos >= k.len)
			break;
		if (trees.n >= SV_TREE_DOCUMENTS_MAX) {
			r = fail(&k, SV_TREE_E_LIMIT, "more than %d documents",
				 SV_TREE_DOCUMENTS_MAX);
			break;
		}
		at = line_here(&k);
		r = next_value(&k, &root);
		if (r)
			break;
		if (k.pos < k.len && !strchr(" \t\r\n{[", k.text[k.pos])) {
			sv_tree_free(root);
			r = invalid(&k, "after top-level value");
			break;
		}
		items = reallocarray(trees.items, trees.n + 1, sizeof(*items));
		if (!items) {
			sv_tree_free(root);
			r = sv_err_set(err, -ENOMEM, "cannot parse JSON");
			break;
		}
		trees.items = items;
		items[trees.n++] = (struct sv_tree){ root, at };
	}
	if (r) {
		if (line)
			*line = line_here(&k);
		sv_trees_done(&trees);
		return r;
	}
	*ret = trees;
	return 0;
}
