/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"
#include "reflector.h"
#include "tree.h"
#include "validate.h"

#define COMBINED "(combined from similar events): "
#define COMBINED_KEY "\n" /* what no text is */

/* What the Events of a Pod share. */
struct pod {
	char *key; /* "UID/NS/NAME" */
	char *ns, *name, *uid;
	size_t users;
	unsigned tokens;
	int64_t filled_ms; /* when it got the last token */
};

struct sv_recorded {
	char *key; /* "UID/NS/NAME/REASON/TEXT" */
	struct pod *pod;
	bool warning, combined;
	const char *reason;
	char *message;
	char *name;  /* of the Event; NULL before it is tried */
	bool exists; /* the server has it */
	bool paid;   /* it has a token for what is to be sent */
	bool tried;
	bool queued, under_way;
	bool denied;                /* it finds out whether its namespace still is */
	unsigned count, count_sent; /* @count_sent: by the request under way */
	int64_t first_ms, last_ms;  /* Unix time */
	int64_t heard_ms;           /* monotonic, as are the others */
	int64_t tried_ms;           /* what is to be sent, for the first time */
	int64_t not_before_ms;
	int64_t distance_ms;      /* between the last patches; 0: none yet */
	struct sv_recorded *next; /* in the queue */
};

/* ---- what is known ------------------------------------------------------------------------- */

static void pod_free(struct pod *p)
{
	free(p->key);
	free(p->ns);
	free(p->name);
	free(p->uid);
	free(p);
}

static void leave_pod(struct sv_recorder *r, struct pod *p)
{
	if (!p || --p->users > 0)
		return;
	sv_strmap_remove(&r->pods, p->key);
	pod_free(p);
}

static struct pod *join_pod(struct sv_recorder *r, const struct sv_pod *pod, const char *key,
			    int64_t now_ms)
{
	struct pod *p = sv_strmap_get(&r->pods, key);

	if (p) {
		p->users++;
		return p;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct pod){ .key = strdup(key),
			   .ns = strdup(pod->ns),
			   .name = strdup(pod->name),
			   .uid = strdup(pod->uid),
			   .users = 1,
			   .tokens = SV_RECORDER_BURST,
			   .filled_ms = now_ms };
	if (!p->key || !p->ns || !p->name || !p->uid || sv_strmap_put(&r->pods, p->key, p) < 0) {
		pod_free(p);
		return NULL;
	}
	return p;
}

static void fill(struct pod *p, int64_t now_ms)
{
	int64_t n = (now_ms - p->filled_ms) / SV_RECORDER_TOKEN_MS;

	if (p->tokens + n >= SV_RECORDER_BURST) {
		p->tokens = SV_RECORDER_BURST;
		p->filled_ms = now_ms;
	} else {
		p->tokens += (unsigned)n;
		p->filled_ms += n * SV_RECORDER_TOKEN_MS;
	}
}

static bool take_token(struct pod *p, int64_t now_ms)
{
	fill(p, now_ms);
	if (p->tokens == 0)
		return false;
	p->tokens--;
	return true;
}

static void event_free(struct sv_recorder *r, struct sv_recorded *e)
{
	leave_pod(r, e->pod);
	free(e->key);
	free(e->message);
	free(e->name);
	free(e);
}

/* The one that nothing was heard of for longest, and that nothing is to be sent of. */
static void forget_oldest(struct sv_recorder *r)
{
	struct sv_recorded *oldest = NULL;
	size_t i;

	for (i = 0; i < r->known.n; i++) {
		struct sv_recorded *e = r->known.entries[i].value;

		if (!e->queued && !e->under_way && (!oldest || e->heard_ms < oldest->heard_ms))
			oldest = e;
	}
	assert(oldest); /* the queue is shorter */
	sv_strmap_remove(&r->known, oldest->key);
	event_free(r, oldest);
}

/* ---- the queue ----------------------------------------------------------------------------- */

static void unlink_at(struct sv_recorder *r, struct sv_recorded **at)
{
	struct sv_recorded *e = *at;

	*at = e->next;
	e->queued = false;
	r->n_waiting--;
}

static void link_at(struct sv_recorder *r, struct sv_recorded *e, struct sv_recorded **at)
{
	e->next = *at;
	*at = e;
	e->queued = true;
	r->n_waiting++;
}

static void append(struct sv_recorder *r, struct sv_recorded *e)
{
	struct sv_recorded **at = &r->waiting;

	while (*at)
		at = &(*at)->next;
	link_at(r, e, at);
}

static void set_denied(struct sv_recorder *r, struct sv_recorded *e, bool denied)
{
	r->n_denied += (size_t)denied - (size_t)e->denied;
	e->denied = denied;
}

/* What was to be sent of it is not; the next time that it is heard of counts it all the same. */
static void drop_at(struct sv_recorder *r, struct sv_recorded **at)
{
	(*at)->tried = false;
	set_denied(r, *at, false);
	unlink_at(r, at);
	r->counts.dropped++;
}

static bool make_room(struct sv_recorder *r)
{
	struct sv_recorded **at = &r->waiting;

	if (r->n_waiting < SV_RECORDER_WAITING_MAX)
		return true;
	while (*at && (!(*at)->exists || (*at)->denied))
		at = &(*at)->next;
	if (!*at)
		return false;
	drop_at(r, at);
	return true;
}

/* Is nothing recorded of a namespace for now? */
static bool is_silent(const struct sv_recorder *r, const char *ns, int64_t now_ms)
{
	const struct sv_recorded *e = r->n_denied > 0 ? r->waiting : NULL;
	size_t n = 0;

	for (; e; e = e->next) {
		if (!e->denied || e->not_before_ms <= now_ms)
			continue;
		if (++n == SV_RECORDER_DENIED_MAX || strcmp(e->pod->ns, ns) == 0)
			return true;
	}
	return false;
}

/* ---- something happened -------------------------------------------------------------------- */

static bool is_recent(const struct sv_recorded *e, int64_t now_ms)
{
	return now_ms - e->heard_ms <= SV_RECORDER_SIMILAR_MS;
}

/* Has the Pod as many recent texts of a reason as may stay apart? */
static bool is_crowded(const struct sv_recorder *r, const char *prefix, int64_t now_ms)
{
	size_t i, n = 0, len = strlen(prefix);

	for (i = sv_strmap_lower(&r->known, prefix);
	     i < r->known.n && strncmp(r->known.entries[i].key, prefix, len) == 0; i++) {
		const struct sv_recorded *e = r->known.entries[i].value;

		n += !e->combined && is_recent(e, now_ms);
	}
	return n >= SV_RECORDER_SIMILAR_MAX;
}

static struct sv_recorded *make_event(struct sv_recorder *r, const struct sv_pod *pod,
				      const char *pod_key, const char *key, int64_t now_ms)
{
	struct sv_recorded *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->key = strdup(key);
	e->pod = join_pod(r, pod, pod_key, now_ms);
	e->heard_ms = now_ms;
	if (r->known.n >= SV_RECORDER_KNOWN_MAX)
		forget_oldest(r);
	if (!e->key || !e->pod || sv_strmap_put(&r->known, e->key, e) < 0) {
		event_free(r, e);
		return NULL;
	}
	return e;
}

static int set_message(struct sv_recorded *e, const char *text)
{
	char message[SV_RECORDER_MESSAGE_MAX];
	sv_autofree char *combined = e->combined ? sv_asprintf(COMBINED "%s", text) : NULL;
	char *copy;

	if (e->combined && !combined)
		return -ENOMEM;
	sv_text_escape(message, sizeof(message), combined ? combined : text);
	copy = strdup(message);
	if (!copy)
		return -ENOMEM;
	free(e->message);
	e->message = copy;
	return 0;
}

static void count(struct sv_recorder *r, struct sv_recorded *e, int64_t now_ms, int64_t unix_ms)
{
	if (!is_recent(e, now_ms))
		e->distance_ms = 0;
	e->count++;
	e->heard_ms = now_ms;
	e->last_ms = unix_ms;
	if (e->queued || e->under_way)
		return;
	if (make_room(r))
		append(r, e);
	else
		r->counts.dropped++;
}

/* The key of the Event that a text belongs to; NULL for lack of memory. */
static char *key_of(const struct sv_recorder *r, const char *prefix, const char *text,
		    int64_t now_ms, bool *combined)
{
	char *key = sv_asprintf("%s%s", prefix, text);
	const struct sv_recorded *e = key ? sv_strmap_get(&r->known, key) : NULL;

	*combined = !(e && is_recent(e, now_ms)) && is_crowded(r, prefix, now_ms);
	if (!key || !*combined)
		return key;
	free(key);
	return sv_asprintf("%s" COMBINED_KEY, prefix);
}

int sv_recorder_note(struct sv_recorder *r, const struct sv_pod *pod, bool warning,
		     const char *reason, const char *message, int64_t now_ms, int64_t unix_ms)
{
	char text[SV_RECORDER_MESSAGE_MAX];
	sv_autofree char *pod_key = sv_asprintf("%s/%s/%s", pod->uid, pod->ns, pod->name);
	sv_autofree char *prefix = pod_key ? sv_asprintf("%s/%s/", pod_key, reason) : NULL;
	sv_autofree char *key = NULL;
	struct sv_recorded *e;
	bool combined;

	sv_text_escape(text, sizeof(text), message);
	key = prefix ? key_of(r, prefix, text, now_ms, &combined) : NULL;
	if (!key)
		return -ENOMEM;
	e = sv_strmap_get(&r->known, key);
	/* names become a part of a path */
	if (is_silent(r, pod->ns, now_ms) || sv_check_label(pod->ns) ||
	    sv_check_subdomain(pod->name) || (!e && !make_room(r))) {
		r->counts.dropped++;
		return 0;
	}
	if (!e) {
		e = make_event(r, pod, pod_key, key, now_ms);
		if (!e)
			return -ENOMEM;
		e->reason = reason;
		e->warning = warning;
		e->combined = combined;
		e->first_ms = unix_ms;
	}
	if ((combined || !e->message) && set_message(e, text) < 0)
		return -ENOMEM;
	r->counts.combined += combined;
	count(r, e, now_ms, unix_ms);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------ */

/* "POD.HEX", as client-go names them; Unix time in ns is unique as long as nobody makes 10^6 in a ms. */
static char *make_name(struct sv_recorder *r, const char *pod, int64_t unix_ms)
{
	unsigned long long id = (unsigned long long)unix_ms * 1000000 + r->serial++ % 1000000;
	size_t n = strlen(pod);

	if (n > SV_SUBDOMAIN_MAX - 17)
		n = SV_SUBDOMAIN_MAX - 17;
	while (n > 1 && (pod[n - 1] == '-' || pod[n - 1] == '.')) /* a label ends otherwise */
		n--;
	return sv_asprintf("%.*s.%llx", (int)n, pod, id);
}

static void add_whole(const struct sv_recorder *r, struct json_object *o,
		      const struct sv_recorded *e)
{
	struct json_object *metadata = json_object_new_object();
	struct json_object *involved = json_object_new_object();
	struct json_object *source = json_object_new_object();

	sv_json_text(o, "kind", "Event");
	sv_json_text(o, "apiVersion", "v1");
	sv_json_text(metadata, "name", e->name);
	sv_json_text(metadata, "namespace", e->pod->ns);
	sv_json_add(o, "metadata", metadata);
	sv_json_text(involved, "kind", "Pod");
	sv_json_text(involved, "namespace", e->pod->ns);
	sv_json_text(involved, "name", e->pod->name);
	sv_json_text(involved, "uid", e->pod->uid);
	sv_json_text(involved, "apiVersion", "v1");
	sv_json_add(o, "involvedObject", involved);
	sv_json_text(o, "type", e->warning ? "Warning" : "Normal");
	sv_json_text(o, "reason", e->reason);
	sv_json_text(source, "component", SV_RECORDER_COMPONENT);
	sv_json_text(source, "host", r->node);
	sv_json_add(o, "source", source);
	sv_json_time(o, "firstTimestamp", e->first_ms);
	sv_json_text(o, "reportingComponent", SV_RECORDER_COMPONENT);
	sv_json_text(o, "reportingInstance", r->node);
}

/* NULL for lack of memory. */
static char *make_body(const struct sv_recorder *r, const struct sv_recorded *e)
{
	struct json_object *o = json_object_new_object();
	char *body;

	if (!e->exists)
		add_whole(r, o, e);
	if (!e->exists || e->combined)
		sv_json_text(o, "message", e->message);
	sv_json_int(o, "count", e->count);
	sv_json_time(o, "lastTimestamp", e->last_ms);
	body = sv_json_print(o);
	json_object_put(o);
	return body;
}

static int make_request(struct sv_recorder *r, struct sv_recorded *e, int64_t unix_ms,
			struct sv_recorder_request *ret)
{
	sv_autofree char *body = NULL;
	char *path;

	if (!e->name)
		e->name = make_name(r, e->pod->name, unix_ms);
	if (!e->name)
		return -ENOMEM;
	body = make_body(r, e);
	path = sv_asprintf("/api/v1/namespaces/%s/events%s%s", e->pod->ns, e->exists ? "/" : "",
			   e->exists ? e->name : "");
	if (!body || !path) {
		free(path);
		return -ENOMEM;
	}
	*ret = (struct sv_recorder_request){ e, !e->exists, path, SV_TAKE(body) };
	return 0;
}

static void begin(struct sv_recorder *r, struct sv_recorded *e, int64_t now_ms)
{
	if (!e->tried)
		e->tried_ms = now_ms;
	e->tried = true;
	e->under_way = true;
	e->count_sent = e->count;
	r->n_under_way++;
}

int sv_recorder_next(struct sv_recorder *r, int64_t now_ms, int64_t unix_ms,
		     struct sv_recorder_request *ret)
{
	struct sv_recorded **at = &r->waiting, *e;
	int res;

	if (r->n_under_way >= SV_RECORDER_UNDER_WAY_MAX || now_ms < r->pause_ms)
		return SV_RECORDER_E_NONE;
	while ((e = *at)) {
		if (e->not_before_ms > now_ms) {
			at = &e->next;
			continue;
		}
		if (!e->paid && !take_token(e->pod, now_ms)) {
			if (e->exists) /* its count can wait */
				e->not_before_ms = e->pod->filled_ms + SV_RECORDER_TOKEN_MS;
			else
				drop_at(r, at);
			continue;
		}
		e->paid = true;
		res = make_request(r, e, unix_ms, ret);
		if (res < 0)
			return res;
		unlink_at(r, at);
		begin(r, e, now_ms);
		return 0;
	}
	return SV_RECORDER_E_NONE;
}

int64_t sv_recorder_wait(const struct sv_recorder *r, int64_t now_ms)
{
	const struct sv_recorded *e = r->waiting;
	int64_t due = INT64_MAX;

	if (!e || r->n_under_way >= SV_RECORDER_UNDER_WAY_MAX)
		return -1;
	for (; e; e = e->next)
		if (e->not_before_ms < due)
			due = e->not_before_ms;
	if (due < r->pause_ms)
		due = r->pause_ms;
	return due > now_ms ? due - now_ms : 0;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void forget_name(struct sv_recorded *e)
{
	free(e->name);
	e->name = NULL;
	e->exists = false;
}

/* Nothing is to be sent of it now, and the next time not too soon. */
static void settle(struct sv_recorded *e, int64_t now_ms)
{
	e->paid = e->tried = false;
	e->distance_ms = e->distance_ms ? e->distance_ms * 2 : SV_RECORDER_REPEAT_FIRST_MS;
	if (e->distance_ms > SV_RECORDER_REPEAT_MAX_MS)
		e->distance_ms = SV_RECORDER_REPEAT_MAX_MS;
	e->not_before_ms = now_ms + e->distance_ms;
}

static enum sv_recorder_verdict take(struct sv_recorder *r, struct sv_recorded *e, int64_t now_ms)
{
	r->failures = 0;
	r->counts.sent++;
	set_denied(r, e, false);
	e->exists = true;
	settle(e, now_ms);
	if (e->count > e->count_sent)
		append(r, e);
	return SV_RECORDER_TAKEN;
}

static void let_go(struct sv_recorder *r, struct sv_recorded *e, int64_t now_ms)
{
	set_denied(r, e, false);
	forget_name(e);
	settle(e, now_ms);
}

static enum sv_recorder_verdict give_up(struct sv_recorder *r, struct sv_recorded *e,
					int64_t now_ms)
{
	r->counts.failed++;
	let_go(r, e, now_ms);
	return SV_RECORDER_GIVEN_UP;
}

static void drop_namespace(struct sv_recorder *r, const char *ns)
{
	struct sv_recorded **at = &r->waiting;

	while (*at)
		if (strcmp((*at)->pod->ns, ns) == 0)
			drop_at(r, at);
		else
			at = &(*at)->next;
}

/* The first one of a namespace to be denied is kept: it finds out whether the right was given. */
static enum sv_recorder_verdict deny(struct sv_recorder *r, struct sv_recorded *e, int64_t now_ms)
{
	r->counts.denied++;
	if (is_silent(r, e->pod->ns, now_ms)) {
		let_go(r, e, now_ms);
		return SV_RECORDER_DENIED;
	}
	drop_namespace(r, e->pod->ns);
	set_denied(r, e, true);
	e->not_before_ms = now_ms + SV_RECORDER_OFF_MS;
	e->tried = false;
	append(r, e);
	return SV_RECORDER_DENIED;
}

static enum sv_recorder_verdict try_again(struct sv_recorder *r, struct sv_recorded *e,
					  const struct sv_wire_status *status, int64_t now_ms,
					  uint32_t random)
{
	int64_t delay_ms, asked_ms = status->retry_after_ms;

	if (now_ms >= r->pause_ms) /* what is under way at a time fails together, and counts once */
		r->failures++;
	delay_ms = sv_backoff_ms(r->failures, random);
	if (asked_ms > SV_RETRY_AFTER_MAX_MS)
		asked_ms = SV_RETRY_AFTER_MAX_MS;
	if (delay_ms < asked_ms)
		delay_ms = asked_ms;
	if (now_ms + delay_ms > r->pause_ms)
		r->pause_ms = now_ms + delay_ms;
	if (now_ms - e->tried_ms >= SV_RECORDER_TRY_MS)
		return give_up(r, e, now_ms);
	link_at(r, e, &r->waiting);
	return SV_RECORDER_AGAIN;
}

enum sv_recorder_verdict sv_recorder_answered(struct sv_recorder *r, struct sv_recorded *e,
					      const struct sv_wire_status *status, int64_t now_ms,
					      uint32_t random)
{
	int code = status->code;

	assert(e->under_way);
	e->under_way = false;
	r->n_under_way--;
	/* 409 to a POST: it was made by an earlier try, whose answer was lost */
	if (code / 100 == 2 || (code == 409 && !e->exists))
		return take(r, e, now_ms);
	if (code == 404 && e->exists) { /* its time was over: the server keeps Events for an hour */
		r->failures = 0;
		forget_name(e);
		link_at(r, e, &r->waiting);
		return SV_RECORDER_AGAIN;
	}
	if (code == 403 && !status->terminating)
		return deny(r, e, now_ms);
	if (code < 400 || code == 401 || code == 408 || code == 409 || code == 429 || code >= 500)
		return try_again(r, e, status, now_ms, random);
	r->failures = 0;
	return give_up(r, e, now_ms);
}

size_t sv_recorder_denied(const struct sv_recorder *r, const char **ret)
{
	size_t i;

	*ret = "";
	for (i = 0; i < r->known.n && r->n_denied > 0; i++) {
		const struct sv_recorded *e = r->known.entries[i].value;

		if (e->denied) {
			*ret = e->pod->ns;
			break;
		}
	}
	return r->n_denied;
}

/* ---- life ---------------------------------------------------------------------------------- */

int sv_recorder_init(struct sv_recorder *r, const char *node)
{
	*r = (struct sv_recorder){ .node = strdup(node) };
	return r->node ? 0 : -ENOMEM;
}

void sv_recorder_done(struct sv_recorder *r)
{
	size_t i;

	for (i = 0; i < r->known.n; i++)
		event_free(r, r->known.entries[i].value);
	sv_strmap_done(&r->known);
	sv_strmap_done(&r->pods);
	free(r->node);
	*r = (struct sv_recorder){ 0 };
}
