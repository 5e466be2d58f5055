/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsutil - files and directories by descriptor and relative name
 *
 * Nothing here follows a symbolic link, and no path is walked twice: see
 * openat2(2), openat(2). All return 0 or a descriptor, or a negated errno.
 */
#ifndef SV_NODE_FSUTIL_H
#define SV_NODE_FSUTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "../base/bytes.h"
#include "../base/err.h"

/*
 * For a program to begin with: what it opens gets no number below 3, be standard input, output or
 * error closed. They stay useless, and closed to a program that is executed.
 */
void sv_reserve_standard(void);

/*
 * Open a path of several elements below a directory: RESOLVE_BENEATH, no links. -EAGAIN: with
 * O_NONBLOCK, somebody has a lease on the file (fcntl(2)).
 */
int sv_open_beneath(int dirfd, const char *path, int flags);

/* The same, and no mountpoint is passed either, nor may the last element be one: -EXDEV. */
int sv_open_on_mount(int dirfd, const char *path, int flags);

/* As sv_open_beneath(), but links that stay below the directory are followed; -EXDEV for one that leads out. */
int sv_open_inside(int dirfd, const char *path, int flags);

/**
 * sv_find_manifest() - is a name in a manifest directory a file to be read?
 * @path_fd: it, as O_PATH; also to be closed after a failure, unless negative
 * @reason:  for a failure: the word that a complaint about the file has
 * @err:     and its text; may be NULL
 *
 * Links within the directory are followed, as ..data of a ConfigMap that is mounted.
 *
 * Return: 0, or a negated errno.
 */
int sv_find_manifest(int dirfd, const char *name, int *path_fd, struct stat *st,
		     const char **reason, struct sv_err *err);

/* Open one directory of a directory: no link (-ENOTDIR), and -EXDEV for a mountpoint. */
int sv_open_here(int dirfd, const char *name);

/**
 * sv_each_entry() - call a function for every entry of a directory
 * @dirfd: the directory; its own position is not moved
 * @fn:    gets the name and d_type, see readdir(3); may remove the entry. A result other than 0
 *         ends the walk
 *
 * Return: 0, what @fn returned, or a negated errno.
 */
int sv_each_entry(int dirfd, int (*fn)(void *arg, int dirfd, const char *name, unsigned char type),
		  void *arg);

/**
 * sv_open_dir() - open one directory of a directory, and make it if it is missing
 * @mode, @gid, @exact, @made: see sv_open_dirs(); @made is not NULL
 *
 * Return: an O_RDONLY descriptor. -EXDEV: something is mounted there.
 */
int sv_open_dir(int dirfd, const char *name, mode_t mode, gid_t gid, bool exact, bool *made);

/**
 * sv_open_dirs() - open a directory below another and make what is missing
 * @path:  relative, cleaned, no ".."
 * @mode:  of what is made, whatever the umask
 * @gid:   group of what is made, or (gid_t)-1
 * @exact: set mode and group also of the last directory if it is there already
 * @made:  was the last directory made by this call? May be NULL
 *
 * Return: an O_RDONLY descriptor. -EXDEV: something is mounted on one of them.
 */
int sv_open_dirs(int dirfd, const char *path, mode_t mode, gid_t gid, bool exact, bool *made);

/**
 * sv_make_dirs() - make all directories of a path, none of which is there yet
 * @dirfd: one that nobody else can write to: what was made is not looked at again one by one
 * @path, @mode: as for sv_open_dirs()
 *
 * One open(2) instead of one a directory. What was made stays, also on failure.
 *
 * Return: an O_RDONLY descriptor of the last one. -EEXIST: some are there, or the umask has taken
 * from their mode; sv_open_dir() with @exact makes them as they should be.
 */
int sv_make_dirs(int dirfd, const char *path, mode_t mode);

/*
 * Remove the empty directories of a path from its end upwards, @keep elements from the left stay.
 * Mounts are not entered. Return: 0, also where some have to stay because of what is in them, or a
 * negated errno.
 */
int sv_remove_dirs(int dirfd, const char *path, unsigned keep);

#define SV_WIPE_MAX (2U << 20) /* bytes of one file */

int sv_write_all(int fd, const void *data, size_t len);

/* Read to the end of the file. -EFBIG if there are more than @max bytes. @ret is written on 0 only. */
int sv_read_all(int fd, size_t max, struct sv_bytes *ret);

/* The state of a file by which a change is seen without reading it. */
struct sv_identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct sv_identity sv_identity_of(const struct stat *st);
bool sv_identity_equal(const struct sv_identity *a, const struct sv_identity *b);

/**
 * sv_remove_tree() - remove a directory with everything in it
 * @wipe: overwrite the content of files first; of a file that is larger than a Secret can be
 *        (SV_WIPE_MAX) the beginning, and the rest is cut off
 *
 * Does not cross into other file systems and does not follow links. Any depth is fine: it takes
 * a few descriptors. Goes on after an error and returns the first. A file that cannot be
 * overwritten for now, as somebody has a lease on it, stays (-EAGAIN).
 */
int sv_remove_tree(int dirfd, const char *name, bool wipe);

/* The same for what is in a directory; the directory itself stays. */
int sv_empty_dir(int dirfd, bool wipe);

#endif
