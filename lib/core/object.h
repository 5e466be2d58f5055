/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object - Secret, Pod and their parts: plain data, constant once decoded
 *
 * Objects are counted: sv_x_ref() shares one, sv_x_unref() gives it up, and the
 * last one out wipes and frees. Counts are atomic, so a worker may hold an
 * object that the loop has let go of. After decoding nothing changes but one
 * thing: a Secret may forget its values, and be given them again.
 *
 * The values of a Secret are counted on their own: whoever works with them holds
 * them, the Secret itself holds them only as long as somebody may ask for them. A
 * value exists once, however many volumes use it, and not at all while the Secret
 * is hollow. What is left then (keys, sizes, a keyed digest) still tells whether
 * another version differs.
 */
#ifndef SV_CORE_OBJECT_H
#define SV_CORE_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/bytes.h"
#include "../base/digest.h"

/* Where an object came from. Pods see the Secrets of their own origin only. */
enum sv_origin {
	SV_ORIGIN_MANIFEST, /* a manifest directory */
	SV_ORIGIN_API,      /* a Kubernetes API server */
	SV_N_ORIGINS,
};

const char *sv_origin_name(enum sv_origin origin); /* "manifest", "api" */

struct sv_secret_key {
	char *name;
	size_t size; /* bytes of its value */
};

/* The values of a Secret, in the order of its keys. */
struct sv_secret_data {
	atomic_int refs;
	size_t n;
	struct sv_bytes values[];
};

struct sv_secret {
	atomic_int refs;
	char *ns, *name;
	char *uid, *resource_version; /* "" where the source has none */
	char *type;                   /* "Opaque" by default (R7) */
	bool immutable;               /* R9 */
	struct sv_secret_key *keys;   /* sorted by name (strcmp order) */
	size_t n_keys;
	size_t size;                 /* bytes of all values */
	struct sv_digest digest;     /* of keys and values */
	struct sv_secret_data *data; /* counted; NULL while hollow. The loop's alone */
};

/* A key with its value, on the way into a Secret. */
struct sv_secret_item {
	char *name;
	struct sv_bytes value;
};

/* One element of `items` (R14). */
struct sv_key_to_path {
	char *key, *path;
	int mode; /* permission bits, -1: the volume's default */
};

/* One Secret that feeds a volume: the volume itself, or a projected source. */
struct sv_secret_source {
	char *name;
	bool optional;
	struct sv_key_to_path *items;
	size_t n_items; /* 0: every key under its own name (R13) */
};

enum sv_volume_type {
	SV_VOLUME_OTHER,     /* some kind that is not ours: only its name counts */
	SV_VOLUME_SECRET,    /* exactly one source */
	SV_VOLUME_PROJECTED, /* any number of sources (R16) */
};

struct sv_volume {
	char *name;
	enum sv_volume_type type;
	mode_t default_mode; /* 0644 by default (R29) */
	struct sv_secret_source *sources;
	size_t n_sources;
	char *unsupported; /* a projected source of a kind we do not serve (R17): its name, else NULL */
};

struct sv_mount {
	char *volume;
	char *path;                     /* mountPath as written */
	char *sub_path, *sub_path_expr; /* "" where absent (R19) */
	bool read_only;
};

/* One element of envFrom (R67). */
struct sv_env_source {
	char *prefix;     /* "" where absent */
	char *secret;     /* secretRef.name, or NULL */
	char *config_map; /* configMapRef.name, or NULL */
	bool optional;
};

enum sv_env_kind {
	SV_ENV_VALUE,      /* value */
	SV_ENV_SECRET_KEY, /* valueFrom.secretKeyRef: ref, key */
	SV_ENV_FIELD,      /* valueFrom.fieldRef: key is the fieldPath */
	SV_ENV_CONFIG_MAP, /* valueFrom.configMapKeyRef: ref, key */
	SV_ENV_RESOURCE,   /* valueFrom.resourceFieldRef: key is the resource */
};

struct sv_env_var {
	char *name;
	enum sv_env_kind kind;
	char *value; /* SV_ENV_VALUE only, else "" */
	char *ref, *key;
	bool optional;
};

enum sv_container_kind { SV_CONTAINER_APP, SV_CONTAINER_INIT, SV_CONTAINER_EPHEMERAL };

struct sv_container {
	char *name;
	enum sv_container_kind kind;
	struct sv_mount *mounts;
	size_t n_mounts;
	struct sv_env_source *env_from;
	size_t n_env_from;
	struct sv_env_var *env;
	size_t n_env;
	char **command, **args;            /* NULL-terminated, or NULL */
	int64_t run_as_user, run_as_group; /* -1: not set */
};

struct sv_label {
	char *name, *value;
};

struct sv_pod {
	atomic_int refs;
	char *ns, *name;
	char *uid; /* metadata.uid, or derived from namespace and name: a safe directory name */
	char *node_name;
	bool terminated;                   /* R24 */
	int64_t fs_group;                  /* -1: not set; 0 counts as set (R44) */
	int64_t run_as_user, run_as_group; /* -1: not set */
	int64_t *supplemental_groups;
	size_t n_supplemental_groups;
	struct sv_label *labels, *annotations; /* kept only if a container's env refers to them */
	size_t n_labels, n_annotations;
	struct sv_volume *volumes;
	size_t n_volumes;
	struct sv_container *containers; /* init, app and ephemeral ones, in this order */
	size_t n_containers;
};

/* New objects are all zero but for refs = 1 and the "not set" marks. NULL for lack of memory. */
struct sv_secret *sv_secret_new(void);
struct sv_secret *sv_secret_ref(struct sv_secret *s);
void sv_secret_unref(struct sv_secret *s); /* NULL is fine */

struct sv_pod *sv_pod_new(void);
struct sv_pod *sv_pod_ref(struct sv_pod *p);
void sv_pod_unref(struct sv_pod *p); /* NULL is fine */

/**
 * sv_secret_set() - give a new Secret its keys and values
 * @items: sorted by name, names are unique; names and values are taken over on 0
 *
 * Return: 0 or a negated errno.
 */
int sv_secret_set(struct sv_secret *s, struct sv_secret_item *items, size_t n);

struct sv_secret_data *sv_secret_data_ref(struct sv_secret_data *d);
void sv_secret_data_unref(struct sv_secret_data *d); /* NULL is fine */

/* True if the values were forgotten; a Secret without keys has none to forget. */
bool sv_secret_is_hollow(const struct sv_secret *s);
/* Let go of the values: wiped at once, or when the last one who works with them is done. */
void sv_secret_forget(struct sv_secret *s);
/* Share the values of another version with the same content. False if it has none, or others. */
bool sv_secret_fill(struct sv_secret *s, const struct sv_secret *from);

/* The key of a name, or NULL; borrowed. */
const struct sv_secret_key *sv_secret_key(const struct sv_secret *s, const char *name);
/* The value of a key, or NULL if the Secret has no such key or is hollow; borrowed. */
const struct sv_bytes *sv_secret_value(const struct sv_secret *s, const char *key);

/* Same keys and values. */
bool sv_secret_same_data(const struct sv_secret *a, const struct sv_secret *b);
/* Same content and flags: nothing that anybody could see has changed. */
bool sv_secret_equal(const struct sv_secret *a, const struct sv_secret *b);

/* Same in every field that we keep. */
bool sv_pod_equal(const struct sv_pod *a, const struct sv_pod *b);

/* True if a container mounts the volume (R21, R22). */
bool sv_pod_mounts(const struct sv_pod *pod, const char *volume);
/* True if one mounts a part of it: that part is pinned for the container's life (R62). */
bool sv_pod_mounts_part(const struct sv_pod *pod, const char *volume);

/* The container of a name, or of kind app the first one for NULL; borrowed, NULL if there is none. */
const struct sv_container *sv_pod_container(const struct sv_pod *pod, const char *name);

SV_AUTO(secret, struct sv_secret, sv_secret_unref)
SV_AUTO(pod, struct sv_pod, sv_pod_unref)
#define sv_autosecret __attribute__((cleanup(sv_cleanup_secret)))
#define sv_autopod __attribute__((cleanup(sv_cleanup_pod)))

#endif
