/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../daemon/log.h"
#include "../daemon/daemon.h"
#include "../support/support.h"

#define MAX_MS 60000
#define ID "pods/u0/volumes/kubernetes.io~secret/v"

static struct t_daemon d;
static int n_pods; /* p0, p1, ... with the uids u0, u1, ... */

static bool is_ready(void *arg)
{
	(void)arg;
	return d.settled;
}

static void setup(void)
{
	struct sv_err err = { "" };

	t_enter_place();
	t_daemon_prepare(&d, t_dir);
	sv_log_init(SV_LOG_ERROR, SV_LOG_TEXT);
	ck_assert_msg(t_daemon_start(&d, &err) == 0, "%s", err.msg);
	ck_assert(t_daemon_wait(&d, is_ready, NULL, MAX_MS));
}

static void teardown(void)
{
	t_daemon_stop(&d);
	t_daemon_forget(&d);
	t_leave_place();
}

static void put_secret(const char *keys)
{
	sv_autosecret struct sv_secret *secret = t_secret("s", keys);

	ck_assert_int_eq(sv_manager_put_secret(&d.manager, SV_ORIGIN_MANIFEST, secret), 0);
}

static bool are_published(void *arg)
{
	size_t counts[SV_N_STATES];

	(void)arg;
	sv_manager_count(&d.manager, counts);
	return counts[SV_STATE_PUBLISHED] == (size_t)n_pods;
}

static void publish_pods(int n)
{
	int i;

	n_pods = n;
	put_secret("k=1");
	for (i = 0; i < n; i++) {
		sv_autofree char *name = sv_asprintf("p%d@u%d", i, i);
		sv_autopod struct sv_pod *pod = t_pod(name, "v=s");

		ck_assert_int_eq(sv_manager_put_pod(&d.manager, SV_ORIGIN_MANIFEST, pod), 0);
	}
	ck_assert(t_daemon_wait(&d, are_published, NULL, MAX_MS));
}

static void remove_pods(void)
{
	int i;

	for (i = 0; i < n_pods; i++) {
		sv_autofree char *name = sv_asprintf("p%d", i);

		sv_manager_remove_pod(&d.manager, SV_ORIGIN_MANIFEST, "default", name);
	}
}

static bool are_gone(void *arg)
{
	(void)arg;
	return d.manager.actuals.records.n == 0;
}

static size_t count_events(const char *reason)
{
	const struct sv_events *e = &d.manager.events;
	size_t i, n = 0;

	for (i = 0; i < e->n; i++)
		n += strcmp(e->items[i].reason, reason) == 0;
	return n;
}

START_TEST(a_removal_is_told_although_its_volume_is_to_be_looked_at)
{
	const struct sv_reconcile_opts opts = d.manager.opts;

	publish_pods(100); /* more than are worked on at a time */
	remove_pods();
	t_daemon_turn(&d);
	sv_manager_set_opts(&d.manager, &opts); /* as SIGHUP does: also those that are worked on */
	ck_assert(t_daemon_wait(&d, are_gone, NULL, MAX_MS));
	ck_assert_uint_eq(count_events("VolumeRemoved"), 100);
}
END_TEST

/* The time that it is due again was set so many times. */
static bool was_tried_often(void *arg)
{
	static int64_t due_ms;
	const struct sv_actual *a = sv_actuals_get(&d.manager.actuals, ID);
	int *times = arg;

	if (a->n_old > 0 && a->old[0].due_ms != due_ms) {
		due_ms = a->old[0].due_ms;
		(*times)++;
	}
	return *times == 4;
}

START_TEST(an_old_generation_that_cannot_go_is_told_once)
{
	sv_autofree char *path = sv_asprintf("%s/root/" ID "/k", t_dir);
	sv_autofree char *log = sv_asprintf("%s/log", t_dir), *text = NULL;
	FILE *file = fopen(log, "we"), *real_stderr = stderr;
	sv_autoclose int fd = -1;
	const char *found;
	int times = 0;

	ck_assert_ptr_nonnull(file);
	publish_pods(1);
	ck_assert(signal(SIGIO, SIG_IGN) != SIG_ERR);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_RDLCK), 0); /* as a container can */
	sv_log_init(SV_LOG_WARNING, SV_LOG_TEXT);
	stderr = file;
	put_secret("k=2");
	ck_assert(t_daemon_wait(&d, was_tried_often, &times, MAX_MS));
	stderr = real_stderr;
	ck_assert_int_eq(fclose(file), 0);
	text = t_read(t_dirfd, "log");
	found = strstr(text, "cannot remove generation");
	ck_assert_ptr_nonnull(found);
	ck_assert_ptr_null(strstr(found + 1, "cannot remove generation"));
}
END_TEST

T_SUITE(root_manager)
{
	T_AROUND(setup, teardown);
	T_TEST(a_removal_is_told_although_its_volume_is_to_be_looked_at);
	T_TEST(an_old_generation_that_cannot_go_is_told_once);
}
