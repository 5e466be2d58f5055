/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of generated Pods, file by file against the rules: what wins, and what is refused. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/path.h"
#include "fuzz.h"

/* Of all items and keys of a volume in order, the last that cleans to a path is the file there. */
static void check_winner(struct sv_manifest *m, const struct sv_pod *pod, const struct sv_volume *v,
			 const struct sv_plan_file *f)
{
	const struct sv_bytes *want = NULL;
	int mode = -1;
	size_t i, j;

	for (i = 0; i < v->n_sources; i++) {
		const struct sv_secret_source *src = &v->sources[i];
		struct sv_secret *s = NULL;

		if (fuzz_lookup(m, pod->ns, src->name, &s, NULL) != 0)
			continue;
		for (j = 0; src->n_items == 0 && j < s->n_keys; j++)
			if (strcmp(s->keys[j].name, f->path) == 0)
				want = &s->data->values[j], mode = -1;
		for (j = 0; j < src->n_items; j++) {
			sv_autofree char *path = sv_path_clean(src->items[j].path);

			MUST(path);
			if (strcmp(path, f->path) == 0 && sv_secret_value(s, src->items[j].key)) {
				want = sv_secret_value(s, src->items[j].key);
				mode = src->items[j].mode;
			}
		}
	}
	MUST(want == f->value);
	MUST(f->mode ==
	     ((mode >= 0 ? (mode_t)mode : v->default_mode) | (pod->fs_group >= 0 ? 0440 : 0)));
}

/* Which refusal is the right one, as far as it is easily said. */
static void check_refusal(struct sv_manifest *m, const struct sv_pod *pod,
			  const struct sv_volume *v, int r)
{
	bool missing = false;
	struct sv_secret *s;
	size_t i;

	for (i = 0; i < v->n_sources; i++)
		missing = missing || (!v->sources[i].optional &&
				      fuzz_lookup(m, pod->ns, v->sources[i].name, &s, NULL) != 0);
	MUST(r != 0 || !missing);
	MUST(r != SV_PLAN_E_NO_SECRET || missing);
}

static void check_volume(struct sv_manifest *m, const struct sv_pod *pod, const struct sv_volume *v)
{
	sv_autoplan struct sv_plan *plan = NULL;
	struct sv_err err = { "" };
	size_t i;
	int r = sv_plan_make(pod, v, 1 << 20, fuzz_lookup, m, &plan, &err);

	MUST(r >= 0 && (r == 0 || *err.msg) && fuzz_is_printable(err.msg));
	check_refusal(m, pod, v, r);
	if (!plan)
		return;
	fuzz_check_plan(pod, plan, 1 << 20);
	for (i = 0; i < plan->n_files; i++)
		check_winner(m, pod, v, &plan->files[i]);
	sv_plan_forget(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, data + size };
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	sv_autobuf struct sv_buf text = { 0 };
	struct sv_err err = { "" };
	size_t i, j;

	fuzz_write_manifest(&in, &text);
	MUST(!text.failed);
	if (sv_manifest_parse(text.ptr, text.len, SV_FORMAT_JSON, NULL, &m, &err, NULL) != 0)
		return 0;
	for (i = 0; i < m.n_objects; i++)
		for (j = 0; m.objects[i].pod && j < m.objects[i].pod->n_volumes; j++)
			if (m.objects[i].pod->volumes[j].type != SV_VOLUME_OTHER)
				check_volume(&m, m.objects[i].pod, &m.objects[i].pod->volumes[j]);
	return 0;
}
