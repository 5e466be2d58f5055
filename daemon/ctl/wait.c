/* SPDX-License-Identifier: Apache-2.0 */
/* wait - until a pod's volumes are published, or something is gone */
#define _GNU_SOURCE
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../../lib/base/quantity.h"
#include "api.h"
#include "print.h"
#include "target.h"

#define PAUSE_MS 50       /* between two attempts to reach a daemon that restarts */
#define ONE_LOOK_MS 10000 /* with --timeout=0: for the daemon to say what is there */

enum { FOR_PUBLISHED, FOR_REMOVED };
#define CONDITIONS "published|removed"

static const char *opt_for, *opt_timeout = "30s";

struct waiter {
	struct sv_target target;
	int want;
	bool one_look;        /* do not wait: what is there now counts */
	bool reached;         /* a daemon has answered */
	bool exists, holds;   /* as far as is known */
	struct sv_buf latest; /* state and message, for the text of a time-out */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void describe_state(struct sv_buf *b, struct json_object *o)
{
	const char *reason = sv_str(o, "reason"), *message = sv_str(o, "message");

	sv_buf_puts(b, sv_str(o, "state"));
	if (*reason)
		sv_buf_printf(b, " (%s)", reason);
	if (*message)
		sv_buf_printf(b, ": %s", message);
}

static bool is_state(struct json_object *o, const char *state)
{
	return strcmp(sv_str(o, "state"), state) == 0;
}

/* Every volume that a container mounts is there, and so is the pod. */
static bool pod_published(struct json_object *pod, struct sv_buf *why)
{
	size_t i, n = sv_count(pod, "volumes");

	if (sv_bool(pod, "terminated")) {
		sv_buf_puts(why, "the pod has terminated");
		return false;
	}
	if (is_state(pod, "Removing")) {
		sv_buf_puts(why, "Removing");
		return false;
	}
	for (i = 0; i < n; i++) {
		struct json_object *v = sv_element(pod, "volumes", i);

		if (is_state(v, "Published") || is_state(v, "Unused"))
			continue;
		sv_buf_printf(why, "volume %s is ", sv_str(v, "name"));
		describe_state(why, v);
		return false;
	}
	return true;
}

static int on_change(void *arg, const char *type, struct json_object *o, struct json_object *line)
{
	struct waiter *w = arg;

	(void)line;
	w->reached = true;
	if (strcmp(type, "SYNCED") == 0) {
		w->holds = w->holds || (w->want == FOR_REMOVED && !w->exists);
		return w->holds || w->one_look ? -1 : 0;
	}
	if (!sv_target_has(&w->target, o))
		return 0;

	sv_buf_done(&w->latest);
	w->exists = strcmp(type, "DELETED") != 0;
	if (!w->exists) {
		w->holds = w->want == FOR_REMOVED;
	} else if (w->target.kind == SV_TARGET_VOLUME) {
		w->holds = w->want == FOR_PUBLISHED && is_state(o, "Published");
		describe_state(&w->latest, o);
	} else if (w->want == FOR_PUBLISHED) {
		w->holds = pod_published(o, &w->latest);
	} else {
		w->holds = false;
		describe_state(&w->latest, o);
	}
	return w->holds ? -1 : 0;
}

static int timed_out(struct waiter *w, bool reachable)
{
	sv_autofree char *words = sv_target_words(&w->target);
	const char *kind = sv_target_singular(w->target.kind);
	const char *want = w->want == FOR_PUBLISHED ? "published" : "removed";
	sv_autofree char *head = NULL;

	if (w->one_look)
		head = sv_text("%s %s is not %s", kind, words, want);
	else
		head = sv_text("timed out after %s: %s %s is not %s", opt_timeout, kind, words,
			       want);
	if (!reachable)
		return sv_fail(SV_EXIT_UNREACHABLE, "%s: %s", head, sv_api_error());
	if (!w->exists)
		return sv_fail(SV_EXIT_NOT_PUBLISHED, "%s: there is no such %s", head, kind);
	return sv_fail(SV_EXIT_NOT_PUBLISHED, "%s: %s", head,
		       w->latest.ptr ? w->latest.ptr : "it exists");
}

static int wait_for(struct waiter *w, int64_t timeout_ms)
{
	sv_autofree char *path = sv_target_path(&w->target, true);
	int64_t end = now_ms() + (timeout_ms ? timeout_ms : ONE_LOOK_MS), left;
	bool reachable = true;

	while ((left = end - now_ms()) > 0) {
		enum sv_watch_end how;

		w->exists = w->holds = false;
		how = sv_api_watch(path, (long)left, on_change, w);
		reachable = how != SV_WATCH_UNREACHABLE;
		switch (how) {
		case SV_WATCH_STOPPED:
			if (!w->holds)
				return timed_out(w, true); /* one look */
			if (w->want == FOR_PUBLISHED || sv_api_is_ready())
				return SV_EXIT_DONE;
			break;
		case SV_WATCH_TIMEOUT:
			return timed_out(w, true);
		case SV_WATCH_UNREACHABLE:
			if (!w->reached)
				return sv_fail(SV_EXIT_UNREACHABLE, "%s", sv_api_error());
			break;
		case SV_WATCH_ENDED: /* it restarts: so do we */
		case SV_WATCH_BUSY:
			w->reached = true;
			break;
		case SV_WATCH_FAILED:
			return sv_fail(SV_EXIT_FAILED, "%s", sv_api_error());
		}
		(void)poll(NULL, 0, left < PAUSE_MS ? (int)left : PAUSE_MS);
	}
	return timed_out(w, reachable);
}

static int run(int argc, char **argv)
{
	struct waiter w = { .want = FOR_PUBLISHED };
	int64_t timeout_ms;
	int r;

	if (!opt_for)
		return sv_fail_usage("say what to wait for: --for=%s", CONDITIONS);
	w.want = sv_opt_choice("--for", opt_for, CONDITIONS, 0);
	if (w.want < 0)
		return SV_EXIT_USAGE;
	if (sv_duration_parse(opt_timeout, &timeout_ms) < 0)
		return sv_fail_usage(
			"option '--timeout' is a duration such as 300ms, 5s or 2m30s, not '%s'",
			opt_timeout);
	w.one_look = timeout_ms == 0;
	r = sv_target_parse(argc, argv, SV_TARGET_POD, true, &w.target);
	if (!r)
		r = wait_for(&w, timeout_ms);
	if (!r) {
		sv_autofree char *words = sv_target_words(&w.target);
		sv_autofree char *shown = sv_printable(words);

		printf("%s %s %s\n", sv_target_singular(w.target.kind), shown,
		       w.want == FOR_PUBLISHED ? "published" : "removed");
	}
	sv_buf_done(&w.latest);
	sv_target_done(&w.target);
	return r;
}

static const struct sv_opt opts[] = {
	{ "for", &opt_for, CONDITIONS, "what to wait for", SV_OPT_TEXT, 0 },
	{ "timeout", &opt_timeout, "DURATION", "how long (default: 30s); 0 looks once", SV_OPT_TEXT,
	  0 },
	SV_OPT_NAMESPACE,
	SV_OPT_END,
};

const struct sv_verb sv_verb_wait = {
	.name = "wait",
	.args = "pod|volume NAME --for=" CONDITIONS " [OPTION...]",
	.summary = "Wait until a pod or volume is published or gone",
	.details =
		"A pod is published when it exists and all its volumes that a container mounts are. One that does\n"
		"not exist yet is waited for, and so is a daemon that restarts. Exit code 5 when the time is over.",
	.opts = opts,
	.run = run,
};
