/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode - json-c trees to Secrets and Pods, with Kubernetes' defaults and refusals
 *
 * Decoding and the API server's validation in one walk (R1-R23, R27-R29, R73): a field
 * of the wrong type ends the walk with one complaint of category decode; other
 * complaints are collected. Fields that we have no use for are not looked at.
 */
#ifndef SV_CORE_DECODE_H
#define SV_CORE_DECODE_H

#include <json-c/json_object.h>

#include "complaint.h"
#include "object.h"

enum {
	SV_DECODE_E_INVALID = 1, /* the complaints say why */
};

struct sv_decode_opts {
	bool strict_env_names; /* R68 instead of R87 */
	bool from_api;         /* allow what only a stored object may have: ephemeral containers */
};

/**
 * sv_decode_secret(), sv_decode_pod() - read one object
 * @tree: the whole object; borrowed. Its kind and apiVersion have been looked at
 * @ret:  the new object, one reference; written on 0 only
 * @c:    complaints are added to it
 *
 * Return: 0, SV_DECODE_E_INVALID, or a negated errno.
 */
int sv_decode_secret(struct json_object *tree, const struct sv_decode_opts *opts,
		     struct sv_secret **ret, struct sv_complaints *c);
int sv_decode_pod(struct json_object *tree, const struct sv_decode_opts *opts, struct sv_pod **ret,
		  struct sv_complaints *c);

#endif
