/* SPDX-License-Identifier: Apache-2.0 */
/*
 * validate - names, keys, paths, modes, sizes: every limit on objects in one place
 *
 * The texts are the API server's and the kubelet's, so that people find them on the web.
 */
#ifndef SV_CORE_VALIDATE_H
#define SV_CORE_VALIDATE_H

#include "../base/err.h"
#include "complaint.h"
#include "object.h"

#define SV_SUBDOMAIN_MAX 253       /* bytes of an object name (R1) */
#define SV_LABEL_MAX 63            /* bytes of a volume or namespace name (R11) */
#define SV_KEY_MAX 253             /* bytes of a Secret's key (R5) */
#define SV_SECRET_SIZE_MAX 1048576 /* bytes: sum of a Secret's decoded values (R6) */
#define SV_MODE_MAX 0777           /* R15 */
#define SV_ID_MAX 2147483647LL     /* users and groups (R23) */
#define SV_PATH_MAX_BYTES 4096     /* of an item path as written (R36) */
#define SV_ELEMENT_MAX 255         /* bytes of one element of it (R36) */
#define SV_PATH_USABLE_MAX \
	4000 /* bytes of a cleaned path: more cannot be opened below a mount point */
/*
 * Kubernetes has no limits for these but that of a request's size. They are far above what a Pod
 * needs, and keep what is done for each volume of each Pod in bounds.
 */
#define SV_SECRET_KEYS_MAX 10000   /* keys of a Secret */
#define SV_POD_VOLUMES_MAX 1000    /* volumes of a Pod, of all types */
#define SV_POD_CONTAINERS_MAX 1000 /* containers of a Pod, of all kinds */
#define SV_POD_MOUNTS_MAX 10000    /* volumeMounts of all containers of a Pod */
#define SV_CONTAINER_ENV_MAX 10000 /* env and envFrom of a container */
#define SV_VOLUME_SOURCES_MAX 1000 /* sources of a projected volume */
#define SV_VOLUME_ITEMS_MAX 10000  /* items of one source of a volume */
#define SV_VOLUME_FILES_MAX 20000  /* files of a volume, and directories */
#define SV_UID_MAX 128             /* bytes of metadata.uid, which becomes a directory name */

/* Each returns NULL if fine, else the text of the first complaint (a constant). */
const char *sv_check_subdomain(const char *name);
const char *sv_check_label(const char *name);
const char *sv_check_secret_key(const char *key);
const char *sv_check_uid(const char *uid);
const char *sv_check_relative_path(const char *path);    /* R14, layer api */
const char *sv_check_sub_path(const char *path);         /* R19: leading "..x" is allowed */
const char *sv_check_env_name(const char *name);         /* R68, the strict pattern */
const char *sv_check_env_name_relaxed(const char *name); /* R87 */
const char *sv_check_time(const char *text);             /* RFC 3339 */

/* The kubelet's check of a path before it writes (R36). NULL if fine. */
const char *sv_check_payload_path(const char *path);

/* A change of a Secret: type is fixed (R8), an immutable one keeps its data (R9). */
void sv_validate_secret_update(const struct sv_secret *old, const struct sv_secret *new,
			       struct sv_complaints *c);

#endif
