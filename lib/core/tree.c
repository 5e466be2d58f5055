/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "../base/text.h"

void sv_status_time(int64_t unix_ms, char text[32])
{
	time_t t = (time_t)(unix_ms / 1000);
	struct tm tm;

	text[0] = '\0';
	if (unix_ms != 0 && gmtime_r(&t, &tm))
		(void)strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* ---- building ------------------------------------------------------------------------------ */

/* User data of an object or a list that lacks something. */
static char incomplete;

static void mark(struct json_object *o)
{
	if (o)
		json_object_set_userdata(o, &incomplete, NULL);
}

/* Without a copy of the key, which json-c 0.16 forgets where its table cannot grow. */
static int add(struct json_object *o, const char *key, struct json_object *value)
{
	return json_object_object_add_ex(o, key, value, JSON_C_OBJECT_KEY_IS_CONSTANT);
}

void sv_json_add(struct json_object *o, const char *key, struct json_object *value)
{
	if (value && o && add(o, key, value) == 0)
		return;
	json_object_put(value);
	mark(o);
}

void sv_json_append(struct json_object *list, struct json_object *value)
{
	if (value && list && json_object_array_add(list, value) == 0)
		return;
	json_object_put(value);
	mark(list);
}

void sv_json_text(struct json_object *o, const char *key, const char *value)
{
	if (value)
		sv_json_add(o, key, json_object_new_string(value));
	else if (o && add(o, key, NULL) < 0)
		mark(o);
}

void sv_json_time(struct json_object *o, const char *key, int64_t unix_ms)
{
	char text[32];

	sv_status_time(unix_ms, text);
	sv_json_text(o, key, *text ? text : NULL);
}

void sv_json_int(struct json_object *o, const char *key, int64_t value)
{
	sv_json_add(o, key, json_object_new_int64(value));
}

void sv_json_bool(struct json_object *o, const char *key, bool value)
{
	sv_json_add(o, key, json_object_new_boolean(value));
}

/* ---- printing ------------------------------------------------------------------------------ */

bool sv_json_is_whole(struct json_object *tree)
{
	size_t i;

	if (!tree || json_object_get_userdata(tree) == &incomplete)
		return false;
	if (json_object_is_type(tree, json_type_object)) {
		json_object_object_foreach (tree, key, value) {
			(void)key;
			if (value && !sv_json_is_whole(value))
				return false;
		}
	}
	if (json_object_is_type(tree, json_type_array))
		for (i = 0; i < json_object_array_length(tree); i++)
			if (!sv_json_is_whole(json_object_array_get_idx(tree, i)))
				return false;
	return true;
}

static void print_string(struct sv_buf *b, const char *s, size_t len)
{
	static const char letters[] = "btnvfr"; /* from \b on; JSON has no \v */
	size_t i, from = 0;

	sv_buf_puts(b, "\"");
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		sv_buf_add(b, s + from, i - from);
		from = i + 1;
		if (c == '"' || c == '\\')
			sv_buf_printf(b, "\\%c", c);
		else if (c >= '\b' && c <= '\r' && c != '\v')
			sv_buf_printf(b, "\\%c", letters[c - '\b']);
		else
			sv_buf_printf(b, "\\u%04x", c);
	}
	sv_buf_add(b, s + from, len - from);
	sv_buf_puts(b, "\"");
}

static void print(struct sv_buf *b, struct json_object *o)
{
	const char *comma = "";
	size_t i;

	switch (json_object_get_type(o)) {
	case json_type_null:
		sv_buf_puts(b, "null");
		break;
	case json_type_boolean:
		sv_buf_puts(b, json_object_get_boolean(o) ? "true" : "false");
		break;
	case json_type_string:
		print_string(b, json_object_get_string(o), (size_t)json_object_get_string_len(o));
		break;
	case json_type_int:
		sv_buf_printf(b, "%lld", (long long)json_object_get_int64(o));
		break;
	case json_type_double:
		sv_buf_printf(b, "%.17g", json_object_get_double(o));
		break;
	case json_type_array:
		sv_buf_puts(b, "[");
		for (i = 0; i < json_object_array_length(o); i++, comma = ",") {
			sv_buf_puts(b, comma);
			print(b, json_object_array_get_idx(o, i));
		}
		sv_buf_puts(b, "]");
		break;
	case json_type_object:
		sv_buf_puts(b, "{");
		json_object_object_foreach (o, key, value) {
			sv_buf_puts(b, comma);
			print_string(b, key, strlen(key));
			sv_buf_puts(b, ":");
			print(b, value);
			comma = ",";
		}
		sv_buf_puts(b, "}");
		break;
	}
}

static char *print_whole(struct json_object *tree, const char *end)
{
	struct sv_buf b = { 0 };

	if (!sv_json_is_whole(tree))
		return NULL;
	print(&b, tree);
	sv_buf_puts(&b, end);
	return sv_buf_take(&b);
}

char *sv_json_print(struct json_object *tree)
{
	return print_whole(tree, "");
}

char *sv_json_line(struct json_object *tree)
{
	return print_whole(tree, "\n");
}
