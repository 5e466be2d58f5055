/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz - what the targets share: an input taken apart, invariants, objects
 *
 * A target is one file, fuzz_<target>.c, with seeds in corpus/<target>. It says what must hold
 * with MUST(); what the sanitizers find needs no words.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/err.h"
#include "../../lib/base/text.h"
#include "../../lib/core/manifest.h"
#include "../../lib/core/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void fuzz_broken(const char *file, int line, const char *what) __attribute__((noreturn));
#define MUST(what)                                              \
	do {                                                    \
		if (!(what))                                    \
			fuzz_broken(__FILE__, __LINE__, #what); \
	} while (0)

/* The input as a source of decisions: zeros once it is used up. */
struct fuzz_in {
	const uint8_t *at, *end;
};

bool fuzz_more(const struct fuzz_in *in);
unsigned fuzz_below(struct fuzz_in *in, unsigned n); /* 0 to n - 1; n is at most 65536 */
bool fuzz_one_in(struct fuzz_in *in, unsigned n);

/* One of a list of texts. */
#define FUZZ_PICK(in, list) ((list)[fuzz_below(in, (unsigned)(sizeof(list) / sizeof(*(list))))])

/* A string of at most @max bytes without NUL, as it stands in the input. Owned by the caller. */
char *fuzz_string(struct fuzz_in *in, size_t max);

/* What we print: one line of valid UTF-8 without control characters. */
bool fuzz_is_printable(const char *text);

/*
 * A manifest in JSON, one Pod of volumes, containers and environments and some Secrets that
 * these name. Most of it is in order, so that what is behind the checks is reached.
 */
void fuzz_write_manifest(struct fuzz_in *in, struct sv_buf *out);
void fuzz_write_json_string(struct sv_buf *out, const char *text);

/* sv_secret_lookup in the Secrets of a manifest. */
int fuzz_lookup(void *manifest, const char *ns, const char *name, struct sv_secret **ret,
		struct sv_err *err);

/* What must hold for every plan. */
void fuzz_check_plan(const struct sv_pod *pod, const struct sv_plan *plan, size_t limit);

/* Same types, same values: numbers by value, maps in any order. */
bool fuzz_same_tree(struct json_object *a, struct json_object *b);

#endif
