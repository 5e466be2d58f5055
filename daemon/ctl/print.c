/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "print.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- JSON and YAML ---------------------------------------------------------------------- */

static uint32_t code_point(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	uint32_t c = n == 1 ? u[0] : u[0] & (0xffU >> (n + 1));
	size_t i;

	for (i = 1; i < n; i++)
		c = c << 6 | (u[i] & 0x3f);
	return c;
}

/* Characters that a terminal obeys or that turn the text around them; valid in JSON, but not here. */
static bool must_escape(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff;
}

/* A string in double quotes, the same in JSON and in YAML. */
static void add_quoted(struct sv_buf *out, const char *s, size_t len)
{
	size_t i = 0, n;

	sv_buf_puts(out, "\"");
	for (i = 0; i < len; i += n ? n : 1) {
		uint32_t c;

		n = sv_utf8_len(s + i, len - i);
		c = n ? code_point(s + i, n) : 0xfffd;
		if (c == '"' || c == '\\')
			sv_buf_printf(out, "\\%c", (int)c);
		else if (c == '\n')
			sv_buf_puts(out, "\\n");
		else if (c == '\t')
			sv_buf_puts(out, "\\t");
		else if (n == 0 || must_escape(c))
			sv_buf_printf(out, "\\u%04x", (unsigned)c);
		else
			sv_buf_add(out, s + i, n);
	}
	sv_buf_puts(out, "\"");
}

static void add_scalar(struct sv_buf *out, struct json_object *o)
{
	if (json_object_is_type(o, json_type_string))
		add_quoted(out, json_object_get_string(o), (size_t)json_object_get_string_len(o));
	else
		sv_buf_puts(out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

static void new_line(struct sv_buf *out, bool pretty, unsigned depth)
{
	if (pretty)
		sv_buf_printf(out, "\n%*s", (int)depth * 4, "");
}

static void add_json(struct sv_buf *out, struct json_object *o, bool pretty, unsigned depth)
{
	bool first = true;
	size_t i, n;

	if (json_object_is_type(o, json_type_object)) {
		sv_buf_puts(out, "{");
		json_object_object_foreach (o, key, value) {
			if (!first)
				sv_buf_puts(out, ",");
			first = false;
			new_line(out, pretty, depth + 1);
			add_quoted(out, key, strlen(key));
			sv_buf_puts(out, pretty ? ": " : ":");
			add_json(out, value, pretty, depth + 1);
		}
		if (!first)
			new_line(out, pretty, depth);
		sv_buf_puts(out, "}");
	} else if (json_object_is_type(o, json_type_array)) {
		n = json_object_array_length(o);
		sv_buf_puts(out, "[");
		for (i = 0; i < n; i++) {
			if (i > 0)
				sv_buf_puts(out, ",");
			new_line(out, pretty, depth + 1);
			add_json(out, json_object_array_get_idx(o, i), pretty, depth + 1);
		}
		if (n > 0)
			new_line(out, pretty, depth);
		sv_buf_puts(out, "]");
	} else {
		add_scalar(out, o);
	}
}

void sv_print_json(struct sv_buf *out, struct json_object *tree, bool pretty)
{
	add_json(out, tree, pretty, 0);
	if (pretty)
		sv_buf_puts(out, "\n");
}

/* Plain only what no version of YAML reads as anything but a string. */
static bool is_plain(const char *s, size_t len)
{
	static const char *const words[] = { "y",   "n",    "yes",   "no",  "on",
					     "off", "true", "false", "null" };
	size_t i;

	if (len == 0 || strlen(s) != len ||
	    !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz/",
		    s[0]))
		return false;
	for (i = 0; i < len; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-",
			    s[i]))
			return false;
	for (i = 0; i < SV_ARRAY_SIZE(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return false;
	return true;
}

static void add_yaml_string(struct sv_buf *out, const char *s, size_t len)
{
	if (is_plain(s, len))
		sv_buf_add(out, s, len);
	else
		add_quoted(out, s, len);
}

static bool is_full(struct json_object *o)
{
	return (json_object_is_type(o, json_type_object) && json_object_object_length(o) > 0) ||
	       (json_object_is_type(o, json_type_array) && json_object_array_length(o) > 0);
}

/* The cursor stands where the first line of @o begins; later lines are indented by @indent. */
static void add_yaml(struct sv_buf *out, struct json_object *o, unsigned indent)
{
	bool first = true;
	size_t i, n;

	if (is_full(o) && json_object_is_type(o, json_type_object)) {
		json_object_object_foreach (o, key, value) {
			bool list = json_object_is_type(value, json_type_array);

			if (!first)
				sv_buf_printf(out, "%*s", (int)indent, "");
			first = false;
			add_yaml_string(out, key, strlen(key));
			sv_buf_puts(out, ":");
			if (is_full(value)) { /* a list stands as far left as its key */
				unsigned deeper = list ? indent : indent + 2;

				sv_buf_printf(out, "\n%*s", (int)deeper, "");
				add_yaml(out, value, deeper);
			} else {
				sv_buf_puts(out, " ");
				add_yaml(out, value, indent);
			}
		}
	} else if (is_full(o)) {
		n = json_object_array_length(o);
		for (i = 0; i < n; i++) {
			if (i > 0)
				sv_buf_printf(out, "%*s", (int)indent, "");
			sv_buf_puts(out, "- ");
			add_yaml(out, json_object_array_get_idx(o, i), indent + 2);
		}
	} else {
		if (json_object_is_type(o, json_type_object))
			sv_buf_puts(out, "{}");
		else if (json_object_is_type(o, json_type_array))
			sv_buf_puts(out, "[]");
		else if (json_object_is_type(o, json_type_string))
			add_yaml_string(out, json_object_get_string(o),
					(size_t)json_object_get_string_len(o));
		else
			add_scalar(out, o);
		sv_buf_puts(out, "\n");
	}
}

void sv_print_yaml(struct sv_buf *out, struct json_object *tree)
{
	add_yaml(out, tree, 0);
}

void sv_print_tree(struct json_object *tree, bool yaml)
{
	sv_autobuf struct sv_buf b = { 0 };

	if (yaml)
		sv_print_yaml(&b, tree);
	else
		sv_print_json(&b, tree, true);
	if (b.failed)
		sv_no_memory();
	(void)fwrite(b.ptr, 1, b.len, stdout);
}

/* ---- times ------------------------------------------------------------------------------ */

#define MINUTE INT64_C(60) /* seconds */
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)

void sv_duration_words(char words[SV_AGE_MAX], int64_t seconds)
{
	/* Two units while the smaller one still says something, as kubectl has it. */
	static const struct {
		int64_t below;       /* seconds */
		int64_t unit, minor; /* seconds; minor 0: not shown */
		char name, minor_name;
	} steps[] = {
		{ 2 * MINUTE, 1, 0, 's', 0 },    { 10 * MINUTE, MINUTE, 1, 'm', 's' },
		{ 3 * HOUR, MINUTE, 0, 'm', 0 }, { 8 * HOUR, HOUR, MINUTE, 'h', 'm' },
		{ 2 * DAY, HOUR, 0, 'h', 0 },    { 8 * DAY, DAY, HOUR, 'd', 'h' },
		{ 2 * YEAR, DAY, 0, 'd', 0 },    { 8 * YEAR, YEAR, DAY, 'y', 'd' },
		{ INT64_MAX, YEAR, 0, 'y', 0 },
	};
	size_t i = 0;
	int64_t minor;

	if (seconds < 0)
		seconds = 0;
	while (i + 1 < SV_ARRAY_SIZE(steps) && seconds >= steps[i].below)
		i++;
	minor = steps[i].minor ? seconds % steps[i].unit / steps[i].minor : 0;
	if (minor > 0)
		(void)snprintf(words, SV_AGE_MAX, "%" PRId64 "%c%" PRId64 "%c",
			       seconds / steps[i].unit, steps[i].name, minor, steps[i].minor_name);
	else
		(void)snprintf(words, SV_AGE_MAX, "%" PRId64 "%c", seconds / steps[i].unit,
			       steps[i].name);
}

/* "+hh:mm" or "-hh:mm" in seconds. */
static bool parse_offset(const char *p, int64_t *ret)
{
	static const char form[] = "+dd:dd";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == 'd' ? p[i] < '0' || p[i] > '9' :
				     p[i] != form[i] && !(i == 0 && p[i] == '-'))
			return false;
	if (p[i])
		return false;
	*ret = ((p[1] - '0') * 10 + (p[2] - '0')) * HOUR +
	       ((p[4] - '0') * 10 + (p[5] - '0')) * MINUTE;
	if (*p == '-')
		*ret = -*ret;
	return true;
}

bool sv_time_parse(const char *text, int64_t *ret)
{
	struct tm tm = { 0 };
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t offset = 0;

	if (!p)
		return false;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (strcmp(p, "Z") != 0 && !parse_offset(p, &offset))
		return false;
	*ret = (int64_t)timegm(&tm) - offset;
	return true;
}

void sv_age(char words[SV_AGE_MAX], const char *rfc3339)
{
	int64_t then, now = time(NULL);

	words[0] = '\0';
	if (!*rfc3339)
		return;
	if (!sv_time_parse(rfc3339, &then) ||
	    then > now + 1) /* a second of disagreement is nothing */
		(void)snprintf(words, SV_AGE_MAX, "<invalid>");
	else
		sv_duration_words(words, now - then);
}

/* ---- colours ---------------------------------------------------------------------------- */

static bool want_colour(void)
{
	static int want = -1;
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (want < 0)
		want = isatty(STDOUT_FILENO) && !(no && *no) &&
		       !(term && strcmp(term, "dumb") == 0);
	return want;
}

const char *sv_colour_of(const char *state)
{
	static const struct {
		const char *state, *colour;
	} colours[] = {
		{ "Published", "\033[32m" }, { "Ready", "\033[32m" },    { "Pending", "\033[33m" },
		{ "Stale", "\033[33m" },     { "Removing", "\033[33m" }, { "NotReady", "\033[33m" },
		{ "Refused", "\033[31m" },   { "Failed", "\033[31m" },
	};
	size_t i;

	for (i = 0; want_colour() && i < SV_ARRAY_SIZE(colours); i++)
		if (strcmp(state, colours[i].state) == 0)
			return colours[i].colour;
	return "";
}

const char *sv_colour_end(const char *colour)
{
	return *colour ? "\033[0m" : "";
}

/* ---- tables ----------------------------------------------------------------------------- */

#define GAP 3 /* blanks between two columns */

/* Columns of a printable text: characters, as kubectl counts them. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void sv_table_init(struct sv_table *t, const char *const *heads, unsigned indent)
{
	*t = (struct sv_table){ .heads = heads,
				.indent = indent,
				.no_headers = sv_options.no_headers };
	while (heads[t->n_cols])
		t->n_cols++;
	t->widths = calloc(t->n_cols, sizeof(*t->widths));
	if (!t->widths)
		sv_no_memory();
}

static void drop_cells(struct sv_table *t)
{
	size_t i;

	for (i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	t->n_cells = 0;
}

void sv_table_done(struct sv_table *t)
{
	drop_cells(t);
	free(t->cells);
	free(t->widths);
	*t = (struct sv_table){ 0 };
}

static void add_cell(struct sv_table *t, char *text, const char *colour)
{
	if (t->n_cells == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		struct sv_cell *cells = reallocarray(t->cells, cap, sizeof(*cells));

		if (!cells)
			sv_no_memory();
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n_cells++] = (struct sv_cell){ text, colour };
}

void sv_table_add(struct sv_table *t, const char *text)
{
	add_cell(t, sv_printable(*text ? text : "<none>"), "");
}

void sv_table_addf(struct sv_table *t, const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.failed)
		sv_no_memory();
	sv_table_add(t, b.ptr ? b.ptr : "");
}

void sv_table_add_state(struct sv_table *t, const char *state)
{
	add_cell(t, sv_printable(*state ? state : "<none>"), sv_colour_of(state));
}

static void show_cell(const struct sv_table *t, size_t col, const char *text, const char *colour)
{
	bool last = col + 1 == t->n_cols;

	if (col == 0)
		printf("%*s", (int)t->indent, "");
	printf("%s%s%s", colour, text, sv_colour_end(colour));
	if (last)
		putchar('\n');
	else
		printf("%*s", (int)(t->widths[col] - width_of(text) + GAP), "");
}

void sv_table_show(struct sv_table *t)
{
	bool heads = !t->shown && !t->no_headers && t->n_cells > 0;
	size_t i, col, w;

	for (i = 0; heads && i < t->n_cols; i++)
		t->widths[i] = width_of(t->heads[i]);
	for (i = 0, col = 0; i < t->n_cells; i++, col = col + 1 < t->n_cols ? col + 1 : 0) {
		w = width_of(t->cells[i].text);
		if (w > t->widths[col])
			t->widths[col] = w;
	}
	for (i = 0; heads && i < t->n_cols; i++)
		show_cell(t, i, t->heads[i], "");
	for (i = 0, col = 0; i < t->n_cells; i++, col = col + 1 < t->n_cols ? col + 1 : 0)
		show_cell(t, col, t->cells[i].text, t->cells[i].colour);
	t->shown = t->shown || t->n_cells > 0;
	drop_cells(t);
}
