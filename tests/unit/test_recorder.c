/* SPDX-License-Identifier: Apache-2.0 */
/* Which Events are written, and when: repetitions, similar texts, tokens, answers of all kinds. */
#include "../support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/core/json.h"
#include "../../lib/core/recorder.h"
#include "../../lib/core/reflector.h"
#include "../../lib/core/validate.h"

#define UNIX_MS 1785499200000LL /* 2026-07-31T12:00:00Z */
#define MINUTE 60000
#define NODE "node-a"

static struct sv_recorder r;
static struct sv_pod *pod;
static int64_t now;

static void setup(void)
{
	now = 1000;
	ck_assert_int_eq(sv_recorder_init(&r, NODE), 0);
	pod = t_pod("team/web@0b4c3c1e", "v=s");
}

static void teardown(void)
{
	sv_recorder_done(&r);
	sv_pod_unref(pod);
}

static void note_of(const struct sv_pod *p, const char *reason, const char *message)
{
	ck_assert_int_eq(sv_recorder_note(&r, p, true, reason, message, now, UNIX_MS + now), 0);
}

static void note(const char *message)
{
	note_of(pod, "FailedMount", message);
}

/* The next request; the test fails if there is none. */
static struct sv_recorder_request take(void)
{
	struct sv_recorder_request q = { 0 };

	ck_assert_int_eq(sv_recorder_next(&r, now, UNIX_MS + now, &q), 0);
	return q;
}

static void none(void)
{
	struct sv_recorder_request q = { 0 };

	ck_assert_int_eq(sv_recorder_next(&r, now, UNIX_MS + now, &q), SV_RECORDER_E_NONE);
	ck_assert_ptr_null(q.path);
}

static void done(struct sv_recorder_request *q)
{
	free(q->path);
	free(q->body);
	*q = (struct sv_recorder_request){ 0 };
}

static enum sv_recorder_verdict answer(struct sv_recorder_request *q, int code)
{
	const struct sv_wire_status status = { .code = code };
	struct sv_recorded *event = q->event;

	done(q);
	return sv_recorder_answered(&r, event, &status, now, 0);
}

/* Sends what there is to send now, all to be taken. Return: how many requests. */
static unsigned flush(void)
{
	struct sv_recorder_request q;
	unsigned n = 0;

	while (sv_recorder_next(&r, now, UNIX_MS + now, &q) == 0) {
		ck_assert_int_eq(answer(&q, q.create ? 201 : 200), SV_RECORDER_TAKEN);
		n++;
	}
	return n;
}

/* The message, or another member, of a body. */
static char *member(const struct sv_recorder_request *q, const char *key)
{
	t_autotree struct json_object *o = NULL;
	struct json_object *value = NULL;

	ck_assert_int_eq(sv_json_parse(q->body, strlen(q->body), &o, NULL, NULL), 0);
	if (!json_object_object_get_ex(o, key, &value))
		return NULL;
	return strdup(json_object_get_string(value));
}

static void expect(const struct sv_recorder_request *q, const char *key, const char *want)
{
	sv_autofree char *got = member(q, key);

	ck_assert_pstr_eq(got, want);
}

/* ---- what is sent -------------------------------------------------------------------------- */

START_TEST(a_new_event_looks_like_the_kubelets)
{
	struct sv_recorder_request q;

	note("MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found");
	q = take();
	ck_assert(q.create);
	ck_assert_str_eq(q.path, "/api/v1/namespaces/team/events");
	ck_assert_str_eq(
		q.body,
		"{\"kind\":\"Event\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"name\":\"web.18c75e1036594a00\",\"namespace\":\"team\"},"
		"\"involvedObject\":{\"kind\":\"Pod\",\"namespace\":\"team\",\"name\":\"web\","
		"\"uid\":\"0b4c3c1e\",\"apiVersion\":\"v1\"},"
		"\"type\":\"Warning\",\"reason\":\"FailedMount\","
		"\"source\":{\"component\":\"secretvold\",\"host\":\"node-a\"},"
		"\"firstTimestamp\":\"2026-07-31T12:00:01Z\","
		"\"reportingComponent\":\"secretvold\",\"reportingInstance\":\"node-a\","
		"\"message\":\"MountVolume.SetUp failed for volume \\\"v\\\" : "
		"secret \\\"s\\\" not found\","
		"\"count\":1,\"lastTimestamp\":\"2026-07-31T12:00:01Z\"}");
	ck_assert_int_eq(answer(&q, 201), SV_RECORDER_TAKEN);
	ck_assert_uint_eq(r.counts.sent, 1);
	none();
	ck_assert_int_eq(sv_recorder_wait(&r, now), -1);
}
END_TEST

START_TEST(a_repetition_counts_the_event_up)
{
	struct sv_recorder_request first, q;
	sv_autofree char *body = NULL;

	note("text");
	first = take();
	body = strdup(first.body);
	answer(&first, 201);
	now += MINUTE;
	note("text");
	note("text");
	q = take();
	ck_assert(!q.create);
	ck_assert_int_eq(strncmp(q.path, "/api/v1/namespaces/team/events/web.", 35), 0);
	ck_assert_ptr_nonnull(strstr(body, strrchr(q.path, '/') + 1)); /* its name */
	ck_assert_str_eq(q.body, "{\"count\":3,\"lastTimestamp\":\"2026-07-31T12:01:01Z\"}");
	answer(&q, 200);
	none();
	ck_assert_uint_eq(r.counts.sent, 2);
}
END_TEST

START_TEST(what_is_no_warning_is_normal)
{
	struct sv_recorder_request q;

	ck_assert_int_eq(sv_recorder_note(&r, pod, false, "SecretUpdated", "t", now, UNIX_MS), 0);
	q = take();
	expect(&q, "type", "Normal");
	expect(&q, "reason", "SecretUpdated");
	done(&q);
}
END_TEST

static const struct {
	const char *pod, *name;
	size_t len;
} names[] = {
	{ "p", "p.", 18 },
	{ "a.b-c", "a.b-c.", 22 },
	{ "236", NULL, 253 }, /* so many letters */
	{ "253", NULL, 253 },
};

START_TEST(names_fit_into_253_bytes)
{
	size_t n = (size_t)atoi(names[_i].pod);
	sv_autofree char *name = n ? t_repeat('x', n) : strdup(names[_i].pod);
	sv_autopod struct sv_pod *p = t_pod(name, "v=s");
	struct sv_recorder_request q;
	const char *got;

	note_of(p, "FailedMount", "t");
	q = take();
	answer(&q, 201);
	now += MINUTE;
	note_of(p, "FailedMount", "t");
	q = take();
	got = strrchr(q.path, '/') + 1;
	ck_assert_uint_eq(strlen(got), names[_i].len);
	if (names[_i].name)
		ck_assert_int_eq(strncmp(got, names[_i].name, strlen(names[_i].name)), 0);
	ck_assert_ptr_null(sv_check_subdomain(got));
	done(&q);
}
END_TEST

START_TEST(a_name_that_is_cut_ends_with_a_letter)
{
	sv_autofree char *xs = t_repeat('x', 235), *name = sv_asprintf("%s.%s", xs, "yyy");
	sv_autopod struct sv_pod *p = t_pod(name, "v=s");
	struct sv_recorder_request q;

	note_of(p, "FailedMount", "t");
	q = take();
	answer(&q, 201);
	now += MINUTE;
	note_of(p, "FailedMount", "t");
	q = take();
	ck_assert_ptr_null(sv_check_subdomain(strrchr(q.path, '/') + 1));
	done(&q);
}
END_TEST

START_TEST(events_of_one_moment_have_different_names)
{
	struct sv_recorder_request a, b;
	t_autotree struct json_object *oa = NULL, *ob = NULL;

	note("one");
	note("two");
	a = take();
	b = take();
	ck_assert_int_eq(sv_json_parse(a.body, strlen(a.body), &oa, NULL, NULL), 0);
	ck_assert_int_eq(sv_json_parse(b.body, strlen(b.body), &ob, NULL, NULL), 0);
	ck_assert_str_ne(t_json(json_object_object_get(oa, "metadata")),
			 t_json(json_object_object_get(ob, "metadata")));
	done(&a);
	done(&b);
}
END_TEST

START_TEST(a_text_is_one_printable_line_of_bounded_length)
{
	sv_autofree char *text = t_repeat('x', 3000);
	sv_autofree char *got = NULL;
	struct sv_recorder_request q;

	note("a\nb\xff \"ü\\");
	q = take();
	expect(&q, "message", "a\\nb\\xff \"ü\\");
	answer(&q, 201);
	note(text);
	q = take();
	got = member(&q, "message");
	ck_assert_uint_lt(strlen(got), SV_RECORDER_MESSAGE_MAX);
	ck_assert_uint_gt(strlen(got), SV_RECORDER_MESSAGE_MAX - 8);
	ck_assert_str_eq(got + strlen(got) - 3, "…");
	done(&q);
}
END_TEST

START_TEST(a_body_is_json_whatever_a_uid_holds)
{
	sv_autopod struct sv_pod *p = t_pod("p", "v=s");
	t_autotree struct json_object *o = NULL;
	struct sv_recorder_request q;

	free(p->uid);
	p->uid = strdup("\n\"\\\x01");
	note_of(p, "FailedMount", "t");
	q = take();
	ck_assert_int_eq(sv_json_parse(q.body, strlen(q.body), &o, NULL, NULL), 0);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(
				 json_object_object_get(o, "involvedObject"), "uid")),
			 p->uid);
	done(&q);
}
END_TEST

START_TEST(what_is_no_name_gets_into_no_path)
{
	sv_autopod struct sv_pod *p = t_pod("p", "v=s");

	free(p->ns);
	p->ns = strdup("a/../b");
	note_of(p, "FailedMount", "t");
	none();
	ck_assert_uint_eq(r.counts.dropped, 1);
}
END_TEST

START_TEST(what_differs_is_another_event)
{
	sv_autopod struct sv_pod *again = t_pod("team/web@another", "v=s");
	sv_autopod struct sv_pod *other = t_pod("other/web@0b4c3c1e", "v=s");

	note("t");
	note("u");
	note_of(pod, "SecretUpdated", "t");
	note_of(again, "FailedMount", "t");
	note_of(other, "FailedMount", "t");
	note("t");
	ck_assert_uint_eq(r.known.n, 5);
	ck_assert_uint_eq(flush(), 5);
}
END_TEST

/* ---- distances ----------------------------------------------------------------------------- */

START_TEST(repetitions_are_patched_at_growing_distances)
{
	static const int64_t seconds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300 };
	struct sv_recorder_request q;
	size_t i;

	note("t");
	flush();
	for (i = 0; i < SV_ARRAY_SIZE(seconds); i++) {
		note("t");
		none();
		ck_assert_int_eq(sv_recorder_wait(&r, now), seconds[i] * 1000);
		now += seconds[i] * 1000 - 1;
		none();
		now += 1;
		note("t"); /* and is in the count already */
		q = take();
		ck_assert(!q.create);
		answer(&q, 200);
	}
	note("t");
	now += SV_RECORDER_REPEAT_MAX_MS;
	q = take();
	expect(&q, "count", "24");
	done(&q);
}
END_TEST

START_TEST(distances_are_short_again_after_a_time_of_quiet)
{
	int i;

	note("t");
	flush();
	for (i = 0; i < 10; i++) {
		note("t");
		now += SV_RECORDER_REPEAT_MAX_MS;
		ck_assert_uint_eq(flush(), 1);
	}
	now += SV_RECORDER_SIMILAR_MS + 1;
	note("t");
	ck_assert_uint_eq(flush(), 1);
	note("t");
	ck_assert_int_eq(sv_recorder_wait(&r, now), SV_RECORDER_REPEAT_FIRST_MS);
}
END_TEST

START_TEST(what_repeats_while_it_is_sent_is_patched_in_the_end)
{
	struct sv_recorder_request q;

	note("t");
	q = take();
	note("t");
	note("t");
	none(); /* one request of an Event at a time */
	answer(&q, 201);
	now += SV_RECORDER_REPEAT_FIRST_MS;
	q = take();
	expect(&q, "count", "3");
	answer(&q, 200);
	none();
}
END_TEST

/* ---- many of them -------------------------------------------------------------------------- */

static void note_number(const struct sv_pod *p, unsigned n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "text %u", n);
	note_of(p, "FailedMount", text);
}

START_TEST(more_than_ten_texts_become_one_event)
{
	struct sv_recorder_request q;
	unsigned i;

	for (i = 0; i < 10; i++)
		note_number(pod, i);
	ck_assert_uint_eq(flush(), 10);
	note_number(pod, 10);
	note_number(pod, 11);
	q = take();
	ck_assert(q.create);
	expect(&q, "message", "(combined from similar events): text 11");
	expect(&q, "count", "2");
	answer(&q, 201);
	now += MINUTE;
	note_number(pod, 12);
	q = take();
	ck_assert(!q.create);
	ck_assert_str_eq(q.body, "{\"message\":\"(combined from similar events): text 12\","
				 "\"count\":3,\"lastTimestamp\":\"2026-07-31T12:01:01Z\"}");
	answer(&q, 200);
	ck_assert_uint_eq(r.known.n, 11);
	note_number(pod, 3); /* one of the ten is still its own */
	q = take();
	expect(&q, "count", "2");
	expect(&q, "message", NULL);
	answer(&q, 200);
	ck_assert_uint_eq(r.counts.combined, 3);
}
END_TEST

START_TEST(reasons_and_pods_are_combined_apart)
{
	sv_autopod struct sv_pod *other = t_pod("team/other", "v=s");
	struct sv_recorder_request q;
	unsigned i;

	for (i = 0; i < 10; i++)
		note_number(pod, i);
	ck_assert_uint_eq(flush(), 10);
	note_of(pod, "SecretUpdated", "text 10");
	q = take();
	expect(&q, "message", "text 10");
	answer(&q, 201);
	note_number(other, 10);
	q = take();
	expect(&q, "message", "text 10");
	answer(&q, 201);
}
END_TEST

START_TEST(texts_stay_apart_again_ten_minutes_later)
{
	struct sv_recorder_request q;
	unsigned i;

	for (i = 0; i < 11; i++)
		note_number(pod, i);
	flush();
	now += SV_RECORDER_SIMILAR_MS;
	note_number(pod, 20);
	q = take();
	expect(&q, "message", "(combined from similar events): text 20");
	answer(&q, 200);
	now += 1;
	for (i = 21; i < 31; i++) { /* the combined one is none of them */
		sv_autofree char *text = sv_asprintf("text %u", i);

		note_number(pod, i);
		q = take();
		expect(&q, "message", text);
		answer(&q, 201);
	}
}
END_TEST

START_TEST(a_pod_has_25_events_and_one_more_each_five_minutes)
{
	sv_autopod struct sv_pod *other = t_pod("team/other", "v=s");
	static const char *const reasons[] = { "A", "B", "C", "D", "E", "F" };
	char text[8];
	unsigned i;

	for (i = 0; i < 30; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		note_of(pod, reasons[i / 5], text);
	}
	ck_assert_uint_eq(flush(), 25);
	ck_assert_uint_eq(r.counts.dropped, 5);
	note_of(other, "A", "t"); /* has tokens of its own */
	ck_assert_uint_eq(flush(), 1);
	now += SV_RECORDER_TOKEN_MS - 1;
	note_of(pod, "F", "new");
	ck_assert_uint_eq(flush(), 0);
	now += 1;
	note_of(pod, "F", "new"); /* what was dropped before is a new one now */
	note_of(pod, "F", "newer");
	ck_assert_uint_eq(flush(), 1);
	now += 100LL * SV_RECORDER_TOKEN_MS;
	for (i = 0; i < 30; i++) {
		(void)snprintf(text, sizeof(text), "%u", i + 100);
		note_of(pod, reasons[i / 5], text);
	}
	ck_assert_uint_eq(flush(), 25); /* no more however long it was quiet */
}
END_TEST

START_TEST(a_count_waits_for_a_token)
{
	static const char *const reasons[] = { "A", "B", "C", "D", "E" };
	struct sv_recorder_request q;
	char text[8];
	unsigned i;

	for (i = 0; i < 25; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		note_of(pod, reasons[i / 5], text);
	}
	ck_assert_uint_eq(flush(), 25);
	now += MINUTE;
	note_of(pod, "A", "0");
	none();
	ck_assert_int_eq(sv_recorder_wait(&r, now), SV_RECORDER_TOKEN_MS - MINUTE);
	now += SV_RECORDER_TOKEN_MS - MINUTE;
	q = take();
	ck_assert(!q.create);
	expect(&q, "count", "2");
	answer(&q, 200);
	ck_assert_uint_eq(r.counts.dropped, 0);
}
END_TEST

START_TEST(requests_of_one_moment_are_few)
{
	struct sv_recorder_request q[SV_RECORDER_UNDER_WAY_MAX];
	unsigned i;

	for (i = 0; i < 6; i++)
		note_number(pod, i);
	for (i = 0; i < SV_RECORDER_UNDER_WAY_MAX; i++)
		q[i] = take();
	none();
	ck_assert_int_eq(sv_recorder_wait(&r, now), -1); /* the next answer makes room */
	answer(&q[0], 201);
	ck_assert_int_eq(sv_recorder_wait(&r, now), 0);
	q[0] = take();
	none();
	for (i = 0; i < SV_RECORDER_UNDER_WAY_MAX; i++)
		answer(&q[i], 201);
	ck_assert_uint_eq(flush(), 1);
}
END_TEST

static struct sv_pod *numbered_pod(unsigned n)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "team/p%u", n);
	return t_pod(name, "v=s");
}

static void note_each(unsigned from, unsigned to)
{
	unsigned i;

	for (i = from; i < to; i++) {
		sv_autopod struct sv_pod *p = numbered_pod(i);

		note_of(p, "FailedMount", "t");
	}
}

START_TEST(a_repetition_is_counted_though_there_is_no_room_to_send_it)
{
	struct sv_recorder_request q;

	note("first");
	flush();
	note_each(0, SV_RECORDER_WAITING_MAX);
	note("first");
	ck_assert_uint_eq(r.n_waiting, SV_RECORDER_WAITING_MAX);
	ck_assert_uint_eq(r.counts.dropped, 1);
	flush();
	note("first");
	now += MINUTE;
	q = take();
	expect(&q, "count", "3");
	answer(&q, 200);
}
END_TEST

START_TEST(over_256_that_wait_the_oldest_repetition_goes)
{
	struct sv_recorder_request q;

	note("first");
	note("second");
	flush();
	note("first");
	note("second");
	note_each(0, SV_RECORDER_WAITING_MAX - 2);
	ck_assert_uint_eq(r.n_waiting, SV_RECORDER_WAITING_MAX);
	ck_assert_uint_eq(r.counts.dropped, 0);
	note_each(1000, 1001); /* in the place of first's count */
	ck_assert_uint_eq(r.n_waiting, SV_RECORDER_WAITING_MAX);
	ck_assert_uint_eq(r.counts.dropped, 1);
	note_each(1001, 1004); /* second's; and the others have none to take */
	ck_assert_uint_eq(r.counts.dropped, 4);
	ck_assert_uint_eq(r.n_waiting, SV_RECORDER_WAITING_MAX);
	ck_assert_uint_eq(r.known.n, 2 + SV_RECORDER_WAITING_MAX);
	ck_assert_uint_eq(flush(), SV_RECORDER_WAITING_MAX);
	now += MINUTE;
	note("first");
	q = take();
	expect(&q, "count", "3"); /* nothing is lost but the moment */
	answer(&q, 200);
}
END_TEST

START_TEST(over_1024_that_are_known_the_oldest_is_forgotten)
{
	unsigned i;
	struct sv_recorder_request q;

	note("old");
	note("kept");
	flush();
	now++;
	for (i = 0; i < SV_RECORDER_KNOWN_MAX - 2; i++) {
		note_each(i, i + 1);
		flush();
	}
	ck_assert_uint_eq(r.known.n, SV_RECORDER_KNOWN_MAX);
	now += MINUTE;
	note("kept");
	ck_assert_uint_eq(flush(), 1);
	note_each(5000, 5001);
	ck_assert_uint_eq(r.known.n, SV_RECORDER_KNOWN_MAX);
	ck_assert_uint_eq(flush(), 1);
	now += MINUTE;
	note("kept");
	q = take();
	ck_assert(!q.create);
	expect(&q, "count", "3");
	answer(&q, 200);
	note("old");
	q = take();
	ck_assert(q.create);
	expect(&q, "count", "1");
	answer(&q, 201);
	ck_assert_uint_eq(r.known.n, SV_RECORDER_KNOWN_MAX);
	ck_assert_uint_le(r.pods.n, SV_RECORDER_KNOWN_MAX);
}
END_TEST

START_TEST(what_waits_is_not_forgotten)
{
	struct sv_recorder_request q;

	note("waits");
	flush();
	note("waits");
	note_each(0, 1);
	q = take(); /* as is what is under way */
	now += 10;
	note_each(1, SV_RECORDER_WAITING_MAX);
	now += 10;
	flush();
	for (unsigned i = SV_RECORDER_WAITING_MAX; i < SV_RECORDER_KNOWN_MAX + 10; i++) {
		note_each(i, i + 1);
		flush();
	}
	ck_assert_uint_eq(r.known.n, SV_RECORDER_KNOWN_MAX);
	ck_assert_int_eq(answer(&q, 201), SV_RECORDER_TAKEN);
	now += MINUTE;
	q = take();
	expect(&q, "count", "2");
	answer(&q, 200);
}
END_TEST

/* ---- answers ------------------------------------------------------------------------------- */

enum { TAKEN = SV_RECORDER_TAKEN, AGAIN = SV_RECORDER_AGAIN, GIVEN_UP = SV_RECORDER_GIVEN_UP };

static const struct {
	bool repetition;
	int code;
	int want; /* verdict */
	uint64_t sent, failed;
	int64_t wait_ms; /* for the next request, -1: there is none */
	bool creates;    /* it, or the next time that it is heard of, makes a new Event */
} answers[] = {
	{ false, 201, TAKEN, 1, 0, -1, false },
	{ false, 200, TAKEN, 1, 0, -1, false },
	{ false, 409, TAKEN, 1, 0, -1, false }, /* an earlier try had made it */
	{ false, 400, GIVEN_UP, 0, 1, -1, true },
	{ false, 404, GIVEN_UP, 0, 1, -1, true }, /* no such namespace */
	{ false, 405, GIVEN_UP, 0, 1, -1, true },
	{ false, 413, GIVEN_UP, 0, 1, -1, true },
	{ false, 422, GIVEN_UP, 0, 1, -1, true },
	{ false, 0, AGAIN, 0, 0, 125, true },
	{ false, 302, AGAIN, 0, 0, 125, true },
	{ false, 401, AGAIN, 0, 0, 125, true },
	{ false, 408, AGAIN, 0, 0, 125, true },
	{ false, 429, AGAIN, 0, 0, 125, true },
	{ false, 500, AGAIN, 0, 0, 125, true },
	{ false, 503, AGAIN, 0, 0, 125, true },
	{ true, 200, TAKEN, 2, 0, -1, false },
	{ true, 404, AGAIN, 1, 0, 0, true }, /* it had expired */
	{ true, 409, AGAIN, 1, 0, 125, false },
	{ true, 500, AGAIN, 1, 0, 125, false },
	{ true, 422, GIVEN_UP, 1, 1, -1, true },
};

START_TEST(answers_decide_what_is_sent_next)
{
	struct sv_recorder_request q;

	note("t");
	q = take();
	if (answers[_i].repetition) {
		answer(&q, 201);
		now += MINUTE;
		note("t");
		q = take();
	}
	ck_assert_int_eq(answer(&q, answers[_i].code), answers[_i].want);
	ck_assert_uint_eq(r.counts.sent, answers[_i].sent);
	ck_assert_uint_eq(r.counts.failed, answers[_i].failed);
	ck_assert_uint_eq(r.counts.dropped, 0);
	ck_assert_int_eq(sv_recorder_wait(&r, now), answers[_i].wait_ms);
	now += MINUTE;
	if (answers[_i].wait_ms < 0)
		note("t");
	q = take();
	ck_assert_int_eq(q.create, answers[_i].creates);
	done(&q);
}
END_TEST

START_TEST(an_event_that_expired_is_made_anew_with_its_count)
{
	struct sv_recorder_request q;
	sv_autofree char *old = NULL;

	note("t");
	flush();
	now += 90LL * MINUTE;
	note("t");
	q = take();
	old = strdup(strrchr(q.path, '/') + 1);
	answer(&q, 404);
	q = take();
	ck_assert(q.create);
	ck_assert_ptr_null(strstr(q.body, old)); /* under another name */
	expect(&q, "count", "2");
	expect(&q, "firstTimestamp", "2026-07-31T12:00:01Z");
	expect(&q, "lastTimestamp", "2026-07-31T13:30:01Z");
	answer(&q, 201);
	none();
}
END_TEST

START_TEST(a_try_after_a_lost_answer_has_the_same_name)
{
	struct sv_recorder_request q;
	t_autotree struct json_object *a = NULL, *b = NULL;

	note("t");
	q = take();
	ck_assert_int_eq(sv_json_parse(q.body, strlen(q.body), &a, NULL, NULL), 0);
	answer(&q, 0);
	now += MINUTE;
	q = take();
	ck_assert_int_eq(sv_json_parse(q.body, strlen(q.body), &b, NULL, NULL), 0);
	ck_assert_str_eq(t_json(json_object_object_get(a, "metadata")),
			 t_json(json_object_object_get(b, "metadata")));
	ck_assert_int_eq(answer(&q, 409), SV_RECORDER_TAKEN);
	none();
}
END_TEST

START_TEST(tries_are_further_and_further_apart_and_come_to_an_end)
{
	struct sv_recorder_request q;
	int64_t began = now, last = 0;
	unsigned tries = 0;
	int verdict;

	note("t");
	do {
		int64_t wait = sv_recorder_wait(&r, now);

		ck_assert_int_ge(wait, last);
		ck_assert_int_le(wait, SV_BACKOFF_MAX_MS);
		last = wait;
		now += wait;
		q = take();
		tries++;
		verdict = answer(&q, 500);
	} while (verdict == SV_RECORDER_AGAIN);
	ck_assert_int_eq(verdict, SV_RECORDER_GIVEN_UP);
	ck_assert_int_ge(now - began, SV_RECORDER_TRY_MS);
	ck_assert_int_le(now - began, SV_RECORDER_TRY_MS + SV_BACKOFF_MAX_MS);
	ck_assert_uint_gt(tries, 10);
	ck_assert_uint_lt(tries, 40);
	ck_assert_uint_eq(r.counts.failed, 1);
	ck_assert_int_eq(sv_recorder_wait(&r, now), -1);
	note("t"); /* of which there is another try when it happens again */
	now += MINUTE;
	ck_assert_uint_eq(flush(), 1);
}
END_TEST

START_TEST(what_was_sent_once_is_tried_as_long_again)
{
	struct sv_recorder_request q;

	note("t");
	flush();
	now += 2LL * SV_RECORDER_TRY_MS;
	note("t");
	q = take();
	ck_assert_int_eq(answer(&q, 500), SV_RECORDER_AGAIN);
}
END_TEST

START_TEST(what_was_dropped_is_tried_as_long_again)
{
	struct sv_recorder_request q;

	note("t");
	flush();
	now += MINUTE;
	note("t");
	q = take();
	ck_assert_int_eq(answer(&q, 500), SV_RECORDER_AGAIN);
	note_each(0, SV_RECORDER_WAITING_MAX);
	ck_assert_uint_eq(r.counts.dropped, 1);
	now += 2LL * SV_RECORDER_TRY_MS;
	ck_assert_uint_eq(flush(), SV_RECORDER_WAITING_MAX);
	note("t");
	q = take();
	ck_assert_int_eq(answer(&q, 500), SV_RECORDER_AGAIN);
}
END_TEST

START_TEST(a_try_costs_no_second_token)
{
	static const char *const reasons[] = { "A", "B", "C" };
	struct sv_recorder_request q;
	char text[8];
	unsigned i;

	note("t");
	for (i = 0; i < 5; i++) {
		now += MINUTE / 2;
		q = take();
		ck_assert_int_eq(answer(&q, 500), SV_RECORDER_AGAIN);
	}
	for (i = 0; i < 24; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		note_of(pod, reasons[i / 8], text);
	}
	now += MINUTE;
	ck_assert_uint_eq(flush(), 25);
}
END_TEST

START_TEST(others_wait_while_the_server_is_in_trouble)
{
	struct sv_recorder_request a, b;

	note("a");
	note("b");
	note("c");
	a = take();
	b = take();
	answer(&a, 503);
	none();
	answer(&b, 503);
	ck_assert_int_eq(sv_recorder_wait(&r, now), SV_BACKOFF_FIRST_MS / 2); /* one failure */
	now += SV_BACKOFF_FIRST_MS / 2;
	ck_assert_uint_eq(flush(), 3);
}
END_TEST

static const struct {
	int64_t asked_ms, wait_ms;
} retry_after[] = {
	{ 0, 125 },
	{ 100, 125 },
	{ 7000, 7000 },
	{ 3600000, SV_RETRY_AFTER_MAX_MS },
};

START_TEST(the_server_is_left_alone_as_long_as_it_asks_for)
{
	const struct sv_wire_status status = { .code = 429,
					       .retry_after_ms = retry_after[_i].asked_ms };
	struct sv_recorder_request q;

	note("t");
	note("u");
	q = take();
	ck_assert_int_eq(sv_recorder_answered(&r, q.event, &status, now, 0), SV_RECORDER_AGAIN);
	done(&q);
	ck_assert_int_eq(sv_recorder_wait(&r, now), retry_after[_i].wait_ms);
	now += retry_after[_i].wait_ms - 1;
	none();
	now += 1;
	ck_assert_uint_eq(flush(), 2);
}
END_TEST

START_TEST(without_the_right_nothing_is_recorded_for_ten_minutes)
{
	struct sv_recorder_request q, second;
	const char *ns;

	note("a");
	note("b");
	note("c");
	q = take();
	second = take();
	ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED);
	ck_assert_uint_eq(r.counts.dropped, 1); /* c */
	ck_assert_int_eq(answer(&second, 403), SV_RECORDER_DENIED);
	ck_assert_uint_eq(r.counts.denied, 2);
	ck_assert_uint_eq(r.counts.failed, 0);
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 1);
	ck_assert_str_eq(ns, "team");
	ck_assert_int_eq(sv_recorder_wait(&r, now), SV_RECORDER_OFF_MS);
	now += SV_RECORDER_OFF_MS - 1;
	note("a");
	note("d");
	none();
	ck_assert_uint_eq(r.counts.dropped, 3);
	now += 1;
	note("d");
	ck_assert_uint_eq(flush(), 2); /* with a, which was kept */
	none();
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 0);
	ck_assert_str_eq(ns, "");
}
END_TEST

START_TEST(a_namespace_that_is_denied_silences_no_other)
{
	sv_autopod struct sv_pod *other = t_pod("shop/web@1", "v=s");
	struct sv_recorder_request q;
	const char *ns;

	note("a");
	note_of(other, "FailedMount", "a");
	note("b");
	q = take();
	ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED);
	ck_assert_uint_eq(r.counts.dropped, 1); /* b */
	ck_assert_uint_eq(flush(), 1);
	note("c");
	note_of(other, "FailedMount", "b");
	ck_assert_uint_eq(flush(), 1);
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 1); /* what others take says nothing of it */
	ck_assert_str_eq(ns, "team");
	note_of(other, "FailedMount", "c");
	q = take();
	ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED); /* taken away */
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 2);
	now += SV_RECORDER_OFF_MS;
	ck_assert_uint_eq(flush(), 2);
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 0);
}
END_TEST

/* Right after its time another Event of the namespace is denied first: one is kept, not two. */
START_TEST(of_a_namespace_one_event_finds_out)
{
	struct sv_recorder_request q, scout;
	const char *ns;

	note("a");
	scout = take();
	ck_assert_int_eq(answer(&scout, 403), SV_RECORDER_DENIED);
	now += SV_RECORDER_OFF_MS;
	note("b");
	scout = take();
	q = take();
	ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED);
	ck_assert_int_eq(answer(&scout, 403), SV_RECORDER_DENIED);
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 1);
	now += SV_RECORDER_OFF_MS;
	q = take();
	none();
	ck_assert_int_eq(answer(&q, 400),
			 SV_RECORDER_GIVEN_UP); /* allowed, or at least not denied */
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 0);
}
END_TEST

static void note_in(size_t i)
{
	sv_autofree char *name = sv_asprintf("ns-%zu/web@%zu", i, i);
	sv_autopod struct sv_pod *p = t_pod(name, "v=s");

	note_of(p, "FailedMount", "a");
}

START_TEST(many_namespaces_that_are_denied_silence_all)
{
	struct sv_recorder_request q;
	const char *ns;
	size_t i;

	for (i = 0; i < SV_RECORDER_DENIED_MAX; i++) {
		note_in(i);
		q = take();
		ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED);
		now += 1;
	}
	note("a");
	none();
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), SV_RECORDER_DENIED_MAX);
	now += SV_RECORDER_OFF_MS - SV_RECORDER_DENIED_MAX;
	note("a"); /* the first may be tried again */
	ck_assert_uint_eq(flush(), 2);
}
END_TEST

/* Patches that were denied are kept when there is room for no more. */
START_TEST(what_finds_out_makes_no_room_for_others)
{
	struct sv_recorder_request q;
	const char *ns;
	size_t i;

	note("a");
	ck_assert_uint_eq(flush(), 1);
	now += SV_RECORDER_REPEAT_FIRST_MS;
	note("a");
	q = take();
	ck_assert(!q.create);
	ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED);
	for (i = 0; i < SV_RECORDER_WAITING_MAX; i++)
		note_in(i);
	ck_assert_uint_eq(r.counts.dropped, 1);
	ck_assert_uint_eq(sv_recorder_denied(&r, &ns), 1);
	ck_assert_str_eq(ns, "team");
}
END_TEST

START_TEST(one_is_tried_every_ten_minutes_until_the_right_is_there)
{
	struct sv_recorder_request q;
	int i;

	note("a");
	q = take();
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(answer(&q, 403), SV_RECORDER_DENIED);
		ck_assert_int_eq(sv_recorder_wait(&r, now), SV_RECORDER_OFF_MS);
		now += SV_RECORDER_OFF_MS;
		q = take();
	}
	ck_assert_int_eq(answer(&q, 500),
			 SV_RECORDER_AGAIN); /* however long ago the first try was */
	now += MINUTE;
	ck_assert_uint_eq(flush(), 1);
	ck_assert_uint_eq(r.counts.failed + r.counts.dropped, 0);
}
END_TEST

START_TEST(a_namespace_that_is_deleted_is_no_lack_of_rights)
{
	const struct sv_wire_status status = { .code = 403, .terminating = true };
	struct sv_recorder_request q;

	note("a");
	note("b");
	q = take();
	ck_assert_int_eq(sv_recorder_answered(&r, q.event, &status, now, 0), SV_RECORDER_GIVEN_UP);
	done(&q);
	ck_assert_uint_eq(flush(), 1);
}
END_TEST

START_TEST(a_terminating_namespace_is_told_from_a_status)
{
	static const char text[] =
		"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
		"\"message\":\"events \\\"p.1\\\" is forbidden: unable to create new content in "
		"namespace x because it is being terminated\",\"reason\":\"Forbidden\","
		"\"details\":{\"name\":\"p.1\",\"kind\":\"events\",\"causes\":[{\"reason\":"
		"\"NamespaceTerminating\",\"message\":\"namespace x is being terminated\","
		"\"field\":\"metadata.namespace\"}]},\"code\":403}";
	struct sv_wire_status status;

	sv_wire_status(text, sizeof(text) - 1, 403, &status);
	ck_assert(status.terminating);
	sv_wire_status("{\"kind\":\"Status\",\"code\":403}", 28, 403, &status);
	ck_assert(!status.terminating);
}
END_TEST

START_TEST(what_is_under_way_at_the_end_is_freed)
{
	struct sv_recorder_request q;

	note("a");
	note("b");
	q = take();
	done(&q);
}
END_TEST

T_SUITE(recorder)
{
	T_AROUND(setup, teardown);
	T_TEST(a_new_event_looks_like_the_kubelets);
	T_TEST(a_repetition_counts_the_event_up);
	T_TEST(what_is_no_warning_is_normal);
	T_EACH(names_fit_into_253_bytes, names);
	T_TEST(a_name_that_is_cut_ends_with_a_letter);
	T_TEST(events_of_one_moment_have_different_names);
	T_TEST(a_text_is_one_printable_line_of_bounded_length);
	T_TEST(a_body_is_json_whatever_a_uid_holds);
	T_TEST(what_is_no_name_gets_into_no_path);
	T_TEST(what_differs_is_another_event);
	T_TEST(repetitions_are_patched_at_growing_distances);
	T_TEST(distances_are_short_again_after_a_time_of_quiet);
	T_TEST(what_repeats_while_it_is_sent_is_patched_in_the_end);
	T_TEST(more_than_ten_texts_become_one_event);
	T_TEST(reasons_and_pods_are_combined_apart);
	T_TEST(texts_stay_apart_again_ten_minutes_later);
	T_TEST(a_pod_has_25_events_and_one_more_each_five_minutes);
	T_TEST(a_count_waits_for_a_token);
	T_TEST(requests_of_one_moment_are_few);
	T_TEST(a_repetition_is_counted_though_there_is_no_room_to_send_it);
	T_TEST(over_256_that_wait_the_oldest_repetition_goes);
	T_TEST(over_1024_that_are_known_the_oldest_is_forgotten);
	T_TEST(what_waits_is_not_forgotten);
	T_EACH(answers_decide_what_is_sent_next, answers);
	T_TEST(an_event_that_expired_is_made_anew_with_its_count);
	T_TEST(a_try_after_a_lost_answer_has_the_same_name);
	T_TEST(tries_are_further_and_further_apart_and_come_to_an_end);
	T_TEST(what_was_sent_once_is_tried_as_long_again);
	T_TEST(what_was_dropped_is_tried_as_long_again);
	T_TEST(a_try_costs_no_second_token);
	T_TEST(others_wait_while_the_server_is_in_trouble);
	T_EACH(the_server_is_left_alone_as_long_as_it_asks_for, retry_after);
	T_TEST(without_the_right_nothing_is_recorded_for_ten_minutes);
	T_TEST(a_namespace_that_is_denied_silences_no_other);
	T_TEST(of_a_namespace_one_event_finds_out);
	T_TEST(many_namespaces_that_are_denied_silence_all);
	T_TEST(what_finds_out_makes_no_room_for_others);
	T_TEST(one_is_tried_every_ten_minutes_until_the_right_is_there);
	T_TEST(a_namespace_that_is_deleted_is_no_lack_of_rights);
	T_TEST(a_terminating_namespace_is_told_from_a_status);
	T_TEST(what_is_under_way_at_the_end_is_freed);
}
