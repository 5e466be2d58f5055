/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print - JSON, YAML, tables, ages and colours, as kubectl shows them
 *
 * Whatever is printed here came from manifests: it leaves as printable text on one line.
 */
#ifndef SV_CTL_PRINT_H
#define SV_CTL_PRINT_H

#include <json-c/json_object.h>
#include <json-c/linkhash.h> /* json_object_object_foreach() needs it */
#include <time.h>

#include "ctl.h"

/* JSON of a tree: indented by four and ending with a line feed, or on one line without. */
void sv_print_json(struct sv_buf *out, struct json_object *tree, bool pretty);

/* YAML of a tree, one document without marks. */
void sv_print_yaml(struct sv_buf *out, struct json_object *tree);

/* Print a tree in one of the two and a line feed on stdout. */
void sv_print_tree(struct json_object *tree, bool yaml);

#define SV_AGE_MAX 48

/* "45s", "5m3s", "3h", "3d4h", "120d". */
void sv_duration_words(char words[SV_AGE_MAX], int64_t seconds);

/* Seconds since the epoch of an RFC 3339 time. False if it is none. */
bool sv_time_parse(const char *text, int64_t *ret);

/* Age of an RFC 3339 time; "" if there is no time, "<invalid>" if it is none or well in the future. */
void sv_age(char words[SV_AGE_MAX], const char *rfc3339);

/* Escape sequences for a state's word: "" without a terminal. */
const char *sv_colour_of(const char *state);
const char *sv_colour_end(const char *colour);

struct sv_cell {
	char *text;
	const char *colour;
};

struct sv_table {
	const char *const *heads; /* borrowed */
	size_t n_cols;
	bool no_headers, shown; /* shown: the heads were printed, widths stay */
	unsigned indent;
	size_t *widths;
	struct sv_cell *cells; /* row after row, not printed yet */
	size_t n_cells, cap;
};

/* @heads end with NULL and are borrowed. */
void sv_table_init(struct sv_table *t, const char *const *heads, unsigned indent);
void sv_table_done(struct sv_table *t);

/* The next cell of the row; "" shows as "<none>". A row is full when it has as many as there are heads. */
void sv_table_add(struct sv_table *t, const char *text);
void sv_table_addf(struct sv_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sv_table_add_state(struct sv_table *t, const char *state);

/* Print the rows that were added since, under the heads the first time. */
void sv_table_show(struct sv_table *t);

#define sv_autotable __attribute__((cleanup(sv_table_done)))

#endif
