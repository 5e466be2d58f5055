/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time passes when nothing else can happen. The program's clock and epoll_wait() are these, for
 * libraries too: a loop that would wait for a timer finds that its time has come, so that retries
 * and graces cost nothing. With that and jobs.c a run makes the same calls in the same order every
 * time.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

/* ---- waiting ------------------------------------------------------------------------------- */

static int wait_for(int epfd, struct epoll_event *events, int max, int timeout_ms,
		    const sigset_t *mask)
{
	int n = (int)__real_syscall(SYS_epoll_pwait, (long)epfd, events, (long)max,
				    fault_jobs() > 0 ? (long)timeout_ms : 0L, mask, 8L);

	if (n == 0 && fault_jobs() == 0 && timeout_ms > 0)
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
