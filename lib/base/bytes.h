/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes - owned bytes that are wiped when they are freed; strict base64
 *
 * Secret values live in struct sv_bytes and nowhere else. A value is not a
 * string: it may hold NUL bytes and is not terminated.
 */
#ifndef SV_BASE_BYTES_H
#define SV_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

struct sv_bytes {
	unsigned char *ptr; /* NULL only if len is 0 */
	size_t len;         /* bytes */
};

/* Copy @len bytes. Return: 0 or -ENOMEM; @ret is written on 0 only. */
int sv_bytes_copy(const void *ptr, size_t len, struct sv_bytes *ret);

/* Move: yields the bytes and leaves an empty value behind. */
struct sv_bytes sv_bytes_take(struct sv_bytes *b);

/* Overwrites the memory, frees it and leaves an empty value. NULL is fine. */
void sv_bytes_wipe(struct sv_bytes *b);

bool sv_bytes_equal(const struct sv_bytes *a, const struct sv_bytes *b);

enum {
	SV_BASE64_E_ILLEGAL = 1, /* not base64: *bad is the offset of the first illegal byte */
};

/**
 * sv_base64_decode() - decode standard base64 as rule R2 has it
 * @text: the text; borrowed
 * @len:  its length in bytes
 * @ret:  the decoded bytes, owned by the caller; written on 0 only
 * @bad:  offset for "illegal base64 data at input byte N"; may be NULL
 *
 * Padding is mandatory, CR and LF are ignored wherever they stand, every other
 * byte outside the alphabet is illegal, bits left over in the last symbol are
 * tolerated. Offsets are the ones that Go's encoding/base64 reports.
 *
 * Return: 0, SV_BASE64_E_ILLEGAL or -ENOMEM.
 */
int sv_base64_decode(const char *text, size_t len, struct sv_bytes *ret, size_t *bad);

/* Encode with padding. Return: a NUL-terminated string to be freed, or NULL for lack of memory. */
char *sv_base64_encode(const void *ptr, size_t len);

static inline void sv_cleanup_bytes(struct sv_bytes *b)
{
	sv_bytes_wipe(b);
}
#define sv_autobytes __attribute__((cleanup(sv_cleanup_bytes)))

#endif
