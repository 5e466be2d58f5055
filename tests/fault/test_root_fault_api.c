/* SPDX-License-Identifier: Apache-2.0 */
/* What an API server sends, and how to get there, with every allocation failing in turn. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/core/kubeconfig.h"
#include "../../lib/core/recorder.h"
#include "../../lib/core/stream.h"
#include "../support/support.h"
#include "fault.h"

static void nothing_leaks(long n_blocks)
{
	ck_assert_msg(fault_live_blocks() == n_blocks, "%ld blocks leak after %s",
		      fault_live_blocks() - n_blocks, fault_text());
}

/* ---- stream -------------------------------------------------------------------------------- */

static int count(void *arg, const char *text, size_t len)
{
	(void)text;
	*(size_t *)arg += len;
	return 0;
}

static void count_head(void *arg, const char *head, size_t len)
{
	(void)count(arg, head, len);
}

/* In pieces that have objects and the rest grow while they are kept. */
static int feed(const char *text, size_t len, size_t *ret)
{
	static const struct sv_stream_sink sink = { count, count_head };
	sv_autostream struct sv_stream s = { 0 };
	size_t pos, n;
	int r = 0;

	*ret = 0;
	sv_stream_init(&s, SV_STREAM_LIST, 6000, &sink, ret);
	for (pos = 0; r == 0 && pos < len; pos += n) {
		n = len - pos < 700 ? len - pos : 700;
		r = sv_stream_feed(&s, text + pos, n);
	}
	return r ? r : sv_stream_end(&s, NULL, NULL);
}

START_TEST(an_answer_is_cut_whole_or_not_at_all)
{
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };
	sv_autofree char *fits = t_repeat('x', 5000), *exceeds = t_repeat('y', 9000);
	sv_autofree char *text = sv_asprintf(
		"{\"a\":\"%s\",\"items\":[{\"a\":\"%s\"},{\"b\":\"%s\"}]}", exceeds, fits, exceeds);
	long n_blocks = fault_live_blocks();

	FAULT_EACH(loop)
	{
		size_t got;
		int r;

		fault_on(&loop);
		r = feed(text, strlen(text), &got);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == 0, "%d after %s", r, fault_text());
		if (r == 0)
			ck_assert_uint_eq(got, strlen("{\"a\":\"\"}") + 5000 + SV_STREAM_HEAD_MAX);
		nothing_leaks(n_blocks);
	}
	ck_assert_uint_ge(loop.fired, 8);
}
END_TEST

/* ---- kubeconfig ---------------------------------------------------------------------------- */

START_TEST(a_kubeconfig_is_read_whole_or_not_at_all)
{
	static const char text[] =
		"clusters: [{name: c, cluster: {server: 'https://h', proxy-url: 'http://p', "
		"tls-server-name: name, certificate-authority-data: YQ==}}]\n"
		"users: [{name: u, user: {client-certificate: c, client-key-data: Yg==, token: t}}]\n"
		"contexts: [{name: x, context: {cluster: c, user: u}}]\n"
		"current-context: x\n";
	struct fault_loop loop = { .scope = FAULT_NO_COPIES };
	struct sv_kubeconfig k = { 0 };
	struct sv_err err = { "" };
	long n_blocks;

	ck_assert_int_eq(sv_kubeconfig_parse(text, strlen(text), NULL, &k, &err), 0);
	sv_kubeconfig_done(&k);
	n_blocks = fault_live_blocks();
	FAULT_EACH(loop)
	{
		int r;

		fault_on(&loop);
		r = sv_kubeconfig_parse(text, strlen(text), NULL, &k, &err);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == 0, "%d, '%s' after %s", r, err.msg,
			      fault_text());
		if (r == 0)
			ck_assert_msg(k.context && k.cluster && k.user && k.server && k.proxy_url &&
					      k.tls_server_name && k.ca_data.len && k.cert_file &&
					      k.key_data.len && k.token.len,
				      "not whole after %s", fault_text());
		sv_kubeconfig_done(&k);
		nothing_leaks(n_blocks);
	}
	ck_assert_uint_ge(loop.fired, 20);
}
END_TEST

/* ---- recorder ------------------------------------------------------------------------------ */

/* One new Event, a repetition, and an answer. Return: what did not work first. */
static int record(struct sv_recorder *rec, const struct sv_pod *pod,
		  struct sv_recorder_request *ret)
{
	int r = sv_recorder_init(rec, "node-a");

	if (r == 0)
		r = sv_recorder_note(rec, pod, true, "FailedMount", "a \"b\"", 1, 1000);
	if (r == 0)
		r = sv_recorder_note(rec, pod, true, "FailedMount", "a \"b\"", 2, 2000);
	return r ? r : sv_recorder_next(rec, 3, 3000, ret);
}

START_TEST(an_event_is_sent_whole_or_later)
{
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };
	sv_autopod struct sv_pod *pod = t_pod("team/p@u", "v=s");
	const struct sv_wire_status created = { .code = 201 };
	sv_autofree char *want = NULL;
	long n_blocks = fault_live_blocks();

	FAULT_EACH(loop)
	{
		struct sv_recorder rec;
		struct sv_recorder_request q = { 0 };
		int r;

		if (loop.call == 1 && !want) { /* without a failure */
			ck_assert_int_eq(record(&rec, pod, &q), 0);
			free(q.path);
			want = q.body;
			sv_recorder_done(&rec);
			n_blocks = fault_live_blocks();
		}
		fault_on(&loop);
		r = record(&rec, pod, &q);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == 0, "%d after %s", r, fault_text());
		if (r < 0 && rec.node && rec.n_waiting > 0) /* it can be had now */
			r = sv_recorder_next(&rec, 3, 3000, &q);
		if (r == 0) {
			if (strstr(q.body, "\"count\":2")) /* behind its name, which is unique */
				ck_assert_str_eq(strstr(q.body, "\"namespace\""),
						 strstr(want, "\"namespace\""));
			ck_assert_int_eq(sv_recorder_answered(&rec, q.event, &created, 4, 0),
					 SV_RECORDER_TAKEN);
			free(q.path);
			free(q.body);
		}
		sv_recorder_done(&rec);
		nothing_leaks(n_blocks);
	}
	ck_assert_uint_ge(loop.fired, 20);
}
END_TEST

T_SUITE(fault_api)
{
	T_TEST(an_answer_is_cut_whole_or_not_at_all);
	T_TEST(an_event_is_sent_whole_or_later);
	T_TEST(a_kubeconfig_is_read_whole_or_not_at_all);
}
