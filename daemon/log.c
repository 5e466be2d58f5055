/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "log.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "../lib/base/text.h"
#include "../lib/core/status.h"

#define LINE_SIZE_MAX 4096 /* bytes; longer ones are cut */
#define FIELDS_MAX 12      /* of one event in the journal */

static enum sv_log_level max_level = SV_LOG_INFO;
static enum sv_log_format line_format = SV_LOG_TEXT;

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[SV_LOG_ERROR] = { "error", LOG_ERR },
	[SV_LOG_WARNING] = { "warning", LOG_WARNING },
	[SV_LOG_INFO] = { "info", LOG_NOTICE },
	[SV_LOG_DEBUG] = { "debug", LOG_DEBUG },
};

/* The same as in systemd/secretvold.catalog. */
static const char *const message_ids[SV_N_LOG_IDS] = {
	[SV_LOG_READY] = "5b7f0c1e4a9d4c0f8a3e6d2b91c47f10",
	[SV_LOG_PUBLISHED] = "8e2d4a6f1c3b4e5d9f70a1b2c3d4e5f6",
	[SV_LOG_UPDATED] = "1f9c7b3a5d8e4f60b2a4c6e8d0f21435",
	[SV_LOG_REMOVED] = "c4a8e1d27b6f4395a0e3f5d7b9c1a286",
	[SV_LOG_NOT_PUBLISHED] = "97d3b5f1e0a24c68bd1f3e5a7c902b4d",
	[SV_LOG_ENVIRONMENT] = "3ea65c0f9b714d28a6c8f2e4b0d5917a",
	[SV_LOG_SOURCE] = "d06b8f4c2e1a47359c5d7f9ba3e1c082",
};

/* systemd names the journal's stream by device and inode (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%ju:%ju", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void sv_log_init(enum sv_log_level level, enum sv_log_format format)
{
	max_level = level;
	line_format = format;
	if (format == SV_LOG_AUTO)
		line_format = stderr_is_journal() ? SV_LOG_JOURNAL : SV_LOG_TEXT;
}

/* ---- JSON lines ---------------------------------------------------------------------------- */

static void add_text(struct json_object *o, const char *key, const char *value)
{
	if (value && *value)
		sv_json_text(o, key, value);
}

static void print_json(enum sv_log_level level, const struct sv_log_fields *f, const char *time,
		       const char *message)
{
	struct json_object *o = json_object_new_object();

	sv_json_text(o, "time", time);
	sv_json_text(o, "level", levels[level].name);
	sv_json_text(o, "msg", message);
	add_text(o, "messageId", message_ids[f->id]);
	add_text(o, "namespace", f->ns);
	add_text(o, "pod", f->pod);
	add_text(o, "podUid", f->uid);
	add_text(o, "volume", f->volume);
	add_text(o, "secret", f->secret);
	add_text(o, "reason", f->reason);
	if (f->generation)
		sv_json_int(o, "generation", (int64_t)f->generation);
	if (f->duration_us)
		sv_json_int(o, "durationUsec", f->duration_us);
	(void)fprintf(stderr, "%s\n",
		      json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

/* ---- the journal --------------------------------------------------------------------------- */

struct entry {
	struct iovec fields[FIELDS_MAX];
	int n;
};

static void add_field(struct entry *e, const char *name, const char *value)
{
	char *text =
		value && *value && e->n < FIELDS_MAX ? sv_asprintf("%s=%s", name, value) : NULL;

	if (text)
		e->fields[e->n++] = (struct iovec){ text, strlen(text) };
}

static void add_number(struct entry *e, const char *name, int64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	if (value)
		add_field(e, name, text);
}

/* False if there is no journal to take it. */
static bool send_to_journal(enum sv_log_level level, const struct sv_log_fields *f,
			    const char *message)
{
	struct entry e = { .n = 0 };
	int i, r;

	/* sd_journal_sendv() takes it for a success if there is none */
	if (access("/run/systemd/journal/socket", F_OK) < 0)
		return false;
	add_field(&e, "MESSAGE", message);
	add_number(&e, "PRIORITY", levels[level].priority);
	add_field(&e, "SYSLOG_IDENTIFIER", "secretvold");
	add_field(&e, "MESSAGE_ID", message_ids[f->id]);
	add_field(&e, "POD_NAMESPACE", f->ns);
	add_field(&e, "POD_NAME", f->pod);
	add_field(&e, "POD_UID", f->uid);
	add_field(&e, "VOLUME", f->volume);
	add_field(&e, "SECRET", f->secret);
	add_field(&e, "REASON", f->reason);
	add_number(&e, "GENERATION", (int64_t)f->generation);
	add_number(&e, "DURATION_USEC", f->duration_us);
	r = sd_journal_sendv(e.fields, e.n);
	for (i = 0; i < e.n; i++)
		free(e.fields[i].iov_base);
	return r == 0;
}

/* -------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void write_line(enum sv_log_level level,
							     const struct sv_log_fields *f,
							     const char *fmt, va_list ap)
{
	sv_autobuf struct sv_buf b = { 0 };
	char line[LINE_SIZE_MAX], time[32];
	struct timespec now;

	sv_buf_vprintf(&b, fmt, ap);
	sv_text_escape(line, sizeof(line), b.failed ? "out of memory" : b.ptr);
	if (line_format == SV_LOG_JOURNAL) {
		/*
		 * An error may be the last word of this process, and what is sent has no unit if
		 * the journal comes to it when the process is gone; the stream has.
		 */
		if ((level == SV_LOG_ERROR && f->id == SV_LOG_PLAIN && stderr_is_journal()) ||
		    !send_to_journal(level, f, line))
			(void)fprintf(stderr, "<%d>%s\n", levels[level].priority, line);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	sv_status_time((int64_t)now.tv_sec * 1000, time);
	if (line_format == SV_LOG_JSON)
		print_json(level, f, time, line);
	else
		(void)fprintf(stderr, "%s %-7s %s\n", time, levels[level].name, line);
}

void sv_log_event(enum sv_log_level level, const struct sv_log_fields *fields, const char *fmt, ...)
{
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	write_line(level, fields, fmt, ap);
	va_end(ap);
}

void sv_log(enum sv_log_level level, const char *fmt, ...)
{
	static const struct sv_log_fields none;
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	write_line(level, &none, fmt, ap);
	va_end(ap);
}
