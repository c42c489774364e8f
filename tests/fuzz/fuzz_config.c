/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a configuration file: what is taken has no byte that could not be written back, every problem
 * is one line that a terminal can show, and a refusal has at least one. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "broker/broker_conf.h"
#include "daemon/agent_conf.h"
#include "tests/fuzz/fuzz_target.h"

static void check_line(void *data, const char *line)
{
	assert(line[0] && strlen(line) < 1024);
	for (; *line; line++)
		assert(*line >= 0x20 && *line < 0x7f);
}

static void check_entries(const struct keyfile *file, size_t size)
{
	const char *section, *key, *value;
	struct keyfile *copy = NULL;
	size_t bytes = 0, i;
	unsigned line;

	assert(keyfile_new("copy", true, &copy) == 0);
	for (i = 0; keyfile_entry(file, i, &section, &key, &value, &line); i++) {
		assert(line > 0 && key[0]);
		bytes += strlen(key) + strlen(value) + 1;
		assert(keyfile_get(file, section, key) == value);
		assert(keyfile_set(copy, section, key, value) == 0);
		assert(strcmp(keyfile_get(copy, section, key), value) == 0);
	}
	assert(bytes <= size && i <= KEYFILE_KEYS_MAX);
	keyfile_free(copy);
}

static void apply(const struct settings *table, const struct keyfile *file, void *target)
{
	struct problems problems = {.say = check_line};
	int r;

	settings_defaults(table, target);
	r = settings_apply(table, file, target, &problems);
	assert(r == (problems.count ? -EINVAL : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct engine_conf engine;
	static struct agent_conf agent;
	static struct broker_conf broker;

	for (int sections = 0; sections < 2; sections++) {
		struct problems problems = {.say = check_line};
		struct keyfile *file = NULL;
		int r = keyfile_parse("f", (const char *)data, size, sections, &file, &problems);

		assert(r == (problems.count ? -EINVAL : 0) && (r == 0) == (file != NULL));
		if (!file)
			continue;
		check_entries(file, size);
		apply(&engine_settings, file, &engine);
		apply(&agent_settings, file, &agent);
		apply(&broker_settings, file, &broker);
		keyfile_free(file);
	}
	return 0;
}
