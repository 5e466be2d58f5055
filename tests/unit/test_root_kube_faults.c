/* SPDX-License-Identifier: Apache-2.0 */
/* The Kubernetes source on bad days: what a server can do wrong, and what must not come of it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../daemon/log.h"
#include "kube_place.h"

#define N_SEEDS 24
#define BIG (5 << 20)
/* With _i 0, then 1. */
#define T_TWICE(test) tcase_add_loop_test(t, test, 0, 2)

static const struct k_opts by_namespace = { .by_namespace = true };

static size_t lists(const char *kind, const char *name)
{
	return t_api_count(k_api, "list", kind, name);
}

static size_t watches(const char *kind, const char *name)
{
	return t_api_count(k_api, "watch", kind, name);
}

static size_t probes(void)
{
	return t_api_count(k_api, NULL, "version", NULL);
}

static void fault(struct t_api_fault f)
{
	t_api_fault(k_api, &f);
}

#define FAULT(...) fault((struct t_api_fault){ __VA_ARGS__ })

/* Two Secrets, a Pod with both, mounted and watched. */
static void start_with_web(const struct k_opts *opts)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(opts);
	k_until(k_has("web/a", "Published") && k_has("web/b", "Published") &&
		t_api_n_watches(k_api) == (opts && opts->by_namespace ? 2 : 3));
	t_api_clear_log(k_api);
}

/* What is there is what the server has, nothing is complained of, and changes arrive. */
static void is_well_after(size_t removals)
{
	k_until(k_is_up() && k_problems() == 0 && t_api_n_watches(k_api) >= 2);
	t_api_put_secret(k_api, "db", "k=last");
	t_api_put_secret(k_api, "tls", "k=last");
	k_until(k_holds("web/a/k", "last") && k_holds("web/b/k", "last"));
	k_until(k_has("web/a", "Published") && k_has("web/b", "Published"));
	ck_assert_uint_eq(k_removals(), removals);
	ck_assert_uint_eq(k_problems(), 0);
}

static void is_well(void)
{
	is_well_after(0);
}

/* ---- one bad answer ------------------------------------------------------------------------ */

static const struct t_api_fault bad[] = {
	{ .what = T_API_CUT, .how = T_API_FIN },
	{ .what = T_API_CUT, .how = T_API_RST },
	{ .what = T_API_LOSE, .how = T_API_FIN },
	{ .what = T_API_LOSE, .how = T_API_RST },
	{ .what = T_API_CUT_AFTER, .bytes = 70, .how = T_API_FIN },
	{ .what = T_API_CUT_AFTER, .bytes = 70, .how = T_API_RST },
	{ .what = T_API_CUT_AFTER, .bytes = 0, .how = T_API_RST },
	{ .what = T_API_HALF },
	{ .what = T_API_GARBAGE },
	{ .what = T_API_GARBAGE, .body = "{}" },
	{ .what = T_API_GARBAGE, .body = "null" },
	{ .what = T_API_GARBAGE, .body = "{\"type\":\"ADDED\",\"object\":{}}\n" },
	{ .what = T_API_GARBAGE,
	  .body = "{\"kind\":\"SecretList\",\"metadata\":{},\"items\":[7]}" },
	{ .what = T_API_GARBAGE, .body = "" },
	{ .what = T_API_RAW, .body = "SSH-2.0-OpenSSH_9.2\r\n" },
	{ .what = T_API_RAW, .body = "HTTP/1.1 200 OK\r\n" },
	{ .what = T_API_RAW,
	  .body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" },
	{ .what = T_API_RAW, .body = "HTTP/1.1 204 No Content\r\n\r\n" },
	{ .what = T_API_HANG },
	{ .what = T_API_HANG_BODY },
	{ .what = T_API_STATUS, .status = 400 },
	{ .what = T_API_STATUS, .status = 401 },
	{ .what = T_API_STATUS, .status = 403 },
	{ .what = T_API_STATUS, .status = 404 },
	{ .what = T_API_STATUS, .status = 410 },
	{ .what = T_API_STATUS, .status = 429, .retry_after_s = 3 },
	{ .what = T_API_STATUS, .status = 500 },
	{ .what = T_API_STATUS, .status = 503, .body = "<html>" },
	{ .what = T_API_STATUS, .status = 504 },
	{ .what = T_API_REDIRECT, .body = "http://127.0.0.1:1/" },
	{ .what = T_API_ERROR, .status = 410 },
	{ .what = T_API_ERROR, .status = 500 },
	{ .what = T_API_ERROR, .body = "{}" },
	{ .what = T_API_TWICE },
	{ .what = T_API_REORDER },
	{ .what = T_API_UNKNOWN },
	{ .what = T_API_DRIP, .bytes = 1, .every_ms = 1 },
	{ .what = T_API_LATE, .every_ms = 14 * K_SECOND },
};

/* @skip: so many of them pass first. */
static void meets(const char *verb, const char *kind, unsigned times, const struct k_opts *opts,
		  int i)
{
	struct t_api_fault f = bad[i];

	f.verb = verb;
	f.kind = kind;
	f.times = times;
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	t_api_fault(k_api, &f);
	k_start(opts);
	/* a list that stops in its middle is waited for for two minutes */
	k_until(k_mounts() == 2 && t_api_n_faults(k_api) == 0);
	k_pass(10 * K_SECOND);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_put_secret(k_api, "db", "k=3");
	/* a watch that says nothing is not known from one that has nothing to say, until it ends */
	k_until(k_holds("web/a/k", "3"));
	is_well();
	ck_assert_uint_le(lists("pods", NULL), 4 * times + 2);
	ck_assert_uint_le(t_api_n_requests(k_api), 30 * times + 20);
}

START_TEST(a_bad_answer_to_the_list_of_pods_is_got_over)
{
	meets("list", "pods", 1, NULL, _i);
}
END_TEST

START_TEST(a_bad_answer_to_the_watch_of_pods_is_got_over)
{
	meets("watch", "pods", 1, NULL, _i);
}
END_TEST

START_TEST(a_bad_answer_to_the_list_of_a_secret_is_got_over)
{
	meets("list", "secrets", 1, NULL, _i);
}
END_TEST

START_TEST(a_bad_answer_to_the_watch_of_a_secret_is_got_over)
{
	meets("watch", "secrets", 1, NULL, _i);
}
END_TEST

START_TEST(bad_answers_in_a_row_are_got_over)
{
	meets(NULL, NULL, 6, NULL, _i);
}
END_TEST

START_TEST(bad_answers_are_got_over_by_namespace)
{
	meets(NULL, "secrets", 4, &by_namespace, _i);
}
END_TEST

/* The same, to a daemon that is at work. */
START_TEST(bad_answers_harm_nothing_that_is_mounted)
{
	struct t_api_fault f = bad[_i];

	f.forever = true;
	start_with_web(NULL);
	t_api_fault(k_api, &f);
	t_api_cut_all(k_api, T_API_RST);
	k_pass(6 * K_MINUTE);
	ck_assert_uint_eq(k_mounts(), 2);
	ck_assert_str_eq(k_file("web/a/k"), "1");
	ck_assert_uint_eq(k_removals(), 0);
	ck_assert_uint_le(t_api_n_requests(k_api), 250); /* of three watches */
	t_api_clear_faults(k_api);
	is_well();
}
END_TEST

/* ---- outages ------------------------------------------------------------------------------- */

START_TEST(an_outage_is_told_once_and_is_over_when_it_is_over)
{
	start_with_web(NULL);
	t_api_down(k_api);
	k_until(!k_is_up());
	t_api_clear_log(k_api);
	k_pass(30 * K_MINUTE);
	t_contains(k_problem("", ""), "SourceUnavailable: ");
	ck_assert_uint_eq(k_problems(), 1);
	ck_assert_str_eq(k_state("web/a"), "Published");
	ck_assert_uint_eq(k_mounts(), 2);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_up(k_api);
	k_until(k_holds("web/a/k", "2"));
	k_pass(10 * K_SECOND);
	ck_assert_uint_eq(lists("pods", NULL), 1);
	ck_assert_uint_eq(lists("secrets", NULL), 1); /* is it the server of before? */
	ck_assert_uint_eq(watches("pods", NULL), 1);
	ck_assert_uint_eq(watches("secrets", NULL), 2);
	is_well();
}
END_TEST

START_TEST(a_server_that_cuts_every_connection_is_asked_now_and_then)
{
	uint64_t at = 0;
	size_t i;

	start_with_web(NULL);
	FAULT(.what = T_API_CUT, .how = T_API_RST, .forever = true);
	t_api_cut_all(k_api, T_API_RST);
	k_until(!k_is_up());
	k_pass(K_MINUTE);
	t_api_clear_log(k_api);
	k_pass(10 * K_MINUTE);
	ck_assert_uint_ge(t_api_n_requests(k_api), 50);
	ck_assert_uint_le(t_api_n_requests(k_api), 90);
	ck_assert_uint_eq(probes(), t_api_n_requests(k_api));
	for (i = 0; i < t_api_n_requests(k_api); i++) {
		const struct t_api_req *req = t_api_request(k_api, i);

		ck_assert_uint_ge(req->at_ns - at, (uint64_t)(i ? 5 : 0) * 1000000000);
		at = req->at_ns;
	}
	t_api_clear_faults(k_api);
	is_well();
}
END_TEST

/* Lines about it, at the default level. */
START_TEST(an_outage_does_not_fill_the_log)
{
	int saved = dup(STDERR_FILENO);
	int fd = openat(t_dirfd, "log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	sv_autofree char *text = NULL;
	size_t n = 0;
	const char *p;

	start_with_web(NULL);
	sv_log_init(SV_LOG_INFO, SV_LOG_TEXT);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	t_api_down(k_api);
	k_pass(30 * K_MINUTE);
	dup2(saved, STDERR_FILENO);
	sv_log_init(SV_LOG_ERROR, SV_LOG_TEXT);
	close(saved);
	close(fd);
	text = t_read(t_dirfd, "log");
	for (p = text; (p = strchr(p, '\n')); p++)
		n++;
	ck_assert_msg(n == 1, "%zu lines: %s", n, text);
	t_contains(text, "last good volumes stay");
	t_contains(text, "Couldn't connect to server");
}
END_TEST

START_TEST(what_changed_during_an_outage_is_seen_after_it)
{
	start_with_web(NULL);
	t_api_put_pod(k_api, "two", K_NODE, "v=db");
	k_until(k_has("two/v", "Published"));
	t_api_down(k_api);
	k_until(!k_is_up());
	t_api_delete(k_api, "pods", "two");
	t_api_put_pod(k_api, "three", K_NODE, "v=new");
	t_api_put_secret(k_api, "new", "k=3");
	t_api_delete(k_api, "secrets", "tls");
	if (_i)
		t_api_compact(k_api, 0); /* no watch can go on where it was */
	t_api_up(k_api);
	k_until(k_holds("three/v/k", "3") && k_has("web/b", "Stale SecretNotFound") &&
		!*k_state("two/v"));
	ck_assert_uint_le(lists("pods", NULL), 2);
	ck_assert_uint_eq(k_mounts(), 3);
	ck_assert_str_eq(k_file("web/b/k"), "1");
	is_well_after(1);
}
END_TEST

START_TEST(pods_wait_for_a_server_that_is_away_and_say_so)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	FAULT(.what = T_API_CUT, .kind = "secrets", .forever = true);
	k_start(NULL);
	k_until(k_has("web/a", "Refused SourceUnavailable") ||
		k_has("web/a", "Pending SourceUnavailable"));
	ck_assert_uint_eq(k_mounts(), 0);
	t_api_clear_faults(k_api);
	is_well();
}
END_TEST

START_TEST(a_server_that_does_not_answer_is_given_up_and_found_again)
{
	start_with_web(NULL);
	FAULT(.what = T_API_HANG, .forever = true);
	t_api_cut_all(k_api, T_API_FIN);
	k_until(!k_is_up());
	t_contains(k_problem("", ""), "does not answer");
	k_pass(10 * K_MINUTE);
	ck_assert_uint_le(t_api_n_requests(k_api), 60);
	t_api_clear_faults(k_api);
	is_well();
}
END_TEST

START_TEST(a_server_that_accepts_no_connection_is_given_up_and_found_again)
{
	start_with_web(NULL);
	t_api_deaf(k_api, true);
	t_api_cut_all(k_api, T_API_RST);
	k_until(!k_is_up());
	k_pass(10 * K_MINUTE);
	ck_assert_uint_eq(k_mounts(), 2);
	t_api_deaf(k_api, false);
	is_well();
}
END_TEST

/* The connections stand, and nothing comes any more: as when a firewall has forgotten them. */
START_TEST(silence_is_noticed_by_asking)
{
	int64_t began;

	start_with_web(NULL);
	FAULT(.what = T_API_HANG, .forever = true);
	began = k_now_ms();
	k_until(!k_is_up());
	ck_assert_int_ge(k_now_ms() - began, 30 * K_SECOND);
	ck_assert_int_le(k_now_ms() - began, 75 * K_SECOND);
	ck_assert_uint_eq(k_mounts(), 2);
	t_api_clear_faults(k_api);
	is_well();
	ck_assert_uint_eq(lists("pods", NULL), 1);
}
END_TEST

/* Answers of old never come; new ones do. */
START_TEST(what_fell_silent_is_asked_for_anew)
{
	int64_t began;

	FAULT(.what = T_API_HANG_BODY, .verb = "watch", .times = 3);
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(NULL);
	k_until(k_mounts() == 2 && t_api_n_faults(k_api) == 0);
	k_quiet();
	FAULT(.what = T_API_HANG, .forever = true);
	began = k_now_ms();
	k_until(!k_is_up());
	t_api_clear_faults(k_api);
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/a/k", "2"));
	ck_assert_int_le(k_now_ms() - began, 2 * K_MINUTE); /* and not when the watch is over */
	is_well();
}
END_TEST

START_TEST(what_fell_silent_while_the_server_did_not_know_us_is_asked_for_anew)
{
	FAULT(.what = T_API_HANG_BODY, .verb = "watch", .kind = "secrets", .times = 2);
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_token("ours");
	k_start(NULL);
	k_until(k_mounts() == 2 && t_api_n_faults(k_api) == 0);
	k_quiet();
	t_api_require_token(k_api, "another");
	t_api_watch_end(k_api, "pods", NULL);
	k_until(!k_is_up());
	FAULT(.what = T_API_HANG, .forever = true);
	k_pass(2 * K_MINUTE);
	t_api_clear_faults(k_api);
	t_api_require_token(k_api, NULL);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_put_secret(k_api, "tls", "k=2");
	k_pass(K_MINUTE); /* and not when the watches are over */
	ck_assert(k_holds("web/a/k", "2") && k_holds("web/b/k", "2"));
	is_well();
}
END_TEST

START_TEST(a_server_that_has_nothing_to_say_is_left_alone)
{
	start_with_web(NULL);
	k_pass(4 * K_MINUTE);
	ck_assert(k_is_up());
	ck_assert_uint_eq(watches(NULL, NULL), 3); /* the log has those that were open */
	ck_assert_uint_le(probes(), 9);
	ck_assert_uint_ge(probes(), 7);
}
END_TEST

START_TEST(a_list_that_stops_in_its_middle_is_given_up)
{
	start_with_web(NULL);
	FAULT(.what = T_API_HANG_BODY, .verb = "list", .kind = "pods");
	k_source->reload(k_source);
	k_until(lists("pods", NULL) == 2);
	is_well();
}
END_TEST

START_TEST(a_server_that_flaps_is_followed)
{
	int i;

	start_with_web(NULL);
	for (i = 0; i < 30; i++) {
		sv_autofree char *keys = sv_asprintf("k=%d", i);

		t_api_cut_all(k_api, i % 2 ? T_API_RST : T_API_FIN);
		if (i % 3 == 0)
			t_api_down(k_api);
		t_api_put_secret(k_api, "db", keys);
		k_pass(i * 137);
		t_api_up(k_api);
		k_pass(i * 59);
	}
	is_well();
	/* after three cuts in a row; and one a cut tells whether it is the server of before */
	ck_assert_uint_le(lists("secrets", NULL), 20 + 30);
}
END_TEST

START_TEST(a_server_is_not_met_by_hundreds_at_once)
{
	sv_autobuf struct sv_buf volumes = { 0 };
	size_t i, open = 0;

	for (i = 0; i < 200; i++) {
		sv_autofree char *name = sv_asprintf("s%zu", i);

		t_api_put_secret(k_api, name, "k=1");
		sv_buf_printf(&volumes, "%sv%zu=%s", i ? " " : "", i, name);
	}
	t_api_put_pod(k_api, "web", K_NODE, volumes.ptr);
	FAULT(.what = T_API_LATE, .every_ms = 5 * K_SECOND, .kind = "secrets", .forever = true);
	k_start(NULL);
	k_until(lists("secrets", NULL) > 0);
	k_pass(2 * K_SECOND);
	for (i = 0; i < t_api_n_requests(k_api); i++)
		open += !t_api_request(k_api, i)->ended &&
			strcmp(t_api_request(k_api, i)->verb, "watch") != 0;
	ck_assert_uint_eq(open, 64);
	k_until(k_mounts() == 200);
	ck_assert(k_is_up());
	t_api_clear_faults(k_api);
	k_until(t_api_n_watches(k_api) == 201);
	ck_assert_uint_eq(lists("secrets", NULL), 200);
}
END_TEST

/* ---- credentials --------------------------------------------------------------------------- */

START_TEST(a_token_that_was_replaced_is_read_again)
{
	size_t i;

	k_token("first");
	t_api_require_token(k_api, "first");
	start_with_web(NULL);
	for (i = 0; i < 20; i++) {
		sv_autofree char *secret = sv_asprintf("s%zu", i),
				 *volume = sv_asprintf("v=s%zu", i);

		t_api_put_secret(k_api, secret, "k=1");
		t_api_put_pod(k_api, secret, K_NODE, volume);
	}
	k_until(k_mounts() == 22 && t_api_n_watches(k_api) == 23);
	t_api_clear_log(k_api);
	k_token("second");
	t_api_require_token(k_api, "second");
	t_api_cut_all(k_api, T_API_FIN);
	k_until(t_api_n_watches(k_api) == 23);
	is_well();
	ck_assert_uint_le(lists("pods", NULL), 2);
	ck_assert_str_eq(t_api_header(t_api_last(k_api), "authorization"), "Bearer second");
}
END_TEST

/* The file is replaced while three requests are under way. */
static bool refuse_first(void *arg, struct t_api_req *req)
{
	static struct t_api_req *held[3];
	unsigned *n = arg, i;
	const char *token = t_api_header(req, "authorization");

	if (!token || strcmp(token, "Bearer first") != 0)
		return false;
	ck_assert_uint_lt(*n, 3);
	held[(*n)++] = req;
	if (*n < 3)
		return true;
	k_token("second");
	for (i = 0; i < 3; i++)
		t_api_reply(held[i], 401, NULL, "{}", 2);
	return true;
}

START_TEST(a_refused_token_is_no_outage_if_there_is_a_new_one)
{
	unsigned n = 0;

	k_token("first");
	start_with_web(NULL);
	t_api_handle(k_api, refuse_first, &n);
	t_api_watch_end(k_api, "pods", NULL);
	t_api_watch_end(k_api, "secrets", "db");
	t_api_watch_end(k_api, "secrets", "tls");
	k_until(t_api_n_watches(k_api) == 3);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(probes(), 0);
	is_well();
}
END_TEST

START_TEST(without_a_good_token_last_good_volumes_stay_until_there_is_one)
{
	k_token("first");
	t_api_require_token(k_api, "first");
	start_with_web(NULL);
	t_api_require_token(k_api, "second");
	t_api_cut_all(k_api, T_API_FIN);
	k_until(!k_is_up());
	k_pass(20 * K_MINUTE);
	t_contains(k_problem("", ""), "401");
	ck_assert_uint_eq(k_mounts(), 2);
	ck_assert_uint_le(t_api_n_requests(k_api), 200);
	k_token("second");
	is_well();
}
END_TEST

START_TEST(a_token_file_that_is_missing_is_told_of_and_the_old_one_is_used)
{
	k_token("first");
	t_api_require_token(k_api, "first");
	start_with_web(NULL);
	ck_assert_int_eq(unlinkat(t_dirfd, "token", 0), 0);
	t_api_cut_all(k_api, T_API_FIN);
	k_until(t_api_n_watches(k_api) == 3);
	k_pass(K_MINUTE);
	t_contains(k_problem("", ""), "token");
	ck_assert(k_is_up());
	k_token("first");
	is_well();
}
END_TEST

START_TEST(a_server_that_wants_credentials_where_there_are_none_says_so)
{
	t_api_require_token(k_api, "first");
	k_start(NULL);
	k_until(k_problems() > 0);
	t_contains(k_problem("Pod", ""), "Forbidden: ");
	k_token("first");
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	is_well();
}
END_TEST

/* ---- rights -------------------------------------------------------------------------------- */

START_TEST(a_denial_right_after_binding_is_nobodys_business)
{
	t_api_authorize_node(k_api, K_NODE, 2);
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(NULL);
	while (k_mounts() < 2) {
		ck_assert_uint_eq(k_problems(), 0);
		ck_assert(!k_has("web/a", "Refused") && !k_has("web/b", "Refused"));
		k_step(K_SECOND, NULL);
	}
	is_well();
}
END_TEST

START_TEST(a_secret_that_may_not_be_read_harms_no_other)
{
	FAULT(.what = T_API_STATUS, .status = 403, .name = "db", .forever = true);
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(NULL);
	k_until(k_has("web/a", "Refused Forbidden") && k_has("web/b", "Published"));
	t_contains(k_problem("Secret", "db"), "Forbidden: ");
	k_pass(20 * K_MINUTE);
	ck_assert_uint_le(t_api_count(k_api, NULL, "secrets", "db"), 90);
	ck_assert_uint_eq(k_problems(), 1);
	ck_assert(k_is_up());
	t_api_clear_faults(k_api);
	is_well();
}
END_TEST

START_TEST(a_secret_that_may_no_longer_be_read_is_read_again_when_it_may)
{
	start_with_web(NULL);
	FAULT(.what = T_API_STATUS, .status = 403, .name = "db", .forever = true);
	t_api_watch_end(k_api, "secrets", "db");
	k_until(*k_problem("Secret", "db"));
	k_pass(K_MINUTE);
	ck_assert_str_eq(k_file("web/a/k"), "1");
	ck_assert_str_eq(k_state("web/b"), "Published");
	t_api_clear_faults(k_api);
	k_until(k_problems() == 0); /* without a change of it */
	k_until(k_has("web/a", "Published"));
	is_well();
}
END_TEST

START_TEST(by_namespace_a_namespace_that_may_not_be_read_harms_no_other)
{
	t_api_put_secret(k_api, "prod/db", "k=1");
	t_api_put_pod(k_api, "prod/web", K_NODE, "v=db");
	start_with_web(&by_namespace);
	k_until(k_has("prod/web/v", "Published") && t_api_n_watches(k_api) == 3);
	FAULT(.what = T_API_STATUS, .status = 403, .verb = "watch", .kind = "secrets", .times = 6);
	FAULT(.what = T_API_STATUS, .status = 403, .verb = "list", .kind = "secrets", .times = 6);
	t_api_watch_end(k_api, "secrets", "prod/db");
	k_until(*k_problem("Secret", "db"));
	ck_assert_str_eq(k_state("web/a"), "Published");
	ck_assert_str_eq(k_file("prod/web/v/k"), "1");
	t_api_clear_faults(k_api);
	k_until(k_problems() == 0);
	t_api_put_secret(k_api, "prod/db", "k=2");
	k_until(k_holds("prod/web/v/k", "2"));
	is_well();
}
END_TEST

START_TEST(by_namespace_a_secret_of_a_list_of_its_own_is_read_again_when_it_may)
{
	start_with_web(&by_namespace);
	t_api_put_secret(k_api, "late", "k=1");
	t_api_put_pod(k_api, "two", K_NODE, "v=late");
	k_until(k_holds("two/v/k", "1") && lists("secrets", "late") == 1);
	FAULT(.what = T_API_STATUS, .status = 403, .kind = "secrets", .forever = true);
	t_api_watch_cut(k_api, "secrets", NULL, T_API_RST);
	k_until(k_has("two/v", "Stale Forbidden"));
	t_api_clear_faults(k_api);
	k_until(k_has("two/v", "Published") && k_problems() == 0);
}
END_TEST

START_TEST(pods_that_may_not_be_read_are_told_of_and_stay)
{
	start_with_web(NULL);
	FAULT(.what = T_API_STATUS, .status = 403, .kind = "pods", .forever = true);
	t_api_watch_end(k_api, "pods", NULL);
	k_until(*k_problem("Pod", ""));
	t_contains(k_problem("Pod", ""), "Forbidden: ");
	k_pass(10 * K_MINUTE);
	ck_assert_uint_eq(k_mounts(), 2);
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/a/k", "2")); /* Secrets go on */
	t_api_clear_faults(k_api);
	k_until(k_problems() == 0);
	is_well();
}
END_TEST

/* The Event of the namespace that is denied finds out when it is not any more. */
START_TEST(a_namespace_that_takes_no_events_is_named_until_it_does)
{
	const struct k_opts opts = { .events = true };

	FAULT(.what = T_API_STATUS, .kind = "events", .status = 403);
	t_api_put_pod(k_api, "shop/web", K_NODE, "a=db");
	k_start(&opts);
	k_until(*k_problem("Event", ""));
	t_contains(k_problem("Event", ""), "in namespace \"shop\": the right to create");
	t_api_put_pod(k_api, "team/web", K_NODE, "a=db");
	k_until(t_api_n_objects(k_api, "events") == 1);
	t_contains(k_problem("Event", ""), "in namespace \"shop\":");
	FAULT(.what = T_API_STATUS, .kind = "events", .status = 403);
	t_api_put_pod(k_api, "team/other", K_NODE, "a=none");
	k_until(t_api_n_faults(k_api) == 0);
	k_quiet();
	t_contains(k_problem("Event", ""), "in namespace \"shop\" (and 1 more):");
	k_until(!*k_problem("Event", ""));
	ck_assert_uint_ge(t_api_n_objects(k_api, "events"), 2);
}
END_TEST

START_TEST(a_complaint_about_the_watch_of_pods_ends_with_it)
{
	start_with_web(NULL);
	FAULT(.what = T_API_STATUS, .status = 503, .kind = "pods", .times = 4);
	t_api_watch_end(k_api, "pods", NULL);
	k_until(*k_problem("Pod", ""));
	t_contains(k_problem("Pod", ""), "SourceUnavailable: ");
	k_until(t_api_n_faults(k_api) == 0 && t_api_n_watches(k_api) == 3);
	ck_assert_uint_eq(k_problems(), 0);
	is_well();
}
END_TEST

/* ---- statuses ------------------------------------------------------------------------------ */

START_TEST(a_server_that_wants_to_be_left_alone_is)
{
	const struct t_api_req *first;

	FAULT(.what = T_API_STATUS, .status = 429, .retry_after_s = 90, .verb = "list",
	      .kind = "pods");
	k_start(NULL);
	k_until(lists("pods", NULL) == 2);
	first = t_api_request(k_api, 0);
	ck_assert_int_eq(first->status, 429);
	ck_assert_uint_ge(t_api_find(k_api, "list", "pods", NULL)->at_ns - first->at_ns,
			  (uint64_t)89 * 1000000000);
	ck_assert_uint_le(t_api_find(k_api, "list", "pods", NULL)->at_ns - first->at_ns,
			  (uint64_t)114 * 1000000000);
	k_until(t_api_n_watches(k_api) == 1);
}
END_TEST

START_TEST(a_watch_that_has_expired_goes_on_with_a_list)
{
	start_with_web(NULL);
	if (_i) { /* as a status; else in the stream */
		FAULT(.what = T_API_STATUS, .status = 410, .verb = "watch", .kind = "pods");
		FAULT(.what = T_API_STATUS, .status = 410, .verb = "watch", .name = "db");
		t_api_watch_end(k_api, "pods", NULL);
		t_api_watch_end(k_api, "secrets", "db");
	} else {
		t_api_watch_error(k_api, "pods", NULL, 410);
		t_api_watch_error(k_api, "secrets", "db", 410);
	}
	k_pass(5 * K_SECOND);
	ck_assert_uint_eq(lists("pods", NULL), 1);
	/* the cache of Secrets may not have got to the version of the list that came from the store */
	ck_assert_uint_ge(lists("secrets", "db"), 1);
	ck_assert_uint_le(lists("secrets", "db"), 2);
	ck_assert_uint_eq(lists("secrets", "tls"), 0);
	ck_assert_uint_eq(t_api_n_watches(k_api), 3);
	ck_assert_uint_eq(k_problems(), 0);
	is_well();
}
END_TEST

/* 200 Secrets, whose versions a server that has started anew no longer knows. */
static void start_with_many(const char *keys)
{
	sv_autobuf struct sv_buf volumes = { 0 };
	size_t i;

	for (i = 0; i < 200; i++) {
		sv_autofree char *name = sv_asprintf("s%zu", i);

		t_api_put_secret(k_api, name, keys);
		sv_buf_printf(&volumes, "%sv%zu=%s", i ? " " : "", i, name);
	}
	t_api_put_pod(k_api, "web", K_NODE, volumes.ptr);
	k_start(NULL);
	k_until(t_api_n_watches(k_api) == 201 && k_mounts() == 200);
}

static void restart_server(void)
{
	t_api_set_version(k_api, t_api_version(k_api) + 10);
	t_api_compact(k_api, 0);
	t_api_cut_all(k_api, T_API_FIN);
	t_api_clear_log(k_api);
	k_until(t_api_n_watches(k_api) == 201);
}

START_TEST(after_an_outage_what_is_too_old_is_not_asked_for_by_each)
{
	start_with_many("k=1");
	restart_server();
	ck_assert_uint_eq(lists("secrets", NULL), 200);
	ck_assert_uint_le(watches("secrets", NULL),
			  200 + 2 * 64); /* those of before the first answer */
	t_api_put_secret(k_api, "s199", "k=2");
	k_until(k_holds("web/v199/k", "2"));
	/* and what is not too old goes on without a list */
	t_api_clear_log(k_api);
	t_api_watch_end(k_api, "secrets", NULL);
	k_until(t_api_n_watches(k_api) == 201);
	ck_assert_uint_eq(lists("secrets", NULL), 0);
}
END_TEST

/* Its versions begin anew, below those that were too old once. */
START_TEST(what_was_too_old_before_a_server_was_set_back_is_forgotten)
{
	uint64_t version;

	start_with_many("k=1");
	version = t_api_version(k_api);
	t_api_set_version(k_api, version + 1000);
	t_api_put_secret(k_api, "s0", "k=2");
	t_api_bookmark(k_api, "pods", NULL, t_api_version(k_api));
	t_api_watch_error(k_api, "secrets", NULL, 410);
	k_until(k_holds("web/v0/k", "2") && t_api_n_watches(k_api) == 201);
	t_api_restore(k_api, version);
	k_until(k_holds("web/v0/k", "1") && t_api_n_watches(k_api) == 201);
	k_pass(10 * K_SECOND);
	k_until(t_api_n_watches(k_api) == 201);
	t_api_clear_log(k_api);
	t_api_watch_end(k_api, "secrets", NULL);
	k_until(t_api_n_watches(k_api) == 201);
	ck_assert_uint_eq(lists("secrets", NULL), 0);
}
END_TEST

START_TEST(a_secret_whose_requests_all_fail_says_so_and_harms_no_other)
{
	FAULT(.what = T_API_STATUS, .status = 500, .name = "db", .forever = true);
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(NULL);
	k_until(k_has("web/b", "Published") && (k_has("web/a", "Refused SourceUnavailable") ||
						k_has("web/a", "Pending SourceUnavailable")));
	ck_assert(k_is_up());
	t_api_clear_faults(k_api);
	is_well();
}
END_TEST

START_TEST(no_redirect_is_followed)
{
	struct t_api *other = t_api_new(&k_loop);
	sv_autofree char *url = sv_asprintf("%s/api/v1/pods", t_api_url(other));

	k_token("first");
	FAULT(.what = T_API_REDIRECT, .body = url, .forever = true);
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(NULL);
	k_until(k_problems() > 0);
	t_contains(k_problem("Pod", ""), "redirects are not followed");
	k_pass(K_MINUTE);
	ck_assert_uint_eq(t_api_n_accepted(other), 0);
	t_api_clear_faults(k_api);
	is_well();
	ck_assert_uint_eq(t_api_n_accepted(other), 0);
	t_api_stop(other);
}
END_TEST

/* ---- odd events ---------------------------------------------------------------------------- */

START_TEST(events_out_of_order_end_in_the_newest_state)
{
	FAULT(.what = T_API_REORDER, .verb = "watch", .forever = true);
	start_with_web(NULL);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_put_secret(k_api, "db", "k=3");
	t_api_put_pod(k_api, "two", K_NODE, "v=db");
	t_api_delete(k_api, "pods", "two");
	k_until(k_holds("web/a/k", "3"));
	k_pass(K_MINUTE);
	ck_assert_str_eq(k_file("web/a/k"), "3");
	ck_assert_str_eq(k_state("two/v"), "");
	ck_assert_uint_le(t_api_n_requests(k_api), 40);
}
END_TEST

START_TEST(events_told_twice_change_nothing_twice)
{
	FAULT(.what = T_API_TWICE, .verb = "watch", .forever = true);
	start_with_web(NULL);
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/a/k", "2"));
	ck_assert_uint_eq(
		sv_desired_secret(&k_manager.desired, SV_ORIGIN_API, "default", "db")->generation,
		2);
	is_well();
	ck_assert_uint_eq(lists(NULL, NULL), 0);
}
END_TEST

START_TEST(an_event_about_another_secret_is_not_taken)
{
	start_with_web(NULL);
	t_api_watch_event(
		k_api, "secrets", "db", "MODIFIED",
		"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"tls\",\"namespace\":\"default\","
		"\"uid\":\"u\",\"resourceVersion\":\"5000\"},\"data\":{\"k\":\"OTk=\"}}");
	t_api_watch_event(
		k_api, "secrets", "db", "DELETED",
		"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\",\"namespace\":\"prod\","
		"\"uid\":\"u\",\"resourceVersion\":\"5001\"}}");
	k_pass(K_SECOND);
	ck_assert_str_eq(k_file("web/b/k"), "1");
	ck_assert_str_eq(k_state("web/a"), "Published");
}
END_TEST

/* ---- too large ----------------------------------------------------------------------------- */

START_TEST(a_secret_that_is_too_large_is_told_of_in_a_list_and_harms_no_other)
{
	t_api_put_big_secret(k_api, "huge", BIG);
	t_api_put_pod(k_api, "odd", K_NODE, "v=huge");
	start_with_web(_i ? &by_namespace : NULL);
	k_until(*k_problem("Secret", "huge"));
	t_contains(k_problem("Secret", "huge"), "TooLarge: ");
	k_until(k_has("odd/v", "Refused SecretNotFound"));
	t_contains(k_message("odd/v"), "larger than");
	ck_assert_uint_eq(k_problems(), 1);
	t_api_put_secret(k_api, "huge", "k=1");
	k_until(k_holds("odd/v/k", "1"));
	is_well();
}
END_TEST

START_TEST(a_secret_that_becomes_too_large_keeps_its_last_good_version)
{
	start_with_web(_i ? &by_namespace : NULL);
	t_api_put_big_secret(k_api, "db", BIG);
	k_until(*k_problem("Secret", "db"));
	ck_assert_str_eq(k_file("web/a/k"), "1");
	t_api_put_secret(k_api, "tls", "k=2");
	k_until(k_holds("web/b/k", "2"));
	t_api_delete(k_api, "secrets", "db"); /* told with the whole of it */
	k_until(k_problems() == 0);
	k_until(k_has("web/a", "Stale SecretNotFound"));
	is_well();
}
END_TEST

static char *big_pod(const char *name)
{
	sv_autofree char *text = t_repeat('x', BIG);

	return sv_asprintf(
		"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"annotations\":{\"a\":\"%s\"}},"
		"\"spec\":{\"nodeName\":\"" K_NODE "\",\"volumes\":[{\"name\":\"v\",\"secret\":{"
		"\"secretName\":\"db\"}}],\"containers\":[{\"name\":\"c\",\"image\":\"i\","
		"\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]}]}}",
		name, text);
}

START_TEST(a_pod_that_is_too_large_is_told_of_and_what_it_had_stays)
{
	sv_autofree char *big = big_pod("two"), *new = big_pod("new");

	start_with_web(NULL);
	t_api_put_pod(k_api, "two", K_NODE, "v=db");
	k_until(k_has("two/v", "Published"));
	t_api_put(k_api, big);
	t_api_put(k_api, new);
	k_until(*k_problem("Pod", "two") && *k_problem("Pod", "new"));
	t_contains(k_problem("Pod", "two"), "TooLarge: ");
	ck_assert_uint_eq(k_mounts(), 3);
	k_source->reload(k_source); /* it is in the list, too */
	k_until(lists("pods", NULL) == 1 && t_api_n_watches(k_api) == 3);
	k_pass(K_SECOND);
	ck_assert_uint_eq(k_mounts(), 3);
	ck_assert_uint_eq(k_problems(), 2);
	t_api_delete(k_api, "pods", "two");
	t_api_delete(k_api, "pods", "new");
	k_until(k_mounts() == 2 && k_problems() == 0);
}
END_TEST

/* ---- a server that was set back ------------------------------------------------------------ */

START_TEST(a_server_that_was_set_back_is_believed)
{
	uint64_t backup;

	t_api_put_secret(k_api, "gone", "k=1");
	t_api_put_pod(k_api, "old", K_NODE, "v=gone");
	start_with_web(_i ? &by_namespace : NULL);
	k_until(k_has("old/v", "Published"));
	backup = t_api_version(k_api);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_put_secret(k_api, "tls", "k=2");
	t_api_delete(k_api, "pods", "old");
	t_api_put_pod(k_api, "new", K_NODE, "v=db");
	k_until(k_has("new/v", "Published") && k_mounts() == 3 && k_holds("web/b/k", "2"));
	k_until(!*k_state("old/v"));
	t_api_set_version(k_api, 9000); /* a bookmark has told of it */
	t_api_bookmark(k_api, "pods", NULL, 9000);
	t_api_bookmark(k_api, "secrets", NULL, 9000);
	k_quiet();
	t_api_restore(k_api, backup);
	k_until(k_holds("web/a/k", "1") && k_holds("web/b/k", "1") && k_holds("old/v/k", "1") &&
		!*k_state("new/v"));
	ck_assert_uint_eq(k_mounts(), 3);
	t_api_put_secret(k_api, "db", "k=5"); /* at a version that was there before */
	k_until(k_holds("web/a/k", "5"));
	k_until(k_is_up() && k_problems() == 0);
}
END_TEST

/* The Pods' list tells nothing then: it is as old as what was seen of them. */
START_TEST(a_server_that_was_set_back_is_found_out_by_its_secrets)
{
	uint64_t backup;

	start_with_web(_i ? &by_namespace : NULL);
	backup = t_api_version(k_api);
	t_api_put_secret(k_api, "tls", "k=2");
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/a/k", "2") && k_holds("web/b/k", "2"));
	k_quiet();
	t_api_restore(k_api, backup);
	k_until(k_holds("web/a/k", "1") && k_holds("web/b/k", "1"));
	t_api_put_secret(k_api, "db", "k=5");
	k_until(k_holds("web/a/k", "5"));
	k_until(k_is_up() && k_problems() == 0);
}
END_TEST

START_TEST(a_server_that_is_as_it_was_is_asked_for_one_secret_more)
{
	start_with_web(NULL);
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/a/k", "2"));
	k_quiet();
	t_api_clear_log(k_api);
	t_api_cut_all(k_api, T_API_RST);
	k_until(t_api_n_watches(k_api) == 3);
	k_quiet();
	ck_assert_uint_eq(lists("secrets", "db"), 1);
	ck_assert_uint_eq(lists("secrets", "tls"), 0);
}
END_TEST

/* ---- anything ------------------------------------------------------------------------------ */

static uint32_t seed;

static unsigned below(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void change_something(void)
{
	static const char *const secrets[] = { "s0", "s1", "s2", "s3" };
	static const char *const mounts[] = { "v=s0", "v=s1 w=s2", "v=s3? w=s0", "v=s2" };
	static unsigned n;
	const char *secret = secrets[below(4)];
	sv_autofree char *pod = sv_asprintf("p%u", below(4));
	sv_autofree char *keys = sv_asprintf("k=%u", ++n);
	sv_autofree char *there = t_api_get(k_api, "secrets", secret);
	sv_autofree char *pod_there = t_api_get(k_api, "pods", pod);

	switch (below(6)) {
	case 0:
		if (there)
			t_api_delete(k_api, "secrets", secret);
		break;
	case 1:
	case 2:
		t_api_put_secret(k_api, secret, keys);
		break;
	case 3:
		if (pod_there)
			t_api_delete(k_api, "pods", pod);
		break;
	default:
		if (!pod_there)
			t_api_put_pod(k_api, pod, K_NODE, mounts[below(4)]);
	}
}

static void break_something(void)
{
	struct t_api_fault f = bad[below(SV_ARRAY_SIZE(bad))];
	static const char *const kinds[] = { NULL, "pods", "secrets", "version" };

	switch (below(12)) {
	case 0:
		t_api_cut_all(k_api, T_API_RST);
		break;
	case 1:
		t_api_down(k_api);
		break;
	case 2:
		t_api_up(k_api);
		break;
	case 3:
		t_api_compact(k_api, 0);
		break;
	case 4:
		t_api_bookmark(k_api, below(2) ? "pods" : "secrets", NULL, t_api_version(k_api));
		break;
	case 5:
		t_api_watch_error(k_api, below(2) ? "pods" : "secrets", NULL, 410);
		break;
	case 6:
		t_api_watch_cut(k_api, below(2) ? "pods" : "secrets", NULL, T_API_FIN);
		break;
	case 7:
		k_source->reload(k_source);
		break;
	default:
		f.kind = kinds[below(4)];
		f.times = 1 + below(3);
		f.skip = below(3);
		t_api_fault(k_api, &f);
	}
}

/* What a Pod's volume should hold, by the server's word; NULL: its Secret is not there. */
static char *wanted_value(const char *pod, const char *volume)
{
	sv_autofree char *json = t_api_get(k_api, "pods", pod);
	t_autotree struct json_object *tree = json ? t_yaml(json) : NULL;
	struct json_object *list = NULL, *spec = NULL;
	size_t i;

	if (!tree)
		return NULL;
	json_object_object_get_ex(tree, "spec", &spec);
	json_object_object_get_ex(spec, "volumes", &list);
	for (i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i), *name, *source;
		sv_autofree char *text = NULL;
		sv_autosecret struct sv_secret *secret = NULL;

		if (!json_object_object_get_ex(v, "name", &name) ||
		    strcmp(json_object_get_string(name), volume) != 0 ||
		    !json_object_object_get_ex(v, "secret", &source) ||
		    !json_object_object_get_ex(source, "secretName", &name))
			continue;
		text = t_api_get(k_api, "secrets", json_object_get_string(name));
		if (!text)
			return NULL;
		secret = t_secret_yaml(text);
		return strndup((const char *)sv_secret_value(secret, "k")->ptr,
			       sv_secret_value(secret, "k")->len);
	}
	return NULL;
}

static bool volume_is_right(const char *pod, const char *volume)
{
	sv_autofree char *name = sv_asprintf("%s/%s", pod, volume);
	sv_autofree char *file = sv_asprintf("%s/k", name);
	sv_autofree char *value = wanted_value(pod, volume);
	sv_autofree char *there = t_api_get(k_api, "pods", pod);

	if (!there)
		return !*k_state(name);
	if (value)
		return k_holds(file, value) && k_has(name, "Published");
	return !k_has(name, "Published") || k_holds(file, "");
}

static bool all_is_right(void)
{
	static const char *const pods[] = { "p0", "p1", "p2", "p3" };
	size_t i;

	for (i = 0; i < 2 * SV_ARRAY_SIZE(pods); i++) {
		const char *pod = pods[i / 2], *volume = i % 2 ? "v" : "w";
		sv_autofree char *name = sv_asprintf("%s/%s", pod, volume);
		sv_autofree char *file = sv_asprintf("%s/k", name);
		sv_autofree char *value = wanted_value(pod, volume);

		if (volume_is_right(pod, volume))
			continue;
		(void)snprintf(k_hint, sizeof(k_hint), "%s is %s with '%s', not '%s', %zu watches",
			       name, k_state(name), k_file(file), value ? value : "",
			       t_api_n_watches(k_api));
		return false;
	}
	(void)snprintf(k_hint, sizeof(k_hint), "problems: %zu", k_problems());
	return k_problems() == 0 && k_is_up();
}

START_TEST(whatever_happens_the_end_is_what_the_server_has)
{
	int i;

	seed = (uint32_t)_i * 7919 + 1;
	for (i = 0; i < 8; i++)
		change_something();
	k_start(_i % 3 == 2 ? &by_namespace : NULL);
	for (i = 0; i < 150; i++) {
		if (below(2))
			change_something();
		else
			break_something();
		if (below(3) == 0)
			k_pass(below(4000));
		else if (below(2))
			k_step(100, NULL);
	}
	t_api_up(k_api);
	t_api_clear_faults(k_api);
	k_until(all_is_right());
	k_pass(K_MINUTE);
	ck_assert(all_is_right());
}
END_TEST

T_SUITE(kube_faults)
{
	T_AROUND(k_enter, k_leave);
	T_EACH(a_bad_answer_to_the_list_of_pods_is_got_over, bad);
	T_EACH(a_bad_answer_to_the_watch_of_pods_is_got_over, bad);
	T_EACH(a_bad_answer_to_the_list_of_a_secret_is_got_over, bad);
	T_EACH(a_bad_answer_to_the_watch_of_a_secret_is_got_over, bad);
	T_EACH(bad_answers_in_a_row_are_got_over, bad);
	T_EACH(bad_answers_are_got_over_by_namespace, bad);
	T_EACH(bad_answers_harm_nothing_that_is_mounted, bad);
	T_TEST(an_outage_is_told_once_and_is_over_when_it_is_over);
	T_TEST(a_server_that_cuts_every_connection_is_asked_now_and_then);
	T_TEST(an_outage_does_not_fill_the_log);
	T_TWICE(what_changed_during_an_outage_is_seen_after_it);
	T_TEST(pods_wait_for_a_server_that_is_away_and_say_so);
	T_TEST(a_server_that_does_not_answer_is_given_up_and_found_again);
	T_TEST(a_server_that_accepts_no_connection_is_given_up_and_found_again);
	T_TEST(silence_is_noticed_by_asking);
	T_TEST(what_fell_silent_is_asked_for_anew);
	T_TEST(what_fell_silent_while_the_server_did_not_know_us_is_asked_for_anew);
	T_TEST(a_server_that_has_nothing_to_say_is_left_alone);
	T_TEST(a_list_that_stops_in_its_middle_is_given_up);
	T_TEST(a_server_that_flaps_is_followed);
	T_TEST(a_server_is_not_met_by_hundreds_at_once);
	T_TEST(a_token_that_was_replaced_is_read_again);
	T_TEST(a_refused_token_is_no_outage_if_there_is_a_new_one);
	T_TEST(without_a_good_token_last_good_volumes_stay_until_there_is_one);
	T_TEST(a_token_file_that_is_missing_is_told_of_and_the_old_one_is_used);
	T_TEST(a_server_that_wants_credentials_where_there_are_none_says_so);
	T_TEST(a_denial_right_after_binding_is_nobodys_business);
	T_TEST(a_secret_that_may_not_be_read_harms_no_other);
	T_TEST(a_secret_that_may_no_longer_be_read_is_read_again_when_it_may);
	T_TEST(by_namespace_a_namespace_that_may_not_be_read_harms_no_other);
	T_TEST(by_namespace_a_secret_of_a_list_of_its_own_is_read_again_when_it_may);
	T_TEST(pods_that_may_not_be_read_are_told_of_and_stay);
	T_TEST(a_namespace_that_takes_no_events_is_named_until_it_does);
	T_TEST(a_complaint_about_the_watch_of_pods_ends_with_it);
	T_TEST(a_server_that_wants_to_be_left_alone_is);
	T_TWICE(a_watch_that_has_expired_goes_on_with_a_list);
	T_TEST(after_an_outage_what_is_too_old_is_not_asked_for_by_each);
	T_TEST(what_was_too_old_before_a_server_was_set_back_is_forgotten);
	T_TEST(a_secret_whose_requests_all_fail_says_so_and_harms_no_other);
	T_TEST(no_redirect_is_followed);
	T_TEST(events_out_of_order_end_in_the_newest_state);
	T_TEST(events_told_twice_change_nothing_twice);
	T_TEST(an_event_about_another_secret_is_not_taken);
	T_TWICE(a_secret_that_is_too_large_is_told_of_in_a_list_and_harms_no_other);
	T_TWICE(a_secret_that_becomes_too_large_keeps_its_last_good_version);
	T_TEST(a_pod_that_is_too_large_is_told_of_and_what_it_had_stays);
	T_TWICE(a_server_that_was_set_back_is_believed);
	T_TWICE(a_server_that_was_set_back_is_found_out_by_its_secrets);
	T_TEST(a_server_that_is_as_it_was_is_asked_for_one_secret_more);
	tcase_add_loop_test(t, whatever_happens_the_end_is_what_the_server_has, 0, N_SEEDS);
}
