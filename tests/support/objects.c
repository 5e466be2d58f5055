/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/decode.h"
#include "../../lib/core/yaml.h"
#include "support.h"

void t_contains(const char *text, const char *part)
{
	ck_assert_msg(text && strstr(text, part), "\"%s\" does not contain \"%s\"",
		      text ? text : "(null)", part);
}

char *t_repeat(char c, size_t n)
{
	char *text = malloc(n + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, c, n);
	text[n] = '\0';
	return text;
}

char *t_lines(const char *text)
{
	char *copy = strdup(text), *p;

	ck_assert_ptr_nonnull(copy);
	for (p = copy; *p; p++)
		if (*p == ';')
			*p = '\n';
	return copy;
}

struct json_object *t_yaml(const char *text)
{
	struct sv_trees trees = { NULL, 0 };
	struct json_object *root;
	struct sv_err err = { "" };

	ck_assert_msg(sv_yaml_parse(text, strlen(text), &trees, &err, NULL) == 0, "%s in: %s",
		      err.msg, text);
	ck_assert_uint_eq(trees.n, 1);
	root = SV_TAKE(trees.items[0].root);
	sv_trees_done(&trees);
	return root;
}

const char *t_json(struct json_object *tree)
{
	return tree ? json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PLAIN |
								   JSON_C_TO_STRING_NOSLASHESCAPE) :
		      "null";
}

void t_cleanup_tree(struct json_object **tree)
{
	sv_tree_free(*tree);
}

static void decoded(int r, const struct sv_complaints *c, const char *text)
{
	ck_assert_msg(r == 0, "%s in: %s", c->n ? c->items[0].message : "no complaint, but refused",
		      text);
	ck_assert_uint_eq(c->n, 0);
}

struct sv_pod *t_pod_yaml(const char *text)
{
	t_autotree struct json_object *tree = t_yaml(text);
	sv_autocomplaints struct sv_complaints c = { 0 };
	struct sv_pod *pod = NULL;

	decoded(sv_decode_pod(tree, NULL, &pod, &c), &c, text);
	return pod;
}

struct sv_secret *t_secret_yaml(const char *text)
{
	t_autotree struct json_object *tree = t_yaml(text);
	sv_autocomplaints struct sv_complaints c = { 0 };
	struct sv_secret *secret = NULL;

	decoded(sv_decode_secret(tree, NULL, &secret, &c), &c, text);
	return secret;
}

/* "NS/NAME@UID" as a metadata line; the namespace and the UID may be missing. */
static void add_metadata(struct sv_buf *b, const char *name)
{
	const char *slash = strchr(name, '/'), *at = strchr(name, '@');
	const char *start = slash ? slash + 1 : name;

	sv_buf_printf(b, "metadata: {name: \"%.*s\"", (int)(at ? at - start : (int)strlen(start)),
		      start);
	if (slash)
		sv_buf_printf(b, ", namespace: \"%.*s\"", (int)(slash - name), name);
	if (at)
		sv_buf_printf(b, ", uid: \"%s\"", at + 1);
	sv_buf_puts(b, "}\n");
}

struct sv_secret *t_secret(const char *name, const char *keys)
{
	sv_autofree char *copy = strdup(keys);
	sv_autobuf struct sv_buf b = { 0 };
	char *save = NULL, *word;

	ck_assert_ptr_nonnull(copy);
	add_metadata(&b, name);
	sv_buf_puts(&b, "apiVersion: v1\nkind: Secret\n");
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (strcmp(word, "!immutable") == 0)
			sv_buf_puts(&b, "immutable: true\n");
		else if (strncmp(word, "!type=", 6) == 0)
			sv_buf_printf(&b, "type: %s\n", word + 6);
	sv_buf_puts(&b, "stringData:\n");
	free(copy);
	copy = strdup(keys);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');

		if (*word == '!')
			continue;
		ck_assert_ptr_nonnull(value);
		*value = '\0';
		sv_buf_printf(&b, "  \"%s\": \"%s\"\n", word, value + 1);
	}
	return t_secret_yaml(b.ptr);
}

struct sv_pod *t_pod(const char *name, const char *volumes)
{
	sv_autofree char *copy = strdup(volumes);
	sv_autobuf struct sv_buf b = { 0 }, mounts = { 0 }, list = { 0 };
	char *save = NULL, *word;

	add_metadata(&b, name);
	sv_buf_puts(&mounts, "");
	sv_buf_puts(&list, "");
	sv_buf_puts(&b, "apiVersion: v1\nkind: Pod\n");
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *secret = strchr(word, '='), *end = word + strlen(word) - 1;
		bool optional = *end == '?', unused;

		if (strcmp(word, "!terminated") == 0) {
			sv_buf_puts(&b, "status: {phase: Succeeded}\n");
			continue;
		}
		ck_assert_ptr_nonnull(secret);
		*secret++ = '\0';
		if (*word == '!') {
			sv_buf_printf(&b, "x: 0\n");
			continue;
		}
		if (optional)
			*end = '\0';
		unused = word[strlen(word) - 1] == '-';
		if (unused)
			word[strlen(word) - 1] = '\0';
		sv_buf_printf(&list, "  - {name: %s, secret: {secretName: %s, optional: %s}}\n",
			      word, secret, optional ? "true" : "false");
		if (!unused)
			sv_buf_printf(&mounts, "    - {name: %s, mountPath: /%s}\n", word, word);
	}
	sv_buf_printf(&b,
		      "spec:\n  containers:\n  - name: c\n    image: i\n    volumeMounts:\n%s"
		      "  volumes:\n%s",
		      mounts.ptr, list.ptr);
	if (strstr(volumes, "!fsGroup="))
		sv_buf_printf(&b, "  securityContext: {fsGroup: %d}\n",
			      atoi(strstr(volumes, "!fsGroup=") + 9));
	return t_pod_yaml(b.ptr);
}

const struct sv_volume *t_volume(const struct sv_pod *pod, const char *name)
{
	size_t i;

	for (i = 0; i < pod->n_volumes; i++)
		if (strcmp(pod->volumes[i].name, name) == 0)
			return &pod->volumes[i];
	ck_abort_msg("no volume %s", name);
	return NULL;
}

char *t_complaints(const struct sv_complaints *c)
{
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; i < c->n; i++)
		sv_buf_printf(&b, "%s%s%s%s", i ? "\n" : "", sv_category_name(c->items[i].category),
			      *c->items[i].field ? " " : "", c->items[i].field);
	return sv_buf_take(&b);
}

int t_lookup(void *arg, const char *ns, const char *name, struct sv_secret **ret,
	     struct sv_err *err)
{
	struct sv_secret **s;

	(void)err;
	for (s = arg; s && *s; s++)
		if (strcmp((*s)->ns, ns) == 0 && strcmp((*s)->name, name) == 0) {
			*ret = *s;
			return 0;
		}
	return SV_PLAN_E_NO_SECRET;
}

char *t_files(const struct sv_plan *plan)
{
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; i < plan->n_files; i++)
		sv_buf_printf(&b, "%s%s:%04o", i ? " " : "", plan->files[i].path,
			      plan->files[i].mode);
	return sv_buf_take(&b);
}

struct sv_plan *t_plan(const struct sv_pod *pod, const char *volume, struct sv_secret **secrets)
{
	struct sv_plan *plan = NULL;
	struct sv_err err = { "" };

	ck_assert_msg(sv_plan_make(pod, t_volume(pod, volume), 16 << 20, t_lookup, secrets, &plan,
				   &err) == 0,
		      "%s", err.msg);
	return plan;
}
