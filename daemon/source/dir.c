/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/text.h"
#include "../../lib/core/manifest.h"
#include "../../lib/node/fsutil.h"
#include "../log.h"

#define DIR_EVENTS                                                                          \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF)
#define ABOVE_EVENTS \
	(IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF)

#define SLICE_MS 5    /* of reading, before the loop gets a turn */
#define YOUNG_MS 1000 /* a file changed less long ago may still be written to */
#define AGAIN_MS 500  /* after the node's trouble everything is looked at again; then less often */
#define LATE_MAX 50   /* times that a file which somebody holds open for writing is waited for */

struct dir;

/* What the event that has a file read says of it. */
enum whole {
	UNKNOWN, /* it may be half-written */
	MOVED,   /* it was renamed, as is done with what is complete */
	CLOSED,  /* by who wrote it */
};

/* One name in a directory that is a manifest's, whether there is a file or was one. */
struct file {
	char *path;       /* full; key of everything */
	const char *name; /* the last element of path */
	struct dir *dir;
	struct sv_identity id;
	struct sv_identity tried; /* what was read last, in order or not; all zero: nothing */
	bool known;               /* id is set */
	bool force;               /* read even if id has not changed */
	enum whole whole;
	bool queued;     /* in the batch or pending */
	bool seen;       /* by the scan under way */
	bool over;       /* there was no room for what it holds: read again with every scan */
	int64_t late_ms; /* monotonic: look again then; 0: no */
	unsigned late_tries;
};

struct dir {
	char *path;
	int fd, wd;                    /* -1 while it is away */
	int above_wd;                  /* watch on the nearest ancestor that exists, -1: none */
	char above_name[NAME_MAX + 1]; /* the element below that ancestor */
	dev_t dev;
	ino_t ino;
	bool read_once;
	char *error;                          /* why it cannot be read, or NULL */
	int64_t error_since_ms, last_sync_ms; /* Unix time */
	size_t n_files;                       /* names of it that are in the source's list */
	size_t n_left_out;                    /* beyond the limit, by the last scan */
};

struct source_dir {
	struct sv_source source;
	uv_loop_t *loop;
	struct sv_manager *manager;
	struct sv_catalog *catalog;
	struct dir *dirs;
	size_t n_dirs;
	bool synced;
	bool any_over;     /* a file is `over`, or was */
	bool troubled;     /* by the node, since the last scan: something may have been missed */
	bool untold;       /* the manager, or the catalog, had no memory for what it was told */
	unsigned again_ms; /* until the next scan if there is trouble */
	struct sv_strmap files;   /* path -> struct file */
	struct sv_strmap pending; /* to be read next: path -> struct file */
	struct sv_strmap batch;   /* being read */
	size_t batch_pos;
	int inotify_fd;
	uv_poll_t poll;
	uv_idle_t idle;  /* runs while there is something to read */
	uv_timer_t late; /* for files with late_ms */
	uv_timer_t rescan;
	size_t size_limit;
	struct sv_decode_opts decode;
};

/* ---- sink of the catalog ------------------------------------------------------------------- */

static void note(struct source_dir *s, int r);

/* What the manager or the catalog has not taken in is told again. */
static void note_told(struct source_dir *s, int r)
{
	if (r < 0)
		s->untold = true;
	note(s, r);
}

static void put_pod(void *arg, struct sv_pod *pod)
{
	struct source_dir *s = arg;

	note_told(s, sv_manager_put_pod(s->manager, SV_ORIGIN_MANIFEST, pod));
}

static void remove_pod(void *arg, const char *ns, const char *name)
{
	sv_manager_remove_pod(((struct source_dir *)arg)->manager, SV_ORIGIN_MANIFEST, ns, name);
}

static void put_secret(void *arg, struct sv_secret *secret)
{
	struct source_dir *s = arg;

	note_told(s, sv_manager_put_secret(s->manager, SV_ORIGIN_MANIFEST, secret));
}

static void remove_secret(void *arg, const char *ns, const char *name)
{
	sv_manager_remove_secret(((struct source_dir *)arg)->manager, SV_ORIGIN_MANIFEST, ns, name);
}

static void refuse_secret(void *arg, const char *ns, const char *name, const char *text)
{
	struct source_dir *s = arg;

	note_told(s, sv_manager_refuse_secret(s->manager, SV_ORIGIN_MANIFEST, ns, name, text));
}

static const struct sv_catalog_sink sink = { put_pod, remove_pod, put_secret, remove_secret,
					     refuse_secret };

static void on_rescan(uv_timer_t *timer);

/* The node's trouble: what was not seen is looked at again in a moment. */
static void look_again(struct source_dir *s)
{
	if (s->troubled)
		return;
	s->troubled = true;
	uv_timer_start(&s->rescan, on_rescan, s->again_ms, SV_RESCAN_MS);
	s->again_ms = s->again_ms * 2 < SV_RESCAN_MS ? s->again_ms * 2 : SV_RESCAN_MS;
}

static void note(struct source_dir *s, int r)
{
	if (r >= 0)
		return;
	if (!s->troubled)
		sv_log_err("manifests: out of memory; they are looked at again");
	look_again(s);
}

/* Not the manifest's or the directory's fault, so it may well work in a moment. */
static bool is_trouble(int e)
{
	return e == ENOMEM || e == EMFILE || e == ENFILE || e == EIO || e == EINTR || e == EAGAIN ||
	       e == ENOSPC || e == EBUSY;
}

/* ---- files --------------------------------------------------------------------------------- */

/* NULL also for lack of memory: *path says which. */
static struct file *find_file(struct source_dir *s, const struct dir *d, const char *name,
			      char **path)
{
	*path = sv_asprintf("%s/%s", d->path, name);
	note(s, *path ? 0 : -ENOMEM);
	return *path ? sv_strmap_get(&s->files, *path) : NULL;
}

static struct file *get_file(struct source_dir *s, struct dir *d, const char *name)
{
	sv_autofree char *path = NULL;
	struct file *f = find_file(s, d, name, &path);

	if (f || !path)
		return f;
	if (d->n_files >= SV_MANIFEST_FILES_MAX) {
		d->n_left_out++;
		return NULL;
	}
	f = calloc(1, sizeof(*f));
	if (!f || sv_strmap_put(&s->files, path, f) < 0) {
		free(f);
		note(s, -ENOMEM);
		return NULL;
	}
	f->path = SV_TAKE(path);
	f->name = f->path + strlen(d->path) + 1;
	f->dir = d;
	d->n_files++;
	return f;
}

static void on_idle(uv_idle_t *idle);
static void on_late(uv_timer_t *timer);

static void start_reading(struct source_dir *s)
{
	sv_manager_set_reading(s->manager, SV_ORIGIN_MANIFEST, true);
	uv_idle_start(&s->idle, on_idle);
}

/* Have a file read in this turn of the loop or the next. */
static void enqueue(struct source_dir *s, struct file *f, bool force)
{
	f->force = f->force || force;
	f->late_ms = 0;
	f->late_tries = 0;
	if (f->queued)
		return;
	if (sv_strmap_put(&s->pending, f->path, f) < 0) {
		note(s, -ENOMEM);
		return;
	}
	f->queued = true;
	start_reading(s);
}

/* Look at a file again in a moment. */
static void look_later(struct source_dir *s, struct file *f, int64_t delay_ms)
{
	f->late_ms = sv_monotonic_ms() + delay_ms;
	if (!uv_is_active((uv_handle_t *)&s->late) ||
	    uv_timer_get_due_in(&s->late) > (uint64_t)delay_ms)
		uv_timer_start(&s->late, on_late, (uint64_t)delay_ms, 0);
}

static void complain(struct source_dir *s, struct file *f, unsigned line, const char *reason,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void complain(struct source_dir *s, struct file *f, unsigned line, const char *reason,
		     const char *fmt, ...)
{
	sv_autobuf struct sv_buf b = { 0 };
	char text[SV_ERR_MAX];
	va_list ap;
	int r;

	va_start(ap, fmt);
	sv_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	sv_text_escape(text, sizeof(text), b.failed ? "out of memory" : b.ptr);
	sv_log_event(SV_LOG_WARNING,
		     &(struct sv_log_fields){ .id = SV_LOG_SOURCE, .reason = reason }, "%s: %s",
		     f->path, text);
	r = sv_catalog_fail(s->catalog, f->path, line, reason, text, sv_unix_ms());
	if (r < 0)
		f->known = false; /* so that the complaint is made again */
	note_told(s, r);
}

static bool is_young(const struct stat *st)
{
	return sv_unix_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000) <
	       YOUNG_MS;
}

/*
 * Somebody has it open for writing: a read lease is granted only if not (fcntl(2)). For a file of
 * another user, or where there are no leases, only its age tells.
 */
static bool may_be_half(const struct file *f, int fd, const struct stat *st)
{
	if (f->whole == CLOSED || !is_young(st) || f->late_tries >= LATE_MAX)
		return false;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN || f->whole != MOVED;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* Return: 0, SV_MANIFEST_E_SYNTAX or a negated errno. */
static int parse(const struct source_dir *s, const struct file *f, const struct sv_bytes *text,
		 struct sv_manifest *ret, struct sv_err *err, unsigned *line)
{
	enum sv_format format = SV_FORMAT_YAML;

	(void)sv_manifest_format(f->name, &format);
	return sv_manifest_parse((const char *)text->ptr, text->len, format, &s->decode, ret, err,
				 line);
}

static void take_manifest(struct source_dir *s, struct file *f, const struct sv_bytes *text,
			  bool exposed)
{
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	struct sv_err err = { "" };
	unsigned line = 0;
	size_t i, j;
	int r = parse(s, f, text, &m, &err, &line);

	if (r > 0) {
		complain(s, f, line, "InvalidManifest", "%s", err.msg);
		return;
	}
	if (r < 0) {
		f->known = false;
		note(s, r);
		return;
	}
	for (i = 0; i < m.n_objects; i++)
		for (j = 0; j < m.objects[i].complaints.n; j++)
			sv_log_warn("%s: document %u: %s \"%s\" is invalid: %s", f->path,
				    m.objects[i].document, sv_kind_name(m.objects[i].kind),
				    m.objects[i].name, m.objects[i].complaints.items[j].message);
	sv_log_debug("%s: %zu objects, %zu ignored", f->path, m.n_objects, m.ignored);
	sv_desired_make_room(&s->manager->desired);
	r = sv_catalog_set(s->catalog, f->path, &m, exposed, sv_unix_ms(), &err);
	f->over = r > 0;
	s->any_over = s->any_over || f->over;
	if (f->over)
		complain(s, f, 0, "TooMany", "%s", err.msg);
	if (r < 0)
		f->known = false;
	note_told(s, r);
	if (s->manager->desired.forgets[SV_ORIGIN_MANIFEST])
		sv_catalog_forget(s->catalog, f->path);
}

/* The file is not there: believed once it has stayed away. */
static void note_gone(struct source_dir *s, struct file *f)
{
	note_told(s, sv_catalog_mark_gone(s->catalog, f->path, true, sv_unix_ms()));
	if (f->late_ms == 0)
		look_later(s, f, SV_SETTLE_MS);
}

static int open_text(int path_fd, const char **reason, struct sv_err *err)
{
	char proc[64];
	int fd;

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path_fd);
	fd = open(proc, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	*reason = "Unreadable";
	return fd < 0 ? sv_err_set(err, -errno, "cannot open") : fd;
}

static int read_text(const struct source_dir *s, int fd, const struct stat *st,
		     struct sv_bytes *ret, const char **reason, struct sv_err *err)
{
	int r = st->st_size > (off_t)s->size_limit ? -EFBIG : sv_read_all(fd, s->size_limit, ret);

	*reason = r == -EFBIG ? "TooLarge" : "Unreadable";
	if (r == -EFBIG)
		sv_err_set(err, 0,
			   "file of %lld bytes is over the limit of %zu bytes for a manifest",
			   (long long)st->st_size, s->size_limit);
	else if (r < 0)
		sv_err_set(err, r, "cannot read");
	return r;
}

/*
 * What the file holds is not known, though it may come back as it was: then it is read again. With
 * the node's trouble that is soon.
 */
static void cannot_read(struct source_dir *s, struct file *f, int r, const char *reason,
			const struct sv_err *err)
{
	complain(s, f, 0, reason, "%s", err->msg);
	if (r != -EFBIG) /* which stays so until the file changes */
		f->known = false;
	if (is_trouble(-r))
		look_again(s);
}

static void read_file(struct source_dir *s, struct file *f)
{
	sv_autobytes struct sv_bytes text = { NULL, 0 };
	sv_autoclose int path_fd = -1, fd = -1;
	struct sv_err err = { "" };
	const char *reason;
	struct sv_identity id;
	struct stat st = { 0 };
	int r;

	if (f->dir->fd < 0)
		return; /* the directory is away: what was read last stays */
	r = sv_find_manifest(f->dir->fd, f->name, &path_fd, &st, &reason, &err);
	if (r == -ENOENT && fstatat(f->dir->fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		note_gone(s, f);
		return;
	}
	if (r < 0) {
		cannot_read(s, f, r, reason, &err);
		return;
	}
	id = sv_identity_of(&st);
	f->tried = id;
	if (f->known && !f->force && !f->over && sv_identity_equal(&id, &f->id)) {
		note_told(s, sv_catalog_mark_gone(s->catalog, f->path, false, sv_unix_ms()));
		return;
	}
	fd = open_text(path_fd, &reason, &err);
	if (fd < 0) {
		cannot_read(s, f, fd, reason, &err);
		return;
	}
	if (may_be_half(f, fd, &st)) {
		f->late_tries++;
		look_later(s, f, SV_SETTLE_MS);
		return;
	}
	f->force = false;
	f->whole = UNKNOWN;
	f->id = id;
	r = read_text(s, fd, &st, &text, &reason, &err);
	f->known = r == 0 || r == -EFBIG;
	if (r < 0)
		cannot_read(s, f, r, reason, &err);
	else
		take_manifest(s, f, &text, (st.st_mode & 044) != 0);
}

/* ---- values that were forgotten ------------------------------------------------------------ */

/* What a refill came to, besides success and lack of memory. */
enum {
	NO_VALUES = 1, /* and reading the file once more would not help */
	CHANGED,       /* the file is not what was read last */
};

static const char other_version[] = "it holds another version, or none";

/* Everything in the file that waits for its values gets them, since it is read anyway. */
static int take_values(struct source_dir *s, const struct file *f, const struct sv_bytes *text,
		       struct sv_secret *wanted, struct sv_err *err)
{
	sv_automanifest struct sv_manifest m = { NULL, 0, 0 };
	bool filled = false;
	size_t i;
	int r = parse(s, f, text, &m, err, NULL);

	if (r)
		return r < 0 ? r : NO_VALUES;
	sv_desired_make_room(&s->manager->desired);
	for (i = 0; i < m.n_objects; i++) {
		const struct sv_secret *from = m.objects[i].secret;

		if (!from)
			continue;
		sv_manager_offer_secret(s->manager, SV_ORIGIN_MANIFEST, from);
		if (strcmp(from->ns, wanted->ns) == 0 && strcmp(from->name, wanted->name) == 0)
			filled |= sv_manager_fill_secret(s->manager, SV_ORIGIN_MANIFEST, wanted,
							 from);
	}
	return filled ? 0 : sv_err_set(err, NO_VALUES, "%s", other_version);
}

/* Not for everybody who asks, if it is known to be in vain or the file is about to be read anyway. */
static int read_again(struct source_dir *s, const struct file *f, struct sv_secret *wanted,
		      struct sv_err *err)
{
	const char *failure = sv_catalog_failure(s->catalog, f->path), *reason;
	sv_autobytes struct sv_bytes text = { NULL, 0 };
	sv_autoclose int path_fd = -1, fd = -1;
	struct sv_identity id;
	struct stat st = { 0 };
	bool as_known;
	int r;

	if (f->dir->fd < 0)
		return sv_err_set(err, NO_VALUES, "its directory is away");
	r = sv_find_manifest(f->dir->fd, f->name, &path_fd, &st, &reason, err);
	if (r < 0)
		return is_trouble(-r) ? r : failure ? NO_VALUES : CHANGED;
	id = sv_identity_of(&st);
	as_known = f->known && sv_identity_equal(&id, &f->id);
	if (failure && f->known && sv_identity_equal(&id, &f->tried))
		return sv_err_set(err, NO_VALUES, "%s", failure);
	if (as_known && !sv_catalog_holds(s->catalog, f->path, wanted))
		return sv_err_set(err, NO_VALUES, "%s", other_version);
	if (!as_known && f->queued)
		return CHANGED;
	fd = open_text(path_fd, &reason, err);
	r = fd < 0 ? fd : read_text(s, fd, &st, &text, &reason, err);
	if (r == 0)
		r = take_values(s, f, &text, wanted, err);
	if (r == 0 || (r < 0 && is_trouble(-r)))
		return r;
	return sv_identity_equal(&id, &f->tried) ? NO_VALUES : CHANGED;
}

static int refill(struct sv_source *source, struct sv_secret *wanted, struct sv_err *err)
{
	struct source_dir *s = (struct source_dir *)source;
	const char *path = sv_catalog_path(s->catalog, wanted->ns, wanted->name);
	struct file *f = path ? sv_strmap_get(&s->files, path) : NULL;
	struct sv_err why = { "" };
	int r;

	if (!f)
		return sv_err_set(err, SV_PLAN_E_UNAVAILABLE,
				  "secret \"%s\": its values were forgotten once published, and no "
				  "manifest has them any more",
				  wanted->name);
	r = read_again(s, f, wanted, &why);
	if (r < 0) {
		*err = why;
		return sv_err_prefix(err, r, "secret \"%s\": %s", wanted->name, f->path);
	}
	if (r == 0)
		return 0;
	if (r == CHANGED && !f->queued && f->late_ms == 0)
		enqueue(s, f, false);
	if (r == CHANGED || f->queued || f->late_ms != 0)
		return sv_err_set(err, SV_PLAN_E_PENDING,
				  "secret \"%s\": its values are read again from %s", wanted->name,
				  f->path);
	return sv_err_set(
		err, SV_PLAN_E_UNAVAILABLE,
		"secret \"%s\": its values were forgotten once published, and %s does not "
		"give them again: %s",
		wanted->name, f->path, why.msg);
}

static void forget_file(struct source_dir *s, struct file *f)
{
	size_t i;

	note_told(s, sv_catalog_remove(s->catalog, f->path, sv_unix_ms()));
	sv_strmap_remove(&s->files, f->path);
	f->dir->n_files--;
	free(f->path);
	free(f);
	for (i = 0; s->any_over && i < s->files.n; i++) { /* now there may be room */
		struct file *other = s->files.entries[i].value;

		if (other->over)
			enqueue(s, other, true);
	}
	s->any_over = false;
}

/* ---- directories --------------------------------------------------------------------------- */

static void set_error(struct dir *d, const char *text)
{
	if (text && (!d->error || strcmp(d->error, text) != 0)) {
		d->error_since_ms = sv_unix_ms();
		sv_log_warn("%s: %s", d->path, text);
	} else if (!text && d->error) {
		sv_log_notice("%s: is there again", d->path);
	}
	free(d->error);
	d->error = text ? strdup(text) : NULL;
}

static void note_left_out(struct dir *d)
{
	sv_autofree char *text = NULL;

	if (d->n_left_out > 0)
		text = sv_asprintf("holds more than %d manifests: the others are not read",
				   SV_MANIFEST_FILES_MAX);
	set_error(d, text);
}

static bool is_watched(const struct source_dir *s, int wd)
{
	size_t i;

	for (i = 0; i < s->n_dirs; i++)
		if (s->dirs[i].wd == wd || s->dirs[i].above_wd == wd)
			return true;
	return false;
}

static void unwatch(struct source_dir *s, int *wd)
{
	int old = *wd;

	*wd = -1;
	if (old >= 0 && !is_watched(s, old))
		(void)inotify_rm_watch(s->inotify_fd, old);
}

/* The nearest ancestor that exists, so that we see the directory come, or be replaced. */
static void watch_above(struct source_dir *s, struct dir *d)
{
	sv_autofree char *path = strdup(d->path);
	int wd = -1;

	while (path && wd < 0) {
		char *slash = strrchr(path, '/');

		if (!slash || !slash[1])
			break;
		(void)snprintf(d->above_name, sizeof(d->above_name), "%s", slash + 1);
		slash[slash == path] = '\0';
		wd = inotify_add_watch(s->inotify_fd, path,
				       ABOVE_EVENTS | IN_ONLYDIR | IN_MASK_ADD);
	}
	if (wd == d->above_wd)
		return;
	unwatch(s, &d->above_wd);
	d->above_wd = wd;
}

static void lose_dir(struct source_dir *s, struct dir *d)
{
	unwatch(s, &d->wd);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* Mark every file there is to be looked at; what was known and is not there has vanished. */
static void scan_dir(struct source_dir *s, struct dir *d, bool force)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t i;

	if (!list) {
		set_error(d, "cannot be read");
		if (fd >= 0)
			close(fd);
		look_again(s);
		return;
	}
	for (i = 0; i < s->files.n; i++)
		((struct file *)s->files.entries[i].value)->seen = false;
	d->n_left_out = 0;
	while (errno = 0, (e = readdir(list))) {
		enum sv_format format;
		struct file *f;

		if (!sv_manifest_format(e->d_name, &format))
			continue;
		f = get_file(s, d, e->d_name);
		if (!f)
			continue;
		f->seen = true;
		enqueue(s, f, force);
	}
	if (errno != 0) {
		set_error(d, "cannot be read");
		closedir(list);
		look_again(s);
		return;
	}
	closedir(list);
	for (i = 0; i < s->files.n; i++) {
		struct file *f = s->files.entries[i].value;

		if (f->dir == d && !f->seen)
			note_gone(s, f);
	}
	note_left_out(d);
	start_reading(s); /* even with nothing to read: then the scan is done */
}

/* Is the path still the directory that we have? If not, take the one that is there now. */
static void check_dir(struct source_dir *s, struct dir *d, bool scan, bool force)
{
	sv_autoclose int fd = -1;
	struct stat st;

	watch_above(s, d);
	fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		sv_autofree char *text = NULL;
		int e = errno;

		if (is_trouble(e)) /* the one that we have may be the right one */
			look_again(s);
		else
			lose_dir(s, d);
		text = e == ENOENT ?
			       sv_asprintf("directory %s",
					   d->read_once ? "has gone away: its last objects stay" :
							  "does not exist yet") :
			       sv_asprintf("cannot be opened: %s", strerror(e));
		set_error(d, text ? text : "cannot be opened");
		return;
	}
	if (d->fd < 0 || st.st_dev != d->dev || st.st_ino != d->ino) {
		lose_dir(s, d);
		d->fd = SV_TAKE_FD(fd);
		d->dev = st.st_dev;
		d->ino = st.st_ino;
		scan = true;
	}
	if (d->wd < 0) {
		char proc[64];

		(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", d->fd);
		d->wd = inotify_add_watch(s->inotify_fd, proc,
					  DIR_EVENTS | IN_ONLYDIR | IN_MASK_ADD);
		if (d->wd < 0)
			sv_log_warn("%s: cannot be watched: %s; it is read every %d s", d->path,
				    strerror(errno), SV_RESCAN_MS / 1000);
	}
	if (scan)
		scan_dir(s, d, force);
}

static void check_dirs(struct source_dir *s, bool scan, bool force)
{
	size_t i;

	for (i = 0; i < s->n_dirs; i++)
		check_dir(s, &s->dirs[i], scan, force);
}

/* Everything that was seen has been read. */
static void note_synced(struct source_dir *s)
{
	bool all = true, waiting = s->troubled; /* what was not read may hold what is mounted */
	size_t i;

	/* A file that is being written while we start may hold what is mounted: wait for it. */
	for (i = 0; i < s->files.n && !s->synced; i++) {
		const struct file *f = s->files.entries[i].value;

		waiting = waiting || (!f->known && f->late_tries > 0);
	}
	for (i = 0; i < s->n_dirs && !waiting; i++) {
		struct dir *d = &s->dirs[i];

		/* With files left out, what is mounted may be theirs: nothing is removed for now. */
		if (d->fd >= 0 && d->n_left_out == 0) {
			d->read_once = true;
			d->last_sync_ms = sv_unix_ms();
		}
		all = all && d->read_once;
	}
	if (!s->troubled)
		s->again_ms = AGAIN_MS;
	if (!all || waiting)
		return;
	s->synced = true;
	sv_manager_set_synced(s->manager, SV_ORIGIN_MANIFEST);
}

/* ---- events -------------------------------------------------------------------------------- */

/* Reads in slices, so that the status socket and the workers' results get their turn. */
static void on_idle(uv_idle_t *idle)
{
	struct source_dir *s = idle->data;
	int64_t end = sv_monotonic_ms() + SLICE_MS;

	for (;;) {
		struct file *f;

		if (s->batch_pos == s->batch.n) {
			struct sv_strmap empty = s->batch;

			s->batch = s->pending;
			empty.n = 0;
			s->pending = empty;
			s->batch_pos = 0;
		}
		if (s->batch.n == 0)
			break;
		f = s->batch.entries[s->batch_pos++].value;
		f->queued = false;
		read_file(s, f);
		if (sv_monotonic_ms() >= end)
			return;
	}
	uv_idle_stop(idle);
	note_synced(s);
	sv_manager_set_reading(s->manager, SV_ORIGIN_MANIFEST, false);
}

/* Files that vanished, and files that may have been half-written when they were seen. */
static void on_late(uv_timer_t *timer)
{
	struct source_dir *s = timer->data;
	int64_t now = sv_monotonic_ms(), next = 0;
	size_t i = 0;

	while (i < s->files.n) {
		struct file *f = s->files.entries[i].value;
		struct stat st;

		if (f->late_ms != 0 && f->late_ms <= now) {
			f->late_ms = 0;
			if (f->dir->fd < 0) {
				i++; /* gone with its directory: what was read last stays */
				continue;
			}
			if (fstatat(f->dir->fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
			    errno == ENOENT && !f->queued) {
				forget_file(s, f);
				continue;
			}
			if (!f->queued) {
				note(s, sv_strmap_put(&s->pending, f->path, f));
				f->queued = sv_strmap_get(&s->pending, f->path) == f;
				start_reading(s);
			}
		}
		if (f->late_ms != 0 && (next == 0 || f->late_ms < next))
			next = f->late_ms;
		i++;
	}
	if (next != 0)
		uv_timer_start(timer, on_late, (uint64_t)(next > now ? next - now : 1), 0);
}

/* A new name: a link or a finished file is read now, a file being written when it is closed. */
static void on_create(struct source_dir *s, struct dir *d, struct file *f)
{
	struct stat st;

	if (fstatat(d->fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (is_trouble(errno))
			look_again(s);
		return;
	}
	if (S_ISREG(st.st_mode) && st.st_nlink == 1)
		look_later(s, f, SV_SETTLE_MS);
	else
		enqueue(s, f, true);
}

static void on_name(struct source_dir *s, struct dir *d, uint32_t mask, const char *name)
{
	enum sv_format format;
	struct file *f;

	if (strncmp(name, "..", 2) == 0 && (mask & (IN_MOVED_TO | IN_CREATE))) {
		scan_dir(s, d, false); /* ..data was switched: every link may lead elsewhere */
		return;
	}
	if (!sv_manifest_format(name, &format))
		return;
	if (mask & (IN_DELETE | IN_MOVED_FROM)) {
		sv_autofree char *path = NULL;

		f = find_file(s, d, name, &path);
		if (f)
			note_gone(s, f);
		return;
	}
	f = get_file(s, d, name);
	if (!f) {
		note_left_out(d);
		return;
	}
	/* Right after it was closed a file may still count as open: the kernel tells us first. */
	if (!(mask & IN_ATTRIB))
		f->whole = mask & IN_CLOSE_WRITE ? CLOSED : mask & IN_MOVED_TO ? MOVED : UNKNOWN;
	if (mask & IN_CREATE)
		on_create(s, d, f);
	else
		enqueue(s, f, true);
}

/* @name: of the entry that the event is about, "" for the watched directory itself. */
static void on_event(struct source_dir *s, int wd, uint32_t mask, const char *name)
{
	bool self = mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED);
	size_t i;

	if (mask & IN_Q_OVERFLOW) {
		sv_log_warn(
			"manifests: more events than the kernel keeps: everything is looked at");
		check_dirs(s, true, false);
		return;
	}
	for (i = 0; i < s->n_dirs; i++) {
		struct dir *d = &s->dirs[i];

		if (wd == d->above_wd && (self || strcmp(name, d->above_name) == 0)) {
			if (mask & IN_IGNORED)
				d->above_wd = -1;
			check_dir(s, d, false, false);
		}
		if (wd != d->wd)
			continue;
		if (mask & IN_IGNORED)
			d->wd = -1;
		if (self)
			check_dir(s, d, false, false);
		else if (*name)
			on_name(s, d, mask, name);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct source_dir *s = poll->data;
	char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	(void)status;
	(void)events;
	while ((n = read(s->inotify_fd, buf, sizeof(buf))) > 0) {
		const char *p = buf;

		while (p < buf + n) {
			const struct inotify_event *e = (const void *)p;

			on_event(s, e->wd, e->mask, e->len > 0 ? e->name : "");
			p += sizeof(*e) + e->len;
		}
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR) { /* or the loop would do nothing else */
		uv_poll_stop(poll);
		look_again(s);
	}
	if (uv_is_active((uv_handle_t *)&s->idle))
		on_idle(&s->idle); /* at once, not in the next turn */
}

static void on_rescan(uv_timer_t *timer)
{
	struct source_dir *s = timer->data;

	s->troubled = false;
	(void)uv_poll_start(&s->poll, UV_READABLE, on_readable);
	if (s->untold) {
		s->untold = false;
		note_told(s, sv_catalog_retell(s->catalog, sv_unix_ms()));
	}
	check_dirs(s, true, false);
}

/* ---- a source ------------------------------------------------------------------------------ */

static void report(struct sv_source *source, struct json_object *list)
{
	struct source_dir *s = (struct source_dir *)source;
	size_t i, j;

	for (i = 0; i < s->n_dirs; i++) {
		struct dir *d = &s->dirs[i];
		struct json_object *o = json_object_new_object();
		struct sv_catalog_counts counts;
		size_t files = 0;

		for (j = 0; j < s->files.n; j++)
			files += ((struct file *)s->files.entries[j].value)->dir == d;
		sv_catalog_count(s->catalog, d->path, &counts);
		sv_json_text(o, "type", "manifest");
		sv_json_text(o, "name", d->path);
		sv_json_bool(o, "synced", d->read_once);
		sv_json_time(o, "lastSync", d->last_sync_ms);
		sv_json_int(o, "files", (int64_t)files);
		sv_json_int(o, "pods", (int64_t)counts.pods);
		sv_json_int(o, "secrets", (int64_t)counts.secrets);
		sv_json_int(o, "ignored", (int64_t)counts.ignored);
		sv_json_text(o, "error", d->error ? d->error : "");
		sv_json_append(list, o);
	}
}

static void each_problem(struct sv_source *source, sv_problem_fn fn, void *arg)
{
	struct source_dir *s = (struct source_dir *)source;
	size_t i;

	for (i = 0; i < s->n_dirs; i++) {
		const struct dir *d = &s->dirs[i];
		struct sv_problem p = sv_problem_about("manifest", d->path);

		if (!d->error)
			continue;
		p.reason = "SourceUnavailable";
		p.message = d->error;
		p.since_ms = d->error_since_ms;
		fn(arg, &p);
	}
	sv_catalog_each_problem(s->catalog, fn, arg);
}

static void reload(struct sv_source *source)
{
	check_dirs((struct source_dir *)source, true, true);
}

static void stop(struct sv_source *source)
{
	struct source_dir *s = (struct source_dir *)source;

	uv_close((uv_handle_t *)&s->poll, NULL);
	uv_close((uv_handle_t *)&s->idle, NULL);
	uv_close((uv_handle_t *)&s->late, NULL);
	uv_close((uv_handle_t *)&s->rescan, NULL);
}

static void source_free(struct sv_source *source)
{
	struct source_dir *s = (struct source_dir *)source;
	size_t i;

	for (i = 0; i < s->n_dirs; i++) {
		if (s->dirs[i].fd >= 0)
			close(s->dirs[i].fd);
		free(s->dirs[i].path);
		free(s->dirs[i].error);
	}
	free(s->dirs);
	for (i = 0; i < s->files.n; i++) {
		struct file *f = s->files.entries[i].value;

		free(f->path);
		free(f);
	}
	sv_strmap_done(&s->files);
	sv_strmap_done(&s->pending);
	sv_strmap_done(&s->batch);
	sv_catalog_free(s->catalog);
	if (s->inotify_fd >= 0)
		close(s->inotify_fd);
	free(s);
}

void sv_source_dir_configure(struct sv_source *source, const struct sv_config *config)
{
	struct source_dir *s = (struct source_dir *)source;

	const struct sv_catalog_limits limits = {
		.pods = (size_t)config->pod_limit,
		.volumes = (size_t)config->volume_limit,
		.secrets_size = (size_t)config->secrets_size_limit,
	};

	sv_catalog_set_limits(s->catalog, &limits);
	s->size_limit = (size_t)config->manifest_size_limit;
	s->decode.strict_env_names = config->strict_env_names;
}

/* It is the directory above that tells when one comes: a name alone has none. */
static char *make_absolute(const char *path)
{
	sv_autofree char *here = *path == '/' ? NULL : getcwd(NULL, 0);

	return here ? sv_asprintf("%s/%s", here, path) : strdup(path);
}

static int add_dirs(struct source_dir *s, const struct sv_config *config)
{
	size_t i;

	s->dirs = calloc(config->manifest_dirs.n, sizeof(*s->dirs));
	if (!s->dirs)
		return -ENOMEM;
	for (i = 0; i < config->manifest_dirs.n; i++) {
		struct dir *d = &s->dirs[i];
		size_t n;

		*d = (struct dir){ .fd = -1, .wd = -1, .above_wd = -1 };
		d->path = make_absolute(config->manifest_dirs.items[i]);
		if (!d->path)
			return -ENOMEM;
		for (n = strlen(d->path); n > 1 && d->path[n - 1] == '/'; n--)
			d->path[n - 1] = '\0';
		s->n_dirs++;
	}
	return 0;
}

int sv_source_dir_new(uv_loop_t *loop, struct sv_manager *manager, const struct sv_config *config,
		      struct sv_source **ret, struct sv_err *err)
{
	struct source_dir *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return sv_err_set(err, -ENOMEM, "cannot watch manifests");
	s->source = (struct sv_source){ .type = "manifest",
					.origin = SV_ORIGIN_MANIFEST,
					.report = report,
					.each_problem = each_problem,
					.reload = reload,
					.refill = refill,
					.stop = stop,
					.free = source_free };
	s->loop = loop;
	s->manager = manager;
	s->again_ms = AGAIN_MS;
	s->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r = s->inotify_fd < 0 ? -errno : 0;
	if (r == 0)
		r = sv_catalog_new(&sink, s, &s->catalog);
	if (r == 0)
		r = add_dirs(s, config);
	if (r == 0)
		r = uv_poll_init(loop, &s->poll, s->inotify_fd);
	if (r < 0) {
		source_free(&s->source);
		return sv_err_set(err, r, "cannot watch manifests%s",
				  r == -EMFILE ?
					  ": inotify instances of this user are used up, raise "
					  "sysctl fs.inotify.max_user_instances" :
					  "");
	}
	sv_source_dir_configure(&s->source, config);
	s->poll.data = s->idle.data = s->late.data = s->rescan.data = s;
	uv_idle_init(loop, &s->idle);
	uv_timer_init(loop, &s->late);
	uv_timer_init(loop, &s->rescan);
	(void)uv_poll_start(&s->poll, UV_READABLE, on_readable);
	uv_timer_start(&s->rescan, on_rescan, SV_RESCAN_MS, SV_RESCAN_MS);
	manager->desired.expected[SV_ORIGIN_MANIFEST] = true;
	manager->sources[SV_ORIGIN_MANIFEST] = &s->source;
	check_dirs(s, true, false);
	*ret = &s->source;
	return 0;
}
