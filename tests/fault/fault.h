/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault - the n-th allocation or system call fails
 *
 * A program that links fault.c counts the calls of its code (allocations: of all libraries, too)
 * and has one of them fail, or that one and all later ones of its kind. FAULT_EACH() runs its body
 * for every call that is made, every errno that call may give, and both ways to fail; the body
 * arms, does the work, disarms, and looks at what became of it.
 */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_scope {
	FAULT_ALLOCATIONS, /* only memory */
	FAULT_NO_COPIES, /* the same, but for strdup() in libraries: json-c 0.16 does not bear it */
	FAULT_OURS,      /* only memory that the program asks for itself, not its libraries */
	FAULT_ALL,       /* system calls as well */
	FAULT_DAEMON,    /* system calls and memory, but for such copies */
};

struct fault_loop {
	enum fault_scope scope;
	unsigned call;    /* which one fails, from 1 */
	unsigned variant; /* which errno, from 0 */
	bool lasting;     /* and all later calls of that function */
	unsigned fired;   /* how many runs had a failure */
	unsigned stride;  /* only every so manieth call; 0: every one */
	unsigned first;   /* of these; 0: the first of all */
	bool begun;
};

/* The next thing to fail, or false when the last run had none and all is done. */
bool fault_next(struct fault_loop *loop);
#define FAULT_EACH(loop) while (fault_next(&(loop)))

/* From here to fault_off(), calls are counted and one fails. */
void fault_on(const struct fault_loop *loop);
void fault_off(void);

/* In between the test itself does something: not counted, and not to fail. */
void fault_aside(bool begins);

/*
 * About @runs of the calls only, evenly: the last run, in which nothing failed, says how many there
 * are. Where it begins is another place each time, so that all of them get their turn. With
 * FAULT_OFFSET=N in the environment call N is one of them, and with FAULT_EVERY every call is.
 */
void fault_sample(struct fault_loop *loop, unsigned runs);

/* The clocks tell the time again (virtual.c): what measures a test wants it so. */
void fault_real_time(void);

/* For jobs.c: is this job not to be taken by the thread pool? */
bool fault_strikes_work(void);
/* Jobs that have not come back yet. */
int fault_jobs(void);

/* What failed in the last run: "openat() number 3 of all calls: EMFILE", or "" if nothing did. */
const char *fault_text(void);
bool fault_fired(void);
int fault_errno(void); /* what it failed with; 0: nothing failed, or it did a part only */
/* What failed is something that is to be retried at once, or may come in parts. */
bool fault_is_harmless(void);

/* A loop with fewer failures has tested nothing. With FAULT_VERBOSE in the environment it says how many. */
void fault_enough(const struct fault_loop *loop, unsigned at_least);

/*
 * Every call that @what makes fails in its turn, or about @runs of them (fault_sample()); nothing may
 * leak. It is run twice unharmed before. @real_time ends the virtual time that @what goes by.
 */
void fault_each(void (*what)(const struct fault_loop *loop), enum fault_scope scope, unsigned runs,
		void (*real_time)(void), unsigned at_least);

/* For tests in which only memory is lacking: it is said so, or what failed was not needed. */
void fault_out_of_memory(int r);
/* What was allocated, opened or mounted since is free, closed or gone again. */
void fault_note_use(void);
void fault_no_leaks(void);

/* Blocks of memory that are allocated now, descriptors that are open, mounts at and below t_dir. */
long fault_live_blocks(void);
int fault_open_fds(void);
int fault_mounts(void);

#endif
