/* SPDX-License-Identifier: Apache-2.0 */
#include "likeness.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define WORD_MAX 253 /* characters of a key or name; longer ones are like nothing */
#define PART_MIN 3   /* characters: shorter words are part of too much */

/* Case and the kind of separator are what people remember least. */
static char fold(char c)
{
	return c == '_' || c == '.' ? '-' : (char)tolower((unsigned char)c);
}

static bool fold_word(const char *word, char ret[WORD_MAX + 1], size_t *len)
{
	size_t i;

	*len = strlen(word);
	if (*len == 0 || *len > WORD_MAX)
		return false;
	for (i = 0; i <= *len; i++)
		ret[i] = fold(word[i]);
	return true;
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that make one of the other. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *free_row, i, j;

	for (j = 0; j <= nb; j++)
		last[j] = before[j] = j;
	for (i = 1; i <= na; i++) {
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			row[j] = min(min(last[j], row[j - 1]) + 1,
				     last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min(row[j], before[j - 2] + 1);
		}
		free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[nb];
}

void sv_likeness_try(struct sv_likeness *l, const char *candidate)
{
	char a[WORD_MAX + 1], b[WORD_MAX + 1];
	size_t na, nb, limit, distance;

	if (!fold_word(l->word, a, &na) || !fold_word(candidate, b, &nb))
		return;
	limit = na > nb ? na : nb;
	limit = limit < 2 ? 0 : (limit + 1) / 3; /* a third may be wrong */
	distance = edit_distance(a, na, b, nb);
	if (distance > limit) { /* a part of the other is the least likeness there is */
		if (min(na, nb) < PART_MIN || !(strstr(a, b) || strstr(b, a)))
			return;
		distance += limit + WORD_MAX;
	}
	if (l->best && l->distance <= distance)
		return;
	l->best = candidate;
	l->distance = distance;
}
