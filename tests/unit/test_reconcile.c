/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/reconcile.h"
#include "../support/support.h"

#define ID "pods/u/volumes/kubernetes.io~secret/v"
#define GRACE 250
#define UNIX 1700000000000LL

static struct sv_desired d;
static struct sv_actuals s;
static const struct sv_reconcile_opts opts = { .volume_size_limit = 1 << 20, .grace_ms = GRACE };
static int64_t now; /* monotonic */
static enum sv_outcome outcome;

/* What a manager does when it hears of a change. */
static void changed(void *arg, const char *id)
{
	struct sv_actual *a = sv_actuals_make(&s, id);

	(void)arg;
	ck_assert_ptr_nonnull(a);
	a->input = true;
	sv_actuals_enqueue(&s, a, false);
}

static void setup(void)
{
	sv_desired_init(&d, changed, NULL);
	sv_actuals_init(&s);
	d.expected[SV_ORIGIN_MANIFEST] = true;
	sv_desired_set_synced(&d, SV_ORIGIN_MANIFEST);
	now = 10000;
}

static void teardown(void)
{
	sv_actuals_done(&s);
	sv_desired_done(&d);
}

static void put_pod(const char *volumes)
{
	sv_autopod struct sv_pod *pod = t_pod("p@u", volumes);

	ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, pod, now), 0);
}

static void put_secret(const char *keys)
{
	sv_autosecret struct sv_secret *secret = t_secret("s", keys);

	ck_assert_int_eq(sv_desired_put_secret(&d, SV_ORIGIN_MANIFEST, secret, now), 0);
}

static void remove_pod(void)
{
	sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "p");
}

static void remove_secret(void)
{
	sv_desired_remove_secret(&d, SV_ORIGIN_MANIFEST, "default", "s");
}

static struct sv_actual *record(void)
{
	return sv_actuals_get(&s, ID);
}

/* Looks at what is queued, as often as something is; the action that came of it, or NULL. */
static struct sv_action *look(void)
{
	struct sv_action *action = NULL;
	struct sv_actual *a;
	int rounds = 0;

	(void)sv_actuals_wake(&s, now);
	while (!action && (a = sv_actuals_dequeue(&s))) {
		ck_assert_int_lt(rounds++, 10); /* a queue that never empties would spin */
		outcome = sv_reconcile_start(&d, &s, a, &opts, now, &action);
		if (outcome == SV_OUTCOME_REMOVED) {
			ck_assert_ptr_null(action);
			sv_actuals_drop(&s, a);
		}
	}
	return action;
}

static struct sv_action *look_for(enum sv_action_kind kind)
{
	struct sv_action *action = look();

	ck_assert_ptr_nonnull(action);
	ck_assert_int_eq(action->kind, kind);
	ck_assert_str_eq(action->id, ID);
	return action;
}

/* An action is done: its result goes back. */
static void finish(struct sv_action *action)
{
	struct sv_actual *a = sv_actuals_get(&s, action->id);

	outcome = sv_reconcile_finish(&d, &s, a, action, &opts, now, UNIX + now);
	sv_action_free(action);
	if (outcome == SV_OUTCOME_REMOVED && !a->queued)
		sv_actuals_drop(&s, a);
}

static void add_old(struct sv_action *action, const char *name)
{
	action->old = realloc(action->old, (action->n_old + 1) * sizeof(*action->old));
	(void)snprintf(action->old[action->n_old].data_dir, SV_DATA_DIR_MAX, "%s", name);
	action->old[action->n_old++].due_ms = 0;
}

/* The volume was made, or a generation written over the one before. */
static void succeed(struct sv_action *action)
{
	struct sv_actual *a = sv_actuals_get(&s, action->id);
	size_t i;

	action->is_mounted = action->changed = action->listed = true;
	action->medium = SV_MEDIUM_TMPFS_NOSWAP;
	action->current = action->generation;
	if (action->mounted) {
		char name[SV_DATA_DIR_MAX];

		for (i = 0; i < a->n_old; i++)
			add_old(action, a->old[i].data_dir);
		(void)snprintf(name, sizeof(name), "..2026.%u", (unsigned)a->generation);
		add_old(action, name);
	}
	finish(action);
}

static void unchanged(struct sv_action *action)
{
	action->is_mounted = action->listed = true;
	action->current = action->generation - 1;
	finish(action);
}

static void go_wrong(struct sv_action *action, int r, enum sv_fault fault)
{
	action->result = r;
	action->fault = fault;
	sv_err_set(&action->err, r, "it went wrong");
	finish(action);
}

static void expect(enum sv_state state, const char *reason, const char *message)
{
	const struct sv_actual *a = record();

	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(sv_state_name(a->state), sv_state_name(state));
	ck_assert_str_eq(a->reason, reason);
	ck_assert_pstr_eq(a->message, message);
}

static void expect_idle(void)
{
	ck_assert_ptr_null(look());
	ck_assert_ptr_null(s.queues[0].head);
	ck_assert_ptr_null(s.queues[1].head);
}

static void publish(void)
{
	put_secret("k=1");
	put_pod("v=s");
	succeed(look_for(SV_ACTION_SYNC));
	ck_assert_int_eq(outcome, SV_OUTCOME_PUBLISHED);
}

/* ---- the states ------------------------------------------------------------------------------- */

START_TEST(a_volume_is_published_updated_and_removed)
{
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	expect(SV_STATE_PENDING, "", NULL);
	ck_assert(record()->busy);
	ck_assert_str_eq(action->ns, "default");
	ck_assert_str_eq(action->pod, "p");
	ck_assert_str_eq(action->volume, "v");
	ck_assert(!action->mounted);
	ck_assert_uint_eq(action->generation, 1);
	ck_assert_uint_eq(action->size_limit, 1 << 20);
	ck_assert_uint_eq(action->plan->n_files, 1);
	succeed(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_PUBLISHED);
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert(record()->mounted && !record()->busy);
	ck_assert_int_eq(record()->published_ms, UNIX + now);
	ck_assert_int_eq(record()->medium, SV_MEDIUM_TMPFS_NOSWAP);
	ck_assert_ptr_null(record()->plan->files[0].value); /* a record holds no secrets */
	expect_idle();

	now += 1000;
	put_secret("k=2");
	action = look_for(SV_ACTION_SYNC);
	ck_assert(action->mounted);
	ck_assert_uint_eq(action->generation, 2);
	expect(SV_STATE_PUBLISHED, "", NULL);
	succeed(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_UPDATED);
	ck_assert_uint_eq(record()->generation, 2);
	ck_assert_int_eq(record()->updated_ms, UNIX + now);
	ck_assert_int_eq(record()->published_ms, UNIX + now - 1000);

	remove_pod();
	action = look_for(SV_ACTION_REMOVE);
	ck_assert_int_eq(outcome, SV_OUTCOME_STATE);
	expect(SV_STATE_REMOVING, "", NULL);
	action->is_mounted = false;
	finish(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_REMOVED);
	ck_assert_ptr_null(record());
	ck_assert_int_eq(sv_actuals_wake(&s, now), -1);
}
END_TEST

START_TEST(an_update_that_changes_nothing_is_none)
{
	publish();
	put_secret("k=1"); /* told again: not even looked at */
	expect_idle();
	changed(NULL, ID);
	unchanged(look_for(SV_ACTION_SYNC));
	ck_assert_int_eq(outcome, SV_OUTCOME_NONE);
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert_uint_eq(record()->generation, 1);
	ck_assert_int_eq(record()->updated_ms, UNIX + now);
}
END_TEST

START_TEST(a_refusal_waits_for_new_input)
{
	put_pod("v=s");
	ck_assert_ptr_null(look());
	ck_assert_int_eq(outcome, SV_OUTCOME_FAILED);
	expect(SV_STATE_REFUSED, "SecretNotFound", "secret \"s\" not found");
	ck_assert_int_eq(sv_actuals_wake(&s, now), -1); /* no retry */
	now += 1000000;
	expect_idle();
	changed(NULL, ID); /* looked at again: the same refusal is no news */
	ck_assert_ptr_null(look());
	ck_assert_int_eq(outcome, SV_OUTCOME_NONE);
	put_secret("k=1");
	succeed(look_for(SV_ACTION_SYNC));
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert_str_eq(record()->last_error,
			 "secret \"s\" not found"); /* stays after a success */
}
END_TEST

START_TEST(a_refused_update_leaves_a_stale_volume)
{
	publish();
	remove_secret();
	ck_assert_ptr_null(look());
	ck_assert_int_eq(outcome, SV_OUTCOME_FAILED);
	expect(SV_STATE_STALE, "SecretNotFound", "secret \"s\" not found");
	ck_assert(record()->mounted);
	put_secret("k=1"); /* as it was: nothing to write */
	unchanged(look_for(SV_ACTION_SYNC));
	ck_assert_int_eq(outcome, SV_OUTCOME_STATE);
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert_uint_eq(record()->generation, 1);
}
END_TEST

START_TEST(a_stale_volume_goes_with_its_pod)
{
	struct sv_action *action;

	publish();
	remove_secret();
	ck_assert_ptr_null(look());
	remove_pod();
	action = look_for(SV_ACTION_REMOVE);
	action->is_mounted = false;
	finish(action);
	ck_assert_ptr_null(record());
}
END_TEST

START_TEST(a_refused_volume_goes_without_an_action)
{
	put_pod("v=s");
	ck_assert_ptr_null(look());
	remove_pod();
	ck_assert_ptr_null(look());
	ck_assert_int_eq(outcome, SV_OUTCOME_REMOVED);
	ck_assert_ptr_null(record());
}
END_TEST

START_TEST(before_the_source_has_answered_a_volume_is_pending)
{
	d.synced[SV_ORIGIN_MANIFEST] = false;
	put_pod("v=s");
	ck_assert_ptr_null(look());
	ck_assert_int_eq(record()->state, SV_STATE_PENDING);
	ck_assert_str_eq(record()->reason, "");
	t_contains(record()->message, "has not been read yet");
	sv_desired_set_synced(&d, SV_ORIGIN_MANIFEST);
	ck_assert_ptr_null(look());
	expect(SV_STATE_REFUSED, "SecretNotFound", "secret \"s\" not found");
}
END_TEST

/* R21 */
START_TEST(an_unused_volume_is_not_mounted_and_no_error)
{
	struct sv_action *action;

	put_pod("v-=s");
	ck_assert_ptr_null(look());
	ck_assert_int_eq(outcome, SV_OUTCOME_STATE);
	expect(SV_STATE_UNUSED, "", NULL);
	ck_assert_str_eq(record()->pod, "p");
	put_pod("v=s");
	put_secret("k=1");
	succeed(look_for(SV_ACTION_SYNC));
	put_pod("v-=s"); /* used no longer */
	action = look_for(SV_ACTION_REMOVE);
	expect(SV_STATE_REMOVING, "", NULL);
	action->is_mounted = false;
	finish(action);
	ck_assert_ptr_null(look());
	expect(SV_STATE_UNUSED, "", NULL);
	remove_pod();
	ck_assert_ptr_null(look());
	ck_assert_ptr_null(record());
}
END_TEST

/* ---- failures of the node ---------------------------------------------------------------------- */

START_TEST(a_volume_that_is_used_again_has_the_immutable_secret_of_then)
{
	struct sv_action *action;

	put_secret("k=1 !immutable");
	put_pod("v=s");
	succeed(look_for(SV_ACTION_SYNC));
	remove_secret();
	put_secret("k=2 !immutable");
	action = look_for(SV_ACTION_SYNC); /* what is there stays as it is (section 7.7) */
	ck_assert_mem_eq(action->plan->files[0].value->ptr, "1", 1);
	unchanged(action);
	put_pod("v-=s");
	action = look_for(SV_ACTION_REMOVE);
	action->is_mounted = false;
	finish(action);
	ck_assert_ptr_null(look());
	expect(SV_STATE_UNUSED, "", NULL);
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	ck_assert_mem_eq(action->plan->files[0].value->ptr, "2", 1);
	succeed(action);
}
END_TEST

START_TEST(failures_are_retried_less_and_less_often)
{
	static const int64_t delays[] = { 500,   1000,  2000,   4000,   8000,  16000,
					  32000, 64000, 122000, 122000, 122000 };
	size_t i;

	put_secret("k=1");
	put_pod("v=s");
	for (i = 0; i < SV_ARRAY_SIZE(delays); i++) {
		go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_MOUNT);
		ck_assert_int_eq(outcome, SV_OUTCOME_FAILED);
		expect(SV_STATE_FAILED, "MountFailed", "it went wrong: Input/output error");
		ck_assert_int_eq(record()->retry_ms, now + delays[i]);
		ck_assert_int_eq(sv_actuals_wake(&s, now), delays[i]);
		now += delays[i] - 1;
		expect_idle(); /* not a moment earlier */
		now += 1;
	}
	succeed(look_for(SV_ACTION_SYNC));
	ck_assert_int_eq(outcome, SV_OUTCOME_PUBLISHED);
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert_int_eq(record()->retry_ms, 0);
	ck_assert_int_eq(sv_actuals_wake(&s, now), -1);
	put_secret("k=2"); /* a success begins anew */
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_WRITE);
	ck_assert_int_eq(record()->retry_ms, now + 500);
}
END_TEST

START_TEST(a_failed_update_leaves_a_stale_volume)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	action = look_for(SV_ACTION_SYNC);
	action->current = 1;
	go_wrong(action, -EIO, SV_FAULT_WRITE);
	expect(SV_STATE_STALE, "WriteFailed", "it went wrong: Input/output error");
	ck_assert(record()->mounted);
	ck_assert_uint_eq(record()->generation, 1);
	now += 500;
	succeed(look_for(SV_ACTION_SYNC));
	expect(SV_STATE_PUBLISHED, "", NULL);
}
END_TEST

START_TEST(a_covered_volume_has_failed_and_is_still_taken_down)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	action = look_for(SV_ACTION_SYNC);
	action->covered = true;
	go_wrong(action, -EBUSY, SV_FAULT_OCCUPIED);
	expect(SV_STATE_FAILED, "Busy", "it went wrong: Device or resource busy");
	ck_assert(record()->mounted);
	remove_secret();
	ck_assert_ptr_null(look());
	expect(SV_STATE_REFUSED, "SecretNotFound", "secret \"s\" not found");
	put_secret("k=3"); /* and then it is seen again */
	succeed(look_for(SV_ACTION_SYNC));
	expect(SV_STATE_PUBLISHED, "", NULL);
	put_secret("k=4");
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_WRITE);
	expect(SV_STATE_STALE, "WriteFailed", "it went wrong: Input/output error");
	remove_pod();
	sv_action_free(look_for(SV_ACTION_REMOVE));
}
END_TEST

/* An action takes long: what the record says meanwhile, and after it has ended. */
START_TEST(an_action_that_does_not_end_is_told_and_taken_back)
{
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	ck_assert_int_eq(sv_reconcile_overdue(&d, record(), false), SV_OUTCOME_FAILED);
	expect(SV_STATE_FAILED, "Busy", "it waits for a worker");
	ck_assert_int_eq(sv_reconcile_overdue(&d, record(), true), SV_OUTCOME_FAILED);
	expect(SV_STATE_FAILED, "Busy", "work on it has not come to an end");
	succeed(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_PUBLISHED);
	expect(SV_STATE_PUBLISHED, "", NULL);

	put_secret("k=2"); /* an update */
	action = look_for(SV_ACTION_SYNC);
	sv_reconcile_overdue(&d, record(), true);
	expect(SV_STATE_STALE, "Busy", "work on it has not come to an end");
	put_secret("k=3"); /* waits */
	ck_assert_ptr_null(look());
	remove_pod();
	ck_assert_ptr_null(look());
	ck_assert_int_eq(outcome, SV_OUTCOME_STATE);
	expect(SV_STATE_REMOVING, "Busy", "work on it has not come to an end");
	put_pod("v=s");
	ck_assert_ptr_null(look());
	expect(SV_STATE_STALE, "Busy", "work on it has not come to an end");
	succeed(action);
	expect(SV_STATE_PUBLISHED, "", NULL);
	succeed(look_for(SV_ACTION_SYNC));
	ck_assert_uint_eq(record()->generation, 3);

	now += GRACE; /* what takes old generations away may take its time */
	action = look_for(SV_ACTION_CLEAN);
	sv_reconcile_overdue(&d, record(), true);
	expect(SV_STATE_PUBLISHED, "Busy", "work on it has not come to an end");
	finish(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_STATE);
	expect(SV_STATE_PUBLISHED, "", NULL);

	remove_pod();
	action = look_for(SV_ACTION_REMOVE);
	sv_reconcile_overdue(&d, record(), true);
	expect(SV_STATE_REMOVING, "Busy", "work on it has not come to an end");
	action->is_mounted = false;
	finish(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_REMOVED);
}
END_TEST

START_TEST(new_input_does_not_wait_for_the_retry)
{
	put_secret("k=1");
	put_pod("v=s");
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_MOUNT);
	put_secret("k=2");
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_MOUNT);
	ck_assert_int_eq(record()->retry_ms, now + 1000); /* but it is no success either */
	remove_secret();
	ck_assert_ptr_null(look());
	expect(SV_STATE_REFUSED, "SecretNotFound", "secret \"s\" not found");
	now += 200000;
	expect_idle();
}
END_TEST

static const struct {
	enum sv_fault fault;
	int result;
	const char *reason;
	enum sv_state state;
} faults[] = {
	{ SV_FAULT_MOUNT, -EPERM, "MountFailed", SV_STATE_FAILED },
	{ SV_FAULT_WRITE, -ENOSPC, "WriteFailed", SV_STATE_FAILED },
	{ SV_FAULT_OCCUPIED, -EBUSY, "Busy", SV_STATE_FAILED },
	{ SV_FAULT_SWAP, 1, "SwapNotSafe", SV_STATE_REFUSED },
};

START_TEST(a_fault_has_a_word)
{
	put_secret("k=1");
	put_pod("v=s");
	go_wrong(look_for(SV_ACTION_SYNC), faults[_i].result, faults[_i].fault);
	ck_assert_int_eq(record()->state, faults[_i].state);
	ck_assert_str_eq(record()->reason, faults[_i].reason);
	ck_assert_int_eq(record()->retry_ms != 0, faults[_i].state == SV_STATE_FAILED);
}
END_TEST

START_TEST(a_volume_that_is_wanted_again_is_not_being_removed)
{
	publish();
	remove_pod();
	go_wrong(look_for(SV_ACTION_REMOVE), -EBUSY, SV_FAULT_MOUNT);
	expect(SV_STATE_REMOVING, "MountFailed", "it went wrong: Device or resource busy");
	put_pod("v=s");
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_WRITE);
	expect(SV_STATE_STALE, "WriteFailed", "it went wrong: Input/output error");
}
END_TEST

START_TEST(a_removal_that_fails_is_retried)
{
	struct sv_action *action;

	publish();
	remove_pod();
	go_wrong(look_for(SV_ACTION_REMOVE), -EBUSY, SV_FAULT_MOUNT);
	expect(SV_STATE_REMOVING, "MountFailed", "it went wrong: Device or resource busy");
	expect_idle();
	now += 500;
	go_wrong(look_for(SV_ACTION_REMOVE), -EBUSY, SV_FAULT_MOUNT);
	now += 999;
	expect_idle();
	now += 1;
	action = look_for(SV_ACTION_REMOVE);
	action->is_mounted = false;
	finish(action);
	ck_assert_ptr_null(record());
}
END_TEST

/* ---- one action at a time ----------------------------------------------------------------------- */

START_TEST(input_that_arrives_meanwhile_is_looked_at_afterwards)
{
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	put_secret("k=2");
	put_secret("k=3");
	expect_idle(); /* busy */
	succeed(action);
	action = look_for(SV_ACTION_SYNC); /* both at once */
	ck_assert_mem_eq(action->plan->files[0].value->ptr, "3", 1);
	succeed(action);
	expect_idle();
}
END_TEST

START_TEST(a_pod_that_goes_meanwhile_is_removed_afterwards)
{
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	remove_pod();
	expect_idle();
	succeed(action);
	action = look_for(SV_ACTION_REMOVE);
	put_pod("v=s"); /* and comes back while it is being removed */
	expect_idle();
	action->is_mounted = false;
	finish(action);
	expect(SV_STATE_PENDING, "", NULL);
	action = look_for(SV_ACTION_SYNC);
	ck_assert_uint_eq(action->generation, 1);
	succeed(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_PUBLISHED);
}
END_TEST

START_TEST(a_pod_that_goes_while_its_volume_fails_is_forgotten)
{
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	remove_pod();
	go_wrong(action, -EIO, SV_FAULT_MOUNT);
	action = look_for(SV_ACTION_REMOVE); /* directories may have been made */
	action->is_mounted = false;
	finish(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_REMOVED);
	ck_assert_int_eq(sv_actuals_wake(&s, now), -1);
}
END_TEST

START_TEST(what_is_to_go_is_looked_at_first)
{
	sv_autopod struct sv_pod *pod = t_pod("q@x", "v=s");
	struct sv_actual *a, *b;

	put_pod("v=s");
	ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, pod, now), 0);
	while (sv_actuals_dequeue(&s))
		;
	a = record();
	b = sv_actuals_get(&s, "pods/x/volumes/kubernetes.io~secret/v");
	sv_actuals_enqueue(&s, a, false);
	sv_actuals_enqueue(&s, b, true);
	sv_actuals_enqueue(&s, b, true); /* once is enough */
	ck_assert_ptr_eq(sv_actuals_dequeue(&s), b);
	ck_assert_ptr_eq(sv_actuals_dequeue(&s), a);
	ck_assert_ptr_null(sv_actuals_dequeue(&s));
}
END_TEST

/* ---- old generations ------------------------------------------------------------------------------ */

START_TEST(an_old_generation_stays_for_the_grace)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	ck_assert_uint_eq(record()->n_old, 1);
	ck_assert_int_eq(sv_actuals_wake(&s, now), GRACE);
	ck_assert_int_eq(sv_actuals_wait(&s, now + 1), GRACE - 1);
	now += GRACE - 1;
	expect_idle();
	now += 1;
	ck_assert_int_eq(sv_actuals_wait(&s, now), 0); /* nobody has been told */
	ck_assert_int_eq(sv_actuals_wait(&s, now + 7), 0);
	ck_assert_int_eq(sv_actuals_wake(&s, now), -1);
	action = look_for(SV_ACTION_CLEAN);
	ck_assert_uint_eq(action->n_clean, 1);
	ck_assert_str_eq(action->clean[0].data_dir, "..2026.1");
	ck_assert(action->wipe);
	finish(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_NONE);
	ck_assert_uint_eq(record()->n_old, 0);
	ck_assert_int_eq(sv_actuals_wake(&s, now), -1);
}
END_TEST

START_TEST(each_generation_has_its_own_time)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	now += 100;
	put_secret("k=3");
	succeed(look_for(SV_ACTION_SYNC));
	ck_assert_uint_eq(record()->n_old, 2);
	now += 150;
	action = look_for(SV_ACTION_CLEAN);
	ck_assert_uint_eq(action->n_clean, 1);
	finish(action);
	ck_assert_int_eq(sv_actuals_wake(&s, now), 100);
	now += 100;
	action = look_for(SV_ACTION_CLEAN);
	ck_assert_str_eq(action->clean[0].data_dir, "..2026.2");
	finish(action);
	expect_idle();
}
END_TEST

START_TEST(a_generation_that_resists_is_tried_again)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	now += GRACE;
	action = look_for(SV_ACTION_CLEAN);
	add_old(action, "..2026.1");
	go_wrong(action, -EBUSY, SV_FAULT_WRITE);
	expect(SV_STATE_PUBLISHED, "", NULL); /* the volume is as it should be */
	ck_assert_uint_eq(record()->n_old, 1);
	ck_assert_int_eq(sv_actuals_wake(&s, now), 500);
	now += 500;
	finish(look_for(SV_ACTION_CLEAN));
	ck_assert_uint_eq(record()->n_old, 0);
}
END_TEST

/* What covers it may stay for long. */
START_TEST(a_generation_that_is_covered_is_looked_for_less_often)
{
	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	now += GRACE;
	go_wrong(look_for(SV_ACTION_CLEAN), -EBUSY, SV_FAULT_OCCUPIED);
	ck_assert_int_eq(sv_actuals_wake(&s, now), SV_COVERED_MS);
	now += SV_COVERED_MS;
	finish(look_for(SV_ACTION_CLEAN));
	ck_assert_uint_eq(record()->n_old, 0);
}
END_TEST

START_TEST(beyond_sixty_four_old_generations_updates_merge)
{
	struct sv_action *action;
	int i;

	publish();
	for (i = 0; i < SV_OLD_GENERATIONS_MAX; i++) {
		sv_autofree char *keys = sv_asprintf("k=%d", 100 + i);

		put_secret(keys);
		succeed(look_for(SV_ACTION_SYNC));
	}
	ck_assert_uint_eq(record()->n_old, SV_OLD_GENERATIONS_MAX);
	changed(NULL, ID); /* but nothing is */
	expect_idle();
	expect(SV_STATE_PUBLISHED, "", NULL);
	put_secret("k=a");
	expect_idle();
	ck_assert_int_eq(outcome, SV_OUTCOME_STATE);
	expect(SV_STATE_STALE, "Busy",
	       "so many old generations are there that this update waits until one has gone");
	put_secret("k=b");
	expect_idle();
	ck_assert_int_eq(sv_actuals_wake(&s, now), GRACE);
	now += GRACE;
	action = look_for(SV_ACTION_CLEAN);
	ck_assert_uint_eq(action->n_clean, SV_OLD_GENERATIONS_MAX);
	finish(action);
	action = look_for(SV_ACTION_SYNC);
	ck_assert_mem_eq(action->plan->files[0].value->ptr, "b", 1);
	succeed(action);
	expect(SV_STATE_PUBLISHED, "", NULL);
}
END_TEST

START_TEST(without_room_an_update_waits_for_an_old_generation)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	put_secret("k=3");
	action = look_for(SV_ACTION_SYNC);
	action->current = 2;
	action->listed = true;
	add_old(action, "..2026.1");
	go_wrong(action, -ENOSPC, SV_FAULT_WRITE);
	expect_idle();
	ck_assert_int_eq(sv_actuals_wake(&s, now), GRACE);
	now += GRACE;
	finish(look_for(SV_ACTION_CLEAN));
	action = look_for(SV_ACTION_SYNC);
	ck_assert_mem_eq(action->plan->files[0].value->ptr, "3", 1);
	succeed(action);
	expect(SV_STATE_PUBLISHED, "", NULL);
}
END_TEST

/* The grace that passes meanwhile must not hide the retry. */
START_TEST(a_removal_that_fails_is_retried_whatever_else_is_due)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	remove_pod();
	go_wrong(look_for(SV_ACTION_REMOVE), -EBUSY, SV_FAULT_MOUNT);
	now += GRACE;
	expect_idle();
	ck_assert_int_eq(sv_actuals_wake(&s, now), 500 - GRACE); /* -1 would be for ever */
	now += 500 - GRACE;
	action = look_for(SV_ACTION_REMOVE);
	action->is_mounted = false;
	finish(action);
	ck_assert_ptr_null(record());
}
END_TEST

/* What it waited for went with the volume. */
START_TEST(a_volume_that_had_no_room_is_made_anew)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	put_secret("k=3");
	action = look_for(SV_ACTION_SYNC);
	action->listed = true;
	add_old(action, "..2026.1");
	go_wrong(action, -ENOSPC, SV_FAULT_WRITE);
	remove_pod();
	action = look_for(SV_ACTION_REMOVE);
	put_pod("v=s");
	action->is_mounted = false;
	finish(action);
	succeed(look_for(SV_ACTION_SYNC));
	expect(SV_STATE_PUBLISHED, "", NULL);
}
END_TEST

/* Input that leads to no action must not hide an old generation whose time has come. */
START_TEST(a_refusal_does_not_keep_an_old_generation)
{
	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	now += GRACE;
	remove_secret();
	finish(look_for(SV_ACTION_CLEAN));
	expect(SV_STATE_STALE, "SecretNotFound", "secret \"s\" not found");
	ck_assert_uint_eq(record()->n_old, 0);
	expect_idle();
}
END_TEST

/* A retry that is due but has to wait for room must not hide when there will be room. */
START_TEST(a_retry_without_room_waits_too)
{
	struct sv_action *action;

	publish();
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	put_secret("k=3");
	action = look_for(SV_ACTION_SYNC);
	action->listed = true;
	add_old(action, "..2026.1");
	go_wrong(action, -EIO, SV_FAULT_WRITE);
	expect(SV_STATE_STALE, "WriteFailed", "it went wrong: Input/output error");
	now += GRACE;
	action = look_for(SV_ACTION_CLEAN); /* the grace passes while the retry is not due */
	add_old(action, "..2026.1");
	go_wrong(action, -EBUSY, SV_FAULT_WRITE);
	now += 500 - GRACE;
	action = look_for(SV_ACTION_SYNC);
	action->listed = true;
	add_old(action, "..2026.1");
	go_wrong(action, -ENOSPC, SV_FAULT_WRITE);
	expect_idle();
	ck_assert_int_eq(sv_actuals_wake(&s, now), GRACE); /* -1 would be for ever */
	now += GRACE;
	finish(look_for(SV_ACTION_CLEAN));
	succeed(look_for(SV_ACTION_SYNC));
	expect(SV_STATE_PUBLISHED, "", NULL);
}
END_TEST

START_TEST(a_part_in_use_is_not_overwritten)
{
	sv_autopod struct sv_pod *pod = t_pod_yaml(
		"metadata: {name: p, uid: u}\nspec:\n  containers: [{name: c, image: i, volumeMounts: "
		"[{name: v, mountPath: /v, subPath: k}]}]\n  volumes: [{name: v, secret: {secretName: "
		"s}}]\n");
	struct sv_action *action;

	put_secret("k=1");
	ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, pod, now), 0);
	succeed(look_for(SV_ACTION_SYNC));
	put_secret("k=2");
	succeed(look_for(SV_ACTION_SYNC));
	now += GRACE;
	action = look_for(SV_ACTION_CLEAN);
	ck_assert(!action->wipe); /* R62 */
	finish(action);
}
END_TEST

/* ---- after a start --------------------------------------------------------------------------------- */

static struct sv_actual *adopt(const char *id, const char *ns, const char *pod,
			       enum sv_medium medium)
{
	struct sv_adopted found = { .id = id, .ns = ns, .pod = pod, .medium = medium };
	struct sv_actual *a = sv_reconcile_adopt(&s, &found, now + GRACE);

	ck_assert_ptr_nonnull(a);
	return a;
}

START_TEST(a_volume_that_is_found_is_adopted)
{
	struct sv_action *action;

	d.synced[SV_ORIGIN_MANIFEST] = false;
	adopt(ID, "default", "p", SV_MEDIUM_TMPFS_NOSWAP);
	expect(SV_STATE_PENDING, "", NULL);
	ck_assert_str_eq(record()->uid, "u");
	ck_assert_str_eq(record()->volume, "v");
	ck_assert_str_eq(record()->pod, "p");
	expect_idle(); /* nothing is unmounted before every source has synced */
	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	ck_assert(action->mounted);
	action->is_mounted = action->listed = true;
	action->current = 7;
	action->current_ms = UNIX - 5;
	action->born_ms = UNIX - 9;
	add_old(action, "..2025.6");
	finish(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_ADOPTED);
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert_uint_eq(record()->generation, 7);
	ck_assert_int_eq(record()->updated_ms, UNIX - 5);
	ck_assert_int_eq(record()->published_ms, UNIX - 9);
	now += GRACE;
	finish(look_for(SV_ACTION_CLEAN)); /* what the former life had no time for */
	put_secret("k=2");
	action = look_for(SV_ACTION_SYNC);
	ck_assert_uint_eq(action->generation, 8);
	action->current_ms = UNIX + now - 3; /* made before it is told of */
	succeed(action);
	ck_assert_int_eq(outcome, SV_OUTCOME_UPDATED);
	ck_assert_int_eq(record()->updated_ms, UNIX + now - 3);
}
END_TEST

/* Also while nothing can be written: its Secret is gone, or its source does not answer. */
START_TEST(an_adopted_volume_tells_what_it_holds)
{
	struct sv_adopted found = { .id = ID,
				    .ns = "default",
				    .pod = "p",
				    .medium = SV_MEDIUM_TMPFS,
				    .generation = 7,
				    .current_ms = UNIX - 5,
				    .born_ms = UNIX - 9,
				    .old = calloc(1, sizeof(*found.old)),
				    .n_old = 1 };

	strcpy(found.old[0].data_dir, "..2025.6");
	ck_assert_ptr_nonnull(sv_reconcile_adopt(&s, &found, now + GRACE));
	ck_assert_ptr_null(found.old);
	put_pod("v=s");
	ck_assert_ptr_null(look());
	expect(SV_STATE_STALE, "SecretNotFound", "secret \"s\" not found");
	ck_assert_uint_eq(record()->generation, 7);
	ck_assert_int_eq(record()->updated_ms, UNIX - 5);
	ck_assert_int_eq(record()->published_ms, UNIX - 9);
	now += GRACE - 1;
	expect_idle();
	now++;
	finish(look_for(SV_ACTION_CLEAN)); /* it waits for nobody */
	ck_assert_uint_eq(record()->n_old, 0);
	put_secret("k=1");
	unchanged(look_for(SV_ACTION_SYNC));
	ck_assert_int_eq(outcome, SV_OUTCOME_ADOPTED);
	ck_assert_uint_eq(record()->generation, 7);
	ck_assert_int_eq(record()->published_ms, UNIX - 9);
}
END_TEST

static void rename_pod(const char *name)
{
	sv_autofree char *text = sv_asprintf("%s@u", name);
	sv_autopod struct sv_pod *pod = t_pod(text, "v=s");

	ck_assert_int_eq(sv_desired_put_pod(&d, SV_ORIGIN_MANIFEST, pod, now), 0);
	ck_assert_int_eq(sv_reconcile_identify(record(), sv_desired_wanted(&d, ID)), 0);
}

/* Each action makes the link of its own time, and the next one takes it away. */
START_TEST(a_pod_that_is_renamed_during_work_leaves_no_link)
{
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	action = look_for(SV_ACTION_SYNC);
	remove_pod();
	rename_pod("q");
	succeed(action);
	action = look_for(SV_ACTION_SYNC);
	ck_assert_str_eq(action->pod, "q");
	ck_assert_str_eq(action->former_pod, "p");
	sv_desired_remove_pod(&d, SV_ORIGIN_MANIFEST, "default", "q");
	rename_pod("r");
	succeed(action);
	action = look_for(SV_ACTION_SYNC);
	ck_assert_str_eq(action->pod, "r");
	ck_assert_str_eq(action->former_pod, "q");
	succeed(action);
	ck_assert_ptr_null(record()->former_pod);
	expect_idle();
}
END_TEST

START_TEST(a_volume_that_nobody_wants_goes_when_all_have_synced)
{
	struct sv_action *action;

	d.synced[SV_ORIGIN_MANIFEST] = false;
	d.expected[SV_ORIGIN_API] = true;
	adopt(ID, "", "", SV_MEDIUM_TMPFS);
	expect_idle();
	sv_desired_set_synced(&d, SV_ORIGIN_MANIFEST);
	sv_actuals_enqueue(&s, record(), true);
	expect_idle();
	sv_desired_set_synced(&d, SV_ORIGIN_API);
	sv_actuals_enqueue(&s, record(), true);
	action = look_for(SV_ACTION_REMOVE);
	ck_assert_str_eq(action->pod, "");
	action->is_mounted = false;
	finish(action);
	ck_assert_ptr_null(record());
}
END_TEST

START_TEST(a_projected_volume_is_told_by_its_path)
{
	struct sv_actual *a =
		adopt("pods/x/volumes/kubernetes.io~projected/w", "", "", SV_MEDIUM_RAMFS);

	ck_assert_int_eq(a->type, SV_VOLUME_PROJECTED);
	ck_assert_str_eq(a->uid, "x");
	ck_assert_str_eq(a->volume, "w");
	ck_assert_str_eq(sv_medium_name(a->medium), "ramfs");
	ck_assert_int_eq(a->origin, -1);
}
END_TEST

START_TEST(a_volume_without_data_is_published_anew)
{
	struct sv_action *action;

	publish();
	changed(NULL, ID);
	action = look_for(SV_ACTION_SYNC);
	ck_assert(action->mounted);
	action->mounted = false; /* somebody has unmounted it behind our back */
	succeed(action);
	expect(SV_STATE_PUBLISHED, "", NULL);
	ck_assert_uint_eq(record()->generation, 2);
	ck_assert_uint_eq(record()->n_old, 0);
}
END_TEST

static const struct {
	int refusal;
	const char *reason;
} reasons[] = {
	{ SV_PLAN_E_NO_SECRET, "SecretNotFound" },
	{ SV_PLAN_E_NO_KEY, "KeyNotFound" },
	{ SV_PLAN_E_PATH, "InvalidPath" },
	{ SV_PLAN_E_CLASH, "PathConflict" },
	{ SV_PLAN_E_TOO_LARGE, "TooLarge" },
	{ SV_PLAN_E_UNSUPPORTED, "UnsupportedSource" },
	{ SV_PLAN_E_FORBIDDEN, "Forbidden" },
	{ SV_PLAN_E_UNAVAILABLE, "SourceUnavailable" },
	{ SV_PLAN_E_PENDING, "" },
};

START_TEST(a_refusal_has_a_word)
{
	ck_assert_str_eq(sv_reconcile_reason(reasons[_i].refusal), reasons[_i].reason);
}
END_TEST

/* ---- values that are not there --------------------------------------------------------------- */

static int refill_answer;
static struct sv_secret *refill_from;

static int refill(void *arg, enum sv_origin origin, struct sv_secret *secret, struct sv_err *err)
{
	(void)arg;
	if (refill_answer)
		return sv_err_set(err, refill_answer, "no values");
	ck_assert(sv_desired_fill(&d, origin, secret, refill_from));
	return 0;
}

/* What a manager does when nothing is left to be done. */
static void forget(int answer)
{
	refill_answer = answer;
	d.refill = refill;
	sv_desired_set_keep(&d, SV_KEEP_AUTO);
	sv_desired_forget(&d);
}

START_TEST(a_volume_that_has_its_values_does_not_need_them_again)
{
	static const int answers[] = { SV_PLAN_E_UNAVAILABLE, SV_PLAN_E_PENDING };
	size_t i;

	publish();
	for (i = 0; i < SV_ARRAY_SIZE(answers); i++) {
		forget(answers[i]);
		changed(NULL, ID);
		ck_assert_ptr_null(look());
		expect(SV_STATE_PUBLISHED, "", NULL);
	}
	expect_idle();
}
END_TEST

START_TEST(a_volume_that_needs_values_says_that_there_are_none)
{
	publish();
	forget(SV_PLAN_E_UNAVAILABLE);
	put_pod("v=s !fsGroup=7");
	ck_assert_ptr_null(look());
	expect(SV_STATE_STALE, "SourceUnavailable", "no values");
	refill_answer = SV_PLAN_E_PENDING;
	changed(NULL, ID);
	ck_assert_ptr_null(look());
	expect(SV_STATE_PENDING, "", "no values");
	put_pod("v=s"); /* as it is */
	ck_assert_ptr_null(look());
	expect(SV_STATE_PUBLISHED, "", NULL);
}
END_TEST

static void is_stale_until_values_come(void)
{
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1");

	ck_assert_ptr_null(look());
	expect(SV_STATE_STALE, "SourceUnavailable", "no values");
	refill_answer = 0;
	refill_from = again;
	changed(NULL, ID);
	succeed(look_for(SV_ACTION_SYNC));
	expect(SV_STATE_PUBLISHED, "", NULL);
}

START_TEST(a_volume_whose_update_failed_half_way_is_not_taken_for_done)
{
	publish();
	put_secret("k=2");
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_WRITE);
	put_secret("k=1");
	forget(SV_PLAN_E_UNAVAILABLE);
	now += SV_RETRY_FIRST_MS;
	is_stale_until_values_come();
}
END_TEST

START_TEST(a_volume_whose_removal_failed_half_way_is_not_taken_for_done)
{
	publish();
	remove_pod();
	go_wrong(look_for(SV_ACTION_REMOVE), -EBUSY, SV_FAULT_MOUNT);
	forget(SV_PLAN_E_UNAVAILABLE);
	put_pod("v=s");
	is_stale_until_values_come();
}
END_TEST

START_TEST(a_retry_asks_for_values)
{
	sv_autosecret struct sv_secret *again = t_secret("s", "k=1");
	struct sv_action *action;

	put_secret("k=1");
	put_pod("v=s");
	go_wrong(look_for(SV_ACTION_SYNC), -EIO, SV_FAULT_MOUNT);
	forget(0);
	refill_from = again;
	now += SV_RETRY_FIRST_MS;
	action = look_for(SV_ACTION_SYNC);
	ck_assert_mem_eq(action->plan->files[0].value->ptr, "1", 1);
	succeed(action);
}
END_TEST

T_SUITE(reconcile)
{
	T_AROUND(setup, teardown);
	T_TEST(a_volume_is_published_updated_and_removed);
	T_TEST(an_update_that_changes_nothing_is_none);
	T_TEST(a_refusal_waits_for_new_input);
	T_TEST(a_refused_update_leaves_a_stale_volume);
	T_TEST(a_stale_volume_goes_with_its_pod);
	T_TEST(a_refused_volume_goes_without_an_action);
	T_TEST(before_the_source_has_answered_a_volume_is_pending);
	T_TEST(an_unused_volume_is_not_mounted_and_no_error);
	T_TEST(a_volume_that_is_used_again_has_the_immutable_secret_of_then);
	T_TEST(failures_are_retried_less_and_less_often);
	T_TEST(a_failed_update_leaves_a_stale_volume);
	T_TEST(a_covered_volume_has_failed_and_is_still_taken_down);
	T_TEST(an_action_that_does_not_end_is_told_and_taken_back);
	T_TEST(new_input_does_not_wait_for_the_retry);
	T_EACH(a_fault_has_a_word, faults);
	T_TEST(a_volume_that_is_wanted_again_is_not_being_removed);
	T_TEST(a_removal_that_fails_is_retried);
	T_TEST(input_that_arrives_meanwhile_is_looked_at_afterwards);
	T_TEST(a_pod_that_goes_meanwhile_is_removed_afterwards);
	T_TEST(a_pod_that_goes_while_its_volume_fails_is_forgotten);
	T_TEST(what_is_to_go_is_looked_at_first);
	T_TEST(an_old_generation_stays_for_the_grace);
	T_TEST(each_generation_has_its_own_time);
	T_TEST(a_generation_that_resists_is_tried_again);
	T_TEST(a_generation_that_is_covered_is_looked_for_less_often);
	T_TEST(beyond_sixty_four_old_generations_updates_merge);
	T_TEST(without_room_an_update_waits_for_an_old_generation);
	T_TEST(a_removal_that_fails_is_retried_whatever_else_is_due);
	T_TEST(a_volume_that_had_no_room_is_made_anew);
	T_TEST(a_refusal_does_not_keep_an_old_generation);
	T_TEST(a_retry_without_room_waits_too);
	T_TEST(a_part_in_use_is_not_overwritten);
	T_TEST(a_volume_that_is_found_is_adopted);
	T_TEST(a_pod_that_is_renamed_during_work_leaves_no_link);
	T_TEST(an_adopted_volume_tells_what_it_holds);
	T_TEST(a_volume_that_nobody_wants_goes_when_all_have_synced);
	T_TEST(a_projected_volume_is_told_by_its_path);
	T_TEST(a_volume_without_data_is_published_anew);
	T_EACH(a_refusal_has_a_word, reasons);
	T_TEST(a_volume_that_has_its_values_does_not_need_them_again);
	T_TEST(a_volume_that_needs_values_says_that_there_are_none);
	T_TEST(a_volume_whose_update_failed_half_way_is_not_taken_for_done);
	T_TEST(a_volume_whose_removal_failed_half_way_is_not_taken_for_done);
	T_TEST(a_retry_asks_for_values);
}
