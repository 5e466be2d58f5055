/* SPDX-License-Identifier: Apache-2.0 */
#include "validate.h"

#include <ctype.h>
#include <string.h>

static const char subdomain_text[] =
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
	"'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
	"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
static const char label_text[] =
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
	"must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
	"used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
static const char key_text[] =
	"a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
	"'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
	"'[-._a-zA-Z0-9]+')";
static const char env_text[] =
	"a valid environment variable name must consist of alphabetic characters, digits, '_', "
	"'-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or "
	"'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";

/* No locale: names are ASCII. */
static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_key_char(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

/* One label: [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static bool is_label(const char *s, size_t n)
{
	size_t i;

	if (n == 0 || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
		return false;
	for (i = 0; i < n; i++)
		if (!is_lower_alnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

const char *sv_check_subdomain(const char *name)
{
	const char *s = name;

	if (strlen(name) > SV_SUBDOMAIN_MAX)
		return "must be no more than 253 characters";
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!is_label(s, n))
			return subdomain_text;
		if (!s[n])
			return NULL;
		s += n + 1;
	}
}

const char *sv_check_label(const char *name)
{
	if (strlen(name) > SV_LABEL_MAX)
		return "must be no more than 63 characters";
	return is_label(name, strlen(name)) ? NULL : label_text;
}

static const char *check_dots(const char *s)
{
	if (strcmp(s, ".") == 0)
		return "must not be '.'";
	if (strcmp(s, "..") == 0)
		return "must not be '..'";
	if (strncmp(s, "..", 2) == 0)
		return "must not start with '..'";
	return NULL;
}

const char *sv_check_secret_key(const char *key)
{
	size_t i, n = strlen(key);

	if (n > SV_KEY_MAX)
		return "must be no more than 253 characters";
	for (i = 0; i < n; i++)
		if (!is_key_char(key[i]))
			return key_text;
	return n == 0 ? key_text : check_dots(key);
}

const char *sv_check_uid(const char *uid)
{
	size_t i, n = strlen(uid);

	if (n > SV_UID_MAX)
		return "must be no more than 128 characters, since it becomes a directory name";
	for (i = 0; i < n; i++)
		if (!is_key_char(uid[i]))
			return "must consist of alphanumeric characters, '-', '_' or '.', since it "
			       "becomes a directory name";
	if (n == 0)
		return "must not be empty";
	return strcmp(uid, ".") == 0 || strcmp(uid, "..") == 0 ? check_dots(uid) : NULL;
}

/* True if an element of the path is "..". */
static bool has_dotdot(const char *path)
{
	const char *s = path;

	for (;;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.')
			return true;
		if (!s[n])
			return false;
		s += n + 1;
	}
}

const char *sv_check_sub_path(const char *path)
{
	if (path[0] == '/')
		return "must be a relative path";
	return has_dotdot(path) ? "must not contain '..'" : NULL;
}

const char *sv_check_relative_path(const char *path)
{
	const char *text = sv_check_sub_path(path);

	if (text)
		return text;
	return strncmp(path, "..", 2) == 0 ? "must not start with '..'" : NULL;
}

const char *sv_check_env_name(const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < n; i++)
		if (!is_key_char(name[i]) || (i == 0 && isdigit((unsigned char)name[i])))
			return env_text;
	return n == 0 ? env_text : check_dots(name);
}

const char *sv_check_env_name_relaxed(const char *name)
{
	static const char text[] =
		"a valid environment variable name must consist only of printable ASCII characters "
		"other than '='";
	size_t i, n = strlen(name);

	for (i = 0; i < n; i++)
		if (name[i] < 0x20 || name[i] > 0x7e || name[i] == '=')
			return text;
	return n == 0 ? text : NULL;
}

const char *sv_check_payload_path(const char *path)
{
	const char *s = path;

	if (!*path)
		return "invalid path: must not be empty";
	if (path[0] == '/')
		return "invalid path: must be relative path";
	if (strlen(path) > SV_PATH_MAX_BYTES)
		return "invalid path: must be less than or equal to 4096 characters";
	if (has_dotdot(path))
		return "invalid path: must not contain '..'";
	for (;;) {
		size_t n = strcspn(s, "/");

		if (n > SV_ELEMENT_MAX)
			return "invalid path: filenames must be less than or equal to 255 characters";
		if (!s[n])
			break;
		s += n + 1;
	}
	return strncmp(path, "..", 2) == 0 ? "invalid path: must not start with '..'" : NULL;
}

/* Does a text begin as a form does, in which 0 stands for any digit? */
static bool has_form(const char *s, const char *form)
{
	for (; *form; s++, form++)
		if (*form == '0' ? *s < '0' || *s > '9' : *s != *form)
			return false;
	return true;
}

static int number_at(const char *s)
{
	return (s[0] - '0') * 10 + s[1] - '0';
}

static bool is_date(int year, int month, int day)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month >= 1 && month <= 12 && day >= 1 &&
	       day <= days[month - 1] + (month == 2 && leap);
}

const char *sv_check_time(const char *text)
{
	static const char form[] = "0000-00-00T00:00:00";
	static const char none[] = "must be a time as RFC 3339 has it";
	const char *end = text + strlen(form);

	if (!has_form(text, form) ||
	    !is_date(number_at(text) * 100 + number_at(text + 2), number_at(text + 5),
		     number_at(text + 8)) ||
	    number_at(text + 11) > 23 || number_at(text + 14) > 59 || number_at(text + 17) > 59)
		return none;
	if (has_form(end, ".0"))
		end += 1 + strspn(end + 1, "0123456789");
	if (strcmp(end, "Z") == 0)
		return NULL;
	if ((!has_form(end, "+00:00") && !has_form(end, "-00:00")) || end[strlen("+00:00")] ||
	    number_at(end + 1) > 24 || number_at(end + 4) > 60) /* as Go has it */
		return none;
	return NULL;
}

void sv_validate_secret_update(const struct sv_secret *old, const struct sv_secret *new,
			       struct sv_complaints *c)
{
	static const char immutable[] = "field is immutable when `immutable` is set";

	if (strcmp(old->type, new->type) != 0)
		sv_complain(c, SV_INVALID, "type", new->type, "field is immutable");
	if (!old->immutable)
		return;
	if (!new->immutable)
		sv_complain(c, SV_FORBIDDEN, "immutable", NULL, "%s", immutable);
	if (!sv_secret_same_data(old, new))
		sv_complain(c, SV_FORBIDDEN, "data", NULL, "%s", immutable);
}
