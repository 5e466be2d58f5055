/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "digest.h"

#include <errno.h>
#include <nettle/hmac.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/* Made by the first digest of the process; nothing else may change it. */
static struct {
	pthread_mutex_t lock;
	bool made;
	unsigned char bytes[SV_DIGEST_SIZE];
} key = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int make_key(void)
{
	int r = 0;

	pthread_mutex_lock(&key.lock);
	if (!key.made) {
		ssize_t n = getrandom(key.bytes, sizeof(key.bytes), 0);

		if (n < 0)
			r = -errno;
		else if (n != sizeof(key.bytes))
			r = -EIO;
		key.made = r == 0;
	}
	pthread_mutex_unlock(&key.lock);
	return r;
}

int sv_digest_make(const struct sv_bytes *parts, size_t n, struct sv_digest *ret)
{
	struct hmac_sha256_ctx ctx;
	size_t i;
	int r = make_key();

	if (r < 0)
		return r;
	hmac_sha256_set_key(&ctx, sizeof(key.bytes), key.bytes);
	for (i = 0; i < n; i++) {
		uint64_t len = parts[i].len;

		hmac_sha256_update(&ctx, sizeof(len), (const uint8_t *)&len);
		hmac_sha256_update(&ctx, parts[i].len, parts[i].ptr);
	}
	hmac_sha256_digest(&ctx, sizeof(ret->bytes), ret->bytes);
	explicit_bzero(&ctx, sizeof(ctx)); /* the last block is in it */
	return 0;
}

bool sv_digest_equal(const struct sv_digest *a, const struct sv_digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
