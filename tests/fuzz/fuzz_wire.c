/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server sends, piece by piece: a Status, a watch event, an item or the rest of a list,
 * then the object as daemon/source/kube.c decodes it, and what a reflector makes of it. First
 * byte: what the others are.
 */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/core/decode.h"
#include "../../lib/core/json.h"
#include "../../lib/core/reflector.h"
#include "../../lib/core/stream.h"
#include "../../lib/core/validate.h"
#include "../../lib/core/wire.h"
#include "fuzz.h"

static void check_pod(struct json_object *o, const struct sv_decode_opts *opts)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autopod struct sv_pod *pod = NULL;
	int r = sv_decode_pod(o, opts, &pod, &c);

	MUST(r >= 0 && (pod != NULL) == (r == 0) && (c.n > 0) == (r > 0));
	if (!pod)
		return;
	MUST(!sv_check_subdomain(pod->name) && !sv_check_label(pod->ns) && !sv_check_uid(pod->uid));
	MUST(sv_pod_equal(pod, pod));
}

static void check_secret(struct json_object *o, const struct sv_decode_opts *opts)
{
	sv_autocomplaints struct sv_complaints c = { 0 };
	sv_autosecret struct sv_secret *secret = NULL;
	int r = sv_decode_secret(o, opts, &secret, &c);
	size_t i;

	MUST(r >= 0 && (secret != NULL) == (r == 0) && (c.n > 0) == (r > 0));
	for (i = 0; secret && i < secret->n_keys; i++)
		MUST(!sv_check_secret_key(secret->keys[i].name));
}

static void check_status(const struct sv_wire_status *s)
{
	MUST(s->code >= 0 && s->code < 1000 && s->retry_after_ms >= 0);
	MUST(strlen(s->reason) < sizeof(s->reason) && strlen(s->message) < sizeof(s->message));
	MUST(fuzz_is_printable(s->reason) && fuzz_is_printable(s->message));
}

/* A query is one line of what may stand in a URL, whatever the server called its versions. */
static void check_query(const struct sv_reflector *r, uint32_t random)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_.~=&%";
	sv_autobuf struct sv_buf b = { 0 };

	sv_reflector_query(r, random, &b);
	MUST(!b.failed && b.len > 0 && b.ptr[strspn(b.ptr, plain)] == '\0');
}

/* A mirror that is in some state, and what comes next. */
static void reflect(const struct sv_wire_event *e, uint32_t random)
{
	static const char *const versions[] = { "", "0", "41", "v", "99999999999999999999" };
	struct sv_reflector r;
	int verdict;
	int64_t ms;

	sv_reflector_init(&r, (enum sv_list_from)(random % 3));
	if (random & 8)
		MUST(sv_reflector_listed(&r, versions[random / 16 % 5], "") == 1);
	if (e->type == SV_WIRE_ERROR) {
		ms = sv_reflector_failed(&r, &e->status, random % 2000, random);
		MUST(ms >= 0 && ms <= SV_RETRY_AFTER_MAX_MS * 5 / 4);
		check_status(&e->status);
	} else {
		sv_autofree char *before = r.version ? strdup(r.version) : NULL;

		verdict = sv_reflector_event(&r, e);
		MUST(verdict == SV_EVENT_TAKE || verdict == SV_EVENT_OLD);
		/* what is known does not go back */
		MUST(!before || sv_wire_compare(r.version, before) >= 0);
		if (verdict == SV_EVENT_OLD &&
		    sv_wire_compare(e->version, before ? before : "") < 0)
			MUST(r.reordered || e->type == SV_WIRE_UNKNOWN);
		ms = sv_reflector_ended(&r, random % 2000, random);
		MUST(ms >= 0 && ms <= SV_BACKOFF_MAX_MS);
	}
	check_query(&r, random);
	sv_reflector_done(&r);
}

static void check_event(const char *text, size_t len, bool item, uint32_t random)
{
	const struct sv_decode_opts opts = { random % 2, true };
	sv_autowire struct sv_wire_event e = { 0 };
	struct sv_err err = { "" };
	int r = item ? sv_wire_item(text, len, &e, &err) : sv_wire_event(text, len, &e, &err);

	MUST(r == 0 || r == SV_WIRE_E_SYNTAX);
	MUST((e.root != NULL) == (r == 0) && (*err.msg != '\0') == (r != 0));
	if (r)
		return;
	MUST(json_object_is_type(e.object, json_type_object) && e.ns && e.name && e.version);
	if (!item)
		reflect(&e, random);
	if (e.type == SV_WIRE_ERROR)
		return;
	check_pod(e.object, &opts);
	check_secret(e.object, &opts);
}

static void check_list(const char *text, size_t len)
{
	char *version = NULL, *token = NULL;
	struct sv_err err = { "" };
	int r = sv_wire_list(text, len, &version, &token, &err);

	MUST(r == 0 || r == SV_WIRE_E_SYNTAX);
	MUST((version != NULL) == (r == 0) && (token != NULL) == (r == 0));
	MUST((*err.msg != '\0') == (r != 0));
	if (r == 0) {
		struct sv_reflector ref;

		sv_reflector_init(&ref, SV_LIST_ANY);
		MUST(sv_reflector_listed(&ref, version, token) == !*token);
		check_query(&ref, 7);
		sv_reflector_done(&ref);
	}
	free(version);
	free(token);
}

static void check_head(const char *text, size_t len)
{
	char name[64];

	sv_wire_name(text, len, name, sizeof(name));
	MUST(strlen(name) < sizeof(name) && fuzz_is_printable(name));
	(void)sv_wire_deletes(text, len);
}

/* A whole answer, as kube_watch.c takes it apart. */
struct answer {
	bool list;
	uint32_t random;
};

static int on_object(void *arg, const char *text, size_t len)
{
	const struct answer *a = arg;

	check_event(text, len, a->list, a->random);
	return 0;
}

static void on_too_large(void *arg, const char *head, size_t len)
{
	(void)arg;
	check_head(head, len);
}

static void check_answer(const char *text, size_t len, bool list, uint32_t random)
{
	static const struct sv_stream_sink sink = { on_object, on_too_large };
	struct answer a = { list, random };
	sv_autostream struct sv_stream s = { 0 };
	const char *rest = NULL;
	size_t rest_len = 0;
	int r;

	sv_stream_init(&s, list ? SV_STREAM_LIST : SV_STREAM_WATCH, 1024, &sink, &a);
	r = sv_stream_feed(&s, text, len);
	if (r == 0 && sv_stream_end(&s, &rest, &rest_len) == 0 && list)
		check_list(rest, rest_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned how = size ? *data : 0;
	uint32_t random = how * 2654435761u;
	const char *text = (const char *)data + (size > 0);
	struct sv_wire_status status;

	size -= size > 0;
	switch (how % 8) {
	case 0:
		sv_wire_status(text, size, how & 8 ? 0 : 503, &status);
		check_status(&status);
		break;
	case 1:
		check_event(text, size, false, random);
		break;
	case 2:
		check_event(text, size, true, random);
		break;
	case 3:
		check_list(text, size);
		break;
	case 4:
		check_head(text, size);
		break;
	case 5:
	case 6:
		check_answer(text, size, how % 8 == 5, random);
		break;
	default: {
		sv_autofree char *a = strndup(text, size / 2),
				 *b = strndup(text + size / 2, size - size / 2);
		int r = sv_wire_compare(a, b), back = sv_wire_compare(b, a);

		MUST((r > 0) == (back < 0) && (r == 0) == (back == 0));
	}
	}
	return 0;
}
