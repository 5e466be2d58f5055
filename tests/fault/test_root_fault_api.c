/* SPDX-License-Identifier: Apache-2.0 */
/* What an API server sends, and how to get there, with every allocation failing in turn. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../daemon/source/kube_auth.h"
#include "../../lib/core/kubeconfig.h"
#include "../../lib/core/recorder.h"
#include "../../lib/core/stream.h"
#include "../support/support.h"
#include "fault.h"

static void nothing_leaks(long n_blocks)
{
	ck_assert_msg(fault_live_blocks() == n_blocks, "%ld blocks leak after %s",
		      fault_live_blocks() - n_blocks, fault_text());
}

/* ---- stream -------------------------------------------------------------------------------- */

static int count(void *arg, const char *text, size_t len)
{
	(void)text;
	*(size_t *)arg += len;
	return 0;
}

static void count_head(void *arg, const char *head, size_t len)
{
	(void)count(arg, head, len);
}

/* In pieces that have objects and the rest grow while they are kept. */
static int feed(const char *text, size_t len, size_t *ret)
{
	static const struct sv_stream_sink sink = { count, count_head };
	sv_autostream struct sv_stream s = { 0 };
	size_t pos, n;
	int r = 0;

	*ret = 0;
	sv_stream_init(&s, SV_STREAM_LIST, 6000, &sink, ret);
	for (pos = 0; r == 0 && pos < len; pos += n) {
		n = len - pos < 700 ? len - pos : 700;
		r = sv_stream_feed(&s, text + pos, n);
	}
	return r ? r : sv_stream_end(&s, NULL, NULL);
}

START_TEST(an_answer_is_cut_whole_or_not_at_all)
{
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };
	sv_autofree char *fits = t_repeat('x', 5000), *exceeds = t_repeat('y', 9000);
	sv_autofree char *text = sv_asprintf(
		"{\"a\":\"%s\",\"items\":[{\"a\":\"%s\"},{\"b\":\"%s\"}]}", exceeds, fits, exceeds);
	long n_blocks = fault_live_blocks();

	FAULT_EACH(loop)
	{
		size_t got;
		int r;

		fault_on(&loop);
		r = feed(text, strlen(text), &got);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == 0, "%d after %s", r, fault_text());
		if (r == 0)
			ck_assert_uint_eq(got, strlen("{\"a\":\"\"}") + 5000 + SV_STREAM_HEAD_MAX);
		nothing_leaks(n_blocks);
	}
	ck_assert_uint_ge(loop.fired, 8);
}
END_TEST

/* ---- kubeconfig ---------------------------------------------------------------------------- */

START_TEST(a_kubeconfig_is_read_whole_or_not_at_all)
{
	static const char text[] =
		"clusters: [{name: c, cluster: {server: 'https://h', proxy-url: 'http://p', "
		"tls-server-name: name, certificate-authority-data: YQ==}}]\n"
		"users: [{name: u, user: {client-certificate: c, client-key-data: Yg==, token: t}}]\n"
		"contexts: [{name: x, context: {cluster: c, user: u}}]\n"
		"current-context: x\n";
	struct fault_loop loop = { .scope = FAULT_NO_COPIES };
	struct sv_kubeconfig k = { 0 };
	struct sv_err err = { "" };
	long n_blocks;

	ck_assert_int_eq(sv_kubeconfig_parse(text, strlen(text), NULL, &k, &err), 0);
	sv_kubeconfig_done(&k);
	n_blocks = fault_live_blocks();
	FAULT_EACH(loop)
	{
		int r;

		fault_on(&loop);
		r = sv_kubeconfig_parse(text, strlen(text), NULL, &k, &err);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == 0, "%d, '%s' after %s", r, err.msg,
			      fault_text());
		if (r == 0)
			ck_assert_msg(k.context && k.cluster && k.user && k.server && k.proxy_url &&
					      k.tls_server_name && k.ca_data.len && k.cert_file &&
					      k.key_data.len && k.token.len,
				      "not whole after %s", fault_text());
		sv_kubeconfig_done(&k);
		nothing_leaks(n_blocks);
	}
	ck_assert_uint_ge(loop.fired, 20);
}
END_TEST

/* ---- recorder ------------------------------------------------------------------------------ */

/* One new Event, a repetition, and an answer. Return: what did not work first. */
static int record(struct sv_recorder *rec, const struct sv_pod *pod,
		  struct sv_recorder_request *ret)
{
	int r = sv_recorder_init(rec, "node-a");

	if (r == 0)
		r = sv_recorder_note(rec, pod, true, "FailedMount", "a \"b\"", 1, 1000);
	if (r == 0)
		r = sv_recorder_note(rec, pod, true, "FailedMount", "a \"b\"", 2, 2000);
	return r ? r : sv_recorder_next(rec, 3, 3000, ret);
}

START_TEST(an_event_is_sent_whole_or_later)
{
	struct fault_loop loop = { .scope = FAULT_ALLOCATIONS };
	sv_autopod struct sv_pod *pod = t_pod("team/p@u", "v=s");
	const struct sv_wire_status created = { .code = 201 };
	sv_autofree char *want = NULL;
	long n_blocks = fault_live_blocks();

	FAULT_EACH(loop)
	{
		struct sv_recorder rec;
		struct sv_recorder_request q = { 0 };
		int r;

		if (loop.call == 1 && !want) { /* without a failure */
			ck_assert_int_eq(record(&rec, pod, &q), 0);
			free(q.path);
			want = q.body;
			sv_recorder_done(&rec);
			n_blocks = fault_live_blocks();
		}
		fault_on(&loop);
		r = record(&rec, pod, &q);
		fault_off();
		ck_assert_msg(r == -ENOMEM || r == 0, "%d after %s", r, fault_text());
		if (r < 0 && rec.node && rec.n_waiting > 0) /* it can be had now */
			r = sv_recorder_next(&rec, 3, 3000, &q);
		if (r == 0) {
			if (strstr(q.body, "\"count\":2")) /* behind its name, which is unique */
				ck_assert_str_eq(strstr(q.body, "\"namespace\""),
						 strstr(want, "\"namespace\""));
			ck_assert_int_eq(sv_recorder_answered(&rec, q.event, &created, 4, 0),
					 SV_RECORDER_TAKEN);
			free(q.path);
			free(q.body);
		}
		sv_recorder_done(&rec);
		nothing_leaks(n_blocks);
	}
	ck_assert_uint_ge(loop.fired, 20);
}
END_TEST

/* ---- credentials --------------------------------------------------------------------------- */

/* Certificate and key in one text. */
static char *make_pair(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *cert = X509_new();
	char *ptr, *text;
	long len;

	ck_assert(key && bio && cert);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_bio_X509(bio, cert), 1);
	ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &ptr);
	text = strndup(ptr, (size_t)len);
	ck_assert_ptr_nonnull(text);
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return text;
}

static void write_credentials(const char *pair, const char *token)
{
	t_write(t_dirfd, "pair.pem", pair);
	t_write(t_dirfd, "token", token);
	t_write(t_dirfd, "kubeconfig",
		"clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: pair.pem}}]\n"
		"users: [{name: u, user: {client-certificate: pair.pem, client-key: pair.pem, "
		"tokenFile: token}}]\n"
		"contexts: [{name: x, context: {cluster: c, user: u}}]\n"
		"current-context: x\n");
}

static void are_whole(const struct sv_kube_auth *a, const char *authorization)
{
	const struct sv_kube_access *access = sv_kube_auth_access(a);

	ck_assert_msg(access->server && access->ca.len && access->cert.len && access->key.len &&
			      access->expires_ms &&
			      strcmp(access->authorization, authorization) == 0,
		      "not whole after %s", fault_text());
}

static char *kubeconfig, *one, *two; /* its path, and two pairs */

/* Return: whether the new ones are used at once. */
static bool refresh(const struct fault_loop *loop)
{
	struct sv_kube_auth_opts opts = { .kubeconfig = kubeconfig };
	struct sv_kube_auth *a = NULL;
	struct sv_err err = { "" };
	int r, at_once;

	write_credentials(one, "one");
	ck_assert_int_eq(sv_kube_auth_new(&opts, &a, NULL), 0);
	write_credentials(two, "two");
	fault_on(loop);
	r = at_once = sv_kube_auth_refresh(a, false, &err);
	fault_off();
	ck_assert_msg(r != 0, "no change after %s", fault_text());
	are_whole(a, r == SV_KUBE_AUTH_E_CHANGED ? "Authorization: Bearer two" :
						   "Authorization: Bearer one");
	if (r != SV_KUBE_AUTH_E_CHANGED) {
		ck_assert_msg(*err.msg && (r < 0 || strstr(fault_text(), "alloc") ||
					   strstr(fault_text(), "open")),
			      "%d, '%s' after %s", r, err.msg, fault_text());
		r = sv_kube_auth_refresh(a, false, &err);
		ck_assert_msg(r == SV_KUBE_AUTH_E_CHANGED, "%d, '%s' after %s", r, err.msg,
			      fault_text());
	}
	sv_kube_auth_free(a);
	return at_once == SV_KUBE_AUTH_E_CHANGED;
}

/*
 * OpenSSL does not tell lack of memory from a bad key everywhere. So the test is that what is in
 * order is used as soon as there is memory. It allocates thousands of times: of those, some.
 */
START_TEST(credentials_are_new_as_a_whole_or_as_before)
{
	const struct fault_loop none = { .scope = FAULT_ALL, .call = ~0U };
	struct fault_loop loop = { .scope = FAULT_ALL };
	int n_fds;

	kubeconfig = sv_asprintf("%s/kubeconfig", t_dir);
	one = make_pair();
	two = make_pair();
	n_fds = fault_open_fds();
	ck_assert(refresh(&none));
	fault_sample(&loop, 200);
	FAULT_EACH(loop)
	{
		(void)refresh(&loop);
		ck_assert_int_eq(fault_open_fds(), n_fds);
	}
	fault_enough(&loop, 100);
	free(kubeconfig);
	free(one);
	free(two);
}
END_TEST

T_SUITE(fault_api)
{
	T_AROUND(t_enter_place, t_leave_place);
	T_TEST(an_answer_is_cut_whole_or_not_at_all);
	T_TEST(an_event_is_sent_whole_or_later);
	T_TEST(a_kubeconfig_is_read_whole_or_not_at_all);
	T_TEST(credentials_are_new_as_a_whole_or_as_before);
}
