/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/base/digest.h"
#include "../support/support.h"

static struct sv_digest of(const char *first, const char *second)
{
	const struct sv_bytes parts[] = {
		{ (unsigned char *)(uintptr_t)first, strlen(first) },
		{ (unsigned char *)(uintptr_t)second, strlen(second) },
	};
	struct sv_digest d;

	ck_assert_int_eq(sv_digest_make(parts, 2, &d), 0);
	return d;
}

START_TEST(equal_input_has_equal_digests_and_other_input_has_not)
{
	static const char *const others[][2] = { { "ab", "d" }, { "a", "bc" }, { "abc", "" },
						 { "", "abc" }, { "c", "ab" }, { "", "" } };
	struct sv_digest a = of("ab", "c"), b = of("ab", "c");
	size_t i;

	ck_assert(sv_digest_equal(&a, &b));
	for (i = 0; i < SV_ARRAY_SIZE(others); i++) {
		b = of(others[i][0], others[i][1]);
		ck_assert_msg(!sv_digest_equal(&a, &b), "case %zu", i);
	}
}
END_TEST

START_TEST(the_number_of_parts_counts)
{
	struct sv_digest one, two = of("", "");

	ck_assert_int_eq(sv_digest_make(&(struct sv_bytes){ NULL, 0 }, 1, &one), 0);
	ck_assert(!sv_digest_equal(&one, &two));
	ck_assert_int_eq(sv_digest_make(NULL, 0, &two), 0);
	ck_assert(!sv_digest_equal(&one, &two));
}
END_TEST

/* Two processes that make their keys themselves. */
START_TEST(each_process_has_digests_of_its_own)
{
	struct sv_digest d[2];
	size_t i;

	for (i = 0; i < 2; i++) {
		int fds[2], status;
		pid_t pid;

		ck_assert_int_eq(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			d[i] = of("x", "y");
			_exit(write(fds[1], &d[i], sizeof(d[i])) != sizeof(d[i]));
		}
		ck_assert_int_eq(read(fds[0], &d[i], sizeof(d[i])), sizeof(d[i]));
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		close(fds[0]);
		close(fds[1]);
	}
	ck_assert(!sv_digest_equal(&d[0], &d[1]));
}
END_TEST

T_SUITE(digest)
{
	T_TEST(each_process_has_digests_of_its_own); /* first: this process has no key yet */
	T_TEST(equal_input_has_equal_digests_and_other_input_has_not);
	T_TEST(the_number_of_parts_counts);
}
