/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SET_MAX 8192

/* One process that looks. */
struct reader {
	struct reader_shared *shared;
	int dirfd;   /* of the volume */
	long newest; /* number that was seen by way of the links */
	struct {
		char name[64];
		ino_t ino;
	} dangling[16]; /* links that led nowhere; a ring */
	size_t n_dangling;
};

struct reader_shared *reader_share(void)
{
	struct reader_shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		abort();
	return s;
}

void reader_unshare(struct reader_shared *s)
{
	(void)munmap(s, sizeof(*s));
}

/* The first one to find something tells it; that is enough. */
__attribute__((format(printf, 2, 3))) static void broken(struct reader_shared *s, const char *fmt,
							 ...)
{
	va_list ap;

	if (!atomic_exchange(&s->broken, true)) {
		va_start(ap, fmt);
		(void)vsnprintf(s->text, sizeof(s->text), fmt, ap);
		va_end(ap);
	}
	s->stop = true;
}

static long now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Return: bytes of the file, or a negated errno. The text is terminated. */
static ssize_t read_at(int dirfd, const char *path, char *text, size_t size)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n, len = 0;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, text + len, size - 1 - (size_t)len)) > 0)
		len += n;
	if (n < 0)
		len = -errno;
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	return len;
}

/* ---- one generation ------------------------------------------------------------------------ */

static bool is_in(const char *set, const char *path)
{
	size_t n = strlen(path);
	const char *line;

	for (line = strchr(set, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
		if (strncmp(line + 1, path, n) == 0 && line[1 + n] == '\n')
			return true;
	return false;
}

/* Files below a directory that are not in the set; -1: it cannot be walked to the end. */
static int count_strangers(int dirfd, const char *prefix, const char *set, unsigned *n_files)
{
	int fd = openat(dirfd, *prefix ? prefix : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (n >= 0 && (e = readdir(dir))) {
		char path[PATH_MAX];
		int below = 0;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
		if (e->d_type == DT_DIR)
			below = count_strangers(dirfd, path, set, n_files);
		else
			below = !is_in(set, path);
		*n_files += e->d_type != DT_DIR;
		n = below < 0 ? below : n + below;
	}
	closedir(dir);
	return n;
}

/* May the generation have been removed by now? */
static bool may_be_gone(const struct reader *r, long number, long since_ms)
{
	const struct reader_shared *s = r->shared;

	return (s->keep > 0 && s->current - number >= s->keep) ||
	       (s->grace_ms > 0 && now_ms() - since_ms >= s->grace_ms);
}

/* Every file of the set, as one that belongs to it. Return: false if one was not there. */
static bool check_files(struct reader *r, int data, const char *set, long number, long since_ms,
			unsigned *n)
{
	char text[SET_MAX], path[PATH_MAX];
	const char *line = strchr(set, '\n');

	for (; line && line[1]; line = strchr(line + 1, '\n')) {
		size_t len = strcspn(line + 1, "\n");

		(void)snprintf(path, sizeof(path), "%.*s", (int)len, line + 1);
		if (read_at(data, path, text, sizeof(text)) < 0)
			return false;
		/* its content is overwritten before it is removed */
		if (strtol(text, NULL, 10) != number && !may_be_gone(r, number, since_ms))
			broken(r->shared, "generation %ld has a file %s of generation %.20s",
			       number, path, text);
		++*n;
	}
	return true;
}

/* Through a descriptor of ..data: one generation, whole. */
static void look_at_data(struct reader *r)
{
	int data = openat(r->dirfd, "..data", O_RDONLY | O_DIRECTORY | O_CLOEXEC), strangers;
	unsigned n_set = 0, n_files = 0;
	long since_ms = now_ms(), number;
	char set[SET_MAX];
	bool whole;

	if (data < 0) {
		broken(r->shared, "..data cannot be opened: %s", strerror(errno));
		return;
	}
	whole = read_at(data, "set", set, sizeof(set)) > 0;
	/* what cannot be read at all has no number: it must be the grace that has passed */
	number = whole ? strtol(set, NULL, 10) : r->shared->current - r->shared->keep;
	whole = whole && check_files(r, data, set, number, since_ms, &n_set);
	strangers = whole ? count_strangers(data, "", set, &n_files) : -1;
	close(data);
	if ((!whole || strangers < 0 || n_files < n_set) && !may_be_gone(r, number, since_ms))
		broken(r->shared, "generation %ld is not whole, and %ld is the present one", number,
		       r->shared->current);
	if (strangers > 0)
		broken(r->shared, "generation %ld has %d files of others", number, strangers);
}

/* ---- by way of the links ------------------------------------------------------------------- */

/* What is in every generation is there at any time, and never older than before. */
static void look_at_links(struct reader *r)
{
	static const char *const paths[] = { "set", READER_ALWAYS };
	char text[SET_MAX];
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		long at_first = r->shared->current, since_ms = now_ms();
		ssize_t n = read_at(r->dirfd, paths[i], text, sizeof(text));
		long number = n > 0 ? strtol(text, NULL, 10) : 0;

		if (number >= r->newest && number > 0)
			r->newest = number;
		else if (may_be_gone(r, at_first, since_ms))
			continue; /* it has waited so long between two steps of one look */
		else if (n <= 0)
			broken(r->shared, "%s cannot be read: %s", paths[i],
			       n < 0 ? strerror((int)-n) : "it is empty");
		else
			broken(r->shared, "%s is of generation %ld, and %ld was seen before",
			       paths[i], number, r->newest);
	}
}

/* The elements at the top of the set's paths are the names of the links. */
static bool has_top(const char *set, const char *name)
{
	size_t n = strlen(name);
	const char *line;

	for (line = strchr(set, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
		if (strncmp(line + 1, name, n) == 0 && (line[1 + n] == '\n' || line[1 + n] == '/'))
			return true;
	return false;
}

/* One that was made before what it leads to has led nowhere, and does no longer. */
static void check_revived(struct reader *r, const char *name)
{
	struct stat st;
	size_t i;

	if (!r->shared->calm || fstatat(r->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	for (i = 0; i < sizeof(r->dangling) / sizeof(*r->dangling); i++)
		if (r->dangling[i].ino == st.st_ino && strcmp(r->dangling[i].name, name) == 0)
			broken(r->shared, "link %s was there before what it leads to", name);
}

static void note_dangling(struct reader *r, const char *name, ino_t ino)
{
	size_t i = r->n_dangling++ % (sizeof(r->dangling) / sizeof(*r->dangling));

	(void)snprintf(r->dangling[i].name, sizeof(r->dangling[i].name), "%.63s", name);
	r->dangling[i].ino = ino;
}

/* A link that leads nowhere: while one generation was there all the time, it must not be its own. */
static void look_for_dangling(struct reader *r)
{
	int fd = openat(r->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char before[SET_MAX], after[SET_MAX];
	const struct dirent *e;

	if (!dir)
		abort();
	while ((e = readdir(dir))) {
		struct stat link, st;

		if (e->d_type != DT_LNK || strncmp(e->d_name, "..", 2) == 0)
			continue;
		if (read_at(r->dirfd, "set", before, sizeof(before)) < 0 ||
		    fstatat(r->dirfd, e->d_name, &link, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (fstatat(r->dirfd, e->d_name, &st, 0) == 0) {
			check_revived(r, e->d_name);
			continue;
		}
		/* the very link that led nowhere: another may have come to its place meanwhile */
		if (errno != ENOENT || fstatat(r->dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_ino != link.st_ino || read_at(r->dirfd, "set", after, sizeof(after)) < 0)
			continue;
		note_dangling(r, e->d_name, st.st_ino);
		if (strcmp(before, after) == 0 && has_top(after, e->d_name))
			broken(r->shared, "link %s of generation %ld leads nowhere", e->d_name,
			       strtol(after, NULL, 10));
	}
	closedir(dir);
}

static void look(struct reader_shared *s, const char *dir, int which)
{
	static void (*const looks[READERS])(struct reader * r) = { look_at_data, look_at_links,
								   look_for_dangling };
	struct reader r = { .shared = s };

	r.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.dirfd < 0)
		broken(s, "%s: %s", dir, strerror(errno));
	while (!s->stop) {
		looks[which](&r);
		s->passes[which]++;
	}
}

/* ---- moves --------------------------------------------------------------------------------- */

static void count_events(struct reader_shared *s, const char *buf, ssize_t n)
{
	const char *p = buf;

	while (p < buf + n) {
		const struct inotify_event *e = (const void *)p;

		s->moves += (e->mask & IN_MOVED_TO) && strcmp(e->name, "..data") == 0;
		if (e->mask & IN_Q_OVERFLOW)
			s->overflow = true;
		p += sizeof(*e) + e->len;
	}
}

static void count_moves(struct reader_shared *s, int fd)
{
	char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	bool last = false;

	while (!last) {
		last = s->stop; /* what came before is still read */
		(void)poll(&pfd, 1, last ? 0 : 20);
		for (;;) {
			ssize_t n = read(fd, buf, sizeof(buf));

			if (n <= 0)
				break;
			count_events(s, buf, n);
			last = false;
		}
	}
}

/* ---- processes ----------------------------------------------------------------------------- */

void reader_start(struct reader_shared *s, const char *dir, pid_t pids[READERS + 1])
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), i;

	/* both ends of a move: the kernel makes one of two equal events that follow each other */
	if (fd < 0 || inotify_add_watch(fd, dir, IN_MOVED_FROM | IN_MOVED_TO) < 0)
		abort();
	for (i = 0; i <= READERS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			abort();
		if (pids[i] > 0)
			continue;
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (i == READERS)
			count_moves(s, fd);
		else
			look(s, dir, i);
		_exit(0);
	}
	close(fd);
}

bool reader_stop(struct reader_shared *s, const pid_t pids[READERS + 1])
{
	bool ok = true;
	int i, status;

	s->stop = true;
	for (i = 0; i <= READERS; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			ok = false;
	return ok;
}
