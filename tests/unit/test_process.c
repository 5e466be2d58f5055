/* SPDX-License-Identifier: Apache-2.0 */
/* Locking memory, on a system that can be told to refuse it. */
#include "../../daemon/process.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../../daemon/log.h"
#include "../support/support.h"

static bool refused, locked;
static unsigned warnings;
static char last[256];

/* What follows stands before the C library's, and before daemon/log.c. */

int mlockall(int flags)
{
	(void)flags;
	locked = !refused;
	errno = ENOMEM;
	return locked ? 0 : -1;
}

int munlockall(void)
{
	locked = false;
	return 0;
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	(void)resource;
	(void)limit;
	return 0; /* as if there were none */
}

void sv_log(enum sv_log_level level, const char *fmt, ...)
{
	va_list args;

	warnings += level == SV_LOG_WARNING;
	va_start(args, fmt);
	(void)vsnprintf(last, sizeof(last), fmt, args);
	va_end(args);
}

static void setup(void)
{
	refused = locked = false;
	warnings = 0;
}

START_TEST(memory_is_locked_again_after_a_trim)
{
	ck_assert(sv_process_lock_memory());
	sv_process_trim_memory();
	ck_assert(locked);
	ck_assert_uint_eq(warnings, 0);
}
END_TEST

START_TEST(what_cannot_be_locked_again_is_told_once_and_tried_again)
{
	unsigned i;

	ck_assert(sv_process_lock_memory());
	for (i = 1; i <= 2; i++) {
		refused = true;
		sv_process_trim_memory();
		sv_process_trim_memory();
		ck_assert(!locked);
		ck_assert_uint_eq(warnings, i);
		t_contains(last, strerror(ENOMEM));
		refused = false;
		sv_process_trim_memory();
		ck_assert(locked);
	}
}
END_TEST

START_TEST(what_was_never_locked_is_not_locked_by_a_trim)
{
	refused = true;
	ck_assert(!sv_process_lock_memory());
	refused = false;
	sv_process_trim_memory();
	ck_assert(!locked);
	ck_assert_uint_eq(warnings, 0);
}
END_TEST

T_SUITE(process)
{
	T_AROUND(setup, NULL);
	T_TEST(memory_is_locked_again_after_a_trim);
	T_TEST(what_cannot_be_locked_again_is_told_once_and_tried_again);
	T_TEST(what_was_never_locked_is_not_locked_by_a_trim);
}
