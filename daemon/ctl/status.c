/* SPDX-License-Identifier: Apache-2.0 */
/* status - is all well, and if not, what to do next */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "load.h"
#include "print.h"

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
			sv_table_addf(&t, "%" PRId64, sv_int(o, numbers[k]));
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

/* A word for a shell to read, which a path in a manifest directory usually is as it stands. */
static void add_shell_word(struct sv_buf *b, const char *word)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";

	if (*word && strspn(word, plain) == strlen(word)) {
		sv_buf_puts(b, word);
		return;
	}
	sv_buf_puts(b, "'");
	for (; *word; word++)
		if (*word == '\'')
			sv_buf_puts(b, "'\\''");
		else
			sv_buf_add(b, word, 1);
	sv_buf_puts(b, "'");
}

static void show_complaint(size_t *n, struct json_object *p)
{
	const char *file = sv_str(p, "file"), *kind = sv_str(p, "kind"),
		   *ns = sv_str(p, "namespace");
	const char *name = sv_str(p, "name"), *field = sv_str(p, "field"),
		   *message = sv_str(p, "message");
	const char *source = sv_str(p, "source");
	const char *severity = strcmp(sv_str(p, "severity"), "warning") == 0 ? "warning" : "error";
	sv_autobuf struct sv_buf b = { 0 };
	sv_autofree char *path = NULL;

	/* A file may be named as it stands in its directory. */
	if (*file && *file != '/' && *source == '/')
		path = sv_text("%s/%s", source, file);
	else
		path = sv_text("%s", file);

	if (*path && sv_int(p, "line") > 0)
		sv_buf_printf(&b, "%s:%" PRId64 ": ", path, sv_int(p, "line"));
	else if (*path && sv_int(p, "document") > 0)
		sv_buf_printf(&b, "%s: document %" PRId64 ": ", path, sv_int(p, "document") + 1);
	else if (*path || *source)
		sv_buf_printf(&b, "%s: ", *path ? path : source);
	if (*name)
		sv_buf_printf(&b, "%s %s%s%s: ", *kind ? kind : "object", ns, *ns ? "/" : "", name);
	else if (*kind)
		sv_buf_printf(&b, "%s: ", kind);
	if (*field && !strstr(message, field)) /* most messages name it themselves */
		sv_buf_printf(&b, "%s: ", field);
	message = sv_without_line(message, (unsigned)sv_int(p, "line"));
	sv_buf_puts(&b, *message ? message : sv_str(p, "reason"));
	if (*path && strcmp(severity, "error") == 0) {
		sv_buf_puts(&b, "; next: secretvolctl check -f ");
		add_shell_word(&b, path);
	}
	if (b.failed)
		sv_no_memory();
	show_problem(n, severity, b.ptr);
}

static void show_volume(size_t *n, struct json_object *v)
{
	const char *state = sv_str(v, "state"), *reason = sv_str(v, "reason");
	const char *message = sv_str(v, "message");
	sv_autobuf struct sv_buf b = { 0 };
	bool error = is_any(state, "Refused", "Failed", "Failed");

	if (!is_trouble(state) && !(strcmp(state, "Removing") == 0 && *reason))
		return;
	sv_buf_printf(&b, "volume %s/%s/%s is %s", sv_str(v, "namespace"), sv_str(v, "pod"),
		      sv_str(v, "volume"), state);
	if (*reason)
		sv_buf_printf(&b, " (%s)", reason);
	if (*message)
		sv_buf_printf(&b, ": %s", message);
	sv_buf_printf(&b, "; next: secretvolctl describe volume -n %s %s/%s",
		      sv_str(v, "namespace"), sv_str(v, "pod"), sv_str(v, "volume"));
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

static int show(struct json_object *s)
{
	sv_autotree struct json_object *list = NULL;
	struct json_object *items;
	size_t i, n = 0;

	/* First, so that a failure leaves nothing half said. */
	if (count_states(s, true) > 0) {
		int r = sv_api_list("/v1/volumes", &list, &items);

		if (r)
			return r;
	}
	show_daemon(s);
	show_counts(s);
	show_sources(s);
	for (i = 0; i < sv_count(s, "problems"); i++)
		show_complaint(&n, sv_element(s, "problems", i));
	for (i = 0; list && i < sv_count(list, "items"); i++)
		show_volume(&n, sv_element(list, "items", i));
	if (n == 0)
		line("Problems:", "none");
	return 0;
}

static int run(int argc, char **argv)
{
	sv_autotree struct json_object *s = NULL;
	int r, out = sv_opt_choice("-o", sv_options.output, OUTPUTS, OUT_TEXT);

	if (out < 0)
		return SV_EXIT_USAGE;
	if (argc > 0)
		return sv_fail_usage("too many arguments: '%s'", argv[0]);
	r = sv_api_get("/v1/status", &s);
	if (r)
		return r;
	if (out == OUT_TEXT)
		r = show(s);
	else
		sv_print_tree(s, out == OUT_YAML);
	if (!r && count_states(s, false) > 0)
		r = SV_EXIT_NOT_PUBLISHED;
	return r;
}

static const struct sv_opt opts[] = {
	SV_OPT_OUTPUT(OUTPUTS),
	SV_OPT_END,
};

const struct sv_verb sv_verb_status = {
	.name = "status",
	.args = "[OPTION...]",
	.summary = "Show how the daemon is, and every problem there is",
	.details = "Exit code 0 if every wanted volume is published, else 5.",
	.opts = opts,
	.run = run,
};
