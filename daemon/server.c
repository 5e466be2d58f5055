/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../lib/base/text.h"
#include "api.h"
#include "listener.h"
#include "log.h"
#include "reply.h"

#define QUEUE \
	1024 /* connections that wait to be accepted: room for root's beside a flood of others' */

/*
 * What libmicrohttpd has for a connection, in bytes, must hold any head that we allow, and 56 bytes
 * more for each field: those of 10 bytes on average have room. Pages count once they are used.
 */
#define CONNECTION_POOL (128 << 10)

struct sv_server {
	struct sv_api_context context;
	struct MHD_Daemon *http;
	int fd;        /* listening */
	bool own_path; /* the socket's file is ours to remove */
	gid_t gid;
	struct sv_listener listener;
	uv_poll_t epoll;
	bool polled;      /* epoll is a handle of the loop's */
	uv_timer_t timer; /* for libmicrohttpd's and our own deadlines */
	struct peer *peers;
	unsigned n_peers;
	size_t held;       /* by all peers */
	int64_t others_ms; /* monotonic: until then only root gets answers */
	bool running;      /* inside MHD_run(): no second one */
	bool again;        /* something was resumed meanwhile */
	bool stopping;     /* nobody waits for a source any more */
};

/* One connection. */
struct peer {
	struct sv_server *server;
	struct peer *next, **link;
	int fd;
	uid_t uid;
	int allowed;      /* 1, 0, or a negated errno if it could not be found out */
	bool owed;        /* an answer: it has just connected, or a request has begun */
	int64_t since_ms; /* monotonic: when it connected or its last request was answered */
	size_t held;      /* bytes of the answer that is being sent; root's are not counted */
	struct MHD_Connection *turn; /* that waits for its turn, suspended; NULL: none does */
	struct watcher *watcher;
	struct request *leasing; /* holds a lease, suspended while that waits; NULL: none does */
};

/* What of a request has arrived so far. */
struct request {
	struct sv_buf body;
	bool answered;  /* before the body came */
	bool too_large; /* the body */
	struct peer *peer;
	struct MHD_Connection *connection;
	bool leased; /* lease was taken, if anything was to be leased */
	struct sv_env_lease lease;
};

/* A request that follows changes. */
struct watcher {
	struct peer *peer;
	struct MHD_Connection *connection;
	enum sv_topic topic;
	char *ns, *pod; /* of which volumes or events; NULL: all */
	char *first;    /* what was there at the beginning; then SYNCED */
	size_t first_len, first_pos;
	uint64_t pos;     /* in the feed */
	const char *line; /* being sent; a copy */
	char *copy;
	size_t line_len, line_pos;
	bool suspended;
	bool gone; /* its peer has hung up */
};

/* ---- peers --------------------------------------------------------------------------------- */

/* Return: 1, 0, or a negated errno. */
static int is_member(int fd, gid_t gid, gid_t primary)
{
	gid_t groups[256];
	socklen_t len = sizeof(groups);
	size_t i;

	if (gid == (gid_t)-1)
		return 0;
	if (primary == gid)
		return 1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return errno == ERANGE ? 0 : -errno; /* more groups than are looked at */
	for (i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == gid)
			return 1;
	return 0;
}

/* Who is it, and may it read status? */
static void identify(struct peer *p, gid_t gid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		p->uid = (uid_t)-1;
		p->allowed = -errno;
		return;
	}
	p->uid = cred.uid;
	p->allowed = cred.uid == 0 ? 1 : is_member(p->fd, gid, cred.gid);
}

static void count_peers(const struct sv_server *s, uid_t uid, unsigned *others, unsigned *same)
{
	const struct peer *p;

	*others = *same = 0;
	for (p = s->peers; p; p = p->next) {
		*others += p->uid != 0;
		*same += p->uid == uid;
	}
}

static bool has_room(const struct sv_server *s, uid_t uid)
{
	unsigned others, same;

	count_peers(s, uid, &others, &same);
	if (uid == 0)
		return s->n_peers < SV_PEERS_MAX;
	return others < SV_PEERS_MAX - SV_PEERS_ROOT && same < SV_PEERS_PER_USER &&
	       s->n_peers < SV_PEERS_MAX;
}

/* Root may take the place of whoever has been idle for longest, root's own included. */
static void make_room(struct sv_server *s)
{
	struct peer *p, *oldest = NULL;

	for (p = s->peers; p; p = p->next)
		if (!p->watcher && (!oldest || p->since_ms <= oldest->since_ms))
			oldest = p;
	if (oldest) {
		(void)shutdown(oldest->fd, SHUT_RDWR);
		oldest->since_ms = INT64_MAX; /* on its way out */
	}
}

static void run_http(struct sv_server *s);

/* libmicrohttpd does not look at a suspended connection: without us it would outlive its peer. */
static void end_abandoned(struct sv_server *s)
{
	struct peer *p;

	for (p = s->peers; p; p = p->next) {
		struct pollfd pfd = { .fd = p->fd };

		if (!p->watcher || !p->watcher->suspended || poll(&pfd, 1, 0) <= 0)
			continue;
		p->watcher->gone = true;
		p->watcher->suspended = false;
		MHD_resume_connection(p->watcher->connection);
	}
}

static void refuse_peer(int fd)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\n"
		"Content-Type: application/json\r\nContent-Length: 33\r\n"
		"Connection: close\r\n\r\n{\"error\":\"too many connections\"}\n";

	(void)send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* @swept: whether those who have hung up have been looked for in this turn; a flood must not cost a look each. */
static void accept_one(struct sv_server *s, int fd, bool *swept)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		close(fd);
		return;
	}
	if (!has_room(s, cred.uid) && !*swept) {
		*swept = true;
		end_abandoned(s);
		run_http(s);
	}
	if (!has_room(s, cred.uid)) {
		if (cred.uid == 0)
			make_room(s);
		refuse_peer(fd);
		return;
	}
	(void)MHD_add_connection(s->http, fd, (struct sockaddr *)&addr, sizeof(addr));
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
	struct sv_server *s = poll->data;
	bool swept = false;
	int i;

	(void)status;
	(void)events;
	for (i = 0; i < SV_PEERS_MAX; i++) {
		int fd = sv_listener_accept(&s->listener, NULL, NULL);

		if (fd < 0)
			break;
		accept_one(s, fd, &swept);
	}
	run_http(s);
}

/* libmicrohttpd tells of a connection that begins or ends. */
static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct sv_server *s = cls;
	struct peer *p = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

		p = calloc(1, sizeof(*p));
		*context = p;
		if (!p || !info)
			return;
		p->server = s;
		p->fd = info->connect_fd;
		p->owed = true;
		p->since_ms = sv_monotonic_ms();
		identify(p, s->gid);
		p->next = s->peers;
		p->link = &s->peers;
		if (p->next)
			p->next->link = &p->next;
		s->peers = p;
		s->n_peers++;
		s->context.manager->metrics.status_peers = s->n_peers;
	} else if (p) {
		if (p->link) {
			*p->link = p->next;
			if (p->next)
				p->next->link = p->link;
			s->n_peers--;
			s->context.manager->metrics.status_peers = s->n_peers;
		}
		free(p);
		*context = NULL;
	}
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

static size_t held_by(const struct sv_server *s, uid_t uid)
{
	const struct peer *p;
	size_t sum = 0;

	for (p = s->peers; p; p = p->next)
		sum += p->uid == uid ? p->held : 0;
	return sum;
}

/*
 * Users who read what they get come first, and of these whoever has waited for longest, who stands
 * last in the list. Return: ms until the next turn, -1: nobody waits.
 */
static int64_t give_turn(struct sv_server *s)
{
	int64_t left = s->others_ms - sv_monotonic_ms();
	struct peer *p, *first = NULL;
	size_t least = 0;

	for (p = s->peers; p; p = p->next) {
		size_t held = p->turn ? held_by(s, p->uid) : 0;

		if (!p->turn || (first && held > least))
			continue;
		first = p;
		least = held;
	}
	if (!first)
		return -1;
	if (left > 0)
		return left;
	MHD_resume_connection(first->turn);
	first->turn = NULL;
	return 0;
}

static void run_http(struct sv_server *s)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;
	int64_t turn_ms;
	int turns = 0;
	bool more;

	if (s->running) {
		s->again = true;
		return;
	}
	s->running = true;
	do { /* epoll is edge-triggered in there: run until it says that it waits */
		s->again = false;
		(void)MHD_run(s->http);
		more = MHD_get_timeout(s->http, &wait) == MHD_YES;
	} while ((s->again || (more && wait == 0)) && ++turns < 64);
	s->running = false;
	if (!more || wait > 1000)
		wait = 1000;
	turn_ms = give_turn(s);
	if (turn_ms >= 0 && (MHD_UNSIGNED_LONG_LONG)turn_ms < wait)
		wait = (MHD_UNSIGNED_LONG_LONG)turn_ms;
	if (s->n_peers == 0)
		uv_timer_stop(&s->timer);
	/* never later than it was to be: a peer that drips must not put off its own end */
	else if (!uv_is_active((uv_handle_t *)&s->timer) || uv_timer_get_due_in(&s->timer) > wait)
		uv_timer_start(&s->timer, on_timer, wait ? wait : 1, 0);
}

/* Requests and answers that take too long, byte by byte, are ended; who follows changes may stay. */
static void end_slow(struct sv_server *s)
{
	int64_t now = sv_monotonic_ms();
	struct peer *p;

	for (p = s->peers; p; p = p->next) {
		bool follows = p->watcher && !p->watcher->first;

		if (follows || p->turn || p->since_ms == INT64_MAX ||
		    now - p->since_ms <= SV_REQUEST_MS)
			continue;
		(void)shutdown(p->fd, SHUT_RDWR);
		p->since_ms = INT64_MAX;
	}
}

static void on_timer(uv_timer_t *timer)
{
	end_slow(timer->data);
	end_abandoned(timer->data);
	run_http(timer->data);
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run_http(poll->data);
}

/* ---- answers ------------------------------------------------------------------------------- */

static enum MHD_Result send_error(struct MHD_Connection *c, unsigned status, const char *text)
{
	struct sv_api_answer answer;

	sv_api_error(&answer, status, "", text);
	return sv_reply(c, &answer);
}

/* Trouble of the node is no verdict on who asks. */
static enum MHD_Result send_refusal(struct MHD_Connection *c, int allowed)
{
	char text[128];

	if (allowed == 0)
		return send_error(c, MHD_HTTP_FORBIDDEN,
				  "only root and the socket's group may read status");
	(void)snprintf(text, sizeof(text), "cannot find out who asks: %s", strerror(-allowed));
	return send_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static const char *argument(void *connection, const char *name)
{
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
					  &value, NULL) != MHD_YES)
		return NULL;
	return value ? value : ""; /* "?verbose" is there, and has no value */
}

static void hold(struct peer *p, size_t len)
{
	if (p->uid == 0)
		return;
	p->held += len;
	p->server->held += len;
}

static void let_go(struct peer *p)
{
	p->server->held -= p->held;
	p->held = 0;
}

/* Lists are long where there are many volumes: who does not read them must not have all memory. */
static bool is_too_much(const struct peer *p, size_t len)
{
	size_t own = p->uid != 0 ? held_by(p->server, p->uid) : 0;

	return p->uid != 0 &&
	       (p->server->held + len > SV_HELD_MAX || (own > 0 && own + len > SV_HELD_PER_USER));
}

static const char too_much[] = "too many answers have not been read: try again in a moment";

/* ---- watching ------------------------------------------------------------------------------ */

static void watcher_free(void *cls)
{
	struct watcher *w = cls;

	sv_feed_leave(&w->peer->server->context.manager->feed, w->topic);
	w->peer->watcher = NULL;
	w->peer->since_ms = sv_monotonic_ms();
	free(w->ns);
	free(w->pod);
	free(w->first);
	free(w->copy);
	free(w);
}

/* A line may be about a Pod that the watcher did not ask for. */
static bool is_for(const struct watcher *w, const struct sv_feed_entry *e)
{
	return !e->ns || !e->pod || sv_api_matches(e->ns, e->pod, w->ns, w->pod);
}

/* The next line into w->copy. Return: false if there is none. */
static bool take_line(struct watcher *w, bool *lost)
{
	const struct sv_feed *feed = &w->peer->server->context.manager->feed;
	const struct sv_feed_entry *e;

	do {
		e = sv_feed_next(feed, w->topic, &w->pos, lost);
	} while (e && !is_for(w, e));
	if (!e)
		return false;
	free(w->copy);
	w->copy = strdup(e->line);
	w->line_len = w->copy ? strlen(w->copy) : 0;
	w->line_pos = 0;
	*lost = !w->copy;
	return w->copy != NULL;
}

static size_t copy_part(char *buf, size_t max, const char *from, size_t len, size_t *pos)
{
	size_t n = len - *pos < max ? len - *pos : max;

	memcpy(buf, from + *pos, n);
	*pos += n;
	return n;
}

static ssize_t read_watch(void *cls, uint64_t offset, char *buf, size_t max)
{
	struct watcher *w = cls;
	bool lost = false;

	(void)offset;
	if (w->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (w->first_pos < w->first_len)
		return (ssize_t)copy_part(buf, max, w->first, w->first_len, &w->first_pos);
	if (w->first) {
		free(w->first);
		w->first = NULL;
		w->first_len = w->first_pos = 0;
		let_go(w->peer);
	}
	if (w->line_pos == w->line_len && !take_line(w, &lost)) {
		if (lost) /* it reads too slowly, or we lack memory: it has to start anew */
			return MHD_CONTENT_READER_END_OF_STREAM;
		w->suspended = true;
		MHD_suspend_connection(w->connection);
		return 0;
	}
	return (ssize_t)copy_part(buf, max, w->copy, w->line_len, &w->line_pos);
}

/* The feed has new lines. */
static void wake_watchers(void *arg)
{
	struct sv_server *s = arg;
	struct peer *p;
	bool any = false;

	for (p = s->peers; p; p = p->next)
		if (p->watcher && p->watcher->suspended) {
			p->watcher->suspended = false;
			MHD_resume_connection(p->watcher->connection);
			any = true;
		}
	if (any) /* many lines may come in this turn of the loop: send them together */
		uv_timer_start(&s->timer, on_timer, 0, 0);
}

static void add_first(void *arg, struct json_object *o)
{
	struct sv_buf *b = arg;
	char *line = sv_feed_line("ADDED", o);

	if (line)
		sv_buf_puts(b, line);
	else
		b->failed = true;
	free(line);
}

static enum MHD_Result answer_watch(struct sv_server *s, struct MHD_Connection *c, struct peer *p,
				    enum sv_topic topic)
{
	struct watcher *w;
	sv_autobuf struct sv_buf first = { 0 };
	const struct sv_api_request request = { .argument = argument, .arg = c };
	const char *ns = sv_api_argument(&request, "namespace");
	const char *pod = sv_api_argument(&request, "pod");
	struct MHD_Response *r;
	enum MHD_Result ok;

	sv_api_each(s->context.manager, topic, ns, pod, add_first, &first);
	sv_buf_puts(&first, "{\"type\":\"SYNCED\",\"object\":{}}\n");
	if (is_too_much(p, first.len))
		return send_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, too_much);
	w = calloc(1, sizeof(*w));
	if (!w || sv_feed_join(&s->context.manager->feed, topic, &w->pos) < 0) {
		free(w);
		return MHD_NO;
	}
	w->peer = p;
	w->connection = c;
	w->topic = topic;
	w->ns = ns ? strdup(ns) : NULL;
	w->pod = pod ? strdup(pod) : NULL;
	first.failed = first.failed || (ns && !w->ns) || (pod && !w->pod);
	w->first_len = first.len;
	w->first = sv_buf_take(&first);
	hold(p, w->first_len);
	p->since_ms = sv_monotonic_ms();
	p->watcher = w;
	r = w->first ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_watch, w,
							 watcher_free) :
		       NULL;
	if (!r) {
		watcher_free(w);
		return MHD_NO;
	}
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	ok = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return ok;
}

/* ---- requests ------------------------------------------------------------------------------ */

/* The source has answered, or never will: on_request() is called once more. */
static void wake_request(void *arg)
{
	struct request *req = arg;
	struct sv_server *s = req->peer->server;

	req->lease.waiting = false;
	MHD_resume_connection(req->connection);
	uv_timer_start(&s->timer, on_timer, 0, 0);
}

static void end_lease(struct request *req)
{
	sv_manager_release(&req->lease);
	req->peer->leasing = NULL;
}

/* An environment may need Secrets that have to be read first. Return: true to wait for them. */
static bool must_wait(struct sv_server *s, const struct sv_api_request *request,
		      struct request *req)
{
	if (req->leased || s->stopping || !sv_api_is_env(request))
		return false;
	req->leased = true;
	if (sv_api_lease(&s->context, request, wake_request, req, &req->lease) < 0)
		sv_log_err("status socket: out of memory"); /* what is not known is said so */
	req->peer->leasing = req;
	if (!req->lease.waiting)
		return false;
	MHD_suspend_connection(req->connection);
	return true;
}

static enum MHD_Result answer(struct sv_server *s, struct MHD_Connection *c, struct peer *p,
			      const char *method, const char *url, struct request *req)
{
	const struct sv_api_request request = {
		.method = method,
		.path = url,
		.argument = argument,
		.arg = c,
		.body = req->body.ptr,
		.body_len = req->body.len,
		.is_root = p->uid == 0,
	};
	struct sv_api_answer made;
	enum sv_topic topic;
	size_t len;

	if (sv_api_is_watch(&request, &topic))
		return answer_watch(s, c, p, topic);
	if (must_wait(s, &request, req))
		return MHD_YES;
	sv_api_answer(&s->context, &request, &made);
	end_lease(req); /* not with the answer's end: the source may be gone by then */
	len = made.text ? strlen(made.text) : 0;
	if (is_too_much(p, len)) {
		free(made.text); /* no list holds a value */
		return send_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, too_much);
	}
	hold(p, len);
	return sv_reply(c, &made);
}

/* From the request line to the empty one. */
static size_t head_size(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info ? info->header_size : 0;
}

/* Lists of many volumes take a while to make. Whoever keeps asking must not have all the time. */
static enum MHD_Result route(struct sv_server *s, struct MHD_Connection *c, struct peer *p,
			     const char *method, const char *url, struct request *req)
{
	int64_t start_ms = sv_monotonic_ms();
	enum MHD_Result r;

	if (p->uid != 0 && start_ms < s->others_ms) {
		p->turn = c;
		MHD_suspend_connection(c);
		return MHD_YES;
	}
	if (is_too_much(p, 1))
		return send_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, too_much);
	r = answer(s, c, p, method, url, req);
	p->since_ms = sv_monotonic_ms(); /* to be read, it has as long as the request had */
	if (p->uid != 0)
		s->others_ms = p->since_ms + (p->since_ms - start_ms) * (SV_OTHERS_PART - 1);
	return r;
}

/* Called when the head is there, for every piece of the body, and when it is complete. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	struct sv_server *s = cls;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct peer *p = info ? info->socket_context : NULL;
	struct request *req = *context;

	(void)version;
	if (!p || !p->server)
		return MHD_NO;
	if (!req) {
		const char *length =
			MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

		req = *context = calloc(1, sizeof(*req));
		if (!req)
			return MHD_NO;
		req->peer = p;
		req->connection = c;
		p->owed = true;
		req->answered = true;
		if (p->allowed <= 0)
			return send_refusal(c, p->allowed);
		if (head_size(c) > SV_HEADER_MAX)
			return send_error(c, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
					  "head is too large");
		if (length && strtoull(length, NULL, 10) > SV_BODY_MAX)
			return send_error(c, MHD_HTTP_CONTENT_TOO_LARGE, "body is too large");
		req->answered = false;
		return MHD_YES;
	}
	if (*upload_size > 0) {
		if (req->body.len + *upload_size > SV_BODY_MAX && !req->answered) {
			sv_buf_done(&req->body);
			req->answered = true; /* after the rest has been read: see below */
			req->too_large = true;
		}
		if (!req->answered)
			sv_buf_add(&req->body, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (req->too_large)
		return send_error(c, MHD_HTTP_CONTENT_TOO_LARGE, "body is too large");
	if (req->body.failed)
		return MHD_NO;
	return route(s, c, p, method, url, req);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct peer *p = info ? info->socket_context : NULL;
	struct request *req = *context;

	(void)code;
	sv_manager_tidy(
		((struct sv_server *)cls)->context.manager); /* the answer may have held values */
	if (p) {
		p->since_ms = sv_monotonic_ms();
		p->owed = false;
		let_go(p);
	}
	if (req) {
		end_lease(req); /* of a peer that did not wait */
		sv_buf_done(&req->body);
	}
	free(req);
	*context = NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* A socket that nobody listens on any more may be replaced; anything else may not. */
static int remove_stale(const char *path, const struct sockaddr_un *addr, struct sv_err *err)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : sv_err_set(err, -errno, "socket '%s'", path);
	if (!S_ISSOCK(st.st_mode))
		return sv_err_set(err, -EEXIST, "socket '%s': something else stands there", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return sv_err_set(err, -errno, "socket '%s'", path);
	r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	close(fd);
	/* A queue that is full is somebody's, and so is a socket of another type. */
	if (r == 0 || r == -EAGAIN || r == -EPROTOTYPE)
		return sv_err_set(err, -EADDRINUSE, "socket '%s': somebody listens on it", path);
	if (r != -ECONNREFUSED)
		return sv_err_set(err, r, "socket '%s': cannot tell whether somebody listens on it",
				  path);
	return unlink(path) < 0 ? sv_err_set(err, -errno, "socket '%s'", path) : 0;
}

int sv_server_passed(int *ret_fd, gid_t *ret_gid, struct sv_err *err)
{
	struct sockaddr_un addr = { 0 };
	socklen_t len = sizeof(addr) - 1; /* the path stays terminated */
	int fd = SD_LISTEN_FDS_START, n = sd_listen_fds(1);
	struct stat st;

	*ret_fd = -1;
	*ret_gid = (gid_t)-1;
	if (n <= 0)
		return n < 0 ? sv_err_set(err, n, "cannot take the socket that was passed") : 0;
	if (n > 1 || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
		return sv_err_set(err, -EINVAL,
				  "what was passed is not one listening Unix stream socket "
				  "(ListenStream= with a path)");
	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return sv_err_set(err, -errno, "cannot take the socket that was passed");
	if (addr.sun_path[0] == '/' && lstat(addr.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    (st.st_mode & S_IWGRP) && st.st_gid != 0)
		*ret_gid = st.st_gid;
	*ret_fd = fd;
	return 0;
}

/* By descriptor: where others may write to the directory, the name could lead elsewhere by now. */
static int open_to_group(const char *path, gid_t gid)
{
	sv_autoclose int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char by_fd[32];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	(void)snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
	return fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) < 0 || chmod(by_fd, 0660) < 0 ?
		       -errno :
		       0;
}

static int listen_on(struct sv_server *s, const char *path, struct sv_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return sv_err_set(err, -ENAMETOOLONG, "socket '%s'", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	r = remove_stale(path, &addr, err);
	if (r < 0)
		return r;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177); /* never open to others, not even for a moment */
	r = s->fd < 0 || bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0)
		s->own_path = true;
	if (r == 0 && s->gid != (gid_t)-1)
		r = open_to_group(path, s->gid);
	if (r == 0 && listen(s->fd, QUEUE) < 0)
		r = -errno;
	return r < 0 ? sv_err_set(err, r, "cannot listen on socket '%s'", path) : 0;
}

static int start_http(struct sv_server *s, uv_loop_t *loop, struct sv_err *err)
{
	const union MHD_DaemonInfo *info;
	int r;

	s->http = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, s, MHD_OPTION_CONNECTION_LIMIT, SV_PEERS_MAX + 1,
		MHD_OPTION_CONNECTION_TIMEOUT, SV_REQUEST_MS / 1000,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, s, MHD_OPTION_END);
	if (!s->http)
		return sv_err_set(err, -ENOMEM, "cannot start the status server");
	info = MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return sv_err_set(err, -ENOTSUP, "cannot start the status server");
	s->epoll.data = s->timer.data = s;
	r = uv_poll_init(loop, &s->epoll, info->epoll_fd);
	s->polled = r == 0;
	if (r == 0)
		r = sv_listener_start(&s->listener, loop, s->fd, on_connect, s);
	if (r < 0)
		return sv_err_set(err, r, "cannot start the status server");
	uv_timer_init(loop, &s->timer);
	(void)uv_poll_start(&s->epoll, UV_READABLE, on_epoll);
	return 0;
}

/* The loop may have a handle that it has to let go first. */
static void on_closed(uv_handle_t *handle)
{
	sv_server_free(handle->data);
}

static void remove_socket(struct sv_server *s)
{
	if (s->own_path)
		(void)unlink(s->context.config->socket);
}

int sv_server_new(uv_loop_t *loop, const struct sv_api_context *context, int fd, gid_t gid,
		  struct sv_server **ret, struct sv_err *err)
{
	struct sv_server *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return sv_err_set(err, -ENOMEM, "cannot start the status server");
	s->context = *context;
	s->fd = fd;
	s->gid = gid;
	if (fd < 0)
		r = listen_on(s, context->config->socket, err);
	if (r == 0)
		r = start_http(s, loop, err);
	if (r < 0) {
		remove_socket(s);
		if (s->polled)
			uv_close((uv_handle_t *)&s->epoll, on_closed);
		else
			sv_server_free(s);
		return r;
	}
	context->manager->feed.wake = wake_watchers;
	context->manager->feed.arg = s;
	*ret = s;
	return 0;
}

static bool owes_answers(const struct sv_server *s)
{
	const struct peer *p;

	for (p = s->peers; p; p = p->next)
		if (p->owed && !p->watcher)
			return true;
	return false;
}

/*
 * Who was let in gets an answer; whoever comes later waits in a passed socket's queue for the next
 * daemon. There is nothing else left to do, so the loop may stand still for a moment.
 */
static void finish_requests(struct sv_server *s)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD);
	int64_t end_ms = sv_monotonic_ms() + SV_FINISH_MS, left_ms = SV_FINISH_MS;

	while (info && left_ms > 0 && owes_answers(s)) {
		struct pollfd pfd = { .fd = info->epoll_fd, .events = POLLIN };

		(void)poll(&pfd, 1, (int)left_ms);
		run_http(s);
		left_ms = end_ms - sv_monotonic_ms();
	}
}

void sv_server_stop(struct sv_server *s)
{
	struct peer *p;

	s->context.manager->feed.wake = NULL;
	s->stopping = true;
	for (p = s->peers; p; p = p->next) {
		struct request *req = p->leasing;
		bool waits = req && req->lease.waiting;

		if (req)
			end_lease(req);
		if (waits) /* answered with what is known, while the sources are there */
			wake_request(req);
	}
	finish_requests(s);
	sv_listener_close(&s->listener);
	uv_close((uv_handle_t *)&s->epoll, NULL);
	uv_close((uv_handle_t *)&s->timer, NULL);
	remove_socket(s);
}

void sv_server_free(struct sv_server *s)
{
	struct peer *p;

	if (!s)
		return;
	for (p = s->peers; p; p = p->next)
		if (p->turn)
			MHD_resume_connection(p->turn);
	for (p = s->peers; p; p = p->next) /* a suspended one must be resumed before the end */
		if (p->watcher && p->watcher->suspended)
			MHD_resume_connection(p->watcher->connection);
	if (s->http)
		MHD_stop_daemon(s->http);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}
