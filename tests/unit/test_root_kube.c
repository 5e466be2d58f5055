/* SPDX-License-Identifier: Apache-2.0 */
/* The Kubernetes source on good days: what is asked, what is mounted, what goes. */
#include <string.h>

#include "kube_place.h"

#define N_MANY 1234

static const struct k_opts by_namespace = { .by_namespace = true };

static size_t lists(const char *kind, const char *name)
{
	return t_api_count(k_api, "list", kind, name);
}

static size_t watches(const char *kind, const char *name)
{
	return t_api_count(k_api, "watch", kind, name);
}

static size_t n_pods(void)
{
	return k_manager.desired.pods[SV_ORIGIN_API].n;
}

static bool knows(const char *name)
{
	return sv_desired_secret(&k_manager.desired, SV_ORIGIN_API, "default", name) != NULL;
}

static void put_env_pod(const char *name, const char *secret)
{
	sv_autofree char *json = sv_asprintf(
		"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"nodeName\":\"" K_NODE
		"\",\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"env\":[{\"name\":\"V\",\"valueFrom\":"
		"{\"secretKeyRef\":{\"name\":\"%s\",\"key\":\"k\"}}}]}]},\"status\":{\"phase\":\"Running\"}}",
		name, secret);

	t_api_put(k_api, json);
}

/* A Pod with a volume "v" of that Secret, which a container mounts if @used. */
static void put_plain_pod(const char *name, const char *secret, bool used)
{
	sv_autofree char *json = sv_asprintf(
		"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"nodeName\":\"" K_NODE
		"\",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"%s\"}}],"
		"\"containers\":[{\"name\":\"c\",\"image\":\"i\"%s}]}}",
		name, secret,
		used ? ",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]" : "");

	t_api_put(k_api, json);
}

/* One Secret, one Pod, mounted. */
static void start_with_web(const struct k_opts *opts)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_start(opts);
	k_until(k_has("web/v", "Published") && t_api_n_watches(k_api) == 2);
}

/* ---- Pods ---------------------------------------------------------------------------------- */

START_TEST(a_pod_of_this_node_gets_its_secret)
{
	t_api_put_secret(k_api, "db", "user=me password=39528$vdg7Jb");
	t_api_put_pod(k_api, "web", K_NODE, "creds=db");
	t_api_put_pod(k_api, "other", "node-b", "creds=db");
	k_start(NULL);
	k_until(k_has("web/creds", "Published"));
	ck_assert_str_eq(k_file("web/creds/password"), "39528$vdg7Jb");
	ck_assert_str_eq(k_state("other/creds"), "");
	ck_assert_uint_eq(k_mounts(), 1);
	ck_assert_uint_eq(k_problems(), 0);
	ck_assert(k_is_up());
}
END_TEST

START_TEST(a_pod_that_comes_later_gets_its_secret)
{
	t_api_put_secret(k_api, "db", "k=1");
	k_start(NULL);
	k_until(t_api_n_watches(k_api) == 1);
	t_api_put_pod(k_api, "web", NULL, "v=db");
	k_pass(K_SECOND);
	ck_assert_str_eq(k_state("web/v"), ""); /* not bound */
	t_api_edit(k_api, "pods", "web", "{\"spec\":{\"nodeName\":\"" K_NODE "\"}}");
	k_until(k_has("web/v", "Published"));
	ck_assert_uint_eq(lists("pods", NULL), 1);
}
END_TEST

START_TEST(volumes_go_when_their_pod_goes)
{
	start_with_web(NULL);
	t_api_delete(k_api, "pods", "web");
	k_until(k_mounts() == 0 && !*k_state("web/v"));
	ck_assert_uint_eq(n_pods(), 0);
}
END_TEST

static const struct {
	const char *patch;
	bool stays;
} phases[] = {
	{ "{\"status\":{\"phase\":\"Succeeded\"}}", false },
	{ "{\"status\":{\"phase\":\"Failed\"}}", false },
	{ "{\"status\":{\"phase\":\"Pending\"}}", true },
	{ "{\"status\":{\"phase\":\"Unknown\"}}", true },
	{ "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"status\":{"
	  "\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"running\":{}}}]}}",
	  true },
	{ "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"status\":{"
	  "\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"terminated\":{\"exitCode\":0}}}]}}",
	  false },
	{ "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", true },
};

START_TEST(volumes_go_when_their_pod_is_terminated)
{
	start_with_web(NULL);
	t_api_edit(k_api, "pods", "web", phases[_i].patch);
	k_pass(K_MINUTE);
	ck_assert_uint_eq(k_mounts(), phases[_i].stays);
	ck_assert_uint_eq(t_api_n_watches(k_api), 1 + phases[_i].stays);
}
END_TEST

START_TEST(a_pod_that_is_deleted_with_time_to_end_keeps_its_volumes_until_then)
{
	start_with_web(NULL);
	t_api_terminate(k_api, "web");
	k_pass(K_MINUTE);
	ck_assert_uint_eq(k_mounts(), 1);
	t_api_delete(k_api, "pods", "web");
	k_until(k_mounts() == 0);
}
END_TEST

START_TEST(a_pod_of_the_same_name_gets_a_volume_of_its_own)
{
	sv_autofree char *before = NULL;

	start_with_web(NULL);
	before = t_link(t_dirfd, "root/by-name/default/web/v");
	t_api_delete(k_api, "pods", "web");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_pass(K_MINUTE);
	{
		sv_autofree char *after = t_link(t_dirfd, "root/by-name/default/web/v");

		ck_assert_str_eq(k_file("web/v/k"), "1");
		ck_assert_str_ne(before, after);
		ck_assert_uint_eq(k_mounts(), 1);
	}
}
END_TEST

START_TEST(pods_of_other_nodes_are_left_alone_whoever_tells_of_them)
{
	start_with_web(NULL);
	t_api_watch_event(
		k_api, "pods", NULL, "ADDED",
		"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\",\"namespace\":\"default\",\"uid\":\"u\","
		"\"resourceVersion\":\"5000\"},\"spec\":{\"nodeName\":\"node-b\",\"containers\":[{"
		"\"name\":\"c\",\"image\":\"i\"}]}}");
	k_quiet();
	ck_assert_uint_eq(n_pods(), 1);
}
END_TEST

START_TEST(a_pod_that_cannot_be_used_harms_no_other)
{
	t_api_put(
		k_api,
		"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"bad\"},\"spec\":{\"nodeName\":\"" K_NODE
		"\",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"db\",\"items\":[{"
		"\"key\":\"k\",\"path\":\"../x\"}]}}],\"containers\":[{\"name\":\"c\",\"image\":"
		"\"i\",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]}]}}");
	start_with_web(NULL);
	t_contains(k_problem("Pod", "bad"), "InvalidPod: ");
	ck_assert_uint_eq(k_problems(), 1);
	t_api_delete(k_api, "pods", "bad");
	k_until(k_problems() == 0);
}
END_TEST

/* ---- lists and watches --------------------------------------------------------------------- */

START_TEST(the_first_list_may_be_of_any_age_and_a_watch_goes_on_from_it)
{
	const struct t_api_req *list, *watch;

	start_with_web(NULL);
	list = t_api_find(k_api, "list", "pods", NULL);
	watch = t_api_find(k_api, "watch", "pods", NULL);
	ck_assert_str_eq(t_api_query(list, "resourceVersion"), "0");
	ck_assert_str_eq(t_api_query(list, "fieldSelector"), "spec.nodeName=" K_NODE);
	ck_assert_str_eq(t_api_query(watch, "allowWatchBookmarks"), "true");
	ck_assert_ptr_nonnull(t_api_query(watch, "resourceVersion"));
	ck_assert_ptr_nonnull(t_api_query(watch, "timeoutSeconds"));
	ck_assert_uint_eq(lists("pods", NULL), 1);
	list = t_api_find(k_api, "list", "secrets", "db");
	ck_assert_ptr_nonnull(list);
	ck_assert_ptr_null(t_api_query(list, "resourceVersion")); /* from the store */
	ck_assert_uint_eq(lists("secrets", NULL), 1);
}
END_TEST

START_TEST(many_pods_are_listed_in_pages)
{
	size_t i;

	for (i = 0; i < N_MANY; i++) {
		sv_autofree char *name = sv_asprintf("p%zu", i);

		t_api_put_pod(k_api, name, K_NODE, "");
	}
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_pod(k_api, "zz", K_NODE, "v=db");
	k_start(NULL);
	k_until(n_pods() == N_MANY + 1 && k_has("zz/v", "Published"));
	t_api_clear_log(k_api);
	t_api_watch_cut(k_api, "pods", NULL, T_API_RST);
	t_api_delete(k_api, "pods", "p77");
	k_source->reload(k_source);
	k_pass(K_SECOND);
	ck_assert_uint_eq(lists("pods", NULL), 3);
	ck_assert_uint_eq(n_pods(), N_MANY);
	for (i = 0; i < t_api_n_requests(k_api); i++) {
		const struct t_api_req *req = t_api_request(k_api, i);

		if (strcmp(req->verb, "list") == 0 && strcmp(req->kind, "pods") == 0)
			ck_assert_str_eq(t_api_query(req, "limit"), "500");
	}
	ck_assert_uint_eq(k_mounts(), 1);
}
END_TEST

START_TEST(a_continue_token_that_expired_begins_the_list_anew)
{
	size_t i;

	for (i = 0; i < 600; i++) {
		sv_autofree char *name = sv_asprintf("p%zu", i);

		t_api_put_pod(k_api, name, K_NODE, "");
	}
	k_start(NULL);
	k_until(n_pods() == 600);
	k_until(t_api_n_watches(k_api) == 1);
	t_api_clear_log(k_api);
	t_api_fault(k_api, &(struct t_api_fault){ .what = T_API_STATUS,
						  .verb = "list",
						  .kind = "pods",
						  .skip = 1,
						  .status = 410 });
	k_source->reload(k_source);
	k_pass(K_SECOND);
	ck_assert_uint_eq(lists("pods", NULL), 4);
	ck_assert_uint_eq(t_api_n_watches(k_api), 1);
	ck_assert_uint_eq(n_pods(), 600);
}
END_TEST

START_TEST(a_bookmark_moves_the_version_that_a_watch_goes_on_from)
{
	sv_autofree char *version = NULL;

	start_with_web(NULL);
	t_api_set_version(k_api, 5000);
	t_api_put_pod(k_api, "other", "node-b", "");
	version = sv_asprintf("%llu", (unsigned long long)t_api_version(k_api));
	ck_assert_uint_eq(t_api_bookmark(k_api, "pods", NULL, t_api_version(k_api)), 1);
	k_quiet();
	t_api_clear_log(k_api);
	t_api_compact(k_api, t_api_version(k_api));
	t_api_watch_end(k_api, "pods", NULL);
	k_pass(K_SECOND);
	ck_assert_str_eq(t_api_query(t_api_find(k_api, "watch", "pods", NULL), "resourceVersion"),
			 version);
	k_pass(K_MINUTE);
	ck_assert_uint_eq(lists(NULL, NULL), 0);
}
END_TEST

START_TEST(a_watch_that_reached_its_time_goes_on_where_it_was)
{
	start_with_web(NULL);
	t_api_clear_log(k_api);
	k_pass(30 * K_MINUTE); /* the server ends them after 5 to 10 minutes */
	ck_assert_uint_ge(watches("pods", NULL), 3);
	ck_assert_uint_ge(watches("secrets", "db"), 3);
	ck_assert_uint_le(watches(NULL, NULL), 12);
	ck_assert_uint_eq(lists(NULL, NULL), 0);
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/v/k", "2"));
}
END_TEST

/* ---- after a restart ----------------------------------------------------------------------- */

START_TEST(what_is_mounted_and_still_wanted_needs_no_second_list)
{
	start_with_web(NULL);
	k_stop();
	ck_assert_uint_eq(k_mounts(), 1);
	t_api_clear_log(k_api);
	k_start(NULL);
	k_until(k_has("web/v", "Published"));
	k_pass(K_SECOND);
	ck_assert_uint_eq(lists("pods", NULL), 1);
	ck_assert_uint_eq(k_mounts(), 1);
}
END_TEST

START_TEST(what_is_mounted_and_unaccounted_for_goes_after_a_list_from_the_store)
{
	start_with_web(NULL);
	k_stop();
	t_api_delete(k_api, "pods", "web");
	t_api_clear_log(k_api);
	k_start(NULL);
	k_until(k_mounts() == 0);
	ck_assert_uint_eq(lists("pods", NULL), 2);
	ck_assert_ptr_null(t_api_query(t_api_find(k_api, "list", "pods", NULL), "resourceVersion"));
}
END_TEST

START_TEST(nothing_is_unmounted_on_the_word_of_a_list_of_any_age)
{
	start_with_web(NULL);
	k_stop();
	t_api_fault(
		k_api,
		&(struct t_api_fault){
			.what = T_API_STATUS,
			.verb = "list",
			.kind = "pods",
			.status = 200,
			.body = "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"95\"},"
				"\"items\":[]}" });
	k_start(NULL);
	k_until(k_has("web/v", "Published"));
	ck_assert_uint_eq(k_manager.actuals.records.n, 1);
	ck_assert_uint_eq(t_api_n_faults(k_api), 0);
	k_pass(K_MINUTE);
	ck_assert_uint_eq(k_mounts(), 1);
	ck_assert_uint_eq(k_removals(), 0);
}
END_TEST

START_TEST(nothing_is_unmounted_before_the_server_has_answered)
{
	start_with_web(NULL);
	k_stop();
	t_api_down(k_api);
	t_api_delete(k_api, "pods", "web");
	k_start(NULL);
	k_pass(30 * K_MINUTE);
	ck_assert_uint_eq(k_mounts(), 1);
	t_api_up(k_api);
	k_until(k_mounts() == 0);
}
END_TEST

/* ---- Secrets ------------------------------------------------------------------------------- */

START_TEST(a_secret_is_watched_once_for_as_long_as_somebody_mounts_it)
{
	start_with_web(NULL);
	t_api_put_pod(k_api, "two", K_NODE, "a=db b=db");
	k_until(k_has("two/a", "Published") && k_has("two/b", "Published"));
	ck_assert_uint_eq(t_api_n_watches(k_api), 2);
	ck_assert_uint_eq(lists("secrets", "db"), 1);
	t_api_delete(k_api, "pods", "web");
	k_until(k_mounts() == 2);
	k_pass(K_SECOND);
	ck_assert_uint_eq(t_api_n_watches(k_api), 2);
	t_api_delete(k_api, "pods", "two");
	k_until(t_api_n_watches(k_api) == 1);
	k_until(k_mounts() == 0);
	ck_assert(!knows("db"));
	t_api_put_secret(k_api, "db", "k=2");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_until(k_holds("web/v/k", "2"));
	k_until(t_api_n_watches(k_api) == 2);
	ck_assert_uint_eq(lists("secrets", "db"), 2);
}
END_TEST

START_TEST(changes_of_a_secret_reach_its_volumes)
{
	start_with_web(NULL);
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/v/k", "2"));
	t_api_delete(k_api, "secrets", "db");
	k_until(k_has("web/v", "Stale SecretNotFound"));
	ck_assert_str_eq(k_file("web/v/k"), "2");
	t_api_put_secret(k_api, "db", "k=3");
	k_until(k_holds("web/v/k", "3") && k_has("web/v", "Published"));
	ck_assert_uint_eq(lists("secrets", NULL), 1);
}
END_TEST

START_TEST(a_secret_that_does_not_exist_yet_is_waited_for)
{
	t_api_put_pod(k_api, "web", K_NODE, "v=db o=gone?");
	k_start(NULL);
	k_until(k_has("web/v", "Refused SecretNotFound") && k_has("web/o", "Published"));
	t_contains(k_message("web/v"), "secret \"db\" not found");
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "gone", "k=2");
	k_until(k_holds("web/v/k", "1") && k_holds("web/o/k", "2"));
}
END_TEST

START_TEST(a_name_that_no_secret_can_have_is_not_asked_for)
{
	put_plain_pod("odd", "../../nodes?x=", true);
	start_with_web(NULL);
	k_pass(K_MINUTE);
	ck_assert(!k_has("odd/v", "Published"));
	ck_assert_uint_eq(t_api_count(k_api, NULL, "secrets", NULL), 2);
	ck_assert_uint_eq(t_api_count(k_api, NULL, "", NULL), 0);
}
END_TEST

START_TEST(a_secret_that_is_invalid_is_told_of_and_its_last_good_version_stays)
{
	start_with_web(NULL);
	t_api_edit(k_api, "secrets", "db", "{\"data\":{\"bad key\":\"MQ==\"}}");
	k_until(*k_problem("Secret", "db"));
	t_contains(k_problem("Secret", "db"), "InvalidSecret: ");
	ck_assert_str_eq(k_file("web/v/k"), "1");
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/v/k", "2") && k_problems() == 0);
}
END_TEST

START_TEST(values_that_were_not_kept_are_asked_for_again)
{
	const struct k_opts never = { .keep = SV_KEEP_NEVER };

	start_with_web(&never);
	k_pass(K_SECOND);
	t_api_clear_log(k_api);
	t_api_put_pod(k_api, "two", K_NODE, "v=db");
	k_until(k_holds("two/v/k", "1"));
	ck_assert_uint_eq(lists("secrets", "db"), 1);
	k_pass(K_SECOND);
	t_api_down(k_api);
	k_until(!k_is_up());
	t_api_up(k_api);
	k_until(k_is_up());
	ck_assert_uint_eq(k_mounts(), 2);
}
END_TEST

START_TEST(values_that_were_not_kept_reach_pods_that_come_faster_than_they_are_listed)
{
	const struct k_opts never = { .keep = SV_KEEP_NEVER };
	int i;

	start_with_web(&never);
	k_pass(K_SECOND);
	t_api_clear_log(k_api);
	t_api_fault(k_api, &(struct t_api_fault){ .what = T_API_LATE,
						  .verb = "list",
						  .kind = "secrets",
						  .every_ms = 500,
						  .forever = true });
	for (i = 0; i < 10; i++) {
		sv_autofree char *name = sv_asprintf("p%d", i);

		t_api_put_pod(k_api, name, K_NODE, "v=db");
		k_pass(300);
		ck_assert(i < 3 || k_holds("p0/v/k", "1"));
	}
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("p9/v/k", "2") && k_holds("web/v/k", "2"));
	ck_assert_uint_le(lists("secrets", "db"), 8);
}
END_TEST

/* ---- environments -------------------------------------------------------------------------- */

START_TEST(a_secret_of_an_environment_is_read_when_somebody_asks)
{
	t_api_put_secret(k_api, "db", "k=1");
	put_env_pod("job", "db");
	k_start(NULL);
	k_until(n_pods() == 1);
	k_pass(K_MINUTE);
	ck_assert_uint_eq(t_api_count(k_api, NULL, "secrets", NULL), 0);
	ck_assert_str_eq(k_env("job", "V"), "1");
	k_pass(K_SECOND);
	ck_assert(!knows("db"));
	t_api_put_secret(k_api, "db", "k=2");
	ck_assert_str_eq(k_env("job", "V"), "2");
	ck_assert_uint_eq(lists("secrets", "db"), 2);
	ck_assert_uint_eq(watches("secrets", NULL), 0);
	t_api_delete(k_api, "secrets", "db");
	ck_assert_str_eq(k_env("job", "V"), "?secret \"db\" not found");
	ck_assert_uint_eq(t_api_n_watches(k_api), 1);
}
END_TEST

START_TEST(an_environment_takes_what_a_volume_has_watched)
{
	start_with_web(NULL);
	put_env_pod("job", "db");
	k_until(n_pods() == 2);
	ck_assert_str_eq(k_env("job", "V"), "1");
	t_api_put_secret(k_api, "db", "k=2");
	k_until(k_holds("web/v/k", "2"));
	ck_assert_str_eq(k_env("job", "V"), "2");
	ck_assert_uint_eq(lists("secrets", "db"), 1);
	t_api_delete(k_api, "pods", "web");
	k_until(t_api_n_watches(k_api) == 1);
	ck_assert_str_eq(k_env("job", "V"), "2");
	ck_assert_uint_eq(lists("secrets", "db"), 2);
}
END_TEST

static void ignore(void *arg)
{
	(void)arg;
}

START_TEST(a_secret_that_is_mounted_while_an_environment_holds_it_is_watched_then)
{
	struct sv_env_lease lease;

	t_api_put_secret(k_api, "db", "k=1");
	put_env_pod("job", "db");
	k_start(NULL);
	k_until(n_pods() == 1);
	ck_assert_int_eq(sv_manager_lease(&k_manager, "default", "job", NULL, ignore, NULL, &lease),
			 0);
	k_until(knows("db"));
	k_pass(K_SECOND);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_until(k_has("web/v", "Published"));
	ck_assert_str_eq(k_file("web/v/k"), "2");
	sv_manager_release(&lease);
	k_pass(K_SECOND);
	ck_assert_uint_eq(t_api_n_watches(k_api), 2);
	t_api_put_secret(k_api, "db", "k=3");
	k_until(k_holds("web/v/k", "3"));
}
END_TEST

START_TEST(a_volume_that_comes_into_use_while_an_environment_holds_its_secret_is_kept_up_to_date)
{
	struct sv_env_lease lease;

	t_api_put_secret(k_api, "db", "k=1");
	put_env_pod("job", "db");
	put_plain_pod("web", "db", false);
	k_start(NULL);
	k_until(n_pods() == 2);
	ck_assert_int_eq(sv_manager_lease(&k_manager, "default", "job", NULL, ignore, NULL, &lease),
			 0);
	k_until(knows("db"));
	k_pass(K_SECOND);
	t_api_put_secret(k_api, "db", "k=2");
	t_api_edit(k_api, "pods", "web",
		   "{\"spec\":{\"ephemeralContainers\":[{\"name\":\"e\",\"image\":\"i\","
		   "\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]}]}}");
	k_until(k_has("web/v", "Published"));
	ck_assert_str_eq(k_file("web/v/k"), "2");
	sv_manager_release(&lease);
	k_until(t_api_n_watches(k_api) == 2);
	t_api_put_secret(k_api, "db", "k=3");
	k_until(k_holds("web/v/k", "3"));
}
END_TEST

/* ---- immutable Secrets --------------------------------------------------------------------- */

static void start_immutable(const struct k_opts *opts)
{
	t_api_put_secret(k_api, "db", "k=1 !immutable");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_start(opts);
	k_until(k_has("web/v", "Published"));
	k_pass(K_SECOND);
}

static void make_anew(const char *keys)
{
	t_api_delete(k_api, "secrets", "db");
	t_api_put_secret(k_api, "db", keys);
}

START_TEST(an_immutable_secret_is_not_watched_once_it_was_read)
{
	start_immutable(NULL);
	ck_assert_uint_eq(t_api_n_watches(k_api), 1);
	ck_assert_uint_eq(watches("secrets", NULL), 0);
	k_pass(30 * K_MINUTE);
	ck_assert_uint_eq(lists("secrets", NULL), 1);
}
END_TEST

START_TEST(a_secret_that_becomes_immutable_is_no_longer_watched)
{
	start_with_web(NULL);
	t_api_edit(k_api, "secrets", "db", "{\"immutable\":true}");
	k_until(t_api_n_watches(k_api) == 1);
	k_pass(30 * K_MINUTE);
	ck_assert_uint_eq(watches("secrets", NULL), 1);
	ck_assert_str_eq(k_file("web/v/k"), "1");
}
END_TEST

START_TEST(an_immutable_secret_made_anew_is_seen_by_pods_that_start_later)
{
	start_immutable(NULL);
	make_anew("k=2 !immutable");
	k_pass(K_MINUTE);
	t_api_put_pod(k_api, "two", K_NODE, "v=db");
	k_until(k_has("two/v", "Published"));
	ck_assert_str_eq(k_file("two/v/k"), "2");
	k_pass(K_MINUTE);
	ck_assert_str_eq(k_file("web/v/k"), "1");
	ck_assert_str_eq(k_state("web/v"), "Published");
	ck_assert_uint_eq(lists("secrets", "db"), 2);
}
END_TEST

START_TEST(an_immutable_secret_made_anew_is_seen_by_a_pod_that_replaces_another)
{
	start_immutable(NULL);
	make_anew("k=2 !immutable");
	t_api_put_pod(k_api, "two", K_NODE, "v=db"); /* in one packet: as many users as before */
	t_api_delete(k_api, "pods", "web");
	k_until(k_has("two/v", "Published") && k_mounts() == 1);
	ck_assert_str_eq(k_file("two/v/k"), "2");
}
END_TEST

START_TEST(an_immutable_secret_is_read_again_for_an_environment)
{
	start_immutable(NULL);
	put_env_pod("job", "db");
	k_until(n_pods() == 2);
	ck_assert_str_eq(k_env("job", "V"), "1");
	make_anew("k=2 !immutable");
	ck_assert_str_eq(k_env("job", "V"), "2");
	k_pass(K_MINUTE);
	ck_assert_str_eq(k_file("web/v/k"), "1");
	ck_assert_str_eq(k_state("web/v"), "Published");
}
END_TEST

START_TEST(a_change_of_a_pod_is_no_reason_to_read_an_immutable_secret_again)
{
	start_immutable(NULL);
	t_api_edit(k_api, "pods", "web", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	k_pass(K_MINUTE);
	ck_assert_uint_eq(lists("secrets", NULL), 1);
}
END_TEST

START_TEST(an_immutable_secret_that_was_made_mutable_is_watched_again)
{
	start_immutable(NULL);
	make_anew("k=2");
	t_api_put_pod(k_api, "two", K_NODE, "v=db");
	k_until(k_has("two/v", "Published") && t_api_n_watches(k_api) == 2);
	t_api_put_secret(k_api, "db", "k=3");
	k_until(k_holds("two/v/k", "3"));
	ck_assert_str_eq(k_file("web/v/k"), "1");
}
END_TEST

/* ---- by namespace -------------------------------------------------------------------------- */

START_TEST(by_namespace_one_watch_serves_all_secrets_of_a_namespace)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=2");
	t_api_put_secret(k_api, "unneeded", "k=3");
	t_api_put_secret(k_api, "prod/db", "k=4");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	t_api_put_pod(k_api, "prod/web", K_NODE, "v=db");
	k_start(&by_namespace);
	k_until(k_holds("web/a/k", "1") && k_holds("web/b/k", "2") && k_holds("prod/web/v/k", "4"));
	k_until(t_api_n_watches(k_api) == 3);
	ck_assert_uint_eq(lists("secrets", NULL), 2);
	ck_assert(!knows("unneeded")); /* what nobody names is not kept */
	t_api_put_secret(k_api, "unneeded", "k=5");
	t_api_put_secret(k_api, "tls", "k=6");
	k_until(k_holds("web/b/k", "6"));
	ck_assert(!knows("unneeded"));
	ck_assert_uint_eq(k_manager.desired.secrets[SV_ORIGIN_API].n, 3);
	t_api_delete(k_api, "pods", "prod/web");
	k_until(t_api_n_watches(k_api) == 2);
}
END_TEST

START_TEST(by_namespace_a_secret_that_comes_to_be_needed_is_asked_for)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "late", "k=2");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_start(&by_namespace);
	k_until(k_has("web/v", "Published") && t_api_n_watches(k_api) == 2);
	t_api_put_pod(k_api, "two", K_NODE, "v=late w=none");
	k_until(k_holds("two/v/k", "2") && k_has("two/w", "Refused SecretNotFound"));
	ck_assert_uint_eq(t_api_n_watches(k_api), 2);
	t_api_put_secret(k_api, "late", "k=3");
	t_api_put_secret(k_api, "none", "k=4");
	k_until(k_holds("two/v/k", "3") && k_holds("two/w/k", "4"));
	t_api_delete(k_api, "secrets", "late");
	k_until(k_has("two/v", "Stale SecretNotFound"));
}
END_TEST

/* The next list of Secrets takes seconds to arrive. */
static void drip_next_list(void)
{
	t_api_fault(k_api, &(struct t_api_fault){ .what = T_API_DRIP,
						  .verb = "list",
						  .kind = "secrets",
						  .bytes = 50,
						  .every_ms = 200 });
}

START_TEST(by_namespace_a_secret_that_the_list_has_passed_already_is_asked_for)
{
	t_api_put_secret(k_api, "a-late", "k=2");
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	drip_next_list();
	k_start(&by_namespace);
	k_until(lists("secrets", NULL) == 1);
	k_pass(2 * K_SECOND);
	ck_assert(!k_has("web/v", "Published")); /* it is still at it */
	t_api_put_pod(k_api, "two", K_NODE, "v=a-late");
	k_until(k_holds("two/v/k", "2") && k_holds("web/v/k", "1"));
	ck_assert_uint_eq(lists("secrets", NULL), 2);
}
END_TEST

/* A Secret changes, or goes, while a list of its own is on its way with what was before. */
static void change_what_is_asked_for(const char *keys)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "late", "k=2");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_start(&by_namespace);
	k_until(k_has("web/v", "Published") && t_api_n_watches(k_api) == 2);
	drip_next_list();
	t_api_put_pod(k_api, "two", K_NODE, "v=late");
	k_until(lists("secrets", "late") == 1);
	if (keys)
		t_api_put_secret(k_api, "late", keys);
	else
		t_api_delete(k_api, "secrets", "late");
}

/* What is asked for is old when it arrives: the watch of the namespace has told of a change since. */
static void overtake(const char *keys)
{
	change_what_is_asked_for(keys);
	k_quiet();
	ck_assert_uint_eq(lists("secrets", NULL), 2);
	k_pass(K_MINUTE);
}

START_TEST(by_namespace_a_list_that_a_change_has_overtaken_does_not_take_it_back)
{
	overtake("k=3");
	ck_assert_str_eq(k_file("two/v/k"), "3");
}
END_TEST

START_TEST(by_namespace_a_list_that_a_deletion_has_overtaken_does_not_take_it_back)
{
	overtake(NULL);
	ck_assert(k_has("two/v", "Refused SecretNotFound"));
}
END_TEST

START_TEST(by_namespace_a_name_that_no_secret_can_have_is_not_asked_for_after_the_list)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	drip_next_list();
	k_start(&by_namespace);
	k_until(lists("secrets", NULL) == 1);
	put_plain_pod("odd", "My_Secret", true);
	k_until(k_has("odd/v", "Refused SecretNotFound"));
	ck_assert(!k_has("web/v", "Published")); /* it is still at it */
	k_until(k_has("web/v", "Published"));
	k_pass(K_MINUTE);
	ck_assert(k_has("odd/v", "Refused SecretNotFound"));
	ck_assert_uint_eq(lists("secrets", NULL), 1);
}
END_TEST

START_TEST(by_namespace_a_secret_that_vanished_while_nobody_watched_is_missed)
{
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "tls", "k=2");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=tls");
	k_start(&by_namespace);
	k_until(k_mounts() == 2 && t_api_n_watches(k_api) == 2);
	t_api_down(k_api);
	k_until(!k_is_up());
	t_api_delete(k_api, "secrets", "db");
	t_api_put_secret(k_api, "tls", "k=3");
	t_api_compact(k_api, 0);
	t_api_up(k_api);
	k_until(k_has("web/a", "Stale SecretNotFound") && k_holds("web/b/k", "3"));
}
END_TEST

static const bool set_back_after_bookmarks[] = { false, true };

START_TEST(by_namespace_a_server_that_was_set_back_is_followed_for_what_was_asked_for)
{
	uint64_t backup;

	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "late", "k=2");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_start(&by_namespace);
	k_until(k_has("web/v", "Published") && t_api_n_watches(k_api) == 2);
	backup = t_api_put_pod(k_api, "two", K_NODE, "v=late");
	t_api_set_version(k_api, 9000); /* which is the version of the list */
	k_until(k_holds("two/v/k", "2"));
	ck_assert_uint_eq(lists("secrets", "late"), 1);
	if (set_back_after_bookmarks[_i]) { /* then watches know it, too */
		t_api_bookmark(k_api, "pods", NULL, 9000);
		t_api_bookmark(k_api, "secrets", NULL, 9000);
		k_quiet();
	}
	t_api_restore(k_api, backup);
	k_until(k_is_up() && t_api_n_watches(k_api) == 2);
	t_api_put_secret(k_api, "late", "k=3");
	k_until(k_holds("two/v/k", "3"));
}
END_TEST

/* The change is not told by the watch, but by the next list. */
static const char *const relisted[] = { "k=3", NULL };

START_TEST(by_namespace_a_list_of_its_own_does_not_take_back_what_the_namespaces_told)
{
	const char *keys = relisted[_i];

	change_what_is_asked_for(keys);
	k_source->reload(k_source);
	k_until(t_api_n_watches(k_api) == 2);
	k_pass(K_MINUTE);
	ck_assert_uint_eq(lists("secrets", "late"), 1);
	ck_assert_str_eq(k_file("two/v/k"), keys ? "3" : "");
	ck_assert(keys || k_has("two/v", "Refused SecretNotFound"));
}
END_TEST

/* A server that lags behind: its watch of a namespace is silent and then too old, its list is @items. */
struct laggard {
	struct t_api_req *watch;
	char *list;
};

static bool lag(void *arg, struct t_api_req *req)
{
	struct laggard *l = arg;

	if (strcmp(req->kind, "secrets") != 0 || req->name)
		return false;
	if (strcmp(req->verb, "watch") == 0 && !l->watch) {
		l->watch = req;
		t_api_begin(req, 200, NULL);
		return true;
	}
	if (strcmp(req->verb, "list") != 0)
		return false;
	t_api_reply(req, 200, NULL, l->list, strlen(l->list));
	return true;
}

/* What a list that lags does not know yet came before it, or comes after it. */
static const struct t_api_fault own_lists[] = {
	{ .what = T_API_LATE, .name = "late", .every_ms = 1 },
	{ .what = T_API_LATE, .name = "late", .every_ms = 5000 },
};

START_TEST(by_namespace_a_list_that_lags_behind_a_secret_of_its_own_is_caught_up_with)
{
	static const char expired[] =
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n";
	sv_autofree char *db = NULL;
	struct laggard l = { 0 };

	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	k_start(&by_namespace);
	k_until(k_has("web/v", "Published") && t_api_n_watches(k_api) == 2);
	db = t_api_get(k_api, "secrets", "db");
	l.list = sv_asprintf("{\"items\":[%s],\"metadata\":{\"resourceVersion\":\"%llu\"}}", db,
			     (unsigned long long)t_api_version(k_api));
	t_api_handle(k_api, lag, &l);
	t_api_watch_end(k_api, "secrets", NULL);
	k_until(l.watch);
	t_api_put_secret(k_api, "late", "k=2");
	t_api_fault(k_api, &own_lists[_i]);
	t_api_put_pod(k_api, "two", K_NODE, "v=late");
	k_until(_i ? lists("secrets", "late") == 1 : k_holds("two/v/k", "2"));
	t_api_fault(k_api, &(struct t_api_fault){ .what = T_API_LATE,
						  .verb = "watch",
						  .kind = "secrets",
						  .every_ms = 8000 });
	t_api_send(l.watch, expired, strlen(expired));
	t_api_end(l.watch);
	k_until(t_api_n_watches(k_api) == 2);
	k_pass(K_MINUTE);
	ck_assert(k_holds("two/v/k", "2"));
	ck_assert_str_eq(k_state("two/v"), "Published");
	free(l.list);
}
END_TEST

START_TEST(
	by_namespace_values_that_are_asked_for_while_a_list_is_read_do_not_make_their_secret_missing)
{
	const struct k_opts never = { .by_namespace = true, .keep = SV_KEEP_NEVER };

	t_api_put_secret(k_api, "a", "k=1");
	t_api_put_big_secret(k_api, "z", 3000);
	t_api_put_pod(k_api, "web", K_NODE, "v=a? w=z");
	k_start(&never);
	k_until(k_mounts() == 2 && t_api_n_watches(k_api) == 2);
	drip_next_list();
	k_source->reload(k_source);
	k_until(lists("secrets", NULL) == 2);
	k_pass(5 * K_SECOND); /* it has told of "a", and is at "z" */
	t_api_fault(k_api, &(struct t_api_fault){ .what = T_API_HANG, .name = "a" });
	t_api_put_pod(k_api, "two", K_NODE, "v=a");
	k_until(lists("secrets", "a") == 1);
	ck_assert_uint_eq(t_api_n_watches(k_api), 1); /* the list is not over */
	k_until(t_api_n_watches(k_api) == 2);
	k_quiet();
	ck_assert_str_eq(k_file("web/v/k"), "1");
}
END_TEST

START_TEST(by_namespace_environments_are_served_too)
{
	t_api_put_secret(k_api, "db", "k=1");
	put_env_pod("job", "db");
	k_start(&by_namespace);
	k_until(n_pods() == 1);
	ck_assert_str_eq(k_env("job", "V"), "1");
	k_pass(K_SECOND);
	ck_assert(!knows("db"));
	ck_assert_uint_eq(t_api_n_watches(k_api), 1);
	t_api_put_secret(k_api, "db", "k=2");
	ck_assert_str_eq(k_env("job", "V"), "2");
}
END_TEST

/* ---- two origins --------------------------------------------------------------------------- */

START_TEST(pods_and_secrets_of_a_manifest_do_not_mix_with_the_servers)
{
	sv_autosecret struct sv_secret *secret = t_secret("db", "k=manifest");
	sv_autopod struct sv_pod *pod = t_pod("default/web@m-1", "v=db");
	const struct sv_desired *d = &k_manager.desired;

	start_with_web(NULL);
	sv_manager_put_secret(&k_manager, SV_ORIGIN_MANIFEST, secret);
	sv_manager_put_pod(&k_manager, SV_ORIGIN_MANIFEST, pod);
	sv_manager_set_synced(&k_manager, SV_ORIGIN_MANIFEST);
	k_until(k_mounts() == 2);
	{
		sv_autofree char *text =
			t_read(t_dirfd, "root/pods/m-1/volumes/kubernetes.io~secret/v/k");

		ck_assert_str_eq(text, "manifest");
	}
	t_api_put_secret(k_api, "db", "k=2");
	k_until(sv_desired_secret(d, SV_ORIGIN_API, "default", "db")->generation == 2);
	k_quiet();
	{
		sv_autofree char *text =
			t_read(t_dirfd, "root/pods/m-1/volumes/kubernetes.io~secret/v/k");

		ck_assert_str_eq(text, "manifest");
	}
	t_api_delete(k_api, "secrets", "db");
	t_api_delete(k_api, "pods", "web");
	k_until(k_mounts() == 1);
	ck_assert_ptr_nonnull(sv_desired_secret(d, SV_ORIGIN_MANIFEST, "default", "db"));
}
END_TEST

START_TEST(of_two_pods_with_one_uid_the_first_keeps_its_volume)
{
	sv_autosecret struct sv_secret *secret = t_secret("db", "k=manifest");
	sv_autopod struct sv_pod *pod = t_pod("default/static@shared", "v=db");
	const struct k_opts always = { .keep = SV_KEEP_ALWAYS };

	t_api_put_secret(k_api, "db", "k=api");
	t_api_put(k_api,
		  "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"web\",\"uid\":\"shared\"},\"spec\":{"
		  "\"nodeName\":\"" K_NODE "\",\"volumes\":[{\"name\":\"v\",\"secret\":{"
		  "\"secretName\":\"db\"}}],\"containers\":[{\"name\":\"c\",\"image\":\"i\","
		  "\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]}]}}");
	k_start(&always);
	k_until(k_holds("web/v/k", "api"));
	sv_manager_put_secret(&k_manager, SV_ORIGIN_MANIFEST, secret);
	sv_manager_put_pod(&k_manager, SV_ORIGIN_MANIFEST, pod);
	k_pass(K_SECOND);
	ck_assert_uint_eq(k_mounts(), 1);
	ck_assert_str_eq(k_file("web/v/k"), "api");
	t_api_delete(k_api, "pods", "web");
	k_until(k_holds("static/v/k", "manifest"));
	ck_assert_uint_eq(k_mounts(), 1);
}
END_TEST

/* ---- once, reload, stop -------------------------------------------------------------------- */

static unsigned n_settled, n_stuck;

static void on_settled(void *arg)
{
	(void)arg;
	n_settled++;
}

static void on_stuck(void *arg)
{
	(void)arg;
	n_stuck++;
}

static const struct k_opts once = { .once = true, .on_settled = on_settled, .on_stuck = on_stuck };

START_TEST(once_is_over_when_every_volume_has_been_seen_to)
{
	n_settled = n_stuck = 0;
	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "a=db b=none");
	t_api_fault(k_api, &(struct t_api_fault){ .what = T_API_LATE,
						  .kind = "secrets",
						  .every_ms = 5 * K_SECOND,
						  .forever = true });
	k_start(&once);
	k_until(n_settled);
	ck_assert_uint_eq(n_settled, 1);
	ck_assert_uint_eq(n_stuck, 0);
	ck_assert(k_has("web/a", "Published") && k_has("web/b", "Refused SecretNotFound"));
}
END_TEST

START_TEST(once_does_not_wait_for_a_server_that_is_away)
{
	n_settled = n_stuck = 0;
	t_api_down(k_api);
	k_start(&once);
	k_until(n_stuck);
	ck_assert_uint_eq(n_settled, 0);
	t_contains(k_problem("", ""), "SourceUnavailable: ");
}
END_TEST

static const struct t_api_fault once_faults[] = {
	{ .what = T_API_STATUS, .status = 403, .kind = "pods", .forever = true },
	{ .what = T_API_STATUS, .status = 500, .kind = "pods", .forever = true },
	{ .what = T_API_STATUS, .status = 401, .forever = true },
	{ .what = T_API_REDIRECT, .body = "http://127.0.0.2:1/", .kind = "pods", .forever = true },
	{ .what = T_API_GARBAGE, .kind = "pods", .forever = true },
	{ .what = T_API_HALF, .kind = "pods", .forever = true },
	{ .what = T_API_HANG, .forever = true },
	{ .what = T_API_HANG_BODY, .kind = "pods", .forever = true },
	{ .what = T_API_CUT, .how = T_API_RST, .forever = true },
};

/* check_sources() of main.c asks for the problems then, and there has to be one */
START_TEST(once_does_not_wait_for_a_list_that_cannot_be_had)
{
	n_settled = n_stuck = 0;
	t_api_fault(k_api, &once_faults[_i]);
	k_start(&once);
	k_until(n_stuck && k_problems() > 0);
	ck_assert_uint_eq(n_settled, 0);
}
END_TEST

START_TEST(a_reload_reads_everything_again)
{
	start_with_web(NULL);
	t_api_clear_log(k_api);
	k_source->reload(k_source);
	k_until(lists("pods", NULL) == 1 && lists("secrets", "db") == 1 &&
		t_api_n_watches(k_api) == 2);
	ck_assert_ptr_null(t_api_query(t_api_find(k_api, "list", "pods", NULL), "resourceVersion"));
	k_pass(K_MINUTE);
	ck_assert_uint_eq(lists(NULL, NULL), 2);
	ck_assert_str_eq(k_file("web/v/k"), "1");
}
END_TEST

/* After so many turns of the loop. */
static void stop_after(int turns, const struct k_opts *opts)
{
	struct sv_env_lease lease = { 0 };
	int i;

	k_start(opts);
	for (i = 0; i < turns; i++)
		k_step(K_SECOND, NULL);
	if (n_pods() > 0)
		ck_assert_int_eq(
			sv_manager_lease(&k_manager, "default", "job", NULL, ignore, NULL, &lease),
			0);
	for (i = 0; i < turns % 3; i++)
		k_step(K_SECOND, NULL);
	sv_manager_release(&lease);
	k_stop();
}

static const struct t_api_fault stop_faults[] = {
	{ .what = T_API_LATE, .every_ms = 1, .forever = true },
	{ .what = T_API_HANG, .kind = "secrets", .forever = true },
	{ .what = T_API_HANG_BODY, .forever = true },
	{ .what = T_API_CUT, .how = T_API_RST, .forever = true },
	{ .what = T_API_HALF, .forever = true },
	{ .what = T_API_GARBAGE, .forever = true },
	{ .what = T_API_STATUS, .status = 401, .forever = true },
	{ .what = T_API_STATUS, .status = 403, .kind = "secrets", .forever = true },
	{ .what = T_API_DRIP, .bytes = 30, .every_ms = 1, .forever = true },
};

START_TEST(it_can_be_stopped_at_any_moment)
{
	int turns;

	t_api_put_secret(k_api, "db", "k=1");
	t_api_put_secret(k_api, "env", "k=1");
	t_api_put_pod(k_api, "web", K_NODE, "v=db");
	put_env_pod("job", "env");
	t_api_fault(k_api, &stop_faults[_i]);
	for (turns = 0; turns < 40; turns++)
		stop_after(turns, turns % 2 ? &by_namespace : NULL);
	ck_assert_uint_le(k_mounts(), 1);
}
END_TEST

T_SUITE(kube)
{
	T_AROUND(k_enter, k_leave);
	T_TEST(a_pod_of_this_node_gets_its_secret);
	T_TEST(a_pod_that_comes_later_gets_its_secret);
	T_TEST(volumes_go_when_their_pod_goes);
	T_EACH(volumes_go_when_their_pod_is_terminated, phases);
	T_TEST(a_pod_that_is_deleted_with_time_to_end_keeps_its_volumes_until_then);
	T_TEST(a_pod_of_the_same_name_gets_a_volume_of_its_own);
	T_TEST(pods_of_other_nodes_are_left_alone_whoever_tells_of_them);
	T_TEST(a_pod_that_cannot_be_used_harms_no_other);
	T_TEST(the_first_list_may_be_of_any_age_and_a_watch_goes_on_from_it);
	T_TEST(many_pods_are_listed_in_pages);
	T_TEST(a_continue_token_that_expired_begins_the_list_anew);
	T_TEST(a_bookmark_moves_the_version_that_a_watch_goes_on_from);
	T_TEST(a_watch_that_reached_its_time_goes_on_where_it_was);
	T_TEST(what_is_mounted_and_still_wanted_needs_no_second_list);
	T_TEST(what_is_mounted_and_unaccounted_for_goes_after_a_list_from_the_store);
	T_TEST(nothing_is_unmounted_on_the_word_of_a_list_of_any_age);
	T_TEST(nothing_is_unmounted_before_the_server_has_answered);
	T_TEST(a_secret_is_watched_once_for_as_long_as_somebody_mounts_it);
	T_TEST(changes_of_a_secret_reach_its_volumes);
	T_TEST(a_secret_that_does_not_exist_yet_is_waited_for);
	T_TEST(a_name_that_no_secret_can_have_is_not_asked_for);
	T_TEST(a_secret_that_is_invalid_is_told_of_and_its_last_good_version_stays);
	T_TEST(values_that_were_not_kept_are_asked_for_again);
	T_TEST(values_that_were_not_kept_reach_pods_that_come_faster_than_they_are_listed);
	T_TEST(a_secret_of_an_environment_is_read_when_somebody_asks);
	T_TEST(an_environment_takes_what_a_volume_has_watched);
	T_TEST(a_secret_that_is_mounted_while_an_environment_holds_it_is_watched_then);
	T_TEST(a_volume_that_comes_into_use_while_an_environment_holds_its_secret_is_kept_up_to_date);
	T_TEST(an_immutable_secret_is_not_watched_once_it_was_read);
	T_TEST(a_secret_that_becomes_immutable_is_no_longer_watched);
	T_TEST(an_immutable_secret_made_anew_is_seen_by_pods_that_start_later);
	T_TEST(an_immutable_secret_made_anew_is_seen_by_a_pod_that_replaces_another);
	T_TEST(an_immutable_secret_is_read_again_for_an_environment);
	T_TEST(a_change_of_a_pod_is_no_reason_to_read_an_immutable_secret_again);
	T_TEST(an_immutable_secret_that_was_made_mutable_is_watched_again);
	T_TEST(by_namespace_one_watch_serves_all_secrets_of_a_namespace);
	T_TEST(by_namespace_a_secret_that_comes_to_be_needed_is_asked_for);
	T_TEST(by_namespace_a_secret_that_the_list_has_passed_already_is_asked_for);
	T_TEST(by_namespace_a_list_that_a_change_has_overtaken_does_not_take_it_back);
	T_TEST(by_namespace_a_list_that_a_deletion_has_overtaken_does_not_take_it_back);
	T_TEST(by_namespace_a_name_that_no_secret_can_have_is_not_asked_for_after_the_list);
	T_TEST(by_namespace_a_secret_that_vanished_while_nobody_watched_is_missed);
	T_EACH(by_namespace_a_server_that_was_set_back_is_followed_for_what_was_asked_for,
	       set_back_after_bookmarks);
	T_EACH(by_namespace_a_list_of_its_own_does_not_take_back_what_the_namespaces_told,
	       relisted);
	T_EACH(by_namespace_a_list_that_lags_behind_a_secret_of_its_own_is_caught_up_with,
	       own_lists);
	T_TEST(by_namespace_values_that_are_asked_for_while_a_list_is_read_do_not_make_their_secret_missing);
	T_TEST(by_namespace_environments_are_served_too);
	T_TEST(pods_and_secrets_of_a_manifest_do_not_mix_with_the_servers);
	T_TEST(of_two_pods_with_one_uid_the_first_keeps_its_volume);
	T_TEST(once_is_over_when_every_volume_has_been_seen_to);
	T_TEST(once_does_not_wait_for_a_server_that_is_away);
	T_EACH(once_does_not_wait_for_a_list_that_cannot_be_had, once_faults);
	T_TEST(a_reload_reads_everything_again);
	T_EACH(it_can_be_stopped_at_any_moment, stop_faults);
}
