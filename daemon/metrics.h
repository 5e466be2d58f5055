/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - figures in Prometheus' text format
 *
 * The manager counts what happens; what simply is (states, sizes, queues, the
 * process) is read when somebody asks. No figure carries the name of a Pod, a
 * volume or a Secret, so that their number does not depend on those.
 */
#ifndef SV_DAEMON_METRICS_H
#define SV_DAEMON_METRICS_H

#include <stdint.h>

#include "../lib/base/text.h"
#include "../lib/core/reconcile.h"

#define SV_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define SV_METRICS_REASONS 16 /* at least as many as there are words in metrics.c */

enum sv_metric_op { SV_OP_PUBLISH, SV_OP_UPDATE, SV_OP_REMOVE, SV_OP_CLEAN, SV_N_OPS };
enum sv_metric_result { SV_RESULT_SUCCESS, SV_RESULT_FAILURE, SV_RESULT_REFUSAL, SV_N_RESULTS };

#define SV_N_BUCKETS 14 /* upper bounds from 0.5 ms to 10 s */

struct sv_histogram {
	uint64_t buckets[SV_N_BUCKETS + 1]; /* each for itself; the last: what was slower */
	uint64_t sum_us;
};

struct sv_metrics {
	uint64_t operations[SV_N_OPS][SV_N_RESULTS][SV_METRICS_REASONS];
	struct sv_histogram durations[SV_N_OPS];
	struct sv_histogram propagation;
	uint64_t environments; /* handed out */
	unsigned status_peers; /* the status socket's connections; it keeps this up to date */
	double start_s;        /* of the process; Unix time */
};

void sv_metrics_init(struct sv_metrics *m);

/* A record was looked at and no action follows: a refusal or a failure counts. */
void sv_metrics_decided(struct sv_metrics *m, const struct sv_actual *a, enum sv_outcome outcome);

/* An action was carried out, and its result is in the record by now. */
void sv_metrics_carried_out(struct sv_metrics *m, const struct sv_actual *a,
			    const struct sv_action *action, enum sv_outcome outcome);

/* The two lines that go before the samples of a metric; and a metric of one sample, whole. */
void sv_metrics_head(struct sv_buf *b, const char *name, const char *type, const char *help);
void sv_metrics_number(struct sv_buf *b, const char *name, const char *type, const char *help,
		       uint64_t value);

/* Everything there is to say. */
struct sv_api_context;
void sv_metrics_write(const struct sv_api_context *x, struct sv_buf *b);

#endif
