/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api - what the daemon says, as json-c trees
 *
 * Members that are absent or of another type read as empty: the daemon may be older or newer.
 */
#ifndef SV_CTL_API_H
#define SV_CTL_API_H

#include <json-c/json_object.h>
#include <json-c/linkhash.h> /* json_object_object_foreach() needs it */
#include <stdint.h>

#include "ctl.h"

/* Get a path's tree. Return: an exit code; text is printed unless it is 0. @ret is owned. */
int sv_api_get(const char *path, struct json_object **ret);

/* POST a body. The same results; a refusal (409) is SV_EXIT_NOT_PUBLISHED, a 404 SV_EXIT_NOT_FOUND. */
int sv_api_post(const char *path, const char *body, struct json_object **ret);

/* sv_api_get(), printing nothing: sv_api_error() has the text. */
int sv_api_try(const char *path, struct json_object **ret);

/* Has the daemon read its sources? One that has just started knows of nothing: that is not "gone". */
bool sv_api_is_ready(void);

/* sv_api_get() for a list: *ret is the list, *items its array, borrowed from it. */
int sv_api_list(const char *path, struct json_object **ret, struct json_object **items);

/* Called with each line of a watch; @type is "ADDED"…, @object never NULL. Return 0 to go on. */
typedef int (*sv_api_watch_fn)(void *arg, const char *type, struct json_object *object,
			       struct json_object *line);

enum sv_watch_end {
	SV_WATCH_STOPPED,     /* the callback asked for it */
	SV_WATCH_TIMEOUT,     /* the time is over */
	SV_WATCH_ENDED,       /* the daemon ended it, as it does when it stops */
	SV_WATCH_UNREACHABLE, /* no daemon */
	SV_WATCH_BUSY,        /* the daemon has no room for it just now */
	SV_WATCH_FAILED,      /* it makes no sense to go on */
};

/**
 * sv_api_watch() - follow a list
 * @path:       with its query, watch=1 in it
 * @timeout_ms: 0 for none
 *
 * Prints nothing; sv_api_error() has the text.
 */
enum sv_watch_end sv_api_watch(const char *path, long timeout_ms, sv_api_watch_fn fn, void *arg);

/* One line about what went wrong last; borrowed. */
const char *sv_api_error(void);

/* Watch until the callback stops it: anything else is printed. Return: an exit code. */
int sv_api_follow(const char *path, sv_api_watch_fn fn, void *arg);

void sv_api_done(void);

/* "a b/c" as part of a URL's query; owned by the caller, never NULL. */
char *sv_api_quote(const char *text);

const char *sv_str(struct json_object *o, const char *key);            /* "" */
int64_t sv_int(struct json_object *o, const char *key);                /* 0 */
bool sv_bool(struct json_object *o, const char *key);                  /* false */
struct json_object *sv_member(struct json_object *o, const char *key); /* NULL */

/* Elements of an array member: 0 if it is none. */
size_t sv_count(struct json_object *o, const char *key);
struct json_object *sv_element(struct json_object *o, const char *key, size_t i);

static inline void sv_cleanup_tree(struct json_object **o)
{
	json_object_put(*o);
}
#define sv_autotree __attribute__((cleanup(sv_cleanup_tree)))

#endif
