/* SPDX-License-Identifier: Apache-2.0 */
/* Durations and sizes against long arithmetic: what is accepted is right, rounded up, in range. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/quantity.h"
#include "fuzz.h"

/* [0-9]*.?[0-9]*, moves on; false without a digit. */
static bool read_number(const char **text, long double *ret)
{
	long double v = 0, weight = 1;
	bool any = false;

	for (; isdigit((unsigned char)**text); (*text)++, any = true)
		v = v * 10 + (**text - '0');
	if (**text == '.')
		for ((*text)++; isdigit((unsigned char)**text); (*text)++, any = true)
			v += (weight /= 10) * (**text - '0');
	*ret = v;
	return any;
}

/*
 * One more, and one part in 2^50, for what is lost in adding up and in rounding; and what is
 * finer than 10^-9 of a unit, which counts as a trace.
 */
static bool is_near(int64_t got, long double want, long double unit)
{
	long double slack = 1 + want / 1125899906842624.0L + unit / 1000000000;

	return (long double)got > want - slack && (long double)got < want + 1 + slack;
}

static void check_size(const char *text)
{
	static const char units[] = "num kMGTPE";
	const char *s = text + (*text == '+'), *suffix;
	int64_t got = -1;
	char *end;
	long double want, unit = 1;
	int r = sv_size_parse(text, &got);

	if (r < 0) {
		MUST((r == -EINVAL || r == -ERANGE) && got == -1);
		return;
	}
	MUST(r == 0 && read_number(&s, &want));
	suffix = *s ? strchr(units, *s == 'K' ? 'k' : *s) : NULL;
	if ((*s == 'e' || *s == 'E') && s[1] && s[1] != 'i') {
		unit = strtold(s + 1, &end);
		MUST(*end == '\0');
		want *= want > 0 ? powl(10, unit) : 0;
		unit = 1;
	} else if (*s) {
		bool binary = s[1] == 'i';

		MUST(suffix && s[1 + binary] == '\0' && *s != ' ' &&
		     (binary ? *s != 'k' && suffix > units + 3 : *s != 'K'));
		unit = powl(binary ? 1024 : 1000, (long double)(suffix - units - 3));
	}
	MUST(got >= 0 && got <= 1LL << 62 && is_near(got, want * unit, unit));
}

static void check_duration(const char *text)
{
	const char *s = text + (*text == '+');
	int64_t got = -1;
	long double want = 0, part;
	int r = sv_duration_parse(text, &got);

	if (r < 0) {
		MUST(r == -EINVAL && got == -1);
		return;
	}
	MUST(r == 0 && got >= 0 && got <= SV_DURATION_MAX_MS);
	while (*s && strcmp(s, "0") != 0) {
		MUST(read_number(&s, &part));
		if (strncmp(s, "ns", 2) == 0)
			want += part / 1000000, s += 2;
		else if (strncmp(s, "us", 2) == 0)
			want += part / 1000, s += 2;
		else if (strncmp(s, "\u00b5s", 3) == 0 || strncmp(s, "\u03bcs", 3) == 0)
			want += part / 1000, s += 3;
		else if (strncmp(s, "ms", 2) == 0)
			want += part, s += 2;
		else if (*s == 's')
			want += part * 1000, s++;
		else if (*s == 'm')
			want += part * 60000, s++;
		else if (*s == 'h')
			want += part * 3600000, s++;
		else
			MUST(!"a unit");
	}
	MUST(is_near(got, want, 3600000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sv_autofree char *text = strndup((const char *)data, size);

	MUST(text);
	check_size(text);
	check_duration(text);
	return 0;
}
