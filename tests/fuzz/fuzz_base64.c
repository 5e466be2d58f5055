/* SPDX-License-Identifier: Apache-2.0 */
/* base64 against a decoder that first drops the newlines; encoding goes there and back. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/bytes.h"
#include "../../lib/base/cleanup.h"
#include "fuzz.h"

static int value_of(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(alphabet, c) : NULL;

	return p ? (int)(p - alphabet) : -1;
}

/* True if the text is base64. */
static bool reference_decode(const char *text, size_t len, unsigned char *out, size_t *n)
{
	char *bare = malloc(len + 1);
	size_t i, m = 0, padding = 0;
	bool good;

	MUST(bare);
	for (i = 0; i < len; i++)
		if (text[i] != '\r' && text[i] != '\n')
			bare[m++] = text[i];
	good = m % 4 == 0;
	while (good && padding < 2 && m > 0 && bare[m - 1 - padding] == '=')
		padding++;
	for (i = 0; i < m - padding && good; i++)
		good = value_of(bare[i]) >= 0;
	*n = m / 4 * 3 - padding;
	for (i = 0; good && i < *n; i++) {
		size_t bit = i * 8, at = bit / 6, shift = bit % 6;
		int a = value_of(bare[at]), b = value_of(bare[at + 1]);

		out[i] = (unsigned char)(a << (shift + 2) | b >> (4 - shift));
	}
	free(bare);
	return good;
}

static void check_decode(const char *text, size_t len)
{
	struct sv_bytes got = { NULL, 0 };
	unsigned char *want = malloc(len + 3);
	size_t bad = len + 1, n;
	int r = sv_base64_decode(text, len, &got, &bad);

	MUST(want);
	MUST((r == 0) == reference_decode(text, len, want, &n));
	if (r == 0)
		MUST(got.len == n && (n == 0 || memcmp(got.ptr, want, n) == 0));
	else
		MUST(r == SV_BASE64_E_ILLEGAL && bad <= len && !got.ptr);
	sv_bytes_wipe(&got);
	free(want);
}

static void check_encode(const uint8_t *data, size_t size)
{
	sv_autofree char *text = sv_base64_encode(data, size);
	struct sv_bytes back = { NULL, 0 };

	MUST(text && strlen(text) == (size + 2) / 3 * 4);
	MUST(sv_base64_decode(text, strlen(text), &back, NULL) == 0);
	MUST(back.len == size && (size == 0 || memcmp(back.ptr, data, size) == 0));
	sv_bytes_wipe(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1); /* not a byte more: reading on is found */

	MUST(copy);
	memcpy(copy, data, size);
	check_decode(copy, size);
	check_encode(data, size);
	free(copy);
	return 0;
}
