/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/decode.h"
#include "../../lib/core/json.h"
#include "../../lib/core/validate.h"
#include "../../lib/core/yaml.h"
#include "../support/support.h"

/* ---- Secrets -------------------------------------------------------------------------------- */

/* "key=value …" with lengths where a value is no plain text. */
static char *keys_of(const struct sv_secret *s)
{
	struct sv_buf b = { 0 };
	size_t i, j;

	for (i = 0; i < s->n_keys; i++) {
		const struct sv_bytes *v = &s->data->values[i];

		sv_buf_printf(&b, "%s%s=", i ? " " : "", s->keys[i].name);
		for (j = 0; j < v->len; j++)
			if (v->ptr[j] > 0x20 && v->ptr[j] < 0x7f)
				sv_buf_add(&b, (const char *)v->ptr + j, 1);
			else
				sv_buf_printf(&b, "\\x%02x", v->ptr[j]);
	}
	return sv_buf_take(&b);
}

static const struct {
	const char *text; /* beside the metadata */
	const char *want; /* keys, or complaints if it begins with '!' */
} secrets[] = {
	{ "", "" },
	{ "data: ", "" },
	{ "data: {}\nstringData: {}", "" },
	{ "data: {username: bXktYXBw, password: Mzk1MjgkdmRnN0pi}",
	  "password=39528$vdg7Jb username=my-app" },
	/* R2 */
	{ "data: {a: \"Zm\\n9v\\r\\n\"}", "a=foo" },
	{ "data:\n  a: |\n    Zm9v\n    YmFy\n", "a=foobar" },
	{ "data: {a: Zm8}", "!decode data[a]" },
	{ "data: {a: \"Zm 9v\"}", "!decode data[a]" },
	{ "data: {a: AAEC/w==}", "a=\\x00\\x01\\x02\\xff" },
	/* R3 */
	{ "data: {a: \"\", b: , c: ~}", "a= b= c=" },
	{ "stringData: {a: , b: \"\"}", "a= b=" },
	/* R4 */
	{ "data: {a: Zm9v, b: Zm9v}\nstringData: {b: bar, c: \"x\\n\"}", "a=foo b=bar c=x\\x0a" },
	{ "data: {a: Zm9v}\nstringData: {a: }", "a=" },
	{ "stringData: {c: 1}", "!decode stringData[c]" },
	{ "stringData: {c: true}", "!decode stringData[c]" },
	{ "stringData: {c: {}}", "!decode stringData[c]" },
	{ "data: {c: 1}", "!decode data[c]" },
	{ "data: [a]", "!decode data" },
	{ "data: x", "!decode data" },
	{ "stringData: {\"a\": \"é\"}", "a=\\xc3\\xa9" },
	{ "stringData: {a: \"x\\0y\"}", "a=x\\x00y" },
	/* R5: bad keys of both, reported at data */
	{ "data: {.x: '', a..b: '', A: '', a: ''}", ".x= A= a= a..b=" },
	{ "data: {'': ''}", "!Invalid data[]" },
	{ "data: {..a: '', 'b c': ''}\nstringData: {'/': ''}",
	  "!Invalid data[..a]\nInvalid data[/]\nInvalid data[b c]" },
	{ "data: {.: '', ..: '', ...: ''}",
	  "!Invalid data[.]\nInvalid data[..]\nInvalid data[...]" },
	/* unquoted words as keys (R28) */
	{ "data: {n: Zm9v, y: YmFy}", "false=foo true=bar" },
	{ "data: {1.0: Zm9v, 0o7: YmFy}", "1=foo 7=bar" },
	/* R7 */
	{ "type: example.com/whatever", "" },
	{ "type: ''", "" },
	{ "type: 5", "!decode type" },
	{ "type: kubernetes.io/basic-auth",
	  "!Required data[%s][username]\nRequired data[%s][password]" },
	{ "type: kubernetes.io/basic-auth\ndata: {username: ''}", "username=" },
	{ "type: kubernetes.io/basic-auth\nstringData: {password: x}", "password=x" },
	{ "type: kubernetes.io/ssh-auth", "!Required data[%s][ssh-privatekey]" },
	{ "type: kubernetes.io/ssh-auth\ndata: {ssh-privatekey: ''}",
	  "!Required data[%s][ssh-privatekey]" },
	{ "type: kubernetes.io/ssh-auth\nstringData: {ssh-privatekey: k}", "ssh-privatekey=k" },
	{ "type: kubernetes.io/tls", "!Required data[tls.crt]\nRequired data[tls.key]" },
	{ "type: kubernetes.io/tls\ndata: {tls.crt: ''}", "!Required data[tls.key]" },
	{ "type: kubernetes.io/tls\ndata: {tls.crt: '', tls.key: ''}", "tls.crt= tls.key=" },
	{ "type: kubernetes.io/dockercfg", "!Required data[.dockercfg]" },
	{ "type: kubernetes.io/dockercfg\nstringData: {.dockercfg: '{}'}", ".dockercfg={}" },
	{ "type: kubernetes.io/dockercfg\nstringData: {.dockercfg: '[]'}",
	  "!Invalid data[.dockercfg]" },
	{ "type: kubernetes.io/dockercfg\nstringData: {.dockercfg: ''}",
	  "!Invalid data[.dockercfg]" },
	{ "type: kubernetes.io/dockercfg\nstringData: {.dockercfg: 'null'}", ".dockercfg=null" },
	{ "type: kubernetes.io/dockerconfigjson", "!Required data[.dockerconfigjson]" },
	{ "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{\"a\":1}'}",
	  ".dockerconfigjson={\"a\":1}" },
	{ "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{'}",
	  "!Invalid data[.dockerconfigjson]" },
	{ "type: kubernetes.io/service-account-token",
	  "!Required metadata.annotations[kubernetes.io/service-account.name]" },
	/* R9 */
	{ "immutable: true", "" },
	{ "immutable: null", "" },
	{ "immutable: \"true\"", "!decode immutable" },
	{ "immutable: 1", "!decode immutable" },
	/* others are not looked at */
	{ "unknown: {a: [1, {b: 2}]}", "" },
};

START_TEST(secrets_are_decoded_or_refused)
{
	sv_autofree char *text = sv_asprintf("metadata: {name: s}\n%s", secrets[_i].text), *got;
	t_autotree struct json_object *tree = t_yaml(text);
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autosecret struct sv_secret *s = NULL;
	const char *want = secrets[_i].want;
	int r = sv_decode_secret(tree, NULL, &s, &c);

	if (*want == '!') {
		got = t_complaints(&c);
		ck_assert_str_eq(got, want + 1);
		ck_assert_int_eq(r, SV_DECODE_E_INVALID);
		ck_assert_ptr_null(s);
	} else {
		ck_assert_msg(r == 0, "%s", c.n ? c.items[0].message : "?");
		got = keys_of(s);
		ck_assert_str_eq(got, want);
	}
}
END_TEST

START_TEST(a_secret_has_kubernetes_defaults)
{
	sv_autosecret struct sv_secret *s = t_secret_yaml("metadata: {name: s}");
	sv_autosecret struct sv_secret *full =
		t_secret_yaml("metadata: {name: s.x, namespace: ns, uid: u, resourceVersion: '7'}\n"
			      "type: t\nimmutable: true\n");
	sv_autosecret struct sv_secret *token = t_secret_yaml(
		"metadata: {name: s, annotations: {kubernetes.io/service-account.name: a}}\n"
		"type: kubernetes.io/service-account-token\n");

	ck_assert_str_eq(s->ns, "default");
	ck_assert_str_eq(s->name, "s");
	ck_assert_str_eq(s->uid, "");
	ck_assert_str_eq(s->resource_version, "");
	ck_assert_str_eq(s->type, "Opaque");
	ck_assert(!s->immutable);
	ck_assert_str_eq(full->ns, "ns");
	ck_assert_str_eq(full->uid, "u");
	ck_assert_str_eq(full->resource_version, "7");
	ck_assert_str_eq(full->type, "t");
	ck_assert(full->immutable);
	ck_assert_str_eq(token->type, "kubernetes.io/service-account-token");
}
END_TEST

/* R6: the decoded values count, merged, and nothing else. */
static const struct {
	size_t data, string; /* bytes of a value in each; 0: none */
	bool same_key;
	bool fits;
} size_cases[] = {
	{ SV_SECRET_SIZE_MAX, 0, false, true },
	{ SV_SECRET_SIZE_MAX + 1, 0, false, false },
	{ 0, SV_SECRET_SIZE_MAX, false, true },
	{ 0, SV_SECRET_SIZE_MAX + 1, false, false },
	{ SV_SECRET_SIZE_MAX - 5, 5, false, true },
	{ SV_SECRET_SIZE_MAX - 5, 6, false, false },
	{ SV_SECRET_SIZE_MAX, SV_SECRET_SIZE_MAX, true, true },
};

START_TEST(values_may_have_one_mebibyte)
{
	sv_autofree char *data = t_repeat('x', size_cases[_i].data);
	sv_autofree char *string = t_repeat('x', size_cases[_i].string);
	sv_autofree char *base64 = sv_base64_encode(data, strlen(data));
	sv_autofree char *text =
		sv_asprintf("metadata: {name: s}\ndata: {a: \"%s\"}\nstringData: {%s: \"%s\"}\n",
			    base64, size_cases[_i].same_key ? "a" : "b", string);
	t_autotree struct json_object *tree = t_yaml(text);
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autosecret struct sv_secret *s = NULL;

	if (size_cases[_i].fits) {
		ck_assert_int_eq(sv_decode_secret(tree, NULL, &s, &c), 0);
		return;
	}
	ck_assert_int_eq(sv_decode_secret(tree, NULL, &s, &c), SV_DECODE_E_INVALID);
	ck_assert_uint_eq(c.n, 1);
	ck_assert_str_eq(c.items[0].field, "data");
	ck_assert_int_eq(c.items[0].category, SV_TOO_LONG);
}
END_TEST

/* ---- how many ------------------------------------------------------------------------------ */

/* "BEFORE", then N times EACH with its number in the place of %zu, then "AFTER". */
static char *many(const char *before, size_t n, const char *each, const char *after)
{
	const char *mark = strstr(each, "%zu");
	struct sv_buf b = { 0 };
	size_t i;

	sv_buf_puts(&b, before);
	for (i = 0; i < n; i++)
		if (mark)
			sv_buf_printf(&b, "%.*s%zu%s", (int)(mark - each), each, i, mark + 3);
		else
			sv_buf_puts(&b, each);
	sv_buf_puts(&b, after);
	return sv_buf_take(&b);
}

#define IN_POD "metadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: i}\n"
#define IN_CONTAINER "metadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: i\n"
#define IN_VOLUME IN_POD "  volumes:\n  - name: v\n"

static const struct {
	const char *before, *each, *after;
	size_t max;
	const char *says; /* one over */
} crowds[] = {
	{ "metadata: {name: s}\ndata:\n", "  k%zu: \"\"\n", "", SV_SECRET_KEYS_MAX,
	  "data: Too many: 10001: must have at most 10000 items" },
	{ "metadata: {name: s}\ndata: {a: \"\"}\nstringData:\n", "  k%zu: \"\"\n", "",
	  SV_SECRET_KEYS_MAX - 1, "data: Too many: 10001: must have at most 10000 items" },
	{ IN_POD "  volumes:\n", "  - {name: v%zu}\n", "", SV_POD_VOLUMES_MAX,
	  "spec.volumes: Too many: 1001: must have at most 1000 items" },
	{ IN_POD, "  - {name: c%zu, image: i}\n", "", SV_POD_CONTAINERS_MAX - 1,
	  "spec.containers: Too many: 1001: must have at most 1000 items" },
	{ "metadata: {name: p}\nspec:\n  containers: [{name: c, image: i}]\n  initContainers:\n",
	  "  - {name: c%zu, image: i}\n", "", SV_POD_CONTAINERS_MAX - 1,
	  "spec.containers: Too many: 1001: must have at most 1000 items" },
	{ IN_CONTAINER "    volumeMounts:\n", "    - {name: v, mountPath: /%zu}\n",
	  "  volumes: [{name: v}]\n", SV_POD_MOUNTS_MAX,
	  "spec.containers[0].volumeMounts: Too many: 10001: must have at most 10000 items" },
	{ "metadata: {name: p}\nspec:\n  containers:\n"
	  "  - {name: a, image: i, volumeMounts: [{name: v, mountPath: /a}]}\n"
	  "  - name: c\n    image: i\n    volumeMounts:\n",
	  "    - {name: v, mountPath: /%zu}\n", "  volumes: [{name: v}]\n", SV_POD_MOUNTS_MAX - 1,
	  "spec.containers[1].volumeMounts: Too many: 10001: must have at most 10000 items" },
	{ IN_CONTAINER "    env:\n", "    - {name: V%zu}\n", "", SV_CONTAINER_ENV_MAX,
	  "spec.containers[0].env: Too many: 10001: must have at most 10000 items" },
	{ IN_CONTAINER "    env: [{name: A}]\n    envFrom:\n", "    - {secretRef: {name: s%zu}}\n",
	  "", SV_CONTAINER_ENV_MAX - 1,
	  "spec.containers[0].env: Too many: 10001: must have at most 10000 items" },
	{ IN_VOLUME "    secret:\n      secretName: s\n      items:\n",
	  "      - {key: k, path: p%zu}\n", "", SV_VOLUME_ITEMS_MAX,
	  "spec.volumes[0].secret.items: Too many: 10001: must have at most 10000 items" },
	{ IN_VOLUME "    projected:\n      sources:\n", "      - {secret: {name: s%zu}}\n", "",
	  SV_VOLUME_SOURCES_MAX,
	  "spec.volumes[0].projected.sources: Too many: 1001: must have at most 1000 items" },
};

static int decode_crowd(int at, size_t n, struct sv_complaints *c)
{
	sv_autofree char *text = many(crowds[at].before, n, crowds[at].each, crowds[at].after);
	t_autotree struct json_object *tree = t_yaml(text);
	sv_autosecret struct sv_secret *secret = NULL;
	sv_autopod struct sv_pod *pod = NULL;

	return strstr(text, "\nspec:") ? sv_decode_pod(tree, NULL, &pod, c) :
					 sv_decode_secret(tree, NULL, &secret, c);
}

START_TEST(what_there_can_be_many_of_has_a_limit)
{
	sv_autocomplaints struct sv_complaints good = { 0 }, bad = { 0 };

	ck_assert_msg(decode_crowd(_i, crowds[_i].max, &good) == 0, "%s",
		      good.n ? good.items[0].message : "no complaint");
	ck_assert_int_eq(decode_crowd(_i, crowds[_i].max + 1, &bad), SV_DECODE_E_INVALID);
	ck_assert_uint_eq(bad.n, 1);
	ck_assert_int_eq(bad.items[0].category, SV_TOO_MANY);
	ck_assert_str_eq(bad.items[0].message, crowds[_i].says);
}
END_TEST

START_TEST(complaints_never_show_a_value)
{
	static const char *const texts[] = {
		"data: {a: \"hunter2!\"}",
		"data: {a: 1234567}",
		"stringData: {a: 1234567}",
		"type: kubernetes.io/dockercfg\nstringData: {.dockercfg: '{hunter2}'}",
		"type: kubernetes.io/dockercfg\nstringData: {.dockercfg: '\"hunter2\"'}",
	};
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(texts); i++) {
		sv_autofree char *text = sv_asprintf("metadata: {name: s}\n%s", texts[i]);
		t_autotree struct json_object *tree = t_yaml(text);
		sv_autocomplaints struct sv_complaints c = { 0 };
		struct sv_secret *s;

		ck_assert_int_eq(sv_decode_secret(tree, NULL, &s, &c), SV_DECODE_E_INVALID);
		ck_assert_ptr_null(strstr(c.items[0].message, "hunter"));
		ck_assert_ptr_null(strstr(c.items[0].message, "1234567"));
	}
}
END_TEST

/* ---- Pods ----------------------------------------------------------------------------------- */

#define C "containers: [{name: c, image: i}]" /* what no Pod can do without */
#define V "volumes: [{name: v, secret: {secretName: s}}]"
#define M(mount) "containers: [{name: c, image: i, volumeMounts: [" mount "]}], " V
#define E(env) "containers: [{name: c, image: i, " env "}]"
#define VOL(volume) C ", volumes: [" volume "]"
#define P "spec.containers[0]."

static const struct {
	const char *spec;
	const char *want; /* complaints */
} pods[] = {
	{ C, "" },
	{ "", "Required spec.containers" },
	{ "containers: []", "Required spec.containers" },
	{ "containers: x", "decode spec.containers" },
	{ "containers: [1]", "decode spec.containers[0]" },
	{ "containers: [{}]", "Required " P "name\nRequired " P "image" },
	{ "containers: [~]", "Required " P "name\nRequired " P "image" },
	{ "containers: [{name: C, image: i}]", "Invalid " P "name" },
	{ "containers: [{name: c, image: i}, {name: c, image: i}]",
	  "Duplicate spec.containers[1].name" },
	{ C ", initContainers: [{name: c, image: i}]", "Duplicate spec.containers[0].name" },
	{ C ", initContainers: [{name: d, image: i}]", "" },
	{ C ", ephemeralContainers: [{name: d, image: i}]", "Forbidden spec.ephemeralContainers" },
	{ "containers: [{name: c, image: i, command: [a, b], args: []}]", "" },
	{ "containers: [{name: c, image: i, command: [1]}]", "decode " P "command" },
	{ C ", nodeName: 5", "decode spec.nodeName" },
	{ VOL("{name: v, projected: {sources: x}}"), "decode spec.volumes[0].projected.sources" },
	{ VOL("{name: v, projected: {defaultMode: x}}"),
	  "decode spec.volumes[0].projected.defaultMode" },
	{ E("env: [{name: A, valueFrom: {secretKeyRef: x}}]"),
	  "decode " P "env[0].valueFrom.secretKeyRef" },
	/* R11 */
	{ VOL("{name: v}"), "" },
	{ VOL("{}"), "Required spec.volumes[0].name" },
	{ VOL("{name: V, emptyDir: {}}"), "Invalid spec.volumes[0].name" },
	{ VOL("{name: v.x, emptyDir: {}}"), "Invalid spec.volumes[0].name" },
	{ VOL("{name: v}, {name: w}, {name: v}"), "Duplicate spec.volumes[2].name" },
	{ "containers: [{name: c, image: i, volumeMounts: [{name: V, mountPath: /m}]}], "
	  "volumes: [{name: V, secret: {secretName: s}}]",
	  "Invalid spec.volumes[0].name\nNotFound " P "volumeMounts[0].name" },
	/* R12 */
	{ VOL("{name: v, secret: {secretName: s}, emptyDir: {}}"),
	  "Forbidden spec.volumes[0].secret" },
	{ VOL("{name: v, secret: {secretName: s}, projected: {}}"),
	  "Forbidden spec.volumes[0].projected" },
	{ VOL("{name: v, secret: ~, emptyDir: {}}"), "" },
	/* R13 */
	{ VOL("{name: v, secret: {secretName: 'IMPOSSIBLE name', unknown: 1}}"), "" },
	{ VOL("{name: v, secret: {}}"), "Required spec.volumes[0].secret.secretName" },
	{ VOL("{name: v, secret: {secretName: ''}}"),
	  "Required spec.volumes[0].secret.secretName" },
	{ VOL("{name: v, secret: {secretName: 5}}"), "decode spec.volumes[0].secret.secretName" },
	{ VOL("{name: v, secret: x}"), "decode spec.volumes[0].secret" },
	{ VOL("{name: v, secret: {secretName: s, optional: 'true'}}"),
	  "decode spec.volumes[0].secret.optional" },
	{ VOL("{name: v, secret: {secretName: s, items: []}}"), "" },
	/* R14 */
	{ VOL("{name: v, secret: {secretName: s, items: [{}]}}"),
	  "Required spec.volumes[0].secret.items[0].key\n"
	  "Required spec.volumes[0].secret.items[0].path" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: 'no/key', path: a/..b}]}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: /a}]}}"),
	  "Invalid spec.volumes[0].secret.items[0].path" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: a/../b}]}}"),
	  "Invalid spec.volumes[0].secret.items[0].path" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: ..a}]}}"),
	  "Invalid spec.volumes[0].secret.items[0].path" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: a}, {key: k, path: a}]}}"),
	  "" },
	/* R15, R27-R29 */
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 0}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 0777}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 511}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 256.0}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: ~}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 512}}"),
	  "Invalid spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 01777}}"),
	  "Invalid spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 0800}}"),
	  "Invalid spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: -1}}"),
	  "Invalid spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: \"0400\"}}"),
	  "decode spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 256.5}}"),
	  "decode spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 2147483648}}"),
	  "decode spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 99999999999999999999}}"),
	  "decode spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, defaultMode: true}}"),
	  "decode spec.volumes[0].secret.defaultMode" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: p, mode: 0777}]}}"), "" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: p, mode: 01000}]}}"),
	  "Invalid spec.volumes[0].secret.items[0].mode" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: p, mode: -1}]}}"),
	  "Invalid spec.volumes[0].secret.items[0].mode" },
	/* R16 */
	{ VOL("{name: v, projected: {}}"), "" },
	{ VOL("{name: v, projected: {sources: [{}, ~]}}"), "" },
	{ VOL("{name: v, projected: {sources: [{secret: {}}]}}"),
	  "Required spec.volumes[0].projected.sources[0].secret.name" },
	{ VOL("{name: v, projected: {sources: [{secret: {name: s}, configMap: {name: m}}]}}"),
	  "Forbidden spec.volumes[0].projected.sources[0]" },
	{ VOL("{name: v, projected: {defaultMode: 512}}"),
	  "Invalid spec.volumes[0].projected.defaultMode" },
	{ VOL("{name: v, projected: {sources: [{secret: {name: s, items: [{key: a, path: x}]}}, "
	      "{secret: {name: t, items: [{key: a, path: z}, {key: b, path: x}]}}]}}"),
	  "Invalid spec.volumes[0].projected" },
	{ VOL("{name: v, projected: {sources: [{secret: {name: s, items: [{key: a, path: x}]}}, "
	      "{secret: {name: t, items: [{key: b, path: ./x}]}}]}}"),
	  "" },
	/* R18, R19 */
	{ M("{name: v, mountPath: /m}"), "" },
	{ M("{name: v, mountPath: relative}, {name: v, mountPath: /m}"), "" },
	{ M("{name: w, mountPath: /m}"), "NotFound " P "volumeMounts[0].name" },
	{ M("{}"), "Required " P "volumeMounts[0].name\nRequired " P "volumeMounts[0].mountPath" },
	{ M("{name: v, mountPath: /m}, {name: v, mountPath: /m}"),
	  "Invalid " P "volumeMounts[1].mountPath" },
	{ M("{name: v, mountPath: /m}, {name: v, mountPath: /m/}"), "" },
	{ M("{name: v, mountPath: /m, subPath: ..a}"), "" },
	{ M("{name: v, mountPath: /m, subPath: /a}"), "Invalid " P "volumeMounts.subPath" },
	{ M("{name: v, mountPath: /m, subPath: a/..}"), "Invalid " P "volumeMounts.subPath" },
	{ M("{name: v, mountPath: /m, subPathExpr: ../a}"),
	  "Invalid " P "volumeMounts.subPathExpr" },
	{ M("{name: v, mountPath: /m, subPath: a, subPathExpr: b}"),
	  "Invalid " P "volumeMounts[0].subPathExpr" },
	{ M("{name: v, mountPath: /m, mountPropagation: HostToContainer}"), "" },
	{ M("{name: v, mountPath: /m, mountPropagation: Bidirectional}"),
	  "Forbidden " P "volumeMounts.mountPropagation" },
	{ M("{name: v, mountPath: /m, mountPropagation: none}"),
	  "NotSupported " P "volumeMounts.mountPropagation" },
	{ "containers: [{name: c, image: i, securityContext: {privileged: true}, volumeMounts: "
	  "[{name: v, mountPath: /m, mountPropagation: Bidirectional}]}], " V,
	  "" },
	{ M("{name: v, mountPath: /m, readOnly: 'no'}"), "decode " P "volumeMounts[0].readOnly" },
	/* R23 */
	{ C ", securityContext: {fsGroup: 0, runAsUser: 2147483647, runAsGroup: 1}", "" },
	{ C ", securityContext: {fsGroup: -1}", "Invalid spec.securityContext.fsGroup" },
	{ C ", securityContext: {fsGroup: 2147483648}", "Invalid spec.securityContext.fsGroup" },
	{ C ", securityContext: {runAsUser: -1}", "Invalid spec.securityContext.runAsUser" },
	{ C ", securityContext: {fsGroup: '5'}", "decode spec.securityContext.fsGroup" },
	{ C ", securityContext: {fsGroup: 9223372036854775808}",
	  "decode spec.securityContext.fsGroup" },
	{ C ", securityContext: {fsGroupChangePolicy: Always}", "" },
	{ C ", securityContext: {fsGroupChangePolicy: always}",
	  "NotSupported spec.securityContext.fsGroupChangePolicy" },
	{ C ", securityContext: {supplementalGroups: [1, -2, 3]}",
	  "Invalid spec.securityContext.supplementalGroups[1]" },
	{ C ", securityContext: {supplementalGroups: [x]}",
	  "decode spec.securityContext.supplementalGroups[0]" },
	/* R73 */
	{ E("env: [{name: A, value: x}, {name: A, value: ''}, {name: B}]"), "" },
	{ E("env: [{value: x}]"), "Required " P "env[0].name" },
	{ E("env: [{name: A=B}]"), "Invalid " P "env[0].name" },
	{ E("env: [{name: 1 2}]"), "" }, /* R87 */
	{ E("env: [{name: A, value: 5}]"), "decode " P "env[0].value" },
	{ E("env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]"), "" },
	{ E("env: [{name: A, value: x, valueFrom: {secretKeyRef: {name: s, key: k}}}]"),
	  "Invalid " P "env[0].valueFrom" },
	{ E("env: [{name: A, valueFrom: {}}]"), "Invalid " P "env[0].valueFrom" },
	{ E("env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}, fieldRef: {fieldPath: "
	    "metadata.name}}}]"),
	  "Invalid " P "env[0].valueFrom" },
	{ E("env: [{name: A, valueFrom: {secretKeyRef: {name: s}}}]"),
	  "Required " P "env[0].valueFrom.secretKeyRef.key" },
	{ E("env: [{name: A, valueFrom: {secretKeyRef: {name: S, key: 'a b'}}}]"),
	  "Invalid " P "env[0].valueFrom.secretKeyRef.name\n"
	  "Invalid " P "env[0].valueFrom.secretKeyRef.key" },
	{ E("envFrom: [{secretRef: {name: s}, prefix: X_}, {configMapRef: {name: m}}]"), "" },
	{ E("envFrom: [{}]"), "Invalid " P "envFrom[0]" },
	{ E("envFrom: [{secretRef: {name: s}, configMapRef: {name: m}}]"),
	  "Invalid " P "envFrom[0]" },
	{ E("envFrom: [{secretRef: {}}]"), "Required " P "envFrom[0].secretRef.name" },
	{ E("envFrom: [{secretRef: {name: S}}]"), "Invalid " P "envFrom[0].secretRef.name" },
	{ E("envFrom: [{secretRef: {name: s}, prefix: 'A='}]"), "Invalid " P "envFrom[0].prefix" },
};

static int decode_pod(const char *text, const struct sv_decode_opts *opts, struct sv_pod **ret,
		      struct sv_complaints *c)
{
	t_autotree struct json_object *tree = t_yaml(text);

	return sv_decode_pod(tree, opts, ret, c);
}

START_TEST(pods_are_validated_as_the_api_server_does)
{
	sv_autofree char *text = sv_asprintf("{metadata: {name: p}, spec: {%s}}", pods[_i].spec);
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autopod struct sv_pod *pod = NULL;
	sv_autofree char *got = NULL;
	int r = decode_pod(text, NULL, &pod, &c);

	got = t_complaints(&c);
	ck_assert_str_eq(got, pods[_i].want);
	ck_assert_int_eq(r, *pods[_i].want ? SV_DECODE_E_INVALID : 0);
	ck_assert_int_eq(pod != NULL, r == 0);
}
END_TEST

#define WRONG(field, expects, found)                                                            \
	"Pod in version \"v1\" cannot be handled as a Pod: " field ": expects " expects " but " \
	"found " found

/* The texts are the API server's: people look for them. */
static const struct {
	const char *spec, *message;
} messages[] = {
	{ VOL("{name: v, secret: {secretName: s, defaultMode: 512}}"),
	  "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and "
	  "0777 (octal), both inclusive" },
	{ VOL("{name: v, secret: {secretName: s, items: [{key: k, path: ..a}]}}"),
	  "spec.volumes[0].secret.items[0].path: Invalid value: \"..a\": must not start with "
	  "'..'" },
	{ VOL("{name: v, secret: {secretName: s}, emptyDir: {}}"),
	  "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type" },
	{ VOL("{name: v, projected: {sources: [{secret: {name: s, items: [{key: a, path: x}]}}, "
	      "{secret: {name: t, items: [{key: a, path: x}]}}]}}"),
	  "spec.volumes[0].projected: Invalid value: \"t\": conflicting duplicate paths" },
	{ M("{name: v, mountPath: /m}, {name: v, mountPath: /m}"),
	  P "volumeMounts[1].mountPath: Invalid value: \"/m\": must be unique" },
	{ M("{name: w, mountPath: /m}"), P "volumeMounts[0].name: Not found: \"w\"" },
	{ C ", securityContext: {fsGroup: -1}",
	  "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, "
	  "inclusive" },
	{ "", "spec.containers: Required value" },
	{ C ", nodeName: {}",
	  WRONG("spec.nodeName: v1.PodSpec.NodeName", "a string", "an object") },
	{ C ", nodeName: [a]", WRONG("spec.nodeName: v1.PodSpec.NodeName", "a string", "a list") },
	{ C ", nodeName: 1", WRONG("spec.nodeName: v1.PodSpec.NodeName", "a string", "a number") },
	{ C ", nodeName: true",
	  WRONG("spec.nodeName: v1.PodSpec.NodeName", "a string", "a boolean") },
	{ C ", securityContext: x",
	  WRONG("spec.securityContext: v1.PodSpec.SecurityContext", "an object", "a string") },
};

START_TEST(the_texts_are_the_api_servers)
{
	sv_autofree char *text =
		sv_asprintf("{metadata: {name: p}, spec: {%s}}", messages[_i].spec);
	sv_autocomplaints struct sv_complaints c = { 0 };
	struct sv_pod *pod;

	ck_assert_int_eq(decode_pod(text, NULL, &pod, &c), SV_DECODE_E_INVALID);
	ck_assert_str_eq(c.items[0].message, messages[_i].message);
}
END_TEST

static const struct {
	const char *text, *want;
} metas[] = {
	{ "metadata: {name: x}", "" },
	{ "metadata: {}", "Required metadata.name" },
	{ "metadata: ~", "Required metadata.name" },
	{ "", "Required metadata.name" },
	{ "metadata: x", "decode metadata" },
	{ "metadata: {name: X}", "Invalid metadata.name" },
	{ "metadata: {name: 5}", "decode metadata.name" },
	{ "metadata: {name: \"a\\0b\"}", "decode metadata.name" },
	{ "metadata: {name: x, namespace: a.b}", "Invalid metadata.namespace" },
	{ "metadata: {name: x, namespace: ''}", "" },
	{ "metadata: {name: x, uid: 'a/b'}", "Invalid metadata.uid" },
	{ "metadata: {name: x, uid: ..}", "Invalid metadata.uid" },
	{ "metadata: {name: x, labels: {a: b, c: }}", "" },
	{ "metadata: {name: x, labels: {a: 1}}", "decode metadata.labels[a]" },
	{ "metadata: {name: x, annotations: {a: true}}", "decode metadata.annotations[a]" },
	{ "metadata: {name: x, annotations: [a]}", "decode metadata.annotations" },
};

START_TEST(metadata_is_validated)
{
	sv_autofree char *text = sv_asprintf("%s\nspec: {" C "}", metas[_i].text);
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autopod struct sv_pod *pod = NULL;
	sv_autofree char *got = NULL;

	(void)decode_pod(text, NULL, &pod, &c);
	got = t_complaints(&c);
	ck_assert_str_eq(got, metas[_i].want);
}
END_TEST

static const struct {
	const char *text, *want;
} tops[] = {
	{ "metadata: {name: p}\nspec: x", "decode spec" },
	{ "metadata: {name: p}\nspec: {" C "}\nstatus: x", "decode status" },
	{ "metadata: {name: p}\nspec: {" C "}\nstatus: {phase: 1}", "decode status.phase" },
	{ "metadata: {name: p}\nspec: {" C "}\nstatus: {containerStatuses: x}",
	  "decode status.containerStatuses" },
	{ "metadata: {name: p}\nspec: {" C "}\nstatus: {containerStatuses: [5]}",
	  "decode status.containerStatuses[0]" },
	{ "metadata: {name: p}\nspec: {" C "}\nstatus: {initContainerStatuses: [{}, {state: 5}]}",
	  "decode status.initContainerStatuses[1].state" },
	{ "metadata: {name: p, deletionTimestamp: 5}\nspec: {" C "}",
	  "decode metadata.deletionTimestamp" },
	{ "metadata: {name: p, deletionTimestamp: xx}\nspec: {" C "}",
	  "decode metadata.deletionTimestamp" },
	{ "metadata: {name: p, deletionTimestamp: ''}\nspec: {" C "}",
	  "decode metadata.deletionTimestamp" },
};

START_TEST(a_pods_parts_are_of_their_type)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autofree char *got = NULL;
	struct sv_pod *pod;

	ck_assert_int_eq(decode_pod(tops[_i].text, NULL, &pod, &c), SV_DECODE_E_INVALID);
	got = t_complaints(&c);
	ck_assert_str_eq(got, tops[_i].want);
}
END_TEST

START_TEST(decode_errors_name_kind_and_go_field)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autocomplaints struct sv_complaints d = { 0 };
	t_autotree struct json_object *secret = t_yaml("metadata: {name: s}\ndata: {a: '*'}");
	struct sv_secret *s;
	struct sv_pod *pod;

	ck_assert_int_eq(decode_pod("metadata: {name: p}\nspec:\n  " C "\n"
				    "  volumes: [{name: v, secret: {secretName: s, defaultMode: "
				    "\"0400\"}}]\n",
				    NULL, &pod, &c),
			 SV_DECODE_E_INVALID);
	ck_assert_uint_eq(c.n, 1);
	t_contains(c.items[0].message, "Pod in version \"v1\" cannot be handled as a Pod");
	t_contains(c.items[0].message, "spec.volumes[0].secret.defaultMode");
	t_contains(c.items[0].message, "v1.SecretVolumeSource.DefaultMode");
	ck_assert_int_eq(sv_decode_secret(secret, NULL, &s, &d), SV_DECODE_E_INVALID);
	t_contains(d.items[0].message, "Secret in version \"v1\" cannot be handled as a Secret");
	t_contains(d.items[0].message, "v1.Secret.Data");
	t_contains(d.items[0].message, "illegal base64 data at input byte 0");
}
END_TEST

START_TEST(json_numbers_with_a_fraction_are_no_integers)
{
	static const struct {
		const char *mode;
		bool fine;
	} cases[] = { { "256", true },
		      { "256.0", false },
		      { "2.56e2", false },
		      { "\"256\"", false },
		      { "null", true } };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(cases); i++) {
		sv_autofree char *text = sv_asprintf(
			"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\","
			"\"image\":\"i\"}],\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":"
			"\"s\",\"defaultMode\":%s}}]}}",
			cases[i].mode);
		t_autotree struct json_object *tree = NULL;
		sv_autocomplaints struct sv_complaints c = { 0 };
		sv_autopod struct sv_pod *pod = NULL;

		ck_assert_int_eq(sv_json_parse(text, strlen(text), &tree, NULL, NULL), 0);
		ck_assert_int_eq(sv_decode_pod(tree, NULL, &pod, &c),
				 cases[i].fine ? 0 : SV_DECODE_E_INVALID);
		if (!cases[i].fine)
			ck_assert_int_eq(c.items[0].category, SV_DECODE);
	}
}
END_TEST

START_TEST(a_pod_has_kubernetes_defaults)
{
	sv_autopod struct sv_pod *pod =
		t_pod_yaml("metadata: {name: p}\n"
			   "spec:\n"
			   "  containers:\n"
			   "  - {name: c, image: i, volumeMounts: [{name: a, mountPath: /m}]}\n"
			   "  volumes:\n"
			   "  - {name: a, secret: {secretName: s, items: [{key: k, path: p}]}}\n"
			   "  - {name: b, projected: {sources: [{secret: {name: s}}]}}\n"
			   "  - {name: c}\n");

	ck_assert_str_eq(pod->ns, "default");
	ck_assert_str_eq(pod->node_name, "");
	ck_assert(!pod->terminated);
	ck_assert_int_eq(pod->fs_group, -1);
	ck_assert_int_eq(pod->run_as_user, -1);
	ck_assert_uint_eq(pod->n_volumes, 3);
	ck_assert_int_eq(pod->volumes[0].type, SV_VOLUME_SECRET);
	ck_assert_uint_eq(pod->volumes[0].default_mode, 0644);
	ck_assert_uint_eq(pod->volumes[0].n_sources, 1);
	ck_assert(!pod->volumes[0].sources[0].optional);
	ck_assert_int_eq(pod->volumes[0].sources[0].items[0].mode, -1);
	ck_assert_int_eq(pod->volumes[1].type, SV_VOLUME_PROJECTED);
	ck_assert_uint_eq(pod->volumes[1].default_mode, 0644);
	ck_assert_int_eq(pod->volumes[2].type, SV_VOLUME_OTHER);
	ck_assert_int_eq(pod->containers[0].kind, SV_CONTAINER_APP);
	ck_assert_str_eq(pod->containers[0].mounts[0].sub_path, "");
	ck_assert(!pod->containers[0].mounts[0].read_only);
	ck_assert_int_eq(pod->containers[0].run_as_user, -1);
	ck_assert_ptr_null(pod->containers[0].command);
	ck_assert(sv_pod_mounts(pod, "a"));
	ck_assert(!sv_pod_mounts(pod, "b"));
}
END_TEST

START_TEST(a_pod_is_read_in_full)
{
	sv_autopod struct sv_pod *pod = t_pod_yaml(
		"metadata: {name: p, namespace: ns, uid: u-1, labels: {a: b}, annotations: {c: d}}\n"
		"spec:\n"
		"  nodeName: node1\n"
		"  securityContext: {fsGroup: 0, runAsUser: 7, runAsGroup: 8, supplementalGroups: [9]}\n"
		"  initContainers:\n"
		"  - {name: i, image: i, command: [sh, -c], args: [x]}\n"
		"  containers:\n"
		"  - name: c\n"
		"    image: i\n"
		"    securityContext: {runAsUser: 5}\n"
		"    volumeMounts:\n"
		"    - {name: v, mountPath: m, subPath: s, readOnly: true}\n"
		"    envFrom:\n"
		"    - {prefix: P_, secretRef: {name: s, optional: true}}\n"
		"    env:\n"
		"    - {name: A, value: x}\n"
		"    - {name: B, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}\n"
		"    - {name: C, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['a']\"}}}\n"
		"    - {name: D, valueFrom: {configMapKeyRef: {name: m, key: k}}}\n"
		"    - {name: E, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}\n"
		"  volumes:\n"
		"  - name: v\n"
		"    secret:\n"
		"      secretName: s\n"
		"      optional: true\n"
		"      defaultMode: 0400\n"
		"      items: [{key: k, path: a/b, mode: 0}]\n"
		"  - name: w\n"
		"    projected:\n"
		"      defaultMode: 288\n"
		"      sources: [{secret: {name: a, optional: true}}, {configMap: {name: b}}]\n");
	const struct sv_container *c = &pod->containers[1];

	ck_assert_str_eq(pod->ns, "ns");
	ck_assert_str_eq(pod->uid, "u-1");
	ck_assert_str_eq(pod->node_name, "node1");
	ck_assert_int_eq(pod->fs_group, 0);
	ck_assert_int_eq(pod->run_as_user, 7);
	ck_assert_int_eq(pod->run_as_group, 8);
	ck_assert_uint_eq(pod->n_supplemental_groups, 1);
	ck_assert_int_eq(pod->supplemental_groups[0], 9);
	ck_assert_uint_eq(pod->n_labels, 1); /* an env refers to them */
	ck_assert_uint_eq(pod->n_annotations, 0);
	ck_assert_uint_eq(pod->n_containers, 2);
	ck_assert_int_eq(pod->containers[0].kind, SV_CONTAINER_INIT);
	ck_assert_str_eq(pod->containers[0].command[1], "-c");
	ck_assert_ptr_null(pod->containers[0].command[2]);
	ck_assert_int_eq(c->run_as_user, 5);
	ck_assert_str_eq(c->mounts[0].path, "m");
	ck_assert_str_eq(c->mounts[0].sub_path, "s");
	ck_assert(c->mounts[0].read_only);
	ck_assert_str_eq(c->env_from[0].prefix, "P_");
	ck_assert_str_eq(c->env_from[0].secret, "s");
	ck_assert_ptr_null(c->env_from[0].config_map);
	ck_assert(c->env_from[0].optional);
	ck_assert_uint_eq(c->n_env, 5);
	ck_assert_str_eq(c->env[0].value, "x");
	ck_assert_int_eq(c->env[1].kind, SV_ENV_SECRET_KEY);
	ck_assert_str_eq(c->env[1].ref, "s");
	ck_assert_str_eq(c->env[1].key, "k");
	ck_assert(c->env[1].optional);
	ck_assert_int_eq(c->env[2].kind, SV_ENV_FIELD);
	ck_assert_int_eq(c->env[3].kind, SV_ENV_CONFIG_MAP);
	ck_assert_int_eq(c->env[4].kind, SV_ENV_RESOURCE);
	ck_assert_uint_eq(pod->volumes[0].default_mode, 0400);
	ck_assert(pod->volumes[0].sources[0].optional);
	ck_assert_str_eq(pod->volumes[0].sources[0].items[0].path, "a/b");
	ck_assert_int_eq(pod->volumes[0].sources[0].items[0].mode, 0);
	ck_assert_uint_eq(pod->volumes[1].default_mode, 0440);
	ck_assert_uint_eq(pod->volumes[1].n_sources, 1);
	ck_assert_str_eq(pod->volumes[1].unsupported, "configMap");
}
END_TEST

/* R24 */
static const struct {
	const char *text;
	bool terminated;
} lives[] = {
	{ "", false },
	{ "status: {}", false },
	{ "status: {phase: Running}", false },
	{ "status: {phase: Pending}", false },
	{ "status: {phase: Succeeded}", true },
	{ "status: {phase: Failed}", true },
	{ "status: {phase: Succeeded, containerStatuses: [{state: {running: {}}}]}", true },
	{ "D", true },
	{ "Dstatus: {phase: Pending}", true },
	{ "Dstatus: {phase: Running}", false }, /* better mounted too long */
	{ "Dstatus: {phase: Running, containerStatuses: [{state: {running: {}}}]}", false },
	{ "Dstatus: {phase: Running, initContainerStatuses: [{state: {running: {}}}]}", false },
	{ "Dstatus: {phase: Running, containerStatuses: [{state: {terminated: {}}}]}", true },
	{ "Dstatus: {phase: Running, containerStatuses: [{state: {terminated: {}}}, {state: "
	  "{running: {startedAt: x}}}]}",
	  false },
	{ "Dstatus: {phase: Running, initContainerStatuses: [{state: {terminated: {}}}], "
	  "containerStatuses: [{state: {waiting: {reason: x}}}]}",
	  true },
	{ "Dstatus: {phase: Pending, initContainerStatuses: [{state: {running: {}}}], "
	  "containerStatuses: [{state: {waiting: {}}}]}",
	  false },
	/* what neither waits nor has ended runs */
	{ "Dstatus: {phase: Pending, containerStatuses: [{state: {}}]}", false },
	{ "Dstatus: {phase: Pending, containerStatuses: [{state: {waiting: ~}}]}", false },
	{ "Dstatus: {phase: Pending, containerStatuses: [~]}", false },
	{ "Dstatus: {phase: Pending, containerStatuses: []}", true },
};

START_TEST(a_pod_is_terminated_when_nothing_runs_any_more)
{
	bool deleted = lives[_i].text[0] == 'D';
	sv_autofree char *text =
		sv_asprintf("metadata: {name: p%s}\nspec: {" C "}\n%s\n",
			    deleted ? ", deletionTimestamp: 2026-01-01T00:00:00Z" : "",
			    lives[_i].text + deleted);
	sv_autopod struct sv_pod *pod = t_pod_yaml(text);

	ck_assert_int_eq(pod->terminated, lives[_i].terminated);
}
END_TEST

START_TEST(a_uid_is_derived_from_namespace_and_name_alone)
{
	sv_autopod struct sv_pod *a = t_pod("default/p", "v=s");
	sv_autopod struct sv_pod *again = t_pod("p", "v=other w=s?");
	sv_autopod struct sv_pod *b = t_pod("ns/p", "v=s"), *c = t_pod("default/q", "v=s");
	sv_autopod struct sv_pod *own = t_pod("default/p@my-uid", "v=s");

	/* fixed for ever: it is the name of a directory that outlives us */
	ck_assert_str_eq(a->uid, "97fb2e2a-57ab-5e34-b4cc-2b485440f2f4");
	ck_assert_str_eq(again->uid, a->uid);
	ck_assert_str_ne(b->uid, a->uid);
	ck_assert_str_ne(c->uid, a->uid);
	ck_assert_str_eq(own->uid, "my-uid");
	ck_assert_ptr_null(sv_check_uid(a->uid));
}
END_TEST

START_TEST(options_change_what_is_allowed)
{
	const struct sv_decode_opts strict = { .strict_env_names = true };
	const struct sv_decode_opts api = { .from_api = true };
	const char *names = "metadata: {name: p}\nspec: {" E("env: [{name: '1 2'}]") "}";
	const char *ephemeral =
		"metadata: {name: p}\nspec: {" C ", ephemeralContainers: [{name: e, image: i}]}";
	const char *token =
		"metadata: {name: p}\nspec: {" C ", volumes: [{name: t, projected: "
		"{sources: [{serviceAccountToken: {path: t}}, {configMap: {name: c}}]}}]}";
	const char *mixed = "metadata: {name: p}\nspec: {" C ", volumes: [{name: t, projected: "
			    "{sources: [{serviceAccountToken: {path: t}}, {secret: {name: s}}]}}]}";
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autopod struct sv_pod *a = NULL, *b = NULL, *none = NULL;
	sv_autopod struct sv_pod *mine = NULL, *theirs = NULL, *both = NULL;

	ck_assert_int_eq(decode_pod(names, NULL, &a, &c), 0);
	ck_assert_int_eq(decode_pod(names, &strict, &none, &c), SV_DECODE_E_INVALID);
	ck_assert_int_eq(decode_pod(ephemeral, &api, &b, &c), 0);
	ck_assert_int_eq(b->containers[1].kind, SV_CONTAINER_EPHEMERAL);
	/* what a cluster puts into every Pod is the kubelet's; nobody else serves it for a manifest */
	ck_assert_int_eq(decode_pod(token, NULL, &mine, &c), 0);
	ck_assert_int_eq(mine->volumes[0].type, SV_VOLUME_PROJECTED);
	ck_assert_str_eq(mine->volumes[0].unsupported, "serviceAccountToken");
	ck_assert_int_eq(decode_pod(token, &api, &theirs, &c), 0);
	ck_assert_int_eq(theirs->volumes[0].type, SV_VOLUME_OTHER);
	ck_assert_int_eq(decode_pod(mixed, &api, &both, &c), 0);
	ck_assert_int_eq(both->volumes[0].type, SV_VOLUME_PROJECTED);
	ck_assert_str_eq(both->volumes[0].unsupported, "serviceAccountToken");
}
END_TEST

START_TEST(complaints_know_their_line)
{
	static const char text[] = "apiVersion: v1\n" /* 1 */
				   "metadata:\n"
				   "  name: P\n" /* 3 */
				   "spec:\n"
				   "  securityContext:\n"
				   "    supplementalGroups:\n"
				   "    - 1\n"
				   "    - -1\n" /* 8 */
				   "  containers:\n"
				   "  - name: c\n"
				   "    image: i\n"
				   "    volumeMounts:\n"
				   "    - name: v\n"
				   "      mountPath: /m\n"
				   "    - name: w\n" /* 15 */
				   "      mountPath: /w\n"
				   "  volumes:\n"
				   "  - name: v\n"
				   "    secret:\n"
				   "      secretName: s\n" /* 20 */
				   "      items:\n"
				   "      - key: k\n"
				   "        path: p\n"
				   "      - key: k\n" /* 24 */
				   "        path: /p\n";
	static const struct {
		const char *field;
		unsigned line;
	} want[] = {
		{ "metadata.name", 3 },
		{ "spec.securityContext.supplementalGroups[1]", 8 },
		{ "spec.volumes[0].secret.items[1].path", 24 },
		{ "spec.containers[0].volumeMounts[0].name", 13 },
		{ "spec.containers[0].volumeMounts[1].name", 15 },
	};
	sv_autocomplaints struct sv_complaints c = { 0 };
	struct sv_pod *pod;
	size_t i;

	ck_assert_int_eq(decode_pod(text, NULL, &pod, &c), SV_DECODE_E_INVALID);
	ck_assert_uint_eq(c.n, SV_ARRAY_SIZE(want));
	for (i = 0; i < c.n; i++) {
		ck_assert_str_eq(c.items[i].field, want[i].field);
		ck_assert_uint_eq(c.items[i].line, want[i].line);
	}
}
END_TEST

/* ---- comparing ------------------------------------------------------------------------------ */

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
	{ "v=s", "v=s", true },
	{ "v=s", "v=s?", false },
	{ "v=s", "w=s", false },
	{ "v=s", "v=t", false },
	{ "v=s", "v-=s", false },
	{ "v=s", "v=s w=s", false },
	{ "v=s", "v=s !terminated", false },
	{ "v=s", "v=s !fsGroup=1", false },
};

START_TEST(pods_are_equal_if_nothing_that_we_keep_differs)
{
	sv_autopod struct sv_pod *a = t_pod("p", pairs[_i].a), *b = t_pod("p", pairs[_i].b);

	ck_assert_int_eq(sv_pod_equal(a, b), pairs[_i].same);
	ck_assert(sv_pod_equal(a, a));
}
END_TEST

#define HEAD "metadata: {name: p, uid: u}\n"
#define SPEC(more, of_container)                                                              \
	HEAD "spec: {" more " containers: [{name: c, image: i, command: [sh], args: [a, b], " \
	     "env: [{name: A, value: v}]" of_container "}]}\n"

/* Each differs from the first in one thing. */
static const char *const variants[] = {
	SPEC("", ""),
	SPEC("securityContext: {supplementalGroups: [1]},", ""),
	SPEC("securityContext: {runAsUser: 1},", ""),
	SPEC("", ", envFrom: [{secretRef: {name: s}}]"),
	SPEC("", ", volumeMounts: []}, {name: d, image: i"),
	HEAD "spec: {containers: [{name: c, image: i, command: [bash], args: [a, b], "
	     "env: [{name: A, value: v}]}]}\n",
	HEAD "spec: {containers: [{name: c, image: i, command: [sh], args: [a], "
	     "env: [{name: A, value: v}]}]}\n",
	HEAD "spec: {containers: [{name: c, image: i, command: [sh], args: [a, b], "
	     "env: [{name: A, value: w}]}]}\n",
	HEAD "spec: {containers: [{name: c, image: i, command: [sh], args: [a, b], "
	     "env: [{name: B, value: v}]}]}\n",
	HEAD "spec: {containers: [{name: c, image: i, command: [sh], args: [a, b], "
	     "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}\n",
	HEAD "spec: {containers: [{name: c, image: i, command: [sh], args: [a, b]}]}\n",
};

START_TEST(what_an_environment_is_made_of_makes_pods_differ)
{
	sv_autopod struct sv_pod *a = t_pod_yaml(variants[0]), *b = t_pod_yaml(variants[_i]);

	ck_assert_int_eq(sv_pod_equal(a, b), _i == 0);
	ck_assert_int_eq(sv_pod_equal(b, a), _i == 0);
}
END_TEST

#define PART(labels, items, from, mount)                                                         \
	"metadata: {name: p, uid: u, labels: {" labels "}}\n"                                    \
	"spec:\n"                                                                                \
	"  volumes: [{name: v, secret: {secretName: s, items: [" items "]}}]\n"                  \
	"  containers:\n"                                                                        \
	"  - {name: c, image: i, envFrom: [{" from "}], volumeMounts: [{name: v, " mount "}],\n" \
	"     env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['l']\"}}}]}\n"
#define LABEL "l: x"
#define ITEM "{key: k, path: p}"
#define FROM "secretRef: {name: s}"
#define AT "mountPath: /m"

/* Each differs from the first in one member of a part. */
static const char *const parts[] = {
	PART(LABEL, ITEM, FROM, AT),
	PART("l: x, m: z", ITEM, FROM, AT),
	PART("m: x", ITEM, FROM, AT),
	PART(LABEL, "{key: q, path: p}", FROM, AT),
	PART(LABEL, "{key: k, path: q}", FROM, AT),
	PART(LABEL, "{key: k, path: p, mode: 0}", FROM, AT),
	PART(LABEL, ITEM ", {key: k, path: q}", FROM, AT),
	PART(LABEL, ITEM, "secretRef: {name: t}", AT),
	PART(LABEL, ITEM, "secretRef: {name: s, optional: true}", AT),
	PART(LABEL, ITEM, "prefix: A_, secretRef: {name: s}", AT),
	PART(LABEL, ITEM, "configMapRef: {name: s}", AT),
	PART(LABEL, ITEM, FROM, "mountPath: /n"),
	PART(LABEL, ITEM, FROM, "mountPath: /m, readOnly: true"),
	PART(LABEL, ITEM, FROM, "mountPath: /m, subPath: p"),
	PART(LABEL, ITEM, FROM, "mountPath: /m, subPathExpr: $(A)"),
};

START_TEST(every_member_of_a_part_makes_pods_differ)
{
	sv_autopod struct sv_pod *a = t_pod_yaml(parts[0]), *b = t_pod_yaml(parts[_i]);

	ck_assert_int_eq(sv_pod_equal(a, b), _i == 0);
	ck_assert_int_eq(sv_pod_equal(b, a), _i == 0);
}
END_TEST

START_TEST(groups_and_labels_are_compared_one_by_one)
{
	static const char text[] =
		"metadata: {name: p, uid: u, labels: {l: '%d'}}\n"
		"spec: {securityContext: {supplementalGroups: [%d]}, "
		"containers: [{name: c, image: i, env: [{name: A, "
		"valueFrom: {fieldRef: {fieldPath: \"metadata.labels['l']\"}}}]}]}\n";
	sv_autofree char *text_a = sv_asprintf(text, 1, 1), *text_b = sv_asprintf(text, 2, 1),
			 *text_c = sv_asprintf(text, 1, 2);
	sv_autopod struct sv_pod *a = t_pod_yaml(text_a), *b = t_pod_yaml(text_b),
				 *c = t_pod_yaml(text_c);

	ck_assert(!sv_pod_equal(a, b));
	ck_assert(!sv_pod_equal(a, c));
}
END_TEST

START_TEST(secrets_are_equal_if_nothing_differs)
{
	static const struct {
		const char *keys;
		bool same;
	} cases[] = { { "a=1 b=2", true },
		      { "b=2 a=1", true },
		      { "a=1", false },
		      { "a=1 b=3", false },
		      { "a=1 c=2", false },
		      { "", false },
		      { "a=1 b=2 !immutable", false },
		      { "a=1 b=2 !type=x", false } };
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1 b=2"), *t = t_secret("t", "a=1 b=2");
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(cases); i++) {
		sv_autosecret struct sv_secret *other = t_secret("s", cases[i].keys);

		ck_assert_int_eq(sv_secret_equal(s, other), cases[i].same);
	}
	ck_assert(!sv_secret_equal(s, t));
	ck_assert_uint_eq(sv_secret_value(s, "a")->len, 1);
	ck_assert_ptr_null(sv_secret_value(s, "c"));
	ck_assert_str_eq(sv_origin_name(SV_ORIGIN_MANIFEST), "manifest");
	ck_assert_str_eq(sv_origin_name(SV_ORIGIN_API), "api");
}
END_TEST

T_SUITE(decode)
{
	T_EACH(secrets_are_decoded_or_refused, secrets);
	T_TEST(a_secret_has_kubernetes_defaults);
	T_EACH(values_may_have_one_mebibyte, size_cases);
	T_EACH(what_there_can_be_many_of_has_a_limit, crowds);
	T_TEST(complaints_never_show_a_value);
	T_EACH(pods_are_validated_as_the_api_server_does, pods);
	T_EACH(the_texts_are_the_api_servers, messages);
	T_EACH(metadata_is_validated, metas);
	T_EACH(a_pods_parts_are_of_their_type, tops);
	T_TEST(decode_errors_name_kind_and_go_field);
	T_TEST(json_numbers_with_a_fraction_are_no_integers);
	T_TEST(a_pod_has_kubernetes_defaults);
	T_TEST(a_pod_is_read_in_full);
	T_EACH(a_pod_is_terminated_when_nothing_runs_any_more, lives);
	T_TEST(a_uid_is_derived_from_namespace_and_name_alone);
	T_TEST(options_change_what_is_allowed);
	T_TEST(complaints_know_their_line);
	T_EACH(pods_are_equal_if_nothing_that_we_keep_differs, pairs);
	T_EACH(what_an_environment_is_made_of_makes_pods_differ, variants);
	T_EACH(every_member_of_a_part_makes_pods_differ, parts);
	T_TEST(groups_and_labels_are_compared_one_by_one);
	T_TEST(secrets_are_equal_if_nothing_differs);
}
