/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"

#include <stdlib.h>
#include <string.h>

/* Appends the elements of @path to @start, each with a slash in front. Return: the end. */
static char *add_elements(char *start, const char *path)
{
	char *o = start;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (o > start && *--o != '/')
				;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			*o++ = '/';
			memcpy(o, path, n);
			o += n;
		}
		path += n;
		path += *path == '/';
	}
	*o = '\0';
	return o;
}

char *sv_path_clean_absolute(const char *path)
{
	char *out = calloc(1, strlen(path) + 2);

	if (out && add_elements(out, path) == out)
		memcpy(out, "/", 2);
	return out;
}

char *sv_path_clean(const char *path)
{
	char *out = sv_path_clean_absolute(path);

	if (!out)
		return NULL;
	if (out[1])
		memmove(out, out + 1, strlen(out)); /* the NUL as well */
	else
		out[0] = '.';
	return out;
}
