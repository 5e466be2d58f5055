/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "target.h"

#include <string.h>

#include "api.h"

static const struct {
	const char *name, *plural, *other[2];
	const char *form; /* of a NAME */
} kinds[SV_N_TARGETS] = {
	[SV_TARGET_VOLUME] = { "volume", "volumes", { "vol", "vols" }, "[NAMESPACE/]POD/VOLUME" },
	[SV_TARGET_POD] = { "pod", "pods", { "po", "po" }, "[NAMESPACE/]POD" },
	[SV_TARGET_SECRET] = { "secret", "secrets", { "secret", "secrets" }, "[NAMESPACE/]SECRET" },
};

const char *sv_target_singular(enum sv_target_kind kind)
{
	return kinds[kind].name;
}

const char *sv_target_plural(enum sv_target_kind kind)
{
	return kinds[kind].plural;
}

static bool is_word(const char *word, const char *text, size_t len)
{
	return strlen(word) == len && strncmp(word, text, len) == 0;
}

static bool find_kind(const char *text, size_t len, enum sv_target_kind last,
		      enum sv_target_kind *ret)
{
	unsigned k;

	for (k = 0; k <= (unsigned)last; k++) {
		if (is_word(kinds[k].name, text, len) || is_word(kinds[k].plural, text, len) ||
		    is_word(kinds[k].other[0], text, len) ||
		    is_word(kinds[k].other[1], text, len)) {
			*ret = (enum sv_target_kind)k;
			return true;
		}
	}
	return false;
}

static char *copy(const char *text, size_t len)
{
	return sv_text("%.*s", (int)len, text);
}

/* Take "NAMESPACE/", if it is there, and "POD/" of a volume off a NAME. */
static int parse_name(struct sv_target *t, const char *name)
{
	size_t len[4], n = 0, want = t->kind == SV_TARGET_VOLUME ? 2 : 1;
	const char *part[4], *p = name;
	bool empty = false;

	for (;;) {
		part[n] = p;
		len[n] = strcspn(p, "/");
		empty = empty || len[n] == 0;
		p += len[n++];
		if (!*p || n == 4)
			break;
		p++;
	}
	if (empty || (n != want && n != want + 1))
		return sv_fail_usage("a %s's name is %s, not '%s'", kinds[t->kind].name,
				     kinds[t->kind].form, name);

	if (n > want) {
		if (sv_options.ns && !is_word(sv_options.ns, part[0], len[0]))
			return sv_fail_usage("'%s' is not in the namespace '%s' of option '-n'",
					     name, sv_options.ns);
		free(t->ns);
		t->ns = copy(part[0], len[0]);
	}
	if (t->kind == SV_TARGET_VOLUME)
		t->pod = copy(part[n - 2], len[n - 2]);
	t->name = copy(part[n - 1], len[n - 1]);
	return 0;
}

int sv_target_parse(int argc, char **argv, enum sv_target_kind last, bool need_name,
		    struct sv_target *ret)
{
	const char *words = last == SV_TARGET_SECRET ? "volumes, pods or secrets" : "volume or pod";
	const char *name = argc > 1 ? argv[1] : NULL, *slash;

	*ret = (struct sv_target){ 0 };
	if (argc == 0)
		return sv_fail_usage("say which kind: %s", words);
	if (argc > 2)
		return sv_fail_usage("too many arguments: '%s'", argv[2]);
	slash = strchrnul(argv[0], '/');
	if (*slash && name)
		return sv_fail_usage("too many arguments: '%s'", name);
	if (*slash)
		name = slash + 1;
	if (!find_kind(argv[0], (size_t)(slash - argv[0]), last, &ret->kind))
		return sv_fail_usage("unknown kind '%.*s': it is %s", (int)(slash - argv[0]),
				     argv[0], words);
	if (!name && need_name)
		return sv_fail_usage("say which %s: %s", kinds[ret->kind].name,
				     kinds[ret->kind].form);
	if (name && sv_options.all_namespaces)
		return sv_fail_usage("one %s cannot be named across all namespaces",
				     kinds[ret->kind].name);
	if (sv_options.ns && !*sv_options.ns)
		return sv_fail_usage("the namespace of option '-n' is empty");
	if (!sv_options.all_namespaces)
		ret->ns = sv_text("%s", sv_options.ns ? sv_options.ns : "default");
	return name ? parse_name(ret, name) : 0;
}

void sv_target_done(struct sv_target *t)
{
	free(t->ns);
	free(t->name);
	free(t->pod);
	*t = (struct sv_target){ 0 };
}

bool sv_target_has(const struct sv_target *t, struct json_object *object)
{
	const char *key = t->kind == SV_TARGET_VOLUME ? "volume" : "name";

	if (t->ns && strcmp(t->ns, sv_str(object, "namespace")) != 0)
		return false;
	if (t->pod && strcmp(t->pod, sv_str(object, "pod")) != 0)
		return false;
	return !t->name || strcmp(t->name, sv_str(object, key)) == 0;
}

char *sv_target_path(const struct sv_target *t, bool watch)
{
	sv_autofree char *ns = NULL, *pod = NULL;
	const char *w = watch ? "watch=1" : "";

	/* Only volumes can be narrowed down over there. */
	if (t->kind != SV_TARGET_VOLUME || !t->ns)
		return sv_text("/v1/%s%s%s", kinds[t->kind].plural, watch ? "?" : "", w);
	ns = sv_api_quote(t->ns);
	if (!t->pod)
		return sv_text("/v1/volumes?namespace=%s%s%s", ns, watch ? "&" : "", w);
	pod = sv_api_quote(t->pod);
	return sv_text("/v1/volumes?namespace=%s&pod=%s%s%s", ns, pod, watch ? "&" : "", w);
}

char *sv_target_words(const struct sv_target *t)
{
	return sv_text("%s/%s%s%s", t->ns ? t->ns : "*", t->pod ? t->pod : "", t->pod ? "/" : "",
		       t->name ? t->name : "*");
}

int sv_target_not_found(const struct sv_target *t)
{
	return sv_fail(SV_EXIT_NOT_FOUND, "%s \"%s%s%s\" not found in namespace \"%s\"",
		       kinds[t->kind].name, t->pod ? t->pod : "", t->pod ? "/" : "", t->name,
		       t->ns);
}
