/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig - which API server, and as whom?
 *
 * Pure: the text of a kubeconfig and the name of a context give the server and the credentials of
 * a client, or a sentence that names the field at fault. What client-go refuses is refused, and
 * what this project does not do as well: plugins, passwords, impersonation. Fields that we have no
 * use for, and entries that were not chosen, are not looked at.
 *
 * No message holds a value of a token, a key, or a URL.
 */
#ifndef SV_CORE_KUBECONFIG_H
#define SV_CORE_KUBECONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/bytes.h"
#include "../base/err.h"

#define SV_KUBECONFIG_MAX 1048576 /* bytes of a kubeconfig */
#define SV_TOKEN_MAX 65536        /* bytes of a token */

enum {
	SV_KUBECONFIG_E_INVALID = 1, /* no kubeconfig, or a field in it is missing or wrong */
	SV_KUBECONFIG_E_UNSUPPORTED, /* a way to log in that we do not go */
};

/*
 * Of a file and its data at most one is set: data beats a file, and the file of a token beats the
 * token, as in client-go. Paths are as they stand: relative ones are meant from the kubeconfig's
 * directory.
 */
struct sv_kubeconfig {           /* all zero: empty */
	char *context, *cluster; /* names, for messages */
	char *user;
	char *server;          /* "https://HOST[:PORT][/PREFIX]", or http; no '/' at the end */
	char *tls_server_name; /* whose certificate the server must have; NULL: of the server's host */
	char *proxy_url; /* "http://", "https://" or "socks5://"; may hold a password; NULL: none */
	bool insecure;   /* insecure-skip-tls-verify; there is no CA then */
	char *ca_file;   /* PEM */
	struct sv_bytes ca_data;
	char *cert_file, *key_file; /* PEM; certificate and key are both there or both not */
	struct sv_bytes cert_data, key_data;
	char *token_file;
	struct sv_bytes token; /* see sv_token_is_valid() */
};

/**
 * sv_kubeconfig_parse() - read a kubeconfig and choose a context
 * @text:    YAML or JSON, one document of at most SV_KUBECONFIG_MAX bytes; borrowed
 * @context: its name; NULL: current-context
 * @ret:     written on 0 only. Give back with sv_kubeconfig_done()
 *
 * Return: 0, SV_KUBECONFIG_E_* or -ENOMEM.
 */
int sv_kubeconfig_parse(const char *text, size_t len, const char *context,
			struct sv_kubeconfig *ret, struct sv_err *err);

/**
 * sv_kubeconfig_in_cluster() - what a Pod's service account amounts to
 * @host, @port: KUBERNETES_SERVICE_HOST and _PORT; an IPv6 address without brackets, too
 * @ret:         written on 0 only: files are "ca.crt" and "token", in the account's directory
 *
 * Return: 0, SV_KUBECONFIG_E_INVALID or -ENOMEM.
 */
int sv_kubeconfig_in_cluster(const char *host, const char *port, struct sv_kubeconfig *ret,
			     struct sv_err *err);

/* Move: yields what it holds and leaves the empty value. */
struct sv_kubeconfig sv_kubeconfig_take(struct sv_kubeconfig *k);

/* Wipes and frees, and leaves the empty value. */
void sv_kubeconfig_done(struct sv_kubeconfig *k);

/* May it stand in a header? 1 to SV_TOKEN_MAX bytes of visible ASCII. */
bool sv_token_is_valid(const void *token, size_t len);

#define sv_autokubeconfig __attribute__((cleanup(sv_kubeconfig_done)))

#endif
