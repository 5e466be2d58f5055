/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl - what the verbs of secretvolctl share
 *
 * A verb is one file that defines `const struct sv_verb sv_verb_NAME`, and one
 * line in main.c. Verbs return an exit code and have then said why on stderr.
 */
#ifndef SV_CTL_H
#define SV_CTL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/text.h"

enum sv_exit {
	SV_EXIT_DONE = 0,
	SV_EXIT_FAILED = 1,
	SV_EXIT_USAGE = 2,
	SV_EXIT_UNREACHABLE = 3,
	SV_EXIT_NOT_FOUND = 4,
	SV_EXIT_NOT_PUBLISHED = 5, /* or refused, or timed out */
};

/* A list of arguments; the strings are argv's. */
struct sv_list {
	const char **items;
	size_t n;
};

enum sv_opt_type {
	SV_OPT_FLAG, /* dst: bool */
	SV_OPT_TEXT, /* dst: const char * */
	SV_OPT_LIST, /* dst: struct sv_list; may be given more than once */
};

struct sv_opt {
	const char *name; /* without the dashes; NULL ends a table */
	void *dst;
	const char *arg; /* name of the value in the help */
	const char *help;
	enum sv_opt_type type;
	char letter; /* 0: none */
};

struct sv_verb {
	const char *name;
	const char *args;    /* "KIND [NAME]" */
	const char *summary; /* one line */
	const char *details; /* paragraphs for --help, may be NULL */
	const struct sv_opt *opts;
	bool stop_at_args; /* what follows the first argument is not ours (exec) */
	int (*run)(int argc, char **argv);
};

/* Values of the options that more than one verb has. */
struct sv_options {
	const char *socket; /* NULL: the client's default */
	const char *ns;     /* NULL: not given */
	bool all_namespaces;
	const char *output; /* NULL: not given */
	bool watch, no_headers;
};
extern struct sv_options sv_options;

/* clang-format off */
#define SV_OPT_NAMESPACE \
	{ "namespace", &sv_options.ns, "NS", "namespace (default: default)", SV_OPT_TEXT, 'n' }
#define SV_OPT_ALL \
	{ "all-namespaces", &sv_options.all_namespaces, NULL, "objects of every namespace", \
	  SV_OPT_FLAG, 'A' }
#define SV_OPT_OUTPUT(values) \
	{ "output", &sv_options.output, values, "output format", SV_OPT_TEXT, 'o' }
#define SV_OPT_WATCH(help) { "watch", &sv_options.watch, NULL, help, SV_OPT_FLAG, 'w' }
#define SV_OPT_NO_HEADERS \
	{ "no-headers", &sv_options.no_headers, NULL, "no heads above the columns", SV_OPT_FLAG, 0 }
#define SV_OPT_END { NULL, NULL, NULL, NULL, SV_OPT_FLAG, 0 }
/* clang-format on */

/**
 * sv_opt_parse() - take the options out of an argument vector
 * @tables: option tables, the last one NULL
 * @argc:   in and out: what is left are the arguments
 * @argv:   rearranged; argv[0] is an argument already
 *
 * Return: 0 or SV_EXIT_USAGE, and the text is printed then.
 */
int sv_opt_parse(const struct sv_opt *const *tables, bool stop_at_args, int *argc, char **argv);

/* Lines for --help. */
void sv_opt_help(const struct sv_opt *table);

/**
 * sv_opt_choice() - which of some words is it?
 * @words: "table|wide|json", as in the help
 *
 * Return: its index; @fallback if @value is NULL; -1 if it is none of them, and that is printed then.
 */
int sv_opt_choice(const char *option, const char *value, const char *words, int fallback);

/* Print "Error: …" as one line on stderr. Return: @code. */
int sv_fail(enum sv_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, ending with where to read on. Return: SV_EXIT_USAGE. */
int sv_fail_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A command has nothing to fall back on when memory is short: says so and exits. */
void sv_no_memory(void) __attribute__((noreturn));

/* Text of others for printing, owned by the caller; never NULL. */
char *sv_printable(const char *text);

/* Text of ours into a new string; never NULL. */
char *sv_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Write out what was printed. False if nobody reads any more: a watch ends then. */
bool sv_flush(void);

#endif
