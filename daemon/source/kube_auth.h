#ifndef SV_DAEMON_SOURCE_KUBE_AUTH_H
#define SV_DAEMON_SOURCE_KUBE_AUTH_H
#include "../../lib/base/bytes.h"
#include "../../lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>
struct sv_kube_auth_opts {
	const char *kubeconfig;
	const char *context;
	bool allow_insecure;
	const char *service_account_dir;
};
enum { SV_KUBE_AUTH_E_CHANGED = 1 };
struct sv_kube_access {
	const char *server, *tls_server_name, *proxy_url;
	bool insecure;
	struct sv_bytes ca, cert, key;
	const char *authorization;
	uint64_t generation;
	int64_t expires_ms;
};
struct sv_kube_auth;
int sv_kube_auth_new(const struct sv_kube_auth_opts *opts, struct sv_kube_auth **ret,
		     struct sv_err *err);
void sv_kube_auth_free(struct sv_kube_auth *a);
int sv_kube_auth_refresh(struct sv_kube_auth *a, bool force, struct sv_err *err);
const struct sv_kube_access *sv_kube_auth_access(const struct sv_kube_auth *a);
#endif
