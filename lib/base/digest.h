/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest - has something changed, without keeping it?
 *
 * HMAC-SHA256 under a random key that this process makes and tells nobody: equal
 * digests mean equal input, those of two processes have nothing to do with each
 * other, and without the key a short value cannot be guessed from its digest.
 */
#ifndef SV_BASE_DIGEST_H
#define SV_BASE_DIGEST_H

#include <stdbool.h>

#include "bytes.h"

#define SV_DIGEST_SIZE 32

struct sv_digest {
	unsigned char bytes[SV_DIGEST_SIZE];
};

/**
 * sv_digest_make() - the digest of a list of byte strings
 * @parts: each goes in with its length: bytes moved from one to the next make another digest
 *
 * Any thread may call it. Return: 0, or a negated errno if the system has no random bytes.
 */
int sv_digest_make(const struct sv_bytes *parts, size_t n, struct sv_digest *ret);

bool sv_digest_equal(const struct sv_digest *a, const struct sv_digest *b);

#endif
