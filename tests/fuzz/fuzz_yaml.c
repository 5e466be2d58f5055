/* SPDX-License-Identifier: Apache-2.0 */
/* Any text is either refused in one printable line or gives trees within the limits. */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/yaml.h"
#include "fuzz.h"

static size_t walk(struct json_object *node, unsigned depth, unsigned lines)
{
	size_t n = 1, i;

	MUST(depth <= SV_TREE_DEPTH_MAX);
	MUST(sv_tree_line(node) <= lines);
	if (json_object_is_type(node, json_type_array)) {
		for (i = 0; i < json_object_array_length(node); i++)
			n += walk(json_object_array_get_idx(node, i), depth + 1, lines);
	} else if (json_object_is_type(node, json_type_object)) {
		json_object_object_foreach (node, key, value) {
			(void)key;
			n += walk(value, depth + 1, lines);
		}
	} else if (node) {
		MUST(!json_object_is_type(node, json_type_double) || sv_tree_line(node) == 0);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv_trees trees = { NULL, 0 };
	struct sv_err err = { "" };
	unsigned line = 0, lines = 1;
	char *copy = malloc(size ? size : 1);
	size_t i;
	int r;

	MUST(copy);
	memcpy(copy, data, size);
	for (i = 0; i < size; i++) /* CR, NEL, LS and PS end a line of YAML, too */
		lines += strchr("\n\r\x85\xa8\xa9", data[i]) != NULL && data[i];
	r = sv_yaml_parse(copy, size, &trees, &err, &line);
	free(copy);
	MUST(line <= lines + 1);
	if (r) {
		MUST(r == SV_TREE_E_SYNTAX || r == SV_TREE_E_LIMIT);
		MUST(*err.msg && fuzz_is_printable(err.msg) && trees.n == 0);
		return 0;
	}
	for (i = 0; i < trees.n; i++) {
		MUST(trees.items[i].line >= 1 && trees.items[i].line <= lines + 1);
		MUST(walk(trees.items[i].root, 1, lines + 1) <= SV_TREE_NODES_MAX);
	}
	sv_trees_done(&trees);
	return 0;
}
