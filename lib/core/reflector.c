/* SPDX-License-Identifier: Apache-2.0 */
#include "reflector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"

static const int denial_ms[] = { 100, 1000, 10000, SV_BACKOFF_MAX_MS };

void sv_reflector_init(struct sv_reflector *r, enum sv_list_from first)
{
	*r = (struct sv_reflector){ .listing = true, .from = first };
}

void sv_reflector_done(struct sv_reflector *r)
{
	free(r->version);
	free(r->token);
	*r = (struct sv_reflector){ 0 };
}

static void drop_token(struct sv_reflector *r)
{
	free(r->token);
	r->token = NULL;
}

static int set_version(struct sv_reflector *r, const char *version)
{
	char *copy;

	if (!*version || (r->version && strcmp(r->version, version) == 0))
		return 0;
	copy = strdup(version);
	if (!copy)
		return -ENOMEM;
	free(r->version);
	r->version = copy;
	return 0;
}

/* Versions and tokens are opaque: what is not plain is escaped. */
static void add_escaped(struct sv_buf *b, const char *s)
{
	for (; *s; s++)
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9') || strchr("-_.~", *s))
			sv_buf_add(b, s, 1);
		else
			sv_buf_printf(b, "%%%02X", (unsigned char)*s);
}

void sv_reflector_query(const struct sv_reflector *r, uint32_t random, struct sv_buf *b)
{
	if (!r->listing) {
		sv_buf_printf(b, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%u",
			      SV_WATCH_TIMEOUT_S + random % SV_WATCH_TIMEOUT_S);
		if (r->version) {
			sv_buf_puts(b, "&resourceVersion=");
			add_escaped(b, r->version);
		}
		return;
	}
	/*
	 * Without a limit: with one, servers take the version for the exact one, answer with what was
	 * then, and do not know one that they have not reached yet for what it is.
	 */
	if (r->from == SV_LIST_SEEN && r->version && !r->token) {
		sv_buf_puts(b, "resourceVersion=");
		add_escaped(b, r->version);
		return;
	}
	sv_buf_printf(b, "limit=%d", SV_LIST_PAGE);
	if (r->token) { /* says itself which version it belongs to */
		sv_buf_puts(b, "&continue=");
		add_escaped(b, r->token);
	} else if (r->from == SV_LIST_ANY) {
		sv_buf_puts(b, "&resourceVersion=0");
	}
}

static void clear_failures(struct sv_reflector *r)
{
	r->failures = 0;
	r->watch_failed = false;
}

int sv_reflector_listed(struct sv_reflector *r, const char *version, const char *token)
{
	bool older = r->version && sv_wire_compare(version, r->version) < 0;

	if (*token) {
		char *copy = strdup(token);

		if (!copy)
			return -ENOMEM;
		drop_token(r);
		r->token = copy;
		return 0;
	}
	if (set_version(r, version) < 0)
		return -ENOMEM;
	drop_token(r);
	r->rewound = older;
	r->reordered = false;
	r->synced = true;
	r->fresh = true;
	r->listing = false;
	r->from = SV_LIST_SEEN;
	if (!r->watch_failed) /* else lists would come as fast as they are answered */
		clear_failures(r);
	r->denials = 0;
	r->events = 0;
	return 1;
}

int sv_reflector_event(struct sv_reflector *r, const struct sv_wire_event *e)
{
	int order = r->version ? sv_wire_compare(e->version, r->version) : 1;
	bool same = r->version && strcmp(e->version, r->version) == 0;

	r->events++;
	if (e->type == SV_WIRE_UNKNOWN)
		return SV_EVENT_OLD;
	if (e->type == SV_WIRE_BOOKMARK) {
		if (order < 0)
			r->reordered = true;
		else if (set_version(r, e->version) < 0)
			return -ENOMEM;
		return SV_EVENT_OLD;
	}
	if (order < 0) { /* late, or from a server that was set back: a list will tell */
		r->reordered = true;
		return SV_EVENT_OLD;
	}
	if (same)
		return SV_EVENT_OLD;
	return set_version(r, e->version) < 0 ? -ENOMEM : SV_EVENT_TAKE;
}

int64_t sv_backoff_ms(unsigned failures, uint32_t random)
{
	int64_t ms = SV_BACKOFF_FIRST_MS;
	unsigned i;

	for (i = 1; i < failures && ms < SV_BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > SV_BACKOFF_MAX_MS)
		ms = SV_BACKOFF_MAX_MS;
	return ms / 2 + (int64_t)(random % (uint32_t)(ms / 2 + 1));
}

void sv_reflector_restart(struct sv_reflector *r, enum sv_list_from from)
{
	r->listing = true;
	r->from = from;
	drop_token(r);
}

void sv_reflector_forget(struct sv_reflector *r)
{
	free(r->version);
	r->version = NULL;
}

bool sv_reflector_is_expired(const struct sv_wire_status *s)
{
	return s->code == 410 || strcmp(s->reason, "Expired") == 0 ||
	       strcmp(s->reason, "Gone") == 0;
}

/* The version, or the token, is no longer one that the server knows, or not yet. */
static void lose_version(struct sv_reflector *r)
{
	/*
	 * R80: after a watch, list at the last version; after such a list, from the store. Also if that
	 * list has come, from a cache, and gave a version that no watch can go on from.
	 */
	sv_reflector_restart(r, r->listing || r->failures > 1 ? SV_LIST_NEWEST : SV_LIST_SEEN);
}

int64_t sv_reflector_failed(struct sv_reflector *r, const struct sv_wire_status *status,
			    int64_t lasted_ms, uint32_t random)
{
	int64_t ms, after = status->retry_after_ms;
	bool first;

	if (lasted_ms >= SV_WATCH_MIN_MS) /* a connection that is cut now and then is no trouble */
		clear_failures(r);
	first = r->failures++ == 0;
	r->fresh = false;
	r->watch_failed = r->watch_failed || !r->listing;
	ms = sv_backoff_ms(r->failures, random);
	if (status->code == 403) {
		unsigned n = r->denials < SV_ARRAY_SIZE(denial_ms) ? r->denials :
								     SV_ARRAY_SIZE(denial_ms) - 1;

		r->denials++;
		ms = denial_ms[n] / 2 + (int64_t)(random % ((unsigned)denial_ms[n] / 2 + 1));
		if (!r->listing) /* only a list will tell that it is over */
			sv_reflector_restart(r, SV_LIST_SEEN);
	} else if (sv_reflector_is_expired(status) || status->too_large_version) {
		lose_version(r);
		return first ? 0 : ms; /* nothing is wrong with the server */
	} else if (!r->listing && r->reordered) {
		sv_reflector_restart(r, SV_LIST_NEWEST);
	} else if (!r->listing && r->failures >= 3 && status->code == 0) {
		sv_reflector_restart(r, SV_LIST_SEEN); /* something there that we cannot read? */
	}
	if (after > SV_RETRY_AFTER_MAX_MS)
		after = SV_RETRY_AFTER_MAX_MS;
	if (after > 0 && ms < after) /* not all at the same moment */
		ms = after + (int64_t)(random % (uint32_t)(after / 4 + 1));
	return ms;
}

int64_t sv_reflector_ended(struct sv_reflector *r, int64_t lasted_ms, uint32_t random)
{
	bool bad = lasted_ms < SV_WATCH_MIN_MS && r->events == 0;

	r->events = 0;
	r->fresh = false;
	if (r->reordered)
		sv_reflector_restart(r, SV_LIST_NEWEST);
	if (!bad)
		clear_failures(r);
	r->failures += bad;
	r->watch_failed = bad;
	return bad ? sv_backoff_ms(r->failures, random) : 0;
}

bool sv_reflector_is_behind(const struct sv_reflector *r, const char *expired)
{
	if (r->listing || r->fresh || !r->version || !expired)
		return false;
	return strcmp(r->version, expired) == 0 || sv_wire_compare(r->version, expired) < 0;
}

bool sv_reflector_is_denied(const struct sv_reflector *r)
{
	return r->denials >= SV_DENIALS_BELIEVED;
}
