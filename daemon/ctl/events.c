/* SPDX-License-Identifier: Apache-2.0 */
/* events - what happened to which volume, newest last */
#define _GNU_SOURCE
#include "events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "print.h"

#define OUTPUTS "table|json"

static const char *const heads[] = { "LAST-SEEN", "TYPE",    "REASON", "OBJECT",
				     "COUNT",     "MESSAGE", NULL };

struct events {
	struct sv_table table;
	bool json, synced;
};

struct place {
	struct json_object *o;
	size_t i;
};

static int by_time(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;
	int64_t ta = 0, tb = 0;

	(void)sv_time_parse(sv_str(a->o, "time"), &ta);
	(void)sv_time_parse(sv_str(b->o, "time"), &tb);
	if (ta != tb)
		return ta < tb ? -1 : 1;
	return a->i < b->i ? -1 : a->i > b->i;
}

void sv_events_sort(struct json_object *list)
{
	size_t n = sv_count(list, "items"), i;
	sv_autofree struct place *places = NULL;
	struct json_object *sorted;

	if (n < 2)
		return;
	places = calloc(n, sizeof(*places));
	sorted = json_object_new_array_ext((int)n);
	if (!places || !sorted)
		sv_no_memory();
	for (i = 0; i < n; i++)
		places[i] = (struct place){ sv_element(list, "items", i), i };
	qsort(places, n, sizeof(*places), by_time);
	for (i = 0; i < n; i++)
		if (json_object_array_add(sorted, json_object_get(places[i].o)) < 0)
			sv_no_memory();
	if (json_object_object_add(list, "items", sorted) < 0)
		sv_no_memory();
}

static bool is_wanted(struct json_object *o)
{
	return !sv_options.ns || strcmp(sv_options.ns, sv_str(o, "namespace")) == 0;
}

static void add_row(struct sv_table *t, struct json_object *o)
{
	const char *volume = sv_str(o, "volume");
	char age[SV_AGE_MAX];

	sv_age(age, sv_str(o, "time"));
	sv_table_add(t, age);
	sv_table_add(t, sv_str(o, "type"));
	sv_table_add(t, sv_str(o, "reason"));
	sv_table_addf(t, "%s/%s%s%s", sv_str(o, "namespace"), sv_str(o, "pod"), *volume ? "/" : "",
		      volume);
	sv_table_addf(t, "%" PRId64, sv_int(o, "count"));
	sv_table_add(t, sv_str(o, "message"));
}

static int on_event(void *arg, const char *type, struct json_object *o, struct json_object *line)
{
	struct events *e = arg;

	if (strcmp(type, "SYNCED") == 0)
		e->synced = true;
	else if (!is_wanted(o) ||
		 (strcmp(type, "DELETED") == 0 && !e->json)) /* forgotten with time */
		return 0;

	if (e->json) {
		sv_autobuf struct sv_buf b = { 0 };

		sv_print_json(&b, line, false);
		if (b.failed)
			sv_no_memory();
		puts(b.ptr);
	} else {
		if (strcmp(type, "SYNCED") != 0)
			add_row(&e->table, o);
		if (e->synced)
			sv_table_show(&e->table);
	}
	return sv_flush() ? 0 : -1;
}

static int list_events(struct events *e)
{
	sv_autotree struct json_object *list = NULL;
	struct json_object *items, *kept = NULL;
	size_t i, n;
	int r;

	r = sv_api_list("/v1/events", &list, &items);
	if (r)
		return r;
	kept = json_object_new_array();
	n = json_object_array_length(items);
	for (i = 0; kept && i < n; i++) {
		struct json_object *o = json_object_array_get_idx(items, i);

		if (is_wanted(o) && json_object_array_add(kept, json_object_get(o)) < 0)
			sv_no_memory();
	}
	if (!kept || json_object_object_add(list, "items", kept) < 0)
		sv_no_memory();
	sv_events_sort(list);

	if (e->json) {
		sv_print_tree(list, false);
		return SV_EXIT_DONE;
	}
	n = sv_count(list, "items");
	for (i = 0; i < n; i++)
		add_row(&e->table, sv_element(list, "items", i));
	sv_table_show(&e->table);
	if (n == 0)
		fprintf(stderr, "No events found\n");
	return SV_EXIT_DONE;
}

static int run(int argc, char **argv)
{
	struct events e = { .json = false };
	int r, out = sv_opt_choice("-o", sv_options.output, OUTPUTS, 0);

	if (out < 0)
		return SV_EXIT_USAGE;
	if (argc > 0)
		return sv_fail_usage("too many arguments: '%s'", argv[0]);
	if (sv_options.all_namespaces)
		sv_options.ns = NULL;
	e.json = out == 1;
	sv_table_init(&e.table, heads, 0);
	r = sv_options.watch ? sv_api_follow("/v1/events?watch=1", on_event, &e) : list_events(&e);
	sv_table_done(&e.table);
	return r;
}

static const struct sv_opt opts[] = {
	{ "namespace", &sv_options.ns, "NS", "only this namespace (default: all)", SV_OPT_TEXT,
	  'n' },
	SV_OPT_ALL,
	SV_OPT_OUTPUT(OUTPUTS),
	SV_OPT_WATCH("then show events as they come"),
	SV_OPT_NO_HEADERS,
	SV_OPT_END,
};

const struct sv_verb sv_verb_events = {
	.name = "events",
	.args = "[OPTION...]",
	.summary = "Show what happened to which volume, newest last",
	.details = "With -o json and -w each line is an event of the watch:\n"
		   "{\"type\":\"ADDED|MODIFIED|DELETED|SYNCED\",\"object\":{...}}.",
	.opts = opts,
	.run = run,
};
