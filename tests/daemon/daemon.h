/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon - a whole daemon inside a test: loop, workers, a manifest directory, the status socket
 *
 * What main.c puts together, less options, signals and privileges. Everything is below one
 * directory: DIR/root, DIR/manifests and DIR/socket, which the fixture makes. A start that fails
 * leaves nothing behind, so a test can have it fail anywhere. For programs that need root.
 */
#ifndef TESTS_DAEMON_H
#define TESTS_DAEMON_H

#include <stdbool.h>
#include <uv.h>

#include "../../daemon/config.h"
#include "../../daemon/manager.h"
#include "../../daemon/metrics_http.h"
#include "../../daemon/notify.h"
#include "../../daemon/server.h"
#include "../../daemon/source/source.h"

struct t_daemon {
	uv_loop_t loop;
	struct sv_config config;
	struct sv_node node;
	struct sv_manager manager;
	struct sv_source *sources[2]; /* NULL-terminated */
	struct sv_server *server;
	struct sv_metrics_http *metrics; /* NULL: the configuration has no address for it */
	struct sv_notify notify;
	uv_timer_t guard; /* wakes those who wait in t_daemon_wait() */
	gid_t group;      /* that may read status; -1: only root may */
	uid_t asks_as;    /* who the fixture is to the status socket */
	bool is_member;   /* its own group is that one, if it is not root */
	unsigned stage;   /* of the start */
	bool settled;     /* ready: the sources were read, and what followed is done */
};

/* The directories, and a configuration that names them. @dir is an absolute path. */
void t_daemon_prepare(struct t_daemon *d, const char *dir);
void t_daemon_forget(struct t_daemon *d); /* the configuration */

/* Return: 0, or a negated errno with a text; then all is as before. */
int t_daemon_start(struct t_daemon *d, struct sv_err *err);

/* Runs the loop until @done says so. Return: false if that took longer than @max_ms of its time. */
bool t_daemon_wait(struct t_daemon *d, bool (*done)(void *arg), void *arg, unsigned max_ms);
void t_daemon_turn(struct t_daemon *d); /* what can be done without waiting */

/* As after SIGTERM: what is under way is finished, volumes stay. */
void t_daemon_stop(struct t_daemon *d);

/* An answer of the status socket. */
struct t_answer {
	unsigned status; /* 0: the connection ended without an answer */
	bool whole;      /* as many bytes came as were announced */
	char *text;      /* all that came after the head, NULL if nothing did */
	size_t len;
};

/* Asks on a connection of its own while the loop runs. @body may be NULL. */
void t_daemon_ask(struct t_daemon *d, const char *method, const char *path, const char *body,
		  struct t_answer *ret);
void t_answer_done(struct t_answer *a);

/*
 * The same with any bytes; returns what came until the other side closed, which @ended says, or
 * @max_ms had passed. 0: or nothing more came by itself, without waiting.
 */
char *t_daemon_talk(struct t_daemon *d, const void *bytes, size_t n, unsigned max_ms,
		    size_t *ret_len, bool *ended);

/* Called before and after what the fixture itself does in the middle of a run; may be NULL. */
extern void (*t_daemon_aside)(bool begins);

#endif
