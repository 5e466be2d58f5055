/* SPDX-License-Identifier: Apache-2.0 */
#include "kube_problems.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/base/strmap.h"
#include "../../lib/base/text.h"
#include "../log.h"
#include "../manager.h"

struct problem {
	char *key; /* "KIND NS/NAME" */
	const char *kind, *reason;
	char *ns, *name, *message;
	int64_t since_ms;
};

static void problem_free(struct problem *p)
{
	free(p->key);
	free(p->ns);
	free(p->name);
	free(p->message);
	free(p);
}

void sv_kube_problems_clear(struct sv_kube_problems *p, const char *kind, const char *ns,
			    const char *name)
{
	size_t i;

	/* They are few; a key would take memory, and what is over has to go all the same. */
	for (i = 0; i < p->items.n; i++) {
		struct problem *old = p->items.entries[i].value;

		if (strcmp(old->kind, kind) != 0 || strcmp(old->ns, ns) != 0 ||
		    strcmp(old->name, name) != 0)
			continue;
		sv_strmap_remove(&p->items, old->key);
		problem_free(old);
		return;
	}
}

static struct problem *make(const char *kind, const char *ns, const char *name, const char *reason,
			    const char *message)
{
	struct problem *new = calloc(1, sizeof(*new));

	if (!new)
		return NULL;
	*new = (struct problem){ sv_asprintf("%s %s/%s", kind, ns, name),
				 kind,
				 reason,
				 strdup(ns),
				 strdup(name),
				 strdup(message),
				 sv_unix_ms() };
	if (new->key &&new->ns &&new->name &&new->message)
		return new;
	problem_free(new);
	return NULL;
}

void sv_kube_problems_set(struct sv_kube_problems *p, const char *kind, const char *ns,
			  const char *name, const char *reason, const char *message)
{
	struct problem *new = make(kind, ns, name, reason, message);
	struct problem *old = new ? sv_strmap_get(&p->items, new->key) : NULL;

	if (old && strcmp(old->reason, reason) == 0 && strcmp(old->message, message) == 0) {
		problem_free(new);
		return;
	}
	if (!new || sv_strmap_put(&p->items, new->key, new) < 0) {
		if (new)
			problem_free(new);
		sv_log_err("%s: out of memory", p->server);
		return;
	}
	if (old)
		problem_free(old);
	sv_log_event(
		SV_LOG_WARNING, &(struct sv_log_fields){ .id = SV_LOG_SOURCE, .reason = reason },
		"%s: %s %s%s%s: %s", p->server, kind, ns, *ns && *name ? "/" : "", name, message);
}

void sv_kube_problems_each(const struct sv_kube_problems *p, sv_problem_fn fn, void *arg)
{
	struct sv_problem out = sv_problem_about("kubernetes", p->server);
	size_t i;

	for (i = 0; i < p->items.n; i++) {
		const struct problem *in = p->items.entries[i].value;

		out.kind = in->kind;
		out.ns = in->ns;
		out.name = in->name;
		out.reason = in->reason;
		out.message = in->message;
		out.since_ms = in->since_ms;
		fn(arg, &out);
	}
}

void sv_kube_problems_done(struct sv_kube_problems *p)
{
	size_t i;

	for (i = 0; i < p->items.n; i++)
		problem_free(p->items.entries[i].value);
	sv_strmap_done(&p->items);
}
