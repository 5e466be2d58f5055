/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../support/support.h"

static const struct {
	const char *text;
	size_t len; /* of the sequence at its start; 0: none */
} sequences[] = {
	{ "a", 1 },
	{ "\x7f", 1 },
	{ "\xc2\x80", 2 },
	{ "\xdf\xbf", 2 },
	{ "\xe0\xa0\x80", 3 },
	{ "\xed\x9f\xbf", 3 },
	{ "\xee\x80\x80", 3 },
	{ "\xef\xbf\xbf", 3 },
	{ "\xf0\x90\x80\x80", 4 },
	{ "\xf4\x8f\xbf\xbf", 4 },
	{ "\x80", 0 }, /* a continuation */
	{ "\xbf", 0 },
	{ "\xc0\x80", 0 }, /* overlong */
	{ "\xc1\xbf", 0 },
	{ "\xe0\x9f\xbf", 0 },
	{ "\xf0\x8f\xbf\xbf", 0 },
	{ "\xed\xa0\x80", 0 }, /* surrogates */
	{ "\xed\xbf\xbf", 0 },
	{ "\xf4\x90\x80\x80", 0 }, /* beyond U+10FFFF */
	{ "\xf5\x80\x80\x80", 0 },
	{ "\xff", 0 },
	{ "\xc3", 0 }, /* cut short */
	{ "\xe2\x82", 0 },
	{ "\xf0\x9f\x98", 0 },
	{ "\xc3(", 0 },
	{ "\xe2\x28\xa1", 0 },
	{ "", 0 },
};

START_TEST(utf8_is_what_rfc_3629_says)
{
	const char *text = sequences[_i].text;

	ck_assert_uint_eq(sv_utf8_len(text, strlen(text)), sequences[_i].len);
	if (*text)
		ck_assert_int_eq(sv_utf8_valid(text, strlen(text)), sequences[_i].len > 0);
	if (sequences[_i].len > 1) /* all but its last byte is not one */
		ck_assert(!sv_utf8_valid(text, strlen(text) - 1));
}
END_TEST

static const struct {
	const char *text, *want;
} escapes[] = {
	{ "", "" },
	{ "plain \"text\" \\ 'x'", "plain \"text\" \\ 'x'" },
	{ "a\nb\tc\rd", "a\\nb\\tc\\rd" },
	{ "\x01\x1b[31m\x1f", "\\x01\\x1b[31m\\x1f" },
	{ "\x7f", "\\x7f" },
	{ "\xc2\x80\xc2\x9b\xc2\x9f", "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f" }, /* C1 */
	{ "\xc2\xa0", "\xc2\xa0" },
	{ "é € 😀", "é € 😀" },
	{ "\xe2\x80\x8b", "\xe2\x80\x8b" }, /* zero width, harmless */
	{ "\xe2\x80\x8e\xe2\x80\x8f", "\\xe2\\x80\\x8e\\xe2\\x80\\x8f" },
	{ "\xe2\x80\xa8\xe2\x80\xa9", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9" },
	{ "\xe2\x80\xaa|\xe2\x80\xae", "\\xe2\\x80\\xaa|\\xe2\\x80\\xae" },
	{ "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9", "\xe2\x81\xa5\\xe2\\x81\\xa6\\xe2\\x81\\xa9" },
	{ "\xe2\x80\xaf", "\xe2\x80\xaf" },
	{ "\xff"
	  "a\xc3",
	  "\\xffa\\xc3" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	{ "\xe2\x82z", "\\xe2\\x82z" },
};

START_TEST(text_is_made_safe_to_print)
{
	char out[200];

	sv_text_escape(out, sizeof(out), escapes[_i].text);
	ck_assert_str_eq(out, escapes[_i].want);
	ck_assert(sv_utf8_valid(out, strlen(out)));
}
END_TEST

static const struct {
	const char *text;
	size_t size;
	const char *want;
} cuts[] = {
	{ "abc", 4, "abc" },         { "abcd", 5, "abcd" },
	{ "abcde", 5, "a…" },        { "abcdef", 6, "ab…" },
	{ "abcdef", 4, "…" },        { "ééé", 7, "ééé" },
	{ "éééé", 7, "é…" }, /* a character is whole or absent */
	{ "éééé", 6, "é…" },         { "éééé", 5, "…" },
	{ "ab\n\n\n", 8, "ab\\n…" }, /* and so is an escape */
	{ "ab\n\n\n", 7, "ab…" },    { "\xff\xff", 9, "\\xff\\xff" },
	{ "\xff\xff", 8, "\\xff…" }, { "\xff\xff", 7, "…" },
};

START_TEST(text_is_cut_at_a_character_and_shows_it)
{
	char out[64];

	memset(out, '#', sizeof(out));
	sv_text_escape(out, cuts[_i].size, cuts[_i].text);
	ck_assert_str_eq(out, cuts[_i].want);
	ck_assert_uint_lt(strlen(out), cuts[_i].size);
	ck_assert_int_eq(out[cuts[_i].size], '#'); /* nothing beyond what it was given */
}
END_TEST

START_TEST(a_buffer_grows_and_is_taken)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_autofree char *text = NULL, *none = NULL, *more = NULL;
	int i;

	none = sv_buf_take(&b);
	ck_assert_str_eq(none, "");
	for (i = 0; i < 1000; i++)
		sv_buf_printf(&b, "%d,", i % 10);
	ck_assert_uint_eq(b.len, 2000);
	sv_buf_puts(&b, "x");
	sv_buf_add(&b, "y\0z", 3);
	ck_assert_uint_eq(b.len, 2004);
	text = sv_buf_take(&b);
	ck_assert_mem_eq(text + 1996, "8,9,xy\0z", 9);
	ck_assert_ptr_null(b.ptr);
	more = sv_asprintf("%s-%d", "a", 5);
	ck_assert_str_eq(more, "a-5");
}
END_TEST

START_TEST(a_buffer_that_failed_stays_as_it_was)
{
	struct sv_buf b = { 0 };

	sv_buf_puts(&b, "abc");
	sv_buf_add(&b, "", (size_t)-1);
	ck_assert(b.failed);
	sv_buf_puts(&b, "def");
	ck_assert_str_eq(b.ptr, "abc");
	ck_assert_ptr_null(sv_buf_take(&b));
	ck_assert_ptr_null(b.ptr);
	ck_assert(!b.failed);
}
END_TEST

T_SUITE(text)
{
	T_EACH(utf8_is_what_rfc_3629_says, sequences);
	T_EACH(text_is_made_safe_to_print, escapes);
	T_EACH(text_is_cut_at_a_character_and_shows_it, cuts);
	T_TEST(a_buffer_grows_and_is_taken);
	T_TEST(a_buffer_that_failed_stays_as_it_was);
}
