/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../../lib/core/kubeconfig.h"
#include "../support/support.h"

#define MARK "Zm9vYmFy" /* stands for what no message may hold */

/* A kubeconfig whose cluster and user hold these fields (flow style). */
static char *config(const char *cluster, const char *user)
{
	return sv_asprintf("apiVersion: v1\n"
			   "kind: Config\n"
			   "preferences: {}\n"
			   "clusters:\n"
			   "- {name: other, cluster: {server: 'https://other'}}\n"
			   "- name: prod\n"
			   "  cluster: {%s}\n"
			   "users:\n"
			   "- name: node\n"
			   "  user: {%s}\n"
			   "contexts:\n"
			   "- {name: wrong, context: {cluster: other, user: nobody}}\n"
			   "- {name: here, context: {cluster: prod, user: node, namespace: n}}\n"
			   "current-context: here\n",
			   cluster, user);
}

static int parse(const char *text, const char *context, struct sv_kubeconfig *ret,
		 struct sv_err *err)
{
	sv_autofree char *exact = malloc(strlen(text) ? strlen(text) : 1); /* not terminated */

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, text, strlen(text));
	return sv_kubeconfig_parse(exact, strlen(text), context, ret, err);
}

static void add(struct sv_buf *b, const char *name, const char *value)
{
	if (value)
		sv_buf_printf(b, " %s=%s", name, value);
}

static void add_bytes(struct sv_buf *b, const char *name, const struct sv_bytes *value)
{
	if (value->len)
		sv_buf_printf(b, " %s=<%.*s>", name, (int)value->len, (char *)value->ptr);
}

/* Everything but the names: "SERVER FIELD=VALUE …". */
static char *show(const struct sv_kubeconfig *k)
{
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_puts(&b, k->server);
	add(&b, "tls", k->tls_server_name);
	add(&b, "proxy", k->proxy_url);
	add(&b, "insecure", k->insecure ? "yes" : NULL);
	add(&b, "ca", k->ca_file);
	add_bytes(&b, "ca", &k->ca_data);
	add(&b, "cert", k->cert_file);
	add_bytes(&b, "cert", &k->cert_data);
	add(&b, "key", k->key_file);
	add_bytes(&b, "key", &k->key_data);
	add(&b, "token", k->token_file);
	add_bytes(&b, "token", &k->token);
	return sv_buf_take(&b);
}

/* ---- what is read -------------------------------------------------------------------------- */

static const struct {
	const char *cluster, *user;
	const char *want;
} accepted[] = {
	{ "server: 'https://h'", "", "https://h" },
	{ "server: 'https://10.0.0.1:6443'", "", "https://10.0.0.1:6443" },
	{ "server: 'https://[fd00::1]:6443/'", "", "https://[fd00::1]:6443" },
	{ "server: 'https://[::1]'", "", "https://[::1]" },
	{ "server: 'http://localhost:1'", "", "http://localhost:1" },
	{ "server: 'HTTPS://a-b.c_d:65535'", "", "https://a-b.c_d:65535" },
	{ "server: 'https://h/k8s/clusters/c-1//'", "", "https://h/k8s/clusters/c-1" },
	{ "server: 'https://h/a%2Fb;c=(d),@:~'", "", "https://h/a%2Fb;c=(d),@:~" },
	{ "server: 'https://h', tls-server-name: kubernetes.default", "",
	  "https://h tls=kubernetes.default" },
	{ "server: 'https://h', proxy-url: 'http://p:3128'", "", "https://h proxy=http://p:3128" },
	{ "server: 'https://h', proxy-url: 'HTTPS://u:p%40@p/'", "",
	  "https://h proxy=https://u:p%40@p/" },
	{ "server: 'https://h', proxy-url: 'socks5://[::1]:1080'", "",
	  "https://h proxy=socks5://[::1]:1080" },
	{ "server: 'https://h', insecure-skip-tls-verify: true", "", "https://h insecure=yes" },
	{ "server: 'https://h', insecure-skip-tls-verify: false, certificate-authority: ca.crt", "",
	  "https://h ca=ca.crt" },
	{ "server: 'https://h', certificate-authority: /etc/ca.crt", "",
	  "https://h ca=/etc/ca.crt" },
	{ "server: 'https://h', certificate-authority-data: Zm9v", "", "https://h ca=<foo>" },

	/* data beats a file, the token's file beats a token */
	{ "server: 'https://h', certificate-authority: f, certificate-authority-data: Zm9v", "",
	  "https://h ca=<foo>" },
	{ "server: 'https://h'", "client-certificate: c, client-key: k", "https://h cert=c key=k" },
	{ "server: 'https://h'", "client-certificate: c, client-key-data: Zm9v",
	  "https://h cert=c key=<foo>" },
	{ "server: 'https://h'",
	  "client-certificate: c, client-certificate-data: YQ==, client-key: k, client-key-data: Yg==",
	  "https://h cert=<a> key=<b>" },
	{ "server: 'https://h'", "client-certificate-data: \"Z\\nm9v\\n\", client-key-data: Zm9v",
	  "https://h cert=<foo> key=<foo>" },
	{ "server: 'https://h'", "token: a.b-c_d~+/=", "https://h token=<a.b-c_d~+/=>" },
	{ "server: 'https://h'", "tokenFile: t", "https://h token=t" },
	{ "server: 'https://h'", "token: a, tokenFile: t", "https://h token=t" },
	{ "server: 'https://h'", "token: a, client-certificate: c, client-key: k",
	  "https://h cert=c key=k token=<a>" },

	/* empty and null are the same as absent; unknown fields are nobody's business */
	{ "server: 'https://h', tls-server-name: '', proxy-url: null, certificate-authority-data: ''",
	  "token: '', tokenFile: null, client-key: '', exec: null, as: '', as-groups: [], username: ''",
	  "https://h" },
	{ "server: 'https://h', extensions: [{name: e}], disable-compression: true, x: 1",
	  "extensions: [], x: {}", "https://h" },
};

START_TEST(a_context_gives_the_server_and_the_credentials)
{
	sv_autofree char *text = config(accepted[_i].cluster, accepted[_i].user);
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	sv_autofree char *got = NULL;
	struct sv_err err = { "" };

	ck_assert_msg(parse(text, NULL, &k, &err) == 0, "%s", err.msg);
	got = show(&k);
	ck_assert_str_eq(got, accepted[_i].want);
	ck_assert_str_eq(k.context, "here");
	ck_assert_str_eq(k.cluster, "prod");
	ck_assert_str_eq(k.user, "node");
}
END_TEST

START_TEST(another_context_can_be_asked_for)
{
	static const char text[] =
		"{\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"https://a\"}},"
		"{\"name\":\"b\",\"cluster\":{\"server\":\"https://b\"}}],"
		"\"users\":[{\"name\":\"u\"},{\"name\":\"v\",\"user\":{\"token\":\"t\"}}],"
		"\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"a\",\"user\":\"u\"}},"
		"{\"name\":\"b\",\"context\":{\"cluster\":\"b\",\"user\":\"v\"}}],"
		"\"current-context\":\"a\"}";
	sv_autokubeconfig struct sv_kubeconfig a = { 0 }, b = { 0 };
	sv_autofree char *got = NULL;

	ck_assert_int_eq(parse(text, NULL, &a, NULL), 0);
	ck_assert_str_eq(a.server, "https://a");
	ck_assert_int_eq(parse(text, "b", &b, NULL), 0);
	got = show(&b);
	ck_assert_str_eq(got, "https://b token=<t>");
	ck_assert_str_eq(b.context, "b");
}
END_TEST

/* ---- what is refused ----------------------------------------------------------------------- */

#define SERVER "server: 'https://h'"
#define CLUSTER_SAYS(field) "clusters[1].cluster." field " of cluster \"prod\": "
#define USER_SAYS(field) "users[0].user." field " of user \"node\": "

static const struct {
	const char *cluster, *user;
	const char *says;
	bool unsupported;
} refused[] = {
	{ "", "", CLUSTER_SAYS("server") "is missing", false },
	{ "server: ''", "", CLUSTER_SAYS("server") "is missing", false },
	{ "server: null", "", CLUSTER_SAYS("server") "is missing", false },
	{ "server: 1", "", CLUSTER_SAYS("server") "must be a string", false },
	{ "server: \"https://h\\0x\"", "", CLUSTER_SAYS("server") "holds a NUL character", false },
	{ "server: h", "", CLUSTER_SAYS("server") "must begin with https:// or http://", false },
	{ "server: 'h:6443'", "", CLUSTER_SAYS("server") "must begin with https:// or http://",
	  false },
	{ "server: '//h'", "", CLUSTER_SAYS("server") "must begin with https:// or http://",
	  false },
	{ "server: 'ftp://h'", "", CLUSTER_SAYS("server") "must begin with https:// or http://",
	  false },
	{ "server: 'https:/h'", "", CLUSTER_SAYS("server") "must begin with https:// or http://",
	  false },
	{ "server: 'https://u:" MARK "@h'", "",
	  CLUSTER_SAYS("server") "must not hold a user or a password", false },
	{ "server: 'https://h?" MARK "'", "",
	  CLUSTER_SAYS("server") "must not hold a query or a fragment", false },
	{ "server: 'https://h/a#" MARK "'", "",
	  CLUSTER_SAYS("server") "must not hold a query or a fragment", false },
#define NO_HOST "is no URL with a host, and a port if any between 1 and 65535"
	{ "server: 'https://'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https:///a'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://:1'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h:'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h:0'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h:65536'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h:000001'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h:1x'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h h'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://h\\h'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://é'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://::1'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://[::1'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://[h]'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://[::1]h'", "", CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]'", "",
	  CLUSTER_SAYS("server") NO_HOST, false },
	{ "server: 'https://[0123456789012345678901234567890123456789012345]'", "",
	  CLUSTER_SAYS("server") NO_HOST, false },
#define NO_PATH "holds a character that a path may not hold"
	{ "server: 'https://h/a b'", "", CLUSTER_SAYS("server") NO_PATH, false },
	{ "server: \"https://h/a\\r\\nb\"", "", CLUSTER_SAYS("server") NO_PATH, false },
	{ "server: 'https://h/%2'", "", CLUSTER_SAYS("server") NO_PATH, false },
	{ "server: 'https://h/{a}'", "", CLUSTER_SAYS("server") NO_PATH, false },

	{ SERVER ", tls-server-name: 'a b'", "", CLUSTER_SAYS("tls-server-name") "is no host name",
	  false },
	{ SERVER ", tls-server-name: 'a:1'", "", CLUSTER_SAYS("tls-server-name") "is no host name",
	  false },
	{ SERVER ", tls-server-name: {}", "", CLUSTER_SAYS("tls-server-name") "must be a string",
	  false },
	{ SERVER ", proxy-url: 'p:3128'", "",
	  CLUSTER_SAYS("proxy-url") "must begin with http://, https:// or socks5://", false },
	{ SERVER ", proxy-url: 'socks4://p'", "",
	  CLUSTER_SAYS("proxy-url") "must begin with http://, https:// or socks5://", false },
	{ SERVER ", proxy-url: 'http://u:" MARK "@'", "", CLUSTER_SAYS("proxy-url") NO_HOST,
	  false },
	{ SERVER ", proxy-url: 'http://u:/" MARK "@h'", "", CLUSTER_SAYS("proxy-url") NO_HOST,
	  false },
	{ SERVER ", proxy-url: 'http://p/a'", "", CLUSTER_SAYS("proxy-url") NO_HOST, false },
	{ SERVER ", proxy-url: \"http://u\\n:p@p\"", "", CLUSTER_SAYS("proxy-url") NO_HOST, false },
	{ SERVER ", proxy-url: 'http://u v:p@p'", "", CLUSTER_SAYS("proxy-url") NO_HOST, false },
	{ SERVER ", insecure-skip-tls-verify: 'true'", "",
	  CLUSTER_SAYS("insecure-skip-tls-verify") "must be true or false", false },
	{ SERVER ", insecure-skip-tls-verify: true, certificate-authority: c", "",
	  CLUSTER_SAYS(
		  "insecure-skip-tls-verify") "makes no sense together with certificate-authority: remove one",
	  false },
	{ SERVER ", insecure-skip-tls-verify: true, certificate-authority-data: Zm9v", "",
	  CLUSTER_SAYS(
		  "insecure-skip-tls-verify") "makes no sense together with certificate-authority: remove one",
	  false },
	{ SERVER ", certificate-authority-data: '" MARK "*'", "",
	  CLUSTER_SAYS("certificate-authority-data") "illegal base64 data at input byte 8", false },
	{ SERVER ", certificate-authority: [a]", "",
	  CLUSTER_SAYS("certificate-authority") "must be a string", false },

	{ SERVER, "client-key: k",
	  USER_SAYS("client-key") "is of no use without client-certificate", false },
	{ SERVER, "client-key-data: " MARK,
	  USER_SAYS("client-key-data") "is of no use without client-certificate", false },
	{ SERVER, "client-certificate: c",
	  USER_SAYS("client-certificate") "is of no use without client-key", false },
	{ SERVER, "client-certificate-data: " MARK,
	  USER_SAYS("client-certificate-data") "is of no use without client-key", false },
	{ SERVER, "client-certificate: c, client-key-data: '" MARK "=='",
	  USER_SAYS("client-key-data") "illegal base64 data at input byte 8", false },
	{ SERVER, "client-certificate: c, client-key-data: 12",
	  USER_SAYS("client-key-data") "must be a string", false },
#define NO_TOKEN "must be one line of visible ASCII of at most 65536 bytes"
	{ SERVER, "token: \"" MARK "\\r\\nX: y\"", USER_SAYS("token") NO_TOKEN, false },
	{ SERVER, "token: '" MARK " '", USER_SAYS("token") NO_TOKEN, false },
	{ SERVER, "token: '" MARK "é'", USER_SAYS("token") NO_TOKEN, false },
	{ SERVER, "token: \"" MARK "\\x7f\"", USER_SAYS("token") NO_TOKEN, false },
	{ SERVER, "token: \"" MARK "\\0\"", USER_SAYS("token") "holds a NUL character", false },
	{ SERVER, "token: 1234", USER_SAYS("token") "must be a string", false },
	{ SERVER, "tokenFile: true", USER_SAYS("tokenFile") "must be a string", false },

#define INSTEAD "use a client certificate (client-certificate, client-key) or a tokenFile"
	{ SERVER, "exec: {command: aws, env: [{name: A, value: " MARK "}]}",
	  USER_SAYS("exec") "credential plugins are not run; " INSTEAD, true },
	{ SERVER, "exec: {}", USER_SAYS("exec") "credential plugins are not run; " INSTEAD, true },
	{ SERVER, "auth-provider: {name: oidc}",
	  USER_SAYS("auth-provider") "auth providers are not supported; " INSTEAD, true },
	{ SERVER, "username: admin", USER_SAYS("username") "passwords are not supported; " INSTEAD,
	  true },
	{ SERVER, "token: t, password: " MARK,
	  USER_SAYS("password") "passwords are not supported; " INSTEAD, true },
#define AS "impersonation is not supported; give the user itself the rights it needs"
	{ SERVER, "as: root", USER_SAYS("as") AS, true },
	{ SERVER, "as-uid: '0'", USER_SAYS("as-uid") AS, true },
	{ SERVER, "as-groups: [a]", USER_SAYS("as-groups") AS, true },
	{ SERVER, "as-user-extra: {a: [b]}", USER_SAYS("as-user-extra") AS, true },
};

START_TEST(a_field_at_fault_is_named_and_its_value_is_not)
{
	sv_autofree char *text = config(refused[_i].cluster, refused[_i].user);
	struct sv_kubeconfig k = { .context = text };
	struct sv_err err = { "" };
	int r = parse(text, NULL, &k, &err);

	ck_assert_str_eq(err.msg, refused[_i].says);
	ck_assert_int_eq(r, refused[_i].unsupported ? SV_KUBECONFIG_E_UNSUPPORTED :
						      SV_KUBECONFIG_E_INVALID);
	ck_assert_ptr_eq(k.context, text); /* untouched */
	ck_assert_ptr_null(k.server);
	ck_assert_ptr_null(strstr(err.msg, MARK));
}
END_TEST

#define CLUSTERS "clusters: [{name: c, cluster: {server: 'https://h'}}]\n"
#define USERS "users: [{name: u, user: {}}]\n"
#define CONTEXTS "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
#define CURRENT "current-context: x\n"

static const struct {
	const char *text;
	const char *context;
	const char *says; /* NULL: in order */
} wholes[] = {
	{ CLUSTERS USERS CONTEXTS CURRENT, NULL, NULL },
	{ CLUSTERS USERS CONTEXTS, "x", NULL },
	{ "---\n" CLUSTERS USERS CONTEXTS CURRENT "---\n", NULL, NULL },
	{ CLUSTERS "users: [{name: u, user: null}, {name: v, user: 1}, {}]\n" CONTEXTS CURRENT,
	  NULL, NULL },
	{ CLUSTERS "users: [{name: u}, {name: v}, {name: v}]\n" CONTEXTS CURRENT, NULL, NULL },

	{ "", NULL, "is empty" },
	{ "# nothing\n", NULL, "is empty" },
	{ "---\n---\n", NULL, "is empty" },
	{ "[]", NULL, "is no kubeconfig" },
	{ "x", NULL, "is no kubeconfig" },
	{ CLUSTERS "---\n" USERS, NULL, "holds more than one document" },
	{ "a: [", NULL, "line 2: did not find expected node content" },
	{ "a: *b", NULL, "line 1: unknown anchor" },
	{ "kind: Pod\n" CLUSTERS USERS CONTEXTS CURRENT, NULL,
	  "kind: must be Config in a kubeconfig" },
	{ "apiVersion: v2\n" CLUSTERS USERS CONTEXTS CURRENT, NULL,
	  "apiVersion: must be v1 in a kubeconfig" },
	{ "kind: []\n" CLUSTERS USERS CONTEXTS CURRENT, NULL, "kind: must be a string" },

	{ CLUSTERS USERS CONTEXTS, NULL,
	  "current-context: is missing, and no context was asked for" },
	{ CLUSTERS USERS CONTEXTS "current-context: 1\n", NULL,
	  "current-context: must be a string" },
	{ CLUSTERS USERS CONTEXTS CURRENT, "y", "contexts: there is no context \"y\"" },
	{ CLUSTERS USERS CONTEXTS CURRENT, "", "contexts: there is no context \"\"" },
	{ CLUSTERS USERS CURRENT, NULL, "contexts: there is no context \"x\"" },
	{ CLUSTERS USERS "contexts: null\n" CURRENT, NULL, "contexts: there is no context \"x\"" },
	{ CLUSTERS USERS "contexts: {}\n" CURRENT, NULL, "contexts: must be a list" },
	{ CLUSTERS USERS "contexts: [x]\n" CURRENT, NULL, "contexts[0]: must be an object" },
	{ CLUSTERS USERS "contexts: [{name: 1}]\n" CURRENT, NULL,
	  "contexts[0].name: must be a string" },
	{ CLUSTERS USERS "contexts: [{name: \"x\\0\"}]\n" CURRENT, NULL,
	  "contexts: there is no context \"x\"" },
	{ CLUSTERS USERS "contexts: [{name: x, context: 1}]\n" CURRENT, NULL,
	  "contexts[0].context of context \"x\": must be an object" },
	{ CLUSTERS USERS "contexts: [{name: x}]\n" CURRENT, NULL,
	  "contexts[0].context.cluster of context \"x\": is missing" },
	{ CLUSTERS USERS "contexts: [{name: x, context: {cluster: c}}]\n" CURRENT, NULL,
	  "contexts[0].context.user of context \"x\": is missing" },
	{ CLUSTERS USERS "contexts: [{name: x, context: {cluster: d, user: u}}]\n" CURRENT, NULL,
	  "contexts[0].context.cluster of context \"x\": there is no cluster \"d\"" },
	{ CLUSTERS USERS "contexts: [{name: x, context: {cluster: c, user: v}}]\n" CURRENT, NULL,
	  "contexts[0].context.user of context \"x\": there is no user \"v\"" },
	{ CLUSTERS USERS "contexts: [{name: x, context: {cluster: [c], user: v}}]\n" CURRENT, NULL,
	  "contexts[0].context.cluster of context \"x\": must be a string" },
	{ CLUSTERS "users: 1\n" CONTEXTS CURRENT, NULL, "users: must be a list" },
	{ CLUSTERS "users: [null]\n" CONTEXTS CURRENT, NULL, "users[0]: must be an object" },
	{ CLUSTERS "users: [{name: v}, {name: u, user: t}]\n" CONTEXTS CURRENT, NULL,
	  "users[1].user of user \"u\": must be an object" },
	{ CLUSTERS "users: [{name: u}, {name: v}, {name: u}]\n" CONTEXTS CURRENT, NULL,
	  "users[2].name: user \"u\" is there twice" },
	{ CLUSTERS USERS "contexts: [{name: \"a\\n\"}]\ncurrent-context: \"\\x1b[2J\"\n", NULL,
	  "contexts: there is no context \"\\x1b[2J\"" },
};

START_TEST(a_kubeconfig_is_whole_or_what_is_missing_is_named)
{
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	struct sv_err err = { "" };
	int r = parse(wholes[_i].text, wholes[_i].context, &k, &err);

	ck_assert_str_eq(err.msg, wholes[_i].says ? wholes[_i].says : "");
	ck_assert_int_eq(r, wholes[_i].says ? SV_KUBECONFIG_E_INVALID : 0);
	ck_assert(!k.server == (r != 0));
}
END_TEST

/* ---- in a cluster -------------------------------------------------------------------------- */

static const struct {
	const char *host, *port;
	const char *server; /* NULL: refused */
} clusters[] = {
	{ "10.96.0.1", "443", "https://10.96.0.1:443" },
	{ "kubernetes.default", "6443", "https://kubernetes.default:6443" },
	{ "fd00::1", "443", "https://[fd00::1]:443" },
	{ "[fd00::1]", "443", "https://[fd00::1]:443" },
	{ "", "443", NULL },
	{ "h", "", NULL },
	{ "h", "x", NULL },
	{ "h", "0", NULL },
	{ "h", "443/a", NULL },
	{ "h/a", "443", NULL },
	{ "u@h", "443", NULL },
	{ "h:1", "443", NULL },
	{ "fd00::g", "443", NULL },
	{ "h\r\nX: y", "443", NULL },
};

START_TEST(a_service_account_is_like_a_kubeconfig)
{
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	sv_autofree char *got = NULL, *want = NULL;
	int r = sv_kubeconfig_in_cluster(clusters[_i].host, clusters[_i].port, &k, NULL);

	if (!clusters[_i].server) {
		ck_assert_int_eq(r, SV_KUBECONFIG_E_INVALID);
		ck_assert_ptr_null(k.server);
		return;
	}
	ck_assert_int_eq(r, 0);
	got = show(&k);
	want = sv_asprintf("%s ca=ca.crt token=token", clusters[_i].server);
	ck_assert_str_eq(got, want);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

START_TEST(a_kubeconfig_has_a_size_limit)
{
	static const char text[] = CLUSTERS USERS CONTEXTS CURRENT "#";
	sv_autofree char *fill = t_repeat('x', SV_KUBECONFIG_MAX - strlen(text));
	sv_autofree char *fits = sv_asprintf("%s%s", text, fill);
	sv_autofree char *exceeds = sv_asprintf("%sx", fits);
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	struct sv_err err = { "" };

	ck_assert_int_eq(parse(exceeds, NULL, &k, &err), SV_KUBECONFIG_E_INVALID);
	ck_assert_str_eq(err.msg, "1048577 bytes are over the limit of 1048576 for a kubeconfig");
	ck_assert_int_eq(parse(fits, NULL, &k, &err), 0);
}
END_TEST

START_TEST(a_token_has_a_size_limit)
{
	sv_autofree char *token = t_repeat('x', SV_TOKEN_MAX + 1);

	ck_assert(sv_token_is_valid(token, SV_TOKEN_MAX));
	ck_assert(!sv_token_is_valid(token, SV_TOKEN_MAX + 1));
	ck_assert(!sv_token_is_valid(token, 0));
}
END_TEST

T_SUITE(kubeconfig)
{
	T_EACH(a_context_gives_the_server_and_the_credentials, accepted);
	T_TEST(another_context_can_be_asked_for);
	T_EACH(a_field_at_fault_is_named_and_its_value_is_not, refused);
	T_EACH(a_kubeconfig_is_whole_or_what_is_missing_is_named, wholes);
	T_EACH(a_service_account_is_like_a_kubeconfig, clusters);
	T_TEST(a_kubeconfig_has_a_size_limit);
	T_TEST(a_token_has_a_size_limit);
}
