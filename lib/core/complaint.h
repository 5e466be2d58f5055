/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complaint - what is wrong with an object, in the API server's words
 *
 * A list of findings as apimachinery's field.ErrorList has them: category,
 * field path and text. A list holds at most SV_COMPLAINTS_MAX; what exceeds
 * that is counted and dropped. Secret values never enter a complaint.
 */
#ifndef SV_CORE_COMPLAINT_H
#define SV_CORE_COMPLAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SV_COMPLAINTS_MAX 64

enum sv_category {
	SV_DECODE,        /* the body cannot be parsed */
	SV_REQUIRED,      /* "Required value" */
	SV_INVALID,       /* "Invalid value" */
	SV_DUPLICATE,     /* "Duplicate value" */
	SV_NOT_FOUND,     /* "Not found" */
	SV_NOT_SUPPORTED, /* "Unsupported value" */
	SV_FORBIDDEN,     /* "Forbidden" */
	SV_TOO_LONG,      /* "Too long" */
	SV_TOO_MANY,      /* "Too many" */
};

/* "decode", "Required", "Invalid", "Duplicate", "NotFound", "NotSupported", "Forbidden", "TooLong",
 * "TooMany" */
const char *sv_category_name(enum sv_category c);

struct sv_complaint {
	enum sv_category category;
	char *field;      /* such as spec.volumes[0].name; "" where there is none */
	char *message;    /* begins with the field, as the API server prints it; printable */
	unsigned line;    /* in the file, from 1; 0 where unknown */
	int64_t since_ms; /* Unix time; 0 unless somebody keeps it */
};

struct sv_complaints {              /* all zero: none */
	struct sv_complaint *items; /* in the order of discovery */
	size_t n, dropped;
	bool out_of_memory;
};

/**
 * sv_complain() - add a finding
 * @value: the offending value, quoted into the text; NULL for none, and for values that may be secret
 * @fmt:   the detail behind category and value; may be ""
 */
void sv_complain(struct sv_complaints *c, enum sv_category category, const char *field,
		 const char *value, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same for a number. */
void sv_complain_int(struct sv_complaints *c, const char *field, long long value, const char *fmt,
		     ...) __attribute__((format(printf, 4, 5)));

void sv_complaints_done(struct sv_complaints *c);

#define sv_autocomplaints __attribute__((cleanup(sv_complaints_done)))

#endif
