/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>

struct job {
	uv_work_t req;
	struct sv_worker *worker;
	struct sv_action *action;
	size_t size;
};

static void carry_out(uv_work_t *req)
{
	struct job *job = req->data;
	uint64_t start_ns = uv_hrtime();

	sv_volume_carry_out(job->worker->node, job->action);
	job->action->ended_us = (int64_t)(uv_hrtime() / 1000);
	job->action->duration_us = job->action->ended_us - (int64_t)(start_ns / 1000);
}

static void finished(uv_work_t *req, int status)
{
	struct job *job = req->data;
	struct sv_worker *w = job->worker;
	struct sv_action *action = job->action;

	(void)status; /* jobs are never cancelled */
	w->in_flight--;
	w->in_flight_size -= job->size;
	free(job);
	w->done(w->arg, action);
}

int sv_worker_start(struct sv_worker *w, struct sv_action *action)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->req.data = job;
	job->worker = w;
	job->action = action;
	job->size = action->plan ? action->plan->size : 0;
	if (uv_queue_work(w->loop, &job->req, carry_out, finished) < 0) {
		free(job);
		return -ENOMEM;
	}
	w->in_flight++;
	w->in_flight_size += job->size;
	return 0;
}
