/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubeconfigs: what is accepted is safe to put into a request, what is refused says why. First
 * byte: which context, and whether the text is a whole kubeconfig or the fields of a cluster and,
 * behind a newline, of a user.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/kubeconfig.h"
#include "fuzz.h"

static void check_url(const char *url, const char *const *schemes)
{
	const char *c;

	while (*schemes && strncmp(url, *schemes, strlen(*schemes)) != 0)
		schemes++;
	MUST(*schemes && strlen(url) > strlen(*schemes));
	for (c = url; *c; c++)
		MUST(*c > ' ' && *c < 0x7f);
}

static void check_accepted(const struct sv_kubeconfig *k)
{
	static const char *const servers[] = { "https://", "http://", NULL };
	static const char *const proxies[] = { "https://", "http://", "socks5://", NULL };
	bool cert = k->cert_file || k->cert_data.len, key = k->key_file || k->key_data.len;

	MUST(k->context && k->cluster && k->user && k->server);
	check_url(k->server, servers);
	MUST(!strpbrk(strchr(k->server, ':') + 3, "?#\"<>\\^`{|}"));
	MUST(strcspn(strchr(k->server, ':') + 3, "/") <= strcspn(strchr(k->server, ':') + 3, "@"));
	MUST(k->server[strlen(k->server) - 1] != '/');
	if (k->proxy_url)
		check_url(k->proxy_url, proxies);
	MUST(!k->tls_server_name || *k->tls_server_name);
	MUST(!(k->insecure && (k->ca_file || k->ca_data.len)));
	MUST(!(k->ca_file && k->ca_data.len) && !(k->cert_file && k->cert_data.len) &&
	     !(k->key_file && k->key_data.len) && !(k->token_file && k->token.len));
	MUST(cert == key);
	MUST(k->token.len == 0 || sv_token_is_valid(k->token.ptr, k->token.len));
}

static char *wrap(const char *text, size_t size)
{
	sv_autobuf struct sv_buf b = { 0 };
	const char *user = memchr(text, '\n', size);
	size_t n = user ? (size_t)(user - text) : size;

	sv_buf_puts(&b, "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
			"current-context: x\n"
			"clusters: [{name: c, cluster: {");
	sv_buf_add(&b, text, n);
	sv_buf_puts(&b, "}}]\nusers: [{name: u, user: {");
	if (user)
		sv_buf_add(&b, user + 1, size - n - 1);
	sv_buf_puts(&b, "}}]\n");
	return sv_buf_take(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned how = size ? *data : 0;
	const char *context = how & 1 ? "x" : NULL;
	struct sv_kubeconfig k = { 0 };
	struct sv_err err = { "" };
	char *text;
	size_t len;
	int r;

	data += size > 0;
	size -= size > 0;
	if (how & 2) {
		text = wrap((const char *)data, size);
		MUST(text);
		len = strlen(text);
	} else {
		text = malloc(size ? size : 1); /* exact, for the sanitizer */
		MUST(text);
		memcpy(text, data, size);
		len = size;
	}
	r = sv_kubeconfig_parse(text, len, context, &k, &err);
	free(text);
	if (r == 0) {
		check_accepted(&k);
		MUST(!context || strcmp(k.context, context) == 0);
	} else {
		MUST(r == SV_KUBECONFIG_E_INVALID || r == SV_KUBECONFIG_E_UNSUPPORTED);
		MUST(*err.msg && fuzz_is_printable(err.msg));
		MUST(!k.context && !k.server && !k.token.ptr);
	}
	sv_kubeconfig_done(&k);
	return 0;
}
