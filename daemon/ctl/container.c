/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "container.h"

#include <string.h>

#include "../../lib/base/bytes.h"

const char *sv_container_name;

int sv_container_target(int argc, char **argv, struct sv_target *ret)
{
	static char kind[] = "pod";
	char *words[] = { kind, argc > 0 ? argv[0] : NULL };

	if (argc == 0)
		return sv_fail_usage("say which pod: [NAMESPACE/]POD");
	if (sv_container_name && !*sv_container_name)
		return sv_fail_usage("the container of option '-c' is empty");
	if (strncmp(argv[0], "pod/", 4) == 0)
		words[1] = argv[0] + 4;
	return sv_target_parse(2, words, SV_TARGET_POD, true, ret);
}

int sv_container_env(const struct sv_target *pod, struct json_object **ret)
{
	sv_autotree struct json_object *body = json_object_new_object();

	if (!body)
		sv_no_memory();
	json_object_object_add(body, "namespace", json_object_new_string(pod->ns));
	json_object_object_add(body, "pod", json_object_new_string(pod->name));
	if (sv_container_name)
		json_object_object_add(body, "container",
				       json_object_new_string(sv_container_name));
	return sv_api_post("/v1/env", json_object_to_json_string(body), ret);
}

int sv_container_value(struct json_object *entry, char **value, size_t *len)
{
	struct json_object *text = sv_member(entry, "value");
	const char *encoded = sv_str(entry, "valueBase64");
	sv_autobytes struct sv_bytes b = { NULL, 0 };

	if (json_object_is_type(text, json_type_string)) {
		if (sv_bytes_copy(json_object_get_string(text),
				  (size_t)json_object_get_string_len(text), &b) < 0)
			sv_no_memory();
	} else {
		int r = sv_base64_decode(encoded, strlen(encoded), &b, NULL);

		if (r < 0)
			sv_no_memory();
		if (r > 0)
			return sv_fail(SV_EXIT_FAILED,
				       "cannot understand the value of %s in the daemon's answer",
				       sv_str(entry, "name"));
	}
	*value = malloc(b.len + 1);
	if (!*value)
		sv_no_memory();
	if (b.len > 0)
		memcpy(*value, b.ptr, b.len);
	(*value)[b.len] = '\0';
	*len = b.len;
	return 0;
}
