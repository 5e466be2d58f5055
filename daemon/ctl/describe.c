/* SPDX-License-Identifier: Apache-2.0 */
/* describe - everything about one volume or pod, in words */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "diagnose.h"
#include "events.h"
#include "likeness.h"
#include "print.h"
#include "target.h"

#define EVENTS_SHOWN 10

/* "Label:   text", "<none>" for nothing. */
static void field(const char *label, const char *text)
{
	sv_autofree char *shown = sv_printable(*text ? text : "<none>");

	printf("%-14s%s\n", label, shown);
}

static void state_field(const char *label, const char *state)
{
	sv_autofree char *shown = sv_printable(*state ? state : "<none>");
	const char *colour = sv_colour_of(state);

	printf("%-14s%s%s%s\n", label, colour, shown, sv_colour_end(colour));
}

/* The time as it is, and how far away that is. */
static void time_field(const char *label, const char *text)
{
	sv_autofree char *line = NULL;
	char words[SV_AGE_MAX];
	int64_t then, now = time(NULL);

	if (*text && sv_time_parse(text, &then)) {
		sv_duration_words(words, then > now ? then - now : now - then);
		line = then > now ? sv_text("%s (in %s)", text, words) :
				    sv_text("%s (%s ago)", text, words);
	}
	field(label, line ? line : text);
}

/* A list of an object, as a table below its label. */
static void section(const char *label, struct sv_table *t)
{
	if (t->n_cells == 0) {
		field(label, "");
		return;
	}
	printf("%s\n", label);
	sv_table_show(t);
}

/* Is the event about this pod or volume? */
static bool is_about(struct json_object *event, struct json_object *object, bool is_pod)
{
	return sv_same(event, "namespace", object, "namespace") &&
	       sv_same(event, "pod", object, is_pod ? "name" : "pod") &&
	       (is_pod || sv_same(event, "volume", object, "volume"));
}

/* The last events, newest last. */
static void show_events(struct json_object *list, struct json_object *object, bool is_pod)
{
	static const char *const heads[] = { "LAST-SEEN", "TYPE",    "REASON", "VOLUME",
					     "COUNT",     "MESSAGE", NULL };
	sv_autotable struct sv_table t = { 0 };
	size_t n = sv_count(list, "items"), first, found = 0, i;

	sv_table_init(&t, heads, 2);
	for (first = n; first > 0 && found < EVENTS_SHOWN; first--)
		found += is_about(sv_element(list, "items", first - 1), object, is_pod);
	for (i = first; i < n; i++) {
		struct json_object *e = sv_element(list, "items", i);
		char age[SV_AGE_MAX];

		if (!is_about(e, object, is_pod))
			continue;
		sv_age(age, sv_str(e, "time"));
		sv_table_add(&t, age);
		sv_table_add(&t, sv_str(e, "type"));
		sv_table_add(&t, sv_str(e, "reason"));
		sv_table_add(&t, sv_str(e, "volume"));
		sv_table_addf(&t, "%" PRId64, sv_int(e, "count"));
		sv_table_add(&t, sv_str(e, "message"));
	}
	section("Events:", &t);
}

static void show_secrets(const struct sv_about *x, struct json_object *v)
{
	static const char *const heads[] = { "NAME",       "FOUND", "OPTIONAL", "VERSION",
					     "GENERATION", "AGE",   "KEYS",     NULL };
	sv_autotable struct sv_table t = { 0 };
	size_t i;

	sv_table_init(&t, heads, 2);
	for (i = 0; i < sv_count(v, "secrets"); i++) {
		struct json_object *s = sv_element(v, "secrets", i);
		struct json_object *known = sv_about_secret(x, v, sv_str(s, "name"));
		char age[SV_AGE_MAX];

		sv_table_add(&t, sv_str(s, "name"));
		sv_table_add(&t, sv_bool(s, "found") ? "yes" : "no");
		sv_table_add(&t, sv_bool(s, "optional") ? "yes" : "no");
		sv_table_add(&t, sv_str(s, "resourceVersion"));
		if (!known) {
			sv_table_add(&t, "");
			sv_table_add(&t, "");
			sv_table_add(&t, "");
			continue;
		}
		sv_table_addf(&t, "%" PRId64, sv_int(known, "generation"));
		sv_age(age, sv_str(known, "updatedAt"));
		sv_table_add(&t, age);
		sv_table_addf(&t, "%zu", sv_count(known, "keys"));
	}
	section("Secrets:", &t);
}

static void show_files(struct json_object *v)
{
	static const char *const heads[] = { "PATH", "MODE", "OWNER", "SIZE", "FROM", NULL };
	sv_autotable struct sv_table t = { 0 };
	size_t i;

	sv_table_init(&t, heads, 2);
	for (i = 0; i < sv_count(v, "files"); i++) {
		struct json_object *f = sv_element(v, "files", i);

		sv_table_add(&t, sv_str(f, "path"));
		sv_table_add(&t, sv_str(f, "mode"));
		sv_table_addf(&t, "%" PRId64 ":%" PRId64, sv_int(f, "uid"), sv_int(f, "gid"));
		sv_table_addf(&t, "%" PRId64, sv_int(f, "size"));
		sv_table_addf(&t, "%s/%s", sv_str(f, "secret"), sv_str(f, "key"));
	}
	section("Files:", &t);
}

static void show_mounts(struct json_object *v)
{
	static const char *const heads[] = { "CONTAINER", "MOUNTPATH", "READONLY", "SUBPATH",
					     NULL };
	sv_autotable struct sv_table t = { 0 };
	size_t i;

	sv_table_init(&t, heads, 2);
	for (i = 0; i < sv_count(v, "mounts"); i++) {
		struct json_object *m = sv_element(v, "mounts", i);

		sv_table_add(&t, sv_str(m, "container"));
		sv_table_add(&t, sv_str(m, "mountPath"));
		sv_table_add(&t, sv_bool(m, "readOnly") ? "yes" : "no");
		sv_table_add(&t, sv_str(m, "subPath"));
	}
	section("Mounts:", &t);
}

/* The generation that is mounted, and the one that would be if nothing stood in its way. */
static void show_generation(struct json_object *v)
{
	int64_t present = sv_int(v, "generation"), wanted = sv_int(v, "wantedGeneration");
	sv_autofree char *text = NULL;

	if (!sv_member(v, "wantedGeneration")) /* an older daemon */
		text = sv_text("%" PRId64, present);
	else if (present == wanted)
		text = sv_text("%" PRId64 "%s", present, wanted ? ", the one that is wanted" : "");
	else if (wanted == 0)
		text = sv_text("%" PRId64 ", and none is wanted", present);
	else
		text = sv_text("%" PRId64 "%s, and %" PRId64 " is wanted", present,
			       present ? "" : " (none)", wanted);
	field("Generation:", text);
}

/* When something is tried again, or what it waits for. */
static void show_retry(struct json_object *v)
{
	int64_t then, now = time(NULL), failures = sv_int(v, "failures");
	const char *retry = sv_str(v, "nextRetryAt"), *state = sv_str(v, "state");
	char words[SV_AGE_MAX];

	if (failures > 0)
		printf("%-14s%" PRId64 " in a row\n", "Failures:", failures);
	if (sv_time_parse(retry, &then)) {
		sv_duration_words(words, then - now);
		printf("%-14sin %s (%s)\n", "Next try:", words, retry);
	} else if (strcmp(state, "Refused") == 0 || strcmp(state, "Stale") == 0) {
		field("Next try:", "when the Pod or a Secret changes");
	}
}

static void describe_volume(struct json_object *v, const struct sv_about *x)
{
	sv_autofree char *name = sv_text("%s/%s", sv_str(v, "pod"), sv_str(v, "volume"));
	sv_autofree char *next = sv_diagnose_next_step(x, v);

	field("Name:", name);
	field("Namespace:", sv_str(v, "namespace"));
	field("Pod UID:", sv_str(v, "podUid"));
	state_field("State:", sv_str(v, "state"));
	field("Reason:", sv_str(v, "reason"));
	field("Message:", sv_str(v, "message"));
	field("Next step:", next);
	if (!sv_same(v, "lastError", v, "message"))
		field("Last error:", sv_str(v, "lastError"));
	show_retry(v);
	show_generation(v);
	time_field("Published:", sv_str(v, "publishedAt"));
	time_field("Updated:", sv_str(v, "updatedAt"));
	field("Type:", sv_str(v, "type"));
	field("Source:", sv_str(v, "source"));
	field("Path:", sv_str(v, "path"));
	field("Swap:", sv_str(v, "swapSafe"));
	sv_diagnose_findings(x, v);
	sv_diagnose_manifests(x, v, sv_str(v, "pod"));
	show_secrets(x, v);
	show_files(v);
	show_mounts(v);
	show_events(x->events, v, false);
}

/* ---- pods ------------------------------------------------------------------------------- */

/* What the daemon tells of the pod's volumes, and where the containers have them. */
static void show_volumes(struct json_object *pod, struct json_object *volumes)
{
	static const char *const heads[] = { "NAME",  "TYPE",       "STATE",   "REASON",
					     "FILES", "GENERATION", "UPDATED", NULL };
	static const char *const mount_heads[] = { "CONTAINER", "MOUNTPATH", "VOLUME", "SUBPATH",
						   NULL };
	sv_autotable struct sv_table t = { 0 }, mounts = { 0 };
	size_t i, k;

	sv_table_init(&t, heads, 2);
	sv_table_init(&mounts, mount_heads, 2);
	for (i = 0; i < sv_count(volumes, "items"); i++) {
		struct json_object *v = sv_element(volumes, "items", i);
		char age[SV_AGE_MAX];

		if (!sv_same(v, "namespace", pod, "namespace") || !sv_same(v, "pod", pod, "name"))
			continue;
		sv_table_add(&t, sv_str(v, "volume"));
		sv_table_add(&t, sv_str(v, "type"));
		sv_table_add_state(&t, sv_str(v, "state"));
		sv_table_add(&t, sv_str(v, "reason"));
		sv_table_addf(&t, "%zu", sv_count(v, "files"));
		sv_table_addf(&t, "%" PRId64, sv_int(v, "generation"));
		sv_age(age, sv_str(v, "updatedAt"));
		sv_table_add(&t, age);
		for (k = 0; k < sv_count(v, "mounts"); k++) {
			struct json_object *m = sv_element(v, "mounts", k);

			sv_table_add(&mounts, sv_str(m, "container"));
			sv_table_add(&mounts, sv_str(m, "mountPath"));
			sv_table_add(&mounts, sv_str(v, "volume"));
			sv_table_add(&mounts, sv_str(m, "subPath"));
		}
	}
	section("Volumes:", &t);
	section("Mounts:", &mounts);
}

/* "3" while the Secret is as it was handed out, "3, now 4" once it is not; 0 is one that is not there. */
static void add_generations(struct sv_table *t, struct json_object *secret)
{
	int64_t n = sv_int(secret, "generation"), now = sv_int(secret, "currentGeneration");
	sv_autofree char *then = n ? sv_text("%" PRId64, n) : sv_text("absent");

	if (!sv_member(secret, "currentGeneration"))
		sv_table_addf(t, "%s, not watched", then);
	else if (n == now)
		sv_table_add(t, then);
	else if (now)
		sv_table_addf(t, "%s, now %" PRId64, then, now);
	else
		sv_table_addf(t, "%s, now absent", then);
}

/* From which Secrets the containers' environments were made: a process keeps what it started with. */
static void show_environments(struct json_object *pod)
{
	static const char *const heads[] = { "CONTAINER", "HANDED-OUT", "STALE",
					     "SECRET",    "GENERATION", NULL };
	sv_autotable struct sv_table t = { 0 };
	size_t i, k;

	sv_table_init(&t, heads, 2);
	for (i = 0; i < sv_count(pod, "containers"); i++) {
		struct json_object *c = sv_element(pod, "containers", i);
		struct json_object *env = sv_member(c, "environment");
		size_t n = sv_count(env, "secrets");
		char age[SV_AGE_MAX];

		if (!env)
			continue;
		sv_age(age, sv_str(env, "handedOutAt"));
		for (k = 0; k < n || k == 0; k++) {
			sv_table_add(&t, sv_str(c, "name"));
			sv_table_add(&t, age);
			sv_table_add(&t, sv_bool(env, "stale") ? "yes" : "no");
			if (k == n) { /* made from no Secret */
				sv_table_add(&t, "");
				sv_table_add(&t, "");
				continue;
			}
			sv_table_add(&t, sv_str(sv_element(env, "secrets", k), "name"));
			add_generations(&t, sv_element(env, "secrets", k));
		}
	}
	section("Environment:", &t);
}

static void show_messages(struct json_object *pod, struct json_object *volumes)
{
	static const char *const heads[] = { "VOLUME", "NEXT-RETRY", "MESSAGE", NULL };
	sv_autotable struct sv_table t = { 0 };
	int64_t retry, now = time(NULL);
	size_t i;

	sv_table_init(&t, heads, 2);
	for (i = 0; i < sv_count(volumes, "items"); i++) {
		struct json_object *v = sv_element(volumes, "items", i);
		const char *text = sv_str(v, "message");
		char words[SV_AGE_MAX] = "";

		/* The last error of a volume that is published is history, not a problem. */
		if (!*text && strcmp(sv_str(v, "state"), "Published") != 0)
			text = sv_str(v, "lastError");
		if (!sv_same(v, "namespace", pod, "namespace") || !sv_same(v, "pod", pod, "name") ||
		    !*text)
			continue;
		if (sv_time_parse(sv_str(v, "nextRetryAt"), &retry))
			sv_duration_words(words, retry - now);
		sv_table_add(&t, sv_str(v, "volume"));
		sv_table_add(&t, words);
		sv_table_add(&t, text);
	}
	if (t.n_cells > 0)
		section("Problems:", &t);
}

/* Where to read on: the first volume that is not as it should be. */
static void show_worst_volume(struct json_object *volumes)
{
	size_t i;

	for (i = 0; i < sv_count(volumes, "items"); i++) {
		struct json_object *v = sv_element(volumes, "items", i);
		const char *state = sv_str(v, "state");
		sv_autofree char *next = sv_advice_describe(v);

		if (strcmp(state, "Published") == 0 || strcmp(state, "Unused") == 0 ||
		    strcmp(state, "Removing") == 0)
			continue;
		field("Next step:", next);
		return;
	}
}

static void describe_pod(struct json_object *p, struct json_object *volumes,
			 const struct sv_about *x)
{
	field("Name:", sv_str(p, "name"));
	field("Namespace:", sv_str(p, "namespace"));
	field("UID:", sv_str(p, "uid"));
	state_field("State:", sv_str(p, "state"));
	printf("%-14s%" PRId64 " of %" PRId64 " wanted volumes\n", "Ready:", sv_int(p, "ready"),
	       sv_int(p, "wanted"));
	field("Reason:", sv_str(p, "reason"));
	show_worst_volume(volumes);
	field("Terminated:", sv_bool(p, "terminated") ? "yes" : "no");
	field("Source:", sv_str(p, "source"));
	time_field("Created:", sv_str(p, "createdAt"));
	show_volumes(p, volumes);
	show_environments(p);
	show_messages(p, volumes);
	sv_diagnose_manifests(x, p, sv_str(p, "name"));
	show_events(x->events, p, true);
}

/* ---- what is not there ------------------------------------------------------------------ */

/* "pod/volume" of a volume, else the name. */
static char *name_of(const struct sv_target *t, struct json_object *o)
{
	return t->kind == SV_TARGET_VOLUME ?
		       sv_text("%s/%s", sv_str(o, "pod"), sv_str(o, "volume")) :
		       sv_text("%s", sv_str(o, "name"));
}

/* Where else one of that name is, or which name is like it. */
static void add_guess(struct sv_buf *b, const struct sv_target *t, const char *name,
		      struct json_object *list)
{
	struct sv_likeness like = { .word = name };
	sv_autofree char *best = NULL;
	size_t i;

	for (i = 0; i < sv_count(list, "items"); i++) {
		struct json_object *o = sv_element(list, "items", i);
		sv_autofree char *other = name_of(t, o);

		if (strcmp(sv_str(o, "namespace"), t->ns) != 0) {
			if (strcmp(other, name) != 0)
				continue;
			sv_buf_printf(b, "; there is one in namespace \"%s\"",
				      sv_str(o, "namespace"));
			return;
		}
		sv_likeness_try(&like, other);
		if (like.best == other) {
			free(best);
			best = SV_TAKE(other);
			like.best = best;
		}
	}
	if (best)
		sv_buf_printf(b, "; did you mean \"%s\"?", best);
}

/* Why there is no such object, as far as one line can say it. Return: SV_EXIT_NOT_FOUND. */
static int explain_absence(const struct sv_target *t)
{
	sv_autotree struct json_object *list = NULL, *status = NULL;
	sv_autofree char *path = sv_text("/v1/%s", sv_target_plural(t->kind));
	sv_autofree char *name =
		t->pod ? sv_text("%s/%s", t->pod, t->name) : sv_text("%s", t->name);
	const char *pod = t->pod ? t->pod : t->name;
	sv_autobuf struct sv_buf b = { 0 };
	struct json_object *problem;
	struct sv_about x = { 0 };
	size_t said;

	sv_buf_printf(&b, "%s \"%s\" not found in namespace \"%s\"", sv_target_singular(t->kind),
		      name, t->ns);
	said = b.len;
	if (sv_api_try("/v1/status", &status) == 0 && sv_api_try(path, &list) == 0) {
		x.status = status;
		problem = sv_about_problem(&x, "Pod", t->ns, pod);
		if (problem) {
			sv_autofree char *text = sv_problem_text(problem);

			sv_buf_printf(&b, ": %s", text);
		} else {
			add_guess(&b, t, name, list);
		}
		if (b.len == said && sv_count(status, "problems") > 0)
			sv_buf_puts(&b, "; some manifests are refused: secretvolctl status");
	}
	if (b.failed)
		sv_no_memory();
	return sv_fail(SV_EXIT_NOT_FOUND, "%s", b.ptr);
}

static int describe(struct sv_target *target)
{
	sv_autotree struct json_object *list = NULL, *volumes = NULL, *events = NULL;
	sv_autotree struct json_object *secrets = NULL, *status = NULL;
	sv_autofree char *path = sv_target_path(target, false);
	sv_autofree char *ns = NULL, *pod = NULL, *volumes_path = NULL;
	struct json_object *items, *found = NULL, *o;
	size_t i;
	int r;

	r = sv_api_list(path, &list, &items);
	if (r)
		return r;
	for (i = 0; i < sv_count(list, "items") && !found; i++) {
		o = sv_element(list, "items", i);
		if (sv_target_has(target, o))
			found = o;
	}
	if (!found)
		return explain_absence(target);
	if (target->kind == SV_TARGET_POD) {
		ns = sv_api_quote(target->ns);
		pod = sv_api_quote(target->name);
		volumes_path = sv_text("/v1/volumes?namespace=%s&pod=%s", ns, pod);
		r = sv_api_list(volumes_path, &volumes, &items);
	}
	if (!r)
		r = sv_api_list("/v1/events", &events, &items);
	if (!r)
		r = sv_api_list("/v1/secrets", &secrets, &items);
	if (!r)
		r = sv_api_get("/v1/status", &status);
	if (r)
		return r;
	sv_events_sort(events);
	if (target->kind == SV_TARGET_POD)
		describe_pod(found, volumes, &(struct sv_about){ status, secrets, events });
	else
		describe_volume(found, &(struct sv_about){ status, secrets, events });
	return SV_EXIT_DONE;
}

static int run(int argc, char **argv)
{
	sv_autotarget struct sv_target target = { 0 };
	int r = sv_target_parse(argc, argv, SV_TARGET_POD, true, &target);

	return r ? r : describe(&target);
}

static const struct sv_opt opts[] = {
	SV_OPT_NAMESPACE,
	SV_OPT_END,
};

const struct sv_verb sv_verb_describe = {
	.name = "describe",
	.args = "volume|pod NAME [OPTION...]",
	.summary = "Show everything about one volume or pod",
	.details =
		"A volume's NAME is POD/VOLUME; NAMESPACE/ may stand before a NAME. Of a volume\n"
		"it says why it is not there, or not new, and what to do next.",
	.opts = opts,
	.run = run,
};
