/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api - what the status socket answers: paths to JSON
 *
 * Knows no sockets: a request is a path, arguments and a body, an answer a status
 * and a text. Values leave the daemon through POST /v1/env only, and to root only.
 */
#ifndef SV_DAEMON_API_H
#define SV_DAEMON_API_H

#include "config.h"
#include "manager.h"
#include "source/source.h"

/* What the daemon knows besides what the manager does. */
struct sv_api_context {
	struct sv_manager *manager;
	struct sv_source **sources; /* NULL-terminated; borrowed */
	const struct sv_config *config;
	int64_t started_ms; /* Unix time */
};

struct sv_api_request {
	const char *method, *path;
	const char *(*argument)(void *arg, const char *name); /* of the query; NULL if absent */
	void *arg;
	const char *body; /* not terminated; NULL if there is none */
	size_t body_len;
	bool is_root; /* the peer */
};

struct sv_api_answer {
	unsigned status;  /* of HTTP */
	const char *type; /* a constant */
	char *text;       /* owned, to be wiped; NULL for lack of memory */
};

void sv_api_answer(const struct sv_api_context *x, const struct sv_api_request *req,
		   struct sv_api_answer *ret);

/* {"error": text, "reason": reason}, without a reason if that is "". */
void sv_api_error(struct sv_api_answer *ret, unsigned status, const char *reason, const char *text);

/* Does the request ask to follow a topic? */
bool sv_api_is_watch(const struct sv_api_request *req, enum sv_topic *topic);

/* Does it ask for an environment, and may it? Then what that needs is read first, see manager.h. */
bool sv_api_is_env(const struct sv_api_request *req);
int sv_api_lease(const struct sv_api_context *x, const struct sv_api_request *req,
		 void (*ready)(void *arg), void *arg, struct sv_env_lease *ret);

/*
 * The JSON of a topic's objects: of volumes, by namespace, Pod and name, and of events those of a
 * namespace and Pod, NULL for all. @fn gets NULL where there is no memory.
 */
void sv_api_each(const struct sv_manager *m, enum sv_topic topic, const char *ns, const char *pod,
		 void (*fn)(void *arg, struct json_object *o), void *arg);
bool sv_api_matches(const char *ns, const char *pod, const char *want_ns, const char *want_pod);

/* An argument of the query, NULL if it is absent or empty. */
const char *sv_api_argument(const struct sv_api_request *req, const char *name);

#endif
