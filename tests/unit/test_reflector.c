/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/reflector.h"
#include "../support/support.h"

#define autoreflector __attribute__((cleanup(sv_reflector_done)))

static const struct sv_wire_status silence; /* the server said nothing */

static char *query(const struct sv_reflector *r, uint32_t random)
{
	struct sv_buf b = { 0 };

	sv_reflector_query(r, random, &b);
	ck_assert(!b.failed);
	return sv_buf_take(&b);
}

static void asks(const struct sv_reflector *r, const char *want)
{
	sv_autofree char *q = query(r, 0);

	ck_assert_str_eq(q, want);
}

static void listed(struct sv_reflector *r, const char *version)
{
	ck_assert_int_eq(sv_reflector_listed(r, version, ""), 1);
}

static int event(struct sv_reflector *r, enum sv_wire_type type, const char *version)
{
	const struct sv_wire_event e = { .type = type, .version = version, .ns = "", .name = "" };

	return sv_reflector_event(r, &e);
}

static int64_t fails(struct sv_reflector *r, int code, int64_t lasted_ms)
{
	const struct sv_wire_status s = { .code = code };

	return sv_reflector_failed(r, &s, lasted_ms, 0);
}

/* In the state in which a watch from version 100 is due. */
static struct sv_reflector watching(void)
{
	struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	listed(&r, "100");
	return r;
}

/* ---- queries ------------------------------------------------------------------------------- */

#define LIST "limit=500"
#define WATCH "watch=true&allowWatchBookmarks=true&timeoutSeconds=300"

START_TEST(a_list_of_any_age_is_asked_for_at_zero)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	asks(&r, LIST "&resourceVersion=0");
}
END_TEST

START_TEST(a_list_from_the_store_names_no_version)
{
	autoreflector struct sv_reflector r = watching();

	sv_reflector_restart(&r, SV_LIST_NEWEST);
	asks(&r, LIST);
}
END_TEST

/* With a limit, servers take the version for the exact one, and an old one is answered by old news. */
START_TEST(a_list_that_is_not_older_than_what_was_seen_has_no_limit)
{
	autoreflector struct sv_reflector r = watching();

	sv_reflector_restart(&r, SV_LIST_SEEN);
	asks(&r, "resourceVersion=100");
}
END_TEST

START_TEST(before_anything_was_seen_there_is_no_version_to_ask_for)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_SEEN);
	asks(&r, LIST);
}
END_TEST

START_TEST(a_watch_goes_on_from_the_version_of_the_list)
{
	autoreflector struct sv_reflector r = watching();

	asks(&r, WATCH "&resourceVersion=100");
}
END_TEST

START_TEST(a_list_without_a_version_is_watched_without_one)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	listed(&r, "");
	asks(&r, WATCH);
}
END_TEST

START_TEST(watches_are_ended_by_the_server_after_300_to_599_seconds)
{
	static const uint32_t randoms[] = { 0, 1, 299, 300, 12345, UINT32_MAX };
	autoreflector struct sv_reflector r = watching();
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(randoms); i++) {
		sv_autofree char *q = query(&r, randoms[i]);
		const char *seconds = strstr(q, "timeoutSeconds=");

		ck_assert_ptr_nonnull(seconds);
		ck_assert_int_ge(atoi(seconds + 15), 300);
		ck_assert_int_lt(atoi(seconds + 15), 600);
	}
}
END_TEST

START_TEST(pages_follow_the_token_until_there_is_none)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	ck_assert_int_eq(sv_reflector_listed(&r, "100", "a b/+=&\"%"), 0);
	asks(&r, LIST "&continue=a%20b%2F%2B%3D%26%22%25");
	ck_assert(!r.synced);
	ck_assert_int_eq(sv_reflector_listed(&r, "100", "t2"), 0);
	asks(&r, LIST "&continue=t2");
	listed(&r, "100");
	ck_assert(r.synced);
	asks(&r, WATCH "&resourceVersion=100");
}
END_TEST

START_TEST(versions_are_opaque)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	listed(&r, "v/1&x\xc3\xa9");
	asks(&r, WATCH "&resourceVersion=v%2F1%26x%C3%A9");
	ck_assert_int_eq(event(&r, SV_WIRE_ADDED, "zzz"), SV_EVENT_TAKE);
	ck_assert_int_eq(event(&r, SV_WIRE_ADDED, "aaa"), SV_EVENT_TAKE);
	ck_assert(!r.reordered);
	asks(&r, WATCH "&resourceVersion=aaa");
}
END_TEST

/* ---- events -------------------------------------------------------------------------------- */

static const struct {
	enum sv_wire_type type;
	const char *version;
	int want;
	const char *after; /* the version that a watch would go on from */
	bool reordered;
} events[] = {
	{ SV_WIRE_ADDED, "101", SV_EVENT_TAKE, "101", false },
	{ SV_WIRE_MODIFIED, "1000", SV_EVENT_TAKE, "1000", false },
	{ SV_WIRE_DELETED, "101", SV_EVENT_TAKE, "101", false },
	{ SV_WIRE_ADDED, "100", SV_EVENT_OLD, "100", false }, /* told twice */
	{ SV_WIRE_DELETED, "100", SV_EVENT_OLD, "100", false },
	{ SV_WIRE_ADDED, "99", SV_EVENT_OLD, "100", true },
	{ SV_WIRE_DELETED, "9", SV_EVENT_OLD, "100", true },
	{ SV_WIRE_BOOKMARK, "200", SV_EVENT_OLD, "200", false },
	{ SV_WIRE_BOOKMARK, "100", SV_EVENT_OLD, "100", false },
	{ SV_WIRE_BOOKMARK, "99", SV_EVENT_OLD, "100", true },
	{ SV_WIRE_UNKNOWN, "500", SV_EVENT_OLD, "100", false },
	{ SV_WIRE_UNKNOWN, "", SV_EVENT_OLD, "100", false },
};

START_TEST(an_event_is_taken_where_it_is_news)
{
	autoreflector struct sv_reflector r = watching();

	ck_assert_int_eq(event(&r, events[_i].type, events[_i].version), events[_i].want);
	ck_assert_str_eq(r.version, events[_i].after);
	ck_assert_int_eq(r.reordered, events[_i].reordered);
}
END_TEST

START_TEST(after_events_out_of_order_everything_is_listed_from_the_store)
{
	autoreflector struct sv_reflector cut = watching(), ended = watching();

	event(&cut, SV_WIRE_ADDED, "99");
	fails(&cut, 0, 5000);
	asks(&cut, LIST);
	listed(&cut, "120");
	ck_assert(!cut.reordered && !cut.rewound);

	event(&ended, SV_WIRE_ADDED, "99");
	ck_assert_int_eq(sv_reflector_ended(&ended, 5000, 0), 0);
	asks(&ended, LIST);
}
END_TEST

START_TEST(a_list_that_is_older_than_what_was_seen_is_told)
{
	autoreflector struct sv_reflector r = watching();

	sv_reflector_restart(&r, SV_LIST_NEWEST);
	listed(&r, "99");
	ck_assert(r.rewound);
	asks(&r, WATCH "&resourceVersion=99");
	sv_reflector_restart(&r, SV_LIST_NEWEST);
	listed(&r, "99");
	ck_assert(!r.rewound);
}
END_TEST

/* ---- failures ------------------------------------------------------------------------------ */

static const struct {
	bool listing;
	enum sv_list_from from;
	struct sv_wire_status status;
	const char *then;
	bool at_once;
} refusals[] = {
	/* R80: a watch that has expired, by its status or by an event */
	{ false, 0, { .code = 410, .reason = "Expired" }, "resourceVersion=100", true },
	{ false, 0, { .code = 410 }, "resourceVersion=100", true },
	{ false, 0, { .code = 200, .reason = "Gone" }, "resourceVersion=100", true },
	{ false, 0, { .reason = "Expired" }, "resourceVersion=100", true },
	/* a list that has, or that is ahead of the server */
	{ true, SV_LIST_SEEN, { .code = 410 }, LIST, true },
	{ true, SV_LIST_ANY, { .code = 410 }, LIST, true },
	{ true, SV_LIST_SEEN, { .code = 504, .too_large_version = true }, LIST, true },
	{ false, 0, { .code = 504, .too_large_version = true }, "resourceVersion=100", true },
	/* what is no matter of versions is asked again as it was */
	{ false, 0, { .code = 0 }, WATCH "&resourceVersion=100", false },
	{ false, 0, { .code = 401 }, WATCH "&resourceVersion=100", false },
	{ false, 0, { .code = 404 }, WATCH "&resourceVersion=100", false },
	{ false, 0, { .code = 429 }, WATCH "&resourceVersion=100", false },
	{ false, 0, { .code = 500 }, WATCH "&resourceVersion=100", false },
	{ false, 0, { .code = 503 }, WATCH "&resourceVersion=100", false },
	{ false, 0, { .code = 504 }, WATCH "&resourceVersion=100", false },
	{ true, SV_LIST_ANY, { .code = 500 }, LIST "&resourceVersion=0", false },
	{ true, SV_LIST_SEEN, { .code = 500 }, "resourceVersion=100", false },
	{ true, SV_LIST_SEEN, { .code = 0 }, "resourceVersion=100", false },
	{ true, SV_LIST_NEWEST, { .code = 403 }, LIST, false },
	/* where a watch is denied, only a list can tell that it no longer is */
	{ false, 0, { .code = 403 }, "resourceVersion=100", false },
};

START_TEST(a_refusal_decides_what_is_asked_next)
{
	autoreflector struct sv_reflector r = watching();
	int64_t ms;

	if (refusals[_i].listing)
		sv_reflector_restart(&r, refusals[_i].from);
	ms = sv_reflector_failed(&r, &refusals[_i].status, 0, 0);
	asks(&r, refusals[_i].then);
	if (refusals[_i].at_once)
		ck_assert_int_eq(ms, 0);
	else
		ck_assert_int_ge(ms, 50);
}
END_TEST

START_TEST(a_server_that_forgets_every_version_is_not_asked_without_pause)
{
	autoreflector struct sv_reflector r = watching();
	int i;

	ck_assert_int_eq(fails(&r, 410, 0), 0);
	for (i = 0; i < 20; i++)
		ck_assert_int_ge(fails(&r, 410, 0), SV_BACKOFF_FIRST_MS / 2);
}
END_TEST

/* A cache that lags behind gives the same version again. */
START_TEST(a_list_whose_version_no_watch_can_go_on_from_is_asked_of_the_store)
{
	autoreflector struct sv_reflector r = watching();

	fails(&r, 410, 0);
	asks(&r, "resourceVersion=100");
	listed(&r, "100");
	fails(&r, 410, 0);
	asks(&r, LIST);
}
END_TEST

START_TEST(a_token_that_expired_begins_the_list_anew)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	ck_assert_int_eq(sv_reflector_listed(&r, "100", "t"), 0);
	fails(&r, 410, 0);
	asks(&r, LIST);
}
END_TEST

START_TEST(a_page_that_failed_is_asked_for_again)
{
	autoreflector struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	ck_assert_int_eq(sv_reflector_listed(&r, "100", "t"), 0);
	fails(&r, 500, 0);
	asks(&r, LIST "&continue=t");
}
END_TEST

START_TEST(a_watch_that_cannot_be_read_is_listed_after_the_third_time)
{
	autoreflector struct sv_reflector r = watching();

	fails(&r, 0, 0);
	fails(&r, 0, 0);
	asks(&r, WATCH "&resourceVersion=100");
	fails(&r, 0, 0);
	asks(&r, "resourceVersion=100");
}
END_TEST

START_TEST(delays_double_up_to_their_limit)
{
	static const int64_t most[] = { 250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
	autoreflector struct sv_reflector low = watching(), high = watching();
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(most); i++) {
		/* the one random number that gives most of all the delays: all of it fits its half */
		ck_assert_int_eq(fails(&low, 500, 0), most[i] / 2);
		ck_assert_int_eq(sv_backoff_ms((unsigned)i + 1, (uint32_t)most[i] / 2), most[i]);
		ck_assert_int_eq(sv_reflector_failed(&high, &(struct sv_wire_status){ .code = 500 },
						     0, (uint32_t)most[i] / 2),
				 most[i]);
	}
}
END_TEST

START_TEST(jitter_stays_between_half_of_a_delay_and_all_of_it)
{
	uint32_t random = 1;
	int64_t least = INT64_MAX, most = 0;
	int i;

	for (i = 0; i < 100000; i++) {
		int64_t ms;

		random = random * 1103515245 + 12345;
		ms = sv_backoff_ms(1 + (unsigned)i % 100, random);
		ck_assert_int_ge(ms, SV_BACKOFF_FIRST_MS / 2);
		ck_assert_int_le(ms, SV_BACKOFF_MAX_MS);
		if (i % 100 < 20)
			continue;
		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	ck_assert_int_lt(least, SV_BACKOFF_MAX_MS * 55 / 100);
	ck_assert_int_gt(most, SV_BACKOFF_MAX_MS * 95 / 100);
	ck_assert_int_le(sv_backoff_ms(UINT32_MAX, UINT32_MAX), SV_BACKOFF_MAX_MS);
}
END_TEST

START_TEST(a_watch_that_lasted_ends_a_row_of_failures)
{
	autoreflector struct sv_reflector r = watching();
	int i;

	for (i = 0; i < 6; i++)
		fails(&r, 500, 0);
	ck_assert_int_eq(fails(&r, 0, SV_WATCH_MIN_MS), SV_BACKOFF_FIRST_MS / 2);
	for (i = 0; i < 6; i++)
		fails(&r, 500, 0);
	ck_assert_int_eq(sv_reflector_ended(&r, SV_WATCH_MIN_MS, 0), 0);
	ck_assert_int_eq(fails(&r, 500, 0), SV_BACKOFF_FIRST_MS / 2);
}
END_TEST

START_TEST(a_list_that_came_ends_a_row_of_failed_lists)
{
	autoreflector struct sv_reflector r;
	int i;

	sv_reflector_init(&r, SV_LIST_NEWEST);
	for (i = 0; i < 6; i++)
		fails(&r, 500, 0);
	listed(&r, "100");
	sv_reflector_restart(&r, SV_LIST_NEWEST);
	ck_assert_int_eq(fails(&r, 500, 0), SV_BACKOFF_FIRST_MS / 2);
}
END_TEST

/* Else a server whose watches all fail is asked for a list as often as it answers lists. */
START_TEST(a_list_that_came_does_not_end_a_row_of_failed_watches)
{
	autoreflector struct sv_reflector r = watching();
	int64_t ms = 0;
	int i;

	for (i = 0; i < 30; i++) {
		if (r.listing)
			listed(&r, "100");
		ms = fails(&r, 0, 0);
	}
	ck_assert_int_eq(ms, SV_BACKOFF_MAX_MS / 2);
}
END_TEST

/* ---- Retry-After --------------------------------------------------------------------------- */

static const struct {
	int64_t after_ms;
	uint32_t random;
	int64_t least, most;
} waits[] = {
	{ 0, 0, 125, 250 },
	{ 1, 0, 125, 250 },
	{ 7000, 0, 7000, 7000 },
	{ 7000, UINT32_MAX, 7000, 8750 },
	{ 600000, 0, SV_RETRY_AFTER_MAX_MS, SV_RETRY_AFTER_MAX_MS },
	{ INT64_MAX, UINT32_MAX, SV_RETRY_AFTER_MAX_MS, SV_RETRY_AFTER_MAX_MS * 5 / 4 },
};

START_TEST(a_server_that_wants_to_be_left_alone_is)
{
	static const int codes[] = { 403, 429, 500, 503 };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(codes); i++) {
		autoreflector struct sv_reflector r = watching();
		const struct sv_wire_status s = { .code = codes[i],
						  .retry_after_ms = waits[_i].after_ms };
		int64_t ms = sv_reflector_failed(&r, &s, 0, waits[_i].random);

		ck_assert_int_le(ms, waits[_i].most);
		if (codes[i] != 403 || waits[_i].after_ms > 250)
			ck_assert_int_ge(ms, waits[_i].least);
	}
}
END_TEST

/* A long delay of ours is not shortened by a short one of the server's. */
START_TEST(retry_after_only_lengthens_a_delay)
{
	autoreflector struct sv_reflector r = watching();
	const struct sv_wire_status s = { .code = 429, .retry_after_ms = 1000 };
	int i;

	for (i = 0; i < 10; i++)
		fails(&r, 500, 0);
	ck_assert_int_ge(sv_reflector_failed(&r, &s, 0, 0), SV_BACKOFF_MAX_MS / 2);
}
END_TEST

/* ---- denials ------------------------------------------------------------------------------- */

START_TEST(denials_are_asked_about_soon_and_then_rarely)
{
	static const int64_t most[] = { 100, 1000, 10000, 30000, 30000, 30000 };
	autoreflector struct sv_reflector r;
	size_t i;

	sv_reflector_init(&r, SV_LIST_NEWEST);
	for (i = 0; i < SV_ARRAY_SIZE(most); i++) {
		ck_assert_int_eq(sv_reflector_is_denied(&r), i >= SV_DENIALS_BELIEVED);
		ck_assert_int_eq(fails(&r, 403, 0), most[i] / 2);
	}
	listed(&r, "100");
	ck_assert(!sv_reflector_is_denied(&r));
}
END_TEST

/* ---- ends ---------------------------------------------------------------------------------- */

START_TEST(a_watch_that_ended_goes_on_at_once_where_it_was)
{
	autoreflector struct sv_reflector r = watching();

	event(&r, SV_WIRE_BOOKMARK, "150");
	ck_assert_int_eq(sv_reflector_ended(&r, 0, 0), 0); /* it told something */
	asks(&r, WATCH "&resourceVersion=150");
	ck_assert_int_eq(sv_reflector_ended(&r, SV_WATCH_MIN_MS, 0), 0);
	asks(&r, WATCH "&resourceVersion=150");
}
END_TEST

START_TEST(a_watch_that_ends_at_once_without_a_word_has_failed)
{
	autoreflector struct sv_reflector r = watching();

	ck_assert_int_eq(sv_reflector_ended(&r, SV_WATCH_MIN_MS - 1, 0), 125);
	ck_assert_int_eq(sv_reflector_ended(&r, 0, 0), 250);
	ck_assert_int_eq(sv_reflector_ended(&r, 0, 0), 500);
	asks(&r, WATCH "&resourceVersion=100");
}
END_TEST

START_TEST(all_may_be_done_twice)
{
	struct sv_reflector r = watching();

	sv_reflector_failed(&r, &silence, 0, 7);
	sv_reflector_done(&r);
	sv_reflector_done(&r);
}
END_TEST

static const struct {
	const char *version, *expired;
	bool behind;
} horizons[] = {
	{ "100", NULL, false }, { "100", "99", false },
	{ "100", "100", true }, { "100", "1000", true },
	{ "a", "a", true },     { "a", "b", false }, /* which is older, nobody knows */
	{ "a", "100", false },
};

START_TEST(what_others_were_told_is_too_old_is_known_to_be)
{
	const struct sv_wire_status cut = { .code = 0 };
	struct sv_reflector r;

	sv_reflector_init(&r, SV_LIST_ANY);
	ck_assert(!sv_reflector_is_behind(&r, "1000"));
	ck_assert_int_eq(sv_reflector_listed(&r, horizons[_i].version, ""), 1);
	ck_assert(
		!sv_reflector_is_behind(&r, horizons[_i].expired)); /* or it would list for ever */
	sv_reflector_failed(&r, &cut, 5000, 0);
	ck_assert_int_eq(sv_reflector_is_behind(&r, horizons[_i].expired), horizons[_i].behind);
	ck_assert_int_eq(sv_reflector_listed(&r, horizons[_i].version, ""), 1);
	sv_reflector_ended(&r, 300000, 0);
	ck_assert_int_eq(sv_reflector_is_behind(&r, horizons[_i].expired), horizons[_i].behind);
	sv_reflector_restart(&r, SV_LIST_SEEN);
	ck_assert(!sv_reflector_is_behind(&r, horizons[_i].expired)); /* it lists already */
	sv_reflector_done(&r);
}
END_TEST

T_SUITE(reflector)
{
	T_TEST(a_list_of_any_age_is_asked_for_at_zero);
	T_TEST(a_list_from_the_store_names_no_version);
	T_TEST(a_list_that_is_not_older_than_what_was_seen_has_no_limit);
	T_TEST(before_anything_was_seen_there_is_no_version_to_ask_for);
	T_TEST(a_watch_goes_on_from_the_version_of_the_list);
	T_TEST(a_list_without_a_version_is_watched_without_one);
	T_TEST(watches_are_ended_by_the_server_after_300_to_599_seconds);
	T_TEST(pages_follow_the_token_until_there_is_none);
	T_TEST(versions_are_opaque);
	T_EACH(an_event_is_taken_where_it_is_news, events);
	T_TEST(after_events_out_of_order_everything_is_listed_from_the_store);
	T_TEST(a_list_that_is_older_than_what_was_seen_is_told);
	T_EACH(a_refusal_decides_what_is_asked_next, refusals);
	T_TEST(a_server_that_forgets_every_version_is_not_asked_without_pause);
	T_TEST(a_list_whose_version_no_watch_can_go_on_from_is_asked_of_the_store);
	T_TEST(a_token_that_expired_begins_the_list_anew);
	T_TEST(a_page_that_failed_is_asked_for_again);
	T_TEST(a_watch_that_cannot_be_read_is_listed_after_the_third_time);
	T_TEST(delays_double_up_to_their_limit);
	T_TEST(jitter_stays_between_half_of_a_delay_and_all_of_it);
	T_TEST(a_watch_that_lasted_ends_a_row_of_failures);
	T_TEST(a_list_that_came_ends_a_row_of_failed_lists);
	T_TEST(a_list_that_came_does_not_end_a_row_of_failed_watches);
	T_EACH(a_server_that_wants_to_be_left_alone_is, waits);
	T_TEST(retry_after_only_lengthens_a_delay);
	T_TEST(denials_are_asked_about_soon_and_then_rarely);
	T_TEST(a_watch_that_ended_goes_on_at_once_where_it_was);
	T_TEST(a_watch_that_ends_at_once_without_a_word_has_failed);
	T_TEST(all_may_be_done_twice);
	T_EACH(what_others_were_told_is_too_old_is_known_to_be, horizons);
}
