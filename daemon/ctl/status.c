/* SPDX-License-Identifier: Apache-2.0 */
/* status - is all well, and if not, what to do next */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "print.h"
#include "screen.h"

enum output { OUT_TEXT, OUT_JSON, OUT_YAML };
#define OUTPUTS "text|json|yaml"

/* Print "label: text" with text of others made printable. */
static void line(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *label, const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_autofree char *shown = NULL;
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.failed)
		sv_no_memory();
	shown = sv_printable(b.ptr ? b.ptr : "");
	printf("%-10s %s\n", label, shown);
}

static bool is_any(const char *state, const char *a, const char *b, const char *c)
{
	return strcmp(state, a) == 0 || strcmp(state, b) == 0 || strcmp(state, c) == 0;
}

/* Wanted, and not what was asked for last. What is being removed is wanted no more. */
static bool is_trouble(const char *state)
{
	return !is_any(state, "Published", "Unused", "Removing");
}

static void show_daemon(struct json_object *s)
{
	struct json_object *swap = sv_member(s, "swap");
	char up[SV_AGE_MAX];

	sv_age(up, sv_str(s, "startedAt"));
	line("Daemon:", "secretvold %s, pid %" PRId64 ", up %s, %s", sv_str(s, "version"),
	     sv_int(s, "pid"), *up ? up : "<unknown>",
	     sv_bool(s, "ready") ? "ready" : "not ready yet");
	line("Node:", "%s", sv_str(s, "nodeName"));
	line("Root:", "%s", sv_str(s, "rootDir"));
	line("Swap:", "%s (policy %s, %s, %s)",
	     sv_bool(swap, "safe") ? "secrets cannot reach it" : "secrets could reach it",
	     sv_str(swap, "policy"), sv_str(swap, "medium"), sv_str(swap, "how"));
}

static void show_counts(struct json_object *s)
{
	struct json_object *counts = sv_member(s, "counts"), *states = sv_member(counts, "states");
	sv_autobuf struct sv_buf b = { 0 };
	const char *sep = ": ";

	sv_buf_printf(&b, "%" PRId64, sv_int(counts, "volumes"));
	if (json_object_is_type(states, json_type_object)) {
		json_object_object_foreach (states, state, value) {
			if (json_object_get_int64(value) == 0)
				continue;
			sv_buf_printf(&b, "%s%" PRId64 " %s", sep, json_object_get_int64(value),
				      state);
			sep = ", ";
		}
	}
	if (b.failed)
		sv_no_memory();
	line("Pods:", "%" PRId64, sv_int(counts, "pods"));
	line("Secrets:", "%" PRId64, sv_int(counts, "secrets"));
	line("Volumes:", "%s", b.ptr);
}

static void show_sources(struct json_object *s)
{
	static const char *const heads[] = { "TYPE",    "NAME",    "SYNCED",    "FILES", "PODS",
					     "SECRETS", "IGNORED", "LAST-SYNC", "ERROR", NULL };
	static const char *const numbers[] = { "files", "pods", "secrets", "ignored" };
	sv_autotable struct sv_table t = { 0 };
	size_t i, k;

	if (sv_count(s, "sources") == 0) {
		line("Sources:", "none: nothing tells secretvold which pods there are");
		return;
	}
	printf("Sources:\n");
	sv_table_init(&t, heads, 2);
	for (i = 0; i < sv_count(s, "sources"); i++) {
		struct json_object *o = sv_element(s, "sources", i);
		char age[SV_AGE_MAX];

		sv_table_add(&t, sv_str(o, "type"));
		sv_table_add(&t, sv_str(o, "name"));
		sv_table_add(&t, sv_bool(o, "synced") ? "true" : "false");
		for (k = 0; k < SV_ARRAY_SIZE(numbers); k++)
			if (sv_member(o, numbers[k]))
				sv_table_addf(&t, "%" PRId64, sv_int(o, numbers[k]));
			else /* an API server has no files */
				sv_table_add(&t, "");
		sv_age(age, sv_str(o, "lastSync"));
		sv_table_add(&t, age);
		sv_table_add(&t, sv_str(o, "error"));
	}
	sv_table_show(&t);
}

/* ---- problems --------------------------------------------------------------------------- */

/* One problem on one line, under a heading that stands above the first. */
static void show_problem(size_t *n, const char *severity, const char *text)
{
	sv_autofree char *shown = sv_printable(text);
	const char *colour = sv_colour_of(strcmp(severity, "warning") == 0 ? "Stale" : "Failed");

	if ((*n)++ == 0)
		printf("Problems:\n");
	printf("  %s%s%s: %s\n", colour, severity, sv_colour_end(colour), shown);
}

static void show_complaint(size_t *n, struct json_object *p)
{
	sv_autofree char *text = sv_problem_text(p), *next = sv_problem_next(p);
	sv_autofree char *line = sv_text("%s; next: %s", text, next);

	show_problem(n, sv_problem_is_warning(p) ? "warning" : "error", line);
}

static bool is_problem(struct json_object *v)
{
	const char *state = sv_str(v, "state");

	return is_trouble(state) || (strcmp(state, "Removing") == 0 && *sv_str(v, "reason"));
}

static void show_volume(size_t *n, struct json_object *v)
{
	const char *state = sv_str(v, "state"), *reason = sv_str(v, "reason");
	const char *message = sv_str(v, "message");
	sv_autofree char *next = sv_advice_describe(v);
	sv_autobuf struct sv_buf b = { 0 };
	bool error = is_any(state, "Refused", "Failed", "Failed");

	if (!is_problem(v))
		return;
	sv_buf_printf(&b, "volume %s/%s/%s is %s", sv_str(v, "namespace"), sv_str(v, "pod"),
		      sv_str(v, "volume"), state);
	if (*reason)
		sv_buf_printf(&b, " (%s)", reason);
	if (*message)
		sv_buf_printf(&b, ": %s", message);
	sv_buf_printf(&b, "; next: %s", next);
	if (b.failed)
		sv_no_memory();
	show_problem(n, error ? "error" : "warning", b.ptr);
}

/* Are there volumes that a list of problems would name? Asked of the counts, since the list may be long. */
static int64_t count_states(struct json_object *s, bool removing)
{
	struct json_object *states = sv_member(sv_member(s, "counts"), "states");
	int64_t n = 0;

	if (!json_object_is_type(states, json_type_object))
		return 0;
	json_object_object_foreach (states, state, value) {
		if (is_trouble(state) || (removing && strcmp(state, "Removing") == 0))
			n += json_object_get_int64(value);
	}
	return n;
}

/* Is there a source that was never read, so that nobody knows which volumes are wanted? */
static bool is_unread(struct json_object *s)
{
	size_t i;

	for (i = 0; i < sv_count(s, "sources"); i++)
		if (!sv_bool(sv_element(s, "sources", i), "synced"))
			return true;
	return false;
}

/* ---- once, and again -------------------------------------------------------------------- */

struct view {
	enum output output;
	struct json_object *status;
	struct json_object *volumes; /* a list, NULL if all of them are well */
	bool shown;                  /* once at least */
};

static void forget(struct view *v)
{
	json_object_put(v->status);
	json_object_put(v->volumes);
	v->status = v->volumes = NULL;
}

/* Prints nothing. Return: an exit code. */
static int load(struct view *v)
{
	int r = sv_api_try("/v1/status", &v->status);

	if (!r && v->output == OUT_TEXT && count_states(v->status, true) > 0)
		r = sv_api_try("/v1/volumes", &v->volumes);
	return r;
}

static void show_text(struct view *v)
{
	size_t i, n = 0;

	show_daemon(v->status);
	show_counts(v->status);
	show_sources(v->status);
	for (i = 0; i < sv_count(v->status, "problems"); i++)
		show_complaint(&n, sv_element(v->status, "problems", i));
	for (i = 0; i < sv_count(v->volumes, "items"); i++)
		show_volume(&n, sv_element(v->volumes, "items", i));
	if (n == 0)
		line("Problems:", "none");
}

static void show(struct view *v)
{
	if (v->output == OUT_TEXT)
		show_text(v);
	else
		sv_print_tree(v->status, v->output == OUT_YAML);
}

/* All of it but when the sources were last heard of: that goes on while nothing changes. */
static void print_unchanging(struct sv_buf *b, struct json_object *status)
{
	sv_autotree struct json_object *copy = NULL;
	size_t i;

	if (json_object_deep_copy(status, &copy, NULL) < 0)
		sv_no_memory();
	for (i = 0; i < sv_count(copy, "sources"); i++)
		if (json_object_is_type(sv_element(copy, "sources", i), json_type_object))
			json_object_object_del(sv_element(copy, "sources", i), "lastSync");
	sv_print_json(b, copy, false);
}

static int load_again(void *arg, char **key)
{
	struct view *v = arg;
	struct sv_buf b = { 0 };
	size_t i;
	int r;

	forget(v);
	r = load(v);
	if (r)
		return r;
	print_unchanging(&b, v->status);
	for (i = 0; i < sv_count(v->volumes, "items"); i++) {
		struct json_object *o = sv_element(v->volumes, "items", i);

		if (is_problem(o))
			sv_buf_printf(&b, "%s %s %s\n", sv_str(o, "path"), sv_str(o, "state"),
				      sv_str(o, "message"));
	}
	*key = sv_buf_take(&b);
	if (!*key)
		sv_no_memory();
	return 0;
}

/* Several in a row: texts with a line between them, one JSON object a line, YAML documents. */
static void show_again(void *arg)
{
	struct view *v = arg;

	if (v->output == OUT_JSON) {
		sv_autobuf struct sv_buf b = { 0 };

		sv_print_json(&b, v->status, false);
		if (b.failed)
			sv_no_memory();
		puts(b.ptr);
		return;
	}
	if (v->output == OUT_YAML)
		puts("---");
	else if (v->shown && !sv_screen_is_terminal())
		puts("");
	v->shown = true;
	show(v);
}

static int run(int argc, char **argv)
{
	struct view v = { 0 };
	int r, out = sv_opt_choice("-o", sv_options.output, OUTPUTS, OUT_TEXT);

	if (out < 0)
		return SV_EXIT_USAGE;
	if (argc > 0)
		return sv_fail_usage("too many arguments: '%s'", argv[0]);
	v.output = (enum output)out;
	if (sv_options.watch) {
		const struct sv_screen screen = { load_again, show_again, &v };

		r = sv_screen_run(&screen);
	} else {
		r = load(&v);
		if (r)
			r = sv_fail((enum sv_exit)r, "%s", sv_api_error());
		else
			show(&v);
		if (!r && (count_states(v.status, false) > 0 || is_unread(v.status)))
			r = SV_EXIT_NOT_PUBLISHED;
	}
	forget(&v);
	return r;
}

static const struct sv_opt opts[] = {
	SV_OPT_OUTPUT(OUTPUTS),
	SV_OPT_WATCH("show it again whenever something changes"),
	SV_OPT_END,
};

const struct sv_verb sv_verb_status = {
	.name = "status",
	.args = "[OPTION...]",
	.summary = "Show how the daemon is, and every problem there is",
	.details =
		"Exit code 0 if every source was read and every wanted volume is published, else\n"
		"5. With -w, a terminal shows it in place and waits for a daemon that restarts;\n"
		"elsewhere each change prints it once more.",
	.opts = opts,
	.run = run,
};
