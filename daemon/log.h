/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - one line per event to journal, terminal or container
 *
 * Only daemon/ logs, once, where an error is handled. Lines are made printable;
 * no secret value is ever an argument. From the loop thread only.
 */
#ifndef SV_DAEMON_LOG_H
#define SV_DAEMON_LOG_H

#include <stdint.h>

#include "config.h"

/* Kinds of events, each with a MESSAGE_ID and an entry in the message catalog. */
enum sv_log_id {
	SV_LOG_PLAIN, /* no MESSAGE_ID */
	SV_LOG_READY,
	SV_LOG_PUBLISHED,
	SV_LOG_UPDATED,
	SV_LOG_REMOVED,
	SV_LOG_NOT_PUBLISHED, /* refused or failed */
	SV_LOG_ENVIRONMENT,   /* an environment was handed out */
	SV_LOG_SOURCE,        /* a manifest or a directory cannot be used */
	SV_N_LOG_IDS,
};

/* What an event is about: fields of the journal (systemd.journal-fields(7)) and of JSON lines. */
struct sv_log_fields {
	enum sv_log_id id;
	const char *ns, *pod, *uid, *volume; /* NULL where they do not apply */
	const char *secret;                  /* names with their versions */
	const char *reason;                  /* one word */
	uint64_t generation;                 /* 0: none */
	int64_t duration_us;                 /* 0: none */
};

void sv_log_init(enum sv_log_level level, enum sv_log_format format);

void sv_log(enum sv_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sv_log_event(enum sv_log_level level, const struct sv_log_fields *fields, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define sv_log_err(...) sv_log(SV_LOG_ERROR, __VA_ARGS__) /* an operator must act */
#define sv_log_warn(...) \
	sv_log(SV_LOG_WARNING, __VA_ARGS__) /* it will be retried, or wants a look */
#define sv_log_notice(...) sv_log(SV_LOG_INFO, __VA_ARGS__) /* a change of state */
#define sv_log_debug(...) sv_log(SV_LOG_DEBUG, __VA_ARGS__) /* the rest */

#endif
