/* SPDX-License-Identifier: Apache-2.0 */
/* env - a container's environment, for programs that want it; the one verb that prints values */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "container.h"
#include "print.h"

enum { ENV, JSON, SHELL };
#define OUTPUTS "env|json|shell"

static bool is_identifier(const char *name)
{
	const char *p;

	for (p = name; *p; p++)
		if (!(isalpha((unsigned char)*p) || *p == '_' ||
		      (p > name && isdigit((unsigned char)*p))))
			return false;
	return *name != '\0';
}

/* Why the variable cannot be a line of an env file, or NULL. */
static const char *why_not_env(const char *name, const char *value, size_t len)
{
	if (*name == '#' || strpbrk(name, " \t"))
		return "its name has no place in an env file";
	if (memchr(value, '\0', len))
		return "its value holds a NUL character";
	if (memchr(value, '\n', len) || memchr(value, '\r', len))
		return "its value holds a line break";
	return NULL;
}

static const char *why_not_shell(const char *name, const char *value, size_t len)
{
	if (!is_identifier(name))
		return "its name is no shell variable's";
	return memchr(value, '\0', len) ? "its value holds a NUL character" : NULL;
}

/* export NAME='value': nothing in single quotes means anything to a shell, and ' is written '\''. */
static void add_shell(struct sv_buf *b, const char *name, const char *value)
{
	sv_buf_printf(b, "export %s='", name);
	for (; *value; value++)
		if (*value == '\'')
			sv_buf_puts(b, "'\\''");
		else
			sv_buf_add(b, value, 1);
	sv_buf_puts(b, "'\n");
}

/* All or nothing: a variable that cannot be written is an error before anything is. */
static int write_lines(struct json_object *answer, int output)
{
	sv_autobuf struct sv_buf b = { 0 };
	size_t i, n = sv_count(answer, "env");
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		struct json_object *entry = sv_element(answer, "env", i);
		const char *name = sv_str(entry, "name"), *why;
		char *value = NULL;
		size_t len = 0;

		r = sv_container_value(entry, &value, &len);
		if (r)
			return r;
		why = output == SHELL ? why_not_shell(name, value, len) :
					why_not_env(name, value, len);
		if (why)
			r = sv_fail(SV_EXIT_FAILED, "variable %s cannot be written: %s%s", name,
				    why, output == ENV ? "; '-o json' can hold it" : "");
		else if (output == SHELL)
			add_shell(&b, name, value);
		else
			sv_buf_printf(&b, "%s=%s\n", name, value);
		explicit_bzero(value, len);
		free(value);
	}
	if (b.failed)
		sv_no_memory();
	if (r == 0 && b.len > 0)
		(void)fwrite(b.ptr, 1, b.len, stdout);
	return r;
}

static int write_json(struct json_object *answer)
{
	struct json_object *env = sv_member(answer, "env"), *o = json_object_new_object();

	if (!o)
		sv_no_memory();
	json_object_object_add(o, "env", json_object_get(env));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}

static int run(int argc, char **argv)
{
	sv_autotree struct json_object *answer = NULL;
	sv_autotarget struct sv_target pod = { 0 };
	int output = sv_opt_choice("-o", sv_options.output, OUTPUTS, ENV);
	size_t i;
	int r;

	if (output < 0)
		return SV_EXIT_USAGE;
	if (argc > 1)
		return sv_fail_usage("too many arguments: '%s'", argv[1]);
	r = sv_container_target(argc, argv, &pod);
	if (r == 0)
		r = sv_container_env(&pod, &answer);
	if (r)
		return r;
	for (i = 0; i < sv_count(answer, "notices"); i++) {
		sv_autofree char *text =
			sv_printable(json_object_get_string(sv_element(answer, "notices", i)));

		fprintf(stderr, "Notice: %s\n", text);
	}
	return output == JSON ? write_json(answer) : write_lines(answer, output);
}

static const struct sv_opt opts[] = {
	SV_OPT_CONTAINER,
	SV_OPT_NAMESPACE,
	SV_OPT_OUTPUT(OUTPUTS),
	SV_OPT_END,
};

const struct sv_verb sv_verb_env = {
	.name = "env",
	.args = "POD [-c CONTAINER] [-o " OUTPUTS "]",
	.summary = "Print the environment that a container gets from Secrets (root only)",
	.details =
		"env is one NAME=value a line, as env files want it; json has valueBase64 where a value is not\n"
		"UTF-8; shell is to be read by eval. A value that a format cannot hold is an error naming it.",
	.opts = opts,
	.run = run,
};
