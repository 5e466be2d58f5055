/* SPDX-License-Identifier: Apache-2.0 */
#include "quantity.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define DIGITS "0123456789"
#define EXPONENT_MAX 1000000000 /* beyond the length of any text */

/*
 * A decimal number times @unit, rounded up, without floating point: 12.5 and 1000 give 12500.
 * Fractions finer than 10^-9 count as a trace that rounds up.
 */
struct decimal {
	int64_t whole, billionths;
	bool trace;
};

/* @place: 1 is the last digit before the point, 0 the first one behind it. */
static int add_digit(struct decimal *d, int digit, int64_t place)
{
	int64_t weight = 100000000;

	if (place > 0) {
		if (d->whole > (INT64_MAX - 9) / 10)
			return -ERANGE;
		d->whole = d->whole * 10 + digit;
		return 0;
	}
	for (; place < 0 && weight > 0; place++)
		weight /= 10;
	d->billionths += weight * digit;
	d->trace = d->trace || (weight == 0 && digit > 0);
	return 0;
}

/* Moves on over the number. @shift: how many places its point is moved to the right. */
static int read_decimal(const char **text, int shift, struct decimal *ret)
{
	size_t whole = strspn(*text, DIGITS), all = whole, i;
	int64_t place = (int64_t)whole + shift;
	struct decimal d = { 0, 0, false };
	int r = 0;

	if ((*text)[whole] == '.')
		all += 1 + strspn(*text + whole + 1, DIGITS);
	if (all == 0 || (whole == 0 && all == 1))
		return -EINVAL;
	for (i = 0; i < all && r == 0; i++)
		if (i != whole)
			r = add_digit(&d, (*text)[i] - '0', place--);
	while (r == 0 && place > 0 && d.whole > 0)
		r = add_digit(&d, 0, place--);
	if (r < 0)
		return r;
	*text += all;
	*ret = d;
	return 0;
}

/* d * unit, rounded up. */
static int scale(const struct decimal *d, int64_t unit, int64_t limit, int64_t *ret)
{
	int64_t frac;

	if (d->whole > limit / unit)
		return -ERANGE;
	/* billionths < 10^9 and unit <= 2^60: split so that the product cannot overflow */
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
		{ "\u00b5s", 1000 }, /* micro sign */
		{ "\u03bcs", 1000 }, /* Greek letter mu */
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60LL * 1000000000 },
		{ "h", 3600LL * 1000000000 },
	};
	const int64_t limit_ns = INT64_MAX / 2;
	int64_t sum = 0;

	text += *text == '+';
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

		if (read_decimal(&text, 0, &d) < 0)
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

/* "e3", "E+3", "e-3": one that is out of range stays so. */
static bool read_exponent(const char *text, int *ret)
{
	const char *number = text + 1;
	long n;

	if (*text != 'e' && *text != 'E')
		return false;
	number += *number == '+' || *number == '-';
	if (!*number || number[strspn(number, DIGITS)])
		return false;
	n = strtol(text + 1, NULL, 10);
	*ret = n > EXPONENT_MAX ? EXPONENT_MAX : n < -EXPONENT_MAX ? -EXPONENT_MAX : (int)n;
	return true;
}

int sv_size_parse(const char *text, int64_t *ret)
{
	static const struct {
		const char *suffix;
		int exponent; /* of ten */
		int64_t unit;
	} units[] = {
		{ "", 0, 1 },           { "n", -9, 1 },         { "u", -6, 1 },
		{ "m", -3, 1 },         { "k", 3, 1 },          { "M", 6, 1 },
		{ "G", 9, 1 },          { "T", 12, 1 },         { "P", 15, 1 },
		{ "E", 18, 1 },         { "Ki", 0, 1LL << 10 }, { "Mi", 0, 1LL << 20 },
		{ "Gi", 0, 1LL << 30 }, { "Ti", 0, 1LL << 40 }, { "Pi", 0, 1LL << 50 },
		{ "Ei", 0, 1LL << 60 },
	};
	const char *suffix;
	int64_t unit = 1;
	int exponent, r;
	struct decimal d;
	size_t i;

	text += *text == '+';
	suffix = text + strspn(text, DIGITS ".");
	for (i = 0; i < SV_ARRAY_SIZE(units); i++)
		if (strcmp(suffix, units[i].suffix) == 0)
			break;
	if (i < SV_ARRAY_SIZE(units)) {
		exponent = units[i].exponent;
		unit = units[i].unit;
	} else if (!read_exponent(suffix, &exponent)) {
		return -EINVAL;
	}
	r = read_decimal(&text, exponent, &d);
	if (r < 0)
		return r;
	return text == suffix ? scale(&d, unit, 1LL << 62, ret) : -EINVAL;
}
