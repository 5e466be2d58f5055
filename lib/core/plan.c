/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "plan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/path.h"
#include "../base/text.h"
#include "validate.h"

/* While a plan is made: files in the order of the input, not yet unique. */
struct builder {
	const struct sv_pod *pod;
	const struct sv_volume *vol;
	struct sv_plan *plan;
	size_t cap;
	struct sv_buf errors; /* of the sources (R55), each text once, each with its NUL */
	size_t n_errors;
	int refusal; /* of the first source that failed */
	struct sv_err *err;
};

mode_t sv_plan_root_mode(const struct sv_plan *plan)
{
	return plan->fs_group >= 0 ? 03777 : 01777;
}

mode_t sv_plan_dir_mode(const struct sv_plan *plan)
{
	return plan->fs_group >= 0 ? 02755 : 0755;
}

/* strcmp() order, but '/' before every other character: what is below a path follows it at once. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int check_path(struct builder *b, const char *path, char **ret)
{
	const char *text = sv_check_payload_path(path);
	char *cleaned;

	if (text)
		return sv_err_set(b->err, SV_PLAN_E_PATH, "%s", text);
	cleaned = sv_path_clean(path);
	if (!cleaned)
		return -ENOMEM;
	if (strcmp(cleaned, ".") == 0)
		text = "invalid path: must name a file: '.' is a directory";
	else if (strncmp(cleaned, "..", 2) == 0)
		text = "invalid path: must not start with '..' once cleaned";
	else if (strlen(cleaned) > SV_PATH_USABLE_MAX)
		text = "invalid path: must be less than or equal to 4000 characters once cleaned, "
		       "since longer ones cannot be opened below a mount point";
	if (text) {
		free(cleaned);
		return sv_err_set(b->err, SV_PLAN_E_PATH, "%s", text);
	}
	*ret = cleaned;
	return 0;
}

static void file_done(struct sv_plan_file *f)
{
	if (f->key != f->path)
		free(f->key);
	free(f->path);
}

static int add_file(struct builder *b, const char *path, int mode, const struct sv_secret *s,
		    const struct sv_secret_key *key)
{
	struct sv_plan *plan = b->plan;
	struct sv_plan_file *f;
	char *cleaned = NULL;
	int r = check_path(b, path, &cleaned);

	if (r)
		return r;
	assert(cleaned);
	if (plan->n_files == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 8;
		struct sv_plan_file *files = reallocarray(plan->files, cap, sizeof(*files));

		if (!files) {
			free(cleaned);
			return -ENOMEM;
		}
		plan->files = files;
		b->cap = cap;
	}
	f = &plan->files[plan->n_files];
	*f = (struct sv_plan_file){
		.path = cleaned,
		.mode = mode >= 0 ? (mode_t)mode : b->vol->default_mode,
		.size = key->size,
		.value = s->data ? &s->data->values[key - s->keys] : NULL,
		.secret = plan->secrets[plan->n_secrets - 1].name,
		.key = strcmp(cleaned, key->name) == 0 ? cleaned : strdup(key->name),
	};
	if (!f->key) {
		free(cleaned);
		return -ENOMEM;
	}
	plan->n_files++;
	if (plan->fs_group >= 0)
		f->mode |= 0440; /* R44: bits are only added */
	return 0;
}

static int add_files(struct builder *b, const struct sv_secret_source *src,
		     const struct sv_secret *s)
{
	size_t i;
	int r = 0;

	if (src->n_items == 0)
		for (i = 0; i < s->n_keys && r == 0; i++)
			r = add_file(b, s->keys[i].name, -1, s, &s->keys[i]);
	for (i = 0; i < src->n_items && r == 0; i++) {
		const struct sv_key_to_path *item = &src->items[i];
		const struct sv_secret_key *key = sv_secret_key(s, item->key);

		if (key)
			r = add_file(b, item->path, item->mode, s, key);
		else if (!src->optional)
			r = sv_err_set(b->err, SV_PLAN_E_NO_KEY,
				       "references non-existent secret key: %s", item->key);
	}
	return r;
}

/* Every failing source is reported, and the first decides what kind of failure it is (R55). */
static void note_error(struct builder *b, int r, const char *text)
{
	size_t at;

	for (at = 0; at < b->errors.len; at += strlen(b->errors.ptr + at) + 1)
		if (strcmp(b->errors.ptr + at, text) == 0)
			return;
	sv_buf_add(&b->errors, text, strlen(text) + 1);
	if (b->n_errors++ == 0)
		b->refusal = r;
}

/* Several are printed as Kubernetes prints an aggregate. */
static int tell_errors(const struct builder *b, struct sv_err *err)
{
	sv_autobuf struct sv_buf all = { 0 };
	size_t at;

	for (at = 0; at < b->errors.len; at += strlen(b->errors.ptr + at) + 1)
		sv_buf_printf(&all, "%s%s", at ? ", " : "", b->errors.ptr + at);
	if (b->errors.failed || all.failed)
		return -ENOMEM;
	return sv_err_set(err, b->refusal, b->n_errors > 1 ? "[%s]" : "%s", all.ptr);
}

static int add_source(struct builder *b, const struct sv_secret_source *src,
		      sv_secret_lookup lookup, void *arg)
{
	struct sv_plan_secret *ps = &b->plan->secrets[b->plan->n_secrets++];
	struct sv_err err = { "" };
	struct sv_secret *s = NULL;
	int r = lookup(arg, b->pod->ns, src->name, &s, &err);

	*ps = (struct sv_plan_secret){ .name = strdup(src->name), .optional = src->optional };
	if (!ps->name)
		return -ENOMEM;
	if (r < 0)
		return r;
	if (r == SV_PLAN_E_NO_SECRET) {
		sv_autofree char *text = NULL;

		if (src->optional)
			return 0;
		text = sv_asprintf("secret \"%s\" not found%s%s", src->name, *err.msg ? ": " : "",
				   err.msg);
		if (!text)
			return -ENOMEM;
		note_error(b, r, text);
		return 0;
	}
	if (r > 0) {
		note_error(b, r, err.msg);
		return 0;
	}
	ps->found = true;
	ps->digest = s->digest;
	ps->secret = sv_secret_ref(s);
	ps->data = s->data ? sv_secret_data_ref(s->data) : NULL;
	b->err = &err;
	r = add_files(b, src, s);
	b->err = NULL;
	if (r <= 0)
		return r;
	note_error(b, r, err.msg);
	return 0;
}

struct ordered {
	struct sv_plan_file file;
	size_t index;
};

static int compare_ordered(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	int r = compare_paths(x->file.path, y->file.path);

	return r ? r : x->index < y->index ? -1 : 1;
}

/* Sort, and let the last of equal paths win (R35, R47, section 7.4). */
static int sort_files(struct sv_plan *plan)
{
	struct ordered *list;
	size_t i, n = 0;

	if (plan->n_files == 0)
		return 0;
	list = calloc(plan->n_files, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (i = 0; i < plan->n_files; i++)
		list[i] = (struct ordered){ plan->files[i], i };
	qsort(list, plan->n_files, sizeof(*list), compare_ordered);
	for (i = 0; i < plan->n_files; i++) {
		if (i + 1 < plan->n_files && strcmp(list[i].file.path, list[i + 1].file.path) == 0)
			file_done(&list[i].file);
		else
			plan->files[n++] = list[i].file;
	}
	plan->n_files = n;
	free(list);
	return 0;
}

/* Memory comes in pages: many small files need more than their bytes. */
static void add_size(struct sv_plan *plan, size_t size)
{
	plan->size += size;
	plan->footprint += (size + SV_PLAN_PAGE - 1) / SV_PLAN_PAGE * SV_PLAN_PAGE;
}

bool sv_plan_starts_element(const struct sv_plan *plan, size_t i)
{
	const char *path = plan->files[i].path, *before;
	size_t n = strcspn(path, "/");

	if (i == 0)
		return true;
	before = plan->files[i - 1].path;
	return strcspn(before, "/") != n || strncmp(before, path, n) != 0;
}

/* The longest target of a link that takes no page, on tmpfs. */
#define SHORT_LINK_MAX 127

/*
 * The links of first elements (R40) last for all generations: of two, which there is to be room for,
 * each has half of their pages.
 */
static void add_links(struct sv_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_files; i++)
		if (strcspn(plan->files[i].path, "/") + strlen("..data/") > SHORT_LINK_MAX &&
		    sv_plan_starts_element(plan, i))
			plan->footprint += SV_PLAN_PAGE / 2;
}

static int check_files(const struct sv_plan *plan, size_t limit, struct sv_err *err)
{
	size_t i;

	for (i = 0; i + 1 < plan->n_files; i++) {
		const char *path = plan->files[i].path, *next = plan->files[i + 1].path;
		size_t n = strlen(path);

		if (strncmp(path, next, n) == 0 && next[n] == '/')
			return sv_err_set(err, SV_PLAN_E_CLASH,
					  "path \"%s\" is wanted as a file but holds \"%s\": is a "
					  "directory",
					  path, next);
	}
	if (plan->n_files > SV_VOLUME_FILES_MAX)
		return sv_err_set(err, SV_PLAN_E_TOO_LARGE,
				  "volume of %zu files is over the limit of %d files",
				  plan->n_files, SV_VOLUME_FILES_MAX);
	if (plan->size > limit)
		return sv_err_set(err, SV_PLAN_E_TOO_LARGE,
				  "volume of %zu bytes is over the limit of %zu bytes", plan->size,
				  limit);
	if (plan->footprint > 2 * limit + SV_FOOTPRINT_EXTRA)
		return sv_err_set(
			err, SV_PLAN_E_TOO_LARGE,
			"volume of %zu files needs %zu bytes of memory, too much for a limit "
			"of %zu bytes",
			plan->n_files, plan->footprint, limit);
	return 0;
}

/* ---- nested mountpoints (R49) -------------------------------------------------------------- */

static int compare_strings(const void *a, const void *b)
{
	return compare_paths(*(char *const *)a, *(char *const *)b);
}

/* What of @path lies below @dir: a pointer behind the slash, or NULL. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1) /* the root */
		return path[1] ? path + 1 : NULL;
	return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static int add_dir(struct sv_plan *plan, const char *dir)
{
	char **dirs = reallocarray(plan->dirs, plan->n_dirs + 1, sizeof(*dirs));

	if (!dirs)
		return -ENOMEM;
	plan->dirs = dirs;
	dirs[plan->n_dirs] = strdup(dir);
	if (!dirs[plan->n_dirs])
		return -ENOMEM;
	plan->n_dirs++;
	return 0;
}

/* Index of the first of the sorted paths behind @path: what is below it stands there. */
static size_t find_behind(char *const *paths, size_t n, const char *path)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_paths(paths[mid], path) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The mounts of one container that lie below its mounts of the volume. */
static int add_nested(struct builder *b, const struct sv_container *c, char **paths)
{
	size_t i, j;
	int r = 0;

	for (i = 0; i < c->n_mounts && r == 0; i++) {
		sv_autofree char *mine = NULL;
		const char *last = NULL;

		if (strcmp(c->mounts[i].volume, b->vol->name) != 0)
			continue;
		mine = sv_path_clean_absolute(c->mounts[i].path);
		if (!mine)
			return -ENOMEM;
		for (j = find_behind(paths, c->n_mounts, mine); j < c->n_mounts && r == 0; j++) {
			const char *rel = below(paths[j], mine);

			if (!rel)
				break;
			if (last && below(paths[j], last))
				continue;
			last = paths[j];
			if (strncmp(rel, "..", 2) == 0)
				return sv_err_set(
					b->err, SV_PLAN_E_PATH,
					"invalid path: mount point \"%s\" of container "
					"\"%s\" lies below volume \"%s\" and must not start "
					"with '..' there",
					paths[j], c->name, b->vol->name);
			if (strlen(rel) > SV_PATH_USABLE_MAX || sv_check_payload_path(rel))
				return sv_err_set(b->err, SV_PLAN_E_PATH,
						  "invalid path: mount point of container \"%s\" "
						  "below volume \"%s\" is too long",
						  c->name, b->vol->name);
			r = add_dir(b->plan, rel);
		}
	}
	return r;
}

static bool mounts_volume(const struct sv_container *c, const struct sv_volume *vol)
{
	size_t i;

	for (i = 0; i < c->n_mounts; i++)
		if (strcmp(c->mounts[i].volume, vol->name) == 0)
			return true;
	return false;
}

static int add_nested_dirs(struct builder *b)
{
	struct sv_plan *plan = b->plan;
	size_t i, j, n = 0;
	int r = 0;

	for (i = 0; i < b->pod->n_containers && r == 0; i++) {
		const struct sv_container *c = &b->pod->containers[i];
		char **paths;

		if (c->n_mounts < 2 || !mounts_volume(c, b->vol))
			continue;
		paths = calloc(c->n_mounts, sizeof(*paths));
		if (!paths)
			return -ENOMEM;
		for (j = 0; j < c->n_mounts && r == 0; j++) {
			paths[j] = sv_path_clean_absolute(c->mounts[j].path);
			r = paths[j] ? 0 : -ENOMEM;
		}
		if (r == 0) {
			qsort(paths, c->n_mounts, sizeof(*paths), compare_strings);
			r = add_nested(b, c, paths);
		}
		for (j = 0; j < c->n_mounts; j++)
			free(paths[j]);
		free(paths);
	}
	if (r || plan->n_dirs < 2)
		return r;
	qsort(plan->dirs, plan->n_dirs, sizeof(*plan->dirs), compare_strings);
	for (i = 0; i < plan->n_dirs; i++) { /* several containers may ask for the same */
		if (i > 0 && strcmp(plan->dirs[i], plan->dirs[n - 1]) == 0)
			free(plan->dirs[i]);
		else
			plan->dirs[n++] = plan->dirs[i];
	}
	plan->n_dirs = n;
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

/* The directories that a path lies in, and the one that comes before it does not. */
static size_t count_parents(const char *path, const char *before)
{
	size_t n = 0;

	for (; *path && *path == *before; path++)
		before++;
	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Each takes memory of the kernel's, and time, however little is in it. */
static int check_dirs(const struct sv_plan *plan, struct sv_err *err)
{
	size_t i, n = plan->n_dirs;

	for (i = 0; i < plan->n_files; i++)
		n += count_parents(plan->files[i].path, i ? plan->files[i - 1].path : "");
	for (i = 0; i < plan->n_dirs; i++)
		n += count_parents(plan->dirs[i], i ? plan->dirs[i - 1] : "");
	if (plan->n_files + n <= SV_VOLUME_FILES_MAX)
		return 0;
	return sv_err_set(err, SV_PLAN_E_TOO_LARGE,
			  "volume of %zu files and %zu directories is over the limit of %d",
			  plan->n_files, n, SV_VOLUME_FILES_MAX);
}

static int make(struct builder *b, size_t limit, sv_secret_lookup lookup, void *arg,
		struct sv_err *err)
{
	const struct sv_volume *vol = b->vol;
	struct sv_plan *plan = b->plan;
	size_t i;
	int r = 0;

	if (vol->unsupported)
		return sv_err_set(err, SV_PLAN_E_UNSUPPORTED,
				  "projected source \"%s\" of volume \"%s\" is not supported: only "
				  "secret sources are",
				  vol->unsupported, vol->name);
	plan->fs_group = b->pod->fs_group;
	plan->secrets = calloc(vol->n_sources ? vol->n_sources : 1, sizeof(*plan->secrets));
	if (!plan->secrets)
		return -ENOMEM;
	for (i = 0; i < vol->n_sources && r == 0; i++)
		r = add_source(b, &vol->sources[i], lookup, arg);
	if (r)
		return r;
	if (b->n_errors > 0)
		return tell_errors(b, err);
	r = sort_files(plan);
	if (r)
		return r;
	for (i = 0; i < plan->n_files; i++)
		add_size(plan, plan->files[i].size);
	add_links(plan);
	r = check_files(plan, limit, err);
	if (r)
		return r;
	b->err = err;
	r = add_nested_dirs(b);
	return r ? r : check_dirs(plan, err);
}

int sv_plan_make(const struct sv_pod *pod, const struct sv_volume *vol, size_t limit,
		 sv_secret_lookup lookup, void *arg, struct sv_plan **ret, struct sv_err *err)
{
	sv_autoplan struct sv_plan *plan = calloc(1, sizeof(*plan));
	struct builder b = { .pod = pod, .vol = vol, .plan = plan };
	int r;

	if (!plan)
		return sv_err_set(err, -ENOMEM, "cannot plan volume \"%s\"", vol->name);
	r = make(&b, limit, lookup, arg, err);
	sv_buf_done(&b.errors);
	if (r < 0)
		return sv_err_set(err, r, "cannot plan volume \"%s\"", vol->name);
	if (r > 0)
		return r;
	*ret = SV_TAKE(plan);
	return 0;
}

static bool same_file(const struct sv_plan_file *a, const struct sv_plan_file *b)
{
	return a->mode == b->mode && a->size == b->size && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->secret, b->secret) == 0 && strcmp(a->key, b->key) == 0;
}

static bool same_secret(const struct sv_plan_secret *a, const struct sv_plan_secret *b)
{
	return a->found == b->found && strcmp(a->name, b->name) == 0 &&
	       sv_digest_equal(&a->digest, &b->digest);
}

bool sv_plan_same(const struct sv_plan *a, const struct sv_plan *b)
{
	size_t i;

	if (a->n_files != b->n_files || a->n_dirs != b->n_dirs || a->n_secrets != b->n_secrets ||
	    a->fs_group != b->fs_group)
		return false;
	for (i = 0; i < a->n_files; i++)
		if (!same_file(&a->files[i], &b->files[i]))
			return false;
	for (i = 0; i < a->n_dirs; i++)
		if (strcmp(a->dirs[i], b->dirs[i]) != 0)
			return false;
	for (i = 0; i < a->n_secrets; i++)
		if (!same_secret(&a->secrets[i], &b->secrets[i]))
			return false;
	return true;
}

static void let_go(struct sv_plan_secret *ps)
{
	sv_secret_data_unref(SV_TAKE(ps->data));
	sv_secret_unref(SV_TAKE(ps->secret));
}

void sv_plan_forget(struct sv_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_files; i++)
		plan->files[i].value = NULL;
	for (i = 0; i < plan->n_secrets; i++)
		let_go(&plan->secrets[i]);
}

void sv_plan_free(struct sv_plan *plan)
{
	size_t i;

	if (!plan)
		return;
	for (i = 0; i < plan->n_files; i++)
		file_done(&plan->files[i]);
	free(plan->files);
	for (i = 0; i < plan->n_dirs; i++)
		free(plan->dirs[i]);
	free(plan->dirs);
	for (i = 0; i < plan->n_secrets; i++) {
		free(plan->secrets[i].name);
		let_go(&plan->secrets[i]);
	}
	free(plan->secrets);
	free(plan);
}
