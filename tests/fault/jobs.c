/* SPDX-License-Identifier: Apache-2.0 */
/* One thread runs at a time: a loop that starts a job goes on when the job is done. */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <uv.h>

#include "fault.h"

#define MAX_JOBS 64

static struct job {
	uv_work_t *req;
	uv_work_cb work;
	uv_after_work_cb after;
} jobs[MAX_JOBS];
static int n_jobs; /* that have not come back; only the loop's thread looks */

static struct job *find(const uv_work_t *req)
{
	int i = 0;

	while (jobs[i].req != req)
		i++;
	return &jobs[i];
}

int fault_jobs(void)
{
	return n_jobs;
}

static sem_t done;

__attribute__((constructor)) static void begin(void)
{
	if (sem_init(&done, 0, 0) < 0)
		abort();
}

static void work(uv_work_t *req)
{
	find(req)->work(req); /* the other thread waits: nobody changes the list */
	sem_post(&done);
}

static void after(uv_work_t *req, int status)
{
	struct job *job = find(req), last = *job;

	*job = jobs[--n_jobs];
	jobs[n_jobs].req = NULL;
	last.after(req, status);
}

int __real_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work_cb,
			 uv_after_work_cb after_cb);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work_cb,
			 uv_after_work_cb after_cb);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work_cb,
			 uv_after_work_cb after_cb)
{
	int r;

	if (fault_strikes_work())
		return UV_ENOMEM;
	if (n_jobs == MAX_JOBS)
		abort();
	jobs[n_jobs++] = (struct job){ req, work_cb, after_cb };
	r = __real_uv_queue_work(loop, req, work, after);
	if (r < 0)
		abort();
	while (sem_wait(&done) < 0)
		if (errno != EINTR)
			abort();
	return 0;
}
