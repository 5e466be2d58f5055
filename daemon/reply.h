/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply - an answer of the API, given to libmicrohttpd
 */
#ifndef SV_DAEMON_REPLY_H
#define SV_DAEMON_REPLY_H

#include <microhttpd.h>

#include "api.h"

/*
 * Queues the answer, and takes its text: it is wiped when it has been sent, as it may
 * hold an environment. MHD_NO, which ends the connection, for lack of memory.
 */
enum MHD_Result sv_reply(struct MHD_Connection *c, struct sv_api_answer *answer);

#endif
