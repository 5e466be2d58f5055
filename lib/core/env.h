/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env - container + Secrets to NAME=value: envFrom, then env; $(VAR)
 * Pure: rules R63-R73, names by the newest rule (R87) unless strict ones are asked for (R68).
 */
#ifndef SV_CORE_ENV_H
#define SV_CORE_ENV_H

#include "../base/err.h"
#include "object.h"
#include "plan.h"

struct sv_env_entry {
	char *name;
	struct sv_bytes value; /* byte for byte (R72): may hold NUL or be no UTF-8 */
};

/* Bytes of all names and values, command and args; beyond what a kernel gives a process (6 MiB). */
#define SV_ENV_SIZE_MAX (16 << 20)

/* A Secret that values were taken from, or would have been. */
struct sv_env_secret {
	char *name;
	struct sv_secret *secret; /* counted; NULL: optional and not there */
};

struct sv_env {
	struct sv_env_entry
		*entries; /* names are unique; in the order in which they first appeared */
	size_t n_entries;
	struct sv_env_secret *secrets; /* each once */
	size_t n_secrets;
	char **notices; /* the kubelet's text for names that strict rules skip (R68) */
	size_t n_notices;
	char **command,
		**args; /* expanded (R70), NULL-terminated; NULL where the container has none */
};

struct sv_env_opts {
	bool strict_names;     /* R68 */
	const char *node_name; /* for spec.nodeName of a Pod that does not say */
};

/**
 * sv_env_make() - the environment of a container
 * @c:   a container of @pod; borrowed
 * @ret: the result, owned by the caller; untouched unless 0 is returned
 * @err: the kubelet's text (R71); never holds a value
 *
 * Kinds of sources that are not ours (ConfigMaps, resource fields, other fields) are
 * refused by name with SV_PLAN_E_UNSUPPORTED. References can multiply what they stand for: what
 * exceeds SV_ENV_SIZE_MAX is SV_PLAN_E_TOO_LARGE.
 *
 * Return: 0, a SV_PLAN_E_* refusal, or -ENOMEM.
 */
int sv_env_make(const struct sv_pod *pod, const struct sv_container *c,
		const struct sv_env_opts *opts, sv_secret_lookup lookup, void *arg,
		struct sv_env **ret, struct sv_err *err);

/*
 * The Secrets that a container's environment names, each once: a new array of strings that are
 * borrowed from @c. Return: 0 or -ENOMEM.
 */
int sv_env_secret_names(const struct sv_container *c, const char ***ret, size_t *n);

/* Wipes and frees; NULL is fine. */
void sv_env_free(struct sv_env *env);

/* The value of a name, borrowed, or NULL. */
const struct sv_bytes *sv_env_get(const struct sv_env *env, const char *name);

/**
 * sv_env_sub_path() - the path that a mount's subPathExpr stands for (R19)
 * @ret: a new string
 *
 * A variable that is not there or empty is an error, as in the kubelet. The
 * result is checked like a subPath, and is no longer than a path may be.
 *
 * Return: 0, SV_PLAN_E_PATH, or -ENOMEM.
 */
int sv_env_sub_path(const struct sv_env *env, const char *expr, char **ret, struct sv_err *err);

SV_AUTO(env, struct sv_env, sv_env_free)
#define sv_autoenv __attribute__((cleanup(sv_cleanup_env)))

#endif
