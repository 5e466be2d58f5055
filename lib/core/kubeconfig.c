/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "kubeconfig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"
#include "yaml.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* An entry of clusters, users or contexts; with list NULL, the top level. */
struct entry {
	const char *list, *kind; /* "users", "user" */
	size_t i;
	const char *name;         /* borrowed from the tree */
	struct json_object *node; /* what stands below kind; NULL if there is nothing */
	struct sv_err *err;
};

/* ---- refusals ------------------------------------------------------------------------------ */

static int refuse(const struct entry *e, const char *field, int r, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int refuse(const struct entry *e, const char *field, int r, const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.failed)
		return sv_err_set(e->err, -ENOMEM, "cannot read the kubeconfig");
	if (!e->list)
		return sv_err_set(e->err, r, "%s: %s", field, b.ptr);
	return sv_err_set(e->err, r, "%s[%zu].%s.%s of %s \"%s\": %s", e->list, e->i, e->kind,
			  field, e->kind, e->name, b.ptr);
}

static int no_memory(const struct entry *e)
{
	return sv_err_set(e->err, -ENOMEM, "cannot read the kubeconfig");
}

/* ---- fields -------------------------------------------------------------------------------- */

/* NULL if it is absent or null. */
static int get_node(const struct entry *e, const char *field, enum json_type type,
		    const char *expects, struct json_object **ret)
{
	struct json_object *node = NULL;

	*ret = NULL;
	if (!e->node || !json_object_object_get_ex(e->node, field, &node) || !node)
		return 0;
	if (!json_object_is_type(node, type))
		return refuse(e, field, SV_KUBECONFIG_E_INVALID, "must be %s", expects);
	*ret = node;
	return 0;
}

static bool has_nul(struct json_object *string)
{
	return strlen(json_object_get_string(string)) != (size_t)json_object_get_string_len(string);
}

/* Borrowed from the tree; NULL if it is absent, null or empty, which is all the same to client-go. */
static int get_text(const struct entry *e, const char *field, const char **ret)
{
	struct json_object *node;
	int r = get_node(e, field, json_type_string, "a string", &node);

	*ret = NULL;
	if (r || !node || json_object_get_string_len(node) == 0)
		return r;
	if (has_nul(node))
		return refuse(e, field, SV_KUBECONFIG_E_INVALID, "holds a NUL character");
	*ret = json_object_get_string(node);
	return 0;
}

static int copy(const struct entry *e, const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? no_memory(e) : 0;
}

static int get_data(const struct entry *e, const char *field, struct sv_bytes *ret)
{
	const char *text;
	size_t bad = 0;
	int r = get_text(e, field, &text);

	if (r || !text)
		return r;
	r = sv_base64_decode(text, strlen(text), ret, &bad);
	if (r > 0)
		return refuse(e, field, SV_KUBECONFIG_E_INVALID,
			      "illegal base64 data at input byte %zu", bad);
	return r ? no_memory(e) : 0;
}

/* A PEM: FIELD is its path, FIELD-data the PEM itself. */
static int get_pem(const struct entry *e, const char *field, char **file, struct sv_bytes *data)
{
	sv_autofree char *data_field = sv_asprintf("%s-data", field);
	const char *path = NULL;
	int r;

	if (!data_field)
		return no_memory(e);
	r = get_data(e, data_field, data);
	if (r == 0)
		r = get_text(e, field, &path);
	if (r == 0 && data->len == 0)
		r = copy(e, path, file);
	return r;
}

/* ---- entries ------------------------------------------------------------------------------- */

/* Is element @i of a list the one of that name? */
static int is_named(struct entry *e, struct json_object *element, const char *name, bool *ret)
{
	struct json_object *node = NULL;

	*ret = false;
	if (!json_object_is_type(element, json_type_object))
		return sv_err_set(e->err, SV_KUBECONFIG_E_INVALID, "%s[%zu]: must be an object",
				  e->list, e->i);
	json_object_object_get_ex(element, "name", &node);
	if (!node) /* is nobody's */
		return 0;
	if (!json_object_is_type(node, json_type_string))
		return sv_err_set(e->err, SV_KUBECONFIG_E_INVALID, "%s[%zu].name: must be a string",
				  e->list, e->i);
	*ret = !has_nul(node) && strcmp(json_object_get_string(node), name) == 0;
	return 0;
}

static int take_entry(struct entry *e, struct json_object *element)
{
	struct json_object *node = NULL;

	json_object_object_get_ex(element, e->kind, &node);
	if (node && !json_object_is_type(node, json_type_object))
		return sv_err_set(e->err, SV_KUBECONFIG_E_INVALID,
				  "%s[%zu].%s of %s \"%s\": must be an object", e->list, e->i,
				  e->kind, e->kind, e->name);
	e->node = node;
	return 0;
}

/*
 * The entry of a name. @from and @field: who asks for it, for the message. Two of that name are
 * refused, since either could be meant.
 */
static int find(const struct entry *top, const char *list, const char *kind, const char *name,
		const struct entry *from, const char *field, struct entry *ret)
{
	struct entry e = { .list = list, .kind = kind, .name = name, .err = top->err };
	struct json_object *array;
	size_t found = SIZE_MAX, n;
	int r = get_node(top, list, json_type_array, "a list", &array);

	if (r)
		return r;
	n = array ? json_object_array_length(array) : 0;
	for (e.i = 0; e.i < n; e.i++) {
		bool named;

		r = is_named(&e, json_object_array_get_idx(array, e.i), name, &named);
		if (r)
			return r;
		if (named && found != SIZE_MAX)
			return sv_err_set(e.err, SV_KUBECONFIG_E_INVALID,
					  "%s[%zu].name: %s \"%s\" is there twice", list, e.i, kind,
					  name);
		if (named)
			found = e.i;
	}
	if (found == SIZE_MAX)
		return refuse(from, field, SV_KUBECONFIG_E_INVALID, "there is no %s \"%s\"", kind,
			      name);
	e.i = found;
	r = take_entry(&e, json_object_array_get_idx(array, found));
	if (r == 0)
		*ret = e;
	return r;
}

/* ---- URLs ---------------------------------------------------------------------------------- */

static bool is_visible(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return false;
	return true;
}

/* Length of a host name or address at @s, 0 if there is none. */
static size_t host_len(const char *s)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr ignored;
	size_t n;

	if (*s != '[')
		return strspn(s, LETTERS DIGITS "-._");
	n = strcspn(++s, "]");
	if (s[n] != ']' || n >= sizeof(address))
		return 0;
	memcpy(address, s, n);
	address[n] = '\0';
	return inet_pton(AF_INET6, address, &ignored) == 1 ? n + 2 : 0;
}

/* Length of "HOST[:PORT]" at @s, 0 if there is none. */
static size_t authority_len(const char *s)
{
	size_t n = host_len(s), digits;
	long port;

	if (n == 0 || s[n] != ':')
		return n;
	s += n + 1;
	digits = strspn(s, DIGITS);
	port = digits > 0 && digits <= 5 ? strtol(s, NULL, 10) : 0;
	return port >= 1 && port <= 65535 ? n + 1 + digits : 0;
}

static bool is_path(const char *s)
{
	for (; *s; s++) {
		if (*s == '%' && strspn(s + 1, DIGITS "abcdefABCDEF") < 2)
			return false;
		if (!strchr(LETTERS DIGITS "-._~!$&'()*+,;=:@/%", *s))
			return false;
	}
	return true;
}

/* What stands behind "SCHEME://", or NULL. */
static const char *behind_scheme(const char *url, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncasecmp(url, scheme, n) == 0 && strncmp(url + n, "://", 3) == 0 ? url + n + 3 :
										     NULL;
}

/* What is wrong with the server's URL behind its scheme? NULL: nothing. */
static const char *check_server(const char *s)
{
	size_t n = strcspn(s, "/?#");

	if (memchr(s, '@', n))
		return "must not hold a user or a password";
	if (strpbrk(s, "?#"))
		return "must not hold a query or a fragment";
	n = authority_len(s);
	if (n == 0 || (s[n] && s[n] != '/'))
		return "is no URL with a host, and a port if any between 1 and 65535";
	return is_path(s + n) ? NULL : "holds a character that a path may not hold";
}

static int get_server(const struct entry *cluster, char **ret)
{
	const char *url, *rest, *scheme = "https", *fault;
	size_t len;
	int r = get_text(cluster, "server", &url);

	if (r)
		return r;
	if (!url)
		return refuse(cluster, "server", SV_KUBECONFIG_E_INVALID, "is missing");
	rest = behind_scheme(url, scheme);
	if (!rest)
		rest = behind_scheme(url, scheme = "http");
	fault = rest ? check_server(rest) : "must begin with https:// or http://";
	if (fault)
		return refuse(cluster, "server", SV_KUBECONFIG_E_INVALID, "%s", fault);
	for (len = strlen(rest); rest[len - 1] == '/'; len--)
		;
	*ret = sv_asprintf("%s://%.*s", scheme, (int)len, rest);
	return *ret ? 0 : no_memory(cluster);
}

/* "[USER[:PASSWORD]@]HOST[:PORT][/]" */
static bool is_proxy(const char *s)
{
	const char *at = strrchr(s, '@');
	size_t n;

	if (!is_visible(s))
		return false;
	if (at && strcspn(s, "/?#") < (size_t)(at - s))
		return false;
	if (at)
		s = at + 1;
	n = authority_len(s);
	return n > 0 && (!s[n] || strcmp(s + n, "/") == 0);
}

static int get_proxy(const struct entry *cluster, char **ret)
{
	static const char *const schemes[] = { "http", "https", "socks5" };
	const char *url, *rest = NULL;
	size_t i;
	int r = get_text(cluster, "proxy-url", &url);

	if (r || !url)
		return r;
	for (i = 0; i < SV_ARRAY_SIZE(schemes); i++) {
		rest = behind_scheme(url, schemes[i]);
		if (rest)
			break;
	}
	if (!rest)
		return refuse(cluster, "proxy-url", SV_KUBECONFIG_E_INVALID,
			      "must begin with http://, https:// or socks5://");
	if (!is_proxy(rest))
		return refuse(cluster, "proxy-url", SV_KUBECONFIG_E_INVALID,
			      "is no URL with a host, and a port if any between 1 and 65535");
	*ret = sv_asprintf("%s://%s", schemes[i], rest);
	return *ret ? 0 : no_memory(cluster);
}

/* ---- cluster and user ---------------------------------------------------------------------- */

static int read_cluster(const struct entry *e, struct sv_kubeconfig *k)
{
	struct json_object *insecure;
	const char *name;
	int r = get_server(e, &k->server);

	if (r == 0)
		r = get_proxy(e, &k->proxy_url);
	if (r == 0)
		r = get_text(e, "tls-server-name", &name);
	if (r)
		return r;
	if (name && host_len(name) != strlen(name))
		return refuse(e, "tls-server-name", SV_KUBECONFIG_E_INVALID, "is no host name");
	r = copy(e, name, &k->tls_server_name);
	if (r == 0)
		r = get_node(e, "insecure-skip-tls-verify", json_type_boolean, "true or false",
			     &insecure);
	if (r == 0)
		r = get_pem(e, "certificate-authority", &k->ca_file, &k->ca_data);
	if (r)
		return r;
	k->insecure = json_object_get_boolean(insecure);
	if (k->insecure && (k->ca_file || k->ca_data.len))
		return refuse(e, "insecure-skip-tls-verify", SV_KUBECONFIG_E_INVALID,
			      "makes no sense together with certificate-authority: remove one");
	return 0;
}

/* Nothing, in any type. */
static bool is_empty(struct json_object *node)
{
	switch (json_object_get_type(node)) {
	case json_type_null:
		return true;
	case json_type_string:
		return json_object_get_string_len(node) == 0;
	case json_type_array:
		return json_object_array_length(node) == 0;
	default:
		return false;
	}
}

static int refuse_other_ways(const struct entry *user)
{
	static const char instead[] =
		"use a client certificate (client-certificate, client-key) or a tokenFile";
	static const char impersonation[] =
		"impersonation is not supported; give the user itself the rights it needs";
	static const struct {
		const char *field, *what, *advice;
	} others[] = {
		{ "exec", "credential plugins are not run; ", instead },
		{ "auth-provider", "auth providers are not supported; ", instead },
		{ "username", "passwords are not supported; ", instead },
		{ "password", "passwords are not supported; ", instead },
		{ "as", "", impersonation },
		{ "as-uid", "", impersonation },
		{ "as-groups", "", impersonation },
		{ "as-user-extra", "", impersonation },
	};
	size_t i;

	for (i = 0; user->node && i < SV_ARRAY_SIZE(others); i++) {
		struct json_object *node = NULL;

		if (json_object_object_get_ex(user->node, others[i].field, &node) &&
		    !is_empty(node))
			return refuse(user, others[i].field, SV_KUBECONFIG_E_UNSUPPORTED, "%s%s",
				      others[i].what, others[i].advice);
	}
	return 0;
}

static int read_token(const struct entry *e, struct sv_kubeconfig *k)
{
	const char *token, *path;
	int r = get_text(e, "token", &token);

	if (r == 0)
		r = get_text(e, "tokenFile", &path);
	if (r)
		return r;
	if (path)
		return copy(e, path, &k->token_file);
	if (!token)
		return 0;
	if (!sv_token_is_valid(token, strlen(token)))
		return refuse(e, "token", SV_KUBECONFIG_E_INVALID,
			      "must be one line of visible ASCII of at most %d bytes",
			      SV_TOKEN_MAX);
	return sv_bytes_copy(token, strlen(token), &k->token) ? no_memory(e) : 0;
}

static int read_user(const struct entry *e, struct sv_kubeconfig *k)
{
	bool cert, key;
	int r = refuse_other_ways(e);

	if (r == 0)
		r = get_pem(e, "client-certificate", &k->cert_file, &k->cert_data);
	if (r == 0)
		r = get_pem(e, "client-key", &k->key_file, &k->key_data);
	if (r == 0)
		r = read_token(e, k);
	if (r)
		return r;
	cert = k->cert_file || k->cert_data.len;
	key = k->key_file || k->key_data.len;
	if (key && !cert)
		return refuse(e, k->key_file ? "client-key" : "client-key-data",
			      SV_KUBECONFIG_E_INVALID, "is of no use without client-certificate");
	if (cert && !key)
		return refuse(e, k->cert_file ? "client-certificate" : "client-certificate-data",
			      SV_KUBECONFIG_E_INVALID, "is of no use without client-key");
	return 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int check_type(const struct entry *top, const char *field, const char *want)
{
	const char *text;
	int r = get_text(top, field, &text);

	if (r == 0 && text && strcmp(text, want) != 0)
		return refuse(top, field, SV_KUBECONFIG_E_INVALID, "must be %s in a kubeconfig",
			      want);
	return r;
}

/* The text of a field of the chosen context, which names an entry. */
static int get_name(const struct entry *context, const char *field, const char **ret)
{
	const char *name;
	int r = get_text(context, field, &name);

	if (r == 0 && !name)
		r = refuse(context, field, SV_KUBECONFIG_E_INVALID, "is missing");
	else if (r == 0)
		*ret = name;
	return r;
}

static int read_config(const struct entry *top, const char *name, struct sv_kubeconfig *k)
{
	struct entry context = { .list = NULL }, cluster = context, user = context;
	const char *cluster_name = "", *user_name = "";
	int r = check_type(top, "apiVersion", "v1");

	if (r == 0)
		r = check_type(top, "kind", "Config");
	if (r == 0 && !name)
		r = get_text(top, "current-context", &name);
	if (r)
		return r;
	if (!name)
		return refuse(top, "current-context", SV_KUBECONFIG_E_INVALID,
			      "is missing, and no context was asked for");
	r = find(top, "contexts", "context", name, top, "contexts", &context);
	if (r == 0)
		r = get_name(&context, "cluster", &cluster_name);
	if (r == 0)
		r = get_name(&context, "user", &user_name);
	if (r == 0)
		r = find(top, "clusters", "cluster", cluster_name, &context, "cluster", &cluster);
	if (r == 0)
		r = find(top, "users", "user", user_name, &context, "user", &user);
	if (r == 0)
		r = copy(top, name, &k->context);
	if (r == 0)
		r = copy(top, cluster_name, &k->cluster);
	if (r == 0)
		r = copy(top, user_name, &k->user);
	if (r == 0)
		r = read_cluster(&cluster, k);
	return r ? r : read_user(&user, k);
}

/* The only document of a file: what stands in a second one would be overlooked. */
static int read_document(const struct sv_trees *trees, const char *context, struct sv_kubeconfig *k,
			 struct sv_err *err)
{
	struct entry top = { .err = err };
	size_t i;

	for (i = 0; i < trees->n; i++) {
		if (!trees->items[i].root)
			continue;
		if (top.node)
			return sv_err_set(err, SV_KUBECONFIG_E_INVALID,
					  "holds more than one document");
		top.node = trees->items[i].root;
	}
	if (!top.node)
		return sv_err_set(err, SV_KUBECONFIG_E_INVALID, "is empty");
	if (!json_object_is_type(top.node, json_type_object))
		return sv_err_set(err, SV_KUBECONFIG_E_INVALID, "is no kubeconfig");
	return read_config(&top, context, k);
}

int sv_kubeconfig_parse(const char *text, size_t len, const char *context,
			struct sv_kubeconfig *ret, struct sv_err *err)
{
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	struct sv_trees trees = { NULL, 0 };
	int r;

	if (len > SV_KUBECONFIG_MAX)
		return sv_err_set(err, SV_KUBECONFIG_E_INVALID,
				  "%zu bytes are over the limit of %d for a kubeconfig", len,
				  SV_KUBECONFIG_MAX);
	r = sv_yaml_parse(text, len, &trees, err, NULL);
	if (r > 0)
		return SV_KUBECONFIG_E_INVALID;
	if (r == 0)
		r = read_document(&trees, context, &k, err);
	sv_trees_done(&trees);
	if (r)
		return r;
	*ret = sv_kubeconfig_take(&k);
	return 0;
}

static int fill_in_cluster(struct sv_kubeconfig *k, const char *authority)
{
	k->context = strdup("in-cluster");
	k->cluster = strdup("in-cluster");
	k->user = strdup("service account");
	k->server = sv_asprintf("https://%s", authority);
	k->ca_file = strdup("ca.crt");
	k->token_file = strdup("token");
	return k->context && k->cluster && k->user && k->server && k->ca_file && k->token_file ?
		       0 :
		       -ENOMEM;
}

int sv_kubeconfig_in_cluster(const char *host, const char *port, struct sv_kubeconfig *ret,
			     struct sv_err *err)
{
	bool bare = strchr(host, ':') && *host != '[';
	sv_autofree char *authority =
		sv_asprintf("%s%s%s:%s", bare ? "[" : "", host, bare ? "]" : "", port);
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };

	if (!authority)
		return sv_err_set(err, -ENOMEM, "cannot read the environment");
	if (authority_len(authority) != strlen(authority))
		return sv_err_set(err, SV_KUBECONFIG_E_INVALID,
				  "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no host "
				  "and no port between 1 and 65535");
	if (fill_in_cluster(&k, authority) < 0)
		return sv_err_set(err, -ENOMEM, "cannot read the environment");
	*ret = sv_kubeconfig_take(&k);
	return 0;
}

struct sv_kubeconfig sv_kubeconfig_take(struct sv_kubeconfig *k)
{
	struct sv_kubeconfig taken = *k;

	*k = (struct sv_kubeconfig){ 0 };
	return taken;
}

static void wipe_text(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void sv_kubeconfig_done(struct sv_kubeconfig *k)
{
	free(k->context);
	free(k->cluster);
	free(k->user);
	free(k->server);
	free(k->tls_server_name);
	wipe_text(&k->proxy_url);
	free(k->ca_file);
	free(k->cert_file);
	free(k->key_file);
	free(k->token_file);
	sv_bytes_wipe(&k->ca_data);
	sv_bytes_wipe(&k->cert_data);
	sv_bytes_wipe(&k->key_data);
	sv_bytes_wipe(&k->token);
	*k = (struct sv_kubeconfig){ 0 };
}

bool sv_token_is_valid(const void *token, size_t len)
{
	const unsigned char *s = token;
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return false;
	return len > 0 && len <= SV_TOKEN_MAX;
}
