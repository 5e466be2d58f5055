/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest - the text of one manifest file to the objects in it
 *
 * Pure. Kinds Pod, Secret, List, PodList and SecretList of apiVersion v1; other
 * kinds are counted. One bad object does not affect another.
 */
#ifndef SV_CORE_MANIFEST_H
#define SV_CORE_MANIFEST_H

#include "../base/err.h"
#include "complaint.h"
#include "decode.h"
#include "object.h"

#define SV_MANIFEST_OBJECTS_MAX 20000 /* of one file, lists expanded */

enum sv_kind { SV_KIND_POD, SV_KIND_SECRET, SV_KIND_UNKNOWN };

const char *sv_kind_name(enum sv_kind kind); /* "Pod", "Secret", "" */

struct sv_manifest_object {
	enum sv_kind kind;
	char *ns,
		*name; /* as far as they could be read, else ""; for a Pod that is in order the Pod's own */
	unsigned document;        /* from 0 */
	unsigned line;            /* where the object begins; 0 where unknown */
	bool vague;               /* which object it is, or whether it is one, cannot be made out */
	struct sv_pod *pod;       /* set if a Pod and in order; owned */
	struct sv_secret *secret; /* set if a Secret and in order; owned */
	struct sv_complaints complaints; /* not empty if and only if neither is set */
};

struct sv_manifest {
	struct sv_manifest_object *objects; /* in the order of the text */
	size_t n_objects;
	size_t ignored; /* objects of kinds that are not ours */
};

enum {
	SV_MANIFEST_E_SYNTAX = 1, /* the text as a whole cannot be used: nothing was decoded */
};

enum sv_format { SV_FORMAT_YAML, SV_FORMAT_JSON };

/**
 * sv_manifest_parse() - decode a file's text
 * @ret:  what is in it; written on 0 only; give back with sv_manifest_done()
 * @err:  for SV_MANIFEST_E_SYNTAX: what is wrong, with the line
 * @line: that line, 0 if unknown; may be NULL
 *
 * An empty text holds no objects and is in order.
 *
 * Return: 0, SV_MANIFEST_E_SYNTAX or -ENOMEM.
 */
int sv_manifest_parse(const char *text, size_t len, enum sv_format format,
		      const struct sv_decode_opts *opts, struct sv_manifest *ret,
		      struct sv_err *err, unsigned *line);
void sv_manifest_done(struct sv_manifest *m);

/*
 * The format that a file's name stands for: *.yaml, *.yml, *.json. False for every other
 * name, hidden files and what editors and dpkg leave behind.
 */
bool sv_manifest_format(const char *name, enum sv_format *ret);

#define sv_automanifest __attribute__((cleanup(sv_manifest_done)))

#endif
