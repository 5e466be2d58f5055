/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - strict JSON text (RFC 8259) to a json-c tree
 *
 * json-c is lenient in places where the API server is not, so a checker walks
 * the text first and refuses what Go's decoder refuses, in its words:
 * "invalid character '4' after object key:value pair". Limits are yaml.h's.
 */
#ifndef SV_CORE_JSON_H
#define SV_CORE_JSON_H

#include "yaml.h"

/**
 * sv_json_parse() - read one JSON value
 *
 * Arguments and results as for sv_yaml_parse(). Numbers with a fraction or an
 * exponent are json_type_double, whatever their value (R27); of duplicate keys the last wins.
 */
int sv_json_parse(const char *text, size_t len, struct json_object **ret, struct sv_err *err,
		  unsigned *line);

/*
 * The same for a stream of values, one after another with white space between
 * (a .json manifest with several documents).
 */
int sv_json_parse_all(const char *text, size_t len, struct sv_trees *ret, struct sv_err *err,
		      unsigned *line);

#endif
