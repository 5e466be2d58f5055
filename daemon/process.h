/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process - what this process may do, and whether its mounts will be seen
 */
#ifndef SV_DAEMON_PROCESS_H
#define SV_DAEMON_PROCESS_H

#include <stdbool.h>

#include "../lib/base/err.h"

/* No core dump, no ptrace, no new privileges, no signal that ends us, a umask of our own. First of all. */
void sv_process_harden(void);

enum {
	SV_PROCESS_E_HIDDEN = 1, /* mounts made here do not reach the host */
};

/**
 * sv_process_check_mounts() - will the host see what is mounted below a directory?
 *
 * It will if this process shares its mount namespace with PID 1, or if the mount
 * that holds the directory propagates to others and is no slave. Who is PID 1, in
 * a container, has but the second way. Call it before privileges are given up.
 *
 * Return: 0, SV_PROCESS_E_HIDDEN, or a negated errno.
 */
int sv_process_check_mounts(const char *dir, struct sv_err *err);

/*
 * From now on no page of this process is written to swap, as far as the system allows: it takes
 * CAP_IPC_LOCK, which is kept, or an infinite RLIMIT_MEMLOCK, since a limit that is reached makes
 * allocations fail. Pages count once they are used. Return: whether it is so.
 */
bool sv_process_lock_memory(void);

/*
 * Give free memory back to the system. Where what is used cannot be locked again afterwards, that is
 * logged once, and tried again the next time.
 */
void sv_process_trim_memory(void);

/* Overwrite what calls that have returned left on this thread's stack, as far down as they go. */
void sv_process_wipe_stack(void);

/* True if systemd executed this very process as a service. */
bool sv_process_is_service(void);

/* Give up every capability but those that mounting and writing volumes needs. */
int sv_process_drop_capabilities(struct sv_err *err);

/* From now on only the system calls that the daemon uses work; others fail with EPERM. */
int sv_process_filter_calls(struct sv_err *err);

#endif
