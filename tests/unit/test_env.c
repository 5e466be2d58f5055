/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "../../lib/core/env.h"
#include "../support/support.h"

/*
 * The Secrets of every test: s has a, b, user and empty; t has b and c; odd has 1st, a.b, ok and
 * x y is impossible; bin has bytes; nothing else exists. Lookups of "secret-forbidden" fail.
 */
static struct sv_secret *secrets[5];

static void setup(void)
{
	secrets[0] = t_secret("s", "a=1 b=2 user=alice empty= ref=$(user)$$");
	secrets[1] = t_secret("t", "b=t2 c=t3");
	secrets[2] = t_secret("odd", "2nd=y 1st=x a.b-c=z ok=o");
	secrets[3] = t_secret_yaml("metadata: {name: bin}\ndata: {raw: /wAKQQ==, nl: YQo=}\n");
}

static void teardown(void)
{
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(secrets); i++)
		sv_secret_unref(secrets[i]);
}

static int lookup(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		  struct sv_err *err)
{
	static const struct {
		const char *name;
		int r;
		const char *text;
	} others[] = {
		{ "forbidden", SV_PLAN_E_FORBIDDEN, "may not be read" },
		{ "pending", SV_PLAN_E_PENDING, "not read yet" },
		{ "invalid", SV_PLAN_E_NO_SECRET, "it exists and is invalid" },
	};
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(others); i++)
		if (strcmp(name, others[i].name) == 0)
			return sv_err_set(err, others[i].r, "%s", others[i].text);
	return t_lookup(arg, ns, name, ret, err);
}

static struct sv_pod *pod_with(const char *container)
{
	sv_autofree char *text = sv_asprintf(
		"metadata: {name: p, namespace: default, uid: u1, labels: {app: web, x/y: z}, "
		"annotations: {note: \"a'b]c\"}}\n"
		"spec:\n  containers: [{name: c, image: i, %s}]\n",
		container);

	return t_pod_yaml(text);
}

static int make(const struct sv_pod *pod, const struct sv_env_opts *opts, struct sv_env **ret,
		struct sv_err *err)
{
	static const struct sv_env_opts relaxed;

	return sv_env_make(pod, sv_pod_container(pod, NULL), opts ? opts : &relaxed, lookup,
			   secrets, ret, err);
}

/* "NAME=value NAME=value", in order; bytes that do not print are shown as a dot. */
static char *shown(const struct sv_env *env)
{
	struct sv_buf b = { 0 };
	size_t i, k;

	sv_buf_puts(&b, "");
	for (i = 0; i < env->n_entries; i++) {
		const struct sv_bytes *v = &env->entries[i].value;

		sv_buf_printf(&b, "%s%s=", i ? " " : "", env->entries[i].name);
		for (k = 0; k < v->len; k++)
			sv_buf_printf(&b, "%c",
				      v->ptr[k] < 0x20 || v->ptr[k] > 0x7e ? '.' : v->ptr[k]);
	}
	return sv_buf_take(&b);
}

/* The environment in one line, or the text of the refusal; *r is what sv_env_make() returns. */
static char *environment(const char *container, const struct sv_env_opts *opts, int *r)
{
	sv_autopod struct sv_pod *pod = pod_with(container);
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	*r = make(pod, opts, &env, &err);
	ck_assert_int_eq(env != NULL, *r == 0); /* a refusal leaves ret alone */
	return env ? shown(env) : strdup(err.msg);
}

#define ALL(more) "envFrom: [" more "]"
#define FROM(name) "{secretRef: {name: " name "}}"
#define FROM_OPT(name) "{secretRef: {name: " name ", optional: true}}"
#define PREFIX(name, prefix) "{prefix: " prefix ", secretRef: {name: " name "}}"
#define ENV(more) "env: [" more "]"
#define VAL(name, text) "{name: '" name "', value: '" text "'}"
#define KEY(name, secret, key) \
	"{name: '" name "', valueFrom: {secretKeyRef: {name: " secret ", key: " key "}}}"
#define KEY_OPT(name, secret, key)                                                  \
	"{name: '" name "', valueFrom: {secretKeyRef: {name: " secret ", key: " key \
	", optional: true}}}"
#define FIELD(name, path) "{name: '" name "', valueFrom: {fieldRef: {fieldPath: \"" path "\"}}}"

static const struct {
	const char *container;
	int want;
	const char *text; /* the environment, or of the refusal */
} cases[] = {
	{ ENV(""), 0, "" },
	/* R67: every key, in the order of the keys, behind a prefix */
	{ ALL(FROM("t")), 0, "b=t2 c=t3" },
	{ ALL(PREFIX("t", "T_")), 0, "T_b=t2 T_c=t3" },
	{ ALL(PREFIX("t", "''")), 0, "b=t2 c=t3" },
	{ ALL(FROM("none")), SV_PLAN_E_NO_SECRET, "secret \"none\" not found" },
	{ ALL(FROM_OPT("none") ", " FROM("t")), 0, "b=t2 c=t3" },
	/* R65: later sources win, env beats envFrom, and a name keeps its first place */
	{ ALL(FROM("t") ", " FROM("s")), 0, "b=2 c=t3 a=1 empty= ref=$(user)$$ user=alice" },
	{ ALL(FROM("t")) ", " ENV(VAL("c", "env") ", " VAL("X", "x")), 0, "b=t2 c=env X=x" },
	{ ENV(VAL("X", "1") ", " VAL("Y", "y") ", " VAL("X", "2")), 0, "X=2 Y=y" },
	{ ENV(VAL("X", "1")) ", " ALL(FROM("t")), 0, "b=t2 c=t3 X=1" }, /* as written, either way */
	{ ALL(FROM("t") ", " PREFIX("t", "b")), 0, "b=t2 c=t3 bb=t2 bc=t3" },
	/* R66 */
	{ ENV(KEY("U", "s", "user")), 0, "U=alice" },
	{ ENV(KEY("U", "s", "empty")), 0, "U=" },
	{ ENV(KEY("U", "none", "k")), SV_PLAN_E_NO_SECRET, "secret \"none\" not found" },
	{ ENV(KEY("U", "s", "nokey")), SV_PLAN_E_NO_KEY,
	  "couldn't find key nokey in Secret default/s" },
	{ ENV(KEY_OPT("U", "none", "k")), 0, "" },
	{ ENV(KEY_OPT("U", "s", "nokey")), 0, "" },
	{ ENV(VAL("U", "1") ", " KEY_OPT("U", "s", "nokey")), 0, "U=1" },
	{ ALL(FROM("t")) ", " ENV(KEY_OPT("b", "none", "k")), 0, "b=t2 c=t3" },
	/* only "not there" is forgiven (R50) */
	{ ENV(KEY_OPT("U", "forbidden", "k")), SV_PLAN_E_FORBIDDEN, "may not be read" },
	{ ENV(KEY_OPT("U", "pending", "k")), SV_PLAN_E_PENDING, "not read yet" },
	{ ALL(FROM_OPT("pending")), SV_PLAN_E_PENDING, "not read yet" },
	{ ENV(KEY("U", "invalid", "k")), SV_PLAN_E_NO_SECRET,
	  "secret \"invalid\" not found: it exists and is invalid" },
	{ ENV(KEY_OPT("U", "invalid", "k")), 0, "" },
	/* R72: byte for byte */
	{ ENV(KEY("R", "bin", "raw") ", " KEY("N", "bin", "nl")), 0, "R=...A N=a." },
	/* R69: what is above, and envFrom, is known */
	{ ALL(FROM("s")) ", " ENV(VAL("X", "<$(user)>")), 0,
	  "a=1 b=2 empty= ref=$(user)$$ user=alice X=<alice>" },
	{ ENV(VAL("X", "$(Y)") ", " VAL("Y", "y") ", " VAL("Z", "$(Y)$(X)")), 0,
	  "X=$(Y) Y=y Z=y$(Y)" },
	{ ENV(VAL("X", "1") ", " VAL("X", "$(X)2")), 0, "X=12" },
	{ ENV(VAL("X", "$(X)")), 0, "X=$(X)" },
	{ ENV(KEY("X", "s", "ref") ", " VAL("Y", "$(X)")), 0, "X=$(user)$$ Y=$(user)$$" },
	/* names (R87) */
	{ ALL(FROM("odd")), 0, "1st=x 2nd=y a.b-c=z ok=o" },
	{ ENV(VAL("1 st!", "x")), 0, "1 st!=x" },
	/* fields */
	{ ENV(FIELD("N", "metadata.name") ", " FIELD("S", "metadata.namespace") ", " FIELD(
		  "I", "metadata.uid")),
	  0, "N=p S=default I=u1" },
	{ ENV(FIELD("A", "metadata.labels['app']") ", " FIELD("X", "metadata.labels['x/y']")), 0,
	  "A=web X=z" },
	{ ENV(FIELD("A", "metadata.labels['none']")), 0, "A=" },
	{ ENV(FIELD("A", "metadata.annotations['note']")), 0, "A=a'b]c" },
	{ ENV(FIELD("A", "spec.nodeName")), 0, "A=" },
	{ ENV(VAL("U", "1") ", " FIELD("A", "metadata.name") ", " VAL("B", "$(A)")), 0,
	  "U=1 A=p B=p" },
	{ ENV(FIELD("A", "status.hostIP")), SV_PLAN_E_UNSUPPORTED,
	  "env \"A\": unsupported fieldPath: status.hostIP" },
	/* what is not ours is refused by name */
	{ ENV("{name: A, valueFrom: {configMapKeyRef: {name: cm, key: k}}}"), SV_PLAN_E_UNSUPPORTED,
	  "configMapKeyRef \"cm\" of container \"c\" is not supported: only Secrets and fields are" },
	{ ENV("{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}"),
	  SV_PLAN_E_UNSUPPORTED,
	  "resourceFieldRef \"limits.cpu\" of container \"c\" is not supported: only Secrets and "
	  "fields are" },
	{ ALL("{configMapRef: {name: cm}}"), SV_PLAN_E_UNSUPPORTED,
	  "configMapRef \"cm\" of container \"c\" is not supported: only Secrets and fields are" },
	/* the first complaint ends it */
	{ ENV(KEY("A", "s", "nokey") ", " KEY("B", "none", "k")), SV_PLAN_E_NO_KEY,
	  "couldn't find key nokey in Secret default/s" },
};

START_TEST(sources_give_what_the_kubelet_would)
{
	sv_autofree char *text = NULL;
	int r;

	text = environment(cases[_i].container, NULL, &r);
	ck_assert_str_eq(text, cases[_i].text);
	ck_assert_int_eq(r, cases[_i].want);
}
END_TEST

/* With U=alice, E empty and P=( known. */
static const struct {
	const char *text, *want;
} expansions[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "$(U)", "alice" },
	{ "a$(U)b$(U)", "aalicebalice" },
	{ "$(E)", "" },
	{ "$(NOPE)", "$(NOPE)" },
	{ "$(u)", "$(u)" },
	{ "$( U)", "$( U)" },
	{ "$()", "$()" },
	{ "$$", "$" },
	{ "$$$", "$$" },
	{ "$$$$", "$$" },
	{ "$$(U)", "$(U)" },
	{ "$$$(U)", "$alice" },
	{ "$$$$(U)", "$$(U)" },
	{ "$$U", "$U" },
	{ "$U", "$U" },
	{ "${U}", "${U}" },
	{ "$", "$" },
	{ "a$", "a$" },
	{ "$(U)$", "alice$" },
	{ "$(", "$(" },
	{ "$(U", "$(U" },
	{ "$(U $(U)", "$(U $(U)" }, /* the name runs to the first ')' */
	{ "$(U$(U)", "$(U$(U)" },
	{ "$($(U))", "$($(U))" },
	{ "$((U))", "$((U))" },
	{ "$(U))", "alice)" },
	{ ")$(U)(", ")alice(" },
	{ "$(NOPE)$(U)", "$(NOPE)alice" },
	{ "$(NOPE$$)", "$(NOPE$$)" }, /* nothing within a name is looked at */
	{ "$x$(U)", "$xalice" },
	{ "$(P)U)", "(U)" }, /* nothing is expanded twice */
	{ "\\$(U)", "\\alice" },
};

START_TEST(references_are_expanded_by_the_kubelets_syntax)
{
	sv_autofree char *container = sv_asprintf(
		"command: [\"%s\"], args: [x, \"%s\"], env: [{name: U, value: alice}, {name: E}, "
		"{name: P, value: (}, {name: X, value: \"%s\"}]",
		strcmp(expansions[_i].text, "\\$(U)") ? expansions[_i].text : "\\\\$(U)",
		strcmp(expansions[_i].text, "\\$(U)") ? expansions[_i].text : "\\\\$(U)",
		strcmp(expansions[_i].text, "\\$(U)") ? expansions[_i].text : "\\\\$(U)");
	sv_autopod struct sv_pod *pod = pod_with(container);
	sv_autoenv struct sv_env *env = NULL;
	const struct sv_bytes *v;
	struct sv_err err = { "" };
	sv_autofree char *got = NULL;

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	v = sv_env_get(env, "X");
	ck_assert_ptr_nonnull(v);
	got = strndup(v->ptr ? (const char *)v->ptr : "", v->len);
	ck_assert_str_eq(got, expansions[_i].want);
	ck_assert_str_eq(env->command[0], expansions[_i].want); /* R70 */
	ck_assert_ptr_null(env->command[1]);
	ck_assert_str_eq(env->args[0], "x");
	ck_assert_str_eq(env->args[1], expansions[_i].want);
	ck_assert_ptr_null(env->args[2]);
}
END_TEST

START_TEST(a_command_sees_the_final_environment)
{
	sv_autopod struct sv_pod *pod = pod_with(ENV(VAL("A", "$(B)") ", " VAL("B", "1") ", " VAL(
		"B", "2")) ", command: ['$(A)', '$(B)']");
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	ck_assert_str_eq(env->command[0], "$(B)");
	ck_assert_str_eq(env->command[1], "2");
	ck_assert_ptr_null(env->args); /* the container has none */
}
END_TEST

START_TEST(no_argument_holds_a_nul)
{
	sv_autofree char *text = NULL;
	int r;

	text = environment(ENV(KEY("R", "bin", "raw")) ", args: ['$(R)']", NULL, &r);
	ck_assert_int_eq(r, SV_PLAN_E_UNSUPPORTED);
	t_contains(text, "NUL");
	t_contains(text, "container \"c\"");
}
END_TEST

START_TEST(binary_values_are_kept_and_pass_through_references)
{
	static const unsigned char want[] = { '<', 0xff, 0, '\n', 'A', '>' };
	sv_autopod struct sv_pod *pod =
		pod_with(ENV(KEY("R", "bin", "raw") ", " VAL("X", "<$(R)>")));
	sv_autoenv struct sv_env *env = NULL;
	const struct sv_bytes *v;
	struct sv_err err = { "" };

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	v = sv_env_get(env, "X");
	ck_assert_ptr_nonnull(v);
	ck_assert_uint_eq(v->len, sizeof(want));
	ck_assert_mem_eq(v->ptr, want, sizeof(want));
	ck_assert_ptr_null(sv_env_get(env, "Y"));
}
END_TEST

static const struct {
	const char *container, *text, *notices; /* notices: one a line */
} strict_cases[] = {
	{ ALL(FROM("t")), "b=t2 c=t3", "" },
	{ ALL(FROM("odd")), "a.b-c=z ok=o",
	  "Keys [1st, 2nd] from the EnvFrom secret default/odd were skipped since they are "
	  "considered invalid environment variable names.\n" },
	/* judged behind the prefix, and named with it */
	{ ALL(PREFIX("odd", "K")), "K1st=x K2nd=y Ka.b-c=z Kok=o", "" },
	/* one notice a source */
	{ ALL(FROM("odd") ", " FROM("t") ", " FROM("odd")), "a.b-c=z ok=o b=t2 c=t3",
	  "Keys [1st, 2nd] from the EnvFrom secret default/odd were skipped since they are "
	  "considered invalid environment variable names.\n"
	  "Keys [1st, 2nd] from the EnvFrom secret default/odd were skipped since they are "
	  "considered invalid environment variable names.\n" },
};

START_TEST(strict_names_skip_keys_and_say_which)
{
	static const struct sv_env_opts strict = { .strict_names = true };
	sv_autopod struct sv_pod *pod = pod_with(strict_cases[_i].container);
	sv_autoenv struct sv_env *env = NULL;
	sv_autofree char *text = NULL;
	sv_autobuf struct sv_buf notices = { 0 };
	struct sv_err err = { "" };
	size_t i;

	ck_assert_int_eq(make(pod, &strict, &env, &err), 0);
	text = shown(env);
	ck_assert_str_eq(text, strict_cases[_i].text);
	sv_buf_puts(&notices, "");
	for (i = 0; i < env->n_notices; i++)
		sv_buf_printf(&notices, "%s\n", env->notices[i]);
	ck_assert_str_eq(notices.ptr ? notices.ptr : "", strict_cases[_i].notices);
}
END_TEST

START_TEST(the_nodes_name_is_the_pods_or_the_daemons)
{
	static const struct sv_env_opts opts = { .node_name = "daemons" };
	sv_autopod struct sv_pod *pod = t_pod_yaml(
		"metadata: {name: p}\nspec:\n  nodeName: pods\n  containers: [{name: c, image: i, " ENV(
			FIELD("N", "spec.nodeName")) "}]\n");
	sv_autoenv struct sv_env *env = NULL;
	sv_autofree char *own = NULL, *other = NULL;
	struct sv_err err = { "" };
	int r;

	ck_assert_int_eq(make(pod, &opts, &env, &err), 0);
	own = shown(env);
	ck_assert_str_eq(own, "N=pods");
	other = environment(ENV(FIELD("N", "spec.nodeName")), &opts, &r);
	ck_assert_str_eq(other, "N=daemons");
}
END_TEST

START_TEST(the_secrets_it_was_made_from_are_told_once_each)
{
	sv_autopod struct sv_pod *pod = pod_with(ALL(FROM("t") ", " FROM_OPT("none")) ", " ENV(
		KEY("A", "s", "a") ", " KEY("B", "t", "b") ", " KEY_OPT(
			"C", "bin", "nokey") ", " KEY_OPT("D", "none", "k")));
	sv_autoenv struct sv_env *env = NULL;
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	size_t i;

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	for (i = 0; i < env->n_secrets; i++)
		sv_buf_printf(&b, "%s%s ", env->secrets[i].name,
			      env->secrets[i].secret ? "" : "(absent)");
	ck_assert_str_eq(b.ptr, "t none(absent) s bin ");
	ck_assert_ptr_eq(env->secrets[2].secret, secrets[0]);
}
END_TEST

START_TEST(the_secrets_that_it_names_are_told_once_each)
{
	sv_autopod struct sv_pod *pod = pod_with(
		ALL(FROM("t") ", {configMapRef: {name: m}}") ", " ENV(KEY("A", "s", "a") ", " KEY(
			"B", "t", "b") ", " VAL("V", "s") ", " KEY("C", "s", "c")));
	sv_autofree const char **names = NULL;
	size_t n = 7;

	ck_assert_int_eq(sv_env_secret_names(sv_pod_container(pod, NULL), &names, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(names[0], "t");
	ck_assert_str_eq(names[1], "s");
}
END_TEST

START_TEST(an_environment_outlives_its_secrets)
{
	sv_autopod struct sv_pod *pod = pod_with(ALL(FROM("t")));
	sv_autoenv struct sv_env *env = NULL;
	sv_autofree char *text = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	teardown();
	memset(secrets, 0, sizeof(secrets));
	text = shown(env);
	ck_assert_str_eq(text, "b=t2 c=t3");
}
END_TEST

START_TEST(many_variables_keep_their_order)
{
	sv_autobuf struct sv_buf b = { 0 }, want = { 0 };
	sv_autofree char *text = NULL;
	int i, r;

	sv_buf_puts(&b, "env: [");
	for (i = 0; i < 1000; i++) {
		sv_buf_printf(&b, "{name: V%d, value: \"%d\"}, ", (i * 7) % 1000, i);
		sv_buf_printf(&want, "%sV%d=%d", i ? " " : "", (i * 7) % 1000, i);
	}
	sv_buf_puts(&b, "]");
	text = environment(b.ptr, NULL, &r);
	ck_assert_str_eq(text, want.ptr);
}
END_TEST

/* With DIR=d, SUB=a/b, EMPTY empty, UP=../x, ABS=/x, RAW binary. */
static const struct {
	const char *expr, *want, *error;
} sub_paths[] = {
	{ "plain", "plain", NULL },
	{ "$(DIR)", "d", NULL },
	{ "x/$(DIR)/$(SUB)", "x/d/a/b", NULL },
	{ "$(DIR)$(DIR)", "dd", NULL },
	{ "$$(DIR)", "$(DIR)", NULL },
	{ "a$", "a$", NULL },
	{ "$(DIR", "$(DIR", NULL },
	{ "..x", "..x", NULL },
	{ "$(NOPE)", NULL, "missing value for NOPE" },
	{ "$(DIR)/$(NOPE)/$(OTHER)", NULL, "missing value for NOPE" },
	{ "$(EMPTY)", NULL, "missing value for EMPTY" },
	{ "x$(EMPTY)y", NULL, "missing value for EMPTY" },
	{ "$(UP)", NULL, "subPathExpr: must not contain '..'" },
	{ "$(DIR)/$(UP)", NULL, "subPathExpr: must not contain '..'" },
	{ "$(ABS)", NULL, "subPathExpr: must be a relative path" },
	{ "$(RAW)", NULL, "subPathExpr: must not hold a NUL character" },
};

START_TEST(a_sub_path_expression_needs_every_variable)
{
	sv_autopod struct sv_pod *pod =
		pod_with(ENV(VAL("DIR", "d") ", " VAL("SUB", "a/b") ", " VAL("EMPTY", "") ", " VAL(
			"UP", "../x") ", " VAL("ABS", "/x") ", " KEY("RAW", "bin", "raw")));
	sv_autoenv struct sv_env *env = NULL;
	sv_autofree char *path = NULL;
	struct sv_err err = { "" };
	int r;

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	r = sv_env_sub_path(env, sub_paths[_i].expr, &path, &err);
	ck_assert_pstr_eq(path, sub_paths[_i].want);
	ck_assert_int_eq(r, sub_paths[_i].error ? SV_PLAN_E_PATH : 0);
	if (sub_paths[_i].error)
		ck_assert_str_eq(err.msg, sub_paths[_i].error);
}
END_TEST

/* Each value is four times the one before, 16 bytes at first; @last is the name of the last one. */
static char *multiplied(char last, const char *more)
{
	struct sv_buf b = { 0 };
	char c;

	sv_buf_puts(&b, "env: [" VAL("A", "0123456789abcdef"));
	for (c = 'A'; c < last; c++)
		sv_buf_printf(&b, ", {name: %c, value: $(%c)$(%c)$(%c)$(%c)}", c + 1, c, c, c, c);
	sv_buf_printf(&b, "]%s", more);
	return sv_buf_take(&b);
}

/* A to J have 5,592,410 bytes with their names, J twice 8,388,608: this is what is left but for 6. */
#define REST "$(I)$(I)$(H)$(H)$(G)$(G)$(F)$(F)$(E)$(E)$(D)$(D)$(C)$(C)$(B)$(B)$(A)$(A)"

static const struct {
	char last;
	const char *more;
	bool fits;
} multiples[] = {
	{ 'J', "", true }, /* of 4 MiB */
	{ 'K', "", false },
	{ 'J', ", args: [$(J), $(J)]", true },
	{ 'J', ", args: [$(J), $(J), " REST "sixsix]", true },
	{ 'J', ", args: [$(J), $(J), " REST "sixsix7]", false },
	{ 'J', ", args: [$(J), $(J), $(J)]", false },
	{ 'J', ", args: [$(J)], command: [$(J), $(J)]", false },
};

START_TEST(references_cannot_multiply_without_end)
{
	sv_autofree char *container = multiplied(multiples[_i].last, multiples[_i].more);
	sv_autopod struct sv_pod *pod = pod_with(container);
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(make(pod, NULL, &env, &err), multiples[_i].fits ? 0 : SV_PLAN_E_TOO_LARGE);
	ck_assert_str_eq(err.msg, multiples[_i].fits ? "" :
						       "environment of container \"c\" is over the "
						       "limit of 16777216 bytes");
}
END_TEST

START_TEST(a_sub_path_expression_is_no_longer_than_a_path)
{
	sv_autofree char *value = t_repeat('d', 1000), *text = NULL, *path = NULL;
	sv_autopod struct sv_pod *pod = NULL;
	sv_autoenv struct sv_env *env = NULL;
	struct sv_err err = { "" };

	text = sv_asprintf(ENV("{name: D, value: %s}"), value);
	pod = pod_with(text);
	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	ck_assert_int_eq(sv_env_sub_path(env, "$(D)/$(D)/$(D)/$(D)", &path, &err), 0);
	ck_assert_uint_eq(strlen(path), 4003);
	free(SV_TAKE(path));
	ck_assert_int_eq(sv_env_sub_path(env, "$(D)/$(D)/$(D)/$(D)/$(D)", &path, &err),
			 SV_PLAN_E_PATH);
	ck_assert_str_eq(err.msg, "subPathExpr: must be less than or equal to 4096 characters");
}
END_TEST

START_TEST(texts_hold_no_value)
{
	sv_autopod struct sv_pod *pod =
		pod_with(ENV(KEY("U", "s", "user") ", " VAL("V", "../$(U)")));
	sv_autoenv struct sv_env *env = NULL;
	sv_autofree char *path = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(make(pod, NULL, &env, &err), 0);
	ck_assert_int_eq(sv_env_sub_path(env, "$(V)", &path, &err), SV_PLAN_E_PATH);
	ck_assert_ptr_null(strstr(err.msg, "alice"));
	sv_env_free(NULL);
}
END_TEST

T_SUITE(env)
{
	T_AROUND(setup, teardown);
	T_EACH(sources_give_what_the_kubelet_would, cases);
	T_EACH(references_are_expanded_by_the_kubelets_syntax, expansions);
	T_TEST(a_command_sees_the_final_environment);
	T_TEST(no_argument_holds_a_nul);
	T_TEST(binary_values_are_kept_and_pass_through_references);
	T_EACH(strict_names_skip_keys_and_say_which, strict_cases);
	T_TEST(the_nodes_name_is_the_pods_or_the_daemons);
	T_TEST(the_secrets_it_was_made_from_are_told_once_each);
	T_TEST(the_secrets_that_it_names_are_told_once_each);
	T_TEST(an_environment_outlives_its_secrets);
	T_TEST(many_variables_keep_their_order);
	T_EACH(a_sub_path_expression_needs_every_variable, sub_paths);
	T_EACH(references_cannot_multiply_without_end, multiples);
	T_TEST(a_sub_path_expression_is_no_longer_than_a_path);
	T_TEST(texts_hold_no_value);
}
