/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --get-shared-config, --set-shared-config, --save-config. Decides which file a key is meant to be of, and
 * whether a value may be written; what a key of it counts as when the file does not have it is the default of
 * the file's own table. Uses the conf volume itself, so reading works with the daemons stopped. */
#include <errno.h>
#include <string.h>

#include "broker/broker_conf.h"
#include "tools/commands.h"
#include "tools/conf_volume.h"
#include "tools/error_advice.h"
#include "tools/json_text.h"
#include "tools/terminal_text.h"
#include "util/engine_conf.h"
#include "util/file_replace.h"
#include "util/ha_conf.h"
#include "util/paths.h"

static const struct kind {
	const char *name;
	const struct settings *known;
	mode_t mode; /* of a new file here */
	bool shared; /* an entry of the conf volume's archive, else a file here */
	enum conf_entry entry;
	enum file file;
} kinds[] = {
	{"he_local", &engine_settings, .mode = 0600, .file = FILE_ENGINE_CONF},
	{"he_shared", &engine_settings, .shared = true, .entry = CONF_ENTRY_HOSTED_ENGINE},
	{"ha", &ha_settings, .mode = 0644, .file = FILE_HA_CONF},
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
	terminal_put_word(stderr, key, strlen(key));
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
	fprintf(stderr, "The shared configuration in %s cannot be read: %s%s\n", place->path,
		error == -EBADMSG   ? cause
		: error == -ENODATA ? "nothing was written there yet: a deployment writes the first"
				    : strerror(-error),
		error_advice(error));
	return error;
}

/* Where the conf volume is, and its lease. What else is wrong in the file is the daemons' affair. */
static int find_volume(struct problems *problems, struct engine_conf *ret)
{
	struct problems quiet = {0};
	char path[PATH_MAX];
	int r = engine_conf_load(file_path(FILE_ENGINE_CONF, path), ret, &quiet);

	if (ret->conf_volume.path[0])
		return 0;
	if (r < 0 && r != -ENOENT)
		return engine_conf_load(path, ret, problems);
	fputs("hosted-engine.conf names no conf_path: this host knows no shared configuration; a deployment "
	      "writes "
	      "it\n",
	      stderr);
	return -ENOENT;
}

/* The whole of it; what is wrong is said. */
static int load_archive(struct problems *problems, struct conf_archive *ret)
{
	char cause[CONF_CAUSE_SIZE];
	struct engine_conf conf;
	int r = find_volume(problems, &conf);

	if (r < 0)
		return r;
	r = conf_volume_load(&conf.conf_volume, ret, cause);
	return r < 0 ? say_unread(&conf.conf_volume, r, cause) : 0;
}

static int parse_shared(const struct kind *kind, const struct conf_archive *archive,
			struct problems *problems, struct keyfile **ret)
{
	const struct conf_text *text = &archive->texts[kind->entry];
	char name[64];

	snprintf(name, sizeof(name), "shared %s", conf_entry_str(kind->entry));
	return keyfile_parse(name, text->text, text->length, has_sections(kind), ret, problems);
}

static int load_shared(const struct kind *kind, struct problems *problems, struct keyfile **ret)
{
	struct conf_archive archive = {0};
	int r = load_archive(problems, &archive);

	if (r == 0)
		r = parse_shared(kind, &archive, problems, ret);
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

static int put_json(const char *key, const char *value, const char *type)
{
	_cleanup_(json_decref_p) json_t *root = json_pack("{s:s, s:o, s:s}", "key", key, "value",
							  json_text(value, strlen(value)), "type", type);

	return json_line(root, stdout);
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
	if (invocation_value(call, "json"))
		return put_json(call->operand, value ? value : "", kind->name);
	/* A key without its section is shown as guides print it. */
	printf("\n%s : ",
	       setting->section[0] && strcmp(call->operand, setting->key) == 0 ? kind->name : call->operand);
	put(stdout, value ? value : "");
	printf(", type : %s\n\n", kind->name);
	return 0;
}

/* What --set-shared-config wants to be written. */
struct change {
	const struct kind *kind;
	const struct setting *setting;
	const char *value;
	struct problems problems;
};

static int say_refused(const struct change *change, const char *what)
{
	fprintf(stderr, "The value of %s %s\n", change->setting->key, what);
	return -EINVAL;
}

/* What the daemons would refuse is refused here, before it is anywhere. */
static int judge(const struct change *change)
{
	union {
		struct engine_conf engine;
		struct ha_conf ha;
		struct broker_conf broker;
	} nowhere;
	char what[256];

	if (setting_parse(change->setting, change->value, &nowhere, what, sizeof(what)) < 0)
		return say_refused(change, what);
	return 0;
}

static int set_in(const struct change *change, struct keyfile *file)
{
	int r = keyfile_set(file, change->setting->section, change->setting->key, change->value);

	return r == -EINVAL ? say_refused(change,
					  "can't be read back from a file: it has control characters, line "
					  "ends, or blanks at an end; leave those out")
			    : r;
}

static int say_unwritten(const char *path, int error)
{
	fprintf(stderr, "%s cannot be written: %s%s\n", path, strerror(-error), error_advice(error));
	return error;
}

static int set_local(struct change *change)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char path[PATH_MAX];
	int r = load_local(change->kind, &change->problems, &file);

	if (r == 0)
		r = set_in(change, file);
	if (r < 0)
		return r;
	r = keyfile_save(file, file_path(change->kind->file, path), change->kind->mode);
	return r < 0 ? say_unwritten(path, r) : 0;
}

static int set_in_archive(void *data, struct conf_archive *archive)
{
	struct change *change = data;
	_cleanup_keyfile_ struct keyfile *file = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = parse_shared(change->kind, archive, &change->problems, &file);

	if (r == 0)
		r = set_in(change, file);
	if (r == 0)
		r = keyfile_format(file, &text, &size);
	if (r == 0)
		r = conf_archive_set(archive, change->kind->entry, text, size);
	if (r == -EFBIG)
		say_refused(change, "makes the file too long; give a shorter one");
	return r;
}

static int set_shared(struct change *change)
{
	struct block0_config lease = {0};
	char cause[CONF_CAUSE_SIZE];
	struct engine_conf conf;
	int r = find_volume(&change->problems, &conf);

	if (r < 0)
		return r;
	memcpy(lease.lockspace, conf.lockspace_name, sizeof(lease.lockspace));
	snprintf(lease.engine_place.path, sizeof(lease.engine_place.path), "%s", conf.lease.path);
	lease.engine_place.offset = conf.lease.offset;
	r = conf_volume_edit(&conf.conf_volume, &lease, set_in_archive, change, cause);
	if (r < 0 && cause[0])
		fprintf(stderr, "The shared configuration in %s was not changed: %s\n", conf.conf_volume.path,
			cause);
	return r;
}

int command_run_set_shared_config(const struct invocation *call)
{
	_cleanup_free_ char *secret = NULL;
	struct change change = {.value = call->second, .problems = {.say = problems_print, .data = stderr}};

	change.kind = choose(call->operand, invocation_value(call, "type"));
	if (!change.kind)
		return 1;
	change.setting = find(change.kind, call->operand);
	if (change.setting->secret) {
		/* Out of what others can see of this process. */
		change.value = secret = strdup(call->second);
		memset((char *)call->second, '*', strlen(call->second));
	}
	if (!change.value || judge(&change) < 0)
		return 1;
	return (change.kind->shared ? set_shared : set_local)(&change) < 0;
}

int command_run_save_config(const struct invocation *call)
{
	struct problems problems = {.say = problems_print, .data = stderr};
	_cleanup_free_ uint8_t *packed = NULL;
	struct conf_archive archive = {0};
	size_t size;
	int r = load_archive(&problems, &archive);

	if (r < 0)
		return 1;
	r = conf_archive_pack(&archive, &packed, &size);
	conf_archive_done(&archive);
	if (r == -ENOTSUP) {
		fputs("The shared configuration has entries of a newer version: save it from a host of that "
		      "version.\n",
		      stderr);
		return 1;
	}
	if (r == 0)
		r = file_replace_private(call->operand, packed, size);
	if (r == -EINVAL)
		fprintf(stderr, "%s is no file: give the name of one\n", call->operand);
	else if (r < 0)
		say_unwritten(call->operand, r);
	return r < 0;
}
