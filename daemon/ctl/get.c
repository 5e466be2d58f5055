/* SPDX-License-Identifier: Apache-2.0 */
/* get - volumes, pods and Secrets as tables or as the daemon's own JSON */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "print.h"
#include "target.h"

enum output { OUT_TABLE, OUT_WIDE, OUT_JSON, OUT_YAML, OUT_NAME };
#define OUTPUTS "table|wide|json|yaml|name"

struct get {
	struct sv_target target;
	enum output output;
	const char *heads[16]; /* of the table, NULL ends them */
	struct sv_table table;
	bool synced, found; /* of a watch */
};

/* ---- rows ------------------------------------------------------------------------------- */

static void volume_row(struct sv_table *t, struct json_object *o, bool wide, const char *state)
{
	char age[SV_AGE_MAX];

	sv_table_addf(t, "%s/%s", sv_str(o, "pod"), sv_str(o, "volume"));
	sv_table_add_state(t, state ? state : sv_str(o, "state"));
	sv_table_add(t, sv_str(o, "reason"));
	sv_table_addf(t, "%zu", sv_count(o, "files"));
	sv_table_addf(t, "%" PRId64, sv_int(o, "generation"));
	sv_age(age, sv_str(o, "updatedAt"));
	sv_table_add(t, age);
	if (!wide)
		return;
	sv_table_add(t, sv_str(o, "type"));
	sv_table_add(t, sv_str(o, "swapSafe"));
	sv_table_add(t, sv_str(o, "path"));
	sv_table_add(t, sv_str(o, "message"));
}

static void pod_row(struct sv_table *t, struct json_object *o, bool wide, const char *state)
{
	sv_autobuf struct sv_buf volumes = { 0 };
	char age[SV_AGE_MAX];
	size_t i;

	sv_table_add(t, sv_str(o, "name"));
	sv_table_addf(t, "%" PRId64 "/%" PRId64, sv_int(o, "ready"), sv_int(o, "wanted"));
	sv_table_add_state(t, state ? state : sv_str(o, "state"));
	sv_table_add(t, sv_str(o, "reason"));
	sv_table_add(t, sv_str(o, "source"));
	sv_age(age, sv_str(o, "createdAt"));
	sv_table_add(t, age);
	if (!wide)
		return;
	for (i = 0; i < sv_count(o, "volumes"); i++)
		sv_buf_printf(&volumes, "%s%s", i ? "," : "",
			      sv_str(sv_element(o, "volumes", i), "name"));
	sv_table_add(t, sv_str(o, "uid"));
	sv_table_addf(t, "%s", volumes.ptr ? volumes.ptr : "");
}

static void secret_row(struct sv_table *t, struct json_object *o, bool wide, const char *state)
{
	sv_autobuf struct sv_buf users = { 0 };
	size_t n = sv_count(o, "usedBy"), i;
	int64_t size = 0;
	char age[SV_AGE_MAX];

	(void)state; /* Secrets have none */
	for (i = 0; i < n && (i < 3 || wide); i++) {
		struct json_object *u = sv_element(o, "usedBy", i);

		sv_buf_printf(&users, "%s%s/%s", i ? "," : "", sv_str(u, "pod"),
			      sv_str(u, "volume"));
	}
	if (i < n)
		sv_buf_printf(&users, " + %zu more...", n - i);
	sv_table_add(t, sv_str(o, "name"));
	sv_table_add(t, sv_str(o, "type"));
	sv_table_addf(t, "%zu", sv_count(o, "keys"));
	sv_table_add(t, sv_bool(o, "immutable") ? "true" : "false");
	sv_table_addf(t, "%s", users.ptr ? users.ptr : "");
	sv_age(age, sv_str(o, "updatedAt"));
	sv_table_add(t, age);
	if (!wide)
		return;
	for (i = 0; i < sv_count(o, "keys"); i++)
		size += sv_int(sv_element(o, "keys", i), "size");
	sv_table_addf(t, "%" PRId64, size);
	sv_table_add(t, sv_str(o, "source"));
	sv_table_add(t, sv_str(o, "resourceVersion"));
}

static const struct {
	void (*row)(struct sv_table *t, struct json_object *o, bool wide, const char *state);
	const char *heads[7], *wide[5];
} columns[SV_N_TARGETS] = {
	[SV_TARGET_VOLUME] = { volume_row,
			       { "NAME", "STATE", "REASON", "FILES", "GENERATION", "UPDATED" },
			       { "TYPE", "SWAP", "PATH", "MESSAGE" } },
	[SV_TARGET_POD] = { pod_row,
			    { "NAME", "READY", "STATE", "REASON", "SOURCE", "AGE" },
			    { "UID", "VOLUMES" } },
	[SV_TARGET_SECRET] = { secret_row,
			       { "NAME", "TYPE", "KEYS", "IMMUTABLE", "USED-BY", "AGE" },
			       { "SIZE", "SOURCE", "VERSION" } },
};

static void set_up_table(struct get *g)
{
	enum sv_target_kind k = g->target.kind;
	size_t n = 0, i;

	if (!g->target.ns)
		g->heads[n++] = "NAMESPACE";
	for (i = 0; columns[k].heads[i]; i++)
		g->heads[n++] = columns[k].heads[i];
	for (i = 0; g->output == OUT_WIDE && columns[k].wide[i]; i++)
		g->heads[n++] = columns[k].wide[i];
	sv_table_init(&g->table, g->heads, 0);
}

static void add_row(struct get *g, struct json_object *o, const char *state)
{
	if (!g->target.ns)
		sv_table_add(&g->table, sv_str(o, "namespace"));
	columns[g->target.kind].row(&g->table, o, g->output == OUT_WIDE, state);
}

static void print_name(struct get *g, struct json_object *o)
{
	sv_autofree char *pod = sv_printable(sv_str(o, "pod"));
	sv_autofree char *name =
		sv_printable(sv_str(o, g->target.kind == SV_TARGET_VOLUME ? "volume" : "name"));

	if (g->target.kind == SV_TARGET_VOLUME)
		printf("volume/%s/%s\n", pod, name);
	else
		printf("%s/%s\n", sv_target_singular(g->target.kind), name);
}

/* ---- once ------------------------------------------------------------------------------- */

/* Take what the user does not mean out of the list. */
static int narrow_down(struct get *g, struct json_object *list, struct json_object *items)
{
	struct json_object *kept = json_object_new_array();
	size_t i, n = json_object_array_length(items);

	if (!kept)
		sv_no_memory();
	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(items, i);

		if (sv_target_has(&g->target, o) &&
		    json_object_array_add(kept, json_object_get(o)) < 0)
			sv_no_memory();
	}
	n = json_object_array_length(kept);
	if (json_object_object_add(list, "items", kept) < 0)
		sv_no_memory();
	return n > 0 || !g->target.name ? 0 : sv_target_not_found(&g->target);
}

static int get_once(struct get *g)
{
	sv_autotree struct json_object *list = NULL;
	sv_autofree char *path = sv_target_path(&g->target, false);
	struct json_object *items;
	size_t i, n;
	int r;

	r = sv_api_list(path, &list, &items);
	if (!r)
		r = narrow_down(g, list, items);
	if (r)
		return r;
	if (g->output == OUT_JSON || g->output == OUT_YAML) {
		sv_print_tree(list, g->output == OUT_YAML);
		return SV_EXIT_DONE;
	}

	n = sv_count(list, "items");
	for (i = 0; i < n; i++) {
		struct json_object *o = sv_element(list, "items", i);

		if (g->output == OUT_NAME)
			print_name(g, o);
		else
			add_row(g, o, NULL);
	}
	if (g->output != OUT_NAME)
		sv_table_show(&g->table);
	if (n == 0 && g->target.ns) {
		sv_autofree char *ns = sv_printable(g->target.ns);

		fprintf(stderr, "No resources found in %s namespace.\n", ns);
	} else if (n == 0) {
		fprintf(stderr, "No resources found\n");
	}
	return SV_EXIT_DONE;
}

/* ---- watching --------------------------------------------------------------------------- */

static void print_line(struct json_object *line, bool yaml)
{
	sv_autobuf struct sv_buf b = { 0 };

	if (yaml) {
		sv_buf_puts(&b, "---\n");
		sv_print_yaml(&b, line);
	} else {
		sv_print_json(&b, line, false);
		sv_buf_puts(&b, "\n");
	}
	if (b.failed)
		sv_no_memory();
	(void)fwrite(b.ptr, 1, b.len, stdout);
}

static int on_change(void *arg, const char *type, struct json_object *o, struct json_object *line)
{
	bool synced = strcmp(type, "SYNCED") == 0, gone = strcmp(type, "DELETED") == 0;
	struct get *g = arg;

	if (synced) {
		g->synced = true;
		if (g->target.name && !g->found)
			return -1;
	} else if (!sv_target_has(&g->target, o)) {
		return 0;
	}
	g->found = true;

	if (g->output == OUT_JSON || g->output == OUT_YAML) {
		print_line(line, g->output == OUT_YAML);
	} else if (g->output == OUT_NAME) {
		if (!synced)
			print_name(g, o);
	} else {
		if (!synced)
			add_row(g, o, gone ? "Removed" : NULL);
		if (g->synced) /* what is there is shown at once, in columns that fit it all */
			sv_table_show(&g->table);
	}
	return sv_flush() ? 0 : -1;
}

static int get_watch(struct get *g)
{
	sv_autofree char *path = sv_target_path(&g->target, true);
	int r = sv_api_follow(path, on_change, g);

	if (!r && g->synced && !g->found)
		return sv_target_not_found(&g->target);
	return r;
}

static int run(int argc, char **argv)
{
	struct get g = { .output = OUT_TABLE };
	int r, out = sv_opt_choice("-o", sv_options.output, OUTPUTS, OUT_TABLE);

	if (out < 0)
		return SV_EXIT_USAGE;
	g.output = (enum output)out;
	r = sv_target_parse(argc, argv, SV_TARGET_SECRET, false, &g.target);
	if (!r && sv_options.watch && g.target.kind == SV_TARGET_SECRET)
		r = sv_fail_usage("secrets cannot be watched");
	if (!r) {
		set_up_table(&g);
		r = sv_options.watch ? get_watch(&g) : get_once(&g);
		sv_table_done(&g.table);
	}
	sv_target_done(&g.target);
	return r;
}

static const struct sv_opt opts[] = {
	SV_OPT_NAMESPACE,       SV_OPT_ALL,
	SV_OPT_OUTPUT(OUTPUTS), SV_OPT_WATCH("then show changes as they come"),
	SV_OPT_NO_HEADERS,      SV_OPT_END,
};

const struct sv_verb sv_verb_get = {
	.name = "get",
	.args = "volumes|pods|secrets [NAME] [OPTION...]",
	.summary = "List volumes, pods or Secrets",
	.details =
		"A volume's NAME is POD/VOLUME; NAMESPACE/ may stand before a NAME. 'vol' and 'po' work too.\n"
		"With -o json, one object or many are a list; with -w each line is an event of the daemon's:\n"
		"{\"type\":\"ADDED|MODIFIED|DELETED|SYNCED\",\"object\":{...}}.",
	.opts = opts,
	.run = run,
};
