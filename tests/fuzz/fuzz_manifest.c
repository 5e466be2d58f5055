/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a manifest of either format, and the plans of every volume in it. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/core/validate.h"
#include "fuzz.h"

static void check_plans(struct sv_manifest *m, const struct sv_pod *pod)
{
	static const size_t limits[] = { 16 << 20, 8 };
	size_t i, j;

	for (i = 0; i < pod->n_volumes; i++) {
		const struct sv_volume *v = &pod->volumes[i];

		MUST(!sv_check_label(v->name) && (v->default_mode & ~(mode_t)0777) == 0);
		for (j = 0; j < 2 && v->type != SV_VOLUME_OTHER; j++) {
			sv_autoplan struct sv_plan *plan = NULL;
			struct sv_err err = { "" };
			int r = sv_plan_make(pod, v, limits[j], fuzz_lookup, m, &plan, &err);

			MUST(r >= 0 && !plan == (r != 0));
			MUST(fuzz_is_printable(err.msg) && (r == 0 || *err.msg));
			if (plan)
				fuzz_check_plan(pod, plan, limits[j]);
		}
	}
}

static void check_pod(struct sv_manifest *m, const struct sv_pod *pod)
{
	size_t i;

	MUST(!sv_check_subdomain(pod->name) && !sv_check_label(pod->ns) && !sv_check_uid(pod->uid));
	MUST(pod->fs_group >= -1 && pod->fs_group <= SV_ID_MAX && pod->n_containers > 0);
	for (i = 0; i < pod->n_containers; i++)
		MUST(!sv_check_label(pod->containers[i].name));
	MUST(sv_pod_equal(pod, pod));
	check_plans(m, pod);
}

static void check_secret(const struct sv_secret *s)
{
	size_t i, size = 0;

	MUST(!sv_check_subdomain(s->name) && !sv_check_label(s->ns) && *s->type);
	for (i = 0; i < s->n_keys; i++) {
		MUST(!sv_check_secret_key(s->keys[i].name));
		MUST(i == 0 || strcmp(s->keys[i - 1].name, s->keys[i].name) < 0);
		MUST(sv_secret_value(s, s->keys[i].name) == &s->data->values[i]);
		MUST(s->data->values[i].len == s->keys[i].size);
		size += s->keys[i].size;
	}
	MUST(size == s->size && size <= SV_SECRET_SIZE_MAX);
}

static void check_object(struct sv_manifest *m, const struct sv_manifest_object *o)
{
	size_t i;

	MUST((o->complaints.n > 0) == (!o->pod && !o->secret) && !(o->pod && o->secret));
	MUST(o->complaints.n <= SV_COMPLAINTS_MAX);
	for (i = 0; i < o->complaints.n; i++)
		MUST(fuzz_is_printable(o->complaints.items[i].message) &&
		     *o->complaints.items[i].message &&
		     fuzz_is_printable(o->complaints.items[i].field));
	if (o->pod)
		check_pod(m, o->pod);
	if (o->secret)
		check_secret(o->secret);
}

static void check_text(const char *text, size_t len, const struct sv_decode_opts *opts)
{
	static const enum sv_format formats[] = { SV_FORMAT_YAML, SV_FORMAT_JSON };
	size_t i, j;

	for (i = 0; i < 2; i++) {
		sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
		struct sv_err err = { "" };
		unsigned line = 7;
		int r = sv_manifest_parse(text, len, formats[i], opts, &m, &err, &line);

		MUST(r == 0 || r == SV_MANIFEST_E_SYNTAX);
		if (r)
			MUST(*err.msg && fuzz_is_printable(err.msg) && m.n_objects == 0);
		for (j = 0; j < m.n_objects; j++)
			check_object(&m, &m.objects[j]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv_decode_opts opts = { .strict_env_names = size % 2, .from_api = size / 2 % 2 };

	if (size > 0 && data[0] == 0xff) { /* objects that are mostly in order */
		struct fuzz_in in = { data + 1, data + size };
		sv_autobuf struct sv_buf text = { 0 };

		fuzz_write_manifest(&in, &text);
		MUST(!text.failed);
		check_text(text.ptr, text.len, &opts);
	} else {
		check_text((const char *)data, size, &opts);
	}
	return 0;
}
