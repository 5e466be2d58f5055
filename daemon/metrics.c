/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "metrics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../lib/base/cleanup.h"
#include "api.h"

static const struct {
	int64_t us;
	const char *le; /* the same in seconds */
} bounds[SV_N_BUCKETS] = {
	{ 500, "0.0005" },  { 1000, "0.001" },  { 2500, "0.0025" }, { 5000, "0.005" },
	{ 10000, "0.01" },  { 25000, "0.025" }, { 50000, "0.05" },  { 100000, "0.1" },
	{ 250000, "0.25" }, { 500000, "0.5" },  { 1000000, "1" },   { 2500000, "2.5" },
	{ 5000000, "5" },   { 10000000, "10" },
};

static const char *const ops[SV_N_OPS] = { "publish", "update", "remove", "clean" };
static const char *const results[SV_N_RESULTS] = { "success", "failure", "refusal" };

#define OF(result) (1U << (result))
#define WRITING (1U << SV_OP_PUBLISH | 1U << SV_OP_UPDATE)
#define ANY ((1U << SV_N_OPS) - 1)

/*
 * The words of the contract. Series that can come are there from the start, at 0: a rate
 * does not see the first of what it has not seen before.
 */
static const struct {
	const char *word;
	unsigned results, ops; /* with which it can come */
} reasons[] = {
	{ "Other", OF(SV_RESULT_FAILURE) | OF(SV_RESULT_REFUSAL), 0 }, /* shown once it is there */
	{ "", OF(SV_RESULT_SUCCESS), ANY },
	{ "MountFailed", OF(SV_RESULT_FAILURE), ANY & ~(1U << SV_OP_CLEAN) },
	{ "WriteFailed", OF(SV_RESULT_FAILURE), ANY },
	{ "Busy", OF(SV_RESULT_FAILURE), ANY & ~(1U << SV_OP_CLEAN) },
	{ "SwapNotSafe", OF(SV_RESULT_REFUSAL), WRITING },
	{ "SecretNotFound", OF(SV_RESULT_REFUSAL), WRITING },
	{ "KeyNotFound", OF(SV_RESULT_REFUSAL), WRITING },
	{ "InvalidPath", OF(SV_RESULT_REFUSAL), WRITING },
	{ "PathConflict", OF(SV_RESULT_REFUSAL), WRITING },
	{ "TooLarge", OF(SV_RESULT_REFUSAL), WRITING },
	{ "UnsupportedSource", OF(SV_RESULT_REFUSAL), WRITING },
	{ "Forbidden", OF(SV_RESULT_REFUSAL), WRITING },
	{ "SourceUnavailable", OF(SV_RESULT_REFUSAL), WRITING },
};

#define N_REASONS SV_ARRAY_SIZE(reasons)
_Static_assert(N_REASONS <= SV_METRICS_REASONS, "SV_METRICS_REASONS is too small");

/* ---- counting ------------------------------------------------------------------------------ */

static double clock_s(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t read_text(const char *path, char *buf, size_t size)
{
	sv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* Once: asked again it would differ by the clocks' jitter, and look like a restart. */
static double start_time(void)
{
	char text[1024];
	const char *p;
	int field;

	(void)read_text("/proc/self/stat", text, sizeof(text));
	p = strrchr(text, ')'); /* behind the name, which may hold anything, comes field 3 */
	for (field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return clock_s(CLOCK_REALTIME);
	return clock_s(CLOCK_REALTIME) - clock_s(CLOCK_BOOTTIME) +
	       (double)strtoull(p + 1, NULL, 10) / (double)sysconf(_SC_CLK_TCK);
}

void sv_metrics_init(struct sv_metrics *m)
{
	*m = (struct sv_metrics){ .start_s = start_time() };
}

static void observe(struct sv_histogram *h, int64_t us)
{
	size_t i = 0;

	while (i < SV_N_BUCKETS && us > bounds[i].us)
		i++;
	h->buckets[i]++;
	h->sum_us += us > 0 ? (uint64_t)us : 0;
}

static void count(struct sv_metrics *m, enum sv_metric_op op, enum sv_metric_result result,
		  const char *reason)
{
	size_t i = N_REASONS - 1;

	while (i > 0 && strcmp(reasons[i].word, reason) != 0)
		i--;
	m->operations[op][result][i]++;
}

static enum sv_metric_op op_of(enum sv_action_kind kind, bool mounted)
{
	if (kind == SV_ACTION_SYNC)
		return mounted ? SV_OP_UPDATE : SV_OP_PUBLISH;
	return kind == SV_ACTION_CLEAN ? SV_OP_CLEAN : SV_OP_REMOVE;
}

void sv_metrics_decided(struct sv_metrics *m, const struct sv_actual *a, enum sv_outcome outcome)
{
	enum sv_metric_op op =
		a->state == SV_STATE_REMOVING ? SV_OP_REMOVE : op_of(SV_ACTION_SYNC, a->mounted);

	if (outcome == SV_OUTCOME_FAILED) /* only a failure of the node is retried */
		count(m, op, a->retry_ms ? SV_RESULT_FAILURE : SV_RESULT_REFUSAL, a->reason);
}

void sv_metrics_carried_out(struct sv_metrics *m, const struct sv_actual *a,
			    const struct sv_action *action, enum sv_outcome outcome)
{
	enum sv_metric_op op = op_of(action->kind, action->mounted);
	bool sync = action->kind == SV_ACTION_SYNC, clean = action->kind == SV_ACTION_CLEAN;

	if (action->result == 0 && sync && action->mounted && !action->changed)
		return; /* it was as wanted: nothing was done */
	if (action->result < 0 && !clean && outcome != SV_OUTCOME_FAILED)
		return; /* waits for an old generation to go; nobody is told of a failure either */
	if (action->result == 0)
		count(m, op, SV_RESULT_SUCCESS, "");
	else
		count(m, op, action->result > 0 ? SV_RESULT_REFUSAL : SV_RESULT_FAILURE,
		      clean ? "WriteFailed" : a->reason);
	if (action->ended_us)
		observe(&m->durations[op], action->duration_us);
	if (action->result == 0 && sync && action->changed && action->since_us)
		observe(&m->propagation, action->ended_us - action->since_us);
}

/* ---- the format ---------------------------------------------------------------------------- */

void sv_metrics_head(struct sv_buf *b, const char *name, const char *type, const char *help)
{
	sv_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void sv_metrics_number(struct sv_buf *b, const char *name, const char *type, const char *help,
		       uint64_t value)
{
	sv_metrics_head(b, name, type, help);
	sv_buf_printf(b, "%s %" PRIu64 "\n", name, value);
}

static void seconds(struct sv_buf *b, const char *name, const char *type, const char *help,
		    double value)
{
	sv_metrics_head(b, name, type, help);
	sv_buf_printf(b, "%s %.6f\n", name, value);
}

/* name="value", where the value may hold anything: the format wants UTF-8 and three escapes. */
static void label(struct sv_buf *b, const char *name, const char *value)
{
	size_t len = strlen(value), i, n;

	sv_buf_printf(b, "%s=\"", name);
	for (i = 0; i < len; i += n ? n : 1) {
		n = sv_utf8_len(value + i, len - i);
		if (n == 0)
			sv_buf_puts(b, "\xef\xbf\xbd"); /* U+FFFD */
		else if (value[i] == '\n')
			sv_buf_puts(b, "\\n");
		else if (value[i] == '\\' || value[i] == '"')
			sv_buf_printf(b, "\\%c", value[i]);
		else
			sv_buf_add(b, value + i, n);
	}
	sv_buf_puts(b, "\"");
}

/* @labels: "" or those of the series, each with a comma behind it. */
static void histogram(struct sv_buf *b, const char *name, const char *labels,
		      const struct sv_histogram *h)
{
	int len = *labels ? (int)strlen(labels) - 1 : 0;
	const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < SV_N_BUCKETS; i++) {
		n += h->buckets[i];
		sv_buf_printf(b, "%s_bucket{%sle=\"%s\"} %" PRIu64 "\n", name, labels, bounds[i].le,
			      n);
	}
	n += h->buckets[SV_N_BUCKETS];
	sv_buf_printf(b, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, n);
	sv_buf_printf(b, "%s_sum%s%.*s%s %" PRIu64 ".%06" PRIu64 "\n", name, open, len, labels,
		      close, h->sum_us / 1000000, h->sum_us % 1000000);
	sv_buf_printf(b, "%s_count%s%.*s%s %" PRIu64 "\n", name, open, len, labels, close, n);
}

/* ---- volumes ------------------------------------------------------------------------------- */

static void write_operations(const struct sv_metrics *m, struct sv_buf *b)
{
	static const char total[] = "secretvold_volume_operations_total";
	static const char duration[] = "secretvold_volume_operation_duration_seconds";
	size_t op, result, i;

	sv_metrics_head(
		b, total, "counter",
		"What was done to volumes, and what was not. A repeated refusal counts once.");
	for (op = 0; op < SV_N_OPS; op++)
		for (result = 0; result < SV_N_RESULTS; result++)
			for (i = 0; i < N_REASONS; i++) {
				uint64_t n = m->operations[op][result][i];

				if (n == 0 && !((reasons[i].results >> result & 1) &&
						(reasons[i].ops >> op & 1)))
					continue;
				sv_buf_printf(b,
					      "%s{op=\"%s\",result=\"%s\",reason=\"%s\"} %" PRIu64
					      "\n",
					      total, ops[op], results[result], reasons[i].word, n);
			}
	sv_metrics_head(b, duration, "histogram",
			"How long an operation took once a thread had begun with it.");
	for (op = 0; op < SV_N_OPS; op++) {
		char labels[32];

		(void)snprintf(labels, sizeof(labels), "op=\"%s\",", ops[op]);
		histogram(b, duration, labels, &m->durations[op]);
	}
	sv_metrics_head(
		b, "secretvold_propagation_seconds", "histogram",
		"From the moment a source told of a change until it was visible in a volume. Of changes "
		"that were made visible together, the oldest counts.");
	histogram(b, "secretvold_propagation_seconds", "", &m->propagation);
}

static void write_volumes(const struct sv_manager *m, struct sv_buf *b)
{
	uint64_t counts[SV_N_STATES] = { 0 }, bytes = 0, old = 0, queued = 0;
	const struct sv_actual *a;
	size_t i;

	for (i = 0; i < m->actuals.records.n; i++) {
		a = m->actuals.records.entries[i].value;
		counts[a->state]++;
		old += a->n_old;
		bytes += a->mounted && a->plan ? a->plan->size : 0;
	}
	for (i = 0; i < SV_ARRAY_SIZE(m->actuals.queues); i++)
		for (a = m->actuals.queues[i].head; a; a = a->next)
			queued++;
	sv_metrics_head(b, "secretvold_volumes", "gauge", "Volumes by state.");
	for (i = 0; i < SV_N_STATES; i++)
		sv_buf_printf(b, "secretvold_volumes{state=\"%s\"} %" PRIu64 "\n",
			      sv_state_name((enum sv_state)i), counts[i]);
	sv_metrics_number(
		b, "secretvold_stale_volumes", "gauge",
		"Volumes whose newest input could not be applied: they hold the last good content.",
		counts[SV_STATE_STALE]);
	sv_metrics_number(b, "secretvold_published_bytes", "gauge",
			  "Payload of the volumes that are mounted, old generations not counted.",
			  bytes);
	sv_metrics_number(b, "secretvold_old_generations", "gauge",
			  "Generations that are kept for a moment for those who still read them.",
			  old);
	sv_metrics_number(b, "secretvold_worker_actions", "gauge", "Operations under way.",
			  m->worker.in_flight);
	sv_metrics_number(b, "secretvold_stuck_workers", "gauge",
			  "Worker threads whose operation takes more than 5 seconds.",
			  m->worker.stuck);
	sv_metrics_number(b, "secretvold_queue_length", "gauge", "Volumes waiting to be looked at.",
			  queued);
}

/* ---- objects and sources ------------------------------------------------------------------- */

static void write_objects(const struct sv_desired *d, struct sv_buf *b)
{
	size_t i, n;
	int o;

	sv_metrics_head(b, "secretvold_pods", "gauge",
			"Pods of this node, by the kind of their source.");
	for (o = 0; o < SV_N_ORIGINS; o++)
		sv_buf_printf(b, "secretvold_pods{origin=\"%s\"} %zu\n",
			      sv_origin_name((enum sv_origin)o), d->pods[o].n);
	sv_metrics_head(b, "secretvold_secrets", "gauge",
			"Secrets known, by the kind of their source.");
	for (o = 0; o < SV_N_ORIGINS; o++) {
		for (i = 0, n = 0; i < d->secrets[o].n; i++)
			n += ((struct sv_desired_secret *)d->secrets[o].entries[i].value)->secret !=
			     NULL;
		sv_buf_printf(b, "secretvold_secrets{origin=\"%s\"} %zu\n",
			      sv_origin_name((enum sv_origin)o), n);
	}
}

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(o, key));

	return text ? text : "";
}

static uint64_t time_of(struct json_object *o, const char *key)
{
	struct tm tm = { 0 };
	const char *end = strptime(text_of(o, key), "%Y-%m-%dT%H:%M:%SZ", &tm);

	return end && !*end ? (uint64_t)timegm(&tm) : 0;
}

static void write_source(struct sv_buf *b, const char *name, struct json_object *report,
			 uint64_t value)
{
	sv_buf_printf(b, "%s{", name);
	label(b, "type", text_of(report, "type"));
	sv_buf_puts(b, ",");
	label(b, "source", text_of(report, "name"));
	sv_buf_printf(b, "} %" PRIu64 "\n", value);
}

/* Complaints counted by their labels. */
struct tally {
	struct json_object *reports;
	struct sv_strmap kinds[2]; /* labels -> struct tally_entry: errors, warnings */
	bool failed;
};

struct tally_entry {
	char *labels;
	uint64_t n;
};

/* Which part of a source a complaint is about: the directory of its file, or its only part. */
static const char *part_of(const struct tally *t, const struct sv_problem *p)
{
	const char *only = "", *best = NULL;
	size_t i, of_type = 0, longest = 0;

	for (i = 0; i < json_object_array_length(t->reports); i++) {
		struct json_object *report = json_object_array_get_idx(t->reports, i);
		const char *name = text_of(report, "name");
		size_t len = strlen(name);

		if (strcmp(text_of(report, "type"), p->source) != 0)
			continue;
		of_type++;
		only = name;
		if (len >= longest && strncmp(p->file, name, len) == 0 &&
		    (p->file[len] == '/' || p->file[len] == '\0')) {
			best = name;
			longest = len;
		}
	}
	return best ? best : of_type == 1 ? only : "";
}

static void tally(void *arg, const struct sv_problem *p)
{
	struct tally *t = arg;
	struct sv_strmap *map = &t->kinds[p->warning];
	sv_autobuf struct sv_buf b = { 0 };
	struct tally_entry *e;

	label(&b, "type", p->source);
	sv_buf_puts(&b, ",");
	label(&b, "source", part_of(t, p));
	sv_buf_puts(&b, ",");
	label(&b, "reason", p->reason);
	e = b.failed ? NULL : sv_strmap_get(map, b.ptr);
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (e)
			e->labels = sv_buf_take(&b);
		if (!e || !e->labels || sv_strmap_put(map, e->labels, e) < 0) {
			if (e)
				free(e->labels);
			free(e);
			t->failed = true;
			return;
		}
	}
	e->n++;
}

static void write_tally(struct sv_buf *b, const char *name, const char *help, struct sv_strmap *map)
{
	size_t i;

	sv_metrics_head(b, name, "gauge", help);
	for (i = 0; i < map->n; i++) {
		struct tally_entry *e = map->entries[i].value;

		sv_buf_printf(b, "%s{%s} %" PRIu64 "\n", name, e->labels, e->n);
		free(e->labels);
		free(e);
	}
	sv_strmap_done(map);
}

static void write_sources(const struct sv_api_context *x, struct sv_buf *b)
{
	static const char last_sync[] = "secretvold_source_last_sync_timestamp_seconds";
	static const char synced[] = "secretvold_source_synced";
	struct tally t = { .reports = json_object_new_array() };
	size_t i, n;

	for (i = 0; x->sources[i]; i++)
		x->sources[i]->report(x->sources[i], t.reports);
	if (!sv_json_is_whole(t.reports)) {
		json_object_put(t.reports);
		b->failed = true; /* rather no answer than a wrong one */
		return;
	}
	for (i = 0; x->sources[i]; i++)
		x->sources[i]->each_problem(x->sources[i], tally, &t);
	n = json_object_array_length(t.reports);
	sv_metrics_head(b, synced, "gauge", "1 if the source has been read once.");
	for (i = 0; i < n; i++) {
		struct json_object *report = json_object_array_get_idx(t.reports, i);

		write_source(b, synced, report,
			     json_object_get_boolean(json_object_object_get(report, "synced")));
	}
	sv_metrics_head(b, last_sync, "gauge",
			"When the source was last known to be in step; 0: never.");
	for (i = 0; i < n; i++) {
		struct json_object *report = json_object_array_get_idx(t.reports, i);

		write_source(b, last_sync, report, time_of(report, "lastSync"));
	}
	write_tally(b, "secretvold_source_errors",
		    "Complaints that stand: an object, a file or a source cannot be used.",
		    &t.kinds[0]);
	write_tally(b, "secretvold_source_warnings",
		    "Complaints that stand about objects that are used all the same.", &t.kinds[1]);
	json_object_put(t.reports);
	b->failed = b->failed || t.failed;
}

/* ---- the daemon ---------------------------------------------------------------------------- */

static void write_daemon(const struct sv_api_context *x, struct sv_buf *b)
{
	static const char *const topics[SV_N_TOPICS] = { "volumes", "pods", "events" };
	const struct sv_manager *m = x->manager;
	enum sv_medium medium = m->node->medium;
	uint64_t stale = 0;
	size_t i;

	sv_metrics_head(b, "secretvold_build_info", "gauge", "Always 1; the version is a label.");
	sv_buf_puts(b, "secretvold_build_info{");
	label(b, "version", SV_VERSION);
	sv_buf_puts(b, "} 1\n");
	sv_metrics_number(b, "secretvold_ready", "gauge",
			  "1 once every source has been read and what followed from that is done.",
			  m->settled && !m->stopping);
	sv_metrics_number(b, "secretvold_swap_safe", "gauge",
			  "1 if what is published now cannot reach swap space.",
			  medium == SV_MEDIUM_TMPFS_NOSWAP || medium == SV_MEDIUM_RAMFS);
	sv_metrics_number(b, "secretvold_environments_handed_out_total", "counter",
			  "Environments that were given to those who start containers.",
			  m->metrics.environments);
	for (i = 0; i < m->handouts.items.n; i++)
		stale += sv_handout_is_stale(m->handouts.items.entries[i].value, &m->desired);
	sv_metrics_number(b, "secretvold_stale_environments", "gauge",
			  "Containers for whose environment a Secret has changed since.", stale);
	sv_metrics_head(b, "secretvold_watchers", "gauge", "Who follows changes, by topic.");
	for (i = 0; i < SV_N_TOPICS; i++)
		sv_buf_printf(b, "secretvold_watchers{topic=\"%s\"} %u\n", topics[i],
			      m->feed.topics[i].readers);
	sv_metrics_number(b, "secretvold_status_peers", "gauge",
			  "Connections to the status socket.", m->metrics.status_peers);
}

/* ---- the process --------------------------------------------------------------------------- */

static uint64_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	uint64_t n = 0;

	if (!d)
		return 0;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n - (n > 0); /* less the one that reads the directory */
}

/* A number that could not be found out is left out: 0 would be wrong. */
static void known_number(struct sv_buf *b, const char *name, const char *help, uint64_t value)
{
	if (value > 0)
		sv_metrics_number(b, name, "gauge", help, value);
}

/* Names and meaning are Prometheus' for every process. */
static void write_process(const struct sv_metrics *m, struct sv_buf *b)
{
	unsigned long long size = 0, resident = 0, page = (unsigned long long)sysconf(_SC_PAGESIZE);
	struct rlimit files = { 0 };
	struct rusage used = { 0 };
	char text[256], *end = text;

	if (read_text("/proc/self/statm", text, sizeof(text)) > 0) {
		size = strtoull(text, &end, 10);
		resident = strtoull(end, NULL, 10);
	}
	(void)getrusage(RUSAGE_SELF, &used);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	seconds(b, "process_cpu_seconds_total", "counter", "Processor time, user and system.",
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	known_number(b, "process_resident_memory_bytes", "Memory in use.", resident * page);
	known_number(b, "process_virtual_memory_bytes", "Address space in use.", size * page);
	known_number(b, "process_open_fds", "Open file descriptors.", count_fds());
	known_number(b, "process_max_fds", "Most file descriptors that may be open.",
		     files.rlim_cur);
	seconds(b, "process_start_time_seconds", "gauge", "When the process began; Unix time.",
		m->start_s);
}

void sv_metrics_write(const struct sv_api_context *x, struct sv_buf *b)
{
	size_t i;

	write_daemon(x, b);
	write_volumes(x->manager, b);
	write_operations(&x->manager->metrics, b);
	write_objects(&x->manager->desired, b);
	write_sources(x, b);
	for (i = 0; x->sources[i]; i++)
		if (x->sources[i]->metrics)
			x->sources[i]->metrics(x->sources[i], b);
	write_process(&x->manager->metrics, b);
}
