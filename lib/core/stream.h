/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream - an API server's answer, as it arrives, to one JSON text after the other
 *
 * Memory holds one object and not the list. Only as much syntax is looked at as it takes to find
 * where objects end; whoever parses a text finds what else is wrong with it. However the answer
 * is cut into pieces, the same comes out.
 *
 * Answers hold Secrets: what is kept is wiped as soon as it is used, outgrown or left out.
 */
#ifndef SV_CORE_STREAM_H
#define SV_CORE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/text.h"
#include "yaml.h"

#define SV_STREAM_HEAD_MAX 4096    /* bytes that are shown of an object over the limit */
#define SV_STREAM_REST_MAX 1048576 /* bytes of a list outside of its elements */

/* Refusals. The stream stays refused: feeding it again gives the same. */
enum {
	SV_STREAM_E_SYNTAX = 1, /* not JSON, or not of the form that the mode asks for */
	SV_STREAM_E_LIMIT, /* nested too deep (SV_TREE_DEPTH_MAX), or a rest of the list that is too long */
	SV_STREAM_E_CUT, /* the answer ended before what it began was whole */
};

enum sv_stream_mode {
	SV_STREAM_WATCH, /* objects one after another, with white space or nothing between: each is a text */
	SV_STREAM_LIST, /* one object; each element of the array that is its member "items" is a text */
};

struct sv_stream_sink {
	/*
	 * A whole object, '{' to '}'; borrowed for the call, not terminated. A result other than 0
	 * ends the feeding with it: negative, or a code that is none of the above.
	 */
	int (*object)(void *arg, const char *text, size_t len);
	/*
	 * An object over the limit was left out. Its first SV_STREAM_HEAD_MAX bytes, which may hold
	 * values: borrowed for the call. May be NULL.
	 */
	void (*too_large)(void *arg, const char *head, size_t len);
};

struct sv_stream { /* nothing in it is for others */
	enum sv_stream_mode mode;
	size_t limit;
	struct sv_stream_sink sink;
	void *arg;
	int r;     /* what ended the feeding */
	int state; /* where in the answer the next byte stands */
	unsigned depth;
	char closers[SV_TREE_DEPTH_MAX]; /* of the brackets that are open, the innermost last */
	bool in_string, escaped;
	bool items_seen;
	unsigned key_matched; /* bytes of "items" that the key has matched */
	size_t object_len; /* of the object that is being read, as far as it is kept or left out */
	struct sv_buf object; /* the object as far as it is kept */
	struct sv_buf rest;   /* of the list */
};

/* @limit: bytes of an object, over which it is left out without being kept. @sink is copied. */
void sv_stream_init(struct sv_stream *s, enum sv_stream_mode mode, size_t limit,
		    const struct sv_stream_sink *sink, void *arg);

/* Wipes and frees; fine for all zero, and again. Not from within the sink. */
void sv_stream_done(struct sv_stream *s);

/**
 * sv_stream_feed() - take the next piece of the answer
 *
 * Calls the sink for each object that ends in this piece. An element that is not an object, a
 * second "items", and an escape in a key beside "items" (which could spell it) are refused.
 *
 * Return: 0, SV_STREAM_E_SYNTAX, SV_STREAM_E_LIMIT, -ENOMEM, or what the sink returned.
 */
int sv_stream_feed(struct sv_stream *s, const char *ptr, size_t len);

/**
 * sv_stream_end() - the answer has ended
 * @rest:     LIST: the outer object with "items":[] (or null, or none, as it came), for its kind
 *            and metadata; to be parsed, as nothing else has checked it. WATCH: "". Borrowed,
 *            until sv_stream_done(). Written on 0 only; may be NULL
 * @rest_len: its length in bytes; may be NULL
 *
 * Return: 0, SV_STREAM_E_CUT within an object (LIST: without one), or what ended the feeding.
 */
int sv_stream_end(struct sv_stream *s, const char **rest, size_t *rest_len);

#define sv_autostream __attribute__((cleanup(sv_stream_done)))

#endif
