/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sv_job {
	uv_work_t req;
	struct sv_worker *worker;
	struct sv_action *action;
	size_t size;
	int64_t queued_ms;             /* monotonic */
	_Atomic int64_t begun_ms;      /* by a thread; 0: not yet */
	bool told_waiting, told_stuck; /* it was overdue */
	struct sv_job *next, **link;
};

static int64_t now_ms(void)
{
	return (int64_t)(uv_hrtime() / 1000000);
}

void sv_worker_prepare(void)
{
	_Static_assert(SV_WORKERS == 4, "the text below");
	(void)setenv("UV_THREADPOOL_SIZE", "4", 1);
}

static void carry_out(uv_work_t *req)
{
	struct sv_job *job = req->data;
	uint64_t start_ns = uv_hrtime();

	atomic_store(&job->begun_ms, now_ms());
	sv_volume_carry_out(job->worker->node, job->action);
	job->action->ended_us = (int64_t)(uv_hrtime() / 1000);
	job->action->duration_us = job->action->ended_us - (int64_t)(start_ns / 1000);
}

static void finished(uv_work_t *req, int status)
{
	struct sv_job *job = req->data;
	struct sv_worker *w = job->worker;
	struct sv_action *action = job->action;

	(void)status; /* jobs are never cancelled */
	w->in_flight--;
	w->in_flight_size -= job->size;
	w->stuck -= job->told_stuck;
	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	free(job);
	w->done(w->arg, action);
}

int sv_worker_start(struct sv_worker *w, struct sv_action *action)
{
	struct sv_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->req.data = job;
	job->worker = w;
	job->action = action;
	job->size = action->plan ? action->plan->size : 0;
	job->queued_ms = now_ms();
	if (uv_queue_work(w->loop, &job->req, carry_out, finished) < 0) {
		free(job);
		return -ENOMEM;
	}
	w->in_flight++;
	w->in_flight_size += job->size;
	job->next = w->jobs;
	job->link = &w->jobs;
	if (job->next)
		job->next->link = &job->next;
	w->jobs = job;
	return 0;
}

/* A thread that does not come back: others must not wait for the room that its action takes. */
static void count_out(struct sv_worker *w, struct sv_job *job)
{
	w->stuck++;
	w->in_flight_size -= job->size;
	job->size = 0;
}

int64_t sv_worker_overdue(struct sv_worker *w, int64_t limit_ms,
			  void (*fn)(void *arg, const struct sv_action *action, bool begun),
			  void *arg)
{
	int64_t now = now_ms(), next = -1;
	struct sv_job *job;

	for (job = w->jobs; job; job = job->next) {
		int64_t begun = atomic_load(&job->begun_ms);
		int64_t left = (begun ? begun : job->queued_ms) + limit_ms - now;
		bool *told = begun ? &job->told_stuck : &job->told_waiting;

		if (!begun && *told)
			left = limit_ms; /* whether a thread has begun with it is not told */
		else if (*told)
			continue;
		if (left > 0) {
			next = next < 0 || left < next ? left : next;
			continue;
		}
		*told = true;
		if (begun)
			count_out(w, job);
		fn(arg, job->action, begun != 0);
		next = begun ? next : (next < 0 || limit_ms < next ? limit_ms : next);
	}
	return next;
}

const char *sv_worker_stuck(const struct sv_worker *w, int64_t *since_ms)
{
	const struct sv_job *job, *oldest = NULL;

	for (job = w->jobs; job; job = job->next)
		if (job->told_stuck && (!oldest || job->begun_ms < oldest->begun_ms))
			oldest = job;
	if (!oldest)
		return NULL;
	*since_ms = oldest->begun_ms;
	return oldest->action->id;
}
