/* SPDX-License-Identifier: Apache-2.0 */
/* render - offline: what would be made of manifests, or why it would be refused */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/core/reconcile.h"
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
};

/* A Pod's volume and what would become of it. */
struct result {
	const struct sv_pod *pod;
	const struct sv_volume *vol;
	const char *state, *reason, *message;
	const struct sv_plan *plan; /* NULL unless Published */
};

/* ---- JSON, in the shape of the status --------------------------------------------------- */

static void put(struct json_object *o, const char *key, struct json_object *value)
{
	if (!value || json_object_object_add(o, key, value) < 0)
		sv_no_memory();
}

static void put_text(struct json_object *o, const char *key, const char *value)
{
	put(o, key, json_object_new_string(value));
}

static void put_int(struct json_object *o, const char *key, int64_t value)
{
	put(o, key, json_object_new_int64(value));
}

static void put_bool(struct json_object *o, const char *key, bool value)
{
	put(o, key, json_object_new_boolean(value));
}

static struct json_object *new_object(void)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		sv_no_memory();
	return o;
}

static struct json_object *new_array(void)
{
	struct json_object *a = json_object_new_array();

	if (!a)
		sv_no_memory();
	return a;
}

static struct json_object *add_object(struct json_object *array)
{
	struct json_object *o = new_object();

	if (json_object_array_add(array, o) < 0)
		sv_no_memory();
	return o;
}

static int64_t group_of(const struct sv_plan *plan)
{
	return plan->fs_group >= 0 ? plan->fs_group : 0;
}

static void put_mode(struct json_object *o, mode_t mode)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%04o", (unsigned)mode);
	put_text(o, "mode", text);
}

static struct json_object *json_secrets(struct sv_load *l, const struct result *r)
{
	struct json_object *list = new_array();
	size_t i;

	for (i = 0; i < r->vol->n_sources; i++) {
		const struct sv_secret_source *s = &r->vol->sources[i];
		const struct sv_secret *found = sv_catalog_secret(l->catalog, r->pod->ns, s->name);
		struct json_object *o = add_object(list);

		put_text(o, "name", s->name);
		put_text(o, "resourceVersion", found ? found->resource_version : "");
		put_bool(o, "optional", s->optional);
		put_bool(o, "found", found != NULL);
	}
	return list;
}

static struct json_object *json_files(const struct sv_plan *plan)
{
	struct json_object *list = new_array();
	size_t i;

	for (i = 0; plan && i < plan->n_files; i++) {
		const struct sv_plan_file *f = &plan->files[i];
		struct json_object *o = add_object(list);

		put_text(o, "path", f->path);
		put_text(o, "secret", f->secret);
		put_text(o, "key", f->key);
		put_mode(o, f->mode);
		put_int(o, "uid", 0);
		put_int(o, "gid", group_of(plan));
		put_int(o, "size", (int64_t)f->size);
	}
	return list;
}

static struct json_object *json_directories(const struct sv_plan *plan)
{
	struct json_object *list = new_array();
	size_t i;

	for (i = 0; plan && i < plan->n_dirs; i++) {
		struct json_object *o = add_object(list);

		put_text(o, "path", plan->dirs[i]);
		put_mode(o, sv_plan_dir_mode(plan));
	}
	return list;
}

static struct json_object *json_mounts(const struct result *r)
{
	struct json_object *list = new_array();
	size_t i, k;

	for (i = 0; i < r->pod->n_containers; i++) {
		const struct sv_container *c = &r->pod->containers[i];

		for (k = 0; k < c->n_mounts; k++) {
			const struct sv_mount *m = &c->mounts[k];
			struct json_object *o;

			if (strcmp(m->volume, r->vol->name) != 0)
				continue;
			o = add_object(list);
			put_text(o, "container", c->name);
			put_text(o, "mountPath", m->path);
			put_bool(o, "readOnly", m->read_only);
			put_text(o, "subPath", *m->sub_path ? m->sub_path : m->sub_path_expr);
		}
	}
	return list;
}

static const char *type_of(const struct sv_volume *vol)
{
	return vol->type == SV_VOLUME_PROJECTED ? "projected" : "secret";
}

static void add_json(struct render *r, const struct result *res)
{
	struct json_object *o = add_object(r->items);
	sv_autofree char *path = sv_text("%s/pods/%s/volumes/kubernetes.io~%s/%s", ROOT_DIR,
					 res->pod->uid, type_of(res->vol), res->vol->name);

	put_text(o, "namespace", res->pod->ns);
	put_text(o, "pod", res->pod->name);
	put_text(o, "podUid", res->pod->uid);
	put_text(o, "volume", res->vol->name);
	put_text(o, "type", type_of(res->vol));
	put_text(o, "source", sv_origin_name(SV_ORIGIN_MANIFEST));
	put_text(o, "state", res->state);
	put_text(o, "reason", res->reason);
	put_text(o, "message", res->message);
	put_text(o, "path", path);
	put(o, "secrets", json_secrets(&r->load, res));
	put(o, "files", json_files(res->plan));
	put(o, "directories", json_directories(res->plan));
	put(o, "mounts", json_mounts(res));
}

static void put_problems(struct json_object *list, const struct sv_load *l)
{
	struct json_object *problems = new_array();
	size_t i;

	for (i = 0; i < l->findings.n; i++) {
		const struct sv_finding *f = &l->findings.items[i];
		struct json_object *o = add_object(problems);

		put_text(o, "source", sv_origin_name(SV_ORIGIN_MANIFEST));
		put_text(o, "file", f->file);
		put_int(o, "line", f->line);
		put_text(o, "kind", f->kind);
		put_text(o, "namespace", f->ns);
		put_text(o, "name", f->name);
		put_text(o, "field", f->field);
		put_text(o, "category", f->category);
		put_text(o, "severity", f->warning ? "warning" : "error");
		put_text(o, "reason", f->reason);
		put_text(o, "message", f->message);
	}
	put(list, "problems", problems);
}

/* ---- words ------------------------------------------------------------------------------ */

static void show(const struct result *r)
{
	static const char *const heads[] = { "PATH", "MODE", "OWNER", "SIZE", "FROM", NULL };
	sv_autofree char *name = sv_text("%s/%s/%s", r->pod->ns, r->pod->name, r->vol->name);
	sv_autofree char *shown = sv_printable(name), *message = sv_printable(r->message);
	const char *colour = sv_colour_of(r->state);
	sv_autotable struct sv_table t = { 0 };
	size_t i;

	printf("volume %s: %s%s%s", shown, colour, r->state, sv_colour_end(colour));
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
		.pod = pod, .vol = vol, .state = "Published", .reason = "", .message = ""
	};
	sv_autoplan struct sv_plan *plan = NULL;
	sv_autofree char *words = NULL;
	struct sv_err err = { "" };
	int rc;

	if (!sv_pod_mounts(pod, vol->name)) {
		res.state = "Unused";
		res.message = "no container mounts it";
	} else {
		rc = sv_plan_make(pod, vol, SV_LOAD_VOLUME_MAX, sv_load_secret, &r->load, &plan,
				  &err);
		if (rc < 0)
			sv_no_memory();
		if (rc > 0) {
			res.state = "Refused";
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
static bool is_wanted(const struct render *r, const struct sv_finding *f)
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
		const struct sv_finding *f = &r->load.findings.items[i];
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
		list = new_object();
		put_text(list, "apiVersion", "secretvold/v1");
		put_text(list, "kind", "VolumeList");
		r->items = new_array();
		put(list, "items", r->items);
	}
	sv_catalog_each_pod(r->load.catalog, render_pod, r);
	if (json) {
		put_problems(list, &r->load);
		sv_print_tree(list, false);
		json_object_put(list);
	}
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
	code = render(&r, out == 1);
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
