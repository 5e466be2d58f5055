/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity - durations as Go writes them, sizes as Kubernetes writes them
 */
#ifndef SV_BASE_QUANTITY_H
#define SV_BASE_QUANTITY_H

#include <stdint.h>

#define SV_DURATION_MAX_MS ((int64_t)10 * 366 * 86400 * 1000) /* ten years */

/**
 * sv_duration_parse() - read "300ms", "5s", "2m30s", "+1.5h", "0"
 * @ret: milliseconds, rounded up; 0 to SV_DURATION_MAX_MS; written on 0 only
 *
 * Return: 0 or -EINVAL.
 */
int sv_duration_parse(const char *text, int64_t *ret);

/**
 * sv_size_parse() - read a Kubernetes quantity: "16Mi", "4M", "1024", "1.5Gi", "1e6"
 * @ret: bytes, rounded up; written on 0 only
 *
 * Suffixes: none, n u m k M G T P E (powers of 1000), Ki Mi Gi Ti Pi Ei (powers of 1024),
 * or a decimal exponent. A size has no minus sign.
 *
 * Return: 0, -EINVAL, or -ERANGE beyond 2^62.
 */
int sv_size_parse(const char *text, int64_t *ret);

#endif
