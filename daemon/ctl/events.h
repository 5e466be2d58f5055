/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SV_CTL_EVENTS_H
#define SV_CTL_EVENTS_H

#include <json-c/json_object.h>

#include "ctl.h"

/* Sort the items of an EventList, newest last; those of one second keep their order. */
void sv_events_sort(struct json_object *list);

#endif
