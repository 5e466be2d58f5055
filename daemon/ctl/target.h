/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target - which objects does the user mean?
 *
 * Kinds by their long and short names; "POD/VOLUME", "NAMESPACE/POD", -n and -A; also kubectl's
 * "pod/NAME". Everything is matched here, whatever the daemon filters.
 */
#ifndef SV_CTL_TARGET_H
#define SV_CTL_TARGET_H

#include <json-c/json_object.h>

#include "ctl.h"

enum sv_target_kind { SV_TARGET_VOLUME, SV_TARGET_POD, SV_TARGET_SECRET, SV_N_TARGETS };

const char *sv_target_singular(enum sv_target_kind kind); /* "volume" */
const char *sv_target_plural(enum sv_target_kind kind);   /* "volumes" */

struct sv_target {
	enum sv_target_kind kind;
	char *ns;   /* NULL: every namespace */
	char *name; /* of the object, NULL: every one */
	char *pod;  /* of a volume that has a name, else NULL */
};

/**
 * sv_target_parse() - read KIND [NAME] and the options -n and -A
 * @kinds:     the last kind that is allowed here: kinds up to it are
 * @need_name: a NAME must be there
 *
 * Return: 0 or SV_EXIT_USAGE, and the text is printed then. sv_target_done() in either case.
 */
int sv_target_parse(int argc, char **argv, enum sv_target_kind last, bool need_name,
		    struct sv_target *ret);
void sv_target_done(struct sv_target *t);

#define sv_autotarget __attribute__((cleanup(sv_target_done)))

/* Is it what the user means? @object is an element of the kind's list. */
bool sv_target_has(const struct sv_target *t, struct json_object *object);

/* "/v1/volumes?namespace=…&pod=…&watch=1"; owned by the caller. */
char *sv_target_path(const struct sv_target *t, bool watch);

/* "default/mypod/foo"; owned by the caller. */
char *sv_target_words(const struct sv_target *t);

/* `pod "x" not found in namespace "default"`. Return: SV_EXIT_NOT_FOUND. */
int sv_target_not_found(const struct sv_target *t);

#endif
