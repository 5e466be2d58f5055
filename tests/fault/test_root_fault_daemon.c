/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole daemon on its loop, and the n-th allocation or system call of it fails: while a manifest
 * comes, changes or goes, while volumes of a former life are taken over, and while it is asked.
 * Whatever fails: it lives, nothing leaks, no half volume is seen, what it reports is true, and
 * without anybody's help it is as it should be soon after.
 *
 * Allocations of libraries fail too, all but the copies of strings that json-c 0.16 makes without
 * a look at the result. Time is virtual (virtual.c). The many calls of a long run are sampled
 * (fault_sample()), but for `make fault`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../daemon/source/dir.h"
#include "../daemon/daemon.h"
#include "../support/support.h"
#include "fault.h"

#define ID "pods/u/volumes/kubernetes.io~secret/v"
#define OTHER_ID "pods/u2/volumes/kubernetes.io~secret/v"
#define RUNS 100 /* calls of one test that are made to fail, about */

#define ARMED_MS 1500      /* how long a call goes on failing */
#define HEALED_MS 8000     /* in which all must be well again: a few retries */
#define UNWATCHED_MS 70000 /* the same where changes are seen by the slow timer only */

#define POD(name, uid, label)                                                                    \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", uid: " uid ", labels: {l: " label \
	"}}\n"                                                                                   \
	"spec:\n  volumes: [{name: v, secret: {secretName: s-" name "}}]\n"                      \
	"  containers:\n  - name: c\n    image: i\n"                                             \
	"    volumeMounts: [{name: v, mountPath: /m}]\n"                                         \
	"    env:\n    - name: A\n      valueFrom: "                                             \
	"{secretKeyRef: {name: s-" name ", key: same}}\n    - {name: B, value: b}\n"
#define SECRET(name, data) \
	"---\napiVersion: v1\nkind: Secret\nmetadata: {name: s-" name "}\nstringData: {" data "}\n"

static const char old_text[] =
	POD("p", "u", "old") SECRET("p", "a: canary-old, same: canary-1, gone: canary-2");
static const char new_text[] =
	POD("p", "u", "new") SECRET("p", "a: canary-new, same: canary-1, come: canary-3, more: ''");
static const char other_text[] = POD("q", "u2", "x") SECRET("q", "k: canary-q, same: canary-1");

static struct t_daemon d;
static char *old_data, *new_data; /* the trees below ..data */
static char *old_tree, *new_tree; /* of the whole volume */
static FILE *log_file, *real_stderr;

/* ---- what is there --------------------------------------------------------------------------- */

static char *tree_below(const char *path)
{
	sv_autofree char *full = sv_asprintf("%s/root/%s", t_dir, path);
	sv_autoclose int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? NULL : t_tree(fd);
}

/* The volume's mount, 0 if there is none: another one would be another number. */
static unsigned long mount_of(const char *id)
{
	sv_autofree char *full = sv_asprintf("%s/root/%s", t_dir, id);
	struct statx st, above;
	sv_autofree char *parent = sv_asprintf("%s/..", full);

	if (statx(AT_FDCWD, full, 0, STATX_MNT_ID, &st) < 0 ||
	    statx(AT_FDCWD, parent, 0, STATX_MNT_ID, &above) < 0 ||
	    st.stx_mnt_id == above.stx_mnt_id)
		return 0;
	return (unsigned long)st.stx_mnt_id;
}

static const struct sv_actual *record(const char *id)
{
	return sv_actuals_get(&d.manager.actuals, id);
}

static bool is_published_as(const char *id, const char *tree)
{
	const struct sv_actual *a = record(id);
	sv_autofree char *seen = NULL, *link = NULL;

	if (!d.settled || !a || a->state != SV_STATE_PUBLISHED || a->busy || !*a->pod)
		return false;
	seen = tree_below(id);
	if (!seen || (tree && strcmp(seen, tree) != 0))
		return false;
	link = sv_asprintf("by-name/default/%s/v", a->pod);
	free(seen);
	seen = tree_below(link);
	return seen && (!tree || strcmp(seen, tree) == 0);
}

static bool is_old(void *arg)
{
	(void)arg;
	return is_published_as(ID, old_tree);
}

static bool is_new(void *arg)
{
	(void)arg;
	return is_published_as(ID, new_tree);
}

static bool is_gone(void *arg)
{
	sv_autofree char *tree = tree_below(".");

	(void)arg;
	if (!d.settled || d.manager.actuals.records.n > 0)
		return false;
	/* a directory that is busy stays, until the next start; every run begins with one */
	if (strstr(fault_text(), "unlinkat") && strstr(fault_text(), "EBUSY"))
		return !strstr(tree, "->") && !strstr(tree, "..");
	return strcmp(tree, "by-name/ 0750 0\npods/ 0750 0") == 0;
}

static bool is_ready(void *arg)
{
	(void)arg;
	return d.settled;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

/* ---- what is done ---------------------------------------------------------------------------- */

/* As editors and configuration management do: complete under another name, then renamed. */
static void put(const char *name, const char *text)
{
	sv_autofree char *path = sv_asprintf("manifests/%s", name);

	fault_aside(true);
	if (text) {
		t_write(t_dirfd, "manifests/.new", text);
		ck_assert_int_eq(fchmodat(t_dirfd, "manifests/.new", 0600, 0), 0);
		ck_assert_int_eq(renameat(t_dirfd, "manifests/.new", t_dirfd, path), 0);
	} else {
		ck_assert_int_eq(unlinkat(t_dirfd, path, 0), 0);
	}
	fault_aside(false);
}

static void start(void)
{
	struct sv_err err = { "" };

	ck_assert_msg(t_daemon_start(&d, &err) == 0, "after %s: %s", fault_text(), err.msg);
	ck_assert_msg(t_daemon_wait(&d, is_ready, NULL, HEALED_MS), "not ready after %s",
		      fault_text());
}

static char *describe(void)
{
	const struct sv_actual *a = record(ID);
	sv_autofree char *tree = tree_below(".");

	return sv_asprintf("state %s, reason %s, message %s, settled %d\n%s",
			   a ? sv_state_name(a->state) : "(none)", a ? a->reason : "",
			   a && a->message ? a->message : "", d.settled, tree);
}

static void wait_for(bool (*done)(void *arg))
{
	sv_autofree char *text = NULL;

	bool watched = !strstr(fault_text(), "inotify_add_watch");

	if (t_daemon_wait(&d, done, NULL, watched ? HEALED_MS : UNWATCHED_MS))
		return;
	text = describe();
	ck_abort_msg("it does not recover after %s: %s", fault_text(), text);
}

/* Failing until it is done all the same, or for long enough. */
static void strike(const struct fault_loop *loop, bool (*done)(void *arg))
{
	fault_on(loop);
	(void)t_daemon_wait(&d, done, NULL, ARMED_MS);
	fault_off();
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool holds_a_value(const char *text)
{
	return text && strstr(text, "canary") != NULL;
}

static void log_is_clean(void)
{
	sv_autofree char *text = NULL;

	(void)fflush(log_file);
	text = t_read(t_dirfd, "log");
	ck_assert_msg(!holds_a_value(text), "a value is logged after %s:\n%s", fault_text(), text);
	ck_assert_int_eq(ftruncate(fileno(log_file), 0), 0);
}

/* Trouble of the node is told as that: no word blames the input for it, or a neighbour. */
static void reason_is_true(const struct sv_actual *a)
{
	const char *message = a->message ? a->message : "";

	ck_assert_msg(strcmp(a->reason, "MountFailed") == 0 ||
			      strcmp(a->reason, "WriteFailed") == 0,
		      "%s: %s after %s", a->reason, message, fault_text());
	if (!*message && fault_errno() == ENOMEM)
		return; /* there was none for the text either */
	ck_assert_msg(strstr(message, "out of memory") || strstr(message, strerror(fault_errno())),
		      "%s after %s", message, fault_text());
}

/* What the record says of the volume is so. */
static void record_is_true(const char *id, const char *data)
{
	const struct sv_actual *a = record(id);
	bool mounted = mount_of(id) != 0;

	ck_assert_msg(!data || mounted, "files without a mount after %s", fault_text());
	if (!a)
		return;
	ck_assert_msg(a->mounted == mounted || a->busy, "mounted is %d after %s", a->mounted,
		      fault_text());
	switch (a->state) {
	case SV_STATE_PUBLISHED:
		ck_assert_msg(mounted && data, "Published, and is not after %s", fault_text());
		break;
	case SV_STATE_STALE:
		ck_assert_msg(mounted, "Stale after %s", fault_text());
		reason_is_true(a);
		break;
	case SV_STATE_FAILED:
		ck_assert_msg(!mounted && a->retry_ms, "Failed: %s after %s",
			      a->message ? a->message : "", fault_text());
		reason_is_true(a);
		break;
	case SV_STATE_PENDING:
	case SV_STATE_REMOVING:
		if (*a->reason)
			reason_is_true(a);
		break;
	default:
		ck_abort_msg("%s: %s after %s", sv_state_name(a->state),
			     a->message ? a->message : "", fault_text());
	}
}

/* Nothing, or one of two generations as a whole. @may_lack: it need not be there. */
static void is_whole(bool may_lack)
{
	sv_autofree char *data = tree_below(ID "/..data");

	record_is_true(ID, data);
	if (!data) {
		ck_assert_msg(may_lack, "lost after %s", fault_text());
		return;
	}
	ck_assert_msg(strcmp(data, old_data) == 0 || strcmp(data, new_data) == 0,
		      "neither old nor new after %s:\n%s", fault_text(), data);
}

static void stop(void)
{
	t_daemon_stop(&d);
	log_is_clean();
}

/* ---- setup ----------------------------------------------------------------------------------- */

static void learn(const char *text, char **tree, char **data)
{
	put("a.yaml", text);
	ck_assert(t_daemon_wait(&d, never, NULL, 1000) == false);
	ck_assert_msg(is_published_as(ID, NULL), "it is not published");
	*tree = tree_below(ID);
	*data = tree_below(ID "/..data");
}

static void setup(void)
{
	t_enter_place();
	umask(077);
	log_file = fopen("/mnt/log", "we");
	ck_assert_ptr_nonnull(log_file);
	real_stderr = stderr;
	stderr = log_file; /* what sanitizers say goes to descriptor 2 */
	t_daemon_aside = fault_aside;
	/* one thread, so that what libraries keep for each thread is soon there */
	ck_assert_int_eq(setenv("UV_THREADPOOL_SIZE", "1", 1), 0);
	t_daemon_prepare(&d, t_dir);
	d.config.metrics_address = strdup("127.0.0.1:0");
	d.group = 4321;
	start();
	learn(old_text, &old_tree, &old_data);
	learn(new_text, &new_tree, &new_data);
	put("a.yaml", NULL);
	wait_for(is_gone);
	t_daemon_stop(&d);
	fault_real_time();
}

static void teardown(void)
{
	t_daemon_forget(&d);
	free(old_data);
	free(new_data);
	free(old_tree);
	free(new_tree);
	stderr = real_stderr;
	(void)fclose(log_file);
	t_leave_place();
}

/* Every call that @what makes, or as many of them as there is time for. */
static void each(void (*what)(const struct fault_loop *loop), unsigned at_least)
{
	fault_each(what, FAULT_DAEMON, RUNS, fault_real_time, at_least);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static void publish(const struct fault_loop *loop)
{
	start();
	put("a.yaml", new_text);
	strike(loop, is_new);
	is_whole(true);
	wait_for(is_new);
	put("a.yaml", NULL);
	wait_for(is_gone);
	stop();
}

START_TEST(a_manifest_that_comes_is_published_in_the_end)
{
	each(publish, RUNS / 2);
}
END_TEST

static void update(const struct fault_loop *loop)
{
	start();
	put("a.yaml", old_text);
	wait_for(is_old);
	put("a.yaml", new_text);
	strike(loop, is_new);
	is_whole(false);
	wait_for(is_new);
	put("a.yaml", NULL);
	wait_for(is_gone);
	stop();
}

START_TEST(a_manifest_that_changes_leaves_the_old_generation_or_the_new_one)
{
	each(update, RUNS / 2);
}
END_TEST

/* As after SIGHUP: everything is read again. */
static void reload(const struct fault_loop *loop)
{
	const struct sv_reconcile_opts opts = { (size_t)d.config.volume_size_limit, 50 };

	start();
	put("a.yaml", old_text);
	wait_for(is_old);
	put("a.yaml", new_text);
	fault_on(loop);
	sv_source_dir_configure(d.sources[0], &d.config);
	sv_manager_set_opts(&d.manager, &opts);
	d.sources[0]->reload(d.sources[0]);
	(void)t_daemon_wait(&d, is_new, NULL, ARMED_MS);
	fault_off();
	is_whole(false);
	wait_for(is_new);
	put("a.yaml", NULL);
	wait_for(is_gone);
	stop();
}

START_TEST(a_reload_leaves_the_old_generation_or_the_new_one)
{
	each(reload, RUNS / 2);
}
END_TEST

static void remove_it(const struct fault_loop *loop)
{
	sv_autofree char *data = NULL;

	start();
	put("a.yaml", old_text);
	wait_for(is_old);
	put("a.yaml", NULL);
	strike(loop, is_gone);
	data = tree_below(ID "/..data");
	record_is_true(ID, data);
	wait_for(is_gone);
	stop();
}

START_TEST(a_manifest_that_goes_takes_its_volume_along_in_the_end)
{
	each(remove_it, 20);
}
END_TEST

static bool is_taken_over(void *arg)
{
	(void)arg;
	return is_published_as(ID, old_tree) && !record(OTHER_ID) && mount_of(OTHER_ID) == 0;
}

/* As a daemon that was killed leaves it. */
static void leave_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	sv_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", d.config.socket);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void adopt(const struct fault_loop *loop)
{
	struct sv_err err = { "" };
	unsigned long mount;
	int r;

	start();
	put("a.yaml", old_text);
	put("b.yaml", other_text);
	wait_for(is_old);
	while (!is_published_as(OTHER_ID, NULL))
		t_daemon_turn(&d);
	t_daemon_stop(&d);
	mount = mount_of(ID);
	put("b.yaml", NULL);
	leave_socket();

	fault_on(loop);
	r = t_daemon_start(&d, &err);
	if (r == 0)
		(void)t_daemon_wait(&d, is_taken_over, NULL, ARMED_MS);
	fault_off();
	ck_assert_msg(mount_of(ID) == mount, "unmounted after %s", fault_text());
	is_whole(false);
	if (r < 0) {
		ck_assert_msg(*err.msg, "no text after %s", fault_text());
		ck_assert_msg(mount_of(OTHER_ID), "removed by a start that failed after %s",
			      fault_text());
		start();
	}
	wait_for(is_taken_over);
	ck_assert_msg(mount_of(ID) == mount, "unmounted after %s", fault_text());
	put("a.yaml", NULL);
	wait_for(is_gone);
	stop();
}

START_TEST(a_volume_of_a_former_life_is_never_let_go)
{
	each(adopt, RUNS / 2);
}
END_TEST

/* ---- answers --------------------------------------------------------------------------------- */

static const struct {
	const char *method, *path, *body;
} requests[] = {
	{ "GET", "/v1/status", NULL },
	{ "GET", "/v1/volumes", NULL },
	{ "GET", "/v1/pods", NULL },
	{ "GET", "/v1/secrets", NULL },
	{ "GET", "/v1/events?namespace=default", NULL },
	{ "GET", "/metrics", NULL },
	{ "GET", "/readyz?verbose", NULL },
	{ "GET", "/v1/nothing", NULL },
	{ "POST", "/v1/env", "{\"pod\":\"p\"}" },
	{ "POST", "/v1/env", "{\"pod\":\"nobody\"}" },
};
static int asked; /* which of them */

/*
 * Digits may differ: times, counts, generations. What a metric tells of the process may be missing
 * where it could not be found out. Owned by the caller.
 */
static char *comparable(const char *text)
{
	char *copy = text ? strdup(text) : NULL, *from = copy, *to = copy;

	while (copy && *from) {
		if (strncmp(from, "process_", 8) == 0 ||
		    strncmp(from, "# HELP process_", 15) == 0 ||
		    strncmp(from, "# TYPE process_", 15) == 0) {
			from += strcspn(from, "\n") + 1;
			continue;
		}
		for (; *from && *from != '\n'; from++)
			if (*from < '0' || *from > '9')
				*to++ = *from;
		if (*from)
			*to++ = *from++;
	}
	if (copy)
		*to = '\0';
	return copy;
}

static void ask(struct t_answer *ret)
{
	t_daemon_ask(&d, requests[asked].method, requests[asked].path, requests[asked].body, ret);
}

/* Trouble of the node is told as such, and what it is. */
static bool tells_trouble(const struct t_answer *a)
{
	static const char *const texts[] = { "out of memory", "Cannot allocate memory" };
	static const int errors[] = { EMFILE, ENFILE, EIO, EINTR, EAGAIN, ENOSPC, EBUSY };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(texts); i++)
		if (strstr(a->text, texts[i]))
			return true;
	for (i = 0; i < SV_ARRAY_SIZE(errors) && a->status == 500; i++)
		if (strstr(a->text, strerror(errors[i])))
			return true;
	return false;
}

/* An answer is what it would be, or none, or an error that says what trouble there was. */
static void question(const struct fault_loop *loop)
{
	static char *usual; /* what is answered when nothing fails */
	struct t_answer during, later;
	sv_autofree char *text = NULL, *again = NULL;
	bool values = strcmp(requests[asked].path, "/v1/env") == 0;

	start();
	put("a.yaml", old_text);
	wait_for(is_old);
	fault_on(loop);
	ask(&during);
	fault_off();
	ask(&later);
	text = comparable(during.text);
	again = comparable(later.text);
	if (!usual)
		usual = strdup(again);
	if (during.status != 0 && during.whole && !tells_trouble(&during))
		ck_assert_msg(strcmp(text, usual) == 0,
			      "%s: %u after %s:\n%.999s\nbut wanted:\n%.999s", requests[asked].path,
			      during.status, fault_text(), during.text, later.text);
	if (!values)
		ck_assert_msg(!holds_a_value(during.text), "a value after %s", fault_text());
	ck_assert_msg(!during.text || !strstr(during.text, "process_max_fds 0\n"),
		      "what is not known is zero after %s", fault_text());
	ck_assert_msg(later.status && later.whole && strcmp(again, usual) == 0,
		      "%s: not answered as usual after %s:\n%.999s", requests[asked].path,
		      fault_text(), later.text);
	t_answer_done(&during);
	t_answer_done(&later);
	put("a.yaml", NULL);
	wait_for(is_gone);
	stop();
}

START_TEST(an_answer_is_the_whole_truth_or_none)
{
	asked = _i;
	each(question, 20);
}
END_TEST

START_TEST(a_member_of_the_group_is_not_taken_for_a_stranger)
{
	d.asks_as = 65534;
	ck_assert_int_eq(setgroups(1, &d.group), 0);
	each(question, 20);
}
END_TEST

/* ---- who follows changes --------------------------------------------------------------------- */

/* The last whole line of what a watcher of volumes was told; every line must be one. */
static struct json_object *last_of(char *text)
{
	char *line = text ? strstr(text, "\r\n\r\n") : NULL, *end;
	struct json_object *last = NULL, *object;

	for (line = line ? line + 4 : NULL; line && (end = strchr(line, '\n')); line = end + 1) {
		struct json_object *o;

		*end = '\0';
		o = json_tokener_parse(line);
		ck_assert_msg(o && json_object_object_get_ex(o, "object", &object),
			      "a line that is no event after %s: %.999s", fault_text(), line);
		if (json_object_object_length(object) == 0) { /* SYNCED */
			json_object_put(o);
			continue;
		}
		json_object_put(last);
		last = o;
	}
	return last;
}

static const char *member(struct json_object *event, const char *key)
{
	struct json_object *object = json_object_object_get(event, "object");

	return json_object_get_string(json_object_object_get(object, key));
}

static void follow(const struct fault_loop *loop)
{
	static const char request[] = "GET /v1/volumes?watch=1&pod=p HTTP/1.0\r\n\r\n";
	const struct sv_actual *a;
	sv_autofree char *text = NULL;
	struct json_object *last;
	bool ended = false;
	size_t len = 0;

	start();
	put("a.yaml", old_text);
	wait_for(is_old);
	put("a.yaml", new_text);
	fault_on(loop);
	text = t_daemon_talk(&d, request, sizeof(request) - 1, ARMED_MS, &len, &ended);
	fault_off();
	ck_assert_msg(!holds_a_value(text), "a value after %s", fault_text());
	if (text && strncmp(text, "HTTP/1.1 503", 12) == 0) {
		ck_assert_msg(ended && strstr(text, "Cannot allocate memory"), "%s after %s", text,
			      fault_text());
		free(SV_TAKE(text));
	}
	last = last_of(text);
	a = record(ID);
	if (!ended && text) { /* then it knows all */
		ck_assert_msg(last, "nothing is told after %s", fault_text());
		ck_assert_msg(strcmp(member(last, "state"), sv_state_name(a->state)) == 0,
			      "%s is told, and it is %s after %s", member(last, "state"),
			      sv_state_name(a->state), fault_text());
		ck_assert_msg(strtoull(member(last, "generation"), NULL, 10) == a->generation,
			      "another generation is told after %s", fault_text());
	}
	json_object_put(last);
	wait_for(is_new);
	put("a.yaml", NULL);
	wait_for(is_gone);
	stop();
}

START_TEST(who_follows_is_told_everything_or_the_end)
{
	each(follow, RUNS / 2);
}
END_TEST

T_SUITE(fault_daemon)
{
	T_AROUND(setup, teardown);
	T_TEST(a_manifest_that_comes_is_published_in_the_end);
	T_TEST(a_manifest_that_changes_leaves_the_old_generation_or_the_new_one);
	T_TEST(a_reload_leaves_the_old_generation_or_the_new_one);
	T_TEST(a_manifest_that_goes_takes_its_volume_along_in_the_end);
	T_TEST(a_volume_of_a_former_life_is_never_let_go);
	T_TEST(a_member_of_the_group_is_not_taken_for_a_stranger);
	T_TEST(who_follows_is_told_everything_or_the_end);
	T_EACH(an_answer_is_the_whole_truth_or_none, requests);
}
