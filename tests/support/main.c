/* SPDX-License-Identifier: Apache-2.0 */
/* main() of every unit test program; libcheck prints the summary that tests/run counts. */
#include "support.h"

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
