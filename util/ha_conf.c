/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides what ha.conf says of local maintenance. It may not judge keys of others in the file: they stay.
 * Called by the agent, saving in a worker. */
#include "util/ha_conf.h"

#include <errno.h>

#define FIELD(member) SETTING_FIELD(struct ha_conf, member)

static const struct setting rows[] = {
	{"", "local_maintenance", SETTING_BOOL, "no", FIELD(local_maintenance),
	 .help = "the management system put this host into maintenance"},
	{"", "local_maintenance_manual", SETTING_BOOL, "no", FIELD(local_maintenance_manual),
	 .help = "the operator put this host into maintenance"},
};

const struct settings ha_settings = {
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
	.title = "ha.conf: local maintenance of this host",
};

int ha_conf_load(const char *path, struct ha_conf *ret, struct problems *problems)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	struct ha_conf conf = {0};
	const char *key, *value;
	unsigned line;
	char what[256];
	int r;

	r = keyfile_load(path, false, &file, problems);
	if (r < 0 && r != -ENOENT)
		return r;
	for (size_t i = 0; file && keyfile_entry(file, i, NULL, &key, &value, &line); i++) {
		const struct setting *row = settings_find(&ha_settings, "", key);

		if (row && setting_parse(row, value, &conf, what, sizeof(what)) < 0) {
			problems_add(problems, path, line, key, value, "%s", what);
			return -EINVAL;
		}
	}
	*ret = conf;
	return 0;
}

int ha_conf_save(const char *path, const struct ha_conf *conf)
{
	_cleanup_keyfile_ struct keyfile *file = NULL;
	int r = keyfile_load(path, false, &file, NULL);

	if (r == -ENOENT)
		r = keyfile_new(path, false, &file);
	if (r < 0)
		return r;
	r = keyfile_set(file, "", "local_maintenance", conf->local_maintenance ? "True" : "False");
	if (r < 0)
		return r;
	r = keyfile_set(file, "", "local_maintenance_manual",
			conf->local_maintenance_manual ? "True" : "False");
	if (r < 0)
		return r;
	return keyfile_save(file, path, 0644);
}
