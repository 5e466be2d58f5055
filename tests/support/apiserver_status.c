/* SPDX-License-Identifier: Apache-2.0 */
/* Status objects in the words of the real server. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver_world.h"

char *t_status_json_with(int code, const char *reason, const char *message, const char *metadata,
			 const char *details)
{
	struct json_object *quoted = json_object_new_string(message);
	char *text = t_api_printf("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":%s,"
				  "\"status\":\"Failure\",\"message\":%s%s%s%s%s%s,\"code\":%d}\n",
				  metadata ? metadata : "{}", t_tree_text(quoted),
				  reason ? ",\"reason\":\"" : "", reason ? reason : "",
				  reason ? "\"" : "", details ? ",\"details\":" : "",
				  details ? details : "", code);

	json_object_put(quoted);
	return text;
}

char *t_status_json(int code, const char *reason, const char *message, const char *details)
{
	return t_status_json_with(code, reason, message, NULL, details);
}

/* {"name":"s1","kind":"secrets"}; names of the API's kinds of objects need no escapes. */
static char *details_of(const struct t_api_req *req)
{
	return req->name ? t_api_printf("{\"name\":\"%s\",\"kind\":\"%s\"}", req->name, req->kind) :
			   t_api_printf("{\"kind\":\"%s\"}", req->kind);
}

char *t_status_forbidden(const struct t_api_req *req, const char *user, const char *why)
{
	sv_autofree char *details = details_of(req);
	sv_autofree char *quoted =
		req->name ? t_api_printf(" \"%s\"", req->name) : t_api_strdup("");
	sv_autofree char *scope = req->ns ? t_api_printf("in the namespace \"%s\"", req->ns) :
					    t_api_strdup("at the cluster scope");
	sv_autofree char *message = t_api_printf(
		"%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"\" %s%s%s",
		req->kind, quoted, user, req->verb, req->kind, scope, why ? ": " : "",
		why ? why : "");

	return t_status_json(403, "Forbidden", message, details);
}

char *t_status_too_large(uint64_t wanted, uint64_t current, bool retry)
{
	sv_autofree char *message =
		t_api_printf("Timeout: Too large resource version: %" PRIu64 ", current: %" PRIu64,
			     wanted, current);

	return t_status_json(504, "Timeout", message,
			     retry ? "{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","
				     "\"message\":\"Too large resource version\"}],"
				     "\"retryAfterSeconds\":1}" :
				     "{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","
				     "\"message\":\"Too large resource version\"}]}");
}

char *t_status_not_found(const struct t_api_req *req)
{
	sv_autofree char *details = details_of(req);
	sv_autofree char *message =
		t_api_printf("%s \"%s\" not found", req->kind, req->name ? req->name : "");

	return t_status_json(404, "NotFound", message, details);
}

char *t_status_of(int code, const struct t_api_req *req)
{
	const char *node = req->api->world->node;
	sv_autofree char *user = t_api_printf("system:node:%s", node ? node : "node");
	sv_autofree char *why = t_api_printf(
		"no relationship found between node '%s' and this object", node ? node : "node");

	switch (code) {
	case 401:
		return t_status_json(401, "Unauthorized", "Unauthorized", NULL);
	case 403:
		return t_status_forbidden(req, user,
					  strcmp(req->kind, "secrets") == 0 ? why : NULL);
	case 404:
		return t_status_not_found(req);
	case 410:
		return t_status_json(410, "Expired",
				     "The resourceVersion for the provided list is too old.", NULL);
	case 500:
		return t_status_json(
			500, "InternalError",
			"Internal error occurred: etcdserver: request timed out",
			"{\"causes\":[{\"message\":\"etcdserver: request timed out\"}]}");
	case 503:
		return t_status_json(503, "ServiceUnavailable",
				     "the server is currently unable to handle the request", NULL);
	case 504:
		return t_status_too_large(req->api->world->rv + 1, req->api->world->rv, true);
	default:
		return t_status_json(code, NULL, "unknown", NULL);
	}
}

/* @status: owned, freed here. */
void t_status_reply(struct t_api_req *req, int code, char *status)
{
	const char *headers = code == 403 ? "X-Content-Type-Options: nosniff\r\n" :
			      strstr(status, "retryAfterSeconds") ? "Retry-After: 1\r\n" :
								    NULL;

	t_fault_reply(req, code, headers, status, strlen(status));
	free(status);
}

void t_status_refuse(struct t_api_req *req, int code, const char *reason, const char *message,
		     const char *details)
{
	t_status_reply(req, code, t_status_json(code, reason, message, details));
}
