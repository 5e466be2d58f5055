/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "diagnose.h"

#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "likeness.h"

#define PROBLEMS_SHOWN 5
#define WORDS_SHOWN 12 /* of the names that exist */

bool sv_same(struct json_object *a, const char *ka, struct json_object *b, const char *kb)
{
	return strcmp(sv_str(a, ka), sv_str(b, kb)) == 0;
}

struct json_object *sv_about_secret(const struct sv_about *x, struct json_object *v,
				    const char *name)
{
	size_t i;

	for (i = 0; i < sv_count(x->secrets, "items"); i++) {
		struct json_object *s = sv_element(x->secrets, "items", i);

		if (sv_same(s, "namespace", v, "namespace") && sv_same(s, "source", v, "source") &&
		    strcmp(sv_str(s, "name"), name) == 0)
			return s;
	}
	return NULL;
}

/* ---- what is wrong, and what to do ------------------------------------------------------ */

/* One line under a heading that stands above the first. */
static void finding(size_t *n, const char *label, const char *text)
{
	sv_autofree char *shown = sv_printable(text);

	if ((*n)++ == 0)
		printf("%s\n", label);
	printf("  %s\n", shown);
}

/* Names of the elements of a list, and which of them is like a word. Where @where is not NULL, only
 * those of its namespace and source count. */
static void add_names(struct sv_buf *b, struct sv_likeness *like, struct json_object *list,
		      const char *key, struct json_object *where)
{
	size_t i, n = 0;

	for (i = 0; i < sv_count(list, key); i++) {
		struct json_object *o = sv_element(list, key, i);

		if (where && (!sv_same(o, "namespace", where, "namespace") ||
			      !sv_same(o, "source", where, "source")))
			continue;
		sv_likeness_try(like, sv_str(o, "name"));
		if (n++ < WORDS_SHOWN)
			sv_buf_printf(b, "%s%s", n > 1 ? ", " : "", sv_str(o, "name"));
	}
	if (n > WORDS_SHOWN)
		sv_buf_printf(b, " and %zu more", n - WORDS_SHOWN);
	if (n == 0)
		sv_buf_puts(b, "none");
}

/* Another namespace that has a Secret of this name, or NULL. */
static const char *other_namespace(const struct sv_about *x, struct json_object *v,
				   const char *name)
{
	size_t i;

	for (i = 0; i < sv_count(x->secrets, "items"); i++) {
		struct json_object *s = sv_element(x->secrets, "items", i);

		if (strcmp(sv_str(s, "name"), name) == 0 &&
		    !sv_same(s, "namespace", v, "namespace"))
			return sv_str(s, "namespace");
	}
	return NULL;
}

struct json_object *sv_about_problem(const struct sv_about *x, const char *kind, const char *ns,
				     const char *name)
{
	size_t i;

	for (i = 0; i < sv_count(x->status, "problems"); i++) {
		struct json_object *p = sv_element(x->status, "problems", i);

		if (!sv_problem_is_warning(p) && strcmp(sv_str(p, "kind"), kind) == 0 &&
		    strcmp(sv_str(p, "namespace"), ns) == 0 && strcmp(sv_str(p, "name"), name) == 0)
			return p;
	}
	return NULL;
}

/* A file or directory that cannot be read at all: nobody knows what it would have said. */
static struct json_object *find_nameless_problem(const struct sv_about *x, size_t *from)
{
	for (; *from < sv_count(x->status, "problems"); (*from)++) {
		struct json_object *p = sv_element(x->status, "problems", *from);

		if (!sv_problem_is_warning(p) && !*sv_str(p, "name")) {
			(*from)++;
			return p;
		}
	}
	return NULL;
}

static void show_problem(size_t *n, struct json_object *p)
{
	sv_autofree char *text = p ? sv_problem_text(p) : NULL;

	if (p && *n < PROBLEMS_SHOWN)
		finding(n, "Manifests:", text);
	else if (p)
		(*n)++;
}

void sv_diagnose_manifests(const struct sv_about *x, struct json_object *object, const char *pod)
{
	const char *ns = sv_str(object, "namespace");
	struct json_object *p;
	size_t n = 0, i;

	show_problem(&n, sv_about_problem(x, "Pod", ns, pod));
	for (i = 0; i < sv_count(object, "secrets"); i++)
		show_problem(&n,
			     sv_about_problem(x, "Secret", ns,
					      sv_str(sv_element(object, "secrets", i), "name")));
	i = 0;
	while ((p = find_nameless_problem(x, &i)))
		show_problem(&n, p);
	if (n > PROBLEMS_SHOWN)
		printf("  … and %zu more: secretvolctl status\n", n - PROBLEMS_SHOWN);
}

static void show_missing_secret(size_t *n, const struct sv_about *x, struct json_object *v,
				struct json_object *secret)
{
	const char *name = sv_str(secret, "name"), *ns = sv_str(v, "namespace");
	const char *other = other_namespace(x, v, name);
	struct sv_likeness like = { .word = name };
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_printf(&b, "there is no Secret \"%s\"", name);
	if (sv_bool(secret, "optional"))
		sv_buf_puts(&b, " (optional: its files are left out)");
	if (sv_about_problem(x, "Secret", ns, name)) {
		sv_buf_puts(&b, ": the one in the manifests is refused");
	} else {
		sv_buf_printf(&b, "; namespace %s has: ", ns);
		add_names(&b, &like, x->secrets, "items", v);
		if (like.best)
			sv_buf_printf(&b, "; did you mean \"%s\"?", like.best);
		if (other)
			sv_buf_printf(&b, "; there is one in namespace %s, which is not this pod's",
				      other);
	}
	if (b.failed)
		sv_no_memory();
	finding(n, "Findings:", b.ptr);
}

static void show_missing_key(size_t *n, const struct sv_about *x, struct json_object *v,
			     struct json_object *item)
{
	struct json_object *secret = sv_about_secret(x, v, sv_str(item, "secret"));
	struct sv_likeness like = { .word = sv_str(item, "key") };
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_printf(&b, "Secret \"%s\" has no key \"%s\"", sv_str(item, "secret"), like.word);
	if (strcmp(sv_str(item, "path"), like.word) != 0)
		sv_buf_printf(&b, " (for the file %s)", sv_str(item, "path"));
	if (sv_bool(item, "optional"))
		sv_buf_puts(&b, " (optional: the file is left out)");
	sv_buf_puts(&b, "; it has: ");
	add_names(&b, &like, secret, "keys", NULL);
	if (like.best)
		sv_buf_printf(&b, "; did you mean \"%s\"?", like.best);
	if (b.failed)
		sv_no_memory();
	finding(n, "Findings:", b.ptr);
}

void sv_diagnose_findings(const struct sv_about *x, struct json_object *v)
{
	size_t n = 0, i;

	for (i = 0; i < sv_count(v, "secrets"); i++) {
		struct json_object *s = sv_element(v, "secrets", i);

		if (!sv_bool(s, "found"))
			show_missing_secret(&n, x, v, s);
	}
	for (i = 0; i < sv_count(v, "items"); i++) {
		struct json_object *item = sv_element(v, "items", i);

		if (!sv_bool(item, "found") && sv_about_secret(x, v, sv_str(item, "secret")))
			show_missing_key(&n, x, v, item);
	}
	for (i = 0; i < sv_count(v, "keptSecrets"); i++) {
		sv_autofree char *text =
			sv_text("Secret \"%s\" is immutable and was replaced or deleted: "
				"the volume keeps the one that it was published from",
				json_object_get_string(sv_element(v, "keptSecrets", i)));

		finding(&n, "Findings:", text);
	}
	for (i = 0; i < sv_count(v, "mounts"); i++) {
		struct json_object *m = sv_element(v, "mounts", i);
		sv_autofree char *text = sv_text(
			"container %s mounts a part (subPath): it keeps what was there when it "
			"started, whatever changes",
			sv_str(m, "container"));

		if (*sv_str(m, "subPath") || *sv_str(m, "subPathExpr"))
			finding(&n, "Findings:", text);
	}
}

/* ---- the next step ---------------------------------------------------------------------- */

static void advise_key(struct sv_buf *b, const struct sv_about *x, struct json_object *v)
{
	size_t i, k;

	for (i = 0; i < sv_count(v, "items"); i++) {
		struct json_object *item = sv_element(v, "items", i);
		struct sv_likeness like = { .word = sv_str(item, "key") };
		struct json_object *secret = sv_about_secret(x, v, sv_str(item, "secret"));

		if (sv_bool(item, "found") || sv_bool(item, "optional") || !secret)
			continue;
		for (k = 0; k < sv_count(secret, "keys"); k++)
			sv_likeness_try(&like, sv_str(sv_element(secret, "keys", k), "name"));
		if (like.best)
			sv_buf_printf(b, "change the item's key to \"%s\" in pod %s, or ",
				      like.best, sv_str(v, "pod"));
		sv_buf_printf(b, "add key \"%s\" to Secret %s", like.word, sv_str(secret, "name"));
		return;
	}
	sv_buf_puts(b, "add the key to the Secret, or take it out of the pod's items");
}

static void advise_check(struct sv_buf *b, struct json_object *problem)
{
	sv_autofree char *next = sv_problem_next(problem);

	sv_buf_printf(b, "mend the manifest: %s", next);
}

static void advise_secret(struct sv_buf *b, const struct sv_about *x, struct json_object *v)
{
	size_t i, k;

	for (i = 0; i < sv_count(v, "secrets"); i++) {
		struct json_object *s = sv_element(v, "secrets", i);
		struct sv_likeness like = { .word = sv_str(s, "name") };
		struct json_object *problem =
			sv_about_problem(x, "Secret", sv_str(v, "namespace"), like.word);

		if (sv_bool(s, "found") || sv_bool(s, "optional"))
			continue;
		if (problem) {
			advise_check(b, problem);
			return;
		}
		for (k = 0; k < sv_count(x->secrets, "items"); k++) {
			struct json_object *o = sv_element(x->secrets, "items", k);

			if (sv_same(o, "namespace", v, "namespace") &&
			    sv_same(o, "source", v, "source"))
				sv_likeness_try(&like, sv_str(o, "name"));
		}
		if (like.best)
			sv_buf_printf(b, "change secretName to \"%s\" in pod %s, or ", like.best,
				      sv_str(v, "pod"));
		sv_buf_printf(b, "add Secret \"%s\" to namespace %s", like.word,
			      sv_str(v, "namespace"));
		return;
	}
	sv_buf_puts(b, "add the Secret");
}

/* What a reason is mended by, where one sentence will do; %s is the volume's path. */
static const struct {
	const char *reason, *advice;
} advices[] = {
	{ "InvalidPath", "correct the path in the pod's items or mounts" },
	{ "PathConflict", "give the items paths of which none is a directory of another" },
	{ "TooLarge", "make the Secret smaller, or raise --volume-size-limit" },
	{ "UnsupportedSource", "take every source but Secrets out of the projected volume" },
	{ "Forbidden", "let the node read the Secret" },
	{ "SourceUnavailable", "see what is wrong with the source: secretvolctl status" },
	{ "SwapNotSafe", "use Linux 6.4 or newer, or --swap-policy=avoid" },
	{ "MountFailed", "mend the node: the daemon's log, free -m and findmnt -T %s say more" },
	{ "WriteFailed", "mend the node: the daemon's log, free -m and findmnt -T %s say more" },
	{ "Busy", "move away what stands at the volume's path: ls -ld %s" },
};

static void advise_reason(struct sv_buf *b, const struct sv_about *x, struct json_object *v)
{
	const char *reason = sv_str(v, "reason");
	size_t i;

	if (strcmp(reason, "KeyNotFound") == 0)
		advise_key(b, x, v);
	else if (strcmp(reason, "SecretNotFound") == 0)
		advise_secret(b, x, v);
	for (i = 0; i < SV_ARRAY_SIZE(advices); i++) {
		const char *advice = advices[i].advice, *mark = strstr(advice, "%s");

		if (strcmp(reason, advices[i].reason) != 0)
			continue;
		if (*sv_str(v, "busySince")) /* nothing stands in the way: it is only slow */
			advice = "see what the node waits for: ps -eLo pid,stat,wchan:32,comm | "
				 "grep secretvold",
			mark = NULL;
		sv_buf_add(b, advice, mark ? (size_t)(mark - advice) : strlen(advice));
		if (mark) {
			sv_advice_word(b, sv_str(v, "path"));
			sv_buf_puts(b, mark + 2);
		}
	}
	if (b->len == 0)
		sv_buf_puts(b, "see the daemon's log");
}

/* A published volume is as wanted, but what is wanted may not be what was written last. */
static void advise_published(struct sv_buf *b, const struct sv_about *x, struct json_object *v)
{
	struct json_object *p =
		sv_about_problem(x, "Pod", sv_str(v, "namespace"), sv_str(v, "pod"));
	size_t i, from = 0;

	for (i = 0; !p && i < sv_count(v, "secrets"); i++)
		p = sv_about_problem(x, "Secret", sv_str(v, "namespace"),
				     sv_str(sv_element(v, "secrets", i), "name"));
	if (p) {
		advise_check(b, p);
		return;
	}
	p = find_nameless_problem(x, &from);
	if (p) {
		sv_buf_puts(b, "if it should be newer, ");
		advise_check(b, p);
	} else if (sv_count(v, "keptSecrets") > 0) {
		sv_buf_puts(b, "make a new pod, or a Secret of another name");
	} else {
		sv_buf_puts(b, "nothing to do");
	}
}

char *sv_diagnose_next_step(const struct sv_about *x, struct json_object *v)
{
	const char *state = sv_str(v, "state");
	struct sv_buf b = { 0 };
	char *text;

	if (strcmp(state, "Published") == 0)
		advise_published(&b, x, v);
	else if (strcmp(state, "Unused") == 0)
		sv_buf_puts(&b, "nothing to do; a volumeMount in a container would have it made");
	else if (strcmp(state, "Pending") == 0)
		sv_buf_puts(&b, "wait for the source to be read: secretvolctl status");
	else if (strcmp(state, "Removing") == 0 && !*sv_str(v, "reason"))
		sv_buf_puts(&b, "wait: it is being taken down");
	else
		advise_reason(&b, x, v);
	text = sv_buf_take(&b);
	if (!text)
		sv_no_memory();
	return text;
}
