/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_auth - how to reach the API server, and as whom, read again when files change
 *
 * Everything comes from one kubeconfig, or from a Pod's service account, and the files that it
 * names. They change under us: tokens live for an hour, and a kubelet swaps its certificate. What
 * is read is used as a whole once it has been found in order, and not before: until then the last
 * good credentials stay. Blocking; for the loop thread, as the files are small and local.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_AUTH_H
#define SV_DAEMON_SOURCE_KUBE_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "../../lib/base/bytes.h"
#include "../../lib/base/err.h"

#define SV_KUBE_AUTH_FILE_MAX 1048576 /* bytes of a kubeconfig, of a PEM, or of a token's file */

enum {
	SV_KUBE_AUTH_E_CHANGED = 1, /* no failure: there are new credentials */
	SV_KUBE_AUTH_E_MISSING,     /* a file, or the environment of a Pod, is not there */
	SV_KUBE_AUTH_E_CONFIG,      /* the kubeconfig is refused, see lib/core/kubeconfig.h */
	SV_KUBE_AUTH_E_INSECURE,    /* it asks for what needs --allow-insecure-kubeconfig */
	SV_KUBE_AUTH_E_FILE,        /* no plain file, too large, no PEM, no token, not readable */
	SV_KUBE_AUTH_E_MISMATCH,    /* key and certificate do not belong together */
};

struct sv_kube_auth_opts {
	const char *kubeconfig; /* path; NULL: the service account of the Pod that we run in */
	const char *context;    /* NULL: the kubeconfig's current one */
	bool allow_insecure;    /* plain http, and no check of the server's certificate */
	/* NULL: /var/run/secrets/kubernetes.io/serviceaccount */
	const char *service_account_dir;
};

/* What a request needs; borrowed, valid until the next refresh. */
struct sv_kube_access {
	const char *server;          /* as in struct sv_kubeconfig */
	const char *tls_server_name; /* NULL: the server's host */
	const char *proxy_url;       /* NULL: none. May hold a password: not to be logged */
	bool insecure;               /* do not check the server's certificate */
	/* PEM, with certificate and key perhaps in one text; ca empty: the system's; no key: no cert */
	struct sv_bytes ca, cert, key;
	const char *authorization; /* the header line "Authorization: Bearer …", NULL: none */
	uint64_t generation;       /* 1 at first; grows with every change of any of these */
	int64_t expires_ms; /* Unix time at which the client certificate ends; 0: there is none */
	const char *node; /* whose certificate it is: "NAME" of "system:node:NAME"; "": nobody's */
};

struct sv_kube_auth;

/**
 * sv_kube_auth_new() - read the credentials for the first time
 * @opts: borrowed for the call
 * @ret:  written on 0 only
 *
 * Return: 0, SV_KUBE_AUTH_E_* but E_CHANGED, or a negated errno.
 */
int sv_kube_auth_new(const struct sv_kube_auth_opts *opts, struct sv_kube_auth **ret,
		     struct sv_err *err);

/* Wipes and frees; NULL is fine. */
void sv_kube_auth_free(struct sv_kube_auth *a);

/**
 * sv_kube_auth_refresh() - see whether there are new credentials
 * @force: read everything, even if no file seems to have changed (the server said 401)
 *
 * Cheap when all was in order and nothing changed: one stat(2) a file, links followed. As long as
 * what is there cannot be used, it is read and complained about each time, and
 * sv_kube_auth_access() gives what was good last. While the kubeconfig itself is at fault, the
 * files that the last good one names are still followed, and E_CHANGED goes before the complaint.
 *
 * Return: 0: as before; SV_KUBE_AUTH_E_CHANGED: changed; another SV_KUBE_AUTH_E_* or a negated
 * errno: what is there cannot be used, for the reason in @err.
 */
int sv_kube_auth_refresh(struct sv_kube_auth *a, bool force, struct sv_err *err);

const struct sv_kube_access *sv_kube_auth_access(const struct sv_kube_auth *a);

#endif
