/* SPDX-License-Identifier: Apache-2.0 */
/* secretvolctl - asks secretvold what it does, or shows offline what it would do */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/node/fsutil.h"
#include "api.h"

#ifndef SV_VERSION
#define SV_VERSION "unknown"
#endif

/* The verbs, in the order of the help: a new one is a line here and a file beside this one. */
#define VERBS(X)    \
	X(status)   \
	X(get)      \
	X(describe) \
	X(wait)     \
	X(events)   \
	X(env)      \
	X(exec)     \
	X(mounts)   \
	X(render)   \
	X(check)

#define DECLARE(v) extern const struct sv_verb sv_verb_##v;
#define POINT(v) &sv_verb_##v,

VERBS(DECLARE)
static const struct sv_verb *const verbs[] = { VERBS(POINT) };

struct sv_options sv_options;

static bool want_help, want_version;

static const struct sv_opt common_opts[] = {
	{ "socket", &sv_options.socket, "PATH",
	  "socket of the daemon (default: $SECRETVOLD_SOCKET, else /run/secretvold/secretvold.sock)",
	  SV_OPT_TEXT, 0 },
	{ "help", &want_help, NULL, "show this text", SV_OPT_FLAG, 'h' },
	{ "version", &want_version, NULL, "show the version", SV_OPT_FLAG, 0 },
	SV_OPT_END,
};

int sv_fail(enum sv_exit code, const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	sv_autofree char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.failed)
		sv_no_memory();
	line = sv_printable(b.ptr ? b.ptr : "");
	(void)fflush(stdout); /* what was found comes before what was not */
	fprintf(stderr, "Error: %s\n", line);
	return code;
}

int sv_fail_usage(const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (b.failed)
		sv_no_memory();
	return sv_fail(SV_EXIT_USAGE, "%s; see 'secretvolctl --help'", b.ptr ? b.ptr : "");
}

void sv_no_memory(void)
{
	fputs("Error: out of memory\n", stderr);
	exit(SV_EXIT_FAILED);
}

char *sv_printable(const char *text)
{
	size_t size = 4 * strlen(text) + 4; /* the longest escape of a byte is \xNN */
	char *p = malloc(size);

	if (!p)
		sv_no_memory();
	sv_text_escape(p, size, text);
	return p;
}

char *sv_text(const char *fmt, ...)
{
	struct sv_buf b = { 0 };
	va_list ap;
	char *p;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	p = sv_buf_take(&b);
	if (!p)
		sv_no_memory();
	return p;
}

bool sv_flush(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}

static bool reader_is_gone(void)
{
	struct pollfd fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLHUP));
}

/* A reader who has seen enough is no failure of ours; a full disk is. */
static int finish(int code)
{
	int err;

	errno = 0;
	if (sv_flush() && fclose(stdout) == 0)
		return code;
	err = errno; /* 0: a write failed before, and nothing was left to be written now */
	if (err == EPIPE || (err == 0 && reader_is_gone()))
		return code;
	return sv_fail(SV_EXIT_FAILED, "cannot write to standard output: %s",
		       err ? strerror(err) : "some of it is lost");
}

static const struct sv_verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int help(const struct sv_verb *verb)
{
	size_t i;

	if (verb) {
		printf("Usage: secretvolctl %s %s\n\n%s.\n\n", verb->name, verb->args,
		       verb->summary);
		if (verb->details)
			printf("%s\n\n", verb->details);
		printf("Options:\n");
		if (verb->opts)
			sv_opt_help(verb->opts);
		sv_opt_help(common_opts);
		return SV_EXIT_DONE;
	}
	printf("secretvolctl shows what secretvold does with Secret volumes.\n\n"
	       "Usage: secretvolctl COMMAND [ARG...] [OPTION...]\n\nCommands:\n");
	for (i = 0; i < SV_ARRAY_SIZE(verbs); i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\nOptions of every command:\n");
	sv_opt_help(common_opts);
	printf("\n'secretvolctl COMMAND --help' says more about a command.\n\n"
	       "Exit codes: 0 done, 1 failed, 2 usage, 3 the daemon cannot be reached,\n"
	       "4 no such object, 5 not published, refused or timed out.\n");
	return SV_EXIT_DONE;
}

static int run(int argc, char **argv)
{
	const struct sv_opt *tables[] = { common_opts, NULL, NULL };
	const struct sv_verb *verb = NULL;
	int r;

	/* Options may stand before the verb; only the common ones are known there. */
	r = sv_opt_parse(tables, true, &argc, argv);
	if (r)
		return r;
	if (want_version) {
		printf("secretvolctl %s\n", SV_VERSION);
		return SV_EXIT_DONE;
	}
	if (argc > 0 && strcmp(argv[0], "help") == 0) {
		if (argc > 1 && !(verb = find_verb(argv[1])))
			return sv_fail_usage("unknown command '%s'", argv[1]);
		return help(verb);
	}
	if (argc == 0)
		return want_help ? help(NULL) : sv_fail_usage("no command given");
	verb = find_verb(argv[0]);
	if (!verb)
		return sv_fail_usage("unknown command '%s'", argv[0]);
	argc--;
	argv++;
	tables[1] = verb->opts;
	r = sv_opt_parse(tables, verb->stop_at_args, &argc, argv);
	if (r)
		return r;
	if (want_help)
		return help(verb);
	if (want_version) {
		printf("secretvolctl %s\n", SV_VERSION);
		return SV_EXIT_DONE;
	}
	return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
	int r;

	sv_reserve_standard();          /* what is printed must not go to the daemon */
	(void)signal(SIGPIPE, SIG_IGN); /* a closed pipe shows as EPIPE, see finish() */
	r = run(argc > 0 ? argc - 1 : 0, argv + 1);
	sv_api_done();
	return finish(r);
}
