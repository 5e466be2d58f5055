/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screen - show something again whenever a volume changes
 *
 * On a terminal it is drawn over what was there, on a screen of its own that is left on the way
 * out; a daemon that restarts is waited for. Elsewhere it is printed once more for each change.
 */
#ifndef SV_CTL_SCREEN_H
#define SV_CTL_SCREEN_H

#include <stdbool.h>

struct sv_screen {
	/*
	 * Ask the daemon. Prints nothing: sv_api_error() has the text. Return: an exit code. @key
	 * tells whether anything but ages has changed; owned by the caller, written on 0 only.
	 */
	int (*load)(void *arg, char **key);
	void (*draw)(void *arg); /* print what was loaded on stdout */
	void *arg;
};

/* Is there a terminal to draw on? */
bool sv_screen_is_terminal(void);

/* Until a signal ends it, or nobody reads on. Return: an exit code; text is printed unless it is 0. */
int sv_screen_run(const struct sv_screen *s);

#endif
