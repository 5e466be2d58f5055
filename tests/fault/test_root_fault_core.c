/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a manifest's text to an action and its result, with every allocation failing in turn. Lack
 * of memory is never taken for something else, nothing leaks, and the same call works afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/catalog.h"
#include "../../lib/core/decode.h"
#include "../../lib/core/manifest.h"
#include "../../lib/core/reconcile.h"
#include "../../lib/core/status.h"
#include "../../lib/core/validate.h"
#include "../../lib/core/yaml.h"
#include "../support/support.h"
#include "fault.h"

#define ID "pods/u/volumes/kubernetes.io~projected/v"

#define SECRET                     \
	"apiVersion: v1\n"         \
	"kind: Secret\n"           \
	"metadata: {name: s}\n"    \
	"immutable: true\n"        \
	"data: {user: bXktYXBw}\n" \
	"stringData: {password: 'x', other: \"y\\tz\"}\n"

#define POD                                                                          \
	"apiVersion: v1\n"                                                           \
	"kind: Pod\n"                                                                \
	"metadata: {name: p, uid: u}\n"                                              \
	"spec:\n"                                                                    \
	"  securityContext: {fsGroup: 7}\n"                                          \
	"  volumes:\n"                                                               \
	"  - name: v\n"                                                              \
	"    projected:\n"                                                           \
	"      sources:\n"                                                           \
	"      - secret: {name: s, optional: true}\n"                                \
	"      - secret: {name: s, items: [{key: user, path: b/./c, mode: 0400}]}\n" \
	"  - {name: w, secret: {secretName: s}}\n"                                   \
	"  containers:\n"                                                            \
	"  - name: c\n"                                                              \
	"    image: i\n"                                                             \
	"    command: [sh, a$(A)b$(none)]\n"                                         \
	"    env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: user}}},\n"    \
	"      {name: B, value: a$(A)b$(none)}]\n"                                   \
	"    envFrom: [{secretRef: {name: s}}]\n"                                    \
	"    volumeMounts: [{name: v, mountPath: /m}, {name: w, mountPath: /m/d/e}]\n"

#define FILES "b/c:0440 other:0644 password:0644 user:0644"

static struct sv_desired d;
static struct sv_actuals s;
static const struct sv_reconcile_opts opts = { .volume_size_limit = 1 << 20, .grace_ms = 250 };
static struct sv_pod *pod;
static struct sv_secret *secret;

/* The second run of a loop must not be the first to find a library initialized. */
static void setup(void)
{
	pod = t_pod_yaml(POD);
	secret = t_secret_yaml(SECRET);
}

static void teardown(void)
{
	sv_pod_unref(pod);
	sv_secret_unref(secret);
}

/* ---- decoding -------------------------------------------------------------------------------- */

static char *texts_of(const struct sv_manifest_object *o)
{
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; i < o->complaints.n; i++)
		sv_buf_printf(&b, "%s\n", o->complaints.items[i].message);
	return sv_buf_take(&b);
}

static void decode_loop(const char *text, enum sv_format format, enum fault_scope scope, int want,
			size_t n_objects, size_t n_complaints)
{
	struct fault_loop loop = { .scope = scope };
	struct sv_manifest m;
	struct sv_err err = { "" };
	size_t i, n;

	if (sv_manifest_parse(text, strlen(text), format, NULL, &m, &err, NULL) == 0)
		sv_manifest_done(&m);
	fault_note_use();
	FAULT_EACH(loop)
	{
		unsigned line = 0;
		int r;

		fault_on(&loop);
		r = sv_manifest_parse(text, strlen(text), format, NULL, &m, &err, &line);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == want, "%d, '%s' after %s", r, err.msg,
			      fault_text());
		if (r == 0) {
			ck_assert_msg(m.n_objects == n_objects, "%zu objects after %s", m.n_objects,
				      fault_text());
			for (i = n = 0; i < m.n_objects; i++) {
				sv_autofree char *texts = texts_of(&m.objects[i]);

				ck_assert_msg(!strstr(texts, "memory"), "%s after %s", texts,
					      fault_text());
				n += m.objects[i].complaints.n;
			}
			ck_assert_msg(n == n_complaints, "%zu complaints after %s: %s", n,
				      fault_text(),
				      n ? m.objects[0].complaints.items[0].message : "");
			sv_manifest_done(&m);
		}
		fault_no_leaks();
	}
	fault_enough(&loop, 20);
}

START_TEST(a_manifest_is_decoded_whole_or_not_at_all)
{
	decode_loop(SECRET "---\n" POD "---\n{kind: List, apiVersion: v1, items: []}\n",
		    SV_FORMAT_YAML, FAULT_ALLOCATIONS, 0, 2, 0);
}
END_TEST

START_TEST(json_is_decoded_whole_or_not_at_all)
{
	decode_loop("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": "
		    "\"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"s\"}, \"data\": "
		    "{\"a\": \"YQ==\"}}]}",
		    SV_FORMAT_JSON, FAULT_NO_COPIES, 0, 1, 0);
}
END_TEST

START_TEST(complaints_are_all_there_or_it_is_out_of_memory)
{
	decode_loop("apiVersion: v1\nkind: Secret\nmetadata: {name: A_B}\n"
		    "data: {\"a b\": YQ==, c: '*'}\n",
		    SV_FORMAT_YAML, FAULT_ALLOCATIONS, 0, 1, 2);
}
END_TEST

START_TEST(a_value_that_is_json_is_not_refused_without_memory)
{
	decode_loop("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
		    "type: kubernetes.io/dockerconfigjson\n"
		    "stringData: {.dockerconfigjson: '{\"auths\": {}}'}\n",
		    SV_FORMAT_YAML, FAULT_NO_COPIES, 0, 1, 0);
}
END_TEST

START_TEST(a_text_that_does_not_parse_does_not_parse_without_memory)
{
	decode_loop("a: [1, 2\nb: {", SV_FORMAT_YAML, FAULT_ALLOCATIONS, SV_MANIFEST_E_SYNTAX, 0,
		    0);
}
END_TEST

/* All that YAML and a Pod can have: anchors, merges, keys that are no strings, every kind of source. */
#define RICH                                                                                                   \
	"apiVersion: v1\nkind: Pod\n"                                                                          \
	"metadata: {name: p, labels: &l {a: b}, annotations: {<<: *l, 1.5: x, true: yy, .nan: a, -.inf: b}}\n" \
	"status: {phase: Running, podIP: 10.0.0.1}\n"                                                          \
	"spec:\n"                                                                                              \
	"  serviceAccountName: a\n"                                                                            \
	"  nodeName: node\n"                                                                                   \
	"  securityContext: {runAsUser: 1, supplementalGroups: [3, 4]}\n"                                      \
	"  volumes:\n"                                                                                         \
	"  - name: v\n"                                                                                        \
	"    projected:\n"                                                                                     \
	"      defaultMode: 0400\n"                                                                            \
	"      sources:\n"                                                                                     \
	"      - secret: {name: s, items: [{key: k, path: p}]}\n"                                              \
	"  - {name: e, emptyDir: {}}\n"                                                                        \
	"  - {name: m, projected: {sources: [{configMap: {name: m}}]}}\n"                                      \
	"  initContainers: [&c {name: i, image: i, args: [a]}]\n"                                              \
	"  containers:\n"                                                                                      \
	"  - {<<: *c, name: c, env: [{name: F, valueFrom: {fieldRef: {fieldPath: "                             \
	"\"metadata.labels['a']\"}}}, {name: NODE, valueFrom: {fieldRef: {fieldPath: "                         \
	"metadata.name}}}], volumeMounts: [{name: v, mountPath: /m, subPathExpr: $(F)}]}\n"

START_TEST(a_rich_pod_is_decoded_whole_or_not_at_all)
{
	decode_loop(RICH, SV_FORMAT_YAML, FAULT_NO_COPIES, 0, 1, 0);
}
END_TEST

START_TEST(complaints_with_numbers_are_all_there_or_it_is_out_of_memory)
{
	decode_loop("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
		    "  securityContext: {fsGroup: -1, supplementalGroups: [-2]}\n"
		    "  volumes: [{name: v, secret: {secretName: s, defaultMode: 512}}]\n"
		    "  containers: [{name: c, image: i, env: [{name: A, valueFrom: {fieldRef: "
		    "{fieldPath: ''}}}]}]\n",
		    SV_FORMAT_YAML, FAULT_NO_COPIES, 0, 1, 4);
}
END_TEST

/* More than json-c has room for at first. */
START_TEST(a_list_that_grows_is_decoded_whole_or_not_at_all)
{
	sv_autobuf struct sv_buf b = { 0 };
	int i;

	sv_buf_puts(&b, "apiVersion: v1\nkind: Secret\nmetadata: {&k name: s}\nunknown: [");
	for (i = 0; i < 35; i++)
		sv_buf_printf(&b, "%d, ", i);
	sv_buf_puts(&b, "]\n");
	decode_loop(b.ptr, SV_FORMAT_YAML, FAULT_NO_COPIES, 0, 1, 0);
}
END_TEST

/* json-c 0.16 itself loses a block when a map cannot grow: leaks are not looked for. */
START_TEST(a_merged_map_that_grows_is_read_whole_or_not_at_all)
{
	struct fault_loop loop = { .scope = FAULT_NO_COPIES };
	sv_autobuf struct sv_buf b = { 0 };
	int i;

	sv_buf_puts(&b, "a: &a {");
	for (i = 0; i < 14; i++)
		sv_buf_printf(&b, "k%d: %d, ", i, i);
	sv_buf_puts(&b, "}\nb: {<<: *a}\n");
	FAULT_EACH(loop)
	{
		struct json_object *merged = NULL;
		struct sv_trees trees = { NULL, 0 };
		struct sv_err err = { "" };
		int r;

		fault_on(&loop);
		r = sv_yaml_parse(b.ptr, b.len, &trees, &err, NULL);
		fault_off();
		fault_out_of_memory(r);
		if (r == 0) {
			json_object_object_get_ex(trees.items[0].root, "b", &merged);
			ck_assert_msg(json_object_object_length(merged) == 14, "%d keys after %s",
				      json_object_object_length(merged), fault_text());
		}
		sv_trees_done(&trees);
	}
	fault_enough(&loop, 60);
}
END_TEST

START_TEST(what_is_no_object_is_a_complaint_or_out_of_memory)
{
	decode_loop("[1, 2]\n---\n{apiVersion: v1}\n---\n{kind: Pod, metadata: {name: p}}\n",
		    SV_FORMAT_YAML, FAULT_NO_COPIES, 0, 3, 3);
}
END_TEST

START_TEST(too_many_of_something_is_a_complaint_or_out_of_memory)
{
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };
	t_autotree struct json_object *tree = NULL;
	sv_autobuf struct sv_buf b = { 0 };
	int i;

	sv_buf_puts(&b,
		    "{metadata: {name: p}, spec: {containers: [{name: c, image: i}], volumes: [");
	for (i = 0; i <= SV_POD_VOLUMES_MAX; i++)
		sv_buf_puts(&b, "{}, ");
	sv_buf_puts(&b, "]}}");
	tree = t_yaml(b.ptr);
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_complaints c = { 0 };
		struct sv_pod *p = NULL;
		int r;

		fault_on(&loop);
		r = sv_decode_pod(tree, NULL, &p, &c);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == SV_DECODE_E_INVALID, "%d after %s", r,
			      fault_text());
		if (r == SV_DECODE_E_INVALID)
			t_contains(c.items[0].message, "Too many: 1001");
		ck_assert_ptr_null(p);
		sv_complaints_done(&c);
		fault_no_leaks();
	}
	fault_enough(&loop, 5);
}
END_TEST

/* ---- the catalog ----------------------------------------------------------------------------- */

static void count_up(void *arg, const struct sv_problem *problem)
{
	(void)problem;
	++*(int *)arg;
}

START_TEST(a_catalog_takes_a_file_or_is_as_before)
{
	static const char text[] = SECRET "---\n" POD;
	static const char changed[] =
		SECRET "---\n{apiVersion: v1, kind: Pod, metadata: {name: p}}";
	static const char unclear[] = "{apiVersion: v1, metadata: {name: p}}\n---\nhello\n";
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };
	struct sv_err err = { "" };
	struct sv_catalog *c;

	ck_assert_int_eq(sv_catalog_new(NULL, NULL, &c), 0);
	sv_catalog_free(c);
	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_manifest a, b, u;
		struct sv_catalog_counts counts;
		int r, problems = 0;

		ck_assert_int_eq(
			sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &a, &err, NULL),
			0);
		ck_assert_int_eq(sv_manifest_parse(changed, strlen(changed), SV_FORMAT_YAML, NULL,
						   &b, &err, NULL),
				 0);
		ck_assert_int_eq(sv_manifest_parse(unclear, strlen(unclear), SV_FORMAT_YAML, NULL,
						   &u, &err, NULL),
				 0);
		c = NULL;
		fault_on(&loop);
		r = sv_catalog_new(NULL, NULL, &c);
		if (r == 0)
			r = sv_catalog_set(c, "/m/a.yaml", &a, true, 1, NULL);
		if (r == 0)
			r = sv_catalog_set(c, "/m/a.yaml", &b, false, 2, NULL);
		if (r == 0)
			r = sv_catalog_set(c, "/m/a.yaml", &u, false, 2, NULL);
		if (r == 0)
			r = sv_catalog_fail(c, "/m/a.yaml", 1, "InvalidManifest", "bad", 3);
		fault_off();
		fault_out_of_memory(r);
		if (c) {
			sv_catalog_each_problem(c, count_up, &problems);
			sv_manifest_done(&a);
			ck_assert_int_eq(sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL,
							   &a, &err, NULL),
					 0);
			ck_assert_int_eq(sv_catalog_set(c, "/m/a.yaml", &a, false, 4, NULL), 0);
			sv_catalog_count(c, NULL, &counts);
			ck_assert_msg(counts.pods == 1 && counts.secrets == 1,
				      "%zu pods, %zu secrets after %s", counts.pods, counts.secrets,
				      fault_text());
			sv_catalog_free(c);
		}
		sv_manifest_done(&a);
		sv_manifest_done(&b);
		sv_manifest_done(&u);
		fault_no_leaks();
	}
	fault_enough(&loop, 20);
}
END_TEST

/* What a sink has been told: names, in order. */
struct told {
	struct sv_strmap pods;
	char *label; /* of the Pod that was put last: its container */
	int removed;
};

static void told_pod(void *arg, struct sv_pod *p)
{
	struct told *t = arg;

	fault_aside(true);
	ck_assert_int_eq(sv_strmap_put(&t->pods, "p", t), 0);
	free(t->label);
	t->label = strdup(p->containers[0].name);
	fault_aside(false);
}

static void told_gone(void *arg, const char *ns, const char *name)
{
	(void)ns;
	(void)name;
	((struct told *)arg)->removed++;
}

#define POD_OF(container)                                           \
	"{apiVersion: v1, kind: Pod, metadata: {name: p, uid: u}, " \
	"spec: {containers: [{name: " container ", image: i}]}}\n"

static void give(struct sv_catalog *c, const char *path, const char *text, int *r)
{
	struct sv_manifest m;
	struct sv_err err = { "" };

	fault_aside(true);
	ck_assert_int_eq(
		sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &m, &err, NULL), 0);
	fault_aside(false);
	*r = sv_catalog_set(c, path, &m, false, 1, &err);
	sv_manifest_done(&m);
}

START_TEST(a_lack_of_memory_takes_nothing_away)
{
	const struct sv_catalog_sink sink = { told_pod, told_gone, NULL, told_gone, NULL };
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct told t = { .removed = 0 };
		struct sv_catalog *c;
		int r;

		ck_assert_int_eq(sv_catalog_new(&sink, &t, &c), 0);
		give(c, "/m/a.yaml", POD_OF("old"), &r);
		ck_assert_int_eq(r, 0);
		give(c, "/m/b.yaml", POD_OF("other"), &r); /* it loses */
		ck_assert_int_eq(r, 0);
		fault_on(&loop);
		give(c, "/m/a.yaml", POD_OF("new"), &r);
		fault_off();
		fault_out_of_memory(r);
		ck_assert_msg(t.removed == 0, "removed after %s", fault_text());
		ck_assert_msg(strcmp(t.label, r == 0 ? "new" : "old") == 0, "'%s' after %s",
			      t.label, fault_text());
		give(c, "/m/a.yaml", POD_OF("new"), &r);
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(sv_catalog_retell(c, 2), 0);
		ck_assert_str_eq(t.label, "new");
		ck_assert_int_eq(sv_catalog_remove(c, "/m/a.yaml", 2), 0);
		ck_assert_str_eq(t.label, "other"); /* who counts was found out again */
		ck_assert_int_eq(t.removed, 0);
		sv_catalog_free(c);
		sv_strmap_done(&t.pods);
		free(t.label);
		fault_no_leaks();
	}
	fault_enough(&loop, 6);
}
END_TEST

#define SECRET_OF(value)                                       \
	"{apiVersion: v1, kind: Secret, metadata: {name: s}, " \
	"stringData: {k: " value "}}\n"

/* Whatever is not settled: no file is named but one that has the Secret, and none that is freed. */
static void expect_path(const struct sv_catalog *c, int r, const char *path, const char *want)
{
	const char *got = sv_catalog_path(c, "default", "s");

	ck_assert_msg(got ? strcmp(got, want) == 0 : r < 0, "'%s', not '%s' after %s", got, want,
		      fault_text());
	ck_assert_ptr_nonnull(sv_catalog_secret(c, "default", "s"));
	ck_assert_ptr_null(sv_catalog_failure(c, path));
}

/* @removal: the file goes; else it comes with another version. */
static void forsake_loop(bool removal)
{
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_catalog *c;
		int r, problems = 0;

		ck_assert_int_eq(sv_catalog_new(NULL, NULL, &c), 0);
		give(c, "/m/a.yaml", SECRET_OF("old") "---\n" SECRET_OF("second"), &r);
		ck_assert_int_eq(r, 0);
		give(c, "/m/b.yaml", SECRET_OF("other"), &r);
		ck_assert_int_eq(r, 0);
		fault_on(&loop);
		if (removal)
			r = sv_catalog_remove(c, "/m/a.yaml", 2);
		else
			give(c, "/m/a.yaml", SECRET_OF("new"), &r);
		fault_off();
		fault_out_of_memory(r);
		expect_path(c, r, "/m/a.yaml", removal ? "/m/b.yaml" : "/m/a.yaml");
		sv_catalog_each_problem(c, count_up, &problems);
		ck_assert_int_eq(sv_catalog_retell(c, 2), 0);
		expect_path(c, 0, "/m/a.yaml", removal ? "/m/b.yaml" : "/m/a.yaml");
		sv_catalog_free(c);
		fault_no_leaks();
	}
	fault_enough(&loop, 4);
}

START_TEST(without_memory_nothing_that_is_gone_is_named)
{
	forsake_loop(false);
	forsake_loop(true);
}
END_TEST

/* ---- desired, plan, reconcile ---------------------------------------------------------------- */

/* As a manager does; a record that cannot be made now is made by the next change. */
static void changed(void *arg, const char *id)
{
	struct sv_actual *a = sv_actuals_make(&s, id);

	(void)arg;
	if (!a)
		return;
	a->input = true;
	sv_actuals_enqueue(&s, a, false);
}

static void begin(void)
{
	sv_desired_init(&d, changed, NULL);
	sv_actuals_init(&s);
	d.expected[SV_ORIGIN_MANIFEST] = true;
	sv_desired_set_synced(&d, SV_ORIGIN_MANIFEST);
}

static void end(void)
{
	sv_actuals_done(&s);
	sv_desired_done(&d);
	fault_no_leaks();
}

static void put_all(void)
{
	ck_assert_int_eq(sv_desired_put_secret(&d, SV_ORIGIN_MANIFEST, secret, 1), 0);
	ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, pod, 1), 0);
	ck_assert_ptr_nonnull(sv_actuals_get(&s, ID));
}

static enum sv_outcome start(struct sv_action **action, int64_t now)
{
	return sv_reconcile_start(&d, &s, sv_actuals_get(&s, ID), &opts, now, action);
}

/* The work is done, and two older generations are there. */
static void carry_out(struct sv_action *action)
{
	action->result = 0;
	action->is_mounted = action->kind != SV_ACTION_REMOVE;
	if (action->kind != SV_ACTION_SYNC)
		return;
	action->changed = action->listed = true;
	action->current = action->generation;
	action->medium = SV_MEDIUM_TMPFS;
	action->old = calloc(2, sizeof(*action->old));
	ck_assert_ptr_nonnull(action->old);
	strcpy(action->old[0].data_dir, "..2026_1");
	strcpy(action->old[1].data_dir, "..2026_2");
	action->n_old = 2;
}

static void expect_plan(const struct sv_action *action)
{
	sv_autofree char *files = NULL;

	ck_assert_ptr_nonnull(action);
	ck_assert_int_eq(action->kind, SV_ACTION_SYNC);
	files = t_files(action->plan);
	ck_assert_msg(strcmp(files, FILES) == 0, "%s after %s", files, fault_text());
	ck_assert_uint_eq(action->plan->n_dirs, 1);
}

static void finish(struct sv_action *action, int64_t now)
{
	carry_out(action);
	sv_reconcile_finish(&d, &s, sv_actuals_get(&s, ID), action, &opts, now, now);
	sv_action_free(action);
}

/* A volume that is published; the action that did it is over. */
static void publish(void)
{
	struct sv_action *action;

	put_all();
	start(&action, 10);
	expect_plan(action);
	finish(action, 10);
	ck_assert_int_eq(sv_actuals_get(&s, ID)->state, SV_STATE_PUBLISHED);
}

#define LOOP(loop)                                               \
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS }; \
	fault_note_use();                                        \
	FAULT_EACH(loop)

START_TEST(objects_are_put_or_can_be_put_again)
{
	LOOP(loop)
	{
		int r;

		begin();
		fault_on(&loop);
		r = sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, pod, 1);
		if (r == 0)
			r = sv_desired_put_secret(&d, SV_ORIGIN_MANIFEST, secret, 1);
		fault_off();
		fault_out_of_memory(r);
		publish();
		end();
	}
	fault_enough(&loop, 15);
}
END_TEST

START_TEST(a_pod_that_changes_keeps_its_volumes)
{
	sv_autopod struct sv_pod *later = t_pod_yaml(POD);

	LOOP(loop)
	{
		int r;

		begin();
		put_all();
		fault_on(&loop);
		r = sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, later, 2);
		fault_off();
		fault_out_of_memory(r);
		ck_assert_msg(d.wanted.n == 2, "%zu volumes after %s", d.wanted.n, fault_text());
		if (loop.call % 2)
			ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, later, 3), 0);
		ck_assert_uint_eq(d.wanted.n, 2);
		sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
		ck_assert_msg(d.wanted.n == 0, "%zu volumes stay after %s", d.wanted.n,
			      fault_text());
		end();
	}
	fault_enough(&loop, 4);
}
END_TEST

START_TEST(objects_are_removed_whatever_fails)
{
	LOOP(loop)
	{
		begin();
		publish();
		fault_on(&loop);
		sv_desired_refuse_secret(&d, SV_ORIGIN_MANIFEST, "default", "s", NULL);
		sv_desired_remove_secret(&d, SV_ORIGIN_MANIFEST, "default", "s");
		sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
		fault_off();
		ck_assert_msg(d.wanted.n == 0 && d.pods[0].n == 0 && d.secrets[0].n == 0,
			      "%zu, %zu, %zu are left after %s", d.wanted.n, d.pods[0].n,
			      d.secrets[0].n, fault_text());
		end();
	}
	fault_enough(&loop, 4);
}
END_TEST

START_TEST(an_action_holds_the_whole_plan_or_is_tried_later)
{
	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		put_all();
		a = sv_actuals_get(&s, ID);
		fault_on(&loop);
		start(&action, 10);
		fault_off();
		if (!action) {
			ck_assert_msg(a->state == SV_STATE_FAILED && a->retry_ms > 10 && !a->busy,
				      "%s after %s", sv_state_name(a->state), fault_text());
			ck_assert(a->queued || a->timed);
			start(&action, a->retry_ms);
		}
		expect_plan(action);
		finish(action, 1000);
		ck_assert_int_eq(a->state, SV_STATE_PUBLISHED);
		end();
	}
	fault_enough(&loop, 30);
}
END_TEST

static int refill(void *arg, enum sv_origin origin, struct sv_secret *wanted, struct sv_err *err)
{
	(void)err;
	return sv_desired_fill(&d, origin, wanted, arg) ? 0 : SV_PLAN_E_UNAVAILABLE;
}

START_TEST(forgotten_values_are_there_or_asked_for_later)
{
	sv_autosecret struct sv_secret *again = t_secret_yaml(SECRET);

	sv_secret_forget(secret); /* one copy of the values in all rounds */
	ck_assert(sv_secret_fill(secret, again));
	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		d.refill = refill;
		d.changed = NULL;
		d.arg = again;
		ck_assert_ptr_nonnull(sv_actuals_make(&s, ID));
		a = sv_actuals_get(&s, ID);
		a->input = true;
		fault_on(&loop);
		sv_desired_set_keep(&d, SV_KEEP_AUTO);
		fault_off();
		put_all();
		fault_on(&loop);
		sv_desired_forget(&d);
		start(&action, 10);
		fault_off();
		if (!action) {
			ck_assert_msg(a->state == SV_STATE_FAILED && a->retry_ms > 10,
				      "%s after %s", sv_state_name(a->state), fault_text());
			start(&action, a->retry_ms);
		}
		expect_plan(action);
		ck_assert_ptr_nonnull(action->plan->files[0].value);
		finish(action, 1000);
		sv_desired_forget(&d);
		ck_assert(sv_secret_is_hollow(secret) && sv_secret_fill(secret, again));
		end();
	}
	fault_enough(&loop, 20);
}
END_TEST

START_TEST(a_result_is_taken_in_whatever_fails)
{
	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		put_all();
		a = sv_actuals_get(&s, ID);
		start(&action, 10);
		carry_out(action);
		fault_on(&loop);
		sv_reconcile_finish(&d, &s, a, action, &opts, 10, 10);
		fault_off();
		ck_assert_msg(a->state == SV_STATE_PUBLISHED && a->mounted && !a->busy,
			      "%s after %s", sv_state_name(a->state), fault_text());
		sv_action_free(action);
		/* a failure of the next update as well */
		changed(NULL, ID);
		start(&action, 20);
		expect_plan(action);
		action->result = -EIO;
		action->is_mounted = true;
		sv_err_set(&action->err, -EIO, "no luck");
		fault_on(&loop);
		sv_reconcile_finish(&d, &s, a, action, &opts, 20, 20);
		fault_off();
		ck_assert(a->state == SV_STATE_STALE && a->retry_ms > 20);
		ck_assert(a->queued || a->timed);
		sv_action_free(action);
		end();
	}
	fault_enough(&loop, 4);
}
END_TEST

START_TEST(a_pod_that_takes_a_volume_over_has_the_old_link_removed)
{
	sv_autopod struct sv_pod *other =
		t_pod_yaml("metadata: {name: p2, uid: u}\n"
			   "spec:\n"
			   "  volumes:\n"
			   "  - {name: v, projected: {sources: [{secret: {name: s}}]}}\n"
			   "  containers:\n"
			   "  - {name: c, image: i, volumeMounts: [{name: v, mountPath: /m}]}\n");

	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		publish();
		a = sv_actuals_get(&s, ID);
		sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
		ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, other, 2), 0);
		fault_on(&loop);
		start(&action, 20);
		fault_off();
		if (!action)
			start(&action, a->retry_ms);
		ck_assert_ptr_nonnull(action);
		ck_assert_str_eq(action->pod, "p2");
		ck_assert_msg(strcmp(action->former_ns, "default") == 0 &&
				      strcmp(action->former_pod, "p") == 0,
			      "former '%s/%s' after %s", action->former_ns, action->former_pod,
			      fault_text());
		finish(action, 20);
		end();
	}
	fault_enough(&loop, 10);
}
END_TEST

START_TEST(cleaning_and_removing_start_or_are_tried_later)
{
	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		publish();
		a = sv_actuals_get(&s, ID);
		a->input = false;
		fault_on(&loop);
		start(&action, 5000);
		fault_off();
		if (!action) { /* it is not due at once: the daemon would do nothing else */
			ck_assert_int_gt(sv_actuals_wait(&s, 5000), 0);
			start(&action, 5000 + sv_actuals_wait(&s, 5000));
		}
		ck_assert_ptr_nonnull(action);
		ck_assert_int_eq(action->kind, SV_ACTION_CLEAN);
		ck_assert_uint_eq(action->n_clean, 2);
		finish(action, 5900);
		ck_assert_uint_eq(a->n_old, 0);
		sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
		fault_on(&loop);
		start(&action, 6000);
		fault_off();
		if (!action)
			start(&action, a->retry_ms);
		ck_assert_ptr_nonnull(action);
		ck_assert_int_eq(action->kind, SV_ACTION_REMOVE);
		finish(action, 6000);
		end();
	}
	fault_enough(&loop, 10);
}
END_TEST

START_TEST(an_adopted_volume_has_a_record_or_there_is_none)
{
	LOOP(loop)
	{
		struct sv_adopted found = {
			.id = ID, .ns = "default", .pod = "p", .medium = SV_MEDIUM_TMPFS
		};
		struct sv_actual *a;

		begin();
		fault_on(&loop);
		a = sv_reconcile_adopt(&s, &found, 0);
		fault_off();
		ck_assert_msg(a == sv_actuals_get(&s, ID), "after %s", fault_text());
		ck_assert_msg(!a || strcmp(a->pod, "p") == 0, "nameless after %s", fault_text());
		a = sv_reconcile_adopt(&s, &found, 0);
		ck_assert_ptr_nonnull(a);
		ck_assert_str_eq(a->pod, "p");
		end();
	}
	fault_enough(&loop, 6);
}
END_TEST

/* What the Kubernetes source says of a Secret, whatever fails. */
START_TEST(what_is_said_of_one_secret_is_taken_or_can_be_said_again)
{
	LOOP(loop)
	{
		const struct sv_desired_secret *rec;
		int r;

		begin();
		d.by_secret[SV_ORIGIN_API] = true;
		fault_on(&loop);
		r = sv_desired_hold_secret(&d, SV_ORIGIN_API, "default", "s");
		if (r == 0)
			r = sv_desired_trouble_secret(&d, SV_ORIGIN_API, "default", "s",
						      SV_PLAN_E_UNAVAILABLE, "no answer");
		if (r == 0)
			r = sv_desired_refuse_secret(&d, SV_ORIGIN_API, "default", "s", "bad");
		if (r == 0)
			r = sv_desired_put_secret(&d, SV_ORIGIN_API, secret, 1);
		fault_off();
		fault_out_of_memory(r);
		if (r < 0) {
			ck_assert_int_eq(sv_desired_hold_secret(&d, SV_ORIGIN_API, "default", "s"),
					 0);
			ck_assert_int_eq(sv_desired_trouble_secret(&d, SV_ORIGIN_API, "default",
								   "s", SV_PLAN_E_UNAVAILABLE,
								   "no answer"),
					 0);
			rec = sv_desired_secret(&d, SV_ORIGIN_API, "default", "s");
			ck_assert_str_eq(rec->trouble_text, "no answer");
			ck_assert_int_eq(sv_desired_put_secret(&d, SV_ORIGIN_API, secret, 1), 0);
		}
		rec = sv_desired_secret(&d, SV_ORIGIN_API, "default", "s");
		ck_assert_ptr_eq(rec->secret, secret);
		ck_assert_int_eq(rec->trouble, 0);
		end();
	}
	fault_enough(&loop, 8);
}
END_TEST

/* A version that lacks a volume, gains another, and goes again before there is memory. */
START_TEST(a_volume_that_a_pod_no_longer_has_goes_whatever_fails)
{
	sv_autopod struct sv_pod *later = t_pod("p@u", "w=s x=s z=s");

	LOOP(loop)
	{
		bool taken, there;
		size_t n;
		int r;

		begin();
		put_all();
		fault_on(&loop);
		r = sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, later, 2);
		n = d.wanted.n;
		there = sv_desired_wanted(&d, ID) != NULL;
		taken = sv_desired_pod(&d, "default", "p")->pod == later;
		sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
		fault_off();
		fault_out_of_memory(r);
		ck_assert_msg(r < 0 || n == 3, "%zu volumes after %s", n, fault_text());
		ck_assert_msg(taken != there, "%s after %s",
			      there ? "still there" : "gone too early", fault_text());
		ck_assert_msg(d.wanted.n == 0, "%zu volumes stay after %s", d.wanted.n,
			      fault_text());
		end();
	}
	fault_enough(&loop, 10);
}
END_TEST

/* The list of what is to be forgotten cannot grow: then values go at once. */
START_TEST(values_that_cannot_be_remembered_go_at_once)
{
	LOOP(loop)
	{
		sv_autosecret struct sv_secret *full = t_secret("s", "k=1");
		int r;

		begin();
		sv_desired_set_keep(&d, SV_KEEP_AUTO);
		fault_on(&loop);
		r = sv_desired_put_secret(&d, SV_ORIGIN_MANIFEST, full, 1);
		fault_off();
		fault_out_of_memory(r);
		if (r == 0)
			ck_assert_msg(sv_secret_is_hollow(full) == (d.n_filled == 0), "after %s",
				      fault_text());
		sv_desired_forget(&d);
		ck_assert(r < 0 || sv_secret_is_hollow(full));
		ck_assert_uint_eq(d.filled_size, 0);
		sv_desired_done(&d);
		sv_actuals_done(&s);
		sv_secret_unref(SV_TAKE(full));
		fault_no_leaks();
	}
	fault_enough(&loop, 6);
}
END_TEST

START_TEST(a_refused_plan_is_refused_or_out_of_memory)
{
	sv_autopod struct sv_pod *p = t_pod_yaml(
		"metadata: {name: p}\nspec:\n"
		"  volumes: [{name: v, projected: {sources: [{secret: {name: a}}, {secret: {name: "
		"s, items: [{key: none, path: x}]}}]}}]\n"
		"  containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /v}]}]\n");
	struct sv_secret *secrets[] = { secret, NULL };

	LOOP(loop)
	{
		struct sv_plan *plan = NULL;
		struct sv_err err = { "" };
		int r;

		fault_on(&loop);
		r = sv_plan_make(p, t_volume(p, "v"), 1 << 20, t_lookup, secrets, &plan, &err);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == SV_PLAN_E_NO_SECRET, "%d, '%s' after %s", r,
			      err.msg, fault_text());
		ck_assert_msg(r < 0 || strstr(err.msg, "secret \"a\" not found"), "%s after %s",
			      err.msg, fault_text());
		ck_assert_ptr_null(plan);
		fault_no_leaks();
	}
	fault_enough(&loop, 6);
}
END_TEST

static int unavailable(void *arg, enum sv_origin origin, struct sv_secret *wanted,
		       struct sv_err *err)
{
	(void)arg;
	(void)origin;
	return sv_err_set(err, SV_PLAN_E_UNAVAILABLE, "no values of %s", wanted->name);
}

START_TEST(a_volume_that_has_what_it_should_stays_published_or_is_tried_later)
{
	sv_autosecret struct sv_secret *again = t_secret_yaml(SECRET);

	sv_secret_forget(secret); /* one copy of the values in all rounds */
	ck_assert(sv_secret_fill(secret, again));
	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		sv_desired_set_keep(&d, SV_KEEP_AUTO);
		d.refill = unavailable;
		publish();
		sv_desired_forget(&d);
		a = sv_actuals_get(&s, ID);
		a->input = true;
		fault_on(&loop);
		start(&action, 20);
		fault_off();
		ck_assert_msg(!action, "an action after %s: %s", fault_text(),
			      action ? action->err.msg : "");
		if (a->state != SV_STATE_PUBLISHED) {
			ck_assert_msg(a->state == SV_STATE_STALE && a->retry_ms > 20, "%s after %s",
				      sv_state_name(a->state), fault_text());
			start(&action, a->retry_ms);
		}
		ck_assert_int_eq(a->state, SV_STATE_PUBLISHED);
		if (action) { /* old generations have come to be due meanwhile */
			ck_assert_int_eq(action->kind, SV_ACTION_CLEAN);
			finish(action, 3000);
		}
		ck_assert(sv_secret_fill(secret, again));
		end();
	}
	fault_enough(&loop, 10);
}
END_TEST

START_TEST(a_pod_that_takes_a_volume_over_and_mounts_it_nowhere_has_it_removed)
{
	sv_autopod struct sv_pod *other =
		t_pod_yaml("metadata: {name: p2, uid: u}\nspec:\n"
			   "  volumes: [{name: v, projected: {sources: [{secret: {name: s}}]}}]\n"
			   "  containers: [{name: c, image: i}]\n");

	LOOP(loop)
	{
		struct sv_action *action = NULL;
		struct sv_actual *a;

		begin();
		publish();
		a = sv_actuals_get(&s, ID);
		sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
		ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, other, 2), 0);
		fault_on(&loop);
		start(&action, 20);
		fault_off();
		if (!action) {
			ck_assert_msg(a->retry_ms > 20, "not retried after %s", fault_text());
			start(&action, a->retry_ms);
		}
		ck_assert_ptr_nonnull(action);
		ck_assert_int_eq(action->kind, SV_ACTION_REMOVE);
		ck_assert_str_eq(action->former_pod, "p");
		ck_assert_str_eq(action->pod, "p2");
		finish(action, 20);
		end();
	}
	fault_enough(&loop, 5);
}
END_TEST

START_TEST(a_status_is_made_or_not)
{
	const struct sv_status_env env = { .root = "/r", .now_ms = 50, .unix_ms = 50 };
	sv_autofree char *whole = NULL;
	struct json_object *o;

	begin();
	publish();
	o = sv_status_volume(&d, sv_actuals_get(&s, ID), &env);
	whole = sv_json_print(o);
	json_object_put(o);
	LOOP(loop)
	{
		char *text;

		fault_on(&loop);
		o = sv_status_volume(&d, sv_actuals_get(&s, ID), &env);
		text = sv_json_print(o);
		fault_off();
		ck_assert_msg(!text || strcmp(text, whole) == 0, "%s after %s", text, fault_text());
		free(text);
		json_object_put(o);
		fault_no_leaks();
	}
	sv_actuals_done(&s);
	sv_desired_done(&d);
	fault_enough(&loop, 20);
}
END_TEST

/* A volume that keeps a Secret which is gone, and is busy for long; what is said of Secrets beside it. */
static char *print_others(struct sv_handouts *handouts, const struct sv_desired_pod *p)
{
	const struct sv_status_env env = { .root = "/r", .now_ms = 5000, .unix_ms = 5000 };
	const struct sv_problem problem = sv_problem_about("manifest", "/m/a.yaml");
	struct json_object *objects[] = {
		sv_status_volume(&d, sv_actuals_get(&s, ID), &env),
		sv_status_secret(sv_desired_secret(&d, SV_ORIGIN_MANIFEST, "default", "t")),
		sv_status_problem(&problem),
		sv_status_pod(&d, &s, handouts, p),
	};
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(objects); i++) {
		sv_autofree char *text = sv_json_print(objects[i]);

		if (text)
			sv_buf_printf(&b, "%s\n", text);
		else
			b.failed = true;
		json_object_put(objects[i]);
	}
	return sv_buf_take(&b);
}

START_TEST(a_list_is_made_or_not)
{
	LOOP(loop)
	{
		struct json_object *items = NULL, *o;

		fault_on(&loop);
		o = sv_status_list("VolumeList", &items);
		fault_off();
		ck_assert_msg(!o || json_object_is_type(items, json_type_array), "after %s",
			      fault_text());
		json_object_put(o);
		fault_no_leaks();
	}
	fault_enough(&loop, 4);
}
END_TEST

START_TEST(a_status_of_what_is_out_of_the_ordinary_is_the_whole_or_none)
{
	static const char pod_text[] =
		"metadata: {name: q, uid: u2}\nspec:\n"
		"  volumes: [{name: v, projected: {sources: [{secret: {name: t}}, {secret: {name: "
		"t}}]}}]\n"
		"  containers: [{name: c, image: i, envFrom: [{secretRef: {name: e, optional: "
		"true}}], volumeMounts: [{name: v, mountPath: /v}]}]\n";
	const struct sv_env_opts env_opts = { 0 };
	sv_autopod struct sv_pod *q = t_pod_yaml(pod_text);
	sv_autosecret struct sv_secret *t = t_secret("t", "k=1");
	sv_autoenv struct sv_env *env = NULL;
	struct sv_handouts handouts = { { NULL, 0, 0 } };
	sv_autofree char *whole = NULL, *untimed = NULL;
	const struct sv_desired_pod *p;
	struct sv_err err = { "" };
	struct sv_action *action;
	struct sv_actual *a;
	const char *timed;

	begin();
	publish();
	sv_desired_remove_secret(&d, SV_ORIGIN_MANIFEST, "default", "s");
	a = sv_actuals_get(&s, ID);
	a->retry_ms = 1;
	start(&action, 20);
	ck_assert_ptr_nonnull(action);
	sv_reconcile_overdue(&d, a, true);
	ck_assert_int_eq(sv_desired_put_secret(&d, SV_ORIGIN_MANIFEST, t, 1), 0);
	ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, q, 1), 0);
	p = sv_desired_pod(&d, "default", "q");
	ck_assert_int_eq(
		sv_desired_env(&d, SV_ORIGIN_MANIFEST, q, &q->containers[0], &env_opts, &env, &err),
		0);
	ck_assert_int_eq(
		sv_handouts_note(&handouts, &d, SV_ORIGIN_MANIFEST, q, &q->containers[0], env, 1),
		0);
	d.by_secret[SV_ORIGIN_MANIFEST] = true; /* as a source that nobody asked for e */
	whole = print_others(&handouts, p);
	t_contains(whole, "\"keptSecrets\":[\"s\"]");
	timed = strstr(whole, ", for 4 s\"");
	ck_assert_ptr_nonnull(timed);
	untimed = sv_asprintf("%.*s%s", (int)(timed - whole), whole, timed + strlen(", for 4 s"));
	t_contains(whole, "\"usedBy\":[{\"pod\":\"q\",\"volume\":\"v\"}]");
	t_contains(whole, "\"name\":\"e\",\"generation\":0,\"currentGeneration\":null,"
			  "\"stale\":false");
	{
		LOOP(loop)
		{
			sv_autofree char *text = NULL;

			fault_on(&loop);
			text = print_others(&handouts, p);
			fault_off();
			ck_assert_msg(!text || strcmp(text, whole) == 0 ||
					      strcmp(text, untimed) == 0,
				      "%s after %s", text, fault_text());
			free(SV_TAKE(text));
			fault_no_leaks();
		}
		fault_enough(&loop, 50);
	}
	finish(action, 30);
	sv_handouts_done(&handouts);
	sv_actuals_done(&s);
	sv_desired_done(&d);
}
END_TEST

/* A Pod with an environment that has been handed out, and one of which only a volume is left. */
START_TEST(a_pods_status_is_the_whole_or_none)
{
	sv_autofree char *whole = NULL, *whole_gone = NULL;
	sv_autoenv struct sv_env *env = NULL;
	const struct sv_env_opts env_opts = { false, "node" };
	struct sv_handouts handouts = { { NULL, 0, 0 } };
	const struct sv_desired_pod *p;
	struct sv_err err = { "" };

	begin();
	publish();
	p = sv_desired_pod(&d, "default", "p");
	ck_assert_int_eq(sv_desired_env(&d, p->origin, p->pod, &p->pod->containers[0], &env_opts,
					&env, &err),
			 0);
	ck_assert_int_eq(
		sv_handouts_note(&handouts, &d, p->origin, p->pod, &p->pod->containers[0], env, 1),
		0);
	json_object_put(sv_status_pod(&d, &s, &handouts, p)); /* the time zone is known then */
	{
		LOOP(loop)
		{
			struct json_object *o, *gone;
			char *text, *text_gone;

			fault_on(&loop);
			o = sv_status_pod(&d, &s, &handouts, p);
			gone = sv_status_gone_pod(&s, sv_actuals_get(&s, ID));
			text = sv_json_print(o);
			text_gone = sv_json_print(gone);
			fault_off();
			json_object_put(o);
			json_object_put(gone);
			if (!fault_fired()) { /* the last one */
				whole = text;
				whole_gone = text_gone;
				continue;
			}
			ck_assert_msg(!text || strstr(text, "handedOutAt"), "%s after %s", text,
				      fault_text());
			free(text);
			free(text_gone);
			fault_no_leaks();
		}
		fault_enough(&loop, 20);
	}
	t_contains(whole, "\"environment\":{\"handedOutAt\"");
	t_contains(whole, "\"currentGeneration\":1");
	t_contains(whole_gone, "\"state\":\"Removing\"");
	sv_handouts_done(&handouts);
	sv_actuals_done(&s);
	sv_desired_done(&d);
}
END_TEST

START_TEST(an_environment_is_made_or_it_is_out_of_memory)
{
	const struct sv_env_opts env_opts = { 0 };
	struct sv_env *env = NULL;
	struct sv_err err = { "" };

	begin();
	publish();
	LOOP(loop)
	{
		int r;

		env = NULL;
		fault_on(&loop);
		r = sv_desired_env(&d, SV_ORIGIN_MANIFEST, pod, &pod->containers[0], &env_opts,
				   &env, &err);
		fault_off();
		fault_out_of_memory(r);
		ck_assert((r == 0) == (env != NULL));
		if (env) {
			const struct sv_bytes *b = sv_env_get(env, "B");

			ck_assert_msg(strcmp(env->command[1], "amy-appb$(none)") == 0,
				      "%s after %s", env->command[1], fault_text());
			ck_assert_msg(b->len == 15 && memcmp(b->ptr, env->command[1], 15) == 0,
				      "%.*s after %s", (int)b->len, (const char *)b->ptr,
				      fault_text());
		}
		sv_env_free(env);
		fault_no_leaks();
	}
	sv_actuals_done(&s);
	sv_desired_done(&d);
	fault_enough(&loop, 10);
}
END_TEST

/* Keys that are no names, and a path out of variables. */
START_TEST(notices_and_sub_paths_are_made_or_it_is_out_of_memory)
{
	const struct sv_env_opts env_opts = { .strict_names = true };
	sv_autosecret struct sv_secret *odd = t_secret("s", "user=x 1a=y 2b=z");

	begin();
	ck_assert_int_eq(sv_desired_put_secret(&d, SV_ORIGIN_MANIFEST, odd, 1), 0);
	LOOP(loop)
	{
		sv_autofree const char **names = NULL;
		sv_autofree char *path = NULL;
		struct sv_env *env = NULL;
		struct sv_err err = { "" };
		size_t n = 0;
		int r;

		fault_on(&loop);
		r = sv_env_secret_names(&pod->containers[0], &names, &n);
		if (r == 0)
			r = sv_desired_env(&d, SV_ORIGIN_MANIFEST, pod, &pod->containers[0],
					   &env_opts, &env, &err);
		if (r == 0)
			r = sv_env_sub_path(env, "a/$(A)", &path, &err);
		fault_off();
		fault_out_of_memory(r);
		ck_assert_int_eq(r == 0, path != NULL);
		ck_assert(!path || strcmp(path, "a/x") == 0);
		if (env) {
			ck_assert_uint_eq(env->n_notices, 1);
			t_contains(env->notices[0], "Keys [1a, 2b]");
		}
		sv_env_free(env);
		free(SV_TAKE(path));
		free(SV_TAKE(names));
		fault_no_leaks();
	}
	sv_actuals_done(&s);
	sv_desired_done(&d);
	fault_enough(&loop, 10);
}
END_TEST

START_TEST(a_handout_is_noted_or_the_last_one_stands)
{
	const struct sv_env_opts env_opts = { 0 };
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	begin();
	put_all();
	ck_assert_int_eq(sv_desired_env(&d, SV_ORIGIN_MANIFEST, pod, &pod->containers[0], &env_opts,
					&env, &err),
			 0);
	LOOP(loop)
	{
		struct sv_handouts h = { { NULL, 0, 0 } };
		const struct sv_handout *got;
		int64_t at_ms;
		int r = 0;

		fault_on(&loop);
		for (at_ms = 1; at_ms <= 2 && r == 0; at_ms++)
			r = sv_handouts_note(&h, &d, SV_ORIGIN_MANIFEST, pod, &pod->containers[0],
					     env, at_ms);
		fault_off();
		fault_out_of_memory(r);
		at_ms -= r == 0 ? 1 : 2; /* the last that was noted; 0: none */
		got = sv_handouts_get(&h, "u", "c");
		ck_assert_msg(got ? got->at_ms == at_ms && got->n_secrets == 1 : at_ms == 0,
			      "after %s", fault_text());
		sv_handouts_done(&h);
		fault_no_leaks();
	}
	sv_actuals_done(&s);
	sv_desired_done(&d);
	fault_enough(&loop, 10);
}
END_TEST

T_SUITE(fault_core)
{
	T_AROUND(setup, teardown);
	T_TEST(a_manifest_is_decoded_whole_or_not_at_all);
	T_TEST(json_is_decoded_whole_or_not_at_all);
	T_TEST(complaints_are_all_there_or_it_is_out_of_memory);
	T_TEST(a_value_that_is_json_is_not_refused_without_memory);
	T_TEST(a_text_that_does_not_parse_does_not_parse_without_memory);
	T_TEST(a_rich_pod_is_decoded_whole_or_not_at_all);
	T_TEST(complaints_with_numbers_are_all_there_or_it_is_out_of_memory);
	T_TEST(a_list_that_grows_is_decoded_whole_or_not_at_all);
	T_TEST(a_merged_map_that_grows_is_read_whole_or_not_at_all);
	T_TEST(what_is_no_object_is_a_complaint_or_out_of_memory);
	T_TEST(too_many_of_something_is_a_complaint_or_out_of_memory);
	T_TEST(a_catalog_takes_a_file_or_is_as_before);
	T_TEST(a_lack_of_memory_takes_nothing_away);
	T_TEST(without_memory_nothing_that_is_gone_is_named);
	T_TEST(objects_are_put_or_can_be_put_again);
	T_TEST(a_pod_that_changes_keeps_its_volumes);
	T_TEST(objects_are_removed_whatever_fails);
	T_TEST(an_action_holds_the_whole_plan_or_is_tried_later);
	T_TEST(forgotten_values_are_there_or_asked_for_later);
	T_TEST(a_result_is_taken_in_whatever_fails);
	T_TEST(a_pod_that_takes_a_volume_over_has_the_old_link_removed);
	T_TEST(cleaning_and_removing_start_or_are_tried_later);
	T_TEST(an_adopted_volume_has_a_record_or_there_is_none);
	T_TEST(what_is_said_of_one_secret_is_taken_or_can_be_said_again);
	T_TEST(a_volume_that_a_pod_no_longer_has_goes_whatever_fails);
	T_TEST(values_that_cannot_be_remembered_go_at_once);
	T_TEST(a_refused_plan_is_refused_or_out_of_memory);
	T_TEST(a_volume_that_has_what_it_should_stays_published_or_is_tried_later);
	T_TEST(a_pod_that_takes_a_volume_over_and_mounts_it_nowhere_has_it_removed);
	T_TEST(a_status_is_made_or_not);
	T_TEST(a_list_is_made_or_not);
	T_TEST(a_status_of_what_is_out_of_the_ordinary_is_the_whole_or_none);
	T_TEST(a_pods_status_is_the_whole_or_none);
	T_TEST(an_environment_is_made_or_it_is_out_of_memory);
	T_TEST(notices_and_sub_paths_are_made_or_it_is_out_of_memory);
	T_TEST(a_handout_is_noted_or_the_last_one_stands);
}
