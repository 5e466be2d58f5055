/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed is one line of valid UTF-8 that fits, whatever it was made from. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/complaint.h"
#include "fuzz.h"

static void check_escape(const char *text, size_t size)
{
	char *out = malloc(size); /* of that size, so that a byte too far is found */
	char *whole = malloc(strlen(text) * 4 + 4);
	size_t len;

	MUST(out && whole);
	memset(out, 'x', size);
	sv_text_escape(out, size, text);
	len = strnlen(out, size);
	MUST(len < size);
	MUST(fuzz_is_printable(out));
	sv_text_escape(whole, strlen(text) * 4 + 4, text);
	MUST(fuzz_is_printable(whole));
	if (strlen(whole) < size) /* nothing is cut that would have fitted */
		MUST(strcmp(out, whole) == 0);
	else
		MUST(len >= 3 && strcmp(out + len - 3, "…") == 0 &&
		     strncmp(out, whole, len - 3) == 0);
	free(out);
	free(whole);
}

static void check_err(const char *text)
{
	struct sv_err err;

	MUST(sv_err_set(&err, 1, "a %s", text) == 1);
	MUST(fuzz_is_printable(err.msg));
	MUST(sv_err_prefix(&err, -5, "%s%s", text, text) == -5);
	MUST(fuzz_is_printable(err.msg));
	MUST(sv_err_set(&err, -2, "%s", text) == -2);
	MUST(fuzz_is_printable(err.msg));
}

static void check_complaint(const char *text)
{
	sv_autocomplaints struct sv_complaints c = { 0 };

	sv_complain(&c, SV_INVALID, text, text, "%s", text);
	sv_complain(&c, SV_DECODE, text, NULL, "%s", text);
	MUST(c.n == 2);
	MUST(fuzz_is_printable(c.items[0].message) && fuzz_is_printable(c.items[0].field));
	MUST(fuzz_is_printable(c.items[1].message));
}

/* UTF-8 by another road: decode, and encode again. */
static size_t reference_utf8_len(const unsigned char *s, size_t len)
{
	static const struct {
		unsigned char mask, lead;
		size_t n;
		uint32_t min;
	} forms[] = { { 0x80, 0, 1, 0 },
		      { 0xe0, 0xc0, 2, 0x80 },
		      { 0xf0, 0xe0, 3, 0x800 },
		      { 0xf8, 0xf0, 4, 0x10000 } };
	size_t i, j;

	for (i = 0; len > 0 && i < 4; i++) {
		uint32_t c = s[0] & (unsigned char)~forms[i].mask;

		if ((s[0] & forms[i].mask) != forms[i].lead || forms[i].n > len)
			continue;
		for (j = 1; j < forms[i].n; j++) {
			if (s[j] >> 6 != 2)
				return 0;
			c = c * 64 + s[j] % 64;
		}
		return c < forms[i].min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 :
											 forms[i].n;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, data + size };
	size_t room = 4 + fuzz_below(&in, 300), i;
	sv_autofree char *text = NULL;

	for (i = 0; i < size; i++)
		MUST(sv_utf8_len((const char *)data + i, size - i) ==
		     reference_utf8_len(data + i, size - i));
	text = strndup((const char *)in.at, (size_t)(in.end - in.at));
	MUST(text);
	check_escape(text, room);
	check_err(text);
	check_complaint(text);
	return 0;
}
