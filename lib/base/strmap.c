/* SPDX-License-Identifier: Apache-2.0 */
#include "strmap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t sv_strmap_lower(const struct sv_strmap *m, const char *key)
{
	size_t lo = 0, hi = m->n;

	if (m->n > 0 && strcmp(m->entries[m->n - 1].key, key) < 0)
		return m->n; /* the common case: keys come in order */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->entries[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool found(const struct sv_strmap *m, size_t i, const char *key)
{
	return i < m->n && strcmp(m->entries[i].key, key) == 0;
}

void *sv_strmap_get(const struct sv_strmap *m, const char *key)
{
	size_t i = sv_strmap_lower(m, key);

	return found(m, i, key) ? m->entries[i].value : NULL;
}

/* strcmp() of a key with "A/B". */
static int compare_pair(const char *key, const char *a, const char *b)
{
	size_t n = strlen(a);
	int r = strncmp(key, a, n);

	if (r == 0 && key[n] != '/')
		r = (unsigned char)key[n] < '/' ? -1 : 1;
	return r ? r : strcmp(key + n + 1, b);
}

size_t sv_strmap_lower_pair(const struct sv_strmap *m, const char *a, const char *b)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_pair(m->entries[mid].key, a, b) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void *sv_strmap_get_pair(const struct sv_strmap *m, const char *a, const char *b)
{
	size_t i = sv_strmap_lower_pair(m, a, b);

	return i < m->n && compare_pair(m->entries[i].key, a, b) == 0 ? m->entries[i].value : NULL;
}

int sv_strmap_put(struct sv_strmap *m, const char *key, void *value)
{
	size_t i = sv_strmap_lower(m, key);

	if (found(m, i, key)) {
		m->entries[i] = (struct sv_strmap_entry){ key, value };
		return 0;
	}
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 8;
		struct sv_strmap_entry *p = reallocarray(m->entries, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->entries = p;
		m->cap = cap;
	}
	memmove(m->entries + i + 1, m->entries + i, (m->n - i) * sizeof(*m->entries));
	m->entries[i] = (struct sv_strmap_entry){ key, value };
	m->n++;
	return 0;
}

void *sv_strmap_remove(struct sv_strmap *m, const char *key)
{
	size_t i = sv_strmap_lower(m, key);
	void *value;

	if (!found(m, i, key))
		return NULL;
	value = m->entries[i].value;
	memmove(m->entries + i, m->entries + i + 1, (m->n - i - 1) * sizeof(*m->entries));
	m->n--;
	return value;
}

void sv_strmap_done(struct sv_strmap *m)
{
	free(m->entries);
	*m = (struct sv_strmap){ NULL, 0, 0 };
}
