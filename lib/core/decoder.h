/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decoder - the walk that decode_secret and decode_pod share
 *
 * A decoder knows the field path and line of where it stands. Readers take a
 * field of an object; `go` is the field's name in Kubernetes' Go types, which
 * the API server's decode errors show. Absent and null are the same (R29).
 * A reader returns 0, SV_DECODE_E_INVALID after a complaint, or -ENOMEM.
 */
#ifndef SV_CORE_DECODER_H
#define SV_CORE_DECODER_H

#include "../base/text.h"
#include "decode.h"

struct sv_decoder {
	const char *kind; /* "Pod", for texts */
	const struct sv_decode_opts *opts;
	struct sv_complaints *c;
	struct sv_buf path;
	unsigned line;
};

struct sv_place { /* where a decoder stood */
	size_t len;
	unsigned line;
};

/* Step into a field, an element, or a map's key; sv_leave() goes back. @node may be NULL. */
struct sv_place sv_enter(struct sv_decoder *d, const char *field, struct json_object *node);
struct sv_place sv_enter_index(struct sv_decoder *d, size_t i, struct json_object *node);
struct sv_place sv_enter_key(struct sv_decoder *d, const char *key, struct json_object *node);
void sv_leave(struct sv_decoder *d, struct sv_place place);

/* Complain about the field (or, with NULL, the place) where the decoder stands. */
void sv_reject(struct sv_decoder *d, enum sv_category category, const char *field,
	       const char *value, const char *detail);
void sv_reject_int(struct sv_decoder *d, const char *field, long long value, const char *detail);
/* A list or map has too many members, which ends the walk. Return: SV_DECODE_E_INVALID. */
int sv_reject_many(struct sv_decoder *d, const char *field, size_t n, size_t max);
/* A decode error, which ends the walk. Return: SV_DECODE_E_INVALID. */
int sv_reject_type(struct sv_decoder *d, const char *field, const char *go, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The node of a field: NULL if absent or null, else of the type asked for; borrowed. */
int sv_read_object(struct sv_decoder *d, struct json_object *from, const char *field,
		   const char *go, struct json_object **ret);
int sv_read_list(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		 struct json_object **ret);
/* Element @i of a list as an object; null reads as an empty object. */
int sv_read_element(struct sv_decoder *d, struct json_object *list, size_t i, const char *go,
		    struct json_object **ret);
size_t sv_list_len(struct json_object *list); /* 0 for NULL */

/* Scalars: @ret is left alone when the field is absent. Strings are owned by the caller. */
int sv_read_string(struct sv_decoder *d, struct json_object *from, const char *field,
		   const char *go, char **ret);
int sv_read_bool(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		 bool *ret);
int sv_read_int32(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		  int64_t *ret);
int sv_read_int64(struct sv_decoder *d, struct json_object *from, const char *field, const char *go,
		  int64_t *ret);
/* A map of strings: only the types are checked. */
int sv_check_string_map(struct sv_decoder *d, struct json_object *from, const char *field,
			const char *go);

/* metadata of any object: name and namespace ("default" if absent), both checked; uid, resourceVersion. */
struct sv_meta {
	char *ns, *name, *uid, *resource_version;
	struct json_object *node; /* borrowed; NULL if there is no metadata */
};
int sv_read_meta(struct sv_decoder *d, struct json_object *tree, struct sv_meta *ret);
void sv_meta_done(struct sv_meta *m);

#define sv_autometa __attribute__((cleanup(sv_meta_done)))

#endif
