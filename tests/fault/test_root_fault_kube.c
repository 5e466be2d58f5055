/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kubernetes source with its manager, against the scripted API server, and the n-th allocation
 * fails: while Pods come and go, Secrets change, connections are cut, and after a restart. Whatever
 * fails: it lives, nothing leaks, no volume is emptied, refused or given another's values, and
 * without anybody's help all is as it should be soon after.
 *
 * Those of libraries do not fail (libcurl loses some of what it has then), and neither do those of
 * the server. Time is the place's (kube_place.h).
 * A sample of the calls fails, each in its turn, but for `make fault` (fault_sample()).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/kube_place.h"
#include "fault.h"

#define RUNS 25                       /* calls of one test that are made to fail, about */
#define ARMED_MS (3 * K_SECOND)       /* how long a call goes on failing */
#define HEALED_MS (2 * (int)K_MINUTE) /* in which all must be well again */

#define OLD "canary-1"
#define NEW "canary-2"

static const struct k_opts variants[] = { { .by_namespace = false }, { .by_namespace = true } };

static const struct k_opts *opts;
static FILE *log_file, *real_stderr;
static char log_buffer[BUFSIZ];

/* ---- looking: not what is tested ----------------------------------------------------------- */

static bool is_published(const char *pod, const char *value)
{
	sv_autofree char *v = sv_asprintf("%s/v", pod), *o = sv_asprintf("%s/o", pod);
	sv_autofree char *v_file = sv_asprintf("%s/k", v), *o_file = sv_asprintf("%s/k", o);

	return k_has(v, "Published") && k_has(o, "Published") && k_holds(v_file, value) &&
	       k_holds(o_file, value);
}

static size_t n_watches(void)
{
	return opts->by_namespace ? 2 : 3;
}

static bool is_well(void)
{
	return k_is_up() && k_problems() == 0 && t_api_n_watches(k_api) == n_watches();
}

static bool web_is_old(void)
{
	return is_published("web", OLD) && is_well();
}

static bool web_is_new(void)
{
	return is_published("web", NEW) && is_well();
}

static bool two_has_replaced_web(void)
{
	return is_published("two", OLD) && k_mounts() == 2 && !*k_state("web/v") &&
	       !*k_state("web/o") && is_well();
}

static bool two_has_come(void)
{
	return is_published("two", OLD) && is_published("web", OLD) && is_well();
}

static bool all_is_gone(void)
{
	return k_mounts() == 0 && k_manager.actuals.records.n == 0 &&
	       k_manager.desired.secrets[SV_ORIGIN_API].n == 0 && t_api_n_watches(k_api) == 1 &&
	       k_is_up() && k_problems() == 0;
}

static bool is(bool (*done)(void))
{
	bool ret;

	fault_aside(true);
	ret = done();
	fault_aside(false);
	return ret;
}

/* What is said of it may be trouble, but not that there is no such Secret; what is there is whole. */
static void check_volume(const struct sv_actual *a)
{
	/* not by its name: that link may be what is lacking */
	sv_autofree char *path = sv_asprintf("root/%s/k", a->id), *text = t_read(t_dirfd, path);
	bool published = a->state == SV_STATE_PUBLISHED || a->state == SV_STATE_STALE;

	ck_assert_msg(a->state != SV_STATE_REFUSED && !strstr(a->reason, "NotFound"),
		      "%s: %s %s after %s", path, sv_state_name(a->state), a->reason, fault_text());
	ck_assert_msg(text ? strcmp(text, OLD) == 0 || strcmp(text, NEW) == 0 : !published,
		      "%s: %s, and holds '%s' after %s", path, sv_state_name(a->state),
		      text ? text : "", fault_text());
}

static void check_volumes(void)
{
	size_t i;

	fault_aside(true);
	for (i = 0; i < k_manager.actuals.records.n; i++) {
		const struct sv_actual *a = k_manager.actuals.records.entries[i].value;

		if (*a->pod && !a->busy)
			check_volume(a);
	}
	fault_aside(false);
}

static void log_is_clean(void)
{
	static char text[1 << 16];
	ssize_t n;

	(void)fflush(log_file);
	n = pread(fileno(log_file), text, sizeof(text) - 1, 0);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	ck_assert_msg(!strstr(text, "canary"), "a value is logged after %s:\n%s", fault_text(),
		      text);
	ck_assert_int_eq(ftruncate(fileno(log_file), 0), 0);
}

/* ---- what is done -------------------------------------------------------------------------- */

static bool wait_for(bool (*done)(void), int64_t ms)
{
	int64_t end = k_now_ms() + ms;

	while (!is(done)) {
		if (k_now_ms() >= end)
			return false;
		k_step(end - k_now_ms(), NULL);
		check_volumes();
	}
	return true;
}

static char *describe(void)
{
	struct sv_buf b = { 0 };
	size_t i;

	for (i = 0; i < k_manager.actuals.records.n; i++) {
		const struct sv_actual *a = k_manager.actuals.records.entries[i].value;

		sv_buf_printf(&b, "%s/%s: %s %s: %s\n", a->pod, a->volume, sv_state_name(a->state),
			      a->reason, a->message ? a->message : "");
	}
	sv_buf_printf(&b, "%zu mounts, %zu watches, %zu problems, %zu secrets, up %d, %s",
		      k_mounts(), t_api_n_watches(k_api), k_problems(),
		      k_manager.desired.secrets[SV_ORIGIN_API].n, k_is_up(), k_problem("", ""));
	return sv_buf_take(&b);
}

static void recover(bool (*done)(void))
{
	sv_autofree char *text = NULL;

	if (wait_for(done, HEALED_MS))
		return;
	text = describe();
	ck_abort_msg("it does not recover after %s:\n%s", fault_text(), text);
}

/* Failing until it is done all the same, or for long enough; then it has to come about. */
static void strike(const struct fault_loop *loop, bool (*done)(void))
{
	fault_on(loop);
	(void)wait_for(done, ARMED_MS);
	fault_off();
	recover(done);
}

static void put_secrets(const char *value)
{
	sv_autofree char *keys = sv_asprintf("k=%s", value);

	t_api_put_secret(k_api, "db", keys);
	t_api_put_secret(k_api, "opt", keys);
}

static void begin_with(const char *token)
{
	k_serve();
	k_token(token);
	t_api_require_token(k_api, token);
	put_secrets(OLD);
	t_api_put_pod(k_api, "web", K_NODE, "v=db o=opt?");
	k_start(opts);
}

static void begin(void)
{
	begin_with(NULL);
}

static void delete_pod(const char *name)
{
	sv_autofree char *json = t_api_get(k_api, "pods", name);

	if (json)
		t_api_delete(k_api, "pods", name);
}

static void end(void)
{
	delete_pod("web");
	delete_pod("two");
	recover(all_is_gone);
	k_end_serving();
	log_is_clean();
}

static void each(void (*what)(const struct fault_loop *loop), unsigned at_least)
{
	fault_each(what, FAULT_OURS, RUNS, k_real_time, at_least);
}

static void setup(void)
{
	t_enter_place();
	log_file = tmpfile();
	ck_assert_ptr_nonnull(log_file);
	ck_assert_int_eq(setvbuf(log_file, log_buffer, _IOFBF, sizeof(log_buffer)), 0);
	real_stderr = stderr;
	stderr = log_file; /* what sanitizers say goes to descriptor 2 */
	t_api_aside = fault_aside;
	/* one thread, so that what libraries keep for each thread is soon there */
	ck_assert_int_eq(setenv("UV_THREADPOOL_SIZE", "1", 1), 0);
}

static void teardown(void)
{
	stderr = real_stderr;
	(void)fclose(log_file);
	t_leave_place();
}

/* ---- tests --------------------------------------------------------------------------------- */

static void come(const struct fault_loop *loop)
{
	begin();
	strike(loop, web_is_old);
	end();
}

START_TEST(a_pod_that_comes_is_published_in_the_end)
{
	opts = &variants[_i];
	each(come, RUNS);
}
END_TEST

static void restart(const struct fault_loop *loop)
{
	begin();
	recover(web_is_old);
	k_stop();
	k_start(opts);
	strike(loop, web_is_old);
	ck_assert_uint_eq(k_removals(), 0);
	end();
}

START_TEST(a_volume_of_a_former_life_keeps_what_it_has)
{
	opts = &variants[_i];
	each(restart, RUNS);
}
END_TEST

static void change(const struct fault_loop *loop)
{
	begin();
	recover(web_is_old);
	put_secrets(NEW);
	strike(loop, web_is_new);
	end();
}

START_TEST(a_secret_that_changes_reaches_its_volumes_in_the_end)
{
	opts = &variants[_i];
	each(change, RUNS);
}
END_TEST

static void replace(const struct fault_loop *loop)
{
	begin();
	recover(web_is_old);
	t_api_delete(k_api, "pods", "web");
	t_api_put_pod(k_api, "two", K_NODE, "v=opt o=db?");
	strike(loop, two_has_replaced_web);
	end();
}

START_TEST(a_pod_that_goes_takes_its_volumes_along_and_another_gets_its_own)
{
	opts = &variants[_i];
	each(replace, RUNS);
}
END_TEST

static void join(const struct fault_loop *loop)
{
	begin();
	recover(web_is_old);
	t_api_put_pod(k_api, "two", K_NODE, "v=opt o=db?");
	strike(loop, two_has_come);
	end();
}

START_TEST(a_pod_that_joins_another_is_published_in_the_end)
{
	opts = &variants[_i];
	each(join, RUNS);
}
END_TEST

static bool ready;

static void on_ready(void *arg)
{
	(void)arg;
	ready = true;
}

static bool env_pod_is_known(void)
{
	return k_manager.desired.pods[SV_ORIGIN_API].n == 2;
}

static bool is_answered(void)
{
	return ready;
}

static bool only_web_is_left(void)
{
	return web_is_old() && k_manager.desired.secrets[SV_ORIGIN_API].n == 2;
}

/* What it held is let go of, also if there was no memory to hold all of it, or to let go. */
static void lease(const struct fault_loop *loop)
{
	struct sv_env_lease lease = { 0 };
	bool told = true;
	int r;

	begin();
	recover(web_is_old);
	t_api_put_secret(k_api, "env", "k=" OLD);
	t_api_put(
		k_api,
		"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"two\"},\"spec\":{\"nodeName\":\"" K_NODE
		"\",\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"envFrom\":[{\"secretRef\":{"
		"\"name\":\"db\"}},{\"secretRef\":{\"name\":\"env\"}}]}]}}");
	recover(env_pod_is_known);
	ready = false;
	fault_on(loop);
	r = sv_manager_lease(&k_manager, "default", "two", NULL, on_ready, NULL, &lease);
	if (r == 0 && lease.waiting)
		told = wait_for(is_answered, 20 * K_SECOND);
	sv_manager_release(&lease);
	fault_off();
	fault_out_of_memory(r);
	ck_assert_msg(told, "nobody answers after %s", fault_text());
	recover(only_web_is_left);
	end();
}

START_TEST(what_an_environment_held_is_let_go_of)
{
	opts = &variants[_i];
	each(lease, RUNS);
}
END_TEST

static bool is_told(void)
{
	return k_problems() == 1 && is_published("web", OLD);
}

static void mend(const struct fault_loop *loop)
{
	begin();
	recover(web_is_old);
	t_api_edit(k_api, "secrets", "opt", "{\"data\":{\"bad key\":\"MQ==\"}}");
	recover(is_told);
	put_secrets(NEW);
	strike(loop, web_is_new);
	end();
}

START_TEST(a_complaint_ends_with_its_cause)
{
	opts = &variants[_i];
	each(mend, RUNS);
}
END_TEST

static void cut(const struct fault_loop *loop)
{
	begin();
	recover(web_is_old);
	t_api_cut_all(k_api, T_API_RST);
	put_secrets(NEW);
	t_api_compact(k_api, 0);
	strike(loop, web_is_new);
	end();
}

START_TEST(what_happened_while_the_server_was_away_is_seen_in_the_end)
{
	opts = &variants[_i];
	each(cut, RUNS);
}
END_TEST

static void rotate(const struct fault_loop *loop)
{
	begin_with("first");
	recover(web_is_old);
	k_token("second");
	t_api_require_token(k_api, "second");
	t_api_cut_all(k_api, T_API_FIN);
	put_secrets(NEW);
	strike(loop, web_is_new);
	end();
}

START_TEST(a_token_that_changes_is_used_in_the_end)
{
	opts = &variants[_i];
	each(rotate, RUNS);
}
END_TEST

T_SUITE(fault_kube)
{
	T_AROUND(setup, teardown);
	T_EACH(a_pod_that_comes_is_published_in_the_end, variants);
	T_EACH(a_volume_of_a_former_life_keeps_what_it_has, variants);
	T_EACH(a_secret_that_changes_reaches_its_volumes_in_the_end, variants);
	T_EACH(a_pod_that_goes_takes_its_volumes_along_and_another_gets_its_own, variants);
	T_EACH(a_pod_that_joins_another_is_published_in_the_end, variants);
	T_EACH(what_an_environment_held_is_let_go_of, variants);
	T_EACH(a_complaint_ends_with_its_cause, variants);
	T_EACH(what_happened_while_the_server_was_away_is_seen_in_the_end, variants);
	T_EACH(a_token_that_changes_is_used_in_the_end, variants);
}
