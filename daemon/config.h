/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - options: flags beat the configuration file, which beats defaults
 *
 * One table describes every option: its flag, its key in the file (the flag in
 * lowerCamelCase), its default and its help.
 */
#ifndef SV_DAEMON_CONFIG_H
#define SV_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/base/err.h"
#include "../lib/core/desired.h"
#include "../lib/node/tmpfs.h"

#define SV_DEFAULT_CONFIG "/etc/secretvold/config.yaml"

enum sv_log_level { SV_LOG_ERROR, SV_LOG_WARNING, SV_LOG_INFO, SV_LOG_DEBUG };
enum sv_log_format { SV_LOG_AUTO, SV_LOG_TEXT, SV_LOG_JOURNAL, SV_LOG_JSON };

struct sv_strings {
	char **items;
	size_t n;
};

struct sv_config {
	char *config;   /* the file, NULL: the default one if it is there */
	char *root_dir; /* absolute */
	struct sv_strings manifest_dirs;
	char *node_name;
	char *kubeconfig;   /* NULL: no API server, unless in_cluster */
	char *kube_context; /* NULL: the file's current one */
	bool in_cluster, allow_insecure_kubeconfig;
	bool secrets_by_namespace;
	bool no_api_events;
	char *socket;          /* NULL: ROOT/secretvold.sock */
	char *socket_group;    /* NULL: root only */
	char *metrics_address; /* NULL: none; see metrics_http.h */
	enum sv_swap_policy swap_policy;
	enum sv_keep keep_values;
	int64_t volume_size_limit, manifest_size_limit; /* bytes */
	int64_t secrets_size_limit;                     /* bytes */
	int64_t pod_limit, volume_limit;                /* of all manifests */
	int64_t grace_ms;
	enum sv_log_level log_level;
	enum sv_log_format log_format;
	bool strict_env_names;
	bool once;
	bool no_seccomp;
};

enum {
	SV_CONFIG_E_USAGE = 1, /* wrong flag or wrong configuration file: exit 2 */
	SV_CONFIG_E_DONE,      /* --help or --version was answered: exit 0 */
};

/* Read flags and file. Return: 0, SV_CONFIG_E_*, or a negated errno. @ret is written on 0 only. */
int sv_config_read(int argc, char **argv, struct sv_config *ret, struct sv_err *err);
void sv_config_done(struct sv_config *c);

#endif
