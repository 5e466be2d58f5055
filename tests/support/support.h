/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support - what every unit test program shares: main(), objects from short texts
 *
 * A program names itself and adds its tests with T_SUITE(); main() is here. The
 * t_*() helpers fail the running test where they cannot do their work, so that
 * a test reads as what it is about. What they return is owned by the caller.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <check.h>
#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../lib/base/bytes.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/err.h"
#include "../../lib/base/text.h"
#include "../../lib/core/complaint.h"
#include "../../lib/core/object.h"
#include "../../lib/core/plan.h"

/* ---- the program --------------------------------------------------------------------------- */

extern const char t_name[];
void t_add_tests(TCase *t);

/* T_SUITE(plan) { T_TEST(a_test); T_EACH(a_table_test, a_table); } */
#define T_SUITE(name)                \
	const char t_name[] = #name; \
	void t_add_tests(TCase *t)

#define T_TEST(test) t_add_test(t, #test, test, 1)
#define T_EACH(test, table) t_add_test(t, #test, test, (int)SV_ARRAY_SIZE(table))
/* With T_ONLY in the environment only tests whose name contains it are run. */
void t_add_test(TCase *t, const char *name, const TTest *test, int n);
/* Around every test of the program, in its own process. */
#define T_AROUND(setup, teardown) tcase_add_checked_fixture(t, setup, teardown)

/* ---- texts --------------------------------------------------------------------------------- */

/* Fails unless @text contains @part. */
void t_contains(const char *text, const char *part);

/* @n copies of @c. */
char *t_repeat(char c, size_t n);

/* A text with newlines between the lines where the test has ';' (for tables of one-liners). */
char *t_lines(const char *text);

/* ---- objects ------------------------------------------------------------------------------- */

/* The only document of a YAML text. */
struct json_object *t_yaml(const char *text);

/* A tree on one line. "null" for NULL. Borrowed from the tree. */
const char *t_json(struct json_object *tree);

void t_cleanup_tree(struct json_object **tree);
#define t_autotree __attribute__((cleanup(t_cleanup_tree)))

/* Whole objects in YAML. */
struct sv_pod *t_pod_yaml(const char *text);
struct sv_secret *t_secret_yaml(const char *text);

/*
 * "NAME" or "NS/NAME", and the keys: "username=my-app password=39528$vdg7Jb". A value ends at a
 * blank. An "!immutable" or "!type=T" among the keys sets that field.
 */
struct sv_secret *t_secret(const char *name, const char *keys);

/*
 * "NAME", "NS/NAME" or "NS/NAME@UID", and volumes: "vol=secret". "vol=secret?" is optional; a volume
 * is mounted at /VOL by the only container unless its name ends in '-'. "!terminated" ends the Pod;
 * "!fsGroup=N" sets its group.
 */
struct sv_pod *t_pod(const char *name, const char *volumes);

/* A volume of a Pod by its name. */
const struct sv_volume *t_volume(const struct sv_pod *pod, const char *name);

/* "category field" of every complaint, one a line: "Required spec.containers". */
char *t_complaints(const struct sv_complaints *c);

/* Secrets for sv_plan_make(): a NULL-terminated array of what exists. */
int t_lookup(void *secrets, const char *ns, const char *name, struct sv_secret **ret,
	     struct sv_err *err);

/* "path:mode path:mode …", in order. */
char *t_files(const struct sv_plan *plan);

/* The plan of a Pod's volume with these Secrets (NULL-terminated); fails if there is none. */
struct sv_plan *t_plan(const struct sv_pod *pod, const char *volume, struct sv_secret **secrets);

/* ---- places (for programs that need root) -------------------------------------------------- */

/*
 * A private mount namespace with a fresh tmpfs as the working place, and back. Use with T_AROUND().
 * t_dir is its path, t_dirfd a descriptor of it.
 */
extern const char t_dir[];
extern int t_dirfd;
void t_enter_place(void);
void t_leave_place(void);

/*
 * What is in a directory and below, sorted: "name mode gid" of directories with a '/' behind the
 * name, of files with "=content", of links "name -> target"; one a line, without times. Names that
 * begin with "..2" are shown as "..GEN".
 */
char *t_tree(int dirfd);

/* The whole of a small file as a string, or NULL if it cannot be opened. */
char *t_read(int dirfd, const char *path);
void t_write(int dirfd, const char *path, const char *text);

/* What a link says, or NULL. */
char *t_link(int dirfd, const char *path);

#endif
