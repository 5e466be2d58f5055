/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/text.h"

int sv_feed_join(struct sv_feed *f, enum sv_topic topic, uint64_t *pos)
{
	if (!f->topics[topic].lines) {
		f->topics[topic].lines = calloc(SV_FEED_SIZE, sizeof(char *));
		if (!f->topics[topic].lines)
			return -ENOMEM;
	}
	f->topics[topic].readers++;
	*pos = f->topics[topic].next;
	return 0;
}

static void clear(struct sv_feed *f, enum sv_topic topic)
{
	size_t i;

	for (i = 0; f->topics[topic].lines && i < SV_FEED_SIZE; i++)
		free(f->topics[topic].lines[i]);
	free(f->topics[topic].lines);
	f->topics[topic].lines = NULL;
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
	char *line = NULL;

	if (o && object) {
		json_object_object_add(o, "type", json_object_new_string(type));
		json_object_object_add(o, "object", object);
		line = sv_asprintf("%s\n", json_object_to_json_string_ext(
						   o, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	} else {
		json_object_put(object);
	}
	json_object_put(o);
	return line;
}

static void drop_oldest(struct sv_feed *f, enum sv_topic topic)
{
	char **slot = &f->topics[topic].lines[f->topics[topic].first++ % SV_FEED_SIZE];

	f->topics[topic].bytes -= strlen(*slot);
	free(*slot);
	*slot = NULL;
}

void sv_feed_add(struct sv_feed *f, enum sv_topic topic, const char *type,
		 struct json_object *object)
{
	char *line = object ? sv_feed_line(type, object) : NULL;
	size_t len;

	if (!line || !f->topics[topic].lines) {
		free(line);
		return;
	}
	len = strlen(line);
	while (f->topics[topic].next > f->topics[topic].first &&
	       (f->topics[topic].next - f->topics[topic].first == SV_FEED_SIZE ||
		f->topics[topic].bytes + len > SV_FEED_BYTES))
		drop_oldest(f, topic);
	f->topics[topic].lines[f->topics[topic].next++ % SV_FEED_SIZE] = line;
	f->topics[topic].bytes += len;
	if (f->wake)
		f->wake(f->arg);
}

const char *sv_feed_next(const struct sv_feed *f, enum sv_topic topic, uint64_t *pos, bool *lost)
{
	uint64_t next = f->topics[topic].next;

	*lost = *pos < f->topics[topic].first;
	if (*lost || *pos == next)
		return NULL;
	return f->topics[topic].lines[(*pos)++ % SV_FEED_SIZE];
}

void sv_feed_done(struct sv_feed *f)
{
	int t;

	for (t = 0; t < SV_N_TOPICS; t++)
		clear(f, (enum sv_topic)t);
}
