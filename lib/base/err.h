/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err - the text that goes with a non-zero return
 *
 * Functions return int: 0 done; < 0 a negated errno, the node failed and a
 * retry may help; > 0 a documented SV_<MODULE>_E_* refusal, the input is at
 * fault. The text never holds secret data and is always one printable line.
 */
#ifndef SV_BASE_ERR_H
#define SV_BASE_ERR_H

#define SV_ERR_MAX 1024 /* bytes, with the final NUL; longer texts end in "…" */

struct sv_err {
	char msg[SV_ERR_MAX];
};

/**
 * sv_err_set() - write the text and pass the code on
 * @err: where to; NULL is fine
 * @r:   the code; for a negated errno ": " and its strerror() text are appended
 *
 * Return: @r, so that `return sv_err_set(err, -errno, "…");` works.
 */
int sv_err_set(struct sv_err *err, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "fmt: " in front of the text that is there. Return: @r. */
int sv_err_prefix(struct sv_err *err, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
