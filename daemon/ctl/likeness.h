/* SPDX-License-Identifier: Apache-2.0 */
/* likeness - which of the words that exist did somebody mean? */
#ifndef SV_CTL_LIKENESS_H
#define SV_CTL_LIKENESS_H

#include <stddef.h>

struct sv_likeness {
	const char *word; /* as it was written; borrowed */
	const char *best; /* the candidate that is most like it, NULL while none is; borrowed */
	size_t distance;  /* of the best */
};

/* Consider a candidate: it becomes the best if it is like the word, and more so than those before. */
void sv_likeness_try(struct sv_likeness *l, const char *candidate);

#endif
