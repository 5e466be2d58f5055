/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../../lib/core/catalog.h"
#include "../support/support.h"

/*
 * Files are written in short: "p=s" is a Pod p with a Secret volume s, "p=s@uid" one with a uid,
 * "$s=value" a Secret with one key, "$s=value!" an immutable one, "$s=value%T" one of type T;
 * "$s=*" and "p=*" are refused, "^" is of another kind, "?p=s" has none, "-=s" has no name and "~"
 * is no object. "NS/" may stand before a name.
 */
static struct {
	struct sv_catalog *c;
	struct sv_buf told; /* "+pod ns/name", "-pod …", "+secret …", "-secret …", "!secret …" */
	char refusal[128]; /* the last text of one */
} k;

static void tell(const char *what, const char *ns, const char *name, const char *text)
{
	sv_buf_printf(&k.told, "%s%s %s/%s%s%s", k.told.len ? ", " : "", what, ns, name,
		      text ? " " : "", text ? text : "");
}

static void put_pod(void *arg, struct sv_pod *pod)
{
	ck_assert_ptr_eq(arg, &k);
	tell("+pod", pod->ns, pod->name, pod->n_volumes ? pod->volumes[0].sources[0].name : NULL);
}

static void remove_pod(void *arg, const char *ns, const char *name)
{
	(void)arg;
	tell("-pod", ns, name, NULL);
}

static void put_secret(void *arg, struct sv_secret *secret)
{
	const struct sv_bytes *v = sv_secret_value(secret, "k");
	sv_autofree char *value = v ? sv_asprintf("%.*s", (int)v->len, (char *)v->ptr) : NULL;

	(void)arg;
	tell("+secret", secret->ns, secret->name, value ? value : "hollow");
}

static void remove_secret(void *arg, const char *ns, const char *name)
{
	(void)arg;
	tell("-secret", ns, name, NULL);
}

static void refuse_secret(void *arg, const char *ns, const char *name, const char *text)
{
	(void)arg;
	if (text)
		t_contains(text, "data[k]");
	(void)snprintf(k.refusal, sizeof(k.refusal), "%s", text ? text : "");
	tell(text ? "!secret" : "?secret", ns, name, NULL);
}

static const struct sv_catalog_sink sink = { put_pod, remove_pod, put_secret, remove_secret,
					     refuse_secret };

static void setup(void)
{
	memset(&k, 0, sizeof(k));
	ck_assert_int_eq(sv_catalog_new(&sink, &k, &k.c), 0);
}

static void teardown(void)
{
	sv_catalog_free(k.c);
	sv_buf_done(&k.told);
}

/* Splits "NS/NAME" and writes metadata. */
static void add_metadata(struct sv_buf *b, const char *name, const char *uid)
{
	const char *slash = strchr(name, '/');

	sv_buf_printf(b, "metadata: {name: %s, namespace: %.*s",
		      strcmp(name, "-") == 0 ? "~" :
		      slash                  ? slash + 1 :
					       name,
		      slash ? (int)(slash - name) : 7, slash ? name : "default");
	if (uid)
		sv_buf_printf(b, ", uid: %s", uid);
	sv_buf_puts(b, "}\n");
}

static void add_object(struct sv_buf *b, char *word)
{
	char *value = strchr(word, '='), *extra;
	bool kind = *word != '?';

	if (!value) {
		sv_buf_puts(b, *word == '^' ? "---\napiVersion: v1\nkind: ConfigMap\n" :
					      "---\nhello\n");
		return;
	}
	*value++ = '\0';
	word += !kind;
	sv_buf_printf(b, "---\napiVersion: v1\n%s",
		      !kind        ? "" :
		      *word == '$' ? "kind: Secret\n" :
				     "kind: Pod\n");
	extra = strpbrk(value, *word == '$' ? "!%" : "@");
	add_metadata(b, *word == '$' ? word + 1 : word, *word != '$' && extra ? extra + 1 : NULL);
	if (extra && *extra == '!')
		sv_buf_puts(b, "immutable: true\n");
	if (extra && *extra == '%')
		sv_buf_printf(b, "type: %s\n", extra + 1);
	if (extra)
		*extra = '\0';
	if (*word == '$')
		sv_buf_printf(b, "%s: {k: '%s'}\n", *value == '*' ? "data" : "stringData", value);
	else
		sv_buf_printf(b,
			      "spec:\n  containers: [{name: c, image: %s}]\n"
			      "  volumes: [{name: v, secret: {secretName: %s}}]\n",
			      *value == '*' ? "" : "i", *value == '*' ? "x" : value);
}

static void set_at(const char *path, const char *objects, bool exposed, int64_t now_ms)
{
	sv_autofree char *copy = strdup(objects);
	sv_autobuf struct sv_buf b = { 0 };
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	struct sv_err err = { "" };
	char *save = NULL, *word;

	sv_buf_puts(&b, "");
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		add_object(&b, word);
	ck_assert_msg(sv_manifest_parse(b.ptr, b.len, SV_FORMAT_YAML, NULL, &m, &err, NULL) == 0,
		      "%s", err.msg);
	ck_assert_int_eq(sv_catalog_set(k.c, path, &m, exposed, now_ms, NULL), 0);
	ck_assert_uint_eq(m.n_objects, 0); /* taken over */
}

static void set(const char *path, const char *objects)
{
	set_at(path, objects, false, 1000);
}

static void expect_told(const char *want)
{
	sv_autofree char *told = sv_buf_take(&k.told);

	ck_assert_str_eq(told, want);
}

static void add_problem(void *arg, const struct sv_problem *p)
{
	struct sv_buf *b = arg;

	ck_assert_str_eq(p->source, "manifest");
	sv_buf_printf(b, "%s%s#%d %s%s%s/%s %s", b->len ? "; " : "", p->file, p->document,
		      p->warning ? "warning " : "", p->kind, p->ns, p->name, p->reason);
	if (*p->category)
		sv_buf_printf(b, " %s", p->category);
}

/* "FILE#DOCUMENT KINDNS/NAME REASON CATEGORY" of each. */
static void expect_problems(const char *want)
{
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_puts(&b, "");
	sv_catalog_each_problem(k.c, add_problem, &b);
	ck_assert_str_eq(b.ptr, want);
}

/* ---- what counts ----------------------------------------------------------------------------- */

START_TEST(objects_are_told_as_they_come_change_and_go)
{
	set("/m/a.yaml", "p=s $s=1");
	expect_told("+pod default/p s, +secret default/s 1");
	set("/m/a.yaml", "p=s $s=1"); /* equal objects are not put again */
	expect_told("");
	set("/m/a.yaml", "p=s $s=2");
	expect_told("+secret default/s 2");
	set("/m/a.yaml", "p=t $s=2");
	expect_told("+pod default/p t");
	set("/m/a.yaml", "$s=2");
	expect_told("-pod default/p");
	set("/m/a.yaml", "q=s");
	expect_told("+pod default/q s, -secret default/s"); /* what goes is told last */
	set("/m/a.yaml", "");
	expect_told("-pod default/q");
	expect_problems("");
}
END_TEST

START_TEST(a_file_that_is_gone_takes_its_objects_along)
{
	set("/m/a.yaml", "p=s");
	set("/m/b.yaml", "$s=1");
	ck_assert(sv_catalog_has(k.c, "/m/a.yaml"));
	expect_told("+pod default/p s, +secret default/s 1");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_told("-pod default/p");
	ck_assert(!sv_catalog_has(k.c, "/m/a.yaml"));
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_told("");
}
END_TEST

START_TEST(the_first_path_wins_whatever_the_order_of_arrival)
{
	set("/m/b.yaml", "$s=b");
	expect_told("+secret default/s b");
	set("/m/c.yaml", "$s=c");
	expect_told("");
	expect_problems("/m/c.yaml#0 Secretdefault/s DuplicateObject Duplicate");
	set("/m/a.yaml", "$s=a");
	expect_told("+secret default/s a");
	expect_problems("/m/b.yaml#0 Secretdefault/s DuplicateObject Duplicate; "
			"/m/c.yaml#0 Secretdefault/s DuplicateObject Duplicate");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000),
			 0); /* a removal brings the loser back */
	expect_told("+secret default/s b");
	set("/m/b.yaml", "$t=b");
	expect_told("+secret default/s c, +secret default/t b");
	expect_problems("");
	set("/m/B.yaml", "$s=B"); /* byte order: capitals first */
	expect_told("+secret default/s B");
}
END_TEST

START_TEST(in_one_file_the_first_document_wins)
{
	set("/m/a.yaml", "$s=1 $s=2");
	expect_told("+secret default/s 1");
	expect_problems("/m/a.yaml#1 Secretdefault/s DuplicateObject Duplicate");
	set("/m/a.yaml", "$s=2");
	expect_told("+secret default/s 2");
	expect_problems("");
}
END_TEST

START_TEST(kinds_and_namespaces_have_names_of_their_own)
{
	set("/m/a.yaml", "x=s $x=1 ns/x=s $ns/x=2");
	set("/m/b.yaml", "other/x=s");
	expect_told("+pod default/x s, +secret default/x 1, +pod ns/x s, +secret ns/x 2, "
		    "+pod other/x s");
	expect_problems("");
}
END_TEST

START_TEST(of_two_pods_with_one_uid_the_second_is_refused)
{
	set("/m/b.yaml", "q=s@u1");
	set("/m/c.yaml", "r=s@u1");
	expect_told("+pod default/q s");
	expect_problems("/m/c.yaml#0 Poddefault/r InvalidPod Duplicate");
	set("/m/a.yaml", "p=s@u1");
	expect_told("+pod default/p s, -pod default/q");
	set("/m/a.yaml", "p=s@u2");
	expect_told("+pod default/p s, +pod default/q s");
	set("/m/b.yaml", "q=s@u2");
	expect_told("+pod default/r s, -pod default/q");
	expect_problems("/m/b.yaml#0 Poddefault/q InvalidPod Duplicate");
}
END_TEST

/* The uid is part of the Pod that holds it; Pods that are equal are kept once. */
START_TEST(a_uid_outlives_the_copy_that_brought_it)
{
	set("/m/a.yaml", "p=s@u1");
	set("/m/a.yaml", "p=s@u1");
	set("/m/b.yaml", "q=s@u1");
	expect_told("+pod default/p s");
	expect_problems("/m/b.yaml#0 Poddefault/q InvalidPod Duplicate");
	set("/m/a.yaml", "p=s@u1");
	set("/m/a.yaml", "");
	expect_told("+pod default/q s, -pod default/p");
}
END_TEST

START_TEST(a_pod_may_be_renamed_and_keep_its_uid)
{
	set("/m/a.yaml", "p=s@u1");
	expect_told("+pod default/p s");
	set("/m/a.yaml", "q=s@u1");
	expect_told("+pod default/q s, -pod default/p");
	expect_problems("");
}
END_TEST

/* ---- keeping the last good version ----------------------------------------------------------- */

START_TEST(a_file_that_does_not_parse_keeps_its_objects)
{
	set("/m/a.yaml", "p=s $s=1");
	expect_told("+pod default/p s, +secret default/s 1");
	ck_assert_int_eq(
		sv_catalog_fail(k.c, "/m/a.yaml", 3, "InvalidManifest", "line 3: no", 2000), 0);
	expect_told("");
	expect_problems("/m/a.yaml#-1 / InvalidManifest decode");
	set("/m/a.yaml", "p=s $s=2");
	expect_told("+secret default/s 2");
	expect_problems("");
}
END_TEST

START_TEST(a_new_file_that_does_not_parse_is_a_problem_and_no_more)
{
	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/a.yaml", 0, "TooLarge", "too big", 2000), 0);
	expect_told("");
	ck_assert(sv_catalog_has(k.c, "/m/a.yaml"));
	expect_problems("/m/a.yaml#-1 / TooLarge");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_problems("");
}
END_TEST

START_TEST(an_object_that_is_refused_keeps_its_last_good_version)
{
	set("/m/a.yaml", "p=s $s=1");
	expect_told("+pod default/p s, +secret default/s 1");
	set("/m/a.yaml", "p=* $s=*");
	expect_told("");
	expect_problems("/m/a.yaml#0 Poddefault/p InvalidPod Required; "
			"/m/a.yaml#1 Secretdefault/s InvalidSecret decode");
	set("/m/a.yaml", "$s=* p=* $t=1"); /* wherever it stands in the file */
	expect_told("+secret default/t 1");
	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/a.yaml", 3, "InvalidManifest", "no", 2000), 0);
	set("/m/a.yaml", "$s=* p=s"); /* and through a file that did not parse */
	expect_told("-secret default/t");
	set("/m/a.yaml", "$s=3 p=s");
	expect_told("+secret default/s 3");
	expect_problems("");
	set("/m/a.yaml", "p=s"); /* removed is not refused */
	expect_told("-secret default/s");
}
END_TEST

START_TEST(an_object_whose_kind_cannot_be_read_keeps_its_last_good_version)
{
	set("/m/a.yaml", "p=s $s=1 $p=1");
	expect_told("+pod default/p s, +secret default/s 1, +secret default/p 1");
	set("/m/a.yaml", "?p=s $s=2 $p=2"); /* the others change */
	expect_told("+secret default/s 2, +secret default/p 2");
	expect_problems("/m/a.yaml#0 default/p InvalidManifest decode");
	set("/m/a.yaml", "?p=s ?$s=2 ?$p=2");
	expect_told("");
	set("/m/a.yaml", "?$s=2 ?p=s q=s"); /* it is neither of the two for certain */
	expect_told("+pod default/q s");
	expect_problems("/m/a.yaml#0 default/s InvalidManifest decode; "
			"/m/a.yaml#1 default/p InvalidManifest decode");
	set("/m/a.yaml", "?$s=2 p=t"); /* all is clear about p */
	expect_told("+pod default/p t, -pod default/q, -secret default/p");
	set("/m/a.yaml", "?$ns/s=2"); /* another one */
	expect_told("-pod default/p, -secret default/s");
}
END_TEST

START_TEST(what_may_be_any_object_keeps_what_has_gone)
{
	set("/m/a.yaml", "p=s $s=1 ns/q=s");
	expect_told("+pod default/p s, +secret default/s 1, +pod ns/q s");
	set("/m/a.yaml", "~");
	expect_told("");
	expect_problems("/m/a.yaml#0 default/ InvalidManifest decode");
	set("/m/a.yaml", "~ $s=2 $t=1 -=s"); /* what is there is taken */
	expect_told("+secret default/s 2, +secret default/t 1");
	set("/m/a.yaml", "~ $s=2"); /* it is as vague as before: it was not t that became so */
	expect_told("-secret default/t");
	set("/m/a.yaml", "$s=2 ns/q=s");
	expect_told("-pod default/p");
	expect_problems("");
}
END_TEST

START_TEST(what_never_was_an_object_keeps_nothing)
{
	set("/m/a.yaml", "~ p=s $s=1");
	expect_told("+pod default/p s, +secret default/s 1");
	set("/m/a.yaml", "~ $s=1");
	expect_told("-pod default/p");
	set("/m/a.yaml", "~ -=s"); /* but here is one more */
	expect_told("");
	set("/m/a.yaml", "");
	expect_told("-secret default/s");
}
END_TEST

START_TEST(a_list_that_cannot_be_read_may_hold_anything)
{
	static const char *const texts[] = {
		"{apiVersion: v1, kind: List, metadata: {name: x}, items: {}}",
		"{kind: List, metadata: {name: x}, items: []}",
		"{apiVersion: v1, metadata: {name: x}, items: []}",
		"{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: 5}}",
		"{apiVersion: v1, kind: Pod, metadata: 5}",
	};
	size_t i;

	set("/m/a.yaml", "p=s ns/p=s $s=1");
	expect_told("+pod default/p s, +pod ns/p s, +secret default/s 1");
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
		struct sv_err err = { "" };

		ck_assert_int_eq(sv_manifest_parse(texts[i], strlen(texts[i]), SV_FORMAT_YAML, NULL,
						   &m, &err, NULL),
				 0);
		ck_assert_int_eq(sv_catalog_set(k.c, "/m/a.yaml", &m, false, 1000, NULL), 0);
		expect_told("");
		set("/m/a.yaml", "p=s ns/p=s $s=1");
		expect_told("");
		expect_problems("");
	}
}
END_TEST

/* What is kept may be what has another name, or stands in another file, now. */
START_TEST(what_is_kept_is_no_duplicate)
{
	set("/m/b.yaml", "p=s@u");
	set("/m/b.yaml", "~ q=s@u");
	expect_told("+pod default/p s, +pod default/q s, -pod default/p");
	expect_problems("/m/b.yaml#0 default/ InvalidManifest decode");
	set("/m/b.yaml", "b=s@u2 a=s@u2"); /* of two, the one that counts stays */
	expect_told("+pod default/b s, -pod default/q");
	set("/m/b.yaml", "~");
	expect_told("");
	set("/m/b.yaml", "q=s@u");
	expect_told("+pod default/q s, -pod default/b");
	set("/m/b.yaml", "~ r=s@u");
	expect_told("+pod default/r s, -pod default/q");
	set("/m/b.yaml", "~"); /* what had to yield does not come back */
	expect_told("-pod default/r");
	set("/m/b.yaml", "$s=1");
	set("/m/b.yaml", "~");
	set("/m/c.yaml", "$s=2"); /* it yields, whatever the path */
	expect_told("+secret default/s 1, +secret default/s 2");
	expect_problems("/m/b.yaml#0 default/ InvalidManifest decode");
}
END_TEST

START_TEST(a_new_object_that_is_refused_is_absent)
{
	set("/m/a.yaml", "p=* $s=* $t=1");
	expect_told("+secret default/t 1, !secret default/s");
	t_contains(sv_catalog_refused(k.c, "default", "s"), "data[k]");
	ck_assert_ptr_null(sv_catalog_refused(k.c, "default", "t"));
	ck_assert_ptr_null(sv_catalog_secret(k.c, "default", "s"));
	set("/m/a.yaml", "p=* $s=1 $t=1");
	expect_told("?secret default/s, +secret default/s 1");
	ck_assert_ptr_null(sv_catalog_refused(k.c, "default", "s"));
	set("/m/b.yaml", "$x=*");
	expect_told("!secret default/x");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/b.yaml", 1000), 0);
	expect_told("?secret default/x");
}
END_TEST

START_TEST(a_refused_version_is_not_taken_from_another_file)
{
	set("/m/a.yaml", "$s=1");
	set("/m/b.yaml", "$s=*");
	expect_told("+secret default/s 1, !secret default/s");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_told("-secret default/s");
	t_contains(sv_catalog_refused(k.c, "default", "s"), "data[k]");
}
END_TEST

START_TEST(a_refusal_stands_while_another_file_has_it)
{
	set("/m/a.yaml", "$s=*");
	set("/m/b.yaml", "$s=*");
	expect_told("!secret default/s, !secret default/s");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_told("!secret default/s");
	set("/m/b.yaml", "");
	expect_told("?secret default/s");
}
END_TEST

static void set_bad_at_byte(const char *path, int at)
{
	sv_autofree char *text = sv_asprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
					     "data: {k: '%.*s*'}\n",
					     at, "AAAA");
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	struct sv_err err = { "" };

	ck_assert_int_eq(
		sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &m, &err, NULL), 0);
	ck_assert_int_eq(sv_catalog_set(k.c, path, &m, false, 1000, NULL), 0);
}

START_TEST(of_several_refusals_the_first_path_s_is_told)
{
	set_bad_at_byte("/m/c.yaml", 3);
	set_bad_at_byte("/m/a.yaml", 1);
	set_bad_at_byte("/m/b.yaml", 2);
	set_bad_at_byte("/m/d.yaml", 0);
	t_contains(k.refusal, "byte 0");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/d.yaml", 1000), 0);
	t_contains(k.refusal, "byte 1");
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	t_contains(k.refusal, "byte 2");
}
END_TEST

START_TEST(a_refused_object_goes_on_with_the_good_one_of_two)
{
	set("/m/a.yaml", "$s=* $s=1");
	expect_told("+secret default/s 1, !secret default/s");
	set("/m/a.yaml", "$s=*");
	expect_told("?secret default/s"); /* it has a version now, and does not go */
	set("/m/a.yaml", "$s=2");
	expect_told("+secret default/s 2");
}
END_TEST

/* ---- changes that the API server refuses (R8, R9) -------------------------------------------- */

START_TEST(an_immutable_secret_does_not_change)
{
	set("/m/a.yaml", "$s=1!");
	expect_told("+secret default/s 1");
	set("/m/a.yaml", "$s=2!");
	expect_told("");
	expect_problems("/m/a.yaml#0 Secretdefault/s InvalidSecret Forbidden");
	set("/m/a.yaml", "$s=2");
	expect_told("");
	expect_problems("/m/a.yaml#0 Secretdefault/s InvalidSecret Forbidden; "
			"/m/a.yaml#0 Secretdefault/s InvalidSecret Forbidden");
	set("/m/a.yaml", "$s=1!");
	expect_told("");
	expect_problems("");
	set("/m/a.yaml", ""); /* deleted and made anew it may be another */
	set("/m/a.yaml", "$s=2");
	expect_told("-secret default/s, +secret default/s 2");
	set("/m/a.yaml", "$s=2!");
	expect_told("+secret default/s 2");
}
END_TEST

START_TEST(a_change_that_is_no_longer_asked_for_is_no_problem)
{
	set("/m/b.yaml", "$s=1!");
	set("/m/b.yaml", "$s=2!");
	expect_problems("/m/b.yaml#0 Secretdefault/s InvalidSecret Forbidden");
	set("/m/a.yaml", "$s=1!");
	expect_problems("/m/b.yaml#0 Secretdefault/s DuplicateObject Duplicate");
	expect_told("+secret default/s 1");
}
END_TEST

START_TEST(a_secrets_type_does_not_change)
{
	set("/m/a.yaml", "$s=1%x");
	expect_told("+secret default/s 1");
	set("/m/a.yaml", "$s=2%z");
	expect_told("");
	expect_problems("/m/a.yaml#0 Secretdefault/s InvalidSecret Invalid");
	set("/m/a.yaml", "$s=2"); /* defaulted to Opaque first */
	expect_told("");
	expect_problems("/m/a.yaml#0 Secretdefault/s InvalidSecret Invalid");
	set("/m/a.yaml", "$s=2%x");
	expect_told("+secret default/s 2");
	expect_problems("");
}
END_TEST

START_TEST(a_refused_change_stands_until_the_old_one_is_gone)
{
	set("/m/b.yaml", "$s=1!");
	set("/m/a.yaml", "$s=2"); /* the first path wins, but may not change it */
	expect_told("+secret default/s 1");
	ck_assert_uint_eq(sv_catalog_secret(k.c, "default", "s")->data->values[0].ptr[0], '1');
	set("/m/a.yaml", "");
	expect_told("");
	expect_problems("");
}
END_TEST

/* ---- values ---------------------------------------------------------------------------------- */

static struct sv_secret *in_force(void)
{
	return sv_catalog_secret(k.c, "default", "s");
}

START_TEST(a_secret_that_forgot_its_values_is_compared_all_the_same)
{
	set("/m/a.yaml", "$s=1!");
	expect_told("+secret default/s 1");
	sv_secret_forget(in_force());
	set("/m/a.yaml", "$s=2!");
	expect_told("");
	expect_problems("/m/a.yaml#0 Secretdefault/s InvalidSecret Forbidden");
	set("/m/a.yaml", "$s=1!"); /* the same, and now its values are there */
	expect_told("+secret default/s 1");
	expect_problems("");
	ck_assert(sv_secret_is_hollow(in_force())); /* unless somebody takes them */
}
END_TEST

START_TEST(values_of_what_does_not_count_are_forgotten)
{
	set("/m/a.yaml", "$s=1");
	set("/m/b.yaml", "$s=2 $t=3");
	expect_told("+secret default/s 1, +secret default/t 3");
	sv_catalog_forget(k.c, "/m/b.yaml");
	sv_catalog_forget(k.c, "/m/none.yaml");
	ck_assert(!sv_secret_is_hollow(in_force()));
	ck_assert(!sv_secret_is_hollow(sv_catalog_secret(k.c, "default", "t")));
	set("/m/a.yaml", "");
	expect_told("+secret default/s hollow"); /* to be read when it is needed */
}
END_TEST

START_TEST(a_version_that_was_refused_is_forgotten)
{
	set("/m/a.yaml", "$s=1!");
	set("/m/a.yaml", "$s=2!");
	expect_told("+secret default/s 1");
	sv_catalog_forget(k.c, "/m/a.yaml");
	ck_assert(!sv_secret_is_hollow(in_force()));
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_told("-secret default/s");
}
END_TEST

START_TEST(a_secret_is_told_where_it_stands_and_a_file_what_is_wrong)
{
	set("/m/b.yaml", "$s=1");
	ck_assert_str_eq(sv_catalog_path(k.c, "default", "s"), "/m/b.yaml");
	set("/m/a.yaml", "$s=1");
	ck_assert_str_eq(sv_catalog_path(k.c, "default", "s"), "/m/a.yaml");
	ck_assert_ptr_null(sv_catalog_path(k.c, "default", "t"));
	ck_assert_ptr_null(sv_catalog_failure(k.c, "/m/a.yaml"));
	ck_assert_ptr_null(sv_catalog_failure(k.c, "/m/none.yaml"));
	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/a.yaml", 1, "InvalidManifest", "bad", 1), 0);
	ck_assert_str_eq(sv_catalog_failure(k.c, "/m/a.yaml"), "bad");
	ck_assert_str_eq(sv_catalog_path(k.c, "default", "s"), "/m/a.yaml");
}
END_TEST

START_TEST(a_file_holds_a_version_only_as_it_was_read_last)
{
	sv_autosecret struct sv_secret *first = NULL;

	set("/m/a.yaml", "$t=1 $s=1!");
	first = sv_secret_ref(in_force());
	sv_secret_forget(first);
	ck_assert(sv_catalog_holds(k.c, "/m/a.yaml", first));
	ck_assert(!sv_catalog_holds(k.c, "/m/none.yaml", first));
	set("/m/a.yaml", "$s=2!"); /* what counts is not what is there */
	ck_assert_ptr_eq(in_force(), first);
	ck_assert(!sv_catalog_holds(k.c, "/m/a.yaml", first));
	set("/m/a.yaml", "$s=2! $s=1"); /* though it does not count */
	ck_assert(sv_catalog_holds(k.c, "/m/a.yaml", first));
	set("/m/a.yaml", "$s=1!");
	set("/m/a.yaml", "$s=*");
	ck_assert_ptr_eq(in_force(), first);
	ck_assert(!sv_catalog_holds(k.c, "/m/a.yaml", first));
	set("/m/a.yaml", "$s=1!");
	set("/m/a.yaml", "~ $t=1");
	ck_assert_ptr_eq(in_force(), first);
	ck_assert(!sv_catalog_holds(k.c, "/m/a.yaml", first));
}
END_TEST

/* ---- files that vanish ------------------------------------------------------------------------ */

START_TEST(a_file_that_vanished_yields_to_the_same_objects_elsewhere)
{
	set("/m/a.yaml", "p=s@u $s=1");
	expect_told("+pod default/p s, +secret default/s 1");
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", true, 1000), 0);
	expect_told(""); /* perhaps only for a moment */
	set("/m/b.yaml", "p=s@u $s=2");
	expect_told("+secret default/s 2");
	expect_problems(""); /* nobody needs to hear of the old one */
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 1000), 0);
	expect_told("");
	set("/m/a.yaml", "$s=3");
	expect_told("+secret default/s 3");
}
END_TEST

START_TEST(a_file_that_comes_back_counts_again)
{
	set("/m/a.yaml", "$s=1");
	set("/m/b.yaml", "$s=2");
	expect_told("+secret default/s 1");
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", true, 1000), 0);
	expect_told("+secret default/s 2");
	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/a.yaml", 0, "InvalidManifest", "no", 1), 0);
	expect_told("+secret default/s 1"); /* there, though broken: its last good objects */
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", true, 1000), 0);
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", true, 1000), 0);
	expect_told("+secret default/s 2");
	set("/m/a.yaml", "$s=1");
	expect_told("+secret default/s 1");
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", true, 1000), 0);
	expect_told("+secret default/s 2");
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", false, 1000), 0); /* unchanged */
	expect_told("+secret default/s 1");
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/none.yaml", true, 1000), 0);
	expect_told("");
}
END_TEST

/* ---- reports ----------------------------------------------------------------------------------- */

struct seen {
	int64_t since_ms;
	unsigned line;
	char message[512], field[64];
};

static void see(void *arg, const struct sv_problem *p)
{
	struct seen *s = arg;

	s->since_ms = p->since_ms;
	s->line = p->line;
	strncpy(s->message, p->message, sizeof(s->message) - 1);
	strncpy(s->field, p->field, sizeof(s->field) - 1);
}

static struct seen the_problem(void)
{
	struct seen s = { .since_ms = -1 };

	sv_catalog_each_problem(k.c, see, &s);
	return s;
}

START_TEST(a_problem_knows_where_and_since_when)
{
	set_at("/m/a.yaml", "$t=1 $s=*", false, 1000);
	ck_assert_int_eq(the_problem().since_ms, 1000);
	ck_assert_uint_eq(the_problem().line, 10);
	ck_assert_str_eq(the_problem().field, "data[k]");
	set_at("/m/a.yaml", "$t=1 $s=1", false, 2000);
	ck_assert_int_eq(the_problem().since_ms, -1);
	set_at("/m/a.yaml", "$t=1 $s=*", false, 3000);
	ck_assert_int_eq(the_problem().since_ms, 3000);
	set_at("/m/a.yaml", "$t=2 $s=*", false, 4000); /* the same complaint goes on */
	ck_assert_int_eq(the_problem().since_ms, 3000);

	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/f.yaml", 7, "InvalidManifest", "no", 5000), 0);
	ck_assert_int_eq(the_problem().since_ms, 5000);
	ck_assert_uint_eq(the_problem().line, 7);
	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/f.yaml", 7, "InvalidManifest", "no", 6000), 0);
	ck_assert_int_eq(the_problem().since_ms, 5000);
	ck_assert_int_eq(sv_catalog_fail(k.c, "/m/f.yaml", 7, "InvalidManifest", "still no", 7000),
			 0);
	ck_assert_int_eq(the_problem().since_ms, 7000);
}
END_TEST

START_TEST(a_refused_object_without_a_good_version_keeps_its_time_too)
{
	set_at("/m/a.yaml", "$s=*", false, 1000);
	set_at("/m/a.yaml", "$s=* $t=1", false, 2000);
	ck_assert_int_eq(the_problem().since_ms, 1000);
}
END_TEST

struct asked {
	const char *field;
	int64_t since_ms;
};

static void find_field(void *arg, const struct sv_problem *p)
{
	struct asked *a = arg;

	if (strcmp(p->field, a->field) == 0)
		a->since_ms = p->since_ms;
}

/* Since when there is a complaint about a field, -1: there is none. */
static int64_t since(const char *field)
{
	struct asked a = { field, -1 };

	sv_catalog_each_problem(k.c, find_field, &a);
	return a.since_ms;
}

START_TEST(a_refused_change_that_stands_keeps_its_time)
{
	set_at("/m/a.yaml", "$s=1!", false, 1000);
	set_at("/m/a.yaml", "$s=2!", false, 2000);
	ck_assert_int_eq(since("data"), 2000);
	set_at("/m/a.yaml", "$s=2!", false, 3000);
	set_at("/m/b.yaml", "$s=1", false, 3500); /* who counts is found out anew */
	ck_assert_int_eq(since("data"), 2000);
	set_at("/m/a.yaml", "$s=3", false, 4000);
	ck_assert_int_eq(since("data"), 2000);
	ck_assert_int_eq(since("immutable"), 4000);
	ck_assert_int_eq(sv_catalog_retell(k.c, 5000), 0);
	ck_assert_int_eq(since("immutable"), 4000);
	set_at("/m/a.yaml", "$s=1!", false, 6000);
	ck_assert_int_eq(since("data"), -1);
	set_at("/m/a.yaml", "$s=2!", false, 7000);
	ck_assert_int_eq(since("data"), 7000);
}
END_TEST

START_TEST(a_duplicate_that_stands_keeps_its_time)
{
	set_at("/m/b.yaml", "$s=1 p=s@u", false, 1000);
	set_at("/m/a.yaml", "$s=1", false, 2000);
	ck_assert_int_eq(since("metadata.name"), 2000); /* and not since the file is there */
	set_at("/m/b.yaml", "$s=1 p=s@u", false, 3000);
	set_at("/m/a.yaml", "$s=1 q=s@u", false, 4000);
	ck_assert_int_eq(since("metadata.name"), 2000);
	ck_assert_int_eq(since("metadata.uid"), 4000);
	set_at("/m/a.yaml", "$s=1 p=s@v", false, 5000);
	ck_assert_int_eq(since("metadata.uid"), -1);
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", true, 6000), 0);
	ck_assert_int_eq(since("metadata.name"), -1);
	ck_assert_int_eq(sv_catalog_mark_gone(k.c, "/m/a.yaml", false, 7000), 0);
	ck_assert_int_eq(since("metadata.name"), 7000);
	set_at("/m/c.yaml", "$s=1", false, 8000);
	ck_assert_int_eq(since("metadata.name"), 8000);
	ck_assert_int_eq(sv_catalog_remove(k.c, "/m/a.yaml", 9000), 0);
	ck_assert_int_eq(since("metadata.name"), 8000);
}
END_TEST

START_TEST(complaints_about_several_of_one_name_keep_their_times)
{
	set_at("/m/a.yaml", "$s=1! $s=1!", false, 1000);
	set_at("/m/a.yaml", "$s=2! $s=1! $s=*", false, 2000);
	set_at("/m/a.yaml", "$s=2! $s=1! $s=*", false, 3000);
	ck_assert_int_eq(since("metadata.name"), 1000);
	ck_assert_int_eq(since("data"), 2000);
	ck_assert_int_eq(since("data[k]"), 2000);
}
END_TEST

START_TEST(a_warning_that_stands_keeps_its_time)
{
	set_at("/m/a.yaml", "p=s", true, 1000);
	set_at("/m/a.yaml", "p=s $s=1", true, 2000);
	ck_assert_int_eq(the_problem().since_ms, 2000);
	set_at("/m/a.yaml", "p=s $s=2 $t=1", true, 3000);
	ck_assert_int_eq(the_problem().since_ms, 2000);
	set_at("/m/a.yaml", "p=s $s=2", false, 4000);
	ck_assert_int_eq(the_problem().since_ms, -1);
	set_at("/m/a.yaml", "p=s $s=2", true, 5000);
	ck_assert_int_eq(the_problem().since_ms, 5000);
}
END_TEST

START_TEST(a_duplicate_is_told_where_the_other_is)
{
	set("/m/a.yaml", "$s=1 p=s@u");
	set("/m/b.yaml", "$s=2");
	ck_assert_str_eq(the_problem().message,
			 "Secret default/s is defined in /m/a.yaml already, which counts");
	ck_assert_str_eq(the_problem().field, "metadata.name");
	set("/m/b.yaml", "q=s@u");
	ck_assert_str_eq(the_problem().message,
			 "metadata.uid: Duplicate value: \"u\": Pod default/p in /m/a.yaml has it "
			 "already");
	ck_assert_str_eq(the_problem().field, "metadata.uid");
}
END_TEST

START_TEST(a_secret_that_others_may_read_is_a_warning)
{
	set_at("/m/a.yaml", "p=s", true, 1000);
	expect_problems("");
	set_at("/m/a.yaml", "p=s $s=1", true, 1000);
	expect_problems("/m/a.yaml#-1 warning / InsecurePermissions");
	set_at("/m/a.yaml", "p=s $s=1", false, 1000);
	expect_problems("");
	set_at("/m/a.yaml", "$s=*", true, 1000); /* what it holds may be read all the same */
	expect_problems("/m/a.yaml#0 Secretdefault/s InvalidSecret decode; "
			"/m/a.yaml#-1 warning / InsecurePermissions");
}
END_TEST

static void add_name(void *arg, struct sv_pod *pod)
{
	sv_buf_printf(arg, "%s/%s ", pod->ns, pod->name);
}

START_TEST(queries_see_what_counts)
{
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_catalog_counts n;

	set("/m/a.yaml", "q=s p=s $s=1 ^ ^");
	set("/m/b.yaml", "a/z=s $s=2 p=* ^");
	sv_catalog_each_pod(k.c, add_name, &b);
	ck_assert_str_eq(b.ptr, "a/z default/p default/q ");
	ck_assert_uint_eq(sv_catalog_secret(k.c, "default", "s")->data->values[0].ptr[0], '1');
	ck_assert_ptr_null(sv_catalog_secret(k.c, "default", "t"));
	ck_assert_ptr_null(sv_catalog_secret(k.c, "a", "s"));
	sv_catalog_count(k.c, NULL, &n);
	ck_assert_uint_eq(n.files, 2);
	ck_assert_uint_eq(n.pods, 3);
	ck_assert_uint_eq(n.secrets, 1);
	ck_assert_uint_eq(n.ignored, 3);
}
END_TEST

START_TEST(each_directory_counts_its_own)
{
	static const struct {
		const char *dir;
		size_t files, pods, secrets, ignored;
	} wanted[] = {
		{ "/m", 1, 2, 1, 1 }, { "/m/sub", 1, 1, 0, 2 }, { "/m2", 1, 0, 1, 0 },
		{ "/", 0, 0, 0, 0 },  { NULL, 3, 3, 2, 3 },
	};
	struct sv_catalog_counts n;
	size_t i;

	set("/m/a.yaml", "q=s p=s $s=1 ^");
	set("/m/sub/b.yaml", "a/z=s $s=2 ^ ^"); /* the other Secret of this name counts */
	set("/m2/c.yaml", "$t=1");
	for (i = 0; i < SV_ARRAY_SIZE(wanted); i++) {
		sv_catalog_count(k.c, wanted[i].dir, &n);
		ck_assert_uint_eq(n.files, wanted[i].files);
		ck_assert_uint_eq(n.pods, wanted[i].pods);
		ck_assert_uint_eq(n.secrets, wanted[i].secrets);
		ck_assert_uint_eq(n.ignored, wanted[i].ignored);
	}
}
END_TEST

/* ---- limits --------------------------------------------------------------------------------- */

static int try_set(const char *path, const char *text, struct sv_err *err)
{
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };

	*err->msg = '\0';
	ck_assert_msg(sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &m, err, NULL) ==
			      0,
		      "%s", err->msg);
	return sv_catalog_set(k.c, path, &m, false, 1000, err);
}

/* A file with Pods P0… of so many volumes each, and a Secret of so many bytes, -1: none. */
static char *file_of(const char *name, size_t pods, size_t volumes, long secret)
{
	sv_autofree char *value = t_repeat('x', secret > 0 ? (size_t)secret : 0);
	struct sv_buf b = { 0 };
	size_t i, j;

	for (i = 0; i < pods; i++) {
		sv_buf_printf(&b,
			      "---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s-%zu}\nspec:\n"
			      "  containers: [{name: c, image: i}]\n%s",
			      name, i, volumes ? "  volumes:\n" : "");
		for (j = 0; j < volumes; j++)
			sv_buf_printf(&b, "  - {name: v%zu, secret: {secretName: s}}\n", j);
		if (volumes) /* which does not count */
			sv_buf_puts(&b, "  - {name: other, emptyDir: {}}\n");
	}
	if (secret >= 0)
		sv_buf_printf(&b,
			      "---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s}\n"
			      "stringData: {k: \"%s\"}\n",
			      name, value);
	return sv_buf_take(&b);
}

static int put_file(const char *path, size_t pods, size_t volumes, long secret, struct sv_err *err)
{
	sv_autofree char *text = file_of(path + 1, pods, volumes, secret);

	return try_set(path, text, err);
}

static const struct {
	struct sv_catalog_limits limits;
	struct {
		size_t pods, volumes;
		long secret;
	} fits, over; /* beside a file of 2 Pods with 3 volumes each, and a Secret of 10 bytes */
	const char *says;
} totals[] = {
	{ { .pods = 5 },
	  { 3, 0, -1 },
	  { 4, 0, -1 },
	  "with the 4 Pods of this file there would be 6 in all manifests: over the limit of 5 Pods "
	  "(--pod-limit)" },
	{ { .volumes = 10 },
	  { 2, 2, -1 },
	  { 5, 1, -1 },
	  "with the 5 volumes of this file there would be 11 in all manifests: over the limit of 10 "
	  "volumes (--volume-limit)" },
	{ { .secrets_size = 2 * SV_SECRET_COST + 111 },
	  { 0, 0, 100 - 1 }, /* less the key's name */
	  { 0, 0, 100 },
	  "with the Secrets of this file, 1125 bytes, there would be 2160 bytes in all manifests: "
	  "over the limit of 2159 bytes (--secrets-size-limit)" },
};

START_TEST(all_files_together_have_limits)
{
	const struct sv_catalog_limits limits = totals[_i].limits;
	struct sv_catalog_counts before, after;
	struct sv_err err = { "" };

	sv_catalog_set_limits(k.c, &limits);
	ck_assert_int_eq(put_file("/a", 2, 3, 10, &err), 0);
	ck_assert_msg(put_file("/b", totals[_i].fits.pods, totals[_i].fits.volumes,
			       totals[_i].fits.secret, &err) == 0,
		      "%s", err.msg);
	sv_catalog_count(k.c, NULL, &before);
	sv_buf_done(&k.told);
	k.told = (struct sv_buf){ 0 };
	ck_assert_int_eq(put_file("/b", totals[_i].over.pods, totals[_i].over.volumes,
				  totals[_i].over.secret, &err),
			 SV_CATALOG_E_LIMIT);
	ck_assert_str_eq(err.msg, totals[_i].says);
	sv_catalog_count(k.c, NULL, &after); /* the last good version stays, and so do all others */
	ck_assert_uint_eq(after.pods, before.pods);
	ck_assert_uint_eq(after.secrets, before.secrets);
	ck_assert_ptr_null(k.told.ptr);
	ck_assert_int_eq(put_file("/c", totals[_i].fits.pods, totals[_i].fits.volumes,
				  totals[_i].fits.secret, &err),
			 SV_CATALOG_E_LIMIT);
	ck_assert_int_eq(sv_catalog_remove(k.c, "/a", 1000), 0); /* now there is room */
	ck_assert_int_eq(put_file("/b", totals[_i].over.pods, totals[_i].over.volumes,
				  totals[_i].over.secret, &err),
			 0);
}
END_TEST

START_TEST(what_is_over_a_limit_that_was_lowered_may_stay_and_shrink)
{
	const struct sv_catalog_limits low = { .pods = 1, .volumes = 1, .secrets_size = 1 };
	struct sv_err err = { "" };

	ck_assert_int_eq(put_file("/a", 5, 3, 10, &err), 0);
	sv_catalog_set_limits(k.c, &low);
	ck_assert_int_eq(put_file("/a", 5, 3, 10, &err), 0);
	ck_assert_int_eq(put_file("/a", 4, 3, 10, &err), 0);
	ck_assert_int_eq(put_file("/a", 4, 4, 10, &err), SV_CATALOG_E_LIMIT);
}
END_TEST

/* Of each the last good version is looked up: with a search for each it would take minutes. */
START_TEST(many_refused_objects_find_their_last_good_versions)
{
	enum { N = 20000 };
	int round, i;

	for (round = 0; round < 4; round++) {
		sv_autobuf struct sv_buf b = { 0 };
		struct sv_catalog_counts counts;
		struct sv_err err = { "" };
		sv_automanifest struct sv_manifest m = { NULL, 0, 0 };

		for (i = 0; i < N; i++)
			sv_buf_printf(&b,
				      "%s{apiVersion: v1, kind: Secret, metadata: {name: s%d}, "
				      "data: {k: %s}}",
				      i ? ",\n" : "{apiVersion: v1, kind: List, items: [", i,
				      round % 2 ? "'*'" : "MQ==");
		sv_buf_puts(&b, "]}");
		ck_assert_int_eq(
			sv_manifest_parse(b.ptr, b.len, SV_FORMAT_YAML, NULL, &m, &err, NULL), 0);
		ck_assert_int_eq(sv_catalog_set(k.c, "/many", &m, false, 1000, &err), 0);
		sv_catalog_count(k.c, NULL, &counts);
		ck_assert_uint_eq(counts.secrets, N);
	}
}
END_TEST

START_TEST(a_secret_that_another_file_refuses_too_stays_refused)
{
	set("/a", "$s=*");
	expect_told("!secret default/s");
	set("/b", "$t=* $s=*");
	expect_told("!secret default/t, !secret default/s");
	set("/a", "$u=1");
	expect_told("!secret default/s, +secret default/u 1");
	set("/b", "$t=1");
	expect_told("?secret default/t, ?secret default/s, +secret default/t 1");
}
END_TEST

START_TEST(nobody_need_listen)
{
	struct sv_catalog *quiet = NULL, *loud = k.c;

	ck_assert_int_eq(sv_catalog_new(NULL, NULL, &quiet), 0);
	k.c = quiet;
	set("/m/a.yaml", "p=s $s=1 $t=*");
	set("/m/a.yaml", "p=t $s=2");
	ck_assert_int_eq(sv_catalog_remove(quiet, "/m/a.yaml", 1), 0);
	sv_catalog_free(quiet);
	sv_catalog_free(NULL);
	k.c = loud;
	expect_told("");
}
END_TEST

/* Whatever the order of changes, what was told adds up to what counts in a fresh catalog. */
START_TEST(the_end_does_not_depend_on_the_way)
{
	static const char *const contents[] = {
		"p=s@u1 $s=1", "q=s@u1 $s=2 $t=*", "p=t $t=1!", "r=s@u1 p=*", "", "$t=2"
	};
	unsigned seed = 12345;
	int i, round;

	for (round = 0; round < 300; round++) {
		const char *last[4] = { "", "", "", "" };
		static const char *const paths[] = { "/1", "/2", "/3", "/4" };
		sv_autobuf struct sv_buf a = { 0 }, b = { 0 };
		struct sv_catalog *walked = NULL, *fresh = NULL, *outer = k.c;

		ck_assert_int_eq(sv_catalog_new(NULL, NULL, &walked), 0);
		ck_assert_int_eq(sv_catalog_new(NULL, NULL, &fresh), 0);
		k.c = walked;
		for (i = 0; i < 20; i++) {
			unsigned r = seed = seed * 1103515245 + 12345, at = r >> 16 & 3;

			if ((r >> 20 & 7) == 0) {
				ck_assert_int_eq(sv_catalog_remove(walked, paths[at], 1), 0);
				last[at] = "";
			} else if ((r >> 20 & 7) == 1) {
				ck_assert_int_eq(sv_catalog_mark_gone(walked, paths[at], true, 1),
						 0);
				ck_assert_int_eq(sv_catalog_remove(walked, paths[at], 1), 0);
				last[at] = "";
			} else {
				/* emptied first, so that nothing is kept or immutable */
				last[at] = contents[(r >> 24) % SV_ARRAY_SIZE(contents)];
				set(paths[at], "");
				set(paths[at], last[at]);
			}
		}
		k.c = fresh;
		for (i = 0; i < 4; i++)
			set(paths[i], last[i]);
		sv_catalog_each_pod(walked, add_name, &a);
		sv_catalog_each_pod(fresh, add_name, &b);
		ck_assert_pstr_eq(a.ptr, b.ptr);
		ck_assert_int_eq(sv_catalog_secret(walked, "default", "s") != NULL,
				 sv_catalog_secret(fresh, "default", "s") != NULL);
		sv_catalog_free(walked);
		sv_catalog_free(fresh);
		k.c = outer;
	}
}
END_TEST

T_SUITE(catalog)
{
	T_AROUND(setup, teardown);
	T_TEST(objects_are_told_as_they_come_change_and_go);
	T_TEST(a_file_that_is_gone_takes_its_objects_along);
	T_TEST(the_first_path_wins_whatever_the_order_of_arrival);
	T_TEST(in_one_file_the_first_document_wins);
	T_TEST(kinds_and_namespaces_have_names_of_their_own);
	T_TEST(of_two_pods_with_one_uid_the_second_is_refused);
	T_TEST(a_uid_outlives_the_copy_that_brought_it);
	T_TEST(a_pod_may_be_renamed_and_keep_its_uid);
	T_TEST(a_file_that_does_not_parse_keeps_its_objects);
	T_TEST(a_new_file_that_does_not_parse_is_a_problem_and_no_more);
	T_TEST(an_object_that_is_refused_keeps_its_last_good_version);
	T_TEST(an_object_whose_kind_cannot_be_read_keeps_its_last_good_version);
	T_TEST(what_may_be_any_object_keeps_what_has_gone);
	T_TEST(what_never_was_an_object_keeps_nothing);
	T_TEST(a_list_that_cannot_be_read_may_hold_anything);
	T_TEST(what_is_kept_is_no_duplicate);
	T_TEST(a_new_object_that_is_refused_is_absent);
	T_TEST(a_refused_version_is_not_taken_from_another_file);
	T_TEST(a_refusal_stands_while_another_file_has_it);
	T_TEST(of_several_refusals_the_first_path_s_is_told);
	T_TEST(a_refused_object_goes_on_with_the_good_one_of_two);
	T_TEST(an_immutable_secret_does_not_change);
	T_TEST(a_change_that_is_no_longer_asked_for_is_no_problem);
	T_TEST(a_secrets_type_does_not_change);
	T_TEST(a_refused_change_stands_until_the_old_one_is_gone);
	T_TEST(a_secret_that_forgot_its_values_is_compared_all_the_same);
	T_TEST(values_of_what_does_not_count_are_forgotten);
	T_TEST(a_version_that_was_refused_is_forgotten);
	T_TEST(a_secret_is_told_where_it_stands_and_a_file_what_is_wrong);
	T_TEST(a_file_holds_a_version_only_as_it_was_read_last);
	T_TEST(a_file_that_vanished_yields_to_the_same_objects_elsewhere);
	T_TEST(a_file_that_comes_back_counts_again);
	T_TEST(a_problem_knows_where_and_since_when);
	T_TEST(a_refused_object_without_a_good_version_keeps_its_time_too);
	T_TEST(a_refused_change_that_stands_keeps_its_time);
	T_TEST(a_duplicate_that_stands_keeps_its_time);
	T_TEST(complaints_about_several_of_one_name_keep_their_times);
	T_TEST(a_warning_that_stands_keeps_its_time);
	T_TEST(a_duplicate_is_told_where_the_other_is);
	T_TEST(a_secret_that_others_may_read_is_a_warning);
	T_TEST(queries_see_what_counts);
	T_TEST(each_directory_counts_its_own);
	T_EACH(all_files_together_have_limits, totals);
	T_TEST(what_is_over_a_limit_that_was_lowered_may_stay_and_shrink);
	T_TEST(many_refused_objects_find_their_last_good_versions);
	T_TEST(a_secret_that_another_file_refuses_too_stays_refused);
	T_TEST(nobody_need_listen);
	T_TEST(the_end_does_not_depend_on_the_way);
}
