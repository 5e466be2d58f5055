/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/quantity.h"
#include "../lib/base/text.h"
#include "../lib/core/yaml.h"
#include "../lib/node/fsutil.h"
#include "metrics_http.h"

#define CONFIG_SIZE_MAX (1 << 20)
#define DEFAULT_MANIFESTS "/etc/secretvold/manifests"
#define COUNT_MAX 1000000

enum type {
	STRING,
	LIST,
	SIZE,
	COUNT,
	DURATION,
	SWAP,
	KEEP,
	LEVEL,
	FORMAT,
	ENV_NAMES,
	SECRETS,
	FLAG,
	HELP,
	VERSION
};

static const struct option_def {
	const char *flag, *arg;
	enum type type;
	size_t offset;
	const char *preset; /* default, for those that have one */
	const char *help;
} options[] = {
	{ "config", "FILE", STRING, offsetof(struct sv_config, config), NULL,
	  "configuration file (default " SV_DEFAULT_CONFIG ", absent is fine)" },
	{ "root-dir", "DIR", STRING, offsetof(struct sv_config, root_dir), "/run/secretvold",
	  "where volumes live; must be owned by root and not writable by others" },
	{ "manifest-dir", "DIR", LIST, offsetof(struct sv_config, manifest_dirs), DEFAULT_MANIFESTS,
	  "directory of Pod and Secret manifests; repeatable" },
	{ "node-name", "NAME", STRING, offsetof(struct sv_config, node_name), NULL,
	  "name of this node (default: host name)" },
	{ "kubeconfig", "FILE", STRING, offsetof(struct sv_config, kubeconfig), NULL,
	  "watch the Kubernetes API server of this kubeconfig (default: none)" },
	{ "kube-context", "NAME", STRING, offsetof(struct sv_config, kube_context), NULL,
	  "context of the kubeconfig (default: its current-context)" },
	{ "in-cluster", NULL, FLAG, offsetof(struct sv_config, in_cluster), NULL,
	  "watch the API server with this container's service account" },
	{ "allow-insecure-kubeconfig", NULL, FLAG,
	  offsetof(struct sv_config, allow_insecure_kubeconfig), NULL,
	  "permit http and insecure-skip-tls-verify in the kubeconfig" },
	{ "secrets", "HOW", SECRETS, offsetof(struct sv_config, secrets_by_namespace), "by-name",
	  "by-name or by-namespace: one watch for each Secret, or for each namespace" },
	{ "no-api-events", NULL, FLAG, offsetof(struct sv_config, no_api_events), NULL,
	  "do not write Events to the API server" },
	{ "socket", "PATH", STRING, offsetof(struct sv_config, socket), NULL,
	  "status socket (default ROOT/secretvold.sock)" },
	{ "socket-group", "GROUP", STRING, offsetof(struct sv_config, socket_group), NULL,
	  "group that may read status besides root" },
	{ "metrics-address", "HOST:PORT", STRING, offsetof(struct sv_config, metrics_address), NULL,
	  "serve /metrics over TCP too; without HOST on loopback (default: off)" },
	{ "swap-policy", "POLICY", SWAP, offsetof(struct sv_config, swap_policy), "avoid",
	  "avoid, require or ignore: whether Secrets may reach swap" },
	{ "keep-values", "POLICY", KEEP, offsetof(struct sv_config, keep_values), "auto",
	  "auto, always or never: whether values stay in memory once published" },
	{ "volume-size-limit", "BYTES", SIZE, offsetof(struct sv_config, volume_size_limit), "16Mi",
	  "largest volume; over it is a refusal" },
	{ "manifest-size-limit", "BYTES", SIZE, offsetof(struct sv_config, manifest_size_limit),
	  "4Mi", "largest manifest file; over it is a refusal" },
	{ "secrets-size-limit", "BYTES", SIZE, offsetof(struct sv_config, secrets_size_limit),
	  "256Mi", "size of all Secrets in manifests; a file over it is refused" },
	{ "pod-limit", "NUMBER", COUNT, offsetof(struct sv_config, pod_limit), "10000",
	  "Pods in all manifests; a file over it is refused" },
	{ "volume-limit", "NUMBER", COUNT, offsetof(struct sv_config, volume_limit), "20000",
	  "Secret volumes in all manifests; a file over it is refused" },
	{ "generation-grace", "DURATION", DURATION, offsetof(struct sv_config, grace_ms), "250ms",
	  "how long an old generation stays after an update" },
	{ "env-names", "RULE", ENV_NAMES, offsetof(struct sv_config, strict_env_names), "relaxed",
	  "relaxed or strict: which environment variable names are valid" },
	{ "log-level", "LEVEL", LEVEL, offsetof(struct sv_config, log_level), "info",
	  "error, warning, info or debug" },
	{ "log-format", "FORMAT", FORMAT, offsetof(struct sv_config, log_format), "auto",
	  "auto, text, journal or json" },
	{ "once", NULL, FLAG, offsetof(struct sv_config, once), NULL,
	  "reconcile once and exit; 0 only if every wanted volume is published" },
	{ "no-seccomp", NULL, FLAG, offsetof(struct sv_config, no_seccomp), NULL,
	  "do not restrict system calls, for debugging" },
	{ "help", NULL, HELP, 0, NULL, "print this and exit" },
	{ "version", NULL, VERSION, 0, NULL, "print the version and exit" },
};

#define N_OPTIONS SV_ARRAY_SIZE(options)

static void strings_done(struct sv_strings *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct sv_strings){ NULL, 0 };
}

void sv_config_done(struct sv_config *c)
{
	free(c->config);
	free(c->root_dir);
	strings_done(&c->manifest_dirs);
	free(c->node_name);
	free(c->kubeconfig);
	free(c->kube_context);
	free(c->socket);
	free(c->socket_group);
	free(c->metrics_address);
	*c = (struct sv_config){ 0 };
}

static int set_string(char **target, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*target);
	*target = copy;
	return 0;
}

static int add_string(struct sv_strings *s, const char *value)
{
	char **items = reallocarray(s->items, s->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	s->items = items;
	items[s->n] = strdup(value);
	return items[s->n] ? (s->n++, 0) : -ENOMEM;
}

/* The index of a word in a NULL-terminated list, or -1. */
static int find_word(const char *const *words, const char *value)
{
	int i;

	for (i = 0; words[i]; i++)
		if (strcmp(words[i], value) == 0)
			return i;
	return -1;
}

/* @name: of the option as it was written, a flag or a key. */
static int set_option(struct sv_config *c, const struct option_def *o, const char *name,
		      const char *value, struct sv_err *err)
{
	static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
	static const char *const formats[] = { "auto", "text", "journal", "json", NULL };
	static const char *const keeps[] = { "auto", "always", "never", NULL };
	static const char *const rules[] = { "relaxed", "strict", NULL };
	static const char *const ways[] = { "by-name", "by-namespace", NULL };
	void *target = (char *)c + o->offset;
	int word = 0, r = 0;

	if (!*value) /* not the same as none: a socket without a name can be bound */
		return sv_err_set(err, SV_CONFIG_E_USAGE, "%s: the value is empty", name);
	switch (o->type) {
	case STRING:
		r = set_string(target, value);
		break;
	case LIST:
		r = add_string(target, value);
		break;
	case SIZE:
		r = sv_size_parse(value, target);
		if (r < 0 || *(int64_t *)target < 1 || *(int64_t *)target > INT_MAX)
			return sv_err_set(err, SV_CONFIG_E_USAGE,
					  "%s: '%s' is not a size such as 16Mi, of at least one "
					  "byte and below 2Gi",
					  name, value);
		break;
	case COUNT:
		*(int64_t *)target =
			value[strspn(value, "0123456789")] ? 0 : strtoll(value, NULL, 10);
		if (*(int64_t *)target < 1 || *(int64_t *)target > COUNT_MAX)
			return sv_err_set(err, SV_CONFIG_E_USAGE,
					  "%s: '%s' is not a number from 1 to %d", name, value,
					  COUNT_MAX);
		break;
	case DURATION:
		if (sv_duration_parse(value, target) < 0)
			return sv_err_set(err, SV_CONFIG_E_USAGE,
					  "%s: '%s' is not a duration such as 300ms", name, value);
		break;
	case SWAP:
		word = sv_swap_policy_parse(value, target);
		break;
	case KEEP: /* in the order of enum sv_keep */
		word = find_word(keeps, value);
		if (word >= 0)
			*(enum sv_keep *)target = (enum sv_keep)word;
		break;
	case LEVEL:
		word = find_word(levels, value);
		if (word >= 0)
			*(enum sv_log_level *)target = (enum sv_log_level)word;
		break;
	case FORMAT:
		word = find_word(formats, value);
		if (word >= 0)
			*(enum sv_log_format *)target = (enum sv_log_format)word;
		break;
	case ENV_NAMES:
		word = find_word(rules, value);
		*(bool *)target = word == 1;
		break;
	case SECRETS:
		word = find_word(ways, value);
		*(bool *)target = word == 1;
		break;
	case FLAG:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			word = -1;
		*(bool *)target = strcmp(value, "true") == 0;
		break;
	default:
		break;
	}
	if (word < 0)
		return sv_err_set(err, SV_CONFIG_E_USAGE, "%s: unknown value '%s'", name, value);
	return r < 0 ? sv_err_set(err, r, "%s", name) : 0;
}

/* ---- help ---------------------------------------------------------------------------------- */

static void print_help(void)
{
	size_t i;

	(void)printf("Usage: secretvold [OPTION]...\n"
		     "Publish the Secret volumes of this node's Pods.\n\n");
	for (i = 0; i < N_OPTIONS; i++) {
		char left[48];

		(void)snprintf(left, sizeof(left), "--%s%s%s", options[i].flag,
			       options[i].arg ? "=" : "", options[i].arg ? options[i].arg : "");
		(void)printf("  %-30s %s", left, options[i].help);
		if (options[i].preset)
			(void)printf(" (default %s)", options[i].preset);
		(void)printf("\n");
	}
	(void)printf("\nSIGHUP re-reads the configuration and every source; SIGTERM stops and "
		     "leaves the mounts.\n");
}

/* ---- the file ------------------------------------------------------------------------------ */

static char *camel_case(const char *flag)
{
	char *key = strdup(flag), *o = key;
	const char *s;

	for (s = flag; key && *s; s++) {
		if (*s != '-')
			*o++ = *s;
		else if (s[1])
			*o++ = (char)(*++s - 'a' + 'A');
	}
	if (key)
		*o = '\0';
	return key;
}

static const struct option_def *find_key(const char *key)
{
	size_t i;

	for (i = 0; i < N_OPTIONS; i++) {
		sv_autofree char *name = camel_case(options[i].flag);

		if (name && strcmp(name, key) == 0 && options[i].type != HELP &&
		    options[i].type != VERSION && strcmp(key, "config") != 0)
			return &options[i];
	}
	return NULL;
}

static int set_from_node(struct sv_config *c, const struct option_def *o, const char *key,
			 struct json_object *node, struct sv_err *err)
{
	enum json_type type = json_object_get_type(node);
	size_t i;
	int r = 0;

	if (type == json_type_null)
		return 0;
	if (o->type == LIST && type == json_type_array) {
		for (i = 0; i < json_object_array_length(node) && r == 0; i++) {
			struct json_object *item = json_object_array_get_idx(node, i);

			r = json_object_is_type(item, json_type_string) ?
				    set_option(c, o, key, json_object_get_string(item), err) :
				    sv_err_set(err, SV_CONFIG_E_USAGE, "%s: expects strings", key);
		}
		return r;
	}
	if ((o->type == FLAG) != (type == json_type_boolean) || type == json_type_array ||
	    type == json_type_object || (type == json_type_double && o->type != SIZE) ||
	    (type == json_type_int && o->type != SIZE && o->type != COUNT && o->type != DURATION))
		return sv_err_set(err, SV_CONFIG_E_USAGE, "%s: value of the wrong type", key);
	return set_option(c, o, key, json_object_get_string(node), err);
}

static int apply_tree(struct sv_config *c, struct json_object *root, struct sv_err *err)
{
	if (!root)
		return 0;
	if (!json_object_is_type(root, json_type_object))
		return sv_err_set(err, SV_CONFIG_E_USAGE, "expects a map of options");
	json_object_object_foreach (root, key, value) {
		const struct option_def *o = find_key(key);
		int r;

		if (!o)
			return sv_err_set(err, SV_CONFIG_E_USAGE, "unknown key '%s'", key);
		r = set_from_node(c, o, key, value, err);
		if (r)
			return r;
	}
	return 0;
}

static int read_file(struct sv_config *c, const char *path, bool must_exist, struct sv_err *err)
{
	sv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	sv_autobytes struct sv_bytes text = { NULL, 0 };
	struct sv_trees trees = { NULL, 0 };
	int r;

	if (fd < 0 && errno == ENOENT && !must_exist)
		return 0;
	if (fd < 0)
		return sv_err_set(err, -errno, "cannot open configuration file '%s'", path);
	r = sv_read_all(fd, CONFIG_SIZE_MAX, &text);
	if (r < 0)
		return sv_err_set(err, r, "cannot read configuration file '%s'", path);
	r = sv_yaml_parse((const char *)text.ptr, text.len, &trees, err, NULL);
	if (r == 0 && trees.n > 1)
		r = sv_err_set(err, SV_CONFIG_E_USAGE, "holds more than one document");
	if (r == 0 && trees.n == 1)
		r = apply_tree(c, trees.items[0].root, err);
	sv_trees_done(&trees);
	if (r)
		sv_err_prefix(err, r, "configuration file '%s'", path);
	return r > 0 ? SV_CONFIG_E_USAGE : r;
}

/* ---- flags --------------------------------------------------------------------------------- */

static const struct option_def *find_flag(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < N_OPTIONS; i++)
		if (strlen(options[i].flag) == len && strncmp(options[i].flag, name, len) == 0)
			return &options[i];
	return NULL;
}

/*
 * "--name", "--name=value" or "--name value", by its whole name. *i moves on over a value.
 * NULL: it is wrong.
 */
static const struct option_def *read_flag(int argc, char **argv, int *i, const char **value,
					  struct sv_err *err)
{
	const char *flag = argv[*i], *end = strchrnul(flag, '=');
	const struct option_def *def =
		strncmp(flag, "--", 2) == 0 ? find_flag(flag + 2, (size_t)(end - flag) - 2) : NULL;

	if (!def) {
		sv_err_set(err, 0, "unknown option '%.*s'", (int)(end - flag), flag);
		return NULL;
	}
	if (!def->arg && *end) {
		sv_err_set(err, 0, "option '--%s' takes no value", def->flag);
		return NULL;
	}
	if (def->arg && !*end && ++*i == argc) {
		sv_err_set(err, 0, "option '--%s' needs a value", def->flag);
		return NULL;
	}
	*value = !def->arg ? "true" : *end ? end + 1 : argv[*i];
	return def;
}

/* Applies flags to @c; with @early only --config, and --help and --version are answered. */
static int read_flags(int argc, char **argv, struct sv_config *c, bool early, struct sv_err *err)
{
	const struct option_def *def;
	const char *stray = NULL, *value;
	bool list_started = false;
	int i, r = 0;

	for (i = 1; i < argc && r == 0; i++) {
		bool last = strcmp(argv[i], "--") == 0;

		if (last || argv[i][0] != '-' || !argv[i][1]) { /* told if nothing else is wrong */
			stray = stray ? stray : argv[i + last];
			if (last)
				break;
			continue;
		}
		def = read_flag(argc, argv, &i, &value, err);
		if (!def)
			return SV_CONFIG_E_USAGE;
		if (early && def->type == HELP)
			print_help();
		if (early && def->type == VERSION)
			(void)printf("secretvold %s\n", SV_VERSION);
		if (early && (def->type == HELP || def->type == VERSION))
			return SV_CONFIG_E_DONE;
		if (early && strcmp(def->flag, "config") != 0)
			continue;
		if (def->type == LIST && !list_started) { /* flags replace what the file says */
			strings_done(&c->manifest_dirs);
			list_started = true;
		}
		r = set_option(c, def, def->flag, value, err);
	}
	if (r == 0 && stray)
		return sv_err_set(err, SV_CONFIG_E_USAGE, "unexpected argument '%s'", stray);
	return r;
}

static int complete(struct sv_config *c, struct sv_err *err)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct sockaddr_storage addr;

	if (c->root_dir[0] != '/')
		return sv_err_set(err, SV_CONFIG_E_USAGE, "root-dir: '%s' is not an absolute path",
				  c->root_dir);
	if (c->metrics_address && sv_metrics_address(c->metrics_address, &addr) == 0)
		return sv_err_set(err, SV_CONFIG_E_USAGE,
				  "metrics-address: '%s' is not HOST:PORT with an IPv4 address, an "
				  "IPv6 address in brackets, or localhost",
				  c->metrics_address);
	if (c->kubeconfig && c->in_cluster)
		return sv_err_set(err, SV_CONFIG_E_USAGE,
				  "in-cluster: goes not together with kubeconfig");
	/* Beside an API server the default directory is not waited for where nobody made it. */
	if (c->manifest_dirs.n == 0 &&
	    (!(c->kubeconfig || c->in_cluster) || access(DEFAULT_MANIFESTS, F_OK) == 0) &&
	    add_string(&c->manifest_dirs, DEFAULT_MANIFESTS) < 0)
		return -ENOMEM;
	if (!c->node_name) {
		(void)gethostname(host, sizeof(host) - 1);
		c->node_name = strdup(host);
	}
	if (!c->socket)
		c->socket = sv_asprintf("%s/secretvold.sock", c->root_dir);
	return c->node_name && c->socket ? 0 : sv_err_set(err, -ENOMEM, "cannot read options");
}

int sv_config_read(int argc, char **argv, struct sv_config *ret, struct sv_err *err)
{
	struct sv_config c = { 0 };
	size_t i;
	int r = read_flags(argc, argv, &c, true, err);

	for (i = 0; i < N_OPTIONS && r == 0; i++)
		if (options[i].preset && options[i].type != LIST)
			r = set_option(&c, &options[i], options[i].flag, options[i].preset, err);
	if (r == 0)
		r = read_file(&c, c.config ? c.config : SV_DEFAULT_CONFIG, c.config != NULL, err);
	if (r == 0)
		r = read_flags(argc, argv, &c, false, err);
	if (r == 0)
		r = complete(&c, err);
	if (r) {
		sv_config_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}
