/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stages of the engine and its configuration: what it is told at its first boot, what all hosts share,
 * and the wait for it. The daemons start the VM, under all of their rules: nothing here does. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "deploy/cloud_init.h"
#include "deploy/engine_xml.h"
#include "deploy/host_conf.h"
#include "deploy/restore.h"
#include "tools/conf_volume.h"
#include "tools/deploy_stages.h"
#include "tools/deploy_terminal.h"
#include "tools/liveliness.h"
#include "util/clock.h"
#include "util/paths.h"

#define JOIN_MS 300000 /* sanlock may wait for a dead host's time */
#define BROKER_MS 5000

_Static_assert(STAGE_WHY_SIZE >= CLOUD_INIT_WHY_SIZE && STAGE_WHY_SIZE >= ENGINE_XML_WHY_SIZE,
	       "their reasons fit");

CLEANUP_DEFINE(struct broker_client *, broker_client_close)

int stage_run_cloud_init(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	const char *password = deployment_answer(deployment, ANSWER_ROOT_PASSWORD),
		   *key = deployment_answer(deployment, ANSWER_SSH_KEY);
	bool fixed = answer_is(&deployment->answers, ANSWER_VM_NETWORK, "static");
	char hash[CLOUD_INIT_HASH_SIZE], path[PATH_MAX];
	_cleanup_free_ char *dns = strdup(deployment_answer(deployment, ANSWER_VM_DNS));
	char *at = dns, *one;
	struct cloud_init conf = {.instance_id = deployment_answer(deployment, ANSWER_VMID),
				  .fqdn = deployment_answer(deployment, ANSWER_FQDN),
				  .mac = deployment_answer(deployment, ANSWER_MAC),
				  .address = fixed ? deployment_answer(deployment, ANSWER_VM_ADDRESS) : NULL,
				  .dhcp6 = deployment->answers.ip_version == 6,
				  .gateway = fixed ? deployment_answer(deployment, ANSWER_VM_GATEWAY) : NULL,
				  .ssh_key = key[0] ? key : NULL};
	int r = 0;

	for (int n = 0; fixed && n < CLOUD_INIT_DNS_MAX && (one = strsep(&at, ",")); n++)
		conf.dns[n] = one[0] ? one : NULL;
	if (password[0]) {
		r = cloud_init_hash(password, hash);
		if (r < 0)
			return stage_fail(why, r, "root's password can't be hashed: %s", strerror(-r));
		conf.root_hash = hash;
	}
	return cloud_init_write(&conf, file_path(FILE_CLOUD_INIT, path), why);
}

int stage_undo_cloud_init(void *data, char why[STAGE_WHY_SIZE])
{
	char path[PATH_MAX];

	(void)data;
	if (unlink(file_path(FILE_CLOUD_INIT, path)) == 0 || errno == ENOENT)
		return 0;
	return stage_fail(why, -errno, "%s: %s", path, strerror(errno));
}

static int make_xml(struct deployment *deployment, char **ret, char why[STAGE_WHY_SIZE])
{
	char disk[PATH_MAX], iso[PATH_MAX], secret[ENGINE_XML_SECRET_SIZE];
	struct engine_vm vm = {
		.name = ENGINE_XML_NAME,
		.uuid = deployment_answer(deployment, ANSWER_VMID),
		.cpus = (uint32_t)strtoul(deployment_answer(deployment, ANSWER_VCPUS), NULL, 10),
		.memory_mib = (uint32_t)strtoul(deployment_answer(deployment, ANSWER_MEMORY), NULL, 10),
		.emulated = access("/dev/kvm", F_OK) < 0,
		.disk = disk,
		.iso = file_path(FILE_CLOUD_INIT, iso),
		.mac = deployment_answer(deployment, ANSWER_MAC),
		.bridge = deployment_answer(deployment, ANSWER_BRIDGE),
		.vnc = true,
		.secret = secret};
	const struct conf_text *saved = &deployment->archive.texts[CONF_ENTRY_VM];
	int r = host_conf_disk(&deployment->domain, disk, &vm.disk_block);

	if (r < 0)
		return stage_fail(why, r, "the VM's disk has no path of its own on this storage");
	if (deployment->answers.restored)
		return engine_xml_move(saved->text, saved->length, vm.uuid, disk, vm.disk_block, ret, why);
	r = engine_xml_secret(secret);
	return r < 0 ? stage_fail(why, r, "no random numbers: %s", strerror(-r))
		     : engine_xml_format(&vm, ret, why);
}

static int make_broker_conf(const struct deployment *deployment, char **ret, size_t *ret_size)
{
	const struct conf_text *saved = &deployment->archive.texts[CONF_ENTRY_BROKER];
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = deployment->answers.restored
			? keyfile_parse("broker.conf", saved->text, saved->length, true, &file, NULL)
			: keyfile_new("broker.conf", true, &file);

	for (int i = 0; r == 0 && i < ANSWER_COUNT; i++)
		if (answer_rows[i].mail)
			r = keyfile_set(file, "email", answer_rows[i].mail, deployment_answer(deployment, i));
	return r == 0 ? keyfile_format(file, ret, ret_size) : r;
}

static int set_text(struct conf_archive *archive, enum conf_entry entry, char *text)
{
	int r = text ? conf_archive_set(archive, entry, text, strlen(text)) : -ENOMEM;

	free(text);
	return r;
}

static int make_archive(struct deployment *deployment, const struct keyfile *file,
			struct conf_archive *archive, char why[STAGE_WHY_SIZE])
{
	_cleanup_keyfile_ struct keyfile *answers = NULL;
	char *text = NULL;
	size_t size;
	int r = conf_archive_set(archive, CONF_ENTRY_VERSION, "1\n", 2);

	if (r == 0 && (r = host_conf_shared(file, &text, &size)) == 0)
		r = set_text(archive, CONF_ENTRY_HOSTED_ENGINE, text);
	if (r == 0 && (r = make_broker_conf(deployment, &text, &size)) == 0)
		r = set_text(archive, CONF_ENTRY_BROKER, text);
	if (r == 0 && (r = answers_keyfile(&deployment->answers, false, &answers)) == 0 &&
	    (r = keyfile_format(answers, &text, &size)) == 0)
		r = set_text(archive, CONF_ENTRY_ANSWERS, text);
	if (r == 0 && (r = make_xml(deployment, &text, why)) == 0)
		r = set_text(archive, CONF_ENTRY_VM, text);
	return r;
}

/* What a further host, or one that is restored, starts from. */
static int base_conf(const struct deployment *deployment, struct keyfile **ret)
{
	const struct conf_text *text = &deployment->archive.texts[CONF_ENTRY_HOSTED_ENGINE];

	if (deployment->answers.restored)
		return restore_conf(&deployment->archive, ret);
	if (!deployment->answers.further)
		return keyfile_new("hosted-engine.conf", false, ret);
	return keyfile_parse("hosted-engine.conf", text->text, text->length, false, ret, NULL);
}

int stage_run_shared(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	_cleanup_(conf_archive_done) struct conf_archive archive = {0};
	_cleanup_keyfile_ struct keyfile *file = NULL;
	char cause[CONF_CAUSE_SIZE];
	struct place place = {.offset = deployment->domain.areas[AREA_CONF].offset};
	int r = base_conf(deployment, &file);

	if (r == 0)
		r = host_conf_whole(&deployment->answers, &deployment->domain, file);
	if (r < 0)
		return stage_fail(why, r, "hosted-engine.conf can't be made: %s", strerror(-r));
	if (!deployment->answers.further) {
		r = make_archive(deployment, file, &archive, why);
		if (r == 0)
			r = journal_set(deployment->journal, "shared", "yes");
		if (r < 0)
			return r;
		snprintf(place.path, sizeof(place.path), "%.1000s", deployment->domain.areas[AREA_CONF].path);
		r = conf_volume_create(&place, &archive, cause);
		if (r < 0)
			return stage_fail(why, r, "the conf volume can't be written: %s", cause);
	}
	r = stage_conf_save(file);
	if (r < 0)
		return stage_fail(why, r, "hosted-engine.conf can't be written: %s", strerror(-r));
	/* A storage daemon shows the VM's disk as a file of its own, once it is told where it lies. */
	return deployment->domain.image ? stage_reconnect(deployment, why) : 0;
}

static int wait_engine(struct deployment *deployment, const struct engine_conf *conf,
		       char why[STAGE_WHY_SIZE])
{
	int64_t limit_s = strtoll(deployment_answer(deployment, ANSWER_HEALTH_TIMEOUT), NULL, 10);
	mono_t begin = clock_mono(), end = mono_add(begin, limit_s * MONO_SECOND);
	char reason[LIVELINESS_WHY_SIZE];
	int r;

	while ((r = liveliness_ask(conf->health_url, conf->health_ca, reason)) != 1) {
		if (r < 0 || clock_mono() >= end)
			return stage_fail(
				why, r < 0 ? r : -ETIMEDOUT,
				"%s is not well%s%.40s%s: %s; see hosted-engine --vm-status, hosted-engine "
				"--console and journalctl -u ovirt-ha-agent",
				conf->health_url, r < 0 ? "" : " after ",
				r < 0 ? "" : deployment_answer(deployment, ANSWER_HEALTH_TIMEOUT),
				r < 0 ? "" : " s", reason);
		if (deployment->bar)
			terminal_wait("Waiting for the engine",
				      (int64_t)(clock_mono() - begin) / MONO_SECOND);
		poll(NULL, 0, STAGE_POLL_MS);
	}
	return 0;
}

/* This host is in the lockspace, and its agent speaks for it. */
static int wait_joined(struct deployment *deployment, char why[STAGE_WHY_SIZE])
{
	mono_t begin = clock_mono(), end = mono_add(begin, JOIN_MS);
	struct status_reply status = {0};

	for (;;) {
		_cleanup_(broker_client_close_p) struct broker_client *client = NULL;
		int r = broker_client_open(BROKER_MS, &client);

		if (r == 0)
			r = broker_client_status(client, BROKER_MS, &status);
		if (r == 0 && status.cluster.membership == MEMBERSHIP_JOINED && status.agent_connected &&
		    status.published_at != MONO_UNSET)
			return 0;
		if (clock_mono() >= end)
			return stage_fail(
				why, -ETIMEDOUT,
				"this host does not join: %.300s; see hosted-engine --vm-status and "
				"journalctl -u ovirt-ha-broker",
				r < 0		    ? strerror(-r)
				: status.trouble[0] ? status.trouble
						    : "sanlock still waits");
		if (deployment->bar)
			terminal_wait("Waiting for this host to join",
				      (int64_t)(clock_mono() - begin) / MONO_SECOND);
		poll(NULL, 0, STAGE_POLL_MS);
	}
}

int stage_run_wait(void *data, char why[STAGE_WHY_SIZE])
{
	struct problems quiet = {0};
	struct deployment *deployment = data;
	struct engine_conf conf;
	char path[PATH_MAX];
	int r;

	stage_conf_path(path);
	r = engine_conf_load_deployed(path, &conf, &quiet);
	if (r < 0)
		return stage_fail(why, r, "%s is not right: ovirt-ha-broker -n names the line", path);
	r = wait_joined(deployment, why);
	if (r == 0 && !deployment->answers.further)
		r = wait_engine(deployment, &conf, why);
	if (deployment->bar)
		terminal_wait(NULL, 0);
	return r;
}

int stage_run_finish(void *data, char why[STAGE_WHY_SIZE])
{
	struct deployment *deployment = data;
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct problems quiet = {0};
	char path[PATH_MAX];
	int r;

	stage_conf_path(path);
	r = keyfile_load(path, false, &file, &quiet);
	if (r == 0)
		r = keyfile_set(file, "", "configured", "True");
	/* The engine was up: whatever comes now, a clean-up leaves its disk. */
	if (r == 0)
		r = journal_set(deployment->journal, "finished", "yes");
	if (r == 0)
		r = stage_conf_save(file);
	if (r < 0)
		return stage_fail(why, r, "%s can't be changed: %s", path, strerror(-r));
	/* It has root's password, and the VM has read it. */
	return stage_undo_cloud_init(data, why);
}
