/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "complaint.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/text.h"

#define VALUE_SHOWN_MAX 256 /* bytes of an offending value that enter the text */

static const struct {
	const char *name, *text;
} categories[] = {
	[SV_DECODE] = { "decode", "" },
	[SV_REQUIRED] = { "Required", "Required value" },
	[SV_INVALID] = { "Invalid", "Invalid value" },
	[SV_DUPLICATE] = { "Duplicate", "Duplicate value" },
	[SV_NOT_FOUND] = { "NotFound", "Not found" },
	[SV_NOT_SUPPORTED] = { "NotSupported", "Unsupported value" },
	[SV_FORBIDDEN] = { "Forbidden", "Forbidden" },
	[SV_TOO_LONG] = { "TooLong", "Too long" },
	[SV_TOO_MANY] = { "TooMany", "Too many" },
};

const char *sv_category_name(enum sv_category c)
{
	return categories[c].name;
}

static char *escaped(const char *s, size_t max)
{
	size_t size = strlen(s) * 4 + 4; /* worst case: every byte as \xNN */
	char *out;

	if (size > max)
		size = max;
	out = malloc(size);
	if (out)
		sv_text_escape(out, size, s);
	return out;
}

/* @value as it is to be printed, quotes included; NULL for none. */
__attribute__((format(printf, 5, 0))) static void complain(struct sv_complaints *c,
							   enum sv_category category,
							   const char *field, const char *value,
							   const char *fmt, va_list ap)
{
	sv_autobuf struct sv_buf b = { 0 }, detail = { 0 };
	sv_autofree char *safe_field = escaped(field, 8192);
	sv_autofree char *message = NULL;
	struct sv_complaint *items;

	if (c->n >= SV_COMPLAINTS_MAX) {
		c->dropped++;
		return;
	}
	if (!safe_field)
		goto out_of_memory;
	sv_buf_vprintf(&detail, fmt, ap);
	if (category == SV_DECODE) {
		sv_buf_puts(&b, detail.failed ? "" : detail.ptr);
	} else {
		sv_buf_printf(&b, "%s: %s", safe_field, categories[category].text);
		if (value)
			sv_buf_printf(&b, ": %s", value);
		if (detail.len > 0)
			sv_buf_printf(&b, ": %s", detail.ptr);
	}
	if (b.failed || detail.failed)
		goto out_of_memory;
	message = escaped(b.ptr, 16384);
	items = reallocarray(c->items, c->n + 1, sizeof(*items));
	if (!message || !items) {
		c->items = items ? items : c->items;
		goto out_of_memory;
	}
	c->items = items;
	items[c->n++] = (struct sv_complaint){ .category = category,
					       .field = SV_TAKE(safe_field),
					       .message = SV_TAKE(message) };
	return;
out_of_memory:
	c->out_of_memory = true;
}

void sv_complain(struct sv_complaints *c, enum sv_category category, const char *field,
		 const char *value, const char *fmt, ...)
{
	char shown[VALUE_SHOWN_MAX], quoted[VALUE_SHOWN_MAX + 3];
	va_list ap;

	if (value) {
		size_t n;

		sv_text_escape(shown, sizeof(shown), value);
		n = strlen(shown);
		quoted[0] = '"';
		memcpy(quoted + 1, shown, n);
		quoted[n + 1] = '"';
		quoted[n + 2] = '\0';
	}
	va_start(ap, fmt);
	complain(c, category, field, value ? quoted : NULL, fmt, ap);
	va_end(ap);
}

void sv_complain_int(struct sv_complaints *c, const char *field, long long value, const char *fmt,
		     ...)
{
	sv_autofree char *number = sv_asprintf("%lld", value);
	va_list ap;

	if (!number) {
		c->out_of_memory = true;
		return;
	}
	va_start(ap, fmt);
	complain(c, SV_INVALID, field, number, fmt, ap);
	va_end(ap);
}

void sv_complaints_done(struct sv_complaints *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->items[i].field);
		free(c->items[i].message);
	}
	free(c->items);
	*c = (struct sv_complaints){ 0 };
}
