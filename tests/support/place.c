/* SPDX-License-Identifier: Apache-2.0 */
/* A place of its own for a test that mounts and writes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

const char t_dir[] = "/mnt"; /* covered, in our namespace only: a crash leaves nothing behind */
int t_dirfd = -1;

void t_enter_place(void)
{
	ck_assert_msg(unshare(CLONE_NEWNS) == 0, "no mount namespace of our own: %s",
		      strerror(errno));
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("tmpfs", t_dir, "tmpfs", 0, "mode=0755"), 0);
	t_dirfd = open(t_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(t_dirfd, 0);
	umask(022);
}

void t_leave_place(void)
{
	close(t_dirfd);
	t_dirfd = -1;
	ck_assert_int_eq(umount2(t_dir, MNT_DETACH), 0); /* and all that is mounted below */
}

char *t_read(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	struct sv_buf b = { 0 };
	char part[4096];
	ssize_t n;

	if (fd < 0)
		return NULL;
	while ((n = read(fd, part, sizeof(part))) > 0)
		sv_buf_add(&b, part, (size_t)n);
	close(fd);
	ck_assert_int_eq(n, 0);
	return sv_buf_take(&b);
}

void t_write(int dirfd, const char *path, const char *text)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

char *t_link(int dirfd, const char *path)
{
	char target[4096];
	ssize_t n = readlinkat(dirfd, path, target, sizeof(target) - 1);

	if (n < 0)
		return NULL;
	target[n] = '\0';
	return strdup(target);
}

/* A generation's name differs from run to run. */
static const char *shown(const char *name)
{
	return strncmp(name, "..2", 3) == 0 ? "..GEN" : name;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list(int dirfd, char ***ret)
{
	DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	char **names = NULL;
	struct dirent *e;
	size_t n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		names = reallocarray(names, n + 1, sizeof(*names));
		ck_assert_ptr_nonnull(names);
		names[n++] = strdup(e->d_name);
	}
	closedir(dir);
	if (n)
		qsort(names, n, sizeof(*names), compare_names);
	*ret = names;
	return n;
}

static void show(struct sv_buf *b, int dirfd, const char *prefix)
{
	char **names;
	size_t i, n = list(dirfd, &names);

	for (i = 0; i < n; i++) {
		struct stat st;

		ck_assert_int_eq(fstatat(dirfd, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		sv_buf_printf(b, "%s%s%s", b->len ? "\n" : "", prefix, shown(names[i]));
		if (S_ISLNK(st.st_mode)) {
			sv_autofree char *target = t_link(dirfd, names[i]);

			sv_buf_printf(b, " -> %s", shown(target));
			free(names[i]);
			continue;
		}
		sv_buf_printf(b, "%s %04o %u", S_ISDIR(st.st_mode) ? "/" : "", st.st_mode & 07777,
			      st.st_gid);
		if (S_ISREG(st.st_mode)) {
			sv_autofree char *text = t_read(dirfd, names[i]);

			sv_buf_printf(b, " =%s", text);
		}
		if (S_ISDIR(st.st_mode)) {
			sv_autofree char *below = sv_asprintf("%s%s/", prefix, shown(names[i]));
			int fd = openat(dirfd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			ck_assert_int_ge(fd, 0);
			show(b, fd, below);
			close(fd);
		}
		free(names[i]);
	}
	free(names);
}

char *t_tree(int dirfd)
{
	struct sv_buf b = { 0 };

	show(&b, dirfd, "");
	return sv_buf_take(&b);
}
