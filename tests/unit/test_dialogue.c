/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dialogue of a deployment with a script in the operator's place: what is asked in which order, what is
 * asked again, and that it can be left at every question. */
#include "deploy/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#define TOO_LONG "a line of more than ANSWER_SIZE"

struct script {
	const char *lines[40]; /* what is typed, up to a NULL: the end of the input */
	unsigned at, secrets;
	const char *refuse; /* learn() refuses this value once */
	bool further;	    /* what the storage says */
	char prompts[8192], said[16384];
};

static int ask(void *data, const char *prompt, bool secret, char *ret, size_t size)
{
	struct script *script = data;

	strncat(script->prompts, prompt, sizeof(script->prompts) - strlen(script->prompts) - 2);
	strcat(script->prompts, "\n");
	script->secrets += secret;
	if (!script->lines[script->at])
		return -ECANCELED;
	if (strcmp(script->lines[script->at], TOO_LONG) == 0) {
		script->at++;
		return -EMSGSIZE;
	}
	snprintf(ret, size, "%s", script->lines[script->at++]);
	return 0;
}

static void say(void *data, const char *line)
{
	struct script *script = data;

	strncat(script->said, line, sizeof(script->said) - strlen(script->said) - 2);
	strcat(script->said, "\n");
}

static int learn(void *data, enum answer which, struct answers *answers, char what[DIALOGUE_LINE_SIZE])
{
	struct script *script = data;

	if (script->refuse && strcmp(answer_get(answers, which), script->refuse) == 0) {
		script->refuse = NULL;
		strcpy(what, "the world says no");
		return -EINVAL;
	}
	if (which == ANSWER_STORAGE_FORCE)
		answers->further = script->further;
	if (which == ANSWER_APPLIANCE)
		return answer_suggest(answers, ANSWER_VCPUS, "2");
	return 0;
}

/* Two targets; of a server that is typed alone its exports, or why they are not known. */
static void offer(void *data, enum answer which, const struct answers *answers, const char *typed,
		  struct choices *ret)
{
	(void)data;
	(void)answers;
	if (which == ANSWER_IQN && !typed) {
		strcpy(ret->note, "Targets:");
		choices_add(ret, "iqn.2003-01.org.example:a", "a, 2 LUNs");
		choices_add(ret, "iqn.2003-01.org.example:b", "b, no LUN");
	}
	if (which == ANSWER_STORAGE && typed && strcmp(typed, "server") == 0) {
		strcpy(ret->note, "Exports:");
		choices_add(ret, "server:/export", "the export\n[ INFO  ] forged");
	}
	if (which == ANSWER_STORAGE && typed && strcmp(typed, "nowhere") == 0)
		strcpy(ret->note, "No list: no\nanswer");
}

static struct dialogue with(struct script *script)
{
	return (struct dialogue){.ask = ask, .say = say, .offer = offer, .learn = learn, .data = script};
}

static void suggest(struct answers *answers)
{
	answer_suggest(answers, ANSWER_MAC, "52:54:00:00:00:01");
	answer_suggest(answers, ANSWER_VMID, "5b2e4a5e-0000-4000-8000-000000000001");
	answer_suggest(answers, ANSWER_DOMAIN, "5b2e4a5e-0000-4000-8000-000000000002");
	answer_suggest(answers, ANSWER_BRIDGE, "br0");
	answer_suggest(answers, ANSWER_GATEWAY, "192.0.2.1");
}

/* A first host's whole dialogue. */
#define FIRST                                                                                                \
	"path", "/srv/shared", "", "", "engine.example.com", "/srv/a.ova", "", "", "", "", "", "secret", "", \
		"", "", "", ""

static void test_first_host(void **state)
{
	struct script script = {.lines = {FIRST}};
	const struct dialogue dialogue = with(&script);
	struct answers answers = {0};

	suggest(&answers);
	assert_int_equal(dialogue_run(&dialogue, &answers), 0);
	assert_null(script.lines[script.at]);
	assert_string_equal(answer_get(&answers, ANSWER_STORAGE), "/srv/shared");
	assert_string_equal(answer_get(&answers, ANSWER_BRIDGE), "br0");
	assert_string_equal(answer_get(&answers, ANSWER_VCPUS), "2");
	assert_string_equal(answer_get(&answers, ANSWER_ROOT_PASSWORD), "secret");
	assert_int_equal(script.secrets, 1);
	assert_non_null(
		strstr(script.prompts, "(nfs, nfs3, nfs4, glusterfs, iscsi, fc, posix, path)[nfs]: "));
	assert_non_null(strstr(script.prompts, "virtual CPUs for the VM[2]: "));
	assert_non_null(strstr(script.said, "--== STORAGE CONFIGURATION ==--"));
	assert_null(strstr(script.prompts, "Host ID"));

	script.lines[script.at] = "maybe";
	script.lines[script.at + 1] = "";
	assert_int_equal(dialogue_confirm(&dialogue, &answers), 0);
	assert_non_null(strstr(script.said, "engine.example.com"));
	assert_null(strstr(script.said, "secret"));
	answers_done(&answers);
}

static void test_further_host(void **state)
{
	struct script script = {.lines = {"nfs", "server:/export", "", "", "", "2"}, .further = true};
	const struct dialogue dialogue = with(&script);
	struct answers answers = {0};

	suggest(&answers);
	script.lines[3] = "2"; /* host id, bridge, gateway */
	script.lines[4] = script.lines[5] = "";
	assert_int_equal(dialogue_run(&dialogue, &answers), 0);
	assert_null(script.lines[script.at]);
	assert_string_equal(answer_get(&answers, ANSWER_HOST_ID), "2");
	assert_null(strstr(script.prompts, "FQDN"));
	answers_done(&answers);
}

static void test_chosen(void **state)
{
	static const struct {
		const char *name, *lines[12]; /* the last is of a question that ends it */
		enum answer which;
		const char *value, *said;
	} rows[] = {
		{"a target by its number",
		 {"iscsi", "192.0.2.1", "", "", "2"},
		 ANSWER_IQN,
		 "iqn.2003-01.org.example:b",
		 "Targets:\n  [1]  a, 2 LUNs\n  [2]  b, no LUN\n"},
		{"one that is not listed",
		 {"iscsi", "192.0.2.1", "", "", "iqn.2003-01.org.example:c"},
		 ANSWER_IQN,
		 "iqn.2003-01.org.example:c",
		 ""},
		{"a number of none is judged as text",
		 {"iscsi", "192.0.2.1", "", "", "3", "1"},
		 ANSWER_IQN,
		 "iqn.2003-01.org.example:a",
		 "'3' is"},
		{"what does not fit is asked for again",
		 {"iscsi", "192.0.2.1", "", "", TOO_LONG, TOO_LONG, "2"},
		 ANSWER_IQN,
		 "iqn.2003-01.org.example:b",
		 "too long"},
		{"a server's export",
		 {"nfs", "server", "1"},
		 ANSWER_STORAGE,
		 "server:/export",
		 "Exports:\n  [1]  the export?[ INFO  ] forged\nA number picks one"},
		{"a server without a list",
		 {"nfs", "nowhere", "nowhere:/export"},
		 ANSWER_STORAGE,
		 "nowhere:/export",
		 "No list: no?answer\n"},
		{"a list does not last",
		 {"nfs", "server", "nowhere", "1", "s:/1"},
		 ANSWER_STORAGE,
		 "s:/1",
		 ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct script script = {0};
		const struct dialogue dialogue = with(&script);
		struct answers answers = {0};

		memcpy(script.lines, rows[i].lines, sizeof(rows[i].lines));
		assert_int_equal(dialogue_run(&dialogue, &answers), -ECANCELED);
		if (script.lines[script.at] ||
		    strcmp(answer_get(&answers, rows[i].which), rows[i].value) != 0 ||
		    !strstr(script.said, rows[i].said))
			fail_msg("%s: %s\n%s", rows[i].name, answer_get(&answers, rows[i].which),
				 script.said);
		answers_done(&answers);
	}
}

static void test_left_anywhere(void **state)
{
	static const char *const all[] = {FIRST};
	const size_t n = sizeof(all) / sizeof(all[0]);

	for (size_t left = 0; left < n; left++) {
		struct script script = {0};
		const struct dialogue dialogue = with(&script);
		struct answers answers = {0};

		memcpy(script.lines, all, left * sizeof(all[0]));
		suggest(&answers);
		assert_int_equal(dialogue_run(&dialogue, &answers), -ECANCELED);
		assert_int_equal(script.at, left);
		answers_done(&answers);
	}
}

static void test_asked_again(void **state)
{
	struct script script = {.lines = {"nfs9",
					  "path",
					  "shared",
					  "/srv/wrong",
					  "path",
					  "/srv/shared",
					  "",
					  "",
					  "engine.example.com",
					  "/srv/a.ova",
					  "",
					  "0",
					  "128",
					  "",
					  "",
					  "",
					  "",
					  "",
					  "",
					  "",
					  "",
					  ""},
				.refuse = "/srv/wrong"};
	const struct dialogue dialogue = with(&script);
	struct answers answers = {0};

	suggest(&answers);
	assert_int_equal(dialogue_run(&dialogue, &answers), 0);
	assert_null(script.lines[script.at]);
	assert_string_equal(answer_get(&answers, ANSWER_STORAGE), "/srv/shared");
	assert_string_equal(answer_get(&answers, ANSWER_MEMORY), "128");
	assert_non_null(strstr(script.said, "'nfs9' is none of"));
	assert_non_null(strstr(script.said, "'shared' is not an absolute path"));
	assert_non_null(strstr(script.said, "the world says no"));
	assert_null(strstr(script.prompts, "[/srv/wrong]"));
	assert_non_null(strstr(script.said, "'0' is no whole number"));
	answers_done(&answers);
}

static void test_given_is_not_asked(void **state)
{
	struct script script = {.lines = {"/srv/a.ova", NULL}};
	struct dialogue dialogue = with(&script);
	struct answers answers = {0};

	suggest(&answers);
	answer_set(&answers, ANSWER_STORAGE_TYPE, "path");
	answer_set(&answers, ANSWER_STORAGE, "/srv/shared");
	answer_set(&answers, ANSWER_BRIDGE, "br0");
	answer_set(&answers, ANSWER_GATEWAY, "192.0.2.1");
	answer_set(&answers, ANSWER_FQDN, "engine.example.com");
	assert_int_equal(dialogue_run(&dialogue, &answers), -ECANCELED);
	assert_int_equal(strncmp(script.prompts, "Please specify the path of the engine's appliance", 49), 0);

	/* Nobody is there: what has no default is named. */
	dialogue.silent = true;
	answer_set(&answers, ANSWER_APPLIANCE, NULL);
	assert_int_equal(dialogue_run(&dialogue, &answers), -EINVAL);
	assert_non_null(strstr(script.said, "appliance: '' is needed"));
	answer_set(&answers, ANSWER_APPLIANCE, "/srv/a.ova");
	assert_int_equal(dialogue_run(&dialogue, &answers), 0);
	assert_int_equal(dialogue_confirm(&dialogue, &answers), 0);

	/* What the file says is judged as what is typed. */
	answer_set(&answers, ANSWER_MAC, "me");
	assert_int_equal(dialogue_run(&dialogue, &answers), -EINVAL);
	assert_non_null(strstr(script.said, "mac: 'me' is not a MAC"));
	answers_done(&answers);
}

static void test_refused(void **state)
{
	struct script script = {.lines = {"no", NULL}};
	const struct dialogue dialogue = with(&script);
	struct answers answers = {0};

	assert_int_equal(dialogue_confirm(&dialogue, &answers), -ECANCELED);
	assert_int_equal(dialogue_confirm(&dialogue, &answers), -ECANCELED);
	assert_int_equal(dialogue_yes(&dialogue, "?", false), -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_host),
		cmocka_unit_test(test_further_host),
		cmocka_unit_test(test_left_anywhere),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_given_is_not_asked),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
