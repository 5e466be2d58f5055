/* SPDX-License-Identifier: Apache-2.0 */
/* Environments of generated Pods: names are valid and unique, sizes bounded, values those of R65-R69. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/env.h"
#include "../../lib/core/validate.h"
#include "fuzz.h"

static bool is_of_a_secret(const struct sv_env *env, const struct sv_bytes *value)
{
	size_t i, j;

	for (i = 0; i < env->n_secrets; i++)
		for (j = 0; env->secrets[i].secret && j < env->secrets[i].secret->n_keys; j++)
			if (sv_bytes_equal(&env->secrets[i].secret->data->values[j], value))
				return true;
	return false;
}

/* The last entry of env that certainly sets a name decides where its value comes from. */
static void check_source(const struct sv_container *c, const struct sv_env *env,
			 const struct sv_env_entry *e)
{
	size_t i;

	for (i = c->n_env; i > 0; i--) {
		const struct sv_env_var *var = &c->env[i - 1];

		if (strcmp(var->name, e->name) != 0)
			continue;
		if (var->kind == SV_ENV_VALUE && !strchr(var->value, '$'))
			MUST(e->value.len == strlen(var->value) &&
			     memcmp(e->value.ptr ? (void *)e->value.ptr : "", var->value,
				    e->value.len) == 0);
		if (var->kind == SV_ENV_SECRET_KEY && !var->optional)
			MUST(is_of_a_secret(env, &e->value));
		return;
	}
	MUST(is_of_a_secret(env, &e->value)); /* envFrom */
}

static void check_list(char *const *from, char *const *to)
{
	size_t i;

	MUST(!from == !to);
	for (i = 0; from && from[i]; i++)
		MUST(to[i] && (strchr(from[i], '$') || strcmp(from[i], to[i]) == 0));
	MUST(!from || !to[i]);
}

static void check_env(const struct sv_container *c, const struct sv_env *env, bool strict)
{
	size_t i, j, total = 0;

	for (i = 0; i < env->n_entries; i++) {
		const struct sv_env_entry *e = &env->entries[i];

		MUST(!sv_check_env_name_relaxed(e->name));
		MUST(!strict || !sv_check_env_name(e->name));
		for (j = 0; j < i; j++)
			MUST(strcmp(env->entries[j].name, e->name) != 0);
		MUST(sv_env_get(env, e->name) == &e->value);
		check_source(c, env, e);
		total += strlen(e->name) + e->value.len;
	}
	MUST(total <= SV_ENV_SIZE_MAX);
	for (i = 0; i < env->n_notices; i++)
		MUST(strict && fuzz_is_printable(env->notices[i]));
	check_list(c->command, env->command);
	check_list(c->args, env->args);
}

static void check_sub_paths(const struct sv_container *c, const struct sv_env *env)
{
	size_t i;

	for (i = 0; i < c->n_mounts; i++) {
		sv_autofree char *path = NULL;
		struct sv_err err = { "" };
		int r = sv_env_sub_path(env, c->mounts[i].sub_path_expr, &path, &err);

		MUST(r == 0 || (r == SV_PLAN_E_PATH && *err.msg && fuzz_is_printable(err.msg)));
		MUST(r || !sv_check_sub_path(path));
	}
}

static void check_pod(struct sv_manifest *m, const struct sv_pod *pod, bool strict)
{
	const struct sv_env_opts opts = { .strict_names = strict, .node_name = "n" };
	size_t i;

	for (i = 0; i < pod->n_containers; i++) {
		sv_autoenv struct sv_env *env = NULL;
		struct sv_err err = { "" };
		int r = sv_env_make(pod, &pod->containers[i], &opts, fuzz_lookup, m, &env, &err);

		MUST(r >= 0 && !env == (r != 0));
		MUST(fuzz_is_printable(err.msg) && (r == 0 || *err.msg));
		if (!env)
			continue;
		check_env(&pod->containers[i], env, strict);
		check_sub_paths(&pod->containers[i], env);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, data + size };
	bool strict = fuzz_one_in(&in, 2);
	struct sv_decode_opts opts = { .strict_env_names = strict };
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	sv_autobuf struct sv_buf text = { 0 };
	struct sv_err err = { "" };
	size_t i;

	fuzz_write_manifest(&in, &text);
	MUST(!text.failed);
	if (sv_manifest_parse(text.ptr, text.len, SV_FORMAT_JSON, &opts, &m, &err, NULL) != 0)
		return 0;
	for (i = 0; i < m.n_objects; i++)
		if (m.objects[i].pod)
			check_pod(&m, m.objects[i].pod, strict);
	return 0;
}
