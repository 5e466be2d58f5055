/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../daemon/log.h"
#include "../../daemon/source/dir.h"
#include "../../lib/base/text.h"

#define TURNS 12        /* of the loop; an answer takes three */
#define ANSWER_MS 20000 /* the server's own limit is half of it */

void (*t_daemon_aside)(bool begins);

/* How far a start has come, and what has to be undone. */
enum stage { NOTHING, NODE, LOOP, MANAGER, SERVER, METRICS, SOURCE };

static void aside(bool begins)
{
	if (t_daemon_aside)
		t_daemon_aside(begins);
}

static void die(const char *what)
{
	(void)fprintf(stderr, "daemon fixture: %s: %s\n", what, strerror(errno));
	abort();
}

/* ---- life ---------------------------------------------------------------------------------- */

void t_daemon_prepare(struct t_daemon *d, const char *dir)
{
	struct sv_config *c = &d->config;

	*d = (struct t_daemon){ .node = { .root_fd = -1 }, .group = (gid_t)-1 };
	c->root_dir = sv_asprintf("%s/root", dir);
	c->socket = sv_asprintf("%s/socket", dir);
	c->node_name = strdup("node");
	c->manifest_dirs.items = calloc(1, sizeof(char *));
	if (!c->root_dir || !c->socket || !c->node_name || !c->manifest_dirs.items)
		die("configuration");
	c->manifest_dirs.items[0] = sv_asprintf("%s/manifests", dir);
	c->manifest_dirs.n = 1;
	c->swap_policy = SV_SWAP_IGNORE;
	c->volume_size_limit = 1 << 20;
	c->manifest_size_limit = 1 << 20;
	c->grace_ms = 100;
	c->log_level = SV_LOG_DEBUG;
	c->log_format = SV_LOG_JSON;
	if (mkdir(c->manifest_dirs.items[0], 0700) < 0 && errno != EEXIST)
		die("manifests");
	sv_log_init(c->log_level, c->log_format);
}

void t_daemon_forget(struct t_daemon *d)
{
	sv_config_done(&d->config);
}

static void on_settled(void *arg)
{
	struct t_daemon *d = arg;

	d->settled = true;
	uv_stop(&d->loop); /* whoever waits for that looks before the loop waits */
	if (!d->manager.stopping)
		sv_notify_ready(&d->notify);
}

static void on_change(void *arg)
{
	sv_notify_changed(&((struct t_daemon *)arg)->notify);
}

static int open_node(struct t_daemon *d, struct sv_err *err)
{
	int r = sv_node_open(d->config.root_dir, &d->node, err);

	if (r < 0)
		return r;
	d->stage = NODE;
	d->node.policy = d->config.swap_policy;
	d->node.medium = SV_MEDIUM_TMPFS;
	aside(true); /* libuv ends the process where there is no memory for its first loop */
	r = uv_loop_init(&d->loop);
	aside(false);
	if (r < 0)
		return sv_err_set(err, r, "cannot start the event loop");
	uv_timer_init(&d->loop, &d->guard);
	uv_unref((uv_handle_t *)&d->guard);
	d->stage = LOOP;
	return 0;
}

/* libuv ends the process when its table of descriptors cannot grow: it is as large as needed. */
static void grow_watchers(struct t_daemon *d)
{
	int fd = fcntl(d->node.root_fd, F_DUPFD_CLOEXEC, 200), pipes[2];
	uv_poll_t poll;

	if (fd < 0 || pipe2(pipes, O_CLOEXEC) < 0 || dup3(pipes[0], fd, O_CLOEXEC) < 0)
		die("descriptors");
	uv_poll_init(&d->loop, &poll, fd);
	uv_poll_start(&poll, UV_READABLE, (uv_poll_cb)abort);
	uv_poll_stop(&poll);
	uv_close((uv_handle_t *)&poll, NULL);
	(void)uv_run(&d->loop, UV_RUN_NOWAIT);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

int t_daemon_start(struct t_daemon *d, struct sv_err *err)
{
	const struct sv_reconcile_opts opts = { (size_t)d->config.volume_size_limit,
						d->config.grace_ms };
	const struct sv_api_context context = {
		.manager = &d->manager,
		.sources = d->sources,
		.config = &d->config,
		.started_ms = sv_unix_ms(),
	};
	int r;

	d->stage = NOTHING;
	d->settled = false;
	d->server = NULL;
	d->metrics = NULL;
	d->sources[0] = NULL;
	r = open_node(d, err);
	if (r == 0) {
		aside(true);
		grow_watchers(d);
		aside(false);
		r = sv_manager_init(&d->manager, &d->loop, &d->node, &opts);
	}
	if (r == 0) {
		d->stage = MANAGER;
		sv_manager_set_keep(&d->manager, d->config.keep_values);
		sv_notify_init(&d->notify, &d->loop, &d->manager);
		d->manager.on_settled = on_settled;
		d->manager.on_change = on_change;
		d->manager.arg = d;
		r = sv_manager_adopt(&d->manager, err);
	}
	if (r == 0)
		r = sv_server_new(&d->loop, &context, -1, d->group, &d->server, err);
	if (r == 0) {
		d->stage = SERVER;
		if (d->config.metrics_address)
			r = sv_metrics_http_new(&d->loop, &context, &d->metrics, err);
	}
	if (r == 0) {
		d->stage = METRICS;
		r = sv_source_dir_new(&d->loop, &d->manager, &d->config, &d->sources[0], err);
	}
	if (r == 0)
		d->stage = SOURCE;
	else
		t_daemon_stop(d);
	return r;
}

static bool is_settled(void *arg)
{
	return ((struct t_daemon *)arg)->settled;
}

static void close_handles(struct t_daemon *d)
{
	uv_close((uv_handle_t *)&d->guard, NULL);
	(void)uv_run(&d->loop, UV_RUN_DEFAULT);
}

void t_daemon_stop(struct t_daemon *d)
{
	if (d->stage >= MANAGER) {
		d->settled = false;
		sv_manager_stop(&d->manager);
		if (!t_daemon_wait(d, is_settled, d, 60000))
			die("it does not stop");
	}
	if (d->stage >= SOURCE)
		d->sources[0]->stop(d->sources[0]);
	if (d->stage >= SERVER)
		sv_server_stop(d->server);
	if (d->metrics)
		sv_metrics_http_stop(d->metrics);
	if (d->stage >= MANAGER) {
		sv_notify_close(&d->notify);
		sv_manager_close(&d->manager);
	}
	if (d->stage >= LOOP)
		close_handles(d);
	sv_server_free(d->server);
	d->server = NULL;
	sv_metrics_http_free(d->metrics);
	d->metrics = NULL;
	if (d->stage >= SOURCE)
		d->sources[0]->free(d->sources[0]);
	d->sources[0] = NULL;
	if (d->stage >= MANAGER)
		sv_manager_done(&d->manager);
	if (d->stage >= LOOP && uv_loop_close(&d->loop) < 0)
		die("the loop has handles left");
	if (d->stage >= NODE)
		sv_node_close(&d->node);
	d->stage = NOTHING;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void on_guard(uv_timer_t *timer)
{
	(void)timer; /* the loop has been woken: that is all */
}

bool t_daemon_wait(struct t_daemon *d, bool (*done)(void *arg), void *arg, unsigned max_ms)
{
	uint64_t end;
	bool yes;

	uv_update_time(&d->loop);
	end = uv_now(&d->loop) + max_ms;
	for (;;) {
		uint64_t now = uv_now(&d->loop);

		aside(true);
		yes = done(arg);
		aside(false);
		if (yes || now >= end)
			break;
		uv_timer_start(&d->guard, on_guard, end - now, 0);
		(void)uv_run(&d->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&d->guard);
	return yes;
}

void t_daemon_turn(struct t_daemon *d)
{
	(void)uv_run(&d->loop, UV_RUN_NOWAIT);
}

/* ---- asking -------------------------------------------------------------------------------- */

struct talk {
	int fd;
	struct sv_buf out;
	bool over;
};

/* The peer's identity is that of the moment. */
static int connect_as(const char *path, uid_t uid, gid_t gid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (uid != 0 && (setegid(gid) < 0 || seteuid(uid) < 0))
		die("cannot be another user");
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die("cannot connect");
	if (uid != 0 && (seteuid(0) < 0 || setegid(0) < 0))
		die("cannot be root again");
	return fd;
}

static bool has_ended(void *arg)
{
	struct talk *t = arg;
	char part[16384];
	ssize_t n;

	while ((n = read(t->fd, part, sizeof(part))) > 0)
		sv_buf_add(&t->out, part, (size_t)n);
	t->over = n == 0 || (n < 0 && errno != EAGAIN);
	return t->over;
}

char *t_daemon_talk(struct t_daemon *d, const void *bytes, size_t n, unsigned max_ms,
		    size_t *ret_len, bool *ended)
{
	struct talk t = { .fd = -1 };
	int i;

	aside(true);
	t.fd = connect_as(d->config.socket, d->asks_as, d->is_member ? d->group : 0);
	/* the buffer of a socket takes more than any request may have */
	if (n > 0 && send(t.fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("cannot send");
	aside(false);
	for (i = 0; max_ms == 0 && i < TURNS && !has_ended(&t); i++)
		t_daemon_turn(d);
	if (max_ms > 0)
		(void)t_daemon_wait(d, has_ended, &t, max_ms);
	aside(true);
	close(t.fd);
	aside(false);
	t_daemon_turn(d); /* it sees that we have gone */
	*ret_len = t.out.len;
	*ended = t.over;
	return t.out.ptr;
}

static void take_apart(const char *all, size_t len, struct t_answer *ret)
{
	const char *end = all ? memmem(all, len, "\r\n\r\n", 4) : NULL, *length;

	if (!end || sscanf(all, "HTTP/1.1 %u", &ret->status) != 1)
		return;
	length = strcasestr(all, "\r\nContent-Length:");
	ret->len = len - (size_t)(end + 4 - all);
	ret->text = strndup(end + 4, ret->len);
	ret->whole = length && length < end && strtoull(length + 17, NULL, 10) == ret->len;
}

void t_daemon_ask(struct t_daemon *d, const char *method, const char *path, const char *body,
		  struct t_answer *ret)
{
	sv_autofree char *request = NULL, *all = NULL;
	size_t len = 0;
	bool ended;

	aside(true);
	request = sv_asprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			      "Content-Length: %zu\r\n\r\n%s",
			      method, path, body ? strlen(body) : 0, body ? body : "");
	aside(false);
	*ret = (struct t_answer){ 0 };
	all = t_daemon_talk(d, request, strlen(request), ANSWER_MS, &len, &ended);
	aside(true);
	take_apart(all, len, ret);
	aside(false);
}

void t_answer_done(struct t_answer *a)
{
	free(a->text);
	*a = (struct t_answer){ 0 };
}
