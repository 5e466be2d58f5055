/* SPDX-License-Identifier: Apache-2.0 */
/* subPathExpr with arbitrary values behind the names: what comes out stays in the volume. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/core/env.h"
#include "../../lib/core/validate.h"
#include "fuzz.h"

/* The expansion again, a byte at a time. False: a name has no value. */
static bool reference_expand(const struct sv_env *env, const char *s, struct sv_buf *out)
{
	bool good = true;

	while (*s) {
		const char *close = s[0] == '$' && s[1] == '(' ? strchr(s, ')') : NULL;

		if (s[0] == '$' && s[1] == '$') {
			sv_buf_puts(out, "$");
			s += 2;
		} else if (close) {
			sv_autofree char *name = strndup(s + 2, (size_t)(close - s - 2));
			const struct sv_bytes *v = sv_env_get(env, name);

			if (v && v->len > 0)
				sv_buf_add(out, (const char *)v->ptr, v->len);
			else
				good = false;
			s = close + 1;
		} else {
			sv_buf_add(out, s++, 1);
		}
	}
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char names[3][4] = { "A", "B", "a.b" };
	struct fuzz_in in = { data, data + size };
	struct sv_env_entry entries[3];
	struct sv_env env = { .entries = entries, .n_entries = 3 };
	sv_autofree char *expr = NULL, *path = NULL;
	sv_autobuf struct sv_buf want = { 0 };
	struct sv_err err = { "" };
	size_t i;
	bool good;
	int r;

	for (i = 0; i < 3; i++) {
		size_t n = fuzz_below(&in, 20);

		if (n > (size_t)(in.end - in.at))
			n = (size_t)(in.end - in.at);
		entries[i].name = names[i];
		MUST(sv_bytes_copy(in.at, n, &entries[i].value) == 0); /* NUL and all */
		in.at += n;
	}
	expr = strndup((const char *)in.at, (size_t)(in.end - in.at));
	MUST(expr);
	r = sv_env_sub_path(&env, expr, &path, &err);
	good = reference_expand(&env, expr, &want);
	sv_buf_add(&want, "", 0);
	MUST(!want.failed);
	good = good && strlen(want.ptr) == want.len && want.len <= SV_PATH_MAX_BYTES &&
	       !sv_check_sub_path(want.ptr);
	MUST((r == 0) == good);
	if (r == 0)
		MUST(strcmp(path, want.ptr) == 0);
	else
		MUST(r == SV_PLAN_E_PATH && !path && *err.msg && fuzz_is_printable(err.msg));
	for (i = 0; i < 3; i++)
		sv_bytes_wipe(&entries[i].value);
	return 0;
}
