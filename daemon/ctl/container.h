/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container - POD and -c CONTAINER, and what the daemon says of them
 *
 * For env, exec and mounts.
 */
#ifndef SV_CTL_CONTAINER_H
#define SV_CTL_CONTAINER_H

#include "api.h"
#include "target.h"

extern const char *sv_container_name; /* of option -c, or NULL */

#define SV_OPT_CONTAINER                                                                       \
	{                                                                                      \
		"container", &sv_container_name, "NAME", "container (default: the first one)", \
			SV_OPT_TEXT, 'c'                                                       \
	}

/* Read POD, argv[0]. Return: 0 or SV_EXIT_USAGE, and the text is printed then. */
int sv_container_target(int argc, char **argv, struct sv_target *ret);

/* POST /v1/env. Return: an exit code; text is printed unless it is 0. @ret is owned. */
int sv_container_env(const struct sv_target *pod, struct json_object **ret);

/* The value of an element of "env", decoded; owned by the caller. Return: 0 or an exit code. */
int sv_container_value(struct json_object *entry, char **value, size_t *len);

#endif
