/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "../support/support.h"

START_TEST(the_code_is_passed_on_and_an_errno_is_explained)
{
	struct sv_err err = { "" };

	ck_assert_int_eq(sv_err_set(&err, 3, "secret \"%s\" not found", "nope"), 3);
	ck_assert_str_eq(err.msg, "secret \"nope\" not found");
	ck_assert_int_eq(sv_err_set(&err, -ENOENT, "cannot open '%s'", "x"), -ENOENT);
	ck_assert_str_eq(err.msg, "cannot open 'x': No such file or directory");
	ck_assert_int_eq(sv_err_set(NULL, -EIO, "nobody listens"), -EIO);
	ck_assert_int_eq(sv_err_prefix(NULL, 2, "nobody listens"), 2);
}
END_TEST

START_TEST(a_prefix_goes_in_front_once)
{
	struct sv_err err = { "" };

	sv_err_set(&err, -ENOSPC, "cannot write 'a'");
	ck_assert_int_eq(sv_err_prefix(&err, -ENOSPC, "volume '%s'", "v"), -ENOSPC);
	ck_assert_str_eq(err.msg, "volume 'v': cannot write 'a': No space left on device");
}
END_TEST

START_TEST(the_text_is_one_printable_line)
{
	struct sv_err err = { "" };

	sv_err_set(&err, 1, "key '%s'", "a\nb\x1b[0m\xff");
	ck_assert_str_eq(err.msg, "key 'a\\nb\\x1b[0m\\xff'");
	sv_err_prefix(&err, 1, "x\ty");
	ck_assert_str_eq(err.msg, "x\\ty: key 'a\\nb\\x1b[0m\\xff'");
}
END_TEST

START_TEST(a_long_text_is_cut_and_shows_it)
{
	sv_autofree char *text = t_repeat('a', 2 * SV_ERR_MAX);
	struct sv_err err = { "" };

	sv_err_set(&err, 1, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), SV_ERR_MAX - 1);
	ck_assert_str_eq(err.msg + SV_ERR_MAX - 5, "a…");
	sv_err_prefix(&err, 1, "pre");
	ck_assert_mem_eq(err.msg, "pre: aaa", 8);
	ck_assert_uint_lt(strlen(err.msg), SV_ERR_MAX);
	text[SV_ERR_MAX - 1] = '\0';
	sv_err_set(&err, 1, "%s", text);
	ck_assert_str_eq(err.msg, text);
}
END_TEST

T_SUITE(err)
{
	T_TEST(the_code_is_passed_on_and_an_errno_is_explained);
	T_TEST(a_prefix_goes_in_front_once);
	T_TEST(the_text_is_one_printable_line);
	T_TEST(a_long_text_is_cut_and_shows_it);
}
