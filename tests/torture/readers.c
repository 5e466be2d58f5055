/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readers DIR GRACE_MS: looks at a volume (reader.h) until the standard input ends, and prints what
 * was seen: `moves N` or `moves unknown`, `passes N N N`, and `broken TEXT` if something did not
 * hold, which is exit status 1. For volumes that a running daemon changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "reader.h"

int main(int argc, char **argv)
{
	struct reader_shared *s = reader_share();
	pid_t pids[READERS + 1];
	char c;
	bool ok;

	if (argc != 3)
		return 2;
	s->calm = true;
	s->grace_ms = strtol(argv[2], NULL, 10);
	reader_start(s, argv[1], pids);
	(void)puts("looking");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	ok = reader_stop(s, pids);
	if (s->overflow)
		(void)puts("moves unknown");
	else
		(void)printf("moves %ld\n", s->moves);
	(void)printf("passes %ld %ld %ld\n", s->passes[0], s->passes[1], s->passes[2]);
	if (s->broken || !ok)
		(void)printf("broken %s\n", s->broken ? s->text : "a reader has crashed");
	return s->broken || !ok ? 1 : 0;
}
