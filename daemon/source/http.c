/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/text.h"
#include "../manager.h"

#define TICK_MS 100           /* how often requests without an answer are looked at */
#define USER_TIMEOUT_MS 30000 /* for the peer to acknowledge what was sent (tcp(7)) */
#define LIST_BUFFER 16384L
#define WATCH_BUFFER 2048L /* each open watch has one */

/* Where to and as whom; shared by the requests that began with it. */
struct identity {
	unsigned refs;
	char *server, *tls_server_name, *proxy_url, *authorization, *connect_to;
	bool insecure;
	struct sv_bytes ca, cert, key;
};

/* A connection, known by its local port, and how many requests are on it. */
struct line {
	long port;
	unsigned n;
};

struct sv_http {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer; /* libcurl's */
	uv_timer_t tick;
	struct identity *identity;
	struct sv_http_request *requests;
	unsigned waiting;    /* requests without a head */
	unsigned unsent;     /* of these, without a connection */
	unsigned sent_since; /* requests that got one since the last tick */
	struct line *lines;
	size_t n_lines, cap_lines;
	unsigned streams; /* see struct sv_http_load */
	unsigned allowed;
	unsigned polled; /* sockets, also of connections that are being made; not idle ones */
	int64_t heard_ms;
	bool inside; /* libcurl is calling us */
	bool stopped;
	bool broken; /* a socket that libcurl waits for is not polled */
	struct sv_http_counts counts;
};

struct sv_http_request {
	struct sv_http *http;
	struct sv_http_request *next, **link;
	struct sv_http_call call;
	struct identity *identity;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	int64_t started_ms;
	long port; /* of its connection, 0: none yet */
	int code;
	int refused;
	char error[CURL_ERROR_SIZE];
};

/* A socket of libcurl's. */
struct watched {
	uv_poll_t poll;
	struct sv_http *http;
	curl_socket_t fd;
};

/* ---- identity ------------------------------------------------------------------------------ */

static void identity_unref(struct identity *i)
{
	if (!i || --i->refs > 0)
		return;
	free(i->server);
	free(i->tls_server_name);
	sv_text_free(i->proxy_url);
	sv_text_free(i->authorization);
	free(i->connect_to);
	sv_bytes_wipe(&i->ca);
	sv_bytes_wipe(&i->cert);
	sv_bytes_wipe(&i->key);
	free(i);
}

static int copy_text(const char *s, char **ret)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

/*
 * Names are the proxy's to resolve, as Go's client has it: a node behind a proxy may have no
 * resolver that knows them. To libcurl that is another scheme.
 */
static int copy_proxy(const char *url, char **ret)
{
	static const char socks[] = "socks5://";

	if (!url || strncmp(url, socks, sizeof(socks) - 1) != 0)
		return copy_text(url, ret);
	*ret = sv_asprintf("socks5h://%s", url + sizeof(socks) - 1);
	return *ret ? 0 : -ENOMEM;
}

/*
 * The certificate is to be for another name than the server's address: the URL gets the name, and
 * connections go to the address all the same.
 */
static int rename_server(struct identity *i)
{
	const char *host = strstr(i->server, "://"), *path, *port;
	sv_autofree char *scheme = NULL, *address = NULL, *url = NULL;

	if (!host || !i->tls_server_name)
		return 0;
	host += 3;
	path = host + strcspn(host, "/");
	scheme = strndup(i->server, (size_t)(host - i->server));
	address = strndup(host, (size_t)(path - host));
	if (!scheme || !address)
		return -ENOMEM;
	port = strrchr(address, ':');
	if (port && strchr(port, ']'))
		port = NULL; /* a colon of an IPv6 address */
	url = sv_asprintf("%s%s%s%s", scheme, i->tls_server_name, port ? port : "", path);
	i->connect_to = sv_asprintf("%s:%s:%s%s", i->tls_server_name, port ? port + 1 : "", address,
				    port ? "" : ":");
	if (!url || !i->connect_to)
		return -ENOMEM;
	free(i->server);
	i->server = SV_TAKE(url);
	return 0;
}

int sv_http_set_access(struct sv_http *h, const struct sv_kube_access *access)
{
	struct identity *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->refs = 1;
	i->insecure = access->insecure;
	if (copy_text(access->server, &i->server) < 0 ||
	    copy_text(access->tls_server_name, &i->tls_server_name) < 0 ||
	    copy_proxy(access->proxy_url, &i->proxy_url) < 0 ||
	    copy_text(access->authorization, &i->authorization) < 0 ||
	    sv_bytes_copy(access->ca.ptr, access->ca.len, &i->ca) < 0 ||
	    sv_bytes_copy(access->cert.ptr, access->cert.len, &i->cert) < 0 ||
	    sv_bytes_copy(access->key.ptr, access->key.len, &i->key) < 0 || rename_server(i) < 0) {
		identity_unref(i);
		return -ENOMEM;
	}
	if (h->identity && strcmp(h->identity->server, i->server) != 0)
		h->streams = 0; /* another server has a limit of its own */
	identity_unref(h->identity);
	h->identity = i;
	return 0;
}

/* ---- connections --------------------------------------------------------------------------- */

static unsigned max(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static void join_line(struct sv_http *h, struct sv_http_request *r, long port)
{
	size_t i;

	for (i = 0; i < h->n_lines && h->lines[i].port != port; i++)
		;
	if (i == h->n_lines) {
		if (h->n_lines == h->cap_lines) {
			size_t cap = h->cap_lines ? h->cap_lines * 2 : 8;
			struct line *lines = reallocarray(h->lines, cap, sizeof(*lines));

			if (!lines)
				return; /* it is not counted: at worst a connection more */
			h->lines = lines;
			h->cap_lines = cap;
		}
		h->lines[h->n_lines++] = (struct line){ port, 0 };
	}
	h->lines[i].n++;
	h->streams = max(h->streams, h->lines[i].n);
	r->port = port;
}

static void leave_line(struct sv_http *h, struct sv_http_request *r)
{
	size_t i;

	for (i = 0; i < h->n_lines; i++)
		if (h->lines[i].port == r->port && --h->lines[i].n == 0)
			h->lines[i--] = h->lines[--h->n_lines];
	r->port = 0;
}

static unsigned fullest(const struct sv_http *h)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < h->n_lines; i++)
		if (h->lines[i].n > n)
			n = h->lines[i].n;
	return n;
}

static unsigned needed(const struct sv_http_load *l)
{
	return max(max(l->connections, 1), (l->open + l->streams - 1) / l->streams);
}

void sv_http_adapt(struct sv_http_load *l)
{
	if (l->streams == 0)
		return;
	if (l->unsent == 0) {
		if (l->allowed > 2 * needed(l))
			l->allowed = needed(l);
		return;
	}
	if (l->moving || l->connections == 0 || l->allowed >= SV_HTTP_CONNECTIONS_MAX)
		return;
	if (l->connections * l->streams >= l->open)
		l->streams = max(l->fullest, l->streams / 2);
	l->allowed = max(l->allowed + 1, needed(l));
	if (l->allowed > SV_HTTP_CONNECTIONS_MAX)
		l->allowed = SV_HTTP_CONNECTIONS_MAX;
}

/* What waits for a connection does not look again by itself. */
static void look_again(struct sv_http *h)
{
	struct sv_http_request *r;

	for (r = h->requests; r; r = r->next)
		if (r->port == 0) {
			curl_multi_remove_handle(h->multi, r->easy);
			curl_multi_add_handle(h->multi, r->easy);
		}
}

static void adapt(struct sv_http *h)
{
	struct sv_http_load load = {
		.open = h->counts.open,
		.unsent = h->unsent,
		.connections = (unsigned)h->n_lines,
		.fullest = fullest(h),
		/* while one is being made, what waits for it must not be disturbed */
		.moving = h->sent_since > 0 || h->polled > h->n_lines,
		.streams = h->streams,
		.allowed = h->allowed,
	};
	bool more;

	sv_http_adapt(&load);
	more = load.allowed > h->allowed;
	h->streams = load.streams;
	if (load.allowed == h->allowed)
		return;
	h->allowed = load.allowed;
	curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)h->allowed);
	if (more)
		look_again(h);
}

/* ---- the end of a request ------------------------------------------------------------------ */

static void on_tick(uv_timer_t *timer);

static void request_free(struct sv_http_request *r)
{
	struct sv_http *h = r->http;

	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	h->counts.open--;
	if (r->code == 0)
		h->waiting--;
	if (r->port)
		leave_line(h, r);
	else
		h->unsent--;
	if (r->easy) {
		curl_multi_remove_handle(h->multi, r->easy);
		curl_easy_cleanup(r->easy);
	}
	curl_slist_free_all(r->headers);
	curl_slist_free_all(r->connect_to);
	identity_unref(r->identity);
	free(r);
}

/*
 * libcurl's texts say how long it took, and on which stream of how many that all ended for the same
 * reason: the same trouble is to read the same every time.
 */
static void drop_numbers(char *text)
{
	static const struct {
		const char *before, *after;
		size_t kept; /* of what is before */
	} around[] = {
		{ " after ", " milliseconds", 0 },
		{ " after ", " ms", 0 },
		{ "HTTP/2 stream ", " ", sizeof("HTTP/2 stream ") - 1 },
	};
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(around); i++) {
		size_t before = strlen(around[i].before), after = strlen(around[i].after);
		char *p = text;

		while ((p = strstr(p, around[i].before))) {
			size_t n = strspn(p + before, "0123456789");
			const char *rest = p + before + n;

			p += around[i].kept;
			if (n && strncmp(rest, around[i].after, after) == 0)
				memmove(p, rest + after, strlen(rest + after) + 1);
			else
				p += before - around[i].kept;
		}
	}
}

/* Are even sockets refused, as by RestrictAddressFamilies= of our unit? libcurl does not tell. */
static bool is_confined(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(families); i++) {
		sv_autoclose int fd = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EPERM && errno != EACCES))
			return false;
	}
	return true;
}

static void finish(struct sv_http_request *r, CURLcode result, const char *why)
{
	struct sv_http_call call = r->call;
	char text[SV_ERR_MAX] = "";
	struct sv_http_end end = { .code = r->code,
				   .whole = result == CURLE_OK,
				   .silent = result == CURLE_OPERATION_TIMEDOUT,
				   .refused = r->refused,
				   .text = text };
	curl_off_t after = 0;
	int class = r->code / 100;

	if ((result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST) &&
	    is_confined())
		why = SV_HTTP_CONFINED;
	if (!end.whole)
		sv_text_escape(text, sizeof(text), why);
	drop_numbers(text);
	if (curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		end.retry_after_ms = after < INT32_MAX / 1000 ? (int64_t)after * 1000 : INT32_MAX;
	r->http->counts.answers[call.verb][class < SV_HTTP_N_CLASSES ? class : 0]++;
	request_free(r);
	call.done(call.arg, &end);
}

static void expire(struct sv_http *h)
{
	int64_t now = sv_monotonic_ms();
	struct sv_http_request *r = h->requests, *next;

	for (; r; r = next) {
		next = r->next;
		if (r->code != 0 || now - r->started_ms < SV_HTTP_ANSWER_MS)
			continue;
		finish(r, CURLE_OPERATION_TIMEDOUT, "the server does not answer");
		next = h->requests; /* done() may have begun or ended others */
	}
}

/* Begin anew without what cannot be polled. Without memory for that it is tried again. */
static void mend(struct sv_http *h)
{
	if (h->broken)
		sv_http_reset(h, "out of memory");
}

static void on_tick(uv_timer_t *timer)
{
	struct sv_http *h = timer->data;

	mend(h);
	expire(h);
	adapt(h);
	h->sent_since = 0;
	if (h->waiting == 0 && !h->broken)
		uv_timer_stop(timer);
}

/* ---- libcurl's calls ----------------------------------------------------------------------- */

/* The request has a connection and is about to be sent. */
static int on_line(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct sv_http_request *r = arg;

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	if (r->port == 0) {
		join_line(r->http, r, local_port > 0 ? local_port : 1);
		if (r->port)
			r->http->unsent--;
		r->http->sent_since++;
	}
	return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct sv_http_request *r = arg;
	long code = 0;

	r->http->heard_ms = sv_monotonic_ms();
	if (r->code != 0 || size * n > 2 || *line != '\r')
		return size * n;
	(void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &code);
	if (code < 200) /* informational */
		return size * n;
	r->code = (int)code;
	r->http->waiting--;
	if (r->call.head)
		r->call.head(r->call.arg, r->code);
	return size * n;
}

static size_t on_body(char *ptr, size_t size, size_t n, void *arg)
{
	struct sv_http_request *r = arg;

	r->http->heard_ms = sv_monotonic_ms();
	if (r->call.data)
		r->refused = r->call.data(r->call.arg, ptr, size * n);
	explicit_bzero(ptr, size * n); /* libcurl's buffer stays for as long as a watch is open */
	return r->refused ? 0 : size * n;
}

/* A peer that has vanished is noticed without waiting for it to be sent anything. */
static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned ms = USER_TIMEOUT_MS;

	(void)arg;
	(void)purpose;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static void take_results(struct sv_http *h)
{
	struct CURLMsg *msg;
	int left;

	while (!h->stopped && (msg = curl_multi_info_read(h->multi, &left))) {
		struct sv_http_request *r = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &r);
		finish(r, code, *r->error ? r->error : curl_easy_strerror(code));
	}
}

static void act(struct sv_http *h, curl_socket_t fd, int events)
{
	int running;

	h->inside = true;
	(void)curl_multi_socket_action(h->multi, fd, events, &running);
	h->inside = false;
	take_results(h);
	mend(h);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(w->http, w->fd, flags);
}

static void free_watched(uv_handle_t *handle)
{
	free(handle->data);
}

static void start_tick(struct sv_http *h)
{
	if (!uv_is_active((uv_handle_t *)&h->tick))
		uv_timer_start(&h->tick, on_tick, TICK_MS, TICK_MS);
}

static struct watched *watch_socket(struct sv_http *h, curl_socket_t fd)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->http = h;
	w->fd = fd;
	w->poll.data = w;
	if (uv_poll_init_socket(h->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	curl_multi_assign(h->multi, fd, w);
	h->polled++;
	return w;
}

/*
 * To a failure libcurl answers by taking no request any more for as long as it has others, and the
 * others are not ended either: so it is told of none, and mend() begins anew.
 */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct sv_http *h = arg;
	struct watched *w = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			(void)uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, free_watched);
			curl_multi_assign(h->multi, fd, NULL);
			h->polled--;
		}
		return 0;
	}
	if (!w)
		w = watch_socket(h, fd);
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	if (!w || uv_poll_start(&w->poll, events, on_poll) < 0) {
		h->broken = true;
		start_tick(h);
	}
	return 0;
}

static void on_timeout(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct sv_http *h = arg;

	(void)multi;
	if (h->stopped)
		return 0;
	if (timeout_ms < 0)
		uv_timer_stop(&h->timer);
	else /* 0 as well: in the loop's next turn, not inside this call */
		uv_timer_start(&h->timer, on_timeout, (uint64_t)timeout_ms, 0);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------ */

static struct curl_blob blob_of(const struct sv_bytes *b)
{
	/* not copied: the request holds its identity for longer */
	return (struct curl_blob){ b->ptr, b->len, CURL_BLOB_NOCOPY };
}

static CURLcode set_tls(CURL *c, const struct identity *i)
{
	struct curl_blob ca = blob_of(&i->ca), cert = blob_of(&i->cert), key = blob_of(&i->key);
	CURLcode r = curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);

	if (r == CURLE_OK && ca.len)
		r = curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca);
	if (r == CURLE_OK && cert.len)
		r = curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &cert);
	if (r == CURLE_OK && key.len)
		r = curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &key);
	if (r == CURLE_OK && i->insecure) {
		r = curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		if (r == CURLE_OK)
			r = curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return r;
}

static CURLcode set_callbacks(struct sv_http_request *r)
{
	const struct {
		CURLoption option;
		void *value;
	} pointers[] = {
		{ CURLOPT_PRIVATE, r },    { CURLOPT_ERRORBUFFER, r->error },
		{ CURLOPT_HEADERDATA, r }, { CURLOPT_WRITEDATA, r },
		{ CURLOPT_PREREQDATA, r },
	};
	CURLcode code = CURLE_OK;
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(pointers) && code == CURLE_OK; i++)
		code = curl_easy_setopt(r->easy, pointers[i].option, pointers[i].value);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, on_header);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_PREREQFUNCTION, on_line);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	return code;
}

static CURLcode set_numbers(const struct sv_http_request *r)
{
	bool brief = r->call.verb == SV_HTTP_WATCH || r->call.verb == SV_HTTP_CREATE ||
		     r->call.verb == SV_HTTP_PATCH;
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS },
		{ CURLOPT_PIPEWAIT, 1 },
		{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
		{ CURLOPT_CONNECTTIMEOUT_MS, SV_HTTP_CONNECT_MS },
		{ CURLOPT_TIMEOUT_MS, (long)r->call.limit_ms },
		{ CURLOPT_TCP_KEEPALIVE, 1 },
		{ CURLOPT_TCP_KEEPIDLE, 20 },
		{ CURLOPT_TCP_KEEPINTVL, 5 },
		{ CURLOPT_BUFFERSIZE, brief ? WATCH_BUFFER : LIST_BUFFER },
	};
	CURLcode code = CURLE_OK;
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(numbers) && code == CURLE_OK; i++)
		code = curl_easy_setopt(r->easy, numbers[i].option, numbers[i].value);
	return code;
}

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static CURLcode set_body(struct sv_http_request *r, const char *body)
{
	CURLcode code = curl_easy_setopt(r->easy, CURLOPT_COPYPOSTFIELDS, body);

	if (code == CURLE_OK && r->call.verb == SV_HTTP_PATCH)
		code = curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, "PATCH");
	return code;
}

static CURLcode prepare(struct sv_http_request *r, const struct sv_http_call *call)
{
	const struct identity *i = r->identity;
	sv_autofree char *url = sv_asprintf("%s%s", i->server, call->path);
	CURLcode code;

	if (!url || add_header(&r->headers, "Accept: application/json") < 0 ||
	    (i->authorization && add_header(&r->headers, i->authorization) < 0) ||
	    (call->body &&
	     add_header(&r->headers, call->verb == SV_HTTP_PATCH ?
					     "Content-Type: application/merge-patch+json" :
					     "Content-Type: application/json") < 0) ||
	    (i->connect_to && add_header(&r->connect_to, i->connect_to) < 0))
		return CURLE_OUT_OF_MEMORY;
	code = curl_easy_setopt(r->easy, CURLOPT_URL, url);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (code == CURLE_OK) /* "": the environment's is not ours */
		code = curl_easy_setopt(r->easy, CURLOPT_PROXY, i->proxy_url ? i->proxy_url : "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "secretvold/" SV_VERSION);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	if (code == CURLE_OK && r->connect_to)
		code = curl_easy_setopt(r->easy, CURLOPT_CONNECT_TO, r->connect_to);
	if (code == CURLE_OK)
		code = set_tls(r->easy, i);
	if (code == CURLE_OK)
		code = set_callbacks(r);
	if (code == CURLE_OK)
		code = set_numbers(r);
	if (code == CURLE_OK && call->body)
		code = set_body(r, call->body);
	return code;
}

struct sv_http_request *sv_http_start(struct sv_http *h, const struct sv_http_call *call)
{
	struct sv_http_request *r;

	assert(!h->inside && h->identity);
	if (h->stopped)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->http = h;
	r->call = *call;
	r->call.path = r->call.body = NULL; /* borrowed for this call only */
	r->identity = h->identity;
	r->identity->refs++;
	r->started_ms = sv_monotonic_ms();
	r->next = h->requests;
	r->link = &h->requests;
	if (r->next)
		r->next->link = &r->next;
	h->requests = r;
	h->counts.open++;
	h->waiting++;
	h->unsent++;
	r->easy = curl_easy_init();
	if (!r->easy || prepare(r, call) != CURLE_OK ||
	    curl_multi_add_handle(h->multi, r->easy) != CURLM_OK) {
		request_free(r);
		return NULL;
	}
	h->counts.requests++;
	start_tick(h);
	return r;
}

void sv_http_cancel(struct sv_http *h, struct sv_http_request *r)
{
	assert(!h->inside);
	request_free(r);
}

/* ---- life ---------------------------------------------------------------------------------- */

static CURLM *make_multi(struct sv_http *h)
{
	CURLM *m = curl_multi_init();

	if (!m)
		return NULL;
	h->allowed = 1;
	if (curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, h) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_TIMERDATA, h) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)SV_HTTP_CONNECTIONS_MAX) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, (long)h->allowed) != CURLM_OK) {
		curl_multi_cleanup(m);
		return NULL;
	}
	return m;
}

int sv_http_new(uv_loop_t *loop, struct sv_http **ret, struct sv_err *err)
{
	struct sv_http *h = calloc(1, sizeof(*h));

	if (!h)
		return sv_err_set(err, -ENOMEM, "cannot start the HTTP client");
	h->loop = loop;
	h->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? make_multi(h) : NULL;
	if (!h->multi) {
		free(h);
		return sv_err_set(err, -ENOMEM, "cannot start the HTTP client");
	}
	h->timer.data = h->tick.data = h;
	uv_timer_init(loop, &h->timer);
	uv_timer_init(loop, &h->tick);
	*ret = h;
	return 0;
}

void sv_http_reset(struct sv_http *h, const char *why)
{
	struct sv_http_request *r, *old = h->requests;
	CURLM *fresh = h->stopped ? NULL : make_multi(h), *multi = h->multi;

	if (!fresh)
		return; /* as it was: requests end by their own limits */
	for (r = old; r; r = r->next)
		curl_multi_remove_handle(multi, r->easy);
	curl_multi_cleanup(multi); /* with its connections */
	h->multi = fresh;
	h->broken = false;
	h->requests = NULL;
	if (old)
		old->link = &old;
	while (old) /* done() may begin new ones, which are none of these */
		finish(old, CURLE_ABORTED_BY_CALLBACK, why);
}

void sv_http_stop(struct sv_http *h)
{
	h->stopped = true;
	while (h->requests)
		request_free(h->requests);
	curl_multi_cleanup(h->multi);
	h->multi = NULL;
	uv_close((uv_handle_t *)&h->timer, NULL);
	uv_close((uv_handle_t *)&h->tick, NULL);
}

void sv_http_free(struct sv_http *h)
{
	if (!h)
		return;
	identity_unref(h->identity);
	free(h->lines);
	free(h);
	curl_global_cleanup();
}

int64_t sv_http_heard_ms(const struct sv_http *h)
{
	return h->heard_ms;
}

struct sv_http_counts sv_http_counts(const struct sv_http *h)
{
	struct sv_http_counts c = h->counts;

	c.connections = (unsigned)h->n_lines;
	c.allowed = h->allowed;
	return c;
}
