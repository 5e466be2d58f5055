/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON: one value and a stream agree, and what is printed reads back as the same. */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/json.h"
#include "fuzz.h"

/* A number beyond a double prints as a word that is no JSON. */
static bool has_infinity(const char *text)
{
	return strstr(text, "Infinity") || strstr(text, "NaN");
}

static void check_printed(struct json_object *root)
{
	const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
	struct json_object *again = NULL;
	struct sv_err err = { "" };

	if (!root || has_infinity(text))
		return;
	MUST(sv_json_parse(text, strlen(text), &again, &err, NULL) == 0);
	MUST(fuzz_same_tree(root, again));
	sv_tree_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv_trees trees = { NULL, 0 };
	struct json_object *one = NULL;
	struct sv_err err = { "" }, err_one = { "" };
	unsigned line = 0, line_one = 0, lines = 1;
	char *copy = malloc(size ? size : 1);
	bool control = false; /* a character that JSON has nowhere */
	size_t i;
	int r, r_one;

	MUST(copy);
	memcpy(copy, data, size);
	for (i = 0; i < size; i++) {
		lines += data[i] == '\n';
		control = control || (data[i] < 0x20 && !strchr("\t\n\r", data[i] ? data[i] : 1));
	}
	r = sv_json_parse_all(copy, size, &trees, &err, &line);
	r_one = sv_json_parse(copy, size, &one, &err_one, &line_one);
	free(copy);
	MUST(line <= lines && line_one <= lines);
	MUST(!control || (r && r_one));
	if (r)
		MUST((r == SV_TREE_E_SYNTAX || r == SV_TREE_E_LIMIT) && *err.msg &&
		     fuzz_is_printable(err.msg) && line > 0 && trees.n == 0);
	if (r_one)
		MUST((r_one == SV_TREE_E_SYNTAX || r_one == SV_TREE_E_LIMIT) && *err_one.msg &&
		     fuzz_is_printable(err_one.msg));
	else
		MUST(r == 0 && trees.n == 1 && fuzz_same_tree(one, trees.items[0].root));
	for (i = 0; i < trees.n; i++) {
		MUST(trees.items[i].line >= 1 && trees.items[i].line <= lines);
		check_printed(trees.items[i].root);
	}
	sv_tree_free(one);
	sv_trees_done(&trees);
	return 0;
}
