/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load - manifest files read without a daemon, as the daemon would read them
 */
#ifndef SV_CTL_LOAD_H
#define SV_CTL_LOAD_H

#include "../../lib/base/strmap.h"
#include "../../lib/core/catalog.h"
#include "../../lib/core/plan.h"
#include "ctl.h"

#define SV_LOAD_VOLUME_MAX ((size_t)16 << 20) /* bytes: the daemon's default limits */
#define SV_LOAD_MANIFEST_MAX ((size_t)4 << 20)

struct sv_findings {
	struct sv_problem *items; /* their strings are owned, but for the source; since 0 */
	size_t n;
};

struct sv_load {
	struct sv_catalog *catalog;
	struct sv_findings findings; /* in the order of files and lines */
	struct sv_strmap places;     /* "NS/NAME" of a Pod to where it stands */
};

/**
 * sv_load() - read files and directories
 * @paths: of the option -f
 * @ret:   what is in them; sv_load_done() in either case
 *
 * Return: an exit code; text is printed unless it is 0. What is wrong in the files is no failure.
 */
int sv_load(const struct sv_list *paths, struct sv_load *ret);
void sv_load_done(struct sv_load *l);

#define sv_autoload __attribute__((cleanup(sv_load_done)))

/* Add a finding about a Pod, at the place where it stands. */
void sv_load_find(struct sv_load *l, const struct sv_pod *pod, const char *reason, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));

/* Sort them by file and line; those of one line keep their order. */
void sv_load_sort(struct sv_load *l);

/* "FILE:LINE: Pod default/x: message"; owned by the caller, not escaped. */
char *sv_finding_text(const struct sv_problem *f);

/* The message without "line N: ", where the line stands in front of it anyway; borrowed. */
const char *sv_without_line(const char *message, unsigned line);

/* Secrets of the files, for sv_plan_make(); @load is a struct sv_load. */
int sv_load_secret(void *load, const char *ns, const char *name, struct sv_secret **ret,
		   struct sv_err *err);

#endif
