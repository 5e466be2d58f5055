/* SPDX-License-Identifier: Apache-2.0 */
/* check - offline: what the daemon would complain about */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "../../lib/core/env.h"
#include "load.h"

static struct sv_list opt_files;
static bool opt_strict;

/* Not there at all, so that it may come from elsewhere: one that is there and refused was named already. */
static bool is_missing(struct sv_load *l, const char *ns, const char *name)
{
	return !sv_catalog_secret(l->catalog, ns, name) &&
	       !sv_catalog_refused(l->catalog, ns, name);
}

/* Would the volume be refused for what is in the files? Secrets that are not are taken as in order. */
static void check_volume(struct sv_load *l, const struct sv_pod *pod, const struct sv_volume *vol)
{
	struct sv_secret_source *sources = calloc(vol->n_sources + 1, sizeof(*sources));
	sv_autoplan struct sv_plan *plan = NULL;
	struct sv_volume known = *vol;
	struct sv_err err = { "" };
	size_t i, n = 0;
	int r;

	if (!sources)
		sv_no_memory();
	for (i = 0; i < vol->n_sources; i++) {
		const struct sv_secret_source *s = &vol->sources[i];

		if (sv_catalog_secret(l->catalog, pod->ns, s->name))
			sources[n++] = *s;
		else if (opt_strict && !s->optional && is_missing(l, pod->ns, s->name))
			sv_load_find(l, pod, "SecretNotFound",
				     "volume \"%s\": secret \"%s\" not found", vol->name, s->name);
	}
	known.sources = sources;
	known.n_sources = n;
	r = sv_plan_make(pod, &known, SV_LOAD_VOLUME_MAX, sv_load_secret, l, &plan, &err);
	free(sources);
	if (r < 0)
		sv_no_memory();
	if (r > 0)
		sv_load_find(l, pod, "Refused", "volume \"%s\": %s", vol->name, err.msg);
}

static void check_reference(struct sv_load *l, const struct sv_pod *pod, const char *container,
			    const char *secret, const char *key)
{
	const struct sv_secret *s = sv_catalog_secret(l->catalog, pod->ns, secret);

	if (s && key && !sv_secret_key(s, key))
		sv_load_find(l, pod, "KeyNotFound",
			     "container \"%s\": couldn't find key %s in Secret %s/%s", container,
			     key, pod->ns, secret);
	else if (!s && opt_strict && is_missing(l, pod->ns, secret))
		sv_load_find(l, pod, "SecretNotFound", "container \"%s\": secret \"%s\" not found",
			     container, secret);
}

/* Can an environment be made of this part of the container's, which has no Secret in it? */
static void check_part(struct sv_load *l, const struct sv_pod *pod, const struct sv_container *part)
{
	static const struct sv_env_opts opts = { false, NULL };
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };
	int r = sv_env_make(pod, part, &opts, NULL, NULL, &env, &err);

	if (r < 0)
		sv_no_memory();
	if (r > 0)
		sv_load_find(l, pod, "UnsupportedSource", "container \"%s\": %s", part->name,
			     err.msg);
}

static void check_environment(struct sv_load *l, const struct sv_pod *pod,
			      const struct sv_container *c)
{
	struct sv_container part = { .name = c->name };
	size_t i;

	for (i = 0; i < c->n_env_from; i++) {
		part.env_from = &c->env_from[i];
		part.n_env_from = 1;
		if (!part.env_from->secret)
			check_part(l, pod, &part);
		else if (!part.env_from->optional)
			check_reference(l, pod, c->name, part.env_from->secret, NULL);
	}
	part.n_env_from = 0;
	for (i = 0; i < c->n_env; i++) {
		part.env = &c->env[i];
		part.n_env = 1;
		if (part.env->kind != SV_ENV_SECRET_KEY)
			check_part(l, pod, &part);
		else if (!part.env->optional)
			check_reference(l, pod, c->name, part.env->ref, part.env->key);
	}
}

static void check_pod(void *arg, struct sv_pod *pod)
{
	struct sv_load *l = arg;
	size_t i;

	if (pod->terminated)
		return;
	for (i = 0; i < pod->n_volumes; i++)
		if (pod->volumes[i].type != SV_VOLUME_OTHER &&
		    sv_pod_mounts(pod, pod->volumes[i].name))
			check_volume(l, pod, &pod->volumes[i]);
	for (i = 0; i < pod->n_containers; i++)
		check_environment(l, pod, &pod->containers[i]);
}

static int run(int argc, char **argv)
{
	sv_autoload struct sv_load l = { 0 };
	size_t i;
	int r;

	if (argc > 0)
		return sv_fail_usage("too many arguments: '%s'", argv[0]);
	r = sv_load(&opt_files, &l);
	if (r)
		return r;
	sv_catalog_each_pod(l.catalog, check_pod, &l);
	sv_load_sort(&l);
	for (i = 0; i < l.findings.n; i++) {
		sv_autofree char *text = sv_finding_text(&l.findings.items[i]);
		sv_autofree char *shown = sv_printable(text);

		puts(shown);
	}
	return l.findings.n > 0 ? SV_EXIT_FAILED : SV_EXIT_DONE;
}

static const struct sv_opt opts[] = {
	{ "filename", &opt_files, "FILE|DIR", "manifests; may be repeated, - reads stdin",
	  SV_OPT_LIST, 'f' },
	{ "strict", &opt_strict, NULL, "a Secret that is not in the files is a complaint too",
	  SV_OPT_FLAG, 0 },
	SV_OPT_END,
};

const struct sv_verb sv_verb_check = {
	.name = "check",
	.args = "-f FILE|DIR [-f ...] [--strict]",
	.summary = "Check manifests offline: print what is wrong, one complaint a line",
	.details = "Exit code 1 if there are complaints. No daemon is needed, and none is asked.",
	.opts = opts,
	.run = run,
};
