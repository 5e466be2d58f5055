/* SPDX-License-Identifier: Apache-2.0 */
/* apiserver_world - what the world's files share: objects with versions, and who asks for them */
#ifndef TESTS_APISERVER_WORLD_H
#define TESTS_APISERVER_WORLD_H

#include <json-c/json_object.h>

#include "../../lib/base/strmap.h"
#include "apiserver_priv.h"

enum { T_PODS, T_SECRETS, T_EVENTS, T_N_KINDS };

struct t_kind {
	const char *plural, *kind;
	bool cached;          /* served by the watch cache where that is asked for */
	const char *bookmark; /* what a bookmark's object has besides metadata */
};
extern const struct t_kind t_kinds[T_N_KINDS];

int t_kind_find(const char *plural); /* -1: no such kind */
int t_kind_need(const char *plural);

/* What an object was between two changes. Constant, shared by references. */
struct version {
	unsigned refs;
	uint64_t rv;
	char *ns, *name, *node, *uid, *created;
	char *item;            /* JSON as in a list: without kind and apiVersion */
	size_t len;            /* of it */
	size_t rv_off, rv_len; /* where the digits of the version stand in it */
	char **secrets;        /* that a Pod bound to a node refers to */
	size_t n_secrets;
};

struct past {
	uint64_t rv;
	struct version *v; /* NULL: deleted */
};

struct object {
	char *key; /* "NS/NAME" */
	struct past *past;
	size_t n;
};

struct change {
	uint64_t rv;
	int kind;
	struct version *old, *new; /* NULL: did not exist, does not exist */
};

struct t_world {
	struct t_api *api;
	struct sv_strmap
		objects[T_N_KINDS]; /* struct object, deleted ones too while history has them */
	struct change *changes;
	size_t n_changes, cap_changes;
	uint64_t rv, compacted;
	uint64_t cached_rv[T_N_KINDS];
	uint64_t last_uid;
	struct t_watch *watches;
	size_t n_watches;
	char *node, *token; /* NULL: no matter */
	unsigned denials;
	struct sv_strmap denied; /* struct denial */
};

/* ---- JSON (apiserver_store.c); NULL where a member is absent, or nothing has members */

const char *t_tree_text(struct json_object *o);
struct json_object *t_tree_member(struct json_object *o, const char *name);
const char *t_tree_string(struct json_object *o, const char *name);
void t_tree_set_string(struct json_object *o, const char *name, const char *value);

/* ---- objects (apiserver_store.c) */

char *t_key_full(const char *key); /* "NS/NAME" of a key that a test gives; owned by the caller */
struct version *t_version_at(const struct object *o, uint64_t rv);
struct version *t_version_now(const struct object *o);
struct version *t_world_find(const struct t_world *w, int kind, const char *ns, const char *name);

/* The object as JSON, without or with kind and apiVersion, and with this version; at least @min_len long. */
void t_version_add_inner(struct sv_buf *b, const struct version *v, uint64_t rv, size_t min_len);
void t_version_add_object(struct sv_buf *b, int kind, const struct version *v, uint64_t rv,
			  size_t min_len);

/* @obj is completed in place. Return: the version. */
uint64_t t_world_put(struct t_world *w, int kind, struct json_object *obj);
uint64_t t_world_edit(struct t_world *w, int kind, const struct version *old,
		      struct json_object *patch);

/* Index of the first change after @rv. */
size_t t_world_changes_after(const struct t_world *w, uint64_t rv);

/* ---- answers (apiserver_status.c); texts are owned by the caller */

/* @details, @metadata: JSON of these members; NULL: none, {} */
char *t_status_json(int code, const char *reason, const char *message, const char *details);
char *t_status_json_with(int code, const char *reason, const char *message, const char *metadata,
			 const char *details);
char *t_status_forbidden(const struct t_api_req *req, const char *user, const char *why);
char *t_status_too_large(uint64_t wanted, uint64_t current, bool retry);
char *t_status_not_found(const struct t_api_req *req);

void t_status_reply(struct t_api_req *req, int code, char *status); /* frees @status */
void t_status_refuse(struct t_api_req *req, int code, const char *reason, const char *message,
		     const char *details);

/* ---- requests (apiserver_answer.c) */

struct t_options {
	bool has_rv;
	uint64_t rv;
	const char *match; /* resourceVersionMatch, "" if absent */
	uint64_t limit;    /* 0: none */
	const char *cont;  /* "" if absent */
	uint64_t timeout_s;
};

/* False: the request has been refused. */
bool t_req_options(struct t_api_req *req, struct t_options *o);
bool t_req_selects(const struct t_api_req *req, const struct version *v);

/* ---- watches (apiserver_watch.c) */

void t_watch_answer(struct t_world *w, struct t_api_req *req, int kind);
void t_world_tell(struct t_world *w, const struct change *change);

/* ---- access (apiserver_access.c) */

bool t_access_refuse(struct t_world *w, struct t_api_req *req); /* true: it was refused */
void t_access_done(struct t_world *w);

#endif
