/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup - release things when they go out of scope
 *
 * `sv_autofree char *p = NULL;` frees p on every way out of the block. Modules
 * declare their own attribute beside their type with SV_AUTO(): an attribute
 * calls the type's free function, which must accept NULL or an empty value.
 */
#ifndef SV_BASE_CLEANUP_H
#define SV_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

/* Hand an owned pointer on: yields its value and leaves NULL behind. */
#define SV_TAKE(p)                         \
	({                                 \
		__typeof__(p) _sv_p = (p); \
		(p) = NULL;                \
		_sv_p;                     \
	})

/* The same for a file descriptor: leaves -1 behind. */
#define SV_TAKE_FD(fd)          \
	({                      \
		int _fd = (fd); \
		(fd) = -1;      \
		_fd;            \
	})

#define SV_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void sv_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void sv_cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define sv_autofree __attribute__((cleanup(sv_cleanup_free)))
#define sv_autoclose __attribute__((cleanup(sv_cleanup_close)))

/* Defines sv_cleanup_NAME() for `TYPE *`, which calls FREE on what is pointed to. */
#define SV_AUTO(name, type, free_fn)                   \
	static inline void sv_cleanup_##name(type **p) \
	{                                              \
		if (*p)                                \
			(free_fn)(*p);                 \
	}

#endif
