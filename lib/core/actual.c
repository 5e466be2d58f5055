/* SPDX-License-Identifier: Apache-2.0 */
#include "actual.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *sv_state_name(enum sv_state state)
{
	static const char *const names[] = { "Pending", "Published", "Stale", "Refused",
					     "Failed",  "Removing",  "Unused" };

	return names[state];
}

const char *sv_medium_name(enum sv_medium medium)
{
	static const char *const names[] = { "", "noswap", "ramfs", "none" };

	return names[medium];
}

void sv_actuals_init(struct sv_actuals *s)
{
	*s = (struct sv_actuals){ .n_timed = 0 };
	s->queues[0].tail = &s->queues[0].head;
	s->queues[1].tail = &s->queues[1].head;
}

static void record_free(struct sv_actual *a)
{
	free(a->id);
	free(a->ns);
	free(a->pod);
	free(a->former_ns);
	free(a->former_pod);
	free(a->volume);
	free(a->uid);
	free(a->message);
	free(a->before.message);
	free(a->last_error);
	free(a->old);
	sv_plan_free(a->plan);
	free(a);
}

void sv_actuals_done(struct sv_actuals *s)
{
	size_t i;

	for (i = 0; i < s->records.n; i++)
		record_free(s->records.entries[i].value);
	sv_strmap_done(&s->records);
	free(s->timed);
}

struct sv_actual *sv_actuals_get(const struct sv_actuals *s, const char *id)
{
	return sv_strmap_get(&s->records, id);
}

/* UID and volume name are parts of the id; whose Pod it is, only the Pod can say. */
static int name_record(struct sv_actual *a)
{
	const char *uid = a->id + strlen("pods/"), *end = strchr(uid, '/');
	const char *volume = strrchr(a->id, '/');

	a->uid = strndup(uid, end ? (size_t)(end - uid) : strlen(uid));
	a->volume = strdup(volume + 1);
	a->ns = strdup("");
	a->pod = strdup("");
	a->type =
		strstr(a->id, "/kubernetes.io~projected/") ? SV_VOLUME_PROJECTED : SV_VOLUME_SECRET;
	return a->uid && a->volume && a->ns && a->pod ? 0 : -ENOMEM;
}

/* A place for every record in the list of those with something due: a retry cannot fail then. */
static int reserve(struct sv_actuals *s)
{
	struct sv_actual **p;
	size_t cap;

	if (s->records.n < s->cap_timed)
		return 0;
	cap = s->cap_timed ? s->cap_timed * 2 : 16;
	p = reallocarray(s->timed, cap, sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->timed = p;
	s->cap_timed = cap;
	return 0;
}

struct sv_actual *sv_actuals_make(struct sv_actuals *s, const char *id)
{
	struct sv_actual *a = sv_actuals_get(s, id);

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->id = strdup(id);
	a->reason = "";
	a->origin = -1;
	if (!a->id || name_record(a) < 0 || reserve(s) < 0 ||
	    sv_strmap_put(&s->records, a->id, a) < 0) {
		record_free(a);
		return NULL;
	}
	return a;
}

void sv_actuals_drop(struct sv_actuals *s, struct sv_actual *a)
{
	size_t i;

	for (i = 0; a->timed && i < s->n_timed; i++)
		if (s->timed[i] == a) {
			s->timed[i] = s->timed[--s->n_timed];
			break;
		}
	sv_strmap_remove(&s->records, a->id);
	record_free(a);
}

void sv_actuals_enqueue(struct sv_actuals *s, struct sv_actual *a, bool urgent)
{
	struct sv_actual_queue *q = &s->queues[urgent ? 0 : 1];

	if (a->queued)
		return;
	a->queued = true;
	a->next = NULL;
	*q->tail = a;
	q->tail = &a->next;
}

struct sv_actual *sv_actuals_dequeue(struct sv_actuals *s)
{
	struct sv_actual_queue *q = &s->queues[s->queues[0].head ? 0 : 1];
	struct sv_actual *a = q->head;

	if (!a)
		return NULL;
	q->head = a->next;
	if (!q->head)
		q->tail = &q->head;
	a->queued = false;
	return a;
}

void sv_actuals_note_time(struct sv_actuals *s, struct sv_actual *a)
{
	if (a->timed)
		return;
	assert(s->n_timed < s->cap_timed);
	s->timed[s->n_timed++] = a;
	a->timed = true;
}

static bool is_due(const struct sv_actual *a, int64_t now_ms)
{
	bool due = a->retry_ms != 0 && a->retry_ms <= now_ms;
	size_t i;

	for (i = 0; i < a->n_old && !due; i++)
		due = a->old[i].due_ms <= now_ms;
	return due;
}

int64_t sv_actuals_wake(struct sv_actuals *s, int64_t now_ms)
{
	size_t i = 0;

	s->woken_ms = now_ms;
	while (i < s->n_timed) {
		struct sv_actual *a = s->timed[i];

		if (a->retry_ms == 0 && a->n_old == 0) {
			a->timed = false;
			s->timed[i] = s->timed[--s->n_timed];
			continue;
		}
		if (is_due(a, now_ms))
			/* a busy one is looked at when it is done */
			sv_actuals_enqueue(s, a, false);
		i++;
	}
	return sv_actuals_wait(s, now_ms);
}

/* Every time counts: what was due may have to wait, and must not hide what will be. */
static void note_next(const struct sv_actuals *s, int64_t t, int64_t *next)
{
	if (t > s->woken_ms && (*next < 0 || t < *next))
		*next = t;
}

int64_t sv_actuals_wait(const struct sv_actuals *s, int64_t now_ms)
{
	int64_t next = -1;
	size_t i, j;

	for (i = 0; i < s->n_timed; i++) {
		note_next(s, s->timed[i]->retry_ms, &next);
		for (j = 0; j < s->timed[i]->n_old; j++)
			note_next(s, s->timed[i]->old[j].due_ms, &next);
	}
	return next < 0 ? -1 : next > now_ms ? next - now_ms : 0;
}
