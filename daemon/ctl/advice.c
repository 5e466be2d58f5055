/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "advice.h"

#include <inttypes.h>
#include <string.h>

#include "load.h"

/* The text, owned by the caller. */
static char *take(struct sv_buf *b)
{
	char *text = sv_buf_take(b);

	if (!text)
		sv_no_memory();
	return text;
}

/* Paths and names usually are words as they stand. */
void sv_advice_word(struct sv_buf *b, const char *word)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";

	if (*word && strspn(word, plain) == strlen(word)) {
		sv_buf_puts(b, word);
		return;
	}
	sv_buf_puts(b, "'");
	for (; *word; word++)
		if (*word == '\'')
			sv_buf_puts(b, "'\\''");
		else
			sv_buf_add(b, word, 1);
	sv_buf_puts(b, "'");
}

void sv_advice_command(struct sv_buf *b)
{
	sv_buf_puts(b, "secretvolctl");
	if (sv_options.socket) {
		sv_buf_puts(b, " --socket ");
		sv_advice_word(b, sv_options.socket);
	}
}

char *sv_advice_describe(struct json_object *volume)
{
	sv_autofree char *name = sv_text("%s/%s", sv_str(volume, "pod"), sv_str(volume, "volume"));
	struct sv_buf b = { 0 };

	sv_advice_command(&b);
	sv_buf_puts(&b, " describe volume -n ");
	sv_advice_word(&b, sv_str(volume, "namespace"));
	sv_buf_puts(&b, " ");
	sv_advice_word(&b, name);
	return take(&b);
}

/* ---- problems --------------------------------------------------------------------------- */

bool sv_problem_is_warning(struct json_object *p)
{
	return strcmp(sv_str(p, "severity"), "warning") == 0;
}

char *sv_problem_text(struct json_object *p)
{
	const char *kind = sv_str(p, "kind"), *ns = sv_str(p, "namespace");
	const char *name = sv_str(p, "name"), *field = sv_str(p, "field");
	const char *message = sv_str(p, "message"), *file = sv_str(p, "file");
	struct sv_buf b = { 0 };

	if (sv_int(p, "line") > 0)
		sv_buf_printf(&b, "%s:%" PRId64 ": ", file, sv_int(p, "line"));
	else if (sv_int(p, "document") > 0)
		sv_buf_printf(&b, "%s: document %" PRId64 ": ", file, sv_int(p, "document") + 1);
	else
		sv_buf_printf(&b, "%s: ", file);
	if (*name)
		sv_buf_printf(&b, "%s %s%s%s: ", *kind ? kind : "object", ns, *ns ? "/" : "", name);
	else if (*kind)
		sv_buf_printf(&b, "%s: ", kind);
	if (*field && !strstr(message, field)) /* most messages name it themselves */
		sv_buf_printf(&b, "%s: ", field);
	message = sv_without_line(message, (unsigned)sv_int(p, "line"));
	sv_buf_puts(&b, *message ? message : sv_str(p, "reason"));
	return take(&b);
}

/* About an object of an API server, or the server itself: where it can be looked at. */
static void advise_kubernetes(struct sv_buf *b, struct json_object *p)
{
	const char *ns = sv_str(p, "namespace"), *name = sv_str(p, "name");
	const char *kind = strcmp(sv_str(p, "kind"), "Secret") == 0 ? "secret" : "pod";
	bool event = strcmp(sv_str(p, "kind"), "Event") == 0;

	if (!*sv_str(p, "kind") && strstr(sv_str(p, "message"), "RestrictAddressFamilies=")) {
		sv_buf_puts(b, "systemctl edit secretvold"); /* whoever asks has a network */
		return;
	}
	if (!*sv_str(p, "kind")) {
		sv_buf_puts(b, "curl --insecure ");
		sv_advice_word(b, sv_str(p, "file"));
		sv_buf_puts(b, "/readyz");
		return;
	}
	if (strcmp(sv_str(p, "kind"), "Node") == 0) {
		sv_buf_puts(b, "kubectl get nodes");
		return;
	}
	if (event)
		sv_buf_puts(b, "kubectl auth can-i create events");
	else if (strcmp(sv_str(p, "reason"), "Forbidden") == 0)
		sv_buf_printf(b, "kubectl auth can-i list %ss%s", kind, *name ? "/" : "");
	else
		sv_buf_printf(b, "kubectl describe %s%s", kind, *name ? " " : "");
	if (*name)
		sv_advice_word(b, name);
	if (*ns) {
		sv_buf_puts(b, " -n ");
		sv_advice_word(b, ns);
	}
}

/* The file, or the directory itself, is not there, or is none: what there is on the way to it tells. */
static bool is_about_path(const char *reason)
{
	static const char *const reasons[] = { "SourceUnavailable", "Unreadable", "NotAFile",
					       "OutsideDirectory" };
	size_t i;

	for (i = 0; i < SV_ARRAY_SIZE(reasons); i++)
		if (strcmp(reason, reasons[i]) == 0)
			return true;
	return false;
}

char *sv_problem_next(struct json_object *p)
{
	const char *file = sv_str(p, "file"), *reason = sv_str(p, "reason");
	struct sv_buf b = { 0 };

	if (strcmp(sv_str(p, "source"), "kubernetes") == 0) {
		advise_kubernetes(&b, p);
	} else if (strcmp(sv_str(p, "source"), "node") == 0) {
		sv_buf_puts(&b, "ps -eLo pid,stat,wchan:32,comm | grep secretvold");
	} else if (strcmp(reason, "TooMany") == 0) {
		sv_buf_puts(&b, "take objects out of the manifests, or raise the limit");
	} else if (is_about_path(reason)) {
		sv_buf_puts(&b, "namei -l ");
		sv_advice_word(&b, file);
	} else if (strcmp(reason, "InsecurePermissions") == 0) {
		sv_buf_puts(&b, "chmod 0600 ");
		sv_advice_word(&b, file);
	} else {
		sv_buf_puts(&b, "secretvolctl check -f "); /* asks no daemon */
		sv_advice_word(&b, file);
	}
	return take(&b);
}
