/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t sv_utf8_len(const char *str, size_t len)
{
	const unsigned char *s = (const unsigned char *)str;
	size_t need, i;
	uint32_t c;

	if (len == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		need = 2, c = s[0] & 0x1f;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		need = 3, c = s[0] & 0x0f;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		need = 4, c = s[0] & 0x07;
	else
		return 0;
	if (need > len)
		return 0;
	for (i = 1; i < need; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((need == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
	    (need == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return need;
}

bool sv_utf8_valid(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t n = sv_utf8_len(s + i, len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* Characters that move the cursor or reorder what stands around them. */
static bool is_harmful(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;

	if (n == 1)
		return u[0] < 0x20 || u[0] == 0x7f;
	if (n == 2)
		return u[0] == 0xc2 && u[1] < 0xa0; /* C1 controls */
	if (n == 3 && u[0] == 0xe2 && u[1] == 0x80) /* U+200E, U+200F, U+2028-U+202E */
		return u[2] == 0x8e || u[2] == 0x8f || (u[2] >= 0xa8 && u[2] <= 0xae);
	if (n == 3 && u[0] == 0xe2 && u[1] == 0x81) /* U+2066-U+2069 */
		return u[2] >= 0xa6 && u[2] <= 0xa9;
	return false;
}

static size_t escape_one(char out[16], const char *s, size_t len, size_t *used)
{
	size_t n = sv_utf8_len(s, len), i, o = 0;

	*used = n ? n : 1;
	if (n && !is_harmful(s, n)) {
		memcpy(out, s, n);
		return n;
	}
	if (*s == '\n' || *s == '\t' || *s == '\r') {
		out[0] = '\\';
		out[1] = *s == '\n' ? 'n' : *s == '\t' ? 't' : 'r';
		return 2;
	}
	for (i = 0; i < *used; i++) {
		static const char hex[] = "0123456789abcdef";

		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex[(unsigned char)s[i] >> 4];
		out[o++] = hex[(unsigned char)s[i] & 15];
	}
	return o;
}

void sv_text_escape(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src), i = 0, o = 0, safe = 0;

	while (i < len) {
		char one[16];
		size_t used, n = escape_one(one, src + i, len - i, &used);

		if (o + n + 1 > size) {
			memcpy(dst + safe, "…", 3);
			dst[safe + 3] = '\0';
			return;
		}
		memcpy(dst + o, one, n);
		o += n;
		i += used;
		if (o + 4 <= size)
			safe = o; /* the mark still fits behind this character */
	}
	dst[o] = '\0';
}

static bool reserve(struct sv_buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 64;
	char *p;

	if (b->failed || more > SIZE_MAX / 4 - b->len)
		return !(b->failed = true);
	while (cap < b->len + more + 1)
		cap *= 2;
	if (cap == b->cap)
		return true;
	p = malloc(cap); /* not realloc(): the old copy is wiped */
	if (!p)
		return !(b->failed = true);
	if (b->ptr) {
		memcpy(p, b->ptr, b->len + 1);
		explicit_bzero(b->ptr, b->cap);
		free(b->ptr);
	}
	b->ptr = p;
	b->cap = cap;
	return true;
}

void sv_buf_add(struct sv_buf *b, const char *s, size_t len)
{
	if (!reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->ptr + b->len, s, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

void sv_buf_puts(struct sv_buf *b, const char *s)
{
	sv_buf_add(b, s, strlen(s));
}

void sv_buf_vprintf(struct sv_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		b->failed = true;
	if (n < 0 || !reserve(b, (size_t)n))
		return;
	(void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void sv_buf_printf(struct sv_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void sv_buf_done(struct sv_buf *b)
{
	if (b->ptr)
		explicit_bzero(b->ptr, b->cap);
	free(b->ptr);
	*b = (struct sv_buf){ 0 };
}

void sv_text_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

char *sv_buf_take(struct sv_buf *b)
{
	char *p;

	if (!b->ptr)
		sv_buf_add(b, "", 0);
	if (b->failed) {
		sv_buf_done(b);
		return NULL;
	}
	p = b->ptr;
	*b = (struct sv_buf){ 0 };
	return p;
}

char *sv_asprintf(const char *fmt, ...)
{
	struct sv_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return sv_buf_take(&b);
}
