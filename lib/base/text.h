/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text - text of others made safe to print, and strings that grow
 *
 * Names and keys come from manifests. Whatever they hold, what we print is one
 * line of valid UTF-8 without control characters.
 */
#ifndef SV_BASE_TEXT_H
#define SV_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Length of the valid UTF-8 sequence at @s (1-4), or 0 if there is none within @len bytes. */
size_t sv_utf8_len(const char *s, size_t len);

/* True if all @len bytes are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool sv_utf8_valid(const char *s, size_t len);

/**
 * sv_text_escape() - copy text so that it can be printed
 *
 * Control characters, DEL, C1 controls, bidirectional controls and bytes that are not UTF-8
 * become escapes in Go's manner (\n, \t, \x1b). Cuts at a character that does not fit and ends with "…" then.
 * @size must be at least 4; always terminates.
 */
void sv_text_escape(char *dst, size_t size, const char *src);

/*
 * A growing string. All zero is the empty string. After an allocation failed
 * it stays as it was and `failed` is set, so that a caller may check once.
 */
struct sv_buf {
	char *ptr; /* NUL-terminated once anything was added; owned */
	size_t len, cap;
	bool failed;
};

void sv_buf_add(struct sv_buf *b, const char *s, size_t len);
void sv_buf_puts(struct sv_buf *b, const char *s);
void sv_buf_printf(struct sv_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sv_buf_vprintf(struct sv_buf *b, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* Wipes, frees, and leaves the empty string. */
void sv_buf_done(struct sv_buf *b);

/* The text, owned by the caller ("" if nothing was added); NULL if an allocation failed. Empties @b. */
char *sv_buf_take(struct sv_buf *b);

/* Wipes a string that may hold a value, and frees it; NULL is fine. */
void sv_text_free(char *text);

#define sv_autobuf __attribute__((cleanup(sv_buf_done)))

/* printf into a new string; NULL for lack of memory. */
char *sv_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
