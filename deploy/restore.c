/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what of a saved configuration holds on another storage. Called by --deploy. */
#include "deploy/restore.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/engine_xml.h"
#include "util/cleanup.h"

/* Keys that name what was on the old storage; places and the lockspace are written anew in any case. */
static const char *const old_keys[] = {
	"engine_lease_name",
	"vm_xml",
	"vm_disk_id",
	"vm_disk_vol_id",
	"spUUID",
	"connectionUUID",
	"metadata_volume_UUID",
	"metadata_image_UUID",
	"lockspace_volume_UUID",
	"lockspace_image_UUID",
	"conf_volume_UUID",
	"conf_image_UUID",
};

__attribute__((format(printf, 3, 4))) static int refuse(char ret_why[RESTORE_WHY_SIZE], int error,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret_why, RESTORE_WHY_SIZE, format, args);
	va_end(args);
	return error;
}

/* *ret_size: one byte more than an archive can have is too much. */
static int read_file(const char *path, uint8_t **ret, size_t *ret_size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ uint8_t *bytes = malloc(CONF_ARCHIVE_MAX + 1);
	struct stat st;
	size_t size = 0;
	ssize_t n = 1;

	if (!bytes)
		return -ENOMEM;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while (n > 0 && size <= CONF_ARCHIVE_MAX) {
		n = read(fd, bytes + size, CONF_ARCHIVE_MAX + 1 - size);
		if (n < 0)
			return -errno;
		size += (size_t)n;
	}
	*ret = TAKE_PTR(bytes);
	*ret_size = size;
	return size > CONF_ARCHIVE_MAX ? -EFBIG : 0;
}

static int parse(const struct conf_archive *saved, enum conf_entry entry, bool sections, struct keyfile **ret)
{
	const struct conf_text *text = &saved->texts[entry];

	return keyfile_parse(conf_entry_str(entry), text->text, text->length, sections, ret, NULL);
}

/* The machine's uuid and its definition belong together, and the files can be read. */
static int check(const struct conf_archive *saved, char ret_why[RESTORE_WHY_SIZE])
{
	_cleanup_keyfile_ struct keyfile *engine = NULL, *broker = NULL;
	const struct conf_text *vm = &saved->texts[CONF_ENTRY_VM];
	char what[ANSWER_WHAT_SIZE], why[ENGINE_XML_WHY_SIZE];
	const struct answers none = {0};
	_cleanup_free_ char *xml = NULL;
	const char *vmid;

	if (saved->others > 0)
		return refuse(ret_why, -EINVAL,
			      "it is of a newer version, which this one would lose part of");
	if (parse(saved, CONF_ENTRY_HOSTED_ENGINE, false, &engine) < 0)
		return refuse(ret_why, -EINVAL, "its hosted-engine.conf can't be understood");
	if (parse(saved, CONF_ENTRY_BROKER, true, &broker) < 0)
		return refuse(ret_why, -EINVAL, "its broker.conf can't be understood");
	vmid = keyfile_get(engine, "", "vmid");
	if (!vmid || answer_check(&none, ANSWER_VMID, vmid, what) < 0)
		return refuse(ret_why, -EINVAL, "its hosted-engine.conf has no vmid");
	if (engine_xml_move(vm->text, vm->length, vmid, "/", false, &xml, why) < 0)
		return refuse(ret_why, -EINVAL, "its vm.conf is of no use: %s", why);
	return 0;
}

int restore_load(const char *path, struct conf_archive *ret, char ret_why[RESTORE_WHY_SIZE])
{
	struct conf_archive saved = {0};
	_cleanup_free_ uint8_t *bytes = NULL;
	char cause[CONF_CAUSE_SIZE];
	size_t size = 0;
	int r;

	assert(path && ret && ret_why);
	r = read_file(path, &bytes, &size);
	if (r < 0)
		return refuse(ret_why, r, "%s", r == -EINVAL ? "it is no file" : strerror(-r));
	r = conf_archive_unpack(bytes, size, &saved, cause);
	if (r < 0)
		return refuse(ret_why, r, "%s", r == -EBADMSG ? cause : strerror(-r));
	r = check(&saved, ret_why);
	if (r < 0)
		conf_archive_done(&saved);
	else
		*ret = saved;
	return r;
}

static bool is_suggested(enum answer which)
{
	return which >= ANSWER_BRIDGE && which != ANSWER_APPLIANCE && which != ANSWER_DOMAIN;
}

/* What was answered then, and what was changed since in the shared files. */
static int suggest(struct answers *answers, const struct answers *then, const struct keyfile *engine,
		   const struct keyfile *broker)
{
	int r = 0;

	for (int i = 0; i < ANSWER_COUNT && r == 0; i++) {
		const struct answer_row *row = &answer_rows[i];
		const char *value = NULL;

		if (!is_suggested(i))
			continue;
		if (row->setting)
			value = keyfile_get(engine, "", row->setting);
		if (row->mail)
			value = keyfile_get(broker, "email", row->mail);
		if (!value)
			value = then->text[i];
		if (value)
			r = answer_suggest(answers, i, value);
	}
	return r;
}

int restore_answers(const struct conf_archive *saved, struct answers *answers)
{
	const struct conf_text *vm = &saved->texts[CONF_ENTRY_VM], *text = &saved->texts[CONF_ENTRY_ANSWERS];
	_cleanup_keyfile_ struct keyfile *engine = NULL, *broker = NULL;
	_cleanup_(answers_done) struct answers then = {0};
	char mac[18];
	int r;

	/* Answers of another version are passed over as far as they are not understood. */
	(void)answers_parse(&then, conf_entry_str(CONF_ENTRY_ANSWERS), text->text, text->length, NULL);
	r = parse(saved, CONF_ENTRY_HOSTED_ENGINE, false, &engine);
	if (r == 0)
		r = parse(saved, CONF_ENTRY_BROKER, true, &broker);
	if (r == 0)
		r = suggest(answers, &then, engine, broker);
	if (r == 0)
		r = answer_set(answers, ANSWER_VMID, keyfile_get(engine, "", "vmid"));
	if (r == 0 && engine_xml_card(vm->text, vm->length, mac))
		r = answer_set(answers, ANSWER_MAC, mac);
	answers->restored = r == 0;
	return r;
}

int restore_conf(const struct conf_archive *saved, struct keyfile **ret)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = parse(saved, CONF_ENTRY_HOSTED_ENGINE, false, &file);

	for (size_t i = 0; i < sizeof(old_keys) / sizeof(old_keys[0]) && r == 0; i++)
		r = keyfile_set(file, "", old_keys[i], NULL);
	if (r == 0)
		*ret = TAKE_PTR(file);
	return r;
}
