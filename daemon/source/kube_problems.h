/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_problems - what is wrong with objects of an API server, for as long as it is
 *
 * A complaint that stands for each object, and for each selection as a whole
 * (then without a name). A new one is logged, a repeated one is not.
 */
#ifndef SV_DAEMON_SOURCE_KUBE_PROBLEMS_H
#define SV_DAEMON_SOURCE_KUBE_PROBLEMS_H

#include "../../lib/base/strmap.h"
#include "../../lib/core/catalog.h"

struct sv_kube_problems {
	struct sv_strmap items;
	const char *server; /* for logs and reports; borrowed */
};

/* @kind and @reason are constants; @ns and @name may be "". */
void sv_kube_problems_set(struct sv_kube_problems *p, const char *kind, const char *ns,
			  const char *name, const char *reason, const char *message);
void sv_kube_problems_clear(struct sv_kube_problems *p, const char *kind, const char *ns,
			    const char *name);
void sv_kube_problems_each(const struct sv_kube_problems *p, sv_problem_fn fn, void *arg);
void sv_kube_problems_done(struct sv_kube_problems *p);

#endif
