/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"

#define TICK_MS 2000  /* ages go on, and problems of manifests have no watch */
#define RETRY_MS 1000 /* for a daemon that is gone */

#define ENTER "\033[?1049h\033[?25l" /* another screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H\033[J"

struct run {
	const struct sv_screen *screen;
	bool terminal;
	int signal_fd; /* -1 unless on a terminal */
	sigset_t old_signals;
	pid_t watcher; /* 0: none */
	int changes;   /* a byte for each change; its end when the watcher has ended */
	char *key;     /* of what was shown last */
};

/* ---- the terminal ----------------------------------------------------------------------- */

static bool entered;

static void leave(void)
{
	if (entered)
		(void)!write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	entered = false;
}

static void enter(void)
{
	entered = write(STDOUT_FILENO, ENTER, sizeof(ENTER) - 1) > 0;
}

bool sv_screen_is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* Columns that a line takes: characters, without escape sequences. */
static size_t width_of(const char *p, const char *end)
{
	size_t n = 0;

	while (p < end) {
		if (*p == '\033') {
			while (p < end && *p != 'm')
				p++;
			p += p < end;
			continue;
		}
		n += ((unsigned char)*p & 0xc0) != 0x80;
		p++;
	}
	return n;
}

static void paint(const char *text)
{
	struct winsize size = { 0 };
	size_t rows = 24, cols = 80, used = 0;
	const char *p = text, *end;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 && size.ws_col > 0) {
		rows = size.ws_row;
		cols = size.ws_col;
	}
	fputs(HOME, stdout);
	for (; *p; p = *end ? end + 1 : end) {
		size_t width, lines;

		end = strchrnul(p, '\n');
		width = width_of(p, end);
		lines = width > cols ? (width + cols - 1) / cols : 1;
		if (used + lines >= rows) { /* the last row is kept for this */
			fputs("…", stdout);
			break;
		}
		used += lines;
		(void)fwrite(p, 1, (size_t)(end - p), stdout);
		fputs("\r\n", stdout);
	}
}

/* ---- the watcher ------------------------------------------------------------------------ */

struct watch {
	int fd;
	bool synced;
};

/* What is there at first is one change. A full pipe already says that there are some. */
static int on_change(void *arg, const char *type, struct json_object *o, struct json_object *line)
{
	struct watch *w = arg;

	(void)o;
	(void)line;
	w->synced = w->synced || strcmp(type, "SYNCED") == 0;
	return !w->synced || write(w->fd, "", 1) == 1 || errno == EAGAIN ? 0 : -1;
}

/*
 * A process of its own: reading a watch blocks, and so does asking for the status meanwhile.
 * Return: an exit code; text is printed unless it is 0.
 */
static int start_watcher(struct run *r)
{
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return sv_fail(SV_EXIT_FAILED, "cannot watch: %s", strerror(errno));
	(void)fflush(stdout);
	r->watcher = fork();
	if (r->watcher < 0) {
		r->watcher = 0;
		(void)close(fds[0]);
		(void)close(fds[1]);
		return sv_fail(SV_EXIT_FAILED, "cannot watch: %s", strerror(errno));
	}
	if (r->watcher == 0) {
		struct watch w = { .fd = fds[1] };

		entered = false; /* the screen is the parent's to leave, and so is the connection */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		(void)sigprocmask(SIG_SETMASK, &r->old_signals, NULL);
		sv_api_done();
		(void)sv_api_watch("/v1/volumes?watch=1", 0, on_change, &w);
		_exit(0);
	}
	(void)close(fds[1]);
	r->changes = fds[0];
	return 0;
}

static void end_watcher(struct run *r)
{
	if (!r->watcher)
		return;
	(void)kill(r->watcher, SIGKILL);
	while (waitpid(r->watcher, NULL, 0) < 0 && errno == EINTR)
		;
	(void)close(r->changes);
	r->watcher = 0;
	r->changes = -1;
}

/* Changes that came close together are shown once. False once the watch has ended. */
static bool drain(struct run *r, bool *changed)
{
	char buf[512];
	ssize_t n;

	while ((n = read(r->changes, buf, sizeof(buf))) > 0)
		*changed = true;
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- showing ---------------------------------------------------------------------------- */

/* What a function prints on stdout, as text: it need not know where that goes. */
static char *capture(const struct sv_screen *s)
{
	FILE *real = stdout;
	char *text = NULL;
	size_t len;
	FILE *memory = open_memstream(&text, &len);

	if (!memory)
		sv_no_memory();
	stdout = memory;
	s->draw(s->arg);
	stdout = real;
	if (fclose(memory) != 0 || !text)
		sv_no_memory();
	return text;
}

/* Return: an exit code; text is printed unless it is 0. */
static int show(struct run *r, bool changed)
{
	sv_autofree char *text = NULL, *key = NULL;
	int code = r->screen->load(r->screen->arg, &key);

	if (code && !r->terminal)
		return sv_fail((enum sv_exit)code, "%s", sv_api_error());
	if (code) {
		sv_autofree char *why = sv_printable(sv_api_error());

		text = sv_text("Error: %s\nTrying again until it answers.\n", why);
	} else if (r->terminal || changed || !r->key || strcmp(key, r->key) != 0) {
		text = capture(r->screen);
		free(r->key);
		r->key = SV_TAKE(key);
	} else {
		return 0;
	}
	if (r->terminal)
		paint(text);
	else
		fputs(text, stdout);
	return 0;
}

/* Ends as the signal would have ended us, so that a shell sees it; comes back from a stop. */
static void on_signal(struct run *r)
{
	struct signalfd_siginfo info;
	int signum = SIGWINCH;

	while (read(r->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGWINCH)
			signum = (int)info.ssi_signo;
	if (signum == SIGWINCH)
		return;
	(void)fflush(stdout);
	leave();
	if (signum == SIGTSTP) {
		(void)raise(SIGSTOP);
		enter();
		return;
	}
	end_watcher(r);
	(void)signal(signum, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &r->old_signals, NULL);
	(void)raise(signum);
}

static int loop(struct run *r)
{
	bool changed = false;
	int code = start_watcher(r);

	while (code == 0) {
		struct pollfd fds[] = { { .fd = r->changes, .events = POLLIN },
					{ .fd = r->signal_fd, .events = POLLIN },
					{ .fd = STDOUT_FILENO } };
		int n = poll(fds, SV_ARRAY_SIZE(fds), r->watcher ? TICK_MS : RETRY_MS);

		if (n < 0 && errno != EINTR)
			return sv_fail(SV_EXIT_FAILED, "cannot wait: %s", strerror(errno));
		if (n == 0 && !r->watcher) {
			code = start_watcher(r);
			continue;
		}
		if (n > 0 && fds[2].revents)
			return 0; /* nobody reads any more */
		if (n > 0 && fds[1].revents)
			on_signal(r);
		if (n > 0 && fds[0].revents && !drain(r, &changed))
			end_watcher(r);
		if (!changed && r->watcher && !r->key)
			continue; /* the first is shown when the watch is up, or has failed */
		code = show(r, changed);
		changed = false;
		if (!sv_flush())
			return 0;
	}
	return code;
}

int sv_screen_run(const struct sv_screen *s)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };
	struct run r = {
		.screen = s, .signal_fd = -1, .changes = -1, .terminal = sv_screen_is_terminal()
	};
	sigset_t mask;
	size_t i;
	int code;

	sigemptyset(&mask);
	for (i = 0; r.terminal && i < SV_ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &mask, &r.old_signals);
	if (r.terminal) {
		r.signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
		if (r.signal_fd < 0 || atexit(leave) != 0)
			return sv_fail(SV_EXIT_FAILED, "cannot watch: %s", strerror(errno));
		enter();
	}
	code = loop(&r);
	end_watcher(&r);
	leave();
	free(r.key);
	return code;
}
