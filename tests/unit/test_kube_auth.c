/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../daemon/source/kube_auth.h"
#include "../../lib/node/fsutil.h"
#include "../support/support.h"

/* ---- a directory with files ---------------------------------------------------------------- */

static char dir[64];
static int dirfd_ = -1;

static void enter(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/sv-test-kube-auth-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void leave(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(sv_empty_dir(dirfd_, false), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	close(dirfd_);
}

/* A new file takes the place of the old one, as careful programs do it. */
static void replace(const char *name, const char *text)
{
	t_write(dirfd_, "new", text);
	ck_assert_int_eq(renameat(dirfd_, "new", dirfd_, name), 0);
}

static void replace_link(const char *name, const char *target)
{
	ck_assert_int_eq(symlinkat(target, dirfd_, "new"), 0);
	ck_assert_int_eq(renameat(dirfd_, "new", dirfd_, name), 0);
}

static char *path_of(const char *name)
{
	return sv_asprintf("%s/%s", dir, name);
}

/* ---- certificates -------------------------------------------------------------------------- */

#define DAY_S 86400L

struct pair {
	char *cert, *key; /* PEM */
	int64_t end_ms;
};

static char *text_of(BIO *bio)
{
	char *ptr, *copy;
	long len = BIO_get_mem_data(bio, &ptr);

	copy = strndup(ptr, (size_t)len);
	BIO_free(bio);
	ck_assert_ptr_nonnull(copy);
	return copy;
}

static EVP_PKEY *key_of(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	ck_assert_ptr_nonnull(key);
	return key;
}

/* @password: NULL for a plain key. @traditional: "EC PRIVATE KEY", as a kubelet writes it. */
static char *write_key(EVP_PKEY *key, const char *password, bool traditional)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (traditional)
		ck_assert_int_eq(
			PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL),
			1);
	else
		ck_assert_int_eq(
			PEM_write_bio_PrivateKey(bio, key, password ? EVP_aes_128_cbc() : NULL,
						 (const unsigned char *)password,
						 password ? (int)strlen(password) : 0, NULL, NULL),
			1);
	return text_of(bio);
}

/* Self-signed, until @seconds from now. @cn: NULL for none. */
static char *make_cert(EVP_PKEY *key, long seconds, const char *cn)
{
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *cert = X509_new();

	ck_assert(cert && bio);
	X509_gmtime_adj(X509_getm_notBefore(cert), -2 * DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(cert), seconds);
	X509_set_pubkey(cert, key);
	if (cn)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
					   (const unsigned char *)cn, -1, -1, 0);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_bio_X509(bio, cert), 1);
	X509_free(cert);
	return text_of(bio);
}

static struct pair make_pair_of(const char *cn, long seconds)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct pair p;

	ck_assert_ptr_nonnull(key);
	p.end_ms = ((int64_t)time(NULL) + seconds) * 1000;
	p.cert = make_cert(key, seconds, cn);
	p.key = write_key(key, NULL, true);
	EVP_PKEY_free(key);
	return p;
}

static struct pair make_pair(long seconds)
{
	return make_pair_of(NULL, seconds);
}

static void pair_done(struct pair *p)
{
	free(p->cert);
	free(p->key);
}
#define autopair __attribute__((cleanup(pair_done)))

/* ---- credentials --------------------------------------------------------------------------- */

static void auth_done(struct sv_kube_auth **a)
{
	sv_kube_auth_free(*a);
}
#define autoauth __attribute__((cleanup(auth_done)))

/* A kubeconfig, in the directory, of a cluster and a user with these fields. */
static void write_config(const char *cluster, const char *user)
{
	sv_autofree char *text =
		sv_asprintf("clusters: [{name: c, cluster: {%s}}]\n"
			    "users: [{name: u, user: {%s}}]\n"
			    "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
			    "current-context: x\n",
			    cluster, user);

	replace("kubeconfig", text);
}

static int open_auth(bool allow_insecure, struct sv_kube_auth **ret, struct sv_err *err)
{
	sv_autofree char *path = path_of("kubeconfig");

	return sv_kube_auth_new(
		&(struct sv_kube_auth_opts){ .kubeconfig = path, .allow_insecure = allow_insecure },
		ret, err);
}

static struct sv_kube_auth *must_open(void)
{
	struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };
	int r = open_auth(false, &a, &err);

	ck_assert_msg(r == 0, "%d: %s", r, err.msg);
	return a;
}

#define SERVER "server: 'https://h:6443'"

static void refreshes_to(struct sv_kube_auth *a, int want)
{
	struct sv_err err = { "" };
	int r = sv_kube_auth_refresh(a, false, &err);

	ck_assert_msg(r == want, "%d: %s", r, err.msg);
	ck_assert((want > SV_KUBE_AUTH_E_CHANGED) == (*err.msg != '\0'));
}

static void holds(const struct sv_bytes *b, const char *text)
{
	ck_assert_uint_eq(b->len, strlen(text));
	ck_assert_mem_eq(b->ptr, text, b->len);
}

/* ---- what is read -------------------------------------------------------------------------- */

START_TEST(a_kubeconfig_gives_what_a_request_needs)
{
	autopair struct pair ca = make_pair(9 * DAY_S), client = make_pair(DAY_S);
	const struct sv_kube_access *access;
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "ca.pem", ca.cert);
	t_write(dirfd_, "cert.pem", client.cert);
	t_write(dirfd_, "key.pem", client.key);
	t_write(dirfd_, "token", "abc.def\n");
	write_config(SERVER ", tls-server-name: name, proxy-url: 'http://p:1', "
			    "certificate-authority: ca.pem",
		     "client-certificate: ./cert.pem, client-key: key.pem, tokenFile: token");
	a = must_open();
	access = sv_kube_auth_access(a);
	ck_assert_str_eq(access->server, "https://h:6443");
	ck_assert_str_eq(access->tls_server_name, "name");
	ck_assert_str_eq(access->proxy_url, "http://p:1");
	ck_assert(!access->insecure);
	holds(&access->ca, ca.cert);
	holds(&access->cert, client.cert);
	holds(&access->key, client.key);
	ck_assert_str_eq(access->authorization, "Authorization: Bearer abc.def");
	ck_assert_uint_eq(access->generation, 1);
	ck_assert_int_le(llabs(access->expires_ms - client.end_ms), 5000); /* made within seconds */
	refreshes_to(a, 0);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 1);
}
END_TEST

START_TEST(a_kubeconfig_can_hold_everything_itself)
{
	autopair struct pair ca = make_pair(DAY_S), client = make_pair(DAY_S);
	sv_autofree char *ca64 = sv_base64_encode(ca.cert, strlen(ca.cert));
	sv_autofree char *cert64 = sv_base64_encode(client.cert, strlen(client.cert));
	sv_autofree char *key64 = sv_base64_encode(client.key, strlen(client.key));
	sv_autofree char *cluster = sv_asprintf(SERVER ", certificate-authority-data: %s", ca64);
	sv_autofree char *user = sv_asprintf("client-certificate-data: %s, client-key-data: %s, "
					     "token: abc",
					     cert64, key64);
	const struct sv_kube_access *access;
	autoauth struct sv_kube_auth *a = NULL;

	write_config(cluster, user);
	a = must_open();
	access = sv_kube_auth_access(a);
	holds(&access->ca, ca.cert);
	holds(&access->cert, client.cert);
	holds(&access->key, client.key);
	ck_assert_str_eq(access->authorization, "Authorization: Bearer abc");
}
END_TEST

START_TEST(a_user_may_have_nothing)
{
	autoauth struct sv_kube_auth *a = NULL;
	const struct sv_kube_access *access;

	write_config(SERVER, "");
	a = must_open();
	access = sv_kube_auth_access(a);
	ck_assert(!access->ca.ptr && !access->cert.ptr && !access->key.ptr);
	ck_assert_ptr_null(access->authorization);
	ck_assert_ptr_null(access->tls_server_name);
	ck_assert_ptr_null(access->proxy_url);
	ck_assert_int_eq(access->expires_ms, 0);
}
END_TEST

START_TEST(an_absolute_path_is_taken_as_it_is)
{
	sv_autofree char *user = sv_asprintf("tokenFile: %s/sub/token", dir);
	autoauth struct sv_kube_auth *a = NULL;

	ck_assert_int_eq(mkdirat(dirfd_, "sub", 0700), 0);
	t_write(dirfd_, "sub/token", "t");
	write_config(SERVER, user);
	a = must_open();
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer t");
}
END_TEST

START_TEST(a_kubeconfig_without_a_directory_is_in_the_working_directory)
{
	struct sv_kube_auth_opts opts = { .kubeconfig = "kubeconfig", .context = "x" };
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "token", "t");
	write_config(SERVER, "tokenFile: token");
	ck_assert_int_eq(fchdir(dirfd_), 0);
	ck_assert_int_eq(sv_kube_auth_new(&opts, &a, NULL), 0);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer t");
}
END_TEST

START_TEST(a_certificate_that_has_ended_says_when)
{
	autopair struct pair client = make_pair(-DAY_S);
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "cert.pem", client.cert);
	t_write(dirfd_, "key.pem", client.key);
	write_config(SERVER, "client-certificate: cert.pem, client-key: key.pem");
	a = must_open();
	ck_assert_int_le(llabs(sv_kube_auth_access(a)->expires_ms - client.end_ms), 5000);
}
END_TEST

static const struct {
	const char *cn, *node;
} subjects[] = {
	{ NULL, "" },
	{ "kubernetes-admin", "" },
	{ "system:node:node-a", "node-a" },
	{ "system:node:ip-10-0-0-1.eu-west-1.compute.internal",
	  "ip-10-0-0-1.eu-west-1.compute.internal" },
	{ "system:node:", "" },
	{ "system:node:Node_A", "" },
	{ "system:node:n\303\266de", "" },
	{ "system:nodes", "" },
};

START_TEST(a_certificate_says_which_node_it_is_of)
{
	autopair struct pair p = make_pair_of(subjects[_i].cn, DAY_S);
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "cert.pem", p.cert);
	t_write(dirfd_, "key.pem", p.key);
	write_config(SERVER, "client-certificate: cert.pem, client-key: key.pem");
	a = must_open();
	ck_assert_str_eq(sv_kube_auth_access(a)->node, subjects[_i].node);
}
END_TEST

START_TEST(a_token_says_nothing_of_a_node)
{
	autoauth struct sv_kube_auth *a = NULL;

	write_config(SERVER, "token: t");
	a = must_open();
	ck_assert_str_eq(sv_kube_auth_access(a)->node, "");
}
END_TEST

/* ---- PEM ----------------------------------------------------------------------------------- */

#define PARAMETERS "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

/* %1: certificate, %2: key, %3: another certificate, %4: another key, %5: encrypted key. */
static const struct {
	const char *cert, *key;
	int want;
	const char *says; /* behind the name of the file; NULL: in order */
} pems[] = {
	{ "%1", "%2", 0, NULL },
	{ "%1%2", "%1%2", 0, NULL },
	{ "%2%1", "%2%1", 0, NULL },
	{ "text\n%1\n# text\n", "text\n" PARAMETERS "%2\ntext", 0, NULL },
	{ "%1%3", "%3" PARAMETERS "%2", 0, NULL }, /* the first is the client's, others its chain */
	{ "%3%1", "%2", SV_KUBE_AUTH_E_MISMATCH,
	  "the key in client-key 'key.pem' is not that of the certificate in client-certificate "
	  "'cert.pem'" },
	{ "%1", "%4", SV_KUBE_AUTH_E_MISMATCH,
	  "the key in client-key 'key.pem' is not that of the certificate in client-certificate "
	  "'cert.pem'" },
	{ "", "%2", SV_KUBE_AUTH_E_FILE,
	  "client-certificate 'cert.pem' holds no certificate in PEM" },
	{ "%2", "%2", SV_KUBE_AUTH_E_FILE,
	  "client-certificate 'cert.pem' holds no certificate in PEM" },
	{ "%<", "%2", SV_KUBE_AUTH_E_FILE,
	  "client-certificate 'cert.pem' holds a certificate that cannot be read" },
	{ "%1%<", "%2", SV_KUBE_AUTH_E_FILE,
	  "client-certificate 'cert.pem' holds a certificate that cannot be read" },
	{ "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "%2",
	  SV_KUBE_AUTH_E_FILE,
	  "client-certificate 'cert.pem' holds a certificate that cannot be read" },
	{ "%1", "", SV_KUBE_AUTH_E_FILE, "client-key 'key.pem' holds no private key in PEM" },
	{ "%1", "%1", SV_KUBE_AUTH_E_FILE, "client-key 'key.pem' holds no private key in PEM" },
	{ "%1", "%>", SV_KUBE_AUTH_E_FILE, "client-key 'key.pem' holds no private key in PEM" },
	{ "%1", "%5", SV_KUBE_AUTH_E_FILE,
	  "client-key 'key.pem' holds an encrypted key, and there is no password for it" },
};

/* A template with texts for its %N; "%<" and "%>" are half of a certificate and of a key. */
static char *fill(const char *template, const char *const texts[5])
{
	sv_autobuf struct sv_buf b = { 0 };

	sv_buf_puts(&b, "");
	for (; *template; template ++)
		if (*template != '%')
			sv_buf_add(&b, template, 1);
		else if (*++template == '<')
			sv_buf_add(&b, texts[0], strlen(texts[0]) / 2);
		else if (*template == '>')
			sv_buf_add(&b, texts[1], strlen(texts[1]) / 2);
		else
			sv_buf_puts(&b, texts[*template - '1']);
	return sv_buf_take(&b);
}

/* The text with our directory's path taken out. */
static char *without_dir(const char *text)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_autofree char *prefix = sv_asprintf("%s/", dir);
	const char *at;

	while ((at = strstr(text, prefix))) {
		sv_buf_add(&b, text, (size_t)(at - text));
		text = at + strlen(prefix);
	}
	sv_buf_puts(&b, text);
	return sv_buf_take(&b);
}

START_TEST(certificate_and_key_belong_together_whatever_else_is_in_their_files)
{
	autopair struct pair one = make_pair(DAY_S), other = make_pair(2 * DAY_S);
	EVP_PKEY *key = key_of(one.key);
	sv_autofree char *encrypted = write_key(key, "password", false);
	const char *const texts[] = { one.cert, one.key, other.cert, other.key, encrypted };
	sv_autofree char *cert_text = fill(pems[_i].cert, texts);
	sv_autofree char *key_text = fill(pems[_i].key, texts), *says = NULL;
	autoauth struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };

	EVP_PKEY_free(key);
	t_write(dirfd_, "cert.pem", cert_text);
	t_write(dirfd_, "key.pem", key_text);
	write_config(SERVER, "client-certificate: cert.pem, client-key: key.pem");
	ck_assert_int_eq(open_auth(false, &a, &err), pems[_i].want);
	ck_assert_ptr_eq(a ? "" : NULL, pems[_i].want ? NULL : "");
	says = without_dir(err.msg);
	ck_assert_str_eq(says, pems[_i].says ? pems[_i].says : "");
	if (a)
		ck_assert_int_le(llabs(sv_kube_auth_access(a)->expires_ms - one.end_ms), 5000);
}
END_TEST

START_TEST(a_ca_is_made_of_certificates)
{
	autopair struct pair ca = make_pair(DAY_S), other = make_pair(DAY_S);
	sv_autofree char *both = sv_asprintf("# CA\n%s\n# the old one\n%s", ca.cert, other.cert);
	sv_autofree char *cut = strndup(both, strlen(both) - 30), *says = NULL;
	struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };

	write_config(SERVER ", certificate-authority: ca.pem", "");
	t_write(dirfd_, "ca.pem", ca.key);
	ck_assert_int_eq(open_auth(false, &a, &err), SV_KUBE_AUTH_E_FILE);
	says = without_dir(err.msg);
	ck_assert_str_eq(says, "certificate-authority 'ca.pem' holds no certificate in PEM");
	replace("ca.pem", cut);
	ck_assert_int_eq(open_auth(false, &a, NULL), SV_KUBE_AUTH_E_FILE);
	ck_assert_ptr_null(a);
	replace("ca.pem", both);
	a = must_open();
	holds(&sv_kube_auth_access(a)->ca, both);
	sv_kube_auth_free(a);
}
END_TEST

/* ---- tokens -------------------------------------------------------------------------------- */

#define SECRET "S3CRET"

static const struct {
	const char *text;
	const char *token; /* NULL: refused */
	const char *says;
} tokens[] = {
	{ "a.b-c_d~+/=", "a.b-c_d~+/=", NULL },
	{ "abc\n", "abc", NULL },
	{ " \t\r\n\v\fabc \r\n\n", "abc", NULL },
	{ "", NULL, "tokenFile 'token' is empty" },
	{ " \n", NULL, "tokenFile 'token' is empty" },
#define NO_TOKEN "tokenFile 'token' is not one line of visible ASCII of at most 65536 bytes"
	{ SECRET "\r\nX-Remote-User: root", NULL, NO_TOKEN },
	{ SECRET "\n" SECRET, NULL, NO_TOKEN },
	{ SECRET " " SECRET, NULL, NO_TOKEN },
	{ SECRET "\x01", NULL, NO_TOKEN },
	{ SECRET "\x7f", NULL, NO_TOKEN },
	{ SECRET "\xc3\xa9", NULL, NO_TOKEN },
};

START_TEST(a_token_is_trimmed_and_fit_for_a_header)
{
	autoauth struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };
	sv_autofree char *want = NULL, *says = NULL;
	int r;

	t_write(dirfd_, "token", tokens[_i].text);
	write_config(SERVER, "tokenFile: token");
	r = open_auth(false, &a, &err);
	if (!tokens[_i].token) {
		ck_assert_int_eq(r, SV_KUBE_AUTH_E_FILE);
		ck_assert_ptr_null(a);
		says = without_dir(err.msg);
		ck_assert_str_eq(says, tokens[_i].says);
		return;
	}
	ck_assert_int_eq(r, 0);
	want = sv_asprintf("Authorization: Bearer %s", tokens[_i].token);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, want);
}
END_TEST

START_TEST(a_token_with_a_nul_or_of_too_many_bytes_is_refused)
{
	sv_autofree char *fits = t_repeat('x', 65536), *exceeds = t_repeat('x', 65537);
	struct sv_kube_auth *a = NULL;
	int fd;

	write_config(SERVER, "tokenFile: token");
	t_write(dirfd_, "token", exceeds);
	ck_assert_int_eq(open_auth(false, &a, NULL), SV_KUBE_AUTH_E_FILE);
	fd = openat(dirfd_, "token", O_WRONLY | O_TRUNC | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "ab\0c", 4), 4);
	close(fd);
	ck_assert_int_eq(open_auth(false, &a, NULL), SV_KUBE_AUTH_E_FILE);
	ck_assert_ptr_null(a);
	t_write(dirfd_, "token", fits);
	a = must_open();
	sv_kube_auth_free(a);
}
END_TEST

/* ---- files --------------------------------------------------------------------------------- */

static void make_fifo(const char *name)
{
	ck_assert_int_eq(mkfifoat(dirfd_, name, 0600), 0);
}

static void make_dir(const char *name)
{
	ck_assert_int_eq(mkdirat(dirfd_, name, 0700), 0);
}

static void make_loop(const char *name)
{
	ck_assert_int_eq(symlinkat(name, dirfd_, name), 0);
}

static void make_device(const char *name)
{
	ck_assert_int_eq(symlinkat("/dev/zero", dirfd_, name), 0);
}

static void make_large(const char *name)
{
	sv_autofree char *text = t_repeat('\n', SV_KUBE_AUTH_FILE_MAX + 1);

	t_write(dirfd_, name, text);
}

static void make_none(const char *name)
{
	(void)name;
}

static void make_dangling(const char *name)
{
	ck_assert_int_eq(symlinkat("none", dirfd_, name), 0);
}

static const struct {
	void (*make)(const char *name);
	int want;
	const char *says; /* around the file's name */
} files[] = {
	{ make_fifo, SV_KUBE_AUTH_E_FILE, "%s is not a plain file" },
	{ make_dir, SV_KUBE_AUTH_E_FILE, "%s is not a plain file" },
	{ make_device, SV_KUBE_AUTH_E_FILE, "%s is not a plain file" },
	{ make_loop, SV_KUBE_AUTH_E_FILE, "cannot open %s: Too many levels of symbolic links" },
	{ make_large, SV_KUBE_AUTH_E_FILE, "%s is over the limit of 1048576 bytes" },
	{ make_none, SV_KUBE_AUTH_E_MISSING, "cannot open %s: No such file or directory" },
	{ make_dangling, SV_KUBE_AUTH_E_MISSING, "cannot open %s: No such file or directory" },
};

static void is_refused(const char *what, int want, const char *template)
{
	struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };
	const char *at = strstr(template, "%s");
	sv_autofree char *says =
		sv_asprintf("%.*s%s%s", (int)(at - template), template, what, at + 2);
	sv_autofree char *got = NULL;

	ck_assert_int_eq(open_auth(false, &a, &err), want);
	ck_assert_ptr_null(a);
	got = without_dir(err.msg);
	ck_assert_str_eq(got, says);
}

START_TEST(a_file_must_be_a_plain_file_of_reasonable_size)
{
	files[_i].make("kubeconfig");
	is_refused("kubeconfig 'kubeconfig'", files[_i].want, files[_i].says);
	(void)unlinkat(dirfd_, "kubeconfig", 0);
	(void)unlinkat(dirfd_, "kubeconfig", AT_REMOVEDIR);

	write_config(SERVER ", certificate-authority: file", "");
	files[_i].make("file");
	is_refused("certificate-authority 'file'", files[_i].want, files[_i].says);
	write_config(SERVER, "tokenFile: file");
	is_refused("tokenFile 'file'", files[_i].want, files[_i].says);
	write_config(SERVER, "client-certificate: file, client-key: file");
	is_refused("client-certificate 'file'", files[_i].want, files[_i].says);
}
END_TEST

/* ---- in a cluster -------------------------------------------------------------------------- */

static int open_in_cluster(struct sv_kube_auth **ret, struct sv_err *err)
{
	return sv_kube_auth_new(&(struct sv_kube_auth_opts){ .service_account_dir = dir }, ret,
				err);
}

static void set_environment(const char *host, const char *port)
{
	if (host)
		setenv("KUBERNETES_SERVICE_HOST", host, 1);
	else
		unsetenv("KUBERNETES_SERVICE_HOST");
	if (port)
		setenv("KUBERNETES_SERVICE_PORT", port, 1);
	else
		unsetenv("KUBERNETES_SERVICE_PORT");
}

/* As the kubelet lays out the volume: token -> ..data/token, ..data -> ..1. */
static void lay_out_account(const char *gen, const char *ca, const char *token)
{
	sv_autofree char *ca_path = sv_asprintf("%s/ca.crt", gen);
	sv_autofree char *token_path = sv_asprintf("%s/token", gen);

	make_dir(gen);
	if (ca)
		t_write(dirfd_, ca_path, ca);
	if (token)
		t_write(dirfd_, token_path, token);
	replace_link("..data", gen);
}

START_TEST(a_service_account_is_followed_through_its_links)
{
	autopair struct pair ca = make_pair(DAY_S), next = make_pair(DAY_S);
	autoauth struct sv_kube_auth *a = NULL;
	const struct sv_kube_access *access;

	set_environment("fd00::1", "443");
	lay_out_account("..1", ca.cert, "one");
	replace_link("ca.crt", "..data/ca.crt");
	replace_link("token", "..data/token");
	ck_assert_int_eq(open_in_cluster(&a, NULL), 0);
	access = sv_kube_auth_access(a);
	ck_assert_str_eq(access->server, "https://[fd00::1]:443");
	holds(&access->ca, ca.cert);
	ck_assert_str_eq(access->authorization, "Authorization: Bearer one");

	lay_out_account("..2", next.cert, "two");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	holds(&sv_kube_auth_access(a)->ca, next.cert);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer two");
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 2);

	lay_out_account("..3", next.cert, "two"); /* new files, nothing new in them */
	refreshes_to(a, 0);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 2);
}
END_TEST

static const struct {
	const char *host, *port;
	bool ca, token;
	int want;
	const char *says;
} accounts[] = {
	{ NULL, "443", true, true, SV_KUBE_AUTH_E_MISSING,
	  "KUBERNETES_SERVICE_HOST is not set: this is no container of a Pod" },
	{ "", "443", true, true, SV_KUBE_AUTH_E_MISSING,
	  "KUBERNETES_SERVICE_HOST is not set: this is no container of a Pod" },
	{ "h", NULL, true, true, SV_KUBE_AUTH_E_MISSING,
	  "KUBERNETES_SERVICE_PORT is not set: this is no container of a Pod" },
	{ "h", "x", true, true, SV_KUBE_AUTH_E_CONFIG,
	  "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no host and no port between 1 "
	  "and 65535" },
	{ "h", "1", false, true, SV_KUBE_AUTH_E_MISSING,
	  "cannot open certificate-authority 'ca.crt': No such file or directory" },
	{ "h", "1", true, false, SV_KUBE_AUTH_E_MISSING,
	  "cannot open token 'token': No such file or directory" },
};

START_TEST(what_a_service_account_lacks_is_named)
{
	autopair struct pair ca = make_pair(DAY_S);
	struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };
	sv_autofree char *says = NULL;

	set_environment(accounts[_i].host, accounts[_i].port);
	if (accounts[_i].ca)
		t_write(dirfd_, "ca.crt", ca.cert);
	if (accounts[_i].token)
		t_write(dirfd_, "token", "t");
	ck_assert_int_eq(open_in_cluster(&a, &err), accounts[_i].want);
	ck_assert_ptr_null(a);
	says = without_dir(err.msg);
	ck_assert_str_eq(says, accounts[_i].says);
}
END_TEST

/* ---- what is not safe ---------------------------------------------------------------------- */

static const struct {
	const char *cluster;
	const char *says;
} unsafe[] = {
	{ "server: 'http://h'", "server of cluster \"c\" is plain http, which anybody on the way "
				"can read and change: use https, or --allow-insecure-kubeconfig" },
	{ "server: 'HTTP://h'", "server of cluster \"c\" is plain http, which anybody on the way "
				"can read and change: use https, or --allow-insecure-kubeconfig" },
	{ "server: 'https://h', insecure-skip-tls-verify: true",
	  "insecure-skip-tls-verify of cluster \"c\" lets anybody pass for the server: give a "
	  "certificate-authority, or --allow-insecure-kubeconfig" },
};

START_TEST(what_is_not_safe_wants_the_flag)
{
	autoauth struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };

	write_config(unsafe[_i].cluster, "token: t");
	ck_assert_int_eq(open_auth(false, &a, &err), SV_KUBE_AUTH_E_INSECURE);
	ck_assert_str_eq(err.msg, unsafe[_i].says);
	ck_assert_int_eq(open_auth(true, &a, NULL), 0);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer t");
	ck_assert(sv_kube_auth_access(a)->insecure == !!strstr(unsafe[_i].cluster, "insecure"));
}
END_TEST

/* ---- changes ------------------------------------------------------------------------------- */

/* How often was a file (NULL: any) of the directory opened since the last call? */
static unsigned count_opened(int inotify, const char *name)
{
	_Alignas(struct inotify_event) char events[4096];
	unsigned n = 0;
	ssize_t len;

	while ((len = read(inotify, events, sizeof(events))) > 0) {
		const char *at = events;

		while (at < events + len) {
			const struct inotify_event *e = (const void *)at;

			n += (e->mask & IN_OPEN) && e->len > 0 &&
			     (!name || strcmp(e->name, name) == 0);
			at += sizeof(*e) + e->len;
		}
	}
	return n;
}

static bool was_opened(int inotify)
{
	return count_opened(inotify, NULL) > 0;
}

/* Closing is watched so that one opening after another is not reported as one. */
static int watch_opening(void)
{
	int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	ck_assert_int_ge(inotify, 0);
	ck_assert_int_ge(inotify_add_watch(inotify, dir, IN_OPEN | IN_CLOSE), 0);
	return inotify;
}

/* Certificate and key in one file behind a link, as the kubelet has its own. */
static void write_kubelet_pair(const char *name, const struct pair *p)
{
	sv_autofree char *text = sv_asprintf("%s%s", p->cert, p->key);

	t_write(dirfd_, name, text);
	replace_link("kubelet-client-current.pem", name);
}

START_TEST(a_kubelets_certificate_is_followed_when_it_is_swapped)
{
	autopair struct pair first = make_pair(DAY_S), second = make_pair(3 * DAY_S);
	sv_autoclose int inotify = watch_opening();
	autoauth struct sv_kube_auth *a = NULL;

	write_kubelet_pair("kubelet-client-1.pem", &first);
	write_config(SERVER, "client-certificate: kubelet-client-current.pem, "
			     "client-key: kubelet-client-current.pem");
	a = must_open();
	refreshes_to(a, 0);
	write_kubelet_pair("kubelet-client-2.pem", &second);
	(void)was_opened(inotify);
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	/* once, or the key could be of another moment than the certificate */
	ck_assert_uint_eq(count_opened(inotify, "kubelet-client-2.pem"), 1);
	t_contains((const char *)sv_kube_auth_access(a)->cert.ptr, second.cert);
	t_contains((const char *)sv_kube_auth_access(a)->key.ptr, second.key);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 2);
	ck_assert_int_le(llabs(sv_kube_auth_access(a)->expires_ms - second.end_ms), 5000);
	refreshes_to(a, 0);
}
END_TEST

START_TEST(a_pair_that_is_swapped_one_by_one_is_used_when_it_is_whole)
{
	autopair struct pair first = make_pair(DAY_S), second = make_pair(3 * DAY_S);
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "cert.pem", first.cert);
	t_write(dirfd_, "key.pem", first.key);
	write_config(SERVER, "client-certificate: cert.pem, client-key: key.pem");
	a = must_open();
	replace("cert.pem", second.cert);
	refreshes_to(a, SV_KUBE_AUTH_E_MISMATCH);
	refreshes_to(a, SV_KUBE_AUTH_E_MISMATCH);
	holds(&sv_kube_auth_access(a)->cert, first.cert);
	holds(&sv_kube_auth_access(a)->key, first.key);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 1);
	ck_assert_int_le(llabs(sv_kube_auth_access(a)->expires_ms - first.end_ms), 5000);
	replace("key.pem", second.key);
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	holds(&sv_kube_auth_access(a)->cert, second.cert);
	holds(&sv_kube_auth_access(a)->key, second.key);
	refreshes_to(a, 0);
}
END_TEST

/* Written in place, byte by byte as it were: at no point is anything but one or the other used. */
START_TEST(a_pair_that_is_being_written_is_used_when_it_is_whole)
{
	autopair struct pair first = make_pair(DAY_S), second = make_pair(3 * DAY_S);
	sv_autofree char *text = sv_asprintf("%s%s", second.cert, second.key);
	sv_autofree char *old = sv_asprintf("%s%s", first.cert, first.key);
	autoauth struct sv_kube_auth *a = NULL;
	size_t len = strlen(text), n;
	int r = 0;

	t_write(dirfd_, "pair.pem", old);
	write_config(SERVER, "client-certificate: pair.pem, client-key: pair.pem");
	a = must_open();
	for (n = 0; n < len; n += 7) {
		sv_autofree char *part = strndup(text, n);

		t_write(dirfd_, "pair.pem", part);
		r = sv_kube_auth_refresh(a, false, NULL);
		if (r == SV_KUBE_AUTH_E_CHANGED)
			break; /* only the newline is left to be written */
		ck_assert_int_eq(r, SV_KUBE_AUTH_E_FILE);
		holds(&sv_kube_auth_access(a)->cert, old);
	}
	ck_assert_uint_ge(n, len - 7);
	t_write(dirfd_, "pair.pem", text);
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	holds(&sv_kube_auth_access(a)->key, text);
}
END_TEST

/* New files are read again until they are old enough; from here on only a change is a reason. */
static void settle(struct sv_kube_auth *a)
{
	sv_autoclose int inotify = watch_opening();
	unsigned tries = 0;

	do {
		ck_assert_uint_lt(tries++, 1000);
		usleep(10000);
		(void)was_opened(inotify);
		(void)sv_kube_auth_refresh(a, false, NULL);
	} while (was_opened(inotify));
}

static void unlink_file(const char *name)
{
	ck_assert_int_eq(unlinkat(dirfd_, name, 0), 0);
}

static void write_two(const char *name)
{
	t_write(dirfd_, name, "two");
}

static void replace_by_two(const char *name)
{
	replace(name, "two");
}

static void link_to_two(const char *name)
{
	t_write(dirfd_, "other", "two");
	replace_link(name, "other");
}

static const struct {
	bool exists; /* before */
	void (*change)(const char *name);
	int want;
} changes[] = {
	{ true, unlink_file, SV_KUBE_AUTH_E_MISSING },
	{ true, write_two, SV_KUBE_AUTH_E_CHANGED },
	{ true, replace_by_two, SV_KUBE_AUTH_E_CHANGED },
	{ true, link_to_two, SV_KUBE_AUTH_E_CHANGED },
	{ false, write_two, SV_KUBE_AUTH_E_CHANGED },
	{ false, replace_by_two, SV_KUBE_AUTH_E_CHANGED },
	{ false, link_to_two, SV_KUBE_AUTH_E_CHANGED },
	{ false, make_dir, SV_KUBE_AUTH_E_FILE },
};

START_TEST(every_way_in_which_a_file_changes_is_seen)
{
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "token", "one");
	write_config(SERVER, "tokenFile: token");
	a = must_open();
	if (!changes[_i].exists) {
		unlink_file("token");
		refreshes_to(a, SV_KUBE_AUTH_E_MISSING);
	} else {
		settle(a);
		refreshes_to(a, 0);
	}
	changes[_i].change("token");
	refreshes_to(a, changes[_i].want);
}
END_TEST

/* One field after another; %1 and %2 as in fill(), %3: the certificate renewed for the same key. */
static const struct {
	const char *cluster;
	const char *cert, *key, *ca, *token;
} access_fields[] = {
	{ "server: 'https://h'", "%1", "%2", "%1", "t" },
	{ "server: 'https://other'", "%1", "%2", "%1", "t" },
	{ "server: 'https://h', tls-server-name: name", "%1", "%2", "%1", "t" },
	{ "server: 'https://h', tls-server-name: another", "%1", "%2", "%1", "t" },
	{ "server: 'https://h', proxy-url: 'http://p'", "%1", "%2", "%1", "t" },
	{ "server: 'https://h', proxy-url: 'http://q'", "%1", "%2", "%1", "t" },
	{ "server: 'https://h', insecure-skip-tls-verify: true", "%1", "%2", NULL, "t" },
	{ "server: 'https://h'", "%1", "%2", NULL, "t" },
	{ "server: 'https://h'", "%3", "%2", "%1", "t" },
	{ "server: 'https://h'", "%1", "%4", "%1", "t" },
	{ "server: 'https://h'", "%1", "%2", "%3", "t" },
	{ "server: 'https://h'", "%1", "%2", "%1", "u" },
};

static void write_access(int i, const char *const texts[5])
{
	sv_autofree char *cert = fill(access_fields[i].cert, texts);
	sv_autofree char *key = fill(access_fields[i].key, texts);
	sv_autofree char *ca = access_fields[i].ca ? fill(access_fields[i].ca, texts) : NULL;
	sv_autofree char *cluster = sv_asprintf("%s%s", access_fields[i].cluster,
						ca ? ", certificate-authority: ca" : "");

	replace("cert", cert);
	replace("key", key);
	replace("token", access_fields[i].token);
	if (ca)
		replace("ca", ca);
	write_config(cluster, "client-certificate: cert, client-key: key, tokenFile: token");
}

/* From every set of fields to every other one, of which most differ in a single field. */
START_TEST(a_change_of_any_field_is_a_change)
{
	autopair struct pair first = make_pair(DAY_S);
	EVP_PKEY *key = key_of(first.key);
	sv_autofree char *renewed = make_cert(key, 3 * DAY_S, NULL);
	sv_autofree char *rewritten = write_key(key, NULL, false);
	const char *const texts[] = { first.cert, first.key, renewed, rewritten, "" };
	autoauth struct sv_kube_auth *a = NULL;
	uint64_t generation = 1;
	int i;

	EVP_PKEY_free(key);
	write_access(_i, texts);
	ck_assert_int_eq(open_auth(true, &a, NULL), 0);
	for (i = 0; i < (int)SV_ARRAY_SIZE(access_fields); i++) {
		if (i == _i)
			continue;
		write_access(i, texts);
		refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
		ck_assert_uint_eq(sv_kube_auth_access(a)->generation, ++generation);
		write_access(_i, texts);
		refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
		ck_assert_uint_eq(sv_kube_auth_access(a)->generation, ++generation);
	}
}
END_TEST

/* The files are old by then: nothing but the complaint itself has them read again. */
START_TEST(a_complaint_is_repeated_as_long_as_its_cause_stands)
{
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "good", "one");
	t_write(dirfd_, "bad", "a b");
	replace_link("token", "good");
	t_write(dirfd_, "no-config", "[]");
	write_config(SERVER, "tokenFile: token");
	ck_assert_int_eq(renameat(dirfd_, "kubeconfig", dirfd_, "config"), 0);
	replace_link("kubeconfig", "config");
	a = must_open();
	settle(a);
	replace_link("token", "bad");
	refreshes_to(a, SV_KUBE_AUTH_E_FILE);
	refreshes_to(a, SV_KUBE_AUTH_E_FILE);
	replace_link("token", "good");
	refreshes_to(a, 0);
	replace_link("kubeconfig", "no-config");
	refreshes_to(a, SV_KUBE_AUTH_E_CONFIG);
	refreshes_to(a, SV_KUBE_AUTH_E_CONFIG);
	replace_link("kubeconfig", "config");
	refreshes_to(a, 0);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 1);
}
END_TEST

START_TEST(a_changed_kubeconfig_counts)
{
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "one", "t");
	t_write(dirfd_, "two", "t");
	write_config(SERVER, "tokenFile: one");
	a = must_open();
	write_config("server: 'https://other'", "tokenFile: one");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	ck_assert_str_eq(sv_kube_auth_access(a)->server, "https://other");
	write_config("server: 'https://other', tls-server-name: name", "tokenFile: one");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	write_config("server: 'https://other', proxy-url: 'http://p'", "tokenFile: one");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	ck_assert_ptr_null(sv_kube_auth_access(a)->tls_server_name);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 4);

	/* another file with the same in it: no change, but from now on that one is followed */
	write_config("server: 'https://other', proxy-url: 'http://p'", "tokenFile: two");
	refreshes_to(a, 0);
	replace("one", "x");
	refreshes_to(a, 0);
	replace("two", "u");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer u");
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 5);
}
END_TEST

START_TEST(what_becomes_unsafe_is_not_used)
{
	autoauth struct sv_kube_auth *a = NULL;

	write_config(SERVER, "token: t");
	a = must_open();
	write_config("server: 'http://h'", "token: t");
	refreshes_to(a, SV_KUBE_AUTH_E_INSECURE);
	ck_assert_str_eq(sv_kube_auth_access(a)->server, "https://h:6443");
}
END_TEST

START_TEST(the_last_good_credentials_stay_and_their_files_are_followed)
{
	autoauth struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };

	t_write(dirfd_, "token", "one");
	write_config(SERVER, "tokenFile: token");
	a = must_open();

	replace("kubeconfig", "clusters: [");
	refreshes_to(a, SV_KUBE_AUTH_E_CONFIG);
	refreshes_to(a, SV_KUBE_AUTH_E_CONFIG);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer one");
	replace("token", "two");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer two");
	ck_assert_int_eq(sv_kube_auth_refresh(a, false, &err), SV_KUBE_AUTH_E_CONFIG);
	t_contains(err.msg, "/kubeconfig': line 2: ");

	ck_assert_int_eq(unlinkat(dirfd_, "kubeconfig", 0), 0);
	refreshes_to(a, SV_KUBE_AUTH_E_MISSING);
	replace("token", "three");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	refreshes_to(a, SV_KUBE_AUTH_E_MISSING);

	/* a good one that names what is not there: nothing of it is used */
	write_config("server: 'https://new'", "tokenFile: none");
	refreshes_to(a, SV_KUBE_AUTH_E_MISSING);
	ck_assert_str_eq(sv_kube_auth_access(a)->server, "https://h:6443");
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer three");

	t_write(dirfd_, "none", "four");
	refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
	ck_assert_str_eq(sv_kube_auth_access(a)->server, "https://new");
	ck_assert_str_eq(sv_kube_auth_access(a)->authorization, "Authorization: Bearer four");
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 4);
	refreshes_to(a, 0);
}
END_TEST

START_TEST(a_token_that_goes_away_and_comes_back_is_no_change)
{
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "token", "one");
	write_config(SERVER, "tokenFile: token");
	a = must_open();
	ck_assert_int_eq(unlinkat(dirfd_, "token", 0), 0);
	refreshes_to(a, SV_KUBE_AUTH_E_MISSING);
	replace("token", "one");
	refreshes_to(a, 0);
	ck_assert_uint_eq(sv_kube_auth_access(a)->generation, 1);
}
END_TEST

/* ---- what it costs ------------------------------------------------------------------------- */

START_TEST(no_file_is_opened_while_none_changes)
{
	sv_autoclose int inotify = watch_opening();
	autoauth struct sv_kube_auth *a = NULL;

	t_write(dirfd_, "token", "one");
	write_config(SERVER, "tokenFile: token");
	a = must_open();
	settle(a);
	(void)was_opened(inotify);
	refreshes_to(a, 0);
	ck_assert(!was_opened(inotify));

	ck_assert_int_eq(sv_kube_auth_refresh(a, true, NULL), 0);
	ck_assert(was_opened(inotify));

	ck_assert_int_eq(utimensat(dirfd_, "token", NULL, 0), 0);
	refreshes_to(a, 0);
	ck_assert(was_opened(inotify));
}
END_TEST

/* Time stamps are coarse: what changes right after it was read may look as it did before. */
START_TEST(a_file_that_was_just_written_is_read_once_more)
{
	sv_autoclose int inotify = watch_opening();
	autoauth struct sv_kube_auth *a = NULL;
	bool again = false;
	int i;

	t_write(dirfd_, "token", "one");
	write_config(SERVER, "tokenFile: token");
	a = must_open();
	for (i = 0; i < 100 && !again; i++) { /* on a machine that is too slow, try again */
		replace("token", i % 2 ? "one" : "two");
		refreshes_to(a, SV_KUBE_AUTH_E_CHANGED);
		(void)was_opened(inotify);
		refreshes_to(a, 0);
		again = was_opened(inotify);
	}
	ck_assert(again);
}
END_TEST

T_SUITE(kube_auth)
{
	T_AROUND(enter, leave);
	T_TEST(a_kubeconfig_gives_what_a_request_needs);
	T_TEST(a_kubeconfig_can_hold_everything_itself);
	T_TEST(a_user_may_have_nothing);
	T_TEST(an_absolute_path_is_taken_as_it_is);
	T_EACH(a_certificate_says_which_node_it_is_of, subjects);
	T_TEST(a_token_says_nothing_of_a_node);
	T_TEST(a_kubeconfig_without_a_directory_is_in_the_working_directory);
	T_TEST(a_certificate_that_has_ended_says_when);
	T_EACH(certificate_and_key_belong_together_whatever_else_is_in_their_files, pems);
	T_TEST(a_ca_is_made_of_certificates);
	T_EACH(a_token_is_trimmed_and_fit_for_a_header, tokens);
	T_TEST(a_token_with_a_nul_or_of_too_many_bytes_is_refused);
	T_EACH(a_file_must_be_a_plain_file_of_reasonable_size, files);
	T_TEST(a_service_account_is_followed_through_its_links);
	T_EACH(what_a_service_account_lacks_is_named, accounts);
	T_EACH(what_is_not_safe_wants_the_flag, unsafe);
	T_TEST(a_kubelets_certificate_is_followed_when_it_is_swapped);
	T_TEST(a_pair_that_is_swapped_one_by_one_is_used_when_it_is_whole);
	T_TEST(a_pair_that_is_being_written_is_used_when_it_is_whole);
	T_EACH(every_way_in_which_a_file_changes_is_seen, changes);
	T_EACH(a_change_of_any_field_is_a_change, access_fields);
	T_TEST(a_complaint_is_repeated_as_long_as_its_cause_stands);
	T_TEST(a_changed_kubeconfig_counts);
	T_TEST(what_becomes_unsafe_is_not_used);
	T_TEST(the_last_good_credentials_stay_and_their_files_are_followed);
	T_TEST(a_token_that_goes_away_and_comes_back_is_no_change);
	T_TEST(no_file_is_opened_while_none_changes);
	T_TEST(a_file_that_was_just_written_is_read_once_more);
}
