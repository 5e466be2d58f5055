/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON is YAML: what the JSON parser made of a text, printed and read as YAML, is the same tree,
 * and a manifest in both forms holds the same objects.
 */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/json.h"
#include "fuzz.h"

/* DEL, C1, line ends beyond ASCII, BOM and the like: YAML knows them not, or not as themselves. */
static bool is_common_text(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((unsigned char)s[i] == 0x7f || strchr("\xc2\xe2\xef", s[i] ? s[i] : 'x'))
			return false;
	return true;
}

/* Where the two agree: an integral float is an integer in YAML (R28) and not in JSON (R27). */
static bool is_common(struct json_object *node)
{
	size_t i;

	switch (json_object_get_type(node)) {
	case json_type_double:
		return false;
	case json_type_string:
		return is_common_text(json_object_get_string(node),
				      (size_t)json_object_get_string_len(node));
	case json_type_array:
		for (i = 0; i < json_object_array_length(node); i++)
			if (!is_common(json_object_array_get_idx(node, i)))
				return false;
		return true;
	case json_type_object: {
		json_object_object_foreach (node, key, value) {
			/* YAML limits a key to 1024 characters as written */
			if (strlen(key) > 100 || !is_common_text(key, strlen(key)) ||
			    !is_common(value))
				return false;
		}
		return true;
	}
	default:
		return true;
	}
}

static void check_same_objects(const char *text)
{
	struct sv_manifest json = { NULL, 0, 0 }, yaml = { NULL, 0, 0 };
	struct sv_err err = { "" };
	size_t i;
	int r = sv_manifest_parse(text, strlen(text), SV_FORMAT_JSON, NULL, &json, &err, NULL);

	MUST(r == sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &yaml, &err, NULL));
	MUST(json.n_objects == yaml.n_objects && json.ignored == yaml.ignored);
	for (i = 0; i < json.n_objects; i++) {
		const struct sv_manifest_object *a = &json.objects[i], *b = &yaml.objects[i];

		MUST(a->kind == b->kind && strcmp(a->ns, b->ns) == 0 &&
		     strcmp(a->name, b->name) == 0);
		MUST(!a->pod == !b->pod && (!a->pod || sv_pod_equal(a->pod, b->pod)));
		MUST(!a->secret == !b->secret &&
		     (!a->secret || sv_secret_equal(a->secret, b->secret)));
		MUST(a->complaints.n == b->complaints.n);
		MUST(a->complaints.n == 0 ||
		     strcmp(a->complaints.items[0].message, b->complaints.items[0].message) == 0);
	}
	sv_manifest_done(&json);
	sv_manifest_done(&yaml);
}

static void check_tree(struct json_object *root)
{
	const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
	struct sv_trees trees = { NULL, 0 };
	struct sv_err err = { "" };

	if (!is_common(root))
		return;
	MUST(sv_yaml_parse(text, strlen(text), &trees, &err, NULL) == 0 && trees.n == 1);
	MUST(fuzz_same_tree(root, trees.items[0].root));
	sv_trees_done(&trees);
	check_same_objects(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv_trees trees = { NULL, 0 };
	struct sv_err err = { "" };
	size_t i;

	if (size > 0 && data[0] == 0xff) { /* objects that are mostly in order */
		struct fuzz_in in = { data + 1, data + size };
		sv_autobuf struct sv_buf text = { 0 };

		fuzz_write_manifest(&in, &text);
		if (sv_json_parse_all(text.ptr, text.len, &trees, &err, NULL) != 0)
			return 0;
	} else if (sv_json_parse_all((const char *)data, size, &trees, &err, NULL) != 0) {
		return 0;
	}
	for (i = 0; i < trees.n; i++)
		if (trees.items[i].root)
			check_tree(trees.items[i].root);
	sv_trees_done(&trees);
	return 0;
}
