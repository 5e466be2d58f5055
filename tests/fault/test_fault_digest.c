/* SPDX-License-Identifier: Apache-2.0 */
/* The key of digests is made once in a process: nothing here may have made one before. */
#include <errno.h>

#include "../../lib/base/digest.h"
#include "../support/support.h"
#include "fault.h"

START_TEST(without_randomness_there_is_no_digest_until_there_is)
{
	struct fault_loop loop = { .scope = FAULT_ALL };
	const struct sv_bytes part = { (unsigned char *)"value", 5 };
	struct sv_digest a, b;
	int r;

	FAULT_EACH(loop)
	{
		fault_on(&loop);
		r = sv_digest_make(&part, 1, &a);
		fault_off();
		ck_assert_msg((r < 0) == fault_fired(), "%d after %s", r, fault_text());
		ck_assert_msg(r == 0 || r == -EAGAIN || r == -EIO, "%d after %s", r, fault_text());
	}
	fault_enough(&loop, 2);
	ck_assert_int_eq(sv_digest_make(&part, 1, &b), 0);
	ck_assert(sv_digest_equal(&a, &b));
}
END_TEST

T_SUITE(fault_digest)
{
	T_TEST(without_randomness_there_is_no_digest_until_there_is);
}
