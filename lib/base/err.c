/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

/* More than a message holds: what is cut off here would not be seen. */
#define RAW_MAX ((size_t)2 * SV_ERR_MAX)

static void add(char raw[RAW_MAX], const char *text)
{
	size_t at = strlen(raw);

	(void)snprintf(raw + at, RAW_MAX - at, ": %s", text);
}

/* Allocates nothing: a refusal stands until there is new input, and must say why in any case. */
__attribute__((format(printf, 4, 0))) static void set(struct sv_err *err, int r, const char *tail,
						      const char *fmt, va_list ap)
{
	char raw[RAW_MAX] = "";

	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	if (tail)
		add(raw, tail);
	if (r < 0) {
		char text[128];

		add(raw, strerror_r(-r, text, sizeof(text)));
	}
	sv_text_escape(err->msg, sizeof(err->msg), raw);
}

int sv_err_set(struct sv_err *err, int r, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return r;
	va_start(ap, fmt);
	set(err, r, NULL, fmt, ap);
	va_end(ap);
	return r;
}

int sv_err_prefix(struct sv_err *err, int r, const char *fmt, ...)
{
	char tail[SV_ERR_MAX];
	va_list ap;

	if (!err)
		return r;
	memcpy(tail, err->msg, sizeof(tail));
	va_start(ap, fmt);
	set(err, 0, tail, fmt, ap);
	va_end(ap);
	return r;
}
