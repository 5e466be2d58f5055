/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "../support/support.h"

/* Offsets and verdicts are those of Go's encoding/base64 (R2). */
static const struct {
	const char *text;
	int bad; /* offset of the complaint, -1: fine */
	const char *want;
} decodings[] = {
	{ "", -1, "" },
	{ "Zg==", -1, "f" },
	{ "Zm8=", -1, "fo" },
	{ "Zm9v", -1, "foo" },
	{ "Zm9vYmFy", -1, "foobar" },
	{ "bXktYXBw", -1, "my-app" },
	{ "+/+/", -1, "\xfb\xff\xbf" },
	{ "Zh==", -1, "f" }, /* bits left over in the last symbol */
	{ "Zm9=", -1, "fo" },
	/* CR and LF wherever they stand */
	{ "Zm9v\n", -1, "foo" },
	{ "\r\nZm9v", -1, "foo" },
	{ "Z\nm\r9\r\nv", -1, "foo" },
	{ "Zg\n==", -1, "f" },
	{ "Zg=\n=", -1, "f" },
	{ "Zg==\r\n\n", -1, "f" },
	{ "Zm8=\n", -1, "fo" },
	{ "\n\r\n", -1, "" },
	/* padding is mandatory, and nothing follows it */
	{ "Z", 0, NULL },
	{ "Zg", 0, NULL },
	{ "Zm8", 0, NULL },
	{ "Zm9vZ", 4, NULL },
	{ "Zm9vZg", 4, NULL },
	{ "Zg=", 3, NULL },
	{ "Zg=\n", 4, NULL },
	{ "Zg=x", 2, NULL },
	{ "Zg=\nx", 3, NULL },
	{ "=", 0, NULL },
	{ "====", 0, NULL },
	{ "Z===", 1, NULL },
	{ "Z=", 1, NULL },
	{ "Zg===", 4, NULL },
	{ "Zm8==", 4, NULL },
	{ "Zg==Zg==", 4, NULL },
	{ "Zg==\nx", 5, NULL },
	{ "Zm9v=", 4, NULL },
	/* foreign bytes */
	{ " Zm9v", 0, NULL },
	{ "Zm9v ", 4, NULL },
	{ "Zm\t9v", 2, NULL },
	{ "Zm9!", 3, NULL },
	{ "-_-_", 0, NULL }, /* the URL-safe alphabet */
	{ "Zm9v\xc3\xa9", 4, NULL },
	{ "plain text", 5, NULL },
};

START_TEST(base64_is_read_as_go_reads_it)
{
	const char *text = decodings[_i].text;
	sv_autobytes struct sv_bytes b = { NULL, 0 };
	size_t bad = 77;
	int r = sv_base64_decode(text, strlen(text), &b, &bad);

	if (decodings[_i].bad >= 0) {
		ck_assert_int_eq(r, SV_BASE64_E_ILLEGAL);
		ck_assert_uint_eq(bad, (size_t)decodings[_i].bad);
		ck_assert_ptr_null(b.ptr); /* written on 0 only */
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(b.len, strlen(decodings[_i].want));
	if (b.len)
		ck_assert_mem_eq(b.ptr, decodings[_i].want, b.len);
	else
		ck_assert_ptr_null(b.ptr);
}
END_TEST

START_TEST(a_nul_byte_is_foreign_and_the_offset_may_be_unwanted)
{
	struct sv_bytes b = { NULL, 0 };
	size_t bad;

	ck_assert_int_eq(sv_base64_decode("Zm\0v", 4, &b, &bad), SV_BASE64_E_ILLEGAL);
	ck_assert_uint_eq(bad, 2);
	ck_assert_int_eq(sv_base64_decode("!", 1, &b, NULL), SV_BASE64_E_ILLEGAL);
}
END_TEST

START_TEST(what_is_encoded_is_decoded_again)
{
	unsigned char in[300];
	size_t len, i;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(i * 7 + 3);
	for (len = 0; len < sizeof(in); len++) {
		sv_autofree char *text = sv_base64_encode(in, len);
		sv_autobytes struct sv_bytes b = { NULL, 0 };

		ck_assert_uint_eq(strlen(text), (len + 2) / 3 * 4);
		ck_assert_int_eq(sv_base64_decode(text, strlen(text), &b, NULL), 0);
		ck_assert_uint_eq(b.len, len);
		ck_assert(len == 0 || memcmp(b.ptr, in, len) == 0);
	}
}
END_TEST

START_TEST(encoding_uses_the_standard_alphabet_and_pads)
{
	sv_autofree char *one = sv_base64_encode("f", 1), *two = sv_base64_encode("fo", 2);
	sv_autofree char *none = sv_base64_encode(NULL, 0), *odd = sv_base64_encode("\xfb\xff", 2);

	ck_assert_str_eq(one, "Zg==");
	ck_assert_str_eq(two, "Zm8=");
	ck_assert_str_eq(none, "");
	ck_assert_str_eq(odd, "+/8=");
}
END_TEST

START_TEST(taking_moves_and_wiping_empties)
{
	struct sv_bytes a = { NULL, 0 }, b;

	ck_assert_int_eq(sv_bytes_copy("abc", 3, &a), 0);
	b = sv_bytes_take(&a);
	ck_assert_ptr_null(a.ptr);
	ck_assert_uint_eq(a.len, 0);
	ck_assert_uint_eq(b.len, 3);
	sv_bytes_wipe(&b);
	ck_assert_ptr_null(b.ptr);
	ck_assert_uint_eq(b.len, 0);
	sv_bytes_wipe(&b); /* and once more does no harm */
	sv_bytes_wipe(NULL);
}
END_TEST

START_TEST(equal_means_same_length_and_bytes)
{
	unsigned char abc[] = "abc", abd[] = "abd";
	struct sv_bytes a = { abc, 3 }, b = { abd, 3 }, shorter = { abc, 2 }, none = { NULL, 0 };

	ck_assert(sv_bytes_equal(&a, &a));
	ck_assert(!sv_bytes_equal(&a, &b));
	ck_assert(!sv_bytes_equal(&a, &shorter));
	ck_assert(sv_bytes_equal(&none, &none));
	ck_assert(!sv_bytes_equal(&none, &a));
	ck_assert_int_eq(sv_bytes_copy(NULL, 0, &none), 0);
	ck_assert_ptr_null(none.ptr);
}
END_TEST

T_SUITE(bytes)
{
	T_EACH(base64_is_read_as_go_reads_it, decodings);
	T_TEST(a_nul_byte_is_foreign_and_the_offset_may_be_unwanted);
	T_TEST(what_is_encoded_is_decoded_again);
	T_TEST(encoding_uses_the_standard_alphabet_and_pads);
	T_TEST(taking_moves_and_wiping_empties);
	T_TEST(equal_means_same_length_and_bytes);
}
