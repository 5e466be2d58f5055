/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secretvold - the daemon: options, start, signals, end
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "../lib/base/text.h"
#include "../lib/node/fsutil.h"
#include "config.h"
#include "log.h"
#include "manager.h"
#include "metrics_http.h"
#include "notify.h"
#include "process.h"
#include "server.h"
#include "source/dir.h"
#include "source/kube.h"

#define PATIENCE_MS 5000

struct daemon {
	int argc;
	char **argv;
	uv_loop_t loop;
	struct sv_config config;
	struct sv_node node;
	struct sv_manager manager;
	struct sv_source *sources[SV_N_ORIGINS + 1]; /* NULL-terminated */
	struct sv_source *dir;  /* of these, the manifest directories; NULL if there are none */
	struct sv_source *kube; /* the API server; NULL if there is none */
	struct sv_server *server;
	struct sv_metrics_http *metrics; /* NULL: only the status socket has them */
	struct sv_notify notify;
	uv_signal_t hup, term, intr;
	uv_timer_t patience; /* with work that does not end, when the daemon is to */
	bool stopping;
	int status; /* of the process */
};

static struct sv_reconcile_opts opts_of(const struct sv_config *c)
{
	return (struct sv_reconcile_opts){
		.volume_size_limit = (size_t)c->volume_size_limit,
		.grace_ms = c->grace_ms,
	};
}

/* A service whose mounts nobody sees would report success and serve empty directories. */
static int check_mounts(const struct daemon *d, struct sv_err *err)
{
	int r = sv_process_check_mounts(d->node.root, err);

	if (r > 0 && !sv_process_is_service()) {
		sv_log_warn("%s", err->msg); /* started by hand: perhaps on purpose, as tests do */
		return 0;
	}
	if (r > 0)
		sv_log_err(
			"%s. The usual culprits in a unit file: ProtectSystem=, ProtectHome=, "
			"PrivateTmp=, PrivateDevices=, PrivateMounts=, ProtectKernelTunables=, "
			"ProtectKernelModules=, ProtectKernelLogs=, ProtectControlGroups=, "
			"ProtectProc=, ReadOnlyPaths=, InaccessiblePaths=, BindPaths=, "
			"TemporaryFileSystem=; in a container the directory needs mount propagation "
			"'Bidirectional'",
			err->msg);
	return r > 0 ? -EPERM : r;
}

static int open_node(struct daemon *d, struct sv_err *err)
{
	int r = sv_node_open(d->config.root_dir, &d->node, err);

	if (r == 0)
		r = check_mounts(d, err);
	d->node.policy = d->config.swap_policy;
	if (r == 0)
		r = sv_tmpfs_choose(d->node.policy, &d->node.medium, err);
	if (r < 0)
		return r;
	if (d->node.medium == SV_MEDIUM_UNKNOWN)
		sv_log_err(
			"swap policy 'require': this kernel offers neither tmpfs with noswap nor "
			"ramfs; new volumes are refused");
	else if (d->node.medium == SV_MEDIUM_TMPFS && d->node.policy == SV_SWAP_AVOID)
		sv_log_warn("this kernel offers neither tmpfs with noswap nor ramfs: Secrets may "
			    "reach swap");
	return 0;
}

/* The group of the configuration; -1 if it names none. */
static int find_group(const struct daemon *d, gid_t *ret, struct sv_err *err)
{
	const struct group *g;

	*ret = (gid_t)-1;
	if (!d->config.socket_group)
		return 0;
	g = getgrnam(d->config.socket_group);
	if (!g)
		return sv_err_set(err, -ENOENT, "socket-group: no group '%s'",
				  d->config.socket_group);
	*ret = g->gr_gid;
	return 0;
}

/* Who may read status: a socket that was passed has an owner already, and its group wins. */
static int find_reader(const struct daemon *d, int *ret_fd, gid_t *ret_gid, struct sv_err *err)
{
	gid_t configured = (gid_t)-1;
	int r;

	*ret_fd = -1;
	r = sv_server_passed(ret_fd, ret_gid, err);

	if (r == 0)
		r = find_group(d, &configured, err);
	if (r < 0)
		return r;
	if (*ret_fd < 0)
		*ret_gid = configured;
	else if (d->config.socket_group && *ret_gid != configured)
		sv_log_warn("socket-group: '%s' has no effect, the socket was passed by systemd: "
			    "set SocketGroup= in its unit",
			    d->config.socket_group);
	return 0;
}

/* The socket's group must be able to reach a socket in the root directory, and nothing else there. */
static int open_root_to(const struct daemon *d, gid_t gid, struct sv_err *err)
{
	if (gid == (gid_t)-1)
		return 0;
	if (fchown(d->node.root_fd, (uid_t)-1, gid) < 0 || fchmod(d->node.root_fd, 0710) < 0)
		return sv_err_set(err, -errno, "cannot open the root directory to group %u", gid);
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void close_all(void *arg)
{
	struct daemon *d = arg;
	size_t i;

	if (d->server) /* who waits for a source is answered first */
		sv_server_stop(d->server);
	if (d->metrics)
		sv_metrics_http_stop(d->metrics);
	for (i = 0; d->sources[i]; i++)
		d->sources[i]->stop(d->sources[i]);
	uv_close((uv_handle_t *)&d->hup, NULL);
	uv_close((uv_handle_t *)&d->term, NULL);
	uv_close((uv_handle_t *)&d->intr, NULL);
	uv_close((uv_handle_t *)&d->patience, NULL);
	sv_notify_close(&d->notify);
	sv_manager_close(&d->manager);
}

/* A thread that is in a system call cannot be ended, only left: the next start finds what it left. */
static void on_impatient(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	if (d->manager.worker.in_flight == 0)
		return; /* what is left to do is the loop's own */
	sv_log_warn("stopping without waiting for %u operations that do not come to an end",
		    d->manager.worker.in_flight);
	if (d->server)
		sv_server_stop(d->server);
	(void)fflush(stdout);
	_exit(d->status);
}

/* Actions under way are finished, mounts stay. */
static void stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	sv_notify_stopping(&d->notify);
	d->manager.on_settled = close_all;
	sv_manager_stop(&d->manager);
	uv_timer_start(&d->patience, on_impatient, PATIENCE_MS, 0);
}

/* ---- readiness ----------------------------------------------------------------------------- */

static void report_once(struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->manager.actuals.records.n; i++) {
		const struct sv_actual *a = d->manager.actuals.records.entries[i].value;
		char line[SV_ERR_MAX];

		if (a->state == SV_STATE_PUBLISHED || a->state == SV_STATE_UNUSED)
			continue;
		d->status = 1;
		sv_text_escape(line, sizeof(line), a->message ? a->message : "");
		(void)printf("%s/%s/%s: %s: %s: %s\n", a->ns, a->pod, a->volume,
			     sv_state_name(a->state), a->reason, line);
	}
	(void)fflush(stdout);
}

static void print_problem(void *arg, const struct sv_problem *p)
{
	char file[SV_ERR_MAX], text[SV_ERR_MAX];

	sv_autofree char *prefix = sv_asprintf("line %u: ", p->line);
	size_t n = prefix && strncmp(p->message, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;

	if (!p->warning)
		*(int *)arg = 1;
	sv_text_escape(file, sizeof(file), p->file);
	sv_text_escape(text, sizeof(text), p->message + n);
	if (p->line)
		(void)printf("%s:%u: %s\n", file, p->line, text);
	else
		(void)printf("%s: %s\n", file, text);
}

static void on_change(void *arg)
{
	sv_notify_changed(&((struct daemon *)arg)->notify);
}

static void on_settled(void *arg)
{
	struct daemon *d = arg;
	int complaints = 0;
	size_t i;

	if (!d->config.once) {
		sv_notify_ready(&d->notify);
		sv_log_event(SV_LOG_INFO, &(struct sv_log_fields){ .id = SV_LOG_READY },
			     "ready, %zu volume%s", d->manager.actuals.records.n,
			     d->manager.actuals.records.n == 1 ? "" : "s");
		return;
	}
	report_once(d);
	for (i = 0; d->sources[i]; i++)
		d->sources[i]->each_problem(d->sources[i], print_problem, &complaints);
	if (complaints)
		d->status = 1;
	stop(d);
}

/* ---- signals ------------------------------------------------------------------------------- */

static bool differs(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

static bool dirs_differ(const struct sv_strings *a, const struct sv_strings *b)
{
	size_t i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (differs(a->items[i], b->items[i]))
			return true;
	return a->n != b->n;
}

static void apply(struct daemon *d, const struct sv_config *new)
{
	const struct sv_reconcile_opts opts = opts_of(new);
	struct sv_config *old = &d->config;

	if (differs(old->root_dir, new->root_dir) || differs(old->socket, new->socket) ||
	    differs(old->socket_group, new->socket_group) ||
	    differs(old->metrics_address, new->metrics_address) ||
	    differs(old->node_name, new->node_name) || old->swap_policy != new->swap_policy ||
	    differs(old->kubeconfig, new->kubeconfig) ||
	    differs(old->kube_context, new->kube_context) || old->in_cluster != new->in_cluster ||
	    old->allow_insecure_kubeconfig != new->allow_insecure_kubeconfig ||
	    old->secrets_by_namespace != new->secrets_by_namespace ||
	    old->no_api_events != new->no_api_events ||
	    dirs_differ(&old->manifest_dirs, &new->manifest_dirs))
		sv_log_warn(
			"reload: root-dir, manifest-dir, socket, socket-group, metrics-address, "
			"node-name, swap-policy and those of the API server change with a restart only");
	old->volume_size_limit = new->volume_size_limit;
	old->manifest_size_limit = new->manifest_size_limit;
	old->secrets_size_limit = new->secrets_size_limit;
	old->pod_limit = new->pod_limit;
	old->volume_limit = new->volume_limit;
	old->grace_ms = new->grace_ms;
	old->keep_values = new->keep_values;
	old->log_level = new->log_level;
	old->log_format = new->log_format;
	old->strict_env_names = new->strict_env_names;
	sv_log_init(old->log_level, old->log_format);
	sv_manager_set_keep(&d->manager, old->keep_values);
	sv_manager_set_opts(&d->manager, &opts);
	if (d->dir)
		sv_source_dir_configure(d->dir, old);
	if (d->kube)
		sv_source_kube_configure(d->kube, old->strict_env_names);
}

static void on_hup(uv_signal_t *handle, int signum)
{
	struct daemon *d = handle->data;
	struct sv_config new = { 0 };
	struct sv_err err = { "" };
	size_t i;

	(void)signum;
	sv_notify_reloading(&d->notify);
	if (sv_config_read(d->argc, d->argv, &new, &err) == 0) {
		apply(d, &new);
		sv_config_done(&new);
		sv_log_notice("configuration and sources are read again");
	} else {
		sv_log_err("reload: %s; the old configuration stays", err.msg);
	}
	for (i = 0; d->sources[i]; i++)
		d->sources[i]->reload(d->sources[i]);
	sv_notify_reloaded(&d->notify);
}

static void on_stop_signal(uv_signal_t *handle, int signum)
{
	struct daemon *d = handle->data;

	sv_log_notice("%s: stopping, mounts stay", signum == SIGTERM ? "SIGTERM" : "SIGINT");
	if (d->config.once && !d->stopping) /* nobody knows what was still to come */
		d->status = 1;
	stop(d);
}

static void watch_signals(struct daemon *d)
{
	d->hup.data = d->term.data = d->intr.data = d->patience.data = d;
	uv_timer_init(&d->loop, &d->patience);
	uv_signal_init(&d->loop, &d->hup);
	uv_signal_init(&d->loop, &d->term);
	uv_signal_init(&d->loop, &d->intr);
	uv_signal_start(&d->hup, on_hup, SIGHUP);
	uv_signal_start(&d->term, on_stop_signal, SIGTERM);
	uv_signal_start(&d->intr, on_stop_signal, SIGINT);
}

/* ---- the beginning ------------------------------------------------------------------------- */

static int start_server(struct daemon *d, struct sv_err *err)
{
	const struct sv_api_context context = {
		.manager = &d->manager,
		.sources = d->sources,
		.config = &d->config,
		.started_ms = sv_unix_ms(),
	};
	gid_t gid;
	int fd, r = find_reader(d, &fd, &gid, err);

	if (r == 0)
		r = open_root_to(d, gid, err);
	if (r == 0)
		r = sv_server_new(&d->loop, &context, fd, gid, &d->server, err);
	if (r == 0 && d->config.metrics_address)
		r = sv_metrics_http_new(&d->loop, &context, &d->metrics, err);
	return r;
}

/* With --once, a source that cannot be read now is a failure: nobody waits for it. */
static void check_sources(struct daemon *d)
{
	int complaints = 0;
	size_t i;

	for (i = 0; d->sources[i]; i++)
		d->sources[i]->each_problem(d->sources[i], print_problem, &complaints);
	if (!complaints)
		return;
	d->status = 1;
	stop(d);
}

static void on_stuck(void *arg)
{
	struct daemon *d = arg;

	if (d->config.once && !d->stopping)
		check_sources(d);
}

static int start_kube(struct daemon *d, struct sv_err *err)
{
	const struct sv_kube_auth_opts auth = { .kubeconfig = d->config.kubeconfig,
						.context = d->config.kube_context,
						.allow_insecure =
							d->config.allow_insecure_kubeconfig };
	struct sv_kube_opts opts = { .node_name = d->config.node_name,
				     .by_namespace = d->config.secrets_by_namespace,
				     .strict_env_names = d->config.strict_env_names,
				     .no_events = d->config.no_api_events };
	int r = sv_kube_auth_new(&auth, &opts.auth, err);

	if (r > 0)
		return -EINVAL; /* the text says it all */
	return r < 0 ? r : sv_source_kube_new(&d->loop, &d->manager, &opts, &d->kube, err);
}

static int start_sources(struct daemon *d, struct sv_err *err)
{
	size_t n = 0;
	int r = 0;

	if (d->config.kubeconfig || d->config.in_cluster) {
		r = start_kube(d, err);
		d->sources[n++] = d->kube;
	}
	if (r == 0 && d->config.manifest_dirs.n > 0) {
		r = sv_source_dir_new(&d->loop, &d->manager, &d->config, &d->dir, err);
		d->sources[n++] = d->dir;
	}
	return r;
}

static int give_up_rights(const struct daemon *d, struct sv_err *err)
{
	int r = sv_process_drop_capabilities(err);

	if (r == 0 && !d->config.no_seccomp)
		r = sv_process_filter_calls(err);
	return r;
}

static int start(struct daemon *d, struct sv_err *err)
{
	const struct sv_reconcile_opts opts = opts_of(&d->config);
	int r = open_node(d, err);

	if (r < 0)
		return r;
	r = uv_loop_init(&d->loop);
	if (r < 0)
		return sv_err_set(err, r, "cannot start the event loop");
	r = sv_manager_init(&d->manager, &d->loop, &d->node, &opts);
	if (r < 0)
		return sv_err_set(err, r, "cannot start");
	sv_manager_set_keep(&d->manager, d->config.keep_values);
	sv_notify_init(&d->notify, &d->loop, &d->manager);
	d->manager.on_settled = on_settled;
	d->manager.on_change = on_change;
	d->manager.on_stuck = on_stuck;
	d->manager.arg = d;
	d->manager.drain = d->config.once;
	watch_signals(d);
	r = sv_manager_adopt(&d->manager, err);
	if (r == 0 && !d->config.once)
		r = start_server(d, err);
	if (r == 0)
		r = give_up_rights(d, err); /* before a byte of input is read */
	if (r == 0)
		r = start_sources(d, err);
	if (r == 0 && d->config.once)
		check_sources(d);
	return r;
}

static int run(struct daemon *d, struct sv_err *err)
{
	size_t i;
	int r = start(d, err);

	if (r < 0) { /* the process ends: what was opened goes with it, but not the socket's file */
		if (d->server)
			sv_server_stop(d->server);
		return r;
	}
	sv_log_notice("secretvold %s on node %s, volumes in %s", SV_VERSION, d->config.node_name,
		      d->node.root);
	(void)uv_run(&d->loop, UV_RUN_DEFAULT);
	sv_server_free(d->server);
	sv_metrics_http_free(d->metrics);
	for (i = 0; d->sources[i]; i++)
		d->sources[i]->free(d->sources[i]);
	sv_manager_done(&d->manager);
	(void)uv_loop_close(&d->loop);
	sv_node_close(&d->node);
	return 0;
}

int main(int argc, char **argv)
{
	/* Not on the stack: what a start that failed leaves to the end of the process stays in sight. */
	static struct daemon d = { .node = { .root_fd = -1 } };
	struct sv_err err = { "" };
	int r;

	d.argc = argc;
	d.argv = argv;
	sv_reserve_standard(); /* libuv will not close a descriptor that has such a number */
	sv_process_harden();
	sv_worker_prepare();
	r = sv_config_read(argc, argv, &d.config, &err);
	if (r == SV_CONFIG_E_DONE)
		return 0;
	if (r) {
		(void)fprintf(stderr, "secretvold: %s\n", err.msg);
		return r == SV_CONFIG_E_USAGE ? 2 : 1;
	}
	sv_log_init(d.config.log_level, d.config.log_format);
	if (!sv_process_lock_memory() && d.config.swap_policy != SV_SWAP_IGNORE)
		sv_log_notice(
			"memory cannot be locked, for lack of CAP_IPC_LOCK and of an infinite "
			"RLIMIT_MEMLOCK: Secrets at work may reach swap");
	r = run(&d, &err);
	if (r < 0) {
		sv_log_err("%s", err.msg);
		d.status = 1;
	}
	sv_config_done(&d.config);
	return d.status;
}
