/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume - carries out one action: tmpfs and atomic_writer together, undone on failure
 *
 * Blocking. Two actions may be carried out at once if they are of different
 * volumes; a node does not change while actions are carried out.
 */
#ifndef SV_NODE_VOLUME_H
#define SV_NODE_VOLUME_H

#include "../core/reconcile.h"
#include "tmpfs.h"

struct sv_node {
	char *root;  /* canonical path of the root directory */
	int root_fd; /* locked, so that one daemon uses it */
	enum sv_medium
		medium; /* of new volumes; SV_MEDIUM_UNKNOWN: the swap policy cannot be met */
	enum sv_swap_policy policy;
};

/* A volume's file system has room for so many times the size limit: the present generation, the next, and old ones in their grace. */
#define SV_ROOM_FACTOR 4

/**
 * sv_node_open() - prepare the root directory and take its lock
 *
 * Made if it is missing. Refused if it is not root's or others may write to it, if
 * another process has it locked (-EBUSY), or if it is not absolute (-EINVAL).
 */
int sv_node_open(const char *root, struct sv_node *ret, struct sv_err *err);
void sv_node_close(struct sv_node *n);

/* A volume that is mounted; borrowed, but the old generations may be taken. */
typedef int (*sv_adopt_fn)(void *arg, struct sv_adopted *found);

/**
 * sv_node_adopt() - find what a former life left
 * @fn:  called for every volume that is mounted; a result other than 0 ends the walk
 * @err: must be empty, not NULL
 *
 * Empty directories of volumes that are not mounted, and by-name links that
 * lead to none, are removed.
 */
int sv_node_adopt(struct sv_node *n, sv_adopt_fn fn, void *arg, struct sv_err *err);

/* Carry an action out and fill in its result. */
void sv_volume_carry_out(const struct sv_node *n, struct sv_action *action);

#endif
