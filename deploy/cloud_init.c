/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the disc of NoCloud. Each file of it is JSON, which YAML contains: nothing that a person typed can
 * become more than a value. What a value must be is cloud_init_check.c's. Called by deployment. */
#include "deploy/cloud_init.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <jansson.h>

#include "deploy/cloud_init_check.h"
#include "util/cleanup.h"
#include "util/file_replace.h"

#define LABEL "cidata"
#define CARD "eth0"
#define DISC_MAX (4 * 1024 * 1024)

CLEANUP_DEFINE(json_t *, json_decref)
CLEANUP_DEFINE(struct archive *, archive_write_free)

/* As text behind `head`; NULL: no memory. */
static char *dump(json_t *object, const char *head)
{
	_cleanup_(json_decref_p) json_t *owned = object;
	_cleanup_free_ char *json = owned ? json_dumps(owned, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
	char *text = NULL;

	return json && asprintf(&text, "%s%s\n", head, json) >= 0 ? text : NULL;
}

static char *meta_data(const struct cloud_init *conf)
{
	return dump(json_pack("{s:s, s:s}", "instance-id", conf->instance_id, "local-hostname", conf->fqdn),
		    "");
}

static json_t *list_of(const char *const *items, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n && items[i]; i++)
		json_array_append_new(list, json_string(items[i]));
	return list;
}

/* Netplan's words, version 2: every cloud-init since 2017 has them. */
static char *network_config(const struct cloud_init *conf)
{
	json_t *card = json_pack("{s:{s:s}, s:s}", "match", "macaddress", conf->mac, "set-name", CARD);
	bool v6 = conf->address ? strchr(conf->address, ':') != NULL : conf->dhcp6;

	if (conf->address) {
		json_object_set_new(card, "addresses", json_pack("[s]", conf->address));
		json_object_set_new(card, "dhcp4", json_false());
		json_object_set_new(card, "dhcp6", json_false());
	} else {
		json_object_set_new(card, v6 ? "dhcp6" : "dhcp4", json_true());
	}
	if (conf->gateway)
		json_object_set_new(card, "routes",
				    json_pack("[{s:s, s:s}]", "to",
					      strchr(conf->gateway, ':') ? "::/0" : "0.0.0.0/0", "via",
					      conf->gateway));
	if (conf->dns[0])
		json_object_set_new(card, "nameservers",
				    json_pack("{s:o, s:[s]}", "addresses",
					      list_of(conf->dns, CLOUD_INIT_DNS_MAX), "search",
					      strchr(conf->fqdn, '.') + 1));
	return dump(json_pack("{s:i, s:{s:o}}", "version", 2, "ethernets", CARD, card), "");
}

static char *user_data(const struct cloud_init *conf)
{
	json_t *user = json_pack("{s:s}", "name", "root");
	json_t *data = json_pack("{s:s%, s:s, s:b, s:b}", "hostname", conf->fqdn, strcspn(conf->fqdn, "."),
				 "fqdn", conf->fqdn, "preserve_hostname", 0, "disable_root", 0);
	char *hash = NULL;

	if (conf->ssh_key)
		json_object_set_new(user, "ssh_authorized_keys", json_pack("[s]", conf->ssh_key));
	json_object_set_new(user, "lock_passwd", json_boolean(!conf->root_hash));
	json_object_set_new(data, "users", json_pack("[o]", user));
	/* `users` sets no password of one that is there already, as root is. */
	if (conf->root_hash && asprintf(&hash, "root:%s", conf->root_hash) >= 0) {
		json_object_set_new(data, "chpasswd", json_pack("{s:b, s:[s]}", "expire", 0, "list", hash));
		explicit_bzero(hash, strlen(hash));
		free(hash);
	}
	return dump(data, "#cloud-config\n");
}

int cloud_init_files(const struct cloud_init *conf, struct cloud_init_files *ret,
		     char ret_why[CLOUD_INIT_WHY_SIZE])
{
	struct cloud_init_files files;
	int r;

	assert(conf && ret && ret_why);
	r = cloud_init_check(conf, ret_why);
	if (r < 0)
		return r;
	files = (struct cloud_init_files){meta_data(conf), network_config(conf), user_data(conf)};
	if (!files.meta_data || !files.network_config || !files.user_data) {
		cloud_init_files_done(&files);
		snprintf(ret_why, CLOUD_INIT_WHY_SIZE, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	*ret = files;
	return 0;
}

void cloud_init_files_done(struct cloud_init_files *files)
{
	if (files->user_data)
		explicit_bzero(files->user_data, strlen(files->user_data));
	free(files->meta_data);
	free(files->network_config);
	free(files->user_data);
	*files = (struct cloud_init_files){0};
}

static bool add(struct archive *disc, const char *name, const char *text)
{
	struct archive_entry *entry = archive_entry_new();
	size_t size = strlen(text);
	bool good;

	if (!entry)
		return false;
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0400);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_mtime(entry, 0, 0);
	good = archive_write_header(disc, entry) == ARCHIVE_OK &&
	       archive_write_data(disc, text, size) == (la_ssize_t)size;
	archive_entry_free(entry);
	return good;
}

/* Rock Ridge and Joliet, for the names and for the label, which is in capitals without. In memory: the hash
 * touches no other file. */
static bool burn(const struct cloud_init_files *files, void *bytes, size_t *ret_size)
{
	_cleanup_(archive_write_free_p) struct archive *disc = archive_write_new();

	return disc && archive_write_set_format_iso9660(disc) == ARCHIVE_OK &&
	       archive_write_set_options(disc, "volume-id=" LABEL ",joliet,rockridge=useful") == ARCHIVE_OK &&
	       archive_write_set_bytes_in_last_block(disc, 1) == ARCHIVE_OK &&
	       archive_write_open_memory(disc, bytes, DISC_MAX, ret_size) == ARCHIVE_OK &&
	       add(disc, "meta-data", files->meta_data) &&
	       add(disc, "network-config", files->network_config) &&
	       add(disc, "user-data", files->user_data) && archive_write_close(disc) == ARCHIVE_OK;
}

int cloud_init_write(const struct cloud_init *conf, const char *path, char ret_why[CLOUD_INIT_WHY_SIZE])
{
	struct cloud_init_files files = {0};
	void *bytes = malloc(DISC_MAX);
	size_t size = 0;
	int r = cloud_init_files(conf, &files, ret_why);

	if (r == 0 && (!bytes || !burn(&files, bytes, &size))) {
		snprintf(ret_why, CLOUD_INIT_WHY_SIZE, "the disc can't be made");
		r = -ENOMEM;
	} else if (r == 0) {
		r = file_replace_private(path, bytes, size);
		if (r < 0)
			snprintf(ret_why, CLOUD_INIT_WHY_SIZE, "%.180s: %s", path, strerror(-r));
	}
	if (bytes)
		explicit_bzero(bytes, size);
	free(bytes);
	cloud_init_files_done(&files);
	return r;
}
