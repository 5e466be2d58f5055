/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/strmap.h"
#include "../base/text.h"
#include "validate.h"

struct builder {
	const struct sv_pod *pod;
	const struct sv_container *c;
	const struct sv_env_opts *opts;
	sv_secret_lookup lookup;
	void *arg;
	struct sv_env *env;
	size_t cap;
	struct sv_strmap index; /* name -> entry number + 1 */
	size_t size;            /* bytes so far */
	bool out_of_memory;     /* a name in $(NAME) was not looked up */
	struct sv_err *err;
};

/* ---- entries ------------------------------------------------------------------------------- */

static int too_large(struct builder *b)
{
	return sv_err_set(b->err, SV_PLAN_E_TOO_LARGE,
			  "environment of container \"%s\" is over the limit of %d bytes",
			  b->c->name, SV_ENV_SIZE_MAX);
}

/* Count @len bytes, if there is room for them. */
static bool count(struct builder *b, size_t len)
{
	if (len > SV_ENV_SIZE_MAX - b->size)
		return false;
	b->size += len;
	return true;
}

/* Later values replace earlier ones (R65). */
static int set(struct builder *b, const char *name, const void *value, size_t len)
{
	size_t at = (size_t)(uintptr_t)sv_strmap_get(&b->index, name);
	struct sv_env *env = b->env;
	struct sv_bytes copy = { NULL, 0 };
	struct sv_env_entry *e;
	int r;

	if (at > 0)
		b->size -= env->entries[at - 1].value.len;
	if (!count(b, at > 0 ? len : strlen(name) + len))
		return too_large(b);
	r = sv_bytes_copy(value, len, &copy);
	if (r < 0)
		return r;
	if (at > 0) {
		e = &env->entries[at - 1];
		sv_bytes_wipe(&e->value);
		e->value = copy;
		return 0;
	}
	if (env->n_entries == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 16;

		e = reallocarray(env->entries, cap, sizeof(*e));
		if (!e)
			goto out_of_memory;
		env->entries = e;
		b->cap = cap;
	}
	e = &env->entries[env->n_entries];
	e->name = strdup(name);
	if (!e->name)
		goto out_of_memory;
	e->value = copy;
	if (sv_strmap_put(&b->index, e->name, (void *)(uintptr_t)(++env->n_entries)) < 0)
		return -ENOMEM;
	return 0;
out_of_memory:
	sv_bytes_wipe(&copy);
	return -ENOMEM;
}

/* ---- $(VAR) (R69) -------------------------------------------------------------------------- */

/* @lookup: yields the value of a name, or NULL to leave the reference as it stands. */
typedef const struct sv_bytes *(*value_fn)(void *arg, const char *name, size_t len);

/* Ends early once there are more than @max bytes. */
static void expand(struct sv_buf *out, const char *text, value_fn value, void *arg, size_t max)
{
	while (*text && out->len <= max) {
		const char *dollar = strchr(text, '$'), *end;
		const struct sv_bytes *v;

		if (!dollar) {
			sv_buf_puts(out, text);
			return;
		}
		sv_buf_add(out, text, (size_t)(dollar - text));
		text = dollar + 1;
		if (*text == '$') { /* $$ is one $ */
			sv_buf_puts(out, "$");
			text++;
			continue;
		}
		end = *text == '(' ? strchr(text, ')') : NULL;
		if (!end) { /* not a reference, or one that is never closed */
			sv_buf_puts(out, "$");
			continue;
		}
		v = value(arg, text + 1, (size_t)(end - text - 1));
		if (v)
			sv_buf_add(out, (const char *)v->ptr, v->len);
		else
			sv_buf_add(out, dollar, (size_t)(end + 1 - dollar));
		text = end + 1;
	}
}

static const struct sv_bytes *value_known(void *arg, const char *name, size_t len)
{
	sv_autofree char *copy = strndup(name, len);
	struct builder *b = arg;
	size_t at = copy ? (size_t)(uintptr_t)sv_strmap_get(&b->index, copy) : 0;

	b->out_of_memory = b->out_of_memory || !copy;
	return at ? &b->env->entries[at - 1].value : NULL;
}

static int set_value(struct builder *b, const struct sv_env_var *var)
{
	sv_autobuf struct sv_buf out = { 0 };

	expand(&out, var->value, value_known, b, SV_ENV_SIZE_MAX);
	return out.failed || b->out_of_memory ? -ENOMEM :
						set(b, var->name, out.ptr ? out.ptr : "", out.len);
}

static int expand_list(struct builder *b, char *const *list, char ***ret)
{
	size_t i, n = 0;

	if (!list)
		return 0;
	while (list[n])
		n++;
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct sv_buf out = { 0 };
		size_t len;

		expand(&out, list[i], value_known, b, SV_ENV_SIZE_MAX);
		len = out.len;
		(*ret)[i] =
			sv_buf_take(&out); /* also if it is too large: it is wiped with the rest */
		if (!(*ret)[i] || b->out_of_memory)
			return -ENOMEM;
		if (!count(b, len))
			return too_large(b);
		if (strlen((*ret)[i]) != len)
			return sv_err_set(b->err, SV_PLAN_E_UNSUPPORTED,
					  "container \"%s\": a value with a NUL character cannot "
					  "be part of command or args",
					  b->c->name);
	}
	return 0;
}

/* ---- sources ------------------------------------------------------------------------------- */

static int note_secret(struct builder *b, const char *name, struct sv_secret *s)
{
	struct sv_env *env = b->env;
	struct sv_env_secret *list;
	size_t i;

	for (i = 0; i < env->n_secrets; i++)
		if (strcmp(env->secrets[i].name, name) == 0)
			return 0;
	list = reallocarray(env->secrets, env->n_secrets + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	env->secrets = list;
	list[env->n_secrets].name = strdup(name);
	if (!list[env->n_secrets].name)
		return -ENOMEM;
	list[env->n_secrets++].secret = s ? sv_secret_ref(s) : NULL;
	return 0;
}

/* *ret is NULL where a missing Secret is forgiven. */
static int find(struct builder *b, const char *name, bool optional, struct sv_secret **ret)
{
	struct sv_err err = { "" };
	int r = b->lookup(b->arg, b->pod->ns, name, ret, &err);

	if (r == 0)
		return note_secret(b, name, *ret);
	*ret = NULL;
	if (r == SV_PLAN_E_NO_SECRET) {
		if (optional)
			return note_secret(b, name, NULL);
		return sv_err_set(b->err, r, "secret \"%s\" not found%s%s", name,
				  *err.msg ? ": " : "", err.msg);
	}
	return r > 0 ? sv_err_set(b->err, r, "%s", err.msg) : r;
}

static int set_secret_key(struct builder *b, const struct sv_env_var *var)
{
	const struct sv_bytes *value;
	struct sv_secret *s = NULL;
	int r = find(b, var->ref, var->optional, &s);

	if (r || !s)
		return r; /* skipped: what envFrom or an earlier entry gave stays (R66) */
	value = sv_secret_value(s, var->key);
	if (value)
		return set(b, var->name, value->ptr, value->len);
	if (var->optional)
		return 0;
	return sv_err_set(b->err, SV_PLAN_E_NO_KEY, "couldn't find key %s in Secret %s/%s",
			  var->key, b->pod->ns, var->ref);
}

/* metadata.labels['KEY']: the KEY, or NULL if @path is not of that form. */
static char *subscript(const char *path, const char *field)
{
	size_t n = strlen(field), len = strlen(path);

	if (strncmp(path, field, n) != 0 || strncmp(path + n, "['", 2) != 0 || len < n + 4 ||
	    strcmp(path + len - 2, "']") != 0)
		return NULL;
	return strndup(path + n + 2, len - n - 4);
}

static const char *find_label(const struct sv_label *labels, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(labels[i].name, name) == 0)
			return labels[i].value;
	return ""; /* the kubelet gives an empty value, too */
}

static int set_field(struct builder *b, const struct sv_env_var *var)
{
	const struct sv_pod *pod = b->pod;
	sv_autofree char *label = subscript(var->key, "metadata.labels");
	sv_autofree char *annotation = subscript(var->key, "metadata.annotations");
	const char *value = NULL;

	if (strcmp(var->key, "metadata.name") == 0)
		value = pod->name;
	else if (strcmp(var->key, "metadata.namespace") == 0)
		value = pod->ns;
	else if (strcmp(var->key, "metadata.uid") == 0)
		value = pod->uid;
	else if (strcmp(var->key, "spec.nodeName") == 0)
		value = *pod->node_name    ? pod->node_name :
			b->opts->node_name ? b->opts->node_name :
					     "";
	else if (label)
		value = find_label(pod->labels, pod->n_labels, label);
	else if (annotation)
		value = find_label(pod->annotations, pod->n_annotations, annotation);
	if (!value)
		return sv_err_set(b->err, SV_PLAN_E_UNSUPPORTED,
				  "env \"%s\": unsupported fieldPath: %s", var->name, var->key);
	return set(b, var->name, value, strlen(value));
}

static int unsupported(struct builder *b, const char *what, const char *name)
{
	return sv_err_set(b->err, SV_PLAN_E_UNSUPPORTED,
			  "%s \"%s\" of container \"%s\" is not supported: only Secrets and fields "
			  "are",
			  what, name, b->c->name);
}

static int set_var(struct builder *b, const struct sv_env_var *var)
{
	switch (var->kind) {
	case SV_ENV_VALUE:
		return set_value(b, var);
	case SV_ENV_SECRET_KEY:
		return set_secret_key(b, var);
	case SV_ENV_FIELD:
		return set_field(b, var);
	case SV_ENV_CONFIG_MAP:
		return unsupported(b, "configMapKeyRef", var->ref);
	default:
		return unsupported(b, "resourceFieldRef", var->key);
	}
}

/* Keys of one source that are no names: one notice, sorted as keys are (R68). */
static int add_notice(struct builder *b, const char *secret, const struct sv_buf *skipped)
{
	struct sv_env *env = b->env;
	char **notices = reallocarray(env->notices, env->n_notices + 1, sizeof(*notices));

	if (!notices)
		return -ENOMEM;
	env->notices = notices;
	notices[env->n_notices] = sv_asprintf(
		"Keys [%s] from the EnvFrom secret %s/%s were skipped since they are considered "
		"invalid environment variable names.",
		skipped->ptr, b->pod->ns, secret);
	return notices[env->n_notices] ? (env->n_notices++, 0) : -ENOMEM;
}

static int set_all(struct builder *b, const struct sv_env_source *src)
{
	sv_autobuf struct sv_buf skipped = { 0 };
	struct sv_secret *s = NULL;
	size_t i;
	int r;

	if (!src->secret)
		return unsupported(b, "configMapRef", src->config_map ? src->config_map : "");
	r = find(b, src->secret, src->optional, &s);
	for (i = 0; r == 0 && s && i < s->n_keys; i++) {
		sv_autofree char *name = sv_asprintf("%s%s", src->prefix, s->keys[i].name);

		if (!name)
			return -ENOMEM;
		if ((b->opts->strict_names ? sv_check_env_name(name) :
					     sv_check_env_name_relaxed(name)) == NULL)
			r = set(b, name, s->data->values[i].ptr, s->data->values[i].len);
		else
			sv_buf_printf(&skipped, "%s%s", skipped.len ? ", " : "", name);
	}
	if (skipped.failed)
		return -ENOMEM;
	return r == 0 && skipped.len > 0 ? add_notice(b, src->secret, &skipped) : r;
}

static int make(struct builder *b)
{
	const struct sv_container *c = b->c;
	size_t i;
	int r = 0;

	for (i = 0; i < c->n_env_from && r == 0; i++)
		r = set_all(b, &c->env_from[i]);
	for (i = 0; i < c->n_env && r == 0; i++)
		r = set_var(b, &c->env[i]);
	if (r == 0)
		r = expand_list(b, c->command, &b->env->command);
	if (r == 0)
		r = expand_list(b, c->args, &b->env->args);
	return r;
}

int sv_env_make(const struct sv_pod *pod, const struct sv_container *c,
		const struct sv_env_opts *opts, sv_secret_lookup lookup, void *arg,
		struct sv_env **ret, struct sv_err *err)
{
	sv_autoenv struct sv_env *env = calloc(1, sizeof(*env));
	struct builder b = { .pod = pod,
			     .c = c,
			     .opts = opts,
			     .lookup = lookup,
			     .arg = arg,
			     .env = env,
			     .err = err };
	int r = env ? make(&b) : -ENOMEM;

	sv_strmap_done(&b.index);
	if (r < 0 && err && *err->msg) /* of who looked a Secret up */
		return sv_err_prefix(err, r, "cannot make the environment of container \"%s\"",
				     c->name);
	if (r < 0)
		return sv_err_set(err, r, "cannot make the environment of container \"%s\"",
				  c->name);
	if (r > 0)
		return r;
	*ret = SV_TAKE(env);
	return 0;
}

/* Expanded strings hold values. */
static void free_list(char **list)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		sv_text_free(list[i]);
	free(list);
}

static void add_name(const char **names, size_t *n, const char *name)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (strcmp(names[i], name) == 0)
			return;
	names[(*n)++] = name;
}

int sv_env_secret_names(const struct sv_container *c, const char ***ret, size_t *n)
{
	const char **names = calloc(c->n_env + c->n_env_from + 1, sizeof(*names));
	size_t i;

	if (!names)
		return -ENOMEM;
	*n = 0;
	for (i = 0; i < c->n_env_from; i++)
		if (c->env_from[i].secret)
			add_name(names, n, c->env_from[i].secret);
	for (i = 0; i < c->n_env; i++)
		if (c->env[i].kind == SV_ENV_SECRET_KEY)
			add_name(names, n, c->env[i].ref);
	*ret = names;
	return 0;
}

void sv_env_free(struct sv_env *env)
{
	size_t i;

	if (!env)
		return;
	for (i = 0; i < env->n_entries; i++) {
		free(env->entries[i].name);
		sv_bytes_wipe(&env->entries[i].value);
	}
	free(env->entries);
	for (i = 0; i < env->n_secrets; i++) {
		free(env->secrets[i].name);
		sv_secret_unref(env->secrets[i].secret);
	}
	free(env->secrets);
	for (i = 0; i < env->n_notices; i++)
		free(env->notices[i]);
	free(env->notices);
	free_list(env->command);
	free_list(env->args);
	free(env);
}

const struct sv_bytes *sv_env_get(const struct sv_env *env, const char *name)
{
	size_t i;

	for (i = 0; i < env->n_entries; i++)
		if (strcmp(env->entries[i].name, name) == 0)
			return &env->entries[i].value;
	return NULL;
}

/* ---- subPathExpr --------------------------------------------------------------------------- */

struct sub_path {
	const struct sv_env *env;
	char *missing; /* the first variable that has no value */
	bool out_of_memory;
};

static const struct sv_bytes *value_required(void *arg, const char *name, size_t len)
{
	static const struct sv_bytes nothing;
	struct sub_path *s = arg;
	sv_autofree char *copy = strndup(name, len);
	const struct sv_bytes *v = copy ? sv_env_get(s->env, copy) : NULL;

	if (v && v->len > 0)
		return v;
	s->out_of_memory = s->out_of_memory || !copy;
	if (!s->missing)
		s->missing = SV_TAKE(copy);
	return &nothing;
}

int sv_env_sub_path(const struct sv_env *env, const char *expr, char **ret, struct sv_err *err)
{
	struct sub_path s = { .env = env };
	sv_autofree char *missing = NULL, *path = NULL;
	struct sv_buf out = { 0 };
	const char *text;
	size_t len;

	expand(&out, expr, value_required, &s, SV_PATH_MAX_BYTES);
	len = out.len;
	path = sv_buf_take(&out);
	missing = s.missing;
	if (!path || s.out_of_memory)
		return sv_err_set(err, -ENOMEM, "cannot expand subPathExpr");
	if (missing)
		return sv_err_set(err, SV_PLAN_E_PATH, "missing value for %s", missing);
	text = strlen(path) != len     ? "must not hold a NUL character" :
	       len > SV_PATH_MAX_BYTES ? "must be less than or equal to 4096 characters" :
					 sv_check_sub_path(path);
	if (text)
		return sv_err_set(err, SV_PLAN_E_PATH, "subPathExpr: %s", text);
	*ret = SV_TAKE(path);
	return 0;
}
