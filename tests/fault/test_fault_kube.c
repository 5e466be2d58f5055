/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Kubernetes source computes, with every allocation failing in turn: lack of memory is
 * told, nothing leaks, and the same call works afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/kubeconfig.h"
#include "../../lib/core/recorder.h"
#include "../../lib/core/reflector.h"
#include "../../lib/core/stream.h"
#include "../support/support.h"
#include "fault.h"

#define LOOP(loop)                                               \
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS }; \
	fault_note_use();                                        \
	FAULT_EACH(loop)

/* ---- lists and watches ----------------------------------------------------------------------- */

/* Two pages, an event and a bookmark. Return: how far it came; @r: what failed. */
static int list_and_watch(struct sv_reflector *ref, int *r)
{
	const struct sv_wire_event added = { .type = SV_WIRE_ADDED, .version = "11" };
	const struct sv_wire_event bookmark = { .type = SV_WIRE_BOOKMARK, .version = "12" };

	*r = sv_reflector_listed(ref, "10", "next");
	if (*r < 0)
		return 0;
	*r = sv_reflector_listed(ref, "10", "");
	if (*r < 0)
		return 1;
	*r = sv_reflector_event(ref, &added);
	if (*r < 0)
		return 2;
	*r = sv_reflector_event(ref, &bookmark);
	return *r < 0 ? 3 : 4;
}

START_TEST(a_version_is_taken_with_what_came_or_stays)
{
	static const char *const versions[] = { NULL, NULL, "10", "11", "12" };

	LOOP(loop)
	{
		struct sv_reflector ref;
		int r, done;

		sv_reflector_init(&ref, SV_LIST_ANY);
		fault_on(&loop);
		done = list_and_watch(&ref, &r);
		fault_off();
		ck_assert_msg(done == 4 || r == -ENOMEM, "%d after %s", r, fault_text());
		if (versions[done])
			ck_assert_str_eq(ref.version, versions[done]);
		else
			ck_assert_ptr_null(ref.version);
		ck_assert_int_eq(ref.token != NULL, done == 1);
		ck_assert_int_eq(ref.listing, done < 2);
		sv_reflector_restart(&ref, SV_LIST_ANY);
		ck_assert_int_eq(list_and_watch(&ref, &r), 4);
		ck_assert_str_eq(ref.version, "12");
		sv_reflector_done(&ref);
		fault_no_leaks();
	}
	fault_enough(&loop, 8);
}
END_TEST

static int count_object(void *arg, const char *text, size_t len)
{
	*(unsigned *)arg += len == strlen("{\"a\": 1}") && memcmp(text, "{\"a\": 1}", len) == 0;
	return 0;
}

static int feed_by_bytes(struct sv_stream *stream, const char *text)
{
	int r = 0;

	for (; *text && r == 0; text++)
		r = sv_stream_feed(stream, text, 1);
	return r;
}

START_TEST(objects_that_come_in_pieces_are_handed_on_whole_or_not_at_all)
{
	static const struct sv_stream_sink sink = { count_object, NULL };

	LOOP(loop)
	{
		struct sv_stream stream;
		unsigned n = 0;
		int r;

		sv_stream_init(&stream, SV_STREAM_LIST, 40, &sink, &n);
		fault_on(&loop);
		r = feed_by_bytes(&stream, "{\"kind\": \"List\", \"items\": [{\"a\": 1}, {\"a\": "
					   "1}]}");
		fault_off();
		fault_out_of_memory(r);
		ck_assert_msg(r < 0 ? n < 2 : n == 2, "%u objects after %s", n, fault_text());
		sv_stream_done(&stream);
		fault_no_leaks();
	}
	fault_enough(&loop, 4);
}
END_TEST

static int count_any(void *arg, const char *text, size_t len)
{
	*(unsigned *)arg += text[0] == '{' && text[len - 1] == '}';
	return 0;
}

/* What is kept of its beginning has to grow for the rest. */
START_TEST(an_object_in_two_pieces_is_handed_on_whole_or_not_at_all)
{
	static const struct sv_stream_sink sink = { count_any, NULL };
	sv_autofree char *value = t_repeat('x', 500), *rest = NULL;

	rest = sv_asprintf("\"a\": \"%s\"}", value);
	LOOP(loop)
	{
		struct sv_stream stream;
		unsigned n = 0;
		int r;

		sv_stream_init(&stream, SV_STREAM_WATCH, 1000, &sink, &n);
		fault_on(&loop);
		r = sv_stream_feed(&stream, "{", 1);
		if (r == 0)
			r = sv_stream_feed(&stream, rest, strlen(rest));
		fault_off();
		fault_out_of_memory(r);
		ck_assert_uint_eq(n, r == 0);
		sv_stream_done(&stream);
		fault_no_leaks();
	}
	fault_enough(&loop, 4);
}
END_TEST

/* ---- Events ---------------------------------------------------------------------------------- */

static void send_one(struct sv_recorder *rec, int64_t now_ms, const char *message)
{
	const struct sv_wire_status created = { .code = 201 };
	struct sv_recorder_request q;

	ck_assert_int_eq(sv_recorder_next(rec, now_ms, now_ms, &q), 0);
	t_contains(q.body, message);
	free(q.path);
	free(q.body);
	ck_assert_int_eq(sv_recorder_answered(rec, q.event, &created, now_ms, 0),
			 SV_RECORDER_TAKEN);
}

/* As many texts of a reason as stay apart. */
static void begin_crowded(struct sv_recorder *rec, const struct sv_pod *pod)
{
	int i;

	ck_assert_int_eq(sv_recorder_init(rec, "node"), 0);
	for (i = 0; i < SV_RECORDER_SIMILAR_MAX; i++) {
		const char text[] = { (char)('a' + i), '\0' };

		ck_assert_int_eq(sv_recorder_note(rec, pod, true, "F", text, 1, 1), 0);
		send_one(rec, 1, text);
	}
}

START_TEST(an_event_is_noted_or_can_be_noted_again)
{
	sv_autopod struct sv_pod *pod = t_pod("team/web@u", "v=s");
	struct sv_recorder first;

	begin_crowded(&first, pod); /* the time zone is known then */
	sv_recorder_done(&first);
	LOOP(loop)
	{
		struct sv_recorder_request q;
		struct sv_recorder rec;
		int r;

		begin_crowded(&rec, pod);
		fault_on(&loop);
		r = sv_recorder_note(&rec, pod, true, "F", "one more", 2, 2);
		fault_off();
		fault_out_of_memory(r);
		if (r < 0)
			ck_assert_int_eq(sv_recorder_next(&rec, 2, 2, &q), SV_RECORDER_E_NONE);
		ck_assert_int_eq(sv_recorder_note(&rec, pod, true, "F", "one more", 3, 3), 0);
		send_one(&rec, 3, "(combined from similar events): one more");
		sv_recorder_done(&rec);
		fault_no_leaks();
	}
	fault_enough(&loop, 10);
}
END_TEST

/* ---- access ---------------------------------------------------------------------------------- */

#define KUBECONFIG(user)                                                                        \
	"{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], "          \
	"clusters: [{name: k, cluster: {server: 'https://h:6443', certificate-authority-data: " \
	"Y2E=}}], users: [{name: u, user: {" user "}}]}"

static const struct {
	const char *text;
	int want;
} kubeconfigs[] = {
	{ KUBECONFIG("token: t"), 0 },
	{ KUBECONFIG("token: 5"), SV_KUBECONFIG_E_INVALID },
	{ KUBECONFIG("client-certificate-data: '*', client-key: k"), SV_KUBECONFIG_E_INVALID },
	{ "current-context: none", SV_KUBECONFIG_E_INVALID },
};

START_TEST(a_kubeconfig_is_read_or_refused_or_it_is_out_of_memory)
{
	struct fault_loop loop = { .scope = FAULT_NO_COPIES };
	const char *text = kubeconfigs[_i].text;

	fault_note_use();
	FAULT_EACH(loop)
	{
		struct sv_kubeconfig k = { 0 };
		struct sv_err err = { "" };
		int r;

		fault_on(&loop);
		r = sv_kubeconfig_parse(text, strlen(text), NULL, &k, &err);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == kubeconfigs[_i].want, "%d, '%s' after %s", r,
			      err.msg, fault_text());
		ck_assert_int_eq(r == 0, k.server != NULL);
		sv_kubeconfig_done(&k);
		fault_no_leaks();
	}
	fault_enough(&loop, 10);
}
END_TEST

START_TEST(a_service_account_is_all_there_or_it_is_out_of_memory)
{
	LOOP(loop)
	{
		struct sv_kubeconfig k = { 0 };
		struct sv_err err = { "" };
		int r;

		fault_on(&loop);
		r = sv_kubeconfig_in_cluster("fd00::1", "443", &k, &err);
		fault_off();
		fault_out_of_memory(r);
		if (r == 0)
			ck_assert_str_eq(k.server, "https://[fd00::1]:443");
		ck_assert_int_eq(r == 0, k.token_file != NULL);
		sv_kubeconfig_done(&k);
		fault_no_leaks();
	}
	fault_enough(&loop, 10);
}
END_TEST

T_SUITE(fault_kube)
{
	T_TEST(a_version_is_taken_with_what_came_or_stays);
	T_TEST(objects_that_come_in_pieces_are_handed_on_whole_or_not_at_all);
	T_TEST(an_object_in_two_pieces_is_handed_on_whole_or_not_at_all);
	T_TEST(an_event_is_noted_or_can_be_noted_again);
	T_EACH(a_kubeconfig_is_read_or_refused_or_it_is_out_of_memory, kubeconfigs);
	T_TEST(a_service_account_is_all_there_or_it_is_out_of_memory);
}
