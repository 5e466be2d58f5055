/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/core/tree.h"

int sv_feed_join(struct sv_feed *f, enum sv_topic topic, uint64_t *pos)
{
	if (!f->topics[topic].entries) {
		f->topics[topic].entries = calloc(SV_FEED_SIZE, sizeof(struct sv_feed_entry));
		if (!f->topics[topic].entries)
			return -ENOMEM;
	}
	f->topics[topic].readers++;
	*pos = f->topics[topic].next;
	return 0;
}

static void entry_done(struct sv_feed_entry *e)
{
	free(e->line);
	free(e->ns);
	free(e->pod);
	*e = (struct sv_feed_entry){ NULL, NULL, NULL };
}

static void clear(struct sv_feed *f, enum sv_topic topic)
{
	size_t i;

	for (i = 0; f->topics[topic].entries && i < SV_FEED_SIZE; i++)
		entry_done(&f->topics[topic].entries[i]);
	free(f->topics[topic].entries);
	f->topics[topic].entries = NULL;
	f->topics[topic].first = f->topics[topic].next;
	f->topics[topic].bytes = 0;
}

void sv_feed_leave(struct sv_feed *f, enum sv_topic topic)
{
	if (--f->topics[topic].readers == 0)
		clear(f, topic);
}

bool sv_feed_has_readers(const struct sv_feed *f, enum sv_topic topic)
{
	return f->topics[topic].readers > 0;
}

char *sv_feed_line(const char *type, struct json_object *object)
{
	struct json_object *o = json_object_new_object();
	char *line;

	sv_json_text(o, "type", type);
	sv_json_add(o, "object", object);
	line = sv_json_line(o);
	json_object_put(o);
	return line;
}

/* A copy of a member's text. Return: false for lack of memory. */
static bool copy_member(struct json_object *object, const char *key, char **ret)
{
	const char *value = json_object_get_string(json_object_object_get(object, key));

	*ret = value ? strdup(value) : NULL;
	return *ret || !value;
}

static void drop_oldest(struct sv_feed *f, enum sv_topic topic)
{
	struct sv_feed_entry *e =
		&f->topics[topic].entries[f->topics[topic].first++ % SV_FEED_SIZE];

	f->topics[topic].bytes -= e->line ? strlen(e->line) : 0;
	entry_done(e);
}

void sv_feed_add(struct sv_feed *f, enum sv_topic topic, const char *type,
		 struct json_object *object)
{
	struct sv_feed_entry made = { NULL, NULL, NULL }; /* without a line: some reader lost it */
	size_t len;

	if (!f->topics[topic].entries) {
		json_object_put(object);
		return;
	}
	if (copy_member(object, "namespace", &made.ns) && copy_member(object, "pod", &made.pod)) {
		made.line = sv_feed_line(type, object);
	} else {
		entry_done(&made);
		json_object_put(object);
	}
	len = made.line ? strlen(made.line) : 0;
	while (f->topics[topic].next > f->topics[topic].first &&
	       (f->topics[topic].next - f->topics[topic].first == SV_FEED_SIZE ||
		f->topics[topic].bytes + len > SV_FEED_BYTES))
		drop_oldest(f, topic);
	f->topics[topic].entries[f->topics[topic].next++ % SV_FEED_SIZE] = made;
	f->topics[topic].bytes += len;
	if (f->wake)
		f->wake(f->arg);
}

const struct sv_feed_entry *sv_feed_next(const struct sv_feed *f, enum sv_topic topic,
					 uint64_t *pos, bool *lost)
{
	uint64_t next = f->topics[topic].next;
	const struct sv_feed_entry *e;

	*lost = *pos < f->topics[topic].first;
	if (*lost || *pos == next)
		return NULL;
	e = &f->topics[topic].entries[(*pos)++ % SV_FEED_SIZE];
	*lost = !e->line;
	return e->line ? e : NULL;
}

void sv_feed_done(struct sv_feed *f)
{
	int t;

	for (t = 0; t < SV_N_TOPICS; t++)
		clear(f, (enum sv_topic)t);
}
