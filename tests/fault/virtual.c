/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time passes when nothing else can happen. The program's clock and epoll_wait() are these, for
 * libraries too: a loop that would wait for a timer finds that its time has come, so that retries
 * and graces cost nothing. And one thread runs at a time: a loop that starts a job goes on when the
 * job is done. With both, a run makes the same calls in the same order every time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "fault.h"

long __real_syscall(long number, ...);

static _Atomic long passed_ms; /* added to every clock */

int clock_gettime(clockid_t clock, struct timespec *t)
{
	long ms = passed_ms;

	if (__real_syscall(SYS_clock_gettime, (long)clock, t) < 0)
		return -1;
	t->tv_sec += ms / 1000;
	t->tv_nsec += ms % 1000 * 1000000;
	if (t->tv_nsec >= 1000000000) {
		t->tv_nsec -= 1000000000;
		t->tv_sec++;
	}
	return 0;
}

void fault_real_time(void)
{
	passed_ms = 0;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

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

/* ---- waiting ------------------------------------------------------------------------------- */

static int wait_for(int epfd, struct epoll_event *events, int max, int timeout_ms,
		    const sigset_t *mask)
{
	int n = (int)__real_syscall(SYS_epoll_pwait, (long)epfd, events, (long)max,
				    n_jobs > 0 ? (long)timeout_ms : 0L, mask, 8L);

	if (n == 0 && n_jobs == 0 && timeout_ms > 0)
		passed_ms += timeout_ms;
	return n;
}

int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	return wait_for(epfd, events, max, timeout_ms, NULL);
}

int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	return wait_for(epfd, events, max, timeout_ms, mask);
}
