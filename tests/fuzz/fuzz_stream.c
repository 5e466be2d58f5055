/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers cut into objects: the pieces in which they come make no difference, and what comes out
 * is what a parser finds in the whole. First byte: mode, limit and seed of the pieces.
 */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/json.h"
#include "../../lib/core/stream.h"
#include "fuzz.h"

struct record {
	struct sv_buf all; /* everything that came, with separators */
	struct sv_trees trees;
	bool unparsed; /* an object was no JSON, or was left out */
};

static int on_object(void *arg, const char *text, size_t len)
{
	struct record *rec = arg;
	struct json_object *root = NULL;

	sv_buf_puts(&rec->all, "\nobject:");
	sv_buf_add(&rec->all, text, len);
	MUST(len >= 2 && text[0] == '{' && text[len - 1] == '}');
	if (sv_json_parse(text, len, &root, NULL, NULL)) {
		rec->unparsed = true;
		return 0;
	}
	MUST(json_object_is_type(root, json_type_object));
	rec->trees.items = reallocarray(rec->trees.items, rec->trees.n + 1, sizeof(struct sv_tree));
	MUST(rec->trees.items);
	rec->trees.items[rec->trees.n++].root = root;
	return 0;
}

static void on_too_large(void *arg, const char *head, size_t len)
{
	struct record *rec = arg;

	MUST(len > 0 && len <= SV_STREAM_HEAD_MAX && head[0] == '{');
	sv_buf_puts(&rec->all, "\nleft out:");
	sv_buf_add(&rec->all, head, len);
	rec->unparsed = true;
}

static void record_done(struct record *rec)
{
	sv_trees_done(&rec->trees);
	sv_buf_done(&rec->all);
}

/* Pieces of a random length below @max; 0: one piece. */
static int feed(struct sv_stream *s, const char *text, size_t size, unsigned seed, size_t max)
{
	size_t pos = 0;
	int r = 0;

	while (r == 0 && pos < size) {
		size_t n = max ? 1 + (seed >> 16) % max : size;
		char *piece;

		seed = seed * 1103515245 + 12345;
		if (n > size - pos)
			n = size - pos;
		piece = malloc(n); /* exact, for the sanitizer */
		MUST(piece);
		memcpy(piece, text + pos, n);
		r = sv_stream_feed(s, piece, n);
		free(piece);
		pos += n;
	}
	return r;
}

/* Everything about one run, for comparison; the rest as a tree in @rest if it is JSON. */
static int run(enum sv_stream_mode mode, size_t limit, const char *text, size_t size, unsigned seed,
	       size_t max, struct record *rec, struct json_object **rest)
{
	static const struct sv_stream_sink sink = { on_object, on_too_large };
	struct sv_stream s;
	const char *ptr = NULL;
	size_t len = 0;
	int r, r_end;

	*rec = (struct record){ .unparsed = false };
	sv_stream_init(&s, mode, limit, &sink, rec);
	r = feed(&s, text, size, seed, max);
	r_end = sv_stream_end(&s, &ptr, &len);
	MUST(r == 0 ? r_end == 0 || r_end == SV_STREAM_E_CUT : r_end == r);
	sv_buf_printf(&rec->all, "\nresult %d:", r_end);
	if (r_end == 0) {
		sv_buf_add(&rec->all, ptr, len);
		if (sv_json_parse(ptr, len, rest, NULL, NULL))
			rec->unparsed = rec->unparsed || mode == SV_STREAM_LIST;
	}
	sv_stream_done(&s);
	return r_end;
}

static bool same_list(struct json_object *items, const struct sv_trees *trees)
{
	size_t i, n = items ? json_object_array_length(items) : 0;

	if (n != trees->n)
		return false;
	for (i = 0; i < n; i++)
		if (!fuzz_same_tree(json_object_array_get_idx(items, i), trees->items[i].root))
			return false;
	return true;
}

/* A list as the stream takes it: an object whose items, if any, are objects. */
static bool is_list(struct json_object *root)
{
	struct json_object *items = NULL;
	size_t i;

	if (!json_object_is_type(root, json_type_object))
		return false;
	json_object_object_get_ex(root, "items", &items);
	if (items && !json_object_is_type(items, json_type_array))
		return false;
	for (i = 0; items && i < json_object_array_length(items); i++)
		if (!json_object_is_type(json_object_array_get_idx(items, i), json_type_object))
			return false;
	return true;
}

/* @twisted: the text may name a member twice, or with escapes, which the stream refuses. */
static void compare_list(const char *text, size_t size, bool twisted)
{
	struct json_object *root = NULL, *rest = NULL, *items = NULL;
	struct record rec;
	int r = run(SV_STREAM_LIST, SIZE_MAX, text, size, 0, 0, &rec, &rest);
	int r_whole = sv_json_parse(text, size, &root, NULL, NULL);

	if (r == 0 &&
	    !rec.unparsed) /* what is in order in parts is so as a whole, unless too deep */
		MUST(r_whole == 0 || r_whole == SV_TREE_E_LIMIT);
	if (r_whole == 0 && is_list(root)) {
		MUST(r == 0 || (twisted && r == SV_STREAM_E_SYNTAX));
		if (r == 0) {
			json_object_object_get_ex(root, "items", &items);
			MUST(!rec.unparsed && same_list(items, &rec.trees));
			if (items)
				json_object_object_add(root, "items", json_object_new_array());
			MUST(fuzz_same_tree(root, rest));
		}
	} else if (r_whole == 0) {
		MUST(r || rec.unparsed);
	}
	sv_tree_free(rest);
	sv_tree_free(root);
	record_done(&rec);
}

static void compare_watch(const char *text, size_t size)
{
	struct sv_trees whole = { NULL, 0 };
	struct json_object *rest = NULL;
	struct record rec;
	int r = run(SV_STREAM_WATCH, SIZE_MAX, text, size, 0, 0, &rec, &rest);
	int r_whole = sv_json_parse_all(text, size, &whole, NULL, NULL);
	bool objects = true;
	size_t i;

	for (i = 0; i < whole.n; i++)
		objects = objects && json_object_is_type(whole.items[i].root, json_type_object);
	if (r == 0 && !rec.unparsed)
		MUST(r_whole == 0);
	if (r_whole == 0) {
		MUST((r == 0 && !rec.unparsed) == objects);
		for (i = 0; objects && i < whole.n; i++)
			MUST(fuzz_same_tree(whole.items[i].root, rec.trees.items[i].root));
		MUST(!objects || whole.n == rec.trees.n);
	}
	sv_tree_free(rest);
	sv_trees_done(&whole);
	record_done(&rec);
}

/* What was read is printed in json-c's way, each key once. Is no key of the outer object escaped? */
static bool has_plain_keys(struct json_object *root)
{
	json_object_object_foreach (root, key, value) {
		(void)value;
		if (strpbrk(key, "\"\\/"))
			return false;
		for (; *key; key++)
			if ((unsigned char)*key < 0x20)
				return false;
	}
	return true;
}

static void compare_printed(const char *text, size_t size)
{
	struct json_object *root = NULL;

	if (sv_json_parse(text, size, &root, NULL, NULL) == 0 && is_list(root) &&
	    has_plain_keys(root)) {
		const char *printed = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY);

		compare_list(printed, strlen(printed), false);
	}
	sv_tree_free(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned how = size ? *data : 0;
	enum sv_stream_mode mode = how & 1 ? SV_STREAM_LIST : SV_STREAM_WATCH;
	size_t limit = how & 2 ? SIZE_MAX : how >> 2, i;
	static const size_t max[] = { 0, 1, 3, 40 };
	struct record first, other;
	const char *text = (const char *)data + (size > 0);

	size -= size > 0;
	for (i = 0; i < sizeof(max) / sizeof(*max); i++) {
		struct json_object *rest = NULL;

		run(mode, limit, text, size, how, max[i], i ? &other : &first, &rest);
		sv_tree_free(rest);
		if (i > 0) {
			MUST(other.all.len == first.all.len &&
			     memcmp(other.all.ptr, first.all.ptr, first.all.len) == 0);
			record_done(&other);
		}
	}
	record_done(&first);
	if (mode == SV_STREAM_WATCH) {
		compare_watch(text, size);
	} else {
		compare_list(text, size, true);
		compare_printed(text, size);
	}
	return 0;
}
