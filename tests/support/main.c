/* SPDX-License-Identifier: Apache-2.0 */
/* main() of every unit test program; libcheck prints the summary that tests/run counts. */
#include <stdlib.h>
#include <string.h>

#include "support.h"

void t_add_test(TCase *t, const char *name, const TTest *test, int n)
{
	const char *only = getenv("T_ONLY");

	if (only && !strstr(name, only))
		return;
	if (n == 1)
		tcase_add_test(t, test);
	else
		tcase_add_loop_test(t, test, 0, n);
}

int main(void)
{
	Suite *suite = suite_create(t_name);
	TCase *t = tcase_create(t_name);
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, t);
	tcase_set_timeout(t, 120); /* of one test; the machine may be busy */
	t_add_tests(t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
