/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

__attribute__((format(printf, 4, 0))) static void set(struct sv_err *err, int r, const char *tail,
						      const char *fmt, va_list ap)
{
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_vprintf(&b, fmt, ap);
	if (tail)
		sv_buf_printf(&b, ": %s", tail);
	if (r < 0) {
		char text[128];

		sv_buf_printf(&b, ": %s", strerror_r(-r, text, sizeof(text)));
	}
	sv_text_escape(err->msg, sizeof(err->msg), b.failed ? "out of memory" : b.ptr);
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
