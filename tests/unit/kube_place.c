/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "kube_place.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../daemon/log.h"
#include "../../daemon/source/kube.h"

#define UNTIL_MS (60 * K_MINUTE)
#define FLIGHT_MS 1 /* what loopback and threads may need to hand over what is under way */

struct t_api *k_api;
struct sv_manager k_manager;
struct sv_source *k_source;
uv_loop_t k_loop;
char k_hint[SV_ERR_MAX];

static struct sv_node node;
static int64_t until_ms;
static bool finished;

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t skipped_ms;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t ms = __atomic_load_n(&skipped_ms, __ATOMIC_RELAXED);
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (r < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return r;
	ret->tv_sec += ms / 1000;
	ret->tv_nsec += ms % 1000 * 1000000;
	if (ret->tv_nsec >= 1000000000) {
		ret->tv_nsec -= 1000000000;
		ret->tv_sec++;
	}
	return r;
}

void k_real_time(void)
{
	__atomic_store_n(&skipped_ms, 0, __ATOMIC_RELAXED);
}

/* Jitter that is the same in every run. Workers ask, too. */
ssize_t getrandom(void *ptr, size_t len, unsigned flags)
{
	static uint64_t calls;
	uint64_t state = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15u;
	size_t i;

	(void)flags;
	for (i = 0; i < len; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		((unsigned char *)ptr)[i] = (unsigned char)(state >> 56);
	}
	return (ssize_t)len;
}

int64_t k_now_ms(void)
{
	return sv_monotonic_ms();
}

/* Everything that can be done without time passing. Return: ms until the next timer, -1: none. */
static int64_t run_ready(void)
{
	struct pollfd fd = { .fd = uv_backend_fd(&k_loop), .events = POLLIN };
	int timeout;

	for (;;) {
		(void)uv_run(&k_loop, k_manager.worker.in_flight ? UV_RUN_ONCE : UV_RUN_NOWAIT);
		if (!uv_loop_alive(&k_loop))
			return -1;
		timeout = uv_backend_timeout(&k_loop);
		if (timeout == 0 || k_manager.worker.in_flight)
			continue;
		if (poll(&fd, 1, FLIGHT_MS) == 0) {
			uv_update_time(&k_loop);
			timeout = uv_backend_timeout(&k_loop);
			if (timeout != 0)
				return timeout;
		}
	}
}

/* One turn, and if there was nothing to do, on to the next timer. */
void k_step(int64_t most_ms, const char *what)
{
	struct pollfd fd = { .fd = uv_backend_fd(&k_loop), .events = POLLIN };
	int64_t ms;

	(void)uv_run(&k_loop, k_manager.worker.in_flight ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	ms = uv_backend_timeout(&k_loop);
	if (ms == 0 || k_manager.worker.in_flight || poll(&fd, 1, FLIGHT_MS) > 0)
		return;
	if (what && (ms < 0 || k_now_ms() >= until_ms)) /* a check that holds allocates, too */
		ck_abort_msg("never: %s%s%s", what, *k_hint ? ": " : "", k_hint);
	if (ms < 0 || ms > most_ms)
		ms = most_ms;
	__atomic_add_fetch(&skipped_ms, ms, __ATOMIC_RELAXED);
}

void k_begin_until(void)
{
	until_ms = k_now_ms() + UNTIL_MS;
}

void k_check_until(void)
{
	ck_assert_uint_eq(t_api_n_bad_requests(k_api), 0);
}

void k_pass(int64_t ms)
{
	int64_t end = k_now_ms() + ms;

	while (k_now_ms() < end)
		k_step(end - k_now_ms(), NULL);
	k_quiet();
}

void k_quiet(void)
{
	(void)run_ready();
}

/* ---- the daemon ---------------------------------------------------------------------------- */

void k_token(const char *token)
{
	sv_autofree char *text =
		sv_asprintf("clusters: [{name: c, cluster: {server: '%s'}}]\n"
			    "users: [{name: u, user: {%s}}]\n"
			    "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
			    "current-context: x\n",
			    t_api_url(k_api), token ? "tokenFile: token" : "");

	t_write(t_dirfd, "kubeconfig", text);
	if (token) { /* as a kubelet does it */
		t_write(t_dirfd, "token.new", token);
		ck_assert_int_eq(renameat(t_dirfd, "token.new", t_dirfd, "token"), 0);
	}
}

void k_serve(void)
{
	sv_log_init(getenv("K_LOG") ? SV_LOG_DEBUG : SV_LOG_ERROR, SV_LOG_TEXT);
	ck_assert_int_eq(uv_loop_init(&k_loop), 0);
	k_api = t_api_new(&k_loop);
	k_token(NULL);
}

void k_enter(void)
{
	t_enter_place();
	k_serve();
}

void k_end_serving(void)
{
	if (k_source)
		k_stop();
	t_api_stop(k_api);
	(void)uv_run(&k_loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&k_loop), 0);
}

void k_leave(void)
{
	k_end_serving();
	t_leave_place();
}

/* As main.c does it: from within the manager's call. */
static void on_finished(void *arg)
{
	(void)arg;
	k_source->stop(k_source);
	sv_manager_close(&k_manager);
	finished = true;
}

void k_start(const struct k_opts *opts)
{
	static const struct k_opts none;
	const struct sv_reconcile_opts reconcile = { 16 << 20, 250 };
	const struct sv_kube_auth_opts auth = { .kubeconfig = "/mnt/kubeconfig",
						.allow_insecure = true };
	struct sv_kube_opts kube = { .node_name = K_NODE };
	struct sv_err err = { "" };

	opts = opts ? opts : &none;
	kube.by_namespace = opts->by_namespace;
	kube.no_events = !opts->events;
	ck_assert_msg(sv_node_open("/mnt/root", &node, &err) == 0, "%s", err.msg);
	node.policy = SV_SWAP_AVOID;
	ck_assert_msg(sv_tmpfs_choose(node.policy, &node.medium, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(sv_manager_init(&k_manager, &k_loop, &node, &reconcile), 0);
	sv_manager_set_keep(&k_manager, opts->keep);
	k_manager.on_stuck = opts->on_stuck;
	k_manager.on_settled = opts->on_settled;
	k_manager.drain = opts->once;
	ck_assert_msg(sv_manager_adopt(&k_manager, &err) == 0, "%s", err.msg);
	ck_assert_msg(sv_kube_auth_new(&auth, &kube.auth, &err) == 0, "%s", err.msg);
	ck_assert_msg(sv_source_kube_new(&k_loop, &k_manager, &kube, &k_source, &err) == 0, "%s",
		      err.msg);
}

void k_stop(void)
{
	struct sv_source *source = k_source;

	finished = false;
	k_manager.on_settled = on_finished;
	sv_manager_stop(&k_manager);
	while (!finished)
		(void)uv_run(&k_loop, UV_RUN_ONCE);
	k_source = NULL;
	(void)run_ready(); /* close callbacks */
	source->free(source);
	sv_manager_done(&k_manager);
	sv_node_close(&node);
	memset(&k_manager, 0, sizeof(k_manager));
}

/* ---- looking ------------------------------------------------------------------------------- */

/* "POD/…" is in namespace default. @n: slashes of the long form. */
static char *full(const char *name, unsigned n)
{
	const char *p = name;

	for (; (p = strchr(p, '/')); p++)
		n--;
	return n ? sv_asprintf("default/%s", name) : strdup(name);
}

static const struct sv_actual *find_volume(const char *volume)
{
	sv_autofree char *name = full(volume, 2);
	size_t i;

	for (i = 0; i < k_manager.actuals.records.n; i++) {
		const struct sv_actual *a = k_manager.actuals.records.entries[i].value;
		sv_autofree char *id = sv_asprintf("%s/%s/%s", a->ns, a->pod, a->volume);

		if (strcmp(id, name) == 0)
			return a;
	}
	return NULL;
}

/* A text that lives until the call after the next. */
static const char *kept(char *text)
{
	static char *ring[4];
	static unsigned at;

	at = (at + 1) % SV_ARRAY_SIZE(ring);
	free(ring[at]);
	ring[at] = text;
	return text;
}

const char *k_state(const char *volume)
{
	const struct sv_actual *a = find_volume(volume);

	return kept(a ? sv_asprintf("%s%s%s", sv_state_name(a->state), *a->reason ? " " : "",
				    a->reason) :
			strdup(""));
}

const char *k_message(const char *volume)
{
	const struct sv_actual *a = find_volume(volume);

	return a && a->message ? a->message : "";
}

const char *k_file(const char *file)
{
	sv_autofree char *name = full(file, 3);
	sv_autofree char *path = sv_asprintf("root/by-name/%s", name);
	char *text = t_read(t_dirfd, path);

	return kept(text ? text : strdup(""));
}

size_t k_mounts(void)
{
	sv_autofree char *table = t_read(AT_FDCWD, "/proc/self/mountinfo");
	const char *p = table;
	size_t n = 0;

	ck_assert_ptr_nonnull(table);
	while ((p = strstr(p, " /mnt/root/pods/"))) {
		n++;
		p++;
	}
	return n;
}

size_t k_removals(void)
{
	size_t i, n = 0;

	for (i = 0; i < SV_N_BUCKETS + 1; i++)
		n += k_manager.metrics.durations[SV_OP_REMOVE].buckets[i];
	return n;
}

bool k_has(const char *volume, const char *state)
{
	return strncmp(k_state(volume), state, strlen(state)) == 0;
}

bool k_holds(const char *file, const char *text)
{
	return strcmp(k_file(file), text) == 0;
}

struct search {
	const char *kind, *name;
	char *found;
	size_t n;
};

static void match(void *arg, const struct sv_problem *p)
{
	struct search *s = arg;

	if (s->kind && (strcmp(p->kind, s->kind) != 0 || strcmp(p->name, s->name) != 0))
		return;
	s->n++;
	free(s->found);
	s->found = sv_asprintf("%s: %s", p->reason, p->message);
}

const char *k_problem(const char *kind, const char *name)
{
	struct search s = { .kind = kind, .name = name };

	k_source->each_problem(k_source, match, &s);
	ck_assert_uint_le(s.n, 1);
	return kept(s.found ? s.found : strdup(""));
}

size_t k_problems(void)
{
	struct search s = { 0 };

	k_source->each_problem(k_source, match, &s);
	free(s.found);
	return s.n;
}

bool k_is_up(void)
{
	struct json_object *list = json_object_new_array(), *up = NULL;
	bool ret;

	k_source->report(k_source, list);
	ret = json_object_object_get_ex(json_object_array_get_idx(list, 0), "available", &up) &&
	      json_object_get_boolean(up);
	json_object_put(list);
	return ret;
}

static void on_ready(void *arg)
{
	*(bool *)arg = true;
}

const char *k_env(const char *pod, const char *name)
{
	const struct sv_env_opts opts = { 0 };
	const struct sv_desired_pod *p = NULL;
	const struct sv_container *c = NULL;
	struct sv_env_lease lease;
	struct sv_env *env = NULL;
	struct sv_err err = { "" };
	char *text = NULL;
	const struct sv_bytes *value;
	bool ready = false;
	int r = sv_manager_lease(&k_manager, "default", pod, NULL, on_ready, &ready, &lease);

	ck_assert_int_eq(r, 0);
	if (lease.waiting)
		k_until(ready);
	r = sv_manager_env(&k_manager, "default", pod, NULL, &opts, &p, &c, &env, &err);
	sv_manager_release(&lease);
	if (r != 0)
		return kept(sv_asprintf("?%s", err.msg));
	value = sv_env_get(env, name);
	text = value ? strndup((const char *)value->ptr, value->len) : NULL;
	sv_env_free(env);
	return kept(text ? text : strdup(""));
}
