/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader - what a container's programs see of a volume while its content is replaced
 *
 * Every generation is numbered and says of itself what it is: its file `set` holds the number and
 * the paths of all files, one a line, and every file begins with the number. With that these hold:
 *
 * - Who opens ..data once sees one generation, all of it, and no other file.
 * - `set` and what is in it under ALWAYS can be opened at any time, and no number is less than one
 *   seen before.
 * - A link that leads nowhere is one that is on its way out: not one of the present generation, and
 *   if no writing failed, it never leads anywhere again.
 * - ..data moves once for every generation (inotify).
 */
#ifndef TESTS_READER_H
#define TESTS_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#define READER_ALWAYS "stay/always" /* a path that every generation has */
#define READERS 3                   /* processes, besides the one that counts moves */

/* In memory that all processes share. */
struct reader_shared {
	_Atomic bool stop;
	_Atomic long current; /* the number of the generation that was published last */
	bool calm;            /* no writing fails */
	long keep;            /* so many later ones are there before one is removed */
	long grace_ms;        /* or so long it is kept; 0: only what `keep` says */
	_Atomic long passes[READERS], moves;
	_Atomic bool overflow; /* of the kernel's queue of moves: their number is not known */
	_Atomic bool broken;   /* something did not hold: text says what */
	char text[1024];
};

struct reader_shared *reader_share(void);
void reader_unshare(struct reader_shared *s);

/* Starts READERS processes that look, and one that counts; they end after `stop`. */
void reader_start(struct reader_shared *s, const char *dir, pid_t pids[READERS + 1]);
/* Sets `stop` and waits. Return: false if a process did not end as it should. */
bool reader_stop(struct reader_shared *s, const pid_t pids[READERS + 1]);

#endif
