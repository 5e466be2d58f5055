/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - one line per event to journal, terminal or container
 *
 * Only daemon/ logs, once, where an error is handled. Lines are made printable;
 * no secret value is ever an argument. From the loop thread only.
 */
#ifndef SV_DAEMON_LOG_H
#define SV_DAEMON_LOG_H

#include "config.h"

void sv_log_init(enum sv_log_level level, enum sv_log_format format);

void sv_log(enum sv_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define sv_log_err(...) sv_log(SV_LOG_ERROR, __VA_ARGS__) /* an operator must act */
#define sv_log_warn(...) \
	sv_log(SV_LOG_WARNING, __VA_ARGS__) /* it will be retried, or wants a look */
#define sv_log_notice(...) sv_log(SV_LOG_INFO, __VA_ARGS__) /* a change of state */
#define sv_log_debug(...) sv_log(SV_LOG_DEBUG, __VA_ARGS__) /* the rest */

#endif
