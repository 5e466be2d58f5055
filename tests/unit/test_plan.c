/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/plan.h"
#include "../../lib/core/validate.h"
#include "../support/support.h"

#define LIMIT (16 << 20)

/* A Pod with the volume v, given as YAML behind its name, and mounts of its container. */
static struct sv_pod *pod_with(const char *volume, const char *mounts, const char *security)
{
	sv_autofree char *text = sv_asprintf(
		"metadata: {name: p}\nspec:\n  containers: [{name: c, image: i, volumeMounts: [%s]}]\n"
		"  securityContext: {%s}\n  volumes:\n  - {name: v, %s}\n  - {name: w}\n",
		mounts, security, volume);

	return t_pod_yaml(text);
}

static struct sv_pod *pod(const char *volume)
{
	return pod_with(volume, "{name: v, mountPath: /v}", "");
}

#define S(more) "secret: {secretName: s" more "}"
#define ITEMS(items) S(", items: [" items "]")
#define PROJ(sources) "projected: {sources: [" sources "]}"

/* The Secrets: s has password and username, t has username and token, nothing else exists. */
static const struct {
	const char *volume;
	int want;          /* what sv_plan_make() returns */
	const char *files; /* path:mode …, in order; else the text of the refusal */
} cases[] = {
	/* R35 */
	{ S(""), 0, "password:0644 username:0644" },
	{ S(", defaultMode: 0400"), 0, "password:0400 username:0400" },
	{ S(", defaultMode: 0"), 0, "password:0000 username:0000" },
	{ ITEMS("{key: username, path: my-group/my-username}"), 0, "my-group/my-username:0644" },
	{ ITEMS("{key: username, path: u, mode: 0400}, {key: password, path: p}"), 0,
	  "p:0644 u:0400" },
	{ ITEMS("{key: username, path: u, mode: 0}"), 0, "u:0000" },
	{ ITEMS("{key: username, path: a}, {key: username, path: b}"), 0, "a:0644 b:0644" },
	{ ITEMS("{key: username, path: a, mode: 0600}, {key: password, path: a, mode: 0640}"), 0,
	  "a:0640" }, /* the last wins, with its mode */
	{ ITEMS("{key: username, path: a, mode: 0600}, {key: password, path: a}"), 0, "a:0644" },
	{ ITEMS(""), 0, "password:0644 username:0644" },
	/* R37: cleaned */
	{ ITEMS("{key: username, path: a//b/}"), 0, "a/b:0644" },
	{ ITEMS("{key: username, path: ./x}"), 0, "x:0644" },
	{ ITEMS("{key: username, path: a/./b/.}"), 0, "a/b:0644" },
	{ ITEMS("{key: username, path: a/..b}"), 0, "a/..b:0644" },
	{ ITEMS("{key: username, path: 'a b\\c'}"), 0, "a b\\c:0644" },
	{ ITEMS("{key: username, path: .x}"), 0, ".x:0644" },
	/* section 7.4: equal once cleaned, the last wins; ".." at the start is refused */
	{ ITEMS("{key: username, path: a, mode: 0600}, {key: password, path: ./a, mode: 0640}"), 0,
	  "a:0640" },
	{ ITEMS("{key: username, path: ./..foo}"), SV_PLAN_E_PATH,
	  "invalid path: must not start with '..' once cleaned" },
	{ ITEMS("{key: username, path: ./..data}"), SV_PLAN_E_PATH,
	  "invalid path: must not start with '..' once cleaned" },
	{ ITEMS("{key: username, path: .}"), SV_PLAN_E_PATH, "invalid path: " },
	{ ITEMS("{key: username, path: ./}"), SV_PLAN_E_PATH, "is a directory" },
	/* a file that is another's parent */
	{ ITEMS("{key: username, path: a}, {key: password, path: a/b}"), SV_PLAN_E_CLASH,
	  "path \"a\" is wanted as a file but holds \"a/b\": is a directory" },
	{ ITEMS("{key: password, path: a/b/c}, {key: username, path: a}"), SV_PLAN_E_CLASH,
	  "path \"a\"" },
	{ ITEMS("{key: username, path: a}, {key: password, path: a-b}, {key: password, path: "
		"a/b}"),
	  SV_PLAN_E_CLASH, "path \"a\"" }, /* '-' sorts before '/' */
	{ ITEMS("{key: username, path: a/b}, {key: password, path: a/b.c}, {key: password, path: "
		"a/b/d}"),
	  SV_PLAN_E_CLASH, "path \"a/b\"" },
	{ ITEMS("{key: username, path: a}, {key: password, path: ab/c}, {key: password, path: "
		"a.d}"),
	  0, "a:0644 a.d:0644 ab/c:0644" },
	/* a directory's entries stand together, right behind it */
	{ ITEMS("{key: username, path: a/b}, {key: username, path: a-x}, {key: username, path: "
		"a.x}, {key: username, path: a/a}"),
	  0, "a/a:0644 a/b:0644 a-x:0644 a.x:0644" },
	/* R50-R52 */
	{ "secret: {secretName: nope}", SV_PLAN_E_NO_SECRET, "secret \"nope\" not found" },
	{ "secret: {secretName: nope, optional: true}", 0, "" },
	{ "secret: {secretName: nope, optional: true, items: [{key: a, path: b}]}", 0, "" },
	{ ITEMS("{key: token, path: t}, {key: more, path: m}"), SV_PLAN_E_NO_KEY,
	  "references non-existent secret key: token" },
	{ S(", optional: true, items: [{key: token, path: t}, {key: username, path: u}]"), 0,
	  "u:0644" },
	/* a key that is not there hides a bad path, as the kubelet's order has it */
	{ S(", optional: true, items: [{key: token, path: .}]"), 0, "" },
	/* R47 */
	{ "projected: {}", 0, "" },
	{ PROJ("{}, ~"), 0, "" },
	{ PROJ("{secret: {name: s}}, {secret: {name: t}}"), 0,
	  "password:0644 token:0644 username:0644" },
	{ "projected: {defaultMode: 0440, sources: [{secret: {name: s, items: [{key: username, "
	  "path: a/u, mode: 0400}]}}, {secret: {name: t}}]}",
	  0, "a/u:0400 token:0440 username:0440" },
	{ PROJ("{secret: {name: s}}, {secret: {name: nope, optional: true}}"), 0,
	  "password:0644 username:0644" },
	{ PROJ("{secret: {name: s, items: [{key: username, path: token}]}}, {secret: {name: t}}, "
	       "{secret: {name: s, optional: true, items: [{key: nope, path: ./token}]}}"),
	  0, "token:0644 username:0644" },
	{ PROJ("{secret: {name: s}}, {secret: {name: t, items: [{key: token, path: "
	       "username/x}]}}"),
	  SV_PLAN_E_CLASH, "path \"username\"" },
	/* R55: every failing source, the first decides */
	{ PROJ("{secret: {name: nope}}, {secret: {name: s}}"), SV_PLAN_E_NO_SECRET,
	  "secret \"nope\" not found" },
	{ PROJ("{secret: {name: nope}}, {secret: {name: s, items: [{key: k, path: p}]}}"),
	  SV_PLAN_E_NO_SECRET,
	  "[secret \"nope\" not found, references non-existent secret key: k]" },
	{ PROJ("{secret: {name: s, items: [{key: k, path: p}]}}, {secret: {name: nope}}"),
	  SV_PLAN_E_NO_KEY, "[references non-existent secret key: k, secret \"nope\" not found]" },
	/* each text once */
	{ PROJ("{secret: {name: nope}}, {secret: {name: nope}}"), SV_PLAN_E_NO_SECRET,
	  "secret \"nope\" not found" },
	{ PROJ("{secret: {name: nope}}, {secret: {name: s, items: [{key: k, path: p}]}}, "
	       "{secret: {name: nope}}"),
	  SV_PLAN_E_NO_SECRET,
	  "[secret \"nope\" not found, references non-existent secret key: k]" },
	/* R17 */
	{ PROJ("{secret: {name: s}}, {configMap: {name: m}}"), SV_PLAN_E_UNSUPPORTED,
	  "\"configMap\"" },
	{ PROJ("{serviceAccountToken: {path: t}}"), SV_PLAN_E_UNSUPPORTED,
	  "\"serviceAccountToken\"" },
	{ PROJ("{secret: {name: nope}}, {downwardAPI: {}}"), SV_PLAN_E_UNSUPPORTED,
	  "\"downwardAPI\"" },
};

START_TEST(projects_as_kubernetes_documents)
{
	sv_autopod struct sv_pod *p = pod(cases[_i].volume);
	sv_autosecret struct sv_secret *s = t_secret("s", "username=my-app password=39528$vdg7Jb");
	sv_autosecret struct sv_secret *t = t_secret("t", "username=other token=t");
	struct sv_secret *secrets[] = { s, t, NULL };
	sv_autoplan struct sv_plan *plan = NULL;
	sv_autofree char *files = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, &err),
			 cases[_i].want);
	ck_assert_int_eq(plan != NULL, cases[_i].want == 0); /* a refusal leaves ret alone */
	if (plan) {
		files = t_files(plan);
		ck_assert_str_eq(files, cases[_i].files);
	} else if (cases[_i].want == SV_PLAN_E_NO_SECRET || cases[_i].want == SV_PLAN_E_NO_KEY) {
		ck_assert_str_eq(err.msg, cases[_i].files);
	} else {
		t_contains(err.msg, cases[_i].files);
	}
}
END_TEST

START_TEST(files_have_the_values_of_their_keys)
{
	sv_autopod struct sv_pod *p =
		pod(PROJ("{secret: {name: s, items: [{key: username, path: a/u}, {key: username, "
			 "path: username}]}}, {secret: {name: t}}"));
	sv_autosecret struct sv_secret *s = t_secret("s", "username=my-app password=x");
	sv_autosecret struct sv_secret *t = t_secret("t", "username=later token=");
	struct sv_secret *secrets[] = { s, t, NULL };
	sv_autoplan struct sv_plan *plan = t_plan(p, "v", secrets);

	ck_assert_uint_eq(plan->n_files, 3);
	ck_assert_str_eq(plan->files[0].path, "a/u");
	ck_assert_str_eq(plan->files[0].key, "username");
	ck_assert_str_eq(plan->files[0].secret, "s");
	ck_assert_uint_eq(plan->files[0].size, 6);
	ck_assert_mem_eq(plan->files[0].value->ptr, "my-app", 6);
	ck_assert_str_eq(plan->files[1].path, "token");
	ck_assert_uint_eq(plan->files[1].size, 0);
	ck_assert_str_eq(plan->files[2].secret, "t"); /* later sources replace */
	ck_assert_mem_eq(plan->files[2].value->ptr, "later", 5);
	ck_assert_uint_eq(plan->size, 11);
	ck_assert_uint_eq(plan->n_secrets, 2);
	ck_assert_str_eq(plan->secrets[0].name, "s");
	ck_assert(plan->secrets[0].found);
	ck_assert_int_eq(s->refs, 2);
	sv_plan_forget(plan); /* the values go, the rest stays for the report */
	ck_assert_int_eq(s->refs, 1);
	ck_assert_ptr_null(plan->files[0].value);
	ck_assert_uint_eq(plan->files[0].size, 6);
	ck_assert_ptr_null(plan->secrets[0].secret);
	ck_assert(plan->secrets[0].found);
	sv_plan_forget(plan);
}
END_TEST

START_TEST(a_missing_optional_secret_is_reported_as_such)
{
	sv_autopod struct sv_pod *p = pod("secret: {secretName: nope, optional: true}");
	sv_autoplan struct sv_plan *plan = t_plan(p, "v", NULL);

	ck_assert_uint_eq(plan->n_files, 0);
	ck_assert_uint_eq(plan->n_secrets, 1);
	ck_assert_str_eq(plan->secrets[0].name, "nope");
	ck_assert(plan->secrets[0].optional);
	ck_assert(!plan->secrets[0].found);
}
END_TEST

/* R36: what is longer than a directory or a path can take. */
static const struct {
	size_t element, elements;
	int want;
	const char *says;
} lengths[] = {
	{ 255, 1, 0, NULL },
	{ 256, 1, SV_PLAN_E_PATH,
	  "invalid path: filenames must be less than or equal to 255 characters" },
	{ 99, 40, 0, NULL }, /* 3999 bytes */
	{ 100, 40, SV_PLAN_E_PATH, "4000 characters once cleaned" },
	{ 240, 18, SV_PLAN_E_PATH, "invalid path: must be less than or equal to 4096 characters" },
};

START_TEST(paths_that_no_file_system_takes_are_refused)
{
	sv_autofree char *element = t_repeat('a', lengths[_i].element);
	sv_autobuf struct sv_buf path = { 0 };
	sv_autosecret struct sv_secret *s = t_secret("s", "k=v");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autoplan struct sv_plan *plan = NULL;
	sv_autopod struct sv_pod *p = NULL;
	sv_autofree char *volume = NULL;
	struct sv_err err = { "" };
	size_t i;

	for (i = 0; i < lengths[_i].elements; i++)
		sv_buf_printf(&path, "%s%s", i ? "/" : "", element);
	volume = sv_asprintf(ITEMS("{key: k, path: %s}"), path.ptr);
	p = pod(volume);
	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, &err),
			 lengths[_i].want);
	if (lengths[_i].says)
		t_contains(err.msg, lengths[_i].says);
}
END_TEST

START_TEST(a_volume_has_a_size_limit)
{
	sv_autopod struct sv_pod *p =
		pod(ITEMS("{key: a, path: a}, {key: a, path: b}, {key: b, path: c}"));
	sv_autosecret struct sv_secret *s = t_secret("s", "a=12345 b=1");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autoplan struct sv_plan *plan = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), 10, t_lookup, secrets, &plan, &err),
			 SV_PLAN_E_TOO_LARGE);
	ck_assert_str_eq(err.msg, "volume of 11 bytes is over the limit of 10 bytes");
	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), 11, t_lookup, secrets, &plan, &err), 0);
}
END_TEST

START_TEST(a_volume_has_at_most_so_many_files)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_autosecret struct sv_secret *s = t_secret("s", "a=");
	struct sv_secret *secrets[] = { s, NULL };
	int extra, i;

	for (extra = 0; extra < 2; extra++) {
		sv_autoplan struct sv_plan *plan = NULL;
		sv_autopod struct sv_pod *p = NULL;
		struct sv_err err = { "" };
		int r;

		sv_buf_done(&b);
		b = (struct sv_buf){ 0 };
		sv_buf_puts(&b, "projected: {sources: [");
		for (i = 0; i < SV_VOLUME_FILES_MAX + extra; i++) {
			if (i % 10000 == 0)
				sv_buf_printf(&b, "%s{secret: {name: s, items: [",
					      i ? "]}}, " : "");
			sv_buf_printf(&b, "%s{key: a, path: f%d}", i % 10000 ? ", " : "", i);
		}
		sv_buf_puts(&b, "]}}]}");
		p = pod(b.ptr);
		r = sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, &err);
		ck_assert_int_eq(r, extra ? SV_PLAN_E_TOO_LARGE : 0);
		if (extra)
			ck_assert_str_eq(err.msg,
					 "volume of 20001 files is over the limit of 20000 files");
	}
}
END_TEST

/* Nineteen times 1,000 directories and what is in them, which may be a mountpoint; the rest is flat. */
START_TEST(a_volume_has_so_many_files_and_directories)
{
	sv_autosecret struct sv_secret *secret = t_secret("s", "a=");
	struct sv_secret *secrets[] = { secret, NULL };
	sv_autobuf struct sv_buf deep = { 0 };
	int run, i;

	for (i = 0; i < 999; i++)
		sv_buf_puts(&deep, "/d");
	for (run = 0; run < 4; run++) {
		bool nested = run & 1, over = run & 2;
		sv_autobuf struct sv_buf items = { 0 };
		sv_autofree char *mounts = NULL, *volume = NULL;
		sv_autoplan struct sv_plan *plan = NULL;
		sv_autopod struct sv_pod *p = NULL;
		struct sv_err err = { "" };
		int r;

		for (i = nested; i < 19; i++)
			sv_buf_printf(&items, "{key: a, path: i%d%s/f}, ", i, deep.ptr);
		sv_buf_printf(&items, "{key: a, path: i1%s/g}, ", deep.ptr); /* beside another */
		for (i = 0; i < 980 + over; i++)
			sv_buf_printf(&items, "{key: a, path: f%d}, ", i);
		volume = sv_asprintf(ITEMS("%s"), items.ptr);
		mounts = sv_asprintf("{name: v, mountPath: /v}, {name: w, mountPath: /v%s%s/x}",
				     nested ? "/m" : "2", deep.ptr);
		p = pod_with(volume, mounts, "");
		r = sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, &err);
		ck_assert_msg(r == (over ? SV_PLAN_E_TOO_LARGE : 0), "run %d: %d %s", run, r,
			      err.msg);
		if (over)
			ck_assert_str_eq(err.msg,
					 nested ? "volume of 1000 files and 19001 directories "
						  "is over the limit of 20000" :
						  "volume of 1001 files and 19000 directories "
						  "is over the limit of 20000");
	}
}
END_TEST

/* Each file takes a page at least, however little is in it. */
START_TEST(many_small_files_need_more_memory_than_their_bytes)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_autosecret struct sv_secret *s = t_secret("s", "a=x");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autopod struct sv_pod *p = NULL;
	struct sv_plan *plan = NULL;
	struct sv_err err = { "" };
	int i;

	sv_buf_puts(&b, "secret: {secretName: s, items: [");
	for (i = 0; i < 2000; i++)
		sv_buf_printf(&b, "{key: a, path: f%d}, ", i);
	sv_buf_puts(&b, "]}");
	p = pod(b.ptr);
	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), 4096, t_lookup, secrets, &plan, &err),
			 SV_PLAN_E_TOO_LARGE);
	t_contains(err.msg, "volume of 2000 files needs ");
	t_contains(err.msg, "too much for a limit of 4096 bytes");
	ck_assert_ptr_null(plan);
}
END_TEST

/* Those that the links of such names take are there once, for two generations. */
START_TEST(long_names_need_memory_for_their_links)
{
	sv_autofree char *shorter = t_repeat('a', 120), *longer = t_repeat('b', 121);
	sv_autosecret struct sv_secret *s = t_secret("s", "k=x");
	struct sv_secret *secrets[] = { s, NULL };
	const char *names[] = { shorter, longer };
	int i;

	for (i = 0; i < 2; i++) {
		sv_autofree char *volume = sv_asprintf(
			ITEMS("{key: k, path: %s/x}, {key: k, path: %s/y}"), names[i], names[i]);
		sv_autopod struct sv_pod *p = pod(volume);
		sv_autoplan struct sv_plan *plan = t_plan(p, "v", secrets);

		ck_assert_uint_eq(plan->footprint,
				  (size_t)(2 * SV_PLAN_PAGE + i * SV_PLAN_PAGE / 2));
	}
}
END_TEST

/* R44, R45 */
static const struct {
	const char *security;
	const char *mode;
	mode_t want, root, dir;
	int64_t group;
} groups[] = {
	{ "", "0644", 0644, 01777, 0755, -1 },
	{ "", "0000", 0000, 01777, 0755, -1 },
	{ "fsGroup: 0", "0000", 0440, 03777, 02755, 0 }, /* 0 counts as set */
	{ "fsGroup: 1234", "0644", 0644, 03777, 02755, 1234 },
	{ "fsGroup: 1234", "0400", 0440, 03777, 02755, 1234 },
	{ "fsGroup: 1234", "0600", 0640, 03777, 02755, 1234 },
	{ "fsGroup: 1234", "0200", 0640, 03777, 02755, 1234 },
	{ "fsGroup: 1234", "0777", 0777, 03777, 02755, 1234 },
	{ "runAsUser: 1000, runAsGroup: 1000", "0400", 0400, 01777, 0755, -1 }, /* R46 */
};

START_TEST(a_group_only_adds_bits)
{
	sv_autofree char *volume = sv_asprintf(S(", defaultMode: %s"), groups[_i].mode);
	sv_autopod struct sv_pod *p =
		pod_with(volume, "{name: v, mountPath: /v}", groups[_i].security);
	sv_autosecret struct sv_secret *s = t_secret("s", "k=v");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autoplan struct sv_plan *plan = t_plan(p, "v", secrets);

	ck_assert_uint_eq(plan->files[0].mode, groups[_i].want);
	ck_assert_uint_eq(sv_plan_root_mode(plan), groups[_i].root);
	ck_assert_uint_eq(sv_plan_dir_mode(plan), groups[_i].dir);
	ck_assert_int_eq(plan->fs_group, groups[_i].group);
}
END_TEST

/* R49 */
static const struct {
	const char *mounts;
	const char *dirs; /* blanks between; NULL: refused */
} nests[] = {
	{ "{name: v, mountPath: /v}", "" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /w}", "" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/n}", "n" },
	{ "{name: w, mountPath: /v/n}, {name: v, mountPath: /v}", "n" },
	{ "{name: v, mountPath: /v/}, {name: w, mountPath: /v//a/./b/}", "a/b" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /vv}, {name: w, mountPath: /v-x}", "" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/a}, {name: w, mountPath: /v/a/b}",
	  "a" }, /* below another nested mount */
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/a}, {name: w, mountPath: /v/a-b}, "
	  "{name: w, mountPath: /v/a/b}",
	  "a a-b" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/b}, {name: w, mountPath: /v/a}",
	  "a b" },
	{ "{name: v, mountPath: v}, {name: w, mountPath: v/n}", "n" }, /* relative is absolute */
	{ "{name: v, mountPath: /}, {name: w, mountPath: /x/y}", "x/y" },
	{ "{name: v, mountPath: /v}, {name: v, mountPath: /v/n}", "n" },
	{ "{name: v, mountPath: /a}, {name: v, mountPath: /b}, {name: w, mountPath: /a/x}, {name: "
	  "w, mountPath: /b/x}, {name: w, mountPath: /b/z}",
	  "x z" },
	{ "{name: w, mountPath: /w}, {name: v, mountPath: /w/v}", "" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/x/../n}", "n" },
	{ "{name: v, mountPath: /../v}, {name: w, mountPath: /v/n}", "n" },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/..n}", NULL },
	{ "{name: v, mountPath: /v}, {name: w, mountPath: /v/..data/n}", NULL },
};

START_TEST(mounts_below_the_volume_get_a_directory)
{
	sv_autopod struct sv_pod *p = pod_with(S(""), nests[_i].mounts, "");
	sv_autosecret struct sv_secret *s = t_secret("s", "k=v");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autoplan struct sv_plan *plan = NULL;
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_err err = { "" };
	size_t i;
	int r = sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, &err);

	if (!nests[_i].dirs) {
		ck_assert_int_eq(r, SV_PLAN_E_PATH);
		t_contains(err.msg, "must not start with '..'");
		return;
	}
	ck_assert_int_eq(r, 0);
	sv_buf_puts(&b, "");
	for (i = 0; i < plan->n_dirs; i++)
		sv_buf_printf(&b, "%s%s", i ? " " : "", plan->dirs[i]);
	ck_assert_str_eq(b.ptr, nests[_i].dirs);
}
END_TEST

START_TEST(directories_of_several_containers_are_made_once)
{
	sv_autopod struct sv_pod *p = t_pod_yaml(
		"metadata: {name: p}\n"
		"spec:\n"
		"  initContainers:\n"
		"  - {name: a, image: i, volumeMounts: [{name: v, mountPath: /x}, {name: w, mountPath: "
		"/x/n}]}\n"
		"  containers:\n"
		"  - {name: b, image: i, volumeMounts: [{name: v, mountPath: /y}, {name: w, mountPath: "
		"/y/n/m}]}\n"
		"  - {name: c, image: i, volumeMounts: [{name: v, mountPath: /z}, {name: w, mountPath: "
		"/z/n}]}\n"
		"  - {name: d, image: i, volumeMounts: [{name: w, mountPath: /z/q}]}\n"
		"  volumes: [{name: v, secret: {secretName: s, optional: true}}, {name: w}]\n");
	sv_autoplan struct sv_plan *plan = t_plan(p, "v", NULL);

	ck_assert_uint_eq(plan->n_dirs, 2);
	ck_assert_str_eq(plan->dirs[0], "n");
	ck_assert_str_eq(plan->dirs[1], "n/m"); /* parents first */
}
END_TEST

/* What sources say other than "it is not there" is not forgiven by optional (R50). */
static int unwilling(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		     struct sv_err *err)
{
	(void)ns;
	(void)ret;
	return sv_err_set(err, *(int *)arg, "secret \"%s\" is not for you", name);
}

START_TEST(only_absence_is_forgiven)
{
	static const int answers[] = { SV_PLAN_E_PENDING, SV_PLAN_E_FORBIDDEN,
				       SV_PLAN_E_UNAVAILABLE };
	sv_autopod struct sv_pod *p = pod(S(", optional: true"));
	struct sv_plan *plan = NULL;
	struct sv_err err = { "" };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(answers); i++) {
		int answer = answers[i];

		ck_assert_int_eq(
			sv_plan_make(p, t_volume(p, "v"), LIMIT, unwilling, &answer, &plan, &err),
			answer);
		ck_assert_str_eq(err.msg, "secret \"s\" is not for you");
	}
	ck_assert_ptr_null(plan);
}
END_TEST

static int explains(void *arg, const char *ns, const char *name, struct sv_secret **ret,
		    struct sv_err *err)
{
	(void)arg;
	(void)ns;
	(void)name;
	(void)ret;
	sv_err_set(err, 0, "it is invalid");
	return SV_PLAN_E_NO_SECRET;
}

START_TEST(an_absent_secret_may_have_a_reason)
{
	sv_autopod struct sv_pod *p = pod(S("")), *optional = pod(S(", optional: true"));
	sv_autoplan struct sv_plan *plan = NULL;
	struct sv_err err = { "" };

	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), LIMIT, explains, NULL, &plan, &err),
			 SV_PLAN_E_NO_SECRET);
	ck_assert_str_eq(err.msg, "secret \"s\" not found: it is invalid");
	ck_assert_int_eq(
		sv_plan_make(optional, t_volume(optional, "v"), LIMIT, explains, NULL, &plan, NULL),
		0);
}
END_TEST

START_TEST(secrets_of_other_namespaces_are_not_seen)
{
	sv_autopod struct sv_pod *p = pod(S(""));
	sv_autosecret struct sv_secret *s = t_secret("other/s", "k=v");
	struct sv_secret *secrets[] = { s, NULL };
	struct sv_plan *plan = NULL;

	ck_assert_int_eq(sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, NULL),
			 SV_PLAN_E_NO_SECRET);
	sv_plan_free(NULL);
}
END_TEST

static const struct {
	const char *volumes, *keys;
	bool same;
} others[] = {
	{ "v=s", "a=1 b=2", true },
	{ "v=s w=s", "a=1 b=2", true },
	{ "v=s", "b=2 a=1", true },
	{ "v=s", "a=1 b=3", false },
	{ "v=s", "a=1", false },
	{ "v=s", "a=1 b=2 c=", false },
	{ "v=s?", "a=1 b=2", true },
	{ "v=t", "a=1 b=2", false },
	{ "v=s !fsGroup=7", "a=1 b=2", false },
};

START_TEST(plans_are_compared_without_their_values)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1 b=2");
	sv_autosecret struct sv_secret *x = t_secret("s", others[_i].keys);
	sv_autosecret struct sv_secret *y = t_secret("t", others[_i].keys);
	struct sv_secret *before[] = { s, NULL }, *after[] = { x, y, NULL };
	sv_autopod struct sv_pod *p = t_pod("p", "v=s"), *q = t_pod("p", others[_i].volumes);
	sv_autoplan struct sv_plan *a = t_plan(p, "v", before), *b = NULL;

	sv_plan_forget(a);
	sv_secret_forget(x);
	sv_secret_forget(y);
	b = t_plan(q, "v", after);
	ck_assert_int_eq(sv_plan_same(a, b), others[_i].same);
	ck_assert_int_eq(sv_plan_same(b, a), others[_i].same);
	ck_assert(sv_plan_same(b, b));
}
END_TEST

START_TEST(plans_differ_in_a_nested_mount_point)
{
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autopod struct sv_pod *p =
		pod_with(S(""), "{name: v, mountPath: /v}, {name: w, mountPath: /v/x}", "");
	sv_autopod struct sv_pod *q =
		pod_with(S(""), "{name: v, mountPath: /v}, {name: w, mountPath: /v/y}", "");
	sv_autoplan struct sv_plan *a = t_plan(p, "v", secrets), *b = t_plan(q, "v", secrets);

	ck_assert(!sv_plan_same(a, b));
	ck_assert(sv_plan_same(a, a));
}
END_TEST

START_TEST(a_container_without_the_volume_adds_no_directory)
{
	sv_autopod struct sv_pod *p = t_pod_yaml(
		"metadata: {name: p}\nspec:\n"
		"  volumes: [{name: v, secret: {secretName: s}}, {name: w}]\n"
		"  containers:\n"
		"  - {name: a, image: i, volumeMounts: [{name: v, mountPath: /v}]}\n"
		"  - {name: b, image: i, volumeMounts: [{name: w, mountPath: /v}, {name: w, "
		"mountPath: /v/n}]}\n");
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autoplan struct sv_plan *plan = t_plan(p, "v", secrets);

	ck_assert_uint_eq(plan->n_dirs, 0);
}
END_TEST

/* More than a path in a volume may have, though a path may have as much. */
START_TEST(a_nested_mount_point_is_no_longer_than_a_path_in_a_volume)
{
	sv_autofree char *name = t_repeat('d', 250), *mounts = NULL;
	sv_autobuf struct sv_buf path = { 0 };
	sv_autosecret struct sv_secret *s = t_secret("s", "a=1");
	struct sv_secret *secrets[] = { s, NULL };
	int too_long;

	while (path.len < SV_PATH_USABLE_MAX - 252)
		sv_buf_printf(&path, "/%s", name);
	for (too_long = 0; too_long < 2; too_long++) {
		sv_autoplan struct sv_plan *plan = NULL;
		sv_autopod struct sv_pod *p = NULL;
		struct sv_err err = { "" };
		int r;

		mounts = sv_asprintf("{name: v, mountPath: /v}, {name: w, mountPath: /v%s}",
				     path.ptr);
		p = pod_with(S(""), mounts, "");
		r = sv_plan_make(p, t_volume(p, "v"), LIMIT, t_lookup, secrets, &plan, &err);
		ck_assert_int_eq(r, too_long ? SV_PLAN_E_PATH : 0);
		ck_assert_str_eq(err.msg,
				 too_long ? "invalid path: mount point of container \"c\" below "
					    "volume \"v\" is too long" :
					    "");
		free(SV_TAKE(mounts));
		sv_buf_printf(&path, "/%s", name);
	}
}
END_TEST

START_TEST(a_hollow_secret_makes_files_without_values)
{
	sv_autopod struct sv_pod *p = pod(S(""));
	sv_autosecret struct sv_secret *s = t_secret("s", "k=12");
	struct sv_secret *secrets[] = { s, NULL };
	sv_autoplan struct sv_plan *plan = NULL;

	sv_secret_forget(s);
	plan = t_plan(p, "v", secrets);
	ck_assert_uint_eq(plan->n_files, 1);
	ck_assert_uint_eq(plan->files[0].size, 2);
	ck_assert_uint_eq(plan->size, 2);
	ck_assert_ptr_null(plan->files[0].value);
	ck_assert_ptr_null(plan->secrets[0].data);
}
END_TEST

T_SUITE(plan)
{
	T_EACH(projects_as_kubernetes_documents, cases);
	T_TEST(files_have_the_values_of_their_keys);
	T_TEST(a_missing_optional_secret_is_reported_as_such);
	T_EACH(paths_that_no_file_system_takes_are_refused, lengths);
	T_TEST(a_volume_has_a_size_limit);
	T_TEST(a_volume_has_at_most_so_many_files);
	T_TEST(a_volume_has_so_many_files_and_directories);
	T_TEST(many_small_files_need_more_memory_than_their_bytes);
	T_TEST(long_names_need_memory_for_their_links);
	T_EACH(a_group_only_adds_bits, groups);
	T_EACH(mounts_below_the_volume_get_a_directory, nests);
	T_TEST(directories_of_several_containers_are_made_once);
	T_TEST(only_absence_is_forgiven);
	T_TEST(an_absent_secret_may_have_a_reason);
	T_TEST(secrets_of_other_namespaces_are_not_seen);
	T_EACH(plans_are_compared_without_their_values, others);
	T_TEST(plans_differ_in_a_nested_mount_point);
	T_TEST(a_container_without_the_volume_adds_no_directory);
	T_TEST(a_nested_mount_point_is_no_longer_than_a_path_in_a_volume);
	T_TEST(a_hollow_secret_makes_files_without_values);
}
