/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../lib/node/fsutil.h"

struct place {
	char *key; /* "NS/NAME" */
	char *file;
	unsigned line;
};

struct input {
	char *path; /* as it is printed; "-" is standard input */
	dev_t dev;
	ino_t ino;
};

struct inputs {
	struct input *items;
	size_t n;
};

static void *grow(void *items, size_t n, size_t size)
{
	void *p = reallocarray(items, n + 1, size);

	if (!p)
		sv_no_memory();
	return p;
}

/* ---- which files ------------------------------------------------------------------------ */

/* A file that is named twice counts once: it would clash with itself. */
static void add_input(struct inputs *in, char *path, const struct stat *st)
{
	size_t i;

	for (i = 0; i < in->n; i++) {
		if (in->items[i].dev == st->st_dev && in->items[i].ino == st->st_ino) {
			free(path);
			return;
		}
	}
	in->items = grow(in->items, in->n, sizeof(*in->items));
	in->items[in->n++] = (struct input){ path, st->st_dev, st->st_ino };
}

/* One name of a directory, taken as the daemon takes it. */
static void add_entry(struct sv_load *l, struct inputs *in, int dirfd, const char *name, char *path)
{
	sv_autoclose int fd = -1;
	struct sv_err err = { "" };
	const char *reason;
	struct stat st;

	if (sv_find_manifest(dirfd, name, &fd, &st, &reason, &err) == 0) {
		add_input(in, path, &st);
		return;
	}
	if (sv_catalog_fail(l->catalog, path, 0, reason, err.msg, 0) < 0)
		sv_no_memory();
	free(path);
}

static int add_directory(struct sv_load *l, struct inputs *in, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	size_t len = strlen(path), n = 0;

	if (!dir)
		return sv_fail(SV_EXIT_FAILED, "cannot read '%s': %s", path, strerror(errno));
	while (len > 1 && path[len - 1] == '/')
		len--;
	for (errno = 0; (e = readdir(dir)); errno = 0) {
		enum sv_format format;

		if (!sv_manifest_format(e->d_name, &format))
			continue;
		add_entry(l, in, dirfd(dir), e->d_name,
			  sv_text("%.*s%s%s", (int)len, path, path[len - 1] == '/' ? "" : "/",
				  e->d_name));
		n++;
	}
	if (errno) {
		int err = errno;

		(void)closedir(dir);
		return sv_fail(SV_EXIT_FAILED, "cannot read '%s': %s", path, strerror(err));
	}
	(void)closedir(dir);
	if (n == 0) {
		sv_autofree char *shown = sv_printable(path);

		fprintf(stderr, "No manifests found in %s\n", shown);
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static int find_inputs(struct sv_load *l, const struct sv_list *paths, struct inputs *in)
{
	size_t i;
	int r = 0;

	for (i = 0; i < paths->n && r == 0; i++) {
		const char *path = paths->items[i];
		struct stat st;

		if (strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &st) < 0 : stat(path, &st) < 0)
			return sv_fail(SV_EXIT_FAILED, "cannot read '%s': %s", path,
				       strerror(errno));
		if (S_ISDIR(st.st_mode))
			r = add_directory(l, in, path);
		else
			add_input(in, sv_text("%s", path), &st);
	}
	if (in->n > 1) /* of two objects with one name, the first path's wins */
		qsort(in->items, in->n, sizeof(*in->items), by_path);
	return r;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* The whole file, or one byte more than the limit. It may hold Secrets: the caller wipes, in any case. */
static int read_file(const char *path, struct sv_bytes *ret)
{
	bool is_stdin = strcmp(path, "-") == 0;
	sv_autoclose int fd = -1;

	*ret = (struct sv_bytes){ malloc(SV_LOAD_MANIFEST_MAX + 1), 0 };
	if (!ret->ptr)
		sv_no_memory();
	fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (ret->len <= SV_LOAD_MANIFEST_MAX) {
		ssize_t n = read(fd, ret->ptr + ret->len, SV_LOAD_MANIFEST_MAX + 1 - ret->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		ret->len += (size_t)n;
	}
	return 0;
}

/* The first Pod of a name is the one that counts, since files come in the order of their paths. */
static void note_places(struct sv_load *l, const char *file, const struct sv_manifest *m)
{
	size_t i;

	for (i = 0; i < m->n_objects; i++) {
		const struct sv_manifest_object *o = &m->objects[i];
		struct place *p;
		char *key;

		if (!o->pod)
			continue;
		key = sv_text("%s/%s", o->pod->ns, o->pod->name);
		if (sv_strmap_get(&l->places, key)) {
			free(key);
			continue;
		}
		p = malloc(sizeof(*p));
		if (!p)
			sv_no_memory();
		*p = (struct place){ key, sv_text("%s", file), o->line };
		if (sv_strmap_put(&l->places, p->key, p) < 0)
			sv_no_memory();
	}
}

/* The text of a file into the catalog; nobody knows since when it is so. Return: 0 or -ENOMEM. */
static int load_text(struct sv_load *l, const char *path, const struct sv_bytes *text)
{
	static const struct sv_decode_opts opts = { false, false };
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	const char *base = strrchr(path, '/');
	struct sv_err err = { "" };
	enum sv_format format;
	unsigned line = 0;
	int r;

	if (text->len > SV_LOAD_MANIFEST_MAX)
		return sv_catalog_fail(l->catalog, path, 0, "TooLarge", "is over the limit of 4Mi",
				       0);
	/* A file of another name was asked for by that name, so it is one. */
	if (!sv_manifest_format(base ? base + 1 : path, &format))
		format = SV_FORMAT_YAML;
	r = sv_manifest_parse((const char *)text->ptr, text->len, format, &opts, &m, &err, &line);
	if (r > 0)
		return sv_catalog_fail(l->catalog, path, line, "InvalidManifest", err.msg, 0);
	if (r < 0)
		return r;
	note_places(l, path, &m);
	/* Who may read the file here says nothing about where it will be installed: not exposed. */
	return sv_catalog_set(l->catalog, path, &m, false, 0, NULL);
}

static int load_file(struct sv_load *l, const char *path)
{
	struct sv_bytes text = { NULL, 0 };
	int r;

	r = read_file(path, &text);
	if (r < 0) {
		sv_bytes_wipe(&text);
		return sv_fail(SV_EXIT_FAILED, "cannot read '%s': %s", path, strerror(-r));
	}
	r = load_text(l, path, &text);
	sv_bytes_wipe(&text);
	if (r < 0)
		sv_no_memory();
	return 0;
}

static void add_finding(void *load, const struct sv_problem *p)
{
	struct sv_findings *all = &((struct sv_load *)load)->findings;
	struct sv_problem *f;

	all->items = grow(all->items, all->n, sizeof(*all->items));
	f = &all->items[all->n++];
	*f = *p;
	f->file = sv_text("%s", p->file);
	f->kind = sv_text("%s", p->kind);
	f->ns = sv_text("%s", p->ns);
	f->name = sv_text("%s", p->name);
	f->field = sv_text("%s", p->field);
	f->category = sv_text("%s", p->category);
	f->reason = sv_text("%s", p->reason);
	f->message = sv_text("%s", p->message);
}

int sv_load(const struct sv_list *paths, struct sv_load *ret)
{
	struct inputs in = { NULL, 0 };
	size_t i;
	int r;

	*ret = (struct sv_load){ 0 };
	if (paths->n == 0)
		return sv_fail_usage("say which files: -f FILE or -f DIR");
	if (sv_catalog_new(NULL, NULL, &ret->catalog) < 0)
		sv_no_memory();
	r = find_inputs(ret, paths, &in);
	for (i = 0; i < in.n && r == 0; i++)
		r = load_file(ret, in.items[i].path);
	for (i = 0; i < in.n; i++)
		free(in.items[i].path);
	free(in.items);
	if (r)
		return r;
	sv_catalog_each_problem(ret->catalog, add_finding, ret);
	sv_load_sort(ret);
	return 0;
}

void sv_load_done(struct sv_load *l)
{
	size_t i;

	sv_catalog_free(l->catalog);
	for (i = 0; i < l->places.n; i++) {
		struct place *p = l->places.entries[i].value;

		free(p->key);
		free(p->file);
		free(p);
	}
	sv_strmap_done(&l->places);
	for (i = 0; i < l->findings.n; i++) {
		const struct sv_problem *f = &l->findings.items[i];
		const char *texts[] = { f->file,  f->kind,     f->ns,     f->name,
					f->field, f->category, f->reason, f->message };
		size_t k;

		for (k = 0; k < SV_ARRAY_SIZE(texts); k++)
			free((char *)texts[k]);
	}
	free(l->findings.items);
	*l = (struct sv_load){ 0 };
}

/* ---- findings --------------------------------------------------------------------------- */

void sv_load_find(struct sv_load *l, const struct sv_pod *pod, const char *reason, const char *fmt,
		  ...)
{
	sv_autofree char *key = sv_text("%s/%s", pod->ns, pod->name);
	const struct place *p = sv_strmap_get(&l->places, key);
	sv_autobuf struct sv_buf b = { 0 };
	struct sv_problem f = sv_problem_about("manifest", p ? p->file : "");
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.failed)
		sv_no_memory();
	f.line = p ? p->line : 0;
	f.kind = "Pod";
	f.ns = pod->ns;
	f.name = pod->name;
	f.reason = reason;
	f.message = b.ptr ? b.ptr : "";
	add_finding(l, &f);
}

struct ranked {
	struct sv_problem f;
	size_t i;
};

static int by_place(const void *va, const void *vb)
{
	const struct ranked *a = va, *b = vb;
	int r = strcmp(a->f.file, b->f.file);

	if (r)
		return r;
	if (a->f.line != b->f.line)
		return a->f.line < b->f.line ? -1 : 1;
	return a->i < b->i ? -1 : a->i > b->i;
}

void sv_load_sort(struct sv_load *l)
{
	struct sv_findings *all = &l->findings;
	sv_autofree struct ranked *ranked = NULL;
	size_t i;

	if (all->n < 2)
		return;
	ranked = calloc(all->n, sizeof(*ranked));
	if (!ranked)
		sv_no_memory();
	for (i = 0; i < all->n; i++)
		ranked[i] = (struct ranked){ all->items[i], i };
	qsort(ranked, all->n, sizeof(*ranked), by_place);
	for (i = 0; i < all->n; i++)
		all->items[i] = ranked[i].f;
}

const char *sv_without_line(const char *message, unsigned line)
{
	char prefix[32];
	size_t n = (size_t)snprintf(prefix, sizeof(prefix), "line %u: ", line);

	return line && strncmp(message, prefix, n) == 0 ? message + n : message;
}

char *sv_finding_text(const struct sv_problem *f)
{
	struct sv_buf b = { 0 };
	char *text;

	sv_buf_puts(&b, f->file);
	if (f->line)
		sv_buf_printf(&b, ":%u", f->line);
	sv_buf_puts(&b, f->warning ? ": warning: " : ": ");
	if (*f->kind)
		sv_buf_puts(&b, f->kind);
	if (*f->name)
		sv_buf_printf(&b, "%s%s/%s", *f->kind ? " " : "", f->ns, f->name);
	if (*f->kind || *f->name)
		sv_buf_puts(&b, ": ");
	sv_buf_puts(&b, sv_without_line(f->message, f->line));
	text = sv_buf_take(&b);
	if (!text)
		sv_no_memory();
	return text;
}

int sv_load_secret(void *load, const char *ns, const char *name, struct sv_secret **ret,
		   struct sv_err *err)
{
	const struct sv_load *l = load;
	const char *refused;

	*ret = sv_catalog_secret(l->catalog, ns, name);
	if (*ret)
		return 0;
	refused = sv_catalog_refused(l->catalog, ns, name);
	if (refused)
		return sv_err_set(err, SV_PLAN_E_NO_SECRET, "%s", refused);
	return SV_PLAN_E_NO_SECRET;
}
