/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a scripted server: one thread, one answer a connection. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../lib/secretvol.h"
#include "../support/support.h"

static struct {
	char dir[64], path[96];
	int fd;
	pthread_t thread;
	const char *const *answers; /* one a request, NULL ends them; "" closes without an answer */
	bool hold;                  /* keep the connection open instead of closing it */
	char last[4096];            /* the last request */
	int n_requests;
	unsigned delay_ms; /* before the first connection is accepted */
} server;

/* A request and, where Content-Length says so, its body. False at the end of the connection. */
static bool read_request(int fd)
{
	size_t len = 0, want = 0;
	char *end = NULL, *length;

	while (!end || len < want) {
		ssize_t n = read(fd, server.last + len, sizeof(server.last) - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		server.last[len] = '\0';
		if (end || !(end = strstr(server.last, "\r\n\r\n")))
			continue;
		length = strcasestr(server.last, "Content-Length: ");
		want = (size_t)(end + 4 - server.last) +
		       (length ? strtoul(length + 16, NULL, 10) : 0);
	}
	server.n_requests++;
	return true;
}

static void *serve(void *arg)
{
	size_t i = 0;

	(void)arg;
	(void)usleep(server.delay_ms * 1000);
	while (server.answers[i]) {
		int fd = accept(server.fd, NULL, NULL);

		if (fd < 0)
			break;
		while (server.answers[i] && read_request(fd)) {
			const char *answer = server.answers[i++];

			if (write(fd, answer, strlen(answer)) < 0 || !server.hold)
				break;
		}
		if (server.hold) /* until the client has had enough */
			while (read(fd, server.last, sizeof(server.last) - 1) > 0)
				;
		(void)close(fd);
	}
	return NULL;
}

static void prepare(const char *const *answers, bool hold, int queue)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	memset(&server, 0, sizeof(server));
	strcpy(server.dir, "/tmp/sv-client-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(server.dir));
	(void)snprintf(server.path, sizeof(server.path), "%s/s", server.dir);
	strcpy(sun.sun_path, server.path);
	server.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(server.fd, 0);
	ck_assert_int_eq(bind(server.fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(server.fd, queue), 0);
	server.answers = answers;
	server.hold = hold;
}

static void start(const char *const *answers, bool hold)
{
	prepare(answers, hold, 8);
	ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
	(void)shutdown(server.fd, SHUT_RDWR); /* wakes accept() */
	(void)pthread_join(server.thread, NULL);
	(void)close(server.fd);
	(void)unlink(server.path);
	(void)rmdir(server.dir);
}

static int collect(void *arg, const char *data, size_t len)
{
	sv_buf_add(arg, data, len);
	return 0;
}

static int refuse(void *arg, const char *data, size_t len)
{
	(void)data;
	(void)len;
	++*(int *)arg;
	return 1;
}

static struct sv_client *new_client(const char *path)
{
	struct sv_client *c = NULL;

	ck_assert_int_eq(sv_client_new(path, &c), 0);
	return c;
}

#define OK(body, length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body

static const struct {
	const char *answer;
	int want, status;
	const char *body, *error; /* error: how it begins */
} answers[] = {
	{ OK("{\"a\":1}", "7"), 0, 200, "{\"a\":1}", "" },
	{ OK("", "0"), 0, 200, NULL, "" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
	  0, 200, "abcde", "" },
	{ "HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n{\"error\":\"no such\"}",
	  SV_CLIENT_E_STATUS, 404, NULL, "no such" },
	{ "HTTP/1.1 400 Bad\r\nContent-Length: 24\r\n\r\n{\"error\":\"a\\n\\u001b[1m\"}",
	  SV_CLIENT_E_STATUS, 400, NULL, "a\\n\\x1b[1m" },
	{ "HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nnot ready\n", SV_CLIENT_E_STATUS, 503, NULL,
	  "HTTP status 503: not ready" },
	{ "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", SV_CLIENT_E_STATUS, 500, NULL,
	  "HTTP status 500" },
	{ "HTTP/1.1 302 Found\r\nLocation: http://localhost/x\r\nContent-Length: 0\r\n\r\n",
	  SV_CLIENT_E_STATUS, 302, NULL, "HTTP status 302" },
	{ "HTTP/1.1 202 Later\r\nContent-Length: 2\r\n\r\n{}", SV_CLIENT_E_STATUS, 202, NULL,
	  "HTTP status 202" },
	{ "HTTP/1.1 204 None\r\n\r\n", SV_CLIENT_E_STATUS, 204, NULL, "HTTP status 204" },
	{ OK("abc", "9"), SV_CLIENT_E_PROTOCOL, 200, "abc", "secretvold at " },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", SV_CLIENT_E_PROTOCOL,
	  200, "abc", "secretvold at " },
	{ "this is not HTTP at all\r\n", SV_CLIENT_E_PROTOCOL, 0, NULL, "cannot understand" },
	{ "", SV_CLIENT_E_CLOSED, 0, NULL, "secretvold at " },
};

START_TEST(every_answer_becomes_a_code_a_status_and_a_text)
{
	const char *const script[] = { answers[_i].answer, NULL };
	sv_autobuf struct sv_buf body = { 0 };
	struct sv_client *c;

	start(script, false);
	c = new_client(server.path);
	ck_assert_int_eq(sv_client_request(c, "/v1/x?a=b", NULL, 10000, collect, &body),
			 answers[_i].want);
	ck_assert_int_eq(sv_client_status(c), answers[_i].status);
	ck_assert_pstr_eq(body.ptr, answers[_i].body);
	if (*answers[_i].error)
		ck_assert_mem_eq(sv_client_error(c), answers[_i].error, strlen(answers[_i].error));
	else
		ck_assert_str_eq(sv_client_error(c), "");
	sv_client_free(c);
	stop();
	ck_assert_int_eq(server.n_requests, 1); /* no redirect is followed */
	ck_assert_mem_eq(server.last, "GET /v1/x?a=b HTTP/1.1\r\n", 24);
}
END_TEST

START_TEST(nobody_at_the_socket_is_unreachable)
{
	char longest[300];
	struct sv_client *c = new_client("/nonexistent/socket");

	ck_assert_int_eq(sv_client_request(c, "/", NULL, 1000, NULL, NULL),
			 SV_CLIENT_E_UNREACHABLE);
	ck_assert_str_eq(
		sv_client_error(c),
		"cannot reach secretvold at /nonexistent/socket: No such file or directory");
	sv_client_free(c);

	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	c = new_client(longest);
	ck_assert_int_eq(sv_client_request(c, "/", NULL, 1000, NULL, NULL),
			 SV_CLIENT_E_UNREACHABLE);
	sv_client_free(c);
}
END_TEST

/* A flood of connections leaves no room in the socket's queue for a moment. */
START_TEST(a_full_queue_is_waited_out)
{
	static const char *const script[] = { OK("{}", "2"), NULL };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fds[64], n = 0, i;
	struct sv_client *c;

	prepare(script, false, 0);
	strcpy(sun.sun_path, server.path);
	do {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_lt(n, 60);
	} while (connect(fds[n++], (struct sockaddr *)&sun, sizeof(sun)) == 0);
	ck_assert_int_eq(errno, EAGAIN);
	for (i = 0; i < n; i++)
		close(fds[i]);
	server.delay_ms = 100;
	ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
	c = new_client(server.path);
	ck_assert_int_eq(sv_client_request(c, "/", NULL, 10000, NULL, NULL), 0);
	sv_client_free(c);
	stop();
}
END_TEST

START_TEST(the_callback_can_stop)
{
	static const char *const script[] = { OK("abc", "1000000"), OK("{}", "2"), NULL };
	sv_autobuf struct sv_buf body = { 0 };
	struct sv_client *c;
	int called = 0;

	start(script, true);
	c = new_client(server.path);
	ck_assert_int_eq(sv_client_request(c, "/", NULL, 10000, refuse, &called),
			 SV_CLIENT_E_STOPPED);
	ck_assert_int_eq(called, 1);
	/* and the client is good for another request */
	ck_assert_int_eq(sv_client_request(c, "/", NULL, 10000, collect, &body), 0);
	ck_assert_pstr_eq(body.ptr, "{}");
	sv_client_free(c);
	stop();
}
END_TEST

START_TEST(a_deadline_ends_a_silent_answer)
{
	static const char *const script[] = { OK("abc", "1000000"), NULL };
	sv_autobuf struct sv_buf body = { 0 };
	struct sv_client *c;

	start(script, true);
	c = new_client(server.path);
	ck_assert_int_eq(sv_client_request(c, "/", NULL, 100, collect, &body), SV_CLIENT_E_TIMEOUT);
	sv_client_free(c);
	stop();
}
END_TEST

START_TEST(a_body_is_posted_and_the_next_request_is_a_get)
{
	static const char *const script[] = { OK("{}", "2"), OK("{}", "2"), NULL };
	struct sv_client *c;

	start(script, false); /* each answer closes the connection behind the client's back */
	c = new_client(server.path);
	ck_assert_int_eq(sv_client_request(c, "/v1/env", "{\"pod\":\"p\"}", 10000, NULL, NULL), 0);
	ck_assert_mem_eq(server.last, "POST /v1/env HTTP/1.1\r\n", 23);
	ck_assert_ptr_nonnull(strstr(server.last, "Content-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(server.last, "\r\n\r\n{\"pod\":\"p\"}"));
	ck_assert_int_eq(sv_client_request(c, "/v1/status", NULL, 10000, NULL, NULL), 0);
	ck_assert_mem_eq(server.last, "GET /v1/status HTTP/1.1\r\n", 25);
	sv_client_free(c);
	stop();
}
END_TEST

START_TEST(the_environment_names_the_socket_and_no_proxy)
{
	static const char *const script[] = { OK("{}", "2"), NULL };
	struct sv_client *c;

	start(script, false);
	setenv("SECRETVOLD_SOCKET", server.path, 1);
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
	c = new_client(NULL);
	ck_assert_str_eq(sv_client_socket(c), server.path);
	ck_assert_int_eq(sv_client_request(c, "/", NULL, 10000, NULL, NULL), 0);
	sv_client_free(c);
	stop();

	setenv("SECRETVOLD_SOCKET", "", 1);
	c = new_client(NULL);
	ck_assert_str_eq(sv_client_socket(c), SV_CLIENT_DEFAULT_SOCKET);
	sv_client_free(c);
}
END_TEST

static const char *const bad_paths[] = {
	"", "v1/status", "/a b", "/a\r\nX: y", "/\xc3\xa9", "/a#b"
};

START_TEST(paths_that_are_not_encoded_are_refused)
{
	struct sv_client *c = new_client("/nonexistent/socket");

	ck_assert_int_eq(sv_client_request(c, bad_paths[_i], NULL, 0, NULL, NULL), -EINVAL);
	ck_assert_str_ne(sv_client_error(c), "");
	ck_assert_int_eq(sv_client_request(c, "/", NULL, -1, NULL, NULL), -EINVAL);
	sv_client_free(c);
	sv_client_free(NULL);
}
END_TEST

T_SUITE(client)
{
	T_EACH(every_answer_becomes_a_code_a_status_and_a_text, answers);
	T_TEST(nobody_at_the_socket_is_unreachable);
	T_TEST(a_full_queue_is_waited_out);
	T_TEST(the_callback_can_stop);
	T_TEST(a_deadline_ends_a_silent_answer);
	T_TEST(a_body_is_posted_and_the_next_request_is_a_get);
	T_TEST(the_environment_names_the_socket_and_no_proxy);
	T_EACH(paths_that_are_not_encoded_are_refused, bad_paths);
}
