/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed - changes as JSON lines, for those who watch
 *
 * A ring of the last lines of each topic: at most SV_FEED_SIZE, and SV_FEED_BYTES of them
 * together (the last one stays whatever its size). A reader remembers the number of the
 * next line it wants; one that falls behind the ring has lost lines and must start anew.
 * Nothing is formatted while nobody reads.
 */
#ifndef SV_DAEMON_FEED_H
#define SV_DAEMON_FEED_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

#define SV_FEED_SIZE 8192         /* lines of a topic */
#define SV_FEED_BYTES (16U << 20) /* of a topic */

enum sv_topic { SV_TOPIC_VOLUMES, SV_TOPIC_PODS, SV_TOPIC_EVENTS, SV_N_TOPICS };

/* What a reader gets: a line, and whose it is, so that nobody has to take the line apart. */
struct sv_feed_entry {
	char *line;     /* NULL: there was no memory for it */
	char *ns, *pod; /* the object's members of these names; NULL: it has none */
};

struct sv_feed {
	struct {
		struct sv_feed_entry *entries; /* ring, made with the first reader */
		uint64_t next;                 /* number of the line to come */
		uint64_t first;                /* number of the oldest line that is kept */
		size_t bytes;                  /* of all that are kept */
		unsigned readers;
	} topics[SV_N_TOPICS];
	void (*wake)(void *arg); /* lines were added; may be NULL */
	void *arg;
};

/* A reader comes; *pos is where its reading starts. Return: 0 or -ENOMEM. */
int sv_feed_join(struct sv_feed *f, enum sv_topic topic, uint64_t *pos);
void sv_feed_leave(struct sv_feed *f, enum sv_topic topic);
bool sv_feed_has_readers(const struct sv_feed *f, enum sv_topic topic);

/*
 * Add {"type": …, "object": …}. The tree is taken. Where there is no memory for it, which NULL says
 * too, every reader has lost a line.
 */
void sv_feed_add(struct sv_feed *f, enum sv_topic topic, const char *type,
		 struct json_object *object);

/* The next entry for a reader, borrowed, or NULL. *lost is set if lines are missing there. */
const struct sv_feed_entry *sv_feed_next(const struct sv_feed *f, enum sv_topic topic,
					 uint64_t *pos, bool *lost);

/* {"type": …, "object": …}\n as a string to be freed. The tree is taken. NULL for lack of memory. */
char *sv_feed_line(const char *type, struct json_object *object);

void sv_feed_done(struct sv_feed *f);

#endif
