/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - which files does a volume hold?
 * Pure: a Pod, one of its volumes and the Secrets it names give every file, directory, mode and
 * owner, or the reason for having none (R35-R37, R44, R45, R47, R49-R52, R55).
 */
#ifndef SV_CORE_PLAN_H
#define SV_CORE_PLAN_H

#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"
#include "object.h"

/* Refusals (> 0): the input is at fault, and trying again without new input is useless. */
enum {
	SV_PLAN_E_NO_SECRET =
		1,             /* a Secret does not exist, or only in a version that was refused */
	SV_PLAN_E_NO_KEY,      /* items lists a key that the Secret lacks */
	SV_PLAN_E_PATH,        /* a path that is impossible (R36, R37) */
	SV_PLAN_E_CLASH,       /* a path is wanted as a file and as a directory */
	SV_PLAN_E_TOO_LARGE,   /* over the size limit of a volume */
	SV_PLAN_E_UNSUPPORTED, /* a projected source that is not a Secret */
	SV_PLAN_E_PENDING, /* a source has not answered yet whether a Secret exists, or with its values */
	SV_PLAN_E_FORBIDDEN, /* the API server does not let us read a Secret */
	SV_PLAN_E_UNAVAILABLE, /* the source that has a Secret cannot be reached, or not give its values again */
};

#define SV_PLAN_PAGE 4096
/* A footprint may be twice the limit and this much: what two generations have room for. */
#define SV_FOOTPRINT_EXTRA (256 << 10)

struct sv_plan_file {
	char *path;  /* relative, cleaned, '/'-separated, no element is "..": see validate.h */
	mode_t mode; /* permission bits, 0000-0777, fsGroup's bits included; no umask applies */
	size_t size; /* bytes */
	const struct sv_bytes *value; /* borrowed from values that the plan holds; NULL without */
	const char *secret;           /* whose it is: a name in `secrets` */
	char *key;                    /* owned, or the same pointer as path */
};

/* A Secret that the volume names, and what became of it: for the status report. */
struct sv_plan_secret {
	char *name;
	bool optional, found;
	struct sv_digest digest;     /* of its keys and values */
	struct sv_secret *secret;    /* counted; NULL if not found, or once forgotten */
	struct sv_secret_data *data; /* counted; NULL if the Secret was hollow, or once forgotten */
};

struct sv_plan {
	enum sv_origin origin;      /* of the Pod and its Secrets */
	struct sv_plan_file *files; /* sorted by path, a directory's entries right behind it */
	size_t n_files;             /* 0 is a valid, empty volume */
	char **dirs;                /* nested mountpoints (R49), parents first; relative, cleaned */
	size_t n_dirs;
	struct sv_plan_secret *secrets; /* in the order of the sources */
	size_t n_secrets;
	int64_t fs_group; /* -1: none. Group of everything in the volume (R44) */
	size_t size;      /* bytes of all values */
	size_t footprint; /* bytes of memory that files and links take: whole pages */
};

/* Modes that follow from fsGroup (R45). */
mode_t sv_plan_root_mode(const struct sv_plan *plan); /* 01777 or 03777 */
mode_t sv_plan_dir_mode(const struct sv_plan *plan);  /* 0755 or 02755 */

/*
 * Is file @i < n_files the first one below its first element, which has one link for all (R40)?
 * '/' sorts first, so that they stand together.
 */
bool sv_plan_starts_element(const struct sv_plan *plan, size_t i);

/**
 * sv_secret_lookup - how a plan finds Secrets
 * @ret:  the Secret, borrowed; set on 0 only
 * @err:  text for results other than 0 and SV_PLAN_E_NO_SECRET; may be extended by the caller
 *
 * Return: 0, SV_PLAN_E_NO_SECRET, _PENDING, _FORBIDDEN or _UNAVAILABLE. Only NO_SECRET
 * is forgiven by `optional` (R50). For NO_SECRET a text in @err, if any, says why it is missing
 * although something of that name is there. A Secret that is hollow makes a plan whose files have
 * no values: good for comparing, not for writing.
 */
typedef int (*sv_secret_lookup)(void *arg, const char *ns, const char *name, struct sv_secret **ret,
				struct sv_err *err);

/**
 * sv_plan_make() - project Secrets through a volume
 * @vol:   a secret or projected volume of @pod; borrowed
 * @limit: of the volume's size in bytes
 * @ret:   the new plan, owned by the caller; untouched unless 0 is returned
 * @err:   text for the status report, may be NULL; never holds secret data
 *
 * Return: 0, a SV_PLAN_E_* refusal, or -ENOMEM.
 */
int sv_plan_make(const struct sv_pod *pod, const struct sv_volume *vol, size_t limit,
		 sv_secret_lookup lookup, void *arg, struct sv_plan **ret, struct sv_err *err);

/*
 * Would the two make the same volume? Nothing that can be seen of it differs, and it was made from
 * the same values, whether they are there or forgotten.
 */
bool sv_plan_same(const struct sv_plan *a, const struct sv_plan *b);

/* Gives the values up and keeps the rest, for the status report. */
void sv_plan_forget(struct sv_plan *plan);

/* Gives the Secrets up and frees; NULL is fine. */
void sv_plan_free(struct sv_plan *plan);

SV_AUTO(plan, struct sv_plan, sv_plan_free)
#define sv_autoplan __attribute__((cleanup(sv_cleanup_plan)))

#endif
