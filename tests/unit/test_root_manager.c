/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "../../daemon/log.h"
#include "../daemon/daemon.h"
#include "../support/support.h"

#define PODS 100 /* more than are worked on at a time */
#define MAX_MS 60000

static struct t_daemon d;

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

static void put_pods(void)
{
	sv_autosecret struct sv_secret *secret = t_secret("s", "k=1");
	int i;

	ck_assert_int_eq(sv_manager_put_secret(&d.manager, SV_ORIGIN_MANIFEST, secret), 0);
	for (i = 0; i < PODS; i++) {
		sv_autofree char *name = sv_asprintf("p%d@u%d", i, i);
		sv_autopod struct sv_pod *pod = t_pod(name, "v=s");

		ck_assert_int_eq(sv_manager_put_pod(&d.manager, SV_ORIGIN_MANIFEST, pod), 0);
	}
}

static void remove_pods(void)
{
	int i;

	for (i = 0; i < PODS; i++) {
		sv_autofree char *name = sv_asprintf("p%d", i);

		sv_manager_remove_pod(&d.manager, SV_ORIGIN_MANIFEST, "default", name);
	}
}

static bool are_published(void *arg)
{
	size_t counts[SV_N_STATES];

	(void)arg;
	sv_manager_count(&d.manager, counts);
	return counts[SV_STATE_PUBLISHED] == PODS;
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

	put_pods();
	ck_assert(t_daemon_wait(&d, are_published, NULL, MAX_MS));
	remove_pods();
	t_daemon_turn(&d);
	sv_manager_set_opts(&d.manager, &opts); /* as SIGHUP does: also those that are worked on */
	ck_assert(t_daemon_wait(&d, are_gone, NULL, MAX_MS));
	ck_assert_uint_eq(count_events("VolumeRemoved"), PODS);
}
END_TEST

T_SUITE(root_manager)
{
	T_AROUND(setup, teardown);
	T_TEST(a_removal_is_told_although_its_volume_is_to_be_looked_at);
}
