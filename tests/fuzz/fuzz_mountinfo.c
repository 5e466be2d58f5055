/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as /proc/self/mountinfo, and what a start makes of it: only what can be a volume of ours
 * is adopted, once each, with the Pod that the by-name link tells, and a link that leads to nothing
 * that was found is taken away.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/strmap.h"
#include "../../lib/node/volume.h"
#include "fuzz.h"

#define SECRET "pods/u/volumes/kubernetes.io~secret/v"
#define PROJECTED "pods/u/volumes/kubernetes.io~projected/w"

static const uint8_t *input;
static size_t input_size;

/* libmount's own file is not asked: the linker puts this in its place (see the Makefile). */
int __wrap_mnt_table_parse_file(struct libmnt_table *table, const char *name);
int __wrap_mnt_table_parse_file(struct libmnt_table *table, const char *name)
{
	FILE *f = input_size ? fmemopen((void *)(uintptr_t)input, input_size, "re") : NULL;
	int r = f ? mnt_table_parse_stream(table, f, name) : 0;

	if (f)
		(void)fclose(f);
	return r;
}

static void link_to(int root, const char *target, const char *name)
{
	sv_autofree char *path = sv_asprintf("by-name/n/p/%s", name);
	sv_autofree char *full = sv_asprintf("../../../%s", target);

	MUST(symlinkat(full, root, path) == 0);
}

static void prepare(int root)
{
	static const char *const dirs[] = { "pods",      "pods/u",      "pods/u/volumes", "by-name",
					    "by-name/n", "by-name/n/p", "by-name/n/empty" };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(dirs); i++)
		MUST(mkdirat(root, dirs[i], 0700) == 0);
	link_to(root, SECRET, "v");
	link_to(root, PROJECTED, "w");
	link_to(root, SECRET, "other");
	link_to(root, "elsewhere", "x");
}

struct seen {
	struct sv_strmap ids;
	bool secret, projected;
};

/* pods/UID/volumes/TYPE/NAME */
static bool is_volume_path(const char *id)
{
	char uid[4096], type[4096], name[4096];
	int end = 0;

	return sscanf(id, "pods/%4095[^/]/volumes/kubernetes.io~%4095[^/]/%4095[^/]%n", uid, type,
		      name, &end) == 3 &&
	       !id[end] && (strcmp(type, "secret") == 0 || strcmp(type, "projected") == 0);
}

static int adopt(void *arg, struct sv_adopted *found)
{
	const char *id = found->id, *ns = found->ns, *pod = found->pod;
	struct seen *s = arg;
	char *copy = strdup(id);

	MUST(copy && !sv_strmap_get(&s->ids, id));
	MUST(sv_strmap_put(&s->ids, copy, copy) == 0);
	MUST(found->medium != SV_MEDIUM_UNKNOWN);
	MUST(is_volume_path(id));
	s->secret = s->secret || strcmp(id, SECRET) == 0;
	s->projected = s->projected || strcmp(id, PROJECTED) == 0;
	if (strcmp(id, SECRET) == 0 || strcmp(id, PROJECTED) == 0)
		MUST(strcmp(ns, "n") == 0 && strcmp(pod, "p") == 0);
	else
		MUST(!*ns && !*pod);
	return 0;
}

static bool is_there(int root, const char *path)
{
	return faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Those that lead to what is mounted have to stay; the volume may be one that is not ours. */
static void check_links(int root, const struct seen *s)
{
	MUST(!s->secret || is_there(root, "by-name/n/p/v"));
	MUST(!s->projected || is_there(root, "by-name/n/p/w"));
	MUST(!is_there(root, "by-name/n/p/x") && !is_there(root, "by-name/n/p/other"));
	MUST(!is_there(root, "by-name/n/empty") && !is_there(root, "pods/u"));
}

static void clear(int root)
{
	(void)unlinkat(root, "by-name/n/p/v", 0);
	(void)unlinkat(root, "by-name/n/p/w", 0);
	(void)unlinkat(root, "by-name/n/p", AT_REMOVEDIR);
	(void)unlinkat(root, "by-name/n", AT_REMOVEDIR);
	MUST(unlinkat(root, "by-name", AT_REMOVEDIR) == 0);
	MUST(unlinkat(root, "pods", AT_REMOVEDIR) == 0);
}

static int root_fd = -1;
static char place[] = "/dev/shm/fuzz-mountinfo-XXXXXX";

static void remove_place(void)
{
	(void)rmdir(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char root[] = "/r";
	struct sv_node node = { .root = root };
	struct seen s = { 0 };
	struct sv_err err = { "" };
	size_t i;

	if (root_fd < 0) {
		MUST(mkdtemp(place));
		root_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		MUST(root_fd >= 0 && atexit(remove_place) == 0);
	}
	node.root_fd = root_fd;
	prepare(root_fd);
	input = data;
	input_size = size;
	MUST(sv_node_adopt(&node, adopt, &s, &err) == 0);
	check_links(root_fd, &s);
	clear(root_fd);
	for (i = 0; i < s.ids.n; i++)
		free(s.ids.entries[i].value);
	sv_strmap_done(&s.ids);
	return 0;
}
