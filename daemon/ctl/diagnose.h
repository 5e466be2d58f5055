/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose - why is a volume not there, or not new, and what is to be done?
 *
 * Works on what the daemon says: nothing here asks it.
 */
#ifndef SV_CTL_DIAGNOSE_H
#define SV_CTL_DIAGNOSE_H

#include "api.h"

/* What the daemon says beside the object itself: borrowed. */
struct sv_about {
	struct json_object *status, *secrets, *events; /* lists, but for the status */
};

/* Are two members the same text? */
bool sv_same(struct json_object *a, const char *ka, struct json_object *b, const char *kb);

/* The Secret that a volume means by a name, of the volume's namespace and source, or NULL. */
struct json_object *sv_about_secret(const struct sv_about *x, struct json_object *volume,
				    const char *name);

/* The problem that a manifest has with an object, or NULL. */
struct json_object *sv_about_problem(const struct sv_about *x, const char *kind, const char *ns,
				     const char *name);

/* Print what is not as one may expect, though the state need not say so. */
void sv_diagnose_findings(const struct sv_about *x, struct json_object *volume);

/* Print for what manifests are refused that a pod or volume comes from, or may come from. */
void sv_diagnose_manifests(const struct sv_about *x, struct json_object *object, const char *pod);

/* What to do next, in one line; owned by the caller, not escaped. */
char *sv_diagnose_next_step(const struct sv_about *x, struct json_object *volume);

#endif
