/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path - paths as text: cleaning without looking at any file system
 */
#ifndef SV_BASE_PATH_H
#define SV_BASE_PATH_H

/*
 * Go's path.Clean for a relative path without "..": "a//b/./c/" is "a/b/c", "./" is ".".
 * Return: a new string, NULL for lack of memory.
 */
char *sv_path_clean(const char *path);

/*
 * A path as seen from the root, absolute or not: "a/../b/" is "/b"; ".." does not climb
 * above the root. Return: a new string, NULL for lack of memory.
 */
char *sv_path_clean_absolute(const char *path);

#endif
