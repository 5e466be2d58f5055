/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning paths, and the checks of paths and names, against others that are slower and simpler. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/path.h"
#include "../../lib/core/validate.h"
#include "fuzz.h"

/* With a stack of elements. */
static char *reference_clean(const char *path)
{
	char *copy = strdup(path), *save = NULL, *word;
	char **stack = calloc(strlen(path) + 1, sizeof(*stack));
	struct sv_buf b = { 0 };
	size_t n = 0, i;

	MUST(copy && stack);
	for (word = strtok_r(copy, "/", &save); word; word = strtok_r(NULL, "/", &save)) {
		if (strcmp(word, "..") == 0)
			n -= n > 0;
		else if (strcmp(word, ".") != 0)
			stack[n++] = word;
	}
	for (i = 0; i < n; i++)
		sv_buf_printf(&b, "/%s", stack[i]);
	if (n == 0)
		sv_buf_puts(&b, "/");
	free(stack);
	free(copy);
	return sv_buf_take(&b);
}

static void check_clean(const char *path)
{
	sv_autofree char *absolute = sv_path_clean_absolute(path);
	sv_autofree char *relative = sv_path_clean(path);
	sv_autofree char *want = reference_clean(path), *again = NULL;

	MUST(absolute && relative && strcmp(absolute, want) == 0);
	MUST(strcmp(relative, want[1] ? want + 1 : ".") == 0);
	again = sv_path_clean_absolute(absolute);
	MUST(again && strcmp(again, absolute) == 0);
}

static void check_checks(const char *text)
{
	size_t n = strlen(text);
	bool dotdot;
	sv_autofree char *padded = sv_asprintf("/%s/", text);

	MUST(padded);
	dotdot = strstr(padded, "/../") != NULL;
	MUST(!(dotdot || text[0] == '/') == !sv_check_sub_path(text));
	if (!sv_check_payload_path(text)) {
		MUST(n > 0 && n <= SV_PATH_MAX_BYTES && !dotdot && text[0] != '/');
		MUST(!sv_check_relative_path(text));
	}
	if (!sv_check_secret_key(text)) /* a key is a file's name */
		MUST(!sv_check_payload_path(text) && !strchr(text, '/'));
	if (!sv_check_label(text))
		MUST(n <= SV_LABEL_MAX && !sv_check_subdomain(text) && !sv_check_secret_key(text));
	if (!sv_check_subdomain(text))
		MUST(n > 0 && n <= SV_SUBDOMAIN_MAX && !strstr(text, "..") && text[0] != '.');
	if (!sv_check_uid(text))
		MUST(n > 0 && n <= SV_UID_MAX && !dotdot && !strchr(text, '/') &&
		     strcmp(text, ".") != 0);
	if (!sv_check_env_name(text))
		MUST(!sv_check_env_name_relaxed(text));
	if (!sv_check_env_name_relaxed(text))
		MUST(n > 0 && !strchr(text, '=') && fuzz_is_printable(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sv_autofree char *text = strndup((const char *)data, size);

	MUST(text);
	check_clean(text);
	check_checks(text);
	return 0;
}
