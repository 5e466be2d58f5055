/* SPDX-License-Identifier: Apache-2.0 */
/* Who may read: tokens, and the node authorizer. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver_world.h"

struct denial {
	char *key;
	unsigned left;
};

void t_api_authorize_node(struct t_api *api, const char *node, unsigned denials)
{
	free(api->world->node);
	api->world->node = t_api_strdup(node);
	api->world->denials = denials;
}

void t_api_require_token(struct t_api *api, const char *token)
{
	free(api->world->token);
	api->world->token = t_api_strdup(token);
}

static bool pod_refers(const struct version *pod, const char *node, const char *ns,
		       const char *secret)
{
	if (!pod || !pod->node || strcmp(pod->node, node) != 0 || strcmp(pod->ns, ns) != 0)
		return false;
	for (size_t i = 0; i < pod->n_secrets; i++)
		if (strcmp(pod->secrets[i], secret) == 0)
			return true;
	return false;
}

static bool node_refers(const struct t_world *w, const char *ns, const char *secret)
{
	const struct sv_strmap *pods = &w->objects[T_PODS];

	for (size_t i = 0; i < pods->n; i++)
		if (pod_refers(t_version_now(pods->entries[i].value), w->node, ns, secret))
			return true;
	return false;
}

static void forget_denial(struct t_world *w, const char *key)
{
	struct denial *d = sv_strmap_remove(&w->denied, key);

	if (d) {
		free(d->key);
		free(d);
	}
}

/* The graph has the edge, but not yet for everybody to see. */
static bool denied_at_first(struct t_world *w, const char *key)
{
	struct denial *d = sv_strmap_get(&w->denied, key);

	if (!d) {
		d = t_api_alloc(sizeof(*d));
		d->key = t_api_strdup(key);
		d->left = w->denials;
		if (sv_strmap_put(&w->denied, d->key, d) != 0)
			t_api_die("out of memory");
	}
	if (d->left == 0)
		return false;
	d->left--;
	return true;
}

/* Why the node may not; NULL if it may. *@bare: the text has no reason. */
static char *node_refusal(struct t_world *w, const struct t_api_req *req, bool *bare)
{
	bool reads = strcmp(req->verb, "get") == 0 || strcmp(req->verb, "list") == 0 ||
		     strcmp(req->verb, "watch") == 0;
	sv_autofree char *key = NULL;

	*bare = false;
	if (strcmp(req->kind, "events") == 0) {
		*bare = true;
		return strcmp(req->verb, "create") == 0 || strcmp(req->verb, "patch") == 0 ||
				       strcmp(req->verb, "update") == 0 ?
			       NULL :
			       t_api_strdup("");
	}
	if (strcmp(req->kind, "secrets") != 0)
		return NULL;
	if (!reads)
		return t_api_strdup("can only read resources of this type");
	if (!req->ns)
		return t_api_strdup("can only read namespaced object of this type");
	if (!req->name || !*req->name)
		return t_api_strdup("No Object name found");
	key = t_api_printf("%s/%s", req->ns, req->name);
	if (!node_refers(w, req->ns, req->name))
		forget_denial(w, key);
	else if (!denied_at_first(w, key))
		return NULL;
	return t_api_printf("no relationship found between node '%s' and this object", w->node);
}

/* True: the request was refused. */
bool t_access_refuse(struct t_world *w, struct t_api_req *req)
{
	const char *auth = t_api_header(req, "authorization");
	sv_autofree char *want = w->token ? t_api_printf("Bearer %s", w->token) : NULL;
	sv_autofree char *user = w->node ? t_api_printf("system:node:%s", w->node) : NULL;
	sv_autofree char *why = NULL;
	bool bare;

	if (want && auth && strcmp(auth, want) != 0) {
		t_status_reply(req, 401, t_status_of(401, req));
		return true;
	}
	if (strcmp(req->kind, "version") == 0 || !*req->kind)
		return false;
	if (want && !auth) {
		t_status_reply(req, 403, t_status_forbidden(req, "system:anonymous", NULL));
		return true;
	}
	if (!user)
		return false;
	why = node_refusal(w, req, &bare);
	if (why)
		t_status_reply(req, 403, t_status_forbidden(req, user, bare ? NULL : why));
	return why != NULL;
}

void t_access_done(struct t_world *w)
{
	while (w->denied.n > 0) /* the last one: nothing has to move */
		forget_denial(w, w->denied.entries[w->denied.n - 1].key);
	sv_strmap_done(&w->denied);
	free(w->node);
	free(w->token);
}
