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
 * @ret: SV_MEDIUM_UNKNOWN: the policy cannot be met
 *
 * Tries by making a file system and dropping it. A kernel that lets us make none at all is seen
 * only when a volume is made. An error that may pass, as a lack of memory or of descriptors, is no
 * answer of the kernel's, and chooses nothing.
 *
 * Return: 0, or a negated errno.
 */
int sv_tmpfs_choose(enum sv_swap_policy policy, enum sv_medium *ret, struct sv_err *err);

struct sv_tmpfs_opts {
	enum sv_medium medium;
	size_t size;    /* bytes; ramfs knows no limit, the writer keeps it */
	mode_t mode;    /* of the root, setgid and sticky bits included */
	int64_t gid;    /* of the root; -1: 0 */
	const char *id; /* whose it is; NULL: not marked */
};

/* A new, detached, writable file system. Return: its mount's descriptor, or a negated errno. */
int sv_tmpfs_new(const struct sv_tmpfs_opts *opts, struct sv_err *err);

/* Make a detached mount read-only and attach it on a directory (a descriptor, O_PATH will do). */
int sv_tmpfs_attach(int mount_fd, int target_fd, struct sv_err *err);

/* Attach a volume on a directory, too; where it is attached already it stays. */
int sv_tmpfs_attach_again(int volume_fd, int target_fd, struct sv_err *err);

/* A private, writable view of an attached volume. Return: a descriptor of its root. */
int sv_tmpfs_open_rw(int target_fd, struct sv_err *err);

/* Let the tmpfs of an attached volume hold so many bytes, if it does not yet. ramfs holds any. */
int sv_tmpfs_grow(int fd, size_t size);

/**
 * sv_tmpfs_is_volume() - is this the root of the mount that was made for a volume?
 * @id: sv_tmpfs_opts.id
 *
 * A tmpfs is told by the mark that it got when it was made, an extended attribute of its root, so
 * that no other file system that is mounted at a volume's path is ever written to, emptied or
 * unmounted: to mark one takes CAP_SYS_ADMIN. ramfs knows no attributes, and
 * without that capability nobody sees any: it is one of ours then if it is read-only, nosuid, nodev
 * and noexec, and its root has a volume's modes.
 *
 * Return: 1, 0, or a negated errno.
 */
int sv_tmpfs_is_volume(int fd, const char *id);
/*
 * Whose is the file system whose root this is? Only by its mark. Return: 1 and a new string, 0, or
 * a negated errno.
 */
int sv_tmpfs_owner(int fd, char **ret);
/* Make the mount of a volume read-only, nosuid, nodev and noexec again if somebody took that away. */
int sv_tmpfs_protect(int fd, struct sv_err *err);
/* Is this the root of any mount? Return: 1, 0, or a negated errno. */
int sv_tmpfs_is_mount(int fd);

/* Detach the mount on @name in a directory, whoever uses it. Does not follow links. */
int sv_tmpfs_detach(int parent_fd, const char *name);

/**
 * sv_tmpfs_list() - the mounts below a directory, from /proc/self/mountinfo
 * @dir: canonical path
 * @fn:  gets the path relative to @dir, in the order of mounting; medium SV_MEDIUM_UNKNOWN: not
 *       a whole tmpfs or ramfs. A result other than 0 ends the walk
 */
int sv_tmpfs_list(const char *dir, int (*fn)(void *arg, const char *path, enum sv_medium medium),
		  void *arg, struct sv_err *err);

#endif
