/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - JSON trees that know whether they are whole, and their text
 *
 * json-c leaves out what there is no memory for, in a tree and in its text. What is built with
 * these has a text only if nothing is missing: no answer is better than a part of one.
 */
#ifndef SV_CORE_TREE_H
#define SV_CORE_TREE_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Add a value, which is taken over. NULL stands for one that there was no memory for: the tree is
 * not whole then. @o may be NULL; whoever adds it somewhere makes that incomplete. A key has to be
 * a constant: it is not copied.
 */
void sv_json_add(struct json_object *o, const char *key, struct json_object *value);
void sv_json_append(struct json_object *list, struct json_object *value);

/* Add a member of a kind; a NULL @value, or time 0, becomes null. */
void sv_json_text(struct json_object *o, const char *key, const char *value);
void sv_json_time(struct json_object *o, const char *key, int64_t unix_ms);
void sv_json_int(struct json_object *o, const char *key, int64_t value);
void sv_json_bool(struct json_object *o, const char *key, bool value);

/* RFC 3339 in UTC, whole seconds; "" for 0. */
void sv_status_time(int64_t unix_ms, char text[32]);

bool sv_json_is_whole(struct json_object *tree); /* false for NULL */

/* On one line, without blanks. A new string; NULL if the tree is not whole, or for lack of memory. */
char *sv_json_print(struct json_object *tree);
char *sv_json_line(struct json_object *tree); /* the same, and a newline */

#endif
