/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atomic_writer - plan to directory: a new generation, seen in one step
 *
 * The layout and order are the newest kubelet's (R38-R43, R83):
 *
 *   ..2026_01_02_03_04_05.7123456/   a generation: files, final modes and owners
 *   ..data -> ..2026_01_02_03_04_05.7123456
 *   username -> ..data/username      one link per first path element
 *
 * Write the generation, 0700 until it is complete; rename ..data over; make new
 * links; remove stale ones. The old generation stays: its removal is the
 * caller's, once readers have had time. The digits at the end of the name are
 * the generation's number and six random digits, so that a restart knows the number.
 */
#ifndef SV_NODE_ATOMIC_WRITER_H
#define SV_NODE_ATOMIC_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "../core/actual.h"
#include "../core/plan.h"

struct sv_written {
	uint64_t generation; /* that ..data points to; 0 if there is none */
	int64_t made_ms;     /* Unix time of that generation */
	struct sv_old_generation *
		old; /* the other ones there, at most SV_OLD_GENERATIONS_MAX; due_ms is not set. Owned */
	size_t n_old;
};
void sv_written_done(struct sv_written *w);

/* What is there? @dirfd is the volume's root, may be read-only. Return: 0 or a negated errno. */
int sv_atomic_look(int dirfd, struct sv_written *ret);

/**
 * sv_atomic_check() - does the directory hold exactly what the plan says? (R43)
 * @dirfd: the volume's root, may be read-only
 * @ret:   filled in either way
 *
 * Content, modes, owners, links and nested mountpoints are compared.
 *
 * Return: 1 if it does, 0 if not, or a negated errno.
 */
int sv_atomic_check(int dirfd, const struct sv_plan *plan, struct sv_written *ret);

/**
 * sv_atomic_write() - write a new generation and switch to it
 * @dirfd:      the volume's root, writable
 * @generation: its number, from 1
 * @fresh:      nothing is in it yet, as it was just made: nobody has to look for what is to go
 * @ret:        filled in on 0
 *
 * On failure what is visible is as before, and what was written is removed,
 * unless the switch was made and only links or mountpoints failed; a repetition puts that right.
 *
 * Return: 0 or a negated errno.
 */
int sv_atomic_write(int dirfd, const struct sv_plan *plan, uint64_t generation, bool fresh,
		    struct sv_written *ret, struct sv_err *err);

/*
 * Empty a volume before it is taken down: ..data goes first, so that nobody who comes by name
 * sees files that are being overwritten.
 */
int sv_atomic_empty(int dirfd);

/* Remove an old generation. @wipe: overwrite its content. -EBUSY if it is the current one. */
int sv_atomic_remove(int dirfd, const char *data_dir, bool wipe);

#endif
