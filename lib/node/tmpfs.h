/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmpfs - a memory file system of its own for each volume
 *
 * Made detached by fsopen(2) and fsmount(2), filled, and attached complete and
 * read-only by move_mount(2): it appears in one step, and no path is walked
 * twice. Needs Linux 5.12 (mount_setattr(2)). Always nosuid, nodev, noexec.
 */
#ifndef SV_NODE_TMPFS_H
#define SV_NODE_TMPFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"
#include "../core/actual.h"

enum sv_swap_policy {
	SV_SWAP_AVOID,   /* noswap, else ramfs, else tmpfs */
	SV_SWAP_REQUIRE, /* noswap, else ramfs, else none */
	SV_SWAP_IGNORE,  /* tmpfs */
};

/* Return: 0 or -EINVAL for a word that is no policy. */
int sv_swap_policy_parse(const char *text, enum sv_swap_policy *ret);
const char *sv_swap_policy_name(enum sv_swap_policy policy);

/**
 * sv_tmpfs_choose() - which medium does this kernel offer under a policy?
 *
 * Tries by making a file system and dropping it. SV_MEDIUM_UNKNOWN: the policy
 * cannot be met. A kernel that lets us make none at all is seen only when a
 * volume is made.
 */
enum sv_medium sv_tmpfs_choose(enum sv_swap_policy policy);

struct sv_tmpfs_opts {
	enum sv_medium medium;
	size_t size; /* bytes; ramfs knows no limit, the writer keeps it */
	mode_t mode; /* of the root, setgid and sticky bits included */
	int64_t gid; /* of the root; -1: 0 */
};

/* A new, detached, writable file system. Return: its mount's descriptor, or a negated errno. */
int sv_tmpfs_new(const struct sv_tmpfs_opts *opts, struct sv_err *err);

/* Make a detached mount read-only and attach it on a directory (a descriptor, O_PATH will do). */
int sv_tmpfs_attach(int mount_fd, int target_fd, struct sv_err *err);

/* A private, writable view of an attached volume. Return: a descriptor of its root. */
int sv_tmpfs_open_rw(int target_fd, struct sv_err *err);

/* Is this the root of a mount of ours: tmpfs or ramfs? Return: 1, 0, or a negated errno. */
int sv_tmpfs_is_volume(int fd);
/* Is this the root of any mount? Return: 1, 0, or a negated errno. */
int sv_tmpfs_is_mount(int fd);

/* Detach the mount on @name in a directory, whoever uses it. Does not follow links. */
int sv_tmpfs_detach(int parent_fd, const char *name);

/**
 * sv_tmpfs_list() - the mounts below a directory, from /proc/self/mountinfo
 * @dir: canonical path
 * @fn:  gets the path relative to @dir; medium SV_MEDIUM_UNKNOWN: not a tmpfs or ramfs
 *       of its own. A result other than 0 ends the walk
 */
int sv_tmpfs_list(const char *dir, int (*fn)(void *arg, const char *path, enum sv_medium medium),
		  void *arg, struct sv_err *err);

#endif
