/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "stream.h"

#include <errno.h>
#include <string.h>

enum {
	OUTSIDE, /* before an object. What is read here is not kept */
	OBJECT,  /* in an object that the sink is to get */

	/* In the outer object of a list: what is read here is its rest. */
	FIRST_KEY, /* before a key or the end */
	NEXT_KEY,  /* before a key */
	KEY,       /* in one */
	COLON,
	VALUE,  /* before a value */
	SCALAR, /* in a number or a word */
	NESTED, /* in any other value */
	COMMA,  /* before a comma or the end */

	/* In "items", between elements: not kept. */
	FIRST_ELEMENT,
	NEXT_ELEMENT,
	ELEMENT_COMMA,

	AFTER, /* the list has ended */
};

static const char ITEMS[] = "items";

/* The piece that is being fed. */
struct piece {
	const char *p, *end;
	const char *mark; /* what stands before this is kept, or need not be */
};

void sv_stream_init(struct sv_stream *s, enum sv_stream_mode mode, size_t limit,
		    const struct sv_stream_sink *sink, void *arg)
{
	*s = (struct sv_stream){ .mode = mode, .limit = limit, .sink = *sink, .arg = arg };
}

void sv_stream_done(struct sv_stream *s)
{
	sv_buf_done(&s->object);
	sv_buf_done(&s->rest);
}

/* ---- what is kept -------------------------------------------------------------------------- */

static int add(struct sv_buf *b, const char *ptr, size_t len)
{
	sv_buf_add(b, ptr, len);
	return b->failed ? -ENOMEM : 0;
}

/* Of an object over the limit only the head stays. */
static int keep_head(struct sv_stream *s, const char *ptr, size_t len)
{
	struct sv_buf head = { 0 };
	int r;

	if (s->object.len <= SV_STREAM_HEAD_MAX) {
		size_t room = SV_STREAM_HEAD_MAX - s->object.len;

		return add(&s->object, ptr, len < room ? len : room);
	}
	r = add(&head, s->object.ptr, SV_STREAM_HEAD_MAX);
	sv_buf_done(&s->object);
	s->object = head;
	return r;
}

/* Keep what was read since the mark, where the state asks for it. */
static int keep(struct sv_stream *s, struct piece *f)
{
	const char *ptr = f->mark;
	size_t len = (size_t)(f->p - f->mark);

	f->mark = f->p;
	if (s->state == OBJECT) {
		s->object_len += len;
		return s->object_len <= s->limit ? add(&s->object, ptr, len) :
						   keep_head(s, ptr, len);
	}
	if (s->state < FIRST_KEY || s->state > COMMA)
		return 0;
	return len > SV_STREAM_REST_MAX - s->rest.len ? SV_STREAM_E_LIMIT : add(&s->rest, ptr, len);
}

/* An object that began and ended in one piece is handed on from there, without a copy. */
static int hand_on(struct sv_stream *s, struct piece *f)
{
	size_t len = (size_t)(f->p - f->mark);
	int r;

	if (s->object_len == 0 && len <= s->limit)
		return s->sink.object(s->arg, f->mark, len);
	r = keep(s, f);
	if (r)
		return r;
	if (s->object_len <= s->limit)
		return s->sink.object(s->arg, s->object.ptr, s->object.len);
	if (s->sink.too_large)
		s->sink.too_large(s->arg, s->object.ptr, s->object.len);
	return 0;
}

/* ---- where things end ---------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_scalar(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '+' || c == '.';
}

/* To the end of a string: a quote behind an even number of backslashes. */
static void skip_string(struct sv_stream *s, struct piece *f)
{
	const char *from = f->p;

	if (s->escaped) {
		s->escaped = false;
		from = ++f->p;
	}
	for (;;) {
		const char *quote = memchr(from, '"', (size_t)(f->end - from));
		const char *stop = quote ? quote : f->end, *b = stop;

		while (b > from && b[-1] == '\\')
			b--;
		s->escaped = (stop - b) % 2 != 0;
		f->p = quote ? quote + 1 : f->end;
		if (!quote)
			return;
		if (!s->escaped) {
			s->in_string = false;
			return;
		}
		from = f->p; /* the quote was what is escaped */
	}
}

static int open_bracket(struct sv_stream *s, char closer)
{
	if (s->depth == SV_TREE_DEPTH_MAX)
		return SV_STREAM_E_LIMIT;
	s->closers[s->depth++] = closer;
	return 0;
}

/* Takes one byte that has a meaning outside of strings. */
static int take(struct sv_stream *s, char c)
{
	switch (c) {
	case '"':
		s->in_string = true;
		return 0;
	case '{':
		return open_bracket(s, '}');
	case '[':
		return open_bracket(s, ']');
	default:
		return s->closers[--s->depth] == c ? 0 : SV_STREAM_E_SYNTAX;
	}
}

/* To the end of the piece, or of the value in which it begins, and then *ended is set. */
static int skip_nested(struct sv_stream *s, struct piece *f, bool *ended)
{
	static const bool special[256] = {
		['"'] = true, ['{'] = true, ['}'] = true, ['['] = true, [']'] = true
	};

	*ended = false;
	while (f->p < f->end) {
		int r;

		if (s->in_string) {
			skip_string(s, f);
		} else {
			while (f->p < f->end && !special[(unsigned char)*f->p])
				f->p++;
			if (f->p == f->end)
				return 0;
			r = take(s, *f->p++);
			if (r)
				return r;
		}
		if (s->depth == 0 && !s->in_string) {
			*ended = true;
			return 0;
		}
	}
	return 0;
}

/* ---- states -------------------------------------------------------------------------------- */

static int begin_object(struct sv_stream *s, struct piece *f)
{
	if (*f->p != '{')
		return SV_STREAM_E_SYNTAX;
	f->mark = f->p;
	s->state = OBJECT;
	return 0;
}

static int in_object(struct sv_stream *s, struct piece *f)
{
	bool ended;
	int r = skip_nested(s, f, &ended);

	if (r || !ended)
		return r;
	r = hand_on(s, f);
	sv_buf_done(&s->object); /* streams wait for long, so nothing is held in the meantime */
	s->object_len = 0;
	f->mark = f->p;
	s->state = s->mode == SV_STREAM_WATCH ? OUTSIDE : ELEMENT_COMMA;
	return r;
}

static int begin(struct sv_stream *s, struct piece *f)
{
	int r = begin_object(s, f);

	if (r == 0 && s->mode == SV_STREAM_LIST) {
		f->p++;
		s->state = FIRST_KEY;
	}
	return r;
}

static int end_list(struct sv_stream *s, struct piece *f)
{
	int r;

	f->p++;
	r = keep(s, f);
	s->state = AFTER;
	return r;
}

static int before_key(struct sv_stream *s, struct piece *f)
{
	if (*f->p == '}' && s->state == FIRST_KEY)
		return end_list(s, f);
	if (*f->p != '"')
		return SV_STREAM_E_SYNTAX;
	f->p++;
	s->key_matched = 0;
	s->state = KEY;
	return 0;
}

static int in_key(struct sv_stream *s, struct piece *f)
{
	char c = *f->p++;

	if (c == '\\')
		return SV_STREAM_E_SYNTAX;
	if (c == '"')
		s->state = COLON;
	else if (s->key_matched < sizeof(ITEMS) && c == ITEMS[s->key_matched])
		s->key_matched++;
	else
		s->key_matched = sizeof(ITEMS); /* more than a match */
	return 0;
}

static int before_items(struct sv_stream *s, struct piece *f)
{
	int r = 0;

	if (s->items_seen)
		return SV_STREAM_E_SYNTAX;
	s->items_seen = true;
	if (*f->p == 'n') { /* null, or nothing that whoever parses the rest would take */
		s->state = SCALAR;
	} else if (*f->p == '[') {
		f->p++;
		r = keep(s, f);
		s->state = FIRST_ELEMENT;
	} else {
		r = SV_STREAM_E_SYNTAX;
	}
	return r;
}

static int before_value(struct sv_stream *s, struct piece *f)
{
	if (s->key_matched == sizeof(ITEMS) - 1)
		return before_items(s, f);
	if (*f->p == '"' || *f->p == '{' || *f->p == '[')
		s->state = NESTED;
	else if (is_scalar(*f->p))
		s->state = SCALAR;
	else
		return SV_STREAM_E_SYNTAX;
	return 0;
}

static int in_nested(struct sv_stream *s, struct piece *f)
{
	bool ended;
	int r = skip_nested(s, f, &ended);

	if (ended)
		s->state = COMMA;
	return r;
}

static int before_comma(struct sv_stream *s, struct piece *f)
{
	if (*f->p == '}')
		return end_list(s, f);
	if (*f->p != ',')
		return SV_STREAM_E_SYNTAX;
	f->p++;
	s->state = NEXT_KEY;
	return 0;
}

static int between_elements(struct sv_stream *s, struct piece *f)
{
	if (*f->p == ']' && s->state != NEXT_ELEMENT) {
		f->mark = f->p++;
		s->state = COMMA;
		return 0;
	}
	if (s->state != ELEMENT_COMMA)
		return begin_object(s, f);
	if (*f->p != ',')
		return SV_STREAM_E_SYNTAX;
	f->p++;
	s->state = NEXT_ELEMENT;
	return 0;
}

/* One step forward: at least a byte or a state. */
static int step(struct sv_stream *s, struct piece *f)
{
	switch (s->state) {
	case OBJECT:
		return in_object(s, f);
	case NESTED:
		return in_nested(s, f);
	case KEY:
		return in_key(s, f);
	case SCALAR:
		if (is_scalar(*f->p))
			f->p++;
		else
			s->state = COMMA;
		return 0;
	default:
		break;
	}
	if (is_space(*f->p)) {
		f->p++;
		return 0;
	}
	switch (s->state) {
	case OUTSIDE:
		return begin(s, f);
	case FIRST_KEY:
	case NEXT_KEY:
		return before_key(s, f);
	case COLON:
		s->state = VALUE;
		return *f->p++ == ':' ? 0 : SV_STREAM_E_SYNTAX;
	case VALUE:
		return before_value(s, f);
	case COMMA:
		return before_comma(s, f);
	case FIRST_ELEMENT:
	case NEXT_ELEMENT:
	case ELEMENT_COMMA:
		return between_elements(s, f);
	default: /* AFTER */
		return SV_STREAM_E_SYNTAX;
	}
}

int sv_stream_feed(struct sv_stream *s, const char *ptr, size_t len)
{
	struct piece f = { .p = ptr, .end = ptr + len, .mark = ptr };

	while (s->r == 0 && f.p < f.end)
		s->r = step(s, &f);
	if (f.p > f.mark && s->r >= 0) { /* a limit that was passed before a fault goes first */
		int r = keep(s, &f);

		if (r)
			s->r = r;
	}
	return s->r;
}

int sv_stream_end(struct sv_stream *s, const char **rest, size_t *rest_len)
{
	if (s->r == 0 && s->state != (s->mode == SV_STREAM_WATCH ? OUTSIDE : AFTER))
		s->r = SV_STREAM_E_CUT;
	if (s->r)
		return s->r;
	if (rest)
		*rest = s->rest.ptr ? s->rest.ptr : "";
	if (rest_len)
		*rest_len = s->rest.len;
	return 0;
}
