/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog - all manifest files together: which object counts, and what is wrong
 *
 * Pure. Of two objects of one kind and name the first path in byte order wins,
 * then the first document; of two Pods with one uid likewise. A file that does
 * not parse keeps its last good objects, an object that is refused its last
 * good version. While it cannot be made out what an object in a file is, those
 * that are missing in its place stay, and yield to the same ones elsewhere. A
 * change of a Secret that the API server would refuse (R8, R9) leaves the old
 * one in force. What counts is told to a sink as it changes.
 */
#ifndef SV_CORE_CATALOG_H
#define SV_CORE_CATALOG_H

#include <stdint.h>

#include "manifest.h"

#define SV_SECRET_COST 1024 /* bytes that a Secret counts for besides its keys and values */

/*
 * Told what counts. Objects are borrowed (take a reference to keep one).
 * A put replaces what was there under that name; equal objects are not put again, but by
 * sv_catalog_retell(), and for a Secret that has forgotten its values and comes with them.
 */
struct sv_catalog_sink {
	void (*put_pod)(void *arg, struct sv_pod *pod);
	void (*remove_pod)(void *arg, const char *ns, const char *name);
	void (*put_secret)(void *arg, struct sv_secret *secret);
	void (*remove_secret)(void *arg, const char *ns, const char *name);
	/* A Secret of this name exists but is invalid and has no good version; NULL: no longer so. */
	void (*refuse_secret)(void *arg, const char *ns, const char *name, const char *text);
};

/* A complaint that stands. Strings are borrowed and "" where they do not apply. */
struct sv_problem {
	const char *source; /* "manifest" */
	const char *file;
	int document;  /* from 0; -1: the file as a whole */
	unsigned line; /* 0: unknown */
	const char *kind, *ns, *name, *field;
	const char *category; /* sv_category_name(), or "" */
	const char *reason;   /* InvalidPod, InvalidSecret, InvalidManifest, DuplicateObject, … */
	const char *message;
	bool warning;     /* the object is used all the same */
	int64_t since_ms; /* Unix time in ms: of its kind, about this object and field */
};
typedef void (*sv_problem_fn)(void *arg, const struct sv_problem *problem);

/* A problem with a file, or whatever stands for one, as a whole: the rest is to be filled in. */
struct sv_problem sv_problem_about(const char *source, const char *file);

struct sv_catalog;

/* @sink may be NULL: nobody is told. Return: 0 or -ENOMEM. */
int sv_catalog_new(const struct sv_catalog_sink *sink, void *arg, struct sv_catalog **ret);
void sv_catalog_free(struct sv_catalog *c); /* tells the sink nothing; NULL is fine */

enum {
	SV_CATALOG_E_LIMIT = 1, /* all files together would hold too much */
};

/* Of all files together; 0: no limit. What does not count (duplicates) takes its place, too. */
struct sv_catalog_limits {
	size_t pods;
	size_t volumes;      /* secret and projected volumes of these Pods */
	size_t secrets_size; /* bytes: keys and values, and SV_SECRET_COST for each Secret */
};
void sv_catalog_set_limits(struct sv_catalog *c, const struct sv_catalog_limits *limits);

/**
 * sv_catalog_set() - a file was read
 * @path:    the file's full path
 * @m:       its objects; taken over, empty afterwards
 * @exposed: others may read the file: a warning if it holds a Secret
 * @now_ms:  Unix time
 *
 * A file that brings more of something than there was of it before is refused if that is over a
 * limit: whatever else is there stays.
 *
 * Return: 0, SV_CATALOG_E_LIMIT with a text in @err, or -ENOMEM: what the sink was told last stays
 * in force, until the file is given again or, if it was taken, sv_catalog_retell() succeeds.
 */
int sv_catalog_set(struct sv_catalog *c, const char *path, struct sv_manifest *m, bool exposed,
		   int64_t now_ms, struct sv_err *err);

/* A file cannot be used: its last good objects stay, and the complaint stands. */
int sv_catalog_fail(struct sv_catalog *c, const char *path, unsigned line, const char *reason,
		    const char *message, int64_t now_ms);

/* A file has vanished, perhaps only for a moment: its objects yield to the same ones elsewhere.
 * With @gone false it is there again, unchanged. */
int sv_catalog_mark_gone(struct sv_catalog *c, const char *path, bool gone, int64_t now_ms);

/* A file is no more: forget its objects. */
int sv_catalog_remove(struct sv_catalog *c, const char *path, int64_t now_ms);

/* Let go of the values that a file has for Secrets which do not count, or not in this version. */
void sv_catalog_forget(struct sv_catalog *c, const char *path);

/*
 * Tell the sink all that counts, also what it was told before: it or the catalog had run out of
 * memory. Return: 0 or -ENOMEM: to be called again later.
 */
int sv_catalog_retell(struct sv_catalog *c, int64_t now_ms);

bool sv_catalog_has(const struct sv_catalog *c, const char *path);
/* Why a file cannot be used, borrowed; NULL if it can, or is not known. */
const char *sv_catalog_failure(const struct sv_catalog *c, const char *path);
/* The path of the file whose Secret of that name counts, borrowed; NULL if there is none. */
const char *sv_catalog_path(const struct sv_catalog *c, const char *ns, const char *name);
/* Has a file this very version of a Secret, as it was read last? Not one that is kept, or replaced. */
bool sv_catalog_holds(const struct sv_catalog *c, const char *path, const struct sv_secret *secret);

void sv_catalog_each_problem(const struct sv_catalog *c, sv_problem_fn fn, void *arg);
/* The Pods that count, in the order of namespace and name. */
void sv_catalog_each_pod(const struct sv_catalog *c, void (*fn)(void *arg, struct sv_pod *pod),
			 void *arg);
/* The Secret that counts, borrowed, or NULL. */
struct sv_secret *sv_catalog_secret(const struct sv_catalog *c, const char *ns, const char *name);
/* The text of the first complaint about a Secret that has no good version; NULL if there is none. */
const char *sv_catalog_refused(const struct sv_catalog *c, const char *ns, const char *name);

struct sv_catalog_counts {
	size_t files, pods, secrets, ignored;
};
/* What counts, of the files in a directory (not further below); @dir NULL: of all. */
void sv_catalog_count(const struct sv_catalog *c, const char *dir, struct sv_catalog_counts *ret);

#endif
