/* SPDX-License-Identifier: Apache-2.0 */
/* mounts - what a container runtime needs to mount a container's volumes, ready to paste */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/path.h"
#include "container.h"
#include "print.h"

enum { JSON, OCI, PODMAN, DOCKER, SYSTEMD, BWRAP };
#define OUTPUTS "json|oci|podman|docker|systemd|bwrap"

struct mount {
	char *source, *target;
};

struct list {
	struct mount *items;
	size_t n;
};

static void list_done(struct list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		free(l->items[i].source);
		free(l->items[i].target);
	}
	free(l->items);
}

static void add(struct list *l, struct json_object *volume, struct json_object *mount)
{
	const char *sub = sv_str(mount, "subPath");
	struct mount *items = reallocarray(l->items, l->n + 1, sizeof(*items));

	if (!items)
		sv_no_memory();
	l->items = items;
	items[l->n].source = sv_text("%s%s%s", sv_str(volume, "path"), *sub ? "/" : "", sub);
	items[l->n].target = sv_path_clean_absolute(sv_str(mount, "mountPath"));
	if (!items[l->n].target)
		sv_no_memory();
	l->n++;
}

/* A volume that is not there must not be mounted: the runtime would make an empty directory. */
static int check_state(struct json_object *volume)
{
	const char *state = sv_str(volume, "state");

	if (strcmp(state, "Published") == 0 || strcmp(state, "Stale") == 0)
		return 0;
	return sv_fail(SV_EXIT_NOT_PUBLISHED, "volume %s/%s is %s%s%s", sv_str(volume, "pod"),
		       sv_str(volume, "volume"), state, *sv_str(volume, "message") ? ": " : "",
		       sv_str(volume, "message"));
}

static int take_volume(struct list *l, struct json_object *volume, const char *container)
{
	size_t i;
	int r;

	for (i = 0; i < sv_count(volume, "mounts"); i++) {
		struct json_object *mount = sv_element(volume, "mounts", i);

		if (strcmp(sv_str(mount, "container"), container) != 0)
			continue;
		r = check_state(volume);
		if (r)
			return r;
		if (*sv_str(mount, "subPathExpr"))
			return sv_fail(
				SV_EXIT_FAILED,
				"mountPath %s of container %s has a subPathExpr, which needs the "
				"environment: 'secretvolctl exec' can serve it",
				sv_str(mount, "mountPath"), container);
		add(l, volume, mount);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct mount *)a)->target, ((const struct mount *)b)->target);
}

/* ---- formats ------------------------------------------------------------------------------- */

static void print_json(const struct list *l, bool oci)
{
	static const char *const options[] = {
		"rbind", "ro", "nosuid", "nodev", "noexec", "rslave"
	};
	struct json_object *array = json_object_new_array();
	size_t i, j;

	for (i = 0; array && i < l->n; i++) {
		struct json_object *o = json_object_new_object(), *list = NULL;

		json_object_object_add(o, oci ? "destination" : "mountPath",
				       json_object_new_string(l->items[i].target));
		if (oci)
			json_object_object_add(o, "type", json_object_new_string("bind"));
		json_object_object_add(o, "source", json_object_new_string(l->items[i].source));
		if (oci) {
			list = json_object_new_array();
			for (j = 0; j < SV_ARRAY_SIZE(options); j++)
				json_object_array_add(list, json_object_new_string(options[j]));
			json_object_object_add(o, "options", list);
		} else {
			json_object_object_add(o, "readOnly", json_object_new_boolean(1));
		}
		json_object_array_add(array, o);
	}
	if (!array)
		sv_no_memory();
	puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY |
							   JSON_C_TO_STRING_SPACED |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
}

/* A word of a shell: as it is if that is safe, else in single quotes. */
static void print_word(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "-_./,=:~@%+";

	if (*text && strspn(text, safe) == strlen(text)) {
		(void)fputs(text, stdout);
		return;
	}
	(void)putchar('\'');
	for (; *text; text++)
		if (*text == '\'')
			(void)fputs("'\\''", stdout);
		else
			(void)putchar(*text);
	(void)putchar('\'');
}

static int print_mount_flag(const struct mount *m, bool docker)
{
	sv_autofree char *value = NULL;

	if (strpbrk(m->source, ",\"") || strpbrk(m->target, ",\""))
		return sv_fail(SV_EXIT_FAILED, "mountPath %s cannot be part of a --mount option",
			       m->target);
	value = docker ? sv_text("type=bind,source=%s,target=%s,readonly,bind-propagation=rslave",
				 m->source, m->target) :
			 sv_text("type=bind,src=%s,dst=%s,ro=true,bind-propagation=rslave",
				 m->source, m->target);
	(void)fputs("--mount ", stdout);
	print_word(value);
	(void)putchar('\n');
	return 0;
}

static void print_bwrap(const struct mount *m)
{
	(void)fputs("--ro-bind ", stdout);
	print_word(m->source);
	(void)putchar(' ');
	print_word(m->target);
	(void)putchar('\n');
}

/* systemd.syntax(7): each path is quoted for itself, as quotes take the meaning from ':' too. */
static void print_unit_path(const char *path)
{
	const char *quote = strpbrk(path, " \"':\\") ? "\"" : "";

	(void)fputs(quote, stdout);
	for (; *path; path++)
		if (*path == '%')
			(void)fputs("%%", stdout);
		else if (strchr("\\\"", *path))
			printf("\\%c", *path);
		else
			(void)putchar(*path);
	(void)fputs(quote, stdout);
}

static bool has_control(const char *text)
{
	while (*text && !iscntrl((unsigned char)*text))
		text++;
	return *text != '\0';
}

static int print_systemd(const struct mount *m)
{
	if (has_control(m->source) || has_control(m->target))
		return sv_fail(SV_EXIT_FAILED, "mountPath %s cannot be part of a unit", m->target);
	(void)fputs("BindReadOnlyPaths=", stdout);
	print_unit_path(m->source);
	(void)putchar(':');
	print_unit_path(m->target);
	(void)putchar('\n');
	return 0;
}

static int print(const struct list *l, int output)
{
	size_t i;
	int r = 0;

	if (output == JSON || output == OCI) {
		print_json(l, output == OCI);
		return 0;
	}
	for (i = 0; i < l->n && r == 0; i++) {
		if (output == SYSTEMD)
			r = print_systemd(&l->items[i]);
		else if (output == BWRAP)
			print_bwrap(&l->items[i]);
		else
			r = print_mount_flag(&l->items[i], output == DOCKER);
	}
	return r;
}

/* -------------------------------------------------------------------------------------------- */

/* The container of -c, or the first one of the pod. */
static int find_container(const struct sv_target *pod, char **ret)
{
	sv_autotree struct json_object *answer = NULL;
	struct json_object *items;
	size_t i, j;
	int r = sv_api_list("/v1/pods", &answer, &items);

	for (i = 0; r == 0 && i < json_object_array_length(items); i++) {
		struct json_object *p = json_object_array_get_idx(items, i);

		if (!sv_target_has(pod, p))
			continue;
		if (!sv_member(p, "containers")) /* its volumes are all that is known of it */
			return sv_fail(SV_EXIT_NOT_PUBLISHED, "pod %s is %s", pod->name,
				       sv_str(p, "state"));
		for (j = 0; j < sv_count(p, "containers"); j++) {
			struct json_object *c = sv_element(p, "containers", j);

			if (sv_container_name ? strcmp(sv_str(c, "name"), sv_container_name) == 0 :
						strcmp(sv_str(c, "kind"), "app") == 0) {
				*ret = sv_text("%s", sv_str(c, "name"));
				return 0;
			}
		}
		return sv_fail(SV_EXIT_NOT_FOUND, "container \"%s\" not found in pod \"%s\"",
			       sv_container_name ? sv_container_name : "", pod->name);
	}
	return r ? r : sv_target_not_found(pod);
}

static int run(int argc, char **argv)
{
	sv_autotree struct json_object *answer = NULL;
	sv_autotarget struct sv_target pod = { 0 };
	sv_autofree char *container = NULL, *path = NULL, *ns = NULL, *name = NULL;
	int output = sv_opt_choice("-o", sv_options.output, OUTPUTS, JSON);
	struct list l = { NULL, 0 };
	struct json_object *items;
	size_t i;
	int r;

	if (output < 0)
		return SV_EXIT_USAGE;
	if (argc > 1)
		return sv_fail_usage("too many arguments: '%s'", argv[1]);
	r = sv_container_target(argc, argv, &pod);
	if (r == 0)
		r = find_container(&pod, &container);
	if (r || !container)
		return r;
	ns = sv_api_quote(pod.ns);
	name = sv_api_quote(pod.name);
	path = sv_text("/v1/volumes?namespace=%s&pod=%s", ns, name);
	r = sv_api_list(path, &answer, &items);
	for (i = 0; r == 0 && i < json_object_array_length(items); i++)
		r = take_volume(&l, json_object_array_get_idx(items, i), container);
	if (r == 0) {
		if (l.n > 0)
			qsort(l.items, l.n, sizeof(*l.items), compare);
		r = print(&l, output);
	}
	list_done(&l);
	return r;
}

static const struct sv_opt opts[] = {
	SV_OPT_CONTAINER,
	SV_OPT_NAMESPACE,
	SV_OPT_OUTPUT(OUTPUTS),
	SV_OPT_END,
};

const struct sv_verb sv_verb_mounts = {
	.name = "mounts",
	.args = "POD [-c CONTAINER] [-o " OUTPUTS "]",
	.summary = "Print a container's Secret mounts as a runtime wants them",
	.details =
		"oci is the mounts array of a config.json; podman, docker and bwrap are arguments, one mount a\n"
		"line; systemd is lines of a unit. Exit code 5 if one of the volumes is not there.",
	.opts = opts,
	.run = run,
};
