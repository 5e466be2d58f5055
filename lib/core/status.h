/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status - what is known to JSON, as the status socket shows it
 *
 * Key names and sizes, never values. Field names and their meaning are a
 * contract; fields may be added. All functions return a new tree, or NULL for lack of memory;
 * see tree.h for one in which something is missing.
 */
#ifndef SV_CORE_STATUS_H
#define SV_CORE_STATUS_H

#include <json-c/json_object.h>

#include "actual.h"
#include "catalog.h"
#include "desired.h"
#include "handout.h"
#include "tree.h"

#define SV_STATUS_VERSION "secretvold/v1"

/* What a report needs besides the state. */
struct sv_status_env {
	const char *root; /* of the paths */
	int64_t now_ms;   /* monotonic */
	int64_t unix_ms;  /* the same moment */
};

struct json_object *sv_status_volume(const struct sv_desired *d, const struct sv_actual *a,
				     const struct sv_status_env *env);
/* A Pod that is wanted. */
struct json_object *sv_status_pod(const struct sv_desired *d, const struct sv_actuals *s,
				  const struct sv_handouts *handouts,
				  const struct sv_desired_pod *p);
/* A Pod of which only volumes are known: they are being taken down, or wait for the sources' word. */
struct json_object *sv_status_gone_pod(const struct sv_actuals *s, const struct sv_actual *a);
struct json_object *sv_status_secret(const struct sv_desired_secret *s);
struct json_object *sv_status_problem(const struct sv_problem *p);

/* {"apiVersion", "kind", "items": []}: the list to add to is returned in @items, borrowed. */
struct json_object *sv_status_list(const char *kind, struct json_object **items);

#endif
