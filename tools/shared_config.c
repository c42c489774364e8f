/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --get-shared-config. Decides which file a key is meant to be of; what a key of it counts as when the file
 * does not have it is the default of the file's own table. Reads the conf volume itself, so it works with the
 * daemons stopped. Changes nothing. */
#include <errno.h>
#include <string.h>

#include "broker/broker_conf.h"
#include "tools/commands.h"
#include "tools/conf_volume.h"
#include "tools/terminal_text.h"
#include "util/engine_conf.h"
#include "util/ha_conf.h"
#include "util/paths.h"

static const struct kind {
	const char *name;
	const struct settings *known;
	bool shared; /* an entry of the conf volume's archive, else a file here */
	enum conf_entry entry;
	enum file file;
} kinds[] = {
	{"he_local", &engine_settings, .file = FILE_ENGINE_CONF},
	{"he_shared", &engine_settings, .shared = true, .entry = CONF_ENTRY_HOSTED_ENGINE},
	{"ha", &ha_settings, .file = FILE_HA_CONF},
	{"broker", &broker_settings, .shared = true, .entry = CONF_ENTRY_BROKER},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool has_sections(const struct kind *kind)
{
	return kind->known->rows[0].section[0] != '\0';
}

/* `key` alone or as SECTION.KEY. NULL: the file has no such key. */
static const struct setting *find(const struct kind *kind, const char *key)
{
	for (size_t i = 0; i < kind->known->n_rows; i++) {
		const struct setting *row = &kind->known->rows[i];
		size_t length = strlen(row->section);

		if (strcmp(key, row->key) == 0 ||
		    (length > 0 && strncmp(key, row->section, length) == 0 && key[length] == '.' &&
		     strcmp(key + length + 1, row->key) == 0))
			return row;
	}
	return NULL;
}

static void put(FILE *out, const char *text)
{
	terminal_put(out, text, strlen(text));
}

static int say_invalid(const char *key)
{
	fputs("Invalid configuration key ", stderr);
	put(stderr, key);
	fputs(".\n", stderr);
	for (size_t i = 0; i < KINDS; i++) {
		const struct settings *known = kinds[i].known;

		fprintf(stderr, "%s:", kinds[i].name);
		for (size_t j = 0; j < known->n_rows; j++)
			fprintf(stderr, " %s%s%s", known->rows[j].section,
				known->rows[j].section[0] ? "." : "", known->rows[j].key);
		fputc('\n', stderr);
	}
	return 1;
}

static int say_duplicate(const char *key)
{
	fprintf(stderr, "Duplicate key %s, please specify the key type.\n--type=", key);
	for (size_t i = 0, said = 0; i < KINDS; i++)
		if (find(&kinds[i], key))
			fprintf(stderr, "%s%s", said++ ? "|" : "", kinds[i].name);
	fputc('\n', stderr);
	return 1;
}

/* The kind that is meant: of this name, or the only one that knows the key. NULL after it was said. */
static const struct kind *choose(const char *key, const char *name)
{
	const struct kind *chosen = NULL;

	for (size_t i = 0; i < KINDS; i++) {
		if ((name && strcmp(name, kinds[i].name) != 0) || !find(&kinds[i], key))
			continue;
		if (chosen) {
			say_duplicate(key);
			return NULL;
		}
		chosen = &kinds[i];
	}
	if (!chosen)
		say_invalid(key);
	return chosen;
}

static int say_unread(const struct place *place, int error, const char *cause)
{
	fprintf(stderr, "The shared configuration in %s cannot be read: %s\n", place->path,
		error == -EBADMSG   ? cause
		: error == -ENODATA ? "nothing was written there yet"
				    : strerror(-error));
	return error;
}

/* Where the conf volume is. What else is wrong in the file is the daemons' affair. */
static int find_volume(struct problems *problems, struct place *ret)
{
	struct problems quiet = {0};
	struct engine_conf conf;
	char path[PATH_MAX];
	int r = engine_conf_load(file_path(FILE_ENGINE_CONF, path), &conf, &quiet);

	if (conf.conf_volume.path[0]) {
		*ret = conf.conf_volume;
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return engine_conf_load(path, &conf, problems);
	fputs("hosted-engine.conf names no conf_path: this host knows no shared configuration.\n", stderr);
	return -ENOENT;
}

static int load_shared(const struct kind *kind, struct problems *problems, struct keyfile **ret)
{
	struct conf_archive archive = {0};
	char cause[CONF_CAUSE_SIZE];
	struct place place;
	char name[64];
	int r;

	r = find_volume(problems, &place);
	if (r < 0)
		return r;
	r = conf_volume_load(&place, &archive, cause);
	if (r < 0)
		return say_unread(&place, r, cause);
	snprintf(name, sizeof(name), "shared %s", conf_entry_str(kind->entry));
	r = keyfile_parse(name, archive.texts[kind->entry].text, archive.texts[kind->entry].length,
			  has_sections(kind), ret, problems);
	conf_archive_done(&archive);
	return r;
}

static int load_local(const struct kind *kind, struct problems *problems, struct keyfile **ret)
{
	char path[PATH_MAX];
	int r = keyfile_load(file_path(kind->file, path), has_sections(kind), ret, problems);

	/* As the daemons take it: all defaults. */
	return r == -ENOENT ? keyfile_new(path, has_sections(kind), ret) : r;
}

int command_run_get_shared_config(const struct invocation *call)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	const struct kind *kind = choose(call->operand, invocation_value(call, "type"));
	_cleanup_keyfile_ struct keyfile *file = NULL;
	const struct setting *setting;
	const char *value;

	if (!kind || (kind->shared ? load_shared : load_local)(kind, &problems, &file) < 0)
		return 1;
	setting = find(kind, call->operand);
	value = keyfile_get(file, setting->section, setting->key);
	if (!value)
		value = setting->fallback;
	/* A key without its section is shown as guides print it. */
	printf("\n%s : ",
	       setting->section[0] && strcmp(call->operand, setting->key) == 0 ? kind->name : call->operand);
	put(stdout, value ? value : "");
	printf(", type : %s\n\n", kind->name);
	return 0;
}
