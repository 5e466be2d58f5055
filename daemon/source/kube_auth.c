/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "kube_auth.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/text.h"
#include "../../lib/core/kubeconfig.h"
#include "../../lib/core/validate.h"
#include "../../lib/node/fsutil.h"

#define SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define BEARER "Authorization: Bearer "
#define FLAG "--allow-insecure-kubeconfig"

/* The kernel's time stamps are this coarse: a file that is younger may change once more unseen. */
#define YOUNG_MS 100

#define FILES_MAX 5 /* kubeconfig, CA, certificate, key, token */

/* A file that was read, or looked for, and by what a change of it is seen. */
struct watched {
	char *path;
	bool exists;
	bool young; /* to be read again in any case */
	struct sv_identity id;
};

struct watch_list {
	struct watched items[FILES_MAX];
	size_t n;
};

/* What the files, or the kubeconfig itself, hold. */
struct material {
	struct sv_bytes ca, cert, key;
	char *authorization;
	int64_t expires_ms;
	char node[SV_SUBDOMAIN_MAX + 1];
};

struct sv_kube_auth {
	char *kubeconfig, *context; /* NULL as in the options */
	char *account_dir;
	bool allow_insecure;
	struct sv_kubeconfig config; /* the last good one, and what it gave */
	struct material material;
	struct sv_kube_access access; /* borrows from both */
	struct watch_list watched;    /* by the last try */
	bool failed;                  /* it ended in a complaint */
};

static int no_memory(struct sv_err *err)
{
	return sv_err_set(err, -ENOMEM, "cannot read the credentials");
}

/* ---- wiping -------------------------------------------------------------------------------- */

static void material_done(struct material *m)
{
	sv_bytes_wipe(&m->ca);
	sv_bytes_wipe(&m->cert);
	sv_bytes_wipe(&m->key);
	sv_text_free(m->authorization);
	*m = (struct material){ .authorization = NULL };
}
#define automaterial __attribute__((cleanup(material_done)))

static void forget_watched(struct watch_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		free(list->items[i].path);
	list->n = 0;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Now and then a clock is set back; then a file of the future is young until that time. */
static bool is_young(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - st->st_ctim.tv_sec) * 1000 +
		       (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000 <
	       YOUNG_MS;
}

static void watch(struct watch_list *list, char *path, const struct stat *st)
{
	struct watched *w = &list->items[list->n++];

	*w = (struct watched){ .path = path, .exists = st };
	if (st) {
		w->young = is_young(st);
		w->id = sv_identity_of(st);
	}
}

static bool has_changed(const struct watched *w)
{
	struct sv_identity id;
	struct stat st;

	if (stat(w->path, &st) < 0)
		return w->exists;
	id = sv_identity_of(&st);
	return w->young || !sv_identity_equal(&id, &w->id); /* that of no file is all zero */
}

static bool any_changed(const struct watch_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (has_changed(&list->items[i]))
			return true;
	return false;
}

/* Whose fault is it that a file does not open? */
static int refusal_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return SV_KUBE_AUTH_E_MISSING;
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENAMETOOLONG:
	case ENXIO:
		return SV_KUBE_AUTH_E_FILE;
	default:
		return -error;
	}
}

/* @what: the field that names the file. @path is taken. */
static int read_file(struct watch_list *list, const char *what, char *path, struct sv_bytes *ret,
		     struct sv_err *err)
{
	sv_autoclose int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char reason[128];
	struct stat st;
	int r;

	if (fd < 0) {
		r = refusal_of(errno);
		watch(list, path, NULL);
		if (r < 0)
			return sv_err_set(err, r, "cannot open %s '%s'", what, path);
		return sv_err_set(err, r, "cannot open %s '%s': %s", what, path,
				  strerror_r(errno, reason, sizeof(reason)));
	}
	/* Before it is read: what changes meanwhile is seen the next time. */
	r = fstat(fd, &st) < 0 ? -errno : 0;
	watch(list, path, r ? NULL : &st);
	if (r < 0)
		return sv_err_set(err, r, "cannot stat %s '%s'", what, path);
	if (!S_ISREG(st.st_mode))
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE, "%s '%s' is not a plain file", what,
				  path);
	r = sv_read_all(fd, SV_KUBE_AUTH_FILE_MAX, ret);
	if (r == -EFBIG)
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE, "%s '%s' is over the limit of %d bytes",
				  what, path, SV_KUBE_AUTH_FILE_MAX);
	return r < 0 ? sv_err_set(err, r, "cannot read %s '%s'", what, path) : 0;
}

/* A path of a kubeconfig is meant from where that stands. */
static char *resolve(const struct sv_kube_auth *a, const char *path)
{
	const char *slash;

	if (*path == '/')
		return strdup(path);
	if (!a->kubeconfig)
		return sv_asprintf("%s/%s", a->account_dir, path);
	slash = strrchr(a->kubeconfig, '/');
	if (!slash)
		return strdup(path);
	return sv_asprintf("%.*s%s", (int)(slash + 1 - a->kubeconfig), a->kubeconfig, path);
}

/*
 * What a field gives: the file that it names, or its data. @where is a text that tells which, for
 * messages.
 */
static int get_part(struct sv_kube_auth *a, const char *field, const char *file,
		    const struct sv_bytes *data, struct sv_bytes *ret, char **where,
		    struct sv_err *err)
{
	char *path;

	if (!file) {
		*where = sv_asprintf("%s-data", field);
		if (!*where || sv_bytes_copy(data->ptr, data->len, ret) < 0)
			return no_memory(err);
		return 0;
	}
	path = resolve(a, file);
	if (!path)
		return no_memory(err);
	*where = sv_asprintf("%s '%s'", field, path);
	if (!*where) {
		free(path);
		return no_memory(err);
	}
	return read_file(&a->watched, field, path, ret, err);
}

/* ---- certificates and keys ----------------------------------------------------------------- */

SV_AUTO(bio, BIO, BIO_free)
SV_AUTO(x509, X509, X509_free)
SV_AUTO(pkey, EVP_PKEY, EVP_PKEY_free)
#define autobio __attribute__((cleanup(sv_cleanup_bio)))
#define autox509 __attribute__((cleanup(sv_cleanup_x509)))
#define autopkey __attribute__((cleanup(sv_cleanup_pkey)))

/* OpenSSL would ask the terminal. */
static int no_password(char *buf, int size, int rwflag, void *asked)
{
	(void)buf, (void)size, (void)rwflag;
	*(bool *)asked = true;
	return -1;
}

/* Was lack of memory why OpenSSL failed? As far as it says; it is tried again in any case. */
static bool lacked_memory(void)
{
	bool lacked = false;
	unsigned long e;

	while ((e = ERR_get_error()))
		lacked = lacked || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
	return lacked;
}

/* The next certificate of a PEM, whatever else is in it; NULL at the end. */
static int next_cert(BIO *bio, const char *where, X509 **ret, struct sv_err *err)
{
	bool asked = false, end;

	*ret = PEM_read_bio_X509(bio, NULL, no_password, &asked);
	end = !*ret && !asked && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	if (lacked_memory())
		return no_memory(err);
	if (!*ret && !end)
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE,
				  "%s holds a certificate that cannot be read", where);
	return 0;
}

/* Every certificate of a PEM is in order; the first one is given if it is asked for. */
static int check_certs(const struct sv_bytes *pem, const char *where, X509 **first,
		       struct sv_err *err)
{
	autobio BIO *bio = BIO_new_mem_buf(pem->len ? (const char *)pem->ptr : "", (int)pem->len);
	autox509 X509 *leaf = NULL;

	if (!bio)
		return no_memory(err);
	for (;;) {
		X509 *cert;
		int r = next_cert(bio, where, &cert, err);

		if (r)
			return r;
		if (!cert)
			break;
		if (leaf)
			X509_free(cert);
		else
			leaf = cert;
	}
	if (!leaf)
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE, "%s holds no certificate in PEM",
				  where);
	if (first)
		*first = SV_TAKE(leaf);
	return 0;
}

static int read_key(const struct sv_bytes *pem, const char *where, EVP_PKEY **ret,
		    struct sv_err *err)
{
	autobio BIO *bio = BIO_new_mem_buf(pem->len ? (const char *)pem->ptr : "", (int)pem->len);
	bool asked = false;

	if (!bio)
		return no_memory(err);
	*ret = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
	if (lacked_memory() && !*ret)
		return no_memory(err);
	if (*ret)
		return 0;
	if (asked)
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE,
				  "%s holds an encrypted key, and there is no password for it",
				  where);
	return sv_err_set(err, SV_KUBE_AUTH_E_FILE, "%s holds no private key in PEM", where);
}

static int64_t end_of(const X509 *cert)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) * 1000 :
								     0;
}

/* Which node is that, by the name that the API server knows it by? "" if it is none. */
static void read_node(X509 *cert, char ret[SV_SUBDOMAIN_MAX + 1])
{
	static const char prefix[] = "system:node:";
	X509_NAME *subject = X509_get_subject_name(cert);
	int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *cn =
		i < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
	size_t skip = sizeof(prefix) - 1, len = cn ? (size_t)ASN1_STRING_length(cn) : 0;
	const char *text = cn ? (const char *)ASN1_STRING_get0_data(cn) : "";

	*ret = '\0';
	if (len <= skip || len - skip > SV_SUBDOMAIN_MAX || memcmp(text, prefix, skip) != 0)
		return;
	memcpy(ret, text + skip, len - skip);
	ret[len - skip] = '\0';
	if (sv_check_subdomain(ret)) /* no name of a node, or in letters that are no ASCII */
		*ret = '\0';
}

/* Certificate and key are swapped one after the other, or are half written, when we look. */
static int check_pair(struct material *m, const char *cert_where, const char *key_where,
		      struct sv_err *err)
{
	autox509 X509 *cert = NULL;
	autopkey EVP_PKEY *key = NULL;
	int r = check_certs(&m->cert, cert_where, &cert, err);

	if (r == 0)
		r = read_key(&m->key, key_where, &key, err);
	if (r)
		return r;
	r = X509_check_private_key(cert, key);
	if (lacked_memory())
		return no_memory(err);
	if (r != 1)
		return sv_err_set(err, SV_KUBE_AUTH_E_MISMATCH,
				  "the key in %s is not that of the certificate in %s", key_where,
				  cert_where);
	m->expires_ms = end_of(cert);
	read_node(cert, m->node);
	return 0;
}

/* ---- what a kubeconfig names --------------------------------------------------------------- */

static int load_ca(struct sv_kube_auth *a, const struct sv_kubeconfig *k, struct material *m,
		   struct sv_err *err)
{
	sv_autofree char *where = NULL;
	int r;

	if (!k->ca_file && !k->ca_data.len)
		return 0;
	r = get_part(a, "certificate-authority", k->ca_file, &k->ca_data, &m->ca, &where, err);
	return r ? r : check_certs(&m->ca, where, NULL, err);
}

static int load_pair(struct sv_kube_auth *a, const struct sv_kubeconfig *k, struct material *m,
		     struct sv_err *err)
{
	sv_autofree char *cert_where = NULL, *key_where = NULL;
	bool one_file = k->cert_file && k->key_file && strcmp(k->cert_file, k->key_file) == 0;
	int r;

	if (!k->cert_file && !k->cert_data.len)
		return 0;
	r = get_part(a, "client-certificate", k->cert_file, &k->cert_data, &m->cert, &cert_where,
		     err);
	if (r)
		return r;
	/* One file is read once, so that both are of one moment. */
	if (one_file)
		r = sv_bytes_copy(m->cert.ptr, m->cert.len, &m->key) ? no_memory(err) : 0;
	else
		r = get_part(a, "client-key", k->key_file, &k->key_data, &m->key, &key_where, err);
	return r ? r : check_pair(m, cert_where, one_file ? cert_where : key_where, err);
}

static bool is_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int take_token(struct material *m, const unsigned char *token, size_t len)
{
	m->authorization = malloc(sizeof(BEARER) + len);
	if (!m->authorization)
		return -ENOMEM;
	memcpy(m->authorization, BEARER, sizeof(BEARER) - 1);
	memcpy(m->authorization + sizeof(BEARER) - 1, token, len);
	m->authorization[sizeof(BEARER) - 1 + len] = '\0';
	return 0;
}

static int load_token(struct sv_kube_auth *a, const struct sv_kubeconfig *k, struct material *m,
		      struct sv_err *err)
{
	sv_autobytes struct sv_bytes text = { NULL, 0 };
	sv_autofree char *where = NULL;
	size_t start = 0, end;
	int r;

	if (!k->token_file)
		return k->token.len && take_token(m, k->token.ptr, k->token.len) ? no_memory(err) :
										   0;
	r = get_part(a, a->kubeconfig ? "tokenFile" : "token", k->token_file, &k->token, &text,
		     &where, err);
	if (r)
		return r;
	end = text.len;
	while (end > 0 && is_space(text.ptr[end - 1]))
		end--;
	while (start < end && is_space(text.ptr[start]))
		start++;
	if (start == end)
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE, "%s is empty", where);
	if (!sv_token_is_valid(text.ptr + start, end - start))
		return sv_err_set(err, SV_KUBE_AUTH_E_FILE,
				  "%s is not one line of visible ASCII of at most %d bytes", where,
				  SV_TOKEN_MAX);
	return take_token(m, text.ptr + start, end - start) ? no_memory(err) : 0;
}

/* ---- the kubeconfig ------------------------------------------------------------------------ */

static int check_security(const struct sv_kube_auth *a, const struct sv_kubeconfig *k,
			  struct sv_err *err)
{
	assert(k->server && k->cluster);
	if (a->allow_insecure)
		return 0;
	if (k->insecure)
		return sv_err_set(err, SV_KUBE_AUTH_E_INSECURE,
				  "insecure-skip-tls-verify of cluster \"%s\" lets anybody pass "
				  "for the server: give a certificate-authority, or " FLAG,
				  k->cluster);
	if (strncmp(k->server, "http://", 7) == 0)
		return sv_err_set(err, SV_KUBE_AUTH_E_INSECURE,
				  "server of cluster \"%s\" is plain http, which anybody on the "
				  "way can read and change: use https, or " FLAG,
				  k->cluster);
	return 0;
}

static int read_kubeconfig(struct sv_kube_auth *a, struct sv_kubeconfig *ret, struct sv_err *err)
{
	sv_autobytes struct sv_bytes text = { NULL, 0 };
	char *path = strdup(a->kubeconfig);
	int r;

	if (!path)
		return no_memory(err);
	r = read_file(&a->watched, "kubeconfig", path, &text, err);
	if (r)
		return r;
	r = sv_kubeconfig_parse((const char *)text.ptr, text.len, a->context, ret, err);
	if (r)
		sv_err_prefix(err, r, "kubeconfig '%s'", a->kubeconfig);
	return r > 0 ? SV_KUBE_AUTH_E_CONFIG : r;
}

static int read_environment(struct sv_kubeconfig *ret, struct sv_err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	int r;

	if (!host || !*host || !port || !*port)
		return sv_err_set(
			err, SV_KUBE_AUTH_E_MISSING, "%s is not set: this is no container of a Pod",
			!host || !*host ? "KUBERNETES_SERVICE_HOST" : "KUBERNETES_SERVICE_PORT");
	r = sv_kubeconfig_in_cluster(host, port, ret, err);
	return r > 0 ? SV_KUBE_AUTH_E_CONFIG : r;
}

static int read_config(struct sv_kube_auth *a, struct sv_kubeconfig *ret, struct sv_err *err)
{
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	int r = a->kubeconfig ? read_kubeconfig(a, &k, err) : read_environment(&k, err);

	if (r == 0)
		r = check_security(a, &k, err);
	if (r)
		return r;
	*ret = sv_kubeconfig_take(&k);
	return 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(const struct sv_kube_access *old, const struct sv_kubeconfig *k,
		    const struct material *m)
{
	return same_text(old->server, k->server) &&
	       same_text(old->tls_server_name, k->tls_server_name) &&
	       same_text(old->proxy_url, k->proxy_url) && old->insecure == k->insecure &&
	       sv_bytes_equal(&old->ca, &m->ca) && sv_bytes_equal(&old->cert, &m->cert) &&
	       sv_bytes_equal(&old->key, &m->key) &&
	       same_text(old->authorization, m->authorization);
}

/* Takes the material, and the config unless it is the one that is there. */
static int use(struct sv_kube_auth *a, struct sv_kubeconfig *k, struct material *m)
{
	bool same = is_same(&a->access, k, m);

	if (k != &a->config) {
		struct sv_kubeconfig old = a->config;

		a->config = *k;
		*k = old;
		k = &a->config;
	}
	material_done(&a->material);
	a->material = *m;
	*m = (struct material){ .authorization = NULL };
	a->access = (struct sv_kube_access){
		.server = k->server,
		.tls_server_name = k->tls_server_name,
		.proxy_url = k->proxy_url,
		.insecure = k->insecure,
		.ca = a->material.ca,
		.cert = a->material.cert,
		.key = a->material.key,
		.authorization = a->material.authorization,
		.generation = a->access.generation + (same ? 0 : 1),
		.expires_ms = a->material.expires_ms,
		.node = a->material.node,
	};
	return same ? 0 : SV_KUBE_AUTH_E_CHANGED;
}

static int load(struct sv_kube_auth *a, struct sv_kubeconfig *k, struct sv_err *err)
{
	automaterial struct material m = { .authorization = NULL };
	int r;

	ERR_clear_error(); /* what others left there is no answer to us */
	r = load_ca(a, k, &m, err);
	if (r == 0)
		r = load_pair(a, k, &m, err);
	if (r == 0)
		r = load_token(a, k, &m, err);
	return r ? r : use(a, k, &m);
}

/*
 * A kubeconfig that cannot be used must not keep the files of the last good one from being read:
 * its token ends within the hour.
 */
static int load_all(struct sv_kube_auth *a, struct sv_err *err)
{
	sv_autokubeconfig struct sv_kubeconfig k = { 0 };
	struct sv_err why, ignored;
	int r;

	forget_watched(&a->watched);
	r = read_config(a, &k, &why);
	a->failed = r != 0;
	if (r && a->config.server && load(a, &a->config, &ignored) == SV_KUBE_AUTH_E_CHANGED)
		return SV_KUBE_AUTH_E_CHANGED;
	if (r && err)
		*err = why;
	if (r)
		return r;
	r = load(a, &k, err);
	a->failed = r != 0 && r != SV_KUBE_AUTH_E_CHANGED;
	return r;
}

/* After a complaint it is not asked what changed: the cause may have been something else. */
int sv_kube_auth_refresh(struct sv_kube_auth *a, bool force, struct sv_err *err)
{
	return force || a->failed || any_changed(&a->watched) ? load_all(a, err) : 0;
}

const struct sv_kube_access *sv_kube_auth_access(const struct sv_kube_auth *a)
{
	return &a->access;
}

static int init(struct sv_kube_auth *a, const struct sv_kube_auth_opts *opts)
{
	const char *dir = opts->service_account_dir;

	a->allow_insecure = opts->allow_insecure;
	a->account_dir = strdup(dir ? dir : SERVICE_ACCOUNT_DIR);
	if (opts->kubeconfig)
		a->kubeconfig = strdup(opts->kubeconfig);
	if (opts->context)
		a->context = strdup(opts->context);
	return !a->account_dir || (opts->kubeconfig && !a->kubeconfig) ||
			       (opts->context && !a->context) ?
		       -ENOMEM :
		       0;
}

int sv_kube_auth_new(const struct sv_kube_auth_opts *opts, struct sv_kube_auth **ret,
		     struct sv_err *err)
{
	struct sv_kube_auth *a = calloc(1, sizeof(*a));
	int r;

	if (!a || init(a, opts) < 0)
		r = no_memory(err);
	else
		r = sv_kube_auth_refresh(a, true, err);
	if (r != SV_KUBE_AUTH_E_CHANGED) {
		sv_kube_auth_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void sv_kube_auth_free(struct sv_kube_auth *a)
{
	if (!a)
		return;
	forget_watched(&a->watched);
	material_done(&a->material);
	sv_kubeconfig_done(&a->config);
	free(a->kubeconfig);
	free(a->context);
	free(a->account_dir);
	free(a);
}
