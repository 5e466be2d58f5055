/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client: how many connections it makes for many requests that stay open. */
#define _GNU_SOURCE
#include "../../daemon/source/http.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "../support/apiserver.h"
#include "../support/support.h"

#define N_MAX 64
#define WATCH "/api/v1/pods?watch=1"

static uv_loop_t loop;
static struct t_api *api, *other;
static struct sv_http *http;
static struct sv_http_request *open_requests[N_MAX];
static unsigned heads, ends;

static void use(const struct t_api *server)
{
	sv_autofree char *url = strdup(t_api_url(server));
	const struct sv_kube_access access = { .server = url };

	ck_assert_ptr_nonnull(url);
	ck_assert_int_eq(sv_http_set_access(http, &access), 0);
}

static void setup(void)
{
	memset(open_requests, 0, sizeof(open_requests));
	heads = ends = 0;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	api = t_api_new(&loop);
	other = t_api_new(&loop);
	ck_assert_int_eq(sv_http_new(&loop, &http, NULL), 0);
	use(api);
}

static void teardown(void)
{
	sv_http_stop(http);
	t_api_stop(api);
	t_api_stop(other);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	sv_http_free(http);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void on_head(void *arg, int code)
{
	(void)arg;
	ck_assert_int_eq(code, 200);
	heads++;
}

static void on_done(void *arg, const struct sv_http_end *end)
{
	struct sv_http_request **place = arg;

	ck_assert_str_eq(end->text, "");
	*place = NULL;
	ends++;
}

static void start(size_t i, enum sv_http_verb verb, const char *path)
{
	const struct sv_http_call call = { .verb = verb,
					   .path = path,
					   .head = on_head,
					   .done = on_done,
					   .arg = &open_requests[i] };

	open_requests[i] = sv_http_start(http, &call);
	ck_assert_ptr_nonnull(open_requests[i]);
}

static bool all_begun(void *arg)
{
	return heads == *(const unsigned *)arg;
}

static bool all_ended(void *arg)
{
	return ends == *(const unsigned *)arg;
}

static void until_begun(unsigned n)
{
	t_api_until(api, all_begun, &n, "not every request is answered");
}

static void until_ended(unsigned n)
{
	t_api_until(api, all_ended, &n, "not every request ends");
}

/* ---- what is decided ----------------------------------------------------------------------- */

static const struct {
	const char *what;
	struct sv_http_load load;
	unsigned streams, allowed;
} loads[] = {
	{ "nothing known", { .open = 9, .unsent = 9, .allowed = 1 }, 0, 1 },
	{ "one full of one",
	  { .open = 64, .unsent = 63, .connections = 1, .fullest = 1, .streams = 1, .allowed = 1 },
	  1,
	  64 },
	{ "two full of 250",
	  { .open = 564,
	    .unsent = 64,
	    .connections = 2,
	    .fullest = 250,
	    .streams = 250,
	    .allowed = 2 },
	  250,
	  3 },
	{ "something moves",
	  { .open = 564,
	    .unsent = 64,
	    .connections = 2,
	    .fullest = 250,
	    .streams = 250,
	    .allowed = 2,
	    .moving = true },
	  250,
	  2 },
	{ "the first of many after a loss",
	  { .open = 64,
	    .unsent = 63,
	    .connections = 1,
	    .fullest = 1,
	    .streams = 250,
	    .allowed = 1 },
	  125,
	  2 },
	{ "one of two was lost",
	  { .open = 314,
	    .unsent = 64,
	    .connections = 1,
	    .fullest = 250,
	    .streams = 250,
	    .allowed = 1 },
	  250,
	  2 },
	{ "none is left", { .open = 64, .unsent = 64, .streams = 250, .allowed = 2 }, 250, 2 },
	{ "a server that takes less than it did",
	  { .open = 40,
	    .unsent = 20,
	    .connections = 20,
	    .fullest = 1,
	    .streams = 2,
	    .allowed = 20 },
	  1,
	  40 },
	{ "as many as there may ever be",
	  { .open = 2000,
	    .unsent = 976,
	    .connections = 1024,
	    .fullest = 1,
	    .streams = 1,
	    .allowed = 1024 },
	  1,
	  1024 },
	{ "never more than that",
	  { .open = 2000,
	    .unsent = 1000,
	    .connections = 1000,
	    .fullest = 1,
	    .streams = 1,
	    .allowed = 1000 },
	  1,
	  1024 },
	{ "many are needed no more",
	  { .open = 10, .connections = 10, .fullest = 1, .streams = 1, .allowed = 500 },
	  1,
	  10 },
	{ "a few more than needed stay allowed",
	  { .open = 10, .connections = 10, .fullest = 1, .streams = 1, .allowed = 20 },
	  1,
	  20 },
	{ "fewer than there are is no use",
	  { .open = 10, .connections = 10, .fullest = 1, .streams = 250, .allowed = 60 },
	  250,
	  10 },
	{ "those that wait count",
	  { .open = 64, .unsent = 64, .streams = 1, .allowed = 500 },
	  1,
	  500 },
	{ "none open", { .streams = 250, .allowed = 3 }, 250, 1 },
};

START_TEST(connections_are_allowed_as_needed)
{
	struct sv_http_load load = loads[_i].load;

	sv_http_adapt(&load);
	ck_assert_msg(load.streams == loads[_i].streams, "%s: streams %u", loads[_i].what,
		      load.streams);
	ck_assert_msg(load.allowed == loads[_i].allowed, "%s: allowed %u", loads[_i].what,
		      load.allowed);
}
END_TEST

/* From 250 streams to none but one: it must not take the time that an answer may take. */
START_TEST(a_limit_that_fell_is_found_soon)
{
	struct sv_http_load load = { .open = 64, .streams = 250, .allowed = 1, .fullest = 1 };
	unsigned looks;

	for (looks = 0; load.allowed < load.open; looks++) {
		load.connections = load.allowed;
		load.unsent = load.open - load.connections;
		sv_http_adapt(&load);
	}
	ck_assert_uint_le(looks, 10);
	ck_assert_uint_eq(load.allowed, 64);
}
END_TEST

/* ---- what is done -------------------------------------------------------------------------- */

START_TEST(requests_that_stay_open_get_connections_and_give_them_back)
{
	size_t i;

	for (i = 0; i < 40; i++)
		start(i, SV_HTTP_WATCH, WATCH);
	until_begun(40);
	ck_assert_uint_eq(sv_http_counts(http).connections, 40);
	ck_assert_uint_le(sv_http_counts(http).allowed, 41);
	for (i = 2; i < 40; i++)
		sv_http_cancel(http, open_requests[i]);
	t_api_fault(api, &(struct t_api_fault){ .what = T_API_LATE, .every_ms = 300 });
	start(2, SV_HTTP_GET, "/version");
	until_ended(1);
	ck_assert_uint_le(sv_http_counts(http).allowed, 6);
}
END_TEST

START_TEST(an_idle_connection_to_another_server_holds_nothing_up)
{
	size_t i;

	start(0, SV_HTTP_GET, "/version");
	until_ended(1);
	ck_assert_uint_eq(t_api_n_connections(api), 1);
	use(other);
	for (i = 0; i < 5; i++)
		start(i, SV_HTTP_WATCH, WATCH);
	until_begun(6);
	ck_assert_uint_eq(t_api_n_connections(other), 5);
	ck_assert_uint_eq(t_api_n_connections(api), 1); /* idle as before, or this shows nothing */
}
END_TEST

/* ---- a proxy ------------------------------------------------------------------------------- */

/* Of SOCKS 5 (RFC 1928): takes a greeting and the request behind it, and refuses that. */
static struct {
	uv_tcp_t listener, conn;
	unsigned char got[300];
	size_t len;
	bool greeted, closed;
} socks;

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	(void)handle;
	(void)size;
	*ret = uv_buf_init((char *)socks.got + socks.len,
			   (unsigned)(sizeof(socks.got) - socks.len));
}

static void say(const char *text, unsigned len)
{
	uv_buf_t buf = uv_buf_init((char *)text, len);

	ck_assert_int_eq(uv_try_write((uv_stream_t *)&socks.conn, &buf, 1), (int)len);
}

static void on_socks_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0) {
		uv_close((uv_handle_t *)stream, NULL);
		socks.closed = true;
		return;
	}
	socks.len += (size_t)n;
	if (!socks.greeted) {
		socks.greeted = true;
		socks.len = 0;
		say("\x05\x00", 2); /* no password needed */
	} else if (socks.len > 4) {
		say("\x05\x04\x00\x01\0\0\0\0\0\0", 10); /* host unreachable */
	}
}

static void on_socks_conn(uv_stream_t *listener, int status)
{
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(uv_tcp_init(&loop, &socks.conn), 0);
	ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&socks.conn), 0);
	uv_read_start((uv_stream_t *)&socks.conn, give_room, on_socks_data);
}

static void on_refused(void *arg, const struct sv_http_end *end)
{
	(void)arg;
	ck_assert_int_eq(end->code, 0);
	ends++;
}

static bool socks_closed(void *arg)
{
	(void)arg;
	return socks.closed;
}

START_TEST(a_socks_proxy_is_asked_for_names_not_addresses)
{
	static const char want[] = "\x05\x01\x00\x03\x10node.example.org\x19\x2b";
	const struct sv_http_call call = { .verb = SV_HTTP_GET,
					   .path = "/version",
					   .done = on_refused };
	struct sv_kube_access access = { .server = "http://node.example.org:6443" };
	sv_autofree char *url = NULL;
	struct sockaddr_in address;
	int len = sizeof(address);

	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_init(&loop, &socks.listener);
	ck_assert_int_eq(uv_tcp_bind(&socks.listener, (struct sockaddr *)&address, 0), 0);
	ck_assert_int_eq(uv_listen((uv_stream_t *)&socks.listener, 1, on_socks_conn), 0);
	uv_tcp_getsockname(&socks.listener, (struct sockaddr *)&address, &len);
	access.proxy_url = url =
		sv_asprintf("socks5://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
	ck_assert_int_eq(sv_http_set_access(http, &access), 0);
	ck_assert_ptr_nonnull(sv_http_start(http, &call));
	until_ended(1);
	ck_assert_uint_eq(socks.len, sizeof(want) - 1);
	ck_assert_mem_eq(socks.got, want, sizeof(want) - 1);
	t_api_until(api, socks_closed, NULL, "the connection to the proxy stays");
	uv_close((uv_handle_t *)&socks.listener, NULL);
}
END_TEST

/* ---- confined ------------------------------------------------------------------------------ */

static const struct {
	const char *server;
	int error;
	bool ipv4; /* is allowed */
	const char *says;
} confined[] = {
	{ "http://127.0.0.1:1", EAFNOSUPPORT, false, "RestrictAddressFamilies=AF_INET AF_INET6" },
	{ "http://[::1]:1", EPERM, false, "RestrictAddressFamilies=AF_INET AF_INET6" },
	{ "http://name.invalid:1", EAFNOSUPPORT, false,
	  "RestrictAddressFamilies=AF_INET AF_INET6" },
	{ "http://127.0.0.1:1", EAFNOSUPPORT, true, "Couldn't connect to server" },
	{ "http://127.0.0.1:1", EMFILE, false, "Couldn't connect to server" },
};

static void says(void *arg, const struct sv_http_end *end)
{
	ck_assert_int_eq(end->code, 0);
	t_contains(end->text, arg);
	ends++;
}

/* As RestrictAddressFamilies= does it; for good, in this test's own process. */
START_TEST(sockets_that_are_refused_are_told_from_servers_that_are_away)
{
	const struct sv_http_call call = { .verb = SV_HTTP_GET,
					   .path = "/version",
					   .done = says,
					   .arg = (void *)confined[_i].says };
	const struct sv_kube_access access = { .server = confined[_i].server };
	const int families[] = { AF_INET6, AF_INET };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	size_t i;

	for (i = 0; i < (confined[_i].ipv4 ? 1 : 2); i++)
		ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)confined[_i].error),
						  SCMP_SYS(socket), 1,
						  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i])),
				 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
	ck_assert_int_eq(sv_http_set_access(http, &access), 0);
	ck_assert_ptr_nonnull(sv_http_start(http, &call));
	until_ended(1);
}
END_TEST

T_SUITE(http)
{
	T_EACH(connections_are_allowed_as_needed, loads);
	T_TEST(a_limit_that_fell_is_found_soon);
	tcase_add_checked_fixture(t, setup, teardown);
	T_TEST(requests_that_stay_open_get_connections_and_give_them_back);
	T_TEST(an_idle_connection_to_another_server_holds_nothing_up);
	T_TEST(a_socks_proxy_is_asked_for_names_not_addresses);
	T_EACH(sockets_that_are_refused_are_told_from_servers_that_are_away, confined);
}
