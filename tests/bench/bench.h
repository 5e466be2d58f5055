/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench - what floor.c and publish.c share: the volumes they make, and the clock
 *
 * Both make the same volumes at the same paths with the same content, one after
 * the other in one thread, and print one line of JSON. Everything happens in a
 * mount namespace of its own, so a run that is killed leaves directories at
 * worst, never a mount.
 */
#ifndef SV_BENCH_H
#define SV_BENCH_H

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VOLUME_DIR "kubernetes.io~secret"
#define VOLUME "secret"
#define NAMESPACE "bench"
#define MAX_REPEAT 100

static const char *const keys[] = { "password", "username" };
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

struct bench {
	const char *root_path;
	int count, repeat;
	bool updates; /* measure one update of every volume instead of its making */
};

struct took {
	double wall_us, cpu_us, remove_us;
};

static double now_us(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		err(1, "clock_gettime");
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct took start(void)
{
	return (struct took){ now_us(CLOCK_MONOTONIC), now_us(CLOCK_PROCESS_CPUTIME_ID), 0 };
}

static struct took stop(struct took t)
{
	return (struct took){ now_us(CLOCK_MONOTONIC) - t.wall_us,
			      now_us(CLOCK_PROCESS_CPUTIME_ID) - t.cpu_us, 0 };
}

/* ---- the volumes: names as long as real ones, for the length of a path is a part of its price */

static int volume_path(char *buf, size_t size, int i)
{
	return snprintf(buf, size, "pods/5ec2e700-0000-4000-8000-%012d/volumes/%s/%s", i,
			VOLUME_DIR, VOLUME);
}

static void pod_name(char *buf, size_t size, int i)
{
	(void)snprintf(buf, size, "pod-%05d", i);
}

static int volume_value(char *buf, size_t size, const char *key, int i, int generation)
{
	return snprintf(buf, size, "%s-%05d-%d", key, i, generation);
}

/* A figure about volumes that cannot be read would be worth nothing. */
static void verify(int root, int i, int generation)
{
	char pod[32], path[256], want[64], got[64];
	int fd, len;
	ssize_t n;

	pod_name(pod, sizeof(pod), i);
	for (int k = 0; k < N_KEYS; k++) {
		(void)snprintf(path, sizeof(path), "by-name/%s/%s/%s/%s", NAMESPACE, pod, VOLUME,
			       keys[k]);
		fd = openat(root, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			err(1, "open '%s'", path);
		n = read(fd, got, sizeof(got));
		(void)close(fd);
		len = volume_value(want, sizeof(want), keys[k], i, generation);
		if (n != len || memcmp(got, want, (size_t)len) != 0)
			errx(1, "'%s' does not hold what was written", path);
	}
}

/* ---- options and the result ---------------------------------------------------------------- */

static int number(const char *option, const char *text, int max)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > max)
		errx(2, "--%s wants a number from 1 to %d", option, max);
	return (int)n;
}

static struct bench parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "repeat", required_argument, NULL, 'k' },
		{ "update", no_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	struct bench b = { .repeat = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			b.root_path = optarg;
		else if (c == 'n')
			b.count = number("count", optarg, 99999);
		else if (c == 'k')
			b.repeat = number("repeat", optarg, MAX_REPEAT);
		else if (c == 'u')
			b.updates = true;
		else
			exit(2);
	}
	if (!b.root_path || !b.count || optind != argc)
		errx(2, "usage: --root DIR --count N [--repeat K] [--update]");
	return b;
}

static void enter_private_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		err(1, "unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		err(1, "make mounts private");
}

static int by_wall(const void *a, const void *b)
{
	double x = ((const struct took *)a)->wall_us, y = ((const struct took *)b)->wall_us;

	return (x > y) - (x < y);
}

/* The median of the repeats, by wall clock. */
static int print_result(const struct bench *b, struct took *runs)
{
	struct took t;

	qsort(runs, (size_t)b->repeat, sizeof(runs[0]), by_wall);
	t = runs[b->repeat / 2];
	printf("{\"count\":%d,\"repeat\":%d,\"what\":\"%s\",\"per_volume_us\":%.2f,"
	       "\"total_ms\":%.3f,\"cpu_per_volume_us\":%.2f,\"remove_per_volume_us\":%.2f}\n",
	       b->count, b->repeat, b->updates ? "update" : "publish", t.wall_us / b->count,
	       t.wall_us / 1e3, t.cpu_us / b->count, t.remove_us / b->count);
	return fflush(stdout) == 0 ? 0 : 1;
}

#endif
