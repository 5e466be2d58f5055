/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan that is accepted is written just so, and nothing outside the volume. Needs root: volumes
 * are directories of a tmpfs in a mount namespace of our own, and what stands beside them is watched.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/node/atomic_writer.h"
#include "../../lib/node/fsutil.h"
#include "fuzz.h"

#define PLACE "/mnt" /* covered, in our namespace only */

static int place = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", PLACE, "tmpfs", 0, "mode=0755,size=64m") < 0) {
		printf("skipped: needs root and a mount namespace\n");
		exit(0);
	}
	place = open(PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(place >= 0 && mkdirat(place, "beside", 0700) == 0);
	umask(077); /* must not matter */
	return 0;
}

/* ---- what is there ------------------------------------------------------------------------- */

static int count_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	size_t *n = arg;

	(*n)++;
	if (type == DT_DIR) {
		sv_autoclose int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

		MUST(fd >= 0);
		return sv_each_entry(fd, count_entry, arg);
	}
	return 0;
}

static size_t count_below(int dirfd)
{
	size_t n = 0;

	MUST(sv_each_entry(dirfd, count_entry, &n) == 0);
	return n;
}

static bool is_dir_of_plan(const struct sv_plan *plan, const char *path)
{
	size_t i, n = strlen(path);

	for (i = 0; i < plan->n_dirs; i++)
		if (strncmp(plan->dirs[i], path, n) == 0 &&
		    (plan->dirs[i][n] == '/' || !plan->dirs[i][n]))
			return true;
	return false;
}

/* How many entries of a generation the files need: themselves and their directories. */
static size_t count_planned(const struct sv_plan *plan)
{
	size_t i, n = 0;

	for (i = 0; i < plan->n_files; i++) {
		const char *path = plan->files[i].path, *slash, *before;

		n++;
		before = i > 0 ? plan->files[i - 1].path : "";
		for (slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
			n += strncmp(before, path, (size_t)(slash + 1 - path)) != 0;
	}
	return n;
}

static void check_file(int volume, const struct sv_plan *plan, const struct sv_plan_file *f)
{
	sv_autofree char *first = strndup(f->path, strcspn(f->path, "/"));
	sv_autofree char *path = NULL;
	sv_autoclose int fd = -1;
	char content[64];
	struct stat st;

	MUST(first);
	/* by the name that a container uses, unless a mountpoint hides it (R49) */
	path = sv_asprintf("%s%s", is_dir_of_plan(plan, first) ? "..data/" : "", f->path);
	MUST(path);
	fd = openat(volume, path, O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0 && fstat(fd, &st) == 0);
	MUST(S_ISREG(st.st_mode) && (st.st_mode & 07777) == f->mode && st.st_uid == 0 &&
	     st.st_gid == (plan->fs_group > 0 ? (gid_t)plan->fs_group : 0));
	MUST(f->size <= sizeof(content) && read(fd, content, sizeof(content)) == (ssize_t)f->size);
	MUST(f->size == 0 || memcmp(content, f->value->ptr, f->size) == 0);
}

struct roots {
	const struct sv_plan *plan;
	size_t generations, links;
};

static int check_entry(void *arg, int dirfd, const char *name, unsigned char type)
{
	struct roots *r = arg;
	struct stat st;
	size_t i, n = strlen(name);

	MUST(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	if (strncmp(name, "..", 2) == 0 && type == DT_DIR) {
		MUST((st.st_mode & 07777) == sv_plan_dir_mode(r->plan));
		r->generations++;
		return 0;
	}
	if (type == DT_DIR) {
		MUST(is_dir_of_plan(r->plan, name));
		MUST((st.st_mode & 07777) == sv_plan_dir_mode(r->plan));
		return 0;
	}
	MUST(type == DT_LNK);
	if (strcmp(name, "..data") == 0)
		return 0;
	for (i = 0; i < r->plan->n_files; i++)
		if (strncmp(r->plan->files[i].path, name, n) == 0 &&
		    (r->plan->files[i].path[n] == '/' || !r->plan->files[i].path[n]))
			break;
	MUST(i < r->plan->n_files && !is_dir_of_plan(r->plan, name));
	return 0;
}

static void check_volume(int volume, const struct sv_plan *plan, size_t n_old)
{
	struct roots roots = { .plan = plan };
	sv_autoclose int data = openat(volume, "..data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	size_t i;

	MUST(data >= 0 && count_below(data) == count_planned(plan));
	MUST(fstat(volume, &st) == 0 && (st.st_mode & 07777) == sv_plan_root_mode(plan));
	for (i = 0; i < plan->n_files; i++)
		check_file(volume, plan, &plan->files[i]);
	for (i = 0; i < plan->n_dirs; i++)
		MUST(fstatat(volume, plan->dirs[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		     S_ISDIR(st.st_mode));
	MUST(sv_each_entry(volume, check_entry, &roots) == 0);
	MUST(roots.generations == n_old + 1);
}

/* ---- writing ------------------------------------------------------------------------------- */

/* What may have happened to a volume since: a link or a directory is gone, or is another. */
static void disturb(struct fuzz_in *in, int volume)
{
	static const char *const names[] = { "a", "b", "..data", "..data_tmp", "d", "A" };
	const char *name = FUZZ_PICK(in, names);

	if (!fuzz_one_in(in, 3))
		return;
	if (unlinkat(volume, name, 0) == 0 || strncmp(name, "..data", 6) != 0)
		return;
	(void)symlinkat(fuzz_one_in(in, 2) ? "../beside" : "..2000", volume, name);
}

static void write_plan(struct fuzz_in *in, int volume, const struct sv_plan *plan, bool first)
{
	static uint64_t generation;
	struct sv_written w = { 0 }, again = { 0 };
	struct sv_err err = { "" };
	size_t i;
	int r = sv_atomic_check(volume, plan, &w);

	MUST(r == 0 || (r == 1 && !first));
	sv_written_done(&w);
	generation++;
	MUST(sv_atomic_write(volume, plan, generation, false, &w, &err) == 0);
	MUST(w.generation == generation);
	/* ..data was not there, so nobody looked for what is old */
	MUST(sv_atomic_check(volume, plan, &again) == 1 && again.generation == generation);
	check_volume(volume, plan, again.n_old);
	for (i = 0; i < again.n_old; i++)
		MUST(fuzz_one_in(in, 4) ||
		     sv_atomic_remove(volume, again.old[i].data_dir, true) == 0);
	MUST(sv_atomic_check(volume, plan, &again) == 1);
	sv_written_done(&again);
	sv_written_done(&w);
}

/* A volume that is written several times: as it was, and as another of the Pod's volumes. */
static void check_pod(struct fuzz_in *in, struct sv_manifest *m, const struct sv_pod *pod)
{
	sv_autoclose int volume = -1;
	bool first = true;
	size_t i;

	MUST(mkdirat(place, "volume", 0700) == 0);
	volume = openat(place, "volume", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(volume >= 0);
	for (i = 0; i < pod->n_volumes * 2; i++) {
		const struct sv_volume *v = &pod->volumes[i / 2];
		sv_autoplan struct sv_plan *plan = NULL;

		if (v->type == SV_VOLUME_OTHER ||
		    sv_plan_make(pod, v, 1 << 20, fuzz_lookup, m, &plan, NULL) != 0)
			continue;
		if (i % 2)
			disturb(in, volume);
		/* directories of another volume's mountpoints are in nobody's way but its own */
		if (i % 2 == 0 && !first) {
			MUST(sv_empty_dir(volume, true) == 0);
			first = true;
		}
		write_plan(in, volume, plan, first);
		first = false;
	}
	MUST(sv_remove_tree(place, "volume", true) == 0);
	MUST(count_below(place) == 1); /* what stands beside is all there is */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, data + size };
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	sv_autobuf struct sv_buf text = { 0 };
	struct sv_err err = { "" };
	size_t i;

	fuzz_write_manifest(&in, &text);
	MUST(!text.failed);
	if (sv_manifest_parse(text.ptr, text.len, SV_FORMAT_JSON, NULL, &m, &err, NULL) != 0)
		return 0;
	for (i = 0; i < m.n_objects; i++)
		if (m.objects[i].pod)
			check_pod(&in, &m, m.objects[i].pod);
	return 0;
}
