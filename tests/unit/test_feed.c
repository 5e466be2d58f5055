/* SPDX-License-Identifier: Apache-2.0 */
/* The queues for those who watch, and the list of events: what they hold at most. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "../../daemon/events.h"
#include "../../daemon/feed.h"
#include "../support/support.h"

static struct sv_feed feed;
static unsigned woken;

static void wake(void *arg)
{
	(void)arg;
	woken++;
}

static void setup(void)
{
	feed = (struct sv_feed){ .wake = wake };
	woken = 0;
}

static void teardown(void)
{
	sv_feed_done(&feed);
}

static void add(const char *text)
{
	sv_feed_add(&feed, SV_TOPIC_PODS, "ADDED", json_object_new_string(text));
}

static void add_number(unsigned n)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", n);
	add(text);
}

static void expect_next(uint64_t *pos, const char *want)
{
	bool lost = true;
	const struct sv_feed_entry *e = sv_feed_next(&feed, SV_TOPIC_PODS, pos, &lost);
	sv_autofree char *whole = sv_asprintf("{\"type\":\"ADDED\",\"object\":\"%s\"}\n", want);

	ck_assert(!lost);
	ck_assert_ptr_nonnull(e);
	ck_assert_pstr_eq(e->line, whole);
}

static void expect_lost(uint64_t *pos, bool want)
{
	bool lost = !want;

	ck_assert_ptr_null(sv_feed_next(&feed, SV_TOPIC_PODS, pos, &lost));
	ck_assert_int_eq(lost, want);
}

START_TEST(every_reader_gets_every_line_from_when_it_came)
{
	uint64_t a, b;

	add("nobody reads");
	ck_assert_int_eq(sv_feed_join(&feed, SV_TOPIC_PODS, &a), 0);
	expect_lost(&a, false);
	add("1");
	ck_assert_int_eq(sv_feed_join(&feed, SV_TOPIC_PODS, &b), 0);
	add("2");
	ck_assert_uint_eq(woken, 2);
	expect_next(&a, "1");
	expect_next(&a, "2");
	expect_lost(&a, false);
	expect_next(&b, "2");
	expect_lost(&b, false);
	sv_feed_leave(&feed, SV_TOPIC_PODS);
	add("3");
	expect_next(&a, "3");
	sv_feed_leave(&feed, SV_TOPIC_PODS);
	ck_assert(!sv_feed_has_readers(&feed, SV_TOPIC_PODS));
	add("nobody reads");
	ck_assert_int_eq(sv_feed_join(&feed, SV_TOPIC_PODS, &a), 0);
	add("4");
	expect_next(&a, "4");
	sv_feed_leave(&feed, SV_TOPIC_PODS);
}
END_TEST

START_TEST(who_is_one_line_behind_the_ring_has_lost)
{
	uint64_t slow, slower;
	unsigned i;

	ck_assert_int_eq(sv_feed_join(&feed, SV_TOPIC_PODS, &slower), 0);
	add("first");
	ck_assert_int_eq(sv_feed_join(&feed, SV_TOPIC_PODS, &slow), 0);
	for (i = 0; i < SV_FEED_SIZE; i++) /* "first" is one too many */
		add_number(i);
	expect_lost(&slower, true);
	expect_next(&slow, "0");
	for (i = 1; i < SV_FEED_SIZE; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%u", i);
		expect_next(&slow, text);
	}
	expect_lost(&slow, false);
}
END_TEST

START_TEST(long_lines_push_others_out)
{
	/* {"type":"ADDED","object":""}\n around it */
	size_t frame = strlen("{\"type\":\"ADDED\",\"object\":\"\"}\n"), i;
	sv_autofree char *quarter = t_repeat('q', SV_FEED_BYTES / 4 - frame);
	sv_autofree char *huge = t_repeat('h', 2 * SV_FEED_BYTES);
	uint64_t pos, late;

	ck_assert_int_eq(sv_feed_join(&feed, SV_TOPIC_PODS, &pos), 0);
	for (i = 0; i < 4; i++) /* as much as fits */
		add(quarter);
	late = pos;
	for (i = 0; i < 4; i++)
		expect_next(&late, quarter);
	late = pos;
	expect_next(&late, quarter);
	add(""); /* and one more */
	expect_lost(&pos, true);
	expect_next(&late, quarter);
	add(huge); /* the last one always stays */
	expect_lost(&late, true);
	late = feed.topics[SV_TOPIC_PODS].next - 1;
	expect_next(&late, huge);
	add("small");
	expect_next(&late, "small");
	ck_assert_uint_eq(feed.topics[SV_TOPIC_PODS].bytes, frame + strlen("small"));
}
END_TEST

/* ---- events ------------------------------------------------------------------------------- */

static const struct sv_event *happen(struct sv_events *e, unsigned n)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", n);
	return sv_events_add(e, n, false, "Reason", "default", "p", "v", text);
}

START_TEST(of_too_many_events_the_oldest_go)
{
	struct sv_events e = { NULL, 0 };
	unsigned i;

	for (i = 0; i < SV_EVENTS_MAX; i++)
		ck_assert_uint_eq(happen(&e, i)->count, 1);
	ck_assert_uint_eq(e.n, SV_EVENTS_MAX);
	ck_assert_str_eq(e.items[0].message, "0");
	ck_assert_uint_eq(happen(&e, SV_EVENTS_MAX - 1)->count, 2); /* a repetition */
	ck_assert_uint_eq(e.n, SV_EVENTS_MAX);
	ck_assert_str_eq(e.items[0].message, "0");
	happen(&e, SV_EVENTS_MAX);
	ck_assert_uint_eq(e.n, SV_EVENTS_MAX);
	ck_assert_str_eq(e.items[0].message, "1");
	ck_assert_str_eq(e.items[e.n - 1].message, "1024");
	sv_events_done(&e);
}
END_TEST

T_SUITE(feed)
{
	T_AROUND(setup, teardown);
	T_TEST(every_reader_gets_every_line_from_when_it_came);
	T_TEST(who_is_one_line_behind_the_ring_has_lost);
	T_TEST(long_lines_push_others_out);
	T_TEST(of_too_many_events_the_oldest_go);
}
