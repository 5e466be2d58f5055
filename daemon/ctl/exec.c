/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec - run a command as a container would see it, without a container runtime
 *
 * The process itself enters the namespace and becomes the command: signals, terminal
 * and exit code are the command's own, and nothing is left when it ends.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/base/quantity.h"
#include "../../lib/node/view.h"
#include "container.h"
#include "print.h"

#define STRING_MAX 131072 /* bytes of one argument or variable, execve(2) */
#define TOTAL_MAX 6291456 /* of all, whatever the stack limit */
#define TOTAL_MIN 131072
#define PAUSE_MS 50 /* before a daemon that is starting is asked again */

enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static const char *opt_timeout = "2m3s"; /* as long as a kubelet waits (R57) */
static bool opt_no_wait, opt_wait;

extern char **environ;

/* ---- waiting (R58) ------------------------------------------------------------------------- */

struct gate {
	struct sv_target pod;
	bool no_wait;
	bool reached; /* a daemon has answered */
	bool exists;
	bool absent;   /* the daemon has not heard of the pod: if it has just started, it may yet */
	char *uid;     /* of the pod that is wanted; NULL: there is none */
	int result;    /* an exit code once it is clear, else -1 */
	char *text;    /* why not */
	char *waiting; /* for what, for the text of a time-out */
};

static int decide(struct gate *g, int result, char *text)
{
	g->result = result;
	free(g->text);
	g->text = text;
	return -1;
}

static char *about_volume(struct json_object *v)
{
	const char *message = sv_str(v, "message");

	return sv_text("volume %s is %s%s%s", sv_str(v, "name"), sv_str(v, "state"),
		       *message ? ": " : "", message);
}

/* Every mounted volume must be there; a refused one ends the waiting, as it may last for ever. */
static int look_at_pod(struct gate *g, struct json_object *pod)
{
	size_t i;

	if (sv_bool(pod, "terminated"))
		return decide(g, SV_EXIT_NOT_PUBLISHED, sv_text("the pod has terminated"));
	if (strcmp(sv_str(pod, "state"), "Removing") == 0)
		return decide(g, SV_EXIT_NOT_FOUND, sv_text("the pod is being removed"));
	free(g->waiting);
	g->waiting = NULL;
	for (i = 0; i < sv_count(pod, "volumes"); i++) {
		struct json_object *v = sv_element(pod, "volumes", i);
		const char *state = sv_str(v, "state");

		if (strcmp(state, "Refused") == 0)
			return decide(g, SV_EXIT_NOT_PUBLISHED, about_volume(v));
		if (strcmp(state, "Stale") == 0 || strcmp(state, "Published") == 0 ||
		    strcmp(state, "Unused") == 0)
			continue;
		if (!g->waiting)
			g->waiting = about_volume(v);
	}
	if (!g->waiting)
		return decide(g, SV_EXIT_DONE, NULL);
	if (g->no_wait)
		return decide(g, SV_EXIT_NOT_PUBLISHED, SV_TAKE(g->waiting));
	return 0;
}

/* A pod of which only volumes are left may have a successor of the same name. */
static bool is_predecessor(struct gate *g, struct json_object *pod)
{
	const char *uid = sv_str(pod, "uid");

	if (!sv_member(pod, "containers"))
		return g->uid && strcmp(g->uid, uid) != 0;
	free(g->uid);
	g->uid = sv_text("%s", uid);
	return false;
}

static int on_change(void *arg, const char *type, struct json_object *o, struct json_object *line)
{
	struct gate *g = arg;

	(void)line;
	g->reached = true;
	if (strcmp(type, "SYNCED") == 0) {
		g->absent = !g->exists;
		return g->exists ? 0 :
				   decide(g, SV_EXIT_NOT_FOUND,
					  sv_text("pod \"%s\" not found in namespace \"%s\"",
						  g->pod.name, g->pod.ns));
	}
	if (!sv_target_has(&g->pod, o) || is_predecessor(g, o))
		return 0;
	if (strcmp(type, "DELETED") == 0)
		return decide(g, SV_EXIT_NOT_FOUND, sv_text("the pod was deleted"));
	g->exists = true;
	return look_at_pod(g, o);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Is there more to hear of the pod? A daemon that starts may not know it yet; one that goes comes back. */
static bool goes_on(struct gate *g, enum sv_watch_end end)
{
	g->reached = g->reached || end == SV_WATCH_ENDED;
	if (g->no_wait)
		return false;
	if (end == SV_WATCH_STOPPED)
		return g->absent && !sv_api_is_ready();
	return end == SV_WATCH_ENDED || (end == SV_WATCH_UNREACHABLE && g->reached);
}

static int wait_for_pod(struct gate *g, int64_t timeout_ms)
{
	int64_t end_ms = now_ms() + timeout_ms, left;
	enum sv_watch_end end = SV_WATCH_TIMEOUT;

	while ((left = end_ms - now_ms()) > 0) {
		g->result = -1;
		g->exists = g->absent = false;
		free(SV_TAKE(g->uid));
		end = sv_api_watch("/v1/pods?watch=1", (long)left, on_change, g);
		if (!goes_on(g, end))
			break;
		(void)poll(NULL, 0, PAUSE_MS);
		if (end == SV_WATCH_STOPPED)
			end = SV_WATCH_TIMEOUT;
	}
	if (end == SV_WATCH_STOPPED)
		return g->result ? sv_fail((enum sv_exit)g->result, "cannot start %s/%s: %s",
					   g->pod.ns, g->pod.name, g->text) :
				   0;
	if (end == SV_WATCH_TIMEOUT)
		return sv_fail(SV_EXIT_NOT_PUBLISHED, "timed out after %s: %s", opt_timeout,
			       g->waiting ? g->waiting : "the daemon says nothing of the pod");
	return sv_fail(end == SV_WATCH_FAILED ? SV_EXIT_FAILED : SV_EXIT_UNREACHABLE, "%s",
		       sv_api_error());
}

/* ---- environment and command --------------------------------------------------------------- */

struct strings {
	char **items; /* NULL-terminated */
	size_t n;
};

static void add(struct strings *s, char *text)
{
	char **items = reallocarray(s->items, s->n + 2, sizeof(*items));

	if (!items || !text)
		sv_no_memory();
	items[s->n++] = text;
	items[s->n] = NULL;
	s->items = items;
}

/* Values may be among them. */
static void strings_done(struct strings *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		sv_text_free(s->items[i]);
	free(s->items);
}

/* NAME=value; a later one of a name takes the place of the earlier. */
static void set_variable(struct strings *env, const char *name, char *text)
{
	size_t i, n = strlen(name);

	for (i = 0; i < env->n; i++)
		if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=') {
			free(env->items[i]);
			env->items[i] = text;
			return;
		}
	add(env, text);
}

static int make_environment(struct json_object *answer, struct strings *env)
{
	static const char *const inherited[] = { "PATH", "HOME", "TERM", "LANG" };
	size_t i;
	int r;

	for (i = 0; i < SV_ARRAY_SIZE(inherited); i++) {
		const char *value = getenv(inherited[i]);

		if (value)
			add(env, sv_text("%s=%s", inherited[i], value));
	}
	for (i = 0; i < sv_count(answer, "env"); i++) {
		struct json_object *entry = sv_element(answer, "env", i);
		const char *name = sv_str(entry, "name");
		char *value = NULL;
		size_t len = 0;

		r = sv_container_value(entry, &value, &len);
		if (r)
			return r;
		if (memchr(value, '\0', len))
			r = sv_fail(
				SV_EXIT_FAILED,
				"variable %s cannot be part of an environment: its value holds a "
				"NUL character",
				name);
		else
			set_variable(env, name, sv_text("%s=%s", name, value));
		explicit_bzero(value, len);
		free(value);
		if (r)
			return r;
	}
	if (!env->items)
		add(env, sv_text("PATH=/usr/sbin:/usr/bin:/sbin:/bin"));
	return 0;
}

static void add_list(struct strings *s, struct json_object *answer, const char *key)
{
	size_t i;

	for (i = 0; i < sv_count(answer, key); i++)
		add(s, sv_text("%s", json_object_get_string(sv_element(answer, key, i))));
}

/* The kernel's limits, told before it would: its own word is "Argument list too long". */
static int check_sizes(const struct strings *argv, const struct strings *env)
{
	struct rlimit stack = { RLIM_INFINITY, 0 };
	size_t i, total = 0, limit = TOTAL_MAX;

	(void)getrlimit(RLIMIT_STACK, &stack);
	if (stack.rlim_cur != RLIM_INFINITY && stack.rlim_cur / 4 < limit)
		limit = (size_t)stack.rlim_cur / 4;
	if (limit < TOTAL_MIN)
		limit = TOTAL_MIN;
	for (i = 0; i < env->n; i++) {
		size_t len = strlen(env->items[i]) + 1;

		if (len > STRING_MAX)
			return sv_fail(
				SV_EXIT_FAILED,
				"variable %.*s is too large for an environment: %zu bytes with "
				"its name, the kernel takes %d",
				(int)strcspn(env->items[i], "="), env->items[i], len, STRING_MAX);
		total += len + sizeof(char *);
	}
	for (i = 0; i < argv->n; i++) {
		if (strlen(argv->items[i]) + 1 > STRING_MAX)
			return sv_fail(
				SV_EXIT_FAILED,
				"argument %zu of the command is too large: the kernel takes %d "
				"bytes",
				i, STRING_MAX);
		total += strlen(argv->items[i]) + 1 + sizeof(char *);
	}
	if (total > limit)
		return sv_fail(
			SV_EXIT_FAILED,
			"environment and arguments are too large: %zu bytes, the kernel takes "
			"%zu",
			total, limit);
	return 0;
}

/* ---- mounts and identity ------------------------------------------------------------------- */

static int enter_view(struct json_object *answer)
{
	size_t i, n = sv_count(answer, "mounts"), used = 0;
	struct sv_view_mount *mounts = calloc(n ? n : 1, sizeof(*mounts));
	sv_autofree char *cwd = getcwd(NULL, 0), *scratch = NULL;
	struct sv_err err = { "" };
	int r;

	if (!mounts)
		sv_no_memory();
	for (i = 0; i < n; i++) {
		struct json_object *m = sv_element(answer, "mounts", i);
		const char *path = sv_str(m, "path");

		if (!*path) {
			fprintf(stderr,
				"Notice: volume %s is not a Secret's: nothing is mounted at %s\n",
				sv_str(m, "volume"), sv_str(m, "mountPath"));
			continue;
		}
		if (!scratch)
			scratch = sv_text("%s", path);
		mounts[used++] = (struct sv_view_mount){ path, sv_str(m, "subPath"),
							 sv_str(m, "mountPath") };
	}
	r = sv_view_enter(mounts, used, scratch ? scratch : "/", &err);
	free(mounts);
	if (r)
		return sv_fail(SV_EXIT_FAILED, "%s", err.msg);
	if (!cwd || chdir(cwd) < 0)
		(void)!chdir("/");
	return 0;
}

static bool has_id(struct json_object *answer, const char *key)
{
	return json_object_is_type(sv_member(answer, key), json_type_int);
}

/* The Pod's securityContext; what it leaves open stays as the caller's (a container runs as root). */
static int become(struct json_object *answer)
{
	bool user = has_id(answer, "runAsUser"), group = has_id(answer, "runAsGroup");
	size_t i, n = sv_count(answer, "supplementalGroups");
	sv_autofree gid_t *groups = calloc(n + 1, sizeof(*groups));
	size_t used = 0;

	if (!groups)
		sv_no_memory();
	for (i = 0; i < n; i++)
		groups[used++] =
			(gid_t)json_object_get_int64(sv_element(answer, "supplementalGroups", i));
	if (has_id(answer, "fsGroup"))
		groups[used++] = (gid_t)sv_int(answer, "fsGroup");
	if ((used > 0 || user || group) && setgroups(used, groups) < 0)
		return sv_fail(SV_EXIT_FAILED, "cannot set groups: %s", strerror(errno));
	if ((group || user) && setgid(group ? (gid_t)sv_int(answer, "runAsGroup") : 0) < 0)
		return sv_fail(SV_EXIT_FAILED, "cannot set group: %s", strerror(errno));
	if (user && setuid((uid_t)sv_int(answer, "runAsUser")) < 0)
		return sv_fail(SV_EXIT_FAILED, "cannot set user: %s", strerror(errno));
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

/* Becomes the command. Return: why not. */
static int execute(char **command, char **env)
{
	char **own = environ;
	int e;

	assert(command && command[0]);
	sv_api_done(); /* the command must not inherit a connection that counts as root's */
	(void)fflush(stdout);
	(void)signal(SIGPIPE, SIG_DFL);
	environ = env; /* the container's PATH counts */
	(void)execvp(command[0], command);
	e = errno;
	environ = own;
	(void)sv_fail(SV_EXIT_FAILED, "cannot run %s: %s", command[0], strerror(e));
	return e == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int start(struct json_object *answer, int argc, char **argv)
{
	struct strings command = { NULL, 0 }, env = { NULL, 0 };
	int i, r = 0;

	for (i = 0; i < argc; i++)
		add(&command, sv_text("%s", argv[i]));
	if (argc == 0) {
		add_list(&command, answer, "command");
		add_list(&command, answer, "args");
	}
	if (command.n == 0)
		r = sv_fail_usage("container %s has no command: give one after --",
				  sv_str(answer, "container"));
	if (r == 0)
		r = make_environment(answer, &env);
	if (r == 0)
		r = check_sizes(&command, &env);
	if (r == 0)
		r = enter_view(answer);
	if (r == 0)
		r = become(answer);
	if (r == 0)
		r = execute(command.items, env.items);
	strings_done(&command);
	strings_done(&env);
	return r;
}

static int run(int argc, char **argv)
{
	sv_autotree struct json_object *answer = NULL;
	struct gate g = { .no_wait = opt_no_wait };
	int64_t timeout_ms;
	int r;

	if (opt_wait && opt_no_wait)
		return sv_fail_usage("--wait and --no-wait exclude each other");
	if (sv_duration_parse(opt_timeout, &timeout_ms) < 0 || timeout_ms == 0)
		return sv_fail_usage(
			"option '--timeout' is a duration such as 300ms, 5s or 2m30s, not '%s'",
			opt_timeout);
	r = sv_container_target(argc, argv, &g.pod);
	if (r == 0 && geteuid() != 0)
		r = sv_fail(SV_EXIT_FAILED, "only root may use exec");
	(void)prctl(PR_SET_DUMPABLE, 0); /* values pass through here; execve() sets it back */
	if (r == 0)
		r = wait_for_pod(&g, timeout_ms);
	if (r == 0)
		r = sv_container_env(&g.pod, &answer);
	if (r == 0)
		r = start(answer, argc - 1, argv + 1);
	sv_target_done(&g.pod);
	free(g.text);
	free(g.waiting);
	free(g.uid);
	return r;
}

static const struct sv_opt opts[] = {
	SV_OPT_CONTAINER,
	SV_OPT_NAMESPACE,
	{ "wait", &opt_wait, NULL, "wait for the pod's volumes (the default)", SV_OPT_FLAG, 0 },
	{ "no-wait", &opt_no_wait, NULL, "fail if they are not there", SV_OPT_FLAG, 0 },
	{ "timeout", &opt_timeout, "DURATION", "how long to wait (default: 2m3s)", SV_OPT_TEXT, 0 },
	SV_OPT_END,
};

const struct sv_verb sv_verb_exec = {
	.name = "exec",
	.args = "POD [-c CONTAINER] [-- COMMAND [ARG...]]",
	.summary = "Run a command with a container's Secret volumes and environment (root only)",
	.details =
		"In a private mount namespace each volumeMount of the container stands at its mountPath,\n"
		"read-only, and the environment is PATH, HOME, TERM and LANG, then the container's. Users and\n"
		"groups of the Pod apply. Without COMMAND the container's command and args run. The exit code is\n"
		"the command's; 126 if it cannot be run, 127 if it is not found.",
	.opts = opts,
	.run = run,
};
