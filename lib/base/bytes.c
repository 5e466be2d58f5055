/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "bytes.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

int sv_bytes_copy(const void *ptr, size_t len, struct sv_bytes *ret)
{
	struct sv_bytes b = { NULL, len };

	if (len > 0) {
		b.ptr = malloc(len);
		if (!b.ptr)
			return -ENOMEM;
		memcpy(b.ptr, ptr, len);
	}
	*ret = b;
	return 0;
}

struct sv_bytes sv_bytes_take(struct sv_bytes *b)
{
	struct sv_bytes taken = *b;

	*b = (struct sv_bytes){ NULL, 0 };
	return taken;
}

void sv_bytes_wipe(struct sv_bytes *b)
{
	if (!b)
		return;
	if (b->ptr)
		explicit_bzero(b->ptr, b->len);
	free(b->ptr);
	*b = (struct sv_bytes){ NULL, 0 };
}

bool sv_bytes_equal(const struct sv_bytes *a, const struct sv_bytes *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

static int symbol(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

static bool is_newline(char c)
{
	return c == '\r' || c == '\n';
}

static void skip_newlines(const char *text, size_t len, size_t *pos)
{
	while (*pos < len && is_newline(text[*pos]))
		(*pos)++;
}

/*
 * Reads one group of four symbols. Sets *n to the number of bytes it stands for (0 at the end
 * of the text) and *last after a padded group. On failure *pos is the offset to report.
 */
static int decode_group(const char *text, size_t len, size_t *pos, unsigned char out[3], size_t *n,
			bool *last)
{
	uint32_t acc = 0;
	size_t have = 0;

	*n = 0;
	while (have < 4) {
		int v;

		skip_newlines(text, len, pos);
		if (*pos >= len) {
			if (have == 0)
				return 0;
			*pos -= have; /* Go points at the start of the unfinished group */
			return SV_BASE64_E_ILLEGAL;
		}
		v = symbol((unsigned char)text[*pos]);
		if (v >= 0) {
			acc = acc << 6 | (uint32_t)v;
			have++;
			(*pos)++;
			continue;
		}
		if (text[*pos] != '=' || have < 2)
			return SV_BASE64_E_ILLEGAL;
		(*pos)++;
		if (have ==
		    2) { /* a second '=' must follow; Go names the byte before the culprit */
			skip_newlines(text, len, pos);
			if (*pos >= len)
				return SV_BASE64_E_ILLEGAL;
			if (text[*pos] != '=') {
				(*pos)--;
				return SV_BASE64_E_ILLEGAL;
			}
			(*pos)++;
		}
		skip_newlines(text, len, pos);
		if (*pos < len) /* something stands after the padding */
			return SV_BASE64_E_ILLEGAL;
		*last = true;
		break;
	}
	acc <<= 6 * (4 - have);
	out[0] = (unsigned char)(acc >> 16);
	out[1] = (unsigned char)(acc >> 8);
	out[2] = (unsigned char)acc;
	*n = have - 1;
	return 0;
}

int sv_base64_decode(const char *text, size_t len, struct sv_bytes *ret, size_t *bad)
{
	sv_autobytes struct sv_bytes out = { NULL, 0 };
	size_t pos = 0, used = 0;
	bool last = false;

	out.len = len / 4 * 3 + 3;
	out.ptr = malloc(out.len);
	if (!out.ptr)
		return -ENOMEM;
	while (!last) {
		unsigned char group[3];
		size_t n;
		int r = decode_group(text, len, &pos, group, &n, &last);

		if (r) {
			if (bad)
				*bad = pos;
			return r;
		}
		if (n == 0)
			break;
		memcpy(out.ptr + used, group, n);
		used += n;
	}
	if (used == 0)
		sv_bytes_wipe(&out);
	out.len = used; /* the allocation is at most a few bytes longer */
	*ret = sv_bytes_take(&out);
	return 0;
}

char *sv_base64_encode(const void *ptr, size_t len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = ptr;
	char *out = malloc((len + 2) / 3 * 4 + 1);
	size_t i, o = 0;

	if (!out)
		return NULL;
	for (i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t acc = (uint32_t)in[i] << 16;

		if (n > 1)
			acc |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			acc |= in[i + 2];
		out[o++] = alphabet[acc >> 18];
		out[o++] = alphabet[acc >> 12 & 63];
		out[o++] = n > 1 ? alphabet[acc >> 6 & 63] : '=';
		out[o++] = n > 2 ? alphabet[acc & 63] : '=';
	}
	out[o] = '\0';
	return out;
}
