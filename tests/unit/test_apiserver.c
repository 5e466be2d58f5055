/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted API server itself, with libcurl as its client. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/apiserver.h"
#include "../support/support.h"

#define SECRETS "/api/v1/namespaces/default/secrets"
#define ONE SECRETS "?fieldSelector=metadata.name%3Ddb"
#define PODS "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a"
#define EVENTS "/api/v1/namespaces/default/events"

static uv_loop_t loop;
static struct t_api *api;
static CURLM *multi;
static struct t_api_req *taken; /* by the handler of a test */

/* ---- the client ---------------------------------------------------------------------------- */

struct call {
	CURL *easy;
	struct curl_slist *headers;
	struct sv_buf body, head;
	long status;
	CURLcode result;
	bool done;
};

static size_t collect(char *data, size_t size, size_t n, void *arg)
{
	sv_buf_add(arg, data, size * n);
	return size * n;
}

/* Server and client have both done what they can; waits until one of them can do more. */
static void step(void)
{
	struct curl_waitfd fd = { .fd = uv_backend_fd(&loop), .events = CURL_WAIT_POLLIN };
	CURLMsg *msg;
	int running, left, timeout;
	bool any = false;

	ck_assert_int_eq(curl_multi_perform(multi, &running), CURLM_OK);
	while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
		struct call *c = NULL;

		ck_assert_int_eq(msg->msg, CURLMSG_DONE);
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE, &c->status);
		c->result = msg->data.result;
		c->done = any = true;
	}
	for (int i = 0; i < 3;
	     i++) /* what it begins to poll in one turn, the kernel hears in the next */
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	if (any)
		return;
	timeout = uv_backend_timeout(&loop);
	ck_assert_int_eq(
		curl_multi_poll(multi, &fd, 1, timeout < 0 || timeout > 20 ? 20 : timeout, NULL),
		CURLM_OK);
}

static void start_call(struct call *c, const char *method, const char *path, const char *body,
		       const char *header)
{
	sv_autofree char *url = sv_asprintf("%s%s", t_api_url(api), path);

	memset(c, 0, sizeof(*c));
	c->easy = curl_easy_init();
	ck_assert_ptr_nonnull(c->easy);
	c->headers = header ? curl_slist_append(NULL, header) : NULL;
	curl_easy_setopt(c->easy, CURLOPT_URL, url);
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(c->easy, CURLOPT_NOPROXY, "*");
	if (body)
		curl_easy_setopt(c->easy, CURLOPT_COPYPOSTFIELDS, body);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, &c->body);
	curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, collect);
	curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, &c->head);
	curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
	ck_assert_int_eq(curl_multi_add_handle(multi, c->easy), CURLM_OK);
}

static void finish_call(struct call *c)
{
	while (!c->done)
		step();
}

/* Until this much of the body has come. */
static void await_text(struct call *c, const char *text)
{
	while (!c->body.ptr || !strstr(c->body.ptr, text)) {
		ck_assert_msg(!c->done, "ended without %s: %s", text, c->body.ptr);
		step();
	}
}

static void end_call(struct call *c)
{
	(void)curl_multi_remove_handle(multi, c->easy);
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	sv_buf_done(&c->body);
	sv_buf_done(&c->head);
}

#define autocall __attribute__((cleanup(end_call)))

static void call(struct call *c, const char *method, const char *path, const char *body,
		 const char *header)
{
	start_call(c, method, path, body, header);
	finish_call(c);
}

static void get(struct call *c, const char *path)
{
	call(c, "GET", path, NULL, NULL);
}

/* A whole answer: its status, and this in its body. */
static void expect(const char *path, long status, const char *text)
{
	autocall struct call c;

	get(&c, path);
	ck_assert_int_eq(c.result, CURLE_OK);
	ck_assert_msg(c.status == status, "%ld for %s: %s", c.status, path, c.body.ptr);
	t_contains(c.body.ptr, text);
}

static struct json_object *tree_of(const struct call *c)
{
	struct json_object *tree = json_tokener_parse(c->body.ptr);

	ck_assert_msg(tree != NULL, "not JSON: %s", c->body.ptr);
	return tree;
}

static struct json_object *at(struct json_object *tree, const char *pointer)
{
	struct json_object *found = NULL;

	(void)json_pointer_get(tree, pointer, &found);
	return found;
}

/* Of a list: "VERSION name name …". */
static char *listed(const char *path)
{
	autocall struct call c;
	struct json_object *tree, *items;
	struct sv_buf b = { 0 };

	get(&c, path);
	ck_assert_msg(c.status == 200, "%ld: %s", c.status, c.body.ptr);
	tree = tree_of(&c);
	items = at(tree, "/items");
	sv_buf_puts(&b, json_object_get_string(at(tree, "/metadata/resourceVersion")));
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		struct json_object *item = json_object_array_get_idx(items, i);

		ck_assert_ptr_null(at(item, "/kind"));
		sv_buf_printf(&b, " %s", json_object_get_string(at(item, "/metadata/name")));
	}
	json_object_put(tree);
	return sv_buf_take(&b);
}

static void expect_list(const char *path, const char *want)
{
	sv_autofree char *got = listed(path);

	ck_assert_str_eq(got, want);
}

/* Of a watch's body: "TYPE name@version …". */
static char *told(const struct call *c)
{
	sv_autofree char *copy = strdup(c->body.ptr ? c->body.ptr : "");
	char *rest = copy, *line;
	struct sv_buf b = { 0 };

	while ((line = strsep(&rest, "\n")) != NULL) {
		struct json_object *tree = *line ? json_tokener_parse(line) : NULL;
		struct json_object *name = at(tree, "/object/metadata/name");

		if (!tree)
			continue;
		sv_buf_printf(&b, "%s%s %s@%s", b.len ? " " : "",
			      json_object_get_string(at(tree, "/type")),
			      name ? json_object_get_string(name) : "",
			      json_object_get_string(at(tree, "/object/metadata/resourceVersion")));
		json_object_put(tree);
	}
	return sv_buf_take(&b);
}

static void expect_told(const struct call *c, const char *want)
{
	sv_autofree char *got = told(c);

	ck_assert_str_eq(got, want);
}

static void open_watches(size_t n)
{
	while (t_api_n_watches(api) != n)
		step();
}

static void start_watch(struct call *c, const char *path)
{
	size_t n = t_api_n_watches(api);

	start_call(c, "GET", path, NULL, NULL);
	open_watches(n + 1);
}

static void setup(void)
{
	taken = NULL; /* of the test before, where tests are not forked */
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
	multi = curl_multi_init();
	ck_assert_ptr_nonnull(multi);
	api = t_api_new(&loop);
}

static void teardown(void)
{
	t_api_stop(api);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0); /* no handle was forgotten */
	curl_multi_cleanup(multi);
	curl_global_cleanup();
}

/* ---- the raw layer ------------------------------------------------------------------------- */

START_TEST(a_request_is_logged_with_all_its_parts)
{
	autocall struct call c;
	const struct t_api_req *req;

	call(&c, "POST", EVENTS "?a=b%20c&d=e+f&g", "{\"x\":1}", "X-Thing: some thing");
	req = t_api_last(api);
	ck_assert_str_eq(req->method, "POST");
	ck_assert_str_eq(req->path, EVENTS);
	ck_assert_str_eq(req->target, EVENTS "?a=b%20c&d=e+f&g");
	ck_assert_str_eq(t_api_query(req, "a"), "b c");
	ck_assert_str_eq(t_api_query(req, "d"), "e f");
	ck_assert_str_eq(t_api_query(req, "g"), "");
	ck_assert_ptr_null(t_api_query(req, "b"));
	ck_assert_str_eq(t_api_header(req, "x-thing"), "some thing");
	ck_assert_str_eq(req->body, "{\"x\":1}");
	ck_assert_uint_eq(req->body_len, 7);
	ck_assert_str_eq(req->verb, "create");
	ck_assert_str_eq(req->kind, "events");
	ck_assert_str_eq(req->ns, "default");
	ck_assert_uint_eq(req->serial, 1);
	ck_assert_uint_eq(req->connection, 1);
	ck_assert_uint_le(req->at_ns, uv_hrtime());
	ck_assert(req->ended);
}
END_TEST

static const struct {
	const char *method, *path, *verb, *kind, *ns, *name, *node;
} forms[] = {
	{ "GET", "/version", "get", "version", NULL, NULL, NULL },
	{ "GET", PODS "&limit=5", "list", "pods", NULL, NULL, "node-a" },
	{ "GET", PODS "&watch=true&resourceVersion=999&timeoutSeconds=1", "watch", "pods", NULL,
	  NULL, "node-a" },
	{ "GET", "/api/v1/pods?watch=false", "list", "pods", NULL, NULL, NULL },
	{ "GET", ONE, "list", "secrets", "default", "db", NULL },
	{ "GET", SECRETS "?fieldSelector=metadata.name%3D%3Ddb", "list", "secrets", "default", "db",
	  NULL },
	{ "GET", SECRETS "/db", "get", "secrets", "default", "db", NULL },
	{ "GET", "/api/v1/namespaces/a/secrets", "list", "secrets", "a", NULL, NULL },
	{ "PATCH", EVENTS "/e1", "patch", "events", "default", "e1", NULL },
	{ "DELETE", SECRETS "/db", "delete", "secrets", "default", "db", NULL },
	{ "GET", "/api/v1/nodes", "", "", NULL, NULL, NULL },
	{ "GET", "/apis/apps/v1/deployments", "", "", NULL, NULL, NULL },
};

START_TEST(a_request_is_understood_as_the_api_has_it)
{
	autocall struct call c;
	const struct t_api_req *req;

	call(&c, forms[_i].method, forms[_i].path, NULL, NULL);
	req = t_api_last(api);
	ck_assert_str_eq(req->verb, forms[_i].verb);
	ck_assert_str_eq(req->kind, forms[_i].kind);
	ck_assert_pstr_eq(req->ns, forms[_i].ns);
	ck_assert_pstr_eq(req->name, forms[_i].name);
	ck_assert_pstr_eq(req->node, forms[_i].node);
	ck_assert_uint_eq(t_api_count(api, forms[_i].verb, forms[_i].kind, forms[_i].name), 1);
	ck_assert_uint_eq(t_api_count(api, NULL, NULL, "other"), 0);
	ck_assert_ptr_eq(t_api_find(api, forms[_i].verb, NULL, NULL), req);
}
END_TEST

START_TEST(a_connection_serves_many_requests)
{
	for (int i = 0; i < 5; i++)
		expect("/version", 200, "v1.20.2");
	ck_assert_uint_eq(t_api_n_accepted(api), 1);
	ck_assert_uint_eq(t_api_n_connections(api), 1);
	ck_assert_uint_eq(t_api_n_requests(api), 5);
	t_api_clear_log(api);
	ck_assert_uint_eq(t_api_n_requests(api), 0);
	expect("/version", 200, "v1.20.2");
	ck_assert_uint_eq(t_api_last(api)->serial, 6);
}
END_TEST

static bool take(void *arg, struct t_api_req *req)
{
	(void)arg;
	taken = req;
	return true;
}

START_TEST(a_handler_answers_piece_by_piece)
{
	autocall struct call c;

	t_api_handle(api, take, NULL);
	start_call(&c, "GET", "/x", NULL, NULL);
	while (!taken)
		step();
	t_api_begin(taken, 203, "X-Made: up\r\n");
	t_api_send(taken, "one ", 4);
	await_text(&c, "one ");
	ck_assert(!c.done);
	t_api_send(taken, "half", 4);
	await_text(&c, "one half");
	ck_assert(!taken->ended);
	t_api_end(taken);
	finish_call(&c);
	ck_assert_int_eq(c.result, CURLE_OK);
	ck_assert_int_eq(c.status, 203);
	t_contains(c.head.ptr, "X-Made: up");
	ck_assert_str_eq(c.body.ptr, "one half");
	ck_assert(taken->ended);
	t_api_send(taken, "more", 4); /* nobody is there: nothing happens */
}
END_TEST

START_TEST(a_handler_cuts_an_answer_in_the_middle)
{
	autocall struct call c;

	t_api_handle(api, take, NULL);
	start_call(&c, "GET", "/x", NULL, NULL);
	while (!taken)
		step();
	t_api_begin(taken, 200, NULL);
	t_api_send(taken, "one ", 4);
	await_text(&c, "one ");
	t_api_cut(taken, _i ? T_API_RST : T_API_FIN);
	finish_call(&c);
	ck_assert_int_eq(c.result, _i ? CURLE_RECV_ERROR : CURLE_PARTIAL_FILE);
	ck_assert_uint_eq(t_api_n_connections(api), 0);
}
END_TEST

START_TEST(a_handler_drips)
{
	autocall struct call c;

	t_api_handle(api, take, NULL);
	start_call(&c, "GET", "/x", NULL, NULL);
	while (!taken)
		step();
	t_api_begin(taken, 200, NULL);
	t_api_drip(taken, "abcdefg", 7, 2, 1);
	finish_call(&c);
	ck_assert_str_eq(c.body.ptr, "abcdefg");
}
END_TEST

START_TEST(a_client_that_goes_ends_its_request)
{
	struct call c;

	t_api_handle(api, take, NULL);
	start_call(&c, "GET", "/x", NULL, NULL);
	while (!taken)
		step();
	t_api_begin(taken, 200, NULL);
	t_api_drip(taken, "abcdefg", 7, 1, 100000);
	end_call(&c);
	while (!taken->ended)
		step();
	ck_assert_uint_eq(t_api_n_connections(api), 0);
}
END_TEST

START_TEST(what_is_not_http_is_refused)
{
	autocall struct call c;

	start_call(&c, "GET", "/x", NULL, NULL);
	curl_easy_setopt(c.easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_0);
	finish_call(&c);
	ck_assert_int_eq(c.status, 400);
	ck_assert_uint_eq(t_api_n_bad_requests(api), 1);
	ck_assert_uint_eq(t_api_n_requests(api), 0);
}
END_TEST

START_TEST(a_server_that_is_down_refuses_and_comes_back_on_its_port)
{
	uint16_t port = t_api_port(api);
	autocall struct call idle, refused;

	get(&idle, "/version");
	t_api_down(api);
	ck_assert_uint_eq(t_api_n_connections(api), 0);
	get(&refused, "/version");
	ck_assert_int_eq(refused.result, CURLE_COULDNT_CONNECT);
	t_api_up(api);
	ck_assert_uint_eq(t_api_port(api), port);
	expect("/version", 200, "v1.20.2");
	ck_assert_uint_eq(t_api_n_accepted(api), 2);
}
END_TEST

START_TEST(a_deaf_server_lets_clients_wait)
{
	autocall struct call c;

	t_api_deaf(api, true);
	start_call(&c, "GET", "/version", NULL, NULL);
	for (int i = 0; i < 10; i++)
		step();
	ck_assert(!c.done);
	ck_assert_uint_eq(t_api_n_requests(api), 0);
	t_api_deaf(api, false);
	finish_call(&c);
	ck_assert_int_eq(c.status, 200);
}
END_TEST

/* ---- lists --------------------------------------------------------------------------------- */

/* Versions 96 … 99: a b c db; 100: another kind's. */
static void some_secrets(void)
{
	ck_assert_uint_eq(t_api_put_secret(api, "a", "k=v"), 96);
	ck_assert_uint_eq(t_api_put_secret(api, "b", "k=v"), 97);
	ck_assert_uint_eq(t_api_put_secret(api, "other/c", "k=v"), 98);
	ck_assert_uint_eq(t_api_put_secret(api, "db", "k=v"), 99);
	ck_assert_uint_eq(t_api_put_pod(api, "p", "node-a", "v=db"), 100);
}

static const struct {
	const char *path, *want;
} lists[] = {
	/* by etcd: in order, at the version of the world */
	{ SECRETS, "100 a b db" },
	{ "/api/v1/secrets", "100 a b db c" },
	{ ONE, "100 db" },
	{ SECRETS "?fieldSelector=metadata.name%3Dnone", "100" },
	{ SECRETS "?limit=500", "100 a b db" },
	{ SECRETS "?limit=2", "100 a b" },
	{ "/api/v1/namespaces/empty/secrets", "100" },
	/* by the watch cache: at the version of the kind, whatever the limit */
	{ SECRETS "?resourceVersion=0", "99 db b a" },
	{ SECRETS "?resourceVersion=0&limit=1", "99 db b a" },
	{ SECRETS "?resourceVersion=97", "99 db b a" },
	{ ONE "&resourceVersion=0&limit=500", "99 db" },
	{ "/api/v1/pods?resourceVersion=0", "100 p" },
	{ PODS "&resourceVersion=0", "100 p" },
	{ "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-b&resourceVersion=0", "100" },
	/* by etcd at the version asked for, or a later one */
	{ SECRETS "?resourceVersion=97&limit=500", "97 a b" },
	{ SECRETS "?resourceVersion=97&resourceVersionMatch=Exact", "97 a b" },
	{ SECRETS "?resourceVersion=97&limit=500&resourceVersionMatch=NotOlderThan", "100 a b db" },
	{ SECRETS "?resourceVersion=97&resourceVersionMatch=NotOlderThan", "99 db b a" },
	{ ONE "&resourceVersion=97&limit=500", "100 db" },
	{ ONE "&resourceVersion=97&resourceVersionMatch=Exact", "100" }, /* db was not there */
};

START_TEST(a_list_is_what_etcd_or_the_watch_cache_has)
{
	some_secrets();
	expect_list(lists[_i].path, lists[_i].want);
}
END_TEST

static const struct {
	const char *path;
	long status;
	const char *text;
} refusals[] = {
	{ SECRETS "?resourceVersion=101", 504,
	  "\"message\":\"Timeout: Too large resource version: 101, current: 99\",\"reason\":"
	  "\"Timeout\",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"" },
	/* the world is at 100, but no Secret has changed since 99 */
	{ SECRETS "?resourceVersion=100", 504, "Too large resource version: 100, current: 99" },
	{ SECRETS "/db?resourceVersion=100", 504, "Too large resource version: 100, current: 99" },
	{ SECRETS "?resourceVersion=101&limit=2", 500,
	  "etcdserver: mvcc: required revision is a future revision" },
	{ ONE "&resourceVersion=101&limit=2", 504,
	  "Too large resource version: 101, current: 100" },
	{ SECRETS "?resourceVersion=x", 500, "strconv.ParseUint: parsing \\\"x\\\"" },
	{ SECRETS "?limit=x", 400, "strconv.ParseInt: parsing \\\"x\\\": invalid syntax" },
	{ SECRETS "?limit=1&continue=eyJ2Ijoi", 400, "invalid continue token" },
	{ SECRETS "?continue=e30&resourceVersion=5", 400,
	  "does not recognize this encoded version \\\"\\\"" },
	{ SECRETS "?resourceVersion=5&continue="
		  "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6OTcsInN0YXJ0IjoiYVx1MDAwMCJ9",
	  400, "specifying resource version is not allowed when using continue" },
	{ SECRETS "?fieldSelector=spec.nodeName%3Dx", 400,
	  "field label not supported: spec.nodeName" },
	{ SECRETS "?fieldSelector=name", 400, "invalid selector: 'name'; can't understand 'name'" },
	{ SECRETS "?resourceVersion=0&resourceVersionMatch=Exact", 422,
	  "is forbidden for resourceVersion" },
	{ SECRETS "/none", 404,
	  "\"message\":\"secrets \\\"none\\\" not found\",\"reason\":\"NotFound\",\"details\":{"
	  "\"name\":\"none\",\"kind\":\"secrets\"},\"code\":404" },
	{ "/api/v1/nodes", 404, "the server could not find the requested resource" },
};

START_TEST(what_cannot_be_answered_is_refused_in_the_words_of_the_real_one)
{
	some_secrets();
	expect(refusals[_i].path, refusals[_i].status, refusals[_i].text);
}
END_TEST

/* The continue token of a list, encoded for a URL; "" if there is none. */
static char *token_of(const char *path, const char *names, const char *remaining)
{
	autocall struct call c;
	struct json_object *tree, *token;
	sv_autofree char *got = listed(path);
	char *text;

	ck_assert_str_eq(strchr(got, ' ') ? strchr(got, ' ') + 1 : "", names);
	get(&c, path);
	tree = tree_of(&c);
	token = at(tree, "/metadata/continue");
	ck_assert_pstr_eq(json_object_get_string(at(tree, "/metadata/remainingItemCount")),
			  remaining);
	text = strdup(token ? json_object_get_string(token) : "");
	json_object_put(tree);
	return text;
}

START_TEST(pages_show_one_version)
{
	sv_autofree char *token = NULL, *path = NULL;

	some_secrets();
	token = token_of(SECRETS "?limit=2", "a b", "1");
	ck_assert_str_ne(token, "");
	(void)t_api_put_secret(api, "bb", "k=v");
	(void)t_api_delete(api, "secrets", "db");
	path = sv_asprintf(SECRETS "?limit=2&continue=%s", token);
	expect_list(path, "100 db");
}
END_TEST

START_TEST(an_expired_continue_token_can_be_exchanged_for_an_inconsistent_rest)
{
	sv_autofree char *token = NULL, *path = NULL, *path2 = NULL;
	autocall struct call c;
	struct json_object *tree;

	some_secrets();
	token = token_of(SECRETS "?limit=2", "a b", "1");
	(void)t_api_put_secret(api, "bb", "k=v");
	t_api_compact(api, 0);
	path = sv_asprintf(SECRETS "?limit=2&continue=%s", token);
	get(&c, path);
	ck_assert_int_eq(c.status, 410);
	tree = tree_of(&c);
	t_contains(c.body.ptr, "\"reason\":\"Expired\",\"code\":410");
	path2 = sv_asprintf(SECRETS "?limit=2&continue=%s",
			    json_object_get_string(at(tree, "/metadata/continue")));
	expect_list(path2, "101 bb db");
	json_object_put(tree);
}
END_TEST

START_TEST(the_last_page_of_a_selection_may_be_empty)
{
	sv_autofree char *token = NULL, *path = NULL;

	(void)t_api_put_pod(api, "p1", "node-a", "");
	(void)t_api_put_pod(api, "p2", "node-b", "");
	(void)t_api_put_pod(api, "p3", "node-b", "");
	token = token_of(PODS "&limit=1", "p1", NULL);
	ck_assert_str_ne(token, "");
	path = sv_asprintf("%s&limit=1&continue=%s", PODS, token);
	expect_list(path, "98");
}
END_TEST

START_TEST(an_exact_list_of_a_compacted_version_is_gone)
{
	some_secrets();
	t_api_compact(api, 98);
	expect(SECRETS "?resourceVersion=97&limit=500", 410,
	       "\"message\":\"The resourceVersion for the provided list is too old.\",\"reason\":"
	       "\"Expired\",\"code\":410");
	expect_list(SECRETS "?resourceVersion=98&limit=500", "98 a b");
	expect_list(SECRETS "?resourceVersion=97", "99 db b a");
}
END_TEST

START_TEST(an_object_is_completed_as_the_real_one_does)
{
	autocall struct call c, pod;
	struct json_object *tree;
	sv_autofree char *text = NULL;

	some_secrets();
	get(&c, SECRETS "/db");
	ck_assert_int_eq(c.status, 200);
	tree = tree_of(&c);
	ck_assert_str_eq(json_object_get_string(at(tree, "/kind")), "Secret");
	ck_assert_str_eq(json_object_get_string(at(tree, "/apiVersion")), "v1");
	ck_assert_str_eq(json_object_get_string(at(tree, "/metadata/resourceVersion")), "99");
	ck_assert_str_eq(json_object_get_string(at(tree, "/data/k")), "dg==");
	ck_assert_str_eq(json_object_get_string(at(tree, "/type")), "Opaque");
	ck_assert_ptr_nonnull(at(tree, "/metadata/uid"));
	ck_assert_ptr_nonnull(at(tree, "/metadata/creationTimestamp"));
	json_object_put(tree);
	text = t_api_get(api, "secrets", "db");
	ck_assert(strncmp(text, c.body.ptr, strlen(text)) == 0);
	get(&pod, "/api/v1/namespaces/default/pods/p");
	t_contains(pod.body.ptr, "\"secret\":{\"secretName\":\"db\",\"defaultMode\":420}");
}
END_TEST

START_TEST(an_update_that_changes_nothing_makes_no_version)
{
	some_secrets();
	ck_assert_uint_eq(t_api_put_secret(api, "db", "k=v"), 99);
	ck_assert_uint_eq(t_api_version(api), 100);
	ck_assert_uint_eq(t_api_put_secret(api, "db", "k=w"), 101);
	ck_assert_uint_eq(t_api_n_objects(api, "secrets"), 4);
}
END_TEST

/* ---- watches ------------------------------------------------------------------------------- */

START_TEST(a_watch_tells_what_happens_after_its_version)
{
	autocall struct call c;

	some_secrets();
	(void)t_api_put_secret(api, "db", "k=w"); /* 101: before the watch opens */
	start_watch(&c, ONE "&watch=true&resourceVersion=99");
	(void)t_api_put_secret(api, "a", "k=w"); /* not its own */
	(void)t_api_put_secret(api, "db", "k=x");
	(void)t_api_delete(api, "secrets", "db");
	(void)t_api_put_secret(api, "db", "k=y");
	await_text(&c, "\"105\"");
	expect_told(&c, "MODIFIED db@101 MODIFIED db@103 DELETED db@104 ADDED db@105");
	t_contains(c.body.ptr, "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Secret\","
			       "\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"db\"");
}
END_TEST

START_TEST(a_watch_from_nowhere_begins_with_what_there_is)
{
	autocall struct call c;

	some_secrets();
	start_watch(&c, _i ? SECRETS "?watch=true&resourceVersion=0" : SECRETS "?watch=1");
	(void)t_api_delete(api, "secrets", "b");
	await_text(&c, "\"101\"");
	expect_told(&c, "ADDED db@99 ADDED b@97 ADDED a@96 DELETED b@101");
}
END_TEST

START_TEST(a_pod_enters_and_leaves_the_selection_of_its_node)
{
	autocall struct call c;

	(void)t_api_put_pod(api, "p", NULL, "v=db");
	start_watch(&c, PODS "&watch=true&resourceVersion=96");
	(void)t_api_edit(api, "pods", "p", "{\"spec\":{\"nodeName\":\"node-a\"}}");
	(void)t_api_terminate(api, "p");
	(void)t_api_edit(api, "pods", "p", "{\"spec\":{\"nodeName\":\"node-b\"}}");
	await_text(&c, "\"99\"");
	expect_told(&c, "ADDED p@97 MODIFIED p@98 DELETED p@99");
	t_contains(c.body.ptr, "deletionTimestamp");
}
END_TEST

START_TEST(a_pod_that_is_made_anew_under_its_name_is_deleted_first)
{
	autocall struct call c;
	static const char pod[] = "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"uid\":\"%c\"},"
				  "\"spec\":{\"nodeName\":\"node-a\"}}";
	sv_autofree char *one = sv_asprintf(pod, '1'), *two = sv_asprintf(pod, '2');

	start_watch(&c, PODS "&watch=true&resourceVersion=95");
	(void)t_api_put(api, one);
	(void)t_api_put(api, two);
	await_text(&c, "\"98\"");
	expect_told(&c, "ADDED p@96 DELETED p@97 ADDED p@98");
}
END_TEST

START_TEST(a_watch_from_a_compacted_version_gets_an_error_event)
{
	autocall struct call c, fresh;

	some_secrets();
	t_api_compact(api, 98);
	get(&c, SECRETS "?watch=true&resourceVersion=97");
	ck_assert_int_eq(c.status, 200);
	ck_assert_int_eq(c.result, CURLE_OK);
	ck_assert_str_eq(
		c.body.ptr,
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
		"\"metadata\":{},\"status\":\"Failure\",\"message\":"
		"\"too old resource version: 97 (98)\",\"reason\":\"Expired\","
		"\"code\":410}}\n");
	start_watch(&fresh, SECRETS "?watch=true&resourceVersion=98");
	await_text(&fresh, "\"99\"");
	expect_told(&fresh, "ADDED db@99");
}
END_TEST

START_TEST(a_watch_from_the_future_is_silent_until_it_is_passed)
{
	autocall struct call c;

	start_watch(&c, SECRETS "?watch=true&resourceVersion=97");
	(void)t_api_put_secret(api, "a", "k=v"); /* 96 */
	(void)t_api_put_secret(api, "b", "k=v"); /* 97 */
	(void)t_api_put_secret(api, "c", "k=v");
	await_text(&c, "\"98\"");
	expect_told(&c, "ADDED c@98");
}
END_TEST

START_TEST(a_watch_ends_at_its_time)
{
	autocall struct call c;

	start_watch(&c, SECRETS "?watch=true&resourceVersion=95&timeoutSeconds=1");
	finish_call(&c);
	ck_assert_int_eq(c.result, CURLE_OK);
	ck_assert_int_eq(c.status, 200);
	ck_assert_uint_eq(c.body.len, 0);
	ck_assert_uint_eq(t_api_n_watches(api), 0);
	ck_assert_uint_eq(t_api_n_connections(api), 1); /* for the next request */
}
END_TEST

START_TEST(bookmarks_go_to_those_that_allow_them)
{
	autocall struct call with, without, pods;

	some_secrets();
	start_watch(&with, ONE "&watch=true&resourceVersion=99&allowWatchBookmarks=true");
	start_watch(&without, ONE "&watch=true&resourceVersion=99");
	start_watch(&pods, PODS "&watch=true&resourceVersion=100&allowWatchBookmarks=true");
	ck_assert_uint_eq(t_api_bookmark(api, "secrets", NULL, 0), 1);
	ck_assert_uint_eq(t_api_bookmark(api, "secrets", "a", 0), 0);
	ck_assert_uint_eq(t_api_bookmark(api, "secrets", "db", 120), 1);
	ck_assert_uint_eq(t_api_bookmark(api, "pods", NULL, 0), 1);
	await_text(&with, "120");
	expect_told(&with, "BOOKMARK @99 BOOKMARK @120");
	await_text(&pods, "100");
	ck_assert_str_eq(
		pods.body.ptr,
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"resourceVersion\":\"100\",\"creationTimestamp\":null},"
		"\"spec\":{\"containers\":null},\"status\":{}}}\n");
	ck_assert_uint_eq(without.body.len, 0);
}
END_TEST

START_TEST(open_watches_can_be_sent_anything_and_ended_in_any_way)
{
	autocall struct call a, b, c, d;

	start_watch(&a, SECRETS "?fieldSelector=metadata.name%3Da&watch=true&resourceVersion=95");
	start_watch(&b, SECRETS "?fieldSelector=metadata.name%3Db&watch=true&resourceVersion=95");
	start_watch(&c, SECRETS "?fieldSelector=metadata.name%3Dc&watch=true&resourceVersion=95");
	start_watch(&d, "/api/v1/secrets?watch=true&resourceVersion=95");
	t_api_watch_send(api, "secrets", "a", "{\"type\":\"ADD");
	t_api_watch_end(api, "secrets", "a"); /* ends d as well */
	t_api_watch_cut(api, "secrets", "b", T_API_RST);
	t_api_watch_event(api, "secrets", "c", "ODD", "{\"kind\":\"X\"}");
	t_api_watch_error(api, "secrets", "c", 410);
	finish_call(&a);
	finish_call(&b);
	finish_call(&c);
	finish_call(&d);
	ck_assert_int_eq(a.result, CURLE_OK);
	ck_assert_str_eq(a.body.ptr, "{\"type\":\"ADD");
	ck_assert_int_eq(b.result, CURLE_RECV_ERROR);
	ck_assert_int_eq(c.result, CURLE_OK);
	t_contains(c.body.ptr,
		   "{\"type\":\"ODD\",\"object\":{\"kind\":\"X\"}}\n{\"type\":\"ERROR\"");
	ck_assert_uint_eq(t_api_n_watches(api), 0);
}
END_TEST

START_TEST(a_restored_world_is_older_and_goes_on_from_there)
{
	autocall struct call c, ahead;

	some_secrets();
	start_watch(&c, SECRETS "?watch=true&resourceVersion=100");
	(void)t_api_put_secret(api, "db", "k=w"); /* 101 */
	(void)t_api_put_secret(api, "e", "k=w");  /* 102 */
	(void)t_api_delete(api, "secrets", "a");  /* 103 */
	await_text(&c, "\"103\"");
	t_api_restore(api, 98);
	finish_call(&c);
	ck_assert_int_eq(c.result, CURLE_PARTIAL_FILE);
	expect_list(SECRETS, "98 a b");
	expect_list("/api/v1/pods?resourceVersion=0", "98");
	expect(SECRETS "?resourceVersion=103", 504, "Too large resource version: 103, current: 98");
	start_watch(&ahead, SECRETS "?watch=true&resourceVersion=103");
	ck_assert_uint_eq(t_api_put_secret(api, "db", "k=x"), 99); /* a version seen before */
	t_api_set_version(api, 103);
	ck_assert_uint_eq(t_api_put_secret(api, "db", "k=y"), 104);
	await_text(&ahead, "\"104\"");
	expect_told(&ahead, "MODIFIED db@104");
}
END_TEST

/* ---- who may read -------------------------------------------------------------------------- */

static const struct {
	const char *method, *path, *why;
} forbidden[] = {
	{ "GET", SECRETS "/db",
	  "\"secrets \\\"db\\\" is forbidden: User \\\"system:node:node-a\\\" cannot get resource "
	  "\\\"secrets\\\" in API group \\\"\\\" in the namespace \\\"default\\\": no relationship "
	  "found between node 'node-a' and this object\",\"reason\":\"Forbidden\",\"details\":{"
	  "\"name\":\"db\",\"kind\":\"secrets\"},\"code\":403" },
	{ "GET", ONE, "cannot list resource" },
	{ "GET", ONE "&watch=true", "cannot watch resource" },
	{ "GET", SECRETS, "in the namespace \\\"default\\\": No Object name found" },
	{ "GET", "/api/v1/secrets",
	  "at the cluster scope: can only read namespaced object of this type" },
	{ "DELETE", SECRETS "/db", "can only read resources of this type" },
	{ "GET", EVENTS "/e",
	  "cannot get resource \\\"events\\\" in API group \\\"\\\" in the namespace "
	  "\\\"default\\\"\",\"reason\"" },
};

START_TEST(a_node_may_not_read_what_no_pod_of_its_names)
{
	autocall struct call c;

	(void)t_api_put_secret(api, "db", "k=v");
	(void)t_api_put_pod(api, "p", "node-b", "v=db");
	(void)t_api_put_pod(api, "p2", NULL, "v=db");
	(void)t_api_put_pod(api, "elsewhere/p", "node-a", "v=db");
	(void)t_api_put(api, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"mirror\",\"annotations\":{"
			     "\"kubernetes.io/config.mirror\":\"x\"}},\"spec\":{\"nodeName\":"
			     "\"node-a\",\"imagePullSecrets\":[{\"name\":\"db\"}]}}");
	t_api_authorize_node(api, "node-a", 0);
	call(&c, forbidden[_i].method, forbidden[_i].path, NULL, NULL);
	ck_assert_int_eq(c.status, 403);
	t_contains(c.body.ptr, forbidden[_i].why);
}
END_TEST

static const char *const references[] = {
	"\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"db\"}}]",
	"\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":[{\"secret\":{\"name\":\"db\"}}]}}]",
	"\"containers\":[{\"env\":[{\"valueFrom\":{\"secretKeyRef\":{\"name\":\"db\"}}}]}]",
	"\"initContainers\":[{\"envFrom\":[{\"secretRef\":{\"name\":\"db\"}}]}]",
	"\"imagePullSecrets\":[{\"name\":\"db\"}]",
};

START_TEST(a_node_may_read_what_a_pod_of_its_names)
{
	sv_autofree char *pod = sv_asprintf("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},"
					    "\"spec\":{\"nodeName\":\"node-a\",%s}}",
					    references[_i]);

	(void)t_api_put_secret(api, "db", "k=v");
	t_api_authorize_node(api, "node-a", 0);
	expect(SECRETS "/db", 403, "no relationship found");
	(void)t_api_put(api, pod);
	expect(SECRETS "/db", 200, "dg==");
	(void)t_api_delete(api, "pods", "p");
	expect(SECRETS "/db", 403, "no relationship found");
}
END_TEST

START_TEST(right_after_a_binding_the_first_requests_are_denied)
{
	(void)t_api_put_secret(api, "db", "k=v");
	t_api_authorize_node(api, "node-a", 2);
	expect(SECRETS "/db", 403, "no relationship found");
	(void)t_api_put_pod(api, "p", "node-a", "v=db");
	expect(SECRETS "/db", 403, "no relationship found");
	expect(ONE, 403, "no relationship found");
	expect(SECRETS "/db", 200, "dg==");
	expect(SECRETS "/db", 200, "dg==");
}
END_TEST

START_TEST(a_wrong_token_is_unauthorized_and_none_is_anonymous)
{
	autocall struct call wrong, right;

	t_api_require_token(api, "good");
	call(&wrong, "GET", SECRETS, NULL, "Authorization: Bearer bad");
	ck_assert_int_eq(wrong.status, 401);
	ck_assert_str_eq(wrong.body.ptr,
			 "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
			 "\"status\":\"Failure\",\"message\":\"Unauthorized\","
			 "\"reason\":\"Unauthorized\",\"code\":401}\n");
	call(&right, "GET", SECRETS, NULL, "Authorization: Bearer good");
	ck_assert_int_eq(right.status, 200);
	expect(SECRETS, 403, "User \\\"system:anonymous\\\" cannot list resource");
	expect("/version", 200, "v1.20.2");
}
END_TEST

/* ---- events -------------------------------------------------------------------------------- */

#define EVENT \
	"{\"kind\":\"Event\",\"metadata\":{\"name\":\"e1\"},\"reason\":\"FailedMount\",\"count\":1}"

START_TEST(an_event_is_posted_and_patched)
{
	autocall struct call post, again, patch, none;
	sv_autofree char *text = NULL;

	call(&post, "POST", EVENTS, EVENT, "Content-Type: application/json");
	ck_assert_int_eq(post.status, 201);
	t_contains(post.body.ptr, "\"resourceVersion\":\"96\"");
	t_contains(post.body.ptr, "\"eventTime\":null,\"reportingComponent\":\"\"");
	call(&again, "POST", EVENTS, EVENT, "Content-Type: application/json");
	ck_assert_int_eq(again.status, 409);
	t_contains(again.body.ptr, "events \\\"e1\\\" already exists");
	call(&patch, "PATCH", EVENTS "/e1",
	     "{\"count\":2,\"lastTimestamp\":\"2026-01-01T00:00:00Z\"}",
	     "Content-Type: application/strategic-merge-patch+json");
	ck_assert_int_eq(patch.status, 200);
	text = t_api_get(api, "events", "e1");
	t_contains(text, "\"count\":2");
	t_contains(text, "\"reason\":\"FailedMount\"");
	t_contains(text, "2026-01-01T00:00:00Z");
	call(&none, "PATCH", EVENTS "/e2", "{}", "Content-Type: application/merge-patch+json");
	ck_assert_int_eq(none.status, 404);
	ck_assert_uint_eq(t_api_n_objects(api, "events"), 1);
	ck_assert_uint_eq(t_api_count(api, "create", "events", NULL), 2);
}
END_TEST

static const struct {
	const char *method, *path, *body, *type;
	long status;
} bad_events[] = {
	{ "POST", EVENTS, "{bad", "application/json", 400 },
	{ "POST", EVENTS, "{}", "application/json", 422 },
	{ "POST", EVENTS, EVENT, "text/plain", 415 },
	{ "POST", "/api/v1/namespaces/x/events",
	  "{\"metadata\":{\"name\":\"e\",\"namespace\":\"y\"}}", "application/json", 400 },
	{ "PATCH", EVENTS "/e1", "{}", "application/json", 415 },
	{ "POST", SECRETS, "{}", "application/json", 405 },
};

START_TEST(a_bad_event_is_refused)
{
	sv_autofree char *type = sv_asprintf("Content-Type: %s", bad_events[_i].type);
	autocall struct call c;

	call(&c, bad_events[_i].method, bad_events[_i].path, bad_events[_i].body, type);
	ck_assert_int_eq(c.status, bad_events[_i].status);
	ck_assert_uint_eq(t_api_n_objects(api, "events"), 0);
}
END_TEST

/* ---- faults -------------------------------------------------------------------------------- */

static void fault(struct t_api_fault f)
{
	t_api_fault(api, &f);
}

static const struct {
	int status;
	const char *text;
} statuses[] = {
	{ 401, "\"reason\":\"Unauthorized\"" },
	{ 403, "no relationship found between node 'node' and this object" },
	{ 404, "secrets \\\"db\\\" not found" },
	{ 410, "\"reason\":\"Expired\"" },
	{ 429, "Too many requests, please try again later." },
	{ 500, "\"reason\":\"InternalError\"" },
	{ 503, "\"reason\":\"ServiceUnavailable\"" },
	{ 504, "ResourceVersionTooLarge" },
};

START_TEST(a_status_is_answered_as_often_as_it_was_queued)
{
	autocall struct call c;

	(void)t_api_put_secret(api, "db", "k=v");
	fault((struct t_api_fault){ .what = T_API_STATUS,
				    .status = statuses[_i].status,
				    .verb = "get",
				    .kind = "secrets",
				    .name = "db",
				    .skip = 1,
				    .times = 2,
				    .retry_after_s = 7 });
	expect(SECRETS, 200, "dg=="); /* another verb */
	expect(SECRETS "/db", 200, "dg==");
	get(&c, SECRETS "/db");
	ck_assert_int_eq(c.status, statuses[_i].status);
	t_contains(c.body.ptr, statuses[_i].text);
	t_contains(c.head.ptr, "Retry-After: 7\r\n");
	ck_assert_uint_eq(t_api_n_faults(api), 1);
	expect(SECRETS "/db", statuses[_i].status, statuses[_i].text);
	ck_assert_uint_eq(t_api_n_faults(api), 0);
	expect(SECRETS "/db", 200, "dg==");
}
END_TEST

static const struct {
	struct t_api_fault f;
	CURLcode result;
	const char *body; /* a part of it; NULL: there is none */
} unary[] = {
	{ { .what = T_API_CUT }, CURLE_GOT_NOTHING, NULL },
	{ { .what = T_API_CUT, .how = T_API_RST }, CURLE_RECV_ERROR, NULL },
	{ { .what = T_API_LOSE }, CURLE_GOT_NOTHING, NULL },
	{ { .what = T_API_CUT_AFTER, .bytes = 9 }, CURLE_PARTIAL_FILE, "{\"kind\":" },
	{ { .what = T_API_GARBAGE }, CURLE_OK, "<html>" },
	{ { .what = T_API_GARBAGE, .body = "[" }, CURLE_OK, "[" },
	{ { .what = T_API_HALF }, CURLE_OK, "{\"kind\":" },
	{ { .what = T_API_RAW, .body = "HTTP/1.1 200 OK\r\n\r\nto the end" },
	  CURLE_OK,
	  "to the end" },
	{ { .what = T_API_DRIP, .bytes = 50, .every_ms = 1 }, CURLE_OK, "dg==" },
	{ { .what = T_API_LATE, .every_ms = 2 }, CURLE_OK, "dg==" },
	{ { .what = T_API_TWICE }, CURLE_OK, "dg==" }, /* one for watches: the usual answer */
};

START_TEST(an_answer_suffers_from_its_fault)
{
	autocall struct call c;

	(void)t_api_put_secret(api, "db", "k=v");
	fault(unary[_i].f);
	get(&c, SECRETS "/db");
	ck_assert_int_eq(c.result, unary[_i].result);
	if (unary[_i].body)
		t_contains(c.body.ptr, unary[_i].body);
	else
		ck_assert_uint_eq(c.body.len, 0);
	if (unary[_i].f.what == T_API_HALF || unary[_i].f.what == T_API_CUT_AFTER)
		ck_assert_ptr_null(strstr(c.body.ptr, "}\n"));
	expect(SECRETS "/db", 200, "dg=="); /* once */
}
END_TEST

START_TEST(an_answer_that_hangs_stays_out)
{
	autocall struct call c;

	fault((struct t_api_fault){ .what = _i ? T_API_HANG_BODY : T_API_HANG });
	start_call(&c, "GET", SECRETS, NULL, NULL);
	while (t_api_n_requests(api) == 0)
		step();
	for (int i = 0; i < 10; i++)
		step();
	ck_assert(!c.done);
	ck_assert_int_eq(c.head.len > 0, _i);
	ck_assert_uint_eq(c.body.len, 0);
}
END_TEST

START_TEST(a_big_object_is_big)
{
	autocall struct call c;

	(void)t_api_put_secret(api, "db", "k=v");
	fault((struct t_api_fault){ .what = T_API_BIG, .bytes = 5000000 });
	get(&c, SECRETS "/db");
	ck_assert_uint_gt(c.body.len, 5000000);
	json_object_put(tree_of(&c));
	(void)t_api_put_big_secret(api, "db", 1000000);
	expect(SECRETS "/db", 200, "eHh4");
}
END_TEST

START_TEST(a_redirect_leads_elsewhere)
{
	autocall struct call c;

	fault((struct t_api_fault){ .what = T_API_REDIRECT, .body = "http://127.0.0.1:1/x" });
	get(&c, SECRETS);
	ck_assert_int_eq(c.status, 302);
	t_contains(c.head.ptr, "Location: http://127.0.0.1:1/x\r\n");
}
END_TEST

START_TEST(a_lost_answer_was_acted_upon)
{
	autocall struct call cut, lost;

	fault((struct t_api_fault){ .what = T_API_CUT, .verb = "create" });
	fault((struct t_api_fault){ .what = T_API_LOSE, .verb = "create" });
	call(&cut, "POST", EVENTS, EVENT, "Content-Type: application/json");
	ck_assert_int_eq(cut.result, CURLE_GOT_NOTHING);
	ck_assert_uint_eq(t_api_n_objects(api, "events"), 0);
	call(&lost, "POST", EVENTS, EVENT, "Content-Type: application/json");
	ck_assert_int_eq(lost.result, CURLE_GOT_NOTHING);
	ck_assert_uint_eq(t_api_n_objects(api, "events"), 1);
}
END_TEST

static const struct {
	struct t_api_fault f;
	CURLcode result;
	const char *told;
} streams[] = {
	{ { .what = T_API_TWICE },
	  CURLE_OK,
	  "ADDED db@96 ADDED db@96 DELETED db@97 DELETED db@97" },
	{ { .what = T_API_REORDER }, CURLE_OK, "DELETED db@97 ADDED db@96" },
	{ { .what = T_API_UNKNOWN }, CURLE_OK, "EXPLODED @(null) ADDED db@96 DELETED db@97" },
	{ { .what = T_API_GARBAGE, .body = "{\n" }, CURLE_OK, "ADDED db@96 DELETED db@97" },
	{ { .what = T_API_ERROR, .status = 500 }, CURLE_OK, "ERROR @(null)" },
	{ { .what = T_API_HALF }, CURLE_OK, "" },
	{ { .what = T_API_CUT_AFTER, .bytes = 20 }, CURLE_PARTIAL_FILE, "" },
	{ { .what = T_API_CUT_AFTER }, CURLE_PARTIAL_FILE, "" },
	{ { .what = T_API_LOSE }, CURLE_GOT_NOTHING, "" },
};

START_TEST(a_watch_suffers_from_its_fault)
{
	autocall struct call c;

	fault(streams[_i].f);
	start_call(&c, "GET", SECRETS "?watch=true&resourceVersion=95", NULL, NULL);
	while (t_api_n_requests(api) == 0)
		step();
	(void)t_api_put_secret(api, "db", "k=v");
	(void)t_api_delete(api, "secrets", "db");
	t_api_watch_end(api, "secrets", NULL);
	finish_call(&c);
	ck_assert_int_eq(c.result, streams[_i].result);
	expect_told(&c, streams[_i].told[0] ? streams[_i].told : "");
	if (streams[_i].f.what == T_API_HALF || streams[_i].f.bytes > 0)
		ck_assert_uint_gt(c.body.len, 0);
	ck_assert_uint_eq(t_api_n_watches(api), 0);
}
END_TEST

START_TEST(a_watch_that_hangs_has_a_header_and_no_events)
{
	autocall struct call c;

	fault((struct t_api_fault){ .what = T_API_HANG_BODY });
	start_watch(&c, SECRETS "?watch=true&resourceVersion=95&timeoutSeconds=1");
	(void)t_api_put_secret(api, "db", "k=v");
	while (c.head.len == 0)
		step();
	for (int i = 0; i < 10; i++)
		step();
	ck_assert_uint_eq(c.body.len, 0);
	ck_assert(!c.done);
}
END_TEST

START_TEST(faults_have_names)
{
	enum t_api_what what;

	ck_assert(t_api_what("cut_after", &what));
	ck_assert_int_eq(what, T_API_CUT_AFTER);
	ck_assert(t_api_what("raw", &what));
	ck_assert_int_eq(what, T_API_RAW);
	ck_assert(!t_api_what("nothing", &what));
}
END_TEST

/* ---- many ---------------------------------------------------------------------------------- */

enum { N_WATCHES = 1000, N_CHANGES = 10000 };

START_TEST(a_thousand_watches_hear_ten_thousand_changes)
{
	static struct call c[N_WATCHES];
	uint64_t last = 0;
	char text[160];

	for (int i = 0; i < N_WATCHES; i++) {
		(void)snprintf(text, sizeof(text),
			       SECRETS "?watch=true&resourceVersion=95&fieldSelector="
				       "metadata.name%%3Ds%d",
			       i);
		start_call(&c[i], "GET", text, NULL, NULL);
	}
	open_watches(N_WATCHES);
	ck_assert_uint_eq(t_api_n_connections(api), N_WATCHES);
	for (int i = 0; i < N_CHANGES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%d", i % N_WATCHES);
		(void)snprintf(text, sizeof(text), "k=%d", i);
		last = t_api_put_secret(api, name, text);
		if (i % 1000 == 0)
			step();
	}
	ck_assert_uint_eq(last, 95 + N_CHANGES);
	for (int i = 0; i < N_WATCHES; i++) {
		size_t lines = 0;

		(void)snprintf(text, sizeof(text), "\"resourceVersion\":\"%d\"",
			       95 + N_CHANGES - N_WATCHES + 1 + i);
		await_text(&c[i], text);
		for (const char *p = c[i].body.ptr; *p; p++)
			lines += *p == '\n';
		ck_assert_uint_eq(lines, N_CHANGES / N_WATCHES);
		end_call(&c[i]);
	}
}
END_TEST

T_SUITE(apiserver)
{
	T_AROUND(setup, teardown);
	T_TEST(a_request_is_logged_with_all_its_parts);
	T_EACH(a_request_is_understood_as_the_api_has_it, forms);
	T_TEST(a_connection_serves_many_requests);
	T_TEST(a_handler_answers_piece_by_piece);
	tcase_add_loop_test(t, a_handler_cuts_an_answer_in_the_middle, 0, 2);
	T_TEST(a_handler_drips);
	T_TEST(a_client_that_goes_ends_its_request);
	T_TEST(what_is_not_http_is_refused);
	T_TEST(a_server_that_is_down_refuses_and_comes_back_on_its_port);
	T_TEST(a_deaf_server_lets_clients_wait);
	T_EACH(a_list_is_what_etcd_or_the_watch_cache_has, lists);
	T_EACH(what_cannot_be_answered_is_refused_in_the_words_of_the_real_one, refusals);
	T_TEST(pages_show_one_version);
	T_TEST(an_expired_continue_token_can_be_exchanged_for_an_inconsistent_rest);
	T_TEST(the_last_page_of_a_selection_may_be_empty);
	T_TEST(an_exact_list_of_a_compacted_version_is_gone);
	T_TEST(an_object_is_completed_as_the_real_one_does);
	T_TEST(an_update_that_changes_nothing_makes_no_version);
	T_TEST(a_watch_tells_what_happens_after_its_version);
	tcase_add_loop_test(t, a_watch_from_nowhere_begins_with_what_there_is, 0, 2);
	T_TEST(a_pod_enters_and_leaves_the_selection_of_its_node);
	T_TEST(a_pod_that_is_made_anew_under_its_name_is_deleted_first);
	T_TEST(a_watch_from_a_compacted_version_gets_an_error_event);
	T_TEST(a_watch_from_the_future_is_silent_until_it_is_passed);
	T_TEST(a_watch_ends_at_its_time);
	T_TEST(bookmarks_go_to_those_that_allow_them);
	T_TEST(open_watches_can_be_sent_anything_and_ended_in_any_way);
	T_TEST(a_restored_world_is_older_and_goes_on_from_there);
	T_EACH(a_node_may_not_read_what_no_pod_of_its_names, forbidden);
	T_EACH(a_node_may_read_what_a_pod_of_its_names, references);
	T_TEST(right_after_a_binding_the_first_requests_are_denied);
	T_TEST(a_wrong_token_is_unauthorized_and_none_is_anonymous);
	T_TEST(an_event_is_posted_and_patched);
	T_EACH(a_bad_event_is_refused, bad_events);
	T_EACH(a_status_is_answered_as_often_as_it_was_queued, statuses);
	T_EACH(an_answer_suffers_from_its_fault, unary);
	tcase_add_loop_test(t, an_answer_that_hangs_stays_out, 0, 2);
	T_TEST(a_big_object_is_big);
	T_TEST(a_redirect_leads_elsewhere);
	T_TEST(a_lost_answer_was_acted_upon);
	T_EACH(a_watch_suffers_from_its_fault, streams);
	T_TEST(a_watch_that_hangs_has_a_header_and_no_events);
	T_TEST(faults_have_names);
	T_TEST(a_thousand_watches_hear_ten_thousand_changes);
}
