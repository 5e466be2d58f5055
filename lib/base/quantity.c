/* SPDX-License-Identifier: Apache-2.0 */
#include "quantity.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cleanup.h"

/*
 * A decimal number times @unit, rounded up, without floating point: 12.5 and 1000 give 12500.
 * Fractions finer than 10^-9 count as a trace that rounds up.
 */
struct decimal {
	int64_t whole, billionths;
	bool trace;
};

static int read_decimal(const char **text, struct decimal *ret)
{
	struct decimal d = { 0, 0, false };
	int64_t weight = 100000000;
	const char *s = *text;
	bool any = false;

	for (; *s >= '0' && *s <= '9'; s++, any = true) {
		if (d.whole > (INT64_MAX - 9) / 10)
			return -ERANGE;
		d.whole = d.whole * 10 + (*s - '0');
	}
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, any = true) {
			d.billionths += weight * (*s - '0');
			d.trace = d.trace || (weight == 0 && *s != '0');
			weight /= 10;
		}
	if (!any)
		return -EINVAL;
	*text = s;
	*ret = d;
	return 0;
}

/* d * unit, rounded up. */
static int scale(const struct decimal *d, int64_t unit, int64_t limit, int64_t *ret)
{
	int64_t frac;

	if (d->whole > limit / unit)
		return -ERANGE;
	/* billionths < 10^9 and unit <= 2^50: split so that the product cannot overflow */
	frac = unit / 1000000000 * d->billionths + unit % 1000000000 * d->billionths / 1000000000;
	if (unit % 1000000000 * d->billionths % 1000000000 != 0 || d->trace)
		frac++;
	if (frac > limit - d->whole * unit)
		return -ERANGE;
	*ret = d->whole * unit + frac;
	return 0;
}

int sv_duration_parse(const char *text, int64_t *ret)
{
	static const struct {
		const char *suffix;
		int64_t ns;
	} units[] = {
		/* longer suffixes first where one is the start of another */
		{ "ns", 1 },
		{ "us", 1000 },
		{ "µs", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60LL * 1000000000 },
		{ "h", 3600LL * 1000000000 },
	};
	const int64_t limit_ns = INT64_MAX / 2;
	int64_t sum = 0;

	if (strcmp(text, "0") == 0) {
		*ret = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		struct decimal d;
		int64_t part;
		size_t i;

		if (read_decimal(&text, &d) < 0)
			return -EINVAL;
		for (i = 0; i < SV_ARRAY_SIZE(units); i++)
			if (strncmp(text, units[i].suffix, strlen(units[i].suffix)) == 0)
				break;
		if (i == SV_ARRAY_SIZE(units) || scale(&d, units[i].ns, limit_ns, &part) < 0)
			return -EINVAL;
		text += strlen(units[i].suffix);
		sum += part;
		if (sum > limit_ns)
			return -EINVAL;
	}
	sum = (sum + 999999) / 1000000;
	if (sum > SV_DURATION_MAX_MS)
		return -EINVAL;
	*ret = sum;
	return 0;
}

int sv_size_parse(const char *text, int64_t *ret)
{
	static const struct {
		const char *suffix;
		int64_t unit;
	} units[] = {
		{ "", 1 },           { "k", 1000 },          { "M", 1000000 },
		{ "G", 1000000000 }, { "T", 1000000000000 }, { "P", 1000000000000000 },
		{ "Ki", 1LL << 10 }, { "Mi", 1LL << 20 },    { "Gi", 1LL << 30 },
		{ "Ti", 1LL << 40 }, { "Pi", 1LL << 50 },
	};
	struct decimal d;
	size_t i;
	int r = read_decimal(&text, &d);

	if (r < 0)
		return r;
	for (i = 0; i < SV_ARRAY_SIZE(units); i++)
		if (strcmp(text, units[i].suffix) == 0)
			return scale(&d, units[i].unit, 1LL << 62, ret);
	return -EINVAL;
}
