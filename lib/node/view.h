/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view - a private mount namespace in which volumes stand at their mount paths
 *
 * Nothing is created on the host. Where a mount path does not exist, the nearest
 * directory that does is covered by a tmpfs which shows the same entries (each
 * bound from below) and in which the missing rest is made.
 */
#ifndef SV_NODE_VIEW_H
#define SV_NODE_VIEW_H

#include <stddef.h>

#include "../base/err.h"

struct sv_view_mount {
	const char *source; /* absolute path of a volume's root; "" for an empty directory */
	const char *
		sub_path; /* below it, "" for all of it (R19); a link may not lead out of the volume */
	/* what it leads to is kept as it is now, whatever becomes of the volume (R62) */
	const char *target; /* mountPath as written: made absolute and cleaned here (R18) */
};

enum {
	SV_VIEW_E_TARGET =
		1, /* a mount path that cannot be had: /, /proc and the like, or the wrong type */
	SV_VIEW_E_SUB_PATH, /* a subPath that leaves the volume */
};

/* What is wrong with a mount path, or NULL. Looks at the text only. */
const char *sv_view_check_target(const char *target);

/**
 * sv_view_enter() - unshare the mount namespace and attach all mounts, read-only
 * @scratch: an existing directory that is hidden for a moment if "/" itself has to be covered
 *
 * The calling process is single-threaded. After a failure it must not go on:
 * it may be in a namespace that is half made.
 *
 * Return: 0, SV_VIEW_E_*, or a negated errno.
 */
int sv_view_enter(const struct sv_view_mount *mounts, size_t n, const char *scratch,
		  struct sv_err *err);

#endif
