/* SPDX-License-Identifier: Apache-2.0 */
/* render - offline: what would be made of manifests, or why it would be refused */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/core/reconcile.h"
#include "../../lib/core/status.h"
#include "load.h"
#include "print.h"

#define OUTPUTS "table|json"
#define ROOT_DIR "/run/secretvold"

static struct sv_list opt_files;

struct render {
	struct sv_load load;
	const char *ns, *name; /* the one Pod that is wanted, or NULL */
	char *ns_buf;
	bool found, refused;
	struct json_object *items; /* for JSON, else NULL */
	struct sv_desired desired; /* for JSON: the Pods shown, and their Secrets */
};

/* A Pod's volume and what would become of it. */
struct result {
	const struct sv_pod *pod;
	const struct sv_volume *vol;
	enum sv_state state;
	const char *reason, *message;
	struct sv_plan *plan; /* NULL unless Published */
};

static int64_t group_of(const struct sv_plan *plan)
{
	return plan->fs_group >= 0 ? plan->fs_group : 0;
}

/* ---- JSON: what the daemon would show ---------------------------------------------------- */

static void know_secret(struct render *r, const char *ns, const char *name)
{
	struct sv_secret *s = sv_catalog_secret(r->load.catalog, ns, name);
	const struct sv_desired_secret *rec =
		sv_desired_secret(&r->desired, SV_ORIGIN_MANIFEST, ns, name);

	if (s && !(rec && rec->secret) &&
	    sv_desired_put_secret(&r->desired, SV_ORIGIN_MANIFEST, s, 0) < 0)
		sv_no_memory();
}

/* The Pod and its Secrets as the daemon would know them. */
static void know(struct render *r, struct sv_pod *pod)
{
	size_t i, k;

	if (sv_desired_put_pod(&r->desired, SV_ORIGIN_MANIFEST, pod, 0) < 0)
		sv_no_memory();
	for (i = 0; i < pod->n_volumes; i++)
		for (k = 0; k < pod->volumes[i].n_sources; k++)
			know_secret(r, pod->ns, pod->volumes[i].sources[k].name);
}

/* A volume before it is published: what only a daemon knows is not there. */
static void add_json(struct render *r, const struct result *res)
{
	const struct sv_status_env env = { .root = ROOT_DIR };
	sv_autofree char *id = sv_desired_id(res->pod, res->vol);
	struct sv_actual a = {
		.id = id,
		.ns = res->pod->ns,
		.pod = res->pod->name,
		.volume = res->vol->name,
		.uid = res->pod->uid,
		.type = res->vol->type,
		.origin = SV_ORIGIN_MANIFEST,
		.state = res->state,
		.reason = res->reason,
		.message = (char *)res->message,
		.last_error = res->state == SV_STATE_REFUSED ? (char *)res->message : NULL,
		.plan = res->plan,
		.mounted = res->plan != NULL,
		.input = true,
	};

	if (!id)
		sv_no_memory();
	sv_json_append(r->items, sv_status_volume(&r->desired, &a, &env));
}

static void print_json(struct json_object *list, const struct sv_load *l)
{
	struct json_object *problems = json_object_new_array();
	size_t i;

	for (i = 0; i < l->findings.n; i++)
		sv_json_append(problems, sv_status_problem(&l->findings.items[i]));
	sv_json_add(list, "problems", problems);
	if (!sv_json_is_whole(list))
		sv_no_memory();
	sv_print_tree(list, false);
}

/* ---- words ------------------------------------------------------------------------------ */

static void show(const struct result *r)
{
	static const char *const heads[] = { "PATH", "MODE", "OWNER", "SIZE", "FROM", NULL };
	sv_autofree char *name = sv_text("%s/%s/%s", r->pod->ns, r->pod->name, r->vol->name);
	sv_autofree char *shown = sv_printable(name), *message = sv_printable(r->message);
	const char *state = sv_state_name(r->state), *colour = sv_colour_of(state);
	sv_autotable struct sv_table t = { 0 };
	size_t i;

	printf("volume %s: %s%s%s", shown, colour, state, sv_colour_end(colour));
	if (*r->reason)
		printf(" (%s)", r->reason);
	printf("%s%s\n", *message ? ": " : "", message);
	if (!r->plan)
		return;
	sv_table_init(&t, heads, 2);
	for (i = 0; i < r->plan->n_files; i++) {
		const struct sv_plan_file *f = &r->plan->files[i];

		sv_table_add(&t, f->path);
		sv_table_addf(&t, "%04o", (unsigned)f->mode);
		sv_table_addf(&t, "0:%" PRId64, group_of(r->plan));
		sv_table_addf(&t, "%zu", f->size);
		sv_table_addf(&t, "%s/%s", f->secret, f->key);
	}
	for (i = 0; i < r->plan->n_dirs; i++) { /* where other volumes are mounted below this one */
		sv_table_addf(&t, "%s/", r->plan->dirs[i]);
		sv_table_addf(&t, "%04o", (unsigned)sv_plan_dir_mode(r->plan));
		sv_table_addf(&t, "0:%" PRId64, group_of(r->plan));
		sv_table_add(&t, "");
		sv_table_add(&t, "");
	}
	sv_table_show(&t);
}

/* ----------------------------------------------------------------------------------------- */

static void render_volume(struct render *r, const struct sv_pod *pod, const struct sv_volume *vol)
{
	struct result res = {
		.pod = pod, .vol = vol, .state = SV_STATE_PUBLISHED, .reason = "", .message = ""
	};
	sv_autoplan struct sv_plan *plan = NULL;
	sv_autofree char *words = NULL;
	struct sv_err err = { "" };
	int rc;

	if (!sv_pod_mounts(pod, vol->name)) {
		res.state = SV_STATE_UNUSED;
		res.message = "no container mounts it";
	} else {
		rc = sv_plan_make(pod, vol, SV_LOAD_VOLUME_MAX, sv_load_secret, &r->load, &plan,
				  &err);
		if (rc < 0)
			sv_no_memory();
		if (rc > 0) {
			res.state = SV_STATE_REFUSED;
			res.reason = sv_reconcile_reason(rc);
			res.message = err.msg;
			r->refused = true;
		} else if (!r->items) {
			words = sv_text("%zu file%s, %zu byte%s", plan->n_files,
					plan->n_files == 1 ? "" : "s", plan->size,
					plan->size == 1 ? "" : "s");
			res.message = words;
		}
		res.plan = plan;
	}
	if (r->items)
		add_json(r, &res);
	else
		show(&res);
}

static void render_pod(void *arg, struct sv_pod *pod)
{
	struct render *r = arg;
	bool any = false;
	size_t i;

	if (r->ns && strcmp(r->ns, pod->ns) != 0)
		return;
	if (r->name && strcmp(r->name, pod->name) != 0)
		return;
	r->found = true;
	if (r->items)
		know(r, pod);
	for (i = 0; i < pod->n_volumes && !pod->terminated; i++) {
		if (pod->volumes[i].type == SV_VOLUME_OTHER)
			continue;
		any = true;
		render_volume(r, pod, &pod->volumes[i]);
	}
	if (!any && !r->items) {
		sv_autofree char *name = sv_text("%s/%s", pod->ns, pod->name);
		sv_autofree char *shown = sv_printable(name);

		printf("pod %s: %s\n", shown,
		       pod->terminated ? "it has terminated: no volumes" :
					 "it has no volumes of Secrets");
	}
}

/* Is it about the Pod that the user asked for, or about anything if no Pod was named? */
static bool is_wanted(const struct render *r, const struct sv_problem *f)
{
	if (r->ns && strcmp(r->ns, f->ns) != 0)
		return false;
	return !r->name || (strcmp(f->kind, "Pod") == 0 && strcmp(r->name, f->name) == 0);
}

/*
 * What is wrong with the files stands on stderr: stdout is what would be made. A file that could
 * not be read is named in any case, since whatever one looks for may have been in it.
 */
static void show_findings(struct render *r)
{
	size_t i;

	for (i = 0; i < r->load.findings.n; i++) {
		const struct sv_problem *f = &r->load.findings.items[i];
		sv_autofree char *text = sv_finding_text(f);
		sv_autofree char *shown = sv_printable(text);
		bool wanted = is_wanted(r, f);

		if (wanted || (!*f->kind && !*f->name))
			fprintf(stderr, "%s\n", shown);
		if (!wanted)
			continue;
		r->refused = r->refused || !f->warning;
		r->found = r->found || r->name;
	}
}

static int render(struct render *r, bool json)
{
	struct json_object *list = NULL;
	int code;

	code = sv_load(&opt_files, &r->load);
	if (code)
		return code;
	if (json) {
		list = sv_status_list("VolumeList", &r->items);
		if (!list)
			sv_no_memory();
	}
	sv_catalog_each_pod(r->load.catalog, render_pod, r);
	if (json)
		print_json(list, &r->load);
	json_object_put(list);
	(void)sv_flush();
	show_findings(r);
	if (r->name && !r->found)
		return sv_fail(SV_EXIT_NOT_FOUND, "pod \"%s\" not found in namespace \"%s\"",
			       r->name, r->ns);
	return r->refused ? SV_EXIT_NOT_PUBLISHED : SV_EXIT_DONE;
}

static int run(int argc, char **argv)
{
	struct render r = { .name = NULL };
	int code, out = sv_opt_choice("-o", sv_options.output, OUTPUTS, 0);
	const char *slash;

	if (out < 0)
		return SV_EXIT_USAGE;
	if (argc > 1)
		return sv_fail_usage("too many arguments: '%s'", argv[1]);
	r.ns = sv_options.ns;
	if (argc > 0) {
		slash = strchr(argv[0], '/');
		r.name = slash ? slash + 1 : argv[0];
		if (slash) {
			r.ns_buf = sv_text("%.*s", (int)(slash - argv[0]), argv[0]);
			if (sv_options.ns && strcmp(r.ns_buf, sv_options.ns) != 0) {
				free(r.ns_buf);
				return sv_fail_usage(
					"'%s' is not in the namespace '%s' of option '-n'", argv[0],
					sv_options.ns);
			}
			r.ns = r.ns_buf;
		} else if (!r.ns) {
			r.ns = "default";
		}
	}
	sv_desired_init(&r.desired, NULL, NULL);
	code = render(&r, out == 1);
	sv_desired_done(&r.desired);
	sv_load_done(&r.load);
	free(r.ns_buf);
	return code;
}

static const struct sv_opt opts[] = {
	{ "filename", &opt_files, "FILE|DIR", "manifests; may be repeated, - reads stdin",
	  SV_OPT_LIST, 'f' },
	{ "namespace", &sv_options.ns, "NS", "of POD (default: default), or the only one",
	  SV_OPT_TEXT, 'n' },
	SV_OPT_OUTPUT(OUTPUTS),
	SV_OPT_END,
};

const struct sv_verb sv_verb_render = {
	.name = "render",
	.args = "-f FILE|DIR [-f ...] [POD] [OPTION...]",
	.summary = "Show offline what would be made of manifests, or why it would be refused",
	.details =
		"No daemon is needed, and none is asked. Complaints about the files are on stderr.\n"
		"Exit code 5 if something would be refused.",
	.opts = opts,
	.run = run,
};
