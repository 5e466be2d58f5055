/* SPDX-License-Identifier: Apache-2.0 */
/* The raw layer: connections, requests and their log, answers byte by byte. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "apiserver_priv.h"

enum {
	BACKLOG = 4096,
	MAX_HEADER = 64 * 1024,
	MAX_BODY = 16 * 1024 * 1024,
	UNTIL_MS = 60000,
};

struct t_api_conn {
	uv_tcp_t tcp;
	struct t_api *api;
	struct t_api_conn *prev, *next;
	uint64_t serial;
	struct sv_buf in;      /* read, not yet parsed */
	struct t_api_req *req; /* being answered, or NULL */
	bool parsing, continued, close_after, closing;
};

struct t_api_drip { /* a timer of a request */
	uv_timer_t timer;
	struct t_api *api;
	struct t_api_req *req; /* NULL once it has ended */
	char *data;
	size_t len, pos, step;
	void (*late)(struct t_api_req *req); /* instead of data */
};

/* ---- for all ------------------------------------------------------------------------------- */

void t_api_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("apiserver: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	abort();
}

void *t_api_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		t_api_die("out of memory");
	return p;
}

char *t_api_strdup(const char *s)
{
	char *copy = s ? strdup(s) : NULL;

	if (s && !copy)
		t_api_die("out of memory");
	return copy;
}

char *t_api_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		t_api_die("out of memory");
	va_end(ap);
	return s;
}

bool t_api_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void t_api_opened(struct t_api *api)
{
	api->n_handles++;
}

static void free_req(struct t_api_req *req)
{
	for (size_t i = 0; i < req->n_query; i++) {
		free(req->query[i].name);
		free(req->query[i].value);
	}
	for (size_t i = 0; i < req->n_headers; i++) {
		free(req->headers[i].name);
		free(req->headers[i].value);
	}
	free(req->query);
	free(req->headers);
	free(req->method);
	free(req->path);
	free(req->target);
	free(req->body);
	free(req->ns);
	free(req->name);
	free(req->node);
	t_fault_release(req);
	free(req);
}

void t_api_closed(struct t_api *api)
{
	if (--api->n_handles > 0 || !api->stopping)
		return;
	for (size_t i = 0; i < api->n_log; i++)
		free_req(api->log[i]);
	free(api->log);
	t_fault_free_all(api);
	t_world_free(api->world);
	free(api);
}

/* ---- what is not tested -------------------------------------------------------------------- */

void (*t_api_aside)(bool begins);

void t_api_enter(bool begins)
{
	if (t_api_aside)
		t_api_aside(begins);
}

/* ---- connections --------------------------------------------------------------------------- */

static void on_drip_closed(uv_handle_t *handle)
{
	struct t_api_drip *d = handle->data;
	struct t_api *api = d->api;

	free(d->data);
	free(d);
	t_api_closed(api);
}

static void drop_drip(struct t_api_req *req)
{
	struct t_api_drip *d = SV_TAKE(req->drip);

	if (d) {
		d->req = NULL;
		uv_close((uv_handle_t *)&d->timer, on_drip_closed);
	}
}

/* Nothing more will be sent for this request. */
static void detach(struct t_api_req *req)
{
	if (req->conn)
		req->conn->req = NULL;
	req->conn = NULL;
	req->ended = true;
	drop_drip(req);
	t_world_gone(req);
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct t_api_conn *c = handle->data;
	struct t_api *api = c->api;

	sv_buf_done(&c->in);
	free(c);
	t_api_closed(api);
}

static void conn_leaves(struct t_api_conn *c)
{
	c->closing = true;
	if (c->req)
		detach(c->req);
	if (c->prev)
		c->prev->next = c->next;
	else
		c->api->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->api->n_conns--;
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	(void)status;
	if (!uv_is_closing((uv_handle_t *)shutdown->handle))
		uv_close((uv_handle_t *)shutdown->handle, on_conn_closed);
	free(shutdown);
}

static void close_conn(struct t_api_conn *c, enum t_api_cut how)
{
	uv_shutdown_t *shutdown;

	if (c->closing)
		return;
	conn_leaves(c);
	if (how == T_API_RST && uv_tcp_close_reset(&c->tcp, on_conn_closed) == 0)
		return;
	/* What is queued goes out first. */
	shutdown = t_api_alloc(sizeof(*shutdown));
	if (how == T_API_FIN && uv_shutdown(shutdown, (uv_stream_t *)&c->tcp, on_shutdown) == 0)
		return;
	free(shutdown);
	uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

struct write {
	uv_write_t write;
	char data[];
};

static void on_written(uv_write_t *write, int status)
{
	(void)status; /* reading finds out what became of the connection */
	free(write->data);
}

static void conn_write(struct t_api_conn *c, const void *data, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
	struct write *w;
	int n;

	if (len == 0)
		return;
	n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	if (n == (int)len)
		return;
	if (n < 0 && n != UV_EAGAIN)
		return;
	n = n < 0 ? 0 : n;
	w = t_api_alloc(sizeof(*w) + len - (size_t)n);
	memcpy(w->data, (const char *)data + n, len - (size_t)n);
	w->write.data = w;
	buf = uv_buf_init(w->data, (unsigned)(len - (size_t)n));
	if (uv_write(&w->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
		free(w);
}

/* ---- parsing ------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *decode(const char *s, size_t len, bool plus)
{
	char *out = t_api_alloc(len + 1), *o = out;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '%' && i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
			*o++ = (char)(hex(s[i + 1]) << 4 | hex(s[i + 2]));
			i += 2;
		} else {
			*o++ = plus && s[i] == '+' ? ' ' : s[i];
		}
	}
	return out;
}

static void add_pair(struct t_api_pair **pairs, size_t *n, char *name, char *value)
{
	*pairs = reallocarray(*pairs, *n + 1, sizeof(**pairs));
	if (!*pairs)
		t_api_die("out of memory");
	(*pairs)[(*n)++] = (struct t_api_pair){ name, value };
}

static void parse_query(struct t_api_req *req, const char *s)
{
	while (*s) {
		size_t len = strcspn(s, "&"), name = 0;

		while (name < len && s[name] != '=')
			name++;
		if (len > 0)
			add_pair(&req->query, &req->n_query, decode(s, name, true),
				 name < len ? decode(s + name + 1, len - name - 1, true) :
					      t_api_strdup(""));
		s += len + (s[len] == '&');
	}
}

static const char *pair(const struct t_api_pair *pairs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pairs[i].value;
	return NULL;
}

const char *t_api_query(const struct t_api_req *req, const char *name)
{
	return pair(req->query, req->n_query, name);
}

const char *t_api_header(const struct t_api_req *req, const char *name)
{
	return pair(req->headers, req->n_headers, name);
}

/* "METHOD TARGET HTTP/1.1" */
static bool parse_request_line(struct t_api_req *req, char *line)
{
	char *target = strchr(line, ' '), *version, *query;

	if (!target || target == line)
		return false;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (!version || *target != '/' || strcmp(version, " HTTP/1.1") != 0)
		return false;
	*version = '\0';
	req->method = t_api_strdup(line);
	req->target = t_api_strdup(target);
	query = strchr(target, '?');
	req->path = decode(target, query ? (size_t)(query - target) : strlen(target), false);
	if (query)
		parse_query(req, query + 1);
	return true;
}

static bool parse_header_line(struct t_api_req *req, char *line)
{
	char *colon = strchr(line, ':');

	if (!colon || colon == line)
		return false;
	*colon++ = '\0';
	for (char *p = line; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 0x20;
	colon += strspn(colon, " \t");
	add_pair(&req->headers, &req->n_headers, t_api_strdup(line), t_api_strdup(colon));
	return true;
}

/* @head: up to the empty line, writable. */
static bool parse_head(struct t_api_req *req, char *head)
{
	char *line, *rest = head;
	bool first = true;

	while ((line = strsep(&rest, "\n")) != NULL) {
		size_t len = strlen(line);

		if (len > 0 && line[len - 1] == '\r')
			line[--len] = '\0';
		if (len == 0)
			continue;
		if (!(first ? parse_request_line(req, line) : parse_header_line(req, line)))
			return false;
		first = false;
	}
	return !first;
}

static void consume(struct sv_buf *b, size_t n)
{
	memmove(b->ptr, b->ptr + n, b->len - n + 1);
	b->len -= n;
}

static void log_req(struct t_api *api, struct t_api_req *req)
{
	if (api->n_log == api->cap_log) {
		api->cap_log = api->cap_log ? 2 * api->cap_log : 64;
		api->log = reallocarray(api->log, api->cap_log, sizeof(*api->log));
		if (!api->log)
			t_api_die("out of memory");
	}
	api->log[api->n_log++] = req;
}

static void serve(struct t_api_conn *c, struct t_api_req *req)
{
	struct t_api *api = c->api;
	const char *connection = t_api_header(req, "connection");

	c->close_after = connection && strcasecmp(connection, "close") == 0;
	c->continued = false;
	c->req = req;
	req->conn = c;
	req->api = api;
	req->serial = ++api->last_serial;
	req->connection = c->serial;
	req->at_ns = uv_hrtime();
	req->verb = req->kind = "";
	t_world_classify(req);
	log_req(api, req);
	if (api->handler && api->handler(api->handler_arg, req))
		return;
	if (!t_fault_take(req))
		t_world_answer(req);
}

/* Return: > 0 a request was taken, 0 more bytes are needed, < 0 this is not HTTP/1.1. */
static int take_request(struct t_api_conn *c)
{
	struct t_api_req *req;
	const char *length, *expect, *end;
	unsigned long body = 0;
	size_t head;
	char *copy;

	end = c->in.len ? memmem(c->in.ptr, c->in.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return c->in.len > MAX_HEADER ? -1 : 0;
	head = (size_t)(end - c->in.ptr) + 4;

	req = t_api_alloc(sizeof(*req));
	copy = strndup(c->in.ptr, head - 4);
	if (!copy)
		t_api_die("out of memory");
	if (!parse_head(req, copy) || t_api_header(req, "transfer-encoding")) {
		free(copy);
		free_req(req);
		return -1;
	}
	free(copy);
	length = t_api_header(req, "content-length");
	if (length)
		body = strtoul(length, NULL, 10);
	if (body > MAX_BODY) {
		free_req(req);
		return -1;
	}
	if (c->in.len < head + body) {
		expect = t_api_header(req, "expect");
		if (expect && strcasecmp(expect, "100-continue") == 0 && !c->continued) {
			static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

			conn_write(c, go_on, sizeof(go_on) - 1);
			c->continued = true;
		}
		free_req(req);
		return 0;
	}
	req->body = t_api_alloc(body + 1);
	memcpy(req->body, c->in.ptr + head, body);
	req->body_len = body;
	consume(&c->in, head + body);
	serve(c, req);
	return 1;
}

static void parse(struct t_api_conn *c)
{
	int r = 1;

	if (c->parsing) /* a request that was answered at once: the loop below goes on */
		return;
	c->parsing = true;
	while (r > 0 && !c->closing && !c->req)
		r = take_request(c);
	c->parsing = false;
	if (r < 0 && !c->closing) {
		static const char bad[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
					  "Content-Length: 0\r\n\r\n";

		c->api->n_bad++;
		conn_write(c, bad, sizeof(bad) - 1);
		close_conn(c, T_API_FIN);
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char
		room[64 * 1024]; /* one loop, one thread: emptied by the callback that follows */

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(room, sizeof(room));
}

static void take(struct t_api_conn *c, ssize_t n, const char *data)
{
	if (c->closing)
		return;
	if (n < 0) {
		conn_leaves(c);
		uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
		return;
	}
	sv_buf_add(&c->in, data, (size_t)n);
	if (c->in.failed)
		t_api_die("out of memory");
	parse(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	t_api_enter(true);
	take(stream->data, n, buf->base);
	t_api_enter(false);
}

static void accept_one(struct t_api *api)
{
	struct t_api_conn *c = t_api_alloc(sizeof(*c));

	c->api = api;
	c->tcp.data = c;
	if (uv_tcp_init(api->loop, &c->tcp) != 0)
		t_api_die("uv_tcp_init");
	t_api_opened(api);
	if (uv_accept((uv_stream_t *)api->listener, (uv_stream_t *)&c->tcp) != 0) {
		uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
		return;
	}
	(void)uv_tcp_nodelay(&c->tcp, 1);
	c->serial = ++api->n_accepted;
	c->next = api->conns;
	if (c->next)
		c->next->prev = c;
	api->conns = c;
	api->n_conns++;
	(void)uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct t_api *api = stream->data;

	t_api_enter(true);
	if (status < 0)
		t_api_die("cannot accept: %s", uv_strerror(status));
	if (api->deaf)
		api->accept_waits = true; /* libuv asks no more until uv_accept() */
	else
		accept_one(api);
	t_api_enter(false);
}

/* ---- the server ---------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
	struct t_api *api = handle->data;

	free(handle);
	t_api_closed(api);
}

/* A socket with the port, which does not listen yet. */
static void bind_port(struct t_api *api)
{
	struct sockaddr_in addr;
	int len = sizeof(addr), r;

	api->listener = t_api_alloc(sizeof(*api->listener));
	api->listener->data = api;
	r = uv_tcp_init(api->loop, api->listener);
	if (r == 0)
		r = uv_ip4_addr("127.0.0.1", api->port, &addr);
	if (r == 0)
		r = uv_tcp_bind(api->listener, (const struct sockaddr *)&addr, 0);
	if (r == 0)
		r = uv_tcp_getsockname(api->listener, (struct sockaddr *)&addr, &len);
	if (r != 0)
		t_api_die("cannot bind to port %u: %s", api->port, uv_strerror(r));
	t_api_opened(api);
	api->port = ntohs(addr.sin_port);
}

static void start_listening(struct t_api *api)
{
	int r = uv_listen((uv_stream_t *)api->listener, BACKLOG, on_connection);

	if (r != 0)
		t_api_die("cannot listen: %s", uv_strerror(r));
}

struct t_api *t_api_new(uv_loop_t *loop)
{
	struct t_api *api = t_api_alloc(sizeof(*api));

	(void)signal(SIGPIPE, SIG_IGN);
	api->loop = loop;
	api->world = t_world_new(api);
	bind_port(api);
	start_listening(api);
	(void)snprintf(api->url, sizeof(api->url), "http://127.0.0.1:%u", api->port);
	return api;
}

void t_api_cut_all(struct t_api *api, enum t_api_cut how)
{
	while (api->conns)
		close_conn(api->conns, how);
}

void t_api_stop(struct t_api *api)
{
	if (!api)
		return;
	api->stopping = true;
	t_api_cut_all(api, T_API_FIN);
	uv_close((uv_handle_t *)api->listener, on_listener_closed);
}

uint16_t t_api_port(const struct t_api *api)
{
	return api->port;
}

const char *t_api_url(const struct t_api *api)
{
	return api->url;
}

void t_api_down(struct t_api *api)
{
	if (api->down)
		return;
	api->down = true;
	api->accept_waits = false;
	uv_close((uv_handle_t *)api->listener, on_listener_closed); /* closes the socket now */
	t_api_cut_all(api, T_API_FIN);
	bind_port(api);
}

void t_api_up(struct t_api *api)
{
	if (!api->down)
		return;
	api->down = false;
	start_listening(api);
}

void t_api_deaf(struct t_api *api, bool deaf)
{
	api->deaf = deaf;
	if (!deaf && api->accept_waits) {
		api->accept_waits = false;
		accept_one(api);
	}
}

size_t t_api_n_connections(const struct t_api *api)
{
	return api->n_conns;
}

uint64_t t_api_n_accepted(const struct t_api *api)
{
	return api->n_accepted;
}

uint64_t t_api_n_bad_requests(const struct t_api *api)
{
	return api->n_bad;
}

static void on_too_late(uv_timer_t *timer)
{
	t_api_die("still waiting for: %s", (const char *)timer->data);
}

static void on_until_closed(uv_handle_t *handle)
{
	free(handle);
}

void t_api_until(struct t_api *api, bool (*done)(void *arg), void *arg, const char *what)
{
	uv_timer_t *timer = t_api_alloc(sizeof(*timer));

	timer->data = (void *)(uintptr_t)what;
	(void)uv_timer_init(api->loop, timer);
	uv_update_time(api->loop);
	(void)uv_timer_start(timer, on_too_late, UNTIL_MS, 0);
	while (!done(arg))
		(void)uv_run(api->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)timer, on_until_closed);
}

/* ---- the log ------------------------------------------------------------------------------- */

size_t t_api_n_requests(const struct t_api *api)
{
	return api->n_log;
}

struct t_api_req *t_api_request(const struct t_api *api, size_t i)
{
	if (i >= api->n_log)
		t_api_die("no request %zu, there are %zu", i, api->n_log);
	return api->log[i];
}

struct t_api_req *t_api_last(const struct t_api *api)
{
	return api->n_log ? api->log[api->n_log - 1] : NULL;
}

void t_api_clear_log(struct t_api *api)
{
	size_t n = 0;

	for (size_t i = 0; i < api->n_log; i++) {
		if (api->log[i]->ended)
			free_req(api->log[i]);
		else
			api->log[n++] = api->log[i];
	}
	api->n_log = n;
}

static bool fits(const struct t_api_req *req, const char *verb, const char *kind, const char *name)
{
	return (!verb || strcmp(req->verb, verb) == 0) && (!kind || strcmp(req->kind, kind) == 0) &&
	       (!name || t_api_same(req->name, name));
}

size_t t_api_count(const struct t_api *api, const char *verb, const char *kind, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < api->n_log; i++)
		n += fits(api->log[i], verb, kind, name);
	return n;
}

struct t_api_req *t_api_find(const struct t_api *api, const char *verb, const char *kind,
			     const char *name)
{
	for (size_t i = api->n_log; i-- > 0;)
		if (fits(api->log[i], verb, kind, name))
			return api->log[i];
	return NULL;
}

/* ---- answers ------------------------------------------------------------------------------- */

void t_api_handle(struct t_api *api, t_api_handler handler, void *arg)
{
	api->handler = handler;
	api->handler_arg = arg;
}

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 302, "Found" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Entity" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < SV_ARRAY_SIZE(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Status";
}

static void add_head(struct sv_buf *b, int status, const char *headers)
{
	time_t now = time(NULL);
	struct tm tm;
	char date[64];

	(void)gmtime_r(&now, &tm);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	sv_buf_printf(b, "HTTP/1.1 %d %s\r\nCache-Control: no-cache, private\r\n", status,
		      reason_phrase(status));
	if (!headers || !strcasestr(headers, "Content-Type:"))
		sv_buf_puts(b, "Content-Type: application/json\r\n");
	sv_buf_puts(b, headers ? headers : "");
	sv_buf_printf(b, "Date: %s\r\n", date);
}

static void send_buf(struct t_api_req *req, struct sv_buf *b)
{
	if (b->failed)
		t_api_die("out of memory");
	conn_write(req->conn, b->ptr, b->len);
}

/* The answer is complete: the connection is free for the next request. */
static void finish(struct t_api_req *req)
{
	struct t_api_conn *c = req->conn;

	detach(req);
	if (c->close_after)
		close_conn(c, T_API_FIN);
	else
		parse(c);
}

void t_api_reply(struct t_api_req *req, int status, const char *headers, const char *body,
		 size_t len)
{
	sv_autobuf struct sv_buf b = { 0 };

	if (req->ended)
		return;
	add_head(&b, status, headers);
	sv_buf_printf(&b, "Content-Length: %zu\r\n\r\n", len);
	sv_buf_add(&b, body, len);
	req->status = status;
	send_buf(req, &b);
	finish(req);
}

void t_api_begin(struct t_api_req *req, int status, const char *headers)
{
	sv_autobuf struct sv_buf b = { 0 };

	if (req->ended)
		return;
	add_head(&b, status, headers);
	sv_buf_puts(&b, "Transfer-Encoding: chunked\r\n\r\n");
	req->status = status;
	req->chunked = true;
	send_buf(req, &b);
}

void t_api_send(struct t_api_req *req, const void *data, size_t len)
{
	sv_autobuf struct sv_buf b = { 0 };

	if (req->ended || len == 0) /* an empty chunk would be the end */
		return;
	sv_buf_printf(&b, "%zx\r\n", len);
	sv_buf_add(&b, data, len);
	sv_buf_puts(&b, "\r\n");
	send_buf(req, &b);
}

void t_api_end(struct t_api_req *req)
{
	if (req->ended)
		return;
	conn_write(req->conn, "0\r\n\r\n", 5);
	finish(req);
}

void t_api_raw(struct t_api_req *req, const void *data, size_t len)
{
	if (!req->ended)
		conn_write(req->conn, data, len);
}

void t_api_cut(struct t_api_req *req, enum t_api_cut how)
{
	if (!req->ended)
		close_conn(req->conn, how);
}

static void drip(struct t_api_drip *d)
{
	size_t n = d->len - d->pos < d->step ? d->len - d->pos : d->step;

	if (d->late) {
		struct t_api_req *req = d->req;
		void (*late)(struct t_api_req *) = d->late;

		drop_drip(req);
		late(req);
		return;
	}
	t_api_send(d->req, d->data + d->pos, n);
	d->pos += n;
	if (d->pos == d->len)
		t_api_end(d->req); /* drops us */
}

static void on_drip(uv_timer_t *timer)
{
	t_api_enter(true);
	drip(timer->data);
	t_api_enter(false);
}

static struct t_api_drip *new_drip(struct t_api_req *req)
{
	struct t_api_drip *d = t_api_alloc(sizeof(*d));

	d->api = req->api;
	d->req = req;
	d->timer.data = d;
	(void)uv_timer_init(req->api->loop, &d->timer);
	t_api_opened(req->api);
	req->drip = d;
	return d;
}

void t_api_drip(struct t_api_req *req, const void *data, size_t len, size_t step, uint64_t every_ms)
{
	struct t_api_drip *d;

	if (req->ended)
		return;
	if (step == 0 || req->drip)
		t_api_die("a drip of 0 bytes, or a second one");
	d = new_drip(req);
	d->data = t_api_alloc(len + 1);
	memcpy(d->data, data, len);
	d->len = len;
	d->step = step;
	(void)uv_timer_start(&d->timer, on_drip, every_ms, every_ms ? every_ms : 1);
}

void t_api_late(struct t_api_req *req, uint64_t ms, void (*late)(struct t_api_req *req))
{
	struct t_api_drip *d = new_drip(req);

	d->late = late;
	(void)uv_timer_start(&d->timer, on_drip, ms, 0);
}
