/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir - directories of manifest files, watched by inotify(7)
 *
 * Events are hints: what counts is what is read afterwards. A name that an event
 * mentions is read; an overflow, a directory that was replaced, a link that was
 * switched, and a slow timer have everything looked at, of which only what
 * changed is parsed. A file that vanishes is believed after a moment, since
 * editors save by renaming; see SV_SETTLE_MS.
 */
#ifndef SV_DAEMON_SOURCE_DIR_H
#define SV_DAEMON_SOURCE_DIR_H

#include "../config.h"
#include "../manager.h"
#include "source.h"

#define SV_SETTLE_MS 100            /* how long a file must be gone */
#define SV_MANIFEST_FILES_MAX 20000 /* of one directory */
#define SV_RESCAN_MS 60000          /* how often everything is looked at without an event */

/* Start to watch and read the directories of @config (borrowed for the call). */
int sv_source_dir_new(uv_loop_t *loop, struct sv_manager *manager, const struct sv_config *config,
		      struct sv_source **ret, struct sv_err *err);

/* New limits after a reload. */
void sv_source_dir_configure(struct sv_source *s, const struct sv_config *config);

#endif
