/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_place - a daemon's manager and Kubernetes source, against the scripted API server, on one loop
 *
 * Time is the test's: whenever nothing is left to do, the clock of the whole program (ours,
 * libuv's and libcurl's) jumps to the next timer. Half an hour of an outage passes in a moment,
 * nothing waits, and no result depends on how busy the machine is.
 *
 * Needs root: volumes are mounted, below t_dir. Use k_enter() and k_leave() with T_AROUND().
 */
#ifndef TESTS_KUBE_PLACE_H
#define TESTS_KUBE_PLACE_H

#include "../../daemon/manager.h"
#include "../../daemon/source/source.h"
#include "../support/apiserver.h"
#include "../support/support.h"

#define K_NODE "node-a"
#define K_SECOND 1000
#define K_MINUTE 60000

extern struct t_api *k_api;
extern struct sv_manager k_manager;
extern struct sv_source *k_source; /* NULL: stopped */
extern uv_loop_t k_loop;

void k_enter(void); /* the place and the server; nothing runs yet */
void k_leave(void); /* stops everything; fails if a handle or an action is left */

/* What they do between t_enter_place() and t_leave_place(): several servers, one after the other. */
void k_serve(void);
void k_end_serving(void);

/* ---- the daemon ---------------------------------------------------------------------------- */

struct k_opts {
	bool by_namespace;
	bool once;
	bool events; /* write them to the server */
	enum sv_keep keep;
	void (*on_stuck)(void *arg);
	void (*on_settled)(void *arg);
};

/* Takes in what is mounted, then begins to watch. NULL: no options. */
void k_start(const struct k_opts *opts);
void k_stop(void); /* mounts stay; frees everything, the loop is empty then but for the server */
void k_token(const char *token); /* into the file that the kubeconfig names; NULL: there is none */

/* ---- time ---------------------------------------------------------------------------------- */

/* Until it holds; the test ends with the text of it after an hour of the program's time. */
#define k_until(what)                            \
	do {                                     \
		k_begin_until();                 \
		while (!(what))                  \
			k_step(K_MINUTE, #what); \
		k_check_until();                 \
	} while (0)
extern char k_hint[SV_ERR_MAX]; /* is printed with it: what holds things up */
void k_begin_until(void);
void k_check_until(void);
void k_step(int64_t most_ms, const char *what);

void k_pass(int64_t ms); /* so much time, with all that happens in it */
void k_quiet(void);      /* until nothing is left to do but to wait for time to pass */
int64_t k_now_ms(void);
void k_real_time(void); /* the clock is the system's again: what measures a test wants it so */

/* ---- looking ------------------------------------------------------------------------------- */

/* "Published", "Refused SecretNotFound", "Stale Forbidden", …; "" if there is no such volume. "POD/VOL" or "NS/POD/VOL". */
const char *k_state(const char *volume);
/* What a volume's file holds; "" if there is none. Of the last call, or the one before that. "POD/VOL/FILE" or "NS/POD/VOL/FILE". */
const char *k_file(const char *file);
/* Its message. */
const char *k_message(const char *volume);
size_t k_mounts(void);   /* volumes that are mounted, by the kernel's word */
size_t k_removals(void); /* volumes that were taken down since k_start() */

bool k_has(const char *volume, const char *state); /* k_state() begins so */
bool k_holds(const char *file, const char *text);  /* k_file() is it */

/* "REASON: MESSAGE" of the problem about an object, or of the server (kind "", name ""); "" if there is none. */
const char *k_problem(const char *kind, const char *name);
size_t k_problems(void);
bool k_is_up(void);

/* What a container's environment has for a name, asked for as the status socket does; "?REASON" if refused. */
const char *k_env(const char *pod, const char *name);

#endif
