/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "secretvol.h"

#include <curl/curl.h>
#include <errno.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#define CONNECT_TIMEOUT_MS 10000L
#define QUEUE_PAUSE_MS 10L
#define ERROR_BODY_MAX 65536 /* bytes of an error's body that are looked at */

struct sv_client {
	CURL *curl; /* keeps its connection between requests */
	struct curl_slist *json_headers;
	char *socket;
	int status;
	struct sv_err err;

	/* of the request under way */
	sv_client_body_fn fn;
	void *arg;
	bool stopped;
	struct sv_buf error_body;
	char curl_text[CURL_ERROR_SIZE];
};

int sv_client_new(const char *socket, struct sv_client **ret)
{
	struct sv_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (!socket) {
		socket = getenv("SECRETVOLD_SOCKET");
		if (!socket || !*socket)
			socket = SV_CLIENT_DEFAULT_SOCKET;
	}
	c->socket = strdup(socket);
	c->curl = curl_easy_init();
	c->json_headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!c->socket || !c->curl || !c->json_headers) {
		sv_client_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void sv_client_free(struct sv_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->json_headers);
	sv_buf_done(&c->error_body);
	free(c->socket);
	free(c);
}

const char *sv_client_socket(const struct sv_client *c)
{
	return c->socket;
}

int sv_client_status(const struct sv_client *c)
{
	return c->status;
}

const char *sv_client_error(const struct sv_client *c)
{
	return c->err.msg;
}

static int answer_status(struct sv_client *c)
{
	long code = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &code);
	return (int)code;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct sv_client *c = arg;
	size_t len = size * n;

	if (answer_status(c) != 200) {
		size_t room = ERROR_BODY_MAX - c->error_body.len;

		sv_buf_add(&c->error_body, data, len < room ? len : room);
		return len;
	}
	if (c->fn && len > 0 && c->fn(c->arg, data, len) != 0) {
		c->stopped = true;
		return 0; /* less than len: curl gives up and closes the connection */
	}
	return len;
}

/* What went wrong, from the body of an answer that is not a 200. */
static int status_error(struct sv_client *c)
{
	struct json_tokener *tok = NULL;
	struct json_object *body = NULL, *text = NULL;
	const char *raw = c->error_body.ptr ? c->error_body.ptr : "";
	size_t len = strlen(raw);

	tok = json_tokener_new();
	if (!tok)
		return sv_err_set(&c->err, -ENOMEM, "cannot read the answer");
	body = json_tokener_parse_ex(tok, raw, (int)len);
	json_tokener_free(tok);

	while (len > 0 && (raw[len - 1] == '\n' || raw[len - 1] == '\r'))
		len--;
	if (json_object_object_get_ex(body, "error", &text) &&
	    json_object_is_type(text, json_type_string))
		sv_err_set(&c->err, 0, "%s", json_object_get_string(text));
	else if (len > 0)
		sv_err_set(&c->err, 0, "HTTP status %d: %.*s", c->status, (int)len, raw);
	else
		sv_err_set(&c->err, 0, "HTTP status %d", c->status);
	json_object_put(body);
	return SV_CLIENT_E_STATUS;
}

/* curl's codes to ours. */
static int translate(struct sv_client *c, CURLcode code)
{
	const char *why = c->curl_text[0] ? c->curl_text : curl_easy_strerror(code);
	long os_errno = 0;

	if (c->stopped)
		return sv_err_set(&c->err, SV_CLIENT_E_STOPPED, "stopped");
	switch (code) {
	case CURLE_OK:
		return c->status == 200 ? 0 : status_error(c);
	case CURLE_OUT_OF_MEMORY:
		return sv_err_set(&c->err, -ENOMEM, "cannot ask secretvold");
	case CURLE_URL_MALFORMAT:
		return sv_err_set(&c->err, -EINVAL, "cannot ask secretvold");
	case CURLE_OPERATION_TIMEDOUT:
		return sv_err_set(&c->err, SV_CLIENT_E_TIMEOUT,
				  "secretvold at %s did not answer in time", c->socket);
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST: /* the path of the socket is too long */
		(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_errno);
		if (os_errno) {
			char text[128];

			why = strerror_r((int)os_errno, text, sizeof(text));
			return sv_err_set(&c->err, SV_CLIENT_E_UNREACHABLE,
					  "cannot reach secretvold at %s: %s", c->socket, why);
		}
		return sv_err_set(&c->err, SV_CLIENT_E_UNREACHABLE,
				  "cannot reach secretvold at %s: %s", c->socket, why);
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		if (c->status == 0)
			return sv_err_set(
				&c->err, SV_CLIENT_E_CLOSED,
				"secretvold at %s closed the connection without an answer",
				c->socket);
		/* fall through */
	case CURLE_PARTIAL_FILE:
		return sv_err_set(&c->err, SV_CLIENT_E_PROTOCOL,
				  "secretvold at %s ended its answer early", c->socket);
	default:
		return sv_err_set(&c->err, SV_CLIENT_E_PROTOCOL,
				  "cannot understand the answer of %s: %s", c->socket, why);
	}
}

static bool is_path(const char *path)
{
	if (*path != '/')
		return false;
	for (; *path; path++)
		if (*path <= ' ' || *path >= 0x7f || *path == '#')
			return false;
	return true;
}

static CURLcode set_up(struct sv_client *c, const char *url, const char *body, long timeout_ms)
{
	CURL *h = c->curl;
	CURLcode r = CURLE_OK;

#define SET(opt, value)                                      \
	do {                                                 \
		if (r == CURLE_OK)                           \
			r = curl_easy_setopt(h, opt, value); \
	} while (0)

	curl_easy_reset(h); /* leaves the connection open */
	SET(CURLOPT_URL, url);
	SET(CURLOPT_UNIX_SOCKET_PATH, c->socket);
	SET(CURLOPT_PROXY, ""); /* whatever http_proxy says */
	SET(CURLOPT_PROTOCOLS_STR, "http");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TIMEOUT_MS, timeout_ms);
	SET(CURLOPT_ERRORBUFFER, c->curl_text);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, c);
	if (body) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, body);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		SET(CURLOPT_HTTPHEADER, c->json_headers);
	}
#undef SET
	return r;
}

/* Not even waiting to be accepted: the socket's queue was full, which curl does not wait out. */
static bool queue_was_full(struct sv_client *c, CURLcode code)
{
	long os_errno = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_errno);
	return code == CURLE_COULDNT_CONNECT && (os_errno == 0 || os_errno == EAGAIN);
}

static CURLcode perform(struct sv_client *c)
{
	const struct timespec pause = { .tv_nsec = QUEUE_PAUSE_MS * 1000000 };
	long tries = CONNECT_TIMEOUT_MS / QUEUE_PAUSE_MS;
	CURLcode code;

	while ((code = curl_easy_perform(c->curl)) != CURLE_OK && tries-- > 0 &&
	       queue_was_full(c, code))
		(void)nanosleep(&pause, NULL);
	return code;
}

int sv_client_request(struct sv_client *c, const char *path, const char *body, long timeout_ms,
		      sv_client_body_fn fn, void *arg)
{
	sv_autofree char *url = NULL;
	CURLcode code;

	c->status = 0;
	c->err.msg[0] = '\0';
	c->curl_text[0] = '\0';
	c->stopped = false;
	c->fn = fn;
	c->arg = arg;
	sv_buf_done(&c->error_body);

	if (!is_path(path) || timeout_ms < 0)
		return sv_err_set(&c->err, -EINVAL, "cannot ask secretvold for '%s'", path);
	url = sv_asprintf("http://localhost%s", path);
	if (!url)
		return sv_err_set(&c->err, -ENOMEM, "cannot ask secretvold");
	code = set_up(c, url, body, timeout_ms);
	if (code == CURLE_OK) {
		code = perform(c);
		c->status = answer_status(c);
	}
	return translate(c, code);
}
