/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/validate.h"

void fuzz_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* ---- the input ----------------------------------------------------------------------------- */

bool fuzz_more(const struct fuzz_in *in)
{
	return in->at < in->end;
}

unsigned fuzz_below(struct fuzz_in *in, unsigned n)
{
	unsigned v = in->at < in->end ? *in->at++ : 0;

	if (n > 256)
		v = v << 8 | (in->at < in->end ? *in->at++ : 0);
	return n ? v % n : 0;
}

bool fuzz_one_in(struct fuzz_in *in, unsigned n)
{
	return fuzz_below(in, n) == n - 1; /* an input that is used up says no */
}

char *fuzz_string(struct fuzz_in *in, size_t max)
{
	size_t n = fuzz_below(in, (unsigned)max + 1), left = (size_t)(in->end - in->at), i;
	char *text;

	if (n > left)
		n = left;
	text = malloc(n + 1);
	MUST(text);
	for (i = 0; i < n; i++)
		text[i] = in->at[i] ? (char)in->at[i] : '0';
	text[n] = '\0';
	in->at += n;
	return text;
}

/* ---- texts and trees ----------------------------------------------------------------------- */

bool fuzz_is_printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (!sv_utf8_valid(text, strlen(text)))
		return false;
	for (; *s; s++)
		if (*s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0))
			return false;
	return true;
}

static bool same_number(struct json_object *a, struct json_object *b)
{
	if (json_object_get_type(a) == json_type_int && json_object_get_type(b) == json_type_int)
		return json_object_get_int64(a) == json_object_get_int64(b) &&
		       json_object_get_uint64(a) == json_object_get_uint64(b);
	return json_object_get_double(a) == json_object_get_double(b) ||
	       (isnan(json_object_get_double(a)) && isnan(json_object_get_double(b)));
}

bool fuzz_same_tree(struct json_object *a, struct json_object *b)
{
	enum json_type type = json_object_get_type(a);
	size_t i;

	if (type != json_object_get_type(b))
		return false;
	switch (type) {
	case json_type_null:
		return true;
	case json_type_boolean:
		return json_object_get_boolean(a) == json_object_get_boolean(b);
	case json_type_int:
	case json_type_double:
		return same_number(a, b);
	case json_type_string:
		return json_object_get_string_len(a) == json_object_get_string_len(b) &&
		       memcmp(json_object_get_string(a), json_object_get_string(b),
			      (size_t)json_object_get_string_len(a)) == 0;
	case json_type_array:
		if (json_object_array_length(a) != json_object_array_length(b))
			return false;
		for (i = 0; i < json_object_array_length(a); i++)
			if (!fuzz_same_tree(json_object_array_get_idx(a, i),
					    json_object_array_get_idx(b, i)))
				return false;
		return true;
	case json_type_object:
		break;
	}
	if (json_object_object_length(a) != json_object_object_length(b))
		return false;
	json_object_object_foreach (a, key, value) {
		struct json_object *other;

		if (!json_object_object_get_ex(b, key, &other) || !fuzz_same_tree(value, other))
			return false;
	}
	return true;
}

/* ---- manifests ----------------------------------------------------------------------------- */

static const char *const secret_names[] = { "s", "t", "s.t", "none" };
static const char *const volume_names[] = { "v", "w", "x" };
static const char *const keys[] = { "a", "b", "a.b", "A-b_c", "..x", ".x", "1", "k" };
static const char *const paths[] = { "a",     "a/b", "a/b/c", "./a", "b",    "a//b", "d/", "..x/y",
				     "a/..x", "a-b", "a.b/c", ".",   "../a", "/a",   "",   "A" };
static const char *const mount_paths[] = { "/a",     "/a/b",   "/a/b/c", "/a/b/../d", "a/..x",
					   "/a/..x", "/a/./b", "/",      "/a/a",      "//a//b/x" };
static const char *const env_names[] = { "A", "B", "C", "a.b", "x y", "D=" };
static const char *const env_values[] = {
	"$(A)", "$(A)$(A)$(A)$(A)", "$$(A)", "$(", "$(B)x$(C)", "plain", "$", "$$$", "$()", "$(a.b)"
};

/* As JSON; bytes that are not UTF-8 stand for themselves and make the text invalid. */
void fuzz_write_json_string(struct sv_buf *out, const char *text)
{
	sv_buf_puts(out, "\"");
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
			sv_buf_printf(out, "\\u%04x", (unsigned char)*text);
		else
			sv_buf_add(out, text, 1);
	sv_buf_puts(out, "\"");
}

/* A text of a list, or now and then one that nobody thought of. */
static void write_choice(struct fuzz_in *in, struct sv_buf *out, const char *name,
			 const char *const *list, size_t n)
{
	if (name)
		sv_buf_printf(out, "\"%s\":", name);
	if (fuzz_one_in(in, 16)) {
		sv_autofree char *text = fuzz_string(in, 40);

		fuzz_write_json_string(out, text);
	} else {
		fuzz_write_json_string(out, list[fuzz_below(in, (unsigned)n)]);
	}
}
#define WRITE_CHOICE(in, out, name, list) \
	write_choice(in, out, name, list, sizeof(list) / sizeof(*(list)))

static void write_optional(struct fuzz_in *in, struct sv_buf *out)
{
	if (fuzz_one_in(in, 3))
		sv_buf_puts(out, ",\"optional\":true");
}

static void write_mode(struct fuzz_in *in, struct sv_buf *out, const char *name)
{
	if (fuzz_one_in(in, 4))
		sv_buf_printf(out, ",\"%s\":%u", name,
			      fuzz_one_in(in, 8) ? fuzz_below(in, 5000) : fuzz_below(in, 512));
}

static void write_source(struct fuzz_in *in, struct sv_buf *out, const char *name)
{
	unsigned n = fuzz_below(in, 5), i;

	sv_buf_puts(out, "{");
	WRITE_CHOICE(in, out, name, secret_names);
	write_optional(in, out);
	if (strcmp(name, "secretName") == 0)
		write_mode(in, out, "defaultMode");
	if (n > 0)
		sv_buf_puts(out, ",\"items\":[");
	for (i = 0; i < n; i++) {
		sv_buf_puts(out, i ? ",{" : "{");
		WRITE_CHOICE(in, out, "key", keys);
		sv_buf_puts(out, ",");
		WRITE_CHOICE(in, out, "path", paths);
		write_mode(in, out, "mode");
		sv_buf_puts(out, "}");
	}
	sv_buf_puts(out, n > 0 ? "]}" : "}");
}

static void write_volumes(struct fuzz_in *in, struct sv_buf *out)
{
	unsigned n = fuzz_below(in, 4), i, j;

	sv_buf_puts(out, "\"volumes\":[{\"name\":\"e\"}");
	for (i = 0; i < n && i < 3; i++) {
		sv_buf_printf(out, ",{\"name\":\"%s\",", volume_names[i]);
		if (fuzz_one_in(in, 2)) {
			unsigned sources = fuzz_below(in, 4);

			sv_buf_puts(out, "\"projected\":{\"sources\":[");
			for (j = 0; j < sources; j++) {
				sv_buf_puts(out, j ? ",{\"secret\":" : "{\"secret\":");
				write_source(in, out, "name");
				sv_buf_puts(out, "}");
			}
			sv_buf_puts(out, "]");
			write_mode(in, out, "defaultMode");
			sv_buf_puts(out, "}}");
		} else {
			sv_buf_puts(out, "\"secret\":");
			write_source(in, out, "secretName");
			sv_buf_puts(out, "}");
		}
	}
	sv_buf_puts(out, "]");
}

static void write_mounts(struct fuzz_in *in, struct sv_buf *out)
{
	unsigned n = fuzz_below(in, 6), i;

	sv_buf_puts(out, ",\"volumeMounts\":[");
	for (i = 0; i < n; i++) {
		sv_buf_printf(out, "%s{\"name\":\"%s\",", i ? "," : "",
			      fuzz_one_in(in, 3) ? "e" : FUZZ_PICK(in, volume_names));
		WRITE_CHOICE(in, out, "mountPath", mount_paths);
		if (fuzz_one_in(in, 4)) {
			sv_buf_puts(out, ",");
			WRITE_CHOICE(in, out, "subPathExpr", env_values);
		}
		sv_buf_puts(out, "}");
	}
	sv_buf_puts(out, "]");
}

static void write_env(struct fuzz_in *in, struct sv_buf *out)
{
	unsigned n = fuzz_below(in, 4), i;
	size_t last = 0;

	sv_buf_puts(out, ",\"envFrom\":[");
	for (i = 0; i < n; i++) {
		sv_buf_puts(out, i ? ",{\"secretRef\":{" : "{\"secretRef\":{");
		WRITE_CHOICE(in, out, "name", secret_names);
		write_optional(in, out);
		sv_buf_puts(out, "}");
		if (fuzz_one_in(in, 3)) {
			sv_buf_puts(out, ",");
			WRITE_CHOICE(in, out, "prefix", env_names);
		}
		sv_buf_puts(out, "}");
	}
	n = fuzz_below(in, 32);
	sv_buf_puts(out, "],\"env\":[");
	for (i = 0; i < n; i++) {
		if (i > 0 && fuzz_one_in(in, 4)) { /* the same once more */
			sv_autofree char *copy = strdup(out->ptr + last);

			MUST(copy);
			sv_buf_puts(out, ",");
			last = out->len;
			sv_buf_puts(out, copy);
			continue;
		}
		sv_buf_puts(out, i ? "," : "");
		last = out->len;
		sv_buf_puts(out, "{");
		WRITE_CHOICE(in, out, "name", env_names);
		sv_buf_puts(out, ",");
		if (fuzz_one_in(in, 3)) {
			sv_buf_puts(out, "\"valueFrom\":{\"secretKeyRef\":{");
			WRITE_CHOICE(in, out, "name", secret_names);
			sv_buf_puts(out, ",");
			WRITE_CHOICE(in, out, "key", keys);
			write_optional(in, out);
			sv_buf_puts(out, "}}");
		} else if (fuzz_one_in(in, 8)) {
			static const char *const fields[] = {
				"metadata.name",       "metadata.uid",
				"spec.nodeName",       "metadata.labels['l']",
				"metadata.labels['']", "metadata.annotations['"
			};

			sv_buf_puts(out, "\"valueFrom\":{\"fieldRef\":{");
			WRITE_CHOICE(in, out, "fieldPath", fields);
			sv_buf_puts(out, "}}");
		} else {
			WRITE_CHOICE(in, out, "value", env_values);
		}
		sv_buf_puts(out, "}");
	}
	sv_buf_puts(out, "],\"command\":[");
	WRITE_CHOICE(in, out, NULL, env_values);
	sv_buf_puts(out, "]");
}

static void write_pod(struct fuzz_in *in, struct sv_buf *out)
{
	unsigned n = 1 + fuzz_below(in, 2), i;

	sv_buf_puts(out, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\","
			 "\"labels\":{\"l\":\"1\"}},\"spec\":{");
	if (fuzz_one_in(in, 4))
		sv_buf_printf(out, "\"securityContext\":{\"fsGroup\":%u},", fuzz_below(in, 3));
	write_volumes(in, out);
	sv_buf_puts(out, ",\"containers\":[");
	for (i = 0; i < n; i++) {
		sv_buf_printf(out, "%s{\"name\":\"c%u\",\"image\":\"i\"", i ? "," : "", i);
		write_mounts(in, out);
		write_env(in, out);
		sv_buf_puts(out, "}");
	}
	sv_buf_puts(out, "]}}\n");
}

static void write_secret(struct fuzz_in *in, struct sv_buf *out, const char *name)
{
	unsigned n = fuzz_below(in, 6), i;

	sv_buf_printf(out,
		      "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"%s\"},"
		      "\"data\":{\"k\":\"AEE=\"},\"stringData\":{",
		      name);
	for (i = 0; i < n; i++) {
		sv_autofree char *value = fuzz_string(in, 20);

		sv_buf_puts(out, i ? "," : "");
		fuzz_write_json_string(out, FUZZ_PICK(in, keys));
		sv_buf_puts(out, ":");
		fuzz_write_json_string(out, value);
	}
	sv_buf_puts(out, "}}\n");
}

void fuzz_write_manifest(struct fuzz_in *in, struct sv_buf *out)
{
	unsigned i;

	for (i = 0; i < 3; i++)
		if (!fuzz_one_in(in, 5))
			write_secret(in, out, secret_names[i]);
	write_pod(in, out);
}

int fuzz_lookup(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		struct sv_err *err)
{
	const struct sv_manifest *m = arg;
	size_t i;

	(void)err;
	for (i = 0; i < m->n_objects; i++) {
		struct sv_secret *s = m->objects[i].secret;

		if (s && strcmp(s->ns, ns) == 0 && strcmp(s->name, name) == 0) {
			*ret = s;
			return 0;
		}
	}
	return SV_PLAN_E_NO_SECRET;
}

/* ---- plans --------------------------------------------------------------------------------- */

/* Relative, cleaned, and nothing that the publisher needs for itself. */
static bool is_safe_path(const char *path)
{
	const char *s = path;

	if (!*path || strncmp(path, "..", 2) == 0 || strlen(path) > SV_PATH_USABLE_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(s, "/");

		if (n == 0 || n > SV_ELEMENT_MAX || (n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Every element of @a before the same element of @b: the order in which a tree is walked. */
static int compare_by_element(const char *a, const char *b)
{
	for (;;) {
		size_t n = strcspn(a, "/"), m = strcspn(b, "/");
		int r = memcmp(a, b, n < m ? n : m);

		if (r == 0 && n != m)
			r = n < m ? -1 : 1;
		if (r)
			return r;
		if (!a[n] || !b[m])
			return a[n] ? 1 : b[m] ? -1 : 0;
		a += n + 1;
		b += m + 1;
	}
}

static void check_order(const char *a, const char *b)
{
	MUST(compare_by_element(a, b) < 0); /* which also says that no two are equal */
}

void fuzz_check_plan(const struct sv_pod *pod, const struct sv_plan *plan, size_t limit)
{
	size_t i, j, size = 0;

	MUST(plan->fs_group == pod->fs_group);
	for (i = 0; i < plan->n_files; i++) {
		const struct sv_plan_file *f = &plan->files[i];

		MUST(is_safe_path(f->path));
		MUST((f->mode & ~(mode_t)0777) == 0);
		MUST(plan->fs_group < 0 || (f->mode & 0440) == 0440);
		MUST(f->value && f->size == f->value->len);
		if (i > 0)
			check_order(plan->files[i - 1].path, f->path);
		for (j = 0; j < plan->n_files; j++)
			MUST(!is_below(plan->files[j].path, f->path));
		for (j = 0; j < plan->n_secrets; j++)
			if (plan->secrets[j].name == f->secret)
				break;
		MUST(j < plan->n_secrets && plan->secrets[j].found);
		MUST(sv_secret_value(plan->secrets[j].secret, f->key) == f->value);
		MUST(strcmp(plan->secrets[j].secret->ns, pod->ns) == 0);
		size += f->size;
	}
	MUST(size == plan->size && size <= limit);
	for (i = 0; i < plan->n_dirs; i++) {
		MUST(is_safe_path(plan->dirs[i]));
		if (i > 0)
			check_order(plan->dirs[i - 1], plan->dirs[i]);
	}
}
