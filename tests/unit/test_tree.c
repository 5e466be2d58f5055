/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/core/tree.h"

#include <json-c/json.h>
#include <string.h>

#include "../support/support.h"

START_TEST(a_tree_is_printed_on_one_line)
{
	t_autotree struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	sv_autofree char *text = NULL;

	sv_json_text(o, "text", "a/b");
	sv_json_text(o, "nothing", NULL);
	sv_json_int(o, "number", -3);
	sv_json_bool(o, "flag", true);
	sv_json_time(o, "time", 1000);
	sv_json_time(o, "never", 0);
	sv_json_append(list, json_object_new_object());
	sv_json_append(list, json_object_new_array());
	sv_json_append(list, json_object_new_double(0.5));
	sv_json_add(o, "list", list);
	text = sv_json_print(o);
	ck_assert_pstr_eq(text, "{\"text\":\"a/b\",\"nothing\":null,\"number\":-3,\"flag\":true,"
				"\"time\":\"1970-01-01T00:00:01Z\",\"never\":null,"
				"\"list\":[{},[],0.5]}");
}
END_TEST

START_TEST(every_byte_of_a_string_comes_back)
{
	char all[256];
	struct json_object *o = NULL, *again;
	sv_autofree char *text = NULL;
	size_t i;

	for (i = 0; i < 128; i++)
		all[i] = (char)i;
	memcpy(all + 128, "\xc3\xa9\xe2\x82\xac", 5);
	o = json_object_new_string_len(all, 133);
	text = sv_json_print(o);
	t_contains(text, "\\b\\t\\n\\u000b\\f\\r");
	t_contains(text, "\\\"");
	again = json_tokener_parse(text);
	ck_assert_int_eq(json_object_get_string_len(again), 133);
	ck_assert_int_eq(memcmp(json_object_get_string(again), all, 133), 0);
	json_object_put(o);
	json_object_put(again);
}
END_TEST

/* NULL is what a constructor returns for lack of memory. */
START_TEST(a_tree_that_lacks_something_has_no_text)
{
	t_autotree struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array(), *item = json_object_new_object();

	ck_assert_ptr_null(sv_json_line(NULL));
	ck_assert_ptr_null(sv_json_print(NULL));
	ck_assert(!sv_json_is_whole(NULL));
	sv_json_append(list, item);
	sv_json_add(o, "list", list);
	ck_assert(sv_json_is_whole(o));
	sv_json_add(item, "missing", NULL);
	ck_assert(!sv_json_is_whole(o));
	ck_assert_ptr_null(sv_json_print(o));
	sv_json_text(NULL, "key", "value"); /* nowhere to put it, and nothing to free twice */
	sv_json_append(NULL, json_object_new_object());
}
END_TEST

START_TEST(a_list_that_lacks_something_has_no_text)
{
	t_autotree struct json_object *list = json_object_new_array();

	sv_json_append(list, NULL);
	ck_assert_ptr_null(sv_json_print(list));
}
END_TEST

T_SUITE(tree)
{
	T_TEST(a_tree_is_printed_on_one_line);
	T_TEST(every_byte_of_a_string_comes_back);
	T_TEST(a_tree_that_lacks_something_has_no_text);
	T_TEST(a_list_that_lacks_something_has_no_text);
}
