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
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "../lib/base/text.h"
#include "../lib/core/status.h"

#define LINE_SIZE_MAX 4096 /* bytes; longer ones are cut */

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

static void print_json(enum sv_log_level level, const char *time, const char *message)
{
	struct json_object *o = json_object_new_object();

	sv_json_text(o, "time", time);
	sv_json_text(o, "level", levels[level].name);
	sv_json_text(o, "msg", message);
	(void)fprintf(stderr, "%s\n",
		      json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

void sv_log(enum sv_log_level level, const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	char line[LINE_SIZE_MAX], text[32];
	struct timespec now;
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	sv_text_escape(line, sizeof(line), b.failed ? "out of memory" : b.ptr);
	clock_gettime(CLOCK_REALTIME, &now);
	sv_status_time((int64_t)now.tv_sec * 1000, text);
	if (line_format == SV_LOG_JSON)
		print_json(level, text, line);
	else if (line_format == SV_LOG_JOURNAL)
		(void)fprintf(stderr, "<%d>%s\n", levels[level].priority, line);
	else
		(void)fprintf(stderr, "%s %-7s %s\n", text, levels[level].name, line);
}
