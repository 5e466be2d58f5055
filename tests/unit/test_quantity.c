/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "../../lib/base/quantity.h"
#include "../support/support.h"

#define BAD INT64_MIN

static const struct {
	const char *text;
	int64_t want; /* ms */
} durations[] = {
	{ "87840h1ns", BAD }, /* each part is within the limit */
	{ "0", 0 },
	{ "0s", 0 },
	{ "300ms", 300 },
	{ "5s", 5000 },
	{ "2m30s", 150000 },
	{ "1h", 3600000 },
	{ "1.5h", 5400000 },
	{ "1h1m1s1ms", 3661001 },
	{ ".5s", 500 },
	{ "1.s", 1000 },
	{ "1us", 1 }, /* rounded up */
	{ "1ns", 1 },
	{ "1000us", 1 },
	{ "1001us", 2 },
	{ "1µs", 1 }, /* micro sign */
	{ "1μs", 1 }, /* Greek letter mu */
	{ "1500μs", 2 },
	{ "+5s", 5000 },
	{ "+0", 0 },
	{ "0.0001ms", 1 },
	{ "0.0000000000001h", 1 },
	{ "0.00000000000000000000s", 0 },
	{ "30s2m", 150000 },
	{ "87840h", SV_DURATION_MAX_MS },
	{ "87840h1ms", BAD },
	{ "87841h", BAD },
	{ "99999999999999999999h", BAD },
	{ "9223372036854775807ns", BAD },
	{ "80000h80000h", BAD },
	{ "1281023h1281023h", BAD }, /* more nanoseconds than there can be */
	{ "", BAD },
	{ "5", BAD },
	{ "1.5", BAD },
	{ "s", BAD },
	{ ".s", BAD },
	{ ".", BAD },
	{ "-5s", BAD },
	{ "+-5s", BAD },
	{ "1s+1s", BAD },
	{ "+", BAD },
	{ "5 s", BAD },
	{ " 5s", BAD },
	{ "5s ", BAD },
	{ "5S", BAD },
	{ "5d", BAD },
	{ "1e3s", BAD },
	{ "5s3", BAD },
	{ "1..5s", BAD },
	{ "00", BAD },
};

START_TEST(durations_are_read_as_go_writes_them)
{
	int64_t ms = -7;
	int r = sv_duration_parse(durations[_i].text, &ms);

	ck_assert_int_eq(r, durations[_i].want == BAD ? -EINVAL : 0);
	ck_assert_int_eq(ms, durations[_i].want == BAD ? -7 : durations[_i].want);
}
END_TEST

static const struct {
	const char *text;
	int r;
	int64_t want; /* bytes */
} sizes[] = {
	{ "0", 0, 0 },
	{ "1024", 0, 1024 },
	{ "4k", 0, 4000 },
	{ "4M", 0, 4000000 },
	{ "16Mi", 0, 16777216 },
	{ "1.5Gi", 0, 1610612736 },
	{ "1Ki", 0, 1024 },
	{ "2G", 0, 2000000000 },
	{ "1T", 0, 1000000000000 },
	{ "1Ti", 0, 1099511627776 },
	{ "1P", 0, 1000000000000000 },
	{ "1Pi", 0, 1125899906842624 },
	{ "1.5", 0, 2 }, /* rounded up */
	{ "0.1Ki", 0, 103 },
	{ "0.1Pi", 0, 112589990684263 },
	{ ".5k", 0, 500 },
	{ "0.0000000001", 0, 1 },
	{ "4096Pi", 0, 1LL << 62 },
	{ "4Ei", 0, 1LL << 62 },
	{ "1Ei", 0, 1LL << 60 },
	{ "1E", 0, 1000000000000000000 },
	{ "1e6", 0, 1000000 },
	{ "1E6", 0, 1000000 },
	{ "16e+6", 0, 16000000 },
	{ "1.25e1", 0, 13 },
	{ "1000e-3", 0, 1 },
	{ "1001e-3", 0, 2 },
	{ "1e-2000000000", 0, 1 },
	{ "0e99999999999999999999", 0, 0 },
	{ "1.00000000019e11", 0, 100000000019 },
	{ "1.000000000000001P", 0, 1000000000000001 },
	{ "100000000000000000000e-19", 0, 10 },
	{ "0.00000000000000000001e21", 0, 10 },
	{ "+16Mi", 0, 16777216 },
	{ "1000m", 0, 1 },
	{ "1500m", 0, 2 },
	{ "2000000u", 0, 2 },
	{ "1000000001n", 0, 2 },
	{ "5Ei", -ERANGE, 0 },
	{ "5E", -ERANGE, 0 },
	{ "1e19", -ERANGE, 0 },
	{ "1e99999999999999999999", -ERANGE, 0 },
	{ "4611686018427387904", 0, 1LL << 62 },
	{ "4611686018427387905", -ERANGE, 0 },
	{ "4096.1Pi", -ERANGE, 0 },
	{ "4097Pi", -ERANGE, 0 },
	{ "9223372036854775808", -ERANGE, 0 },
	{ "99999999999999999999999", -ERANGE, 0 },
	{ "", -EINVAL, 0 },
	{ "Mi", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "1 Mi", -EINVAL, 0 },
	{ "1Mi ", -EINVAL, 0 },
	{ "1mi", -EINVAL, 0 },
	{ "1K", -EINVAL, 0 },
	{ "1MiB", -EINVAL, 0 },
	{ "1e", -EINVAL, 0 },
	{ "1e+", -EINVAL, 0 },
	{ "1e6k", -EINVAL, 0 },
	{ "1e1.5", -EINVAL, 0 },
	{ "1e 6", -EINVAL, 0 },
	{ "1e6e6", -EINVAL, 0 },
	{ "e6", -EINVAL, 0 },
	{ "1.2.3", -EINVAL, 0 },
	{ ".", -EINVAL, 0 },
	{ "+", -EINVAL, 0 },
	{ "+-1", -EINVAL, 0 },
	{ "1MK", -EINVAL, 0 },
	{ "1ei", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 },
	{ "1,5", -EINVAL, 0 },
};

START_TEST(sizes_are_read_as_kubernetes_writes_them)
{
	int64_t bytes = -7;

	ck_assert_int_eq(sv_size_parse(sizes[_i].text, &bytes), sizes[_i].r);
	if (sizes[_i].r == 0)
		ck_assert_int_eq(bytes, sizes[_i].want);
	else
		ck_assert_int_eq(bytes, -7); /* written on 0 only */
}
END_TEST

T_SUITE(quantity)
{
	T_EACH(durations_are_read_as_go_writes_them, durations);
	T_EACH(sizes_are_read_as_kubernetes_writes_them, sizes);
}
