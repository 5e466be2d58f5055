/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice - problems of manifests in words, and commands to type next
 *
 * The texts are not escaped: they hold what stands in manifests.
 */
#ifndef SV_CTL_ADVICE_H
#define SV_CTL_ADVICE_H

#include "api.h"

/* A word for a shell to read. */
void sv_advice_word(struct sv_buf *b, const char *word);

/* "secretvolctl --socket PATH" of the daemon that was asked, so that the command asks it again. */
void sv_advice_command(struct sv_buf *b);

/* "secretvolctl describe volume -n NS POD/VOLUME" of a volume of the daemon's list; owned. */
char *sv_advice_describe(struct json_object *volume);

/* Of an element of "problems" in the daemon's status: */
bool sv_problem_is_warning(struct json_object *problem);
char *sv_problem_text(struct json_object *problem); /* "FILE:LINE: Pod default/x: message"; owned */
char *sv_problem_next(struct json_object *problem); /* a command that says or does more; owned */

#endif
