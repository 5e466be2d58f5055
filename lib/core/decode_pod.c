/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "../base/strmap.h"
#include "decode.h"
#include "decoder.h"
#include "validate.h"
#include "yaml.h"

/* What the walk over a Pod remembers across its parts. */
struct pod_walk {
	struct sv_decoder *d;
	struct sv_pod *pod;
	struct sv_strmap volumes;    /* names of volumes that are in order */
	struct sv_strmap containers; /* names of containers of all kinds */
	size_t n_mounts;             /* of all containers so far */
};

static char present; /* a value for maps that are used as sets */

static bool has_field(struct json_object *from, const char *field)
{
	struct json_object *node = NULL;

	return from && json_object_object_get_ex(from, field, &node) && node;
}

/* The elements of a list, all zero; NULL for none. *r becomes -ENOMEM if there is no memory for them. */
static void *make_array(size_t n, size_t size, int *r)
{
	void *p = n ? calloc(n, size) : NULL;

	if (n && !p)
		*r = -ENOMEM;
	return p;
}

/* A string that is "" where the field is absent. */
static int read_text(struct sv_decoder *d, struct json_object *from, const char *field,
		     const char *go, char **ret)
{
	int r = sv_read_string(d, from, field, go, ret);

	if (r == 0 && !*ret) {
		*ret = strdup("");
		r = *ret ? 0 : -ENOMEM;
	}
	return r;
}

/* ---- volumes (R11-R17) --------------------------------------------------------------------- */

static void check_mode(struct sv_decoder *d, const char *field, int64_t mode)
{
	if (mode < 0 || mode > SV_MODE_MAX)
		sv_reject_int(d, field, mode,
			      "must be a number between 0 and 0777 (octal), both inclusive");
}

static int read_item(struct sv_decoder *d, struct json_object *node, struct sv_key_to_path *ret)
{
	int64_t mode = -1;
	const char *text;
	int r;

	r = read_text(d, node, "key", "v1.KeyToPath.Key", &ret->key);
	if (r == 0)
		r = read_text(d, node, "path", "v1.KeyToPath.Path", &ret->path);
	if (r == 0)
		r = sv_read_int32(d, node, "mode", "v1.KeyToPath.Mode", &mode);
	if (r)
		return r;
	if (!*ret->key)
		sv_reject(d, SV_REQUIRED, "key", NULL, "");
	text = sv_check_relative_path(ret->path);
	if (!*ret->path)
		sv_reject(d, SV_REQUIRED, "path", NULL, "");
	else if (text)
		sv_reject(d, SV_INVALID, "path", ret->path, text);
	if (has_field(node, "mode"))
		check_mode(d, "mode", mode);
	ret->mode = (int)mode;
	return 0;
}

/*
 * The items of a source. @paths, for projected volumes only, collects the raw paths of all
 * sources of the volume, which must differ (R16).
 */
static int read_items(struct sv_decoder *d, struct json_object *from, const char *go,
		      struct sv_secret_source *ret, struct sv_strmap *paths, size_t volume_at)
{
	struct json_object *list;
	struct sv_place place;
	size_t i, n;
	int r = sv_read_list(d, from, "items", go, &list);

	n = sv_list_len(list);
	if (r == 0 && n > SV_VOLUME_ITEMS_MAX)
		r = sv_reject_many(d, "items", n, SV_VOLUME_ITEMS_MAX);
	if (r == 0)
		ret->items = make_array(n, sizeof(*ret->items), &r);
	if (r)
		return r;
	place = sv_enter(d, "items", list);
	for (i = 0; i < n && r == 0; i++) {
		struct json_object *node = NULL;
		struct sv_place at = sv_enter_index(d, i, json_object_array_get_idx(list, i));

		ret->n_items++;
		r = sv_read_element(d, list, i, go, &node);
		if (r == 0)
			r = read_item(d, node, &ret->items[i]);
		sv_leave(d, at);
		if (r == 0 && paths && *ret->items[i].path) {
			if (sv_strmap_get(paths, ret->items[i].path)) {
				struct sv_place here = { volume_at, d->line };
				size_t end = d->path.len;
				char cut = d->path.ptr[volume_at];

				/* reported at the volume, though found below it */
				d->path.len = here.len;
				d->path.ptr[here.len] = '\0';
				sv_reject(d, SV_INVALID, NULL, ret->name,
					  "conflicting duplicate paths");
				d->path.ptr[here.len] = cut;
				d->path.len = end;
			} else {
				r = sv_strmap_put(paths, ret->items[i].path, &present);
			}
		}
	}
	sv_leave(d, place);
	return r;
}

static int read_secret_volume(struct sv_decoder *d, struct json_object *node, struct sv_volume *v)
{
	struct sv_secret_source *s;
	int64_t mode = 0644;
	int r = 0;

	v->sources = make_array(1, sizeof(*v->sources), &r);
	if (r)
		return r;
	s = &v->sources[0];
	v->n_sources = 1;
	v->type = SV_VOLUME_SECRET;
	r = read_text(d, node, "secretName", "v1.SecretVolumeSource.SecretName", &s->name);
	if (r == 0)
		r = sv_read_bool(d, node, "optional", "v1.SecretVolumeSource.Optional",
				 &s->optional);
	if (r == 0)
		r = sv_read_int32(d, node, "defaultMode", "v1.SecretVolumeSource.DefaultMode",
				  &mode);
	if (r)
		return r;
	if (!*s->name)
		sv_reject(d, SV_REQUIRED, "secretName", NULL, "");
	check_mode(d, "defaultMode", mode);
	v->default_mode = (mode_t)(mode & SV_MODE_MAX);
	return read_items(d, node, "v1.SecretVolumeSource.Items", s, NULL, 0);
}

static const char *const projections[] = {
	"secret",         "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle",
	"podCertificate", NULL
};

static int read_projection(struct sv_decoder *d, struct json_object *node, struct sv_volume *v,
			   struct sv_strmap *paths, size_t volume_at)
{
	struct json_object *secret;
	struct sv_secret_source *s;
	struct sv_place place;
	size_t i, n = 0;
	int r;

	for (i = 0; projections[i]; i++) {
		if (!has_field(node, projections[i]))
			continue;
		if (n++ > 0)
			sv_reject(d, SV_FORBIDDEN, NULL, NULL,
				  "may not specify more than 1 volume type");
		if (i > 0 && !v->unsupported) {
			v->unsupported = strdup(projections[i]);
			if (!v->unsupported)
				return -ENOMEM;
		}
	}
	r = sv_read_object(d, node, "secret", "v1.VolumeProjection.Secret", &secret);
	if (r || !secret)
		return r;
	place = sv_enter(d, "secret", secret);
	s = &v->sources[v->n_sources++];
	r = read_text(d, secret, "name", "v1.SecretProjection.Name", &s->name);
	if (r == 0)
		r = sv_read_bool(d, secret, "optional", "v1.SecretProjection.Optional",
				 &s->optional);
	if (r == 0 && !*s->name)
		sv_reject(d, SV_REQUIRED, "name", NULL, "");
	if (r == 0)
		r = read_items(d, secret, "v1.SecretProjection.Items", s, paths, volume_at);
	sv_leave(d, place);
	return r;
}

static int read_projected_volume(struct sv_decoder *d, struct json_object *node,
				 struct sv_volume *v)
{
	struct sv_strmap paths = { NULL, 0, 0 };
	struct json_object *list;
	struct sv_place place;
	size_t volume_at = d->path.len, i, n;
	int64_t mode = 0644;
	int r;

	v->type = SV_VOLUME_PROJECTED;
	r = sv_read_int32(d, node, "defaultMode", "v1.ProjectedVolumeSource.DefaultMode", &mode);
	if (r == 0)
		r = sv_read_list(d, node, "sources", "v1.ProjectedVolumeSource.Sources", &list);
	if (r)
		return r;
	check_mode(d, "defaultMode", mode);
	v->default_mode = (mode_t)(mode & SV_MODE_MAX);
	n = sv_list_len(list);
	if (n > SV_VOLUME_SOURCES_MAX)
		return sv_reject_many(d, "sources", n, SV_VOLUME_SOURCES_MAX);
	v->sources = make_array(n, sizeof(*v->sources), &r);
	place = sv_enter(d, "sources", list);
	for (i = 0; i < n && r == 0; i++) {
		struct json_object *element = NULL;
		struct sv_place at = sv_enter_index(d, i, json_object_array_get_idx(list, i));

		r = sv_read_element(d, list, i, "v1.VolumeProjection", &element);
		if (r == 0)
			r = read_projection(d, element, v, &paths, volume_at);
		sv_leave(d, at);
	}
	sv_leave(d, place);
	sv_strmap_done(&paths);
	/*
	 * Every Pod of a cluster has one with a token, a ConfigMap and no Secret (kube-api-access-…):
	 * somebody else's, as an emptyDir is. In a manifest nobody else would serve it (R17).
	 */
	if (r == 0 && d->opts && d->opts->from_api && v->unsupported && v->n_sources == 0) {
		v->type = SV_VOLUME_OTHER;
		free(v->unsupported);
		v->unsupported = NULL;
	}
	return r;
}

/* In the order in which the API server looks at them: the second one found is the one it names. */
static const char *const volume_kinds[] = { "emptyDir",
					    "hostPath",
					    "gitRepo",
					    "gcePersistentDisk",
					    "awsElasticBlockStore",
					    "secret",
					    "nfs",
					    "iscsi",
					    "glusterfs",
					    "flocker",
					    "persistentVolumeClaim",
					    "rbd",
					    "cinder",
					    "cephfs",
					    "quobyte",
					    "downwardAPI",
					    "fc",
					    "configMap",
					    "azureFile",
					    "vsphereVolume",
					    "photonPersistentDisk",
					    "portworxVolume",
					    "azureDisk",
					    "storageos",
					    "projected",
					    "scaleIO",
					    "csi",
					    "ephemeral",
					    "image",
					    NULL };

static int read_volume(struct pod_walk *w, struct json_object *node, struct sv_volume *v)
{
	struct sv_decoder *d = w->d;
	size_t before = d->c->n, i, n = 0;
	struct json_object *source;
	struct sv_place place;
	const char *text;
	int r = read_text(d, node, "name", "v1.Volume.Name", &v->name);

	for (i = 0; volume_kinds[i] && r == 0; i++)
		if (has_field(node, volume_kinds[i]) && n++ > 0)
			sv_reject(d, SV_FORBIDDEN, volume_kinds[i], NULL,
				  "may not specify more than 1 volume type");
	if (r == 0)
		r = sv_read_object(d, node, "projected", "v1.VolumeSource.Projected", &source);
	if (r == 0 && source && n == 1) {
		place = sv_enter(d, "projected", source);
		r = read_projected_volume(d, source, v);
		sv_leave(d, place);
	}
	if (r == 0)
		r = sv_read_object(d, node, "secret", "v1.VolumeSource.Secret", &source);
	if (r == 0 && source && n == 1) {
		place = sv_enter(d, "secret", source);
		r = read_secret_volume(d, source, v);
		sv_leave(d, place);
	}
	if (r)
		return r;
	text = sv_check_label(v->name);
	if (!*v->name)
		sv_reject(d, SV_REQUIRED, "name", NULL, "");
	else if (text)
		sv_reject(d, SV_INVALID, "name", v->name, text);
	if (sv_strmap_get(&w->volumes, v->name))
		sv_reject(d, SV_DUPLICATE, "name", v->name, "");
	if (d->c->n > before) /* to its mounts, a bad volume does not exist (R11) */
		return 0;
	return sv_strmap_put(&w->volumes, v->name, &present);
}

static int read_volumes(struct pod_walk *w, struct json_object *spec)
{
	struct sv_decoder *d = w->d;
	struct sv_pod *pod = w->pod;
	struct json_object *list;
	struct sv_place place;
	size_t i, n;
	int r = sv_read_list(d, spec, "volumes", "v1.PodSpec.Volumes", &list);

	n = sv_list_len(list);
	if (r == 0 && n > SV_POD_VOLUMES_MAX)
		r = sv_reject_many(d, "volumes", n, SV_POD_VOLUMES_MAX);
	if (r == 0)
		pod->volumes = make_array(n, sizeof(*pod->volumes), &r);
	if (r)
		return r;
	place = sv_enter(d, "volumes", list);
	for (i = 0; i < n && r == 0; i++) {
		struct json_object *node = NULL;
		struct sv_place at = sv_enter_index(d, i, json_object_array_get_idx(list, i));

		pod->n_volumes++;
		r = sv_read_element(d, list, i, "v1.Volume", &node);
		if (r == 0)
			r = read_volume(w, node, &pod->volumes[i]);
		sv_leave(d, at);
	}
	sv_leave(d, place);
	return r;
}

/* ---- containers (R18, R19, R22, R73) ------------------------------------------------------- */

static int check_propagation(struct sv_decoder *d, struct json_object *node, bool privileged)
{
	sv_autofree char *mode = NULL;
	/* 1.20 names the list, not the mount, in these paths */
	int r = sv_read_string(d, node, "mountPropagation", "v1.VolumeMount.MountPropagation",
			       &mode);

	if (r || !mode)
		return r;
	if (strcmp(mode, "Bidirectional") == 0 && !privileged)
		sv_reject(d, SV_FORBIDDEN, "mountPropagation", NULL,
			  "Bidirectional mount propagation is available only to privileged "
			  "containers");
	else if (strcmp(mode, "None") != 0 && strcmp(mode, "HostToContainer") != 0 &&
		 strcmp(mode, "Bidirectional") != 0)
		sv_reject(d, SV_NOT_SUPPORTED, "mountPropagation", mode,
			  "supported values: \"Bidirectional\", \"HostToContainer\", \"None\"");
	return 0;
}

/* @list_at: where the path of volumeMounts itself ends, for the fields that 1.20 reports there. */
static int read_mount(struct pod_walk *w, struct json_object *node, bool privileged,
		      struct sv_strmap *paths, size_t list_at, struct sv_mount *ret)
{
	struct sv_decoder *d = w->d;
	struct sv_place at = { d->path.len, d->line };
	sv_autofree char *index = NULL;
	const char *text;
	int r;

	r = read_text(d, node, "name", "v1.VolumeMount.Name", &ret->volume);
	if (r == 0)
		r = read_text(d, node, "mountPath", "v1.VolumeMount.MountPath", &ret->path);
	if (r == 0)
		r = read_text(d, node, "subPath", "v1.VolumeMount.SubPath", &ret->sub_path);
	if (r == 0)
		r = read_text(d, node, "subPathExpr", "v1.VolumeMount.SubPathExpr",
			      &ret->sub_path_expr);
	if (r == 0)
		r = sv_read_bool(d, node, "readOnly", "v1.VolumeMount.ReadOnly", &ret->read_only);
	if (r)
		return r;
	if (!*ret->volume)
		sv_reject(d, SV_REQUIRED, "name", NULL, "");
	else if (!sv_strmap_get(&w->volumes, ret->volume))
		sv_reject(d, SV_NOT_FOUND, "name", ret->volume, "");
	if (!*ret->path)
		sv_reject(d, SV_REQUIRED, "mountPath", NULL, "");
	else if (sv_strmap_get(paths, ret->path))
		sv_reject(d, SV_INVALID, "mountPath", ret->path, "must be unique");
	else if (sv_strmap_put(paths, ret->path, &present) < 0)
		return -ENOMEM;
	if (*ret->sub_path && *ret->sub_path_expr)
		sv_reject(d, SV_INVALID, "subPathExpr", ret->sub_path_expr,
			  "subPathExpr and subPath are mutually exclusive");

	index = d->path.failed ? NULL : strdup(d->path.ptr + list_at); /* "[0]" */
	if (!index)
		return -ENOMEM;
	d->path.len = list_at;
	d->path.ptr[list_at] = '\0';
	text = sv_check_sub_path(ret->sub_path);
	if (text)
		sv_reject(d, SV_INVALID, "subPath", ret->sub_path, text);
	text = sv_check_sub_path(ret->sub_path_expr);
	if (text)
		sv_reject(d, SV_INVALID, "subPathExpr", ret->sub_path_expr, text);
	r = check_propagation(d, node, privileged);
	sv_buf_puts(&d->path, index);
	d->line = at.line;
	return r;
}

static int read_mounts(struct pod_walk *w, struct json_object *node, bool privileged,
		       struct sv_container *ret)
{
	struct sv_strmap paths = { NULL, 0, 0 };
	struct sv_decoder *d = w->d;
	struct json_object *list;
	struct sv_place place;
	size_t i, n, list_at;
	int r = sv_read_list(d, node, "volumeMounts", "v1.Container.VolumeMounts", &list);

	n = sv_list_len(list);
	w->n_mounts += n;
	if (r == 0 && w->n_mounts > SV_POD_MOUNTS_MAX)
		r = sv_reject_many(d, "volumeMounts", w->n_mounts, SV_POD_MOUNTS_MAX);
	if (r == 0)
		ret->mounts = make_array(n, sizeof(*ret->mounts), &r);
	if (r)
		return r;
	place = sv_enter(d, "volumeMounts", list);
	list_at = d->path.len;
	for (i = 0; i < n && r == 0; i++) {
		struct json_object *element = NULL;
		struct sv_place at = sv_enter_index(d, i, json_object_array_get_idx(list, i));

		ret->n_mounts++;
		r = sv_read_element(d, list, i, "v1.VolumeMount", &element);
		if (r == 0)
			r = read_mount(w, element, privileged, &paths, list_at, &ret->mounts[i]);
		sv_leave(d, at);
	}
	sv_leave(d, place);
	sv_strmap_done(&paths);
	return r;
}

static const char *check_env_name(const struct sv_decoder *d, const char *name)
{
	return d->opts && d->opts->strict_env_names ? sv_check_env_name(name) :
						      sv_check_env_name_relaxed(name);
}

static int read_secret_key(struct sv_decoder *d, struct json_object *node, struct sv_env_var *ret)
{
	const char *text;
	int r = read_text(d, node, "name", "v1.SecretKeySelector.Name", &ret->ref);

	if (r == 0)
		r = read_text(d, node, "key", "v1.SecretKeySelector.Key", &ret->key);
	if (r == 0)
		r = sv_read_bool(d, node, "optional", "v1.SecretKeySelector.Optional",
				 &ret->optional);
	if (r)
		return r;
	text = sv_check_subdomain(ret->ref);
	if (text)
		sv_reject(d, SV_INVALID, "name", ret->ref, text);
	text = sv_check_secret_key(ret->key);
	if (!*ret->key)
		sv_reject(d, SV_REQUIRED, "key", NULL, "");
	else if (text)
		sv_reject(d, SV_INVALID, "key", ret->key, text);
	return 0;
}

static int read_value_from(struct sv_decoder *d, struct json_object *node, struct sv_env_var *ret)
{
	static const struct {
		const char *field, *go;
		enum sv_env_kind kind;
	} kinds[] = {
		{ "fieldRef", "v1.EnvVarSource.FieldRef", SV_ENV_FIELD },
		{ "resourceFieldRef", "v1.EnvVarSource.ResourceFieldRef", SV_ENV_RESOURCE },
		{ "configMapKeyRef", "v1.EnvVarSource.ConfigMapKeyRef", SV_ENV_CONFIG_MAP },
		{ "secretKeyRef", "v1.EnvVarSource.SecretKeyRef", SV_ENV_SECRET_KEY },
	};
	struct json_object *source = NULL, *found;
	struct sv_place place;
	size_t i, n = 0;
	int r = 0;

	for (i = 0; i < SV_ARRAY_SIZE(kinds); i++) {
		r = sv_read_object(d, node, kinds[i].field, kinds[i].go, &found);
		if (r)
			return r;
		if (found && n++ == 0) {
			source = found;
			ret->kind = kinds[i].kind;
		}
	}
	if (ret->value && *ret->value)
		sv_reject(d, SV_INVALID, NULL, "",
			  "may not be specified when `value` is not empty");
	if (n == 0)
		sv_reject(d, SV_INVALID, NULL, "",
			  "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` "
			  "or `secretKeyRef`");
	else if (n > 1)
		sv_reject(d, SV_INVALID, NULL, "",
			  "may not have more than one field specified at a time");
	if (n != 1)
		return 0;
	for (i = 0; kinds[i].kind != ret->kind; i++)
		;
	place = sv_enter(d, kinds[i].field, source);
	if (ret->kind == SV_ENV_SECRET_KEY)
		r = read_secret_key(d, source, ret);
	else if (ret->kind == SV_ENV_FIELD)
		r = read_text(d, source, "fieldPath", "v1.ObjectFieldSelector.FieldPath",
			      &ret->key);
	else if (ret->kind == SV_ENV_RESOURCE)
		r = read_text(d, source, "resource", "v1.ResourceFieldSelector.Resource",
			      &ret->key);
	else
		r = read_text(d, source, "key", "v1.ConfigMapKeySelector.Key", &ret->key);
	if (r == 0 && ret->kind == SV_ENV_CONFIG_MAP)
		r = read_text(d, source, "name", "v1.ConfigMapKeySelector.Name", &ret->ref);
	if (r == 0 && ret->kind == SV_ENV_FIELD && !*ret->key)
		sv_reject(d, SV_REQUIRED, "fieldPath", NULL, "");
	sv_leave(d, place);
	return r;
}

static int read_env_var(struct sv_decoder *d, struct json_object *node, struct sv_env_var *ret)
{
	struct json_object *from;
	struct sv_place place;
	const char *text;
	int r = read_text(d, node, "name", "v1.EnvVar.Name", &ret->name);

	if (r == 0)
		r = read_text(d, node, "value", "v1.EnvVar.Value", &ret->value);
	if (r == 0)
		r = sv_read_object(d, node, "valueFrom", "v1.EnvVar.ValueFrom", &from);
	if (r)
		return r;
	text = check_env_name(d, ret->name);
	if (!*ret->name)
		sv_reject(d, SV_REQUIRED, "name", NULL, "");
	else if (text)
		sv_reject(d, SV_INVALID, "name", ret->name, text);
	if (!from)
		return 0;
	place = sv_enter(d, "valueFrom", from);
	r = read_value_from(d, from, ret);
	sv_leave(d, place);
	return r;
}

/* secretRef or configMapRef of an envFrom element. */
static int read_env_ref(struct sv_decoder *d, struct json_object *node, const char *field,
			char **name, bool *optional)
{
	struct json_object *ref;
	struct sv_place place;
	const char *text;
	int r = sv_read_object(d, node, field, "v1.EnvFromSource", &ref);

	if (r || !ref)
		return r;
	place = sv_enter(d, field, ref);
	r = read_text(d, ref, "name", "v1.LocalObjectReference.Name", name);
	if (r == 0)
		r = sv_read_bool(d, ref, "optional", "v1.SecretEnvSource.Optional", optional);
	if (r == 0) {
		text = sv_check_subdomain(*name);
		if (!**name)
			sv_reject(d, SV_REQUIRED, "name", NULL, "");
		else if (text)
			sv_reject(d, SV_INVALID, "name", *name, text);
	}
	sv_leave(d, place);
	return r;
}

static int read_env_source(struct sv_decoder *d, struct json_object *node,
			   struct sv_env_source *ret)
{
	const char *text;
	int r = read_text(d, node, "prefix", "v1.EnvFromSource.Prefix", &ret->prefix);

	if (r == 0)
		r = read_env_ref(d, node, "configMapRef", &ret->config_map, &ret->optional);
	if (r == 0)
		r = read_env_ref(d, node, "secretRef", &ret->secret, &ret->optional);
	if (r)
		return r;
	text = *ret->prefix ? check_env_name(d, ret->prefix) : NULL;
	if (text)
		sv_reject(d, SV_INVALID, "prefix", ret->prefix, text);
	if (!ret->config_map && !ret->secret)
		sv_reject(d, SV_INVALID, NULL, "",
			  "must specify one of: `configMapRef` or `secretRef`");
	else if (ret->config_map && ret->secret)
		sv_reject(d, SV_INVALID, NULL, "",
			  "may not have more than one field specified at a time");
	return 0;
}

static int read_env(struct sv_decoder *d, struct json_object *node, struct sv_container *ret)
{
	struct json_object *env, *from, *element;
	struct sv_place place, at;
	size_t i;
	int r = sv_read_list(d, node, "env", "v1.Container.Env", &env);

	if (r == 0)
		r = sv_read_list(d, node, "envFrom", "v1.Container.EnvFrom", &from);
	if (r == 0 && sv_list_len(env) + sv_list_len(from) > SV_CONTAINER_ENV_MAX)
		r = sv_reject_many(d, "env", sv_list_len(env) + sv_list_len(from),
				   SV_CONTAINER_ENV_MAX);
	if (r == 0)
		ret->env = make_array(sv_list_len(env), sizeof(*ret->env), &r);
	if (r == 0)
		ret->env_from = make_array(sv_list_len(from), sizeof(*ret->env_from), &r);
	if (r)
		return r;
	place = sv_enter(d, "envFrom", from);
	for (i = 0; i < sv_list_len(from) && r == 0; i++) {
		at = sv_enter_index(d, i, json_object_array_get_idx(from, i));
		ret->n_env_from++;
		r = sv_read_element(d, from, i, "v1.EnvFromSource", &element);
		if (r == 0)
			r = read_env_source(d, element, &ret->env_from[i]);
		sv_leave(d, at);
	}
	sv_leave(d, place);
	place = sv_enter(d, "env", env);
	for (i = 0; i < sv_list_len(env) && r == 0; i++) {
		at = sv_enter_index(d, i, json_object_array_get_idx(env, i));
		ret->n_env++;
		r = sv_read_element(d, env, i, "v1.EnvVar", &element);
		if (r == 0)
			r = read_env_var(d, element, &ret->env[i]);
		sv_leave(d, at);
	}
	sv_leave(d, place);
	return r;
}

static int read_strings(struct sv_decoder *d, struct json_object *node, const char *field,
			const char *go, char ***ret)
{
	struct json_object *list;
	size_t i, n;
	int r = sv_read_list(d, node, field, go, &list);

	if (r || !list)
		return r;
	n = sv_list_len(list);
	*ret = make_array(n + 1, sizeof(**ret), &r);
	for (i = 0; i < n && r == 0; i++) {
		struct json_object *element = json_object_array_get_idx(list, i);
		const char *text = json_object_get_string(element);

		if (!element || !json_object_is_type(element, json_type_string) ||
		    strlen(text) != (size_t)json_object_get_string_len(element))
			return sv_reject_type(d, field, go, "expects strings without NUL");
		(*ret)[i] = strdup(text);
		r = (*ret)[i] ? 0 : -ENOMEM;
	}
	return r;
}

static int read_id(struct sv_decoder *d, struct json_object *from, const char *field,
		   const char *go, int64_t *ret)
{
	int r = sv_read_int64(d, from, field, go, ret);

	if (r == 0 && has_field(from, field) && (*ret < 0 || *ret > SV_ID_MAX)) {
		sv_reject_int(d, field, *ret, "must be between 0 and 2147483647, inclusive");
		*ret = -1;
	}
	return r;
}

static int read_container_security(struct sv_decoder *d, struct json_object *node,
				   struct sv_container *ret, bool *privileged)
{
	struct json_object *context;
	struct sv_place place;
	int r = sv_read_object(d, node, "securityContext", "v1.Container.SecurityContext",
			       &context);

	ret->run_as_user = ret->run_as_group = -1;
	if (r || !context)
		return r;
	place = sv_enter(d, "securityContext", context);
	r = sv_read_bool(d, context, "privileged", "v1.SecurityContext.Privileged", privileged);
	if (r == 0)
		r = read_id(d, context, "runAsUser", "v1.SecurityContext.RunAsUser",
			    &ret->run_as_user);
	if (r == 0)
		r = read_id(d, context, "runAsGroup", "v1.SecurityContext.RunAsGroup",
			    &ret->run_as_group);
	sv_leave(d, place);
	return r;
}

static int read_container(struct pod_walk *w, struct json_object *node, struct sv_container *ret)
{
	struct sv_decoder *d = w->d;
	sv_autofree char *image = NULL;
	bool privileged = false;
	const char *text;
	int r = read_text(d, node, "name", "v1.Container.Name", &ret->name);

	if (r == 0)
		r = read_text(d, node, "image", "v1.Container.Image", &image);
	if (r == 0)
		r = read_container_security(d, node, ret, &privileged);
	if (r == 0)
		r = read_env(d, node, ret);
	if (r == 0)
		r = read_strings(d, node, "command", "v1.Container.Command", &ret->command);
	if (r == 0)
		r = read_strings(d, node, "args", "v1.Container.Args", &ret->args);
	if (r)
		return r;
	text = sv_check_label(ret->name);
	if (!*ret->name)
		sv_reject(d, SV_REQUIRED, "name", NULL, "");
	else if (text)
		sv_reject(d, SV_INVALID, "name", ret->name, text);
	else if (sv_strmap_get(&w->containers, ret->name))
		sv_reject(d, SV_DUPLICATE, "name", ret->name, "");
	else if (sv_strmap_put(&w->containers, ret->name, &present) < 0)
		return -ENOMEM;
	if (!*image)
		sv_reject(d, SV_REQUIRED, "image", NULL, "");
	return read_mounts(w, node, privileged, ret);
}

static int read_containers(struct pod_walk *w, struct json_object *spec)
{
	static const struct {
		const char *field, *go;
		enum sv_container_kind kind;
	} kinds[] = {
		{ "initContainers", "v1.PodSpec.InitContainers", SV_CONTAINER_INIT },
		{ "containers", "v1.PodSpec.Containers", SV_CONTAINER_APP },
		{ "ephemeralContainers", "v1.PodSpec.EphemeralContainers", SV_CONTAINER_EPHEMERAL },
	};
	struct json_object *lists[SV_ARRAY_SIZE(kinds)];
	struct sv_decoder *d = w->d;
	struct sv_pod *pod = w->pod;
	size_t i, k, n = 0;
	int r = 0;

	for (k = 0; k < SV_ARRAY_SIZE(kinds) && r == 0; k++) {
		r = sv_read_list(d, spec, kinds[k].field, kinds[k].go, &lists[k]);
		n += r == 0 ? sv_list_len(lists[k]) : 0;
	}
	if (r == 0 && n > SV_POD_CONTAINERS_MAX)
		r = sv_reject_many(d, "containers", n, SV_POD_CONTAINERS_MAX);
	if (r == 0)
		pod->containers = make_array(n, sizeof(*pod->containers), &r);
	if (r)
		return r;
	if (sv_list_len(lists[1]) == 0)
		sv_reject(d, SV_REQUIRED, "containers", NULL, "");
	if (sv_list_len(lists[2]) > 0 && !(d->opts && d->opts->from_api))
		sv_reject(d, SV_FORBIDDEN, "ephemeralContainers", NULL, "cannot be set on create");
	for (k = 0; k < SV_ARRAY_SIZE(kinds) && r == 0; k++) {
		struct sv_place place = sv_enter(d, kinds[k].field, lists[k]);

		for (i = 0; i < sv_list_len(lists[k]) && r == 0; i++) {
			struct json_object *node = json_object_array_get_idx(lists[k], i);
			struct sv_place at = sv_enter_index(d, i, node);
			struct sv_container *c = &pod->containers[pod->n_containers++];

			c->kind = kinds[k].kind;
			r = sv_read_element(d, lists[k], i, kinds[k].go, &node);
			if (r == 0)
				r = read_container(w, node, c);
			sv_leave(d, at);
		}
		sv_leave(d, place);
	}
	return r;
}

/* ---- the Pod itself ------------------------------------------------------------------------ */

static int read_groups(struct sv_decoder *d, struct json_object *context, struct sv_pod *pod)
{
	static const char go[] = "v1.PodSecurityContext.SupplementalGroups";
	struct json_object *list;
	struct sv_place place;
	size_t i;
	int r = sv_read_list(d, context, "supplementalGroups", go, &list);

	if (r == 0)
		pod->supplemental_groups =
			make_array(sv_list_len(list), sizeof(*pod->supplemental_groups), &r);
	if (r)
		return r;
	place = sv_enter(d, "supplementalGroups", list);
	for (i = 0; i < sv_list_len(list) && r == 0; i++) {
		struct json_object *node = json_object_array_get_idx(list, i);
		struct sv_place at = sv_enter_index(d, i, node);
		int64_t id = json_object_get_int64(node);

		if (!json_object_is_type(node, json_type_int))
			r = sv_reject_type(d, NULL, go, "expects an integer");
		else if (id < 0 || id > SV_ID_MAX)
			sv_reject_int(d, NULL, id, "must be between 0 and 2147483647, inclusive");
		else
			pod->supplemental_groups[pod->n_supplemental_groups++] = id;
		sv_leave(d, at);
	}
	sv_leave(d, place);
	return r;
}

static int read_security(struct sv_decoder *d, struct json_object *spec, struct sv_pod *pod)
{
	sv_autofree char *policy = NULL;
	struct json_object *context;
	struct sv_place place;
	int r = sv_read_object(d, spec, "securityContext", "v1.PodSpec.SecurityContext", &context);

	if (r || !context)
		return r;
	place = sv_enter(d, "securityContext", context);
	r = read_id(d, context, "fsGroup", "v1.PodSecurityContext.FSGroup", &pod->fs_group);
	if (r == 0)
		r = read_id(d, context, "runAsUser", "v1.PodSecurityContext.RunAsUser",
			    &pod->run_as_user);
	if (r == 0)
		r = read_id(d, context, "runAsGroup", "v1.PodSecurityContext.RunAsGroup",
			    &pod->run_as_group);
	if (r == 0)
		r = read_groups(d, context, pod);
	if (r == 0)
		r = sv_read_string(d, context, "fsGroupChangePolicy",
				   "v1.PodSecurityContext.FSGroupChangePolicy", &policy);
	if (r == 0 && policy && strcmp(policy, "Always") != 0 &&
	    strcmp(policy, "OnRootMismatch") != 0)
		sv_reject(d, SV_NOT_SUPPORTED, "fsGroupChangePolicy", policy,
			  "supported values: \"Always\", \"OnRootMismatch\"");
	sv_leave(d, place);
	return r;
}

/* Counts a list of container statuses, and those that run as the kubelet sees it: unless their state
 * says that they wait or have ended. */
static int count_running(struct sv_decoder *d, struct json_object *status, const char *field,
			 const char *go, size_t *all, size_t *running)
{
	struct json_object *list, *node, *state;
	struct sv_place place;
	size_t i;
	int r = sv_read_list(d, status, field, go, &list);

	if (r)
		return r;
	place = sv_enter(d, field, list);
	*all = sv_list_len(list);
	for (i = 0; i < *all && r == 0; i++) {
		struct sv_place at = sv_enter_index(d, i, json_object_array_get_idx(list, i));

		r = sv_read_element(d, list, i, go, &node);
		if (r == 0)
			r = sv_read_object(d, node, "state", "v1.ContainerStatus.State", &state);
		if (r == 0)
			*running += !has_field(state, "waiting") && !has_field(state, "terminated");
		sv_leave(d, at);
	}
	sv_leave(d, place);
	return r;
}

static int read_deleted(struct sv_decoder *d, struct json_object *meta, bool *ret)
{
	static const char field[] = "deletionTimestamp", go[] = "v1.ObjectMeta.DeletionTimestamp";
	sv_autofree char *time = NULL;
	struct sv_place place = sv_enter(d, "metadata", meta);
	int r = sv_read_string(d, meta, field, go, &time);

	*ret = time != NULL;
	if (r == 0 && time && sv_check_time(time))
		r = sv_reject_type(d, field, go, "%s", sv_check_time(time));
	sv_leave(d, place);
	return r;
}

/*
 * R24: phase Succeeded or Failed, or being deleted with no container running. The kubelet asks the
 * runtime, too. Here a phase of Running without container statuses, and init containers, count as
 * well: better mounted too long than too short.
 */
static int read_status(struct sv_decoder *d, struct json_object *tree, struct json_object *meta,
		       struct sv_pod *pod)
{
	size_t apps = 0, inits = 0, running = 0;
	sv_autofree char *phase = NULL;
	struct json_object *status;
	struct sv_place place;
	bool deleted = false;
	int r = sv_read_object(d, tree, "status", "v1.Pod.Status", &status);

	if (r == 0 && meta)
		r = read_deleted(d, meta, &deleted);
	if (r)
		return r;
	place = sv_enter(d, "status", status);
	r = read_text(d, status, "phase", "v1.PodStatus.Phase", &phase);
	if (r == 0)
		r = count_running(d, status, "containerStatuses", "v1.PodStatus.ContainerStatuses",
				  &apps, &running);
	if (r == 0)
		r = count_running(d, status, "initContainerStatuses",
				  "v1.PodStatus.InitContainerStatuses", &inits, &running);
	sv_leave(d, place);
	if (r)
		return r;
	pod->terminated = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
	if (deleted && running == 0)
		pod->terminated = pod->terminated || apps > 0 || strcmp(phase, "Running") != 0;
	return 0;
}

/* The same UUID for the same namespace and name, on every node and start (RFC 4122, version 5). */
static int derive_uid(struct sv_pod *pod)
{
	static const uuid_t space = { 0x6f, 0x1c, 0x0e, 0x52, 0x9a, 0x4d, 0x4c, 0x3b,
				      0x8e, 0x27, 0x51, 0xd0, 0xa3, 0x7b, 0x94, 0x1f };
	sv_autofree char *name = sv_asprintf("%s/%s", pod->ns, pod->name);
	uuid_t id;

	free(pod->uid);
	pod->uid = malloc(UUID_STR_LEN);
	if (!name || !pod->uid)
		return -ENOMEM;
	uuid_generate_sha1(id, space, name, strlen(name));
	uuid_unparse_lower(id, pod->uid);
	return 0;
}

static bool refers_to(const struct sv_pod *pod, const char *field)
{
	size_t i, j;

	for (i = 0; i < pod->n_containers; i++)
		for (j = 0; j < pod->containers[i].n_env; j++) {
			const struct sv_env_var *v = &pod->containers[i].env[j];

			if (v->kind == SV_ENV_FIELD && v->key &&
			    strncmp(v->key, field, strlen(field)) == 0)
				return true;
		}
	return false;
}

/* Labels and annotations can be large: they are kept only for Pods whose env shows them. */
static int keep_labels(const struct sv_pod *pod, struct json_object *meta, const char *field,
		       const char *path, struct sv_label **ret, size_t *n)
{
	struct json_object *map = NULL;
	int r = 0;

	if (!refers_to(pod, path) || !json_object_object_get_ex(meta, field, &map) || !map)
		return 0;
	*ret = make_array((size_t)json_object_object_length(map), sizeof(**ret), &r);
	if (r)
		return r;
	json_object_object_foreach (map, key, value) {
		struct sv_label *l = &(*ret)[(*n)++];

		l->name = strdup(key);
		l->value = strdup(value ? json_object_get_string(value) : "");
		if (!l->name || !l->value)
			return -ENOMEM;
	}
	return 0;
}

static int read_spec(struct pod_walk *w, struct json_object *tree)
{
	struct sv_decoder *d = w->d;
	struct json_object *spec;
	struct sv_place place;
	int r = sv_read_object(d, tree, "spec", "v1.Pod.Spec", &spec);

	if (r)
		return r;
	place = sv_enter(d, "spec", spec);
	r = read_text(d, spec, "nodeName", "v1.PodSpec.NodeName", &w->pod->node_name);
	if (r == 0)
		r = read_security(d, spec, w->pod);
	if (r == 0)
		r = read_volumes(w, spec);
	if (r == 0)
		r = read_containers(w, spec);
	sv_leave(d, place);
	return r;
}

static int read_pod(struct pod_walk *w, struct json_object *tree)
{
	sv_autometa struct sv_meta meta = { 0 };
	struct sv_pod *pod = w->pod;
	const char *text;
	int r = sv_read_meta(w->d, tree, &meta);

	if (r)
		return r;
	pod->ns = SV_TAKE(meta.ns);
	pod->name = SV_TAKE(meta.name);
	pod->uid = SV_TAKE(meta.uid);
	text = *pod->uid ? sv_check_uid(pod->uid) : NULL;
	if (text)
		sv_reject(w->d, SV_INVALID, "metadata.uid", pod->uid, text);
	else if (!*pod->uid)
		r = derive_uid(pod);
	if (r == 0)
		r = read_spec(w, tree);
	if (r == 0)
		r = read_status(w->d, tree, meta.node, pod);
	if (r == 0)
		r = keep_labels(pod, meta.node, "labels", "metadata.labels", &pod->labels,
				&pod->n_labels);
	if (r == 0)
		r = keep_labels(pod, meta.node, "annotations", "metadata.annotations",
				&pod->annotations, &pod->n_annotations);
	return r;
}

int sv_decode_pod(struct json_object *tree, const struct sv_decode_opts *opts, struct sv_pod **ret,
		  struct sv_complaints *c)
{
	struct sv_decoder d = { .kind = "Pod", .opts = opts, .c = c, .line = sv_tree_line(tree) };
	sv_autopod struct sv_pod *pod = sv_pod_new();
	struct pod_walk w = { .d = &d, .pod = pod };
	size_t before = c->n;
	int r;

	if (!pod)
		return -ENOMEM;
	r = read_pod(&w, tree);
	sv_strmap_done(&w.volumes);
	sv_strmap_done(&w.containers);
	sv_buf_done(&d.path);
	if (r == 0 && c->n > before)
		r = SV_DECODE_E_INVALID;
	if (c->out_of_memory)
		r = -ENOMEM;
	if (r)
		return r;
	*ret = SV_TAKE(pod);
	return 0;
}
