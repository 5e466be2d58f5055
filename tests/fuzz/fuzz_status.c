/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes on the status socket of a daemon that has Pods, Secrets and an environment to give.
 * Only a complete POST /v1/env by root may be answered with a value, nothing but a refusal goes to
 * strangers, and whatever is asked, the next one who asks properly gets an answer.
 *
 * The first byte says who asks: '0' is root, '1' a stranger, '2' a member of the socket's group.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../daemon/log.h"
#include "../daemon/daemon.h"
#include "fuzz.h"

#define PLACE "/mnt"      /* covered, in our namespace only */
#define GROUP 65533       /* of the socket */
#define VALUE "tHe-VaLuE" /* and no request holds it by chance */
#define CHECK_EVERY 256   /* inputs, between two proper requests */

static const char manifest[] =
	"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: " VALUE ", j: " VALUE
	"}\n"
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, uid: u}\nspec:\n"
	"  volumes: [{name: v, secret: {secretName: s}}]\n  containers:\n  - name: c\n    image: i\n"
	"    volumeMounts: [{name: v, mountPath: /m, subPathExpr: $(A)}]\n"
	"    envFrom: [{secretRef: {name: s}}]\n    env: [{name: A, value: b}]\n"
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: bad, uid: u2}\nspec:\n"
	"  volumes: [{name: v, secret: {secretName: none}}]\n  containers:\n  - name: c\n    image: i\n"
	"    volumeMounts: [{name: v, mountPath: /m}]\n"
	"    env: [{name: B, valueFrom: {secretKeyRef: {name: none, key: k}}}]\n";

static struct t_daemon d;
static const char *skip;

static bool is_settled(void *arg)
{
	(void)arg;
	return d.settled;
}

static void write_manifest(void)
{
	int fd = open(PLACE "/manifests/all.yaml", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	MUST(fd >= 0 && write(fd, manifest, sizeof(manifest) - 1) == sizeof(manifest) - 1);
	close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sv_err err = { "" };

	(void)argc;
	(void)argv;
	if (geteuid() != 0) {
		skip = "needs root";
	} else if (unshare(CLONE_NEWNS) < 0 ||
		   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		   mount("tmpfs", PLACE, "tmpfs", 0, "mode=0755") < 0) {
		skip = "no mount namespace of our own";
	}
	if (skip) {
		(void)printf("skipped: %s\n", skip);
		(void)fflush(stdout);
		_exit(0);
	}
	t_daemon_prepare(&d, PLACE);
	d.group = GROUP;
	sv_log_init(SV_LOG_ERROR, SV_LOG_TEXT);
	write_manifest();
	MUST(t_daemon_start(&d, &err) == 0);
	MUST(t_daemon_wait(&d, is_settled, NULL, 10000));
	MUST(chmod(PLACE "/socket", 0666) == 0); /* as for a group: who it is, is asked behind it */
	return 0;
}

/* Anything the input can make of itself but the one request that is to be answered with values. */
static bool asks_for_values(const char *bytes, size_t n)
{
	return memmem(bytes, n, "/v1/env", 7) != NULL || memchr(bytes, '%', n) != NULL;
}

static void check_alive(void)
{
	struct t_answer a;

	t_daemon_ask(&d, "GET", "/v1/status", NULL, &a);
	MUST(a.status == 200 && a.whole && strstr(a.text, "\"pods\":2"));
	t_answer_done(&a);
	t_daemon_ask(&d, "POST", "/v1/env", "{\"pod\":\"p\"}", &a);
	MUST(a.status == 200 && a.whole && strstr(a.text, VALUE));
	t_answer_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned inputs;
	sv_autofree char *text = NULL;
	bool root, member, ended;
	size_t len = 0;

	if (size < 2)
		return -1;
	root = data[0] % 3 == 0;
	member = data[0] % 3 == 2;
	d.asks_as = root ? 0 : member ? 65533 : 65534;
	d.is_member = member;
	text = t_daemon_talk(&d, data + 1, size - 1, 0, &len, &ended);
	d.asks_as = 0;
	if (text && memmem(text, len, VALUE, strlen(VALUE)))
		MUST(root && asks_for_values((const char *)data + 1, size - 1));
	if (!root && !member && len > 0) /* refused, or no request at all */
		MUST(!memmem(text, len, "HTTP/1.1 200", 12));
	if (++inputs % CHECK_EVERY == 0)
		check_alive();
	return 0;
}
