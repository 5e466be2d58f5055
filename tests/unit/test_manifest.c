/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/manifest.h"
#include "../support/support.h"

#define POD(name)                                            \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name \
	"}, spec: {containers: [{name: c, image: i}]}}"
#define SECRET(name) "{apiVersion: v1, kind: Secret, metadata: {name: " name "}}"
#define LIST(kind, items) "{apiVersion: v1, kind: " kind ", items: [" items "]}"

/* "DOCUMENT:LINE KIND NS/NAME" of each object, '!' in front of a refused one, then "+IGNORED". */
static char *show(const struct sv_manifest *m)
{
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; i < m->n_objects; i++) {
		const struct sv_manifest_object *o = &m->objects[i];
		bool good = o->pod || o->secret;

		ck_assert_int_eq(good, o->complaints.n == 0);
		ck_assert_int_eq(o->pod != NULL, good && o->kind == SV_KIND_POD);
		sv_buf_printf(&b, "%s%s%u:%u %s%s%s/%s", i ? ", " : "", good ? "" : "!",
			      o->document, o->line, sv_kind_name(o->kind),
			      o->kind == SV_KIND_UNKNOWN ? "" : " ", o->ns, o->name);
	}
	sv_buf_printf(&b, "%s+%zu", m->n_objects ? " " : "", m->ignored);
	return sv_buf_take(&b);
}

static const struct {
	const char *text;
	const char *want;
} manifests[] = {
	{ "", "+0" },
	{ "# nothing\n", "+0" },
	{ "---\n---\n", "+0" },
	{ POD("p"), "0:1 Pod default/p +0" },
	{ SECRET("s"), "0:1 Secret default/s +0" },
	{ "---\n" POD("p") "\n---\n\n" SECRET("s") "\n",
	  "0:2 Pod default/p, 1:5 Secret default/s +0" },
	{ "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}}",
	  "0:1 Secret ns/s +0" },
	/* kinds that are not ours */
	{ "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}", "+1" },
	{ "{apiVersion: apps/v1, kind: Deployment}\n---\n" POD("p"), "1:3 Pod default/p +1" },
	{ "{apiVersion: v2, kind: Pod, metadata: {name: p}}", "+1" },
	{ "{apiVersion: example.com/v1, kind: Secret, metadata: {name: p}}", "+1" },
	{ "{apiVersion: v1, kind: pod}", "+1" },
	/* lists */
	{ LIST("List", POD("p") ", " SECRET("s")), "0:1 Pod default/p, 0:1 Secret default/s +0" },
	{ LIST("List", ""), "+0" },
	{ "{apiVersion: v1, kind: List}", "+0" },
	{ "{apiVersion: v1, kind: List, items: }", "+0" },
	{ LIST("PodList", "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}"),
	  "0:1 Pod default/p +0" },
	{ LIST("SecretList", "{metadata: {name: s}}, {metadata: {name: t}}"),
	  "0:1 Secret default/s, 0:1 Secret default/t +0" },
	{ LIST("SecretList", POD("p")), "0:1 Pod default/p +0" },
	{ LIST("List", LIST("List", SECRET("s"))), "0:1 Secret default/s +0" },
	{ LIST("List", LIST("SecretList", "{metadata: {name: s}}") ", {apiVersion: v1, kind: X}"),
	  "0:1 Secret default/s +1" },
	{ "apiVersion: v1\nkind: List\nitems:\n- " SECRET("s") "\n- " SECRET("t") "\n",
	  "0:4 Secret default/s, 0:5 Secret default/t +0" },
	/* what is refused, without harm to the rest */
	{ SECRET("S") "\n---\n" SECRET("t"), "!0:1 Secret default/S, 1:3 Secret default/t +0" },
	{ LIST("List", SECRET("S") ", " SECRET("t")),
	  "!0:1 Secret default/S, 0:1 Secret default/t +0" },
	{ "{apiVersion: v1, metadata: {name: x, namespace: ns}}", "!0:1 ns/x +0" },
	{ "{kind: Pod, metadata: {name: x}}", "!0:1 default/x +0" },
	{ "{kind: Foo}", "!0:1 default/ +0" },
	{ "{}", "!0:1 default/ +0" },
	{ "just text", "!0:1 default/ +0" },
	{ "[1]", "!0:1 default/ +0" },
	{ "{apiVersion: v1, kind: List, items: {}}", "!0:1 default/ +0" },
	{ LIST("List", "~, 5, {}"), "!0:1 default/, !0:1 default/, !0:1 default/ +0" },
	{ LIST("PodList", "~"), "!0:1 default/ +0" },
	{ LIST("List", LIST("List", LIST("List", LIST("List", SECRET("s"))))), "!0:1 default/ +0" },
	{ "{apiVersion: v1, kind: 5}", "!0:1 default/ +0" },
	{ "{apiVersion: v1, kind: Secret, metadata: {name: 5}}", "!0:1 Secret default/ +0" },
	{ "{apiVersion: v1, kind: Secret, metadata: 5}", "!0:1 Secret default/ +0" },
};

START_TEST(objects_are_found_in_a_text)
{
	const char *text = manifests[_i].text;
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	sv_autofree char *got = NULL;
	struct sv_err err = { "" };

	ck_assert_msg(sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &m, &err, NULL) ==
			      0,
		      "%s", err.msg);
	got = show(&m);
	ck_assert_str_eq(got, manifests[_i].want);
}
END_TEST

START_TEST(json_is_strict_and_may_hold_several)
{
	static const char text[] =
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"}}\n\n"
		"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"v1\","
		"\"kind\":\"Secret\",\"metadata\":{\"name\":\"t\"}}]}";
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	sv_autofree char *got = NULL;
	struct sv_err err = { "" };
	unsigned line = 77;

	ck_assert_int_eq(
		sv_manifest_parse(text, strlen(text), SV_FORMAT_JSON, NULL, &m, &err, &line), 0);
	ck_assert_uint_eq(line, 0);
	got = show(&m);
	ck_assert_str_eq(got, "0:1 Secret default/s, 1:3 Secret default/t +0");
	ck_assert_int_eq(sv_manifest_parse("\n" SECRET("s"), strlen(SECRET("s")) + 1,
					   SV_FORMAT_JSON, NULL, &m, &err, &line),
			 SV_MANIFEST_E_SYNTAX);
	ck_assert_uint_eq(line, 2);
	t_contains(err.msg, "line 2: invalid character 'a' looking for beginning of object key");
	ck_assert_uint_eq(m.n_objects, 2); /* written on 0 only */
}
END_TEST

START_TEST(a_text_that_does_not_parse_holds_nothing)
{
	static const char text[] = SECRET("s") "\n---\na: [\n";
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	struct sv_err err = { "" };
	unsigned line = 0;

	ck_assert_int_eq(
		sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &m, &err, &line),
		SV_MANIFEST_E_SYNTAX);
	ck_assert_uint_eq(m.n_objects, 0);
	ck_assert_uint_eq(line, 4);
	t_contains(err.msg, "line 4: ");
}
END_TEST

static const struct {
	const char *text, *message;
} complaints[] = {
	{ "{apiVersion: v1}", "kind: Object 'Kind' is missing" },
	{ "{kind: Pod}", "apiVersion: Object 'apiVersion' is missing" },
	{ "x", "expects an object with kind and apiVersion" },
	{ "{apiVersion: v1, kind: List, items: 5}", "items: expects a list" },
	{ "{apiVersion: v1, kind: Secret}", "metadata.name: Required value" },
};

START_TEST(what_is_wrong_is_said_with_its_line)
{
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	sv_autofree char *text = sv_asprintf("---\n\n%s\n", complaints[_i].text);
	struct sv_err err = { "" };

	ck_assert_int_eq(
		sv_manifest_parse(text, strlen(text), SV_FORMAT_YAML, NULL, &m, &err, NULL), 0);
	ck_assert_uint_eq(m.n_objects, 1);
	ck_assert_uint_ge(m.objects[0].complaints.n, 1);
	t_contains(m.objects[0].complaints.items[0].message, complaints[_i].message);
	ck_assert_uint_eq(m.objects[0].complaints.items[0].line, 3);
}
END_TEST

START_TEST(objects_of_a_file_have_a_limit)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	struct sv_err err = { "" };
	int i;

	sv_buf_puts(&b, "{apiVersion: v1, kind: List, items: [");
	for (i = 0; i < SV_MANIFEST_OBJECTS_MAX; i++)
		sv_buf_puts(&b, i % 2 ? "{kind: A, apiVersion: b}," : SECRET("s") ",");
	ck_assert_int_eq(b.failed, 0);
	sv_buf_puts(&b, "]}");
	ck_assert_int_eq(sv_manifest_parse(b.ptr, b.len, SV_FORMAT_YAML, NULL, &m, &err, NULL), 0);
	ck_assert_uint_eq(m.n_objects + m.ignored, SV_MANIFEST_OBJECTS_MAX);
	sv_manifest_done(&m);
	b.len -= 2;
	sv_buf_puts(&b, SECRET("s") "]}");
	ck_assert_int_eq(sv_manifest_parse(b.ptr, b.len, SV_FORMAT_YAML, NULL, &m, &err, NULL),
			 SV_MANIFEST_E_SYNTAX);
	t_contains(err.msg, "more than 20000 objects");
}
END_TEST

static const struct {
	const char *name;
	int format; /* -1: not a manifest */
} names[] = {
	{ "a.yaml", SV_FORMAT_YAML },
	{ "a.yml", SV_FORMAT_YAML },
	{ "a.json", SV_FORMAT_JSON },
	{ "a.b.yaml", SV_FORMAT_YAML },
	{ "a b.yml", SV_FORMAT_YAML },
	{ "~.json", SV_FORMAT_JSON },
	{ "a", -1 },
	{ "a.txt", -1 },
	{ "a.YAML", -1 },
	{ "a.yaml~", -1 },
	{ "a.yaml.swp", -1 },
	{ ".a.yaml.swp", -1 },
	{ ".a.yaml", -1 },
	{ ".#a.yaml", -1 },
	{ "#a.yaml#", -1 },
	{ "#a.yaml", -1 },
	{ "a.yaml.dpkg-new", -1 },
	{ "a.yaml.dpkg-old", -1 },
	{ "a.yaml.bak", -1 },
	{ "yaml", -1 },
	{ ".yaml", -1 },
	{ "..data", -1 },
	{ "", -1 },
	{ "ayaml", -1 },
};

START_TEST(names_tell_the_format)
{
	enum sv_format format = SV_FORMAT_YAML;
	bool is = sv_manifest_format(names[_i].name, &format);

	ck_assert_int_eq(is, names[_i].format >= 0);
	if (is)
		ck_assert_int_eq((int)format, names[_i].format);
}
END_TEST

T_SUITE(manifest)
{
	T_EACH(objects_are_found_in_a_text, manifests);
	T_TEST(json_is_strict_and_may_hold_several);
	T_TEST(a_text_that_does_not_parse_holds_nothing);
	T_EACH(what_is_wrong_is_said_with_its_line, complaints);
	T_TEST(objects_of_a_file_have_a_limit);
	T_EACH(names_tell_the_format, names);
}
