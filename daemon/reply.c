/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include <string.h>

#include "../lib/base/text.h"

static void free_text(void *cls)
{
	sv_text_free(cls);
}

enum MHD_Result sv_reply(struct MHD_Connection *c, struct sv_api_answer *answer)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	if (!answer->text)
		return MHD_NO;
	r = MHD_create_response_from_buffer_with_free_callback(strlen(answer->text), answer->text,
							       free_text);
	if (!r) {
		sv_text_free(answer->text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	ok = MHD_queue_response(c, answer->status, r);
	MHD_destroy_response(r);
	return ok;
}
