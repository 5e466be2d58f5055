/* SPDX-License-Identifier: Apache-2.0 */
/* opt - options in GNU's and kubectl's manner */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static const struct sv_opt *find_letter(const struct sv_opt *const *tables, char c)
{
	const struct sv_opt *o;

	for (; *tables; tables++)
		for (o = *tables; o->name; o++)
			if (o->letter == c && c)
				return o;
	return NULL;
}

static const struct sv_opt *find_name(const struct sv_opt *const *tables, const char *name,
				      size_t len)
{
	const struct sv_opt *o;

	for (; *tables; tables++)
		for (o = *tables; o->name; o++)
			if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
				return o;
	return NULL;
}

static void list_add(struct sv_list *l, const char *value)
{
	const char **items = realloc(l->items, (l->n + 1) * sizeof(*items));

	if (!items)
		sv_no_memory();
	items[l->n] = value;
	l->items = items;
	l->n++;
}

static void store(const struct sv_opt *o, const char *value)
{
	switch (o->type) {
	case SV_OPT_FLAG:
		*(bool *)o->dst = true;
		break;
	case SV_OPT_TEXT:
		*(const char **)o->dst = value;
		break;
	case SV_OPT_LIST:
		list_add(o->dst, value);
		break;
	}
}

/* "--name", "--name=value" or "--name value". *i is the argument; it moves on over a value. */
static int parse_long(const struct sv_opt *const *tables, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct sv_opt *o = find_name(tables, name, len);

	if (!o)
		return sv_fail_usage("unknown option '--%.*s'", (int)len, name);
	if (o->type == SV_OPT_FLAG) {
		if (value)
			return sv_fail_usage("option '--%s' takes no value", o->name);
		store(o, NULL);
		return 0;
	}
	if (value)
		value++;
	else if (*i + 1 < argc)
		value = argv[++*i];
	else
		return sv_fail_usage("option '--%s' needs a value", o->name);
	store(o, value);
	return 0;
}

/* "-w", "-Aw", "-n ns", "-nns" or, as kubectl takes it, "-n=ns". */
static int parse_letters(const struct sv_opt *const *tables, int argc, char **argv, int *i)
{
	const char *p;

	for (p = argv[*i] + 1; *p; p++) {
		const struct sv_opt *o = find_letter(tables, *p);

		if (!o)
			return sv_fail_usage("unknown option '-%c'", *p);
		if (o->type == SV_OPT_FLAG) {
			store(o, NULL);
			continue;
		}
		if (p[1] == '=')
			store(o, p + 2);
		else if (p[1])
			store(o, p + 1);
		else if (*i + 1 < argc)
			store(o, argv[++*i]);
		else
			return sv_fail_usage("option '-%c' needs a value", *p);
		return 0;
	}
	return 0;
}

int sv_opt_parse(const struct sv_opt *const *tables, bool stop_at_args, int *argc, char **argv)
{
	int i, n = 0, r = 0;

	for (i = 0; i < *argc; i++) {
		char *a = argv[i];

		if (strcmp(a, "--") == 0) {
			i++;
			break;
		}
		if (a[0] != '-' || a[1] == '\0') {
			if (stop_at_args)
				break;
			argv[n++] = a;
			continue;
		}
		r = a[1] == '-' ? parse_long(tables, *argc, argv, &i) :
				  parse_letters(tables, *argc, argv, &i);
		if (r)
			return r;
	}
	for (; i < *argc; i++)
		argv[n++] = argv[i];
	*argc = n;
	return 0;
}

void sv_opt_help(const struct sv_opt *o)
{
	for (; o->name; o++) {
		sv_autofree char *left = NULL;
		char letter[8] = "    ";

		if (o->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		left = sv_text("%s--%s%s%s", letter, o->name, o->type == SV_OPT_FLAG ? "" : " ",
			       o->type == SV_OPT_FLAG ? "" : o->arg);
		if (strlen(left) > 28)
			printf("  %s\n%32s%s\n", left, "", o->help);
		else
			printf("  %-29s %s\n", left, o->help);
	}
}

int sv_opt_choice(const char *option, const char *value, const char *words, int fallback)
{
	const char *w = words;
	int i;

	if (!value)
		return fallback;
	for (i = 0;; i++) {
		size_t len = strcspn(w, "|");

		if (strlen(value) == len && strncmp(w, value, len) == 0)
			return i;
		if (!w[len])
			break;
		w += len + 1;
	}
	(void)sv_fail_usage("option '%s' is %s, not '%s'", option, words, value);
	return -1;
}
