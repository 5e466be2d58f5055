/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wipe - free() and realloc() that overwrite what they give back
 *
 * Defined in the executable, they serve every shared library too, so that the
 * copies which parsers and HTTP code make of a Secret do not outlive their use.
 * Sanitizers bring an allocator of their own: there this file is empty.
 */
#include <features.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SV_SANITIZED
#endif
#endif
#else
#define SV_SANITIZED
#endif

typedef int sv_wipe_is_not_empty; /* ISO C wants a declaration */

#ifndef SV_SANITIZED
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

extern void __libc_free(void *p);

void free(void *p)
{
	int saved = errno;

	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	__libc_free(p);
	errno = saved;
}

void *realloc(void *p, size_t size)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *q;

	if (p && size == 0) {
		free(p);
		return NULL;
	}
	if (p && size <= old && size >= old / 2) /* fits well enough where it is */
		return p;
	q = malloc(size);
	if (q && p) {
		memcpy(q, p, old < size ? old : size);
		free(p);
	}
	return q;
}
#endif
